/* SPDX-License-Identifier: MIT */
/**
 * @file property/tlb_mmu.h  A radix MMU with a processor in front of it that caches translations, as an emulator would.
 *
 * The processor walks the tables as hardware does: a translation is loaded when an entry allows the access, which sets
 * its accessed (and, for a write, dirty) attribute; from then on it is used without looking at the entry. A translation
 * is forgotten only by flush(). So a flush that is missing shows as a translation that no entry backs, and a frame that
 * was released too early shows in flush(), where the page that a translation still names must be counted as mapped
 * (INV-6).
 */
#ifndef RMAP_TESTS_PROPERTY_TLB_MMU_H
#define RMAP_TESTS_PROPERTY_TLB_MMU_H

#include "property/oracle.h"

#include <objrmap/radix.h>

struct tlb_entry {
    bool valid, write, exec;
    rmap_pfn_t pfn;
};

struct tlb_mmu;
/** Called for each translation that is about to be forgotten or to lose `write`: until now it could be used. */
typedef void tlb_last_use_fn(void *ctx, struct tlb_mmu *t, rmap_vpn_t vpn);

struct tlb_mmu {
    struct rmap_mmu_ops ops;
    struct rmap_mmu tables; /* a radix MMU */
    struct tlb_entry tlb[ORACLE_PAGES];
    bool active; /* a processor runs on the space */
    int space;   /* the test's number for it, -1 until it has one */
    tlb_last_use_fn *last_use;
    void *last_use_ctx;
    const char *wrong; /* a flush that should not have been asked for */
};

/** The object behind an MMU that tlb_mmu_create made. */
static inline struct tlb_mmu *tlb_mmu_of(const struct rmap_mmu *mmu)
{
    return mmu->ctx;
}

/** Of ORACLE_PAGES pages, with `caps`; `radix` says how the tables are made. @return as rmap_radix_create. */
int tlb_mmu_create(const struct rmap_radix_options *radix, unsigned caps, tlb_last_use_fn *last_use, void *ctx,
                   struct rmap_mmu *out);
void tlb_mmu_destroy(struct rmap_mmu *mmu);

/** The processor accesses a page. @return 0 with the frame; ABSENT: it faults. */
int tlb_mmu_access(struct tlb_mmu *t, rmap_vpn_t vpn, unsigned access, rmap_pfn_t *pfn);
/** Stop using the space: all translations are forgotten, and none is loaded until it is active again. */
void tlb_mmu_set_active(struct tlb_mmu *t, bool active);
/** What is wrong with the translation of `vpn`, given the entry that is there now; NULL if it may be used. */
const char *tlb_mmu_check(const struct tlb_mmu *t, rmap_vpn_t vpn, rmap_pte_t entry);

#endif
