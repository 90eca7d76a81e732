/* SPDX-License-Identifier: MIT */
/**
 * @file bench/recording.h  A trace of real programs (replay/trace.h) as calls of bench/system.h, made ready before a clock runs.
 *
 * Systems want regions that touch no other. A recorded mapping keeps its place where that is so, and else gets one of its own
 * behind all others, from where its pages' faults, moves and unmaps are told. Left out is what these systems do not have:
 * shared mappings, protections, read faults (the zero page). DONTNEED is an unmap and a map. The spaces that still live exit.
 */
#ifndef RMAP_TESTS_BENCH_RECORDING_H
#define RMAP_TESTS_BENCH_RECORDING_H

#include "replay/trace.h"

enum step_verb { STEP_CREATE, STEP_FORK, STEP_EXIT, STEP_MAP, STEP_UNMAP, STEP_MOVE, STEP_WRITE, STEP_VERBS };

struct step {
    enum step_verb verb;
    uint32_t space;      /**< below struct recording's `spaces` */
    uint32_t child;      /**< of STEP_FORK */
    uint64_t vpn, count; /**< a write has no count */
    uint64_t to;         /**< of STEP_MOVE: free, and touches nothing */
};

struct recording {
    struct step *step;
    size_t steps, room;
    uint32_t spaces;     /**< numbers given out */
    uint64_t pages_peak; /**< touched, summed over the spaces: no more frames than that are in use */
    uint64_t counts[STEP_VERBS];
};

/** @return 0 with *out, for recording_fini(); -1 with *error: malformed, or no file. */
int recording_read(const char *path, struct recording *out, struct trace_error *error);
void recording_fini(struct recording *r);

#endif
