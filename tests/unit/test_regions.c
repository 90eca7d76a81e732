/* SPDX-License-Identifier: MIT */
/** @file unit/test_regions.c  Regions: split, merge, holes; random edits against an array with a word for each page. */
#include "support/counting_alloc.h"
#include "support/prng.h"
#include "support/test.h"

#include <pager/region.h>

#define END 100

static struct test_alloc memory;

static void begin(struct rmap__regions *rs)
{
    test_alloc_init(&memory);
    rmap__regions_init(rs, &memory.a, END);
}

static void end(struct rmap__regions *rs)
{
    rmap__regions_clear(rs);
    CHECK_EQ(memory.live_blocks, 0);
}

/* Map [first, first + count) with prot, replacing what is there, as map and protect do. */
static void place(struct rmap__regions *rs, rmap_vpn_t first, uint64_t count, unsigned prot, bool locked)
{
    struct rmap__region_stock stock = {.count = 0};
    CHECK_OK(rmap__stock_fill(rs, &stock, rmap__regions_cuts(rs, first, first + count) + 1));
    rmap__regions_cut(rs, first, first + count, &stock);
    rmap__regions_remove(rs, first, first + count);
    rmap__region_add(rs, first, count, prot, &stock)->locked = locked;
    rmap__regions_merge(rs, first, first + count);
    CHECK_EQ(stock.count, 0); /* exactly what was asked for was needed */
}

static void clear(struct rmap__regions *rs, rmap_vpn_t first, uint64_t count)
{
    struct rmap__region_stock stock = {.count = 0};
    CHECK_OK(rmap__stock_fill(rs, &stock, rmap__regions_cuts(rs, first, first + count)));
    rmap__regions_cut(rs, first, first + count, &stock);
    rmap__regions_remove(rs, first, first + count);
    rmap__stock_drop(rs, &stock);
}

static unsigned length(const struct rmap__regions *rs)
{
    unsigned n = 0;
    for (struct rmap__region *r = rmap__region_first(rs); r; r = rmap__region_next(r)) n++;
    return n;
}

/* [10,30) r; [15,20) becomes rw: three regions; back to r: one again */
RMAP_TEST(regions, a_change_in_the_middle_splits_in_three_and_the_way_back_merges)
{
    struct rmap__regions rs;
    begin(&rs);
    place(&rs, 10, 20, RMAP_READ, false);
    place(&rs, 15, 5, RMAP_READ | RMAP_WRITE, false);
    CHECK_EQ(length(&rs), 3);
    CHECK_EQ(rmap__region_find(&rs, 14)->count, 5);
    CHECK_EQ(rmap__region_find(&rs, 15)->prot, RMAP_READ | RMAP_WRITE);
    CHECK_EQ(rmap__region_find(&rs, 20)->first, 20);
    place(&rs, 15, 5, RMAP_READ, false);
    CHECK_EQ(length(&rs), 1);
    CHECK_EQ(rmap__region_find(&rs, 29)->first, 10);
    end(&rs);
}

/* [0,10) and [10,20) differ in one flag at a time: they stay two */
RMAP_TEST(regions, neighbours_merge_only_if_equal_in_everything)
{
    struct rmap__regions rs;
    begin(&rs);
    place(&rs, 0, 10, RMAP_READ, false);
    place(&rs, 10, 10, RMAP_READ, true);
    CHECK_EQ(length(&rs), 2);
    rmap__region_find(&rs, 10)->locked = false;
    rmap__region_find(&rs, 10)->accounted = true;
    CHECK(rmap__regions_sound(&rs));
    rmap__regions_merge(&rs, 0, END);
    CHECK_EQ(length(&rs), 2);
    rmap__region_find(&rs, 10)->accounted = false;
    CHECK(!rmap__regions_sound(&rs)); /* equal neighbours that were not merged */
    rmap__regions_merge(&rs, 0, END);
    CHECK_EQ(length(&rs), 1);
    end(&rs);
}

/* [10,20) and [30,40) of 100: holes of 10, 10 and 60 */
RMAP_TEST(regions, holes_are_found_from_the_hint_and_then_from_zero)
{
    struct rmap__regions rs;
    rmap_vpn_t at;
    begin(&rs);
    place(&rs, 10, 10, RMAP_READ, false);
    place(&rs, 30, 10, RMAP_READ, false);
    CHECK_OK(rmap__regions_hole(&rs, 0, 10, &at));
    CHECK_EQ(at, 0);
    CHECK_OK(rmap__regions_hole(&rs, 5, 10, &at));
    CHECK_EQ(at, 20);
    CHECK_OK(rmap__regions_hole(&rs, 35, 60, &at));
    CHECK_EQ(at, 40);
    CHECK_OK(rmap__regions_hole(&rs, 95, 10, &at)); /* nothing behind the hint is large enough */
    CHECK_EQ(at, 0);
    CHECK_OK(rmap__regions_hole(&rs, RMAP_VPN_NONE, 11, &at));
    CHECK_EQ(at, 40);
    CHECK_ERR(rmap__regions_hole(&rs, 0, 61, &at), RMAP_ERR_NOMEM);
    end(&rs);
}

/* [10,20) rw locked accounted, [20,30) r: the clone has no locked region, nor a border that locking made */
RMAP_TEST(regions, D9_a_clone_is_not_locked)
{
    struct rmap__regions rs, copy;
    begin(&rs);
    rmap__regions_init(&copy, &memory.a, END);
    place(&rs, 10, 10, RMAP_READ, true);
    place(&rs, 20, 10, RMAP_READ, false);
    CHECK_OK(rmap__regions_clone(&rs, &copy));
    CHECK_EQ(length(&copy), 1);
    CHECK_EQ(rmap__region_find(&copy, 10)->count, 20);
    CHECK(!rmap__region_find(&copy, 10)->locked);
    rmap__regions_clear(&copy);
    memory.fail_at = memory.calls + 2;
    CHECK_ERR(rmap__regions_clone(&rs, &copy), RMAP_ERR_NOMEM);
    CHECK(!rmap__region_first(&copy));
    end(&rs);
}

/* 0: unmapped; else 1 + what the region's flags come to. */
static void check_against(const struct rmap__regions *rs, const unsigned *page)
{
    CHECK(rmap__regions_sound(rs));
    for (rmap_vpn_t v = 0; v < END; v++) {
        const struct rmap__region *r = rmap__region_find(rs, v);
        CHECK_EQ(r ? 1 + r->prot * 2 + r->locked : 0, page[v]);
    }
    for (rmap_vpn_t a = 0; a < END; a += 7) {
        for (rmap_vpn_t b = a + 1; b <= END; b += 5) {
            bool covered = true;
            for (rmap_vpn_t v = a; v < b; v++) covered &= page[v] != 0;
            CHECK_EQ(rmap__regions_cover(rs, a, b), covered);
        }
    }
}

RMAP_TEST(regions, random_edits_agree_with_an_array)
{
    struct rmap__regions rs;
    unsigned page[END] = {0};
    struct prng rng;
    prng_init(&rng, prng_seed_of_run(7));
    begin(&rs);
    for (unsigned i = 0; i < 4000; i++) {
        rmap_vpn_t first = prng_below(&rng, END);
        uint64_t count = 1 + prng_below(&rng, 20);
        if (count > END - first) count = END - first;
        unsigned prot = (unsigned)prng_below(&rng, 3);
        bool locked = prng_chance(&rng, 1, 4);
        bool gone = prng_chance(&rng, 1, 3);
        if (gone) clear(&rs, first, count);
        else place(&rs, first, count, prot, locked);
        for (rmap_vpn_t v = first; v < first + count; v++) page[v] = gone ? 0 : 1 + prot * 2 + locked;
        check_against(&rs, page);

        rmap_vpn_t hint = prng_below(&rng, END), at;
        uint64_t want = 1 + prng_below(&rng, 15), fits = END, run = 0;
        for (rmap_vpn_t v = 0; v < END; v++) { /* the array's first fit from the hint, then from 0 */
            run = page[v] ? 0 : run + 1;
            if (run >= want && v + 1 - want < fits && fits == END) fits = v + 1 - want;
        }
        uint64_t from_hint = END;
        run = 0;
        for (rmap_vpn_t v = hint; v < END && from_hint == END; v++) {
            run = page[v] ? 0 : run + 1;
            if (run >= want) from_hint = v + 1 - want;
        }
        uint64_t best = from_hint != END ? from_hint : fits;
        CHECK_ERR(rmap__regions_hole(&rs, hint, want, &at), best == END ? RMAP_ERR_NOMEM : 0);
        if (best != END) CHECK_EQ(at, best);
    }
    end(&rs);
}
