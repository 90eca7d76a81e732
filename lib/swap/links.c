/* SPDX-License-Identifier: MIT */
/** @file swap/links.c  What keeps a slot alive: its entries and its cached page. */
#include <swap/swap_internal.h>

#include <stdatomic.h>

void rmap__slot_set_count(struct rmap_swap *s, rmap_swp_t entry, uint32_t n)
{
    struct rmap__slot *slot = rmap__slot_find_live(s, entry);
    int spare = (n == 0) - (slot->count == 0);
    if (spare) rmap__slot_add_spare(s, entry, spare);
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

/* Lock the page of a clean copy, if it may be parted from its slot. */
static bool lock_spare(const struct rmap__slot *slot)
{
    const uint64_t state = rmap__slot_state(slot);
    if (!(state & RMAP__SLOT_LIVE) || (state & RMAP__SLOT_BAD) || slot->count || !slot->cached) return false;
    return !(rmap_page_flags(slot->cached) & RMAP_PAGE_WRITEBACK) && rmap_page_try_lock(slot->cached);
}

/* First clean copy of [from, to) whose page nobody has locked: *at, its page locked. */
static bool find_spare(struct rmap_swap *s, const struct rmap__swap_device *d, uint32_t from, uint32_t to, uint32_t *at)
{
    const uint32_t end = (to + RMAP__CHUNK_SLOTS - 1) >> RMAP__CHUNK_SHIFT;
    uint32_t c = from >> RMAP__CHUNK_SHIFT;
    for (; (c = rmap__chunk_next(s, d->with_spare, c, end)) < end; c++) {
        const uint32_t base = c << RMAP__CHUNK_SHIFT, n = to - base < RMAP__CHUNK_SLOTS ? to - base : RMAP__CHUNK_SLOTS;
        for (uint32_t i = from > base ? from - base : 0; i < n; i++) {
            s->looked++;
            if (!lock_spare(&d->chunks[c]->slots[i])) continue;
            *at = base + i;
            return true;
        }
    }
    return false;
}

struct rmap_page *rmap__slot_find_spare(struct rmap_swap *s)
{
    if (!s->spare) return NULL;

    const unsigned n = s->device_count, start = s->steal_from ? rmap_swp_device(s->steal_from) - 1 : 0;
    /* Once around: the rest of the hand's device, the others, the beginning of the hand's device. */
    for (unsigned k = 0; k <= n; k++) {
        const unsigned i = (start + k) % n;
        const struct rmap__swap_device *d = &s->devices[i];
        const uint32_t made = rmap__device_made(d), slot = rmap_swp_slot(s->steal_from);
        const uint32_t hand = slot < made ? slot : made; /* its number may be another device's by now */
        uint32_t at;
        if (!rmap__device_takes(d) || !find_spare(s, d, k == 0 ? hand : 0, k == n ? hand : made, &at)) continue;
        s->steal_from = rmap_swp_make(i + 1, at + 1 < made ? at + 1 : 0); /* not the one just taken away again */
        return d->chunks[at >> RMAP__CHUNK_SHIFT]->slots[at & (RMAP__CHUNK_SLOTS - 1)].cached;
    }
    return NULL;
}
