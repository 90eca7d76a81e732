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
static void have_radix(struct stage *g)
{
    CHECK_OK(radix(g));
}
static int reserve(struct stage *g)
{
    struct rmap_tables t = {.count = 0};
    int rc = g->mmu.ops->reserve(g->mmu.ctx, 12345, &t);
    CHECK_EQ(t.count, rc ? 0 : 3);
    if (!rc) g->mmu.ops->unreserve(g->mmu.ctx, &t);
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
    return p.create(p.ctx, &client, &g->mmu);
}
static void end_window(struct stage *g)
{
    struct rmap_mmu_provider p = rmap_host_provider(g->host);
    CHECK(rmap_host_base(&g->mmu) != NULL);
    p.destroy(p.ctx, &g->mmu);
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
static int host_fault(struct stage *g)
{
    unsigned char *at = (unsigned char *)rmap_host_base(&rmap_space_member(g->space)->mmu) + 1000 * PAGE;
    struct rmap_host_stats st;
    int rc = rmap_host_fault(g->host, at, RMAP_WRITE);
    CHECK_OK(rmap_host_get_stats(g->host, &st));
    if (!rc) *at = 1; /* shown: a segmentation fault otherwise */
    CHECK_EQ(st.projections, rc ? 0 : 1);
    return rc;
}

/* ---- devices, slot maps ---- */

static int device_temp(struct stage *g)
{
    return rmap_device_temp_create(stage_alloc(g), NULL, 64, 12, (struct rmap_device **)&g->made);
}
static int device_lz4(struct stage *g)
{
    int rc = rmap_device_lz4_create(stage_alloc(g), 64, 12, 0, (struct rmap_device **)&g->made);
    return rc == RMAP_ERR_UNSUPPORTED ? device_temp(g) : rc;
}
static int device_file(struct stage *g)
{
    return rmap_device_file_create(stage_alloc(g), g->memory.fd, false, 64, 12, (struct rmap_device **)&g->made);
}
static void end_device(struct stage *g)
{
    rmap_device_destroy(g->made);
}

static int swap(struct stage *g)
{
    const struct rmap_swap_options o = {.struct_size = sizeof o, .alloc = stage_alloc(g), .page_shift = 12};
    return rmap_swap_create(&o, &g->swap);
}
static void end_swap(struct stage *g)
{
    CHECK_OK(rmap_swap_destroy(g->swap));
}

/* On failure the device stays the caller's. */
static int owned(struct stage *g, int rc)
{
    CHECK(!g->device.destroyed);
    if (rc) rmap_device_destroy(&g->device.base);
    return rc;
}
static int swap_add(struct stage *g)
{
    faulty_device_init(&g->device, 10, 12);
    return owned(g, rmap_swap_add(rmap_pager_swap(g->w.p), &g->device.base));
}
static int pager_add(struct stage *g)
{
    faulty_device_init(&g->device, 10, 12);
    return owned(g, rmap_pager_add_swap(g->w.p, &g->device.base));
}

/* A map of its own, whose first slot makes its first chunk. */
static void swap_with_device(struct stage *g)
{
    CHECK_OK(swap(g));
    CHECK_OK(rmap_swap_bind(g->swap, g->w.r));
    faulty_device_init(&g->device, 10, 12);
    CHECK_OK(rmap_swap_add(g->swap, &g->device.base));
}
static int cache_add(struct stage *g)
{
    struct rmap_page *page = stage_page(g, g->parent, 5);
    int rc = rmap_swap_cache_add(g->swap, page);
    if (!rc) CHECK_OK(rmap_swap_cache_del(g->swap, page));
    stage_let_go(g, page);
    return rc;
}

/* ---- pager ---- */

static int pager(struct stage *g)
{
    const struct rmap_pager_options o = world_options(&g->w, 32, 0);
    return rmap_pager_create(&o, &g->pager);
}
static int pager_with_swap(struct stage *g)
{
    struct rmap_pager_options o = world_options(&g->w, 32, 0);
    faulty_device_init(&g->device, 10, 12);
    o.swap = &g->device.base;
    return owned(g, rmap_pager_create(&o, &g->pager));
}
static void end_pager(struct stage *g)
{
    CHECK_OK(rmap_pager_destroy(g->pager));
}

const struct verb fault_verbs_parts[] = {
    {"rmap_radix_create rmap_radix_destroy", radix, end_radix, NULL, NULL, 0},
    {"rmap_radix_create", reserve, NULL, have_radix, end_radix, 0},
    {"rmap_radix_provider_init rmap_radix_provider_fini", radix_provider, end_radix_provider, NULL, NULL, 0},
    {"rmap_host_create rmap_host_destroy rmap_memory_init rmap_memory_fini", host, end_host, memory, end_memory, 0},
    {"rmap_host_provider rmap_host_base", window, end_window, memory_and_host, end_memory_and_host, 0},
    {"rmap_host_fault rmap_host_get_stats", host_fault, NULL, pager_on_host, end_pager_on_host, LOOSE | SPARING},
    {"rmap_device_temp_create", device_temp, end_device, NULL, NULL, 0},
    {"rmap_device_lz4_create", device_lz4, end_device, NULL, NULL, 0},
    {"rmap_device_file_create rmap_device_destroy", device_file, end_device, memory, end_memory, 0},
    {"rmap_swap_create rmap_swap_destroy", swap, end_swap, NULL, NULL, 0},
    {"rmap_swap_add", swap_add, NULL, NULL, NULL, 0},
    {"rmap_swap_bind rmap_swap_cache_add", cache_add, NULL, swap_with_device, end_swap, 0},
    {"rmap_pager_add_swap rmap_pager_swap", pager_add, NULL, NULL, NULL, 0},
    {"rmap_pager_create rmap_pager_destroy", pager, end_pager, NULL, NULL, 0},
    {"rmap_pager_create", pager_with_swap, end_pager, NULL, NULL, 0},
    {NULL, NULL, NULL, NULL, NULL, 0},
};
