/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_owner_gone.c  The owner is gone, and its page is locked, looked for, cached, evicted: its node goes all the same, and
 * what is left goes with the page (A3, A12); a page that is found by its frame and is another's by then (A4); a page in flight (B3).
 */
#include "support/other_thread.h"
#include "support/world.h"

#include <core/core.h>

static void check_tree(struct world *w, uint64_t members, uint64_t nodes, uint64_t epochs, uint64_t tags)
{
    struct rmap_stats st = world_stats(w);
    CHECK_EQ(st.members, members);
    CHECK_EQ(st.nodes, nodes);
    CHECK_EQ(st.epochs, epochs);
    CHECK_EQ(st.tags, tags);
}

/* P: page 7, locked by somebody while P exits. Nodes and epochs go at once; the tag with the page, at the next exit. */
RMAP_TEST(owner_gone, A3_a_page_that_is_locked_does_not_keep_the_node)
{
    for (unsigned child = 0; child < 2; child++) {
        struct world w;
        world_init(&w, NULL);
        struct world_space *other = world_space(&w), *p = world_space(&w);
        world_write(p, 7, 1);
        struct rmap_page *page = world_page(p, 7);
        struct world_space *c = child ? world_fork(p) : NULL;
        rmap_page_get(page);
        rmap_page_lock(page);
        world_exit(p);
        if (c) {
            check_tree(&w, 2, 2, 2, 3); /* C has P's place; the page names P's old epoch by its tag */
            world_exit(c);
        }
        check_tree(&w, 1, 1, 1, child ? 3 : 2); /* the page's tag, and the one that it was joined to */
        rmap_page_unlock(w.r, page);
        rmap_page_put(w.r, page);
        CHECK_EQ(w.frames_used, 0);
        world_exit(world_space(&w)); /* the next one that leaves takes dead tags along */
        check_tree(&w, 1, 1, 1, 1);
        CHECK_EQ(rmap_group_members(&other->m), 1);
        world_check(&w);
        world_fini(&w);
    }
}

/* a hot page: mapped and looked for all the time, its owner long gone; 200 generations of owners leave nothing */
RMAP_TEST(owner_gone, A3_a_hot_page_costs_one_tag_however_many_owners_went)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space(&w);
    world_write(s, 7, 1);
    struct rmap_page *page = world_page(s, 7);
    for (unsigned i = 0; i < 200; i++) {
        struct world_space *c = world_fork(s);
        world_read(c, 7);
        world_referenced(&w, page);
        world_exit(s);
        s = c;
        CHECK_EQ(world_mappers(&w, page), (uint64_t)1 << (s->number & 63));
        struct rmap_stats st = world_stats(&w);
        CHECK_EQ(st.nodes, 1);
        CHECK_LE(st.epochs, 2);
        CHECK_LE(st.tags, 4);
    }
    world_check(&w);
    world_fini(&w);
}

/* P, C map 7; a cursor on it is open while both exit, before and after its first mapping */
RMAP_TEST(owner_gone, A3_an_open_cursor_does_not_keep_the_node)
{
    for (unsigned steps = 0; steps < 3; steps++) {
        struct world w;
        world_init(&w, NULL);
        struct world_space *p = world_space(&w);
        world_write(p, 7, 1);
        struct rmap_page *page = world_page(p, 7);
        struct world_space *c = world_fork(p);
        struct rmap_cursor cursor;
        struct rmap_mapping at;
        rmap_page_get(page);
        rmap_page_lock(page);
        CHECK_OK(rmap_cursor_open(w.r, page, &cursor));
        for (unsigned i = 0; i < steps; i++) CHECK_EQ(rmap_cursor_next(&cursor, &at), 1);
        world_exit(p);
        world_exit(c);
        struct rmap_stats st = world_stats(&w);
        CHECK_EQ(st.nodes + st.epochs, 0);
        CHECK_EQ(rmap_cursor_next(&cursor, &at), 0);
        CHECK_EQ(cursor.result.outcome,
                 steps ? RMAP_INCOMPLETE : RMAP_DONE); /* hits of mappings that left prove nothing */
        rmap_cursor_close(&cursor);
        rmap_page_unlock(w.r, page);
        rmap_page_put(w.r, page);
        world_fini(&w); /* no memory is left */
    }
}

#ifdef RMAP_DEBUG
static struct {
    struct world_space *leaver[2];
    unsigned candidates, at;
    bool tried, locked_out;
} yield;
/* Under way at a candidate: whoever wants to leave waits for the group lock; what it can do is to drop its entries. */
static void drop_at_candidate(void *ctx, enum rmap__yield_point at)
{
    (void)ctx;
    if (at != RMAP__AT_CANDIDATE || yield.candidates++ != yield.at) return;
    pthread_rwlock_t *lock = &yield.leaver[0]->m.open_tag->group->lock;
    yield.tried = true;
    yield.locked_out = pthread_rwlock_trywrlock(lock) != 0;
    for (unsigned i = 0; i < 2; i++) world_zap(yield.leaver[i], 7, 1);
}
#endif

/* P: [C, D]; P and C drop 7 while it is walked, at each candidate, and leave right after */
RMAP_TEST(owner_gone, A3_A14_a_walk_that_is_under_way_holds_leavers_back_and_then_nothing)
{
#ifndef RMAP_DEBUG
    TEST_SKIP("yield points are in debug builds only");
#else
    for (yield.at = 0; yield.at < 3; yield.at++) {
        struct world w;
        world_init(&w, NULL);
        struct world_space *p = world_space(&w);
        world_write(p, 7, 1);
        struct rmap_page *page = world_page(p, 7);
        struct world_space *c = world_fork(p), *d = world_fork(p);
        yield.leaver[0] = p, yield.leaver[1] = c;
        yield.candidates = 0;
        yield.tried = yield.locked_out = false;
        w.r->yield = drop_at_candidate;
        struct rmap_result res = world_referenced(&w, page);
        w.r->yield = NULL;
        CHECK(yield.tried && yield.locked_out);
        if (yield.at) CHECK_EQ(res.outcome, RMAP_INCOMPLETE); /* what was hit has left: no claim */
        CHECK_EQ(res.tightened && res.outcome != RMAP_DONE, 0);
        world_exit(p);
        world_exit(c);
        CHECK_EQ(world_stats(&w).nodes, 1);
        CHECK_EQ(world_mappers(&w, page), (uint64_t)1 << d->number);
        world_check(&w);
        world_fini(&w);
    }
#endif
}

/* A4, CVE-2022-42703.  P's only mapping of a frame goes between a look-up by frame and its reference, or its lock; the frame is Q's
 * by then, in another group. Found, referenced, locked: what is looked at is what the page is now. */
RMAP_TEST(owner_gone, A4_a_page_that_is_found_by_its_frame_is_looked_at_again_under_its_lock)
{
    for (unsigned when = 0; when < 3; when++) {
        struct world w;
        uint64_t mappers;
        world_init(&w, &(struct world_options){.frames = 1});
        struct world_space *p = world_space(&w), *q = world_space(&w);
        world_write(p, 7, 1);
        rmap_pfn_t pfn = rmap_pte_pfn(p->mmu.ops->format, world_entry(p, 7));
        struct rmap_page *page = rmap_page_find(w.r, pfn);
        rmap_owner_t before = rmap_page_owner(page);
        if (when < 2) {
            world_zap(p, 7, 1); /* the last unmap: frame and owner go */
            CHECK(!rmap_page_try_get(page));
            CHECK_EQ(rmap_page_owner(page), 0);
        }
        if (when == 0) world_exit(p);
        if (when < 2) world_write(q, 9, 2); /* the same frame, another group and index */
        CHECK(rmap_page_try_get(page));
        if (when == 2) { /* a reference keeps the frame from being another's, not its mappings */
            world_zap(p, 7, 1);
            world_exit(p);
            CHECK_ERR(world_store(q, 9, 2), RMAP_ERR_NO_FRAME);
        }
        rmap_page_lock(page);
        CHECK_EQ(rmap_page_owner(page) == before, when == 2);
        CHECK_EQ(rmap_page_index(page), when == 2 ? 7 : 9);
        rmap_page_unlock(w.r, page);
        CHECK_EQ(world_each(&w, page, &mappers).outcome, RMAP_DONE);
        CHECK_EQ(mappers, when == 2 ? 0 : (uint64_t)1 << q->number);
        rmap_page_put(w.r, page);
        if (when == 2) world_write(q, 9, 2);
        CHECK_EQ(world_read(q, 9), 2);
        world_check(&w);
        world_fini(&w);
    }
}

/* A12.  P: 7 on swap, cached, its lock held by an evictor. P exits before the write, before the page leaves the cache, after; or only
 * the lock's holder lets go: ORPHAN, both orders. Nothing may be left. */
RMAP_TEST(owner_gone, A12_a_space_ends_while_an_evictor_holds_its_cached_page)
{
    for (unsigned when = 0; when < 4; when++) {
        struct world w;
        struct rmap_swap_stats st;
        int written = -1;
        world_init(&w, NULL);
        struct world_space *p = world_space(&w);
        world_write(p, 7, 1);
        struct rmap_page *page = world_page(p, 7);
        rmap_page_get(page);
        CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE);
        rmap_page_lock(page);
        if (when == 0) world_exit(p);
        if (when < 3) CHECK_OK(rmap_swap_write(w.swap, &page, 1, &written));
        if (when == 1) world_exit(p);
        if (when < 2) CHECK(rmap_page_flags(page) & RMAP_PAGE_ORPHAN); /* left to us */
        if (when < 3) CHECK_OK(rmap_swap_cache_del(w.swap, page));
        if (when == 2) world_exit(p);
        if (when == 3) world_exit(p); /* nothing was done to the page but its lock being held */
        CHECK_EQ(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE, when == 3 ? RMAP_PAGE_SWAPCACHE : 0);
        rmap_page_unlock(w.r, page);
        CHECK_EQ(rmap_page_flags(page) & (RMAP_PAGE_SWAPCACHE | RMAP_PAGE_ORPHAN), 0);
        CHECK_EQ(page->refcount, 1);
        rmap_page_put(w.r, page);
        CHECK_OK(rmap_swap_get_stats(w.swap, &st));
        CHECK_EQ(st.slots_used, 0);
        CHECK_EQ(w.frames_used, 0);
        CHECK_EQ(world_stats(&w).nodes, 0);
        world_fini(&w);
    }
}

#ifdef RMAP_DEBUG
static struct {
    struct world *w;
    struct rmap_page *flies, *stays;
    unsigned calls;
} flight;
static void look_in_flight(void)
{
    struct rmap_page *pages[2] = {flight.stays, flight.flies};
    struct rmap_result res[2];
    flight.calls++;
    CHECK(!rmap_page_try_lock(flight.flies)); /* a cursor needs the lock */
    CHECK_LE(1, rmap_page_mapcount(flight.flies));
    CHECK_OK(rmap_referenced(flight.w->r, pages, 2, RMAP_LOCK_PAGES | RMAP_KEEP_ACCESSED, res));
    CHECK_EQ(res[0].outcome, RMAP_DONE);
    CHECK_EQ(res[1].outcome, RMAP_INCOMPLETE);
    CHECK_EQ(res[1].reason, RMAP_REASON_BUSY);
    CHECK_OK(rmap_unmap(flight.w->r, pages, 2, RMAP_LOCK_PAGES, res)); /* no slots: nothing can go */
    CHECK_EQ(res[1].reason, RMAP_REASON_BUSY);
    CHECK_EQ(res[1].visits, 0);
}
static void walk_in_flight(void *ctx, enum rmap__yield_point at)
{
    (void)ctx;
    if (at == RMAP__AT_MOVE_FLIGHT) AS_ANOTHER_THREAD(look_in_flight());
}
#endif

/* P: 7 flies to 600, own or tracked, 300 stays. Every verb by try-lock: BUSY, never "unmapped" */
RMAP_TEST(owner_gone, B3_a_walk_in_flight_is_busy)
{
#ifndef RMAP_DEBUG
    TEST_SKIP("yield points are in debug builds only");
#else
    for (unsigned tracked = 0; tracked < 2; tracked++) {
        struct world w;
        world_init(&w, NULL);
        struct world_space *p = world_space(&w);
        if (tracked) CHECK_OK(rmap_member_set_policy(&p->m, RMAP_MOVE_POLICY_TRACK));
        world_write(p, 7, 1);
        world_write(p, 300, 3);
        if (tracked) world_fork(p);
        flight.w = &w;
        flight.flies = world_page(p, 7);
        flight.stays = world_page(p, 300);
        flight.calls = 0;
        w.r->yield = walk_in_flight;
        world_move(p, 7, 600, 1);
        w.r->yield = NULL;
        CHECK_LE(1, flight.calls);
        CHECK_EQ(world_mappers(&w, flight.flies), tracked ? 3 : 1);
        world_check(&w);
        world_fini(&w);
    }
#endif
}
