/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_exclusive.c  Exact exclusivity: a page is one space's alone when every other user has left *and been flushed* (INV-6,
 * E7), no swap entry of its slot is left (B6), and nobody has pinned it (E2).
 *
 * The world's TLBs keep stale translations until they are told to forget. Each way of leaving is stopped inside its flush.
 */
#include "support/world.h"

#include <core/core.h>

/* A and B share a page; B leaves. */
static struct {
    struct world *w;
    struct world_space *stays, *leaves;
    struct rmap_page *page;
    unsigned flushes, asked, exclusive, stale;
    bool write; /* who stays also writes at that moment */
    uint64_t seen_stale;
} leave;

/* As a fault of `stays` decides: page lock by try (its holder would make it wait), run lock, decision. */
static void ask(void)
{
    struct world_space *s = leave.stays;
    struct rmap_mmu_run run;
    const unsigned runs = s->w->runs;
    if (!rmap_page_try_lock(leave.page)) return;
    s->w->runs = 0; /* another thread's */
    leave.asked++;
    if (!s->mmu.ops->run_find(s->mmu.ctx, 0, 1, &run)) {
        leave.exclusive += rmap_page_reuse(&s->m, leave.page, 0);
        s->mmu.ops->run_unlock(s->mmu.ctx, &run);
    }
    rmap_page_unlock(s->w->r, leave.page);
    if (leave.write && world_page(s, 0) == leave.page) world_write(s, 0, 2);
    s->w->runs = runs;
}

static void ask_in_flush(void *ctx, const struct rmap_flush_range *ranges, size_t n)
{
    struct world_space *s = ctx;
    const struct world_cached *c = s == leave.leaves ? world_tlb_find(s, 0) : NULL;
    if (!c || rmap_page_find(s->w->r, c->pfn) != leave.page) {
        world_tlb_flush(ctx, ranges, n);
        return;
    }
    leave.flushes++;
    ask();
    memcpy(&leave.seen_stale, world_contents(s->w, c->pfn),
           sizeof leave.seen_stale); /* what its processor still reads */
    leave.stale += world_tlb_find(s, 0) != NULL;
    world_tlb_flush(ctx, ranges, n);
    ask();
}

static void by_zap(struct world_space *s)
{
    world_zap(s, 0, 1);
}
static void by_exit(struct world_space *s)
{
    world_exit(s);
}
static void by_write(struct world_space *s)
{
    world_write(s, 0, 7);
}
static void by_move(struct world_space *s)
{
    CHECK_EQ(world_move(s, 0, 600, 1).copied, 1);
}
static void by_unmap(struct world_space *s)
{
    CHECK_EQ(world_unmap(s->w, leave.page, 0).reason, RMAP_REASON_LOCKED); /* the other one's mapping */
    CHECK_EQ(world_kind(s, 0), RMAP_PTE_SWAP);
}

static const struct way {
    const char *name;
    void (*leave)(struct world_space *s);
    bool parent_leaves; /* else the child */
    bool entry_left;    /* on swap: it is a user still */
} ways[] = {
    {"zap", by_zap, false, false},
    {"zap of the parent", by_zap, true, false},
    {"exit", by_exit, false, false},
    {"exit of the parent", by_exit, true, false},
    {"copy on write", by_write, false, false},
    {"move", by_move, false, false},
    {"unmap to swap", by_unmap, true, true},
};

static void way_begin(struct world *w, const struct way *x, bool write)
{
    world_init(w, NULL);
    struct world_space *p = world_space(w);
    world_write(p, 0, 1);
    struct world_space *c = world_fork(p);
    CHECK_EQ(world_read(p, 0) + world_read(c, 0), 2); /* both have it in their TLBs */
    memset(&leave, 0, sizeof leave);
    leave.w = w;
    leave.leaves = x->parent_leaves ? p : c;
    leave.stays = x->parent_leaves ? c : p;
    leave.page = world_page(p, 0);
    leave.write = write;
    if (x->entry_left) CHECK_OK(rmap_protect(&leave.stays->m, 0, 1, RMAP_PROTECT_LOCK));
    rmap_page_get(leave.page);
    w->ops.flush = ask_in_flush;
    x->leave(leave.leaves);
    w->ops.flush = world_tlb_flush;
}

/* P, C share vpn 0; one leaves: asked before and after its TLB forgets, still inside the flush, and when it is done */
RMAP_TEST(exclusive, INV_6_E7_a_page_is_exclusive_after_the_flush_of_who_left_and_not_before)
{
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct world w;
        way_begin(&w, &ways[i], false);
        if (leave.flushes != 1 || leave.stale != 1)
            TEST_FAIL("%s: %u flushes, %u stale", ways[i].name, leave.flushes, leave.stale);
        if (leave.exclusive) TEST_FAIL("%s: exclusive inside the flush", ways[i].name);
        leave.asked = 0;
        ask();
        CHECK_EQ(leave.asked, 1);
        if (leave.exclusive == ways[i].entry_left)
            TEST_FAIL("%s: exclusive %u times when it had left", ways[i].name, leave.exclusive);
        if (ways[i].entry_left) {
            world_zap(leave.leaves, 0, 1);
            ask();
            CHECK_EQ(leave.exclusive, 1);
        }
        const uint64_t copies = w.frames_used;
        world_write(leave.stays, 0, 3); /* E4: in place */
        CHECK(world_page(leave.stays, 0) == leave.page);
        CHECK_EQ(w.frames_used, copies);
        rmap_page_put(w.r, leave.page);
        world_check(&w);
        world_fini(&w);
    }
}

/* the same, and who stays writes inside the flush: who leaves must not see it through its stale translation */
RMAP_TEST(exclusive, E7_a_write_inside_the_flush_is_not_seen_through_the_stale_translation)
{
    unsigned written = 0;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct world w;
        way_begin(&w, &ways[i], true);
        CHECK_EQ(leave.seen_stale, 1);
        if (leave.asked) {
            written++;
            CHECK_EQ(world_read(leave.stays, 0), 2);
            CHECK(world_page(leave.stays, 0) != leave.page);
        } else {
            CHECK_EQ(world_read(leave.stays, 0), 1); /* the page was locked all along: a write waits for that */
        }
        rmap_page_put(w.r, leave.page);
        world_check(&w);
        world_fini(&w);
    }
    CHECK_LE(4, written);
}

/* That the tests above can fail: C's count goes before its flush, and everything says so */
RMAP_TEST(exclusive, INV_6_a_count_that_is_lowered_before_the_flush_is_noticed)
{
    for (unsigned early = 0; early < 2; early++) {
        struct world w;
        struct rmap_gather counts, flushes;
        struct rmap_mmu_run run;
        world_init(&w, NULL);
        struct world_space *p = world_space(&w);
        world_write(p, 0, 1);
        struct world_space *c = world_fork(p);
        CHECK_EQ(world_read(p, 0) + world_read(c, 0), 2);
        memset(&leave, 0, sizeof leave);
        leave.w = &w, leave.leaves = c, leave.stays = p, leave.page = world_page(p, 0);
        rmap_gather_init(&counts, w.r);
        rmap_gather_init(&flushes, w.r);
        CHECK_OK(c->mmu.ops->run_find(c->mmu.ctx, 0, 1, &run));
        rmap_gather_flush(&flushes, &c->m, 0, rmap_run_exchange(&c->mmu, &run, 0, 0), RMAP_FLUSH_ALL);
        rmap_page_unmap(early ? &counts : &flushes, &c->m, leave.page);
        c->mmu.ops->run_unlock(c->mmu.ctx, &run);
        rmap_gather_finish(&counts);
        w.ops.flush = ask_in_flush;
        rmap_gather_finish(&flushes);
        w.ops.flush = world_tlb_flush;
        CHECK_EQ(leave.asked, 2);
        CHECK_EQ(leave.exclusive, early ? 2 : 0);
        CHECK_EQ(w.broken[0] != 0, early); /* the TLB has seen it, too */
        w.broken[0] = 0;
        world_check(&w);
        world_fini(&w);
    }
}

/* C6, B6.  P maps it, C and D have swap entries: they go by drop, exit and swap-in, in both orders; P writes after each */
RMAP_TEST(exclusive, B6_every_swap_entry_counts_and_every_way_of_going)
{
    enum { DROP, LEAVE, SWAP_IN, WRITES, WAYS };
    for (unsigned k = 0; k < WAYS * WAYS * 2; k++) {
        struct world w;
        world_init(&w, NULL);
        struct world_space *p = world_space(&w);
        world_write(p, 0, 1);
        struct world_space *s[2] = {world_fork(p), NULL};
        s[1] = world_fork(k % 2 ? p : s[0]);
        struct rmap_page *page = world_page(p, 0);
        rmap_page_get(page);
        CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE);
        CHECK_EQ(world_read(p, 0), 1);
        bool users = false; /* has anybody but P mapped it? */
        for (unsigned i = 0; i < 2; i++) {
            const unsigned way = k / 2 / (i ? WAYS : 1) % WAYS;
            rmap_page_lock(page);
            CHECK(!rmap_page_reuse(&p->m, page, 0));
            rmap_page_unlock(w.r, page);
            if (way == DROP) world_zap(s[i], 0, 1);
            if (way == LEAVE) world_exit(s[i]);
            if (way == SWAP_IN) users |= world_read(s[i], 0) == 1;
            if (way == WRITES) world_write(s[i], 0, 5);
        }
        rmap_page_lock(page);
        CHECK_EQ(rmap_page_reuse(&p->m, page, 0), !users);
        rmap_page_unlock(w.r, page);
        if (!users) CHECK_EQ(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE, 0); /* the slot is given up */
        rmap_page_put(w.r, page);
        world_write(p, 0, 9);
        world_check(&w);
        world_fini(&w);
    }
}

static unsigned pins;
static void pin_it(struct world_space *s, rmap_vpn_t vpn)
{
    if (pins++ == 0) CHECK_OK(rmap_page_pin(s->w->r, world_page(s, vpn)));
}

/* E2.  P is alone again; the page is pinned (by whoever had seen it shared): before the write, between its look and its decision,
 * after it. With a pin P writes into a copy, and what the pin sees does not change (CVE-2020-29374). */
RMAP_TEST(exclusive, E2_a_pinned_page_is_not_taken_over)
{
    for (unsigned when = 0; when < 3; when++) {
        struct world w;
        world_init(&w, NULL);
        struct world_space *p = world_space(&w);
        world_write(p, 0, 1);
        world_exit(world_fork(p));
        struct rmap_page *page = world_page(p, 0);
        pins = 0;
        if (when == 0) CHECK_OK(rmap_page_pin(w.r, page));
        if (when == 1) w.on_look = pin_it;
        world_write(p, 0, 2);
        w.on_look = NULL;
        if (when == 2) CHECK_OK(rmap_page_pin(w.r, page));
        uint64_t seen;
        memcpy(&seen, world_contents(&w, rmap_page_pfn(w.r, page)), sizeof seen);
        CHECK_EQ(seen, when == 2 ? 2 : 1);
        CHECK_EQ(world_page(p, 0) == page, when == 2);
        CHECK_EQ(world_read(p, 0), 2);
        rmap_page_unpin(w.r, page);
        world_check(&w);
        world_fini(&w);
    }
}
