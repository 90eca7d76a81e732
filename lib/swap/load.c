/* SPDX-License-Identifier: MIT */
/** @file swap/load.c  Swap-in: from the device into the cache. */
#include <swap/swap_internal.h>

/* What the slot was like when the read began. */
struct load {
    struct rmap_device *device;
    uint64_t checksum;
    uint32_t version;
};

static int load_begin(struct rmap_swap *s, rmap_swp_t entry, struct load *load)
{
    int rc = 0;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    const struct rmap__slot *slot = rmap__slot_find_live(s, entry);
    if (!slot)
        rc = RMAP_ERR_ABSENT;
    else if (slot->cached)
        rc = RMAP_ERR_EXISTS;
    else if (!(rmap__slot_state(slot) & RMAP__SLOT_WRITTEN))
        rc = RMAP_ERR_IO_READ;
    else {
        struct rmap__swap_device *d = &s->devices[rmap_swp_device(entry) - 1];
        *load = (struct load){.device = d->device, .checksum = slot->checksum, .version = slot->version};
        d->reading++; /* the slot may die while we read: then this alone keeps the device */
    }
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    return rc;
}

static int read_page(const struct rmap_swap *s, rmap_swp_t entry, const struct load *load, void *data)
{
    struct rmap_io io = {.slot = rmap_swp_slot(entry), .data = data, .error = RMAP_ERR_IO_READ};
    load->device->ops->read(load->device, &io, 1);
    switch (io.error) {
    case 0:
        return rmap__swap_checksum(data, s->page_shift, entry) == load->checksum ? 0 : RMAP_ERR_CORRUPT;
    case RMAP_ERR_CORRUPT:
    case RMAP_ERR_NOMEM:
        return io.error;
    default:
        return RMAP_ERR_IO_READ;
    }
}

/* The answer, or 1: what was read is the slot's content no more, look again. */
static int load_end(struct rmap_swap *s, rmap_swp_t entry, const struct load *load, struct rmap_page *page, int rc)
{
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    struct rmap__slot *slot = rmap__slot_find_live(s, entry);
    s->devices[rmap_swp_device(entry) - 1].reading--;
    if (!slot || slot->version != load->version || slot->cached) {
        rc = 1;
    } else if (rc) {
        s->stats.checksum_errors += rc == RMAP_ERR_CORRUPT;
        s->stats.read_errors += rc != RMAP_ERR_CORRUPT;
    } else {
        s->stats.reads++;
        rmap_page_clear_flags(page, RMAP_PAGE_DIRTY);
        rmap__slot_attach(s, entry, page);
    }
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    return rc;
}

/* Nobody else can know a page that is locked, neither cached nor mapped, and has no owner. */
static bool page_is_new(const struct rmap_page *page)
{
    unsigned flags = rmap_page_flags(page);
    return (flags & RMAP_PAGE_LOCKED) && !(flags & (RMAP_PAGE_SWAPCACHE | RMAP_PAGE_SPECIAL)) &&
           !rmap_page_is_anon(page) && rmap_page_mapcount(page) == 0;
}

int rmap_swap_cache_load(struct rmap_swap *s, rmap_swp_t entry, struct rmap_page *page)
{
    if (!s || !page) return RMAP_ERR_NULL_ARG;
    if (!s->r || !page_is_new(page)) return RMAP_ERR_INVALID;
    void *data;
    int rc = rmap__swap_address(s, page, &data);
    if (rc) return rc;

    /* Between begin and end the slot may be freed, taken, written, cached: end sees it, begin then says which. */
    do {
        struct load load;
        rc = load_begin(s, entry, &load);
        if (rc) return rc;
        rc = load_end(s, entry, &load, page, read_page(s, entry, &load, data));
    } while (rc > 0);
    return rc;
}
