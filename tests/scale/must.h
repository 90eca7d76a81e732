/* SPDX-License-Identifier: MIT */
/** @file scale/must.h  What cannot go wrong in a world of one's own ends the program with status 2 if it does. */
#ifndef RMAP_TESTS_SCALE_MUST_H
#define RMAP_TESTS_SCALE_MUST_H

#include <objrmap/error.h>
#include <stdbool.h>

/** A call that returns 0. */
#define MUST(call) must_be_ok((call), #call, __FILE__, __LINE__)
/** A condition. */
#define MUST_HOLD(condition) must_hold((condition), #condition, __FILE__, __LINE__)

_Noreturn void must_failed(int error, const char *call, const char *file, int line);
_Noreturn void must_hold_failed(const char *condition, const char *file, int line);

/* The tests are inline, for loops that are measured. */
static inline void must_be_ok(int error, const char *call, const char *file, int line)
{
    if (__builtin_expect(error != 0, 0)) must_failed(error, call, file, line);
}
static inline void must_hold(bool holds, const char *condition, const char *file, int line)
{
    if (__builtin_expect(!holds, 0)) must_hold_failed(condition, file, line);
}

#endif
