/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/memory.h  Frame memory: one memfd and a linear view of it.
 *
 * Frame n of the memory is bytes [n << page_shift, …) of the file and of the view. The pager reads and writes frames
 * through the view; the host MMU projects them from the file. Unused frames cost nothing until touched.
 */
#ifndef OBJRMAP_MEMORY_H
#define OBJRMAP_MEMORY_H

#include <objrmap/alloc.h>

struct rmap_memory {
    int fd; /**< memfd, close-on-exec */
    unsigned page_shift;
    uint64_t frames;
    unsigned char *view; /**< frames << page_shift bytes, read-write */
};

RMAP_BEGIN_DECLS

/** Make the memory in caller's `mem`. @return 0; NULL_ARG; RANGE (0 frames, too many); INVALID (page_shift not in 12 … 16, or
 *  below the system's); SYSTEM. */
RMAP_API int rmap_memory_init(struct rmap_memory *mem, uint64_t frames, unsigned page_shift);
/** Unmap and close. Nobody may use frames or projections any more. Should the system refuse the unmapping twice, the view stays
 *  mapped, for nobody. */
RMAP_API void rmap_memory_fini(struct rmap_memory *mem);
/** Bytes that the system has allocated for it now (fstat): an honest figure beside any counter of ours. */
RMAP_API uint64_t rmap_memory_resident_bytes(const struct rmap_memory *mem);

RMAP_END_DECLS
#endif
