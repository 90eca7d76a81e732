/* SPDX-License-Identifier: MIT */
/** @file unit/test_pager_pins.c  E2 in the pager: forks of spaces that map pinned pages, with frames and without; pinning. */
#include "unit/pager_world.h"

#include <objrmap/migrate.h>
#include <pager/pager_internal.h>

static struct world w;

static struct rmap_page *pin(struct rmap_space *s, rmap_vpn_t vpn)
{
    struct rmap_page *page = page_at(&w, s, vpn);
    CHECK_OK(rmap_page_pin(w.r, page));
    return page;
}
static void device_write(const struct rmap_page *page, uint64_t value)
{
    unsigned char *at = rmap_page_address(w.r, page);
    memcpy(at, &value, sizeof value);
    memcpy(at + PAGE - sizeof value, &value, sizeof value);
}

static uint64_t device_read(const struct rmap_page *page)
{
    uint64_t value;
    memcpy(&value, rmap_page_address(w.r, page), sizeof value);
    return value;
}

/* P: 2-5 = 20-23, 2 pinned and 4 pinned without access. C: its own */
RMAP_TEST(pager_pins, E2_a_pinned_page_is_copied_for_the_child_and_stays_the_parents)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 2, 4, RW);
    fill(p, 2, 4, 20);
    struct rmap_page *two = pin(p, 2), *four = pin(p, 4);
    CHECK_OK(rmap_space_protect(p, 4, 1, RMAP_NONE));
    struct rmap_space *c = space_fork(&w, p);
    world_verify(&w);
    CHECK(page_at(&w, p, 2) == two && page_at(&w, p, 4) == four);
    CHECK(page_at(&w, c, 2) != two && page_at(&w, c, 4) != four && page_at(&w, c, 3) == page_at(&w, p, 3));
    CHECK(attr(p, 2, RMAP_ATTR_WRITE) && !attr(c, 2, RMAP_ATTR_WRITE));
    CHECK_EQ(kind(c, 4), RMAP_PTE_NO_ACCESS);
    CHECK_EQ(space_stats(c).mapped, 4);
    device_write(two, 200);
    CHECK_EQ(get(p, 2), 200);
    CHECK_EQ(get(c, 2), 20);
    put(p, 2, 201);
    CHECK(page_at(&w, p, 2) == two);
    put(c, 2, 220);
    CHECK_EQ(get(p, 2), 201);
    CHECK_EQ(stats(&w).cow_copies, 0);
    CHECK_OK(rmap_space_protect(c, 4, 1, RW));
    CHECK_EQ(get(c, 4), 22);
    struct rmap_stats st;
    CHECK_OK(rmap_stats_get(w.r, &st));
    CHECK_EQ(st.fork_copied, 2);
    rmap_page_unpin(w.r, two);
    rmap_page_unpin(w.r, four);
    world_fini(&w);
}

/* 16 frames, P: 0-14, 13 and 14 pinned: the fork's copies must evict what it has copied already */
RMAP_TEST(pager_pins, a_fork_reclaims_for_its_copies_and_meets_its_own_child)
{
    world_init(&w, 16, 64, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 0, 15, RW);
    fill(p, 0, 15, 50);
    put(p, 13, 63);
    put(p, 14, 64);
    struct rmap_page *page[2] = {pin(p, 13), pin(p, 14)};
    CHECK_EQ(stats(&w).frames_used, 16);
    struct rmap_space *c = space_fork(&w, p);
    CHECK_LE(1, stats(&w).shared_evictions);
    CHECK_LE(1, space_stats(c).swapped);
    world_verify(&w);
    CHECK(page_at(&w, p, 13) == page[0] && page_at(&w, p, 14) == page[1]);
    expect(c, 0, 15, 50);
    fill(p, 0, 15, 150);
    world_verify(&w);
    expect(c, 0, 15, 50);
    CHECK(page_at(&w, p, 13) == page[0] && page_at(&w, p, 14) == page[1]);
    space_end(&w, c);
    expect(p, 0, 15, 150);
    rmap_page_unpin(w.r, page[0]);
    rmap_page_unpin(w.r, page[1]);
    world_fini(&w);
}

/* 16 frames, no swap, P: 0-13, 1 and 12 pinned: one frame is free, and two are needed */
RMAP_TEST(pager_pins, A6_without_a_frame_there_is_no_child_and_the_parent_is_unchanged)
{
    world_init(&w, 16, 0, 0);
    struct rmap_space *p = space_new(&w), *c = (struct rmap_space *)&w;
    map_at(p, 0, 15, RW);
    fill(p, 0, 14, 50);
    struct rmap_page *page[2] = {pin(p, 1), pin(p, 12)};
    CHECK_ERR(rmap_space_fork(p, &c), RMAP_ERR_NO_FRAME);
    CHECK(c == (struct rmap_space *)&w);
    CHECK_EQ(stats(&w).spaces, 1);
    CHECK_EQ(stats(&w).frames_used, 15);
    CHECK_EQ(rmap_group_members(rmap_space_member(p)), 1);
    world_verify(&w);
    CHECK(attr(p, 1, RMAP_ATTR_WRITE) && attr(p, 12, RMAP_ATTR_WRITE));
    fill(p, 0, 14, 70);
    CHECK(page_at(&w, p, 1) == page[0] && page_at(&w, p, 12) == page[1]);
    CHECK_EQ(stats(&w).cow_copies, 0);
    rmap_page_unpin(w.r, page[1]);
    c = space_fork(&w, p); /* one is enough now */
    expect(c, 0, 14, 70);
    rmap_page_unpin(w.r, page[0]);
    world_fini(&w);
}

/* ---- rmap_space_pin ---- */

/* P: 0 = 10, 1 = 11 shared with C; P pins 0 and forks D: P's frame is its own before and after */
RMAP_TEST(pager_pins, E2_a_shared_page_becomes_the_spaces_own_before_it_is_pinned)
{
    world_init(&w, 64, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 0, 8, RW);
    put(p, 0, 10);
    put(p, 1, 11);
    struct rmap_space *c = space_fork(&w, p);
    struct rmap_page *shared = page_at(&w, c, 0), *page;
    CHECK_OK(rmap_space_pin(p, 0, &page));
    CHECK(page != shared);
    CHECK_EQ(rmap_page_mapcount(page), 1);
    device_write(page, 100);
    CHECK_EQ(get(c, 0), 10);
    struct rmap_space *d = space_fork(&w, p);
    device_write(page, 101);
    CHECK_EQ(get(d, 0), 100); /* as it was at the fork */
    put(p, 0, 102); /* the space writes into the same frame */
    CHECK_EQ(device_read(page), 102);
    CHECK(page_at(&w, p, 0) == page);
    rmap_page_unpin(w.r, page);
    world_verify(&w);
    world_fini(&w);
}

/* 40 pages in 32 frames, 3 pinned: reclaim and vacate leave it where it is; first touched by the pin, and from swap */
RMAP_TEST(pager_pins, E2_a_pinned_page_is_neither_evicted_nor_moved)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 0, 40, RW);
    struct rmap_page *page, *second;
    CHECK_OK(rmap_space_pin(p, 3, &page)); /* never touched before: zeroes */
    CHECK_EQ(device_read(page), 0);
    device_write(page, 33);
    for (rmap_vpn_t v = 4; v < 40; v++) put(p, v, v);
    const rmap_pfn_t pfn = rmap_page_pfn(w.r, page);
    CHECK(rmap_pager_vacate(w.p, pfn, 1) == 0);
    CHECK(page_at(&w, p, 3) == page);
    CHECK_EQ(kind(p, 4), RMAP_PTE_SWAP);
    CHECK_OK(rmap_space_pin(p, 4, &second));
    CHECK_EQ(device_read(second), 4);
    rmap_page_unpin(w.r, second);
    rmap_page_unpin(w.r, page);
    world_verify(&w);
    evict_all(&w);
    CHECK_EQ(kind(p, 3), RMAP_PTE_SWAP); /* like any other now */
    world_fini(&w);
}

/* S: 0-3 read-only */
RMAP_TEST(pager_pins, what_cannot_be_written_cannot_be_pinned)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    struct rmap_page *page = NULL;
    map_at(s, 0, 4, RMAP_READ);
    CHECK_ERR(rmap_space_pin(s, 0, &page), RMAP_ERR_ACCESS);
    CHECK_ERR(rmap_space_pin(s, 4, &page), RMAP_ERR_ABSENT);
    CHECK_ERR(rmap_space_pin(s, RMAP_VPN_NONE, &page), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_space_pin(NULL, 0, &page), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_pin(s, 0, NULL), RMAP_ERR_NULL_ARG);
    CHECK(page == NULL);
    world_fini(&w);
}

/* the pin outlives mapping and space; the frame goes with the pin */
RMAP_TEST(pager_pins, a_pin_outlives_the_mapping_and_the_space)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    struct rmap_page *page;
    map_at(s, 0, 4, RW);
    put(s, 0, 7);
    CHECK_OK(rmap_space_pin(s, 0, &page));
    CHECK_OK(rmap_space_unmap(s, 0, 4));
    space_end(&w, s);
    CHECK_EQ(device_read(page), 7);
    CHECK_EQ(stats(&w).frames_used, 2);
    world_verify(&w);
    CHECK_ERR(rmap_pager_destroy(w.p), RMAP_ERR_BUSY);
    rmap_page_unpin(w.r, page);
    CHECK_EQ(stats(&w).frames_used, 1);
    world_fini(&w);
}

static const struct rmap_mmu_ops *pin_ops;
static struct rmap_space *pinning;
static unsigned unlocks;

/* After the first look at what is to be pinned the page moves to another frame. */
static void move_at_first(void *mmu, struct rmap_mmu_run *run)
{
    struct rmap_page *page, *target;
    struct rmap_result res;
    pin_ops->run_unlock(mmu, run);
    if (unlocks++) return;
    page = page_at(&w, pinning, 7);
    CHECK_OK(rmap_page_alloc(w.r, RMAP_PFN_NONE, &target));
    CHECK_OK(rmap_migrate(w.r, &page, &target, 1, RMAP_LOCK_PAGES, &res));
    CHECK_EQ(res.outcome, RMAP_DONE);
    rmap_page_put(w.r, target);
}

/* S: 7, whose page changes its frame when it has been found and is not pinned yet: the new one is pinned, and no other */
RMAP_TEST(pager_pins, E2_a_page_that_moves_before_it_is_pinned_is_followed)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 7, 1, RW);
    put(s, 7, 70);
    struct rmap_page *before = page_at(&w, s, 7), *pinned = NULL;
    pin_ops = s->mmu.ops;
    struct rmap_mmu_ops ops = *pin_ops;
    ops.run_unlock = move_at_first;
    pinning = s;
    unlocks = 0;
    s->mmu.ops = &ops;
    int rc = rmap_space_pin(s, 7, &pinned);
    s->mmu.ops = pin_ops;
    CHECK_OK(rc);
    CHECK(unlocks > 2); /* both looks of the first attempt, and the next */
    CHECK(pinned != before);
    CHECK(pinned == page_at(&w, s, 7));
    CHECK_EQ(rmap_page_pins(pinned), 1);
    CHECK_EQ(before->refcount, 0);
    rmap_page_unpin(w.r, pinned);
    world_fini(&w);
}
