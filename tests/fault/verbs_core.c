/* SPDX-License-Identifier: MIT */
/** @file fault/verbs_core.c  Instances, frame sections, members, the fork transaction, moves, verification. */
#include "fault/stage.h"
#include "support/no_frames.h"

#include <objrmap/migrate.h>

/* ---- instance, frames ---- */

static int create(struct stage *g)
{
    static const struct rmap_frame_ops frames = {
        .struct_size = sizeof frames, .alloc = no_frame, .free = free_frame, .copy = copy_frame};
    const struct rmap_options o = {.struct_size = sizeof o, .alloc = stage_alloc(g), .frames = &frames};
    return rmap_create(&o, (struct rmap **)&g->made);
}
static void destroy(struct stage *g)
{
    CHECK_OK(rmap_destroy(g->made));
}

static int frames_add(struct stage *g)
{
    const struct rmap_frame_section section = {g->descriptors, sizeof g->descriptors[0], 100000, 4};
    return rmap_frames_add(g->w.r, &section);
}
static int frames_remove(struct stage *g)
{
    return rmap_frames_remove(g->w.r, 100000);
}
static void have_frames(struct stage *g)
{
    CHECK_OK(frames_add(g));
}
static void forget_frames(struct stage *g)
{
    CHECK_OK(frames_remove(g));
}

/* ---- members ---- */

static void have_tables(struct stage *g)
{
    const struct rmap_radix_options o = stage_radix(g, &rmap_radix_soft);
    CHECK_OK(rmap_radix_create(&o, &g->mmu));
}
static void free_tables(struct stage *g)
{
    rmap_radix_destroy(&g->mmu);
}

static int member_init(struct stage *g)
{
    return rmap_member_init(g->w.r, &g->member, &g->mmu);
}
static void member_leave(struct stage *g)
{
    CHECK_OK(rmap_zap(&g->member, 0, g->mmu.pages, NULL));
    CHECK_OK(rmap_member_leave(&g->member));
}

/* ---- fork: begin fails alone; copy fails and is aborted ---- */

static int fork_by_hand(struct stage *g)
{
    struct rmap_fork f;
    int rc = rmap_fork_begin(rmap_space_member(g->parent), &g->member, &g->mmu, &f);
    if (rc) return rc;
    rc = rmap_fork_copy(&f, 0, 8, RMAP_FORK_COW);
    if (!rc) rc = rmap_fork_copy(&f, 8, 56, RMAP_FORK_COW);
    if (rc)
        rmap_fork_abort(&f);
    else
        rmap_fork_commit(&f);
    return rc;
}
static void check_fork(struct stage *g, int rc)
{
    CHECK_EQ(rmap_group_members(rmap_space_member(g->parent)), rc ? 2 : 3);
}

/* Page 1 of the parent's is pinned: the child gets a copy. */
static void have_tables_and_pin(struct stage *g)
{
    have_tables(g);
    CHECK_OK(rmap_space_pin(g->parent, 1, &g->page));
}
static void free_tables_and_unpin(struct stage *g)
{
    rmap_page_unpin(g->w.r, g->page);
    free_tables(g);
}

/* ---- move, verify ---- */

static int move(struct stage *g)
{
    return rmap_move(rmap_space_member(g->parent), 0, 9000, 16, NULL);
}
static void move_back(struct stage *g)
{
    CHECK_OK(rmap_move(rmap_space_member(g->parent), 9000, 0, 16, NULL));
}

/* Page 5, which parent and child share. */
static int cursor(struct stage *g)
{
    struct rmap_cursor c;
    struct rmap_mapping at;
    stage_share(g);
    struct rmap_page *page = stage_page(g, g->parent, 5);
    int err = rmap_cursor_open(g->w.r, page, &c);
    if (!err) {
        CHECK_EQ(rmap_cursor_next(&c, &at), 1);
        CHECK_EQ(rmap_cursor_next(&c, &at), 1);
        CHECK_EQ(rmap_cursor_next(&c, &at), 0);
        CHECK_EQ(c.result.outcome, RMAP_DONE);
    }
    rmap_cursor_close(&c);
    stage_let_go(g, page);
    return err;
}

static void track(struct stage *g)
{
    CHECK_OK(rmap_member_set_policy(rmap_space_member(g->parent), RMAP_MOVE_POLICY_TRACK));
}
static void untrack(struct stage *g)
{
    CHECK_OK(rmap_member_set_policy(rmap_space_member(g->parent), RMAP_MOVE_POLICY_COPY));
}

static int verify(struct stage *g)
{
    return rmap_verify(g->w.r, NULL);
}
static int pager_verify(struct stage *g)
{
    return rmap_pager_verify(g->w.p, NULL);
}

/* ---- page 5 goes to another frame, which is got before ---- */

static void have_target(struct stage *g)
{
    CHECK_OK(rmap_page_alloc(g->w.r, RMAP_PFN_NONE, &g->target));
    stage_share(g);
}
static void drop_target(struct stage *g)
{
    rmap_page_put(g->w.r, g->target);
    stage_unshare(g);
}
static int migrate(struct stage *g)
{
    struct rmap_result res;
    stage_share(g);
    CHECK_OK(rmap_migrate(g->w.r, &g->page, &g->target, 1, RMAP_LOCK_PAGES, &res));
    if (res.outcome != RMAP_DONE) CHECK_EQ(res.reason, RMAP_REASON_BUSY);
    return res.outcome == RMAP_DONE ? 0 : STOPPED_HALF_WAY;
}
/* By halves; a target whose count is full leaves the page under way, to be ended again the same way. */
static int end_migration(struct stage *g)
{
    struct rmap_result res = {.outcome = RMAP_DONE};
    const bool begun = rmap_page_flags(g->page) & RMAP_PAGE_MIGRATING;
    if (!begun) stage_share(g);
    rmap_page_lock(g->page);
    CHECK(rmap_page_try_lock(g->target));
    if (!begun) CHECK_OK(rmap_migrate_begin(g->w.r, &g->page, 1, 0, &res));
    CHECK_EQ(res.outcome, RMAP_DONE);
    memcpy(rmap_page_address(g->w.r, g->target), rmap_page_address(g->w.r, g->page), PAGE);
    CHECK_OK(rmap_migrate_end(g->w.r, &g->page, &g->target, 1, 0, &res));
    if (res.outcome != RMAP_DONE) CHECK_EQ(res.reason, RMAP_REASON_BUSY);
    rmap_page_unlock(g->w.r, g->target);
    rmap_page_unlock(g->w.r, g->page);
    return res.outcome == RMAP_DONE ? 0 : STOPPED_HALF_WAY;
}
static void check_migration(struct stage *g, int rc)
{
    if (rc) CHECK_EQ(end_migration(g), 0);
    CHECK(stage_find(g, g->child, 5) == g->target);
    CHECK(stage_find(g, g->parent, 5) == g->target);
    drop_target(g);
    have_target(g);
}

static int alloc_page(struct stage *g)
{
    return rmap_page_alloc(g->w.r, RMAP_PFN_NONE, &g->page);
}
static void put_page(struct stage *g)
{
    rmap_page_put(g->w.r, g->page);
}

const struct verb fault_verbs_core[] = {
    {.names = "rmap_create", .call = create, .undo = destroy, .stages = PLENTY, .meets = ALLOC},
    {.names = "rmap_frames_add", .call = frames_add, .undo = forget_frames, .stages = PLENTY, .meets = ALLOC},
    {.names = "rmap_frames_remove", .call = frames_remove, .prepare = have_frames, .stages = PLENTY, .meets = ALLOC},
    {.names = "rmap_member_init",
     .call = member_init,
     .undo = member_leave,
     .prepare = have_tables,
     .clear = free_tables,
     .stages = PLENTY,
     .meets = ALLOC},
    {.names = "rmap_fork_begin rmap_fork_copy rmap_fork_commit rmap_fork_abort",
     .call = fork_by_hand,
     .check = check_fork,
     .undo = member_leave,
     .prepare = have_tables,
     .clear = free_tables,
     .stages = PLENTY | TIGHT,
     .flags = LOOSE_BYTES,
     .meets = ALLOC | TABLE | COUNT},
    {.names = "rmap_fork_copy",
     .call = fork_by_hand,
     .check = check_fork,
     .undo = member_leave,
     .prepare = have_tables_and_pin,
     .clear = free_tables_and_unpin,
     .stages = PLENTY | TIGHT,
     .flags = LOOSE_BYTES,
     .meets = ALLOC | TABLE | FRAME | COUNT},
    {.names = "rmap_move",
     .call = move,
     .undo = move_back,
     .stages = PLENTY | WINDOWS,
     .flags = LOOSE_ENTRIES | LOOSE_FRAMES | LOOSE_BYTES,
     .meets = TABLE | FRAME | SLOT | COUNT | MMAP | PWRITE,
     .without = SLOT | COUNT | MMAP | PWRITE},
    {.names = "rmap_move",
     .call = move,
     .undo = move_back,
     .prepare = track,
     .clear = untrack,
     .stages = PLENTY | WINDOWS,
     .meets = ALLOC | TABLE | MMAP,
     .without = MMAP},
    {.names = "rmap_cursor_open rmap_cursor_next rmap_cursor_close",
     .call = cursor,
     .prepare = stage_share,
     .clear = stage_unshare,
     .stages = PLENTY | WINDOWS,
     .meets = ALLOC},
    {.names = "rmap_migrate",
     .call = migrate,
     .check = check_migration,
     .prepare = have_target,
     .clear = drop_target,
     .stages = PLENTY | WINDOWS,
     .meets = COUNT | MMAP,
     .without = MMAP},
    {.names = "rmap_migrate_begin rmap_migrate_end",
     .call = end_migration,
     .check = check_migration,
     .prepare = have_target,
     .clear = drop_target,
     .stages = PLENTY | WINDOWS,
     .meets = COUNT | MMAP,
     .without = MMAP},
    {.names = "rmap_page_alloc",
     .call = alloc_page,
     .undo = put_page,
     .meets = FRAME | EVICTING | MMAP,
     .without = EVICTING | MMAP},
    {.names = "rmap_verify", .call = verify, .meets = ALLOC},
    {.names = "rmap_pager_verify", .call = pager_verify, .meets = ALLOC},
    {.names = NULL},
};
