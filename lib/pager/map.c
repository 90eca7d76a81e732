/* SPDX-License-Identifier: MIT */
/** @file pager/map.c  map, unmap, advise. What can fail comes first: memory for regions, charges; then nothing can. */
#include <pager/pager_internal.h>

#define PROT_ALL ((unsigned)(RMAP_READ | RMAP_WRITE | RMAP_EXEC))
#define MAP_FLAGS ((unsigned)(RMAP_MAP_FIXED | RMAP_MAP_NOREPLACE | RMAP_MAP_LOCKED | RMAP_MAP_SHARED))

void rmap__trim(struct rmap_space *s, rmap_vpn_t first, rmap_vpn_t end)
{
    /* A table at the border may have served this range alone: widen to the holes on both sides. */
    const struct rmap__region *before = rmap__region_before(&s->regions, first),
                              *after = rmap__region_from(&s->regions, end);
    rmap_vpn_t from = before ? rmap__region_end(before) : 0, to = after ? after->first : s->mmu.pages;
    if (from < to) rmap_member_trim(rmap__space_member(s), from, to - from);
}

int rmap__unmap_range(struct rmap_space *s, rmap_vpn_t first, rmap_vpn_t end, struct rmap__region_stock *stock)
{
    const struct rmap__region *r = rmap__region_from(&s->regions, first);
    if (!r || r->first >= end) return 0;
    int rc = rmap_zap(rmap__space_member(s), first, end - first, NULL);
    if (rc) return rc;
    rmap__commit_uncharge(s, rmap__regions_pages(&s->regions, first, end, true));
    rmap__regions_cut(&s->regions, first, end, stock);
    rmap__regions_remove(&s->regions, first, end);
    rmap__trim(s, first, end);
    return 0;
}

/* Into a hole, its charge reserved. */
static int add_region(struct rmap_space *s, rmap_vpn_t first, uint64_t count, unsigned prot, bool locked,
                      struct rmap__region_stock *stock)
{
    struct rmap__region *r = rmap__region_add(&s->regions, first, count, prot, stock);
    int rc = 0;
    r->accounted = prot & RMAP_WRITE;
    r->locked = locked;
    if (r->accounted) rmap__commit_charge(s, count);
    if (locked && (rc = rmap__populate(s, first, first + count))) rmap__unmap_range(s, first, first + count, stock);
    rmap__regions_merge(&s->regions, first, first + count);
    return rc;
}

static int map_locked(struct rmap_space *s, rmap_vpn_t *at, uint64_t count, unsigned prot, unsigned flags)
{
    rmap_vpn_t first = *at;
    int rc = flags & RMAP_MAP_FIXED ? 0 : rmap__regions_hole(&s->regions, *at, count, &first);
    if (rc) return rc;
    const rmap_vpn_t end = first + count;
    const struct rmap__region *there = rmap__region_from(&s->regions, first);
    if ((flags & RMAP_MAP_NOREPLACE) && there && there->first < end) return RMAP_ERR_EXISTS;

    struct rmap__region_stock stock = {.count = 0};
    if ((rc = rmap__stock_fill(&s->regions, &stock, rmap__regions_cuts(&s->regions, first, end) + 1))) return rc;
    const uint64_t charge = prot & RMAP_WRITE ? count : 0;
    rc = rmap__commit_reserve(s, charge, rmap__regions_pages(&s->regions, first, end, true));
    if (!rc && (rc = rmap__unmap_range(s, first, end, &stock))) rmap__commit_unreserve(s, charge);
    if (!rc) rc = add_region(s, first, count, prot, flags & RMAP_MAP_LOCKED, &stock);
    rmap__stock_drop(&s->regions, &stock);
    if (!rc) *at = first;
    return rc;
}

int rmap_space_map(struct rmap_space *s, rmap_vpn_t *at, uint64_t count, unsigned prot, unsigned flags)
{
    if (!s || !at) return RMAP_ERR_NULL_ARG;
    if ((prot & ~PROT_ALL) || (flags & ~MAP_FLAGS)) return RMAP_ERR_INVALID;
    if (flags & RMAP_MAP_SHARED) return RMAP_ERR_UNSUPPORTED;
    if ((flags & RMAP_MAP_NOREPLACE) && !(flags & RMAP_MAP_FIXED)) return RMAP_ERR_INVALID;
    if ((flags & RMAP_MAP_LOCKED) && prot == RMAP_NONE) return RMAP_ERR_INVALID;
    struct rmap__call c;
    int rc = rmap__space_range(s, flags & RMAP_MAP_FIXED ? *at : 0, count);
    if (rc || (rc = rmap__space_enter_exclusive(&c, s))) return rc;
    rc = map_locked(s, at, count, prot, flags);
    rmap__space_leave(&c);
    return rc;
}

int rmap_space_unmap(struct rmap_space *s, rmap_vpn_t first, uint64_t count)
{
    if (!s) return RMAP_ERR_NULL_ARG;
    struct rmap__call c;
    int rc = rmap__space_range(s, first, count);
    if (rc || (rc = rmap__space_enter_exclusive(&c, s))) return rc;
    struct rmap__region_stock stock = {.count = 0};
    rc = rmap__stock_fill(&s->regions, &stock, rmap__regions_cuts(&s->regions, first, first + count));
    if (!rc) rc = rmap__unmap_range(s, first, first + count, &stock);
    rmap__stock_drop(&s->regions, &stock);
    rmap__space_leave(&c);
    return rc;
}

/* Reclaim gets something to do, also where there is no swap. */
static int free_lazily(struct rmap_space *s, rmap_vpn_t first, rmap_vpn_t end)
{
    struct rmap_pager *p = s->p;
    struct rmap_freed freed;
    int rc = rmap_free_lazily(rmap__space_member(s), first, end - first, &freed);
    if (!freed.marked) return rc;
    RMAP__STAT(p, lazily_freed, freed.marked);
    p->lazy_marks++;
    rmap__mutex_lock(&p->frames.lock, RMAP__RANK_FRAMES);
    p->frames.stuck = false;
    rmap__mutex_unlock(&p->frames.lock, RMAP__RANK_FRAMES);
    return rc;
}

static int advise_locked(struct rmap_space *s, rmap_vpn_t first, rmap_vpn_t end, enum rmap_advice advice)
{
    if (!rmap__regions_cover(&s->regions, first, end)) return RMAP_ERR_ABSENT;
    const struct rmap__region *r;
    RMAP__REGIONS_IN(r, &s->regions, first, end)
    if (r->locked) return RMAP_ERR_BUSY;
    if (advice == RMAP_ADVISE_FREE) return free_lazily(s, first, end);
    return rmap_zap(rmap__space_member(s), first, end - first, NULL);
}

int rmap_space_advise(struct rmap_space *s, rmap_vpn_t first, uint64_t count, enum rmap_advice advice)
{
    if (!s) return RMAP_ERR_NULL_ARG;
    if (advice != RMAP_ADVISE_DONTNEED && advice != RMAP_ADVISE_FREE) return RMAP_ERR_INVALID;
    struct rmap__call c;
    int rc = rmap__space_range(s, first, count);
    if (rc || (rc = rmap__space_enter_exclusive(&c, s))) return rc;
    rc = advise_locked(s, first, first + count, advice);
    rmap__space_leave(&c);
    return rc;
}
