/* SPDX-License-Identifier: MIT */
/** @file fault/verbs_move.c  Moves, under both policies: inherited pages, own ones, pages on swap; growth, locked growth. */
#include "fault/stage.h"

static int move_far(struct stage *g)
{
    rmap_vpn_t to = 4000;
    return rmap_space_move(g->parent, 0, 16, 16, RMAP_MOVE_FIXED | RMAP_MOVE_MAYMOVE, &to);
}
static void check_move_far(struct stage *g, int rc)
{
    const rmap_vpn_t at = rc ? 0 : 4000;
    expect(g->parent, at, 8, 100);
    expect(g->parent, at + 8, 4, 800);
    expect(g->child, 4, 4, 104);
}
static void move_back(struct stage *g)
{
    rmap_vpn_t to = 0;
    CHECK_OK(rmap_space_move(g->parent, 4000, 16, 16, RMAP_MOVE_FIXED | RMAP_MOVE_MAYMOVE, &to));
}
static void track(struct stage *g)
{
    CHECK_OK(rmap_space_set_move_policy(g->parent, RMAP_MOVE_POLICY_TRACK));
}
static void untrack(struct stage *g)
{
    CHECK_OK(rmap_space_set_move_policy(g->parent, RMAP_MOVE_POLICY_COPY));
}

/* ---- in the guest: pages 100 … 107 ---- */

static int move_and_grow(struct stage *g)
{
    rmap_vpn_t to = 9000;
    return rmap_space_move(g->guest, 102, 4, 7, RMAP_MOVE_FIXED | RMAP_MOVE_MAYMOVE, &to);
}
static void check_move_and_grow(struct stage *g, int rc)
{
    g->furnished = rc;
    if (rc) return;
    expect(g->guest, 9000, 4, 1102);
    CHECK_EQ(get(g->guest, 9006), 0);
}

/* Locked: what grows is populated. */
static void furnish_and_lock(struct stage *g)
{
    stage_furnish(g);
    CHECK_OK(rmap_space_lock(g->guest, 100, 8));
}
static int move_locked(struct stage *g)
{
    rmap_vpn_t to = 9000;
    return rmap_space_move(g->guest, 102, 4, 6, RMAP_MOVE_FIXED | RMAP_MOVE_MAYMOVE, &to);
}
static void check_move_locked(struct stage *g, int rc)
{
    CHECK_EQ(space_stats(g->guest).locked_pages, rc ? 8 : 10);
    g->furnished = rc;
    if (!rc) expect(g->guest, 9000, 4, 1102);
}
static int grow_locked(struct stage *g)
{
    rmap_vpn_t to = RMAP_VPN_NONE;
    return rmap_space_move(g->guest, 100, 8, 10, 0, &to);
}
static void check_grow_locked(struct stage *g, int rc)
{
    CHECK_EQ(space_stats(g->guest).locked_pages, rc ? 8 : 10);
}

/* Onto pages that say 40 …: if it fails once it has begun, those are gone. The child's pages are shared with the parent. */
static void have_target(struct stage *g)
{
    map_at(g->child, 4000, 4, RW);
    fill(g->child, 4000, 4, 40);
}
static int move_onto(struct stage *g)
{
    rmap_vpn_t to = 4000;
    return rmap_space_move(g->child, 6, 4, 4, RMAP_MOVE_FIXED, &to);
}
static void check_move_onto(struct stage *g, int rc)
{
    uint64_t value;
    const int there = rmap_space_read(g->child, 4000 * PAGE, &value, sizeof value, NULL);
    if (!rc) {
        expect(g->child, 4000, 2, 106);
        expect(g->child, 4002, 2, 800);
    } else if (!there) {
        expect(g->child, 4000, 4, 40);
    }
    CHECK_EQ(space_stats(g->child).virtual_pages, rc && !there ? 24 : 20);
}
/* As the stage wants it. */
static void fill_gap(struct stage *g)
{
    rmap_vpn_t to = 6;
    CHECK_OK(rmap_space_move(g->child, 4000, 4, 4, RMAP_MOVE_FIXED, &to));
}

static int move_keeping(struct stage *g)
{
    rmap_vpn_t to = 9000;
    return rmap_space_move(g->guest, 102, 4, 4, RMAP_MOVE_FIXED | RMAP_MOVE_KEEP_OLD, &to);
}
static void check_move_keeping(struct stage *g, int rc)
{
    g->furnished = rc;
    if (rc) return;
    expect(g->guest, 9000, 4, 1102);
    CHECK_EQ(get(g->guest, 102), 0);
}

static int shrink(struct stage *g)
{
    rmap_vpn_t to = RMAP_VPN_NONE;
    return rmap_space_move(g->guest, 101, 5, 2, 0, &to);
}
static void check_shrink(struct stage *g, int rc)
{
    g->furnished = rc;
    if (!rc) expect(g->guest, 100, 3, 1100);
}
static int grow(struct stage *g)
{
    rmap_vpn_t to = RMAP_VPN_NONE;
    return rmap_space_move(g->guest, 100, 8, 12, 0, &to);
}

const struct verb fault_verbs_move[] = {
    {.names = "rmap_space_move",
     .call = move_far,
     .check = check_move_far,
     .undo = move_back,
     .flags = LOOSE_ENTRIES | LOOSE_FRAMES,
     .meets = ALLOC | TABLE | FRAME | SLOT | COUNT | MMAP | PWRITE,
     .without = SLOT | COUNT | MMAP | PWRITE},
    {.names = "rmap_space_move",
     .call = move_far,
     .check = check_move_far,
     .undo = move_back,
     .prepare = track,
     .clear = untrack,
     .meets = ALLOC | TABLE | MMAP,
     .without = MMAP},
    {.names = "rmap_space_move",
     .call = move_and_grow,
     .check = check_move_and_grow,
     .prepare = stage_furnish,
     .clear = stage_empty,
     .meets = ALLOC | TABLE | CHARGE | MMAP,
     .without = MMAP},
    {.names = "rmap_space_move",
     .call = move_onto,
     .check = check_move_onto,
     .undo = fill_gap,
     .prepare = have_target,
     .flags = LOOSE_ENTRIES | LOOSE_FRAMES | LOOSE_BYTES | REPLACES,
     .meets = ALLOC | TABLE | FRAME},
    {.names = "rmap_space_move",
     .call = move_locked,
     .check = check_move_locked,
     .prepare = furnish_and_lock,
     .clear = stage_empty,
     .meets = ALLOC | TABLE | CHARGE | FRAME | COUNT | MMAP,
     .without = COUNT | MMAP},
    {.names = "rmap_space_move",
     .call = grow_locked,
     .check = check_grow_locked,
     .prepare = furnish_and_lock,
     .clear = stage_empty,
     .meets = ALLOC | CHARGE | FRAME | COUNT | MMAP,
     .without = COUNT | MMAP},
    {.names = "rmap_space_move",
     .call = move_keeping,
     .check = check_move_keeping,
     .prepare = stage_furnish,
     .clear = stage_empty,
     .meets = ALLOC | TABLE | CHARGE | MMAP,
     .without = MMAP},
    {.names = "rmap_space_move",
     .call = shrink,
     .check = check_shrink,
     .prepare = stage_furnish,
     .clear = stage_empty,
     .meets = ALLOC | MMAP,
     .without = MMAP},
    {.names = "rmap_space_move", .call = grow, .prepare = stage_furnish, .clear = stage_empty, .meets = ALLOC | CHARGE},
    {.names = NULL},
};
