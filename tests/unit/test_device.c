/* SPDX-License-Identifier: MIT */
/** @file unit/test_device.c  The supplied devices: file, temporary file, lz4. Pages of 4,096 bytes unless said otherwise. */
#include "support/counting_alloc.h"
#include "support/prng.h"
#include "support/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <objrmap/device.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define SHIFT 12
#define PAGE ((size_t)1 << SHIFT)
#define MAX 320

static unsigned char out_data[MAX][PAGE], in_data[MAX][PAGE];
static struct rmap_io io[MAX];

/* Random bytes: a page that does not shrink. */
static void noise(unsigned char *page, uint64_t seed)
{
    struct prng p;
    prng_init(&p, seed);
    for (size_t i = 0; i < PAGE; i++) page[i] = (unsigned char)prng_next(&p);
}

/* Slots first, first + step, …: written with noise of their number; every answer must be `want`. */
static void write_slots(struct rmap_device *d, uint32_t first, uint32_t step, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t slot = first + step * (uint32_t)i;
        noise(out_data[i], slot);
        io[i] = (struct rmap_io){.slot = slot, .data = out_data[i], .error = RMAP_ERR_BUSY};
    }
    d->ops->write(d, io, n);
}
static void read_slots(struct rmap_device *d, uint32_t first, uint32_t step, size_t n)
{
    memset(in_data, 0xee, sizeof in_data);
    for (size_t i = 0; i < n; i++)
        io[i] = (struct rmap_io){.slot = first + step * (uint32_t)i, .data = in_data[i], .error = RMAP_ERR_BUSY};
    d->ops->read(d, io, n);
}
static void check_all(size_t n, int want)
{
    for (size_t i = 0; i < n; i++) CHECK_ERR(io[i].error, want);
}
static void check_noise(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        static unsigned char expected[PAGE];
        noise(expected, io[i].slot);
        CHECK_ERR(io[i].error, RMAP_OK);
        CHECK(memcmp(in_data[i], expected, PAGE) == 0);
    }
}
static struct rmap_device_stats stats_of(struct rmap_device *d)
{
    struct rmap_device_stats st;
    CHECK_OK(rmap_device_get_stats(d, &st));
    return st;
}

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
static struct rmap_device *new_lz4_device(struct test_alloc *t, uint64_t slots, uint64_t limit)
{
    struct rmap_device *d = NULL;
    test_alloc_init(t);
    int rc = rmap_device_lz4_create(&t->a, slots, SHIFT, limit, &d);
    if (rc == RMAP_ERR_UNSUPPORTED) TEST_SKIP("built without lz4");
    CHECK_OK(rc);
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

/* The process may write 5.5 pages of a file: slots 0-4 go through, 5 is cut short, 6-9 fail. Slot 5 had content before. */
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

/* ---- lz4 ---- */

static size_t one_page(struct rmap_device *d, uint32_t slot, unsigned char *data)
{
    uint64_t before = stats_of(d).stored_bytes;
    static unsigned char back[PAGE];
    struct rmap_io one = {.slot = slot, .data = data};
    d->ops->write(d, &one, 1);
    CHECK_ERR(one.error, RMAP_OK);
    memset(back, 0xee, sizeof back);
    one.data = back;
    d->ops->read(d, &one, 1);
    CHECK_ERR(one.error, RMAP_OK);
    CHECK(memcmp(back, data, PAGE) == 0);
    return (size_t)(stats_of(d).stored_bytes - before);
}

RMAP_TEST(device_lz4, gives_back_zeroes_text_and_noise)
{
    struct test_alloc t;
    static unsigned char page[PAGE];
    struct rmap_device *d = new_lz4_device(&t, 5000, 0);
    size_t empty = t.live_bytes;

    memset(page, 0, PAGE);
    size_t zeroes = one_page(d, 0, page);
    CHECK_LE(zeroes, 64);
    for (size_t i = 0; i < PAGE; i++) page[i] = (unsigned char)"every page has one index inside its group. "[i * i % 43];
    size_t text = one_page(d, 4999, page);
    CHECK_LE(text, PAGE / 2);
    noise(page, 1);
    size_t raw = one_page(d, 2000, page);
    CHECK_EQ(raw, PAGE + 4); /* a length, and the page as it is */

    struct rmap_device_stats st = stats_of(d);
    CHECK_EQ(st.stored_bytes, zeroes + text + raw);
    CHECK_EQ(t.live_bytes, empty + st.stored_bytes + 3 * 1024 * sizeof(void *)); /* three tables of block pointers */
    CHECK_EQ(st.writes, 3);
    CHECK_EQ(st.reads, 3);
    rmap_device_destroy(d);
    CHECK_EQ(t.live_blocks, 0);
}

/* 20,000 writes, reads and discards of 50 slots, against the seeds of what was written (0: nothing). */
RMAP_TEST(device_lz4, random_use_equals_a_reference)
{
    struct test_alloc t;
    struct rmap_device *d = new_lz4_device(&t, 50, 0);
    static unsigned char page[PAGE], back[PAGE];
    uint64_t seed_of[50] = {0};
    struct prng p;
    prng_init(&p, prng_seed_of_run(4711));
    for (unsigned step = 1; step <= 20000; step++) {
        uint32_t slot = (uint32_t)prng_below(&p, 50);
        struct rmap_io one = {.slot = slot, .data = back, .error = RMAP_ERR_BUSY};
        if (seed_of[slot]) noise(page, seed_of[slot]);
        for (size_t i = 0; seed_of[slot] % 3 && i < PAGE; i++) page[i] &= seed_of[slot] % 3 == 1 ? 0x11 : 0;
        d->ops->read(d, &one, 1);
        CHECK_ERR(one.error, seed_of[slot] ? RMAP_OK : RMAP_ERR_IO_READ);
        if (seed_of[slot]) CHECK(memcmp(page, back, PAGE) == 0);
        if (prng_chance(&p, 1, 3)) {
            d->ops->discard(d, slot);
            seed_of[slot] = 0;
            continue;
        }
        seed_of[slot] = step;
        noise(page, step);
        for (size_t i = 0; step % 3 && i < PAGE; i++) page[i] &= step % 3 == 1 ? 0x11 : 0;
        one.data = page;
        d->ops->write(d, &one, 1);
        CHECK_ERR(one.error, RMAP_OK);
    }
    for (uint32_t slot = 0; slot < 50; slot++) d->ops->discard(d, slot);
    CHECK_EQ(stats_of(d).stored_bytes, 0);
    rmap_device_destroy(d);
    CHECK_EQ(t.live_blocks, 0);
}

/* 10,000 bytes hold two pages of noise (8,200), not three. */
RMAP_TEST(device_lz4, keeps_its_limit_and_recovers)
{
    struct test_alloc t;
    struct rmap_device *d = new_lz4_device(&t, 100, 10000);
    write_slots(d, 0, 1, 3);
    CHECK_ERR(io[0].error, RMAP_OK);
    CHECK_ERR(io[1].error, RMAP_OK);
    CHECK_ERR(io[2].error, RMAP_ERR_NOMEM);
    CHECK_EQ(stats_of(d).errors, 1);
    write_slots(d, 0, 1, 2); /* replaces: no more is stored than before */
    check_all(2, RMAP_OK);
    d->ops->discard(d, 0);
    write_slots(d, 2, 1, 1);
    check_all(1, RMAP_OK);
    read_slots(d, 1, 1, 2);
    check_noise(2);
    read_slots(d, 0, 1, 1);
    CHECK_ERR(io[0].error, RMAP_ERR_IO_READ);
    CHECK_EQ(stats_of(d).stored_peak, 2 * (PAGE + 4));
    rmap_device_destroy(d);
    CHECK_EQ(t.live_blocks, 0);
}

/* A write that found no memory has lost the slot's old content, too: nobody may take that for the new one. */
RMAP_TEST(device_lz4, says_nomem_and_leaks_nothing)
{
    struct test_alloc t;
    struct rmap_device *d = NULL;
    size_t n = 1;
    for (;; n++) {
        test_alloc_init(&t);
        t.fail_at = n;
        int rc = rmap_device_lz4_create(&t.a, 100, SHIFT, 0, &d);
        if (rc == RMAP_ERR_UNSUPPORTED) TEST_SKIP("built without lz4");
        if (!rc) break;
        CHECK_ERR(rc, RMAP_ERR_NOMEM);
        CHECK_EQ(t.live_blocks, 0);
    }
    CHECK_EQ(n, 5); /* the device, scratch, state, tables */
    for (n = 1; n <= 2; n++) { /* the slot's table, its block */
        t.fail_at = t.calls + n;
        write_slots(d, 7, 1, 1);
        CHECK_ERR(io[0].error, RMAP_ERR_NOMEM);
    }
    write_slots(d, 7, 1, 1);
    check_all(1, RMAP_OK);
    t.fail_at = t.calls + 1;
    write_slots(d, 7, 1, 1);
    CHECK_ERR(io[0].error, RMAP_ERR_NOMEM);
    read_slots(d, 7, 1, 1);
    CHECK_ERR(io[0].error, RMAP_ERR_IO_READ);
    CHECK_EQ(stats_of(d).stored_bytes, 0);
    rmap_device_destroy(d);
    CHECK_EQ(t.live_blocks, 0);
}

RMAP_TEST(device_lz4, works_for_every_page_size)
{
    static unsigned char page[1 << 20], back[1 << 20];
    for (unsigned shift = 9; shift <= 20; shift++) {
        struct rmap_device *d = NULL;
        int rc = rmap_device_lz4_create(NULL, 4, shift, 0, &d);
        if (rc == RMAP_ERR_UNSUPPORTED) TEST_SKIP("built without lz4");
        CHECK_OK(rc);
        for (size_t i = 0; i < sizeof page; i++) page[i] = (unsigned char)(i * i >> shift);
        struct rmap_io one = {.slot = 3, .data = page};
        d->ops->write(d, &one, 1);
        CHECK_ERR(one.error, RMAP_OK);
        one.data = back;
        d->ops->read(d, &one, 1);
        CHECK_ERR(one.error, RMAP_OK);
        CHECK(memcmp(page, back, (size_t)1 << shift) == 0);
        rmap_device_destroy(d);
    }
}

RMAP_TEST(device_lz4, answers_errors)
{
    struct rmap_device *d = NULL;
    CHECK_ERR(rmap_device_lz4_create(NULL, 10, SHIFT, 0, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_device_lz4_create(NULL, 0, SHIFT, 0, &d), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_device_lz4_create(NULL, 10, 21, 0, &d), RMAP_ERR_INVALID);
    struct test_alloc t;
    d = new_lz4_device(&t, 10, 0);
    struct rmap_device_stats st;
    CHECK_ERR(rmap_device_get_stats(NULL, &st), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_device_get_stats(d, NULL), RMAP_ERR_NULL_ARG);
    write_slots(d, 9, 1, 2);
    CHECK_ERR(io[0].error, RMAP_OK);
    CHECK_ERR(io[1].error, RMAP_ERR_IO_WRITE);
    read_slots(d, 9, 1, 2);
    CHECK_ERR(io[0].error, RMAP_OK);
    CHECK_ERR(io[1].error, RMAP_ERR_IO_READ);
    d->ops->discard(d, 10);
    rmap_device_destroy(d);
}
