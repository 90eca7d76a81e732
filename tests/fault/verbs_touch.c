/* SPDX-License-Identifier: MIT */
/** @file fault/verbs_touch.c  Faults, reads and writes; what gives frames up: advice, reclaim, vacating, swapoff; windows. */
#include "fault/stage.h"

/* ---- first touch: a table, a page ---- */

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
    int rc = rmap_space_pin(g->guest, 5000, &g->page);
    if (!rc) rmap_page_unpin(g->w.r, g->page);
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

/* ---- what is there: pages on swap, pages that are shared ---- */

static int fault_from_swap(struct stage *g)
{
    return rmap_space_fault(g->parent, 9, RMAP_READ);
}
static int fault_for_writing(struct stage *g)
{
    return rmap_space_fault(g->parent, 10, RMAP_WRITE);
}
static int fault_shared(struct stage *g)
{
    return rmap_space_fault(g->child, 6, RMAP_WRITE);
}

/* An entry that was moved while it was shared: the fault at the new place takes a private copy (S10). */
static void move_away(struct stage *g)
{
    rmap_vpn_t to = 3000;
    CHECK_OK(rmap_space_move(g->child, 8, 4, 4, RMAP_MOVE_FIXED | RMAP_MOVE_MAYMOVE, &to));
    map_at(g->child, 8, 4, RW);
    fill(g->child, 8, 4, 800); /* as the stage wants it */
}
static int fault_moved(struct stage *g)
{
    return rmap_space_fault(g->child, 3001, RMAP_READ);
}
static void check_moved(struct stage *g, int rc)
{
    (void)rc;
    expect(g->child, 3000, 4, 800);
    put(g->parent, 9, 1);
    CHECK_EQ(get(g->child, 3001), 801);
    put(g->parent, 9, 801);
}
static void drop_moved(struct stage *g)
{
    CHECK_OK(rmap_space_unmap(g->child, 3000, 4));
}

/* ---- many pages: what was done before the error stays, and *done says how much ---- */

static uint64_t word_at(const struct stage *g, size_t page, bool last)
{
    uint64_t word;
    memcpy(&word, g->buffer + page * PAGE + (last ? PAGE - sizeof word : 0), sizeof word);
    return word;
}

static int read_many(struct stage *g)
{
    memset(g->buffer, 0xee, sizeof g->buffer);
    return rmap_space_read(g->parent, 0, g->buffer, 12 * PAGE, &g->done);
}
static void check_read_many(struct stage *g, int rc)
{
    CHECK(rc ? g->done < 12 * PAGE : g->done == 12 * PAGE);
    CHECK_EQ(g->done % PAGE, 0);
    for (size_t i = 0; i < 12; i++) {
        const uint64_t says = i < 8 ? 100 + i : 792 + i,
                       want = i < g->done / PAGE ? says : UINT64_C(0xeeeeeeeeeeeeeeee);
        CHECK_EQ(word_at(g, i, false), want);
        CHECK_EQ(word_at(g, i, true), want);
    }
}

static int write_many(struct stage *g)
{
    for (size_t i = 0; i < 8 * PAGE / sizeof(uint64_t); i++) {
        const uint64_t word = 1300 + i * sizeof word / PAGE;
        memcpy(g->buffer + i * sizeof word, &word, sizeof word);
    }
    return rmap_space_write(g->guest, (uint64_t)100 * PAGE, g->buffer, 8 * PAGE, &g->done);
}
static void check_write_many(struct stage *g, int rc)
{
    CHECK(rc ? g->done < 8 * PAGE : g->done == 8 * PAGE);
    CHECK_EQ(g->done % PAGE, 0);
    expect(g->guest, 100, g->done / PAGE, 1300);
    expect(g->guest, 100 + g->done / PAGE, 8 - g->done / PAGE, 1100 + g->done / PAGE);
    fill(g->guest, 100, 8, 1100);
}

/* ---- giving up ---- */

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

/* Reclaim says how much it could do; nothing is lost by what it could not. */
static int reclaim(struct stage *g)
{
    const int64_t freed = rmap_reclaim(g->w.p, 4);
    return freed < 0 ? (int)freed : freed >= 4 ? 0 : STOPPED_HALF_WAY;
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
    if (rmap_device_lz4_create(stage_alloc(g), 50, 12, 0, &d))
        CHECK_OK(
            rmap_device_temp_create(stage_alloc(g), NULL, 50, 12, &d)); /* built without it: the chunk alone does */
    second_pager_on(g, d);
}
static void end_second_pager(struct stage *g)
{
    CHECK_OK(rmap_space_destroy(g->space));
    CHECK_OK(rmap_pager_destroy(g->pager));
}
static int reclaim_there(struct stage *g)
{
    const int64_t freed = rmap_reclaim(g->pager, 4);
    return freed < 0 ? (int)freed : freed >= 4 ? 0 : STOPPED_HALF_WAY;
}
static void check_second_pager(struct stage *g, int rc)
{
    struct rmap_pager_stats st;
    CHECK_OK(rmap_pager_get_stats(g->pager, &st));
    if (!rc) CHECK_LE(st.frames_used, 5);
    expect(g->space, 0, 8, 60);
    CHECK_OK(rmap_pager_verify(g->pager, NULL));
}

/* Frames 0 … 23: all of them are left but the zero frame, as far as there are frames outside. */
static int vacate(struct stage *g)
{
    CHECK(rmap_pager_vacate(g->w.p, 0, 24) >= 0);
    for (rmap_pfn_t pfn = 0; pfn < 24; pfn++)
        if (rmap_page_mapcount(rmap_page_find(g->w.r, pfn))) return STOPPED_HALF_WAY;
    return 0;
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

/* ---- snapshots; windows ---- */

static int snapshot(struct stage *g)
{
    uint64_t written;
    return rmap_space_snapshot(g->parent, 0, 64, &written, NULL);
}
static void check_snapshot(struct stage *g, int rc)
{
    uint64_t map, n;
    if (rc) return;
    CHECK_OK(rmap_space_written(g->parent, 0, 64, &map, &n));
    CHECK_EQ(map, 0);
}

static int drop_all(struct stage *g)
{
    rmap_host_drop_all(g->windows);
    return 0;
}

/* Page 9 is on swap; by the fault it is shown. */
static unsigned char *address(struct stage *g)
{
    return (unsigned char *)rmap_host_base(&rmap_space_member(g->parent)->mmu) + 9 * PAGE;
}
static int host_fault(struct stage *g)
{
    return rmap_host_fault(g->windows, address(g), RMAP_READ);
}
static void check_host_fault(struct stage *g, int rc)
{
    uint64_t value;
    if (rc) return;
    memcpy(&value, address(g), sizeof value); /* a segmentation fault otherwise */
    CHECK_EQ(value, 801);
}

const struct verb fault_verbs_touch[] = {
    {.names = "rmap_space_fault",
     .call = touch_far,
     .prepare = map_guest,
     .clear = stage_empty,
     .meets = TABLE | FRAME | EVICTING | MMAP,
     .without = EVICTING | MMAP},
    {.names = "rmap_space_pin",
     .call = pin_far,
     .prepare = map_guest,
     .clear = stage_empty,
     .meets = TABLE | FRAME | EVICTING | MMAP,
     .without = EVICTING | MMAP},
    {.names = "rmap_space_write",
     .call = write_far,
     .prepare = map_guest,
     .clear = stage_empty,
     .meets = TABLE | FRAME | EVICTING | MMAP,
     .without = EVICTING | MMAP},
    {.names = "rmap_space_read", .call = read_far, .prepare = map_guest, .clear = stage_empty, .meets = TABLE},
    {.names = "rmap_space_fault",
     .call = fault_from_swap,
     .flags = LOOSE,
     .meets = FRAME | EVICTING | READ | SPOILT | MMAP | PREAD,
     .without = EVICTING | MMAP},
    {.names = "rmap_space_fault",
     .call = fault_for_writing,
     .flags = LOOSE,
     .meets = FRAME | EVICTING | READ | SPOILT | MMAP | PREAD,
     .without = EVICTING | MMAP},
    {.names = "rmap_space_fault",
     .call = fault_shared,
     .flags = LOOSE,
     .meets = FRAME | EVICTING | READ | SPOILT | MMAP,
     .without = EVICTING | MMAP},
    {.names = "rmap_space_fault",
     .call = fault_moved,
     .flags = LOOSE,
     .check = check_moved,
     .prepare = move_away,
     .clear = drop_moved,
     .meets = FRAME | READ | SPOILT | MMAP | PREAD,
     .without = MMAP},
    {.names = "rmap_space_read",
     .call = read_many,
     .check = check_read_many,
     .flags = LOOSE,
     .meets = FRAME | EVICTING | READ | SPOILT | MMAP | PREAD,
     .without = EVICTING | MMAP},
    {.names = "rmap_space_write",
     .call = write_many,
     .check = check_write_many,
     .prepare = stage_furnish,
     .clear = stage_empty,
     .flags = LOOSE,
     .meets = FRAME | SLOT | COUNT | WRITE | LATER | READ | SPOILT | PREAD,
     .without = SLOT | COUNT | WRITE | LATER},
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
     .without = ALLOC | SLOT | COUNT},
    /* A target's count is full after 2^31 mappings: its pager would have as many spaces. */
    {.names = "rmap_pager_vacate", .call = vacate, .stages = PLENTY, .meets = FRAME | COUNT, .never = COUNT},
    {.names = "rmap_pager_remove_swap",
     .call = swapoff,
     .check = check_swapoff,
     .undo = return_device,
     .prepare = have_device,
     .stages = PLENTY | TIGHT,
     .flags = LOOSE,
     .meets = ALLOC | FRAME | SLOT | COUNT | WRITE | LATER | READ | SPOILT,
     .without = ALLOC | SLOT | COUNT | WRITE | LATER},
    {.names = "rmap_space_snapshot rmap_space_written",
     .call = snapshot,
     .check = check_snapshot,
     .meets = MPROTECT,
     .without = MPROTECT},
    {.names = "rmap_host_drop_all", .call = drop_all, .stages = WINDOWS, .meets = MMAP, .without = MMAP},
    {.names = "rmap_host_fault",
     .call = host_fault,
     .check = check_host_fault,
     .stages = WINDOWS,
     .meets = FRAME | SLOT | COUNT | MMAP | PWRITE | PREAD,
     .without = SLOT | COUNT | MMAP | PWRITE},
    {.names = NULL},
};
