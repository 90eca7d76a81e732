/* SPDX-License-Identifier: MIT */
/**
 * @file replay/source.h  Where a trace's bytes come from: a file, a file compressed by xz, or memory (for fuzzers).
 *
 * Bytes come in order, as many at a time as there is room for, so that no trace is ever in memory as a whole. What xz
 * may use for its dictionary is bounded: a file that asks for more is refused.
 */
#ifndef RMAP_TESTS_REPLAY_SOURCE_H
#define RMAP_TESTS_REPLAY_SOURCE_H

#include <stddef.h>

struct source;

/**
 * Open a regular file; its name says whether it is compressed (".xz").
 * @return NULL, with *why set to static text, if that cannot be.
 */
struct source *source_open(const char *path, const char **why);
/** The bytes stay the caller's and must stay until source_close(). Never NULL. */
struct source *source_memory(const void *bytes, size_t size);
void source_close(struct source *s);

/** @return bytes put into `to`, 1 … room; 0 at the end; -1 with *why set to static text. */
long source_read(struct source *s, void *to, size_t room, const char **why);

#endif
