/* SPDX-License-Identifier: MIT */
/** @file kit/test_kit_run.c  The kit's own functions: arguments, reports, rules; and what it cannot look at. */
#include "kit/broken_mmu.h"

#include <stdlib.h>

static int run(struct rmap_testing_summary *sum, const char *only)
{
    const struct rmap_testing_options o = {.struct_size = sizeof o, .only = only};
    return rmap_testing_run(&b->t, &o, sum);
}

RMAP_TEST(kit_run, bad_arguments_are_refused_and_nothing_is_made)
{
    struct rmap_testing_summary sum = {1, 1, 1};
    CHECK_ERR(rmap_testing_run(NULL, NULL, &sum), RMAP_ERR_NULL_ARG);
    CHECK_EQ(sum.passed + sum.failed + sum.skipped, 0);
    broken_begin();
    CHECK_ERR(run(&sum, "no-such-rule"), RMAP_ERR_ABSENT);
    b->t.struct_size--;
    CHECK_ERR(run(&sum, NULL), RMAP_ERR_STRUCT_SIZE);
    b->t.struct_size++;
    const struct rmap_testing_options small = {.struct_size = 8};
    CHECK_ERR(rmap_testing_run(&b->t, &small, NULL), RMAP_ERR_STRUCT_SIZE);
    b->t.frames = RMAP_TESTING_FRAMES_MIN - 1;
    CHECK_ERR(run(&sum, NULL), RMAP_ERR_RANGE);
    b->t.frames = RMAP_TESTING_FRAMES_MIN;
    b->t.first_frame = RMAP_PFN_NONE - 2;
    CHECK_ERR(run(&sum, NULL), RMAP_ERR_RANGE);
    b->t.first_frame = 0;
    b->provider.struct_size = 0;
    CHECK_ERR(run(&sum, NULL), RMAP_ERR_STRUCT_SIZE);
    b->provider.struct_size = sizeof b->provider;
    b->provider.destroy = NULL;
    CHECK_ERR(run(&sum, NULL), RMAP_ERR_NULL_ARG);
    b->t.provider = NULL;
    CHECK_ERR(run(&sum, NULL), RMAP_ERR_NULL_ARG);
    free(b);
}

RMAP_TEST(kit_run, one_rule_alone)
{
    struct rmap_testing_summary sum;
    broken_begin();
    for (unsigned i = 0; rmap_testing_rule_at(i); i++) {
        CHECK_OK(run(&sum, rmap_testing_rule_at(i)->id));
        CHECK_EQ(sum.passed + sum.skipped, 1);
    }
    CHECK_OK(rmap_testing_run(&b->t, NULL, NULL));
    free(b);
}

/* The n-th MMU cannot be made. */
static unsigned makes;
static int create_some(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    return makes-- ? sound_create(ctx, client, out) : RMAP_ERR_SYSTEM;
}
RMAP_TEST(kit_run, what_create_says_ends_the_run)
{
    struct rmap_testing_summary sum;
    broken_begin();
    b->provider.create = create_some;
    unsigned n = 0;
    for (int error = RMAP_ERR_SYSTEM; error; n++) {
        makes = n;
        error = run(&sum, NULL);
        CHECK_EQ(error, error ? RMAP_ERR_SYSTEM : 0);
        CHECK_EQ(sum.failed, 0);
        CHECK_EQ(b->device.blocks, 0);
        CHECK(n < 100);
    }
    CHECK(n > 20);
    free(b);
}

static int create_tiny(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    const int error = sound_create(ctx, client, out);
    out->pages = RMAP_TESTING_PAGES_MIN - 1;
    return error;
}
static int create_without_ops(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    const int error = sound_create(ctx, client, out);
    out->ops = NULL;
    return error;
}
RMAP_TEST(kit_run, mmus_that_cannot_be_looked_at)
{
    struct rmap_testing_summary sum;
    broken_begin();
    b->provider.create = create_tiny;
    CHECK_ERR(run(&sum, NULL), RMAP_ERR_RANGE);
    b->provider.create = create_without_ops;
    b->t.set_active = NULL;
    CHECK_ERR(run(&sum, NULL), RMAP_ERR_VERIFY);
    CHECK_EQ(sum.failed, 1);
    CHECK_EQ(sum.passed, 1); /* of the same step */
    CHECK_OK(run(&sum, "run-bounds"));
    CHECK_EQ(sum.skipped, 1);
    free(b);
}

RMAP_TEST(kit_run, without_hooks_their_rules_are_skipped_and_the_others_kept)
{
    broken_begin();
    b->t.touch = NULL;
    b->t.fail_tables = NULL;
    b->t.set_active = NULL;
    b->t.flags = 0;
    kit_check_passes(&b->t, "without hooks",
                     "run-make-needs-no-memory reserve-fails-cleanly run-excludes peek-agrees peek-takes-no-lock "
                     "peek-stays-valid run-lock-excludes access-follows-entry access-marks-entry "
                     "grant-needs-no-flush no-tlb-means-none flush-forgets flush-write "
                     "flush-forgets-dirty accessed-exact accessed-comes-back inactive-caches-nothing exchange-atomic ");
    free(b);
}

RMAP_TEST(kit_run, patience_changes_nothing_for_a_sound_mmu)
{
    struct kit_log log;
    broken_begin();
    kit_run(&b->t, 60, NULL, &log);
    CHECK_OK(log.error);
    CHECK_STR(log.broken, "");
    CHECK_STR(log.skipped, "peek-agrees peek-takes-no-lock peek-stays-valid run-lock-excludes no-tlb-means-none ");
    free(b);
}

static bool contains_line(const char *text, const char *line)
{
    return strstr(text, line) != NULL;
}

RMAP_TEST(kit_run, tap)
{
    char *text = NULL;
    size_t bytes = 0;
    broken_begin();
    b->ops.table_bytes = NULL; /* skipped */
    b->ops.exchange = NULL;    /* broken */
    FILE *f = open_memstream(&text, &bytes);
    const struct rmap_testing_options o = {.struct_size = sizeof o, .report = rmap_testing_tap, .report_ctx = f};
    CHECK_ERR(rmap_testing_run(&b->t, &o, NULL), RMAP_ERR_VERIFY);
    fclose(f);
    CHECK(strncmp(text, "1..", 3) == 0);
    CHECK(contains_line(text, "\nnot ok 1 - ops-complete\n# get, set and exchange come together\n"));
    CHECK(contains_line(text, "\nok 2 - format-consistent\n"));
    CHECK(contains_line(text, "\nok 3 - run-bounds # SKIP ops-complete is broken\n"));
    free(text);
    free(b);
}

/* ---- rules are known to the guide, and each can be broken ---- */

static char *read_file(const char *root, const char *path)
{
    char name[4096];
    static char text[1 << 17];
    snprintf(name, sizeof name, "%s/%s", root, path);
    FILE *f = fopen(name, "r");
    if (!f) TEST_FAIL("cannot read %s", name);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return text;
}

RMAP_TEST(kit_run, every_rule_is_in_the_guide_and_broken_by_a_test)
{
    const char *root = getenv("OBJRMAP_SOURCE_ROOT");
    if (!root) TEST_SKIP("OBJRMAP_SOURCE_ROOT is not set");
    for (unsigned i = 0; rmap_testing_rule_at(i); i++) {
        char quoted[64], broken[64];
        const struct rmap_testing_rule *rule = rmap_testing_rule_at(i);
        snprintf(quoted, sizeof quoted, "`%s`", rule->id);
        snprintf(broken, sizeof broken, "\"%s \"", rule->id);
        if (!strstr(read_file(root, "docs/backend-guide.md"), quoted)) TEST_FAIL("%s is not in the guide", rule->id);
        if (!strstr(read_file(root, "tests/kit/test_kit_broken.c"), broken) &&
            !strstr(read_file(root, "tests/kit/test_kit_broken_tlb.c"), broken) &&
            !strstr(read_file(root, "tests/kit/test_kit_broken_peek.c"), broken))
            TEST_FAIL("no test breaks %s", rule->id);
        CHECK(rule->text && *rule->text);
    }
}
