/* SPDX-License-Identifier: MIT */
/**
 * @file support/prng.h  Small seeded random numbers: the same sequence on every machine.
 *
 * The state is a 64-bit counter that steps by an odd constant; each output is the counter mixed by two multiply-xorshift
 * rounds (the splitmix64 construction of Steele, Lea and Flood, OOPSLA 2014). Plenty for choosing test operations.
 *
 * A *tape* is a list of bytes that decide instead, for as long as it lasts: a fuzzer's input. Several generators may
 * read one tape. At its end they go on from their counters, so that an operation that has begun comes to its end.
 */
#ifndef RMAP_TESTS_SUPPORT_PRNG_H
#define RMAP_TESTS_SUPPORT_PRNG_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct tape {
    const unsigned char *at;
    size_t left;
};

struct prng {
    uint64_t counter;
    struct tape *tape; /* NULL: none */
};

static inline void prng_init(struct prng *p, uint64_t seed)
{
    p->counter = seed;
    p->tape = NULL;
}

static inline bool prng__on_tape(const struct prng *p)
{
    return p->tape && p->tape->left;
}

/** The next `bytes` of the tape as one number; what lies behind its end is 0. */
static inline uint64_t prng__take(struct prng *p, unsigned bytes)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < bytes && p->tape->left; i++, p->tape->left--) number |= (uint64_t)*p->tape->at++ << 8 * i;
    return number;
}

static inline uint64_t prng_next(struct prng *p)
{
    if (prng__on_tape(p)) return prng__take(p, 8);
    uint64_t z = p->counter += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/** 0 … n-1; n > 0. The bias is at most n / 2^64. From a tape: as few bytes as hold n - 1, so that one byte is one decision. */
static inline uint64_t prng_below(struct prng *p, uint64_t n)
{
    if (prng__on_tape(p)) return n == 1 ? 0 : prng__take(p, n <= 0x100 ? 1 : n <= 0x10000 ? 2 : 8) % n;
    return prng_next(p) % n;
}

/** True in `numerator` of `denominator` cases. From a tape: one byte decides. */
static inline bool prng_chance(struct prng *p, uint64_t numerator, uint64_t denominator)
{
    if (prng__on_tape(p)) return prng__take(p, 1) * denominator < numerator << 8;
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
