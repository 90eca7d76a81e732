/* SPDX-License-Identifier: MIT */
/*
 * crew.h - the threads that work on branches: tasks are numbers, each done by
 * one thread, in the order in which they are given as far as there are hands.
 * A crew of one is the caller itself, so that such a run repeats exactly.
 */
#ifndef EXAMPLES_SQLITE_CREW_H
#define EXAMPLES_SQLITE_CREW_H

#include <stdint.h>

#define CREW_MOST 64

struct crew;

/* What a thread had and did, since some moment. */
struct crew_use {
    uint64_t tasks;
    uint64_t faults;
    double task_seconds;             /* by the clock: waiting for locks, for I/O and for a processor is in it */
    double cpu_seconds;              /* of the processor, faults included */
    uint64_t voluntary, involuntary; /* context switches: it waited, or was made to */
};

/* `task` runs in any thread of the crew; `idle` only in the caller's, now and then while it waits.  Fails the run. */
struct crew *crew_start(int threads, void (*task)(void *context, int number), void (*idle)(void *context),
                        void *context);

/* From any thread, also from within a task.  Fails the run where memory is short. */
void crew_give(struct crew *crew, int number);

/* Until all tasks that were given, and those that they gave, are done. */
void crew_wait(struct crew *crew);

/* Between tasks: what each of the crew has used since it was started. */
void crew_get_use(struct crew *crew, struct crew_use use[CREW_MOST]);

void crew_stop(struct crew *crew);

/* What the calling thread has used since it was born; tasks are left alone. */
void crew_use_here(struct crew_use *use);

#endif
