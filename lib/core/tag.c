/* SPDX-License-Identifier: MIT */
/** @file core/tag.c  Union-find over dead generations: pages keep their pointers while epochs merge. */
#include <core/core.h>

struct rmap__tag *rmap__tag_find(struct rmap__tag *t)
{
    while (t->up) t = t->up;
    return t;
}

void rmap__tag_get(struct rmap__tag *t)
{
    uint32_t before = atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    RMAP_ASSERT_INV(before > 0, "tag-alive");
    (void)before;
}

/* Push on the group's dead list: only pushes and whole-list takes happen, so no ABA can arise. */
static void tag_bury(struct rmap__tag *t)
{
    struct rmap__tag *head = atomic_load_explicit(&t->group->dead, memory_order_relaxed);
    do t->dead_next = head;
    while (
        !atomic_compare_exchange_weak_explicit(&t->group->dead, &head, t, memory_order_release, memory_order_relaxed));
}

void rmap__tag_put(struct rmap__tag *t)
{
    if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1) tag_bury(t);
}

bool rmap__epoch_has_refs(const struct rmap__epoch *e)
{
    uint32_t own = 1;
    const struct rmap_member *m = e->node->member;
    if (m && m->open_tag == e->tag) own++;
    return atomic_load_explicit(&e->tag->refs, memory_order_acquire) > own;
}

void rmap__epoch_absorb(struct rmap__epoch *from, struct rmap__epoch *to)
{
    struct rmap__tag *a = from->tag, *b = to->tag, *winner = b, *loser = a;
    from->tag = NULL;
    /* Nobody refers to `from`: only its own reference goes. (A racing get is impossible: gets come from holders.) */
    if (atomic_load_explicit(&a->refs, memory_order_acquire) > 1) {
        if (a->rank > b->rank)
            winner = a, loser = b;
        else if (a->rank == b->rank)
            b->rank++;
        loser->up = winner;
        rmap__tag_get(winner);
        winner->epoch = to;
        to->tag = winner;
    }
    loser->epoch = NULL;
    rmap__tag_put(loser);
}

struct rmap__tag *rmap__tags_reap(struct rmap__group *g)
{
    struct rmap__tag *todo = atomic_exchange_explicit(&g->dead, NULL, memory_order_acquire), *out = NULL;
    while (todo) {
        struct rmap__tag *t = todo, *up = t->up;
        todo = t->dead_next;
        t->dead_next = out;
        out = t;
        if (up && atomic_fetch_sub_explicit(&up->refs, 1, memory_order_acq_rel) == 1) {
            up->dead_next = todo;
            todo = up;
        }
    }
    return out;
}

void rmap__tags_free(struct rmap__group *g, struct rmap__tag *list)
{
    while (list) {
        struct rmap__tag *next = list->dead_next;
        RMAP__DELETE(&g->r->alloc, list);
        RMAP__UNCOUNT(g->r, tags, 1);
        /* The last touch of the group: whoever sees 0 may free it. Pairs with group.c. */
        atomic_fetch_sub_explicit(&g->tags, 1, memory_order_release);
        list = next;
    }
}

void rmap_owner_get(rmap_owner_t owner)
{
    if (owner) rmap__tag_get(rmap__owner_tag(owner));
}

void rmap_owner_put(rmap_owner_t owner)
{
    if (owner) rmap__tag_put(rmap__owner_tag(owner));
}
