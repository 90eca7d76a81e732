/* SPDX-License-Identifier: MIT */
/** @file bench/rivals/intervals.c  Insertion, removal and the query. See the header. */
#include "bench/rivals/intervals.h"

static inline uint64_t first_of(const struct avc_chain *c)
{
    return c->region->index;
}
static inline uint64_t last_of(const struct avc_chain *c)
{
    return c->region->index + c->region->count - 1;
}

/** Put the sum of one node right, by those of its children. */
static inline void sum(struct avc_chain *c)
{
    uint64_t last = last_of(c);
    const struct avc_chain *l = c->node.rbe_left, *r = c->node.rbe_right;
    if (l && l->node.last > last) last = l->node.last;
    if (r && r->node.last > last) last = r->node.last;
    c->node.last = last;
}

#undef RB_AUGMENT
#define RB_AUGMENT(c) sum(c)

/** Regions of one family begin at the same index: any order will do for them, if it is one. */
static inline int compare(const struct avc_chain *a, const struct avc_chain *b)
{
    if (first_of(a) != first_of(b)) return first_of(a) < first_of(b) ? -1 : 1;
    return (uintptr_t)a < (uintptr_t)b ? -1 : (uintptr_t)a > (uintptr_t)b;
}

RB_GENERATE_INTERNAL(avc_intervals, avc_chain, node, compare, static __attribute__((unused)))

/* The macros call the hook where they change links, not all the way up. Nodes that lost or got a chain below them are, after
 * the rotations too, ancestors of the place where it happened: so going up from there is enough. */
static void sum_upwards(struct avc_chain *c)
{
    for (; c; c = c->node.rbe_parent) sum(c);
}

void avc_intervals_add(struct avc_intervals *tree, struct avc_chain *chain)
{
    chain->node.last = last_of(chain);
    avc_intervals_RB_INSERT(tree, chain);
    sum_upwards(chain);
}

void avc_intervals_remove(struct avc_intervals *tree, struct avc_chain *chain)
{
    /* With two children the macro itself sums upwards, from where it took the successor away. */
    struct avc_chain *place = chain->node.rbe_left && chain->node.rbe_right ? NULL : chain->node.rbe_parent;
    avc_intervals_RB_REMOVE(tree, chain);
    sum_upwards(place);
}

/**
 * The first that holds the index in a subtree that does not end before it. Where the left subtree does not end before the
 * index and yet has none that holds it, what ends late there begins behind the index, and all to its right do, too.
 */
static struct avc_chain *first_below(struct avc_chain *c, rmap_vpn_t index)
{
    for (;;) {
        struct avc_chain *l = c->node.rbe_left, *r = c->node.rbe_right;
        if (l && l->node.last >= index) {
            c = l;
            continue;
        }
        if (first_of(c) > index) return NULL;
        if (last_of(c) >= index) return c;
        if (!r || r->node.last < index) return NULL;
        c = r;
    }
}

struct avc_chain *avc_intervals_first(const struct avc_intervals *tree, rmap_vpn_t index)
{
    struct avc_chain *root = tree->rbh_root;
    return root && root->node.last >= index ? first_below(root, index) : NULL;
}

struct avc_chain *avc_intervals_next(struct avc_chain *c, rmap_vpn_t index)
{
    for (;;) {
        struct avc_chain *r = c->node.rbe_right, *below;
        if (r && r->node.last >= index) return first_below(r, index);
        do {
            below = c;
            c = c->node.rbe_parent;
            if (!c) return NULL;
        } while (below == c->node.rbe_right);
        if (first_of(c) > index) return NULL;
        if (last_of(c) >= index) return c;
    }
}
