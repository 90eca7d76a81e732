/* SPDX-License-Identifier: MIT */
/**
 * @file jemalloc/arena.c  struct rmap_allocator on an arena of its own.
 *
 * The arena's control block is the first thing allocated from it, so that destroying the arena leaves nothing. No thread
 * cache is used: it would keep blocks of this arena alive behind the count.
 *
 * This object is linked together with jemalloc's own and their symbols are made local (see meson.build here): the jemalloc
 * inside never becomes the program's malloc.
 */
#include <objrmap/error.h>
#include <objrmap/jemalloc.h>

#include <jemalloc/jemalloc.h>
#include <stdatomic.h>
#include <stdio.h>

struct arena {
    unsigned index;
    atomic_size_t bytes; /* usable sizes of what lives, without this block; relaxed, a statistic */
};

static int arena_flags(unsigned index, size_t align)
{
    return (int)(MALLOCX_ARENA(index) | MALLOCX_TCACHE_NONE | MALLOCX_ALIGN(align));
}

static int arena_destroy(unsigned index)
{
    char name[40];
    snprintf(name, sizeof name, "arena.%u.destroy", index);
    return mallctl(name, NULL, NULL, NULL, 0);
}

static void *arena_alloc(void *ctx, size_t size, size_t align)
{
    struct arena *arena = ctx;
    void *p = mallocx(size ? size : 1, arena_flags(arena->index, align) | MALLOCX_ZERO);
    if (p) atomic_fetch_add_explicit(&arena->bytes, sallocx(p, 0), memory_order_relaxed);
    return p;
}

static void arena_free(void *ctx, void *p, size_t size, size_t align)
{
    struct arena *arena = ctx;
    (void)size;
    atomic_fetch_sub_explicit(&arena->bytes, sallocx(p, 0), memory_order_relaxed);
    dallocx(p, arena_flags(arena->index, align));
}

int rmap_alloc_jemalloc_init(struct rmap_allocator *out)
{
    if (!out) return RMAP_ERR_NULL_ARG;

    unsigned index;
    size_t index_bytes = sizeof index;
    if (mallctl("arenas.create", &index, &index_bytes, NULL, 0) != 0) return RMAP_ERR_NOMEM;

    struct arena *arena = mallocx(sizeof *arena, arena_flags(index, _Alignof(max_align_t)) | MALLOCX_ZERO);
    if (!arena) {
        arena_destroy(index);
        return RMAP_ERR_NOMEM;
    }
    arena->index = index;
    *out = (struct rmap_allocator){
        .struct_size = sizeof *out,
        .ctx = arena,
        .alloc = arena_alloc,
        .free = arena_free,
    };
    return RMAP_OK;
}

static struct arena *arena_of(const struct rmap_allocator *a)
{
    return a && a->alloc == arena_alloc ? a->ctx : NULL;
}

size_t rmap_alloc_jemalloc_bytes(const struct rmap_allocator *a)
{
    struct arena *arena = arena_of(a);
    return arena ? atomic_load_explicit(&arena->bytes, memory_order_relaxed) : 0;
}

void rmap_alloc_jemalloc_fini(struct rmap_allocator *a)
{
    struct arena *arena = arena_of(a);
    if (!arena) return;
    arena_destroy(arena->index);
    *a = (struct rmap_allocator){0};
}
