/* SPDX-License-Identifier: MIT */
/**
 * @file core/poison.c  poison: the frame is lost, and everybody who maps it is told so.
 *
 * A copy on swap outlives the frame only if it is the page's contents: then the page leaves the cache. Otherwise it
 * stays there, so that its swap entries lead to a page that says POISON, never to what the slot held before.
 */
#include <core/walk.h>

struct told {
    rmap_mapping_fn *fn; /* may be NULL */
    void *ctx;
};

static enum rmap_reason poison_begin(struct rmap__walk *w, struct rmap__walk_page *p)
{
    (void)w;
    if (rmap_page_flags(p->page) & RMAP_PAGE_MIGRATING) return RMAP_REASON_MIGRATING;
    rmap_page_set_flags(p->page, RMAP_PAGE_POISON); /* before any entry: nobody makes another mapping, or a copy */
    return RMAP_REASON_NONE;
}

static enum rmap_reason poison_visit(struct rmap__walk *w, struct rmap__walk_page *p, struct rmap_member *m,
                                     const struct rmap_mmu_run *run, uint32_t slot, rmap_pte_t e)
{
    const struct rmap_pte_format *f = m->mmu.ops->format;
    const struct told *told = w->ctx;
    if (told->fn && told->fn(told->ctx, m, run->first + slot, e)) return RMAP_REASON_STOPPED;
    unsigned keep = rmap_pte_attrs(f, e) & (1u << RMAP_ATTR_LOCKED | 1u << RMAP_ATTR_SOFT_DIRTY);
    rmap_pte_t old = rmap_run_exchange(&m->mmu, run, slot, rmap_pte_make_kind(f, RMAP_PTE_POISON, p->pfn, keep));
    if (rmap_pte_get(f, old, RMAP_ATTR_DIRTY)) rmap_page_set_flags(p->page, RMAP_PAGE_DIRTY);
    rmap__gather_flush(w->gather, m, run->first + slot, old, RMAP_FLUSH_ALL);
    rmap__walk_take(w, p);
    return RMAP_REASON_NONE;
}

static bool copy_is_good(const struct rmap_page *page)
{
    return (rmap_page_flags(page) & (RMAP_PAGE_SWAPCACHE | RMAP_PAGE_DIRTY)) == RMAP_PAGE_SWAPCACHE;
}

static void poison_end(struct rmap__walk *w, struct rmap_page *page, const struct rmap_result *res)
{
    struct rmap *r = w->r;
    if (res->reason == RMAP_REASON_MIGRATING) return;
    rmap_page_set_flags(page, RMAP_PAGE_POISON); /* poison_begin does so only for pages that can be looked for */
    if (res->outcome != RMAP_DONE) return;
    if (copy_is_good(page)) r->swap->forget(r->swap_ctx, page);
    RMAP__COUNT(r, poisoned, 1);
}

int rmap_poison(struct rmap *r, struct rmap_page *const *pages, size_t n, unsigned flags, rmap_mapping_fn *fn,
                void *ctx, struct rmap_result *results)
{
    static const struct rmap__visitor poison = {.verb = RMAP_WALK_POISON,
                                                .visit = poison_visit,
                                                .takes = true,
                                                .begin = poison_begin,
                                                .end = poison_end,
                                                .in_order = true, /* as they are shown */
                                                .flush_in_run = true};
    return rmap__walk_pages(r, &poison, &(struct told){fn, ctx}, pages, n, flags, results);
}
