/* SPDX-License-Identifier: MIT */
/**
 * @file property/scan.h  The exact back-pointer map: every page-table entry of every space, read by run_find.
 *
 * It is independent of the fork tree, of owners and of counts, and it does not disturb anything: no fault, no walk. So
 * it is taken after each operation, and what the library believes is compared with it.
 */
#ifndef RMAP_TESTS_PROPERTY_SCAN_H
#define RMAP_TESTS_PROPERTY_SCAN_H

#include "property/oracle.h"

#define SCAN_FRAMES 64
#define SCAN_SLOTS 1024

struct game;

struct scan_entry {
    rmap_pte_t raw;
    enum rmap_pte_kind kind;
    unsigned attrs; /* 1 << RMAP_ATTR_… */
    rmap_pfn_t pfn; /* of present and no-access entries */
    rmap_swp_t swp; /* of swap entries */
};
struct scan_frame {
    unsigned mappings;
    struct {
        uint8_t space, vpn;
    } by[ORACLE_SPACES];
    bool locked; /* by one of them */
};
struct scan {
    struct scan_entry entry[ORACLE_SPACES][ORACLE_PAGES];
    struct scan_frame frame[SCAN_FRAMES];
    uint16_t slot_entries[SCAN_SLOTS];
};

/** Read all tables into g->scan. */
void scan_take(struct game *g);
/** One entry as it is now. */
struct scan_entry scan_entry_now(struct game *g, unsigned space, rmap_vpn_t vpn);
/** Is the frame one that entries count as mappings? Not the zero frame. */
bool scan_is_counted(struct game *g, rmap_pfn_t pfn);
/** Mappings, plus swap entries of its slot. */
unsigned scan_users(struct game *g, rmap_pfn_t pfn);

/** Entries against the oracle: kinds, attributes, and the contents of every frame. */
void scan_check_entries(struct game *g);
/** Descriptors against the entries: counts, references, locks, slots. */
void scan_check_frames(struct game *g);
/** Contents on swap, in the cache or on the device, against the oracle. */
void scan_check_swap(struct game *g);
/** rmap_each_mapping of one frame against the entries. */
void scan_check_walk(struct game *g, rmap_pfn_t pfn);
/** How many spaces a walk looks into to find the mappings of a frame in use. */
unsigned scan_visits(struct game *g, rmap_pfn_t pfn);
/** After NO_FRAME, or a reclaim that freed nothing: there was nothing to evict, and no more than this was free. */
void scan_check_exhausted(struct game *g, uint64_t free_allowed);

#endif
