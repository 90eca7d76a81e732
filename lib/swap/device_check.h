/* SPDX-License-Identifier: MIT */
/** @file swap/device_check.h  What the creators of all supplied devices check in the same way. */
#ifndef RMAP_SWAP_DEVICE_CHECK_H
#define RMAP_SWAP_DEVICE_CHECK_H

#include <swap/swap_internal.h>

static inline int rmap__device_check(const struct rmap_allocator *alloc, uint64_t slots, unsigned page_shift,
                                     struct rmap_device **out, struct rmap_allocator *copy)
{
    if (!out) return RMAP_ERR_NULL_ARG;
    if (slots == 0 || slots > (uint64_t)1 << RMAP_SWP_SLOT_BITS) return RMAP_ERR_RANGE;
    if (page_shift < RMAP__SWAP_SHIFT_MIN || page_shift > RMAP__SWAP_SHIFT_MAX) return RMAP_ERR_INVALID;
    return rmap__swap_allocator(alloc, copy);
}

#endif
