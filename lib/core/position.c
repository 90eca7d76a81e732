/* SPDX-License-Identifier: MIT */
/**
 * @file core/position.c  Registered positions: what happens to them when spaces leave.
 *
 * "After space S, before its children" must stay a place when S goes (F4): whatever was not visited is still to come, and
 * nothing that was visited comes again. Children that forks append are always still to come.
 */
#include <core/position.h>

void rmap__visit_begin(struct rmap__group *g, struct rmap__visit *v, rmap_owner_t owner)
{
    struct rmap__epoch *top = owner ? rmap__tag_find(rmap__owner_tag(owner))->epoch : NULL;
    v->owner = owner;
    v->at = rmap__position_before(owner ? top ? top->node : NULL : g->root);
    v->nodes = 0;
    LIST_INSERT_HEAD(&g->visits, v, link);
}

void rmap__visit_end(struct rmap__visit *v)
{
    LIST_REMOVE(v, link);
}

/* The epoch whose candidates are looked for, as it is now; NULL when they are all gone. */
static struct rmap__epoch *visit_top(const struct rmap__group *g, const struct rmap__visit *v)
{
    if (v->owner) return rmap__tag_find(rmap__owner_tag(v->owner))->epoch;
    return g->root ? TAILQ_FIRST(&g->root->epochs) : NULL;
}

struct rmap_member *rmap__visit_next(struct rmap__group *g, struct rmap__visit *v)
{
    struct rmap__epoch *top = visit_top(g, v);
    enum rmap__step step;
    while ((step = rmap__position_step(&v->at, top)) != RMAP__STEP_END) {
        if (step != RMAP__STEP_ENTERED) continue;
        v->nodes++;
        if (v->at.node->member) return v->at.node->member;
    }
    v->at.node = NULL;
    return NULL;
}

static struct rmap__node *sibling_before(const struct rmap__node *n)
{
    return n->parent ? TAILQ_PREV(n, rmap__kids, link) : NULL;
}

void rmap__visits_unlink(struct rmap__group *g, struct rmap__node *n)
{
    struct rmap__visit *v;
    LIST_FOREACH(v, &g->visits, link)
    {
        struct rmap__position *p = &v->at;
        if (p->node == n)
            *p = (struct rmap__position){
                .node = n->parent ? n->parent->node : NULL, .epoch = n->parent, .kid = sibling_before(n)};
        else if (p->kid == n)
            p->kid = sibling_before(n);
    }
}

void rmap__visits_absorb(struct rmap__group *g, struct rmap__epoch *from, struct rmap__epoch *to)
{
    struct rmap__visit *v;
    LIST_FOREACH(v, &g->visits, link)
    if (v->at.node && v->at.epoch == from) v->at.epoch = to;
}

/* Is the child's subtree done? It is the only one below the position's node. */
static bool child_is_done(const struct rmap__position *p, const struct rmap__node *child)
{
    if (p->kid == child) return true;
    for (const struct rmap__epoch *e = p->epoch; e; e = TAILQ_NEXT(e, link))
        if (e == child->parent) return false;
    return true;
}

void rmap__visits_replace(struct rmap__group *g, struct rmap__node *child)
{
    struct rmap__node *n = child->parent->node;
    struct rmap__visit *v;
    LIST_FOREACH(v, &g->visits, link)
    {
        struct rmap__position *p = &v->at;
        if (p->kid == n) p->kid = child;
        if (p->node != n) continue;
        const struct rmap__epoch *top = visit_top(g, v);
        if (p->enter || !child_is_done(p, child))
            *p = rmap__position_before(child);
        else if (!n->parent || (top && top->node == n))
            p->node = NULL;
        else
            *p = (struct rmap__position){.node = n->parent->node, .epoch = n->parent, .kid = child};
    }
}
