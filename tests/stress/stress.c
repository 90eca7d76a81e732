/* SPDX-License-Identifier: MIT */
/** @file stress/stress.c  The program: options, worlds, progress, verdict. */
#include "core/core.h" /* the points where a debug build may be delayed */
#include "stress/delay.h"
#include "stress/device.h"
#include "stress/world.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <time.h>

#define HANG_SECONDS 120 /* without a single operation's end: not slow, but stuck */

static const char usage[] =
    "usage: stress [--threads N] [--seconds S | --ops N] [--seed X] [--worlds N] [--spaces N] [--frames N] [--no-tlb]\n"
    "              [--quiet]\n"
    "\n"
    "Threads do everything at once to the spaces of one pager, and compare what they find with what it must be.\n"
    "  --threads N   1 to 16 (8)\n"
    "  --seconds S   for that long (10); --ops N: until so many operations are done\n"
    "  --seed X      of choices, delays and sizes ($SEED, or 1); what the scheduler makes of them differs each time\n"
    "  --worlds N    one pager after the other (1), with seeds X, X + 1 ...; they share the seconds; N operations "
    "each\n"
    "  --spaces N    at most, 2 to 64 (10)\n"
    "  --frames N    of memory, 64 to 65536 (192)\n"
    "  --no-tlb      no processors that cache translations\n"
    "  --quiet       no progress\n"
    "The last line says seeds, operations and verdict. Status 0: nothing found; 1: something; 2: misuse.\n";

static struct world world;

/* ---- options ---- */

static bool read_number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 0);
    return !errno && *text && *text != '-' && !*end && *out >= least && *out <= most;
}

static void read_options(struct options *o, int argc, char **argv)
{
    static const struct option known[] = {
        {"threads", required_argument, NULL, 't'},
        {"seconds", required_argument, NULL, 's'},
        {"ops", required_argument, NULL, 'o'},
        {"seed", required_argument, NULL, 'x'},
        {"worlds", required_argument, NULL, 'w'},
        {"spaces", required_argument, NULL, 'n'},
        {"frames", required_argument, NULL, 'f'},
        {"no-tlb", no_argument, NULL, 'T'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    *o =
        (struct options){.threads = 8, .worlds = 1, .spaces = 10, .frames = 192, .seconds = 10, .seed = 1, .tlb = true};
    const char *seed = getenv("SEED");
    uint64_t n = 0;
    bool good = !seed || !*seed || read_number(seed, 0, UINT64_MAX, &o->seed);
    for (int c; good && (c = getopt_long(argc, argv, "h", known, NULL)) != -1;) {
        switch (c) {
        case 't':
            good = read_number(optarg, 1, THREADS_MAX, &n), o->threads = (unsigned)n;
            break;
        case 's':
            good = read_number(optarg, 1, 1000000, &n), o->seconds = (unsigned)n;
            break;
        case 'o':
            good = read_number(optarg, 1, UINT64_MAX, &o->ops);
            break;
        case 'x':
            good = read_number(optarg, 0, UINT64_MAX, &o->seed);
            break;
        case 'w':
            good = read_number(optarg, 1, 1000000, &n), o->worlds = (unsigned)n;
            break;
        case 'n':
            good = read_number(optarg, 2, SLOTS_MAX, &n), o->spaces = (unsigned)n;
            break;
        case 'f':
            good = read_number(optarg, 64, 65536, &n), o->frames = (unsigned)n;
            break;
        case 'T':
            o->tlb = false;
            break;
        case 'q':
            o->quiet = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            good = false;
        }
    }
    if (good && optind == argc) return;
    fprintf(stderr, "stress: bad argument (try --help)\n");
    exit(2);
}

/* ---- a world ---- */

#ifdef RMAP_DEBUG
static void lose_time(void *ctx, enum rmap__yield_point at)
{
    (void)ctx;
    (void)at;
    delay();
}
#endif

static void world_init(struct world *w)
{
    slots_init(w);
    lock_init(&w->pinning);
    pthread_mutex_init(&w->swap, NULL);
    pthread_mutex_init(&w->meeting, NULL);
    pthread_cond_init(&w->met, NULL);
    int rc = rmap_memory_init(&w->memory, w->o.frames, PAGE_SHIFT);
    if (rc) fail(w, "memory: %s", rmap_error_name(rc));
    w->provider = tlb_provider(w);
    w->device[0] = stress_device(w->o.spaces * EXACT * 4);
    const struct rmap_pager_options po = {
        .struct_size = sizeof po,
        .provider = &w->provider,
        .memory = &w->memory,
        .frames = w->o.frames,
        .page_shift = PAGE_SHIFT,
        .swap = w->device[0],
        .commit_limit = w->o.seed % 5 == 4 ? (uint64_t)w->o.spaces * EXACT * 3 / 2 : 0,
        .evict_batch = 1 + (unsigned)(w->o.seed % 3) * 12,
        .swap_around = 1u << w->o.seed / 2 % 5,
    };
    if ((rc = rmap_pager_create(&po, &w->pager))) fail(w, "pager: %s", rmap_error_name(rc));
    w->r = rmap_pager_rmap(w->pager);
#ifdef RMAP_DEBUG
    w->r->yield = lose_time;
    rmap__rank_set_hook(delay_seldom);
#endif
    for (unsigned i = 0; i < w->o.threads; i++) {
        w->worker[i].w = w;
        w->worker[i].number = i;
        prng_init(&w->worker[i].rng, w->o.seed * 1000003 + i);
    }
}

static void world_fini(struct world *w)
{
    rmap_memory_fini(&w->memory);
    pthread_cond_destroy(&w->met);
    pthread_mutex_destroy(&w->meeting);
    pthread_mutex_destroy(&w->swap);
    pthread_rwlock_destroy(&w->pinning);
    slots_fini(w);
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Say how it goes, stop in time, notice if nothing goes any more. */
static void watch(struct world *w)
{
    const struct timespec tick = {.tv_nsec = 50000000};
    const double begin = seconds_now(), end = begin + (double)w->o.seconds / w->o.worlds;
    double said = begin, changed = begin;
    uint64_t last = 0;
    while (atomic_load(&w->running)) {
        nanosleep(&tick, NULL);
        const double now = seconds_now();
        const uint64_t ops = atomic_load(&w->ops);
        if (ops != last) last = ops, changed = now;
        if (now - changed > HANG_SECONDS) fail(w, "no operation has ended for %d seconds", HANG_SECONDS);
        if (!w->o.ops && now >= end) atomic_store(&w->stop, true);
        if (w->o.quiet || now - said < 5) continue;
        said = now;
        fprintf(stderr, "seed %llu: %.0f s, %llu operations, %llu quiet points\n", (unsigned long long)w->o.seed,
                now - begin, (unsigned long long)ops, (unsigned long long)atomic_load(&w->meetings));
    }
}

static void world_run(struct world *w)
{
    world_init(w);
    atomic_store(&w->running, w->o.threads);
    for (unsigned i = 0; i < w->o.threads; i++)
        if (pthread_create(&w->worker[i].thread, NULL, worker_run, &w->worker[i])) fail(w, "no thread can be started");
    watch(w);
    for (unsigned i = 0; i < w->o.threads; i++) pthread_join(w->worker[i].thread, NULL);
    quiet_end(&w->worker[0]);
    world_fini(w);
}

/* The library's own assertions end here. */
#ifdef __has_feature
#define UNDER_TSAN __has_feature(thread_sanitizer)
#elif defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#else
#define UNDER_TSAN 0
#endif

static void aborted(int signal)
{
    (void)signal;
    fail(&world, "the library has stopped the program");
}

int main(int argc, char **argv)
{
    struct options o;
    read_options(&o, argc, argv);
    if (!UNDER_TSAN) signal(SIGABRT, aborted); /* whose reports end in abort, with its own locks held */
    for (unsigned i = 0; i < o.worlds; i++) {
        memset(&world, 0, sizeof world);
        world.o = o;
        world.o.seed = o.seed + i;
        world_run(&world);
        verdict_add(&world);
    }
    verdict_print(&world, "nothing found");
    return 0;
}
