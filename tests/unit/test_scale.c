/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_scale.c  What walks cost in large groups: counted, never timed. The figures are those of the Python model
 * (../shared/model: `meas`), on which the design was judged.
 */
#include "support/world.h"

#include <core/core.h>
#include <stdlib.h>

struct cost {
    uint64_t n, nodes, visits, hits, most;
};
static void look(struct world *w, struct rmap_page *page, struct cost *c)
{
    struct rmap_result res = world_referenced(w, page);
    CHECK_EQ(res.outcome, RMAP_DONE);
    c->n++;
    c->nodes += res.nodes;
    c->visits += res.visits;
    c->hits += res.hits;
    if (res.nodes > c->most) c->most = res.nodes;
}
#define CHECK_COST(c, n_, nodes_, visits_, hits_)                                                                      \
    do {                                                                                                               \
        CHECK_EQ((c).n, n_);                                                                                           \
        CHECK_EQ((c).nodes, nodes_);                                                                                   \
        CHECK_EQ((c).visits, visits_);                                                                                 \
        CHECK_EQ((c).hits, hits_);                                                                                     \
    } while (0)

static void big_world(struct world *w, uint64_t frames)
{
    world_init(w, &(struct world_options){.caps = RMAP_MMU_NO_TLB, .frames = frames, .no_contents = true});
}

/* G1, G3.  a parent with 200 pages, 300 children, each of which writes them all */
RMAP_TEST(scale, G1_a_child_private_page_costs_one_visit_however_many_siblings_there_are)
{
    struct world w;
    big_world(&w, 200 + 300 * 200);
    struct world_space *p = world_space(&w), *kid[300];
    for (rmap_vpn_t v = 0; v < 200; v++) world_write(p, v, 0);
    for (unsigned i = 0; i < 300; i++) kid[i] = world_fork(p);
    for (unsigned i = 0; i < 300; i++)
        for (rmap_vpn_t v = 0; v < 200; v++) world_write(kid[i], v, 0);
    struct cost private = {0}, parents = {0};
    for (unsigned i = 0; i < 300; i++)
        for (rmap_vpn_t v = 0; v < 200; v++) look(&w, world_page(kid[i], v), &private);
    for (rmap_vpn_t v = 0; v < 200; v++) look(&w, world_page(p, v), &parents);
    CHECK_COST(private, 60000, 60000, 60000, 60000); /* the issue asks for 1.01 at most */
    CHECK_COST(parents, 200, 200, 200, 200);
    struct rmap_group_shape shape;
    CHECK_OK(rmap_group_get_shape(&p->m, &shape));
    CHECK_EQ(shape.nodes, 301);
    CHECK_EQ(shape.epochs, 302);
    CHECK_EQ(shape.tags, 302);
    world_check(&w);
    world_fini(&w);
}

/* `left`.  1,000 forks, a write of page i after fork i; page 1,000 is never written */
RMAP_TEST(scale, pages_left_behind_in_children_are_sought_where_they_can_be)
{
    struct world w;
    big_world(&w, 2100);
    struct world_space *p = world_space(&w);
    struct rmap_page *old[1000];
    for (rmap_vpn_t v = 0; v < 1001; v++) world_write(p, v, 0);
    for (unsigned i = 0; i < 1000; i++) {
        old[i] = world_page(p, i);
        world_fork(p);
        world_write(p, i, 0);
    }
    struct cost never = {0}, behind = {0}, once = {0};
    look(&w, world_page(p, 1000), &never);
    CHECK_COST(never, 1, 1001, 1001, 1001);
    for (unsigned i = 0; i < 1000; i += 50) look(&w, old[i], &behind);
    CHECK_COST(behind, 20, 20 * 477, 20 * 477, 20 * 476);
    for (unsigned i = 0; i < 1000; i += 7) look(&w, world_page(p, i), &once);
    CHECK_COST(once, 143, 143 * 503, 143 * 503, 143 * 503);
    struct rmap_group_shape shape;
    CHECK_OK(rmap_group_get_shape(&p->m, &shape));
    CHECK_EQ(shape.nodes, 1001);
    CHECK_EQ(shape.epochs, 1001 + 1000);
    world_check(&w);
    world_fini(&w);
}

/* `left`.  always page 0: its old copy is left in child i alone */
RMAP_TEST(scale, an_old_copy_in_one_child_costs_two_visits_and_then_one)
{
    struct world w;
    big_world(&w, 1100);
    struct world_space *p = world_space(&w), *kid[1000];
    world_write(p, 0, 0);
    for (unsigned i = 0; i < 1000; i++) {
        kid[i] = world_fork(p);
        world_write(p, 0, 0);
    }
    struct cost first = {0}, second = {0};
    for (unsigned i = 0; i < 1000; i++) look(&w, world_page(kid[i], 0), &first);
    for (unsigned i = 0; i < 1000; i++) look(&w, world_page(kid[i], 0), &second);
    CHECK_COST(first, 1000, 2000, 2000, 1000);
    CHECK_COST(second, 1000, 1000, 1000, 1000);
    world_check(&w);
    world_fini(&w);
}

/* `rnd`.  200 inherited pages, page v left in child 7v mod 200 alone (each child has one); parent dead, and alive */
RMAP_TEST(scale, scattered_pages_cost_one_search_each_and_then_one_visit)
{
    for (unsigned alive = 0; alive < 2; alive++) {
        struct world w;
        big_world(&w, 500);
        struct world_space *p = world_space(&w), *kid[200];
        struct rmap_page *page[200];
        for (rmap_vpn_t v = 0; v < 200; v++) {
            world_write(p, v, 0);
            page[v] = world_page(p, v);
        }
        for (unsigned i = 0; i < 200; i++) kid[i] = world_fork(p);
        for (unsigned i = 0; i < 200; i++)
            for (rmap_vpn_t v = 0; v < 200; v++)
                if (7 * v % 200 != i) world_zap(kid[i], v, 1);
        if (!alive) world_exit(p);
        for (rmap_vpn_t v = 0; alive && v < 200; v++) world_write(p, v, 0);
        struct cost first = {0}, second = {0};
        for (rmap_vpn_t v = 0; v < 200; v++) look(&w, page[v], &first);
        for (rmap_vpn_t v = 0; v < 200; v++) look(&w, page[v], &second);
        /* the model's 101.5 nodes, 100.5 or 101.5 spaces; and a probe of the hint, in vain, in every search longer than four */
        CHECK_COST(first, 200, 20300, 20100 + 200 * alive + 196, 200);
        CHECK_COST(second, 200, 200, 200, 200);
        CHECK_EQ(world_stats(&w).first_lookups.walks, 200);
        world_check(&w);
        world_fini(&w);
    }
}

/* `chain_alive`.  1,000 generations, nobody exits */
RMAP_TEST(scale, a_chain_of_living_generations)
{
    struct world w;
    big_world(&w, 1100);
    struct world_space *s = world_space(&w);
    world_write(s, 0, 0);
    struct rmap_page *page = world_page(s, 0);
    for (unsigned g = 0; g < 1000; g++) {
        s = world_fork(s);
        world_write(s, 1, 0);
    }
    struct cost root = {0}, leaf = {0};
    look(&w, page, &root);
    look(&w, world_page(s, 1), &leaf);
    CHECK_COST(root, 1, 1001, 1001, 1001);
    CHECK_COST(leaf, 1, 1, 1, 1);
    world_check(&w);
    world_fini(&w);
}

static unsigned depth_of(const struct rmap__tag *t)
{
    unsigned d = 0;
    for (; t->up; t = t->up) d++;
    return d;
}

/* A8, A17, `chain`.  20,000 generations; page 0 is kept through all of them; 1 and 2 are written and dropped in each, before
 * or after the parent exits */
RMAP_TEST(scale, A8_A17_generations_leave_nothing_behind)
{
    for (unsigned after = 0; after < 2; after++) {
        struct world w;
        big_world(&w, 64);
        struct world_space *s = world_space(&w);
        world_write(s, 0, 0);
        struct rmap_page *kept = world_page(s, 0);
        size_t blocks = 0;
        uint64_t nodes = 0, epochs = 0, tags = 0;
        for (unsigned g = 0; g < 20000; g++) {
            struct world_space *c = world_fork(s);
            if (after) world_exit(s);
            world_write(c, 1, 0);
            world_write(c, 2, 0);
            if (!after) world_exit(s);
            world_zap(c, 1, 2);
            s = c;
            struct rmap_group_shape shape;
            CHECK_OK(rmap_group_get_shape(&s->m, &shape));
            if (shape.nodes > nodes) nodes = shape.nodes;
            if (shape.epochs > epochs) epochs = shape.epochs;
            if (shape.tags > tags) tags = shape.tags;
            if (w.alloc.live_blocks > blocks) blocks = w.alloc.live_blocks;
        }
        CHECK_EQ(nodes, 1);
        CHECK_EQ(epochs, 1);
        CHECK_LE(tags, 4);
        CHECK_LE(depth_of(rmap__owner_tag(rmap_page_owner(kept))), 1); /* A17 */
        struct cost c = {0};
        look(&w, kept, &c);
        CHECK_COST(c, 1, 1, 1, 1);
        CHECK_LE(blocks, 24);
        CHECK_EQ(world_stats(&w).forks, 20000);
        world_check(&w);
        world_fini(&w);
    }
}

/* A8.  4,000 generations, each of which leaves one child behind for a while (8 of them live), and one page in each */
RMAP_TEST(scale, A8_the_tree_follows_the_living_and_the_page_owners)
{
    struct world w;
    big_world(&w, 256);
    struct world_space *s = world_space(&w), *left[8] = {NULL};
    world_write(s, 0, 0);
    struct cost c = {0};
    for (unsigned g = 0; g < 4000; g++) {
        world_write(s, 1 + g % 16, 0);
        struct world_space *stays = world_fork(s), *next = world_fork(s);
        world_exit(s);
        if (left[g % 8]) world_exit(left[g % 8]);
        left[g % 8] = stays;
        s = next;
        struct rmap_group_shape shape;
        CHECK_OK(rmap_group_get_shape(&s->m, &shape));
        CHECK_LE(shape.nodes, 2 * shape.members);
        CHECK_LE(shape.epochs, 3 * shape.members);
        CHECK_LE(shape.tags, shape.epochs + 32);
        if (g % 100 == 0) look(&w, world_page(s, 1 + g % 16), &c);
    }
    CHECK_LE(c.most, 18); /* 9 members, as many dead nodes at most */
    CHECK_LE(depth_of(rmap__owner_tag(rmap_page_owner(world_page(s, 0)))), 5);
    world_check(&w);
    world_fini(&w);
}

/* ---- very many members: a space of eight pages each, without the world's processors ---- */

struct small {
    struct rmap_member m;
    struct rmap_mmu mmu;
};
static const struct rmap_radix_geometry eight = {
    .name = "eight", .format = &rmap_pte_format_soft, .levels = 1, .bits = {3}};

static void small_mmu(struct small *s)
{
    CHECK_OK(rmap_radix_create(&(struct rmap_radix_options){.struct_size = sizeof(struct rmap_radix_options),
                                                            .geometry = &eight,
                                                            .caps = RMAP_MMU_NO_TLB},
                               &s->mmu));
}
static void small_set(struct small *s, rmap_vpn_t vpn, rmap_pte_t e)
{
    struct rmap_mmu_run run;
    CHECK_OK(s->mmu.ops->run_find(s->mmu.ctx, vpn, vpn + 1, &run));
    rmap_run_set(&s->mmu, &run, (uint32_t)vpn, e);
    s->mmu.ops->run_unlock(s->mmu.ctx, &run);
}

#define MANY 70000

/* A9, G5.  page 3 of P is mapped by P and 70,000 children; then by the last of them alone, owner alive and dead */
RMAP_TEST(scale, A9_G5_seventy_thousand_mappers_and_then_one)
{
    for (unsigned dead = 0; dead < 2; dead++) {
        struct world w;
        struct rmap_page *page;
        big_world(&w, 4);
        struct small *s = calloc(MANY + 1, sizeof *s);
        small_mmu(&s[0]);
        CHECK_OK(rmap_member_init(w.r, &s[0].m, &s[0].mmu));
        CHECK_OK(rmap_page_alloc(w.r, RMAP_PFN_NONE, &page));
        CHECK_OK(rmap_page_map_new(&s[0].m, page, 3));
        small_set(&s[0], 3, rmap_pte_make(&rmap_pte_format_soft, rmap_page_pfn(w.r, page), 1u << RMAP_ATTR_WRITE));
        rmap_page_put(w.r, page);
        for (unsigned i = 1; i <= MANY; i++) {
            struct rmap_fork f;
            small_mmu(&s[i]);
            CHECK_OK(rmap_fork_begin(&s[0].m, &s[i].m, &s[i].mmu, &f));
            CHECK_OK(rmap_fork_copy(&f, 0, 8, 0));
            rmap_fork_commit(&f);
        }
        CHECK_EQ(rmap_page_mapcount(page), MANY + 1);
        CHECK_EQ(page->refcount, 1);
        struct cost all = {0}, first = {0}, second = {0};
        look(&w, page, &all);
        CHECK_COST(all, 1, MANY + 1, MANY + 1, MANY + 1);
        for (unsigned i = 0; i < MANY; i++) CHECK_OK(rmap_zap(&s[i].m, 0, 8, NULL));
        if (dead) CHECK_OK(rmap_member_leave(&s[0].m));
        CHECK_EQ(rmap_page_mapcount(page), 1);
        look(&w, page, &first);
        CHECK_COST(first, 1, MANY + 1, MANY + 1 - dead, 1);
        look(&w, page, &second);
        CHECK_COST(second, 1, 1, 1, 1);
        CHECK_OK(rmap_verify(w.r, NULL));
        CHECK_OK(rmap_zap(&s[MANY].m, 0, 8, NULL));
        for (unsigned i = dead; i <= MANY; i++) CHECK_OK(rmap_member_leave(&s[i].m));
        for (unsigned i = 0; i <= MANY; i++) rmap_radix_destroy(&s[i].mmu);
        free(s);
        world_fini(&w);
    }
}
