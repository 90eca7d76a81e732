/* SPDX-License-Identifier: MIT */
/**
 * @file mmu/radix_trim.c  Freeing tables that hold nothing.
 *
 * A processor may cache upper entries too, so a table is taken out of its upper entry, the range it served is flushed,
 * and only then is its memory given back. A few tables share one flush.
 */
#include "mmu/radix_internal.h"

#define BATCH 64

struct trim {
    struct rmap_radix *r;
    rmap_vpn_t first, end;
    /* Tables out of their upper entries, which served pages of [low, high). */
    rmap_vpn_t low, high;
    unsigned count;
    struct {
        rmap__slot *table;
        unsigned level;
    } out[BATCH];
};

static bool is_empty(const struct rmap__radix_config *c, rmap__slot *table, unsigned level)
{
    for (uint64_t i = 0; i <= c->index_mask[level]; i++) {
        if (atomic_load_explicit(&table[i], memory_order_relaxed)) return false;
    }
    return true;
}

static void release(struct trim *t)
{
    const struct rmap__radix_config *c = t->r->config;
    if (!t->count) return;
    if (c->flush && !(c->ops.caps & RMAP_MMU_NO_TLB) && (!c->active || c->active(c->flush_ctx))) {
        c->flush(c->flush_ctx, &(struct rmap_flush_range){t->low, t->high - t->low, RMAP_FLUSH_ALL}, 1);
    }
    for (unsigned i = 0; i < t->count; i++) {
        atomic_fetch_sub_explicit(&t->r->bytes, c->table_bytes[t->out[i].level], memory_order_relaxed);
        rmap__radix_table_free(c, t->out[i].level, t->out[i].table);
    }
    t->count = 0;
}

static void take_out(struct trim *t, rmap__slot *word, rmap__slot *table, unsigned level, struct rmap_range served)
{
    const struct rmap__radix_config *c = t->r->config;
    rmap_pte_t before = atomic_exchange_explicit(word, 0, memory_order_acq_rel);
    RMAP_ASSERT(level > 0 || !(before & c->lock_bits));
    (void)before, (void)c;
    if (t->count == BATCH) release(t);
    if (t->count == 0) t->low = served.first, t->high = 0;
    if (served.first < t->low) t->low = served.first;
    if (served.first + served.count > t->high) t->high = served.first + served.count;
    t->out[t->count].table = table;
    t->out[t->count].level = level;
    t->count++;
}

/* `table`, of an upper level, serves the pages from `base` on. Depth is at most the number of levels. */
static void trim_below(struct trim *t, rmap__slot *table, unsigned level, rmap_vpn_t base)
{
    const struct rmap__radix_config *c = t->r->config;
    const unsigned shift = c->shift[level];
    uint64_t i = t->first > base ? (t->first - base) >> shift : 0;
    for (; i <= c->index_mask[level]; i++) {
        struct rmap_range served = {base + (i << shift), (uint64_t)1 << shift};
        if (served.first >= t->end) break;
        rmap_pte_t e = rmap__radix_load(&table[i]);
        if (!rmap__radix_is_table(c, e)) continue;
        rmap__slot *below = rmap__radix_table(c, e);
        if (level > 1) trim_below(t, below, level - 1, served.first);
        bool inside = served.first >= t->first && served.first + served.count <= t->end;
        if (inside && is_empty(c, below, level - 1)) take_out(t, &table[i], below, level - 1, served);
    }
}

void rmap__radix_trim(void *mmu, rmap_vpn_t first, rmap_vpn_t end)
{
    struct rmap_radix *r = mmu;
    const struct rmap__radix_config *c = r->config;
    if (c->levels == 1) return; /* the root stays */
    struct trim t;
    t.r = r;
    t.first = first;
    t.end = end;
    t.low = t.high = 0;
    t.count = 0;
    trim_below(&t, r->root, c->levels - 1, 0);
    release(&t);
}
