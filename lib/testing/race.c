/* SPDX-License-Identifier: MIT */
/**
 * @file testing/race.c  Cases with a second thread. They count what goes wrong in a bounded number of rounds; nothing
 * depends on how long anything takes.
 */
#include <testing/kit.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define ROUNDS 300

struct race {
    struct rmap__kit *k;
    struct rmap__kit_mmu *m;
    rmap_vpn_t vpn;
    atomic_uint begun, done; /* of rounds: release pairs with the other side's acquire */
    atomic_uint inside;      /* threads that hold the run */
    atomic_uint wrong;
    int error; /* of touch(); read after the thread has ended */
};

static bool race_init(struct race *r, struct rmap__kit *k)
{
    r->k = k;
    r->m = &k->mmu[0];
    r->vpn = k->pages / 2;
    r->error = 0;
    atomic_init(&r->begun, 0);
    atomic_init(&r->done, 0);
    atomic_init(&r->inside, 0);
    atomic_init(&r->wrong, 0);
    return rmap__kit_put(k, r->m, r->vpn, rmap__kit_present(k, 0, KIT_ATTR(WRITE)));
}

static bool start(struct race *r, pthread_t *thread, void *(*f)(void *))
{
    return KIT_CHECK(r->k, !pthread_create(thread, NULL, f, r), "no thread can be started");
}

/* ---- run-excludes, run-lock-excludes ---- */

/* By run_find, or by run_lock what run_peek has shown. */
static bool enter(struct rmap__kit_mmu *m, rmap_vpn_t vpn, bool seen, struct rmap_mmu_run *run)
{
    if (!seen) return rmap__kit_lock(m, vpn, run);
    m->mmu.ops->run_peek(&m->mmu.ctx, 1, vpn, vpn + 1, run);
    if (run->count) m->mmu.ops->run_lock(m->mmu.ctx, run);
    return run->count;
}

/* In each round both threads come to the door together, and who is in gives the other time to come in, too. */
static void lock_rounds(struct race *r, bool seen)
{
    for (unsigned round = 1; round <= ROUNDS; round++) {
        struct rmap_mmu_run run;
        atomic_fetch_add(&r->begun, 1);
        while (atomic_load(&r->begun) < 2 * round) sched_yield();
        if (!enter(r->m, r->vpn, seen, &run)) continue;
        if (atomic_fetch_add(&r->inside, 1)) atomic_fetch_add(&r->wrong, 1);
        for (unsigned i = 0; i < 10; i++) sched_yield();
        atomic_fetch_sub(&r->inside, 1);
        rmap__kit_unlock(r->m, &run);
    }
}

static void *lock_often(void *ctx)
{
    lock_rounds(ctx, false);
    return NULL;
}

/* One thread comes by run_find, the other one as `seen` says. */
static void excludes(struct rmap__kit *k, bool seen)
{
    struct race r;
    pthread_t thread;
    if (!race_init(&r, k) || !start(&r, &thread, lock_often)) return;
    lock_rounds(&r, seen);
    pthread_join(thread, NULL);
    KIT_EXPECT(k, !atomic_load(&r.wrong), "a run was given to two threads at once, %u times", atomic_load(&r.wrong));
}

void rmap__kit_run_excludes(struct rmap__kit *k)
{
    excludes(k, false);
}

void rmap__kit_run_lock_excludes(struct rmap__kit *k)
{
    excludes(k, true);
}

/* ---- exchange-atomic ---- */

/* One write in each round. */
static void *write_often(void *ctx)
{
    struct race *r = ctx;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        rmap_pfn_t pfn;
        while (atomic_load_explicit(&r->begun, memory_order_acquire) < round) sched_yield();
        const int error = r->k->t->touch(r->k->t->ctx, &r->m->mmu, r->vpn, RMAP_WRITE, &pfn);
        if (error) r->error = error;
        atomic_store_explicit(&r->done, round, memory_order_release);
    }
    return NULL;
}

/*
 * The entry is clean and writable at all times, of one frame and of another in turn. The write of the round marks one of
 * the entries that the exchanges return, or the one that is left.
 */
static bool exchange_round(struct race *r, unsigned round, unsigned *frame)
{
    struct rmap__kit *k = r->k;
    unsigned seen = 0;
    bool last = false;
    rmap__kit_exchange(r->m, r->vpn, rmap__kit_present(k, *frame, KIT_ATTR(WRITE)));
    rmap__kit_flush(r->m, r->vpn, 1, RMAP_FLUSH_ALL);
    atomic_store_explicit(&r->begun, round, memory_order_release);
    while (!last) {
        last = atomic_load_explicit(&r->done, memory_order_acquire) == round;
        *frame ^= 1;
        const rmap_pte_t old = rmap__kit_exchange(r->m, r->vpn, rmap__kit_present(k, *frame, KIT_ATTR(WRITE)));
        seen |= rmap_pte_attrs(k->f, old);
        if (!KIT_CHECK(k, rmap_pte_pfn(k->f, old) == k->t->first_frame + (*frame ^ 1u),
                       "round %u: an access has brought back an entry that was replaced", round))
            break;
        sched_yield();
    }
    while (atomic_load_explicit(&r->done, memory_order_acquire) < round) sched_yield();
    const unsigned wanted = KIT_ATTR(ACCESSED) | KIT_ATTR(DIRTY);
    return !k->failed && KIT_CHECK(k, (seen & wanted) == wanted,
                                   "round %u: a write has left %s in no entry that an exchange returned", round,
                                   seen & KIT_ATTR(DIRTY) ? "accessed" : "dirty");
}

void rmap__kit_exchange_atomic(struct rmap__kit *k)
{
    struct race r;
    pthread_t thread;
    unsigned frame = 0, round = 1;
    if (!race_init(&r, k) || !start(&r, &thread, write_often)) return;
    while (round <= ROUNDS && exchange_round(&r, round, &frame)) round++;
    atomic_store_explicit(&r.begun, ROUNDS, memory_order_release); /* let it run out */
    pthread_join(thread, NULL);
    KIT_EXPECT(k, !r.error, "a write to a writable page faults with %s", rmap_error_name(r.error));
}
