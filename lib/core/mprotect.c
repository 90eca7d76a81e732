/* SPDX-License-Identifier: MIT */
/** @file core/mprotect.c  protect: change attributes of a range of entries in one space. */
#include <core/core.h>

/* The entry after the change; equal to `e` if nothing is to be done. */
static rmap_pte_t protected_entry(const struct rmap_pte_format *f, rmap_pte_t e, unsigned flags)
{
    enum rmap_pte_kind k = rmap_pte_kind(f, e);
    if (k == RMAP_PTE_SWAP) { /* carries the software attributes only */
        if (flags & RMAP_PROTECT_LOCK) e = rmap_pte_set(f, e, RMAP_ATTR_LOCKED, true);
        if (flags & RMAP_PROTECT_UNLOCK) e = rmap_pte_set(f, e, RMAP_ATTR_LOCKED, false);
        return e;
    }
    if (k != RMAP_PTE_PRESENT && k != RMAP_PTE_NO_ACCESS && k != RMAP_PTE_MIGRATION) return e;
    if (flags & (RMAP_PROTECT_NO_WRITE | RMAP_PROTECT_NO_ACCESS | RMAP_PROTECT_ACCESS))
        e = rmap_pte_set(f, e, RMAP_ATTR_WRITE, false);
    if (flags & RMAP_PROTECT_NO_EXEC) e = rmap_pte_set(f, e, RMAP_ATTR_EXEC, false);
    if (flags & RMAP_PROTECT_LOCK) e = rmap_pte_set(f, e, RMAP_ATTR_LOCKED, true);
    if (flags & RMAP_PROTECT_UNLOCK) e = rmap_pte_set(f, e, RMAP_ATTR_LOCKED, false);
    if ((flags & RMAP_PROTECT_NO_ACCESS) && k != RMAP_PTE_NO_ACCESS) e = rmap_pte_to_kind(f, e, RMAP_PTE_NO_ACCESS);
    if ((flags & RMAP_PROTECT_ACCESS) && k == RMAP_PTE_NO_ACCESS) e = rmap_pte_to_kind(f, e, RMAP_PTE_PRESENT);
    return e;
}

static void protect_entry(struct rmap_gather *g, struct rmap_member *m, const struct rmap_mmu_run *run, uint32_t i,
                          unsigned flags)
{
    const struct rmap_pte_format *f = m->mmu.ops->format;
    rmap_pte_t e = rmap_run_get(&m->mmu, run, i);
    rmap_pte_t wanted = protected_entry(f, e, flags);
    if (wanted == e) return;
    if (!rmap_pte_present(f, e)) { /* the hardware does not use it */
        rmap_run_set(&m->mmu, run, i, wanted);
        return;
    }
    rmap_pte_t old = rmap__run_modify(&m->mmu, run, i, e, wanted);
    bool less = !rmap_pte_present(f, wanted) ||
                (rmap_pte_get(f, old, RMAP_ATTR_EXEC) && !rmap_pte_get(f, wanted, RMAP_ATTR_EXEC));
    if (less)
        rmap_gather_flush(g, m, run->first + i, old, RMAP_FLUSH_ALL);
    else if (rmap_pte_get(f, old, RMAP_ATTR_WRITE) && !rmap_pte_get(f, wanted, RMAP_ATTR_WRITE))
        rmap_gather_flush(g, m, run->first + i, old, RMAP_FLUSH_WRITE);
}

int rmap_protect(struct rmap_member *m, rmap_vpn_t first, uint64_t count, unsigned flags)
{
    if (!m) return RMAP_ERR_NULL_ARG;
    if (!m->node) return RMAP_ERR_DEAD;
    const unsigned access = RMAP_PROTECT_NO_ACCESS | RMAP_PROTECT_ACCESS,
                   lock = RMAP_PROTECT_LOCK | RMAP_PROTECT_UNLOCK;
    if (!flags || flags >= RMAP_PROTECT_UNLOCK << 1 || (flags & access) == access || (flags & lock) == lock)
        return RMAP_ERR_INVALID;
    int err = rmap__range_check(&m->mmu, first, count);
    if (err) return err;
    struct rmap_gather g;
    rmap_gather_init(&g, m->r);
    const struct rmap_mmu_ops *o = m->mmu.ops;
    const rmap_vpn_t end = first + count;
    struct rmap_mmu_run run;
    for (rmap_vpn_t at = first; at < end && !(err = o->run_find(m->mmu.ctx, at, end, &run));) {
        if (at < run.first) at = run.first;
        for (; at < end && at < run.first + run.count; at++)
            protect_entry(&g, m, &run, (uint32_t)(at - run.first), flags);
        rmap_gather_flush_now(&g); /* a walk that finds nothing left to withdraw says DONE */
        o->run_unlock(m->mmu.ctx, &run);
    }
    rmap_gather_finish(&g);
    return err == RMAP_ERR_ABSENT ? 0 : err;
}
