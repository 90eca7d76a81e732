/* SPDX-License-Identifier: MIT */
/**
 * @file bench/pool.h  What every system has alike: frames, slots of swap, page tables, and memory for records.
 *
 * Frames are one section: descriptors lie `stride` bytes apart, so pfn <-> descriptor is arithmetic. Free ones are a stack.
 * Tables are x86-64's (objrmap/radix.h), without a TLB; all spaces of a world share one config. For one thread.
 */
#ifndef RMAP_TESTS_BENCH_POOL_H
#define RMAP_TESTS_BENCH_POOL_H

#include "bench/arena.h"
#include "bench/system.h"
#include "scale/slots.h"

#define POOL_FIRST_PFN ((rmap_pfn_t)1 << 20) /* no frame number is a page number that a scenario uses */
#define POOL_PAGE 4096

struct bench_pool {
    unsigned char *descriptors;
    size_t stride;                                  /* bytes, of a descriptor and what lies behind it */
    uint64_t frames;
    unsigned stride_shift;                          /* stride = odd << stride_shift … */
    uint64_t stride_inverse;                        /* … and odd * inverse = 1 modulo 2^64: division is a multiplication */
    rmap_pfn_t *free_frames;                        /* stack */
    uint64_t free_count;
    unsigned char *contents;                        /* NULL: none */
    struct slots slots;
    struct arena arena;
    struct arena_account tables, records;           /* records: what is kept for the reverse map */
    struct rmap_mmu_provider mmus;
};

/** `extra`: bytes behind each descriptor, a multiple of 8. */
void pool_init(struct bench_pool *p, const struct bench_options *options, size_t extra);
/** Every frame, slot, table and record must be free again. */
void pool_fini(struct bench_pool *p);

/** A free frame; ends the program without one. Its descriptor is as the last user left it. */
rmap_pfn_t pool_take(struct bench_pool *p);
static inline void pool_give(struct bench_pool *p, rmap_pfn_t pfn)
{
    p->free_frames[p->free_count++] = pfn;
}

/** Where the descriptor of a frame is or would be: an address to prefetch, whatever the number. */
static inline void *pool_descriptor(const struct bench_pool *p, rmap_pfn_t pfn)
{
    return (void *)((uintptr_t)p->descriptors + (pfn - POOL_FIRST_PFN) * p->stride);
}
/** Descriptor of a frame, or NULL: no such frame. */
static inline struct rmap_page *pool_page(const struct bench_pool *p, rmap_pfn_t pfn)
{
    return pfn - POOL_FIRST_PFN < p->frames ? pool_descriptor(p, pfn) : NULL;
}
/** Frame of a descriptor of this pool. */
static inline rmap_pfn_t pool_pfn(const struct bench_pool *p, const struct rmap_page *page)
{
    const uint64_t offset = (uint64_t)((const unsigned char *)page - p->descriptors);
    return POOL_FIRST_PFN + (offset >> p->stride_shift) * p->stride_inverse;
}
/** 4 KiB of a frame, or NULL without contents. */
static inline unsigned char *pool_contents(const struct bench_pool *p, const struct rmap_page *page)
{
    return p->contents ? p->contents + (pool_pfn(p, page) - POOL_FIRST_PFN) * POOL_PAGE : NULL;
}

/** An empty MMU, and its end. */
void pool_mmu_create(struct bench_pool *p, struct rmap_mmu *out);
void pool_mmu_destroy(struct bench_pool *p, struct rmap_mmu *mmu);

/** 16 bytes beside each 4 KiB block (a table, a chunk) of the allocator, found by any address inside it. */
static inline void *pool_block_extra(const struct bench_pool *p, const void *address)
{
    return arena_extra(&p->arena, address);
}

#endif
