/* SPDX-License-Identifier: MIT */
/** @file unit/test_pager_reclaim.c  The budget holds, and whatever goes wrong on the way out or in, nothing is lost. */
#include "support/other_thread.h"
#include "unit/pager_world.h"

static struct world w;

/* 32 frames, S: 100 pages written and read in turn, then a fork that reads all */
RMAP_TEST(pager_reclaim, a_space_three_times_the_budget_keeps_its_contents)
{
    world_init(&w, 32, 300, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 500, 100, RW);
    fill(s, 500, 100, 1000);
    expect(s, 500, 100, 1000);
    struct rmap_space *c = space_fork(&w, s);
    for (unsigned i = 0; i < 100; i += 3) put(c, 500 + i, i);
    expect(s, 500, 100, 1000);
    for (unsigned i = 0; i < 100; i++) CHECK_EQ(get(c, 500 + i), i % 3 ? 1000 + i : i);
    struct rmap_pager_stats st = stats(&w);
    CHECK_LE(st.frames_peak, 32);
    CHECK(st.evictions > 200 && st.swap_ins > 200 && st.aged > 0);
    CHECK_EQ(st.reclaim_failures, 0);
    world_fini(&w);
}

/* 16 frames, the least, for a space and eight forks of 40 pages */
RMAP_TEST(pager_reclaim, the_smallest_pager_works)
{
    world_init(&w, 16, 1000, 0);
    struct rmap_space *s[9] = {space_new(&w)};
    map_at(s[0], 0, 40, RW);
    fill(s[0], 0, 40, 0);
    for (unsigned i = 1; i < 9; i++) {
        s[i] = space_fork(&w, s[i / 2]);
        for (unsigned v = i; v < 40; v += 5) put(s[i], v, 100 * i + v);
        world_verify(&w);
    }
    for (unsigned v = 0; v < 40; v++)
        CHECK_EQ(get(s[8], v), v >= 8 && v % 5 == 3   ? 800 + v
                               : v >= 4 && v % 5 == 4 ? 400 + v
                               : v >= 2 && v % 5 == 2 ? 200 + v
                               : v >= 1 && v % 5 == 1 ? 100 + v
                                                      : v);
    CHECK(stats(&w).shared_evictions > 0);
    CHECK_LE(stats(&w).frames_peak, 16);
    world_fini(&w);
}

/* 24 frames: page 0 is touched before each of 200 other touches and never read from swap again; a scan does not push it
 * out */
RMAP_TEST(pager_reclaim, a_page_in_use_stays)
{
    world_init(&w, 24, 300, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 101, RW);
    fill(s, 0, 101, 7);
    uint64_t reads = 0;
    for (unsigned i = 0; i < 200; i++) {
        uint64_t before = w.device.reads;
        CHECK_EQ(get(s, 0), 7);
        reads += w.device.reads - before;
        CHECK_EQ(get(s, 1 + i % 100), 8 + i % 100);
    }
    CHECK_LE(reads, 1);
    CHECK(stats(&w).activated > 0);
    world_fini(&w);
}

/* 16 frames, no device, S: 15 pages fill it; the next touch fails and changes nothing */
RMAP_TEST(pager_reclaim, no_device_no_frame_no_change)
{
    world_init(&w, 16, 0, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 20, RW);
    fill(s, 0, 15, 10);
    CHECK_EQ(rmap_reclaim(w.p, 5), 0);
    CHECK_ERR(try_put(s, 15, 1), RMAP_ERR_NO_FRAME);
    CHECK_EQ(kind(s, 15), RMAP_PTE_NONE);
    CHECK_EQ(get(s, 15), 0); /* a read needs none */
    CHECK_ERR(try_put(s, 15, 1), RMAP_ERR_NO_FRAME);
    struct rmap_space *c = space_fork(&w, s);
    CHECK_ERR(try_put(c, 3, 1), RMAP_ERR_NO_FRAME);
    expect(c, 0, 15, 10);
    CHECK(rmap_pager_swap(w.p) == NULL);
    faulty_device_init(&w.device, 50, 12); /* a device makes it go on */
    CHECK_OK(rmap_pager_add_swap(w.p, &w.device.base));
    put(c, 3, 1);
    put(s, 15, 2);
    CHECK_EQ(get(s, 3), 13);
    world_fini(&w);
}

/* 16 frames, 6 slots, S: the 22nd page finds neither frame nor slot; freeing one page helps */
RMAP_TEST(pager_reclaim, C5_a_full_device)
{
    world_init(&w, 16, 6, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 30, RW);
    fill(s, 0, 21, 10);
    CHECK_ERR(try_put(s, 21, 31), RMAP_ERR_NO_FRAME);
    world_verify(&w);
    CHECK_OK(rmap_space_advise(s, 4, 2, RMAP_ADVISE_DONTNEED));
    put(s, 21, 31);
    CHECK_EQ(get(s, 4), 0);
    expect(s, 0, 4, 10);
    expect(s, 6, 16, 16);
    world_fini(&w);
}

/* 32 frames, S: [0,4); all writes fail: the pages stay in the cache, faults find them there; later everything works */
RMAP_TEST(pager_reclaim, C5_a_failing_write_loses_nothing)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 4, RW);
    fill(s, 0, 4, 10);
    w.device.fail_all_writes = true;
    CHECK_EQ(rmap_reclaim(w.p, 10), 0);
    CHECK_EQ(stats(&w).frames_used, 5);
    CHECK(stats(&w).reclaim_failures > 0);
    world_verify(&w);
    put(s, 1, 99);
    CHECK_EQ(w.device.reads, 0);
    CHECK_EQ(get(s, 0), 10);
    w.device.fail_all_writes = false;
    evict_all(&w);
    CHECK_EQ(get(s, 0), 10);
    CHECK_EQ(get(s, 1), 99);
    expect(s, 2, 2, 12);
    evict_all(&w);
    expect(s, 2, 2, 12);
    world_fini(&w);
}

/* S: [0,3) on swap; page 1's read fails, then page 2's is spoiled: errors, and nothing changed; then both come */
RMAP_TEST(pager_reclaim, C5_failing_and_spoiled_reads_are_the_faults_errors)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *s = space_new(&w);
    size_t done = 1;
    unsigned char bytes[3 * PAGE];
    map_at(s, 0, 3, RW);
    fill(s, 0, 3, 10);
    evict_all(&w);
    w.device.fail_read_at = w.device.reads + 2;
    CHECK_ERR(rmap_space_read(s, 100, bytes, sizeof bytes - 100, &done), RMAP_ERR_IO_READ);
    CHECK_EQ(done, PAGE - 100); /* page 0 came */
    CHECK_EQ(kind(s, 1), RMAP_PTE_SWAP);
    w.device.spoil_read_at = w.device.reads + 1;
    CHECK_ERR(rmap_space_fault(s, 2, RMAP_WRITE), RMAP_ERR_CORRUPT);
    CHECK_EQ(stats(&w).frames_used, 2);
    world_verify(&w);
    expect(s, 0, 3, 10);
    world_fini(&w);
}

/* S page 3: a walk that cannot tell (page marked untrackable) frees nothing, nor does it disturb */
RMAP_TEST(pager_reclaim, C7_an_incomplete_unmap_does_not_free_the_frame)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 3, 1, RW);
    put(s, 3, 33);
    struct rmap_page *page = page_at(&w, s, 3);
    rmap_page_set_flags(page, RMAP_PAGE_UNTRACKABLE);
    CHECK_EQ(rmap_reclaim(w.p, 10), 0);
    CHECK(stats(&w).reclaim_failures > 0);
    CHECK(page_at(&w, s, 3) == page);
    CHECK_EQ(swap_stats(&w).slots_used, 0);
    CHECK(attr(s, 3, RMAP_ATTR_WRITE));
    put(s, 3, 34);
    rmap_page_clear_flags(page, RMAP_PAGE_UNTRACKABLE);
    CHECK_EQ(rmap_reclaim(w.p, 10), 1);
    CHECK_EQ(get(s, 3), 34);
    world_fini(&w);
}

/* P page 2, C has it locked: the eviction stops; all contents right. Unlocked: it goes */
RMAP_TEST(pager_reclaim, D1_a_page_locked_anywhere_stays)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 2, 1, RMAP_READ | RMAP_WRITE);
    put(p, 2, 22);
    CHECK_OK(rmap_space_protect(p, 2, 1, RMAP_READ));
    struct rmap_space *c = space_fork(&w, p);
    CHECK_OK(rmap_space_lock(c, 2, 1));
    CHECK(page_at(&w, c, 2) == page_at(&w, p, 2)); /* read-only: locking did not copy it */
    evict_all(&w);
    CHECK_EQ(kind(c, 2), RMAP_PTE_PRESENT);
    CHECK_EQ(get(p, 2), 22);
    world_verify(&w);
    CHECK_OK(rmap_space_unlock(c, 2, 1));
    evict_all(&w);
    CHECK_EQ(kind(c, 2), RMAP_PTE_SWAP);
    CHECK_EQ(kind(p, 2), RMAP_PTE_SWAP);
    CHECK_EQ(get(c, 2), 22);
    world_fini(&w);
}

/* S page 4 pinned: stays; unpinned: goes */
RMAP_TEST(pager_reclaim, a_pinned_page_stays)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 4, 2, RW);
    fill(s, 4, 2, 4);
    struct rmap_page *page = page_at(&w, s, 4);
    CHECK_OK(rmap_page_pin(w.r, page));
    CHECK_EQ(rmap_reclaim(w.p, 10), 1);
    CHECK(page_at(&w, s, 4) == page);
    CHECK_EQ(swap_stats(&w).slots_used, 1);
    rmap_page_unpin(w.r, page);
    CHECK_EQ(rmap_reclaim(w.p, 10), 1);
    expect(s, 4, 2, 4);
    world_fini(&w);
}

/* S page 4 locked by page lock from outside: busy, put back */
RMAP_TEST(pager_reclaim, a_page_whose_lock_is_taken_is_left_alone)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 4, 1, RW);
    put(s, 4, 4);
    struct rmap_page *page = page_at(&w, s, 4);
    AS_ANOTHER_THREAD(rmap_page_lock(page));
    CHECK_EQ(rmap_reclaim(w.p, 10), 0);
    rmap_page_unlock(w.r, page);
    CHECK_EQ(rmap_reclaim(w.p, 10), 1);
    CHECK_EQ(get(s, 4), 4);
    world_fini(&w);
}

/* 16 frames, 13 of them locked: two are left, and a write to a shared swap entry needs both */
RMAP_TEST(pager_reclaim, two_free_frames_are_enough_for_any_fault_and_one_says_so)
{
    world_init(&w, 16, 100, 0);
    struct rmap_space *l = space_new(&w), *p = space_new(&w);
    map_at(p, 0, 6, RW);
    fill(p, 0, 6, 10);
    struct rmap_space *c = space_fork(&w, p);
    evict_all(&w);
    map_at(l, 0, 14, RW);
    CHECK_OK(rmap_space_lock(l, 0, 13));
    for (unsigned round = 0; round < 3; round++)
        for (unsigned v = 0; v < 6; v++) {
            put(c, v, 100 * round + v);
            put(p, v, 10 + v);
        }
    expect(c, 0, 6, 200);
    expect(p, 0, 6, 10);
    CHECK_OK(rmap_space_lock(l, 13, 1));
    expect(c, 0, 6, 200); /* one frame: pages come one by one */
    struct rmap_space *d = space_fork(&w, c);
    evict_all(&w);
    CHECK_ERR(try_put(d, 0, 1), RMAP_ERR_NO_FRAME); /* shared: needs the page and its copy */
    expect(d, 0, 6, 200);
    world_fini(&w);
}

/* S: [0,8); three asked for, three freed; none for none */
RMAP_TEST(pager_reclaim, no_more_is_freed_than_was_asked_for)
{
    world_init(&w, 64, 100, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 8, RW);
    fill(s, 0, 8, 0);
    CHECK_EQ(rmap_reclaim(w.p, 0), 0);
    CHECK_EQ(stats(&w).aged, 0);
    CHECK_EQ(rmap_reclaim(w.p, 3), 3);
    CHECK_EQ(stats(&w).frames_used, 6);
    CHECK_EQ(rmap_reclaim(w.p, UINT64_MAX), 5);
    expect(s, 0, 8, 0);
    world_fini(&w);
}

/* S page 4, of which the test keeps a reference: unmapped, its frame not free, and not evicted again and again */
RMAP_TEST(pager_reclaim, a_referenced_page_keeps_its_frame)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 4, 1, RW);
    put(s, 4, 4);
    struct rmap_page *page = page_at(&w, s, 4);
    rmap_page_get(page);
    CHECK_EQ(rmap_reclaim(w.p, 10), 0);
    CHECK_EQ(kind(s, 4), RMAP_PTE_SWAP);
    CHECK_EQ(stats(&w).frames_used, 2);
    world_verify(&w);
    CHECK_EQ(rmap_reclaim(w.p, 10), 0);
    CHECK_EQ(w.device.writes, 1);
    CHECK_EQ(get(s, 4), 4);
    CHECK(page_at(&w, s, 4) != page);
    rmap_page_put(w.r, page);
    CHECK_EQ(stats(&w).frames_used, 2);
    world_fini(&w);
}

/* An MMU whose hardware never rests: whoever looks at an entry finds it accessed */
static struct rmap_mmu_ops restless;
static const struct rmap_mmu_ops *calm;
static int restless_find(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    const struct rmap_pte_format *f = &rmap_pte_format_soft;
    int rc = calm->run_find(mmu, vpn, end, run);
    for (uint32_t i = 0; !rc && i < run->count; i++)
        if (rmap_pte_present(f, run->slots[i]))
            run->slots[i] = rmap_pte_set(f, run->slots[i], RMAP_ATTR_ACCESSED, true);
    return rc;
}
static int restless_create(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    struct rmap_mmu_provider *inner = ctx;
    int rc = inner->create(inner->ctx, client, out);
    calm = out->ops;
    restless = *calm;
    restless.run_find = restless_find;
    restless.run_peek = NULL; /* nor is there a way to look that it does not see */
    restless.run_lock = NULL;
    out->ops = &restless;
    return rc;
}
static void restless_destroy(void *ctx, struct rmap_mmu *mmu)
{
    struct rmap_mmu_provider *inner = ctx;
    mmu->ops = calm;
    inner->destroy(inner->ctx, mmu);
}

/* 16 frames, 40 pages, all always young: reclaim spares them twice, then takes what it needs */
RMAP_TEST(pager_reclaim, pages_that_are_always_young_do_not_stop_it)
{
    world_init(&w, 16, 0, 0);
    const struct rmap_mmu_provider provider = {
        .struct_size = sizeof provider, .ctx = &w.provider, .create = restless_create, .destroy = restless_destroy};
    struct rmap_pager_options o = world_options(&w, 16, 0);
    struct rmap_pager *p;
    struct rmap_space *s;
    o.provider = &provider;
    faulty_device_init(&w.device, 100, 12);
    o.swap = &w.device.base;
    CHECK_OK(rmap_pager_create(&o, &p));
    CHECK_OK(rmap_space_create(p, &s));
    map_at(s, 0, 40, RW);
    fill(s, 0, 40, 100);
    expect(s, 0, 40, 100);
    CHECK_OK(rmap_pager_verify(p, NULL));
    CHECK_OK(rmap_space_destroy(s));
    CHECK_OK(rmap_pager_destroy(p));
    world_fini(&w);
}

/*
 * 15 frames, 60 pages, 40 of them written. While the device fails, every page that is in memory is unmapped, and nothing can be written. Then the
 * device is well again: each of them can go, though no space has touched it, and all the others can come.
 */
RMAP_TEST(pager_reclaim, C5_no_frame_is_stuck_when_the_device_has_recovered)
{
    world_init(&w, 16, 200, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 60, RW);
    fill(s, 0, 40, 70);
    w.device.fail_all_writes = true;
    rmap_vpn_t end = 40; /* what is left of the frames is filled, and stuck, too */
    while (!try_put(s, end, 70 + end)) end++;
    CHECK_EQ(space_stats(s).mapped, 0);
    CHECK_EQ(stats(&w).frames_used, 16);
    CHECK_ERR(rmap_space_fault(s, 0, RMAP_READ), RMAP_ERR_NO_FRAME);
    w.device.fail_all_writes = false;
    expect(s, 0, end, 70);
    CHECK_EQ(swap_stats(&w).slots_bad, 0);
    world_fini(&w);
}

/* 256 frames, 200 pages, all accessed. One reclaim ages 64 of them (twice its batch), more than a quarter: the next ages none. */
RMAP_TEST(pager_reclaim, the_inactive_list_is_a_quarter_of_all)
{
    world_init(&w, 256, 300, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 200, RW);
    fill(s, 0, 200, 0);
    CHECK_EQ(stats(&w).aged, 0);
    for (unsigned i = 0; i < 2; i++) {
        CHECK_EQ(rmap_reclaim(w.p, 1), 1);
        CHECK_EQ(stats(&w).aged, 64);
    }
    world_fini(&w);
}
