/* SPDX-License-Identifier: MIT */
/** @file core/walk.h  The walk engine, as its visitors see it. */
#ifndef RMAP_CORE_WALK_H
#define RMAP_CORE_WALK_H

#include <core/position.h>

/** Pages of one batch that share owner and table are walked together: one descent and one run lock serve all. */
#define RMAP_WALK_CLUSTER 64

/** One page under way. `open` pages still look for mappings. */
struct rmap__walk_page {
    struct rmap_page *page;
    rmap_pfn_t pfn;
    rmap_vpn_t index;
    struct rmap_result *result;
    bool open;
    bool lone;       /* one mapping when the walk began: the hint may find it */
    bool loose;      /* hits of a hint and of the ordered walk do not make a bound: no tightening */
    bool fresh_slot; /* unmap: the slot had no entry when the walk began */
    /* Lowest bound of the hits so far, kept while the pre-order walk climbs (model rule 8), unless it is unbound. */
    bool seen_forking;          /* the single hit's forking mark, sampled there and then */
    uint32_t depth;             /* of anc below the walk's top */
    struct rmap__node *anc;     /* lowest node above all hits and the walk's position */
    struct rmap__epoch *anc_ep; /* oldest epoch of anc that hits descend through; NULL: hits in anc's space alone */
    struct rmap__node *low;     /* the same, as of the last hit */
    struct rmap__epoch *low_ep;
};

struct rmap__walk;

/**
 * Look at one entry that maps the page, at page number run->first + slot (the page's index, or a place that TRACK recorded), run locked. It may change the entry; it counts what it takes in the walk's gather.
 * @return RMAP_REASON_NONE to go on, else this page's walk stops there: PARTIAL with that reason.
 */
typedef enum rmap_reason rmap__visit_fn(struct rmap__walk *w, struct rmap__walk_page *p, struct rmap_member *m,
                                        const struct rmap_mmu_run *run, uint32_t slot, rmap_pte_t entry);

struct rmap__visitor {
    enum rmap_walk_verb verb;
    unsigned flags; /* enum rmap_verb_flag: those that the verb knows */
    rmap__visit_fn *visit;
    /** Before any entry of the page is touched; a reason ends its walk at once. May be NULL. */
    enum rmap_reason (*begin)(struct rmap__walk *w, struct rmap__walk_page *p);
    /**
     * A complete walk wasted steps: pages of this epoch would have been found at once. Group lock held shared.
     * @return true if something was moved there.
     */
    bool (*tighten)(struct rmap__walk *w, struct rmap__walk_page *p, struct rmap__epoch *to);
    /** Page still locked, counts lowered, result final. May be NULL. */
    void (*end)(struct rmap__walk *w, struct rmap_page *page, const struct rmap_result *result);
    /** The visit takes the mapping away; its count is held by the walk's gather, so that hits are the entries taken. */
    bool takes;
    /** The visit shows mappings to somebody: each once, source before target, so no hint is followed. */
    bool in_order;
    /** Flush before a run is unlocked: what the visit changes is read by others to mean "not cached". */
    bool flush_in_run;
};

/** For the instance's counters: walk_stats.c. */
struct rmap__walk_sums {
    struct rmap_walk_stats by_mappers[RMAP_MAPPER_CLASSES], first_lookups;
    uint64_t incomplete, partial;
};

struct rmap__walk {
    struct rmap *r;
    const struct rmap__visitor *visitor;
    struct rmap_gather *gather;
    unsigned flags; /* enum rmap_verb_flag */
    void *ctx;      /* of the visitor */
    struct rmap__walk_page page[RMAP_WALK_CLUSTER];
    unsigned pages, open;
    rmap_owner_t owner; /* of all pages of the cluster; 0: of nobody's */
    /* where the walk is */
    struct rmap__visit visit; /* known to the group from the first rest on */
    bool rested;
    bool unbound; /* spaces joined or left while it rested: nothing that it remembers of the tree holds any more */
    uint32_t depth, deepest; /* deepest: maximum of page[].depth, to skip the loop in a climb that concerns none */
    struct rmap__walk_sums sums;
};

/**
 * Walk a batch: results filled, statistics counted, gather finished. @return the verbs' argument errors.
 */
int rmap__walk_pages(struct rmap *r, const struct rmap__visitor *v, void *ctx, struct rmap_page *const *pages, size_t n,
                     unsigned flags, struct rmap_result *results);

/** A page's walk has ended. */
void rmap__walk_count(struct rmap__walk *w, const struct rmap_result *res);
/** The call ends. */
void rmap__walk_publish(const struct rmap__walk *w);

/** The usual tightening: the page itself moves down. */
bool rmap__walk_tighten_page(struct rmap__walk *w, struct rmap__walk_page *p, struct rmap__epoch *to);

#endif
