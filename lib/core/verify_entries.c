/* SPDX-License-Identifier: MIT */
/** @file core/verify_entries.c  verify: the entries of one member. */
#include <core/track.h>
#include <core/verify.h>

struct member_counts {
    uint64_t mapped, swapped, moved;
};

static void verify_mapping(struct rmap__verify *v, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t e,
                           struct member_counts *c)
{
    const struct rmap_pte_format *f = m->mmu.ops->format;
    struct rmap_page *page = rmap_page_find(v->r, rmap_pte_pfn(f, e));
    unsigned long long at = vpn, pfn = rmap_pte_pfn(f, e);
    if (!page) {
        rmap__verify_broken(v, "INV-1", "vpn %#llx of member %p maps frame %#llx, which has no descriptor", at,
                            (void *)m, pfn);
        return;
    }
    if (!rmap__page_counted(page)) {
        if (rmap_pte_get(f, e, RMAP_ATTR_WRITE))
            rmap__verify_broken(v, "INV-1", "special frame %#llx is writable at vpn %#llx", pfn, at);
        return;
    }
    c->mapped++;
    v->found[rmap__verify_frame(v->r, page)]++;
    rmap_owner_t owner = rmap_page_owner(page);
    if (!owner || !rmap__track_covers(m->track, rmap_page_index(page), vpn)) {
        rmap__verify_broken(v, "INV-1", "frame %#llx mapped at vpn %#llx, but its index is %#llx, owner %p", pfn, at,
                            (unsigned long long)rmap_page_index(page), (void *)owner);
        return;
    }
    struct rmap__tag *top = rmap__tag_find(rmap__owner_tag(owner));
    if (!rmap__epoch_covers(top->epoch, m->node))
        rmap__verify_broken(v, "INV-1", "member %p maps frame %#llx at vpn %#llx and is no candidate of its owner",
                            (void *)m, pfn, at);
    if (rmap_pte_get(f, e, RMAP_ATTR_WRITE) && rmap_page_mapcount(page) > 1)
        rmap__verify_broken(v, "exclusive", "frame %#llx is writable at vpn %#llx and mapped %u times", pfn, at,
                            rmap_page_mapcount(page));
    if (rmap_pte_get(f, e, RMAP_ATTR_WRITE) && (rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE))
        rmap__verify_broken(v, "INV-3", "frame %#llx is writable at vpn %#llx and has a swap copy", pfn, at);
}

static void verify_swap(struct rmap__verify *v, struct rmap_member *m, rmap_vpn_t vpn, rmap_swp_t entry,
                        struct member_counts *c)
{
    struct rmap *r = v->r;
    struct rmap_slot_home home;
    unsigned long long at = vpn;
    c->swapped++;
    if (!r->swap || r->swap->get_home(r->swap_ctx, entry, &home)) {
        rmap__verify_broken(v, "INV-3", "vpn %#llx holds swap entry %#x, whose slot is free", at, entry);
        return;
    }
    rmap__verify_count(v, &v->slots, entry, 1);
    c->moved += home.index != vpn;
    if (home.index != vpn && !home.moved)
        rmap__verify_broken(v, "INV-1", "swap entry %#x at vpn %#llx, home %#llx, slot not MOVED", entry, at,
                            (unsigned long long)home.index);
    if (!home.owner || !rmap__epoch_covers(rmap__tag_find(rmap__owner_tag(home.owner))->epoch, m->node))
        rmap__verify_broken(v, "INV-1", "member %p holds swap entry %#x and is no candidate of the slot's owner",
                            (void *)m, entry);
}

/* Sorted, images inside the space, references for those who share it. */
static void verify_track(struct rmap__verify *v, const struct rmap_member *m)
{
    const struct rmap__track *t = m->track;
    rmap_vpn_t before = 0, reach = 0;
    for (uint32_t i = 0; t && i < t->count; i++) {
        const struct rmap__track_record *x = &t->record[i];
        if (x->end > reach) reach = x->end;
        if (x->first < before || x->first >= x->end || !x->delta || x->reach != reach ||
            x->first + x->delta >= m->mmu.pages || x->end + x->delta > m->mmu.pages)
            rmap__verify_broken(v, "track", "member %p: record %u of indices %#llx to %#llx is malformed",
                                (const void *)m, i, (unsigned long long)x->first, (unsigned long long)x->end);
        before = x->first;
    }
    if (t && (!t->refs || !t->count || t->count > t->room))
        rmap__verify_broken(v, "track", "member %p: table of %u records with %u references", (const void *)m, t->count,
                            t->refs);
}

void rmap__verify_member(struct rmap__verify *v, struct rmap_member *m)
{
    verify_track(v, m);
    const struct rmap_mmu_ops *o = m->mmu.ops;
    struct member_counts c = {0};
    struct rmap_mmu_run run;
    for (rmap_vpn_t at = 0; at < m->mmu.pages && !v->err && !o->run_find(m->mmu.ctx, at, m->mmu.pages, &run);) {
        rmap_pte_t entry[RMAP_RUN_MAX]; /* looked at with the run unlocked: counting allocates */
        for (uint32_t i = 0; i < run.count; i++) entry[i] = rmap_run_get(&m->mmu, &run, i);
        o->run_unlock(m->mmu.ctx, &run);
        for (uint32_t i = 0; i < run.count && !v->err; i++) {
            if (rmap_pte_maps(o->format, entry[i]))
                verify_mapping(v, m, run.first + i, entry[i], &c);
            else if (rmap_pte_kind(o->format, entry[i]) == RMAP_PTE_SWAP)
                verify_swap(v, m, run.first + i, rmap_pte_swp(o->format, entry[i]), &c);
        }
        at = run.first + run.count;
    }
    if (v->err) return;
    if (c.mapped != m->mapped || c.swapped != m->swapped || c.moved != m->moved)
        rmap__verify_broken(v, "INV-2",
                            "member %p counts %llu mapped, %llu swapped, %llu moved; found %llu, %llu, %llu", (void *)m,
                            (unsigned long long)m->mapped, (unsigned long long)m->swapped, (unsigned long long)m->moved,
                            (unsigned long long)c.mapped, (unsigned long long)c.swapped, (unsigned long long)c.moved);
}
