/* SPDX-License-Identifier: MIT */
/**
 * @file unit/radix_world.h  The worlds of the radix tests: every geometry, with its tables in ordinary memory (pointer
 * = physical address) and in a guest's memory (hooks; physical address 0x40000000 and up).
 */
#ifndef RMAP_TESTS_UNIT_RADIX_WORLD_H
#define RMAP_TESTS_UNIT_RADIX_WORLD_H

#include "support/counting_alloc.h"
#include "support/test.h"

#include <objrmap/radix.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Guest memory: bump-allocated, never reused, freed tables are spoilt. Misbehaves on demand. */
#define GUEST_BASE UINT64_C(0x40000000)
#define GUEST_BYTES ((size_t)256 << 20)
struct guest {
    unsigned char *memory;
    size_t used, live, calls, fail_at;
    uint64_t lie; /* added to the physical addresses of tables */
};

static inline void *guest_alloc(void *ctx, size_t bytes)
{
    struct guest *g = ctx;
    size_t at = (g->used + bytes - 1) & ~(bytes - 1);
    if (++g->calls == g->fail_at || at + bytes > GUEST_BYTES) return NULL;
    g->used = at + bytes;
    g->live += bytes;
    return g->memory + at;
}
static inline void guest_free(void *ctx, void *table, size_t bytes)
{
    struct guest *g = ctx;
    g->live -= bytes;
    memset(table, 0xdb, bytes);
}
static inline uint64_t guest_to_phys(void *ctx, void *table)
{
    struct guest *g = ctx;
    return (uint64_t)((unsigned char *)table - g->memory) + GUEST_BASE + g->lie;
}
static inline void *guest_to_ptr(void *ctx, uint64_t phys)
{
    struct guest *g = ctx;
    return g->memory + (phys - GUEST_BASE);
}
static const struct rmap_radix_table_ops guest_ops = {
    .struct_size = sizeof guest_ops, .alloc = guest_alloc, .free = guest_free, .to_phys = guest_to_phys,
    .to_ptr = guest_to_ptr};

/* Geometries that nobody's hardware has: tables of unlike sizes and frames far to the left, one level, five levels. */
static const struct rmap_pte_format odd_format = {
    .name = "odd", .page_shift = 12, .payload_shift = 20, .payload_bits = 40, .kind_shift = 8, .present_mask = 1,
    .present_value = 1, .attr = {{2, 2}, {4, 4}, {8, 8}, {16, 16}, {32, 32}, {64, 64}}};
static const struct rmap_radix_geometry odd = {
    .name = "odd", .format = &odd_format, .levels = 3, .bits = {3, 11, 2},
    .table_present = 1, .table_mask = 0x81, .lock_bit = 0x800};
static const struct rmap_radix_geometry single = {
    .name = "single", .format = &rmap_pte_format_soft, .levels = 1, .bits = {11}};
static const struct rmap_radix_geometry la57 = {
    .name = "la57", .format = &rmap_pte_format_x86_64, .levels = 5, .bits = {9, 9, 9, 9, 9},
    .table_present = 7, .table_mask = 0x87, .lock_bit = 0x200};

static const struct rmap_radix_geometry *const geometries[] = {
    &rmap_radix_x86_64,      &rmap_radix_sv39,        &rmap_radix_sv48, &rmap_radix_aarch64_4k, &rmap_radix_aarch64_16k,
    &rmap_radix_aarch64_64k, &rmap_radix_soft,        &odd,             &single,                &la57};
#define GEOMETRIES (sizeof geometries / sizeof *geometries)

struct world {
    const struct rmap_radix_geometry *g;
    struct test_alloc alloc;
    struct guest guest;
    bool in_guest;
    struct rmap_mmu mmu;
    uint64_t leaf; /* pages under one leaf table */
    uint64_t run;  /* slots of one run */
    struct rmap_radix_options options;
};

static inline void world_prepare(struct world *w, const struct rmap_radix_geometry *g, bool in_guest)
{
    memset(w, 0, sizeof *w);
    w->g = g;
    w->in_guest = in_guest;
    w->leaf = (uint64_t)1 << g->bits[0];
    w->run = w->leaf < RMAP_RUN_MAX ? w->leaf : RMAP_RUN_MAX;
    test_alloc_init(&w->alloc);
    w->options = (struct rmap_radix_options){.struct_size = sizeof w->options, .geometry = g, .alloc = &w->alloc.a};
    if (!in_guest) return;
    void *memory = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(memory != MAP_FAILED);
    w->guest.memory = memory;
    w->options.tables = &guest_ops;
    w->options.tables_ctx = &w->guest;
}

static inline void world_init(struct world *w, const struct rmap_radix_geometry *g, bool in_guest)
{
    world_prepare(w, g, in_guest);
    CHECK_OK(rmap_radix_create(&w->options, &w->mmu));
}

static inline void world_fini(struct world *w)
{
    rmap_radix_destroy(&w->mmu);
    CHECK_EQ(w->mmu.ctx, NULL);
    CHECK_EQ(w->alloc.live_blocks, 0);
    CHECK_EQ(w->guest.live, 0);
    if (w->in_guest) munmap(w->guest.memory, GUEST_BYTES);
}

/* for (struct world w; each_world(&n, &w);) { … } runs the body in every world; `n` starts at 0. */
static inline bool each_world(unsigned *n, struct world *w)
{
    if (*n > 0) world_fini(w);
    if (*n == 2 * GEOMETRIES) return false;
    world_init(w, geometries[*n / 2], *n % 2);
    (*n)++;
    return true;
}
#define EACH_WORLD(w)   \
    unsigned world_ = 0; \
    for (struct world w; each_world(&world_, &w);)

static inline int find(const struct rmap_mmu *m, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    return m->ops->run_find(m->ctx, vpn, end, run);
}
static inline int make(const struct rmap_mmu *m, rmap_vpn_t vpn, struct rmap_mmu_run *run)
{
    struct rmap_tables t = {{NULL}, 0};
    int error = m->ops->reserve(m->ctx, vpn, &t);
    if (error) return error;
    error = m->ops->run_make(m->ctx, vpn, &t, run);
    m->ops->unreserve(m->ctx, &t);
    return error;
}
static inline void unlock(const struct rmap_mmu *m, struct rmap_mmu_run *run) { m->ops->run_unlock(m->ctx, run); }

static inline void set_entry(const struct rmap_mmu *m, rmap_vpn_t vpn, rmap_pte_t e)
{
    struct rmap_mmu_run run;
    CHECK_OK(make(m, vpn, &run));
    rmap_run_set(m, &run, (uint32_t)(vpn - run.first), e);
    unlock(m, &run);
}
/* A present, readable, accessed entry. */
static inline rmap_pte_t entry_of(const struct rmap_mmu *m, rmap_pfn_t pfn)
{
    return rmap_pte_make(m->ops->format, pfn, 1u << RMAP_ATTR_ACCESSED);
}
static inline size_t bytes_of(const struct rmap_mmu *m) { return m->ops->table_bytes(m->ctx); }

/* Bytes of a table of `level` and of all tables on the way to one page. */
static inline size_t level_bytes(const struct rmap_radix_geometry *g, unsigned level)
{
    size_t bytes = (size_t)8 << g->bits[level];
    size_t least = level == g->levels - 1 ? 64 : (size_t)1 << g->format->page_shift;
    return bytes > least ? bytes : least;
}

/* A table's memory, from its physical address. */
static inline uint64_t *words_at(struct world *w, uint64_t phys)
{
    return w->in_guest ? guest_to_ptr(&w->guest, phys) : (void *)(uintptr_t)phys;
}
/* The word of the upper entry of `level` (≥ 1) on the way to vpn; NULL if a table above it is missing. */
static inline uint64_t *upper_entry(struct world *w, unsigned level, rmap_vpn_t vpn)
{
    const struct rmap_pte_format *f = w->g->format;
    uint64_t *table = words_at(w, rmap_radix_root(&w->mmu));
    for (unsigned l = w->g->levels - 1;; l--) {
        unsigned shift = 0;
        for (unsigned below = 0; below < l; below++) shift += w->g->bits[below];
        uint64_t *word = &table[vpn >> shift & (((uint64_t)1 << w->g->bits[l]) - 1)];
        if (l == level) return word;
        if (!*word) return NULL;
        table = words_at(w, rmap_pte_pfn(f, *word) << f->page_shift);
    }
}

#endif
