/* SPDX-License-Identifier: MIT */
/**
 * @file mmu/host_update.c  Projecting: a fault was resolved, the kernel is told, for as many neighbours as go in one
 * call.
 *
 * Two rules keep the attributes true although host mappings have no accessed and dirty bits that we could read: only an
 * entry that is *accessed* is projected, and only one that is *dirty* is projected writable. The first access and the
 * first store hence fault, and whoever clears an attribute flushes.
 */
#include "mmu/host_impl.h"

#include <sys/mman.h>

/* A stretch that is projected as it should be is mapped again if it is at most this long and more lies behind it: one
 * call costs about as much as a few faults on pages that were there. Longer ones end the fault-around. */
#define ISLAND_PAGES 16

/* A mapping of at most this many bytes is filled in by the call that makes it: that spares the access that is retried
 * a fault of the kernel's own, and costs no more than that fault would. It is what kernels fill in around a fault
 * unless told otherwise (fault_around_bytes). Longer ones are filled in as they are touched. */
#define FILL_BYTES ((size_t)64 << 10)

/* What the entries say, around the faulting page: pages [first, end) show frames from `pfn` on. */
struct stretch {
    uint32_t first, end;
    rmap_pfn_t pfn; /* of page `first` */
    bool writable;
};

static bool projectable(const struct rmap_host *host, rmap_pte_t e, rmap_pfn_t *pfn, bool *writable)
{
    const struct rmap_pte_format *f = &host->format;
    if (!rmap_pte_present(f, e) || !rmap_pte_get(f, e, RMAP_ATTR_ACCESSED)) return false;
    *pfn = rmap_pte_pfn(f, e);
    *writable = rmap_pte_get(f, e, RMAP_ATTR_WRITE) && rmap_pte_get(f, e, RMAP_ATTR_DIRTY);
    return *pfn < host->memory->frames;
}

static bool agrees(const struct rmap__window *w, const struct rmap_mmu_run *run, rmap_vpn_t page, rmap_pfn_t pfn,
                   bool writable)
{
    rmap_pfn_t its_pfn;
    bool its_writable;
    return projectable(w->host, rmap_run_get(&w->tables, run, (uint32_t)(page - run->first)), &its_pfn,
                       &its_writable) &&
           its_pfn == pfn && its_writable == writable;
}

/* The longest stretch around `vpn` that one projection can show. Reads entries only: the run is locked. */
static bool find_stretch(const struct rmap__window *w, const struct rmap_mmu_run *run, rmap_vpn_t vpn,
                         struct stretch *s)
{
    rmap_pfn_t pfn;
    bool writable;
    if (!projectable(w->host, rmap_run_get(&w->tables, run, (uint32_t)(vpn - run->first)), &pfn, &writable))
        return false;

    rmap_vpn_t run_end = run->first + run->count;
    if (run_end > w->host->pages) run_end = w->host->pages;
    rmap_vpn_t first = vpn, end = vpn + 1;
    /* Below frame 0 the sum wraps to a frame that no memory has. */
    while (first > run->first && agrees(w, run, first - 1, pfn - (vpn - first + 1), writable)) first--;
    while (end < run_end && agrees(w, run, end, pfn + (end - vpn), writable)) end++;
    *s = (struct stretch){(uint32_t)first, (uint32_t)end, pfn - (vpn - first), writable};
    return true;
}

static bool shown(const struct rmap__projection *p, const struct stretch *s)
{
    return p->writable == s->writable && p->pfn + s->first == s->pfn + p->first;
}

/* Below `page` and above it: where does the part of the stretch begin, and end, that is worth mapping now? `p` is the last
 * projection that begins below the page, or the first one that ends behind it: one search of the tree serves all. */
static uint32_t first_to_map(const struct stretch *s, uint32_t page, struct rmap__projection *p)
{
    uint32_t first = page;
    for (uint32_t at = page; at > s->first;) { /* [at, page] is looked at, [first, page] needs mapping */
        uint32_t p_end = p ? rmap__projection_end(p) : 0;
        if (p_end < at) { /* a gap below */
            at = first = p_end > s->first ? p_end : s->first;
            continue;
        }
        at = p->first > s->first ? p->first : s->first;
        if (!shown(p, s))
            first = at;
        else if (p_end - at > ISLAND_PAGES)
            break;
        p = rmap__tlb_prev(p);
    }
    return first;
}

static uint32_t end_to_map(const struct stretch *s, uint32_t page, struct rmap__projection *p)
{
    uint32_t end = page + 1;
    for (uint32_t at = end; at < s->end;) {
        if (!p || p->first > at) {
            at = end = p && p->first < s->end ? p->first : s->end;
            continue;
        }
        uint32_t from = p->first;
        at = rmap__projection_end(p) < s->end ? rmap__projection_end(p) : s->end;
        if (!shown(p, s))
            end = at;
        else if (at - from > ISLAND_PAGES)
            break;
        p = rmap__tlb_next(p);
    }
    return end;
}

/* Shrink the stretch to what is worth mapping now; false if `page` is projected as it should be. */
static bool leave_out_projected(struct rmap__window *w, uint32_t page, struct stretch *s)
{
    struct rmap__projection *p = rmap__tlb_find(w, page);
    const bool covered = p && p->first <= page;
    if (covered && shown(p, s)) return false;
    struct rmap__projection *below = covered && p->first < page ? p : p ? rmap__tlb_prev(p) : rmap__tlb_before(w, page);
    struct rmap__projection *above = covered && rmap__projection_end(p) == page + 1 ? rmap__tlb_next(p) : p;
    const uint32_t first = first_to_map(s, page, below), end = end_to_map(s, page, above);
    s->pfn += first - s->first;
    s->first = first;
    s->end = end;
    return true;
}

static bool map_frames(struct rmap__window *w, const struct stretch *s)
{
    struct rmap_host *host = w->host;
    const size_t bytes = rmap__window_bytes(host, s->end - s->first);
    const int prot = s->writable ? PROT_READ | PROT_WRITE : PROT_READ;
    const int flags = MAP_SHARED | MAP_FIXED | (bytes <= FILL_BYTES ? MAP_POPULATE : 0);
    if (mmap(w->base + rmap__window_bytes(host, s->first), bytes, prot, flags, host->memory->fd,
             (off_t)(s->pfn << host->memory->page_shift)) == MAP_FAILED)
        return false;
    rmap__tlb_put(w, s->first, s->end, s->pfn, s->writable);
    w->change.projections++;
    w->change.projected_pages += s->end - s->first;
    return true;
}

/* Without this the caller would retry for ever an access that the kernel does not let us serve. Each fault is told of
 * its own page: another thread's refusal is not its failure. Settles the window. */
static void tell_faults(struct rmap__window *w, const struct stretch *s, bool refused)
{
    struct rmap__serving *f;
    rmap__host_lock(w->host);
    LIST_FOREACH(f, &w->serving, link)
    if (f->page >= s->first && f->page < s->end) f->refused = refused;
    rmap__window_settle_locked(w);
    rmap__host_unlock(w->host);
}

/*
 * The kernel has no VMA left although we are below our limit: others in the process use them. Give this window's back,
 * then map. What that frees another thread may take first, for another window or for something else: then the answer is
 * false, and an emergency takes those of all windows. A mapping that failed may have left a hole in the window, which
 * forgetting all of it closes. (Only a kernel without memory for itself leaves one, and newer ones not even then. In
 * between another thread's mmap could land there, and would be mapped over: there is no call that closes a hole and asks
 * who is in it.)
 */
static bool map_after_own(struct rmap__window *w, const struct stretch *s)
{
    rmap__window_forget_all(w);
    if (map_frames(w, s)) return true;
    rmap__window_forget_all(w);
    return false;
}

/* All of all windows' are given back, and no other thread maps until one page of ours is. Gives the window's lock up for
 * a time. */
static void map_at_any_price(struct rmap__window *w, uint32_t page, struct stretch *s)
{
    rmap__window_settle(w);
    rmap__window_unlock(w);
    rmap__host_emergency_begin(w->host);
    rmap__host_forget_everything(w->host);
    rmap__window_lock(w);
    rmap__window_take_in_emergency(w, RMAP__VMAS_PER_CHANGE, RMAP__RECORDS_PER_CHANGE);
    s->pfn += page - s->first;
    s->first = page;
    s->end = page + 1;
    bool mapped = map_frames(w, s);
    if (!mapped) rmap__window_forget_all(w);
    tell_faults(w, s, !mapped);
    rmap__host_emergency_end(w->host);
}

void rmap__window_update(void *window, const struct rmap_mmu_run *run, rmap_vpn_t vpn, unsigned access)
{
    struct rmap__window *w = window;
    struct stretch all, s;
    (void)access; /* the entry says what may be shown; a store that it does not allow yet faults once more */

    if (vpn >= w->host->pages || vpn < run->first || vpn - run->first >= run->count) return;
    if (!find_stretch(w, run, vpn, &all)) return;

    const uint32_t page = (uint32_t)vpn;
    rmap__window_lock(w);
    while (s = all, leave_out_projected(w, page, &s)) {
        if (!rmap__window_take(w, RMAP__VMAS_PER_CHANGE, RMAP__RECORDS_PER_CHANGE)) {
            rmap__window_unlock(w);
            rmap__host_make_room(w->host, RMAP__VMAS_PER_CHANGE, RMAP__RECORDS_PER_CHANGE);
            rmap__window_lock(w);
            continue;
        }
        if (map_frames(w, &s) || map_after_own(w, &s))
            tell_faults(w, &s, false);
        else
            map_at_any_price(w, page, &s);
        break;
    }
    rmap__window_unlock(w);
}
