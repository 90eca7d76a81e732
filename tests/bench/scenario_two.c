/* SPDX-License-Identifier: MIT */
/**
 * @file bench/scenario_two.c  two/dead, two/siblings: pages that two of 1,000 spaces map, their first owner dead; every
 * look-up but the first. Siblings are what a fork tree has no bound for (docs/performance.md).
 */
#include "bench/looker.h"
#include "bench/scenarios.h"

#include <stdlib.h>

#define SPACES 1000
#define PAGES 256

struct kinship {
    unsigned parent[SPACES];   /* of each space; of space 0: itself */
    unsigned mapper[PAGES][2]; /* of each page */
};

static void draw_family(struct kinship *k, bool siblings)
{
    struct prng rng;
    bool has_child[SPACES] = {false};
    prng_init(&rng, 2);
    for (unsigned s = 1; s < SPACES; s++) {
        k->parent[s] = siblings ? 0 : (unsigned)prng_below(&rng, s);
        has_child[k->parent[s]] = true;
    }
    for (rmap_vpn_t v = 0; v < PAGES; v++) {
        unsigned a, b;
        do a = 1 + (unsigned)prng_below(&rng, SPACES - 1);
        while (!siblings && !has_child[a]);
        do b = 1 + (unsigned)prng_below(&rng, SPACES - 1);
        while (siblings ? b == a : k->parent[b] != a);
        k->mapper[v][0] = a;
        k->mapper[v][1] = b;
    }
}

/*
 *  two/dead:      space 0: [0, 256) written; each other space is forked from a random earlier one; page v is left in a
 *                 random space and a random child of it, all others unmap it; space 0 exits
 *  two/siblings:  the same, but all are children of space 0, and page v is left in two of them
 */
static void family_open(struct clan *c, const struct bench_system *sys, const struct kinship *k)
{
    clan_open(c, sys, SPACES, PAGES, (struct bench_options){.frames = PAGES + 64});
    for (unsigned s = 1; s < SPACES; s++) c->space[s] = sys->fork(c->space[k->parent[s]]);
    for (unsigned s = 1; s < SPACES; s++)
        for (rmap_vpn_t v = 0, first = 0; v <= PAGES; v++) {
            if (v < PAGES && k->mapper[v][0] != s && k->mapper[v][1] != s) continue;
            if (v > first) sys->unmap(c->space[s], first, v - first);
            first = v + 1;
        }
    clan_exit(c, 0);
}

static void two(const char *name, bool siblings)
{
    const unsigned systems = systems_count();
    struct clan *clan = must_calloc(systems, sizeof *clan);
    struct looker *l = must_calloc(systems, sizeof *l);
    struct kinship *k = must_calloc(1, sizeof *k);
    struct cast cast = {.n = 0};
    draw_family(k, siblings);
    for (unsigned i = 0; i < systems; i++) {
        family_open(&clan[i], bench_systems[i], k);
        looker_init(&l[i], &clan[i], clan[i].page, PAGES, 1, sample_budget()); /* looks at each page */
        MUST_HOLD(l[i].tally.hits == 2 * l[i].n);
        cast_add(&cast, clan[i].sys->name, looker_by_page, &l[i]);
        progress("  %s: %s looks into %.1f spaces for a page", name, clan[i].sys->name,
                 (double)l[i].tally.visits / (double)l[i].n);
    }
    measure(name, "ns/page", cast.list);
    for (unsigned i = 0; i < systems; i++) {
        looker_fini(&l[i]);
        clan_close(&clan[i]);
    }
    free(k);
    free(l);
    free(clan);
}

void scenario_two(void)
{
    if (wanted("two/dead")) two("two/dead", false);
    if (wanted("two/siblings")) two("two/siblings", true);
}
