/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/jemalloc.h  libobjrmap-jemalloc: an allocator on a private jemalloc arena: exact accounting, one-call teardown.
 *
 * A library of its own, because Debian's jemalloc has unprefixed symbols: whoever links it directly gets its malloc. The
 * shared library keeps jemalloc to itself; a program that links ours keeps libc's malloc.
 */
#ifndef OBJRMAP_JEMALLOC_H
#define OBJRMAP_JEMALLOC_H

#include <objrmap/alloc.h>

RMAP_BEGIN_DECLS

/** Make a private arena; `out` is filled. @return 0; NULL_ARG; NOMEM. */
RMAP_API int rmap_alloc_jemalloc_init(struct rmap_allocator *out);
/** Bytes that live allocations occupy (size classes, not requests). */
RMAP_API size_t rmap_alloc_jemalloc_bytes(const struct rmap_allocator *a);
/** Destroy the arena and everything that was allocated from it. */
RMAP_API void rmap_alloc_jemalloc_fini(struct rmap_allocator *a);

RMAP_END_DECLS
#endif
