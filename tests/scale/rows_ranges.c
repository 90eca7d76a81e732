/* SPDX-License-Identifier: MIT */
/** @file scale/rows_ranges.c  G2, G6: what many regions and their moves cost. The core knows no regions. */
#include "scale/table.h"

/* ---- G2 ---- */

#define RANGE 4 /* pages of a region, and as many free ones behind it */

/* 1,000 regions, a fork, then the child moves each: to the mirrored place, so that every move has a distance of its own */
static void moves(uint32_t regions, enum rmap_move_policy policy)
{
    const uint32_t stride = 2 * RANGE, half = regions * stride;
    const bool track = policy == RMAP_MOVE_POLICY_TRACK;
    struct crowd c;
    struct tally look = {0};
    struct rmap_moved sum = {0};
    crowd_open(&c, 2, 2 * (rmap_vpn_t)half, 2 * regions * RANGE);
    for (uint32_t i = 0; i < regions; i++)
        for (uint32_t v = 0; v < RANGE; v++) crowd_write(&c, 0, i * stride + v);
    crowd_fork(&c, 0, 1);
    MUST(rmap_member_set_policy(&c.space[1].m, policy));
    for (uint32_t i = 0; i < regions; i++, progress("moves", i, regions)) {
        struct rmap_moved m = crowd_move(&c, 1, i * stride, half + (regions - 1 - i) * stride, RANGE);
        sum.copied += m.copied;
        sum.tracked += m.tracked;
    }
    for (uint32_t i = 0; i < regions; i++)
        for (uint32_t v = 0; v < RANGE; v++) {
            crowd_look(&c, crowd_page(&c, 0, i * stride + v), &look);
            crowd_look(&c, crowd_page(&c, 1, half + i * stride + v), &look);
        }
    struct line line = {
        .scenario = "G2", .spaces = 2, .pages = regions * RANGE, .tally = &look, .per_mapper_most = 1.01};
    line.what = text("%u regions moved in the child, %s: %lu pages copied, %lu tracked", regions,
                     track ? "TRACK" : "COPY", (unsigned long)sum.copied, (unsigned long)sum.tracked);
    line.of = "bytes of records/move";
    line.value = (double)crowd_stats(&c).track_bytes / regions;
    line.value_most = track ? 40 : 0;
    table_line(&line);
    MUST_HOLD(track ? sum.copied == 0 : sum.tracked == 0);
    crowd_close(&c);
}

void row_moves(bool quick)
{
    (void)quick;
    moves(1000, RMAP_MOVE_POLICY_COPY);
    moves(1000, RMAP_MOVE_POLICY_TRACK);
}

/* ---- G6 ---- */

#define PROCESSES 32

/* `regions` pages with a hole behind each, in 32 processes. @return bytes that the library has for them. */
static size_t in_regions(uint32_t regions, struct tally *look)
{
    struct crowd c;
    crowd_open(&c, PROCESSES, 2 * regions, regions);
    for (uint32_t i = 0; i < regions; i++) crowd_write(&c, 0, 2 * i);
    for (uint32_t k = 1; k < PROCESSES; k++) crowd_fork(&c, 0, k);
    for (uint32_t i = 0; i < regions; i++) crowd_look(&c, crowd_page(&c, 0, 2 * i), look);
    const size_t bytes = c.live_bytes - c.bytes_alone;
    crowd_close(&c);
    return bytes;
}

/* G6.  80 MB, each page a region of its own, in 32 processes, against one region of one page in them */
void row_regions(bool quick)
{
    const uint32_t regions = 20000;
    struct tally look = {0}, unused = {0};
    (void)quick;
    const size_t one = in_regions(1, &unused), many = in_regions(regions, &look);
    struct line line = {.scenario = "G6", .spaces = PROCESSES, .pages = regions, .tally = &look, .per_mapper_most = 1};
    line.what = text("%u regions in each of %u processes", regions, PROCESSES);
    line.bytes_per_space = (double)many / PROCESSES;
    line.of = "bytes/region";
    line.value = ((double)many - (double)one) / regions;
    line.value_most = 0; /* nothing a region, nothing a mapping */
    table_line(&line);
}
