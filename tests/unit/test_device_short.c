/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_device_short.c  A file device on a system that transfers little at a time and is interrupted. The
 * program's own pwritev, preadv and open stand before the C library's.
 */
#include "unit/device_pages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static size_t most;          /* bytes that one call transfers; 0: all */
static unsigned interrupted; /* of this many calls, all but one end with EINTR */
static unsigned calls;
static int refusal; /* errno of every call; 0: none */
static bool nameless_fails;
static unsigned nameless_refused;

static ssize_t transfer(long number, int fd, const struct iovec *iov, int n, off_t offset)
{
    struct iovec part[64];
    size_t left = most ? most : SIZE_MAX;
    int k = 0;
    if (refusal) {
        errno = refusal;
        return -1;
    }
    if (interrupted && ++calls % interrupted) {
        errno = EINTR;
        return -1;
    }
    for (; k < n && k < 64 && left; k++) {
        part[k] = iov[k];
        if (part[k].iov_len > left) part[k].iov_len = left;
        left -= part[k].iov_len;
    }
    return syscall(number, fd, part, k, (long)offset, 0L);
}
ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t offset)
{
    return transfer(SYS_pwritev, fd, iov, n, offset);
}
ssize_t preadv(int fd, const struct iovec *iov, int n, off_t offset)
{
    return transfer(SYS_preadv, fd, iov, n, offset);
}

/* The library's open, by the name that it has where offsets are 64 bits wide. */
int open64(const char *path, int flags, ...)
{
    if (nameless_fails && (flags & O_TMPFILE) == O_TMPFILE) {
        nameless_refused++;
        errno = EOPNOTSUPP;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
}

/* 100 neighbours by 1,000, 5,000 and 12,288 bytes at a time, every call but each third interrupted. */
RMAP_TEST(device_short, goes_on_where_a_transfer_stopped)
{
    static const size_t sizes[] = {0, 1000, 5000, 12288};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct rmap_device *d = NULL;
        CHECK_OK(rmap_device_temp_create(NULL, NULL, 200, SHIFT, &d));
        most = sizes[i];
        interrupted = 3;
        calls = 0;
        write_slots(d, 50, 1, 100);
        check_all(100, RMAP_OK);
        read_slots(d, 50, 1, 100);
        check_noise(100);
        CHECK(calls > 6); /* ours were used */
        CHECK_EQ(stats_of(d).errors, 0);
        rmap_device_destroy(d);
    }
}

/* The file ends in the middle of the 4th page, a call moves one page and a half: 3 pages are right, 2 are errors. */
RMAP_TEST(device_short, the_end_of_the_file_is_found_all_the_same)
{
    struct rmap_device *d = NULL;
    int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    if (fd < 0) TEST_SKIP("/tmp has no nameless files");
    CHECK_OK(rmap_device_file_create(NULL, fd, true, 10, SHIFT, &d));
    most = 6144;
    interrupted = 0;
    write_slots(d, 0, 1, 5);
    check_all(5, RMAP_OK);
    CHECK_EQ(ftruncate(fd, (off_t)(3 * PAGE + 10)), 0);
    read_slots(d, 0, 1, 5);
    CHECK_ERR(io[3].error, RMAP_ERR_IO_READ);
    CHECK_ERR(io[4].error, RMAP_ERR_IO_READ);
    check_noise(3);
    rmap_device_destroy(d);
}

/* C5. No room now is NOMEM: no fault of the slot; anything else is IO_WRITE. Reads know no such difference. */
RMAP_TEST(device_short, a_full_disk_is_no_fault_of_the_slot)
{
    static const struct {
        int refusal, want;
    } cases[] = {{ENOSPC, RMAP_ERR_NOMEM}, {EDQUOT, RMAP_ERR_NOMEM}, {ENOMEM, RMAP_ERR_NOMEM},
                 {EAGAIN, RMAP_ERR_NOMEM}, {EIO, RMAP_ERR_IO_WRITE}, {EFBIG, RMAP_ERR_IO_WRITE}};
    struct rmap_device *d = NULL;
    CHECK_OK(rmap_device_temp_create(NULL, NULL, 10, SHIFT, &d));
    most = 0;
    interrupted = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        refusal = 0;
        write_slots(d, 0, 1, 3);
        check_all(3, RMAP_OK);
        refusal = cases[i].refusal;
        read_slots(d, 0, 1, 3);
        check_all(3, RMAP_ERR_IO_READ);
        write_slots(d, 0, 1, 3);
        check_all(3, cases[i].want);
    }
    refusal = 0;
    rmap_device_destroy(d);
}

/* Nothing is left of it, whatever else the test finds. @return how many names there were in it */
static unsigned remove_directory(const char *directory)
{
    unsigned n = 0;
    DIR *dir = opendir(directory);
    CHECK(dir != NULL);
    for (const struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.' && ++n) unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
    CHECK_EQ(rmdir(directory), 0);
    return n;
}

/* On a file system without nameless files a file is made and loses its name at once. */
RMAP_TEST(device_short, a_temporary_file_has_no_name_whatever_the_file_system_can)
{
    char directory[] = "/tmp/objrmap-test-XXXXXX";
    CHECK(mkdtemp(directory) != NULL);
    struct rmap_device *d = NULL;
    nameless_fails = true;
    const int rc = rmap_device_temp_create(NULL, directory, 10, SHIFT, &d);
    nameless_fails = false;
    const unsigned names = remove_directory(directory); /* the file lives on without it */
    CHECK_OK(rc);
    CHECK(nameless_refused >= 1); /* ours was used */
    CHECK_EQ(names, 0);
    write_slots(d, 0, 1, 3);
    check_all(3, RMAP_OK);
    read_slots(d, 0, 1, 3);
    check_noise(3);
    rmap_device_destroy(d);
}
