/* SPDX-License-Identifier: MIT */
/*
 * attribution.h - who has how much: what each open branch has of the frames
 * and of swap, alone, shared, and in proportion, where a page that n branches
 * map counts 1/n in each of them.  The proportions of all branches add up to
 * the pages that are there, and that is checked, to the page.
 */
#ifndef EXAMPLES_SQLITE_ATTRIBUTION_H
#define EXAMPLES_SQLITE_ATTRIBUTION_H

#include "memory.h"

struct attribution_row {
    int branch, parent; /* 0 is the root, whose parent is -1 */
    struct memory_usage usage;
};

struct attribution {
    struct attribution_row *rows;
    int count;
    struct memory_usage sum;
    uint64_t resident_pages; /* distinct, by a look at every frame */
};

/* Room for `most` rows. */
void attribution_init(struct attribution *attribution, int most);
void attribution_add(struct attribution *attribution, int branch, int parent, const struct branch_memory *memory);

/* After the last branch, with nothing done in between: do the proportions add up to the pages of the gauges? */
bool attribution_holds(struct attribution *attribution, const struct store_gauges *gauges);

void attribution_print(const struct attribution *attribution);
void attribution_fini(struct attribution *attribution);

#endif
