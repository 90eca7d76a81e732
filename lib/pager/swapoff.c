/* SPDX-License-Identifier: MIT */
/**
 * @file pager/swapoff.c  Taking a swap device out: one slot after the other is emptied by the fault machinery.
 *
 *     drain ──▶ next slot in use ──▶ who holds its entries? ──▶ fault them in ──┐       none: give up the clean copy
 *                  ▲    │                     ▲                                 │
 *                  │    └─ none: remove       └── while the slot counts any ────┘
 *
 * Bringing one entry in may take a frame, for which reclaim may evict what was just brought in, back to the same slot
 * while others still name it. It ends all the same: an entry where the slot's page may be mapped costs a frame only
 * if the page is not there yet, so all of those are mapped in a row; and one that was moved, untracked, gets a page
 * of its own, which leaves the slot for good.
 */
#include <pager/pager_internal.h>

#define HOLDERS_MAX 64

struct holders {
    struct rmap_pager *p;
    uint32_t entries; /* of the slot, wherever they are */
    unsigned n;
    struct {
        struct rmap_space *space;
        rmap_vpn_t vpn;
    } at[HOLDERS_MAX];
};

static int note_holder(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t entry)
{
    struct holders *h = ctx;
    struct rmap_space *s = rmap__space_of(h->p, m);
    (void)entry;
    if (!s) return 0;
    h->at[h->n].space = s;
    h->at[h->n].vpn = vpn;
    return ++h->n == HOLDERS_MAX;
}

/* The page that caches the slot, locked; NULL: none. */
static struct rmap_page *lock_cached(struct rmap_pager *p, rmap_swp_t entry)
{
    struct rmap_page *page = rmap_swap_cache_find(p->swap, entry);
    if (!page) return NULL;
    rmap_page_lock(page);
    if ((rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE) && page->swap == entry) return page;
    rmap_page_unlock(p->r, page);
    rmap_page_put(p->r, page);
    return NULL;
}

static void let_go(struct rmap_pager *p, struct rmap_page *page)
{
    if (!page) return;
    rmap_page_unlock(p->r, page);
    rmap_page_put(p->r, page);
}

/* Some of those who hold entries of the slot. The mutex and the page lock keep all of them where they are. */
static void find_holders(struct rmap_pager *p, rmap_swp_t entry, struct holders *h)
{
    struct rmap_result res;
    struct rmap_page *page = lock_cached(p, entry);
    h->p = p;
    h->n = 0;
    h->entries = rmap_each_swap(p->r, entry, note_holder, h, &res) ? 0 : res.mapcount;
    if (page && h->entries == 0) rmap_swap_cache_del(p->swap, page);
    let_go(p, page);
}

static int bring_in(struct rmap_pager *p, struct holders *h, struct rmap_swapoff *done)
{
    int rc = 0;
    for (unsigned i = 0; i < h->n && !rc; i++) {
        const uint64_t read = p->stats.swap_ins, copied = p->stats.swap_in_copies;
        rc = rmap__fault_swapin(h->at[i].space, h->at[i].vpn);
        done->pages_in += p->stats.swap_ins - read;
        done->copies += p->stats.swap_in_copies - copied;
        done->entries += rc == 0;
    }
    return rc;
}

/* @return 0: nothing names the slot any more; a fault's error; BUSY: those who still do are strangers. */
static int empty_slot(struct rmap_pager *p, rmap_swp_t entry, struct rmap_swapoff *done)
{
    struct holders h;
    int rc = 0;
    for (find_holders(p, entry, &h); h.entries && !rc; find_holders(p, entry, &h))
        rc = h.n ? bring_in(p, &h, done) : RMAP_ERR_BUSY;
    return rc;
}

static void forget_device(struct rmap_pager *p)
{
    struct rmap_swap_stats st;
    rmap_swap_get_stats(p->swap, &st);
    p->has_swap = st.slots_total > 0;
}

static int drain(struct rmap_pager *p, struct rmap_device *device, struct rmap_swapoff *done)
{
    rmap_swp_t entry;
    uint32_t cursor = 0;
    int rc;
    do { /* the mutex is had: this thread was not inside a call when it began */
        rmap__pager_lock(p);
        entry = rmap_swap_next_used(p->swap, device, &cursor);
        rc = entry ? empty_slot(p, entry, done) : rmap_swap_remove(p->swap, device);
        if (rc) {
            rmap_swap_drain_cancel(p->swap, device);
            done->slots_left = rmap_swap_used(p->swap, device);
        } else if (!entry) {
            forget_device(p);
        }
        rmap__pager_unlock(p);
    } while (entry && !rc);
    return rc;
}

int rmap_pager_remove_swap(struct rmap_pager *p, struct rmap_device *device, struct rmap_swapoff *progress)
{
    struct rmap_swapoff done = {.slots_left = 0};
    if (progress) *progress = done;
    if (!p || !device) return RMAP_ERR_NULL_ARG;
    int rc = rmap__pager_lock(p);
    if (rc) return rc;
    rc = rmap_swap_drain_begin(p->swap, device);
    rmap__pager_unlock(p);
    if (!rc) rc = drain(p, device, &done);
    if (progress) *progress = done;
    return rc;
}
