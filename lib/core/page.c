/* SPDX-License-Identifier: MIT */
/** @file core/page.c  One descriptor: its references, flags, and the accounting of mappings. Its lock: page_lock.c. */
#include <core/count.h>

/* Flags that rmap_page_set_flags and _clear_flags may touch: not the lock, not the index above. */
#define SETTABLE (0xfffu & ~(unsigned)(RMAP_PAGE_LOCKED | RMAP_PAGE_WAITERS))
#define INDEX(vpn) ((uint64_t)(vpn) << RMAP_PAGE_INDEX_SHIFT)

/* ---- references ---- */

void rmap_page_get(struct rmap_page *page)
{
    uint32_t before = atomic_fetch_add_explicit(&page->refcount, 1, memory_order_relaxed);
    RMAP_ASSERT(before > 0);
    (void)before;
}

bool rmap_page_try_get(struct rmap_page *page)
{
    uint32_t n = atomic_load_explicit(&page->refcount, memory_order_relaxed);
    do
        if (n == 0) return false;
    while (
        !atomic_compare_exchange_weak_explicit(&page->refcount, &n, n + 1, memory_order_acquire, memory_order_relaxed));
    return true;
}

void rmap_page_put(struct rmap *r, struct rmap_page *page)
{
    uint32_t before = atomic_fetch_sub_explicit(&page->refcount, 1, memory_order_acq_rel);
    RMAP_ASSERT(before > 0);
    if (before != 1) return;
    RMAP_ASSERT_INV(rmap_page_mapcount(page) == 0, "INV-2");
    /* Nobody sleeps for a page without a reference to it, so the store below cannot take a waiter's mark away. */
    RMAP_ASSERT(!(rmap_page_flags(page) & (RMAP_PAGE_LOCKED | RMAP_PAGE_WAITERS | RMAP_PAGE_SWAPCACHE)));
    rmap_owner_put(rmap_page_owner(page));
    atomic_store_explicit(&page->owner, 0, memory_order_relaxed);
    bool lost = rmap_page_flags(page) & RMAP_PAGE_POISON;
    atomic_store_explicit(&page->index_flags, lost ? RMAP_PAGE_POISON : 0, memory_order_relaxed);
    rmap_pfn_t pfn = rmap_page_pfn(r, page);
    if (!lost)
        r->frames->free(r->frames_ctx, pfn);
    else if (r->frames->lost)
        r->frames->lost(r->frames_ctx, pfn);
}

/* ---- flags and pins ---- */

unsigned rmap_page_set_flags(struct rmap_page *page, unsigned flags)
{
    return atomic_fetch_or_explicit(&page->index_flags, flags & SETTABLE, memory_order_acq_rel) & 0xfff;
}

unsigned rmap_page_clear_flags(struct rmap_page *page, unsigned flags)
{
    return atomic_fetch_and_explicit(&page->index_flags, ~(uint64_t)(flags & SETTABLE), memory_order_acq_rel) & 0xfff;
}

int rmap_page_pin(struct rmap *r, struct rmap_page *page)
{
    if (!r || !page) return RMAP_ERR_NULL_ARG;
    if (rmap_page_pfn(r, page) == RMAP_PFN_NONE) return RMAP_ERR_UNKNOWN_PAGE;
    rmap_page_lock(page);
    int err = rmap_page_pins(page) == (1u << 24) - 1 ? RMAP_ERR_OVERFLOW : 0;
    if (!err) {
        rmap_page_get(page);
        atomic_fetch_add_explicit(&page->pins_order, 1u << 8, memory_order_release);
    }
    rmap_page_unlock(r, page);
    return err;
}

void rmap_page_unpin(struct rmap *r, struct rmap_page *page)
{
    uint32_t before = atomic_fetch_sub_explicit(&page->pins_order, 1u << 8, memory_order_release);
    RMAP_ASSERT(before >> 8);
    (void)before;
    rmap_page_put(r, page);
}

/* ---- owner, index, counts ---- */

rmap_owner_t rmap_page_owner(const struct rmap_page *page)
{
    uintptr_t owner = atomic_load_explicit(&((struct rmap_page *)page)->owner, memory_order_acquire);
    return owner & RMAP_OWNER_ANON ? owner : 0;
}

void rmap__page_set_owner(struct rmap_page *page, struct rmap__tag *tag)
{
    const rmap_owner_t old = rmap_page_owner(page);
    if (old == rmap__tag_owner(tag)) return;
    rmap__tag_get(tag);
    atomic_store_explicit(&page->owner, rmap__tag_owner(tag), memory_order_release);
    rmap_owner_put(old);
}

void rmap__page_set_index(struct rmap_page *page, rmap_vpn_t index)
{
    uint64_t was = atomic_load_explicit(&page->index_flags, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&page->index_flags, &was, INDEX(index) | (was & 0xfff),
                                                  memory_order_acq_rel, memory_order_relaxed)) {
    }
}

uint32_t rmap__page_swap_count(struct rmap *r, const struct rmap_page *page)
{
    return rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE ? r->swap->count(r->swap_ctx, page->swap) : 0;
}

int rmap__page_count_up(struct rmap_page *page, bool *first)
{
    uint32_t was = atomic_load_explicit(&page->mapcount, memory_order_relaxed);
    do /* never beyond the maximum, not even for a moment: the next bit is STABLE */
        if ((was & RMAP_MAPCOUNT_MAX) == RMAP_MAPCOUNT_MAX) return RMAP_ERR_OVERFLOW;
    while (!atomic_compare_exchange_weak_explicit(&page->mapcount, &was, was + 1, memory_order_acq_rel,
                                                  memory_order_relaxed));
    *first = (was & RMAP_MAPCOUNT_MAX) == 0;
    return 0;
}

void rmap__page_unmapped(struct rmap *r, struct rmap_page *page)
{
    /* With swap entries the page is no orphan: whoever drops the last of those then looks at the mapcount, as we at their count. */
    if ((rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE) && !rmap__page_swap_count(r, page)) {
        rmap_page_set_flags(page,
                            RMAP_PAGE_ORPHAN); /* first the mark, then the try: the holder sees it at its unlock */
        if (rmap_page_try_lock(page)) rmap_page_unlock(r, page);
    }
    rmap_page_put(r, page);
}

void rmap__mappings_add(struct rmap_member *m, uint64_t n)
{
    if (!n) return;
    struct rmap__counters *c = &m->r->counters;
    atomic_fetch_add_explicit(&m->mapped, n, memory_order_relaxed);
    uint64_t now = atomic_fetch_add_explicit(&c->mappings, n, memory_order_relaxed) + n;
    uint64_t peak = atomic_load_explicit(&c->mappings_peak, memory_order_relaxed);
    while (now > peak && !atomic_compare_exchange_weak_explicit(&c->mappings_peak, &peak, now, memory_order_relaxed,
                                                                memory_order_relaxed)) {
    }
}

void rmap__mappings_sub(struct rmap_member *m, uint64_t n)
{
    if (!n) return;
    atomic_fetch_sub_explicit(&m->mapped, n, memory_order_relaxed);
    RMAP__UNCOUNT(m->r, mappings, n);
}

int rmap_page_map_new(struct rmap_member *m, struct rmap_page *page, rmap_vpn_t vpn)
{
    if (!m || !page) return RMAP_ERR_NULL_ARG;
    if (!m->node) return RMAP_ERR_DEAD;
    if (vpn >= m->mmu.pages) return RMAP_ERR_RANGE;
    if (rmap_page_pfn(m->r, page) == RMAP_PFN_NONE) return RMAP_ERR_UNKNOWN_PAGE;
    if (rmap_page_is_anon(page) || (rmap_page_flags(page) & RMAP_PAGE_SPECIAL) || rmap_page_mapcount(page))
        return RMAP_ERR_INVALID;
    rmap__page_set_index(page, vpn);
    rmap_page_set_flags(page, RMAP_PAGE_DIRTY);
    rmap_page_get(page);
    atomic_store_explicit(&page->mapcount, 1, memory_order_relaxed);
    /* Last: whoever found the page by its frame, and locked it, sees a page of nobody's until all is there. */
    rmap__page_set_owner(page, m->home_tag);
    rmap__mappings_add(m, 1);
    return 0;
}

int rmap_page_map_swapin(struct rmap_member *m, struct rmap_page *page, rmap_swp_t entry)
{
    if (!m || !page) return RMAP_ERR_NULL_ARG;
    if (!m->node) return RMAP_ERR_DEAD;
    if (!(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE) || page->swap != entry || !m->r->swap) return RMAP_ERR_INVALID;
    RMAP_ASSERT(rmap_page_flags(page) & RMAP_PAGE_LOCKED);
    if (rmap_page_flags(page) & RMAP_PAGE_POISON) return RMAP_ERR_POISON;
    struct rmap_slot_home home;
    int err = m->r->swap->get_home(m->r->swap_ctx, entry, &home);
    if (err) return err;
    bool first; /* as the raise itself saw it: whoever lowers to 0 meanwhile drops the reference of that 0 */
    if ((err = rmap__page_count_up(page, &first))) return err;
    if (first) {
        rmap_page_get(page);
        rmap__page_set_index(page, home.index);
    }
    /* First mapper: nobody else has it present, it is ours. Later ones widen the bound to the slot's, which covers all
     * that hold entries of it: also when this is the last entry, or a present mapper would be lost (model rule 11). */
    rmap__page_set_owner(page, first ? m->home_tag : rmap__owner_tag(home.owner));
    rmap__mappings_add(m, 1);
    return 0;
}

int rmap_page_dup(struct rmap_member *m, struct rmap_page *const *pages, size_t n)
{
    if (!m || (!pages && n)) return RMAP_ERR_NULL_ARG;
    if (!m->node) return RMAP_ERR_DEAD;
    for (size_t i = 0; i < n; i++) {
        if (!rmap__page_counted(pages[i])) continue;
        if (rmap_page_pfn(m->r, pages[i]) == RMAP_PFN_NONE) return RMAP_ERR_UNKNOWN_PAGE;
        if (!rmap_page_mapcount(pages[i])) return RMAP_ERR_INVALID;
    }
    uint64_t counted = 0;
    bool first;
    for (size_t i = 0; i < n; i++) {
        if (!rmap__page_counted(pages[i])) continue;
        if (rmap__page_count_up(pages[i], &first)) {
            while (i--)
                if (rmap__page_counted(pages[i]))
                    atomic_fetch_sub_explicit(&pages[i]->mapcount, 1, memory_order_acq_rel);
            return RMAP_ERR_OVERFLOW;
        }
        counted++;
    }
    rmap__mappings_add(m, counted);
    return 0;
}

void rmap_page_unmap(struct rmap_gather *g, struct rmap_member *m, struct rmap_page *page)
{
    if (!rmap__page_counted(page)) return;
    rmap__gather_page(g, page, 1);
    rmap__mappings_sub(m, 1);
}

bool rmap_page_reuse(struct rmap_member *m, struct rmap_page *page, rmap_vpn_t vpn)
{
    if (!m || !page || !m->node || !rmap_page_is_anon(page) || vpn >= m->mmu.pages) return false;
    RMAP_ASSERT(rmap_page_flags(page) & RMAP_PAGE_LOCKED);
    if (rmap_page_mapcount(page) != 1 || rmap__page_swap_count(m->r, page) || rmap_page_pins(page)) return false;
    if (rmap_page_flags(page) & RMAP_PAGE_POISON) return false;
    if (rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE) m->r->swap->forget(m->r->swap_ctx, page);
    rmap_page_set_flags(page, RMAP_PAGE_DIRTY);
    rmap_page_clear_flags(page, RMAP_PAGE_DISCARDABLE);
    rmap__page_set_owner(page, m->home_tag);
    if (rmap_page_index(page) != vpn) rmap__page_set_index(page, vpn); /* it had been tracked here */
    return true;
}
