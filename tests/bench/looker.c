/* SPDX-License-Identifier: MIT */
/** @file bench/looker.c  See the header. */
#include "bench/looker.h"

#include <stdlib.h>
#include <string.h>

void looker_init(struct looker *l, const struct clan *clan, struct rmap_page *const *pages, size_t n, size_t batch,
                 double budget)
{
    *l = (struct looker){.clan = clan, .batch = batch};
    l->page = must_calloc(n, sizeof *l->page);
    memcpy(l->page, pages, n * sizeof *l->page);
    look_cost(clan, l->page, n, batch);
    const double fits = budget / look_cost(clan, l->page, n, batch); /* pages */
    l->n = fits < (double)n ? (size_t)fits / batch * batch : n;
    if (!l->n) l->n = batch < n ? batch : n;
    l->laps = fits > 2 * (double)l->n ? (unsigned)(fits / (double)l->n) : 1;
    verb_ns(clan, BENCH_LOOK, l->page, l->n, batch, &l->tally);
    l->tally = (struct bench_tally){0};
    verb_ns(clan, BENCH_LOOK, l->page, l->n, batch, &l->tally);
}

void looker_fini(struct looker *l)
{
    free(l->page);
}

double looker_lap(const struct looker *l)
{
    struct bench_tally tally = {0};
    const double start = cpu_ns();
    for (unsigned i = 0; i < l->laps; i++) verb_run(l->clan, BENCH_LOOK, l->page, l->n, l->batch, &tally);
    const double ns = cpu_ns() - start;
    MUST_HOLD(tally.hits == l->laps * l->tally.hits);
    return ns / l->laps;
}

double looker_by_entry(void *looker)
{
    const struct looker *l = looker;
    return looker_lap(l) / (double)l->tally.hits;
}

double looker_by_page(void *looker)
{
    const struct looker *l = looker;
    return looker_lap(l) / (double)l->n;
}

void raw_looker_init(struct raw_looker *r, const struct clan *clan, const uint32_t *order, size_t n, unsigned laps)
{
    *r = (struct raw_looker){.n = n, .roots = clan->spaces, .laps = laps};
    r->page = clan_raw(clan, order, n);
    r->root = must_calloc(r->roots, sizeof *r->root);
    for (unsigned i = 0; i < clan->spaces; i++) r->root[i] = clan_root(clan, i);
}

void raw_looker_fini(struct raw_looker *r)
{
    free(r->page);
    free(r->root);
}

typedef uint64_t raw_fn(const uint64_t *root, size_t roots, const struct raw_page *pages, size_t n);

static double raw_by_entry(const struct raw_looker *r, raw_fn *look)
{
    uint64_t hits = 0;
    const double start = cpu_ns();
    for (unsigned i = 0; i < r->laps; i++) hits += look(r->root, r->roots, r->page, r->n);
    const double ns = cpu_ns() - start;
    MUST_HOLD(hits == (uint64_t)r->laps * r->n * r->roots);
    return ns / (double)hits;
}

double raw_looker_by_entry(void *raw)
{
    return raw_by_entry(raw, raw_look);
}

double raw_looker_serial(void *raw)
{
    return raw_by_entry(raw, raw_look_serial);
}
