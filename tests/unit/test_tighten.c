/* SPDX-License-Identifier: MIT */
/** @file unit/test_tighten.c  Tightening: a search that wasted steps is not repeated. */
#include "support/world.h"

#include <core/core.h>

/* A parent with `n` children, all mapping vpn 7. */
static struct world_space *family(struct world *w, unsigned n)
{
    struct world_space *p = world_space(w);
    world_write(p, 7, 1);
    while (n--) world_fork(p);
    return p;
}

/*  P with 8 children; vpn 7 is left in the fifth alone */
RMAP_TEST(tighten, a_search_that_wasted_visits_is_not_repeated)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = family(&w, 8);
    struct rmap_page *page = world_page(p, 7);
    for (unsigned i = 0; i < 9; i++)
        if (i != 5) world_zap(w.spaces[i], 7, 1);
    struct rmap_result res = world_referenced(&w, page);
    CHECK_EQ(res.visits, 6);
    CHECK_EQ(res.nodes, 6);
    CHECK_EQ(res.hits, 1);
    CHECK_EQ(res.tightened, 1);
    CHECK_EQ(rmap_page_owner(page), rmap_member_home(&w.spaces[5]->m));
    res = world_referenced(&w, page);
    CHECK_EQ(res.visits, 1);
    CHECK_EQ(res.tightened, 0);
    struct world_space *kid = world_fork(w.spaces[5]); /* and it is inherited from there */
    CHECK_EQ(world_mappers(&w, page), 1 << 5 | 1 << kid->number);
    CHECK_EQ(world_stats(&w).first_lookups.walks, 1);
    world_check(&w);
    world_fini(&w);
}

/*  0: [1] [2: [3 ; 4] [5]] [6]   (2 writes before 5)   vpn 7 left in 4 and 5: bound is the oldest epoch of 2 with a hit */
RMAP_TEST(tighten, several_hits_tighten_to_the_lowest_node_and_its_oldest_epoch_with_a_hit)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s[7];
    s[0] = family(&w, 1);
    s[1] = w.spaces[1];
    s[2] = world_fork(s[0]);
    s[3] = world_fork(s[2]);
    world_write(s[2], 20, 1);
    s[4] = world_fork(s[2]);
    world_write(s[2], 21, 1);
    s[5] = world_fork(s[2]);
    s[6] = world_fork(s[0]);
    struct rmap_page *page = world_page(s[0], 7);
    for (unsigned i = 0; i < 7; i++)
        if (i != 4 && i != 5) world_zap(s[i], 7, 1);
    struct rmap_result res = world_referenced(&w, page);
    CHECK_EQ(res.visits, 6);
    CHECK_EQ(res.tightened, 1);
    const struct rmap__epoch *second = TAILQ_NEXT(TAILQ_FIRST(&s[2]->m.node->epochs), link);
    CHECK(rmap__tag_find(rmap__owner_tag(rmap_page_owner(page)))->epoch == second);
    res = world_referenced(&w, page);
    CHECK_EQ(res.visits, 3); /* 2 itself, 4, 5: neither 3 nor anybody beside 2 */
    CHECK_EQ(res.tightened, 0); /* as low as it gets */
    CHECK_EQ(rmap_page_owner(page), rmap__tag_owner(second->tag));
    CHECK(!rmap_member_is_candidate(&s[3]->m, page));
    CHECK_EQ(world_mappers(&w, page), 1 << 4 | 1 << 5);
    world_check(&w);
    world_fini(&w);
}

/*  0 (dead): [1] [2]   vpn 7 left in 1: found at once, but past a dead node; next time without it */
RMAP_TEST(tighten, dead_nodes_on_the_way_count_as_waste_too)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = family(&w, 2), *a = w.spaces[1], *b = w.spaces[2];
    struct rmap_page *page = world_page(a, 7);
    world_exit(p);
    world_zap(b, 7, 1);
    struct rmap_result res = world_referenced(&w, page);
    CHECK_EQ(res.visits, 1);
    CHECK_EQ(res.nodes, 2);
    CHECK_EQ(res.tightened, 1);
    res = world_referenced(&w, page);
    CHECK_EQ(res.nodes, 1);
    CHECK_EQ(rmap_page_owner(page), rmap_member_home(&a->m));
    world_fini(&w);
}

/* vpn 7 of P and 4 children, left in the third; unmap makes the slot: its home is tight, and the next swap-in cheap */
RMAP_TEST(tighten, unmap_tightens_a_slot_that_it_filled_alone)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = family(&w, 4), *c = w.spaces[3];
    struct rmap_page *page = world_page(p, 7);
    for (unsigned i = 0; i < 5; i++)
        if (i != 3) world_zap(w.spaces[i], 7, 1);
    rmap_page_get(page);
    struct rmap_result res = world_unmap(&w, page, 0);
    CHECK_EQ(res.tightened, 1);
    struct rmap_slot_home home;
    CHECK_OK(rmap_swap_get_ops()->get_home(w.swap, page->swap, &home));
    CHECK_EQ(home.owner, rmap_member_home(&c->m));
    CHECK_EQ(home.index, 7);
    struct world_space *d = world_fork(c); /* both entries are in the slot's candidates */
    world_check(&w);
    world_read(d, 7);
    res = world_unmap(&w, page, 0); /* an older entry names the slot: its home stays */
    CHECK_EQ(res.tightened, 0);
    rmap_owner_t tight = home.owner;
    CHECK_OK(rmap_swap_get_ops()->get_home(w.swap, page->swap, &home));
    CHECK_EQ(home.owner, tight);
    world_check(&w);
    rmap_page_put(w.r, page);
    world_fini(&w);
}

/* vpn 7 of P and 4 children: on swap, read back by all, left in the third; its clean copy's slot is as wide as it was. The page
 * is found and tightened; unmapped again it brings the slot along. */
RMAP_TEST(tighten, unmap_gives_the_slot_of_a_clean_copy_the_tighter_home_of_its_page)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = family(&w, 4), *c = w.spaces[3];
    struct rmap_page *page = world_page(p, 7);
    struct rmap_slot_home home;
    rmap_page_get(page);
    CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE);
    for (unsigned i = 0; i < 5; i++) CHECK_EQ(world_read(w.spaces[i], 7), 1);
    for (unsigned i = 0; i < 5; i++)
        if (i != 3) world_zap(w.spaces[i], 7, 1);
    CHECK_EQ(world_referenced(&w, page).tightened, 1);
    CHECK_OK(rmap_swap_get_ops()->get_home(w.swap, page->swap, &home));
    CHECK_NE(home.owner, rmap_member_home(&c->m));
    CHECK_EQ(world_unmap(&w, page, 0).visits, 1);
    CHECK_OK(rmap_swap_get_ops()->get_home(w.swap, page->swap, &home));
    CHECK_EQ(home.owner, rmap_member_home(&c->m));
    rmap_page_put(w.r, page);
    world_check(&w);
    world_fini(&w);
}
