/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_pager_threads.c  Calls of several threads on one pager at once: each does what it would do alone.
 *
 * Nothing here depends on who is quicker: the checks are of sums and contents. The stress test (tests/stress) goes further.
 */
#include "unit/pager_world.h"

#include <core/core.h>
#include <objrmap/device.h>
#include <pager/pager_internal.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define THREADS 4

static struct world w;

/* Workers must not end the test: they count what went wrong. */
static _Atomic unsigned wrong;
#define EXPECT(x) (wrong += !(x))

struct worker {
    unsigned number;
    struct rmap_space *s;
    pthread_t thread;
};

static void run(void *(*fn)(void *), struct worker *x, unsigned n, struct rmap_space *s)
{
    wrong = 0;
    for (unsigned i = 0; i < n; i++) {
        x[i].number = i;
        x[i].s = s;
        CHECK_EQ(pthread_create(&x[i].thread, NULL, fn, &x[i]), 0);
    }
}

static void join(struct worker *x, unsigned n)
{
    for (unsigned i = 0; i < n; i++) pthread_join(x[i].thread, NULL);
    CHECK_EQ(wrong, 0);
}

/* ---- one space ---- */

static void *touch_all(void *arg)
{
    const struct worker *x = arg;
    for (rmap_vpn_t v = 0; v < 200; v++) EXPECT(!rmap_space_fault(x->s, v, RMAP_WRITE));
    return NULL;
}

/* S: [0,200); four threads touch all of it, in the same order: each page is made once */
RMAP_TEST(pager_threads, one_page_for_a_place_that_several_touch)
{
    world_init(&w, 300, 0, 0);
    struct rmap_space *s = space_new(&w);
    struct worker x[THREADS];
    map_at(s, 0, 200, RW);
    run(touch_all, x, THREADS, s);
    join(x, THREADS);
    CHECK_EQ(stats(&w).anon_new, 200);
    CHECK_EQ(stats(&w).frames_used, 201);
    CHECK_EQ(stats(&w).faults, THREADS * 200);
    world_fini(&w);
}

#define ROUNDS 400

/* Counts up in pages of its own: what it reads is what it wrote last. */
static void *count_up(void *arg)
{
    const struct worker *x = arg;
    for (uint64_t n = 1; n <= ROUNDS; n++) {
        const rmap_vpn_t v = x->number + n % 8 * THREADS;
        const uint64_t value = n << 8 | x->number;
        uint64_t got = 0;
        EXPECT(!try_put(x->s, v, value));
        EXPECT(!rmap_space_read(x->s, v * PAGE, &got, sizeof got, NULL) && got == value);
    }
    return NULL;
}

static bool is_done(const struct worker *x, unsigned n)
{
    bool done = true;
    for (unsigned i = 0; i < n; i++) {
        uint64_t got = 0;
        rmap_space_read(x[i].s, (i + ROUNDS % 8 * THREADS) * PAGE, &got, sizeof got, NULL);
        done = done && got >> 8 == ROUNDS;
    }
    return done;
}

/* Four threads count in pages of S; S is forked all the while. A child's page holds what its writer wrote before the fork's
 * end and not before its beginning, and stays as it is. */
RMAP_TEST(pager_threads, F6_a_space_is_forked_while_its_threads_fault)
{
    world_init(&w, 400, 0, 0);
    struct rmap_space *s = space_new(&w), *child;
    struct worker x[THREADS];
    map_at(s, 0, 40, RW);
    run(count_up, x, THREADS, s);
    for (bool last = false; !last;) {
        uint64_t before[32], after[32];
        last = is_done(x, THREADS);
        for (unsigned v = 0; v < 32; v++) rmap_space_read(s, v * PAGE, &before[v], 8, NULL);
        CHECK_OK(rmap_space_fork(s, &child));
        for (unsigned v = 0; v < 32; v++) rmap_space_read(s, v * PAGE, &after[v], 8, NULL);
        for (unsigned round = 0; round < 2; round++)
            for (unsigned v = 0; v < 32; v++) {
                uint64_t got;
                CHECK_OK(rmap_space_read(child, v * PAGE, &got, 8, NULL));
                CHECK(before[v] >> 8 <= got >> 8 && got >> 8 <= after[v] >> 8);
                before[v] = after[v] = got;
            }
        CHECK_OK(rmap_space_destroy(child));
    }
    join(x, THREADS);
    world_fini(&w);
}

/* ---- too little memory ---- */

#define CROWD 48

static void *count_in_own_space(void *arg)
{
    struct worker *x = arg;
    for (uint64_t n = 1; n <= ROUNDS; n++) {
        const rmap_vpn_t v = (n * 7 + x->number) % CROWD;
        uint64_t got = 0;
        EXPECT(!rmap_space_read(x->s, v * PAGE, &got, sizeof got, NULL) && (got == 0 || got % CROWD == v));
        EXPECT(!try_put(x->s, v, (got / CROWD + 1) * CROWD + v));
    }
    return NULL;
}

static uint64_t sum_of(struct rmap_space *s)
{
    uint64_t sum = 0;
    for (rmap_vpn_t v = 0; v < CROWD; v++) sum += get(s, v) / CROWD;
    return sum;
}

/* Four spaces of 48 pages, related, on 40 frames, a thread in each, reclaim in the main thread: no write is lost, and nobody
 * is told that there is no frame. */
RMAP_TEST(pager_threads, F1_faults_against_reclaim_lose_nothing)
{
    world_init(&w, 40, 1000, 0);
    struct worker x[THREADS];
    wrong = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        x[i].s = i ? space_fork(&w, x[0].s) : space_new(&w);
        if (!i) map_at(x[0].s, 0, CROWD, RW);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        x[i].number = i;
        CHECK_EQ(pthread_create(&x[i].thread, NULL, count_in_own_space, &x[i]), 0);
    }
    for (unsigned i = 0; i < 50; i++) CHECK(rmap_reclaim(w.p, 8) >= 0);
    join(x, THREADS);
    for (unsigned i = 0; i < THREADS; i++) CHECK_EQ(sum_of(x[i].s), ROUNDS);
    CHECK(stats(&w).swap_ins > 0);
    world_fini(&w);
}

static void *make_families(void *arg)
{
    struct worker *x = arg;
    struct rmap_space *a, *b;
    for (uint64_t n = 0; n < 60; n++) {
        EXPECT(!rmap_space_fork(x->s, &a));
        EXPECT(!try_put(a, 1 + x->number, 1000 + n));
        EXPECT(!rmap_space_fork(a, &b));
        if (n % 3 == 0) EXPECT(!rmap_space_exec(a));
        EXPECT(!rmap_space_destroy(a));
        uint64_t got = 0;
        EXPECT(!rmap_space_read(b, (1 + x->number) * PAGE, &got, sizeof got, NULL) && got == 1000 + n);
        EXPECT(!rmap_space_read(b, 7 * PAGE, &got, sizeof got, NULL) && got == 70);
        EXPECT(!rmap_space_destroy(b));
    }
    return NULL;
}

/* P: [0,20) on two swap devices; four threads fork, write and exit; the main thread takes one device out and puts it back */
RMAP_TEST(pager_threads, C4_a_device_goes_while_spaces_come_and_go)
{
    world_init(&w, 64, 200, 0);
    struct faulty_device other;
    faulty_device_init(&other, 200, 12);
    CHECK_OK(rmap_pager_add_swap(w.p, &other.base));
    struct rmap_space *p = space_new(&w);
    struct worker x[THREADS];
    map_at(p, 0, 20, RW);
    for (rmap_vpn_t v = 0; v < 20; v++) put(p, v, v * 10);
    run(make_families, x, THREADS, p);
    for (unsigned i = 0; i < 8; i++) {
        struct rmap_device *d = i % 2 ? &other.base : &w.device.base;
        CHECK(rmap_reclaim(w.p, 40) >= 0);
        struct rmap_swapoff done;
        CHECK_OK(rmap_pager_remove_swap(w.p, d, &done));
        CHECK_EQ(done.slots_left, 0);
        CHECK_OK(rmap_pager_add_swap(w.p, d));
    }
    join(x, THREADS);
    for (rmap_vpn_t v = 0; v < 20; v++) CHECK_EQ(get(p, v), v * 10);
    world_fini(&w);
}

static void *touch_fifteen(void *arg)
{
    const struct worker *x = arg;
    for (rmap_vpn_t v = 0; v < 15; v++) EXPECT(!rmap_space_fault(x->s, v, RMAP_WRITE));
    return NULL;
}

/* 15 pages, 15 frames, no swap, two threads at the same pages: the one that finds no frame finds the other's page instead */
RMAP_TEST(pager_threads, who_finds_no_frame_waits_for_those_who_have_one_in_hand)
{
    world_init(&w, 16, 0, 0);
    struct rmap_space *s = space_new(&w);
    struct worker x[2];
    map_at(s, 0, 16, RW);
    for (unsigned round = 0; round < 300; round++) {
        run(touch_fifteen, x, 2, s);
        join(x, 2);
        CHECK_ERR(rmap_space_fault(s, 15, RMAP_WRITE), RMAP_ERR_NO_FRAME); /* and when there is none, it says so */
        CHECK_OK(rmap_space_advise(s, 0, 15, RMAP_ADVISE_DONTNEED));
    }
    world_fini(&w);
}

static void *empty_half(void *arg)
{
    (void)arg;
    for (unsigned n = 0; n < 300; n++) EXPECT(rmap_pager_vacate(w.p, n % 2 * 64, 64) >= 0);
    return NULL;
}

/* 128 frames, half of them shut all the time, no swap: 100 pages can be had all the same */
RMAP_TEST(pager_threads, shut_frames_are_better_than_none)
{
    world_init(&w, 128, 0, 0);
    struct rmap_space *s = space_new(&w);
    struct worker x;
    map_at(s, 0, 100, RW);
    run(empty_half, &x, 1, s);
    for (uint64_t n = 1; n < 200; n++) {
        for (rmap_vpn_t v = 0; v < 100; v++) put(s, v, n);
        for (rmap_vpn_t v = 0; v < 100; v++) CHECK_EQ(get(s, v), n);
        CHECK_OK(rmap_space_advise(s, 0, 100, RMAP_ADVISE_DONTNEED));
    }
    join(&x, 1);
    world_fini(&w);
}

#define FAILING 3000
static _Atomic rmap_pfn_t failing; /* those before it have failed */

static void *lose_frames(void *arg)
{
    (void)arg;
    for (failing = 1; failing < FAILING; failing++) {
        int rc = rmap_pager_poison(w.p, failing, NULL, NULL);
        const bool again = rc == RMAP_ERR_BUSY;
        while (rc == RMAP_ERR_BUSY) rc = rmap_pager_poison(w.p, failing, NULL, NULL);
        /* A page that was being dropped is poisoned, and BUSY; then it has been dropped. */
        EXPECT(rc == 0 || rc == RMAP_ERR_UNSUPPORTED || (again && rc == RMAP_ERR_EXISTS));
    }
    return NULL;
}

static bool maps_failed_frame(struct rmap_space *s, rmap_vpn_t v)
{
    const struct rmap_pte_format *f = &rmap_pte_format_soft;
    const rmap_pfn_t failed = failing; /* before the entry is read: it may be this frame's turn in between */
    const rmap_pte_t e = rmap_radix_peek(&rmap_space_member(s)->mmu, v);
    return rmap_pte_present(f, e) && rmap_pte_pfn(f, e) < failed;
}

/* 3,200 frames, most of which fail, one after the other, while 50 pages come and go: none is mapped after it has failed */
RMAP_TEST(pager_threads, a_failed_frame_is_not_used_by_a_fault_that_had_it_in_hand)
{
    world_init(&w, FAILING + 200, 0, 0);
    struct rmap_space *s = space_new(&w);
    struct worker x;
    map_at(s, 0, 50, RW);
    failing = 1;
    run(lose_frames, &x, 1, s);
    for (bool last = false; !last;) {
        last = failing == FAILING;
        for (rmap_vpn_t v = 0; v < 50; v++) {
            int rc = try_put(s, v, v);
            CHECK(rc == 0 || rc == RMAP_ERR_POISON);
            CHECK(!maps_failed_frame(s, v));
        }
        CHECK_OK(rmap_space_advise(s, 0, 50, RMAP_ADVISE_DONTNEED));
    }
    join(&x, 1);
    world_fini(&w);
}

/* Played in one thread: A and B have frames in hand; A ends, B finds none. B tries again if A may have made the entry, or if
 * a frame came back that was not B's own; not if nothing has happened. */
RMAP_TEST(pager_threads, who_finds_no_frame_tries_again_if_anything_has_happened)
{
    world_init(&w, 32, 0, 0);
    for (unsigned what = 0; what < 4; what++) {
        struct rmap_page *page;
        CHECK_OK(rmap_page_alloc(w.r, RMAP_PFN_NONE, &page));
        rmap__hands_enter(w.p); /* B */
        if (what == 1) rmap__hands_enter(w.p); /* A */
        const struct rmap__hands_seen seen = rmap__hands_look(w.p);
        if (what == 1) rmap__hands_leave(w.p);
        if (what >= 2) rmap_page_put(w.r, page);
        CHECK_EQ(rmap__hands_wait(w.p, seen, what == 3), what == 1 || what == 2);
        if (what < 2) rmap_page_put(w.r, page);
    }
    world_fini(&w);
}

/* ---- a space that goes ---- */

static void *end_space(void *arg)
{
    EXPECT(!rmap_space_destroy(((struct worker *)arg)->s));
    return NULL;
}

/* S, 50 faults, is destroyed while swapoff holds it. As soon as it is no space any more its faults are the pager's. */
RMAP_TEST(pager_threads, what_a_space_counted_is_not_missing_while_it_goes)
{
    world_init(&w, 100, 0, 0);
    struct rmap_space *s;
    CHECK_OK(rmap_space_create(w.p, &s));
    map_at(s, 0, 50, RW);
    fill(s, 0, 50, 0);
    const struct rmap_pager_stats before = stats(&w);
    CHECK(rmap__space_hold(w.p, rmap_space_member(s)) == s);
    struct worker x;
    run(end_space, &x, 1, s);
    while (stats(&w).spaces == before.spaces) sched_yield();
    const struct rmap_pager_stats after = stats(&w);
    rmap__space_let_go(s);
    join(&x, 1);
    CHECK_EQ(after.faults, before.faults);
    CHECK_EQ(after.anon_new, before.anon_new);
    CHECK_EQ(stats(&w).faults, before.faults);
    world_fini(&w);
}

static struct rmap_mmu_provider inner;
static struct rmap_mmu_client client;
static int late, late_lock;

static int note_client(void *ctx, const struct rmap_mmu_client *c, struct rmap_mmu *out)
{
    client = *c;
    return inner.create(ctx, c, out);
}
static void fault_late(void *ctx, struct rmap_mmu *mmu)
{
    struct rmap_space *s = client.ctx;
    late = client.fault(s, 0, RMAP_READ);
    late_lock = pthread_rwlock_trywrlock(&s->lock);
    if (!late_lock) pthread_rwlock_unlock(&s->lock);
    inner.destroy(ctx, mmu);
}

/* The MMU of S, about to be destroyed, asks for one page more: there is no space any more, and no lock of it is kept. */
RMAP_TEST(pager_threads, a_fault_in_a_space_that_is_gone_finds_nothing_and_keeps_nothing)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s;
    inner = w.p->provider;
    w.p->provider.create = note_client;
    CHECK_OK(rmap_space_create(w.p, &s));
    map_at(s, 0, 2, RW);
    put(s, 0, 1);
    w.p->provider.destroy = fault_late;
    CHECK_OK(rmap_space_destroy(s));
    w.p->provider = inner;
    CHECK_ERR(late, RMAP_ERR_DEAD);
    CHECK_EQ(late_lock, 0);
    world_fini(&w);
}

/* Inside a call of A, one of B (whose memory A's device may be); inside that, none of A: it could wait for the first. */
RMAP_TEST(pager_threads, a_call_inside_a_call_is_refused_also_with_another_pagers_between)
{
    static struct world b;
    struct rmap__call first, second;
    struct rmap_pager_stats st;
    world_init(&w, 32, 0, 0);
    world_init(&b, 32, 0, 0);
    CHECK_OK(rmap__call_begin(&first, w.p));
    CHECK_OK(rmap__call_begin(&second, b.p));
    CHECK_ERR(rmap_pager_get_stats(b.p, &st), RMAP_ERR_BUSY);
    CHECK_ERR(rmap_pager_get_stats(w.p, &st), RMAP_ERR_BUSY);
    rmap__call_end(&second);
    CHECK_OK(rmap_pager_get_stats(b.p, &st));
    rmap__call_end(&first);
    CHECK_OK(rmap_pager_get_stats(w.p, &st));
    world_fini(&b);
    world_fini(&w);
}

/* ---- against each other ---- */

#ifdef RMAP_DEBUG

#define VERBS 3000
static struct rmap_page *aged[64];

/* Takes the lock of one page after the other, of those that are about to move, and ages it. */
static void *age_without_end(void *arg)
{
    (void)arg;
    struct rmap_result result;
    for (unsigned n = 0; n < VERBS; n++) {
        struct rmap_page *page = aged[n % 64];
        rmap_page_lock(page);
        EXPECT(!rmap_referenced(w.r, &page, 1, 0, &result));
        /* Its one entry is seen, or the move has it in hand: then the page is locked, but by the move. */
        EXPECT(result.outcome == RMAP_DONE && result.hits == 1);
        rmap_page_unlock(w.r, page);
    }
    return NULL;
}

static _Atomic unsigned flights;
static void count_flights(void *ctx, enum rmap__yield_point at)
{
    (void)ctx;
    flights += at == RMAP__AT_MOVE_LANDED;
}
#endif

/* S: 64 pages go to and fro, 100 times, while another thread locks and ages them: the move holds a run and wants pages, the
 * ageing holds a page and wants the run. A flight that ends early has met a page that the other one had locked: so there are
 * never more of them than moves and verbs together, whoever is quicker. */
RMAP_TEST(pager_threads, F1_a_move_backs_off_and_both_get_on)
{
#ifndef RMAP_DEBUG
    TEST_SKIP("flights are counted at the yield points of debug builds");
#else
    world_init(&w, 100, 0, 0);
    struct rmap_space *s = space_new(&w);
    struct worker x;
    map_at(s, 0, 64, RW);
    for (rmap_vpn_t v = 0; v < 64; v++) {
        put(s, v, v);
        aged[v] = page_at(&w, s, v);
    }
    flights = 0;
    w.r->yield = count_flights;
    run(age_without_end, &x, 1, s);
    for (unsigned n = 0; n < 100; n++) {
        rmap_vpn_t to = n % 2 ? 0 : 100;
        CHECK_OK(rmap_space_move(s, 100 - to, 64, 64, RMAP_MOVE_FIXED, &to));
    }
    join(&x, 1);
    CHECK(flights >= 100);
    CHECK_LE(flights, 100 + VERBS);
    CHECK_EQ(stats(&w).moves_reindexed, 6400);
    for (rmap_vpn_t v = 0; v < 64; v++) CHECK_EQ(get(s, v), v);
    world_fini(&w);
#endif
}

static _Atomic unsigned ready;

static void *exit_together(void *arg)
{
    const struct worker *x = arg;
    ready++;
    for (unsigned n = 1; ready < 2; n++) /* awake: a barrier would let one of them sleep */
        if (n % 4096 == 0) sched_yield();
    EXPECT(!rmap_space_destroy(x->s));
    return NULL;
}

/* P and its fork C, with a page each and one together, are the group's last two members, and exit at once: a group that were
 * freed twice, or not at all, would stop the allocator */
RMAP_TEST(pager_threads, A1_the_two_last_members_exit_at_once)
{
    world_init(&w, 32, 0, 0);
    for (unsigned round = 0; round < 500; round++) {
        struct worker x[2];
        rmap_vpn_t at = 0;
        CHECK_OK(rmap_space_create(w.p, &x[0].s));
        CHECK_OK(rmap_space_map(x[0].s, &at, 3, RW, RMAP_MAP_FIXED));
        put(x[0].s, 0, 1);
        put(x[0].s, 1, 2);
        CHECK_OK(rmap_space_fork(x[0].s, &x[1].s));
        put(x[1].s, 1, 3);
        wrong = ready = 0;
        for (unsigned i = 0; i < 2; i++) CHECK_EQ(pthread_create(&x[i].thread, NULL, exit_together, &x[i]), 0);
        join(x, 2);
        struct rmap_stats s;
        CHECK_OK(rmap_stats_get(w.r, &s));
        CHECK_EQ(s.members + s.nodes + s.epochs + s.tags, 0);
    }
    world_fini(&w);
}

/* ---- the pager's books ---- */

static _Atomic unsigned granted;

static void *ask(void *arg)
{
    const struct worker *x = arg;
    for (unsigned n = 0; n < 200; n++) {
        rmap_vpn_t at = x->number * 1000;
        int rc = rmap_space_map(x->s, &at, 10, RW, RMAP_MAP_FIXED);
        EXPECT(rc == 0 || rc == RMAP_ERR_COMMIT);
        if (rc) continue;
        granted += 10;
        EXPECT(granted <= 25);
        granted -= 10;
        EXPECT(!rmap_space_unmap(x->s, at, 10));
    }
    return NULL;
}

/* Limit 25 pages; four spaces ask for 10 again and again: never are more than two granted at once */
RMAP_TEST(pager_threads, S11_the_last_pages_are_granted_once)
{
    world_init(&w, 32, 0, 25);
    struct worker x[THREADS];
    wrong = 0;
    granted = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        x[i].number = i;
        x[i].s = space_new(&w);
        CHECK_EQ(pthread_create(&x[i].thread, NULL, ask, &x[i]), 0);
    }
    join(x, THREADS);
    CHECK_EQ(stats(&w).committed, 0);
    world_fini(&w);
}

static void *move_to_and_fro(void *arg)
{
    const struct worker *x = arg;
    for (unsigned n = 0; n < 400; n++) {
        rmap_vpn_t to = n % 2 ? 0 : 100;
        EXPECT(!rmap_space_move(x->s, 100 - to, 60, 60, RMAP_MOVE_FIXED, &to));
    }
    return NULL;
}

/* Limit 100: S moves its 60 pages about, which takes nothing; another space can have 30 at any time */
RMAP_TEST(pager_threads, S11_what_a_call_gives_back_is_not_asked_for_twice)
{
    world_init(&w, 80, 0, 100);
    struct rmap_space *s = space_new(&w), *other = space_new(&w);
    struct worker x;
    map_at(s, 0, 60, RW);
    for (rmap_vpn_t v = 0; v < 60; v++) put(s, v, v);
    run(move_to_and_fro, &x, 1, s);
    for (unsigned n = 0; n < 2000; n++) {
        map_at(other, 0, 30, RW);
        CHECK_OK(rmap_space_unmap(other, 0, 30));
    }
    join(&x, 1);
    CHECK_EQ(stats(&w).committed, 60);
    world_fini(&w);
}

static void *shake(void *arg)
{
    const struct worker *x = arg;
    for (unsigned n = 0; n < 40; n++) {
        if (x->number % 2)
            EXPECT(rmap_pager_vacate(w.p, 0, 32) >= 0);
        else
            EXPECT(rmap_reclaim(w.p, 16) >= 0);
    }
    return NULL;
}

/* Two threads empty frames [0,32) of 64, two reclaim, while the main thread writes and reads a space of 40 pages */
RMAP_TEST(pager_threads, frames_change_places_under_a_working_space)
{
    world_init(&w, 64, 200, 0);
    struct rmap_space *s = space_new(&w);
    struct worker x[THREADS];
    map_at(s, 0, 40, RW);
    for (rmap_vpn_t v = 0; v < 40; v++) put(s, v, 1);
    run(shake, x, THREADS, s);
    for (uint64_t n = 2; n < 60; n++)
        for (rmap_vpn_t v = 0; v < 40; v++) {
            CHECK_EQ(get(s, v), n - 1);
            put(s, v, n);
        }
    join(x, THREADS);
    world_fini(&w);
}
