/* SPDX-License-Identifier: MIT */
/**
 * @file bench/rivals/zap.c  Zap of rivals: entries are taken by exchange, dirty is kept, then the rival's records go, then the
 * counts. Nothing is cached, so nothing is flushed.
 */
#include "bench/rivals/base.h"

struct zap {
    struct rival_world *w;
    struct rival_space *s;
    struct rmap_mmu_run run;
    uint32_t first, end; /* slots */
    rmap_swp_t swap[RMAP_RUN_MAX];
    uint32_t swaps;
};

/* Take an entry that is not none. @return its page, if it counted. */
static inline struct rmap_page *take(struct zap *z, const struct rival_bits *b, RMAP_ATOMIC(rmap_pte_t) *slot)
{
    const rmap_pte_t old = atomic_exchange_explicit(slot, 0, memory_order_acq_rel);
    if (!rival_counts(b, old)) {
        if (rival_is_swap(b, old)) z->swap[z->swaps++] = rival_entry_swp(b, old);
        return NULL;
    }
    struct rmap_page *page = rival_entry_page(z->w, b, old);
    if (old & b->dirty) rival_set_dirty(page);
    return page;
}

/* Is there an entry? And a look ahead. */
static inline bool look(const struct zap *z, const struct rival_bits *b, RMAP_ATOMIC(rmap_pte_t) *slots, uint32_t i, uint32_t end)
{
    const uint32_t ahead = i + RIVAL_AHEAD;
    if (ahead < end) rival_prefetch(z->w, b, atomic_load_explicit(&slots[ahead], memory_order_relaxed));
    return atomic_load_explicit(&slots[i], memory_order_relaxed);
}

static void zap_plainly(struct zap *z)
{
    const struct rival_bits b = z->w->bits;
    RMAP_ATOMIC(rmap_pte_t) *const slots = z->run.slots;
    const uint32_t end = z->end;
    for (uint32_t i = z->first; i < end; i++) {
        if (!look(z, &b, slots, i, end)) continue;
        struct rmap_page *page = take(z, &b, &slots[i]);
        if (page) rival_count_down(z->w, page);
    }
}

static void zap_with_records(struct zap *z)
{
    const struct rival_bits b = z->w->bits;
    RMAP_ATOMIC(rmap_pte_t) *const slots = z->run.slots;
    const uint32_t end = z->end;
    struct rival_batch batch; /* not cleared: each page is written below */
    uint32_t counted = 0;
    batch.first_slot = z->first;
    batch.count = end - z->first;
    for (uint32_t i = z->first; i < end; i++) {
        struct rmap_page *page = look(z, &b, slots, i, end) ? take(z, &b, &slots[i]) : NULL;
        batch.page[i - z->first] = page;
        counted += page != NULL;
    }
    if (!counted) return;
    z->w->ops->unmap_run(z->s, &z->run, &batch);
    for (uint32_t i = 0; i < batch.count; i++)
        if (batch.page[i]) rival_count_down(z->w, batch.page[i]);
}

void rival_zap(struct rival_space *s, rmap_vpn_t first, uint64_t count)
{
    const struct rmap_mmu *m = &s->mmu;
    const rmap_vpn_t end = first + count;
    struct zap z;
    z.w = s->w;
    z.s = s;
    for (rmap_vpn_t at = first; at < end && !m->ops->run_find(m->ctx, at, end, &z.run);) {
        const rmap_vpn_t run_end = z.run.first + z.run.count;
        z.first = at > z.run.first ? (uint32_t)(at - z.run.first) : 0;
        z.end = (uint32_t)((end < run_end ? end : run_end) - z.run.first);
        z.swaps = 0;
        if (s->w->ops->unmap_run)
            zap_with_records(&z);
        else
            zap_plainly(&z);
        m->ops->run_unlock(m->ctx, &z.run);
        for (uint32_t i = 0; i < z.swaps; i++) slots_ops()->put(&s->w->pool->slots, z.swap[i], 1);
        at = z.run.first + z.end;
    }
}
