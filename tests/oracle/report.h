/* SPDX-License-Identifier: MIT */
/**
 * @file oracle/report.h  What a player tells the program that started it, in memory that both see: a player is a process of its
 * own, so that an assertion, a crash or a hang of the library is a finding like any other, and can be shrunk.
 */
#ifndef RMAP_TESTS_ORACLE_REPORT_H
#define RMAP_TESTS_ORACLE_REPORT_H

#include "oracle/program.h"

/** What is not done, for the test's own sake. */
struct slackness {
    enum step_kind leave_out; /* the library is not told of these; STEP_KINDS: it is told of all */
    bool no_books;            /* nor asked whether it is sound */
};

/** How a player ends, but for signals. */
enum player_status { PLAYER_FINE, PLAYER_FOUND, PLAYER_TROUBLE, PLAYER_GAVE_UP };

struct report {
    uint64_t seed;   /* of the program that is being played */
    uint64_t step;   /* of it, from 0 */
    char text[1024]; /* the finding, the trouble, or why it gave up */
    /* sums */
    uint64_t programs;
    uint64_t steps;           /* in which something was done on both sides; not the library's alone */
    uint64_t operations;      /* what they came to: a step is split, or finds nothing to do */
    uint64_t refused;         /* operations that both sides refused, for the same reason */
    uint64_t classes, shared; /* sharing classes compared; pages that were not the first of theirs */
    uint64_t contents;
    uint64_t copied, copied_late;     /* pages that COPY duplicated: by the move; at the swap-in (S10) */
    uint64_t tracked;                 /* shared pages that a move left shared */
    uint64_t on_swap;                 /* entries found on swap */
    uint64_t zero_dropped;            /* zero pages that the kernel's fork did not pass on */
    uint64_t kpage_same, kpage_other; /* kpagecount against the class's size: advisory */
    uint64_t again;                   /* looked again, as frames were on their way */
};

/** Where trouble() and found() write; NULL: stderr. */
extern struct report *report;

#endif
