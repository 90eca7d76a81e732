/* SPDX-License-Identifier: MIT */
/**
 * @file bench/replay.c  What recorded programs cost every system, a step; and the whole pager, which does more: regions, commit
 * charges, reclaim lists, a frame's contents cleared and copied. Rows replay/TRACE, and replay/TRACE/bytes: the reverse map at
 * its largest.
 *
 *     bench_replay [--quick] [--rounds N] [--only NAME] TRACE...
 *
 * Status 0: rows are written; 1: something failed; 2: misuse, or a trace that cannot be read; 3: --only names no row.
 */
#include "bench/measure.h"
#include "bench/recording.h"
#include "bench/system.h"
#include "scale/must.h"

#include <inttypes.h>
#include <objrmap/pager.h>
#include <objrmap/space.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_EVERY 256 /* steps between two looks at the bytes, besides after forks */
#define ROUNDS_MAX 100

struct replayed {
    const struct recording *recording;
    const struct bench_system *sys; /* NULL: the pager */
    uint64_t bytes_peak;
};

/* ---- a system ---- */

static void play(const struct bench_system *sys, struct bench_world *w, struct bench_space **space,
                 const struct step *s)
{
    switch (s->verb) {
    case STEP_CREATE:
        space[s->space] = sys->create(w);
        break;
    case STEP_FORK:
        space[s->child] = sys->fork(space[s->space]);
        break;
    case STEP_EXIT:
        sys->exit(space[s->space]);
        break;
    case STEP_MAP:
        sys->map(space[s->space], s->vpn, s->count);
        break;
    case STEP_UNMAP:
        sys->unmap(space[s->space], s->vpn, s->count);
        break;
    case STEP_MOVE:
        sys->move(space[s->space], s->vpn, s->to, s->count);
        break;
    default:
        sys->write(space[s->space], s->vpn);
        break;
    }
}

/* One replay, timed as a whole; or, with `bytes_peak`, looked at now and then. */
static double replay_system(const struct recording *r, const struct bench_system *sys, uint64_t *bytes_peak)
{
    struct bench_space **space = calloc(r->spaces, sizeof(struct bench_space *));
    MUST_HOLD(space != NULL);
    struct bench_world *w = sys->open(&(struct bench_options){.frames = r->pages_peak + 64});
    const double start = cpu_ns();
    for (size_t i = 0; i < r->steps; i++) {
        play(sys, w, space, &r->step[i]);
        if (!bytes_peak || (i % BYTES_EVERY && r->step[i].verb != STEP_FORK)) continue;
        const uint64_t bytes = bench_bytes_kept(sys, w);
        if (bytes > *bytes_peak) *bytes_peak = bytes;
    }
    const double ns = cpu_ns() - start;
    sys->close(w);
    free(space);
    return ns / (double)r->steps;
}

/* ---- the pager ---- */

static void play_pager(struct rmap_pager *pager, struct rmap_space **space, const struct step *s)
{
    rmap_vpn_t at = s->verb == STEP_MOVE ? s->to : s->vpn;
    switch (s->verb) {
    case STEP_CREATE:
        MUST(rmap_space_create(pager, &space[s->space]));
        break;
    case STEP_FORK:
        MUST(rmap_space_fork(space[s->space], &space[s->child]));
        break;
    case STEP_EXIT:
        MUST(rmap_space_destroy(space[s->space]));
        break;
    case STEP_MAP:
        MUST(rmap_space_map(space[s->space], &at, s->count, RMAP_READ | RMAP_WRITE,
                            RMAP_MAP_FIXED | RMAP_MAP_NOREPLACE));
        break;
    case STEP_UNMAP:
        MUST(rmap_space_unmap(space[s->space], s->vpn, s->count));
        break;
    case STEP_MOVE:
        MUST(rmap_space_move(space[s->space], s->vpn, s->count, s->count, RMAP_MOVE_FIXED, &at));
        break;
    default:
        MUST(rmap_space_fault(space[s->space], s->vpn, RMAP_WRITE));
        break;
    }
}

static double replay_pager(const struct recording *r)
{
    struct rmap_radix_options tables = {
        .struct_size = sizeof tables, .geometry = &rmap_radix_x86_64, .caps = RMAP_MMU_NO_TLB};
    struct rmap_mmu_provider provider;
    struct rmap_pager *pager;
    struct rmap_space **space = calloc(r->spaces, sizeof(struct rmap_space *));
    MUST_HOLD(space != NULL);
    MUST(rmap_radix_provider_init(&tables, &provider));
    struct rmap_pager_options options = {
        .struct_size = sizeof options, .provider = &provider, .frames = r->pages_peak + 64, .page_shift = 12};
    MUST(rmap_pager_create(&options, &pager));
    const double start = cpu_ns();
    for (size_t i = 0; i < r->steps; i++) play_pager(pager, space, &r->step[i]);
    const double ns = cpu_ns() - start;
    MUST(rmap_pager_destroy(pager));
    rmap_radix_provider_fini(&provider);
    free(space);
    return ns / (double)r->steps;
}

/* ---- rows ---- */

static double sample(void *ctx)
{
    const struct replayed *p = ctx;
    return p->sys ? replay_system(p->recording, p->sys, NULL) : replay_pager(p->recording);
}

static void rows_of(const char *name, const struct recording *r)
{
    struct contestant list[16] = {{0}};
    struct replayed replayed[16];
    char bytes_name[80];
    unsigned n = 0;
    for (; bench_systems[n]; n++) replayed[n] = (struct replayed){r, bench_systems[n], 0};
    replayed[n] = (struct replayed){r, NULL, 0};
    MUST_HOLD(n + 2 <= sizeof list / sizeof *list);
    for (unsigned i = 0; i <= n; i++)
        list[i] = (struct contestant){i < n ? bench_systems[i]->name : "pager", sample, &replayed[i]};
    measure(name, "ns/step", list);
    snprintf(bytes_name, sizeof bytes_name, "%s/bytes", name);
    if (!wanted(bytes_name)) return;
    for (unsigned i = 0; i < n; i++) {
        replay_system(r, bench_systems[i], &replayed[i].bytes_peak);
        print_bytes(bytes_name, bench_systems[i]->name, "bytes at the peak", (double)replayed[i].bytes_peak);
    }
}

/* "…/shell.trace.xz" is replay/shell. */
static int replay(const char *path)
{
    struct recording r;
    struct trace_error error = {0};
    char name[64];
    const char *file = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    snprintf(name, sizeof name, "replay/%.*s", (int)(strcspn(file, ".") < 40 ? strcspn(file, ".") : 40), file);
    if (!wanted(name)) return 0;
    if (recording_read(path, &r, &error)) {
        fprintf(stderr, "bench_replay: %s:%" PRIu64 ": %s\n", path, error.line, error.text);
        return 2;
    }
    progress("%s: %zu steps: %" PRIu64 " spaces, %" PRIu64 " of them forked, %" PRIu64 " maps, %" PRIu64
             " unmaps, %" PRIu64 " moves, %" PRIu64 " write faults",
             name, r.steps, r.counts[STEP_CREATE] + r.counts[STEP_FORK], r.counts[STEP_FORK], r.counts[STEP_MAP],
             r.counts[STEP_UNMAP], r.counts[STEP_MOVE], r.counts[STEP_WRITE]);
    rows_of(name, &r);
    recording_fini(&r);
    return 0;
}

static int misuse(const char *why)
{
    fprintf(stderr, "bench_replay: %s\nusage: bench_replay [--quick] [--rounds N] [--only NAME] TRACE...\n", why);
    return 2;
}

int main(int count, char **arguments)
{
    int i = 1;
    for (; i < count && !strncmp(arguments[i], "--", 2); i++) {
        if (!strcmp(arguments[i], "--quick")) {
            bench_settings.quick = true;
        } else if (!strcmp(arguments[i], "--only") && i + 1 < count) {
            bench_settings.only = arguments[++i];
        } else if (!strcmp(arguments[i], "--rounds") && i + 1 < count) {
            char *end;
            const unsigned long rounds = strtoul(arguments[++i], &end, 10);
            if (*end || !rounds || rounds > ROUNDS_MAX) return misuse("--rounds wants a number of 1 ... 100");
            bench_settings.rounds = (unsigned)rounds;
        } else {
            return misuse(arguments[i]);
        }
    }
    if (i == count) return misuse("which trace?");
    if (!bench_settings.rounds) bench_settings.rounds = bench_settings.quick ? 3 : 7;
    for (; i < count; i++) {
        const int status = replay(arguments[i]);
        if (status) return status;
    }
    return rows_end("bench_replay");
}
