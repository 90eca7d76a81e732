/* SPDX-License-Identifier: MIT */
/**
 * @file property/arena.h  An allocator whose addresses rise and fall in the same order in every run of the same game.
 *
 * The library sorts pages by their owners' addresses, so what malloc happens to return would decide which pages are
 * evicted together, and a failure could not be replayed. Freed blocks rest before they are used again; the address
 * sanitizer, where there is one, is told about them and about the gaps between blocks.
 */
#ifndef RMAP_TESTS_PROPERTY_ARENA_H
#define RMAP_TESTS_PROPERTY_ARENA_H

#include "support/prng.h"

#include <objrmap/alloc.h>

#define ARENA_SIZES 256

struct arena_block;
struct arena {
    struct rmap_allocator a;
    unsigned char *base;
    size_t used, poisoned; /* of `base`; what the address sanitizer was told of, in steps ahead of what is used */
    size_t live_blocks;
    unsigned fail; /* of 1,000 allocations so many fail; may be set at any time */
    uint64_t failed;
    struct prng rng;
    struct {
        size_t size, align, resting;
        struct arena_block *first, *last; /* the one freed first is used first */
    } sizes[ARENA_SIZES];
};

/** `x` is the caller's memory and must not move. Aborts if the system gives no address space. */
void arena_init(struct arena *x);
void arena_fini(struct arena *x);

#endif
