/* SPDX-License-Identifier: MIT */
/**
 * @file base/rank.h  Lock ranks: debug builds stop at the first wait for a lock out of order, whether it would hang or not.
 *
 * Each thread keeps a little list of what it holds. Waiting for a lock is allowed while everything held has a lower rank; a
 * *try* is noted and never checked, since it cannot wait. Two exceptions: a second space lock (fork: the child's), and a
 * second run lock of another MMU (fork: the child's table), not a third.
 *
 *     rmap__rank_take(RMAP__RANK_PAGE, page);      about to wait, or to take without waiting what might have to be waited for
 *     … lock …                                     a lock that is not got after all: drop
 *     rmap__rank_drop(RMAP__RANK_PAGE, page);      any order; before or after the unlock
 *
 * `lock` is an address that names the lock: of a run lock its MMU (`ctx`), since no call holds two runs of one MMU.
 * Release builds have nothing of all this.
 */
#ifndef RMAP_BASE_RANK_H
#define RMAP_BASE_RANK_H

/** Outermost first; docs/locking.md says why. From VISITS on they are leaves, held for moments. */
enum rmap__rank {
    RMAP__RANK_SPACE,
    RMAP__RANK_VACATE,  /* the pager's: who empties a range of frames */
    RMAP__RANK_RECLAIM, /* the pager's: who reclaims */
    RMAP__RANK_PAGE,
    RMAP__RANK_GROUP,
    RMAP__RANK_RUN,
    RMAP__RANK_VISITS,
    RMAP__RANK_INSTANCE,
    RMAP__RANK_BOOKS, /* the pager's: spaces, charges, devices */
    RMAP__RANK_WINDOW, /* the host MMU's: one window's projections */
    RMAP__RANK_HOST,   /* and what all windows share */
    RMAP__RANK_FRAMES, /* the pager's: frames and their lists */
    RMAP__RANK_SLOTS,
    RMAP__RANK_DEVICE_WRITE, /* a device's lock around what it makes of the data, outside its own DEVICE lock */
    RMAP__RANK_DEVICE,       /* inside SLOTS: discard */
    RMAP__RANKS
};

#ifdef RMAP_DEBUG

#include <stdint.h>

#define RMAP__RANK_HELD_MAX 16 /* a batch locks more pages than that: the rest is counted by rank */

/** What one thread holds. */
struct rmap__rank_list {
    struct rmap__rank_held {
        const void *lock;
        uint32_t rank;
        uint32_t moment; /* of the lock's place in rank.c's table when it was taken */
    } held[RMAP__RANK_HELD_MAX];
    unsigned n;
    uint16_t more[RMAP__RANKS]; /* held without a record */
};

/** Check, and note as held. */
void rmap__rank_take(enum rmap__rank rank, const void *lock);
/** A try has succeeded: note it as held. */
void rmap__rank_tried(enum rmap__rank rank, const void *lock);
/** No longer held. A page or run lock may have been taken by another thread, any other may not. */
void rmap__rank_drop(enum rmap__rank rank, const void *lock);
/** Tests only: `hook` is called at each taking, before the wait, and at each dropping, to lose time there. NULL: nothing. */
void rmap__rank_set_hook(void (*hook)(void));
/** Tests only, which play several threads in one: the thread's list and *other change places. */
void rmap__rank_swap(struct rmap__rank_list *other);

#else

static inline void rmap__rank_take(enum rmap__rank rank, const void *lock)
{
    (void)rank, (void)lock;
}
static inline void rmap__rank_tried(enum rmap__rank rank, const void *lock)
{
    (void)rank, (void)lock;
}
static inline void rmap__rank_drop(enum rmap__rank rank, const void *lock)
{
    (void)rank, (void)lock;
}

#endif

#endif
