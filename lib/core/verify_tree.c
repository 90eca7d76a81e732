/* SPDX-License-Identifier: MIT */
/** @file core/verify_tree.c  verify: the shape of a fork tree. */
#include <core/verify.h>

static bool verify_node(struct rmap__verify *v, struct rmap__node *n)
{
    uint32_t kids = 0;
    struct rmap__epoch *e;
    TAILQ_FOREACH(e, &n->epochs, link)
    {
        struct rmap__node *k;
        TAILQ_FOREACH(k, &e->kids, link)
        {
            kids++;
            if (k->parent != e) return rmap__verify_broken(v, "tree", "a child's parent link is wrong");
        }
        bool open = !TAILQ_NEXT(e, link);
        if (e->node != n || !e->tag || e->tag->up || e->tag->epoch != e)
            return rmap__verify_broken(v, "tree", "epoch and tag disagree");
        if (open && !TAILQ_EMPTY(&e->kids)) return rmap__verify_broken(v, "tree", "children on an open epoch");
        if (!open && TAILQ_EMPTY(&e->kids)) return rmap__verify_broken(v, "tree", "a closed epoch without children");
        rmap__verify_count(v, &v->tags, (uintptr_t)e->tag, 1);
    }
    if (kids != n->kids) return rmap__verify_broken(v, "tree", "a node counts %u children and has %u", n->kids, kids);
    if (!n->member && kids < 2) return rmap__verify_broken(v, "tree", "a dead node with %u children", kids);
    if (n->member && n->member->node != n) return rmap__verify_broken(v, "tree", "member and node disagree");
    if (n->member) rmap__verify_count(v, &v->tags, (uintptr_t)n->member->open_tag, 1);
    return true;
}

static struct rmap__node *first_kid(struct rmap__epoch *e)
{
    for (; e; e = TAILQ_NEXT(e, link))
        if (!TAILQ_EMPTY(&e->kids)) return TAILQ_FIRST(&e->kids);
    return NULL;
}

/* Pre-order successor of n in the whole tree. */
struct rmap__node *rmap__verify_next_node(struct rmap__node *n)
{
    struct rmap__node *k = first_kid(TAILQ_FIRST(&n->epochs));
    while (!k && n->parent) {
        k = TAILQ_NEXT(n, link);
        if (!k) k = first_kid(TAILQ_NEXT(n->parent, link));
        n = n->parent->node;
    }
    return k;
}

void rmap__verify_group(struct rmap__verify *v, struct rmap__group *g)
{
    uint64_t nodes = 0, members = 0, epochs = 0;
    for (struct rmap__node *n = g->root; n && !v->err; n = rmap__verify_next_node(n)) {
        struct rmap__epoch *e;
        if (!verify_node(v, n)) return;
        nodes++;
        members += n->member != NULL;
        TAILQ_FOREACH(e, &n->epochs, link) epochs++;
        if (n->member) rmap__verify_member(v, n->member);
    }
    if (nodes != g->nodes || members != g->members || epochs != g->epochs)
        rmap__verify_broken(v, "tree", "a group counts %llu nodes, %llu members, %llu epochs; found %llu, %llu, %llu",
                            (unsigned long long)g->nodes, (unsigned long long)g->members, (unsigned long long)g->epochs,
                            (unsigned long long)nodes, (unsigned long long)members, (unsigned long long)epochs);
}
