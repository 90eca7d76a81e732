/* SPDX-License-Identifier: MIT */
/**
 * @file fuzz/fuzz_swap.c  A pager whose swap device is changed under it: every read is right or an error, never wrong.
 *
 *     17 frames, 3 spaces of 48 pages, 96 slots: most of what is written is on the device, where the input meddles with it
 *
 * Pages are written and read whole, forked, dropped, evicted; the device is taken out at times. A page may fail only
 * when it is on, or has its clean copy on, a slot that was meddled with (meddler.h). What failed can be dropped, and is zeroes then.
 */
#include "fuzz/meddler.h"
#include "support/counting_alloc.h"

#include <objrmap/pager.h>
#include <objrmap/radix.h>
#include <objrmap/space.h>
#include <objrmap/verify.h>

#define FRAMES 17
#define SPACES 3
#define PAGES 48
#define PAGE MEDDLER_PAGE
#define OPS_MAX 400

static struct {
    struct test_alloc alloc;
    struct meddler device;
    struct rmap_mmu_provider provider;
    struct rmap_pager *p;
    struct rmap_space *space[SPACES];
    uint32_t stamp[SPACES][PAGES]; /* what the page says; 0: zeroes */
    uint32_t last_stamp;
} w;

/* ---- contents: some that shrink, some that do not, zeroes ---- */

static void paint(unsigned char *page, uint32_t stamp)
{
    memset(page, 0, PAGE);
    if (!stamp) return;
    struct prng rng;
    prng_init(&rng, stamp);
    const size_t noise = stamp % 3 == 0 ? PAGE : stamp % 3 == 1 ? PAGE / 8 : 8;
    for (size_t i = 0; i < noise; i += 8) {
        const uint64_t word = prng_next(&rng);
        memcpy(page + i, &word, 8);
    }
}

/* ---- what may be ---- */

/* The slot that holds the page, or the copy of it that is there beside a clean page: the access itself may evict that one. */
static uint32_t slot_of(unsigned s, unsigned v)
{
    const struct rmap_pte_format *f = &rmap_pte_format_soft;
    rmap_pte_t e = rmap_radix_peek(&rmap_space_member(w.space[s])->mmu, v);
    if (rmap_pte_kind(f, e) == RMAP_PTE_SWAP) return rmap_swp_slot(rmap_pte_swp(f, e));
    const struct rmap_page *page =
        rmap_pte_maps(f, e) ? rmap_page_find(rmap_pager_rmap(w.p), rmap_pte_pfn(f, e)) : NULL;
    return page && rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE ? rmap_swp_slot(page->swap) : UINT32_MAX;
}

/* May an access to the page fail on the device's account? */
static bool excused(unsigned s, unsigned v)
{
    const uint32_t slot = slot_of(s, v);
    return slot != UINT32_MAX && (w.device.suspect[slot] || w.device.in_passing[slot]);
}

/*
 * No frame can be had by eviction only if what is in the frames has nowhere to go: as long as there is a free slot, one of the
 * 17 pages can be evicted. The fault itself holds two frames at most (what it read, and its copy), and lets go of them, and of the
 * slots that they had, before we look.
 */
static bool swap_is_full(void)
{
    struct rmap_swap_stats stats;
    CHECK_OK(rmap_swap_get_stats(rmap_pager_swap(w.p), &stats));
    return stats.slots_used >= MEDDLER_SLOTS - 2;
}

/* @return was it done? */
static bool judge(int rc, bool excuse, bool may_lack_frames, const char *what, unsigned s, unsigned v)
{
    if (rc == 0) return true;
    if (excuse && (rc == RMAP_ERR_IO_READ || rc == RMAP_ERR_CORRUPT)) return false;
    if (rc == RMAP_ERR_NO_FRAME && may_lack_frames) return false;
    TEST_FAIL("%s of space %u page %u: %s", what, s, v, rmap_error_name(rc));
}

static void verify(void)
{
    struct rmap_verify_report report;
    int rc = rmap_pager_verify(w.p, &report);
    if (rc) TEST_FAIL("%s: %s", report.invariant ? report.invariant : rmap_error_name(rc), report.text);
}

/* ---- operations ---- */

static void write_page(unsigned s, unsigned v)
{
    static unsigned char page[PAGE];
    const uint32_t stamp = ++w.last_stamp;
    const bool excuse = excused(s, v);
    size_t done = 0;
    paint(page, stamp);
    int rc = rmap_space_write(w.space[s], (uint64_t)v * PAGE, page, PAGE, &done);
    if (judge(rc, excuse, swap_is_full(), "write", s, v))
        w.stamp[s][v] = stamp;
    else
        CHECK_EQ(done, 0);
}

static void read_page(unsigned s, unsigned v)
{
    static unsigned char page[PAGE], must[PAGE];
    const bool excuse = excused(s, v);
    int rc = rmap_space_read(w.space[s], (uint64_t)v * PAGE, page, PAGE, NULL);
    if (!judge(rc, excuse, swap_is_full(), "read", s, v)) return;
    paint(must, w.stamp[s][v]);
    if (memcmp(page, must, PAGE) != 0) TEST_FAIL("space %u page %u reads wrong data without an error", s, v);
}

static void drop_page(unsigned s, unsigned v)
{
    CHECK_OK(rmap_space_advise(w.space[s], v, 1, RMAP_ADVISE_DONTNEED));
    w.stamp[s][v] = 0;
}

static void fork_space(unsigned from, unsigned to)
{
    if (from == to) return;
    if (w.space[to]) CHECK_OK(rmap_space_destroy(w.space[to]));
    CHECK_OK(rmap_space_fork(w.space[from], &w.space[to]));
    memcpy(w.stamp[to], w.stamp[from], sizeof w.stamp[to]);
}

/* Either all of it comes in, or something suspect, or want of room, stops it; then the device takes part as before. */
static void swapoff(void)
{
    struct rmap_swapoff done;
    const bool excuse = meddler_suspects(&w.device);
    int rc = rmap_pager_remove_swap(w.p, &w.device.base, &done);
    if (judge(rc, excuse, true, "swapoff", 0, 0)) {
        CHECK_EQ(done.slots_left, 0);
        CHECK_OK(rmap_pager_add_swap(w.p, &w.device.base));
    } else {
        CHECK(done.slots_left > 0);
    }
}

static void step(struct fuzz *f)
{
    const unsigned op = fuzz_below(f, 32), s = fuzz_below(f, SPACES), v = fuzz_below(f, PAGES);
    if (op == 0)
        fork_space(0, 1 + v % 2);
    else if (op == 1)
        swapoff();
    else if (op == 2)
        verify();
    else if (op < 5)
        CHECK(rmap_reclaim(w.p, op == 3 ? FRAMES : 1 + v % 8) >= 0);
    else if (op < 12)
        meddler_strike(&w.device, f);
    else if (!w.space[s])
        return;
    else if (op == 12)
        drop_page(s, v);
    else if (op < 22)
        read_page(s, v);
    else if (op < 25) /* a stretch, so that devices get runs */
        for (unsigned i = v; i < PAGES && i < v + 8; i++) write_page(s, i);
    else
        write_page(s, v);
}

/* ---- a run ---- */

static void begin(bool lz4, unsigned first)
{
    rmap_vpn_t at = 0;
    memset(&w, 0, sizeof w);
    test_alloc_init(&w.alloc);
    const struct rmap_radix_options radix = {
        .struct_size = sizeof radix, .geometry = &rmap_radix_soft, .alloc = &w.alloc.a, .caps = RMAP_MMU_NO_TLB};
    CHECK_OK(rmap_radix_provider_init(&radix, &w.provider));
    meddler_init(&w.device, &w.alloc.a, lz4);
    const struct rmap_pager_options options = {.struct_size = sizeof options,
                                               .alloc = &w.alloc.a,
                                               .provider = &w.provider,
                                               .frames = FRAMES,
                                               .page_shift = 12,
                                               .swap = &w.device.base};
    CHECK_OK(rmap_pager_create(&options, &w.p));
    CHECK_OK(rmap_space_create(w.p, &w.space[0]));
    CHECK_OK(rmap_space_map(w.space[0], &at, PAGES, RMAP_READ | RMAP_WRITE, RMAP_MAP_FIXED));
    for (unsigned v = 0; v < first; v++) write_page(0, v);
}

static void end(void)
{
    verify();
    for (unsigned s = 0; s < SPACES; s++)
        for (unsigned v = 0; w.space[s] && v < PAGES; v++) read_page(s, v);
    verify();
    for (unsigned s = 0; s < SPACES; s++)
        if (w.space[s]) CHECK_OK(rmap_space_destroy(w.space[s]));
    CHECK_OK(rmap_pager_destroy(w.p));
    rmap_radix_provider_fini(&w.provider);
    CHECK_EQ(w.alloc.live_blocks, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct fuzz f;
    fuzz_begin(&f, bytes, n);
    const bool lz4 = fuzz_below(&f, 2);
    begin(lz4, fuzz_below(&f, PAGES + 1));
    for (unsigned op = 0; fuzz_more(&f) && op < OPS_MAX; op++) step(&f);
    end();
    return 0;
}
