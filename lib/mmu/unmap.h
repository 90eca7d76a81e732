/* SPDX-License-Identifier: MIT */
/**
 * @file mmu/unmap.h  Giving addresses back. The kernel may refuse it: what we mapped can have become one VMA with a neighbour of the
 * same kind, and to cut that is one VMA more, of which a process has only so many.
 */
#ifndef RMAP_MMU_UNMAP_H
#define RMAP_MMU_UNMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

/**
 * Unmap, and if that is refused once more: after `make_room(ctx)`, or, where the caller has no VMA to give up (NULL), in the hope
 * that another thread has. @return false: the addresses stay mapped.
 */
static inline bool rmap__unmap(void *at, size_t bytes, void (*make_room)(void *ctx), void *ctx)
{
    if (munmap(at, bytes) == 0) return true;
    if (make_room) make_room(ctx);
    return munmap(at, bytes) == 0;
}

#endif
