/* SPDX-License-Identifier: MIT */
/** @file property/ops_frames.c  Frames that are emptied: contents move, and nothing that a space can see. */
#include "property/ops.h"

void op_vacate(struct game *g)
{
    const uint64_t first = game_below(g, g->c.frames), room = g->c.frames - first;
    const uint64_t count = 1 + game_below(g, room < 12 ? room : 12);
    uint64_t used = 0;
    for (rmap_pfn_t pfn = first; pfn < first + count; pfn++) used += rmap_page_find(g->r, pfn)->refcount != 0;
    game_note(g, "vacate frames %llu+%llu", (unsigned long long)first, (unsigned long long)count);
    int64_t moved = rmap_pager_vacate(g->p, first, count);
    game_note_more(g, " = %lld", (long long)moved);
    if (moved < 0 || (uint64_t)moved > used)
        game_fail(g, "%lld moved of %llu", (long long)moved, (unsigned long long)used);
    if (g->totals) g->totals->vacated += (uint64_t)moved;
    if (game_chance(g, 1, 40) && rmap_pager_vacate(g->p, g->c.frames, 1) != RMAP_ERR_RANGE)
        game_fail(g, "no such frame");
}
