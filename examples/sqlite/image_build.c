/* SPDX-License-Identifier: MIT */
#include "image.h"

#include "connection.h"
#include "temporary.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A library of text: `source` is a file, `passage` a piece of one, `folder` a
 * table without rowid, `library_text` full-text search over every third passage.
 */
static const char schema_sql[] =
    "PRAGMA page_size=4096; PRAGMA cache_size=-16000; BEGIN;"
    "CREATE TABLE source(id INTEGER PRIMARY KEY, path TEXT UNIQUE, folder TEXT, bytes INTEGER);"
    "CREATE TABLE passage(id INTEGER PRIMARY KEY, source INTEGER, number INTEGER, head TEXT, body TEXT);"
    "CREATE INDEX passage_source ON passage(source, number);"
    "CREATE INDEX passage_head ON passage(head);"
    "CREATE TABLE folder(name TEXT PRIMARY KEY, files INTEGER, bytes INTEGER) WITHOUT ROWID";
static const char finish_sql[] =
    "INSERT INTO folder SELECT folder, count(*), sum(bytes) FROM source GROUP BY folder; COMMIT";

static const char *const roots[] = {"/usr/include", "/usr/share/doc", "/var/lib/dpkg"};
#define ROOTS (sizeof roots / sizeof roots[0])
#define TEXT_TABLE "library_text"
#define FILE_BYTES (256 << 10)
#define PASSAGE_BYTES 900
#define HEAD_BYTES 60
#define DEPTH 12

enum { ADD_SOURCE, ADD_PASSAGE, ADD_TEXT, COUNT_PAGES, STATEMENTS };

struct builder {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS]; /* ADD_TEXT is NULL without full-text search */
    sqlite3_int64 passages;
    size_t bytes; /* of database so far, about */
    size_t until; /* stop at so many */
    int round;    /* a small machine's files are repeated under new paths */
    char text[FILE_BYTES];
};

static void run(struct builder *builder, int which)
{
    sqlite3_step(builder->statements[which]);
    if (sqlite3_reset(builder->statements[which]) != SQLITE_OK)
        fail(EXIT_BAD_INPUT, "cannot build the image in %s: %s", temporary_path(TEMPORARY_IMAGE),
             sqlite3_errmsg(builder->db));
}

/* The first line, from its first letter on: what a reader would look for. */
static void bind_head(sqlite3_stmt *statement, const char *text, int length)
{
    int start = 0, end;

    while (start < length && !((text[start] | 32) >= 'a' && (text[start] | 32) <= 'z')) start++;
    for (end = start; end < length && end - start < HEAD_BYTES && text[end] != '\n'; end++)
        ;
    sqlite3_bind_text(statement, 3, text + start, end - start, SQLITE_STATIC);
}

static void add_passages(struct builder *builder, int length)
{
    sqlite3_stmt *passage = builder->statements[ADD_PASSAGE], *search = builder->statements[ADD_TEXT];

    for (int start = 0, end, number = 0; start < length; start = end, number++) {
        end = length - start < PASSAGE_BYTES ? length : start + PASSAGE_BYTES;
        while (end < length && end - start < 2 * PASSAGE_BYTES && builder->text[end - 1] != '\n') end++;
        sqlite3_bind_int(passage, 2, number);
        bind_head(passage, builder->text + start, end - start);
        sqlite3_bind_text(passage, 4, builder->text + start, end - start, SQLITE_STATIC);
        run(builder, ADD_PASSAGE);
        if (search && builder->passages++ % 3 == 0) {
            sqlite3_bind_text(search, 1, builder->text + start, end - start, SQLITE_STATIC);
            run(builder, ADD_TEXT);
        }
    }
}

static void add_file(struct builder *builder, const char *path)
{
    int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ssize_t length = file < 0 ? 0 : read(file, builder->text, sizeof builder->text);
    sqlite3_stmt *source = builder->statements[ADD_SOURCE];
    char name[4128];

    if (file >= 0) close(file);
    /* Text only: what is compressed or binary holds a zero byte early. */
    if (length <= 0 || memchr(builder->text, 0, (size_t)length)) return;
    if (builder->round)
        snprintf(name, sizeof name, "/copy%d%s", builder->round, path);
    else
        snprintf(name, sizeof name, "%s", path);
    sqlite3_bind_text(source, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(source, 2, name, (int)(strrchr(name, '/') - name), SQLITE_STATIC);
    sqlite3_bind_int64(source, 3, length);
    run(builder, ADD_SOURCE);
    sqlite3_bind_int64(builder->statements[ADD_PASSAGE], 1, sqlite3_last_insert_rowid(builder->db));
    add_passages(builder, (int)length);
    if (sqlite3_step(builder->statements[COUNT_PAGES]) == SQLITE_ROW)
        builder->bytes = (size_t)sqlite3_column_int64(builder->statements[COUNT_PAGES], 0) * 4096;
    run(builder, COUNT_PAGES);
}

/* In the order of names, so that one machine always builds one image. */
static void add_folder(struct builder *builder, const char *path, int depth)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, alphasort);

    for (int i = 0; i < count; i++) {
        char name[4096];
        struct stat status;
        int length = snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);

        if (builder->bytes < builder->until && entries[i]->d_name[0] != '.' && length < (int)sizeof name &&
            lstat(name, &status) == 0) {
            if (S_ISREG(status.st_mode))
                add_file(builder, name);
            else if (S_ISDIR(status.st_mode) && depth < DEPTH)
                add_folder(builder, name, depth + 1);
        }
        free(entries[i]);
    }
    free(entries);
}

static void prepare(struct builder *builder, const char *module)
{
    static const char *const sql[STATEMENTS] = {
        "INSERT INTO source(path, folder, bytes) VALUES(?,?,?)",
        "INSERT INTO passage(source, number, head, body) VALUES(?,?,?,?)",
        "INSERT INTO " TEXT_TABLE "(body) VALUES(?)",
        "PRAGMA page_count",
    };
    char create[128];

    snprintf(create, sizeof create, "CREATE VIRTUAL TABLE " TEXT_TABLE " USING %s(body)", module ? module : "");
    if (sqlite3_exec(builder->db, schema_sql, NULL, NULL, NULL) != SQLITE_OK ||
        (module && sqlite3_exec(builder->db, create, NULL, NULL, NULL) != SQLITE_OK))
        fail(EXIT_RUN_FAILED, "cannot make the image's tables: %s", sqlite3_errmsg(builder->db));
    for (int i = 0; i < STATEMENTS; i++)
        if ((i != ADD_TEXT || module) &&
            sqlite3_prepare_v2(builder->db, sql[i], -1, &builder->statements[i], NULL) != SQLITE_OK)
            fail(EXIT_RUN_FAILED, "cannot prepare the image's tables: %s", sqlite3_errmsg(builder->db));
}

void image_build(struct image *image, size_t bytes)
{
    const char *module = schema_text_module();
    struct builder *builder = calloc(1, sizeof *builder);
    struct stat status;

    *image = (struct image){.path = temporary_path(TEMPORARY_IMAGE)};
    if (!builder || !(builder->db = connection_open_file(image->path)))
        fail(EXIT_BAD_INPUT, "cannot make %s", image->path);
    prepare(builder, module);
    while (builder->bytes < bytes) {
        size_t before = builder->bytes;
        for (size_t i = 0; i < ROOTS; i++) {
            builder->until = builder->bytes + (bytes - builder->bytes) * (i + 1) / ROOTS;
            add_folder(builder, roots[i], 0);
            if (builder->bytes >= bytes) break;
        }
        if (builder->bytes == before)
            fail(EXIT_BAD_INPUT, "found no text in %s, %s and %s to build an image from", roots[0], roots[1], roots[2]);
        builder->round++;
    }
    for (int i = 0; i < STATEMENTS; i++) sqlite3_finalize(builder->statements[i]);
    if (sqlite3_exec(builder->db, finish_sql, NULL, NULL, NULL) != SQLITE_OK || stat(image->path, &status) != 0)
        fail(EXIT_BAD_INPUT, "cannot finish %s: %s", image->path, sqlite3_errmsg(builder->db));
    image->bytes = (size_t)status.st_size;
    if (!schema_explore(&image->schema, builder->db, module ? TEXT_TABLE : NULL, status.st_size) ||
        !connection_close(builder->db))
        fail(EXIT_RUN_FAILED, "cannot read the image's schema");
    free(builder);
}
