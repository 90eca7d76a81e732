/* SPDX-License-Identifier: MIT */
/**
 * @file unit/swap_world.h  The world of the swap map's tests: 160 frames of 512 bytes, one member, no page tables.
 *
 * Mappings are counted as a fault handler counts them (rmap_page_map_new, rmap_page_unmap), without entries to go with
 * them: the slot map never looks at any.
 */
#ifndef RMAP_TESTS_UNIT_SWAP_WORLD_H
#define RMAP_TESTS_UNIT_SWAP_WORLD_H

#include "support/counting_alloc.h"
#include "support/faulty_device.h"
#include "support/test.h"
#include "unit/empty_mmu.h"

#include <core/core.h>
#include <objrmap/swapmap.h>
#include <swap/swap_internal.h>

#define SHIFT 9
#define PAGE ((size_t)1 << SHIFT)
#define FRAMES 160
#define FIRST_PFN 100

struct world {
    struct test_alloc alloc;
    struct rmap *r;
    struct rmap_swap *s;
    const struct rmap_swap_ops *ops;
    struct rmap_member m;
    struct faulty_device dev;
    struct rmap_page page[FRAMES];
    unsigned char memory[FRAMES][PAGE];
    _Atomic bool used[FRAMES];
    _Atomic unsigned frames_used;
    bool no_address;
};

static inline int world_frame_alloc(void *ctx, rmap_pfn_t near, rmap_pfn_t *out)
{
    struct world *w = ctx;
    (void)near;
    for (unsigned i = 0; i < FRAMES; i++) {
        bool expected = false;
        if (!atomic_compare_exchange_strong(&w->used[i], &expected, true)) continue;
        w->frames_used++;
        *out = FIRST_PFN + i;
        return 0;
    }
    return RMAP_ERR_NO_FRAME;
}
static inline void world_frame_free(void *ctx, rmap_pfn_t pfn)
{
    struct world *w = ctx;
    w->frames_used--;
    w->used[pfn - FIRST_PFN] = false;
}
static inline void world_frame_copy(void *ctx, rmap_pfn_t dst, rmap_pfn_t src)
{
    struct world *w = ctx;
    memcpy(w->memory[dst - FIRST_PFN], w->memory[src - FIRST_PFN], PAGE);
}
static inline void *world_frame_address(void *ctx, rmap_pfn_t pfn)
{
    struct world *w = ctx;
    return w->no_address ? NULL : w->memory[pfn - FIRST_PFN];
}
static const struct rmap_frame_ops world_frame_ops = {
    .struct_size = sizeof world_frame_ops, .alloc = world_frame_alloc, .free = world_frame_free,
    .copy = world_frame_copy, .address = world_frame_address};

/* `slots` 0: no device is added. */
static inline void world_begin(struct world *w, uint64_t slots)
{
    memset(w, 0, sizeof *w);
    test_alloc_init(&w->alloc);
    w->ops = rmap_swap_get_ops();
    struct rmap_swap_options map = {.struct_size = sizeof map, .alloc = &w->alloc.a, .page_shift = SHIFT};
    CHECK_OK(rmap_swap_create(&map, &w->s));
    struct rmap_options instance = {.struct_size = sizeof instance, .alloc = &w->alloc.a, .frames = &world_frame_ops,
                                    .frames_ctx = w, .swap = w->ops, .swap_ctx = w->s};
    CHECK_OK(rmap_create(&instance, &w->r));
    CHECK_OK(rmap_swap_bind(w->s, w->r));
    CHECK_OK(rmap_frames_add(w->r, &(struct rmap_frame_section){w->page, sizeof *w->page, FIRST_PFN, FRAMES}));
    CHECK_OK(rmap_member_init(w->r, &w->m, &(struct rmap_mmu){&empty_mmu_ops, NULL, 1 << 20}));
    if (!slots) return;
    faulty_device_init(&w->dev, slots, SHIFT);
    CHECK_OK(rmap_swap_add(w->s, &w->dev.base));
}

static inline void world_verify(struct world *w)
{
    char text[128] = "";
    if (rmap_swap_verify(w->s, text, sizeof text)) TEST_FAIL("rmap_swap_verify: %s", text);
}

/* Everything must have been given back: pages freed, slots freed, no block of memory left. */
static inline void world_end(struct world *w)
{
    world_verify(w);
    CHECK_EQ(w->frames_used, 0);
    CHECK_OK(rmap_member_leave(&w->m));
    CHECK_OK(rmap_destroy(w->r));
    CHECK_OK(rmap_swap_destroy(w->s));
    CHECK_EQ(w->alloc.live_blocks, 0);
    CHECK_EQ(w->alloc.live_bytes, 0);
}

static inline unsigned char *bytes_of(struct world *w, const struct rmap_page *page)
{
    return w->memory[page - w->page];
}
static inline void fill(struct world *w, const struct rmap_page *page, unsigned seed)
{
    for (size_t i = 0; i < PAGE; i++) bytes_of(w, page)[i] = (unsigned char)(seed + i * (i + seed));
}
static inline bool holds(struct world *w, const struct rmap_page *page, unsigned seed)
{
    for (size_t i = 0; i < PAGE; i++)
        if (bytes_of(w, page)[i] != (unsigned char)(seed + i * (i + seed))) return false;
    return true;
}

/* A new frame, locked, with one reference of ours. */
static inline struct rmap_page *new_page(struct world *w)
{
    struct rmap_page *page;
    CHECK_OK(rmap_page_alloc(w->r, RMAP_PFN_NONE, &page));
    CHECK(rmap_page_try_lock(page));
    return page;
}
/* The same, mapped once at `vpn`, with contents of its own. */
static inline struct rmap_page *mapped_page(struct world *w, rmap_vpn_t vpn, unsigned seed)
{
    struct rmap_page *page = new_page(w);
    fill(w, page, seed);
    CHECK_OK(rmap_page_map_new(&w->m, page, vpn));
    return page;
}
static inline void unmap(struct world *w, struct rmap_page *page)
{
    struct rmap_gather g;
    rmap_gather_init(&g, w->r);
    rmap_page_unmap(&g, &w->m, page);
    rmap_gather_finish(&g);
}
/* Unlock, and give our reference back. */
static inline void release(struct world *w, struct rmap_page *page)
{
    rmap_page_unlock(w->r, page);
    rmap_page_put(w->r, page);
}

/* What eviction does to a mapped, locked page: slot, entries, unmap, write, out of the cache; frees it. */
static inline rmap_swp_t evict(struct world *w, struct rmap_page *page)
{
    int result = -1;
    CHECK_OK(rmap_swap_cache_add(w->s, page));
    rmap_swp_t entry = page->swap;
    CHECK_OK(w->ops->dup(w->s, entry, 1));
    unmap(w, page);
    CHECK_OK(rmap_swap_write(w->s, &page, 1, &result));
    CHECK_OK(result);
    CHECK_OK(rmap_swap_cache_del(w->s, page));
    release(w, page);
    return entry;
}
/* What a fault does with a sole entry: read, map, drop the entry. The page stays locked, with a reference of ours. */
static inline struct rmap_page *swap_in(struct world *w, rmap_swp_t entry)
{
    struct rmap_page *page = new_page(w);
    CHECK_OK(rmap_swap_cache_load(w->s, entry, page));
    CHECK_OK(rmap_page_map_swapin(&w->m, page, entry));
    w->ops->put(w->s, entry, 1);
    return page;
}
/* Locked, cached, one entry, unmapped, dirty: ready to be written. */
static inline struct rmap_page *outgoing(struct world *w, rmap_vpn_t vpn, unsigned seed)
{
    struct rmap_page *page = mapped_page(w, vpn, seed);
    CHECK_OK(rmap_swap_cache_add(w->s, page));
    CHECK_OK(w->ops->dup(w->s, page->swap, 1));
    unmap(w, page);
    return page;
}
/* Without ORPHAN: the core sets it whenever a locked cached page is unmapped, for its unlock to look. */
static inline unsigned flags_of(const struct rmap_page *page)
{
    return rmap_page_flags(page) & ~(unsigned)RMAP_PAGE_ORPHAN;
}
static inline void leave(struct world *w, struct rmap_page *page)
{
    CHECK_OK(rmap_swap_cache_del(w->s, page));
    release(w, page);
}
/* Read the sole entry back, compare, and let page and slot go. */
static inline void check_content(struct world *w, rmap_swp_t entry, unsigned seed)
{
    struct rmap_page *page = swap_in(w, entry);
    CHECK(holds(w, page, seed));
    unmap(w, page);
    release(w, page);
}
static inline uint32_t refs_of(rmap_owner_t owner) { return rmap__owner_tag(owner)->refs; }
static inline struct rmap_slot_home home_of(struct world *w, rmap_swp_t entry)
{
    struct rmap_slot_home home = {0};
    CHECK_OK(w->ops->get_home(w->s, entry, &home));
    return home;
}
static inline struct rmap_swap_stats stats_of(struct world *w)
{
    struct rmap_swap_stats st;
    CHECK_OK(rmap_swap_get_stats(w->s, &st));
    return st;
}

#endif
