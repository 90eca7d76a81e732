/* SPDX-License-Identifier: MIT */
/** @file fault/stage.c  See the header. */
#include "fault/stage.h"

#include <unistd.h>

#define WINDOW_PAGES 32768
#define CROWD 2000

/* ---- made of ---- */

static void init_radix(struct stage *g)
{
    const struct rmap_radix_options o = stage_radix(g, &rmap_radix_soft);
    CHECK_OK(rmap_radix_provider_init(&o, &g->w.provider));
}

static void init_windows(struct stage *g, uint64_t frames)
{
    CHECK_OK(rmap_memory_init(&g->shown, frames, 12));
    const struct rmap_host_options o = {.struct_size = sizeof o,
                                        .memory = &g->shown,
                                        .alloc = &g->tables.a,
                                        .window_pages = WINDOW_PAGES,
                                        .vma_limit = 200};
    CHECK_OK(rmap_host_create(&o, &g->windows));
    g->w.provider = rmap_host_provider(g->windows);
}

static struct rmap_device *swap_device(struct stage *g)
{
    struct rmap_device *d;
    if (g->kind != WINDOWS) {
        faulty_device_init(&g->w.device, 200, 12);
        gate_device(&g->w.device);
        return &g->w.device.base;
    }
    CHECK_OK(rmap_device_temp_create(stage_alloc(g), NULL, 200, 12, &d));
    return d;
}

static void init_pager(struct stage *g)
{
    const uint64_t frames = g->kind == PLENTY ? 40 : 16;
    if (g->kind == WINDOWS)
        init_windows(g, frames);
    else
        init_radix(g);
    struct rmap_pager_options o = world_options(&g->w, frames, 0);
    o.memory = g->kind == WINDOWS ? &g->shown : NULL;
    o.swap = swap_device(g);
    CHECK_OK(rmap_pager_create(&o, &g->w.p));
    g->w.r = rmap_pager_rmap(g->w.p);
    gate_frames_of(g->w.r);
}

/* In WINDOWS: pages are projected, by faults as an embedder's handler would have them resolved. */
static void project(struct stage *g, struct rmap_space *s, rmap_vpn_t first, uint64_t count, unsigned access)
{
    if (g->kind != WINDOWS) return;
    unsigned char *base = rmap_host_base(&rmap_space_member(s)->mmu);
    for (uint64_t i = 0; i < count; i++) CHECK_OK(rmap_host_fault(g->windows, base + (first + i) * PAGE, access));
}

static unsigned crowd(const struct stage *g)
{
    return g->kind == PLENTY ? 0 : g->kind == TIGHT ? 12 : 3;
}

void stage_init(struct stage *g, enum stage_kind kind)
{
    fault_end(); /* a test that failed may have left it on */
    memset(g, 0, sizeof *g);
    g->kind = kind;
    g->balance = gate_balance();
    test_alloc_init(&g->w.alloc);
    gate_allocator(&g->w.alloc, FAULT_ALLOC);
    test_alloc_init(&g->tables);
    gate_allocator(&g->tables, FAULT_TABLE);
    init_pager(g);

    g->parent = space_new(&g->w);
    map_at(g->parent, 0, 16, RW);
    map_at(g->parent, 20, 4, RMAP_READ);
    fill(g->parent, 8, 4, 800);
    evict_all(&g->w);
    fill(g->parent, 0, 8, 100);
    g->child = space_fork(&g->w, g->parent);
    fill(g->child, 0, 4, 500);
    g->guest = space_new(&g->w);
    if (crowd(g)) {
        g->crowd = space_new(&g->w);
        map_at(g->crowd, 0, crowd(g), RW);
        fill(g->crowd, 0, crowd(g), CROWD);
    }
    project(g, g->parent, 0, 4, RMAP_WRITE);
    project(g, g->parent, 4, 4, RMAP_READ);
    project(g, g->child, 0, 4, RMAP_WRITE);
}

void stage_furnish(struct stage *g)
{
    map_at(g->guest, 100, 8, RW);
    fill(g->guest, 100, 4, 1100);
    evict_all(&g->w);
    fill(g->guest, 104, 4, 1104);
    if (g->crowd) expect(g->crowd, 0, crowd(g), CROWD); /* no frame is free again */
    project(g, g->guest, 104, 4, RMAP_WRITE);
    g->furnished = true;
}

void stage_empty(struct stage *g)
{
    g->furnished = false;
    CHECK_OK(rmap_space_unmap(g->guest, 0, 20000));
}

/* ---- looked at ---- */

/* A pipe takes and gives what a system call can read and write: no fault comes of asking. */
static int ends[2];

/* Can this process read there? Then what it reads. */
static bool readable(const void *at, uint64_t *value)
{
    if (!ends[1]) CHECK_EQ(pipe(ends), 0);
    if (write(ends[1], at, sizeof *value) < 0) return false;
    CHECK(read(ends[0], value, sizeof *value) == sizeof *value);
    return true;
}

/* Can it write there? What is there already, that is. */
static bool writable(void *at, uint64_t value)
{
    CHECK(write(ends[1], &value, sizeof value) == sizeof value);
    if (read(ends[0], at, sizeof value) == sizeof value) return true;
    CHECK(read(ends[0], &value, sizeof value) == sizeof value);
    return false;
}

static bool may_be_written(struct rmap_space *s, rmap_vpn_t vpn)
{
    const struct rmap_pte_format *f = rmap_space_member(s)->mmu.ops->format;
    const rmap_pte_t e = stage_entry(s, vpn);
    return rmap_pte_present(f, e) && rmap_pte_get(f, e, RMAP_ATTR_WRITE) && rmap_pte_get(f, e, RMAP_ATTR_DIRTY);
}

/* What a window shows is what the space says; what is not mapped is not shown; what may not be written cannot be. The look
 * comes first: reading may load. */
static void check_window(struct rmap_space *s, rmap_vpn_t first, rmap_vpn_t end)
{
    unsigned char *base = rmap_host_base(&rmap_space_member(s)->mmu);
    for (rmap_vpn_t vpn = first; vpn < end; vpn++) {
        uint64_t shown, value = 0;
        if (!readable(base + vpn * PAGE, &shown)) continue;
        if (writable(base + vpn * PAGE, shown) && !may_be_written(s, vpn))
            TEST_FAIL("page %llu can be written through its window, and must not be", (unsigned long long)vpn);
        const int rc = rmap_space_read(s, vpn * PAGE, &value, sizeof value, NULL);
        if (rc || shown != value)
            TEST_FAIL("page %llu: its window shows %llu, its space %s %llu", (unsigned long long)vpn,
                      (unsigned long long)shown, rmap_error_name(rc), (unsigned long long)value);
    }
}

static void check_windows(struct stage *g)
{
    struct rmap_host_stats st;
    struct rmap_space *const spaces[] = {g->parent, g->child, g->guest, g->crowd};
    for (unsigned i = 0; i < sizeof spaces / sizeof *spaces; i++) {
        check_window(spaces[i], 0, 28);
        check_window(spaces[i], 98, 116);
        check_window(spaces[i], 2998, 3010);
        check_window(spaces[i], 3998, 4018);
        check_window(spaces[i], 8998, 9010);
    }
    CHECK_OK(rmap_host_get_stats(g->windows, &st));
    CHECK_LE(st.vmas, st.vma_limit);
}

void stage_check(struct stage *g)
{
    if (g->kind == WINDOWS) check_windows(g);
    world_verify(&g->w);
    expect(g->parent, 0, 8, 100);
    expect(g->parent, 8, 4, 800);
    expect(g->child, 0, 4, 500);
    expect(g->child, 4, 4, 104);
    expect(g->child, 8, 4, 800);
    CHECK_EQ(get(g->parent, 15), 0);
    if (g->furnished) expect(g->guest, 100, 8, 1100);
    if (g->crowd) expect(g->crowd, 0, crowd(g), CROWD);
    struct rmap_region_info r[4];
    CHECK_EQ(rmap_space_regions(g->parent, r, 4), 2);
    CHECK_EQ(r[0].first, 0);
    CHECK_EQ(r[0].count, 16);
    CHECK_EQ(r[0].prot, RW);
    CHECK_EQ(r[0].locked, false);
    CHECK_EQ(r[1].first, 20);
    CHECK_EQ(stats(&g->w).spaces, g->crowd ? 4 : 3);
}

void stage_fini(struct stage *g)
{
    struct rmap_swap_stats ss;
    world_verify(&g->w);
    for (unsigned i = 0; i < g->w.spaces; i++)
        if (g->w.space[i]) CHECK_OK(rmap_space_destroy(g->w.space[i]));
    world_verify(&g->w);
    CHECK_OK(rmap_swap_get_stats(rmap_pager_swap(g->w.p), &ss));
    CHECK_EQ(ss.slots_used, 0);
    CHECK_OK(rmap_pager_destroy(g->w.p)); /* refused while a frame is in use */
    if (g->kind == WINDOWS) {
        CHECK_OK(rmap_host_destroy(g->windows));
        rmap_memory_fini(&g->shown);
    } else {
        rmap_radix_provider_fini(&g->w.provider);
    }
    CHECK_EQ(g->w.alloc.live_bytes, 0);
    CHECK_EQ(g->tables.live_bytes, 0);
    CHECK_EQ(gate_balance().files, g->balance.files);
    CHECK_EQ(gate_balance().bytes, g->balance.bytes);
}

rmap_pte_t stage_entry(struct rmap_space *s, rmap_vpn_t vpn)
{
    const struct rmap_mmu *mmu = &rmap_space_member(s)->mmu;
    struct rmap_mmu_run run;
    if (mmu->ops->run_find(mmu->ctx, vpn, vpn + 1, &run)) return 0;
    const rmap_pte_t e = rmap_run_get(mmu, &run, (uint32_t)(vpn - run.first));
    mmu->ops->run_unlock(mmu->ctx, &run);
    return e;
}

bool stage_is_swapped(struct rmap_space *s, rmap_vpn_t vpn)
{
    return rmap_pte_kind(rmap_space_member(s)->mmu.ops->format, stage_entry(s, vpn)) == RMAP_PTE_SWAP;
}

rmap_swp_t stage_swapped(struct stage *g, rmap_vpn_t vpn)
{
    if (!stage_is_swapped(g->parent, vpn)) evict_all(&g->w);
    CHECK(stage_is_swapped(g->parent, vpn));
    return rmap_pte_swp(rmap_space_member(g->parent)->mmu.ops->format, stage_entry(g->parent, vpn));
}

struct rmap_page *stage_find(struct stage *g, struct rmap_space *s, rmap_vpn_t vpn)
{
    const struct rmap_pte_format *f = rmap_space_member(s)->mmu.ops->format;
    const rmap_pte_t e = stage_entry(s, vpn);
    return rmap_pte_maps(f, e) ? rmap_page_find(g->w.r, rmap_pte_pfn(f, e)) : NULL;
}

void stage_share(struct stage *g)
{
    if (g->page && stage_find(g, g->parent, 5) == g->page && stage_find(g, g->child, 5) == g->page) return;
    stage_unshare(g);
    CHECK_EQ(get(g->parent, 5), get(g->child, 5));
    project(g, g->parent, 5, 1, RMAP_READ);
    project(g, g->child, 5, 1, RMAP_READ);
    g->page = stage_find(g, g->parent, 5);
    CHECK(g->page && stage_find(g, g->child, 5) == g->page);
    rmap_page_get(g->page);
}

void stage_unshare(struct stage *g)
{
    if (g->page) rmap_page_put(g->w.r, g->page);
    g->page = NULL;
}

struct rmap_page *stage_page(struct stage *g, struct rmap_space *s, rmap_vpn_t vpn)
{
    struct rmap_page *page = stage_find(g, s, vpn);
    CHECK(page != NULL);
    rmap_page_get(page);
    rmap_page_lock(page);
    return page;
}

void stage_let_go(struct stage *g, struct rmap_page *page)
{
    rmap_page_unlock(g->w.r, page);
    rmap_page_put(g->w.r, page);
}
