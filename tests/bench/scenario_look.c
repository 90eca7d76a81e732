/* SPDX-License-Identifier: MIT */
/**
 * @file bench/scenario_look.c  look/single/K, look/batch/K: who maps these pages? By one page after another, in a shuffled
 * order, and by batches of 512 neighbours; per entry found. `raw` descends in objrmap's own tables, the same pages in the
 * same order; `raw-serial`, one page after the other.
 */
#include "bench/looker.h"
#include "bench/scenarios.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    unsigned mappers;
    rmap_vpn_t pages;
} sizes[] = {{1, 4096}, {2, 4096}, {10, 4096}, {100, 1024}, {1000, 512}};

static void row_name(char *name, size_t bytes, const char *kind, unsigned mappers)
{
    snprintf(name, bytes, "look/%s/%u", kind, mappers);
}

static void looks(const char *kind, const struct clan *clan, unsigned systems, const uint32_t *order, size_t batch)
{
    struct rmap_page **pages = must_calloc(clan->pages, sizeof *pages);
    struct looker *l = must_calloc(systems, sizeof *l);
    struct raw_looker raw;
    struct cast cast = {.n = 0};
    char name[64];
    row_name(name, sizeof name, kind, clan->spaces);
    if (wanted(name)) {
        for (unsigned i = 0; i < systems; i++) {
            for (rmap_vpn_t v = 0; v < clan[i].pages; v++) pages[v] = clan[i].page[order ? order[v] : v];
            looker_init(&l[i], &clan[i], pages, clan[i].pages, batch, sample_budget());
            MUST_HOLD(l[i].tally.hits == l[i].n * clan[i].spaces);
            cast_add(&cast, clan[i].sys->name, looker_by_entry, &l[i]);
        }
        raw_looker_init(&raw, &clan[0], order, l[0].n, 8 * l[0].laps); /* short ones */
        cast_add(&cast, "raw", raw_looker_by_entry, &raw);
        if (order) cast_add(&cast, "raw-serial", raw_looker_serial, &raw);
        measure(name, "ns/entry", cast.list);
        for (unsigned i = 0; i < systems; i++) looker_fini(&l[i]);
        raw_looker_fini(&raw);
    }
    free(l);
    free(pages);
}

static bool size_wanted(unsigned mappers)
{
    char single[64], batch[64];
    row_name(single, sizeof single, "single", mappers);
    row_name(batch, sizeof batch, "batch", mappers);
    return wanted(single) || wanted(batch);
}

/*  parent: [0, pages) written  ──fork──▶ K - 1 children: K mappers of each page  */
void scenario_look(void)
{
    const unsigned systems = systems_count();
    struct clan *clan = must_calloc(systems, sizeof *clan);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        if (!size_wanted(sizes[k].mappers)) continue;
        uint32_t *order = shuffled(sizes[k].pages);
        for (unsigned i = 0; i < systems; i++) {
            clan_open(&clan[i], bench_systems[i], sizes[k].mappers, sizes[k].pages,
                      (struct bench_options){.frames = sizes[k].pages + 64});
            clan_fork(&clan[i]);
        }
        looks("single", clan, systems, order, 1);
        looks("batch", clan, systems, NULL, BATCH);
        for (unsigned i = 0; i < systems; i++) clan_close(&clan[i]);
        free(order);
    }
    free(clan);
}
