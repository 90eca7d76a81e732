/* SPDX-License-Identifier: MIT */
/**
 * @file unit/schedules.h  All orders in which the steps of two tasks can fall between each other and into one walk.
 *
 *     task a:  begin ─ copy ─ commit        task b:  zap        walk:  ● visit ● visit ● visit ●
 *
 * A choice is made wherever more than one thing could happen next: which task, or the walk. Inside
 * a walk that is before its first and after every look into a space, when it holds no run lock: after a table was looked
 * for in vain, after an entry was read and before its run is locked, after that was unlocked, and before the next
 * candidate; there only steps are possible that need neither the page lock nor the exclusive group lock. WALK_LOOK locks no run
 * at all. A migration is two walks; between them its
 * page lock is held, so that everything is possible but a swap-in, a move and a copy-on-write fault. A move is before its
 * records (and when its page has landed), where everything is possible, the walk included, and in flight, where what needs
 * the page lock is not. Each schedule runs in a world of its own, from the start, and the last choice that can be changed
 * is changed for the next one
 * (model: `dfs` of explore.py, without preemption bound).
 *
 * The world: spaces S, X forked from S, Y forked from X, as many as the scenario wants, and vpn 0 written by S before.
 * With a `crowd` the tables of S and all below are looked up together, some candidates before their entries are read.
 * With `above` the page comes from a space above S that gave its mapping up: then every walk wastes a step and may
 * tighten.
 */
#ifndef RMAP_TESTS_UNIT_SCHEDULES_H
#define RMAP_TESTS_UNIT_SCHEDULES_H

#include "support/choices.h"
#include "support/other_thread.h"
#include "support/world.h"

#include <core/core.h>

#ifdef RMAP_DEBUG
#define CANDIDATES_YIELD true
#else
#define CANDIDATES_YIELD false /* a look for a candidate's table is the only moment before its entry is read */
#endif

enum { S, X, Y, SPACES };

enum step_op {
    STEP_END,
    STEP_ZAP,      /* unmap vpn 0, or 1 after a move */
    STEP_COPY,     /* fork: copy the entries … */
    STEP_COMMIT,   /* … and end it; the child is seen from here on */
    STEP_COW_DROP, /* of a copy-on-write fault: the count of the old page goes */
    STEP_IN_WALK = STEP_COW_DROP,
    STEP_BEGIN, /* fork: into the tree */
    STEP_IN_FLIGHT = STEP_BEGIN,
    STEP_COW_TAKE, /* of a copy-on-write fault: a private copy instead of the old entry */
    STEP_ABORT,
    STEP_READ,
    STEP_LEAVE, /* after a ZAP: exit */
    STEP_MOVE,  /* vpn 0 to vpn 1 */
    STEP_BACK,  /* vpn 1 to vpn 0 */
};
struct step {
    enum step_op op;
    unsigned who;
};
enum walk_kind { WALK_REF, WALK_LOOK, WALK_PROTECT, WALK_UNMAP, WALK_MIGRATE, WALK_MIGRATE_BACK };
enum first_state {
    ALL_PRESENT,
    ALL_CACHED,
    Y_READ_BACK,
    ALL_ON_DEVICE
}; /* ALL_CACHED: on swap, the page still in memory */

#define TASK_STEPS 6
struct scenario {
    unsigned spaces;
    enum first_state first;
    bool track; /* the spaces' policy */
    unsigned crowd; /* so many older siblings of S that gave the page up: the search is long when it comes to S */
    struct step task[2][TASK_STEPS];
};

struct scene {
    struct world w;
    const struct scenario *scenario;
    struct world_space *s[SPACES], *kid[SPACES];
    struct rmap_fork fork[SPACES];
    struct rmap_gather cow[SPACES];
    bool gone[SPACES][2], kid_gone[SPACES]; /* nothing at this vpn any more: zapped or moved away; kid: vpn 0 */
    bool kid_moved[SPACES];                 /* the parent's mapping lay at vpn 1 when it was copied */
    unsigned at[2];                         /* next step of each task */
    bool busy[2];                           /* the task is in the middle of a step: a move */
    enum walk_kind kind;
    bool walked, walking, walk_first;
    bool untouched; /* by the walk, since the last moment: no entry was read */
    int (*run_find)(void *, rmap_vpn_t, rmap_vpn_t, struct rmap_mmu_run *); /* the world's own */
    void (*run_unlock)(void *, struct rmap_mmu_run *);
    void (*run_peek)(void *const *, size_t, rmap_vpn_t, rmap_vpn_t, struct rmap_mmu_run *);
    void (*run_lock)(void *, struct rmap_mmu_run *);
};

static struct scene *scene; /* the one that runs: MMU hooks know only their space */

/* ---- steps ---- */

/* Where the space has its page, if it has it. */
static rmap_vpn_t vpn_of(const struct scene *x, unsigned who)
{
    return !x->gone[who][1];
}

static void cow_take(const struct scene *x, unsigned who, struct rmap_gather *g)
{
    struct world_space *s = x->s[who];
    struct world *w = s->w;
    const rmap_vpn_t vpn = vpn_of(x, who);
    const struct rmap_pte_format *f = s->mmu.ops->format;
    struct rmap_page *old = world_page(s, vpn), *copy;
    struct rmap_mmu_run run;
    rmap_gather_init(g, w->r);
    if (!old) return;
    rmap_page_lock(old);
    CHECK_OK(rmap_page_alloc(w->r, RMAP_PFN_NONE, &copy));
    rmap_pfn_t pfn = rmap_page_pfn(w->r, copy);
    memcpy(world_contents(w, pfn), world_contents(w, rmap_page_pfn(w->r, old)), (size_t)1 << WORLD_PAGE_SHIFT);
    CHECK_OK(x->run_find(s, vpn, vpn + 1, &run));
    const uint32_t i = (uint32_t)(vpn - run.first);
    CHECK_OK(rmap_page_map_new(&s->m, copy, vpn));
    rmap_pte_t was = rmap_run_exchange(&s->mmu, &run, i, 0);
    rmap_gather_flush(g, &s->m, vpn, was, RMAP_FLUSH_ALL);
    rmap_gather_flush_now(g);
    rmap_page_unmap(g, &s->m, old);
    rmap_run_set(&s->mmu, &run, i, rmap_pte_make(f, pfn, 0));
    x->run_unlock(s, &run);
    rmap_page_unlock(w->r, old);
    rmap_page_put(w->r, copy);
}

static void step_run(struct scene *x, struct step t)
{
    struct world_space *s = x->s[t.who];
    struct rmap_fork *f = &x->fork[t.who];
    switch (t.op) {
    case STEP_ZAP:
        world_zap(s, vpn_of(x, t.who), 1);
        x->gone[t.who][vpn_of(x, t.who)] = true;
        return;
    case STEP_COPY:
        CHECK_OK(rmap_fork_copy(f, 0, s->mmu.pages, RMAP_FORK_COW));
        x->kid_gone[t.who] = x->gone[t.who][0] && x->gone[t.who][1];
        x->kid_moved[t.who] = x->gone[t.who][0];
        return;
    case STEP_COMMIT:
        rmap_fork_commit(f);
        world_space_adopt(x->kid[t.who]);
        return;
    case STEP_COW_DROP:
        rmap_gather_finish(&x->cow[t.who]);
        return;
    case STEP_COW_TAKE:
        cow_take(x, t.who, &x->cow[t.who]);
        return;
    case STEP_BEGIN:
        x->kid[t.who] = world_space_blank(&x->w);
        CHECK_OK(rmap_fork_begin(&s->m, &x->kid[t.who]->m, &x->kid[t.who]->mmu, f));
        return;
    case STEP_ABORT:
        rmap_fork_abort(f);
        world_space_free(x->kid[t.who]);
        x->kid[t.who] = NULL;
        return;
    case STEP_READ:
        CHECK_EQ(world_read(s, vpn_of(x, t.who)), 1);
        return;
    case STEP_LEAVE:
        world_exit(s);
        x->s[t.who] = NULL;
        return;
    case STEP_MOVE:
        world_move(s, 0, 1, 1);
        x->gone[t.who][0] = true;
        x->gone[t.who][1] = false;
        return;
    case STEP_BACK:
        world_move(s, 1, 0, 1);
        x->gone[t.who][0] = false;
        x->gone[t.who][1] = true;
        return;
    case STEP_END:
        break;
    }
}

static struct step task_step(const struct scene *x, unsigned i)
{
    return x->busy[i] ? (struct step){STEP_END, 0} : x->scenario->task[i][x->at[i]];
}

static void task_run(struct scene *x, unsigned i)
{
    struct step t = task_step(x, i);
    x->at[i]++;
    x->busy[i] = true;
    step_run(x, t);
    x->busy[i] = false;
}

static bool possible_in_walk(const struct scene *x, struct step t)
{
    /* After a move under TRACK a zap forgets its record, in the exclusive group lock. */
    return t.op <= STEP_IN_WALK && !(t.op == STEP_ZAP && x->s[t.who]->m.track);
}
/* While the page lock is held, and nothing else. */
static bool possible_under_page_lock(const struct scene *x, struct step t)
{
    (void)x;
    return t.op != STEP_COW_TAKE && t.op != STEP_READ && t.op != STEP_MOVE && t.op != STEP_BACK;
}

/* Any number of steps that are possible now. */
static void steps_between(struct scene *x, bool (*possible)(const struct scene *x, struct step t))
{
    for (;;) {
        unsigned n = 1, task[3] = {0};
        for (unsigned i = 0; i < 2; i++) {
            struct step t = task_step(x, i);
            if (t.op != STEP_END && possible(x, t)) task[n++] = i;
        }
        unsigned c = choose(n);
        if (!c) return;
        AS_ANOTHER_THREAD(task_run(x, task[c]));
    }
}

/* A moment of the walk at which it holds no run lock. */
static void walk_point(void)
{
    struct scene *x = scene;
    if (!x || !x->walking || x->w.runs) return;
    x->walking = x->walk_first = false;
    steps_between(x, possible_in_walk);
    x->walking = true;
    x->untouched = true;
}
static void walk_begins(void)
{
    if (scene->walking && scene->walk_first) walk_point();
}
/* Before a candidate's entry is read; not again, if nothing was since the last moment. */
static void __attribute__((unused)) walk_candidate(void)
{
    walk_begins();
    if (!scene->untouched) walk_point();
    scene->untouched = false;
}

static int watched_find(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    walk_begins();
    int err = scene->run_find(mmu, vpn, end, run);
    if (err) walk_point();
    return err;
}

static void watched_unlock(void *mmu, struct rmap_mmu_run *run)
{
    scene->run_unlock(mmu, run);
    walk_point();
}

/*
 * One space after the other, so that steps fall between the tables of the first and those of the next. A table that was found
 * stays, whatever the steps do: they may as well come before it is looked up. One that was not may come into being.
 */
static void watched_peek(void *const *mmus, size_t n, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *runs)
{
    walk_begins();
    for (size_t i = 0; i < n; i++) {
        scene->run_peek(&mmus[i], 1, vpn, end, &runs[i]);
        if (!runs[i].count || !CANDIDATES_YIELD) walk_point();
    }
}

/* The entry has been read. Once the lock is had, steps that do not wait for it may as well come before. */
static void watched_lock(void *mmu, struct rmap_mmu_run *run)
{
    walk_point();
    scene->run_lock(mmu, run);
    scene->untouched = false;
}

/* ---- the walk ---- */

/* What holds for every entry that there is now, children that are being made included. */
static void each_space(struct scene *x, void (*check)(struct world_space *s, rmap_vpn_t vpn, void *ctx), void *ctx)
{
    for (unsigned i = 0; i < 2 * SPACES; i++) {
        if (x->s[i / 2]) check(x->s[i / 2], i % 2, ctx);
        if (x->kid[i / 2]) check(x->kid[i / 2], i % 2, ctx);
    }
}
static void check_candidate(struct world_space *s, rmap_vpn_t vpn, void *page)
{
    if (world_page(s, vpn) == page) CHECK(rmap_member_is_candidate(&s->m, page));
}
static void check_read_only(struct world_space *s, rmap_vpn_t vpn, void *page)
{
    if (world_page(s, vpn) == page) CHECK(!world_attr(s, vpn, RMAP_ATTR_WRITE) && !world_attr(s, vpn, RMAP_ATTR_DIRTY));
}
static void check_unmapped(struct world_space *s, rmap_vpn_t vpn, void *page)
{
    CHECK(world_page(s, vpn) != page);
}
/* So that what the walk did to an entry can be seen in it: a copy made before that has these attributes, too. */
static void mark_entry(struct world_space *s, rmap_vpn_t vpn, void *page)
{
    const struct rmap_pte_format *f = s->mmu.ops->format;
    rmap_pte_t e = rmap_pte_set(f, world_entry(s, vpn), RMAP_ATTR_ACCESSED, true);
    if (world_page(s, vpn) == page) world_set_entry(s, vpn, rmap_pte_set(f, e, RMAP_ATTR_DIRTY, true));
}
static void check_aged(struct world_space *s, rmap_vpn_t vpn, void *page)
{
    if (world_page(s, vpn) == page) CHECK(!world_attr(s, vpn, RMAP_ATTR_ACCESSED));
}
static void find_page(struct world_space *s, rmap_vpn_t vpn, void *out)
{
    struct rmap_page **page = out;
    if (!*page) *page = world_page(s, vpn);
}

static void check_arrived(struct world_space *s, rmap_vpn_t vpn, void *other_page)
{
    CHECK(world_kind(s, vpn) != RMAP_PTE_MIGRATION && world_page(s, vpn) != other_page);
}

/* begin ─ walk ─ steps ─ copy ─ end ─ walk, page locked. After a begin that was not complete nothing may have changed.
 */
static void scene_migrate(struct scene *x, struct rmap_page *page, bool back)
{
    struct world *w = &x->w;
    struct rmap_page *target = world_new_page(w);
    struct rmap_result res;
    rmap_page_lock(page);
    CHECK(rmap_page_try_lock(target));
    x->walking = x->walk_first = true;
    CHECK_OK(rmap_migrate_begin(w->r, &page, 1, 0, &res));
    x->walking = false;
    const bool gone = res.outcome == RMAP_DONE && !back;
    if (res.outcome == RMAP_DONE) {
        steps_between(x, possible_under_page_lock);
        memcpy(world_contents(w, rmap_page_pfn(w->r, target)), world_contents(w, rmap_page_pfn(w->r, page)),
               (size_t)1 << WORLD_PAGE_SHIFT);
        if (!back) memset(world_contents(w, rmap_page_pfn(w->r, page)), 0xee, (size_t)1 << WORLD_PAGE_SHIFT);
        x->walking = x->walk_first = true;
        CHECK_OK(rmap_migrate_end(w->r, &page, back ? NULL : &target, 1, 0, &res));
        x->walking = false;
        CHECK_EQ(res.outcome, RMAP_DONE);
    }
    each_space(x, check_arrived, gone ? page : target);
    each_space(x, check_candidate, gone ? target : page);
    rmap_page_unlock(w->r, page);
    rmap_page_unlock(w->r, target);
    rmap_page_put(w->r, target);
}

static void scene_walk(struct scene *x)
{
    const enum walk_kind kind = x->kind;
    struct rmap_page *page = NULL;
    struct rmap_result res;
    each_space(x, find_page, &page);
    x->walked = true;
    if (!page) return;
    rmap_page_get(page); /* the steps may zap it everywhere */
    if (kind == WALK_MIGRATE || kind == WALK_MIGRATE_BACK) {
        scene_migrate(x, page, kind == WALK_MIGRATE_BACK);
        rmap_page_put(x->w.r, page);
        return;
    }
    if (kind != WALK_LOOK) each_space(x, mark_entry, page);
    x->walking = x->walk_first = true;
    if (kind == WALK_REF)
        res = world_referenced(&x->w, page);
    else if (kind == WALK_LOOK)
        res = world_look(&x->w, page);
    else if (kind == WALK_PROTECT)
        res = world_protect(&x->w, page);
    else
        res = world_unmap(&x->w, page, 0);
    x->walking = false;
    if (res.outcome == RMAP_DONE && kind == WALK_REF) each_space(x, check_aged, page);
    if (res.outcome == RMAP_DONE && kind == WALK_PROTECT) each_space(x, check_read_only, page);
    if (res.outcome == RMAP_DONE && kind == WALK_UNMAP) each_space(x, check_unmapped, page);
    each_space(x, check_candidate, page);
    rmap_page_put(x->w.r, page);
}

/* ---- in the middle of a move: in debug builds only ---- */

static void __attribute__((unused)) move_point(void *ctx, enum rmap__yield_point at)
{
    struct scene *x = ctx;
    const bool flight = at == RMAP__AT_MOVE_FLIGHT;
    if (at == RMAP__AT_CANDIDATE && x->walking) walk_candidate();
    if (at == RMAP__AT_CANDIDATE || at == RMAP__AT_FORK_RUN || x->walking) return;
    if (at == RMAP__AT_FORK_COUNT) return; /* under two run locks, for which a step of this thread would wait for ever */
    for (;;) {
        unsigned n = 1, task[4] = {0};
        for (unsigned i = 0; i < 2; i++) {
            enum step_op op = task_step(x, i).op;
            bool fits = !flight || op <= STEP_IN_FLIGHT || (op == STEP_READ && x->scenario->first == ALL_ON_DEVICE);
            if (op != STEP_END && fits) task[n++] = i;
        }
        if (!flight && !x->walked) task[n++] = 2;
        unsigned c = choose(n);
        if (!c) return;
        if (task[c] == 2)
            AS_ANOTHER_THREAD(scene_walk(x));
        else
            AS_ANOTHER_THREAD(task_run(x, task[c]));
    }
}

/* ---- one schedule, all schedules ---- */

static void scene_open(struct scene *x, const struct scenario *sc, bool above)
{
    memset(x, 0, sizeof *x);
    x->scenario = sc;
    enum rmap_move_policy policy = sc->track ? RMAP_MOVE_POLICY_TRACK : RMAP_MOVE_POLICY_COPY;
    world_init(&x->w, &(struct world_options){.frames = 24, .slots = 16, .policy = policy});
    struct world_space *top = above || sc->crowd ? world_space(&x->w) : NULL;
    if (top) world_write(top, 0, 1);
    for (unsigned i = 0; i < sc->crowd; i++) world_zap(world_fork(top), 0, 1);
    for (unsigned i = 0; i < sc->spaces; i++) {
        x->s[i] = i ? world_fork(x->s[i - 1]) : top ? world_fork(top) : world_space(&x->w);
        if (i == 0 && !top) world_write(x->s[0], 0, 1);
        x->gone[i][1] = true;
    }
    if (above) world_zap(top, 0, 1);
    if (sc->first == ALL_ON_DEVICE)
        CHECK(world_swap_out(&x->w, world_page(x->s[S], 0)));
    else if (sc->first != ALL_PRESENT)
        CHECK_EQ(world_unmap(&x->w, world_page(x->s[S], 0), 0).outcome, RMAP_DONE);
    if (sc->first == Y_READ_BACK) CHECK_EQ(world_read(x->s[Y], 0), 1);
    x->run_find = x->w.ops.run_find;
    x->run_unlock = x->w.ops.run_unlock;
    x->run_peek = x->w.ops.run_peek;
    x->run_lock = x->w.ops.run_lock;
    x->w.ops.run_find = watched_find;
    x->w.ops.run_unlock = watched_unlock;
    x->w.ops.run_peek = watched_peek;
    x->w.ops.run_lock = watched_lock;
#ifdef RMAP_DEBUG
    x->w.r->yield = move_point;
    x->w.r->yield_ctx = x;
#endif
}

/* Every mapping is found, and by nothing but the reverse map; every value is still there. */
static void scene_close(struct scene *x)
{
    struct world *w = &x->w;
    world_check(w);
    for (size_t i = 0; i < w->space_count; i++) {
        for (rmap_vpn_t vpn = 0; vpn < 2; vpn++) {
            struct rmap_page *page = world_page(w->spaces[i], vpn);
            uint64_t have = 0;
            for (size_t k = 0; page && k < 2 * w->space_count; k++)
                if (world_page(w->spaces[k / 2], k % 2) == page) have |= (uint64_t)1 << w->spaces[k / 2]->number;
            if (page) CHECK_EQ(world_mappers(w, page), have);
        }
    }
    for (unsigned i = 0; i < x->scenario->spaces; i++) {
        for (rmap_vpn_t vpn = 0; x->s[i] && vpn < 2; vpn++) CHECK_EQ(world_read(x->s[i], vpn), !x->gone[i][vpn]);
        if (x->kid[i]) CHECK_EQ(world_read(x->kid[i], x->kid_moved[i]), !x->kid_gone[i]);
    }
    world_check(w);
    world_fini(w);
}

static void schedule_run(const struct scenario *sc, enum walk_kind kind, bool above)
{
    struct scene x;
    scene = &x;
    scene_open(&x, sc, above);
    x.kind = kind;
    for (;;) {
        unsigned n = 0, task[3] = {0};
        for (unsigned i = 0; i < 2; i++)
            if (task_step(&x, i).op != STEP_END) task[n++] = i;
        if (!x.walked) task[n++] = 2;
        if (!n) break;
        unsigned i = task[choose(n)];
        if (i == 2)
            scene_walk(&x);
        else
            task_run(&x, i);
    }
    scene_close(&x);
    scene = NULL;
}

/* A sanitizer makes a schedule five times as slow: there the first so many of a scenario have to do. Other builds play all. */
#if defined(__SANITIZE_ADDRESS__)
#define SCHEDULES_MOST 10000u
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SCHEDULES_MOST 10000u
#endif
#endif
#ifndef SCHEDULES_MOST
#define SCHEDULES_MOST UINT32_MAX
#endif

/* All schedules of a scenario, with and without a space above. @return how many. */
static unsigned schedules_run(const struct scenario *sc, enum walk_kind kind)
{
    unsigned n = 0;
    for (unsigned above = 0; above < 2; above++) {
        unsigned of_this = 0;
        memset(&schedule, 0, sizeof schedule);
        do {
            schedule_run(sc, kind, above);
            n++;
        } while (++of_this < SCHEDULES_MOST && schedule_next());
    }
    fprintf(stderr, "schedules: %u\n", n);
    return n;
}

#endif
