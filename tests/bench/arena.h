/* SPDX-License-Identifier: MIT */
/**
 * @file bench/arena.h  The allocator behind tables and records of every system, so that none pays for another's malloc.
 *
 * Blocks of 4 KiB come from one reservation of addresses and go back to a free list: a fork gets the tables that an exit left,
 * zeroed. Smaller sizes are cut from blocks, in classes of 16 bytes; larger ones are the C library's. For one thread.
 */
#ifndef RMAP_TESTS_BENCH_ARENA_H
#define RMAP_TESTS_BENCH_ARENA_H

#include <objrmap/alloc.h>

#define ARENA_BLOCK 4096
#define ARENA_STEP 16
#define ARENA_SMALL 2048 /* bytes: the largest that is cut from a block */

struct arena {
    unsigned char *blocks; /* reserved addresses */
    unsigned char *extras; /* 16 bytes beside each block */
    size_t used;           /* blocks that were ever handed out */
    void *free_block;      /* list, linked through the first word */
    void *free_small[ARENA_SMALL / ARENA_STEP + 1];
};

/** Hooks that count: `alloc` is what a library gets, `bytes` what it holds now. */
struct arena_account {
    struct rmap_allocator alloc;
    struct arena *arena;
    uint64_t bytes;
};

void arena_init(struct arena *a);
/** Everything that was handed out is gone with it. */
void arena_fini(struct arena *a);
/** The account must not move while it is used. */
void arena_account_init(struct arena_account *account, struct arena *a);

/** 16 bytes that lie beside a 4 KiB block, found by any address inside it. Zeroed at first; whoever has the block writes them. */
static inline void *arena_extra(const struct arena *a, const void *address)
{
    return a->extras + ((uintptr_t)address - (uintptr_t)a->blocks) / ARENA_BLOCK * 16;
}

#endif
