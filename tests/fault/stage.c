/* SPDX-License-Identifier: MIT */
/** @file fault/stage.c  See the header. */
#include "fault/stage.h"

void stage_init(struct stage *g)
{
    memset(g, 0, sizeof *g);
    world_init(&g->w, 40, 200, 0);
    g->parent = space_new(&g->w);
    map_at(g->parent, 0, 16, RW);
    map_at(g->parent, 20, 4, RMAP_READ);
    fill(g->parent, 8, 4, 800);
    evict_all(&g->w);
    fill(g->parent, 0, 8, 100);
    g->child = space_fork(&g->w, g->parent);
    fill(g->child, 0, 4, 500);
    g->guest = space_new(&g->w);
}

void stage_check(struct stage *g)
{
    world_verify(&g->w);
    expect(g->parent, 0, 8, 100);
    expect(g->parent, 8, 4, 800);
    expect(g->child, 0, 4, 500);
    expect(g->child, 4, 4, 104);
    expect(g->child, 8, 4, 800);
    CHECK_EQ(get(g->parent, 15), 0);
    struct rmap_region_info r[4];
    CHECK_EQ(rmap_space_regions(g->parent, r, 4), 2);
    CHECK_EQ(r[0].first, 0);
    CHECK_EQ(r[0].count, 16);
    CHECK_EQ(r[0].prot, RW);
    CHECK_EQ(r[0].locked, false);
    CHECK_EQ(r[1].first, 20);
    CHECK_EQ(stats(&g->w).spaces, 3);
}

void stage_fini(struct stage *g)
{
    world_fini(&g->w);
}

struct rmap_page *stage_page(struct stage *g, struct rmap_space *s, rmap_vpn_t vpn)
{
    struct rmap_page *page = page_at(&g->w, s, vpn);
    CHECK(page != NULL);
    rmap_page_get(page);
    rmap_page_lock(page);
    return page;
}

void stage_let_go(struct stage *g, struct rmap_page *page)
{
    rmap_page_unlock(g->w.r, page);
    rmap_page_put(g->w.r, page);
}
