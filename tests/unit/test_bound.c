/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_bound.c  Where a look-up tightens to, in random trees: no epoch has all mappers among its candidates and
 * fewer of them. The walk remembers three of its hits; here all epochs of the tree are tried.
 */
#include "support/prng.h"
#include "support/world.h"

#include <core/core.h>

#define SPACES 24

static uint64_t below(const struct rmap__epoch *e);

/* The spaces of a node and of all that hang on it. */
static uint64_t subtree(const struct rmap__node *n)
{
    uint64_t set = n->member ? (uint64_t)1 << ((struct world_space *)(void *)n->member)->number : 0;
    const struct rmap__epoch *e = TAILQ_FIRST(&n->epochs);
    return e ? set | below(e) : set;
}
/* Those that hang on an epoch and on the newer ones of its node. */
static uint64_t below(const struct rmap__epoch *e)
{
    uint64_t set = 0;
    for (; e; e = TAILQ_NEXT(e, link)) {
        const struct rmap__node *kid;
        TAILQ_FOREACH(kid, &e->kids, link) set |= subtree(kid);
    }
    return set;
}
static uint64_t candidates(const struct rmap__epoch *e)
{
    return below(e) | (e->node->member ? (uint64_t)1 << ((struct world_space *)(void *)e->node->member)->number : 0);
}

static void least(const struct rmap__node *n, uint64_t mappers, unsigned *size)
{
    const struct rmap__epoch *e;
    TAILQ_FOREACH(e, &n->epochs, link) {
        const uint64_t set = candidates(e);
        const unsigned count = (unsigned)__builtin_popcountll(set);
        if (!(mappers & ~set) && count < *size) *size = count;
        const struct rmap__node *kid;
        TAILQ_FOREACH(kid, &e->kids, link) least(kid, mappers, size);
    }
}

/* A family of up to SPACES, of which some have left, and page 7 is left in some. */
static struct rmap_page *family(struct world *w, struct prng *p)
{
    struct world_space *first = world_space(w);
    world_write(first, 7, 1);
    struct rmap_page *page = world_page(first, 7);
    rmap_page_get(page);
    while (w->births < SPACES) {
        struct world_space *s = w->spaces[prng_below(p, w->space_count)];
        if (prng_chance(p, 1, 3)) world_write(s, 20 + prng_below(p, 4), 1); /* the next fork opens another epoch */
        world_fork(s);
        if (w->space_count > 3 && prng_chance(p, 1, 6)) world_exit(w->spaces[prng_below(p, w->space_count)]);
    }
    const uint64_t keep = 1 + prng_below(p, 8); /* of 12 */
    for (size_t i = 0; i < w->space_count; i++)
        if (!prng_chance(p, keep, 12)) world_zap(w->spaces[i], 7, 1);
    return page;
}

RMAP_TEST(bound, is_the_lowest_that_has_all_mappers)
{
    const uint64_t seed = prng_seed_of_run(1);
    unsigned looked = 0, alone = 0, with_source = 0;
    for (unsigned round = 0; round < 1500; round++) {
        struct world w;
        struct prng p;
        prng_init(&p, seed + round);
        world_init(&w, &(struct world_options){.frames = 64});
        struct rmap_page *page = family(&w, &p);
        uint64_t mappers = 0;
        for (size_t i = 0; i < w.space_count; i++)
            if (world_page(w.spaces[i], 7) == page) mappers |= (uint64_t)1 << w.spaces[i]->number;
        struct rmap__group *g = rmap__member_group(&w.spaces[0]->m);
        atomic_store(&g->hint, NULL); /* what the hint finds makes no bound */
        const struct rmap_result res = world_look(&w, page);
        CHECK_EQ(res.hits, __builtin_popcountll(mappers));
        CHECK_EQ(res.outcome, RMAP_DONE);
        if (res.hits && res.nodes > res.hits) {
            const struct rmap__epoch *e = rmap__tag_find(rmap__owner_tag(rmap_page_owner(page)))->epoch;
            unsigned size = SPACES + 1;
            least(g->root, mappers, &size);
            if (mappers & ~candidates(e) || (unsigned)__builtin_popcountll(candidates(e)) != size)
                TEST_FAIL("SEED=%" PRIu64 ": a mapper is missing, or %d candidates where %u do", seed + round,
                          __builtin_popcountll(candidates(e)), size);
            looked++;
            alone += res.hits == 1;
            const struct rmap_member *source = e->node->member;
            with_source += res.hits > 1 && source && world_page((struct world_space *)(void *)source, 7) == page;
        }
        rmap_page_put(w.r, page);
        world_check(&w);
        world_fini(&w);
    }
    fprintf(stderr, "%u looked at, %u with one mapper, %u with the source\n", looked, alone, with_source);
    if (seed == 1) CHECK(looked > 500 && alone > 50 && with_source > 50);
}
