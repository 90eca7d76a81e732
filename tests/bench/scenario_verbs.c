/* SPDX-License-Identifier: MIT */
/**
 * @file bench/scenario_verbs.c  age/K, protect/K, unmap/K, migrate/K: what reclaim and its like do to pages that K spaces map, in
 * batches of 512 neighbours; per entry. What a verb undid is done again before each sample, untimed.
 */
#include "bench/clan.h"
#include "bench/kernel.h"
#include "bench/scenarios.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    unsigned mappers;
    rmap_vpn_t pages;
} sizes[] = {{1, 4096}, {10, 4096}, {100, 1024}};

struct worker {
    struct clan clan;
    size_t n; /* pages, from the front: as many batches as fit the budget */
    unsigned times;
};

static void mark_all(struct clan *c, enum rmap_pte_attr attr)
{
    for (unsigned i = 0; i < c->spaces; i++) clan_mark(c, i, attr);
}

static double timed(struct worker *k, enum bench_verb verb)
{
    struct bench_tally tally = {0};
    const double ns = verb_ns(&k->clan, verb, k->clan.page, k->n, BATCH, &tally);
    MUST_HOLD(tally.hits == k->n * k->clan.spaces);
    return ns / (double)tally.hits;
}

static double sample_age(void *ctx)
{
    struct worker *k = ctx;
    double ns = 0;
    for (unsigned i = 0; i < k->times; i++) {
        mark_all(&k->clan, RMAP_ATTR_ACCESSED);
        ns += timed(k, BENCH_AGE);
    }
    return ns / k->times;
}

/* Of several mappers none may write: the attribute is there for the verb to withdraw, nobody uses it. */
static double sample_protect(void *ctx)
{
    struct worker *k = ctx;
    double ns = 0;
    for (unsigned i = 0; i < k->times; i++) {
        mark_all(&k->clan, RMAP_ATTR_WRITE);
        ns += timed(k, BENCH_PROTECT);
    }
    return ns / k->times;
}

static double sample_unmap(void *ctx)
{
    struct worker *k = ctx;
    double ns = 0;
    for (unsigned i = 0; i < k->times; i++) {
        ns += timed(k, BENCH_UNMAP);
        for (unsigned s = 0; s < k->clan.spaces; s++)
            for (rmap_vpn_t v = 0; v < k->n; v++) k->clan.sys->read(k->clan.space[s], v);
        clan_collect(&k->clan);
    }
    return ns / k->times;
}

static double sample_migrate(void *ctx)
{
    struct worker *k = ctx;
    double ns = 0;
    for (unsigned i = 0; i < k->times; i++) {
        ns += timed(k, BENCH_MIGRATE);
        clan_collect(&k->clan);
    }
    return ns / k->times;
}

static const struct {
    const char *name;
    double (*sample)(void *ctx);
} verbs[] = {{"age", sample_age}, {"protect", sample_protect}, {"unmap", sample_unmap}, {"migrate", sample_migrate}};
#define VERBS (sizeof verbs / sizeof *verbs)

static void row_name(char *name, size_t bytes, size_t verb, unsigned mappers)
{
    snprintf(name, bytes, "%s/%u", verbs[verb].name, mappers);
}

static bool size_wanted(unsigned mappers)
{
    char name[64];
    for (size_t i = 0; i < VERBS; i++) {
        row_name(name, sizeof name, i, mappers);
        if (wanted(name)) return true;
    }
    return false;
}

/*  parent: [0, pages) written  ──fork──▶ K - 1 children. As many frames again are free, for migrate  */
static void worker_init(struct worker *k, const struct bench_system *sys, unsigned mappers, rmap_vpn_t pages)
{
    struct clan *c = &k->clan;
    clan_open(c, sys, mappers, pages, (struct bench_options){.frames = 2 * pages + 64});
    clan_fork(c);
    const double fits = 4 * sample_budget() / look_cost(c, c->page, pages, BATCH);
    k->n = fits < (double)pages ? (size_t)fits / BATCH * BATCH : pages;
    if (!k->n) k->n = BATCH;
    k->times = times_within(fits / 4 / (double)k->n);
}

void scenario_verbs(void)
{
    const unsigned systems = systems_count();
    struct worker *k = must_calloc(systems, sizeof *k);
    char name[64];
    for (size_t size = 0; size < sizeof sizes / sizeof *sizes; size++) {
        if (!size_wanted(sizes[size].mappers)) continue;
        for (unsigned i = 0; i < systems; i++)
            worker_init(&k[i], bench_systems[i], sizes[size].mappers, sizes[size].pages);
        for (size_t verb = 0; verb < VERBS; verb++) {
            struct cast cast = {.n = 0};
            row_name(name, sizeof name, verb, sizes[size].mappers);
            for (unsigned i = 0; i < systems; i++) cast_add(&cast, bench_systems[i]->name, verbs[verb].sample, &k[i]);
            measure(name, "ns/entry", cast.list);
        }
        for (unsigned i = 0; i < systems; i++) clan_close(&k[i].clan);
    }
    if (wanted("kernel/mkclean")) {
        struct cast cast = {.n = 0};
        cast_join(&cast, kernel_mkclean());
        measure("kernel/mkclean", "ns/entry", cast.list);
    }
    free(k);
}
