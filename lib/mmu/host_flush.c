/* SPDX-License-Identifier: MIT */
/**
 * @file mmu/host_flush.c  Forgetting translations: exactly where that is possible, more where it is not, never less.
 *
 * A PROT_NONE mapping is laid over what must go. madvise(DONTNEED) would not do: the translation would come back from
 * the memfd without a fault that we see, and show the frame's next user.
 */
#include "mmu/host_impl.h"
#include "mmu/unmap.h"

#include <stdlib.h>

static bool lay_gap(struct rmap__window *w, uint32_t first, uint32_t end)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    w->forgotten++;
    return mmap(w->base + rmap__window_bytes(w->host, first), rmap__window_bytes(w->host, end - first), PROT_NONE,
                flags, -1, 0) != MAP_FAILED;
}

void rmap__host_take_ballast(struct rmap_host *host)
{
    if (host->ballast) return;
    void *at = mmap(NULL, rmap__window_bytes(host, 1), PROT_NONE, MAP_SHARED, host->memory->fd, 0);
    host->ballast = at == MAP_FAILED ? NULL : at;
}

void rmap__host_drop_ballast(struct rmap_host *host)
{
    if (host->ballast && rmap__unmap(host->ballast, rmap__window_bytes(host, 1), NULL, NULL)) host->ballast = NULL;
}

/* A process that others filled up to one VMA more than the limit is refused every mmap, even one that frees VMAs.
 * Unmapping is not refused, but would open a window's addresses to anybody: the ballast goes instead. */
static bool lay_gap_without_ballast(struct rmap__window *w)
{
    rmap__host_lock(w->host);
    rmap__host_drop_ballast(w->host);
    bool done = lay_gap(w, 0, w->host->pages);
    rmap__host_take_ballast(w->host);
    rmap__host_unlock(w->host);
    return done;
}

void rmap__window_forget_all(struct rmap__window *w)
{
    const uint32_t pages = w->host->pages;
    if (!lay_gap(w, 0, pages) && !lay_gap_without_ballast(w)) {
        /* A limit on address space that shrank under us refuses this; or, of a process that is full, another thread took
         * what the ballast gave up: windows map at the same time, and the rest of the process, too. Changing the
         * protection of whole mappings asks for nothing; the kernel then keeps more VMAs than we count, until they are
         * mapped over. */
        w->forgotten++;
        /* Going on would leave memory visible that is somebody else's. */
        if (mprotect(w->base, rmap__window_bytes(w->host, pages), PROT_NONE) != 0) abort();
    }
    rmap__tlb_cut(w, 0, pages);
}

void rmap__window_forget(struct rmap__window *w, uint32_t first, uint32_t end)
{
    struct rmap__projection *a = rmap__tlb_find(w, first);
    if (!a || a->first >= end) return;
    struct rmap__projection *b = rmap__projection_end(a) >= end ? a : rmap__tlb_before(w, end);

    const uint32_t all_first = a->first, all_end = rmap__projection_end(b);
    unsigned splits = (first > all_first) + (end < all_end); /* each adds a VMA at most; whole projections add none */
    bool one_spare_needed = a == b && splits == 2;
    if ((splits == 0 || rmap__window_take(w, splits, one_spare_needed)) && lay_gap(w, first, end))
        rmap__tlb_cut(w, first, end);
    else if (splits > 0 && lay_gap(w, all_first, all_end))
        rmap__tlb_cut(w, all_first, all_end);
    else
        rmap__window_forget_all(w);
}

/* The translations of [first, end), which is all projected, lose the permission to write. */
static void record_read_only(struct rmap__window *w, uint32_t first, uint32_t end)
{
    while (first < end) {
        struct rmap__projection *p = rmap__tlb_find(w, first);
        uint32_t p_end = rmap__projection_end(p) < end ? rmap__projection_end(p) : end;
        if (p->writable) {
            rmap_pfn_t pfn = p->pfn + (first - p->first);
            rmap__tlb_put(w, first, p_end, pfn, false);
        }
        first = p_end;
    }
}

static bool make_read_only(struct rmap__window *w, uint32_t first, uint32_t end)
{
    w->forgotten++;
    return mprotect(w->base + rmap__window_bytes(w->host, first), rmap__window_bytes(w->host, end - first),
                    PROT_READ) == 0;
}

/* One call serves projections that touch each other, whatever their frames; never a gap, which would become readable. */
static void forget_write(struct rmap__window *w, uint32_t first, uint32_t end)
{
    struct rmap__projection *p = rmap__tlb_find(w, first);
    while (p && p->first < end) {
        if (!p->writable) {
            p = rmap__tlb_next(p);
            continue;
        }
        struct rmap__projection *last = p, *n = p;
        uint32_t reached = rmap__projection_end(p);
        while ((n = rmap__tlb_next(n)) && n->first == reached && n->first < end) {
            reached = rmap__projection_end(n);
            if (n->writable) last = n;
        }
        uint32_t all_first = p->first, all_end = rmap__projection_end(last);
        uint32_t lo = all_first > first ? all_first : first, hi = all_end < end ? all_end : end;
        unsigned splits = (lo > all_first) + (hi < all_end);
        if (rmap__window_take(w, splits, RMAP__RECORDS_PER_CHANGE) && make_read_only(w, lo, hi))
            record_read_only(w, lo, hi);
        else
            rmap__window_forget(w, all_first, all_end);
        p = rmap__tlb_find(w, hi);
    }
}

/* A following range may be forgotten with this one if nothing is projected between them. */
static bool continues(struct rmap__window *w, uint32_t end, const struct rmap_flush_range *range)
{
    if (range->kind != RMAP_FLUSH_ALL || range->first < end || range->first >= w->host->pages) return false;
    struct rmap__projection *p = rmap__tlb_find(w, end);
    return !p || p->first >= range->first;
}

void rmap__window_flush(void *window, const struct rmap_flush_range *ranges, size_t n)
{
    struct rmap__window *w = window;
    struct rmap_host *host = w->host;

    rmap__window_lock(w);
    const uint64_t calls = w->forgotten;
    for (size_t i = 0; i < n; i++) {
        if (ranges[i].first >= host->pages || ranges[i].count == 0) continue;
        uint32_t first = (uint32_t)ranges[i].first, end;
        for (;;) {
            uint64_t most = host->pages - ranges[i].first;
            end = (uint32_t)(ranges[i].first + (ranges[i].count < most ? ranges[i].count : most));
            if (ranges[i].kind != RMAP_FLUSH_ALL || i + 1 == n || !continues(w, end, &ranges[i + 1])) break;
            i++;
        }
        if (ranges[i].kind == RMAP_FLUSH_WRITE)
            forget_write(w, first, end);
        else
            rmap__window_forget(w, first, end);
    }
    w->change.flush_calls += (uint32_t)(w->forgotten - calls);
    rmap__window_settle(w);
    rmap__window_unlock(w);
}
