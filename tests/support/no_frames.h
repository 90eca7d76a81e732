/* SPDX-License-Identifier: MIT */
/** @file support/no_frames.h  Frames for an instance that gets none: what is tested is whether it is made, and of what. */
#ifndef RMAP_TESTS_SUPPORT_NO_FRAMES_H
#define RMAP_TESTS_SUPPORT_NO_FRAMES_H

#include <objrmap/error.h>
#include <objrmap/instance.h>

static inline int no_frame(void *ctx, rmap_pfn_t near, rmap_pfn_t *out)
{
    (void)ctx;
    (void)near;
    (void)out;
    return RMAP_ERR_NO_FRAME;
}
static inline void free_frame(void *ctx, rmap_pfn_t pfn)
{
    (void)ctx;
    (void)pfn;
}
static inline void copy_frame(void *ctx, rmap_pfn_t to, rmap_pfn_t from)
{
    (void)ctx;
    (void)to;
    (void)from;
}

#endif
