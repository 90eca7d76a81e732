/* SPDX-License-Identifier: MIT */
/** @file scale/rows_chain.c  G4: clone, evict, clone again, by the counting swap map. */
#include "scale/table.h"
#include "support/prng.h"

#include <core/core.h>

#define CHAIN_PAGES 64
#define CHAIN_LIVE 8

/* Nodes, epochs and tags, those included that evicted pages of dead generations still name. The group's own object, which only
 * eight share here, is left out. */
static double chain_tree_bytes(struct crowd *c, const struct rmap_group_shape *shape)
{
    return crowd_bytes_per_space(c) - (double)sizeof(struct rmap__group) / (double)shape->members;
}

/* Half of what generation `s` has on swap comes back, a quarter is written. */
static void chain_work(struct crowd *c, struct prng *rng, uint32_t s)
{
    for (rmap_vpn_t v = 0; v < CHAIN_PAGES; v++) {
        if (prng_chance(rng, 1, 2)) crowd_read(c, s, v);
        if (prng_chance(rng, 1, 4)) crowd_write(c, s, v);
    }
}

struct chain_tally {
    struct tally look, several, one; /* looked at, then unmapped: mapped by several, by one */
};

/* Two thirds of what generation `s` maps are evicted, by the way of reclaim: looked at, then unmapped. */
static void chain_evict(struct crowd *c, struct prng *rng, uint32_t s, struct chain_tally *t)
{
    for (rmap_vpn_t v = 0; v < CHAIN_PAGES; v++) {
        struct rmap_page *page = crowd_page(c, s, v);
        if (!page || !prng_chance(rng, 2, 3)) continue;
        const bool one = crowd_look(c, page, &t->look) == 1;
        crowd_unmap(c, page, one ? &t->one : &t->several);
    }
}

/* Each generation is a clone of the one before; the latest ones work, are evicted, and the oldest exits. */
void row_chain(bool quick)
{
    const uint32_t generations = quick ? 100 : 1000;
    struct crowd c;
    struct prng rng;
    struct chain_tally t = {{0}, {0}, {0}};
    double nodes = 0, bytes = 0;
    prng_init(&rng, 4);
    crowd_open(&c, generations + 1, CHAIN_PAGES, 4 * CHAIN_LIVE * CHAIN_PAGES);
    for (rmap_vpn_t v = 0; v < CHAIN_PAGES; v++) crowd_write(&c, 0, v);
    for (uint32_t g = 1; g <= generations; g++, progress("generations", g, generations)) {
        const uint32_t oldest = g < CHAIN_LIVE ? 0 : g - CHAIN_LIVE;
        crowd_fork(&c, g - 1, g);
        for (uint32_t s = oldest; s <= g; s++) chain_work(&c, &rng, s);
        for (uint32_t s = oldest; s <= g; s++) chain_evict(&c, &rng, s, &t);
        if (g >= CHAIN_LIVE) crowd_exit(&c, oldest);
        struct rmap_group_shape shape;
        MUST(rmap_group_get_shape(&c.space[g].m, &shape));
        if ((double)shape.nodes / (double)shape.members > nodes) nodes = (double)shape.nodes / (double)shape.members;
        if (chain_tree_bytes(&c, &shape) > bytes) bytes = chain_tree_bytes(&c, &shape);
    }
    struct line line = {.scenario = "G4", .spaces = CHAIN_LIVE, .pages = CHAIN_PAGES, .per_mapper_most = 1.5};
    line.what = text("%u generations, evicted in each: look before the eviction", generations);
    line.tally = &t.look;
    line.of = "nodes/space";
    line.value = nodes;
    line.value_most = 2;
    table_line(&line);
    line.what = "the same: unmap of pages that several map";
    line.tally = &t.several;
    line.of = "tree bytes/space without the group object, peak";
    line.value = bytes;
    line.value_most = TREE_BYTES_MOST;
    table_line(&line);
    line.of = NULL;
    line.per_mapper_most = 0;
    line.what = "the same: unmap of pages that one maps";
    line.tally = &t.one;
    line.visits_most = 1.05;
    table_line(&line);
    crowd_close(&c);
}
