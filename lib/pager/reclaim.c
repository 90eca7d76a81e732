/* SPDX-License-Identifier: MIT */
/**
 * @file pager/reclaim.c  Reclaim policy: two generations of frames, aged in batches.
 *
 *     new ──▶ head [ active ] tail ──accessed cleared──▶ head [ inactive ] tail ──not accessed since──▶ evicted
 *               ▲                                                            │
 *               └────────────────── accessed since, locked, busy ◀───────────┘
 *
 * Clearing "accessed" costs a walk, and on some MMUs a flush and a fault at the next touch; so it is done once on the
 * way down, for batches sorted for neighbours (walks and flushes join ranges), and the flush is not lost: what was not
 * touched since needs none when it is evicted. The inactive list is kept at a quarter of all frames: the longer it is,
 * the more chances a page has to be touched before its turn.
 */
#include <pager/pager_internal.h>

#include <errno.h>

#define INACTIVE_SHARE 4 /* 1 / share of the listed frames */
#define SPARING_SCANS 2  /* look at every frame so often before young pages are evicted, too … */
#define SCANS_MAX 4      /* … and so often before it is given up */

/* Move up to n of the oldest active pages to the inactive list, accessed attributes cleared. @return pages moved. */
static size_t deactivate(struct rmap_pager *p, size_t n)
{
    struct rmap__batch *b = &p->batch;
    size_t got = rmap__list_isolate(p, RMAP__LIST_ACTIVE, b->page, n), kept = 0;
    for (size_t i = 0; i < got; i++) {
        struct rmap_page *page = b->page[i];
        if (rmap_page_try_lock(page)) {
            b->page[kept++] = page;
            continue;
        }
        p->saw_busy = true;
        rmap__list_put(p, page, RMAP__LIST_ACTIVE);
        rmap_page_put(p->r, page);
    }
    rmap_pages_sort(b->page, kept);
    rmap_referenced(p->r, b->page, kept, 0, b->result);
    for (size_t i = 0; i < kept; i++) {
        rmap__list_put(p, b->page[i], RMAP__LIST_INACTIVE);
        rmap_page_unlock(p->r, b->page[i]);
        rmap_page_put(p->r, b->page[i]);
    }
    RMAP__STAT(p, aged, kept);
    return kept;
}

bool rmap__reclaim_begin(struct rmap_pager *p)
{
    if (pthread_mutex_trylock(&p->reclaim_lock)) {
        if (pthread_mutex_lock(&p->reclaim_lock) == EDEADLK) return false;
        RMAP__STAT(p, reclaim_waits, 1);
    }
    rmap__rank_take(RMAP__RANK_RECLAIM, p); /* here, not before: only the mutex knows that it would be inside itself */
    p->reclaiming = true;
    p->retries.in_vain = p->retries.met = 0;
    return true;
}

void rmap__reclaim_end(struct rmap_pager *p)
{
    p->reclaiming = false;
    rmap__rank_drop(RMAP__RANK_RECLAIM, p);
    pthread_mutex_unlock(&p->reclaim_lock);
}

uint64_t rmap__reclaim(struct rmap_pager *p, uint64_t target)
{
    const uint64_t marks = p->lazy_marks;
    p->saw_discardable = p->saw_busy = false;
    p->along = 0;
    p->reclaim_number++;
    if (!(p->has_swap || marks != p->lazy_done) || target == 0) return 0;
    const uint64_t all = rmap__list_count(p, RMAP__LIST_ACTIVE) + rmap__list_count(p, RMAP__LIST_INACTIVE);
    const size_t down = 2 * p->evict_batch < RMAP__EVICT_MAX ? 2 * p->evict_batch : RMAP__EVICT_MAX;
    uint64_t freed = 0, scanned = 0, before, in_turn = 0;
    do {
        before = scanned;
        uint64_t active = rmap__list_count(p, RMAP__LIST_ACTIVE), inactive = rmap__list_count(p, RMAP__LIST_INACTIVE);
        if (inactive * INACTIVE_SHARE < active + inactive) scanned += deactivate(p, down);
        uint64_t wanted = target - freed < p->evict_batch ? target - freed : p->evict_batch;
        freed += rmap__evict(p, wanted, in_turn < SPARING_SCANS * all, &scanned);
        in_turn = scanned > p->along ? scanned - p->along : 0;
    } while (freed < target && scanned > before && in_turn < SCANS_MAX * all);
    /* All were looked at: of what had been marked when we began, nothing is left. */
    if (!p->saw_discardable && !p->saw_busy && freed < target) p->lazy_done = marks;
    return freed;
}
