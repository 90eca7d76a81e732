/* SPDX-License-Identifier: MIT */
/*
 * The pager behind the host MMU: ordinary loads and stores on projected memory, faults by SIGSEGV, frames under a budget.
 */
#include "support/counting_alloc.h"
#include "support/prng.h"
#include "support/test.h"

#include <errno.h>
#include <objrmap/host.h>
#include <objrmap/pager.h>
#include <objrmap/space.h>
#include <objrmap/verify.h>
#include <signal.h>
#include <stdlib.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096u
#define WINDOW 512
#define PAGES 96
#define SPACES 12

struct world {
    struct test_alloc alloc;
    struct rmap_memory memory;
    struct rmap_host *host;
    struct rmap_mmu_provider provider;
    struct rmap_pager *p;
};
static struct rmap_host *served;

/* The access comes from the page fault's error code where the machine has one; else a read is tried first. */
static void handle(int number, siginfo_t *info, void *context)
{
    unsigned access = RMAP_READ;
#if defined(__x86_64__)
    if (((ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] & 2) access = RMAP_WRITE;
#else
    static void *last;
    if (last == info->si_addr) access = RMAP_WRITE;
    last = info->si_addr;
    (void)context;
#endif
    int saved = errno;
    if (rmap_host_fault(served, info->si_addr, access)) signal(number, SIG_DFL);
    errno = saved;
}

static void world_init(struct world *w, uint64_t frames, uint64_t vma_limit)
{
    memset(w, 0, sizeof *w);
    test_alloc_init(&w->alloc);
    CHECK_OK(rmap_memory_init(&w->memory, frames, 12));
    struct rmap_host_options ho = {sizeof ho, &w->memory, &w->alloc.a, WINDOW, vma_limit};
    CHECK_OK(rmap_host_create(&ho, &w->host));
    w->provider = rmap_host_provider(w->host);
    struct rmap_device *device;
    CHECK_OK(rmap_device_temp_create(&w->alloc.a, NULL, 4096, 12, &device));
    struct rmap_pager_options po = {.struct_size = sizeof po,
                                    .alloc = &w->alloc.a,
                                    .provider = &w->provider,
                                    .memory = &w->memory,
                                    .frames = frames,
                                    .page_shift = 12,
                                    .swap = device,
                                    .evict_batch = 8};
    CHECK_OK(rmap_pager_create(&po, &w->p));
    served = w->host;
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

static void verify(struct world *w)
{
    struct rmap_verify_report report;
    int rc = rmap_pager_verify(w->p, &report);
    if (rc) TEST_FAIL("%s: %s: %s", rmap_error_name(rc), report.invariant ? report.invariant : "?", report.text);
}

static void world_fini(struct world *w)
{
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
    verify(w);
    CHECK_OK(rmap_pager_destroy(w->p));
    CHECK_OK(rmap_host_destroy(w->host));
    rmap_memory_fini(&w->memory);
    CHECK_EQ(w->alloc.live_bytes, 0);
}

static volatile uint64_t *word(struct rmap_space *s, rmap_vpn_t vpn)
{
    return (volatile uint64_t *)((char *)rmap_host_base(&rmap_space_member(s)->mmu) + vpn * PAGE);
}

static struct rmap_space *space_with_region(struct world *w, uint64_t pages)
{
    struct rmap_space *s;
    rmap_vpn_t at = 0;
    CHECK_OK(rmap_space_create(w->p, &s));
    CHECK_OK(rmap_space_map(s, &at, pages, RMAP_READ | RMAP_WRITE, RMAP_MAP_FIXED));
    return s;
}

/* a [0,16), b forked from it: their frames change under their projections, are freed lazily and fail. What is loaded and stored
 * is always the page that the entry names: the frames that pages have left are overwritten behind everybody's back. */
RMAP_TEST(pager_host, projections_follow_pages_to_other_frames_and_end_with_them)
{
    struct world w;
    world_init(&w, 64, 0);
    struct rmap_space *a = space_with_region(&w, 16), *b;
    for (unsigned i = 0; i < 16; i++) *word(a, i) = 100 + i;
    CHECK_OK(rmap_space_fork(a, &b));
    for (unsigned i = 0; i < 8; i++) *word(b, i) = 200 + i;
    for (unsigned i = 8; i < 16; i++) CHECK_EQ(*word(b, i) + *word(a, i), 2 * (100 + i));
    for (unsigned half = 0; half < 2; half++) {
        struct rmap *r = rmap_pager_rmap(w.p);
        CHECK(rmap_pager_vacate(w.p, half * 32, 32) > 0);
        for (rmap_pfn_t pfn = half * 32; pfn < half * 32 + 32; pfn++)
            if (!rmap_page_find(r, pfn)->refcount) memset(w.memory.view + pfn * PAGE, 0xee, PAGE);
        for (unsigned i = 0; i < 16; i++) CHECK_EQ(*word(a, i), 100 + i);
        for (unsigned i = 0; i < 16; i++) CHECK_EQ(*word(b, i), i < 8 ? 200 + i : 100 + i);
        verify(&w);
    }
    CHECK_OK(rmap_space_advise(b, 0, 8, RMAP_ADVISE_FREE));
    *word(b, 3) = 303; /* was projected writable: must fault, and be kept */
    CHECK(rmap_reclaim(w.p, 64) > 0);
    CHECK_EQ(*word(b, 3), 303);
    CHECK_EQ(*word(b, 4), 0);
    CHECK_EQ(*word(a, 4), 104);
    uint64_t value;
    const struct rmap_mmu *mmu = &rmap_space_member(a)->mmu;
    struct rmap_mmu_run run;
    CHECK_EQ(*word(a, 5), 105);
    CHECK_OK(mmu->ops->run_find(mmu->ctx, 5, 6, &run));
    const rmap_pfn_t pfn = rmap_pte_pfn(mmu->ops->format, rmap_run_get(mmu, &run, (uint32_t)(5 - run.first)));
    mmu->ops->run_unlock(mmu->ctx, &run);
    *word(a, 5) = 505;
    CHECK_OK(rmap_pager_poison(w.p, pfn, NULL, NULL));
    CHECK_ERR(rmap_host_fault(w.host, (void *)(uintptr_t)word(a, 5), RMAP_READ),
              RMAP_ERR_POISON); /* a load would trap */
    CHECK_ERR(rmap_space_read(a, 5 * PAGE, &value, sizeof value, NULL), RMAP_ERR_POISON);
    verify(&w);
    CHECK_OK(rmap_space_destroy(a));
    CHECK_OK(rmap_space_destroy(b));
    world_fini(&w);
}

/* parent 0: "1" --fork--> child 0.  E5: either side's store stays its own, through live projections (INV-6, DESIGN 6). */
RMAP_TEST(pager_host, fork_withdraws_the_parents_writable_projection)
{
    struct world w;
    world_init(&w, 64, 0);
    struct rmap_space *parent = space_with_region(&w, 4), *child;
    *word(parent, 0) = 1; /* projected writable now */
    CHECK_OK(rmap_space_fork(parent, &child));
    *word(parent, 0) = 2;
    CHECK_EQ(*word(child, 0), 1);
    *word(child, 0) = 3;
    CHECK_EQ(*word(parent, 0), 2);
    CHECK_OK(rmap_space_destroy(child));
    CHECK_OK(rmap_space_destroy(parent));
    world_fini(&w);
}

/* parent 0, pinned, with a live writable projection: the fork leaves it the frame, and the permission to write (E2). */
RMAP_TEST(pager_host, E2_a_pinned_page_is_written_in_place_after_a_fork)
{
    struct world w;
    world_init(&w, 64, 0);
    struct rmap_space *parent = space_with_region(&w, 4), *child;
    const struct rmap_mmu *mmu = &rmap_space_member(parent)->mmu;
    struct rmap *r = rmap_pager_rmap(w.p);
    struct rmap_mmu_run run;
    *word(parent, 0) = 1;
    CHECK_OK(mmu->ops->run_find(mmu->ctx, 0, 1, &run));
    const rmap_pte_t e = rmap_run_get(mmu, &run, (uint32_t)(0 - run.first));
    mmu->ops->run_unlock(mmu->ctx, &run);
    struct rmap_page *page = rmap_page_find(r, rmap_pte_pfn(mmu->ops->format, e));
    volatile uint64_t *frame = rmap_page_address(r, page);
    CHECK_OK(rmap_page_pin(r, page));
    CHECK_OK(rmap_space_fork(parent, &child));
    *word(parent, 0) = 2;
    CHECK_EQ(*frame, 2);
    *frame = 3; /* as a device would */
    CHECK_EQ(*word(parent, 0), 3);
    CHECK_EQ(*word(child, 0), 1);
    rmap_page_unpin(r, page);
    CHECK_OK(rmap_space_destroy(child));
    CHECK_OK(rmap_space_destroy(parent));
    world_fini(&w);
}

/* pages 0-3 written through projections; snapshot; then a load from 1 and a store to 2 */
RMAP_TEST(pager_host, stores_through_projections_after_a_snapshot_are_marked)
{
    struct world w;
    world_init(&w, 64, 0);
    struct rmap_space *s = space_with_region(&w, 4);
    struct rmap_snapped done;
    uint64_t map;
    for (unsigned v = 0; v < 4; v++) *word(s, v) = v;
    CHECK_OK(rmap_space_snapshot(s, 0, 4, &map, &done));
    CHECK_EQ(map, 0xf);
    CHECK_EQ(done.withdrawn, 4);
    CHECK_EQ(*word(s, 1), 1);
    *word(s, 2) = 22;
    *word(s, 2) = 23;
    CHECK_OK(rmap_space_snapshot(s, 0, 4, &map, &done));
    CHECK_EQ(map, 1 << 2);
    CHECK_EQ(done.withdrawn, 1);
    *word(s, 2) = 24;
    CHECK_OK(rmap_space_written(s, 0, 4, &map, NULL));
    CHECK_EQ(map, 1 << 2);
    CHECK_OK(rmap_space_destroy(s));
    world_fini(&w);
}

/* A store to an absent page takes one fault, not a read fault and a write fault. */
RMAP_TEST(pager_host, a_write_faults_once)
{
    struct world w;
    world_init(&w, 64, 0);
    struct rmap_space *s = space_with_region(&w, 4);
    struct rmap_host_stats before, after;
    CHECK_OK(rmap_host_get_stats(w.host, &before));
    *word(s, 1) = 7;
    CHECK_OK(rmap_host_get_stats(w.host, &after));
#if defined(__x86_64__)
    CHECK_EQ(after.faults - before.faults, 1);
#endif
    CHECK_EQ(*word(s, 1), 7);
    CHECK_OK(rmap_space_destroy(s));
    world_fini(&w);
}

/* A system call on memory that is not projected gets EFAULT; the pager's read into projected memory works (no lock held). */
RMAP_TEST(pager_host, system_calls_get_EFAULT_and_the_pager_reads_into_projected_memory)
{
    struct world w;
    world_init(&w, 64, 0);
    struct rmap_space *s = space_with_region(&w, 8);
    *word(s, 0) = 41;
    rmap_host_drop_all(w.host);
    int pipes[2];
    CHECK_EQ(pipe(pipes), 0);
    CHECK_EQ(write(pipes[1], (const void *)word(s, 0), 8), -1);
    CHECK_EQ(errno, EFAULT);
    close(pipes[0]);
    close(pipes[1]);
    /* page 0 is copied to page 5 of the same space, whose faults happen inside the copy to the caller's buffer */
    size_t done = 0;
    CHECK_OK(rmap_space_read(s, 0, (void *)word(s, 5), PAGE, &done));
    CHECK_EQ(done, PAGE);
    CHECK_EQ(*word(s, 5), 41);
    CHECK_OK(rmap_space_write(s, 6 * PAGE, (const void *)word(s, 5), PAGE, NULL));
    CHECK_EQ(*word(s, 6), 41);
    CHECK_OK(rmap_space_destroy(s));
    world_fini(&w);
}

/* A frame that went to another space is not seen through the old projection (D8), whose owner finds its own contents again. */
RMAP_TEST(pager_host, an_evicted_page_is_not_seen_through_its_old_projection)
{
    struct world w;
    world_init(&w, 32, 0);
    struct rmap_space *a = space_with_region(&w, 16), *b = space_with_region(&w, 64);
    for (unsigned i = 0; i < 16; i++) *word(a, i) = 100 + i;
    for (unsigned i = 0; i < 64; i++) *word(b, i) = 200 + i; /* twice the budget: a's frames go */
    struct rmap_pager_stats stats;
    CHECK_OK(rmap_pager_get_stats(w.p, &stats));
    CHECK(stats.evictions > 0);
    for (unsigned i = 0; i < 16; i++) CHECK_EQ(*word(a, i), 100 + i);
    for (unsigned i = 0; i < 64; i++) CHECK_EQ(*word(b, i), 200 + i);
    CHECK_OK(rmap_space_destroy(a));
    CHECK_OK(rmap_space_destroy(b));
    world_fini(&w);
}

struct game {
    struct world w;
    struct prng random;
    struct rmap_space *space[SPACES];
    rmap_vpn_t base[SPACES];
    uint64_t expect[SPACES][PAGES];
};

static void game_fork(struct game *g)
{
    unsigned from = (unsigned)prng_below(&g->random, SPACES), to = (unsigned)prng_below(&g->random, SPACES);
    if (from == to || !g->space[from]) return;
    if (g->space[to]) CHECK_OK(rmap_space_destroy(g->space[to]));
    g->space[to] = NULL;
    CHECK_OK(rmap_space_fork(g->space[from], &g->space[to]));
    g->base[to] = g->base[from];
    memcpy(g->expect[to], g->expect[from], sizeof g->expect[to]);
}

static void window_game_step(struct game *g)
{
    unsigned i = (unsigned)prng_below(&g->random, SPACES), op = (unsigned)prng_below(&g->random, 100);
    rmap_vpn_t page = prng_below(&g->random, PAGES);
    if (!g->space[i]) i = 0;
    if (op < 55) {
        CHECK_EQ(*word(g->space[i], g->base[i] + page), g->expect[i][page]);
    } else if (op < 92) {
        *word(g->space[i], g->base[i] + page) = g->expect[i][page] = prng_next(&g->random);
    } else if (op < 95) {
        game_fork(g);
    } else if (op < 97) { /* the whole range moves inside its window */
        rmap_vpn_t to = RMAP_VPN_NONE;
        CHECK_OK(rmap_space_move(g->space[i], g->base[i], PAGES, PAGES, RMAP_MOVE_MAYMOVE, &to));
        g->base[i] = to;
    } else if (op < 99) {
        rmap_reclaim(g->w.p, 8);
    } else {
        verify(&g->w);
    }
}

/* 12 spaces of 96 pages in 48 frames, loads and stores through windows, forks, moves, reclaim; `vma_limit` mappings at most. */
static void window_play(uint64_t vma_limit, unsigned steps)
{
    static struct game g;
    memset(&g, 0, sizeof g);
    const char *seed = getenv("SEED");
    uint64_t number = seed ? strtoull(seed, NULL, 0) : 20261123;
    fprintf(stderr, "SEED=%llu\n", (unsigned long long)number);
    prng_init(&g.random, number);
    world_init(&g.w, 48, vma_limit);
    g.space[0] = space_with_region(&g.w, PAGES);
    for (unsigned i = 0; i < steps; i++) window_game_step(&g);
    struct rmap_host_stats host;
    struct rmap_pager_stats pager;
    CHECK_OK(rmap_host_get_stats(g.w.host, &host));
    CHECK_OK(rmap_pager_get_stats(g.w.p, &pager));
    CHECK(host.vmas_peak <= host.vma_limit);
    CHECK(pager.frames_peak <= 48);
    CHECK(rmap_memory_resident_bytes(&g.w.memory) <= 48 * PAGE);
    CHECK(pager.shared_evictions > 0);
    for (unsigned i = 0; i < SPACES; i++) {
        if (!g.space[i]) continue;
        for (unsigned k = 0; k < PAGES; k++) CHECK_EQ(*word(g.space[i], g.base[i] + k), g.expect[i][k]);
        CHECK_OK(rmap_space_destroy(g.space[i]));
    }
    world_fini(&g.w);
}

RMAP_TEST(pager_host, random_work_with_the_default_limit_of_mappings)
{
    window_play(0, 20000);
}

/* DESIGN 6: the host's mappings are a TLB: with room for 60 of them everything still works, only slower. */
RMAP_TEST(pager_host, random_work_with_60_mappings)
{
    window_play(60, 10000);
}
