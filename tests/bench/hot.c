/* SPDX-License-Identifier: MIT */
/**
 * @file bench/hot.c  The hot paths once each, between marks for callgrind: a count of instructions is the same on a busy
 * machine.
 *
 *     valgrind --tool=callgrind --instr-atstart=no --combine-dumps=yes --callgrind-out-file=FILE tests/bench_hot
 *
 * After each path a dump is asked for, whose trigger says "ROW SYSTEM UNITS"; tests/bench/instructions.py makes rows of
 * them. Without callgrind the marks are nothing, and the program shows only that the paths run.
 *
 * Worlds are smaller than those whose times are taken under the same names. look/single/K: 64 of 512 pages, in a shuffled
 * order, one in a call; look/batch/K, age/K, unmap/K: all 512, which are neighbours, in one call. Each is mapped by K spaces.
 */
#include "bench/clan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <valgrind/callgrind.h>

#define PAGES 4096 /* of a space that is forked, written, moved: 8 tables */
#define LOOKED 512 /* pages that are looked for: a table */
#define SINGLE 64  /* of them, one at a time; full_scan shall come to an end */

static void begin(void)
{
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
}

/* `mappers` 0: the path has none in its name. */
static void end(const char *path, unsigned mappers, const char *system, uint64_t units)
{
    CALLGRIND_STOP_INSTRUMENTATION;
    char trigger[128], name[64];
    snprintf(name, sizeof name, mappers ? "%s/%u" : "%s", path, mappers);
    snprintf(trigger, sizeof trigger, "%s %s %" PRIu64, name, system, units);
    CALLGRIND_DUMP_STATS_AT(trigger);
}

/* ---- forks and faults:   parent [0, PAGES) ──fork──▶ child ---- */

/* fork: entries are read-only since the fork before; fork/first: they are writable. */
static struct bench_space *hot_fork(struct clan *c, const char *path)
{
    begin();
    struct bench_space *child = c->sys->fork(c->space[0]);
    end(path, 0, c->sys->name, PAGES);
    return child;
}

static void hot_fork_and_exit(struct clan *c)
{
    c->sys->exit(c->sys->fork(c->space[0])); /* tables, nodes and chunks come from free lists from now on */
    struct bench_space *child = hot_fork(c, "fork");
    begin();
    c->sys->exit(child);
    end("exit", 0, c->sys->name, PAGES);
    clan_mark(c, 0, RMAP_ATTR_WRITE);
    c->sys->exit(hot_fork(c, "fork/first"));
}

static void hot_cow(struct clan *c)
{
    struct bench_space *child = c->sys->fork(c->space[0]);
    begin();
    for (rmap_vpn_t v = 0; v < PAGES; v++) c->sys->write(child, v);
    end("cow", 0, c->sys->name, PAGES);
    c->sys->exit(child);
}

/* All pages are the parent's own. Tables are made on one side and left behind on the other. */
static void hot_move(struct clan *c)
{
    begin();
    c->sys->move(c->space[0], 0, 2 * PAGES, PAGES);
    end("move", 0, c->sys->name, PAGES);
    c->sys->move(c->space[0], 2 * PAGES, 0, PAGES);
}

static void hot_fault(struct clan *c)
{
    const rmap_vpn_t first = 4 * PAGES;
    c->sys->map(c->space[0], first, PAGES);
    begin();
    for (rmap_vpn_t v = first; v < first + PAGES; v++) c->sys->write(c->space[0], v);
    end("fault", 0, c->sys->name, PAGES);
}

static void forks_and_faults(const struct bench_system *sys)
{
    struct clan c;
    clan_open(&c, sys, 1, PAGES, (struct bench_options){.frames = 2 * PAGES + 64});
    hot_fork_and_exit(&c);
    hot_cow(&c);
    hot_move(&c);
    hot_fault(&c);
    clan_close(&c);
}

/* ---- look-ups and verbs:   space[0] [0, LOOKED) ──fork──▶ space[1] … space[mappers - 1] ---- */

static void hot_verb(struct clan *c, const char *path, enum bench_verb verb, struct rmap_page *const *pages, size_t n,
                     size_t batch)
{
    struct bench_tally tally = {0};
    begin();
    verb_ns(c, verb, pages, n, batch, &tally);
    end(path, c->spaces, c->sys->name, tally.hits);
    MUST_HOLD(tally.hits == (uint64_t)n * c->spaces);
}

static void hot_look(struct clan *c, const char *path, struct rmap_page *const *pages, size_t n, size_t batch)
{
    struct bench_tally first = {0};
    verb_ns(c, BENCH_LOOK, pages, n, batch, &first); /* what is found out once for all is found out here */
    hot_verb(c, path, BENCH_LOOK, pages, n, batch);
}

static void hot_age(struct clan *c)
{
    for (unsigned i = 0; i < c->spaces; i++) clan_mark(c, i, RMAP_ATTR_ACCESSED);
    hot_verb(c, "age", BENCH_AGE, c->page, LOOKED, BATCH);
}

static void hot_raw(struct clan *c, const char *path, const uint32_t *order, size_t n)
{
    uint64_t *roots = must_calloc(c->spaces, sizeof *roots);
    struct raw_page *raw = clan_raw(c, order, n);
    for (unsigned i = 0; i < c->spaces; i++) roots[i] = clan_root(c, i);
    begin();
    const uint64_t hits = raw_look(roots, c->spaces, raw, n);
    end(path, c->spaces, "raw", hits);
    MUST_HOLD(hits == (uint64_t)n * c->spaces);
    free(raw);
    free(roots);
}

static void looks_and_verbs(const struct bench_system *sys, unsigned mappers)
{
    struct clan c;
    struct rmap_page *single[SINGLE];
    uint32_t *order = shuffled(LOOKED);
    clan_open(&c, sys, mappers, LOOKED, (struct bench_options){.frames = LOOKED + 64});
    clan_fork(&c);
    for (unsigned i = 0; i < SINGLE; i++) single[i] = c.page[order[i]];
    hot_look(&c, "look/single", single, SINGLE, 1);
    hot_look(&c, "look/batch", c.page, LOOKED, BATCH);
    if (sys == bench_systems[0]) { /* the same tables everywhere */
        hot_raw(&c, "look/single", order, SINGLE);
        hot_raw(&c, "look/batch", NULL, LOOKED);
    }
    hot_age(&c);
    hot_verb(&c, "unmap", BENCH_UNMAP, c.page, LOOKED, BATCH);
    clan_close(&c);
    free(order);
}

int main(void)
{
    static const unsigned mappers[] = {1, 10, 100};
    for (const struct bench_system *const *s = bench_systems; *s; s++) {
        progress("instructions: %s", (*s)->name);
        forks_and_faults(*s);
        for (size_t i = 0; i < sizeof mappers / sizeof *mappers; i++) looks_and_verbs(*s, mappers[i]);
    }
    return 0;
}
