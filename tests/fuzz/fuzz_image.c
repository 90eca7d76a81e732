/* SPDX-License-Identifier: MIT */
/**
 * @file fuzz/fuzz_image.c  The input is a SQLite image, given to the example (H4): refused, or branched without a difference.
 *
 * What the example adopts is loaded into a space, SQLite opens it in projected memory under a budget of few frames, the
 * root and a fork of it each do transactions. Each statement must end as in plain SQLite on a file; so must the
 * integrity check, and the hash of all tables. A failure that the example takes for its own (EXIT_RUN_FAILED) is a finding.
 *
 * temporary.h is implemented here: the files lie in a directory that a child process removes, however this one ends.
 */
#include "fuzz/fuzz.h"

#include "branch.h"
#include "fault.h"
#include "image.h"
#include "temporary.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#define BUDGET_FRAMES 24
#define TRANSACTIONS 3

/* ---- temporary.h ---- */

static char directory[256], user_path[320], paths[TEMPORARY_FILES][320];

const char *temporary_path(enum temporary_file file)
{
    return paths[file];
}

void temporary_remove(void)
{
    static const char *const names[] = {"user", "image", "reference"}, *const suffixes[] = {"", "-journal", "-wal",
                                                                                            "-shm"};
    char path[512];
    for (unsigned i = 0; i < 3; i++)
        for (unsigned k = 0; k < 4; k++) {
            snprintf(path, sizeof path, "%s/%s%s", directory, names[i], suffixes[k]);
            unlink(path);
        }
    rmdir(directory);
}

/* The child waits for the end of the pipe, which comes with our death. */
static void remove_when_dead(void)
{
    int ends[2];
    char byte;
    CHECK_EQ(pipe(ends), 0);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child > 0) {
        close(ends[0]);
        return;
    }
    close(ends[1]);
    for (int fd = 0; fd < 3; fd++) close(fd); /* whoever reads our output shall not wait for this one */
    setsid();                                 /* nor is it killed with us */
    while (read(ends[0], &byte, 1) < 0) continue;
    temporary_remove();
    _exit(0);
}

void temporary_create(void)
{
    const char *parent = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/fuzz_image.XXXXXX", parent && *parent ? parent : "/tmp");
    CHECK(mkdtemp(directory));
    snprintf(user_path, sizeof user_path, "%s/user", directory);
    snprintf(paths[TEMPORARY_IMAGE], sizeof paths[0], "%s/image", directory);
    snprintf(paths[TEMPORARY_REFERENCE], sizeof paths[0], "%s/reference", directory);
    remove_when_dead();
}

void fail(int status, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    test__fail(__FILE__, __LINE__, "the example fails with status %d: %s", status, text);
}

/* ---- plain SQLite ---- */

static void reopen(sqlite3 **db)
{
    if (*db) CHECK(connection_close(*db));
    *db = connection_open_file(temporary_path(TEMPORARY_REFERENCE));
    CHECK(*db);
}

/* The branch's log on a copy of the image, by plain SQLite, to its end. */
static sqlite3 *plain(const struct oplog *log)
{
    struct oplog_entry entry;
    sqlite3 *db = NULL;
    CHECK(image_copy(temporary_path(TEMPORARY_IMAGE), temporary_path(TEMPORARY_REFERENCE)));
    reopen(&db);
    for (size_t position = 0; oplog_next(log, &position, &entry);) {
        if (entry.kind == OPLOG_ABANDON && !sqlite3_get_autocommit(db)) connection_run(db, "ROLLBACK");
        if (entry.kind != OPLOG_STATEMENT) {
            reopen(&db);
            continue;
        }
        const struct outcome outcome = connection_run(db, entry.sql);
        if (outcome.code != entry.outcome.code || outcome.digest != entry.outcome.digest)
            TEST_FAIL("code %d%s, plain SQLite has %d, after: %.200s", entry.outcome.code,
                      outcome.code == entry.outcome.code ? " with other rows" : "", outcome.code, entry.sql);
    }
    return db;
}

static void check_branch(struct branch *branch)
{
    struct tablehash here = {0}, there = {0};
    char *message = NULL, *its_message = NULL;
    sqlite3 *db = plain(&branch->log);
    const bool fine = branch_check(branch, &here, &message);
    const bool its_fine = connection_intact(db, &its_message) && tablehash_database(db, &there, &its_message);
    if (fine != its_fine || here.low != there.low || here.high != there.high)
        TEST_FAIL("a branch differs from plain SQLite: %s; %s", message ? message : "", its_message ? its_message : "");
    sqlite3_free(message);
    sqlite3_free(its_message);
    CHECK(connection_close(db));
    unlink(temporary_path(TEMPORARY_REFERENCE));
}

/* ---- a run ---- */

static void work(struct branch *branch, const struct schema *schema, enum workload_size size)
{
    struct script script;
    workload_transaction(schema, &branch->random, size, &script);
    branch_run(branch, &script);
    script_fini(&script);
}

static void branch_out(struct image *image, uint64_t seed)
{
    const size_t range = 2 * image->bytes + ((size_t)4 << 20);
    struct store_options options = {.budget_bytes = BUDGET_FRAMES * MEMORY_PAGE_BYTES,
                                    .range_bytes_max = range - range % MEMORY_PAGE_BYTES,
                                    .swap = seed & 1 ? STORE_SWAP_LZ4 : STORE_SWAP_FILE,
                                    .move = seed & 2 ? STORE_MOVE_TRACK : STORE_MOVE_COPY};
    struct store *store;
    struct branch root, child;
    struct script script;
    int rc = store_open(&options, &store);
    if (rc == RMAP_ERR_UNSUPPORTED && options.swap == STORE_SWAP_LZ4) { /* a build without lz4 */
        options.swap = STORE_SWAP_FILE;
        rc = store_open(&options, &store);
    }
    CHECK_OK(rc);
    fault_handler_install(store);
    branch_init_root(&root, store, image->path, image->bytes, image->bytes / 32, options.range_bytes_max);
    workload_setup(&image->schema, &script);
    branch_run(&root, &script);
    script_fini(&script);
    branch_init_fork(&child, &root);
    root.random = seed;
    child.random = ~seed;
    for (unsigned i = 0; i < TRANSACTIONS; i++) {
        work(&child, &image->schema, i == 1 ? WORKLOAD_GROW : WORKLOAD_SMALL);
        work(&root, &image->schema, WORKLOAD_SMALL);
    }
    check_branch(&child);
    check_branch(&root);
    CHECK_OK(store_verify(store));
    branch_fini(&child);
    branch_fini(&root);
    fault_handler_remove();
    CHECK_OK(store_close(store));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct image image;
    char why[IMAGE_WHY_BYTES];
    uint64_t seed = n;
    if (!*directory) temporary_create();
    FILE *file = fopen(user_path, "wb");
    CHECK(file && fwrite(bytes, 1, n, file) == n);
    fclose(file);
    for (size_t i = 0; i < n; i++) seed = seed * 31 + bytes[i];
    if (image_try(&image, user_path, why)) {
        branch_out(&image, seed);
        image_fini(&image);
    } else {
        CHECK(*why);
    }
    unlink(temporary_path(TEMPORARY_IMAGE));
    return 0;
}
