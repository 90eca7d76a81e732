/* SPDX-License-Identifier: MIT */
/**
 * @file bench/rivals/by_index.h  What flat_group and anonmm share: a page is found at one page number, in whatever space of its
 * group. So a page that others map cannot move, nor be mapped anywhere else; one that moves gets a new number.
 */
#ifndef RMAP_TESTS_BENCH_RIVALS_BY_INDEX_H
#define RMAP_TESTS_BENCH_RIVALS_BY_INDEX_H

#include "bench/rivals/rival.h"

/** rival_ops.may_move, may_map. */
static inline bool by_index_may_move(struct rival_space *s, const struct rmap_page *page, rmap_vpn_t from, rmap_vpn_t to)
{
    (void)s, (void)from, (void)to;
    return rmap_page_mapcount(page) == 1;
}
static inline bool by_index_may_map(struct rival_space *s, const struct rmap_page *page, rmap_vpn_t vpn)
{
    (void)s;
    return rmap_page_index(page) == vpn;
}

/** Of rival_ops.move_run: the batch's pages are at `first` and behind it now. `point_at` says so in the page, which is locked. */
static inline void by_index_moved(struct rival_space *s, rmap_vpn_t first, const struct rival_batch *batch,
                                  void (*point_at)(struct rival_space *s, struct rmap_page *page, rmap_vpn_t vpn))
{
    for (uint32_t i = 0; i < batch->count; i++) {
        struct rmap_page *page = batch->page[i];
        if (!page) continue;
        rival_lock(page);
        point_at(s, page, first + i);
        rival_unlock(page);
    }
}

#endif
