/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_rank.c  The order of locks is checked in debug builds: each wrong wait stops the program and names both
 * locks; tries, right orders and locks handed to another thread pass.
 *
 * World: P and its fork C map pages 7 and 8; a program that breaks the order does so in a process of its own.
 */
#include "support/other_thread.h"
#include "support/world.h"

#include <base/mutex.h>
#include <core/core.h>
#include <core/position.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef RMAP_DEBUG

RMAP_TEST(rank, is_checked_in_debug_builds_only)
{
    TEST_SKIP("lock ranks are in debug builds only");
}

#else

static struct {
    struct world w;
    struct world_space *p, *c;
    struct rmap_page *page, *other;
    struct rmap__group *group;
    struct rmap_swap_ops ops;
    char text[512];
} x;

static void begin(void)
{
    world_init(&x.w, NULL);
    x.p = world_space(&x.w);
    world_write(x.p, 7, 1);
    world_write(x.p, 8, 1);
    x.c = world_fork(x.p);
    x.page = world_page(x.p, 7);
    x.other = world_page(x.p, 8);
    x.group = rmap__member_group(&x.p->m);
}
static void end(void)
{
    world_check(&x.w);
    world_fini(&x.w);
}

static void run_of(struct world_space *s)
{
    struct rmap_mmu_run run;
    s->radix.ops->run_find(s->radix.ctx, 7, 8, &run);
}

/* Is the program stopped, and what does it say? */
static bool stops(void (*wrong)(void))
{
    int out[2], status;
    fflush(stdout);
    if (pipe(out)) return false;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], 2);
        alarm(20); /* a wait that passed the check may hang */
        wrong();
        _exit(0);
    }
    close(out[1]);
    size_t n = 0;
    ssize_t got;
    while (n < sizeof x.text - 1 && (got = read(out[0], x.text + n, sizeof x.text - 1 - n)) > 0) n += (size_t)got;
    x.text[n] = 0;
    close(out[0]);
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* ---- orders that are wrong ---- */

static void page_under_page(void)
{
    rmap_page_lock(x.page);
    rmap_page_lock(x.other);
}
static void page_under_tried_page(void)
{
    if (rmap_page_try_lock(x.page)) rmap_page_lock(x.other);
}
static void page_under_group(void)
{
    rmap__group_rdlock(x.group);
    rmap_page_lock(x.page);
}
static void page_under_run(void)
{
    run_of(x.p);
    rmap_page_lock(x.page);
}
static void page_under_many_pages(void)
{
    static struct rmap_page many[100];
    for (unsigned i = 0; i < 100; i++)
        if (!rmap_page_try_lock(&many[i])) return;
    for (unsigned i = 1; i < 100; i++) rmap_page_unlock(x.w.r, &many[i]);
    rmap_page_lock(x.page);
}
static void group_under_group(void)
{
    rmap__group_rdlock(x.group);
    rmap__group_rdlock(x.group);
}
static void group_under_run(void)
{
    run_of(x.p);
    rmap__group_rdlock(x.group);
}
static void exit_under_group(void)
{
    rmap__group_rdlock(x.group);
    rmap_zap(&x.c->m, 0, x.c->m.mmu.pages, NULL);
    rmap_member_leave(&x.c->m);
}
static void run_under_run_of_one_space(void)
{
    run_of(x.p);
    run_of(x.p);
}
static void three_runs(void)
{
    struct world_space *third = world_fork(x.c);
    run_of(x.p);
    run_of(x.c);
    run_of(third);
}
static void run_under_instance(void)
{
    rmap__mutex_lock(&x.w.r->lock, RMAP__RANK_INSTANCE);
    run_of(x.p);
}
static void group_under_instance(void)
{
    rmap__mutex_lock(&x.w.r->lock, RMAP__RANK_INSTANCE);
    rmap__group_wrlock(x.group);
}
static void run_under_slots(void)
{
    pthread_mutex_t slots = PTHREAD_MUTEX_INITIALIZER;
    rmap__mutex_lock(&slots, RMAP__RANK_SLOTS);
    run_of(x.p);
}
static void slots_under_device(void)
{
    pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
    rmap__mutex_lock(&a, RMAP__RANK_DEVICE);
    rmap__mutex_lock(&b, RMAP__RANK_SLOTS);
}
static void space_under_page(void)
{
    rmap_page_lock(x.page);
    rmap__rank_take(RMAP__RANK_SPACE, x.p);
}
static void space_under_reclaim(void)
{
    rmap__rank_take(RMAP__RANK_RECLAIM, &x);
    rmap__rank_take(RMAP__RANK_SPACE, x.p);
}
static void three_spaces(void)
{
    rmap__rank_take(RMAP__RANK_SPACE, x.p);
    rmap__rank_take(RMAP__RANK_SPACE, x.c);
    rmap__rank_take(RMAP__RANK_SPACE, &x);
}
static void unlocked_and_not_held(void)
{
    rmap__rank_drop(RMAP__RANK_GROUP, x.group);
}

static const struct {
    void (*wrong)(void);
    const char *wanted, *held;
} orders[] = {
    {page_under_page, "page lock", "page lock"},
    {page_under_tried_page, "page lock", "page lock"},
    {page_under_group, "page lock", "group lock"},
    {page_under_run, "page lock", "run lock"},
    {page_under_many_pages, "page lock", "page lock"},
    {group_under_group, "group lock", "group lock"},
    {group_under_run, "group lock", "run lock"},
    {exit_under_group, "group lock", "group lock"},
    {run_under_run_of_one_space, "run lock", "run lock"},
    {three_runs, "run lock", "run lock"},
    {run_under_instance, "run lock", "instance mutex"},
    {group_under_instance, "group lock", "instance mutex"},
    {run_under_slots, "run lock", "slot mutex"},
    {slots_under_device, "slot mutex", "device mutex"},
    {space_under_page, "space lock", "page lock"},
    {space_under_reclaim, "space lock", "reclaim lock"},
    {three_spaces, "space lock", "space lock"},
    {unlocked_and_not_held, NULL, NULL},
};

RMAP_TEST(rank, each_wrong_wait_stops_the_program_and_names_both_locks)
{
    begin();
    for (unsigned i = 0; i < sizeof orders / sizeof *orders; i++) {
        char must[128] = "lock-order";
        if (!stops(orders[i].wrong)) TEST_FAIL("order %u: not stopped: %s", i, x.text);
        CHECK(strstr(x.text, must));
        if (!orders[i].wanted) continue;
        snprintf(must, sizeof must, "no wait for %s", orders[i].wanted);
        if (!strstr(x.text, must)) TEST_FAIL("order %u: %s", i, x.text);
        snprintf(must, sizeof must, "while %s", orders[i].held);
        if (!strstr(x.text, must)) TEST_FAIL("order %u: %s", i, x.text);
    }
    end();
}

/* ---- orders that are right ---- */

/* space, space (fork) ─ reclaim ─ page ─ page, by try ─ group ─ run ─ run of the child ─ leaves; and back in another order */
RMAP_TEST(rank, the_right_order_and_every_try_pass)
{
    struct rmap_mmu_run run[2];
    pthread_mutex_t slots = PTHREAD_MUTEX_INITIALIZER, device = PTHREAD_MUTEX_INITIALIZER;
    begin();
    rmap__rank_take(RMAP__RANK_SPACE, x.p);
    rmap__rank_take(RMAP__RANK_SPACE, x.c);
    rmap__rank_take(RMAP__RANK_RECLAIM, &x);
    rmap_page_lock(x.page);
    CHECK(rmap_page_try_lock(x.other));
    CHECK(!rmap_page_try_lock(x.other)); /* noted once */
    rmap__group_rdlock(x.group);
    CHECK_OK(x.p->radix.ops->run_find(x.p->radix.ctx, 7, 8, &run[0]));
    CHECK_OK(x.c->radix.ops->run_find(x.c->radix.ctx, 7, 8, &run[1]));
    rmap__mutex_lock(&slots, RMAP__RANK_SLOTS);
    rmap__mutex_lock(&device, RMAP__RANK_DEVICE);
    rmap_page_unlock(x.w.r, x.other);
    CHECK(rmap_page_try_lock(x.other)); /* a try, under everything */
    rmap__mutex_unlock(&slots, RMAP__RANK_SLOTS);
    rmap__mutex_unlock(&device, RMAP__RANK_DEVICE);
    x.p->radix.ops->run_unlock(x.p->radix.ctx, &run[0]);
    x.c->radix.ops->run_unlock(x.c->radix.ctx, &run[1]);
    rmap__group_unlock(x.group);
    CHECK(rmap__group_trywrlock(x.group));
    rmap__group_unlock(x.group);
    rmap_page_unlock(x.w.r, x.page);
    rmap_page_unlock(x.w.r, x.other);
    rmap__rank_drop(RMAP__RANK_RECLAIM, &x);
    rmap__rank_drop(RMAP__RANK_SPACE, x.p);
    rmap__rank_drop(RMAP__RANK_SPACE, x.c);
    rmap__rank_take(RMAP__RANK_SPACE, x.p); /* nothing has stayed behind */
    rmap__rank_drop(RMAP__RANK_SPACE, x.p);
    end();
}

/* 100 pages locked by try, all but one known by number only, and unlocked in the other order */
RMAP_TEST(rank, a_batch_of_any_length_leaves_nothing_behind)
{
    static struct rmap_page many[100];
    begin();
    for (unsigned i = 0; i < 100; i++) CHECK(rmap_page_try_lock(&many[i]));
    rmap__group_rdlock(x.group);
    rmap__group_unlock(x.group);
    for (unsigned i = 0; i < 100; i++) rmap_page_unlock(x.w.r, &many[i]);
    rmap_page_lock(x.page);
    rmap_page_unlock(x.w.r, x.page);
    end();
}

static struct rmap_page handed[40];
static void *unlock_all(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 40; i++) rmap_page_unlock(x.w.r, &handed[i]);
    return NULL;
}

/* 40 pages locked here and unlocked by another thread: then nothing is held here */
RMAP_TEST(rank, a_batch_that_another_thread_unlocks)
{
    begin();
    pthread_t t;
    for (unsigned i = 0; i < 40; i++) CHECK(rmap_page_try_lock(&handed[i]));
    CHECK_EQ(pthread_create(&t, NULL, unlock_all, NULL), 0);
    pthread_join(t, NULL);
    rmap_page_lock(x.page);
    rmap_page_unlock(x.w.r, x.page);
    end();
}

static void *unlock_one(void *arg)
{
    (void)arg;
    rmap_page_unlock(x.w.r, x.page);
    return NULL;
}

static _Atomic bool locked, unlocked;
static void *lock_one_then_another(void *arg)
{
    (void)arg;
    locked = rmap_page_try_lock(x.page);
    while (!unlocked) sched_yield();
    rmap_page_lock(x.other);
    rmap_page_unlock(x.w.r, x.other);
    return NULL;
}

/* A page locked here, unlocked by a second thread, locked by a third, unlocked here: the third holds nothing then */
RMAP_TEST(rank, a_page_handed_over_twice)
{
    begin();
    pthread_t t;
    locked = unlocked = false;
    rmap_page_lock(x.page);
    CHECK_EQ(pthread_create(&t, NULL, unlock_one, NULL), 0);
    pthread_join(t, NULL);
    CHECK_EQ(pthread_create(&t, NULL, lock_one_then_another, NULL), 0);
    while (!locked) sched_yield();
    rmap_page_unlock(x.w.r, x.page);
    unlocked = true;
    pthread_join(t, NULL);
    end();
}

#endif
