/* SPDX-License-Identifier: MIT */
/**
 * @file bench/scenario_chain.c  A8, A8/look, A8/bytes: generations without end, each parent exiting; what the last one's pages
 * cost to find, and what is kept. A system whose books grow with the generations is stopped, and says where.
 */
#include "bench/clan.h"
#include "bench/scenarios.h"

#include <stdlib.h>

#define PAGES 8
#define CHECK_EVERY 64
#define BYTES_MOST (512 << 20)

struct chain {
    const struct bench_system *sys;
    uint32_t generations, done; /* done: by the latest sample; fewer than all: it was stopped, and is not asked again */
    double budget;              /* ns */
    double latest;              /* ns of a generation, at the end */
    double bytes;               /* kept at the end of the latest sample */
    struct figures look;
};

/* All generations, or as many as fit. @return ns. */
static double go_on(struct chain *chain, struct clan *c)
{
    double ns = 0;
    chain->done = 0;
    while (chain->done < chain->generations && ns < chain->budget && chain->bytes < BYTES_MOST) {
        const uint32_t left = chain->generations - chain->done, part = left < CHECK_EVERY ? left : CHECK_EVERY;
        const double start = cpu_ns();
        for (uint32_t g = 0; g < part; g++) {
            struct bench_space *child = c->sys->fork(c->space[0]);
            c->sys->exit(c->space[0]);
            c->space[0] = child;
        }
        chain->latest = (cpu_ns() - start) / part;
        chain->bytes = (double)bench_bytes_kept(c->sys, c->w);
        chain->done += part;
        ns += chain->latest * part;
    }
    return ns;
}

static double look(const struct clan *c)
{
    enum { LAPS = 1000 };
    struct bench_tally tally = {0};
    verb_ns(c, BENCH_LOOK, c->page, PAGES, 1, &tally);
    const double start = cpu_ns();
    for (unsigned i = 0; i < LAPS; i++) verb_run(c, BENCH_LOOK, c->page, PAGES, 1, &tally);
    const double ns = cpu_ns() - start;
    MUST_HOLD(tally.hits == (LAPS + 1) * PAGES);
    return ns / LAPS / PAGES;
}

/*  generation 0: [0, 8) written  ──fork──▶ 1; 0 exits  ──fork──▶ 2; 1 exits  ──fork──▶ …  */
static double sample_chain(void *ctx)
{
    struct chain *chain = ctx;
    struct clan c;
    double ns = 0;
    if (!chain->done || chain->done == chain->generations) {
        clan_open(&c, chain->sys, 1, PAGES, (struct bench_options){.frames = 64});
        chain->bytes = 0;
        ns = go_on(chain, &c);
        if (chain->done == chain->generations) figures_put(&chain->look, look(&c));
        clan_close(&c);
    }
    if (chain->done == chain->generations) return ns / chain->done;
    return cannot("stopped after %u of %u generations: the latest took %.0f ns each, %.0f bytes are kept", chain->done,
                  chain->generations, chain->latest, chain->bytes);
}

void scenario_chain(void)
{
    const unsigned systems = systems_count();
    const unsigned rounds = bench_settings.rounds < 3 ? bench_settings.rounds : 3;
    struct chain *chain = must_calloc(systems, sizeof *chain);
    struct cast generations = {.n = 0}, looks = {.n = 0};
    for (unsigned i = 0; i < systems; i++) {
        chain[i] = (struct chain){.sys = bench_systems[i], .look = {.sample = sample_chain, .ctx = &chain[i]}};
        chain[i].generations = bench_settings.quick ? 5000 : 100000;
        chain[i].budget = 200 * sample_budget();
        cast_add(&generations, chain[i].sys->name, sample_chain, &chain[i]);
        cast_add(&looks, chain[i].sys->name, figures_take, &chain[i].look);
    }
    measure_rounds("A8", "ns/generation", generations.list, rounds);
    measure_rounds("A8/look", "ns/page", looks.list, rounds);
    for (unsigned i = 0; i < systems; i++) {
        if (!chain[i].done) sample_chain(&chain[i]); /* neither row was wanted */
        print_bytes("A8/bytes", chain[i].sys->name, "bytes", chain[i].bytes);
    }
    free(chain);
}
