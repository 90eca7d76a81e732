/* SPDX-License-Identifier: MIT */
/**
 * @file bench/bench.c  What the library and its rivals cost, measured in turn in one run. Rows to stdout, one JSON object a line,
 * as measure.h says; never judged here. tests/bench/run makes a table of them and compares them with the targets.
 */
#include "bench/kernel.h"
#include "bench/measure.h"
#include "bench/scenarios.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

struct scenario {
    void (*run)(void);
    const char *rows[5]; /* beginnings of the names of its rows */
    const char *what;
};

static const struct scenario scenarios[] = {
    {scenario_fork, {"fork", "exit"}, "fork and exit of 256 MiB present; fork of one page"},
    {scenario_fault, {"fault", "cow"}, "first touches, copies on write"},
    {scenario_move, {"move"}, "mremap of own pages, and of inherited ones"},
    {scenario_look, {"look"}, "who maps it: one page, and 512 neighbours, of 1 to 1,000 mappers"},
    {scenario_verbs, {"age", "protect", "unmap", "migrate", "kernel"}, "the other verbs, of 1 to 100 mappers"},
    {scenario_private, {"G1", "G3"}, "1,000 children that write all, or a few, of what they inherit"},
    {scenario_left, {"G5"}, "pages left in one of thousands"},
    {scenario_chain, {"A8"}, "generations without end, each parent exiting"},
    {scenario_two, {"two"}, "pages of two among 1,000, their first owner dead"},
    {scenario_star, {"star"}, "looking into siblings in vain"},
    {scenario_reclaim, {"reclaim"}, "a working set larger than memory"},
    {scenario_bytes, {"bytes"}, "memory kept for the reverse map"},
    {scenario_host, {"host"}, "the host MMU's faults and scans"},
};
#define SCENARIOS (sizeof scenarios / sizeof *scenarios)

static const char usage[] =
    "usage: bench [--quick] [--only NAME] [--rounds N] [--list]\n"
    "What the library and its rivals cost, in turn, in one run: one JSON object a line.\n"
    "  --quick      smaller worlds, fewer rounds: a minute instead of six, on a quiet machine\n"
    "  --only NAME  rows whose name begins so\n"
    "  --rounds N   samples of each (default 15, with --quick 7); few where one takes long\n"
    "  --list       what there is, and go\n"
    "Status 0: rows are written; 1: something failed; 2: misuse, or a world is not as it must be;\n"
    "3: --only names no row.\n";

static void list(void)
{
    for (size_t i = 0; i < SCENARIOS; i++) {
        int width = 0;
        for (size_t k = 0; k < sizeof scenarios->rows / sizeof *scenarios->rows && scenarios[i].rows[k]; k++)
            width += printf("%s ", scenarios[i].rows[k]);
        printf("%*s %s\n", width < 36 ? 36 - width : 0, "", scenarios[i].what);
    }
}

static bool any_wanted(const struct scenario *s)
{
    for (size_t k = 0; k < sizeof s->rows / sizeof *s->rows && s->rows[k]; k++)
        if (wanted(s->rows[k])) return true;
    return false;
}

static void run_all(void)
{
    for (size_t i = 0; i < SCENARIOS; i++) {
        if (!any_wanted(&scenarios[i])) continue;
        const double start = clock_ns();
        scenarios[i].run();
        progress("%-7s %5.1f s  %s", scenarios[i].rows[0], (clock_ns() - start) * 1e-9, scenarios[i].what);
    }
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"quick", no_argument, NULL, 'q'},        {"only", required_argument, NULL, 'o'},
        {"rounds", required_argument, NULL, 'r'}, {"list", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    int name;
    char *end;
    unsigned long rounds = 0;
    while ((name = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (name) {
        case 'q':
            bench_settings.quick = true;
            break;
        case 'o':
            bench_settings.only = optarg;
            break;
        case 'r':
            rounds = strtoul(optarg, &end, 10);
            if (*end || !rounds || rounds > 100) return fputs(usage, stderr), 2;
            break;
        case 'l':
            return list(), 0;
        case 'h':
            return fputs(usage, stdout), 0;
        default:
            return fputs(usage, stderr), 2;
        }
    }
    if (optind < argc) return fputs(usage, stderr), 2;
#ifdef RMAP_DEBUG
    progress("bench: this build checks as it goes (RMAP_DEBUG): use a release build for figures");
#endif
    bench_settings.rounds = rounds ? (unsigned)rounds : bench_settings.quick ? 7 : 15;
    kernel_open();
    run_all();
    kernel_close();
    return rows_end("bench");
}
