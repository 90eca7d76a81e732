/* SPDX-License-Identifier: MIT */
/** @file pager/protect.c  protect, lock, unlock: what regions allow, and the attributes of entries that follow. */
#include <pager/pager_internal.h>

#define PROT_ALL ((unsigned)(RMAP_READ | RMAP_WRITE | RMAP_EXEC))

/* What has to be withdrawn from (or, for no-access entries, given back to) the entries. Write and execute are granted
 * by the next fault. No-access entries keep their attributes, so execute is withdrawn from those, too. */
static unsigned entry_changes(unsigned before, unsigned after)
{
    if (after == RMAP_NONE) return before == RMAP_NONE ? 0 : RMAP_PROTECT_NO_ACCESS | RMAP_PROTECT_NO_WRITE;
    unsigned change = before == RMAP_NONE ? RMAP_PROTECT_ACCESS : 0;
    if ((before & RMAP_WRITE) && !(after & RMAP_WRITE)) change |= RMAP_PROTECT_NO_WRITE;
    if ((before & RMAP_EXEC || before == RMAP_NONE) && !(after & RMAP_EXEC)) change |= RMAP_PROTECT_NO_EXEC;
    return change;
}

static int protect_locked(struct rmap_space *s, rmap_vpn_t first, rmap_vpn_t end, unsigned prot)
{
    if (!rmap__regions_cover(&s->regions, first, end)) return RMAP_ERR_ABSENT;
    struct rmap__region_stock stock = {.count = 0};
    int rc = rmap__stock_fill(&s->regions, &stock, rmap__regions_cuts(&s->regions, first, end));
    if (rc) return rc;
    const uint64_t charge = prot & RMAP_WRITE ? rmap__regions_pages(&s->regions, first, end, false) : 0;
    if ((rc = rmap__commit_reserve(s, charge, 0))) {
        rmap__stock_drop(&s->regions, &stock);
        return rc;
    }
    rmap__commit_charge(s, charge);
    rmap__regions_cut(&s->regions, first, end, &stock);
    struct rmap__region *r;
    RMAP__REGIONS_IN(r, &s->regions, first, end)
    {
        unsigned change = entry_changes(r->prot, prot);
        if (change) rmap_protect(rmap__space_member(s), r->first, r->count, change);
        r->prot = prot;
        if (prot & RMAP_WRITE) r->accounted = true;
    }
    rmap__regions_merge(&s->regions, first, end);
    return 0;
}

int rmap_space_protect(struct rmap_space *s, rmap_vpn_t first, uint64_t count, unsigned prot)
{
    if (!s) return RMAP_ERR_NULL_ARG;
    if (prot & ~PROT_ALL) return RMAP_ERR_INVALID;
    struct rmap__call c;
    int rc = rmap__space_range(s, first, count);
    if (rc || (rc = rmap__space_enter_exclusive(&c, s))) return rc;
    rc = protect_locked(s, first, first + count, prot);
    rmap__space_leave(&c);
    return rc;
}

int rmap__populate(struct rmap_space *s, rmap_vpn_t first, rmap_vpn_t end)
{
    const struct rmap__region *r;
    RMAP__REGIONS_IN(r, &s->regions, first, end)
    {
        if (r->prot == RMAP_NONE) continue; /* grown or moved while nothing may be accessed: locked as its pages come */
        unsigned access = r->prot & RMAP_WRITE ? RMAP_WRITE : r->prot & RMAP_READ ? RMAP_READ : RMAP_EXEC;
        rmap_vpn_t a = r->first > first ? r->first : first;
        rmap_vpn_t b = rmap__region_end(r) < end ? rmap__region_end(r) : end;
        for (; a < b; a++) {
            int rc = rmap__fault(s, a, access, NULL);
            if (rc) return rc;
        }
    }
    return 0;
}

/* The range becomes locked before it is populated, so that its first pages stay while the last ones come; which regions
 * this call locked is remembered in them until it is known that all could be populated. */
static int lock_locked(struct rmap_space *s, rmap_vpn_t first, rmap_vpn_t end)
{
    struct rmap__region *r;
    if (!rmap__regions_cover(&s->regions, first, end)) return RMAP_ERR_ABSENT;
    RMAP__REGIONS_IN(r, &s->regions, first, end)
    if (r->prot == RMAP_NONE) return RMAP_ERR_ACCESS;
    struct rmap__region_stock stock = {.count = 0};
    int rc = rmap__stock_fill(&s->regions, &stock, rmap__regions_cuts(&s->regions, first, end));
    if (rc) return rc;
    rmap__regions_cut(&s->regions, first, end, &stock);
    RMAP__REGIONS_IN(r, &s->regions, first, end)
    {
        if (r->locked) continue;
        r->locked = r->locking = true;
        rmap_protect(rmap__space_member(s), r->first, r->count, RMAP_PROTECT_LOCK);
    }
    rc = rmap__populate(s, first, end);
    RMAP__REGIONS_IN(r, &s->regions, first, end)
    {
        if (rc && r->locking) {
            r->locked = false;
            rmap_protect(rmap__space_member(s), r->first, r->count, RMAP_PROTECT_UNLOCK);
        }
        r->locking = false;
    }
    rmap__regions_merge(&s->regions, first, end);
    return rc;
}

int rmap_space_lock(struct rmap_space *s, rmap_vpn_t first, uint64_t count)
{
    if (!s) return RMAP_ERR_NULL_ARG;
    struct rmap__call c;
    int rc = rmap__space_range(s, first, count);
    if (rc || (rc = rmap__space_enter_exclusive(&c, s))) return rc;
    rc = lock_locked(s, first, first + count);
    rmap__space_leave(&c);
    return rc;
}

static int unlock_locked(struct rmap_space *s, rmap_vpn_t first, rmap_vpn_t end)
{
    if (!rmap__regions_cover(&s->regions, first, end)) return RMAP_ERR_ABSENT;
    struct rmap__region_stock stock = {.count = 0};
    int rc = rmap__stock_fill(&s->regions, &stock, rmap__regions_cuts(&s->regions, first, end));
    if (rc) return rc;
    rmap__regions_cut(&s->regions, first, end, &stock);
    struct rmap__region *r;
    RMAP__REGIONS_IN(r, &s->regions, first, end)
    {
        if (!r->locked) continue;
        r->locked = false;
        rmap_protect(rmap__space_member(s), r->first, r->count, RMAP_PROTECT_UNLOCK);
    }
    rmap__regions_merge(&s->regions, first, end);
    return 0;
}

int rmap_space_unlock(struct rmap_space *s, rmap_vpn_t first, uint64_t count)
{
    if (!s) return RMAP_ERR_NULL_ARG;
    struct rmap__call c;
    int rc = rmap__space_range(s, first, count);
    if (rc || (rc = rmap__space_enter_exclusive(&c, s))) return rc;
    rc = unlock_locked(s, first, first + count);
    rmap__space_leave(&c);
    return rc;
}
