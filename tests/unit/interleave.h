/* SPDX-License-Identifier: MIT */
/**
 * @file unit/interleave.h  One act of a space, stopped at each of its steps; there the acts of others happen, in all orders.
 *
 *     main:  WRITE by S   ●─ look ─●─ lock run ─●─ decide ─●─ copy ─●─ flush ─●─ count ─●
 *     task:  ZAP by S, READ by X …     at one of the ●, or before, or after
 *
 * Points (●): before a run is found and after it is unlocked; after each look without the lock, before and after it is locked then;
 * around each flush and each call of the swap map, after a fault's look, and the yield points of debug builds. What can happen there is found out by looking: the page's lock is free, the
 * space's run is not held, the group lock can be had, no fork, move or exit of that space is under way. So the locks of the
 * library decide, and the test plays what they allow. See choices.h. In scene->nested an act's own points count, too.
 *
 * The world: S, X forked from S, Y forked from X; all map vpn 0, which says 1, and have it in their TLBs.
 */
#ifndef RMAP_TESTS_UNIT_INTERLEAVE_H
#define RMAP_TESTS_UNIT_INTERLEAVE_H

#include "support/choices.h"
#include "support/other_thread.h"
#include "unit/acts.h"

/* ---- points ---- */

static void point(void)
{
    struct scene *x = scene;
    if (!x || !x->depth || x->depth > x->limit || x->w.hardware) return;
    x->points++;
    for (;;) {
        unsigned n = 1, task[3] = {0};
        for (unsigned i = 0; i < 2; i++)
            if (!x->running[i] && act_possible(x, x->script->task[i][x->next[i]])) task[n++] = i;
        unsigned c = choose(n);
        if (!c) return;
        AS_ANOTHER_THREAD(task_run(x, task[c]));
    }
}

static int point_find(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    point();
    return scene->find(mmu, vpn, end, run);
}
/* One space after the other, so that what others do falls between the tables of the first and those of the next. */
static void point_peek(void *const *mmus, size_t n, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *runs)
{
    for (size_t i = 0; i < n; i++) {
        scene->peek(&mmus[i], 1, vpn, end, &runs[i]);
        point();
    }
}
static void point_lock(void *mmu, struct rmap_mmu_run *run)
{
    point();
    scene->lock(mmu, run);
    point();
}
static void point_unlock(void *mmu, struct rmap_mmu_run *run)
{
    scene->unlock(mmu, run);
    point();
}
static void point_flush(void *mmu, const struct rmap_flush_range *ranges, size_t n)
{
    point();
    world_tlb_flush(mmu, ranges, n);
    point();
}
static void point_look(struct world_space *s, rmap_vpn_t vpn)
{
    (void)s, (void)vpn;
    point();
}
#ifdef RMAP_DEBUG
static void point_yield(void *ctx, enum rmap__yield_point at)
{
    (void)ctx, (void)at;
    point();
}
#endif
static int point_dup(void *ctx, rmap_swp_t e, uint32_t n)
{
    int err = scene->swap.dup(ctx, e, n);
    point();
    return err;
}
static void point_put(void *ctx, rmap_swp_t e, uint32_t n)
{
    point();
    scene->swap.put(ctx, e, n);
    point();
}
static uint32_t point_count(void *ctx, rmap_swp_t e)
{
    point();
    uint32_t n = scene->swap.count(ctx, e);
    point();
    return n;
}
static int point_get_home(void *ctx, rmap_swp_t e, struct rmap_slot_home *home)
{
    int err = scene->swap.get_home(ctx, e, home);
    point();
    return err;
}
static void point_set_home(void *ctx, rmap_swp_t e, rmap_owner_t owner, rmap_vpn_t index, bool moved)
{
    point();
    scene->swap.set_home(ctx, e, owner, index, moved);
}
static void point_forget(void *ctx, struct rmap_page *page)
{
    point();
    scene->swap.forget(ctx, page);
    point();
}
static void point_device(struct faulty_device *f)
{
    f->during_read = f->during_write = point_device;
    point();
}

/* ---- one schedule, all schedules ---- */

static void scene_watch(struct scene *x)
{
    static struct rmap_swap_ops watched;
    x->find = x->w.ops.run_find;
    x->unlock = x->w.ops.run_unlock;
    x->peek = x->w.ops.run_peek;
    x->lock = x->w.ops.run_lock;
    x->w.ops.run_find = point_find;
    x->w.ops.run_unlock = point_unlock;
    x->w.ops.run_peek = point_peek;
    x->w.ops.run_lock = point_lock;
    if (x->w.ops.flush) x->w.ops.flush = point_flush;
    x->w.on_look = point_look;
    x->w.device.during_read = x->w.device.during_write = point_device;
    watched = x->swap = *x->w.r->swap;
    watched.dup = point_dup;
    watched.put = point_put;
    watched.count = point_count;
    watched.get_home = point_get_home;
    watched.set_home = point_set_home;
    watched.forget = point_forget;
    x->w.r->swap = &watched;
#ifdef RMAP_DEBUG
    x->w.r->yield = point_yield;
#endif
}

static void scene_open(struct scene *x, const struct script *sc)
{
    memset(x, 0, sizeof *x);
    x->script = sc;
    x->limit = sc->nested ? 2 : 1;
    world_init(&x->w, &(struct world_options){.frames = 24, .slots = sc->slots ? sc->slots : 16});
    for (x->spaces = 0; x->spaces < sc->spaces; x->spaces++) {
        unsigned i = x->spaces;
        x->s[i] = i ? world_fork(x->s[i - 1]) : world_space(&x->w);
        if (i == 0) world_write(x->s[0], 0, 1);
        if (sc->track) CHECK_OK(rmap_member_set_policy(&x->s[i]->m, RMAP_MOVE_POLICY_TRACK));
        x->value[i] = x->other[i] = x->version = 1;
    }
    for (unsigned i = 0; i < sc->spaces; i++) world_read(x->s[i], 0);
    if (sc->start == DEVICE)
        CHECK(world_swap_out(&x->w, world_page(x->s[S], 0)));
    else if (sc->start != PRESENT)
        CHECK_EQ(world_unmap(&x->w, world_page(x->s[S], 0), 0).outcome, RMAP_DONE);
    if (sc->start == S_READ_BACK) CHECK_EQ(world_read(x->s[S], 0), 1);
    if (sc->slot_max) rmap__swap_set_count_max(x->w.swap, sc->slot_max);
    if (sc->prepare) sc->prepare(x);
    scene_watch(x);
}

/* Every mapping is found, every value is there, and everybody can write without anybody else noticing. */
static void scene_close(struct scene *x)
{
    struct world *w = &x->w;
    if (x->pinned) rmap_page_unpin(w->r, x->pinned);
    world_check(w);
    for (unsigned i = 0; i < x->spaces; i++) {
        struct rmap_page *page = x->s[i] ? world_page(x->s[i], x->at[i]) : NULL;
        uint64_t have = 0;
        for (unsigned k = 0; page && k < x->spaces; k++)
            if (x->s[k] && world_page(x->s[k], x->at[k]) == page) have |= (uint64_t)1 << x->s[k]->number;
        if (page) CHECK_EQ(world_mappers(w, page), have);
    }
    for (unsigned i = 0; i < x->spaces; i++) {
        if (!x->s[i]) continue;
        uint64_t got = world_read(x->s[i], x->at[i]);
        CHECK(got == x->value[i] || got == x->other[i]);
        if (x->at[i]) CHECK_EQ(world_read(x->s[i], 0), 0);
    }
    world_check(w);
    for (unsigned i = 0; i < x->spaces; i++)
        if (x->s[i]) world_write(x->s[i], x->at[i], 100 + i);
    for (unsigned i = 0; i < x->spaces; i++)
        if (x->s[i]) CHECK_EQ(world_read(x->s[i], x->at[i]), 100 + i);
    world_check(w);
    world_fini(w);
}

static void script_play(const struct script *sc, uint64_t *points)
{
    struct scene x;
    scene_open(&x, sc);
    scene = &x;
    for (bool done = false;;) {
        unsigned n = 0, task[3] = {0};
        for (unsigned i = 0; i < 2; i++)
            if (act_possible(&x, sc->task[i][x.next[i]])) task[n++] = i;
        if (!done) task[n++] = 2;
        if (!n) break;
        unsigned i = task[choose(n)];
        if (i != 2) {
            x.depth = x.limit; /* nobody is stopped: a later act comes after it */
            task_run(&x, i);
            x.depth = 0;
            continue;
        }
        done = true;
        if (act_possible(&x, sc->main)) act_run(&x, sc->main);
    }
    scene = NULL;
    *points += x.points;
    x.w.ops.run_find = x.find;
    x.w.ops.run_unlock = x.unlock;
    x.w.ops.run_peek = x.peek;
    x.w.ops.run_lock = x.lock;
    x.w.r->swap = rmap_swap_get_ops();
    x.w.on_look = NULL;
    x.w.device.during_read = x.w.device.during_write = NULL;
    if (x.w.ops.flush) x.w.ops.flush = world_tlb_flush;
#ifdef RMAP_DEBUG
    x.w.r->yield = NULL;
#endif
    scene_close(&x);
}

/* All schedules. @return how many. */
static unsigned script_run(const struct script *sc)
{
    unsigned n = 0;
    uint64_t points = 0;
    memset(&schedule, 0, sizeof schedule);
    do {
        script_play(sc, &points);
        n++;
    } while (schedule_next());
    CHECK(points > 0);
    return n;
}

/* In release builds there are fewer points. */
#ifdef RMAP_DEBUG
#define SCHEDULES(least) (least)
#else
#define SCHEDULES(least) 2
#endif

/* A test: at least so many schedules. */
#define SCRIPT(suite, name, least, ...)                                                                                \
    RMAP_TEST(suite, name)                                                                                             \
    {                                                                                                                  \
        static const struct script sc = {__VA_ARGS__};                                                                 \
        unsigned n = script_run(&sc);                                                                                  \
        if (getenv("VERBOSE")) fprintf(stderr, "%s: %u schedules\n", #name, n);                                        \
        CHECK_LE(SCHEDULES(least), n);                                                                                 \
    }

#endif
