/* SPDX-License-Identifier: MIT */
/** @file fault/verbs_touch.c  Faults, reads and writes, of one page and of many; snapshots; windows. */
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
     .flags = LOOSE_FRAMES,
     .meets = FRAME | EVICTING | READ | SPOILT | MMAP | PREAD,
     .without = EVICTING | MMAP},
    {.names = "rmap_space_fault",
     .call = fault_for_writing,
     .meets = FRAME | EVICTING | READ | SPOILT | MMAP | PREAD,
     .without = EVICTING | MMAP},
    {.names = "rmap_space_fault",
     .call = fault_shared,
     .meets = FRAME | EVICTING | READ | SPOILT | MMAP,
     .without = EVICTING | MMAP},
    {.names = "rmap_space_fault",
     .call = fault_moved,
     .check = check_moved,
     .prepare = move_away,
     .clear = drop_moved,
     .meets = FRAME | READ | SPOILT | MMAP | PREAD,
     .without = MMAP},
    {.names = "rmap_space_read",
     .call = read_many,
     .check = check_read_many,
     .flags = LOOSE_ENTRIES | LOOSE_FRAMES,
     .meets = FRAME | EVICTING | READ | SPOILT | MMAP | PREAD,
     .without = EVICTING | MMAP},
    {.names = "rmap_space_write",
     .call = write_many,
     .check = check_write_many,
     .prepare = stage_furnish,
     .clear = stage_empty,
     .flags = LOOSE_ENTRIES | LOOSE_FRAMES,
     .meets = FRAME | SLOT | COUNT | WRITE | LATER | READ | SPOILT | PREAD,
     .without = SLOT | COUNT | WRITE | LATER},
    {.names = "rmap_space_snapshot", .call = snapshot, .check = check_snapshot, .meets = MPROTECT, .without = MPROTECT},
    {.names = "rmap_host_drop_all", .call = drop_all, .stages = WINDOWS, .meets = MMAP, .without = MMAP},
    {.names = "rmap_host_fault",
     .call = host_fault,
     .check = check_host_fault,
     .stages = WINDOWS,
     .meets = FRAME | SLOT | COUNT | MMAP | PWRITE | PREAD,
     .without = SLOT | COUNT | MMAP | PWRITE},
    {.names = NULL},
};
