/* SPDX-License-Identifier: MIT */
/**
 * @file unit/interleave.h  One act of a space, stopped at each of its steps; there the acts of others happen, in all orders.
 *
 *     main:  WRITE by S   ●─ look ─●─ lock run ─●─ decide ─●─ copy ─●─ flush ─●─ count ─●
 *     task:  ZAP by S, READ by X …     at one of the ●, or before, or after
 *
 * Points (●): before a run is found and after it is unlocked, around each flush and each call of the swap map, after a fault's
 * look, and the yield points of debug builds. What can happen there is found out by looking: the page's lock is free, the
 * space's run is not held, the group lock can be had, no fork, move or exit of that space is under way. So the locks of the
 * library decide, and the test plays what they allow. See choices.h. In scene->nested an act's own points count, too.
 *
 * The world: S, X forked from S, Y forked from X; all map vpn 0, which says 1, and have it in their TLBs.
 */
#ifndef RMAP_TESTS_UNIT_INTERLEAVE_H
#define RMAP_TESTS_UNIT_INTERLEAVE_H

#include "support/world.h"
#include "support/choices.h"

#include <core/core.h>
#include <stdlib.h>
#include <swap/swap_internal.h>

enum { S, X, Y, FIRST_SPACES, SPACES = 8 };
enum act_kind { NOTHING, READ, WRITE, ZAP, UNMAP, EVICT, AGE, PROTECT, MOVE, FORK, EXIT, PIN, UNPIN };
struct act {
    enum act_kind kind;
    unsigned who; /* walks and pins: of the page that this space has */
};
enum start { PRESENT, CACHED, DEVICE, S_READ_BACK }; /* CACHED: swap entries, page in memory; S_READ_BACK: but not S */

struct scene;
struct script {
    unsigned spaces;
    enum start start;
    struct act main, task[2][3];
    bool nested;                      /* an act of a task is stopped at its points, too */
    bool track;                       /* moves record what is shared instead of copying it */
    void (*prepare)(struct scene *x); /* at the start, before anybody is watched. NULL: nothing */
    uint32_t slot_max;                /* the slot's count overflows there; 0: no limit */
};

struct scene {
    struct world w;
    const struct script *script;
    struct world_space *s[SPACES];
    unsigned spaces;
    rmap_vpn_t at[SPACES];                 /* where the space's page is */
    uint64_t value[SPACES], other[SPACES]; /* what it says; either, if two acts of one space met */
    unsigned changes[SPACES];
    uint64_t history[SPACES][8]; /* what it said after each change */
    bool excl[SPACES];
    unsigned shared[SPACES]; /* acts under way: fork, move, exit; others */
    bool running[2];         /* tasks in the middle of an act */
    unsigned next[2], depth, limit, held; /* held: runs of acts that are stopped */
    uint64_t version, points;
    struct rmap_page *pinned;
    bool was_pinned;
    int (*find)(void *, rmap_vpn_t, rmap_vpn_t, struct rmap_mmu_run *);
    void (*unlock)(void *, struct rmap_mmu_run *);
    struct rmap_swap_ops swap;
};
static struct scene *scene;

/* ---- what is possible now ---- */

static bool group_is_free(const struct world_space *s, bool exclusive)
{
    pthread_rwlock_t *lock = &s->m.open_tag->group->lock;
    int err = exclusive ? pthread_rwlock_trywrlock(lock) : pthread_rwlock_tryrdlock(lock);
    if (!err) pthread_rwlock_unlock(lock);
    return !err;
}

static bool act_possible(const struct scene *x, struct act a)
{
    struct world_space *s = x->s[a.who];
    if (a.kind == NOTHING || !s || x->excl[a.who]) return false;
    struct rmap_page *page = world_page_or_cached(s, x->at[a.who]);
    const bool page_free = !page || !(rmap_page_flags(page) & RMAP_PAGE_LOCKED);
    switch (a.kind) {
    case READ:
        return s->runs == 0 && (page_free || world_page(s, x->at[a.who]));
    case WRITE:
        return s->runs == 0 && page_free;
    case ZAP:
        return s->runs == 0;
    case PIN:
        return page && page_free;
    case UNPIN:
        return true;
    case FORK:
        return !x->shared[a.who] && s->runs == 0 && x->w.runs + x->held == 0 && group_is_free(s, true) && x->spaces < SPACES;
    case MOVE:
        return !x->shared[a.who] && s->runs == 0 && page_free && group_is_free(s, true);
    case EXIT:
        return !x->shared[a.who] && s->runs == 0 && group_is_free(s, true);
    default: /* walks; those of an unmapped page look into no space */
        return (x->w.runs + x->held == 0 || (page && !rmap_page_mapcount(page))) && page_free && group_is_free(s, false);
    }
}

/* ---- acts ---- */

/* What somebody else does meanwhile makes a fault look again. */
static bool again(int err, unsigned *round)
{
    return (err == RMAP_ERR_BUSY || err == RMAP_ERR_EXISTS || err == RMAP_ERR_ABSENT) && ++*round < 50;
}

static void act_walk(struct scene *x, struct act a)
{
    struct rmap_page *page = world_page_or_cached(x->s[a.who], x->at[a.who]);
    if (!page) return;
    rmap_page_get(page);
    if (a.kind == UNMAP && rmap_page_mapcount(page)) world_unmap(&x->w, page, 0);
    if (a.kind == EVICT) world_swap_out(&x->w, page);
    if (a.kind == AGE) world_referenced(&x->w, page);
    if (a.kind == PROTECT) world_protect(&x->w, page);
    rmap_page_put(x->w.r, page);
}

static void act_pin(struct scene *x, struct act a)
{
    struct rmap_page *page = a.kind == PIN ? world_page(x->s[a.who], x->at[a.who]) : NULL;
    if (page && !x->pinned) {
        CHECK_OK(rmap_page_pin(x->w.r, page));
        x->pinned = page;
        x->was_pinned = true;
    } else if (a.kind == UNPIN && x->pinned) {
        rmap_page_unpin(x->w.r, x->pinned);
        x->pinned = NULL;
    }
}

static void act_read(const struct scene *x, unsigned who)
{
    const uint64_t value = x->value[who], other = x->other[who];
    const unsigned changes = x->changes[who];
    uint64_t got;
    unsigned round = 0;
    int err;
    while (again(err = world_load(x->s[who], x->at[who], &got), &round)) {
    }
    CHECK_OK(err);
    bool fits = got == value || got == other || got == x->value[who] || got == x->other[who];
    for (unsigned i = changes; i < x->changes[who]; i++) fits |= got == x->history[who][i];
    CHECK(fits);
}

static void act_fork(struct scene *x, unsigned who)
{
    struct world_space *kid = NULL;
    int err = world_fork_try(x->s[who], &kid);
    if (err == RMAP_ERR_PINNED || (err == RMAP_ERR_OVERFLOW && x->script->slot_max)) return;
    CHECK_OK(err);
    x->value[x->spaces] = x->value[who];
    x->other[x->spaces] = x->other[who];
    x->at[x->spaces] = x->at[who];
    x->s[x->spaces++] = kid;
}

static void act_body(struct scene *x, struct act a, uint64_t version)
{
    struct world_space *s = x->s[a.who];
    unsigned round = 0;
    int err;
    switch (a.kind) {
    case READ:
        act_read(x, a.who);
        break;
    case WRITE:
        while (again(err = world_store(s, x->at[a.who], version), &round)) {
        }
        CHECK_OK(err);
        break;
    case ZAP:
        world_zap(s, x->at[a.who], 1);
        break;
    case MOVE:
        err = rmap_move(&s->m, x->at[a.who], x->at[a.who] + 1, 1, NULL);
        if (err != RMAP_ERR_BUSY || !x->was_pinned) CHECK_OK(err); /* not while it is shared and pinned */
        if (!err) x->at[a.who]++;
        break;
    case FORK:
        act_fork(x, a.who);
        break;
    case EXIT:
        world_exit(s);
        x->s[a.who] = NULL;
        break;
    case PIN:
    case UNPIN:
        act_pin(x, a);
        break;
    default:
        act_walk(x, a);
    }
}

static void act_run(struct scene *x, struct act a)
{
    const bool excl = a.kind == FORK || a.kind == MOVE || a.kind == EXIT, writes = a.kind == WRITE || a.kind == ZAP;
    const bool walk = a.kind >= UNMAP && a.kind <= PROTECT;
    const uint64_t version = a.kind == WRITE ? ++x->version : 0;
    const unsigned changes = x->changes[a.who], runs = x->w.runs;
    x->w.runs = 0; /* another thread: what is held is not its */
    x->held += runs;
    x->depth++;
    if (excl)
        x->excl[a.who] = true;
    else if (!walk)
        x->shared[a.who]++;
    if (writes) x->other[a.who] = version; /* whoever reads in the middle sees either */
    act_body(x, a, version);
    if (excl)
        x->excl[a.who] = false;
    else if (!walk)
        x->shared[a.who]--;
    x->depth--;
    x->w.runs = runs;
    x->held -= runs;
    if (!writes) return;
    x->other[a.who] = x->changes[a.who] == changes ? version : x->value[a.who];
    x->value[a.who] = version;
    x->history[a.who][x->changes[a.who]++] = version;
}

static void task_run(struct scene *x, unsigned i)
{
    x->running[i] = true;
    act_run(x, x->script->task[i][x->next[i]++]);
    x->running[i] = false;
}

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
        task_run(x, task[c]);
    }
}

static int point_find(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    point();
    return scene->find(mmu, vpn, end, run);
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
    x->w.ops.run_find = point_find;
    x->w.ops.run_unlock = point_unlock;
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
    world_init(&x->w, &(struct world_options){.frames = 24, .slots = 16});
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

/* A test: at least so many schedules. */
#define SCRIPT(suite, name, least, ...)                                                                                \
    RMAP_TEST(suite, name)                                                                                             \
    {                                                                                                                  \
        static const struct script sc = {__VA_ARGS__};                                                                 \
        unsigned n = script_run(&sc);                                                                                  \
        if (getenv("VERBOSE")) fprintf(stderr, "%s: %u schedules\n", #name, n);                                        \
        CHECK_LE(least, n);                                                                                            \
    }

#endif
