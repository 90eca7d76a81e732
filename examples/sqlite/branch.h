/* SPDX-License-Identifier: MIT */
/*
 * branch.h - one branch of the database: its memory, the connection that has
 * the memory open in place, and the log of all that was done to it.
 *
 * A move or a fork of the memory happens only between transactions; a move
 * only while the connection is closed.
 */
#ifndef EXAMPLES_SQLITE_BRANCH_H
#define EXAMPLES_SQLITE_BRANCH_H

#include "memory.h"
#include "oplog.h"
#include "tablehash.h"
#include "workload.h"

struct branch {
    struct branch_memory *memory;
    sqlite3 *db;
    struct oplog log;
    uint64_t random;
    size_t range_limit; /* no move beyond this */
};

/* The first one: loads the image file.  `slack` bytes are left to grow into. */
void branch_init_root(struct branch *branch, struct store *store, const char *image_path, size_t image_bytes,
                      size_t slack, size_t range_limit);

/* A child of `parent` as it stands, with its log so far. */
void branch_init_fork(struct branch *branch, struct branch *parent);

/* Runs the script; where the range is full, moves to a larger one and runs it again. */
void branch_run(struct branch *branch, const struct script *script);

/* Closes and opens the connection, as an application would. */
void branch_reopen(struct branch *branch);

/* Integrity and hash; false with a message from sqlite3_malloc. */
bool branch_check(struct branch *branch, struct tablehash *hash, char **message);

void branch_fini(struct branch *branch);

#endif
