/* SPDX-License-Identifier: MIT */
/** @file property/arena.c  See the header. One range of addresses; blocks of a size queue up to be used again. */
#include "property/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#define ARENA_BYTES ((size_t)1 << 30)
#define REST 64 /* blocks of a size that rest at least */
#define GAP 32
#define STEP ((size_t)1 << 20)

/* In front of each block. */
struct arena_block {
    struct arena_block *next;
    size_t size, align;
    size_t live;
};

static unsigned char *memory_of(struct arena_block *b)
{
    return (unsigned char *)(b + 1);
}

static void misused(const char *how)
{
    fprintf(stderr, "arena: %s\n", how);
    abort();
}

static unsigned queue_of(struct arena *x, size_t size, size_t align)
{
    unsigned i = 0;
    while (i < ARENA_SIZES && x->sizes[i].size && (x->sizes[i].size != size || x->sizes[i].align != align)) i++;
    if (i == ARENA_SIZES) misused("too many sizes");
    x->sizes[i].size = size;
    x->sizes[i].align = align;
    return i;
}

static struct arena_block *fresh(struct arena *x, size_t size, size_t align)
{
    size_t at = (x->used + GAP + sizeof(struct arena_block) + align - 1) & ~(align - 1);
    if (size > ARENA_BYTES || at + size > ARENA_BYTES) return NULL;
    while (x->poisoned < at + size + GAP && x->poisoned < ARENA_BYTES) {
        ASAN_POISON_MEMORY_REGION(x->base + x->poisoned, STEP);
        x->poisoned += STEP;
    }
    x->used = (at + size + 15) & ~(size_t)15;
    struct arena_block *b = (struct arena_block *)(void *)(x->base + at) - 1;
    ASAN_UNPOISON_MEMORY_REGION(b, sizeof *b);
    b->size = size;
    b->align = align;
    return b;
}

static void *arena_alloc(void *ctx, size_t size, size_t align)
{
    struct arena *x = ctx;
    const unsigned q = queue_of(x, size, align);
    struct arena_block *b = NULL;
    if (x->fail && prng_chance(&x->rng, x->fail, 1000)) {
        x->failed++;
        return NULL;
    }
    if (x->sizes[q].resting > REST) {
        b = x->sizes[q].first;
        x->sizes[q].first = b->next;
        x->sizes[q].resting--;
    }
    if (!b && !(b = fresh(x, size, align))) return NULL;
    ASAN_UNPOISON_MEMORY_REGION(memory_of(b), size);
    b->live = 1;
    x->live_blocks++;
    return memset(memory_of(b), 0, size);
}

static void arena_free(void *ctx, void *p, size_t size, size_t align)
{
    struct arena *x = ctx;
    struct arena_block *b = (struct arena_block *)p - 1;
    if (!b->live || b->size != size || b->align != align) misused("released twice, or with another size or alignment");
    const unsigned q = queue_of(x, size, align);
    b->live = 0;
    b->next = NULL;
    memset(p, 0xdb, size);
    ASAN_POISON_MEMORY_REGION(p, size);
    if (x->sizes[q].resting++)
        x->sizes[q].last->next = b;
    else
        x->sizes[q].first = b;
    x->sizes[q].last = b;
    x->live_blocks--;
}

void arena_init(struct arena *x)
{
    memset(x, 0, sizeof *x);
    void *base = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) misused("no address space");
    x->base = base;
    x->a = (struct rmap_allocator){.struct_size = sizeof x->a, .ctx = x, .alloc = arena_alloc, .free = arena_free};
}

void arena_fini(struct arena *x)
{
    ASAN_UNPOISON_MEMORY_REGION(x->base, x->poisoned);
    munmap(x->base, ARENA_BYTES);
}
