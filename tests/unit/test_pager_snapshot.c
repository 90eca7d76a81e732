/* SPDX-License-Identifier: MIT */
/** @file unit/test_pager_snapshot.c  Snapshots of spaces: which faults leave the mark, and two ways to an incremental checkpoint. */
#include "support/prng.h"
#include "unit/pager_world.h"

#include <pager/pager_internal.h>

static struct world w;

#define PAGES 40
#define BIT(map, i) ((map)[(i) / 64] >> (i) % 64 & 1)

static struct rmap_snapped snap(struct rmap_space *s)
{
    struct rmap_snapped done;
    CHECK_OK(rmap_space_snapshot(s, 0, 1000, NULL, &done));
    return done;
}
static bool written(struct rmap_space *s, rmap_vpn_t vpn)
{
    uint64_t map, n;
    CHECK_OK(rmap_space_written(s, vpn, 1, &map, &n));
    CHECK_EQ(n, map);
    return n;
}

/* ---- marks ---- */

/* S: 0 nothing, 1 read, 2 read then written, 3 written, 4-5 on swap, 6-7 shared with C and on swap */
RMAP_TEST(pager_snapshot, every_write_fault_leaves_the_mark_and_no_read_does)
{
    world_init(&w, 64, 64, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 8, RW);
    CHECK_EQ(get(s, 1) + get(s, 2), 0);
    CHECK(!written(s, 0) && !written(s, 1) && !written(s, 2));
    for (rmap_vpn_t v = 2; v < 8; v++) put(s, v, 10 * v);
    for (rmap_vpn_t v = 2; v < 8; v++) CHECK(written(s, v)); /* new pages; 2 over the zero page */
    CHECK_OK(rmap_space_protect(s, 4, 4, RMAP_READ));        /* so that the child has no more of them than it must */
    struct rmap_space *c = space_fork(&w, s);
    CHECK(written(c, 3));
    CHECK_OK(rmap_space_unmap(c, 0, 6));
    CHECK_OK(rmap_space_protect(s, 4, 4, RW));
    CHECK_OK(rmap_space_protect(c, 6, 2, RW));
    snap(s);
    for (rmap_vpn_t v = 0; v < 8; v++) CHECK(!written(s, v));
    CHECK(written(c, 6));
    snap(c);

    put(s, 3, 31); /* reused */
    CHECK_EQ(stats(&w).cow_reuses, 1);
    CHECK(written(s, 3) && !written(s, 2));
    evict_all(&w);
    CHECK_EQ(kind(s, 3), RMAP_PTE_SWAP);
    CHECK(written(s, 3) && !written(s, 4));
    CHECK_EQ(get(s, 3), 31);
    CHECK_EQ(get(s, 4), 40);
    CHECK(written(s, 3) && !written(s, 4));
    put(s, 4, 41); /* from the cache, reused */
    put(s, 5, 51); /* from the device, reused */
    put(s, 6, 61); /* shared: a private copy at once */
    CHECK_EQ(get(s, 7), 70);
    CHECK_EQ(get(c, 7), 70);
    CHECK(!written(s, 7) && !written(c, 7));
    put(s, 7, 71); /* mapped by both: a copy */
    for (rmap_vpn_t v = 3; v < 8; v++) CHECK(written(s, v));
    for (rmap_vpn_t v = 6; v < 8; v++) CHECK(!written(c, v));
    CHECK_EQ(snap(s).written, 5);
    CHECK_OK(rmap_space_lock(s, 0, 2)); /* populates, for writing */
    CHECK(written(s, 0) && written(s, 1) && !written(s, 2));
    CHECK_OK(rmap_space_protect(s, 0, 2, RMAP_NONE));
    CHECK(written(s, 0));
    world_fini(&w);
}

/* P: 0 marked, 1 not; C shares both: P moves them while they are shared in memory, and C moves them on swap */
RMAP_TEST(pager_snapshot, D7_moved_pages_take_their_marks_along)
{
    world_init(&w, 64, 64, 0);
    struct rmap_space *p = space_new(&w);
    rmap_vpn_t to = 100;
    map_at(p, 0, 2, RW);
    fill(p, 0, 2, 5);
    snap(p);
    put(p, 0, 5);
    struct rmap_space *c = space_fork(&w, p);
    CHECK_OK(rmap_space_move(p, 0, 2, 2, RMAP_MOVE_FIXED | RMAP_MOVE_MAYMOVE, &to));
    CHECK(written(p, 100) && !written(p, 101) && written(c, 0) && !written(c, 1));
    struct rmap_space *d = space_fork(&w, c);
    evict_all(&w);
    CHECK_OK(rmap_space_move(d, 0, 2, 2, RMAP_MOVE_FIXED | RMAP_MOVE_MAYMOVE, &to));
    CHECK(written(d, 100) && !written(d, 101));
    expect(d, 100, 2, 5);
    CHECK_EQ(stats(&w).swap_in_copies, 2);
    CHECK(written(d, 100) && !written(d, 101));
    world_fini(&w);
}

/* P: 0, shared with C and on swap; C moves it to 100, so that its read takes a copy of its own, and only then writes */
RMAP_TEST(pager_snapshot, a_copy_that_a_read_has_taken_is_marked_by_its_first_write)
{
    world_init(&w, 64, 64, 0);
    struct rmap_space *p = space_new(&w);
    rmap_vpn_t to = 100;
    map_at(p, 0, 1, RW);
    put(p, 0, 5);
    struct rmap_space *c = space_fork(&w, p);
    evict_all(&w);
    CHECK_OK(rmap_space_move(c, 0, 1, 1, RMAP_MOVE_FIXED | RMAP_MOVE_MAYMOVE, &to));
    CHECK_EQ(snap(c).written, 1);
    CHECK_EQ(get(c, 100), 5);
    CHECK_EQ(stats(&w).swap_in_copies, 1);
    CHECK(!written(c, 100));
    put(c, 100, 6);
    CHECK_EQ(stats(&w).cow_reuses, 1); /* it may not be written without asking */
    CHECK(written(c, 100) && get(p, 0) == 5);
    world_fini(&w);
}

RMAP_TEST(pager_snapshot, refuses_what_it_must)
{
    world_init(&w, 16, 0, 0);
    struct rmap_space *s = space_new(&w);
    const rmap_vpn_t pages = rmap_space_member(s)->mmu.pages;
    uint64_t map[1], n;
    CHECK_ERR(rmap_space_snapshot(NULL, 0, 1, map, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_snapshot(s, 0, 0, map, NULL), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_space_snapshot(s, 1, pages, NULL, NULL), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_space_written(NULL, 0, 1, map, &n), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_written(s, 0, 1, NULL, &n), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_written(s, pages, 1, map, &n), RMAP_ERR_RANGE);
    CHECK_OK(rmap_space_snapshot(s, 0, pages, NULL, NULL));
    world_fini(&w);
}

/* ---- checkpoints ---- */

static uint64_t image[PAGES];

static unsigned copy(struct rmap_space *s, uint64_t map)
{
    unsigned n = 0;
    for (rmap_vpn_t v = 0; v < PAGES; v++) {
        if (!BIT(&map, v)) continue;
        image[v] = get(s, v);
        n++;
    }
    return n;
}
static void check_image(struct rmap_space *s)
{
    for (rmap_vpn_t v = 0; v < PAGES; v++) CHECK_EQ(image[v], get(s, v));
}

/* Some writes and reads; now and then a child that writes, too, or all goes to swap. */
static void work(struct rmap_space *s, struct prng *rng, unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        const rmap_vpn_t v = prng_below(rng, PAGES);
        struct rmap_space *child = NULL;
        switch (prng_below(rng, 12)) {
        case 0:
            CHECK_OK(rmap_space_fork(s, &child));
            put(child, v, prng_next(rng));
            CHECK_OK(rmap_space_destroy(child));
            break;
        case 1:
            CHECK(rmap_reclaim(w.p, 1 + prng_below(rng, 20)) >= 0);
            break;
        case 2:
        case 3:
        case 4:
            get(s, v);
            break;
        default:
            put(s, prng_below(rng, 3) ? v % 7 : v, prng_next(rng));
        }
    }
}

/* snapshot, copy what it names while writers go on, again and again, and at last with the writers stopped */
RMAP_TEST(pager_snapshot, copying_while_writers_run_ends_with_an_exact_image)
{
    struct prng rng;
    prng_init(&rng, prng_seed_of_run(11));
    for (unsigned round = 0; round < 30; round++) {
        world_init(&w, 32, 200, 0);
        struct rmap_space *s = space_new(&w);
        memset(image, 0, sizeof image);
        map_at(s, 0, PAGES, RW);
        for (unsigned i = 0; i < 6; i++) {
            uint64_t map;
            work(s, &rng, 40);
            CHECK_OK(rmap_space_snapshot(s, 0, PAGES, &map, NULL));
            work(s, &rng, 5); /* before the copying … */
            copy(s, map & 0xfffff);
            work(s, &rng, 5); /* … and in the middle of it */
            copy(s, map & ~(uint64_t)0xfffff);
        }
        uint64_t map;
        CHECK_OK(rmap_space_snapshot(s, 0, PAGES, &map, NULL));
        CHECK_LE(copy(s, map), 15); /* no more than the last ten steps can have written, and five */
        check_image(s);
        world_fini(&w);
    }
}

/* fork, and add to what the child says was written what the last snapshot of the parent named since the last fork */
RMAP_TEST(pager_snapshot, E6_a_fork_and_its_marks_are_an_incremental_checkpoint_of_one_moment)
{
    struct prng rng;
    prng_init(&rng, prng_seed_of_run(12));
    unsigned copied = 0, rounds = 0;
    for (unsigned world = 0; world < 20; world++) {
        world_init(&w, 40, 200, 0);
        struct rmap_space *s = space_new(&w);
        uint64_t since = 0;
        memset(image, 0, sizeof image);
        map_at(s, 0, PAGES, RW);
        for (unsigned i = 0; i < 8; i++) {
            uint64_t map, n;
            work(s, &rng, 12);
            struct rmap_space *moment = space_fork(&w, s);
            work(s, &rng, 3); /* writers do not stop between the fork and the snapshot … */
            CHECK_OK(rmap_space_written(moment, 0, PAGES, &map, &n));
            map |= since;
            CHECK_OK(rmap_space_snapshot(s, 0, PAGES, &since, NULL));
            work(s, &rng, 6); /* … nor while the copy is made */
            copied += copy(moment, map);
            rounds++;
            check_image(moment);
            space_end(&w, moment);
        }
        world_fini(&w);
    }
    CHECK_LE(copied, rounds * PAGES / 2); /* incremental */
}

static const struct rmap_mmu_ops *plain_ops;
static struct rmap_space *snapped;
static unsigned looks, lets_faults_in;

static int find_and_look(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    looks++;
    if (!pthread_rwlock_tryrdlock(&snapped->lock)) {
        lets_faults_in++;
        pthread_rwlock_unlock(&snapped->lock);
    }
    return plain_ops->run_find(mmu, vpn, end, run);
}

/* Faults share the space lock: a snapshot, from its first table to its last, has it alone. */
RMAP_TEST(pager_snapshot, E6_no_fault_is_served_meanwhile)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 4, RW);
    fill(s, 0, 4, 10);
    struct rmap_member *m = rmap_space_member(s);
    plain_ops = m->mmu.ops;
    struct rmap_mmu_ops ops = *plain_ops;
    ops.run_find = find_and_look;
    snapped = s;
    looks = lets_faults_in = 0;
    m->mmu.ops = &ops;
    CHECK_OK(rmap_space_snapshot(s, 0, 4, NULL, NULL));
    m->mmu.ops = plain_ops;
    CHECK(looks > 0);
    CHECK_EQ(lets_faults_in, 0);
    world_fini(&w);
}
