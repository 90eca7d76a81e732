/* SPDX-License-Identifier: MIT */
/*
 * reference.h - the judge: for each branch, an ordinary copy of the image on
 * disk, plain SQLite, the branch's log replayed, the same hash.  One copy at
 * a time, in a thread of its own that never touches a branch's memory.
 */
#ifndef EXAMPLES_SQLITE_REFERENCE_H
#define EXAMPLES_SQLITE_REFERENCE_H

#include "oplog.h"
#include "tablehash.h"

struct reference;

/* Fails the run where no thread can be started. */
struct reference *reference_start(const char *image_path);

/*
 * Hands over a copy of the log and the hash to be met; waits while many are
 * queued.  `branch` is a number for messages; 0 is the root.
 */
void reference_submit(struct reference *reference, int branch, const struct oplog *log, struct tablehash hash);

/* Processor time of its thread so far. */
double reference_cpu_seconds(struct reference *reference);

/* How many were judged so far, right or wrong. */
int reference_judged(struct reference *reference);

/*
 * Waits for all, ends the thread and frees everything.  Returns how many
 * branches, the root apart, were right; `message` names the first wrong one.
 */
int reference_finish(struct reference *reference, char *message, size_t message_bytes);

#endif
