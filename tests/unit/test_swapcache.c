/* SPDX-License-Identifier: MIT */
/** @file unit/test_swapcache.c  Cached pages: clean copies, orphans, stealing, leaving. World: unit/swap_world.h. */
#include "unit/swap_world.h"

static struct world w;

/* A mapped page with a clean copy in a slot of count 0, unlocked; we hold a reference. */
static struct rmap_page *clean_copy(rmap_vpn_t vpn, unsigned seed)
{
    struct rmap_page *page = swap_in(&w, evict(&w, mapped_page(&w, vpn, seed)));
    CHECK_EQ(rmap_page_flags(page), RMAP_PAGE_LOCKED | RMAP_PAGE_SWAPCACHE);
    CHECK_EQ(w.ops->count(w.s, page->swap), 0);
    rmap_page_unlock(w.r, page);
    return page;
}

/* Swap-in of the sole entry: the slot stays as the page's clean copy (INV-3), and the next eviction writes nothing. */
RMAP_TEST(swapcache, a_mapped_page_keeps_its_slot_as_clean_copy)
{
    world_begin(&w, 10);
    struct rmap_page *page = clean_copy(5, 42);
    rmap_swp_t entry = page->swap;
    CHECK_EQ(page->refcount, 3); /* ours, its mapping's, the cache's */
    CHECK_EQ(stats_of(&w).slots_used, 1);
    world_verify(&w);

    int result = -1;
    uint64_t writes = w.dev.writes;
    CHECK(rmap_page_try_lock(page));
    CHECK_OK(w.ops->dup(w.s, entry, 1));
    unmap(&w, page);
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
    CHECK_OK(result);
    CHECK_EQ(w.dev.writes, writes);
    CHECK_OK(rmap_swap_cache_del(w.s, page));
    release(&w, page);
    CHECK_EQ(w.frames_used, 0);

    page = swap_in(&w, entry);
    CHECK(holds(&w, page, 42));
    unmap(&w, page); /* the last mapping of a clean copy: both go at the unlock */
    release(&w, page);
    CHECK_EQ(stats_of(&w).slots_used, 0);
    world_end(&w);
}

/* Two entries, the page was read in for somebody who gave up: nobody maps it. The last put frees page and slot. */
RMAP_TEST(swapcache, the_last_put_frees_an_unmapped_page)
{
    world_begin(&w, 10);
    rmap_swp_t entry = evict(&w, mapped_page(&w, 5, 1));
    CHECK_OK(w.ops->dup(w.s, entry, 1));
    struct rmap_page *page = new_page(&w);
    CHECK_OK(rmap_swap_cache_load(w.s, entry, page));
    release(&w, page);
    CHECK_EQ(w.frames_used, 1);
    w.ops->put(w.s, entry, 1);
    CHECK_EQ(w.frames_used, 1);
    world_verify(&w);
    w.ops->put(w.s, entry, 1);
    CHECK_EQ(w.frames_used, 0);
    CHECK_EQ(stats_of(&w).slots_used, 0);
    CHECK_EQ(w.dev.discards, 1);
    world_end(&w);
}

/* The last drop while the page is locked: ORPHAN, and the unlocker frees both. */
RMAP_TEST(swapcache, the_last_put_leaves_a_locked_page_to_its_unlocker)
{
    world_begin(&w, 10);
    rmap_swp_t entry = evict(&w, mapped_page(&w, 5, 1));
    struct rmap_page *page = new_page(&w);
    CHECK_OK(rmap_swap_cache_load(w.s, entry, page));
    w.ops->put(w.s, entry, 1);
    CHECK_EQ(rmap_page_flags(page), RMAP_PAGE_LOCKED | RMAP_PAGE_SWAPCACHE | RMAP_PAGE_ORPHAN);
    CHECK_EQ(stats_of(&w).slots_used, 1);
    world_verify(&w);
    rmap_page_unlock(w.r, page);
    CHECK_EQ(rmap_page_flags(page), RMAP_PAGE_DIRTY);
    CHECK_EQ(page->refcount, 1);
    CHECK_EQ(stats_of(&w).slots_used, 0);
    rmap_page_put(w.r, page);
    world_end(&w);
}

/* The same for who unlocks with an index, as a move does, and has no reference: the cache's, the last, goes in that unlock. */
RMAP_TEST(swapcache, an_orphan_unlocked_with_an_index_outlives_its_unlock)
{
    world_begin(&w, 10);
    rmap_swp_t entry = evict(&w, mapped_page(&w, 5, 1));
    struct rmap_page *page = new_page(&w);
    CHECK_OK(rmap_swap_cache_load(w.s, entry, page));
    w.ops->put(w.s, entry, 1);
    rmap_page_put(w.r, page);
    CHECK_EQ(page->refcount, 1);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_ORPHAN);
    rmap__page_unlock_at(w.r, page, 9);
    CHECK_EQ(w.frames_used, 0);
    CHECK_EQ(stats_of(&w).slots_used, 0);
    world_end(&w);
}

/* The page's lock-holder takes it out of the cache himself: no ORPHAN mark may be left on it. */
RMAP_TEST(swapcache, an_orphan_taken_out_is_no_orphan_any_more)
{
    world_begin(&w, 10);
    rmap_swp_t entry = evict(&w, mapped_page(&w, 5, 1));
    struct rmap_page *page = new_page(&w);
    CHECK_OK(rmap_swap_cache_load(w.s, entry, page));
    w.ops->put(w.s, entry, 1);
    CHECK_OK(rmap_swap_cache_del(w.s, page));
    CHECK_EQ(rmap_page_flags(page), RMAP_PAGE_LOCKED | RMAP_PAGE_DIRTY);
    release(&w, page);
    world_end(&w);
}

/*
 * 3 slots, all clean copies: frames a (locked), b, c (being written). A fourth page takes b's slot: b is dirty now.
 * Then only locked ones are left.
 */
RMAP_TEST(swapcache, a_full_map_takes_clean_copies_away)
{
    world_begin(&w, 3);
    struct rmap_page *a = clean_copy(1, 1), *b = clean_copy(2, 2), *c = clean_copy(3, 3);
    CHECK(rmap_page_try_lock(a));
    rmap_page_set_flags(c, RMAP_PAGE_WRITEBACK);
    rmap_swp_t entry = b->swap;
    struct rmap_page *page = mapped_page(&w, 4, 4), *late = mapped_page(&w, 5, 5);
    CHECK_OK(rmap_swap_cache_add(w.s, page));
    CHECK_EQ(page->swap, entry);
    CHECK_EQ(rmap_page_flags(b), RMAP_PAGE_DIRTY);
    CHECK_EQ(b->swap, 0);
    CHECK_EQ(b->refcount, 2);
    CHECK(rmap_page_try_lock(b)); /* it was unlocked again */
    CHECK_ERR(rmap_swap_cache_add(w.s, late), RMAP_ERR_NO_SLOT);
    CHECK_EQ(stats_of(&w).slots_used, 3);
    world_verify(&w);

    rmap_page_unlock(w.r, a);
    CHECK_OK(rmap_swap_cache_add(w.s, late));
    CHECK_EQ(rmap_page_flags(a), RMAP_PAGE_DIRTY);
    rmap_page_clear_flags(c, RMAP_PAGE_WRITEBACK);
    CHECK(rmap_page_try_lock(a));
    CHECK(rmap_page_try_lock(c));
    struct rmap_page *all[] = {a, b, c, page, late};
    for (unsigned i = 0; i < 5; i++) {
        unmap(&w, all[i]);
        release(&w, all[i]);
    }
    world_end(&w);
}

/* 2 slots with entries, no clean copy: nothing is taken away. */
RMAP_TEST(swapcache, a_full_map_never_takes_a_slot_with_entries)
{
    world_begin(&w, 2);
    rmap_swp_t first = evict(&w, mapped_page(&w, 1, 1)), second = evict(&w, mapped_page(&w, 2, 2));
    struct rmap_page *cached = new_page(&w), *page = mapped_page(&w, 3, 3);
    CHECK_OK(rmap_swap_cache_load(w.s, first, cached));
    rmap_page_unlock(w.r, cached);
    CHECK_ERR(rmap_swap_cache_add(w.s, page), RMAP_ERR_NO_SLOT);
    CHECK_EQ(rmap_page_flags(page), RMAP_PAGE_LOCKED | RMAP_PAGE_DIRTY);
    w.ops->put(w.s, second, 1);
    CHECK_OK(rmap_swap_cache_add(w.s, page));
    CHECK_EQ(page->swap, second);
    unmap(&w, page);
    release(&w, page);
    w.ops->put(w.s, first, 1);
    rmap_page_put(w.r, cached);
    world_end(&w);
}

/* No memory for a second chunk, 1,024 of 2,000 slots in use: a clean copy serves. */
RMAP_TEST(swapcache, clean_copies_are_taken_when_a_chunk_cannot_be_had)
{
    static rmap_swp_t entry[1024];
    world_begin(&w, 2000);
    struct rmap_page *copy = clean_copy(7, 7);
    for (unsigned i = 1; i < 1024; i++) entry[i] = evict(&w, mapped_page(&w, 5, i));
    w.alloc.fail_at = w.alloc.calls + 1;
    w.alloc.fail_forever = true;
    struct rmap_page *page = mapped_page(&w, 8, 8), *late = mapped_page(&w, 9, 9);
    CHECK_OK(rmap_swap_cache_add(w.s, page));
    CHECK_EQ(rmap_page_flags(copy), RMAP_PAGE_DIRTY);
    CHECK_ERR(rmap_swap_cache_add(w.s, late), RMAP_ERR_NOMEM);
    w.alloc.fail_forever = false;
    CHECK_OK(rmap_swap_cache_add(w.s, late));
    CHECK_EQ(late->swap, rmap_swp_make(1, 1024));
    CHECK(rmap_page_try_lock(copy));
    struct rmap_page *all[] = {copy, page, late};
    for (unsigned i = 0; i < 3; i++) {
        unmap(&w, all[i]);
        release(&w, all[i]);
    }
    for (unsigned i = 1; i < 1024; i++) w.ops->put(w.s, entry[i], 1);
    world_end(&w);
}

/*
 * 2,048 slots, two chunks, all in use. The clean copy in slot 1024 is taken away first; the next one is in slot 0,
 * behind the place where the search goes on.
 */
RMAP_TEST(swapcache, the_search_for_a_clean_copy_comes_round)
{
    static rmap_swp_t entry[2048];
    world_begin(&w, 2048);
    for (unsigned i = 0; i < 2048; i++) entry[i] = evict(&w, mapped_page(&w, 5, i));
    struct rmap_page *page[4] = {[0] = swap_in(&w, entry[1024]), [1] = mapped_page(&w, 7, 7)};
    rmap_page_unlock(w.r, page[0]);
    CHECK_OK(rmap_swap_cache_add(w.s, page[1]));
    CHECK_EQ(page[1]->swap, entry[1024]);
    page[2] = swap_in(&w, entry[0]);
    rmap_page_unlock(w.r, page[2]);
    page[3] = mapped_page(&w, 8, 8);
    CHECK_OK(rmap_swap_cache_add(w.s, page[3]));
    CHECK_EQ(page[3]->swap, entry[0]);
    world_verify(&w);
    for (unsigned i = 0; i < 4; i++) {
        unmap(&w, page[i]);
        if (rmap_page_flags(page[i]) & RMAP_PAGE_LOCKED) rmap_page_unlock(w.r, page[i]);
        rmap_page_put(w.r, page[i]);
    }
    for (unsigned i = 1; i < 2048; i++)
        if (i != 1024) w.ops->put(w.s, entry[i], 1);
    world_end(&w);
}

/* With entries, a page may leave only clean, unmapped and written; without, always: its slot goes with it. */
RMAP_TEST(swapcache, a_page_leaves_only_if_its_content_stays_known)
{
    world_begin(&w, 10);
    int result = -1;
    struct rmap_page *page = mapped_page(&w, 5, 1);
    CHECK_OK(rmap_swap_cache_add(w.s, page));
    rmap_swp_t entry = page->swap;
    CHECK_OK(w.ops->dup(w.s, entry, 1));
    CHECK_ERR(rmap_swap_cache_del(w.s, page), RMAP_ERR_BUSY); /* dirty and mapped */
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
    CHECK_ERR(rmap_swap_cache_del(w.s, page), RMAP_ERR_BUSY); /* mapped */
    unmap(&w, page);
    rmap_page_set_flags(page, RMAP_PAGE_DIRTY);
    CHECK_ERR(rmap_swap_cache_del(w.s, page), RMAP_ERR_BUSY); /* dirty */
    rmap_page_clear_flags(page, RMAP_PAGE_DIRTY);
    rmap_page_set_flags(page, RMAP_PAGE_WRITEBACK);
    CHECK_ERR(rmap_swap_cache_del(w.s, page), RMAP_ERR_BUSY);
    rmap_page_clear_flags(page, RMAP_PAGE_WRITEBACK);
    CHECK_EQ(page->swap, entry);
    CHECK_OK(rmap_swap_cache_del(w.s, page));
    CHECK_EQ(page->swap, 0);
    release(&w, page);
    CHECK_EQ(w.frames_used, 0);
    CHECK_EQ(stats_of(&w).slots_used, 1);

    page = mapped_page(&w, 6, 2);
    CHECK_OK(rmap_swap_cache_add(w.s, page));
    CHECK_OK(rmap_swap_cache_del(w.s, page)); /* mapped and dirty, no entry */
    CHECK_EQ(stats_of(&w).slots_used, 1);
    unmap(&w, page);
    release(&w, page);
    w.ops->put(w.s, entry, 1);
    world_end(&w);
}

/* A page marked clean by somebody although its slot was never written must not be lost all the same. */
RMAP_TEST(swapcache, a_page_cannot_leave_for_a_slot_without_content)
{
    world_begin(&w, 10);
    struct rmap_page *page = mapped_page(&w, 5, 1);
    CHECK_OK(rmap_swap_cache_add(w.s, page));
    CHECK_OK(w.ops->dup(w.s, page->swap, 1));
    unmap(&w, page);
    rmap_page_clear_flags(page, RMAP_PAGE_DIRTY);
    CHECK_ERR(rmap_swap_cache_del(w.s, page), RMAP_ERR_BUSY);
    int result = -1;
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result)); /* and a write does write it */
    CHECK_OK(result);
    CHECK_EQ(w.dev.writes, 1);
    w.ops->put(w.s, page->swap, 1);
    release(&w, page);
    world_end(&w);
}

RMAP_TEST(swapcache, find_gives_the_page_with_a_reference)
{
    world_begin(&w, 10);
    struct rmap_page *page = clean_copy(5, 1);
    uint32_t refs = page->refcount;
    CHECK_EQ(rmap_swap_cache_find(w.s, page->swap), page);
    CHECK_EQ(page->refcount, refs + 1);
    rmap_page_put(w.r, page);
    CHECK(rmap_page_try_lock(page));
    unmap(&w, page);
    release(&w, page);
    world_end(&w);
}

/* The last mapping goes between the evictor's lock and its cache_add; then it gives up: nothing is left over. */
RMAP_TEST(swapcache, a_page_unmapped_before_it_was_added_is_freed)
{
    world_begin(&w, 10);
    struct rmap_page *page = mapped_page(&w, 5, 1);
    unmap(&w, page);
    CHECK_OK(rmap_swap_cache_add(w.s, page));
    release(&w, page);
    CHECK_EQ(w.frames_used, 0);
    CHECK_EQ(stats_of(&w).slots_used, 0);
    world_end(&w);
}

/* One slot, bad, whose mapped page nobody has locked: it is no clean copy, and the slot is not handed out again */
RMAP_TEST(swapcache, a_bad_slot_is_not_taken_away)
{
    world_begin(&w, 1);
    int result;
    struct rmap_page *page = mapped_page(&w, 5, 5), *other = mapped_page(&w, 6, 6);
    w.dev.fail_all_writes = true;
    CHECK_OK(rmap_swap_cache_add(w.s, page));
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
    CHECK_ERR(result, RMAP_ERR_IO_WRITE);
    rmap_page_unlock(w.r, page);
    CHECK_ERR(rmap_swap_cache_add(w.s, other), RMAP_ERR_NO_SLOT);
    CHECK(page->swap != 0);
    unmap(&w, other);
    release(&w, other);
    rmap_page_lock(page);
    unmap(&w, page);
    release(&w, page);
    world_end(&w);
}

/* A mapped page with a clean copy, no entries: the map is in use. */
RMAP_TEST(swapcache, H2_a_map_that_caches_a_page_cannot_be_destroyed)
{
    world_begin(&w, 10);
    struct rmap_page *page = mapped_page(&w, 5, 1);
    CHECK_OK(rmap_swap_cache_add(w.s, page));
    CHECK_EQ(stats_of(&w).entries, 0);
    CHECK_ERR(rmap_swap_destroy(w.s), RMAP_ERR_BUSY);
    CHECK_OK(rmap_swap_cache_del(w.s, page));
    unmap(&w, page);
    release(&w, page);
    world_end(&w);
}
