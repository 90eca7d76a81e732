/* SPDX-License-Identifier: MIT */
/**
 * @file property/game.h  One game: a small pager, its oracle, and the random operations that both are told to do.
 *
 *     16 … 48 frames, 10 spaces of 64 pages, 0 … 700 swap slots: nothing ever fits, so everything is always evicted,
 *     copied, moved, found again
 *
 * The layers: oracle.h says what must be; scan.h reads what is, from page tables and descriptors alone, and compares;
 * ops.h chooses and does operations; tlb_mmu.h and flaky_device.h make the world hostile. A failure prints the seed,
 * the number of the operation, and the last ten operations.
 */
#ifndef RMAP_TESTS_PROPERTY_GAME_H
#define RMAP_TESTS_PROPERTY_GAME_H

#include "property/arena.h"
#include "property/flaky_device.h"
#include "property/oracle.h"
#include "property/scan.h"
#include "support/prng.h"

#include <objrmap/host.h>
#include <objrmap/pager.h>
#include <objrmap/radix.h>
#include <objrmap/space.h>

#define GAME_HISTORY 10
#define GAME_LINE 200
#define GAME_PINS 3

enum game_mmu {
    GAME_RADIX, /* tables without a TLB, in all formats */
    GAME_TLB,   /* property/tlb_mmu.h */
    GAME_HOST,  /* windows of this process, looked at by system calls that cannot fault */
};

/** What is drawn from the seed before the first operation. */
struct game_config {
    enum game_mmu mmu;
    bool errors; /* the device and the allocator fail now and then */
    const struct rmap_radix_geometry *geometry;
    unsigned caps;
    uint64_t frames, slots; /* slots 0: no device */
    bool lz4;
    unsigned evict_batch;
    enum rmap_move_policy policy; /* of new spaces; it changes on the way */
    unsigned fail_alloc;          /* allocations of 1,000, within operations */
    uint64_t commit_limit;
    unsigned verify_every; /* rmap_pager_verify, after so many operations */
    unsigned walk_every; /* all pages by rmap_each_mapping; in between only those at the operation's page numbers … */
    bool walk_touched;   /* … or none, because a walk tightens owners and so hides what wide ones would do */
};

/** What games have done, summed: a run in which one of them stays 0 shows less than it says. */
struct game_totals {
    uint64_t done, refused; /* operations that happened, that gave the error that they had to */
    uint64_t no_frame, device_errors, failed_allocations;
    uint64_t forks, copies, reuses, swap_ins, swap_in_copies, evictions, shared_evictions;
    uint64_t vacated, swapoffs;
    uint64_t reindexed, copied, swap_moved, swap_shared, tightened, incomplete, last_stores;
    uint64_t tracked, records_peak; /* pages moved under a record; records at a time */
};

struct game {
    struct game_config c;
    uint64_t seed, op; /* of this game; number of the operation, from 1 */
    struct prng rng;
    struct oracle o;

    struct arena alloc;
    struct rmap_memory memory;
    struct rmap_host *host;
    int pipe[2]; /* GAME_HOST: copies to and from windows, with EFAULT where a load or store would trap */
    struct flaky_device device;
    struct rmap_pager *p;
    struct rmap *r;
    struct rmap_swap *swap; /* NULL: no device */
    struct rmap_space *space[ORACLE_SPACES];
    struct rmap_page *pinned[GAME_PINS];

    struct scan scan;                      /* as of the end of the last operation */
    struct rmap_pager_stats before, stats; /* of the pager, before and after the operation */
    uint64_t next_stamp;

    /* set by the operation for the checks after it */
    int space_touched; /* -1: none */
    rmap_vpn_t first_touched;
    uint64_t count_touched;
    bool out_of_frames;    /* a fault said NO_FRAME: then nothing must have been evictable … */
    uint64_t free_allowed; /* … and no more than so many frames free: 1 if it may have needed two (for a private
                              copy from swap, where the page may have gone in this very fault) */
    struct game_move {
        int space; /* in which a move is under way, -1: none */
        rmap_vpn_t from, to;
        uint64_t count;
    } move;
    bool freed_nothing; /* a reclaim: then nothing must have been evictable */

    struct game_totals *totals; /* the caller's; may be NULL */
    uint64_t last_stores, records_peak;
    uint64_t failed_before; /* allocations, when the operation began */

    char history[GAME_HISTORY][GAME_LINE];
};

/** Draw the configuration and make the world. */
void game_begin(struct game *g, uint64_t seed, enum game_mmu mmu, bool errors, struct game_totals *totals);
/** The same, decided by a tape (prng.h) as long as it lasts, failures of memory and device included. */
void game_begin_tape(struct game *g, struct tape *tape, enum game_mmu mmu, bool errors, struct game_totals *totals);
/** Do n operations, checked. */
void game_play(struct game *g, uint64_t n);
/** Destroy all spaces, then the pager: nothing may be left anywhere. */
void game_end(struct game *g);

/** Begin the history line of this operation. */
void game_note(struct game *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Append to it. */
void game_note_more(struct game *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Print the sums on one line. */
void game_totals_print(const struct game_totals *t);
/** Print where we are, for a failure or a crash. */
void game_report(const struct game *g);
/** The property does not hold. */
_Noreturn void game_fail(struct game *g, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline uint64_t game_below(struct game *g, uint64_t n)
{
    return prng_below(&g->rng, n);
}
static inline bool game_chance(struct game *g, uint64_t numerator, uint64_t denominator)
{
    return prng_chance(&g->rng, numerator, denominator);
}
static inline struct rmap_member *game_member(const struct game *g, unsigned s)
{
    return rmap_space_member(g->space[s]);
}
static inline unsigned char *game_frame(const struct game *g, rmap_pfn_t pfn)
{
    return g->memory.view + (pfn << ORACLE_PAGE_SHIFT);
}

#endif
