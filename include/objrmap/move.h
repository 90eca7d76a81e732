/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/move.h  Moving entries inside one space: mremap.
 *
 * A page has one index. Moving a page that the space owns alone just re-indexes it (S8), whatever was shared in the past.
 * Moving a page that others still map takes a private copy at the new place (early COW, S9), or, by the space's policy
 * (rmap_member_set_policy), records that the space may map it elsewhere (TRACK, S12). A swap entry stays a swap entry (S10): a
 * sole one re-homes its slot, a shared one marks the slot MOVED; its page is copied at swap-in, or mapped where a record
 * covers the place.
 *
 * A record costs 32 bytes a moved range, whatever the number of pages, and nothing at fork: a child shares its parent's table.
 * It lets walks look at one more place in this space and its later children. More than 8 records over a page, 1,024 in a
 * space, or 16 new ones by one move, and the move copies instead.
 */
#ifndef OBJRMAP_MOVE_H
#define OBJRMAP_MOVE_H

#include <objrmap/group.h>

struct rmap_moved {
    uint64_t reindexed;   /**< present pages re-indexed */
    uint64_t copied;      /**< present pages copied (were shared) */
    uint64_t tracked;     /**< present shared pages moved under a record */
    uint64_t swap_moved;  /**< swap entries left on swap, slot re-homed */
    uint64_t swap_shared; /**< swap entries left on swap, slot marked MOVED */
};

RMAP_BEGIN_DECLS

/**
 * Move all entries of [from, from + count) to [to, to + count). The destination must hold none; ranges must not overlap.
 * => Space lock held exclusively. Takes page locks, one run lock at a time; allocates tables and frames (frame_ops->alloc)
 *    with no lock held. Entries leave the source, are flushed there, and only then appear at the destination (B15); in
 *    between their page locks are held, so that no walk can mistake them for unmapped.
 * Under COPY a shared page that is pinned refuses the move (BUSY) before anything has moved; an exclusive one is re-indexed,
 * pinned or not: its frame stays.
 * On failure everything is back at `from`, *out is zero; pages copied so far stay private copies, empty tables may be left.
 * @return 0; NULL_ARG; DEAD; RANGE; INVALID (overlap); EXISTS (destination not empty); NOMEM; NO_FRAME; OVERFLOW;
 *         BUSY (a shared page is pinned, or there is a migration entry of a page that nobody migrates); POISON (a page
 *         that must be copied is lost); BLOCK. `out` may be NULL.
 */
RMAP_API int rmap_move(struct rmap_member *m, rmap_vpn_t from, rmap_vpn_t to, uint64_t count, struct rmap_moved *out);

RMAP_END_DECLS
#endif
