/* SPDX-License-Identifier: MIT */
/** @file swap/map.c  The slot map as an object: made, bound to its instance, given devices, destroyed. */
#include <swap/swap_internal.h>

/* Held for moments, several times for each page that is unmapped: worth a little spinning before a system call. */
static int lock_init(struct rmap_swap *s)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
    int err = pthread_mutex_init(&s->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    return err;
}

int rmap_swap_create(const struct rmap_swap_options *options, struct rmap_swap **out)
{
    if (!options || !out) return RMAP_ERR_NULL_ARG;
    if (options->struct_size != sizeof *options) return RMAP_ERR_STRUCT_SIZE;
    const unsigned shift = options->page_shift;
    if (shift < RMAP__SWAP_SHIFT_MIN || shift > RMAP__SWAP_SHIFT_MAX) return RMAP_ERR_INVALID;

    struct rmap_allocator alloc;
    int rc = rmap__swap_allocator(options->alloc, &alloc);
    if (rc) return rc;
    struct rmap_swap *s = RMAP__NEW(&alloc, struct rmap_swap);
    if (!s) return RMAP_ERR_NOMEM;
    if (lock_init(s) != 0) {
        RMAP__DELETE(&alloc, s);
        return RMAP_ERR_NOMEM;
    }
    s->alloc = alloc;
    s->page_shift = shift;
    s->count_max = UINT32_MAX;
    s->stats.metadata_bytes = sizeof *s;
    *out = s;
    return 0;
}

int rmap_swap_bind(struct rmap_swap *s, struct rmap *r)
{
    if (!s || !r) return RMAP_ERR_NULL_ARG;
    if (s->r) return RMAP_ERR_EXISTS;
    s->r = r;
    return 0;
}

int rmap_swap_destroy(struct rmap_swap *s)
{
    if (!s) return RMAP_ERR_NULL_ARG;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    bool used = s->stats.slots_used != 0;
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    if (used) return RMAP_ERR_BUSY;

    struct rmap_allocator alloc = s->alloc;
    for (unsigned i = 0; i < s->device_count; i++) {
        rmap_device_destroy(s->devices[i].device);
        rmap__device_free(s, &s->devices[i]);
    }
    pthread_mutex_destroy(&s->lock);
    RMAP__DELETE(&alloc, s);
    return 0;
}

static int device_check(const struct rmap_swap *s, const struct rmap_device *device)
{
    const struct rmap_device_ops *ops = device->ops;
    if (!ops) return RMAP_ERR_NULL_ARG;
    if (ops->struct_size != sizeof *ops) return RMAP_ERR_STRUCT_SIZE;
    if (!ops->write || !ops->read || !ops->get_stats || !ops->destroy) return RMAP_ERR_NULL_ARG;
    if (device->page_shift != s->page_shift) return RMAP_ERR_INVALID;
    if (device->slots == 0 || device->slots > (uint64_t)1 << RMAP_SWP_SLOT_BITS) return RMAP_ERR_INVALID;
    return 0;
}

/* Give the device the lowest free number. @return 0; EXISTS; OVERFLOW. */
static int publish(struct rmap_swap *s, struct rmap__swap_device added)
{
    unsigned at = s->device_count;
    for (unsigned i = s->device_count; i-- > 0;) {
        if (s->devices[i].device == added.device) return RMAP_ERR_EXISTS;
        if (!s->devices[i].device) at = i;
    }
    if (at == RMAP__SWAP_DEVICES_MAX) return RMAP_ERR_OVERFLOW;

    s->devices[at] = added;
    if (at == s->device_count) s->device_count++;
    s->stats.slots_total += added.slots;
    s->stats.metadata_bytes += rmap__device_bytes(&added);
    return 0;
}

int rmap_swap_add(struct rmap_swap *s, struct rmap_device *device)
{
    if (!s || !device) return RMAP_ERR_NULL_ARG;
    int rc = device_check(s, device);
    if (rc) return rc;

    struct rmap__swap_device added;
    if ((rc = rmap__device_init(s, &added, device))) return rc;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    rc = publish(s, added);
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    if (rc) rmap__device_free(s, &added);
    return rc;
}

int rmap_swap_get_stats(struct rmap_swap *s, struct rmap_swap_stats *out)
{
    if (!s || !out) return RMAP_ERR_NULL_ARG;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    *out = s->stats;
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    return 0;
}

void rmap__swap_set_count_max(struct rmap_swap *s, uint32_t max)
{
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    s->count_max = max;
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
}
