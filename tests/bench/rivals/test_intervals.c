/* SPDX-License-Identifier: MIT */
/** @file bench/rivals/test_intervals.c  The interval tree of anon_vma_chain against a look at every region. */
#include "bench/rivals/intervals.h"
#include "support/test.h"

#include <stdlib.h>

#define CHAINS 300

static uint64_t seed;
static uint64_t any(uint64_t below)
{
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return seed % below;
}

struct forest {
    struct avc_intervals tree;
    struct avc_region region[CHAINS];
    struct avc_chain chain[CHAINS];
    bool in_tree[CHAINS];
};

/** Every hit once, no other, and regions in the order of their first indexes. */
static void check_query(struct forest *f, rmap_vpn_t index)
{
    bool hit[CHAINS] = {false};
    rmap_vpn_t before = 0;
    for (struct avc_chain *c = avc_intervals_first(&f->tree, index); c; c = avc_intervals_next(c, index)) {
        size_t i = (size_t)(c - f->chain);
        CHECK(!hit[i]);
        CHECK(c->region->index >= before);
        before = c->region->index;
        hit[i] = true;
    }
    for (size_t i = 0; i < CHAINS; i++) {
        const struct avc_region *r = &f->region[i];
        CHECK_EQ(hit[i], f->in_tree[i] && r->index <= index && index < r->index + r->count);
    }
}

static void add(struct forest *f, size_t i, rmap_vpn_t index, uint64_t count)
{
    f->region[i] = (struct avc_region){.index = index, .count = count};
    f->chain[i] = (struct avc_chain){.region = &f->region[i]};
    avc_intervals_add(&f->tree, &f->chain[i]);
    f->in_tree[i] = true;
}

static void take_out(struct forest *f, size_t i)
{
    avc_intervals_remove(&f->tree, &f->chain[i]);
    f->in_tree[i] = false;
}

/** Chains come and go over [0, indexes); regions have up to `longest` pages. */
static void churn(uint64_t indexes, uint64_t longest, unsigned steps)
{
    struct forest *f = calloc(1, sizeof *f);
    CHECK(f);
    seed = 88172645463325252u + indexes * longest;
    for (unsigned step = 0; step < steps; step++) {
        size_t i = any(CHAINS);
        /* Grow to many for a while, then shrink to few. */
        bool wanted = any(10) < (step / 1000 % 2 ? 2 : 8);
        if (wanted && !f->in_tree[i]) add(f, i, any(indexes), 1 + any(longest));
        if (!wanted && f->in_tree[i]) take_out(f, i);
        check_query(f, any(indexes + longest));
    }
    for (size_t i = 0; i < CHAINS; i++)
        if (f->in_tree[i]) take_out(f, i);
    CHECK(!f->tree.rbh_root);
    free(f);
}

/* [0, 2,000) with regions of up to 8 pages: few hits. */
RMAP_TEST(intervals, short_ones_are_found_as_by_looking_at_all)
{
    churn(2000, 8, 8000);
}

/* [0, 100) with regions of up to 400 pages: nested and overlapping, most are hits; long ones are hidden behind short ones. */
RMAP_TEST(intervals, long_ones_are_found_as_by_looking_at_all)
{
    churn(100, 400, 8000);
}

/* One page in 50, regions of one page, many of them equal. */
RMAP_TEST(intervals, equal_ones_are_found_as_by_looking_at_all)
{
    churn(50, 1, 8000);
}

/* A family: all regions are [1000, 1016), but a last one that is the upper half, as a partial unmap leaves it. */
RMAP_TEST(intervals, a_family_is_found_whole_at_each_of_its_pages)
{
    struct forest *f = calloc(1, sizeof *f);
    CHECK(f);
    for (size_t i = 0; i < CHAINS - 1; i++) add(f, i, 1000, 16);
    add(f, CHAINS - 1, 1008, 8);
    for (rmap_vpn_t index = 998; index < 1018; index++) check_query(f, index);
    for (size_t i = 0; i < CHAINS; i += 2) take_out(f, i);
    for (rmap_vpn_t index = 998; index < 1018; index++) check_query(f, index);
    free(f);
}
