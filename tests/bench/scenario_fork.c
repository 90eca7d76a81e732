/* SPDX-License-Identifier: MIT */
/** @file bench/scenario_fork.c  fork, fork/1, exit: a space of present pages is copied, and the copy goes. */
#include "bench/clan.h"
#include "bench/kernel.h"
#include "bench/scenarios.h"

#include <stdlib.h>
#include <string.h>

#define PAGES 65536 /* 256 MiB */
#define TIMES 8
#define FORKS_OF_ONE 256

/*  parent: [0, 65536) present, read-only since its first fork  ──fork──▶ child ──▶ exit  */
static double sample_fork(void *ctx)
{
    struct clan *c = ctx;
    double ns = 0;
    for (unsigned i = 0; i < TIMES; i++) {
        ns -= cpu_ns();
        c->space[1] = c->sys->fork(c->space[0]);
        ns += cpu_ns();
        clan_exit(c, 1);
    }
    return ns / TIMES / (double)c->pages;
}

static double sample_exit(void *ctx)
{
    struct clan *c = ctx;
    double ns = 0;
    for (unsigned i = 0; i < TIMES; i++) {
        c->space[1] = c->sys->fork(c->space[0]);
        ns -= cpu_ns();
        clan_exit(c, 1);
        ns += cpu_ns();
    }
    return ns / TIMES / (double)c->pages;
}

/* ---- the bytes of the parent's tables, copied ---- */

struct copy {
    const void **table;
    size_t tables;
    unsigned char *to;
};

static double sample_memcpy(void *ctx)
{
    struct copy *c = ctx;
    const double start = cpu_ns();
    for (unsigned i = 0; i < TIMES; i++)
        for (size_t t = 0; t < c->tables; t++) memcpy(c->to + t * 4096, c->table[t], 4096);
    return (cpu_ns() - start) / TIMES / PAGES;
}

static void copy_init(struct copy *c, const struct clan *clan)
{
    c->tables = raw_tables(clan_root(clan, 0), NULL, 0);
    c->table = must_calloc(c->tables, sizeof *c->table);
    raw_tables(clan_root(clan, 0), c->table, c->tables);
    c->to = must_calloc(c->tables, 4096);
}

static void copy_fini(struct copy *c)
{
    free(c->table);
    free(c->to);
}

static void large(void)
{
    const unsigned systems = systems_count();
    struct clan *clan = must_calloc(systems, sizeof *clan);
    struct cast forks = {.n = 0}, exits = {.n = 0};
    struct copy copy;
    if (!wanted("fork") && !wanted("exit")) {
        free(clan);
        return;
    }
    for (unsigned i = 0; i < systems; i++) {
        clan_open(&clan[i], bench_systems[i], 2, PAGES, (struct bench_options){.frames = PAGES + 64});
        cast_add(&forks, bench_systems[i]->name, sample_fork, &clan[i]);
        cast_add(&exits, bench_systems[i]->name, sample_exit, &clan[i]);
    }
    copy_init(&copy, &clan[0]);
    cast_join(&forks, kernel_fork());
    cast_add(&forks, "memcpy", sample_memcpy, &copy);
    cast_join(&exits, kernel_exit());
    measure("fork", "ns/page", forks.list);
    measure("exit", "ns/page", exits.list);
    copy_fini(&copy);
    for (unsigned i = 0; i < systems; i++) clan_close(&clan[i]);
    free(clan);
}

/*  parent: [0, 1) present  ──fork──▶ 256 children, which exit untimed  */
static double sample_fork_one(void *ctx)
{
    struct clan *c = ctx;
    double ns = 0;
    for (unsigned k = 0; k < TIMES; k++) {
        ns -= cpu_ns();
        clan_fork(c);
        ns += cpu_ns();
        for (unsigned i = 1; i < c->spaces; i++) clan_exit(c, i);
    }
    return ns / TIMES / (c->spaces - 1);
}

static void of_one(void)
{
    const unsigned systems = systems_count();
    struct clan *clan = must_calloc(systems, sizeof *clan);
    struct cast cast = {.n = 0};
    for (unsigned i = 0; i < systems; i++) {
        clan_open(&clan[i], bench_systems[i], FORKS_OF_ONE + 1, 1, (struct bench_options){.frames = 64});
        cast_add(&cast, bench_systems[i]->name, sample_fork_one, &clan[i]);
    }
    measure("fork/1", "ns/call", cast.list);
    for (unsigned i = 0; i < systems; i++) clan_close(&clan[i]);
    free(clan);
}

void scenario_fork(void)
{
    large();
    if (wanted("fork/1")) of_one();
}
