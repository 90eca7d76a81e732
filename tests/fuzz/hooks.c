/* SPDX-License-Identifier: MIT */
/** @file fuzz/hooks.c  What a failed check does in a fuzzer: say it, and abort where it stands. */
#include "fuzz/fuzz.h"

#include <stdlib.h>

void (*fuzz_report)(void);

void test__end_failed(const char *file, int line, const char *text)
{
    static bool failing; /* a check inside the report */
    if (!failing && fuzz_report) {
        failing = true;
        fuzz_report();
    }
    fprintf(stderr, "%s:%d: %s\n", file, line, text);
    abort();
}

void test__end_skipped(const char *reason)
{
    test__end_failed(__FILE__, __LINE__, reason); /* a fuzzer that cannot run has found nothing */
}
