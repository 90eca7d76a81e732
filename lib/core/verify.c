/* SPDX-License-Identifier: MIT */
/** @file core/verify.c  The invariants of DESIGN 3, checked by looking at everything. Quiet points only. */
#include <core/core.h>
#include <stdarg.h>
#include <stdio.h>

/* Counting by key: slots by entry, tags by address. Open addressing, doubled when half full. */
struct tally {
    const struct rmap_allocator *alloc;
    struct tally_cell {
        uintptr_t key; /* 0: empty */
        uint64_t count;
    } *cell;
    size_t size, used;
};

static bool tally_add(struct tally *t, uintptr_t key, uint64_t n)
{
    if (t->used * 2 >= t->size) {
        struct tally old = *t;
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

struct verify {
    struct rmap *r;
    struct rmap_verify_report *report;
    uint32_t *found;     /* mappings found, by frame, sections in order */
    uint64_t frames;
    struct tally slots, tags;
    int err;
};

__attribute__((format(printf, 3, 4))) static bool broken(struct verify *v, const char *invariant, const char *text, ...)
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

static void count_key(struct verify *v, struct tally *t, uintptr_t key, uint64_t n)
{
    if (!v->err && !tally_add(t, key, n)) v->err = RMAP_ERR_NOMEM;
}

static uint64_t frame_number(const struct rmap *r, const struct rmap_page *page)
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

/* ---- the entries of one member ---- */

struct member_counts {
    uint64_t mapped, swapped, moved;
};

static void verify_mapping(struct verify *v, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t e, struct member_counts *c)
{
    const struct rmap_pte_format *f = m->mmu.ops->format;
    struct rmap_page *page = rmap_page_find(v->r, rmap_pte_pfn(f, e));
    unsigned long long at = vpn, pfn = rmap_pte_pfn(f, e);
    if (!page) {
        broken(v, "INV-1", "vpn %#llx of member %p maps frame %#llx, which has no descriptor", at, (void *)m, pfn);
        return;
    }
    if (!rmap__page_counted(page)) {
        if (rmap_pte_get(f, e, RMAP_ATTR_WRITE)) broken(v, "INV-1", "special frame %#llx is writable at vpn %#llx", pfn, at);
        return;
    }
    c->mapped++;
    v->found[frame_number(v->r, page)]++;
    rmap_owner_t owner = rmap_page_owner(page);
    if (rmap_page_index(page) != vpn || !owner) {
        broken(v, "INV-1", "frame %#llx mapped at vpn %#llx, but its index is %#llx, owner %p", pfn, at,
               (unsigned long long)rmap_page_index(page), (void *)owner);
        return;
    }
    struct rmap__tag *top = rmap__tag_find(rmap__owner_tag(owner));
    if (!rmap__epoch_covers(top->epoch, m->node))
        broken(v, "INV-1", "member %p maps frame %#llx at vpn %#llx and is no candidate of its owner", (void *)m, pfn, at);
    if (rmap_pte_get(f, e, RMAP_ATTR_WRITE) && rmap_page_mapcount(page) > 1)
        broken(v, "exclusive", "frame %#llx is writable at vpn %#llx and mapped %u times", pfn, at, rmap_page_mapcount(page));
    if (rmap_pte_get(f, e, RMAP_ATTR_WRITE) && (rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE))
        broken(v, "INV-3", "frame %#llx is writable at vpn %#llx and has a swap copy", pfn, at);
}

static void verify_swap(struct verify *v, struct rmap_member *m, rmap_vpn_t vpn, rmap_swp_t entry, struct member_counts *c)
{
    struct rmap *r = v->r;
    struct rmap_slot_home home;
    unsigned long long at = vpn;
    c->swapped++;
    if (!r->swap || r->swap->get_home(r->swap_ctx, entry, &home)) {
        broken(v, "INV-3", "vpn %#llx holds swap entry %#x, whose slot is free", at, entry);
        return;
    }
    count_key(v, &v->slots, entry, 1);
    c->moved += home.index != vpn;
    if (home.index != vpn && !home.moved)
        broken(v, "INV-1", "swap entry %#x at vpn %#llx, home %#llx, slot not MOVED", entry, at, (unsigned long long)home.index);
    struct rmap__tag *top = rmap__tag_find(rmap__owner_tag(home.owner));
    if (!rmap__epoch_covers(top->epoch, m->node))
        broken(v, "INV-1", "member %p holds swap entry %#x and is no candidate of the slot's owner", (void *)m, entry);
}

static void verify_member(struct verify *v, struct rmap_member *m)
{
    const struct rmap_mmu_ops *o = m->mmu.ops;
    struct member_counts c = {0};
    struct rmap_mmu_run run;
    for (rmap_vpn_t at = 0; at < m->mmu.pages && !v->err && !o->run_find(m->mmu.ctx, at, m->mmu.pages, &run);) {
        for (uint32_t i = 0; i < run.count && !v->err; i++) {
            rmap_pte_t e = rmap_run_get(&m->mmu, &run, i);
            if (!e) continue;
            if (rmap_pte_maps(o->format, e)) verify_mapping(v, m, run.first + i, e, &c);
            else if (rmap_pte_kind(o->format, e) == RMAP_PTE_SWAP) verify_swap(v, m, run.first + i, rmap_pte_swp(o->format, e), &c);
        }
        at = run.first + run.count;
        o->run_unlock(m->mmu.ctx, &run);
    }
    if (v->err) return;
    if (c.mapped != m->mapped || c.swapped != m->swapped || c.moved != m->moved)
        broken(v, "INV-2", "member %p counts %llu mapped, %llu swapped, %llu moved; found %llu, %llu, %llu", (void *)m,
               (unsigned long long)m->mapped, (unsigned long long)m->swapped, (unsigned long long)m->moved,
               (unsigned long long)c.mapped, (unsigned long long)c.swapped, (unsigned long long)c.moved);
}

/* ---- the tree ---- */

static bool verify_node(struct verify *v, struct rmap__node *n)
{
    uint32_t kids = 0;
    struct rmap__epoch *e;
    TAILQ_FOREACH (e, &n->epochs, link) {
        struct rmap__node *k;
        TAILQ_FOREACH (k, &e->kids, link) {
            kids++;
            if (k->parent != e) return broken(v, "tree", "a child's parent link is wrong");
        }
        bool open = !TAILQ_NEXT(e, link);
        if (e->node != n || !e->tag || e->tag->up || e->tag->epoch != e) return broken(v, "tree", "epoch and tag disagree");
        if (open && !TAILQ_EMPTY(&e->kids)) return broken(v, "tree", "children on an open epoch");
        if (!open && TAILQ_EMPTY(&e->kids)) return broken(v, "tree", "a closed epoch without children");
        count_key(v, &v->tags, (uintptr_t)e->tag, 1);
    }
    if (kids != n->kids) return broken(v, "tree", "a node counts %u children and has %u", n->kids, kids);
    if (!n->member && kids < 2) return broken(v, "tree", "a dead node with %u children", kids);
    if (n->member && n->member->node != n) return broken(v, "tree", "member and node disagree");
    if (n->member) count_key(v, &v->tags, (uintptr_t)n->member->open_tag, 1);
    return true;
}

static struct rmap__node *first_kid(struct rmap__epoch *e)
{
    for (; e; e = TAILQ_NEXT(e, link))
        if (!TAILQ_EMPTY(&e->kids)) return TAILQ_FIRST(&e->kids);
    return NULL;
}

/* Pre-order successor of n in the whole tree. */
static struct rmap__node *next_node(struct rmap__node *n)
{
    struct rmap__node *k = first_kid(TAILQ_FIRST(&n->epochs));
    while (!k && n->parent) {
        k = TAILQ_NEXT(n, link);
        if (!k) k = first_kid(TAILQ_NEXT(n->parent, link));
        n = n->parent->node;
    }
    return k;
}

static void verify_group(struct verify *v, struct rmap__group *g)
{
    uint64_t nodes = 0, members = 0, epochs = 0;
    for (struct rmap__node *n = g->root; n && !v->err; n = next_node(n)) {
        struct rmap__epoch *e;
        if (!verify_node(v, n)) return;
        nodes++;
        members += n->member != NULL;
        TAILQ_FOREACH (e, &n->epochs, link) epochs++;
        if (n->member) verify_member(v, n->member);
    }
    if (nodes != g->nodes || members != g->members || epochs != g->epochs)
        broken(v, "tree", "a group counts %llu nodes, %llu members, %llu epochs; found %llu, %llu, %llu",
               (unsigned long long)g->nodes, (unsigned long long)g->members, (unsigned long long)g->epochs,
               (unsigned long long)nodes, (unsigned long long)members, (unsigned long long)epochs);
}

/* ---- descriptors, slots, tags ---- */

static bool verify_page(struct verify *v, struct rmap_page *p, uint32_t found)
{
    struct rmap *r = v->r;
    unsigned flags = rmap_page_flags(p);
    unsigned long long pfn = rmap_page_pfn(r, p);
    if (rmap_page_mapcount(p) != found)
        return broken(v, "INV-2", "frame %#llx has mapcount %u and %u mappings", pfn, rmap_page_mapcount(p), found);
    uint32_t least = (found > 0) + ((flags & RMAP_PAGE_SWAPCACHE) != 0) + rmap_page_pins(p);
    if (p->refcount < least) return broken(v, "refs", "frame %#llx has %u references, needs %u", pfn, p->refcount, least);
    rmap_owner_t owner = rmap_page_owner(p);
    if (owner) count_key(v, &v->tags, (uintptr_t)rmap__owner_tag(owner), 1);
    if (!(flags & RMAP_PAGE_SWAPCACHE)) return true;
    struct rmap_slot_home home;
    if (!r->swap || r->swap->get_home(r->swap_ctx, p->swap, &home) || home.cached != p)
        return broken(v, "C2", "frame %#llx is SWAPCACHE, but slot %#x does not cache it", pfn, p->swap);
    count_key(v, &v->slots, p->swap, 0);
    uint32_t entries = r->swap->count(r->swap_ctx, p->swap);
    if (!found && !entries && !(flags & RMAP_PAGE_LOCKED))
        return broken(v, "INV-3", "frame %#llx is cached, neither mapped nor on swap", pfn);
    if (!found || !entries) return true;
    struct rmap__epoch *pe = rmap__tag_find(rmap__owner_tag(owner))->epoch;
    struct rmap__epoch *se = rmap__tag_find(rmap__owner_tag(home.owner))->epoch;
    bool subset = false; /* same node: a younger epoch or the same; else: pe's node hangs below se */
    if (pe && se && pe->node != se->node) subset = rmap__epoch_covers(se, pe->node);
    for (struct rmap__epoch *e = se; e && pe && pe->node == se->node; e = TAILQ_NEXT(e, link)) subset |= e == pe;
    if (home.index != rmap_page_index(p) || !subset)
        return broken(v, "INV-8", "frame %#llx and its slot %#x: index %#llx and %#llx, candidates %s", pfn, p->swap,
                      (unsigned long long)rmap_page_index(p), (unsigned long long)home.index, subset ? "fit" : "do not fit");
    return true;
}

static void verify_slots(struct verify *v)
{
    for (size_t i = 0; i < v->slots.size && !v->err; i++) {
        struct tally_cell *c = &v->slots.cell[i];
        if (!c->key) continue;
        uint32_t count = v->r->swap->count(v->r->swap_ctx, (rmap_swp_t)c->key);
        if (count != c->count)
            broken(v, "INV-3", "slot %#llx counts %u entries and has %llu", (unsigned long long)c->key, count,
                   (unsigned long long)c->count);
        struct rmap_slot_home home;
        if (!v->r->swap->get_home(v->r->swap_ctx, (rmap_swp_t)c->key, &home) && home.owner)
            count_key(v, &v->tags, (uintptr_t)rmap__owner_tag(home.owner), 1);
    }
}

/* Every tag must have the references that we found; an embedder may hold more. */
static void verify_tags(struct verify *v)
{
    for (size_t i = 0; i < v->tags.size && !v->err; i++) {
        struct tally_cell *c = &v->tags.cell[i];
        const struct rmap__tag *t = (const struct rmap__tag *)c->key;
        if (t && t->refs < c->count)
            broken(v, "refs", "a tag has %u references, %llu are in use", t->refs, (unsigned long long)c->count);
        for (const struct rmap__tag *u = t; u && !v->err; u = u->up)
            if (u->refs == 0 || u->group != t->group) broken(v, "refs", "a dead or foreign tag in a chain");
    }
}

int rmap_verify(struct rmap *r, struct rmap_verify_report *report)
{
    if (!r) return RMAP_ERR_NULL_ARG;
    struct verify v = {.r = r, .report = report, .slots.alloc = &r->alloc, .tags.alloc = &r->alloc};
    if (report) *report = (struct rmap_verify_report){0};
    for (size_t i = 0; i < r->section_count; i++) v.frames += r->sections[i].count;
    if (v.frames && !(v.found = rmap__alloc(&r->alloc, v.frames * sizeof *v.found))) return RMAP_ERR_NOMEM;
    struct rmap__group *g;
    LIST_FOREACH (g, &r->groups, link) verify_group(&v, g);
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
    struct verify v = {.r = r, .report = report};
    if (report) *report = (struct rmap_verify_report){0};
    rmap_owner_t owner = rmap_page_owner(page);
    uint32_t found = 0;
    struct rmap__group *g = owner ? rmap__owner_tag(owner)->group : NULL;
    rmap_vpn_t index = rmap_page_index(page);
    for (struct rmap__node *n = g ? g->root : NULL; n && !v.err; n = next_node(n)) {
        struct rmap_mmu_run run;
        struct rmap_member *m = n->member;
        if (!m || m->mmu.ops->run_find(m->mmu.ctx, index, index + 1, &run)) continue;
        rmap_pte_t e = rmap_run_get(&m->mmu, &run, (uint32_t)(index - run.first));
        m->mmu.ops->run_unlock(m->mmu.ctx, &run);
        if (!rmap_pte_maps(m->mmu.ops->format, e) || rmap_pte_pfn(m->mmu.ops->format, e) != pfn) continue;
        found++;
        if (!rmap__epoch_covers(rmap__tag_find(rmap__owner_tag(owner))->epoch, n))
            broken(&v, "INV-1", "member %p maps frame %#llx and is no candidate", (void *)m, (unsigned long long)pfn);
    }
    if (rmap_page_mapcount(page) != found)
        broken(&v, "INV-2", "frame %#llx has mapcount %u; at its index %u mappings are found", (unsigned long long)pfn,
               rmap_page_mapcount(page), found);
    return v.err;
}
