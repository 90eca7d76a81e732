/* SPDX-License-Identifier: MIT */
#include "image.h"

#include "connection.h"
#include "tablehash.h"
#include "temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
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

/* Writes the reason why the image is refused; false, to be returned. */
__attribute__((format(printf, 2, 3))) static bool refuse(char *why, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why, IMAGE_WHY_BYTES, format, arguments);
    va_end(arguments);
    return false;
}

/* What the header and the size of the file alone can tell. */
static bool check_header(const char *path, const unsigned char *header, uint64_t bytes, char *why)
{
    uint32_t page = big_endian(header + 16, 2), pages = big_endian(header + 28, 4);

    if (memcmp(header, "SQLite format 3", 16) != 0) return refuse(why, "%s is no SQLite database", path);
    page = page == 1 ? 65536 : page;
    if (page < 512 || (page & (page - 1))) return refuse(why, "%s has a damaged header: page size %u", path, page);
    /* The count of pages is valid only if its writer also wrote the stamp at 92. */
    if (memcmp(header + 24, header + 92, 4) != 0) pages = 0;
    if (bytes % page || (uint64_t)pages * page > bytes)
        return refuse(why, "%s is truncated: %llu bytes, its header promises %u pages of %u", path,
                      (unsigned long long)bytes, pages, page);
    return true;
}

/* A journal beside the file means that the file alone is not the database. */
static bool check_sibling(const char *path, const char *suffix, const char *what, char *why)
{
    char sibling[4096];
    struct stat status;

    snprintf(sibling, sizeof sibling, "%s%s", path, suffix);
    if (stat(sibling, &status) != 0 || status.st_size == 0) return true;
    return refuse(why, "%s has %s beside it: open and close it with sqlite3 first", path, what);
}

static int too_slow(void *deadline)
{
    return time(NULL) > *(time_t *)deadline;
}

static bool check_tables(struct image *image, sqlite3 *db, const char *user_path, char *why)
{
    struct tablehash hash;
    time_t deadline = time(NULL) + CHECK_SECONDS;
    char *message = NULL;
    bool usable = false;

    sqlite3_progress_handler(db, 100000, too_slow, &deadline);
    if (!connection_intact(db, &message)) {
        const char *last = message ? strrchr(message, '\n') : NULL;
        if (too_slow(&deadline))
            refuse(why, "%s takes more than %d s to check", user_path, CHECK_SECONDS);
        else
            refuse(why, "%s fails its integrity check: %s", user_path, last ? last + 1 : message);
    } else if (!tablehash_database(db, &hash, &message)) {
        refuse(why, "%s has a table that cannot be read: %s", user_path, message);
    } else if (!schema_explore(&image->schema, db, NULL, (int64_t)image->bytes)) {
        refuse(why, "%s has a schema that cannot be read: %s", user_path, sqlite3_errmsg(db));
        schema_fini(&image->schema);
    } else {
        usable = true;
    }
    sqlite3_free(message);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    return usable;
}

/* Everything that the run will rely on is tried once, on the copy. */
static bool check_copy(struct image *image, const char *user_path, char *why)
{
    sqlite3 *db = connection_open_file(image->path);
    bool usable;

    if (!db) return refuse(why, "%s cannot be opened as a database", user_path);
    usable = check_tables(image, db, user_path, why);
    if (!connection_close(db)) fail(EXIT_RUN_FAILED, "a statement is still open after the image's check");
    return usable;
}

static bool check_file(const char *user_path, unsigned char *header, char *why)
{
    struct stat status;
    /* NONBLOCK: a FIFO must not hang us before it is refused. */
    int file = open(user_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    bool usable = false;

    if (file < 0 || fstat(file, &status) != 0)
        refuse(why, "%s cannot be read: %s", user_path, strerror(errno));
    else if (!S_ISREG(status.st_mode))
        refuse(why, "%s is no ordinary file", user_path);
    else if (status.st_size == 0)
        refuse(why, "%s is empty", user_path);
    else if (pread(file, header, HEADER_BYTES, 0) != HEADER_BYTES)
        refuse(why, "%s is no SQLite database: it is shorter than a header", user_path);
    else
        usable = check_header(user_path, header, (uint64_t)status.st_size, why);
    if (file >= 0) close(file);
    return usable;
}

bool image_try(struct image *image, const char *user_path, char *why)
{
    unsigned char header[HEADER_BYTES];
    struct stat status;

    if (!check_file(user_path, header, why) || !check_sibling(user_path, "-wal", "an unmerged write-ahead log", why) ||
        !check_sibling(user_path, "-journal", "a rollback journal", why))
        return false;
    *image = (struct image){.path = temporary_path(TEMPORARY_IMAGE)};
    if (!image_copy(user_path, image->path) || stat(image->path, &status) != 0)
        return refuse(why, "%s cannot be copied to %s: %s", user_path, image->path, strerror(errno));
    image->bytes = (size_t)status.st_size;
    /* An image in memory can have no write-ahead log; opening the copy converts it. */
    if (!check_copy(image, user_path, why)) return false;
    image->was_wal = header[18] == 2 || header[19] == 2;
    return true;
}

void image_adopt(struct image *image, const char *user_path)
{
    char why[IMAGE_WHY_BYTES];

    if (!image_try(image, user_path, why)) fail(EXIT_BAD_INPUT, "%s", why);
    if (image->was_wal)
        fprintf(stderr, "sqlite_branches: %s is in WAL mode; the copy that is branched is not\n", user_path);
}

void image_fini(struct image *image)
{
    schema_fini(&image->schema);
}
