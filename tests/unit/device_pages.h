/* SPDX-License-Identifier: MIT */
/** @file unit/device_pages.h  What the devices' tests share: pages of 4,096 bytes of noise, by slot number. */
#ifndef RMAP_TESTS_UNIT_DEVICE_PAGES_H
#define RMAP_TESTS_UNIT_DEVICE_PAGES_H

#include "support/counting_alloc.h"
#include "support/prng.h"
#include "support/test.h"

#include <objrmap/device.h>

#define SHIFT 12
#define PAGE ((size_t)1 << SHIFT)
#define MAX 320

static unsigned char out_data[MAX][PAGE], in_data[MAX][PAGE];
static struct rmap_io io[MAX];

/* Random bytes: a page that does not shrink. */
static inline void noise(unsigned char *page, uint64_t seed)
{
    struct prng p;
    prng_init(&p, seed);
    for (size_t i = 0; i < PAGE; i++) page[i] = (unsigned char)prng_next(&p);
}

/* Slots first, first + step, …: written with noise of their number; every answer must be `want`. */
static inline void write_slots(struct rmap_device *d, uint32_t first, uint32_t step, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t slot = first + step * (uint32_t)i;
        noise(out_data[i], slot);
        io[i] = (struct rmap_io){.slot = slot, .data = out_data[i], .error = RMAP_ERR_BUSY};
    }
    d->ops->write(d, io, n);
}
static inline void read_slots(struct rmap_device *d, uint32_t first, uint32_t step, size_t n)
{
    memset(in_data, 0xee, sizeof in_data);
    for (size_t i = 0; i < n; i++)
        io[i] = (struct rmap_io){.slot = first + step * (uint32_t)i, .data = in_data[i], .error = RMAP_ERR_BUSY};
    d->ops->read(d, io, n);
}
static inline void check_all(size_t n, int want)
{
    for (size_t i = 0; i < n; i++) CHECK_ERR(io[i].error, want);
}
static inline void check_noise(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        static unsigned char expected[PAGE];
        noise(expected, io[i].slot);
        CHECK_ERR(io[i].error, RMAP_OK);
        CHECK(memcmp(in_data[i], expected, PAGE) == 0);
    }
}
static inline struct rmap_device_stats stats_of(struct rmap_device *d)
{
    struct rmap_device_stats st;
    CHECK_OK(rmap_device_get_stats(d, &st));
    return st;
}

#endif
