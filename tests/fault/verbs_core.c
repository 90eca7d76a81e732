/* SPDX-License-Identifier: MIT */
/** @file fault/verbs_core.c  Instances, frame sections, members, the fork transaction, moves, verification. */
#include "fault/stage.h"

/* ---- instance, frames ---- */

static int frame_alloc(void *ctx, rmap_pfn_t near, rmap_pfn_t *out)
{
    (void)ctx, (void)near, (void)out;
    return RMAP_ERR_NO_FRAME;
}
static void frame_free(void *ctx, rmap_pfn_t pfn)
{
    (void)ctx, (void)pfn;
}
static void frame_copy(void *ctx, rmap_pfn_t dst, rmap_pfn_t src)
{
    (void)ctx, (void)dst, (void)src;
}

static int create(struct stage *g)
{
    static const struct rmap_frame_ops frames = {
        .struct_size = sizeof frames, .alloc = frame_alloc, .free = frame_free, .copy = frame_copy};
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
    CHECK_EQ(rmap_group_members(rmap_space_member(g->parent)), rc ? 2 : 3);
    return rc;
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
    struct rmap_page *page = stage_page(g, g->parent, 5);
    struct rmap_cursor c;
    struct rmap_mapping at;
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

const struct verb fault_verbs_core[] = {
    {"rmap_create rmap_destroy", create, destroy, NULL, NULL, 0},
    {"rmap_frames_add", frames_add, forget_frames, NULL, NULL, 0},
    {"rmap_frames_remove", frames_remove, NULL, have_frames, NULL, 0},
    {"rmap_member_init rmap_member_leave rmap_zap", member_init, member_leave, have_tables, free_tables, 0},
    {"rmap_fork_begin rmap_fork_copy rmap_fork_commit rmap_fork_abort", fork_by_hand, member_leave, have_tables,
     free_tables, LOOSE},
    {"rmap_move", move, move_back, NULL, NULL, LOOSE},
    {"rmap_move", move, move_back, track, untrack, LOOSE},
    {"rmap_cursor_open rmap_cursor_next rmap_cursor_close", cursor, NULL, NULL, NULL, 0},
    {"rmap_verify", verify, NULL, NULL, NULL, 0},
    {"rmap_pager_verify", pager_verify, NULL, NULL, NULL, 0},
    {NULL, NULL, NULL, NULL, NULL, 0},
};
