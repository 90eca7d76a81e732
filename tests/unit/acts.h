/* SPDX-License-Identifier: MIT */
/**
 * @file unit/acts.h  The acts of interleave.h: what a space, or a walk of its page, does; when it can; and what it must find.
 *
 * What a space must read is known: the version that it wrote last, 0 after a drop. Where two acts of one space met, either may have
 * been the last.
 */
#ifndef RMAP_TESTS_UNIT_ACTS_H
#define RMAP_TESTS_UNIT_ACTS_H

#include "support/world.h"

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
    struct act main, task[2][5];      /* each ends with NOTHING */
    bool nested;                      /* an act of a task is stopped at its points, too */
    bool track;                       /* moves record what is shared instead of copying it */
    void (*prepare)(struct scene *x); /* at the start, before anybody is watched. NULL: nothing */
    uint64_t slots;                   /* of the device; 0: 16 */
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
    unsigned shared[SPACES];              /* acts under way: fork, move, exit; others */
    bool running[2];                      /* tasks in the middle of an act */
    unsigned accesses;                    /* reads and writes begun */
    unsigned next[2], depth, limit, held; /* held: runs of acts that are stopped */
    uint64_t version, points;
    struct rmap_page *pinned;
    bool was_pinned;
    int (*find)(void *, rmap_vpn_t, rmap_vpn_t, struct rmap_mmu_run *);
    void (*unlock)(void *, struct rmap_mmu_run *);
    void (*peek)(void *const *, size_t, rmap_vpn_t, rmap_vpn_t, struct rmap_mmu_run *);
    void (*lock)(void *, struct rmap_mmu_run *);
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

/* Is there a slot for the page? */
static bool has_slot(const struct scene *x, const struct rmap_page *page)
{
    struct rmap_swap_stats st;
    CHECK_OK(rmap_swap_get_stats(x->w.swap, &st));
    return st.slots_used < x->w.device.base.slots || (page && (rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE));
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
        return !x->shared[a.who] && s->runs == 0 && x->w.runs + x->held == 0 && group_is_free(s, true) &&
               x->spaces < SPACES;
    case MOVE:
        return !x->shared[a.who] && s->runs == 0 && page_free && group_is_free(s, true);
    case EXIT:
        return !x->shared[a.who] && s->runs == 0 && group_is_free(s, true);
    case UNMAP:
    case EVICT:
        if (!has_slot(x, page)) return false;
        /* fall through */
    default: /* walks; those of an unmapped page look into no space */
        return (x->w.runs + x->held == 0 || (page && !rmap_page_mapcount(page))) && page_free &&
               group_is_free(s, false);
    }
}

/* ---- acts ---- */

/* What somebody else does meanwhile makes a fault look again. */
static bool again(int err, unsigned *round)
{
    return (err == RMAP_ERR_BUSY || err == RMAP_ERR_EXISTS || err == RMAP_ERR_ABSENT) && ++*round < 50;
}

/* What DONE has promised of every mapping of the page. The page lock is held all along: nobody makes a new one but a fork. */
static void check_done(const struct scene *x, enum act_kind kind, const struct rmap_page *page, unsigned accesses)
{
    for (unsigned i = 0; i < x->spaces; i++) {
        struct world_space *s = x->s[i];
        if (!s || world_page(s, x->at[i]) != page) continue;
        CHECK(kind != UNMAP);
        if (kind == PROTECT)
            CHECK(!world_attr(s, x->at[i], RMAP_ATTR_WRITE) && !world_attr(s, x->at[i], RMAP_ATTR_DIRTY));
        if (kind == AGE && accesses == x->accesses) CHECK(!world_attr(s, x->at[i], RMAP_ATTR_ACCESSED));
    }
}

static void act_walk(struct scene *x, struct act a)
{
    struct rmap_page *page = world_page_or_cached(x->s[a.who], x->at[a.who]);
    const unsigned accesses = x->accesses;
    struct rmap_result res = {.outcome = RMAP_INCOMPLETE};
    if (!page) return;
    rmap_page_get(page);
    if (a.kind == UNMAP && rmap_page_mapcount(page)) res = world_unmap(&x->w, page, 0);
    if (a.kind == EVICT) world_swap_out(&x->w, page);
    if (a.kind == AGE) res = world_referenced(&x->w, page);
    if (a.kind == PROTECT) res = world_protect(&x->w, page);
    if (res.outcome == RMAP_DONE) check_done(x, a.kind, page, accesses);
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
    x->accesses += a.kind == READ || a.kind == WRITE;
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

#endif
