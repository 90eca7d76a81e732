/* SPDX-License-Identifier: MIT */
/** @file bench/scenario_fault.c  fault, cow: first touches, and writes to what two share; by books alone, and with contents. */
#include "bench/clan.h"
#include "bench/kernel.h"
#include "bench/scenarios.h"

#include <stdlib.h>

#define PAGES 8192 /* 32 MiB: with contents, two of them for each system */

#define TIMES 4

struct toucher {
    const struct bench_system *sys;
    struct bench_world *w;
};

/*  a space: [0, 8192) mapped, nothing present ──▶ each page written once  */
static double sample_fault(void *ctx)
{
    struct toucher *t = ctx;
    double ns = 0;
    for (unsigned i = 0; i < TIMES; i++) {
        struct bench_space *s = t->sys->create(t->w);
        t->sys->map(s, 0, PAGES);
        ns -= cpu_ns();
        for (rmap_vpn_t v = 0; v < PAGES; v++) t->sys->write(s, v);
        ns += cpu_ns();
        t->sys->exit(s);
    }
    return ns / TIMES / PAGES;
}

/*  parent: [0, 8192) written  ──fork──▶ child, which writes each page  */
static double sample_cow(void *ctx)
{
    struct clan *c = ctx;
    double ns = 0;
    for (unsigned i = 0; i < TIMES; i++) {
        clan_fork(c);
        ns -= cpu_ns();
        for (rmap_vpn_t v = 0; v < PAGES; v++) c->sys->write(c->space[1], v);
        ns += cpu_ns();
        clan_exit(c, 1);
    }
    return ns / TIMES / PAGES;
}

static void faults(const char *name, bool contents)
{
    const unsigned systems = systems_count();
    struct toucher *t = must_calloc(systems, sizeof *t);
    struct cast cast = {.n = 0};
    for (unsigned i = 0; i < systems; i++) {
        t[i].sys = bench_systems[i];
        t[i].w = t[i].sys->open(&(struct bench_options){.frames = PAGES + 64, .contents = contents});
        cast_add(&cast, t[i].sys->name, sample_fault, &t[i]);
    }
    if (contents) cast_join(&cast, kernel_fault());
    measure(name, "ns/page", cast.list);
    for (unsigned i = 0; i < systems; i++) t[i].sys->close(t[i].w);
    free(t);
}

static void cows(const char *name, bool contents)
{
    const unsigned systems = systems_count();
    struct clan *clan = must_calloc(systems, sizeof *clan);
    struct cast cast = {.n = 0};
    for (unsigned i = 0; i < systems; i++) {
        clan_open(&clan[i], bench_systems[i], 2, PAGES,
                  (struct bench_options){.frames = 2 * PAGES + 64, .contents = contents});
        cast_add(&cast, bench_systems[i]->name, sample_cow, &clan[i]);
    }
    if (contents) cast_join(&cast, kernel_cow());
    measure(name, "ns/page", cast.list);
    for (unsigned i = 0; i < systems; i++) clan_close(&clan[i]);
    free(clan);
}

void scenario_fault(void)
{
    if (wanted("fault")) faults("fault", false);
    if (wanted("fault/contents")) faults("fault/contents", true);
    if (wanted("cow")) cows("cow", false);
    if (wanted("cow/contents")) cows("cow/contents", true);
}
