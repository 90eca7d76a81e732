/* SPDX-License-Identifier: MIT */
/** @file fault/verbs_reclaim.c  What gives frames and slots up: advice, reclaim, vacating frames, swapoff. */
#include "fault/stage.h"

static int drop(struct stage *g)
{
    return rmap_space_advise(g->guest, 102, 4, RMAP_ADVISE_DONTNEED);
}
static void check_drop(struct stage *g, int rc)
{
    g->furnished = rc;
    if (rc) return;
    for (rmap_vpn_t vpn = 102; vpn < 106; vpn++) CHECK_EQ(get(g->guest, vpn), 0);
    expect(g->guest, 106, 2, 1106);
}
static int free_some(struct stage *g)
{
    return rmap_space_advise(g->guest, 102, 4, RMAP_ADVISE_FREE);
}
static void check_free(struct stage *g, int rc)
{
    g->furnished = rc;
    if (rc) return;
    for (rmap_vpn_t vpn = 102; vpn < 106; vpn++) {
        const uint64_t value = get(g->guest, vpn);
        CHECK(value == 0 || value == 1000 + vpn);
    }
    expect(g->guest, 106, 2, 1106);
}

static struct rmap_pager_stats books_of(struct rmap_pager *p)
{
    struct rmap_pager_stats st;
    CHECK_OK(rmap_pager_get_stats(p, &st));
    return st;
}

/* Reclaim says how much it could do: so many frames have come free. Nothing is lost by what it could not. */
static int reclaim_four(struct rmap_pager *p)
{
    const struct rmap_pager_stats before = books_of(p);
    const int64_t freed = rmap_reclaim(p, 4);
    if (freed < 0) return (int)freed;
    CHECK_EQ(before.frames_used - books_of(p).frames_used, freed);
    CHECK_EQ(books_of(p).evictions - before.evictions, freed);
    return freed >= 4 ? 0 : STOPPED_HALF_WAY;
}
static int reclaim(struct stage *g)
{
    return reclaim_four(g->w.p);
}

/* A second pager, whose slot map has no chunk yet. */
static void second_pager_on(struct stage *g, struct rmap_device *d)
{
    struct rmap_pager_options o = world_options(&g->w, 32, 0);
    o.swap = d;
    CHECK_OK(rmap_pager_create(&o, &g->pager));
    CHECK_OK(rmap_space_create(g->pager, &g->space));
    map_at(g->space, 0, 8, RW);
    fill(g->space, 0, 8, 60);
}
static void second_pager(struct stage *g)
{
    faulty_device_init(&g->device, 50, 12);
    gate_device(&g->device);
    second_pager_on(g, &g->device.base);
}
/* What is written takes memory. */
static void second_pager_on_lz4(struct stage *g)
{
    struct rmap_device *d;
    CHECK_OK(rmap_device_lz4_create(stage_alloc(g), 50, 12, 0, &d));
    second_pager_on(g, d);
}
static void end_second_pager(struct stage *g)
{
    CHECK_OK(rmap_space_destroy(g->space));
    CHECK_OK(rmap_pager_destroy(g->pager));
}
static int reclaim_there(struct stage *g)
{
    return reclaim_four(g->pager);
}
static void check_second_pager(struct stage *g, int rc)
{
    if (!rc) CHECK_LE(books_of(g->pager).frames_used, 5);
    expect(g->space, 0, 8, 60);
    CHECK_OK(rmap_pager_verify(g->pager, NULL));
}

/* Frames 0 … 23: all of them are left but the zero frame, as far as there are frames outside. The answer says how many were. */
static unsigned frames_to_leave(struct stage *g)
{
    unsigned n = 0;
    for (rmap_pfn_t pfn = 0; pfn < 24; pfn++) {
        const struct rmap_page *page = rmap_page_find(g->w.r, pfn);
        n += rmap_page_mapcount(page) || (rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE);
    }
    return n;
}
static int vacate(struct stage *g)
{
    const unsigned before = frames_to_leave(g);
    const uint64_t migrations = books_of(g->w.p).migrations;
    const int64_t moved = rmap_pager_vacate(g->w.p, 0, 24);
    if (moved < 0) return (int)moved;
    CHECK_EQ(before - frames_to_leave(g), moved);
    CHECK_EQ(books_of(g->w.p).migrations - migrations, moved);
    return frames_to_leave(g) ? STOPPED_HALF_WAY : 0;
}

/* The world's device goes, what is on it comes in or goes to another device; then it returns beside that. */
static void have_device(struct stage *g)
{
    faulty_device_init(&g->device, 60, 12);
    gate_device(&g->device);
    CHECK_OK(rmap_pager_add_swap(g->w.p, &g->device.base));
}
static int swapoff(struct stage *g)
{
    return rmap_pager_remove_swap(g->w.p, &g->w.device.base, &g->swapoff);
}
static void check_swapoff(struct stage *g, int rc)
{
    struct rmap_swap *swap = rmap_pager_swap(g->w.p);
    CHECK_EQ(rmap_swap_used(swap, &g->w.device.base), g->swapoff.slots_left);
    CHECK(rc ? g->swapoff.slots_left > 0 : g->swapoff.slots_left == 0);
    /* After an error it takes part again: it can be drained, and is no longer being drained. */
    CHECK_ERR(rmap_swap_drain_begin(swap, &g->w.device.base), rc ? 0 : RMAP_ERR_ABSENT);
    if (rc) CHECK_OK(rmap_swap_drain_cancel(swap, &g->w.device.base));
}
static void return_device(struct stage *g)
{
    CHECK_OK(rmap_pager_add_swap(g->w.p, &g->w.device.base));
}

const struct verb fault_verbs_reclaim[] = {
    {.names = "rmap_space_advise",
     .call = drop,
     .check = check_drop,
     .prepare = stage_furnish,
     .clear = stage_empty,
     .meets = MMAP,
     .without = MMAP},
    {.names = "rmap_space_advise",
     .call = free_some,
     .check = check_free,
     .prepare = stage_furnish,
     .clear = stage_empty,
     .meets = MMAP,
     .without = MMAP},
    {.names = "rmap_reclaim", .call = reclaim, .meets = EVICTING | MMAP, .without = EVICTING | MMAP},
    {.names = "rmap_reclaim",
     .call = reclaim_there,
     .check = check_second_pager,
     .prepare = second_pager,
     .clear = end_second_pager,
     .stages = PLENTY,
     .meets = ALLOC | SLOT | COUNT | WRITE | LATER,
     .without = ALLOC | SLOT | COUNT | WRITE | LATER},
    {.names = "rmap_reclaim",
     .call = reclaim_there,
     .check = check_second_pager,
     .prepare = second_pager_on_lz4,
     .clear = end_second_pager,
     .stages = PLENTY,
     .meets = ALLOC | SLOT | COUNT,
     .without = ALLOC | SLOT | COUNT,
     .lz4 = true},
    /* A target's count begins at 0, and gets one for each of the page's, which are 2^31 - 1 at most: only forks that come between
     * could fill it, of a page that has nearly as many mappings, each in tables of its own. Looking at the count before the page
     * sets out would not see those. Were it refused all the same, the page would stay MIGRATING, some of its mappings at the old frame
     * and some at the new one; vacate would not count it, and a touch at the old one would be told BUSY for good. */
    {.names = "rmap_pager_vacate", .call = vacate, .stages = PLENTY, .meets = FRAME | COUNT, .never = COUNT},
    {.names = "rmap_pager_remove_swap",
     .call = swapoff,
     .check = check_swapoff,
     .undo = return_device,
     .prepare = have_device,
     .stages = PLENTY | TIGHT,
     .flags = LOOSE_ENTRIES | LOOSE_FRAMES,
     .meets = ALLOC | FRAME | SLOT | COUNT | WRITE | LATER | READ | SPOILT,
     .without = ALLOC | SLOT | COUNT | WRITE | LATER},
    {.names = NULL},
};
