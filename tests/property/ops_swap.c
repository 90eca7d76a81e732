/* SPDX-License-Identifier: MIT */
/** @file property/ops_swap.c  What reclaim does in one go, in pieces: clean by entry, unmapped but not written. */
#include "property/ops.h"

#include <objrmap/rmap.h>

/*
 * The page's flag says clean while an entry still says dirty, as when an embedder cleans pages in its own way: whoever
 * takes the entry away must save what it says (INV-7).
 */
static void wash(struct game *g, struct rmap_page *page)
{
    const struct scan_frame *f = &g->scan.frame[rmap_page_pfn(g->r, page)];
    bool dirty = false;
    for (unsigned i = 0; i < f->mappings; i++)
        dirty |= g->scan.entry[f->by[i].space][f->by[i].vpn].attrs >> RMAP_ATTR_DIRTY & 1;
    if (!dirty) return;
    rmap_page_clear_flags(page, RMAP_PAGE_DIRTY);
    game_note_more(g, " washed");
}

void op_wash(struct game *g)
{
    struct rmap_page *page = ops_take_page(g);
    if (!page) return;
    game_note(g, "wash frame %u", (unsigned)rmap_page_pfn(g->r, page));
    if (!(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE)) wash(g, page);
    ops_give_page(g, page);
}

/* Evict half-way: unmapped into the swap cache, not written. The page stays, dirty and cached, until reclaim or a
 * fault. */
void op_swap_out(struct game *g)
{
    struct rmap_page *page = g->swap ? ops_take_page(g) : NULL;
    if (!page) return;
    const rmap_pfn_t pfn = rmap_page_pfn(g->r, page);
    const struct scan_frame *f = &g->scan.frame[pfn];
    const unsigned flags = game_chance(g, 1, 3) ? RMAP_SPARE_YOUNG : 0;
    game_note(g, "swap_out frame %u flags %u", (unsigned)pfn, flags);
    int rc = rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE ? 0 : rmap_swap_cache_add(g->swap, page);
    if (rc) {
        game_note_more(g, " = %s", rmap_error_name(rc));
        ops_give_page(g, page);
        if (rc != RMAP_ERR_NO_SLOT && !(rc == RMAP_ERR_NOMEM && g->c.fail_alloc))
            game_fail(g, "no slot: %s", rmap_error_name(rc));
        return;
    }
    if (game_chance(g, 1, 2)) wash(g, page); /* unmap must put it back */
    struct rmap_result res;
    if (rmap_unmap(g->r, &page, 1, flags, &res)) game_fail(g, "refused");
    game_note_more(g, ": outcome %d reason %d, %u hits of %u", res.outcome, res.reason, res.hits, f->mappings);
    const bool pinned = rmap_page_pins(page), young_stops = flags && res.young;
    if (!pinned && !f->locked && !young_stops && (res.outcome != RMAP_DONE || rmap_page_mapcount(page)))
        game_fail(g, "not done, without a reason");
    if (pinned && (res.reason != RMAP_REASON_PINNED || res.hits)) game_fail(g, "a pinned page was unmapped");
    if (f->locked && res.outcome == RMAP_DONE && f->mappings) game_fail(g, "a locked page was unmapped");
    /* A slot that nothing names, of a page that may be written again, would be no copy. */
    if (rmap_swap_get_ops()->count(g->swap, page->swap) == 0) rmap_swap_cache_del(g->swap, page);
    ops_give_page(g, page);
}

/* The device goes and returns. Where there is room for all, another one comes before and goes after it: everything moves
 * over there, and back. */
void op_swapoff(struct game *g)
{
    struct rmap_device *other = NULL;
    struct rmap_swapoff done;
    if (!g->swap) return;
    g->alloc.fail = 0;
    if (g->c.slots >= ORACLE_SPACES * ORACLE_PAGES && game_chance(g, 1, 2)) {
        if (rmap_device_temp_create(&g->alloc.a, NULL, g->c.slots, ORACLE_PAGE_SHIFT, &other) ||
            rmap_pager_add_swap(g->p, other))
            game_fail(g, "no second device");
    }
    game_note(g, "swapoff%s", other ? ", with another device" : "");
    int rc = rmap_pager_remove_swap(g->p, &g->device.base, &done);
    if (!rc && rmap_pager_add_swap(g->p, &g->device.base)) game_fail(g, "the device cannot return");
    if (!ops_judge(g, rc, 0, ENV_FAULT) != (done.slots_left > 0)) game_fail(g, "slots left, without a reason");
    if (g->totals) g->totals->swapoffs += !rc;
    if (!other) return;
    const struct flaky_device rates = g->device; /* the way back must succeed */
    g->device.fail_read = g->device.spoil_read = g->device.fail_write = 0;
    if ((rc = rmap_pager_remove_swap(g->p, other, &done))) game_fail(g, "the way back: %s", rmap_error_name(rc));
    g->device.fail_read = rates.fail_read;
    g->device.spoil_read = rates.spoil_read;
    g->device.fail_write = rates.fail_write;
    rmap_device_destroy(other);
}
