/* SPDX-License-Identifier: MIT */
/**
 * @file bench/rivals/play.h  Random programs over one system, and a book that knows at each step who maps what.
 *
 * A *thing* is one page's worth of contents, wherever it is: in a frame, mapped, or on swap. The book has, for each space and
 * page number, which thing is there; so it knows all mappings of a thing without any reverse map, and every verb must find just
 * those.
 * What a system may do one way or another (a move or a swap-in at another place: copy, or keep) the book learns from the
 * entry, and checks that it was allowed.
 *
 *     space:  place 0        place 1 (across two tables)     …  place 5 (far away)
 *             [..region..]   [region][hole][region]
 *
 * A place holds PLACE_PAGES page numbers, with a gap before the next. Regions begin in empty places, and are split by partial
 * unmaps and moves: each run of neighbouring numbers of a place is one region.
 */
#ifndef RMAP_TESTS_BENCH_RIVAL_PLAY_H
#define RMAP_TESTS_BENCH_RIVAL_PLAY_H

#include "bench/system.h"
#include "support/prng.h"
#include "support/test.h"

#define PLAY_SPACES 20
#define PLAY_PLACES 6
#define PLACE_PAGES 24
#define PLAY_FRAMES 4096
#define PLAY_THINGS 8192

struct thing {
    struct rmap_page *page; /* NULL: not in memory, as far as the book knows */
    uint64_t value;         /* at both ends of the contents */
    uint32_t mapped, swapped;
    bool lost;  /* the frame was evicted: the test, as the device, writes the value when it comes back */
    bool moved; /* an entry of it was moved: it may be copied at a swap-in */
    uint32_t next_free;
};

/* What lies at one page number. */
struct cell {
    uint32_t thing; /* 0: none */
    bool region, on_swap;
};

struct actor {
    struct bench_space *s; /* NULL: not living */
    struct cell cell[PLAY_PLACES][PLACE_PAGES];
};

struct play {
    const struct bench_system *system;
    struct bench_world *w;
    struct prng rng;
    bool contents;
    struct actor actor[PLAY_SPACES];
    struct thing thing[PLAY_THINGS]; /* 0 is none */
    uint32_t free_thing, top_thing;
    uint64_t values;
    uint64_t dirty; /* entries of a thing: play_verbs.c */
};

/* ---- play_book.c ---- */
rmap_vpn_t play_vpn(unsigned place, unsigned page);
/** A new thing in `page`, with one mapping; its value is written to the frame if `write`, else must be there. */
uint32_t play_thing_new(struct play *p, struct rmap_page *page, uint64_t value);
/** A mapping or swap entry of the cell goes; a thing that nobody names is no more. The cell's region stays. */
void play_cell_clear(struct play *p, struct cell *c);
uint64_t play_value_in(struct play *p, const struct rmap_page *page);
void play_value_set(struct play *p, const struct rmap_page *page, uint64_t value);
/** No other thing may be in a page that is said to be new. */
void play_check_new_page(struct play *p, const struct rmap_page *page);
/** Everything that can be seen agrees with the book. */
void play_check(struct play *p);
/** Set or clear bits of a present entry, as a walker or a test may. @return the entry before. */
rmap_pte_t play_entry(struct play *p, struct actor *a, rmap_vpn_t vpn, uint64_t set, uint64_t clear);

/* ---- play_steps.c ---- */
void play_fork(struct play *p, struct actor *parent, struct actor *child);
void play_exit(struct play *p, struct actor *a);
void play_map(struct play *p, struct actor *a);
void play_unmap(struct play *p, struct actor *a);
void play_move(struct play *p, struct actor *a);
void play_touch(struct play *p, struct actor *a, unsigned times);
void play_read(struct play *p, struct actor *a);

/* ---- play_verbs.c ---- */
void play_verb(struct play *p, enum bench_verb verb);
void play_evict(struct play *p);

/* ---- play.c ---- */
/** A whole program of `steps`, from a seed, from the first space to the last exit. */
void play(const struct bench_system *system, uint64_t seed, unsigned steps, bool contents, bool track);

#endif
