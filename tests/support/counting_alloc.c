/* SPDX-License-Identifier: MIT */
/** @file support/counting_alloc.c  See the header. Each block is preceded by what it was asked for. */
#include "support/counting_alloc.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIVE UINT64_C(0x6f626a726d6170a1)
#define DEAD UINT64_C(0xdeadb10cdeadb10c)

/* Directly in front of the block; the raw memory starts `align` (at least sizeof this) bytes before the block. */
struct block_head {
    uint64_t mark;
    struct test_alloc *owner;
    size_t size, align;
};

static size_t head_room(size_t align)
{
    return align > sizeof(struct block_head) ? align : sizeof(struct block_head);
}

static bool may_succeed(struct test_alloc *t)
{
    t->calls++;
    if (t->fail_at == 0 || t->calls < t->fail_at) return true;
    if (t->calls > t->fail_at && !t->fail_forever) return true;
    t->failed++;
    return false;
}

static void *counting_alloc(void *ctx, size_t size, size_t align)
{
    struct test_alloc *t = ctx;
    size_t room = head_room(align);

    pthread_mutex_lock(&t->lock);
    bool ok = may_succeed(t) && size <= SIZE_MAX - room;
    pthread_mutex_unlock(&t->lock);
    if (!ok) return NULL;

    void *raw = NULL;
    if (posix_memalign(&raw, room, room + size) != 0) return NULL;
    unsigned char *block = (unsigned char *)raw + room;
    memset(block, 0, size);
    struct block_head *head = (struct block_head *)(void *)block - 1;
    *head = (struct block_head){LIVE, t, size, align};

    pthread_mutex_lock(&t->lock);
    t->live_blocks++;
    t->live_bytes += size;
    if (t->live_bytes > t->peak_bytes) t->peak_bytes = t->live_bytes;
    pthread_mutex_unlock(&t->lock);
    return block;
}

static _Noreturn void misused(const char *how, void *p, size_t size, size_t align)
{
    fprintf(stderr, "counting_alloc: release of %p (size %zu, align %zu): %s\n", p, size, align, how);
    abort();
}

static void counting_free(void *ctx, void *p, size_t size, size_t align)
{
    struct test_alloc *t = ctx;
    if (!p) misused("NULL", p, size, align);
    struct block_head *head = (struct block_head *)p - 1;
    if (head->mark == DEAD) misused("released before", p, size, align);
    if (head->mark != LIVE || head->owner != t) misused("not from this allocator", p, size, align);
    if (head->size != size || head->align != align) misused("asked for with another size or alignment", p, size, align);

    pthread_mutex_lock(&t->lock);
    t->live_blocks--;
    t->live_bytes -= size;
    pthread_mutex_unlock(&t->lock);
    head->mark = DEAD;
    memset(p, 0xdb, size); /* whoever reads it later shall notice */
    free((unsigned char *)p - head_room(align));
}

void test_alloc_init(struct test_alloc *t)
{
    memset(t, 0, sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
    t->a = (struct rmap_allocator){.struct_size = sizeof t->a, .ctx = t, .alloc = counting_alloc, .free = counting_free};
}
