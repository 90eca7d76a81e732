/* SPDX-License-Identifier: MIT */
/**
 * @file scale/crowd.h  Very many spaces over descriptors alone: no contents, no TLB, one array for all entries.
 *
 *     struct crowd c;
 *     crowd_open(&c, 1001, 1000, 1001000);     spaces, pages of each, frames; space 0 lives, alone in its group
 *     crowd_fork(&c, 0, 1);                    space 1 is a child of 0
 *     crowd_write(&c, 1, 7);                   copy on write
 *     crowd_look(&c, crowd_page(&c, 1, 7), &tally);
 *     crowd_close(&c);                         all that live exit; nothing may be left
 *
 * Fork, write, swap-in and exit are made of the core's public calls. All that the library allocates is counted.
 */
#ifndef RMAP_TESTS_SCALE_CROWD_H
#define RMAP_TESTS_SCALE_CROWD_H

#include "scale/must.h"
#include "scale/slots.h"
#include "support/flat_mmu.h"

#include <objrmap/move.h>
#include <objrmap/rmap.h>
#include <objrmap/stats.h>

struct crowd_space {
    struct rmap_member m;
    struct flat_table table;
};

struct crowd {
    struct rmap *r;
    struct rmap_allocator alloc;
    size_t live_bytes;  /* of the library's allocations */
    size_t bytes_alone; /* of those, before the first space came */
    struct slots slots;
    struct rmap_page *descriptors;
    rmap_pfn_t *free_frames; /* stack */
    uint64_t frames, free_count;
    struct crowd_space *space; /* [spaces] */
    RMAP_ATOMIC(rmap_pte_t) * entries;
    uint32_t spaces;
    rmap_vpn_t pages; /* of each */
};

/** What walks cost. */
struct tally {
    uint64_t walks, hits, visits, nodes;
    uint64_t most; /* visits of one walk */
};

void crowd_open(struct crowd *c, uint32_t spaces, rmap_vpn_t pages, uint64_t frames);
void crowd_close(struct crowd *c);

void crowd_fork(struct crowd *c, uint32_t parent, uint32_t child);
void crowd_exit(struct crowd *c, uint32_t s);
void crowd_zap(struct crowd *c, uint32_t s, rmap_vpn_t first, uint64_t count);
/** A write: in place if the space has the page alone, else to a copy or a new page. @return the page. */
struct rmap_page *crowd_write(struct crowd *c, uint32_t s, rmap_vpn_t vpn);
/** The page of a present entry, or NULL. */
struct rmap_page *crowd_page(struct crowd *c, uint32_t s, rmap_vpn_t vpn);
/** A read: an entry on swap gets its page back. */
void crowd_read(struct crowd *c, uint32_t s, rmap_vpn_t vpn);
struct rmap_moved crowd_move(struct crowd *c, uint32_t s, rmap_vpn_t from, rmap_vpn_t to, uint64_t count);

/** referenced. Must be DONE. @return the mappers. */
uint32_t crowd_look(struct crowd *c, struct rmap_page *page, struct tally *t);
/** unmap to swap; the frame is free then. Must be DONE. @return the mappers. */
uint32_t crowd_unmap(struct crowd *c, struct rmap_page *page, struct tally *t);

struct rmap_stats crowd_stats(struct crowd *c);
/** What the library allocated for all spaces, bytes a space that lives. */
double crowd_bytes_per_space(struct crowd *c);

#endif
