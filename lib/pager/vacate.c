/* SPDX-License-Identifier: MIT */
/**
 * @file pager/vacate.c  Emptying a range of frames: each page in it moves to a frame outside.
 *
 * One page at a time: the frame first, with nothing locked, since that may reclaim; then the page, whatever it is by
 * then.
 */
#include <pager/pager_internal.h>

#include <objrmap/migrate.h>

/* Mapped or cached pages move. The zero frame does not, nor one that somebody just holds by a reference. */
static bool movable(const struct rmap_pager *p, const struct rmap_page *page)
{
    if (page == p->zero || !rmap_page_is_anon(page) || rmap_page_pins(page)) return false;
    return rmap_page_mapcount(page) || (rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE);
}

/* Both referenced; the target known to nobody. @return true if the target is the page now. */
static bool move_to(struct rmap_pager *p, struct rmap_page *page, struct rmap_page *target)
{
    struct rmap_result res = {.outcome = RMAP_INCOMPLETE};
    rmap_page_lock(target); /* reclaim alone may have it, for a moment: it waits for no page */
    if (!rmap_page_try_lock(page)) {
        rmap_page_unlock(p->r, target);
        return false;
    }
    /* Half-way it stops only where forks meanwhile fill the target's count: after about 2^31 mappings of one page. */
    if (movable(p, page)) rmap_migrate(p->r, &page, &target, 1, 0, &res);
    if (res.outcome == RMAP_DONE) rmap__list_take_place(p, page, target);
    rmap_page_unlock(p->r, target);
    rmap_page_unlock(p->r, page);
    return res.outcome == RMAP_DONE;
}

/* @return 1: moved; 0: stays; NO_FRAME: nor will any other. */
static int vacate_frame(struct rmap_pager *p, rmap_pfn_t pfn)
{
    struct rmap_page *page = &p->frames.frame[pfn].page, *target;
    if (!movable(p, page)) return 0;
    int rc = rmap_page_alloc(p->r, RMAP_PFN_NONE, &target);
    if (rc) return rc;
    const rmap_pfn_t where = rmap_page_pfn(p->r, target);
    if (where >= p->frames.shut_first && where < p->frames.shut_end) { /* there is no other */
        rc = RMAP_ERR_NO_FRAME;
    } else if (rmap_page_try_get(page)) { /* else reclaim was faster */
        rc = move_to(p, page, target);
        rmap_page_put(p->r, page);
    }
    rmap_page_put(p->r, target);
    return rc;
}

int64_t rmap_pager_vacate(struct rmap_pager *p, rmap_pfn_t first, uint64_t count)
{
    if (!p) return RMAP_ERR_NULL_ARG;
    if (!count || first >= p->frames.total || count > p->frames.total - first) return RMAP_ERR_RANGE;
    struct rmap__call c;
    int rc = rmap__call_begin(&c, p);
    if (rc) return rc;
    int64_t moved = 0;
    rmap__mutex_lock(&p->vacate_lock, RMAP__RANK_VACATE);
    rmap__frames_shut(p, first, first + count);
    for (rmap_pfn_t pfn = first; pfn < first + count && rc >= 0; pfn++)
        if ((rc = vacate_frame(p, pfn)) > 0) moved++;
    rmap__frames_shut(p, 0, 0);
    rmap__mutex_unlock(&p->vacate_lock, RMAP__RANK_VACATE);
    RMAP__STAT(p, migrations, (uint64_t)moved);
    rmap__call_end(&c);
    return moved;
}
