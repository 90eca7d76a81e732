/* SPDX-License-Identifier: MIT */
/**
 * @file bench/rivals/fork.c  Fork of rivals: table by table. The source is write-protected, then the count raised, then what the
 * rival keeps is made, then the child's entry set.
 */
#include "bench/rivals/base.h"

#include <string.h>

struct fork {
    struct rival_world *w;
    struct rival_space *parent, *child;
    struct rmap_mmu_run from, to;
    uint64_t not_inherited; /* attributes */
};

/* A present entry: protected and counted. @return its page. */
static inline struct rmap_page *take_over(const struct fork *f, const struct rival_bits *b, RMAP_ATOMIC(rmap_pte_t) *from,
                                          rmap_pte_t e)
{
    struct rmap_page *page = rival_entry_page(f->w, b, e);
    MUST_HOLD(!rmap_page_pins(page));
    if (e & b->write) atomic_fetch_and_explicit(from, ~b->write, memory_order_acq_rel);
    rival_count_forked(page);
    return page;
}

/* An entry that is not present and not none. @return the page, if it counts. */
static struct rmap_page *copy_other(const struct fork *f, const struct rival_bits *b, uint32_t i, rmap_pte_t e)
{
    if (rival_counts(b, e)) { /* a migration entry, say: it keeps what it allows, its page may be another one in a moment */
        struct rmap_page *page = rival_entry_page(f->w, b, e);
        rival_count_up(page);
        if (e & b->write) atomic_fetch_and_explicit(&f->from.slots[i], ~b->write, memory_order_acq_rel);
        return page;
    }
    MUST_HOLD(rival_is_swap(b, e));
    MUST(slots_ops()->dup(&f->w->pool->slots, rival_entry_swp(b, e), 1));
    atomic_store_explicit(&f->to.slots[i], e & ~f->not_inherited, memory_order_release);
    return NULL;
}

/* Look ahead: the descriptors of a table lie anywhere. */
static inline void prefetch_ahead(const struct fork *f, const struct rival_bits *b, uint32_t i, uint32_t count)
{
    const uint32_t ahead = i + RIVAL_AHEAD;
    if (ahead < count) rival_prefetch(f->w, b, atomic_load_explicit(&f->from.slots[ahead], memory_order_relaxed));
}

/* Nothing is kept by mapping: one pass. */
static void copy_plainly(const struct fork *f)
{
    const struct rival_bits b = f->w->bits;
    RMAP_ATOMIC(rmap_pte_t) *const from = f->from.slots, *const to = f->to.slots;
    const uint64_t inherited = ~f->not_inherited;
    const uint32_t count = f->from.count;
    for (uint32_t i = 0; i < count; i++) {
        prefetch_ahead(f, &b, i, count);
        const rmap_pte_t e = atomic_load_explicit(&from[i], memory_order_relaxed);
        if (!e) continue;
        if (e & b.present)
            take_over(f, &b, &from[i], e);
        else if (!copy_other(f, &b, i, e))
            continue;
        atomic_store_explicit(&to[i], e & inherited, memory_order_release);
    }
}

/* All counts, then the rival's records for the whole batch, then all entries. */
static void copy_with_records(const struct fork *f)
{
    const struct rival_bits b = f->w->bits;
    RMAP_ATOMIC(rmap_pte_t) *const from = f->from.slots, *const to = f->to.slots;
    const uint64_t inherited = ~f->not_inherited;
    const uint32_t count = f->from.count;
    struct rival_batch batch; /* not cleared: each page is written below */
    uint32_t counted = 0;
    batch.first_slot = 0;
    batch.count = count;
    for (uint32_t i = 0; i < count; i++) {
        prefetch_ahead(f, &b, i, count);
        const rmap_pte_t e = atomic_load_explicit(&from[i], memory_order_relaxed);
        struct rmap_page *page = NULL;
        if (e & b.present)
            page = take_over(f, &b, &from[i], e);
        else if (e)
            page = copy_other(f, &b, i, e);
        batch.page[i] = page;
        counted += page != NULL;
    }
    if (!counted) return;
    f->w->ops->dup_run(f->child, f->parent, &f->to, &batch);
    for (uint32_t i = 0; i < count; i++) {
        if (!batch.page[i]) continue;
        const rmap_pte_t e = atomic_load_explicit(&from[i], memory_order_relaxed);
        atomic_store_explicit(&to[i], e & inherited, memory_order_release);
    }
}

/* The child's run of the parent's `f->from`, both locked. Tables are reserved with nothing locked. */
static void make_child_run(struct fork *f, struct rmap_tables *t)
{
    const struct rmap_mmu *pm = &f->parent->mmu, *cm = &f->child->mmu;
    const rmap_vpn_t at = f->from.first;
    int err = cm->ops->run_make(cm->ctx, at, t, &f->to);
    if (!err) return;
    MUST_HOLD(err == RMAP_ERR_NOMEM); /* a gap led somewhere else than what was reserved for */
    pm->ops->run_unlock(pm->ctx, &f->from);
    MUST(cm->ops->reserve(cm->ctx, at, t));
    MUST(pm->ops->run_find(pm->ctx, at, at + 1, &f->from));
    MUST(cm->ops->run_make(cm->ctx, at, t, &f->to));
}

struct bench_space *rival_fork(struct bench_space *bparent)
{
    struct rival_space *parent = rival_space_of(bparent), *child = rival_space_new(parent->w);
    struct rival_world *w = parent->w;
    const struct rmap_mmu *pm = &parent->mmu, *cm = &child->mmu;
    struct fork f = {.w = w, .parent = parent, .child = child};
    struct rmap_tables t;
    memset(&t, 0, sizeof t);
    f.not_inherited = w->bits.write | w->bits.dirty | w->bits.locked;
    if (w->ops->space_init) w->ops->space_init(child, parent);
    for (rmap_vpn_t at = 0; at < pm->pages && !pm->ops->run_find(pm->ctx, at, pm->pages, &f.from);) {
        make_child_run(&f, &t);
        if (w->ops->dup_run)
            copy_with_records(&f);
        else
            copy_plainly(&f);
        at = f.from.first + f.from.count;
        cm->ops->run_unlock(cm->ctx, &f.to);
        pm->ops->run_unlock(pm->ctx, &f.from);
        if (at < pm->pages) MUST(cm->ops->reserve(cm->ctx, at, &t)); /* most likely the next one */
    }
    cm->ops->unreserve(cm->ctx, &t);
    return (struct bench_space *)child;
}
