/* SPDX-License-Identifier: MIT */
/**
 * @file bench/threads.c  What look-ups, faults and forks cost from one thread and from two, on one group and on two. Printed,
 * never judged: no test runs it. docs/performance.md says what it showed, where, and how to repeat it.
 */
#include "bench/family.h"
#include "scale/must.h"

#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 512
#define PAGES 65536 /* for referenced and minor faults: 256 MiB, more than caches and their page tables hold */
#define SWAPPED_PAGES 8192
#define COPIED_PAGES 4096
#define FORKED_PAGES 512
#define FORKS 64
#define LOCKS 1000000

/* ---- the verbs, on pages of the thread's own, in batches of neighbours ---- */

static void age(void *ctx, unsigned thread)
{
    struct family *f = ctx;
    struct rmap_result result[BATCH];
    uint64_t hits = 0;
    for (uint64_t i = 0; i < f->pages; i += BATCH) {
        MUST(rmap_referenced(f->r, f->page[thread] + i, BATCH, RMAP_LOCK_PAGES, result));
        for (unsigned k = 0; k < BATCH; k++) hits += result[k].hits;
    }
    MUST_HOLD(hits == f->pages * f->mappers);
}

static void touch(void *ctx, unsigned thread)
{
    family_touch(ctx, thread);
}

static void unmap(void *ctx, unsigned thread)
{
    struct family *f = ctx;
    struct rmap_result result[BATCH];
    for (uint64_t i = 0; i < f->pages; i += BATCH) {
        MUST(rmap_unmap(f->r, f->page[thread] + i, BATCH, RMAP_LOCK_PAGES, result));
        for (unsigned k = 0; k < BATCH; k++) MUST_HOLD(result[k].outcome == RMAP_DONE && result[k].hits == f->mappers);
    }
}

/* What the lap before has unmapped is in the swap cache still. */
static void map_again(void *ctx, unsigned thread)
{
    struct family *f = ctx;
    for (unsigned m = 0; m < f->mappers; m++)
        for (rmap_vpn_t v = 0; v < f->pages; v++) MUST(rmap_space_fault(f->space[thread][m], v, RMAP_READ));
}

/* ---- faults and forks, on spaces of the thread's own ---- */

static void minor_faults(void *ctx, unsigned thread)
{
    struct family *f = ctx;
    for (rmap_vpn_t v = 0; v < f->pages; v++) MUST(rmap_space_fault(f->space[thread][0], v, RMAP_READ));
}

/* A child for each lap, in the place of the thread's second space. */
static void fresh_child(void *ctx, unsigned thread)
{
    struct family *f = ctx;
    MUST(rmap_space_destroy(f->space[thread][1]));
    MUST(rmap_space_fork(f->space[thread][0], &f->space[thread][1]));
}

static void copy_on_write(void *ctx, unsigned thread)
{
    struct family *f = ctx;
    for (rmap_vpn_t v = 0; v < f->pages; v++) MUST(rmap_space_fault(f->space[thread][1], v, RMAP_WRITE));
}

static struct rmap_space *children[RACE_THREADS][FORKS];

static void drop_children(void *ctx, unsigned thread)
{
    (void)ctx;
    for (unsigned i = 0; i < FORKS && children[thread][i]; i++) MUST(rmap_space_destroy(children[thread][i]));
    memset(children[thread], 0, sizeof children[thread]);
}

static void forks(void *ctx, unsigned thread)
{
    struct family *f = ctx;
    for (unsigned i = 0; i < FORKS; i++) MUST(rmap_space_fork(f->space[thread][0], &children[thread][i]));
}

/* ---- the lock of a group, alone ---- */

static struct {
    _Alignas(128) pthread_rwlock_t lock;
} locks[RACE_THREADS];

static void lock_and_unlock(void *ctx, unsigned thread)
{
    pthread_rwlock_t *lock = &locks[*(bool *)ctx ? 0 : thread].lock;
    for (unsigned i = 0; i < LOCKS; i++) {
        pthread_rwlock_rdlock(lock);
        pthread_rwlock_unlock(lock);
    }
}

/* As the library makes a group's lock. */
static void locks_init(void)
{
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    for (unsigned i = 0; i < RACE_THREADS; i++) pthread_rwlock_init(&locks[i].lock, &attr);
    pthread_rwlockattr_destroy(&attr);
}

static void race_locks(double seconds, bool json)
{
    bool shared = true, own = false;
    const struct course courses[] = {
        {"rwlock, a shared one", "rd+un", 0, 0, LOCKS, NULL, lock_and_unlock, &shared},
        {"rwlock, its own each", "rd+un", 0, 0, LOCKS, NULL, lock_and_unlock, &own},
    };
    struct race_result results[2];
    locks_init();
    race(courses, 2, seconds, results);
    for (unsigned i = 0; i < 2; i++) race_print(&courses[i], &results[i], json);
    if (!json)
        printf("  one rdlock and unlock: %.1f ns of processor alone, %.1f ns when two threads share the lock\n",
               results[0].rate[0].cpu_ns, results[0].rate[1].cpu_ns);
}

/* ---- the table ---- */

struct scene {
    const char *name;
    unsigned mappers;
    uint64_t pages, spare; /* of each thread; frames beside them */
    uint64_t per_lap;
    void (*prepare)(void *ctx, unsigned thread);
    void (*lap)(void *ctx, unsigned thread);
    void (*end)(void *ctx, unsigned thread);
    bool cached;
};

static const struct scene scenes[] = {
    {"referenced", 1, PAGES, 0, PAGES, touch, age, NULL, false},
    {"referenced", 8, PAGES, 0, PAGES, touch, age, NULL, false},
    {"unmap", 1, SWAPPED_PAGES, 0, SWAPPED_PAGES, map_again, unmap, map_again, true},
    {"unmap", 8, SWAPPED_PAGES, 0, SWAPPED_PAGES, map_again, unmap, map_again, true},
    {"fault, minor", 1, PAGES, 0, PAGES, NULL, minor_faults, NULL, false},
    {"fault, copy on write", 2, COPIED_PAGES, 4 * COPIED_PAGES, COPIED_PAGES, fresh_child, copy_on_write, NULL, false},
    {"fork", 1, FORKED_PAGES, 0, (uint64_t)FORKED_PAGES *FORKS, drop_children, forks, drop_children, false},
};
#define SCENES (sizeof scenes / sizeof scenes[0])

/* Both worlds live at once, so that their laps take turns. */
static void race_scene(const struct scene *s, double seconds, bool json)
{
    struct family *f = calloc(2, sizeof *f);
    struct course courses[2];
    struct race_result results[2];
    MUST_HOLD(f != NULL);
    for (unsigned i = 0; i < 2; i++) {
        family_init(&f[i], i + 1, s->mappers, s->pages, s->spare);
        for (unsigned t = 0; s->cached && t < RACE_THREADS; t++) family_cache(&f[i], t);
        courses[i] = (struct course){s->name, "pages", i + 1, s->mappers, s->per_lap, s->prepare, s->lap, &f[i]};
    }
    race(courses, 2, seconds, results);
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned t = 0; s->end && t < RACE_THREADS; t++) s->end(&f[i], t);
        family_fini(&f[i]);
        race_print(&courses[i], &results[i], json);
    }
    free(f);
}

static const char usage[] =
    "usage: bench_threads [--seconds S] [--only WORD] [--json]\n"
    "What look-ups, faults and forks cost from one thread and from two, on one group of spaces and on two.\n"
    "Medians of the laps with their quartiles; all laps of a kind take turns. \"cpu ns\" is the processor's time for "
    "one\n"
    "unit, with one thread and with two: on a busy machine look at that. Needs 1.2 GiB of memory.\n"
    "  --seconds S   for each kind (default 4); with what goes before the laps a run takes two to three times as long\n"
    "  --only WORD   the kinds whose name contains WORD; \"lock\" is one\n"
    "  --json        one object a line instead of a table\n";

int main(int argc, char **argv)
{
    static const struct option names[] = {{"seconds", required_argument, NULL, 's'},
                                          {"only", required_argument, NULL, 'o'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    double seconds = 4;
    const char *only = "";
    bool json = false;
    int name;
    char *end;
    while ((name = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (name) {
        case 's':
            seconds = strtod(optarg, &end);
            if (*end || end == optarg || !(seconds >= 0 && seconds <= 3600)) return fputs(usage, stderr), 2;
            break;
        case 'o':
            only = optarg;
            break;
        case 'j':
            json = true;
            break;
        case 'h':
            return fputs(usage, stdout), 0;
        default:
            return fputs(usage, stderr), 2;
        }
    }
    if (optind < argc) return fputs(usage, stderr), 2;
#ifdef RMAP_DEBUG
    fputs("bench_threads: this build checks as it goes (RMAP_DEBUG): use a release build for figures\n", stderr);
#endif
    race_head(json);
    for (unsigned i = 0; i < SCENES; i++)
        if (strstr(scenes[i].name, only)) race_scene(&scenes[i], seconds, json);
    if (strstr("rwlock", only)) race_locks(seconds, json);
    return 0;
}
