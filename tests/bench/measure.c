/* SPDX-License-Identifier: MIT */
/** @file bench/measure.c  See the header. A row is one JSON object on one line of stdout. */
#include "bench/measure.h"

#include "scale/must.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct bench_settings bench_settings;

static double read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

double clock_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

double cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

static bool begins(const char *text, const char *with)
{
    return !strncmp(text, with, strlen(with));
}

bool wanted(const char *scenario)
{
    const char *only = bench_settings.only;
    return !only || begins(scenario, only) || begins(only, scenario);
}

static bool row_wanted(const char *name)
{
    return !bench_settings.only || begins(name, bench_settings.only);
}

void progress(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    fflush(stderr);
}

static unsigned rows; /* printed so far, absent ones included */

int rows_end(const char *program)
{
    if (fflush(stdout) || ferror(stdout)) {
        fprintf(stderr, "%s: rows are lost: stdout could not be written\n", program);
        return 1;
    }
    if (rows) return 0;
    fprintf(stderr, "%s: no row begins with \"%s\"\n", program, bench_settings.only ? bench_settings.only : "");
    return STATUS_NO_ROW;
}

static char reason[256];

double cannot(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    return -1;
}

/* ---- JSON ---- */

static void print_string(const char *key, const char *text)
{
    printf("\"%s\": \"", key);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') putchar('\\');
        putchar((unsigned char)*text < ' ' ? ' ' : *text);
    }
    printf("\", ");
}

static void print_head(const char *name, const char *unit, const char *system)
{
    rows++;
    putchar('{');
    print_string("name", name);
    print_string("unit", unit);
    print_string("system", system);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_times(const char *name, const char *unit, const char *system, const double *sample, unsigned n)
{
    double *sorted = malloc(n * sizeof *sorted);
    MUST_HOLD(sorted != NULL);
    memcpy(sorted, sample, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_value);
    const double median = n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
    print_head(name, unit, system);
    printf("\"ns\": %.4f, \"spread\": %.4f, \"samples\": [", median, (sorted[n - 1 - n / 4] - sorted[n / 4]) / 2);
    for (unsigned i = 0; i < n; i++) printf("%s%.4f", i ? ", " : "", sample[i]);
    printf("], \"bytes\": null}\n");
    free(sorted);
}

void print_bytes(const char *name, const char *system, const char *unit, double bytes)
{
    if (!row_wanted(name)) return;
    print_head(name, unit, system);
    printf("\"ns\": null, \"spread\": null, \"samples\": [], \"bytes\": %.4f}\n", bytes);
    fflush(stdout);
}

void print_absent(const char *name, const char *system, const char *why)
{
    if (!row_wanted(name)) return;
    progress("  %s: not for %s: %s", name, system, why);
    print_head(name, "", system);
    print_string("absent", why);
    printf("\"ns\": null, \"spread\": null, \"samples\": [], \"bytes\": null}\n");
    fflush(stdout);
}

/* ---- rounds ---- */

/* Once: whoever is asked again after a difference of two times came out below the noise has only his high samples counted. */
static double ask(const struct contestant *c)
{
    reason[0] = 0;
    return c->sample(c->ctx);
}

/* A sample of each contestant that can; sample[i * rounds + round], unless this is the round that is not kept. */
static void take_round(const char *name, const struct contestant *list, unsigned count, bool *out, double *sample,
                       unsigned round, unsigned rounds)
{
    for (unsigned k = 0; k < count; k++) {
        const unsigned i = round % 2 ? count - 1 - k : k; /* who comes after whom is turned round each time */
        if (out[i]) continue;
        const double ns = ask(&list[i]);
        if (ns < 0) {
            out[i] = true;
            print_absent(name, list[i].system, reason[0] ? reason : "not possible on this machine");
        } else if (round < rounds) {
            sample[i * rounds + round] = ns;
        }
    }
}

void measure_rounds(const char *name, const char *unit, const struct contestant *list, unsigned rounds)
{
    unsigned count = 0;
    if (!row_wanted(name)) return;
    while (list[count].system) count++;
    double *sample = calloc((size_t)count * rounds, sizeof *sample);
    bool *out = calloc(count, sizeof *out);
    MUST_HOLD(sample && out && rounds);
    take_round(name, list, count, out, sample, rounds, rounds);
    for (unsigned round = 0; round < rounds; round++) take_round(name, list, count, out, sample, round, rounds);
    for (unsigned i = 0; i < count; i++)
        if (!out[i]) print_times(name, unit, list[i].system, sample + i * rounds, rounds);
    fflush(stdout);
    free(sample);
    free(out);
}

void measure(const char *name, const char *unit, const struct contestant *list)
{
    measure_rounds(name, unit, list, bench_settings.rounds);
}
