/* SPDX-License-Identifier: MIT */
/**
 * @file core/fork_pinned.c  Fork meets a pinned page: the child gets a copy at once, the parent keeps the page (E2).
 *
 * Whoever pinned the page goes on using its frame. Were it shared copy on write, the parent's next write would move the
 * parent to another frame, and the two would part (CVE-2020-29374 is the same mistake seen from the child). So the
 * parent's entry is read-only just while the copy is made. Nobody restores it early: faults wait for the space lock,
 * page verbs and further pins for the page lock. The copy is what the parent's threads had written by the end of the
 * flush; what a device writes while we copy is in it or not, byte by byte: to quiet the device is its owner's business.
 *
 *     frame ─ page lock ─ run: write withdrawn ─ flush ─ copy ─ run: write given back ─ child's run: entry set ─ unlock
 *      │                                                  no run lock held
 *      └ may reclaim, with nothing locked but the space
 */
#include <core/core.h>

/* Does the parent's entry still map the pinned page? Then it is read-only and flushed on return, and *e what it was. */
static bool withdraw(struct rmap_fork *f, rmap_vpn_t vpn, struct rmap_page *page, rmap_pte_t *e)
{
    struct rmap_member *m = f->parent;
    const struct rmap_mmu_ops *o = m->mmu.ops;
    struct rmap_mmu_run run;
    if (!rmap_page_pins(page) || o->run_find(m->mmu.ctx, vpn, vpn + 1, &run)) return false;
    const uint32_t i = (uint32_t)(vpn - run.first);
    *e = rmap_run_get(&m->mmu, &run, i);
    const bool same = rmap_pte_maps(o->format, *e) && rmap_pte_kind(o->format, *e) != RMAP_PTE_MIGRATION &&
                      rmap_pte_pfn(o->format, *e) == rmap_page_pfn(m->r, page);
    if (same && rmap_pte_get(o->format, *e, RMAP_ATTR_WRITE)) {
        rmap_pte_t old = rmap__run_modify(&m->mmu, &run, i, *e, rmap_pte_set(o->format, *e, RMAP_ATTR_WRITE, false));
        rmap_gather_flush(&f->gather, m, vpn, old, RMAP_FLUSH_WRITE);
    }
    o->run_unlock(m->mmu.ctx, &run);
    if (same) rmap_gather_flush_now(&f->gather);
    return same;
}

static void give_back(struct rmap_fork *f, rmap_vpn_t vpn)
{
    const struct rmap_mmu *mmu = &f->parent->mmu;
    struct rmap_mmu_run run;
    int err = mmu->ops->run_find(mmu->ctx, vpn, vpn + 1, &run);
    RMAP_ASSERT(err == 0);
    (void)err;
    const uint32_t i = (uint32_t)(vpn - run.first);
    const rmap_pte_t e = rmap_run_get(mmu, &run, i);
    rmap__run_modify(mmu, &run, i, e, rmap_pte_set(mmu->ops->format, e, RMAP_ATTR_WRITE, true));
    mmu->ops->run_unlock(mmu->ctx, &run);
}

/* The child's table is there: the look that met the pinned page made it. */
static void give_child(struct rmap_fork *f, rmap_vpn_t vpn, struct rmap_page *copy, rmap_pte_t e)
{
    struct rmap_member *m = f->child;
    const struct rmap_mmu_ops *o = m->mmu.ops;
    struct rmap_mmu_run run;
    int err = o->run_find(m->mmu.ctx, vpn, vpn + 1, &run);
    RMAP_ASSERT(err == 0);
    err = rmap_page_map_new(m, copy, vpn);
    RMAP_ASSERT(err == 0);
    (void)err;
    rmap_run_set(&m->mmu, &run, (uint32_t)(vpn - run.first),
                 rmap_pte_set_pfn(o->format, rmap__fork_inherited(o->format, e), rmap_page_pfn(m->r, copy)));
    o->run_unlock(m->mmu.ctx, &run);
    f->copied_present++;
    RMAP__COUNT(m->r, fork_entries, 1);
    RMAP__COUNT(m->r, fork_copied, 1);
}

/* Page locked. */
static int copy_locked(struct rmap_fork *f, rmap_vpn_t vpn, struct rmap_page *page, struct rmap_page *copy)
{
    struct rmap *r = f->parent->r;
    rmap_pte_t e;
    if (!withdraw(f, vpn, page, &e)) return RMAP__FORK_AGAIN;
    const bool lost = rmap_page_flags(page) & RMAP_PAGE_POISON; /* and its mapping was not found */
    if (!lost) r->frames->copy(r->frames_ctx, rmap_page_pfn(r, copy), rmap_page_pfn(r, page));
    if (rmap_pte_get(f->parent->mmu.ops->format, e, RMAP_ATTR_WRITE)) give_back(f, vpn);
    if (lost) return RMAP_ERR_POISON;
    give_child(f, vpn, copy, e);
    return 0;
}

int rmap__fork_pinned(struct rmap_fork *f, rmap_vpn_t vpn, struct rmap_page *page)
{
    struct rmap *r = f->parent->r;
    struct rmap_page *copy;
    int err = rmap_page_alloc(r, RMAP_PFN_NONE, &copy);
    if (!err) {
        rmap_page_lock(page);
        err = copy_locked(f, vpn, page, copy);
        rmap_page_unlock(r, page);
        rmap_page_put(r, copy); /* its mapping keeps it, if there is one */
    }
    rmap_page_put(r, page);
    return err;
}
