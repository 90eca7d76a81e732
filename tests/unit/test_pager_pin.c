/* SPDX-License-Identifier: MIT */
/** @file unit/test_pager_pin.c  rmap_space_pin: the space's own page keeps its frame, whatever the pager does. */
#include "unit/pager_world.h"

static struct world w;

static uint64_t *frame_of(struct rmap_page *page)
{
    return rmap_page_address(w.r, page);
}

/* In the first and in the last word of the page, as put() does. */
static void device_writes(struct rmap_page *page, uint64_t value)
{
    frame_of(page)[0] = frame_of(page)[PAGE / sizeof value - 1] = value;
}

/* P: 0 = 10, 1 = 11 shared with C; P pins 0 and forks D: P's frame is its own before and after */
RMAP_TEST(pager_pin, E2_a_shared_page_becomes_the_spaces_own_before_it_is_pinned)
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
    device_writes(page, 100);
    CHECK_EQ(get(c, 0), 10);
    struct rmap_space *d = space_fork(&w, p);
    device_writes(page, 101);
    CHECK_EQ(get(d, 0), 100); /* as it was at the fork */
    put(p, 0, 102); /* the space writes into the same frame */
    CHECK_EQ(*frame_of(page), 102);
    CHECK(page_at(&w, p, 0) == page);
    rmap_page_unpin(w.r, page);
    world_verify(&w);
    world_fini(&w);
}

/* 40 pages in 32 frames, 3 pinned: reclaim and vacate leave it where it is; first touched by the pin, and from swap */
RMAP_TEST(pager_pin, E2_a_pinned_page_is_neither_evicted_nor_moved)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 0, 40, RW);
    struct rmap_page *page, *second;
    CHECK_OK(rmap_space_pin(p, 3, &page)); /* never touched before: zeroes */
    CHECK_EQ(*frame_of(page), 0);
    *frame_of(page) = 33;
    for (rmap_vpn_t v = 4; v < 40; v++) put(p, v, v);
    const rmap_pfn_t pfn = rmap_page_pfn(w.r, page);
    CHECK(rmap_pager_vacate(w.p, pfn, 1) == 0);
    CHECK(page_at(&w, p, 3) == page);
    CHECK_EQ(kind(p, 4), RMAP_PTE_SWAP);
    CHECK_OK(rmap_space_pin(p, 4, &second));
    CHECK_EQ(*frame_of(second), 4);
    rmap_page_unpin(w.r, second);
    rmap_page_unpin(w.r, page);
    world_verify(&w);
    evict_all(&w);
    CHECK_EQ(kind(p, 3), RMAP_PTE_SWAP); /* like any other now */
    world_fini(&w);
}

/* S: 0-3 read-only */
RMAP_TEST(pager_pin, what_cannot_be_written_cannot_be_pinned)
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
RMAP_TEST(pager_pin, a_pin_outlives_the_mapping_and_the_space)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    struct rmap_page *page;
    map_at(s, 0, 4, RW);
    put(s, 0, 7);
    CHECK_OK(rmap_space_pin(s, 0, &page));
    CHECK_OK(rmap_space_unmap(s, 0, 4));
    space_end(&w, s);
    CHECK_EQ(*frame_of(page), 7);
    CHECK_EQ(stats(&w).frames_used, 2);
    world_verify(&w);
    CHECK_ERR(rmap_pager_destroy(w.p), RMAP_ERR_BUSY);
    rmap_page_unpin(w.r, page);
    CHECK_EQ(stats(&w).frames_used, 1);
    world_fini(&w);
}
