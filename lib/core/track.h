/* SPDX-License-Identifier: MIT */
/**
 * @file core/track.h  TRACK (S12): where else a space may map the pages of an index.
 *
 * A space has a table of records, or none:
 *
 *     record { first, end, delta }   a page whose index lies in [first, end) may be mapped at page number index + delta
 *
 * It is a *candidate place*, not a function: a walk looks at the index and at every image of it, and the frame check
 * decides. Superfluous records are harmless, a missing one is a bug. Tables never change: a space that moves or unmaps gets
 * another one, a forked child shares its parent's. So records need no rule for merges, deaths and tightening: they go where
 * spaces go. Why not in the epochs: docs/design/track.md.
 *
 * Locks: member->track is written under the exclusive group lock (and the space lock), read under either lock.
 */
#ifndef RMAP_CORE_TRACK_H
#define RMAP_CORE_TRACK_H

#include <core/core.h>

/** More records than this over one index, and a move copies instead. */
#define RMAP__TRACK_FANOUT 8
/** More records than this in one table, and a move copies instead. */
#define RMAP__TRACK_RECORDS 1024
/** Distinct deltas that one move may record; with more it copies. */
#define RMAP__TRACK_NEEDS 16

struct rmap__track_record {
    rmap_vpn_t first, end; /* of indices; ascending by first */
    uint64_t delta;        /* modulo 2^64; never 0 */
    rmap_vpn_t reach;      /* greatest `end` of this record and those before it */
};

struct rmap__track {
    _Atomic uint32_t refs; /* members that share it */
    uint32_t count, room;  /* records; places for them. Constant once published */
    struct rmap__track_record record[];
};

/** Where m maps frame `pfn`, of a page of `index`: there or at an image, once at most. Group lock held, takes run locks.
 *  @return false: nowhere; else *out. */
bool rmap__member_maps(struct rmap_member *m, rmap_vpn_t index, rmap_pfn_t pfn, struct rmap_mapping *out);

/** What a move must record: a hull of indices for each delta. */
struct rmap__track_needs {
    unsigned count;
    bool overflow; /* more than fit */
    struct {
        rmap_vpn_t first, end;
        uint64_t delta;
    } need[RMAP__TRACK_NEEDS];
};
/** A page of `index` will lie at `place`. */
void rmap__track_need(struct rmap__track_needs *n, rmap_vpn_t index, rmap_vpn_t place);

/** The first record at or after *at that covers some of the indices [first, end), or NULL; *at becomes the one behind it. */
const struct rmap__track_record *rmap__track_next(const struct rmap__track *t, rmap_vpn_t first, rmap_vpn_t end,
                                                  uint32_t *at);
/** Is `place` the index itself or an image of it? `t` may be NULL. */
bool rmap__track_covers(const struct rmap__track *t, rmap_vpn_t index, rmap_vpn_t place);

/** The tables that a move needs: while entries may be at either place, and when the source is empty. */
struct rmap__track_plan {
    struct rmap__track *during, *after;
};
/**
 * Make both, for a move of [from, from + count) to `to` in m; the destination is empty, so images there are dead already.
 * Space lock held exclusively. @return 0: references, one each (NULL: no records); NOMEM; OVERFLOW: copy
 * instead. After an error both are NULL.
 */
int rmap__track_plan(struct rmap_member *m, const struct rmap__track_needs *needs, rmap_vpn_t from, rmap_vpn_t to,
                     uint64_t count, struct rmap__track_plan *out);
void rmap__track_get(struct rmap__track *t);
void rmap__track_put(struct rmap *r, struct rmap__track *t);

/** m's table and *t change places, their references too. Takes the group lock exclusively. Space lock held exclusively. */
void rmap__track_swap(struct rmap_member *m, struct rmap__track **t);
/**
 * Nothing is mapped in [first, first + count) any more: forget images there. Best effort: without memory they stay. Takes the
 * group lock exclusively if there is anything to forget. Space lock held, shared suffices.
 */
void rmap__track_forget(struct rmap_member *m, rmap_vpn_t first, uint64_t count);

#endif
