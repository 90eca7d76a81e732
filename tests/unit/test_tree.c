/* SPDX-License-Identifier: MIT */
/** @file unit/test_tree.c  The fork tree: what forks and exits do to nodes, epochs and tags, and who remains a candidate. */
#include "support/world.h"

#include <core/core.h>

static struct rmap_group_shape shape_of(struct world_space *s)
{
    struct rmap_group_shape shape;
    CHECK_OK(rmap_group_get_shape(&s->m, &shape));
    return shape;
}
#define CHECK_SHAPE(s, members_, nodes_, epochs_)      \
    do {                                               \
        CHECK_EQ(shape_of(s).members, members_);       \
        CHECK_EQ(shape_of(s).nodes, nodes_);           \
        CHECK_EQ(shape_of(s).epochs, epochs_);         \
    } while (0)

static unsigned epochs_of(const struct world_space *s)
{
    unsigned n = 0;
    const struct rmap__epoch *e;
    TAILQ_FOREACH (e, &s->m.node->epochs, link) n++;
    return n;
}

/* Bit set of the numbers of a page's candidates. */
static uint64_t candidates(struct world *w, const struct rmap_page *page)
{
    uint64_t set = 0;
    for (size_t i = 0; i < w->space_count; i++)
        if (rmap_member_is_candidate(&w->spaces[i]->m, page)) set |= (uint64_t)1 << w->spaces[i]->number;
    return set;
}
#define BIT(s) ((uint64_t)1 << (s)->number)

/* P, then A, B (nothing written between them), then C (after a write) */
RMAP_TEST(tree, fork_closes_the_open_epoch_only_if_something_refers_to_it)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    CHECK_SHAPE(p, 1, 1, 1);
    CHECK_EQ(shape_of(p).tags, 1);
    world_fork(p); /* the only epoch is closed, though nothing refers to it: a child cannot hang on an open one */
    CHECK_SHAPE(p, 2, 2, 3);
    world_fork(p);
    CHECK_SHAPE(p, 3, 3, 4);
    CHECK_EQ(epochs_of(p), 2);
    world_write(p, 7, 1);
    world_fork(p);
    CHECK_EQ(epochs_of(p), 3);
    CHECK_SHAPE(p, 4, 4, 6);
    CHECK_EQ(shape_of(p).bytes, sizeof(struct rmap__group) + 4 * sizeof(struct rmap__node) + 6 * sizeof(struct rmap__epoch) +
                                    shape_of(p).tags * sizeof(struct rmap__tag));
    CHECK_EQ(shape_of(p).tags, 6);
    world_check(&w);
    world_fini(&w);
}

/*  P: [e0: A B] [e1: C] [open]   pages 0, 1, 2 of e0, e1, open (the picture of group.h) */
RMAP_TEST(tree, a_page_can_be_in_its_own_space_and_in_children_forked_later)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 0, 1);
    struct world_space *a = world_fork(p), *b = world_fork(p);
    world_write(p, 1, 1);
    struct world_space *c = world_fork(p);
    world_write(p, 2, 1);
    CHECK_EQ(candidates(&w, world_page(p, 0)), BIT(p) | BIT(a) | BIT(b) | BIT(c));
    CHECK_EQ(candidates(&w, world_page(p, 1)), BIT(p) | BIT(c));
    CHECK_EQ(candidates(&w, world_page(p, 2)), BIT(p));
    struct world_space *d = world_fork(a); /* inherits what A inherited */
    world_write(a, 3, 1);
    CHECK_EQ(candidates(&w, world_page(p, 0)), BIT(p) | BIT(a) | BIT(b) | BIT(c) | BIT(d));
    CHECK_EQ(candidates(&w, world_page(p, 1)), BIT(p) | BIT(c));
    CHECK_EQ(candidates(&w, world_page(a, 3)), BIT(a));
    CHECK_EQ(world_mappers(&w, world_page(p, 0)), BIT(p) | BIT(a) | BIT(b) | BIT(c) | BIT(d));
    CHECK_EQ(world_mappers(&w, world_page(p, 1)), BIT(p) | BIT(c));
    world_check(&w);
    world_fini(&w);
}

struct order {
    unsigned n, number[16];
};
static int note_order(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t entry)
{
    struct order *o = ctx;
    (void)vpn, (void)entry;
    o->number[o->n++] = ((struct world_space *)m->user)->number;
    return 0;
}

/*  INV-4.  0 forks 1, 1 forks 2, 0 forks 3, 1 forks 4, 2 forks 5, 0 writes and forks 6:
 *  0: [1: [2: [5]] [4]] [3] | [6]     page 0 of the first epoch is everywhere */
RMAP_TEST(tree, walks_meet_the_source_of_a_fork_before_its_child)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s[7];
    s[0] = world_space(&w);
    world_write(s[0], 0, 1);
    s[1] = world_fork(s[0]);
    s[2] = world_fork(s[1]);
    s[3] = world_fork(s[0]);
    s[4] = world_fork(s[1]);
    s[5] = world_fork(s[2]);
    world_write(s[0], 9, 1);
    s[6] = world_fork(s[0]);
    struct rmap_page *page = world_page(s[0], 0);
    struct order o = {0};
    struct rmap_result res;
    rmap_page_lock(page);
    CHECK_OK(rmap_each_mapping(w.r, &page, 1, 0, note_order, &o, &res));
    rmap_page_unlock(w.r, page);
    static const unsigned expected[7] = {0, 1, 2, 5, 4, 3, 6};
    CHECK_EQ(o.n, 7);
    for (unsigned i = 0; i < 7; i++) CHECK_EQ(o.number[i], expected[i]);
    world_fini(&w);
}

/*  P: [e0: A] [e1: B] [e2: C] [open]   B exits: e1 merges into e2; A exits: e0 too */
RMAP_TEST(tree, an_epoch_without_children_merges_into_the_next_newer_one)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *kid[3];
    for (unsigned i = 0; i < 3; i++) {
        world_write(p, i, 1);
        kid[i] = world_fork(p);
    }
    CHECK_EQ(epochs_of(p), 4);
    world_exit(kid[1]);
    CHECK_EQ(epochs_of(p), 3);
    CHECK_EQ(candidates(&w, world_page(p, 0)), BIT(p) | BIT(kid[0]) | BIT(kid[2]));
    CHECK_EQ(candidates(&w, world_page(p, 1)), BIT(p) | BIT(kid[2]));
    CHECK_EQ(candidates(&w, world_page(p, 2)), BIT(p) | BIT(kid[2]));
    world_exit(kid[0]);
    CHECK_EQ(epochs_of(p), 2);
    CHECK_EQ(candidates(&w, world_page(p, 0)), BIT(p) | BIT(kid[2]));
    CHECK_EQ(world_mappers(&w, world_page(p, 0)), BIT(p) | BIT(kid[2]));
    world_exit(kid[2]); /* now into the open one */
    CHECK_SHAPE(p, 1, 1, 1);
    for (unsigned i = 0; i < 3; i++) CHECK_EQ(candidates(&w, world_page(p, i)), BIT(p));
    world_write(p, 5, 1);
    world_check(&w);
    world_fini(&w);
}

/* A2.  P: [C: [D] [E]]  pages 0 (of P) and 1 (of C, before E); P exits: C takes its place, P's page joins C's oldest epoch */
RMAP_TEST(tree, A2_the_owner_exits_and_its_page_is_found_in_child_and_grandchildren)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 0, 1);
    struct world_space *c = world_fork(p), *d = world_fork(c);
    world_write(c, 1, 1);
    struct world_space *e = world_fork(c);
    struct rmap_page *page = world_page(p, 0);
    world_exit(p);
    CHECK_SHAPE(c, 3, 3, 5);
    CHECK_EQ(epochs_of(c), 3);
    CHECK_EQ(candidates(&w, page), BIT(c) | BIT(d) | BIT(e));
    CHECK_EQ(world_mappers(&w, page), BIT(c) | BIT(d) | BIT(e)); /* the newest epoch would have lost D */
    CHECK_EQ(candidates(&w, world_page(c, 1)), BIT(c) | BIT(e));
    world_zap(c, 0, 1);
    world_zap(e, 0, 1);
    CHECK_EQ(world_mappers(&w, page), BIT(d));
    world_check(&w);
    world_fini(&w);
}

/* A3, A16.  P: [e0: A] [e1: B] [e2: C], pages 0, 1, 2. P exits: a dead node of three. A exits, then C: B alone is left. */
RMAP_TEST(tree, A16_old_and_young_pages_of_a_dead_generation_stay_found)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *kid[3];
    for (unsigned i = 0; i < 3; i++) {
        world_write(p, i, 10 + i);
        kid[i] = world_fork(p);
    }
    struct rmap_page *page[3] = {world_page(p, 0), world_page(p, 1), world_page(p, 2)};
    world_exit(p);
    CHECK_SHAPE(kid[0], 3, 4, 7);
    CHECK_EQ(world_mappers(&w, page[0]), 7 << 1);
    CHECK_EQ(world_mappers(&w, page[1]), 6 << 1);
    CHECK_EQ(world_mappers(&w, page[2]), 4 << 1);
    world_exit(kid[0]);
    CHECK_EQ(world_mappers(&w, page[0]), 6 << 1);
    CHECK_EQ(world_mappers(&w, page[1]), 6 << 1);
    world_check(&w);
    world_exit(kid[2]);
    CHECK_SHAPE(kid[1], 1, 1, 1); /* the dead node did not live for ever */
    CHECK_EQ(world_mappers(&w, page[0]), 2 << 1);
    CHECK_EQ(world_mappers(&w, page[1]), 2 << 1);
    CHECK_EQ(world_read(kid[1], 0), 10);
    CHECK_EQ(world_read(kid[1], 1), 11);
    CHECK_EQ(world_read(kid[1], 2), 0);
    world_check(&w);
    world_fini(&w);
}

/*  G: [X: [a b]] [Y]   G, X exit (dead, two children each), then a, then b: Y is alone */
RMAP_TEST(tree, dead_nodes_fold_upward_as_their_children_leave)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *g = world_space(&w);
    world_write(g, 0, 1);
    struct world_space *x = world_fork(g), *y = world_fork(g), *a = world_fork(x), *b = world_fork(x);
    struct rmap_page *page = world_page(g, 0);
    world_exit(g);
    world_exit(x);
    CHECK_SHAPE(y, 3, 5, 7);
    CHECK_EQ(world_mappers(&w, page), BIT(y) | BIT(a) | BIT(b));
    world_exit(a);
    CHECK_SHAPE(y, 2, 3, 4);
    CHECK_EQ(world_mappers(&w, page), BIT(y) | BIT(b));
    world_exit(b);
    CHECK_SHAPE(y, 1, 1, 1);
    CHECK_EQ(world_mappers(&w, page), BIT(y));
    world_check(&w);
    world_fini(&w);
}

/* A13, model R1b.  A: [e0: E] [e1: F] [open]. F exits: e1's page joins the open epoch as an alias. The open epoch's own page
 * goes. A forks: the alias alone must close the epoch, or the child hangs too low for the page. */
RMAP_TEST(tree, A13_pages_that_are_owned_through_an_alias_close_the_epoch)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *a = world_space(&w);
    world_write(a, 0, 1);
    world_fork(a);
    world_write(a, 1, 1);
    struct world_space *f = world_fork(a);
    world_write(a, 2, 1);
    world_exit(f);
    world_zap(a, 2, 1);
    CHECK_EQ(epochs_of(a), 2);
    struct world_space *g = world_fork(a);
    CHECK_EQ(epochs_of(a), 3);
    CHECK_EQ(candidates(&w, world_page(a, 1)), BIT(a) | BIT(g));
    CHECK_EQ(world_mappers(&w, world_page(a, 1)), BIT(a) | BIT(g));
    world_check(&w);
    world_fini(&w);
}

/* A swap slot alone refers to the open epoch: vpn 7 of P is on swap when P forks */
RMAP_TEST(tree, swap_slots_alone_close_the_epoch)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_fork(p);
    world_write(p, 7, 1);
    CHECK(world_swap_out(&w, world_page(p, 7)));
    CHECK_EQ(w.frames_used, 0);
    struct world_space *c = world_fork(p);
    CHECK_EQ(epochs_of(p), 3);
    CHECK_EQ(world_read(c, 7), 1);
    CHECK_EQ(world_read(p, 7), 1);
    CHECK_EQ(world_mappers(&w, world_page(p, 7)), BIT(p) | BIT(c));
    world_check(&w);
    world_fini(&w);
}

/* Tags: P: [e0: A] with two owners outside (a slot map's, say) */
RMAP_TEST(tree, owners_are_counted_and_an_epoch_without_any_is_simply_dropped)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 0, 1);
    struct world_space *a = world_fork(p);
    rmap_owner_t owner = rmap_page_owner(world_page(p, 0));
    struct rmap__tag *tag = rmap__owner_tag(owner);
    CHECK_EQ(tag->refs, 2); /* epoch, page */
    rmap_owner_get(owner);
    rmap_owner_get(owner);
    rmap_owner_get(0);
    CHECK_EQ(tag->refs, 4);
    world_zap(p, 0, 1);
    world_zap(a, 0, 1);
    CHECK_EQ(tag->refs, 3);
    uint64_t tags = shape_of(p).tags;
    world_exit(a); /* e0 merges into the open epoch: the tag lives on, for its owners */
    CHECK_EQ(shape_of(p).tags, tags - 1);
    CHECK(rmap__tag_find(tag) == TAILQ_LAST(&p->m.node->epochs, rmap__epochs)->tag);
    rmap_owner_put(owner);
    rmap_owner_put(owner);
    rmap_owner_put(0);
    world_exit(world_fork(p)); /* whoever edits the tree frees the dead */
    CHECK_EQ(shape_of(p).tags, 1);
    CHECK_SHAPE(p, 1, 1, 1);
    world_check(&w);
    world_fini(&w);
}

static unsigned depth_of(const struct rmap__tag *t)
{
    unsigned d = 0;
    for (; t->up; t = t->up) d++;
    return d;
}

/* 64 epochs with an owner each join one by one, the survivor being the younger each time */
RMAP_TEST(tree, tags_join_by_rank_so_that_a_look_up_is_short)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *kid[64];
    rmap_owner_t owner[64];
    for (unsigned i = 0; i < 64; i++) {
        world_write(p, i, 1);
        owner[i] = rmap_page_owner(world_page(p, i));
        kid[i] = world_fork(p);
    }
    for (unsigned i = 0; i < 64; i++) world_exit(kid[i]);
    CHECK_SHAPE(p, 1, 1, 1);
    for (unsigned i = 0; i < 64; i++) {
        CHECK_LE(depth_of(rmap__owner_tag(owner[i])), 1);
        CHECK_EQ(rmap_page_owner(world_page(p, i)), owner[i]); /* no page was touched */
    }
    world_check(&w);
    world_fini(&w);
}

/*  0: [1: [3] [4]] [2: [5]] with a write before each fork; page v = v-th space's own, page 100 of 0. Exits in every order. */
RMAP_TEST(tree, whatever_the_order_of_exits_every_mapping_is_found)
{
    unsigned order[6] = {0, 1, 2, 3, 4, 5};
    for (unsigned perm = 0; perm < 720; perm++) {
        unsigned rest[6] = {0, 1, 2, 3, 4, 5}, k = perm;
        for (unsigned i = 0; i < 6; i++) { /* the perm-th permutation */
            unsigned at = k % (6 - i);
            k /= 6 - i;
            order[i] = rest[at];
            memmove(&rest[at], &rest[at + 1], (5 - i - at) * sizeof *rest);
        }
        struct world w;
        world_init(&w, &(struct world_options){.caps = RMAP_MMU_NO_TLB, .no_contents = true});
        static const unsigned parent[6] = {0, 0, 0, 1, 1, 2};
        struct world_space *s[6];
        struct rmap_page *page[6];
        uint64_t has[6] = {1, 0, 0, 0, 0, 0};
        s[0] = world_space(&w);
        world_write(s[0], 0, 1);
        page[0] = world_page(s[0], 0);
        for (unsigned i = 1; i < 6; i++) {
            world_write(s[parent[i]], 6 + i, 1);
            s[i] = world_fork(s[parent[i]]);
            world_write(s[i], i, 1);
            page[i] = world_page(s[i], i);
            has[i] = (uint64_t)1 << i;
            for (unsigned v = 0; v < i; v++)
                if (has[v] >> parent[i] & 1) has[v] |= (uint64_t)1 << i;
        }
        uint64_t alive = 63;
        for (unsigned i = 0; i < 6; i++) {
            world_exit(s[order[i]]);
            alive &= ~((uint64_t)1 << order[i]);
            for (unsigned v = 0; v < 6; v++)
                if (has[v] & alive) CHECK_EQ(world_mappers(&w, page[v]), has[v] & alive);
            world_check(&w);
        }
        world_fini(&w);
    }
}
