/* SPDX-License-Identifier: MIT */
/**
 * @file pager/swapoff.c  Taking a swap device out: one slot after the other is emptied by the fault machinery.
 *
 *     drain ──▶ next slot in use ──▶ its page, read in and locked ──▶ who holds entries of it? ──▶ fault them in ──┐
 *                  ▲    │                     ▲                            │                                       │
 *                  │    └─ none: remove       │                            └─ nobody: give up the clean copy       │
 *                  └──────────────────────────┴── while the slot counts any ◀──────────────────────────────────────┘
 *
 * The cached page keeps the slot alive while its entries are looked for: they may come (forks) and go (unmap), but the
 * owner by which they are found stays. Its lock keeps them from moving and from becoming mappings. A space that was found
 * is held, not locked, until its turn comes; what its entry is by then, the fault sees.
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
    bool strangers;   /* some are in members that are no spaces of this pager */
    unsigned n;
    struct {
        struct rmap_space *space; /* held */
        rmap_vpn_t vpn;
    } at[HOLDERS_MAX];
};

/* Under group and run lock: the member cannot leave, so the space is there. */
static int note_holder(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t entry)
{
    struct holders *h = ctx;
    struct rmap_space *s = rmap__space_hold(h->p, m);
    (void)entry;
    if (!s) {
        h->strangers = true;
        return 0;
    }
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
    rmap_page_unlock(p->r, page);
    rmap_page_put(p->r, page);
}

/* The slot's page, locked and referenced, read in if nobody has done that. @return 0; ABSENT: the slot is dead; NO_FRAME …;
 * IO_READ; CORRUPT. */
static int bring_page(struct rmap_pager *p, rmap_swp_t entry, struct rmap_swapoff *done, struct rmap_page **out)
{
    int rc = RMAP_ERR_EXISTS;
    while (rc == RMAP_ERR_EXISTS) { /* another thread was quicker to cache it */
        if ((*out = lock_cached(p, entry))) return 0;
        if ((rc = rmap_page_alloc(p->r, RMAP_PFN_NONE, out))) return rc;
        rmap_page_lock(*out);
        if ((rc = rmap_swap_cache_load(p->swap, entry, *out))) let_go(p, *out);
    }
    if (rc) return rc;
    RMAP__STAT(p, swap_ins, 1);
    done->pages_in++;
    return 0;
}

/* Some of those who hold entries of the slot. @return 0; bring_page's errors but ABSENT. */
static int find_holders(struct rmap_pager *p, rmap_swp_t entry, struct rmap_swapoff *done, struct holders *h)
{
    struct rmap_result res;
    struct rmap_page *page;
    *h = (struct holders){.p = p};
    int rc = bring_page(p, entry, done, &page);
    if (rc) return rc == RMAP_ERR_ABSENT ? 0 : rc;
    h->entries = rmap_each_swap(p->r, entry, note_holder, h, &res) ? 0 : res.mapcount;
    if (h->entries == 0) rmap_swap_cache_del(p->swap, page);
    let_go(p, page);
    return 0;
}

static int bring_in_one(struct rmap_space *s, rmap_vpn_t vpn, struct rmap_swapoff *done)
{
    unsigned read = 0, copied = 0;
    int rc = RMAP_ERR_ABSENT;
    rmap__space_lock_shared(s);
    if (!s->dead) rc = rmap__fault_swapin(s, vpn, &read, &copied);
    rmap__space_unlock(s);
    done->pages_in += read;
    done->copies += copied;
    done->entries += rc == 0;
    return rc == RMAP_ERR_ABSENT ? 0 : rc; /* the region has gone since, with its entries */
}

static int bring_in(const struct holders *h, struct rmap_swapoff *done)
{
    int rc = 0;
    for (unsigned i = 0; i < h->n; i++) {
        if (!rc) rc = bring_in_one(h->at[i].space, h->at[i].vpn, done);
        rmap__space_let_go(h->at[i].space);
    }
    return rc;
}

/* @return 0: nothing names the slot any more; bring_page's and a fault's errors; BUSY: those who still do are strangers. */
static int empty_slot(struct rmap_pager *p, rmap_swp_t entry, struct rmap_swapoff *done)
{
    struct holders h;
    int rc;
    while (!(rc = find_holders(p, entry, done, &h)) && h.entries) {
        if (h.n == 0 && h.strangers) return RMAP_ERR_BUSY;
        if (h.n == 0)
            sched_yield(); /* all are on their way: gathered by an unmap, or between the two places of a move */
        if ((rc = bring_in(&h, done))) return rc;
    }
    return rc;
}

/* Nothing names a slot of the device; but a fault whose entry was dropped may still be reading one. */
static int remove_device(struct rmap_pager *p, struct rmap_device *device)
{
    struct rmap_swap_stats st;
    int rc;
    for (;; sched_yield()) {
        rmap__mutex_lock(&p->lock, RMAP__RANK_BOOKS);
        rc = rmap_swap_remove(p->swap, device);
        rmap_swap_get_stats(p->swap, &st);
        p->has_swap = st.slots_total > 0;
        rmap__mutex_unlock(&p->lock, RMAP__RANK_BOOKS);
        if (rc != RMAP_ERR_BUSY || rmap_swap_used(p->swap, device)) return rc;
    }
}

static int drain(struct rmap_pager *p, struct rmap_device *device, struct rmap_swapoff *done)
{
    rmap_swp_t entry;
    uint32_t cursor = 0;
    int rc = 0;
    while (!rc && (entry = rmap_swap_next_used(p->swap, device, &cursor))) rc = empty_slot(p, entry, done);
    if (!rc) rc = remove_device(p, device);
    if (rc) {
        rmap_swap_drain_cancel(p->swap, device);
        done->slots_left = rmap_swap_used(p->swap, device);
    }
    return rc;
}

int rmap_pager_remove_swap(struct rmap_pager *p, struct rmap_device *device, struct rmap_swapoff *progress)
{
    struct rmap_swapoff done = {.slots_left = 0};
    if (progress) *progress = done;
    if (!p || !device) return RMAP_ERR_NULL_ARG;
    struct rmap__call c;
    int rc = rmap__call_begin(&c, p);
    if (rc) return rc;
    rc = rmap_swap_drain_begin(p->swap, device);
    if (!rc) rc = drain(p, device, &done);
    rmap__call_end(&c);
    if (progress) *progress = done;
    return rc;
}
