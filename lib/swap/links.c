/* SPDX-License-Identifier: MIT */
/** @file swap/links.c  What keeps a slot alive: its entries and its cached page. */
#include <swap/swap_internal.h>

#include <stdatomic.h>

static struct rmap__slot_chunk *chunk_of(struct rmap_swap *s, rmap_swp_t entry)
{
    return s->devices[rmap_swp_device(entry) - 1].chunks[rmap_swp_slot(entry) >> RMAP__CHUNK_SHIFT];
}

void rmap__slot_set_count(struct rmap_swap *s, rmap_swp_t entry, uint32_t n)
{
    struct rmap__slot *slot = rmap__slot_find_live(s, entry);
    int spare = (n == 0) - (slot->count == 0);
    chunk_of(s, entry)->spare += (uint32_t)spare;
    s->spare += (uint64_t)(int64_t)spare;
    s->stats.entries += (uint64_t)n - slot->count;
    slot->count = n;
    if (n == 0 && !slot->cached) rmap__slot_free(s, entry);
}

void rmap__slot_attach(struct rmap_swap *s, rmap_swp_t entry, struct rmap_page *page)
{
    struct rmap__slot *slot = rmap__slot_find_live(s, entry);
    RMAP_ASSERT_INV(!slot->cached, "INV-3");
    rmap_page_get(page);
    slot->cached = page;
    atomic_store_explicit(&page->swap, entry, memory_order_relaxed);
    rmap_page_set_flags(page, RMAP_PAGE_SWAPCACHE); /* publishes `swap` to those who look without the page lock */
    s->stats.cached++;
}

void rmap__slot_detach(struct rmap_swap *s, rmap_swp_t entry, struct rmap_page *page)
{
    struct rmap__slot *slot = rmap__slot_find_live(s, entry);
    RMAP_ASSERT(slot->cached == page);
    rmap_page_set_flags(page, RMAP_PAGE_DIRTY);
    rmap_page_clear_flags(page, RMAP_PAGE_SWAPCACHE | RMAP_PAGE_ORPHAN);
    atomic_store_explicit(&page->swap, 0, memory_order_relaxed);
    slot->cached = NULL;
    s->stats.cached--;
    if (slot->count == 0) rmap__slot_free(s, entry);
}

void rmap__slot_replace(struct rmap_swap *s, rmap_swp_t entry, struct rmap_page *page, struct rmap_page *target)
{
    struct rmap__slot *slot = rmap__slot_find_live(s, entry);
    RMAP_ASSERT(slot->cached == page);
    rmap_page_clear_flags(page, RMAP_PAGE_SWAPCACHE | RMAP_PAGE_ORPHAN);
    atomic_store_explicit(&page->swap, 0, memory_order_relaxed);
    rmap_page_get(target);
    slot->cached = target;
    atomic_store_explicit(&target->swap, entry, memory_order_relaxed);
    /* ORPHAN: the last mapping or entry may be going right now, by somebody who asks for the lock of neither in vain.
     */
    rmap_page_set_flags(target, RMAP_PAGE_SWAPCACHE | RMAP_PAGE_ORPHAN);
}

rmap_swp_t rmap__slot_of_page(struct rmap_swap *s, const struct rmap_page *page)
{
    if (!(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE)) return 0;
    rmap_swp_t entry = atomic_load_explicit(&page->swap, memory_order_relaxed);
    struct rmap__slot *slot = rmap__slot_find_live(s, entry);
    return slot && slot->cached == page ? entry : 0;
}

/* A clean copy in the chunk whose page nobody has locked: the page, now locked, or NULL. */
static struct rmap_page *lock_spare(struct rmap__slot_chunk *chunk)
{
    uint32_t left = chunk->spare;
    for (uint32_t i = 0; left && i < RMAP__CHUNK_SLOTS; i++) {
        struct rmap__slot *slot = &chunk->slots[i];
        if (!(rmap__slot_state(slot) & RMAP__SLOT_LIVE) || slot->count) continue;
        left--;
        if (!slot->cached || (rmap__slot_state(slot) & RMAP__SLOT_BAD)) continue;
        if (rmap_page_flags(slot->cached) & RMAP_PAGE_WRITEBACK) continue;
        if (rmap_page_try_lock(slot->cached)) return slot->cached;
    }
    return NULL;
}

struct rmap_page *rmap__slot_find_spare(struct rmap_swap *s)
{
    if (!s->spare) return NULL;

    unsigned n = s->device_count, start = s->steal_from ? rmap_swp_device(s->steal_from) - 1 : 0;
    uint32_t start_chunk = rmap_swp_slot(s->steal_from) >> RMAP__CHUNK_SHIFT;
    /* Once around: the rest of the hand's device, the others, the beginning of the hand's device. */
    for (unsigned k = 0; k <= n; k++) {
        unsigned i = (start + k) % n;
        struct rmap__swap_device *d = &s->devices[i];
        if (!rmap__device_takes(d)) continue;
        uint32_t from = k == 0 ? start_chunk : 0, to = k == n ? start_chunk : d->made;
        for (uint32_t c = from; c < to; c++) {
            struct rmap_page *page = d->chunks[c]->spare ? lock_spare(d->chunks[c]) : NULL;
            if (!page) continue;
            s->steal_from = rmap_swp_make(i + 1, c << RMAP__CHUNK_SHIFT);
            return page;
        }
    }
    return NULL;
}
