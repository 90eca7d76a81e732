/* SPDX-License-Identifier: MIT */
/** @file unit/test_usage.c  Attribution: shared, exclusive, swapped, and shares that add up exactly. */
#include "support/prng.h"
#include "support/world.h"

#include <objrmap/usage.h>
#include <stdlib.h>

__extension__ typedef unsigned __int128 wide;

static wide wide_of(struct rmap_share s)
{
    return (wide)s.pages << 64 | s.fraction;
}
static void check_share(struct rmap_share s, uint64_t pages, uint64_t fraction)
{
    CHECK_EQ(s.pages, pages);
    CHECK_EQ(s.fraction, fraction);
}
static struct rmap_usage usage(struct world_space *s)
{
    struct rmap_usage u;
    CHECK_OK(rmap_member_get_usage(&s->m, &u));
    CHECK_EQ(u.exclusive + u.shared, u.present);
    CHECK_EQ(u.swap_exclusive + u.swap_shared, u.swapped);
    CHECK_EQ(u.present, s->m.mapped);
    CHECK_EQ(u.swapped, s->m.swapped);
    return u;
}
static struct rmap_group_usage group_usage(struct world_space *s)
{
    struct rmap_group_usage g;
    CHECK_OK(rmap_group_get_usage(&s->m, &g));
    return g;
}

#define HALF ((uint64_t)1 << 63)
#define THIRD UINT64_C(0x5555555555555555)

/* ---- the numbers ---- */

RMAP_TEST(usage, a_share_is_rounded_down_to_the_last_bit_and_n_of_them_up_to_a_page)
{
    static const uint32_t counts[] = {
        1, 2, 3, 4, 5, 7, 255, 256, 65535, 65537, 1u << 30, RMAP_MAPCOUNT_MAX, 1u << 31, UINT32_MAX};
    const wide one = (wide)1 << 64;
    for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++) {
        const wide n = counts[i], part = wide_of(rmap_share_of(counts[i]));
        CHECK(part * n <= one && one < (part + 1) * n);
        CHECK(one - part * n < n);
    }
    struct rmap_share sum = {0, 0};
    for (unsigned i = 0; i < 7; i++) rmap_share_add(&sum, rmap_share_of(7));
    CHECK_EQ(sum.pages, 0);
    CHECK_EQ(rmap_share_ceil(sum), 1);
    for (unsigned i = 0; i < 4; i++) rmap_share_add(&sum, rmap_share_of(2));
    CHECK_EQ(sum.pages, 2);
    CHECK_EQ(rmap_share_ceil(sum), 3);
    check_share(rmap_share_of(1), 1, 0);
}

/* ---- what is counted as what ---- */

/* P: 7 own, 8 in P A B, 9 own and no-access, 10 in P A, 700 zero page, 701 poison. A is forked from P, B from A. */
RMAP_TEST(usage, exclusive_shared_special_and_poison_in_a_world_of_three)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 8, 8);
    world_write(p, 10, 10);
    struct world_space *a = world_fork(p), *b = world_fork(a);
    world_write(b, 10, 11);
    world_write(p, 7, 7);
    world_write(p, 9, 9);
    CHECK_OK(rmap_protect(&p->m, 9, 1, RMAP_PROTECT_NO_ACCESS));
    world_map_special(p, 700);
    world_set_entry(p, 701, rmap_pte_make_kind(p->mmu.ops->format, RMAP_PTE_POISON, 5, 0));

    struct rmap_usage u = usage(p);
    CHECK_EQ(u.present, 4);
    CHECK_EQ(u.exclusive, 2);
    CHECK_EQ(u.shared, 2);
    CHECK_EQ(u.special, 1);
    CHECK_EQ(u.poison, 1);
    CHECK_EQ(u.swapped, 0);
    check_share(u.resident, 2, THIRD + HALF); /* 1 + 1 + 1/3 + 1/2 */
    check_share(u.swap, 0, 0);
    check_share(usage(a).resident, 0, THIRD + HALF);
    check_share(usage(b).resident, 1, THIRD);

    struct rmap_group_usage g = group_usage(b);
    CHECK_EQ(g.members, 3);
    CHECK_EQ(g.resident_pages, 5); /* 7, 8, 9, and two of 10 */
    CHECK_EQ(g.resident_pages, w.frames_used - 1);
    CHECK_EQ(g.sum.present, 8);
    CHECK_EQ(g.sum.special, 1);
    CHECK_EQ(g.sum.poison, 1);
    CHECK_EQ(g.swap_slots, 0);

    world_exit(a); /* its node goes, or stays without a space */
    check_share(usage(p).resident, 3, HALF);
    CHECK_EQ(group_usage(p).members, 2);
    CHECK_EQ(group_usage(p).resident_pages, 5);
    world_check(&w);
    world_fini(&w);
}

/* P, C: 7 on swap in both, 8 in P alone. P reads 7 back: a frame in P, a swap entry in C. C reads it, too: the slot is
 * but a clean copy. */
RMAP_TEST(usage, a_cached_page_is_charged_by_frame_where_it_is_mapped_and_by_slot_where_it_is_on_swap)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct world_space *c = world_fork(p);
    world_write(p, 8, 2);
    CHECK(world_swap_out(&w, world_page(p, 7)));
    CHECK(world_swap_out(&w, world_page(p, 8)));
    struct rmap_usage u = usage(p);
    CHECK_EQ(u.swap_exclusive, 1);
    CHECK_EQ(u.swap_shared, 1);
    check_share(u.swap, 1, HALF);
    check_share(u.resident, 0, 0);
    CHECK_EQ(group_usage(p).swap_slots, 2);

    CHECK_EQ(world_read(p, 7), 1);
    u = usage(p);
    CHECK_EQ(u.present, 1);
    CHECK_EQ(u.shared, 1); /* the other has it on swap */
    check_share(u.resident, 1, 0);
    check_share(u.swap, 1, 0);
    u = usage(c);
    CHECK_EQ(u.swap_shared, 1); /* the other has it in memory */
    check_share(u.swap, 1, 0);

    CHECK_EQ(world_read(c, 7), 1);
    check_share(usage(c).resident, 0, HALF);
    check_share(usage(c).swap, 0, 0);
    CHECK_EQ(group_usage(c).swap_slots, 1); /* that of 8: the clean copy is nobody's */
    world_exit(c);
    CHECK_EQ(usage(p).exclusive, 1);
    world_check(&w);
    world_fini(&w);
}

/* ---- sums ---- */

#define PAGES 12
static const rmap_vpn_t place[PAGES] = {0, 1, 2, 3, 510, 511, 512, 513, 2000, 2001, 9000, 9001};

/* Distinct frames and slots, by a look at every entry. */
static void count_distinct(struct world *w, uint64_t *frames, uint64_t *slots)
{
    bool frame[1024] = {false}, slot[1024] = {false};
    *frames = *slots = 0;
    for (size_t i = 0; i < w->space_count; i++) {
        struct world_space *s = w->spaces[i];
        for (unsigned k = 0; k < PAGES; k++) {
            const struct rmap_page *page = world_page(s, place[k]);
            if (page && page != w->special) frame[rmap_page_pfn(w->r, page) - WORLD_PFN] = true;
            if (world_kind(s, place[k]) == RMAP_PTE_SWAP)
                slot[rmap_swp_slot(rmap_pte_swp(s->mmu.ops->format, world_entry(s, place[k])))] = true;
        }
    }
    for (unsigned i = 0; i < 1024; i++) {
        *frames += frame[i];
        *slots += slot[i];
    }
}

static void check_sums(struct world *w)
{
    uint64_t frames, slots;
    count_distinct(w, &frames, &slots);
    wide resident = 0, swap = 0;
    uint64_t present = 0, special = 0, exclusive = 0;
    for (size_t i = 0; i < w->space_count; i++) {
        struct rmap_usage u = usage(w->spaces[i]);
        resident += wide_of(u.resident);
        swap += wide_of(u.swap);
        present += u.present;
        exclusive += u.exclusive;
        special += u.special;
    }
    const struct rmap_group_usage g = group_usage(w->spaces[w->space_count / 2]);
    CHECK_EQ(g.members, w->space_count);
    CHECK_EQ(g.resident_pages, frames);
    CHECK_EQ(g.swap_slots, slots);
    CHECK(wide_of(g.sum.resident) == resident);
    CHECK(wide_of(g.sum.swap) == swap);
    CHECK_EQ(g.sum.present, present);
    CHECK_EQ(g.sum.exclusive, exclusive);
    CHECK_EQ(g.sum.special, special);
}

static void step(struct world *w, struct prng *rng)
{
    struct world_space *s = w->spaces[prng_below(rng, w->space_count)];
    const rmap_vpn_t vpn = place[prng_below(rng, PAGES)];
    struct rmap_page *page = world_page(s, vpn);
    switch (prng_below(rng, 8)) {
    case 0:
        if (w->space_count < 14) world_fork(s);
        return;
    case 1:
        if (w->space_count > 3) world_exit(s);
        return;
    case 2:
        world_zap(s, vpn, 1);
        return;
    case 3:
        if (!page) world_map_special(s, (world_zap(s, vpn, 1), vpn));
        return;
    case 4:
        if (page && page != w->special) world_swap_out(w, page);
        return;
    case 5:
        if (page && page != w->special) world_unmap(w, page, 0); /* and stays in the cache */
        return;
    case 6:
        world_read(s, vpn);
        return;
    default:
        world_write(s, vpn, prng_next(rng));
    }
}

/* A family that forks, writes, swaps, zaps and exits: after each step the shares add up to what is there. */
RMAP_TEST(usage, the_shares_of_a_random_family_add_up_to_its_distinct_pages_and_slots)
{
    struct prng rng;
    prng_init(&rng, prng_seed_of_run(7));
    for (unsigned round = 0; round < 4; round++) {
        struct world w;
        world_init(&w, &(struct world_options){.frames = 512, .slots = 512});
        world_space(&w);
        for (unsigned i = 0; i < 600; i++) {
            step(&w, &rng);
            check_sums(&w);
        }
        world_check(&w);
        world_fini(&w);
    }
}

/* P with 300 children: 1/301 is no sum of powers of two */
RMAP_TEST(usage, shares_of_301_are_a_page_again)
{
    struct world w;
    world_init(&w, &(struct world_options){.frames = 512});
    struct world_space *p = world_space(&w);
    for (rmap_vpn_t v = 0; v < 3; v++) world_write(p, v, v);
    for (unsigned i = 0; i < 300; i++) world_fork(p);
    for (unsigned i = 1; i < 300; i += 3) world_write(w.spaces[i], 1, i);
    struct rmap_group_usage g = group_usage(p);
    CHECK_EQ(g.sum.resident.pages, 102); /* 100 copies of 1; a hair below 3 more */
    CHECK_EQ(g.resident_pages, 103);
    CHECK_EQ(g.resident_pages, w.frames_used);
    world_fini(&w);
}

/* 7 mapped 2^31 - 1 times, 8 on swap with 2^32 - 1 entries, as far as the counts say */
RMAP_TEST(usage, A9_the_largest_counts_do_not_overflow)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    world_write(p, 8, 2);
    struct rmap_page *page = world_page(p, 7);
    CHECK(world_swap_out(&w, world_page(p, 8)));
    const rmap_swp_t entry = rmap_pte_swp(p->mmu.ops->format, world_entry(p, 8));
    page->mapcount = RMAP_MAPCOUNT_MAX;
    CHECK_OK(rmap_swap_get_ops()->dup(w.swap, entry, UINT32_MAX - 1));
    struct rmap_usage u = usage(p);
    CHECK_EQ(u.shared, 1);
    check_share(u.resident, 0, (uint64_t)(((wide)1 << 64) / RMAP_MAPCOUNT_MAX));
    check_share(u.swap, 0, (uint64_t)(((wide)1 << 64) / UINT32_MAX));
    page->mapcount |= RMAP_MAPCOUNT_STABLE; /* a walk was here: no part of the count */
    check_share(usage(p).resident, 0, (uint64_t)(((wide)1 << 64) / RMAP_MAPCOUNT_MAX));
    page->mapcount = 1;
    rmap_swap_get_ops()->put(w.swap, entry, UINT32_MAX - 1);
    world_check(&w);
    world_fini(&w);
}

/* ---- errors ---- */

/* H2, H3 */
RMAP_TEST(usage, what_cannot_be_counted_is_an_error_and_nothing_is_written)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c, *blank = world_space_blank(&w);
    world_write(p, 7, 1);
    c = world_fork(p);
    const struct rmap_pte_format *f = p->mmu.ops->format;
    struct rmap_usage u = {.poison = 99};
    struct rmap_group_usage g = {.members = 99};
    CHECK_ERR(rmap_member_get_usage(NULL, &u), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_member_get_usage(&p->m, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_group_get_usage(NULL, &g), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_group_get_usage(&p->m, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_member_get_usage(&blank->m, &u), RMAP_ERR_DEAD);
    CHECK_ERR(rmap_group_get_usage(&blank->m, &g), RMAP_ERR_DEAD);
    const rmap_pte_t bad[] = {rmap_pte_make(f, WORLD_PFN - 1, 0),                             /* nobody's frame */
                              rmap_pte_make(f, WORLD_PFN + 200, 0),                           /* a free one */
                              rmap_pte_make_kind(f, RMAP_PTE_SWAP, rmap_swp_make(1, 63), 0)}; /* a dead slot */
    for (unsigned i = 0; i < 3; i++) {
        world_set_entry(c, 9, bad[i]);
        CHECK_ERR(rmap_member_get_usage(&c->m, &u), RMAP_ERR_BAD_FRAME);
        CHECK_ERR(rmap_group_get_usage(&p->m, &g), RMAP_ERR_BAD_FRAME);
        CHECK_OK(rmap_member_get_usage(&p->m, &(struct rmap_usage){0}));
    }
    world_set_entry(c, 9, 0);
    c->blocked = true, c->block = 4000;
    CHECK_ERR(rmap_member_get_usage(&c->m, &u), RMAP_ERR_BLOCK);
    CHECK_ERR(rmap_group_get_usage(&p->m, &g), RMAP_ERR_BLOCK);
    c->blocked = false;
    CHECK_EQ(u.poison, 99);
    CHECK_EQ(u.present, 0);
    CHECK_EQ(g.members, 99);
    CHECK_EQ(group_usage(p).members, 2); /* and no lock was left behind */
    world_exit(c);
    world_space_free(blank);
    world_fini(&w);
}
