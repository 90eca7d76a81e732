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
 *     run in group     members, and the tables that they bring, stay while we look into one space after another; so entries can be
 *                      read without the run, and only where there is work to do it is waited for
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

/*
 * Of nodes met in pre-order, the lowest one above all is the lowest above the first and the last. And as older epochs come
 * before newer ones, the first hit that descends from it does so through the oldest epoch that any hit does.
 */
static void bound_hit(struct rmap__walk_page *p, struct rmap__node *n)
{
    if (!p->first)
        p->first = n;
    else if (!p->second)
        p->second = n;
    p->last = n;
}

static unsigned depth_below(const struct rmap__node *n, const struct rmap__node *top)
{
    unsigned depth = 0;
    for (; n != top; n = n->parent->node) depth++;
    return depth;
}

/* The epoch whose candidates have all hits among them, and as few others as can be. Cost: O(depth). */
static struct rmap__epoch *bound_of(const struct rmap__walk_page *p, const struct rmap__node *top)
{
    struct rmap__node *above = p->first, *n = p->last;
    unsigned a = depth_below(above, top), d = depth_below(n, top);
    for (; a > d; a--) above = above->parent->node;
    for (; d > a; d--) n = n->parent->node;
    for (; above != n; above = above->parent->node) n = n->parent->node;
    n = p->first != above || !p->second ? p->first : p->second;
    if (n == above) return rmap__member_epoch(above->member, p->seen_forking); /* all hits in this one space */
    while (n->parent->node != above) n = n->parent->node;
    return n->parent;
}

/* ---- one candidate ---- */

static void page_close(struct rmap__walk *w, struct rmap__walk_page *p, enum rmap_outcome o, enum rmap_reason why)
{
    p->open = false;
    p->result->outcome = o;
    p->result->reason = why;
    p->result->visits += w->visits; /* beside those of the hint */
    p->result->nodes = w->nodes;
    w->open--;
}

/* The entry that was met, and may have been changed since, is a hit. */
static inline void page_hit(struct rmap__walk *w, struct rmap__walk_page *p, const struct rmap_member *m)
{
    struct rmap_result *res = p->result;
    res->hits++;
    bound_hit(p, m->node);
    if (atomic_load_explicit(&p->page->mapcount, memory_order_acquire) == (RMAP_MAPCOUNT_STABLE | res->hits))
        page_close(w, p, RMAP_DONE, RMAP_REASON_NONE);
}

static inline void page_meet(const struct rmap__walk *w, struct rmap__walk_page *p, const struct rmap_member *m, rmap_pte_t e)
{
    if ((e & w->plain.mask) != w->plain.on) {
        struct rmap_result *res = p->result;
        res->young |= rmap_pte_get(w->format, e, RMAP_ATTR_ACCESSED);
        res->dirty |= rmap_pte_get(w->format, e, RMAP_ATTR_DIRTY);
        res->locked |= rmap_pte_get(w->format, e, RMAP_ATTR_LOCKED);
    }
    p->seen_forking = m->forking;
}

/* `lone`: only pages that the hint may find. */
static inline bool page_wanted(const struct rmap__walk_page *p, bool lone)
{
    return p->open && (!lone || (p->lone && !p->result->hits));
}

static inline bool entry_maps(const struct rmap__walk *w, const struct rmap__walk_page *p, rmap_pte_t e)
{
    return (e & w->payload) == p->frame && rmap_pte_maps(w->format, e);
}

/*
 * Pages [i, end) of the cluster in a run that is not locked and has them all, each index shifted by `delta`. Most entries do
 * not map the page, or need nothing but to be counted. What an entry says holds for the moment of the load, as it would for
 * that of a lock: a mapping that comes or goes besides has changed the count, or its page's lock is ours (design/races.md).
 * @return the first page whose entry needs the lock.
 */
static inline unsigned pass_by(struct rmap__walk *w, const struct rmap_member *m, const struct rmap_mmu_run *run, uint64_t delta,
                               bool lone, unsigned i, unsigned end)
{
    for (; i < end; i++) {
        struct rmap__walk_page *p = &w->page[i];
        if (!page_wanted(p, lone)) continue;
        const rmap_pte_t e = rmap_run_peek(run, (uint32_t)(p->index + delta - run->first));
        if (!entry_maps(w, p, e)) continue;
        if ((e & w->busy.mask) == w->busy.on) break;
        page_meet(w, p, m, e);
        page_hit(w, p, m);
    }
    return i;
}

/* The same in a locked run, where the visitor does its work. */
static void look_into(struct rmap__walk *w, struct rmap_member *m, const struct rmap_mmu_run *run, uint64_t delta, bool lone,
                      unsigned i, unsigned end)
{
    for (; i < end; i++) {
        struct rmap__walk_page *p = &w->page[i];
        if (!page_wanted(p, lone)) continue;
        const uint32_t slot = (uint32_t)(p->index + delta - run->first);
        const rmap_pte_t e = rmap_run_get(&m->mmu, run, slot);
        if (!entry_maps(w, p, e)) continue;
        page_meet(w, p, m, e);
        const enum rmap_reason stop = w->visitor->visit(w, p, m, run, slot, e);
        if (stop)
            page_close(w, p, RMAP_PARTIAL, stop);
        else
            page_hit(w, p, m);
    }
}

/* The first page from i on whose place is not before `at`. */
static inline unsigned page_at(const struct rmap__walk *w, unsigned i, unsigned end, uint64_t delta, rmap_vpn_t at)
{
    while (i < end && w->page[i].index + delta < at) i++;
    return i;
}

/* Pages [i, end) in one run, which is locked; it is unlocked. */
static void visit_locked(struct rmap__walk *w, struct rmap_member *m, struct rmap_mmu_run *run, uint64_t delta, bool lone, unsigned i,
                         unsigned end)
{
    w->taken = w->swapped = 0;
    look_into(w, m, run, delta, lone, i, end);
    rmap__mappings_sub(m, w->taken);
    if (w->swapped) atomic_fetch_add_explicit(&m->swapped, w->swapped, memory_order_relaxed);
    if (w->visitor->flush_in_run) rmap_gather_flush_now(w->gather);
    m->mmu.ops->run_unlock(m->mmu.ctx, run);
}

/* Pages [i, end) in one run, which was found, not locked; the places of all lie in it. */
static inline void visit_seen(struct rmap__walk *w, struct rmap_member *m, struct rmap_mmu_run *run, uint64_t delta, bool lone,
                              unsigned i, unsigned end)
{
    i = pass_by(w, m, run, delta, lone, i, end);
    if (i == end) return;
    m->mmu.ops->run_lock(m->mmu.ctx, run);
    visit_locked(w, m, run, delta, lone, i, end);
}

/*
 * Look into one space at the cluster's page numbers, each shifted by `delta`, where the index lies in [first, end). They lie
 * within one block of RMAP_RUN_MAX: usually one run.
 */
static void visit_places(struct rmap__walk *w, struct rmap_member *m, rmap_vpn_t first, rmap_vpn_t end, uint64_t delta,
                         bool lone)
{
    const struct rmap_mmu_ops *o = m->mmu.ops;
    unsigned i = 0, last = w->pages;
    while (i < last && (!page_wanted(&w->page[i], lone) || w->page[i].index < first)) i++;
    while (last > i && (!page_wanted(&w->page[last - 1], lone) || w->page[last - 1].index >= end)) last--;
    for (unsigned next; i < last; i = next) {
        const rmap_vpn_t from = w->page[i].index + delta, to = w->page[last - 1].index + delta + 1;
        struct rmap_mmu_run run;
        if (o->run_peek)
            o->run_peek(&m->mmu.ctx, 1, from, to, &run);
        else if (o->run_find(m->mmu.ctx, from, to, &run))
            return;
        if (!run.count) return;
        i = page_at(w, i, last, delta, run.first);
        next = page_at(w, i, last, delta, run.first + run.count);
        if (o->run_peek)
            visit_seen(w, m, &run, delta, lone, i, next);
        else
            visit_locked(w, m, &run, delta, lone, i, next);
    }
}

/* All places of one space: the page numbers themselves, and where else its moves may have brought them. `seen`: the run of the
 * page numbers, if its count is not 0; `absent`: there is none. */
static inline void visit_member(struct rmap__walk *w, struct rmap_member *m, bool lone, struct rmap_mmu_run *seen, bool absent)
{
    const struct rmap__track *t = m->track;
    const struct rmap__track_record *x;
    if (seen && seen->count)
        visit_seen(w, m, seen, 0, lone, 0, w->pages);
    else if (!absent)
        visit_places(w, m, w->page[0].index, w->page[w->pages - 1].index + 1, 0, lone);
    if (!t) return;
    const rmap_vpn_t first = w->page[0].index, end = w->page[w->pages - 1].index + 1;
    for (uint32_t at = 0; (x = rmap__track_next(t, first, end, &at));)
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
    for (unsigned i = 0; i < w->pages; i++) {
        struct rmap__walk_page *p = &w->page[i];
        p->lone = page_wanted(p, true); /* one that was found, and is not done, is not lone any more */
        p->result->visits += p->lone;
    }
    visit_member(w, m, true, NULL, false);
    for (unsigned i = 0; i < w->pages; i++) {
        struct rmap__walk_page *p = &w->page[i];
        if (!p->open || !p->lone || !p->first || p->first->member != m) continue;
        if (!w->visitor->takes) p->result->hits = 0;
        p->loose = true;
        p->first = p->second = p->last = NULL;
    }
}

/* A page that one space maps was searched for: the next ones may be there, too. */
static void leave_hint(const struct rmap__walk *w, struct rmap__group *g)
{
    for (unsigned i = w->unbound ? 0 : w->pages; i--;) {
        const struct rmap__walk_page *p = &w->page[i];
        const struct rmap_result *res = p->result;
        if (res->outcome != RMAP_DONE || res->hits != 1 || res->nodes < PROBE_AFTER) continue;
        if (!p->first || !p->first->member) continue; /* the probe took it, and the ordered walk had to confirm that */
        /* Not written anew by everybody who finds it true: the lock of the group may lie on the same line. */
        if (atomic_load_explicit(&g->hint, memory_order_relaxed) != p->first->member)
            atomic_store_explicit(&g->hint, p->first->member, memory_order_relaxed);
        return;
    }
}

/* ---- letting others in ---- */

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

/* ---- candidates ---- */

/*
 * A search that is not short spends its time in waiting for tables that are not in the cache. So the next candidates are taken
 * out of the tree some at a time, and their tables are looked up all at once; then their entries are read one after the other,
 * in order as ever (INV-4). Where a fork is copying to a space, a table may come into being between the two: such a space is
 * looked up again. To any other no mapping of a page comes whose lock is ours.
 */
struct ahead {
    unsigned n;
    bool end; /* no candidate is left behind these */
    struct rmap__node *node[RMAP_PEEK_MAX];
    uint32_t passed[RMAP_PEEK_MAX];         /* nodes of the walk, up to this one */
    struct rmap_mmu_run run[RMAP_PEEK_MAX]; /* one with all of the cluster's places; count 0: look for yourself … */
    bool absent[RMAP_PEEK_MAX];             /* … unless there is none */
};

/* Their tables: those at the same place as the first one's MMU, which are all of them unless the embedder mixes MMUs. */
static void ahead_peek(const struct rmap__walk *w, struct ahead *a)
{
    const struct rmap_mmu_ops *o = a->node[0]->member->mmu.ops;
    const rmap_vpn_t first = w->page[0].index, last = w->page[w->pages - 1].index;
    void *mmu[RMAP_PEEK_MAX];
    bool newborn[RMAP_PEEK_MAX];
    unsigned n = 0;
    for (; o->run_peek && n < a->n && a->node[n]->member->mmu.ops == o; n++) {
        const struct rmap_member *m = a->node[n]->member;
        newborn[n] = atomic_load_explicit(&m->newborn, memory_order_acquire);
        mmu[n] = m->mmu.ctx;
    }
    if (n) o->run_peek(mmu, n, first, last + 1, a->run);
    for (unsigned i = 0; i < n; i++) {
        struct rmap_mmu_run *run = &a->run[i];
        a->absent[i] = !run->count && !newborn[i];
        if (run->count && (first < run->first || last - run->first >= run->count)) run->count = 0;
        if (run->count) __builtin_prefetch(&run->slots[first - run->first]);
    }
    for (unsigned i = n; i < a->n; i++) a->run[i].count = 0, a->absent[i] = false;
}

/* Take up to `max` candidates out of the tree. */
static void ahead_fill(struct rmap__walk *w, struct ahead *a, struct rmap__epoch *top, unsigned max)
{
    struct rmap__visit *v = &w->visit;
    a->n = 0;
    a->end = false;
    while (a->n < max && !rmap__visit_is_tired(v)) {
        const enum rmap__step step = rmap__position_step(&v->at, top);
        v->steps++;
        a->end = step == RMAP__STEP_END;
        if (a->end) break;
        if (step != RMAP__STEP_ENTERED) continue;
        v->nodes++;
        if (!v->at.node->member) continue;
        v->looked++;
        a->node[a->n] = v->at.node;
        a->passed[a->n++] = (uint32_t)v->nodes;
    }
    if (a->n) ahead_peek(w, a);
}

static void walk_candidates(struct rmap__walk *w, struct rmap__group *g, struct rmap__epoch *top)
{
    struct rmap__visit *v = &w->visit;
    struct ahead a;
    bool probed = false;
    v->at = rmap__position_before(top->node);
    do {
        ahead_fill(w, &a, top, probed ? RMAP_PEEK_MAX : 1);
        for (unsigned i = 0; i < a.n; i++) {
            struct rmap_member *m = a.node[i]->member;
            RMAP__YIELD(w->r, RMAP__AT_CANDIDATE);
            w->nodes = a.passed[i];
            w->visits++;
            visit_member(w, m, false, &a.run[i], a.absent[i]);
            if (!w->open) return;
        }
        w->nodes = (uint32_t)v->nodes;
        if (!probed && w->nodes >= PROBE_AFTER) {
            probe_hint(w, g);
            probed = true;
            if (!w->open) return;
        }
        if (rmap__visit_is_tired(v)) top = walk_rest(w, g);
    } while (!a.end);
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
    /* Set already, by a walk before: nobody has left since that one, so nobody has since now. */
    uint32_t was = atomic_load_explicit(&p->page->mapcount, memory_order_acquire);
    if (!(was & RMAP_MAPCOUNT_STABLE))
        was = atomic_fetch_or_explicit(&p->page->mapcount, RMAP_MAPCOUNT_STABLE, memory_order_acq_rel);
    p->result->mapcount = was & RMAP_MAPCOUNT_MAX;
    p->lone = p->result->mapcount == 1;
    if (p->result->mapcount == 0) page_close(w, p, RMAP_DONE, RMAP_REASON_NONE);
}

static void page_end(struct rmap__walk *w, struct rmap__walk_page *p, const struct rmap__epoch *top)
{
    struct rmap_result *res = p->result;
    if (p->open) { /* every candidate was visited */
        bool all = rmap_page_mapcount(p->page) == res->hits;
        page_close(w, p, all ? RMAP_DONE : RMAP_INCOMPLETE, RMAP_REASON_NONE);
    }
    const bool bounded = p->first && !p->loose && !w->unbound;
    if (res->outcome == RMAP_DONE && bounded && res->nodes > res->hits && w->visitor->tighten)
        res->tightened = w->visitor->tighten(w, p, bound_of(p, top->node));
}

/* What the group's format, which all its spaces have, makes of the pages' frames and of what the visitor asked for. */
static void walk_format(struct rmap__walk *w, const struct rmap__group *g)
{
    w->format = g->format;
    w->payload = rmap_pte_payload_mask(w->format);
    w->busy = (struct rmap_pte_bit){0, 0};
    if (w->visitor->prepare) w->visitor->prepare(w);
    w->plain = (struct rmap_pte_bit){0, 0};
    static const enum rmap_pte_attr told[] = {RMAP_ATTR_ACCESSED, RMAP_ATTR_DIRTY, RMAP_ATTR_LOCKED};
    for (unsigned k = 0; k < 3; k++) {
        const struct rmap_pte_bit b = w->format->attr[told[k]];
        w->plain.mask |= b.mask;
        w->plain.on |= b.mask & ~b.on;
    }
    for (unsigned i = 0; i < w->pages; i++) w->page[i].frame = w->page[i].pfn << w->format->payload_shift;
}

/* Pages [0, n) have one tag and lie in one block of page numbers, in ascending order. */
static void walk_cluster(struct rmap__walk *w, struct rmap__tag *tag)
{
    struct rmap_gather *gather = w->gather;
    w->open = 0;
    w->visits = w->nodes = 0;
    w->rested = w->unbound = false;
    w->visit = (struct rmap__visit){.owner = rmap__tag_owner(tag)}; /* the pages, locked, keep it */
    rmap__group_rdlock(tag->group);
    struct rmap__epoch *top = rmap__tag_find(tag)->epoch;
    if (top) walk_format(w, tag->group);
    for (unsigned i = 0; i < w->pages; i++) page_begin(w, &w->page[i]);
    if (w->open && top) walk_candidates(w, tag->group, top);
    for (unsigned i = 0; i < w->pages; i++) page_end(w, &w->page[i], top);
    leave_hint(w, tag->group);
    if (w->rested) rmap__visit_end(tag->group, &w->visit);
    if (gather->flushes || gather->elided) rmap_gather_flush_now(gather); /* while members cannot leave */
    rmap__group_unlock(tag->group);
    rmap__walk_count(w);
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
                           const struct rmap__section *frames, struct rmap_result *results)
{
    w->owner = 0;
    for (w->pages = 0; i < n && w->pages < RMAP_WALK_CLUSTER; i++) {
        if (results[i].reason == RMAP_REASON_BUSY) continue;
        const rmap_owner_t owner = rmap_page_owner(pages[i]); /* first: of a new page it is stored last (map_new) */
        const rmap_vpn_t index = rmap_page_index(pages[i]);
        if (w->pages && !cluster_fits(w, owner, index)) break;
        w->owner = owner;
        w->page[w->pages++] = (struct rmap__walk_page){
            .page = pages[i], .pfn = rmap__page_frame(w->r, frames, pages[i]), .index = index, .result = &results[i]};
    }
    return i;
}

/* Field by field: a cluster's pages and the gather are kilobytes, and filled in when they are needed. */
static void walk_init(struct rmap__walk *w, struct rmap *r, const struct rmap__visitor *v, struct rmap_gather *gather,
                      unsigned flags, void *ctx)
{
    rmap_gather_init(gather, r);
    w->r = r;
    w->visitor = v;
    w->gather = gather;
    w->flags = flags;
    w->ctx = ctx;
    w->sums.counted = 0;
    w->sums.incomplete = w->sums.partial = 0;
}

int rmap__walk_pages(struct rmap *r, const struct rmap__visitor *v, void *ctx, struct rmap_page *const *pages, size_t n,
                     unsigned flags, struct rmap_result *results)
{
    if (!r || (n && (!pages || !results))) return RMAP_ERR_NULL_ARG;
    if (flags & ~(v->flags | RMAP_LOCK_PAGES)) return RMAP_ERR_INVALID;
    const struct rmap__section frames = rmap__main_section(r);
    for (size_t i = 0; i < n; i++)
        if (rmap__page_frame(r, &frames, pages[i]) == RMAP_PFN_NONE) return RMAP_ERR_UNKNOWN_PAGE;
    struct rmap_gather gather;
    struct rmap__walk w;
    walk_init(&w, r, v, &gather, flags, ctx);
    if (n) memset(results, 0, n * sizeof *results);
    if (flags & RMAP_LOCK_PAGES) lock_pages(pages, n, results);
    for (size_t i = 0; i < n;) {
        i = fill_cluster(&w, pages, i, n, &frames, results);
        if (w.owner) walk_cluster(&w, rmap__owner_tag(w.owner));
        for (unsigned k = 0; !w.owner && k < w.pages; k++) end_ownerless(w.page[k].page, w.page[k].result);
        if (gather.items + RMAP_WALK_CLUSTER > RMAP_GATHER_ITEMS) rmap_gather_finish(&gather);
    }
    if (gather.items) rmap_gather_finish(&gather);
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
