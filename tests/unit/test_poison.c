/* SPDX-License-Identifier: MIT */
/** @file unit/test_poison.c  poison: everybody is told, nobody reads the frame again or anything in its place, and it
 * is never handed out. */
#include "support/other_thread.h"
#include "support/world.h"

#define ATTR(a) (1u << RMAP_ATTR_##a)

static struct world w;

struct told {
    unsigned n, stop_at; /* stop_at: the call that says stop; 0: none */
    unsigned number[8];
    rmap_vpn_t vpn[8];
    rmap_pte_t entry[8];
};
static int tell(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t entry)
{
    struct told *t = ctx;
    t->number[t->n & 7] = ((struct world_space *)m->user)->number;
    t->vpn[t->n & 7] = vpn;
    t->entry[t->n & 7] = entry;
    return ++t->n == t->stop_at;
}

static struct rmap_result poison(struct rmap_page *page, struct told *t)
{
    struct rmap_result res;
    rmap_page_get(page);
    rmap_page_lock(page);
    CHECK_OK(rmap_poison(w.r, &page, 1, 0, t ? tell : NULL, t, &res));
    rmap_page_unlock(w.r, page);
    rmap_page_put(w.r, page);
    return res;
}

static void check_lost(struct world_space *s, rmap_vpn_t vpn)
{
    uint64_t value;
    CHECK_ERR(world_load(s, vpn, &value), RMAP_ERR_POISON);
    CHECK_ERR(world_store(s, vpn, 1), RMAP_ERR_POISON);
}

/* page 7 in P (written), C (locked) and D (no access), and pinned, in every format */
static void everybody(const struct rmap_radix_geometry *geometry, bool no_slots)
{
    world_init(&w, &(struct world_options){.geometry = geometry, .no_slots = no_slots});
    const struct rmap_pte_format *f = geometry->format;
    struct world_space *p = world_space(&w), *c, *d, *e;
    world_write(p, 7, 70);
    c = world_fork(p);
    d = world_fork(p);
    CHECK_EQ(world_read(c, 7), 70);
    CHECK_OK(rmap_protect(&c->m, 7, 1, RMAP_PROTECT_LOCK));
    CHECK_OK(rmap_protect(&d->m, 7, 1, RMAP_PROTECT_NO_ACCESS));
    struct rmap_page *page = world_page(p, 7);
    const rmap_pfn_t pfn = rmap_page_pfn(w.r, page);
    const rmap_pte_t before[3] = {world_entry(p, 7), world_entry(c, 7), world_entry(d, 7)};
    CHECK_OK(rmap_page_pin(w.r, page));
    struct told t = {.n = 0};
    struct rmap_result res = poison(page, &t);
    CHECK_EQ(res.outcome, RMAP_DONE);
    CHECK_EQ(res.hits, 3);
    CHECK_EQ(t.n, 3);
    struct world_space *const s[3] = {p, c, d};
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(t.number[i], s[i]->number);
        CHECK_EQ(t.vpn[i], 7);
        CHECK_EQ(t.entry[i], before[i]);
        CHECK_EQ(world_kind(s[i], 7), RMAP_PTE_POISON);
        CHECK_EQ(rmap_pte_pfn(f, world_entry(s[i], 7)), pfn);
        CHECK_EQ(s[i]->m.mapped, 0);
        CHECK(!world_tlb_find(s[i], 7));
        check_lost(s[i], 7);
    }
    CHECK(world_attr(c, 7, RMAP_ATTR_LOCKED));
    CHECK_EQ(rmap_page_mapcount(page), 0);
    CHECK_EQ(w.frames_lost, 0); /* the pin's reference */
    world_check(&w);
    rmap_page_unpin(w.r, page);
    CHECK_EQ(w.frames_lost, 1);
    CHECK_EQ(w.frames_used, 0);
    CHECK_EQ(rmap_page_flags(page), RMAP_PAGE_POISON);
    CHECK_EQ(world_stats(&w).poisoned, 1);
    e = world_fork(c); /* inherited, not counted */
    check_lost(e, 7);
    CHECK_EQ(world_move(c, 7, 70, 1).copied, 0); /* goes along */
    check_lost(c, 70);
    world_zap(c, 70, 1); /* and away */
    world_write(c, 70, 71);
    CHECK_EQ(world_read(c, 70), 71);
    CHECK(world_page(c, 70) != page);
    world_check(&w);
    world_fini(&w);
}
RMAP_TEST(poison, radix_x86_64)
{
    everybody(&rmap_radix_x86_64, false);
}
RMAP_TEST(poison, radix_sv39)
{
    everybody(&rmap_radix_sv39, false);
}
RMAP_TEST(poison, radix_sv48)
{
    everybody(&rmap_radix_sv48, false);
}
RMAP_TEST(poison, radix_aarch64_4k)
{
    everybody(&rmap_radix_aarch64_4k, false);
}
RMAP_TEST(poison, radix_aarch64_16k)
{
    everybody(&rmap_radix_aarch64_16k, false);
}
RMAP_TEST(poison, radix_aarch64_64k)
{
    everybody(&rmap_radix_aarch64_64k, false);
}
RMAP_TEST(poison, radix_soft)
{
    everybody(&rmap_radix_soft, false);
}
RMAP_TEST(poison, entries_behind_functions)
{
    everybody(&rmap_radix_soft, true);
}

/* All frames but the lost one are handed out, and the lost one is not */
RMAP_TEST(poison, a_lost_frame_is_never_handed_out)
{
    world_init(&w, &(struct world_options){.frames = 8});
    struct world_space *p = world_space(&w);
    world_write(p, 0, 1);
    struct rmap_page *page = world_page(p, 0);
    CHECK_EQ(poison(page, NULL).outcome, RMAP_DONE);
    for (rmap_vpn_t v = 1; v < 8; v++) {
        world_write(p, v, v);
        CHECK(world_page(p, v) != page);
    }
    CHECK_ERR(world_store(p, 8, 1), RMAP_ERR_NO_FRAME);
    world_check(&w);
    world_fini(&w);
    CHECK_EQ(w.frames_lost, 1);
}

/* page 7 in P, C, D; the second one told says stop: it keeps its mapping, nobody copies or reuses the page; then the
 * rest */
RMAP_TEST(poison, whoever_is_told_may_stop_it_and_it_goes_on_later)
{
    struct rmap_page *now;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c, *d;
    world_write(p, 7, 70);
    c = world_fork(p);
    d = world_fork(p);
    struct rmap_page *page = world_page(p, 7);
    struct told t = {.stop_at = 2};
    struct rmap_result res = poison(page, &t);
    CHECK_EQ(res.outcome, RMAP_PARTIAL);
    CHECK_EQ(res.reason, RMAP_REASON_STOPPED);
    CHECK_EQ(res.hits, 1);
    CHECK_EQ(world_kind(p, 7), RMAP_PTE_POISON);
    CHECK(world_page(c, 7) == page && world_page(d, 7) == page);
    CHECK_EQ(world_stats(&w).poisoned, 0);
    CHECK_ERR(world_store(c, 7, 1), RMAP_ERR_POISON);            /* no copy */
    CHECK_ERR(rmap_move(&c->m, 7, 9, 1, NULL), RMAP_ERR_POISON); /* nor here */
    CHECK(world_page(c, 7) == page);
    CHECK_EQ(world_migrate(&w, page, &now).reason, RMAP_REASON_POISON);
    rmap_page_lock(page);
    CHECK_ERR(rmap_swap_cache_add(w.swap, page), RMAP_ERR_POISON);
    rmap_page_unlock(w.r, page);
    struct rmap_freed freed;
    world_zap(d, 7, 1);
    CHECK_OK(rmap_free_lazily(&c->m, 7, 1, &freed)); /* C's alone by now, but nothing to keep */
    CHECK_EQ(freed.dropped.mappings, 1);
    CHECK_EQ(w.frames_lost, 1);
    world_check(&w);

    world_write(p, 8, 80); /* the last mapper may not write in place */
    page = world_page(p, 8);
    c = world_fork(p);
    world_exit(c);
    t = (struct told){.stop_at = 1};
    CHECK_EQ(poison(page, &t).reason, RMAP_REASON_STOPPED);
    CHECK_ERR(world_store(p, 8, 1), RMAP_ERR_POISON);
    rmap_page_lock(page);
    CHECK(!rmap_page_reuse(&p->m, page, 8));
    rmap_page_unlock(w.r, page);
    t = (struct told){.stop_at = 0};
    CHECK_EQ(poison(page, &t).outcome, RMAP_DONE);
    CHECK_EQ(t.n, 1);
    world_check(&w);
    world_fini(&w);
}

/* page 7 on swap in P and C, read back by P: clean. The copy is good: it leaves the cache, C gets its contents from
 * the device */
RMAP_TEST(poison, a_good_copy_on_swap_survives)
{
    for (unsigned unmap_first = 0; unmap_first < 2; unmap_first++) {
        world_init(&w, NULL);
        struct world_space *p = world_space(&w), *c;
        world_write(p, 7, 70);
        c = world_fork(p);
        CHECK(world_swap_out(&w, world_page(p, 7)));
        CHECK_EQ(world_read(p, 7), 70);
        struct rmap_page *page = world_page(p, 7);
        rmap_page_get(page);
        if (unmap_first) CHECK_EQ(world_unmap(&w, page, RMAP_IGNORE_LOCKED).outcome, RMAP_DONE);
        struct told t = {.n = 0};
        CHECK_EQ(poison(page, &t).outcome, RMAP_DONE);
        CHECK_EQ(t.n, !unmap_first);
        CHECK(!(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE));
        rmap_page_put(w.r, page);
        CHECK_EQ(w.frames_lost, 1);
        world_check(&w);
        CHECK_EQ(world_read(c, 7), 70);
        if (unmap_first)
            CHECK_EQ(world_read(p, 7), 70); /* nothing was lost at all */
        else
            check_lost(p, 7);
        world_check(&w);
        world_fini(&w);
    }
}

/* page 7 unmapped and dirty in the cache, its slot holding what an earlier owner wrote: P and C get POISON, not that */
RMAP_TEST(poison, what_was_not_written_to_swap_is_lost_and_nothing_takes_its_place)
{
    world_init(&w, &(struct world_options){.slots = 1});
    struct world_space *p = world_space(&w), *c;
    int written;
    world_write(p, 7, 60);
    CHECK(world_swap_out(&w, world_page(p, 7))); /* the only slot has contents from now on */
    world_zap(p, 7, 1);
    world_write(p, 7, 70);
    c = world_fork(p);
    struct rmap_page *page = world_page(p, 7);
    CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE);
    CHECK_EQ(poison(page, NULL).outcome, RMAP_DONE);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE);
    check_lost(p, 7);
    check_lost(c, 7);
    CHECK_EQ(w.device.reads, 0);
    rmap_page_lock(page);
    CHECK_OK(rmap_swap_write(w.swap, &page, 1, &written));
    CHECK_ERR(written, RMAP_ERR_POISON);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_DIRTY);
    CHECK_ERR(rmap_swap_cache_del(w.swap, page), RMAP_ERR_BUSY);
    CHECK_ERR(rmap_page_map_swapin(&p->m, page, page->swap), RMAP_ERR_POISON);
    rmap_page_unlock(w.r, page);
    CHECK_EQ(w.device.writes, 1);
    world_check(&w);
    world_zap(p, 7, 1);
    check_lost(c, 7);
    CHECK_EQ(w.frames_lost, 0);
    world_zap(c, 7, 1); /* the last one who could ask */
    CHECK_EQ(w.frames_lost, 1);
    struct rmap_swap_stats st;
    CHECK_OK(rmap_swap_get_stats(w.swap, &st));
    CHECK_EQ(st.slots_used, 0);
    CHECK_EQ(st.slots_bad, 0);
    world_write(c, 7, 71); /* the slot serves again */
    CHECK(world_swap_out(&w, world_page(c, 7)));
    CHECK_EQ(world_read(c, 7), 71);
    world_check(&w);
    world_fini(&w);
}

/* page 7 cached and mapped, dirty through an entry only: not a good copy, whatever the flag said before */
RMAP_TEST(poison, INV_7_a_dirty_entry_makes_the_copy_a_bad_one)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c;
    world_write(p, 7, 70);
    c = world_fork(p);
    CHECK(world_swap_out(&w, world_page(p, 7)));
    CHECK_EQ(world_read(p, 7), 70);
    struct rmap_page *page = world_page(p, 7);
    world_set_entry(p, 7, rmap_pte_set(p->mmu.ops->format, world_entry(p, 7), RMAP_ATTR_DIRTY, true));
    CHECK_EQ(poison(page, NULL).outcome, RMAP_DONE);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE);
    check_lost(c, 7);
    world_zap(c, 7, 1);
    CHECK_EQ(w.frames_lost, 1);
    world_check(&w);
    world_fini(&w);
}

/* A page that nobody knows, one that is under way, and the zero page */
RMAP_TEST(poison, pages_without_mappings_and_others_that_cannot_be_looked_for)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    struct rmap_page *fresh = world_new_page(&w);
    CHECK_EQ(poison(fresh, NULL).outcome, RMAP_DONE);
    CHECK(rmap_page_flags(fresh) & RMAP_PAGE_POISON);
    rmap_page_put(w.r, fresh);
    CHECK_EQ(w.frames_lost, 1);
    world_write(p, 7, 70);
    struct rmap_page *page = world_page(p, 7);
    struct rmap_result res;
    rmap_page_lock(page);
    CHECK_OK(rmap_migrate_begin(w.r, &page, 1, 0, &res));
    CHECK_OK(rmap_poison(w.r, &page, 1, 0, NULL, NULL, &res));
    CHECK_EQ(res.reason, RMAP_REASON_MIGRATING);
    CHECK(!(rmap_page_flags(page) & RMAP_PAGE_POISON));
    CHECK_OK(rmap_migrate_end(w.r, &page, NULL, 1, 0, &res));
    CHECK_ERR(rmap_poison(w.r, &page, 1, RMAP_IGNORE_LOCKED, NULL, NULL, &res), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_poison(w.r, &page, 1, 0, NULL, NULL, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_poison(NULL, &page, 1, 0, NULL, NULL, &res), RMAP_ERR_NULL_ARG);
    rmap_page_unlock(w.r, page);
    CHECK_EQ(world_read(p, 7), 70);
    world_map_special(p, 8);
    rmap_page_lock(w.special);
    CHECK_OK(rmap_poison(w.r, &w.special, 1, 0, NULL, NULL, &res));
    rmap_page_unlock(w.r, w.special);
    CHECK_EQ(res.outcome, RMAP_INCOMPLETE);
    world_zap(p, 8, 1);
    world_check(&w);
    world_fini(&w);
    CHECK_EQ(w.frames_lost, 2);
}

/* S12: page 7 in C, tracked to 100 in P: both are told, each of its own place. The good copy leaves the cache under the verb's own lock */
RMAP_TEST(poison, S12_tracked_places_are_told_and_the_verb_may_lock)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c;
    struct rmap_page *page, *busy;
    struct rmap_result res[2];
    CHECK_OK(rmap_member_set_policy(&p->m, RMAP_MOVE_POLICY_TRACK));
    world_write(p, 7, 70);
    world_write(p, 8, 80);
    c = world_fork(p);
    CHECK(world_swap_out(&w, world_page(c, 7)));
    CHECK_EQ(world_read(p, 7) + world_read(c, 7), 140);
    CHECK_EQ(world_move(p, 7, 100, 1).tracked, 1);
    CHECK(rmap_page_flags(world_page(p, 100)) & RMAP_PAGE_SWAPCACHE);
    page = world_page(p, 100);
    busy = world_page(c, 8);
    rmap_page_get(page);
    AS_ANOTHER_THREAD(rmap_page_lock(busy));
    struct told t = {.n = 0};
    CHECK_OK(rmap_poison(w.r, (struct rmap_page *[]){page, busy}, 2, RMAP_LOCK_PAGES, tell, &t, res));
    rmap_page_unlock(w.r, busy);
    CHECK_EQ(res[0].outcome, RMAP_DONE);
    CHECK_EQ(res[1].reason, RMAP_REASON_BUSY);
    CHECK(!(rmap_page_flags(busy) & RMAP_PAGE_POISON));
    CHECK_EQ(t.n, 2);
    CHECK_EQ(t.vpn[0] + t.vpn[1], 107);
    CHECK(!(rmap_page_flags(page) & (RMAP_PAGE_SWAPCACHE | RMAP_PAGE_LOCKED)));
    rmap_page_put(w.r, page);
    CHECK_EQ(w.frames_lost, 1);
    check_lost(p, 100);
    check_lost(c, 7);
    CHECK_EQ(world_read(c, 8), 80);
    world_check(&w);
    world_fini(&w);
}

/* Page 7's frame fails, and the frame allocator hands it out all the same: it is refused, and the next one is good. */
RMAP_TEST(poison, a_lost_frame_that_is_handed_out_again_is_refused)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 70);
    struct rmap_page *page = world_page(p, 7), *fresh = NULL;
    CHECK_EQ(poison(page, NULL).outcome, RMAP_DONE);
    CHECK_EQ(w.frames_lost, 1);
    w.free_frames[w.free_count++] = rmap_page_pfn(w.r, page);
    CHECK_ERR(rmap_page_alloc(w.r, RMAP_PFN_NONE, &fresh), RMAP_ERR_POISON);
    CHECK(fresh == NULL);
    w.frames_used--; /* it was none */
    w.frame[rmap_page_pfn(w.r, page) - WORLD_PFN].used = false;
    world_write(p, 8, 80);
    CHECK_EQ(world_read(p, 8), 80);
    world_check(&w);
    world_fini(&w);
}
