/* SPDX-License-Identifier: MIT */
/**
 * @file bench/scenario_left.c  G5/same, G5/random: pages that thousands inherited, each left in one; the first look-up, which
 * has to search, and the second. A first look-up happens once: every sample makes its own world, one at a time.
 */
#include "bench/clan.h"
#include "bench/scenarios.h"

#include <stdlib.h>

struct left {
    const struct bench_system *sys;
    bool same;
    unsigned spaces;
    rmap_vpn_t pages;
    struct figures second;
};

/* keeper[v]: the child that keeps page v. */
static void choose_keepers(const struct left *l, uint32_t *keeper)
{
    struct prng rng;
    prng_init(&rng, 5);
    for (rmap_vpn_t v = 0; v < l->pages; v++)
        keeper[v] = l->same ? l->spaces - 1 : 1 + (uint32_t)prng_below(&rng, l->spaces - 1);
}

/*  parent: [0, pages) written  ──fork──▶ child k, which unmaps all but its own, for each k; then the parent writes all anew  */
static void leave_in_one(struct clan *c, const uint32_t *keeper)
{
    for (unsigned k = 1; k < c->spaces; k++) {
        c->space[k] = c->sys->fork(c->space[0]);
        for (rmap_vpn_t v = 0, first = 0; v <= c->pages; v++) {
            if (v < c->pages && keeper[v] != k) continue;
            if (v > first) c->sys->unmap(c->space[k], first, v - first);
            first = v + 1;
        }
    }
    for (rmap_vpn_t v = 0; v < c->pages; v++) c->sys->write(c->space[0], v);
}

/* Not the first look at the first `n` pages. @return ns a page. */
static double look_again(const struct clan *c, size_t n)
{
    struct bench_tally tally = {0};
    double ns = 0;
    size_t looked = 0;
    for (; ns < sample_budget() / 4; looked += n) ns += verb_ns(c, BENCH_LOOK, c->page, n, 1, &tally);
    MUST_HOLD(tally.hits == looked);
    return ns / (double)looked;
}

static double sample_left(void *ctx)
{
    struct left *l = ctx;
    struct clan c;
    struct bench_tally tally = {0};
    size_t done;
    uint32_t *keeper = must_calloc(l->pages, sizeof *keeper);
    choose_keepers(l, keeper);
    clan_open(&c, l->sys, l->spaces, l->pages, (struct bench_options){.frames = 2 * l->pages + 64});
    leave_in_one(&c, keeper);
    const double budget = 20 * sample_budget();
    const double first = verb_ns_within(&c, BENCH_LOOK, c.page, l->pages, 1, budget, &tally, &done);
    MUST_HOLD(tally.hits == done);
    figures_put(&l->second, look_again(&c, done));
    clan_close(&c);
    free(keeper);
    return first / (double)done;
}

static void left(const char *first, const char *second, bool same)
{
    const unsigned systems = systems_count();
    const unsigned rounds = bench_settings.rounds < 5 ? bench_settings.rounds : 5;
    struct left *l = must_calloc(systems, sizeof *l);
    struct cast firsts = {.n = 0}, seconds = {.n = 0};
    for (unsigned i = 0; i < systems; i++) {
        l[i] = (struct left){.sys = bench_systems[i], .same = same};
        l[i].spaces = bench_settings.quick ? 2000 : 10000;
        l[i].pages = bench_settings.quick ? 128 : 256;
        l[i].second.sample = sample_left;
        l[i].second.ctx = &l[i];
        cast_add(&firsts, l[i].sys->name, sample_left, &l[i]);
        cast_add(&seconds, l[i].sys->name, figures_take, &l[i].second);
    }
    measure_rounds(first, "ns/page", firsts.list, rounds);
    measure_rounds(second, "ns/page", seconds.list, rounds);
    free(l);
}

void scenario_left(void)
{
    if (wanted("G5/same")) left("G5/same/first", "G5/same/second", true);
    if (wanted("G5/random")) left("G5/random/first", "G5/random/second", false);
}
