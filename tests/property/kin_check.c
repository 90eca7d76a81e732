/* SPDX-License-Identifier: MIT */
/** @file property/kin_check.c  Kin: the tables are scanned, and compared with the oracle and with what walks find. */
#include "property/kin.h"

typedef unsigned long long ull;

/* ---- scanning ---- */

static const struct rmap_pte_format *format_of(const struct kin *g)
{
    return g->c.world.geometry->format;
}

static void scan_entry(struct kin *g, unsigned n, unsigned k)
{
    const struct rmap_pte_format *f = format_of(g);
    struct kin_seen *x = &g->scan.at[n][k];
    x->entry = world_entry(g->place[n].s, g->c.vpn[k]);
    x->kind = rmap_pte_kind(f, x->entry);
    x->slot = x->kind == RMAP_PTE_SWAP ? rmap_pte_swp(f, x->entry) : 0;
    if (!kin_maps(x->kind)) return;
    x->pfn = rmap_pte_pfn(f, x->entry);
    if (x->pfn < WORLD_PFN || x->pfn - WORLD_PFN >= KIN_FRAMES)
        kin_fail(g, "s%u page %u: no frame %#llx", n, k, (ull)x->pfn);
    struct kin_frame *frame = &g->scan.frame[x->pfn - WORLD_PFN];
    if ((frame->mappers >> n & 1) && g->place[n].at[k].id != KIN_ZERO)
        kin_fail(g, "s%u maps frame %#llx at pages %u and %u", n, (ull)x->pfn, frame->k[n], k);
    frame->k[n] = (uint8_t)k;
    frame->count++;
    frame->mappers |= 1u << n;
    frame->young |= rmap_pte_get(f, x->entry, RMAP_ATTR_ACCESSED);
    frame->dirty |= rmap_pte_get(f, x->entry, RMAP_ATTR_DIRTY);
    frame->locked |= rmap_pte_get(f, x->entry, RMAP_ATTR_LOCKED);
}

void kin_scan_take(struct kin *g)
{
    memset(&g->scan, 0, sizeof g->scan);
    for (unsigned n = 0; n < KIN_SPACES; n++)
        for (unsigned k = 0; g->place[n].s && k < KIN_PAGES; k++) scan_entry(g, n, k);
}

/* ---- entries ---- */

/* One number for a page and for its slot, if that has entries, too. */
static uint64_t thing_of(struct kin *g, const struct kin_seen *x)
{
    if (x->kind == RMAP_PTE_SWAP) return x->slot;
    const struct rmap_page *page = kin_page(g, (unsigned)(x->pfn - WORLD_PFN));
    return rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE ? page->swap : (uint64_t)1 << 63 | x->pfn;
}

static void check_contents(struct kin *g, unsigned n, unsigned k)
{
    const struct kin_seen *x = &g->scan.at[n][k];
    const unsigned char *data = NULL;
    struct rmap_slot_home home;
    uint64_t stamp;
    if (kin_maps(x->kind)) {
        data = world_contents(&g->w, x->pfn);
    } else {
        if (rmap_swap_get_ops()->get_home(g->w.swap, x->slot, &home))
            kin_fail(g, "s%u page %u: slot %#x is dead", n, k, x->slot);
        if (home.cached)
            data = world_contents(&g->w, rmap_page_pfn(g->w.r, home.cached));
        else
            data = g->w.device.slot[rmap_swp_slot(x->slot)];
        if (!data) kin_fail(g, "s%u page %u: slot %#x was never written", n, k, x->slot);
        if (home.index != g->c.vpn[g->place[n].at[k].home])
            kin_fail(g, "s%u page %u: its slot is at home at %#llx, must be page %u", n, k, (ull)home.index,
                     g->place[n].at[k].home);
    }
    memcpy(&stamp, data, sizeof stamp);
    if (stamp != g->place[n].at[k].stamp)
        kin_fail(g, "s%u page %u says %llu, must say %llu", n, k, (ull)stamp, (ull)g->place[n].at[k].stamp);
}

static void check_entry(struct kin *g, unsigned n, unsigned k)
{
    const struct kin_seen *x = &g->scan.at[n][k];
    struct kin_entry *e = &g->place[n].at[k];
    if (e->id == KIN_NOTHING) {
        if (x->entry) kin_fail(g, "s%u page %u: entry %#llx, must be none", n, k, (ull)x->entry);
        return;
    }
    if (!kin_maps(x->kind) && x->kind != RMAP_PTE_SWAP)
        kin_fail(g, "s%u page %u: entry %#llx is lost", n, k, (ull)x->entry);
    if (x->kind == RMAP_PTE_SWAP) e->no_access = false; /* it does not survive an eviction */
    if (e->tracked) kin_covered(g, &g->place[n], k);
    if (e->no_access != (x->kind == RMAP_PTE_NO_ACCESS))
        kin_fail(g, "s%u page %u: no-access must be %d", n, k, e->no_access);
    if (e->locked != rmap_pte_get(format_of(g), x->entry, RMAP_ATTR_LOCKED))
        kin_fail(g, "s%u page %u: locked must be %d", n, k, e->locked);
    if (e->marked != rmap_pte_get(format_of(g), x->entry, RMAP_ATTR_SOFT_DIRTY))
        kin_fail(g, "s%u page %u: soft-dirty must be %d", n, k, e->marked);
    if (e->id != KIN_ZERO)
        check_contents(g, n, k);
    else if (rmap_page_find(g->w.r, x->pfn) != g->w.special)
        kin_fail(g, "s%u page %u must be the special frame", n, k);
}

/* Entries of one instance name one page or slot, those of two do not. */
static void check_instances(struct kin *g)
{
    struct {
        uint32_t id;
        uint64_t thing;
        unsigned n, k;
    } known[KIN_SPACES * KIN_PAGES];
    unsigned count = 0, i;
    for (unsigned n = 0; n < KIN_SPACES; n++) {
        for (unsigned k = 0; g->place[n].s && k < KIN_PAGES; k++) {
            uint32_t id = g->place[n].at[k].id;
            if (id <= KIN_ZERO) continue;
            uint64_t thing = thing_of(g, &g->scan.at[n][k]);
            for (i = 0; i < count && known[i].id != id && known[i].thing != thing; i++) {
            }
            if (i < count && (known[i].id != id || known[i].thing != thing))
                kin_fail(g, "s%u page %u and s%u page %u must%s share one page", n, k, known[i].n, known[i].k,
                         known[i].id == id ? "" : " not");
            if (i < count) continue;
            known[count].id = id;
            known[count].thing = thing;
            known[count].n = n;
            known[count++].k = k;
        }
    }
}

/* ---- frames ---- */

static void check_candidates(struct kin *g, unsigned n, const struct rmap_page *page)
{
    for (unsigned i = 0; i < KIN_SPACES; i++)
        if ((g->scan.frame[n].mappers >> i & 1) && !rmap_member_is_candidate(&g->place[i].s->m, page))
            kin_fail(g, "s%u maps frame %u and is no candidate", i, n);
}

void kin_check_alone(struct kin *g, const struct kin_space *p, unsigned k)
{
    const struct rmap_page *page = world_page(p->s, g->c.vpn[k]);
    struct rmap_page in_slots_name = {0};
    struct rmap_slot_home home;
    if (!page) {
        rmap_swp_t slot = rmap_pte_swp(format_of(g), world_entry(p->s, g->c.vpn[k]));
        if (rmap_swap_get_ops()->get_home(g->w.swap, slot, &home)) kin_fail(g, "page %u: slot %#x is dead", k, slot);
        in_slots_name.owner = home.owner;
        page = &in_slots_name;
    }
    for (unsigned n = 0; n < KIN_SPACES; n++)
        if (g->place[n].s && rmap_member_is_candidate(&g->place[n].s->m, page) != (n == kin_number(g, p)))
            kin_fail(g, "page %u belongs to s%u alone, but s%u is %s candidate", k, kin_number(g, p), n,
                     n == kin_number(g, p) ? "no" : "a");
}

/* The page has the index that the oracle says, and the space that maps it at page k says that it may (INV-1). */
static void check_place(struct kin *g, unsigned n, unsigned k, const struct rmap_page *page)
{
    const unsigned home = g->place[n].at[k].home;
    if (rmap_page_index(page) != g->c.vpn[home])
        kin_fail(g, "s%u page %u has the index %#llx, must have that of page %u", n, k, (ull)rmap_page_index(page),
                 home);
    if (!kin_covered(g, &g->place[n], k)) kin_fail(g, "s%u maps page %u where it may not", n, k);
}

static void check_frame(struct kin *g, unsigned n)
{
    struct rmap_page *page = kin_page(g, n);
    const struct kin_frame *x = &g->scan.frame[n];
    if (page == g->w.special) {
        if (rmap_page_mapcount(page) || rmap_page_is_anon(page)) kin_fail(g, "the special frame is counted");
        return;
    }
    if (rmap_page_mapcount(page) != x->count)
        kin_fail(g, "frame %u has mapcount %u and %u mappings", n, rmap_page_mapcount(page), x->count);
    const bool cached = rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE;
    const uint32_t entries = cached ? rmap_swap_get_ops()->count(g->w.swap, page->swap) : 0;
    const uint32_t refs = (x->count > 0) + cached + rmap_page_pins(page);
    if (page->refcount != refs) kin_fail(g, "frame %u has %u references, must have %u", n, page->refcount, refs);
    if (g->w.frame[n].used != (refs > 0))
        kin_fail(g, "frame %u: used is %d, references %u", n, g->w.frame[n].used, refs);
    if (cached && !x->count && !entries) kin_fail(g, "frame %u is cached, neither mapped nor on swap", n);
    if (!x->count) return;
    for (unsigned i = 0; i < KIN_SPACES; i++)
        if (x->mappers >> i & 1) check_place(g, i, x->k[i], page);
    check_candidates(g, n, page);
}

static void check_sums(struct kin *g)
{
    uint64_t mapped = 0, spaces = 0;
    for (unsigned n = 0; n < KIN_SPACES; n++) {
        if (!g->place[n].s) continue;
        spaces++;
        mapped += g->place[n].s->m.mapped;
    }
    struct rmap_stats st = world_stats(&g->w);
    if (st.members != spaces || st.mappings != mapped)
        kin_fail(g, "statistics say %llu members, %llu mappings, must be %llu, %llu", (ull)st.members, (ull)st.mappings,
                 (ull)spaces, (ull)mapped);
}

void kin_check(struct kin *g, bool quiet)
{
    struct rmap_verify_report report;
    kin_scan_take(g);
    for (unsigned n = 0; n < KIN_SPACES; n++)
        for (unsigned k = 0; g->place[n].s && k < KIN_PAGES; k++) check_entry(g, n, k);
    check_instances(g);
    for (unsigned n = 0; n < KIN_FRAMES; n++) check_frame(g, n);
    check_sums(g);
    if (g->w.broken[0]) kin_fail(g, "%s", g->w.broken);
    for (size_t i = 0; quiet && i < g->w.space_count; i++) {
        const char *stale = world_tlb_stale(g->w.spaces[i]);
        if (stale) kin_fail(g, "%s", stale);
    }
    if (g->op % g->c.verify_every) return;
    if (rmap_verify(g->w.r, &report)) kin_fail(g, "%s: %s", report.invariant ? report.invariant : "?", report.text);
    char text[128] = "";
    if (rmap_swap_verify(g->w.swap, text, sizeof text)) kin_fail(g, "rmap_swap_verify: %s", text);
}

/* ---- walks ---- */

struct found {
    const struct kin *g;
    const struct kin_frame *frame;
    unsigned mappers, calls;
    bool wrong; /* a stranger, somebody twice, or another page number */
};

static int note_mapping(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t entry)
{
    struct found *x = ctx;
    unsigned n = 0;
    (void)entry;
    while (n < KIN_SPACES && (!x->g->place[n].s || &x->g->place[n].s->m != m)) n++;
    x->wrong |= n == KIN_SPACES || (x->mappers >> n & 1) || vpn != x->g->c.vpn[x->frame->k[n]];
    x->mappers |= 1u << n;
    x->calls++;
    return 0;
}

void kin_check_walk(struct kin *g, unsigned n)
{
    struct rmap_page *page = kin_page(g, n);
    const struct kin_frame *frame = &g->scan.frame[n];
    if (page == g->w.special || !rmap_page_is_anon(page)) return;
    struct found x = {.g = g, .frame = frame};
    struct rmap_result res;
    rmap_page_get(page);
    rmap_page_lock(page);
    int err = rmap_each_mapping(g->w.r, &page, 1, 0, note_mapping, &x, &res);
    rmap_page_unlock(g->w.r, page);
    rmap_page_put(g->w.r, page);
    if (err || res.outcome != RMAP_DONE || res.reason)
        kin_fail(g, "each_mapping of frame %u: %s, outcome %d, reason %d", n, rmap_error_name(err), res.outcome,
                 res.reason);
    if (x.wrong) kin_fail(g, "each_mapping of frame %u visits a stranger, or somebody twice, or at another page", n);
    if (x.mappers != frame->mappers || x.calls != frame->count || res.hits != frame->count ||
        res.mapcount != frame->count)
        kin_fail(g, "frame %u is mapped by %#x, each_mapping found %#x (%u calls, %u hits, mapcount %u)", n,
                 frame->mappers, x.mappers, x.calls, res.hits, res.mapcount);
    if (res.visits < res.hits || res.nodes + 1 < res.visits || res.nodes > 2 * KIN_SPACES)
        kin_fail(g, "frame %u: %u hits, %u visits, %u nodes", n, res.hits, res.visits, res.nodes);
}

void kin_check_walks(struct kin *g)
{
    for (unsigned n = 0; n < KIN_FRAMES; n++) kin_check_walk(g, n);
}
