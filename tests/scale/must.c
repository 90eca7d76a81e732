/* SPDX-License-Identifier: MIT */
/** @file scale/must.c  See the header. */
#include "scale/must.h"

#include <stdio.h>
#include <stdlib.h>

void must_failed(int error, const char *call, const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, call, rmap_strerror(error));
    exit(2);
}

void must_hold_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
    exit(2);
}
