/* SPDX-License-Identifier: MIT */
/**
 * @file pager/region.h  The regions of one space: ordered ranges, each with one protection and one set of flags.
 *
 *      0        10        20        30        40
 *      |        [ rw      ][ r      ]         [ rw locked …      two regions never overlap; neighbours that are equal
 *                                                                in everything are one region (after merge)
 *
 * The red-black tree is libbsd's <bsd/sys/tree.h>, ordered by first page. Nothing here knows spaces or the reverse map.
 * Memory: whoever is about to cut or insert fills a *stock* of regions first; from then on nothing can fail.
 * Lock: the space's: look-ups shared, changes exclusive. `count` may be read without.
 */
#ifndef RMAP_PAGER_REGION_H
#define RMAP_PAGER_REGION_H

#include <base/alloc.h>
#include <bsd/sys/tree.h>
#include <objrmap/error.h>

struct rmap__region {
    RB_ENTRY(rmap__region) node;
    rmap_vpn_t first;
    uint64_t count;
    unsigned prot;  /* enum rmap_access */
    bool locked;    /* mlock: entries carry the locked attribute */
    bool accounted; /* charged: is or once was writable (S11) */
    bool locking;   /* becoming locked; undone when population fails. False at quiet points */
};
RB_HEAD(rmap__region_tree, rmap__region);

struct rmap__regions {
    struct rmap__region_tree tree;
    const struct rmap_allocator *alloc;
    rmap_vpn_t end;         /* one past the last page that can be mapped */
    _Atomic uint64_t count; /* of regions */
};

/** Regions allocated ahead. A move needs the most: two cuts at the source, two at the target, two new regions. */
#define RMAP__STOCK_MAX 6
struct rmap__region_stock {
    struct rmap__region *spare[RMAP__STOCK_MAX];
    unsigned count;
};

static inline rmap_vpn_t rmap__region_end(const struct rmap__region *r)
{
    return r->first + r->count;
}

void rmap__regions_init(struct rmap__regions *rs, const struct rmap_allocator *alloc, rmap_vpn_t end);
/** Free all regions. */
void rmap__regions_clear(struct rmap__regions *rs);
/** Deep copy into the empty `to`; locked is not inherited (D9). @return 0; NOMEM (`to` is empty). */
int rmap__regions_clone(const struct rmap__regions *from, struct rmap__regions *to);

struct rmap__region *rmap__region_first(const struct rmap__regions *rs);
struct rmap__region *rmap__region_next(const struct rmap__region *r);
/** Region that contains `vpn`, or NULL. */
struct rmap__region *rmap__region_find(const struct rmap__regions *rs, rmap_vpn_t vpn);
/** First region that ends after `vpn`: the one that contains it, else the next one, or NULL. */
struct rmap__region *rmap__region_from(const struct rmap__regions *rs, rmap_vpn_t vpn);
/** Last region that begins before `vpn`, or NULL. */
struct rmap__region *rmap__region_before(const struct rmap__regions *rs, rmap_vpn_t vpn);
/** Walk the regions that touch [first, end). */
#define RMAP__REGIONS_IN(r, rs, first_, end_)                                                                          \
    for (r = rmap__region_from(rs, first_); r && r->first < (end_); r = rmap__region_next(r))
/** True if [first, end) has no hole. */
bool rmap__regions_cover(const struct rmap__regions *rs, rmap_vpn_t first, rmap_vpn_t end);
/** Pages of accounted (or of not accounted) regions in [first, end). */
uint64_t rmap__regions_pages(const struct rmap__regions *rs, rmap_vpn_t first, rmap_vpn_t end, bool accounted);
/** Place for `count` pages: first fit at or after `hint`, else from 0. @return 0; NOMEM: no hole is large enough. */
int rmap__regions_hole(const struct rmap__regions *rs, rmap_vpn_t hint, uint64_t count, rmap_vpn_t *out);

/** Add `n` regions to the stock. @return 0; NOMEM (the stock is then empty). */
int rmap__stock_fill(const struct rmap__regions *rs, struct rmap__region_stock *stock, unsigned n);
void rmap__stock_drop(const struct rmap__regions *rs, struct rmap__region_stock *stock);
/** How many regions cutting at `first` and at `end` takes: 0 … 2. */
unsigned rmap__regions_cuts(const struct rmap__regions *rs, rmap_vpn_t first, rmap_vpn_t end);
/** Make region borders at `first` and at `end`, where a region crosses them. Takes from the stock; cannot fail. */
void rmap__regions_cut(struct rmap__regions *rs, rmap_vpn_t first, rmap_vpn_t end, struct rmap__region_stock *stock);
/** Put a region from the stock into a hole. @return it: the caller fills the flags. Cannot fail. */
struct rmap__region *rmap__region_add(struct rmap__regions *rs, rmap_vpn_t first, uint64_t count, unsigned prot,
                                      struct rmap__region_stock *stock);
/** Remove and free the regions inside [first, end), cut before. */
void rmap__regions_remove(struct rmap__regions *rs, rmap_vpn_t first, rmap_vpn_t end);
/** Join neighbours that are equal, from the one that ends at `first` to the one that begins at `end`. */
void rmap__regions_merge(struct rmap__regions *rs, rmap_vpn_t first, rmap_vpn_t end);
/** Ordered, disjoint, not empty, inside, merged? Cost: O(regions). */
bool rmap__regions_sound(const struct rmap__regions *rs);

#endif
