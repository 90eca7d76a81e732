/* SPDX-License-Identifier: MIT */
/** @file scale/table.h  The rows, the one table that they print, and their bounds: counts, never times. */
#ifndef RMAP_TESTS_SCALE_TABLE_H
#define RMAP_TESTS_SCALE_TABLE_H

#include "scale/crowd.h"

/** Fork-tree objects of a space, all included. */
#define TREE_BYTES_MOST 256

/** One line of the table. A bound of 0 is none. */
struct line {
    const char *scenario, *what;
    const struct tally *tally;
    uint64_t spaces, pages;
    double bytes_per_space; /* bound by TREE_BYTES_MOST; 0: not shown */
    double visits_most;     /* a walk */
    double nodes_most;      /* a walk */
    double per_mapper_most; /* visits for each mapping found */
    const char *of;         /* something else that is counted, and bound; NULL: nothing */
    double value, value_most;
};

void table_begin(void);
void table_line(const struct line *line);
/** Bounds broken so far. */
unsigned table_broken(void);

/** "what" of a line with numbers in it; lives until the fourth call after it. */
const char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** A row begins. */
void progress_begin(const char *row);
/** `done` of `of` steps: a word on stderr now and then, if the row takes long. */
void progress(const char *what, uint64_t done, uint64_t of);

/* The rows: scenario numbers and the size, full or --quick. */
void row_private(bool quick); /* G1 */
void row_moves(bool quick);   /* G2 */
void row_zygote(bool quick);  /* G3 */
void row_chain(bool quick);   /* G4 */
void row_left(bool quick);    /* G5 */
void row_regions(bool quick); /* G6 */
void row_sharers(bool quick); /* A9 */
void row_writer(bool quick);  /* a parent that writes between forks */
void row_star(bool quick);    /* the known weakness */

#endif
