/* SPDX-License-Identifier: MIT */
/** @file pager/poison.c  A frame's memory has failed: free ones are taken out of use, used ones told of to all who map
 * them. */
#include <pager/pager_internal.h>

#include <sched.h>

/*
 * Page locked, referenced. What needs no frame to be saved is saved: a page with a good copy on swap becomes swap
 * entries, one that was freed lazily may vanish. What is left is lost.
 */
static int poison_used(struct rmap_pager *p, struct rmap_page *page, rmap_mapping_fn *fn, void *ctx)
{
    struct rmap_result res;
    const unsigned flags = rmap_page_flags(page);
    if (!(flags & RMAP_PAGE_DIRTY) && (flags & RMAP_PAGE_SWAPCACHE))
        rmap_unmap(p->r, &page, 1, RMAP_IGNORE_LOCKED, &res);
    if (!(flags & RMAP_PAGE_DIRTY) && (flags & RMAP_PAGE_DISCARDABLE))
        rmap_discard(p->r, &page, 1, RMAP_IGNORE_LOCKED, &res);
    rmap_poison(p->r, &page, 1, 0, fn, ctx, &res);
    return res.outcome == RMAP_DONE ? 0 : RMAP_ERR_BUSY;
}

static int poison_frame(struct rmap_pager *p, rmap_pfn_t pfn, rmap_mapping_fn *fn, void *ctx)
{
    struct rmap_page *page = &p->frames.frame[pfn].page;
    if (page == p->zero) return RMAP_ERR_UNSUPPORTED;
    for (;; sched_yield()) { /* neither: another thread is dropping its last reference just now */
        if (rmap__frame_is_lost(p, pfn)) return RMAP_ERR_EXISTS;
        if (rmap__frame_retire(p, pfn)) return 0;
        if (rmap_page_try_get(page)) break;
    }
    rmap_page_lock(page);
    /* Nobody's page: a fault, a fork or a move has just got the frame, or somebody keeps it by a reference. Its user does not
     * look for POISON any more, so it is not set: the frame is asked for again, when it is free or a page. */
    const bool known = rmap_page_is_anon(page) || (rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE);
    int rc = known ? poison_used(p, page, fn, ctx) : RMAP_ERR_BUSY;
    rmap_page_unlock(p->r, page);
    rmap_page_put(p->r, page);
    return rc;
}

int rmap_pager_poison(struct rmap_pager *p, rmap_pfn_t pfn, rmap_mapping_fn *fn, void *ctx)
{
    if (!p) return RMAP_ERR_NULL_ARG;
    if (pfn >= p->frames.total) return RMAP_ERR_RANGE;
    struct rmap__call c;
    int rc = rmap__call_begin(&c, p);
    if (rc) return rc;
    rc = poison_frame(p, pfn, fn, ctx);
    rmap__call_end(&c);
    return rc;
}
