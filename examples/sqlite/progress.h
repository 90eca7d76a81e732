/* SPDX-License-Identifier: MIT */
/*
 * progress.h - a run of a minute must show that it lives: one line redrawn on
 * a terminal, a plain line every two seconds elsewhere, all on stderr.
 */
#ifndef EXAMPLES_SQLITE_PROGRESS_H
#define EXAMPLES_SQLITE_PROGRESS_H

/* Seconds since the first call. */
double progress_seconds(void);

/* Shows the line, or not, if one was shown just before. */
__attribute__((format(printf, 1, 2))) void progress_show(const char *format, ...);

/* Leaves the redrawn line, so that other output starts on its own. */
void progress_end(void);

#endif
