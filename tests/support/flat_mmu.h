/* SPDX-License-Identifier: MIT */
/**
 * @file support/flat_mmu.h  The cheapest MMU: one array of entries a space, no tables to make, no TLB, no run lock.
 *
 *     RMAP_ATOMIC(rmap_pte_t) slots[16] = {0};
 *     struct flat_table table = {.pages = 16, .slots = slots};
 *     struct rmap_mmu mmu = flat_mmu(&table);
 *
 * For one thread, and for spaces by the hundred thousand. Entries are those of the software format.
 */
#ifndef RMAP_TESTS_SUPPORT_FLAT_MMU_H
#define RMAP_TESTS_SUPPORT_FLAT_MMU_H

#include <objrmap/mmu.h>

struct flat_table {
    rmap_vpn_t pages;
    RMAP_ATOMIC(rmap_pte_t) * slots; /**< [pages], zeroed before the first use */
};

/** `t` and its slots must outlive the MMU. */
struct rmap_mmu flat_mmu(struct flat_table *t);

#endif
