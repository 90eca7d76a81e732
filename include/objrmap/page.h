/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/page.h  The page descriptor, frame sections, and the accounting of mappings.
 *
 * One 32-byte descriptor per page frame, placed by the embedder. It is all that the reverse map stores: *owner* says
 * which spaces can have inherited the page, *index* at which virtual page number each of them would map it.
 *
 *      63                    12 11         0
 *     +------------------------+------------+   owner    tag pointer | bit 0 ANON
 *     |         index          |   flags    |   mapcount bit 31 STABLE, 30..0 present + no-access + migration entries
 *     +------------------------+------------+   swap     device:6 slot:26, meaningful only while SWAPCACHE is set
 *
 * Life: rmap_page_alloc() gives one reference to the caller. All mappings together hold one reference (taken by the
 * first, dropped with the last), the swap cache one, each pin one. At zero the frame goes back to frame_ops->free.
 *
 * Locks: [P] the page lock (bit LOCKED); [a] atomic. Owner and index change only under the page lock, or while nobody
 * else can know the page. Source of the layout: H. Dickins' mail of 2004-03-13 (index + group + flag).
 */
#ifndef OBJRMAP_PAGE_H
#define OBJRMAP_PAGE_H

#include <objrmap/types.h>

struct rmap;
struct rmap_member;

struct rmap_page {
    RMAP_ATOMIC(uintptr_t) owner;      /**< [P] tag | RMAP_OWNER_ANON */
    RMAP_ATOMIC(uint64_t) index_flags; /**< index [P] << 12 | flags [a] */
    RMAP_ATOMIC(uint32_t) mapcount;    /**< [a] RMAP_MAPCOUNT_STABLE | count */
    RMAP_ATOMIC(uint32_t) refcount;    /**< [a] */
    RMAP_ATOMIC(uint32_t) pins_order;  /**< [a] pins << 8 | order (reserved, 0) */
    RMAP_ATOMIC(uint32_t) swap;        /**< [P] rmap_swp_t */
};

#define RMAP_OWNER_ANON ((uintptr_t)1)
#define RMAP_MAPCOUNT_STABLE ((uint32_t)1 << 31)
#define RMAP_MAPCOUNT_MAX (RMAP_MAPCOUNT_STABLE - 1)
#define RMAP_PAGE_INDEX_SHIFT 12

enum rmap_page_flag {
    RMAP_PAGE_LOCKED = 1 << 0,      /**< the page lock */
    RMAP_PAGE_WAITERS = 1 << 1,     /**< somebody may sleep for the page lock: the unlock wakes one. Only with LOCKED */
    RMAP_PAGE_SWAPCACHE = 1 << 2,   /**< `swap` names a slot that caches this page */
    RMAP_PAGE_DIRTY = 1 << 3,       /**< differs from its swap slot, or has none */
    RMAP_PAGE_WRITEBACK = 1 << 4,   /**< being written to its slot */
    RMAP_PAGE_ORPHAN = 1 << 5,      /**< its slot's last entry went while the page was locked: the unlocker frees it */
    RMAP_PAGE_UNTRACKABLE = 1 << 6, /**< set by embedders, for pages that are not where index says for a while: a walk says INCOMPLETE */
    RMAP_PAGE_DISCARDABLE = 1 << 7, /**< lazily freed: may be dropped while not DIRTY (rmap_discard) */
    RMAP_PAGE_MIGRATING = 1 << 8,   /**< on its way to another frame: migrate.h */
    RMAP_PAGE_POISON = 1 << 9,      /**< hardware error: never handed out again */
    RMAP_PAGE_SPECIAL = 1 << 10,    /**< zero page and the like: never ANON, never counted */
    RMAP_PAGE_REFERENCED = 1 << 11, /**< seen accessed; for reclaim policies */
};

static inline rmap_vpn_t rmap_page_index(const struct rmap_page *p)
{
    return p->index_flags >> RMAP_PAGE_INDEX_SHIFT;
}
static inline unsigned rmap_page_flags(const struct rmap_page *p)
{
    return (unsigned)(p->index_flags & 0xfff);
}
static inline uint32_t rmap_page_mapcount(const struct rmap_page *p)
{
    return p->mapcount & RMAP_MAPCOUNT_MAX;
}
static inline uint32_t rmap_page_pins(const struct rmap_page *p)
{
    return p->pins_order >> 8;
}
static inline bool rmap_page_is_anon(const struct rmap_page *p)
{
    return p->owner & RMAP_OWNER_ANON;
}

/**
 * A run of frames whose descriptors lie `stride` bytes apart: pfn <-> descriptor is arithmetic, and an embedder may
 * append fields of its own behind each descriptor by a larger stride.
 */
struct rmap_frame_section {
    struct rmap_page *base; /**< descriptor of frame `first`; zeroed by the embedder, not moved or freed while added */
    size_t stride;          /**< bytes, >= sizeof(struct rmap_page), a multiple of 8 */
    rmap_pfn_t first;
    uint64_t count; /**< frames, >= 1 */
};

/** What the core needs from whoever owns the frames. All hooks but alloc are leaf calls: they take no rmap lock. */
struct rmap_frame_ops {
    size_t struct_size;
    /**
     * Hand out a free frame with unspecified contents; `near` (or RMAP_PFN_NONE) is where it would best lie. May block
     * and may reclaim: the core calls it without page, group or run lock.
     * @return 0, RMAP_ERR_NO_FRAME or another error, passed through.
     */
    int (*alloc)(void *ctx, rmap_pfn_t near, rmap_pfn_t *out);
    /** Take the frame back: its reference count reached 0. Must not block; may be called under the page lock of others. */
    void (*free)(void *ctx, rmap_pfn_t pfn);
    /** dst := src, one page. Never called under a run or group lock. */
    void (*copy)(void *ctx, rmap_pfn_t dst, rmap_pfn_t src);
    /** Fill the frame with zero bytes. Never called under a run or group lock. */
    void (*clear)(void *ctx, rmap_pfn_t pfn);
    /** Linear-view address of the frame, for swap I/O; may be NULL (the op, or its answer) where frames are no memory. */
    void *(*address)(void *ctx, rmap_pfn_t pfn);
    /** The last reference to a POISON page went: instead of free, for the owner's books, with free's rules. May be NULL. */
    void (*lost)(void *ctx, rmap_pfn_t pfn);
};

RMAP_BEGIN_DECLS

/**
 * Register frames.
 * => Descriptors must be zeroed; they belong to the embedder and outlive the section.
 * => May allocate. Not to be called while other threads use the instance.
 * @return 0; NULL_ARG; INVALID (stride too small); UNALIGNED (base, stride); RANGE (empty or
 *   wraps); EXISTS (frames or descriptors overlap a section's); NOMEM.
 */
RMAP_API int rmap_frames_add(struct rmap *r, const struct rmap_frame_section *section);

/** Forget a section, named by its first frame. @return 0; NULL_ARG; ABSENT; BUSY (a frame of it has references); NOMEM. */
RMAP_API int rmap_frames_remove(struct rmap *r, rmap_pfn_t first);

/** Descriptor of a frame, or NULL if no section holds it. Cost: O(log sections), no lock. */
RMAP_API struct rmap_page *rmap_page_find(struct rmap *r, rmap_pfn_t pfn);

/** Frame of a descriptor, or RMAP_PFN_NONE if no section holds it. Cost: O(sections), no lock. */
RMAP_API rmap_pfn_t rmap_page_pfn(struct rmap *r, const struct rmap_page *page);

/** Linear-view address of a page's frame; NULL if its section is unknown or frames are no memory (frame_ops->address). */
RMAP_API void *rmap_page_address(struct rmap *r, const struct rmap_page *page);

/**
 * Allocate a frame by frame_ops->alloc and give its only reference to the caller. Contents are unspecified: clear or
 * overwrite them before another space can see the page.
 * => May block (frame_ops->alloc). No lock may be held.
 * @return 0; NULL_ARG; NO_FRAME; UNKNOWN_PAGE (the hook handed out a frame without descriptor, or one in use); POISON;
 *   or what the hook answered.
 */
RMAP_API int rmap_page_alloc(struct rmap *r, rmap_pfn_t near, struct rmap_page **out);

/** Take one more reference; the caller must own one or hold a lock that keeps the page alive. */
RMAP_API void rmap_page_get(struct rmap_page *page);
/** Take a reference unless the count is 0. @return true if taken. Lock-free. */
RMAP_API bool rmap_page_try_get(struct rmap_page *page);
/** Drop a reference; the last one frees the frame (frame_ops->free; for a POISON page ->lost) and the page's hold on
 * its owner. Does not block. */
RMAP_API void rmap_page_put(struct rmap *r, struct rmap_page *page);

/**
 * Take the page lock (bit). Order: after a space lock, before the group lock; while no other page is locked by this
 * thread (try those). The caller has a reference. Blocks: spins for a moment, then sleeps (futex; where there is none it
 * yields). No queue: a try may overtake who sleeps. Callable in a signal handler that interrupted no call of the library.
 */
RMAP_API void rmap_page_lock(struct rmap_page *page);
/** @return true if the page lock was free and is now held. Never blocks: the only form allowed under a run lock, and
 *  for all but the first of several pages. */
RMAP_API bool rmap_page_try_lock(struct rmap_page *page);
/**
 * Release the page lock, and wake one who sleeps for it. Another thread than the one that locked it may do so. If the
 * page became an ORPHAN meanwhile (neither mapped nor on swap), it leaves the swap cache here and may be freed: the caller
 * must hold its own reference to go on using it.
 */
RMAP_API void rmap_page_unlock(struct rmap *r, struct rmap_page *page);

/**
 * Pin: the page stays where it is until unpinned (device access, a guest's register file). Whoever waited here for a
 * migration has pinned a frame that the page has left: look at the entry again once it is pinned. A pinned page is not
 * exclusive, not unmapped, not moved between frames; a fork gives the child a copy of it and leaves it to the parent,
 * writable as it was (E2). Holds a reference.
 * To pin memory of a space for something that writes to the frame: hold that space's lock, shared, and make the page its
 * own by a write fault first. A page that is shared when it is pinned stays copy on write: a write then leaves the frame.
 * @return 0; NULL_ARG; UNKNOWN_PAGE; OVERFLOW. Needs a reference; takes the page lock, may block.
 */
RMAP_API int rmap_page_pin(struct rmap *r, struct rmap_page *page);
/** Give one pin back, and its reference. Does not block. */
RMAP_API void rmap_page_unpin(struct rmap *r, struct rmap_page *page);

/* ---- accounting: for code that writes entries itself (a fault handler). Each is called *before* the entry is set. ---- */

/**
 * First mapping of a new anonymous page that nobody else knows: owner := the member's home, index := vpn, mapcount := 1,
 * marked DIRTY. The mapping takes a reference of its own.
 * => Space lock held. Callable under a run lock. Cost: a few atomics. Source: docs/design/fork-tree.md, rule 3.
 * @return 0; NULL_ARG; DEAD; RANGE; UNKNOWN_PAGE; INVALID (anonymous or mapped already, or SPECIAL).
 */
RMAP_API int rmap_page_map_new(struct rmap_member *m, struct rmap_page *page, rmap_vpn_t vpn);

/**
 * Mapping of a page found through swap entry `entry` (swap-in; fork-tree.md, rule 11). The faulting page number must be one
 * where the member may map the slot's index (rmap_member_may_map): elsewhere take a private copy and map that as new (S10). If no entry maps the page yet it
 * is re-homed to the member's home and takes the slot's index, else its owner is widened to the slot's. Raises mapcount.
 * The caller then sets the entry in place of the swap entry and hands that to rmap_gather_swap.
 * => Space lock and page lock held. Callable under a run lock.
 * @return 0; NULL_ARG; DEAD; INVALID (not cached under this entry); POISON; ABSENT (dead slot); OVERFLOW.
 */
RMAP_API int rmap_page_map_swapin(struct rmap_member *m, struct rmap_page *page, rmap_swp_t entry);

/**
 * mapcount += 1 for each page of a copied run, whose entries are mapped elsewhere under a run lock that is held. SPECIAL pages
 * and NULLs are skipped. @return 0; NULL_ARG; DEAD; UNKNOWN_PAGE; INVALID (a page that nothing maps); OVERFLOW: nothing
 * counted then. Cost: one atomic a page.
 */
RMAP_API int rmap_page_dup(struct rmap_member *m, struct rmap_page *const *pages, size_t n);

struct rmap_gather;
/**
 * An entry of the page was cleared: the member's books are put right, the count goes to the gather, which lowers it after
 * the flush (INV-6). The flush itself is rmap_gather_flush's. Callable under a run lock; ask rmap_gather_room before it.
 */
RMAP_API void rmap_page_unmap(struct rmap_gather *g, struct rmap_member *m, struct rmap_page *page);

/**
 * May the sole mapper write in place? Page lock held, entry re-checked by the caller under its run lock. Exclusive means
 * mapped once, no swap entry of its slot, no pins, not POISON (fork-tree.md, rule 10). If so the clean swap copy is given up, a
 * lazily freed page is one no more, and the page is re-homed to the member's home, with `vpn`, where the entry is,
 * as its index.
 * @return true if exclusive (and re-homed). Callable under a run lock; does not block.
 */
RMAP_API bool rmap_page_reuse(struct rmap_member *m, struct rmap_page *page, rmap_vpn_t vpn);

/** Set or clear flags atomically; LOCKED, WAITERS and bits that are no flags are left alone. @return the flags before. */
RMAP_API unsigned rmap_page_set_flags(struct rmap_page *page, unsigned flags);
RMAP_API unsigned rmap_page_clear_flags(struct rmap_page *page, unsigned flags);

RMAP_END_DECLS
#endif
