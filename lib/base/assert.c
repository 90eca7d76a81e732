/* SPDX-License-Identifier: MIT */
/** @file base/assert.c  The end of a debug build that found misuse or a broken invariant. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef RMAP_DEBUG
_Noreturn void rmap__assert_failed(const char *what, const char *invariant, const char *file, int line)
{
    fprintf(stderr, "objrmap: %s:%d: %s%sdoes not hold: %s\n", file, line, invariant, *invariant ? " " : "", what);
    abort();
}
#endif
