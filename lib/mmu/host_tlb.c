/* SPDX-License-Identifier: MIT */
/** @file mmu/host_tlb.c  Records of what is projected, and the exact count of VMAs that they stand for. */
#include "base/alloc.h"
#include "mmu/host_impl.h"

static int compare(const struct rmap__projection *a, const struct rmap__projection *b)
{
    return (a->first > b->first) - (a->first < b->first);
}
RB_GENERATE_INTERNAL(rmap__projections, rmap__projection, link, compare, static __attribute__((unused)))

struct rmap__projection *rmap__tlb_prev(struct rmap__projection *p)
{
    return RB_PREV(rmap__projections, NULL, p);
}

struct rmap__projection *rmap__tlb_next(struct rmap__projection *p)
{
    return RB_NEXT(rmap__projections, NULL, p);
}

struct rmap__projection *rmap__tlb_before(struct rmap__window *w, uint32_t page)
{
    struct rmap__projection key = {.first = page};
    struct rmap__projection *p = RB_NFIND(rmap__projections, &w->tlb, &key);
    return p ? rmap__tlb_prev(p) : RB_MAX(rmap__projections, &w->tlb);
}

struct rmap__projection *rmap__tlb_find(struct rmap__window *w, uint32_t page)
{
    struct rmap__projection *p = rmap__tlb_before(w, page + 1);
    if (!p) return RB_MIN(rmap__projections, &w->tlb);
    return rmap__projection_end(p) > page ? p : rmap__tlb_next(p);
}

/*
 * Gaps that touch p: 0 … 2. With p in the tree there are, around it, 1 + gaps VMAs; with p's pages taken out there is
 * one (a single gap). So adding or removing p changes the count by its gaps, and changing its bounds by the
 * difference.
 */
static unsigned gaps(struct rmap__window *w, struct rmap__projection *p)
{
    struct rmap__projection *a = rmap__tlb_prev(p), *b = rmap__tlb_next(p);
    return (p->first > (a ? rmap__projection_end(a) : 0)) + (rmap__projection_end(p) < (b ? b->first : w->host->pages));
}

static void insert(struct rmap__window *w, uint32_t first, uint32_t end, rmap_pfn_t pfn, bool writable)
{
    struct rmap__projection *p = SLIST_FIRST(&w->change.spare);
    SLIST_REMOVE_HEAD(&w->change.spare, spare);
    w->change.spares--;
    *p = (struct rmap__projection){.first = first, .count = end - first, .pfn = pfn, .writable = writable};
    RB_INSERT(rmap__projections, &w->tlb, p);
    w->change.vmas += gaps(w, p);
}

static void discard(struct rmap__window *w, struct rmap__projection *p)
{
    w->change.vmas -= gaps(w, p);
    RB_REMOVE(rmap__projections, &w->tlb, p);
    SLIST_INSERT_HEAD(&w->change.spare, p, spare);
    w->change.spares++;
}

/* New bounds, same translations; the order of the tree stays. */
static void resize(struct rmap__window *w, struct rmap__projection *p, uint32_t first, uint32_t end)
{
    w->change.vmas -= gaps(w, p);
    p->pfn = p->pfn + first - p->first; /* wraps to the right value when `first` goes down */
    p->first = first;
    p->count = end - first;
    w->change.vmas += gaps(w, p);
}

void rmap__tlb_cut(struct rmap__window *w, uint32_t first, uint32_t end)
{
    struct rmap__projection *p = rmap__tlb_find(w, first), *after;
    for (; p && p->first < end; p = after) {
        after = rmap__tlb_next(p);
        uint32_t p_end = rmap__projection_end(p);
        bool head = p->first < first;
        bool tail = p_end > end;
        rmap_pfn_t tail_pfn = p->pfn + (end - p->first);
        if (head)
            resize(w, p, p->first, first);
        else if (tail)
            resize(w, p, end, p_end);
        else
            discard(w, p);
        if (head && tail) insert(w, end, p_end, tail_pfn, p->writable);
    }
}

/* May b follow a in one VMA? */
static bool joins(const struct rmap__projection *a, uint32_t first, rmap_pfn_t pfn, bool writable)
{
    return rmap__projection_end(a) == first && a->pfn + a->count == pfn && a->writable == writable;
}

void rmap__tlb_put(struct rmap__window *w, uint32_t first, uint32_t end, rmap_pfn_t pfn, bool writable)
{
    struct rmap__projection *b = rmap__tlb_find(w, first);
    if (b && b->first < end) { /* something is to be replaced */
        rmap__tlb_cut(w, first, end);
        b = rmap__tlb_find(w, first);
    }
    struct rmap__projection *a = b ? rmap__tlb_prev(b) : rmap__tlb_before(w, first);
    bool with_a = a && joins(a, first, pfn, writable);
    bool with_b = b && b->first == end && b->pfn == pfn + (end - first) && b->writable == writable;
    if (with_b) {
        end = rmap__projection_end(b);
        if (with_a)
            discard(w, b);
        else
            resize(w, b, first, end);
    }
    if (with_a)
        resize(w, a, a->first, end);
    else if (!with_b)
        insert(w, first, end, pfn, writable);
}

void rmap__records_add(struct rmap_host *host, struct rmap__records *list)
{
    struct rmap__projection *p;
    while ((p = SLIST_FIRST(list))) {
        SLIST_REMOVE_HEAD(list, spare);
        SLIST_INSERT_HEAD(&host->spare, p, spare);
        host->spares++;
        host->records++;
    }
}

void rmap__records_take(struct rmap_host *host, uint64_t keep, struct rmap__records *list)
{
    SLIST_INIT(list);
    for (; host->spares > keep; host->spares--, host->records--) {
        struct rmap__projection *p = SLIST_FIRST(&host->spare);
        SLIST_REMOVE_HEAD(&host->spare, spare);
        SLIST_INSERT_HEAD(list, p, spare);
    }
}

unsigned rmap__records_alloc(const struct rmap_allocator *alloc, unsigned n, struct rmap__records *list)
{
    SLIST_INIT(list);
    for (unsigned i = 0; i < n; i++) {
        struct rmap__projection *p = RMAP__NEW(alloc, struct rmap__projection);
        if (!p) return i;
        SLIST_INSERT_HEAD(list, p, spare);
    }
    return n;
}

void rmap__records_free(const struct rmap_allocator *alloc, struct rmap__records *list)
{
    struct rmap__projection *p;
    while ((p = SLIST_FIRST(list))) {
        SLIST_REMOVE_HEAD(list, spare);
        RMAP__DELETE(alloc, p);
    }
}
