/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_model.c  The counter-examples of the fork tree's model: one test for each rule that keeps it safe.
 *
 * Names R1 … R4 are those of the model's regressions, the others its rules. Where a rule is about two things that
 * happen at once, a hook of the MMU makes the second one happen in the middle of the first. See also test_schedules.c.
 */
#include "support/world.h"

#include <core/core.h>

#define BIT(s) ((uint64_t)1 << (s)->number)

/* Where the page's owner tag leads to. */
static const struct rmap__epoch *epoch_of(const struct rmap_page *page)
{
    return rmap__tag_find(rmap__owner_tag(rmap_page_owner(page)))->epoch;
}

static unsigned epochs_of(const struct world_space *s)
{
    unsigned n = 0;
    const struct rmap__epoch *e;
    TAILQ_FOREACH(e, &s->m.node->epochs, link) n++;
    return n;
}

/* ---- something happens while a walk or a fork is under way ---- */

static struct {
    int (*run_find)(void *, rmap_vpn_t, rmap_vpn_t, struct rmap_mmu_run *); /* the world's own */
    struct world_space *after; /* once this space has been looked into … */
    void (*happens)(void);     /* … this happens, once */
    void (*run_unlock)(void *, struct rmap_mmu_run *);
    void (*run_peek)(void *const *, size_t, rmap_vpn_t, rmap_vpn_t, struct rmap_mmu_run *);
    struct world_space *zapped;
    struct rmap_fork *fork;
} hook;

static void hook_fire(const struct world_space *s)
{
    if (s != hook.after || s->w->runs) return;
    hook.after = NULL;
    hook.happens();
}
static int hook_find(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    int err = hook.run_find(mmu, vpn, end, run);
    if (err) hook_fire(mmu);
    return err;
}
static void hook_peek(void *const *mmus, size_t n, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *runs)
{
    for (size_t i = 0; i < n; i++) {
        hook.run_peek(&mmus[i], 1, vpn, end, &runs[i]);
        if (!runs[i].count) hook_fire(mmus[i]);
    }
}
static void hook_unlock(void *mmu, struct rmap_mmu_run *run)
{
    hook.run_unlock(mmu, run);
    hook_fire(mmu);
}
static void happens_after(struct world_space *visited, void (*what)(void))
{
    struct world *w = visited->w;
    if (w->ops.run_find != hook_find) {
        hook.run_find = w->ops.run_find;
        hook.run_unlock = w->ops.run_unlock;
        hook.run_peek = w->ops.run_peek;
        w->ops.run_find = hook_find;
        w->ops.run_peek = hook_peek;
        w->ops.run_unlock = hook_unlock;
    }
    hook.after = visited;
    hook.happens = what;
}
static void zap_it(void)
{
    world_zap(hook.zapped, 0, 1);
}
static void finish_fork(void)
{
    CHECK_OK(rmap_fork_copy(hook.fork, 0, hook.fork->parent->mmu.pages, RMAP_FORK_COW));
    rmap_fork_commit(hook.fork);
}
static void finish_fork_and_zap(void)
{
    finish_fork();
    zap_it();
}

static struct world_space *fork_begin(struct world_space *s, struct rmap_fork *f)
{
    struct world_space *kid = world_space_blank(s->w);
    CHECK_OK(rmap_fork_begin(&s->m, &kid->m, &kid->mmu, f));
    hook.fork = f;
    return kid;
}
/* ---- references keep an epoch closed to younger children ---- */

/*  A: [B: [C]]  0 of A, 1 of B, 2 of C; B exits: 1 becomes C's by alias; C zaps 2; C forks D */
RMAP_TEST(model, R1_A13_a_page_that_came_with_a_dead_parent_counts_for_the_childs_epoch)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *a = world_space(&w);
    world_write(a, 0, 1);
    struct world_space *b = world_fork(a);
    world_write(b, 1, 2);
    struct world_space *c = world_fork(b);
    world_write(c, 2, 3);
    world_exit(b);
    world_zap(c, 2, 1);
    struct world_space *d = world_fork(c);
    world_check(&w);
    CHECK_EQ(world_mappers(&w, world_page(c, 1)), BIT(c) | BIT(d));
    CHECK_EQ(world_mappers(&w, world_page(c, 0)), BIT(a) | BIT(c) | BIT(d));
    world_fini(&w);
}

/*  A: [E] [F] [open: 2]; F exits, 2 goes: only 1's alias is left on the open epoch; A forks G */
RMAP_TEST(model, R1b_A13_alias_references_alone_close_the_open_epoch)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *a = world_space(&w);
    world_write(a, 0, 1);
    world_fork(a);
    world_write(a, 1, 1);
    struct world_space *f = world_fork(a);
    world_write(a, 2, 1);
    world_exit(f);
    world_zap(a, 2, 1);
    CHECK_EQ(epochs_of(a), 2);
    struct rmap__tag *own = rmap__owner_tag(rmap_page_owner(world_page(a, 1)));
    CHECK(rmap__tag_find(own) == TAILQ_LAST(&a->m.node->epochs, rmap__epochs)->tag);
    struct world_space *g = world_fork(a);
    CHECK_EQ(epochs_of(a), 3);
    world_check(&w);
    CHECK_EQ(world_mappers(&w, world_page(a, 1)), BIT(a) | BIT(g));
    world_fini(&w);
}

/* C10.  A: [B]; 1 of B, on the device; B forks C (only the slot refers to B's open epoch); C faults first, then B */
RMAP_TEST(model, R2_C10_entirely_on_swap_forks_and_the_child_faults_first)
{
    for (unsigned cached = 0; cached < 2; cached++) {
        struct world w;
        world_init(&w, NULL);
        struct world_space *a = world_space(&w);
        world_write(a, 0, 1);
        struct world_space *b = world_fork(a);
        world_fork(b);
        world_zap(b, 0, 1);
        world_write(b, 1, 7);
        if (cached)
            CHECK_EQ(world_unmap(&w, world_page(b, 1), 0).outcome, RMAP_DONE);
        else
            CHECK(world_swap_out(&w, world_page(b, 1)));
        struct world_space *c = world_fork(b);
        CHECK_EQ(epochs_of(b), 3);
        world_check(&w);
        CHECK_EQ(world_read(c, 1), 7);
        world_check(&w);
        CHECK_EQ(world_mappers(&w, world_page(c, 1)), BIT(c));
        CHECK_EQ(world_read(b, 1), 7);
        world_check(&w);
        CHECK(world_page(b, 1) == world_page(c, 1));
        CHECK_EQ(world_mappers(&w, world_page(b, 1)), BIT(b) | BIT(c));
        world_fini(&w);
    }
}

/* ---- STABLE ---- */

/* A14.  S: [X: [Y]], all map 0. S is hit, then zaps; X is hit: two hits, count 2, but Y was never seen */
RMAP_TEST(model, R3_A14_a_count_that_matches_by_a_mapper_that_left_does_not_end_the_walk)
{
    for (unsigned verb = 0; verb < 2; verb++) {
        struct world w;
        world_init(&w, NULL);
        struct world_space *s = world_space(&w);
        world_write(s, 0, 1);
        struct world_space *x = world_fork(s), *y = world_fork(x);
        struct rmap_page *page = world_page(s, 0);
        hook.zapped = s;
        happens_after(s, zap_it);
        struct rmap_result res = verb ? world_protect(&w, page) : world_referenced(&w, page);
        CHECK_EQ(res.visits, 3);
        CHECK_EQ(res.hits, 3);
        CHECK_EQ(res.outcome, RMAP_INCOMPLETE);
        CHECK_EQ(res.tightened, 0);
        CHECK_EQ(world_mappers(&w, page), BIT(x) | BIT(y));
        world_check(&w);
        world_fini(&w);
    }
}

/* ---- swap: widening, and nothing but widening ---- */

/* INV-8.  A: [B], 0 on swap in both, cached; B reads: it is B's; A reads, the last entry: the page is now in both */
RMAP_TEST(model, R4_the_last_swap_entry_does_not_take_the_page_away_from_those_who_map_it)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *a = world_space(&w);
    world_write(a, 0, 1);
    struct world_space *b = world_fork(a);
    struct rmap_page *page = world_page(a, 0);
    CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE);
    CHECK_EQ(world_read(b, 0), 1);
    CHECK_EQ(rmap_page_owner(page), rmap_member_home(&b->m)); /* C9: the first is at home */
    world_check(&w);
    CHECK_EQ(world_read(a, 0), 1);
    world_check(&w);
    CHECK(rmap_member_is_candidate(&b->m, page));
    CHECK_EQ(world_mappers(&w, page), BIT(a) | BIT(b));
    world_fini(&w);
}

/* C9, widening.  A: [B] [C: [D]], 0 on swap in all; D reads, then B, then A, then C: after each the page is found in
 * all so far */
RMAP_TEST(model, a_later_mapper_from_swap_widens_the_owner_before_it_maps)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *a = world_space(&w);
    world_write(a, 0, 1);
    struct world_space *b = world_fork(a), *c = world_fork(a), *d = world_fork(c), *order[4] = {d, b, a, c};
    struct rmap_page *page = world_page(a, 0);
    uint64_t mapped = 0;
    CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_EQ(world_read(order[i], 0), 1);
        mapped |= BIT(order[i]);
        world_check(&w);
        CHECK(world_page(order[i], 0) == page);
        CHECK_EQ(world_mappers(&w, page), mapped);
    }
    world_fini(&w);
}

/* ---- the forking mark ---- */

/*  R (gave 0 up): [S]; S is being forked: a search wastes a step at R and finds S alone; then the child gets a copy */
RMAP_TEST(model, A15_a_page_is_not_tightened_to_the_open_epoch_of_a_space_that_is_forking)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *r = world_space(&w);
    world_write(r, 0, 1);
    struct world_space *s = world_fork(r);
    world_zap(r, 0, 1);
    struct rmap_page *page = world_page(s, 0);
    struct rmap_fork f;
    struct world_space *kid = fork_begin(s, &f);
    struct rmap_result res = world_referenced(&w, page);
    CHECK_EQ(res.outcome, RMAP_DONE);
    CHECK_EQ(res.visits, 2);
    CHECK_EQ(res.tightened, 1);
    CHECK_EQ(rmap_page_owner(page), rmap_member_home(&s->m));
    CHECK(rmap_member_is_candidate(&kid->m, page)); /* before it maps anything */
    finish_fork();
    world_space_adopt(kid);
    world_check(&w);
    CHECK_EQ(world_mappers(&w, page), BIT(s) | BIT(kid));
    world_fini(&w);
}

/* The same, but the copy is made, the fork ends and S unmaps between S's visit and the end of the walk */
RMAP_TEST(model, A15_the_forking_mark_is_sampled_at_the_hit_and_not_later)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *r = world_space(&w);
    world_write(r, 0, 1);
    struct world_space *s = world_fork(r);
    world_zap(r, 0, 1);
    struct rmap_page *page = world_page(s, 0);
    struct rmap_fork f;
    struct world_space *kid = fork_begin(s, &f);
    hook.zapped = s;
    happens_after(s, finish_fork_and_zap);
    struct rmap_result res = world_referenced(&w, page);
    world_space_adopt(kid);
    CHECK_EQ(res.outcome, RMAP_DONE); /* to the child's fork source, before it was copied */
    CHECK_EQ(res.hits, 1);
    CHECK_EQ(res.tightened, 1);
    CHECK(rmap_member_is_candidate(&kid->m, page));
    world_check(&w);
    CHECK_EQ(world_mappers(&w, page), BIT(kid));
    world_fini(&w);
}

/* ---- a fork's child is in the tree before its first entry, and its counts are before its entries ---- */

/* INV-4.  S, pages 0 and 1000; the child is a candidate before any copy; after each copy all mappings are found */
RMAP_TEST(model, A7_the_child_is_in_the_tree_before_its_first_entry)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space(&w);
    world_write(s, 0, 1);
    world_write(s, 1000, 2);
    struct rmap_page *page[2] = {world_page(s, 0), world_page(s, 1000)};
    uint64_t mappers;
    struct rmap_fork f;
    struct world_space *kid = fork_begin(s, &f);
    kid->number = 63;
    for (unsigned copied = 0; copied <= 2; copied++) {
        if (copied) CHECK_OK(rmap_fork_copy(&f, copied == 1 ? 0 : 1000, 1, RMAP_FORK_COW));
        for (unsigned i = 0; i < 2; i++) {
            CHECK(rmap_member_is_candidate(&kid->m, page[i]));
            struct rmap_result res = world_each(&w, page[i], &mappers);
            CHECK_EQ(res.outcome, RMAP_DONE);
            CHECK_EQ(mappers, BIT(s) | (i < copied ? BIT(kid) : 0));
        }
    }
    rmap_fork_commit(&f);
    world_space_adopt(kid);
    world_check(&w);
    world_fini(&w);
}

static struct {
    struct world *w;
    struct world_space *kid; /* not yet known to the world */
    rmap_pte_t (*exchange)(void *, const struct rmap_mmu_run *, uint32_t, rmap_pte_t);
    void (*set)(void *, const struct rmap_mmu_run *, uint32_t, rmap_pte_t);
    unsigned entries; /* watched so far */
} counts;

/* INV-2 and INV-3 at any moment: no more entries than counted. The entry is in its place already. */
static void watch_counts(const struct world_space *s, rmap_vpn_t vpn, rmap_pte_t e)
{
    const struct rmap_pte_format *f = s->mmu.ops->format;
    bool swap = rmap_pte_kind(f, e) == RMAP_PTE_SWAP;
    if (!swap && !rmap_pte_maps(f, e)) return;
    uint32_t n = 0, counted;
    for (size_t i = 0; i <= counts.w->space_count; i++) {
        struct world_space *o = i < counts.w->space_count ? counts.w->spaces[i] : counts.kid;
        if (!o) continue;
        rmap_pte_t other = world_entry(o, vpn);
        if (swap ? rmap_pte_kind(f, other) == RMAP_PTE_SWAP && rmap_pte_swp(f, other) == rmap_pte_swp(f, e)
                 : rmap_pte_maps(f, other) && rmap_pte_pfn(f, other) == rmap_pte_pfn(f, e))
            n++;
    }
    if (swap)
        counted = rmap_swap_get_ops()->count(counts.w->swap, rmap_pte_swp(f, e));
    else
        counted = rmap_page_mapcount(rmap_page_find(counts.w->r, rmap_pte_pfn(f, e)));
    if (n > counted) world_broken(counts.w, "%u entries like the one at vpn %u, %u counted", n, (unsigned)vpn, counted);
    counts.entries++;
}
static rmap_pte_t watched_exchange(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    rmap_pte_t old = counts.exchange(mmu, run, i, e);
    watch_counts(mmu, run->first + i, e);
    return old;
}
static void watched_set(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    counts.set(mmu, run, i, e);
    watch_counts(mmu, run->first + i, e);
}

/* S: 0 present, 1 on swap; forked, unmapped, read back, moved: whenever an entry is set, the count was there before */
RMAP_TEST(model, counts_are_raised_before_entries_are_set)
{
    struct world w;
    world_init(&w, &(struct world_options){.no_slots = true});
    struct world_space *s = world_space(&w);
    world_write(s, 0, 1);
    world_write(s, 1, 2);
    CHECK(world_swap_out(&w, world_page(s, 1)));
    counts.w = &w;
    counts.exchange = w.ops.exchange;
    counts.set = w.ops.set;
    w.ops.exchange = watched_exchange;
    w.ops.set = watched_set;
    struct rmap_fork f;
    counts.kid = fork_begin(s, &f);
    CHECK_OK(rmap_fork_copy(&f, 0, s->mmu.pages, RMAP_FORK_COW));
    CHECK_STR(w.broken, "");
    CHECK_EQ(counts.entries, 3); /* S's without write, the child's two */
    rmap_fork_commit(&f);
    struct world_space *kid = counts.kid;
    world_space_adopt(kid);
    counts.kid = NULL;
    CHECK_EQ(world_unmap(&w, world_page(s, 0), 0).outcome, RMAP_DONE);
    for (rmap_vpn_t vpn = 0; vpn < 2; vpn++) {
        CHECK_EQ(world_read(kid, vpn), 1 + vpn);
        CHECK_EQ(world_read(s, vpn), 1 + vpn);
    }
    world_move(s, 0, 100, 2);
    CHECK_EQ(world_unmap(&w, world_page(kid, 1), 0).outcome, RMAP_DONE);
    world_move(kid, 0, 200, 2);
    world_zap(s, 0, s->mmu.pages);
    world_check(&w);
    counts.w = NULL;
    world_fini(&w);
}

/* ---- source before target ---- */

/*  R (gave 0 up): [S], S forking. S is visited (hit), then the copy is made and S unmaps: the child, visited next,
 * has it */
RMAP_TEST(model, INV4_a_mapping_that_is_copied_during_a_walk_is_met_at_its_source_or_in_the_child)
{
    for (unsigned where = 0; where < 2; where++) {
        struct world w;
        world_init(&w, NULL);
        struct world_space *r = world_space(&w);
        world_write(r, 0, 1);
        struct world_space *s = world_fork(r);
        struct rmap_page *page = world_page(s, 0);
        struct rmap_fork f;
        struct world_space *kid = fork_begin(s, &f);
        hook.zapped = s;
        happens_after(where ? s : r, finish_fork_and_zap); /* before S is looked into, or just after */
        struct rmap_result res = world_unmap(&w, page, 0);
        world_space_adopt(kid);
        /* R, S, child: found in R and S before the copy (the child then has a swap entry), or in R and the child */
        CHECK_EQ(res.outcome, RMAP_DONE);
        CHECK_EQ(res.hits, 2);
        for (size_t i = 0; i < w.space_count; i++) CHECK_NE(world_kind(w.spaces[i], 0), RMAP_PTE_PRESENT);
        CHECK_EQ(world_kind(kid, 0), RMAP_PTE_SWAP);
        world_check(&w);
        CHECK_EQ(world_read(kid, 0), 1);
        CHECK_EQ(world_read(r, 0), 1);
        CHECK_EQ(world_read(s, 0), 0);
        world_check(&w);
        world_fini(&w);
    }
}

/* Depth first, each space before its children: 0: [1: [2: [3]] [4]] [5]; the order in which each_mapping shows them */
static int note_order(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t e)
{
    const struct world_space *s = m->user;
    uint64_t *seen = ctx;
    (void)vpn, (void)e;
    *seen = *seen << 4 | s->number;
    return 0;
}
RMAP_TEST(model, INV4_candidates_come_source_before_target_oldest_child_first)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s[6];
    static const unsigned parent[6] = {0, 0, 1, 2, 1, 0};
    s[0] = world_space(&w);
    world_write(s[0], 0, 1);
    for (unsigned i = 1; i < 6; i++) {
        world_write(s[parent[i]], i, 1);
        s[i] = world_fork(s[parent[i]]);
    }
    struct rmap_page *page = world_page(s[0], 0);
    struct rmap_result res;
    uint64_t seen = 0xf;
    rmap_page_lock(page);
    CHECK_OK(rmap_each_mapping(w.r, &page, 1, 0, note_order, &seen, &res));
    rmap_page_unlock(w.r, page);
    CHECK_EQ(seen, 0xf012345);
    CHECK_EQ(res.hits, 6);
    world_fini(&w);
}

/* ---- bounds ---- */

/*  R (gave 0 up): [P: [A] [B] [C]] with a write before each fork; 0 left in A and C: the bound is A's epoch, not C's */
RMAP_TEST(model, tightening_goes_to_the_oldest_epoch_through_which_a_hit_descends)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *r = world_space(&w), *kid[3];
    world_write(r, 0, 1);
    struct world_space *p = world_fork(r);
    for (unsigned i = 0; i < 3; i++) {
        world_write(p, 1 + i, 1);
        kid[i] = world_fork(p);
    }
    struct rmap_page *page = world_page(r, 0);
    world_zap(r, 0, 1);
    world_zap(p, 0, 1);
    world_zap(kid[1], 0, 1);
    CHECK_EQ(world_referenced(&w, page).tightened, 1);
    CHECK(epoch_of(page) == TAILQ_FIRST(&p->m.node->epochs));
    world_check(&w);
    CHECK_EQ(world_mappers(&w, page), BIT(kid[0]) | BIT(kid[2]));
    world_fini(&w);
}

/* A16.  P: [C: [D] [E]] with a write of C between D and E; P exits: its page goes to C's oldest epoch, where D still
 * hangs */
RMAP_TEST(model, A16_a_dead_nodes_pages_join_the_oldest_epoch_of_the_child_that_takes_its_place)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 0, 1);
    struct world_space *c = world_fork(p), *d = world_fork(c);
    world_write(c, 1, 1);
    struct world_space *e = world_fork(c);
    struct rmap_page *page = world_page(p, 0);
    world_exit(p);
    world_check(&w);
    CHECK(epoch_of(page) == TAILQ_FIRST(&c->m.node->epochs));
    CHECK_EQ(world_mappers(&w, page), BIT(c) | BIT(d) | BIT(e));
    world_fini(&w);
}
