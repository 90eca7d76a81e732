/* SPDX-License-Identifier: MIT */
/** @file bench/clan.c  See the header. */
#include "bench/clan.h"

#include <stdlib.h>

void *must_calloc(size_t n, size_t bytes)
{
    void *p = calloc(n ? n : 1, bytes);
    MUST_HOLD(p != NULL);
    return p;
}

unsigned systems_count(void)
{
    unsigned n = 0;
    while (bench_systems[n]) n++;
    return n;
}

void clan_open(struct clan *c, const struct bench_system *sys, unsigned spaces, rmap_vpn_t pages,
               struct bench_options options)
{
    clan_open_part(c, sys, spaces, pages, pages, options);
}

void clan_open_part(struct clan *c, const struct bench_system *sys, unsigned spaces, rmap_vpn_t mapped,
                    rmap_vpn_t pages, struct bench_options options)
{
    *c = (struct clan){.sys = sys, .spaces = spaces, .pages = pages};
    c->space = must_calloc(spaces, sizeof(struct bench_space *));
    c->page = must_calloc(pages, sizeof(struct rmap_page *));
    c->w = sys->open(&options);
    c->space[0] = sys->create(c->w);
    sys->map(c->space[0], 0, mapped);
    for (rmap_vpn_t v = 0; v < pages; v++) sys->write(c->space[0], v);
    clan_collect(c);
}

void clan_fork(struct clan *c)
{
    for (unsigned i = 1; i < c->spaces; i++) c->space[i] = c->sys->fork(c->space[0]);
}

void clan_collect(struct clan *c)
{
    for (rmap_vpn_t v = 0; v < c->pages; v++) {
        c->page[v] = c->sys->page(c->space[0], v);
        MUST_HOLD(c->page[v] != NULL);
    }
}

void clan_exit(struct clan *c, unsigned space)
{
    if (c->space[space]) c->sys->exit(c->space[space]);
    c->space[space] = NULL;
}

void clan_close(struct clan *c)
{
    for (unsigned i = c->spaces; i-- > 0;) clan_exit(c, i);
    c->sys->close(c->w);
    free(c->space);
    free(c->page);
}

void clan_mark(struct clan *c, unsigned space, enum rmap_pte_attr attr)
{
    const struct rmap_mmu *mmu = c->sys->mmu(c->space[space]);
    struct rmap_mmu_run run;
    for (rmap_vpn_t v = 0; v < c->pages; v = run.first + run.count) {
        if (mmu->ops->run_find(mmu->ctx, v, c->pages, &run)) return; /* no more tables */
        for (uint32_t i = 0; i < run.count; i++) {
            const rmap_pte_t e = rmap_run_get(mmu, &run, i);
            if (rmap_pte_present(mmu->ops->format, e))
                rmap_run_exchange(mmu, &run, i, rmap_pte_set(mmu->ops->format, e, attr, true));
        }
        mmu->ops->run_unlock(mmu->ctx, &run);
    }
}

struct raw_page *clan_raw(const struct clan *c, const uint32_t *order, size_t n)
{
    const struct rmap_mmu *mmu = c->sys->mmu(c->space[0]);
    struct raw_page *raw = must_calloc(n, sizeof *raw);
    for (size_t i = 0; i < n; i++) {
        const rmap_vpn_t v = order ? order[i] : i;
        raw[i] = (struct raw_page){c->page[v], rmap_pte_pfn(mmu->ops->format, rmap_radix_peek(mmu, v))};
    }
    return raw;
}

uint32_t *shuffled(size_t n)
{
    uint32_t *order = must_calloc(n, sizeof *order);
    struct prng rng;
    prng_init(&rng, 6);
    for (size_t i = 0; i < n; i++) {
        const size_t at = prng_below(&rng, i + 1);
        order[i] = order[at];
        order[at] = (uint32_t)i;
    }
    return order;
}

double verb_ns(const struct clan *c, enum bench_verb verb, struct rmap_page *const *pages, size_t n, size_t batch,
               struct bench_tally *tally)
{
    const double start = cpu_ns();
    verb_run(c, verb, pages, n, batch, tally);
    return cpu_ns() - start;
}

double verb_ns_within(const struct clan *c, enum bench_verb verb, struct rmap_page *const *pages, size_t n,
                      size_t batch, double budget, struct bench_tally *tally, size_t *done)
{
    double ns = 0;
    size_t chunk = batch;
    /* The clock is read ever more rarely, so that it is not what a fast system is measured by. */
    for (*done = 0; *done < n && ns < budget; chunk *= 2) {
        if (chunk > n - *done) chunk = n - *done;
        ns += verb_ns(c, verb, pages + *done, chunk, batch, tally);
        *done += chunk;
    }
    return ns;
}

double look_cost(const struct clan *c, struct rmap_page *const *pages, size_t n, size_t batch)
{
    struct bench_tally tally = {0};
    double ns = 0;
    size_t looked = 0;
    for (size_t part = 0; part < 16; part++) {
        const size_t at = n * part / 16, count = n - at < batch ? n - at : batch;
        ns += verb_ns(c, BENCH_LOOK, pages + at, count, batch, &tally);
        looked += count;
    }
    return ns / (double)looked;
}

double sample_budget(void)
{
    return bench_settings.quick ? 5e6 : 25e6;
}

void figures_put(struct figures *f, double ns)
{
    MUST_HOLD(f->put - f->taken < FIGURES_MAX);
    f->value[f->put++ % FIGURES_MAX] = ns;
}

double figures_take(void *figures)
{
    struct figures *f = figures;
    if (f->taken == f->put) { /* the first row is not wanted, or cannot */
        const double ns = f->sample(f->ctx);
        if (ns < 0) return ns;
    }
    return f->value[f->taken++ % FIGURES_MAX];
}
