/* SPDX-License-Identifier: MIT */
/**
 * @file replay/player.h  Plays the events of a trace on a pager, and checks what it makes of them.
 *
 * Spaces have page tables of the x86-64 geometry. Each write fault is followed by a look at what the page contained
 * until then and by a new stamp over all of it, each read fault by a look. At quiet points, and when a space exits, it has
 * entries for the pages that the trace touched and for no others, and some of them (or all) are read, wherever they are by
 * then; at quiet points the pager's books are verified, and its regions compared with the trace's.
 */
#ifndef RMAP_TESTS_REPLAY_PLAYER_H
#define RMAP_TESTS_REPLAY_PLAYER_H

#include "replay/book.h"
#include "replay/figures.h"

#include <objrmap/space.h>

enum player_swap { PLAYER_LZ4_OR_FILE, PLAYER_LZ4, PLAYER_FILE };

struct player_options {
    enum rmap_move_policy policy;
    enum player_swap swap;
    uint64_t frames;
    uint64_t slots;
    bool check_all; /**< pages; else a sample of each space's */
};

struct player {
    struct player_options options;
    struct rmap_mmu_provider provider;
    struct rmap_pager *pager;
    const char *swap_name;
    struct book book;
    uint64_t looks; /**< at pages that had just been faulted in: a fault each that found its page there */
    uint64_t pages_checked, verifications;
    struct figures checking; /**< what the other checks cost */
    struct trace_error *error;
};

/** `error` tells what went wrong, here and later. @return 0; -1 */
int player_open(struct player *p, const struct player_options *options, struct trace_error *error);
/** Play an event that was checked by book_check on p->book. @return 0; -1 */
int player_play(struct player *p, const struct trace_event *e);
/** A quiet point, after `line`. @return 0; -1 */
int player_check(struct player *p, uint64_t line);
/** What the trace has cost until now. @return 0; -1 */
int player_figures(struct player *p, struct figures *out);
/** Live spaces exit. @return 0; -1 if something is left that should not be */
int player_close(struct player *p);

#endif
