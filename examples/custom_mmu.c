/* SPDX-License-Identifier: MIT */
/*
 * custom_mmu: the smallest MMU of one's own, and the kit that checks it. It could be an emulator's: a flat table of
 * entries in a format of its own, a software TLB of 16 entries, and the function by which guest code reaches memory.
 * Prints a line for each rule of the contract; ends with 0 if none is broken.
 */
#include <objrmap.h>
#include <objrmap/testing.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGES 4096 /* of a space: 16 MiB */
#define SLOTS 512  /* of a run: an eighth of the table */
#define TLB 16

struct vm {
    _Atomic(rmap_pte_t) entry[PAGES];
    pthread_mutex_t run_lock; /* one for all runs is enough: no caller ever holds two of one MMU */
    pthread_mutex_t tlb_lock; /* innermost; flush must not need the run lock */
    struct {
        rmap_vpn_t vpn;
        rmap_pte_t entry; /* as it was when it was loaded; 0: nothing is cached */
    } tlb[TLB];
};

/*
 * 1. The entry format, as data:  63……12 frame | 11…9 kind | 5 soft-dirty | 4 locked | 3 dirty | 2 accessed | 1 write |
 * 0 present. There is no execute bit. What is not present keeps its bits in place, and `kind` says what it is.
 */
/* clang-format off */
static const struct rmap_pte_format format = {
    .name = "custom", .page_shift = 12, .payload_shift = 12, .payload_bits = 52, .kind_shift = 9,
    .present_mask = 1, .present_value = 1,
    .attr = {[RMAP_ATTR_WRITE] = {2, 2}, [RMAP_ATTR_ACCESSED] = {4, 4}, [RMAP_ATTR_DIRTY] = {8, 8},
             [RMAP_ATTR_LOCKED] = {16, 16}, [RMAP_ATTR_SOFT_DIRTY] = {32, 32}},
};
/* clang-format on */

/* 2. Runs. Every table is there from the beginning, so the first run that has one is the run of `vpn`. */
static int run_find(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    struct vm *vm = mmu;
    if (vpn >= end || vpn >= PAGES) return RMAP_ERR_RANGE;
    pthread_mutex_lock(&vm->run_lock);
    run->first = vpn / SLOTS * SLOTS;
    run->count = SLOTS;
    run->slots = &vm->entry[run->first];
    return 0;
}
static int run_make(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    (void)t;
    return run_find(mmu, vpn, vpn + 1, run);
}
static void run_unlock(void *mmu, struct rmap_mmu_run *run)
{
    (void)run;
    pthread_mutex_unlock(&((struct vm *)mmu)->run_lock);
}

/* 3. Tables ahead of locks: none are ever missing. */
static int reserve(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t)
{
    (void)mmu, (void)t;
    return vpn < PAGES ? 0 : RMAP_ERR_RANGE;
}
static void unreserve(void *mmu, struct rmap_tables *t)
{
    (void)mmu, (void)t;
}

/* 4. Flush: every range, before it returns. WRITE leaves what reads need. */
static void flush(void *mmu, const struct rmap_flush_range *ranges, size_t n)
{
    struct vm *vm = mmu;
    pthread_mutex_lock(&vm->tlb_lock);
    for (size_t r = 0; r < n; r++) {
        for (unsigned i = 0; i < TLB; i++) {
            if (vm->tlb[i].vpn < ranges[r].first || vm->tlb[i].vpn - ranges[r].first >= ranges[r].count) continue;
            if (ranges[r].kind == RMAP_FLUSH_WRITE && vm->tlb[i].entry)
                vm->tlb[i].entry = rmap_pte_set(&format, vm->tlb[i].entry, RMAP_ATTR_WRITE, false);
            else
                vm->tlb[i].entry = 0;
        }
    }
    pthread_mutex_unlock(&vm->tlb_lock);
}

/* 5. Capabilities: a translation in the TLB does not set accessed again, so ageing has to flush. */
/* clang-format off */
static const struct rmap_mmu_ops ops = {
    .struct_size = sizeof ops, .name = "custom", .format = &format, .caps = RMAP_MMU_ACCESSED_NEEDS_FLUSH,
    .run_find = run_find, .run_make = run_make, .run_unlock = run_unlock,
    .reserve = reserve, .unreserve = unreserve, .flush = flush,
};
/* clang-format on */

/* A miss: the table walker. It marks the entry in one atomic step, so that no exchange can lose a mark. */
static int walk(struct vm *vm, rmap_vpn_t vpn, unsigned access, rmap_pte_t *out)
{
    rmap_pte_t e = vm->entry[vpn], marked;
    do {
        if (!rmap_pte_present(&format, e)) return RMAP_ERR_ABSENT;
        if ((access & RMAP_WRITE) && !rmap_pte_get(&format, e, RMAP_ATTR_WRITE)) return RMAP_ERR_ACCESS;
        marked = rmap_pte_set(&format, e, RMAP_ATTR_ACCESSED, true);
        if (access & RMAP_WRITE) marked = rmap_pte_set(&format, marked, RMAP_ATTR_DIRTY, true);
    } while (!atomic_compare_exchange_weak(&vm->entry[vpn], &e, marked));
    *out = marked;
    return 0;
}

/*
 * How the guest reaches a page; an error is a fault, for whoever handles those. The lock is held from the look at the
 * entry until the translation is in the TLB: a flush comes before both, or finds the translation. A cached entry that is
 * not dirty serves no write: the first write after a read misses, and sets dirty.
 */
static int translate(void *ctx, const struct rmap_mmu *mmu, rmap_vpn_t vpn, unsigned access, rmap_pfn_t *pfn)
{
    struct vm *vm = mmu->ctx;
    const unsigned i = vpn % TLB;
    int error = 0;
    (void)ctx;
    pthread_mutex_lock(&vm->tlb_lock);
    rmap_pte_t e = vm->tlb[i].vpn == vpn ? vm->tlb[i].entry : 0;
    bool writable = rmap_pte_get(&format, e, RMAP_ATTR_WRITE) && rmap_pte_get(&format, e, RMAP_ATTR_DIRTY);
    if (!e || ((access & RMAP_WRITE) && !writable)) error = walk(vm, vpn, access, &e);
    if (!error) {
        vm->tlb[i].vpn = vpn;
        vm->tlb[i].entry = e;
        *pfn = rmap_pte_pfn(&format, e);
    }
    pthread_mutex_unlock(&vm->tlb_lock);
    return error;
}

/* 6. One MMU for each space: what a pager, and the kit, call a provider. */
static int create(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    struct vm *vm = calloc(1, sizeof *vm);
    (void)ctx, (void)client; /* faults are the caller's of translate() */
    if (!vm) return RMAP_ERR_NOMEM;
    pthread_mutex_init(&vm->run_lock, NULL);
    pthread_mutex_init(&vm->tlb_lock, NULL);
    *out = (struct rmap_mmu){.ops = &ops, .ctx = vm, .pages = PAGES};
    return 0;
}
static void destroy(void *ctx, struct rmap_mmu *mmu)
{
    struct vm *vm = mmu->ctx;
    (void)ctx;
    pthread_mutex_destroy(&vm->run_lock);
    pthread_mutex_destroy(&vm->tlb_lock);
    free(vm);
}

int main(void)
{
    struct rmap_mmu_provider provider = {.struct_size = sizeof provider, .create = create, .destroy = destroy};
    struct rmap_testing_mmu mine = {
        .struct_size = sizeof mine, .provider = &provider, .frames = 64, .touch = translate};
    struct rmap_testing_options tap = {.struct_size = sizeof tap, .report = rmap_testing_tap, .report_ctx = stdout};
    mine.flags = RMAP_TESTING_THREADS; /* they may run our code, too: see the locks */
    return rmap_testing_run(&mine, &tap, NULL) ? 1 : 0;
}
