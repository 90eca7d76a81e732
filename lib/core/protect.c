/* SPDX-License-Identifier: MIT */
/** @file core/protect.c  write_protect: every mapping of a page read-only; its dirtiness collected (INV-7). */
#include <core/walk.h>

static enum rmap_reason protect_visit(struct rmap__walk *w, struct rmap__walk_page *p, struct rmap_member *m,
                                      const struct rmap_mmu_run *run, uint32_t slot, rmap_pte_t e)
{
    const struct rmap_pte_format *f = m->mmu.ops->format;
    /* A fork may have made it read-only already, with the flush still to come. */
    if (m->forking) rmap__gather_flush(w->gather, m, run->first + slot, e, RMAP_FLUSH_WRITE);
    if (!rmap_pte_get(f, e, RMAP_ATTR_WRITE) && !rmap_pte_get(f, e, RMAP_ATTR_DIRTY)) return RMAP_REASON_NONE;
    rmap_pte_t clean = rmap_pte_set(f, rmap_pte_set(f, e, RMAP_ATTR_WRITE, false), RMAP_ATTR_DIRTY, false);
    rmap_pte_t old = rmap__run_modify(&m->mmu, run, slot, e, clean);
    if (rmap_pte_get(f, old, RMAP_ATTR_DIRTY)) rmap_page_set_flags(p->page, RMAP_PAGE_DIRTY);
    rmap__gather_flush(w->gather, m, run->first + slot, old, RMAP_FLUSH_WRITE);
    return RMAP_REASON_NONE;
}

int rmap_write_protect(struct rmap *r, struct rmap_page *const *pages, size_t n, unsigned flags,
                       struct rmap_result *results)
{
    /* Flushed in the run: rmap_protect takes an entry without write for one that nobody can write through (D4). */
    static const struct rmap__visitor protect = {
        .verb = RMAP_WALK_PROTECT, .visit = protect_visit, .tighten = rmap__walk_tighten_page, .flush_in_run = true};
    return rmap__walk_pages(r, &protect, NULL, pages, n, flags, results);
}
