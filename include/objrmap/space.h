/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/space.h  Address spaces of the pager and the mm verbs on them.
 *
 * Page numbers count from 0 at the space's start. A *region* is a range with one protection and one set of flags. Private
 * anonymous memory only in this version: RMAP_MAP_SHARED is UNSUPPORTED.
 * Every call: NULL_ARG, DEAD; ranges: RANGE when empty, wrapping or outside the space; BUSY when this thread is inside a
 * call of the same pager already (from a hook, or by a fault on projected memory). May block (reclaim, swap I/O).
 *
 * What calls fill (structs, numbers, bitmaps) must not lie in projected memory: only the buffers of read and write may.
 *
 * Threads: a space may be used by any number at once. Its lock is a rwlock that prefers writers: fault, read, write, pin and
 * the questions (regions, usage) hold it shared, also while they wait for I/O; fork, map, unmap, move, protect, lock, advise,
 * snapshot, exec exclusive, until they are done. A space's destruction is its last call: no other may run or come.
 */
#ifndef OBJRMAP_SPACE_H
#define OBJRMAP_SPACE_H

#include <objrmap/group.h>
#include <objrmap/move.h>
#include <objrmap/pager.h>
#include <objrmap/rmap.h>
#include <objrmap/usage.h>

struct rmap_space;

enum rmap_map_flag {
    RMAP_MAP_FIXED = 1 << 0,     /**< at *at exactly, replacing what is there */
    RMAP_MAP_NOREPLACE = 1 << 1, /**< with FIXED: fail with EXISTS instead */
    RMAP_MAP_LOCKED = 1 << 2,    /**< mlock: populate and keep resident */
    RMAP_MAP_SHARED = 1 << 3,    /**< UNSUPPORTED yet */
};

enum rmap_move_flag {
    RMAP_MOVE_FIXED = 1 << 0,    /**< to *to exactly, replacing what is there */
    RMAP_MOVE_KEEP_OLD = 1 << 1, /**< the old region stays, empty (DONTUNMAP); sizes must be equal */
    RMAP_MOVE_MAYMOVE = 1 << 2,  /**< without it growth must succeed in place */
};

enum rmap_advice {
    RMAP_ADVISE_DONTNEED = 1, /**< drop contents: the next touch finds zeroes */
    /** Contents may vanish at any time, each page's until it is written again (rmap_free_lazily). Reclaim then drops
     * such pages without writing them to swap, also where there is none. What others share, or lies on swap, is
     * dropped at once. */
    RMAP_ADVISE_FREE = 2,
};

/** What a space has; counts in pages unless they say bytes. */
struct rmap_space_stats {
    uint64_t mapped;  /**< entries that map a page */
    uint64_t swapped; /**< swap entries */
    uint64_t regions;
    uint64_t virtual_pages; /**< sum of regions */
    uint64_t locked_pages;  /**< sum of locked regions */
    uint64_t committed;     /**< pages charged to it */
    uint64_t table_bytes;
};

/** One region, as listed by rmap_space_regions(). */
struct rmap_region_info {
    rmap_vpn_t first;
    uint64_t count;
    unsigned prot; /**< enum rmap_access */
    bool locked;
    bool accounted; /**< charged under strict accounting: is or once was writable */
};

RMAP_BEGIN_DECLS

/** A fresh empty space in a group of its own. @return 0; NULL_ARG; NOMEM; INVALID (the MMU's page size is not the pager's);
 *  the provider's error (NOMEM; SYSTEM). */
RMAP_API int rmap_space_create(struct rmap_pager *p, struct rmap_space **out);

/**
 * Fork: the child has the same regions and, copy on write, the same contents. Locked is not inherited.
 * Pinned pages are copied at once and stay the parent's, writable as they were (page.h); this alone takes frames.
 * @return 0; NOMEM; COMMIT; OVERFLOW; NO_FRAME; POISON (a pinned page that is lost); the provider's error (NOMEM; SYSTEM). On
 *   failure the parent is unchanged and no child exists.
 */
RMAP_API int rmap_space_fork(struct rmap_space *parent, struct rmap_space **out);

/** exec: drop all regions, leave the group, start a new one, on the same MMU. rmap_space_member() is another one from then on.
 *  @return 0; NOMEM (nothing changed); BUSY (also: a huge entry of the MMU's own making is in the way: the space is empty
 *  then, in the group that it was in). */
RMAP_API int rmap_space_exec(struct rmap_space *s);

/** exit: drop everything and free the object. @return 0; NULL_ARG; BUSY (this thread is inside a call; or a huge entry of the
 *  MMU's own making is in the way: the space is empty then, and lives). */
RMAP_API int rmap_space_destroy(struct rmap_space *s);

/**
 * Map `count` pages of private zero-filled memory with protection `prot` (RMAP_READ | …, or RMAP_NONE).
 * Without FIXED *at is a hint (RMAP_VPN_NONE: none) and receives the place chosen: first fit from the hint, else from 0.
 * @return 0; RANGE; INVALID (flags, prot; NOREPLACE without FIXED, LOCKED without access); EXISTS; UNSUPPORTED (SHARED);
 *   COMMIT; BLOCK (a huge entry is where it should go: what was before it is dropped); NOMEM (also: no hole large enough). With LOCKED, population may fail (NO_FRAME, NOMEM): the region then is
 *   unmapped again, and what a FIXED map replaced is gone.
 */
RMAP_API int rmap_space_map(struct rmap_space *s, rmap_vpn_t *at, uint64_t count, unsigned prot, unsigned flags);
/** Unmap [first, first + count); holes are allowed. @return 0; RANGE; NOMEM (a split; nothing changed); BLOCK (a huge entry of
 *  the MMU's own making: what comes before it is dropped, all of it is still mapped). */
RMAP_API int rmap_space_unmap(struct rmap_space *s, rmap_vpn_t first, uint64_t count);
/** Change protection; the whole range must be mapped. @return 0; RANGE; ABSENT; INVALID; COMMIT; NOMEM. All or nothing. */
RMAP_API int rmap_space_protect(struct rmap_space *s, rmap_vpn_t first, uint64_t count, unsigned prot);
/**
 * mremap. The source [from, from + count) must lie in one region. new_count may shrink (the tail is unmapped) or grow.
 * *to: target with FIXED, else a hint or RMAP_VPN_NONE; receives the place. Without MAYMOVE (which FIXED and KEEP_OLD imply)
 * the range stays in place. A range that need not move does not. Locked stays locked, growth is populated; a kept old range is
 * unlocked.
 * Own pages are re-indexed, shared ones copied or tracked, swap entries stay on swap (move.h).
 * @return 0; RANGE; INVALID (overlap of FIXED target and source, flags, KEEP_OLD with other sizes); ABSENT; NOMEM (no hole,
 *         tables, or in-place growth impossible); NO_FRAME; COMMIT; BUSY (a shared page is pinned); POISON. On failure
 *         nothing has moved; but what was at a FIXED target is unmapped if the error came later than the checks (NOMEM of
 *         tables, NO_FRAME, BUSY, POISON, OVERFLOW, BLOCK).
 */
RMAP_API int rmap_space_move(struct rmap_space *s, rmap_vpn_t from, uint64_t count, uint64_t new_count, unsigned flags,
                             rmap_vpn_t *to);
/** How later moves treat pages that other spaces map, too: copy them, or track them (move.h). Inherited by forks; exec returns to
 *  the pager's. @return 0; INVALID. */
RMAP_API int rmap_space_set_move_policy(struct rmap_space *s, enum rmap_move_policy policy);
/** mlock: populate the range and set the locked attribute in its entries. All of it must be mapped and accessible.
 * @return 0; RANGE; ABSENT; ACCESS; NOMEM; a fault's errors, as rmap_space_fault. On failure the range is as unlocked as
 *   it was. */
RMAP_API int rmap_space_lock(struct rmap_space *s, rmap_vpn_t first, uint64_t count);
/** munlock. All of it must be mapped. @return 0; RANGE; ABSENT; NOMEM (a split; nothing changed). */
RMAP_API int rmap_space_unlock(struct rmap_space *s, rmap_vpn_t first, uint64_t count);
/** @return 0; RANGE; ABSENT (a hole; nothing done); INVALID (advice); BUSY (a locked region; nothing done); BLOCK
 *    (FREE: done up to a huge entry). */
RMAP_API int rmap_space_advise(struct rmap_space *s, rmap_vpn_t first, uint64_t count, enum rmap_advice advice);

/**
 * Resolve a fault: afterwards the entry allows the access, is marked accessed (and dirty for a write), and the MMU's update()
 * has been called. `access` is one of READ, WRITE, EXEC or a set.
 * @return 0; INVALID (access); RANGE; ABSENT (no region); ACCESS (protection); NO_FRAME (also for want of swap slots);
 *   NOMEM; IO_READ; CORRUPT; POISON; OVERFLOW (the page has as many mappings as its count can hold); BUSY (a migration entry
 *   of a page that nobody migrates); BLOCK; BAD_FRAME (an entry names a frame or slot that is not ours).
 */
RMAP_API int rmap_space_fault(struct rmap_space *s, rmap_vpn_t vpn, unsigned access);

/**
 * Pin the page at vpn for something that writes to its frame behind the MMU's back (a device, a guest's processor): a write
 * fault makes it the space's own, then it keeps its frame until rmap_page_unpin(), whatever reclaim, migration and forks do
 * (page.h). rmap_page_pfn() and rmap_page_address() say where it is. The space's own writes stay in the frame, too, unless
 * rmap_space_protect() takes write away and gives it back: the next write then leaves a pinned frame for a copy.
 * The pin survives the mapping, and the space: unpin before rmap_pager_destroy().
 * @return 0 with *out (the pin's reference); RANGE; a write fault's errors, as rmap_space_fault (ACCESS: the region is not
 *   writable); OVERFLOW; BUSY (also: somebody keeps moving the page).
 */
RMAP_API int rmap_space_pin(struct rmap_space *s, rmap_vpn_t vpn, struct rmap_page **out);

/**
 * Copy bytes out of or into the space, faulting as needed; respects protection. The buffer may itself be projected memory:
 * it is never touched under a lock. Entries are marked accessed and dirty, the MMU's translations are left alone.
 * @return 0; RANGE (nothing done); else a fault's error, as rmap_space_fault, with *done (may be NULL) bytes transferred
 *   before it (PARTIAL).
 */
RMAP_API int rmap_space_read(struct rmap_space *s, uint64_t addr, void *buf, size_t bytes, size_t *done);
RMAP_API int rmap_space_write(struct rmap_space *s, uint64_t addr, const void *buf, size_t bytes, size_t *done);

/**
 * Incremental checkpoints: rmap_snapshot and rmap_written (rmap.h) on a range of the space, which may have holes; all of
 * it: (0, the MMU's pages). `written` and `bitmap` must not be projected memory: they are filled under the space lock.
 *
 * A page counts as written from its first write fault after a snapshot, wherever it is by then: new pages, copies on write,
 * pages on swap; a forked child begins with its parent's marks; a moved page takes its mark along. Ranges that were mapped,
 * unmapped, dropped (DONTNEED, FREE) or moved are the caller's to note: a page without contents is never said to be written.
 *
 *   Copying while writers run (migration): snapshot with `written`, copy the pages that it names, repeat; at last stop the
 *   writers, snapshot, copy the rest. A page that was written as it was copied is named again next time.
 *
 *   A checkpoint of one moment: fork; the child is the moment, and rmap_space_written of the child names what had been written
 *   by then. Snapshot the parent with `written`, and add what that names to the next round's: writes since the fork.
 *   Copy from the child, at leisure, and destroy it.
 *
 * @return 0; NULL_ARG; RANGE; DEAD; BUSY; UNSUPPORTED (no SOFT_DIRTY in the MMU's format); BLOCK.
 */
RMAP_API int rmap_space_snapshot(struct rmap_space *s, rmap_vpn_t first, uint64_t count, uint64_t *written,
                                 struct rmap_snapped *out);
RMAP_API int rmap_space_written(struct rmap_space *s, rmap_vpn_t first, uint64_t count, uint64_t *bitmap,
                                uint64_t *written);

/** List regions in order: at most `max`, returns how many there are; 0 also for a space that is NULL, dead or busy. */
RMAP_API size_t rmap_space_regions(struct rmap_space *s, struct rmap_region_info *out, size_t max);
/** @return 0; NULL_ARG; DEAD; BUSY. Cost: O(regions). */
RMAP_API int rmap_space_get_stats(struct rmap_space *s, struct rmap_space_stats *out);
/**
 * What the space has of frames and swap, exclusively, shared and in proportion; and what all spaces related to it by fork
 * have together (usage.h). Exact when nothing else runs; beside other threads each entry counts by what it is when it is
 * looked at. The space's forks and moves wait for it: O(entries), of the space, or of all of them.
 * @return 0; NULL_ARG; DEAD; BUSY; BLOCK; BAD_FRAME. *out is written on success only.
 */
RMAP_API int rmap_space_get_usage(struct rmap_space *s, struct rmap_usage *out);
RMAP_API int rmap_space_get_group_usage(struct rmap_space *s, struct rmap_group_usage *out);
/** The space's member and MMU, for the core's verbs and the MMU's own calls (rmap_host_base). Never NULL for a live space. */
RMAP_API struct rmap_member *rmap_space_member(struct rmap_space *s);
/** The embedder's pointer, NULL at first and in a forked child. */
RMAP_API void rmap_space_set_user(struct rmap_space *s, void *user);
RMAP_API void *rmap_space_user(const struct rmap_space *s);

RMAP_END_DECLS
#endif
