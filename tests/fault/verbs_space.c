/* SPDX-License-Identifier: MIT */
/** @file fault/verbs_space.c  The mm verbs: spaces come and go, regions are mapped, locked and moved. */
#include "fault/stage.h"

/* ---- spaces ---- */

static int create(struct stage *g)
{
    return rmap_space_create(g->w.p, (struct rmap_space **)&g->made);
}
static int fork_child(struct stage *g)
{
    return rmap_space_fork(g->parent, (struct rmap_space **)&g->made);
}
static void check_fork(struct stage *g, int rc)
{
    CHECK_EQ(rmap_group_members(rmap_space_member(g->parent)), rc ? 2 : 3);
    if (rc) return;
    expect(g->made, 0, 8, 100);
    expect(g->made, 8, 4, 800);
}
static void destroy(struct stage *g)
{
    CHECK_OK(rmap_space_destroy(g->made));
}

/* The child goes, and an equal one comes. */
static int destroy_child(struct stage *g)
{
    int rc = rmap_space_destroy(g->child);
    for (unsigned i = 0; i < g->w.spaces && !rc; i++)
        if (g->w.space[i] == g->child) g->w.space[i] = NULL;
    return rc;
}
static void fork_again(struct stage *g)
{
    g->child = space_fork(&g->w, g->parent);
    fill(g->child, 0, 4, 500);
}

static int exec(struct stage *g)
{
    return rmap_space_exec(g->guest);
}
static void check_exec(struct stage *g, int rc)
{
    g->furnished = rc;
    CHECK_EQ(space_stats(g->guest).regions, rc ? 1 : 0);
    CHECK_EQ(rmap_group_members(rmap_space_member(g->guest)), 1);
}

/* Page 104 is pinned: a child gets a copy at once. 107 is hidden, behind two that are not: the count of a plain one is not asked
 * for where it can be refused, that of a hidden one is. */
static void furnish_and_pin(struct stage *g)
{
    stage_furnish(g);
    CHECK_OK(rmap_space_pin(g->guest, 104, &g->page));
    CHECK_OK(rmap_protect(rmap_space_member(g->guest), 107, 1, RMAP_PROTECT_NO_ACCESS));
}
static void unpin_and_empty(struct stage *g)
{
    rmap_page_unpin(g->w.r, g->page);
    stage_empty(g);
}
static int fork_pinned(struct stage *g)
{
    return rmap_space_fork(g->guest, (struct rmap_space **)&g->made);
}
static void check_fork_pinned(struct stage *g, int rc)
{
    CHECK_EQ(rmap_group_members(rmap_space_member(g->guest)), rc ? 1 : 2);
    if (!rc) expect(g->made, 100, 8, 1100);
    put(g->guest, 104, 1104);
    CHECK(stage_find(g, g->guest, 104) == g->page);
}

/* ---- map, unmap, protect ---- */

static int map_far(struct stage *g)
{
    rmap_vpn_t at = 3000;
    return rmap_space_map(g->parent, &at, 8, RW, RMAP_MAP_FIXED);
}
static int map_populated(struct stage *g)
{
    rmap_vpn_t at = 3000;
    return rmap_space_map(g->parent, &at, 4, RW, RMAP_MAP_FIXED | RMAP_MAP_LOCKED);
}
static void unmap_far(struct stage *g)
{
    CHECK_OK(rmap_space_unmap(g->parent, 3000, 8));
}

/* In the middle of what is there: two cuts and a region. */
static int map_over(struct stage *g)
{
    rmap_vpn_t at = 102;
    return rmap_space_map(g->guest, &at, 2, RMAP_READ, RMAP_MAP_FIXED);
}
static void check_map_over(struct stage *g, int rc)
{
    g->furnished = rc;
    if (!rc) CHECK_EQ(get(g->guest, 102), 0);
}

/* The same, locked: if it fails once it has begun, what was there is gone, and the rest is as it was. */
static int map_over_locked(struct stage *g)
{
    rmap_vpn_t at = 102;
    return rmap_space_map(g->guest, &at, 2, RW, RMAP_MAP_FIXED | RMAP_MAP_LOCKED);
}
static void check_map_over_locked(struct stage *g, int rc)
{
    uint64_t value;
    const int there = rmap_space_read(g->guest, 102 * PAGE, &value, sizeof value, NULL);
    expect(g->guest, 100, 2, 1100);
    expect(g->guest, 104, 4, 1104);
    CHECK_EQ(space_stats(g->guest).locked_pages, rc ? 0 : 2);
    CHECK_EQ(space_stats(g->guest).virtual_pages, there ? 6 : 8);
    CHECK(rc || !there);
    if (!there) CHECK_EQ(value, rc ? 1102 : 0);
    if (!there) CHECK_EQ(get(g->guest, 103), rc ? 1103 : 0);
    g->furnished = rc && !there;
}

static int unmap_middle(struct stage *g)
{
    return rmap_space_unmap(g->guest, 103, 2);
}
static void check_unmap_middle(struct stage *g, int rc)
{
    uint64_t value;
    g->furnished = rc;
    if (rc) return;
    expect(g->guest, 105, 3, 1105);
    CHECK_ERR(rmap_space_read(g->guest, 104 * PAGE, &value, sizeof value, NULL), RMAP_ERR_ABSENT);
}

static int protect_middle(struct stage *g)
{
    return rmap_space_protect(g->parent, 5, 2, RMAP_READ);
}
static void check_protect(struct stage *g, int rc)
{
    CHECK_EQ(space_stats(g->parent).regions, rc ? 2 : 4);
    CHECK_ERR(try_put(g->parent, 5, 105), rc ? 0 : RMAP_ERR_ACCESS);
}
static void unprotect_middle(struct stage *g)
{
    CHECK_OK(rmap_space_protect(g->parent, 5, 2, RW));
}

/* What was never writable becomes so, and is charged. */
static void map_readable(struct stage *g)
{
    map_at(g->guest, 300, 4, RMAP_READ);
}
static int protect_writable(struct stage *g)
{
    return rmap_space_protect(g->guest, 300, 4, RW);
}
static void check_writable(struct stage *g, int rc)
{
    CHECK_EQ(space_stats(g->guest).committed, rc ? 0 : 4);
    CHECK_ERR(try_put(g->guest, 300, 5), rc ? RMAP_ERR_ACCESS : 0);
}

/* ---- lock ---- */

static int lock_middle(struct stage *g)
{
    return rmap_space_lock(g->parent, 5, 8);
}
static void check_lock(struct stage *g, int rc)
{
    CHECK_EQ(space_stats(g->parent).locked_pages, rc ? 0 : 8);
}
static void unlock_all(struct stage *g)
{
    CHECK_OK(rmap_space_unlock(g->parent, 0, 16));
}
static void lock_all(struct stage *g)
{
    map_at(g->guest, 200, 6, RW);
    CHECK_OK(rmap_space_lock(g->guest, 200, 6));
}
static int unlock_middle(struct stage *g)
{
    return rmap_space_unlock(g->guest, 202, 2);
}
static void check_unlock(struct stage *g, int rc)
{
    CHECK_EQ(space_stats(g->guest).locked_pages, rc ? 6 : 4);
}

const struct verb fault_verbs_space[] = {
    {.names = "rmap_space_create", .call = create, .undo = destroy, .meets = ALLOC | TABLE | MMAP},
    {.names = "rmap_space_fork",
     .call = fork_child,
     .check = check_fork,
     .undo = destroy,
     .meets = ALLOC | TABLE | CHARGE | COUNT | MMAP | MPROTECT,
     .without = MPROTECT},
    {.names = "rmap_space_fork",
     .call = fork_pinned,
     .check = check_fork_pinned,
     .undo = destroy,
     .prepare = furnish_and_pin,
     .clear = unpin_and_empty,
     .flags = LOOSE_ENTRIES | LOOSE_BYTES,
     .meets = ALLOC | TABLE | CHARGE | FRAME | COUNT | MMAP | MPROTECT,
     .without = MPROTECT},
    {.names = "rmap_space_destroy",
     .call = destroy_child,
     .undo = fork_again,
     .meets = MMAP | MUNMAP,
     .without = MMAP | MUNMAP},
    {.names = "rmap_space_exec",
     .call = exec,
     .check = check_exec,
     .prepare = stage_furnish,
     .clear = stage_empty,
     .meets = ALLOC | MMAP,
     .without = MMAP},
    {.names = "rmap_space_map", .call = map_far, .undo = unmap_far, .meets = ALLOC | CHARGE},
    {.names = "rmap_space_map",
     .call = map_populated,
     .undo = unmap_far,
     .meets = ALLOC | TABLE | CHARGE | FRAME | EVICTING | MMAP,
     .without = EVICTING | MMAP},
    {.names = "rmap_space_map",
     .call = map_over,
     .check = check_map_over,
     .prepare = stage_furnish,
     .clear = stage_empty,
     .meets = ALLOC},
    {.names = "rmap_space_map",
     .call = map_over_locked,
     .check = check_map_over_locked,
     .prepare = stage_furnish,
     .clear = stage_empty,
     .flags = LOOSE_ENTRIES | LOOSE_BYTES | REPLACES,
     .meets = ALLOC | FRAME | MMAP,
     .without = MMAP},
    {.names = "rmap_space_unmap",
     .call = unmap_middle,
     .check = check_unmap_middle,
     .prepare = stage_furnish,
     .clear = stage_empty,
     .meets = ALLOC | MMAP,
     .without = MMAP},
    {.names = "rmap_space_protect",
     .call = protect_middle,
     .check = check_protect,
     .undo = unprotect_middle,
     .meets = ALLOC},
    {.names = "rmap_space_protect",
     .call = protect_writable,
     .check = check_writable,
     .prepare = map_readable,
     .clear = stage_empty,
     .meets = CHARGE},
    {.names = "rmap_space_lock",
     .call = lock_middle,
     .check = check_lock,
     .undo = unlock_all,
     .flags = LOOSE_ENTRIES | LOOSE_FRAMES,
     .meets = ALLOC | FRAME | EVICTING | READ | SPOILT | MMAP | PREAD,
     .without = EVICTING | MMAP},
    {.names = "rmap_space_unlock",
     .call = unlock_middle,
     .check = check_unlock,
     .prepare = lock_all,
     .clear = stage_empty,
     .meets = ALLOC},
    {.names = NULL},
};
