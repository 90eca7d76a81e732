/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_ahead.c  A long search looks the tables of its next candidates up together: groups end where a walk rests
 * and where the kind of MMU changes, and what a fork copies meanwhile is found all the same (INV-4, INV-5).
 */
#include "support/other_thread.h"
#include "support/world.h"

#include <core/core.h>

enum { KIDS = 320, SOURCE = 290, MOST = KIDS + 4 };

static struct {
    struct world w;
    struct world_space *s[MOST];
    struct world_space *kid; /* of SOURCE, newborn */
    struct rmap_fork fork;
    struct rmap_page *page;
    void (*peek)(void *const *, size_t, rmap_vpn_t, rmap_vpn_t, struct rmap_mmu_run *);
    unsigned groups, when, kids_group; /* so far; `event` falls behind this one; that in which the kid was */
    void (*event)(void);
} x;

static void watched_peek(void *const *mmus, size_t n, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *runs)
{
    x.peek(mmus, n, vpn, end, runs);
    if (n == 1) return;
    for (size_t i = 0; i < n; i++)
        if (mmus[i] == x.kid) x.kids_group = x.groups;
    if (x.groups++ == x.when && x.event) AS_ANOTHER_THREAD(x.event());
}

/* 0 with KIDS children, page 7 in 0, SOURCE and every third of them; a child of SOURCE is in the tree without entries */
static void crowd_begin(void)
{
    memset(&x, 0, sizeof x);
    world_init(&x.w, &(struct world_options){.frames = 64});
    x.s[0] = world_space(&x.w);
    world_write(x.s[0], 7, 70);
    x.page = world_page(x.s[0], 7);
    for (unsigned i = 1; i <= KIDS; i++) {
        x.s[i] = world_fork(x.s[0]);
        if (i % 3 && i != SOURCE) world_zap(x.s[i], 7, 1);
    }
    x.kid = world_space_blank(&x.w);
    CHECK_OK(rmap_fork_begin(&x.s[SOURCE]->m, &x.kid->m, &x.kid->mmu, &x.fork));
    x.peek = x.w.ops.run_peek;
    x.w.ops.run_peek = watched_peek;
}
static unsigned mappers(void)
{
    unsigned n = world_page(x.kid, 7) == x.page;
    for (unsigned i = 0; i <= KIDS; i++) n += world_page(x.s[i], 7) == x.page;
    return n;
}
static void copy(void)
{
    CHECK_OK(rmap_fork_copy(&x.fork, 0, x.s[SOURCE]->mmu.pages, RMAP_FORK_COW));
}
static void copy_and_commit(void)
{
    copy();
    rmap_fork_commit(&x.fork);
}
static void copy_and_commit_and_zap(void)
{
    copy_and_commit();
    world_zap(x.s[SOURCE], 7, 1);
}
static void zap_one_to_come(void)
{
    world_zap(x.s[SOURCE], 7, 1);
}

static void crowd_end(void)
{
    x.event = NULL;
    if (x.fork.state) {
        if (!world_page(x.kid, 7)) copy();
        rmap_fork_commit(&x.fork);
    }
    world_space_adopt(x.kid);
    const unsigned all = mappers();
    const struct rmap_result res = world_look(&x.w, x.page);
    CHECK_EQ(res.outcome, RMAP_DONE);
    CHECK_EQ(res.hits, all);
    world_check(&x.w);
    x.w.ops.run_peek = x.peek;
    world_fini(&x.w);
}

/* Whatever falls behind a look for the tables of a group, before its entries are read */
RMAP_TEST(ahead, INV_5_a_copy_made_after_the_tables_were_looked_up_is_found)
{
    static void (*const events[])(void) = {NULL, copy, copy_and_commit, copy_and_commit_and_zap, zap_one_to_come};
    for (unsigned e = 0; e < sizeof events / sizeof *events; e++) {
        for (unsigned look = 0; look < 2; look++) {
            unsigned groups = 1;
            for (unsigned when = 0; when < groups; when++) {
                crowd_begin();
                x.event = events[e];
                x.when = when;
                const unsigned before = mappers();
                const struct rmap_result res = look ? world_look(&x.w, x.page) : world_referenced(&x.w, x.page);
                groups = x.groups;
                CHECK_LE(KIDS / RMAP_PEEK_MAX, groups);
                CHECK(x.kids_group > 0);
                const unsigned now = mappers();
                const bool fired = groups > when; /* else all were found before */
                CHECK_EQ(now, before + (fired && (e == 1 || e == 2)) - (fired && e == 4));
                /* Nobody has left but in the zaps: then what matters is whether the space was still to come. */
                const bool in_time = fired && when <= x.kids_group;
                if (!e || !fired || (in_time && e < 3)) {
                    CHECK_EQ(res.outcome, RMAP_DONE);
                    CHECK_EQ(res.hits, now);
                }
                if (e == 3 && in_time) CHECK_LE(now, res.hits); /* the source, or its child, or both */
                if (res.outcome == RMAP_DONE && !look) {
                    for (unsigned i = 0; i <= KIDS; i++)
                        if (world_page(x.s[i], 7)) CHECK(!world_attr(x.s[i], 7, RMAP_ATTR_ACCESSED));
                    if (world_page(x.kid, 7)) CHECK(!world_attr(x.kid, 7, RMAP_ATTR_ACCESSED));
                }
                crowd_end();
            }
        }
    }
}

/* 0 with 60 children, all mapping page 7, which all but 5 and 50 have not touched since it was aged: two runs are locked to clear
 * accessed, and none to look */
RMAP_TEST(ahead, S4_no_run_is_locked_where_there_is_nothing_to_do)
{
    memset(&x, 0, sizeof x);
    world_init(&x.w, &(struct world_options){.frames = 64});
    x.s[0] = world_space(&x.w);
    world_write(x.s[0], 7, 70);
    x.page = world_page(x.s[0], 7);
    for (unsigned i = 1; i <= 60; i++) x.s[i] = world_fork(x.s[0]);
    CHECK_EQ(world_referenced(&x.w, x.page).hits, 61);
    CHECK_EQ(world_read(x.s[5], 7), 70);
    CHECK_EQ(world_read(x.s[50], 7), 70);
    uint64_t before = x.w.run_locks;
    struct rmap_result res = world_look(&x.w, x.page);
    CHECK_EQ(x.w.run_locks, before);
    CHECK_EQ(res.hits, 61);
    CHECK(res.young);
    res = world_referenced(&x.w, x.page);
    CHECK_EQ(x.w.run_locks, before + 2);
    CHECK_EQ(res.hits, 61);
    CHECK(res.young);
    before = x.w.run_locks;
    res = world_referenced(&x.w, x.page);
    CHECK_EQ(x.w.run_locks, before);
    CHECK_EQ(res.hits, 61);
    CHECK(!res.young);
    CHECK_EQ(world_protect(&x.w, x.page).hits, 61); /* which promises something of each: it locks them all */
    CHECK_EQ(x.w.run_locks, before + 61);
    world_check(&x.w);
    world_fini(&x.w);
}

/* ---- MMUs of several kinds in one group ---- */

static struct rmap_mmu_ops kinds[3]; /* the world's; one that cannot be looked into; another that can */
static unsigned mixed_up, together;

static void peek_of_the_third(void *const *mmus, size_t n, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *runs)
{
    for (size_t i = 0; i < n; i++) mixed_up += ((const struct world_space *)mmus[i])->mmu.ops != &kinds[2];
    together += n > 1;
    x.peek(mmus, n, vpn, end, runs);
}

/* 0 with 60 children of three kinds, in rows of four; groups begin with 4, 20, 36, 52: with each kind. Page 7 in every second */
RMAP_TEST(ahead, spaces_of_several_kinds_of_mmu_are_not_mixed_up)
{
    memset(&x, 0, sizeof x);
    world_init(&x.w, &(struct world_options){.frames = 64});
    x.s[0] = world_space(&x.w);
    world_write(x.s[0], 7, 70);
    x.page = world_page(x.s[0], 7);
    for (unsigned k = 0; k < 3; k++) kinds[k] = x.w.ops;
    kinds[1].run_peek = NULL;
    kinds[1].run_lock = NULL;
    x.peek = kinds[2].run_peek;
    kinds[2].run_peek = peek_of_the_third;
    mixed_up = together = 0;
    unsigned expected = 1;
    for (unsigned i = 1; i <= 60; i++) {
        struct world_space *c = world_space_blank(&x.w);
        struct rmap_fork f;
        if (i / 4 % 3) c->mmu.ops = &kinds[i / 4 % 3];
        CHECK_OK(rmap_fork_begin(&x.s[0]->m, &c->m, &c->mmu, &f));
        CHECK_OK(rmap_fork_copy(&f, 0, c->mmu.pages, RMAP_FORK_COW));
        rmap_fork_commit(&f);
        x.s[i] = world_space_adopt(c);
        if (i % 2)
            world_zap(c, 7, 1);
        else
            expected++;
    }
    for (unsigned round = 0; round < 3; round++) {
        struct rmap_result res;
        if (round == 0) res = world_look(&x.w, x.page);
        if (round == 1) res = world_referenced(&x.w, x.page);
        if (round == 2) res = world_unmap(&x.w, x.page, 0);
        CHECK_EQ(res.outcome, RMAP_DONE);
        CHECK_EQ(res.hits, expected);
    }
    for (unsigned i = 0; i <= 60; i++) CHECK_EQ(world_read(x.s[i], 7), i % 2 ? 0 : 70);
    CHECK_EQ(mixed_up, 0);
    CHECK(together > 0);
    world_check(&x.w);
    world_fini(&x.w);
}
