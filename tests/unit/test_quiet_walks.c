/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_quiet_walks.c  F3: under a group lock or a run lock nothing is allocated, no frame is asked for, nothing is
 * read from a device or written to it.
 *
 * The allocator and the device of an otherwise ordinary pager look at what their thread holds (base/rank.h, debug builds).
 */
#include "unit/pager_world.h"

#include <base/rank.h>

#ifndef RMAP_DEBUG

RMAP_TEST(quiet_walks, are_looked_at_in_debug_builds_only)
{
    TEST_SKIP("what a thread holds is known in debug builds only");
}

#else

static struct world w;
static unsigned calls, loud;

static void look(void)
{
    struct rmap__rank_list held = {.n = 0};
    rmap__rank_swap(&held);
    for (unsigned i = 0; i < held.n; i++) loud += held.held[i].rank == RMAP__RANK_GROUP || held.held[i].rank == RMAP__RANK_RUN;
    calls++;
    rmap__rank_swap(&held);
}

static struct test_alloc counting;
static void *watched_alloc(void *ctx, size_t size, size_t align)
{
    look();
    return counting.a.alloc(ctx, size, align);
}

static const struct rmap_device_ops *own_ops;
static void watched_write(struct rmap_device *d, struct rmap_io *io, size_t n)
{
    look();
    own_ops->write(d, io, n);
}
static void watched_read(struct rmap_device *d, struct rmap_io *io, size_t n)
{
    look();
    own_ops->read(d, io, n);
}

static void watch(void)
{
    world_init(&w, 32, 200, 0);
    CHECK_OK(rmap_pager_destroy(w.p));
    rmap_radix_provider_fini(&w.provider);
    test_alloc_init(&counting);
    w.alloc = counting;
    w.alloc.a.ctx = &w.alloc;
    w.alloc.a.alloc = watched_alloc;
    const struct rmap_radix_options ro = {
        .struct_size = sizeof ro, .geometry = &rmap_radix_soft, .alloc = &w.alloc.a, .caps = RMAP_MMU_NO_TLB};
    CHECK_OK(rmap_radix_provider_init(&ro, &w.provider));
    struct rmap_pager_options o = world_options(&w, 32, 0);
    faulty_device_init(&w.device, 200, 12);
    static struct rmap_device_ops ops;
    own_ops = w.device.base.ops;
    ops = *own_ops;
    ops.write = watched_write;
    ops.read = watched_read;
    w.device.base.ops = &ops;
    o.swap = &w.device.base;
    o.move_policy = RMAP_MOVE_POLICY_TRACK;
    CHECK_OK(rmap_pager_create(&o, &w.p));
    w.r = rmap_pager_rmap(w.p);
    calls = loud = 0;
}

/* A page lock is held over I/O; a group lock is not: the look itself can fail. */
RMAP_TEST(quiet_walks, a_look_under_a_group_lock_would_be_noticed)
{
    calls = loud = 0;
    look();
    CHECK_EQ(loud, 0);
    rmap__rank_take(RMAP__RANK_GROUP, &w);
    look();
    rmap__rank_drop(RMAP__RANK_GROUP, &w);
    CHECK_EQ(loud, 1);
    CHECK_EQ(calls, 2);
}

/* 20 spaces of 40 pages, related, in 32 frames: forks, faults, pins, moves of both kinds, cursors, snapshots, swapoff, exits */
RMAP_TEST(quiet_walks, F3_nothing_blocks_inside_a_walk)
{
    watch();
    struct rmap_space *s[20];
    s[0] = space_new(&w);
    map_at(s[0], 0, 40, RW);
    fill(s[0], 0, 40, 100);
    for (unsigned i = 1; i < 20; i++) {
        struct rmap_space *parent = i % 5 ? s[0] : s[i - 1];
        struct rmap_page *pinned;
        CHECK_OK(rmap_space_pin(parent, 10, &pinned));
        s[i] = space_fork(&w, parent);
        rmap_page_unpin(w.r, pinned);
        put(s[i], i, 1000 + i);
        if (parent == s[0]) {
            rmap_vpn_t to = 100;
            CHECK_OK(rmap_space_set_move_policy(s[i], i % 2 ? RMAP_MOVE_POLICY_COPY : RMAP_MOVE_POLICY_TRACK));
            CHECK_OK(rmap_space_move(s[i], 20, 10, 10, RMAP_MOVE_FIXED, &to));
        }
        CHECK_OK(rmap_space_snapshot(s[i], 0, 200, NULL, NULL));
        CHECK_OK(rmap_space_protect(s[i], 35, 3, i % 3 ? RMAP_READ : RMAP_NONE));
    }
    CHECK(rmap_reclaim(w.p, 20) > 0);
    struct faulty_device other;
    faulty_device_init(&other, 400, 12);
    CHECK_OK(rmap_pager_add_swap(w.p, &other.base));
    CHECK_OK(rmap_pager_remove_swap(w.p, &w.device.base, NULL));
    rmap_device_destroy(&w.device.base);
    CHECK_OK(rmap_space_exec(s[3]));
    for (unsigned i = 0; i < 20; i += 2) space_end(&w, s[i]);
    CHECK(calls > 100);
    CHECK_EQ(loud, 0);
    world_fini(&w);
}

#endif
