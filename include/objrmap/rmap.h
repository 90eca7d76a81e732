/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/rmap.h  The verbs: what can be done to every mapping of a page, and to a range of one space.
 *
 * All page verbs share one walk (lib/core/walk.c): candidates of page.owner in fork order, in each look at the single
 * entry slot at page.index, compare the frame. They take arrays: pages that follow each other by (owner, index) share
 * the descents; one page is the array of one.
 *
 * Contract of every page verb
 * => Each page is locked and referenced by the caller, stays so, and occurs once. Whoever locks many waits for the first
 *    at most (rmap_page_lock) and only tries the others (rmap_page_try_lock): two batches may meet in any order.
 * => Takes the group lock shared, then run locks; no space lock. Allocates nothing. Blocks only for those locks and for
 *    the MMU's flush.
 * => results[i] belongs to pages[i]. The return value is about the arguments alone: 0; NULL_ARG; INVALID (flags that the
 *    verb does not know); UNKNOWN_PAGE (no frame
 *    section holds it; nothing was done to any page).
 * Cost: one visit for each candidate space that the walk reaches, see struct rmap_result.
 */
#ifndef OBJRMAP_RMAP_H
#define OBJRMAP_RMAP_H

#include <objrmap/group.h>
#include <objrmap/mmu.h>
#include <objrmap/page.h>

enum rmap_outcome {
    RMAP_DONE,       /**< done to every mapping (INV-5) */
    RMAP_INCOMPLETE, /**< a mapping may have been missed: try again later */
    RMAP_PARTIAL,    /**< stopped on purpose half-way: `reason` says why, `hits` how far */
};

enum rmap_reason {
    RMAP_REASON_NONE,
    RMAP_REASON_LOCKED,      /**< a mapping has the locked attribute (S5) */
    RMAP_REASON_YOUNG,       /**< a mapping was accessed and the caller asked to spare those */
    RMAP_REASON_PINNED,      /**< pins forbid it */
    RMAP_REASON_BUSY,        /**< reserved: a lock could not be had */
    RMAP_REASON_MIGRATING,   /**< a migration entry is in the way */
    RMAP_REASON_NO_SLOT,     /**< the page has no swap slot, or its slot's count is full */
    RMAP_REASON_UNTRACKABLE, /**< the page is between two places */
    RMAP_REASON_STOPPED,     /**< each_mapping's callback said so */
};

struct rmap_result {
    enum rmap_outcome outcome;
    enum rmap_reason reason;
    uint32_t hits;          /**< entries that mapped the page */
    uint32_t visits;        /**< spaces looked into */
    uint32_t nodes;         /**< fork-tree nodes passed, those of dead spaces included */
    uint32_t mapcount;      /**< at the start of the walk */
    unsigned young : 1;     /**< an accessed entry was met */
    unsigned dirty : 1;     /**< a dirty entry was met */
    unsigned locked : 1;    /**< a locked entry was met */
    unsigned tightened : 1; /**< the page's owner, by unmap its slot's, was moved down after a walk that wasted steps */
};

enum rmap_verb_flag {
    RMAP_KEEP_ACCESSED = 1 << 0, /**< referenced: only look, do not clear */
    RMAP_SPARE_YOUNG = 1 << 1,   /**< unmap: stop at an accessed mapping, reason YOUNG */
    RMAP_IGNORE_LOCKED = 1 << 2, /**< unmap: locked mappings too (poison, shutdown) */
};

RMAP_BEGIN_DECLS

/**
 * Age: was the page accessed through any mapping since the last time? Clears the accessed attribute (page tables only,
 * S4), flushing where the MMU needs it for later sampling (ACCESSED_NEEDS_FLUSH).
 */
RMAP_API int rmap_referenced(struct rmap *r, struct rmap_page *const *pages, size_t n, unsigned flags,
                             struct rmap_result *results);

/**
 * Replace every mapping by a swap entry (the page must be in the swap cache: else PARTIAL, NO_SLOT). Dirty attributes go to the DIRTY flag. Locked mappings stop the page's walk (PARTIAL, LOCKED):
 * what was unmapped before stays unmapped and correct. Flushes are done and mapcount lowered on return (INV-6).
 * DONE: no mapping is left. After anything else a slot that got no entry should be given back (rmap_swap_cache_del): a page
 * that may be written again must not keep a copy on swap.
 */
RMAP_API int rmap_unmap(struct rmap *r, struct rmap_page *const *pages, size_t n, unsigned flags,
                        struct rmap_result *results);

/** Withdraw write permission from every mapping and collect dirty into the DIRTY flag; flushed on return (INV-7). */
RMAP_API int rmap_write_protect(struct rmap *r, struct rmap_page *const *pages, size_t n, struct rmap_result *results);

/**
 * Call `fn` for each mapping, source before target. `fn` runs under the group and run locks: it must not call back, block,
 * or touch memory that the library maps. It returns 0 to go on; anything else stops (PARTIAL).
 */
typedef int rmap_mapping_fn(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t entry);
RMAP_API int rmap_each_mapping(struct rmap *r, struct rmap_page *page, rmap_mapping_fn *fn, void *ctx,
                               struct rmap_result *result);

/** Sort pages by (owner, index), so that the verbs' batches find neighbours. In place, no allocation, O(n log n). */
RMAP_API void rmap_pages_sort(struct rmap_page **pages, size_t n);

struct rmap_zapped {
    uint64_t mappings; /**< present, no-access and migration entries removed */
    uint64_t swaps;    /**< swap entries removed */
    uint64_t others;   /**< special frames and poison */
};

/**
 * Remove the entries of [first, first + count) in one space: counts lowered and pages freed after the flush. Dirty goes to
 * the page's DIRTY flag (a page that others still map keeps its contents' state).
 * => Space lock held (exclusively if the range is also being unmapped for good). Takes run locks. Cannot fail half-way, but
 *    for a huge entry, at which it stops: `out` says how much was removed before it.
 * @return 0; NULL_ARG; DEAD; RANGE; BLOCK. `out` may be NULL.
 */
RMAP_API int rmap_zap(struct rmap_member *m, rmap_vpn_t first, uint64_t count, struct rmap_zapped *out);

/** What rmap_protect changes in each entry of a range. */
enum rmap_protect_flag {
    RMAP_PROTECT_NO_WRITE = 1 << 0,  /**< withdraw write */
    RMAP_PROTECT_NO_ACCESS = 1 << 1, /**< present → no-access (keeps frame and attributes, D10) */
    RMAP_PROTECT_ACCESS = 1 << 2,    /**< no-access → present, read-only until a write fault decides */
    RMAP_PROTECT_NO_EXEC = 1 << 3,
    RMAP_PROTECT_LOCK = 1 << 4,   /**< set the locked attribute */
    RMAP_PROTECT_UNLOCK = 1 << 5, /**< clear it */
};

/**
 * Change attributes of all entries of a range in one space (mprotect, mlock), flush. Write is never granted here: the next
 * write fault does, if the page is exclusive.
 * => Space lock held exclusively. @return 0; NULL_ARG; DEAD; RANGE; INVALID (flags); BLOCK (done up to a huge entry).
 */
RMAP_API int rmap_protect(struct rmap_member *m, rmap_vpn_t first, uint64_t count, unsigned flags);

RMAP_END_DECLS
#endif
