/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/swap.h  What the core needs from a swap map. objrmap/swapmap.h is one, complete; an embedder may bring its own.
 *
 * A slot has a count (its swap entries), a home (owner, index), a MOVED mark, and perhaps a cached page.
 * INV-3: count = number of swap entries; a slot without entries lives on only as the clean copy of its cached page.
 * Hooks are leaf calls: they may take a lock of their own, and call rmap_owner_get/put, but no other rmap lock; they do
 * no I/O and do not block. They may be called under run locks.
 */
#ifndef OBJRMAP_SWAP_H
#define OBJRMAP_SWAP_H

#include <objrmap/types.h>

struct rmap_page;

struct rmap_slot_home {
    rmap_owner_t owner; /**< no reference of the caller's */
    rmap_vpn_t index;
    bool moved;               /**< an entry may lie at another page number: INV-1's exception */
    struct rmap_page *cached; /**< page in the swap cache, or NULL; no reference */
    uint32_t count;           /**< swap entries at the same moment: with 1 and no page, who has that entry is alone */
};

struct rmap_swap_ops {
    size_t struct_size;
    /** n more entries name the slot. @return 0; OVERFLOW (nothing counted); ABSENT (no such live slot). */
    int (*dup)(void *ctx, rmap_swp_t entry, uint32_t n);
    /**
     * n entries fewer. At 0: with no cached page the slot is freed; with a mapped cached page it stays as that page's
     * clean copy; with an unmapped one the page leaves the cache and both are freed, if the page lock can be had by try,
     * else the page is marked ORPHAN for the unlocker. Not called under run locks.
     */
    void (*put)(void *ctx, rmap_swp_t entry, uint32_t n);
    /**
     * Number of swap entries of the slot; 0 for a dead slot. Who lowers the last mapcount then asks for this count; put lowers this
     * count and then looks at the mapcount: one of the two must see both at 0. So this hook and put's two steps exclude each other
     * (one mutex), or are sequentially consistent.
     */
    uint32_t (*count)(void *ctx, rmap_swp_t entry);
    /** @return 0 with *home filled; ABSENT. */
    int (*get_home)(void *ctx, rmap_swp_t entry, struct rmap_slot_home *home);
    /** Set owner (the hook takes its own reference by rmap_owner_get, drops the old one's), index and mark. */
    void (*set_home)(void *ctx, rmap_swp_t entry, rmap_owner_t owner, rmap_vpn_t index, bool moved);
    /**
     * The page stops using its slot: it leaves the cache (SWAPCACHE cleared, swap := 0, the cache's reference dropped by
     * rmap_page_put) and the slot is freed if it has no entry. Page lock held; the caller holds a reference of its own.
     */
    void (*forget)(void *ctx, struct rmap_page *page);
    /**
     * `target` takes the place of the cached `page` in its slot: SWAPCACHE and `swap` go over, ORPHAN is set (its
     * unlocker looks whether it still is wanted), the cache's reference is had on it and dropped on `page`. DIRTY is
     * the caller's on either side. Both locked and referenced by the caller. May be NULL: cached pages then do not
     * migrate.
     */
    void (*replace)(void *ctx, struct rmap_page *page, struct rmap_page *target);
};

#endif
