/* SPDX-License-Identifier: MIT */
/** @file fault/verbs_end.c  What ends things. It fails for nothing; what is refused to it is tried again, and nothing stays. */
#include "fault/stage.h"
#include "support/no_frames.h"

/* ---- instances, members ---- */

static void instance(struct stage *g)
{
    static const struct rmap_frame_ops frames = {
        .struct_size = sizeof frames, .alloc = no_frame, .free = free_frame, .copy = copy_frame};
    const struct rmap_options o = {.struct_size = sizeof o, .alloc = stage_alloc(g), .frames = &frames};
    CHECK_OK(rmap_create(&o, (struct rmap **)&g->made));
}
static int end_instance(struct stage *g)
{
    return rmap_destroy(g->made);
}

/* A child of the parent's, by hand: pages of its own and shared ones, on swap and not. */
static void forked_member(struct stage *g)
{
    const struct rmap_radix_options o = stage_radix(g, &rmap_radix_soft);
    struct rmap_fork f;
    CHECK_OK(rmap_radix_create(&o, &g->mmu));
    CHECK_OK(rmap_fork_begin(rmap_space_member(g->parent), &g->member, &g->mmu, &f));
    CHECK_OK(rmap_fork_copy(&f, 0, 64, RMAP_FORK_COW));
    rmap_fork_commit(&f);
}
static int leave(struct stage *g)
{
    struct rmap_zapped gone;
    int rc = rmap_zap(&g->member, 0, g->mmu.pages, &gone);
    CHECK_EQ(gone.mappings + gone.swaps, 12);
    return rc ? rc : rmap_member_leave(&g->member);
}
static void end_tables(struct stage *g)
{
    CHECK_EQ(rmap_group_members(rmap_space_member(g->parent)), 2);
    rmap_radix_destroy(&g->mmu);
}

static int zap(struct stage *g)
{
    return rmap_zap(rmap_space_member(g->guest), 102, 4, NULL);
}
static void check_zap(struct stage *g, int rc)
{
    g->furnished = rc;
    if (rc) return;
    for (rmap_vpn_t vpn = 102; vpn < 106; vpn++) CHECK_EQ(get(g->guest, vpn), 0);
    expect(g->guest, 106, 2, 1106);
}

/* ---- MMUs ---- */

static void radix(struct stage *g)
{
    const struct rmap_radix_options o = stage_radix(g, &rmap_radix_sv48);
    struct rmap_tables t = {.count = 0};
    struct rmap_mmu_run run;
    CHECK_OK(rmap_radix_create(&o, &g->mmu));
    CHECK_OK(g->mmu.ops->reserve(g->mmu.ctx, 12345, &t));
    CHECK_OK(g->mmu.ops->run_make(g->mmu.ctx, 12345, &t, &run));
    g->mmu.ops->run_unlock(g->mmu.ctx, &run);
    g->mmu.ops->unreserve(g->mmu.ctx, &t);
}
static int end_radix(struct stage *g)
{
    rmap_radix_destroy(&g->mmu);
    return 0;
}

static void radix_provider(struct stage *g)
{
    const struct rmap_radix_options o = stage_radix(g, &rmap_radix_soft);
    CHECK_OK(rmap_radix_provider_init(&o, &g->provider));
}
static int end_radix_provider(struct stage *g)
{
    rmap_radix_provider_fini(&g->provider);
    return 0;
}

static void memory(struct stage *g)
{
    CHECK_OK(rmap_memory_init(&g->memory, 16, 12));
}
static int end_memory(struct stage *g)
{
    rmap_memory_fini(&g->memory);
    return 0;
}

static void host(struct stage *g)
{
    memory(g);
    const struct rmap_host_options o = {
        .struct_size = sizeof o, .memory = &g->memory, .alloc = stage_alloc(g), .window_pages = 2048, .vma_limit = 200};
    CHECK_OK(rmap_host_create(&o, &g->host));
}
static int end_host(struct stage *g)
{
    return rmap_host_destroy(g->host);
}
static void forget_memory(struct stage *g)
{
    rmap_memory_fini(&g->memory);
}

static int host_stats(struct stage *g)
{
    struct rmap_host_stats st;
    int rc = rmap_host_get_stats(g->windows, &st);
    if (!rc) CHECK_EQ(st.windows, 4);
    return rc;
}

/* ---- swap, pagers ---- */

static void device(struct stage *g)
{
    CHECK_OK(rmap_device_temp_create(stage_alloc(g), NULL, 64, 12, (struct rmap_device **)&g->made));
}
static int end_device(struct stage *g)
{
    rmap_device_destroy(g->made);
    return 0;
}

static void swap(struct stage *g)
{
    const struct rmap_swap_options o = {.struct_size = sizeof o, .alloc = stage_alloc(g), .page_shift = 12};
    CHECK_OK(rmap_swap_create(&o, &g->swap));
    faulty_device_init(&g->device, 10, 12);
    CHECK_OK(rmap_swap_add(g->swap, &g->device.base));
}
static int bind(struct stage *g)
{
    return rmap_swap_bind(g->swap, g->w.r);
}
static int end_swap(struct stage *g)
{
    return rmap_swap_destroy(g->swap);
}
static void forget_swap(struct stage *g)
{
    CHECK_OK(rmap_swap_destroy(g->swap));
}
/* Its devices go with it. */
static void check_device(struct stage *g, int rc)
{
    CHECK_EQ(g->device.destroyed, !rc);
}

static void pager(struct stage *g)
{
    struct rmap_pager_options o = world_options(&g->w, 32, 0);
    faulty_device_init(&g->device, 10, 12);
    o.swap = &g->device.base;
    CHECK_OK(rmap_pager_create(&o, &g->pager));
}
static int end_pager(struct stage *g)
{
    return rmap_pager_destroy(g->pager);
}

const struct verb fault_verbs_end[] = {
    {.names = "rmap_destroy", .call = end_instance, .prepare = instance, .stages = PLENTY},
    {.names = "rmap_zap rmap_member_leave",
     .call = leave,
     .prepare = forked_member,
     .clear = end_tables,
     .stages = PLENTY | TIGHT},
    {.names = "rmap_zap",
     .call = zap,
     .check = check_zap,
     .prepare = stage_furnish,
     .clear = stage_empty,
     .meets = MMAP,
     .without = MMAP},
    {.names = "rmap_radix_destroy", .call = end_radix, .prepare = radix, .stages = PLENTY},
    {.names = "rmap_radix_provider_fini", .call = end_radix_provider, .prepare = radix_provider, .stages = PLENTY},
    {.names = "rmap_memory_fini",
     .call = end_memory,
     .prepare = memory,
     .stages = PLENTY,
     .meets = MUNMAP,
     .without = MUNMAP},
    {.names = "rmap_host_destroy",
     .call = end_host,
     .prepare = host,
     .clear = forget_memory,
     .stages = PLENTY,
     .meets = MUNMAP,
     .without = MUNMAP},
    {.names = "rmap_host_get_stats", .call = host_stats, .stages = WINDOWS},
    {.names = "rmap_device_destroy", .call = end_device, .prepare = device, .stages = PLENTY},
    {.names = "rmap_swap_bind", .call = bind, .prepare = swap, .clear = forget_swap, .stages = PLENTY},
    {.names = "rmap_swap_destroy", .call = end_swap, .check = check_device, .prepare = swap, .stages = PLENTY},
    {.names = "rmap_pager_destroy",
     .call = end_pager,
     .check = check_device,
     .prepare = pager,
     .stages = PLENTY,
     .meets = MUNMAP,
     .without = MUNMAP},
    {.names = NULL},
};
