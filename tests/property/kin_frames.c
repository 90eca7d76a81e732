/* SPDX-License-Identifier: MIT */
/** @file property/kin_frames.c  Kin: pages that change their frames, are freed lazily, and discarded. */
#include "property/kin.h"

#define BATCH 24

struct batch {
    struct rmap_page *page[BATCH], *target[BATCH];
    struct rmap_result result[BATCH];
    size_t n;
};

static unsigned number(struct kin *g, const struct rmap_page *page)
{
    return (unsigned)(rmap_page_pfn(g->w.r, page) - WORLD_PFN);
}

/* Some pages, locked and referenced, sorted; each with a target, if asked for. */
static void batch_take(struct kin *g, struct batch *b, bool targets)
{
    const unsigned rare = 1 + kin_below(g, 12);
    b->n = 0;
    for (unsigned n = 0; n < KIN_FRAMES && b->n < BATCH; n++) {
        struct rmap_page *page = kin_page(g, n);
        if (page == g->w.special || !page->refcount || !rmap_page_is_anon(page) || kin_below(g, rare)) continue;
        if (targets && rmap_page_alloc(g->w.r, RMAP_PFN_NONE, &b->target[b->n])) break;
        if (targets) CHECK(rmap_page_try_lock(b->target[b->n]));
        rmap_page_get(page);
        CHECK(rmap_page_try_lock(page));
        b->page[b->n++] = page;
    }
}

static void batch_release(struct kin *g, struct rmap_page **pages, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        rmap_page_unlock(g->w.r, pages[i]);
        rmap_page_put(g->w.r, pages[i]);
    }
}

/* ---- migrate ---- */

/* What was there and was seen by the last scan is there now, in the other frame. */
static void check_entries(struct kin *g, const struct rmap_page *page, const struct rmap_page *now)
{
    const struct rmap_pte_format *f = g->c.world.geometry->format;
    const rmap_pfn_t pfn = rmap_page_pfn(g->w.r, page);
    for (unsigned n = 0; n < KIN_SPACES; n++) {
        for (unsigned k = 0; g->place[n].s && k < KIN_PAGES; k++) {
            const struct kin_seen *was = &g->scan.at[n][k];
            if (!kin_maps(was->kind) || was->pfn != pfn) continue;
            rmap_pte_t e = world_entry(g->place[n].s, g->c.vpn[k]);
            if (rmap_pte_kind(f, e) != was->kind || rmap_pte_pfn(f, e) != rmap_page_pfn(g->w.r, now) ||
                rmap_pte_attrs(f, e) != rmap_pte_attrs(f, was->entry))
                kin_fail(g, "entry of s%u page %u was %#llx and is %#llx", n, k, (unsigned long long)was->entry,
                         (unsigned long long)e);
        }
    }
}

void kin_migrate(struct kin *g)
{
    struct batch b;
    batch_take(g, &b, true);
    kin_note_more(g, "migrate %zu pages; ", b.n);
    if (rmap_migrate(g->w.r, b.page, b.target, b.n, 0, b.result)) kin_fail(g, "rmap_migrate");
    for (size_t i = 0; i < b.n; i++) {
        const struct rmap_result *res = &b.result[i];
        const bool pinned = rmap_page_pins(b.page[i]);
        const unsigned count = g->scan.frame[number(g, b.page[i])].count;
        if (pinned ? res->reason != RMAP_REASON_PINNED : res->outcome != RMAP_DONE || res->hits != count)
            kin_fail(g, "migration of frame %u: outcome %d, reason %d, %u hits of %u", number(g, b.page[i]),
                     res->outcome, res->reason, res->hits, count);
        check_entries(g, b.page[i], pinned ? b.page[i] : b.target[i]);
        g->totals->migrated += !pinned;
    }
    batch_release(g, b.page, b.n);
    batch_release(g, b.target, b.n);
}

/* ---- free lazily, discard ---- */

/* Every mapping of the frame is gone, says the oracle, too. */
static void forget_mappings(struct kin *g, rmap_pfn_t pfn)
{
    for (unsigned n = 0; n < KIN_SPACES; n++)
        for (unsigned k = 0; g->place[n].s && k < KIN_PAGES; k++)
            if (kin_maps(g->scan.at[n][k].kind) && g->scan.at[n][k].pfn == pfn)
                g->place[n].at[k] = (struct kin_entry){.id = KIN_NOTHING};
}

void kin_discard(struct kin *g)
{
    struct batch b;
    bool may_go[BATCH];
    batch_take(g, &b, false);
    kin_note_more(g, "discard %zu pages; ", b.n);
    for (size_t i = 0; i < b.n; i++)
        may_go[i] = (rmap_page_flags(b.page[i]) & RMAP_PAGE_DISCARDABLE) &&
                    !(rmap_page_flags(b.page[i]) & (RMAP_PAGE_DIRTY | RMAP_PAGE_SWAPCACHE)) &&
                    !rmap_page_pins(b.page[i]);
    if (rmap_discard(g->w.r, b.page, b.n, RMAP_IGNORE_LOCKED, b.result)) kin_fail(g, "rmap_discard");
    for (size_t i = 0; i < b.n; i++) {
        const struct rmap_result *res = &b.result[i];
        const unsigned count = g->scan.frame[number(g, b.page[i])].count;
        if (may_go[i] ? res->outcome != RMAP_DONE || res->hits != count : res->outcome != RMAP_PARTIAL || res->hits)
            kin_fail(g, "discard of frame %u: outcome %d, reason %d, %u hits of %u", number(g, b.page[i]), res->outcome,
                     res->reason, res->hits, count);
        if (!may_go[i]) continue;
        forget_mappings(g, rmap_page_pfn(g->w.r, b.page[i]));
        g->totals->discarded++;
    }
    batch_release(g, b.page, b.n);
}

/* What is not the space's alone goes now, the rest when somebody discards it. */
void kin_free_lazily(struct kin *g, struct kin_space *p)
{
    const unsigned k = kin_below(g, g->c.pages), n = 1 + kin_below(g, g->c.pages - k);
    struct rmap_freed freed;
    uint64_t marked = 0, dropped = 0;
    kin_note_more(g, "s%u frees %u+%u lazily; ", kin_number(g, p), k, n);
    if (rmap_free_lazily(&p->s->m, g->c.vpn[k], kin_length(g, k, n), &freed)) kin_fail(g, "rmap_free_lazily");
    for (unsigned i = k; i < k + n; i++) {
        struct kin_entry *e = &p->at[i];
        if (e->id <= KIN_ZERO) continue;
        const struct kin_seen *was = kin_seen(g, p, i);
        const struct rmap_page *page = kin_maps(was->kind) ? rmap_page_find(g->w.r, was->pfn) : NULL;
        if (page && kin_holders(g, e->id) == 1 && !rmap_page_pins(page)) {
            marked++;
            if ((rmap_page_flags(page) & (RMAP_PAGE_DISCARDABLE | RMAP_PAGE_DIRTY | RMAP_PAGE_SWAPCACHE)) !=
                RMAP_PAGE_DISCARDABLE)
                kin_fail(g, "frame %u is not discardable", number(g, page));
        } else {
            dropped++;
            *e = (struct kin_entry){.id = KIN_NOTHING};
        }
    }
    if (freed.marked != marked || freed.dropped.mappings + freed.dropped.swaps != dropped)
        kin_fail(g, "%llu marked, %llu dropped; must be %llu, %llu", (unsigned long long)freed.marked,
                 (unsigned long long)(freed.dropped.mappings + freed.dropped.swaps), (unsigned long long)marked,
                 (unsigned long long)dropped);
    g->totals->freed += marked;
}
