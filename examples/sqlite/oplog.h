/* SPDX-License-Identifier: MIT */
/*
 * oplog.h - what was done to one branch, in order, with the outcomes: all
 * that a reference needs to do the same.  Packed, because a fork copies it.
 */
#ifndef EXAMPLES_SQLITE_OPLOG_H
#define EXAMPLES_SQLITE_OPLOG_H

#include "connection.h"

enum oplog_kind {
    OPLOG_STATEMENT, /* BEGIN, COMMIT and ROLLBACK are statements like others */
    OPLOG_REOPEN,    /* the connection was closed and opened again, or forked */
    OPLOG_ABANDON,   /* the range was full: rolled back, closed, moved, opened */
};

struct oplog {
    unsigned char *bytes;
    size_t length;
    size_t capacity;
};

struct oplog_entry {
    enum oplog_kind kind;
    struct outcome outcome; /* of a statement */
    const char *sql;        /* of a statement; lies in the log */
};

/* These three fail the run where memory is short. */
void oplog_append(struct oplog *log, enum oplog_kind kind, struct outcome outcome, const char *sql);
void oplog_mark(struct oplog *log, enum oplog_kind kind);
void oplog_copy(struct oplog *to, const struct oplog *from);

/* Reads the entry at *position and moves on; false at the end. */
bool oplog_next(const struct oplog *log, size_t *position, struct oplog_entry *entry);

void oplog_fini(struct oplog *log);

#endif
