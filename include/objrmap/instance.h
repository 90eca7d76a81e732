/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/instance.h  One reverse map: allocator, frames, swap, and the groups that live in it.
 *
 * Instances are independent: no globals, no threads, no signal handlers, no environment.
 */
#ifndef OBJRMAP_INSTANCE_H
#define OBJRMAP_INSTANCE_H

#include <objrmap/alloc.h>
#include <objrmap/error.h>
#include <objrmap/page.h>
#include <objrmap/swap.h>

struct rmap_options {
    size_t struct_size;                  /**< sizeof(struct rmap_options) */
    const struct rmap_allocator *alloc;  /**< NULL: rmap_alloc_default(). Copied. */
    const struct rmap_frame_ops *frames; /**< required; must outlive the instance */
    void *frames_ctx;
    const struct rmap_swap_ops *swap; /**< NULL: no swap; unmap then answers NO_SLOT. Must outlive the instance. */
    void *swap_ctx;
};

RMAP_BEGIN_DECLS

/** Create an instance. @return 0; NULL_ARG (also: a hook; of frame_ops clear, address and lost may be missing, of
 * swap_ops replace); STRUCT_SIZE (options, allocator or either ops table); NOMEM. Allocates. */
RMAP_API int rmap_create(const struct rmap_options *options, struct rmap **out);
/** Destroy it. @return 0; NULL_ARG; BUSY if a member is still in a group, or a page or slot still has an owner
 *  (nothing changed). Frame sections are forgotten. */
RMAP_API int rmap_destroy(struct rmap *r);

RMAP_END_DECLS
#endif
