/* SPDX-License-Identifier: MIT */
/** @file support/world_access.c  The world's processors: loads, stores, and the faults that they meet. See world.h. */
#include "support/world.h"

#define ATTR(a) (1u << RMAP_ATTR_##a)

/* ---- small steps of faults ---- */

/* Lock the run if the entry still is `e`. */
static bool entry_lock(struct world_space *s, rmap_vpn_t vpn, rmap_pte_t e, struct rmap_mmu_run *run)
{
    if (s->mmu.ops->run_find(s->mmu.ctx, vpn, vpn + 1, run)) return false;
    if (rmap_run_get(&s->mmu, run, (uint32_t)(vpn - run->first)) == e) return true;
    s->mmu.ops->run_unlock(s->mmu.ctx, run);
    return false;
}

/* A new page for vpn instead of the entry `e`, with the contents of `from` (NULL: zeroes). */
static int install_new(struct world_space *s, rmap_vpn_t vpn, rmap_pte_t e, struct rmap_page *from, struct rmap_gather *g)
{
    struct world *w = s->w;
    const struct rmap_mmu_ops *o = s->mmu.ops;
    struct rmap_page *page;
    struct rmap_tables t = {.count = 0};
    struct rmap_mmu_run run;
    int err = rmap_page_alloc(w->r, RMAP_PFN_NONE, &page);
    if (err) return err;
    rmap_pfn_t pfn = rmap_page_pfn(w->r, page);
    if (w->memory && from) memcpy(world_contents(w, pfn), world_contents(w, rmap_page_pfn(w->r, from)), 1 << WORLD_PAGE_SHIFT);
    else if (w->memory) memset(world_contents(w, pfn), 0, 1 << WORLD_PAGE_SHIFT);
    if (!(err = o->reserve(s->mmu.ctx, vpn, &t)) && !(err = o->run_make(s->mmu.ctx, vpn, &t, &run))) {
        uint32_t i = (uint32_t)(vpn - run.first);
        err = rmap_run_get(&s->mmu, &run, i) == e ? rmap_page_map_new(&s->m, page, vpn) : RMAP_ERR_BUSY;
        if (!err) {
            rmap_pte_t old = rmap_run_exchange(&s->mmu, &run, i, 0);
            rmap_gather_flush(g, &s->m, vpn, old, RMAP_FLUSH_ALL);
            rmap_gather_flush_now(g);
            if (rmap_pte_maps(o->format, old)) {
                if (rmap_pte_get(o->format, old, RMAP_ATTR_DIRTY) && from != w->special) rmap_page_set_flags(from, RMAP_PAGE_DIRTY);
                rmap_page_unmap(g, &s->m, from);
            }
            unsigned keep = rmap_pte_attrs(o->format, old) & (ATTR(LOCKED) | ATTR(SOFT_DIRTY));
            rmap_run_set(&s->mmu, &run, i, rmap_pte_make(o->format, pfn, ATTR(WRITE) | keep));
        }
        o->run_unlock(s->mmu.ctx, &run);
    }
    o->unreserve(s->mmu.ctx, &t);
    rmap_page_put(w->r, page); /* its mapping keeps it, if there is one */
    return err;
}

/* ---- write to a present page that may not be written ---- */

static bool reuse(struct world_space *s, rmap_vpn_t vpn, rmap_pte_t e, struct rmap_page *page)
{
    struct rmap_mmu_run run;
    if (!entry_lock(s, vpn, e, &run)) return false;
    bool own = rmap_page_reuse(&s->m, page, vpn);
    if (own) {
        uint32_t mine = world_tlb_find(s, vpn) != NULL, all = s->w->frame[rmap_page_pfn(s->w->r, page) - WORLD_PFN].cached;
        if (all != mine) world_broken(s->w, "E7: frame found exclusive, %u translations of others are cached", all - mine);
        rmap_run_exchange(&s->mmu, &run, (uint32_t)(vpn - run.first), rmap_pte_set(s->mmu.ops->format, e, RMAP_ATTR_WRITE, true));
    }
    s->mmu.ops->run_unlock(s->mmu.ctx, &run);
    return own;
}

static int fault_cow(struct world_space *s, rmap_vpn_t vpn, rmap_pte_t e)
{
    struct world *w = s->w;
    struct rmap_page *page = rmap_page_find(w->r, rmap_pte_pfn(s->mmu.ops->format, e));
    struct rmap_gather g;
    if (!page) return RMAP_ERR_BAD_FRAME;
    rmap_gather_init(&g, w->r);
    if (page == w->special) {
        int err = install_new(s, vpn, e, page, &g);
        rmap_gather_finish(&g);
        return err;
    }
    if (w->on_look) w->on_look(s, vpn);
    if (!rmap_page_try_get(page)) return RMAP_ERR_BUSY; /* unmapped and freed since the look */
    rmap_page_lock(page);
    bool lost = rmap_page_flags(page) & RMAP_PAGE_POISON;
    int err = lost ? RMAP_ERR_POISON : reuse(s, vpn, e, page) ? 0 : install_new(s, vpn, e, page, &g);
    rmap_page_unlock(w->r, page);
    rmap_gather_finish(&g);
    rmap_page_put(w->r, page);
    return err;
}

/* ---- swap-in ---- */

/* The page that caches the entry, locked and referenced; read in if need be. */
static int cached_page(struct world_space *s, rmap_vpn_t vpn, rmap_swp_t entry, struct rmap_page **out)
{
    struct world *w = s->w;
    struct rmap_page *page = rmap_swap_cache_find(w->swap, entry);
    int err = 0;
    if (w->on_look) w->on_look(s, vpn);
    if (!page) {
        if ((err = rmap_page_alloc(w->r, RMAP_PFN_NONE, &page))) return err;
        rmap_page_lock(page);
        err = rmap_swap_cache_load(w->swap, entry, page);
    } else {
        rmap_page_lock(page);
        if (!(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE) || page->swap != entry) err = RMAP_ERR_BUSY;
        else if (rmap_page_flags(page) & RMAP_PAGE_POISON) err = RMAP_ERR_POISON;
    }
    *out = page;
    if (!err) return 0;
    rmap_page_unlock(w->r, page);
    rmap_page_put(w->r, page);
    return err;
}

static int fault_swap(struct world_space *s, rmap_vpn_t vpn, rmap_pte_t e)
{
    struct world *w = s->w;
    const struct rmap_pte_format *f = s->mmu.ops->format;
    rmap_swp_t entry = rmap_pte_swp(f, e);
    struct rmap_slot_home home;
    struct rmap_page *page;
    struct rmap_gather g;
    struct rmap_mmu_run run;
    int err = rmap_swap_get_ops()->get_home(w->swap, entry, &home);
    if (err || (err = cached_page(s, vpn, entry, &page))) return err;
    rmap_gather_init(&g, w->r);
    if (!rmap_member_may_map(&s->m, home.index, vpn)) { /* S10: an entry that was moved untracked gets its copy now */
        if (!(err = install_new(s, vpn, e, page, &g))) rmap_gather_swap(&g, &s->m, vpn, entry);
        w->copies += !err;
    } else if (!entry_lock(s, vpn, e, &run)) {
        err = RMAP_ERR_BUSY;
    } else {
        if (!(err = rmap_page_map_swapin(&s->m, page, entry))) {
            rmap_gather_swap(&g, &s->m, vpn, entry);
            unsigned keep = rmap_pte_attrs(f, e) & (ATTR(LOCKED) | ATTR(SOFT_DIRTY));
            rmap_run_set(&s->mmu, &run, (uint32_t)(vpn - run.first), rmap_pte_make(f, rmap_page_pfn(w->r, page), keep));
        }
        s->mmu.ops->run_unlock(s->mmu.ctx, &run);
    }
    rmap_page_unlock(w->r, page);
    rmap_gather_finish(&g);
    rmap_page_put(w->r, page);
    return err;
}

/* ---- accesses ---- */

static int fault(struct world_space *s, rmap_vpn_t vpn, rmap_pte_t e)
{
    struct rmap_gather g;
    int err;
    switch (rmap_pte_kind(s->mmu.ops->format, e)) {
    case RMAP_PTE_NONE:
        rmap_gather_init(&g, s->w->r);
        err = install_new(s, vpn, 0, NULL, &g);
        rmap_gather_finish(&g);
        return err;
    case RMAP_PTE_PRESENT: return fault_cow(s, vpn, e);
    case RMAP_PTE_SWAP: return fault_swap(s, vpn, e);
    case RMAP_PTE_NO_ACCESS: return RMAP_ERR_ACCESS;
    case RMAP_PTE_MIGRATION: return RMAP_ERR_BUSY; /* a real one would wait for the page lock */
    case RMAP_PTE_POISON: return RMAP_ERR_POISON;
    default: return RMAP_ERR_BAD_FRAME;
    }
}

/* The frame behind vpn, by TLB or tables, with accessed and dirty set as hardware does; faults as often as needed. */
static int translate(struct world_space *s, rmap_vpn_t vpn, bool write, rmap_pfn_t *out)
{
    const struct rmap_pte_format *f = s->mmu.ops->format;
    for (unsigned round = 0; round < 8; round++) {
        const struct world_cached *c = world_tlb_find(s, vpn);
        if (c && (c->write || !write)) {
            *out = c->pfn;
            return 0;
        }
        rmap_pte_t e = world_entry(s, vpn);
        if (!e && !write) return RMAP_ERR_ABSENT;
        if (rmap_pte_present(f, e) && (!write || rmap_pte_get(f, e, RMAP_ATTR_WRITE))) {
            e = rmap_pte_set(f, e, RMAP_ATTR_ACCESSED, true);
            if (write) e = rmap_pte_set(f, rmap_pte_set(f, e, RMAP_ATTR_DIRTY, true), RMAP_ATTR_SOFT_DIRTY, true);
            s->w->hardware = true; /* look, bits, translation and access are one step */
            world_set_entry(s, vpn, e);
            s->w->hardware = false;
            *out = rmap_pte_pfn(f, e);
            world_tlb_load(s, vpn, *out, write);
            return 0;
        }
        int err = fault(s, vpn, e);
        if (err) return err;
    }
    return RMAP_ERR_BUSY;
}

/* A value lies at both ends of its page. */
#define FAR ((1 << WORLD_PAGE_SHIFT) - sizeof(uint64_t))

int world_load(struct world_space *s, rmap_vpn_t vpn, uint64_t *value)
{
    rmap_pfn_t pfn;
    uint64_t far = 0;
    *value = 0;
    int err = translate(s, vpn, false, &pfn);
    if (err) return err == RMAP_ERR_ABSENT ? 0 : err;
    if (!s->w->memory) return 0;
    memcpy(value, world_contents(s->w, pfn), sizeof *value);
    memcpy(&far, world_contents(s->w, pfn) + FAR, sizeof far);
    if (*value != far) world_broken(s->w, "space %u: page %#llx is torn", s->number, (unsigned long long)vpn);
    return 0;
}

int world_store(struct world_space *s, rmap_vpn_t vpn, uint64_t value)
{
    rmap_pfn_t pfn;
    int err = translate(s, vpn, true, &pfn);
    if (err || !s->w->memory) return err;
    memcpy(world_contents(s->w, pfn), &value, sizeof value);
    memcpy(world_contents(s->w, pfn) + FAR, &value, sizeof value);
    return 0;
}

uint64_t world_read(struct world_space *s, rmap_vpn_t vpn)
{
    uint64_t value;
    CHECK_OK(world_load(s, vpn, &value));
    return value;
}

void world_write(struct world_space *s, rmap_vpn_t vpn, uint64_t value) { CHECK_OK(world_store(s, vpn, value)); }

void world_map_special(struct world_space *s, rmap_vpn_t vpn)
{
    struct world *w = s->w;
    if (!w->special) {
        CHECK_OK(rmap_page_alloc(w->r, RMAP_PFN_NONE, &w->special));
        rmap_page_set_flags(w->special, RMAP_PAGE_SPECIAL);
        if (w->memory) memset(world_contents(w, rmap_page_pfn(w->r, w->special)), 0, 1 << WORLD_PAGE_SHIFT);
    }
    world_set_entry(s, vpn, rmap_pte_make(s->mmu.ops->format, rmap_page_pfn(w->r, w->special), 0));
}
