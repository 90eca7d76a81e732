/* SPDX-License-Identifier: MIT */
/**
 * @file replay/figures.h  What a replay cost, in counts of the library's own: the trace's part, without that of checks.
 */
#ifndef RMAP_TESTS_REPLAY_FIGURES_H
#define RMAP_TESTS_REPLAY_FIGURES_H

#include <objrmap/pager.h>
#include <stdbool.h>
#include <stdio.h>

/* Counters of rmap_pager_stats, by name. */
#define REPLAY_COUNTERS(X)                                                                                             \
    X(faults)                                                                                                          \
    X(faults_minor)                                                                                                    \
    X(zero_maps)                                                                                                       \
    X(anon_new)                                                                                                        \
    X(cow_copies)                                                                                                      \
    X(cow_reuses)                                                                                                      \
    X(evictions)                                                                                                       \
    X(shared_evictions)                                                                                                \
    X(reclaim_failures)                                                                                                \
    X(swap_outs)                                                                                                       \
    X(swap_ins)                                                                                                        \
    X(swap_in_cached)                                                                                                  \
    X(swap_in_copies)                                                                                                  \
    X(moves)                                                                                                           \
    X(moves_reindexed)                                                                                                 \
    X(moves_copied)                                                                                                    \
    X(moves_tracked)                                                                                                   \
    X(moves_swap)

struct figures_walks {
    uint64_t walks, visits, hits;
};

/** Nothing but uint64_t: they are added and subtracted as an array. */
struct figures {
#define REPLAY_FIELD(name) uint64_t name;
    REPLAY_COUNTERS(REPLAY_FIELD)
#undef REPLAY_FIELD
    struct figures_walks by_mappers[RMAP_MAPPER_CLASSES]; /**< of all verbs; mappers when the walk began */
    struct figures_walks first_lookups;                   /**< see rmap_stats */
};

/** What the pager has counted until now. @return 0 or the library's error */
int figures_take(struct rmap_pager *p, struct figures *out);
/** to += plus - minus. */
void figures_add(struct figures *to, const struct figures *plus, const struct figures *minus);

/** What else is known of a run. */
struct figures_run {
    const char *trace, *move, *swap;
    uint64_t events, spaces, forks, spaces_peak;
    uint64_t skipped_maps, skipped_ranges, skipped_faults;
    uint64_t memory_percent, peak_frames, budget_frames, used_frames_peak, slots_peak;
    uint64_t pages_checked, verifications;
};

void figures_print(const struct figures *f, const struct figures_run *run, FILE *to);
/** One object on one line. */
void figures_print_json(const struct figures *f, const struct figures_run *run, FILE *to);

#endif
