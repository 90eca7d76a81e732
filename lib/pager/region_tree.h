/* SPDX-License-Identifier: MIT */
/** @file pager/region_tree.h  The generated tree functions, for region.c and region_edit.c alone. */
#ifndef RMAP_PAGER_REGION_TREE_H
#define RMAP_PAGER_REGION_TREE_H

#include <pager/region.h>

static inline int rmap__region_order(const struct rmap__region *a, const struct rmap__region *b)
{
    return a->first < b->first ? -1 : a->first > b->first;
}

RB_PROTOTYPE(rmap__region_tree, rmap__region, node, rmap__region_order)

/** May b, which follows a, become part of it? */
static inline bool rmap__regions_mergeable(const struct rmap__region *a, const struct rmap__region *b)
{
    return rmap__region_end(a) == b->first && a->prot == b->prot && a->locked == b->locked &&
           a->accounted == b->accounted && a->locking == b->locking;
}

#endif
