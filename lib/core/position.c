/* SPDX-License-Identifier: MIT */
/**
 * @file core/position.c  Registered positions: what happens to them when spaces leave.
 *
 * "After space S, before its children" must stay a place when S goes (F4): whatever was not visited is still to come, and
 * nothing that was visited comes again. Children that forks append are always still to come.
 */
#include <core/position.h>

static void visits_lock(struct rmap__group *g)
{
    rmap__rank_take(RMAP__RANK_VISITS, g);
    pthread_spin_lock(&g->visits_lock);
}

static void visits_unlock(struct rmap__group *g)
{
    pthread_spin_unlock(&g->visits_lock);
    rmap__rank_drop(RMAP__RANK_VISITS, g);
}

/*
 * The list has its own lock, so that a look-up can come and go with the group lock shared: nobody waits for it but others
 * who come and go. Tree edits walk the list without it, since they hold the group lock alone. They may change a position at
 * any time that its owner does not hold the group lock, which is why its owner looks at it under that lock only.
 */
void rmap__visit_register(struct rmap__group *g, struct rmap__visit *v)
{
    visits_lock(g);
    LIST_INSERT_HEAD(&g->visits, v, link);
    visits_unlock(g);
}

struct rmap__epoch *rmap__visit_top(const struct rmap__group *g, const struct rmap__visit *v)
{
    if (v->owner) return rmap__tag_find(rmap__owner_tag(v->owner))->epoch;
    return g->root ? TAILQ_FIRST(&g->root->epochs) : NULL;
}

void rmap__visit_begin(struct rmap__group *g, struct rmap__visit *v, rmap_owner_t owner)
{
    v->owner = owner;
    struct rmap__epoch *top = rmap__visit_top(g, v);
    v->at = rmap__position_before(top ? top->node : NULL);
    v->nodes = v->looked = v->steps = 0;
    rmap__visit_register(g, v);
}

void rmap__visit_end(struct rmap__group *g, struct rmap__visit *v)
{
    visits_lock(g);
    LIST_REMOVE(v, link);
    visits_unlock(g);
}

struct rmap_member *rmap__visit_next(struct rmap__group *g, struct rmap__visit *v)
{
    struct rmap__epoch *top = rmap__visit_top(g, v);
    while (!rmap__visit_is_tired(v)) {
        enum rmap__step step = rmap__position_step(&v->at, top);
        if (step == RMAP__STEP_END) {
            v->at.node = NULL;
            return NULL;
        }
        v->steps++;
        if (step != RMAP__STEP_ENTERED) continue;
        v->nodes++;
        if (!v->at.node->member) continue;
        v->looked++;
        return v->at.node->member;
    }
    return NULL;
}

void rmap__visit_rest(struct rmap__group *g, struct rmap__visit *v)
{
    rmap__group_unlock(g);
    RMAP__YIELD(g->r, RMAP__AT_STEP);
    rmap__group_rdlock(g);
    v->looked = v->steps = 0;
}

/*
 * When m leaves, its node dies or goes, and the position with it to a node before or above. Should m come again, by a fork,
 * it has a node further down; the position can only come to stand *before* that.
 */
bool rmap__visit_goes_on_in(struct rmap__group *g, struct rmap__visit *v, const struct rmap_member *m)
{
    v->looked++;
    if (rmap__visit_is_tired(v)) rmap__visit_rest(g, v);
    return v->at.node && !v->at.enter && v->at.node->member == m;
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
        const struct rmap__epoch *top = rmap__visit_top(g, v);
        if (p->enter || !child_is_done(p, child))
            *p = rmap__position_before(child);
        else if (!n->parent || (top && top->node == n))
            p->node = NULL;
        else
            *p = (struct rmap__position){.node = n->parent->node, .epoch = n->parent, .kid = child};
    }
}
