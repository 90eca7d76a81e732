/* SPDX-License-Identifier: MIT */
/**
 * @file bench/rivals/intervals.h  The records of anon_vma_chain, and the tree that finds those whose region holds an index.
 *
 * A red-black tree by the region's first index; each node also knows the largest last index below it, so that subtrees that
 * end too early are not entered. libbsd's macros make the tree, with their hook for such sums. From the textbook description
 * (Cormen et al., Introduction to Algorithms, "Interval trees"), and from what was said of Linux 3.7's change (M. Lespinasse,
 * 2012): the interval is not kept in the node, but read through it from the region; only the sum is kept.
 *
 *     region ── chains ──▶ chain ─────▶ chain ─────▶ …    one for each anon_vma that pages of the region may belong to
 *                            │            │
 *                            ▼ tree       ▼ tree
 *                         anon_vma     anon_vma           all the regions that may map pages of this anon_vma
 */
#ifndef RMAP_TESTS_BENCH_INTERVALS_H
#define RMAP_TESTS_BENCH_INTERVALS_H

#include <bsd/sys/tree.h>
#include <objrmap/types.h>
#include <stdint.h>
#include <sys/queue.h>

struct avc_anon;
struct avc_chain;
struct rival_space;
TAILQ_HEAD(avc_chains, avc_chain);
RB_HEAD(avc_intervals, avc_chain);

/** A VMA: [first, first + count) of a space shows the indexes [index, index + count). */
struct avc_region {
    RB_ENTRY(avc_region) by_address;
    struct rival_space *space;
    rmap_vpn_t first;
    uint64_t count;
    rmap_vpn_t index;
    /* What a region has for the reverse map's sake: 24 bytes, and as many in Linux. */
    struct avc_anon *anon;    /* where its new pages belong; NULL: none yet */
    struct avc_chains chains; /* the oldest anon_vma first */
};

/** 64 bytes. The node is libbsd's, with colour and sum in one word. */
struct avc_chain {
    struct avc_region *region;
    struct avc_anon *anon;
    TAILQ_ENTRY(avc_chain) of_region;
    struct {
        struct avc_chain *rbe_left, *rbe_right, *rbe_parent;
        uint64_t rbe_color : 1, last : 63; /* last: the largest of the subtree */
    } node;
};

/** The region's index and count must not change while a chain of it is in a tree. Cost: O(log n). */
void avc_intervals_add(struct avc_intervals *tree, struct avc_chain *chain);
void avc_intervals_remove(struct avc_intervals *tree, struct avc_chain *chain);
/** The first chain whose region holds the index, in order of the regions' first indexes; NULL: none. Cost: O(log n). */
struct avc_chain *avc_intervals_first(const struct avc_intervals *tree, rmap_vpn_t index);
/** The next one; all of them cost O(hits + log n) if intervals are nested or equal, as those of one family mostly are. */
struct avc_chain *avc_intervals_next(struct avc_chain *chain, rmap_vpn_t index);

#endif
