/* SPDX-License-Identifier: MIT */
/** @file bench/rivals/fault.c  Faults of rivals: first touch, copy on write, reuse in place, swap-in. */
#include "bench/rivals/base.h"

static void set(struct rmap_mmu_run *run, uint32_t slot, rmap_pte_t e)
{
    atomic_store_explicit(&run->slots[slot], e, memory_order_release);
}

/* A fresh page is about to be mapped at a slot that is none; its only reference becomes that of its mappings. */
static void map_fresh(struct rival_space *s, struct rmap_mmu_run *run, uint32_t slot, struct rmap_page *page)
{
    struct rival_world *w = s->w;
    rival_count_up(page);
    rival_set_dirty(page);
    if (w->ops->map) w->ops->map(s, run, slot, page, true);
    set(run, slot, rival_entry(&w->bits, rival_pfn(w, page), w->bits.write));
}

static void first_touch(struct rival_space *s, rmap_vpn_t vpn)
{
    struct rmap_page *page = rival_page_filled(s->w, NULL);
    struct rmap_mmu_run run;
    rival_make(s, vpn, &run);
    map_fresh(s, &run, (uint32_t)(vpn - run.first), page);
    rival_leave(s, &run);
}

/* Page locked: nobody maps it anew, so the copy is of what is there. */
static void copy_on_write(struct rival_space *s, rmap_vpn_t vpn, struct rmap_page *page)
{
    struct rival_world *w = s->w;
    struct rmap_page *copy = rival_page_filled(w, page);
    struct rmap_mmu_run run;
    rmap_pte_t e;
    MUST_HOLD(rival_look(s, vpn, &run, &e) && rival_maps(s, e, page));
    const uint32_t slot = (uint32_t)(vpn - run.first);
    if (rmap_run_exchange(&s->mmu, &run, slot, 0) & w->bits.dirty) rival_set_dirty(page);
    if (w->ops->unmap) w->ops->unmap(s, &run, slot, page);
    map_fresh(s, &run, slot, copy);
    rival_leave(s, &run);
}

/* Is the page the space's alone? Then it is written in place, and keeps no copy on swap. Page locked. */
static bool reuse(struct rival_space *s, rmap_vpn_t vpn, struct rmap_page *page)
{
    struct rival_world *w = s->w;
    struct rmap_mmu_run run;
    rmap_pte_t e;
    if (rmap_page_mapcount(page) != 1 || rival_swap_count(w, page) || rmap_page_pins(page)) return false;
    MUST_HOLD(rival_look(s, vpn, &run, &e) && rival_maps(s, e, page));
    if (rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE) rival_forget(w, page);
    rival_set_dirty(page);
    if (w->ops->reuse) w->ops->reuse(s, vpn, page);
    rmap_run_exchange(&s->mmu, &run, (uint32_t)(vpn - run.first), e | w->bits.write);
    rival_leave(s, &run);
    return true;
}

static rmap_pte_t peek(struct rival_space *s, rmap_vpn_t vpn)
{
    struct rmap_mmu_run run;
    rmap_pte_t e;
    if (!rival_look(s, vpn, &run, &e)) return 0;
    rival_leave(s, &run);
    return e;
}

/* The page that the entry names in place of the swap entry; counted first. Page locked. */
static void map_cached(struct rival_space *s, rmap_vpn_t vpn, struct rmap_page *page)
{
    struct rival_world *w = s->w;
    struct rmap_mmu_run run;
    rmap_pte_t e;
    MUST_HOLD(rival_look(s, vpn, &run, &e));
    const uint32_t slot = (uint32_t)(vpn - run.first);
    const bool fresh = !rmap_page_mapcount(page);
    if (fresh) rmap_page_get(page); /* of the mappings */
    rival_count_up(page);
    if (w->ops->map) w->ops->map(s, &run, slot, page, fresh);
    set(&run, slot, rival_entry(&w->bits, rival_pfn(w, page), e & (w->bits.locked | w->bits.soft_dirty)));
    rival_leave(s, &run);
}

static void map_copy(struct rival_space *s, rmap_vpn_t vpn, const struct rmap_page *page)
{
    struct rmap_page *copy = rival_page_filled(s->w, page);
    struct rmap_mmu_run run;
    rival_make(s, vpn, &run);
    map_fresh(s, &run, (uint32_t)(vpn - run.first), copy);
    rival_leave(s, &run);
}

static void swap_in(struct rival_space *s, rmap_vpn_t vpn, rmap_swp_t entry)
{
    struct rival_world *w = s->w;
    struct rmap_page *page = slots_load(&w->pool->slots, entry);
    rival_lock(page);
    if (rmap_page_mapcount(page) && w->ops->may_map && !w->ops->may_map(s, page, vpn))
        map_copy(s, vpn, page);
    else
        map_cached(s, vpn, page);
    rival_unlock(page);
    slots_ops()->put(&w->pool->slots, entry, 1);
    rival_page_put(w, page);
}

void rival_read(struct bench_space *bs, rmap_vpn_t vpn)
{
    struct rival_space *s = rival_space_of(bs);
    const rmap_pte_t e = peek(s, vpn);
    if (rival_is_swap(&s->w->bits, e)) swap_in(s, vpn, rival_entry_swp(&s->w->bits, e));
}

void rival_write(struct bench_space *bs, rmap_vpn_t vpn)
{
    struct rival_space *s = rival_space_of(bs);
    struct rival_world *w = s->w;
    rmap_pte_t e = peek(s, vpn);
    if (!e) {
        first_touch(s, vpn);
        return;
    }
    if (rival_is_swap(&w->bits, e)) {
        swap_in(s, vpn, rival_entry_swp(&w->bits, e));
        e = peek(s, vpn);
    }
    if (e & w->bits.write) return;
    struct rmap_page *page = rival_entry_page(w, &w->bits, e);
    rival_lock(page);
    const bool in_place = reuse(s, vpn, page);
    if (!in_place) copy_on_write(s, vpn, page);
    rival_unlock(page);
    if (!in_place) rival_count_down(w, page);
}
