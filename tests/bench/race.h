/* SPDX-License-Identifier: MIT */
/**
 * @file bench/race.h  The same work in one thread and in two, timed by turns, and what that says: rates, spread, ratio.
 *
 * A *course* is one kind of work. Each thread has its own share of it (its own pages, its own spaces); what they have in
 * common, a group or a lock, is what is measured. A *lap* is one thread's whole share, done once.
 */
#ifndef RMAP_TESTS_BENCH_RACE_H
#define RMAP_TESTS_BENCH_RACE_H

#include <stdbool.h>
#include <stdint.h>

#define RACE_THREADS 2

struct course {
    const char *name;
    const char *unit;                            /**< what is counted: "pages" */
    unsigned groups;                             /**< that the threads' spaces belong to; 0: not told */
    unsigned mappers;                            /**< of each page; 0: not told */
    uint64_t per_lap;                            /**< units */
    void (*prepare)(void *ctx, unsigned thread); /**< before each lap, untimed, one thread at a time; may be NULL */
    void (*lap)(void *ctx, unsigned thread);     /**< timed */
    void *ctx;
};

struct rate {
    double median, low, high; /**< units a second of all threads together; low, high: the quartiles */
    double cpu_ns;            /**< processor time for a unit, median: what others on the machine took is not in it */
    unsigned laps;
};

struct race_result {
    struct rate rate[RACE_THREADS]; /**< by one thread, by two */
    double ratio;                   /**< of the medians: two threads to one */
};

/**
 * Race over all courses for about `seconds`, at least three rounds: in each round every course, with one thread and with
 * two, the order turned round each time. So a machine that changes its pace changes all of them.
 */
void race(const struct course *courses, unsigned count, double seconds, struct race_result *results);

void race_head(bool json);
void race_print(const struct course *course, const struct race_result *result, bool json);

#endif
