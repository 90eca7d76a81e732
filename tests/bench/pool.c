/* SPDX-License-Identifier: MIT */
/** @file bench/pool.c  See the header. */
#include "bench/pool.h"
#include "scale/must.h"

#include <stdlib.h>
#include <sys/mman.h>

static void *map_zeroes(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MUST_HOLD(p != MAP_FAILED);
    return p;
}

/* Newton's iteration: each step doubles the bits that are right, of which an odd number has three to begin with. */
static uint64_t inverse_of_odd(uint64_t odd)
{
    uint64_t x = odd;
    for (unsigned bits = 3; bits < 64; bits *= 2) x *= 2 - odd * x;
    return x;
}

void pool_init(struct bench_pool *p, const struct bench_options *options, size_t extra)
{
    MUST_HOLD(options->frames && extra % 8 == 0);
    *p = (struct bench_pool){.stride = sizeof(struct rmap_page) + extra, .frames = options->frames};
    p->stride_shift = (unsigned)__builtin_ctzll(p->stride);
    p->stride_inverse = inverse_of_odd(p->stride >> p->stride_shift);
    p->descriptors = map_zeroes(p->stride * p->frames);
    p->contents = options->contents ? map_zeroes(POOL_PAGE * p->frames) : NULL;
    p->free_frames = malloc(p->frames * sizeof *p->free_frames);
    MUST_HOLD(p->free_frames);
    for (uint64_t i = p->frames; i--;) pool_give(p, POOL_FIRST_PFN + i);
    slots_init(&p->slots, (uint32_t)(options->slots ? options->slots : options->frames));
    arena_init(&p->arena);
    arena_account_init(&p->tables, &p->arena);
    arena_account_init(&p->records, &p->arena);
    const struct rmap_radix_options radix = {.struct_size = sizeof radix,
                                             .geometry = &rmap_radix_x86_64,
                                             .alloc = &p->tables.alloc,
                                             .caps = RMAP_MMU_NO_TLB};
    MUST(rmap_radix_provider_init(&radix, &p->mmus));
}

void pool_fini(struct bench_pool *p)
{
    MUST_HOLD(p->free_count == p->frames);
    slots_fini(&p->slots);
    rmap_radix_provider_fini(&p->mmus);
    MUST_HOLD(p->tables.bytes == 0);
    MUST_HOLD(p->records.bytes == 0);
    arena_fini(&p->arena);
    free(p->free_frames);
    munmap(p->descriptors, p->stride * p->frames);
    if (p->contents) munmap(p->contents, POOL_PAGE * p->frames);
}

rmap_pfn_t pool_take(struct bench_pool *p)
{
    MUST_HOLD(p->free_count);
    return p->free_frames[--p->free_count];
}

void pool_mmu_create(struct bench_pool *p, struct rmap_mmu *out)
{
    MUST(p->mmus.create(p->mmus.ctx, NULL, out));
}

void pool_mmu_destroy(struct bench_pool *p, struct rmap_mmu *mmu)
{
    p->mmus.destroy(p->mmus.ctx, mmu);
}
