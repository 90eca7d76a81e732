/* SPDX-License-Identifier: MIT */
/** @file bench/rivals/play_verbs.c  Verbs on random batches: each must meet every mapping that the book has. See play.h. */
#include "bench/rivals/play.h"

#define BATCH_MOST 48

static uint64_t bit(enum rmap_pte_attr a)
{
    return rmap_radix_x86_64.format->attr[a].mask;
}

/* Distinct things that are in memory, mapped or not as wanted, in random order. @return how many. */
static unsigned pick_things(struct play *p, uint32_t *things, bool mapped)
{
    const unsigned want = prng_chance(&p->rng, 1, 2) ? 1 : 1 + (unsigned)prng_below(&p->rng, BATCH_MOST);
    unsigned n = 0;
    for (unsigned tries = 0; p->top_thing && n < want && tries < 4 * want; tries++) {
        const uint32_t t = 1 + (uint32_t)prng_below(&p->rng, p->top_thing);
        bool there = !p->thing[t].page || (p->thing[t].mapped != 0) != mapped;
        for (unsigned i = 0; i < n; i++) there |= things[i] == t;
        if (!there) things[n++] = t;
    }
    return n;
}

/* What is done to, or seen of, each present cell of a thing. */
typedef void cell_fn(struct play *p, struct actor *a, struct cell *c, rmap_vpn_t vpn);

static void for_each_cell(struct play *p, uint32_t thing, cell_fn *fn)
{
    for (struct actor *a = p->actor; a < p->actor + PLAY_SPACES; a++) {
        if (!a->s) continue;
        for (unsigned i = 0; i < PLAY_PLACES; i++)
            for (unsigned k = 0; k < PLACE_PAGES; k++) {
                struct cell *c = &a->cell[i][k];
                if (c->thing == thing && !c->on_swap) fn(p, a, c, play_vpn(i, k));
            }
    }
}

/* As hardware would, now and then. */
static void use(struct play *p, struct actor *a, struct cell *c, rmap_vpn_t vpn)
{
    (void)c;
    uint64_t bits = prng_chance(&p->rng, 1, 2) ? bit(RMAP_ATTR_ACCESSED) : 0;
    if (prng_chance(&p->rng, 1, 3)) bits |= bit(RMAP_ATTR_DIRTY);
    play_entry(p, a, vpn, bits, 0);
}

static void check_aged(struct play *p, struct actor *a, struct cell *c, rmap_vpn_t vpn)
{
    (void)c;
    CHECK_EQ(play_entry(p, a, vpn, 0, 0) & bit(RMAP_ATTR_ACCESSED), 0);
}

static void check_protected(struct play *p, struct actor *a, struct cell *c, rmap_vpn_t vpn)
{
    (void)c;
    CHECK_EQ(play_entry(p, a, vpn, 0, 0) & (bit(RMAP_ATTR_WRITE) | bit(RMAP_ATTR_DIRTY)), 0);
}

static void count_dirty(struct play *p, struct actor *a, struct cell *c, rmap_vpn_t vpn)
{
    p->dirty += (play_entry(p, a, vpn, 0, 0) & bit(RMAP_ATTR_DIRTY)) != 0;
    (void)c;
}

static void now_on_swap(struct play *p, struct actor *a, struct cell *c, rmap_vpn_t vpn)
{
    CHECK(!p->system->page(a->s, vpn));
    c->on_swap = true;
    p->thing[c->thing].mapped--;
    p->thing[c->thing].swapped++;
}

/* All see the same page, and it is another one. */
static void learn_page(struct play *p, struct actor *a, struct cell *c, rmap_vpn_t vpn)
{
    struct rmap_page *page = p->system->page(a->s, vpn);
    struct thing *x = &p->thing[c->thing];
    if (!x->page) {
        play_check_new_page(p, page);
        x->page = page;
    }
    CHECK_EQ(page, x->page);
}

/* Dirty entries must make the page's flag, if the verb takes or cleans them. @return the flag was cleared before. */
static bool expect_dirty(struct play *p, const struct thing *x, uint32_t t)
{
    p->dirty = 0;
    for_each_cell(p, t, count_dirty);
    rmap_page_clear_flags(x->page, RMAP_PAGE_DIRTY);
    return p->dirty != 0;
}

void play_verb(struct play *p, enum bench_verb verb)
{
    uint32_t things[BATCH_MOST];
    bool dirty[BATCH_MOST] = {false};
    struct rmap_page *pages[BATCH_MOST];
    struct bench_tally tally = {0, 0};
    const unsigned n = pick_things(p, things, true);
    uint64_t mappings = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct thing *x = &p->thing[things[i]];
        for_each_cell(p, things[i], use);
        pages[i] = x->page;
        mappings += x->mapped;
        if (verb == BENCH_PROTECT || verb == BENCH_UNMAP) dirty[i] = expect_dirty(p, x, things[i]);
    }
    p->system->verb(p->w, verb, pages, n, &tally);
    CHECK_EQ(tally.hits, mappings);
    for (unsigned i = 0; i < n; i++) {
        struct thing *x = &p->thing[things[i]];
        if (verb == BENCH_AGE) for_each_cell(p, things[i], check_aged);
        if (verb == BENCH_PROTECT) for_each_cell(p, things[i], check_protected);
        if (verb == BENCH_UNMAP) for_each_cell(p, things[i], now_on_swap);
        if (dirty[i]) CHECK(rmap_page_flags(x->page) & RMAP_PAGE_DIRTY);
        if (verb == BENCH_MIGRATE) {
            x->page = NULL;
            CHECK_EQ(rmap_page_mapcount(pages[i]), 0);
            CHECK_EQ(pages[i]->refcount, 0);
        }
    }
    for (unsigned i = 0; i < n && verb == BENCH_MIGRATE; i++) for_each_cell(p, things[i], learn_page);
    for (unsigned i = 0; i < n; i++) {
        const struct thing *x = &p->thing[things[i]];
        CHECK(x->page);
        CHECK_EQ(rmap_page_mapcount(x->page), x->mapped);
        rmap_page_set_flags(x->page, RMAP_PAGE_DIRTY);
    }
}

void play_evict(struct play *p)
{
    uint32_t things[BATCH_MOST];
    struct rmap_page *pages[BATCH_MOST];
    const unsigned n = pick_things(p, things, false);
    const uint64_t before = p->system->frames_free(p->w);
    for (unsigned i = 0; i < n; i++) {
        struct thing *x = &p->thing[things[i]];
        pages[i] = x->page;
        x->page = NULL;
        x->lost = true;
    }
    p->system->evict(p->w, pages, n);
    CHECK_EQ(p->system->frames_free(p->w), before + n);
}
