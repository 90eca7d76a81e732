/* SPDX-License-Identifier: MIT */
/*
 * tablehash.h - one hash of everything that a database says, used alike for
 * branches and for their references: types and values, row after row.
 */
#ifndef EXAMPLES_SQLITE_TABLEHASH_H
#define EXAMPLES_SQLITE_TABLEHASH_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

/* 128 bits of XXH3. */
struct tablehash {
    uint64_t low;
    uint64_t high;
};

/* A hash in the making: rows go in one by one.  NULL where memory is short. */
struct tablehash_state;

struct tablehash_state *tablehash_begin(void);
void tablehash_row(struct tablehash_state *state, sqlite3_stmt *stepped);
struct tablehash tablehash_end(struct tablehash_state *state);

/*
 * sqlite_schema and every table with a root page, shadow tables included, in
 * rowid or primary-key order.  Virtual tables have no rows of their own.
 * False, with a message from sqlite3_malloc, if a table cannot be read.
 */
bool tablehash_database(sqlite3 *db, struct tablehash *hash, char **message);

#endif
