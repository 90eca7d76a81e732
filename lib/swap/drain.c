/* SPDX-License-Identifier: MIT */
/** @file swap/drain.c  Taking a device out: no new slots, what is left, and off with it. */
#include <swap/swap_internal.h>

/* [m] held. */
static struct rmap__swap_device *find(struct rmap_swap *s, const struct rmap_device *device)
{
    for (unsigned i = 0; i < s->device_count; i++)
        if (s->devices[i].device == device) return &s->devices[i];
    return NULL;
}

static unsigned number_of(const struct rmap_swap *s, const struct rmap__swap_device *d)
{
    return (unsigned)(d - s->devices) + 1;
}

int rmap_swap_drain_begin(struct rmap_swap *s, const struct rmap_device *device)
{
    if (!s || !device) return RMAP_ERR_NULL_ARG;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    struct rmap__swap_device *d = find(s, device);
    int rc = !d ? RMAP_ERR_ABSENT : d->draining ? RMAP_ERR_BUSY : 0;
    if (!rc) d->draining = true;
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    return rc;
}

int rmap_swap_drain_cancel(struct rmap_swap *s, const struct rmap_device *device)
{
    if (!s || !device) return RMAP_ERR_NULL_ARG;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    struct rmap__swap_device *d = find(s, device);
    int rc = d && d->draining ? 0 : RMAP_ERR_ABSENT;
    if (!rc) d->draining = false;
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    return rc;
}

/* First slot of [from, made) that is live. Those that are not free may also be dead and bad, or behind the device's
 * end. [m] held. */
static bool find_used(const struct rmap__swap_device *d, uint32_t from, uint32_t *out)
{
    const uint32_t made = rmap__device_made(d);
    while (from < made) {
        const struct rmap__slot_chunk *chunk = d->chunks[from >> RMAP__CHUNK_SHIFT];
        const uint32_t in_chunk = from & (RMAP__CHUNK_SLOTS - 1);
        uint64_t taken = ~chunk->free[in_chunk / 64] >> (in_chunk & 63);
        if (!taken) {
            from = (from | 63) + 1;
            continue;
        }
        from += (uint32_t)__builtin_ctzll(taken);
        if (rmap__slot_state(&chunk->slots[from & (RMAP__CHUNK_SLOTS - 1)]) & RMAP__SLOT_LIVE) {
            *out = from;
            return true;
        }
        from++;
    }
    return false;
}

rmap_swp_t rmap_swap_next_used(struct rmap_swap *s, const struct rmap_device *device, uint32_t *cursor)
{
    if (!s || !device || !cursor) return 0;
    rmap_swp_t entry = 0;
    uint32_t slot;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    const struct rmap__swap_device *d = find(s, device);
    if (d && find_used(d, *cursor, &slot)) {
        entry = rmap_swp_make(number_of(s, d), slot);
        *cursor = slot + 1;
    }
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    return entry;
}

uint64_t rmap_swap_used(struct rmap_swap *s, const struct rmap_device *device)
{
    if (!s || !device) return 0;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    const struct rmap__swap_device *d = find(s, device);
    uint64_t used = d ? d->used : 0;
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    return used;
}

int rmap_swap_remove(struct rmap_swap *s, struct rmap_device *device)
{
    if (!s || !device) return RMAP_ERR_NULL_ARG;
    struct rmap__swap_device gone = {.device = NULL};
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    struct rmap__swap_device *d = find(s, device);
    int rc = !d ? RMAP_ERR_ABSENT : d->used || d->reading ? RMAP_ERR_BUSY : 0;
    if (!rc) {
        gone = *d;
        *d = (struct rmap__swap_device){.device = NULL};
        s->stats.slots_total -= gone.slots;
        s->stats.slots_bad -= gone.bad;
        s->stats.metadata_bytes -= rmap__device_bytes(&gone);
    }
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    if (!rc) rmap__device_free(s, &gone);
    return rc;
}
