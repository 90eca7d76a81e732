/* SPDX-License-Identifier: MIT */
/*
 * temporary.h - one private directory in $TMPDIR with two fixed files, gone
 * at exit, on a signal and on a crash; and the one way to give up.
 */
#ifndef EXAMPLES_SQLITE_TEMPORARY_H
#define EXAMPLES_SQLITE_TEMPORARY_H

#define EXIT_RUN_FAILED 1
#define EXIT_BAD_INPUT 2

enum temporary_file { TEMPORARY_IMAGE, TEMPORARY_REFERENCE, TEMPORARY_FILES };

/* Makes the directory; fails with EXIT_BAD_INPUT where it cannot. */
void temporary_create(void);

/* Valid until the process ends. */
const char *temporary_path(enum temporary_file file);

/* Async-signal-safe, and harmless when there is nothing to remove. */
void temporary_remove(void);

/* One clear line on stderr, then exit(status).  From any thread; of several the first is heard. */
__attribute__((noreturn, format(printf, 2, 3))) void fail(int status, const char *format, ...);

#endif
