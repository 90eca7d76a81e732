/* SPDX-License-Identifier: MIT */
#include "schema.h"

#include <stddef.h>

/* Rows above this are not copied, or a few statements would double an image. */
#define LARGE_ROW_BYTES (64 << 10)
#define ROWID_RESERVE (1 << 24)

const char *schema_text_module(void)
{
    if (sqlite3_compileoption_used("ENABLE_FTS5")) return "fts5";
    if (sqlite3_compileoption_used("ENABLE_FTS4") || sqlite3_compileoption_used("ENABLE_FTS3")) return "fts4";
    return NULL;
}

/* Prepares and frees `sql`; NULL on failure. */
static sqlite3_stmt *query(sqlite3 *db, char *sql)
{
    sqlite3_stmt *statement = NULL;

    if (sql) sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    sqlite3_free(sql);
    return statement;
}

static const char *text_of(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    return text ? text : "";
}

/* The name of a rowid that no column hides; NULL if all three are hidden. */
static char *find_rowid(sqlite3 *db, const char *table)
{
    sqlite3_stmt *names =
        query(db, sqlite3_mprintf("SELECT column1 FROM (VALUES('rowid'),('_rowid_'),('oid')) "
                                  "WHERE column1 NOT IN (SELECT lower(name) FROM pragma_table_xinfo(%Q)) "
                                  "LIMIT 1",
                                  table));
    char *name = sqlite3_step(names) == SQLITE_ROW ? sqlite3_mprintf("%s", text_of(names, 0)) : NULL;

    sqlite3_finalize(names);
    return name;
}

/*
 * Columns that an INSERT may give: not generated, and not the alias of the
 * rowid, which then gets the next free number.  Returns the expression of a
 * row's length, or NULL.
 */
static char *find_columns(struct schema_table *table, sqlite3 *db, const char *name)
{
    sqlite3_stmt *info = query(db, sqlite3_mprintf("SELECT name, pk=1 AND upper(type)='INTEGER' AND "
                                                   "(SELECT max(pk) FROM pragma_table_xinfo(%Q))=1 "
                                                   "FROM pragma_table_xinfo(%Q) WHERE hidden=0",
                                                   name, name));
    char *length = sqlite3_mprintf("8");

    while (length && sqlite3_step(info) == SQLITE_ROW && table->column_count < SCHEMA_COLUMNS) {
        char *column, *columns;

        if (sqlite3_column_int(info, 1)) continue;
        column = sqlite3_mprintf("\"%w\"", text_of(info, 0));
        columns = sqlite3_mprintf("%z%s%s", table->columns, table->columns ? "," : "", column);
        length = sqlite3_mprintf("%z+ifnull(length(%s),0)", length, column);
        table->columns = columns;
        table->column[table->column_count++] = column;
    }
    sqlite3_finalize(info);
    return length;
}

static void table_fini(struct schema_table *table)
{
    for (int i = 0; i < table->column_count; i++) sqlite3_free(table->column[i]);
    sqlite3_free(table->columns);
    sqlite3_free(table->rowid);
    sqlite3_free(table->name);
    *table = (struct schema_table){0};
}

/* True if the table is of use: it has rows, a rowid and columns. */
static bool table_init(struct schema_table *table, sqlite3 *db, const char *name)
{
    sqlite3_stmt *facts;
    char *length;
    bool useful = false;

    table->name = sqlite3_mprintf("main.\"%w\"", name);
    table->rowid = find_rowid(db, name);
    length = find_columns(table, db, name);
    if (table->rowid && table->column_count && length) {
        facts = query(db, sqlite3_mprintf("SELECT count(*), min(%s), max(%s), avg(%s), max(%s) FROM %s", table->rowid,
                                          table->rowid, length, length, table->name));
        useful = sqlite3_step(facts) == SQLITE_ROW && sqlite3_column_int64(facts, 0) > 0;
        table->rowid_min = sqlite3_column_int64(facts, 1);
        table->rowid_max = sqlite3_column_int64(facts, 2);
        table->row_bytes = sqlite3_column_int64(facts, 3);
        /* Past the largest rowid SQLite picks numbers at random, which nobody could repeat. */
        table->no_copies =
            sqlite3_column_int64(facts, 4) > LARGE_ROW_BYTES || table->rowid_max > INT64_MAX - ROWID_RESERVE;
        if (table->row_bytes < 1) table->row_bytes = 1;
        sqlite3_finalize(facts);
    }
    sqlite3_free(length);
    if (!useful) table_fini(table);
    return useful;
}

/* A name that nothing in the image begins with, shadow tables to come included. */
static char *unused_name(sqlite3 *db, const char *wish)
{
    for (int attempt = 0; attempt < 1000; attempt++) {
        char *name = attempt ? sqlite3_mprintf("%s%d", wish, attempt) : sqlite3_mprintf("%s", wish);
        sqlite3_stmt *taken =
            query(db, sqlite3_mprintf("SELECT 1 FROM main.sqlite_schema WHERE substr(lower(name),1,length(%Q))=%Q",
                                      name, name));
        bool unused = sqlite3_step(taken) == SQLITE_DONE;

        sqlite3_finalize(taken);
        if (unused) return name;
        sqlite3_free(name);
    }
    return NULL;
}

/* Our own table, as workload_setup() will make it. */
static bool own_table(struct schema_table *table, sqlite3 *db)
{
    char *name = unused_name(db, "branch_note");

    *table = (struct schema_table){.rowid_min = 1, .rowid_max = 400, .row_bytes = 500, .column_count = 2};
    table->name = name;
    table->rowid = sqlite3_mprintf("id");
    table->columns = sqlite3_mprintf("origin,body");
    table->column[0] = sqlite3_mprintf("origin");
    table->column[1] = sqlite3_mprintf("body");
    return table->name && table->rowid && table->columns && table->column[0] && table->column[1];
}

bool schema_explore(struct schema *schema, sqlite3 *db, const char *text, int64_t image_bytes)
{
    static const char list[] = "SELECT name FROM pragma_table_list WHERE schema='main' AND type='table' AND wr=0 "
                               "AND ncol<=%d AND substr(lower(name),1,7)<>'sqlite_' ORDER BY name";
    sqlite3_stmt *names;
    int code = SQLITE_ERROR;

    *schema = (struct schema){.module = schema_text_module(), .image_bytes = image_bytes, .text_rows = 100};
    if (!own_table(&schema->tables[schema->table_count++], db)) return false;
    names = query(db, sqlite3_mprintf(list, SCHEMA_COLUMNS));
    while (schema->table_count < SCHEMA_TABLES && (code = sqlite3_step(names)) == SQLITE_ROW)
        schema->table_count += table_init(&schema->tables[schema->table_count], db, text_of(names, 0));
    sqlite3_finalize(names);
    if (schema->module) {
        schema->text_exists = text != NULL;
        schema->text = text ? sqlite3_mprintf("%s", text) : unused_name(db, "branch_text");
    }
    if (schema->text_exists) {
        sqlite3_stmt *rows = query(db, sqlite3_mprintf("SELECT max(rowid) FROM %s", text));
        if (sqlite3_step(rows) == SQLITE_ROW) schema->text_rows = sqlite3_column_int64(rows, 0);
        sqlite3_finalize(rows);
    }
    return code == SQLITE_DONE || code == SQLITE_ROW;
}

void schema_fini(struct schema *schema)
{
    for (int i = 0; i < schema->table_count; i++) table_fini(&schema->tables[i]);
    sqlite3_free(schema->text);
    *schema = (struct schema){0};
}
