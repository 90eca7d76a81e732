/* SPDX-License-Identifier: MIT */
/*
 * memory.h - what the SQLite example wants from its memory, and no more.
 *
 * One `store` is the pager's world: frames under a budget, swap, and this
 * process's own virtual memory as the MMU.  One `branch_memory` is one space
 * of it with one range, in which a database image lies as ordinary bytes at
 * memory_base().  Everything else in the example knows nothing of the pager.
 *
 * => Functions return 0 or a negative code for memory_error_text().
 * => Any number of threads may use a store; a branch_memory and its bytes at
 *    memory_base() belong to one of them at a time.  store_verify() and
 *    store_close() want all others still.
 * => The bytes are projected memory: system calls on them get EFAULT.
 */
#ifndef EXAMPLES_SQLITE_MEMORY_H
#define EXAMPLES_SQLITE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMORY_PAGE_BYTES 4096u

struct store;
struct branch_memory;

enum store_swap { STORE_SWAP_FILE, STORE_SWAP_LZ4 };

/* Of shared pages when a range moves: take a copy of each, or record for the range where they went. */
enum store_move { STORE_MOVE_COPY, STORE_MOVE_TRACK };

struct store_options {
    size_t budget_bytes;    /* frames never exceed this */
    size_t range_bytes_max; /* the largest range that a branch may grow to */
    enum store_swap swap;
    enum store_move move;
};

/* What changes from moment to moment, for the picture of the run. */
struct store_gauges {
    uint64_t resident_frames;
    uint64_t shared_pages;    /* resident, mapped by two branches or more */
    uint64_t exclusive_pages; /* resident, mapped by one branch */
    uint64_t swap_bytes;      /* pages on swap, uncompressed */
};

/* Classes of mapcount at the start of a walk: 1, 2, 3-4, ... 65+. */
#define STORE_MAPPER_CLASSES 8

struct store_walks {
    uint64_t walks;
    uint64_t visits; /* spaces whose page tables were looked at */
    uint64_t hits;   /* entries found */
};

struct store_stats {
    uint64_t peak_frame_bytes;
    uint64_t evictions;
    uint64_t shared_evictions; /* of pages mapped by two branches or more */
    uint64_t swap_ins;
    uint64_t cow_copies;
    uint64_t moves_reindexed; /* pages */
    uint64_t moves_copied;    /* pages */
    uint64_t moved_tracked;   /* pages: shared, moved under a record instead of copied */
    uint64_t track_bytes;     /* of the records that live */
    uint64_t swap_in_copies;  /* pages: moved on swap while shared, copied when they came back */
    uint64_t visits;
    uint64_t hits;
    uint64_t nodes_visited;
    struct store_walks unmap_by_mappers[STORE_MAPPER_CLASSES];
    struct store_walks ageing;
    struct store_walks looks_by_mappers[STORE_MAPPER_CLASSES]; /* at pages before their eviction */
    struct store_walks looks;                                  /* their sum */
    struct store_walks first_lookups;
    uint64_t nodes_live;
    uint64_t node_bytes;
    uint64_t pagetable_bytes;
    uint64_t metadata_bytes; /* all that the library allocated */
    uint64_t mappings_peak;
    uint64_t host_vmas_peak;
    uint64_t host_vma_limit;
    uint64_t swap_bytes_peak;
    uint64_t lz4_bytes_peak; /* 0 with a swap file */
    uint64_t space_waits;    /* how often a thread found a space's lock taken */
    uint64_t reclaim_waits;  /* likewise the lock of who reclaims */
};

/* A number of pages: pages + fraction / 2^64. */
struct memory_share {
    uint64_t pages, fraction;
};

/* What one branch has; a page counts once for each branch that has it, a share in proportion. */
struct memory_usage {
    uint64_t shared;    /* resident pages that another branch has, too, in memory or on swap */
    uint64_t exclusive; /* resident pages that only this one has */
    uint64_t swapped;
    struct memory_share resident;
    struct memory_share swap;
};

/* budget_bytes and range_bytes_max are multiples of MEMORY_PAGE_BYTES. */
int store_open(const struct store_options *options, struct store **store);

/* Every branch_memory must have been closed; an error means that something is left. */
int store_close(struct store *store);

void store_sample(struct store *store, struct store_gauges *gauges);
void store_stats(struct store *store, struct store_stats *stats);

uint64_t store_free_frames(struct store *store);

/* Frees up to `frames` frames, in the caller's thread; returns how many. */
uint64_t store_reclaim(struct store *store, uint64_t frames);

/* The pager checks its own books: every entry, page, slot and fork tree. */
int store_verify(struct store *store);

/* A first space with one range of `bytes` zero bytes. */
int memory_root(struct store *store, size_t bytes, struct branch_memory **memory);

/* Writes through the pager: the way in for bytes that come from read(2). */
int memory_load(struct branch_memory *memory, size_t offset, const void *bytes, size_t length);

/* A copy-on-write child with the same range; both stay usable. */
int memory_fork(struct branch_memory *parent, struct branch_memory **child);

/* Moves the range to a place where `bytes` fit; memory_base() changes. */
int memory_move(struct branch_memory *memory, size_t bytes);

void memory_close(struct branch_memory *memory);

unsigned char *memory_base(const struct branch_memory *memory);
size_t memory_size(const struct branch_memory *memory);
int memory_usage(const struct branch_memory *memory, struct memory_usage *usage);

/*
 * Live allocator bytes per further mapping, measured in a small world of its
 * own: what a fork adds with 512 present pages, minus with 1, over 511.
 */
int memory_measure_mapping(double *bytes_per_mapping);

enum memory_fault_result {
    MEMORY_FAULT_RESOLVED, /* retry the access */
    MEMORY_FAULT_FOREIGN,  /* not an address of this store: an honest crash */
    MEMORY_FAULT_FAILED,   /* ours, but the page cannot be had (swap error) */
};

/* Every swap slot is in use: what does not fit into the frames has no place any more. */
bool memory_swap_full(struct store *store);

/* For the signal handler.  `error` (optional) says why it failed. */
enum memory_fault_result memory_fault(struct store *store, void *address, bool is_write, int *error);

const char *memory_error_text(int error);

#endif
