/* SPDX-License-Identifier: MIT */
/** @file core/run.c  Small things about runs and ranges. */
#include <core/core.h>

rmap_pte_t rmap__run_modify(const struct rmap_mmu *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t expect,
                            rmap_pte_t wanted)
{
    const struct rmap_pte_format *f = mmu->ops->format;
    rmap_pte_t before = expect;
    for (;;) {
        rmap_pte_t got = rmap_run_exchange(mmu, run, i, wanted);
        if (got == expect) return before;
        /* Only the hardware can have changed it under the run lock, and it only sets these two. */
        static const enum rmap_pte_attr hw[] = {RMAP_ATTR_ACCESSED, RMAP_ATTR_DIRTY};
        rmap_pte_t next = wanted;
        for (unsigned k = 0; k < 2; k++) {
            if (!rmap_pte_get(f, got, hw[k]) || rmap_pte_get(f, expect, hw[k])) continue;
            next = rmap_pte_set(f, next, hw[k], true);
            before = rmap_pte_set(f, before, hw[k], true);
        }
        if (next == wanted) return before;
        expect = wanted;
        wanted = next;
    }
}

int rmap__range_check(const struct rmap_mmu *mmu, rmap_vpn_t first, uint64_t count)
{
    return count == 0 || first >= mmu->pages || count > mmu->pages - first ? RMAP_ERR_RANGE : 0;
}
