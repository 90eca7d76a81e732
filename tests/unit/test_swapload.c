/* SPDX-License-Identifier: MIT */
/** @file unit/test_swapload.c  Swap-in: failing devices, checksums, slots that change meanwhile. World:
 *  unit/swap_world.h. */
#include "unit/swap_world.h"

#include <fcntl.h>
#include <unistd.h>

static struct world w;

/* ---- failing reads (C5) ---- */

RMAP_TEST(swapload, a_failed_read_changes_nothing)
{
    static const struct {
        int answer, error;
    } cases[] = {{RMAP_ERR_IO_READ, RMAP_ERR_IO_READ}, {0, RMAP_ERR_IO_READ},           {77, RMAP_ERR_IO_READ},
                 {RMAP_ERR_NOMEM, RMAP_ERR_NOMEM},     {RMAP_ERR_CORRUPT, RMAP_ERR_CORRUPT}};
    world_begin(&w, 10);
    rmap_swp_t entry = evict(&w, mapped_page(&w, 5, 1));
    struct rmap_page *page = new_page(&w);
    w.dev.fail_all_reads = true;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        w.dev.read_error = cases[i].answer;
        CHECK_ERR(rmap_swap_cache_load(w.s, entry, page), cases[i].error);
        CHECK_EQ(page->refcount, 1);
        CHECK_EQ(flags_of(page), RMAP_PAGE_LOCKED);
        CHECK_EQ(page->swap, 0);
        CHECK_EQ(w.ops->count(w.s, entry), 1);
    }
    struct rmap_swap_stats st = stats_of(&w);
    CHECK_EQ(st.read_errors, 4);
    CHECK_EQ(st.checksum_errors, 1);
    CHECK_EQ(st.reads, 0);
    release(&w, page);
    w.dev.fail_all_reads = false;
    check_content(&w, entry, 1);
    world_end(&w);
}

/* Slots 0, 1, 2 and a dead one; the second read of the device fails, the third page is cached already: each has its answer. */
RMAP_TEST(swapload, a_batch_answers_for_each_page)
{
    world_begin(&w, 10);
    rmap_swp_t entry[4];
    struct rmap_page *page[4];
    int result[4] = {77, 77, 77, 77};
    for (unsigned i = 0; i < 3; i++) entry[i] = evict(&w, mapped_page(&w, 5 + i, 1 + i));
    entry[3] = rmap_swp_make(1, 9);
    for (unsigned i = 0; i < 4; i++) page[i] = new_page(&w);
    struct rmap_page *cached = new_page(&w);
    CHECK_OK(rmap_swap_cache_load(w.s, entry[2], cached));
    w.dev.fail_read_at = w.dev.reads + 2;
    CHECK_OK(rmap_swap_cache_load_batch(w.s, entry, page, 4, result));
    CHECK_EQ(result[0], 0);
    CHECK_EQ(result[1], RMAP_ERR_IO_READ);
    CHECK_EQ(result[2], RMAP_ERR_EXISTS);
    CHECK_EQ(result[3], RMAP_ERR_ABSENT);
    CHECK(holds(&w, page[0], 1));
    CHECK_EQ(page[0]->swap, entry[0]);
    for (unsigned i = 1; i < 4; i++) {
        CHECK_EQ(flags_of(page[i]), RMAP_PAGE_LOCKED);
        CHECK_EQ(page[i]->refcount, 1);
    }
    CHECK_ERR(rmap_swap_cache_load_batch(w.s, entry, page, 2, result), RMAP_ERR_INVALID); /* the first is not new */
    CHECK_OK(rmap_swap_cache_load_batch(w.s, entry + 1, page + 1, 1, result + 1));
    CHECK_EQ(result[1], 0);
    CHECK(holds(&w, page[1], 2));
    for (unsigned i = 0; i < 2; i++) CHECK_OK(rmap_swap_cache_del(w.s, page[i]));
    for (unsigned i = 0; i < 4; i++) release(&w, page[i]);
    leave(&w, cached);
    for (unsigned i = 0; i < 3; i++) check_content(&w, entry[i], 1 + i);
    world_end(&w);
}

/* Slots 0, 1, 2, of which the first is cached: what stands behind it is read all the same, each into its own page. */
RMAP_TEST(swapload, a_batch_goes_on_behind_what_it_cannot_read)
{
    world_begin(&w, 10);
    rmap_swp_t entry[3];
    struct rmap_page *page[3];
    int result[3] = {77, 77, 77};
    for (unsigned i = 0; i < 3; i++) entry[i] = evict(&w, mapped_page(&w, 5 + i, 1 + i));
    for (unsigned i = 0; i < 3; i++) page[i] = new_page(&w);
    struct rmap_page *cached = new_page(&w);
    CHECK_OK(rmap_swap_cache_load(w.s, entry[0], cached));
    struct rmap_page *known[] = {page[0], cached};
    CHECK_ERR(rmap_swap_cache_load_batch(w.s, entry + 1, known, 2, result), RMAP_ERR_INVALID); /* the second is not new */
    CHECK_EQ(page[0]->swap, 0);
    CHECK_OK(rmap_swap_cache_load_batch(w.s, entry, page, 3, result));
    CHECK_EQ(result[0], RMAP_ERR_EXISTS);
    for (unsigned i = 1; i < 3; i++) {
        CHECK_EQ(result[i], 0);
        CHECK_EQ(page[i]->swap, entry[i]);
        CHECK(holds(&w, page[i], 1 + i));
        leave(&w, page[i]);
    }
    CHECK_EQ(page[0]->swap, 0);
    release(&w, page[0]);
    leave(&w, cached);
    for (unsigned i = 0; i < 3; i++) check_content(&w, entry[i], 1 + i);
    world_end(&w);
}

/* 68 slots of one device and two of another, the others' at 1 and 69: more than a transfer, and two devices in turn. */
RMAP_TEST(swapload, a_batch_may_be_of_any_length_and_of_several_devices)
{
    enum { N = 70 };
    static struct faulty_device second;
    rmap_swp_t entry[N];
    struct rmap_page *page[N];
    unsigned seed[N];
    int result[N];
    world_begin(&w, N - 2);
    for (unsigned i = 0; i < N; i++) {
        if (i == N - 2) {
            faulty_device_init(&second, 10, SHIFT);
            CHECK_OK(rmap_swap_add(w.s, &second.base));
        }
        seed[i] = i + 1;
        entry[i] = evict(&w, mapped_page(&w, 5 + i, seed[i]));
    }
    CHECK_NE(rmap_swp_device(entry[N - 1]), rmap_swp_device(entry[0]));
    CHECK_EQ(rmap_swp_device(entry[N - 2]), rmap_swp_device(entry[N - 1]));
    const rmap_swp_t there = entry[1];
    entry[1] = entry[N - 2];
    entry[N - 2] = there;
    seed[1] = N - 1;
    seed[N - 2] = 2;
    for (unsigned i = 0; i < N; i++) {
        page[i] = new_page(&w);
        result[i] = RMAP_ERR_BUSY; /* what is in there is nobody's answer */
    }
    CHECK_OK(rmap_swap_cache_load_batch(w.s, entry, page, N, result));
    for (unsigned i = 0; i < N; i++) {
        CHECK_EQ(result[i], 0);
        CHECK(holds(&w, page[i], seed[i]));
        leave(&w, page[i]);
        check_content(&w, entry[i], seed[i]);
    }
    CHECK_EQ(second.reads, 4);
    world_end(&w);
}

RMAP_TEST(swapload, a_batch_of_none_is_done_and_one_with_a_hole_is_not_begun)
{
    world_begin(&w, 10);
    const rmap_swp_t entry[] = {evict(&w, mapped_page(&w, 5, 1)), evict(&w, mapped_page(&w, 6, 2))};
    struct rmap_page *page[] = {new_page(&w), NULL};
    int result[2] = {77, 77};
    CHECK_OK(rmap_swap_cache_load_batch(w.s, entry, page, 0, result));
    CHECK_ERR(rmap_swap_cache_load_batch(w.s, entry, page, 2, result), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_cache_load_batch(w.s, NULL, page, 1, result), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_cache_load_batch(w.s, entry, NULL, 1, result), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_cache_load_batch(w.s, entry, page, 1, NULL), RMAP_ERR_NULL_ARG);
    CHECK_EQ(result[0], 77);
    CHECK_EQ(w.dev.reads, 0);
    CHECK_EQ(page[0]->swap, 0);
    release(&w, page[0]);
    for (unsigned i = 0; i < 2; i++) check_content(&w, entry[i], 1 + i);
    world_end(&w);
}

/* One entry twice: the first page has it. One page twice: it caches one slot at most, with that slot's bytes; side by side,
 * also if the second cannot be read, and, behind an entry of another device, by two reads. */
RMAP_TEST(swapload, a_batch_with_something_twice)
{
    static struct faulty_device second;
    world_begin(&w, 2);
    const rmap_swp_t a = evict(&w, mapped_page(&w, 5, 1)), b = evict(&w, mapped_page(&w, 6, 2));
    faulty_device_init(&second, 10, SHIFT);
    CHECK_OK(rmap_swap_add(w.s, &second.base));
    const rmap_swp_t c = evict(&w, mapped_page(&w, 7, 3));
    CHECK_NE(rmap_swp_device(c), rmap_swp_device(a));
    struct rmap_page *one = new_page(&w), *other_one = new_page(&w);
    int result[3];

    CHECK_OK(rmap_swap_cache_load_batch(w.s, (rmap_swp_t[]){a, a}, (struct rmap_page *[]){one, other_one}, 2, result));
    CHECK_OK(result[0]);
    CHECK_ERR(result[1], RMAP_ERR_EXISTS);
    CHECK(holds(&w, one, 1));
    CHECK_EQ(flags_of(other_one), RMAP_PAGE_LOCKED);
    leave(&w, one);

    CHECK_OK(rmap_swap_cache_load_batch(w.s, (rmap_swp_t[]){a, b}, (struct rmap_page *[]){other_one, other_one}, 2, result));
    CHECK_ERR(result[0], RMAP_ERR_CORRUPT);
    CHECK_OK(result[1]);
    CHECK(holds(&w, other_one, 2));
    CHECK_EQ(other_one->swap, b);
    CHECK_EQ(other_one->refcount, 2);
    leave(&w, other_one);

    one = new_page(&w);
    w.dev.fail_read_at = w.dev.reads + 2; /* leaves the bytes of the first */
    CHECK_OK(rmap_swap_cache_load_batch(w.s, (rmap_swp_t[]){a, b}, (struct rmap_page *[]){one, one}, 2, result));
    CHECK_OK(result[0]);
    CHECK_ERR(result[1], RMAP_ERR_INVALID);
    CHECK(holds(&w, one, 1));
    CHECK_EQ(one->refcount, 2);
    leave(&w, one);

    one = new_page(&w);
    CHECK_OK(rmap_swap_cache_load_batch(w.s, (rmap_swp_t[]){a, c, b}, (struct rmap_page *[]){one, one, one}, 3, result));
    CHECK_OK(result[0]);
    CHECK_ERR(result[1], RMAP_ERR_INVALID);
    CHECK_ERR(result[2], RMAP_ERR_INVALID);
    CHECK(holds(&w, one, 1));
    CHECK_EQ(one->swap, a);
    CHECK_EQ(one->refcount, 2);
    leave(&w, one);
    check_content(&w, a, 1);
    check_content(&w, b, 2);
    check_content(&w, c, 3);
    world_end(&w);
}

/* C5: one bit on the way (once: a second read is right), one bit on the device (for ever), two slots exchanged. */
RMAP_TEST(swapload, checksums_find_what_the_device_does_not)
{
    world_begin(&w, 10);
    rmap_swp_t a = evict(&w, mapped_page(&w, 5, 1)), b = evict(&w, mapped_page(&w, 6, 2));
    struct rmap_page *page = new_page(&w);
    w.dev.spoil_read_at = w.dev.reads + 1;
    CHECK_ERR(rmap_swap_cache_load(w.s, a, page), RMAP_ERR_CORRUPT);
    CHECK_OK(rmap_swap_cache_load(w.s, a, page));
    CHECK(holds(&w, page, 1));
    CHECK_OK(rmap_swap_cache_del(w.s, page));
    release(&w, page);

    page = new_page(&w);
    w.dev.slot[0][PAGE - 1] ^= 1;
    CHECK_ERR(rmap_swap_cache_load(w.s, a, page), RMAP_ERR_CORRUPT);
    CHECK_ERR(rmap_swap_cache_load(w.s, a, page), RMAP_ERR_CORRUPT);
    w.dev.slot[0][PAGE - 1] ^= 1;

    unsigned char *first = w.dev.slot[0];
    w.dev.slot[0] = w.dev.slot[1];
    w.dev.slot[1] = first;
    CHECK_ERR(rmap_swap_cache_load(w.s, a, page), RMAP_ERR_CORRUPT);
    CHECK_ERR(rmap_swap_cache_load(w.s, b, page), RMAP_ERR_CORRUPT);
    w.dev.slot[1] = w.dev.slot[0];
    w.dev.slot[0] = first;
    CHECK_EQ(stats_of(&w).checksum_errors, 5);
    release(&w, page);
    check_content(&w, a, 1);
    check_content(&w, b, 2);
    world_end(&w);
}

/* Two slots with the same content, exchanged: only the place in the checksum tells. */
RMAP_TEST(swapload, a_checksum_covers_the_place)
{
    static unsigned char page[PAGE];
    uint64_t here = rmap__swap_checksum(page, SHIFT, rmap_swp_make(1, 0));
    CHECK_EQ(here, rmap__swap_checksum(page, SHIFT, rmap_swp_make(1, 0)));
    CHECK_NE(here, rmap__swap_checksum(page, SHIFT, rmap_swp_make(1, 1)));
    CHECK_NE(here, rmap__swap_checksum(page, SHIFT, rmap_swp_make(2, 0)));
}

/* H6: the file behind the map is cut, then made long again by somebody else: an error each time, never zeroes. */
RMAP_TEST(swapload, a_file_truncated_under_us_is_an_error_never_zeroes)
{
    struct rmap_device *d;
    int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    if (fd < 0) TEST_SKIP("/tmp has no nameless files");
    world_begin(&w, 0);
    CHECK_OK(rmap_device_file_create(&w.alloc.a, fd, true, 10, SHIFT, &d));
    CHECK_OK(rmap_swap_add(w.s, d));
    rmap_swp_t a = evict(&w, mapped_page(&w, 5, 1)), b = evict(&w, mapped_page(&w, 6, 2));
    struct rmap_page *page = new_page(&w);
    CHECK_EQ(ftruncate(fd, (off_t)(PAGE + PAGE / 2)), 0);
    CHECK_ERR(rmap_swap_cache_load(w.s, b, page), RMAP_ERR_IO_READ);
    CHECK_EQ(ftruncate(fd, (off_t)(2 * PAGE)), 0);
    CHECK_ERR(rmap_swap_cache_load(w.s, b, page), RMAP_ERR_CORRUPT);
    release(&w, page);
    check_content(&w, a, 1);
    w.ops->put(w.s, b, 1);
    world_end(&w);
}

/* The page left its slot before it was written, entries remain: no zeroes for them either. */
RMAP_TEST(swapload, a_slot_that_was_never_written_cannot_be_loaded)
{
    world_begin(&w, 10);
    struct rmap_page *page = outgoing(&w, 5, 1);
    rmap_swp_t entry = page->swap;
    w.ops->forget(w.s, page);
    release(&w, page);
    page = new_page(&w);
    CHECK_ERR(rmap_swap_cache_load(w.s, entry, page), RMAP_ERR_IO_READ);
    CHECK_EQ(w.dev.reads, 0);
    release(&w, page);
    w.ops->put(w.s, entry, 1);
    world_end(&w);
}

/* Whatever was noted of the frame before: the page is as the device has it, and need not be written. */
RMAP_TEST(swapload, a_loaded_page_is_clean)
{
    world_begin(&w, 10);
    rmap_swp_t entry = evict(&w, mapped_page(&w, 5, 1));
    struct rmap_page *page = new_page(&w);
    int result;
    rmap_page_set_flags(page, RMAP_PAGE_DIRTY);
    CHECK_OK(rmap_swap_cache_load(w.s, entry, page));
    CHECK(!(flags_of(page) & RMAP_PAGE_DIRTY));
    const uint64_t writes = stats_of(&w).writes;
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
    CHECK_OK(result);
    CHECK_EQ(stats_of(&w).writes, writes);
    CHECK(holds(&w, page, 1));
    CHECK_OK(rmap_swap_cache_del(w.s, page));
    release(&w, page);
    w.ops->put(w.s, entry, 1);
    world_end(&w);
}

RMAP_TEST(swapload, load_wants_a_new_page)
{
    world_begin(&w, 10);
    rmap_swp_t entry = evict(&w, mapped_page(&w, 5, 1));
    struct rmap_page *page = mapped_page(&w, 6, 2), *fresh = new_page(&w), foreign;
    CHECK_ERR(rmap_swap_cache_load(NULL, entry, fresh), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_cache_load(w.s, entry, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_cache_load(w.s, entry, page), RMAP_ERR_INVALID);
    rmap_page_unlock(w.r, fresh);
    CHECK_ERR(rmap_swap_cache_load(w.s, entry, fresh), RMAP_ERR_INVALID);
    CHECK(rmap_page_try_lock(fresh));
    memcpy(&foreign, fresh, sizeof foreign);
    CHECK_ERR(rmap_swap_cache_load(w.s, entry, &foreign), RMAP_ERR_UNKNOWN_PAGE);
    w.no_address = true;
    CHECK_ERR(rmap_swap_cache_load(w.s, entry, fresh), RMAP_ERR_UNSUPPORTED);
    w.no_address = false;
    CHECK_EQ(w.dev.reads, 0);
    unmap(&w, page);
    release(&w, page);
    release(&w, fresh);
    w.ops->put(w.s, entry, 1);
    world_end(&w);
}

/* ---- what happens to the slot during a read ---- */

static rmap_swp_t racing;
static struct rmap_page *other;

static void free_slot(struct faulty_device *f)
{
    (void)f;
    w.ops->put(w.s, racing, 1);
}
static void load_too(struct faulty_device *f)
{
    (void)f;
    other = new_page(&w);
    CHECK_OK(rmap_swap_cache_load(w.s, racing, other));
}
static void rewrite(struct faulty_device *f)
{
    int result;
    load_too(f);
    fill(&w, other, 77);
    rmap_page_set_flags(other, RMAP_PAGE_DIRTY);
    CHECK_OK(rmap_swap_write(w.s, &other, 1, &result));
    CHECK_OK(result);
    CHECK_OK(rmap_swap_cache_del(w.s, other));
    release(&w, other);
}
static void reuse_slot(struct faulty_device *f)
{
    free_slot(f);
    CHECK_EQ(evict(&w, mapped_page(&w, 8, 88)), racing);
}
/* The next owner of the slot leaves it without having written it. */
static void reuse_unwritten(struct faulty_device *f)
{
    free_slot(f);
    struct rmap_page *page = outgoing(&w, 8, 88);
    CHECK_EQ(page->swap, racing);
    w.ops->forget(w.s, page);
    release(&w, page);
}
/* Fails the read, too: that the slot is gone is the answer, not the error. */
static void free_slot_and_fail(struct faulty_device *f)
{
    free_slot(f);
}

/* C3 */
RMAP_TEST(swapload, a_slot_freed_during_its_read_is_absent)
{
    world_begin(&w, 10);
    racing = evict(&w, mapped_page(&w, 5, 1));
    struct rmap_page *page = new_page(&w);
    w.dev.during_read = free_slot;
    CHECK_ERR(rmap_swap_cache_load(w.s, racing, page), RMAP_ERR_ABSENT);
    CHECK_EQ(flags_of(page), RMAP_PAGE_LOCKED);
    racing = evict(&w, mapped_page(&w, 5, 1));
    w.dev.during_read = free_slot_and_fail;
    w.dev.fail_all_reads = true;
    CHECK_ERR(rmap_swap_cache_load(w.s, racing, page), RMAP_ERR_ABSENT);
    CHECK_EQ(stats_of(&w).read_errors, 0);
    release(&w, page);
    world_end(&w);
}

/* Freed, taken for another page and written during the read: what the slot holds *now* is read, not a mixture. */
RMAP_TEST(swapload, a_slot_reused_during_its_read_is_read_again)
{
    world_begin(&w, 1);
    racing = evict(&w, mapped_page(&w, 5, 1));
    struct rmap_page *page = new_page(&w);
    w.dev.during_read = reuse_slot;
    CHECK_OK(rmap_swap_cache_load(w.s, racing, page));
    CHECK(holds(&w, page, 88));
    CHECK_EQ(w.dev.reads, 2);
    w.ops->put(w.s, racing, 1);
    release(&w, page);
    world_end(&w);
}

/* The second of three slots is written anew, then freed, while the three are read: that one's answer alone is another. */
RMAP_TEST(swapload, a_slot_that_changes_leaves_the_rest_of_its_batch_alone)
{
    world_begin(&w, 10);
    rmap_swp_t entry[3];
    for (unsigned i = 0; i < 3; i++) entry[i] = evict(&w, mapped_page(&w, 5 + i, 1 + i));
    racing = entry[1];
    for (unsigned round = 0; round < 2; round++) {
        struct rmap_page *page[3];
        int result[3];
        for (unsigned i = 0; i < 3; i++) page[i] = new_page(&w);
        w.dev.during_read = round ? free_slot : rewrite;
        CHECK_OK(rmap_swap_cache_load_batch(w.s, entry, page, 3, result));
        CHECK_EQ(w.dev.during_read, NULL);
        for (unsigned i = 0; i < 3; i++) {
            CHECK_EQ(result[i], round && i == 1 ? RMAP_ERR_ABSENT : 0);
            if (result[i]) {
                CHECK_EQ(flags_of(page[i]), RMAP_PAGE_LOCKED);
                release(&w, page[i]);
            } else {
                CHECK(holds(&w, page[i], i == 1 ? 77 : 1 + i));
                leave(&w, page[i]);
            }
        }
    }
    check_content(&w, entry[0], 1);
    check_content(&w, entry[2], 3);
    world_end(&w);
}

RMAP_TEST(swapload, the_former_content_of_a_reused_slot_is_nobodys)
{
    world_begin(&w, 1);
    racing = evict(&w, mapped_page(&w, 5, 1));
    struct rmap_page *page = new_page(&w);
    w.dev.during_read = reuse_unwritten;
    CHECK_ERR(rmap_swap_cache_load(w.s, racing, page), RMAP_ERR_IO_READ);
    w.ops->put(w.s, racing, 1);
    release(&w, page);
    world_end(&w);
}

RMAP_TEST(swapload, a_slot_rewritten_during_its_read_is_read_again)
{
    world_begin(&w, 10);
    racing = evict(&w, mapped_page(&w, 5, 1));
    struct rmap_page *page = new_page(&w);
    w.dev.during_read = rewrite;
    CHECK_OK(rmap_swap_cache_load(w.s, racing, page));
    CHECK(holds(&w, page, 77));
    w.ops->put(w.s, racing, 1);
    release(&w, page);
    world_end(&w);
}

/* C1: two faults read the same entry; the second to come back is told to use the first one's page. */
RMAP_TEST(swapload, the_second_of_two_loads_is_told_that_it_exists)
{
    world_begin(&w, 10);
    racing = evict(&w, mapped_page(&w, 5, 1));
    struct rmap_page *page = new_page(&w);
    w.dev.during_read = load_too;
    CHECK_ERR(rmap_swap_cache_load(w.s, racing, page), RMAP_ERR_EXISTS);
    CHECK_EQ(flags_of(page), RMAP_PAGE_LOCKED);
    CHECK_EQ(rmap_swap_cache_find(w.s, racing), other);
    CHECK(holds(&w, other, 1));
    CHECK_ERR(rmap_swap_cache_load(w.s, racing, page), RMAP_ERR_EXISTS); /* at once, too */
    rmap_page_put(w.r, other);
    w.ops->put(w.s, racing, 1);
    release(&w, other);
    release(&w, page);
    world_end(&w);
}
