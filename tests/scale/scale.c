/* SPDX-License-Identifier: MIT */
/**
 * @file scale/scale.c  What walks cost in large groups, and what the fork tree weighs: one table, with bounds on counts.
 *
 * Spaces have an array for entries, frames are descriptors, swap slots only count: what is left is the library's own work.
 * docs/performance.md quotes the table and explains its rows.
 */
#include "scale/table.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    void (*run)(bool quick);
    const char *what;
} rows[] = {
    {"G1", row_private, "children's private pages among very many siblings"},
    {"G2", row_moves, "a child that moves 1,000 regions, by either policy"},
    {"G3", row_zygote, "one parent, very many children, 1 %, 5 %, 10 % written"},
    {"G4", row_chain, "clone, evict, clone again"},
    {"G5", row_left, "inherited pages left in one of 10,000"},
    {"G6", row_regions, "20,000 regions in 32 processes"},
    {"A9", row_sharers, "one page and a million spaces"},
    {"writer", row_writer, "a parent that writes between 1,000 forks"},
    {"star", row_star, "pages left in few of 64 siblings: the known weakness"},
};
#define ROWS (sizeof rows / sizeof *rows)

static void usage(void)
{
    puts("usage: scale [--quick] [--only ROW]\n"
         "Prints one Markdown table of what walks and the fork tree cost in large groups. Status 1 if a bound is "
         "broken.\n"
         "  --quick      smaller worlds, for sanitizers\n"
         "  --only ROW   one of:");
    for (unsigned i = 0; i < ROWS; i++) printf("               %-7s %s\n", rows[i].name, rows[i].what);
}

static int refuse(const char *why, const char *argument)
{
    fprintf(stderr, "scale: %s: %s (try --help)\n", why, argument);
    return 2;
}

int main(int count, char **arguments)
{
    static const struct option names[] = {{"quick", no_argument, NULL, 'q'},
                                          {"only", required_argument, NULL, 'o'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    bool quick = false;
    unsigned only = ROWS;
    int name;

    opterr = 0;
    while ((name = getopt_long(count, arguments, ":", names, NULL)) != -1) {
        switch (name) {
        case 'q':
            quick = true;
            break;
        case 'o':
            for (only = 0; only < ROWS && strcmp(rows[only].name, optarg);) only++;
            if (only == ROWS) return refuse("no such row", optarg);
            break;
        case 'h':
            usage();
            return 0;
        default:
            return refuse(name == ':' ? "needs a value" : "unknown argument", arguments[optind - 1]);
        }
    }
    if (optind < count) return refuse("unknown argument", arguments[optind]);
    table_begin();
    for (unsigned i = 0; i < ROWS; i++) {
        if (only < ROWS && i != only) continue;
        progress_begin(rows[i].name);
        rows[i].run(quick);
    }
    if (table_broken()) fprintf(stderr, "scale: %u bounds broken\n", table_broken());
    return table_broken() ? 1 : 0;
}
