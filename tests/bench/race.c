/* SPDX-License-Identifier: MIT */
/** @file bench/race.c  See the header. */
#include "bench/race.h"

#include "scale/must.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS_MIN 3
#define ROUNDS_MAX 500

static double read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

struct runner {
    const struct course *course;
    unsigned number;
    pthread_barrier_t *start;
    double from, to, cpu;
};

/* A lap is shorter than the scheduler takes to part two threads that woke on one processor: each keeps to its own. */
static void keep_to_a_processor(unsigned number)
{
    cpu_set_t allowed, one;
    CPU_ZERO(&one);
    if (pthread_getaffinity_np(pthread_self(), sizeof allowed, &allowed)) return;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || number--) continue;
        CPU_SET(cpu, &one);
        pthread_setaffinity_np(pthread_self(), sizeof one, &one); /* if it is refused, the spread shows it */
        return;
    }
}

static void *run_lap(void *arg)
{
    struct runner *r = arg;
    keep_to_a_processor(r->number);
    pthread_barrier_wait(r->start);
    r->from = now();
    r->cpu = -read_clock(CLOCK_THREAD_CPUTIME_ID);
    r->course->lap(r->course->ctx, r->number);
    r->cpu += read_clock(CLOCK_THREAD_CPUTIME_ID);
    r->to = now();
    return NULL;
}

struct lap {
    double rate, cpu; /* units a second; seconds of processor for a unit */
};

/* From the first that starts to the last that is done. */
static struct lap time_lap(const struct course *course, unsigned threads)
{
    pthread_t thread[RACE_THREADS];
    pthread_barrier_t start;
    struct runner r[RACE_THREADS];
    if (course->prepare)
        for (unsigned i = 0; i < threads; i++) course->prepare(course->ctx, i);
    pthread_barrier_init(&start, NULL, threads);
    for (unsigned i = 0; i < threads; i++) {
        r[i] = (struct runner){course, i, &start, 0, 0, 0};
        MUST_HOLD(pthread_create(&thread[i], NULL, run_lap, &r[i]) == 0);
    }
    for (unsigned i = 0; i < threads; i++) pthread_join(thread[i], NULL);
    pthread_barrier_destroy(&start);
    double from = r[0].from, to = r[0].to, cpu = r[0].cpu;
    for (unsigned i = 1; i < threads; i++) {
        if (r[i].from < from) from = r[i].from;
        if (r[i].to > to) to = r[i].to;
        cpu += r[i].cpu;
    }
    const double units = (double)(course->per_lap * threads);
    return (struct lap){units / (to - from), cpu / units};
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *sorted, unsigned n)
{
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static struct rate summary(const struct lap *laps, unsigned n)
{
    double rates[ROUNDS_MAX], cpus[ROUNDS_MAX];
    for (unsigned i = 0; i < n; i++) {
        rates[i] = laps[i].rate;
        cpus[i] = laps[i].cpu;
    }
    qsort(rates, n, sizeof *rates, by_value);
    qsort(cpus, n, sizeof *cpus, by_value);
    return (struct rate){median(rates, n), rates[n / 4], rates[n - 1 - n / 4], median(cpus, n) * 1e9, n};
}

void race(const struct course *courses, unsigned count, double seconds, struct race_result *results)
{
    const unsigned kinds = count * RACE_THREADS;
    struct lap *laps = calloc((size_t)kinds * ROUNDS_MAX, sizeof *laps);
    MUST_HOLD(laps != NULL);
    for (unsigned i = 0; i < count; i++) time_lap(&courses[i], RACE_THREADS); /* caches and page tables are warm now */
    const double end = now() + seconds;
    unsigned rounds = 0;
    while (rounds < ROUNDS_MIN || (rounds < ROUNDS_MAX && now() < end)) {
        for (unsigned i = 0; i < kinds; i++) {
            const unsigned kind = rounds % 2 ? kinds - 1 - i : i;
            laps[kind * ROUNDS_MAX + rounds] = time_lap(&courses[kind / RACE_THREADS], kind % RACE_THREADS + 1);
        }
        rounds++;
    }
    for (unsigned i = 0; i < count; i++) {
        for (unsigned t = 0; t < RACE_THREADS; t++)
            results[i].rate[t] = summary(&laps[(i * RACE_THREADS + t) * ROUNDS_MAX], rounds);
        results[i].ratio = results[i].rate[1].median / results[i].rate[0].median;
    }
    free(laps);
}

void race_head(bool json)
{
    if (!json)
        printf("%-22s %6s %7s %6s %26s %26s %6s %14s %5s\n", "what", "groups", "mappers", "unit", "1 thread: million/s",
               "2 threads: million/s", "2 : 1", "cpu ns: 1, 2", "laps");
}

static void print_number(const char *name, unsigned number, bool json)
{
    if (json)
        printf(",\"%s\":%u", name, number);
    else if (number)
        printf(" %*u", name[0] == 'g' ? 6 : 7, number);
    else
        printf(" %*s", name[0] == 'g' ? 6 : 7, "-");
}

void race_print(const struct course *c, const struct race_result *result, bool json)
{
    if (json)
        printf("{\"what\":\"%s\",\"unit\":\"%s\"", c->name, c->unit);
    else
        printf("%-22s", c->name);
    print_number("groups", c->groups, json);
    print_number("mappers", c->mappers, json);
    if (!json) printf(" %6s", c->unit);
    for (unsigned t = 0; t < RACE_THREADS; t++) {
        const struct rate *r = &result->rate[t];
        if (json)
            printf(",\"threads_%u\":{\"median\":%.0f,\"low\":%.0f,\"high\":%.0f,\"cpu_ns\":%.2f}", t + 1, r->median,
                   r->low, r->high, r->cpu_ns);
        else
            printf("  %8.3f (%6.3f-%6.3f)", r->median * 1e-6, r->low * 1e-6, r->high * 1e-6);
    }
    if (json)
        printf(",\"ratio\":%.3f,\"laps\":%u}\n", result->ratio, result->rate[0].laps);
    else
        printf(" %6.2f %7.1f%7.1f %5u\n", result->ratio, result->rate[0].cpu_ns, result->rate[1].cpu_ns,
               result->rate[0].laps);
    fflush(stdout);
}
