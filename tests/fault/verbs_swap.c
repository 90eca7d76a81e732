/* SPDX-License-Identifier: MIT */
/** @file fault/verbs_swap.c  Devices, slot maps, and what an embedder without our pager does with both. */
#include "fault/stage.h"

static int count_mapping(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t e)
{
    (void)m, (void)vpn, (void)e;
    ++*(unsigned *)ctx;
    return 0;
}

/* ---- devices ---- */

static void memory(struct stage *g)
{
    CHECK_OK(rmap_memory_init(&g->memory, 16, 12));
}
static void end_memory(struct stage *g)
{
    rmap_memory_fini(&g->memory);
}

static int device_temp(struct stage *g)
{
    return rmap_device_temp_create(stage_alloc(g), NULL, 64, 12, (struct rmap_device **)&g->made);
}
static int device_lz4(struct stage *g)
{
    return rmap_device_lz4_create(stage_alloc(g), 64, 12, 0, (struct rmap_device **)&g->made);
}
static int device_file(struct stage *g)
{
    return rmap_device_file_create(stage_alloc(g), g->memory.fd, false, 64, 12, (struct rmap_device **)&g->made);
}
static void end_device(struct stage *g)
{
    rmap_device_destroy(g->made);
}

/* ---- slot maps ---- */

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
static void device(struct stage *g)
{
    faulty_device_init(&g->device, 10, 12);
    gate_device(&g->device);
}
static int swap_add(struct stage *g)
{
    return rmap_swap_add(rmap_pager_swap(g->w.p), &g->device.base);
}
static int pager_add(struct stage *g)
{
    return rmap_pager_add_swap(g->w.p, &g->device.base);
}
static void check_owner(struct stage *g, int rc)
{
    CHECK(!g->device.destroyed);
    CHECK_ERR(rmap_swap_drain_begin(rmap_pager_swap(g->w.p), &g->device.base), rc ? RMAP_ERR_ABSENT : 0);
    if (!rc) CHECK_OK(rmap_swap_drain_cancel(rmap_pager_swap(g->w.p), &g->device.base));
}

/* A map of its own, whose first slot makes its first chunk. */
static void swap_with_device(struct stage *g)
{
    CHECK_OK(swap(g));
    CHECK_OK(rmap_swap_bind(g->swap, g->w.r));
    device(g);
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

/* ---- page 5, which parent and child share, is evicted by hand, step by step ---- */

static int unmap_locked(struct stage *g)
{
    struct rmap_result res;
    int rc = rmap_swap_cache_add(rmap_pager_swap(g->w.p), g->page);
    if (rc && rc != RMAP_ERR_EXISTS) return rc;
    CHECK_OK(rmap_unmap(g->w.r, &g->page, 1, 0, &res));
    if (res.outcome == RMAP_DONE) return 0;
    CHECK_EQ(res.outcome, RMAP_PARTIAL);
    CHECK_EQ(res.reason, RMAP_REASON_NO_SLOT);
    CHECK_EQ(rmap_page_mapcount(g->page), res.mapcount - res.hits);
    if (!rmap_swap_get_ops()->count(rmap_pager_swap(g->w.p), g->page->swap))
        CHECK_OK(rmap_swap_cache_del(rmap_pager_swap(g->w.p), g->page));
    return STOPPED_HALF_WAY;
}
static int unmap(struct stage *g)
{
    stage_share(g);
    rmap_page_lock(g->page);
    int rc = unmap_locked(g);
    rmap_page_unlock(g->w.r, g->page);
    return rc;
}
/* What was unmapped before is correct, and the page says what it said. */
static void check_page(struct stage *g, int rc)
{
    (void)rc;
    stage_unshare(g);
    world_verify(&g->w);
    CHECK_EQ(get(g->child, 5), 105);
    CHECK_EQ(get(g->parent, 5), 105);
}

/* Unmapped before, but for a retry: the page is mapped again by then, and its bad slot has been left. */
static int write_out(struct stage *g)
{
    int written, rc;
    stage_share(g);
    rmap_page_lock(g->page);
    if (!(rc = unmap_locked(g)) && !(rc = rmap_swap_write(rmap_pager_swap(g->w.p), &g->page, 1, &written)))
        rc = written;
    if (!rc) CHECK_OK(rmap_swap_cache_del(rmap_pager_swap(g->w.p), g->page));
    if (rc) CHECK((rmap_page_flags(g->page) & RMAP_PAGE_DIRTY) || rc == STOPPED_HALF_WAY);
    CHECK_EQ(rmap_swap_is_bad(rmap_pager_swap(g->w.p), g->page), rc == RMAP_ERR_IO_WRITE);
    rmap_page_unlock(g->w.r, g->page);
    return rc;
}
static void check_written(struct stage *g, int rc)
{
    if (!rc) CHECK(stage_is_swapped(g->parent, 5) && stage_is_swapped(g->child, 5));
    check_page(g, rc);
}

/* ---- page 8 is fetched by hand ---- */

static void new_page(struct stage *g)
{
    CHECK_OK(rmap_page_alloc(g->w.r, RMAP_PFN_NONE, &g->page));
}
static int load_locked(struct stage *g, rmap_swp_t entry)
{
    int rc = rmap_swap_cache_load(rmap_pager_swap(g->w.p), entry, g->page);
    if (rc) CHECK(rmap_swap_cache_find(rmap_pager_swap(g->w.p), entry) == NULL);
    if (!rc) CHECK_OK(rmap_swap_cache_del(rmap_pager_swap(g->w.p), g->page));
    return rc;
}
static int load(struct stage *g)
{
    const rmap_swp_t entry = stage_swapped(g, 8);
    rmap_page_lock(g->page);
    int rc = load_locked(g, entry);
    rmap_page_unlock(g->w.r, g->page);
    return rc;
}
static int load_batch(struct stage *g)
{
    struct rmap_swap *s = rmap_pager_swap(g->w.p);
    const rmap_swp_t entry = stage_swapped(g, 8);
    int result;
    rmap_page_lock(g->page);
    int rc = rmap_swap_cache_load_batch(s, &entry, &g->page, 1, &result);
    if (!rc) rc = result;
    if (!rc) CHECK_OK(rmap_swap_cache_del(s, g->page));
    rmap_page_unlock(g->w.r, g->page);
    return rc;
}
/* It is as new as before, or was taken by another reader. */
static void check_new_page(struct stage *g, int rc)
{
    (void)rc;
    CHECK(!rmap_page_is_anon(g->page));
    CHECK_EQ(rmap_page_mapcount(g->page), 0);
    CHECK_EQ(g->page->refcount, 1);
    stage_unshare(g);
    new_page(g);
}

/* ---- swapoff by hand: page 8, which both hold on swap, is sought and found ---- */

static void second_device(struct stage *g)
{
    device(g);
    CHECK_OK(rmap_pager_add_swap(g->w.p, &g->device.base));
}
static void end_second_device(struct stage *g)
{
    rmap_device_destroy(&g->device.base);
}
static int drain(struct stage *g)
{
    struct rmap_swap *s = rmap_pager_swap(g->w.p);
    const struct rmap_device *d = &g->w.device.base;
    struct rmap_result res;
    unsigned shown = 0;
    uint32_t cursor = 0;
    CHECK_OK(rmap_swap_drain_begin(s, d));
    rmap_swp_t entry = rmap_swap_next_used(s, d, &cursor);
    CHECK(entry != 0);
    CHECK_EQ(rmap_swap_used(s, d), 4);
    CHECK_OK(rmap_each_swap(g->w.r, entry, count_mapping, &shown, &res));
    CHECK_EQ(shown, 2);
    CHECK_OK(rmap_swap_drain_cancel(s, d));
    return rmap_swap_remove(s, &g->device.base);
}

const struct verb fault_verbs_swap[] = {
    {.names = "rmap_device_temp_create",
     .call = device_temp,
     .undo = end_device,
     .stages = PLENTY,
     .meets = ALLOC | FILES,
     .without = FILES},
    {.names = "rmap_device_lz4_create",
     .call = device_lz4,
     .undo = end_device,
     .stages = PLENTY,
     .meets = ALLOC,
     .lz4 = true},
    {.names = "rmap_device_file_create",
     .call = device_file,
     .undo = end_device,
     .prepare = memory,
     .clear = end_memory,
     .stages = PLENTY,
     .meets = ALLOC | FILES},
    {.names = "rmap_swap_create", .call = swap, .undo = end_swap, .stages = PLENTY, .meets = ALLOC},
    {.names = "rmap_swap_add",
     .call = swap_add,
     .check = check_owner,
     .prepare = device,
     .stages = PLENTY,
     .meets = ALLOC},
    {.names = "rmap_pager_add_swap",
     .call = pager_add,
     .check = check_owner,
     .prepare = device,
     .stages = PLENTY,
     .meets = ALLOC},
    {.names = "rmap_swap_cache_add",
     .call = cache_add,
     .prepare = swap_with_device,
     .clear = end_swap,
     .stages = PLENTY,
     .meets = ALLOC | SLOT},
    {.names = "rmap_unmap rmap_swap_cache_add rmap_swap_get_ops",
     .call = unmap,
     .check = check_page,
     .prepare = stage_share,
     .clear = stage_unshare,
     .stages = PLENTY | WINDOWS,
     .meets = SLOT | COUNT | MMAP,
     .without = MMAP},
    {.names = "rmap_swap_write rmap_swap_is_bad rmap_swap_cache_del rmap_swap_cache_add",
     .call = write_out,
     .check = check_written,
     .prepare = stage_share,
     .clear = stage_unshare,
     .stages = PLENTY | WINDOWS,
     .flags = LOOSE_ENTRIES,
     .meets = SLOT | COUNT | WRITE | LATER | MMAP | PWRITE,
     .without = MMAP},
    {.names = "rmap_swap_cache_load rmap_swap_cache_find",
     .call = load,
     .check = check_new_page,
     .prepare = new_page,
     .clear = stage_unshare,
     .stages = PLENTY | WINDOWS,
     .meets = READ | SPOILT | PREAD},
    {.names = "rmap_swap_cache_load_batch",
     .call = load_batch,
     .check = check_new_page,
     .prepare = new_page,
     .clear = stage_unshare,
     .stages = PLENTY | WINDOWS,
     .meets = READ | SPOILT | PREAD},
    {.names = "rmap_each_swap rmap_swap_drain_begin rmap_swap_drain_cancel rmap_swap_next_used rmap_swap_used "
              "rmap_swap_remove",
     .call = drain,
     .prepare = second_device,
     .clear = end_second_device,
     .stages = PLENTY},
    {.names = NULL},
};
