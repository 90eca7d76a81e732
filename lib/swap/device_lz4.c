/* SPDX-License-Identifier: MIT */
/**
 * @file swap/device_lz4.c  Pages compressed in memory. A block's size is exactly what it holds; a page that does not
 * shrink is stored as it is. A write gives up the slot's old block first, also if it then fails.
 */
#include <base/mutex.h>
#include <swap/device_check.h>

#ifdef HAVE_LZ4

#include <lz4.h>
#include <string.h>

#define TABLE_SHIFT 10
#define TABLE_SLOTS ((uint32_t)1 << TABLE_SHIFT)

struct block {
    uint32_t bytes; /* of data; the page size: not compressed */
    unsigned char data[];
};

struct table {
    struct block *block[TABLE_SLOTS];
};

struct lz4_device {
    struct rmap_device base;
    struct rmap_allocator alloc;
    uint64_t limit_bytes; /* 0: none */
    pthread_mutex_t pack; /* guards scratch and state; taken before `lock` */
    unsigned char *scratch;
    void *state;           /* of the compressor: 16 KiB that would otherwise be on the stack of a fault handler */
    pthread_mutex_t lock;  /* guards the rest; held for a decompression at most */
    struct table **tables; /* made as slots are first written */
    struct rmap_device_stats stats;
};

static size_t page_bytes(const struct lz4_device *z)
{
    return (size_t)1 << z->base.page_shift;
}

static size_t tables_room(uint64_t slots)
{
    return (size_t)((slots + TABLE_SLOTS - 1) >> TABLE_SHIFT);
}

static size_t block_size(uint32_t bytes)
{
    return sizeof(struct block) + bytes;
}

static void block_free(struct lz4_device *z, struct block *b)
{
    if (b) rmap__free(&z->alloc, b, block_size(b->bytes));
}

/* Where the slot's block hangs, or NULL if its table is not made. Lock held. */
static struct block **place_of(const struct lz4_device *z, uint32_t slot)
{
    struct table *t = z->tables[slot >> TABLE_SHIFT];
    return t ? &t->block[slot & (TABLE_SLOTS - 1)] : NULL;
}

/* Take the slot's block away, for the caller to free after the lock. Lock held. */
static struct block *remove_block(struct lz4_device *z, uint32_t slot)
{
    struct block **place = place_of(z, slot), *b = place ? *place : NULL;
    if (b) {
        *place = NULL;
        z->stats.stored_bytes -= block_size(b->bytes);
    }
    return b;
}

/* Give the block its place and count it. Lock held. @return false: it would exceed the limit. */
static bool insert_block(struct lz4_device *z, uint32_t slot, struct block *b)
{
    uint64_t stored = z->stats.stored_bytes + block_size(b->bytes);
    if (z->limit_bytes && stored > z->limit_bytes) return false;
    *place_of(z, slot) = b;
    z->stats.stored_bytes = stored;
    if (stored > z->stats.stored_peak) z->stats.stored_peak = stored;
    return true;
}

/* The page as a block of its own, in memory of exactly its size; NULL: no memory. */
static struct block *pack(struct lz4_device *z, const void *data)
{
    int page = (int)page_bytes(z);
    rmap__mutex_lock(&z->pack, RMAP__RANK_DEVICE_WRITE);
    int packed = LZ4_compress_fast_extState(z->state, data, (char *)z->scratch, page, page - 1, 1);
    const void *from = packed > 0 ? z->scratch : data;
    uint32_t bytes = (uint32_t)(packed > 0 ? packed : page);
    struct block *b = rmap__alloc(&z->alloc, block_size(bytes));
    if (b) {
        b->bytes = bytes;
        memcpy(b->data, from, bytes);
    }
    rmap__mutex_unlock(&z->pack, RMAP__RANK_DEVICE_WRITE);
    return b;
}

/* The slot's table exists, or can be made. */
static bool make_table(struct lz4_device *z, uint32_t slot)
{
    struct table **t = &z->tables[slot >> TABLE_SHIFT];
    rmap__mutex_lock(&z->lock, RMAP__RANK_DEVICE);
    bool made = *t != NULL;
    rmap__mutex_unlock(&z->lock, RMAP__RANK_DEVICE);
    if (made) return true;

    struct table *fresh = RMAP__NEW(&z->alloc, struct table);
    if (!fresh) return false;
    rmap__mutex_lock(&z->lock, RMAP__RANK_DEVICE);
    if (!*t) {
        *t = fresh;
        fresh = NULL;
    }
    rmap__mutex_unlock(&z->lock, RMAP__RANK_DEVICE);
    RMAP__DELETE(&z->alloc, fresh);
    return true;
}

static void write_one(struct lz4_device *z, struct rmap_io *io)
{
    if (io->slot >= z->base.slots) {
        io->error = RMAP_ERR_IO_WRITE;
        return;
    }
    rmap__mutex_lock(&z->lock, RMAP__RANK_DEVICE);
    struct block *old = remove_block(z, io->slot);
    rmap__mutex_unlock(&z->lock, RMAP__RANK_DEVICE);
    block_free(z, old);

    struct block *b = make_table(z, io->slot) ? pack(z, io->data) : NULL;
    rmap__mutex_lock(&z->lock, RMAP__RANK_DEVICE);
    old = remove_block(z, io->slot);
    bool stored = b && insert_block(z, io->slot, b);
    rmap__mutex_unlock(&z->lock, RMAP__RANK_DEVICE);
    block_free(z, old);
    if (!stored) block_free(z, b);
    io->error = stored ? 0 : RMAP_ERR_NOMEM;
}

static int unpack(const struct lz4_device *z, const struct block *b, void *data)
{
    int page = (int)page_bytes(z);
    if (b->bytes == (uint32_t)page) {
        memcpy(data, b->data, b->bytes);
        return 0;
    }
    int got = LZ4_decompress_safe((const char *)b->data, data, (int)b->bytes, page);
    return got == page ? 0 : RMAP_ERR_CORRUPT;
}

static void lz4_write(struct rmap_device *d, struct rmap_io *io, size_t n)
{
    struct lz4_device *z = (struct lz4_device *)d;
    uint64_t errors = 0;
    for (size_t i = 0; i < n; i++) {
        write_one(z, &io[i]);
        errors += io[i].error != 0;
    }
    rmap__mutex_lock(&z->lock, RMAP__RANK_DEVICE);
    z->stats.errors += errors;
    z->stats.writes += n - errors;
    rmap__mutex_unlock(&z->lock, RMAP__RANK_DEVICE);
}

static void lz4_read(struct rmap_device *d, struct rmap_io *io, size_t n)
{
    struct lz4_device *z = (struct lz4_device *)d;
    for (size_t i = 0; i < n; i++) {
        rmap__mutex_lock(&z->lock, RMAP__RANK_DEVICE);
        struct block **place = io[i].slot < d->slots ? place_of(z, io[i].slot) : NULL;
        io[i].error = place && *place ? unpack(z, *place, io[i].data) : RMAP_ERR_IO_READ;
        if (io[i].error)
            z->stats.errors++;
        else
            z->stats.reads++;
        rmap__mutex_unlock(&z->lock, RMAP__RANK_DEVICE);
    }
}

static void lz4_discard(struct rmap_device *d, uint32_t slot)
{
    struct lz4_device *z = (struct lz4_device *)d;
    if (slot >= d->slots) return;
    rmap__mutex_lock(&z->lock, RMAP__RANK_DEVICE);
    struct block *old = remove_block(z, slot);
    rmap__mutex_unlock(&z->lock, RMAP__RANK_DEVICE);
    block_free(z, old);
}

static void lz4_get_stats(struct rmap_device *d, struct rmap_device_stats *out)
{
    struct lz4_device *z = (struct lz4_device *)d;
    rmap__mutex_lock(&z->lock, RMAP__RANK_DEVICE);
    *out = z->stats;
    rmap__mutex_unlock(&z->lock, RMAP__RANK_DEVICE);
}

/* Also for a device that is half made; the mutexes are the caller's. */
static void release(struct lz4_device *z)
{
    struct rmap_allocator alloc = z->alloc;
    size_t room = tables_room(z->base.slots);
    for (size_t t = 0; z->tables && t < room; t++) {
        if (!z->tables[t]) continue;
        for (uint32_t i = 0; i < TABLE_SLOTS; i++) block_free(z, z->tables[t]->block[i]);
        RMAP__DELETE(&alloc, z->tables[t]);
    }
    rmap__free(&alloc, z->tables, room * sizeof(*z->tables));
    rmap__free(&alloc, z->scratch, page_bytes(z));
    rmap__free(&alloc, z->state, (size_t)LZ4_sizeofState());
    RMAP__DELETE(&alloc, z);
}

static void lz4_destroy(struct rmap_device *d)
{
    struct lz4_device *z = (struct lz4_device *)d;
    pthread_mutex_destroy(&z->pack);
    pthread_mutex_destroy(&z->lock);
    release(z);
}

int rmap_device_lz4_create(const struct rmap_allocator *alloc, uint64_t slots, unsigned page_shift,
                           uint64_t limit_bytes, struct rmap_device **out)
{
    static const struct rmap_device_ops ops = {
        .struct_size = sizeof(struct rmap_device_ops),
        .name = "lz4",
        .write = lz4_write,
        .read = lz4_read,
        .discard = lz4_discard,
        .get_stats = lz4_get_stats,
        .destroy = lz4_destroy,
    };
    struct rmap_allocator a;
    int rc = rmap__device_check(alloc, slots, page_shift, out, &a);
    if (rc) return rc;

    struct lz4_device *z = RMAP__NEW(&a, struct lz4_device);
    if (!z) return RMAP_ERR_NOMEM;
    z->base = (struct rmap_device){.ops = &ops, .slots = slots, .page_shift = page_shift};
    z->alloc = a;
    z->limit_bytes = limit_bytes;
    z->stats.slots = slots;
    z->scratch = rmap__alloc(&a, page_bytes(z));
    z->state = rmap__alloc(&a, (size_t)LZ4_sizeofState());
    z->tables = rmap__alloc(&a, tables_room(slots) * sizeof(*z->tables));
    if (!z->scratch || !z->state || !z->tables || pthread_mutex_init(&z->pack, NULL) != 0) {
        release(z);
        return RMAP_ERR_NOMEM;
    }
    if (pthread_mutex_init(&z->lock, NULL) != 0) {
        pthread_mutex_destroy(&z->pack);
        release(z);
        return RMAP_ERR_NOMEM;
    }
    *out = &z->base;
    return 0;
}

#else

int rmap_device_lz4_create(const struct rmap_allocator *alloc, uint64_t slots, unsigned page_shift,
                           uint64_t limit_bytes, struct rmap_device **out)
{
    struct rmap_allocator unused;
    (void)limit_bytes;
    int rc = rmap__device_check(alloc, slots, page_shift, out, &unused);
    return rc ? rc : RMAP_ERR_UNSUPPORTED;
}

#endif
