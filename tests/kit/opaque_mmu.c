/* SPDX-License-Identifier: MIT */
/** @file kit/opaque_mmu.c  See opaque_mmu.h. Locks: a block's, then the TLB's. */
#include "kit/opaque_mmu.h"

#include <stdlib.h>

#define BLOCKS (OPAQUE_PAGES / OPAQUE_BLOCK)

struct block {
    pthread_mutex_t lock;
    rmap_pte_t entry[OPAQUE_BLOCK];
};

struct opaque {
    struct opaque_device *d;
    struct block *block[BLOCKS]; /* [a] set once; cleared by trim only */
    struct tlb tlb;
    bool active; /* [a] */
};

/* "Read-only", "not executable", "old" and "clean" bits; present is a pattern of two bits. */
const struct rmap_pte_format opaque_format = {
    .name = "opaque",
    .page_shift = 12,
    .payload_shift = 0,
    .payload_bits = 40,
    .kind_shift = 58,
    .present_mask = (uint64_t)3 << 62,
    .present_value = (uint64_t)2 << 62,
    .fixed = (uint64_t)1 << 60,
    .attr = {[RMAP_ATTR_WRITE] = {(uint64_t)1 << 40, 0},
             [RMAP_ATTR_EXEC] = {(uint64_t)1 << 41, 0},
             [RMAP_ATTR_ACCESSED] = {(uint64_t)1 << 42, 0},
             [RMAP_ATTR_DIRTY] = {(uint64_t)1 << 43, 0},
             [RMAP_ATTR_LOCKED] = {(uint64_t)3 << 44, (uint64_t)2 << 44},
             [RMAP_ATTR_SOFT_DIRTY] = {(uint64_t)1 << 46, (uint64_t)1 << 46}},
};

/* ---- blocks ---- */

static struct block *block_new(struct opaque_device *d)
{
    uint64_t budget = __atomic_load_n(&d->budget, __ATOMIC_RELAXED);
    if (budget == 0) return NULL;
    if (budget != RMAP_TESTING_NEVER) __atomic_store_n(&d->budget, budget - 1, __ATOMIC_RELAXED);
    struct block *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    pthread_mutex_init(&b->lock, NULL);
    __atomic_add_fetch(&d->blocks, 1, __ATOMIC_RELAXED);
    return b;
}

static void block_free(struct opaque_device *d, struct block *b)
{
    if (!b) return;
    __atomic_sub_fetch(&d->blocks, 1, __ATOMIC_RELAXED);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static struct block *block_of(struct opaque *s, rmap_vpn_t vpn)
{
    return vpn < OPAQUE_PAGES ? __atomic_load_n(&s->block[vpn / OPAQUE_BLOCK], __ATOMIC_ACQUIRE) : NULL;
}

static rmap_pte_t *slot(void *ctx, rmap_vpn_t vpn)
{
    struct block *b = block_of(ctx, vpn);
    return b ? &b->entry[vpn % OPAQUE_BLOCK] : NULL;
}

rmap_pte_t *opaque_slot(const struct rmap_mmu *mmu, rmap_vpn_t vpn)
{
    return slot(mmu->ctx, vpn);
}

/* ---- runs ---- */

static int lock_run(struct block *b, rmap_vpn_t vpn, struct rmap_mmu_run *run)
{
    pthread_mutex_lock(&b->lock);
    *run = (struct rmap_mmu_run){.first = vpn / OPAQUE_BLOCK * OPAQUE_BLOCK, .count = OPAQUE_BLOCK, .cookie = b};
    return 0;
}

static int run_find(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    for (; vpn < end && vpn < OPAQUE_PAGES; vpn = (vpn / OPAQUE_BLOCK + 1) * OPAQUE_BLOCK) {
        struct block *b = block_of(mmu, vpn);
        if (b) return lock_run(b, vpn, run);
    }
    return RMAP_ERR_ABSENT;
}

static int run_make(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    struct opaque *s = mmu;
    struct block *none = NULL;
    if (t->count && __atomic_compare_exchange_n(&s->block[vpn / OPAQUE_BLOCK], &none, t->table[0], false,
                                                __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        t->table[0] = NULL;
        t->count = 0;
    }
    return lock_run(block_of(s, vpn), vpn, run);
}

static void run_unlock(void *mmu, struct rmap_mmu_run *run)
{
    (void)mmu;
    pthread_mutex_unlock(&((struct block *)run->cookie)->lock);
}

static int reserve(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t)
{
    struct opaque *s = mmu;
    if (vpn >= OPAQUE_PAGES) return RMAP_ERR_RANGE;
    if (t->count || block_of(s, vpn)) return 0;
    t->table[0] = block_new(s->d);
    if (!t->table[0]) return RMAP_ERR_NOMEM;
    t->count = 1;
    return 0;
}

static void unreserve(void *mmu, struct rmap_tables *t)
{
    block_free(((struct opaque *)mmu)->d, t->table[0]);
    t->table[0] = NULL;
    t->count = 0;
}

static bool is_empty(const struct block *b)
{
    for (unsigned i = 0; i < OPAQUE_BLOCK; i++)
        if (b->entry[i]) return false;
    return true;
}

static void trim(void *mmu, rmap_vpn_t first, rmap_vpn_t end)
{
    struct opaque *s = mmu;
    for (uint64_t n = (first + OPAQUE_BLOCK - 1) / OPAQUE_BLOCK; n < end / OPAQUE_BLOCK; n++) {
        if (!s->block[n] || !is_empty(s->block[n])) continue;
        block_free(s->d, s->block[n]);
        s->block[n] = NULL;
    }
}

static size_t table_bytes(void *mmu)
{
    struct opaque *s = mmu;
    size_t bytes = sizeof *s;
    for (uint64_t n = 0; n < BLOCKS; n++) bytes += s->block[n] ? sizeof *s->block[n] : 0;
    return bytes;
}

/* ---- entries ---- */

static rmap_pte_t get(void *mmu, const struct rmap_mmu_run *run, uint32_t i)
{
    return __atomic_load_n(slot(mmu, run->first + i), __ATOMIC_ACQUIRE);
}
static void set(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    __atomic_store_n(slot(mmu, run->first + i), e, __ATOMIC_RELEASE);
}
static rmap_pte_t exchange(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    return __atomic_exchange_n(slot(mmu, run->first + i), e, __ATOMIC_ACQ_REL);
}

/* ---- translations ---- */

static void flush(void *mmu, const struct rmap_flush_range *ranges, size_t n)
{
    tlb_flush(&((struct opaque *)mmu)->tlb, ranges, n);
}

static bool active(void *mmu)
{
    return __atomic_load_n(&((struct opaque *)mmu)->active, __ATOMIC_ACQUIRE);
}

static void update(void *mmu, const struct rmap_mmu_run *run, rmap_vpn_t vpn, unsigned access)
{
    struct opaque *s = mmu;
    (void)access;
    if (s->d->caps & RMAP_MMU_NO_TLB) return;
    for (uint32_t i = 0; i < run->count; i++)
        if (run->first + i + 4 > vpn && run->first + i < vpn + 4)
            tlb_load(&s->tlb, &opaque_format, run->first + i, get(s, run, i));
}

int opaque_touch(void *ctx, const struct rmap_mmu *mmu, rmap_vpn_t vpn, unsigned access, rmap_pfn_t *pfn)
{
    struct opaque *s = mmu->ctx;
    struct rmap_mmu_run run;
    (void)ctx;
    const bool no_tlb = s->d->caps & RMAP_MMU_NO_TLB;
    const int error = tlb_access(no_tlb ? NULL : &s->tlb, &opaque_format, vpn, access, slot, s, pfn);
    /* Fault-around, by the MMU's own initiative. */
    if (!error && run_find(s, vpn, vpn + 1, &run) == 0) {
        update(s, &run, vpn, access);
        run_unlock(s, &run);
    }
    return error;
}

void opaque_fail_tables(void *ctx, uint64_t after)
{
    __atomic_store_n(&((struct opaque_device *)ctx)->budget, after, __ATOMIC_RELAXED);
}

void opaque_set_active(void *ctx, const struct rmap_mmu *mmu, bool on)
{
    struct opaque *s = mmu->ctx;
    (void)ctx;
    if (!on) tlb_clear(&s->tlb);
    __atomic_store_n(&s->active, on, __ATOMIC_RELEASE);
}

/* ---- devices and spaces ---- */

void opaque_device_init(struct opaque_device *d, unsigned caps)
{
    const bool tlb = !(caps & RMAP_MMU_NO_TLB);
    *d = (struct opaque_device){.caps = caps, .budget = RMAP_TESTING_NEVER};
    d->ops = (struct rmap_mmu_ops){.struct_size = sizeof d->ops,
                                   .name = "opaque",
                                   .format = &opaque_format,
                                   .caps = caps,
                                   .run_find = run_find,
                                   .run_make = run_make,
                                   .run_unlock = run_unlock,
                                   .reserve = reserve,
                                   .unreserve = unreserve,
                                   .trim = trim,
                                   .get = get,
                                   .set = set,
                                   .exchange = exchange,
                                   .flush = tlb ? flush : NULL,
                                   .active = active,
                                   .update = update,
                                   .table_bytes = table_bytes};
}

int opaque_create(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    struct opaque *s = calloc(1, sizeof *s);
    (void)client; /* its walker marks entries itself: an access that faults is for the caller of touch */
    if (!s) return RMAP_ERR_NOMEM;
    s->d = ctx;
    s->active = true;
    tlb_init(&s->tlb);
    *out = (struct rmap_mmu){.ops = &s->d->ops, .ctx = s, .pages = OPAQUE_PAGES};
    return 0;
}

void opaque_destroy(void *ctx, struct rmap_mmu *mmu)
{
    struct opaque *s = mmu->ctx;
    for (uint64_t n = 0; n < BLOCKS; n++) block_free(ctx, s->block[n]);
    pthread_mutex_destroy(&s->tlb.lock);
    free(s);
    *mmu = (struct rmap_mmu){0};
}
