/* SPDX-License-Identifier: MIT */
/** @file unit/test_pager_space.c  Verbs on regions, and the lives of spaces: fork, exec, exit, charges. */
#include "unit/pager_world.h"

#include <pager/pager_internal.h>

static struct world w;

/* S: hint 10 taken in part; first fit behind it, else from 0 */
RMAP_TEST(pager_space, map_finds_a_place_from_the_hint)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    rmap_vpn_t at = RMAP_VPN_NONE;
    CHECK_OK(rmap_space_map(s, &at, 4, RW, 0));
    CHECK_EQ(at, 0);
    at = 2;
    CHECK_OK(rmap_space_map(s, &at, 4, RMAP_READ, 0));
    CHECK_EQ(at, 4);
    at = 100;
    CHECK_OK(rmap_space_map(s, &at, 4, RW, 0));
    CHECK_EQ(at, 100);
    at = RMAP_VPN_NONE;
    CHECK_OK(rmap_space_map(s, &at, 92, RW, 0));
    CHECK_EQ(at, 8);
    CHECK_EQ(space_stats(s).regions, 3); /* [0,4) rw, [4,8) r, [8,104) rw */
    at = 0;
    CHECK_ERR(rmap_space_map(s, &at, 1 << 18, RW, 0), RMAP_ERR_NOMEM);
    at = (1 << 18) - 2;
    CHECK_OK(rmap_space_map(s, &at, 3, RW, 0)); /* does not fit behind the hint */
    CHECK_EQ(at, 104);
    world_fini(&w);
}

/* S: [10,20) rw = 100…; [13,16) mapped anew read-only */
RMAP_TEST(pager_space, a_fixed_map_replaces_and_noreplace_does_not)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    rmap_vpn_t at = 13;
    map_at(s, 10, 10, RW);
    fill(s, 10, 10, 100);
    CHECK_ERR(rmap_space_map(s, &at, 3, RMAP_READ, RMAP_MAP_FIXED | RMAP_MAP_NOREPLACE), RMAP_ERR_EXISTS);
    for (at = 5; at < 20; at += 14) /* [5,11), [19,25): one page is enough */
        CHECK_ERR(rmap_space_map(s, &at, 6, RMAP_READ, RMAP_MAP_FIXED | RMAP_MAP_NOREPLACE), RMAP_ERR_EXISTS);
    at = 13;
    expect(s, 10, 10, 100);
    CHECK_OK(rmap_space_map(s, &at, 3, RMAP_READ, RMAP_MAP_FIXED));
    CHECK_EQ(get(s, 14), 0);
    CHECK_ERR(try_put(s, 14, 1), RMAP_ERR_ACCESS);
    expect(s, 10, 3, 100);
    expect(s, 16, 4, 106);
    CHECK_EQ(stats(&w).frames_used, 8);
    at = 9;
    CHECK_OK(rmap_space_map(s, &at, 12, RMAP_READ | RMAP_WRITE, RMAP_MAP_FIXED)); /* over several regions and holes */
    CHECK_EQ(space_stats(s).regions, 1);
    CHECK_EQ(stats(&w).frames_used, 1);
    CHECK_EQ(space_stats(s).committed, 12);
    world_fini(&w);
}

/* S: [10,20) and [30,40) = 0…; unmap [15,35) */
RMAP_TEST(pager_space, unmap_crosses_holes_and_frees_frames_and_tables)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    size_t empty = space_stats(s).table_bytes;
    map_at(s, 10, 10, RW);
    map_at(s, 30, 10, RW);
    fill(s, 10, 10, 0);
    fill(s, 30, 10, 20);
    CHECK(space_stats(s).table_bytes > empty);
    CHECK_OK(rmap_space_unmap(s, 15, 20));
    CHECK_EQ(stats(&w).frames_used, 11);
    expect(s, 10, 5, 0);
    expect(s, 35, 5, 25);
    CHECK_ERR(rmap_space_fault(s, 15, RMAP_READ), RMAP_ERR_ABSENT);
    CHECK_EQ(space_stats(s).virtual_pages, 10);
    CHECK_OK(rmap_space_unmap(s, 20, 10)); /* nothing there: nothing to do */
    CHECK_OK(rmap_space_unmap(s, 0, 1 << 18));
    CHECK_EQ(space_stats(s).regions, 0);
    CHECK_EQ(space_stats(s).table_bytes, empty);
    CHECK_EQ(stats(&w).frames_used, 1);
    world_fini(&w);
}

/* S: [0,10) rw; [3,6) r, then rw again; a hole at 10 */
RMAP_TEST(pager_space, protect_splits_and_merges_and_is_all_or_nothing)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 10, RW);
    fill(s, 0, 10, 0);
    CHECK_OK(rmap_space_protect(s, 3, 3, RMAP_READ));
    CHECK_EQ(space_stats(s).regions, 3);
    CHECK(!attr(s, 4, RMAP_ATTR_WRITE) && attr(s, 6, RMAP_ATTR_WRITE));
    CHECK_ERR(try_put(s, 4, 1), RMAP_ERR_ACCESS);
    put(s, 6, 6);
    CHECK_ERR(rmap_space_protect(s, 5, 6, RMAP_NONE), RMAP_ERR_ABSENT);
    CHECK_EQ(kind(s, 6), RMAP_PTE_PRESENT);
    CHECK_OK(rmap_space_protect(s, 3, 3, RW));
    CHECK_EQ(space_stats(s).regions, 1);
    put(s, 4, 4);
    CHECK_EQ(stats(&w).cow_copies, 0);
    expect(s, 0, 10, 0);
    world_fini(&w);
}

/* S: [0,6): 0-2 r, 3-5 rw; locked as a whole; a fork is not (D9); D7 the attribute survives a move */
RMAP_TEST(pager_space, lock_populates_and_a_fork_does_not_inherit_it)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 3, RMAP_READ);
    map_at(s, 3, 3, RW);
    CHECK_OK(rmap_space_lock(s, 1, 4));
    CHECK_EQ(space_stats(s).locked_pages, 4);
    CHECK_EQ(space_stats(s).regions, 4);
    CHECK_EQ(kind(s, 0), RMAP_PTE_NONE);
    for (rmap_vpn_t v = 1; v < 5; v++) CHECK(kind(s, v) == RMAP_PTE_PRESENT && attr(s, v, RMAP_ATTR_LOCKED));
    CHECK(attr(s, 3, RMAP_ATTR_WRITE)); /* what may be written gets pages of its own */
    CHECK_EQ(stats(&w).anon_new, 2);
    put(s, 5, 5);
    CHECK(!attr(s, 5, RMAP_ATTR_LOCKED));
    struct rmap_space *c = space_fork(&w, s);
    CHECK_EQ(space_stats(c).locked_pages, 0);
    CHECK_EQ(space_stats(c).regions, 2);
    for (rmap_vpn_t v = 1; v < 5; v++) CHECK(!attr(c, v, RMAP_ATTR_LOCKED));
    put(s, 3, 3); /* the copy that a write takes is locked again */
    CHECK(attr(s, 3, RMAP_ATTR_LOCKED));
    CHECK_ERR(rmap_space_advise(s, 0, 6, RMAP_ADVISE_DONTNEED), RMAP_ERR_BUSY);
    CHECK_EQ(get(s, 5), 5);
    CHECK_OK(rmap_space_unlock(s, 0, 6));
    CHECK_EQ(space_stats(s).regions, 2);
    CHECK(!attr(s, 3, RMAP_ATTR_LOCKED));
    rmap_vpn_t at = 50;
    CHECK_OK(rmap_space_map(s, &at, 2, RW, RMAP_MAP_FIXED | RMAP_MAP_LOCKED));
    CHECK(attr(s, 51, RMAP_ATTR_LOCKED));
    world_fini(&w);
}

/* 16 frames. S: [0,10) rw = 10…, [10,30) rw, [12,13) locked before; locking [5,30) cannot be done */
RMAP_TEST(pager_space, a_lock_that_fails_leaves_the_range_as_unlocked_as_it_was)
{
    world_init(&w, 16, 100, 0);
    struct rmap_space *s = space_new(&w);
    rmap_vpn_t at = 40;
    map_at(s, 0, 30, RW);
    fill(s, 0, 10, 10);
    CHECK_OK(rmap_space_lock(s, 12, 1));
    CHECK_ERR(rmap_space_lock(s, 5, 25), RMAP_ERR_NO_FRAME);
    CHECK_EQ(space_stats(s).locked_pages, 1);
    CHECK_EQ(space_stats(s).regions, 3);
    CHECK(attr(s, 12, RMAP_ATTR_LOCKED) && !attr(s, 11, RMAP_ATTR_LOCKED) && !attr(s, 5, RMAP_ATTR_LOCKED));
    world_verify(&w);
    expect(s, 0, 10, 10);
    CHECK_ERR(rmap_space_map(s, &at, 20, RW, RMAP_MAP_FIXED | RMAP_MAP_LOCKED), RMAP_ERR_NO_FRAME);
    CHECK_EQ(space_stats(s).virtual_pages, 30);
    CHECK_ERR(rmap_space_lock(s, 25, 10), RMAP_ERR_ABSENT);
    CHECK_OK(rmap_space_protect(s, 20, 2, RMAP_NONE));
    CHECK_ERR(rmap_space_lock(s, 19, 3), RMAP_ERR_ACCESS);
    CHECK_EQ(space_stats(s).locked_pages, 1);
    w.device.fail_all_reads = true;
    evict_all(&w);
    CHECK_ERR(rmap_space_lock(s, 0, 3), RMAP_ERR_IO_READ);
    w.device.fail_all_reads = false;
    CHECK_EQ(space_stats(s).locked_pages, 1);
    expect(s, 0, 10, 10);
    world_fini(&w);
}

/* S: [0,4) = 1…; contents dropped in [1,3), swap entries among them */
RMAP_TEST(pager_space, dontneed_drops_contents_present_or_on_swap)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 4, RW);
    fill(s, 0, 4, 1);
    evict_all(&w);
    CHECK_EQ(get(s, 1), 2);
    struct rmap_space *c = space_fork(&w, s);
    CHECK_OK(rmap_space_advise(s, 1, 2, RMAP_ADVISE_DONTNEED));
    CHECK_EQ(get(s, 1), 0);
    CHECK_EQ(get(s, 2), 0);
    CHECK_EQ(get(s, 0), 1);
    expect(c, 0, 4, 1);
    CHECK_ERR(rmap_space_advise(s, 3, 2, RMAP_ADVISE_DONTNEED), RMAP_ERR_ABSENT);
    CHECK_EQ(get(s, 3), 4);
    CHECK_ERR(rmap_space_advise(s, 0, 1, (enum rmap_advice)99), RMAP_ERR_INVALID);
    world_fini(&w);
}

/* P, C share [0,4), C forked G: C execs, half on swap; P and G keep everything */
RMAP_TEST(pager_space, A5_exec_leaves_the_group_and_starts_a_new_one)
{
    world_init(&w, 32, 100, 100);
    struct rmap_space *p = space_new(&w);
    map_at(p, 0, 4, RW);
    fill(p, 0, 4, 10);
    struct rmap_space *c = space_fork(&w, p), *g = space_fork(&w, c);
    rmap_space_member(c)->user = &w;
    evict_all(&w);
    CHECK_EQ(get(c, 1), 11);
    put(c, 2, 112);
    CHECK_OK(rmap_space_exec(c));
    world_verify(&w);
    CHECK_EQ(space_stats(c).regions, 0);
    CHECK_EQ(space_stats(c).mapped + space_stats(c).swapped, 0);
    CHECK_EQ(stats(&w).committed, 8);
    CHECK_EQ(rmap_group_members(rmap_space_member(p)), 2);
    CHECK_EQ(rmap_group_members(rmap_space_member(c)), 1);
    CHECK(rmap_space_member(c)->user == &w);
    map_at(c, 0, 4, RW);
    fill(c, 0, 4, 500);
    CHECK(!rmap_member_is_candidate(rmap_space_member(p), page_at(&w, c, 0)));
    expect(p, 0, 4, 10);
    expect(g, 0, 4, 10);
    struct rmap_space *d = space_fork(&w, c);
    CHECK_OK(rmap_space_exec(c));
    CHECK_OK(rmap_space_exec(c)); /* of an empty space, twice */
    expect(d, 0, 4, 500);
    CHECK_EQ(rmap_space_fault(c, 0, RMAP_READ), RMAP_ERR_ABSENT);
    world_fini(&w);
}

/* P exits first: its pages are found in the child (A2), evicted and brought back there */
RMAP_TEST(pager_space, A2_the_owner_exits_and_the_child_keeps_the_pages)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 0, 4, RW);
    fill(p, 0, 4, 10);
    struct rmap_space *c = space_fork(&w, p), *g = space_fork(&w, c);
    space_end(&w, p);
    evict_all(&w);
    CHECK_EQ(stats(&w).frames_used, 1);
    CHECK_EQ(stats(&w).shared_evictions, 4);
    expect(g, 0, 4, 10);
    space_end(&w, c);
    evict_all(&w);
    expect(g, 0, 4, 10);
    world_fini(&w);
}

/* limit 30: [0,10) rw, [10,20) r, [20,30) none: 10 charged; each fork as much again */
RMAP_TEST(pager_space, S11_strict_commit_counts_what_is_or_was_writable)
{
    world_init(&w, 32, 100, 30);
    struct rmap_space *s = space_new(&w), *c = NULL, *d = NULL;
    rmap_vpn_t at = 40;
    map_at(s, 0, 10, RW);
    map_at(s, 10, 10, RMAP_READ);
    map_at(s, 20, 10, RMAP_NONE);
    CHECK_EQ(stats(&w).committed, 10);
    CHECK_ERR(rmap_space_map(s, &at, 21, RW, RMAP_MAP_FIXED), RMAP_ERR_COMMIT);
    CHECK_EQ(space_stats(s).virtual_pages, 30);
    at = 0;
    CHECK_OK(rmap_space_map(s, &at, 30, RW, RMAP_MAP_FIXED)); /* replaces what it is charged for */
    CHECK_EQ(stats(&w).committed, 30);
    CHECK_ERR(rmap_space_fork(s, &c), RMAP_ERR_COMMIT);
    CHECK_EQ(stats(&w).spaces, 1);
    CHECK_OK(rmap_space_unmap(s, 10, 20));
    CHECK_OK(rmap_space_protect(s, 0, 10, RMAP_READ)); /* keeps its charge */
    CHECK_EQ(stats(&w).committed, 10);
    c = space_fork(&w, s);
    CHECK_EQ(stats(&w).committed, 20);
    CHECK_OK(rmap_space_protect(c, 0, 10, RW)); /* paid for already */
    d = space_fork(&w, c);
    CHECK_EQ(stats(&w).committed, 30);
    map_at(s, 50, 1, RMAP_READ);
    CHECK_ERR(rmap_space_protect(s, 50, 1, RW), RMAP_ERR_COMMIT);
    CHECK_ERR(rmap_space_fault(s, 50, RMAP_WRITE), RMAP_ERR_ACCESS);
    struct rmap_region_info info[2];
    CHECK_EQ(rmap_space_regions(s, info, 2), 2);
    CHECK(info[0].accounted && info[0].prot == RMAP_READ && !info[1].accounted);
    space_end(&w, d);
    CHECK_OK(rmap_space_protect(s, 50, 1, RW));
    CHECK_OK(rmap_space_exec(c));
    CHECK_EQ(stats(&w).committed, 11);
    world_fini(&w);
}

/* S: 3 pages at [5,8): bytes across borders; a hole behind */
RMAP_TEST(pager_space, reads_and_writes_cross_pages_and_say_how_far_they_came)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    static unsigned char in[4 * PAGE], out[4 * PAGE];
    size_t done = 0;
    for (unsigned i = 0; i < sizeof in; i++) in[i] = (unsigned char)(i * 7 + i / 256);
    map_at(s, 5, 3, RW);
    CHECK_OK(rmap_space_write(s, 5 * PAGE + 100, in, 2 * PAGE + 500, &done));
    CHECK_EQ(done, 2 * PAGE + 500);
    CHECK_OK(rmap_space_read(s, 5 * PAGE, out, 3 * PAGE, NULL));
    CHECK(memcmp(out + 100, in, 2 * PAGE + 500) == 0);
    for (unsigned i = 0; i < 100; i++) CHECK_EQ(out[i], 0);
    CHECK_EQ(out[2 * PAGE + 600], 0);
    CHECK_ERR(rmap_space_write(s, 6 * PAGE + 1, in, 2 * PAGE, &done), RMAP_ERR_ABSENT);
    CHECK_EQ(done, 2 * PAGE - 1);
    CHECK_OK(rmap_space_protect(s, 7, 1, RMAP_READ));
    CHECK_ERR(rmap_space_write(s, 7 * PAGE - 2, "abcd", 4, &done), RMAP_ERR_ACCESS);
    CHECK_EQ(done, 2);
    CHECK_OK(rmap_space_read(s, 7 * PAGE - 2, out, 2, &done));
    CHECK(memcmp(out, "ab", 2) == 0);
    CHECK_OK(rmap_space_read(s, 0, NULL, 0, &done));
    CHECK_EQ(done, 0);
    world_fini(&w);
}

/* user pointers and listings */
RMAP_TEST(pager_space, small_things)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    CHECK(rmap_space_user(s) == NULL);
    rmap_space_set_user(s, &w);
    CHECK(rmap_space_user(s) == &w);
    struct rmap_space *c = space_fork(&w, s);
    CHECK(rmap_space_user(c) == NULL);
    CHECK_EQ(rmap_space_regions(s, NULL, 0), 0);
    map_at(s, 1, 1, RW);
    map_at(s, 3, 1, RWX);
    CHECK_EQ(rmap_space_regions(s, NULL, 10), 2);
    CHECK_EQ(stats(&w).regions, 2);
    CHECK_EQ(stats(&w).spaces, 2);
    space_end(&w, c);
    CHECK_EQ(stats(&w).spaces, 1);
    CHECK_EQ(stats(&w).spaces_peak, 2);
    CHECK_ERR(rmap_pager_destroy(w.p), RMAP_ERR_BUSY);
    world_fini(&w);
}

/* ---- an entry of the MMU's own making ---- */

static const struct rmap_mmu_ops *own_ops;
static int find_block(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    return end > 500 ? RMAP_ERR_BLOCK : own_ops->run_find(mmu, vpn, end, run);
}

/* S: [0,10) and [600,10), where a huge entry is: it can be neither unmapped nor mapped over, nor the space left by exec, until it
 * has gone */
RMAP_TEST(pager_space, a_huge_entry_is_reported_and_nothing_is_lost_of_the_books)
{
    world_init(&w, 64, 0, 100);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 10, RW);
    map_at(s, 600, 10, RW);
    put(s, 600, 6);
    own_ops = s->mmu.ops;
    struct rmap_mmu_ops ops = *own_ops;
    ops.run_find = find_block;
    struct rmap_member *m = rmap_space_member(s);
    s->mmu.ops = m->mmu.ops = &ops;
    rmap_vpn_t at = 600;
    CHECK_ERR(rmap_space_unmap(s, 600, 10), RMAP_ERR_BLOCK);
    CHECK_ERR(rmap_space_map(s, &at, 5, RMAP_READ, RMAP_MAP_FIXED), RMAP_ERR_BLOCK);
    CHECK_ERR(rmap_space_map(s, &at, 50, RW, RMAP_MAP_FIXED), RMAP_ERR_BLOCK);
    CHECK_ERR(rmap_space_move(s, 0, 10, 10, RMAP_MOVE_FIXED, &at), RMAP_ERR_BLOCK);
    CHECK_EQ(stats(&w).committed, 20);
    s->mmu.ops = m->mmu.ops = own_ops;
    world_verify(&w);
    CHECK_EQ(get(s, 600), 6);
    s->mmu.ops = m->mmu.ops = &ops;
    CHECK_ERR(rmap_space_exec(s), RMAP_ERR_BUSY);
    s->mmu.ops = m->mmu.ops = own_ops;
    CHECK(rmap_space_member(s) == m);
    CHECK_OK(rmap_zap(m, 0, s->mmu.pages, NULL));
    world_verify(&w);
    CHECK_OK(rmap_space_exec(s));
    world_fini(&w);
}
