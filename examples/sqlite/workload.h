/* SPDX-License-Identifier: MIT */
/*
 * workload.h - seeded transactions over any database: rows of its tables
 * copied, deleted and changed to what other rows hold, notes and full-text
 * rows in tables of ours, and queries over all of them.  Every statement is
 * plain text, so that a reference can repeat it; an error raised by the
 * image's own constraints is an outcome like any other.
 */
#ifndef EXAMPLES_SQLITE_WORKLOAD_H
#define EXAMPLES_SQLITE_WORKLOAD_H

#include "schema.h"

#define SCRIPT_STATEMENTS 32

/* Statements that run as one transaction; the strings are sqlite3_malloc's. */
struct script {
    char *statements[SCRIPT_STATEMENTS];
    int count;
};

enum workload_size { WORKLOAD_SMALL, WORKLOAD_GROW };

/* The root's first transaction: makes and fills the tables of ours. */
void workload_setup(const struct schema *schema, struct script *script);

/*
 * One more transaction, a few of which roll back.  WORKLOAD_GROW adds enough
 * for a branch to outgrow its range within a few of them.  Bounded either
 * way: the rollback journal is in memory.
 */
void workload_transaction(const struct schema *schema, uint64_t *random, enum workload_size size,
                          struct script *script);

void script_fini(struct script *script);

#endif
