/* SPDX-License-Identifier: MIT */
/**
 * @file bench/looker.h  Look-ups repeated over the same pages of one system's world, for as long as a sample should take; and the
 * descents of raw.h over the same pages.
 */
#ifndef RMAP_TESTS_BENCH_LOOKER_H
#define RMAP_TESTS_BENCH_LOOKER_H

#include "bench/clan.h"

/** A lap takes the first `n` pages, as many as fit the budget. */
struct looker {
    const struct clan *clan;
    struct rmap_page **page; /* the looker's own list */
    size_t n, batch;
    unsigned laps;
    struct bench_tally tally; /* of one lap: they are all alike */
};

/** Look at pages[0 … n - 1], `batch` at a time, in about `budget` ns, see sample_budget(). They are looked at here first, so that
 *  samples see what later looks cost. */
void looker_init(struct looker *l, const struct clan *clan, struct rmap_page *const *pages, size_t n, size_t batch,
                 double budget);
void looker_fini(struct looker *l);
/** ns of one lap. */
double looker_lap(const struct looker *l);
/** Sample functions over a struct looker: ns an entry found, ns a page. */
double looker_by_entry(void *looker);
double looker_by_page(void *looker);

/** Descents from the same roots for all pages. */
struct raw_looker {
    struct raw_page *page;
    uint64_t *root;
    size_t n, roots;
    unsigned laps;
};
/** All spaces of the clan, for the first `n` of pages in the order of `order` (NULL: by number). */
void raw_looker_init(struct raw_looker *r, const struct clan *clan, const uint32_t *order, size_t n, unsigned laps);
void raw_looker_fini(struct raw_looker *r);
/** ns an entry; by raw_look, by raw_look_serial. */
double raw_looker_by_entry(void *raw);
double raw_looker_serial(void *raw);

#endif
