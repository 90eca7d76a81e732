/* SPDX-License-Identifier: MIT */
/**
 * @file bench/rivals/anon_vma.h  The objects of anon_vma_chain: whom a region's pages may belong to, and who may map them.
 *
 * From R. van Riel's description of 2010 (LWN, "The case of the overly anonymous anon_vma") and from what was said of the
 * changes since: one lock for a family, that of its root (2010); interval trees (M. Lespinasse, 2012); a child's region takes
 * over an anon_vma that has lost its own region and has at most one child, so that chains of forks do not grow for ever
 * (K. Khlebnikov, 2015).
 *
 * A region's first write fault gives it an anon_vma, a root. A fork gives the child's region one of its own, below the
 * parent's; it is linked to that and to all that the parent's region is linked to, by one chain each. A page belongs to the
 * anon_vma of the region where it was made, or the region alone that writes to it in place.
 *
 * Bytes, here and in Linux on x86-64 (6.x): a chain 64, 64; an anon_vma 96, 104 (its lock 56, 40); in the region 24, 24.
 * For one thread, but locks are taken as if there were more.
 */
#ifndef RMAP_TESTS_BENCH_ANON_VMA_H
#define RMAP_TESTS_BENCH_ANON_VMA_H

#include "bench/rivals/intervals.h"
#include "bench/rivals/slab.h"

#include <pthread.h>

struct avc_anon {
    struct avc_anon *root, *parent; /* a root's are itself. The root is held by a reference */
    pthread_rwlock_t lock;          /* of the family; only the root's is used. It guards trees, chains in them, and numbers */
    struct avc_intervals tree;
    _Atomic(uint64_t) refs; /* one for its tree, one for each anon_vma below a root */
    uint32_t children;      /* anon_vmas whose parent it is; a root is its own */
    uint32_t regions;       /* whose `anon` it is */
};

struct avc_world {
    struct slab regions, chains, anons;
};

/** An anon_vma for a region that has none yet. */
void avc_prepare(struct avc_world *w, struct avc_region *r);
/** The region of a child, otherwise complete, gets what a fork gives it. */
void avc_fork(struct avc_world *w, struct avc_region *child, const struct avc_region *parent);
/** A new region with pages of `r`'s, by a split or a move, gets the same anon_vma and chains as `r` has. */
void avc_clone(struct avc_world *w, struct avc_region *copy, const struct avc_region *r);
/** Before the region goes. Anon_vmas that nobody else needs go, too. */
void avc_unlink(struct avc_world *w, struct avc_region *r);
/** The region loses pages at an end: it shows [index, index + count) from `first` on. */
void avc_resize(struct avc_region *r, rmap_vpn_t first, uint64_t count);

#endif
