/* SPDX-License-Identifier: MIT */
/**
 * @file core/gather.c  INV-6: counts are lowered, and frames freed, only after the flush that covers their entries.
 *
 * The gather holds the mapcount, so a page whose entry was just removed is neither freed nor found exclusive.
 */
#include <core/count.h>

void rmap_gather_init(struct rmap_gather *g, struct rmap *r)
{
    g->r = r;
    g->flushes = g->items = 0;
    g->elided = 0;
}

bool rmap_gather_room(const struct rmap_gather *g, uint32_t n)
{
    return g->items + n <= RMAP_GATHER_ITEMS;
}

void rmap_gather_flush(struct rmap_gather *g, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t old,
                       enum rmap_flush_kind kind)
{
    const struct rmap_mmu_ops *o = m->mmu.ops;
    if (!rmap_pte_present(o->format, old)) return;
    if ((o->caps & RMAP_MMU_NO_TLB) ||
        ((o->caps & RMAP_MMU_ACCESSED_EXACT) && !rmap_pte_get(o->format, old, RMAP_ATTR_ACCESSED)) ||
        (o->active && !o->active(m->mmu.ctx))) {
        g->elided++; /* the counter is everybody's: it is added to once a gather */
        return;
    }
    if (g->flushes) {
        struct rmap_flush_range *last = &g->flush[g->flushes - 1].range;
        if (g->flush[g->flushes - 1].member == m && last->kind == kind && last->first + last->count == vpn) {
            last->count++;
            return;
        }
    }
    if (g->flushes == RMAP_GATHER_FLUSHES) rmap_gather_flush_now(g);
    g->flush[g->flushes].member = m;
    g->flush[g->flushes++].range = (struct rmap_flush_range){vpn, 1, kind};
}

/* Whoever adds without asking rmap_gather_room is stopped in debug builds; else what is full is done now. */
static void make_room(struct rmap_gather *g)
{
    RMAP_ASSERT(g->items < RMAP_GATHER_ITEMS);
    if (g->items >= RMAP_GATHER_ITEMS) rmap_gather_finish(g);
}

void rmap__gather_page(struct rmap_gather *g, struct rmap_page *page, uint32_t n)
{
    /* Whoever unmaps a page here and there adds the same few again and again: look back a little. */
    for (uint32_t i = g->items, back = 0; i-- && back < 64; back++) {
        if (g->item[i].page != page) continue;
        g->item[i].count += n;
        return;
    }
    make_room(g);
    g->item[g->items].page = page;
    g->item[g->items].count = n;
    g->item[g->items++].entry = 0;
}

void rmap__gather_entry(struct rmap_gather *g, rmap_swp_t entry)
{
    make_room(g);
    g->item[g->items].page = NULL;
    g->item[g->items].count = 1;
    g->item[g->items++].entry = entry;
}

void rmap_gather_swap(struct rmap_gather *g, struct rmap_member *m, rmap_vpn_t vpn, rmap_swp_t entry)
{
    struct rmap_slot_home home;
    const struct rmap *r = m->r;
    if (!r->swap) return;
    atomic_fetch_sub_explicit(&m->swapped, 1, memory_order_relaxed);
    if (m->moved && !r->swap->get_home(r->swap_ctx, entry, &home) && home.index != vpn)
        atomic_fetch_sub_explicit(&m->moved, 1, memory_order_relaxed);
    rmap__gather_entry(g, entry);
}

void rmap_gather_flush_now(struct rmap_gather *g)
{
    if (g->elided) RMAP__COUNT(g->r, flushes_elided, g->elided);
    g->elided = 0;
    uint64_t pages = 0;
    for (uint32_t i = 0, j; i < g->flushes; i = j) {
        struct rmap_flush_range ranges[RMAP_GATHER_FLUSHES];
        struct rmap_member *m = g->flush[i].member;
        for (j = i; j < g->flushes && g->flush[j].member == m; j++) {
            ranges[j - i] = g->flush[j].range;
            pages += g->flush[j].range.count;
        }
        m->mmu.ops->flush(m->mmu.ctx, ranges, j - i);
        RMAP__COUNT(g->r, flushes, 1);
    }
    if (pages) RMAP__COUNT(g->r, flushed_pages, pages);
    g->flushes = 0;
}

void rmap_gather_finish(struct rmap_gather *g)
{
    rmap_gather_flush_now(g);
    for (uint32_t i = 0; i < g->items; i++) {
        if (i + RMAP__AHEAD < g->items) __builtin_prefetch(g->item[i + RMAP__AHEAD].page, 1);
        if (g->item[i].page)
            rmap__page_count_down(g->r, g->item[i].page, g->item[i].count);
        else
            g->r->swap->put(g->r->swap_ctx, g->item[i].entry, g->item[i].count);
    }
    g->items = 0;
}
