/* SPDX-License-Identifier: MIT */
/**
 * @file stress/device.c  See the header.
 *
 * A slot may be discarded and written anew while somebody still reads it: the slot map finds that out afterwards. So the
 * contents are guarded, by a mutex for each 1/64 of the slots. Discarded contents are spoilt. Some writes fail, for good or
 * for now: the page stays in memory then, and nothing is lost.
 */
#include "stress/device.h"

#include "stress/delay.h"
#include "stress/stamp.h"

#include <objrmap/error.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define STRIPES 64
#define FAILING 250 /* one write of so many */

struct device {
    struct rmap_device base;
    pthread_mutex_t stripe[STRIPES];
    unsigned char *data; /* [stripe] */
    bool *there;         /* [stripe] */
    atomic_ullong writes, reads, errors;
};

static struct device *device_of(struct rmap_device *d)
{
    return (struct device *)d;
}

static void device_write(struct rmap_device *base, struct rmap_io *io, size_t n)
{
    struct device *d = device_of(base);
    for (size_t i = 0; i < n; i++) {
        delay();
        if (delay_chance(FAILING)) {
            io[i].error = delay_chance(2) ? RMAP_ERR_IO_WRITE : RMAP_ERR_NOMEM;
            continue;
        }
        pthread_mutex_lock(&d->stripe[io[i].slot % STRIPES]);
        memcpy(d->data + ((size_t)io[i].slot << PAGE_SHIFT), io[i].data, PAGE_BYTES);
        d->there[io[i].slot] = true;
        pthread_mutex_unlock(&d->stripe[io[i].slot % STRIPES]);
        io[i].error = 0;
    }
    atomic_fetch_add(&d->writes, n);
    delay();
}

static void device_read(struct rmap_device *base, struct rmap_io *io, size_t n)
{
    struct device *d = device_of(base);
    for (size_t i = 0; i < n; i++) {
        delay();
        pthread_mutex_lock(&d->stripe[io[i].slot % STRIPES]);
        if (d->there[io[i].slot]) {
            memcpy(io[i].data, d->data + ((size_t)io[i].slot << PAGE_SHIFT), PAGE_BYTES);
            io[i].error = 0;
        } else {
            atomic_fetch_add(&d->errors, 1);
            io[i].error = RMAP_ERR_IO_READ;
        }
        pthread_mutex_unlock(&d->stripe[io[i].slot % STRIPES]);
        delay();
    }
    atomic_fetch_add(&d->reads, n);
}

static void device_discard(struct rmap_device *base, uint32_t slot)
{
    struct device *d = device_of(base);
    pthread_mutex_lock(&d->stripe[slot % STRIPES]);
    d->there[slot] = false;
    memset(d->data + ((size_t)slot << PAGE_SHIFT), 0xd5, 64);
    pthread_mutex_unlock(&d->stripe[slot % STRIPES]);
}

static void device_get_stats(struct rmap_device *base, struct rmap_device_stats *out)
{
    struct device *d = device_of(base);
    *out = (struct rmap_device_stats){.slots = base->slots,
                                      .writes = atomic_load(&d->writes),
                                      .reads = atomic_load(&d->reads),
                                      .errors = atomic_load(&d->errors)};
}

static void device_destroy(struct rmap_device *base)
{
    struct device *d = device_of(base);
    for (unsigned i = 0; i < STRIPES; i++) pthread_mutex_destroy(&d->stripe[i]);
    free(d->data);
    free(d->there);
    free(d);
}

struct rmap_device *stress_device(uint32_t slots)
{
    static const struct rmap_device_ops ops = {
        .struct_size = sizeof ops,
        .name = "stress",
        .write = device_write,
        .read = device_read,
        .discard = device_discard,
        .get_stats = device_get_stats,
        .destroy = device_destroy,
    };
    struct device *d = calloc(1, sizeof *d);
    if (!d) abort();
    d->base = (struct rmap_device){.ops = &ops, .slots = slots, .page_shift = PAGE_SHIFT};
    d->data = malloc((size_t)slots << PAGE_SHIFT);
    d->there = calloc(slots, sizeof *d->there);
    if (!d->data || !d->there) abort();
    for (unsigned i = 0; i < STRIPES; i++) pthread_mutex_init(&d->stripe[i], NULL);
    return &d->base;
}
