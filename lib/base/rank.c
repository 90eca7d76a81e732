/* SPDX-License-Identifier: MIT */
/** @file base/rank.c  What the calling thread holds, and whether it may wait for more. */
#include "base/rank.h"

#include "base/assert.h"

typedef int rmap__rank_not_empty; /* release builds: this file has nothing else */

#ifdef RMAP_DEBUG

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

#define PLACES 256

/* Small, since libraries that are loaded late share little room of this kind; of this kind, since others may allocate when
 * first touched, and faults come in signal handlers. */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct rmap__rank_list mine;

/*
 * What another thread unlocks (a page: page.h; a run: the embedder's own doing) is still on its locker's list. That thread's list cannot be touched; so the unlock
 * moves a number on that the record remembers, and a record with an old number is none. Locks share numbers, and those that
 * were only counted stop nobody: it may cost a check, never a false alarm.
 */
static _Atomic uint32_t elsewhere[PLACES];

static _Atomic uint32_t *place_of(const void *lock)
{
    return &elsewhere[((uintptr_t)lock >> 4) % PLACES];
}

static const char *const names[RMAP__RANKS] = {
    [RMAP__RANK_SPACE] = "space lock",
    [RMAP__RANK_VACATE] = "vacate lock",
    [RMAP__RANK_RECLAIM] = "reclaim lock",
    [RMAP__RANK_PAGE] = "page lock",
    [RMAP__RANK_GROUP] = "group lock",
    [RMAP__RANK_RUN] = "run lock",
    [RMAP__RANK_VISITS] = "visits lock",
    [RMAP__RANK_INSTANCE] = "instance mutex",
    [RMAP__RANK_BOOKS] = "books mutex",
    [RMAP__RANK_WINDOW] = "window mutex",
    [RMAP__RANK_HOST] = "host mutex",
    [RMAP__RANK_FRAMES] = "frames mutex",
    [RMAP__RANK_SLOTS] = "slot mutex",
    [RMAP__RANK_DEVICE_WRITE] = "device's write mutex",
    [RMAP__RANK_DEVICE] = "device mutex",
};

static void forget(unsigned i)
{
    for (mine.n--; i < mine.n; i++) mine.held[i] = mine.held[i + 1];
}

/* Locks that are bits in a word, and may be unlocked by another thread than the one that locked them. */
static bool may_be_handed_over(uint32_t rank)
{
    return rank == RMAP__RANK_PAGE || rank == RMAP__RANK_RUN;
}

static void forget_stale(void)
{
    for (unsigned i = mine.n; i--;)
        if (may_be_handed_over(mine.held[i].rank) && mine.held[i].moment != atomic_load(place_of(mine.held[i].lock)))
            forget(i);
}

static _Noreturn void stop(enum rmap__rank wanted, const void *lock, enum rmap__rank held, const void *its)
{
    char text[128];
    snprintf(text, sizeof text, "no wait for %s %p while %s %p is held", names[wanted], lock, names[held], its);
    rmap__assert_failed(text, "lock-order", __FILE__, __LINE__);
}

/* One of the same rank is held. May another be waited for? `n`: how many are held. */
static bool may_be_second(enum rmap__rank rank, const void *lock, const void *its, unsigned n)
{
    return (rank == RMAP__RANK_SPACE || rank == RMAP__RANK_RUN) && lock != its && n == 1;
}

static void check(enum rmap__rank rank, const void *lock)
{
    unsigned same = 0;
    for (unsigned i = 0; i < mine.n; i++) same += mine.held[i].rank == rank;
    for (unsigned i = 0; i < mine.n; i++) {
        const struct rmap__rank_held *h = &mine.held[i];
        if (h->rank < (uint32_t)rank) continue;
        if (h->rank > (uint32_t)rank || !may_be_second(rank, lock, h->lock, same)) stop(rank, lock, h->rank, h->lock);
    }
    for (unsigned r = rank; r < RMAP__RANKS; r++)
        if (mine.more[r] && !may_be_handed_over(r)) stop(rank, lock, r, NULL);
}

static void (*_Atomic hook)(void);

void rmap__rank_set_hook(void (*fn)(void))
{
    hook = fn;
}

static void call_hook(void)
{
    void (*fn)(void) = atomic_load_explicit(&hook, memory_order_relaxed);
    if (fn) fn();
}

void rmap__rank_take(enum rmap__rank rank, const void *lock)
{
    call_hook();
    forget_stale();
    check(rank, lock);
    rmap__rank_tried(rank, lock);
}

void rmap__rank_tried(enum rmap__rank rank, const void *lock)
{
    if (mine.n == RMAP__RANK_HELD_MAX) forget_stale();
    if (mine.n == RMAP__RANK_HELD_MAX)
        mine.more[rank]++;
    else
        mine.held[mine.n++] = (struct rmap__rank_held){lock, rank, atomic_load(place_of(lock))};
}

void rmap__rank_drop(enum rmap__rank rank, const void *lock)
{
    call_hook();
    forget_stale();
    for (unsigned i = mine.n; i--;) {
        if (mine.held[i].rank != (uint32_t)rank || mine.held[i].lock != lock) continue;
        forget(i);
        return;
    }
    const bool counted = mine.more[rank];
    mine.more[rank] -= counted;
    RMAP_ASSERT_INV(counted || may_be_handed_over(rank), "lock-order"); /* dropped, and not held */
    if (may_be_handed_over(rank)) atomic_fetch_add(place_of(lock), 1);  /* it may be on another thread's list */
}

void rmap__rank_swap(struct rmap__rank_list *other)
{
    const struct rmap__rank_list ours = mine;
    mine = *other;
    *other = ours;
}

#endif
