/* SPDX-License-Identifier: MIT */
#include "branch.h"

#include "temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void must(int error, const char *what)
{
    if (error) fail(EXIT_RUN_FAILED, "%s: %s", what, memory_error_text(error));
}

static void open_connection(struct branch *branch, size_t used)
{
    branch->db = connection_open_memory(memory_base(branch->memory), used, memory_size(branch->memory));
    if (!branch->db) fail(EXIT_RUN_FAILED, "SQLite does not open a branch's memory");
}

static void close_connection(struct branch *branch)
{
    if (!connection_close(branch->db)) fail(EXIT_RUN_FAILED, "a statement is still open on a branch's memory");
    branch->db = NULL;
}

static size_t whole_pages(size_t bytes)
{
    return (bytes + MEMORY_PAGE_BYTES - 1) / MEMORY_PAGE_BYTES * MEMORY_PAGE_BYTES;
}

/* read(2) into projected memory would get EFAULT: a buffer, then the pager's write. */
static void load_image(struct branch_memory *memory, const char *path)
{
    static unsigned char block[1 << 16];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    size_t offset = 0;
    ssize_t got = -1;

    while (file >= 0 && (got = read(file, block, sizeof block)) > 0) {
        must(memory_load(memory, offset, block, (size_t)got), "cannot load the image");
        offset += (size_t)got;
    }
    if (got < 0) fail(EXIT_RUN_FAILED, "cannot read %s: %s", path, strerror(errno));
    close(file);
}

void branch_init_root(struct branch *branch, struct store *store, const char *image_path, size_t image_bytes,
                      size_t slack, size_t range_limit)
{
    *branch = (struct branch){.range_limit = range_limit};
    must(memory_root(store, whole_pages(image_bytes + slack), &branch->memory), "cannot make the first space");
    load_image(branch->memory, image_path);
    open_connection(branch, image_bytes);
}

void branch_init_fork(struct branch *branch, struct branch *parent)
{
    *branch = (struct branch){.range_limit = parent->range_limit};
    must(memory_fork(parent->memory, &branch->memory), "cannot fork a branch");
    oplog_copy(&branch->log, &parent->log);
    oplog_mark(&branch->log, OPLOG_REOPEN);
    open_connection(branch, connection_used(parent->db));
}

void branch_reopen(struct branch *branch)
{
    size_t used = connection_used(branch->db);

    close_connection(branch);
    oplog_mark(&branch->log, OPLOG_REOPEN);
    open_connection(branch, used);
}

/*
 * The way out of SQLITE_FULL.  A failed COMMIT has rolled back already.  The
 * connection is closed before the memory moves under it, and full-text
 * search forgets what it held in mind, which is why the log says so.
 */
static void grow(struct branch *branch)
{
    size_t size = memory_size(branch->memory), larger = whole_pages(size + size / 16), used;

    if (!sqlite3_get_autocommit(branch->db)) connection_run(branch->db, "ROLLBACK");
    used = connection_used(branch->db);
    close_connection(branch);
    if (larger > branch->range_limit)
        fail(EXIT_RUN_FAILED, "a branch has outgrown its window of %zu bytes", branch->range_limit);
    must(memory_move(branch->memory, larger), "cannot move a branch to a larger range");
    oplog_mark(&branch->log, OPLOG_ABANDON);
    open_connection(branch, used);
}

/* False if the range was full on the way. */
static bool run_once(struct branch *branch, const struct script *script)
{
    for (int i = 0; i < script->count; i++) {
        struct outcome outcome = connection_run(branch->db, script->statements[i]);
        if ((outcome.code & 0xff) == SQLITE_FULL) return false;
        oplog_append(&branch->log, OPLOG_STATEMENT, outcome, script->statements[i]);
    }
    return true;
}

void branch_run(struct branch *branch, const struct script *script)
{
    while (!run_once(branch, script)) grow(branch);
}

bool branch_check(struct branch *branch, struct tablehash *hash, char **message)
{
    return connection_intact(branch->db, message) && tablehash_database(branch->db, hash, message);
}

void branch_fini(struct branch *branch)
{
    close_connection(branch);
    memory_close(branch->memory);
    oplog_fini(&branch->log);
    *branch = (struct branch){0};
}
