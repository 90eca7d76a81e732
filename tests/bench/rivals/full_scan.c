/* SPDX-License-Identifier: MIT */
/**
 * @file bench/rivals/full_scan.c  The yardstick: counts and no reverse map.
 *
 * A page's mappings are found by a look at every table of every space: what is left to do where nothing is kept. A batch is
 * found in one pass. Tables are locked while a verb that changes entries reads them; a look reads them without: tables stay as
 * long as their space, and the space as long as the list is held.
 */
#include "bench/rivals/rival.h"

#include <stdlib.h>

/* The world's own: by frame, which page of a batch it is, from 1 on. A working area of a look-up: not counted as bytes. */
static void world_init(struct rival_world *w)
{
    w->own = calloc(w->pool->frames, sizeof(uint32_t));
    MUST_HOLD(w->own);
}

static void world_fini(struct rival_world *w)
{
    free(w->own);
}

/* The first table that intersects [at, the space's end), locked unless nothing is to be changed. @return false: there is none. */
static bool table_from(struct rival_space *s, rmap_vpn_t at, struct rmap_mmu_run *run)
{
    const struct rmap_mmu *m = &s->mmu;
    if (at >= m->pages) return false;
    if (s->w->busy) return !m->ops->run_find(m->ctx, at, m->pages, run);
    m->ops->run_peek(&m->ctx, 1, at, m->pages, run);
    return run->count;
}

static void table_done(struct rival_space *s, struct rmap_mmu_run *run)
{
    if (s->w->busy) rival_leave(s, run);
}

/* Pages that are sought, by frame; those left to find. */
struct scan {
    struct rival_world *w;
    const uint32_t *place;
    rival_visit_fn *visit;
    void **ctx;
    size_t left;
};

static void scan_run(struct scan *x, struct rival_space *s, const struct rmap_mmu_run *run)
{
    const struct rival_bits b = x->w->bits;
    const uint64_t frames = x->w->pool->frames;
    for (uint32_t i = 0; i < run->count; i++) {
        const rmap_pte_t e = atomic_load_explicit(&run->slots[i], memory_order_relaxed);
        const uint64_t frame = ((e & b.frame) >> b.frame_shift) - POOL_FIRST_PFN;
        if (frame >= frames || !x->place[frame] || !rival_counts(&b, e)) continue;
        if (!x->visit(x->ctx[x->place[frame] - 1], s, run, i, e) && !--x->left) return;
    }
}

/* One page: its frame is compared, no table of places is needed. @return false: the walk may stop. */
static bool scan_run_for_one(struct rival_space *s, const struct rmap_mmu_run *run, uint64_t frame, rival_visit_fn *visit,
                             void *ctx)
{
    const struct rival_bits b = s->w->bits;
    for (uint32_t i = 0; i < run->count; i++) {
        const rmap_pte_t e = atomic_load_explicit(&run->slots[i], memory_order_relaxed);
        if ((e & b.frame) != frame || !rival_counts(&b, e)) continue;
        if (!visit(ctx, s, run, i, e)) return false;
    }
    return true;
}

static uint64_t walk(struct rival_world *w, struct rmap_page *page, rival_visit_fn *visit, void *ctx)
{
    const uint64_t frame = rival_pfn(w, page) << w->bits.frame_shift;
    struct rival_space *s;
    uint64_t tables = 0;
    TAILQ_FOREACH (s, &w->spaces, link) {
        struct rmap_mmu_run run;
        for (rmap_vpn_t at = 0; table_from(s, at, &run); at = run.first + run.count) {
            const bool more = scan_run_for_one(s, &run, frame, visit, ctx);
            table_done(s, &run);
            tables++;
            if (!more) return tables;
        }
    }
    return tables;
}

static uint64_t walk_batch(struct rival_world *w, struct rmap_page *const *pages, size_t n, rival_visit_fn *visit, void **ctx)
{
    uint32_t *place = w->own;
    struct scan x = {.w = w, .place = place, .visit = visit, .ctx = ctx, .left = n};
    struct rival_space *s;
    uint64_t tables = 0;
    for (size_t i = 0; i < n; i++) place[rival_pfn(w, pages[i]) - POOL_FIRST_PFN] = (uint32_t)i + 1;
    TAILQ_FOREACH (s, &w->spaces, link) {
        struct rmap_mmu_run run;
        if (!x.left) break;
        for (rmap_vpn_t at = 0; x.left && table_from(s, at, &run); at = run.first + run.count) {
            scan_run(&x, s, &run);
            table_done(s, &run);
            tables++;
        }
    }
    for (size_t i = 0; i < n; i++) place[rival_pfn(w, pages[i]) - POOL_FIRST_PFN] = 0;
    return tables;
}

static void bytes(struct rival_world *w, struct bench_bytes *out)
{
    (void)w, (void)out;
}

static const struct rival_ops ops = {.name = "full_scan",
                                     .world_init = world_init,
                                     .world_fini = world_fini,
                                     .walk = walk,
                                     .walk_batch = walk_batch,
                                     .bytes = bytes};
RIVAL_SYSTEM(full_scan, &ops);
