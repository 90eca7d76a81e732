/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/mmu.h  What an embedder implements: page tables as runs of entry slots.
 *
 * A *run* is up to 512 neighbouring entry slots of one table, locked together. The library looks at entries only inside a
 * locked run, or by a glance at one that run_peek has found; it takes live entries by atomic exchange (a hardware walker may
 * set accessed and dirty at any time) and tells the MMU by flush() what its cached translations must forget.
 *
 * Locks: a run lock is the innermost lock of the page tables; leaf mutexes (slots, host records) lie inside it. Two runs are
 * held together only by fork: the parent's, then the child's, which belong to two MMUs, under the exclusive space lock. No call
 * ever holds two runs of one MMU.
 *
 * objrmap/testing.h is a kit that checks an MMU against this header.
 */
#ifndef OBJRMAP_MMU_H
#define OBJRMAP_MMU_H

#include <objrmap/page.h>
#include <objrmap/pte.h>
#include <objrmap/types.h>

/** Capabilities of an MMU: facts that let the library do less, or oblige it to do more. */
enum rmap_mmu_cap {
    /** No translation is ever cached: flush is not called. */
    RMAP_MMU_NO_TLB = 1 << 0,
    /** An entry whose accessed attribute is clear is cached nowhere: its flush is elided (S6). Ageing flushes, to keep it so. */
    RMAP_MMU_ACCESSED_EXACT = 1 << 1,
    /** A cleared accessed attribute is set again only after a flush of the entry; ageing flushes for it. */
    RMAP_MMU_ACCESSED_NEEDS_FLUSH = 1 << 2,
};

/** Why a flush is needed. */
enum rmap_flush_kind {
    RMAP_FLUSH_ALL = 0,   /**< entries were removed or replaced: forget them wholly */
    RMAP_FLUSH_WRITE = 1, /**< only the permission to write (or dirty) was withdrawn: forgetting that suffices */
};

struct rmap_flush_range {
    rmap_vpn_t first;
    uint64_t count;
    enum rmap_flush_kind kind;
};

#define RMAP_RUN_MAX 512
#define RMAP_PEEK_MAX 16

/** A run: slots for [first, first + count). Filled, and locked, by run_find and run_make, valid until run_unlock; by run_peek
 *  without the lock. */
struct rmap_mmu_run {
    RMAP_ATOMIC(rmap_pte_t) * slots; /**< NULL if entries are not in memory: then get/set/exchange are used */
    rmap_vpn_t first;
    uint32_t count; /**< 1 … RMAP_RUN_MAX */
    void *cookie;   /**< the MMU's own */
};

/** Tables reserved ahead of a lock, so that run_make cannot fail. Caller's memory, zero-initialised. */
#define RMAP_TABLES_MAX 6
struct rmap_tables {
    void *table[RMAP_TABLES_MAX];
    unsigned count;
};

struct rmap_mmu_ops {
    size_t struct_size;
    const char *name;
    const struct rmap_pte_format *format; /**< of every entry in every run */
    unsigned caps;                        /**< enum rmap_mmu_cap */

    /**
     * Lock the first run that has a table and intersects [vpn, end), clipped to nothing: `first` and `count` are the
     * whole run's. Does not allocate. Blocks only for the run lock.
     * @return 0 (locked); RMAP_ERR_ABSENT (no table there); RMAP_ERR_BLOCK (a huge entry covers the page); RMAP_ERR_RANGE
     *   (empty, or outside the MMU: the library asks for neither).
     */
    int (*run_find)(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run);
    /** As run_find for one page, but makes missing tables from `t` (which reserve() filled for this vpn). @return 0; BLOCK; RANGE. */
    int (*run_make)(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run);
    void (*run_unlock)(void *mmu, struct rmap_mmu_run *run);

    /** Make `t` sufficient for run_make(vpn). May allocate and block; no lock is held. @return 0; NOMEM; RANGE: `t` is as before. */
    int (*reserve)(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t);
    /** Give back what run_make left. `t` becomes empty. */
    void (*unreserve)(void *mmu, struct rmap_tables *t);
    /**
     * Free the tables inside [first, end) that hold no entry. May be NULL. Called by rmap_member_trim, with the group lock
     * held exclusively, so that no walk is inside the tables.
     */
    void (*trim)(void *mmu, rmap_vpn_t first, rmap_vpn_t end);

    /** Entries that are not in memory (run->slots == NULL). i is relative to run->first. exchange is atomic. NULL otherwise. */
    rmap_pte_t (*get)(void *mmu, const struct rmap_mmu_run *run, uint32_t i);
    void (*set)(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e);
    rmap_pte_t (*exchange)(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e);

    /**
     * When it returns no stale translation of the ranges is used any more, by anybody. Cannot fail: an MMU that runs out
     * of means forgets more instead. May be called under run locks and the group lock (a full gather); must not take a
     * run lock. Never called with RMAP_MMU_NO_TLB; may be NULL then. What an entry newly allows is not flushed: cache no
     * faults.
     */
    void (*flush)(void *mmu, const struct rmap_flush_range *ranges, size_t n);
    /** False: nobody runs on this space, nothing is cached, flushes are elided (S6). May be NULL: always true. */
    bool (*active)(void *mmu);
    /**
     * A fault at `vpn` was resolved by the entry that is there now; the MMU may load its translation, and neighbours.
     * Run locked; no entry is changed. Must not block for other rmap locks. May be NULL.
     */
    void (*update)(void *mmu, const struct rmap_mmu_run *run, rmap_vpn_t vpn, unsigned access);
    /** Bytes that the tables of this space occupy. May be NULL. */
    size_t (*table_bytes)(void *mmu);

    /**
     * As run_find, but nothing is locked, for n (1 … RMAP_PEEK_MAX) MMUs of these ops at once, whose cache misses may overlap:
     * runs[i] is the run of mmus[i], or its count is 0 where run_find would have failed. Others may change the slots, which
     * must be in memory; an MMU may be among the n twice. So a look-up passes by spaces that do not map its page for what it costs to read their tables.
     * Whoever changes the kind or frame of a mapping's entry does so in one step: none in between would be seen.
     * Called under a lock that keeps trim and destroy away (the group's). With run_lock; both NULL: every run that is looked
     * into is locked.
     */
    void (*run_peek)(void *const *mmus, size_t n, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *runs);
    /** Lock a run that run_peek found, under the same group lock; it is as if run_find had. Blocks only for the run lock. */
    void (*run_lock)(void *mmu, struct rmap_mmu_run *run);
};

/** A space's MMU: operations, their first argument, and the pages of virtual memory that it covers ([0, pages)). */
struct rmap_mmu {
    const struct rmap_mmu_ops *ops;
    void *ctx;
    rmap_vpn_t pages;
};

/** Who resolves an MMU's faults: the pager's space, say. fault() as rmap_space_fault(). */
struct rmap_mmu_client {
    void *ctx;
    int (*fault)(void *ctx, rmap_vpn_t vpn, unsigned access);
};

/** How a pager makes an MMU for each space. */
struct rmap_memory;
struct rmap_mmu_provider {
    size_t struct_size;
    void *ctx;
    const struct rmap_memory *memory; /**< the only frames that these MMUs can show; NULL: any */
    /** @return 0 with *out filled; NOMEM; SYSTEM. `client` is copied. May block. */
    int (*create)(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out);
    /** The space is gone: no entry is left, no lock is held. */
    void (*destroy)(void *ctx, struct rmap_mmu *mmu);
};

static inline rmap_pte_t rmap_run_get(const struct rmap_mmu *m, const struct rmap_mmu_run *run, uint32_t i)
{
#ifndef __cplusplus
    if (run->slots) return __atomic_load_n((rmap_pte_t *)&run->slots[i], __ATOMIC_RELAXED);
#else
    if (run->slots) return __atomic_load_n(&run->slots[i], __ATOMIC_RELAXED);
#endif
    return m->ops->get(m->ctx, run, i);
}
/** Entry of a run that is not locked (run_peek): of a moment. What is loaded after it is not older. */
static inline rmap_pte_t rmap_run_peek(const struct rmap_mmu_run *run, uint32_t i)
{
#ifndef __cplusplus
    return __atomic_load_n((rmap_pte_t *)&run->slots[i], __ATOMIC_ACQUIRE);
#else
    return __atomic_load_n(&run->slots[i], __ATOMIC_ACQUIRE);
#endif
}
/** Store into a slot that the hardware cannot be using (it was none or not present). Release order. */
static inline void rmap_run_set(const struct rmap_mmu *m, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    if (run->slots)
        __atomic_store_n((rmap_pte_t *)&run->slots[i], e, __ATOMIC_RELEASE);
    else
        m->ops->set(m->ctx, run, i, e);
}
/** Replace a live entry; the returned one holds every accessed and dirty bit set until then (INV-7). */
static inline rmap_pte_t rmap_run_exchange(const struct rmap_mmu *m, const struct rmap_mmu_run *run, uint32_t i,
                                           rmap_pte_t e)
{
    if (run->slots) return __atomic_exchange_n((rmap_pte_t *)&run->slots[i], e, __ATOMIC_ACQ_REL);
    return m->ops->exchange(m->ctx, run, i, e);
}

struct rmap_gather;
RMAP_BEGIN_DECLS

/**
 * A gather: flushes to do and counts to release after them (INV-6). Caller's memory (10 KiB: a stack's), for one
 * thread. init, then add, then finish; never left unfinished.
 */
#define RMAP_GATHER_FLUSHES 64
#define RMAP_GATHER_ITEMS 512
struct rmap_member;
struct rmap_gather {
    struct rmap *r;
    uint32_t flushes, items;
    uint64_t elided; /* flushes that were not needed: for the counters */
    struct {
        struct rmap_member *member;
        struct rmap_flush_range range;
    } flush[RMAP_GATHER_FLUSHES];
    struct {
        struct rmap_page *page; /* NULL: a swap entry */
        uint32_t count;         /* of mappings, or of swap entries */
        rmap_swp_t entry;
    } item[RMAP_GATHER_ITEMS];
};

/** Make an empty gather, in the caller's memory. Needs no fini; whatever is in it must be finished before it goes. */
RMAP_API void rmap_gather_init(struct rmap_gather *g, struct rmap *r);
/**
 * An entry of `vpn` was removed, replaced or restricted: its flush is due, unless the MMU makes it unneeded (old entry
 * not present; never accessed with ACCESSED_EXACT; space not active; NO_TLB). Callable under a run lock. `old` is the
 * entry before.
 */
RMAP_API void rmap_gather_flush(struct rmap_gather *g, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t old,
                                enum rmap_flush_kind kind);
/**
 * The swap entry at `vpn` of `m` was removed (swap-in, or an embedder's own unmap): the member's books are put right, the
 * slot is lowered after the flush. The twin of rmap_page_unmap. Callable under a run lock; ask rmap_gather_room before it.
 */
RMAP_API void rmap_gather_swap(struct rmap_gather *g, struct rmap_member *m, rmap_vpn_t vpn, rmap_swp_t entry);
/** @return true while `n` more entries fit without an early flush; else call rmap_gather_finish first. */
RMAP_API bool rmap_gather_room(const struct rmap_gather *g, uint32_t n);
/** Do the flushes only; the counts stay held. For move, before the entries appear at the destination (B15). */
RMAP_API void rmap_gather_flush_now(struct rmap_gather *g);
/** Flush, then release all counts; pages may be freed here. No run lock may be held. The gather is empty afterwards. */
RMAP_API void rmap_gather_finish(struct rmap_gather *g);

RMAP_END_DECLS
#endif
