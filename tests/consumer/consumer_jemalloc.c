/* SPDX-License-Identifier: MIT */
/*
 * A program, C and C++ alike, that links libobjrmap-jemalloc: the arena serves and counts, and `malloc` is still libc's.
 * Exit status 3 says that malloc is not libc's (a control links jemalloc itself and must get it), 1 anything else.
 */
#include <objrmap/error.h>
#include <objrmap/jemalloc.h>

#include <dlfcn.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MALLOC_IS_FOREIGN 3

/* glibc's own statistics move if and only if it was glibc's malloc that served. Works in static programs, too. */
static int libc_serves_malloc(void)
{
    const size_t size = 50000;
    struct mallinfo2 before = mallinfo2();
    char *volatile block = (char *)malloc(size);
    struct mallinfo2 after = mallinfo2();
    if (!block) return 0;
    block[size - 1] = 1;
    free(block);
    return after.uordblks + after.hblkhd >= before.uordblks + before.hblkhd + size;
}

#ifndef CONSUMER_STATIC
static int malloc_lies_in_libc(void)
{
    Dl_info where;
    memset(&where, 0, sizeof where);
    void *address = dlsym(RTLD_DEFAULT, "malloc");
    if (!address || !dladdr(address, &where) || !where.dli_fname) return 0;
    fprintf(stderr, "malloc is in %s\n", where.dli_fname);
    return strstr(where.dli_fname, "/libc.so") != NULL && dlsym(RTLD_DEFAULT, "mallctl") == NULL;
}
#endif

static int check_arena(void)
{
    struct rmap_allocator arena, other;
    if (rmap_alloc_jemalloc_init(NULL) != RMAP_ERR_NULL_ARG) return 10;
    if (rmap_alloc_jemalloc_init(&arena) || rmap_alloc_jemalloc_init(&other)) return 11;
    if (arena.struct_size != sizeof arena || rmap_alloc_jemalloc_bytes(&arena) != 0) return 12;

    size_t asked = 0;
    unsigned char *blocks[200];
    for (unsigned i = 0; i < 200; i++) {
        size_t size = 1 + 97 * (size_t)i, align = (size_t)1 << i % 13;
        blocks[i] = (unsigned char *)arena.alloc(arena.ctx, size, align);
        if (!blocks[i] || (uintptr_t)blocks[i] % align) return 13;
        for (size_t at = 0; at < size; at++) {
            if (blocks[i][at]) return 14;
        }
        memset(blocks[i], 0xa5, size);
        asked += size;
    }
    if (rmap_alloc_jemalloc_bytes(&arena) < asked || rmap_alloc_jemalloc_bytes(&arena) > 2 * asked + 4096 * 200) return 15;
    if (rmap_alloc_jemalloc_bytes(&other) != 0) return 16;
    for (unsigned i = 0; i < 100; i++) arena.free(arena.ctx, blocks[i], 1 + 97 * (size_t)i, (size_t)1 << i % 13);
    for (unsigned i = 100; i < 200; i++) arena.free(arena.ctx, blocks[i], 1 + 97 * (size_t)i, (size_t)1 << i % 13);
    if (rmap_alloc_jemalloc_bytes(&arena) != 0) return 17;

    if (!arena.alloc(arena.ctx, 1 << 20, 4096)) return 18; /* left to the teardown */
    rmap_alloc_jemalloc_fini(&arena);
    if (arena.alloc || rmap_alloc_jemalloc_bytes(&arena) != 0) return 19;
    rmap_alloc_jemalloc_fini(&arena);
    rmap_alloc_jemalloc_fini(&other);
    rmap_alloc_jemalloc_fini(NULL);
    return 0;
}

int main(void)
{
    int before = libc_serves_malloc();
    int wrong = check_arena();
    if (wrong) {
        fprintf(stderr, "the arena: check %d\n", wrong);
        return 1;
    }
    if (!before || !libc_serves_malloc()) return MALLOC_IS_FOREIGN;
#ifndef CONSUMER_STATIC
    if (!malloc_lies_in_libc()) return MALLOC_IS_FOREIGN;
#endif
    return 0;
}
