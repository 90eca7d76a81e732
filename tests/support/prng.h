/* SPDX-License-Identifier: MIT */
/**
 * @file support/prng.h  Small seeded random numbers: the same sequence on every machine.
 *
 * The state is a 64-bit counter that steps by an odd constant; each output is the counter mixed by two multiply-xorshift
 * rounds (the splitmix64 construction of Steele, Lea and Flood, OOPSLA 2014). Plenty for choosing test operations.
 */
#ifndef RMAP_TESTS_SUPPORT_PRNG_H
#define RMAP_TESTS_SUPPORT_PRNG_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct prng {
    uint64_t counter;
};

static inline void prng_init(struct prng *p, uint64_t seed)
{
    p->counter = seed;
}

static inline uint64_t prng_next(struct prng *p)
{
    uint64_t z = p->counter += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/** 0 … n-1; n > 0. The bias is at most n / 2^64. */
static inline uint64_t prng_below(struct prng *p, uint64_t n)
{
    return prng_next(p) % n;
}

/** True in `numerator` of `denominator` cases. */
static inline bool prng_chance(struct prng *p, uint64_t numerator, uint64_t denominator)
{
    return prng_below(p, denominator) < numerator;
}

/** The seed of this run: $SEED (decimal, 0x hexadecimal) or `fallback`; printed, so that a failure can be replayed. */
static inline uint64_t prng_seed_of_run(uint64_t fallback)
{
    const char *text = getenv("SEED");
    uint64_t seed = text && *text ? strtoull(text, NULL, 0) : fallback;
    fprintf(stderr, "SEED=%" PRIu64 "\n", seed);
    return seed;
}

#endif
