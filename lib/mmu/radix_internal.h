/* SPDX-License-Identifier: MIT */
/**
 * @file mmu/radix_internal.h  The radix MMU's objects and its few descending steps.
 *
 * A *config* is everything that the spaces of one embedder share: the geometry made into shifts and masks, the hooks,
 * and the ops table that their struct rmap_mmu points to. A *radix* is one space's tables.
 *
 *     rmap_mmu.ops ─▶ config.ops                  upper entry: [ table's frame | lock bits | table_present ]
 *     rmap_mmu.ctx ─▶ radix ─▶ config                               │
 *                       └────▶ root ─▶ … ─▶ table of level 1 ─entry─┴─▶ leaf table: one or more runs of ≤ 512 slots
 *
 * Run locks are bits in the upper entry that points to the leaf table, set and cleared by atomic or/and alone, because
 * a hardware walker may set accessed bits in the same word. A geometry of one level has no such entry: radix.lock
 * serves. Who waits for one long sleeps at a place that the config's spaces share.
 *
 * Letters: [a] atomic, [c] constant after creation.
 */
#ifndef RMAP_MMU_RADIX_INTERNAL_H
#define RMAP_MMU_RADIX_INTERNAL_H

#include <objrmap/error.h>
#include <objrmap/radix.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/assert.h"

#define RMAP__RADIX_LEVELS 5
#define RMAP__RADIX_BITS_MAX 15 /* of one level: 64 runs in a leaf table, one bit each of a lock word */

typedef _Atomic(rmap_pte_t) rmap__slot;

struct rmap__radix_config {
    /* What run_find and run_unlock read, together. All [c] but `sleepers`, and the last two of all. */
    unsigned levels;
    bool identity; /* no table hooks: a table's physical address is its pointer */
    uint8_t page_shift, payload_shift, run_shift;
    uint8_t phys_rotate;                     /* left: page_shift - payload_shift, modulo 64 */
    uint8_t shift[RMAP__RADIX_LEVELS];       /* of a vpn to the index in a table of the level */
    uint32_t index_mask[RMAP__RADIX_LEVELS]; /* entries - 1 */
    uint64_t payload_mask, present_mask;     /* of the format */
    uint64_t table_mask, table_present;      /* of the geometry */
    uint64_t lock_bits;                      /* lowest first, one for each run of a leaf table */
    _Atomic uint32_t sleepers;               /* [a] threads that sleep for a run lock of any space: seldom not 0 */
    rmap_vpn_t pages;
    struct rmap_radix_table_ops tables;
    void *tables_ctx;

    struct rmap_mmu_ops ops;
    size_t table_bytes[RMAP__RADIX_LEVELS];
    void (*flush)(void *ctx, const struct rmap_flush_range *ranges, size_t n);
    bool (*active)(void *ctx);
    void *flush_ctx;
    struct rmap_allocator alloc;
    _Atomic uint32_t refs;    /* [a] one for each radix and provider */
    _Atomic uint32_t parking; /* [a] what they sleep on: radix_run.c */
};

struct rmap_radix {
    rmap__slot *root;                  /* [c] */
    struct rmap__radix_config *config; /* [c] counted */
    rmap__slot lock;                   /* [a] lock bits of the runs if there is one level only */
    _Atomic size_t bytes;              /* [a] of all installed tables */
};

static inline bool rmap__radix_is_table(const struct rmap__radix_config *c, rmap_pte_t e)
{
    return (e & c->table_mask) == c->table_present;
}
/** Neither a table nor anything else that the hardware would use. */
static inline bool rmap__radix_is_absent(const struct rmap__radix_config *c, rmap_pte_t e)
{
    return !(e & c->present_mask);
}
static inline uint64_t rmap__radix_index(const struct rmap__radix_config *c, unsigned level, rmap_vpn_t vpn)
{
    return vpn >> c->shift[level] & c->index_mask[level];
}
static inline rmap__slot *rmap__radix_table(const struct rmap__radix_config *c, rmap_pte_t e)
{
    uint64_t field = e & c->payload_mask;
    /* field >> payload_shift << page_shift, either way round: no set bit goes past an end of the word. */
    uint64_t phys = field << c->phys_rotate | field >> (-(unsigned)c->phys_rotate & 63);
    return c->identity ? (rmap__slot *)(uintptr_t)phys : c->tables.to_ptr(c->tables_ctx, phys);
}
/** Acquire pairs with the release that installed the table: its zeroes are seen. */
static inline rmap_pte_t rmap__radix_load(rmap__slot *slot)
{
    return atomic_load_explicit(slot, memory_order_acquire);
}

/* ---- radix_config.c ---- */
/** Check the options and make a config with one reference. @return as rmap_radix_create. */
int rmap__radix_config_create(const struct rmap_radix_options *options, struct rmap__radix_config **out);
void rmap__radix_config_put(struct rmap__radix_config *config);

/* ---- radix.c ---- */
/** Empty tables of a config, which gains a reference. @return 0; NOMEM. */
int rmap__radix_make(struct rmap__radix_config *config, struct rmap_mmu *out);

/* ---- radix_run.c: the ops of the same names ---- */
int rmap__radix_run_find(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run);
void rmap__radix_run_peek(void *const *mmus, size_t n, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *runs);
void rmap__radix_run_lock(void *mmu, struct rmap_mmu_run *run);
int rmap__radix_run_make(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run);
void rmap__radix_run_unlock(void *mmu, struct rmap_mmu_run *run);

/* ---- radix_table.c ---- */
/** A zeroed table that an upper entry can name, or NULL. */
rmap__slot *rmap__radix_table_new(const struct rmap__radix_config *c, unsigned level);
void rmap__radix_table_free(const struct rmap__radix_config *c, unsigned level, rmap__slot *table);
/** The upper entry that points to `table`. */
rmap_pte_t rmap__radix_table_entry(const struct rmap__radix_config *c, rmap__slot *table);
uint64_t rmap__radix_table_phys(const struct rmap__radix_config *c, rmap__slot *table);
/** struct rmap_tables is indexed by level: tables of different levels may differ in size. */
int rmap__radix_reserve(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t);
void rmap__radix_unreserve(void *mmu, struct rmap_tables *t);
/** Free every table below `table`, which is of `level`. */
void rmap__radix_free_below(const struct rmap__radix_config *c, rmap__slot *table, unsigned level);

/* ---- radix_trim.c ---- */
void rmap__radix_trim(void *mmu, rmap_vpn_t first, rmap_vpn_t end);

#endif
