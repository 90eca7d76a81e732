/* SPDX-License-Identifier: MIT */
/**
 * @file bench/clan.h  What scenarios are made of: a parent with written pages and its children, in a world of one system; lists
 * of contestants; verbs on many pages, timed.
 *
 *     space[0]  pages [0, n) written  ──fork──▶ space[1] … space[k - 1], which share them all
 */
#ifndef RMAP_TESTS_BENCH_CLAN_H
#define RMAP_TESTS_BENCH_CLAN_H

#include "bench/measure.h"
#include "bench/raw.h"
#include "bench/system.h"
#include "scale/must.h"
#include "support/prng.h"

#define BATCH 512

struct clan {
    const struct bench_system *sys;
    struct bench_world *w;
    struct bench_space **space; /* NULL: has exited */
    unsigned spaces;
    rmap_vpn_t pages;
    struct rmap_page **page; /* by number, as space[0] shows it */
};

/** A world with one space, whose pages [0, pages) are mapped and written; `spaces` is room for so many. */
void clan_open(struct clan *c, const struct bench_system *sys, unsigned spaces, rmap_vpn_t pages,
               struct bench_options options);
/** The same, but [0, mapped) is mapped and only [0, pages) written. */
void clan_open_part(struct clan *c, const struct bench_system *sys, unsigned spaces, rmap_vpn_t mapped,
                    rmap_vpn_t pages, struct bench_options options);
/** Fork the parent into space[1 … spaces - 1]. */
void clan_fork(struct clan *c);
/** The pages are others now: read page[] from space[0] again. */
void clan_collect(struct clan *c);
/** Exit a space; nothing if it has exited. */
void clan_exit(struct clan *c, unsigned space);
/** Exit all that still live, close the world. */
void clan_close(struct clan *c);

/** Set an attribute in every present entry of [0, pages), as a processor or a fault would. */
void clan_mark(struct clan *c, unsigned space, enum rmap_pte_attr attr);
/** raw's view of the pages, in the order of `order` (NULL: by number); malloc'ed. */
struct raw_page *clan_raw(const struct clan *c, const uint32_t *order, size_t n);
/** Root of a space's tables. */
static inline uint64_t clan_root(const struct clan *c, unsigned space)
{
    return rmap_radix_root(c->sys->mmu(c->space[space]));
}

/** Numbers 0 … n - 1 shuffled, always the same way; malloc'ed. */
uint32_t *shuffled(size_t n);

/** One verb on pages in batches. `tally` is added to. */
static inline void verb_run(const struct clan *c, enum bench_verb verb, struct rmap_page *const *pages, size_t n,
                            size_t batch, struct bench_tally *tally)
{
    for (size_t i = 0; i < n; i += batch) c->sys->verb(c->w, verb, pages + i, n - i < batch ? n - i : batch, tally);
}
/** The same. @return ns. */
double verb_ns(const struct clan *c, enum bench_verb verb, struct rmap_page *const *pages, size_t n, size_t batch,
               struct bench_tally *tally);
/** The same, but at most for about `budget` ns, at least one batch: batches are done from the front. `done`: pages. */
double verb_ns_within(const struct clan *c, enum bench_verb verb, struct rmap_page *const *pages, size_t n,
                      size_t batch, double budget, struct bench_tally *tally, size_t *done);
/** What a look at a page costs, in ns, about: at a few pages spread over all. */
double look_cost(const struct clan *c, struct rmap_page *const *pages, size_t n, size_t batch);
/** How long a sample should take: of fast systems; a slow one's takes fewer pages, but no less than one batch. */
double sample_budget(void);

/** How often to do a thing of which so many fit the budget, if each time other things must be done, too: 1 to 8 times. */
static inline unsigned times_within(double fit)
{
    return fit < 1 ? 1 : fit > 8 ? 8 : (unsigned)fit;
}

/** calloc that ends the program. */
void *must_calloc(size_t n, size_t bytes);

/** A list of contestants that grows. */
struct cast {
    struct contestant list[24];
    unsigned n;
};
static inline void cast_add(struct cast *c, const char *system, double (*sample)(void *ctx), void *ctx)
{
    MUST_HOLD(c->n + 1 < sizeof c->list / sizeof *c->list);
    c->list[c->n++] = (struct contestant){.system = system, .sample = sample, .ctx = ctx};
}
static inline void cast_join(struct cast *c, struct contestant other)
{
    cast_add(c, other.system, other.sample, other.ctx);
}
unsigned systems_count(void);

/**
 * A sample that yields several figures: the first row takes it, the others are given what it put by. Room for the
 * figures of rounds not yet taken.
 */
#define FIGURES_MAX 128
struct figures {
    double (*sample)(void *ctx); /* calls figures_put() once for each of the others */
    void *ctx;
    double value[FIGURES_MAX];
    unsigned put, taken;
};
void figures_put(struct figures *f, double ns);
/** A contestant's sample function over a struct figures. */
double figures_take(void *figures);

#endif
