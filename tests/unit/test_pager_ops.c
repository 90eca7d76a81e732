/* SPDX-License-Identifier: MIT */
/** @file unit/test_pager_ops.c  A pager on an MMU that makes no run where it should, or leaves out what it may. */
#include "unit/pager_world.h"

#include <pager/pager_internal.h>

static struct world w;
static struct {
    struct rmap_mmu_provider real;
    const struct rmap_mmu_ops *soft;
    struct rmap_mmu_ops ops; /* of every space that is made now */
    bool block;
} own;

static int make_or_block(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    return own.block ? RMAP_ERR_BLOCK : own.soft->run_make(mmu, vpn, t, run);
}

static int create(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    int rc = own.real.create(ctx, client, out);
    if (rc) return rc;
    own.soft = out->ops;
    own.ops = *out->ops;
    own.ops.run_make = make_or_block;
    own.ops.table_bytes = NULL;
    out->ops = &own.ops;
    return 0;
}

static void begin(void)
{
    world_init(&w, 32, 0, 100);
    own.block = false;
    own.real = w.p->provider;
    w.p->provider.create = create;
}

/* S: 0 written; [600,610) and [2000,…) have no tables, and a huge entry is made there while they are to be had */
RMAP_TEST(pager_ops, H3_a_table_that_cannot_be_entered_stops_fault_fork_and_move_and_nothing_is_lost)
{
    begin();
    struct rmap_space *s = space_new(&w), *child = NULL;
    rmap_vpn_t to = 2000;
    map_at(s, 0, 1, RW);
    map_at(s, 600, 10, RW);
    put(s, 0, 1);
    const struct rmap_pager_stats before = stats(&w);
    own.block = true;
    CHECK_ERR(try_put(s, 600, 6), RMAP_ERR_BLOCK);
    CHECK_ERR(rmap_space_fault(s, 601, RMAP_READ), RMAP_ERR_BLOCK);
    CHECK_ERR(rmap_space_fork(s, &child), RMAP_ERR_BLOCK);
    CHECK_ERR(rmap_space_move(s, 0, 1, 1, RMAP_MOVE_FIXED | RMAP_MOVE_MAYMOVE, &to), RMAP_ERR_BLOCK);
    CHECK(!child);
    CHECK_EQ(stats(&w).frames_used, before.frames_used);
    CHECK_EQ(stats(&w).committed, before.committed);
    CHECK_EQ(stats(&w).spaces, before.spaces);
    world_verify(&w);
    own.block = false;
    put(s, 600, 6);
    CHECK_OK(rmap_space_move(s, 0, 1, 1, RMAP_MOVE_FIXED | RMAP_MOVE_MAYMOVE, &to));
    child = space_fork(&w, s);
    CHECK(get(child, 2000) == 1 && get(child, 600) == 6);
    world_fini(&w);
}

RMAP_TEST(pager_ops, tables_that_are_not_counted_are_none)
{
    begin();
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 1, RW);
    put(s, 0, 1);
    CHECK_EQ(stats(&w).pagetable_bytes, 0);
    CHECK_EQ(space_stats(s).table_bytes, 0);
    world_fini(&w);
}
