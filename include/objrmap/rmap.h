/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/rmap.h  The verbs: what can be done to every mapping of a page, and to a range of one space.
 *
 * All page verbs share one walk (lib/core/walk.c): candidates of page.owner in fork order, in each look at the single
 * entry slot at page.index (and where a tracked move may have brought it), compare the frame. They take arrays; one page is
 * the array of one.
 *
 * Contract of every page verb
 * => Each page is referenced by the caller and occurs once. Each is locked by the caller and stays so; whoever locks many waits
 *    for the first at most (rmap_page_lock) and only tries the others (rmap_page_try_lock): two batches may meet in any order.
 *    With RMAP_LOCK_PAGES the verb does just that, and unlocks at its end: pages that it could not lock are INCOMPLETE, BUSY.
 * => Takes the group lock shared, for at most 256 spaces at a time, then run locks; no space lock. Allocates nothing. Blocks
 *    only for those locks and for the MMU's flush, which is done on return.
 * => results[i] belongs to pages[i], whatever happened to the others. The return value is about the arguments alone: 0;
 *    NULL_ARG; INVALID (flags that the verb does not know); UNKNOWN_PAGE (no frame section holds it; nothing was done to
 *    any page).
 * Cost: one visit for each candidate space that the walk reaches, see struct rmap_result. Pages that follow each other by
 * (owner, index) within one table share the descents, run locks and flushes: sort with rmap_pages_sort().
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
    RMAP_REASON_BUSY,        /**< RMAP_LOCK_PAGES: the page's lock was taken */
    RMAP_REASON_MIGRATING,   /**< a migration entry is in the way */
    RMAP_REASON_NO_SLOT,     /**< the page has no swap slot, or its slot's count is full */
    RMAP_REASON_UNTRACKABLE, /**< the page is between two places */
    RMAP_REASON_STOPPED,     /**< each_mapping's or poison's callback said so, or a cursor was closed early */
    RMAP_REASON_DIRTY,       /**< discard: written since it was freed lazily, or never was; its contents are wanted */
    RMAP_REASON_POISON,      /**< the frame is lost */
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

/** RMAP_LOCK_PAGES is for every verb (but for the halves of a migration, whose locks outlive them). */
enum rmap_verb_flag {
    RMAP_KEEP_ACCESSED = 1 << 0, /**< referenced: only look, do not clear */
    RMAP_SPARE_YOUNG = 1 << 1,   /**< unmap, discard: stop at an accessed mapping, reason YOUNG */
    RMAP_IGNORE_LOCKED = 1 << 2, /**< unmap, discard: locked mappings too (poison, shutdown) */
    RMAP_LOCK_PAGES = 1 << 3,    /**< the verb locks and unlocks the pages */
};

RMAP_BEGIN_DECLS

/**
 * Age: was the page accessed through any mapping since the last time? Clears the accessed attribute (page tables only,
 * S4), flushing where the MMU needs it for later sampling (ACCESSED_NEEDS_FLUSH).
 */
RMAP_API int rmap_referenced(struct rmap *r, struct rmap_page *const *pages, size_t n, unsigned flags,
                             struct rmap_result *results);

/**
 * Replace every mapping by a swap entry (the page must be in the swap cache: else PARTIAL, NO_SLOT). Dirty attributes go to
 * the DIRTY flag. Locked mappings stop the page's walk (PARTIAL, LOCKED), as do pins (PINNED), a migration under way
 * (MIGRATING) and, with RMAP_SPARE_YOUNG, accessed ones (YOUNG):
 * what was unmapped before stays unmapped and correct. Flushes are done and mapcount lowered on return (INV-6).
 * DONE: no mapping is left. After anything else a slot that got no entry should be given back (rmap_swap_cache_del): a page
 * that may be written again must not keep a copy on swap.
 */
RMAP_API int rmap_unmap(struct rmap *r, struct rmap_page *const *pages, size_t n, unsigned flags,
                        struct rmap_result *results);

/**
 * Take away every mapping of a lazily freed page (rmap_free_lazily), leaving nothing: no swap slot is needed. Only
 * DISCARDABLE pages that are not DIRTY go; one that was written since, or never was discardable, stops its walk:
 * PARTIAL, DIRTY, and is an ordinary page from then on, its contents safe (D6). So does a locked mapping (LOCKED), one
 * that is under way (MIGRATING), a pin (PINNED), and with RMAP_SPARE_YOUNG an accessed mapping (YOUNG). Spaces that
 * lost the page before the walk stopped read zeroes from then on, as their contract allows: none of them has written
 * since the page was freed or inherited. Flushed, and mapcount lowered, on return.
 */
RMAP_API int rmap_discard(struct rmap *r, struct rmap_page *const *pages, size_t n, unsigned flags,
                          struct rmap_result *results);

/** Withdraw write permission from every mapping and collect dirty into the DIRTY flag; flushed on return (INV-7). */
RMAP_API int rmap_write_protect(struct rmap *r, struct rmap_page *const *pages, size_t n, unsigned flags,
                                struct rmap_result *results);

/**
 * Call `fn` for each mapping of each page, source before target. `fn` runs under the group and run locks: it must not call back, block,
 * or touch memory that the library maps. It returns 0 to go on; anything else stops (PARTIAL).
 */
typedef int rmap_mapping_fn(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t entry);
RMAP_API int rmap_each_mapping(struct rmap *r, struct rmap_page *const *pages, size_t n, unsigned flags,
                               rmap_mapping_fn *fn, void *ctx, struct rmap_result *results);

/** A mapping that a cursor met. */
struct rmap_mapping {
    struct rmap_member *member;
    rmap_vpn_t vpn;
    rmap_pte_t entry; /**< as it was when it was looked at */
};

/** A look-up that goes on when it is asked to. Caller's memory, for one thread. `result` is public, read-only. */
struct rmap_cursor {
    struct rmap *r;
    struct rmap_page *page;
    struct rmap_result result; /**< so far; its outcome is final once rmap_cursor_next() has said 0 */
    struct rmap__visit *visit;
    bool ended;
};

/**
 * each_mapping without a callback: between two calls no lock is held but the page's. The caller may look at a mapping that it
 * was shown for as long as it likes, change its entry under the run lock, or leave off; it must not wait for a space lock or
 * another page's, so forks, moves and exits are other threads' (or their space locks were taken before the page's). Members
 * may leave meanwhile (F4): look one up by your own books before you use it. Source before target as in every walk (INV-4): a mapping that is copied while the cursor is
 * open is shown, or its source was before the copy.
 * => Page locked and referenced from open to close. Takes the group lock shared, for at most 256 spaces at a time. Open
 *    allocates. Close always, also after an error of yours; it may be called twice.
 * @return open: 0; NULL_ARG; UNKNOWN_PAGE; NOMEM. next: 1 with *out filled; 0 at the end; NULL_ARG.
 */
RMAP_API int rmap_cursor_open(struct rmap *r, struct rmap_page *page, struct rmap_cursor *c);
RMAP_API int rmap_cursor_next(struct rmap_cursor *c, struct rmap_mapping *out);
RMAP_API void rmap_cursor_close(struct rmap_cursor *c);

/**
 * The frames are lost (a memory failure). Sets the flag POISON, whatever the outcome but MIGRATING; then tells `fn`
 * (may be NULL) of each mapping, with the rules of rmap_each_mapping, and replaces it by a poison entry whose payload
 * is the lost frame. Locked mappings and pins do not stop it. Flushed, and mapcount lowered, on return. From then on
 * nobody maps the page, copies it or writes it to swap: rmap_page_map_swapin, rmap_swap_write and the like say POISON;
 * fork and move pass poison entries on, zap drops them. The last reference does not free the frame (frame_ops->lost).
 *
 * Swap: a clean page leaves the cache, and its swap entries find their contents on the device. A dirty one stays, so
 * that they find a page that says POISON, until the last entry goes. To save the *mappings* of a clean cached page,
 * too, call rmap_unmap first, with RMAP_IGNORE_LOCKED: they become such entries.
 * results[i]: DONE; INCOMPLETE; PARTIAL: STOPPED (by fn: what it was shown last is untouched; again, later), MIGRATING
 *   (nothing done: bring it back first).
 */
RMAP_API int rmap_poison(struct rmap *r, struct rmap_page *const *pages, size_t n, unsigned flags, rmap_mapping_fn *fn,
                         void *ctx, struct rmap_result *results);

/**
 * Call `fn` for each swap entry of a slot, source before target; `fn` as above, its `entry` the raw one in the table.
 * First at the slot's index, and where a tracked move may have brought it, in each candidate of its owner, until as
 * many are found as the slot counts; then, if entries are left and the slot is MOVED, at every other page number of
 * the candidates that have moved entries. For swapoff (fork-tree.md, rule 14).
 * => The caller keeps the slot alive and its home still: it holds the slot's cached page, locked; or there is none, and
 *    no entry is loaded, moved or dropped meanwhile.
 * => The count is exact, and DONE true, only while no entry of the slot comes or goes (fork, zap, fault: their space
 *    locks). A caller who holds the page, looks at each entry again, and comes back
 *    until the slot counts none, needs no more.
 * => Takes the group lock shared, for at most 256 spaces or tables at a time, then run locks. Allocates nothing. Blocks only
 *    for those locks.
 * @return 0 with *result: DONE (hits = the slot's count); INCOMPLETE; PARTIAL (STOPPED by `fn`). `mapcount` is the
 *   slot's count at the start, `visits` those of both rounds. NULL_ARG; ABSENT (no such live slot, or an instance
 *   without swap).
 * Cost: a visit for each candidate; a moved entry that is sought costs the tables of candidates with moved entries.
 */
RMAP_API int rmap_each_swap(struct rmap *r, rmap_swp_t entry, rmap_mapping_fn *fn, void *ctx,
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

struct rmap_freed {
    uint64_t marked;            /**< pages that became DISCARDABLE */
    struct rmap_zapped dropped; /**< what went at once */
};

/**
 * Free lazily (MADV_FREE): the contents of [first, first + count) in this space may vanish at any time; the next write
 * to a page ends that, for good. Pages that this space uses alone become DISCARDABLE: write, dirty and accessed are
 * withdrawn from the entry and flushed, DIRTY is cleared, a clean copy on swap is given up. Everything else goes at
 * once: shared, pinned and busy pages, swap, migration and poison entries. Special frames stay. What is written while
 * the call runs may vanish, too.
 * => Your write faults must end with rmap_page_reuse or a copy, as they do for copy on write.
 * => Space lock held. Takes page locks by try, run locks; flushes under them. Cannot fail half-way, but for a huge
 *    entry, at which it stops: `out` says what was done before it.
 * @return 0; NULL_ARG; DEAD; RANGE; BLOCK. `out` may be NULL.
 */
RMAP_API int rmap_free_lazily(struct rmap_member *m, rmap_vpn_t first, uint64_t count, struct rmap_freed *out);

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

/** What rmap_snapshot did, in entries. */
struct rmap_snapped {
    uint64_t withdrawn; /**< lost the permission to write */
    uint64_t dirty;     /**< had DIRTY, which went to their page's flag */
    uint64_t written;   /**< were written since the last snapshot; pinned ones always count */
    uint64_t pinned;    /**< left out: pinned pages */
};

/**
 * A range of a space at one moment: withdraw write from every entry, collect DIRTY into the pages' flags, clear SOFT_DIRTY
 * (of swap entries, too), flush. The moment is the end of the call's last flush: from then on, and as long as the caller
 * serves no write fault, what the frames hold is what the space held at that moment, with every store that was made before
 * and none that came after, also of stores that depend on each other across pages and threads. Copy it there and then, or
 * let a fork keep it (space.h says how).
 * The entries of *pinned* pages are left as they are: taking write away would make the next write leave the frame that the
 * pin is for. What a device, or a thread, writes there has no moment; such pages are counted, and said to be written, now
 * and at the next snapshot.
 * `written`: NULL, or a bitmap of `count` bits in 64-bit words that are all overwritten: bit i says that page first + i was
 * written since the last snapshot. Reading and clearing is one step: no write falls between two snapshots.
 * => Space lock held exclusively: that is what keeps faults out. Takes run locks, and flushes under them. Allocates nothing.
 * Cost: one pass over the range's tables, one flush for each that held a writable or dirty entry.
 * @return 0; NULL_ARG; DEAD; RANGE; UNSUPPORTED (`written`, but the format has no SOFT_DIRTY); BLOCK (done up to a huge
 *   entry: `written` and *out say what). `out` may be NULL.
 */
RMAP_API int rmap_snapshot(struct rmap_member *m, rmap_vpn_t first, uint64_t count, uint64_t *written,
                           struct rmap_snapped *out);

/**
 * Which pages were written since the last snapshot; nothing changes. `bitmap` as above; *written (may be NULL): how many.
 * => Space lock held, shared is enough. Takes run locks. @return 0; NULL_ARG; DEAD; RANGE; UNSUPPORTED; BLOCK (looked at up
 *    to a huge entry).
 */
RMAP_API int rmap_written(struct rmap_member *m, rmap_vpn_t first, uint64_t count, uint64_t *bitmap, uint64_t *written);

RMAP_END_DECLS
#endif
