/* SPDX-License-Identifier: MIT */
/**
 * @file kit/opaque_mmu.h  An MMU whose entries are not in memory: a "device" that is asked by get, set and exchange.
 *
 * Blocks of 64 entries, found through a directory, made on demand; a format of its own, in which every polarity is the
 * wrong way round; a TLB; fault-around in update(); tables that can be made to fail. It keeps every rule of the kit, and
 * is what the broken MMUs of test_kit_broken.c are made from.
 */
#ifndef RMAP_TESTS_KIT_OPAQUE_MMU_H
#define RMAP_TESTS_KIT_OPAQUE_MMU_H

#include "kit/tlb.h"

#include <objrmap/testing.h>

#define OPAQUE_BLOCK 64
#define OPAQUE_PAGES ((rmap_vpn_t)1 << 16)

/** All spaces of one device. */
struct opaque_device {
    unsigned caps; /**< of the MMUs made from now on */
    struct rmap_mmu_ops ops;
    uint64_t budget; /**< [a] allocations of blocks that still succeed; RMAP_TESTING_NEVER: all */
    uint64_t blocks; /**< [a] that live */
};

void opaque_device_init(struct opaque_device *d, unsigned caps);
extern const struct rmap_pte_format opaque_format;

/** Hooks of struct rmap_mmu_provider and struct rmap_testing_mmu; ctx is the device. */
int opaque_create(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out);
void opaque_destroy(void *ctx, struct rmap_mmu *mmu);
int opaque_touch(void *ctx, const struct rmap_mmu *mmu, rmap_vpn_t vpn, unsigned access, rmap_pfn_t *pfn);
void opaque_fail_tables(void *ctx, uint64_t after);
/** The word of an entry, or NULL: for walkers and for those who break things. Takes no lock. */
rmap_pte_t *opaque_slot(const struct rmap_mmu *mmu, rmap_vpn_t vpn);
void opaque_set_active(void *ctx, const struct rmap_mmu *mmu, bool active);

#endif
