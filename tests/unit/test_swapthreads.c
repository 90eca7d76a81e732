/* SPDX-License-Identifier: MIT */
/** @file unit/test_swapthreads.c  The slot map under several threads, or what amounts to them. World:
 *  unit/swap_world.h. */
#include "support/prng.h"
#include "unit/swap_world.h"

#include <pthread.h>
#include <sched.h>

static struct world w;

struct race {
    struct rmap_page *page;
    rmap_swp_t entry;
    _Atomic unsigned round, done;
};
static void *putter(void *arg)
{
    struct race *race = arg;
    for (unsigned n = 1; n <= 2000; n++) {
        while (race->round != n) sched_yield();
        w.ops->put(w.s, race->entry, 1);
        race->done = n;
    }
    return NULL;
}

/* 2,000 times: one thread drops the last entry while another unlocks the page. Whoever comes last frees it, once. */
RMAP_TEST(swapthreads, the_last_put_races_the_unlock)
{
    static struct race race;
    pthread_t thread;
    race.round = race.done = 0;
    world_begin(&w, 10);
    CHECK_EQ(pthread_create(&thread, NULL, putter, &race), 0);
    unsigned failed = 0;
    for (unsigned n = 1; n <= 2000; n++) {
        race.entry = evict(&w, mapped_page(&w, 5, n));
        race.page = new_page(&w);
        CHECK_OK(rmap_swap_cache_load(w.s, race.entry, race.page));
        race.round = n;
        for (volatile unsigned spin = n % 97; spin; spin--) {}
        release(&w, race.page);
        while (race.done != n) sched_yield();
        failed += w.frames_used != 0 || stats_of(&w).slots_used != 0;
    }
    pthread_join(thread, NULL);
    CHECK_EQ(failed, 0);
    world_end(&w);
}

/* ---- a chunk that somebody else made meanwhile ---- */

static struct rmap_page *rival;
static void *(*real_alloc)(void *ctx, size_t size, size_t align);
static void *compete(void *ctx, size_t size, size_t align)
{
    w.s->alloc.alloc = real_alloc;
    CHECK_OK(rmap_swap_cache_add(w.s, rival));
    return real_alloc(ctx, size, align);
}

/* While the first page's chunk is being allocated, a second page gets a slot in its own: one chunk is kept. */
RMAP_TEST(swapthreads, two_chunks_are_made_at_once_and_one_is_kept)
{
    world_begin(&w, 3000);
    uint64_t before = stats_of(&w).metadata_bytes;
    struct rmap_page *page = mapped_page(&w, 5, 1);
    rival = mapped_page(&w, 6, 2);
    real_alloc = w.s->alloc.alloc;
    w.s->alloc.alloc = compete;
    CHECK_OK(rmap_swap_cache_add(w.s, page));
    CHECK_EQ(rival->swap, rmap_swp_make(1, 0));
    CHECK_EQ(page->swap, rmap_swp_make(1, 1));
    CHECK_EQ(stats_of(&w).metadata_bytes, before + sizeof(struct rmap__slot_chunk));
    world_verify(&w);
    unmap(&w, page);
    unmap(&w, rival);
    release(&w, page);
    release(&w, rival);
    world_end(&w);
}

/* ---- everything at once ---- */

struct worker {
    pthread_t thread;
    struct prng rng;
    unsigned number, failures;
};

/* CHECK belongs on the test's own thread: workers count. */
#define EXPECT(cond) (me->failures += !(cond))

/* Evict the page to a slot with two entries. @return the slot's entry, or 0 if there was none free. */
static rmap_swp_t send_out(struct worker *me, struct rmap_page *page)
{
    int result = -1;
    rmap_swp_t entry = 0;
    if (rmap_swap_cache_add(w.s, page) == 0) {
        entry = page->swap;
        EXPECT(w.ops->dup(w.s, entry, 2) == 0);
    }
    unmap(&w, page);
    if (entry) {
        EXPECT(rmap_swap_write(w.s, &page, 1, &result) == 0 && result == 0);
        EXPECT(rmap_swap_cache_del(w.s, page) == 0);
    }
    release(&w, page);
    return entry;
}

/* Bring it back by one of its entries, compare, keep it mapped a while as a clean copy that others may take away. */
static void bring_back(struct worker *me, rmap_swp_t entry, unsigned seed)
{
    struct rmap_page *page;
    EXPECT(rmap_page_alloc(w.r, RMAP_PFN_NONE, &page) == 0 && rmap_page_try_lock(page));
    EXPECT(rmap_swap_cache_load(w.s, entry, page) == 0);
    EXPECT(holds(&w, page, seed));
    EXPECT(rmap_page_map_swapin(&w.m, page, entry) == 0);
    w.ops->put(w.s, entry, 1);
    rmap_page_unlock(w.r, page);
    if (prng_chance(&me->rng, 1, 2)) sched_yield();
    w.ops->put(w.s, entry, 1);
    if (prng_chance(&me->rng, 1, 2)) sched_yield();
    unmap(&w, page);
    rmap_page_put(w.r, page);
}

static void *work(void *arg)
{
    struct worker *me = arg;
    for (unsigned n = 0; n < 1500; n++) {
        unsigned seed = me->number * 100000 + n;
        struct rmap_page *page;
        if (rmap_page_alloc(w.r, RMAP_PFN_NONE, &page)) continue;
        EXPECT(rmap_page_try_lock(page));
        fill(&w, page, seed);
        EXPECT(rmap_page_map_new(&w.m, page, n) == 0);
        rmap_swp_t entry = send_out(me, page);
        if (entry) bring_back(me, entry, seed);
    }
    return NULL;
}

static void start(struct worker *workers)
{
    for (unsigned i = 0; i < 4; i++) {
        workers[i] = (struct worker){.number = i};
        prng_init(&workers[i].rng, i);
        CHECK_EQ(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
}
static void finish(struct worker *workers)
{
    unsigned failures = 0;
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(workers[i].thread, NULL);
        failures += workers[i].failures;
    }
    CHECK_EQ(failures, 0);
    CHECK_EQ(stats_of(&w).slots_used, 0);
}

static struct rmap_device *add_file(void)
{
    struct rmap_device *d = NULL;
    CHECK_OK(rmap_device_temp_create(&w.alloc.a, NULL, 3, SHIFT, &d));
    CHECK_OK(rmap_swap_add(w.s, d));
    return d;
}

/* 4 threads send pages out and bring them back through 3 slots of a file: they steal clean copies from each other. */
RMAP_TEST(swapthreads, four_threads_share_three_slots)
{
    struct worker workers[4];
    world_begin(&w, 0);
    add_file();
    start(workers);
    finish(workers);
    world_end(&w);
}

/* The same with a second device beside it, which is drained, removed and replaced all the time. */
RMAP_TEST(swapthreads, a_device_comes_and_goes_beneath_four_threads)
{
    struct worker workers[4];
    world_begin(&w, 0);
    add_file();
    start(workers);
    for (unsigned n = 0; n < 200; n++) {
        struct rmap_device *d = add_file();
        int rc;
        for (unsigned i = 0; i < n % 32; i++) sched_yield();
        CHECK_OK(rmap_swap_drain_begin(w.s, d));
        while ((rc = rmap_swap_remove(w.s, d)) == RMAP_ERR_BUSY) sched_yield();
        CHECK_OK(rc);
        rmap_device_destroy(d);
    }
    finish(workers);
    world_end(&w);
}
