/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/host.h  A supplied MMU that projects spaces onto this process's own virtual memory.
 *
 * Each space gets a *window*, a reserved range of addresses. The truth is a radix table per space; the window's mappings
 * (mmap of the frames' memfd) are a TLB over it: droppable at any time, bounded in number, refilled by faults. The embedder
 * catches the faults (SIGSEGV, SIGBUS, …) and calls rmap_host_fault().
 *
 * A projection can always be read: where a region grants WRITE without READ, its written pages are readable through the
 * window.
 *
 *     window:   [ run of frames 7-9 r ][ none ][ run of frames 3-4 rw ][ none ……… ]
 *     memfd:    frame 0 1 2 3 4 5 6 7 8 9 …        one VMA per run, one per gap; all of them are counted
 */
#ifndef OBJRMAP_HOST_H
#define OBJRMAP_HOST_H

#include <objrmap/memory.h>
#include <objrmap/mmu.h>

struct rmap_host;

struct rmap_host_options {
    size_t struct_size;
    const struct rmap_memory *memory;   /**< required; frame n of it is pfn n; must outlive the host */
    const struct rmap_allocator *alloc; /**< NULL: default */
    uint64_t window_pages;              /**< size of each space's window, 1 … 2^27 */
    /** Mappings (runs and gaps) that may be made; 0 = half of vm.max_map_count; min. 16. With less than eight for each
     *  thread that touches windows at a time, threads may take them from each other again and again. */
    uint64_t vma_limit;
};

struct rmap_host_stats {
    uint64_t windows;
    uint64_t vmas, vmas_peak, vma_limit;
    uint64_t faults;          /**< rmap_host_fault calls that were inside a window */
    uint64_t projections;     /**< mmap calls that projected a run */
    uint64_t projected_pages; /**< by those calls, fault-around included */
    uint64_t drops;           /**< runs dropped to stay below the limit, or for want of records */
    uint64_t flush_calls;     /**< mmap/mprotect calls made by flushes */
    size_t table_bytes;       /**< of all spaces' radix tables */
    size_t tlb_bytes;         /**< of the records of projected runs, those in stock included */
};

RMAP_BEGIN_DECLS

/** @return 0; NULL_ARG; STRUCT_SIZE (also of the allocator); RANGE (window_pages, vma_limit); NOMEM. Allocates. */
RMAP_API int rmap_host_create(const struct rmap_host_options *options, struct rmap_host **out);
/** What the system refuses to unmap, twice, stays reserved: one page. @return 0; NULL_ARG; BUSY (a window is still in use). */
RMAP_API int rmap_host_destroy(struct rmap_host *host);

/**
 * For pager options: each space gets a window. Returned by value; `ctx` is the host. create() answers NOMEM also when the
 * limit has no room for one more window (one mapping each, and eight beside them to work with), SYSTEM when the system
 * refuses the addresses.
 */
RMAP_API struct rmap_mmu_provider rmap_host_provider(struct rmap_host *host);

/** Address of vpn 0 of a space whose MMU a host made; NULL for another MMU. Constant for the space's life. */
RMAP_API void *rmap_host_base(const struct rmap_mmu *mmu);

/**
 * Resolve a fault at `addr`: finds the window, calls its client's fault() (rmap_space_fault), which ends with the MMU's
 * update() projecting the page.
 * => Async-signal-safe for a *synchronous* fault of the calling thread, provided that the thread holds no lock of the library
 *    and was not inside malloc (touching projected memory there is the caller's bug). No caller memory is touched.
 * => Any number of threads may fault at once, also on the same page: whoever comes second finds it resolved, and
 *    retries. What an ordinary thread holds while it touches projected memory must be nothing that the client's fault()
 *    takes. fault() returns: it does not jump out.
 * => A window that is being destroyed waits for the faults under way in it, and takes no new ones (ABSENT).
 * => `access` is READ or WRITE: pages are projected without the permission to execute. errno is preserved.
 * => May allocate records ahead, with no lock held; does without if there is no memory.
 * @return 0: retry the access. NULL_ARG; INVALID (no such access); UNSUPPORTED (EXEC); ABSENT: not in any window, or nothing
 *   is mapped there; SYSTEM: resolved, but the system refuses the mapping even after all others were given back; any other
 *   error of the client's fault(): for a pager's space as rmap_space_fault.
 */
RMAP_API int rmap_host_fault(struct rmap_host *host, void *addr, unsigned access);

/** Forget all projections of all windows (as a TLB flush would): the next touches fault. For tests and benchmarks. */
RMAP_API void rmap_host_drop_all(struct rmap_host *host);

/** Counters, each as it is when it is read. Takes the host mutex for a moment. @return 0; NULL_ARG. */
RMAP_API int rmap_host_get_stats(struct rmap_host *host, struct rmap_host_stats *out);

RMAP_END_DECLS
#endif
