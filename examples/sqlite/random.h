/* SPDX-License-Identifier: MIT */
/*
 * random.h - a small generator of our own (splitmix64), so that a seed gives
 * the same run on every machine and library.
 */
#ifndef EXAMPLES_SQLITE_RANDOM_H
#define EXAMPLES_SQLITE_RANDOM_H

#include <stdint.h>

static inline uint64_t random_next(uint64_t *state)
{
    uint64_t bits = (*state += UINT64_C(0x9e3779b97f4a7c15));

    bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ (bits >> 27)) * UINT64_C(0x94d049bb133111eb);
    return bits ^ (bits >> 31);
}

/* 0 .. limit-1; the bias of the remainder does not matter here. */
static inline uint64_t random_below(uint64_t *state, uint64_t limit)
{
    return limit ? random_next(state) % limit : 0;
}

#endif
