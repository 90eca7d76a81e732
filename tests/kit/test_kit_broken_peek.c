/* SPDX-License-Identifier: MIT */
/**
 * @file kit/test_kit_broken_peek.c  Radix tables whose looks without the lock are broken, each by one mistake: the kit must
 * name the rule, and no other. (The wrapper of broken_mmu.h has its entries behind a device, so that it cannot be looked into.)
 */
#include "kit/kit_check.h"

#include <objrmap/radix.h>
#include <pthread.h>
#include <stdlib.h>

static struct rmap_mmu_provider tables;
static struct rmap_mmu_ops ops;
static const struct rmap_mmu_ops *own;

static int create(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    (void)ctx;
    const int error = tables.create(tables.ctx, client, out);
    if (!error) out->ops = &ops;
    return error;
}
static void destroy(void *ctx, struct rmap_mmu *mmu)
{
    (void)ctx;
    mmu->ops = own;
    tables.destroy(tables.ctx, mmu);
}

static struct rmap_mmu_provider broken = {.struct_size = sizeof broken, .create = create, .destroy = destroy};

static void sound(void)
{
    const struct rmap_radix_options o = {
        .struct_size = sizeof o, .geometry = &rmap_radix_x86_64, .caps = RMAP_MMU_NO_TLB};
    struct rmap_mmu mmu;
    CHECK_OK(rmap_radix_provider_init(&o, &tables));
    CHECK_OK(tables.create(tables.ctx, NULL, &mmu));
    own = mmu.ops;
    ops = *own;
    tables.destroy(tables.ctx, &mmu);
}

static void kit_says(const char *rules, unsigned patience)
{
    struct kit_log log;
    static const struct rmap_testing_mmu t = {
        .struct_size = sizeof t, .provider = &broken, .first_frame = 1000, .frames = 64, .flags = RMAP_TESTING_THREADS};
    kit_run(&t, patience, NULL, &log);
    if (strcmp(log.broken, rules) != 0) TEST_FAIL("broken: \"%s\", expected \"%s\" (%s)", log.broken, rules, log.why);
    if (!patience) rmap_radix_provider_fini(&tables); /* else somebody may hang in there */
}

#define BROKEN_PEEK(name, rules, patience)                                                                             \
    static void break_##name(void);                                                                                    \
    RMAP_TEST(kit_broken_peek, name)                                                                                   \
    {                                                                                                                  \
        sound();                                                                                                       \
        break_##name();                                                                                                \
        kit_says(rules, patience);                                                                                     \
    }                                                                                                                  \
    static void break_##name(void)

BROKEN_PEEK(nothing, "", 0) {}

BROKEN_PEEK(a_look_without_a_lock_to_follow, "ops-complete ", 0)
{
    ops.run_lock = NULL;
}
BROKEN_PEEK(a_lock_of_what_was_never_shown, "ops-complete ", 0)
{
    ops.run_peek = NULL;
}

/* Only the table at the range's beginning. */
static void peek_here_only(void *const *mmus, size_t n, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *runs)
{
    (void)end;
    own->run_peek(mmus, n, vpn, vpn + 1, runs);
}
BROKEN_PEEK(it_does_not_skip_holes, "peek-agrees ", 0)
{
    ops.run_peek = peek_here_only;
}

static void peek_beyond(void *const *mmus, size_t n, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *runs)
{
    (void)end;
    own->run_peek(mmus, n, vpn, RMAP_VPN_MAX, runs);
}
BROKEN_PEEK(it_looks_behind_the_end, "peek-agrees ", 0)
{
    ops.run_peek = peek_beyond;
}

/* Those in the middle of a large group are forgotten: what the caller had there, stays. */
static void peek_some(void *const *mmus, size_t n, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *runs)
{
    own->run_peek(mmus, n < 8 ? n : 8, vpn, end, runs);
}
BROKEN_PEEK(more_than_eight_are_too_many, "peek-agrees ", 0)
{
    ops.run_peek = peek_some;
}

/* The tables of the first are those of all. */
static void peek_first(void *const *mmus, size_t n, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *runs)
{
    for (size_t i = 0; i < n; i++) own->run_peek(mmus, 1, vpn, end, &runs[i]);
}
BROKEN_PEEK(all_have_the_tables_of_the_first, "peek-agrees ", 0)
{
    ops.run_peek = peek_first;
}

/* What is absent is not said to be. */
static void peek_leaves(void *const *mmus, size_t n, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *runs)
{
    for (size_t i = 0; i < n; i++) {
        const struct rmap_mmu_run before = runs[i];
        own->run_peek(&mmus[i], 1, vpn, end, &runs[i]);
        if (!runs[i].count) runs[i] = before;
    }
}
BROKEN_PEEK(what_is_absent_is_left_as_it_was, "peek-agrees ", 0)
{
    ops.run_peek = peek_leaves;
}

/* It shows a copy. */
static rmap_pte_t copy[RMAP_PEEK_MAX][RMAP_RUN_MAX];
static void peek_copies(void *const *mmus, size_t n, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *runs)
{
    own->run_peek(mmus, n, vpn, end, runs);
    for (size_t i = 0; i < n; i++) {
        for (uint32_t s = 0; s < runs[i].count; s++) copy[i][s] = rmap_run_peek(&runs[i], s);
        runs[i].slots = (void *)copy[i];
    }
}
BROKEN_PEEK(a_look_shows_a_copy, "peek-takes-no-lock peek-stays-valid ", 0)
{
    ops.run_peek = peek_copies;
}

static void lock_nothing(void *mmu, struct rmap_mmu_run *run)
{
    (void)mmu;
    run->cookie = NULL;
}
static void unlock_if_locked(void *mmu, struct rmap_mmu_run *run)
{
    if (run->cookie) own->run_unlock(mmu, run);
}
BROKEN_PEEK(what_was_seen_is_not_locked, "run-lock-excludes ", 0)
{
    ops.run_lock = lock_nothing;
    ops.run_unlock = unlock_if_locked;
}

/* The run is the next one: its lock, and its slots. */
static void lock_another(void *mmu, struct rmap_mmu_run *run)
{
    const rmap_vpn_t other = run->first >= 512 ? run->first - 512 : run->first + 512;
    if (own->run_find(mmu, other, other + 1, run)) own->run_lock(mmu, run);
}
BROKEN_PEEK(the_run_is_looked_up_anew_and_wrong, "peek-stays-valid ", 0)
{
    ops.run_lock = lock_another;
}

/* A lock of the space's own around everything that it does, looks included. Last: the thread that looked stays where it hangs. */
static struct {
    void *mmu;
    pthread_mutex_t lock;
} space[4];
static pthread_mutex_t *lock_of(void *mmu)
{
    for (unsigned i = 0; i < 4; i++)
        if (space[i].mmu == mmu) return &space[i].lock;
    abort();
}
static int create_alone(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    const int error = create(ctx, client, out);
    unsigned i = 0;
    while (space[i].mmu) i++; /* two at a time, and what hangs keeps its own */
    pthread_mutex_init(&space[i].lock, NULL);
    space[i].mmu = out->ctx;
    return error;
}
static int find_alone(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    pthread_mutex_lock(lock_of(mmu));
    const int error = own->run_find(mmu, vpn, end, run);
    if (error) pthread_mutex_unlock(lock_of(mmu));
    return error;
}
static int make_alone(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    pthread_mutex_lock(lock_of(mmu));
    return own->run_make(mmu, vpn, t, run);
}
static void unlock_alone(void *mmu, struct rmap_mmu_run *run)
{
    own->run_unlock(mmu, run);
    pthread_mutex_unlock(lock_of(mmu));
}
static void lock_alone(void *mmu, struct rmap_mmu_run *run)
{
    pthread_mutex_lock(lock_of(mmu));
    own->run_lock(mmu, run);
}
static void peek_alone(void *const *mmus, size_t n, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *runs)
{
    for (size_t i = 0; i < n; i++) {
        pthread_mutex_lock(lock_of(mmus[i]));
        own->run_peek(&mmus[i], 1, vpn, end, &runs[i]);
        pthread_mutex_unlock(lock_of(mmus[i]));
    }
}
static void destroy_alone(void *ctx, struct rmap_mmu *mmu)
{
    for (unsigned i = 0; i < 4; i++)
        if (space[i].mmu == mmu->ctx) space[i].mmu = NULL;
    destroy(ctx, mmu);
}
BROKEN_PEEK(a_look_takes_the_lock, "peek-takes-no-lock ", 2)
{
    broken.create = create_alone;
    broken.destroy = destroy_alone;
    ops.run_find = find_alone;
    ops.run_make = make_alone;
    ops.run_unlock = unlock_alone;
    ops.run_lock = lock_alone;
    ops.run_peek = peek_alone;
}
