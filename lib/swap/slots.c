/* SPDX-License-Identifier: MIT */
/**
 * @file swap/slots.c  Which slots are free, and where the next one is taken.
 *
 * Pages evicted together should lie together on the device, so the search goes on behind the slot taken last. When it
 * comes to the end of the chunks made, it starts again at their beginning if at least half of their slots are free, and
 * makes one more chunk otherwise: a device is used from its start, and no larger than about twice what it holds.
 */
#include <swap/swap_internal.h>

static inline struct rmap__swap_device *device_of(struct rmap_swap *s, rmap_swp_t entry)
{
    return &s->devices[rmap_swp_device(entry) - 1];
}

static inline struct rmap__slot_chunk *chunk_of(struct rmap_swap *s, rmap_swp_t entry)
{
    return device_of(s, entry)->chunks[rmap_swp_slot(entry) >> RMAP__CHUNK_SHIFT];
}

struct rmap__slot *rmap__slot_find(struct rmap_swap *s, rmap_swp_t entry)
{
    unsigned device = rmap_swp_device(entry);
    if (device == 0 || device > s->device_count) return NULL;
    if (rmap_swp_slot(entry) >= rmap__device_made(device_of(s, entry))) return NULL;
    return &chunk_of(s, entry)->slots[rmap_swp_slot(entry) & (RMAP__CHUNK_SLOTS - 1)];
}

struct rmap__slot *rmap__slot_find_live(struct rmap_swap *s, rmap_swp_t entry)
{
    struct rmap__slot *slot = rmap__slot_find(s, entry);
    return slot && (rmap__slot_state(slot) & RMAP__SLOT_LIVE) ? slot : NULL;
}

/* ---- taking ---- */

/* First free slot of [from, to). */
static bool scan(struct rmap_swap *s, const struct rmap__swap_device *d, uint32_t from, uint32_t to, uint32_t *out)
{
    const uint32_t end = (to + RMAP__CHUNK_SLOTS - 1) >> RMAP__CHUNK_SHIFT;
    uint32_t c = from >> RMAP__CHUNK_SHIFT;
    for (; (c = rmap__chunk_next(s, d->with_free, c, end)) < end; c++) {
        const uint32_t base = c << RMAP__CHUNK_SHIFT, in_chunk = from > base ? from - base : 0;
        uint64_t mask = ~(uint64_t)0 << (in_chunk & 63);
        for (uint32_t w = in_chunk / 64; w < RMAP__CHUNK_WORDS; w++, mask = ~(uint64_t)0) {
            const uint64_t bits = d->chunks[c]->free[w] & mask;
            s->looked++;
            if (!bits) continue;
            *out = base + w * 64 + (uint32_t)__builtin_ctzll(bits);
            return *out < to;
        }
    }
    return false;
}

static bool wants_chunk(const struct rmap__swap_device *d)
{
    uint32_t made = rmap__device_made(d);
    return d->made < d->room && (made == 0 || d->nfree < made - made / 2);
}

enum pick { PICK_FOUND, PICK_GROW, PICK_FULL };

/* Where would the device take its next slot? `starved`: it cannot get another chunk. */
static enum pick pick(struct rmap_swap *s, const struct rmap__swap_device *d, bool starved, uint32_t *out)
{
    if (d->nfree && scan(s, d, d->cursor, rmap__device_made(d), out)) return PICK_FOUND;
    if (!starved && wants_chunk(d)) return PICK_GROW;
    return d->nfree && scan(s, d, 0, d->cursor, out) ? PICK_FOUND : PICK_FULL;
}

void rmap__slot_add_spare(struct rmap_swap *s, rmap_swp_t entry, int n)
{
    chunk_of(s, entry)->spare += (uint32_t)n;
    s->spare += (uint64_t)(int64_t)n;
    rmap__chunk_note(device_of(s, entry), rmap_swp_slot(entry) >> RMAP__CHUNK_SHIFT);
}

static void claim(struct rmap_swap *s, rmap_swp_t entry)
{
    struct rmap__swap_device *d = device_of(s, entry);
    struct rmap__slot_chunk *chunk = chunk_of(s, entry);
    uint32_t in_chunk = rmap_swp_slot(entry) & (RMAP__CHUNK_SLOTS - 1);
    RMAP_ASSERT(chunk->free[in_chunk / 64] >> (in_chunk & 63) & 1);

    chunk->free[in_chunk / 64] &= ~((uint64_t)1 << (in_chunk & 63));
    chunk->slots[in_chunk].index_state = RMAP__SLOT_LIVE;
    chunk->nfree--;
    d->nfree--;
    d->used++;
    d->cursor = rmap_swp_slot(entry) + 1;
    rmap__slot_add_spare(s, entry, 1);
    if (++s->stats.slots_used > s->stats.slots_peak) s->stats.slots_peak = s->stats.slots_used;
}

/* Make the device's next chunk. Drops [m] meanwhile; somebody else may have been faster, or have
 * drained the device. @return false: no memory. */
static bool grow(struct rmap_swap *s, struct rmap__swap_device *d)
{
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    struct rmap__slot_chunk *chunk = RMAP__NEW(&s->alloc, struct rmap__slot_chunk);
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    if (!chunk) return false;

    if (rmap__device_takes(d) && wants_chunk(d)) {
        uint32_t first = rmap__device_made(d);
        uint32_t n = d->slots - first < RMAP__CHUNK_SLOTS ? d->slots - first : RMAP__CHUNK_SLOTS;
        for (uint32_t i = 0; i < n; i++) chunk->free[i / 64] |= (uint64_t)1 << (i & 63);
        chunk->nfree = n;
        d->chunks[d->made] = chunk;
        d->nfree += n;
        rmap__chunk_note(d, d->made++);
        s->stats.metadata_bytes += sizeof *chunk;
        return true;
    }
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    RMAP__DELETE(&s->alloc, chunk);
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    return true;
}

int rmap__slot_take(struct rmap_swap *s, rmap_swp_t *out)
{
    bool starved = false;
    for (;;) {
        struct rmap__swap_device *growing = NULL;
        bool could_grow = false;
        for (unsigned i = 0; i < s->device_count && !growing; i++) {
            struct rmap__swap_device *d = &s->devices[i];
            uint32_t slot;
            if (!rmap__device_takes(d)) continue;
            switch (pick(s, d, starved, &slot)) {
            case PICK_FOUND:
                *out = rmap_swp_make(i + 1, slot);
                claim(s, *out);
                return 0;
            case PICK_GROW:
                growing = d;
                break;
            case PICK_FULL:
                could_grow |= d->made < d->room;
                break;
            }
        }
        if (!growing) return could_grow ? RMAP_ERR_NOMEM : RMAP_ERR_NO_SLOT;
        if (!grow(s, growing)) starved = true;
    }
}

void rmap__slot_retake(struct rmap_swap *s, rmap_swp_t entry)
{
    claim(s, entry);
}

/* ---- giving back ---- */

void rmap__slot_free(struct rmap_swap *s, rmap_swp_t entry)
{
    struct rmap__swap_device *d = device_of(s, entry);
    struct rmap__slot_chunk *chunk = chunk_of(s, entry);
    uint32_t in_chunk = rmap_swp_slot(entry) & (RMAP__CHUNK_SLOTS - 1);
    struct rmap__slot *slot = &chunk->slots[in_chunk];
    uint64_t state = rmap__slot_state(slot);
    RMAP_ASSERT_INV((state & RMAP__SLOT_LIVE) && slot->count == 0 && !slot->cached, "INV-3");

    /* Before anybody can take the slot again: the discard must not hit the next owner's content. */
    if ((state & (RMAP__SLOT_WRITTEN | RMAP__SLOT_BAD)) && d->device->ops->discard)
        d->device->ops->discard(d->device, rmap_swp_slot(entry));
    rmap_owner_put(slot->owner);
    *slot = (struct rmap__slot){.index_state = state & RMAP__SLOT_BAD, .version = slot->version + 1};
    d->used--;
    s->stats.slots_used--;
    if (!(state & RMAP__SLOT_BAD)) {
        chunk->free[in_chunk / 64] |= (uint64_t)1 << (in_chunk & 63);
        chunk->nfree++;
        d->nfree++;
    }
    rmap__slot_add_spare(s, entry, -1);
}
