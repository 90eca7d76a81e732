/* SPDX-License-Identifier: MIT */
/** @file unit/test_pager_pins.c  E2 in the pager: forks of spaces that map pinned pages, with frames and without. */
#include "unit/pager_world.h"

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
