/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/testing.h  libobjrmap-testing, the conformance kit: does an MMU keep the contract of objrmap/mmu.h?
 *
 * You hand over the provider that you would give to a pager and, as far as you have them, a few hooks. The kit makes
 * fresh MMUs and looks at one *rule* after another: at runs and their edges, at what entries keep, at what is left
 * behind when a table cannot be had, at what your translations still know after a flush; at last it runs the core on
 * top. Of each rule you hear that it is kept, or broken and by what, or that it was not looked at and why. The rules
 * are in docs/backend-guide.md, with what each protects.
 *
 * It knows no test framework: it prints nothing, ends nothing and keeps no state. Call it from a test of yours.
 *
 *     struct rmap_testing_mmu mine = {.struct_size = sizeof mine, .provider = &provider, .frames = 64, .touch = touch};
 *     struct rmap_testing_options tap = {.struct_size = sizeof tap, .report = rmap_testing_tap, .report_ctx = stdout};
 *     return rmap_testing_run(&mine, &tap, NULL) ? 1 : 0;
 *
 * Rules come in steps (form, runs, tables, entries, accesses, flushes, core). When one of a step is broken the later
 * steps are skipped, because they build on it: a broken MMU is reported and not walked into. What the kit cannot survive
 * is a pointer to slots that are not there.
 */
#ifndef OBJRMAP_TESTING_H
#define OBJRMAP_TESTING_H

#include <objrmap/error.h>
#include <objrmap/mmu.h>
#include <objrmap/types.h>

#define RMAP_TESTING_NEVER UINT64_MAX
#define RMAP_TESTING_PAGES_MIN 16  /* of an MMU */
#define RMAP_TESTING_FRAMES_MIN 16 /* that its entries may name */

enum rmap_testing_flag {
    RMAP_TESTING_THREADS = 1 << 0, /**< several threads may call the ops and touch() at a time */
};

/** An MMU under test. Hooks that are NULL cost you the rules that need them: they are skipped. Caller's memory. */
struct rmap_testing_mmu {
    size_t struct_size;
    const struct rmap_mmu_provider *provider; /**< required; makes two MMUs at a time, of PAGES_MIN pages or more */
    rmap_pfn_t first_frame; /**< present entries will name frames of [first_frame, first_frame + frames) */
    uint64_t frames;        /**< FRAMES_MIN or more; the kit neither reads nor writes them */
    unsigned flags;         /**< enum rmap_testing_flag */
    void *ctx;              /**< of the hooks */

    /**
     * Access page `vpn` once, for `access` (one of RMAP_READ, RMAP_WRITE, RMAP_EXEC), as code that runs on the space
     * would: by a cached translation if there is one, else by the entry, which gains accessed (and dirty), else by a
     * fault to the client that the provider's create() received. The kit's client answers as a fault handler does: it
     * sets accessed and dirty, calls update() and returns 0 if the entry allows the access; else it returns an error.
     * No run is locked by the caller.
     * @return 0 with *pfn, the frame that was reached; UNSUPPORTED: EXEC is not known here; any other error: it faulted.
     */
    int (*touch)(void *ctx, const struct rmap_mmu *mmu, rmap_vpn_t vpn, unsigned access, rmap_pfn_t *pfn);
    /** From now on `after` allocations of tables succeed, then all fail; RMAP_TESTING_NEVER: none fails. */
    void (*fail_tables)(void *ctx, uint64_t after);
    /** Somebody, or nobody, runs on the space from now on: what its active() answers. */
    void (*set_active)(void *ctx, const struct rmap_mmu *mmu, bool active);
};

/** A rule of the contract. Static storage. */
struct rmap_testing_rule {
    const char *id;   /**< "run-skips-holes" */
    const char *text; /**< one sentence */
};

enum rmap_testing_result {
    RMAP_TESTING_PASSED,
    RMAP_TESTING_FAILED,
    RMAP_TESTING_SKIPPED,
};

/** What became of one rule. Valid during the call that reports it. */
struct rmap_testing_outcome {
    unsigned number, planned; /**< the number-th (from 1) of so many */
    const struct rmap_testing_rule *rule;
    enum rmap_testing_result result;
    const char *text; /**< one line: what was seen (failed), why not (skipped), "" (passed) */
};
typedef void rmap_testing_report_fn(void *ctx, const struct rmap_testing_outcome *outcome);

struct rmap_testing_options {
    size_t struct_size;
    const char *only;               /**< look at this rule alone, whatever it builds on; NULL: at all */
    rmap_testing_report_fn *report; /**< called once for each rule, in order, from the calling thread; or NULL */
    void *report_ctx;
    /**
     * 0: rules are looked at by the calling thread, and an MMU that never gives a lock up hangs it. Else each rule gets a
     * thread and so many seconds: one that does not come back is reported as failed and left behind for ever, with its
     * thread and its MMUs, which go on using provider and hooks; the other rules are skipped.
     */
    unsigned patience;
};

struct rmap_testing_summary {
    unsigned passed, failed, skipped;
};

RMAP_BEGIN_DECLS

/**
 * Look at the rules. `options` and `summary` may be NULL. Nothing of the MMUs is left afterwards, unless a rule broken
 * means just that.
 * => No lock of the library held. Blocks; allocates; takes some hundredths of a second for an MMU in memory.
 * @return 0: no rule is broken; VERIFY: at least one is; NULL_ARG; STRUCT_SIZE; RANGE (too few frames or pages); ABSENT
 *         (`only` names no rule); NOMEM; or what the provider's create() answered. Then *summary is all 0 or as far as
 *         it went.
 */
RMAP_API int rmap_testing_run(const struct rmap_testing_mmu *mmu, const struct rmap_testing_options *options,
                              struct rmap_testing_summary *summary);

/** The i-th rule in the order of the run, from 0; NULL beyond the last. */
RMAP_API const struct rmap_testing_rule *rmap_testing_rule_at(unsigned i);

/** A report function that writes TAP, version 12, to `file`, a FILE: the plan before the first rule, a line for each. */
RMAP_API void rmap_testing_tap(void *file, const struct rmap_testing_outcome *outcome);

RMAP_END_DECLS
#endif
