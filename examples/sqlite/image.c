/* SPDX-License-Identifier: MIT */
#include "image.h"

#include "connection.h"
#include "tablehash.h"
#include "temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HEADER_BYTES 100
#define CHECK_SECONDS 120

static bool copy_descriptor(int from, int to)
{
    unsigned char block[1 << 16];
    ssize_t got;

    while ((got = read(from, block, sizeof block)) > 0)
        for (ssize_t done = 0, put; done < got; done += put)
            if ((put = write(to, block + done, (size_t)(got - done))) < 0) return false;
    return got == 0;
}

bool image_copy(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool copied = in >= 0 && out >= 0 && copy_descriptor(in, out);
    int error = errno;

    if (in >= 0) close(in);
    if (out >= 0 && close(out) != 0 && copied) {
        copied = false;
        error = errno;
    }
    errno = error;
    return copied;
}

static uint32_t big_endian(const unsigned char *bytes, int count)
{
    uint32_t value = 0;

    while (count--) value = value << 8 | *bytes++;
    return value;
}

/* What the header and the size of the file alone can tell. */
static void check_header(const char *path, const unsigned char *header, uint64_t bytes)
{
    uint32_t page = big_endian(header + 16, 2), pages = big_endian(header + 28, 4);

    if (memcmp(header, "SQLite format 3", 16) != 0) fail(EXIT_BAD_INPUT, "%s is no SQLite database", path);
    page = page == 1 ? 65536 : page;
    if (page < 512 || (page & (page - 1))) fail(EXIT_BAD_INPUT, "%s has a damaged header: page size %u", path, page);
    /* The count of pages is valid only if its writer also wrote the stamp at 92. */
    if (memcmp(header + 24, header + 92, 4) != 0) pages = 0;
    if (bytes % page || (uint64_t)pages * page > bytes)
        fail(EXIT_BAD_INPUT, "%s is truncated: %llu bytes, its header promises %u pages of %u", path,
             (unsigned long long)bytes, pages, page);
}

/* A journal beside the file means that the file alone is not the database. */
static void check_sibling(const char *path, const char *suffix, const char *what)
{
    char sibling[4096];
    struct stat status;

    snprintf(sibling, sizeof sibling, "%s%s", path, suffix);
    if (stat(sibling, &status) == 0 && status.st_size > 0)
        fail(EXIT_BAD_INPUT, "%s has %s beside it: open and close it with sqlite3 first", path, what);
}

static int too_slow(void *deadline)
{
    return time(NULL) > *(time_t *)deadline;
}

/* Everything that the run will rely on is tried once, on the copy. */
static void check_copy(struct image *image, const char *user_path)
{
    sqlite3 *db = connection_open_file(image->path);
    time_t deadline = time(NULL) + CHECK_SECONDS;
    struct tablehash hash;
    char *message = NULL;

    if (!db) fail(EXIT_BAD_INPUT, "%s cannot be opened as a database", user_path);
    sqlite3_progress_handler(db, 100000, too_slow, &deadline);
    if (!connection_intact(db, &message)) {
        const char *last = message ? strrchr(message, '\n') : NULL;
        if (too_slow(&deadline)) fail(EXIT_BAD_INPUT, "%s takes more than %d s to check", user_path, CHECK_SECONDS);
        fail(EXIT_BAD_INPUT, "%s fails its integrity check: %s", user_path, last ? last + 1 : message);
    }
    if (!tablehash_database(db, &hash, &message))
        fail(EXIT_BAD_INPUT, "%s has a table that cannot be read: %s", user_path, message);
    if (!schema_explore(&image->schema, db, NULL, (int64_t)image->bytes))
        fail(EXIT_BAD_INPUT, "%s has a schema that cannot be read: %s", user_path, sqlite3_errmsg(db));
    if (!connection_close(db)) fail(EXIT_RUN_FAILED, "a statement is still open after the image's check");
}

void image_adopt(struct image *image, const char *user_path)
{
    unsigned char header[HEADER_BYTES];
    struct stat status;
    /* NONBLOCK: a FIFO must not hang us before it is refused. */
    int file = open(user_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    if (file < 0 || fstat(file, &status) != 0)
        fail(EXIT_BAD_INPUT, "%s cannot be read: %s", user_path, strerror(errno));
    if (!S_ISREG(status.st_mode)) fail(EXIT_BAD_INPUT, "%s is no ordinary file", user_path);
    if (status.st_size == 0) fail(EXIT_BAD_INPUT, "%s is empty", user_path);
    if (pread(file, header, sizeof header, 0) != (ssize_t)sizeof header)
        fail(EXIT_BAD_INPUT, "%s is no SQLite database: it is shorter than a header", user_path);
    close(file);
    check_header(user_path, header, (uint64_t)status.st_size);
    check_sibling(user_path, "-wal", "an unmerged write-ahead log");
    check_sibling(user_path, "-journal", "a rollback journal");
    *image = (struct image){.path = temporary_path(TEMPORARY_IMAGE)};
    if (!image_copy(user_path, image->path) || stat(image->path, &status) != 0)
        fail(EXIT_BAD_INPUT, "%s cannot be copied to %s: %s", user_path, image->path, strerror(errno));
    image->bytes = (size_t)status.st_size;
    /* An image in memory can have no write-ahead log; opening the copy converts it. */
    check_copy(image, user_path);
    if (header[18] == 2 || header[19] == 2)
        fprintf(stderr, "sqlite_branches: %s is in WAL mode; the copy that is branched is not\n", user_path);
}

void image_fini(struct image *image)
{
    schema_fini(&image->schema);
}
