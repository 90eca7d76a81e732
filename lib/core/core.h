/* SPDX-License-Identifier: MIT */
/**
 * @file core/core.h  The core's private types: instance, group, node, epoch, tag. Read objrmap/group.h first.
 *
 *     struct rmap ──groups──▶ rmap__group ──root──▶ rmap__node ──epochs──▶ rmap__epoch ──kids──▶ rmap__node …
 *                                                                              │ ▲
 *     page.owner, slot.owner ───────▶ rmap__tag ──up──▶ rmap__tag ──epoch──────┘ │
 *                                                              ◀─────────tag─────┘
 *
 * Letters: [G] the group's rwlock, held exclusively; [g] the same for writers, readers hold it shared; [V] the group's
 * visits lock; [a] atomic, [c] constant, [I] instance mutex, [S] space lock of the member.
 */
#ifndef RMAP_CORE_CORE_H
#define RMAP_CORE_CORE_H

#include <base/alloc.h>
#include <base/assert.h>
#include <base/mutex.h>
#include <objrmap/group.h>
#include <objrmap/instance.h>
#include <objrmap/move.h>
#include <objrmap/rmap.h>
#include <objrmap/stats.h>
#include <objrmap/verify.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/queue.h>

/** Counters as they are kept; rmap_stats_get copies them out. All [a], relaxed. */
struct rmap__counters {
    struct rmap__walk_counters {
        _Atomic uint64_t walks, visits, nodes, hits;
    } walk[RMAP_WALK_VERBS][RMAP_MAPPER_CLASSES], first_lookups;
    _Atomic uint64_t incomplete, partial;
    _Atomic uint64_t flushes, flushed_pages, flushes_elided;
    _Atomic uint64_t forks, fork_entries, fork_copied;
    _Atomic uint64_t moved_reindexed, moved_copied, moved_tracked, moved_swap, moved_swap_shared;
    _Atomic uint64_t track_bytes, track_records;
    _Atomic uint64_t migrated, discarded, poisoned;
    _Atomic uint64_t mappings, mappings_peak;
    _Atomic uint64_t members, nodes, epochs, tags, groups;
};
#define RMAP__COUNT(r, field, n) atomic_fetch_add_explicit(&(r)->counters.field, (n), memory_order_relaxed)
#define RMAP__UNCOUNT(r, field, n) atomic_fetch_sub_explicit(&(r)->counters.field, (n), memory_order_relaxed)

#ifdef RMAP_DEBUG
#define RMAP__YIELD(r, at) ((r)->yield ? (r)->yield((r)->yield_ctx, (at)) : (void)0)
#else
#define RMAP__YIELD(r, at) ((void)(r))
#endif

struct rmap__section {
    unsigned char *base; /* [c], all of it */
    size_t stride;
    rmap_pfn_t first;
    uint64_t count;
    /* To divide by the stride, which is 2^shift * odd, without a division: odd * inverse = 1 modulo 2^64. */
    uint64_t inverse;
    unsigned shift;
};

/** Where a test of a debug build may let something else happen. No run lock is held. */
enum rmap__yield_point {
    RMAP__AT_CANDIDATE,     /* a walk is about to look into a space; group lock shared */
    RMAP__AT_STEP,          /* a long look-up lets others in: no lock is held, but those of a walk's pages */
    RMAP__AT_FORK_RUN,      /* a fork is about to copy a table; only the space lock is held */
    RMAP__AT_FORK_COUNT,    /* a fork is about to raise a count, one of two looks before; two run locks are held: for other threads */
    RMAP__AT_MOVE_RECORDED, /* a move has its records and plans, nothing has moved */
    RMAP__AT_MOVE_FLIGHT,   /* entries have left the source, their pages are locked */
    RMAP__AT_MOVE_LANDED,   /* … and are at the destination, unlocked */
};

struct rmap {
#ifdef RMAP_DEBUG
    void (*yield)(void *ctx, enum rmap__yield_point at); /* tests only; NULL: nothing happens */
    void *yield_ctx;
#endif
    struct rmap_allocator alloc;         /* [c] */
    const struct rmap_frame_ops *frames; /* [c], and the next three */
    void *frames_ctx;
    const struct rmap_swap_ops *swap; /* NULL: none */
    void *swap_ctx;
    struct rmap__section *sections; /* sorted by first; changed only while nobody else uses the instance */
    size_t section_count;
    pthread_mutex_t lock; /* [I] itself. Taken with nothing held; inside it group locks are tried */
    LIST_HEAD(rmap__groups, rmap__group) groups; /* [I] with members */
    struct rmap__groups ghosts;                  /* [I] without: pages or slots still name their tags */
    _Atomic uint32_t ghost_count;                /* [a] of them: is it worth taking the mutex? */
    struct rmap__counters counters;
};

/** Union-find element that names an epoch. 32 bytes. */
struct rmap__tag {
    struct rmap__tag *up;      /* [g] NULL at the top of its set */
    struct rmap__group *group; /* [c] */
    union {
        struct rmap__epoch *epoch;   /* [g] top: the epoch it names, NULL when that is gone with its whole node */
        struct rmap__tag *dead_next; /* [a] once refs is 0, when no epoch names it: link of the dead list */
    };
    _Atomic uint32_t refs; /* [a] pages, slots, tags joined below; +1 of its epoch, +1 of the space holding it */
    uint32_t rank;         /* [G] */
};

struct rmap__epoch {
    struct rmap__node *node;                 /* [g] */
    struct rmap__tag *tag;                   /* [g] top of its set; never NULL */
    TAILQ_HEAD(rmap__kids, rmap__node) kids; /* [g] oldest first */
    TAILQ_ENTRY(rmap__epoch) link;           /* [g] in node->epochs */
};

struct rmap__node {
    struct rmap_member *member;                   /* [g] NULL: the space has exited */
    struct rmap__epoch *parent;                   /* [g] NULL at the root */
    TAILQ_ENTRY(rmap__node) link;                 /* [g] in parent->kids */
    uint32_t kids;                                /* [g] over all epochs */
    TAILQ_HEAD(rmap__epochs, rmap__epoch) epochs; /* [g] oldest first, the last is open */
};

/** Where a look-up is in the order of candidates; see position.h. */
struct rmap__position {
    struct rmap__node *node; /* NULL: at the end */
    struct rmap__epoch *epoch;
    struct rmap__node *kid;
    bool enter;
};

/**
 * A position that stays right while the group lock is dropped. Letters: [V] the visits lock, or [G] exclusive; [o] its
 * owner's alone, the thread whose look-up it is.
 */
struct rmap__visit {
    LIST_ENTRY(rmap__visit) link; /* [V] in group->visits */
    struct rmap__position at;     /* [o] holding [G] shared; tree edits holding [G] exclusive */
    rmap_owner_t owner;           /* [c] whose candidates; 0: all members */
    uint64_t nodes;               /* [o] passed so far */
    uint32_t looked, steps;       /* [o] spaces looked into, and steps in the tree, since the lock was taken */
};

struct rmap__group {
    struct rmap *r;                   /* [c] */
    const struct rmap_pte_format *format; /* [c] of every member's entries */
    pthread_rwlock_t lock;            /* the group lock */
    LIST_ENTRY(rmap__group) link;     /* [I] */
    struct rmap__node *root;          /* [g] NULL when no member is left */
    uint64_t members, nodes, epochs;  /* [g] */
    uint64_t edits;                   /* [g] spaces that joined or left: does what a look-up remembers still hold? */
    _Atomic uint64_t tags;            /* [a] not yet freed */
    _Atomic(struct rmap__tag *) dead; /* [a] tags with refs 0, to be freed by a holder of the exclusive lock */
    /* [a] where the last page was found that one space alone maps; a guess that spares searches. Set with [G] held shared,
     * cleared under [G] when it leaves: so a walk may follow it. */
    _Atomic(struct rmap_member *) hint;
    LIST_HEAD(rmap__visits, rmap__visit) visits; /* [V] look-ups under way that let the lock go in between */
    pthread_spinlock_t visits_lock; /* [V] held shared: for the list. Holders of [G] exclusive need it not */
};

/* ---- the group lock, with its rank ---- */
static inline void rmap__group_rdlock(struct rmap__group *g)
{
    rmap__rank_take(RMAP__RANK_GROUP, g);
    pthread_rwlock_rdlock(&g->lock);
}
static inline void rmap__group_wrlock(struct rmap__group *g)
{
    rmap__rank_take(RMAP__RANK_GROUP, g);
    pthread_rwlock_wrlock(&g->lock);
}
/** @return true if it was free of readers and writers, and is held now. */
static inline bool rmap__group_trywrlock(struct rmap__group *g)
{
    if (pthread_rwlock_trywrlock(&g->lock)) return false;
    rmap__rank_tried(RMAP__RANK_GROUP, g);
    return true;
}
static inline void rmap__group_unlock(struct rmap__group *g)
{
    rmap__rank_drop(RMAP__RANK_GROUP, g);
    pthread_rwlock_unlock(&g->lock);
}

/* ---- instance.c ---- */
/** rmap_mapper_class: bits of mapcount - 1. */
static inline unsigned rmap__mapper_class(uint32_t mapcount)
{
    const unsigned bits = mapcount > 1 ? 32 - (unsigned)__builtin_clz(mapcount - 1) : 0;
    return bits < RMAP_MAPPER_CLASSES ? bits : RMAP_MAPPER_CLASSES - 1;
}

/* ---- tag.c ---- */
static inline struct rmap__tag *rmap__owner_tag(rmap_owner_t owner)
{
    return (struct rmap__tag *)(owner & ~RMAP_OWNER_ANON);
}
static inline rmap_owner_t rmap__tag_owner(struct rmap__tag *t)
{
    return (rmap_owner_t)t | RMAP_OWNER_ANON;
}
/** Top of t's set. Group lock held; read-only, so that walks may do it together. Cost: O(log joins). */
struct rmap__tag *rmap__tag_find(struct rmap__tag *t);
void rmap__tag_get(struct rmap__tag *t);
void rmap__tag_put(struct rmap__tag *t);
/** `from`'s references now mean `to`: joins the tags by rank. Exclusive group lock. The epoch `from` is left without tag. */
void rmap__epoch_absorb(struct rmap__epoch *from, struct rmap__epoch *to);
/** Does anything but the epoch itself and its own space refer to it? Exclusive group lock. */
bool rmap__epoch_has_refs(const struct rmap__epoch *e);
/** Take the dead tags out of the group, following the chains upward. Exclusive group lock. Free the result unlocked. */
struct rmap__tag *rmap__tags_reap(struct rmap__group *g);
void rmap__tags_free(struct rmap__group *g, struct rmap__tag *list);

/* ---- tree.c: all need the exclusive group lock, allocate nothing, cannot fail ---- */
/** Objects for one fork or one new group, allocated before any lock. */
struct rmap__spare {
    struct rmap__node *node;
    struct rmap__epoch *epoch[2];
    struct rmap__tag *tag[2];
};
int rmap__spare_fill(struct rmap *r, struct rmap__spare *s, unsigned nodes, unsigned epochs);
void rmap__spare_drop(struct rmap *r, struct rmap__spare *s);
/** Make m the root of an empty group. */
void rmap__tree_plant(struct rmap__group *g, struct rmap_member *m, struct rmap__spare *s);
/** Hang the child below the parent's newest closed epoch, closing the open one if needed (model rule 4). */
void rmap__tree_attach(struct rmap__group *g, struct rmap_member *parent, struct rmap_member *child,
                       struct rmap__spare *s);
/** Take m's space out, merging dead nodes and empty epochs (model rule 5). Removed objects are chained for freeing. */
struct rmap__garbage {
    struct rmap__node *nodes;
    struct rmap__epoch *epochs;
};
void rmap__tree_remove(struct rmap__group *g, struct rmap_member *m, struct rmap__garbage *out);
void rmap__garbage_free(struct rmap *r, struct rmap__garbage *out);
/** Where a page that only m maps belongs; `forking` as sampled at the hit. */
struct rmap__epoch *rmap__member_epoch(struct rmap_member *m, bool forking);
/** Is `n` a candidate of epoch `e`? O(depth). */
bool rmap__epoch_covers(const struct rmap__epoch *e, const struct rmap__node *n);

/* ---- group.c ---- */
static inline struct rmap__group *rmap__member_group(const struct rmap_member *m)
{
    return m->group;
}
/** Free the ghosts that no page or slot refers to any more. Takes the instance mutex and, by try, group locks. */
void rmap__ghosts_reap(struct rmap *r);
int rmap__mmu_check(const struct rmap_mmu *mmu);
/** Common to exit and fork abort: out of the tree, dead objects freed. */
void rmap__member_remove(struct rmap_member *m);

/* ---- fork.c, fork_pinned.c ---- */
/** The child's entry for the parent's `e`: the same, but not writable, not dirty, not locked (D9). */
rmap_pte_t rmap__fork_inherited(const struct rmap_pte_format *f, rmap_pte_t e);
enum { RMAP__FORK_AGAIN = 1 };
/**
 * A private copy of the pinned `page` for the child, at the page number where the parent maps it. Takes over the caller's
 * reference. No run lock held, the child's table exists. @return 0; AGAIN: the entry or the pins have changed, look at the
 * entry again; POISON; rmap_page_alloc's error (the parent is as before).
 */
int rmap__fork_pinned(struct rmap_fork *f, rmap_vpn_t vpn, struct rmap_page *page);

/* ---- page.c, frames.c ---- */
/** page.owner := tag (a reference is taken, the old one dropped). Page lock held or page unknown to others. */
void rmap__page_set_owner(struct rmap_page *page, struct rmap__tag *tag);
void rmap__page_set_index(struct rmap_page *page, rmap_vpn_t index);
/** The index, and rmap_page_unlock, in one step; an ORPHAN's as the two calls. The caller needs no reference: the page is mapped,
 *  or cached and referenced, until it is unlocked, and not touched afterwards. */
void rmap__page_unlock_at(struct rmap *r, struct rmap_page *page, rmap_vpn_t index);
/** Swap entries of the page's slot, 0 without one. */
uint32_t rmap__page_swap_count(struct rmap *r, const struct rmap_page *page);
/** A descriptor that is counted: not NULL, not SPECIAL. */
static inline bool rmap__page_counted(const struct rmap_page *p)
{
    return p && !(atomic_load_explicit(&((struct rmap_page *)p)->index_flags, memory_order_relaxed) & RMAP_PAGE_SPECIAL);
}
void rmap__mappings_add(struct rmap_member *m, uint64_t n);
void rmap__mappings_sub(struct rmap_member *m, uint64_t n);

/* ---- gather.c ---- */
/** n mappings of the page; counts of a page that was added a little while ago are put together. */
void rmap__gather_page(struct rmap_gather *g, struct rmap_page *page, uint32_t n);
void rmap__gather_entry(struct rmap_gather *g, rmap_swp_t entry);

/* ---- run.c ---- */
/**
 * Change a live entry from `expect` to `wanted` without losing accessed or dirty bits that the hardware sets meanwhile:
 * those not in `expect` are carried over. @return the entry before, with every such bit.
 */
rmap_pte_t rmap__run_modify(const struct rmap_mmu *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t expect,
                            rmap_pte_t wanted);
/** @return 0; RANGE unless [first, first+count) is not empty and inside the MMU. */
int rmap__range_check(const struct rmap_mmu *mmu, rmap_vpn_t first, uint64_t count);

#endif
