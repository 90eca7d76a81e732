/* SPDX-License-Identifier: MIT */
/** @file core/each.c  each_mapping: shows every mapping to the caller; and the same as a cursor. */
#include <core/position.h>
#include <core/track.h>
#include <core/walk.h>

/* ---- by callback ---- */

struct each {
    rmap_mapping_fn *fn;
    void *ctx;
};

static enum rmap_reason each_visit(struct rmap__walk *w, struct rmap__walk_page *p, struct rmap_member *m,
                                   const struct rmap_mmu_run *run, uint32_t slot, rmap_pte_t e)
{
    (void)p;
    struct each *each = w->ctx;
    return each->fn(each->ctx, m, run->first + slot, e) ? RMAP_REASON_STOPPED : RMAP_REASON_NONE;
}

int rmap_each_mapping(struct rmap *r, struct rmap_page *const *pages, size_t n, unsigned flags, rmap_mapping_fn *fn,
                      void *ctx, struct rmap_result *results)
{
    if (!fn) return RMAP_ERR_NULL_ARG;
    static const struct rmap__visitor each = {
        .verb = RMAP_WALK_EACH, .visit = each_visit, .tighten = rmap__walk_tighten_page, .in_order = true};
    return rmap__walk_pages(r, &each, &(struct each){fn, ctx}, pages, n, flags, results);
}

/* ---- by cursor ---- */

static struct rmap__group *cursor_group(const struct rmap_cursor *c)
{
    return rmap__owner_tag(c->visit->owner)->group; /* the page's owner may have moved down since */
}

int rmap_cursor_open(struct rmap *r, struct rmap_page *page, struct rmap_cursor *c)
{
    if (!r || !page || !c) return RMAP_ERR_NULL_ARG;
    if (rmap_page_pfn(r, page) == RMAP_PFN_NONE) return RMAP_ERR_UNKNOWN_PAGE;
    RMAP_ASSERT_INV(rmap_page_flags(page) & RMAP_PAGE_LOCKED, "page-locked");
    *c = (struct rmap_cursor){.r = r, .page = page, .result.outcome = RMAP_INCOMPLETE};
    rmap_owner_t owner = rmap_page_owner(page);
    c->result.mapcount = rmap_page_mapcount(page);
    if (!owner || (rmap_page_flags(page) & RMAP_PAGE_UNTRACKABLE)) {
        c->ended = true;
        if (!owner && !c->result.mapcount && !(rmap_page_flags(page) & RMAP_PAGE_SPECIAL))
            c->result.outcome = RMAP_DONE;
        if (owner) c->result.reason = RMAP_REASON_UNTRACKABLE;
        return 0;
    }
    if (!(c->visit = RMAP__NEW(&r->alloc, struct rmap__visit))) return RMAP_ERR_NOMEM;
    struct rmap__group *g = rmap__owner_tag(owner)->group;
    rmap_owner_get(owner); /* whatever the caller's verbs do to the page's owner until close */
    rmap__group_rdlock(g);
    rmap__visit_begin(g, c->visit, owner);
    rmap__group_unlock(g);
    return 0;
}

/* Candidates until there is a mapping, as long as the look-up is not tired. Group lock held. @return 1: a mapping; -1: no
 * candidate is left; 0: let others in, and look on. */
static int cursor_step(struct rmap_cursor *c, struct rmap__group *g, struct rmap_mapping *out)
{
    const rmap_vpn_t index = rmap_page_index(c->page);
    const rmap_pfn_t pfn = rmap_page_pfn(c->r, c->page);
    struct rmap_member *m;
    while ((m = rmap__visit_next(g, c->visit))) {
        c->result.visits++;
        if (rmap__member_maps(m, index, pfn, out)) return 1;
    }
    return c->visit->at.node ? 0 : -1;
}

int rmap_cursor_next(struct rmap_cursor *c, struct rmap_mapping *out)
{
    if (!c || !out) return RMAP_ERR_NULL_ARG;
    int found = -1;
    if (!c->ended) {
        struct rmap__group *g = cursor_group(c);
        rmap__group_rdlock(g);
        c->visit->looked = c->visit->steps = 0;
        while (!(found = cursor_step(c, g, out))) rmap__visit_rest(g, c->visit);
        rmap__group_unlock(g);
    }
    struct rmap_result *res = &c->result;
    if (c->visit) res->nodes = (uint32_t)c->visit->nodes;
    if (found > 0) {
        res->hits++;
        return 1;
    }
    if (!c->ended) res->outcome = rmap_page_mapcount(c->page) == res->hits ? RMAP_DONE : RMAP_INCOMPLETE;
    c->ended = true;
    return 0;
}

void rmap_cursor_close(struct rmap_cursor *c)
{
    if (!c || !c->visit) return;
    struct rmap__group *g = cursor_group(c);
    rmap__group_rdlock(g);
    rmap__visit_end(g, c->visit);
    rmap__group_unlock(g);
    rmap_owner_put(c->visit->owner);
    RMAP__DELETE(&c->r->alloc, c->visit);
    c->visit = NULL;
    if (!c->ended && c->result.outcome == RMAP_INCOMPLETE) {
        c->result.outcome = RMAP_PARTIAL;
        c->result.reason = RMAP_REASON_STOPPED;
    }
    c->ended = true;
}
