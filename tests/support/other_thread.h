/* SPDX-License-Identifier: MIT */
/**
 * @file support/other_thread.h  Tests that play several threads in one: what others hold does not count as ours.
 *
 * Debug builds check the order in which a thread waits for locks (base/rank.h). A test that stops an act in the middle and
 * plays another thread's there, or that locks what "somebody else" has, says so here. Needs the static library.
 */
#ifndef RMAP_TESTS_SUPPORT_OTHER_THREAD_H
#define RMAP_TESTS_SUPPORT_OTHER_THREAD_H

#include <base/rank.h>

#ifdef RMAP_DEBUG
#define AS_ANOTHER_THREAD(statement)                                                                                   \
    do {                                                                                                               \
        struct rmap__rank_list other_thread_ = {.n = 0};                                                               \
        rmap__rank_swap(&other_thread_);                                                                               \
        statement;                                                                                                     \
        rmap__rank_swap(&other_thread_);                                                                               \
    } while (0)
#else
#define AS_ANOTHER_THREAD(statement)                                                                                   \
    do {                                                                                                               \
        statement;                                                                                                     \
    } while (0)
#endif

#endif
