/* SPDX-License-Identifier: MIT */
/** @file fault/verbs_space.c  The mm verbs, and reclaim. */
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
static void destroy(struct stage *g)
{
    CHECK_OK(rmap_space_destroy(g->made));
}

/* Something to lose: pages of its own, on swap, shared with the child of a fork. */
static void furnish(struct stage *g)
{
    map_at(g->guest, 100, 8, RW);
    fill(g->guest, 100, 4, 1100);
    evict_all(&g->w);
    fill(g->guest, 104, 4, 1104);
    g->furnished = true;
}
static void empty(struct stage *g)
{
    CHECK_OK(rmap_space_unmap(g->guest, 0, 20000));
}
static int exec(struct stage *g)
{
    int rc = rmap_space_exec(g->guest);
    CHECK_EQ(space_stats(g->guest).regions, rc ? 1 : 0);
    CHECK_EQ(rmap_group_members(rmap_space_member(g->guest)), 1);
    return rc;
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
    int rc = rmap_space_map(g->guest, &at, 2, RMAP_READ, RMAP_MAP_FIXED);
    if (!rc) CHECK_EQ(get(g->guest, 102), 0);
    return rc;
}

static int unmap_middle(struct stage *g)
{
    int rc = rmap_space_unmap(g->guest, 103, 2);
    if (!rc) expect(g->guest, 105, 3, 1105);
    return rc;
}

static int protect_middle(struct stage *g)
{
    return rmap_space_protect(g->parent, 5, 2, RMAP_READ);
}
static void unprotect_middle(struct stage *g)
{
    CHECK_OK(rmap_space_protect(g->parent, 5, 2, RW));
}

/* ---- lock ---- */

static int lock_middle(struct stage *g)
{
    return rmap_space_lock(g->parent, 5, 8);
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
    int rc = rmap_space_unlock(g->guest, 202, 2);
    CHECK_EQ(space_stats(g->guest).locked_pages, rc ? 6 : 4);
    return rc;
}

/* ---- move ---- */

static int move_far(struct stage *g)
{
    rmap_vpn_t to = 4000;
    return rmap_space_move(g->parent, 0, 16, 16, RMAP_MOVE_FIXED | RMAP_MOVE_MAYMOVE, &to);
}
static void move_back(struct stage *g)
{
    rmap_vpn_t to = 0;
    CHECK_OK(rmap_space_move(g->parent, 4000, 16, 16, RMAP_MOVE_FIXED | RMAP_MOVE_MAYMOVE, &to));
}
static int move_and_grow(struct stage *g)
{
    rmap_vpn_t to = 9000;
    int rc = rmap_space_move(g->guest, 102, 4, 7, RMAP_MOVE_FIXED | RMAP_MOVE_MAYMOVE, &to);
    if (!rc) expect(g->guest, 9000, 4, 1102);
    return rc;
}
static int move_keeping(struct stage *g)
{
    rmap_vpn_t to = RMAP_VPN_NONE;
    int rc = rmap_space_move(g->guest, 102, 4, 4, RMAP_MOVE_KEEP_OLD | RMAP_MOVE_MAYMOVE, &to);
    if (!rc) expect(g->guest, to, 4, 1102);
    return rc;
}
static int shrink(struct stage *g)
{
    rmap_vpn_t to = RMAP_VPN_NONE;
    int rc = rmap_space_move(g->guest, 101, 5, 2, 0, &to);
    if (!rc) expect(g->guest, 100, 3, 1100);
    return rc;
}
static int grow(struct stage *g)
{
    rmap_vpn_t to = RMAP_VPN_NONE;
    return rmap_space_move(g->guest, 100, 8, 12, 0, &to);
}

/* ---- touch ---- */

static void map_guest(struct stage *g)
{
    map_at(g->guest, 4096, 4096, RW);
}
static int touch_far(struct stage *g)
{
    return rmap_space_fault(g->guest, 5000, RMAP_WRITE);
}
static int pin_far(struct stage *g)
{
    struct rmap_page *page;
    int rc = rmap_space_pin(g->guest, 5000, &page);
    if (!rc) rmap_page_unpin(g->w.r, page);
    return rc;
}
static int write_far(struct stage *g)
{
    uint64_t value = 7;
    return rmap_space_write(g->guest, (uint64_t)6000 * PAGE, &value, sizeof value, NULL);
}
static int read_far(struct stage *g)
{
    uint64_t value = 1;
    int rc = rmap_space_read(g->guest, (uint64_t)7000 * PAGE, &value, sizeof value, NULL);
    CHECK_EQ(value, rc ? 1 : 0);
    return rc;
}

/* ---- reclaim: a second pager, whose slot map has no chunk yet ---- */

static void second_pager(struct stage *g)
{
    struct rmap_pager_options o = world_options(&g->w, 32, 0);
    faulty_device_init(&g->device, 50, 12);
    o.swap = &g->device.base;
    CHECK_OK(rmap_pager_create(&o, &g->pager));
    CHECK_OK(rmap_space_create(g->pager, &g->space));
    map_at(g->space, 0, 8, RW);
    fill(g->space, 0, 8, 60);
}
static void end_second_pager(struct stage *g)
{
    expect(g->space, 0, 8, 60);
    CHECK_OK(rmap_pager_verify(g->pager, NULL));
    CHECK_OK(rmap_space_destroy(g->space));
    CHECK_OK(rmap_pager_destroy(g->pager));
}
static int reclaim(struct stage *g)
{
    int64_t freed = rmap_reclaim(g->pager, 4);
    CHECK(freed >= 0);
    return freed >= 4 ? 0 : RMAP_ERR_NOMEM; /* it frees what it can */
}

const struct verb fault_verbs_space[] = {
    {"rmap_space_create", create, destroy, NULL, NULL, 0},
    {"rmap_space_fork", fork_child, destroy, NULL, NULL, LOOSE},
    {"rmap_space_exec", exec, NULL, furnish, empty, 0},
    {"rmap_space_map", map_far, unmap_far, NULL, NULL, 0},
    {"rmap_space_map", map_populated, unmap_far, NULL, NULL, LOOSE},
    {"rmap_space_map", map_over, NULL, furnish, empty, 0},
    {"rmap_space_unmap", unmap_middle, NULL, furnish, empty, 0},
    {"rmap_space_protect", protect_middle, unprotect_middle, NULL, NULL, 0},
    {"rmap_space_lock", lock_middle, unlock_all, NULL, NULL, LOOSE},
    {"rmap_space_unlock", unlock_middle, NULL, lock_all, empty, 0},
    {"rmap_space_move", move_far, move_back, NULL, NULL, LOOSE},
    {"rmap_space_move", move_and_grow, NULL, furnish, empty, LOOSE},
    {"rmap_space_move", move_keeping, NULL, furnish, empty, LOOSE},
    {"rmap_space_move", shrink, NULL, furnish, empty, 0},
    {"rmap_space_move", grow, NULL, furnish, empty, 0},
    {"rmap_space_fault", touch_far, NULL, map_guest, empty, 0},
    {"rmap_space_pin", pin_far, NULL, map_guest, empty, 0},
    {"rmap_space_write", write_far, NULL, map_guest, empty, 0},
    {"rmap_space_read", read_far, NULL, map_guest, empty, 0},
    {"rmap_reclaim", reclaim, NULL, second_pager, end_second_pager, LOOSE | SPARING},
    {NULL, NULL, NULL, NULL, NULL, 0},
};
