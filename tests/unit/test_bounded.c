/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_bounded.c  F2: a long walk lets others in after every 256 spaces, and is right whatever they do then.
 *
 * The world of most tests: a parent, space 0, and kids 1 … 640, all mapping page 7 (and 8). A walk rests behind spaces 255 and
 * 511; there, in debug builds, somebody forks, exits, or leaves for another group.
 */
#include "support/test.h"

#ifndef RMAP_DEBUG

RMAP_TEST(bounded, is_shown_in_debug_builds_only)
{
    TEST_SKIP("yield points are in debug builds only");
}

#else

#include "support/other_thread.h"
#include "unit/tiny_space.h"

#include <core/core.h>
#include <core/position.h>
#include <objrmap/usage.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum { KIDS = 640, SPACES = KIDS + 1, ROOM = SPACES + 8, EPOCH = 300 };

static struct {
    struct world w;
    struct world_space *s[ROOM]; /* NULL: exited */
    unsigned born;
    struct rmap_page *seven;
    unsigned rests, when; /* so far; `event` falls into this one */
    void (*event)(void);
} x;

static void at_rest(void *ctx, enum rmap__yield_point at)
{
    (void)ctx;
    if (at != RMAP__AT_STEP) return;
    if (x.rests++ == x.when && x.event) AS_ANOTHER_THREAD(x.event());
}

static void crowd_begin(void (*event)(void), unsigned when)
{
    memset(&x, 0, sizeof x);
    world_init(&x.w, &(struct world_options){.frames = 64});
    x.s[0] = world_space(&x.w);
    world_write(x.s[0], 7, 70);
    world_write(x.s[0], 8, 80);
    for (x.born = 1; x.born < SPACES; x.born++) {
        x.s[x.born] = world_fork(x.s[0]);
        if (x.born == EPOCH) world_write(x.s[0], 100, 1); /* the next fork opens another epoch */
    }
    x.seven = world_page(x.s[0], 7);
    x.event = event;
    x.when = when;
    x.w.r->yield = at_rest;
}

static unsigned mappers(struct rmap_page *page)
{
    unsigned n = 0;
    for (unsigned i = 0; i < x.born; i++) n += x.s[i] && world_page(x.s[i], 7) == page;
    return n;
}

/* Everything is found, and everybody has its value. */
static void crowd_end(void)
{
    x.w.r->yield = NULL;
    world_check(&x.w);
    for (unsigned i = 0; i < x.born; i++)
        if (x.s[i] && world_kind(x.s[i], 7) != RMAP_PTE_NONE) CHECK_EQ(world_read(x.s[i], 7), 70);
    for (unsigned i = 0; i < x.born; i += 64) {
        struct rmap_page *page = x.s[i] ? world_page(x.s[i], 7) : NULL;
        if (!page) continue;
        struct rmap_result res = world_look(&x.w, page);
        CHECK_EQ(res.outcome, RMAP_DONE);
        CHECK_EQ(res.hits, mappers(page));
    }
    world_check(&x.w);
    world_fini(&x.w);
}

/* ---- what happens there ---- */

static void fork_of(unsigned n)
{
    x.s[x.born++] = world_fork(x.s[n]);
}
static void exit_of(unsigned n)
{
    world_exit(x.s[n]);
    x.s[n] = NULL;
}
static void exec_of(unsigned n)
{
    struct rmap_mmu mmu = x.s[n]->mmu;
    world_zap(x.s[n], 0, mmu.pages);
    CHECK_OK(rmap_member_leave(&x.s[n]->m));
    CHECK_OK(rmap_member_init(x.w.r, &x.s[n]->m, &mmu));
}
static void nothing(void) {}
static void fork_the_first(void) { fork_of(0); }
static void fork_one_done(void) { fork_of(10); }
static void fork_the_last_done(void) { fork_of(x.when % 2 ? 511 : 255); }
static void fork_one_to_come(void) { fork_of(600); }
static void exit_the_first(void) { exit_of(0); }
static void exit_one_done(void) { exit_of(10); }
static void exit_the_last_done(void) { exit_of(x.when % 2 ? 511 : 255); }
static void exit_the_next(void) { exit_of(x.when % 2 ? 512 : 256); }
static void exit_one_to_come(void) { exit_of(600); }
static void exec_one_done(void) { exec_of(10); }
static void exec_one_to_come(void) { exec_of(600); }
/* 1 … 300 hang on the parent's first epoch, the others on its second: with them the epoch goes in which the page was made */
static void exit_the_first_epoch(void)
{
    for (unsigned i = 1; i <= EPOCH; i++) exit_of(i);
}
/* 600 takes the place of all the tree */
static void exit_all_but_one(void)
{
    for (unsigned i = 0; i < SPACES; i++)
        if (i != 600) exit_of(i);
}
/* All at once, and the tree around the position with it: whole generations go */
static void many(void)
{
    fork_of(10);
    fork_of(600);
    exit_of(0);
    exit_of(600);
    fork_of(x.born - 1);
    exec_of(601);
    for (unsigned i = 240; i < 270; i++) exit_of(i);
    for (unsigned i = 500; i < 520; i++) exit_of(i);
}

enum verb { AGE, PROTECT, UNMAP, MIGRATE, VERBS };

/* `more`: mappings that a verb that keeps them finds more than 641. Forks of spaces that are done, by the same token, add
 * mappings that are not found, and exits leave hits behind that are none any more: INCOMPLETE */
static const struct {
    void (*event)(void);
    bool incomplete;
    int more, more_taken;
} events[] = {
    {nothing, false, 0, 0},
    {fork_the_first, false, 1, 0},
    {fork_one_done, true, 0, 0},
    {fork_the_last_done, false, 1, 0}, /* its child comes next */
    {fork_one_to_come, false, 1, 1},
    {exit_the_first, true, 0, 0},
    {exit_one_done, true, 0, 0},
    {exit_the_last_done, true, 0, 0},
    {exit_the_next, false, -1, -1},
    {exit_one_to_come, false, -1, -1},
    {exec_one_done, true, 0, 0},
    {exec_one_to_come, false, -1, -1},
    {exit_the_first_epoch, true, -EPOCH, -EPOCH},
    {exit_all_but_one, true, -SPACES + 1, -SPACES + 1},
};

static void check_done(enum verb verb)
{
    for (unsigned i = 0; i < x.born; i++) {
        if (!x.s[i]) continue;
        if (verb == AGE) CHECK(!world_attr(x.s[i], 7, RMAP_ATTR_ACCESSED));
        if (verb == PROTECT) CHECK(!world_attr(x.s[i], 7, RMAP_ATTR_WRITE) && !world_attr(x.s[i], 7, RMAP_ATTR_DIRTY));
        if (verb == UNMAP) CHECK(!world_page(x.s[i], 7));
        if (verb == MIGRATE) CHECK(world_page(x.s[i], 7) != x.seven);
    }
}

static struct rmap_result crowd_run(enum verb verb)
{
    struct rmap_page *now;
    for (unsigned i = 0; i < x.born; i++) world_read(x.s[i], 7);
    switch (verb) {
    case AGE:
        return world_referenced(&x.w, x.seven);
    case PROTECT:
        return world_protect(&x.w, x.seven);
    case UNMAP:
        return world_unmap(&x.w, x.seven, 0);
    default:
        return world_migrate(&x.w, x.seven, &now);
    }
}

/* Every verb, every event, in either rest; a migration has two walks, and so four */
RMAP_TEST(bounded, F2_whatever_happens_in_a_rest_the_walk_is_right)
{
    for (unsigned e = 0; e < sizeof events / sizeof *events; e++)
        for (enum verb verb = 0; verb < VERBS; verb++)
            for (unsigned when = 0; when < (verb == MIGRATE ? 4u : 2u); when++) {
                crowd_begin(events[e].event, when);
                struct rmap_result res = crowd_run(verb);
                CHECK_LE(when + 1, x.rests);
                const bool keeps = verb != UNMAP && when < 2;
                const bool incomplete = events[e].incomplete && keeps;
                if (res.outcome != (incomplete ? RMAP_INCOMPLETE : RMAP_DONE))
                    TEST_FAIL("event %u, verb %u, rest %u: outcome %u, %u hits of %u", e, verb, when, res.outcome,
                              res.hits, rmap_page_mapcount(x.seven));
                /* of those who exit, the ones that were done before are hits */
                const int done = when % 2 ? 512 : 256;
                int more = verb == UNMAP ? events[e].more_taken : events[e].more;
                if (more == -EPOCH) more = done > EPOCH ? 0 : done - 1 - EPOCH;
                if (more == -KIDS) more = done + 1 - SPACES;
                if ((keeps && verb != MIGRATE) || verb == UNMAP) CHECK_EQ((int)res.hits, SPACES + more);
                if (res.outcome == RMAP_DONE) check_done(verb);
                CHECK_EQ(res.tightened, 0);
                crowd_end();
            }
}

RMAP_TEST(bounded, F2_a_whole_part_of_the_tree_may_change_in_a_rest)
{
    for (enum verb verb = 0; verb < VERBS; verb++)
        for (unsigned when = 0; when < (verb == MIGRATE ? 4u : 2u); when++) {
            crowd_begin(many, when);
            struct rmap_result res = crowd_run(verb);
            CHECK_EQ(x.born, SPACES + 3);
            if (res.outcome == RMAP_DONE) check_done(verb);
            if (verb == UNMAP || when > 1) CHECK_EQ(res.outcome, RMAP_DONE);
            crowd_end();
        }
}

/* ---- bounds ---- */

static void leave_seven_in(unsigned a, unsigned b)
{
    for (unsigned i = 0; i < SPACES; i++)
        if (i != a && i != b) world_zap(x.s[i], 7, 1);
}

/* 7 is in kid 10 alone, and done before the rest; 8, in all, keeps the walk going. In the rest 10 forks: its child is no
 * candidate of 10's open epoch, to which the bound would lead. Or 10 exits, and the bound leads nowhere. If nobody does
 * anything, the bound holds */
RMAP_TEST(bounded, A15_a_page_done_before_the_rest_is_not_tightened_if_somebody_forked_or_left_in_it)
{
    void (*const event[])(void) = {nothing, fork_one_done, exit_one_done};
    for (unsigned e = 0; e < 3; e++) {
        crowd_begin(event[e], 0);
        rmap_page_get(x.seven);
        struct rmap_page *pages[2] = {x.seven, world_page(x.s[0], 8)};
        struct rmap_result res[2];
        leave_seven_in(10, 10);
        CHECK_OK(rmap_referenced(x.w.r, pages, 2, RMAP_LOCK_PAGES, res));
        CHECK_EQ(x.rests, 2);
        for (unsigned i = 0; i < 2; i++) CHECK_EQ(res[i].outcome, i && e ? RMAP_INCOMPLETE : RMAP_DONE);
        CHECK_EQ(res[0].hits, 1);
        CHECK_EQ(res[0].nodes, 11);
        CHECK_EQ(res[0].tightened, !e);
        CHECK_EQ(rmap_page_owner(x.seven) == rmap_member_home(&x.s[e == 2 ? 11 : 10]->m), !e);
        world_check(&x.w); /* INV-1: 10's child is covered */
        rmap_page_put(x.w.r, x.seven);
        crowd_end();
    }
}

/* 7 is in 10 and 600: what the walk knows of 10's place when it comes to 600 is of before the rest, in which 10 exits, and its
 * node is freed; or forks; or everything about it changes */
RMAP_TEST(bounded, what_the_walk_remembers_of_the_tree_is_not_used_after_an_edit)
{
    void (*const event[])(void) = {nothing, exit_one_done, fork_one_done, exit_the_first, exit_the_last_done};
    for (unsigned e = 0; e < sizeof event / sizeof *event; e++) {
        for (unsigned when = 0; when < 2; when++) {
            crowd_begin(event[e], when);
            leave_seven_in(10, 600);
            struct rmap_result res = world_referenced(&x.w, x.seven);
            CHECK_EQ(res.outcome, e == 1 || e == 2 ? RMAP_INCOMPLETE : RMAP_DONE);
            CHECK_EQ(res.hits, 2);
            CHECK_EQ(res.tightened, 0); /* there is no lower bound than the parent's epoch, anyway */
            crowd_end();
        }
    }
}

/* 7 is in 600 alone, behind both rests. Undisturbed, the walk leaves a bound and a hint; else the next one does */
RMAP_TEST(bounded, F2_an_undisturbed_walk_tightens_and_a_disturbed_one_leaves_it_to_the_next)
{
    for (unsigned fork = 0; fork < 2; fork++) {
        crowd_begin(fork ? fork_the_first : NULL, 1);
        leave_seven_in(600, 600);
        struct rmap_result res = world_referenced(&x.w, x.seven);
        CHECK_EQ(res.outcome, RMAP_DONE);
        CHECK_EQ(res.nodes, 601);
        CHECK_EQ(res.tightened, !fork);
        CHECK(rmap__member_group(&x.s[0]->m)->hint == (fork ? NULL : &x.s[600]->m));
        CHECK_EQ(world_referenced(&x.w, x.seven).tightened, fork);
        CHECK_EQ(world_look(&x.w, x.seven).nodes, 1);
        crowd_end();
    }
}

/* ---- how long others wait ---- */

enum { CROWD = 10000 };

static struct {
    struct tiny *t, child;
    struct rmap_mmu mmu; /* the child's */
    pthread_t thread, looker;
    unsigned candidates, since, rests, most;
    bool started;
    _Atomic bool in;
} late;

static void *fork_late(void *arg)
{
    struct rmap_fork f;
    (void)arg;
    if (rmap_fork_begin(&late.t[0].m, &late.child.m, &late.mmu, &f)) abort();
    late.in = true;
    rmap_fork_commit(&f); /* nothing is copied: page 0 is not this child's */
    return NULL;
}

static void count_steps(void *ctx, enum rmap__yield_point at)
{
    (void)ctx;
    if (!pthread_equal(pthread_self(), late.looker)) return;
    if (at == RMAP__AT_CANDIDATE) {
        late.candidates++;
        if (++late.since > late.most) late.most = late.since;
        if (late.candidates == 1000) {
            late.started = true;
            CHECK_EQ(pthread_create(&late.thread, NULL, fork_late, NULL), 0);
        }
        if (late.candidates > 1000 && late.candidates <= 1024) CHECK(!late.in); /* the walk has the lock */
    }
    if (at == RMAP__AT_STEP) {
        late.rests++;
        late.since = 0;
        while (late.started && !late.in) sched_yield(); /* nobody is in the way of the fork here */
    }
}

/* 0 and all but one of its 9,999 kids map page 0. Another thread forks while the walk looks into the 1,000th: it is in before the 1,025th */
RMAP_TEST(bounded, F2_a_fork_waits_for_256_spaces_at_most)
{
    struct world w;
    memset(&late, 0, sizeof late);
    world_init(&w, &(struct world_options){.no_contents = true, .frames = 16, .caps = RMAP_MMU_NO_TLB});
    late.t = calloc(CROWD, sizeof *late.t);
    tiny_init(&w, &late.t[0]);
    struct rmap_page *page = tiny_write(&late.t[0], 0);
    for (unsigned i = 1; i < CROWD; i++) tiny_fork(&late.t[0], &late.t[i]);
    tiny_zap(&late.t[1], 0);
    late.mmu = tiny_mmu(&late.child);
    late.looker = pthread_self();
    w.r->yield = count_steps;
    struct rmap_result res;
    CHECK_OK(rmap_referenced(w.r, &page, 1, RMAP_LOCK_PAGES, &res));
    w.r->yield = NULL;
    CHECK_EQ(pthread_join(late.thread, NULL), 0);
    CHECK_EQ(res.outcome, RMAP_DONE);
    CHECK_EQ(res.hits, CROWD - 1);
    CHECK_EQ(late.candidates, CROWD);
    CHECK_EQ(late.most, RMAP__STEP_VISITS);
    CHECK_EQ(late.rests, CROWD / RMAP__STEP_VISITS);
    CHECK(late.in);
    CHECK_OK(rmap_verify(w.r, NULL));
    tiny_exit(&late.child);
    for (unsigned i = 0; i < CROWD; i++) tiny_exit(&late.t[i]);
    free(late.t);
    world_fini(&w);
}

/* 5,000 generations, each the child of the one before. One mapping more is counted than there are: the walk looks at all, and
 * then climbs all the way up, which is work, too: it rests once more */
RMAP_TEST(bounded, F2_a_long_way_up_is_work_too)
{
    enum { GENERATIONS = 5000 };
    struct world w;
    memset(&late, 0, sizeof late);
    world_init(&w, &(struct world_options){.no_contents = true, .frames = 16, .caps = RMAP_MMU_NO_TLB});
    late.t = calloc(GENERATIONS, sizeof *late.t);
    tiny_init(&w, &late.t[0]);
    struct rmap_page *page = tiny_write(&late.t[0], 0);
    for (unsigned i = 1; i < GENERATIONS; i++) tiny_fork(&late.t[i - 1], &late.t[i]);
    CHECK_OK(rmap_page_dup(&late.t[0].m, &page, 1));
    late.looker = pthread_self();
    late.candidates = CROWD; /* nobody forks */
    w.r->yield = count_steps;
    struct rmap_result res;
    CHECK_OK(rmap_referenced(w.r, &page, 1, RMAP_LOCK_PAGES, &res));
    w.r->yield = NULL;
    CHECK_EQ(res.outcome, RMAP_INCOMPLETE);
    CHECK_EQ(res.hits, GENERATIONS);
    CHECK_EQ(late.rests, GENERATIONS / RMAP__STEP_VISITS + 1);
    struct rmap_gather g;
    rmap_gather_init(&g, w.r);
    rmap_page_unmap(&g, &late.t[0].m, page);
    rmap_gather_finish(&g);
    for (unsigned i = 0; i < GENERATIONS; i++) tiny_exit(&late.t[i]);
    free(late.t);
    world_fini(&w);
}

/* ---- in a chain ---- */

static struct tiny *chain;
static void exit_the_hundredth(void *ctx, enum rmap__yield_point at)
{
    (void)ctx;
    if (at == RMAP__AT_STEP && late.rests++ == 0) AS_ANOTHER_THREAD(tiny_exit(&chain[100]));
}

/* 700 generations; page 0 is left in 100 and 600. The first hit's node is above all that comes, and goes in the rest, its child
 * taking its place: the second hit must not be measured from it */
RMAP_TEST(bounded, the_node_above_all_hits_goes_in_a_rest)
{
    enum { GENERATIONS = 700 };
    struct world w;
    memset(&late, 0, sizeof late);
    world_init(&w, &(struct world_options){.no_contents = true, .frames = 16, .caps = RMAP_MMU_NO_TLB});
    chain = calloc(GENERATIONS, sizeof *chain);
    tiny_init(&w, &chain[0]);
    struct rmap_page *page = tiny_write(&chain[0], 0);
    for (unsigned i = 1; i < GENERATIONS; i++) tiny_fork(&chain[i - 1], &chain[i]);
    for (unsigned i = 0; i < GENERATIONS; i++)
        if (i != 100 && i != 600) tiny_zap(&chain[i], 0);
    w.r->yield = exit_the_hundredth;
    struct rmap_result res;
    CHECK_OK(rmap_referenced(w.r, &page, 1, RMAP_LOCK_PAGES, &res));
    w.r->yield = NULL;
    CHECK_EQ(res.hits, 2);
    CHECK_EQ(res.nodes, GENERATIONS);
    CHECK_EQ(res.outcome, RMAP_INCOMPLETE);
    CHECK_OK(rmap_verify(w.r, NULL));
    for (unsigned i = 0; i < GENERATIONS; i++)
        if (i != 100) tiny_exit(&chain[i]);
    free(chain);
    world_fini(&w);
}

/* ---- scans of many tables ---- */

enum { TABLES = 300 };

/* P; C, its child, has a page in each of 300 tables. C is space 1 */
static void tables_begin(void (*event)(void))
{
    memset(&x, 0, sizeof x);
    world_init(&x.w, &(struct world_options){.frames = 400});
    x.s[0] = world_space(&x.w);
    world_write(x.s[0], 7, 70);
    x.s[1] = world_fork(x.s[0]);
    x.born = 2;
    for (unsigned i = 1; i < TABLES; i++) world_write(x.s[1], 512 * i, i);
    x.event = event;
    x.w.r->yield = at_rest;
}
static void tables_end(void)
{
    x.w.r->yield = NULL;
    world_check(&x.w);
    world_fini(&x.w);
}
static void exit_c(void) { exit_of(1); }
static void fork_c(void) { fork_of(1); }
static void exit_p(void) { exit_of(0); }
/* C leaves, and the same struct comes back as P's child, while the scan was in its tables */
static void c_comes_again(void)
{
    struct world_space *c = x.s[1];
    struct rmap_fork f;
    world_zap(c, 0, c->mmu.pages);
    CHECK_OK(rmap_member_leave(&c->m));
    CHECK_OK(rmap_fork_begin(&x.s[0]->m, &c->m, &c->mmu, &f));
    CHECK_OK(rmap_fork_copy(&f, 0, c->mmu.pages, RMAP_FORK_COW));
    rmap_fork_commit(&f);
}

/* The same, below a child of C's; then all that is between goes, and C is where it was, in its next life, with all tables to
 * come */
static void c_rises_again(void)
{
    struct world_space *c = x.s[1], *a = world_fork(c), *b = world_fork(c);
    struct rmap_fork f;
    world_zap(c, 0, c->mmu.pages);
    CHECK_OK(rmap_member_leave(&c->m));
    CHECK_OK(rmap_fork_begin(&a->m, &c->m, &c->mmu, &f));
    CHECK_OK(rmap_fork_copy(&f, 0, c->mmu.pages, RMAP_FORK_COW));
    rmap_fork_commit(&f);
    world_exit(a);
    world_exit(b);
}

/* All is counted: P's page, C's 300. C exits in the midst: what was counted stays counted, the rest is not. C forks: its child's
 * turn comes. */
RMAP_TEST(bounded, F2_a_group_is_summed_up_with_rests_between_tables)
{
    static const struct {
        void (*event)(void);
        unsigned members, least, most;
    } must[] = {{nothing, 2, TABLES + 1, TABLES + 1},
                {exit_c, 2, 200, TABLES - 1},
                {fork_c, 3, 2 * TABLES + 1, 2 * TABLES + 1},
                {exit_p, 2, TABLES + 1, TABLES + 1},
                {c_comes_again, 3, 200, TABLES},
                {c_rises_again, 3, TABLES + 200, 2 * TABLES}};
    for (unsigned e = 0; e < sizeof must / sizeof *must; e++) {
        struct rmap_group_usage u;
        tables_begin(must[e].event);
        CHECK_OK(rmap_group_get_usage(&x.s[0]->m, &u)); /* P leaves only while its own turn is over */
        CHECK_LE(1, x.rests);
        CHECK_EQ(u.members, must[e].members);
        CHECK_LE(must[e].least, u.sum.present);
        CHECK_LE(u.sum.present, must[e].most);
        tables_end();
    }
}

static unsigned shown;
static int show_all(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t e)
{
    (void)ctx, (void)m, (void)vpn, (void)e;
    shown++;
    return 0;
}

/* 7 is on swap in both; C has moved its entry behind 299 tables, where only a scan of all finds it. C exits in the midst */
RMAP_TEST(bounded, F2_a_moved_swap_entry_is_sought_with_rests_between_tables)
{
    for (unsigned exits = 0; exits < 2; exits++) {
        struct rmap_result res;
        tables_begin(exits ? exit_c : NULL);
        CHECK_EQ(world_unmap(&x.w, world_page(x.s[0], 7), 0).outcome, RMAP_DONE);
        rmap_swp_t e = rmap_pte_swp(x.s[0]->mmu.ops->format, world_entry(x.s[0], 7));
        CHECK_EQ(world_move(x.s[1], 7, 512 * (TABLES - 1) + 9, 1).swap_shared, 1);
        shown = 0;
        CHECK_OK(rmap_each_swap(x.w.r, e, show_all, NULL, &res));
        CHECK_EQ(x.rests, 1);
        CHECK_EQ(shown, 2 - exits);
        CHECK_EQ(res.hits, 2 - exits);
        CHECK_EQ(res.outcome, exits ? RMAP_INCOMPLETE : RMAP_DONE);
        tables_end();
    }
}

/* 7 is on swap in all 641; in the first rest a space that is done exits, or one to come forks, or everything happens */
RMAP_TEST(bounded, F2_a_slots_entries_are_sought_with_rests)
{
    static const struct {
        void (*event)(void);
        unsigned shown;
        bool incomplete;
    } must[] = {{nothing, SPACES, false},
                {exit_one_done, SPACES, false}, /* the count falls to 640, which is met before the last is seen */
                {fork_one_to_come, SPACES + 1, false},
                {fork_one_done, SPACES, true}};
    for (unsigned e = 0; e < sizeof must / sizeof *must; e++) {
        struct rmap_result res;
        crowd_begin(must[e].event, 0);
        x.w.r->yield = NULL;
        CHECK_EQ(world_unmap(&x.w, x.seven, 0).outcome, RMAP_DONE);
        x.w.r->yield = at_rest;
        x.rests = 0;
        shown = 0;
        CHECK_OK(rmap_each_swap(x.w.r, rmap_pte_swp(x.s[0]->mmu.ops->format, world_entry(x.s[0], 7)), show_all, NULL, &res));
        CHECK_EQ(x.rests, 2);
        CHECK_EQ(shown, must[e].shown - (e == 1));
        CHECK_EQ(res.outcome, must[e].incomplete ? RMAP_INCOMPLETE : RMAP_DONE);
        crowd_end();
    }
}

#endif
