/* SPDX-License-Identifier: MIT */
/**
 * @file core/tree.c  The fork tree's edits: plant, attach (fork), remove (exit). Exclusive group lock throughout.
 *
 * Shape kept by every edit: the open epoch has no children; a closed epoch has some; a dead node has two children or
 * more. So the tree's size follows the live spaces and never the history.
 */
#include <core/position.h>

int rmap__spare_fill(struct rmap *r, struct rmap__spare *s, unsigned nodes, unsigned epochs)
{
    memset(s, 0, sizeof *s);
    bool ok = true;
    if (nodes) ok = (s->node = RMAP__NEW(&r->alloc, struct rmap__node)) != NULL;
    for (unsigned i = 0; ok && i < epochs; i++) {
        s->epoch[i] = RMAP__NEW(&r->alloc, struct rmap__epoch);
        s->tag[i] = RMAP__NEW(&r->alloc, struct rmap__tag);
        ok = s->epoch[i] && s->tag[i];
    }
    if (ok) return 0;
    rmap__spare_drop(r, s);
    return RMAP_ERR_NOMEM;
}

void rmap__spare_drop(struct rmap *r, struct rmap__spare *s)
{
    RMAP__DELETE(&r->alloc, s->node);
    for (unsigned i = 0; i < 2; i++) {
        RMAP__DELETE(&r->alloc, s->epoch[i]);
        RMAP__DELETE(&r->alloc, s->tag[i]);
    }
    memset(s, 0, sizeof *s);
}

/* Append an open epoch, with its tag, to the node; its member then holds that tag instead of the former one. */
static void epoch_open(struct rmap__group *g, struct rmap__node *n, struct rmap__spare *s)
{
    unsigned i = s->epoch[0] ? 0 : 1;
    struct rmap__epoch *e = s->epoch[i];
    struct rmap__tag *t = s->tag[i];
    s->epoch[i] = NULL;
    s->tag[i] = NULL;
    t->epoch = e;
    t->group = g;
    atomic_init(&t->refs, 2); /* the epoch's and the space's */
    e->tag = t;
    e->node = n;
    TAILQ_INIT(&e->kids);
    TAILQ_INSERT_TAIL(&n->epochs, e, link);
    g->epochs++;
    atomic_fetch_add_explicit(&g->tags, 1, memory_order_relaxed);
    RMAP__COUNT(g->r, epochs, 1);
    RMAP__COUNT(g->r, tags, 1);
    struct rmap__tag *old = n->member->open_tag;
    n->member->open_tag = n->member->home_tag = t;
    if (old) rmap__tag_put(old);
}

static void node_new(struct rmap__group *g, struct rmap_member *m, struct rmap__epoch *parent, struct rmap__spare *s)
{
    struct rmap__node *n = s->node;
    s->node = NULL;
    n->member = m;
    n->parent = parent;
    TAILQ_INIT(&n->epochs);
    m->node = n;
    m->group = g;
    m->open_tag = m->home_tag = NULL;
    epoch_open(g, n, s);
    if (parent) {
        TAILQ_INSERT_TAIL(&parent->kids, n, link);
        parent->node->kids++;
    } else {
        g->root = n;
    }
    g->nodes++;
    g->members++;
    RMAP__COUNT(g->r, nodes, 1);
    RMAP__COUNT(g->r, members, 1);
}

void rmap__tree_plant(struct rmap__group *g, struct rmap_member *m, struct rmap__spare *s)
{
    node_new(g, m, NULL, s);
}

void rmap__tree_attach(struct rmap__group *g, struct rmap_member *parent, struct rmap_member *child,
                       struct rmap__spare *s)
{
    struct rmap__node *n = parent->node;
    g->edits++;
    struct rmap__epoch *open = TAILQ_LAST(&n->epochs, rmap__epochs);
    if (open == TAILQ_FIRST(&n->epochs) || rmap__epoch_has_refs(open)) epoch_open(g, n, s);
    node_new(g, child, TAILQ_PREV(TAILQ_LAST(&n->epochs, rmap__epochs), rmap__epochs, link), s);
}

static void epoch_discard(struct rmap__group *g, struct rmap__epoch *e, struct rmap__garbage *out)
{
    TAILQ_REMOVE(&e->node->epochs, e, link);
    e->node = NULL;
    e->link.tqe_next = out->epochs;
    out->epochs = e;
    g->epochs--;
    RMAP__UNCOUNT(g->r, epochs, 1);
}

static void node_discard(struct rmap__group *g, struct rmap__node *n, struct rmap__garbage *out)
{
    n->link.tqe_next = out->nodes;
    out->nodes = n;
    g->nodes--;
    RMAP__UNCOUNT(g->r, nodes, 1);
}

/* A dead node without children: its epochs have no candidates any more. */
static struct rmap__node *node_unlink(struct rmap__group *g, struct rmap__node *n, struct rmap__garbage *out)
{
    struct rmap__epoch *e, *pe = n->parent;
    rmap__visits_unlink(g, n);
    while ((e = TAILQ_FIRST(&n->epochs))) {
        e->tag->epoch = NULL;
        rmap__tag_put(e->tag);
        epoch_discard(g, e, out);
    }
    if (!pe) {
        g->root = NULL;
        node_discard(g, n, out);
        return NULL;
    }
    struct rmap__node *up = pe->node;
    TAILQ_REMOVE(&pe->kids, n, link);
    up->kids--;
    node_discard(g, n, out);
    struct rmap__epoch *newer = TAILQ_NEXT(pe, link);
    if (TAILQ_EMPTY(&pe->kids) && newer) { /* same candidates as the next newer one */
        rmap__visits_absorb(g, pe, newer);
        rmap__epoch_absorb(pe, newer);
        epoch_discard(g, pe, out);
    }
    return up;
}

/* A dead node with one child: the child takes its place and, in its oldest epoch, its pages. */
static void node_replace(struct rmap__group *g, struct rmap__node *n, struct rmap__garbage *out)
{
    struct rmap__epoch *e = TAILQ_FIRST(&n->epochs), *pe = n->parent;
    while (TAILQ_EMPTY(&e->kids)) e = TAILQ_NEXT(e, link);
    struct rmap__node *child = TAILQ_FIRST(&e->kids);
    struct rmap__epoch *to = TAILQ_FIRST(&child->epochs);
    rmap__visits_replace(g, child);
    while ((e = TAILQ_FIRST(&n->epochs))) {
        rmap__epoch_absorb(e, to);
        epoch_discard(g, e, out);
    }
    child->parent = pe;
    if (pe) {
        TAILQ_INSERT_BEFORE(n, child, link);
        TAILQ_REMOVE(&pe->kids, n, link);
    } else {
        g->root = child;
    }
    node_discard(g, n, out);
}

void rmap__tree_remove(struct rmap__group *g, struct rmap_member *m, struct rmap__garbage *out)
{
    struct rmap__node *n = m->node;
    g->edits++;
    if (atomic_load_explicit(&g->hint, memory_order_relaxed) == m)
        atomic_store_explicit(&g->hint, NULL, memory_order_relaxed);
    n->member = NULL;
    m->node = NULL;
    g->members--;
    RMAP__UNCOUNT(g->r, members, 1);
    rmap__tag_put(m->open_tag);
    m->open_tag = m->home_tag = NULL;
    while (n && !n->member) {
        if (n->kids > 1) break;
        if (n->kids == 1) {
            node_replace(g, n, out);
            break;
        }
        n = node_unlink(g, n, out);
    }
}

void rmap__garbage_free(struct rmap *r, struct rmap__garbage *out)
{
    while (out->nodes) {
        struct rmap__node *n = out->nodes;
        out->nodes = n->link.tqe_next;
        RMAP__DELETE(&r->alloc, n);
    }
    while (out->epochs) {
        struct rmap__epoch *e = out->epochs;
        out->epochs = e->link.tqe_next;
        RMAP__DELETE(&r->alloc, e);
    }
}

struct rmap__epoch *rmap__member_epoch(struct rmap_member *m, bool forking)
{
    struct rmap__epoch *open = TAILQ_LAST(&m->node->epochs, rmap__epochs);
    return forking ? TAILQ_PREV(open, rmap__epochs, link) : open;
}

bool rmap__epoch_covers(const struct rmap__epoch *e, const struct rmap__node *n)
{
    if (!e || !e->node) return false;
    while (n != e->node) {
        const struct rmap__epoch *pe = n->parent;
        if (!pe) return false;
        if (pe->node == e->node) { /* n hangs at pe: is pe as young as e, or younger? */
            for (; e; e = TAILQ_NEXT(e, link))
                if (e == pe) return true;
            return false;
        }
        n = pe->node;
    }
    return true;
}
