/* SPDX-License-Identifier: MIT */
#include "connection.h"

#include "tablehash.h"

#include <stdio.h>

/* Instead of random() and randomblob(): a constraint that calls them must say the same on both sides. */
static void not_random(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    (void)values;
    sqlite3_result_int(context, 4);
}

/*
 * An image may come from anywhere.  Its triggers and views are not run, its
 * functions must be harmless ones, and its shadow tables are not ours to
 * write; a cell that overflows its page is an error and not a surprise.
 * The page cache holds 16 pages: the frames are the cache.
 */
static bool harden(sqlite3 *db)
{
    static const char settings[] = "PRAGMA cell_size_check=ON; PRAGMA cache_size=-64; PRAGMA temp_store=MEMORY;"
                                   "PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF";
    const int flags = SQLITE_UTF8 | SQLITE_INNOCUOUS;

    sqlite3_extended_result_codes(db, 1);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 256 << 20);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    return sqlite3_create_function(db, "random", 0, flags, NULL, not_random, NULL, NULL) == SQLITE_OK &&
           sqlite3_create_function(db, "randomblob", 1, flags, NULL, not_random, NULL, NULL) == SQLITE_OK &&
           sqlite3_exec(db, settings, NULL, NULL, NULL) == SQLITE_OK;
}

sqlite3 *connection_open_file(const char *path)
{
    sqlite3 *db = NULL;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) ==
            SQLITE_OK &&
        harden(db))
        return db;
    sqlite3_close(db);
    return NULL;
}

/*
 * Left alone, SQLite 3.40 notices a full buffer only when it writes a page,
 * and such a failed write costs it the rollback: the journal in memory is
 * closed before it is played back, and the image stays half changed.  A limit
 * of pages makes SQLITE_FULL come from the allocation of a page instead,
 * before anything is written, and there the rollback is sound.
 */
static bool limit_pages(sqlite3 *db, size_t capacity)
{
    sqlite3_stmt *statement = NULL;
    char sql[64];
    bool limited = false;

    if (sqlite3_prepare_v2(db, "PRAGMA page_size", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        snprintf(sql, sizeof sql, "PRAGMA max_page_count=%zu", capacity / (size_t)sqlite3_column_int(statement, 0));
        limited = sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return limited;
}

sqlite3 *connection_open_memory(unsigned char *base, size_t used, size_t capacity)
{
    sqlite3 *db = NULL;

    /* Neither RESIZEABLE nor FREEONCLOSE: both would hand the range to realloc. */
    if (sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK &&
        sqlite3_deserialize(db, "main", base, (sqlite3_int64)used, (sqlite3_int64)capacity, 0) == SQLITE_OK &&
        harden(db) && limit_pages(db, capacity))
        return db;
    sqlite3_close(db);
    return NULL;
}

size_t connection_used(sqlite3 *db)
{
    sqlite3_int64 bytes = 0;

    sqlite3_serialize(db, "main", &bytes, SQLITE_SERIALIZE_NOCOPY);
    return (size_t)bytes;
}

bool connection_close(sqlite3 *db)
{
    /* A busy statement must be seen here: the close would only say that one is left. */
    sqlite3_stmt *open = db ? sqlite3_next_stmt(db, NULL) : NULL;

    while (open && !sqlite3_stmt_busy(open)) open = sqlite3_next_stmt(db, open);
    return !open && sqlite3_close(db) == SQLITE_OK;
}

struct outcome connection_run(sqlite3 *db, const char *sql)
{
    struct outcome outcome = {SQLITE_NOMEM, 0};
    struct tablehash_state *rows = tablehash_begin();
    sqlite3_stmt *statement = NULL;

    if (!rows) return outcome;
    outcome.code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (outcome.code == SQLITE_OK) {
        while ((outcome.code = sqlite3_step(statement)) == SQLITE_ROW) tablehash_row(rows, statement);
        if (!sqlite3_stmt_readonly(statement)) outcome.digest = (uint64_t)sqlite3_changes(db);
        sqlite3_finalize(statement);
    }
    outcome.digest ^= tablehash_end(rows).low;
    return outcome;
}

bool connection_intact(sqlite3 *db, char **message)
{
    sqlite3_stmt *statement = NULL;
    bool intact = false;

    *message = NULL;
    if (sqlite3_prepare_v2(db, "PRAGMA main.integrity_check(1)", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        intact = text && sqlite3_stricmp(text, "ok") == 0 && sqlite3_step(statement) == SQLITE_DONE;
        if (!intact) *message = sqlite3_mprintf("%s", text ? text : "no answer");
    } else {
        *message = sqlite3_mprintf("%s", sqlite3_errmsg(db));
    }
    sqlite3_finalize(statement);
    return intact;
}
