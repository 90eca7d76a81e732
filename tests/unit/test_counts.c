/* SPDX-License-Identifier: MIT */
/** @file unit/test_counts.c  The accounting of mappings: new ones, more of them (A9), from swap (C9), the last user (E3, E4). */
#include "support/world.h"

#include <stdatomic.h>

static void set_mapcount(struct rmap_page *page, uint32_t raw) { atomic_store(&page->mapcount, raw); }

/* H1, H2, D5 */
RMAP_TEST(counts, map_new_is_for_new_ordinary_pages_inside_the_space)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space(&w), *dead = world_space_blank(&w);
    struct rmap_page *page = world_new_page(&w), *special = world_new_page(&w);
    rmap_page_set_flags(special, RMAP_PAGE_SPECIAL);
    CHECK_ERR(rmap_page_map_new(NULL, page, 1), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_page_map_new(&s->m, NULL, 1), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_page_map_new(&dead->m, page, 1), RMAP_ERR_DEAD);
    CHECK_ERR(rmap_page_map_new(&s->m, page, s->mmu.pages), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_page_map_new(&s->m, page, RMAP_VPN_NONE), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_page_map_new(&s->m, special, 1), RMAP_ERR_INVALID);
    struct rmap_page stranger = {.refcount = 1}, *strangers[2] = {NULL, &stranger}, *unmapped[2] = {special, page};
    CHECK_ERR(rmap_page_map_new(&s->m, &stranger, 1), RMAP_ERR_UNKNOWN_PAGE);
    stranger.mapcount = 1;
    CHECK_ERR(rmap_page_dup(&s->m, strangers, 2), RMAP_ERR_UNKNOWN_PAGE);
    CHECK_ERR(rmap_page_dup(&s->m, unmapped, 2), RMAP_ERR_INVALID); /* dup copies an entry: there must be one */
    CHECK_EQ(stranger.mapcount, 1);
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
RMAP_TEST(counts, A9_counts_pass_every_small_width_and_saturate_without_wrapping)
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
RMAP_TEST(counts, D5_special_frames_are_never_anonymous_and_never_counted)
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
RMAP_TEST(counts, E4_reuse_only_by_the_last_user_and_it_comes_home)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct rmap_page *page = world_page(p, 7);
    CHECK(!rmap_page_reuse(NULL, page, rmap_page_index(page)));
    CHECK(!rmap_page_reuse(&p->m, NULL, 0));
    struct world_space *c = world_fork(p);
    rmap_owner_t inherited = rmap_page_owner(page);
    CHECK_NE(inherited, rmap_member_home(&p->m));
    rmap_page_lock(page);
    CHECK(!rmap_page_reuse(&c->m, page, rmap_page_index(page))); /* two mappings */
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
RMAP_TEST(counts, E3_swap_entries_of_the_slot_count_as_users)
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
RMAP_TEST(counts, C9_first_swap_in_comes_home_later_ones_widen_to_the_slots_owner)
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

RMAP_TEST(counts, map_swapin_refuses_what_is_not_cached_under_that_entry)
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
