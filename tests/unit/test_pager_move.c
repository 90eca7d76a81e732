/* SPDX-License-Identifier: MIT */
/** @file unit/test_pager_move.c  mremap through the pager: S8, S9, S11 and the B scenarios that need no swap. */
#include "unit/pager_world.h"

static struct world w;

/* Move `count` pages to exactly `to`. */
static void move_to(struct rmap_space *s, rmap_vpn_t from, uint64_t count, rmap_vpn_t to)
{
    rmap_vpn_t at = to;
    CHECK_OK(rmap_space_move(s, from, count, count, RMAP_MOVE_MAYMOVE | RMAP_MOVE_FIXED, &at));
    CHECK_EQ(at, to);
}

/* How many mappings a walk of the page finds, and where the last one is. */
struct found {
    unsigned n;
    rmap_vpn_t vpn;
    struct rmap_member *m;
};
static int note(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t e)
{
    struct found *f = ctx;
    (void)e;
    f->n++;
    f->vpn = vpn;
    f->m = m;
    return 0;
}
static struct found find_all(struct rmap_page *page)
{
    struct found f = {0};
    struct rmap_result res;
    rmap_page_lock(page);
    CHECK_OK(rmap_each_mapping(w.r, &page, 1, 0, note, &f, &res));
    CHECK_EQ(res.outcome, RMAP_DONE);
    rmap_page_unlock(w.r, page);
    return f;
}

/* P: [10,14) = 100…; a child came and went; moved to [600,604) */
RMAP_TEST(pager_move, S8_own_pages_are_reindexed_whatever_was_shared_in_the_past)
{
    EACH_POLICY(policy)
    {
        world_init_moves(&w, 32, 0, 0, policy);
        struct rmap_space *p = space_new(&w);
        map_at(p, 10, 4, RW);
        fill(p, 10, 4, 100);
        struct rmap_page *page = page_at(&w, p, 11);
        space_end(&w, space_fork(&w, p));
        move_to(p, 10, 4, 600);
        CHECK(page_at(&w, p, 601) == page);
        CHECK_EQ(rmap_page_index(page), 601);
        CHECK_EQ(kind(p, 11), RMAP_PTE_NONE);
        CHECK_ERR(rmap_space_fault(p, 11, RMAP_READ), RMAP_ERR_ABSENT);
        struct found f = find_all(page); /* B1: found at the new address, and only there */
        CHECK_EQ(f.n, 1);
        CHECK_EQ(f.vpn, 601);
        expect(p, 600, 4, 100);
        CHECK_EQ(stats(&w).moves_reindexed, 4);
        CHECK_EQ(stats(&w).moves_copied, 0);
        CHECK_EQ(stats(&w).frames_used, 5);
        world_fini(&w);
    }
}

/* P: [10,14), C inherits all, has its own page 12; C moves: 3 shared pages are copied, 1 own is re-indexed */
RMAP_TEST(pager_move, S9_S12_shared_pages_are_copied_early_or_tracked_and_the_sibling_keeps_its_place)
{
    EACH_POLICY(policy)
    {
        world_init_moves(&w, 32, 0, 0, policy);
        struct rmap_space *p = space_new(&w);
        map_at(p, 10, 8, RW);
        fill(p, 10, 4, 100); /* 14-17 untouched: nothing to copy there */
        struct rmap_space *c = space_fork(&w, p);
        put(c, 12, 212);
        struct rmap_page *shared = page_at(&w, p, 11), *own = page_at(&w, c, 12);
        move_to(c, 10, 8, 600);
        const bool track = policy == RMAP_MOVE_POLICY_TRACK;
        CHECK_EQ(stats(&w).moves_copied, track ? 0 : 3); /* B2: present shared pages only */
        CHECK_EQ(stats(&w).moves_tracked, track ? 3 : 0);
        CHECK_EQ(stats(&w).moves_reindexed, 1);
        CHECK((page_at(&w, c, 601) == shared) == track);
        CHECK_EQ(find_all(shared).n, 1 + track);
        CHECK(page_at(&w, c, 602) == own);
        CHECK(page_at(&w, p, 11) == shared);
        CHECK_EQ(rmap_page_index(shared), 11);
        CHECK_EQ(rmap_page_mapcount(shared), 1 + track);
        CHECK_EQ(get(c, 600), 100);
        CHECK_EQ(get(c, 601), 101);
        CHECK_EQ(get(c, 602), 212);
        CHECK_EQ(get(c, 603), 103);
        CHECK_EQ(get(c, 604), 0);
        expect(p, 10, 4, 100);
        put(c, 601, 999);
        CHECK_EQ(get(p, 11), 101);
        put(p, 11, 888); /* alone again: in place */
        CHECK(page_at(&w, p, 11) == shared);
        world_fini(&w);
    }
}

/* P and two children share [0,4); the whole area belongs to one of them after the others ended: no copy */
RMAP_TEST(pager_move, B9_what_was_shared_and_is_not_any_more_is_not_copied)
{
    EACH_POLICY(policy)
    {
        world_init_moves(&w, 32, 0, 0, policy);
        struct rmap_space *p = space_new(&w);
        map_at(p, 0, 4, RW);
        fill(p, 0, 4, 5);
        struct rmap_space *c = space_fork(&w, p), *d = space_fork(&w, c);
        space_end(&w, p);
        space_end(&w, c);
        move_to(d, 0, 4, 50);
        CHECK_EQ(stats(&w).moves_copied, 0);
        CHECK_EQ(stats(&w).moves_reindexed, 4);
        expect(d, 50, 4, 5);
        world_fini(&w);
    }
}

/* P moves [0,2) to 40 and back while its child faults in between */
RMAP_TEST(pager_move, B10_there_and_back_with_the_child_faulting_between)
{
    EACH_POLICY(policy)
    {
        world_init_moves(&w, 32, 0, 0, policy);
        struct rmap_space *p = space_new(&w);
        map_at(p, 0, 2, RW);
        fill(p, 0, 2, 70);
        struct rmap_space *c = space_fork(&w, p);
        move_to(p, 0, 2, 40);
        put(c, 0, 170);
        expect(p, 40, 2, 70);
        move_to(p, 40, 2, 0);
        const bool track = policy == RMAP_MOVE_POLICY_TRACK;
        CHECK_EQ(stats(&w).moves_copied, track ? 0 : 2);  /* the first way; the second finds them its own */
        CHECK_EQ(stats(&w).moves_tracked, track ? 3 : 0); /* both ways, but for the page that the child has replaced */
        CHECK_EQ(stats(&w).moves_reindexed, track ? 1 : 2);
        expect(p, 0, 2, 70);
        CHECK_EQ(get(c, 0), 170);
        CHECK_EQ(get(c, 1), 71);
        put(p, 1, 1);
        CHECK_EQ(get(c, 1), 71);
        world_fini(&w);
    }
}

/* P moves [0,3) to 40, then forks: C shares the pages at 40, none is copied */
RMAP_TEST(pager_move, B12_a_fork_after_the_move_shares_the_new_place)
{
    EACH_POLICY(policy)
    {
        world_init_moves(&w, 32, 0, 0, policy);
        struct rmap_space *p = space_new(&w);
        map_at(p, 0, 3, RW);
        fill(p, 0, 3, 30);
        move_to(p, 0, 3, 40);
        struct rmap_space *c = space_fork(&w, p);
        struct rmap_page *page = page_at(&w, p, 41);
        CHECK(page_at(&w, c, 41) == page);
        CHECK_EQ(find_all(page).n, 2);
        expect(c, 40, 3, 30);
        CHECK_EQ(stats(&w).moves_copied, 0);
        CHECK_EQ(stats(&w).cow_copies, 0);
        CHECK_EQ(stats(&w).frames_used, 4);
        world_fini(&w);
    }
}

/* S: pages 0, 1, 2 rotated by moves through 9: frames sit at each other's old numbers */
RMAP_TEST(pager_move, B13_a_permutation_does_not_confuse_walks)
{
    EACH_POLICY(policy)
    {
        world_init_moves(&w, 32, 0, 0, policy);
        struct rmap_space *s = space_new(&w);
        struct rmap_page *page[3];
        map_at(s, 0, 3, RW);
        fill(s, 0, 3, 0);
        for (unsigned i = 0; i < 3; i++) page[i] = page_at(&w, s, i);
        move_to(s, 0, 1, 9);
        move_to(s, 1, 1, 0);
        move_to(s, 2, 1, 1);
        move_to(s, 9, 1, 2);
        for (unsigned i = 0; i < 3; i++) {
            struct found f = find_all(page[i]);
            CHECK_EQ(f.n, 1);
            CHECK_EQ(f.vpn, (i + 2) % 3);
            CHECK_EQ(get(s, i), (i + 1) % 3);
        }
        CHECK_EQ(space_stats(s).regions, 1);
        world_fini(&w);
    }
}

/* P: [0,8) all shared with C, which moves with 3 frames left: the fourth copy fails, everything is back at 0 */
RMAP_TEST(pager_move, B7_a_move_that_runs_out_of_frames_has_moved_nothing)
{
    world_init(&w, 20, 0, 0);
    struct rmap_space *p = space_new(&w), *filler = space_new(&w);
    rmap_vpn_t to = RMAP_VPN_NONE;
    map_at(p, 0, 8, RW);
    fill(p, 0, 8, 40);
    map_at(filler, 0, 8, RW);
    fill(filler, 0, 8, 0);
    struct rmap_space *c = space_fork(&w, p);
    CHECK_EQ(stats(&w).frames_used, 17);
    CHECK_ERR(rmap_space_move(c, 0, 8, 8, RMAP_MOVE_MAYMOVE | RMAP_MOVE_KEEP_OLD, &to), RMAP_ERR_NO_FRAME);
    CHECK_EQ(to, RMAP_VPN_NONE);
    world_verify(&w);
    expect(c, 0, 8, 40);
    expect(p, 0, 8, 40);
    CHECK_EQ(space_stats(c).regions, 1);
    CHECK_EQ(space_stats(c).virtual_pages, 8);
    CHECK_EQ(stats(&w).moves, 0);
    for (unsigned i = 0; i < 8; i++) CHECK_EQ(rmap_page_index(page_at(&w, c, i)), i);
    world_fini(&w);
}

/* P: [0,8) shared with C, no frame left; C moves to [20,28), where it has [20,24): that is lost, as with mmap, the
 * source not */
RMAP_TEST(pager_move, B7_a_failed_move_to_a_fixed_target_keeps_its_source)
{
    world_init(&w, 20, 0, 0);
    struct rmap_space *p = space_new(&w), *filler = space_new(&w);
    rmap_vpn_t to = 20, used = 0;
    map_at(p, 0, 8, RW);
    fill(p, 0, 8, 40);
    struct rmap_space *c = space_fork(&w, p);
    map_at(c, 20, 4, RW);
    map_at(filler, 0, 20, RW);
    while (try_put(filler, used, 1) == 0) used++;
    CHECK_ERR(rmap_space_move(c, 0, 8, 8, RMAP_MOVE_FIXED, &to), RMAP_ERR_NO_FRAME);
    world_verify(&w);
    CHECK_ERR(rmap_space_fault(c, 20, RMAP_READ), RMAP_ERR_ABSENT);
    expect(c, 0, 8, 40);
    CHECK_EQ(space_stats(c).regions, 1);
    world_fini(&w);
}

/* S: [10,20) rw; shrink to 6, grow to 8 in place, grow to 30 where [25,26) is in the way */
RMAP_TEST(pager_move, B11_shrink_and_grow)
{
    world_init(&w, 64, 0, 0);
    struct rmap_space *s = space_new(&w);
    rmap_vpn_t to = RMAP_VPN_NONE;
    map_at(s, 10, 10, RW);
    map_at(s, 25, 1, RMAP_READ);
    fill(s, 10, 10, 0);
    CHECK_OK(rmap_space_move(s, 10, 10, 6, 0, &to));
    CHECK_EQ(to, 10);
    CHECK_EQ(stats(&w).frames_used, 7);
    CHECK_ERR(rmap_space_fault(s, 16, RMAP_READ), RMAP_ERR_ABSENT);
    CHECK_OK(rmap_space_move(s, 10, 6, 8, 0, &to));
    CHECK_EQ(to, 10);
    CHECK_EQ(get(s, 17), 0);
    expect(s, 10, 6, 0);
    CHECK_OK(rmap_space_move(s, 10, 8, 8, RMAP_MOVE_MAYMOVE, &to)); /* same size: stays */
    CHECK_EQ(to, 10);
    CHECK_ERR(rmap_space_move(s, 10, 8, 30, 0, &to), RMAP_ERR_NOMEM);
    to = RMAP_VPN_NONE;
    CHECK_OK(rmap_space_move(s, 10, 8, 30, RMAP_MOVE_MAYMOVE, &to));
    CHECK_EQ(to, 26);
    expect(s, 26, 6, 0);
    put(s, 55, 1);
    CHECK_ERR(rmap_space_fault(s, 10, RMAP_READ), RMAP_ERR_ABSENT);
    CHECK_EQ(space_stats(s).virtual_pages, 31);
    to = 500;
    CHECK_OK(rmap_space_move(s, 26, 30, 3, RMAP_MOVE_FIXED, &to)); /* moves and shrinks */
    expect(s, 500, 3, 0);
    CHECK_EQ(space_stats(s).virtual_pages, 4);
    CHECK_EQ(stats(&w).frames_used, 4);
    world_fini(&w);
}

/* S: [10,20) rw = 100…, [30,40) r; target [35,38) lies inside the second */
RMAP_TEST(pager_move, B11_a_fixed_target_replaces_what_is_there)
{
    world_init(&w, 64, 0, 0);
    struct rmap_space *s = space_new(&w);
    struct rmap_region_info info[8];
    map_at(s, 10, 10, RW);
    map_at(s, 30, 10, RMAP_READ);
    fill(s, 10, 10, 100);
    CHECK_EQ(get(s, 36), 0);
    move_to(s, 13, 3, 35);
    CHECK_EQ(rmap_space_regions(s, info, 8), 5);
    CHECK(info[0].first == 10 && info[0].count == 3);
    CHECK(info[1].first == 16 && info[1].count == 4);
    CHECK(info[2].first == 30 && info[2].count == 5 && info[2].prot == RMAP_READ);
    CHECK(info[3].first == 35 && info[3].count == 3 && info[3].prot == RW);
    CHECK(info[4].first == 38 && info[4].count == 2);
    expect(s, 35, 3, 103);
    expect(s, 16, 4, 106);
    move_to(s, 35, 3, 13); /* back: one region again */
    CHECK_EQ(rmap_space_regions(s, info, 1), 3);
    expect(s, 10, 10, 100);
    world_fini(&w);
}

/* S: [10,14) = 100…; kept old: reads zeroes there, the contents are at the new place */
RMAP_TEST(pager_move, B11_keep_old_leaves_an_empty_mapping)
{
    world_init(&w, 64, 0, 100);
    struct rmap_space *s = space_new(&w);
    rmap_vpn_t to = 50;
    map_at(s, 10, 4, RW);
    fill(s, 10, 4, 100);
    CHECK_OK(rmap_space_move(s, 10, 4, 4, RMAP_MOVE_MAYMOVE | RMAP_MOVE_KEEP_OLD, &to));
    CHECK_EQ(to, 50);
    expect(s, 50, 4, 100);
    CHECK_EQ(get(s, 10), 0);
    put(s, 11, 7);
    CHECK_EQ(get(s, 51), 101);
    CHECK_EQ(space_stats(s).committed, 8);
    CHECK_ERR(rmap_space_move(s, 10, 4, 5, RMAP_MOVE_MAYMOVE | RMAP_MOVE_KEEP_OLD, &to), RMAP_ERR_INVALID);
    world_fini(&w);
}

/* S: [10,20) rw, [20,30) r */
RMAP_TEST(pager_move, B11_what_is_refused)
{
    world_init(&w, 64, 0, 0);
    struct rmap_space *s = space_new(&w);
    rmap_vpn_t to = 15;
    map_at(s, 10, 10, RW);
    map_at(s, 20, 10, RMAP_READ);
    put(s, 10, 1);
    CHECK_ERR(rmap_space_move(s, 10, 10, 10, RMAP_MOVE_FIXED, &to), RMAP_ERR_INVALID); /* overlap */
    to = 5;
    CHECK_ERR(rmap_space_move(s, 10, 10, 6, RMAP_MOVE_FIXED, &to), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_space_move(s, 10, 0, 10, RMAP_MOVE_MAYMOVE, &to), RMAP_ERR_RANGE); /* zero length */
    CHECK_ERR(rmap_space_move(s, 10, 10, 0, RMAP_MOVE_MAYMOVE, &to), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_space_move(s, 10, 15, 15, RMAP_MOVE_MAYMOVE, &to), RMAP_ERR_ABSENT); /* two regions */
    CHECK_ERR(rmap_space_move(s, 25, 6, 6, RMAP_MOVE_MAYMOVE, &to), RMAP_ERR_ABSENT);   /* runs into a hole */
    CHECK_ERR(rmap_space_move(s, 40, 1, 1, RMAP_MOVE_MAYMOVE, &to), RMAP_ERR_ABSENT);
    CHECK_ERR(rmap_space_move(s, 10, 10, 1 << 18, RMAP_MOVE_MAYMOVE, &to), RMAP_ERR_NOMEM); /* no such hole */
    CHECK_ERR(rmap_space_move(s, 10, 10, (1 << 18) + 1, RMAP_MOVE_MAYMOVE, &to), RMAP_ERR_RANGE);
    to = (1 << 18) - 5;
    CHECK_ERR(rmap_space_move(s, 10, 10, 10, RMAP_MOVE_FIXED, &to), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_space_move(s, 10, 10, 10, 8, &to), RMAP_ERR_INVALID);
    CHECK_EQ(to, (1 << 18) - 5);
    CHECK_EQ(stats(&w).moves, 0);
    CHECK_EQ(get(s, 10), 1);
    CHECK_EQ(space_stats(s).virtual_pages, 20);
    world_fini(&w);
}

/* S: [10,12) locked; moved and grown to [50,54): all four pages resident and locked; KEEP_OLD leaves the old part
 * unlocked */
RMAP_TEST(pager_move, a_locked_range_stays_locked_and_its_growth_is_populated)
{
    world_init(&w, 64, 0, 0);
    struct rmap_space *s = space_new(&w);
    rmap_vpn_t to = 50;
    map_at(s, 10, 2, RW);
    fill(s, 10, 2, 1);
    CHECK_OK(rmap_space_lock(s, 10, 2));
    CHECK_OK(rmap_space_move(s, 10, 2, 4, RMAP_MOVE_FIXED, &to));
    for (rmap_vpn_t v = 50; v < 54; v++) CHECK(kind(s, v) == RMAP_PTE_PRESENT && attr(s, v, RMAP_ATTR_LOCKED));
    CHECK_EQ(space_stats(s).locked_pages, 4);
    CHECK_OK(rmap_space_move(s, 50, 4, 6, 0, &to)); /* in place */
    CHECK(attr(s, 55, RMAP_ATTR_LOCKED));
    CHECK_EQ(space_stats(s).regions, 1);
    to = 100;
    CHECK_OK(rmap_space_move(s, 51, 2, 2, RMAP_MOVE_FIXED | RMAP_MOVE_KEEP_OLD, &to));
    CHECK_EQ(space_stats(s).locked_pages, 6);
    CHECK(attr(s, 100, RMAP_ATTR_LOCKED));
    CHECK_EQ(space_stats(s).regions, 4);
    world_fini(&w);
}

/* S: [0,4) locked in 16 frames: growing it to 40 cannot be populated; nothing has moved or grown */
RMAP_TEST(pager_move, growth_of_a_locked_range_that_does_not_fit_is_undone)
{
    world_init(&w, 16, 50, 100);
    struct rmap_space *s = space_new(&w);
    rmap_vpn_t to = RMAP_VPN_NONE;
    map_at(s, 0, 4, RW);
    map_at(s, 50, 1, RW);
    fill(s, 0, 4, 9);
    CHECK_OK(rmap_space_lock(s, 0, 4));
    CHECK_ERR(rmap_space_move(s, 0, 4, 40, RMAP_MOVE_MAYMOVE, &to), RMAP_ERR_NO_FRAME); /* in place: [4,40) is free */
    CHECK_EQ(space_stats(s).virtual_pages, 5);
    CHECK_EQ(space_stats(s).committed, 5);
    CHECK_ERR(rmap_space_move(s, 0, 4, 90, RMAP_MOVE_MAYMOVE, &to), RMAP_ERR_NO_FRAME);
    CHECK_EQ(space_stats(s).regions, 2);
    CHECK_EQ(space_stats(s).committed, 5);
    expect(s, 0, 4, 9);
    CHECK_EQ(to, RMAP_VPN_NONE);
    world_fini(&w);
}

/* B8, S11. Limit 20. P: [0,8) rw written, then read-only; C inherits: 16 charged. C's read-only area moves freely, grows not
 * beyond 20 */
RMAP_TEST(pager_move, S11_charges_follow_moves_and_what_cannot_be_charged_fails_before_anything_moved)
{
    EACH_POLICY(policy)
    {
        world_init_moves(&w, 64, 0, 20, policy);
        struct rmap_space *p = space_new(&w);
        rmap_vpn_t to = 100;
        map_at(p, 0, 8, RW);
        fill(p, 0, 8, 60);
        CHECK_OK(rmap_space_protect(p, 0, 8, RMAP_READ));
        CHECK_EQ(stats(&w).committed, 8); /* once writable: stays charged (B8) */
        struct rmap_space *c = space_fork(&w, p);
        CHECK_EQ(stats(&w).committed, 16);
        CHECK_OK(
            rmap_space_move(c, 0, 8, 8, RMAP_MOVE_FIXED, &to)); /* copies eight shared pages, which it has paid for */
        CHECK_EQ(stats(&w).moves_copied, policy == RMAP_MOVE_POLICY_TRACK ? 0 : 8);
        CHECK_EQ(stats(&w).committed, 16);
        to = 200;
        CHECK_ERR(rmap_space_move(c, 100, 8, 13, RMAP_MOVE_FIXED, &to), RMAP_ERR_COMMIT);
        CHECK_ERR(rmap_space_move(c, 100, 8, 13, 0, &to), RMAP_ERR_COMMIT);
        CHECK_ERR(rmap_space_move(c, 100, 8, 8, RMAP_MOVE_FIXED | RMAP_MOVE_KEEP_OLD, &to), RMAP_ERR_COMMIT);
        expect(c, 100, 8, 60);
        CHECK_OK(rmap_space_move(c, 100, 8, 12, RMAP_MOVE_FIXED, &to));
        CHECK_EQ(stats(&w).committed, 20);
        to = 0;
        map_at(c, 0, 8, RMAP_READ); /* never writable: free of charge */
        CHECK_OK(rmap_space_move(c, 0, 8, 30, RMAP_MOVE_MAYMOVE, &to));
        CHECK_EQ(stats(&w).committed, 20);
        CHECK_OK(rmap_space_move(c, 200, 12, 2, 0, &to));
        CHECK_EQ(stats(&w).committed, 10);
        space_end(&w, p);
        CHECK_EQ(stats(&w).committed, 2);
        world_fini(&w);
    }
}

/* B14. 24 frames, 200 slots, 96 pages may be charged. N: [0,8). P: [0,8) rw, forks a child and moves, again and again, until
 * it is refused: every copy was charged to P's family by its forks before it was made, N's charge and pages are as they were */
RMAP_TEST(pager_move, B14_a_loop_of_moves_that_forces_copies_is_charged_to_the_mover)
{
    EACH_POLICY(policy)
    {
        world_init_moves(&w, 24, 200, 96, policy);
        struct rmap_space *n = space_new(&w), *p = space_new(&w);
        const uint64_t limit = 96, neighbours = 8, copies_per_move = policy == RMAP_MOVE_POLICY_COPY ? 8 : 0;
        rmap_vpn_t at = 0;
        uint64_t rounds = 0;
        map_at(n, 0, 8, RW);
        fill(n, 0, 8, 500);
        map_at(p, 0, 8, RW);
        fill(p, 0, 8, 100);
        for (struct rmap_space *child = NULL; rmap_space_fork(p, &child) == 0; rounds++) {
            world_keep(&w, child);
            expect(p, at, 8, 100); /* present, so that the move has to copy what is shared */
            const struct rmap_pager_stats before = stats(&w);
            rmap_vpn_t to = 100 * (rounds + 1);
            move_to(p, at, 8, to);
            at = to;
            const struct rmap_pager_stats after = stats(&w);
            CHECK_EQ(after.moves_copied + after.moves_tracked + after.moves_swap, 8 * (rounds + 1));
            CHECK_EQ(after.committed, before.committed); /* by the fork: the mover has paid for copies, made or not */
            CHECK_EQ(space_stats(n).committed, neighbours);
            CHECK_LE(after.frames_used - 1 + swap_stats(&w).slots_used,
                     after.committed + 24); /* and a clean copy each */
            if (!copies_per_move) CHECK_EQ(after.moves_copied, 0);
        }
        struct rmap_space *none = NULL;
        CHECK_ERR(rmap_space_fork(p, &none), RMAP_ERR_COMMIT);
        CHECK_EQ(rounds, (limit - neighbours) / 8 - 1);
        CHECK_EQ(stats(&w).committed, limit);
        /* The frames of the copies were taken by direct reclaim; under TRACK none was needed. */
        CHECK_EQ(stats(&w).evictions > 0, copies_per_move > 0);
        expect(n, 0, 8, 500);
        expect(p, at, 8, 100);
        fill(n, 0, 8, 600); /* what N has paid for it gets */
        expect(n, 0, 8, 600);
        world_fini(&w);
    }
}

/* S: [10,14), the next region at 17, then at 18: four pages more fit in the second case only */
RMAP_TEST(pager_move, B11_growing_in_place_ends_where_the_next_region_begins)
{
    for (rmap_vpn_t next = 17; next < 19; next++) {
        world_init(&w, 32, 0, 0);
        struct rmap_space *s = space_new(&w);
        map_at(s, 10, 4, RW);
        map_at(s, next, 2, RMAP_READ);
        rmap_vpn_t to = 0;
        CHECK_ERR(rmap_space_move(s, 10, 4, 8, 0, &to), next == 18 ? RMAP_OK : RMAP_ERR_NOMEM);
        CHECK_EQ(space_stats(s).virtual_pages, next == 18 ? 10 : 6);
        world_fini(&w);
    }
}
