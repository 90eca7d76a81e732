/* SPDX-License-Identifier: MIT */
/** @file base/alloc.h  Typed calls on the allocator hooks. Memory comes zeroed. */
#ifndef RMAP_BASE_ALLOC_H
#define RMAP_BASE_ALLOC_H

#include <objrmap/alloc.h>
#include <stdalign.h>

static inline void *rmap__alloc(const struct rmap_allocator *a, size_t size)
{
    return a->alloc(a->ctx, size, alignof(max_align_t));
}
static inline void rmap__free(const struct rmap_allocator *a, void *p, size_t size)
{
    if (p) a->free(a->ctx, p, size, alignof(max_align_t));
}
#define RMAP__NEW(a, type) ((type *)rmap__alloc(a, sizeof(type)))
#define RMAP__DELETE(a, p) rmap__free(a, p, sizeof *(p))

#endif
