/* SPDX-License-Identifier: MIT */
/** @file unit/test_radix_tables.c  The memory of radix tables: reserved, installed, trimmed. */
#include "unit/radix_world.h"

static size_t memory_in_use(const struct world *w) { return w->in_guest ? w->guest.live : w->alloc.live_bytes; }

/* A6, H3: the n-th allocation fails, for every n */
RMAP_TEST(radix_tables, a_failed_allocation_leaves_nothing_behind)
{
    for (unsigned n = 0; n < 2 * GEOMETRIES; n++) {
        struct world w;
        world_prepare(&w, geometries[n / 2], n % 2);
        for (unsigned fail = 1;; fail++) {
            w.alloc.fail_at = w.alloc.calls + fail;
            w.guest.fail_at = fail == 3 ? w.guest.calls + 1 : 0;
            int error = rmap_radix_create(&w.options, &w.mmu);
            if (!error) {
                CHECK_EQ(fail, 4); /* config, space, root */
                break;
            }
            CHECK_ERR(error, RMAP_ERR_NOMEM);
            CHECK_EQ(w.alloc.live_blocks, 0);
            CHECK_EQ(w.mmu.ctx, NULL);
        }
        const size_t bytes = bytes_of(&w.mmu), blocks = w.alloc.live_blocks, live = w.guest.live;
        struct rmap_tables t = {{NULL}, 0};
        for (unsigned fail = 1;; fail++) {
            w.alloc.fail_at = w.in_guest ? 0 : w.alloc.calls + fail;
            w.guest.fail_at = w.guest.calls + fail;
            int error = w.mmu.ops->reserve(w.mmu.ctx, w.mmu.pages / 2, &t);
            if (!error) {
                CHECK_EQ(fail, w.g->levels); /* every table but the root was missing */
                break;
            }
            CHECK_ERR(error, RMAP_ERR_NOMEM);
            CHECK_EQ(t.count, 0);
            CHECK_EQ(w.alloc.live_blocks, blocks);
            CHECK_EQ(w.guest.live, live);
        }
        CHECK_EQ(t.count, w.g->levels - 1);
        CHECK_EQ(bytes_of(&w.mmu), bytes); /* reserved is not installed */
        CHECK_OK(w.mmu.ops->reserve(w.mmu.ctx, w.mmu.pages / 2, &t)); /* sufficient already: no allocation */
        w.alloc.fail_at = w.guest.fail_at = 0;
        w.mmu.ops->unreserve(w.mmu.ctx, &t);
        CHECK_EQ(t.count, 0);
        CHECK_EQ(w.alloc.live_blocks, blocks);
        world_fini(&w);
    }
}

RMAP_TEST(radix_tables, make_uses_what_is_missing_and_leaves_the_rest)
{
    EACH_WORLD(w) {
        if (w.g->levels == 1) continue;
        struct rmap_tables t = {{NULL}, 0};
        struct rmap_mmu_run run;
        const size_t root = level_bytes(w.g, w.g->levels - 1), in_use = memory_in_use(&w) - root;
        CHECK_ERR(w.mmu.ops->run_make(w.mmu.ctx, 0, &t, &run), RMAP_ERR_NOMEM); /* nothing was reserved */
        CHECK_OK(w.mmu.ops->reserve(w.mmu.ctx, 0, &t));
        set_entry(&w.mmu, w.leaf, entry_of(&w.mmu, 1)); /* somebody else makes all tables but the leaf */
        CHECK_OK(w.mmu.ops->run_make(w.mmu.ctx, 0, &t, &run));
        unlock(&w.mmu, &run);
        CHECK_EQ(t.count, w.g->levels - 2);
        w.mmu.ops->unreserve(w.mmu.ctx, &t);
        size_t bytes = 2 * level_bytes(w.g, 0);
        for (unsigned level = 1; level < w.g->levels; level++) bytes += level_bytes(w.g, level);
        CHECK_EQ(bytes_of(&w.mmu), bytes);
        CHECK_EQ(memory_in_use(&w) - in_use, bytes);
    }
}

RMAP_TEST(radix_tables, tables_at_addresses_that_no_entry_can_hold_are_no_memory)
{
    for (unsigned n = 0; n < GEOMETRIES; n++) {
        struct world w;
        world_init(&w, geometries[n], true);
        const size_t live = w.guest.live;
        struct rmap_tables t = {{NULL}, 0};
        if (w.g->levels > 1) {
            w.guest.lie = 64; /* not aligned */
            CHECK_ERR(w.mmu.ops->reserve(w.mmu.ctx, 0, &t), RMAP_ERR_NOMEM);
            w.guest.lie = UINT64_C(1) << 63; /* not in the payload */
            int error = w.mmu.ops->reserve(w.mmu.ctx, 0, &t);
            bool fits = w.g->format->payload_bits + w.g->format->page_shift == 64;
            CHECK_ERR(error, fits ? RMAP_OK : RMAP_ERR_NOMEM);
            w.mmu.ops->unreserve(w.mmu.ctx, &t);
        }
        CHECK_EQ(w.guest.live, live);
        w.guest.lie = 0;
        world_fini(&w);
    }
}

static void trim(const struct world *w, rmap_vpn_t first, rmap_vpn_t end)
{
    w->mmu.ops->trim(w->mmu.ctx, first, end);
}

/* entries in three leaf tables: page 1 of table 0, page 1 of table 1, page 1 of the last; cleared one by one */
RMAP_TEST(radix_tables, trim_frees_empty_tables_wholly_inside_and_no_others)
{
    EACH_WORLD(w) {
        const rmap_vpn_t all = w.mmu.pages;
        const size_t leaf = level_bytes(w.g, 0), empty = bytes_of(&w.mmu);
        const size_t in_use = memory_in_use(&w);
        trim(&w, 0, all);
        CHECK_EQ(bytes_of(&w.mmu), empty); /* never the root */
        if (w.g->levels == 1) continue;

        set_entry(&w.mmu, 1, entry_of(&w.mmu, 1));
        set_entry(&w.mmu, w.leaf + 1, entry_of(&w.mmu, 2));
        set_entry(&w.mmu, all - w.leaf + 1, entry_of(&w.mmu, 3));
        const size_t full = bytes_of(&w.mmu);
        trim(&w, 0, all);
        trim(&w, 0, RMAP_VPN_NONE);
        CHECK_EQ(bytes_of(&w.mmu), full); /* nothing is empty */

        set_entry(&w.mmu, w.leaf + 1, 0);
        trim(&w, w.leaf + 1, all);
        trim(&w, 0, 2 * w.leaf - 1);
        trim(&w, w.leaf, w.leaf);
        CHECK_EQ(bytes_of(&w.mmu), full); /* each leaves out a page of it */
        trim(&w, w.leaf, 2 * w.leaf);
        CHECK_EQ(bytes_of(&w.mmu), full - leaf);
        CHECK_EQ(rmap_radix_peek(&w.mmu, 1), entry_of(&w.mmu, 1));
        CHECK_EQ(rmap_radix_peek(&w.mmu, all - w.leaf + 1), entry_of(&w.mmu, 3));
        struct rmap_mmu_run run;
        CHECK_ERR(find(&w.mmu, w.leaf, 2 * w.leaf, &run), RMAP_ERR_ABSENT);

        set_entry(&w.mmu, all - w.leaf + 1, 0);
        trim(&w, all - w.leaf, all);
        CHECK_EQ(bytes_of(&w.mmu), full - 2 * leaf); /* the tables above it serve pages outside the range */
        set_entry(&w.mmu, 1, 0);
        trim(&w, 0, all);
        CHECK_EQ(bytes_of(&w.mmu), empty);
        CHECK_EQ(memory_in_use(&w), in_use);
        set_entry(&w.mmu, 1, entry_of(&w.mmu, 4)); /* and all can be made again */
        CHECK_EQ(rmap_radix_peek(&w.mmu, 1), entry_of(&w.mmu, 4));
    }
}

/* A TLB that caches upper entries: a table may be freed only after a flush of the pages that it served (D8). */
struct tlb {
    struct world *w;
    size_t live_at_flush, calls;
    struct rmap_flush_range last;
    bool active;
};
static void tlb_flush(void *ctx, const struct rmap_flush_range *ranges, size_t n)
{
    struct tlb *t = ctx;
    t->calls += n;
    t->last = ranges[n - 1];
    t->live_at_flush = memory_in_use(t->w);
}
static bool tlb_active(void *ctx) { return ((struct tlb *)ctx)->active; }

RMAP_TEST(radix_tables, trim_flushes_before_it_frees_unless_nobody_runs)
{
    struct world w;
    world_prepare(&w, &rmap_radix_x86_64, true);
    struct tlb t = {.w = &w, .active = true};
    w.options.flush = tlb_flush;
    w.options.active = tlb_active;
    w.options.flush_ctx = &t;
    w.options.caps = RMAP_MMU_ACCESSED_EXACT;
    CHECK_OK(rmap_radix_create(&w.options, &w.mmu));
    CHECK_EQ(w.mmu.ops->caps, RMAP_MMU_ACCESSED_EXACT); /* a flush hook: there is a TLB */

    /* 100 leaf tables, more than one batch */
    for (rmap_vpn_t n = 0; n < 100; n++) {
        set_entry(&w.mmu, 512 * n, entry_of(&w.mmu, 1));
        set_entry(&w.mmu, 512 * n, 0);
    }
    CHECK_EQ(w.guest.live, 4096 * (3 + 100));
    trim(&w, 512 * 10, 512 * 11);
    CHECK_EQ(t.calls, 1);
    CHECK_EQ(t.last.first, 512 * 10);
    CHECK_EQ(t.last.count, 512);
    CHECK_EQ(t.last.kind, RMAP_FLUSH_ALL);
    CHECK_EQ(t.live_at_flush, 4096 * (3 + 100)); /* not freed yet */
    CHECK_EQ(w.guest.live, 4096 * (3 + 99));
    trim(&w, 0, w.mmu.pages);
    CHECK_EQ(w.guest.live, 4096);
    CHECK_EQ(t.calls, 3);
    CHECK_EQ(t.live_at_flush, 4096 * (1 + 2 + 99 - 64));
    CHECK_EQ(t.last.first, 0); /* an upper table serves from page 0 on */
    CHECK_EQ(t.last.count, 1 << 27);

    t.active = false;
    CHECK(!w.mmu.ops->active(w.mmu.ctx));
    set_entry(&w.mmu, 0, entry_of(&w.mmu, 1));
    set_entry(&w.mmu, 0, 0);
    trim(&w, 0, w.mmu.pages);
    CHECK_EQ(w.guest.live, 4096);
    CHECK_EQ(t.calls, 3);

    /* and what the library flushes arrives as it is */
    struct rmap_flush_range ranges[2] = {{1, 2, RMAP_FLUSH_ALL}, {7, 9, RMAP_FLUSH_WRITE}};
    w.mmu.ops->flush(w.mmu.ctx, ranges, 2);
    CHECK_EQ(t.calls, 5);
    CHECK_EQ(t.last.first, 7);
    CHECK_EQ(t.last.kind, RMAP_FLUSH_WRITE);
    world_fini(&w);
}
