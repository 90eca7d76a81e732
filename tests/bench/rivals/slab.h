/* SPDX-License-Identifier: MIT */
/**
 * @file bench/rivals/slab.h  Records of one size, from 4 KiB blocks of the world's memory and a list of free ones.
 *
 * Kernels keep such records in slabs of their own, so a rival's must not pay malloc. Blocks go back with the slab, not before.
 * For one thread.
 */
#ifndef RMAP_TESTS_BENCH_SLAB_H
#define RMAP_TESTS_BENCH_SLAB_H

#include "bench/rivals/rival.h"

#define SLAB_BLOCK 4096

/** The first record of a block is the block's link. */
struct slab {
    struct rival_world *w;
    void *free_records, *blocks; /* lists by the first word */
    size_t bytes;                /* of a record */
    uint64_t used;               /* records */
};

/** @param bytes of a record, a multiple of 8; a block is aligned, so records of 64 bytes are whole cache lines. */
void slab_init(struct slab *s, struct rival_world *w, size_t bytes);
/** Every record must have been given back. */
void slab_fini(struct slab *s);
/** One more block. */
void slab__refill(struct slab *s);

/** A record, uninitialised. Ends the program without memory. */
static inline void *slab_alloc(struct slab *s)
{
    if (!s->free_records) slab__refill(s);
    void **record = s->free_records;
    s->free_records = *record;
    s->used++;
    return record;
}

static inline void slab_free(struct slab *s, void *record)
{
    *(void **)record = s->free_records;
    s->free_records = record;
    s->used--;
}

#endif
