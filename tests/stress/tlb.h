/* SPDX-License-Identifier: MIT */
/**
 * @file stress/tlb.h  An MMU with processors: radix tables, and translations that are used until a flush forgets them.
 *
 * A processor's access (cpu_access) is one moment in which the translation cannot be flushed: it holds the TLB's lock
 * shared, flush() takes it exclusively. So what objrmap/mmu.h promises is all that keeps a stale translation from being
 * used. A missing translation is loaded by the processor, which walks the tables without any run lock and sets
 * "accessed" and "dirty" by compare-and-swap, or by update(), when a fault has been resolved.
 *
 * Each use looks at the frame's descriptor: it must count a mapping (INV-6: the count outlives the flush).
 */
#ifndef RMAP_TESTS_STRESS_TLB_H
#define RMAP_TESTS_STRESS_TLB_H

#include <objrmap/mmu.h>

struct tlb;
struct world;

#define TLB_PAGES 2560 /* of virtual memory, five tables */

/** A provider whose MMUs belong to `w` (world.h). In turn they differ in caps, and in whether entries lie open. */
struct rmap_mmu_provider tlb_provider(struct world *w);

/** What a processor does with the frame: at once, it must not call the library. */
typedef void cpu_action(void *ctx, unsigned char *frame);

/** A processor begins, or ends, to run on the space. Without any, nothing is cached and flushes are elided. */
void cpu_enter(struct tlb *t);
void cpu_leave(struct tlb *t);
/** One that does nothing begins, or ends, to run there: translations live on from one operation to the next. */
void cpu_set_resident(struct tlb *t, bool resident);
/**
 * Access one page: by its translation, which is loaded if there is none. cpu_enter() before.
 * @return 0; ABSENT: the processor faults.
 */
int cpu_access(struct tlb *t, rmap_vpn_t vpn, unsigned access, cpu_action *action, void *ctx);

/** The TLB behind a space's MMU. */
struct tlb *tlb_of(const struct rmap_mmu *mmu);
/** The frame that `vpn` is cached for, by now perhaps no more; RMAP_PFN_NONE: none. */
rmap_pfn_t tlb_frame(struct tlb *t, rmap_vpn_t vpn);
/**
 * An operation on [first, first + count) has returned, and nobody can have loaded a translation since: there must be none,
 * or, of WRITE, none that allows a store.
 */
void tlb_expect_flushed(struct tlb *t, rmap_vpn_t first, uint64_t count, enum rmap_flush_kind kind, const char *after);
/** At a quiet point: is every translation backed by its entry? Fails the run if not. */
void tlb_check(struct tlb *t);

#endif
