/* SPDX-License-Identifier: MIT */
/** @file unit/test_device.c  Devices on files: one given, one without a name. */
#include "unit/device_pages.h"

#include <objrmap/swapmap.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static int new_file(void)
{
    char path[] = "/tmp/objrmap-test-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    unlink(path);
    return fd;
}
static struct rmap_device *new_file_device(int fd, uint64_t slots)
{
    struct rmap_device *d = NULL;
    CHECK_OK(rmap_device_file_create(NULL, fd, true, slots, SHIFT, &d));
    return d;
}

/* ---- file ---- */

/* Slots 10-309 in one call (more than one vectored call holds), and 0, 3, 6, … 957: no two neighbours. */
RMAP_TEST(device_file, gives_back_what_was_written)
{
    struct rmap_device *d = new_file_device(new_file(), 1000);
    write_slots(d, 10, 1, 300);
    check_all(300, RMAP_OK);
    read_slots(d, 10, 1, 300);
    check_noise(300);
    write_slots(d, 0, 3, 320);
    check_all(320, RMAP_OK);
    read_slots(d, 0, 3, 320);
    check_noise(320);
    read_slots(d, 11, 1, 64); /* written by either */
    check_noise(64);

    struct rmap_device_stats st = stats_of(d);
    CHECK_EQ(st.slots, 1000);
    CHECK_EQ(st.writes, 620);
    CHECK_EQ(st.reads, 684);
    CHECK_EQ(st.errors, 0);
    CHECK_EQ(st.stored_bytes, (300 + 320 - 100) * PAGE); /* 12, 15, … 309 were there already */
    rmap_device_destroy(d);
}

/* Slots 4, 5, 6 of 16; 5 is discarded. Read 3-7: only 4 and 6 are there. */
RMAP_TEST(device_file, never_written_and_discarded_slots_cannot_be_read)
{
    struct rmap_device *d = new_file_device(new_file(), 16);
    write_slots(d, 4, 1, 3);
    d->ops->discard(d, 5);
    d->ops->discard(d, 9);
    d->ops->discard(d, 16); /* no such slot */
    read_slots(d, 3, 1, 5);
    CHECK_ERR(io[0].error, RMAP_ERR_IO_READ);
    CHECK_ERR(io[1].error, RMAP_OK);
    CHECK_ERR(io[2].error, RMAP_ERR_IO_READ);
    CHECK_ERR(io[3].error, RMAP_OK);
    CHECK_ERR(io[4].error, RMAP_ERR_IO_READ);

    struct rmap_device_stats st = stats_of(d);
    CHECK_EQ(st.stored_bytes, 2 * PAGE);
    CHECK_EQ(st.stored_peak, 3 * PAGE);
    CHECK_EQ(st.errors, 3);
    CHECK_EQ(st.reads, 2);
    rmap_device_destroy(d);
}

RMAP_TEST(device_file, slots_behind_its_end_are_errors_of_their_own)
{
    struct rmap_device *d = new_file_device(new_file(), 4);
    write_slots(d, 2, 1, 4);
    CHECK_ERR(io[1].error, RMAP_OK);
    CHECK_ERR(io[2].error, RMAP_ERR_IO_WRITE);
    CHECK_ERR(io[3].error, RMAP_ERR_IO_WRITE);
    read_slots(d, 2, 1, 4);
    CHECK_ERR(io[1].error, RMAP_OK);
    CHECK_ERR(io[2].error, RMAP_ERR_IO_READ);
    rmap_device_destroy(d);
}

/* H6. Slots 0-9, the file is cut in the middle of slot 6. */
RMAP_TEST(device_file, a_file_truncated_under_us_fails_the_lost_pages_only)
{
    int fd = new_file();
    struct rmap_device *d = new_file_device(fd, 10);
    write_slots(d, 0, 1, 10);
    CHECK_EQ(ftruncate(fd, (off_t)(6 * PAGE + 100)), 0);
    read_slots(d, 0, 1, 10);
    for (size_t i = 0; i < 10; i++) CHECK_ERR(io[i].error, i < 6 ? RMAP_OK : RMAP_ERR_IO_READ);
    read_slots(d, 0, 1, 6);
    check_noise(6);
    rmap_device_destroy(d);
}

/* The process may write 5.5 pages of a file: slots 0-4 go through, 5 is cut, 6-9 fail. Slot 5 had content before. */
RMAP_TEST(device_file, a_short_write_fails_the_page_that_it_cut)
{
    struct rmap_device *d = new_file_device(new_file(), 10);
    write_slots(d, 5, 1, 1);
    check_all(1, RMAP_OK);

    struct rlimit old, limit;
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    limit = (struct rlimit){.rlim_cur = 5 * PAGE + PAGE / 2, .rlim_max = old.rlim_max};
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    write_slots(d, 0, 1, 10);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);

    for (size_t i = 0; i < 10; i++) CHECK_ERR(io[i].error, i < 5 ? RMAP_OK : RMAP_ERR_IO_WRITE);
    CHECK_EQ(stats_of(d).errors, 5);
    CHECK_EQ(stats_of(d).stored_bytes, 5 * PAGE);
    read_slots(d, 0, 1, 6);
    CHECK_ERR(io[5].error, RMAP_ERR_IO_READ); /* half old, half new: nobody may see it */
    read_slots(d, 0, 1, 5);
    check_noise(5);
    rmap_device_destroy(d);
}

RMAP_TEST(device_file, refuses_what_is_no_file_for_it)
{
    struct rmap_device *d = NULL;
    int fd = new_file(), pipes[2];
    CHECK_ERR(rmap_device_file_create(NULL, fd, false, 10, SHIFT, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_device_file_create(NULL, fd, false, 0, SHIFT, &d), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_device_file_create(NULL, fd, false, ((uint64_t)1 << 26) + 1, SHIFT, &d), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_device_file_create(NULL, fd, false, 10, 8, &d), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_device_file_create(NULL, fd, false, 10, 64, &d), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_device_file_create(NULL, -1, false, 10, SHIFT, &d), RMAP_ERR_INVALID);
    struct rmap_allocator old = *rmap_alloc_default();
    old.struct_size--;
    CHECK_ERR(rmap_device_file_create(&old, fd, false, 10, SHIFT, &d), RMAP_ERR_STRUCT_SIZE);

    int read_only = open("/dev/null", O_RDONLY), append = open("/tmp", O_TMPFILE | O_RDWR | O_APPEND, 0600);
    CHECK_ERR(rmap_device_file_create(NULL, read_only, false, 10, SHIFT, &d), RMAP_ERR_INVALID);
    if (append >= 0) CHECK_ERR(rmap_device_file_create(NULL, append, false, 10, SHIFT, &d), RMAP_ERR_INVALID);
    CHECK_EQ(pipe(pipes), 0);
    CHECK_ERR(rmap_device_file_create(NULL, pipes[1], false, 10, SHIFT, &d), RMAP_ERR_INVALID);
    CHECK_EQ(d, NULL);
    const int fds[] = {read_only, append, pipes[0], pipes[1], fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) close(fds[i]);
}

RMAP_TEST(device_file, closes_the_descriptor_only_if_told_to)
{
    struct rmap_device *d = NULL;
    int fd = new_file();
    CHECK_OK(rmap_device_file_create(NULL, fd, false, 10, SHIFT, &d));
    rmap_device_destroy(d);
    CHECK(fcntl(fd, F_GETFD) >= 0);
    CHECK_OK(rmap_device_file_create(NULL, fd, true, 10, SHIFT, &d));
    rmap_device_destroy(d);
    CHECK(fcntl(fd, F_GETFD) < 0);
    rmap_device_destroy(NULL);
}

RMAP_TEST(device_file, says_nomem_and_leaks_nothing)
{
    struct test_alloc t;
    struct rmap_device *d = NULL;
    int fd = new_file();
    for (size_t n = 1;; n++) {
        test_alloc_init(&t);
        t.fail_at = n;
        int rc = rmap_device_file_create(&t.a, fd, false, 100000, SHIFT, &d);
        if (!rc) break;
        CHECK_ERR(rc, RMAP_ERR_NOMEM);
        CHECK_EQ(t.live_blocks, 0);
    }
    CHECK_EQ(t.calls, 2);
    rmap_device_destroy(d);
    CHECK_EQ(t.live_blocks, 0);
    close(fd);
}

/* ---- temporary file ---- */

static size_t files_in(const char *path)
{
    size_t n = 0;
    DIR *dir = opendir(path);
    CHECK(dir != NULL);
    while (readdir(dir)) n++;
    closedir(dir);
    return n;
}

RMAP_TEST(device_temp, works_and_leaves_no_name)
{
    char path[] = "/tmp/objrmap-dir-XXXXXX";
    struct rmap_device *d = NULL;
    CHECK(mkdtemp(path) != NULL);
    CHECK_OK(rmap_device_temp_create(NULL, path, 100, SHIFT, &d));
    CHECK_EQ(files_in(path), 2); /* . and .. */
    write_slots(d, 7, 1, 20);
    read_slots(d, 7, 1, 20);
    check_noise(20);
    rmap_device_destroy(d);
    CHECK_EQ(rmdir(path), 0);

    CHECK_OK(rmap_device_temp_create(NULL, NULL, 100, SHIFT, &d));
    rmap_device_destroy(d);
}

RMAP_TEST(device_temp, answers_errors)
{
    struct rmap_device *d = NULL;
    struct test_alloc t;
    CHECK_ERR(rmap_device_temp_create(NULL, "/tmp", 100, SHIFT, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_device_temp_create(NULL, "/tmp", 0, SHIFT, &d), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_device_temp_create(NULL, "/tmp", 10, 0, &d), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_device_temp_create(NULL, "/nonexistent/objrmap", 10, SHIFT, &d), RMAP_ERR_SYSTEM);
    static char longest[8192];
    memset(longest, 'x', sizeof longest - 1);
    CHECK_ERR(rmap_device_temp_create(NULL, longest, 10, SHIFT, &d), RMAP_ERR_SYSTEM);
    size_t open_files = files_in("/proc/self/fd");
    test_alloc_init(&t);
    t.fail_at = 1;
    CHECK_ERR(rmap_device_temp_create(&t.a, "/tmp", 10, SHIFT, &d), RMAP_ERR_NOMEM);
    CHECK_EQ(files_in("/proc/self/fd"), open_files);
}
