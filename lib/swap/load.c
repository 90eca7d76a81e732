/* SPDX-License-Identifier: MIT */
/** @file swap/load.c  Swap-in: from the device into the cache. */
#include <swap/swap_internal.h>

/* What the slot was like when the read began. */
struct load {
    uint64_t checksum;
    uint32_t version;
    uint32_t at; /* place in the caller's arrays */
};

/* Reads of one device under way. */
struct batch {
    struct rmap_device *device;
    struct load load[RMAP__IO_BATCH];
    struct rmap_io io[RMAP__IO_BATCH];
    size_t n;
};

static unsigned device_number(rmap_swp_t entry)
{
    return rmap_swp_device(entry) - 1;
}

/* Can the slot be read into the page? A page that caches another slot by now was given twice. [m] held. */
static int slot_check(const struct rmap__slot *slot, const struct rmap_page *page)
{
    if (!slot) return RMAP_ERR_ABSENT;
    if (slot->cached) return RMAP_ERR_EXISTS;
    if (rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE) return RMAP_ERR_INVALID;
    return rmap__slot_state(slot) & RMAP__SLOT_WRITTEN ? 0 : RMAP_ERR_IO_READ;
}

/* Collect slots of the first one's device. @return how many entries were dealt with, in the batch or by their result. */
static size_t batch_begin(struct rmap_swap *s, struct batch *b, const rmap_swp_t *entries,
                          struct rmap_page *const *pages, size_t n, int *results)
{
    size_t i;
    b->n = 0;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    for (i = 0; i < n && b->n < RMAP__IO_BATCH; i++) {
        if (rmap_swp_device(entries[i]) != rmap_swp_device(entries[0])) break;
        const struct rmap__slot *slot = rmap__slot_find_live(s, entries[i]);
        results[i] = slot_check(slot, pages[i]);
        if (results[i]) continue;
        struct rmap__swap_device *d = &s->devices[device_number(entries[i])];
        b->device = d->device;
        b->io[b->n] = (struct rmap_io){.slot = rmap_swp_slot(entries[i]), .error = RMAP_ERR_IO_READ};
        b->load[b->n++] = (struct load){.checksum = slot->checksum, .version = slot->version, .at = (uint32_t)i};
        d->reading++; /* the slot may die while we read: then this alone keeps the device */
    }
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    return i;
}

/* The answer of the device, with the checksum looked at. */
static int judge(const struct rmap_swap *s, rmap_swp_t entry, const struct load *load, const struct rmap_io *io)
{
    switch (io->error) {
    case 0:
        return rmap__swap_checksum(io->data, s->page_shift, entry) == load->checksum ? 0 : RMAP_ERR_CORRUPT;
    case RMAP_ERR_CORRUPT:
    case RMAP_ERR_NOMEM:
        return io->error;
    default:
        return RMAP_ERR_IO_READ;
    }
}

/* The answer, or 1: what was read is the slot's content no more, look again. [m] held. */
static int end_page(struct rmap_swap *s, rmap_swp_t entry, const struct load *load, struct rmap_page *page, int rc)
{
    struct rmap__slot *slot = rmap__slot_find_live(s, entry);
    s->devices[device_number(entry)].reading--;
    if (!slot || slot->version != load->version || slot->cached) return 1;
    if (rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE) return RMAP_ERR_INVALID;
    if (rc) {
        s->stats.checksum_errors += rc == RMAP_ERR_CORRUPT;
        s->stats.read_errors += rc != RMAP_ERR_CORRUPT;
    } else {
        s->stats.reads++;
        rmap_page_clear_flags(page, RMAP_PAGE_DIRTY);
        rmap__slot_attach(s, entry, page);
    }
    return rc;
}

/* One device call for a stretch of entries; results are answers or 1 (look again). @return how many were dealt with. */
static size_t load_some(struct rmap_swap *s, const rmap_swp_t *entries, struct rmap_page *const *pages, size_t n,
                        int *results)
{
    struct batch b;
    const size_t dealt = batch_begin(s, &b, entries, pages, n, results);
    if (!b.n) return dealt;

    for (size_t i = 0; i < b.n; i++) {
        int rc = rmap__swap_address(s, pages[b.load[i].at], &b.io[i].data); /* it has one: pages_check */
        RMAP_ASSERT(!rc);
        (void)rc;
    }
    b.device->ops->read(b.device, b.io, b.n);
    for (size_t i = 0; i < b.n; i++) results[b.load[i].at] = judge(s, entries[b.load[i].at], &b.load[i], &b.io[i]);

    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    for (size_t i = 0; i < b.n; i++) {
        const uint32_t at = b.load[i].at;
        results[at] = end_page(s, entries[at], &b.load[i], pages[at], results[at]);
    }
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    return dealt;
}

/* Nobody else can know a page that is locked, neither cached nor mapped, and has no owner. */
static bool page_is_new(const struct rmap_page *page)
{
    unsigned flags = rmap_page_flags(page);
    return (flags & RMAP_PAGE_LOCKED) && !(flags & (RMAP_PAGE_SWAPCACHE | RMAP_PAGE_SPECIAL)) &&
           !rmap_page_is_anon(page) && rmap_page_mapcount(page) == 0;
}

/* All new, with room for bytes? */
static int pages_check(struct rmap_swap *s, struct rmap_page *const *pages, size_t n)
{
    void *data;
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        if (!pages[i])
            rc = RMAP_ERR_NULL_ARG;
        else if (!s->r || !page_is_new(pages[i]))
            rc = RMAP_ERR_INVALID;
        else
            rc = rmap__swap_address(s, pages[i], &data);
    }
    return rc;
}

int rmap_swap_cache_load_batch(struct rmap_swap *s, const rmap_swp_t *entries, struct rmap_page *const *pages, size_t n,
                               int *results)
{
    if (!s || !entries || !pages || !results) return RMAP_ERR_NULL_ARG;
    int rc = pages_check(s, pages, n);
    if (rc) return rc;

    for (size_t done = 0; done < n;)
        done += load_some(s, entries + done, pages + done, n - done, results + done);
    /* Between begin and end a slot may be freed, taken, written, cached: end sees it, begin then says which. */
    for (size_t i = 0; i < n; i++)
        while (results[i] > 0) load_some(s, entries + i, pages + i, 1, results + i);
    return 0;
}

int rmap_swap_cache_load(struct rmap_swap *s, rmap_swp_t entry, struct rmap_page *page)
{
    int result, rc = rmap_swap_cache_load_batch(s, &entry, &page, 1, &result);
    return rc ? rc : result;
}
