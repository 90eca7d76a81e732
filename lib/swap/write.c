/* SPDX-License-Identifier: MIT */
/** @file swap/write.c  Swap-out: dirty cached pages to their slots, in batches of neighbours. */
#include <base/sort.h>
#include <swap/swap_internal.h>

#include <stdatomic.h>

/* Pages of one device on their way, slots ascending. */
struct batch {
    struct rmap_io io[RMAP__IO_BATCH];
    uint64_t checksum[RMAP__IO_BATCH];
    uint32_t page[RMAP__IO_BATCH]; /* place in the caller's array */
    size_t n;
};

static rmap_swp_t entry_of(const struct rmap_page *page)
{
    return atomic_load_explicit(&page->swap, memory_order_relaxed);
}

static bool before_on_device(const void *a, const void *b)
{
    return entry_of(a) < entry_of(b);
}

/* All locked, with bytes to write, and cached here? */
static int pages_check(struct rmap_swap *s, struct rmap_page **pages, size_t n)
{
    int rc = 0;
    void *address;
    for (size_t i = 0; i < n && !rc; i++) {
        if (!pages[i])
            rc = RMAP_ERR_NULL_ARG;
        else if (!s->r || !(rmap_page_flags(pages[i]) & RMAP_PAGE_LOCKED))
            rc = RMAP_ERR_INVALID;
        else
            rc = rmap__swap_address(s, pages[i], &address);
    }
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    for (size_t i = 0; i < n && !rc; i++)
        if (!rmap__slot_of_page(s, pages[i])) rc = RMAP_ERR_INVALID;
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    return rc;
}

/*
 * Decide what happens to one page, [m] held: false if nothing (its result is set). DIRTY goes before the data are
 * looked at, so that whoever sets it from here on is heard; the old content counts as lost from here on, too.
 */
static bool begin_page(struct rmap_swap *s, struct rmap_page *page, int *result)
{
    struct rmap__slot *slot = rmap__slot_find_live(s, entry_of(page));
    *result = rmap_page_flags(page) & RMAP_PAGE_POISON ? RMAP_ERR_POISON : 0;
    if (*result) return false;
    if ((rmap__slot_state(slot) & RMAP__SLOT_WRITTEN) && !(rmap_page_flags(page) & RMAP_PAGE_DIRTY)) return false;

    rmap_page_set_flags(page, RMAP_PAGE_WRITEBACK);
    rmap_page_clear_flags(page, RMAP_PAGE_DIRTY);
    slot->index_state &= ~(uint64_t)RMAP__SLOT_WRITTEN;
    slot->version++;
    return true;
}

/* [m] held. */
static void set_bad(struct rmap_swap *s, struct rmap__slot *slot, rmap_swp_t entry, bool bad)
{
    const uint64_t was = (rmap__slot_state(slot) & RMAP__SLOT_BAD) != 0;
    slot->index_state = (slot->index_state & ~(uint64_t)RMAP__SLOT_BAD) | (bad ? RMAP__SLOT_BAD : 0);
    s->devices[rmap_swp_device(entry) - 1].bad += bad - (unsigned)was;
    s->stats.slots_bad += bad - was;
}

/*
 * The device's answer for one page, [m] held. Only a failed device spoils a slot, a lack of memory does not. What a bad
 * slot takes after all is good: entries name it, so there is no other place for the page.
 */
static int end_page(struct rmap_swap *s, struct rmap_page *page, int error, uint64_t checksum)
{
    struct rmap__slot *slot = rmap__slot_find_live(s, entry_of(page));
    if (error && error != RMAP_ERR_NOMEM) error = RMAP_ERR_IO_WRITE;
    if (!error) {
        slot->checksum = checksum;
        set_bad(s, slot, entry_of(page), false);
        slot->index_state |= RMAP__SLOT_WRITTEN;
        s->stats.writes++;
    } else {
        rmap_page_set_flags(page, RMAP_PAGE_DIRTY);
        s->stats.write_errors++;
    }
    if (error == RMAP_ERR_IO_WRITE) set_bad(s, slot, entry_of(page), true);
    rmap_page_clear_flags(page, RMAP_PAGE_WRITEBACK);
    return error;
}

/* Collect pages of the first one's device. @return how many pages were dealt with, in the batch or by their result. */
static size_t batch_fill(struct rmap_swap *s, struct batch *b, struct rmap_page **pages, size_t n, int *results)
{
    size_t i;
    b->n = 0;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    for (i = 0; i < n && b->n < RMAP__IO_BATCH; i++) {
        rmap_swp_t entry = entry_of(pages[i]);
        if (rmap_swp_device(entry) != rmap_swp_device(entry_of(pages[0]))) break;
        if (!begin_page(s, pages[i], &results[i])) continue;
        b->io[b->n] = (struct rmap_io){.slot = rmap_swp_slot(entry), .error = RMAP_ERR_IO_WRITE};
        b->page[b->n++] = (uint32_t)i;
    }
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    return i;
}

static size_t write_some(struct rmap_swap *s, struct rmap_page **pages, size_t n, int *results)
{
    struct batch b;
    size_t dealt = batch_fill(s, &b, pages, n, results);
    if (!b.n) return dealt;

    for (size_t i = 0; i < b.n; i++) {
        struct rmap_page *page = pages[b.page[i]];
        int rc = rmap__swap_address(s, page, &b.io[i].data); /* it has one: pages_check */
        RMAP_ASSERT(!rc);
        (void)rc;
        b.checksum[i] = rmap__swap_checksum(b.io[i].data, s->page_shift, entry_of(page));
    }
    struct rmap_device *device = s->devices[rmap_swp_device(entry_of(pages[0])) - 1].device;
    device->ops->write(device, b.io, b.n);

    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    for (size_t i = 0; i < b.n; i++) results[b.page[i]] = end_page(s, pages[b.page[i]], b.io[i].error, b.checksum[i]);
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    return dealt;
}

bool rmap_swap_is_bad(struct rmap_swap *s, const struct rmap_page *page)
{
    const unsigned wanted = RMAP_PAGE_SWAPCACHE | RMAP_PAGE_DIRTY; /* what could not be written is dirty */
    if (!s || !page || (rmap_page_flags(page) & wanted) != wanted) return false;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    const rmap_swp_t entry = rmap__slot_of_page(s, page);
    const bool bad = entry && (rmap__slot_state(rmap__slot_find_live(s, entry)) & RMAP__SLOT_BAD);
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    return bad;
}

int rmap_swap_write(struct rmap_swap *s, struct rmap_page **pages, size_t n, int *results)
{
    if (!s || !pages || !results) return RMAP_ERR_NULL_ARG;
    int rc = pages_check(s, pages, n);
    if (rc) return rc;
    rmap__sort(pages, n, before_on_device);
    for (size_t i = 1; i < n; i++)
        if (pages[i] == pages[i - 1]) return RMAP_ERR_INVALID;

    for (size_t done = 0; done < n;) done += write_some(s, pages + done, n - done, results + done);
    return 0;
}
