/* SPDX-License-Identifier: MIT */
/** @file unit/moved.h  What a move said that it did. */
#ifndef RMAP_TESTS_UNIT_MOVED_H
#define RMAP_TESTS_UNIT_MOVED_H

#include "support/world.h"

#define CHECK_MOVED(m, reindexed_, copied_, swap_moved_, swap_shared_) \
    do {                                                               \
        struct rmap_moved m_ = (m);                                    \
        CHECK_EQ(m_.reindexed, reindexed_);                            \
        CHECK_EQ(m_.copied, copied_);                                  \
        CHECK_EQ(m_.swap_moved, swap_moved_);                          \
        CHECK_EQ(m_.swap_shared, swap_shared_);                        \
    } while (0)

#endif
