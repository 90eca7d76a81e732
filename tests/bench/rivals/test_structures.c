/* SPDX-License-Identifier: MIT */
/**
 * @file bench/rivals/test_structures.c  What pv_chunk, pte_chain and anon_vma_chain keep, in bytes and visits, is what their
 * descriptions say: else they would be other rivals than those that they are named after.
 */
#include "bench/system.h"
#include "support/test.h"

#define CHUNK 4096 /* 168 records */
#define BLOCK 64   /* 7 addresses */
#define CHAIN 64   /* anon_vma_chain */
#define REGION 24  /* of a VMA: anon_vma and list head */

static struct bench_bytes bytes(const struct bench_system *s, struct bench_world *w)
{
    struct bench_bytes b;
    s->bytes(w, &b);
    return b;
}

static struct bench_tally verb(const struct bench_system *s, struct bench_world *w, enum bench_verb v, struct rmap_page *page)
{
    struct bench_tally t = {0, 0};
    s->verb(w, v, &page, 1, &t);
    return t;
}

static void fill(const struct bench_system *s, struct bench_space *p, rmap_vpn_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) s->write(p, first + i);
}

/* [0, 169) in P: one record too many for a chunk; a child has chunks of its own. */
RMAP_TEST(structures, pv_chunks_hold_168_records_of_one_space)
{
    const struct bench_system *s = &bench_pv_chunk;
    struct bench_world *w = s->open(&(struct bench_options){.frames = 1024});
    struct bench_space *p = s->create(w), *c;
    s->map(p, 0, 512);
    fill(s, p, 0, 168);
    CHECK_EQ(bytes(s, w).mappings, CHUNK);
    s->write(p, 168);
    CHECK_EQ(bytes(s, w).mappings, 2 * CHUNK);
    c = s->fork(p);
    CHECK_EQ(bytes(s, w).mappings, 4 * CHUNK);
    s->unmap(c, 0, 100);
    CHECK_EQ(bytes(s, w).mappings, 4 * CHUNK);
    s->unmap(c, 100, 69); /* the rest of one chunk, and all of another */
    CHECK_EQ(bytes(s, w).mappings, 2 * CHUNK);
    CHECK_EQ(verb(s, w, BENCH_LOOK, s->page(p, 0)).visits, 1);
    s->exit(c), s->exit(p);
    CHECK_EQ(bytes(s, w).mappings, 0);
    s->close(w);
}

/* Holes in the middle of full chunks are used before a new chunk is made. */
RMAP_TEST(structures, pv_chunks_with_room_are_filled_first)
{
    const struct bench_system *s = &bench_pv_chunk;
    struct bench_world *w = s->open(&(struct bench_options){.frames = 1024});
    struct bench_space *p = s->create(w);
    s->map(p, 0, 1000);
    fill(s, p, 0, 3 * 168);
    CHECK_EQ(bytes(s, w).mappings, 3 * CHUNK);
    s->unmap(p, 200, 7), s->unmap(p, 400, 5);
    fill(s, p, 600, 12);
    CHECK_EQ(bytes(s, w).mappings, 3 * CHUNK);
    s->write(p, 700);
    CHECK_EQ(bytes(s, w).mappings, 4 * CHUNK);
    s->exit(p), s->close(w);
}

/* Page 5 in P, then in 8 children: direct, a block of two, … of seven, a second block. */
RMAP_TEST(structures, pte_chains_begin_at_the_second_mapping_and_shrink_when_looked_at)
{
    const struct bench_system *s = &bench_pte_chain;
    struct bench_world *w = s->open(&(struct bench_options){.frames = 64});
    struct bench_space *p = s->create(w), *c[8];
    s->map(p, 0, 10);
    s->write(p, 5);
    CHECK_EQ(bytes(s, w).mappings, 0);
    for (unsigned i = 0; i < 8; i++) {
        c[i] = s->fork(p);
        CHECK_EQ(bytes(s, w).mappings, (i < 6 ? 1 : 2) * BLOCK);
    }
    struct bench_tally t = verb(s, w, BENCH_LOOK, s->page(p, 5));
    CHECK_EQ(t.hits, 9);
    CHECK_EQ(t.visits, 9);
    for (unsigned i = 0; i < 8; i++) s->exit(c[i]); /* the oldest first: holes in the last block */
    CHECK_EQ(bytes(s, w).mappings, BLOCK);
    CHECK_EQ(verb(s, w, BENCH_LOOK, s->page(p, 5)).hits, 1);
    CHECK_EQ(bytes(s, w).mappings, 0);
    s->exit(p), s->close(w);
}

/* P has [0, 10) written and [20, 30) not: a fork costs the child two chains and an anon_vma for the first alone. */
RMAP_TEST(structures, anon_vmas_come_with_the_first_write_and_at_forks)
{
    const struct bench_system *s = &bench_anon_vma_chain;
    struct bench_world *w = s->open(&(struct bench_options){.frames = 64});
    struct bench_space *p = s->create(w), *c, *g;
    s->map(p, 0, 10), s->map(p, 20, 10);
    CHECK_EQ(bytes(s, w).regions, 2 * REGION);
    s->write(p, 5);
    const uint64_t own = bytes(s, w).regions - 2 * REGION - CHAIN; /* an anon_vma: as large as its lock makes it */
    uint64_t before = bytes(s, w).regions;
    c = s->fork(p);
    CHECK_EQ(bytes(s, w).regions - before, 2 * REGION + 2 * CHAIN + own);
    before = bytes(s, w).regions;
    g = s->fork(c);
    CHECK_EQ(bytes(s, w).regions - before, 2 * REGION + 3 * CHAIN + own);
    s->exit(g), s->exit(p), s->exit(c);
    CHECK_EQ(bytes(s, w).regions, 0);
    s->close(w);
}

/* 1,000 children of P; a page that one of them made is sought in that one; after that one's fork in both. */
RMAP_TEST(structures, anon_vma_chain_seeks_a_private_page_where_it_can_be)
{
    enum { CHILDREN = 1000 };
    static struct bench_space *c[CHILDREN];
    const struct bench_system *s = &bench_anon_vma_chain;
    struct bench_world *w = s->open(&(struct bench_options){.frames = 64});
    struct bench_space *p = s->create(w), *g;
    s->map(p, 0, 10);
    s->write(p, 5);
    for (unsigned i = 0; i < CHILDREN; i++) c[i] = s->fork(p);
    s->write(c[500], 5);
    struct bench_tally t = verb(s, w, BENCH_LOOK, s->page(c[500], 5));
    CHECK_EQ(t.hits, 1);
    CHECK_EQ(t.visits, 1);
    g = s->fork(c[500]);
    t = verb(s, w, BENCH_LOOK, s->page(g, 5));
    CHECK_EQ(t.hits, 2);
    CHECK_EQ(t.visits, 2);
    t = verb(s, w, BENCH_LOOK, s->page(p, 5));
    CHECK_EQ(t.hits, CHILDREN);
    CHECK_LE(t.visits, CHILDREN + 2);
    for (unsigned i = 0; i < CHILDREN; i++) s->exit(c[i]);
    s->exit(p), s->exit(g), s->close(w);
}

/* Each child forks, then its parent exits, 50 times: anon_vmas without region are taken over, the chains stay short. */
RMAP_TEST(structures, anon_vma_chain_does_not_grow_with_generations)
{
    const struct bench_system *s = &bench_anon_vma_chain;
    struct bench_world *w = s->open(&(struct bench_options){.frames = 64});
    struct bench_space *p = s->create(w);
    uint64_t most = 0;
    s->map(p, 0, 10);
    s->write(p, 5);
    for (unsigned generation = 0; generation < 50; generation++) {
        struct bench_space *c = s->fork(p);
        s->exit(p);
        p = c;
        if (generation == 5) most = bytes(s, w).regions;
        if (generation > 5) CHECK_LE(bytes(s, w).regions, most);
    }
    CHECK_EQ(verb(s, w, BENCH_LOOK, s->page(p, 5)).hits, 1);
    s->exit(p), s->close(w);
}

/* P, its child C, three children of C that exit, and D, the fourth; C exits, D forks: D's child takes over what was C's. */
RMAP_TEST(structures, anon_vmas_forget_children_that_are_gone)
{
    const struct bench_system *s = &bench_anon_vma_chain;
    struct bench_world *w = s->open(&(struct bench_options){.frames = 64});
    struct bench_space *p = s->create(w), *c, *d, *e;
    s->map(p, 0, 10);
    s->write(p, 5);
    c = s->fork(p);
    for (unsigned i = 0; i < 3; i++) s->exit(s->fork(c));
    d = s->fork(c);
    s->exit(c);
    const uint64_t before = bytes(s, w).regions;
    e = s->fork(d);
    CHECK_EQ(bytes(s, w).regions - before, REGION + 3 * CHAIN); /* P's, C's and D's, and nothing new */
    s->exit(p), s->exit(d), s->exit(e), s->close(w);
}

/* Page 5 of P in 20 children: all but the last take copies, the last writes in place; then it is sought in that one alone. */
RMAP_TEST(structures, anon_vma_chain_seeks_a_page_that_was_written_in_place_there)
{
    enum { CHILDREN = 20 };
    struct bench_space *c[CHILDREN];
    const struct bench_system *s = &bench_anon_vma_chain;
    struct bench_world *w = s->open(&(struct bench_options){.frames = 64});
    struct bench_space *p = s->create(w);
    s->map(p, 0, 10);
    s->write(p, 5);
    for (unsigned i = 0; i < CHILDREN; i++) c[i] = s->fork(p);
    const struct rmap_page *page = s->page(p, 5);
    s->write(p, 5);
    for (unsigned i = 0; i < CHILDREN; i++) s->write(c[i], 5);
    CHECK(s->page(c[CHILDREN - 1], 5) == page);
    struct bench_tally t = verb(s, w, BENCH_LOOK, s->page(c[CHILDREN - 1], 5));
    CHECK_EQ(t.hits, 1);
    CHECK_EQ(t.visits, 1);
    for (unsigned i = 0; i < CHILDREN; i++) s->exit(c[i]);
    s->exit(p), s->close(w);
}

/* P and child C: [0, 30); C loses [10, 20) and moves [20, 25) to [100, 105): its pages are found at the indexes that they had. */
RMAP_TEST(structures, anon_vma_chain_keeps_the_indexes_of_parts_that_are_left_and_moved)
{
    const struct bench_system *s = &bench_anon_vma_chain;
    struct bench_world *w = s->open(&(struct bench_options){.frames = 128});
    struct bench_space *p = s->create(w), *c;
    s->map(p, 0, 30);
    fill(s, p, 0, 30);
    c = s->fork(p);
    s->unmap(c, 10, 10);
    s->move(c, 20, 100, 5);
    for (rmap_vpn_t vpn = 0; vpn < 30; vpn++) {
        struct bench_tally t = verb(s, w, BENCH_LOOK, s->page(p, vpn));
        CHECK_EQ(t.hits, vpn < 10 || vpn >= 20 ? 2 : 1);
        CHECK_EQ(t.visits, t.hits); /* regions that cannot map the index are not asked */
        if (vpn >= 20 && vpn < 25) CHECK(s->page(c, vpn + 80) == s->page(p, vpn));
    }
    s->exit(p), s->exit(c);
    CHECK_EQ(bytes(s, w).regions, 0);
    s->close(w);
}
