/* SPDX-License-Identifier: MIT */
/**
 * @file core/verify.c  The invariants (docs/invariants.md), checked by looking at everything. Quiet points only.
 *
 * Entries and trees first (verify_entries.c, verify_tree.c), counting what they name; then descriptors, slots and tags must
 * have just these counts.
 */
#include <core/track.h>
#include <core/verify.h>
#include <stdarg.h>
#include <stdio.h>

static bool tally_add(struct rmap__tally *t, uintptr_t key, uint64_t n)
{
    if (t->used * 2 >= t->size) {
        struct rmap__tally old = *t;
        t->size = old.size ? old.size * 2 : 256;
        t->used = 0;
        if (!(t->cell = rmap__alloc(t->alloc, t->size * sizeof *t->cell))) {
            *t = old;
            return false;
        }
        for (size_t i = 0; i < old.size; i++)
            if (old.cell[i].key) tally_add(t, old.cell[i].key, old.cell[i].count);
        rmap__free(t->alloc, old.cell, old.size * sizeof *old.cell);
    }
    size_t i = (key * 0x9e3779b97f4a7c15u >> 20) & (t->size - 1);
    while (t->cell[i].key && t->cell[i].key != key) i = (i + 1) & (t->size - 1);
    t->used += !t->cell[i].key;
    t->cell[i].key = key;
    t->cell[i].count += n;
    return true;
}

bool rmap__verify_broken(struct rmap__verify *v, const char *invariant, const char *text, ...)
{
    if (v->err) return false;
    v->err = RMAP_ERR_VERIFY;
    if (!v->report) return false;
    v->report->invariant = invariant;
    va_list ap;
    va_start(ap, text);
    vsnprintf(v->report->text, sizeof v->report->text, text, ap);
    va_end(ap);
    return false;
}

void rmap__verify_count(struct rmap__verify *v, struct rmap__tally *t, uintptr_t key, uint64_t n)
{
    if (!v->err && !tally_add(t, key, n)) v->err = RMAP_ERR_NOMEM;
}

uint64_t rmap__verify_frame(const struct rmap *r, const struct rmap_page *page)
{
    uint64_t base = 0;
    for (size_t i = 0; i < r->section_count; i++) {
        const struct rmap__section *s = &r->sections[i];
        size_t off = (size_t)((const unsigned char *)page - s->base);
        if ((const unsigned char *)page >= s->base && off < s->stride * s->count) return base + off / s->stride;
        base += s->count;
    }
    return 0;
}

/* ---- descriptors, slots, tags ---- */

static bool verify_page(struct rmap__verify *v, struct rmap_page *p, uint32_t found)
{
    struct rmap *r = v->r;
    unsigned flags = rmap_page_flags(p);
    unsigned long long pfn = rmap_page_pfn(r, p);
    if (rmap_page_mapcount(p) != found)
        return rmap__verify_broken(v, "INV-2", "frame %#llx has mapcount %u and %u mappings", pfn,
                                   rmap_page_mapcount(p), found);
    uint32_t least = (found > 0) + ((flags & RMAP_PAGE_SWAPCACHE) != 0) + rmap_page_pins(p);
    if (p->refcount < least)
        return rmap__verify_broken(v, "refs", "frame %#llx has %u references, needs %u", pfn, p->refcount, least);
    rmap_owner_t owner = rmap_page_owner(p);
    if (owner) rmap__verify_count(v, &v->tags, (uintptr_t)rmap__owner_tag(owner), 1);
    if (!(flags & RMAP_PAGE_SWAPCACHE)) return true;
    struct rmap_slot_home home;
    if (!r->swap || r->swap->get_home(r->swap_ctx, p->swap, &home) || home.cached != p)
        return rmap__verify_broken(v, "C2", "frame %#llx is SWAPCACHE, but slot %#x does not cache it", pfn, p->swap);
    rmap__verify_count(v, &v->slots, p->swap, 0);
    uint32_t entries = r->swap->count(r->swap_ctx, p->swap);
    if (!found && !entries && !(flags & RMAP_PAGE_LOCKED))
        return rmap__verify_broken(v, "INV-3", "frame %#llx is cached, neither mapped nor on swap", pfn);
    if (!found || !entries) return true;
    if (!owner || !home.owner)
        return rmap__verify_broken(v, "INV-8", "frame %#llx or its slot %#x has no owner", pfn, p->swap);
    struct rmap__epoch *pe = rmap__tag_find(rmap__owner_tag(owner))->epoch;
    struct rmap__epoch *se = rmap__tag_find(rmap__owner_tag(home.owner))->epoch;
    bool subset = false; /* same node: a younger epoch or the same; else: pe's node hangs below se */
    if (pe && se && pe->node != se->node) subset = rmap__epoch_covers(se, pe->node);
    for (struct rmap__epoch *e = se; e && pe && pe->node == se->node; e = TAILQ_NEXT(e, link)) subset |= e == pe;
    if (home.index != rmap_page_index(p) || !subset)
        return rmap__verify_broken(v, "INV-8", "frame %#llx and its slot %#x: index %#llx and %#llx, candidates %s",
                                   pfn, p->swap, (unsigned long long)rmap_page_index(p), (unsigned long long)home.index,
                                   subset ? "fit" : "do not fit");
    return true;
}

static void verify_slots(struct rmap__verify *v)
{
    for (size_t i = 0; i < v->slots.size && !v->err; i++) {
        struct rmap__tally_cell *c = &v->slots.cell[i];
        if (!c->key) continue;
        uint32_t count = v->r->swap->count(v->r->swap_ctx, (rmap_swp_t)c->key);
        if (count != c->count)
            rmap__verify_broken(v, "INV-3", "slot %#llx counts %u entries and has %llu", (unsigned long long)c->key,
                                count, (unsigned long long)c->count);
        struct rmap_slot_home home;
        if (!v->r->swap->get_home(v->r->swap_ctx, (rmap_swp_t)c->key, &home) && home.owner)
            rmap__verify_count(v, &v->tags, (uintptr_t)rmap__owner_tag(home.owner), 1);
    }
}

/* Every tag must have the references that we found; an embedder may hold more. */
static void verify_tags(struct rmap__verify *v)
{
    for (size_t i = 0; i < v->tags.size && !v->err; i++) {
        struct rmap__tally_cell *c = &v->tags.cell[i];
        const struct rmap__tag *t = (const struct rmap__tag *)c->key;
        if (t && t->refs < c->count)
            rmap__verify_broken(v, "refs", "a tag has %u references, %llu are in use", t->refs,
                                (unsigned long long)c->count);
        for (const struct rmap__tag *u = t; u && !v->err; u = u->up)
            if (u->refs == 0 || u->group != t->group)
                rmap__verify_broken(v, "refs", "a dead or foreign tag in a chain");
    }
}

int rmap_verify(struct rmap *r, struct rmap_verify_report *report)
{
    if (!r) return RMAP_ERR_NULL_ARG;
    struct rmap__verify v = {.r = r, .report = report, .slots.alloc = &r->alloc, .tags.alloc = &r->alloc};
    if (report) *report = (struct rmap_verify_report){0};
    for (size_t i = 0; i < r->section_count; i++) v.frames += r->sections[i].count;
    if (v.frames && !(v.found = rmap__alloc(&r->alloc, v.frames * sizeof *v.found))) return RMAP_ERR_NOMEM;
    struct rmap__group *g;
    LIST_FOREACH(g, &r->groups, link) rmap__verify_group(&v, g);
    uint64_t k = 0;
    for (size_t i = 0; i < r->section_count; i++)
        for (uint64_t j = 0; j < r->sections[i].count && !v.err; j++, k++)
            verify_page(&v, (struct rmap_page *)(r->sections[i].base + j * r->sections[i].stride), v.found[k]);
    verify_slots(&v);
    verify_tags(&v);
    rmap__free(&r->alloc, v.found, v.frames * sizeof *v.found);
    rmap__free(&r->alloc, v.slots.cell, v.slots.size * sizeof *v.slots.cell);
    rmap__free(&r->alloc, v.tags.cell, v.tags.size * sizeof *v.tags.cell);
    return v.err;
}

int rmap_verify_page(struct rmap *r, struct rmap_page *page, struct rmap_verify_report *report)
{
    if (!r || !page) return RMAP_ERR_NULL_ARG;
    rmap_pfn_t pfn = rmap_page_pfn(r, page);
    if (pfn == RMAP_PFN_NONE) return RMAP_ERR_UNKNOWN_PAGE;
    struct rmap__verify v = {.r = r, .report = report};
    if (report) *report = (struct rmap_verify_report){0};
    rmap_owner_t owner = rmap_page_owner(page);
    uint32_t found = 0;
    struct rmap__group *g = owner ? rmap__owner_tag(owner)->group : NULL;
    for (struct rmap__node *n = g ? g->root : NULL; n && !v.err; n = rmap__verify_next_node(n)) {
        struct rmap_mapping at;
        if (!n->member || !rmap__member_maps(n->member, rmap_page_index(page), pfn, &at)) continue;
        found++;
        if (!rmap__epoch_covers(rmap__tag_find(rmap__owner_tag(owner))->epoch, n))
            rmap__verify_broken(&v, "INV-1", "member %p maps frame %#llx and is no candidate", (void *)n->member,
                                (unsigned long long)pfn);
    }
    if (rmap_page_mapcount(page) != found)
        rmap__verify_broken(&v, "INV-2", "frame %#llx has mapcount %u; %u mappings are found", (unsigned long long)pfn,
                            rmap_page_mapcount(page), found);
    return v.err;
}
