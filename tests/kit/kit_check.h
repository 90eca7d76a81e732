/* SPDX-License-Identifier: MIT */
/** @file kit/kit_check.h  Running the kit inside a test: what was said of each rule, is it what was expected? */
#ifndef RMAP_TESTS_KIT_CHECK_H
#define RMAP_TESTS_KIT_CHECK_H

#include "support/test.h"

#include <objrmap/testing.h>

struct kit_log {
    struct rmap_testing_summary sum;
    char broken[160];  /* ids of the broken rules, a space after each */
    char skipped[960]; /* likewise */
    char why[400];     /* the texts of the broken ones */
    int error;         /* of rmap_testing_run */
};

static inline void kit_log_outcome(void *ctx, const struct rmap_testing_outcome *o)
{
    struct kit_log *log = ctx;
    if (o->result == RMAP_TESTING_PASSED) return;
    char *ids = o->result == RMAP_TESTING_FAILED ? log->broken : log->skipped;
    const size_t room = o->result == RMAP_TESTING_FAILED ? sizeof log->broken : sizeof log->skipped;
    snprintf(ids + strlen(ids), room - strlen(ids), "%s ", o->rule->id);
    if (o->result != RMAP_TESTING_FAILED) return;
    snprintf(log->why + strlen(log->why), sizeof log->why - strlen(log->why), "%s: %s; ", o->rule->id, o->text);
}

static inline void kit_run(const struct rmap_testing_mmu *t, unsigned patience, const char *only, struct kit_log *log)
{
    memset(log, 0, sizeof *log);
    const struct rmap_testing_options o = {
        .struct_size = sizeof o, .report = kit_log_outcome, .report_ctx = log, .patience = patience, .only = only};
    log->error = rmap_testing_run(t, &o, &log->sum);
}

/** Everything passes but these, which are skipped ("a b "). */
static inline void kit_check_passes(const struct rmap_testing_mmu *t, const char *what, const char *skipped)
{
    struct kit_log log;
    kit_run(t, 0, NULL, &log);
    if (log.sum.failed) TEST_FAIL("%s: %s", what, log.why);
    if (log.error) TEST_FAIL("%s: %s", what, rmap_error_name(log.error));
    if (strcmp(log.skipped, skipped) != 0) TEST_FAIL("%s: skipped: %s", what, log.skipped);
    CHECK(log.sum.passed > 15);
}

#endif
