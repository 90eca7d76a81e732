/* SPDX-License-Identifier: MIT */
/** @file swap/cache.c  The swap cache: pages that have a slot. */
#include <swap/swap_internal.h>

/* Can the page be given a slot at all? */
static int page_check(struct rmap_swap *s, const struct rmap_page *page)
{
    if (!s->r) return RMAP_ERR_INVALID;
    if (!(rmap_page_flags(page) & RMAP_PAGE_LOCKED) || !rmap_page_is_anon(page)) return RMAP_ERR_INVALID;
    if (rmap_page_flags(page) & RMAP_PAGE_POISON) return RMAP_ERR_POISON;
    void *address;
    return rmap__swap_address(s, page, &address);
}

/*
 * A page whose slot turned out bad, or whose device is being drained, keeps it only as long as entries name it; here,
 * with none left, it may have a better one. Returns that slot, 0 if the page is in no cache, and sets *rc to EXISTS
 * otherwise.
 */
static rmap_swp_t replaceable(struct rmap_swap *s, const struct rmap_page *page, int *rc)
{
    *rc = 0;
    if (!(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE)) return 0;
    rmap_swp_t entry = rmap__slot_of_page(s, page);
    const struct rmap__slot *slot = entry ? rmap__slot_find_live(s, entry) : NULL;
    bool unwanted =
        slot && ((rmap__slot_state(slot) & RMAP__SLOT_BAD) || s->devices[rmap_swp_device(entry) - 1].draining);
    if (unwanted && slot->count == 0) return entry;
    *rc = RMAP_ERR_EXISTS;
    return 0;
}

/* A free slot, or else that of a clean copy: *victim then is the page that lost it, locked, its reference ours. */
static int take_or_steal(struct rmap_swap *s, rmap_swp_t *entry, struct rmap_page **victim)
{
    *victim = NULL;
    int rc = rmap__slot_take(s, entry);
    if (!rc) return 0;
    *victim = rmap__slot_find_spare(s);
    if (!*victim) return rc;
    *entry = rmap__slot_of_page(s, *victim);
    rmap__slot_detach(s, *entry, *victim);
    rmap__slot_retake(s, *entry);
    return 0;
}

int rmap_swap_cache_add(struct rmap_swap *s, struct rmap_page *page)
{
    if (!s || !page) return RMAP_ERR_NULL_ARG;
    int rc = page_check(s, page);
    if (rc) return rc;

    struct rmap_page *victim = NULL;
    rmap_swp_t entry, old;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    old = replaceable(s, page, &rc);
    if (!rc) rc = take_or_steal(s, &entry, &victim);
    if (!rc) {
        struct rmap__slot *slot = rmap__slot_find_live(s, entry);
        slot->owner = rmap_page_owner(page);
        rmap_owner_get(slot->owner);
        slot->index_state |= rmap_page_index(page) << RMAP__SLOT_INDEX_SHIFT;
        if (old) rmap__slot_detach(s, old, page);
        /* ORPHAN: whatever becomes of the caller's plan, its unlock shall look. The last mapping may be going right
         * now, by somebody who sees no SWAPCACHE yet. */
        rmap_page_set_flags(page, RMAP_PAGE_DIRTY | RMAP_PAGE_ORPHAN);
        rmap__slot_attach(s, entry, page);
    }
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);

    if (!rc && old) rmap_page_put(s->r, page);
    if (victim) {
        rmap_page_unlock(s->r, victim);
        rmap_page_put(s->r, victim);
    }
    return rc;
}

struct rmap_page *rmap_swap_cache_find(struct rmap_swap *s, rmap_swp_t entry)
{
    if (!s) return NULL;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    struct rmap__slot *slot = rmap__slot_find_live(s, entry);
    struct rmap_page *page = slot ? slot->cached : NULL;
    if (page) rmap_page_get(page); /* the cache's own reference keeps it alive here */
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    return page;
}

/* With entries left, the device must be able to give the content back, and no mapping may change it unseen. */
static bool can_leave(const struct rmap__slot *slot, const struct rmap_page *page)
{
    if (rmap_page_flags(page) & RMAP_PAGE_WRITEBACK) return false;
    if (slot->count == 0) return true;
    return !(rmap_page_flags(page) & RMAP_PAGE_DIRTY) && rmap_page_mapcount(page) == 0 &&
           (rmap__slot_state(slot) & RMAP__SLOT_WRITTEN);
}

int rmap_swap_cache_del(struct rmap_swap *s, struct rmap_page *page)
{
    if (!s || !page) return RMAP_ERR_NULL_ARG;
    int rc = 0;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    rmap_swp_t entry = rmap__slot_of_page(s, page);
    if (!entry)
        rc = RMAP_ERR_ABSENT;
    else if (!can_leave(rmap__slot_find_live(s, entry), page))
        rc = RMAP_ERR_BUSY;
    else
        rmap__slot_detach(s, entry, page);
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    if (!rc) rmap_page_put(s->r, page);
    return rc;
}
