/* SPDX-License-Identifier: MIT */
/** @file core/usage.c  Attribution: a pass over entries, adding 1 / count of what each names. See objrmap/usage.h. */
#include <core/position.h>
#include <objrmap/usage.h>

static int add_mapping(struct rmap *r, rmap_pfn_t pfn, struct rmap_usage *u)
{
    struct rmap_page *page = rmap_page_find(r, pfn);
    if (!page) return RMAP_ERR_BAD_FRAME;
    if (!rmap__page_counted(page)) {
        u->special++;
        return 0;
    }
    const uint32_t mapcount = rmap_page_mapcount(page);
    if (!mapcount) return RMAP_ERR_BAD_FRAME;
    const bool alone = mapcount == 1 && !rmap__page_swap_count(r, page);
    u->present++;
    u->exclusive += alone;
    u->shared += !alone;
    rmap_share_add(&u->resident, rmap_share_of(mapcount));
    return 0;
}

static int add_swap(struct rmap *r, rmap_swp_t entry, struct rmap_usage *u)
{
    struct rmap_slot_home home;
    const uint32_t count = r->swap ? r->swap->count(r->swap_ctx, entry) : 0;
    if (!count || r->swap->get_home(r->swap_ctx, entry, &home)) return RMAP_ERR_BAD_FRAME;
    /* The cached page may leave as we look: its descriptor stays, and its count then says that it is not mapped. */
    const bool alone = count == 1 && !(home.cached && rmap_page_mapcount(home.cached));
    u->swapped++;
    u->swap_exclusive += alone;
    u->swap_shared += !alone;
    rmap_share_add(&u->swap, rmap_share_of(count));
    return 0;
}

static int add_entry(struct rmap_member *m, rmap_pte_t e, struct rmap_usage *u)
{
    const struct rmap_pte_format *f = m->mmu.ops->format;
    switch (rmap_pte_kind(f, e)) {
    case RMAP_PTE_NONE:
        return 0;
    case RMAP_PTE_PRESENT:
    case RMAP_PTE_NO_ACCESS:
    case RMAP_PTE_MIGRATION:
        return add_mapping(m->r, rmap_pte_pfn(f, e), u);
    case RMAP_PTE_SWAP:
        return add_swap(m->r, rmap_pte_swp(f, e), u);
    case RMAP_PTE_POISON:
        u->poison++;
        return 0;
    case RMAP_PTE_INVALID:
        break;
    }
    return RMAP_ERR_BAD_FRAME;
}

/* `v`: of a look-up that holds the group lock and lets others in between tables, until m leaves; NULL: m stays. */
static int add_member(struct rmap_member *m, struct rmap_usage *u, struct rmap__group *g, struct rmap__visit *v)
{
    const struct rmap_mmu_ops *o = m->mmu.ops;
    const rmap_vpn_t end = m->mmu.pages;
    struct rmap_mmu_run run;
    int err = 0;
    for (rmap_vpn_t at = 0; at < end && !err && !(err = o->run_find(m->mmu.ctx, at, end, &run));) {
        for (uint32_t i = 0; i < run.count && !err; i++) err = add_entry(m, rmap_run_get(&m->mmu, &run, i), u);
        at = run.first + run.count;
        o->run_unlock(m->mmu.ctx, &run);
        if (v && !rmap__visit_goes_on_in(g, v, m)) break;
    }
    return err == RMAP_ERR_ABSENT ? 0 : err;
}

/* Every member of m's group, source before target; those that join meanwhile, too. */
static int add_group(struct rmap_member *m, struct rmap_group_usage *u)
{
    struct rmap__group *g = rmap__member_group(m);
    struct rmap__visit v;
    struct rmap_member *next;
    int err = 0;
    rmap__group_rdlock(g);
    rmap__visit_begin(g, &v, 0);
    do {
        while (!err && (next = rmap__visit_next(g, &v))) {
            u->members++;
            err = add_member(next, &u->sum, g, &v);
        }
    } while (!err && v.at.node && (rmap__visit_rest(g, &v), true));
    rmap__visit_end(g, &v);
    rmap__group_unlock(g);
    return err;
}

int rmap_member_get_usage(struct rmap_member *m, struct rmap_usage *out)
{
    if (!m || !out) return RMAP_ERR_NULL_ARG;
    if (!m->node) return RMAP_ERR_DEAD;
    struct rmap_usage u = {0};
    int err = add_member(m, &u, NULL, NULL);
    if (!err) *out = u;
    return err;
}

int rmap_group_get_usage(struct rmap_member *m, struct rmap_group_usage *out)
{
    if (!m || !out) return RMAP_ERR_NULL_ARG;
    if (!m->node) return RMAP_ERR_DEAD;
    struct rmap_group_usage u = {0};
    int err = add_group(m, &u);
    if (err) return err;
    u.resident_pages = rmap_share_ceil(u.sum.resident);
    u.swap_slots = rmap_share_ceil(u.sum.swap);
    *out = u;
    return 0;
}
