/* SPDX-License-Identifier: MIT */
/** @file pager/fault_new.c  First touch: the zero page for a read, a page of its own for a write. */
#include <pager/fault.h>

void rmap__fault_install(struct rmap__fault_state *f, struct rmap_mmu_run *run, struct rmap_page *page,
                         struct rmap_gather *g)
{
    const uint32_t i = (uint32_t)(f->vpn - run->first);
    const struct rmap_mmu *mmu = &f->m->mmu;
    int rc = rmap_page_map_new(f->m, page, f->vpn);
    RMAP_ASSERT(rc == 0);
    (void)rc;
    if (rmap_pte_present(f->format, f->entry)) {
        /* No stale translation may show the old frame once the new one can be written: empty, flush, set. */
        rmap_pte_t old = rmap_run_exchange(mmu, run, i, 0);
        if (f->page && rmap_pte_get(f->format, old, RMAP_ATTR_DIRTY)) rmap_page_set_flags(f->page, RMAP_PAGE_DIRTY);
        rmap_gather_flush(g, f->m, f->vpn, old, RMAP_FLUSH_ALL);
        rmap_gather_flush_now(g);
        if (f->page) rmap_page_unmap(g, f->m, f->page);
    }
    unsigned attrs = f->attrs;
    if (f->access & RMAP_WRITE) attrs |= 1u << RMAP_ATTR_WRITE;
    if (rmap_pte_get(f->format, f->entry, RMAP_ATTR_SOFT_DIRTY)) attrs |= 1u << RMAP_ATTR_SOFT_DIRTY;
    rmap_run_set(mmu, run, i, rmap__fault_entry(f, page, attrs));
    rmap__fault_finish(f, run);
}

/* Lock the run of the entry, making its table if there is none, and compare as rmap__fault_recheck does. */
static int make_and_recheck(struct rmap__fault_state *f, struct rmap_mmu_run *run)
{
    const struct rmap_mmu_ops *o = f->m->mmu.ops;
    struct rmap_tables tables = {.count = 0};
    if (rmap__fault_recheck(f, run)) return 0;
    int rc = o->reserve(f->m->mmu.ctx, f->vpn, &tables);
    if (!rc && !(rc = o->run_make(f->m->mmu.ctx, f->vpn, &tables, run))) {
        rmap_pte_t e = rmap_run_get(&f->m->mmu, run, (uint32_t)(f->vpn - run->first));
        if (e != f->entry) {
            o->run_unlock(f->m->mmu.ctx, run);
            rc = RMAP__FAULT_AGAIN;
        }
    }
    o->unreserve(f->m->mmu.ctx, &tables);
    return rc;
}

static int map_zero(struct rmap__fault_state *f)
{
    struct rmap_mmu_run run;
    int rc = make_and_recheck(f, &run);
    if (rc) return rc;
    rmap_run_set(&f->m->mmu, &run, (uint32_t)(f->vpn - run.first),
                 rmap_pte_make(f->format, f->s->p->zero_pfn, f->attrs));
    rmap__fault_finish(f, &run);
    f->m->mmu.ops->run_unlock(f->m->mmu.ctx, &run);
    RMAP__FAULT_STAT(f->s, zero_maps, 1);
    return RMAP__FAULT_DONE;
}

int rmap__fault_new(struct rmap__fault_state *f)
{
    if (!(f->access & RMAP_WRITE)) return map_zero(f);
    int rc = rmap__fault_need(f, 1);
    if (rc) return rc;
    rmap__frame_ops.clear(f->s->p, rmap_page_pfn(f->m->r, f->spare[f->spares - 1]));
    struct rmap_mmu_run run;
    if ((rc = make_and_recheck(f, &run))) return rc;
    struct rmap_gather g;
    rmap_gather_init(&g, f->m->r);
    struct rmap_page *page = rmap__fault_take(f);
    rmap__fault_install(f, &run, page, &g);
    f->m->mmu.ops->run_unlock(f->m->mmu.ctx, &run);
    rmap_gather_finish(&g);
    rmap_page_put(f->m->r, page); /* ours; the mapping has its own */
    RMAP__FAULT_STAT(f->s, anon_new, 1);
    return RMAP__FAULT_DONE;
}
