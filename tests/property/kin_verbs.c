/* SPDX-License-Identifier: MIT */
/** @file property/kin_verbs.c  Kin: page verbs on random batches, their answers predicted from the last scan. */
#include "property/kin.h"

#define BATCH KIN_FRAMES

struct batch {
    struct rmap_page *page[BATCH];  /* as the verb gets them: sorted by address, too, which no seed knows */
    struct rmap_page *taken[BATCH]; /* by number: in this order slots are taken and frames given back */
    struct rmap_result result[BATCH];
    size_t n;
};

static unsigned number(struct kin *g, const struct rmap_page *page)
{
    return (unsigned)(rmap_page_pfn(g->w.r, page) - WORLD_PFN);
}
static const struct kin_frame *frame_of(struct kin *g, const struct rmap_page *page)
{
    return &g->scan.frame[number(g, page)];
}

/* One page, a few, or all, each locked and referenced; in any order, or as the verbs like them. */
static void batch_take(struct kin *g, struct batch *b)
{
    static const unsigned one_in[] = {60, 60, 20, 20, 6, 6, 3, 1};
    const unsigned rare = one_in[kin_below(g, 8)];
    b->n = 0;
    for (unsigned n = 0; n < KIN_FRAMES; n++) {
        struct rmap_page *page = kin_page(g, n);
        if (page == g->w.special || !rmap_page_is_anon(page) || kin_below(g, rare)) continue;
        rmap_page_get(page);
        CHECK(rmap_page_try_lock(page));
        b->taken[b->n++] = page;
    }
    memcpy(b->page, b->taken, b->n * sizeof *b->page);
    if (kin_below(g, 2))
        rmap_pages_sort(b->page, b->n);
    else if (b->n) {
        unsigned i = kin_below(g, (unsigned)b->n);
        struct rmap_page *page = b->page[0];
        b->page[0] = b->page[i];
        b->page[i] = page;
    }
}

static void batch_release(struct kin *g, struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        rmap_page_unlock(g->w.r, b->taken[i]);
        rmap_page_put(g->w.r, b->taken[i]);
    }
}

static void need_done(struct kin *g, const struct batch *b, size_t i, const char *verb)
{
    const struct rmap_result *res = &b->result[i];
    const struct kin_frame *x = frame_of(g, b->page[i]);
    if (res->outcome != RMAP_DONE || res->reason || res->hits != x->count || res->mapcount != x->count)
        kin_fail(g, "%s of frame %u: outcome %d, reason %d, %u hits, mapcount %u; %u mappings", verb,
                 number(g, b->page[i]), res->outcome, res->reason, res->hits, res->mapcount, x->count);
    if (res->young != x->young || res->dirty != x->dirty || res->locked != x->locked)
        kin_fail(g, "%s of frame %u says young %u, dirty %u, locked %u; must be %d, %d, %d", verb,
                 number(g, b->page[i]), res->young, res->dirty, res->locked, x->young, x->dirty, x->locked);
}

/* Does an entry that maps the frame still have one of the attributes? */
static bool any_attr(struct kin *g, const struct rmap_page *page, enum rmap_pte_attr a)
{
    const struct kin_frame *x = frame_of(g, page);
    for (unsigned n = 0; n < KIN_SPACES; n++)
        if ((x->mappers >> n & 1) && world_attr(g->place[n].s, g->c.vpn[x->k[n]], a)) return true;
    return false;
}

static void age(struct kin *g, struct batch *b)
{
    const bool keep = kin_below(g, 3) == 0;
    kin_note_more(g, "referenced%s, %zu pages; ", keep ? " (keep)" : "", b->n);
    if (rmap_referenced(g->w.r, b->page, b->n, keep ? RMAP_KEEP_ACCESSED : 0, b->result))
        kin_fail(g, "rmap_referenced");
    for (size_t i = 0; i < b->n; i++) {
        need_done(g, b, i, "referenced");
        if (any_attr(g, b->page[i], RMAP_ATTR_ACCESSED) != (keep && frame_of(g, b->page[i])->young))
            kin_fail(g, "frame %u: accessed is not what it must be", number(g, b->page[i]));
    }
    g->totals->aged += b->n;
}

static void write_protect(struct kin *g, struct batch *b)
{
    kin_note_more(g, "write_protect, %zu pages; ", b->n);
    if (rmap_write_protect(g->w.r, b->page, b->n, 0, b->result)) kin_fail(g, "rmap_write_protect");
    for (size_t i = 0; i < b->n; i++) {
        need_done(g, b, i, "write_protect");
        if (any_attr(g, b->page[i], RMAP_ATTR_WRITE) || any_attr(g, b->page[i], RMAP_ATTR_DIRTY))
            kin_fail(g, "frame %u is still writable or dirty", number(g, b->page[i]));
        if (b->result[i].dirty && !(rmap_page_flags(b->page[i]) & RMAP_PAGE_DIRTY))
            kin_fail(g, "frame %u: dirty is lost", number(g, b->page[i]));
    }
    g->totals->protected_ += b->n;
}

/* ---- unmap ---- */

/* The reasons that may stop the page's unmap, as a bit set; 0: it must be DONE. */
static unsigned stoppers(struct kin *g, const struct rmap_page *page, unsigned flags)
{
    const struct kin_frame *x = frame_of(g, page);
    if (rmap_page_pins(page)) return 1u << RMAP_REASON_PINNED;
    if (!(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE)) return 1u << RMAP_REASON_NO_SLOT;
    unsigned set = 0;
    if (x->locked && !(flags & RMAP_IGNORE_LOCKED)) set |= 1u << RMAP_REASON_LOCKED;
    if (x->young && (flags & RMAP_SPARE_YOUNG)) set |= 1u << RMAP_REASON_YOUNG;
    return set;
}

static void give_slots(struct kin *g, struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        int err = rmap_swap_cache_add(g->w.swap, b->taken[i]);
        if (err && err != RMAP_ERR_EXISTS && err != RMAP_ERR_NO_SLOT)
            kin_fail(g, "rmap_swap_cache_add: %s", rmap_error_name(err));
    }
}

static void unmap(struct kin *g, struct batch *b)
{
    static const unsigned all_flags[] = {0, 0, 0, RMAP_IGNORE_LOCKED, RMAP_SPARE_YOUNG};
    unsigned flags = all_flags[kin_below(g, 5)], stop[BATCH];
    kin_note_more(g, "unmap (%u), %zu pages; ", flags, b->n);
    give_slots(g, b);
    for (size_t i = 0; i < b->n; i++) stop[i] = stoppers(g, b->page[i], flags);
    if (rmap_unmap(g->w.r, b->page, b->n, flags, b->result)) kin_fail(g, "rmap_unmap");
    for (size_t i = 0; i < b->n; i++) {
        struct rmap_page *page = b->page[i];
        const struct rmap_result *res = &b->result[i];
        if (stop[i]) {
            if (res->outcome != RMAP_PARTIAL || !(stop[i] >> res->reason & 1) ||
                res->hits >= frame_of(g, page)->count + !res->hits)
                kin_fail(g, "unmap of frame %u: outcome %d, reason %d, %u hits; must stop for one of %#x",
                         number(g, page), res->outcome, res->reason, res->hits, stop[i]);
            g->totals->unmaps_partial++;
        } else {
            need_done(g, b, i, "unmap");
            if (rmap_page_mapcount(page))
                kin_fail(g, "unmapped frame %u has mapcount %u", number(g, page), rmap_page_mapcount(page));
        }
        if ((rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE) && !rmap_swap_get_ops()->count(g->w.swap, page->swap) &&
            rmap_swap_cache_del(g->w.swap, page))
            kin_fail(g, "rmap_swap_cache_del of a page with an unused slot");
    }
    g->totals->unmaps += b->n;
}

/* Write what is unmapped and dirty, and let it go: the frames are free then. */
static void evict(struct kin *g, struct batch *b)
{
    struct rmap_page *dirty[BATCH];
    int results[BATCH];
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++)
        if (b->result[i].outcome == RMAP_DONE && (rmap_page_flags(b->page[i]) & RMAP_PAGE_DIRTY))
            dirty[n++] = b->page[i];
    if (rmap_swap_write(g->w.swap, dirty, n, results)) kin_fail(g, "rmap_swap_write");
    for (size_t i = 0; i < n; i++)
        if (results[i]) kin_fail(g, "rmap_swap_write: %s", rmap_error_name(results[i]));
    for (size_t i = 0; i < b->n; i++) {
        if (b->result[i].outcome != RMAP_DONE) continue;
        if (rmap_swap_cache_del(g->w.swap, b->page[i]))
            kin_fail(g, "rmap_swap_cache_del of frame %u", number(g, b->page[i]));
        g->totals->evicted++;
    }
}

void kin_verb(struct kin *g)
{
    struct batch b;
    const unsigned o = kin_below(g, 11);
    if (o >= 8) {
        (o == 8 ? kin_discard : kin_migrate)(g);
        return;
    }
    batch_take(g, &b);
    switch (o) {
    case 0:
        age(g, &b);
        break;
    case 1:
        write_protect(g, &b);
        break;
    case 2:
    case 3:
    case 4:
        unmap(g, &b);
        break;
    default:
        unmap(g, &b);
        kin_note_more(g, "evict; ");
        evict(g, &b);
    }
    batch_release(g, &b);
}
