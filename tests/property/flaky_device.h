/* SPDX-License-Identifier: MIT */
/** @file property/flaky_device.h  A swap device in front of a real one: some reads and writes fail, some reads are
 * spoilt. */
#ifndef RMAP_TESTS_PROPERTY_FLAKY_DEVICE_H
#define RMAP_TESTS_PROPERTY_FLAKY_DEVICE_H

#include "support/prng.h"

#include <objrmap/device.h>

struct flaky_device {
    struct rmap_device base;
    struct rmap_device *inner; /* destroyed with this one */
    struct prng rng;
    unsigned fail_write, fail_read, spoil_read; /* pages of 1,000 */
    uint64_t injected;
};

/** `f` is the caller's memory and must outlive the slot map that it is given to. */
void flaky_device_init(struct flaky_device *f, struct rmap_device *inner, uint64_t seed);
/** Read a slot without any trick. @return 0 or the inner device's error. */
int flaky_device_peek(struct flaky_device *f, uint32_t slot, void *page);

#endif
