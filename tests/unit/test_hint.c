/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_hint.c  The group's last-hit hint: a guess, which may be wrong in any way and costs a visit then.
 *
 * The world of each test: a parent, space 0, and kids 1…8, all candidates of the pages 7, 8, 9 that the parent wrote. A
 * search looks at the hint after four candidates.
 */
#include "support/world.h"
#include "unit/places.h"

#include <core/core.h>

enum { KIDS = 8 };

struct family {
    struct world w;
    struct world_space **s; /* 0: the parent */
    struct rmap_page *page[10];
};

static void family_init(struct family *f)
{
    world_init(&f->w, NULL);
    struct world_space *p = world_space(&f->w);
    for (rmap_vpn_t v = 7; v < 10; v++) world_write(p, v, v);
    for (unsigned i = 0; i < KIDS; i++) world_fork(p);
    f->s = f->w.spaces;
    for (rmap_vpn_t v = 7; v < 10; v++) f->page[v] = world_page(p, v);
}

static void leave_in(struct family *f, rmap_vpn_t vpn, unsigned one)
{
    for (unsigned i = 0; i <= KIDS; i++)
        if (i != one) world_zap(f->s[i], vpn, 1);
}

static struct rmap_member *hint(struct family *f)
{
    return rmap__member_group(&f->s[0]->m)->hint;
}
static void set_hint(struct family *f, unsigned n)
{
    rmap__member_group(&f->s[0]->m)->hint = &f->s[n]->m;
}

static void family_fini(struct family *f)
{
    world_check(&f->w);
    world_fini(&f->w);
}

/* 7 and 9 left in 6: the search for 7 takes seven visits, that for 9 four and the right guess */
RMAP_TEST(hint, a_page_is_found_where_the_one_before_was)
{
    struct family f;
    family_init(&f);
    leave_in(&f, 7, 6);
    leave_in(&f, 9, 6);
    CHECK(!hint(&f));
    CHECK_EQ(world_referenced(&f.w, f.page[7]).visits, 7);
    CHECK(hint(&f) == &f.s[6]->m);
    struct rmap_result res = world_referenced(&f.w, f.page[9]);
    CHECK_EQ(res.outcome, RMAP_DONE);
    CHECK_EQ(res.visits, 5);
    CHECK_EQ(res.nodes, 4);
    CHECK_EQ(res.tightened, 1);
    CHECK_EQ(rmap_page_owner(f.page[9]), rmap_member_home(&f.s[6]->m));
    family_fini(&f);
}

/* The hint is 6, which maps a page of its own at 9; 9 is left in 7. And 6 no candidate at all: a kid of a later generation */
RMAP_TEST(hint, a_space_that_maps_another_page_there_costs_a_visit)
{
    for (unsigned stranger = 0; stranger < 2; stranger++) {
        struct family f;
        family_init(&f);
        if (stranger) world_exit(f.s[6]), world_write(f.s[0], 20, 1), world_fork(f.s[0]);
        const unsigned n = stranger ? 8 : 6;
        world_write(f.s[n], 9, 60);
        for (unsigned i = 0; i <= KIDS; i++)
            if (i != 7 && i != n) world_zap(f.s[i], 9, 1);
        set_hint(&f, n);
        struct rmap_result res = world_referenced(&f.w, f.page[9]);
        CHECK_EQ(res.outcome, RMAP_DONE);
        CHECK_EQ(res.hits, 1);
        CHECK_EQ(res.visits, 9);
        CHECK_EQ(res.nodes, 8);
        CHECK_EQ(rmap_page_owner(f.page[9]), rmap_member_home(&f.s[7]->m));
        CHECK_EQ(world_read(f.s[n], 9), 60);
        family_fini(&f);
    }
}

/* The hint is 6, and 6 ends */
RMAP_TEST(hint, who_leaves_takes_the_hint_along)
{
    struct family f;
    family_init(&f);
    leave_in(&f, 7, 6);
    leave_in(&f, 9, 5);
    world_referenced(&f.w, f.page[7]);
    CHECK(hint(&f) == &f.s[6]->m);
    world_exit(f.s[3]);
    CHECK(hint(&f) != NULL);
    world_exit(f.s[5]); /* 6, one place further now */
    CHECK(!hint(&f));
    CHECK_EQ(world_referenced(&f.w, f.page[9]).hits, 1);
    family_fini(&f);
}

/* The hint is 6, where 9 is locked; and of 8, 9 in one batch the hint has one */
RMAP_TEST(hint, what_it_finds_counts_and_what_it_does_not_is_searched)
{
    struct family f;
    family_init(&f);
    leave_in(&f, 8, 7);
    leave_in(&f, 9, 6);
    set_hint(&f, 6);
    struct rmap_page *both[2] = {f.page[8], f.page[9]};
    struct rmap_result res[2];
    CHECK_OK(rmap_referenced(f.w.r, both, 2, RMAP_LOCK_PAGES, res));
    CHECK_EQ(res[0].hits + 10 * res[1].hits, 11);
    CHECK_EQ(res[0].visits, 9);
    CHECK_EQ(res[1].visits, 5);
    CHECK_EQ(rmap_page_owner(both[0]), rmap_member_home(&f.s[7]->m));
    CHECK_EQ(rmap_page_owner(both[1]), rmap_member_home(&f.s[6]->m));
    leave_in(&f, 7, 6);
    CHECK_OK(rmap_protect(&f.s[6]->m, 7, 1, RMAP_PROTECT_LOCK));
    set_hint(&f, 6);
    res[0] = world_unmap(&f.w, f.page[7], 0);
    CHECK_EQ(res[0].outcome, RMAP_PARTIAL);
    CHECK_EQ(res[0].reason, RMAP_REASON_LOCKED);
    CHECK_EQ(res[0].visits, 5);
    CHECK(world_page(f.s[6], 7) == f.page[7]);
    family_fini(&f);
}

/* ---- the page gains a mapper between the look at the hint's space and the end ---- */

#ifdef RMAP_DEBUG /* the walk yields in debug builds only */

static struct {
    struct rmap_fork fork;
    struct world_space *kid;
    unsigned candidates;
} gain;
/* The fork of 6 copies its entries when the walk is about to look at its fourth candidate. */
static void copy_in_between(void *ctx, enum rmap__yield_point at)
{
    (void)ctx;
    if (at != RMAP__AT_CANDIDATE || ++gain.candidates != 4) return;
    CHECK_OK(rmap_fork_copy(&gain.fork, 0, gain.kid->mmu.pages, RMAP_FORK_COW));
}

/* 9 is left in 6, which forks: its kid maps 9 only after the walk has begun, when the page had one mapping */
static void gain_begin(struct family *f)
{
    family_init(f);
    leave_in(f, 9, 6);
    world_read(f->s[6], 9);
    gain.candidates = 0;
    gain.kid = world_space_blank(&f->w);
    CHECK_OK(rmap_fork_begin(&f->s[6]->m, &gain.kid->m, &gain.kid->mmu, &gain.fork));
    set_hint(f, 6);
    f->w.r->yield = copy_in_between;
}
static void gain_end(struct family *f)
{
    f->w.r->yield = NULL;
    rmap_fork_commit(&gain.fork);
    world_space_adopt(gain.kid);
    f->s = f->w.spaces;
    CHECK_EQ(world_read(gain.kid, 9), 9);
    CHECK_EQ(world_read(f->s[6], 9), 9);
    CHECK_PLACES(&f->w, world_page(f->s[6], 9), {6, 9}, {9, 9});
    family_fini(f);
}

RMAP_TEST(hint, a_mapper_gained_meanwhile_is_found_and_hits_are_mappings)
{
    struct family f;
    gain_begin(&f);
    struct rmap_result res = world_referenced(&f.w, f.page[9]);
    CHECK_EQ(res.mapcount, 1);
    CHECK_EQ(res.hits, 2);
    CHECK_EQ(res.outcome, RMAP_DONE);
    CHECK(!world_attr(f.s[6], 9, RMAP_ATTR_ACCESSED) && !world_attr(gain.kid, 9, RMAP_ATTR_ACCESSED));
    gain_end(&f);
}

RMAP_TEST(hint, a_mapper_gained_meanwhile_is_unmapped_too_and_the_slot_keeps_all_candidates)
{
    struct family f;
    gain_begin(&f);
    struct rmap_result res = world_unmap(&f.w, f.page[9], 0);
    CHECK_EQ(res.hits, 2);
    CHECK_EQ(res.outcome, RMAP_DONE);
    CHECK_EQ(res.tightened, 0); /* the hits did not come in order */
    CHECK_EQ(rmap_page_mapcount(f.page[9]), 0);
    CHECK_EQ(world_kind(f.s[6], 9), RMAP_PTE_SWAP);
    CHECK_EQ(world_kind(gain.kid, 9), RMAP_PTE_SWAP);
    world_check(&f.w);
    gain_end(&f);
}

RMAP_TEST(hint, each_mapping_shows_each_once_and_in_order_although_a_mapper_is_gained)
{
    struct family f;
    gain_begin(&f);
    gain.kid->number = 9; /* as it will be */
    struct places x = {.n = 0};
    struct rmap_result res;
    CHECK_OK(rmap_each_mapping(f.w.r, &f.page[9], 1, RMAP_LOCK_PAGES, places__note, &x, &res));
    CHECK_EQ(res.outcome, RMAP_DONE);
    CHECK_EQ(x.n, 2);
    CHECK_EQ(x.at[0].space, 6);
    CHECK_EQ(x.at[1].space, 9);
    gain_end(&f);
}

/* The fork is done, and 9 dropped in the kid, before the hint is followed: one mapping again, but no STABLE. */
static void gain_and_lose(void *ctx, enum rmap__yield_point at)
{
    copy_in_between(ctx, at);
    if (at == RMAP__AT_CANDIDATE && gain.candidates == 4) CHECK_OK(rmap_zap(&gain.kid->m, 9, 1, NULL));
}

RMAP_TEST(hint, a_mapper_gained_and_lost_before_the_look_at_the_hints_space)
{
    struct family f;
    gain_begin(&f);
    f.w.r->yield = gain_and_lose;
    struct rmap_result res = world_unmap(&f.w, f.page[9], 0);
    CHECK_EQ(res.hits, 1);
    CHECK_EQ(res.outcome, RMAP_DONE);
    CHECK_EQ(world_kind(f.s[6], 9), RMAP_PTE_SWAP);
    CHECK_EQ(world_kind(gain.kid, 9), RMAP_PTE_NONE);
    f.w.r->yield = NULL;
    rmap_fork_commit(&gain.fork);
    world_space_adopt(gain.kid);
    world_check(&f.w);
    CHECK_EQ(world_read(f.s[6], 9), 9);
    family_fini(&f);
}

#endif
