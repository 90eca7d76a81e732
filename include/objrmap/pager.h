/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/pager.h  The pager: frames under a budget, reclaim, swap, commit accounting. The second tier.
 *
 * It uses the core's public headers only. An embedder supplies an MMU for each space by a provider: radix, host, or its own.
 * Threads: everything but creation and destruction may be called by any number of them at once; the core's page verbs, too. Each
 * space has a lock of its own (space.h). Reclaim, in the thread that needs a frame or in one of yours (rmap_reclaim), takes no
 * space lock; there is one reclaim at a time, and who needs a frame meanwhile waits for it. No call touches the buffers
 * of read and write, which may be projected memory, under any lock; what other calls fill must not lie there. The order of
 * locks is in docs/locking.md.
 * A fault needs at most two free frames (neighbours are read into frames to spare), and about 48 KiB of stack
 * (with lz4, whose compressor takes 16).
 */
#ifndef OBJRMAP_PAGER_H
#define OBJRMAP_PAGER_H

#include <objrmap/device.h>
#include <objrmap/group.h>
#include <objrmap/memory.h>
#include <objrmap/mmu.h>
#include <objrmap/rmap.h>
#include <objrmap/stats.h>
#include <objrmap/swapmap.h>

struct rmap_pager;

struct rmap_pager_options {
    size_t struct_size;
    const struct rmap_allocator *alloc;       /**< NULL: default */
    const struct rmap_mmu_provider *provider; /**< required; copied, its ctx must outlive the pager */
    struct rmap_memory *memory;               /**< frames; NULL: the pager makes its own of `frames` frames */
    uint64_t frames;                          /**< budget in frames, 16 …; with `memory`: at most memory->frames */
    unsigned page_shift;                      /**< 12 … 16; with `memory` equal to memory->page_shift */
    uint64_t commit_limit;                    /**< pages that may be charged, 0: no strict accounting (S11) */
    struct rmap_device *swap;                 /**< first swap device or NULL; ownership passes on success */
    enum rmap_move_policy move_policy;        /**< of new spaces; forks inherit it */
    unsigned evict_batch;                     /**< pages evicted at a time, 0: a default (64); 1 … 256 */
    /** Pages of the aligned block around a fault on swap that it brings in: the neighbours that are cached are mapped, and, where
     *  the space's faults are near each other and frames are to spare, those on swap are read with the page. 0 or 1: the page
     *  alone; a power of two, at most 16. From 2 on reclaim takes frames by aligned clusters of 16, whatever the block.
     *  A fault on swap costs up to swap_around - 1 more slot look-ups, twice where neighbours are read. Neighbours count as
     *  accessed where the MMU has update(), elsewhere when they are touched. A neighbour that cannot be read stays on swap and
     *  fails nobody's fault, but counts in the slot map's read_errors. */
    unsigned swap_around;
};

struct rmap_pager_stats {
    uint64_t frames_total, frames_used, frames_peak; /**< used: handed out, the zero frame included */
    uint64_t frames_lost;                            /**< poisoned and out of use */
    uint64_t spaces, spaces_peak;
    uint64_t faults, faults_minor; /**< minor: the entry was there (a translation was missing) */
    uint64_t zero_maps;            /**< read faults served by the zero page */
    uint64_t anon_new;             /**< pages instantiated by write faults */
    uint64_t cow_copies, cow_reuses;
    uint64_t swap_ins, swap_in_cached; /**< pages read from the device, neighbours as well; found in the cache, without them */
    uint64_t swap_in_around;           /**< swap entries that became mappings with a neighbour's fault, read or cached */
    uint64_t swap_in_copies;           /**< private copies for moved swap entries (S10) */
    uint64_t evictions;                /**< frames freed by reclaim */
    uint64_t shared_evictions;         /**< of those, pages mapped by two or more spaces when their unmap began */
    uint64_t swap_outs;                /**< pages written */
    uint64_t lazily_freed;             /**< pages marked by RMAP_ADVISE_FREE */
    uint64_t discards;                 /**< of evictions, such pages, which went unwritten */
    uint64_t reclaim_failures;         /**< pages put back: young, locked, busy, write error */
    uint64_t aged, activated;
    uint64_t migrations;                                       /**< pages moved to other frames by rmap_pager_vacate */
    uint64_t moves, moves_reindexed, moves_copied, moves_swap; /**< calls; pages; pages; swap entries */
    uint64_t moves_tracked;                                    /**< shared pages that TRACK spared the copy of */
    uint64_t committed;                                        /**< pages charged now */
    uint64_t regions;
    uint64_t pagetable_bytes; /**< of all spaces' tables */
    uint64_t shared_pages,
        exclusive_pages; /**< resident mapped pages by mapcount > 1, = 1 (counted by this call: O(frames)) */
    uint64_t space_waits, reclaim_waits; /**< how often a thread found a space's lock, or the reclaim lock, taken */
};

/** How far rmap_pager_remove_swap() came. */
struct rmap_swapoff {
    uint64_t slots_left; /**< of the device, still in use */
    uint64_t entries;    /**< swap entries that became mappings */
    uint64_t pages_in;   /**< pages read from the device for them; the others shared one that was there */
    uint64_t copies;     /**< private copies, for entries moved while shared (S10) */
};

RMAP_BEGIN_DECLS

/** @return 0; NULL_ARG; STRUCT_SIZE; RANGE (frames, page_shift, evict_batch, swap_around); INVALID (move_policy; the
 *  provider shows another memory than `memory`); NOMEM; SYSTEM; as rmap_swap_add for `swap`. Allocates. */
RMAP_API int rmap_pager_create(const struct rmap_pager_options *options, struct rmap_pager **out);
/** @return 0; NULL_ARG; BUSY (a space, a pin or another page reference is left; this thread is inside a call). */
RMAP_API int rmap_pager_destroy(struct rmap_pager *p);

/** The core instance beneath, for verbs, verify and statistics. Valid as long as the pager. */
RMAP_API struct rmap *rmap_pager_rmap(struct rmap_pager *p);
/** Its slot map; NULL while it has no device. */
RMAP_API struct rmap_swap *rmap_pager_swap(struct rmap_pager *p);
/** Add a swap device (ownership passes on success). @return as rmap_swap_add. */
RMAP_API int rmap_pager_add_swap(struct rmap_pager *p, struct rmap_device *device);
/**
 * swapoff: take a device out. Slot by slot its entries are found in the page tables (rmap_each_swap) and brought in
 * as faults would do it: shared where they were shared, private where they were moved, not present where nothing may
 * be accessed; clean copies are given up. What does not fit into memory goes to the other devices meanwhile.
 * => May block (reclaim, swap I/O). Other calls, of other threads, go on: a space's lock is taken, shared, for one
 *    entry at a time. No new slot is taken on the device meanwhile.
 * => On success the device is the caller's again. After an error it is the pager's and takes part again; nothing is
 *    lost, and what was brought in stays (PARTIAL): a later call goes on with the slots that are left.
 * @return 0; NULL_ARG; ABSENT (no device of this pager); BUSY (this thread is inside a call; another one is removing
 *   the device; an entry is in the hands of a member that is no space of this pager);
 *   NO_FRAME (neither memory nor the other devices have room); IO_READ, CORRUPT, POISON, OVERFLOW (a page that is needed
 *   cannot be had: its slot goes when its spaces drop it); NOMEM (the device's). `progress` may be NULL; it is filled in any
 *   case.
 * Cost: for each slot a look-up, one read, a fault for each entry; O(log spaces) to find the space of an entry.
 */
RMAP_API int rmap_pager_remove_swap(struct rmap_pager *p, struct rmap_device *device, struct rmap_swapoff *progress);

/**
 * Reclaim up to n frames now. Ages, unmaps from every space, writes to swap, frees. Lazily freed pages go without being
 * written; without a swap device they alone go. Pages that a device refused to take (in bad slots) are tried again, in turn; while
 * it goes on refusing, no more of them than `evict_batch` in one call. The same holds for the reclaim of a fault.
 * => May block (I/O). @return number of frames freed, or a negative error (NULL_ARG; BUSY: this thread is
 *    inside a call of the pager).
 */
RMAP_API int64_t rmap_reclaim(struct rmap_pager *p, uint64_t n);

/**
 * Empty the frames [first, first + count): the contents of each used one move to a frame outside, under all mappings
 * at once (migrate.h); ages and places in the reclaim lists go along. Pinned and busy pages stay, and so do the zero
 * frame and frames that only somebody's reference holds. The frames that came free can be handed out again by the next
 * allocation.
 * => May reclaim. Cost: for each page a search for a frame, two walks and a copy.
 * @return pages moved, fewer than there were if no frame outside could be had; NULL_ARG; RANGE; BUSY (this thread is
 *    inside a call).
 */
RMAP_API int64_t rmap_pager_vacate(struct rmap_pager *p, rmap_pfn_t first, uint64_t count);

/**
 * The memory of a frame has failed. A free frame is taken out of use; a used one is poisoned (rmap_poison), which
 * tells `fn` (may be NULL) of every mapping that lost its contents, under run locks. A clean page with its copy on
 * swap becomes swap entries instead, a lazily freed one nothing: then nobody is told, for nothing is lost. Faults at
 * lost pages answer POISON until the place is unmapped or advised DONTNEED.
 * @return 0; NULL_ARG; RANGE; EXISTS (out of use already); UNSUPPORTED (the zero frame); BUSY (this thread is inside a
 *    call; or fn stopped it, the page is being migrated, a mapping may have been missed, or the frame is in the hands of
 *    a fault, or of whoever allocated it, and no page yet. Call again; lost are only those whose POISON is set by then:
 *    fn's, and those with missed mappings).
 */
RMAP_API int rmap_pager_poison(struct rmap_pager *p, rmap_pfn_t pfn, rmap_mapping_fn *fn, void *ctx);

/** Counters, and gauges counted now: each as it is when it is read, O(frames + spaces). @return 0; NULL_ARG; BUSY. */
RMAP_API int rmap_pager_get_stats(struct rmap_pager *p, struct rmap_pager_stats *out);

/** rmap_verify, rmap_swap_verify and the pager's own books (frames, lists, regions, charges). Quiet point.
 *  `report` may be NULL. @return 0; NULL_ARG; BUSY; NOMEM; VERIFY. */
struct rmap_verify_report;
RMAP_API int rmap_pager_verify(struct rmap_pager *p, struct rmap_verify_report *report);

RMAP_END_DECLS
#endif
