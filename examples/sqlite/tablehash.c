/* SPDX-License-Identifier: MIT */
#include "tablehash.h"

#include <string.h>
#define XXH_INLINE_ALL /* the header alone: nothing to link */
#include <xxhash.h>

/* struct tablehash_state is never defined: it is the header's state by another name. */

static void add_value(XXH3_state_t *xxh, sqlite3_stmt *statement, int column)
{
    unsigned char head[9];
    uint64_t word = 0;
    const void *bytes = NULL;

    head[0] = (unsigned char)sqlite3_column_type(statement, column);
    switch (head[0]) {
    case SQLITE_INTEGER:
        word = (uint64_t)sqlite3_column_int64(statement, column);
        break;
    case SQLITE_FLOAT: {
        double number = sqlite3_column_double(statement, column);
        memcpy(&word, &number, sizeof word);
        break;
    }
    case SQLITE_TEXT:
    case SQLITE_BLOB:
        /* As a blob: no conversion, whatever the database's encoding. */
        bytes = sqlite3_column_blob(statement, column);
        word = (uint64_t)sqlite3_column_bytes(statement, column);
        break;
    default:
        break;
    }
    memcpy(head + 1, &word, sizeof word);
    XXH3_128bits_update(xxh, head, sizeof head);
    if (bytes && word) XXH3_128bits_update(xxh, bytes, (size_t)word);
}

struct tablehash_state *tablehash_begin(void)
{
    XXH3_state_t *xxh = XXH3_createState();

    if (xxh) XXH3_128bits_reset(xxh);
    return (struct tablehash_state *)xxh;
}

void tablehash_row(struct tablehash_state *state, sqlite3_stmt *stepped)
{
    int columns = sqlite3_column_count(stepped);

    for (int column = 0; column < columns; column++) add_value((XXH3_state_t *)state, stepped, column);
}

struct tablehash tablehash_end(struct tablehash_state *state)
{
    XXH128_hash_t hash = XXH3_128bits_digest((XXH3_state_t *)state);

    XXH3_freeState((XXH3_state_t *)state);
    return (struct tablehash){hash.low64, hash.high64};
}

/* Adds all rows of a query; takes the ownership of `sql`. */
static bool add_rows(sqlite3 *db, struct tablehash_state *state, char *sql)
{
    sqlite3_stmt *statement = NULL;
    int code = sql ? sqlite3_prepare_v2(db, sql, -1, &statement, NULL) : SQLITE_NOMEM;

    sqlite3_free(sql);
    if (code == SQLITE_OK)
        while ((code = sqlite3_step(statement)) == SQLITE_ROW) tablehash_row(state, statement);
    sqlite3_finalize(statement);
    return code == SQLITE_DONE;
}

/* A name for the rowid that no column hides; NULL where there is none. */
static const char *rowid_name(sqlite3 *db, const char *table)
{
    static const char *const names[] = {"rowid", "_rowid_", "oid"};
    const char *found = NULL;

    for (size_t i = 0; i < 3 && !found; i++) {
        sqlite3_stmt *statement = NULL;
        bool hidden;
        char *sql = sqlite3_mprintf("SELECT 1 FROM pragma_table_xinfo(%Q) WHERE lower(name)=%Q", table, names[i]);

        hidden = !sql || sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK ||
                 sqlite3_step(statement) != SQLITE_DONE;
        sqlite3_finalize(statement);
        sqlite3_free(sql);
        if (hidden) continue;
        statement = NULL;
        sql = sqlite3_mprintf("SELECT %s FROM main.\"%w\" LIMIT 0", names[i], table);
        if (sql && sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK) found = names[i];
        sqlite3_finalize(statement);
        sqlite3_free(sql);
    }
    return found;
}

/*
 * Tables and rows run backwards: the integrity check has just run forwards,
 * and under a budget smaller than the database its last pages are the ones
 * that are still resident.  Without a rowid, NOT INDEXED scans the primary key.
 */
static bool add_table(sqlite3 *db, struct tablehash_state *state, const char *table)
{
    const char *rowid = rowid_name(db, table);

    /* Its name, or a row could change tables unseen. */
    XXH3_128bits_update((XXH3_state_t *)state, table, strlen(table) + 1);
    if (rowid)
        return add_rows(db, state,
                        sqlite3_mprintf("SELECT %s, * FROM main.\"%w\" NOT INDEXED ORDER BY 1 DESC", rowid, table));
    return add_rows(db, state, sqlite3_mprintf("SELECT * FROM main.\"%w\" NOT INDEXED", table));
}

bool tablehash_database(sqlite3 *db, struct tablehash *hash, char **message)
{
    static const char list[] = "SELECT name FROM main.sqlite_schema WHERE type='table' AND rootpage>0 "
                               "ORDER BY rowid DESC";
    struct tablehash_state *state = tablehash_begin();
    sqlite3_stmt *tables = NULL;
    int code = SQLITE_NOMEM;

    *message = NULL;
    if (state) code = sqlite3_prepare_v2(db, list, -1, &tables, NULL);
    if (code == SQLITE_OK && !add_rows(db, state, sqlite3_mprintf("SELECT rowid, * FROM main.sqlite_schema")))
        code = SQLITE_ERROR;
    while (code == SQLITE_OK && (code = sqlite3_step(tables)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(tables, 0);
        code = SQLITE_OK;
        if (!name || !add_table(db, state, name)) {
            code = SQLITE_ERROR;
            *message = sqlite3_mprintf("table \"%s\": %s", name ? name : "?", sqlite3_errmsg(db));
        }
    }
    if (code != SQLITE_DONE && !*message) *message = sqlite3_mprintf("%s", sqlite3_errmsg(db));
    sqlite3_finalize(tables);
    if (state) *hash = tablehash_end(state);
    return code == SQLITE_DONE;
}
