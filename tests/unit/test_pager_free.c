/* SPDX-License-Identifier: MIT */
/** @file unit/test_pager_free.c  RMAP_ADVISE_FREE: pages that reclaim may drop instead of writing them, until they are
 * written again (D6). */
#include "unit/pager_world.h"

static struct world w;

/* 32 frames, S: [0,8) freed lazily; read before and after reclaim; 2 and 3 were written again */
static void life(uint64_t slots)
{
    world_init(&w, 32, slots, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 8, RW);
    fill(s, 0, 8, 10);
    CHECK_OK(rmap_space_advise(s, 0, 8, RMAP_ADVISE_FREE));
    CHECK_EQ(stats(&w).lazily_freed, 8);
    expect(s, 0, 8, 10);
    CHECK_EQ(stats(&w).frames_used, 9);
    fill(s, 2, 2, 22);
    world_verify(&w);
    const unsigned written = slots ? 2 : 0; /* with swap 2 and 3 can go, too */
    CHECK_EQ(rmap_reclaim(w.p, 10), 6 + written);
    CHECK_EQ(stats(&w).discards, 6);
    CHECK_EQ(stats(&w).evictions, 6 + written);
    CHECK_EQ(stats(&w).swap_outs, written);
    CHECK_EQ(stats(&w).frames_used, 3 - written);
    CHECK_EQ(stats(&w).reclaim_failures, 0);
    CHECK_EQ(get(s, 0), 0);
    expect(s, 2, 2, 22);
    CHECK_EQ(get(s, 7), 0);
    put(s, 7, 77);
    world_verify(&w);
    CHECK_EQ(rmap_reclaim(w.p, 10), slots ? 3 : 0); /* what is left is wanted */
    expect(s, 2, 2, 22);
    CHECK_EQ(get(s, 7), 77);
    CHECK_EQ(stats(&w).committed, 8);
    world_fini(&w);
}
RMAP_TEST(pager_free, contents_go_when_frames_are_wanted_and_not_what_was_written_since)
{
    life(100);
}
RMAP_TEST(pager_free, no_swap_device_is_needed)
{
    life(0);
}

/* 16 frames, no device: 15 pages fill it, freed lazily they make room for 15 others, one by one; then nothing goes any
 * more */
RMAP_TEST(pager_free, allocation_takes_lazily_freed_pages_without_a_device)
{
    world_init(&w, 16, 0, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 40, RW);
    fill(s, 0, 15, 10);
    CHECK_ERR(try_put(s, 20, 1), RMAP_ERR_NO_FRAME);
    CHECK_OK(rmap_space_advise(s, 0, 15, RMAP_ADVISE_FREE));
    fill(s, 20, 15, 500);
    for (unsigned v = 0; v < 15; v++) CHECK_EQ(get(s, v), 0);
    expect(s, 20, 15, 500);
    CHECK_ERR(try_put(s, 36, 1), RMAP_ERR_NO_FRAME);
    const uint64_t aged = stats(&w).aged; /* found that there is none, and does not look again */
    CHECK_ERR(try_put(s, 36, 1), RMAP_ERR_NO_FRAME);
    CHECK_EQ(stats(&w).aged, aged);
    CHECK_OK(rmap_space_advise(s, 20, 1, RMAP_ADVISE_FREE)); /* until there is one again */
    put(s, 36, 1);
    CHECK_EQ(get(s, 20), 0);
    world_fini(&w);
}

/* 16 frames, no device: the only discardable page is locked by somebody at first. It is not forgotten */
RMAP_TEST(pager_free, a_discardable_page_that_cannot_go_now_is_tried_again)
{
    world_init(&w, 16, 0, 0);
    struct rmap_space *s = space_new(&w), *c;
    map_at(s, 0, 15, RW);
    fill(s, 0, 15, 10);
    CHECK_OK(rmap_space_advise(s, 3, 1, RMAP_ADVISE_FREE));
    struct rmap_page *page = page_at(&w, s, 3);
    CHECK_OK(rmap_page_pin(w.r, page));
    CHECK_EQ(rmap_reclaim(w.p, 4), 0);
    rmap_page_unpin(w.r, page);
    c = space_fork(&w, s); /* shared by now: goes in both */
    CHECK_EQ(rmap_reclaim(w.p, 4), 1);
    CHECK_EQ(get(s, 3), 0);
    CHECK_EQ(get(c, 3), 0);
    CHECK_EQ(get(c, 4), 14);
    world_fini(&w);
}

/* P [0,12): 0-3 own, 4-7 shared with C, 8-11 on swap: what is not P's alone goes at once, and from P alone */
RMAP_TEST(pager_free, shared_pages_and_swap_go_at_once)
{
    world_init(&w, 64, 100, 0);
    struct rmap_space *p = space_new(&w), *c;
    map_at(p, 0, 12, RW);
    fill(p, 8, 4, 18);
    evict_all(&w);
    fill(p, 4, 4, 14);
    c = space_fork(&w, p);
    fill(p, 0, 4, 10);
    CHECK_EQ(swap_stats(&w).entries, 8);
    CHECK_OK(rmap_space_advise(p, 0, 12, RMAP_ADVISE_FREE));
    CHECK_EQ(stats(&w).lazily_freed, 4);
    CHECK_EQ(swap_stats(&w).entries, 4);
    expect(p, 0, 4, 10);
    for (unsigned v = 4; v < 12; v++) CHECK_EQ(get(p, v), 0);
    expect(c, 4, 8, 14);
    world_verify(&w);
    evict_all(&w);
    for (unsigned v = 0; v < 4; v++) CHECK_EQ(get(p, v), 0);
    expect(c, 4, 8, 14);
    world_fini(&w);
}

/* Locked, a hole, outside: as DONTNEED. A fork keeps what it writes. A discardable page can be locked and is then
 * spared */
RMAP_TEST(pager_free, what_it_refuses)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *s = space_new(&w), *c;
    map_at(s, 0, 4, RW);
    fill(s, 0, 4, 10);
    CHECK_OK(rmap_space_lock(s, 1, 1));
    CHECK_ERR(rmap_space_advise(s, 0, 4, RMAP_ADVISE_FREE), RMAP_ERR_BUSY);
    CHECK_ERR(rmap_space_advise(s, 2, 4, RMAP_ADVISE_FREE), RMAP_ERR_ABSENT);
    CHECK_ERR(rmap_space_advise(s, 2, 0, RMAP_ADVISE_FREE), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_space_advise(s, 2, 1, (enum rmap_advice)3), RMAP_ERR_INVALID);
    CHECK_EQ(stats(&w).lazily_freed, 0);
    CHECK_OK(rmap_space_advise(s, 2, 2, RMAP_ADVISE_FREE));
    CHECK_OK(rmap_space_protect(s, 3, 1, RMAP_READ));
    CHECK_OK(rmap_space_lock(s, 3, 1)); /* a read does not take it back, but the lock spares it */
    c = space_fork(&w, s);
    put(c, 2, 200);
    evict_all(&w);
    CHECK_EQ(get(s, 2), 0);
    CHECK_EQ(get(c, 2), 200);
    CHECK_EQ(get(s, 3), 13);
    expect(s, 0, 2, 10);
    CHECK_OK(rmap_space_unlock(s, 3, 1));
    evict_all(&w);
    CHECK_EQ(get(s, 3), 0);
    world_fini(&w);
}
