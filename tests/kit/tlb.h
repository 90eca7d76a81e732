/* SPDX-License-Identifier: MIT */
/**
 * @file kit/tlb.h  A processor's translation cache, for MMUs that the kit's tests bring along.
 *
 * It behaves as hardware does: it marks entries by compare and exchange, without the run lock; it keeps what it loaded
 * until it is told to forget; a translation that a read has loaded does not serve a write.
 */
#ifndef RMAP_TESTS_KIT_TLB_H
#define RMAP_TESTS_KIT_TLB_H

#include <objrmap/error.h>
#include <objrmap/mmu.h>

#include <pthread.h>

#define TLB_ENTRIES 64 /* direct-mapped */

struct tlb {
    pthread_mutex_t lock; /* innermost: held across a walk, so that a flush cannot pass one */
    struct {
        bool valid, write, exec;
        rmap_vpn_t vpn;
        rmap_pfn_t pfn;
    } entry[TLB_ENTRIES];
};

/** The word that holds the entry of vpn, or NULL. Takes no lock. */
typedef rmap_pte_t *tlb_slot_fn(void *ctx, rmap_vpn_t vpn);

void tlb_init(struct tlb *t);
void tlb_clear(struct tlb *t);
void tlb_flush(struct tlb *t, const struct rmap_flush_range *ranges, size_t n);
/** Load the translation of an entry that is accessed; one that is not is left out. */
void tlb_load(struct tlb *t, const struct rmap_pte_format *f, rmap_vpn_t vpn, rmap_pte_t e);
/** One access. `t` NULL: nothing is cached. @return 0 with *pfn; ABSENT; ACCESS. */
int tlb_access(struct tlb *t, const struct rmap_pte_format *f, rmap_vpn_t vpn, unsigned access, tlb_slot_fn *slot,
               void *ctx, rmap_pfn_t *pfn);

#endif
