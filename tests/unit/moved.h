/* SPDX-License-Identifier: MIT */
/** @file unit/moved.h  What a move said that it did. */
#ifndef RMAP_TESTS_UNIT_MOVED_H
#define RMAP_TESTS_UNIT_MOVED_H

#include "support/world.h"

/** The statement is done under COPY, then under TRACK. */
#define EACH_POLICY(policy)                                                                                            \
    for (enum rmap_move_policy policy = RMAP_MOVE_POLICY_COPY; policy <= RMAP_MOVE_POLICY_TRACK; policy++)

static inline void moved__check(int line, struct rmap_moved is, struct rmap_moved must)
{
    if (memcmp(&is, &must, sizeof is))
        test__fail(__FILE__, line,
                   "moved: re-indexed %d, copied %d, tracked %d, swap %d, shared swap %d; must be %d, %d, %d, %d, %d",
                   (int)is.reindexed, (int)is.copied, (int)is.tracked, (int)is.swap_moved, (int)is.swap_shared,
                   (int)must.reindexed, (int)must.copied, (int)must.tracked, (int)must.swap_moved,
                   (int)must.swap_shared);
}

/** Shared pages copied. */
#define CHECK_MOVED(m, reindexed_, copied_, swap_moved_, swap_shared_)                                                 \
    moved__check(                                                                                                      \
        __LINE__, m,                                                                                                   \
        (struct rmap_moved){                                                                                           \
            .reindexed = reindexed_, .copied = copied_, .swap_moved = swap_moved_, .swap_shared = swap_shared_})
/** Shared pages treated by the policy of the world. */
#define CHECK_CARRIED(w, m, reindexed_, shared_, swap_moved_, swap_shared_)                                            \
    moved__check(__LINE__, m,                                                                                          \
                 (struct rmap_moved){.reindexed = reindexed_,                                                          \
                                     .copied = (w)->o.policy == RMAP_MOVE_POLICY_COPY ? shared_ : 0,                   \
                                     .tracked = (w)->o.policy == RMAP_MOVE_POLICY_TRACK ? shared_ : 0,                 \
                                     .swap_moved = swap_moved_,                                                        \
                                     .swap_shared = swap_shared_})

#endif
