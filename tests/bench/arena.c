/* SPDX-License-Identifier: MIT */
/** @file bench/arena.c  See the header. */
#include "bench/arena.h"
#include "scale/must.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCKS_MOST ((size_t)3 << 18) /* 3 GiB of addresses: what no scenario may use up */

static void *reserve(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MUST_HOLD(p != MAP_FAILED);
    return p;
}

void arena_init(struct arena *a)
{
    *a = (struct arena){.blocks = reserve(BLOCKS_MOST * ARENA_BLOCK), .extras = reserve(BLOCKS_MOST * 16)};
}

void arena_fini(struct arena *a)
{
    munmap(a->blocks, BLOCKS_MOST * ARENA_BLOCK);
    munmap(a->extras, BLOCKS_MOST * 16);
}

static void *block_alloc(struct arena *a)
{
    void *p = a->free_block;
    if (!p) {
        MUST_HOLD(a->used < BLOCKS_MOST);
        return a->blocks + a->used++ * ARENA_BLOCK; /* zero, as the system gave it */
    }
    memcpy(&a->free_block, p, sizeof p);
    return memset(p, 0, ARENA_BLOCK);
}

static void push(void **list, void *p)
{
    memcpy(p, list, sizeof *list);
    *list = p;
}

/* One block, cut into pieces. A piece of a power of two is aligned to its size. */
static void cut_block(struct arena *a, size_t size)
{
    unsigned char *p = block_alloc(a);
    for (size_t n = ARENA_BLOCK / size; n--;) push(&a->free_small[size / ARENA_STEP], p + n * size);
}

/* Is it cut from a block? Then size is rounded up to its class, which suits the alignment. */
static bool is_small(size_t *size, size_t align)
{
    const size_t step = align > ARENA_STEP ? align : ARENA_STEP;
    const size_t rounded = (*size + step - 1) & ~(step - 1);
    if (rounded > ARENA_SMALL) return false;
    *size = rounded;
    return true;
}

static void *account_alloc(void *ctx, size_t size, size_t align)
{
    struct arena_account *account = ctx;
    struct arena *a = account->arena;
    account->bytes += size;
    if (is_small(&size, align)) {
        void **list = &a->free_small[size / ARENA_STEP], *p;
        if (!*list) cut_block(a, size);
        p = *list;
        memcpy(list, p, sizeof p);
        return memset(p, 0, size);
    }
    if (size <= ARENA_BLOCK && align <= ARENA_BLOCK) return block_alloc(a);
    return rmap_alloc_default()->alloc(NULL, size, align);
}

static void account_free(void *ctx, void *p, size_t size, size_t align)
{
    struct arena_account *account = ctx;
    MUST_HOLD(account->bytes >= size);
    account->bytes -= size;
    if (is_small(&size, align))
        push(&account->arena->free_small[size / ARENA_STEP], p);
    else if (size <= ARENA_BLOCK && align <= ARENA_BLOCK)
        push(&account->arena->free_block, p);
    else
        rmap_alloc_default()->free(NULL, p, size, align);
}

void arena_account_init(struct arena_account *account, struct arena *a)
{
    *account = (struct arena_account){.alloc = {sizeof account->alloc, account, account_alloc, account_free}, .arena = a};
}
