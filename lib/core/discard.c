/* SPDX-License-Identifier: MIT */
/**
 * @file core/discard.c  discard: a lazily freed page goes, without a copy anywhere.
 *
 * Candidates come in fork order, so a mapping that was written through is met before those that inherited what was
 * written.
 */
#include <core/walk.h>

/* Wanted again: from now on an ordinary page. */
static enum rmap_reason taken_back(struct rmap_page *page)
{
    rmap_page_set_flags(page, RMAP_PAGE_DIRTY);
    rmap_page_clear_flags(page, RMAP_PAGE_DISCARDABLE);
    return RMAP_REASON_DIRTY;
}

static enum rmap_reason discard_begin(struct rmap__walk *w, struct rmap__walk_page *p)
{
    const unsigned flags = rmap_page_flags(p->page);
    (void)w;
    if (rmap_page_pins(p->page)) return RMAP_REASON_PINNED;
    if (flags & RMAP_PAGE_MIGRATING) return RMAP_REASON_MIGRATING;
    if (!(flags & RMAP_PAGE_DISCARDABLE)) return RMAP_REASON_DIRTY;
    return flags & (RMAP_PAGE_DIRTY | RMAP_PAGE_SWAPCACHE) ? taken_back(p->page) : RMAP_REASON_NONE;
}

static bool is_written(const struct rmap_pte_format *f, rmap_pte_t e)
{
    return rmap_pte_get(f, e, RMAP_ATTR_WRITE) || rmap_pte_get(f, e, RMAP_ATTR_DIRTY);
}

static enum rmap_reason discard_visit(struct rmap__walk *w, struct rmap__walk_page *p, struct rmap_member *m,
                                      const struct rmap_mmu_run *run, uint32_t slot, rmap_pte_t e)
{
    const struct rmap_pte_format *f = m->mmu.ops->format;
    if (rmap_pte_kind(f, e) == RMAP_PTE_MIGRATION) return RMAP_REASON_MIGRATING;
    if (rmap_pte_get(f, e, RMAP_ATTR_LOCKED) && !(w->flags & RMAP_IGNORE_LOCKED)) return RMAP_REASON_LOCKED;
    if (rmap_pte_get(f, e, RMAP_ATTR_ACCESSED) && (w->flags & RMAP_SPARE_YOUNG)) return RMAP_REASON_YOUNG;
    if (is_written(f, e)) return taken_back(p->page);
    rmap_pte_t old = rmap_run_exchange(&m->mmu, run, slot, 0);
    if (is_written(f, old)) { /* between look and exchange: it stays, and so does everything that was written */
        rmap_run_set(&m->mmu, run, slot, old);
        return taken_back(p->page);
    }
    rmap__gather_flush(w->gather, m, run->first + slot, old, RMAP_FLUSH_ALL);
    rmap__walk_take(w, p);
    return RMAP_REASON_NONE;
}

static void discard_end(struct rmap__walk *w, struct rmap_page *page, const struct rmap_result *res)
{
    (void)page;
    if (res->outcome == RMAP_DONE && res->hits) RMAP__COUNT(w->r, discarded, 1);
}

int rmap_discard(struct rmap *r, struct rmap_page *const *pages, size_t n, unsigned flags, struct rmap_result *results)
{
    /* Flushed in the run: whoever finds the entry gone may put another there, and needs no flush for that. */
    static const struct rmap__visitor discard = {.verb = RMAP_WALK_DISCARD,
                                                 .flags = RMAP_SPARE_YOUNG | RMAP_IGNORE_LOCKED,
                                                 .visit = discard_visit,
                                                 .takes = true,
                                                 .begin = discard_begin,
                                                 .end = discard_end,
                                                 .in_order = true, /* the writer before those who inherited */
                                                 .flush_in_run = true};
    return rmap__walk_pages(r, &discard, NULL, pages, n, flags, results);
}
