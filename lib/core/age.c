/* SPDX-License-Identifier: MIT */
/** @file core/age.c  referenced: page tables only, no region look-up (S4). */
#include <core/walk.h>

static void age_prepare(struct rmap__walk *w)
{
    const struct rmap_pte_bit never = {0, 1}, accessed = w->format->attr[RMAP_ATTR_ACCESSED];
    w->busy = (w->flags & RMAP_KEEP_ACCESSED) || !accessed.mask ? never : accessed;
}

static enum rmap_reason age_visit(struct rmap__walk *w, struct rmap__walk_page *p, struct rmap_member *m,
                                  const struct rmap_mmu_run *run, uint32_t slot, rmap_pte_t e)
{
    (void)p;
    const struct rmap_mmu_ops *o = m->mmu.ops;
    if ((w->flags & RMAP_KEEP_ACCESSED) || !rmap_pte_get(o->format, e, RMAP_ATTR_ACCESSED)) return RMAP_REASON_NONE;
    rmap_pte_t old = rmap__run_modify(&m->mmu, run, slot, e, rmap_pte_set(o->format, e, RMAP_ATTR_ACCESSED, false));
    /* Either the bit would not be set again, or entries without it are taken for not cached. */
    if (o->caps & (RMAP_MMU_ACCESSED_NEEDS_FLUSH | RMAP_MMU_ACCESSED_EXACT))
        rmap__gather_flush(w->gather, m, run->first + slot, old, RMAP_FLUSH_ALL);
    return RMAP_REASON_NONE;
}

int rmap_referenced(struct rmap *r, struct rmap_page *const *pages, size_t n, unsigned flags,
                    struct rmap_result *results)
{
    static const struct rmap__visitor age = {.verb = RMAP_WALK_REFERENCED,
                                             .flags = RMAP_KEEP_ACCESSED,
                                             .visit = age_visit,
                                             .prepare = age_prepare,
                                             .tighten = rmap__walk_tighten_page,
                                             .flush_in_run = true};
    return rmap__walk_pages(r, &age, NULL, pages, n, flags, results);
}
