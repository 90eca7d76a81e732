/* SPDX-License-Identifier: MIT */
/** @file core/walk.h  The walk engine, as its visitors see it. */
#ifndef RMAP_CORE_WALK_H
#define RMAP_CORE_WALK_H

#include <core/count.h>
#include <core/position.h>

/** Pages of one batch that share owner and table are walked together: one descent and one run lock serve all. */
#define RMAP_WALK_CLUSTER 64

/** One page under way. `open` pages still look for mappings. */
struct rmap__walk_page {
    struct rmap_page *page;
    rmap_pfn_t pfn;
    rmap_vpn_t index;
    rmap_pte_t frame; /* pfn, at its place in an entry */
    struct rmap_result *result;
    bool open;
    bool lone;       /* one mapping when the walk began: the hint may find it */
    bool loose;      /* hits of a hint and of the ordered walk do not make a bound: no tightening */
    bool fresh_slot; /* unmap: the slot had no entry when the walk began */
    uint32_t item;     /* of the gather, plus 1, that holds the counts of entries taken; 0: none yet */
    bool seen_forking; /* the last hit's forking mark, sampled there and then */
    /* Where the hits were, in walk order: what lies above these three lies above all (model rule 8). NULL: there was none. Not
     * to be followed once the walk is unbound. */
    struct rmap__node *first, *second, *last;
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
    /** Called once for pages that are walked together, when w->format is known: sets w->busy, if it is not all hits, and
     *  w->keep. May be NULL. */
    void (*prepare)(struct rmap__walk *w);
    /** Flush before a run is unlocked: what the visit changes is read by others to mean "not cached". */
    bool flush_in_run;
};

/** For the instance's counters: walk_stats.c. */
#define RMAP__FIRST_LOOKUPS RMAP_MAPPER_CLASSES
struct rmap__walk_sums {
    uint32_t counted; /* bit set of those below that hold anything; the others are not initialised */
    struct rmap_walk_stats of[RMAP_MAPPER_CLASSES + 1]; /* by mappers; first look-ups */
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
    uint32_t visits, nodes; /* of every page that is open still */
    const struct rmap_pte_format *format; /* of all spaces of the group */
    rmap_pte_t payload;                   /* its mask of frames */
    /* Which hits the visit has something to do at: those with (e & mask) == on. Others are only counted, and where the MMU has
     * run_peek no run is locked for them. {0, 0}, if the visitor does not say: all. */
    struct rmap_pte_bit busy;
    rmap_pte_t keep, base; /* of visitors that replace entries: (old & keep) | base, and a payload */
    struct rmap_pte_bit plain;            /* (e & mask) == on: neither accessed, nor dirty, nor locked */
    rmap_owner_t owner; /* of all pages of the cluster; 0: of nobody's */
    uint32_t taken, swapped; /* entries of the run under way: mappings taken away, and those that became swap entries */
    /* where the walk is */
    struct rmap__visit visit; /* known to the group from the first rest on */
    bool rested;
    bool unbound; /* spaces joined or left while it rested: nothing that it remembers of the tree holds any more */
    struct rmap__walk_sums sums;
};

/**
 * Walk a batch: results filled, statistics counted, gather finished. @return the verbs' argument errors.
 */
int rmap__walk_pages(struct rmap *r, const struct rmap__visitor *v, void *ctx, struct rmap_page *const *pages, size_t n,
                     unsigned flags, struct rmap_result *results);

/**
 * The visit has taken the page's entry away: the gather holds its count until the flush. The member's books follow when its run
 * is unlocked.
 */
static inline void rmap__walk_take(struct rmap__walk *w, struct rmap__walk_page *p)
{
    w->taken++;
    if (p->item) {
        w->gather->item[p->item - 1].count++;
    } else {
        rmap__gather_push(w->gather, p->page);
        p->item = w->gather->items;
    }
}

/** The walks of the cluster's pages have ended. */
void rmap__walk_count(struct rmap__walk *w);
/** The call ends. */
void rmap__walk_publish(const struct rmap__walk *w);

/** The usual tightening: the page itself moves down. */
bool rmap__walk_tighten_page(struct rmap__walk *w, struct rmap__walk_page *p, struct rmap__epoch *to);

#endif
