/* SPDX-License-Identifier: MIT */
/** @file oracle/player.h  Playing in a process of its own, watched: see report.h. */
#ifndef RMAP_TESTS_ORACLE_PLAYER_H
#define RMAP_TESTS_ORACLE_PLAYER_H

#include "oracle/program.h"
#include "oracle/report.h"

enum verdict {
    NOTHING_FOUND,
    FOUND,
    TROUBLE,
    GAVE_UP, /* the kernel can be asked no longer */
};

/** How long a player goes on: until there were so many steps, or seconds, whichever is not 0. */
struct span {
    uint64_t seed, steps;
    double seconds;
    size_t length;
};

/** Make the shared report; false: no memory. */
bool player_init(void);
/** Play the programs of seed, seed + 1 … The report says more. */
enum verdict player_draw(const struct span *span, const struct slackness *slack);
/** Play one. `quiet`: what the library prints as it dies is thrown away. */
enum verdict player_play(const struct program *p, const struct slackness *slack, bool quiet);
double seconds_now(void);

#endif
