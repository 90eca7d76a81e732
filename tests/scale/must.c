/* SPDX-License-Identifier: MIT */
/** @file scale/must.c  See the header. */
#include "scale/must.h"

#include <stdio.h>
#include <stdlib.h>

void must_be_ok(int error, const char *call, const char *file, int line)
{
    if (!error) return;
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, call, rmap_strerror(error));
    exit(2);
}

void must_hold(bool holds, const char *condition, const char *file, int line)
{
    if (holds) return;
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
    exit(2);
}
