/* SPDX-License-Identifier: MIT */
/** @file core/unmap.c  unmap: every mapping of a page becomes a swap entry. */
#include <core/walk.h>

/*
 * A slot that only the cache holds is written anew: its home becomes the page's, so that the entries about to be made are
 * found where the page is now (C11). While other entries name it, it keeps the wider home (model rule 12).
 */
static enum rmap_reason unmap_begin(struct rmap__walk *w, struct rmap__walk_page *p)
{
    struct rmap_page *page = p->page;
    if (rmap_page_pins(page)) return RMAP_REASON_PINNED;
    if (rmap_page_flags(page) & RMAP_PAGE_MIGRATING) return RMAP_REASON_MIGRATING; /* its no-access entries, too */
    if (!w->r->swap || !(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE)) return RMAP_REASON_NO_SLOT;
    p->fresh_slot = rmap__page_swap_count(w->r, page) == 0;
    if (p->fresh_slot) w->r->swap->set_home(w->r->swap_ctx, page->swap, rmap_page_owner(page), p->index, false);
    return RMAP_REASON_NONE;
}

/* A swap entry keeps the attributes that software has given, which are where they are in any entry. */
static void unmap_prepare(struct rmap__walk *w)
{
    const struct rmap_pte_format *f = w->format;
    w->keep = f->attr[RMAP_ATTR_LOCKED].mask | f->attr[RMAP_ATTR_SOFT_DIRTY].mask;
    w->base = rmap_pte_make_kind(f, RMAP_PTE_SWAP, 0, 0) & ~w->keep;
}

/* The entry about to be made is not at its slot's index (TRACK): look-ups by slot must know. */
static void mark_moved(struct rmap_member *m, rmap_swp_t entry)
{
    const struct rmap *r = m->r;
    struct rmap_slot_home home;
    if (!r->swap->get_home(r->swap_ctx, entry, &home) && !home.moved)
        r->swap->set_home(r->swap_ctx, entry, home.owner, home.index, true);
    atomic_fetch_add_explicit(&m->moved, 1, memory_order_relaxed);
}

static enum rmap_reason unmap_visit(struct rmap__walk *w, struct rmap__walk_page *p, struct rmap_member *m,
                                    const struct rmap_mmu_run *run, uint32_t slot, rmap_pte_t e)
{
    const struct rmap_pte_format *f = m->mmu.ops->format;
    struct rmap_page *page = p->page;
    const rmap_vpn_t vpn = run->first + slot;
    if (rmap_pte_kind(f, e) == RMAP_PTE_MIGRATION) return RMAP_REASON_MIGRATING;
    if (rmap_pte_get(f, e, RMAP_ATTR_LOCKED) && !(w->flags & RMAP_IGNORE_LOCKED)) return RMAP_REASON_LOCKED;
    if (rmap_pte_get(f, e, RMAP_ATTR_ACCESSED) && (w->flags & RMAP_SPARE_YOUNG)) return RMAP_REASON_YOUNG;
    if (w->r->swap->dup(w->r->swap_ctx, page->swap, 1)) return RMAP_REASON_NO_SLOT; /* count before entry */
    if (vpn != p->index) mark_moved(m, page->swap);
    const rmap_pte_t swap = (e & w->keep) | w->base | (rmap_pte_t)page->swap << f->payload_shift;
    rmap_pte_t old = rmap_run_exchange(&m->mmu, run, slot, swap);
    if (rmap_pte_get(f, old, RMAP_ATTR_DIRTY)) rmap_page_set_flags(page, RMAP_PAGE_DIRTY);
    rmap__gather_flush(w->gather, m, vpn, old, RMAP_FLUSH_ALL);
    rmap__walk_take(w, p);
    w->swapped++;
    return RMAP_REASON_NONE;
}

/* The page is unmapped now; it is its slot's home that the next look-up will use, if this walk made all its entries. */
static bool unmap_tighten(struct rmap__walk *w, struct rmap__walk_page *p, struct rmap__epoch *to)
{
    const struct rmap *r = w->r;
    struct rmap_slot_home home;
    if (!p->fresh_slot || rmap__tag_find(rmap__owner_tag(rmap_page_owner(p->page))) == to->tag) return false;
    if (r->swap->get_home(r->swap_ctx, p->page->swap, &home)) return false;
    r->swap->set_home(r->swap_ctx, p->page->swap, rmap__tag_owner(to->tag), p->index, home.moved);
    return true;
}

int rmap_unmap(struct rmap *r, struct rmap_page *const *pages, size_t n, unsigned flags, struct rmap_result *results)
{
    /* Flushed in the run: whoever zaps a swap entry has nothing to flush (D4). */
    static const struct rmap__visitor unmap = {.verb = RMAP_WALK_UNMAP,
                                               .flags = RMAP_SPARE_YOUNG | RMAP_IGNORE_LOCKED,
                                               .visit = unmap_visit,
                                               .takes = true,
                                               .prepare = unmap_prepare,
                                               .begin = unmap_begin,
                                               .tighten = unmap_tighten,
                                               .flush_in_run = true};
    return rmap__walk_pages(r, &unmap, NULL, pages, n, flags, results);
}
