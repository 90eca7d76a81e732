/* SPDX-License-Identifier: MIT */
/*
 * connection.h - how this example speaks to SQLite, the same for branches and
 * references: hardened against hostile schemas, small caches, and every
 * statement reduced to an outcome that two sides can compare.
 */
#ifndef EXAMPLES_SQLITE_CONNECTION_H
#define EXAMPLES_SQLITE_CONNECTION_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The extended result code, and a digest of the rows, or of what changed. */
struct outcome {
    int code;
    uint64_t digest;
};

/* NULL if it cannot be opened. */
sqlite3 *connection_open_file(const char *path);

/*
 * Opens the image at `base` in place: `used` bytes of database in a buffer of
 * `capacity` bytes that stays the caller's.  Growth past it is SQLITE_FULL.
 */
sqlite3 *connection_open_memory(unsigned char *base, size_t used, size_t capacity);

/* Bytes of the database that connection_open_memory() opened, as they stand. */
size_t connection_used(sqlite3 *db);

/*
 * False, and not closed, if a statement is still open.  Only after true may
 * the memory move: deserializing over an open statement reports success and
 * crashes later.
 */
bool connection_close(sqlite3 *db);

/* Runs one statement to its end; nothing stays open. */
struct outcome connection_run(sqlite3 *db, const char *sql);

/* True if PRAGMA integrity_check says ok; else a message from sqlite3_malloc. */
bool connection_intact(sqlite3 *db, char **message);

#endif
