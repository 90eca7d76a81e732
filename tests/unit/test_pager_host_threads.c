/* SPDX-License-Identifier: MIT */
/** @file unit/test_pager_host_threads.c  Threads on projected memory while others fork, evict, move, protect and migrate. */
#include "pager_host_world.h"
#include "support/prng.h"

#include <stdlib.h>

#define THREADS 3

/* ---- pages that all threads want at once ---- */

#define FRESH 64

struct toucher {
    struct rmap_space *s;
    pthread_barrier_t *barrier;
    bool read_first;
};

static void *touch_all(void *arg)
{
    struct toucher *t = arg;
    pthread_barrier_wait(t->barrier);
    for (rmap_vpn_t v = 0; v < FRESH; v++) {
        if (t->read_first) window_get(t->s, v, 0);
        window_add(t->s, v, 0);
    }
    return NULL;
}

/* Each thread adds one to word 0 of each page, all in the same order. An add into a page that was made twice is lost. */
static void touch_at_once(struct rmap_space *s, bool read_first, uint64_t before)
{
    pthread_t thread[THREADS];
    pthread_barrier_t barrier;
    struct toucher t = {s, &barrier, read_first};
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&thread[i], NULL, touch_all, &t), 0);
    for (unsigned i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    pthread_barrier_destroy(&barrier);
    for (rmap_vpn_t v = 0; v < FRESH; v++) CHECK_EQ(window_get(s, v, 0), before + THREADS);
}

/* pages 0-63: written first, read first, shared by a child, on swap */
RMAP_TEST(pager_host_threads, each_page_that_threads_touch_at_once_is_made_once)
{
    world_init(4 * FRESH);
    for (unsigned read_first = 0; read_first < 2; read_first++) {
        struct rmap_space *s = space_with_region(FRESH), *child;
        struct rmap_pager_stats before = stats(), after;
        touch_at_once(s, read_first, 0);
        after = stats();
        CHECK_EQ(after.anon_new - before.anon_new, FRESH);
        CHECK_EQ(after.frames_used - before.frames_used, FRESH);
        CHECK_OK(rmap_space_fork(s, &child));
        before = stats();
        touch_at_once(child, read_first, THREADS);
        after = stats();
        CHECK_EQ(after.cow_copies - before.cow_copies, FRESH);
        CHECK_EQ(after.frames_used - before.frames_used, FRESH);
        touch_at_once(s, read_first, THREADS); /* alone again: in place */
        CHECK_EQ(stats().cow_copies, after.cow_copies);
        CHECK_EQ(stats().frames_used, after.frames_used);
        CHECK_OK(rmap_space_destroy(child));
        CHECK_EQ(rmap_reclaim(w.p, FRESH), FRESH);
        before = stats();
        touch_at_once(s, read_first, 2 * THREADS);
        after = stats();
        CHECK_EQ(after.swap_ins - before.swap_ins, FRESH);
        CHECK_EQ(after.frames_used - before.frames_used, FRESH);
        CHECK_OK(rmap_space_destroy(s));
    }
    world_fini();
}

/* ---- a fault while another thread is inside a call ---- */

static atomic_bool reclaim_is_inside, fresh_pages_made;

/* With the pages of a batch unmapped and locked. */
static void wait_for_the_fresh_pages(void)
{
    reclaim_is_inside = true;
    while (!fresh_pages_made) sched_yield();
}

static void *touch_when_inside(void *arg)
{
    while (!reclaim_is_inside) sched_yield();
    for (rmap_vpn_t v = 32; v < 64; v++) window_add(arg, v, 1);
    fresh_pages_made = true;
    for (rmap_vpn_t v = 0; v < 32; v++) window_add(arg, v, 1); /* some of them are being written out */
    return NULL;
}

/* Pages 0-31 are written to swap by a reclaim that does not go on before a thread has been given pages 32-63, in the same
 * space, by faults; and then it wants the first ones back. */
RMAP_TEST(pager_host_threads, faults_are_served_while_another_thread_is_inside_a_reclaim)
{
    world_init(128);
    struct rmap_space *s = space_with_region(64);
    pthread_t t;
    for (rmap_vpn_t v = 0; v < 32; v++) window_put(s, v, 0, 100 + v);
    reclaim_is_inside = fresh_pages_made = false;
    w.device.before_write = wait_for_the_fresh_pages;
    CHECK_EQ(pthread_create(&t, NULL, touch_when_inside, s), 0);
    CHECK(rmap_reclaim(w.p, 16) > 0);
    CHECK(fresh_pages_made);
    pthread_join(t, NULL);
    for (rmap_vpn_t v = 0; v < 64; v++) {
        CHECK_EQ(window_get(s, v, 0), v < 32 ? 100 + v : 0);
        CHECK_EQ(window_get(s, v, 1), 1);
    }
    CHECK_OK(rmap_space_destroy(s));
    world_fini();
}

/* ---- counters that never go back ---- */

#define COUNTED 8
#define WRITERS 2

struct writer {
    struct rmap_space *s;
    unsigned number; /* and the word of each page that is its own */
    atomic_bool *stop;
    uint64_t mine[COUNTED];
    atomic_ulong rounds;
    unsigned long wrong;
};

static unsigned long evicted_in_use;

/* Pages in order 0 … 7, so that at any moment a page's counter is the next one's, or one more. */
static void *count(void *arg)
{
    struct writer *t = arg;
    while (!*t->stop) {
        for (unsigned v = 0; v < COUNTED; v++) {
            t->wrong += window_get(t->s, v, t->number) != t->mine[v];
            window_put(t->s, v, t->number, ++t->mine[v]);
        }
        t->rounds++;
    }
    return NULL;
}

/* The child is one moment: neither older than what was stored before the fork nor newer than what is there after it, and no
 * store is in it without those that its thread made before. */
static void check_fork(struct rmap_space *s)
{
    uint64_t before[WRITERS][COUNTED], in[WRITERS][COUNTED];
    struct rmap_space *child;
    for (unsigned t = 0; t < WRITERS; t++)
        for (unsigned v = 0; v < COUNTED; v++) before[t][v] = window_get(s, v, t);
    CHECK_OK(rmap_space_fork(s, &child));
    for (unsigned t = 0; t < WRITERS; t++)
        for (unsigned v = 0; v < COUNTED; v++) {
            in[t][v] = window_get(child, v, t);
            CHECK_LE(before[t][v], in[t][v]);
            CHECK_LE(in[t][v], window_get(s, v, t));
            if (v) CHECK(in[t][v - 1] - in[t][v] <= 1);
        }
    for (unsigned t = 0; t < WRITERS; t++) CHECK(in[t][0] - in[t][COUNTED - 1] <= 1);
    for (unsigned v = 0; v < COUNTED; v++) window_put(child, v, 0, UINT64_MAX); /* nobody's but the child's */
    CHECK_OK(rmap_space_destroy(child));
}

static void check_read(struct rmap_space *s, rmap_vpn_t page)
{
    uint64_t before = window_get(s, page, 1), value;
    CHECK_OK(rmap_space_read(s, page * PAGE + sizeof value, &value, sizeof value, NULL));
    CHECK_LE(before, value);
    CHECK_LE(value, window_get(s, page, 1));
}

/* The pager's reclaim ages a page just before it evicts it, so that hardly anybody uses it then. This evictor does not. */
static void evict_in_use(struct rmap_space *s, rmap_vpn_t vpn)
{
    struct rmap *r = rmap_pager_rmap(w.p);
    struct rmap_swap *swap = rmap_pager_swap(w.p);
    const struct rmap_mmu *mmu = &rmap_space_member(s)->mmu;
    struct rmap_page *page = NULL;
    struct rmap_mmu_run run;
    struct rmap_result result;
    CHECK_OK(mmu->ops->run_find(mmu->ctx, vpn, vpn + 1, &run));
    rmap_pte_t e = rmap_run_get(mmu, &run, (uint32_t)(vpn - run.first));
    if (rmap_pte_present(mmu->ops->format, e)) page = rmap_page_find(r, rmap_pte_pfn(mmu->ops->format, e));
    if (page) rmap_page_get(page);
    mmu->ops->run_unlock(mmu->ctx, &run);
    if (!page) return;
    rmap_page_lock(page);
    if (rmap_page_is_anon(page) && rmap_page_mapcount(page) > 0) {
        int error = rmap_swap_cache_add(swap, page);
        CHECK(!error || error == RMAP_ERR_EXISTS);
        CHECK_OK(rmap_unmap(r, &page, 1, 0, &result));
        CHECK_EQ(result.outcome, RMAP_DONE);
        CHECK_OK(rmap_swap_write(swap, &page, 1, &error));
        CHECK_OK(error);
        CHECK_OK(rmap_swap_cache_del(swap, page));
        evicted_in_use += result.young;
    }
    rmap_page_unlock(r, page);
    rmap_page_put(r, page);
}

/* Writers come to a page that is away, and wait there. */
static void let_them_wait(void)
{
    for (const unsigned long from = waits; waits < from + 4;) sched_yield();
}

static void disturb(struct rmap_space *s, struct prng *random)
{
    const rmap_vpn_t page = prng_below(random, COUNTED);
    rmap_vpn_t to = 100;
    switch (prng_below(random, 9)) {
    case 0:
    case 1:
        check_fork(s);
        break;
    case 2:
        rmap_reclaim(w.p, 1 + prng_below(random, 8));
        break;
    case 3:
        evict_in_use(s, page);
        break;
    case 4:
        rmap_pager_vacate(w.p, prng_below(random, 2) * 32, 32);
        break;
    case 5: /* away and back, from under their hands */
        CHECK_OK(rmap_space_move(s, 0, COUNTED, COUNTED, RMAP_MOVE_FIXED | RMAP_MOVE_MAYMOVE, &to));
        let_them_wait();
        to = 0;
        CHECK_OK(rmap_space_move(s, 100, COUNTED, COUNTED, RMAP_MOVE_FIXED | RMAP_MOVE_MAYMOVE, &to));
        break;
    case 6:
        CHECK_OK(rmap_space_protect(s, page, 2 > COUNTED - page ? 1 : 2, prng_below(random, 2) ? RMAP_READ : RMAP_NONE));
        let_them_wait();
        CHECK_OK(rmap_space_protect(s, 0, COUNTED, RMAP_READ | RMAP_WRITE));
        break;
    case 7:
        check_read(s, page);
        break;
    default:
        rmap_host_drop_all(w.host);
    }
}

/* pages 0-7 in 64 frames, two writers; forks, evictions, other frames, moves, protections, dropped projections (INV-7, E1) */
RMAP_TEST(pager_host_threads, INV_7_what_threads_store_never_goes_back_whatever_happens_to_the_pages)
{
    enum { ROUNDS = 400 };
    static struct writer t[WRITERS];
    world_init(64);
    struct rmap_space *s = space_with_region(COUNTED);
    atomic_bool stop = false;
    pthread_t thread[WRITERS];
    struct prng random;
    const char *seed = getenv("SEED");
    const uint64_t number = seed ? strtoull(seed, NULL, 0) : 20261127;
    fprintf(stderr, "SEED=%" PRIu64 "\n", number);
    prng_init(&random, number);
    memset(t, 0, sizeof t);
    for (unsigned i = 0; i < WRITERS; i++) {
        t[i].s = s, t[i].number = i, t[i].stop = &stop;
        CHECK_EQ(pthread_create(&thread[i], NULL, count, &t[i]), 0);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        const unsigned long a = t[0].rounds, b = t[1].rounds;
        disturb(s, &random);
        if (i % 8 == 0)
            while (t[0].rounds == a || t[1].rounds == b) sched_yield();
    }
    stop = true;
    for (unsigned i = 0; i < WRITERS; i++) pthread_join(thread[i], NULL);
    CHECK(stats().evictions > 0);
    CHECK(evicted_in_use > 0);
    CHECK(stats().migrations > 0);
    for (unsigned i = 0; i < WRITERS; i++) {
        CHECK_EQ(t[i].wrong, 0);
        for (unsigned v = 0; v < COUNTED; v++) CHECK_EQ(window_get(s, v, i), t[i].mine[v]);
    }
    CHECK_OK(rmap_space_destroy(s));
    world_fini();
}
