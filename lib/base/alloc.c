/* SPDX-License-Identifier: MIT */
/** @file base/alloc.c  The default hooks: aligned memory of the C library, zeroed. */
#include <objrmap/alloc.h>

#include <stdlib.h>
#include <string.h>

/* What malloc and calloc align to anyway; calloc may know that fresh memory is zero. */
#define CALLOC_ALIGN _Alignof(max_align_t)

static void *default_alloc(void *ctx, size_t size, size_t align)
{
    (void)ctx;
    if (align <= CALLOC_ALIGN) return calloc(1, size ? size : 1);

    void *p = NULL;
    if (posix_memalign(&p, align, size ? size : 1) != 0) return NULL;
    return memset(p, 0, size);
}

static void default_free(void *ctx, void *p, size_t size, size_t align)
{
    (void)ctx;
    (void)size;
    (void)align;
    free(p);
}

const struct rmap_allocator *rmap_alloc_default(void)
{
    static const struct rmap_allocator hooks = {
        .struct_size = sizeof(struct rmap_allocator),
        .ctx = NULL,
        .alloc = default_alloc,
        .free = default_free,
    };
    return &hooks;
}
