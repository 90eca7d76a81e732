/* SPDX-License-Identifier: MIT */
/** @file property/scan_frames.c  Descriptors, slots and walks, compared with the entries that the scan has found. */
#include "property/game.h"

#include <objrmap/rmap.h>

/* ---- counts ---- */

static void check_frame(struct game *g, rmap_pfn_t pfn)
{
    const struct rmap_page *page = rmap_page_find(g->r, pfn);
    const struct scan_frame *f = &g->scan.frame[pfn];
    const unsigned flags = rmap_page_flags(page);
    const unsigned n = (unsigned)pfn;
    if (flags & RMAP_PAGE_SPECIAL) return;
    if (rmap_page_mapcount(page) != f->mappings)
        game_fail(g, "frame %u: mapcount %u, mappings %u (INV-2)", n, rmap_page_mapcount(page), f->mappings);
    unsigned references = (f->mappings > 0) + ((flags & RMAP_PAGE_SWAPCACHE) != 0) + rmap_page_pins(page);
    if (page->refcount != references)
        game_fail(g, "frame %u: %u references, must have %u", n, page->refcount, references);
    if (flags & (RMAP_PAGE_LOCKED | RMAP_PAGE_ORPHAN | RMAP_PAGE_WRITEBACK | RMAP_PAGE_UNTRACKABLE))
        game_fail(g, "frame %u: flags %#x at a quiet point", n, flags);
    bool dirty = flags & (RMAP_PAGE_DIRTY | RMAP_PAGE_SWAPCACHE);
    for (unsigned i = 0; i < f->mappings; i++)
        dirty |= g->scan.entry[f->by[i].space][f->by[i].vpn].attrs >> RMAP_ATTR_DIRTY & 1;
    if (f->mappings && !dirty)
        game_fail(g, "frame %u has no copy on swap, and nothing says that it is dirty (INV-7)", n);
    for (unsigned i = 0; i < f->mappings; i++)
        if (!rmap_member_may_map(game_member(g, f->by[i].space), rmap_page_index(page), f->by[i].vpn))
            game_fail(g, "frame %u: mapped at s%u:%u, index %u, no record (INV-1)", n, f->by[i].space, f->by[i].vpn,
                      (unsigned)rmap_page_index(page));
}

static void check_slots(struct game *g)
{
    uint64_t entries = 0;
    for (uint32_t slot = 0; slot < g->c.slots; slot++) {
        uint32_t count = rmap_swap_get_ops()->count(g->swap, rmap_swp_make(1, slot));
        if (count != g->scan.slot_entries[slot])
            game_fail(g, "slot %u: count %u, entries %u (INV-3)", slot, count, g->scan.slot_entries[slot]);
        entries += count;
    }
    struct rmap_swap_stats st;
    rmap_swap_get_stats(g->swap, &st);
    if (st.entries != entries)
        game_fail(g, "the slot map counts %llu entries of %llu", (unsigned long long)st.entries,
                  (unsigned long long)entries);
}

void scan_check_frames(struct game *g)
{
    uint64_t used = 0;
    for (rmap_pfn_t pfn = 0; pfn < g->c.frames; pfn++) {
        check_frame(g, pfn);
        used += rmap_page_find(g->r, pfn)->refcount > 0;
    }
    if (g->stats.frames_used != used || g->stats.frames_peak > g->c.frames)
        game_fail(g, "the pager counts %llu frames of %llu, peak %llu", (unsigned long long)g->stats.frames_used,
                  (unsigned long long)used, (unsigned long long)g->stats.frames_peak);
    if (g->swap) check_slots(g);
    for (unsigned s = 0; s < ORACLE_SPACES; s++) {
        if (!g->space[s]) continue;
        uint64_t mapped = 0, swapped = 0;
        for (unsigned v = 0; v < ORACLE_PAGES; v++) {
            const struct scan_entry *e = &g->scan.entry[s][v];
            swapped += e->kind == RMAP_PTE_SWAP;
            mapped += e->pfn != RMAP_PFN_NONE && e->kind != RMAP_PTE_NONE && e->kind != RMAP_PTE_SWAP &&
                      scan_is_counted(g, e->pfn);
        }
        const struct rmap_member *m = game_member(g, s);
        if (m->mapped != mapped || m->swapped != swapped || m->forking)
            game_fail(g, "s%u counts %llu mapped, %llu swapped; found %llu, %llu", s, (unsigned long long)m->mapped,
                      (unsigned long long)m->swapped, (unsigned long long)mapped, (unsigned long long)swapped);
    }
}

/* ---- walks ---- */

struct found {
    struct game *g;
    const struct scan_frame *frame;
    unsigned hits, seen; /* bit i: frame->by[i] was visited */
    struct rmap_member *stranger;
    rmap_vpn_t stranger_vpn;
};

static int note_mapping(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t entry)
{
    struct found *x = ctx;
    (void)entry;
    x->hits++;
    for (unsigned i = 0; i < x->frame->mappings; i++) {
        if (game_member(x->g, x->frame->by[i].space) != m || x->frame->by[i].vpn != vpn || (x->seen >> i & 1)) continue;
        x->seen |= 1u << i;
        return 0;
    }
    x->stranger = m;
    x->stranger_vpn = vpn;
    return 0;
}

void scan_check_walk(struct game *g, rmap_pfn_t pfn)
{
    struct rmap_page *page = rmap_page_find(g->r, pfn);
    struct found x = {.g = g, .frame = &g->scan.frame[pfn]};
    const unsigned n = (unsigned)pfn, mappings = x.frame->mappings;
    if (!rmap_page_try_get(page)) return;
    if (!rmap_page_try_lock(page)) game_fail(g, "frame %u is locked at a quiet point", n);
    struct rmap_result res;
    int rc = rmap_each_mapping(g->r, &page, 1, 0, note_mapping, &x, &res);
    rmap_page_unlock(g->r, page);
    rmap_page_put(g->r, page);

    if (rc) game_fail(g, "each_mapping of frame %u: %s", n, rmap_error_name(rc));
    if (res.outcome != RMAP_DONE || res.reason)
        game_fail(g, "frame %u: outcome %d, reason %d", n, res.outcome, res.reason);
    if (x.stranger)
        game_fail(g, "frame %u: a walk finds %p:%u, which does not map it", n, (void *)x.stranger,
                  (unsigned)x.stranger_vpn);
    if (x.hits != mappings || res.hits != mappings || res.mapcount != mappings || x.seen != (1u << mappings) - 1)
        game_fail(g, "frame %u: %u mappings, the walk visits %u, says %u hits, mapcount %u", n, mappings, x.hits,
                  res.hits, res.mapcount);
    if (res.visits < res.hits || res.nodes + 1 < res.visits) game_fail(g, "frame %u: fewer visits than hits", n);
    /* What may be written was found exclusive, and its page re-homed, since the space's last fork. */
    const struct scan_entry *sole = &g->scan.entry[x.frame->by[0].space][x.frame->by[0].vpn];
    if (mappings == 1 && (sole->attrs >> RMAP_ATTR_WRITE & 1) && res.visits != 1)
        game_fail(g, "frame %u: s%u may write it, but a walk looks into %u spaces", n, x.frame->by[0].space,
                  res.visits);
}

static int ignore_mapping(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t entry)
{
    (void)ctx, (void)m, (void)vpn, (void)entry;
    return 0;
}

unsigned scan_visits(struct game *g, rmap_pfn_t pfn)
{
    struct rmap_page *page = rmap_page_find(g->r, pfn);
    struct rmap_result res;
    if (!rmap_page_try_get(page)) game_fail(g, "frame %u is free", (unsigned)pfn);
    rmap_page_lock(page);
    int rc = rmap_each_mapping(g->r, &page, 1, 0, ignore_mapping, NULL, &res);
    rmap_page_unlock(g->r, page);
    rmap_page_put(g->r, page);
    if (rc) game_fail(g, "each_mapping of frame %u: %s", (unsigned)pfn, rmap_error_name(rc));
    return res.visits;
}

/* ---- no frame ---- */

void scan_check_exhausted(struct game *g, uint64_t free_allowed)
{
    if (g->c.errors || !g->swap) return; /* a failed write keeps its page */
    struct rmap_swap_stats st;
    rmap_swap_get_stats(g->swap, &st);
    uint64_t clean_copies = 0;
    for (rmap_pfn_t pfn = 0; pfn < g->c.frames; pfn++) {
        const struct rmap_page *page = rmap_page_find(g->r, pfn);
        if (!(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE)) continue;
        clean_copies += !g->scan.slot_entries[rmap_swp_slot(page->swap)];
    }
    const bool slot_free = st.slots_used + st.slots_bad + clean_copies < st.slots_total || clean_copies > 0;
    for (rmap_pfn_t pfn = 0; pfn < g->c.frames; pfn++) {
        const struct rmap_page *page = rmap_page_find(g->r, pfn);
        if ((rmap_page_flags(page) & RMAP_PAGE_SPECIAL) || g->scan.frame[pfn].locked || rmap_page_pins(page)) continue;
        if (page->refcount == 0) {
            if (free_allowed-- == 0) game_fail(g, "NO_FRAME, but frame %u is free", (unsigned)pfn);
            continue;
        }
        if (slot_free || (rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE))
            game_fail(g, "nothing was freed, but frame %u could have been evicted (%llu of %llu slots used)",
                      (unsigned)pfn, (unsigned long long)st.slots_used, (unsigned long long)st.slots_total);
    }
}
