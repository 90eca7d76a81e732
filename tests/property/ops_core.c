/* SPDX-License-Identifier: MIT */
/**
 * @file property/ops_core.c  What an embedder does beneath the pager: reclaim at will, the core's verbs on any page,
 * pins; and calls that make no sense, which must change nothing.
 */
#include "property/ops.h"

#include <objrmap/rmap.h>

void op_reclaim(struct game *g)
{
    uint64_t n = game_chance(g, 1, 8) ? g->c.frames : 1 + game_below(g, 8);
    game_note(g, "reclaim %llu", (unsigned long long)n);
    int64_t freed = rmap_reclaim(g->p, n);
    game_note_more(g, " = %lld", (long long)freed);
    struct rmap_pager_stats st;
    rmap_pager_get_stats(g->p, &st);
    if (freed < 0 || st.frames_used + (uint64_t)freed != g->before.frames_used)
        game_fail(g, "freed %lld, %llu frames were used and %llu are", (long long)freed,
                  (unsigned long long)g->before.frames_used, (unsigned long long)st.frames_used);
    if (st.evictions - g->before.evictions != (uint64_t)freed) game_fail(g, "evictions are not what was freed");
    g->freed_nothing = freed == 0;
}

void op_policy(struct game *g)
{
    int s = ops_any_space(g);
    if (s < 0) return;
    const bool track = game_chance(g, 2, 3);
    game_note(g, "s%d %s", s, track ? "tracks" : "copies");
    ops_judge(g, rmap_space_set_move_policy(g->space[s], track ? RMAP_MOVE_POLICY_TRACK : RMAP_MOVE_POLICY_COPY), 0, 0);
}

struct rmap_page *ops_take_page(struct game *g)
{
    for (unsigned tries = 0; tries < 8; tries++) {
        struct rmap_page *page = rmap_page_find(g->r, game_below(g, g->c.frames));
        if (rmap_page_flags(page) & RMAP_PAGE_SPECIAL || !rmap_page_try_get(page)) continue;
        if (!rmap_page_try_lock(page)) game_fail(g, "frame %u is locked", (unsigned)rmap_page_pfn(g->r, page));
        return page;
    }
    return NULL;
}

void ops_give_page(struct game *g, struct rmap_page *page)
{
    rmap_page_unlock(g->r, page);
    rmap_page_put(g->r, page);
}

static void check_done(struct game *g, const struct rmap_result *res, unsigned mappings)
{
    game_note_more(g, ": outcome %d, %u hits of %u, %u visits", res->outcome, res->hits, mappings, res->visits);
    if (res->outcome != RMAP_DONE || res->hits != mappings) game_fail(g, "the walk is not done");
}

void op_referenced(struct game *g)
{
    struct rmap_page *page = ops_take_page(g);
    if (!page) return;
    const rmap_pfn_t pfn = rmap_page_pfn(g->r, page);
    const struct scan_frame *f = &g->scan.frame[pfn];
    const unsigned flags = game_chance(g, 1, 4) ? RMAP_KEEP_ACCESSED : 0;
    bool young = false;
    for (unsigned i = 0; i < f->mappings; i++)
        young |= g->scan.entry[f->by[i].space][f->by[i].vpn].attrs >> RMAP_ATTR_ACCESSED & 1;
    game_note(g, "referenced frame %u flags %u", (unsigned)pfn, flags);
    struct rmap_result res;
    if (rmap_referenced(g->r, &page, 1, flags, &res)) game_fail(g, "refused");
    ops_give_page(g, page);
    check_done(g, &res, f->mappings);
    if (res.young != young) game_fail(g, "young %u, must be %u", res.young, young);
    for (unsigned i = 0; i < f->mappings; i++) {
        struct scan_entry e = scan_entry_now(g, f->by[i].space, f->by[i].vpn);
        if (!flags && (e.attrs >> RMAP_ATTR_ACCESSED & 1)) game_fail(g, "an entry is still marked accessed");
    }
}

void op_write_protect(struct game *g)
{
    struct rmap_page *page = ops_take_page(g);
    if (!page) return;
    const rmap_pfn_t pfn = rmap_page_pfn(g->r, page);
    const struct scan_frame *f = &g->scan.frame[pfn];
    game_note(g, "write_protect frame %u", (unsigned)pfn);
    struct rmap_result res;
    if (rmap_write_protect(g->r, &page, 1, 0, &res)) game_fail(g, "refused");
    if (res.dirty && !(rmap_page_flags(page) & RMAP_PAGE_DIRTY)) game_fail(g, "dirty was lost (INV-7)");
    ops_give_page(g, page);
    check_done(g, &res, f->mappings);
    for (unsigned i = 0; i < f->mappings; i++) {
        struct scan_entry e = scan_entry_now(g, f->by[i].space, f->by[i].vpn);
        if (e.attrs >> RMAP_ATTR_WRITE & 1 || e.attrs >> RMAP_ATTR_DIRTY & 1)
            game_fail(g, "an entry is still writable or dirty");
    }
}

void op_pin(struct game *g)
{
    unsigned i = (unsigned)game_below(g, GAME_PINS);
    if (g->pinned[i]) {
        game_note(g, "unpin frame %u", (unsigned)rmap_page_pfn(g->r, g->pinned[i]));
        rmap_page_unpin(g->r, g->pinned[i]);
        g->pinned[i] = NULL;
        return;
    }
    struct rmap_page *page = ops_take_page(g);
    if (!page) return;
    rmap_page_unlock(g->r, page);
    if (rmap_page_mapcount(page)) {
        game_note(g, "pin frame %u", (unsigned)rmap_page_pfn(g->r, page));
        ops_judge(g, rmap_page_pin(g->r, page), 0, 0);
        g->pinned[i] = page;
    }
    rmap_page_put(g->r, page);
}

/* H1, H2. That nothing has changed is seen by the checks after every operation. */
void op_misuse(struct game *g)
{
    int s = ops_any_space(g);
    if (s < 0) return;
    struct rmap_space *sp = g->space[s];
    rmap_vpn_t at = 0;
    uint64_t word = 0;
    struct rmap_result res;
    struct rmap_page stranger = {0}, *page = &stranger;
    const unsigned way = (unsigned)game_below(g, 14);
    game_note(g, "misuse %u of s%d", way, s);
    switch (way) {
    case 0:
        ops_judge(g, rmap_space_map(NULL, &at, 1, RMAP_READ, 0), RMAP_ERR_NULL_ARG, 0);
        break;
    case 1:
        ops_judge(g, rmap_space_map(sp, NULL, 1, RMAP_READ, 0), RMAP_ERR_NULL_ARG, 0);
        break;
    case 2:
        ops_judge(g, rmap_space_map(sp, &at, 0, RMAP_READ, 0), RMAP_ERR_RANGE, 0);
        break;
    case 3:
        ops_judge(g, rmap_space_advise(sp, 0, 1, (enum rmap_advice)99), RMAP_ERR_INVALID, 0);
        break;
    case 4:
        ops_judge(g, rmap_space_move(sp, 0, 1, 1, 0, NULL), RMAP_ERR_NULL_ARG, 0);
        break;
    case 5:
        ops_judge(g, rmap_space_read(sp, 0, NULL, 8, NULL), RMAP_ERR_NULL_ARG, 0);
        break;
    case 6:
        ops_judge(g, rmap_space_write(NULL, 0, &word, 8, NULL), RMAP_ERR_NULL_ARG, 0);
        break;
    case 7:
        ops_judge(g, rmap_space_read(sp, UINT64_MAX, &word, 0, NULL), 0, 0);
        break;
    case 8:
        ops_judge(g, rmap_referenced(g->r, &page, 1, 0, &res), RMAP_ERR_UNKNOWN_PAGE, 0);
        break;
    case 9:
        ops_judge(g, rmap_space_fork(sp, NULL), RMAP_ERR_NULL_ARG, 0);
        break;
    case 10:
        ops_judge(g, rmap_pager_destroy(g->p), RMAP_ERR_BUSY, 0);
        break;
    case 11:
        ops_judge(g, rmap_zap(game_member(g, (unsigned)s), ORACLE_PAGES - 1, 2, NULL), RMAP_ERR_RANGE, 0);
        break;
    case 12:
        ops_judge(g, rmap_move(game_member(g, (unsigned)s), 0, 1, 2, NULL), RMAP_ERR_INVALID, 0);
        break;
    default:
        ops_judge(g, rmap_protect(game_member(g, (unsigned)s), 0, 1, 0), RMAP_ERR_INVALID, 0);
        break;
    }
}
