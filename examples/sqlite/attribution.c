/* SPDX-License-Identifier: MIT */
#include "attribution.h"

#include "temporary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void attribution_init(struct attribution *attribution, int most)
{
    *attribution = (struct attribution){.rows = calloc((size_t)most, sizeof(struct attribution_row))};
    if (!attribution->rows) fail(EXIT_RUN_FAILED, "out of memory for %d rows", most);
}

static void add_share(struct memory_share *sum, struct memory_share share)
{
    sum->fraction += share.fraction;
    sum->pages += share.pages + (sum->fraction < share.fraction);
}

void attribution_add(struct attribution *attribution, int branch, int parent, const struct branch_memory *memory)
{
    struct attribution_row *row = &attribution->rows[attribution->count++];
    struct memory_usage *sum = &attribution->sum;
    int error = memory_usage(memory, &row->usage);

    if (error) fail(EXIT_RUN_FAILED, "branch %d cannot be counted: %s", branch, memory_error_text(error));
    row->branch = branch;
    row->parent = parent;
    sum->shared += row->usage.shared;
    sum->exclusive += row->usage.exclusive;
    sum->swapped += row->usage.swapped;
    add_share(&sum->resident, row->usage.resident);
    add_share(&sum->swap, row->usage.swap);
}

/* Each share is rounded down, by far less than one page in all: rounded up, the sum is whole pages again. */
static uint64_t whole_pages(struct memory_share share)
{
    return share.pages + (share.fraction != 0);
}

bool attribution_holds(struct attribution *attribution, const struct store_gauges *gauges)
{
    attribution->resident_pages = gauges->shared_pages + gauges->exclusive_pages;
    return whole_pages(attribution->sum.resident) == attribution->resident_pages;
}

static double mebibytes(struct memory_share share)
{
    const double pages = (double)share.pages + (double)share.fraction / 18446744073709551616.0;

    return pages * MEMORY_PAGE_BYTES / (1 << 20);
}

static void print_row(const char *branch, const char *parent, const struct memory_usage *usage)
{
    printf("  %-8s %8s %10" PRIu64 " %10" PRIu64 " %16.3f %10" PRIu64 " %16.3f\n", branch, parent, usage->shared,
           usage->exclusive, mebibytes(usage->resident), usage->swapped, mebibytes(usage->swap));
}

static const char *name_of(int branch, char text[16])
{
    if (branch < 0) return "-";
    if (branch == 0) return "root";
    snprintf(text, 16, "%d", branch);
    return text;
}

void attribution_print(const struct attribution *attribution)
{
    char branch[16], parent[16];

    puts("\npages of each open branch, end of work; proportional: a page that n branches have counts 1/n");
    printf("  %-8s %8s %10s %10s %16s %10s %16s\n", "branch", "parent", "shared", "exclusive", "proport. MiB",
           "swapped", "proport. MiB");
    for (int i = 0; i < attribution->count; i++) {
        const struct attribution_row *row = &attribution->rows[i];
        print_row(name_of(row->branch, branch), name_of(row->parent, parent), &row->usage);
    }
    print_row("all", "", &attribution->sum);
    printf("resident, the proportions added up: %" PRIu64 " pages; pages that are there: %" PRIu64 "\n",
           whole_pages(attribution->sum.resident), attribution->resident_pages);
}

void attribution_fini(struct attribution *attribution)
{
    free(attribution->rows);
    *attribution = (struct attribution){0};
}
