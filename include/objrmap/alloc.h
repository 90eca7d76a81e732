/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/alloc.h  Where the library's own memory comes from.
 *
 * The library allocates only in calls whose comment says so, and never under a group or run lock. Everything it
 * allocates goes through these hooks, sized on release, so that an embedder can account, limit or fail it.
 */
#ifndef OBJRMAP_ALLOC_H
#define OBJRMAP_ALLOC_H

#include <objrmap/types.h>

struct rmap_allocator {
    size_t struct_size; /**< sizeof(struct rmap_allocator) */
    void *ctx;          /**< passed to both hooks */
    /** @return `size` bytes aligned to `align` (a power of two), zeroed, or NULL. Thread-safe. */
    void *(*alloc)(void *ctx, size_t size, size_t align);
    /** Release what alloc returned for the same size and align. `p` is never NULL. Thread-safe. */
    void (*free)(void *ctx, void *p, size_t size, size_t align);
};

RMAP_BEGIN_DECLS

/** The default: the C library's aligned allocation. Static storage; used wherever an option's allocator is NULL. */
RMAP_API const struct rmap_allocator *rmap_alloc_default(void);

RMAP_END_DECLS
#endif
