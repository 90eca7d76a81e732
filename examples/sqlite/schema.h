/* SPDX-License-Identifier: MIT */
/*
 * schema.h - what a database offers to a workload: the tables that plain SQL
 * may read and change, found once, before anything runs.
 */
#ifndef EXAMPLES_SQLITE_SCHEMA_H
#define EXAMPLES_SQLITE_SCHEMA_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#define SCHEMA_TABLES 48
#define SCHEMA_COLUMNS 32

/* An ordinary rowid table; all strings are sqlite3_malloc's. */
struct schema_table {
    char *name;                   /* quoted where it is the image's, like all names here */
    char *rowid;                  /* a name for the rowid that no column hides */
    char *columns;                /* those that an INSERT may give, with commas */
    char *column[SCHEMA_COLUMNS]; /* the same, one by one */
    int column_count;
    int64_t rowid_min;
    int64_t rowid_max;
    int64_t row_bytes; /* on average, at least 1 */
    bool no_copies;    /* rows too large, or rowids too high, to add more */
};

struct schema {
    struct schema_table tables[SCHEMA_TABLES]; /* the first one is our own */
    int table_count;
    char *text;          /* the full-text table that may be written; NULL: none */
    const char *module;  /* its module */
    bool text_exists;    /* else it is to be made */
    int64_t text_rows;   /* about so many */
    int64_t image_bytes; /* to keep the work in proportion */
};

/* The best full-text module of this SQLite, fts5 or fts4; NULL without any. */
const char *schema_text_module(void);

/*
 * `text` names a full-text table of the image itself, or is NULL.  Tables of
 * unknown kinds, shadow tables and tables without rowid are left alone.
 * False, with errmsg of `db`, where the schema cannot be read.
 */
bool schema_explore(struct schema *schema, sqlite3 *db, const char *text, int64_t image_bytes);

void schema_fini(struct schema *schema);

#endif
