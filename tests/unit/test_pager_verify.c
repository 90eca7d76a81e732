/* SPDX-License-Identifier: MIT */
/** @file unit/test_pager_verify.c  What rmap_pager_verify must find: one wrong figure or entry each, put right again. */
#include "unit/pager_world.h"

#include <pager/pager_internal.h>

static struct world w;

static void check_found(const char *invariant)
{
    struct rmap_verify_report report;
    CHECK_ERR(rmap_pager_verify(w.p, &report), RMAP_ERR_VERIFY);
    CHECK(report.invariant && strcmp(report.invariant, invariant) == 0);
    CHECK(report.text[0] != 0);
}

/* S: [0,4) rw; it charges one page more or less than its regions, and the pager believes it */
RMAP_TEST(pager_verify, S11_a_space_that_charges_what_its_regions_do_not)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 4, RW);
    world_verify(&w);
    for (int more = -1; more <= 1; more += 2) {
        s->charged += (uint64_t)(int64_t)more;
        w.p->stats.committed += (uint64_t)(int64_t)more;
        check_found("charges");
        s->charged -= (uint64_t)(int64_t)more;
        w.p->stats.committed -= (uint64_t)(int64_t)more;
        w.p->stats.committed += (uint64_t)(int64_t)more;
        check_found("charges");
        w.p->stats.committed -= (uint64_t)(int64_t)more;
    }
    world_verify(&w);
    world_fini(&w);
}

/* S: 7 read-only, with a page of its own; the entry lets it be written */
RMAP_TEST(pager_verify, a_writable_entry_in_a_read_only_region)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 7, 1, RW);
    put(s, 7, 70);
    CHECK_OK(rmap_space_protect(s, 7, 1, RMAP_READ));
    world_verify(&w);
    const struct rmap_mmu *mmu = &s->mmu;
    struct rmap_mmu_run run;
    for (int on = 1; on >= 0; on--) {
        CHECK_OK(mmu->ops->run_find(mmu->ctx, 7, 8, &run));
        const uint32_t i = (uint32_t)(7 - run.first);
        rmap_run_set(mmu, &run, i, rmap_pte_set(mmu->ops->format, rmap_run_get(mmu, &run, i), RMAP_ATTR_WRITE, on));
        mmu->ops->run_unlock(mmu->ctx, &run);
        if (on) check_found("entries");
    }
    world_verify(&w);
    world_fini(&w);
}

RMAP_TEST(pager_verify, free_clusters_that_are_not_there)
{
    world_init(&w, 64, 0, 0);
    w.p->frames.free_clusters++;
    check_found("frames");
    w.p->frames.free_clusters--;
    world_fini(&w);
}
