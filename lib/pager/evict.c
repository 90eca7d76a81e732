/* SPDX-License-Identifier: MIT */
/**
 * @file pager/evict.c  One batch of evictions: look, discard, give slots, unmap from every space, write, free.
 *
 * Each stage works on the pages that are left of the batch; a page that fails goes back to the active list there and
 * then, with everything about it as it must be: whatever was unmapped before is a swap entry whose page stays in the
 * cache, and a frame is freed only after a walk that said DONE and a write that succeeded (C7, INV-5).
 */
#include <pager/pager_internal.h>

static void put_back(struct rmap_pager *p, struct rmap_page *page)
{
    rmap__list_put(p, page, RMAP__LIST_ACTIVE);
    rmap_page_unlock(p->r, page);
    rmap_page_put(p->r, page);
}

static void fail(struct rmap_pager *p, struct rmap_page *page)
{
    RMAP__STAT(p, reclaim_failures, 1);
    put_back(p, page);
}

/* A slot that nothing but this page's failed eviction wanted is given back; the page may be written to again. */
static void fail_with_slot(struct rmap_pager *p, struct rmap_page *page)
{
    if ((rmap_page_flags(page) & RMAP_PAGE_DIRTY) && rmap_swap_get_ops()->count(p->swap, page->swap) == 0)
        rmap_swap_cache_del(p->swap, page);
    fail(p, page);
}

static bool is_discardable(const struct rmap_page *page)
{
    return (rmap_page_flags(page) & (RMAP_PAGE_DISCARDABLE | RMAP_PAGE_DIRTY)) == RMAP_PAGE_DISCARDABLE;
}

/* The oldest inactive pages, locked, sorted for neighbours. Without swap only those that need none. */
static size_t gather_batch(struct rmap_pager *p, size_t n, uint64_t *scanned)
{
    struct rmap__batch *b = &p->batch;
    size_t got = rmap__list_isolate(p, RMAP__LIST_INACTIVE, b->page, n), kept = 0;
    *scanned += got;
    for (size_t i = 0; i < got; i++) {
        struct rmap_page *page = b->page[i];
        if (!rmap_page_try_lock(page)) {
            RMAP__STAT(p, reclaim_failures, 1);
            p->saw_busy = true;
            rmap__list_put(p, page, RMAP__LIST_ACTIVE);
            rmap_page_put(p->r, page);
            continue;
        }
        p->saw_discardable |= is_discardable(page);
        if (p->has_swap || is_discardable(page))
            b->page[kept++] = page;
        else
            put_back(p, page);
    }
    rmap_pages_sort(b->page, kept);
    return kept;
}

/* Locked and pinned pages cannot go, and must not take the last free slot from one that can; young ones get another
 * round. This look changes nothing. */
static size_t look(struct rmap_pager *p, size_t n, bool spare_young)
{
    struct rmap__batch *b = &p->batch;
    size_t kept = 0;
    rmap_referenced(p->r, b->page, n, RMAP_KEEP_ACCESSED, b->result);
    for (size_t i = 0; i < n; i++) {
        struct rmap_page *page = b->page[i];
        if (b->result[i].locked || rmap_page_pins(page)) {
            fail(p, page);
        } else if (b->result[i].young && spare_young) {
            RMAP__STAT(p, activated, 1);
            put_back(p, page);
        } else {
            b->page[kept++] = page;
        }
    }
    return kept;
}

/* The next page is in a bad slot: is it tried there again? *retries: in this batch so far. The second round, which spares no
 * young pages, waits for no turn. */
static bool may_retry(struct rmap_pager *p, bool first_round, size_t *retries)
{
    struct rmap__retries *t = &p->retries;
    if (t->in_vain + *retries >= p->evict_batch) return false;
    if (t->met++ < t->turn && first_round) return false;
    ++*retries;
    return true;
}

/* Every page needs a slot that its entries can name. What nothing maps and no slot names is in the hands of a fault, or
 * kept by somebody's reference. */
static size_t give_slots(struct rmap_pager *p, size_t n, bool first_round)
{
    struct rmap__batch *b = &p->batch;
    size_t kept = 0;
    b->retries = 0;
    for (size_t i = 0; i < n; i++) {
        struct rmap_page *page = b->page[i];
        bool cached = rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE;
        int rc = cached || rmap_page_mapcount(page) ? 0 : RMAP_ERR_INVALID;
        if (!rc && rmap_page_is_anon(page)) rc = rmap_swap_cache_add(p->swap, page);
        if (rc == RMAP_ERR_EXISTS && rmap_swap_is_bad(p->swap, page) && !may_retry(p, first_round, &b->retries))
            rc = RMAP_ERR_IO_WRITE;
        if (rc == 0 || rc == RMAP_ERR_EXISTS)
            b->page[kept++] = page;
        else
            fail(p, page);
    }
    return kept;
}

/* Unmap; results stay beside their pages. */
static size_t unmap_batch(struct rmap_pager *p, size_t n, unsigned flags)
{
    struct rmap__batch *b = &p->batch;
    size_t kept = 0;
    rmap_unmap(p->r, b->page, n, flags, b->result);
    for (size_t i = 0; i < n; i++) {
        if (b->result[i].outcome == RMAP_DONE) {
            b->page[kept] = b->page[i];
            b->result[kept++] = b->result[i];
        } else {
            fail_with_slot(p, b->page[i]);
        }
    }
    return kept;
}

/* The first n of batch.bad were in bad slots, and have been tried there again. */
static void note_retries(struct rmap_pager *p, size_t n, bool first_round)
{
    struct rmap__retries *t = &p->retries;
    size_t still = 0;
    if (!n) return;
    while (still < n && rmap_swap_is_bad(p->swap, p->batch.bad[still])) still++;
    t->in_vain = still == n ? t->in_vain + n : 0;
    t->turn = first_round && t->in_vain >= p->evict_batch ? t->met : 0;
}

static void write_dirty(struct rmap_pager *p, size_t n, bool first_round)
{
    struct rmap__batch *b = &p->batch;
    size_t dirty = 0, bad = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(rmap_page_flags(b->page[i]) & RMAP_PAGE_DIRTY)) continue;
        b->dirty[dirty++] = b->page[i];
        if (b->retries && rmap_swap_is_bad(p->swap, b->page[i])) b->bad[bad++] = b->page[i];
    }
    if (!dirty || rmap_swap_write(p->swap, b->dirty, dirty, b->written)) return;
    for (size_t i = 0; i < dirty; i++) RMAP__STAT(p, swap_outs, b->written[i] == 0);
    note_retries(p, bad, first_round);
}

/* Neither mapped nor cached any more: our reference is the last, or somebody's is. @return true if the frame is free.
 */
static bool release(struct rmap_pager *p, struct rmap_page *page, const struct rmap_result *result)
{
    const bool last = page->refcount == 1;
    if (!last) rmap__list_put(p, page, RMAP__LIST_INACTIVE); /* in use until that reference goes, too */
    p->saw_busy |= !last;
    rmap_page_unlock(p->r, page);
    rmap_page_put(p->r, page);
    RMAP__STAT(p, evictions, last);
    RMAP__STAT(p, shared_evictions, last && result->mapcount >= 2);
    return last;
}

/* A clean page that nothing maps leaves the cache, and with that its frame is free. @return true if it was. */
static bool free_page(struct rmap_pager *p, struct rmap_page *page, const struct rmap_result *result)
{
    if (!(rmap_page_flags(page) & RMAP_PAGE_DIRTY) && !rmap_swap_cache_del(p->swap, page))
        return release(p, page, result);
    fail(p, page);
    return false;
}

/* Lazily freed pages go at once; what was written again since is an ordinary page, for next time. @return pages left.
 */
static size_t discard_batch(struct rmap_pager *p, size_t n, unsigned flags, uint64_t *freed)
{
    struct rmap__batch *b = &p->batch;
    size_t kept = 0, discardable = 0;
    for (size_t i = 0; i < n; i++) {
        struct rmap_page *page = b->page[i];
        if (is_discardable(page))
            b->dirty[discardable++] = page;
        else
            b->page[kept++] = page;
    }
    rmap_discard(p->r, b->dirty, discardable, flags, b->result);
    for (size_t i = 0; i < discardable; i++) {
        if (b->result[i].outcome != RMAP_DONE) {
            fail(p, b->dirty[i]);
        } else if (release(p, b->dirty[i], &b->result[i])) {
            RMAP__STAT(p, discards, 1);
            ++*freed;
        }
    }
    return kept;
}

uint64_t rmap__evict(struct rmap_pager *p, size_t n, bool spare_young, uint64_t *scanned)
{
    uint64_t freed = 0;
    n = gather_batch(p, n, scanned);
    n = look(p, n, spare_young);
    n = discard_batch(p, n, spare_young ? RMAP_SPARE_YOUNG : 0, &freed);
    n = give_slots(p, n, spare_young);
    n = unmap_batch(p, n, spare_young ? RMAP_SPARE_YOUNG : 0);
    write_dirty(p, n, spare_young);
    for (size_t i = 0; i < n; i++) freed += free_page(p, p->batch.page[i], &p->batch.result[i]);
    return freed;
}
