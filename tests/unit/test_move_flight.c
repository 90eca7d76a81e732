/* SPDX-License-Identifier: MIT */
/** @file unit/test_move_flight.c  Moves in the middle: order of steps (B15), locked pages (B3), failure (B7). */
#include "support/other_thread.h"
#include "support/world.h"
#include "unit/moved.h"

#include <pthread.h>
#include <sched.h>

static struct {
    struct world_space *s;
    struct rmap_page *page;
    unsigned calls, wrong;
} flight;
static void look_at_flight(void *ctx, const struct rmap_flush_range *ranges, size_t n)
{
    world_tlb_flush(ctx, ranges, n);
    flight.calls++;
    flight.wrong += world_entry(flight.s, 7) != 0 || world_entry(flight.s, 600) != 0;
    flight.wrong += rmap_page_try_lock(flight.page); /* B3: an evictor finds it BUSY, never unmapped */
    flight.wrong += rmap_page_mapcount(flight.page) < 1;
}

/* B3, B15. own page, and shared page: at the flush the entry has left 7 and is not at 600 yet */
RMAP_TEST(move_flight, B15_the_flush_comes_before_the_destination_and_the_page_is_locked_meanwhile)
{
    EACH_POLICY(policy)
    {
        for (unsigned shared = 0; shared < 2; shared++) {
            struct world w;
            world_init(&w, &(struct world_options){.policy = policy});
            struct world_space *p = world_space(&w);
            world_write(p, 7, 1);
            if (shared) world_fork(p);
            flight.s = p;
            flight.page = world_page(p, 7);
            flight.calls = flight.wrong = 0;
            world_read(p, 7);
            w.ops.flush = look_at_flight;
            CHECK_CARRIED(&w, world_move(p, 7, 600, 1), !shared, shared, 0, 0);
            w.ops.flush = world_tlb_flush;
            CHECK_EQ(flight.calls, 1);
            CHECK_EQ(flight.wrong, 0);
            CHECK(!(rmap_page_flags(flight.page) & RMAP_PAGE_LOCKED));
            world_check(&w);
            world_fini(&w);
        }
    }
}

/* Somebody holds the lock of one page (or of the cached page of a swap entry); when the pages before it have landed, he looks
 * for all mappings of his page, and only then unlocks. */
struct holder {
    struct world *w;
    struct world_space *s;
    struct rmap_page *page;
    rmap_vpn_t landed;
    unsigned hits, visits;
    enum rmap_outcome outcome;
    rmap_pte_t at_source;
};
static void *hold_and_look(void *arg)
{
    struct holder *h = arg;
    struct rmap_result res = {0};
    while (!world_entry(h->s, h->landed)) sched_yield();
    h->at_source = world_entry(h->s, 8);
    rmap_referenced(h->w->r, &h->page, 1, RMAP_KEEP_ACCESSED, &res);
    h->hits = res.hits;
    h->visits = res.visits;
    h->outcome = res.outcome;
    rmap_page_unlock(h->w->r, h->page);
    return NULL;
}

/* B3. 7, 8, 9 to 600-602; 8 is locked by another thread */
RMAP_TEST(move_flight, B3_a_move_waits_for_a_page_lock_with_nothing_in_its_hands)
{
    EACH_POLICY(policy)
    {
        for (unsigned on_swap = 0; on_swap < 2; on_swap++) {
            struct world w;
            world_init(&w, &(struct world_options){.caps = RMAP_MMU_NO_TLB, .policy = policy});
            struct world_space *p = world_space(&w);
            for (rmap_vpn_t v = 7; v < 10; v++) world_write(p, v, v);
            struct holder h = {.w = &w, .s = p, .page = world_page(p, 8), .landed = 600};
            if (on_swap) world_unmap(&w, h.page, 0);
            pthread_t thread;
            rmap_page_get(h.page);
            AS_ANOTHER_THREAD(rmap_page_lock(h.page));
            CHECK_EQ(pthread_create(&thread, NULL, hold_and_look, &h), 0);
            CHECK_CARRIED(&w, world_move(p, 7, 600, 3), 3 - on_swap, 0, on_swap, 0);
            pthread_join(thread, NULL);
            rmap_page_put(w.r, h.page);
            CHECK_NE(h.at_source, 0);
            CHECK_EQ(h.outcome, RMAP_DONE);
            CHECK_EQ(h.hits, !on_swap);
            for (rmap_vpn_t v = 7; v < 10; v++) CHECK_EQ(world_read(p, 593 + v), v);
            world_check(&w);
            world_fini(&w);
        }
    }
}

/* P: 10 own, 11 shared, 12 own on swap, 13 shared on swap, 14 shared, 600 own (another table), 601 shared and moved on swap */
static struct world_space *mixed(struct world *w)
{
    struct world_space *p = world_space(w);
    static const rmap_vpn_t shared[] = {11, 13, 14, 601, 50};
    for (unsigned i = 0; i < 5; i++) world_write(p, shared[i], shared[i]);
    world_fork(p);
    world_write(p, 10, 10);
    world_write(p, 12, 12);
    world_write(p, 600, 600);
    CHECK(world_swap_out(w, world_page(p, 12)));
    CHECK(world_swap_out(w, world_page(p, 13)));
    CHECK(world_swap_out(w, world_page(p, 50)));
    world_zap(p, 601, 1);
    world_move(p, 50, 601, 1);
    return p;
}
static void check_mixed(struct world *w, struct world_space *p, rmap_vpn_t by)
{
    static const rmap_vpn_t at[] = {10, 11, 12, 13, 14, 600, 601};
    static const uint64_t value[] = {10, 11, 12, 13, 14, 600, 50};
    world_check(w);
    CHECK_EQ(p->m.mapped, 4);
    CHECK_EQ(p->m.swapped, 3);
    for (unsigned i = 0; i < 7; i++) {
        CHECK_NE(world_entry(p, at[i] + by), 0);
        CHECK_EQ(world_entry(p, at[i] + 2000 - by), 0);
    }
    if (by)
        CHECK_EQ(p->m.moved, 2);
    else
        CHECK_EQ(p->m.moved, 1);
    for (unsigned i = 0; i < 7; i++) CHECK_EQ(world_read(p, at[i] + by), value[i]);
    static const rmap_vpn_t shared[] = {11, 13, 14, 601, 50};
    for (unsigned i = 0; i < 5; i++) CHECK_EQ(world_read(w->spaces[1], shared[i]), shared[i]);
    CHECK_EQ(p->m.moved, 0);
    world_check(w);
}

/* B7: the n-th frame, or the n-th table, cannot be had */
RMAP_TEST(move_flight, B7_a_move_that_fails_half_way_puts_everything_back)
{
    EACH_POLICY(policy)
    {
        for (unsigned what = 0; what < 2; what++) {
            unsigned n = 1;
            for (int err = -1; err; n++) {
                struct world w;
                world_init(&w, &(struct world_options){.policy = policy});
                struct world_space *p = mixed(&w);
                struct rmap_stats before = world_stats(&w);
                struct rmap_moved out = {.copied = 9};
                if (what)
                    w.alloc.fail_at = w.alloc.calls + n;
                else
                    w.frame_fail_at = w.frame_calls + n;
                err = rmap_move(&p->m, 0, 2000, 1000, &out);
                w.alloc.fail_at = w.frame_fail_at = 0;
                if (err) {
                    CHECK_ERR(err, what ? RMAP_ERR_NOMEM : RMAP_ERR_NO_FRAME);
                    CHECK_EQ(out.reindexed + out.copied + out.swap_moved + out.swap_shared, 0);
                    CHECK_EQ(world_stats(&w).moved_reindexed, before.moved_reindexed);
                    CHECK_EQ(world_stats(&w).moved_copied, before.moved_copied);
                } else {
                    CHECK_CARRIED(&w, out, 2, 2, 1, 2);
                }
                check_mixed(&w, p, err ? 0 : 2000);
                world_fini(&w);
            }
            const bool track = policy == RMAP_MOVE_POLICY_TRACK;
            /* Two frames or none, or three tables and two of records; with the next one it succeeds. */
            CHECK_EQ(n - 1, what ? track ? 6 : 4 : track ? 1 : 3);
        }
    }
}

/* 10 is under way to another frame: its migration entry does not move, and what has moved before it comes back */
RMAP_TEST(move_flight, a_migration_entry_stops_the_move)
{
    EACH_POLICY(policy)
    {
        struct world w;
        world_init(&w, &(struct world_options){.policy = policy});
        struct world_space *p = mixed(&w);
        const struct rmap_pte_format *f = p->mmu.ops->format;
        rmap_pte_t e = world_entry(p, 600);
        world_set_entry(p, 600, rmap_pte_to_kind(f, e, RMAP_PTE_MIGRATION));
        CHECK_ERR(rmap_move(&p->m, 0, 2000, 1000, NULL), RMAP_ERR_BUSY);
        CHECK_EQ(world_kind(p, 600), RMAP_PTE_MIGRATION);
        world_set_entry(p, 600, e);
        check_mixed(&w, p, 0);
        world_fini(&w);
    }
}

/* 10 own and pinned: its frame stays, so it may be re-indexed. 14 shared and pinned: it may not be replaced by a copy. */
RMAP_TEST(move_flight, E2_a_pinned_page_that_is_shared_stops_the_move)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = mixed(&w);
    struct rmap_page *page = world_page(p, 14), *own = world_page(p, 10);
    CHECK_OK(rmap_page_pin(w.r, page));
    CHECK_OK(rmap_page_pin(w.r, own));
    w.copies = w.flush_calls = 0;
    CHECK_ERR(rmap_move(&p->m, 0, 2000, 1000, NULL), RMAP_ERR_BUSY);
    CHECK_EQ(w.copies + w.flush_calls, 0); /* before anything has moved */
    CHECK(world_page(p, 14) == page);
    CHECK(world_page(p, 10) == own);
    rmap_page_unpin(w.r, page);
    rmap_page_unpin(w.r, own);
    check_mixed(&w, p, 0);
    world_fini(&w);
}

static struct rmap_page *pinned_late;

/* Somebody pins it when all that could be refused has been asked for, and a frame for the copy is. */
static void pin_late(struct world *w)
{
    struct rmap_page *page = pinned_late;
    pinned_late = NULL;
    if (page) AS_ANOTHER_THREAD(CHECK_OK(rmap_page_pin(w->r, page)));
}

/* 14, shared, is pinned while the move is under way: no copy replaces it, and what has moved before it goes back. */
RMAP_TEST(move_flight, E2_B7_a_shared_page_that_is_pinned_meanwhile_stops_the_move)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = mixed(&w);
    struct rmap_page *page = world_page(p, 14);
    pinned_late = page;
    w.on_frame = pin_late;
    CHECK_ERR(rmap_move(&p->m, 0, 2000, 1000, NULL), RMAP_ERR_BUSY);
    w.on_frame = NULL;
    CHECK(pinned_late == NULL);
    CHECK(world_page(p, 14) == page);
    rmap_page_unpin(w.r, page);
    check_mixed(&w, p, 0);
    world_fini(&w);
}
