/* SPDX-License-Identifier: MIT */
/**
 * @file core/each_swap.c  each_swap: every swap entry of a slot, found by the slot's owner and index.
 *
 * The walk of pages looks for a frame and has STABLE in the mapcount to tell that nobody left meanwhile. A slot has
 * neither: its count alone says how many entries there are, so the caller keeps them from coming and going.
 */
#include <core/position.h>
#include <core/track.h>

struct seek {
    struct rmap *r;
    struct rmap__group *group;
    struct rmap__visit visit;
    rmap_swp_t entry;
    struct rmap_slot_home home;
    rmap_mapping_fn *fn;
    void *ctx;
    struct rmap_result *result;
    bool ended; /* all are found, or `fn` has stopped it */
};

static void end(struct seek *s, enum rmap_outcome outcome, enum rmap_reason reason)
{
    s->result->outcome = outcome;
    s->result->reason = reason;
    s->ended = true;
}

/* Does the place hold an entry of the slot? Then *e is that. */
static bool holds(const struct seek *s, struct rmap_member *m, const struct rmap_mmu_run *run, rmap_vpn_t vpn,
                  rmap_pte_t *e)
{
    const struct rmap_pte_format *f = m->mmu.ops->format;
    *e = rmap_run_get(&m->mmu, run, (uint32_t)(vpn - run->first));
    return rmap_pte_kind(f, *e) == RMAP_PTE_SWAP && rmap_pte_swp(f, *e) == s->entry;
}

static void show(struct seek *s, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t e)
{
    if (s->fn(s->ctx, m, vpn, e))
        end(s, RMAP_PARTIAL, RMAP_REASON_STOPPED);
    else if (++s->result->hits == s->r->swap->count(s->r->swap_ctx, s->entry))
        end(s, RMAP_DONE, RMAP_REASON_NONE);
}

typedef void visit_fn(struct seek *s, struct rmap_member *m);

static void look_at(struct seek *s, struct rmap_member *m, rmap_vpn_t vpn)
{
    const struct rmap_mmu_ops *o = m->mmu.ops;
    struct rmap_mmu_run run;
    rmap_pte_t e;
    if (o->run_find(m->mmu.ctx, vpn, vpn + 1, &run)) return;
    if (holds(s, m, &run, vpn, &e)) show(s, m, vpn, e);
    o->run_unlock(m->mmu.ctx, &run);
}

/* At home: the slot's index, and where the space's tracked moves may have brought it. */
static void visit_home(struct seek *s, struct rmap_member *m)
{
    const struct rmap__track *t = m->track;
    const struct rmap__track_record *x;
    const rmap_vpn_t index = s->home.index;
    s->result->visits++;
    look_at(s, m, index);
    for (uint32_t at = 0; t && !s->ended && (x = rmap__track_next(t, index, index + 1, &at));)
        look_at(s, m, index + x->delta);
}

/* Away: all other places, where the space has entries that are not at their slot's index at all. Its tables may be many. */
static void visit_away(struct seek *s, struct rmap_member *m)
{
    const struct rmap_mmu_ops *o = m->mmu.ops;
    struct rmap_mmu_run run;
    rmap_pte_t e;
    if (!m->moved) return;
    s->result->visits++;
    for (rmap_vpn_t at = 0; at < m->mmu.pages && !s->ended && !o->run_find(m->mmu.ctx, at, m->mmu.pages, &run);) {
        for (at = run.first; at < run.first + run.count && !s->ended; at++)
            if (holds(s, m, &run, at, &e) && !rmap__track_covers(m->track, s->home.index, at)) show(s, m, at, e);
        o->run_unlock(m->mmu.ctx, &run);
        if (!rmap__visit_goes_on_in(s->group, &s->visit, m)) return;
    }
}

static void visit_candidates(struct seek *s, visit_fn *visit)
{
    struct rmap_member *m;
    rmap__group_rdlock(s->group);
    rmap__visit_begin(s->group, &s->visit, s->home.owner);
    do {
        while (!s->ended && (m = rmap__visit_next(s->group, &s->visit))) visit(s, m);
    } while (!s->ended && s->visit.at.node && (rmap__visit_rest(s->group, &s->visit), true));
    rmap__visit_end(s->group, &s->visit);
    rmap__group_unlock(s->group);
    s->result->nodes += (uint32_t)s->visit.nodes;
}

int rmap_each_swap(struct rmap *r, rmap_swp_t entry, rmap_mapping_fn *fn, void *ctx, struct rmap_result *result)
{
    if (!r || !fn || !result) return RMAP_ERR_NULL_ARG;
    struct seek s = {.r = r, .entry = entry, .fn = fn, .ctx = ctx, .result = result};
    if (!r->swap || r->swap->get_home(r->swap_ctx, entry, &s.home)) return RMAP_ERR_ABSENT;
    *result = (struct rmap_result){.mapcount = r->swap->count(r->swap_ctx, entry)};
    if (result->mapcount == 0) return 0; /* DONE; its owner may have no candidate left */

    result->outcome = RMAP_INCOMPLETE;
    if (!s.home.owner) return 0;
    rmap_owner_get(s.home.owner); /* the slot may lose its last entry while others are let in */
    s.group = rmap__owner_tag(s.home.owner)->group;
    visit_candidates(&s, visit_home);
    if (s.home.moved && !s.ended) visit_candidates(&s, visit_away);
    rmap_owner_put(s.home.owner);
    return 0;
}
