/* SPDX-License-Identifier: MIT */
/**
 * @file bench/rivals/anon_vma_chain.c  Regions know who may map their pages: Linux's anon_vma since 2.6.34, as a rival.
 *
 * Here are the spaces' regions and the hooks; the objects and where they were described are in anon_vma.h. A page's owner is an
 * anon_vma, its index a page number of the region where it was made. A region that moves keeps its indexes, so a move does
 * nothing for each page, and a fork neither: both pay by region. Regions that could be merged do not occur (system.h), so
 * nothing is merged.
 *
 * A page that is read in from swap where others have swap entries of it, too, must be found from them all: it belongs to the
 * root's anon_vma as soon as a second one maps it.
 */
#include "bench/rivals/anon_vma.h"

RB_HEAD(avc_by_address, avc_region);

struct avc_space {
    struct avc_by_address regions;
    struct avc_region *last; /* that was looked up */
};

static inline int compare(const struct avc_region *a, const struct avc_region *b)
{
    return a->first < b->first ? -1 : a->first > b->first;
}

RB_GENERATE_INTERNAL(avc_by_address, avc_region, by_address, compare, static __attribute__((unused)))

/* ---- regions ---- */

/** The region of vpn, which must have one. */
static inline struct avc_region *region_find(struct avc_space *as, rmap_vpn_t vpn)
{
    struct avc_region *r = as->last;
    if (r && vpn - r->first < r->count) return r;
    r = RB_ROOT(&as->regions);
    while (r && vpn - r->first >= r->count) r = vpn < r->first ? RB_LEFT(r, by_address) : RB_RIGHT(r, by_address);
    MUST_HOLD(r);
    as->last = r;
    return r;
}

/** The first region that ends behind vpn, or NULL. */
static struct avc_region *region_from(struct avc_space *as, rmap_vpn_t vpn)
{
    struct avc_region *r = RB_ROOT(&as->regions), *best = NULL;
    while (r) {
        if (r->first + r->count > vpn) best = r;
        r = r->first + r->count > vpn ? RB_LEFT(r, by_address) : RB_RIGHT(r, by_address);
    }
    return best;
}

/** In the tree, without anon_vma. */
static struct avc_region *region_new(struct rival_space *s, rmap_vpn_t first, uint64_t count, rmap_vpn_t index)
{
    struct avc_world *aw = s->w->own;
    struct avc_region *r = slab_alloc(&aw->regions);
    *r = (struct avc_region){.space = s, .first = first, .count = count, .index = index};
    TAILQ_INIT(&r->chains);
    MUST_HOLD(!avc_by_address_RB_INSERT(&((struct avc_space *)s->own)->regions, r));
    return r;
}

static void region_free(struct rival_space *s, struct avc_region *r)
{
    struct avc_world *aw = s->w->own;
    avc_unlink(aw, r);
    slab_free(&aw->regions, r);
}

static void region_map(struct rival_space *s, rmap_vpn_t first, uint64_t count)
{
    region_new(s, first, count, first);
}

static void region_unmap(struct rival_space *s, rmap_vpn_t first, uint64_t count)
{
    struct avc_world *aw = s->w->own;
    struct avc_space *as = s->own;
    rmap_vpn_t end = first + count;
    struct avc_region *r, *next;
    as->last = NULL;
    for (r = region_from(as, first); r && r->first < end; r = next) {
        rmap_vpn_t r_end = r->first + r->count;
        next = avc_by_address_RB_NEXT(r);
        if (r->first >= first && r_end <= end) {
            avc_by_address_RB_REMOVE(&as->regions, r);
            region_free(s, r);
        } else if (r->first >= first) {
            avc_resize(r, end, r_end - end);
        } else {
            if (r_end > end) avc_clone(aw, region_new(s, end, r_end - end, r->index + (end - r->first)), r);
            avc_resize(r, r->first, first - r->first);
        }
    }
}

/** As mremap does: a second region with the same indexes first, which finds entries that have arrived. Its source goes last. */
static void region_move(struct rival_space *s, rmap_vpn_t from, rmap_vpn_t to, uint64_t count)
{
    struct avc_region *r = region_find(s->own, from);
    MUST_HOLD(from + count <= r->first + r->count);
    rmap_vpn_t index = r->anon ? r->index + (from - r->first) : to; /* no page: nothing depends on the old one */
    avc_clone(s->w->own, region_new(s, to, count, index), r);
}
static void region_moved(struct rival_space *s, rmap_vpn_t from, rmap_vpn_t to, uint64_t count)
{
    (void)to;
    region_unmap(s, from, count);
}

/* ---- worlds and spaces ---- */

static void world_init(struct rival_world *w)
{
    struct avc_world *aw = rival_alloc(w, sizeof *aw);
    slab_init(&aw->regions, w, sizeof(struct avc_region));
    slab_init(&aw->chains, w, sizeof(struct avc_chain));
    slab_init(&aw->anons, w, sizeof(struct avc_anon));
    w->own = aw;
}
static void world_fini(struct rival_world *w)
{
    struct avc_world *aw = w->own;
    slab_fini(&aw->regions);
    slab_fini(&aw->chains);
    slab_fini(&aw->anons);
    rival_free(w, aw, sizeof *aw);
}

static void space_init(struct rival_space *s, struct rival_space *parent)
{
    struct avc_region *r;
    RB_INIT(&((struct avc_space *)s->own)->regions);
    if (!parent) return;
    RB_FOREACH (r, avc_by_address, &((struct avc_space *)parent->own)->regions)
        avc_fork(s->w->own, region_new(s, r->first, r->count, r->index), r);
}

/** Leaves first: nothing is rebalanced in a tree that goes. */
static void space_fini(struct rival_space *s)
{
    struct avc_region *r = RB_ROOT(&((struct avc_space *)s->own)->regions);
    while (r) {
        struct avc_region *below = RB_LEFT(r, by_address), *above = RB_PARENT(r, by_address);
        if (below) {
            RB_LEFT(r, by_address) = NULL;
            r = below;
        } else if ((below = RB_RIGHT(r, by_address))) {
            RB_RIGHT(r, by_address) = NULL;
            r = below;
        } else {
            region_free(s, r);
            r = above;
        }
    }
}

/* ---- pages ---- */

static void map(struct rival_space *s, const struct rmap_mmu_run *run, uint32_t slot, struct rmap_page *page, bool fresh)
{
    rmap_vpn_t vpn = run->first + slot;
    struct avc_region *r = region_find(s->own, vpn);
    avc_prepare(s->w->own, r);
    rival_set_owner(page, fresh ? r->anon : r->anon->root, r->index + (vpn - r->first));
}

static void reuse(struct rival_space *s, rmap_vpn_t vpn, struct rmap_page *page)
{
    struct avc_region *r = region_find(s->own, vpn);
    if (rival_owner(page) != r->anon) rival_set_owner(page, r->anon, r->index + (vpn - r->first));
}

static uint64_t walk(struct rival_world *w, struct rmap_page *page, rival_visit_fn *visit, void *ctx)
{
    uint32_t left = rmap_page_mapcount(page);
    struct avc_anon *a = rival_owner(page), *root = a->root;
    rmap_vpn_t index = rmap_page_index(page);
    uint64_t looked = 0;
    (void)w;
    MUST(pthread_rwlock_rdlock(&root->lock));
    for (struct avc_chain *c = avc_intervals_first(&a->tree, index); c; c = avc_intervals_next(c, index)) {
        const struct avc_region *r = c->region;
        struct rival_sight x;
        rmap_vpn_t vpn = r->first + (index - r->index);
        looked++;
        if (!rival_glance(r->space, vpn, page, &x)) continue;
        const bool more = visit(ctx, r->space, &x.run, (uint32_t)(vpn - x.run.first), x.entry);
        rival_glance_end(r->space, &x);
        if (!more || !--left) break;
    }
    MUST(pthread_rwlock_unlock(&root->lock));
    return looked;
}

static void bytes(struct rival_world *w, struct bench_bytes *out)
{
    const struct avc_world *aw = w->own;
    const size_t in_region = sizeof(struct avc_anon *) + sizeof(struct avc_chains);
    out->regions += aw->anons.used * sizeof(struct avc_anon) + aw->chains.used * sizeof(struct avc_chain) +
                    aw->regions.used * in_region;
}

static const struct rival_ops ops = {
    .name = "anon_vma_chain",
    .space_bytes = sizeof(struct avc_space),
    .world_init = world_init,
    .world_fini = world_fini,
    .space_init = space_init,
    .space_fini = space_fini,
    .region_map = region_map,
    .region_unmap = region_unmap,
    .region_move = region_move,
    .region_moved = region_moved,
    .map = map,
    .reuse = reuse,
    .walk = walk,
    .bytes = bytes,
};

RIVAL_SYSTEM(anon_vma_chain, &ops);
