/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_cursor.c  F4: a cursor survives that members leave, and others come, between its steps.
 *
 * Trees are drawn as `P: [A B] [C: [D]]`, an epoch in brackets with its children. Spaces are numbered as they are forked.
 */
#include "support/prng.h"
#include "unit/tiny_space.h"

#include <core/core.h>
#include <pthread.h>

#define MEMBERS 128

/* A world of tiny spaces that all may map page 0 of the first. */
struct scene {
    struct world w;
    struct tiny t[MEMBERS];
    struct rmap_page *page; /* locked, referenced */
    struct rmap_cursor c;
};

static void scene_init(struct scene *x, enum rmap_move_policy policy)
{
    memset(x, 0, sizeof *x);
    world_init(&x->w, &(struct world_options){.no_contents = true, .frames = 1024, .caps = RMAP_MMU_NO_TLB});
    tiny_init(&x->w, &x->t[0]);
    CHECK_OK(rmap_member_set_policy(&x->t[0].m, policy));
    x->page = tiny_write(&x->t[0], 0);
    rmap_page_get(x->page);
    rmap_page_lock(x->page);
}

static void scene_fini(struct scene *x)
{
    rmap_cursor_close(&x->c);
    rmap_page_unlock(x->w.r, x->page);
    rmap_page_put(x->w.r, x->page);
    world_check(&x->w);
    for (unsigned i = 0; i < MEMBERS; i++)
        if (x->t[i].m.node) tiny_exit(&x->t[i]);
    world_check(&x->w);
    world_fini(&x->w);
}

/* Space b is forked from a; `epoch`: a writes before, so that b hangs on an epoch of its own. */
static void grow(struct scene *x, unsigned a, unsigned b, bool epoch)
{
    if (epoch) tiny_write(&x->t[a], 1);
    tiny_fork(&x->t[a], &x->t[b]);
}
static void leave(struct scene *x, unsigned n)
{
    tiny_exit(&x->t[n]);
    CHECK_OK(rmap_verify(x->w.r, NULL));
}
static void begin(struct scene *x)
{
    CHECK_OK(rmap_cursor_open(x->w.r, x->page, &x->c));
}

static int next(struct scene *x)
{
    struct rmap_mapping m;
    if (!rmap_cursor_next(&x->c, &m)) return -1;
    for (int i = 0; i < MEMBERS; i++)
        if (&x->t[i].m == m.member) return i;
    TEST_FAIL("a stranger is shown");
}
/* The next spaces shown are these, in order, and then the end. */
static void check_rest(int line, struct scene *x, const int *must, unsigned n)
{
    for (unsigned i = 0; i <= n; i++) {
        int is = next(x), want = i < n ? must[i] : -1;
        if (is != want) test__fail(__FILE__, line, "shown is %d, must be %d", is, want);
    }
}
#define REST(x, ...)                                                                                                   \
    check_rest(__LINE__, x, (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))
#define REST_NONE(x) check_rest(__LINE__, x, NULL, 0)

/* ---- what it says ---- */

/* 0: [1: [3]] [2], as each_mapping; stopped early; and the words afterwards */
RMAP_TEST(cursor, shows_each_mapping_once_sources_first_and_says_how_it_ended)
{
    struct scene x;
    struct rmap_mapping m;
    scene_init(&x, RMAP_MOVE_POLICY_COPY);
    grow(&x, 0, 1, false);
    grow(&x, 0, 2, true);
    grow(&x, 1, 3, false);
    begin(&x);
    CHECK_EQ(rmap_cursor_next(&x.c, &m), 1);
    CHECK(m.member == &x.t[0].m);
    CHECK_EQ(m.vpn, 0);
    CHECK_EQ(m.entry, x.t[0].slots[0]);
    REST(&x, 1, 3, 2);
    CHECK_EQ(x.c.result.outcome, RMAP_DONE);
    CHECK_EQ(x.c.result.hits, 4);
    CHECK_EQ(x.c.result.mapcount, 4);
    CHECK_EQ(x.c.result.visits, 4);
    CHECK_EQ(rmap_cursor_next(&x.c, &m), 0);
    rmap_cursor_close(&x.c);
    CHECK_EQ(x.c.result.outcome, RMAP_DONE);
    rmap_cursor_close(&x.c);
    CHECK_EQ(rmap_cursor_next(&x.c, &m), 0);
    begin(&x);
    CHECK_EQ(next(&x), 0);
    rmap_cursor_close(&x.c);
    CHECK_EQ(x.c.result.outcome, RMAP_PARTIAL);
    CHECK_EQ(x.c.result.reason, RMAP_REASON_STOPPED);
    CHECK_EQ(rmap_cursor_next(&x.c, &m), 0);
    scene_fini(&x);
}

/* H1, H2, D5. A special page, a new one, one that is UNTRACKABLE, one that is on swap alone */
RMAP_TEST(cursor, pages_without_mappings_or_beyond_tracking_end_at_once_and_honestly)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    struct rmap_page *fresh = world_new_page(&w), stranger = {.refcount = 1};
    struct rmap_cursor c;
    struct rmap_mapping m;
    world_map_special(p, 3);
    world_write(p, 7, 1);
    struct rmap_page *page = world_page(p, 7);
    static const struct {
        enum rmap_outcome outcome;
        enum rmap_reason reason;
    } must[] = {{RMAP_INCOMPLETE, RMAP_REASON_NONE},
                {RMAP_DONE, RMAP_REASON_NONE},
                {RMAP_INCOMPLETE, RMAP_REASON_UNTRACKABLE},
                {RMAP_DONE, RMAP_REASON_NONE}};
    for (unsigned i = 0; i < 4; i++) {
        struct rmap_page *it = i == 0 ? w.special : i == 1 ? fresh : page;
        if (i == 3) CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE);
        rmap_page_lock(it);
        if (i == 2) rmap_page_set_flags(it, RMAP_PAGE_UNTRACKABLE);
        CHECK_OK(rmap_cursor_open(w.r, it, &c));
        CHECK_EQ(rmap_cursor_next(&c, &m), 0);
        rmap_cursor_close(&c);
        CHECK_EQ(c.result.outcome, must[i].outcome);
        CHECK_EQ(c.result.reason, must[i].reason);
        CHECK_EQ(c.result.hits, 0);
        rmap_page_clear_flags(it, RMAP_PAGE_UNTRACKABLE);
        rmap_page_unlock(w.r, it);
    }
    world_read(p, 7);
    page = world_page(p, 7);
    rmap_page_lock(page);
    CHECK_ERR(rmap_cursor_open(NULL, page, &c), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_cursor_open(w.r, NULL, &c), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_cursor_open(w.r, page, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_cursor_open(w.r, &stranger, &c), RMAP_ERR_UNKNOWN_PAGE);
    CHECK_ERR(rmap_cursor_next(NULL, &m), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_cursor_next(&c, NULL), RMAP_ERR_NULL_ARG);
    w.alloc.fail_at = w.alloc.calls + 1;
    CHECK_ERR(rmap_cursor_open(w.r, page, &c), RMAP_ERR_NOMEM);
    w.alloc.fail_at = 0;
    rmap_cursor_close(&c); /* after an error, too */
    rmap_cursor_close(NULL);
    rmap_page_unlock(w.r, page);
    rmap_page_put(w.r, fresh);
    world_check(&w);
    world_fini(&w);
}

/* 0: [1 2]. 1 leaves after it was shown: two hits, one mapping less than there were; 2 leaves before it is */
RMAP_TEST(cursor, the_outcome_compares_hits_with_what_is_mapped_at_the_end)
{
    for (unsigned after = 0; after < 2; after++) {
        struct scene x;
        scene_init(&x, RMAP_MOVE_POLICY_COPY);
        grow(&x, 0, 1, false);
        grow(&x, 0, 2, false);
        begin(&x);
        CHECK_EQ(next(&x), 0);
        CHECK_EQ(next(&x), 1);
        leave(&x, after ? 1 : 2);
        if (after)
            REST(&x, 2);
        else
            REST_NONE(&x);
        CHECK_EQ(x.c.result.outcome, after ? RMAP_INCOMPLETE : RMAP_DONE);
        CHECK_EQ(x.c.result.mapcount, 3);
        scene_fini(&x);
    }
}

/* ---- who leaves while the cursor is where ---- */

/* 0: [1 2 3]. At 2, then 2 goes, then 1 goes, which the position named as done, then 3 is left */
RMAP_TEST(cursor, F4_the_space_just_shown_and_the_ones_before_it_leave)
{
    struct scene x;
    scene_init(&x, RMAP_MOVE_POLICY_COPY);
    for (unsigned i = 1; i < 4; i++) grow(&x, 0, i, false);
    begin(&x);
    for (int i = 0; i < 3; i++) CHECK_EQ(next(&x), i);
    leave(&x, 2);
    leave(&x, 1);
    grow(&x, 0, 4, false);
    REST(&x, 3, 4);
    scene_fini(&x);
}

/* 0: [1 2: [3]] …; at 3, which goes; 2 goes and is no node any more (2 is done), 1 done; 4 is to come */
RMAP_TEST(cursor, F4_a_done_sibling_is_replaced_by_its_child)
{
    struct scene x;
    scene_init(&x, RMAP_MOVE_POLICY_COPY);
    grow(&x, 0, 1, false);
    grow(&x, 0, 2, false);
    grow(&x, 0, 4, false);
    grow(&x, 1, 3, false); /* 0: [1: [3] 2 4] */
    begin(&x);
    CHECK_EQ(next(&x), 0);
    CHECK_EQ(next(&x), 1);
    CHECK_EQ(next(&x), 3);
    CHECK_EQ(next(&x), 2);
    leave(&x, 2); /* the position: in 0, behind 1 */
    leave(&x, 1); /* behind 3, which takes its place */
    REST(&x, 4);
    scene_fini(&x);
}

/* 0: [1] [2] [3]. At 1 it goes, its epoch joins that of 2; at 2 likewise; new ones come behind */
RMAP_TEST(cursor, F4_the_epoch_at_the_position_is_absorbed)
{
    struct scene x;
    scene_init(&x, RMAP_MOVE_POLICY_COPY);
    for (unsigned i = 1; i < 4; i++) grow(&x, 0, i, true);
    begin(&x);
    CHECK_EQ(next(&x), 0);
    CHECK_EQ(next(&x), 1);
    leave(&x, 1);
    CHECK_EQ(next(&x), 2);
    leave(&x, 2);
    grow(&x, 0, 4, true);
    REST(&x, 3, 4);
    scene_fini(&x);
}

/* 0: [1: [2: [3]]]. At 0 it goes, its child takes its place unseen; then that goes, too, and then the last */
RMAP_TEST(cursor, F4_the_child_that_takes_the_place_is_still_to_come)
{
    for (unsigned last = 0; last < 2; last++) {
        struct scene x;
        scene_init(&x, RMAP_MOVE_POLICY_COPY);
        for (unsigned i = 1; i < 4; i++) grow(&x, i - 1, i, false);
        begin(&x);
        CHECK_EQ(next(&x), 0);
        leave(&x, 0);
        leave(&x, 1);
        leave(&x, 2);
        if (last) {
            leave(&x, 3);
            CHECK_EQ(rmap_page_mapcount(x.page), 0);
            REST_NONE(&x);
            CHECK_EQ(x.c.result.outcome, RMAP_INCOMPLETE); /* one hit, and nothing is mapped */
        } else {
            REST(&x, 3);
        }
        scene_fini(&x);
    }
}

/* 0: [1: [2 3] 4] or 0: [1: [2] [3] 4], 1 has exited. At 3, the last of 1's, it goes: 2, done, takes the place of 1 */
RMAP_TEST(cursor, F4_the_child_that_takes_the_place_was_shown_already)
{
    for (unsigned epochs = 0; epochs < 2; epochs++) {
        struct scene x;
        scene_init(&x, RMAP_MOVE_POLICY_COPY);
        grow(&x, 0, 1, false);
        grow(&x, 0, 4, false);
        grow(&x, 1, 2, false);
        grow(&x, 1, 3, epochs);
        leave(&x, 1);
        begin(&x);
        CHECK_EQ(next(&x), 0);
        CHECK_EQ(next(&x), 2);
        CHECK_EQ(next(&x), 3);
        leave(&x, 3);
        REST(&x, 4);
        CHECK_EQ(x.c.result.outcome, RMAP_INCOMPLETE);
        scene_fini(&x);
    }
}

/* The same where 1 is the top of all candidates, and no root: the page is owned by 1. Behind 2 there is nothing, 4 is none */
RMAP_TEST(cursor, F4_the_top_goes_when_its_last_child_was_shown)
{
    for (unsigned root = 0; root < 2; root++) {
        struct scene x;
        scene_init(&x, RMAP_MOVE_POLICY_COPY);
        grow(&x, 0, 1, false);
        if (!root) grow(&x, 0, 4, false);
        rmap_page_unlock(x.w.r, x.page);
        rmap_page_put(x.w.r, x.page);
        x.page = tiny_write(&x.t[1], 0);
        rmap_page_get(x.page);
        rmap_page_lock(x.page);
        grow(&x, 1, 2, false);
        grow(&x, 1, 3, false);
        if (root) leave(&x, 0);
        leave(&x, 1);
        begin(&x);
        CHECK_EQ(next(&x), 2);
        CHECK_EQ(next(&x), 3);
        leave(&x, 3);
        REST_NONE(&x);
        scene_fini(&x);
    }
}

/* 0: [1 2], 0 has exited, the page is 2's. At 2, which goes, and its epochs: no candidate is left, and 1 becomes the root */
RMAP_TEST(cursor, F4_all_candidates_go_and_then_the_root)
{
    struct scene x;
    scene_init(&x, RMAP_MOVE_POLICY_COPY);
    grow(&x, 0, 1, false);
    grow(&x, 0, 2, false);
    rmap_page_unlock(x.w.r, x.page);
    rmap_page_put(x.w.r, x.page);
    x.page = tiny_write(&x.t[2], 0);
    rmap_page_get(x.page);
    rmap_page_lock(x.page);
    leave(&x, 0);
    begin(&x);
    CHECK_EQ(next(&x), 2);
    leave(&x, 2);
    grow(&x, 1, 3, false);
    REST_NONE(&x);
    scene_fini(&x);
}

/* 8 kids of 0. Shown one, the caller ages the page: found in three of them, its owner moves down; the others leave */
RMAP_TEST(cursor, the_owner_may_be_tightened_while_the_cursor_is_open)
{
    struct scene x;
    struct rmap_result res;
    scene_init(&x, RMAP_MOVE_POLICY_COPY);
    for (unsigned i = 1; i < 9; i++) grow(&x, 0, i, false);
    grow(&x, 5, 9, false);
    for (unsigned i = 0; i < 9; i++)
        if (i != 5) tiny_zap(&x.t[i], 0);
    begin(&x);
    CHECK_EQ(next(&x), 5);
    CHECK_OK(rmap_referenced(x.w.r, &x.page, 1, 0, &res));
    CHECK_EQ(res.tightened, 1);
    for (unsigned i = 0; i < 9; i++)
        if (i != 5) leave(&x, i);
    grow(&x, 5, 10, false); /* a fork frees the tags that nobody refers to */
    REST(&x, 9, 10);
    CHECK_EQ(x.c.result.outcome, RMAP_DONE);
    scene_fini(&x);
}

/* ---- at random, against an oracle ---- */

#define CURSORS 3
#define PAGES 2 /* cursor c is on page c % PAGES */

struct game {
    struct world w;
    struct prng rng;
    struct tiny t[MEMBERS];
    struct rmap_page *page[PAGES];
    struct rmap_cursor c[CURSORS];
    bool open[CURSORS];
    bool shown[CURSORS][MEMBERS];   /* since its cursor was opened */
    bool covered[CURSORS][MEMBERS]; /* not shown itself, but its source was, before the copy */
    unsigned alive;
};
static struct {
    unsigned long long shown, exits, forks, zaps, tightened, cursors;
} sums;

static int place_of(const struct game *g, unsigned n, unsigned p)
{
    const struct rmap_pte_format *f = rmap_radix_soft.format;
    for (int v = 0; g->t[n].m.node && v < TINY_PAGES; v++) {
        rmap_pte_t e = g->t[n].slots[v];
        if (rmap_pte_maps(f, e) && rmap_pte_pfn(f, e) == rmap_page_pfn(g->w.r, g->page[p])) return v;
    }
    return -1;
}

static unsigned any(struct game *g)
{
    unsigned n = (unsigned)prng_below(&g->rng, MEMBERS);
    while (!g->t[n].m.node) n = (n + 1) % MEMBERS;
    return n;
}

static void forget(struct game *g, unsigned n)
{
    for (unsigned c = 0; c < CURSORS; c++) g->shown[c][n] = g->covered[c][n] = false;
}

static void game_fork(struct game *g)
{
    unsigned a = any(g), b = 0;
    while (b < MEMBERS && g->t[b].m.node) b++;
    if (b == MEMBERS) return;
    if (prng_chance(&g->rng, 1, 3)) tiny_write(&g->t[a], 15);
    memset(&g->t[b], 0, sizeof g->t[b]);
    tiny_fork(&g->t[a], &g->t[b]);
    forget(g, b);
    for (unsigned c = 0; c < CURSORS; c++) g->covered[c][b] = g->shown[c][a] || g->covered[c][a];
    g->alive++;
    sums.forks++;
}

static void game_exit(struct game *g, unsigned n)
{
    tiny_exit(&g->t[n]);
    forget(g, n);
    g->alive--;
    sums.exits++;
}

/* Pages 0 and 1 move about in spaces that track. Not while a cursor holds their locks. */
static void game_move(struct game *g)
{
    unsigned n = any(g), to = 2 + (unsigned)prng_below(&g->rng, 13);
    int from = place_of(g, n, (unsigned)prng_below(&g->rng, PAGES));
    if (from < 0 || g->t[n].slots[to]) return;
    CHECK_OK(rmap_move(&g->t[n].m, (rmap_vpn_t)from, to, 1, NULL));
}

static void game_begin(struct game *g, uint64_t seed)
{
    memset(g, 0, sizeof *g);
    prng_init(&g->rng, seed);
    world_init(&g->w, &(struct world_options){.no_contents = true, .frames = 1024, .caps = RMAP_MMU_NO_TLB});
    tiny_init(&g->w, &g->t[0]);
    CHECK_OK(rmap_member_set_policy(&g->t[0].m, RMAP_MOVE_POLICY_TRACK));
    g->alive = 1;
    for (unsigned p = 0; p < PAGES; p++) rmap_page_get(g->page[p] = tiny_write(&g->t[0], p));
    while (g->alive < 50) {
        game_fork(g);
        if (prng_chance(&g->rng, 1, 4)) game_move(g);
        if (prng_chance(&g->rng, 1, 6)) game_exit(g, any(g));
        if (!g->alive) break;
    }
    for (unsigned p = 0; p < PAGES; p++) CHECK(rmap_page_try_lock(g->page[p]));
}

static void game_next(struct game *g, unsigned c)
{
    struct rmap_mapping m;
    if (!g->open[c]) {
        CHECK_OK(rmap_cursor_open(g->w.r, g->page[c % PAGES], &g->c[c]));
        g->open[c] = true;
        memset(g->shown[c], 0, sizeof g->shown[c]);
        memset(g->covered[c], 0, sizeof g->covered[c]);
        sums.cursors++;
        return;
    }
    if (rmap_cursor_next(&g->c[c], &m)) {
        unsigned n = 0;
        while (n < MEMBERS && &g->t[n].m != m.member) n++;
        CHECK(n < MEMBERS);
        CHECK_EQ(place_of(g, n, c % PAGES), m.vpn);
        CHECK(!g->shown[c][n]); /* nothing twice */
        g->shown[c][n] = true;
        sums.shown++;
        return;
    }
    for (unsigned n = 0; n < MEMBERS; n++) /* everything that is there */
        if (place_of(g, n, c % PAGES) >= 0 && !g->shown[c][n] && !g->covered[c][n])
            TEST_FAIL("cursor %u ends without space %u", c, n);
    const struct rmap_result *res = &g->c[c].result;
    const uint32_t mapped = rmap_page_mapcount(g->page[c % PAGES]);
    CHECK_EQ(res->outcome, mapped == res->hits ? RMAP_DONE : RMAP_INCOMPLETE);
    rmap_cursor_close(&g->c[c]);
    g->open[c] = false;
}

static void game_step(struct game *g)
{
    struct rmap_result res;
    unsigned p = (unsigned)prng_below(&g->rng, PAGES), n = g->alive ? any(g) : 0;
    const uint64_t what = g->alive ? prng_below(&g->rng, 100) : 99;
    if (what < 12) {
        game_fork(g);
    } else if (what < 24) {
        game_exit(g, n);
    } else if (what < 34) {
        int v = place_of(g, n, p);
        if (v >= 0) tiny_zap(&g->t[n], (rmap_vpn_t)v);
        for (unsigned c = p; v >= 0 && c < CURSORS; c += PAGES) g->shown[c][n] = g->covered[c][n] = false;
        sums.zaps += v >= 0;
    } else if (what < 37) {
        CHECK_OK(rmap_referenced(g->w.r, &g->page[p], 1, 0, &res));
        CHECK_EQ(res.outcome, RMAP_DONE);
        sums.tightened += res.tightened;
    } else {
        game_next(g, (unsigned)prng_below(&g->rng, CURSORS));
    }
}

/* SEED=n replays a game, OPS is the number of steps */
RMAP_TEST(cursor, F4_three_cursors_at_once_agree_with_an_oracle_while_spaces_come_and_go)
{
    static struct game g;
    const char *text = getenv("OPS");
    uint64_t seed = prng_seed_of_run(20040401), steps = text && *text ? strtoull(text, NULL, 0) : 60000;
    while (steps) {
        uint64_t n = steps < 300 ? steps : 300;
        game_begin(&g, seed++);
        for (uint64_t i = 0; i < n; i++) game_step(&g);
        CHECK_OK(rmap_verify(g.w.r, NULL));
        for (unsigned c = 0; c < CURSORS; c++) rmap_cursor_close(&g.c[c]);
        for (unsigned p = 0; p < PAGES; p++) {
            rmap_page_unlock(g.w.r, g.page[p]);
            rmap_page_put(g.w.r, g.page[p]);
        }
        while (g.alive) game_exit(&g, any(&g));
        world_fini(&g.w);
        steps -= n;
    }
    fprintf(stderr, "cursors %llu, shown %llu, exits %llu, forks %llu, zaps %llu, tightened %llu\n", sums.cursors,
            sums.shown, sums.exits, sums.forks, sums.zaps, sums.tightened);
}

/* ---- many members: the group lock is given away every 256 ---- */

#define CROWD 600

static struct {
    struct scene *x;
    struct rmap_mmu_ops ops;
    int (*run_find)(void *, rmap_vpn_t, rmap_vpn_t, struct rmap_mmu_run *); /* the spaces' own */
    struct tiny *crowd, *leaver, *parent, *fresh;
    pthread_t looker, thread;
    unsigned looks; /* of the looker */
    _Atomic bool done;
} crowd;

static void *leave_and_come(void *arg)
{
    (void)arg; /* whichever section is first is asked for while the cursor holds the lock */
    if (crowd.leaver) tiny_exit(crowd.leaver);
    if (crowd.fresh) {
        struct rmap_fork f;
        struct rmap_mmu mmu = tiny_mmu(crowd.fresh);
        mmu.ops = crowd.parent->m.mmu.ops;
        if (rmap_fork_begin(&crowd.parent->m, &crowd.fresh->m, &mmu, &f) || rmap_fork_copy(&f, 0, TINY_PAGES, 0))
            abort();
        rmap_fork_commit(&f);
    }
    crowd.done = true;
    return NULL;
}

/* Before the step's end somebody waits for the exclusive lock; behind it he has had it. */
static int watched_find(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    if (!pthread_equal(pthread_self(), crowd.looker)) return crowd.run_find(mmu, vpn, end, run);
    if (++crowd.looks == 256) {
        struct rmap__group *g = rmap__member_group(&crowd.crowd[0].m);
        CHECK(!crowd.done);
        CHECK_EQ(pthread_create(&crowd.thread, NULL, leave_and_come, NULL), 0);
        while (!pthread_rwlock_tryrdlock(&g->lock)) pthread_rwlock_unlock(&g->lock); /* refused once a writer waits */
    } else if (crowd.looks == 257) {
        CHECK_EQ(pthread_join(crowd.thread, NULL), 0);
    }
    return crowd.run_find(mmu, vpn, end, run);
}

/* 0: [1 … 599], mapped by 599 alone. In the midst of one rmap_cursor_next, between two steps, 255, at the position, exits (or
 * 599 forks 600) */
RMAP_TEST(cursor, F2_F4_the_group_lock_is_given_away_in_a_long_search)
{
    for (unsigned fork = 0; fork < 2; fork++) {
        struct world w;
        struct rmap_cursor c;
        struct rmap_mapping m;
        world_init(&w, &(struct world_options){.no_contents = true, .frames = 16, .caps = RMAP_MMU_NO_TLB});
        struct tiny *t = calloc(CROWD + 1, sizeof *t);
        crowd.crowd = t;
        crowd.ops = *tiny_mmu(&t[0]).ops;
        crowd.run_find = crowd.ops.run_find;
        crowd.ops.run_find = watched_find;
        crowd.done = false;
        crowd.leaver = fork ? NULL : &t[255];
        crowd.parent = &t[CROWD - 1];
        crowd.fresh = fork ? &t[CROWD] : NULL;
        tiny_init(&w, &t[0]);
        struct rmap_page *page = tiny_write(&t[0], 0);
        for (unsigned i = 1; i < CROWD; i++) tiny_fork(&t[0], &t[i]);
        for (unsigned i = 0; i + 1 < CROWD; i++) tiny_zap(&t[i], 0);
        for (unsigned i = 0; i < CROWD; i++) t[i].m.mmu.ops = &crowd.ops;
        rmap_page_lock(page);
        CHECK_OK(rmap_cursor_open(w.r, page, &c));
        crowd.looker = pthread_self();
        crowd.looks = 0;
        CHECK_EQ(rmap_cursor_next(&c, &m), 1);
        CHECK(m.member == &t[CROWD - 1].m);
        CHECK(crowd.done);
        CHECK_EQ(rmap_cursor_next(&c, &m), fork);
        if (fork) CHECK(m.member == &t[CROWD].m);
        if (fork) CHECK_EQ(rmap_cursor_next(&c, &m), 0);
        CHECK_EQ(c.result.visits, CROWD + fork);
        CHECK_EQ(c.result.outcome, RMAP_DONE);
        rmap_cursor_close(&c);
        rmap_page_unlock(w.r, page);
        for (unsigned i = 0; i <= CROWD; i++)
            if (t[i].m.node) tiny_exit(&t[i]);
        free(t);
        world_fini(&w);
    }
}
