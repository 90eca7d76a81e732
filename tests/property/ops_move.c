/* SPDX-License-Identifier: MIT */
/**
 * @file property/ops_move.c  move: to a fixed place or a free one, growing, shrinking, keeping the old range; and what
 * it must cost: a copy of each page that others use, or under TRACK a record; a new index for each
 * that nobody else uses; nothing read from swap (S8-S10, S12, B2).
 */
#include "property/ops.h"

struct cost {
    uint64_t reindexed, copied, tracked, swap;
    bool pinned; /* a shared page is, that must be copied */
};

/* In 64 pages, moved so seldom, no index ever has the nine images at which TRACK would copy. */
static struct cost cost_of(struct game *g, unsigned s, rmap_vpn_t from, uint64_t count)
{
    struct cost c = {0};
    const bool track = game_member(g, s)->policy == RMAP_MOVE_POLICY_TRACK;
    for (rmap_vpn_t v = from; v < from + count; v++) {
        const struct scan_entry *e = &g->scan.entry[s][v];
        if (e->kind == RMAP_PTE_SWAP) c.swap++;
        if (e->kind != RMAP_PTE_PRESENT && e->kind != RMAP_PTE_NO_ACCESS) continue;
        if (!scan_is_counted(g, e->pfn)) continue;
        if (scan_users(g, e->pfn) == 1) {
            c.reindexed++;
        } else if (track) {
            c.tracked++;
        } else {
            c.copied++;
            c.pinned |= rmap_page_pins(rmap_page_find(g->r, e->pfn)) > 0;
        }
    }
    return c;
}

static void check_cost(struct game *g, const struct cost *must, bool populates)
{
    struct rmap_pager_stats st;
    rmap_pager_get_stats(g->p, &st);
    const struct rmap_pager_stats *b = &g->before;
    if (!populates && st.swap_ins != b->swap_ins) game_fail(g, "a move read from swap");
    if (st.evictions != b->evictions || st.reclaim_failures != b->reclaim_failures)
        return; /* reclaim changed what was there */
    uint64_t reindexed = st.moves_reindexed - b->moves_reindexed, copied = st.moves_copied - b->moves_copied,
             swap = st.moves_swap - b->moves_swap, tracked = st.moves_tracked - b->moves_tracked;
    if (reindexed != must->reindexed || copied != must->copied || tracked != must->tracked || swap != must->swap)
        game_fail(g, "moved %llu, copied %llu, tracked %llu, left %llu on swap; must be %llu, %llu, %llu, %llu",
                  (unsigned long long)reindexed, (unsigned long long)copied, (unsigned long long)tracked,
                  (unsigned long long)swap, (unsigned long long)must->reindexed, (unsigned long long)must->copied,
                  (unsigned long long)must->tracked, (unsigned long long)must->swap);
    struct rmap_stats core;
    rmap_stats_get(g->r, &core);
    if (core.track_records > g->records_peak) g->records_peak = core.track_records;
}

/* What is ours alone is ours afterwards: its walk looks nowhere else, its slot is at home here (A12, C12). */
static void check_homes(struct game *g, unsigned s, rmap_vpn_t to, uint64_t count)
{
    for (rmap_vpn_t v = to; v < to + count; v++) {
        const struct scan_entry e = scan_entry_now(g, s, v);
        if (e.kind == RMAP_PTE_PRESENT || e.kind == RMAP_PTE_NO_ACCESS) {
            const struct rmap_page *page = rmap_page_find(g->r, e.pfn);
            const bool cached = rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE;
            if (rmap_page_mapcount(page) > 1 || (cached && rmap_swap_get_ops()->count(g->swap, page->swap))) continue;
            if (scan_is_counted(g, e.pfn) && scan_visits(g, e.pfn) != 1)
                game_fail(g, "a walk for s%u:%u looks into other spaces after the move", s, (unsigned)v);
        } else if (e.kind == RMAP_PTE_SWAP && rmap_swap_get_ops()->count(g->swap, e.swp) == 1) {
            struct rmap_slot_home home;
            if (rmap_swap_get_ops()->get_home(g->swap, e.swp, &home)) game_fail(g, "s%u:%u: dead slot", s, (unsigned)v);
            if (home.cached && rmap_page_mapcount(home.cached)) continue;
            if (home.index != v || home.moved)
                game_fail(g, "s%u:%u: sole entry of its slot, which is not at home", s, (unsigned)v);
        }
    }
}

void op_move(struct game *g)
{
    int s = ops_any_space(g);
    if (s < 0) return;
    struct oracle_space *o = &g->o.space[s];
    rmap_vpn_t from, hint;
    uint64_t count;
    ops_any_range(g, (unsigned)s, &from, &count);
    uint64_t new_count = game_chance(g, 1, 2) ? count : 1 + game_below(g, 2 * (count % ORACLE_PAGES) + 2);
    unsigned flags = game_chance(g, 2, 3) ? RMAP_MOVE_MAYMOVE : 0;
    if (game_chance(g, 1, 4)) flags |= RMAP_MOVE_FIXED;
    if (game_chance(g, 1, 4)) flags |= RMAP_MOVE_KEEP_OLD;
    if (game_chance(g, 1, 100)) flags |= 1u << 3;
    hint = game_chance(g, 1, 3) && !(flags & RMAP_MOVE_FIXED) ? RMAP_VPN_NONE : game_below(g, ORACLE_PAGES);
    if ((flags & RMAP_MOVE_KEEP_OLD) && game_chance(g, 3, 4)) new_count = count;

    rmap_vpn_t place = hint, got = hint;
    int expected = oracle_move_check(&g->o, (unsigned)s, from, count, new_count, flags, &place);
    const uint64_t kept = count < new_count ? count : new_count;
    struct cost must = {0};
    const bool populates = !expected && o->page[from].locked;
    if (!expected && place != from) must = cost_of(g, (unsigned)s, from, kept);
    game_note(g, "move s%d %lld+%lld to %lld+%lld flags %#x", s, (long long)from, (long long)count, (long long)hint,
              (long long)new_count, flags);
    if (populates) ops_touch(g, (unsigned)s, place, new_count); /* as in map */
    g->move = (struct game_move){.space = expected || place == from ? -1 : s, .from = from, .to = place, .count = kept};
    int rc = rmap_space_move(g->space[s], from, count, new_count, flags, &got);
    g->move.space = -1;
    ops_touch(g, (unsigned)s, place, new_count);
    if (must.pinned && (rc == RMAP_ERR_BUSY || rc == RMAP_ERR_NO_FRAME)) expected = rc;

    if (ops_judge(g, rc, expected, must.copied || populates ? ENV_FAULT : 0)) {
        if (must.pinned) game_fail(g, "a page that is shared and pinned was moved");
        if (got != place) game_fail(g, "moved to %lld, expected %lld", (long long)got, (long long)place);
        oracle_move(o, from, count, new_count, flags, place);
        check_cost(g, &must, populates);
        if (place != from) check_homes(g, (unsigned)s, place, kept);
    } else {
        if (got != hint) game_fail(g, "failed, but *to became %lld", (long long)got);
        /* What was at a fixed target is gone by the time that the entries cannot be moved; not so for want of regions.
         * */
        const bool late = (flags & RMAP_MOVE_FIXED) && (!expected || rc == RMAP_ERR_BUSY || rc == RMAP_ERR_NO_FRAME);
        if (late && (rc != RMAP_ERR_NOMEM || ops_is_gone(g, (unsigned)s, place, new_count)))
            oracle_unmap(o, place, new_count);
    }
}
