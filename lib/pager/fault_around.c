/* SPDX-License-Identifier: MIT */
/**
 * @file pager/fault_around.c  A fault on swap brings in what lies around its page as well.
 *
 * Who touches a page mostly touches its neighbours soon, and they were mostly evicted together: their slots are
 * neighbours, too. One read of the device, one fault and, where the frames are in a row, one projection serve a block of
 * them. All this is optional. What is cached is mapped if its lock is to be had at once. What is not is read only where the
 * faults of the space are near each other, and into frames to spare. An entry whose slot is at home elsewhere (it may need
 * a copy) and a page that cannot be read are left alone: their own fault will see to it, and say so.
 *
 * Where entries are shown by update(), neighbours count as accessed, or each would fault all the same. Elsewhere the
 * hardware marks them when they are touched; those that are not go first.
 */
#include <pager/fault.h>

/* A page is read with its neighbours if the last one that this space had to read is at most so many blocks away. */
#define NEAR_BLOCKS 4

/* Swap entries of the block, in ascending order, without the faulting one. */
static void find(struct rmap__fault_state *f, struct rmap__around *a)
{
    const rmap_vpn_t block = f->s->p->swap_around;
    rmap_vpn_t first = f->vpn - f->vpn % block, end = first + block;
    struct rmap_mmu_run run;
    a->count = 0;
    if (f->m->mmu.ops->run_find(f->m->mmu.ctx, f->vpn, f->vpn + 1, &run)) return;
    if (first < f->region_first) first = f->region_first;
    if (end > f->region_end) end = f->region_end;
    if (first < run.first) first = run.first;
    if (end > run.first + run.count) end = run.first + run.count;
    for (rmap_vpn_t vpn = first; vpn < end; vpn++) {
        const rmap_pte_t e = rmap_run_get(&f->m->mmu, &run, (uint32_t)(vpn - run.first));
        if (vpn == f->vpn || rmap_pte_kind(f->format, e) != RMAP_PTE_SWAP) continue;
        a->vpn[a->count] = vpn;
        a->entry[a->count++] = rmap_pte_swp(f->format, e);
    }
    f->m->mmu.ops->run_unlock(f->m->mmu.ctx, &run);
}

/* May the slot's page be mapped at `vpn` as it is? */
static bool is_at_home(const struct rmap__fault_state *f, rmap_swp_t entry, rmap_vpn_t vpn, bool *cached)
{
    struct rmap_slot_home home;
    if (rmap_swap_get_ops()->get_home(f->s->p->swap, entry, &home)) return false;
    *cached = home.cached != NULL;
    return home.index == vpn;
}

/* Leave those that are at home, and cached or not, as wanted. */
static void keep(struct rmap__fault_state *f, struct rmap__around *a, bool want_cached)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < a->count; i++) {
        bool cached;
        if (!is_at_home(f, a->entry[i], a->vpn[i], &cached) || cached != want_cached) continue;
        a->vpn[kept] = a->vpn[i];
        a->entry[kept++] = a->entry[i];
    }
    a->count = kept;
}

/* ---- mapping ---- */

/* Map one neighbour, read-only, if its entry is what it was. Run and page locked. */
static void map_one(struct rmap__fault_state *f, const struct rmap_mmu_run *run, rmap_vpn_t vpn, rmap_swp_t entry,
                    struct rmap_page *page, struct rmap_gather *g)
{
    const uint32_t i = (uint32_t)(vpn - run->first);
    bool cached;
    if (vpn < run->first || vpn - run->first >= run->count) return;
    const rmap_pte_t e = rmap_run_get(&f->m->mmu, run, i);
    if (rmap_pte_kind(f->format, e) != RMAP_PTE_SWAP || rmap_pte_swp(f->format, e) != entry) return;
    if (!is_at_home(f, entry, vpn, &cached) || rmap_page_map_swapin(f->m, page, entry)) return;
    rmap_gather_swap(g, f->m, vpn, entry);
    unsigned attrs = f->attrs | (rmap_pte_attrs(f->format, e) & 1u << RMAP_ATTR_SOFT_DIRTY);
    if (!f->m->mmu.ops->update) attrs &= ~(1u << RMAP_ATTR_ACCESSED);
    rmap_run_set(&f->m->mmu, run, i, rmap__fault_entry(f, page, attrs));
    RMAP__FAULT_STAT(f->s, swap_in_around, 1);
}

/* Map the pages, which are in the cache, locked and referenced; then let them go. */
static void map_all(struct rmap__fault_state *f, const struct rmap__around *a)
{
    struct rmap_mmu_run run;
    struct rmap_gather g;
    rmap_gather_init(&g, f->m->r);
    if (!f->m->mmu.ops->run_find(f->m->mmu.ctx, f->vpn, f->vpn + 1, &run)) {
        for (unsigned i = 0; i < a->count; i++) map_one(f, &run, a->vpn[i], a->entry[i], a->page[i], &g);
        f->m->mmu.ops->run_unlock(f->m->mmu.ctx, &run);
    }
    for (unsigned i = 0; i < a->count; i++) rmap_page_unlock(f->m->r, a->page[i]);
    rmap_gather_finish(&g);
    for (unsigned i = 0; i < a->count; i++) rmap_page_put(f->m->r, a->page[i]);
}

static struct rmap_page *lock_cached(struct rmap__fault_state *f, rmap_swp_t entry)
{
    struct rmap_page *page = rmap_swap_cache_find(f->s->p->swap, entry);
    if (!page) return NULL;
    if (rmap_page_try_lock(page)) {
        if ((rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE) && page->swap == entry) return page;
        rmap_page_unlock(f->m->r, page);
    }
    rmap_page_put(f->m->r, page);
    return NULL;
}

void rmap__around_map_cached(struct rmap__fault_state *f)
{
    struct rmap__around a;
    if (f->s->p->swap_around < 2 || !f->access) return;
    find(f, &a);
    keep(f, &a, true);
    unsigned kept = 0;
    for (unsigned i = 0; i < a.count; i++) {
        struct rmap_page *page = lock_cached(f, a.entry[i]);
        if (!page) continue;
        a.vpn[kept] = a.vpn[i];
        a.entry[kept] = a.entry[i];
        a.page[kept++] = page;
    }
    a.count = kept;
    if (kept) map_all(f, &a);
}

/* ---- reading ---- */

/* Frames for all, the faulting page's in its place among them: in a row if there is one, so that one projection shows
 * them. Others take frames, too: nothing is evicted for neighbours, so the rest of them is left out where the low mark comes
 * near. */
static void take_frames(struct rmap__fault_state *f)
{
    struct rmap__around *a = &f->around;
    const rmap_vpn_t lowest = a->vpn[0] < f->vpn ? a->vpn[0] : f->vpn;
    rmap_vpn_t at = lowest;
    rmap_pfn_t near =
        f->near != RMAP_PFN_NONE && f->near >= f->vpn - lowest ? f->near - (f->vpn - lowest) : RMAP_PFN_NONE;
    unsigned taken = 0;
    while (taken < a->count || !f->spares) {
        const bool own = !f->spares && (taken == a->count || f->vpn < a->vpn[taken]);
        const rmap_vpn_t vpn = own ? f->vpn : a->vpn[taken];
        struct rmap_page *page;
        if (!own && !rmap__frames_to_spare(f->s->p, RMAP__FAULT_SPARES)) {
            a->count = taken;
            continue;
        }
        if (near != RMAP_PFN_NONE) near += vpn - at;
        if (rmap_page_alloc(f->m->r, near, &page)) break;
        near = rmap_page_pfn(f->m->r, page);
        at = vpn;
        if (own)
            f->spare[f->spares++] = page;
        else
            a->page[taken++] = page;
    }
    a->count = taken;
}

static bool is_near(struct rmap__fault_state *f)
{
    const rmap_vpn_t last = atomic_exchange_explicit(&f->s->last_in, f->vpn, memory_order_relaxed);
    const rmap_vpn_t gap = f->vpn > last ? f->vpn - last : last - f->vpn;
    return gap <= NEAR_BLOCKS * (rmap_vpn_t)f->s->p->swap_around;
}

void rmap__around_take(struct rmap__fault_state *f)
{
    struct rmap_pager *p = f->s->p;
    struct rmap__around *a = &f->around;
    if (p->swap_around < 2 || a->asked || !f->access || f->spares) return;
    a->asked = true;
    if (!is_near(f)) return;
    find(f, a);
    keep(f, a, false);
    if (!a->count) return;
    if (!f->in_hand) rmap__hands_enter(p);
    f->in_hand = true;
    if (rmap__frames_afford(p, a->count + RMAP__FAULT_SPARES))
        take_frames(f);
    else
        a->count = 0;
}

unsigned rmap__around_give_back(struct rmap__fault_state *f)
{
    const unsigned n = f->around.count;
    for (unsigned i = 0; i < n; i++) rmap_page_put(f->m->r, f->around.page[i]);
    f->around.count = 0;
    return n;
}

/* The faulting page in its place among the others, as the device has them. */
struct reading {
    rmap_swp_t entry[RMAP__AROUND_MAX];
    struct rmap_page *page[RMAP__AROUND_MAX];
    int result[RMAP__AROUND_MAX];
    unsigned n;
};

static void add(struct reading *r, rmap_swp_t entry, struct rmap_page *page)
{
    r->entry[r->n] = entry;
    r->page[r->n++] = page;
}

/* Lock the frames taken; reclaim may have one in hand, just looking: that one is left out. */
static void lock_frames(struct rmap__fault_state *f)
{
    struct rmap__around *a = &f->around;
    unsigned kept = 0;
    for (unsigned i = 0; i < a->count; i++) {
        if (!rmap_page_try_lock(a->page[i])) {
            rmap_page_put(f->m->r, a->page[i]);
            continue;
        }
        a->vpn[kept] = a->vpn[i];
        a->entry[kept] = a->entry[i];
        a->page[kept++] = a->page[i];
    }
    a->count = kept;
}

/* Map what was read, free what was not. result[i] is of neighbour i. */
static void map_read(struct rmap__fault_state *f, const int *result)
{
    struct rmap__around *a = &f->around;
    unsigned kept = 0;
    for (unsigned i = 0; i < a->count; i++) {
        if (result[i]) {
            rmap_page_unlock(f->m->r, a->page[i]);
            rmap_page_put(f->m->r, a->page[i]);
            continue;
        }
        a->vpn[kept] = a->vpn[i];
        a->entry[kept] = a->entry[i];
        a->page[kept++] = a->page[i];
        RMAP__FAULT_STAT(f->s, swap_ins, 1);
    }
    a->count = kept;
    if (kept) map_all(f, a);
    a->count = 0;
}

int rmap__around_load(struct rmap__fault_state *f, rmap_swp_t entry, struct rmap_page *page)
{
    struct rmap__around *a = &f->around;
    struct reading r = {.n = 0};
    if (!a->count) return rmap_swap_cache_load(f->s->p->swap, entry, page);
    lock_frames(f);
    unsigned below = 0;
    while (below < a->count && a->vpn[below] < f->vpn) below++;
    for (unsigned i = 0; i < below; i++) add(&r, a->entry[i], a->page[i]);
    add(&r, entry, page);
    for (unsigned i = below; i < a->count; i++) add(&r, a->entry[i], a->page[i]);
    const int rc = rmap_swap_cache_load_batch(f->s->p->swap, r.entry, r.page, r.n, r.result);
    for (unsigned i = 0; rc && i < r.n; i++) r.result[i] = rc;
    const int own = r.result[below];
    memmove(&r.result[below], &r.result[below + 1], (r.n - below - 1) * sizeof *r.result);
    map_read(f, r.result);
    return own;
}
