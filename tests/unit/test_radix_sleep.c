/* SPDX-License-Identifier: MIT */
/** @file unit/test_radix_sleep.c  Run locks of the radix MMU that are held for long: who waits sleeps, and is woken. */
#include "unit/radix_world.h"

#include <mmu/radix_internal.h>
#include <pthread.h>
#include <sched.h>

#define THREADS 6

struct sleeper {
    const struct rmap_mmu *mmu;
    rmap_vpn_t vpn;
    uint64_t *plain;
    _Atomic unsigned *got;
    unsigned rounds, errors;
};

static void *lock_runs(void *arg)
{
    struct sleeper *s = arg;
    for (unsigned i = 0; i < s->rounds; i++) {
        struct rmap_mmu_run run;
        s->errors += find(s->mmu, s->vpn, s->vpn + 1, &run) != 0;
        uint64_t before = *s->plain;
        if (s->rounds > 1 && i % 8 == 0) sched_yield();
        *s->plain = before + 1;
        ++*s->got;
        unlock(s->mmu, &run);
    }
    return NULL;
}

static struct rmap__radix_config *config_of(const struct world *w)
{
    return ((struct rmap_radix *)w->mmu.ctx)->config;
}

/* Every geometry. The run of page 3 is held; six threads want it, and all sleep before it is unlocked */
RMAP_TEST(radix_sleep, all_who_sleep_are_woken)
{
    EACH_WORLD(w) {
        struct rmap_mmu_run run;
        pthread_t t[THREADS];
        uint64_t plain = 0;
        _Atomic unsigned got = 0;
        CHECK_OK(make(&w.mmu, 3, &run));
        struct sleeper s[THREADS];
        for (unsigned i = 0; i < THREADS; i++) {
            s[i] = (struct sleeper){.mmu = &w.mmu, .vpn = 3, .plain = &plain, .got = &got, .rounds = 1};
            CHECK_EQ(pthread_create(&t[i], NULL, lock_runs, &s[i]), 0);
        }
        while (config_of(&w)->sleepers < THREADS) sched_yield();
        for (unsigned i = 0; i < 1000; i++) sched_yield(); /* mostly asleep by now */
        CHECK_EQ(got, 0);
        unlock(&w.mmu, &run);
        unsigned errors = 0;
        for (unsigned i = 0; i < THREADS; i++) {
            pthread_join(t[i], NULL);
            errors += s[i].errors;
        }
        CHECK_EQ(errors, 0);
        CHECK_EQ(plain, THREADS);
        CHECK_EQ(config_of(&w)->sleepers, 0);
    }
}

/* Two spaces of one config; both runs are held, and one thread sleeps for each. The other's sleeper went to sleep first, at the
 * same place: to wake one would be to wake the wrong one */
RMAP_TEST(radix_sleep, whoever_wants_another_run_is_not_woken_instead)
{
    struct rmap_mmu_provider p;
    struct rmap_mmu mmu[2];
    struct rmap_radix_options o = {.struct_size = sizeof o, .geometry = &rmap_radix_soft};
    struct rmap_mmu_run run[2];
    uint64_t plain[2] = {0, 0};
    _Atomic unsigned got[2] = {0, 0};
    struct sleeper s[2];
    pthread_t t[2];
    CHECK_OK(rmap_radix_provider_init(&o, &p));
    for (unsigned i = 0; i < 2; i++) {
        CHECK_OK(p.create(p.ctx, NULL, &mmu[i]));
        CHECK_OK(make(&mmu[i], 3, &run[i]));
    }
    struct rmap__radix_config *c = ((struct rmap_radix *)mmu[0].ctx)->config;
    for (unsigned i = 0; i < 2; i++) {
        s[i] = (struct sleeper){.mmu = &mmu[i], .vpn = 3, .plain = &plain[i], .got = &got[i], .rounds = 1};
        CHECK_EQ(pthread_create(&t[i], NULL, lock_runs, &s[i]), 0);
        while (c->sleepers <= i) sched_yield();
        for (unsigned k = 0; k < 1000; k++) sched_yield();
    }
    unlock(&mmu[1], &run[1]);
    pthread_join(t[1], NULL);
    CHECK_EQ(got[1], 1);
    CHECK_EQ(got[0], 0);
    unlock(&mmu[0], &run[0]);
    pthread_join(t[0], NULL);
    CHECK_EQ(got[0], 1);
    for (unsigned i = 0; i < 2; i++) p.destroy(p.ctx, &mmu[i]);
    rmap_radix_provider_fini(&p);
}

/* Two spaces of one config, three threads each: who unlocks one wakes those who want the other, too, and they go on sleeping */
RMAP_TEST(radix_sleep, spaces_of_one_config_share_the_place_and_not_the_locks)
{
    struct rmap_mmu_provider p;
    struct rmap_mmu mmu[2];
    struct rmap_radix_options o = {.struct_size = sizeof o, .geometry = &rmap_radix_soft};
    CHECK_OK(rmap_radix_provider_init(&o, &p));
    uint64_t plain[2] = {0, 0};
    _Atomic unsigned got = 0;
    struct sleeper s[THREADS];
    pthread_t t[THREADS];
    for (unsigned i = 0; i < 2; i++) {
        struct rmap_mmu_run run;
        CHECK_OK(p.create(p.ctx, NULL, &mmu[i]));
        CHECK_OK(make(&mmu[i], 3, &run));
        unlock(&mmu[i], &run);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        s[i] = (struct sleeper){.mmu = &mmu[i % 2], .vpn = 3, .plain = &plain[i % 2], .got = &got, .rounds = 5000};
        CHECK_EQ(pthread_create(&t[i], NULL, lock_runs, &s[i]), 0);
    }
    unsigned errors = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
        errors += s[i].errors;
    }
    CHECK_EQ(errors, 0);
    CHECK_EQ(plain[0], 15000);
    CHECK_EQ(plain[1], 15000);
    for (unsigned i = 0; i < 2; i++) p.destroy(p.ctx, &mmu[i]);
    rmap_radix_provider_fini(&p);
}
