/* SPDX-License-Identifier: MIT */
/** @file property/ops_spaces.c  create, fork, exec, destroy. */
#include "property/ops.h"

static void give_number(struct game *g, int s, struct rmap_space *space)
{
    g->space[s] = space;
    if (g->c.mmu == GAME_TLB) tlb_mmu_of(&rmap_space_member(space)->mmu)->space = s;
}

void op_create(struct game *g)
{
    int s = ops_free_number(g);
    if (s < 0 || (ops_any_space(g) >= 0 && game_chance(g, 2, 3))) return; /* forks are better */
    game_note(g, "create s%d", s);
    struct rmap_space *space = NULL;
    if (!ops_judge(g, rmap_space_create(g->p, &space), 0, 0)) return;
    give_number(g, s, space);
    g->o.space[s] = (struct oracle_space){.live = true};
    if (game_chance(g, 3, 4)) { /* something to begin with */
        rmap_vpn_t at = game_below(g, 30);
        uint64_t count = 1 + game_below(g, 30);
        unsigned prot = RMAP_READ | RMAP_WRITE;
        if (oracle_map_check(&g->o, (unsigned)s, &at, count, prot, 0)) return;
        game_note_more(g, ", map %lld+%lld", (long long)at, (long long)count);
        if (ops_judge(g, rmap_space_map(space, &at, count, prot, 0), 0, 0))
            oracle_map(&g->o.space[s], at, count, prot, 0);
    }
}

/* The page of a space's entry, if it is pinned. */
static struct rmap_page *pinned_page(const struct game *g, unsigned s, unsigned v)
{
    const struct scan_entry *e = &g->scan.entry[s][v];
    if (e->kind != RMAP_PTE_PRESENT && e->kind != RMAP_PTE_NO_ACCESS) return NULL;
    struct rmap_page *page = rmap_page_find(g->r, e->pfn);
    return rmap_page_pins(page) ? page : NULL;
}

static unsigned count_pinned(const struct game *g, unsigned s)
{
    unsigned n = 0;
    for (unsigned v = 0; v < ORACLE_PAGES; v++) n += pinned_page(g, s, v) != NULL;
    return n;
}

/* E2: pinned pages are as before, the child has copies: the only frames that a fork takes. */
static void check_pinned(struct game *g, unsigned s, unsigned pinned)
{
    struct rmap_pager_stats st;
    rmap_pager_get_stats(g->p, &st);
    if (!pinned && st.evictions != g->before.evictions) game_fail(g, "fork evicted");
    if (st.evictions == g->before.evictions && st.frames_used != g->before.frames_used + pinned)
        game_fail(g, "fork took frames");
    if (st.swap_ins != g->before.swap_ins) game_fail(g, "fork read from swap");
    for (unsigned v = 0; v < ORACLE_PAGES; v++) {
        const struct rmap_page *page = pinned_page(g, s, v);
        if (page && rmap_page_mapcount(page) != g->scan.frame[g->scan.entry[s][v].pfn].mappings)
            game_fail(g, "page %u is pinned, but was shared", v);
    }
}

void op_fork(struct game *g)
{
    int parent = ops_any_space(g), child = ops_free_number(g);
    if (parent < 0) {
        op_create(g);
        return;
    }
    if (child < 0) { /* make room first: exits and forks in turn are what trees are made of */
        op_destroy(g);
        return;
    }
    int expected = oracle_fork_check(&g->o, (unsigned)parent);
    const unsigned pinned = count_pinned(g, (unsigned)parent);
    game_note(g, "fork s%d -> s%d", parent, child);
    struct rmap_space *space = NULL;
    int rc = rmap_space_fork(g->space[parent], &space);
    ops_touch(g, (unsigned)parent, 0, ORACLE_PAGES);
    if (!ops_judge(g, rc, expected, pinned ? ENV_FRAMES : 0)) {
        if (space) game_fail(g, "a failed fork gave a child");
        return;
    }
    give_number(g, child, space);
    oracle_fork(&g->o, (unsigned)parent, (unsigned)child);
    if (rmap_space_user(space)) game_fail(g, "a child inherits the embedder's pointer");
    check_pinned(g, (unsigned)parent, pinned);
}

void op_exec(struct game *g)
{
    int s = ops_any_space(g);
    if (s < 0) return;
    game_note(g, "exec s%d", s);
    if (!ops_judge(g, rmap_space_exec(g->space[s]), 0, 0)) return;
    g->o.space[s] = (struct oracle_space){.live = true};
    if (rmap_group_members(game_member(g, (unsigned)s)) != 1) game_fail(g, "not alone after exec");
}

void op_destroy(struct game *g)
{
    int s = ops_any_space(g);
    if (s < 0) return;
    game_note(g, "destroy s%d", s);
    ops_judge(g, rmap_space_destroy(g->space[s]), 0, 0);
    g->space[s] = NULL;
    g->o.space[s] = (struct oracle_space){0};
}
