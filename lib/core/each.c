/* SPDX-License-Identifier: MIT */
/** @file core/each.c  each_mapping: shows every mapping to the caller. */
#include <core/walk.h>

struct each {
    rmap_mapping_fn *fn;
    void *ctx;
};

static enum rmap_reason each_visit(struct rmap__walk *w, struct rmap__walk_page *p, struct rmap_member *m,
                                   const struct rmap_mmu_run *run, uint32_t slot, rmap_pte_t e)
{
    (void)run, (void)slot;
    struct each *each = w->ctx;
    return each->fn(each->ctx, m, p->index, e) ? RMAP_REASON_STOPPED : RMAP_REASON_NONE;
}

int rmap_each_mapping(struct rmap *r, struct rmap_page *page, rmap_mapping_fn *fn, void *ctx,
                      struct rmap_result *result)
{
    if (!page || !fn || !result) return RMAP_ERR_NULL_ARG;
    static const struct rmap__visitor each = {
        .verb = RMAP_WALK_EACH, .visit = each_visit, .tighten = rmap__walk_tighten_page};
    return rmap__walk_pages(r, &each, &(struct each){fn, ctx}, &page, 1, 0, result);
}
