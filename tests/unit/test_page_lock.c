/* SPDX-License-Identifier: MIT */
/** @file unit/test_page_lock.c  The page lock when it is taken: who waits falls asleep, and nobody is left asleep. */
#include "support/world.h"

#include <core/core.h>
#include <pthread.h>
#include <sched.h>

#define THREADS 6

static struct {
    struct world w;
    struct rmap_page *page;
    uint64_t plain; /* guarded by nothing but the page lock */
    _Atomic unsigned arrived, got;
} x;

static void begin(void)
{
    world_init(&x.w, NULL);
    x.page = world_new_page(&x.w);
    x.plain = 0;
    x.arrived = x.got = 0;
}
static void end(void)
{
    CHECK_EQ(rmap_page_flags(x.page) & (RMAP_PAGE_LOCKED | RMAP_PAGE_WAITERS), 0);
    rmap_page_put(x.w.r, x.page);
    world_check(&x.w);
    world_fini(&x.w);
}

static void *lock_once(void *arg)
{
    (void)arg;
    x.arrived++;
    rmap_page_lock(x.page);
    x.plain++;
    x.got++;
    rmap_page_unlock(x.w.r, x.page);
    return NULL;
}

/* One who waits marks the page before it sleeps; that may take as long as it likes. */
static void until_somebody_sleeps(void)
{
    while (!(rmap_page_flags(x.page) & RMAP_PAGE_WAITERS)) sched_yield();
    for (unsigned i = 0; i < 1000; i++) sched_yield(); /* mostly asleep by now; the others, too */
}

/* One page, locked; six threads want it. All flags but the lock's change meanwhile, and so does the index. */
RMAP_TEST(page_lock, all_who_sleep_get_the_lock_in_turn)
{
    for (unsigned round = 0; round < 20; round++) {
        pthread_t t[THREADS];
        begin();
        rmap_page_lock(x.page);
        for (unsigned i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&t[i], NULL, lock_once, NULL), 0);
        while (x.arrived < THREADS) sched_yield();
        until_somebody_sleeps();
        rmap_page_set_flags(x.page, RMAP_PAGE_REFERENCED);
        rmap_page_clear_flags(x.page, RMAP_PAGE_REFERENCED);
        rmap_page_set_flags(x.page, ~0u & ~(unsigned)RMAP_PAGE_ORPHAN);
        rmap_page_clear_flags(x.page, ~0u);
        CHECK(rmap_page_flags(x.page) & RMAP_PAGE_WAITERS); /* set_flags and clear_flags leave it alone */
        CHECK_EQ(x.got, 0);
        CHECK(!rmap_page_try_lock(x.page));
        rmap_page_unlock(x.w.r, x.page);
        for (unsigned i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
        CHECK_EQ(x.plain, THREADS);
        end();
    }
}

static void *lock_often(void *arg)
{
    const unsigned n = *(unsigned *)arg;
    for (unsigned i = 0; i < n; i++) {
        if (i % 3 == 0) {
            while (!rmap_page_try_lock(x.page)) sched_yield();
        } else {
            rmap_page_lock(x.page);
        }
        uint64_t before = x.plain;
        if (i % 16 == 0) sched_yield(); /* the others run into the lock, and fall asleep */
        x.plain = before + 1;
        rmap_page_unlock(x.w.r, x.page);
    }
    return NULL;
}

/* One changes another flag all the time: a sleeper's look at the word fails, and it looks again. */
static _Atomic bool stop;
static void *flicker(void *arg)
{
    (void)arg;
    while (!stop) {
        rmap_page_set_flags(x.page, RMAP_PAGE_REFERENCED);
        rmap_page_clear_flags(x.page, RMAP_PAGE_REFERENCED);
        sched_yield();
    }
    return NULL;
}

/* Six threads, waiters and triers mixed, 2,000 turns each, beside one who flips a flag */
RMAP_TEST(page_lock, it_excludes_and_nobody_is_left_asleep)
{
    unsigned n = 2000;
    pthread_t t[THREADS + 1];
    begin();
    stop = false;
    CHECK_EQ(pthread_create(&t[THREADS], NULL, flicker, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&t[i], NULL, lock_often, &n), 0);
    for (unsigned i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    stop = true;
    pthread_join(t[THREADS], NULL);
    CHECK_EQ(x.plain, (uint64_t)n * THREADS);
    rmap_page_clear_flags(x.page, ~0u);
    end();
}

/* A move unlocks with the new index, in one step: who sleeps is woken, and no flag is lost but the lock's */
RMAP_TEST(page_lock, an_unlock_with_a_new_index_wakes_who_sleeps)
{
    for (unsigned round = 0; round < 20; round++) {
        pthread_t t[THREADS];
        begin();
        rmap_page_lock(x.page);
        rmap_page_set_flags(x.page, RMAP_PAGE_REFERENCED);
        for (unsigned i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&t[i], NULL, lock_once, NULL), 0);
        while (x.arrived < THREADS) sched_yield();
        until_somebody_sleeps();
        CHECK_EQ(x.got, 0);
        rmap__page_unlock_at(x.w.r, x.page, 1000 + round);
        for (unsigned i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
        CHECK_EQ(x.plain, THREADS);
        CHECK_EQ(rmap_page_index(x.page), 1000 + round);
        CHECK(rmap_page_flags(x.page) & RMAP_PAGE_REFERENCED);
        end();
    }
}

/* Locked here, unlocked there: the next one gets it, wherever it is */
static void *unlock_it(void *arg)
{
    (void)arg;
    rmap_page_unlock(x.w.r, x.page);
    return NULL;
}
RMAP_TEST(page_lock, another_thread_may_unlock)
{
    struct rmap_page *other;
    begin();
    other = world_new_page(&x.w);
    for (unsigned round = 0; round < 3; round++) {
        pthread_t t;
        rmap_page_lock(x.page);
        CHECK_EQ(pthread_create(&t, NULL, unlock_it, NULL), 0);
        pthread_join(t, NULL);
        rmap_page_lock(other); /* in debug builds: we hold no other page any more */
        rmap_page_unlock(x.w.r, other);
    }
    rmap_page_put(x.w.r, other);
    end();
}
