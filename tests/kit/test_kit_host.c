/* SPDX-License-Identifier: MIT */
/**
 * @file kit/test_kit_host.c  The conformance kit on the host MMU: an access is a load or store through the window, and
 * word 0 of a frame says which frame it is. The kit is the client that resolves the faults.
 */
#include "kit/kit_check.h"
#include "unit/host_world.h"

#define FRAMES 64

static int touch_page(void *ctx, const struct rmap_mmu *mmu, rmap_vpn_t vpn, unsigned access, rmap_pfn_t *pfn)
{
    struct world *w = ctx;
    struct space s = {.mmu = *mmu};
    if (access & RMAP_EXEC) return rmap_host_fault(w->host, (void *)(uintptr_t)word_at(w, &s, vpn, 0), access);
    if (access & RMAP_WRITE) {
        const int error = store(w, &s, vpn, vpn, NULL);
        if (error) return error;
    }
    const int64_t frame = load(w, &s, vpn, NULL);
    if (frame < 0) return (int)frame;
    *pfn = (rmap_pfn_t)frame;
    return 0;
}

static void fail_tables(void *ctx, uint64_t after)
{
    struct world *w = ctx;
    const bool never = after == RMAP_TESTING_NEVER;
    w->alloc.fail_at = never ? 0 : w->alloc.calls + after + 1;
    w->alloc.fail_forever = !never;
}

static void keeps_every_rule(unsigned page_shift, uint64_t window_pages, uint64_t vma_limit, const char *skipped)
{
    static struct world w;
    world_init(&w, FRAMES, page_shift, window_pages, vma_limit);
    const struct rmap_testing_mmu t = {.struct_size = sizeof t,
                                       .provider = &w.provider,
                                       .first_frame = 10,
                                       .frames = FRAMES - 10,
                                       .flags = RMAP_TESTING_THREADS,
                                       .ctx = &w,
                                       .touch = touch_page,
                                       .fail_tables = fail_tables};
    kit_check_passes(&t, "host", skipped);
    world_fini(&w);
}

RMAP_TEST(kit_host, a_window_keeps_every_rule)
{
    keeps_every_rule(12, 1 << 20, 0, "no-tlb-means-none inactive-caches-nothing ");
}

RMAP_TEST(kit_host, a_window_of_few_mappings_and_larger_pages)
{
    keeps_every_rule(14, 4096, 40, "no-tlb-means-none inactive-caches-nothing ");
}

/* 16 pages: one table, which is there from the beginning. */
RMAP_TEST(kit_host, the_smallest_window)
{
    keeps_every_rule(12, RMAP_TESTING_PAGES_MIN, 0,
                     "run-stops-at-end reserve-fails-cleanly no-tlb-means-none inactive-caches-nothing ");
}
