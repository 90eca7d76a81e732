/* SPDX-License-Identifier: MIT */
/** @file unit/test_radix_threads.c  Radix tables under two threads: one makes what both want, run locks exclude. */
#include "unit/radix_world.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

struct worker {
    const struct rmap_mmu *mmu;
    pthread_barrier_t *start;
    rmap_vpn_t vpn, stride;
    unsigned rounds, errors;
    uint64_t *plain; /* shared, guarded by nothing but a run lock */
    void **slots;    /* of each round */
};

static void run_two(void *(*body)(void *), struct worker *a, struct worker *b)
{
    pthread_barrier_t start;
    pthread_t t[2];
    pthread_barrier_init(&start, NULL, 2);
    a->start = b->start = &start;
    CHECK_EQ(pthread_create(&t[0], NULL, body, a), 0);
    CHECK_EQ(pthread_create(&t[1], NULL, body, b), 0);
    pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);
    pthread_barrier_destroy(&start);
    CHECK_EQ(a->errors + b->errors, 0);
}

static void *make_tables(void *arg)
{
    struct worker *w = arg;
    for (unsigned n = 0; n < w->rounds; n++) {
        struct rmap_mmu_run run;
        struct rmap_tables t = {{NULL}, 0};
        rmap_vpn_t vpn = w->vpn + n * w->stride;
        w->errors += w->mmu->ops->reserve(w->mmu->ctx, vpn, &t) != 0;
        pthread_barrier_wait(w->start); /* both hold a full reservation now */
        w->errors += w->mmu->ops->run_make(w->mmu->ctx, vpn, &t, &run) != 0;
        w->slots[n] = (void *)run.slots;
        rmap_run_set(w->mmu, &run, (uint32_t)(vpn - run.first), vpn + 1);
        unlock(w->mmu, &run);
        w->mmu->ops->unreserve(w->mmu->ctx, &t);
        pthread_barrier_wait(w->start);
    }
    return NULL;
}

/* 64 times two threads make the tables of neighbouring pages (0 and 1 of a new root entry's first run) at once */
RMAP_TEST(radix_threads, two_makers_of_the_same_tables_install_one_and_lose_none)
{
    enum { ROUNDS = 64 };
    static void *slots[2][ROUNDS];
    for (unsigned n = 0; n < GEOMETRIES; n++) {
        if (geometries[n]->levels == 1) continue;
        struct world w;
        world_init(&w, geometries[n], false);
        const unsigned top = w.g->levels - 1;
        const rmap_vpn_t stride = w.mmu.pages >> w.g->bits[top];
        unsigned rounds = 1u << w.g->bits[top];
        if (rounds > ROUNDS) rounds = ROUNDS;
        const size_t root = bytes_of(&w.mmu), blocks = w.alloc.live_blocks;
        struct worker a = {.mmu = &w.mmu, .stride = stride, .rounds = rounds, .slots = slots[0]}, b = a;
        b.vpn = 1;
        b.slots = slots[1];
        run_two(make_tables, &a, &b);

        size_t branch = 0;
        for (unsigned level = 0; level < top; level++) branch += level_bytes(w.g, level);
        CHECK_EQ(bytes_of(&w.mmu), root + rounds * branch);
        CHECK_EQ(w.alloc.live_blocks, blocks + rounds * top);
        for (unsigned i = 0; i < rounds; i++) {
            CHECK_EQ(slots[0][i], slots[1][i]);
            CHECK_EQ(rmap_radix_peek(&w.mmu, i * stride), i * stride + 1);
            CHECK_EQ(rmap_radix_peek(&w.mmu, i * stride + 1), i * stride + 2);
        }
        world_fini(&w);
    }
}

static void *count_locked(void *arg)
{
    struct worker *w = arg;
    pthread_barrier_wait(w->start);
    for (unsigned n = 0; n < w->rounds; n++) {
        struct rmap_mmu_run run;
        w->errors += find(w->mmu, w->vpn, w->vpn + 1, &run) != 0;
        uint64_t before = *w->plain;
        if (n % 64 == 0) sched_yield(); /* let the other one run into the lock */
        *w->plain = before + 1;
        unlock(w->mmu, &run);
    }
    return NULL;
}

/*
 * both lock page 3's run (by pages 3 and 4) and add to a plain counter; then each a run of its own, where there are two
 */
RMAP_TEST(radix_threads, a_run_lock_excludes_and_runs_of_one_table_do_not_hinder_each_other)
{
    enum { ROUNDS = 50000 };
    for (unsigned n = 0; n < GEOMETRIES; n++) {
        struct world w;
        world_init(&w, geometries[n], false);
        set_entry(&w.mmu, 3, entry_of(&w.mmu, 1));
        uint64_t count[2] = {0, 0};
        struct worker a = {.mmu = &w.mmu, .vpn = 3, .rounds = ROUNDS, .plain = &count[0]}, b = a;
        b.vpn = 4;
        run_two(count_locked, &a, &b);
        CHECK_EQ(count[0], 2 * ROUNDS);
        if (w.leaf > w.run) {
            b.vpn = w.run + 3;
            b.plain = &count[1];
            run_two(count_locked, &a, &b);
            CHECK_EQ(count[0], 3 * ROUNDS);
            CHECK_EQ(count[1], ROUNDS);
        }
        CHECK_EQ(w.g->levels > 1 ? *upper_entry(&w, 1, 3) & w.g->lock_bit : 0, 0);
        world_fini(&w);
    }
}

static _Atomic bool entered;

static void *enter(void *arg)
{
    struct worker *w = arg;
    struct rmap_mmu_run run;
    w->errors += find(w->mmu, w->vpn, w->vpn + 1, &run) != 0;
    entered = true;
    unlock(w->mmu, &run);
    return NULL;
}

/* page 3's run held, another thread wants page 4 */
RMAP_TEST(radix_threads, a_locked_run_is_waited_for)
{
    for (unsigned n = 0; n < GEOMETRIES; n++) {
        struct world w;
        struct rmap_mmu_run run;
        world_init(&w, geometries[n], false);
        CHECK_OK(make(&w.mmu, 3, &run));
        entered = false;
        struct worker a = {.mmu = &w.mmu, .vpn = 4};
        pthread_t t;
        CHECK_EQ(pthread_create(&t, NULL, enter, &a), 0);
        for (unsigned i = 0; i < 2000; i++) sched_yield();
        bool too_early = entered;
        unlock(&w.mmu, &run);
        pthread_join(t, NULL);
        CHECK(!too_early);
        CHECK(entered);
        CHECK_EQ(a.errors, 0);
        world_fini(&w);
    }
}

/* Table hooks that let a rival make the same tables in the very moment between our look at an entry and our store. */
struct rival {
    struct world *w;
    rmap_vpn_t vpn;
    unsigned countdown; /* calls of to_phys until the rival acts; 0: not any more */
    int error;
};
static struct rival rival;

static uint64_t to_phys_with_rival(void *ctx, void *table)
{
    if (rival.countdown && --rival.countdown == 0) {
        struct rmap_mmu_run run;
        rival.error = make(&rival.w->mmu, rival.vpn, &run);
        if (!rival.error) unlock(&rival.w->mmu, &run);
    }
    return guest_to_phys(ctx, table);
}

/* page 0; the rival comes at each level in turn, and makes all tables from there down */
RMAP_TEST(radix_threads, a_maker_that_comes_too_late_takes_the_rivals_tables_and_keeps_its_own)
{
    for (unsigned n = 0; n < GEOMETRIES; n++) {
        for (unsigned made = 0; made + 1 < geometries[n]->levels; made++) { /* tables of ours that the rival finds */
            struct world w;
            world_prepare(&w, geometries[n], true);
            struct rmap_radix_table_ops hooks = guest_ops;
            hooks.to_phys = to_phys_with_rival;
            w.options.tables = &hooks;
            CHECK_OK(rmap_radix_create(&w.options, &w.mmu));
            const size_t root = bytes_of(&w.mmu);
            const unsigned below = w.g->levels - 1;

            struct rmap_tables t = {{NULL}, 0};
            struct rmap_mmu_run run;
            CHECK_OK(w.mmu.ops->reserve(w.mmu.ctx, 0, &t));
            rival = (struct rival){.w = &w, .vpn = 0, .countdown = made + 1};
            CHECK_OK(w.mmu.ops->run_make(w.mmu.ctx, 0, &t, &run));
            CHECK_OK(rival.error);
            CHECK_EQ(rival.countdown, 0);
            unlock(&w.mmu, &run);
            CHECK_EQ(t.count, below - made);
            CHECK_EQ(rmap_radix_peek(&w.mmu, 0), 0);
            size_t bytes = root;
            for (unsigned level = 0; level < below; level++) bytes += level_bytes(w.g, level);
            CHECK_EQ(bytes_of(&w.mmu), bytes);
            w.mmu.ops->unreserve(w.mmu.ctx, &t);
            CHECK_EQ(w.guest.live, bytes);
            world_fini(&w);
        }
    }
}

/* A processor that sets the accessed bit of the upper entry as it walks, and checks that only it clears it. */
struct walker {
    uint64_t *word;
    _Atomic bool stop;
    unsigned long lost, seen;
};
static void *set_accessed(void *arg)
{
    struct walker *h = arg;
    while (!h->stop) {
        __atomic_fetch_or(h->word, 0x20, __ATOMIC_SEQ_CST);
        uint64_t before = __atomic_fetch_and(h->word, ~UINT64_C(0x20), __ATOMIC_SEQ_CST);
        h->lost += !(before & 0x20);
        h->seen++;
    }
    return NULL;
}

/* x86-64, page 3 */
RMAP_TEST(radix_threads, locking_never_loses_an_accessed_bit_that_the_hardware_sets)
{
    struct world w;
    world_init(&w, &rmap_radix_x86_64, false);
    set_entry(&w.mmu, 3, entry_of(&w.mmu, 1));
    struct walker h = {.word = upper_entry(&w, 1, 3)};
    pthread_t t;
    CHECK_EQ(pthread_create(&t, NULL, set_accessed, &h), 0);
    int error = 0;
    for (unsigned n = 0; n < 300000 && !error; n++) {
        struct rmap_mmu_run run;
        if (n % 1000 == 0) sched_yield();
        error = find(&w.mmu, 3, 4, &run);
        if (!error) unlock(&w.mmu, &run);
    }
    h.stop = true;
    pthread_join(t, NULL);
    CHECK_OK(error);
    CHECK_EQ(h.lost, 0);
    CHECK_EQ(*h.word & 0x200, 0);
    world_fini(&w);
}
