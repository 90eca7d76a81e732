/* SPDX-License-Identifier: MIT */
/** @file unit/test_page.c  One descriptor: identity (S1, S2), references, lock, pins, and the accounting of mappings. */
#include "support/world.h"

#include <stdatomic.h>

/* A new frame with one reference of ours. */
static struct rmap_page *new_page(struct world *w)
{
    struct rmap_page *page;
    CHECK_OK(rmap_page_alloc(w->r, RMAP_PFN_NONE, &page));
    return page;
}

static void set_mapcount(struct rmap_page *page, uint32_t raw) { atomic_store(&page->mapcount, raw); }

/* The slot that caches a page. */
static rmap_swp_t cached_slot(struct world *w, struct rmap_page *page)
{
    rmap_page_lock(page);
    CHECK_OK(rmap_swap_cache_add(w->swap, page));
    rmap_page_unlock(w->r, page);
    return page->swap;
}

/* S1. vpn 0x123 of the only space */
RMAP_TEST(page, S1_identity_is_owner_index_and_the_anon_flag)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space(&w);
    CHECK_EQ(sizeof(struct rmap_page), 32);
    struct rmap_page *page = new_page(&w);
    CHECK(!rmap_page_is_anon(page));
    CHECK_EQ(rmap_page_owner(page), 0);
    rmap_page_put(w.r, page);
    world_write(s, 0x123, 1);
    page = world_page(s, 0x123);
    CHECK(rmap_page_is_anon(page));
    CHECK_EQ(rmap_page_index(page), 0x123); /* virtual address >> page shift */
    CHECK_EQ(rmap_page_owner(page), rmap_member_home(&s->m));
    CHECK_EQ(page->owner & RMAP_OWNER_ANON, RMAP_OWNER_ANON);
    CHECK_EQ(rmap_page_mapcount(page), 1);
    CHECK_EQ(page->refcount, 1); /* all mappings together hold one */
    world_fini(&w);
}

/* S2, C2. vpn 9: a slot is given, nothing about the identity changes */
RMAP_TEST(page, S2_swapcache_is_a_flag_of_its_own_and_hides_neither_group_nor_index)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space(&w);
    world_write(s, 9, 1);
    struct rmap_page *page = world_page(s, 9);
    rmap_owner_t owner = rmap_page_owner(page);
    CHECK_EQ(page->swap, 0);
    rmap_swp_t entry = cached_slot(&w, page);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE);
    CHECK_NE(entry, 0);
    CHECK_EQ(rmap_page_index(page), 9);
    CHECK_EQ(rmap_page_owner(page), owner);
    CHECK(rmap_page_is_anon(page));
    CHECK_EQ(world_mappers(&w, page), 1); /* found by the group, as before */
    world_unmap(&w, page, 0);
    CHECK_EQ(rmap_page_index(page), 9);
    CHECK_EQ(rmap_page_owner(page), owner);
    CHECK_EQ(world_kind(s, 9), RMAP_PTE_SWAP);
    CHECK_EQ(world_read(s, 9), 1);
    world_write(s, 9, 2); /* the private field holds an entry only while the flag is set */
    CHECK(!(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE));
    CHECK_EQ(page->swap, 0);
    CHECK_EQ(rmap_page_index(page), 9);
    world_check(&w);
    world_fini(&w);
}

/* index: 52 bits beside 12 flags, neither disturbs the other */
RMAP_TEST(page, index_and_flags_share_a_word_without_touching_each_other)
{
    struct world w;
    world_init(&w, &(struct world_options){.geometry = &rmap_radix_x86_64});
    struct world_space *s = world_space(&w);
    const rmap_vpn_t top = s->mmu.pages - 1;
    world_write(s, top, 5);
    struct rmap_page *page = world_page(s, top);
    CHECK_EQ(rmap_page_index(page), top);
    unsigned was = rmap_page_flags(page);
    CHECK_EQ(rmap_page_set_flags(page, RMAP_PAGE_REFERENCED | RMAP_PAGE_DISCARDABLE), was);
    CHECK_EQ(rmap_page_index(page), top);
    CHECK_EQ(rmap_page_clear_flags(page, RMAP_PAGE_REFERENCED), was | RMAP_PAGE_REFERENCED | RMAP_PAGE_DISCARDABLE);
    CHECK_EQ(rmap_page_clear_flags(page, RMAP_PAGE_DISCARDABLE), was | RMAP_PAGE_DISCARDABLE);
    world_move(s, top, 3, 1);
    CHECK_EQ(rmap_page_flags(page), was);
    CHECK_EQ(rmap_page_index(page), 3);
    world_fini(&w);
}

/* ---- frame sections ---- */

/* frames 5000-5255 exist; sections at 10-19 and 30-39, descriptors 48 bytes apart */
RMAP_TEST(page, frame_sections_are_arithmetic_in_both_directions)
{
    struct world w;
    world_init(&w, NULL);
    static uint64_t memory[6 * 20];
    memset(memory, 0, sizeof memory);
    struct rmap_page *low = (struct rmap_page *)(void *)memory, *high = (struct rmap_page *)(void *)(memory + 60);
    CHECK_OK(rmap_frames_add(w.r, &(struct rmap_frame_section){high, 48, 30, 10}));
    CHECK_OK(rmap_frames_add(w.r, &(struct rmap_frame_section){low, 48, 10, 10}));
    for (unsigned i = 0; i < 10; i++) {
        CHECK(rmap_page_find(w.r, 10 + i) == (struct rmap_page *)(void *)(memory + 6 * i));
        CHECK_EQ(rmap_page_pfn(w.r, (struct rmap_page *)(void *)(memory + 6 * i)), 10 + i);
        CHECK_EQ(rmap_page_pfn(w.r, (struct rmap_page *)(void *)(memory + 60 + 6 * i)), 30 + i);
    }
    static const rmap_pfn_t outside[] = {0, 9, 20, 29, 40, 4999, 5256, RMAP_VPN_MAX, RMAP_PFN_NONE};
    for (unsigned i = 0; i < sizeof outside / sizeof *outside; i++) CHECK(!rmap_page_find(w.r, outside[i]));
    CHECK(!rmap_page_find(NULL, 10));
    CHECK_EQ(rmap_page_pfn(w.r, (struct rmap_page *)(void *)(memory + 1)), RMAP_PFN_NONE); /* between two descriptors */
    CHECK_EQ(rmap_page_pfn(w.r, (struct rmap_page *)(void *)&w), RMAP_PFN_NONE);
    CHECK_EQ(rmap_page_pfn(w.r, NULL), RMAP_PFN_NONE);
    CHECK_EQ(rmap_page_pfn(NULL, low), RMAP_PFN_NONE);
    CHECK_OK(rmap_frames_remove(w.r, 30));
    CHECK(!rmap_page_find(w.r, 30));
    CHECK(rmap_page_find(w.r, 19));
    CHECK(rmap_page_find(w.r, 5255));
    CHECK_OK(rmap_frames_remove(w.r, 10));
    world_fini(&w);
}

/* H1. sections at 5000-5255 */
RMAP_TEST(page, frame_sections_are_checked_and_refusals_change_nothing)
{
    struct world w;
    world_init(&w, NULL);
    static struct rmap_page d[4];
    const struct rmap_frame_section good = {d, sizeof *d, 100, 4};
    struct rmap_frame_section s = good;
#define REFUSED(change, error)                              \
    do {                                                    \
        s = good;                                           \
        change;                                             \
        CHECK_ERR(rmap_frames_add(w.r, &s), error);         \
        CHECK(!rmap_page_find(w.r, 100));                   \
    } while (0)
    REFUSED(s.base = NULL, RMAP_ERR_NULL_ARG);
    REFUSED(s.stride = 24, RMAP_ERR_INVALID);
    REFUSED(s.stride = 36, RMAP_ERR_UNALIGNED);
    REFUSED(s.base = (struct rmap_page *)(void *)((char *)d + 4), RMAP_ERR_UNALIGNED);
    REFUSED(s.count = 0, RMAP_ERR_RANGE);
    REFUSED(s.first = RMAP_VPN_MAX, RMAP_ERR_RANGE);
    REFUSED(s.first = RMAP_VPN_MAX - 3, RMAP_ERR_RANGE);
    REFUSED(s.count = UINT64_MAX, RMAP_ERR_RANGE);
    REFUSED((s.stride = (size_t)1 << 62, s.count = 8), RMAP_ERR_RANGE); /* bytes would wrap */
    REFUSED(s.first = WORLD_PFN - 3, RMAP_ERR_EXISTS);
    REFUSED(s.first = WORLD_PFN + 255, RMAP_ERR_EXISTS);
    REFUSED((s.first = WORLD_PFN - 1, s.count = 4), RMAP_ERR_EXISTS);
    REFUSED(w.alloc.fail_at = w.alloc.calls + 1, RMAP_ERR_NOMEM);
    CHECK_ERR(rmap_frames_add(NULL, &good), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_frames_add(w.r, NULL), RMAP_ERR_NULL_ARG);
    s = good;
    s.first = WORLD_PFN - 4; /* ends where the next one starts */
    CHECK_OK(rmap_frames_add(w.r, &s));
    CHECK_ERR(rmap_frames_remove(NULL, 0), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_frames_remove(w.r, 0), RMAP_ERR_ABSENT);
    CHECK_ERR(rmap_frames_remove(w.r, WORLD_PFN - 3), RMAP_ERR_ABSENT); /* not its first frame */
    struct rmap_page *page = new_page(&w);
    CHECK_ERR(rmap_frames_remove(w.r, WORLD_PFN), RMAP_ERR_BUSY);
    rmap_page_put(w.r, page);
    w.alloc.fail_at = w.alloc.calls + 1;
    CHECK_ERR(rmap_frames_remove(w.r, WORLD_PFN - 4), RMAP_ERR_NOMEM);
    CHECK(rmap_page_find(w.r, WORLD_PFN - 4));
    CHECK_OK(rmap_frames_remove(w.r, WORLD_PFN - 4));
    world_fini(&w);
}

/* ---- references and locks ---- */

struct odd_frames {
    rmap_pfn_t answer;
    unsigned freed;
};
static int odd_alloc(void *ctx, rmap_pfn_t near, rmap_pfn_t *out)
{
    struct odd_frames *f = ctx;
    if (near == 77) return RMAP_ERR_SYSTEM;
    *out = f->answer;
    return 0;
}
static void odd_free(void *ctx, rmap_pfn_t pfn) { ((struct odd_frames *)ctx)->freed += pfn == 3; }
static void odd_copy(void *ctx, rmap_pfn_t dst, rmap_pfn_t src) { (void)ctx, (void)dst, (void)src; }

/* H3: a frame hook that lies. Frames 0-3. */
RMAP_TEST(page, alloc_refuses_unknown_frames_and_frames_in_use_and_passes_errors_on)
{
    static struct rmap_page d[4];
    memset(d, 0, sizeof d);
    struct odd_frames f = {.answer = 4};
    struct rmap_frame_ops ops = {sizeof ops, odd_alloc, odd_free, odd_copy, NULL, NULL};
    struct rmap *r;
    struct rmap_page *page = NULL, *other;
    CHECK_OK(rmap_create(&(struct rmap_options){.struct_size = sizeof(struct rmap_options), .frames = &ops, .frames_ctx = &f}, &r));
    CHECK_OK(rmap_frames_add(r, &(struct rmap_frame_section){d, sizeof *d, 0, 4}));
    CHECK_ERR(rmap_page_alloc(NULL, 0, &page), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_page_alloc(r, 0, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_page_alloc(r, 77, &page), RMAP_ERR_SYSTEM);
    CHECK_ERR(rmap_page_alloc(r, 0, &page), RMAP_ERR_UNKNOWN_PAGE);
    CHECK(!page);
    f.answer = 3;
    CHECK_OK(rmap_page_alloc(r, 0, &page));
    CHECK(page == &d[3]);
    CHECK_ERR(rmap_page_alloc(r, 0, &other), RMAP_ERR_UNKNOWN_PAGE);
    CHECK_EQ(page->refcount, 1);
    rmap_page_get(page);
    CHECK(rmap_page_try_get(page));
    CHECK_EQ(page->refcount, 3);
    rmap_page_put(r, page);
    rmap_page_put(r, page);
    CHECK_EQ(f.freed, 0);
    rmap_page_put(r, page);
    CHECK_EQ(f.freed, 1);
    CHECK(!rmap_page_try_get(page));
    CHECK_EQ(page->refcount, 0);
    /* a poisoned frame does not come back */
    CHECK_OK(rmap_page_alloc(r, 0, &page));
    rmap_page_set_flags(page, RMAP_PAGE_POISON);
    rmap_page_put(r, page);
    CHECK_EQ(f.freed, 1);
    CHECK_EQ(rmap_page_flags(page), RMAP_PAGE_POISON);
    CHECK_OK(rmap_destroy(r));
}

RMAP_TEST(page, the_page_lock_is_one_bit_and_try_never_waits)
{
    struct world w;
    world_init(&w, NULL);
    struct rmap_page *page = new_page(&w);
    rmap_page_lock(page);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_LOCKED);
    CHECK(!rmap_page_try_lock(page));
    rmap_page_unlock(w.r, page);
    CHECK(rmap_page_try_lock(page));
    rmap_page_unlock(w.r, page);
    CHECK_EQ(rmap_page_flags(page), 0);
    rmap_page_put(w.r, page);
    world_fini(&w);
}

/* E2. vpn 7, pinned by a device */
RMAP_TEST(page, a_pin_holds_a_reference_forbids_unmap_and_exclusiveness)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space(&w);
    world_write(s, 7, 1);
    struct rmap_page *page = world_page(s, 7);
    CHECK_ERR(rmap_page_pin(NULL, page), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_page_pin(w.r, NULL), RMAP_ERR_NULL_ARG);
    CHECK_OK(rmap_page_pin(w.r, page));
    CHECK_EQ(rmap_page_pins(page), 1);
    CHECK_EQ(page->refcount, 2);
    struct rmap_result res = world_unmap(&w, page, 0);
    CHECK_EQ(res.outcome, RMAP_PARTIAL);
    CHECK_EQ(res.reason, RMAP_REASON_PINNED);
    CHECK_EQ(world_kind(s, 7), RMAP_PTE_PRESENT);
    rmap_page_lock(page);
    CHECK(!rmap_page_reuse(&s->m, page));
    rmap_page_unlock(w.r, page);
    atomic_fetch_add(&page->pins_order, ((1u << 24) - 2) << 8);
    CHECK_ERR(rmap_page_pin(w.r, page), RMAP_ERR_OVERFLOW);
    CHECK_EQ(rmap_page_pins(page), (1u << 24) - 1);
    CHECK_EQ(page->refcount, 2);
    atomic_fetch_sub(&page->pins_order, ((1u << 24) - 2) << 8);
    rmap_page_unpin(w.r, page);
    CHECK_EQ(rmap_page_pins(page), 0);
    CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE);
    world_check(&w);
    world_fini(&w);
}

/* ---- counts ---- */

/* H1, H2, D5 */
RMAP_TEST(page, map_new_is_for_new_ordinary_pages_inside_the_space)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space(&w), *dead = world_space_blank(&w);
    struct rmap_page *page = new_page(&w), *special = new_page(&w);
    rmap_page_set_flags(special, RMAP_PAGE_SPECIAL);
    CHECK_ERR(rmap_page_map_new(NULL, page, 1), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_page_map_new(&s->m, NULL, 1), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_page_map_new(&dead->m, page, 1), RMAP_ERR_DEAD);
    CHECK_ERR(rmap_page_map_new(&s->m, page, s->mmu.pages), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_page_map_new(&s->m, page, RMAP_VPN_NONE), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_page_map_new(&s->m, special, 1), RMAP_ERR_INVALID);
    CHECK(!rmap_page_is_anon(special));
    CHECK_EQ(page->refcount, 1);
    CHECK_EQ(rmap_page_mapcount(page), 0);
    CHECK_EQ(s->m.mapped, 0);
    CHECK_OK(rmap_page_map_new(&s->m, page, s->mmu.pages - 1));
    CHECK_ERR(rmap_page_map_new(&s->m, page, 1), RMAP_ERR_INVALID); /* has an owner */
    CHECK_EQ(rmap_page_mapcount(page), 1);
    CHECK_EQ(page->refcount, 2);
    CHECK_EQ(s->m.mapped, 1);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_DIRTY);
    struct rmap_gather g;
    rmap_gather_init(&g, w.r);
    rmap_page_unmap(&g, &s->m, page);
    rmap_page_unmap(&g, &s->m, special); /* never counted */
    rmap_page_unmap(&g, &s->m, NULL);
    CHECK_EQ(s->m.mapped, 0);
    CHECK_EQ(rmap_page_mapcount(page), 1); /* INV-6: the gather holds it */
    rmap_gather_finish(&g);
    CHECK_EQ(rmap_page_mapcount(page), 0);
    CHECK_EQ(page->refcount, 1);
    rmap_page_put(w.r, page);
    rmap_page_put(w.r, special);
    world_space_free(dead);
    world_fini(&w);
}

/* A9: 255, 65,535 and 2^24 are nothing special, the maximum is an error and stays what it is */
RMAP_TEST(page, A9_counts_pass_every_small_width_and_saturate_without_wrapping)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space(&w);
    world_write(s, 7, 1);
    struct rmap_page *page = world_page(s, 7), *three[3] = {page, NULL, page};
    static const uint32_t widths[] = {1, 255, 256, 65535, 65536, (1u << 24) - 1, 1u << 24, 1u << 30};
    for (unsigned i = 0; i < sizeof widths / sizeof *widths; i++) {
        for (uint32_t stable = 0;; stable = RMAP_MAPCOUNT_STABLE) {
            set_mapcount(page, widths[i] | stable);
            CHECK_OK(rmap_page_dup(&s->m, three, 3));
            CHECK_EQ(rmap_page_mapcount(page), widths[i] + 2);
            CHECK_EQ(page->mapcount & RMAP_MAPCOUNT_STABLE, stable);
            struct rmap_gather g;
            rmap_gather_init(&g, w.r);
            rmap_page_unmap(&g, &s->m, page);
            rmap_page_unmap(&g, &s->m, page);
            rmap_gather_finish(&g);
            CHECK_EQ(page->mapcount, widths[i]); /* and STABLE went with the count */
            if (stable) break;
        }
    }
    for (uint32_t stable = 0;; stable = RMAP_MAPCOUNT_STABLE) {
        uint64_t mapped = s->m.mapped;
        set_mapcount(page, RMAP_MAPCOUNT_MAX | stable);
        CHECK_ERR(rmap_page_dup(&s->m, &page, 1), RMAP_ERR_OVERFLOW);
        CHECK_EQ(page->mapcount, RMAP_MAPCOUNT_MAX | stable);
        set_mapcount(page, (RMAP_MAPCOUNT_MAX - 1) | stable);
        CHECK_ERR(rmap_page_dup(&s->m, three, 3), RMAP_ERR_OVERFLOW); /* the second of two: nothing is counted */
        CHECK_EQ(page->mapcount, (RMAP_MAPCOUNT_MAX - 1) | stable);
        CHECK_EQ(s->m.mapped, mapped);
        struct world_space *c = NULL;
        set_mapcount(page, RMAP_MAPCOUNT_MAX | stable);
        CHECK_ERR(world_fork_try(s, &c), RMAP_ERR_OVERFLOW);
        CHECK_EQ(page->mapcount, RMAP_MAPCOUNT_MAX | stable);
        CHECK_EQ(rmap_group_members(&s->m), 1);
        if (stable) break;
    }
    set_mapcount(page, 1);
    CHECK_ERR(rmap_page_dup(NULL, three, 3), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_page_dup(&s->m, NULL, 1), RMAP_ERR_NULL_ARG);
    CHECK_OK(rmap_page_dup(&s->m, NULL, 0));
    world_check(&w);
    world_fini(&w);
}

/* D5: zero page at 3, 4, 5 of two spaces */
RMAP_TEST(page, D5_special_frames_are_never_anonymous_and_never_counted)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    for (rmap_vpn_t v = 3; v < 6; v++) world_map_special(p, v);
    struct world_space *c = world_fork(p);
    CHECK_EQ(world_kind(c, 4), RMAP_PTE_PRESENT);
    CHECK_EQ(world_read(c, 4), 0);
    CHECK(!rmap_page_is_anon(w.special));
    CHECK_EQ(rmap_page_mapcount(w.special), 0);
    CHECK_EQ(p->m.mapped + c->m.mapped, 0);
    world_write(c, 4, 9); /* a copy: an ordinary page */
    CHECK_EQ(world_read(p, 4), 0);
    CHECK_EQ(c->m.mapped, 1);
    CHECK_EQ(world_mappers(&w, world_page(c, 4)), 2);
    world_move(p, 3, 100, 3);
    CHECK_EQ(world_read(p, 101), 0);
    struct rmap_zapped z;
    CHECK_OK(rmap_zap(&p->m, 100, 3, &z));
    CHECK_EQ(z.others, 3);
    CHECK_EQ(z.mappings, 0);
    CHECK_EQ(w.special->refcount, 1);
    world_check(&w);
    world_fini(&w);
}

/* ---- reuse, model rule 10: exclusive <=> mapcount + swap entries = 1, no pins ---- */

/* vpn 7 of P, C, D */
RMAP_TEST(page, E4_reuse_only_by_the_last_user_and_it_comes_home)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct rmap_page *page = world_page(p, 7);
    CHECK(!rmap_page_reuse(NULL, page));
    CHECK(!rmap_page_reuse(&p->m, NULL));
    struct world_space *c = world_fork(p);
    rmap_owner_t inherited = rmap_page_owner(page);
    CHECK_NE(inherited, rmap_member_home(&p->m));
    rmap_page_lock(page);
    CHECK(!rmap_page_reuse(&c->m, page)); /* two mappings */
    rmap_page_unlock(w.r, page);
    CHECK_EQ(rmap_page_owner(page), inherited);
    world_zap(p, 7, 1);
    uint64_t frames = w.frames_used;
    world_write(c, 7, 2);
    CHECK(world_page(c, 7) == page);
    CHECK_EQ(w.frames_used, frames);
    CHECK_EQ(rmap_page_owner(page), rmap_member_home(&c->m));
    world_check(&w);
    world_fini(&w);
}

/* vpn 7: present in P, a swap entry of the same slot in C */
RMAP_TEST(page, E3_swap_entries_of_the_slot_count_as_users)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct rmap_page *page = world_page(p, 7);
    struct world_space *c = world_fork(p);
    rmap_page_get(page);
    CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE);
    CHECK_EQ(world_read(p, 7), 1);
    CHECK(world_page(p, 7) == page);
    CHECK_EQ(rmap_page_mapcount(page), 1);
    world_write(p, 7, 2); /* B6: mapcount 1, but C would lose its content */
    CHECK(world_page(p, 7) != page);
    CHECK_EQ(world_read(c, 7), 1);
    CHECK(world_page(c, 7) == page);
    world_write(c, 7, 3); /* nobody else: in place, and the slot is given up */
    CHECK(world_page(c, 7) == page);
    CHECK_EQ(page->swap, 0);
    struct rmap_swap_stats st;
    CHECK_OK(rmap_swap_get_stats(w.swap, &st));
    CHECK_EQ(st.slots_used, 0);
    CHECK_EQ(world_read(p, 7), 2);
    rmap_page_put(w.r, page);
    world_check(&w);
    world_fini(&w);
}

/* C9, model rule 11. vpn 7 in P, C, D; all on swap; then in by C, P, D */
RMAP_TEST(page, C9_first_swap_in_comes_home_later_ones_widen_to_the_slots_owner)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct world_space *c = world_fork(p), *d = world_fork(c);
    struct rmap_page *page = world_page(p, 7);
    rmap_page_get(page);
    CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE);
    struct rmap_slot_home home;
    CHECK_OK(rmap_swap_get_ops()->get_home(w.swap, page->swap, &home));
    world_read(c, 7);
    CHECK_EQ(rmap_page_owner(page), rmap_member_home(&c->m));
    CHECK_EQ(page->refcount, 3); /* ours, the cache's, the mappings' */
    world_check(&w);
    world_read(p, 7);
    CHECK_EQ(rmap_page_owner(page), home.owner);
    CHECK_EQ(page->refcount, 3);
    world_check(&w);
    world_read(d, 7);
    CHECK_EQ(world_mappers(&w, page), 7);
    CHECK_EQ(rmap_page_index(page), 7);
    CHECK_EQ(p->m.swapped + c->m.swapped + d->m.swapped, 0);
    rmap_page_put(w.r, page);
    world_check(&w);
    world_fini(&w);
}

RMAP_TEST(page, map_swapin_refuses_what_is_not_cached_under_that_entry)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space(&w), *dead = world_space_blank(&w);
    world_write(s, 7, 1);
    world_write(s, 8, 2);
    struct rmap_page *page = world_page(s, 7), *other = world_page(s, 8);
    rmap_page_get(page);
    world_unmap(&w, page, 0);
    rmap_swp_t entry = page->swap;
    rmap_page_lock(page);
    CHECK_ERR(rmap_page_map_swapin(NULL, page, entry), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_page_map_swapin(&s->m, NULL, entry), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_page_map_swapin(&dead->m, page, entry), RMAP_ERR_DEAD);
    CHECK_ERR(rmap_page_map_swapin(&s->m, page, entry + 1), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_page_map_swapin(&s->m, other, entry), RMAP_ERR_INVALID);
    set_mapcount(page, RMAP_MAPCOUNT_MAX);
    rmap_owner_t owner = rmap_page_owner(page);
    CHECK_ERR(rmap_page_map_swapin(&s->m, page, entry), RMAP_ERR_OVERFLOW);
    CHECK_EQ(page->mapcount, RMAP_MAPCOUNT_MAX);
    CHECK_EQ(rmap_page_owner(page), owner);
    set_mapcount(page, 0);
    rmap_page_unlock(w.r, page);
    CHECK_EQ(page->refcount, 2);
    rmap_page_put(w.r, page);
    CHECK_EQ(world_read(s, 7), 1);
    world_space_free(dead);
    world_check(&w);
    world_fini(&w);
}

/* vpn 7: the last mapping goes while somebody holds the page lock; the slot has no entry */
RMAP_TEST(page, an_orphan_leaves_the_cache_when_its_lock_is_dropped)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space(&w);
    world_write(s, 7, 1);
    struct rmap_page *page = world_page(s, 7);
    cached_slot(&w, page);
    rmap_page_get(page);
    rmap_page_lock(page);
    world_zap(s, 7, 1);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_ORPHAN);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE);
    rmap_page_unlock(w.r, page);
    CHECK(!(rmap_page_flags(page) & (RMAP_PAGE_ORPHAN | RMAP_PAGE_SWAPCACHE)));
    CHECK_EQ(page->refcount, 1);
    rmap_page_put(w.r, page);
    CHECK_EQ(w.frames_used, 0);
    world_write(s, 8, 1); /* and with the lock free it goes at once */
    cached_slot(&w, world_page(s, 8));
    world_zap(s, 8, 1);
    CHECK_EQ(w.frames_used, 0);
    world_check(&w);
    world_fini(&w);
}
