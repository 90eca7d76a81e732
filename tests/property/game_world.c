/* SPDX-License-Identifier: MIT */
/** @file property/game_world.c  Drawing a configuration, making its world, and ending it without a trace. */
#include "property/game.h"
#include "property/ops.h"
#include "support/test.h"

#include <objrmap/verify.h>
#include <unistd.h>

/* 64 pages exactly: leaf tables of 8 pages, which come and go all the time. */
static const struct rmap_radix_geometry tiny = {.name = "tiny",
                                                .format = &rmap_pte_format_soft,
                                                .levels = 3,
                                                .bits = {3, 2, 1},
                                                .table_present = 1,
                                                .table_mask = 0x81,
                                                .lock_bit = 0x800};
static const struct rmap_radix_geometry tiny_x86 = {.name = "tiny-x86-64",
                                                    .format = &rmap_pte_format_x86_64,
                                                    .levels = 2,
                                                    .bits = {4, 2},
                                                    .table_present = 7,
                                                    .table_mask = 0x87,
                                                    .lock_bit = 0x200};

static void draw(struct game *g)
{
    static const struct rmap_radix_geometry *const geometries[] = {
        &tiny, &tiny_x86, &rmap_radix_x86_64, &rmap_radix_sv39, &rmap_radix_aarch64_4k, &rmap_radix_soft};
    static const unsigned caps[] = {0, RMAP_MMU_ACCESSED_NEEDS_FLUSH, RMAP_MMU_ACCESSED_EXACT,
                                    RMAP_MMU_ACCESSED_EXACT | RMAP_MMU_ACCESSED_NEEDS_FLUSH};
    static const unsigned every[] = {1, 1, 7, 64};
    static const uint64_t slots[] = {700, 700, 300, 120, 60, 24, 0};
    struct game_config *c = &g->c;
    c->geometry = geometries[game_below(g, 6)];
    c->caps = caps[game_below(g, 4)];
    c->frames = 16 + game_below(g, game_chance(g, 1, 2) ? 12 : 33);
    c->slots = slots[game_below(g, 7)];
    c->lz4 = game_chance(g, 1, 2);
    c->evict_batch = (unsigned)game_below(g, 9);
    c->commit_limit = game_chance(g, 1, 3) ? 100 + game_below(g, 200) : 0;
    c->verify_every = every[game_below(g, 3)];
    c->walk_every = every[game_below(g, 4)];
    c->walk_touched = game_chance(g, 1, 2);
    c->policy = game_chance(g, 2, 3) ? RMAP_MOVE_POLICY_TRACK : RMAP_MOVE_POLICY_COPY;
    c->fail_alloc = c->errors && game_chance(g, 1, 2) ? 10 << game_below(g, 4) : 0;
    g->o.commit_limit = c->commit_limit;
}

/* ---- MMUs ---- */

static struct rmap_radix_options radix_options(struct game *g)
{
    return (struct rmap_radix_options){.struct_size = sizeof(struct rmap_radix_options),
                                       .geometry = g->c.geometry,
                                       .alloc = &g->alloc.a,
                                       .caps = RMAP_MMU_NO_TLB};
}

static int make_mmu(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    struct game *g = ctx;
    const struct rmap_radix_options options = radix_options(g);
    (void)client;
    if (g->c.mmu == GAME_TLB) return tlb_mmu_create(&options, g->c.caps, ops_last_use, g, out);
    int rc = rmap_radix_create(&options, out);
    if (!rc) out->pages = ORACLE_PAGES;
    return rc;
}

static void destroy_mmu(void *ctx, struct rmap_mmu *mmu)
{
    struct game *g = ctx;
    if (g->c.mmu == GAME_TLB)
        tlb_mmu_destroy(mmu);
    else
        rmap_radix_destroy(mmu);
}

static struct rmap_mmu_provider provider(struct game *g)
{
    if (g->c.mmu != GAME_HOST)
        return (struct rmap_mmu_provider){
            .struct_size = sizeof(struct rmap_mmu_provider), .ctx = g, .create = make_mmu, .destroy = destroy_mmu};
    const struct rmap_host_options options = {
        .struct_size = sizeof options,
        .memory = &g->memory,
        .alloc = &g->alloc.a,
        .window_pages = ORACLE_PAGES,
        .vma_limit = game_chance(g, 1, 2) ? 30 : 0, /* 30: projections are dropped all the time */
    };
    CHECK_OK(rmap_host_create(&options, &g->host));
    CHECK_EQ(pipe(g->pipe), 0);
    return rmap_host_provider(g->host);
}

static struct rmap_device *device(struct game *g)
{
    struct rmap_device *inner;
    if (!g->c.slots) return NULL;
    int rc =
        g->c.lz4 ? rmap_device_lz4_create(&g->alloc.a, g->c.slots, ORACLE_PAGE_SHIFT, 0, &inner) : RMAP_ERR_UNSUPPORTED;
    if (rc == RMAP_ERR_UNSUPPORTED)
        rc = rmap_device_temp_create(&g->alloc.a, NULL, g->c.slots, ORACLE_PAGE_SHIFT, &inner);
    CHECK_OK(rc);
    flaky_device_init(&g->device, inner, prng_next(&g->rng));
    g->device.rng.tape = g->rng.tape;
    if (g->c.errors) {
        static const unsigned rates[] = {0, 10, 60};
        g->device.fail_write = rates[game_below(g, 3)];
        g->device.fail_read = rates[game_below(g, 3)];
        g->device.spoil_read = rates[game_below(g, 3)];
    }
    return &g->device.base;
}

/* ---- sums ---- */

static void add_totals(struct game *g)
{
    struct rmap_pager_stats p;
    struct rmap_stats c;
    rmap_pager_get_stats(g->p, &p);
    rmap_stats_get(g->r, &c);
    struct game_totals *t = g->totals;
    t->failed_allocations += g->alloc.failed;
    t->device_errors += g->device.injected;
    t->forks += c.forks;
    t->copies += p.cow_copies;
    t->reuses += p.cow_reuses;
    t->swap_ins += p.swap_ins;
    t->swap_in_copies += p.swap_in_copies;
    t->evictions += p.evictions;
    t->shared_evictions += p.shared_evictions;
    t->reindexed += c.moved_reindexed;
    t->copied += c.moved_copied;
    t->tracked += c.moved_tracked;
    if (g->records_peak > t->records_peak) t->records_peak = g->records_peak;
    t->swap_moved += c.moved_swap;
    t->swap_shared += c.moved_swap_shared;
    t->tightened += c.first_lookups.walks;
    t->incomplete += c.walks_incomplete;
    t->last_stores += g->last_stores;
}

void game_totals_print(const struct game_totals *t)
{
#define N(field) (unsigned long long)t->field
    fprintf(stderr,
            "operations done %llu, refused %llu, NO_FRAME %llu, device errors %llu, failed allocations %llu\n"
            "forks %llu, COW copies %llu, reuses %llu, evictions %llu (shared %llu), swap-ins %llu, private from swap "
            "%llu\n"
            "moved: re-indexed %llu, copied %llu, tracked %llu (%llu records at most), on swap "
            "%llu, shared on swap %llu; owners tightened %llu, walks "
            "incomplete %llu, "
            "last stores %llu, vacated %llu, swapoffs %llu\n",
            N(done), N(refused), N(no_frame), N(device_errors), N(failed_allocations), N(forks), N(copies), N(reuses),
            N(evictions), N(shared_evictions), N(swap_ins), N(swap_in_copies), N(reindexed), N(copied), N(tracked),
            N(records_peak), N(swap_moved), N(swap_shared), N(tightened), N(incomplete), N(last_stores), N(vacated),
            N(swapoffs));
#undef N
}

/* ---- begin, end ---- */

static void begin(struct game *g, uint64_t seed, struct tape *tape, enum game_mmu mmu, bool errors,
                  struct game_totals *totals)
{
    memset(g, 0, sizeof *g);
    g->totals = totals;
    g->seed = seed;
    g->c.mmu = mmu;
    g->c.errors = errors;
    g->space_touched = g->move.space = -1;
    prng_init(&g->rng, seed);
    g->rng.tape = tape;
    draw(g);
    arena_init(&g->alloc);
    prng_init(&g->alloc.rng, seed);
    g->alloc.rng.tape = tape;
    CHECK_OK(rmap_memory_init(&g->memory, g->c.frames, ORACLE_PAGE_SHIFT));
    const struct rmap_mmu_provider mmus = provider(g);
    const struct rmap_pager_options options = {
        .struct_size = sizeof options,
        .alloc = &g->alloc.a,
        .provider = &mmus,
        .memory = &g->memory,
        .frames = g->c.frames,
        .page_shift = ORACLE_PAGE_SHIFT,
        .commit_limit = g->c.commit_limit,
        .swap = device(g),
        .move_policy = g->c.policy,
        .evict_batch = g->c.evict_batch,
        .swap_around = 1u << g->c.evict_batch % 5,
    };
    CHECK_OK(rmap_pager_create(&options, &g->p));
    g->r = rmap_pager_rmap(g->p);
    g->swap = rmap_pager_swap(g->p);
}

void game_begin(struct game *g, uint64_t seed, enum game_mmu mmu, bool errors, struct game_totals *totals)
{
    begin(g, seed, NULL, mmu, errors, totals);
}

void game_begin_tape(struct game *g, struct tape *tape, enum game_mmu mmu, bool errors, struct game_totals *totals)
{
    begin(g, 0, tape, mmu, errors, totals);
}

static void check_empty(struct game *g)
{
    struct rmap_stats core;
    struct rmap_swap_stats swap = {0};
    rmap_pager_get_stats(g->p, &g->stats);
    if (g->stats.frames_used != 1) game_fail(g, "%u frames are left", (unsigned)g->stats.frames_used);
    if (g->swap) CHECK_OK(rmap_swap_get_stats(g->swap, &swap));
    if (swap.slots_used || swap.cached) game_fail(g, "%u slots are left", (unsigned)swap.slots_used);
    CHECK_OK(rmap_stats_get(g->r, &core));
    if (core.members || core.nodes || core.epochs || core.mappings)
        game_fail(g, "members, nodes, epochs or mappings are left");
    if (core.track_bytes || core.track_records) game_fail(g, "tables of tracked ranges are left");
    if (g->stats.committed) game_fail(g, "%u pages are still charged", (unsigned)g->stats.committed);
    CHECK_OK(rmap_pager_verify(g->p, NULL));
}

void game_end(struct game *g)
{
    g->op++;
    game_note(g, "the end");
    for (unsigned i = 0; i < GAME_PINS; i++)
        if (g->pinned[i]) rmap_page_unpin(g->r, g->pinned[i]);
    for (unsigned s = 0; s < ORACLE_SPACES; s++)
        if (g->space[s]) CHECK_OK(rmap_space_destroy(g->space[s]));
    check_empty(g);
    if (g->totals) add_totals(g);
    CHECK_OK(rmap_pager_destroy(g->p));
    if (g->host) {
        CHECK_OK(rmap_host_destroy(g->host));
        close(g->pipe[0]);
        close(g->pipe[1]);
    }
    rmap_memory_fini(&g->memory);
    if (g->alloc.live_blocks) game_fail(g, "%zu blocks of memory are left", g->alloc.live_blocks);
    arena_fini(&g->alloc);
}
