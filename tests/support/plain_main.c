/* SPDX-License-Identifier: MIT */
/**
 * @file support/plain_main.c  The plain runner: every test in this one process, in source order.
 *
 *     test_group            all tests
 *     test_group fork       those whose "suite::name" contains "fork"
 *
 * TAP on stdout, the plan first, so that a crash in the middle is seen as missing tests. Exit status 1 if a test failed or
 * if no name matched.
 */
#ifndef RMAP_TEST_PLAIN
#error "plain_main.c belongs to -DRMAP_TEST_PLAIN"
#endif
#include "support/test.h"

#include <setjmp.h>
#include <stdlib.h>

enum outcome { OUTCOME_RETURNED, OUTCOME_FAILED, OUTCOME_SKIPPED };

static struct test__case *cases;
static jmp_buf back;
static struct {
    const char *file;
    int line;
    char text[TEST__TEXT_BYTES];
} ended;

/* Constructors run in no promised order: within a file the line decides, files keep the order in which they come. */
void test__register(struct test__case *c)
{
    struct test__case **at = &cases;
    while (*at && !(strcmp((*at)->file, c->file) == 0 && (*at)->line > c->line)) at = &(*at)->next;
    c->next = *at;
    *at = c;
}

void test__end_failed(const char *file, int line, const char *text)
{
    ended.file = file;
    ended.line = line;
    snprintf(ended.text, sizeof ended.text, "%s", text);
    longjmp(back, OUTCOME_FAILED);
}

void test__end_skipped(const char *reason)
{
    snprintf(ended.text, sizeof ended.text, "%s", reason);
    longjmp(back, OUTCOME_SKIPPED);
}

static bool matches(const struct test__case *c, const char *part)
{
    char full[256];
    snprintf(full, sizeof full, "%s::%s", c->suite, c->name);
    return !part || strstr(full, part);
}

/* Apart from main, so that no local variable lives across the long jump. */
static enum outcome run(const struct test__case *c)
{
    switch (setjmp(back)) {
    case 0:
        c->run();
        return OUTCOME_RETURNED;
    case OUTCOME_SKIPPED:
        return OUTCOME_SKIPPED;
    default:
        return OUTCOME_FAILED;
    }
}

int main(int argc, char **argv)
{
    const char *part = argc > 1 ? argv[1] : NULL;
    unsigned planned = 0, number = 0, failed = 0;

    for (const struct test__case *c = cases; c; c = c->next) planned += matches(c, part);
    printf("1..%u\n", planned);
    for (const struct test__case *c = cases; c; c = c->next) {
        if (!matches(c, part)) continue;
        fflush(stdout); /* a test may fork */
        number++;
        switch (run(c)) {
        case OUTCOME_RETURNED:
            printf("ok %u - %s::%s\n", number, c->suite, c->name);
            break;
        case OUTCOME_SKIPPED:
            printf("ok %u - %s::%s # SKIP %s\n", number, c->suite, c->name, ended.text);
            break;
        case OUTCOME_FAILED:
            failed++;
            printf("not ok %u - %s::%s\n# %s:%d: %s\n", number, c->suite, c->name, ended.file, ended.line, ended.text);
            fprintf(stderr, "%s:%d: %s::%s: %s\n", ended.file, ended.line, c->suite, c->name, ended.text);
            break;
        }
    }
    fflush(stdout);
    return failed || !planned ? EXIT_FAILURE : EXIT_SUCCESS;
}
