/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_swap_scale.c  A million slots and as many descriptors, without frames: every frame's bytes are the same 512,
 * and the device keeps nothing but how often it was asked. What is bounded is counted: chunks, bytes, words looked at.
 */
#include "support/test.h"
#include "unit/empty_mmu.h"

#include <core/core.h>
#include <objrmap/swapmap.h>
#include <stdlib.h>
#include <swap/swap_internal.h>

#define SLOTS 1000000u
#define CHUNKS ((SLOTS + RMAP__CHUNK_SLOTS - 1) / RMAP__CHUNK_SLOTS)
#define SHIFT 9
#define FIRST_PFN 100

/* No search may look at more: the summaries of all chunks, and the free words of the chunk where it begins, twice, and of
 * the one where it ends. */
#define TAKE_MAX (2 * (CHUNKS / 64 + 2) + 3 * RMAP__CHUNK_WORDS)

struct world {
    struct rmap *r;
    struct rmap_swap *s;
    const struct rmap_swap_ops *ops;
    struct rmap_member m;
    struct rmap_device device;
    uint64_t writes, reads, discards;
    struct rmap_page *page; /* SLOTS of them */
    uint32_t *free, frees;  /* stack */
    unsigned char bytes[1 << SHIFT];
};
static struct world w;

static int frame_alloc(void *ctx, rmap_pfn_t near, rmap_pfn_t *out)
{
    (void)ctx, (void)near;
    if (!w.frees) return RMAP_ERR_NO_FRAME;
    *out = FIRST_PFN + w.free[--w.frees];
    return 0;
}
static void frame_free(void *ctx, rmap_pfn_t pfn)
{
    (void)ctx;
    w.free[w.frees++] = (uint32_t)(pfn - FIRST_PFN);
}
static void frame_copy(void *ctx, rmap_pfn_t dst, rmap_pfn_t src) { (void)ctx, (void)dst, (void)src; }
static void *frame_address(void *ctx, rmap_pfn_t pfn)
{
    (void)ctx, (void)pfn;
    return w.bytes;
}
static const struct rmap_frame_ops frames = {.struct_size = sizeof frames, .alloc = frame_alloc, .free = frame_free,
                                             .copy = frame_copy, .address = frame_address};

static void null_write(struct rmap_device *d, struct rmap_io *io, size_t n)
{
    (void)d;
    for (size_t i = 0; i < n; i++) io[i].error = 0;
    w.writes += n;
}
static void null_read(struct rmap_device *d, struct rmap_io *io, size_t n) /* the bytes are there: they never change */
{
    (void)d;
    for (size_t i = 0; i < n; i++) io[i].error = 0;
    w.reads += n;
}
static void null_discard(struct rmap_device *d, uint32_t slot)
{
    (void)d, (void)slot;
    w.discards++;
}
static void null_stats(struct rmap_device *d, struct rmap_device_stats *out) { (void)d, (void)out; }
static void null_destroy(struct rmap_device *d) { (void)d; }
static const struct rmap_device_ops device_ops = {.struct_size = sizeof device_ops, .name = "null", .write = null_write,
    .read = null_read, .discard = null_discard, .get_stats = null_stats, .destroy = null_destroy};

static void world_begin(void)
{
    memset(&w, 0, sizeof w);
    for (unsigned i = 0; i < sizeof w.bytes; i++) w.bytes[i] = (unsigned char)(i * 7);
    w.page = calloc(SLOTS, sizeof *w.page);
    w.free = calloc(SLOTS, sizeof *w.free);
    CHECK(w.page && w.free);
    for (uint32_t i = SLOTS; i-- > 0;) w.free[w.frees++] = i;
    w.ops = rmap_swap_get_ops();
    w.device = (struct rmap_device){.ops = &device_ops, .slots = SLOTS, .page_shift = SHIFT};
    CHECK_OK(rmap_swap_create(&(struct rmap_swap_options){.struct_size = sizeof(struct rmap_swap_options), .page_shift = SHIFT},
                              &w.s));
    CHECK_OK(rmap_create(&(struct rmap_options){.struct_size = sizeof(struct rmap_options), .frames = &frames,
                                                .swap = w.ops, .swap_ctx = w.s}, &w.r));
    CHECK_OK(rmap_swap_bind(w.s, w.r));
    CHECK_OK(rmap_swap_add(w.s, &w.device));
    CHECK_OK(rmap_frames_add(w.r, &(struct rmap_frame_section){w.page, sizeof *w.page, FIRST_PFN, SLOTS}));
    CHECK_OK(rmap_member_init(w.r, &w.m, &(struct rmap_mmu){&empty_mmu_ops, NULL, SLOTS}));
}

static struct rmap_swap_stats stats_of(void)
{
    struct rmap_swap_stats st;
    CHECK_OK(rmap_swap_get_stats(w.s, &st));
    return st;
}
static void verify(void)
{
    char text[128] = "";
    if (rmap_swap_verify(w.s, text, sizeof text)) TEST_FAIL("rmap_swap_verify: %s", text);
}

static void world_end(void)
{
    verify();
    CHECK_EQ(w.frees, SLOTS);
    CHECK_EQ(stats_of().slots_used, 0);
    CHECK_OK(rmap_member_leave(&w.m));
    CHECK_OK(rmap_destroy(w.r));
    CHECK_OK(rmap_swap_destroy(w.s));
    free(w.page);
    free(w.free);
}

/* A new page mapped at `vpn`, unlocked; its mapping keeps it. */
static struct rmap_page *mapped(rmap_vpn_t vpn)
{
    struct rmap_page *page;
    CHECK_OK(rmap_page_alloc(w.r, RMAP_PFN_NONE, &page));
    CHECK_OK(rmap_page_map_new(&w.m, page, vpn));
    rmap_page_put(w.r, page);
    return page;
}
static void unmap(struct rmap_page *page)
{
    struct rmap_gather g;
    rmap_gather_init(&g, w.r);
    rmap_page_unmap(&g, &w.m, page);
    rmap_gather_finish(&g);
}
/* Give the mapped page a slot. */
static rmap_swp_t add(struct rmap_page *page)
{
    rmap_page_lock(page);
    CHECK_OK(rmap_swap_cache_add(w.s, page));
    rmap_page_unlock(w.r, page);
    return page->swap;
}
/* The page, written, leaves: `n` entries name its slot, and nothing else does. */
static void leave(struct rmap_page *page, uint32_t n)
{
    rmap_page_get(page);
    rmap_page_lock(page);
    CHECK_OK(w.ops->dup(w.s, page->swap, n));
    unmap(page);
    CHECK_OK(rmap_swap_cache_del(w.s, page));
    rmap_page_unlock(w.r, page);
    rmap_page_put(w.r, page);
}
/* Write them all, 64 at a time. Pages i are cached in slots i. */
static void write_all(void)
{
    struct rmap_page *batch[64];
    int results[64];
    for (uint32_t i = 0; i < SLOTS; i += 64) {
        uint32_t n = SLOTS - i < 64 ? SLOTS - i : 64;
        for (uint32_t k = 0; k < n; k++) CHECK(rmap_page_try_lock(batch[k] = &w.page[i + k]));
        CHECK_OK(rmap_swap_write(w.s, batch, n, results));
        for (uint32_t k = 0; k < n; k++) {
            CHECK_OK(results[k]);
            rmap_page_unlock(w.r, batch[k]);
        }
    }
}

/* The page is written and leaves: its slot is in use for good. */
static void go_out(struct rmap_page *page)
{
    int result;
    rmap_page_lock(page);
    CHECK_OK(rmap_swap_write(w.s, &page, 1, &result));
    CHECK_OK(result);
    rmap_page_unlock(w.r, page);
    leave(page, 1);
}

/* Looked at since `before`, in `n` searches: at most `most` each, on the average. */
static void check_looked(uint64_t before, uint64_t n, uint64_t most) { CHECK_LE(w.s->looked - before, n * most); }

/* Slot i: a million pages enter the cache, are written; every other one leaves to the device with two entries, which get
 * homes elsewhere. The rest are clean copies, whose slots half a million new pages take. All goes; then half of it again. */
RMAP_TEST(swap_scale, a_million_slots)
{
    world_begin();
    const uint64_t empty_bytes = stats_of().metadata_bytes;
    uint64_t looked = w.s->looked;
    for (uint32_t i = 0; i < SLOTS; i++) CHECK_EQ(add(mapped(i)), rmap_swp_make(1, i)); /* in order */
    check_looked(looked, SLOTS, 3);
    CHECK_EQ(w.s->devices[0].made, CHUNKS);
    CHECK_EQ(stats_of().cached, SLOTS);
    CHECK_LE(stats_of().metadata_bytes, 48ull * SLOTS);
    CHECK_EQ(stats_of().metadata_bytes, empty_bytes + CHUNKS * sizeof(struct rmap__slot_chunk));
    verify();

    write_all();
    CHECK_EQ(w.writes, SLOTS);
    for (uint32_t i = 0; i < SLOTS; i += 2) leave(&w.page[i], 2);
    CHECK_EQ(stats_of().entries, SLOTS);
    CHECK_EQ(stats_of().cached, SLOTS / 2);
    CHECK_EQ(w.frees, SLOTS / 2);
    const rmap_owner_t home = rmap_member_home(&w.m);
    for (uint32_t i = 0; i < SLOTS; i += 2) w.ops->set_home(w.s, rmap_swp_make(1, i), home, SLOTS - i, i % 4 == 0);
    for (uint32_t i = 0; i < SLOTS; i += 2) {
        struct rmap_slot_home h;
        CHECK_OK(w.ops->get_home(w.s, rmap_swp_make(1, i), &h));
        CHECK(h.owner == home && h.index == SLOTS - i && h.moved == (i % 4 == 0) && !h.cached);
    }
    verify();

    looked = w.s->looked; /* full: every new page takes a clean copy's slot */
    static struct rmap_page *fresh[SLOTS / 2];
    for (uint32_t i = 0; i < SLOTS / 2; i++) {
        fresh[i] = mapped(i);
        CHECK_EQ(rmap_swp_slot(add(fresh[i])), 2 * i + 1);
    }
    check_looked(looked, SLOTS / 2, 6);
    CHECK_EQ(stats_of().cached, SLOTS / 2);
    CHECK_EQ(stats_of().slots_used, SLOTS);
    CHECK_EQ(w.discards, SLOTS / 2);
    for (uint32_t i = 1; i < SLOTS; i += 2) CHECK(!w.page[i].swap); /* they have no copy any more */
    verify();

    for (uint32_t i = 0; i < SLOTS; i += 2) w.ops->put(w.s, rmap_swp_make(1, i), 1);
    CHECK_EQ(stats_of().entries, SLOTS / 2);
    for (uint32_t i = 0; i < SLOTS; i += 2) w.ops->put(w.s, rmap_swp_make(1, i), 1); /* every other slot is free */
    CHECK_EQ(stats_of().slots_used, SLOTS / 2);
    for (uint32_t i = 0; i < SLOTS / 2; i++) unmap(fresh[i]); /* an ORPHAN: goes with its slot */
    CHECK_EQ(stats_of().slots_used, 0);
    verify();
    looked = w.s->looked;
    for (uint32_t i = 1; i < SLOTS; i += 2) add(&w.page[i]);
    check_looked(looked, SLOTS / 2, 3);
    CHECK_EQ(stats_of().slots_used, SLOTS / 2);
    for (uint32_t i = 1; i < SLOTS; i += 2) unmap(&w.page[i]);
    CHECK_EQ(w.s->devices[0].made, CHUNKS);
    world_end();
}

/* All slots in use but one, which is always the one behind the search: each goes once around. Then all are, and nothing is
 * to be had, clean copies neither. */
RMAP_TEST(swap_scale, the_last_free_slot_is_found_at_once)
{
    world_begin();
    for (uint32_t i = 0; i < SLOTS; i++) add(mapped(i));
    write_all();
    for (uint32_t i = 0; i < SLOTS; i++) leave(&w.page[i], 1);
    for (uint32_t i = 0; i < 1000; i++) {
        struct rmap_page *page = mapped(7);
        rmap_swp_t e = rmap_swp_make(1, SLOTS - 1 - 997 * i);
        w.ops->put(w.s, e, 1);
        const uint64_t looked = w.s->looked;
        CHECK_EQ(add(page), e);
        check_looked(looked, 1, TAKE_MAX);
        go_out(page);
    }
    struct rmap_page *page = mapped(7);
    const uint64_t looked = w.s->looked;
    rmap_page_lock(page);
    CHECK_ERR(rmap_swap_cache_add(w.s, page), RMAP_ERR_NO_SLOT);
    rmap_page_unlock(w.r, page);
    CHECK_EQ(w.s->looked, looked);
    unmap(page);
    for (uint32_t i = 0; i < SLOTS; i++) w.ops->put(w.s, rmap_swp_make(1, i), 1);
    world_end();
}

/* Full; a hundred clean copies, ten thousand slots apart: each is found without looking at the slots between */
RMAP_TEST(swap_scale, rare_clean_copies_are_found_at_once)
{
    world_begin();
    for (uint32_t i = 0; i < SLOTS; i++) add(mapped(i));
    write_all();
    for (uint32_t i = 0; i < SLOTS; i++)
        if (i % 10000) leave(&w.page[i], 1);
    for (uint32_t i = 0; i < 100; i++) {
        struct rmap_page *page = mapped(7);
        const uint64_t looked = w.s->looked;
        CHECK_EQ(rmap_swp_slot(add(page)), 10000 * i);
        check_looked(looked, 1, CHUNKS / 64 + 2 + 2 * RMAP__CHUNK_SLOTS);
        go_out(page);
        unmap(&w.page[10000 * i]); /* it has lost its copy, and goes */
    }
    for (uint32_t i = 0; i < SLOTS; i++) w.ops->put(w.s, rmap_swp_make(1, i), 1);
    world_end();
}
