/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/stats.h  Counters of one instance: what the walks cost, what lives.
 */
#ifndef OBJRMAP_STATS_H
#define OBJRMAP_STATS_H

#include <objrmap/types.h>

struct rmap;

/** Walks are classed by the mapcount at their start: 1, 2, 3-4, 5-8, 9-16, 17-32, 33-64, 65-… */
#define RMAP_MAPPER_CLASSES 8
enum rmap_walk_verb {
    RMAP_WALK_REFERENCED,
    RMAP_WALK_LOOK, /**< referenced with RMAP_KEEP_ACCESSED */
    RMAP_WALK_UNMAP,
    RMAP_WALK_PROTECT,
    RMAP_WALK_EACH,    /**< each_mapping, not cursors */
    RMAP_WALK_MIGRATE, /**< migrate_begin */
    RMAP_WALK_RESTORE, /**< migrate_end */
    RMAP_WALK_DISCARD,
    RMAP_WALK_POISON,
    RMAP_WALK_VERBS
};

struct rmap_walk_stats {
    uint64_t walks;  /**< pages walked that took a visit or more */
    uint64_t visits; /**< spaces looked into */
    uint64_t nodes;  /**< fork-tree nodes passed */
    uint64_t hits;   /**< entries that mapped the page */
};

struct rmap_stats {
    struct rmap_walk_stats walk[RMAP_WALK_VERBS][RMAP_MAPPER_CLASSES];
    /** Walks of all verbs that wasted steps and tightened, counted here and not above: a page's first look-up since it was
     *  left behind in few of many candidates. The next one is cheap. */
    struct rmap_walk_stats first_lookups;
    uint64_t walks_incomplete, walks_partial;
    uint64_t flushes, flushed_pages, flushes_elided;
    uint64_t forks, fork_entries; /**< entries copied by forks */
    uint64_t fork_copied;         /**< of these: pinned pages, of which the child got a private copy */
    uint64_t moved_reindexed, moved_copied, moved_swap, moved_swap_shared;
    uint64_t moved_tracked; /**< shared pages moved without a copy, by a record (TRACK) */
    uint64_t migrated;      /**< pages that changed their frame */
    uint64_t discarded;     /**< lazily freed pages that went */
    uint64_t poisoned;      /**< pages whose frame was lost */
    /* gauges */
    uint64_t members, nodes, epochs, tags;
    uint64_t tree_bytes;                 /**< of nodes, epochs, tags, groups */
    uint64_t track_bytes, track_records; /**< of all tables of tracked ranges; a table shared by forks counts once */
    uint64_t mappings, mappings_peak;    /**< entries that count in a mapcount, all members */
};

RMAP_BEGIN_DECLS

/** Read the counters; each is exact, the set is not a snapshot. Lock-free. @return 0; NULL_ARG. */
RMAP_API int rmap_stats_get(struct rmap *r, struct rmap_stats *out);
/** Class of a mapcount: 0 for 0 or 1, 1 for 2, 2 for 3-4 … RMAP_MAPPER_CLASSES - 1. */
RMAP_API unsigned rmap_mapper_class(uint32_t mapcount);

RMAP_END_DECLS
#endif
