/* SPDX-License-Identifier: MIT */
/** @file stress/stress.c  The program: options, workers, progress, verdict. */
#include "core/core.h" /* the points where a debug build may be delayed */
#include "stress/delay.h"
#include "stress/device.h"
#include "stress/world.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#define QUIET_EVERY 3000 /* operations */
#define HANG_SECONDS 120 /* without a single operation's end: not slow, but stuck */

static const char usage[] =
    "usage: stress [--threads N] [--seconds S | --ops N] [--seed X] [--spaces N] [--frames N] [--no-tlb] [--quiet]\n"
    "\n"
    "Threads do everything at once to the spaces of one pager, and compare what they find with what it must be.\n"
    "  --threads N   1 to 16 (4)\n"
    "  --seconds S   for that long (10); --ops N: until so many operations are done\n"
    "  --seed X      of the choices and delays (1); what the scheduler makes of them differs each time\n"
    "  --spaces N    at most, 2 to 64 (10)\n"
    "  --frames N    of memory, 64 to 65536 (192)\n"
    "  --no-tlb      no processors that cache translations\n"
    "  --quiet       no progress\n"
    "The last line says seed, operations and verdict. Status 0: nothing found; 1: something; 2: misuse.\n";

static const struct {
    const char *name;
    void (*run)(struct worker *me);
    unsigned weight;
} operations[OP_COUNT] = {
#define OPERATION(name, weight) [OP_##name] = {#name, op_##name, weight}
    OPERATION(write, 220),  OPERATION(read, 120),    OPERATION(look, 120),    OPERATION(fork, 40),
    OPERATION(exit, 34),    OPERATION(exec, 4),      OPERATION(create, 4),    OPERATION(map, 40),
    OPERATION(unmap, 12),   OPERATION(move, 50),     OPERATION(protect, 30),  OPERATION(dontneed, 14),
    OPERATION(free, 20),    OPERATION(snapshot, 24), OPERATION(policy, 6),    OPERATION(pin, 20),
    OPERATION(unpin, 20),   OPERATION(age, 24),      OPERATION(withdraw, 10), OPERATION(each, 12),
    OPERATION(cursor, 20),  OPERATION(reclaim, 20),  OPERATION(vacate, 16),   OPERATION(migrate, 20),
    OPERATION(swapoff, 3),  OPERATION(usage, 10),    OPERATION(stats, 3),     OPERATION(wild, 150),
#undef OPERATION
};

static struct world world;

/* ---- history and failure ---- */

void note(struct worker *me, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(me->history[me->notes % HISTORY], sizeof me->history[0], format, args);
    va_end(args);
    me->notes++;
}

/* Others still write theirs: that does not matter here. */
__attribute__((no_sanitize("thread"))) static void print_histories(const struct world *w)
{
    for (unsigned t = 0; t < w->o.threads; t++) {
        const struct worker *x = &w->worker[t];
        fprintf(stderr, "thread %u, in %s:\n", t, operations[x->now].name);
        for (unsigned i = x->notes < HISTORY ? 0 : x->notes - HISTORY; i < x->notes; i++)
            fprintf(stderr, "  %s\n", x->history[i % HISTORY]);
    }
}

static void print_verdict(const struct world *w, const char *verdict)
{
    printf("seed %llu: %llu operations", (unsigned long long)w->o.seed, (unsigned long long)atomic_load(&w->ops));
    const char *before = " (";
    for (unsigned op = 0; op < OP_COUNT; op++) {
        unsigned long long n = 0;
        for (unsigned t = 0; t < w->o.threads; t++) n += atomic_load(&w->worker[t].done[op]);
        if (n) printf("%s%s %llu", before, operations[op].name, n), before = ", ";
    }
    printf("%s; %s\n", *before == ',' ? ")" : "", verdict);
    fflush(stdout);
}

void fail(struct world *w, const char *format, ...)
{
    static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&first); /* the others stay here */
    va_list args;
    va_start(args, format);
    fprintf(stderr, "stress: ");
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nseed %llu\n", (unsigned long long)w->o.seed);
    print_histories(w);
    print_verdict(w, "FAILED");
    _exit(1);
}

static void aborted(int signal)
{
    (void)signal;
    fail(&world, "the library has stopped the program");
}

int answer(struct worker *me, int rc, const int *allowed, const char *what)
{
    if (!rc) return 0;
    while (*allowed && *allowed != rc) allowed++;
    if (*allowed != rc) fail(me->w, "%s: %s", what, rmap_error_name(rc));
    atomic_fetch_add_explicit(&me->refused, 1, memory_order_relaxed);
    return rc;
}

/* ---- workers ---- */

#ifdef RMAP_DEBUG
static void lose_time(void *ctx, enum rmap__yield_point at)
{
    (void)ctx;
    (void)at;
    delay();
}
#endif

static enum operation choose(struct worker *me, unsigned total)
{
    unsigned n = below(me, total), op = 0;
    while (n >= operations[op].weight) n -= operations[op++].weight;
    return op;
}

static bool may_go_on(struct world *w)
{
    const uint64_t n = atomic_fetch_add(&w->ops, 1);
    if (atomic_load(&w->stop) || (w->o.ops && n >= w->o.ops)) {
        atomic_fetch_sub(&w->ops, 1);
        return false;
    }
    if (n % QUIET_EVERY == QUIET_EVERY - 1) atomic_store(&w->meet, true);
    return true;
}

static void *work(void *ctx)
{
    struct worker *me = ctx;
    unsigned total = 0;
    for (unsigned op = 0; op < OP_COUNT; op++) total += operations[op].weight;
    delay_begin(me->w->o.seed * 31 + me->number, 1 + (unsigned)(me->w->o.seed % 4) * 8);
    while (may_go_on(me->w)) {
        const enum operation op = choose(me, total);
        atomic_store_explicit(&me->now, op, memory_order_relaxed);
        operations[op].run(me);
        atomic_fetch_add_explicit(&me->done[op], 1, memory_order_relaxed);
        quiet_come(me);
    }
    quiet_leave(me);
    return NULL;
}

/* ---- the program ---- */

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
        {"threads", required_argument, NULL, 't'}, {"seconds", required_argument, NULL, 's'},
        {"ops", required_argument, NULL, 'o'},     {"seed", required_argument, NULL, 'x'},
        {"spaces", required_argument, NULL, 'n'},  {"frames", required_argument, NULL, 'f'},
        {"no-tlb", no_argument, NULL, 'T'},        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    *o = (struct options){.threads = 4, .spaces = 10, .frames = 192, .seconds = 10, .seed = 1, .tlb = true};
    bool good = true;
    uint64_t n = 0;
    for (int c; good && (c = getopt_long(argc, argv, "h", known, NULL)) != -1;) {
        switch (c) {
        case 't': good = read_number(optarg, 1, THREADS_MAX, &n), o->threads = (unsigned)n; break;
        case 's': good = read_number(optarg, 1, 1000000, &n), o->seconds = (unsigned)n; break;
        case 'o': good = read_number(optarg, 1, UINT64_MAX, &o->ops); break;
        case 'x': good = read_number(optarg, 0, UINT64_MAX, &o->seed); break;
        case 'n': good = read_number(optarg, 2, SLOTS_MAX, &n), o->spaces = (unsigned)n; break;
        case 'f': good = read_number(optarg, 64, 65536, &n), o->frames = (unsigned)n; break;
        case 'T': o->tlb = false; break;
        case 'q': o->quiet = true; break;
        case 'h': fputs(usage, stdout); exit(0);
        default: good = false;
        }
    }
    if (good && optind == argc) return;
    fprintf(stderr, "stress: bad argument (try --help)\n");
    exit(2);
}

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
    };
    if ((rc = rmap_pager_create(&po, &w->pager))) fail(w, "pager: %s", rmap_error_name(rc));
    w->r = rmap_pager_rmap(w->pager);
#ifdef RMAP_DEBUG
    w->r->yield = lose_time;
#endif
    for (unsigned i = 0; i < w->o.threads; i++) {
        w->worker[i].w = w;
        w->worker[i].number = i;
        prng_init(&w->worker[i].rng, w->o.seed * 1000003 + i);
    }
}

/* Say how it goes, stop in time, notice if nothing goes any more. */
static void watch(struct world *w, atomic_uint *running)
{
    const struct timespec tick = {.tv_nsec = 100000000};
    const time_t begin = time(NULL);
    time_t said = begin, changed = begin;
    uint64_t last = 0;
    while (atomic_load(running)) {
        nanosleep(&tick, NULL);
        const time_t now = time(NULL);
        const uint64_t ops = atomic_load(&w->ops);
        if (ops != last) last = ops, changed = now;
        if (now - changed > HANG_SECONDS) fail(w, "no operation has ended for %d seconds", HANG_SECONDS);
        if (!w->o.ops && now - begin >= (time_t)w->o.seconds) atomic_store(&w->stop, true);
        if (w->o.quiet || now - said < 5) continue;
        said = now;
        fprintf(stderr, "%4u s  %llu operations, %llu quiet points\n", (unsigned)(now - begin), (unsigned long long)ops,
                (unsigned long long)w->meetings);
    }
}

static atomic_uint running;

static void *thread_main(void *ctx)
{
    work(ctx);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

int main(int argc, char **argv)
{
    struct world *w = &world;
    read_options(&w->o, argc, argv);
    signal(SIGABRT, aborted);
    world_init(w);
    atomic_store(&running, w->o.threads);
    for (unsigned i = 0; i < w->o.threads; i++)
        if (pthread_create(&w->worker[i].thread, NULL, thread_main, &w->worker[i])) fail(w, "no thread can be started");
    watch(w, &running);
    for (unsigned i = 0; i < w->o.threads; i++) pthread_join(w->worker[i].thread, NULL);
    quiet_end(&w->worker[0]);
    rmap_memory_fini(&w->memory);
    print_verdict(w, "nothing found");
    return 0;
}
