/* SPDX-License-Identifier: MIT */
/**
 * @file core/walk.c  The walk: every mapping of a page, found by its owner and index.
 *
 * Lock order, outermost first; debug builds stop at a wait in another one (base/rank.h):
 *
 *     space            the embedder's. Fork, move and exit change many entries at once; faults share it
 *       page           a bit in the descriptor. Owner and index stand still; one verb at a time on a page
 *         group        rwlock, writers first. The tree stands still: look-ups share it, edits have it alone
 *           run        the MMU's. The entries of one table stand still, but for accessed and dirty
 *             leaves   slots, host's and devices' mutexes; beside the runs: list of rests, of groups
 *
 *     page in space    a fault, a fork that copies a pinned page, a move: they come with the space held. Page verbs take no
 *                      space lock, so reclaim may call them inside a fault
 *     page in page     only by try: batches hold many, in any order; so the walk's first page is waited for with none held
 *     group in page    the owner says which group, and is the page's; a verb keeps its pages over many group sections
 *     run in group     members, and the tables that they bring, stay while we look into one space after another
 *     page in run      only by try: a fault, a move, free_lazily find the page by its entry. Who waited here would wait for
 *                      a walk that waits for the run
 *     run in run       fork's child's inside its parent's, of another MMU; a child has no child yet, so there is no cycle
 *
 * Candidates of a page owned by epoch e of node N, in order: N's space; then for each epoch from e to the newest its
 * children, oldest first, each whole subtree in pre-order. So a fork's source comes before its child (INV-4): a mapping
 * that is being copied while we walk is met at its source before the copy, or in the child after it.
 *
 * When may a walk say DONE? Before it starts it sets STABLE in the mapcount word; whoever lowers the count clears STABLE
 * in the same step. If one load shows STABLE and mapcount = hits, nobody left since the start, so the hits are all there
 * are. Otherwise every candidate is visited, and mapcount = hits decides (INV-5). Source: docs/design/fork-tree.md, rule 7.
 */
#include <base/sort.h>
#include <core/position.h>
#include <core/track.h>
#include <core/walk.h>

/* ---- bounds for tightening ---- */

/* A hit in node n: the lowest node above all hits, and through which of its epochs they descend. */
static void bound_hit(struct rmap__walk *w, struct rmap__walk_page *p, struct rmap__node *n)
{
    if (w->unbound) return;
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
    if (w->unbound) return;
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
                     const struct rmap_mmu_run *run, uint32_t slot, rmap_pte_t e)
{
    const struct rmap_pte_format *f = m->mmu.ops->format;
    struct rmap_result *res = p->result;
    res->young |= rmap_pte_get(f, e, RMAP_ATTR_ACCESSED);
    res->dirty |= rmap_pte_get(f, e, RMAP_ATTR_DIRTY);
    res->locked |= rmap_pte_get(f, e, RMAP_ATTR_LOCKED);
    p->seen_forking = m->forking;
    enum rmap_reason stop = w->visitor->visit(w, p, m, run, slot, e);
    if (stop) {
        page_close(w, p, RMAP_PARTIAL, stop);
        return;
    }
    res->hits++;
    bound_hit(w, p, m->node);
    if (atomic_load_explicit(&p->page->mapcount, memory_order_acquire) == (RMAP_MAPCOUNT_STABLE | res->hits))
        page_close(w, p, RMAP_DONE, RMAP_REASON_NONE);
}

/* `lone`: only pages that the hint may find. */
static bool page_wanted(const struct rmap__walk_page *p, bool lone)
{
    return p->open && (!lone || (p->lone && !p->result->hits));
}

/*
 * Look into one space at the cluster's page numbers, each shifted by `delta`, where the index lies in [first, end). They lie
 * within one block of RMAP_RUN_MAX: usually one run.
 */
static void visit_places(struct rmap__walk *w, struct rmap_member *m, rmap_vpn_t first, rmap_vpn_t end, uint64_t delta,
                         bool lone)
{
    const struct rmap_mmu_ops *o = m->mmu.ops;
    const uint64_t payload = rmap_pte_payload_mask(o->format);
    const unsigned shift = o->format->payload_shift;
    unsigned i = 0, last = w->pages;
    while (i < last && (!page_wanted(&w->page[i], lone) || w->page[i].index < first)) i++;
    while (last > i && (!page_wanted(&w->page[last - 1], lone) || w->page[last - 1].index >= end)) last--;
    while (i < last) {
        struct rmap_mmu_run run;
        if (o->run_find(m->mmu.ctx, w->page[i].index + delta, w->page[last - 1].index + delta + 1, &run)) return;
        for (; i < last && w->page[i].index + delta < run.first + run.count; i++) {
            struct rmap__walk_page *p = &w->page[i];
            const rmap_vpn_t at = p->index + delta;
            if (!page_wanted(p, lone) || at < run.first) continue;
            rmap_pte_t e = rmap_run_get(&m->mmu, &run, (uint32_t)(at - run.first));
            if ((e & payload) == p->pfn << shift && rmap_pte_maps(o->format, e))
                page_hit(w, p, m, &run, (uint32_t)(at - run.first), e);
        }
        if (w->visitor->flush_in_run) rmap_gather_flush_now(w->gather);
        o->run_unlock(m->mmu.ctx, &run);
    }
}

/* All places of one space: the page numbers themselves, and where else its moves may have brought them. */
static void visit_member(struct rmap__walk *w, struct rmap_member *m, bool lone)
{
    const rmap_vpn_t first = w->page[0].index, end = w->page[w->pages - 1].index + 1;
    const struct rmap__track *t = m->track;
    const struct rmap__track_record *x;
    for (unsigned i = 0; i < w->pages; i++) w->page[i].result->visits += page_wanted(&w->page[i], lone);
    visit_places(w, m, first, end, 0, lone);
    for (uint32_t at = 0; t && (x = rmap__track_next(t, first, end, &at));)
        visit_places(w, m, x->first, x->end, x->delta, lone);
}

/* ---- the hint ---- */

#define PROBE_AFTER 4 /* candidates: shorter searches are cheaper without */

/*
 * In a search that is not short, look next where the last page was found that one space alone maps. A guess: what the probe
 * cannot complete is left to the ordered walk, which counts anew; entries that the probe took stay taken, and stay counted.
 */
static void probe_hint(struct rmap__walk *w, struct rmap__group *g)
{
    struct rmap_member *m = atomic_load_explicit(&g->hint, memory_order_relaxed);
    if (!m || w->visitor->in_order || w->page[w->pages - 1].index >= m->mmu.pages) return;
    const uint32_t depth = w->depth, deepest = w->deepest;
    visit_member(w, m, true);
    w->depth = depth;
    w->deepest = deepest;
    for (unsigned i = 0; i < w->pages; i++) {
        struct rmap__walk_page *p = &w->page[i];
        if (!p->lone || !p->low || p->low->member != m) continue;
        if (!p->open) continue;
        if (!w->visitor->takes) p->result->hits = 0;
        p->loose = true;
        p->low = p->anc = NULL;
        p->low_ep = p->anc_ep = NULL;
    }
}

/* A page that one space maps was searched for: the next ones may be there, too. */
static void leave_hint(const struct rmap__walk *w, struct rmap__group *g)
{
    for (unsigned i = w->unbound ? 0 : w->pages; i--;) {
        const struct rmap__walk_page *p = &w->page[i];
        const struct rmap_result *res = p->result;
        if (res->outcome != RMAP_DONE || res->hits != 1 || res->nodes < PROBE_AFTER) continue;
        if (!p->low || !p->low->member) continue; /* the probe took it, and the ordered walk had to confirm that */
        /* Not written anew by everybody who finds it true: the lock of the group may lie on the same line. */
        if (atomic_load_explicit(&g->hint, memory_order_relaxed) != p->low->member)
            atomic_store_explicit(&g->hint, p->low->member, memory_order_relaxed);
        return;
    }
}

/* ---- all candidates ---- */

/*
 * Let others in (F2): forks, exits, whoever waits for the group lock. What the walk remembers of the tree holds if nobody
 * joined or left meanwhile. Otherwise its position does still (position.c), and nothing else: it goes on without bounds, and
 * pages that were done before the rest get none either, since a fork may have hung a child beside the bound meanwhile.
 * See "A walk that rests" in docs/design/fork-tree.md. @return where its candidates begin now, or NULL.
 */
static struct rmap__epoch *walk_rest(struct rmap__walk *w, struct rmap__group *g)
{
    const uint64_t edits = g->edits;
    rmap_gather_flush_now(w->gather); /* while those whom it names cannot leave */
    if (!w->rested) rmap__visit_register(g, &w->visit);
    w->rested = true;
    rmap__visit_rest(g, &w->visit);
    if (g->edits != edits) w->unbound = true;
    return rmap__visit_top(g, &w->visit);
}

static void walk_candidates(struct rmap__walk *w, struct rmap__group *g, struct rmap__epoch *top)
{
    struct rmap__visit *v = &w->visit;
    enum rmap__step step;
    unsigned visited = 0;
    v->at = rmap__position_before(top->node);
    while ((step = rmap__position_step(&v->at, top)) != RMAP__STEP_END) {
        v->steps++;
        if (step == RMAP__STEP_CLIMBED) {
            bound_climb(w, v->at.kid);
        } else {
            if (v->at.node != top->node) w->depth++;
            RMAP__YIELD(w->r, RMAP__AT_CANDIDATE);
            for (unsigned i = 0; i < w->pages; i++) w->page[i].result->nodes += w->page[i].open;
            v->looked += v->at.node->member != NULL;
            if (v->at.node->member) visit_member(w, v->at.node->member, false);
            if (!w->open) return;
            if (++visited == PROBE_AFTER) probe_hint(w, g);
            if (!w->open) return;
        }
        if (rmap__visit_is_tired(v)) top = walk_rest(w, g);
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
    p->lone = p->result->mapcount == 1;
    if (p->result->mapcount == 0) page_close(w, p, RMAP_DONE, RMAP_REASON_NONE);
}

static void page_end(struct rmap__walk *w, struct rmap__walk_page *p)
{
    struct rmap_result *res = p->result;
    if (p->open) { /* every candidate was visited */
        bool all = rmap_page_mapcount(p->page) == res->hits;
        page_close(w, p, all ? RMAP_DONE : RMAP_INCOMPLETE, RMAP_REASON_NONE);
    }
    const bool bounded = p->low && !p->loose && !w->unbound;
    if (res->outcome == RMAP_DONE && bounded && res->nodes > res->hits && w->visitor->tighten) {
        struct rmap__epoch *to = p->low_ep ? p->low_ep : rmap__member_epoch(p->low->member, p->seen_forking);
        res->tightened = w->visitor->tighten(w, p, to);
    }
}

/* Pages [0, n) have one tag and lie in one block of page numbers, in ascending order. */
static void walk_cluster(struct rmap__walk *w, struct rmap__tag *tag)
{
    w->open = 0;
    w->depth = w->deepest = 0;
    w->rested = w->unbound = false;
    w->visit = (struct rmap__visit){.owner = rmap__tag_owner(tag)}; /* the pages, locked, keep it */
    rmap__group_rdlock(tag->group);
    for (unsigned i = 0; i < w->pages; i++) page_begin(w, &w->page[i]);
    struct rmap__epoch *top = rmap__tag_find(tag)->epoch;
    if (w->open && top) walk_candidates(w, tag->group, top);
    for (unsigned i = 0; i < w->pages; i++) page_end(w, &w->page[i]);
    leave_hint(w, tag->group);
    if (w->rested) rmap__visit_end(tag->group, &w->visit);
    rmap_gather_flush_now(w->gather); /* while members cannot leave */
    rmap__group_unlock(tag->group);
    for (unsigned i = 0; i < w->pages; i++) rmap__walk_count(w, w->page[i].result);
}

bool rmap__walk_tighten_page(struct rmap__walk *w, struct rmap__walk_page *p, struct rmap__epoch *to)
{
    (void)w;
    if (rmap__tag_find(rmap__owner_tag(rmap_page_owner(p->page))) == to->tag) return false;
    rmap__page_set_owner(p->page, to->tag);
    return true;
}

/* May the page at `index` follow the cluster's last one? */
static bool cluster_fits(const struct rmap__walk *w, rmap_owner_t owner, rmap_vpn_t index)
{
    const rmap_vpn_t last = w->page[w->pages - 1].index;
    return owner == w->owner && last < index && last / RMAP_RUN_MAX == index / RMAP_RUN_MAX;
}

/* Wait for the first page's lock, try the others': two batches may meet in any order. Those missed are BUSY. */
static void lock_pages(struct rmap_page *const *pages, size_t n, struct rmap_result *results)
{
    if (n) rmap_page_lock(pages[0]);
    for (size_t i = 1; i < n; i++) {
        if (rmap_page_try_lock(pages[i])) continue;
        results[i].outcome = RMAP_INCOMPLETE;
        results[i].reason = RMAP_REASON_BUSY;
    }
}

/* The visitor's last word, and the lock: for all but those missed. */
static void end_pages(struct rmap__walk *w, struct rmap_page *const *pages, size_t n, const struct rmap_result *results)
{
    for (size_t i = 0; i < n; i++) {
        if (results[i].outcome == RMAP_INCOMPLETE && results[i].reason == RMAP_REASON_BUSY) continue;
        if (w->visitor->end) w->visitor->end(w, pages[i], &results[i]);
        if (w->flags & RMAP_LOCK_PAGES) rmap_page_unlock(w->r, pages[i]);
    }
}

/* Not anonymous: nobody knows where a special page is mapped. */
static void end_ownerless(const struct rmap_page *page, struct rmap_result *res)
{
    bool unknown = rmap_page_mapcount(page) || (rmap_page_flags(page) & RMAP_PAGE_SPECIAL);
    res->outcome = unknown ? RMAP_INCOMPLETE : RMAP_DONE;
}

/* Pages from `i` on that can be walked together. @return where the next ones begin. */
static size_t fill_cluster(struct rmap__walk *w, struct rmap_page *const *pages, size_t i, size_t n,
                           struct rmap_result *results)
{
    w->owner = 0;
    for (w->pages = 0; i < n && w->pages < RMAP_WALK_CLUSTER; i++) {
        if (results[i].reason == RMAP_REASON_BUSY) continue;
        const rmap_owner_t owner = rmap_page_owner(pages[i]); /* first: of a new page it is stored last (map_new) */
        const rmap_vpn_t index = rmap_page_index(pages[i]);
        if (w->pages && !cluster_fits(w, owner, index)) break;
        w->owner = owner;
        w->page[w->pages++] = (struct rmap__walk_page){
            .page = pages[i], .pfn = rmap_page_pfn(w->r, pages[i]), .index = index, .result = &results[i]};
    }
    return i;
}

int rmap__walk_pages(struct rmap *r, const struct rmap__visitor *v, void *ctx, struct rmap_page *const *pages, size_t n,
                     unsigned flags, struct rmap_result *results)
{
    if (!r || (n && (!pages || !results))) return RMAP_ERR_NULL_ARG;
    if (flags & ~(v->flags | RMAP_LOCK_PAGES)) return RMAP_ERR_INVALID;
    for (size_t i = 0; i < n; i++)
        if (rmap_page_pfn(r, pages[i]) == RMAP_PFN_NONE) return RMAP_ERR_UNKNOWN_PAGE;
    struct rmap_gather gather;
    rmap_gather_init(&gather, r);
    struct rmap__walk w = {.r = r, .visitor = v, .gather = &gather, .flags = flags, .ctx = ctx};
    if (n) memset(results, 0, n * sizeof *results);
    if (flags & RMAP_LOCK_PAGES) lock_pages(pages, n, results);
    for (size_t i = 0; i < n;) {
        i = fill_cluster(&w, pages, i, n, results);
        if (w.owner) walk_cluster(&w, rmap__owner_tag(w.owner));
        for (unsigned k = 0; !w.owner && k < w.pages; k++) end_ownerless(w.page[k].page, w.page[k].result);
        if (!rmap_gather_room(&gather, RMAP_WALK_CLUSTER)) rmap_gather_finish(&gather);
    }
    rmap_gather_finish(&gather);
    rmap__walk_publish(&w);
    if (v->end || (flags & RMAP_LOCK_PAGES)) end_pages(&w, pages, n, results);
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
