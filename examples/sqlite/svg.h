/* SPDX-License-Identifier: MIT */
/*
 * svg.h - the run as a picture: what is resident, how much of it is shared,
 * and what is on swap, over time.  Samples are thinned out as they grow many.
 */
#ifndef EXAMPLES_SQLITE_SVG_H
#define EXAMPLES_SQLITE_SVG_H

#include "memory.h"

#define SVG_SAMPLES 1200

struct svg_sample {
    double seconds;
    int open_branches;
    struct store_gauges gauges;
};

struct svg_series {
    struct svg_sample samples[SVG_SAMPLES];
    int count;
    double spacing;      /* the least time between two samples, doubled when full */
    double checks_begin; /* when the work ended and the checks began */
};

/* True if a sample is due at `seconds`. */
bool svg_due(const struct svg_series *series, double seconds);
void svg_add(struct svg_series *series, const struct svg_sample *sample);

/* False with errno. */
bool svg_write(const struct svg_series *series, const char *path, const char *title, size_t budget_bytes);

#endif
