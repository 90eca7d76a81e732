/* SPDX-License-Identifier: MIT */
/**
 * @file support/choices.h  Depth-first search over everything that could happen next.
 *
 *     memset(&schedule, 0, sizeof schedule);
 *     do play(); while (schedule_next());          play() asks choose(n) wherever one of n things may happen
 *
 * A schedule is a list of choices. Each run starts from the beginning and repeats the choices of the one before, up to the
 * last that can be changed, which it changes.
 */
#ifndef RMAP_TESTS_SUPPORT_CHOICES_H
#define RMAP_TESTS_SUPPORT_CHOICES_H

#include "support/test.h"

static struct {
    unsigned char chosen[256], options[256];
    unsigned length, depth;
} schedule;

/** 0 … options - 1. */
static inline unsigned choose(unsigned options)
{
    if (options == 1) return 0;
    CHECK(schedule.depth < sizeof schedule.chosen);
    if (schedule.depth == schedule.length) schedule.chosen[schedule.length++] = 0;
    schedule.options[schedule.depth] = (unsigned char)options;
    return schedule.chosen[schedule.depth++];
}

/** The next schedule, or false after the last one. */
static inline bool schedule_next(void)
{
    while (schedule.length && schedule.chosen[schedule.length - 1] + 1 == schedule.options[schedule.length - 1])
        schedule.length--;
    if (schedule.length) schedule.chosen[schedule.length - 1]++;
    schedule.depth = 0;
    return schedule.length;
}

#endif
