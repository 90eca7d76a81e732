/* SPDX-License-Identifier: MIT */
/** @file unit/test_swapdrain.c  A device is taken out of the slot map. World: unit/swap_world.h. */
#include "support/other_thread.h"
#include "unit/swap_world.h"

static struct world w;
static struct faulty_device second;

/* Devices 1 and 2 with so many slots. */
static void two_devices(uint64_t a, uint64_t b)
{
    world_begin(&w, a);
    faulty_device_init(&second, b, SHIFT);
    CHECK_OK(rmap_swap_add(w.s, &second.base));
}

/* Device 1 leaves the map and is destroyed by its owner, us. */
static void take_out_first(void)
{
    CHECK_OK(rmap_swap_remove(w.s, &w.dev.base));
    CHECK(!w.dev.destroyed);
    rmap_device_destroy(&w.dev.base);
}

/* A cached page without entries: a clean copy, unlocked, so that its slot can be taken away. */
static struct rmap_page *clean_copy(rmap_vpn_t vpn)
{
    struct rmap_page *page = swap_in(&w, evict(&w, mapped_page(&w, vpn, (unsigned)vpn)));
    rmap_page_unlock(w.r, page);
    return page;
}
static void end_page(struct rmap_page *page)
{
    rmap_page_lock(page);
    unmap(&w, page);
    release(&w, page);
}

/* 1: 4 slots, 2: 3 slots. 1 drained with two in use: new ones come from 2, then there are none; cancelled: from 1 again */
RMAP_TEST(swapdrain, no_slot_is_taken_from_a_device_that_is_drained)
{
    two_devices(4, 3);
    rmap_swp_t e[8];
    for (unsigned i = 0; i < 2; i++) e[i] = evict(&w, mapped_page(&w, i, i));
    CHECK_OK(rmap_swap_drain_begin(w.s, &w.dev.base));
    CHECK_ERR(rmap_swap_drain_begin(w.s, &w.dev.base), RMAP_ERR_BUSY);
    for (unsigned i = 2; i < 5; i++) {
        e[i] = evict(&w, mapped_page(&w, i, i));
        CHECK_EQ(rmap_swp_device(e[i]), 2);
    }
    struct rmap_page *page = mapped_page(&w, 5, 5);
    CHECK_ERR(rmap_swap_cache_add(w.s, page), RMAP_ERR_NO_SLOT);
    world_verify(&w);
    check_content(&w, e[0], 0); /* and it can be read */
    CHECK_OK(rmap_swap_drain_cancel(w.s, &w.dev.base));
    CHECK_ERR(rmap_swap_drain_cancel(w.s, &w.dev.base), RMAP_ERR_ABSENT);
    e[5] = evict(&w, page);
    CHECK_EQ(rmap_swp_device(e[5]), 1);
    for (unsigned i = 1; i < 6; i++) check_content(&w, e[i], i);
    world_end(&w);
}

/* 1: 2 slots, both clean copies; 2: 1 slot, a clean copy. With 1 drained only 2's is taken away, then nothing can be */
RMAP_TEST(swapdrain, no_clean_copy_gives_its_slot_there)
{
    two_devices(2, 1);
    struct rmap_page *copy[3];
    for (unsigned i = 0; i < 3; i++) copy[i] = clean_copy(i);
    CHECK_EQ(rmap_swp_device(copy[2]->swap), 2);
    CHECK_OK(rmap_swap_drain_begin(w.s, &w.dev.base));
    rmap_swp_t e = evict(&w, mapped_page(&w, 8, 8));
    CHECK_EQ(rmap_swp_device(e), 2);
    CHECK_EQ(copy[2]->swap, 0);
    struct rmap_page *page = mapped_page(&w, 9, 9);
    CHECK_ERR(rmap_swap_cache_add(w.s, page), RMAP_ERR_NO_SLOT);
    CHECK(copy[0]->swap && copy[1]->swap);
    unmap(&w, page);
    release(&w, page);
    check_content(&w, e, 8);
    for (unsigned i = 0; i < 3; i++) end_page(copy[i]);
    world_end(&w);
}

/* 1 drained. A page cached there gets a slot of 2: not while entries name the old one, and not if 2 has none */
RMAP_TEST(swapdrain, a_page_cached_there_gets_another_slot)
{
    two_devices(4, 1);
    struct rmap_page *page = clean_copy(5);
    rmap_page_lock(page);
    CHECK_ERR(rmap_swap_cache_add(w.s, page), RMAP_ERR_EXISTS);
    CHECK_OK(rmap_swap_drain_begin(w.s, &w.dev.base));
    rmap_swp_t old = page->swap, full = evict(&w, mapped_page(&w, 6, 6));
    CHECK_EQ(rmap_swp_device(full), 2);
    CHECK_ERR(rmap_swap_cache_add(w.s, page), RMAP_ERR_NO_SLOT);
    CHECK_EQ(page->swap, old);
    check_content(&w, full, 6);
    CHECK_OK(w.ops->dup(w.s, old, 1));
    CHECK_ERR(rmap_swap_cache_add(w.s, page), RMAP_ERR_EXISTS);
    w.ops->put(w.s, old, 1);
    CHECK_OK(rmap_swap_cache_add(w.s, page));
    CHECK_EQ(rmap_swp_device(page->swap), 2);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_DIRTY);
    CHECK_EQ(home_of(&w, page->swap).index, 5);
    CHECK_EQ(w.ops->count(w.s, old), 0);
    world_verify(&w);
    rmap_page_unlock(w.r, page);
    take_out_first();
    end_page(page);
    world_end(&w);
}

/* 2,100 slots. In use: 0, 63, 64, 128, 1023 with an entry, 1024 a clean copy, 2099; 5 is bad and dead */
RMAP_TEST(swapdrain, next_used_shows_entries_and_clean_copies)
{
    static rmap_swp_t e[2100];
    static const uint32_t kept[] = {0, 63, 64, 128, 1023, 1024, 2099};
    world_begin(&w, 2100);
    struct rmap_page *copy = NULL;
    for (unsigned i = 0; i < 2100; i++) {
        if (i == 5) w.dev.fail_write_at = w.dev.writes + 1;
        if (i == 5) { /* bad, and given up */
            struct rmap_page *page = outgoing(&w, i, i);
            int result;
            CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
            CHECK_ERR(result, RMAP_ERR_IO_WRITE);
            e[i] = 0;
            w.ops->put(w.s, page->swap, 1);
            release(&w, page);
        } else if (i == 1024) {
            copy = mapped_page(&w, i, i);
            CHECK_OK(rmap_swap_cache_add(w.s, copy));
            CHECK_EQ(rmap_swp_slot(copy->swap), i);
        } else {
            e[i] = evict(&w, mapped_page(&w, i, i));
            CHECK_EQ(rmap_swp_slot(e[i]), i);
        }
    }
    CHECK_EQ(rmap_swap_used(w.s, &w.dev.base), 2099);
    for (unsigned i = 0, k = 0; i < 2100; i++) {
        if (kept[k] == i)
            k++;
        else if (e[i])
            w.ops->put(w.s, e[i], 1);
    }
    uint32_t cursor = 0;
    for (unsigned k = 0; k < 7; k++) {
        CHECK_EQ(rmap_swap_next_used(w.s, &w.dev.base, &cursor), rmap_swp_make(1, kept[k]));
        CHECK_EQ(cursor, kept[k] + 1);
    }
    CHECK_EQ(rmap_swap_next_used(w.s, &w.dev.base, &cursor), 0);
    cursor = 1025;
    CHECK_EQ(rmap_swap_next_used(w.s, &w.dev.base, &cursor), rmap_swp_make(1, 2099));
    CHECK_EQ(rmap_swap_used(w.s, &w.dev.base), 7);
    world_verify(&w);
    CHECK_OK(rmap_swap_cache_del(w.s, copy));
    unmap(&w, copy);
    release(&w, copy);
    for (unsigned k = 0; k < 7; k++)
        if (k != 5) w.ops->put(w.s, e[kept[k]], 1);
    cursor = 0;
    CHECK_EQ(rmap_swap_next_used(w.s, &w.dev.base, &cursor), 0);
    world_end(&w);
}

/* 1: 2,000 slots, one of them bad; 2: 10. 1 is removed once it is empty: what it took is given back, its number is free */
RMAP_TEST(swapdrain, a_device_is_removed_when_no_slot_is_in_use)
{
    two_devices(2000, 10);
    struct rmap_page *bad = outgoing(&w, 4, 4);
    int result;
    w.dev.fail_write_at = w.dev.writes + 1;
    CHECK_OK(rmap_swap_write(w.s, &bad, 1, &result));
    rmap_swp_t spoilt = bad->swap, e = evict(&w, mapped_page(&w, 5, 5));
    CHECK_OK(rmap_swap_drain_begin(w.s, &w.dev.base));
    rmap_swp_t other = evict(&w, mapped_page(&w, 6, 6));
    CHECK_ERR(rmap_swap_remove(w.s, &w.dev.base), RMAP_ERR_BUSY);
    check_content(&w, e, 5);
    CHECK_ERR(rmap_swap_remove(w.s, &w.dev.base), RMAP_ERR_BUSY); /* the bad one's page is cached */
    w.ops->put(w.s, spoilt, 1);
    release(&w, bad);
    CHECK_EQ(stats_of(&w).slots_bad, 1);
    CHECK_EQ(rmap_swap_used(w.s, &w.dev.base), 0);
    take_out_first();
    CHECK_ERR(rmap_swap_remove(w.s, &w.dev.base), RMAP_ERR_ABSENT);
    CHECK_ERR(rmap_swap_drain_begin(w.s, &w.dev.base), RMAP_ERR_ABSENT);
    CHECK_ERR(rmap_swap_drain_cancel(w.s, &w.dev.base), RMAP_ERR_ABSENT);
    struct rmap_swap_stats st = stats_of(&w);
    CHECK_EQ(st.slots_total, 10);
    CHECK_EQ(st.slots_bad, 0);
    CHECK_EQ(st.metadata_bytes, sizeof *w.s + 3 * sizeof(uint64_t) + sizeof(struct rmap__slot_chunk)); /* 2's */
    CHECK_EQ(w.ops->count(w.s, e), 0); /* a hole: every entry of it is dead */
    CHECK_EQ(rmap_swap_cache_find(w.s, e), NULL);
    struct rmap_slot_home home;
    CHECK_ERR(w.ops->get_home(w.s, e, &home), RMAP_ERR_ABSENT);
    world_verify(&w);

    faulty_device_init(&w.dev, 1, SHIFT); /* the next device gets the number */
    CHECK_OK(rmap_swap_add(w.s, &w.dev.base));
    CHECK_ERR(rmap_swap_add(w.s, &second.base), RMAP_ERR_EXISTS);
    rmap_swp_t again = evict(&w, mapped_page(&w, 7, 7));
    CHECK_EQ(again, rmap_swp_make(1, 0));
    CHECK_EQ(w.ops->count(w.s, rmap_swp_make(1, 1)), 0); /* behind its end, inside the former one's */
    check_content(&w, again, 7);
    check_content(&w, other, 6);
    CHECK_OK(rmap_swap_remove(w.s, &second.base)); /* without draining, and the last number */
    rmap_device_destroy(&second.base);
    world_end(&w);
}

/* 1 has 3 chunks and the steal hand in the third; then a device of one slot has its number */
RMAP_TEST(swapdrain, the_hand_that_takes_clean_copies_away_leaves_with_the_device)
{
    static rmap_swp_t e[2100];
    two_devices(2100, 1);
    for (unsigned i = 0; i < 2099; i++) e[i] = evict(&w, mapped_page(&w, i, i));
    struct rmap_page *a = clean_copy(5000), *b = clean_copy(5001);
    CHECK_EQ(rmap_swp_slot(a->swap), 2099);
    CHECK_EQ(rmap_swp_device(b->swap), 2);
    e[2099] = evict(&w, mapped_page(&w, 6, 6)); /* all full: a's slot is taken away */
    CHECK_EQ(e[2099], rmap_swp_make(1, 2099));
    for (unsigned i = 0; i < 2100; i++) w.ops->put(w.s, e[i], 1);
    take_out_first();
    faulty_device_init(&w.dev, 1, SHIFT);
    CHECK_OK(rmap_swap_add(w.s, &w.dev.base));
    e[0] = evict(&w, mapped_page(&w, 7, 7));
    struct rmap_page *page = mapped_page(&w, 8, 8); /* full again: b's could be taken, but its page is locked */
    AS_ANOTHER_THREAD(rmap_page_lock(b));
    CHECK_ERR(rmap_swap_cache_add(w.s, page), RMAP_ERR_NO_SLOT);
    rmap_page_unlock(w.r, b);
    e[1] = evict(&w, page);
    CHECK_EQ(rmap_swp_device(e[1]), 2);
    check_content(&w, e[0], 7);
    check_content(&w, e[1], 8);
    end_page(a);
    end_page(b);
    world_end(&w);
}

static void drop_and_remove(struct faulty_device *f)
{
    w.ops->put(w.s, rmap_swp_make(1, 0), 1);
    CHECK_EQ(rmap_swap_used(w.s, &f->base), 0);
    CHECK_ERR(rmap_swap_remove(w.s, &f->base), RMAP_ERR_BUSY);
}

/* C3. The slot dies while it is read, by its last entry's drop: the device must stay until the read has ended */
RMAP_TEST(swapdrain, a_device_that_is_being_read_is_busy)
{
    world_begin(&w, 4);
    rmap_swp_t e = evict(&w, mapped_page(&w, 5, 5));
    struct rmap_page *page = new_page(&w);
    w.dev.during_read = drop_and_remove;
    CHECK_ERR(rmap_swap_cache_load(w.s, e, page), RMAP_ERR_ABSENT);
    CHECK_EQ(w.dev.during_read, NULL);
    release(&w, page);
    take_out_first();
    world_end(&w);
}

/* Devices come and go 200 times: numbers do not run out */
RMAP_TEST(swapdrain, numbers_do_not_run_out)
{
    world_begin(&w, 4);
    for (unsigned i = 0; i < 200; i++) {
        faulty_device_init(&second, 4, SHIFT);
        CHECK_OK(rmap_swap_add(w.s, &second.base));
        CHECK_OK(rmap_swap_remove(w.s, i & 1 ? &w.dev.base : &second.base));
        rmap_device_destroy(i & 1 ? &w.dev.base : &second.base);
        if (i & 1) {
            faulty_device_init(&w.dev, 4, SHIFT);
            CHECK_OK(rmap_swap_add(w.s, &w.dev.base));
            CHECK_OK(rmap_swap_remove(w.s, &second.base));
            rmap_device_destroy(&second.base);
        }
        world_verify(&w);
    }
    CHECK_LE(w.s->device_count, 2);
    world_end(&w);
}

/* H2. */
RMAP_TEST(swapdrain, bad_arguments_are_refused)
{
    uint32_t cursor = 0;
    world_begin(&w, 4);
    CHECK_ERR(rmap_swap_drain_begin(NULL, &w.dev.base), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_drain_begin(w.s, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_drain_cancel(NULL, &w.dev.base), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_drain_cancel(w.s, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_remove(NULL, &w.dev.base), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_remove(w.s, NULL), RMAP_ERR_NULL_ARG);
    CHECK_EQ(rmap_swap_next_used(NULL, &w.dev.base, &cursor), 0);
    CHECK_EQ(rmap_swap_next_used(w.s, NULL, &cursor), 0);
    CHECK_EQ(rmap_swap_next_used(w.s, &w.dev.base, NULL), 0);
    CHECK_EQ(rmap_swap_used(NULL, &w.dev.base), 0);
    CHECK_EQ(rmap_swap_used(w.s, NULL), 0);
    struct rmap_device stranger = w.dev.base;
    CHECK_ERR(rmap_swap_drain_begin(w.s, &stranger), RMAP_ERR_ABSENT);
    CHECK_ERR(rmap_swap_remove(w.s, &stranger), RMAP_ERR_ABSENT);
    CHECK_EQ(rmap_swap_next_used(w.s, &stranger, &cursor), 0);
    CHECK_EQ(rmap_swap_used(w.s, &stranger), 0);
    world_end(&w);
}
