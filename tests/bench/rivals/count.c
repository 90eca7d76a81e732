/* SPDX-License-Identifier: MIT */
/** @file bench/rivals/count.c  Pages of rivals: frames, references, and what happens when nothing maps one any more. */
#include "bench/rivals/base.h"

#include <string.h>

struct rmap_page *rival_page_new(struct rival_world *w)
{
    struct rmap_page *page = pool_page(w->pool, pool_take(w->pool));
    const size_t extra = w->ops->page_extra;
    atomic_store_explicit(&page->owner, 0, memory_order_relaxed);
    atomic_store_explicit(&page->index_flags, 0, memory_order_relaxed);
    atomic_store_explicit(&page->mapcount, 0, memory_order_relaxed);
    atomic_store_explicit(&page->pins_order, 0, memory_order_relaxed);
    atomic_store_explicit(&page->swap, 0, memory_order_relaxed);
    if (extra) memset(rival_extra(page), 0, extra);
    atomic_store_explicit(&page->refcount, 1, memory_order_release);
    return page;
}

struct rmap_page *rival_page_filled(struct rival_world *w, const struct rmap_page *from)
{
    struct rmap_page *page = rival_page_new(w);
    if (!w->pool->contents) return page;
    if (from)
        memcpy(pool_contents(w->pool, page), pool_contents(w->pool, from), POOL_PAGE);
    else
        memset(pool_contents(w->pool, page), 0, POOL_PAGE);
    return page;
}

void rival_page_put(struct rival_world *w, struct rmap_page *page)
{
    if (atomic_fetch_sub_explicit(&page->refcount, 1, memory_order_acq_rel) != 1) return;
    MUST_HOLD(!rmap_page_mapcount(page));
    if (w->ops->page_free) w->ops->page_free(w, page);
    pool_give(w->pool, rival_pfn(w, page));
}

void rival_page_unmapped(struct rival_world *w, struct rmap_page *page)
{
    const bool cached = atomic_load_explicit(&page->index_flags, memory_order_relaxed) & RMAP_PAGE_SWAPCACHE;
    if (cached && !rival_swap_count(w, page)) rival_forget(w, page);
    rival_page_put(w, page);
}

uint32_t rival_swap_count(const struct rival_world *w, const struct rmap_page *page)
{
    if (!(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE)) return 0;
    return slots_ops()->count(&w->pool->slots, page->swap);
}

void rival_forget(struct rival_world *w, struct rmap_page *page)
{
    slots_ops()->forget(&w->pool->slots, page);
}
