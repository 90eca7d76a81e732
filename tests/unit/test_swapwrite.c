/* SPDX-License-Identifier: MIT */
/** @file unit/test_swapwrite.c  Swap-out: batches, failing devices, bad slots. World: unit/swap_world.h. */
#include "unit/swap_world.h"

static struct world w;

/* ---- writing ---- */

/* 150 pages in 150 neighbouring slots, handed over in the order 0, 7, 14, … mod 150: three calls, ascending. */
RMAP_TEST(swapwrite, a_batch_is_sorted_and_cut_into_few_calls)
{
    struct rmap_page *page[150], *order[150];
    rmap_swp_t entry[150];
    int result[150];
    world_begin(&w, 200);
    for (unsigned i = 0; i < 150; i++) {
        page[i] = outgoing(&w, i, i);
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
    for (unsigned i = 0; i < 150; i++) leave(&w, page[i]);
    for (unsigned i = 0; i < 150; i++) check_content(&w, entry[i], i);
    CHECK_EQ(stats_of(&w).reads, 150);
    world_end(&w);
}

/* 3 pages on device 1 (full then), 2 on device 2: one call each. */
RMAP_TEST(swapwrite, each_device_gets_its_own_pages)
{
    static struct faulty_device second;
    struct rmap_page *page[5];
    rmap_swp_t entry[5];
    int result[5];
    world_begin(&w, 3);
    faulty_device_init(&second, 3, SHIFT);
    CHECK_OK(rmap_swap_add(w.s, &second.base));
    for (unsigned i = 0; i < 5; i++) {
        page[i] = outgoing(&w, i, i);
        entry[i] = page[i]->swap;
    }
    struct rmap_page *order[] = {page[4], page[0], page[3], page[2], page[1]};
    CHECK_OK(rmap_swap_write(w.s, order, 5, result));
    CHECK_EQ(w.dev.calls, 1);
    CHECK_EQ(w.dev.last_n, 3);
    CHECK_EQ(second.calls, 1);
    CHECK_EQ(second.last_n, 2);
    for (unsigned i = 0; i < 5; i++) leave(&w, page[i]);
    for (unsigned i = 0; i < 5; i++) check_content(&w, entry[i], i);
    world_end(&w);
}

RMAP_TEST(swapwrite, a_write_with_a_wrong_page_in_it_writes_nothing)
{
    int result[3] = {1, 1, 1};
    world_begin(&w, 10);
    struct rmap_page *a = outgoing(&w, 1, 1), *b = outgoing(&w, 2, 2), *uncached = mapped_page(&w, 3, 3);
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
    w.no_address = true;
    CHECK_ERR(rmap_swap_write(w.s, (struct rmap_page *[]){a, b}, 2, result), RMAP_ERR_UNSUPPORTED);
    w.no_address = false;
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
RMAP_TEST(swapwrite, dirty_set_during_the_write_is_not_lost)
{
    int result;
    world_begin(&w, 10);
    struct rmap_page *page = outgoing(&w, 1, 1);
    w.dev.user = page;
    w.dev.during_write = dirty_again;
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
    CHECK_OK(result);
    CHECK_EQ(flags_of(page), RMAP_PAGE_LOCKED | RMAP_PAGE_SWAPCACHE | RMAP_PAGE_DIRTY);
    CHECK_ERR(rmap_swap_cache_del(w.s, page), RMAP_ERR_BUSY);
    fill(&w, page, 2);
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result)); /* the same slot again: new content, new checksum */
    rmap_swp_t entry = page->swap;
    leave(&w, page);
    check_content(&w, entry, 2);
    world_end(&w);
}

/* ---- failing writes (C5) ---- */

/*
 * 4 pages in slots 0-3, the third fails. It stays cached and dirty in a bad slot, also when it fails again. Its entry
 * swaps in from the cache. The slot is never handed out again.
 */
RMAP_TEST(swapwrite, a_failed_write_loses_nothing_but_the_slot)
{
    struct rmap_page *page[4];
    int result[4];
    world_begin(&w, 4);
    for (unsigned i = 0; i < 4; i++) page[i] = outgoing(&w, i, i);
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

    w.dev.fail_all_writes = true;
    CHECK_OK(rmap_swap_write(w.s, &page[2], 1, result));
    CHECK_ERR(result[0], RMAP_ERR_IO_WRITE);
    w.dev.fail_all_writes = false;
    CHECK_EQ(w.dev.calls, 2);
    CHECK_EQ(stats_of(&w).slots_bad, 1);
    CHECK_OK(w.ops->dup(w.s, bad, 1)); /* a fork */
    world_verify(&w);
    for (unsigned i = 0; i < 4; i++) {
        entry[i] = page[i]->swap;
        if (i != 2) leave(&w, page[i]);
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

/* A page in a bad slot; the device has no memory, then recovers: the slot is as good as any. */
RMAP_TEST(swapwrite, C5_a_bad_slot_that_takes_its_page_after_all_is_a_good_one)
{
    int result;
    world_begin(&w, 1);
    struct rmap_page *page = outgoing(&w, 5, 1);
    const rmap_swp_t entry = page->swap;
    w.dev.fail_all_writes = true;
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
    CHECK_ERR(result, RMAP_ERR_IO_WRITE);
    CHECK(rmap_swap_is_bad(w.s, page));
    CHECK(!rmap_swap_is_bad(NULL, page) && !rmap_swap_is_bad(w.s, NULL));
    w.dev.write_error = RMAP_ERR_NOMEM;
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
    CHECK_ERR(result, RMAP_ERR_NOMEM);
    CHECK_EQ(stats_of(&w).slots_bad, 1);
    world_verify(&w);

    w.dev.fail_all_writes = false;
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
    CHECK_OK(result);
    CHECK_EQ(stats_of(&w).slots_bad, 0);
    CHECK(!rmap_swap_is_bad(w.s, page));
    leave(&w, page);
    CHECK(!rmap_swap_is_bad(w.s, page)); /* not cached any more */
    check_content(&w, entry, 1);
    page = outgoing(&w, 6, 1); /* the only slot is handed out again */
    CHECK_EQ(page->swap, entry);
    w.ops->put(w.s, entry, 1);
    release(&w, page);
    world_end(&w);
}

/* The page of a bad slot is mapped again and its entries are gone: cache_add gives it another slot. */
RMAP_TEST(swapwrite, a_page_with_a_bad_slot_gets_another_one)
{
    int result;
    world_begin(&w, 4);
    struct rmap_page *page = outgoing(&w, 5, 1);
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
    leave(&w, page);
    check_content(&w, entry, 1);
    world_end(&w);
}

/* A bad slot without entries is no clean copy: taking it away would help nobody. */
RMAP_TEST(swapwrite, a_bad_slot_is_not_stolen)
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
RMAP_TEST(swapwrite, other_answers_of_a_failing_device)
{
    int result;
    world_begin(&w, 4);
    struct rmap_page *page = outgoing(&w, 5, 1);
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
    world_verify(&w); /* the old content is no content any more */
    w.ops->put(w.s, page->swap, 1);
    release(&w, page);

    page = outgoing(&w, 6, 2);
    w.dev.write_error = 12345;
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
    CHECK_ERR(result, RMAP_ERR_IO_WRITE);
    w.ops->put(w.s, page->swap, 1);
    release(&w, page);
    world_end(&w);
}

/* ---- devices of the library behind the map ---- */

/* A map with an lz4 device, 30 pages out and in, with the Nth allocation failing, until none does: no step leaks. */
RMAP_TEST(swapwrite, survives_every_failing_allocation)
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
        for (unsigned i = 0; i < got; i++) check_content(&w, entry[i], i);
        world_end(&w);
        if (!rc) break;
        CHECK_ERR(rc, RMAP_ERR_NOMEM);
    }
}

/* The limit of a compressed device stops evictions, spoils no slot, and they go on when something was given back. */
RMAP_TEST(swapwrite, a_full_lz4_device_recovers)
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
        page = outgoing(&w, n, n);
        entry[n] = page->swap;
        CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
        if (!result) leave(&w, page);
    }
    CHECK_ERR(result, RMAP_ERR_NOMEM);
    CHECK_LE(3, n);
    w.ops->put(w.s, entry[0], 1);
    w.ops->put(w.s, entry[1], 1);
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
    CHECK_OK(result);
    leave(&w, page);
    for (unsigned i = 2; i < n; i++) check_content(&w, entry[i], i);
    CHECK_EQ(stats_of(&w).slots_bad, 0);
    struct rmap_device_stats st;
    CHECK_OK(rmap_device_get_stats(d, &st));
    CHECK_EQ(st.stored_bytes, 0);
    world_end(&w);
}
