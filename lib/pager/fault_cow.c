/* SPDX-License-Identifier: MIT */
/**
 * @file pager/fault_cow.c  A write to a page that may not be written yet: reused by its only user, else copied.
 *
 * The decision falls under the page lock, with the entry compared again under its run lock (E1, E3): nobody can begin
 * to map the page meanwhile. The copy is made under the page lock alone. The page cannot change then: whoever could
 * write to it would have to be its only user, which is decided under its lock.
 */
#include <pager/fault.h>

enum { PAGE_IS_SHARED = 2 }; /* beside enum rmap__fault_step */

/* Page locked. @return DONE: reused; PAGE_IS_SHARED; AGAIN: the entry has changed. */
static int reuse(struct rmap__fault_state *f)
{
    struct rmap_mmu_run run;
    if (!rmap__fault_recheck(f, &run)) return RMAP__FAULT_AGAIN;
    bool own = rmap_page_reuse(f->m, f->page, f->vpn);
    if (own) {
        rmap__fault_add_attrs(f, &run, 1u << RMAP_ATTR_WRITE);
        rmap__fault_finish(f, &run);
        RMAP__FAULT_STAT(f->s, cow_reuses, 1);
    }
    f->m->mmu.ops->run_unlock(f->m->mmu.ctx, &run);
    return own ? RMAP__FAULT_DONE : PAGE_IS_SHARED;
}

/* Page locked, a frame in hand. */
static int copy(struct rmap__fault_state *f, struct rmap_gather *g)
{
    struct rmap *r = f->m->r;
    struct rmap_page *own = f->spare[f->spares - 1];
    struct rmap_mmu_run run;
    rmap__frame_ops.copy(f->s->p, rmap_page_pfn(r, own), rmap_page_pfn(r, f->page));
    if (!rmap__fault_recheck(f, &run)) return RMAP__FAULT_AGAIN;
    rmap__fault_take(f);
    rmap__fault_install(f, &run, own, g);
    f->m->mmu.ops->run_unlock(f->m->mmu.ctx, &run);
    rmap_page_put(r, own); /* ours; the mapping has its own */
    RMAP__FAULT_STAT(f->s, cow_copies, 1);
    return RMAP__FAULT_DONE;
}

/* It may have been moved to another frame before its own was lost: then the entry leads there. */
static int page_is_lost(struct rmap__fault_state *f)
{
    struct rmap_mmu_run run;
    if (!rmap__fault_recheck(f, &run)) return RMAP__FAULT_AGAIN;
    f->m->mmu.ops->run_unlock(f->m->mmu.ctx, &run);
    return RMAP_ERR_POISON;
}

int rmap__fault_cow(struct rmap__fault_state *f)
{
    struct rmap *r = f->m->r;
    struct rmap_gather g;
    rmap_gather_init(&g, r);
    rmap_page_lock(f->page);
    int rc = rmap_page_flags(f->page) & RMAP_PAGE_POISON ? page_is_lost(f) : reuse(f);
    if (rc == PAGE_IS_SHARED && f->spares) rc = copy(f, &g);
    rmap_page_unlock(r, f->page);
    rmap_gather_finish(&g);
    if (rc != PAGE_IS_SHARED) return rc;
    /* A frame is needed. Our reference goes first: while we hold it reclaim cannot free the page, and it may be all
     * there is. */
    rmap_page_put(r, f->page);
    f->page = NULL;
    return rmap__fault_need(f, 1);
}
