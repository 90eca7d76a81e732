/* SPDX-License-Identifier: MIT */
/** @file support/flat_mmu.c  See the header. */
#include "support/flat_mmu.h"

#include <objrmap/radix.h>

static int run_find(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    const struct flat_table *t = mmu;
    const rmap_vpn_t first = vpn - vpn % RMAP_RUN_MAX, left = t->pages - first;
    (void)end;
    *run = (struct rmap_mmu_run){
        .slots = t->slots + first, .first = first, .count = (uint32_t)(left < RMAP_RUN_MAX ? left : RMAP_RUN_MAX)};
    return 0;
}

static int run_make(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    (void)t;
    return run_find(mmu, vpn, vpn + 1, run);
}

static void run_unlock(void *mmu, struct rmap_mmu_run *run)
{
    (void)mmu, (void)run;
}

static int reserve(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t)
{
    (void)mmu, (void)vpn, (void)t;
    return 0;
}

static void unreserve(void *mmu, struct rmap_tables *t)
{
    (void)mmu, (void)t;
}

struct rmap_mmu flat_mmu(struct flat_table *t)
{
    static struct rmap_mmu_ops ops = {.struct_size = sizeof ops,
                                      .name = "flat",
                                      .caps = RMAP_MMU_NO_TLB,
                                      .run_find = run_find,
                                      .run_make = run_make,
                                      .run_unlock = run_unlock,
                                      .reserve = reserve,
                                      .unreserve = unreserve};
    ops.format = rmap_radix_soft.format;
    return (struct rmap_mmu){.ops = &ops, .ctx = t, .pages = t->pages};
}
