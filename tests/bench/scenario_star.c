/* SPDX-License-Identifier: MIT */
/**
 * @file bench/scenario_star.c  star/absent, star/empty, star/other, star/single/…: what it costs to look into a space in vain.
 * Pages are mapped by two of 64 siblings, and the others have no table there, or an empty entry, or another page.
 *
 * star/… asks for all 256 pages in one call, areas of 16 neighbours, so that a system that batches looks into a space once for
 * 16 pages, and the figure is by page. star/single/… asks for one page at a time.
 *
 * The time of a look-up less that of its hits, which the same sample measures in a world of two spaces with the same pages,
 * where nobody is looked into in vain; by visit in vain. `raw` descends once into each such space, in objrmap's own tables,
 * as deep as they go; `raw-full` all the way to the entry, in the spaces that map the page.
 */
#include "bench/looker.h"
#include "bench/scenarios.h"

#include <stdlib.h>

#define KIDS 64
#define AREAS 16
#define AREA_PAGES 16                     /* each area has two mappers of its own */
#define AREA_STRIDE ((rmap_vpn_t)1 << 18) /* 1 GiB: tables of two levels are an area's own */
#define STACK ((AREAS + 1) * AREA_STRIDE) /* a page of each space's own */
#define STAR_PAGES (AREAS * AREA_PAGES)

enum kind { ABSENT, EMPTY, OTHER };

struct star {
    struct clan clan, pairs; /* pairs: two spaces, both of which map all pages */
    struct rmap_page *page[STAR_PAGES];
    struct looker star, pair;
};

/* Of its AREA_PAGES + 1 pages the last one is there to keep the table. */
static rmap_vpn_t area_first(unsigned area)
{
    return (area + 1) * AREA_STRIDE;
}

static void choose_mappers(unsigned mapper[AREAS][2])
{
    struct prng rng;
    prng_init(&rng, KIDS);
    for (unsigned a = 0; a < AREAS; a++) {
        mapper[a][0] = 1 + (unsigned)prng_below(&rng, KIDS);
        do mapper[a][1] = 1 + (unsigned)prng_below(&rng, KIDS);
        while (mapper[a][1] == mapper[a][0]);
    }
}

static void leave_area(const struct clan *c, unsigned space, unsigned area, enum kind kind)
{
    struct bench_space *s = c->space[space];
    const rmap_vpn_t first = area_first(area);
    const struct rmap_mmu *mmu = c->sys->mmu(s);
    switch (kind) {
    case ABSENT:
        c->sys->unmap(s, first, AREA_PAGES + 1);
        if (mmu->ops->trim) mmu->ops->trim(mmu->ctx, first, first + AREA_STRIDE); /* unless the system has done so */
        break;
    case EMPTY:
        c->sys->write(s, first + AREA_PAGES);
        c->sys->unmap(s, first, AREA_PAGES);
        break;
    case OTHER:
        for (rmap_vpn_t v = 0; v <= AREA_PAGES; v++) c->sys->write(s, first + v);
        break;
    }
}

/* A parent with its areas and its stack written, and children. */
static void areas_open(struct clan *c, const struct bench_system *sys, unsigned spaces, struct rmap_page **page)
{
    clan_open(c, sys, spaces, 1, (struct bench_options){.frames = (spaces + 1) * AREAS * (AREA_PAGES + 1) + 1024});
    for (unsigned a = 0; a < AREAS; a++) {
        sys->map(c->space[0], area_first(a), AREA_PAGES + 1);
        for (rmap_vpn_t v = 0; v <= AREA_PAGES; v++) sys->write(c->space[0], area_first(a) + v);
        for (rmap_vpn_t v = 0; v < AREA_PAGES; v++)
            page[a * AREA_PAGES + v] = sys->page(c->space[0], area_first(a) + v);
    }
    sys->map(c->space[0], STACK, 1);
    sys->write(c->space[0], STACK);
    clan_fork(c);
    for (unsigned s = 0; s < spaces; s++) sys->write(c->space[s], STACK);
}

/*  parent: 16 areas of 16 pages written  ──fork──▶ 64 children; an area is left by all but two children, and by the parent  */
static void star_open(struct star *x, const struct bench_system *sys, enum kind kind, size_t batch)
{
    struct rmap_page *pair[STAR_PAGES];
    unsigned mapper[AREAS][2];
    const double budget = 2 * sample_budget(); /* a difference of two times: the better they are the better it is */
    choose_mappers(mapper);
    areas_open(&x->clan, sys, KIDS + 1, x->page);
    for (unsigned s = 0; s <= KIDS; s++)
        for (unsigned a = 0; a < AREAS; a++)
            if (s != mapper[a][0] && s != mapper[a][1]) leave_area(&x->clan, s, a, kind);
    looker_init(&x->star, &x->clan, x->page, STAR_PAGES, batch, budget);
    areas_open(&x->pairs, sys, 2, pair);
    looker_init(&x->pair, &x->pairs, pair, STAR_PAGES, batch, budget);
    MUST_HOLD(x->star.tally.hits == 2 * x->star.n && x->pair.tally.hits == 2 * x->pair.n);
}

static void star_close(struct star *x)
{
    looker_fini(&x->star);
    looker_fini(&x->pair);
    clan_close(&x->clan);
    clan_close(&x->pairs);
}

static double sample_star(void *ctx)
{
    const struct star *x = ctx;
    const uint64_t hits = x->star.tally.hits, visits = x->star.tally.visits;
    if (visits <= hits) return cannot("looks into nobody in vain here");
    double sum = 0;
    for (unsigned take = 0; take < 2; take++) {
        const double all = looker_lap(&x->star), hit = looker_by_entry((void *)&x->pair);
        const double vain = all - (double)hits * hit;
        if (vain <= 0) return cannot("below the noise"); /* of two takes both must be above it */
        sum += vain;
    }
    return sum / 2 / (double)(visits - hits);
}

/* ---- raw: for each area the roots of those that left it, or of those that map it ---- */

struct raw_star {
    struct raw_page page[AREAS][AREA_PAGES];
    uint64_t root[AREAS][KIDS + 1];
    size_t roots[AREAS];
    bool hit;
};

static void raw_star_init(struct raw_star *r, const struct star *x, bool mappers)
{
    const struct clan *c = &x->clan;
    unsigned mapper[AREAS][2];
    *r = (struct raw_star){.hit = mappers};
    choose_mappers(mapper);
    for (unsigned a = 0; a < AREAS; a++) {
        const struct rmap_mmu *mmu = c->sys->mmu(c->space[mapper[a][0]]);
        for (unsigned v = 0; v < AREA_PAGES; v++)
            r->page[a][v] = (struct raw_page){x->page[a * AREA_PAGES + v],
                                              rmap_pte_pfn(mmu->ops->format, rmap_radix_peek(mmu, area_first(a) + v))};
        for (unsigned s = 0; s <= KIDS; s++)
            if ((s == mapper[a][0] || s == mapper[a][1]) == mappers) r->root[a][r->roots[a]++] = clan_root(c, s);
    }
}

static double sample_raw(void *ctx)
{
    enum { LAPS = 32 };
    const struct raw_star *r = ctx;
    uint64_t hits = 0, descents = 0;
    const double start = cpu_ns();
    for (unsigned i = 0; i < LAPS; i++)
        for (unsigned a = 0; a < AREAS; a++) {
            hits += raw_look(r->root[a], r->roots[a], r->page[a], AREA_PAGES);
            descents += r->roots[a] * AREA_PAGES;
        }
    const double ns = cpu_ns() - start;
    MUST_HOLD(hits == (r->hit ? descents : 0));
    return ns / (double)descents;
}

/* Who looks into spaces one after another; the others follow records, or look at tables. */
static bool looks_into_spaces(const struct bench_system *sys)
{
    return sys == &bench_objrmap || sys == &bench_flat_group || sys == &bench_anonmm;
}

static void star(const char *name, enum kind kind, bool single)
{
    const unsigned systems = systems_count();
    struct star *x = must_calloc(systems, sizeof *x);
    struct raw_star *raw = must_calloc(2, sizeof *raw);
    struct cast cast = {.n = 0};
    unsigned n = 0;
    for (unsigned i = 0; i < systems; i++) {
        if (single ? !looks_into_spaces(bench_systems[i]) : bench_systems[i] == &bench_full_scan) continue;
        star_open(&x[n], bench_systems[i], kind, single ? 1 : BATCH);
        cast_add(&cast, bench_systems[i]->name, sample_star, &x[n++]);
    }
    raw_star_init(&raw[0], &x[0], false);
    raw_star_init(&raw[1], &x[0], true);
    cast_add(&cast, "raw", sample_raw, &raw[0]);
    cast_add(&cast, "raw-full", sample_raw, &raw[1]);
    measure(name, "ns/visit", cast.list);
    while (n) star_close(&x[--n]);
    free(raw);
    free(x);
}

void scenario_star(void)
{
    if (wanted("star/absent")) star("star/absent", ABSENT, false);
    if (wanted("star/empty")) star("star/empty", EMPTY, false);
    if (wanted("star/other")) star("star/other", OTHER, false);
    if (wanted("star/single/absent")) star("star/single/absent", ABSENT, true);
    if (wanted("star/single/empty")) star("star/single/empty", EMPTY, true);
    if (wanted("star/single/other")) star("star/single/other", OTHER, true);
}
