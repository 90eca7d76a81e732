/* SPDX-License-Identifier: MIT */
/** @file unit/test_pager_usage.c  Attribution of spaces: what the shares say is what the pager's frames and slots say. */
#include "unit/pager_world.h"

static struct world w;

static struct rmap_usage usage(struct rmap_space *s)
{
    struct rmap_usage u;
    CHECK_OK(rmap_space_get_usage(s, &u));
    return u;
}

/* Against the pager's own look at each frame, and the slot map's at each slot. */
static struct rmap_group_usage group_usage(struct rmap_space *s)
{
    struct rmap_group_usage g;
    CHECK_OK(rmap_space_get_group_usage(s, &g));
    const struct rmap_pager_stats st = stats(&w);
    CHECK_EQ(g.resident_pages, st.shared_pages + st.exclusive_pages);
    CHECK_LE(g.swap_slots, swap_stats(&w).slots_used);
    return g;
}

/* P: 0-7 written, 8-9 read; C forked, writes 0-1; all evicted; each reads 4 */
RMAP_TEST(pager_usage, shares_follow_pages_from_memory_to_swap_and_back)
{
    world_init(&w, 64, 64, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 0, 10, RW);
    fill(p, 0, 8, 100);
    CHECK_EQ(get(p, 8) + get(p, 9), 0);
    CHECK_EQ(usage(p).exclusive, 8);
    CHECK_EQ(usage(p).special, 2);
    struct rmap_space *c = space_fork(&w, p);
    fill(c, 0, 2, 200);
    CHECK_EQ(usage(p).exclusive, 2);
    CHECK_EQ(usage(p).shared, 6);
    CHECK_EQ(usage(c).resident.pages, 5); /* 2 + 6 / 2 */
    CHECK_EQ(usage(c).resident.fraction, 0);
    CHECK_EQ(group_usage(c).resident_pages, 10);

    evict_all(&w);
    CHECK_EQ(group_usage(p).resident_pages, 0);
    CHECK_EQ(group_usage(p).swap_slots, 10);
    CHECK_EQ(usage(p).swap_shared, 6);
    CHECK_EQ(usage(p).swap.pages, 5);
    CHECK_EQ(get(p, 4), 104);
    CHECK_EQ(usage(p).shared, 1);
    CHECK_EQ(usage(p).resident.pages, 1);
    CHECK_EQ(get(c, 4), 104);
    CHECK_EQ(usage(p).resident.fraction, (uint64_t)1 << 63);
    CHECK_EQ(group_usage(p).swap_slots, 9); /* that of 4 is a clean copy now */
    space_end(&w, p);
    CHECK_EQ(usage(c).exclusive, 1);
    CHECK_EQ(usage(c).swap_exclusive, 7);
    CHECK_EQ(group_usage(c).members, 1);
    world_fini(&w);
}

/* Two families: each group is charged with its own */
RMAP_TEST(pager_usage, groups_do_not_mix_and_exec_leaves_one)
{
    world_init(&w, 64, 0, 0);
    struct rmap_space *a = space_new(&w), *b = space_new(&w);
    struct rmap_group_usage g;
    map_at(a, 0, 4, RW);
    map_at(b, 0, 4, RW);
    fill(a, 0, 4, 1);
    fill(b, 0, 3, 1);
    struct rmap_space *c = space_fork(&w, a);
    CHECK_OK(rmap_space_get_group_usage(c, &g));
    CHECK_EQ(g.resident_pages, 4);
    CHECK_OK(rmap_space_get_group_usage(b, &g));
    CHECK_EQ(g.resident_pages, 3);
    CHECK_OK(rmap_space_exec(c));
    CHECK_EQ(usage(c).present, 0);
    CHECK_EQ(usage(a).exclusive, 4);
    CHECK_ERR(rmap_space_get_usage(NULL, &g.sum), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_get_usage(a, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_get_group_usage(NULL, &g), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_get_group_usage(a, NULL), RMAP_ERR_NULL_ARG);
    world_fini(&w);
}
