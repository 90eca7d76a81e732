/* SPDX-License-Identifier: MIT */
/** @file support/world_tlb.c  The TLBs of the world's spaces: they keep what they load until told to forget, and watch INV-6. */
#include "support/world.h"

#include <stdlib.h>

#define TLB_MAX 256

struct world_cached *world_tlb_find(const struct world_space *s, rmap_vpn_t vpn)
{
    for (size_t i = 0; i < s->cached; i++)
        if (s->tlb[i].vpn == vpn) return &s->tlb[i];
    return NULL;
}

static void tlb_drop(struct world_space *s, size_t i)
{
    s->w->frame[s->tlb[i].pfn - WORLD_PFN].cached--;
    s->tlb[i] = s->tlb[--s->cached];
}

void world_tlb_load(struct world_space *s, rmap_vpn_t vpn, rmap_pfn_t pfn, bool write)
{
    struct world_cached *c = world_tlb_find(s, vpn);
    if (c) tlb_drop(s, (size_t)(c - s->tlb));
    if (s->w->o.caps & RMAP_MMU_NO_TLB) return;
    if (s->cached == TLB_MAX) tlb_drop(s, 0);
    if (s->cached == s->tlb_room) {
        s->tlb_room = s->tlb_room ? 2 * s->tlb_room : 8;
        s->tlb = realloc(s->tlb, s->tlb_room * sizeof *s->tlb);
    }
    s->tlb[s->cached++] = (struct world_cached){vpn, pfn, write};
    s->w->frame[pfn - WORLD_PFN].cached++;
}

/* INV-6: what a flush covers is still counted, so it is neither freed nor found exclusive. */
static void tlb_check_held(struct world_space *s, const struct world_cached *c)
{
    struct world *w = s->w;
    const struct rmap_page *page = rmap_page_find(w->r, c->pfn);
    const struct world_frame *f = &w->frame[c->pfn - WORLD_PFN];
    unsigned long long vpn = c->vpn, pfn = c->pfn;
    if (!f->used) world_broken(w, "INV-6: vpn %#llx is flushed after frame %#llx was freed", vpn, pfn);
    else if (page != w->special && rmap_page_mapcount(page) < f->cached)
        world_broken(w, "INV-6: vpn %#llx is flushed when frame %#llx counts %u mappings, %u are cached", vpn, pfn,
                     rmap_page_mapcount(page), f->cached);
}

void world_tlb_flush(void *ctx, const struct rmap_flush_range *ranges, size_t n)
{
    struct world_space *s = ctx;
    s->w->flush_calls++;
    if (s->idle) world_broken(s->w, "flush of an idle space");
    for (size_t k = 0; k < n; k++) {
        const struct rmap_flush_range *r = &ranges[k];
        s->w->flush_pages += r->count;
        if (s->flushed_count < sizeof s->flushed / sizeof *s->flushed) s->flushed[s->flushed_count++] = *r;
        for (size_t i = s->cached; i--;) {
            struct world_cached *c = &s->tlb[i];
            if (c->vpn < r->first || c->vpn - r->first >= r->count) continue;
            tlb_check_held(s, c);
            if (r->kind == RMAP_FLUSH_WRITE) c->write = false;
            else tlb_drop(s, i);
        }
    }
}

bool world_tlb_active(void *ctx) { return !((struct world_space *)ctx)->idle; }

void world_idle(struct world_space *s)
{
    while (s->cached) tlb_drop(s, s->cached - 1);
    s->idle = true;
}

void world_flush_log_clear(struct world_space *s) { s->flushed_count = 0; }

const char *world_tlb_stale(struct world_space *s)
{
    static char text[160];
    const struct rmap_pte_format *f = s->mmu.ops->format;
    for (size_t i = 0; i < s->cached; i++) {
        const struct world_cached *c = &s->tlb[i];
        rmap_pte_t e = world_entry(s, c->vpn);
        if (rmap_pte_present(f, e) && rmap_pte_pfn(f, e) == c->pfn && (!c->write || rmap_pte_get(f, e, RMAP_ATTR_WRITE)))
            continue;
        snprintf(text, sizeof text, "space %u: stale translation of vpn %#llx to frame %#llx%s, entry is %#llx", s->number,
                 (unsigned long long)c->vpn, (unsigned long long)c->pfn, c->write ? ", writable" : "", (unsigned long long)e);
        return text;
    }
    return NULL;
}
