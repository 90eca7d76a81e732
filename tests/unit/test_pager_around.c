/* SPDX-License-Identifier: MIT */
/** @file unit/test_pager_around.c  Blocks of pages that come in with one fault on swap (the pager's swap_around). */
#include "unit/pager_world.h"

#include <core/core.h>
#include <pager/pager_internal.h>

#define BLOCK 8

static struct world w;

/* S: [64, 96) = 0, 1, …, all on swap; the fault before was at page 64. */
static struct rmap_space *begin(uint64_t frames, unsigned around)
{
    world_init(&w, frames, 200, 0);
    CHECK_OK(rmap_pager_destroy(w.p));
    struct rmap_pager_options po = world_options(&w, frames, 0);
    faulty_device_init(&w.device, 200, 12);
    po.swap = &w.device.base;
    po.swap_around = around;
    CHECK_OK(rmap_pager_create(&po, &w.p));
    w.r = rmap_pager_rmap(w.p);
    struct rmap_space *s = space_new(&w);
    map_at(s, 64, 32, RW);
    fill(s, 64, 32, 0);
    evict_all(&w);
    CHECK_EQ(space_stats(s).swapped, 32);
    CHECK_EQ(get(s, 64), 0); /* far from the fault before it, of which there is none: alone, whatever is asked for */
    CHECK_EQ(stats(&w).swap_ins, 1);
    return s;
}

RMAP_TEST(pager_around, a_block_is_read_by_its_first_fault)
{
    struct rmap_space *s = begin(64, BLOCK);
    CHECK_EQ(get(s, 75), 11); /* of [72, 80) */
    CHECK_EQ(stats(&w).swap_ins, 1 + BLOCK);
    CHECK_EQ(stats(&w).swap_in_around, BLOCK - 1);
    CHECK_EQ(space_stats(s).mapped, 1 + BLOCK);
    CHECK_EQ(space_stats(s).swapped, 31 - BLOCK);
    world_verify(&w);
    expect(s, 72, BLOCK, 8);
    CHECK_EQ(stats(&w).swap_ins, 1 + BLOCK);
    for (rmap_vpn_t vpn = 73; vpn < 80; vpn++) /* their frames are in a row */
        CHECK_EQ(rmap_page_pfn(w.r, page_at(&w, s, vpn)), rmap_page_pfn(w.r, page_at(&w, s, 72)) + (vpn - 72));
    put(s, 79, 99);
    evict_all(&w);
    CHECK_EQ(get(s, 79), 99);
    CHECK_EQ(get(s, 78), 14);
    world_fini(&w);
}

RMAP_TEST(pager_around, nobody_asked_for_more_gets_one_page)
{
    for (unsigned around = 0; around < 2; around++) {
        struct rmap_space *s = begin(64, around);
        CHECK_EQ(get(s, 75), 11);
        CHECK_EQ(stats(&w).swap_ins, 2);
        CHECK_EQ(stats(&w).swap_in_around, 0);
        world_fini(&w);
    }
}

/* Faults that are far from each other read one page each. */
RMAP_TEST(pager_around, scattered_faults_read_nothing_beside_their_page)
{
    struct rmap_space *s = begin(64, BLOCK);
    map_at(s, 1000, 32, RW);
    fill(s, 1000, 32, 0);
    evict_all(&w);
    CHECK_EQ(get(s, 1010), 10);
    CHECK_EQ(get(s, 80), 16);
    CHECK_EQ(get(s, 1020), 20);
    CHECK_EQ(stats(&w).swap_ins, 1 + 3);
    CHECK_EQ(stats(&w).swap_in_around, 0);
    world_fini(&w);
}

/* The region ends inside the block: [90, 96) of [88, 96) is another region's, which may not be written. */
RMAP_TEST(pager_around, a_block_ends_with_its_region)
{
    struct rmap_space *s = begin(64, BLOCK);
    CHECK_OK(rmap_space_protect(s, 90, 6, RMAP_READ));
    CHECK_EQ(get(s, 88), 24);
    CHECK_EQ(stats(&w).swap_ins, 1 + 2);
    CHECK_EQ(stats(&w).swap_in_around, 1);
    CHECK_ERR(try_put(s, 91, 1), RMAP_ERR_ACCESS);
    CHECK_EQ(get(s, 91), 27);
    CHECK_EQ(stats(&w).swap_ins, 1 + 2 + 6);
    world_fini(&w);
}

/* The region begins inside the block: [72, 74) of [72, 80) is another region's. */
RMAP_TEST(pager_around, a_block_begins_with_its_region)
{
    struct rmap_space *s = begin(64, BLOCK);
    CHECK_OK(rmap_space_protect(s, 64, 10, RMAP_READ));
    CHECK_EQ(get(s, 77), 13);
    CHECK_EQ(stats(&w).swap_in_around, 5);
    CHECK_EQ(kind(s, 73), RMAP_PTE_SWAP);
    CHECK_ERR(try_put(s, 73, 1), RMAP_ERR_ACCESS);
    CHECK_EQ(get(s, 73), 9);
    world_fini(&w);
}

/* What came along was not touched: it is not accessed, but as written since the last snapshot as it was. */
RMAP_TEST(pager_around, neighbours_come_in_as_they_went)
{
    struct rmap_space *s = begin(64, BLOCK);
    CHECK_EQ(get(s, 75), 11);
    CHECK(attr(s, 75, RMAP_ATTR_ACCESSED));
    for (rmap_vpn_t vpn = 72; vpn < 80; vpn++) {
        CHECK_EQ(attr(s, vpn, RMAP_ATTR_ACCESSED), vpn == 75);
        CHECK(attr(s, vpn, RMAP_ATTR_SOFT_DIRTY));
        CHECK(!attr(s, vpn, RMAP_ATTR_WRITE));
    }
    world_fini(&w);
}

/* [72, 80) was seen by a snapshot, was evicted, and comes in by a fault on 75, for reading: as not written since. */
RMAP_TEST(pager_around, neighbours_that_a_snapshot_has_seen_are_not_written)
{
    struct rmap_space *s = begin(64, BLOCK);
    expect(s, 64, 32, 0);
    CHECK_OK(rmap_space_snapshot(s, 64, 32, NULL, NULL));
    evict_all(&w);
    CHECK_EQ(get(s, 64), 0);
    const uint64_t around = stats(&w).swap_in_around;
    CHECK_EQ(get(s, 75), 11);
    CHECK_EQ(stats(&w).swap_in_around, around + BLOCK - 1);
    for (rmap_vpn_t vpn = 72; vpn < 80; vpn++) CHECK(!attr(s, vpn, RMAP_ATTR_SOFT_DIRTY));
    world_fini(&w);
}

/* C shares [72, 80) with S, on swap, and moves it to [200, 208): its pages are at home in S, and none is mapped elsewhere. */
RMAP_TEST(pager_around, moved_neighbours_are_left_alone)
{
    struct rmap_space *s = begin(64, BLOCK);
    struct rmap_space *c = space_fork(&w, s);
    rmap_vpn_t to = 200;
    CHECK_OK(rmap_space_move(c, 72, BLOCK, BLOCK, RMAP_MOVE_MAYMOVE | RMAP_MOVE_FIXED, &to));
    for (rmap_vpn_t vpn = 203; vpn < 208; vpn += 2) {
        CHECK_EQ(get(c, vpn), vpn - 192);
        world_verify(&w);
    }
    CHECK_EQ(stats(&w).swap_in_around, 0);
    CHECK_EQ(get(s, 75), 11);
    CHECK_EQ(get(c, 202), 10); /* now cached, too */
    world_verify(&w);
    CHECK_EQ(kind(c, 200), RMAP_PTE_SWAP);
    expect(c, 200, BLOCK, 8);
    world_fini(&w);
}

static struct rmap_space *zapped; /* whose entry goes behind a fault's back */

static void zap_73(struct faulty_device *f)
{
    (void)f;
    CHECK_OK(rmap_zap(rmap_space_member(zapped), 73, 1, NULL));
}

/* The entry at 73 goes while its block is read; the slot lives, for C has it, too. */
RMAP_TEST(pager_around, a_neighbour_that_is_gone_meanwhile_is_not_mapped)
{
    struct rmap_space *s = begin(64, BLOCK);
    struct rmap_space *c = space_fork(&w, s);
    zapped = s;
    w.device.during_read = zap_73;
    CHECK_EQ(get(s, 75), 11);
    CHECK_EQ(w.device.during_read, NULL);
    CHECK_EQ(kind(s, 73), RMAP_PTE_NONE);
    CHECK_EQ(stats(&w).swap_in_around, BLOCK - 2);
    world_verify(&w);
    CHECK_EQ(get(c, 73), 9);
    CHECK_EQ(get(s, 73), 0);
    world_fini(&w);
}

/* What a sibling has brought in is mapped, and nothing is read. */
RMAP_TEST(pager_around, cached_neighbours_are_mapped)
{
    struct rmap_space *s = begin(64, BLOCK);
    struct rmap_space *c = space_fork(&w, s);
    CHECK_EQ(get(s, 75), 11);
    const uint64_t reads = stats(&w).swap_ins, around = stats(&w).swap_in_around;
    CHECK_EQ(get(c, 79), 15);
    CHECK_EQ(stats(&w).swap_ins, reads);
    CHECK_EQ(stats(&w).swap_in_around, around + BLOCK - 1);
    for (rmap_vpn_t vpn = 72; vpn < 80; vpn++) CHECK(page_at(&w, c, vpn) == page_at(&w, s, vpn));
    world_verify(&w);
    put(c, 73, 5); /* still copy on write */
    CHECK_EQ(get(s, 73), 9);
    evict_all(&w);
    expect(s, 72, BLOCK, 8);
    CHECK_EQ(get(c, 73), 5);
    world_fini(&w);
}

/* A neighbour that cannot be read stays on swap, and only its own fault says so. */
RMAP_TEST(pager_around, a_neighbours_failed_read_is_its_own_affair)
{
    struct rmap_space *s = begin(64, BLOCK);
    uint64_t value = 0;
    w.device.fail_read_at = w.device.reads + 2; /* page 73 of [72, 80) */
    CHECK_EQ(get(s, 75), 11);
    CHECK_EQ(stats(&w).swap_ins, 1 + BLOCK - 1);
    CHECK_EQ(stats(&w).swap_in_around, BLOCK - 2);
    CHECK_EQ(stats(&w).frames_used, 1 + 1 + BLOCK - 1);
    w.device.fail_all_reads = true;
    CHECK_ERR(rmap_space_read(s, 73 * PAGE, &value, sizeof value, NULL), RMAP_ERR_IO_READ);
    CHECK_ERR(rmap_space_read(s, 85 * PAGE, &value, sizeof value, NULL), RMAP_ERR_IO_READ); /* and a whole block */
    CHECK_EQ(stats(&w).frames_used, 1 + 1 + BLOCK - 1);
    w.device.fail_all_reads = false;
    expect(s, 64, 32, 0);
    world_fini(&w);
}

/* The same before and behind the fault's own page: each page has its own answer. */
RMAP_TEST(pager_around, the_first_and_the_last_read_of_a_block_may_fail)
{
    struct rmap_space *s = begin(64, BLOCK);
    w.device.fail_read_at = w.device.reads + 1; /* page 72 of [72, 80) */
    CHECK_EQ(get(s, 75), 11);
    CHECK_EQ(kind(s, 72), RMAP_PTE_SWAP);
    CHECK_EQ(kind(s, 74), RMAP_PTE_PRESENT);
    CHECK_EQ(stats(&w).swap_ins, 1 + BLOCK - 1);
    w.device.fail_read_at = w.device.reads + BLOCK; /* page 87 of [80, 88) */
    CHECK_EQ(get(s, 83), 19);
    CHECK_EQ(kind(s, 87), RMAP_PTE_SWAP);
    CHECK_EQ(kind(s, 86), RMAP_PTE_PRESENT);
    CHECK_EQ(stats(&w).swap_ins, 1 + 2 * (BLOCK - 1));
    world_verify(&w);
    w.device.fail_read_at = 0;
    expect(s, 64, 32, 0);
    world_fini(&w);
}

/* Pages of two clusters of frames, filled in turn, so that neither is older than the other. Of how many clusters have the first
 * eight that go been? */
static unsigned clusters_of_eight(unsigned around)
{
    enum { PAGES = 32, CLUSTER = 16 };
    unsigned evicted[4] = {0}, clusters = 0;
    rmap_pfn_t pfn[PAGES];
    world_init(&w, 64, 200, 0);
    CHECK_OK(rmap_pager_destroy(w.p));
    struct rmap_pager_options po = world_options(&w, 64, 0);
    faulty_device_init(&w.device, 200, 12);
    po.swap = &w.device.base;
    po.swap_around = around;
    po.evict_batch = 4;
    CHECK_OK(rmap_pager_create(&po, &w.p));
    w.r = rmap_pager_rmap(w.p);
    struct rmap_space *s = space_new(&w);
    map_at(s, 64, PAGES, RW);
    for (unsigned i = 0; i < PAGES; i++) put(s, 64 + i % 2 * 16 + i / 2, i);
    for (unsigned i = 0; i < PAGES; i++) pfn[i] = rmap_page_pfn(w.r, page_at(&w, s, 64 + i));
    for (unsigned i = 0; i < 16; i++) CHECK(pfn[i] / CLUSTER != pfn[16 + i] / CLUSTER);
    CHECK_EQ(rmap_reclaim(w.p, 8), 8);
    for (unsigned i = 0; i < PAGES; i++) evicted[pfn[i] / CLUSTER] += kind(s, 64 + i) == RMAP_PTE_SWAP;
    for (unsigned i = 0; i < 4; i++) clusters += evicted[i] != 0;
    world_fini(&w);
    return clusters;
}

RMAP_TEST(pager_around, clusters_go_together_where_blocks_come_together)
{
    CHECK_EQ(clusters_of_eight(1), 2);
    CHECK_EQ(clusters_of_eight(BLOCK), 1);
}

static const struct rmap_frame_ops *usual;

static int alloc_after_zap(void *ctx, rmap_pfn_t near, rmap_pfn_t *out)
{
    if (zapped) CHECK_OK(rmap_zap(rmap_space_member(zapped), 75, 1, NULL));
    zapped = NULL;
    return usual->alloc(ctx, near, out);
}

/* The fault's own entry goes while frames are taken for its block: there is nothing to read, and they are given back. */
RMAP_TEST(pager_around, frames_taken_in_vain_are_given_back)
{
    struct rmap_space *s = begin(64, BLOCK);
    usual = w.r->frames;
    struct rmap_frame_ops ops = *usual;
    ops.alloc = alloc_after_zap;
    zapped = s;
    w.r->frames = &ops;
    CHECK_EQ(get(s, 75), 0);
    w.r->frames = usual;
    CHECK_EQ(zapped, NULL);
    CHECK_EQ(stats(&w).swap_in_around, 0);
    CHECK_EQ(stats(&w).frames_used, 2); /* page 64 and the zero page */
    world_fini(&w);
}

/* ---- a fault that needs two frames, of which its neighbours took the second ---- */

static rmap_pfn_t hogged[64];
static unsigned hogs, calls_before, leave_free;

/* Somebody takes frames, until so many are free, at the call after so many others. */
static int alloc_after_a_hog(void *ctx, rmap_pfn_t near, rmap_pfn_t *out)
{
    if (calls_before-- == 0)
        while (w.p->frames.free > leave_free) CHECK_OK(usual->alloc(ctx, RMAP_PFN_NONE, &hogged[hogs++]));
    return usual->alloc(ctx, near, out);
}

static void hog_begin(struct rmap_frame_ops *ops, unsigned before, unsigned frames)
{
    hogs = 0;
    calls_before = before;
    leave_free = frames;
    usual = w.r->frames;
    *ops = *usual;
    ops->alloc = alloc_after_a_hog;
    w.r->frames = ops;
}

static void hog_end(void)
{
    w.r->frames = usual;
    while (hogs) usual->free(w.p, hogged[--hogs]);
}

/* Page 75 is shared with C: a write needs its frame and a copy's. The last free frame goes when the eight of the block
 * [72, 80) are in hand, and nothing can be evicted: there is a frame all the same, the neighbours'. */
RMAP_TEST(pager_around, neighbours_frames_are_no_reason_to_have_none)
{
    struct rmap_space *s = begin(64, BLOCK);
    struct rmap_frame_ops ops;
    CHECK_OK(rmap_space_lock(s, 64, 1));
    struct rmap_space *c = space_fork(&w, s);
    hog_begin(&ops, BLOCK, 0);
    const int rc = try_put(s, 75, 5);
    hog_end();
    CHECK_OK(rc);
    CHECK_EQ(stats(&w).swap_in_around, 0);
    CHECK_EQ(stats(&w).swap_ins, 2);
    world_verify(&w);
    CHECK_EQ(get(s, 75), 5);
    CHECK_EQ(get(c, 75), 11);
    world_fini(&w);
}

/* Frames become few when two of the block [72, 80) have theirs, of pages 72 and 73: the rest is left out, nothing goes. */
RMAP_TEST(pager_around, nothing_is_evicted_for_a_neighbour)
{
    struct rmap_space *s = begin(64, BLOCK);
    struct rmap_frame_ops ops;
    map_at(s, 1000, 8, RW);
    fill(s, 1000, 8, 0);
    const uint64_t evictions = stats(&w).evictions;
    hog_begin(&ops, 1, (unsigned)w.p->low_frames + 2);
    CHECK_EQ(get(s, 75), 11);
    hog_end();
    CHECK_EQ(stats(&w).evictions, evictions);
    CHECK_EQ(stats(&w).swap_in_around, 2);
    world_verify(&w);
    expect(s, 64, 32, 0);
    world_fini(&w);
}

/* 16 frames, of which one is the low mark: neighbours are read with four in a block if six are free, and not if five are. */
RMAP_TEST(pager_around, neighbours_take_no_frame_below_the_low_mark)
{
    for (unsigned others = 8; others < 10; others++) {
        struct rmap_space *s = begin(16, 4);
        map_at(s, 1000, others, RW);
        fill(s, 1000, others, 0);
        CHECK_EQ(stats(&w).frames_used, 2 + others);
        CHECK_EQ(get(s, 70), 6);
        CHECK_EQ(stats(&w).swap_in_around, others == 8 ? 3 : 0);
        CHECK_EQ(stats(&w).evictions, 32); /* none of them for a neighbour */
        world_fini(&w);
    }
}

/* Locked pages share their clusters with others, and are put back each time: reclaim looks at each a few times and along with a
 * neighbour once, not at the whole cluster with each of them. */
RMAP_TEST(pager_around, a_frame_goes_along_but_once)
{
    enum { PAGES = 32, LOOKS = 4 };
    struct rmap_space *s = begin(64, BLOCK);
    map_at(s, 1000, PAGES, RW);
    fill(s, 1000, PAGES, 0);
    CHECK_OK(rmap_space_lock(s, 1000, PAGES));
    const uint64_t before = stats(&w).reclaim_failures;
    CHECK(rmap_reclaim(w.p, 64) <= 2);
    const uint64_t looks = stats(&w).reclaim_failures - before;
    CHECK(looks <= PAGES * (LOOKS + 1));
    world_fini(&w);
}

/* 16 frames, two of them low: the neighbours get what is to spare, which is nothing in the end, and every page is right. */
RMAP_TEST(pager_around, small_budgets_do_without)
{
    struct rmap_space *s = begin(16, 16);
    for (unsigned round = 0; round < 3; round++) {
        expect(s, 64, 32, 0);
        CHECK(stats(&w).frames_used <= 16);
        world_verify(&w);
    }
    for (rmap_vpn_t vpn = 64; vpn < 96; vpn++) put(s, vpn, 500 + vpn);
    expect(s, 64, 32, 564);
    world_fini(&w);
}
