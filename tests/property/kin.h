/* SPDX-License-Identifier: MIT */
/**
 * @file property/kin.h  Kin: up to twelve related spaces of eight pages, the core alone, against an exact oracle.
 *
 * The oracle stores what the library does not: for each (space, page number) which *instance* of a page lies there, a
 * number of its own, and the stamp that was written to it. Forks copy instance numbers, copies get new ones. After each
 * operation the page tables are scanned: entries of one instance, and only those, must name one page or slot; so the
 * mappers of a page are known exactly, and walks must find just them.
 *
 *     kin_begin(&g, seed, KIN_DENSE, &totals);  kin_play(&g, 400);  kin_end(&g);
 *
 * The world (support/world.h) resolves faults and watches flushes; kin_ops.c, kin_fork.c, kin_move.c and kin_verbs.c
 * choose and predict, kin_check.c scans and compares. Modelled on the Python model of the fork tree (explore.py, seq).
 */
#ifndef RMAP_TESTS_PROPERTY_KIN_H
#define RMAP_TESTS_PROPERTY_KIN_H

#include "support/prng.h"
#include "support/world.h"

#define KIN_SPACES 12
#define KIN_PAGES 8
#define KIN_FRAMES 128 /* 12 * 8 instances at most, and what is in passing */
#define KIN_PINS 2
#define KIN_HISTORY 16
#define KIN_LINE 240

enum kin_layout {
    KIN_DENSE,  /* neighbouring page numbers in tables of four entries, or around the border of two tables of 512 */
    KIN_SPREAD, /* each in a table of its own or nearly so, in a software and in hardware geometries */
};

/** Drawn from the seed before the first operation. */
struct kin_config {
    struct world_options world;
    rmap_vpn_t vpn[KIN_PAGES]; /* ascending */
    bool dense;                /* they follow each other */
    unsigned pages;            /* of them that are used: 2, 4 or 8 */
    unsigned forks, exits;     /* in 100 operations */
    bool failures;             /* the allocators of memory and frames fail now and then */
    bool walk_all; /* all pages are walked after each operation: it tightens them; else one, and all now and then */
    unsigned verify_every;
};

#define KIN_NOTHING 0
#define KIN_ZERO 1 /* the special frame: read-only, reads 0 */

struct kin_entry {
    uint32_t id;  /* instance; KIN_NOTHING, KIN_ZERO, or unique */
    uint8_t home; /* number of the instance's index: another page number for what was moved while it was shared */
    bool tracked; /* it was so under TRACK: the space's records must cover it */
    bool locked, no_access;
    bool marked; /* written since the last snapshot */
    uint64_t stamp;
};

struct kin_space {
    struct world_space *s; /* NULL: this place is free */
    struct kin_entry at[KIN_PAGES];
};

/** What a scan found. */
struct kin_seen {
    rmap_pte_t entry;
    enum rmap_pte_kind kind;
    rmap_pfn_t pfn;  /* of a mapping */
    rmap_swp_t slot; /* of a swap entry */
};
struct kin_frame {
    unsigned mappers, count; /* bit per place; number of entries */
    uint8_t k[KIN_SPACES];   /* page number at which it is mapped, of each mapper */
    bool young, dirty, locked;
};
struct kin_scan {
    struct kin_seen at[KIN_SPACES][KIN_PAGES];
    struct kin_frame frame[KIN_FRAMES];
};

/** What games have done, summed: where one stays 0, less is shown than is said. X(name) */
#define KIN_TOTALS(X)                                                                                                  \
    X(forks)                                                                                                           \
    X(fork_copied) X(steps) X(meanwhile) X(aborts) X(exits) X(execs) X(reads) X(writes) X(reuses) X(copies)            \
        X(swap_ins) X(swap_in_copies) X(zaps) X(reindexed) X(copied) X(swap_moved) X(swap_shared) X(undone) X(aged)    \
            X(protected_) X(unmaps) X(unmaps_partial) X(migrated) X(freed) X(discarded) X(evicted) X(changed)          \
                X(snapshots) X(pins) X(refused) X(failed) X(tightened) X(policies) X(tracked) X(swap_ins_tracked)
struct kin_totals {
#define KIN_TOTAL_FIELD(name) uint64_t name;
    KIN_TOTALS(KIN_TOTAL_FIELD)
#undef KIN_TOTAL_FIELD
};

struct kin {
    struct kin_config c;
    uint64_t seed, op; /* of this game; number of the operation, from 1 */
    struct prng rng;
    struct world w;
    struct kin_space place[KIN_SPACES];
    struct rmap_page *pinned[KIN_PINS];
    struct kin_scan scan; /* as of the last kin_scan_take */
    uint32_t last_id;
    uint64_t last_stamp;
    struct kin_totals *totals;
    bool reported;
    char history[KIN_HISTORY][KIN_LINE];
};

/* ---- kin.c ---- */
void kin_begin(struct kin *g, uint64_t seed, enum kin_layout layout, struct kin_totals *totals);
/** The same, decided by a tape (prng.h) as long as it lasts. */
void kin_begin_tape(struct kin *g, struct tape *tape, enum kin_layout layout, struct kin_totals *totals);
/** Do n operations, checked. */
void kin_play(struct kin *g, uint64_t n);
/** All spaces exit in any order, checked; nothing may be left. */
void kin_end(struct kin *g);
/** Begin the history line of this operation; append to it. */
void kin_note(struct kin *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
void kin_note_more(struct kin *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Print the last operations and how to do them again, once. */
void kin_report(struct kin *g);
_Noreturn void kin_fail(struct kin *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** One line of sums. */
void kin_totals_print(const struct kin_totals *t);

/* ---- kin_check.c ---- */
void kin_scan_take(struct kin *g);
/** Scan and compare with the oracle; `quiet`: no fork is under way, so nothing stale may be cached either. */
void kin_check(struct kin *g, bool quiet);
/** Walk one page, or all, and compare the mappers. */
void kin_check_walk(struct kin *g, unsigned n);
void kin_check_walks(struct kin *g);
/** The page or slot at page k was just found to be the space's alone: nobody else may be its candidate any more. */
void kin_check_alone(struct kin *g, const struct kin_space *p, unsigned k);

/* ---- kin_swap.c ---- */
/** Look up the slot whose entry the last scan saw in place n at page k; or all slots. */
void kin_check_slot(struct kin *g, unsigned n, unsigned k);
void kin_check_slots(struct kin *g);

/* ---- kin_ops.c ---- */
void kin_random(struct kin *g);
/** May the page of this entry be mapped where the entry lies, so that a swap-in is no copy? */
bool kin_covered(struct kin *g, const struct kin_space *p, unsigned k);
/** Entries, of all spaces, of the instance. */
unsigned kin_holders(const struct kin *g, uint32_t id);
/** A frame or memory is about to be needed: let it fail now and then. @return whether. */
bool kin_failing_begin(struct kin *g);
void kin_failing_end(struct kin *g);
/** Something that may happen while the fork of `p` to `c` is being copied. */
void kin_meanwhile(struct kin *g, const struct kin_space *p, const struct kin_space *c);
/** Zap pages [k, k + n) of the space, in library and oracle. */
void kin_zap(struct kin *g, struct kin_space *p, unsigned k, unsigned n);
void kin_exit(struct kin *g, struct kin_space *p);

/* ---- kin_fork.c, kin_move.c, kin_verbs.c ---- */
void kin_fork(struct kin *g, struct kin_space *p);
void kin_move(struct kin *g, struct kin_space *p);
/** A page verb on a random batch of pages. */
void kin_verb(struct kin *g);
/** kin_frames.c: rmap_migrate and rmap_discard on some pages, rmap_free_lazily on a range. */
void kin_migrate(struct kin *g);
void kin_discard(struct kin *g);
void kin_free_lazily(struct kin *g, struct kin_space *p);
/** rmap_protect on a range. */
void kin_protect(struct kin *g, struct kin_space *p);
/** rmap_snapshot on a range. */
void kin_snapshot(struct kin *g, struct kin_space *p);

static inline unsigned kin_below(struct kin *g, unsigned n)
{
    return (unsigned)prng_below(&g->rng, n);
}
static inline unsigned kin_number(const struct kin *g, const struct kin_space *p)
{
    return (unsigned)(p - g->place);
}
static inline const struct kin_seen *kin_seen(const struct kin *g, const struct kin_space *p, unsigned k)
{
    return &g->scan.at[kin_number(g, p)][k];
}
static inline bool kin_maps(enum rmap_pte_kind k)
{
    return k == RMAP_PTE_PRESENT || k == RMAP_PTE_NO_ACCESS;
}
static inline struct rmap_page *kin_page(struct kin *g, unsigned n)
{
    return world_descriptor(&g->w, n);
}
/** Last page number + 1 of pages [k, k + n). */
static inline uint64_t kin_length(const struct kin *g, unsigned k, unsigned n)
{
    return g->c.vpn[k + n - 1] - g->c.vpn[k] + 1;
}

#endif
