/* SPDX-License-Identifier: MIT */
/*
 * contention.h - what the threads of the work had and waited for.
 *
 * The time of one thread can only be had by a run with --threads 1: the sum
 * of what several used is near it only if they neither waited for each other
 * nor pushed each other's data out of the caches.
 */
#ifndef EXAMPLES_SQLITE_CONTENTION_H
#define EXAMPLES_SQLITE_CONTENTION_H

#include "crew.h"
#include "reclaimer.h"

struct contention {
    int threads;
    double work_seconds;               /* by the clock: all rounds, without the checks that follow */
    struct crew_use use[CREW_MOST];    /* of each thread, in that time */
    struct reclaimer_use work_reclaim; /* likewise, of the thread that reclaims */
    struct reclaimer_use reclaim;      /* with the checks */
    double reference_cpu_seconds;      /* of the judge, which is not the subject, but needs a processor, too */
};

/* `stats`: of the whole run, by all threads. */
void contention_table(const struct contention *contention, const struct store_stats *stats);

/* Fields of the RESULT line, each with its comma in front. */
void contention_result(const struct contention *contention, const struct store_stats *stats);

#endif
