/* SPDX-License-Identifier: MIT */
/**
 * @file core/count.h  From an entry to its page and the page's count: what fork, zap and walks do for every entry, inlined.
 *
 * Each costs one atomic operation and the descriptor's cache line. Descriptors of a run's entries may lie anywhere, so loops
 * over entries ask for them a few entries ahead.
 */
#ifndef RMAP_CORE_COUNT_H
#define RMAP_CORE_COUNT_H

#include <core/core.h>

/** How far ahead, in entries, loops over entries ask for descriptors: their work on so many is to last about as long as a miss. */
#define RMAP__AHEAD 8

/** rmap_page_find without its call, where `s` is the section that entries mostly lie in: of most instances, the only one. */
static inline struct rmap_page *rmap__frame_page(struct rmap *r, const struct rmap__section *s, rmap_pfn_t pfn)
{
    const uint64_t k = pfn - s->first;
    return k < s->count ? (struct rmap_page *)(s->base + k * s->stride) : rmap_page_find(r, pfn);
}
/** A copy of the first section, for rmap__frame_page: in locals, so that it is not read anew after each atomic operation. */
static inline struct rmap__section rmap__main_section(const struct rmap *r)
{
    return r->section_count ? r->sections[0] : (struct rmap__section){.stride = 1};
}
/** Ask for the descriptor of a mapping entry; any other entry is harmless. */
static inline void rmap__frame_prefetch(const struct rmap__section *s, rmap_pfn_t pfn)
{
    /* By number: a prefetch of anything is harmless, arithmetic on pointers outside the section is not. */
    __builtin_prefetch((const void *)((uintptr_t)s->base + (uintptr_t)((pfn - s->first) * s->stride)), 1);
}

/** Frame of a descriptor of this section, or RMAP_PFN_NONE. No division: odd strides are multiplied by their inverse. */
static inline rmap_pfn_t rmap__section_pfn(const struct rmap__section *s, const struct rmap_page *page)
{
    const uint64_t off = (uint64_t)((uintptr_t)page - (uintptr_t)s->base);
    const uint64_t k = (off >> s->shift) * s->inverse;
    /* k < count, and k times the stride is off without wrapping, only if off is that multiple of the stride. */
    return k < s->count && k * s->stride == off ? s->first + k : RMAP_PFN_NONE;
}

/** rmap_page_pfn, where `s` is the section that pages mostly lie in. */
static inline rmap_pfn_t rmap__page_frame(struct rmap *r, const struct rmap__section *s, const struct rmap_page *page)
{
    const rmap_pfn_t pfn = rmap__section_pfn(s, page);
    return __builtin_expect(pfn != RMAP_PFN_NONE, 1) ? pfn : rmap_page_pfn(r, page);
}

/** mapcount += 1; *first: it was 0, so the mappings' reference is due. @return 0 or OVERFLOW. */
int rmap__page_count_up(struct rmap_page *page, bool *first);
/* A count this near to the maximum is raised by rmap__page_count_up, which cannot pass it. More threads than this do not exist. */
#define RMAP__COUNT_SLACK ((uint32_t)1 << 22)
/**
 * rmap__page_count_up for fork, with less: `page` is mapped by a present entry of the space that forks, whose run is locked and
 * whose space lock is held exclusively. @return false: not done, and rmap__page_count_up is to be asked.
 *
 * If that entry is the page's only mapping, and the page neither locked nor cached *before and after* the look at the count,
 * nobody else can change the count, so that a plain store raises it: a locked instruction is most of what a fork costs. Why, and
 * why one look at the flags is too few: docs/design/races.md, "A count raised by a store".
 */
static inline bool rmap__page_count_forked(struct rmap *r, struct rmap_page *page)
{
    const uint64_t others = 0xfff & ~(uint64_t)(RMAP_PAGE_DIRTY | RMAP_PAGE_REFERENCED);
    const uint64_t before = atomic_load_explicit(&page->index_flags, memory_order_acquire);
    RMAP__YIELD(r, RMAP__AT_FORK_COUNT);
    const uint32_t was = atomic_load_explicit(&page->mapcount, memory_order_acquire);
    if ((was & RMAP_MAPCOUNT_MAX) == 1) {
        const uint64_t after = atomic_load_explicit(&page->index_flags, memory_order_relaxed);
        if (!((before | after) & others)) {
            RMAP__YIELD(r, RMAP__AT_FORK_COUNT);
            /* Release: who acquires this count acquires what those who lowered it before had done. */
            atomic_store_explicit(&page->mapcount, was + 1, memory_order_release);
            return true;
        }
    }
    if (__builtin_expect((was & RMAP_MAPCOUNT_MAX) >= RMAP_MAPCOUNT_MAX - RMAP__COUNT_SLACK, 0)) return false;
    atomic_fetch_add_explicit(&page->mapcount, 1, memory_order_acq_rel);
    return true;
}

/** The last mapping has gone: the mappings' reference, and an orphan's place in the swap cache. */
void rmap__page_unmapped(struct rmap *r, struct rmap_page *page);
/** mapcount -= n and STABLE cleared in one step; the last one drops the mappings' reference. Never under a run lock. */
static inline void rmap__page_count_down(struct rmap *r, struct rmap_page *page, uint32_t n)
{
    uint32_t was = atomic_load_explicit(&page->mapcount, memory_order_relaxed), now;
    do {
        RMAP_ASSERT_INV((was & RMAP_MAPCOUNT_MAX) >= n, "INV-2");
        now = (was & RMAP_MAPCOUNT_MAX) - n; /* STABLE goes no later than the count: pairs with the walk's one load */
    } while (
        !atomic_compare_exchange_weak_explicit(&page->mapcount, &was, now, memory_order_acq_rel, memory_order_relaxed));
    if (!now) rmap__page_unmapped(r, page);
}

/** rmap_gather_flush, without its call where nothing is ever cached (NO_TLB). */
static inline void rmap__gather_flush(struct rmap_gather *g, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t old,
                                      enum rmap_flush_kind kind)
{
    if (m->mmu.ops->caps & RMAP_MMU_NO_TLB)
        g->elided += rmap_pte_present(m->mmu.ops->format, old);
    else
        rmap_gather_flush(g, m, vpn, old, kind);
}

/** rmap__gather_page for loops that meet each page once: no look back. There must be room. */
static inline void rmap__gather_push(struct rmap_gather *g, struct rmap_page *page)
{
    RMAP_ASSERT(g->items < RMAP_GATHER_ITEMS);
    g->item[g->items].page = page;
    g->item[g->items].count = 1;
    g->item[g->items++].entry = 0;
}

#endif
