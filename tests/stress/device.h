/* SPDX-License-Identifier: MIT */
/** @file stress/device.h  A swap device in memory, for any number of threads, that takes its time. */
#ifndef RMAP_TESTS_STRESS_DEVICE_H
#define RMAP_TESTS_STRESS_DEVICE_H

#include <objrmap/device.h>

/** Pages of PAGE_BYTES. Aborts without memory. Destroyed by rmap_device_destroy(). */
struct rmap_device *stress_device(uint32_t slots);

#endif
