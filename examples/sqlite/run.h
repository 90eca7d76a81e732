/* SPDX-License-Identifier: MIT */
/*
 * run.h - one run of the example: its parts, and what its threads share.
 *
 * Between crew_wait() and the next crew_give() the main thread is alone with
 * everything.  Else a branch is its task's, `mutex` guards what says so, and
 * the rest does not change.
 */
#ifndef EXAMPLES_SQLITE_RUN_H
#define EXAMPLES_SQLITE_RUN_H

#include "attribution.h"
#include "branch.h"
#include "crew.h"
#include "image.h"
#include "options.h"
#include "reclaimer.h"
#include "reference.h"
#include "report.h"
#include "svg.h"

#include <pthread.h>

struct birth {
    int round;
    int parent; /* number of the branch, 0 is the root */
};

struct run {
    struct options options;
    struct image image;
    struct store *store;
    struct reference *reference;
    struct crew *crew;
    struct reclaimer *reclaimer; /* NULL: nobody but who needs a frame */
    struct branch root;
    struct branch *branches; /* [options.branches], in the order of birth */
    struct birth *born;      /* of each */
    int count;               /* how many were made, or are in this round */
    int born_before;         /* of those, before this round */
    int round;
    uint64_t random;
    pthread_mutex_t mutex;
    int open;          /* mutex */
    int checked;       /* mutex */
    int submitted;     /* mutex: of those, to the reference */
    char failure[512]; /* mutex: the first one */
    struct svg_series series;
    struct store_gauges gauges;     /* at the last sample */
    struct attribution attribution; /* when the work ended */
    struct report report;
};

static inline bool is_open(const struct branch *branch)
{
    return branch->db != NULL;
}

/* The first failure is the one to tell; the others may follow from it.  From any thread. */
void run_note_failure(struct run *run, bool failed, const char *what, const char *why);

/* Samples for the picture, and the line that shows that the run lives.  Main thread. */
void run_tick(struct run *run);

/* All rounds: branches are made and work, some are closed. */
void run_work(struct run *run);

/* Every open branch and the root: intact, and its hash to the reference. */
void run_check(struct run *run);

#endif
