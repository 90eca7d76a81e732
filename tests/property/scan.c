/* SPDX-License-Identifier: MIT */
/** @file property/scan.c  Reading the tables, and what follows from them for contents and attributes. */
#include "property/game.h"

#include <string.h>

#define HAS(e, a) ((e)->attrs >> RMAP_ATTR_##a & 1)

static struct scan_entry decode(const struct rmap_pte_format *f, rmap_pte_t raw)
{
    struct scan_entry e = {.raw = raw, .kind = rmap_pte_kind(f, raw), .pfn = RMAP_PFN_NONE};
    if (e.kind == RMAP_PTE_NONE) return e;
    e.attrs = rmap_pte_attrs(f, raw);
    if (e.kind == RMAP_PTE_SWAP)
        e.swp = rmap_pte_swp(f, raw);
    else
        e.pfn = rmap_pte_pfn(f, raw);
    return e;
}

struct scan_entry scan_entry_now(struct game *g, unsigned s, rmap_vpn_t vpn)
{
    const struct rmap_mmu *mmu = &game_member(g, s)->mmu;
    struct rmap_mmu_run run;
    if (mmu->ops->run_find(mmu->ctx, vpn, vpn + 1, &run)) return (struct scan_entry){.pfn = RMAP_PFN_NONE};
    struct scan_entry e = decode(mmu->ops->format, rmap_run_get(mmu, &run, (uint32_t)(vpn - run.first)));
    mmu->ops->run_unlock(mmu->ctx, &run);
    return e;
}

static void take_space(struct game *g, unsigned s)
{
    const struct rmap_mmu *mmu = &game_member(g, s)->mmu;
    struct rmap_mmu_run run;
    for (rmap_vpn_t at = 0; at < ORACLE_PAGES && !mmu->ops->run_find(mmu->ctx, at, ORACLE_PAGES, &run);
         at = run.first + run.count) {
        for (uint32_t i = 0; i < run.count; i++) {
            rmap_pte_t raw = rmap_run_get(mmu, &run, i);
            if (raw && run.first + i < ORACLE_PAGES)
                g->scan.entry[s][run.first + i] = decode(mmu->ops->format, raw);
            else if (raw)
                game_fail(g, "s%u has an entry at page %u, beyond its end", s, (unsigned)(run.first + i));
        }
        mmu->ops->run_unlock(mmu->ctx, &run);
    }
}

static void enter(struct game *g, unsigned s, unsigned v)
{
    struct scan_entry *e = &g->scan.entry[s][v];
    switch (e->kind) {
    case RMAP_PTE_NONE:
        return;
    case RMAP_PTE_PRESENT:
    case RMAP_PTE_NO_ACCESS:
        if (e->pfn >= g->c.frames) game_fail(g, "s%u:%u names frame %u", s, v, (unsigned)e->pfn);
        struct scan_frame *f = &g->scan.frame[e->pfn];
        if (!scan_is_counted(g, e->pfn)) return;
        if (f->mappings == ORACLE_SPACES) game_fail(g, "frame %u is mapped twice in a space", (unsigned)e->pfn);
        f->by[f->mappings].space = (uint8_t)s;
        f->by[f->mappings++].vpn = (uint8_t)v;
        f->locked |= HAS(e, LOCKED);
        return;
    case RMAP_PTE_SWAP:
        if (rmap_swp_device(e->swp) != 1 || rmap_swp_slot(e->swp) >= g->c.slots)
            game_fail(g, "s%u:%u names slot %#x", s, v, e->swp);
        g->scan.slot_entries[rmap_swp_slot(e->swp)]++;
        return;
    default:
        game_fail(g, "s%u:%u holds %#llx, which is none of our kinds", s, v, (unsigned long long)e->raw);
    }
}

void scan_take(struct game *g)
{
    memset(&g->scan, 0, sizeof g->scan);
    for (unsigned s = 0; s < ORACLE_SPACES; s++)
        if (g->space[s]) take_space(g, s);
    for (unsigned s = 0; s < ORACLE_SPACES; s++)
        for (unsigned v = 0; v < ORACLE_PAGES; v++) enter(g, s, v);
}

bool scan_is_counted(struct game *g, rmap_pfn_t pfn)
{
    return !(rmap_page_flags(rmap_page_find(g->r, pfn)) & RMAP_PAGE_SPECIAL);
}

unsigned scan_users(struct game *g, rmap_pfn_t pfn)
{
    const struct rmap_page *page = rmap_page_find(g->r, pfn);
    unsigned users = g->scan.frame[pfn].mappings;
    if (rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE) users += g->scan.slot_entries[rmap_swp_slot(page->swap)];
    return users;
}

/* ---- entries against the oracle ---- */

static const char *attributes_fault(const struct oracle_page *p, const struct scan_entry *e, bool exec_known)
{
    if (HAS(e, LOCKED) && !p->locked) return "is locked, its region is not";
    if (e->kind == RMAP_PTE_SWAP) return p->locked ? "is on swap in a locked region" : NULL;
    if (e->kind == RMAP_PTE_NO_ACCESS)
        return p->prot != RMAP_NONE && HAS(e, WRITE) ? "is no-access and writable" : NULL;
    if (p->prot == RMAP_NONE) return "is present, its region allows nothing";
    if (p->locked && !HAS(e, LOCKED)) return "is not locked, its region is";
    if (HAS(e, WRITE) && !(p->prot & RMAP_WRITE)) return "is writable, its region is not";
    if (exec_known && HAS(e, EXEC) && !(p->prot & RMAP_EXEC)) return "is executable, its region is not";
    return NULL;
}

static void check_contents(struct game *g, unsigned s, unsigned v, const unsigned char *bytes, const char *where)
{
    const struct oracle_page *p = &g->o.space[s].page[v];
    for (unsigned w = 0; w < ORACLE_WORDS; w++) {
        uint64_t is;
        memcpy(&is, bytes + oracle_word_offset[w], sizeof is);
        if (is != p->word[w])
            game_fail(g, "s%u:%u word %u in %s is %llu, must be %llu", s, v, w, where, (unsigned long long)is,
                      (unsigned long long)p->word[w]);
    }
}

static void check_entry(struct game *g, unsigned s, unsigned v)
{
    const struct oracle_page *p = &g->o.space[s].page[v];
    const struct scan_entry *e = &g->scan.entry[s][v];
    if (e->kind == RMAP_PTE_NONE) {
        for (unsigned w = 0; w < ORACLE_WORDS; w++)
            if (p->word[w])
                game_fail(g, "s%u:%u has no entry, but must hold %llu", s, v, (unsigned long long)p->word[w]);
        return;
    }
    if (!p->mapped) game_fail(g, "s%u:%u has an entry (kind %d) and no region", s, v, e->kind);
    const bool exec_known = game_member(g, s)->mmu.ops->format->attr[RMAP_ATTR_EXEC].mask != 0;
    const char *wrong = attributes_fault(p, e, exec_known);
    if (wrong) game_fail(g, "s%u:%u (entry %#llx) %s", s, v, (unsigned long long)e->raw, wrong);
    if (e->kind == RMAP_PTE_SWAP) return;
    if (HAS(e, WRITE) && (!scan_is_counted(g, e->pfn) || g->scan.frame[e->pfn].mappings != 1))
        game_fail(g, "s%u:%u is writable, but frame %u is shared", s, v, (unsigned)e->pfn);
    check_contents(g, s, v, game_frame(g, e->pfn), "its frame");
}

void scan_check_entries(struct game *g)
{
    for (unsigned s = 0; s < ORACLE_SPACES; s++)
        for (unsigned v = 0; g->space[s] && v < ORACLE_PAGES; v++) check_entry(g, s, v);
    for (rmap_pfn_t pfn = 0; pfn < g->c.frames; pfn++) {
        const struct scan_frame *f = &g->scan.frame[pfn];
        if (!f->mappings) continue;
        unsigned char wanted[ORACLE_PAGE_BYTES];
        oracle_fill(&g->o.space[f->by[0].space].page[f->by[0].vpn], wanted);
        if (memcmp(wanted, game_frame(g, pfn), sizeof wanted))
            game_fail(g, "frame %u: bytes between the words", (unsigned)pfn);
    }
}

/* ---- swap ---- */

void scan_check_swap(struct game *g)
{
    for (uint32_t slot = 0; slot < g->c.slots; slot++) {
        if (!g->scan.slot_entries[slot]) continue;
        unsigned char bytes[ORACLE_PAGE_BYTES];
        struct rmap_page *page = rmap_swap_cache_find(g->swap, rmap_swp_make(1, slot));
        if (page) {
            memcpy(bytes, game_frame(g, rmap_page_pfn(g->r, page)), sizeof bytes);
            rmap_page_put(g->r, page);
        } else if (flaky_device_peek(&g->device, slot, bytes)) {
            game_fail(g, "slot %u has entries, but the device cannot read it", slot);
        }
        for (unsigned s = 0; s < ORACLE_SPACES; s++) {
            for (unsigned v = 0; v < ORACLE_PAGES; v++) {
                const struct scan_entry *e = &g->scan.entry[s][v];
                if (e->kind == RMAP_PTE_SWAP && rmap_swp_slot(e->swp) == slot)
                    check_contents(g, s, v, bytes, page ? "the swap cache" : "its slot");
            }
        }
    }
}
