/* SPDX-License-Identifier: MIT */
/**
 * @file bench/scenario_move.c  move: mremap of own pages, there and back, and of inherited ones, which some systems must copy.
 * With contents where a copy may be due.
 */
#include "bench/clan.h"
#include "bench/kernel.h"
#include "bench/scenarios.h"

#include <stdlib.h>

#define OWN_PAGES 65536
#define INHERITED_PAGES 4096
#define TIMES 4
#define AWAY (4 * (rmap_vpn_t)OWN_PAGES)

/*  [0, 65536) own  ──move──▶ [262144, 327680) ──move──▶ back  */
static double sample_own(void *ctx)
{
    struct clan *c = ctx;
    const double start = cpu_ns();
    c->sys->move(c->space[0], 0, AWAY, c->pages);
    c->sys->move(c->space[0], AWAY, 0, c->pages);
    return (cpu_ns() - start) / (2.0 * (double)c->pages);
}

/*  parent: [0, 4096) written  ──fork──▶ child, which moves [0, 4096) to [262144, 266240)  */
static double sample_inherited(void *ctx)
{
    struct clan *c = ctx;
    double ns = 0;
    for (unsigned i = 0; i < TIMES; i++) {
        clan_fork(c);
        ns -= cpu_ns();
        c->sys->move(c->space[1], 0, AWAY, c->pages);
        ns += cpu_ns();
        clan_exit(c, 1);
    }
    return ns / TIMES / (double)c->pages;
}

static void own(void)
{
    const unsigned systems = systems_count();
    struct clan *clan = must_calloc(systems, sizeof *clan);
    struct cast cast = {.n = 0};
    for (unsigned i = 0; i < systems; i++) {
        clan_open(&clan[i], bench_systems[i], 1, OWN_PAGES, (struct bench_options){.frames = OWN_PAGES + 64});
        cast_add(&cast, bench_systems[i]->name, sample_own, &clan[i]);
    }
    cast_join(&cast, kernel_mremap());
    measure("move/own", "ns/page", cast.list);
    for (unsigned i = 0; i < systems; i++) clan_close(&clan[i]);
    free(clan);
}

static bool always_copies(const struct bench_system *sys)
{
    return sys == &bench_flat_group || sys == &bench_anonmm;
}

/* move/copy: objrmap beside all; move/track: objrmap by its other policy beside those that leave pages shared. */
static void inherited(const char *name, bool track)
{
    const unsigned systems = systems_count();
    struct clan *clan = must_calloc(systems, sizeof *clan);
    struct cast cast = {.n = 0};
    unsigned n = 0;
    for (unsigned i = 0; i < systems; i++) {
        const struct bench_system *sys = bench_systems[i];
        if (track && always_copies(sys)) continue;
        clan_open(&clan[n], sys, 2, INHERITED_PAGES,
                  (struct bench_options){.frames = 2 * INHERITED_PAGES + 64, .contents = true, .track = track});
        cast_add(&cast, track && sys == &bench_objrmap ? "objrmap-track" : sys->name, sample_inherited, &clan[n++]);
    }
    measure(name, "ns/page", cast.list);
    while (n) clan_close(&clan[--n]);
    free(clan);
}

void scenario_move(void)
{
    if (wanted("move/own")) own();
    if (wanted("move/copy")) inherited("move/copy", false);
    if (wanted("move/track")) inherited("move/track", true);
}
