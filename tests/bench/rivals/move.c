/* SPDX-License-Identifier: MIT */
/**
 * @file bench/rivals/move.c  mremap of rivals: piece by piece, of which each lies in one table at either end. Entries are taken
 * at the source and set at the destination; where the rival could not find a page there, a private copy takes its place.
 */
#include "bench/rivals/base.h"

struct piece {
    struct rival_world *w;
    struct rival_space *s;
    struct rmap_mmu_run from, to;
    uint32_t from_slot, to_slot, count;
    rmap_pte_t entry[RMAP_RUN_MAX];
    struct rival_batch batch; /* pages that move; NULL: a swap entry, or one that is copied */
    struct {
        struct rmap_page *page;
        uint32_t i;
    } copied[RMAP_RUN_MAX];
    uint32_t copies;
};

/* Everything leaves the source. */
static uint32_t take_off(struct piece *p, rmap_vpn_t to)
{
    const struct rival_bits b = p->w->bits;
    const struct rival_ops *ops = p->w->ops;
    uint32_t entries = 0;
    p->copies = 0;
    p->batch.first_slot = p->from_slot;
    p->batch.count = p->count;
    for (uint32_t i = 0; i < p->count; i++) {
        const uint32_t slot = p->from_slot + i;
        p->batch.page[i] = NULL;
        p->entry[i] = 0;
        if (!atomic_load_explicit(&p->from.slots[slot], memory_order_relaxed)) continue;
        const rmap_pte_t e = p->entry[i] = rmap_run_exchange(&p->s->mmu, &p->from, slot, 0);
        entries++;
        if (!rival_counts(&b, e)) continue;
        struct rmap_page *page = rival_entry_page(p->w, &b, e);
        if (!ops->may_move || ops->may_move(p->s, page, p->from.first + slot, to + i)) {
            p->batch.page[i] = page;
            continue;
        }
        if (e & b.dirty) rival_set_dirty(page);
        if (ops->unmap) ops->unmap(p->s, &p->from, slot, page);
        p->copied[p->copies].page = page;
        p->copied[p->copies++].i = i;
    }
    return entries;
}

/* Pages that others map stay theirs. Nothing is locked but the page: its contents stand still, nobody can write it. */
static void copy_pages(struct piece *p)
{
    for (uint32_t k = 0; k < p->copies; k++) {
        struct rmap_page *page = p->copied[k].page;
        rival_lock(page);
        p->copied[k].page = rival_page_filled(p->w, page);
        rival_unlock(page);
        rival_count_down(p->w, page);
    }
}

static void land(struct piece *p)
{
    const struct rival_bits b = p->w->bits;
    const struct rival_ops *ops = p->w->ops;
    if (ops->move_run) ops->move_run(p->s, &p->from, &p->to, p->to_slot, &p->batch);
    for (uint32_t k = 0; k < p->copies; k++) {
        struct rmap_page *copy = p->copied[k].page;
        const uint32_t i = p->copied[k].i;
        rival_count_up(copy);
        rival_set_dirty(copy);
        if (ops->map) ops->map(p->s, &p->to, p->to_slot + i, copy, true);
        p->entry[i] = (p->entry[i] & ~(b.frame | b.write | b.dirty)) | rival_pfn(p->w, copy) << b.frame_shift;
    }
    for (uint32_t i = 0; i < p->count; i++)
        if (p->entry[i]) atomic_store_explicit(&p->to.slots[p->to_slot + i], p->entry[i], memory_order_release);
}

static void move_entries(struct rival_space *s, rmap_vpn_t from, rmap_vpn_t to, uint64_t count)
{
    const struct rmap_mmu *m = &s->mmu;
    struct piece p = {.w = s->w, .s = s};
    for (uint64_t at = 0; at < count && !m->ops->run_find(m->ctx, from + at, from + count, &p.from);) {
        if (p.from.first > from + at) at = p.from.first - from;
        uint64_t n = p.from.first + p.from.count - (from + at);
        const uint64_t room = RMAP_RUN_MAX - (to + at) % RMAP_RUN_MAX; /* in the destination's table */
        if (n > room) n = room;
        if (n > count - at) n = count - at;
        p.from_slot = (uint32_t)(from + at - p.from.first);
        p.count = (uint32_t)n;
        const uint32_t entries = take_off(&p, to + at);
        m->ops->run_unlock(m->ctx, &p.from);
        if (entries) {
            copy_pages(&p);
            rival_make(s, to + at, &p.to);
            p.to_slot = (uint32_t)(to + at - p.to.first);
            land(&p);
            m->ops->run_unlock(m->ctx, &p.to);
        }
        at += n;
    }
}

void rival_move(struct bench_space *bs, rmap_vpn_t from, rmap_vpn_t to, uint64_t count)
{
    struct rival_space *s = rival_space_of(bs);
    const struct rival_ops *ops = s->w->ops;
    if (ops->region_move) ops->region_move(s, from, to, count);
    move_entries(s, from, to, count);
    if (ops->region_moved) ops->region_moved(s, from, to, count);
}
