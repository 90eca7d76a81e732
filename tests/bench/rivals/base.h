/* SPDX-License-Identifier: MIT */
/**
 * @file bench/rivals/base.h  What the files of the base share: base.c (worlds, spaces), count.c, fork.c, zap.c, fault.c, verbs.c,
 * move.c. Rivals do not see it, but those that zap by themselves at an exit.
 */
#ifndef RMAP_TESTS_BENCH_RIVAL_BASE_H
#define RMAP_TESTS_BENCH_RIVAL_BASE_H

#include "bench/rivals/rival.h"

#define RIVAL_AHEAD 8 /* entries between a look at a descriptor and its prefetch */

static inline struct rival_world *rival_of(struct bench_world *w)
{
    return (struct rival_world *)w;
}
static inline struct rival_space *rival_space_of(struct bench_space *s)
{
    return (struct rival_space *)s;
}

/* ---- base.c ---- */
/** An empty space, in the world's list; not yet known to the rival. */
struct rival_space *rival_space_new(struct rival_world *w);

/* ---- entries ---- */
static inline rmap_pfn_t rival_entry_pfn(const struct rival_bits *b, rmap_pte_t e)
{
    return (e & b->frame) >> b->frame_shift;
}
static inline rmap_pte_t rival_entry(const struct rival_bits *b, rmap_pfn_t pfn, uint64_t attributes)
{
    return b->present | b->fixed | pfn << b->frame_shift | attributes;
}
static inline rmap_pte_t rival_entry_kind(const struct rival_bits *b, enum rmap_pte_kind kind, uint64_t payload,
                                          uint64_t attributes)
{
    return (uint64_t)kind << b->kind_shift | payload << b->frame_shift | attributes;
}
static inline bool rival_is_swap(const struct rival_bits *b, rmap_pte_t e)
{
    return !(e & b->present) && (e & b->kind) >> b->kind_shift == RMAP_PTE_SWAP;
}
static inline rmap_swp_t rival_entry_swp(const struct rival_bits *b, rmap_pte_t e)
{
    return (rmap_swp_t)rival_entry_pfn(b, e);
}
/** Where the descriptor of an entry's frame is or would be. */
static inline struct rmap_page *rival_entry_descriptor(const struct rival_bits *b, rmap_pte_t e)
{
    return (struct rmap_page *)(b->descriptors + (rival_entry_pfn(b, e) - POOL_FIRST_PFN) * b->stride);
}
/** The page that a counting entry maps. Never one that is not counted: there are none in these worlds. `b`, not `w`, is read. */
static inline struct rmap_page *rival_entry_page(const struct rival_world *w, const struct rival_bits *b, rmap_pte_t e)
{
    (void)w;
    struct rmap_page *page = rival_entry_descriptor(b, e);
    MUST_HOLD(rival_entry_pfn(b, e) - POOL_FIRST_PFN < b->frames);
    MUST_HOLD(!(atomic_load_explicit(&page->index_flags, memory_order_relaxed) & RMAP_PAGE_SPECIAL));
    return page;
}
static inline void rival_prefetch(const struct rival_world *w, const struct rival_bits *b, rmap_pte_t e)
{
    (void)w;
    __builtin_prefetch(rival_entry_descriptor(b, e), 1);
}
/** The run of vpn, locked, with its table made if there is none. */
void rival_make(struct rival_space *s, rmap_vpn_t vpn, struct rmap_mmu_run *run);

/* ---- count.c: a page's mappings together hold one reference, the swap cache one, whoever works with it one ---- */
/** A new page with one reference and count 0, its extra bytes zero, contents as they were. */
struct rmap_page *rival_page_new(struct rival_world *w);
/** … cleared, or a copy of `from`. */
struct rmap_page *rival_page_filled(struct rival_world *w, const struct rmap_page *from);
void rival_page_put(struct rival_world *w, struct rmap_page *page);
/** The last mapping has gone. */
void rival_page_unmapped(struct rival_world *w, struct rmap_page *page);

static inline void rival_count_up(struct rmap_page *page)
{
    MUST_HOLD(atomic_fetch_add_explicit(&page->mapcount, 1, memory_order_acq_rel) < RMAP_MAPCOUNT_MAX);
}
/**
 * The same for a fork: `page` is mapped by a present entry of the parent, whose run is locked. If that is its only mapping, and
 * the page neither locked nor cached before and after the look at the count, nobody else can change it, and a store is enough:
 * the library's own rule (docs/design/races.md, "A count raised by a store"), which is about counts and not about reverse maps.
 */
static inline void rival_count_forked(struct rmap_page *page)
{
    const uint64_t others = 0xfff & ~(uint64_t)(RMAP_PAGE_DIRTY | RMAP_PAGE_REFERENCED);
    const uint64_t before = atomic_load_explicit(&page->index_flags, memory_order_acquire);
    const uint32_t was = atomic_load_explicit(&page->mapcount, memory_order_acquire);
    const uint64_t after = atomic_load_explicit(&page->index_flags, memory_order_relaxed);
    if (was == 1 && !((before | after) & others))
        atomic_store_explicit(&page->mapcount, was + 1, memory_order_release);
    else
        rival_count_up(page);
}
/** Page not locked by the caller, if this may be its last mapping. */
static inline void rival_count_down(struct rival_world *w, struct rmap_page *page)
{
    if (atomic_fetch_sub_explicit(&page->mapcount, 1, memory_order_acq_rel) == 1) rival_page_unmapped(w, page);
}
static inline void rival_set_dirty(struct rmap_page *page)
{
    atomic_fetch_or_explicit(&page->index_flags, RMAP_PAGE_DIRTY, memory_order_acq_rel);
}
/** The page leaves the swap cache. */
void rival_forget(struct rival_world *w, struct rmap_page *page);

/* ---- zap.c ---- */
void rival_zap(struct rival_space *s, rmap_vpn_t first, uint64_t count);

#endif
