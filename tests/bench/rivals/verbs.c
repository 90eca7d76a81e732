/* SPDX-License-Identifier: MIT */
/**
 * @file bench/rivals/verbs.c  What is done to every mapping of a page, over the rival's own way to find them.
 *
 * Counts stand still during a walk, which so may stop when it has met as many as there are; they are lowered after it.
 */
#include "bench/rivals/base.h"

#include <string.h>

#define BATCH 512 /* pages of one walk */

/* One page on its way through a verb. */
struct work {
    struct rival_world *w;
    struct rmap_page *page, *target; /* target: of a migration */
    uint32_t want, hits;             /* mappings, and those met */
};

static bool met(struct work *x)
{
    return ++x->hits < x->want;
}

static void collect_dirty(const struct work *x, rmap_pte_t old)
{
    if (old & x->w->bits.dirty) rival_set_dirty(x->page);
}

/* ---- visitors ---- */

static bool visit_look(void *ctx, struct rival_space *s, const struct rmap_mmu_run *run, uint32_t slot, rmap_pte_t e)
{
    (void)s, (void)run, (void)slot, (void)e;
    return met(ctx);
}

static bool visit_age(void *ctx, struct rival_space *s, const struct rmap_mmu_run *run, uint32_t slot, rmap_pte_t e)
{
    struct work *x = ctx;
    const uint64_t accessed = x->w->bits.accessed;
    (void)s;
    if (e & accessed) atomic_fetch_and_explicit(&run->slots[slot], ~accessed, memory_order_acq_rel);
    return met(x);
}

static bool visit_protect(void *ctx, struct rival_space *s, const struct rmap_mmu_run *run, uint32_t slot, rmap_pte_t e)
{
    struct work *x = ctx;
    const uint64_t both = x->w->bits.write | x->w->bits.dirty;
    (void)s;
    if (e & both) collect_dirty(x, atomic_fetch_and_explicit(&run->slots[slot], ~both, memory_order_acq_rel));
    return met(x);
}

/* Count before entry. */
static bool visit_unmap(void *ctx, struct rival_space *s, const struct rmap_mmu_run *run, uint32_t slot, rmap_pte_t e)
{
    struct work *x = ctx;
    const struct rival_bits *b = &x->w->bits;
    MUST(slots_ops()->dup(&x->w->pool->slots, x->page->swap, 1));
    const rmap_pte_t swap = rival_entry_kind(b, RMAP_PTE_SWAP, x->page->swap, e & (b->locked | b->soft_dirty));
    collect_dirty(x, rmap_run_exchange(&s->mmu, run, slot, swap));
    if (x->w->ops->unmap) x->w->ops->unmap(s, run, slot, x->page);
    return met(x);
}

/* Attributes stay; the frame does, too, so the entry still counts as a mapping of the page. */
static bool visit_to_migration(void *ctx, struct rival_space *s, const struct rmap_mmu_run *run, uint32_t slot, rmap_pte_t e)
{
    struct work *x = ctx;
    const struct rival_bits *b = &x->w->bits;
    if (!(e & b->present)) return met(x);
    const uint64_t hardware = b->present | b->fixed, kind = (uint64_t)RMAP_PTE_MIGRATION << b->kind_shift;
    const rmap_pte_t old = rmap_run_exchange(&s->mmu, run, slot, (e & ~hardware) | kind);
    const uint64_t since = old & ~e & (b->accessed | b->dirty); /* set by hardware in between */
    if (since) atomic_fetch_or_explicit(&run->slots[slot], since, memory_order_relaxed);
    collect_dirty(x, old);
    return met(x);
}

/* The target's count is raised before the entry is set. */
static bool visit_to_target(void *ctx, struct rival_space *s, const struct rmap_mmu_run *run, uint32_t slot, rmap_pte_t e)
{
    struct work *x = ctx;
    const struct rival_bits *b = &x->w->bits;
    (void)s;
    rival_count_up(x->target);
    const rmap_pte_t keep = e & ~(b->frame | b->kind);
    atomic_store_explicit(&run->slots[slot], rival_entry(b, rival_pfn(x->w, x->target), keep), memory_order_release);
    return met(x);
}

/* ---- walks ---- */

#define ANY ~UINT64_C(0) /* busy with every mapping */

/* Every page that is mapped, to the end. `busy`: see struct rival_world. @return spaces looked into. */
static uint64_t walk(struct rival_world *w, struct work *work, size_t n, rival_visit_fn *visit, uint64_t busy)
{
    struct rmap_page *pages[BATCH];
    void *ctx[BATCH];
    size_t mapped = 0;
    uint64_t visits = 0;
    w->busy = busy;
    for (size_t i = 0; i < n; i++) {
        work[i].hits = 0;
        if (!work[i].want) continue;
        pages[mapped] = work[i].page;
        ctx[mapped++] = &work[i];
    }
    if (w->ops->walk_batch && mapped > 1)
        visits = w->ops->walk_batch(w, pages, mapped, visit, ctx);
    else
        for (size_t i = 0; i < mapped; i++) visits += w->ops->walk(w, pages[i], visit, ctx[i]);
    for (size_t i = 0; i < n; i++) MUST_HOLD(work[i].hits == work[i].want);
    return visits;
}

/* ---- what comes before and after ---- */

static void unmapped(struct work *x)
{
    if (!x->hits) return;
    if (atomic_fetch_sub_explicit(&x->page->mapcount, x->hits, memory_order_acq_rel) == x->hits)
        rival_page_unmapped(x->w, x->page);
}

/* The target is the page from here on: its identity and its place in the cache go over. */
static void replace(struct work *x)
{
    struct rival_world *w = x->w;
    struct rmap_page *from = x->page, *to = x->target;
    const unsigned flags = rmap_page_flags(from) & (RMAP_PAGE_DIRTY | RMAP_PAGE_REFERENCED);
    const uint64_t index = atomic_load_explicit(&from->index_flags, memory_order_relaxed) >> RMAP_PAGE_INDEX_SHIFT;
    atomic_store_explicit(&to->index_flags, index << RMAP_PAGE_INDEX_SHIFT | flags, memory_order_relaxed);
    atomic_store_explicit(&to->owner, atomic_load_explicit(&from->owner, memory_order_relaxed), memory_order_release);
    atomic_store_explicit(&from->owner, 0, memory_order_relaxed);
    if (w->ops->page_replace) w->ops->page_replace(w, from, to);
    if (rmap_page_flags(from) & RMAP_PAGE_SWAPCACHE) {
        slots_ops()->replace(&w->pool->slots, from, to);
        rmap_page_clear_flags(to, RMAP_PAGE_ORPHAN); /* what has no entry and no mapping was not cached before either */
    }
}

/* References: the mappings' of the old page goes with them, the one that a new page comes with is the mappings' of the target. */
static uint64_t migrate(struct rival_world *w, struct work *work, size_t n)
{
    uint64_t visits = walk(w, work, n, visit_to_migration, ANY);
    for (size_t i = 0; i < n; i++) work[i].target = rival_page_filled(w, work[i].page);
    visits += walk(w, work, n, visit_to_target, ANY);
    for (size_t i = 0; i < n; i++) {
        struct work *x = &work[i];
        replace(x);
        rival_unlock(x->page);
        rmap_page_get(x->page);
        if (x->want) atomic_fetch_sub_explicit(&x->page->mapcount, x->want, memory_order_acq_rel);
        if (x->want) rival_page_unmapped(w, x->page);
        rival_page_put(w, x->page);
        if (!x->want) rival_page_put(w, x->target); /* mapped by nobody: the cache's reference, if it has one, is all */
    }
    return visits;
}

static uint64_t do_verb(struct rival_world *w, enum bench_verb verb, struct work *work, size_t n)
{
    uint64_t visits = 0;
    switch (verb) {
    case BENCH_LOOK:
        return walk(w, work, n, visit_look, 0);
    case BENCH_AGE:
        return walk(w, work, n, visit_age, w->bits.accessed);
    case BENCH_PROTECT:
        return walk(w, work, n, visit_protect, ANY);
    case BENCH_UNMAP:
        for (size_t i = 0; i < n; i++) slots_cache(&w->pool->slots, work[i].page);
        visits = walk(w, work, n, visit_unmap, ANY);
        for (size_t i = 0; i < n; i++) unmapped(&work[i]);
        return visits;
    case BENCH_MIGRATE:
        return migrate(w, work, n);
    }
    return visits;
}

void rival_verb(struct bench_world *bw, enum bench_verb verb, struct rmap_page *const *pages, size_t n,
                struct bench_tally *tally)
{
    struct rival_world *w = rival_of(bw);
    struct work work[BATCH];
    for (size_t done = 0, part; done < n; done += part, pages += part) {
        part = n - done < BATCH ? n - done : BATCH;
        for (size_t i = 0; i < part; i++) {
            rival_lock(pages[i]);
            work[i] = (struct work){.w = w, .page = pages[i], .want = rmap_page_mapcount(pages[i])};
        }
        tally->visits += do_verb(w, verb, work, part);
        for (size_t i = 0; i < part; i++) {
            tally->hits += work[i].hits;
            if (verb != BENCH_MIGRATE) rival_unlock(pages[i]); /* else the page is another one now */
        }
    }
}

void rival_evict(struct bench_world *bw, struct rmap_page *const *pages, size_t n)
{
    struct rival_world *w = rival_of(bw);
    for (size_t i = 0; i < n; i++) {
        struct rmap_page *page = pages[i];
        MUST_HOLD(!rmap_page_mapcount(page));
        rmap_page_get(page);
        if (rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE) slots_uncache(&w->pool->slots, page);
        rival_page_put(w, page);
    }
}
