/* SPDX-License-Identifier: MIT */
/** @file unit/test_swapio.c  The swap map's I/O: batches, checksums, failing devices, races. World: unit/swap_world.h. */
#include "unit/swap_world.h"

#include <fcntl.h>
#include <unistd.h>

static struct world w;

/* Locked, cached, one entry, unmapped, dirty: ready to be written. */
static struct rmap_page *outgoing(rmap_vpn_t vpn, unsigned seed)
{
    struct rmap_page *page = mapped_page(&w, vpn, seed);
    CHECK_OK(rmap_swap_cache_add(w.s, page));
    CHECK_OK(w.ops->dup(w.s, page->swap, 1));
    unmap(&w, page);
    return page;
}
/* Without ORPHAN: the core sets it whenever a locked cached page is unmapped, for its unlock to look. */
static unsigned flags_of(const struct rmap_page *page)
{
    return rmap_page_flags(page) & ~(unsigned)RMAP_PAGE_ORPHAN;
}
static void leave(struct rmap_page *page)
{
    CHECK_OK(rmap_swap_cache_del(w.s, page));
    release(&w, page);
}
/* Read the sole entry back, compare, and let page and slot go. */
static void check_content(rmap_swp_t entry, unsigned seed)
{
    struct rmap_page *page = swap_in(&w, entry);
    CHECK(holds(&w, page, seed));
    unmap(&w, page);
    release(&w, page);
}

/* ---- writing ---- */

/* 150 pages in 150 neighbouring slots, handed over in the order 0, 7, 14, … mod 150: three calls, ascending. */
RMAP_TEST(swapio, a_batch_is_sorted_and_cut_into_few_calls)
{
    struct rmap_page *page[150], *order[150];
    rmap_swp_t entry[150];
    int result[150];
    world_begin(&w, 200);
    for (unsigned i = 0; i < 150; i++) {
        page[i] = outgoing(i, i);
        entry[i] = page[i]->swap;
        CHECK_EQ(entry[i], rmap_swp_make(1, i));
    }
    for (unsigned i = 0; i < 150; i++) order[i] = page[i * 7 % 150];
    CHECK_OK(rmap_swap_write(w.s, order, 150, result));
    for (unsigned i = 0; i < 150; i++) {
        CHECK_EQ(order[i], page[i]);
        CHECK_OK(result[i]);
        CHECK_EQ(flags_of(page[i]), RMAP_PAGE_LOCKED | RMAP_PAGE_SWAPCACHE);
    }
    CHECK_EQ(w.dev.calls, 3);
    CHECK_EQ(w.dev.last_first, 128);
    CHECK_EQ(w.dev.last_n, 22);
    CHECK_EQ(stats_of(&w).writes, 150);
    CHECK_OK(rmap_swap_write(w.s, order, 150, result)); /* clean: nothing to do */
    CHECK_EQ(w.dev.calls, 3);
    world_verify(&w);
    for (unsigned i = 0; i < 150; i++) leave(page[i]);
    for (unsigned i = 0; i < 150; i++) check_content(entry[i], i);
    CHECK_EQ(stats_of(&w).reads, 150);
    world_end(&w);
}

/* 3 pages on device 1 (full then), 2 on device 2: one call each. */
RMAP_TEST(swapio, each_device_gets_its_own_pages)
{
    static struct faulty_device second;
    struct rmap_page *page[5];
    rmap_swp_t entry[5];
    int result[5];
    world_begin(&w, 3);
    faulty_device_init(&second, 3, SHIFT);
    CHECK_OK(rmap_swap_add(w.s, &second.base));
    for (unsigned i = 0; i < 5; i++) {
        page[i] = outgoing(i, i);
        entry[i] = page[i]->swap;
    }
    struct rmap_page *order[] = {page[4], page[0], page[3], page[2], page[1]};
    CHECK_OK(rmap_swap_write(w.s, order, 5, result));
    CHECK_EQ(w.dev.calls, 1);
    CHECK_EQ(w.dev.last_n, 3);
    CHECK_EQ(second.calls, 1);
    CHECK_EQ(second.last_n, 2);
    for (unsigned i = 0; i < 5; i++) leave(page[i]);
    for (unsigned i = 0; i < 5; i++) check_content(entry[i], i);
    world_end(&w);
}

RMAP_TEST(swapio, a_write_with_a_wrong_page_in_it_writes_nothing)
{
    int result[3] = {1, 1, 1};
    world_begin(&w, 10);
    struct rmap_page *a = outgoing(1, 1), *b = outgoing(2, 2), *uncached = mapped_page(&w, 3, 3);
    struct rmap_page *mixed[] = {a, uncached, b}, *twice[] = {a, b, a}, *null[] = {a, NULL};
    CHECK_ERR(rmap_swap_write(NULL, mixed, 3, result), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_write(w.s, NULL, 3, result), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_write(w.s, mixed, 3, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_write(w.s, null, 2, result), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_write(w.s, mixed, 3, result), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_swap_write(w.s, twice, 3, result), RMAP_ERR_INVALID);
    rmap_page_unlock(w.r, b);
    CHECK_ERR(rmap_swap_write(w.s, (struct rmap_page *[]){a, b}, 2, result), RMAP_ERR_INVALID);
    CHECK(rmap_page_try_lock(b));
    CHECK_OK(rmap_swap_write(w.s, mixed, 0, result));
    CHECK_EQ(w.dev.calls, 0);
    CHECK_EQ(result[0], 1);
    CHECK(rmap_page_flags(a) & RMAP_PAGE_DIRTY);
    w.ops->put(w.s, a->swap, 1);
    w.ops->put(w.s, b->swap, 1);
    unmap(&w, uncached);
    release(&w, a);
    release(&w, b);
    release(&w, uncached);
    world_end(&w);
}

static void dirty_again(struct faulty_device *f)
{
    struct rmap_page *page = f->user;
    CHECK(rmap_page_flags(page) & RMAP_PAGE_WRITEBACK);
    CHECK(!(rmap_page_flags(page) & RMAP_PAGE_DIRTY));
    rmap_page_set_flags(page, RMAP_PAGE_DIRTY);
}

/* D3, INV-7: somebody reports a dirty entry while the page is on its way. */
RMAP_TEST(swapio, dirty_set_during_the_write_is_not_lost)
{
    int result;
    world_begin(&w, 10);
    struct rmap_page *page = outgoing(1, 1);
    w.dev.user = page;
    w.dev.during_write = dirty_again;
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
    CHECK_OK(result);
    CHECK_EQ(flags_of(page), RMAP_PAGE_LOCKED | RMAP_PAGE_SWAPCACHE | RMAP_PAGE_DIRTY);
    CHECK_ERR(rmap_swap_cache_del(w.s, page), RMAP_ERR_BUSY);
    fill(&w, page, 2);
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result)); /* the same slot again: new content, new checksum */
    rmap_swp_t entry = page->swap;
    leave(page);
    check_content(entry, 2);
    world_end(&w);
}

/* ---- failing writes (C5) ---- */

/*
 * 4 pages in slots 0-3, the third fails. It stays cached and dirty in a bad slot; asked again, the map refuses without the
 * device. Its entry swaps in from the cache. The slot is never handed out again.
 */
RMAP_TEST(swapio, a_failed_write_loses_nothing_but_the_slot)
{
    struct rmap_page *page[4];
    int result[4];
    world_begin(&w, 4);
    for (unsigned i = 0; i < 4; i++) page[i] = outgoing(i, i);
    w.dev.fail_write_at = 3;
    CHECK_OK(rmap_swap_write(w.s, page, 4, result));
    for (unsigned i = 0; i < 4; i++) CHECK_ERR(result[i], i == 2 ? RMAP_ERR_IO_WRITE : RMAP_OK);
    rmap_swp_t bad = page[2]->swap, entry[4];
    CHECK_EQ(flags_of(page[2]), RMAP_PAGE_LOCKED | RMAP_PAGE_SWAPCACHE | RMAP_PAGE_DIRTY);
    struct rmap_swap_stats st = stats_of(&w);
    CHECK_EQ(st.slots_bad, 1);
    CHECK_EQ(st.write_errors, 1);
    CHECK_EQ(st.writes, 3);
    CHECK_ERR(rmap_swap_cache_del(w.s, page[2]), RMAP_ERR_BUSY);

    CHECK_OK(rmap_swap_write(w.s, &page[2], 1, result));
    CHECK_ERR(result[0], RMAP_ERR_IO_WRITE);
    CHECK_EQ(w.dev.calls, 1);
    CHECK_OK(w.ops->dup(w.s, bad, 1)); /* a fork */
    world_verify(&w);
    for (unsigned i = 0; i < 4; i++) {
        entry[i] = page[i]->swap;
        if (i != 2) leave(page[i]);
    }

    rmap_page_unlock(w.r, page[2]);
    CHECK_EQ(rmap_swap_cache_find(w.s, bad), page[2]);
    rmap_page_put(w.r, page[2]);
    CHECK(holds(&w, page[2], 2));
    w.ops->put(w.s, bad, 2); /* the last entries: the page goes, the slot is bad for ever */
    rmap_page_put(w.r, page[2]);
    CHECK_EQ(w.frames_used, 0);
    CHECK_EQ(stats_of(&w).slots_used, 3);
    CHECK_EQ(stats_of(&w).slots_bad, 1);

    struct rmap_page *late = mapped_page(&w, 9, 9);
    CHECK_ERR(rmap_swap_cache_add(w.s, late), RMAP_ERR_NO_SLOT);
    w.ops->put(w.s, entry[0], 1);
    CHECK_OK(rmap_swap_cache_add(w.s, late));
    CHECK_EQ(late->swap, entry[0]);
    w.ops->forget(w.s, late);
    unmap(&w, late);
    release(&w, late);
    w.ops->put(w.s, entry[1], 1);
    w.ops->put(w.s, entry[3], 1);
    world_end(&w);
}

/* The page of a bad slot is mapped again and its entries are gone: cache_add gives it another slot. */
RMAP_TEST(swapio, a_page_with_a_bad_slot_gets_another_one)
{
    int result;
    world_begin(&w, 4);
    struct rmap_page *page = outgoing(5, 1);
    rmap_swp_t bad = page->swap;
    w.dev.fail_all_writes = true;
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
    CHECK_ERR(result, RMAP_ERR_IO_WRITE);
    CHECK_ERR(rmap_swap_cache_add(w.s, page), RMAP_ERR_EXISTS); /* entries name the bad slot */
    CHECK_OK(rmap_page_map_swapin(&w.m, page, bad));
    w.ops->put(w.s, bad, 1);
    uint32_t refs = page->refcount;
    world_verify(&w);

    w.dev.fail_all_writes = false;
    CHECK_OK(rmap_swap_cache_add(w.s, page));
    CHECK_NE(page->swap, bad);
    CHECK_EQ(page->refcount, refs);
    CHECK_EQ(flags_of(page), RMAP_PAGE_LOCKED | RMAP_PAGE_SWAPCACHE | RMAP_PAGE_DIRTY);
    CHECK_EQ(stats_of(&w).slots_used, 1);
    CHECK_EQ(stats_of(&w).cached, 1);
    CHECK_ERR(rmap_swap_cache_add(w.s, page), RMAP_ERR_EXISTS);
    CHECK_OK(w.ops->dup(w.s, page->swap, 1));
    unmap(&w, page);
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
    CHECK_OK(result);
    rmap_swp_t entry = page->swap;
    leave(page);
    check_content(entry, 1);
    world_end(&w);
}

/* A bad slot without entries is no clean copy: taking it away would help nobody. */
RMAP_TEST(swapio, a_bad_slot_is_not_stolen)
{
    int result;
    world_begin(&w, 1);
    struct rmap_page *page = mapped_page(&w, 5, 1), *late = mapped_page(&w, 6, 2);
    CHECK_OK(rmap_swap_cache_add(w.s, page));
    w.dev.fail_all_writes = true;
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
    rmap_page_unlock(w.r, page);
    CHECK_ERR(rmap_swap_cache_add(w.s, late), RMAP_ERR_NO_SLOT);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE);
    CHECK(rmap_page_try_lock(page));
    CHECK_ERR(rmap_swap_cache_add(w.s, page), RMAP_ERR_NO_SLOT); /* none to give it instead: it keeps what it has */
    CHECK_EQ(page->swap, rmap_swp_make(1, 0));
    unmap(&w, page);
    unmap(&w, late);
    release(&w, page);
    release(&w, late);
    world_end(&w);
}

/* A device without memory is not broken: the slot stays good, the next write succeeds. One that does not answer is. */
RMAP_TEST(swapio, other_answers_of_a_failing_device)
{
    int result;
    world_begin(&w, 4);
    struct rmap_page *page = outgoing(5, 1);
    w.dev.fail_all_writes = true;
    w.dev.write_error = RMAP_ERR_NOMEM;
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
    CHECK_ERR(result, RMAP_ERR_NOMEM);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_DIRTY);
    CHECK_EQ(stats_of(&w).slots_bad, 0);
    world_verify(&w);
    w.dev.fail_all_writes = false;
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
    CHECK_OK(result);

    rmap_page_set_flags(page, RMAP_PAGE_DIRTY);
    w.dev.fail_all_writes = true;
    w.dev.write_error = 0;
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
    CHECK_ERR(result, RMAP_ERR_IO_WRITE);
    CHECK_EQ(stats_of(&w).slots_bad, 1);
    w.ops->put(w.s, page->swap, 1);
    release(&w, page);

    page = outgoing(6, 2);
    w.dev.write_error = 12345;
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
    CHECK_ERR(result, RMAP_ERR_IO_WRITE);
    w.ops->put(w.s, page->swap, 1);
    release(&w, page);
    world_end(&w);
}

/* ---- failing reads (C5) ---- */

RMAP_TEST(swapio, a_failed_read_changes_nothing)
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
    check_content(entry, 1);
    world_end(&w);
}

/* C5: one bit on the way (once: a second read is right), one bit on the device (for ever), two slots exchanged. */
RMAP_TEST(swapio, checksums_find_what_the_device_does_not)
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
    check_content(a, 1);
    check_content(b, 2);
    world_end(&w);
}

/* Two slots with the same content, exchanged: only the place in the checksum tells. */
RMAP_TEST(swapio, a_checksum_covers_the_place)
{
    static unsigned char page[PAGE];
    CHECK_NE(rmap__swap_checksum(page, SHIFT, rmap_swp_make(1, 0)), rmap__swap_checksum(page, SHIFT, rmap_swp_make(1, 1)));
    CHECK_NE(rmap__swap_checksum(page, SHIFT, rmap_swp_make(1, 0)), rmap__swap_checksum(page, SHIFT, rmap_swp_make(2, 0)));
    CHECK_EQ(rmap__swap_checksum(page, SHIFT, rmap_swp_make(1, 0)), rmap__swap_checksum(page, SHIFT, rmap_swp_make(1, 0)));
}

/* H6: the file behind the map is cut, then made long again by somebody else: an error each time, never zeroes. */
RMAP_TEST(swapio, a_file_truncated_under_us_is_an_error_never_zeroes)
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
    check_content(a, 1);
    w.ops->put(w.s, b, 1);
    world_end(&w);
}

/* The page left its slot before it was written, entries remain: no zeroes for them either. */
RMAP_TEST(swapio, a_slot_that_was_never_written_cannot_be_loaded)
{
    world_begin(&w, 10);
    struct rmap_page *page = outgoing(5, 1);
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

RMAP_TEST(swapio, load_wants_a_new_page)
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
/* Fails the read, too: that the slot is gone is the answer, not the error. */
static void free_slot_and_fail(struct faulty_device *f)
{
    free_slot(f);
}

/* C3 */
RMAP_TEST(swapio, a_slot_freed_during_its_read_is_absent)
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
RMAP_TEST(swapio, a_slot_reused_during_its_read_is_read_again)
{
    world_begin(&w, 1);
    racing = evict(&w, mapped_page(&w, 5, 1));
    struct rmap_page *page = new_page(&w);
    w.dev.during_read = reuse_slot;
    CHECK_OK(rmap_swap_cache_load(w.s, racing, page));
    CHECK(holds(&w, page, 88));
    CHECK_EQ(rmap_page_index(page), 8);
    CHECK_EQ(w.dev.reads, 2);
    w.ops->put(w.s, racing, 1);
    release(&w, page);
    world_end(&w);
}

RMAP_TEST(swapio, a_slot_rewritten_during_its_read_is_read_again)
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
RMAP_TEST(swapio, the_second_of_two_loads_is_told_that_it_exists)
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

/* ---- devices of the library behind the map ---- */

/* A map with an lz4 device, 30 pages out and in, with the Nth allocation failing, until none does: no step leaks. */
RMAP_TEST(swapio, survives_every_failing_allocation)
{
    for (size_t n = 1;; n++) {
        struct rmap_device *d = NULL;
        struct rmap_page *page[30];
        rmap_swp_t entry[30];
        world_begin(&w, 0);
        w.alloc.fail_at = w.alloc.calls + n;
        int rc = rmap_device_lz4_create(&w.alloc.a, 30, SHIFT, 0, &d);
        if (rc == RMAP_ERR_UNSUPPORTED) TEST_SKIP("built without lz4");
        if (!rc && (rc = rmap_swap_add(w.s, d))) rmap_device_destroy(d);
        unsigned got = 0;
        for (; got < 30 && !rc; got++) {
            int result = 0;
            page[got] = mapped_page(&w, got, got);
            rc = rmap_swap_cache_add(w.s, page[got]);
            if (!rc) {
                entry[got] = page[got]->swap;
                CHECK_OK(w.ops->dup(w.s, entry[got], 1));
            }
            unmap(&w, page[got]);
            if (!rc) CHECK_OK(rmap_swap_write(w.s, &page[got], 1, &result));
            if (!rc && !result) CHECK_OK(rmap_swap_cache_del(w.s, page[got]));
            if (!rc && result) w.ops->put(w.s, entry[got], 1);
            release(&w, page[got]);
            if (rc || (rc = result)) break;
        }
        CHECK_EQ(w.frames_used, 0);
        CHECK_EQ(stats_of(&w).slots_bad, 0);
        CHECK_EQ(stats_of(&w).slots_used, got);
        for (unsigned i = 0; i < got; i++) check_content(entry[i], i);
        world_end(&w);
        if (!rc) break;
        CHECK_ERR(rc, RMAP_ERR_NOMEM);
    }
}

/* The limit of a compressed device stops evictions, spoils no slot, and they go on when something has been given back. */
RMAP_TEST(swapio, a_full_lz4_device_recovers)
{
    struct rmap_device *d = NULL;
    world_begin(&w, 0);
    int rc = rmap_device_lz4_create(&w.alloc.a, 100, SHIFT, 1200, &d), result = 0;
    if (rc == RMAP_ERR_UNSUPPORTED) TEST_SKIP("built without lz4");
    CHECK_OK(rc);
    CHECK_OK(rmap_swap_add(w.s, d));
    rmap_swp_t entry[100];
    struct rmap_page *page = NULL;
    unsigned n = 0;
    for (; !result; n++) {
        page = outgoing(n, n);
        entry[n] = page->swap;
        CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
        if (!result) leave(page);
    }
    CHECK_ERR(result, RMAP_ERR_NOMEM);
    CHECK_LE(3, n);
    w.ops->put(w.s, entry[0], 1);
    w.ops->put(w.s, entry[1], 1);
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
    CHECK_OK(result);
    leave(page);
    for (unsigned i = 2; i < n; i++) check_content(entry[i], i);
    CHECK_EQ(stats_of(&w).slots_bad, 0);
    struct rmap_device_stats st;
    CHECK_OK(rmap_device_get_stats(d, &st));
    CHECK_EQ(st.stored_bytes, 0);
    world_end(&w);
}
