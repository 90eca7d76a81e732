/* SPDX-License-Identifier: MIT */
/** @file testing/entries.c  The steps of cases: runs locked and made, entries put and looked at, accesses. */
#include <testing/kit.h>

bool rmap__kit_run_ok(struct rmap__kit *k, struct rmap__kit_mmu *m, const struct rmap_mmu_run *run, rmap_vpn_t vpn)
{
    const rmap_vpn_t pages = m->mmu.pages;
    return KIT_CHECK(k, run->count >= 1 && run->count <= RMAP_RUN_MAX, "the run of page %llu has %u slots", KIT_N(vpn),
                     run->count) &&
           KIT_CHECK(k, run->first < pages && run->count <= pages - run->first,
                     "the run of page %llu is %llu + %u, of a space of %llu pages", KIT_N(vpn), KIT_N(run->first),
                     run->count, KIT_N(pages)) &&
           KIT_CHECK(k, vpn >= run->first && vpn - run->first < run->count, "the run of page %llu is %llu + %u",
                     KIT_N(vpn), KIT_N(run->first), run->count) &&
           KIT_CHECK(k, run->slots || m->mmu.ops->get, "the run of page %llu has no slots, the MMU no get()",
                     KIT_N(vpn)) &&
           KIT_CHECK(k, (uintptr_t)run->slots % sizeof(rmap_pte_t) == 0, "the slots of page %llu are not aligned",
                     KIT_N(vpn));
}

bool rmap__kit_lock(struct rmap__kit_mmu *m, rmap_vpn_t vpn, struct rmap_mmu_run *run)
{
    *run = (struct rmap_mmu_run){.count = 0};
    if (m->mmu.ops->run_find(m->mmu.ctx, vpn, vpn + 1, run)) return false;
    if (vpn >= run->first && vpn - run->first < run->count) return true;
    rmap__kit_unlock(m, run); /* another page's: run-stops-at-end will say so */
    return false;
}

void rmap__kit_unlock(struct rmap__kit_mmu *m, struct rmap_mmu_run *run)
{
    m->mmu.ops->run_unlock(m->mmu.ctx, run);
}

bool rmap__kit_make(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap_vpn_t vpn, struct rmap_mmu_run *run)
{
    const struct rmap_mmu_ops *o = m->mmu.ops;
    struct rmap_tables t = {.count = 0};
    *run = (struct rmap_mmu_run){.count = 0};
    int error = o->reserve(m->mmu.ctx, vpn, &t);
    if (!KIT_CHECK(k, !error, "reserve(%llu) says %s", KIT_N(vpn), rmap_error_name(error))) return false;
    error = o->run_make(m->mmu.ctx, vpn, &t, run);
    o->unreserve(m->mmu.ctx, &t);
    if (!KIT_CHECK(k, !error, "run_make(%llu) after reserve() says %s", KIT_N(vpn), rmap_error_name(error)))
        return false;
    if (rmap__kit_run_ok(k, m, run, vpn)) return true;
    rmap__kit_unlock(m, run);
    return false;
}

bool rmap__kit_put(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap_vpn_t vpn, rmap_pte_t e)
{
    struct rmap_mmu_run run;
    if (!rmap__kit_make(k, m, vpn, &run)) return false;
    const uint32_t i = (uint32_t)(vpn - run.first);
    if (rmap_pte_present(m->mmu.ops->format, rmap_run_get(&m->mmu, &run, i)))
        rmap_run_exchange(&m->mmu, &run, i, e);
    else
        rmap_run_set(&m->mmu, &run, i, e);
    rmap__kit_unlock(m, &run);
    return true;
}

rmap_pte_t rmap__kit_get(struct rmap__kit_mmu *m, rmap_vpn_t vpn)
{
    struct rmap_mmu_run run;
    if (!rmap__kit_lock(m, vpn, &run)) return 0;
    const rmap_pte_t e = rmap_run_get(&m->mmu, &run, (uint32_t)(vpn - run.first));
    rmap__kit_unlock(m, &run);
    return e;
}

rmap_pte_t rmap__kit_exchange(struct rmap__kit_mmu *m, rmap_vpn_t vpn, rmap_pte_t e)
{
    struct rmap_mmu_run run;
    if (!rmap__kit_lock(m, vpn, &run)) return 0;
    const rmap_pte_t old = rmap_run_exchange(&m->mmu, &run, (uint32_t)(vpn - run.first), e);
    rmap__kit_unlock(m, &run);
    return old;
}

void rmap__kit_flush(struct rmap__kit_mmu *m, rmap_vpn_t first, uint64_t count, enum rmap_flush_kind kind)
{
    const struct rmap_mmu_ops *o = m->mmu.ops;
    const struct rmap_flush_range range = {.first = first, .count = count, .kind = kind};
    if (o->flush && !(o->caps & RMAP_MMU_NO_TLB)) o->flush(m->mmu.ctx, &range, 1);
}

rmap_pte_t rmap__kit_present(const struct rmap__kit *k, unsigned n, unsigned attrs)
{
    return rmap_pte_make(k->f, k->t->first_frame + n, attrs);
}

rmap_pte_t rmap__kit_swap(const struct rmap__kit *k, uint32_t n)
{
    return rmap_pte_make_kind(k->f, RMAP_PTE_SWAP, rmap_swp_make(1, n), 0);
}

bool rmap__kit_holds(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap_vpn_t vpn, rmap_pte_t e, const char *when)
{
    const rmap_pte_t is = rmap__kit_get(m, vpn);
    return KIT_CHECK(k, is == e, "page %llu: the entry is %#llx, not %#llx, %s", KIT_N(vpn), KIT_N(is), KIT_N(e), when);
}

static const char *access_name(unsigned access)
{
    return access & RMAP_WRITE ? "write" : access & RMAP_EXEC ? "fetch" : "read";
}

bool rmap__kit_reaches(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap_vpn_t vpn, unsigned access, unsigned n,
                       const char *when)
{
    rmap_pfn_t pfn = RMAP_PFN_NONE;
    const rmap_pfn_t wanted = k->t->first_frame + n;
    const int error = k->t->touch(k->t->ctx, &m->mmu, vpn, access, &pfn);
    return KIT_CHECK(k, !error, "page %llu: a %s faults with %s, %s", KIT_N(vpn), access_name(access),
                     rmap_error_name(error), when) &&
           KIT_CHECK(k, pfn == wanted, "page %llu: a %s reaches frame %llu, not %llu, %s", KIT_N(vpn),
                     access_name(access), KIT_N(pfn), KIT_N(wanted), when);
}

bool rmap__kit_faults(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap_vpn_t vpn, unsigned access, const char *when)
{
    rmap_pfn_t pfn = RMAP_PFN_NONE;
    const int error = k->t->touch(k->t->ctx, &m->mmu, vpn, access, &pfn);
    return KIT_CHECK(k, error, "page %llu: a %s reaches frame %llu, %s", KIT_N(vpn), access_name(access), KIT_N(pfn),
                     when);
}
