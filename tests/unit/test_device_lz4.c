/* SPDX-License-Identifier: MIT */
/** @file unit/test_device_lz4.c  The device that keeps compressed pages in memory. */
#include "unit/device_pages.h"

static struct rmap_device *new_lz4_device(struct test_alloc *t, uint64_t slots, uint64_t limit)
{
    struct rmap_device *d = NULL;
    test_alloc_init(t);
    int rc = rmap_device_lz4_create(&t->a, slots, SHIFT, limit, &d);
    if (rc == RMAP_ERR_UNSUPPORTED) TEST_SKIP("built without lz4");
    CHECK_OK(rc);
    return d;
}

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
    for (size_t i = 0; i < PAGE; i++) page[i] = (unsigned char)"a page has one index in its group. "[i * i % 35];
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

static struct test_alloc *under;
static struct rmap_device *raced;
static void *alloc_and_write(void *ctx, size_t size, size_t align)
{
    struct rmap_device *d = raced;
    static unsigned char page[PAGE] = "the one that came first";
    struct rmap_io one = {.slot = 7, .data = page};
    raced = NULL;
    if (d) d->ops->write(d, &one, 1);
    return under->a.alloc(ctx, size, align);
}

/* Two writes of slot 7 at once: while one makes the slot's table, the other does all its work. The later stays. */
RMAP_TEST(device_lz4, the_later_of_two_racing_writes_stays)
{
    struct test_alloc t;
    struct rmap_device *d = NULL;
    test_alloc_init(&t);
    under = &t;
    struct rmap_allocator a = t.a;
    a.alloc = alloc_and_write;
    int rc = rmap_device_lz4_create(&a, 100, SHIFT, 0, &d);
    if (rc == RMAP_ERR_UNSUPPORTED) TEST_SKIP("built without lz4");
    CHECK_OK(rc);
    raced = d;
    write_slots(d, 7, 1, 1);
    check_all(1, RMAP_OK);
    CHECK_EQ(stats_of(d).writes, 2);
    CHECK_EQ(stats_of(d).stored_bytes, PAGE + 4);
    read_slots(d, 7, 1, 1);
    check_noise(1);
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
