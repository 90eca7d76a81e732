/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_fork_plain.c  Fork's short way for plain entries (present, read-only, an ordinary page) does what the long one
 * does, entry by entry, and leaves to it what is not plain; and so with what zap counts.
 */
#include "support/prng.h"
#include "support/world.h"

#include <core/count.h>
#include <pthread.h>
#include <stdlib.h>

#define MUST_OK(call) ((call) ? abort() : (void)0) /* in threads, where a CHECK may not fail */

enum kind { NONE, FRESH, READ_ONLY, LOCKED, HIDDEN, SPECIAL, ON_SWAP, CACHED, KINDS };

/* A page of the kind at vpn. */
static void put(struct world_space *s, rmap_vpn_t vpn, enum kind kind)
{
    struct world *w = s->w;
    if (kind == NONE) return;
    if (kind == SPECIAL) {
        world_map_special(s, vpn);
        return;
    }
    world_write(s, vpn, vpn);
    struct rmap_page *page = world_page(s, vpn);
    if (kind == HIDDEN) CHECK_OK(rmap_protect(&s->m, vpn, 1, RMAP_PROTECT_NO_ACCESS));
    if (kind == READ_ONLY) CHECK_OK(rmap_protect(&s->m, vpn, 1, RMAP_PROTECT_NO_WRITE));
    if (kind == LOCKED) CHECK_OK(rmap_protect(&s->m, vpn, 1, RMAP_PROTECT_LOCK));
    if (kind == ON_SWAP) CHECK(world_swap_out(w, page));
    if (kind == CACHED) CHECK_EQ(world_unmap(w, page, 0).outcome, RMAP_DONE);
}

/* What of two worlds, one with slots and one without, can be compared. */
static void check_same(struct world_space *a, struct world_space *b, rmap_vpn_t pages)
{
    for (rmap_vpn_t v = 0; v < pages; v++) {
        if (world_entry(a, v) != world_entry(b, v))
            TEST_FAIL("page %u: %" PRIx64 " by the short way, %" PRIx64 " by the long one", (unsigned)v, world_entry(a, v),
                      world_entry(b, v));
        struct rmap_page *pa = world_page(a, v), *pb = world_page(b, v);
        CHECK_EQ(!pa, !pb);
        if (pa) CHECK_EQ(rmap_page_mapcount(pa), rmap_page_mapcount(pb));
    }
    CHECK_EQ(a->m.mapped, b->m.mapped);
    CHECK_EQ(a->m.swapped, b->m.swapped);
}

/* 600 pages in two runs; parent, a first child, a second one (for which all is read-only), and one of the first child's */
RMAP_TEST(fork_plain, both_ways_copy_the_same)
{
    enum { PAGES = 600 };
    for (unsigned round = 0; round < 20; round++) {
        struct world w[2];
        struct world_space *s[2][4];
        for (unsigned long_way = 0; long_way < 2; long_way++) {
            struct prng p;
            prng_init(&p, round);
            world_init(&w[long_way], &(struct world_options){.frames = 2048, .slots = 1024, .no_slots = long_way});
            struct world_space **x = s[long_way];
            x[0] = world_space(&w[long_way]);
            for (rmap_vpn_t v = 0; v < PAGES; v++)
                if (v < 530 || v > 570) put(x[0], v, (enum kind)prng_below(&p, KINDS));
            x[1] = world_fork(x[0]);
            for (unsigned n = 0; n < 100; n++) {
                const rmap_vpn_t v = prng_below(&p, PAGES);
                const enum rmap_pte_kind kind = world_kind(x[0], v);
                if (kind == RMAP_PTE_PRESENT || kind == RMAP_PTE_SWAP) world_write(x[0], v, v + 1000); /* writable again */
            }
            x[2] = world_fork(x[0]);
            x[3] = world_fork(x[1]);
            world_check(&w[long_way]);
        }
        for (unsigned i = 0; i < 4; i++) check_same(s[0][i], s[1][i], PAGES);
        CHECK_EQ(world_stats(&w[0]).fork_entries, world_stats(&w[1]).fork_entries);
        world_fini(&w[0]);
        world_fini(&w[1]);
    }
}

/* Pages 0 … 9, read-only since a first fork; 4 is pinned, so that the child gets a copy; 607 lies in another section */
RMAP_TEST(fork_plain, what_is_pinned_or_lies_elsewhere_goes_the_long_way)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c;
    static struct rmap_page other[2];
    memset(other, 0, sizeof other);
    CHECK_OK(rmap_frames_add(w.r, &(struct rmap_frame_section){other, sizeof *other, WORLD_PFN + 1000, 2})); /* behind the main one */
    for (rmap_vpn_t v = 0; v < 10; v++) world_write(p, v, v + 1);
    struct world_space *first = world_fork(p);
    world_zap(first, 4, 1);
    struct rmap_page *four = world_page(p, 4);
    CHECK(!world_attr(p, 4, RMAP_ATTR_WRITE));
    CHECK_OK(rmap_page_pin(w.r, four));
    other[0].refcount = 1;
    CHECK_OK(rmap_page_map_new(&p->m, &other[0], 607));
    world_set_entry(p, 607, rmap_pte_make(p->mmu.ops->format, WORLD_PFN + 1000, 0));
    CHECK_OK(world_fork_try(p, &c));
    CHECK(world_page(c, 4) && world_page(c, 4) != four);
    CHECK(world_page(c, 607) == &other[0]);
    CHECK_EQ(rmap_page_mapcount(&other[0]), 2);
    for (rmap_vpn_t v = 0; v < 10; v++) CHECK_EQ(world_read(c, v), v + 1);
    rmap_page_unpin(w.r, four);
    world_check(&w);
    world_zap(c, 607, 1);
    world_zap(p, 607, 1);
    CHECK_EQ(rmap_page_mapcount(&other[0]), 0);
    rmap_owner_put(rmap_page_owner(&other[0])); /* as its last reference would */
    other[0].refcount = 0;
    CHECK_OK(rmap_frames_remove(w.r, WORLD_PFN + 1000));
    world_fini(&w);
}

/* Pages 5, 6, 7, read-only since a first fork. 6's count is near the maximum, and at it: OVERFLOW, and nothing of it is counted */
RMAP_TEST(fork_plain, a_count_reaches_the_maximum_and_does_not_pass_it)
{
    static const uint32_t counts[] = {2, RMAP_MAPCOUNT_MAX - RMAP__COUNT_SLACK - 1, RMAP_MAPCOUNT_MAX - RMAP__COUNT_SLACK,
                                      RMAP_MAPCOUNT_MAX - RMAP__COUNT_SLACK + 1, RMAP_MAPCOUNT_MAX - 1, RMAP_MAPCOUNT_MAX};
    for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (uint32_t stable = 0;; stable = RMAP_MAPCOUNT_STABLE) {
            struct world w;
            world_init(&w, NULL);
            struct world_space *p = world_space(&w), *c = NULL;
            for (rmap_vpn_t v = 5; v < 8; v++) world_write(p, v, v);
            struct world_space *first = world_fork(p);
            struct rmap_page *page = world_page(p, 6);
            page->mapcount = counts[i] | stable;
            const bool full = counts[i] == RMAP_MAPCOUNT_MAX;
            const int err = world_fork_try(p, &c);
            CHECK_ERR(err, full ? RMAP_ERR_OVERFLOW : 0);
            CHECK_EQ(rmap_page_mapcount(page), counts[i] + !full);
            CHECK_EQ(page->mapcount & RMAP_MAPCOUNT_STABLE, stable);
            CHECK_EQ(rmap_page_mapcount(world_page(p, 5)), full ? 2 : 3);
            CHECK_EQ(rmap_page_mapcount(world_page(p, 7)), full ? 2 : 3);
            CHECK_EQ(rmap_group_members(&p->m), full ? 2 : 3);
            CHECK(first);
            page->mapcount = full ? 2 : 3;
            world_check(&w);
            world_fini(&w);
            if (stable) break;
        }
    }
}

#ifdef RMAP_DEBUG /* the fork yields in debug builds only */

/* While P forks, and has looked at X's flags but not yet at its count: other threads. */
static struct {
    struct world *w;
    struct world_space *q, *locked;
    struct rmap_page *page;
    unsigned looks;
} between;

static void *evicts_from_all_but_p(void *unused)
{
    (void)unused;
    rmap_page_lock(between.page);
    MUST_OK(rmap_swap_cache_add(between.w->swap, between.page));
    struct rmap_result res;
    MUST_OK(rmap_unmap(between.w->r, &between.page, 1, 0, &res)); /* takes Q's entry, stops at the locked one */
    rmap_page_unlock(between.w->r, between.page);
    MUST_OK(rmap_zap(&between.locked->m, 0, 1, NULL));
    return NULL;
}

static void *swaps_in(void *unused)
{
    (void)unused;
    uint64_t value = 0;
    MUST_OK(world_load(between.q, 0, &value));
    return NULL;
}

static void at_count(void *ctx, enum rmap__yield_point at)
{
    (void)ctx;
    if (at != RMAP__AT_FORK_COUNT || between.looks == 2) return;
    pthread_t thread;
    const unsigned runs = between.w->runs; /* the fork's: other threads may take others */
    between.w->runs = 0;
    MUST_OK(pthread_create(&thread, NULL, between.looks++ ? swaps_in : evicts_from_all_but_p, NULL));
    pthread_join(thread, NULL);
    between.w->runs = runs;
}

/* Q ── LOCKED, P: all map page X at 0, P is forked. Its fork has seen X neither locked nor cached; then X is cached, and taken from
 * Q; LOCKED, at which that stopped, drops it; P's is the only mapping, and Q swaps in as soon as the count is looked at. A fork
 * that does not look at the flags again after the count stores 2 where 3 map it. */
RMAP_TEST(fork_plain, INV_2_a_page_that_is_cached_between_the_looks_is_counted_the_long_way)
{
    static struct world w;
    world_init(&w, NULL);
    struct world_space *q = world_space(&w);
    world_write(q, 0, 7);
    struct world_space *locked = world_fork(q), *p = world_fork(q);
    CHECK_OK(rmap_protect(&locked->m, 0, 1, RMAP_PROTECT_LOCK));
    between.w = &w;
    between.q = q;
    between.locked = locked;
    between.page = world_page(p, 0);
    between.looks = 0;
    w.r->yield = at_count;
    struct world_space *child = world_fork(p);
    w.r->yield = NULL;
    CHECK(between.looks >= 1);
    if (between.looks == 1) swaps_in(NULL); /* there was no second look: the long way */
    CHECK_EQ(rmap_page_mapcount(between.page), 3);
    CHECK(world_page(q, 0) == between.page && world_page(p, 0) == between.page && world_page(child, 0) == between.page);
    world_check(&w);
    world_fini(&w);
}

#endif

/* Ten pages of a space that caches nothing: what is moved, looked at for a snapshot, freed lazily is counted then and there; an entry
 * that is not present has no flush to be spared */
RMAP_TEST(fork_plain, every_verb_of_a_range_counts_the_flushes_that_are_not_due)
{
    struct world w;
    world_init(&w, &(struct world_options){.caps = RMAP_MMU_NO_TLB});
    struct world_space *p = world_space(&w);
    for (rmap_vpn_t v = 0; v < 10; v++) world_write(p, v, 1);
    uint64_t before = world_stats(&w).flushes_elided;
    world_move(p, 0, 100, 10);
    CHECK_EQ(world_stats(&w).flushes_elided - before, 10);
    before += 10;
    CHECK_OK(rmap_snapshot(&p->m, 100, 10, NULL, NULL));
    CHECK_EQ(world_stats(&w).flushes_elided - before, 10);
    before += 10;
    CHECK_OK(rmap_free_lazily(&p->m, 100, 10, NULL));
    CHECK_EQ(world_stats(&w).flushes_elided - before, 10);
    CHECK_OK(rmap_protect(&p->m, 100, 10, RMAP_PROTECT_NO_ACCESS));
    before = world_stats(&w).flushes_elided;
    world_zap(p, 100, 10);
    CHECK_EQ(world_stats(&w).flushes_elided, before);
    world_check(&w);
    world_fini(&w);
}

/* The same for a walk that lowers no count: three pages of such a space, whose MMU would have "accessed" flushed, grow old. */
RMAP_TEST(fork_plain, a_walk_counts_the_flushes_that_are_not_due)
{
    struct world w;
    world_init(&w, &(struct world_options){.caps = RMAP_MMU_NO_TLB | RMAP_MMU_ACCESSED_NEEDS_FLUSH});
    struct world_space *p = world_space(&w);
    struct rmap_page *pages[3];
    struct rmap_result results[3];
    for (rmap_vpn_t v = 0; v < 3; v++) {
        world_write(p, v, 1);
        pages[v] = world_page(p, v);
        rmap_page_get(pages[v]);
        CHECK(rmap_page_try_lock(pages[v]));
    }
    const uint64_t before = world_stats(&w).flushes_elided;
    CHECK_OK(rmap_referenced(w.r, pages, 3, 0, results));
    CHECK_EQ(world_stats(&w).flushes_elided - before, 3);
    for (unsigned i = 0; i < 3; i++) {
        CHECK(results[i].young);
        rmap_page_unlock(w.r, pages[i]);
        rmap_page_put(w.r, pages[i]);
    }
    world_check(&w);
    world_fini(&w);
}

/* 1500 pages, more than a gather holds, of a space that never caches anything and of one that nobody runs on: each present entry
 * is one flush that was not needed, and swap entries are none */
RMAP_TEST(fork_plain, flushes_that_are_never_due_are_counted_all_the_same)
{
    for (unsigned idle = 0; idle < 2; idle++) {
        struct world w;
        world_init(&w, &(struct world_options){.frames = 2048, .caps = idle ? 0 : RMAP_MMU_NO_TLB});
        struct world_space *p = world_space(&w);
        for (rmap_vpn_t v = 0; v < 1500; v++) world_write(p, v, 1);
        CHECK_EQ(world_unmap(&w, world_page(p, 9), 0).outcome, RMAP_DONE);
        if (idle) world_idle(p);
        const uint64_t before = world_stats(&w).flushes_elided, flushed = w.flush_pages;
        world_zap(p, 0, 1500);
        CHECK_EQ(world_stats(&w).flushes_elided - before, 1499);
        CHECK_EQ(w.flush_pages, flushed);
        world_check(&w);
        world_fini(&w);
    }
}
