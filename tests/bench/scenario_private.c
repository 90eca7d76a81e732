/* SPDX-License-Identifier: MIT */
/**
 * @file bench/scenario_private.c  G1, G3: private copies among very many relatives, and what a zygote's children still share,
 * unmapped, and read in again (untimed). A system that would take too long takes every nth page.
 */
#include "bench/clan.h"
#include "bench/scenarios.h"

#include <stdlib.h>

#define KIDS 1000
#define EVERYBODY UINT32_MAX

/* A page and who is to read it in again. */
struct item {
    struct rmap_page *page;
    uint32_t space, number;
};

struct evicter {
    struct clan clan;
    struct item *item;
    struct rmap_page **page; /* those that are taken: of item[0], item[every], … */
    size_t items, n, every;
    unsigned times;
};

static void evicter_add(struct evicter *e, uint32_t space, rmap_vpn_t v, struct rmap_page *page)
{
    e->item[e->items++] = (struct item){page, space, (uint32_t)v};
}

static void evicter_choose(struct evicter *e)
{
    e->page = must_calloc(e->items, sizeof *e->page);
    for (size_t i = 0; i < e->items; i++) e->page[i] = e->item[i].page;
    const double ns = look_cost(&e->clan, e->page, e->items, BATCH) * (double)e->items;
    e->every = 1 + (size_t)(ns / (50 * sample_budget()));
    e->n = 0;
    for (size_t i = 0; i < e->items; i += e->every) e->page[e->n++] = e->item[i].page;
    e->times = times_within(sample_budget() / ns);
    if (e->every > 1) progress("  %s takes every %zuth page", e->clan.sys->name, e->every);
}

static void read_in(struct evicter *e)
{
    const struct clan *c = &e->clan;
    for (size_t i = 0; i < e->items; i += e->every) {
        const struct item *item = &e->item[i];
        const unsigned from = item->space == EVERYBODY ? 0 : item->space;
        const unsigned to = item->space == EVERYBODY ? c->spaces : item->space + 1;
        for (unsigned s = from; s < to; s++) c->sys->read(c->space[s], item->number);
    }
}

/* @return ns an entry. */
static double sample_unmap(void *ctx)
{
    struct evicter *e = ctx;
    struct bench_tally tally = {0};
    uint64_t mapped = 0;
    double ns = 0;
    for (unsigned k = 0; k < e->times; k++) {
        for (size_t i = 0; i < e->n; i++) mapped += rmap_page_mapcount(e->page[i]);
        ns += verb_ns(&e->clan, BENCH_UNMAP, e->page, e->n, BATCH, &tally);
        MUST_HOLD(tally.hits == mapped && mapped >= e->n);
        read_in(e);
    }
    return ns / (double)mapped;
}

static void evicter_open(struct evicter *e, const struct bench_system *sys, rmap_vpn_t pages, uint64_t frames)
{
    *e = (struct evicter){.items = 0};
    clan_open(&e->clan, sys, KIDS + 1, pages, (struct bench_options){.frames = frames});
    clan_fork(&e->clan);
    e->item = must_calloc(frames, sizeof *e->item);
}

static void evicter_close(struct evicter *e)
{
    clan_close(&e->clan);
    free(e->item);
    free(e->page);
}

static void row(const char *name, const char *unit, struct evicter *e, unsigned systems, unsigned rounds)
{
    struct cast cast = {.n = 0};
    for (unsigned i = 0; i < systems; i++) {
        evicter_choose(&e[i]);
        cast_add(&cast, e[i].clan.sys->name, sample_unmap, &e[i]);
    }
    measure_rounds(name, unit, cast.list, rounds);
}

static unsigned few_rounds(void)
{
    return bench_settings.rounds < 5 ? bench_settings.rounds : 5;
}

/*  parent: [0, pages) written  ──fork──▶ 1,000 children, each of which writes all pages  */
static void all_written(rmap_vpn_t pages)
{
    const unsigned systems = systems_count();
    struct evicter *e = must_calloc(systems, sizeof *e);
    for (unsigned i = 0; i < systems; i++) {
        struct clan *c = &e[i].clan;
        evicter_open(&e[i], bench_systems[i], pages, (KIDS + 1) * pages + 64);
        for (uint32_t k = 1; k <= KIDS; k++)
            for (rmap_vpn_t v = 0; v < pages; v++) {
                c->sys->write(c->space[k], v);
                evicter_add(&e[i], k, v, c->sys->page(c->space[k], v));
            }
        print_bytes("G1/bytes", c->sys->name, "bytes", (double)bench_bytes_kept(c->sys, c->w));
    }
    row("G1", "ns/page", e, systems, few_rounds());
    for (unsigned i = 0; i < systems; i++) evicter_close(&e[i]);
    free(e);
}

/*  parent: [0, pages) written  ──fork──▶ 1,000 children, each of which writes 5 % of the pages, at random  */
static void zygote(const char *name, rmap_vpn_t pages, bool copies)
{
    const unsigned systems = systems_count();
    struct evicter *e = must_calloc(systems, sizeof *e);
    for (unsigned i = 0; i < systems; i++) {
        struct clan *c = &e[i].clan;
        struct prng rng;
        prng_init(&rng, 3);
        evicter_open(&e[i], bench_systems[i], pages, pages + KIDS * pages * 7 / 100 + 64);
        for (uint32_t k = 1; k <= KIDS; k++)
            for (rmap_vpn_t v = 0; v < pages; v++) {
                if (!prng_chance(&rng, 5, 100)) continue;
                c->sys->write(c->space[k], v);
                if (copies) evicter_add(&e[i], k, v, c->sys->page(c->space[k], v));
            }
        for (rmap_vpn_t v = 0; !copies && v < pages; v++) evicter_add(&e[i], EVERYBODY, v, c->page[v]);
    }
    row(name, copies ? "ns/page" : "ns/entry", e, systems, few_rounds());
    for (unsigned i = 0; i < systems; i++) evicter_close(&e[i]);
    free(e);
}

void scenario_private(void)
{
    const rmap_vpn_t pages = bench_settings.quick ? 128 : 1000;
    if (wanted("G1")) all_written(pages);
    if (wanted("G3/zygote")) zygote("G3/zygote", pages, false);
    if (wanted("G3/copies")) zygote("G3/copies", pages, true);
}
