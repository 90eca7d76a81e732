/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_pager_retry.c  Pages in bad slots are tried there again, since their entries name no other place; but a device that
 * fails every write is not written a whole memory at every fault.
 */
#include "unit/pager_world.h"

static struct world w;

/* Pages 0 … are written while all writes fail, until nothing goes: every frame is in a bad slot then. @return how many pages say
 * 70 + their number. */
static rmap_vpn_t fill_until_stuck(struct rmap_space *s)
{
    rmap_vpn_t end = 0;
    while (!try_put(s, end, 70 + end)) end++;
    CHECK_EQ(space_stats(s).mapped, 0);
    return end;
}

/* 1,024 frames, all but the zero frame in bad slots; 64 pages are evicted at a time. Three faults, a call of reclaim. */
RMAP_TEST(pager_retry, C5_a_device_that_fails_is_written_one_batch_by_each_fault)
{
    world_init(&w, 1024, 3000, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 2000, RW);
    w.device.fail_all_writes = true;
    const rmap_vpn_t end = fill_until_stuck(s);
    CHECK_EQ(end, 1023);
    for (unsigned i = 0; i < 4; i++) {
        const uint64_t writes = w.device.writes, calls = w.device.calls;
        if (i < 3)
            CHECK_ERR(rmap_space_fault(s, end, RMAP_WRITE), RMAP_ERR_NO_FRAME);
        else
            CHECK_EQ(rmap_reclaim(w.p, 1000), 0);
        CHECK(w.device.writes > writes); /* else nobody would see that the device has recovered */
        CHECK_LE(w.device.writes - writes, 64);
        CHECK_LE(w.device.calls - calls, 2); /* they need not come in one batch */
    }
    w.device.fail_all_writes = false;
    put(s, end, 70 + end);
    CHECK(rmap_reclaim(w.p, 1024) > 0);
    CHECK_LE(stats(&w).frames_used, 20);
    CHECK_EQ(swap_stats(&w).slots_bad, 0);
    expect(s, 0, end + 1, 70);
    world_fini(&w);
}

/* Bad slots that pages in memory have on that device; a device is the number in their entries. */
static unsigned stuck_on(unsigned device)
{
    unsigned n = 0;
    for (rmap_pfn_t pfn = 0; pfn < 200; pfn++) {
        const struct rmap_page *page = rmap_page_find(w.r, pfn);
        n += rmap_swap_is_bad(rmap_pager_swap(w.p), page) && rmap_swp_device(page->swap) == device;
    }
    return n;
}

/*
 * 200 frames, 25 pages at a time. Both devices fail, 199 pages stand in bad slots, most of them on the first device. The second
 * one recovers: all its pages go, though more of the first one's than a batch come before them each time.
 */
RMAP_TEST(pager_retry, C5_slots_that_are_bad_for_good_do_not_keep_others_from_their_turn)
{
    static struct faulty_device second;
    world_init(&w, 200, 120, 0);
    faulty_device_init(&second, 300, 12);
    CHECK_OK(rmap_pager_add_swap(w.p, &second.base));
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 400, RW);
    w.device.fail_all_writes = second.fail_all_writes = true;
    const rmap_vpn_t end = fill_until_stuck(s);
    CHECK_EQ(stuck_on(1) + stuck_on(2), 199);
    CHECK(stuck_on(1) > 50 && stuck_on(2) > 50);
    second.fail_all_writes = false;
    for (unsigned i = 0; i < 20; i++) CHECK(rmap_reclaim(w.p, 200) >= 0);
    CHECK_EQ(stuck_on(2), 0);
    CHECK(stuck_on(1) > 50);
    expect(s, 0, end, 70);
    world_fini(&w);
}
