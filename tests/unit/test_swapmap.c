/* SPDX-License-Identifier: MIT */
/** @file unit/test_swapmap.c  Slots: where they are taken, what keeps them, when they go. World: unit/swap_world.h. */
#include "unit/swap_world.h"

static struct world w;

/* ---- the object ---- */

RMAP_TEST(swapmap, is_created_bound_and_destroyed)
{
    struct rmap_swap *s = NULL;
    struct rmap_swap_options o = {.struct_size = sizeof o, .page_shift = 12};
    struct rmap *r = (struct rmap *)&o; /* never looked into */
    struct rmap_swap_stats st;
    CHECK_ERR(rmap_swap_create(NULL, &s), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_create(&o, NULL), RMAP_ERR_NULL_ARG);
    o.struct_size++;
    CHECK_ERR(rmap_swap_create(&o, &s), RMAP_ERR_STRUCT_SIZE);
    o.struct_size--;
    o.page_shift = 0;
    CHECK_ERR(rmap_swap_create(&o, &s), RMAP_ERR_INVALID);
    o.page_shift = 64;
    CHECK_ERR(rmap_swap_create(&o, &s), RMAP_ERR_INVALID);
    o.page_shift = 12;
    CHECK_EQ(s, NULL);
    CHECK_OK(rmap_swap_create(&o, &s));
    CHECK_ERR(rmap_swap_bind(NULL, r), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_bind(s, NULL), RMAP_ERR_NULL_ARG);
    CHECK_OK(rmap_swap_bind(s, r));
    CHECK_ERR(rmap_swap_bind(s, r), RMAP_ERR_EXISTS);
    CHECK_ERR(rmap_swap_get_stats(NULL, &st), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_get_stats(s, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_verify(NULL, NULL, 0), RMAP_ERR_NULL_ARG);
    CHECK_OK(rmap_swap_verify(s, NULL, 0));
    CHECK_ERR(rmap_swap_destroy(NULL), RMAP_ERR_NULL_ARG);
    CHECK_OK(rmap_swap_destroy(s));
}

/* 63 devices of 3 slots: a 64th has no number left; 189 slots are handed out in the order of the devices. */
RMAP_TEST(swapmap, takes_63_devices_and_fills_them_in_order)
{
    static struct faulty_device dev[64];
    world_begin(&w, 0);
    for (unsigned i = 0; i < 63; i++) {
        faulty_device_init(&dev[i], 3, SHIFT);
        CHECK_OK(rmap_swap_add(w.s, &dev[i].base));
        CHECK_ERR(rmap_swap_add(w.s, &dev[i].base), RMAP_ERR_EXISTS);
    }
    faulty_device_init(&dev[63], 3, SHIFT);
    CHECK_ERR(rmap_swap_add(w.s, &dev[63].base), RMAP_ERR_OVERFLOW);
    CHECK_EQ(stats_of(&w).slots_total, 189);

    static rmap_swp_t entry[189];
    for (unsigned i = 0; i < 189; i++) {
        entry[i] = evict(&w, mapped_page(&w, 5, i));
        CHECK_EQ(rmap_swp_device(entry[i]), i / 3 + 1);
        CHECK_EQ(rmap_swp_slot(entry[i]), i % 3);
    }
    struct rmap_page *page = mapped_page(&w, 5, 0);
    CHECK_ERR(rmap_swap_cache_add(w.s, page), RMAP_ERR_NO_SLOT);
    unmap(&w, page);
    release(&w, page);
    world_verify(&w);
    for (unsigned i = 0; i < 189; i++) w.ops->put(w.s, entry[i], 1);
    world_end(&w);
    for (unsigned i = 0; i < 63; i++) CHECK(dev[i].destroyed);
    CHECK(!dev[63].destroyed);
    rmap_device_destroy(&dev[63].base);
}

RMAP_TEST(swapmap, refuses_devices_that_do_not_fit)
{
    world_begin(&w, 0);
    static struct faulty_device dev;
    faulty_device_init(&dev, 3, SHIFT);
    const struct rmap_device_ops *good = dev.base.ops;
    struct rmap_device_ops ops = *good;
    CHECK_ERR(rmap_swap_add(NULL, &dev.base), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_add(w.s, NULL), RMAP_ERR_NULL_ARG);
    dev.base.page_shift++;
    CHECK_ERR(rmap_swap_add(w.s, &dev.base), RMAP_ERR_INVALID);
    dev.base.page_shift--;
    dev.base.slots = 0;
    CHECK_ERR(rmap_swap_add(w.s, &dev.base), RMAP_ERR_INVALID);
    dev.base.slots = ((uint64_t)1 << 26) + 1;
    CHECK_ERR(rmap_swap_add(w.s, &dev.base), RMAP_ERR_INVALID);
    dev.base.slots = 3;
    dev.base.ops = NULL;
    CHECK_ERR(rmap_swap_add(w.s, &dev.base), RMAP_ERR_NULL_ARG);
    dev.base.ops = &ops;
    ops.read = NULL;
    CHECK_ERR(rmap_swap_add(w.s, &dev.base), RMAP_ERR_NULL_ARG);
    ops.struct_size = 8;
    CHECK_ERR(rmap_swap_add(w.s, &dev.base), RMAP_ERR_STRUCT_SIZE);
    dev.base.ops = good;
    w.alloc.fail_at = w.alloc.calls + 1;
    CHECK_ERR(rmap_swap_add(w.s, &dev.base), RMAP_ERR_NOMEM);
    CHECK_EQ(stats_of(&w).slots_total, 0);
    struct rmap_page *page = mapped_page(&w, 5, 0);
    CHECK_ERR(rmap_swap_cache_add(w.s, page), RMAP_ERR_NO_SLOT); /* no device at all */
    unmap(&w, page);
    release(&w, page);
    rmap_device_destroy(&dev.base);
    world_end(&w);
}

/* ---- taking slots ---- */

/* 40 pages in a row get slots 0-39. Slots 10-19 become free, and are used when the search comes round: 40-59 first. */
RMAP_TEST(swapmap, consecutive_calls_get_neighbouring_slots)
{
    rmap_swp_t entry[60];
    world_begin(&w, 60);
    for (unsigned i = 0; i < 40; i++) {
        entry[i] = evict(&w, mapped_page(&w, i, i));
        CHECK_EQ(entry[i], rmap_swp_make(1, i));
    }
    for (unsigned i = 10; i < 20; i++) w.ops->put(w.s, entry[i], 1);
    CHECK_EQ(stats_of(&w).slots_used, 30);
    for (unsigned i = 40; i < 60; i++) {
        entry[i] = evict(&w, mapped_page(&w, i, i));
        CHECK_EQ(entry[i], rmap_swp_make(1, i));
    }
    for (unsigned i = 10; i < 20; i++) {
        entry[i] = evict(&w, mapped_page(&w, i, i));
        CHECK_EQ(entry[i], rmap_swp_make(1, i));
    }
    CHECK_EQ(stats_of(&w).slots_used, 60);
    CHECK_EQ(stats_of(&w).slots_peak, 60);
    world_verify(&w);
    for (unsigned i = 0; i < 60; i++) w.ops->put(w.s, entry[i], 1);
    world_end(&w);
}

/*
 * 100 slots in use at a time, 20,000 taken one after the other, each in place of the oldest: they go round in the first
 * chunk of a device of 100,000 instead of spreading over it. With 1,000 in use, a second chunk is made, no third.
 */
RMAP_TEST(swapmap, a_large_device_is_used_from_its_start)
{
    static rmap_swp_t entry[1000];
    world_begin(&w, 100000);
    uint64_t before = stats_of(&w).metadata_bytes;
    for (unsigned i = 0; i < 20000; i++) {
        if (i >= 100) w.ops->put(w.s, entry[i % 100], 1);
        entry[i % 100] = evict(&w, mapped_page(&w, 5, i));
        CHECK(rmap_swp_slot(entry[i % 100]) < 1024);
    }
    CHECK_EQ(stats_of(&w).metadata_bytes, before + sizeof(struct rmap__slot_chunk));
    for (unsigned i = 100; i < 1000; i++) entry[i] = evict(&w, mapped_page(&w, 5, i));
    for (unsigned i = 0; i < 20000; i++) {
        w.ops->put(w.s, entry[i % 1000], 1);
        entry[i % 1000] = evict(&w, mapped_page(&w, 5, i));
        CHECK(rmap_swp_slot(entry[i % 1000]) < 2048);
    }
    CHECK_EQ(stats_of(&w).metadata_bytes, before + 2 * sizeof(struct rmap__slot_chunk));
    world_verify(&w);
    for (unsigned i = 0; i < 1000; i++) w.ops->put(w.s, entry[i], 1);
    world_end(&w);
}

/* Frame 100 mapped at vpn 77 of the member; its slot takes over owner and index. */
RMAP_TEST(swapmap, a_page_enters_the_cache_with_its_home)
{
    world_begin(&w, 10);
    struct rmap_page *page = mapped_page(&w, 77, 1);
    rmap_owner_t owner = rmap_page_owner(page);
    uint32_t refs = refs_of(owner), page_refs = page->refcount;
    rmap_page_clear_flags(page, RMAP_PAGE_DIRTY);
    CHECK_OK(rmap_swap_cache_add(w.s, page));
    CHECK_EQ(rmap_page_flags(page), RMAP_PAGE_LOCKED | RMAP_PAGE_SWAPCACHE | RMAP_PAGE_DIRTY | RMAP_PAGE_ORPHAN);
    CHECK_EQ(page->swap, rmap_swp_make(1, 0));
    CHECK_EQ(page->refcount, page_refs + 1);
    CHECK_EQ(refs_of(owner), refs + 1);

    struct rmap_slot_home home = home_of(&w, page->swap);
    CHECK_EQ(home.owner, owner);
    CHECK_EQ(home.index, 77);
    CHECK_EQ(home.moved, false);
    CHECK_EQ(home.cached, page);
    CHECK_EQ(w.ops->count(w.s, page->swap), 0);
    CHECK_ERR(rmap_swap_cache_add(w.s, page), RMAP_ERR_EXISTS);

    struct rmap_swap_stats st = stats_of(&w);
    CHECK_EQ(st.slots_used, 1);
    CHECK_EQ(st.cached, 1);
    CHECK_EQ(st.entries, 0);
    world_verify(&w);

    w.ops->forget(w.s, page); /* the page is about to be written to, say */
    CHECK_EQ(rmap_page_flags(page), RMAP_PAGE_LOCKED | RMAP_PAGE_DIRTY);
    CHECK_EQ(page->swap, 0);
    CHECK_EQ(page->refcount, page_refs);
    CHECK_EQ(refs_of(owner), refs);
    w.ops->forget(w.s, page); /* again: nothing to do */
    CHECK_EQ(page->refcount, page_refs);
    CHECK_EQ(stats_of(&w).slots_used, 0);
    unmap(&w, page);
    release(&w, page);
    world_end(&w);
}

RMAP_TEST(swapmap, cache_add_refuses_other_pages)
{
    world_begin(&w, 10);
    struct rmap_page *page = mapped_page(&w, 5, 1), *fresh = new_page(&w), foreign;
    CHECK_ERR(rmap_swap_cache_add(NULL, page), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_cache_add(w.s, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_cache_add(w.s, fresh), RMAP_ERR_INVALID); /* not anonymous */
    memcpy(&foreign, page, sizeof foreign);
    CHECK_ERR(rmap_swap_cache_add(w.s, &foreign), RMAP_ERR_UNKNOWN_PAGE);
    w.no_address = true;
    CHECK_ERR(rmap_swap_cache_add(w.s, page), RMAP_ERR_UNSUPPORTED);
    w.no_address = false;
    rmap_page_unlock(w.r, page);
    CHECK_ERR(rmap_swap_cache_add(w.s, page), RMAP_ERR_INVALID); /* not locked */
    CHECK_EQ(rmap_page_flags(page), RMAP_PAGE_DIRTY);

    struct rmap_swap *unbound;
    struct rmap_swap_options o = {.struct_size = sizeof o, .page_shift = SHIFT};
    CHECK_OK(rmap_swap_create(&o, &unbound));
    CHECK(rmap_page_try_lock(page));
    CHECK_ERR(rmap_swap_cache_add(unbound, page), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_swap_cache_load(unbound, rmap_swp_make(1, 0), fresh), RMAP_ERR_INVALID);
    CHECK_OK(rmap_swap_cache_add(w.s, page));
    CHECK_ERR(rmap_swap_cache_del(unbound, page), RMAP_ERR_ABSENT); /* cached, but not there */
    rmap_swap_get_ops()->forget(unbound, page);
    CHECK_EQ(page->swap, rmap_swp_make(1, 0));
    CHECK_OK(rmap_swap_destroy(unbound));
    CHECK_OK(rmap_swap_cache_del(w.s, page));
    CHECK_ERR(rmap_swap_cache_del(w.s, page), RMAP_ERR_ABSENT);
    CHECK_ERR(rmap_swap_cache_del(NULL, page), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_swap_cache_del(w.s, NULL), RMAP_ERR_NULL_ARG);

    unmap(&w, page);
    release(&w, page);
    release(&w, fresh);
    world_end(&w);
}

/* The first chunk cannot be allocated: nothing has changed. Half of a second device is there, it is used instead. */
RMAP_TEST(swapmap, says_nomem_only_if_no_slot_can_be_had)
{
    static struct faulty_device second;
    world_begin(&w, 10);
    struct rmap_page *page = mapped_page(&w, 5, 1);
    size_t blocks = w.alloc.live_blocks;
    w.alloc.fail_at = w.alloc.calls + 1;
    CHECK_ERR(rmap_swap_cache_add(w.s, page), RMAP_ERR_NOMEM);
    CHECK_EQ(rmap_page_flags(page), RMAP_PAGE_LOCKED | RMAP_PAGE_DIRTY);
    CHECK_EQ(w.alloc.live_blocks, blocks);
    world_verify(&w);
    CHECK_OK(rmap_swap_cache_add(w.s, page));

    /* Device 1 becomes full; device 2 gets its chunk, then memory is gone, and 9 more slots are there all the same. */
    rmap_swp_t entry[19];
    for (unsigned i = 0; i < 9; i++) entry[i] = evict(&w, mapped_page(&w, i, i));
    faulty_device_init(&second, 3000, SHIFT);
    CHECK_OK(rmap_swap_add(w.s, &second.base));
    for (unsigned i = 9; i < 19; i++) {
        entry[i] = evict(&w, mapped_page(&w, i, i));
        w.alloc.fail_at = w.alloc.calls + 1;
        w.alloc.fail_forever = true;
    }
    CHECK_EQ(entry[18], rmap_swp_make(2, 9));
    for (unsigned i = 0; i < 19; i++) w.ops->put(w.s, entry[i], 1);
    unmap(&w, page);
    release(&w, page);
    world_end(&w);
}
