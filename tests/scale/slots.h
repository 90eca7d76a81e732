/* SPDX-License-Identifier: MIT */
/**
 * @file scale/slots.h  A swap map that only counts: no device, no contents, one thread.
 *
 * Enough for unmap, for pages that wait in the swap cache, and for forks and exits of swap entries.
 */
#ifndef RMAP_TESTS_SCALE_SLOTS_H
#define RMAP_TESTS_SCALE_SLOTS_H

#include <objrmap/instance.h>

struct slot {
    rmap_owner_t owner;
    rmap_vpn_t index;
    struct rmap_page *cached;
    uint32_t count;
    bool moved;
};

/** Whose pages are cached, where they are not the library's (bench/rivals): then owners are not kept, and pages not locked. */
struct slots_pages {
    struct rmap_page *(*alloc)(void *ctx); /* with one reference; unlocked */
    void (*put)(void *ctx, struct rmap_page *page);
    void *ctx;
};

struct slots {
    struct rmap *r; /* set after rmap_create(); NULL: see `pages` */
    const struct slots_pages *pages;
    struct slot *slot;
    uint32_t *free_slots; /* stack */
    uint32_t total, free_count;
};

void slots_init(struct slots *s, uint32_t total);
/** Every slot must be free again. */
void slots_fini(struct slots *s);
/** For rmap_options.swap; the context is the struct slots. */
const struct rmap_swap_ops *slots_ops(void);

/** The page gets a slot, if it has none. Page locked. */
void slots_cache(struct slots *s, struct rmap_page *page);
/** The page that caches the entry, with a reference; a new one, put in the cache, if there is none ("read in"). Locked, if the
 *  pages are the library's. */
struct rmap_page *slots_load(struct slots *s, rmap_swp_t entry);
/** An unmapped page leaves the cache ("written"). Page locked; the caller holds a reference. */
void slots_uncache(struct slots *s, struct rmap_page *page);

#endif
