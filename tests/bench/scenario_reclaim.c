/* SPDX-License-Identifier: MIT */
/**
 * @file bench/scenario_reclaim.c  reclaim, reclaim/evicted: eight processes touch more than there are frames for; ns of all work
 * for one touch, and for one page that is evicted: a second by that is how many pages a second go through memory.
 *
 * Reclaim is the plainest there is, the same for all: pages wait in the order in which they came; when frames run out, the
 * first 64 are aged, those touched since they came or were last looked at go to the end, the others are unmapped and
 * written. Who is touched when is drawn from a seed, so every system meets the same faults. Contents are none.
 */
#include "bench/clan.h"
#include "bench/scenarios.h"

#include <stdlib.h>

#define KIN 8
#define SPACE_PAGES 8192
#define INHERITED (SPACE_PAGES / 2)
#define DISTINCT (INHERITED + KIN * INHERITED)
#define FRAMES (DISTINCT * 60 / 100)
#define RECLAIM_BATCH 64
#define WINDOW 1024                             /* pages that a space uses just now */
#define IDENTITIES (DISTINCT + KIN * INHERITED) /* every inherited page may be copied once by everybody */

struct waiting {
    struct rmap_page *page;
    uint32_t id;
};

struct workload {
    struct clan clan;
    struct prng rng;
    uint32_t id[KIN][SPACE_PAGES]; /* which page a space shows there, whether it is in memory or not; 0: none yet */
    uint32_t ids;
    bool *touched; /* by identity: since it was last looked at */
    struct waiting *queue;
    uint64_t head, tail;
    uint64_t touches, faults, evictions;
    struct figures by_touch; /* and by eviction */
};

static struct waiting *place(struct workload *w, uint64_t at)
{
    return &w->queue[at % (2 * FRAMES)];
}

static void reclaim(struct workload *w)
{
    const struct clan *c = &w->clan;
    struct bench_tally tally = {0};
    struct rmap_page *page[RECLAIM_BATCH], *old[RECLAIM_BATCH];
    struct waiting batch[RECLAIM_BATCH];
    unsigned n = 0, unused = 0;
    while (n < RECLAIM_BATCH && w->head != w->tail) {
        batch[n] = *place(w, w->head++);
        page[n] = batch[n].page;
        n++;
    }
    c->sys->verb(c->w, BENCH_AGE, page, n, &tally);
    for (unsigned i = 0; i < n; i++) {
        if (w->touched[batch[i].id]) {
            w->touched[batch[i].id] = false;
            *place(w, w->tail++) = batch[i];
        } else {
            old[unused++] = page[i];
        }
    }
    if (!unused) return;
    c->sys->verb(c->w, BENCH_UNMAP, old, unused, &tally);
    c->sys->evict(c->w, old, unused);
    w->evictions += unused;
}

/* A fault. @return true if it took a frame: the page is new in memory. */
static bool fault(struct workload *w, unsigned space, rmap_vpn_t v, bool write)
{
    const struct clan *c = &w->clan;
    const uint64_t before = c->sys->frames_free(c->w);
    w->faults++;
    if (write)
        c->sys->write(c->space[space], v);
    else
        c->sys->read(c->space[space], v);
    return c->sys->frames_free(c->w) < before;
}

static void wait_in_queue(struct workload *w, unsigned space, rmap_vpn_t v)
{
    *place(w, w->tail++) = (struct waiting){w->clan.sys->page(w->clan.space[space], v), w->id[space][v]};
    MUST_HOLD(w->tail - w->head <= 2 * FRAMES);
}

static void new_identity(struct workload *w, unsigned space, rmap_vpn_t v)
{
    MUST_HOLD(w->ids < IDENTITIES);
    w->id[space][v] = ++w->ids;
    wait_in_queue(w, space, v);
}

static void mark(const struct rmap_mmu *mmu, rmap_vpn_t v, bool write)
{
    const struct rmap_pte_format *f = mmu->ops->format;
    struct rmap_mmu_run run;
    MUST(mmu->ops->run_find(mmu->ctx, v, v + 1, &run));
    const uint32_t slot = (uint32_t)(v - run.first);
    rmap_pte_t e = rmap_pte_set(f, rmap_run_get(mmu, &run, slot), RMAP_ATTR_ACCESSED, true);
    rmap_run_exchange(mmu, &run, slot, write ? rmap_pte_set(f, e, RMAP_ATTR_DIRTY, true) : e);
    mmu->ops->run_unlock(mmu->ctx, &run);
}

static bool suffices(const struct rmap_pte_format *f, rmap_pte_t e, bool write)
{
    return rmap_pte_present(f, e) && (!write || rmap_pte_get(f, e, RMAP_ATTR_WRITE));
}

/* What a processor and a page-fault handler do. */
static void touch(struct workload *w, unsigned space, rmap_vpn_t v, bool write)
{
    const struct rmap_mmu *mmu = w->clan.sys->mmu(w->clan.space[space]);
    const struct rmap_pte_format *f = mmu->ops->format;
    if (!suffices(f, rmap_radix_peek(mmu, v), write)) {
        while (w->clan.sys->frames_free(w->clan.w) < 2) reclaim(w); /* one to read into, one to copy to */
        rmap_pte_t e = rmap_radix_peek(mmu, v);
        if (e && !rmap_pte_present(f, e)) {
            if (fault(w, space, v, false)) wait_in_queue(w, space, v);
            e = rmap_radix_peek(mmu, v);
        }
        if (!suffices(f, e, write) && fault(w, space, v, true)) new_identity(w, space, v);
    }
    w->touched[w->id[space][v]] = true;
    mark(mmu, v, write);
}

/* Nine touches in ten go to a window that creeps on; inherited pages are seldom written. */
static void work(struct workload *w, uint64_t touches)
{
    for (; touches; touches--, w->touches++) {
        const unsigned space = (unsigned)prng_below(&w->rng, KIN);
        const rmap_vpn_t window = (w->touches / 128 + (uint64_t)space * 999) % SPACE_PAGES;
        const bool local = prng_chance(&w->rng, 9, 10);
        const rmap_vpn_t anywhere = prng_below(&w->rng, SPACE_PAGES);
        const rmap_vpn_t v = (local ? window + anywhere % WINDOW : anywhere) % SPACE_PAGES;
        touch(w, space, v, v < INHERITED ? prng_chance(&w->rng, 1, 50) : prng_chance(&w->rng, 1, 2));
    }
}

/*  parent: [0, 4096) written  ──fork──▶ 7 children; each of the eight writes [4096, 8192) of its own; frames for 60 %  */
static void workload_open(struct workload *w, const struct bench_system *sys)
{
    struct clan *c = &w->clan;
    prng_init(&w->rng, 60);
    clan_open_part(c, sys, KIN, SPACE_PAGES, INHERITED, (struct bench_options){.frames = FRAMES, .slots = IDENTITIES});
    w->touched = must_calloc(IDENTITIES + 1, sizeof *w->touched);
    w->queue = must_calloc(2 * FRAMES, sizeof *w->queue);
    for (rmap_vpn_t v = 0; v < INHERITED; v++) new_identity(w, 0, v);
    clan_fork(c);
    for (unsigned s = 1; s < KIN; s++)
        for (rmap_vpn_t v = 0; v < INHERITED; v++) w->id[s][v] = w->id[0][v];
    for (rmap_vpn_t v = INHERITED; v < SPACE_PAGES; v++)
        for (unsigned s = 0; s < KIN; s++) touch(w, s, v, true);
}

static void workload_close(struct workload *w)
{
    clan_close(&w->clan);
    free(w->touched);
    free(w->queue);
}

static double sample_reclaim(void *ctx)
{
    struct workload *w = ctx;
    const uint64_t touches = bench_settings.quick ? 200000 : 1000000;
    const uint64_t evicted = w->evictions;
    const double start = cpu_ns();
    work(w, touches);
    const double ns = cpu_ns() - start;
    MUST_HOLD(w->evictions > evicted);
    figures_put(&w->by_touch, ns / (double)(w->evictions - evicted));
    return ns / (double)touches;
}

void scenario_reclaim(void)
{
    const unsigned systems = systems_count();
    struct workload *w = must_calloc(systems, sizeof *w);
    struct cast touch = {.n = 0}, evicted = {.n = 0};
    for (unsigned i = 0; i < systems; i++) {
        workload_open(&w[i], bench_systems[i]);
        w[i].by_touch = (struct figures){.sample = sample_reclaim, .ctx = &w[i]};
        cast_add(&touch, bench_systems[i]->name, sample_reclaim, &w[i]);
        cast_add(&evicted, bench_systems[i]->name, figures_take, &w[i].by_touch);
    }
    measure("reclaim", "ns/touch", touch.list);
    measure("reclaim/evicted", "ns/page evicted", evicted.list);
    progress("  %lu faults, %lu evictions in every system", (unsigned long)w[0].faults, (unsigned long)w[0].evictions);
    for (unsigned i = 0; i < systems; i++) {
        MUST_HOLD(w[i].faults == w[0].faults && w[i].evictions == w[0].evictions); /* the same work */
        workload_close(&w[i]);
    }
    free(w);
}
