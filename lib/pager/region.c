/* SPDX-License-Identifier: MIT */
/** @file pager/region.c  Regions: look-up, holes, and the questions asked of a range. Changes are in region_edit.c. */
#include <pager/region_tree.h>

struct rmap__region *rmap__region_first(const struct rmap__regions *rs)
{
    return RB_MIN(rmap__region_tree, (struct rmap__region_tree *)&rs->tree);
}

struct rmap__region *rmap__region_next(const struct rmap__region *r)
{
    return RB_NEXT(rmap__region_tree, NULL, (struct rmap__region *)r);
}

struct rmap__region *rmap__region_from(const struct rmap__regions *rs, rmap_vpn_t vpn)
{
    struct rmap__region *r = RB_ROOT(&rs->tree), *best = NULL;
    while (r) {
        if (rmap__region_end(r) > vpn) {
            best = r;
            r = RB_LEFT(r, node);
        } else {
            r = RB_RIGHT(r, node);
        }
    }
    return best;
}

struct rmap__region *rmap__region_before(const struct rmap__regions *rs, rmap_vpn_t vpn)
{
    struct rmap__region *r = RB_ROOT(&rs->tree), *best = NULL;
    while (r) {
        if (r->first < vpn) {
            best = r;
            r = RB_RIGHT(r, node);
        } else {
            r = RB_LEFT(r, node);
        }
    }
    return best;
}

struct rmap__region *rmap__region_find(const struct rmap__regions *rs, rmap_vpn_t vpn)
{
    struct rmap__region *r = rmap__region_from(rs, vpn);
    return r && r->first <= vpn ? r : NULL;
}

bool rmap__regions_cover(const struct rmap__regions *rs, rmap_vpn_t first, rmap_vpn_t end)
{
    const struct rmap__region *r;
    RMAP__REGIONS_IN(r, rs, first, end)
    {
        if (r->first > first) return false;
        first = rmap__region_end(r);
    }
    return first >= end;
}

uint64_t rmap__regions_pages(const struct rmap__regions *rs, rmap_vpn_t first, rmap_vpn_t end, bool accounted)
{
    uint64_t pages = 0;
    const struct rmap__region *r;
    RMAP__REGIONS_IN(r, rs, first, end)
    {
        rmap_vpn_t a = r->first > first ? r->first : first;
        rmap_vpn_t b = rmap__region_end(r) < end ? rmap__region_end(r) : end;
        if (r->accounted == accounted) pages += b - a;
    }
    return pages;
}

static bool hole_from(const struct rmap__regions *rs, rmap_vpn_t at, uint64_t count, rmap_vpn_t *out)
{
    for (const struct rmap__region *r = rmap__region_from(rs, at);; r = rmap__region_next(r)) {
        rmap_vpn_t limit = r ? r->first : rs->end;
        if (limit > at && limit - at >= count) {
            *out = at;
            return true;
        }
        if (!r) return false;
        at = rmap__region_end(r);
    }
}

int rmap__regions_hole(const struct rmap__regions *rs, rmap_vpn_t hint, uint64_t count, rmap_vpn_t *out)
{
    if (hint < rs->end && hole_from(rs, hint, count, out)) return 0;
    return hole_from(rs, 0, count, out) ? 0 : RMAP_ERR_NOMEM;
}

unsigned rmap__regions_cuts(const struct rmap__regions *rs, rmap_vpn_t first, rmap_vpn_t end)
{
    const struct rmap__region *a = rmap__region_find(rs, first), *b = rmap__region_find(rs, end);
    return (a && a->first < first) + (b && b->first < end);
}

bool rmap__regions_sound(const struct rmap__regions *rs)
{
    const struct rmap__region *prev = NULL, *r;
    for (r = rmap__region_first(rs); r; prev = r, r = rmap__region_next(r)) {
        if (r->count == 0 || r->locking || r->first >= rs->end || r->count > rs->end - r->first) return false;
        if (prev && (rmap__region_end(prev) > r->first || rmap__regions_mergeable(prev, r))) return false;
    }
    return true;
}
