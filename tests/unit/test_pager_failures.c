/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_pager_failures.c  A6: every verb with each of its allocations failing in turn, once or from then on.
 *
 * The world: P has [0,12) in three regions, C is its child with pages of its own, half of everything is on swap, and
 * frames are short. A verb that fails must leave contents, regions and charges as they were, and all books right; then
 * it is repeated with a later allocation failing, until it succeeds.
 */
#include "unit/pager_world.h"

struct scene {
    struct world w;
    struct rmap_space *p, *c, *made; /* made: by the verb */
};

static void scene_init(struct scene *sc)
{
    memset(sc, 0, sizeof *sc);
    world_init(&sc->w, 24, 2000, 2000); /* two chunks of slots */
    sc->p = space_new(&sc->w);
    map_at(sc->p, 0, 4, RW);
    map_at(sc->p, 4, 4, RMAP_READ);
    map_at(sc->p, 8, 4, RW);
    fill(sc->p, 0, 4, 100);
    fill(sc->p, 8, 4, 108);
    sc->c = space_fork(&sc->w, sc->p);
    put(sc->c, 1, 201);
    evict_all(&sc->w);
    expect(sc->p, 0, 2, 100);
    CHECK_EQ(get(sc->c, 9), 109);
    put(sc->c, 10, 210);
}

static void check_contents(struct scene *sc)
{
    for (unsigned v = 0; v < 12; v++) {
        CHECK_EQ(get(sc->p, v), v >= 4 && v < 8 ? 0 : 100 + v);
        CHECK_EQ(get(sc->c, v), v == 1 ? 201 : v == 10 ? 210 : v >= 4 && v < 8 ? 0 : 100 + v);
    }
}

typedef int verb_fn(struct scene *sc);

/* @return how many allocations were made to fail before the verb succeeded. */
static unsigned try_all(verb_fn *verb, bool from_then_on)
{
    static struct scene sc;
    for (unsigned n = 1;; n++) {
        scene_init(&sc);
        struct rmap_region_info before[8], after[8];
        memset(before, 0, sizeof before);
        memset(after, 0, sizeof after);
        size_t regions = rmap_space_regions(sc.c, before, 8);
        const struct rmap_pager_stats was = stats(&sc.w);
        sc.w.alloc.fail_at = sc.w.alloc.calls + n;
        sc.w.alloc.fail_forever = from_then_on;
        int rc = verb(&sc);
        const bool failed = sc.w.alloc.failed != 0;
        sc.w.alloc.fail_at = 0;
        sc.w.alloc.fail_forever = false;
        world_verify(&sc.w);
        if (rc) {
            if (rc != RMAP_ERR_NO_FRAME) CHECK_ERR(rc, RMAP_ERR_NOMEM);
            CHECK(failed);
            CHECK(sc.made == NULL);
            CHECK_EQ(rmap_space_regions(sc.c, after, 8), regions);
            CHECK(memcmp(before, after, sizeof before) == 0);
            CHECK_EQ(stats(&sc.w).committed, was.committed);
            CHECK_EQ(stats(&sc.w).spaces, was.spaces);
            check_contents(&sc);
        }
        if (sc.made) CHECK_OK(rmap_space_destroy(sc.made));
        world_fini(&sc.w);
        if (!failed) {
            CHECK_OK(rc);
            return n - 1;
        }
        CHECK(n < 200);
    }
}

static void each_allocation_fails(verb_fn *verb, unsigned at_least)
{
    CHECK_LE(at_least, try_all(verb, false));
    CHECK_LE(at_least, try_all(verb, true));
}

static int create(struct scene *sc) { return rmap_space_create(sc->w.p, &sc->made); }
static int fork_parent(struct scene *sc) { return rmap_space_fork(sc->p, &sc->made); }
static int fork_child(struct scene *sc) { return rmap_space_fork(sc->c, &sc->made); }
static int exec(struct scene *sc) { return rmap_space_exec(sc->c); }
static int map_over(struct scene *sc)
{
    rmap_vpn_t at = 2;
    return rmap_space_map(sc->c, &at, 7, RMAP_READ, RMAP_MAP_FIXED);
}
static int map_locked(struct scene *sc)
{
    rmap_vpn_t at = 700;
    return rmap_space_map(sc->c, &at, 3, RW, RMAP_MAP_FIXED | RMAP_MAP_LOCKED);
}
static int unmap_middle(struct scene *sc) { return rmap_space_unmap(sc->c, 9, 2); }
static int protect_middle(struct scene *sc) { return rmap_space_protect(sc->c, 1, 9, RMAP_READ); }
static int lock_middle(struct scene *sc) { return rmap_space_lock(sc->c, 1, 6); }
static int move_shared(struct scene *sc)
{
    rmap_vpn_t to = 3000; /* in another table */
    return rmap_space_move(sc->c, 0, 3, 5, RMAP_MOVE_FIXED, &to);
}
static int move_keep(struct scene *sc)
{
    rmap_vpn_t to = 511; /* across the border of two tables */
    return rmap_space_move(sc->c, 8, 4, 4, RMAP_MOVE_FIXED | RMAP_MOVE_KEEP_OLD, &to);
}
static int grow(struct scene *sc)
{
    rmap_vpn_t to = RMAP_VPN_NONE;
    return rmap_space_move(sc->c, 8, 4, 600, 0, &to);
}
static int write_new_table(struct scene *sc)
{
    rmap_vpn_t at = 100000;
    unsigned char buf[20 * PAGE];
    size_t done;
    memset(buf, 5, sizeof buf);
    int rc = rmap_space_map(sc->c, &at, 20, RW, RMAP_MAP_FIXED); /* more than there are frames: reclaims on the way */
    if (rc) return rc;
    rc = rmap_space_write(sc->c, at * PAGE, buf, sizeof buf, &done);
    if (!rc) return 0;
    for (size_t i = 0; i < done; i++) { /* what came before the failure is there */
        unsigned char b;
        int again = rmap_space_read(sc->c, at * PAGE + i, &b, 1, NULL);
        if (!again) CHECK_EQ(b, 5);
        i += 1000;
    }
    CHECK_OK(rmap_space_unmap(sc->c, at, 20));
    return rc;
}

RMAP_TEST(pager_failures, A6_create) { each_allocation_fails(create, 5); }
RMAP_TEST(pager_failures, A6_fork) { each_allocation_fails(fork_parent, 8); }
RMAP_TEST(pager_failures, A6_fork_of_a_child) { each_allocation_fails(fork_child, 8); }
RMAP_TEST(pager_failures, A6_exec) { each_allocation_fails(exec, 3); }
RMAP_TEST(pager_failures, A6_map_over_three_regions) { each_allocation_fails(map_over, 2); }
RMAP_TEST(pager_failures, A6_map_locked) { each_allocation_fails(map_locked, 2); }
RMAP_TEST(pager_failures, A6_unmap) { each_allocation_fails(unmap_middle, 1); }
RMAP_TEST(pager_failures, A6_protect) { each_allocation_fails(protect_middle, 2); }
RMAP_TEST(pager_failures, A6_lock) { each_allocation_fails(lock_middle, 2); }
RMAP_TEST(pager_failures, A6_move) { each_allocation_fails(move_shared, 4); }
RMAP_TEST(pager_failures, A6_move_keep_old) { each_allocation_fails(move_keep, 3); }
RMAP_TEST(pager_failures, A6_grow_in_place) { each_allocation_fails(grow, 1); }
RMAP_TEST(pager_failures, A6_write) { each_allocation_fails(write_new_table, 2); }

RMAP_TEST(pager_failures, A6_pager_create)
{
    struct world w;
    memset(&w, 0, sizeof w);
    test_alloc_init(&w.alloc);
    const struct rmap_radix_options ro = {
        .struct_size = sizeof ro, .geometry = &rmap_radix_soft, .alloc = &w.alloc.a, .caps = RMAP_MMU_NO_TLB};
    CHECK_OK(rmap_radix_provider_init(&ro, &w.provider));
    struct rmap_pager_options po = world_options(&w, 32, 0);
    faulty_device_init(&w.device, 10, 12);
    po.swap = &w.device.base;
    const size_t blocks = w.alloc.live_blocks;
    int rc = RMAP_ERR_NOMEM;
    unsigned n = 0;
    while (rc) {
        w.p = NULL;
        w.alloc.fail_at = w.alloc.calls + ++n;
        rc = rmap_pager_create(&po, &w.p);
        if (rc) CHECK_ERR(rc, RMAP_ERR_NOMEM);
        if (rc) CHECK_EQ(w.alloc.live_blocks, blocks);
        CHECK(!w.device.destroyed);
    }
    CHECK_LE(6, n);
    w.alloc.fail_at = 0;
    world_fini(&w);
}
