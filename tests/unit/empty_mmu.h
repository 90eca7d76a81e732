/* SPDX-License-Identifier: MIT */
/** @file unit/empty_mmu.h  An MMU that has no table anywhere: for members whose mappings are only counted. */
#ifndef RMAP_TESTS_UNIT_EMPTY_MMU_H
#define RMAP_TESTS_UNIT_EMPTY_MMU_H

#include <objrmap/error.h>
#include <objrmap/mmu.h>

static inline int empty_find(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    (void)mmu, (void)vpn, (void)end, (void)run;
    return RMAP_ERR_ABSENT;
}
static inline int empty_make(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    (void)mmu, (void)vpn, (void)t, (void)run;
    return RMAP_ERR_BLOCK;
}
static inline void empty_unlock(void *mmu, struct rmap_mmu_run *run) { (void)mmu, (void)run; }
static inline int empty_reserve(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t)
{
    (void)mmu, (void)vpn, (void)t;
    return RMAP_ERR_NOMEM;
}
static inline void empty_unreserve(void *mmu, struct rmap_tables *t) { (void)mmu, (void)t; }
static const struct rmap_mmu_ops empty_mmu_ops = {
    .struct_size = sizeof empty_mmu_ops, .name = "empty", .format = &rmap_pte_format_soft, .caps = RMAP_MMU_NO_TLB,
    .run_find = empty_find, .run_make = empty_make, .run_unlock = empty_unlock, .reserve = empty_reserve,
    .unreserve = empty_unreserve};

#endif
