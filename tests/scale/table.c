/* SPDX-License-Identifier: MIT */
/** @file scale/table.c  See the header. */
#include "scale/table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static unsigned broken;

const char *text(const char *format, ...)
{
    static char texts[4][128];
    static unsigned next;
    char *t = texts[next++ % 4];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(t, sizeof texts[0], format, arguments);
    va_end(arguments);
    return t;
}

/* ---- bounds ---- */

struct verdict {
    char text[160];
    bool ok;
};

static void bound(struct verdict *v, const char *of, double value, double most, bool shown)
{
    const size_t used = strlen(v->text);
    const char *lead = used ? ", " : "";
    if (shown)
        snprintf(v->text + used, sizeof v->text - used, "%s%s %.4g <= %.4g", lead, of, value, most);
    else
        snprintf(v->text + used, sizeof v->text - used, "%s%s <= %.4g", lead, of, most);
    v->ok = v->ok && value <= most;
}

static double per(uint64_t n, uint64_t of)
{
    return of ? (double)n / (double)of : 0;
}

static struct verdict judge(const struct line *l, const struct tally *t)
{
    struct verdict v = {.ok = true};
    if (l->visits_most) bound(&v, "visits", per(t->visits, t->walks), l->visits_most, false);
    if (l->nodes_most) bound(&v, "nodes", per(t->nodes, t->walks), l->nodes_most, false);
    if (l->per_mapper_most) bound(&v, "visits/mapper", per(t->visits, t->hits), l->per_mapper_most, false);
    if (l->bytes_per_space > 0) bound(&v, "bytes", l->bytes_per_space, TREE_BYTES_MOST, false);
    if (l->of) bound(&v, l->of, l->value, l->value_most, true);
    return v;
}

/* ---- the table ---- */

void table_begin(void)
{
    puts("| scenario | what | spaces | pages | walks | mappers/walk | visits/walk | most | visits/mapper | nodes/walk "
         "| tree bytes/space "
         "| bound | ok |\n"
         "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|---|");
}

void table_line(const struct line *l)
{
    static const struct tally none;
    const struct tally *t = l->tally ? l->tally : &none;
    const struct verdict v = judge(l, t);
    printf("| %s | %s | %" PRIu64 " | %" PRIu64 " |", l->scenario, l->what, l->spaces, l->pages);
    if (t->walks)
        printf(" %" PRIu64 " | %.2f | %.3f | %" PRIu64 " | %.2f | %.3f |", t->walks, per(t->hits, t->walks),
               per(t->visits, t->walks), t->most, per(t->visits, t->hits), per(t->nodes, t->walks));
    else
        printf(" | | | | | |");
    if (l->bytes_per_space > 0)
        printf(" %.1f |", l->bytes_per_space);
    else
        printf(" |");
    printf(" %s | %s |\n", v.text[0] ? v.text : "none", !v.ok ? "**no**" : v.text[0] ? "yes" : "-");
    fflush(stdout);
    broken += !v.ok;
}

unsigned table_broken(void)
{
    return broken;
}

/* ---- progress ---- */

#define QUIET_SECONDS 2.0

static const char *row_name;
static double next_word;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void progress_begin(const char *row)
{
    row_name = row;
    next_word = seconds() + QUIET_SECONDS;
}

void progress(const char *what, uint64_t done, uint64_t of)
{
    const double now = seconds();
    if (now < next_word) return;
    fprintf(stderr, "%s: %s, %" PRIu64 " of %" PRIu64 "\n", row_name, what, done, of);
    next_word = now + QUIET_SECONDS;
}
