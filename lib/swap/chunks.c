/* SPDX-License-Identifier: MIT */
/**
 * @file swap/chunks.c  A device's chunks, and the two summaries that let searches pass over those of no use.
 *
 * 2^26 slots are 65,536 chunks, each a cache miss away; their summary is 1,024 words in a row.
 */
#include <swap/swap_internal.h>

static uint32_t words(const struct rmap__swap_device *d)
{
    return (d->room + 63) / 64;
}

/* One block: two maps, then the pointers. */
static size_t table_bytes(const struct rmap__swap_device *d)
{
    return 2 * words(d) * sizeof(uint64_t) + d->room * sizeof(*d->chunks);
}

int rmap__device_init(struct rmap_swap *s, struct rmap__swap_device *d, struct rmap_device *device)
{
    *d = (struct rmap__swap_device){.device = device, .slots = (uint32_t)device->slots};
    d->room = (d->slots + RMAP__CHUNK_SLOTS - 1) >> RMAP__CHUNK_SHIFT;
    d->with_free = rmap__alloc(&s->alloc, table_bytes(d));
    if (!d->with_free) return RMAP_ERR_NOMEM;
    d->with_spare = d->with_free + words(d);
    d->chunks = (struct rmap__slot_chunk **)(void *)(d->with_spare + words(d));
    return 0;
}

uint64_t rmap__device_bytes(const struct rmap__swap_device *d)
{
    return table_bytes(d) + d->made * sizeof(**d->chunks);
}

void rmap__device_free(struct rmap_swap *s, struct rmap__swap_device *d)
{
    for (uint32_t c = 0; c < d->made; c++) RMAP__DELETE(&s->alloc, d->chunks[c]);
    rmap__free(&s->alloc, d->with_free, table_bytes(d));
}

static void put_bit(uint64_t *map, uint32_t i, bool on)
{
    const uint64_t bit = (uint64_t)1 << (i & 63);
    map[i / 64] = on ? map[i / 64] | bit : map[i / 64] & ~bit;
}

void rmap__chunk_note(struct rmap__swap_device *d, uint32_t chunk)
{
    put_bit(d->with_free, chunk, d->chunks[chunk]->nfree);
    put_bit(d->with_spare, chunk, d->chunks[chunk]->spare);
}

uint32_t rmap__chunk_next(struct rmap_swap *s, const uint64_t *map, uint32_t from, uint32_t to)
{
    while (from < to) {
        const uint64_t bits = map[from / 64] >> (from & 63);
        s->looked++;
        if (bits) return from + (uint32_t)__builtin_ctzll(bits);
        from = (from | 63) + 1;
    }
    return to;
}
