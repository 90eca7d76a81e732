/* SPDX-License-Identifier: MIT */
/** @file unit/test_batch.c  Many pages in one call: clusters, order of results, sorting; and gathers, which batch the flushes. */
#include "support/other_thread.h"
#include "support/prng.h"
#include "support/world.h"

#include <core/walk.h>
#include <pthread.h>

/* ---- batches ---- */

#define PAGES 300

/* Two groups; in each a parent with pages around a table border (480-579) and at 5000-5049, before and after a first fork;
 * page n of a parent is dropped by some of its children, so that hits and visits differ. */
struct crowd {
    struct world w;
    struct rmap_page *page[PAGES];
    unsigned n;
};

static void crowd_init(struct crowd *x)
{
    world_init(&x->w, &(struct world_options){.caps = RMAP_MMU_NO_TLB, .no_contents = true, .frames = 2 * PAGES});
    x->n = 0;
    for (unsigned g = 0; g < 2; g++) {
        struct world_space *p = world_space(&x->w), *kid[4];
        for (rmap_vpn_t v = 480; v < 580; v += 2) world_write(p, v, 1);
        kid[0] = world_fork(p);
        kid[1] = world_fork(kid[0]);
        for (rmap_vpn_t v = 481; v < 580; v += 2) world_write(p, v, 1);
        for (rmap_vpn_t v = 5000; v < 5050; v++) world_write(p, v, 1);
        kid[2] = world_fork(p);
        kid[3] = world_fork(p);
        for (rmap_vpn_t v = 480; v < 5050; v += v == 579 ? 5000 - 579 : 1) {
            x->page[x->n] = world_page(p, v);
            rmap_page_get(x->page[x->n++]);
        }
        for (rmap_vpn_t v = 480; v < 5050; v += 3)
            for (unsigned i = 0; i < 4; i++)
                if ((v >> i) & 1) world_zap(kid[i], v, 1);
        for (rmap_vpn_t v = 480; v < 5050; v += 5) world_zap(p, v, 1);
    }
    CHECK_EQ(x->n, PAGES);
    unsigned mapped = 0;
    for (unsigned i = 0; i < x->n; i++) {
        if (rmap_page_mapcount(x->page[i]))
            x->page[mapped++] = x->page[i];
        else
            rmap_page_put(x->w.r, x->page[i]);
    }
    x->n = mapped;
    CHECK_LE(PAGES / 2, mapped);
    for (unsigned i = 0; i < x->n; i++) CHECK(rmap_page_try_lock(x->page[i]));
}

static void crowd_fini(struct crowd *x)
{
    for (unsigned i = 0; i < x->n; i++) {
        rmap_page_unlock(x->w.r, x->page[i]);
        rmap_page_put(x->w.r, x->page[i]);
    }
    world_check(&x->w);
    world_fini(&x->w);
}

/* Visits and nodes too, unless a search was long enough for the group's hint, which the pages before it have left. */
static bool result_equal(const struct rmap_result *a, const struct rmap_result *b)
{
    const bool hinted = a->mapcount == 1 && a->nodes >= 4 && b->nodes >= 4;
    return a->outcome == b->outcome && a->reason == b->reason && a->hits == b->hits &&
           (hinted || (a->visits == b->visits && a->nodes == b->nodes)) && a->mapcount == b->mapcount &&
           a->tightened == b->tightened;
}

/* Where page `p` of crowd x stands in array `in`. */
static unsigned place(struct rmap_page *const *in, unsigned n, const struct rmap_page *p)
{
    for (unsigned i = 0; i < n; i++)
        if (in[i] == p) return i;
    TEST_FAIL("a page got lost");
}

/* the same world thrice: pages one by one, all in one sorted call, all in one call in random order */
RMAP_TEST(batch, a_batch_does_what_single_calls_do_and_answers_in_the_order_of_the_pages)
{
    struct rmap_result single[PAGES], batch[PAGES];
    struct page_state {
        rmap_vpn_t index;
        uint32_t mapcount;
    } after[PAGES];
    for (unsigned way = 0; way < 3; way++) {
        struct crowd x;
        struct rmap_page *order[PAGES];
        crowd_init(&x);
        memcpy(order, x.page, sizeof order);
        struct prng rng;
        prng_init(&rng, 5);
        for (unsigned i = x.n; i > 1; i--) {
            unsigned k = (unsigned)prng_below(&rng, i);
            struct rmap_page *swap = order[i - 1];
            order[i - 1] = order[k];
            order[k] = swap;
        }
        if (way == 1) rmap_pages_sort(order, x.n);
        uint64_t locks = x.w.run_locks;
        if (way == 0)
            for (unsigned i = 0; i < x.n; i++) CHECK_OK(rmap_referenced(x.w.r, &x.page[i], 1, 0, &single[i]));
        else
            CHECK_OK(rmap_referenced(x.w.r, order, x.n, 0, batch));
        locks = x.w.run_locks - locks;
        uint64_t visits = 0;
        for (unsigned i = 0; i < x.n; i++) {
            visits += single[i].visits;
            CHECK_EQ(single[i].outcome, RMAP_DONE);
            CHECK_EQ(single[i].hits, single[i].mapcount);
            if (way == 0)
                after[i] = (struct page_state){rmap_page_index(x.page[i]), rmap_page_mapcount(x.page[i])};
            else
                CHECK(result_equal(&single[i], &batch[place(order, x.n, x.page[i])]));
            CHECK_EQ(after[i].index, rmap_page_index(x.page[i]));
            CHECK_EQ(after[i].mapcount, rmap_page_mapcount(x.page[i]));
        }
        if (way == 0) CHECK_LE(locks, visits);
        if (way == 1) CHECK_LE(locks * 8, visits); /* neighbours share the run locks */
        for (unsigned i = 0; i < x.n; i++) {       /* whatever was tightened: a second look costs no more */
            struct rmap_result again;
            CHECK_OK(rmap_referenced(x.w.r, &x.page[i], 1, 0, &again));
            CHECK_EQ(again.hits, single[i].hits);
            CHECK_LE(again.nodes, single[i].nodes);
        }
        crowd_fini(&x);
    }
}

/* P and C: 200 neighbouring pages in one table */
RMAP_TEST(batch, more_pages_than_a_cluster_holds_are_walked_in_several)
{
    struct world w;
    world_init(&w, &(struct world_options){.frames = 512, .slots = 256});
    struct world_space *p = world_space(&w);
    struct rmap_page *page[200];
    struct rmap_result res[200];
    for (unsigned i = 0; i < 200; i++) {
        world_write(p, 100 + i, i);
        page[i] = world_page(p, 100 + i);
    }
    struct world_space *c = world_fork(p);
    for (unsigned i = 0; i < 200; i++) {
        world_read(c, 100 + i);
        rmap_page_get(page[i]);
        CHECK(rmap_page_try_lock(page[i]));
        CHECK_OK(rmap_swap_cache_add(w.swap, page[i]));
    }
    w.flush_calls = 0;
    uint64_t locks = w.run_locks;
    CHECK_OK(rmap_unmap(w.r, page, 200, 0, res));
    CHECK_EQ(w.run_locks - locks, 8); /* 4 clusters of at most 64, 2 spaces */
    CHECK_LE(w.flush_calls, 8);
    for (unsigned i = 0; i < 200; i++) {
        CHECK_EQ(res[i].outcome, RMAP_DONE);
        CHECK_EQ(res[i].hits, 2);
        CHECK_EQ(rmap_page_mapcount(page[i]), 0);
        rmap_page_unlock(w.r, page[i]);
        rmap_page_put(w.r, page[i]);
    }
    world_check(&w);
    for (unsigned i = 0; i < 200; i++) CHECK_EQ(world_read(c, 100 + i), i);
    world_check(&w);
    world_fini(&w);
}

/* runs of 8 slots: pages 0, 3, 9, 10, 40 of P and C lie in three runs of one block */
RMAP_TEST(batch, a_cluster_may_lie_in_several_runs_and_some_may_have_no_table)
{
    static const struct rmap_radix_geometry tiny = {.name = "tiny",
                                                    .format = &rmap_pte_format_soft,
                                                    .levels = 3,
                                                    .bits = {3, 9, 3},
                                                    .table_present = 1,
                                                    .table_mask = 0x81,
                                                    .lock_bit = 0x800};
    static const rmap_vpn_t vpn[5] = {0, 3, 9, 10, 40};
    struct world w;
    world_init(&w, &(struct world_options){.geometry = &tiny});
    struct world_space *p = world_space(&w);
    struct rmap_page *page[5];
    struct rmap_result res[5];
    for (unsigned i = 0; i < 5; i++) {
        world_write(p, vpn[i], i);
        page[i] = world_page(p, vpn[i]);
    }
    struct world_space *c = world_space_blank(&w);
    struct rmap_fork f;
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &f));
    CHECK_OK(rmap_fork_copy(&f, 9, 10, 0)); /* C has no tables for the others */
    rmap_fork_commit(&f);
    for (unsigned i = 0; i < 5; i++) CHECK(rmap_page_try_lock(page[i]));
    CHECK_OK(rmap_referenced(w.r, page, 5, 0, res));
    for (unsigned i = 0; i < 5; i++) {
        CHECK_EQ(res[i].outcome, RMAP_DONE);
        CHECK_EQ(res[i].hits, i == 2 || i == 3 ? 2 : 1);
        rmap_page_unlock(w.r, page[i]);
    }
    CHECK_OK(rmap_zap(&c->m, 0, c->mmu.pages, NULL));
    CHECK_OK(rmap_member_leave(&c->m));
    world_space_free(c);
    world_check(&w);
    world_fini(&w);
}

RMAP_TEST(batch, sorting_puts_neighbours_together_at_every_length)
{
    struct crowd x;
    crowd_init(&x);
    struct prng rng;
    prng_init(&rng, 9);
    rmap_pages_sort(NULL, 5);
    for (size_t n = 0; n <= x.n; n++) {
        struct rmap_page *order[PAGES];
        uintptr_t sum = 0, same = 0;
        for (size_t i = 0; i < n; i++) sum += (uintptr_t)(order[i] = x.page[prng_below(&rng, x.n)]);
        size_t calls = x.w.alloc.calls;
        rmap_pages_sort(order, n);
        CHECK_EQ(x.w.alloc.calls, calls);
        for (size_t i = 0; i < n; i++) {
            same += (uintptr_t)order[i];
            if (!i) continue;
            rmap_owner_t a = rmap_page_owner(order[i - 1]), b = rmap_page_owner(order[i]);
            CHECK(a < b || (a == b && rmap_page_index(order[i - 1]) <= rmap_page_index(order[i])));
        }
        CHECK_EQ(sum, same);
    }
    crowd_fini(&x);
}

/* ---- gathers ---- */

static void flush(struct rmap_gather *g, struct world_space *s, rmap_vpn_t vpn, enum rmap_flush_kind kind)
{
    rmap_gather_flush(g, &s->m, vpn, world_entry(s, 7), kind); /* any present entry */
}

/* ---- RMAP_LOCK_PAGES ---- */

/* Five pages, one of another group; the third and the last are locked by somebody else: BUSY, with everything as it was */
RMAP_TEST(batch, pages_locked_by_others_are_busy_and_untouched_and_the_rest_is_done)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *q = world_space(&w);
    struct rmap_page *page[5];
    struct rmap_result res[5];
    for (rmap_vpn_t v = 0; v < 4; v++) world_write(p, v, v);
    world_write(q, 9, 9);
    for (rmap_vpn_t v = 0; v < 4; v++) page[v] = world_page(p, v);
    page[4] = world_page(q, 9);
    AS_ANOTHER_THREAD(rmap_page_lock(page[2]));
    AS_ANOTHER_THREAD(rmap_page_lock(page[4]));
    CHECK_OK(rmap_referenced(w.r, page, 5, RMAP_LOCK_PAGES, res));
    for (unsigned i = 0; i < 5; i++) {
        const bool busy = i == 2 || i == 4;
        CHECK_EQ(res[i].outcome, busy ? RMAP_INCOMPLETE : RMAP_DONE);
        CHECK_EQ(res[i].reason, busy ? RMAP_REASON_BUSY : RMAP_REASON_NONE);
        CHECK_EQ(res[i].hits, !busy);
        CHECK_EQ(world_attr(i < 4 ? p : q, i < 4 ? i : 9, RMAP_ATTR_ACCESSED), busy);
        CHECK_EQ((rmap_page_flags(page[i]) & RMAP_PAGE_LOCKED) != 0, busy);
        CHECK_EQ(rmap_page_mapcount(page[i]), 1);
    }
    rmap_page_unlock(w.r, page[2]);
    rmap_page_unlock(w.r, page[4]);
    CHECK_OK(rmap_referenced(w.r, NULL, 0, RMAP_LOCK_PAGES, NULL));
    CHECK_ERR(rmap_referenced(w.r, page, 5, 1u << 30, res), RMAP_ERR_INVALID);
    for (unsigned i = 0; i < 5; i++) CHECK(!(rmap_page_flags(page[i]) & RMAP_PAGE_LOCKED)); /* nor are they locked then */
    world_check(&w);
    world_fini(&w);
}

static int see_lock(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t e)
{
    struct rmap_page **page = ctx;
    (void)m, (void)e;
    CHECK(rmap_page_flags(page[vpn]) & RMAP_PAGE_LOCKED);
    return vpn == 1; /* and a walk that is stopped unlocks, too */
}

RMAP_TEST(batch, the_verb_holds_the_locks_while_it_looks_and_no_longer)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    struct rmap_page *page[3];
    struct rmap_result res[3];
    for (rmap_vpn_t v = 0; v < 3; v++) world_write(p, v, v);
    for (rmap_vpn_t v = 0; v < 3; v++) page[v] = world_page(p, v);
    CHECK_OK(rmap_each_mapping(w.r, page, 3, RMAP_LOCK_PAGES, see_lock, page, res));
    CHECK_EQ(res[1].reason, RMAP_REASON_STOPPED);
    for (unsigned i = 0; i < 3; i++) CHECK(!(rmap_page_flags(page[i]) & RMAP_PAGE_LOCKED));
    world_fini(&w);
}

struct opposite {
    struct rmap *r;
    struct rmap_page *page[8];
    unsigned long done, busy, wrong;
};
static void *age_again_and_again(void *arg)
{
    struct opposite *x = arg;
    struct rmap_result res[8];
    for (unsigned i = 0; i < 2000; i++) {
        x->wrong += rmap_referenced(x->r, x->page, 8, RMAP_LOCK_PAGES | RMAP_KEEP_ACCESSED, res) != 0;
        x->wrong += res[0].outcome != RMAP_DONE; /* the first is waited for */
        for (unsigned k = 0; k < 8; k++) {
            x->done += res[k].outcome == RMAP_DONE;
            x->busy += res[k].reason == RMAP_REASON_BUSY;
        }
    }
    return NULL;
}

/* Two threads, the same eight pages, in opposite order: no deadlock; every page is done or busy, the first always done */
RMAP_TEST(batch, two_batches_in_opposite_order_do_not_wait_for_each_other)
{
    struct world w;
    world_init(&w, &(struct world_options){.caps = RMAP_MMU_NO_TLB});
    struct world_space *p = world_space(&w);
    struct opposite x[2] = {{.r = w.r}, {.r = w.r}};
    for (rmap_vpn_t v = 0; v < 8; v++) world_write(p, v, v);
    for (unsigned v = 0; v < 8; v++) x[0].page[v] = x[1].page[7 - v] = world_page(p, v);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, age_again_and_again, &x[1]), 0);
    age_again_and_again(&x[0]);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    for (unsigned i = 0; i < 2; i++) {
        CHECK_EQ(x[i].wrong, 0);
        CHECK_EQ(x[i].done + x[i].busy, 16000);
    }
    for (unsigned v = 0; v < 8; v++) CHECK(!(rmap_page_flags(x[0].page[v]) & RMAP_PAGE_LOCKED));
    world_check(&w);
    world_fini(&w);
}

/* ---- gathers ---- */

/* 10, 11, 12 all; 13 write; 14 all; 14 of another space; 20 all */
RMAP_TEST(batch, a_gather_merges_neighbours_of_one_kind_and_calls_each_space_once)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *a = world_space(&w), *b = world_space(&w);
    world_write(a, 7, 1);
    world_write(b, 7, 1);
    struct rmap_gather g;
    rmap_gather_init(&g, w.r);
    for (rmap_vpn_t v = 10; v < 13; v++) flush(&g, a, v, RMAP_FLUSH_ALL);
    flush(&g, a, 13, RMAP_FLUSH_WRITE);
    flush(&g, a, 14, RMAP_FLUSH_ALL);
    flush(&g, a, 20, RMAP_FLUSH_ALL);
    flush(&g, b, 21, RMAP_FLUSH_ALL);
    rmap_gather_flush(&g, &b->m, 22, 0, RMAP_FLUSH_ALL); /* was not present: nothing can be cached */
    CHECK_EQ(w.flush_calls, 0);
    rmap_gather_finish(&g);
    CHECK_EQ(w.flush_calls, 2);
    static const struct rmap_flush_range expected[4] = {
        {10, 3, RMAP_FLUSH_ALL}, {13, 1, RMAP_FLUSH_WRITE}, {14, 1, RMAP_FLUSH_ALL}, {20, 1, RMAP_FLUSH_ALL}};
    CHECK_EQ(a->flushed_count, 4);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_EQ(a->flushed[i].first, expected[i].first);
        CHECK_EQ(a->flushed[i].count, expected[i].count);
        CHECK_EQ(a->flushed[i].kind, expected[i].kind);
    }
    CHECK_EQ(b->flushed_count, 1);
    CHECK_EQ(world_stats(&w).flushes, 2);
    CHECK_EQ(world_stats(&w).flushed_pages, 7);
    rmap_gather_finish(&g); /* empty now */
    CHECK_EQ(w.flush_calls, 2);
    world_fini(&w);
}

/* 65 ranges with gaps: the 65th makes room by flushing the others, the counts stay held */
RMAP_TEST(batch, a_gather_with_more_ranges_than_it_holds_flushes_early_and_keeps_the_counts)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space(&w);
    world_write(s, 7, 1);
    struct rmap_page *page = world_page(s, 7);
    struct rmap_gather g;
    rmap_gather_init(&g, w.r);
    rmap_page_unmap(&g, &s->m, page);
    for (rmap_vpn_t v = 0; v < RMAP_GATHER_FLUSHES; v++) flush(&g, s, 2 * v, RMAP_FLUSH_ALL);
    CHECK_EQ(w.flush_calls, 0);
    flush(&g, s, 2 * RMAP_GATHER_FLUSHES, RMAP_FLUSH_ALL);
    CHECK_EQ(w.flush_calls, 1);
    CHECK_EQ(w.flush_pages, RMAP_GATHER_FLUSHES);
    CHECK_EQ(rmap_page_mapcount(page), 1);
    rmap_gather_flush_now(&g);
    CHECK_EQ(w.flush_pages, RMAP_GATHER_FLUSHES + 1);
    CHECK_EQ(rmap_page_mapcount(page), 1);
    CHECK_OK(rmap_page_dup(&s->m, &page, 1)); /* as it was: the entry is still there */
    rmap_gather_finish(&g);
    CHECK_EQ(rmap_page_mapcount(page), 1);
    world_check(&w);
    world_fini(&w);
}

/* 512 items; the same page again is no new item */
RMAP_TEST(batch, a_gather_has_room_for_512_pages_and_swap_entries)
{
    struct world w;
    world_init(&w, &(struct world_options){.frames = 1024, .no_contents = true});
    struct world_space *s = world_space(&w), *c;
    for (unsigned i = 0; i < RMAP_GATHER_ITEMS; i++) world_write(s, i, 0);
    struct rmap_gather g;
    rmap_gather_init(&g, w.r);
    CHECK(rmap_gather_room(&g, RMAP_GATHER_ITEMS));
    CHECK(!rmap_gather_room(&g, RMAP_GATHER_ITEMS + 1));
    struct rmap_page *page = world_page(s, 0);
    struct world_space *d = world_fork(s);
    c = world_fork(s);
    for (unsigned i = 0; i < 2; i++) rmap_page_unmap(&g, &s->m, page);
    CHECK(rmap_gather_room(&g, RMAP_GATHER_ITEMS - 1));
    for (unsigned i = 1; i < RMAP_GATHER_ITEMS; i++) {
        CHECK(rmap_gather_room(&g, 1));
        rmap_page_unmap(&g, &s->m, world_page(s, i));
    }
    CHECK(!rmap_gather_room(&g, 1));
    CHECK(rmap_gather_room(&g, 0));
    rmap_gather_finish(&g);
    CHECK(rmap_gather_room(&g, RMAP_GATHER_ITEMS));
    for (unsigned i = 0; i < RMAP_GATHER_ITEMS; i++) CHECK_EQ(rmap_page_mapcount(world_page(s, i)), i ? 2 : 1);
    /* as they were */
    for (unsigned i = 0; i < RMAP_GATHER_ITEMS; i++) {
        struct rmap_page *two[2] = {world_page(s, i), page};
        CHECK_OK(rmap_page_dup(&s->m, two, i ? 1 : 2));
    }
    CHECK_EQ(s->m.mapped, RMAP_GATHER_ITEMS);
    world_check(&w);
    world_exit(c);
    world_exit(d);
    world_fini(&w);
}
