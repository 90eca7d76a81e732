/* SPDX-License-Identifier: MIT */
/** @file unit/test_host.c  The host MMU: what windows show, how faults fill them and flushes empty them. */
#include "host_world.h"

static struct world w;

/* 2048 frames of 4 KiB; one space with a window of 2048 pages, four runs of 512. No limit that matters. */
static struct space *small_world(void)
{
    world_init(&w, 2048, 12, 2048, 1000);
    return space_open(&w);
}

static uint64_t vmas(void)
{
    uint64_t kernel = kernel_vmas(&w);
    CHECK_EQ(stats_of(&w).vmas, kernel);
    return kernel;
}

/* ---- faults ---- */

/* page:  3    4    9         frame 7 is shown twice
 * frame: 7    2    7                                  */
RMAP_TEST(host, a_window_shows_the_frames_of_its_entries)
{
    struct space *s = small_world();
    map(s, 3, 7, 1, RW);
    map(s, 4, 2, 1, RW);
    map(s, 9, 7, 1, RW);
    CHECK_EQ(load(&w, s, 3, NULL), 7);
    CHECK_EQ(load(&w, s, 4, NULL), 2);
    CHECK_OK(store(&w, s, 3, 42, NULL));
    CHECK_EQ(stored(&w, 7), 42);
    CHECK_EQ(faults_of_load(&w, s, 9), 1);
    CHECK_EQ(*word_at(&w, s, 9, 1), 42);
    CHECK_EQ(load(&w, s, 5, NULL), RMAP_ERR_ABSENT);
    CHECK_EQ(load(&w, s, 2047, NULL), RMAP_ERR_ABSENT);
    vmas();
    world_fini(&w);
}

/* A window of 5 pages: its tables cover 8, and nobody may use the other three. */
RMAP_TEST(host, pages_behind_the_window_are_out_of_range)
{
    struct rmap_tables t = {0};
    struct rmap_mmu_run run;
    world_init(&w, 16, 12, 5, 1000);
    struct space *s = space_open(&w);
    map(s, 4, 7, 1, RW);
    CHECK_EQ(load(&w, s, 4, NULL), 7);
    for (rmap_vpn_t v = 5; v < 10; v++) {
        CHECK_ERR(s->mmu.ops->reserve(s->mmu.ctx, v, &t), RMAP_ERR_RANGE);
        CHECK_EQ(t.count, 0);
        CHECK_ERR(s->mmu.ops->run_make(s->mmu.ctx, v, &t, &run), RMAP_ERR_RANGE);
        CHECK_ERR(s->mmu.ops->run_find(s->mmu.ctx, v, v + 1, &run), RMAP_ERR_RANGE);
    }
    world_fini(&w);
}

/* Two spaces, page 3 of each shows frame 7: memory is shared, windows are not. */
RMAP_TEST(host, spaces_share_frames_not_windows)
{
    struct space *a = small_world(), *b = space_open(&w);
    CHECK(rmap_host_base(&a->mmu) != rmap_host_base(&b->mmu));
    map(a, 3, 7, 1, RW);
    map(b, 3, 7, 1, RO);
    CHECK_OK(store(&w, a, 3, 11, NULL));
    CHECK_EQ(load(&w, b, 3, NULL), 7);
    CHECK_EQ(*word_at(&w, b, 3, 1), 11);
    CHECK_ERR(store(&w, b, 3, 12, NULL), RMAP_ERR_ACCESS);
    CHECK_EQ(load(&w, b, 4, NULL), RMAP_ERR_ABSENT);
    world_fini(&w);
}

RMAP_TEST(host, a_read_fault_and_then_a_write_fault)
{
    struct space *s = small_world();
    map(s, 3, 7, 1, FRESH | 1u << RMAP_ATTR_WRITE);
    CHECK_EQ(faults_of_load(&w, s, 3), 1);
    CHECK_EQ(vmas(), 3);
    CHECK_EQ(faults_of_load(&w, s, 3), 0);
    CHECK_EQ(faults_of_store(&w, s, 3), 1); /* clean until now: the store had to be seen */
    CHECK_EQ(faults_of_store(&w, s, 3), 0);
    CHECK(rmap_pte_get(s->mmu.ops->format, entry_get(s, 3), RMAP_ATTR_DIRTY));
    map(s, 5, 8, 1, FRESH | 1u << RMAP_ATTR_WRITE);
    CHECK_EQ(faults_of_store(&w, s, 5), 1); /* a write faults once, not twice */
    CHECK_EQ(faults_of_load(&w, s, 5), 0);
    world_fini(&w);
}

/* page:  0 RW    1 CLEAN   2 RW    3 RO     in frames 0, 1, 2, 3 */
RMAP_TEST(host, only_dirty_writable_entries_are_projected_writable)
{
    struct space *s = small_world();
    map(s, 0, 0, 1, RW);
    map(s, 1, 1, 1, CLEAN);
    map(s, 2, 2, 1, RW);
    map(s, 3, 3, 1, RO);
    CHECK_EQ(faults_of_load(&w, s, 0), 1);
    CHECK_EQ(faults_of_store(&w, s, 0), 0); /* a load's fault, but all was said already */
    CHECK_EQ(faults_of_load(&w, s, 1), 1);
    CHECK_EQ(faults_of_load(&w, s, 2), 1);
    CHECK_EQ(faults_of_load(&w, s, 3), 1);
    CHECK_EQ(vmas(), 5); /* four, as protections alternate, and the gap behind */
    CHECK_EQ(faults_of_store(&w, s, 1), 1);
    CHECK_EQ(vmas(), 3); /* 0-2 rw, 3 r, gap */
    CHECK_ERR(store(&w, s, 3, 1, NULL), RMAP_ERR_ACCESS);
    world_fini(&w);
}

/* A not-present entry keeps its frame and attributes, but must not show them (D10). */
RMAP_TEST(host, no_access_and_swap_entries_are_not_projected)
{
    struct space *s = small_world();
    const struct rmap_pte_format *f = s->mmu.ops->format;
    map(s, 0, 10, 1, RW);
    entry_set(s, 1, rmap_pte_make_kind(f, RMAP_PTE_NO_ACCESS, 11, RW));
    entry_set(s, 2, rmap_pte_make_kind(f, RMAP_PTE_SWAP, 12, 0));
    entry_set(s, 3, rmap_pte_make_kind(f, RMAP_PTE_MIGRATION, 13, RW));
    CHECK_EQ(faults_of_load(&w, s, 0), 1);
    for (rmap_vpn_t page = 1; page < 4; page++) CHECK_EQ(load(&w, s, page, NULL), RMAP_ERR_ABSENT);
    CHECK_EQ(vmas(), 2);
    world_fini(&w);
}

/* H3: a frame that the memory does not have would be a SIGBUS, or somebody else's. */
RMAP_TEST(host, a_frame_beyond_the_memory_is_not_projected)
{
    struct space *s = small_world();
    map(s, 0, 2047, 2, RO);
    CHECK_EQ(load(&w, s, 0, NULL), 2047);
    CHECK_EQ(load(&w, s, 1, NULL), ENDLESS);
    CHECK_EQ(stats_of(&w).projected_pages, 1);
    CHECK_EQ(vmas(), 2);
    world_fini(&w);
}

/* ---- fault-around ---- */

RMAP_TEST(host, a_sequential_scan_costs_one_mmap_a_run_and_one_vma)
{
    struct space *s = small_world();
    map(s, 0, 0, 2048, RO);
    unsigned faults = 0;
    for (rmap_vpn_t page = 0; page < 2048; page++) faults += faults_of_load(&w, s, page);
    CHECK_EQ(faults, 4);
    CHECK_EQ(stats_of(&w).projections, 4);
    CHECK_EQ(stats_of(&w).projected_pages, 2048);
    CHECK_EQ(vmas(), 1);
    world_fini(&w);
}

/* pages 100-103 RW, 104-107 FRESH, 108 RW, 109 RW but its frame is elsewhere */
RMAP_TEST(host, fault_around_stops_at_unaccessed_entries_and_at_other_frames)
{
    struct space *s = small_world();
    map(s, 100, 500, 4, RW);
    map(s, 104, 504, 4, FRESH);
    map(s, 108, 508, 1, RW);
    map(s, 109, 9, 1, RW);
    CHECK_EQ(faults_of_load(&w, s, 102), 1);
    CHECK_EQ(stats_of(&w).projected_pages, 4);
    CHECK_EQ(faults_of_load(&w, s, 104), 1); /* accessed now, and alone: its neighbours are writable, or fresh */
    CHECK_EQ(stats_of(&w).projected_pages, 5);
    CHECK_EQ(faults_of_load(&w, s, 108), 1);
    CHECK_EQ(stats_of(&w).projected_pages, 6);
    CHECK_EQ(faults_of_load(&w, s, 109), 1);
    CHECK_EQ(vmas(), 7); /* gap, 100-103, 104, gap, 108, 109, gap */
    world_fini(&w);
}

/* Page p shows frame 1000 - p: neighbours on both sides, yet no two can be one mapping. */
RMAP_TEST(host, frames_in_descending_order_do_not_merge)
{
    struct space *s = small_world();
    for (unsigned page = 0; page < 20; page++) map(s, page, 1000 - page, 1, RW);
    for (unsigned page = 0; page < 20; page++) CHECK_EQ(faults_of_load(&w, s, page), 1);
    CHECK_EQ(vmas(), 21);
    world_fini(&w);
}

/* Frame 0 at page 5: to the left there is no frame to go on with. */
RMAP_TEST(host, fault_around_ends_at_the_first_frame)
{
    struct space *s = small_world();
    map(s, 4, 2047, 1, RO);
    map(s, 5, 0, 3, RO);
    CHECK_EQ(faults_of_load(&w, s, 6), 1);
    CHECK_EQ(stats_of(&w).projected_pages, 3);
    vmas();
    world_fini(&w);
}

/* The window ends at page 600, in the middle of a run of entries: what lies behind it is somebody else's memory, whatever
 * is in the entries there. */
RMAP_TEST(host, fault_around_ends_at_the_windows_end)
{
    struct rmap_mmu_run run;
    world_init(&w, 2048, 12, 600, 1000);
    struct space *s = space_open(&w);
    map(s, 590, 590, 10, RW);
    CHECK_OK(s->mmu.ops->run_find(s->mmu.ctx, 599, 600, &run));
    CHECK_LE(610, run.first + run.count);
    for (rmap_vpn_t v = 600; v < 610; v++)
        rmap_run_set(&s->mmu, &run, (uint32_t)(v - run.first), rmap_pte_make(s->mmu.ops->format, v, RW));
    s->mmu.ops->run_unlock(s->mmu.ctx, &run);
    CHECK_EQ(faults_of_load(&w, s, 595), 1);
    CHECK_EQ(stats_of(&w).projected_pages, 10);
    vmas();
    world_fini(&w);
}

/* 512 pages are shown except page 300; then except pages 300 and 310: ten shown pages between are an island. */
RMAP_TEST(host, what_is_shown_already_is_not_mapped_again_unless_it_is_an_island)
{
    struct space *s = small_world();
    map(s, 0, 0, 512, RO);
    CHECK_EQ(faults_of_load(&w, s, 0), 1);
    CHECK_EQ(stats_of(&w).projected_pages, 512);

    flush(s, 300, 1, RMAP_FLUSH_ALL);
    CHECK_EQ(faults_of_load(&w, s, 300), 1);
    CHECK_EQ(stats_of(&w).projected_pages, 512 + 1);
    CHECK_EQ(vmas(), 2);

    flush(s, 300, 1, RMAP_FLUSH_ALL);
    flush(s, 310, 1, RMAP_FLUSH_ALL);
    CHECK_EQ(vmas(), 6);
    CHECK_EQ(faults_of_load(&w, s, 310), 1);
    CHECK_EQ(stats_of(&w).projected_pages, 513 + 11);
    CHECK_EQ(faults_of_load(&w, s, 300), 0);
    CHECK_EQ(vmas(), 2);

    flush(s, 200, 1, RMAP_FLUSH_ALL);
    flush(s, 310, 1, RMAP_FLUSH_ALL);
    CHECK_EQ(faults_of_load(&w, s, 200), 1); /* 109 pages are no island */
    CHECK_EQ(stats_of(&w).projected_pages, 524 + 1);
    CHECK_EQ(faults_of_load(&w, s, 310), 1);
    world_fini(&w);
}

/* A minor fault on a page that another thread has projected meanwhile: nothing to do, no system call. */
RMAP_TEST(host, an_update_of_a_projected_page_does_nothing)
{
    struct space *s = small_world();
    map(s, 3, 7, 1, RW);
    CHECK_EQ(faults_of_load(&w, s, 3), 1);
    CHECK_OK(resolve(s, 3, RMAP_READ));
    CHECK_OK(resolve(s, 3, RMAP_WRITE));
    CHECK_EQ(stats_of(&w).projections, 1);
    world_fini(&w);
}

/* ---- flushes ---- */

/* pages 10-19 in frames 100-109, rw; 13-15 are flushed and get other frames */
RMAP_TEST(host, flushing_the_middle_of_a_run_leaves_both_sides_working)
{
    struct space *s = small_world();
    map(s, 10, 100, 10, RW);
    CHECK_EQ(faults_of_load(&w, s, 10), 1);
    CHECK_EQ(vmas(), 3);
    for (rmap_vpn_t page = 13; page < 16; page++) entry_set(s, page, 0);
    flush(s, 13, 3, RMAP_FLUSH_ALL);
    CHECK_EQ(vmas(), 5);
    CHECK_EQ(stats_of(&w).flush_calls, 1);
    CHECK_EQ(faults_of_load(&w, s, 12) + faults_of_store(&w, s, 16), 0);
    CHECK_EQ(load(&w, s, 13, NULL), RMAP_ERR_ABSENT);
    map(s, 13, 200, 3, RW);
    CHECK_EQ(faults_of_load(&w, s, 14), 1);
    CHECK_EQ(faults_of_load(&w, s, 15), 0);
    CHECK_EQ(vmas(), 5);
    world_fini(&w);
}

/* shown: 10-19, 30, 40-49; forgotten: 15-44 */
RMAP_TEST(host, one_call_forgets_several_runs_and_their_gaps)
{
    struct space *s = small_world();
    map(s, 10, 10, 10, RW);
    map(s, 30, 30, 1, RW);
    map(s, 40, 40, 10, RW);
    faults_of_load(&w, s, 10), faults_of_load(&w, s, 30), faults_of_load(&w, s, 40);
    CHECK_EQ(vmas(), 7);
    flush(s, 15, 30, RMAP_FLUSH_ALL);
    CHECK_EQ(stats_of(&w).flush_calls, 1);
    CHECK_EQ(vmas(), 5);
    CHECK_EQ(faults_of_load(&w, s, 14) + faults_of_load(&w, s, 45), 0);
    CHECK_EQ(faults_of_load(&w, s, 15), 1);
    world_fini(&w);
}

RMAP_TEST(host, flushing_what_is_not_projected_costs_no_call)
{
    struct space *s = small_world();
    map(s, 10, 10, 5, RO);
    flush(s, 0, 2048, RMAP_FLUSH_ALL);
    faults_of_load(&w, s, 10);
    flush(s, 0, 10, RMAP_FLUSH_ALL);
    flush(s, 15, 2000, RMAP_FLUSH_ALL);
    flush(s, 0, 2048, RMAP_FLUSH_WRITE); /* nothing is writable */
    flush(s, 12, 0, RMAP_FLUSH_ALL);
    flush(s, 2048, 5, RMAP_FLUSH_ALL);
    flush(s, RMAP_VPN_MAX, UINT64_MAX, RMAP_FLUSH_WRITE);
    s->mmu.ops->flush(s->mmu.ctx, NULL, 0);
    CHECK_EQ(stats_of(&w).flush_calls, 0);
    CHECK_EQ(faults_of_load(&w, s, 14), 0);
    flush(s, 12, UINT64_MAX, RMAP_FLUSH_ALL); /* reaches beyond the end, and would wrap */
    CHECK_EQ(faults_of_load(&w, s, 11), 0);
    CHECK_EQ(faults_of_load(&w, s, 12), 1);
    world_fini(&w);
}

/* shown: 0-9 and 20; ranges 2, 4 | 4-5, 8-9, 20: page 3 stays, between 9 and 20 nothing is shown */
RMAP_TEST(host, ranges_with_nothing_between_them_share_a_call)
{
    struct space *s = small_world();
    map(s, 0, 0, 10, RW);
    map(s, 20, 20, 1, RW);
    faults_of_load(&w, s, 0), faults_of_load(&w, s, 20);
    const struct rmap_flush_range ranges[] = {{2, 1, RMAP_FLUSH_ALL},
                                              {4, 1, RMAP_FLUSH_ALL},
                                              {4, 2, RMAP_FLUSH_ALL},
                                              {8, 2, RMAP_FLUSH_ALL},
                                              {20, 1, RMAP_FLUSH_ALL}};
    s->mmu.ops->flush(s->mmu.ctx, ranges, 5);
    CHECK_EQ(stats_of(&w).flush_calls, 4); /* 2; 4; 5; 8-20 */
    for (rmap_vpn_t page = 0; page < 2; page++) CHECK_EQ(faults_of_load(&w, s, page), 0);
    CHECK_EQ(faults_of_load(&w, s, 3) + faults_of_load(&w, s, 6) + faults_of_load(&w, s, 7), 0);
    CHECK_EQ(faults_of_load(&w, s, 8), 1);
    CHECK_EQ(faults_of_load(&w, s, 20), 1);
    vmas();
    world_fini(&w);
}

/* pages 10-19 rw; 12-14 are made clean */
RMAP_TEST(host, a_write_flush_stops_stores_and_no_loads)
{
    struct space *s = small_world();
    map(s, 10, 10, 10, RW);
    CHECK_EQ(faults_of_store(&w, s, 10), 1);
    map(s, 12, 12, 3, CLEAN);
    flush(s, 12, 3, RMAP_FLUSH_WRITE);
    CHECK_EQ(stats_of(&w).flush_calls, 1);
    CHECK_EQ(vmas(), 5);
    for (rmap_vpn_t page = 10; page < 20; page++) CHECK_EQ(faults_of_load(&w, s, page), 0);
    CHECK_EQ(faults_of_store(&w, s, 11) + faults_of_store(&w, s, 15), 0);
    CHECK_EQ(faults_of_store(&w, s, 13), 1);
    CHECK_EQ(vmas(), 7); /* gap, rw, 12 r, 13 rw, 14 r, rw, gap */
    CHECK_EQ(faults_of_store(&w, s, 12), 1);
    CHECK_EQ(faults_of_store(&w, s, 14), 1);
    CHECK_EQ(vmas(), 3);
    world_fini(&w);
}

/* pages 0-2 rw | 3-4 r | 5-6 rw (other frames) | gap | 9 rw: two calls, as the gap must stay a gap */
RMAP_TEST(host, a_write_flush_goes_around_gaps_and_over_read_only_runs)
{
    struct space *s = small_world();
    map(s, 0, 0, 3, RW);
    map(s, 3, 3, 2, RO);
    map(s, 5, 500, 2, RW);
    map(s, 9, 9, 1, RW);
    for (rmap_vpn_t page = 0; page < 10; page++)
        if (page != 7 && page != 8) faults_of_load(&w, s, page);
    CHECK_EQ(vmas(), 6);
    map(s, 0, 0, 3, RO); /* fork withdraws it all */
    map(s, 5, 500, 2, RO);
    map(s, 9, 9, 1, RO);
    flush(s, 0, 2048, RMAP_FLUSH_WRITE);
    CHECK_EQ(stats_of(&w).flush_calls, 2);
    CHECK_EQ(vmas(), 5); /* 0-4 have become one */
    CHECK_EQ(load(&w, s, 7, NULL), RMAP_ERR_ABSENT);
    CHECK_ERR(store(&w, s, 1, 1, NULL), RMAP_ERR_ACCESS);
    CHECK_ERR(store(&w, s, 9, 1, NULL), RMAP_ERR_ACCESS);
    CHECK_EQ(faults_of_load(&w, s, 9), 0);
    world_fini(&w);
}

/* E7: space a shows frame 7 at page 3 and loses it; b gets the frame. A stale projection would show b's store in a. */
RMAP_TEST(host, a_reused_frame_is_not_visible_where_it_was)
{
    struct space *a = small_world(), *b = space_open(&w);
    map(a, 0, 4, 8, RW);
    CHECK_EQ(faults_of_store(&w, a, 3), 1);
    entry_set(a, 3, 0);
    flush(a, 3, 1, RMAP_FLUSH_ALL);
    map(b, 6, 7, 1, RW);
    CHECK_OK(store(&w, b, 6, 77, NULL));
    CHECK_EQ(load(&w, a, 3, NULL), RMAP_ERR_ABSENT);
    map(a, 3, 90, 1, RW);
    CHECK_OK(store(&w, a, 3, 88, NULL));
    CHECK_EQ(stored(&w, 7), 77);
    CHECK_EQ(stored(&w, 90), 88);
    world_fini(&w);
}

/* B15: move flushes under the run locks of both ends. */
RMAP_TEST(host, a_flush_takes_no_run_lock)
{
    struct space *s = small_world();
    struct rmap_mmu_run run;
    map(s, 3, 7, 1, RW);
    faults_of_load(&w, s, 3);
    CHECK_OK(s->mmu.ops->run_find(s->mmu.ctx, 3, 4, &run));
    flush(s, 3, 1, RMAP_FLUSH_ALL);
    s->mmu.ops->run_unlock(s->mmu.ctx, &run);
    CHECK_EQ(vmas(), 1);
    world_fini(&w);
}

RMAP_TEST(host, drop_all_forgets_and_faults_bring_back)
{
    struct space *a = small_world(), *b = space_open(&w), *idle = space_open(&w);
    map(a, 0, 0, 2048, RW);
    map(b, 100, 3, 1, RO);
    faults_of_load(&w, a, 0), faults_of_load(&w, a, 600), faults_of_load(&w, b, 100);
    rmap_host_drop_all(w.host);
    rmap_host_drop_all(w.host);
    rmap_host_drop_all(NULL);
    CHECK_EQ(vmas(), 3);
    CHECK_EQ(faults_of_load(&w, a, 0), 1);
    CHECK_EQ(faults_of_load(&w, b, 100), 1);
    CHECK_EQ(load(&w, idle, 0, NULL), RMAP_ERR_ABSENT);
    world_fini(&w);
}
