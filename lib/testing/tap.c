/* SPDX-License-Identifier: MIT */
/** @file testing/tap.c  A report function for harnesses that read TAP, and for people. */
#include <objrmap/testing.h>

#include <stdio.h>

void rmap_testing_tap(void *file, const struct rmap_testing_outcome *o)
{
    FILE *f = file;
    if (!f || !o) return;
    if (o->number == 1) fprintf(f, "1..%u\n", o->planned);
    switch (o->result) {
    case RMAP_TESTING_PASSED:
        fprintf(f, "ok %u - %s\n", o->number, o->rule->id);
        break;
    case RMAP_TESTING_SKIPPED:
        fprintf(f, "ok %u - %s # SKIP %s\n", o->number, o->rule->id, o->text);
        break;
    case RMAP_TESTING_FAILED:
        fprintf(f, "not ok %u - %s\n# %s\n# the rule: %s\n", o->number, o->rule->id, o->text, o->rule->text);
        break;
    }
    fflush(f);
}
