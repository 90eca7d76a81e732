/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>

/* A record of FreeBSD's pv chunks, the leanest of the back pointers in use. */
#define BACK_POINTER_BYTES 24

static const char *const classes[STORE_MAPPER_CLASSES] = {"1", "2", "3-4", "5-8", "9-16", "17-32", "33-64", "65+"};

/* Four texts may be alive at a time: a row has no more. */
static const char *size_text(uint64_t bytes)
{
    static char texts[4][32];
    static int next;
    char *text = texts[next++ % 4];

    if (bytes >= UINT64_C(10) << 30)
        snprintf(text, sizeof texts[0], "%.1f GiB", (double)bytes / (1 << 30));
    else if (bytes >= 10 << 20)
        snprintf(text, sizeof texts[0], "%.1f MiB", (double)bytes / (1 << 20));
    else
        snprintf(text, sizeof texts[0], "%.1f KiB", (double)bytes / (1 << 10));
    return text;
}

static const char *count_text(uint64_t count)
{
    static char texts[4][32];
    static int next;
    char *text = texts[next++ % 4];

    snprintf(text, sizeof texts[0], "%" PRIu64, count);
    return text;
}

static void row(const char *label, const char *objrmap, const char *copies, const char *pointers)
{
    printf("%-42s %14s %14s %18s\n", label, objrmap, copies, pointers);
}

static void same_row(const char *label, const char *text, const char *copies)
{
    row(label, text, copies, text);
}

static double ratio(uint64_t visits, uint64_t of)
{
    return of ? (double)visits / (double)of : 0;
}

double report_lone_visits(const struct report *report)
{
    const struct store_walks *lone = &report->stats.unmap_by_mappers[0];

    return ratio(lone->visits, lone->walks);
}

static void walk_row(const char *what, const char *mappers, const struct store_walks *walks)
{
    if (walks->walks)
        printf("  %-14s %-8s %12" PRIu64 " %14.2f %12.2f\n", what, mappers, walks->walks,
               ratio(walks->visits, walks->walks), ratio(walks->visits, walks->hits));
}

static void walk_table(const struct report *report)
{
    const struct store_stats *stats = &report->stats;

    printf("\nwalks, by the number of mappers at their start\n  %-14s %-8s %12s %14s %12s\n", "walk", "mappers",
           "walks", "visits/walk", "visits/hit");
    for (int i = 0; i < STORE_MAPPER_CLASSES; i++) walk_row("unmap", classes[i], &stats->unmap_by_mappers[i]);
    for (int i = 0; i < STORE_MAPPER_CLASSES; i++) walk_row("look", classes[i], &stats->looks_by_mappers[i]);
    walk_row("ageing", "all", &stats->ageing);
    walk_row("first look-up", "all", &stats->first_lookups);
    puts("look: at pages before their eviction; first look-ups, of all kinds: those that wasted visits and moved a\n"
         "page's bound down, counted in no other row");
    printf("unmap of single-mapper pages, once looked up: %.3f spaces a walk (<= %.2f)\n\n", report_lone_visits(report),
           REPORT_LONE_VISITS_MOST);
}

void report_table(const struct report *report)
{
    const struct store_stats *stats = &report->stats;
    uint64_t pages = report->virtual_bytes / MEMORY_PAGE_BYTES;
    char text[64];

    row("", "objrmap", "plain copies", "back pointers 24 B");
    snprintf(text, sizeof text, "%d + root", report->branches);
    row("branches", text, text, text);
    row("virtual size of those open at the end", size_text(report->virtual_bytes), size_text(report->virtual_bytes),
        size_text(report->virtual_bytes));
    same_row("frames (peak)", size_text(stats->peak_frame_bytes), size_text(report->virtual_bytes));
    same_row("pages shared, end of work", count_text(report->gauges.shared_pages), "0");
    same_row("pages exclusive, end of work", count_text(report->gauges.exclusive_pages), count_text(pages));
    same_row("evictions", count_text(stats->evictions), "-");
    same_row("  of pages mapped by two branches or more", count_text(stats->shared_evictions), "-");
    same_row("swap-ins", count_text(stats->swap_ins), "-");
    same_row("pages copied: on write", count_text(stats->cow_copies), count_text(pages));
    same_row("  by moves (early copy-on-write)", count_text(stats->moves_copied), "-");
    same_row("  by swap-ins after moves", count_text(stats->swap_in_copies), "-");
    same_row("pages re-indexed by moves", count_text(stats->moves_reindexed), "-");
    same_row("pages moved shared, under records", count_text(stats->moved_tracked), "-");
    same_row("  bytes of those records, at the end", count_text(stats->track_bytes), "-");
    row("visits (for how many hits)", count_text(stats->visits), "-", count_text(stats->hits));
    same_row("page tables", size_text(stats->pagetable_bytes), "-");
    row("reverse map beside the pages", size_text(stats->node_bytes), "-",
        size_text(stats->mappings_peak * BACK_POINTER_BYTES));
    snprintf(text, sizeof text, "%.2f", report->bytes_per_mapping);
    row("  bytes per mapping, measured", text, "-", "24");
    row("metadata bytes, all", size_text(stats->metadata_bytes), "-",
        size_text(stats->metadata_bytes - stats->node_bytes + stats->mappings_peak * BACK_POINTER_BYTES));
    same_row("swap (peak)", size_text(stats->swap_bytes_peak), "-");
    if (stats->lz4_bytes_peak) same_row("  compressed, beside the budget", size_text(stats->lz4_bytes_peak), "-");
    printf("SQLite's own heap (peak) %s; resident set (peak, a frame counts once for each projection) %s\n",
           size_text(report->sqlite_heap_peak), size_text(report->peak_rss));
    walk_table(report);
    contention_table(&report->contention, stats);
}

static void number(const char *name, uint64_t value)
{
    printf(",\"%s\":%" PRIu64, name, value);
}

static void walks(const char *name, const struct store_walks *walks, const char *lead)
{
    printf("%s\"%s\":{\"walks\":%" PRIu64 ",\"visits\":%" PRIu64 ",\"hits\":%" PRIu64 "}", lead, name, walks->walks,
           walks->visits, walks->hits);
}

bool report_result(const struct report *report)
{
    const struct store_stats *stats = &report->stats;

    printf("RESULT {\"ok\":%s", report->ok ? "true" : "false");
    number("seed", report->seed);
    printf(",\"move\":\"%s\"", report->move == STORE_MOVE_TRACK ? "track" : "copy");
    number("branches", (uint64_t)report->branches);
    number("branches_checked", (uint64_t)report->branches_checked);
    number("forks_of_forks", (uint64_t)report->forks_of_forks);
    number("image_bytes", report->image_bytes);
    number("virtual_bytes", report->virtual_bytes);
    number("budget_bytes", report->budget_bytes);
    number("peak_frame_bytes", stats->peak_frame_bytes);
    number("evictions", stats->evictions);
    number("shared_evictions", stats->shared_evictions);
    number("swap_ins", stats->swap_ins);
    number("cow_copies", stats->cow_copies);
    number("moves_reindexed", stats->moves_reindexed);
    number("moves_copied", stats->moves_copied);
    number("moved_tracked", stats->moved_tracked);
    number("track_bytes", stats->track_bytes);
    number("swap_in_copies", stats->swap_in_copies);
    number("visits", stats->visits);
    number("hits", stats->hits);
    number("nodes_visited", stats->nodes_visited);
    printf(",\"visits_by_mappers\":");
    for (int i = 0; i < STORE_MAPPER_CLASSES; i++) walks(classes[i], &stats->unmap_by_mappers[i], i ? "," : "{");
    walks("ageing", &stats->ageing, "},");
    walks("looks", &stats->looks, ",");
    walks("first_lookups", &stats->first_lookups, ",");
    number("nodes_live", stats->nodes_live);
    number("node_bytes", stats->node_bytes);
    number("pagetable_bytes", stats->pagetable_bytes);
    number("metadata_bytes", stats->metadata_bytes);
    number("mappings_peak", stats->mappings_peak);
    printf(",\"bytes_per_mapping\":%.6g", report->bytes_per_mapping);
    number("host_vmas_peak", stats->host_vmas_peak);
    number("host_vma_limit", stats->host_vma_limit);
    number("swap_bytes_peak", stats->swap_bytes_peak);
    number("lz4_bytes_peak", stats->lz4_bytes_peak);
    number("sqlite_heap_peak", report->sqlite_heap_peak);
    number("peak_rss", report->peak_rss);
    contention_result(&report->contention, stats);
    printf(",\"seconds\":%.2f}\n", report->seconds);
    return fflush(stdout) == 0 && !ferror(stdout);
}
