/* SPDX-License-Identifier: MIT */
/** @file fault/verbs_parts.c  MMUs, devices, slot maps, pagers: what an embedder puts together. */
#include "fault/stage.h"

/* ---- radix ---- */

static int radix(struct stage *g)
{
    const struct rmap_radix_options o = stage_radix(g, &rmap_radix_sv48);
    return rmap_radix_create(&o, &g->mmu);
}
static void end_radix(struct stage *g)
{
    rmap_radix_destroy(&g->mmu);
}

/* Four levels: three tables for the first page, all or none. */
static int radix_with_tables(struct stage *g)
{
    struct rmap_tables t = {.count = 0};
    int rc = radix(g);
    if (rc) return rc;
    rc = g->mmu.ops->reserve(g->mmu.ctx, 12345, &t);
    CHECK_EQ(t.count, rc ? 0 : 3);
    if (rc)
        rmap_radix_destroy(&g->mmu);
    else
        g->mmu.ops->unreserve(g->mmu.ctx, &t);
    return rc;
}

static int radix_provider(struct stage *g)
{
    const struct rmap_radix_options o = stage_radix(g, &rmap_radix_soft);
    return rmap_radix_provider_init(&o, &g->provider);
}
static void end_radix_provider(struct stage *g)
{
    rmap_radix_provider_fini(&g->provider);
}

/* ---- host ---- */

static int memory_init(struct stage *g)
{
    return rmap_memory_init(&g->memory, 16, 12);
}
static void memory(struct stage *g)
{
    CHECK_OK(rmap_memory_init(&g->memory, 16, 12));
}
static void end_memory(struct stage *g)
{
    rmap_memory_fini(&g->memory);
}

static int host(struct stage *g)
{
    const struct rmap_host_options o = {
        .struct_size = sizeof o, .memory = &g->memory, .alloc = stage_alloc(g), .window_pages = 2048, .vma_limit = 200};
    return rmap_host_create(&o, &g->host);
}
/* The limit that is taken then is half of the system's, or of the default where that cannot be read. */
static int host_without_limit(struct stage *g)
{
    const struct rmap_host_options o = {
        .struct_size = sizeof o, .memory = &g->memory, .alloc = stage_alloc(g), .window_pages = 2048};
    return rmap_host_create(&o, &g->host);
}
static void end_host(struct stage *g)
{
    CHECK_OK(rmap_host_destroy(g->host));
}

static void memory_and_host(struct stage *g)
{
    memory(g);
    CHECK_OK(host(g));
}
static void end_memory_and_host(struct stage *g)
{
    end_host(g);
    end_memory(g);
}

static int no_fault(void *ctx, rmap_vpn_t vpn, unsigned access)
{
    (void)ctx, (void)vpn, (void)access;
    return RMAP_ERR_ABSENT;
}
static int window(struct stage *g)
{
    const struct rmap_mmu_client client = {g, no_fault};
    struct rmap_mmu_provider p = rmap_host_provider(g->host);
    int rc = p.create(p.ctx, &client, &g->mmu);
    CHECK_EQ(rmap_host_base(&g->mmu) != NULL, !rc);
    return rc;
}
static void end_window(struct stage *g)
{
    struct rmap_mmu_provider p = rmap_host_provider(g->host);
    p.destroy(p.ctx, &g->mmu);
}

/* One that shows nothing closes. */
static void have_window(struct stage *g)
{
    memory_and_host(g);
    CHECK_OK(window(g));
}
static int close_window(struct stage *g)
{
    end_window(g);
    return 0;
}

/* A pager on windows: the fault at page 1000 makes a table, and records of projections for many more. */
static void pager_on_host(struct stage *g)
{
    memory_and_host(g);
    const struct rmap_mmu_provider windows = rmap_host_provider(g->host);
    struct rmap_pager_options o = world_options(&g->w, 16, 0);
    o.provider = &windows;
    o.memory = &g->memory;
    CHECK_OK(rmap_pager_create(&o, &g->pager));
    CHECK_OK(rmap_space_create(g->pager, &g->space));
    map_at(g->space, 0, 2048, RW);
}
static void end_pager_on_host(struct stage *g)
{
    CHECK_OK(rmap_pager_verify(g->pager, NULL));
    CHECK_OK(rmap_space_destroy(g->space));
    CHECK_OK(rmap_pager_destroy(g->pager));
    end_memory_and_host(g);
}
static unsigned char *page_1000(struct stage *g)
{
    return (unsigned char *)rmap_host_base(&rmap_space_member(g->space)->mmu) + 1000 * PAGE;
}
static int host_fault(struct stage *g)
{
    return rmap_host_fault(g->host, page_1000(g), RMAP_WRITE);
}
static void check_host_fault(struct stage *g, int rc)
{
    struct rmap_host_stats st;
    CHECK_OK(rmap_host_get_stats(g->host, &st));
    CHECK_EQ(st.projections, rc ? 0 : 1);
    if (!rc) *page_1000(g) = 1; /* shown: a segmentation fault otherwise */
}

/* ---- pager ---- */

static int pager(struct stage *g)
{
    const struct rmap_pager_options o = world_options(&g->w, 32, 0);
    return rmap_pager_create(&o, &g->pager);
}
static void device(struct stage *g)
{
    faulty_device_init(&g->device, 10, 12);
    gate_device(&g->device);
}
static int pager_with_swap(struct stage *g)
{
    struct rmap_pager_options o = world_options(&g->w, 32, 0);
    o.swap = &g->device.base;
    return rmap_pager_create(&o, &g->pager);
}
/* On failure the device stays the caller's. */
static void check_device(struct stage *g, int rc)
{
    (void)rc;
    CHECK(!g->device.destroyed);
}
static void end_pager(struct stage *g)
{
    CHECK_OK(rmap_pager_destroy(g->pager));
}

const struct verb fault_verbs_parts[] = {
    {.names = "rmap_radix_create", .call = radix, .undo = end_radix, .stages = PLENTY, .meets = TABLE},
    {.names = "rmap_radix_create", .call = radix_with_tables, .undo = end_radix, .stages = PLENTY, .meets = TABLE},
    {.names = "rmap_radix_provider_init",
     .call = radix_provider,
     .undo = end_radix_provider,
     .stages = PLENTY,
     .meets = TABLE},
    {.names = "rmap_memory_init",
     .call = memory_init,
     .undo = end_memory,
     .stages = PLENTY,
     .meets = MMAP | FILES,
     .without = FILES},
    {.names = "rmap_host_create",
     .call = host,
     .undo = end_host,
     .prepare = memory,
     .clear = end_memory,
     .stages = PLENTY,
     .meets = ALLOC | MMAP,
     .without = MMAP},
    {.names = "rmap_host_create",
     .call = host_without_limit,
     .undo = end_host,
     .prepare = memory,
     .clear = end_memory,
     .stages = PLENTY,
     .meets = ALLOC | MMAP | FILES,
     .without = MMAP | FILES},
    {.names = "rmap_host_provider rmap_host_base",
     .call = window,
     .undo = end_window,
     .prepare = memory_and_host,
     .clear = end_memory_and_host,
     .stages = PLENTY,
     .meets = ALLOC | MMAP},
    {.names = "rmap_host_provider",
     .call = close_window,
     .prepare = have_window,
     .clear = end_memory_and_host,
     .stages = PLENTY,
     .meets = MUNMAP,
     .without = MUNMAP},
    {.names = "rmap_host_fault",
     .call = host_fault,
     .check = check_host_fault,
     .prepare = pager_on_host,
     .clear = end_pager_on_host,
     .stages = PLENTY,
     .flags = LOOSE_BYTES,
     .meets = ALLOC | MMAP,
     .without = ALLOC | MMAP},
    {.names = "rmap_pager_create",
     .call = pager,
     .undo = end_pager,
     .stages = PLENTY,
     .meets = ALLOC | MMAP | FILES,
     .without = FILES},
    {.names = "rmap_pager_create",
     .call = pager_with_swap,
     .check = check_device,
     .undo = end_pager,
     .prepare = device,
     .stages = PLENTY,
     .meets = ALLOC | MMAP | FILES,
     .without = FILES},
    {.names = NULL},
};
