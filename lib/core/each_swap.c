/* SPDX-License-Identifier: MIT */
/**
 * @file core/each_swap.c  each_swap: every swap entry of a slot, found by the slot's owner and index.
 *
 * The walk of pages looks for a frame and has STABLE in the mapcount to tell that nobody left meanwhile. A slot has neither:
 * its count alone says how many entries there are, so the caller keeps them from coming and going.
 */
#include <core/core.h>

struct seek {
    struct rmap *r;
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

static void look(struct seek *s, struct rmap_member *m, const struct rmap_mmu_run *run, rmap_vpn_t vpn)
{
    const struct rmap_pte_format *f = m->mmu.ops->format;
    rmap_pte_t e = rmap_run_get(&m->mmu, run, (uint32_t)(vpn - run->first));
    if (rmap_pte_kind(f, e) != RMAP_PTE_SWAP || rmap_pte_swp(f, e) != s->entry) return;
    if (s->fn(s->ctx, m, vpn, e)) {
        end(s, RMAP_PARTIAL, RMAP_REASON_STOPPED);
        return;
    }
    if (++s->result->hits == s->r->swap->count(s->r->swap_ctx, s->entry)) end(s, RMAP_DONE, RMAP_REASON_NONE);
}

typedef void visit_fn(struct seek *s, struct rmap_member *m);

/* At home: the one page number. */
static void visit_home(struct seek *s, struct rmap_member *m)
{
    const struct rmap_mmu_ops *o = m->mmu.ops;
    const rmap_vpn_t index = s->home.index;
    struct rmap_mmu_run run;
    s->result->visits++;
    if (o->run_find(m->mmu.ctx, index, index + 1, &run)) return;
    look(s, m, &run, index);
    o->run_unlock(m->mmu.ctx, &run);
}

/* Away: all the others, where the member has such entries at all. */
static void visit_away(struct seek *s, struct rmap_member *m)
{
    const struct rmap_mmu_ops *o = m->mmu.ops;
    struct rmap_mmu_run run;
    if (!m->moved) return;
    s->result->visits++;
    for (rmap_vpn_t at = 0; at < m->mmu.pages && !s->ended && !o->run_find(m->mmu.ctx, at, m->mmu.pages, &run);) {
        for (at = run.first; at < run.first + run.count; at++)
            if (at != s->home.index) look(s, m, &run, at);
        o->run_unlock(m->mmu.ctx, &run);
    }
}

/* Successor of n among the candidates of `top`, in pre-order: no recursion, no stack. */
static struct rmap__node *next_candidate(const struct rmap__epoch *top, struct rmap__node *n)
{
    const struct rmap__epoch *ep = n == top->node ? top : TAILQ_FIRST(&n->epochs);
    struct rmap__node *kid = TAILQ_FIRST(&ep->kids);
    while (!kid) {
        if ((ep = TAILQ_NEXT(ep, link))) {
            kid = TAILQ_FIRST(&ep->kids);
            continue;
        }
        if (n == top->node) return NULL;
        ep = n->parent;
        kid = TAILQ_NEXT(n, link);
        n = ep->node;
    }
    return kid;
}

static void visit_candidates(struct seek *s, const struct rmap__epoch *top, visit_fn *visit)
{
    for (struct rmap__node *n = top->node; n && !s->ended; n = next_candidate(top, n)) {
        s->result->nodes++;
        if (n->member) visit(s, n->member);
    }
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
    struct rmap__tag *tag = rmap__owner_tag(s.home.owner);
    pthread_rwlock_rdlock(&tag->group->lock);
    const struct rmap__epoch *top = rmap__tag_find(tag)->epoch;
    if (top) visit_candidates(&s, top, visit_home);
    if (top && s.home.moved && !s.ended) visit_candidates(&s, top, visit_away);
    pthread_rwlock_unlock(&tag->group->lock);
    return 0;
}
