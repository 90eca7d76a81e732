/* SPDX-License-Identifier: MIT */
/**
 * @file core/walk_stats.c  What a walk cost: summed up in the walk itself, and added to the instance's counters once a call.
 *
 * Counters are shared by all threads. Added to for each page they would be the one line that two walks of different groups
 * still fight for.
 */
#include <core/walk.h>

static inline void sum(struct rmap__walk_sums *sums, unsigned which, const struct rmap_result *res)
{
    struct rmap_walk_stats *s = &sums->of[which];
    if (!(sums->counted >> which & 1)) *s = (struct rmap_walk_stats){0};
    sums->counted |= 1u << which;
    s->walks++;
    s->visits += res->visits;
    s->nodes += res->nodes;
    s->hits += res->hits;
}

void rmap__walk_count(struct rmap__walk *w)
{
    struct rmap__walk_sums *s = &w->sums;
    for (unsigned i = 0; i < w->pages; i++) {
        const struct rmap_result *res = w->page[i].result;
        s->incomplete += res->outcome == RMAP_INCOMPLETE;
        s->partial += res->outcome == RMAP_PARTIAL;
        if (res->tightened)
            sum(s, RMAP__FIRST_LOOKUPS, res);
        else if (res->visits)
            sum(s, rmap__mapper_class(res->mapcount), res);
    }
}

static void publish(struct rmap__walk_counters *c, const struct rmap_walk_stats *s)
{
    atomic_fetch_add_explicit(&c->walks, s->walks, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->visits, s->visits, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->nodes, s->nodes, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->hits, s->hits, memory_order_relaxed);
}

void rmap__walk_publish(const struct rmap__walk *w)
{
    const struct rmap__walk_sums *s = &w->sums;
    struct rmap__counters *c = &w->r->counters;
    const bool look = w->visitor->verb == RMAP_WALK_REFERENCED && (w->flags & RMAP_KEEP_ACCESSED);
    const enum rmap_walk_verb verb = look ? RMAP_WALK_LOOK : w->visitor->verb;
    if (s->incomplete) RMAP__COUNT(w->r, incomplete, s->incomplete);
    if (s->partial) RMAP__COUNT(w->r, partial, s->partial);
    for (uint32_t left = s->counted; left; left &= left - 1) {
        const unsigned k = (unsigned)__builtin_ctz(left);
        publish(k == RMAP__FIRST_LOOKUPS ? &c->first_lookups : &c->walk[verb][k], &s->of[k]);
    }
}
