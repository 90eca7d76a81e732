/* SPDX-License-Identifier: MIT */
/** @file stress/worker.c  What a thread does: operations by weight, a note of each, and what happens when one finds something. */
#include "stress/delay.h"
#include "stress/world.h"

#include <stdarg.h>
#include <unistd.h>

#define QUIET_EVERY 3000 /* operations */
#define HOT_FOR 300      /* operations */

static const struct {
    const char *name;
    void (*run)(struct worker *me);
    unsigned weight;
} operations[OP_COUNT] = {
#define OPERATION(name, weight) [OP_##name] = {#name, op_##name, weight}
    OPERATION(write, 220),   OPERATION(read, 120),    OPERATION(look, 120),   OPERATION(fork, 40),
    OPERATION(exit, 34),     OPERATION(exec, 4),      OPERATION(create, 4),   OPERATION(map, 40),
    OPERATION(unmap, 12),    OPERATION(move, 50),     OPERATION(protect, 36), OPERATION(dontneed, 24),
    OPERATION(free, 20),     OPERATION(snapshot, 24), OPERATION(lock, 8),     OPERATION(unlock, 14),
    OPERATION(policy, 6),    OPERATION(pin, 20),      OPERATION(unpin, 20),   OPERATION(age, 40),
    OPERATION(withdraw, 10), OPERATION(each, 12),     OPERATION(cursor, 20),  OPERATION(reclaim, 20),
    OPERATION(vacate, 16),   OPERATION(migrate, 20),  OPERATION(swapoff, 5),  OPERATION(usage, 10),
    OPERATION(stats, 3),     OPERATION(wild, 150),
#undef OPERATION
};

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

/* Of the worlds that have ended. */
static struct {
    unsigned long long ops, done[OP_COUNT];
    uint64_t first_seed;
    bool any;
} ended;

void verdict_add(const struct world *w)
{
    if (!ended.any) ended.first_seed = w->o.seed;
    ended.any = true;
    ended.ops += atomic_load(&w->ops);
    for (unsigned op = 0; op < OP_COUNT; op++)
        for (unsigned t = 0; t < w->o.threads; t++) ended.done[op] += atomic_load(&w->worker[t].done[op]);
}

void verdict_print(const struct world *w, const char *verdict)
{
    if (ended.any && ended.first_seed != w->o.seed)
        printf("seeds %llu to %llu", (unsigned long long)ended.first_seed, (unsigned long long)w->o.seed);
    else
        printf("seed %llu", (unsigned long long)w->o.seed);
    printf(": %llu operations", ended.ops);
    const char *before = " (";
    for (unsigned op = 0; op < OP_COUNT; op++)
        if (ended.done[op]) printf("%s%s %llu", before, operations[op].name, ended.done[op]), before = ", ";
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
    verdict_add(w);
    verdict_print(w, "FAILED");
    _exit(1);
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

static enum operation choose(struct worker *me, unsigned total)
{
    unsigned n = below(me, total), op = 0;
    while (n >= operations[op].weight) n -= operations[op++].weight;
    return op;
}

static bool may_go_on(struct worker *me)
{
    struct world *w = me->w;
    const uint64_t n = atomic_fetch_add(&w->ops, 1);
    if (atomic_load(&w->stop) || (w->o.ops && n >= w->o.ops)) {
        atomic_fetch_sub(&w->ops, 1);
        return false;
    }
    if (n % QUIET_EVERY == QUIET_EVERY - 1) atomic_store(&w->meet, true);
    if (n % HOT_FOR == 0) atomic_store_explicit(&w->hot, below(me, w->o.spaces * AREAS), memory_order_relaxed);
    return true;
}

void *worker_run(void *ctx)
{
    static const unsigned per_1000[] = {1, 4, 12, 40};
    struct worker *me = ctx;
    unsigned total = 0;
    for (unsigned op = 0; op < OP_COUNT; op++) total += operations[op].weight;
    delay_begin(me->w->o.seed * 31 + me->number, per_1000[me->w->o.seed % 4]);
    while (may_go_on(me)) {
        const enum operation op = choose(me, total);
        atomic_store_explicit(&me->now, op, memory_order_relaxed);
        operations[op].run(me);
        atomic_fetch_add_explicit(&me->done[op], 1, memory_order_relaxed);
        quiet_come(me);
    }
    quiet_leave(me);
    atomic_fetch_sub(&me->w->running, 1);
    return NULL;
}
