/* SPDX-License-Identifier: MIT */
/** @file bench/rivals/anon_vma.c  How anon_vmas and chains come, are copied and go. See the header. */
#include "bench/rivals/anon_vma.h"

_Static_assert(sizeof(struct avc_chain) == 64, "as in Linux");

static void lock(struct avc_anon *root)
{
    MUST(pthread_rwlock_wrlock(&root->lock));
}
static void unlock(struct avc_anon *root)
{
    MUST(pthread_rwlock_unlock(&root->lock));
}

/** With a reference for its tree. @param parent NULL: a root, its own parent */
static struct avc_anon *anon_new(struct avc_world *w, struct avc_anon *parent)
{
    struct avc_anon *a = slab_alloc(&w->anons);
    a->root = parent ? parent->root : a;
    a->parent = parent ? parent : a;
    MUST(pthread_rwlock_init(&a->lock, NULL));
    RB_INIT(&a->tree);
    atomic_init(&a->refs, 1);
    a->children = a->regions = 0;
    a->parent->children++;
    if (parent) atomic_fetch_add_explicit(&a->root->refs, 1, memory_order_relaxed);
    return a;
}

static void anon_put(struct avc_world *w, struct avc_anon *a)
{
    while (atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) == 1) {
        struct avc_anon *root = a->root;
        MUST(pthread_rwlock_destroy(&a->lock));
        slab_free(&w->anons, a);
        if (root == a) return;
        a = root;
    }
}

/** Root locked. */
static void link_to(struct avc_world *w, struct avc_region *r, struct avc_anon *a)
{
    struct avc_chain *c = slab_alloc(&w->chains);
    c->region = r;
    c->anon = a;
    TAILQ_INSERT_TAIL(&r->chains, c, of_region);
    avc_intervals_add(&a->tree, c);
}

void avc_prepare(struct avc_world *w, struct avc_region *r)
{
    if (r->anon) return;
    struct avc_anon *a = anon_new(w, NULL);
    lock(a);
    link_to(w, r, a);
    a->regions++;
    r->anon = a;
    unlock(a);
}

void avc_fork(struct avc_world *w, struct avc_region *child, const struct avc_region *parent)
{
    struct avc_anon *above = parent->anon;
    const struct avc_chain *c;
    if (!above) return;
    lock(above->root);
    TAILQ_FOREACH (c, &parent->chains, of_region) {
        link_to(w, child, c->anon);
        if (!child->anon && !c->anon->regions && c->anon->children < 2) child->anon = c->anon;
    }
    if (!child->anon) {
        child->anon = anon_new(w, above);
        link_to(w, child, child->anon);
    }
    child->anon->regions++;
    unlock(above->root);
}

void avc_clone(struct avc_world *w, struct avc_region *copy, const struct avc_region *r)
{
    const struct avc_chain *c;
    if (!r->anon) return;
    lock(r->anon->root);
    TAILQ_FOREACH (c, &r->chains, of_region) link_to(w, copy, c->anon);
    copy->anon = r->anon;
    copy->anon->regions++;
    unlock(r->anon->root);
}

void avc_unlink(struct avc_world *w, struct avc_region *r)
{
    if (!r->anon) return;
    struct avc_anon *root = r->anon->root;
    struct avc_chain *c, *next;
    lock(root);
    r->anon->regions--;
    r->anon = NULL;
    for (c = TAILQ_FIRST(&r->chains); c; c = next) {
        next = TAILQ_NEXT(c, of_region);
        avc_intervals_remove(&c->anon->tree, c);
        if (RB_EMPTY(&c->anon->tree)) {
            c->anon->parent->children--;
        } else {
            TAILQ_REMOVE(&r->chains, c, of_region);
            slab_free(&w->chains, c);
        }
    }
    unlock(root);
    /* What is left in the list has an empty tree. The root may be among it, so its lock is not held any more. */
    while ((c = TAILQ_FIRST(&r->chains))) {
        TAILQ_REMOVE(&r->chains, c, of_region);
        anon_put(w, c->anon);
        slab_free(&w->chains, c);
    }
}

void avc_resize(struct avc_region *r, rmap_vpn_t first, uint64_t count)
{
    struct avc_chain *c;
    if (r->anon) {
        lock(r->anon->root);
        TAILQ_FOREACH (c, &r->chains, of_region) avc_intervals_remove(&c->anon->tree, c);
    }
    r->index += first - r->first;
    r->first = first;
    r->count = count;
    if (r->anon) {
        TAILQ_FOREACH (c, &r->chains, of_region) avc_intervals_add(&c->anon->tree, c);
        unlock(r->anon->root);
    }
}
