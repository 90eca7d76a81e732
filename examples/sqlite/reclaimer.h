/* SPDX-License-Identifier: MIT */
/*
 * reclaimer.h - a thread that keeps some frames free, so that the branches'
 * threads seldom have to reclaim in the middle of a fault.
 */
#ifndef EXAMPLES_SQLITE_RECLAIMER_H
#define EXAMPLES_SQLITE_RECLAIMER_H

#include "crew.h"
#include "memory.h"

struct reclaimer;

struct reclaimer_use {
    uint64_t calls;      /* of store_reclaim() */
    uint64_t frames;     /* that they freed */
    struct crew_use use; /* tasks are looks at the free frames */
};

/* Fails the run where no thread can be started. */
struct reclaimer *reclaimer_start(struct store *store, size_t budget_bytes);

/* Adds what it used. */
void reclaimer_stop(struct reclaimer *reclaimer, struct reclaimer_use *use);

#endif
