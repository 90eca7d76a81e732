/* SPDX-License-Identifier: MIT */
/** @file testing/runs.c  Cases of the second step: runs hold what was asked for and stay inside the space. */
#include <testing/kit.h>

/* run_find of any page of a run finds that run. */
static bool same_run(struct rmap__kit *k, struct rmap__kit_mmu *m, const struct rmap_mmu_run *made, rmap_vpn_t vpn)
{
    struct rmap_mmu_run run = {.count = 0};
    const int error = m->mmu.ops->run_find(m->mmu.ctx, vpn, vpn + 1, &run);
    if (!KIT_CHECK(k, !error, "run_find(%llu) says %s though its table was made", KIT_N(vpn), rmap_error_name(error)))
        return false;
    const bool ok = rmap__kit_run_ok(k, m, &run, vpn) &&
                    KIT_CHECK(k, run.first == made->first && run.count == made->count,
                              "page %llu is in run %llu + %u, and in run %llu + %u", KIT_N(vpn), KIT_N(made->first),
                              made->count, KIT_N(run.first), run.count);
    rmap__kit_unlock(m, &run);
    return ok;
}

void rmap__kit_run_bounds(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    for (unsigned i = 0; i < k->vpns; i++) {
        struct rmap_mmu_run run;
        if (!rmap__kit_make(k, m, k->vpn[i], &run)) return;
        rmap__kit_unlock(m, &run);
        const rmap_vpn_t asked[] = {k->vpn[i], run.first, run.first + run.count / 2, run.first + run.count - 1};
        for (unsigned n = 0; n < sizeof asked / sizeof *asked; n++)
            if (!same_run(k, m, &run, asked[n])) return;
    }
}

void rmap__kit_end_of_space(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    const rmap_pte_t e = rmap__kit_swap(k, 1);
    if (!rmap__kit_put(k, m, k->pages - 1, e) || !rmap__kit_holds(k, m, k->pages - 1, e, "after it was set")) return;
    struct rmap_tables t = {.count = 0};
    const int error = k->o->reserve(m->mmu.ctx, k->pages, &t);
    if (!error) k->o->unreserve(m->mmu.ctx, &t);
    KIT_EXPECT(k, error == RMAP_ERR_RANGE, "reserve(%llu), the number of pages, says %s", KIT_N(k->pages),
               rmap_error_name(error));
}
