/* SPDX-License-Identifier: MIT */
/**
 * @file core/walk.c  The walk: every mapping of a page, found by its owner and index.
 *
 * Lock order, outermost first, and why:
 *
 *     space lock   fork, move and exit change many entries at once; faults share it          (the embedder's)
 *       page lock  owner and index stand still; one verb at a time on a page                 (bit in the descriptor)
 *         group    the tree stands still: walks share it, edits are O(1) and exclusive       (rwlock, writers first)
 *           run    the entries of one table stand still, but for accessed and dirty          (the MMU's)
 *
 * Candidates of a page owned by epoch e of node N, in order: N's space; then for each epoch from e to the newest its
 * children, oldest first, each whole subtree in pre-order. So a fork's source comes before its child (INV-4): a mapping
 * that is being copied while we walk is met at its source before the copy, or in the child after it.
 *
 * When may a walk say DONE? Before it starts it sets STABLE in the mapcount word; whoever lowers the count clears STABLE
 * in the same step. If one load shows STABLE and mapcount = hits, nobody left since the start, so the hits are all there
 * are. Otherwise every candidate is visited, and mapcount = hits decides (INV-5). Source: DESIGN 5, model rule 7.
 */
#include <base/sort.h>
#include <core/walk.h>

/* ---- bounds for tightening ---- */

/* A hit in node n: the lowest node above all hits, and through which of its epochs they descend. */
static void bound_hit(struct rmap__walk *w, struct rmap__walk_page *p, struct rmap__node *n)
{
    if (!p->low) {
        p->anc = n;
        p->anc_ep = NULL;
        p->depth = w->depth;
        if (p->depth > w->deepest) w->deepest = p->depth;
    } else if (!p->anc_ep) { /* all hits so far in anc's own space: this one descends from it */
        const struct rmap__node *x = n;
        while (x->parent->node != p->anc) x = x->parent->node;
        p->anc_ep = x->parent;
    }
    p->low = p->anc;
    p->low_ep = p->anc_ep;
}

/* The walk leaves node n upward through its parent epoch. Tentative: it counts at the next hit only. */
static void bound_climb(struct rmap__walk *w, struct rmap__node *n)
{
    if (w->deepest == w->depth) {
        for (unsigned i = 0; i < w->pages; i++) {
            struct rmap__walk_page *p = &w->page[i];
            if (p->anc != n) continue;
            p->anc = n->parent->node;
            p->anc_ep = n->parent;
            p->depth--;
        }
        w->deepest--;
    }
    w->depth--;
}

/* ---- one candidate ---- */

static void page_close(struct rmap__walk *w, struct rmap__walk_page *p, enum rmap_outcome o, enum rmap_reason why)
{
    p->open = false;
    p->result->outcome = o;
    p->result->reason = why;
    w->open--;
}

static void page_hit(struct rmap__walk *w, struct rmap__walk_page *p, struct rmap_member *m,
                     const struct rmap_mmu_run *run, rmap_pte_t e)
{
    const struct rmap_pte_format *f = m->mmu.ops->format;
    struct rmap_result *res = p->result;
    res->young |= rmap_pte_get(f, e, RMAP_ATTR_ACCESSED);
    res->dirty |= rmap_pte_get(f, e, RMAP_ATTR_DIRTY);
    res->locked |= rmap_pte_get(f, e, RMAP_ATTR_LOCKED);
    p->seen_forking = m->forking;
    enum rmap_reason stop = w->visitor->visit(w, p, m, run, (uint32_t)(p->index - run->first), e);
    if (stop) {
        page_close(w, p, RMAP_PARTIAL, stop);
        return;
    }
    res->hits++;
    bound_hit(w, p, m->node);
    if (atomic_load_explicit(&p->page->mapcount, memory_order_acquire) == (RMAP_MAPCOUNT_STABLE | res->hits))
        page_close(w, p, RMAP_DONE, RMAP_REASON_NONE);
}

/* Look into one space, at the cluster's page numbers. They lie within one block of RMAP_RUN_MAX: usually one run. */
static void visit_member(struct rmap__walk *w, struct rmap_member *m)
{
    const struct rmap_mmu_ops *o = m->mmu.ops;
    const uint64_t payload = rmap_pte_payload_mask(o->format);
    const unsigned shift = o->format->payload_shift;
    unsigned i = 0, last = w->pages;
    while (i < last && !w->page[i].open) i++;
    while (last > i && !w->page[last - 1].open) last--;
    for (unsigned k = i; k < last; k++) w->page[k].result->visits += w->page[k].open;
    while (i < last) {
        struct rmap_mmu_run run;
        if (o->run_find(m->mmu.ctx, w->page[i].index, w->page[last - 1].index + 1, &run)) return;
        for (; i < last && w->page[i].index < run.first + run.count; i++) {
            struct rmap__walk_page *p = &w->page[i];
            if (!p->open || p->index < run.first) continue;
            rmap_pte_t e = rmap_run_get(&m->mmu, &run, (uint32_t)(p->index - run.first));
            if ((e & payload) == p->pfn << shift && rmap_pte_maps(o->format, e)) page_hit(w, p, m, &run, e);
        }
        if (w->visitor->flush_in_run) rmap_gather_flush_now(w->gather);
        o->run_unlock(m->mmu.ctx, &run);
    }
}

/* ---- all candidates ---- */

/* Iterative pre-order: no recursion, no stack, O(1) a step. */
static void walk_candidates(struct rmap__walk *w, struct rmap__epoch *top)
{
    struct rmap__node *n = top->node, *kid;
    struct rmap__epoch *ep = top;
    w->depth = w->deepest = 0;
    for (;;) {
        for (unsigned i = 0; i < w->pages; i++) w->page[i].result->nodes += w->page[i].open;
        if (n->member) visit_member(w, n->member);
        if (!w->open) return;
        kid = TAILQ_FIRST(&ep->kids);
        for (;;) {
            if (kid) break;
            if ((ep = TAILQ_NEXT(ep, link))) {
                kid = TAILQ_FIRST(&ep->kids);
                continue;
            }
            if (n == top->node) return;
            bound_climb(w, n);
            ep = n->parent;
            kid = TAILQ_NEXT(n, link);
            n = ep->node;
        }
        n = kid;
        ep = TAILQ_FIRST(&n->epochs);
        w->depth++;
    }
}

static void page_begin(struct rmap__walk *w, struct rmap__walk_page *p)
{
    unsigned flags = rmap_page_flags(p->page);
    RMAP_ASSERT_INV(flags & RMAP_PAGE_LOCKED, "page-locked");
    p->open = true;
    w->open++;
    enum rmap_reason why = flags & RMAP_PAGE_UNTRACKABLE ? RMAP_REASON_UNTRACKABLE : RMAP_REASON_NONE;
    if (why) {
        page_close(w, p, RMAP_INCOMPLETE, why);
        return;
    }
    if (w->visitor->begin && (why = w->visitor->begin(w, p))) {
        page_close(w, p, RMAP_PARTIAL, why);
        return;
    }
    uint32_t was = atomic_fetch_or_explicit(&p->page->mapcount, RMAP_MAPCOUNT_STABLE, memory_order_acq_rel);
    p->result->mapcount = was & RMAP_MAPCOUNT_MAX;
    if (p->result->mapcount == 0) page_close(w, p, RMAP_DONE, RMAP_REASON_NONE);
}

static void page_end(struct rmap__walk *w, struct rmap__walk_page *p)
{
    struct rmap_result *res = p->result;
    if (p->open) { /* every candidate was visited */
        bool all = rmap_page_mapcount(p->page) == res->hits;
        page_close(w, p, all ? RMAP_DONE : RMAP_INCOMPLETE, RMAP_REASON_NONE);
    }
    if (res->outcome == RMAP_DONE && p->low && res->nodes > res->hits && w->visitor->tighten) {
        struct rmap__epoch *to = p->low_ep ? p->low_ep : rmap__member_epoch(p->low->member, p->seen_forking);
        res->tightened = w->visitor->tighten(w, p, to);
    }
}

static void count_walk(struct rmap__walk_counters *c, const struct rmap_result *res)
{
    atomic_fetch_add_explicit(&c->walks, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->visits, res->visits, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->nodes, res->nodes, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->hits, res->hits, memory_order_relaxed);
}

static void count_page(struct rmap__walk *w, const struct rmap_result *res)
{
    struct rmap__counters *c = &w->r->counters;
    const bool look = w->visitor->verb == RMAP_WALK_REFERENCED && (w->flags & RMAP_KEEP_ACCESSED);
    const enum rmap_walk_verb verb = look ? RMAP_WALK_LOOK : w->visitor->verb;
    if (res->outcome == RMAP_INCOMPLETE) RMAP__COUNT(w->r, incomplete, 1);
    if (res->outcome == RMAP_PARTIAL) RMAP__COUNT(w->r, partial, 1);
    if (res->tightened)
        count_walk(&c->first_lookups, res);
    else if (res->visits)
        count_walk(&c->walk[verb][rmap_mapper_class(res->mapcount)], res);
}

/* Pages [0, n) have one tag and lie in one block of page numbers, in ascending order. */
static void walk_cluster(struct rmap__walk *w, struct rmap__tag *tag)
{
    w->open = 0;
    pthread_rwlock_rdlock(&tag->group->lock);
    for (unsigned i = 0; i < w->pages; i++) page_begin(w, &w->page[i]);
    struct rmap__epoch *top = rmap__tag_find(tag)->epoch;
    if (w->open && top) walk_candidates(w, top);
    for (unsigned i = 0; i < w->pages; i++) page_end(w, &w->page[i]);
    rmap_gather_flush_now(w->gather); /* while members cannot leave */
    pthread_rwlock_unlock(&tag->group->lock);
    for (unsigned i = 0; i < w->pages; i++) count_page(w, w->page[i].result);
}

bool rmap__walk_tighten_page(struct rmap__walk *w, struct rmap__walk_page *p, struct rmap__epoch *to)
{
    (void)w;
    if (rmap__tag_find(rmap__owner_tag(rmap_page_owner(p->page))) == to->tag) return false;
    rmap__page_set_owner(p->page, to->tag);
    return true;
}

/* May page b follow page a in one cluster? */
static bool cluster_fits(const struct rmap_page *a, const struct rmap_page *b)
{
    rmap_vpn_t x = rmap_page_index(a), y = rmap_page_index(b);
    return rmap_page_owner(a) == rmap_page_owner(b) && x < y && x / RMAP_RUN_MAX == y / RMAP_RUN_MAX;
}

int rmap__walk_pages(struct rmap *r, const struct rmap__visitor *v, void *ctx, struct rmap_page *const *pages, size_t n,
                     unsigned flags, struct rmap_result *results)
{
    if (!r || (n && (!pages || !results))) return RMAP_ERR_NULL_ARG;
    if (flags & ~v->flags) return RMAP_ERR_INVALID;
    for (size_t i = 0; i < n; i++)
        if (rmap_page_pfn(r, pages[i]) == RMAP_PFN_NONE) return RMAP_ERR_UNKNOWN_PAGE;
    struct rmap_gather gather;
    rmap_gather_init(&gather, r);
    struct rmap__walk w = {.r = r, .visitor = v, .gather = &gather, .flags = flags, .ctx = ctx};
    if (n) memset(results, 0, n * sizeof *results);
    for (size_t i = 0, j; i < n; i = j) {
        rmap_owner_t owner = rmap_page_owner(pages[i]);
        for (w.pages = 0, j = i; j < n && w.pages < RMAP_WALK_CLUSTER; j++, w.pages++) {
            if (j > i && !cluster_fits(pages[j - 1], pages[j])) break;
            w.page[w.pages] = (struct rmap__walk_page){.page = pages[j],
                                                       .pfn = rmap_page_pfn(r, pages[j]),
                                                       .index = rmap_page_index(pages[j]),
                                                       .result = &results[j]};
        }
        if (owner) walk_cluster(&w, rmap__owner_tag(owner));
        for (size_t k = i; !owner && k < j; k++) { /* not anonymous: nobody knows where a special page is mapped */
            bool unknown = rmap_page_mapcount(pages[k]) || (rmap_page_flags(pages[k]) & RMAP_PAGE_SPECIAL);
            results[k].outcome = unknown ? RMAP_INCOMPLETE : RMAP_DONE;
        }
        if (!rmap_gather_room(&gather, RMAP_WALK_CLUSTER)) rmap_gather_finish(&gather);
    }
    rmap_gather_finish(&gather);
    return 0;
}

/* ---- sorting a batch ---- */

static bool page_before(const void *a, const void *b)
{
    const struct rmap_page *x = a, *y = b;
    rmap_owner_t ox = rmap_page_owner(x), oy = rmap_page_owner(y);
    return ox != oy ? ox < oy : rmap_page_index(x) < rmap_page_index(y);
}

void rmap_pages_sort(struct rmap_page **pages, size_t n)
{
    if (pages) rmap__sort(pages, n, page_before);
}
