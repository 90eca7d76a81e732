/* SPDX-License-Identifier: MIT */
/*
 * options.h - the command line.  Nonsense is one line on stderr and
 * EXIT_BAD_INPUT, before anything has been made.
 */
#ifndef EXAMPLES_SQLITE_OPTIONS_H
#define EXAMPLES_SQLITE_OPTIONS_H

#include "memory.h"

struct options {
    const char *image; /* NULL: build one */
    const char *svg;   /* NULL: no picture */
    int branches;
    size_t memory; /* bytes; 0: the default for the image */
    enum store_swap swap;
    enum store_move move;
    uint64_t seed;
    int threads;     /* that work on branches; with more than one, another one reclaims */
    bool per_branch; /* a table of who has how much */
};

/* Exits with 0 after --help. */
void options_parse(struct options *options, int count, char **arguments);

/* The budget in bytes of whole pages; refuses one that does not press or leaves no room to work. */
size_t options_settle_budget(const struct options *options, size_t image_bytes);

/* Refuses a picture that cannot be written, now and not after a minute, or that would overwrite the image. */
void options_settle_picture(const struct options *options);

#endif
