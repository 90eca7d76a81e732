/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/device.h  Swap devices: where slots' contents go. Two are supplied; others implement the ops.
 */
#ifndef OBJRMAP_DEVICE_H
#define OBJRMAP_DEVICE_H

#include <objrmap/alloc.h>

/**
 * One page to write or read. `data` is page-sized linear-view memory; `error` is the answer for this page, preset to a
 * failure by the caller: the device sets 0. NOMEM of a write says "not now"; any other failure that the slot is spoilt.
 */
struct rmap_io {
    uint32_t slot;
    void *data;
    int error; /**< 0, RMAP_ERR_IO_READ, RMAP_ERR_IO_WRITE, RMAP_ERR_NOMEM, RMAP_ERR_CORRUPT */
};

struct rmap_device;
struct rmap_device_stats {
    uint64_t slots; /**< capacity in pages */
    /** What the contents occupy now: compressed, or slots that hold content × page size. A file keeps the disk blocks
     *  of discarded slots for their next content. */
    uint64_t stored_bytes;
    uint64_t stored_peak;
    uint64_t writes, reads, errors; /**< pages */
};

/**
 * Implemented by a device. Calls may block and do I/O; no rmap page-table lock is held. Thread-safe: any two calls may run at
 * once, but two writes of one slot, and a write and a discard of it. A slot may be discarded and written again while it is
 * being read: what that read brings is then looked at by nobody.
 */
struct rmap_device_ops {
    size_t struct_size;
    const char *name;
    /** Store n pages; answers in io[i].error, the others unaffected. Slots sorted ascending. A slot whose write failed
     *  has lost its content. */
    void (*write)(struct rmap_device *d, struct rmap_io *io, size_t n);
    /** Fetch n pages, many at a time where neighbours are read together: in any order, and perhaps one slot twice; answers
     *  as write's. A slot never written is an error (IO_READ), not zeroes. */
    void (*read)(struct rmap_device *d, struct rmap_io *io, size_t n);
    /** The slot's content is not needed any more. Must not fail or block (leaf locks only). May be NULL. */
    void (*discard)(struct rmap_device *d, uint32_t slot);
    void (*get_stats)(struct rmap_device *d, struct rmap_device_stats *out);
    void (*destroy)(struct rmap_device *d);
};

/** Header of every device object. */
struct rmap_device {
    const struct rmap_device_ops *ops;
    uint64_t slots;      /**< 1 … 2^26 */
    unsigned page_shift; /**< 9 … 20 */
};

RMAP_BEGIN_DECLS

/**
 * A file device on an open file (read-write, positioned I/O); sparse: nothing is written ahead. The descriptor is
 * borrowed unless `close_fd`; on failure it stays the caller's. @return 0; NULL_ARG; STRUCT_SIZE (allocator); RANGE
 * (slots); INVALID (page_shift; not open for reading and writing, opened with O_APPEND, neither a regular file nor a
 * block device); NOMEM.
 */
RMAP_API int rmap_device_file_create(const struct rmap_allocator *alloc, int fd, bool close_fd, uint64_t slots,
                                     unsigned page_shift, struct rmap_device **out);
/** The same on a new unlinked file in `directory` (NULL: $TMPDIR is *not* read here; "/tmp").
 * @return as rmap_device_file_create; SYSTEM (no file can be made there). */
RMAP_API int rmap_device_temp_create(const struct rmap_allocator *alloc, const char *directory, uint64_t slots,
                                     unsigned page_shift, struct rmap_device **out);
/**
 * Pages compressed by lz4 in memory from `alloc`; incompressible ones are stored as they are. `limit_bytes` bounds what
 * is stored (0: none); beyond it, and when `alloc` has no memory, writes fail with NOMEM and can be tried again later.
 * What each block occupies is its compressed size and 4 bytes; tables of pointers (8 bytes a slot, by 1,024) are not
 * counted.
 * @return 0; NULL_ARG; STRUCT_SIZE (allocator); RANGE (slots); INVALID (page_shift); NOMEM; UNSUPPORTED (built
 * without lz4).
 */
RMAP_API int rmap_device_lz4_create(const struct rmap_allocator *alloc, uint64_t slots, unsigned page_shift,
                                    uint64_t limit_bytes, struct rmap_device **out);
/** NULL is allowed. A device that was given to a slot map is destroyed by it. */
RMAP_API void rmap_device_destroy(struct rmap_device *d);
/** @return 0; NULL_ARG. */
RMAP_API int rmap_device_get_stats(struct rmap_device *d, struct rmap_device_stats *out);

RMAP_END_DECLS
#endif
