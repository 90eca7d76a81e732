/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/usage.h  Attribution: what a member, and a whole group, has of memory and swap.
 *
 * Frames and slots are two kinds of storage, each divided among those that name it: a frame with mapcount n gives 1/n of
 * a page to each of its mappings (the "proportional set size" of Linux), a slot with n swap entries 1/n to each of them.
 * The counts are in the descriptor and in the slot map already, so this costs nothing per mapping and nothing until it
 * is asked for: one pass over the entries.
 *
 * A page in the swap cache can occupy both, mapped in one member and a swap entry in another: then the mapper is charged
 * for the frame alone and the other for the slot alone, each wholly, and neither is *exclusive*. A clean copy on swap
 * that no entry names, and a cached frame that nothing maps, are nobody's.
 *
 * Exact. A share is rounded down to 2^-64 page, so n of them fall short of their page by less than n * 2^-64: the sum
 * over every mapping of a set of pages is below their number by less than (mappings) * 2^-64 < 1, and rounded up it *is*
 * their number. All mappings of an anonymous page, and all entries of a slot, are in one group (page.h): so a group's
 * sums give its distinct pages and slots without a look at which they are.
 *
 * "Exact" holds of the moment when nobody maps or unmaps. Beside threads that do, each entry is counted at most once
 * and by the counts of its own moment, and a page between two places (move.h) or under way to a flush may be missing.
 */
#ifndef OBJRMAP_USAGE_H
#define OBJRMAP_USAGE_H

#include <objrmap/types.h>

struct rmap_member;

/** A number of pages in 64.64 fixed point: pages + fraction * 2^-64. */
struct rmap_share {
    uint64_t pages, fraction;
};

/** One of `count` equal parts of a page, rounded down. count > 0. */
static inline struct rmap_share rmap_share_of(uint32_t count)
{
    struct rmap_share s = {count == 1, 0};
    /* floor(2^64 / count) by what fits into 64 bits */
    if (count > 1) s.fraction = UINT64_MAX / count + (UINT64_MAX % count == count - 1);
    return s;
}
static inline void rmap_share_add(struct rmap_share *sum, struct rmap_share s)
{
    sum->fraction += s.fraction;
    sum->pages += s.pages + (sum->fraction < s.fraction);
}
/** Whole pages, rounded up: of a sum over all mappings of some pages, how many pages these are. */
static inline uint64_t rmap_share_ceil(struct rmap_share s)
{
    return s.pages + (s.fraction != 0);
}

/** Entries by what they name, and the shares. Each entry is in one of present, special, swapped and poison. */
struct rmap_usage {
    uint64_t present;        /**< that map a counted frame: present, no-access and migration entries */
    uint64_t exclusive;      /**< of these: the frame's only mapping, and its slot, if it has one, has no swap entry */
    uint64_t shared;         /**< of these: the others */
    uint64_t special;        /**< that map a SPECIAL frame (zero page): it belongs to nobody */
    uint64_t swapped;        /**< swap entries */
    uint64_t swap_exclusive; /**< of these: the slot's only entry, and its page, if one is cached, is not mapped */
    uint64_t swap_shared;    /**< of these: the others */
    uint64_t poison;
    struct rmap_share resident; /**< proportional share of frames: sum of 1 / mapcount over `present` */
    struct rmap_share swap;     /**< proportional share of slots: sum of 1 / count over `swapped` */
};

/** All members of a group together. */
struct rmap_group_usage {
    struct rmap_usage sum; /**< of all members' */
    uint64_t members;
    uint64_t resident_pages; /**< distinct frames that are mapped: the resident share, rounded up */
    uint64_t swap_slots;     /**< distinct slots that have entries: the swap share, rounded up */
};

RMAP_BEGIN_DECLS

/**
 * What one member has. Pins are not looked at: memory is its mappers', whoever else uses it.
 * => Space lock held, shared is enough: so the member stays, and with it its tables. Takes its run locks, one at a time, and
 *    the swap ops under them. Does not allocate, calls nothing else back.
 * Cost: one pass over the tables that exist; for each entry a descriptor or a slot.
 * @return 0; NULL_ARG; DEAD; BLOCK (a huge entry); BAD_FRAME (an entry names a frame or slot that nobody counts). *out is
 *   written on success only.
 */
RMAP_API int rmap_member_get_usage(struct rmap_member *m, struct rmap_usage *out);

/**
 * What m's whole group has.
 * => m's space lock held, shared is enough; no other member's. Takes the group lock shared, for at most 256 tables at a time,
 *    then run locks as above: in between forks and exits go on. A member that leaves before its turn is not counted, of one
 *    that leaves in its turn what was seen by then; one that is forked meanwhile is.
 * Cost: as above, summed over the members, and one step for each fork-tree node.
 * @return as rmap_member_get_usage, for any member.
 */
RMAP_API int rmap_group_get_usage(struct rmap_member *m, struct rmap_group_usage *out);

RMAP_END_DECLS
#endif
