/* SPDX-License-Identifier: MIT */
/**
 * @file testing/kit.h  Insides of the conformance kit: the state of a run, and the few steps that cases are made of.
 *
 *     run.c          the driver: fresh MMUs for each case, order, patience   rules.c   the table of rules and cases
 *     entries.c      steps on entries                                        mmus.c    MMUs made, emptied, destroyed
 *     form.c, runs.c, tables.c, content.c, peek.c, access.c, flush.c, race.c, core_scenario.c   the cases
 *     core_world.c   frames and spaces for the core     core_verbs.c   the core's verbs as the scenario uses them
 *
 * A case is a function that returns when it is done, or at the first thing that is wrong, and then holds no run. Public
 * headers only: whatever is done here can be done by an embedder.
 */
#ifndef RMAP_TESTING_KIT_H
#define RMAP_TESTING_KIT_H

#include <objrmap/testing.h>

#define RMAP__KIT_MMUS 2
#define RMAP__KIT_VPNS 72        /* samples of page numbers */
#define RMAP__KIT_RUNS_MAX 65536 /* runs that one sweep of a space may meet */

struct rmap__kit;

/** One MMU under test; the ctx of the client that its provider received. */
struct rmap__kit_mmu {
    struct rmap_mmu mmu;
    bool open;
};

struct rmap__kit {
    const struct rmap_testing_mmu *t;
    struct rmap__kit_mmu mmu[RMAP__KIT_MMUS]; /* the first is open in every case */
    const struct rmap_mmu_ops *o;             /* the first one's */
    const struct rmap_pte_format *f;
    rmap_vpn_t pages;
    rmap_vpn_t vpn[RMAP__KIT_VPNS]; /* ascending: both ends, middle, either side of every power of two */
    unsigned vpns;
    int error;        /* of create(): the run cannot go on */
    const char *skip; /* why the case cannot be looked at, or NULL */
    bool failed;
    char text[240];
};

/** What a case asks for; without it, it is skipped. */
enum rmap__kit_need {
    KIT_TOUCH = 1 << 0,
    KIT_THREADS = 1 << 1,
    KIT_FAIL_TABLES = 1 << 2,
    KIT_SET_ACTIVE = 1 << 3, /* and active() */
    KIT_UPDATE = 1 << 4,
    KIT_TRIM = 1 << 5,
    KIT_TABLE_BYTES = 1 << 6,
    KIT_TLB = 1 << 7,
    KIT_NO_TLB = 1 << 8,
    KIT_EXACT = 1 << 9,
    KIT_ACCESSED = 1 << 10, /* the format has the attribute */
    KIT_DIRTY = 1 << 11,
    KIT_PEEK = 1 << 12, /* run_peek and run_lock */
};

/** Cases of a step rely on the rules of those before. */
enum rmap__kit_step { KIT_FORM, KIT_RUNS, KIT_TABLES, KIT_CONTENT, KIT_ACCESS, KIT_FLUSH, KIT_CORE };

struct rmap__kit_case {
    struct rmap_testing_rule rule;
    enum rmap__kit_step step;
    unsigned needs;
    void (*run)(struct rmap__kit *k);
};

/* ---- rules.c ---- */
extern const struct rmap__kit_case rmap__kit_cases[];
extern const unsigned rmap__kit_case_count;

/* ---- run.c ---- */
/** Note what is wrong; the first note counts. @return false. */
bool rmap__kit_fail(struct rmap__kit *k, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** In a function that returns bool: CHECK(k, holds, "what was seen", ...). */
#define KIT_CHECK(k, holds, ...) ((holds) || rmap__kit_fail((k), __VA_ARGS__))
/** In a case: return if it does not hold. */
#define KIT_EXPECT(k, holds, ...)                                                                                      \
    do {                                                                                                               \
        if (!KIT_CHECK((k), (holds), __VA_ARGS__)) return;                                                             \
    } while (0)

#define KIT_ATTR(a) (1u << RMAP_ATTR_##a)
/** Page and frame numbers in texts. */
#define KIT_N(n) ((unsigned long long)(n))

/* ---- mmus.c ---- */
/** Make one more MMU; NULL and k->error if the provider cannot. */
struct rmap__kit_mmu *rmap__kit_open(struct rmap__kit *k);
/** Empty all MMUs and destroy them. */
void rmap__kit_close_all(struct rmap__kit *k);
/**
 * Visit all runs of the space in order, each locked. Fails on a run that brings nothing new and on too many of them.
 * `visit` returns false to stop.
 */
typedef bool rmap__kit_visit(struct rmap__kit *k, struct rmap__kit_mmu *m, const struct rmap_mmu_run *run, void *ctx);
bool rmap__kit_sweep(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap__kit_visit *visit, void *ctx);

/* ---- entries.c: none holds a run on return but _lock and _make ---- */
/** Does the run contain vpn and lie inside the space? Fails if not. */
bool rmap__kit_run_ok(struct rmap__kit *k, struct rmap__kit_mmu *m, const struct rmap_mmu_run *run, rmap_vpn_t vpn);
/** Lock the run of vpn, if it has a table. */
bool rmap__kit_lock(struct rmap__kit_mmu *m, rmap_vpn_t vpn, struct rmap_mmu_run *run);
void rmap__kit_unlock(struct rmap__kit_mmu *m, struct rmap_mmu_run *run);
/** Lock the run of vpn, making its table. */
bool rmap__kit_make(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap_vpn_t vpn, struct rmap_mmu_run *run);
/** Make the entry `e`: by set over one that is not present, else by exchange, as the core does. Nothing is flushed. */
bool rmap__kit_put(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap_vpn_t vpn, rmap_pte_t e);
/** 0 if there is no table. */
rmap_pte_t rmap__kit_get(struct rmap__kit_mmu *m, rmap_vpn_t vpn);
/** @return the entry before; 0, and nothing is stored, if there is no table. */
rmap_pte_t rmap__kit_exchange(struct rmap__kit_mmu *m, rmap_vpn_t vpn, rmap_pte_t e);
/** Unless the MMU has no TLB. */
void rmap__kit_flush(struct rmap__kit_mmu *m, rmap_vpn_t first, uint64_t count, enum rmap_flush_kind kind);
/** A present entry of the n-th frame. */
rmap_pte_t rmap__kit_present(const struct rmap__kit *k, unsigned n, unsigned attrs);
/** A swap entry that says n. */
rmap_pte_t rmap__kit_swap(const struct rmap__kit *k, uint32_t n);
/** What the entry of vpn must be; `when` is for the text. */
bool rmap__kit_holds(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap_vpn_t vpn, rmap_pte_t e, const char *when);
/** An access by touch() must reach the n-th frame, or must fault. */
bool rmap__kit_reaches(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap_vpn_t vpn, unsigned access, unsigned n,
                       const char *when);
bool rmap__kit_faults(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap_vpn_t vpn, unsigned access, const char *when);

/* ---- the cases ---- */
void rmap__kit_ops_complete(struct rmap__kit *k);
void rmap__kit_format_consistent(struct rmap__kit *k);

void rmap__kit_run_bounds(struct rmap__kit *k);
void rmap__kit_end_of_space(struct rmap__kit *k);

void rmap__kit_fresh_is_empty(struct rmap__kit *k);
void rmap__kit_set_then_get(struct rmap__kit *k);
void rmap__kit_run_skips_holes(struct rmap__kit *k);
void rmap__kit_run_stops_at_end(struct rmap__kit *k);
void rmap__kit_unreserve_empties(struct rmap__kit *k);
void rmap__kit_run_make_keeps_tables(struct rmap__kit *k);
void rmap__kit_run_make_needs_no_memory(struct rmap__kit *k);
void rmap__kit_reserve_fails_cleanly(struct rmap__kit *k);
void rmap__kit_trim_keeps_entries(struct rmap__kit *k);
void rmap__kit_table_bytes(struct rmap__kit *k);

void rmap__kit_exchange_returns_old(struct rmap__kit *k);
void rmap__kit_kinds_roundtrip(struct rmap__kit *k);
void rmap__kit_update_changes_nothing(struct rmap__kit *k);
void rmap__kit_two_mmus_independent(struct rmap__kit *k);
void rmap__kit_flush_takes_no_run_lock(struct rmap__kit *k);
void rmap__kit_run_excludes(struct rmap__kit *k);

void rmap__kit_peek_agrees(struct rmap__kit *k);
void rmap__kit_peek_takes_no_lock(struct rmap__kit *k);
void rmap__kit_peek_stays_valid(struct rmap__kit *k);
void rmap__kit_run_lock_excludes(struct rmap__kit *k);

void rmap__kit_access_follows_entry(struct rmap__kit *k);
void rmap__kit_access_marks_entry(struct rmap__kit *k);

void rmap__kit_grant_needs_no_flush(struct rmap__kit *k);
void rmap__kit_no_tlb_means_none(struct rmap__kit *k);
void rmap__kit_flush_forgets(struct rmap__kit *k);
void rmap__kit_flush_write(struct rmap__kit *k);
void rmap__kit_flush_forgets_dirty(struct rmap__kit *k);
void rmap__kit_accessed_exact(struct rmap__kit *k);
void rmap__kit_accessed_comes_back(struct rmap__kit *k);
void rmap__kit_inactive_caches_nothing(struct rmap__kit *k);
void rmap__kit_exchange_atomic(struct rmap__kit *k);

void rmap__kit_core_scenario(struct rmap__kit *k);

#endif
