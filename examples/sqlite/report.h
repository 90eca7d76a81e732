/* SPDX-License-Identifier: MIT */
/*
 * report.h - the end of a run: a table for people, beside what the same
 * branches cost as plain copies and with a back pointer per mapping, and the
 * RESULT line for programs.
 */
#ifndef EXAMPLES_SQLITE_REPORT_H
#define EXAMPLES_SQLITE_REPORT_H

#include "contention.h"
#include "memory.h"

struct report {
    bool ok;
    uint64_t seed;
    enum store_move move;
    int branches;
    int branches_checked;
    int forks_of_forks;
    uint64_t image_bytes;
    uint64_t virtual_bytes; /* of all branches open at the end, the root included */
    uint64_t budget_bytes;
    struct store_gauges gauges; /* when the work ended, before the checks */
    struct store_stats stats;
    struct contention contention;
    double bytes_per_mapping;
    uint64_t sqlite_heap_peak;
    uint64_t peak_rss;
    double seconds;
};

void report_table(const struct report *report);

/* Spaces that an unmap walk visits for a page of one mapper, if the page has been looked up since it was left behind there. */
#define REPORT_LONE_VISITS_MOST 1.05
double report_lone_visits(const struct report *report);

/* The last line of the output. */
/* @return false if the output could not be written. */
bool report_result(const struct report *report);

#endif
