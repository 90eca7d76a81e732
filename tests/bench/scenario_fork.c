/* SPDX-License-Identifier: MIT */
/**
 * @file bench/scenario_fork.c  fork, fork/first, fork/shared, fork/1, exit: a space of present pages is copied, the copy goes.
 *
 *     row           the parent's entries   a page's count    who is in this state
 *     fork, exit    read-only              1                 a parent that forks again and again, and writes nothing in between
 *     fork/first    writable               1                 a parent that has written all pages since it was forked
 *     fork/shared   read-only              2                 a parent with another child that lives and has written nothing
 */
#include "bench/clan.h"
#include "bench/kernel.h"
#include "bench/scenarios.h"

#include <stdlib.h>
#include <string.h>

#define PAGES 65536 /* 256 MiB */
#define TIMES 8
#define FORKS_OF_ONE 256

static bool last_page_writable(const struct clan *c)
{
    const struct rmap_mmu *mmu = c->sys->mmu(c->space[0]);
    return rmap_pte_get(mmu->ops->format, rmap_radix_peek(mmu, c->pages - 1), RMAP_ATTR_WRITE);
}

/*  parent: [0, 65536) present  ──fork──▶ child ──▶ exit  */
static double forks(struct clan *c, bool written, uint32_t mapcount)
{
    double ns = 0;
    for (unsigned i = 0; i < TIMES; i++) {
        if (written) clan_mark(c, 0, RMAP_ATTR_WRITE); /* as write faults on pages of its own leave them */
        MUST_HOLD(last_page_writable(c) == written && rmap_page_mapcount(c->page[c->pages - 1]) == mapcount);
        ns -= cpu_ns();
        c->space[1] = c->sys->fork(c->space[0]);
        ns += cpu_ns();
        MUST_HOLD(!last_page_writable(c));
        clan_exit(c, 1);
    }
    return ns / TIMES / (double)c->pages;
}
static double sample_fork(void *ctx)
{
    return forks(ctx, false, 1);
}
static double sample_first(void *ctx)
{
    return forks(ctx, true, 1);
}
static double sample_shared(void *ctx)
{
    return forks(ctx, false, 2);
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
    struct cast forks = {.n = 0}, first = {.n = 0}, shared = {.n = 0}, exits = {.n = 0};
    struct copy copy;
    if (!wanted("fork") && !wanted("exit")) {
        free(clan);
        return;
    }
    for (unsigned i = 0; i < systems; i++) {
        clan_open(&clan[i], bench_systems[i], 3, PAGES, (struct bench_options){.frames = PAGES + 64});
        clan[i].sys->exit(clan[i].sys->fork(clan[i].space[0])); /* read-only from here on */
        cast_add(&forks, bench_systems[i]->name, sample_fork, &clan[i]);
        cast_add(&first, bench_systems[i]->name, sample_first, &clan[i]);
        cast_add(&shared, bench_systems[i]->name, sample_shared, &clan[i]);
        cast_add(&exits, bench_systems[i]->name, sample_exit, &clan[i]);
    }
    copy_init(&copy, &clan[0]);
    cast_join(&forks, kernel_fork());
    cast_add(&forks, "memcpy", sample_memcpy, &copy);
    cast_join(&first, kernel_fork_first());
    cast_join(&exits, kernel_exit());
    measure("fork", "ns/page", forks.list);
    measure("fork/first", "ns/page", first.list);
    measure("exit", "ns/page", exits.list);
    if (wanted("fork/shared"))
        for (unsigned i = 0; i < systems; i++) clan[i].space[2] = clan[i].sys->fork(clan[i].space[0]);
    measure("fork/shared", "ns/page", shared.list);
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
