/* SPDX-License-Identifier: MIT */
/** @file unit/test_fork.c  The fork transaction: begin, copy, commit or abort; the forking mark; failure at every step. */
#include "support/world.h"

#include <core/core.h>

#define LIVE(w) ((w)->alloc.live_blocks)
#define ATTR(a) (1u << RMAP_ATTR_##a)

static struct rmap__epoch *epoch_of(const struct rmap_page *page)
{
    return rmap__tag_find(rmap__owner_tag(rmap_page_owner(page)))->epoch;
}
static struct rmap__epoch *open_epoch(struct world_space *s) { return TAILQ_LAST(&s->m.node->epochs, rmap__epochs); }
static struct rmap__epoch *newest_closed(struct world_space *s) { return TAILQ_PREV(open_epoch(s), rmap__epochs, link); }

/* Leave and free a child that was forked by hand. */
static void child_end(struct world_space *c)
{
    CHECK_OK(rmap_zap(&c->m, 0, c->mmu.pages, NULL));
    CHECK_OK(rmap_member_leave(&c->m));
    world_space_free(c);
}

/* ---- arguments ---- */

/* H1, H5 */
RMAP_TEST(fork, begin_refuses_bad_arguments_and_nothing_has_happened)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c = world_space_blank(&w);
    world_write(p, 7, 1);
    struct rmap_fork f = {.state = 99}, g;
    struct rmap_mmu mmu = c->mmu;
    struct rmap_mmu_ops ops = *mmu.ops;
    size_t live = LIVE(&w);
    mmu.ops = &ops;
    CHECK_ERR(rmap_fork_begin(NULL, &c->m, &mmu, &f), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_fork_begin(&p->m, NULL, &mmu, &f), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_fork_begin(&p->m, &c->m, NULL, &f), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_fork_begin(&p->m, &c->m, &mmu, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_fork_begin(&p->m, &p->m, &mmu, &f), RMAP_ERR_INVALID); /* its own child */
    ops.struct_size--;
    CHECK_ERR(rmap_fork_begin(&p->m, &c->m, &mmu, &f), RMAP_ERR_STRUCT_SIZE);
    ops.struct_size++;
    ops.format = &rmap_pte_format_x86_64;
    CHECK_ERR(rmap_fork_begin(&p->m, &c->m, &mmu, &f), RMAP_ERR_INVALID);
    ops.format = &rmap_pte_format_soft;
    mmu.pages--;
    CHECK_ERR(rmap_fork_begin(&p->m, &c->m, &mmu, &f), RMAP_ERR_INVALID); /* smaller */
    mmu.pages++;
    CHECK_EQ(f.state, 99);
    CHECK(!c->m.node && c->m.user == c);
    CHECK_EQ(rmap_group_members(&p->m), 1);
    CHECK(world_attr(p, 7, RMAP_ATTR_WRITE));
    CHECK_EQ(LIVE(&w), live);
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &mmu, &f));
    CHECK(c->m.user == c && c->m.r == w.r);
    struct world_space *d = world_space_blank(&w);
    CHECK_ERR(rmap_fork_begin(&p->m, &d->m, &d->mmu, &g), RMAP_ERR_BUSY);
    rmap_fork_abort(&f);
    world_space_free(d);
    world_space_free(c);
    world_check(&w);
    world_fini(&w);
}

/* H1 */
RMAP_TEST(fork, copy_checks_its_range_and_its_transaction)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c = world_space_blank(&w);
    world_write(p, 7, 1);
    struct rmap_fork f;
    CHECK_ERR(rmap_fork_copy(NULL, 0, 1, 0), RMAP_ERR_NULL_ARG);
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &f));
    CHECK_ERR(rmap_fork_copy(&f, 0, 1, 1), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_fork_copy(&f, 0, 0, 0), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_fork_copy(&f, 1, p->mmu.pages, 0), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_fork_copy(&f, p->mmu.pages, 1, 0), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_fork_copy(&f, 7, UINT64_MAX, 0), RMAP_ERR_RANGE);
    CHECK_OK(rmap_fork_copy(&f, 100, 50, 0)); /* nothing there, and the arguments before did no harm */
    CHECK_OK(rmap_fork_copy(&f, 7, 1, 0));
    CHECK_EQ(f.copied_present, 1);
    CHECK_ERR(rmap_fork_copy(&f, 7, 1, 0), RMAP_ERR_EXISTS);
    CHECK_ERR(rmap_fork_copy(&f, 9, 1, 0), RMAP_ERR_INVALID); /* after an error only abort */
    rmap_fork_abort(&f);
    CHECK_ERR(rmap_fork_copy(&f, 9, 1, 0), RMAP_ERR_INVALID);
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &f));
    rmap_fork_commit(&f);
    CHECK_ERR(rmap_fork_copy(&f, 9, 1, 0), RMAP_ERR_INVALID);
    child_end(c);
    world_check(&w);
    world_fini(&w);
}

/* ---- what is copied ---- */

/* 7 present and written, 8 no-access, 9 locked, 10 on swap and locked, 600 in another table, 700 zero page, 701 poison */
RMAP_TEST(fork, every_kind_of_entry_is_inherited_as_it_should)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    const struct rmap_pte_format *f = p->mmu.ops->format;
    static const rmap_vpn_t written[] = {7, 8, 9, 10, 600};
    for (unsigned i = 0; i < 5; i++) world_write(p, written[i], i);
    CHECK_OK(rmap_protect(&p->m, 8, 1, RMAP_PROTECT_NO_ACCESS));
    CHECK_OK(rmap_protect(&p->m, 9, 2, RMAP_PROTECT_LOCK));
    struct rmap_page *on_swap = world_page(p, 10);
    CHECK_EQ(world_unmap(&w, on_swap, RMAP_IGNORE_LOCKED).outcome, RMAP_DONE);
    world_map_special(p, 700);
    world_set_entry(p, 701, rmap_pte_make_kind(f, RMAP_PTE_POISON, 5, 0));
    unsigned attrs = rmap_pte_attrs(f, world_entry(p, 9));
    world_flush_log_clear(p);

    struct world_space *c = world_space_blank(&w);
    struct rmap_fork t;
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &t));
    CHECK_OK(rmap_fork_copy(&t, 0, p->mmu.pages, RMAP_FORK_COW));
    CHECK_EQ(t.copied_present, 4);
    CHECK_EQ(t.copied_swap, 1);
    CHECK_EQ(p->flushed_count, 0);
    rmap_fork_commit(&t);
    CHECK_EQ(p->flushed_count, 3); /* 7, 9, 600: the withdrawn write permissions, before the child may run */
    for (unsigned i = 0; i < 3; i++) CHECK_EQ(p->flushed[i].kind, RMAP_FLUSH_WRITE);
    CHECK_EQ(rmap_pte_attrs(f, world_entry(p, 9)), attrs & ~ATTR(WRITE));
    CHECK_EQ(rmap_pte_attrs(f, world_entry(c, 9)), attrs & ~(ATTR(WRITE) | ATTR(DIRTY) | ATTR(LOCKED))); /* D9 */
    CHECK_EQ(world_kind(c, 8), RMAP_PTE_NO_ACCESS);
    CHECK(world_page(c, 8) == world_page(p, 8));
    CHECK_EQ(world_kind(c, 10), RMAP_PTE_SWAP);
    CHECK(world_attr(p, 10, RMAP_ATTR_LOCKED) && !world_attr(c, 10, RMAP_ATTR_LOCKED));
    CHECK_EQ(rmap_swap_get_ops()->count(w.swap, on_swap->swap), 2);
    CHECK_EQ(world_kind(c, 701), RMAP_PTE_POISON);
    CHECK_EQ(world_entry(c, 700), world_entry(p, 700));
    CHECK_EQ(c->m.mapped, 4);
    CHECK_EQ(c->m.swapped, 1);
    CHECK_EQ(world_read(c, 600), 4);
    CHECK_EQ(world_read(c, 10), 3);
    CHECK_EQ(world_stats(&w).fork_entries, 5);
    child_end(c);
    world_check(&w);
    world_fini(&w);
}

/* E5, A10.  7 = 1 in P, C, D (child of C); each writes in turn */
RMAP_TEST(fork, A10_E5_a_fork_of_a_fork_keeps_copy_on_write_and_everybodys_view)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct world_space *c = world_fork(p), *d = world_fork(c);
    struct rmap_page *page = world_page(p, 7);
    CHECK_EQ(rmap_page_mapcount(page), 3);
    world_write(c, 7, 2);
    CHECK_EQ(world_read(p, 7), 1);
    CHECK_EQ(world_read(d, 7), 1);
    world_write(p, 7, 3);
    CHECK_EQ(world_read(c, 7), 2);
    CHECK_EQ(world_read(d, 7), 1);
    CHECK(world_page(d, 7) == page); /* the last one keeps it */
    struct world_space *e = world_fork(c);
    world_write(d, 7, 4);
    CHECK(world_page(d, 7) == page);
    CHECK_EQ(world_read(e, 7), 2);
    CHECK_EQ(world_read(p, 7), 3);
    CHECK_EQ(world_mappers(&w, world_page(e, 7)), 1 << 1 | 1 << 3);
    world_check(&w);
    world_fini(&w);
}

/* C8.  7 on swap in P, C, D: two exits, then the last drop frees slot and, in the cache, page */
RMAP_TEST(fork, C8_forked_swap_entries_are_counted_and_the_last_drop_frees_the_slot)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    struct rmap_swap_stats st;
    world_write(p, 7, 1);
    world_write(p, 8, 2);
    CHECK(world_swap_out(&w, world_page(p, 7)));
    world_unmap(&w, world_page(p, 8), 0); /* stays in the cache */
    struct world_space *c = world_fork(p), *d = world_fork(c);
    CHECK_OK(rmap_swap_get_stats(w.swap, &st));
    CHECK_EQ(st.entries, 6);
    CHECK_EQ(st.slots_used, 2);
    world_exit(p);
    world_exit(d);
    CHECK_EQ(c->m.swapped, 2);
    world_check(&w);
    world_zap(c, 7, 2);
    CHECK_OK(rmap_swap_get_stats(w.swap, &st));
    CHECK_EQ(st.slots_used, 0);
    CHECK_EQ(w.frames_used, 0);
    world_check(&w);
    world_fini(&w);
}

static uint32_t seen_at_set;
static void look_at_count(struct world_space *s, rmap_vpn_t vpn, rmap_pte_t e)
{
    (void)vpn;
    struct rmap_page *page = rmap_page_find(s->w->r, rmap_pte_pfn(s->mmu.ops->format, e));
    seen_at_set = page ? rmap_page_mapcount(page) : 0;
}

/* INV-2: the count may be ahead of the entries, never behind */
RMAP_TEST(fork, the_count_is_raised_before_the_childs_entry_is_set)
{
    struct world w;
    world_init(&w, &(struct world_options){.no_slots = true});
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct world_space *c = world_space_blank(&w);
    struct rmap_fork f;
    c->on_set = look_at_count;
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &f));
    CHECK_OK(rmap_fork_copy(&f, 0, p->mmu.pages, 0));
    CHECK_EQ(seen_at_set, 2);
    rmap_fork_commit(&f);
    child_end(c);
    world_fini(&w);
}

/* ---- the forking mark ---- */

/*  G: [P ; X]   7 and 600 inherited by P and X, gone in G and X. P forks C; between the copies of the two tables both pages are
 *  looked up, and found in P alone. They must not become P's own: C has not got them yet, or has no part in the open epoch. */
RMAP_TEST(fork, A15_what_is_found_in_the_forking_parent_alone_goes_to_its_newest_closed_epoch)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *g = world_space(&w);
    world_write(g, 7, 1);
    world_write(g, 600, 2);
    struct world_space *x = world_fork(g), *p = world_fork(g);
    struct rmap_page *a = world_page(p, 7), *b = world_page(p, 600);
    world_zap(g, 0, 1000);
    world_zap(x, 0, 1000);
    struct world_space *c = world_space_blank(&w);
    struct rmap_fork f;
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &f));
    CHECK_EQ(p->m.forking, 1);
    CHECK_NE(rmap_member_home(&p->m), rmap__tag_owner(p->m.open_tag));
    CHECK_OK(rmap_fork_copy(&f, 0, 512, 0));
    struct rmap_result res = world_referenced(&w, b); /* not copied yet */
    CHECK_EQ(res.tightened, 1);
    CHECK(epoch_of(b) == newest_closed(p));
    CHECK_EQ(rmap_page_owner(b), rmap_member_home(&p->m));
    res = world_referenced(&w, a); /* in P and C by now */
    CHECK_EQ(res.hits, 2);
    CHECK(epoch_of(a) == newest_closed(p));
    CHECK_OK(rmap_fork_copy(&f, 512, 512, 0));
    uint64_t mappers;
    CHECK_EQ(world_each(&w, b, &mappers).hits, 2);
    world_check(&w);
    rmap_fork_commit(&f);
    CHECK_EQ(p->m.forking, 0);
    CHECK_EQ(rmap_member_home(&p->m), rmap__tag_owner(p->m.open_tag));
    CHECK_EQ(world_read(c, 600), 2);
    CHECK_EQ(rmap_page_mapcount(b), 2);
    world_check(&w);
    child_end(c);
    CHECK(epoch_of(b) == open_epoch(p)); /* joined with its epoch */
    world_check(&w);
    world_fini(&w);
}

/* The same for a slot: unmapped between two copies, its entry is then inherited */
RMAP_TEST(fork, A15_a_slot_made_in_the_middle_of_a_fork_covers_the_child)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *g = world_space(&w);
    world_write(g, 600, 2);
    struct world_space *x = world_fork(g), *p = world_fork(g);
    struct rmap_page *page = world_page(p, 600);
    world_zap(g, 600, 1);
    world_zap(x, 600, 1);
    struct world_space *c = world_space_blank(&w);
    struct rmap_fork f;
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &f));
    CHECK_EQ(world_unmap(&w, page, 0).tightened, 1);
    CHECK_OK(rmap_fork_copy(&f, 0, p->mmu.pages, 0));
    rmap_fork_commit(&f);
    world_check(&w);
    CHECK_EQ(world_read(c, 600), 2);
    CHECK_EQ(world_read(p, 600), 2);
    world_check(&w);
    child_end(c);
    world_fini(&w);
}

/* While memory is given back, somebody else looks up a page: of P, found in P alone. */
static struct rmap_page *watched;
static unsigned looks;
static void look_up(struct world *w)
{
    struct rmap_page *page = watched;
    watched = NULL; /* not again from in here */
    if (page) {
        struct rmap_result res;
        rmap_page_lock(page);
        looks += rmap_referenced(w->r, &page, 1, 0, &res) == 0 && res.outcome == RMAP_DONE && res.hits == 1;
        rmap_page_unlock(w->r, page);
    }
    watched = page;
}

/*  G: [P]   7 of G, left in P. P's fork is aborted: its only closed epoch goes with the child, the mark must be gone before. */
RMAP_TEST(fork, an_abort_takes_back_the_mark_before_the_epoch_that_it_points_to)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *g = world_space(&w);
    world_write(g, 7, 1);
    struct world_space *p = world_fork(g), *c = world_space_blank(&w);
    world_zap(g, 7, 1);
    struct rmap_fork f;
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &f));
    watched = world_page(p, 7);
    looks = 0;
    w.on_free = look_up;
    rmap_fork_abort(&f);
    w.on_free = NULL;
    CHECK_LE(1, looks);
    CHECK(epoch_of(watched) == open_epoch(p));
    world_space_free(c);
    world_check(&w);
    world_fini(&w);
}

/* ---- failure (A6) ---- */

/* P: 3 in one table, 600 in another, 9 on swap, 2000 moved there on swap and shared with X */
static struct world_space *family(struct world *w)
{
    struct world_space *p = world_space(w);
    world_write(p, 3, 1);
    world_write(p, 600, 2);
    world_write(p, 9, 3);
    world_write(p, 10, 4);
    CHECK(world_swap_out(w, world_page(p, 9)));
    world_fork(p);
    CHECK(world_swap_out(w, world_page(p, 10)));
    CHECK_EQ(world_move(p, 10, 2000, 1).swap_shared, 1);
    CHECK_EQ(p->m.moved, 1);
    return p;
}

struct state {
    struct rmap_group_shape shape;
    uint64_t mapped, swapped, moved, entries, frames;
    size_t live;
    uint32_t mapcount[2];
};
static struct state state_of(struct world *w, struct world_space *p)
{
    struct state s = {.mapped = p->m.mapped, .swapped = p->m.swapped, .moved = p->m.moved, .frames = w->frames_used, .live = LIVE(w)};
    struct rmap_swap_stats st;
    CHECK_OK(rmap_group_get_shape(&p->m, &s.shape));
    CHECK_OK(rmap_swap_get_stats(w->swap, &st));
    s.entries = st.entries;
    s.mapcount[0] = rmap_page_mapcount(world_page(p, 3));
    s.mapcount[1] = rmap_page_mapcount(world_page(p, 600));
    return s;
}
static void check_unchanged(struct world *w, struct world_space *p, const struct state *before)
{
    struct state now = state_of(w, p);
    CHECK_EQ(now.shape.members, before->shape.members);
    CHECK_EQ(now.shape.nodes, before->shape.nodes);
    CHECK_EQ(now.shape.epochs, before->shape.epochs);
    CHECK_EQ(now.shape.tags, before->shape.tags);
    CHECK_EQ(now.mapped, before->mapped);
    CHECK_EQ(now.swapped, before->swapped);
    CHECK_EQ(now.moved, before->moved);
    CHECK_EQ(now.entries, before->entries);
    CHECK_EQ(now.frames, before->frames);
    CHECK_EQ(now.live, before->live);
    CHECK_EQ(now.mapcount[0], before->mapcount[0]);
    CHECK_EQ(now.mapcount[1], before->mapcount[1]);
    CHECK_EQ(p->m.forking, 0);
    world_check(w);
}

/* A6: the n-th allocation fails, for every n */
RMAP_TEST(fork, A6_without_memory_at_any_step_nothing_is_leaked_and_the_parent_is_as_before)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = family(&w), *c = NULL;
    struct state before = state_of(&w, p);
    unsigned n = 1;
    for (;; n++) {
        w.alloc.fail_at = w.alloc.calls + n;
        int err = world_fork_try(p, &c);
        if (!err) break;
        CHECK_ERR(err, RMAP_ERR_NOMEM);
        check_unchanged(&w, p, &before);
        CHECK_EQ(world_read(p, 600), 2);
    }
    CHECK_LE(9, n); /* MMU and its root, node, two epochs, two tags, three tables */
    w.alloc.fail_at = 0;
    CHECK_EQ(world_read(c, 2000), 4);
    world_check(&w);
    world_write(p, 3, 9);
    CHECK_EQ(world_read(c, 3), 1);
    world_exit(c);
    world_check(&w);
    world_fini(&w);
}

enum obstacle { COUNT_IS_FULL, SLOT_IS_FULL, IS_PINNED, NO_DESCRIPTOR, SLOT_IS_DEAD, IS_HUGE, CHILD_HAS_ENTRY, OBSTACLES };

/* A6, E2, C6, H3: something stands in the way behind entries that were copied already */
RMAP_TEST(fork, A6_whatever_stops_the_copying_an_abort_undoes_it)
{
    static const int error[OBSTACLES] = {RMAP_ERR_OVERFLOW, RMAP_ERR_OVERFLOW, RMAP_ERR_PINNED, RMAP_ERR_BAD_FRAME,
                                         RMAP_ERR_BAD_FRAME, RMAP_ERR_BLOCK, RMAP_ERR_EXISTS};
    for (enum obstacle o = 0; o < OBSTACLES; o++) {
        struct world w;
        world_init(&w, NULL);
        struct world_space *p = family(&w);
        const struct rmap_pte_format *f = p->mmu.ops->format;
        struct rmap_page *page = world_page(p, 600);
        struct state before = state_of(&w, p);
        struct world_space *c = world_space_blank(&w);
        rmap_pte_t e = world_entry(p, 600), foreign = 0;
        struct rmap_fork t;
        switch (o) {
        case COUNT_IS_FULL: page->mapcount = RMAP_MAPCOUNT_MAX; break;
        case SLOT_IS_FULL: foreign = world_entry(p, 2000); break;
        case IS_PINNED: CHECK_OK(rmap_page_pin(w.r, page)); break;
        case NO_DESCRIPTOR: foreign = rmap_pte_make(f, WORLD_PFN - 1, 0); break;
        case SLOT_IS_DEAD: foreign = rmap_pte_make_kind(f, RMAP_PTE_SWAP, rmap_swp_make(1, 63), 0); break;
        case IS_HUGE: p->blocked = true, p->block = 1400; break;
        case CHILD_HAS_ENTRY: world_set_entry(c, 600, rmap_pte_make_kind(f, RMAP_PTE_POISON, 1, 0)); break;
        case OBSTACLES: break;
        }
        if (o == SLOT_IS_FULL) CHECK_OK(rmap_swap_get_ops()->dup(w.swap, rmap_pte_swp(f, foreign), UINT32_MAX - 2));
        else if (foreign) world_set_entry(p, 600, foreign);

        CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &t));
        CHECK_ERR(rmap_fork_copy(&t, 0, p->mmu.pages, 0), error[o]);
        CHECK_LE(1, t.copied_present);
        rmap_fork_abort(&t);
        CHECK(!c->m.node);

        if (o == COUNT_IS_FULL) page->mapcount = before.mapcount[1];
        if (o == IS_PINNED) rmap_page_unpin(w.r, page);
        if (o == SLOT_IS_FULL) {
            CHECK_EQ(rmap_swap_get_ops()->count(w.swap, rmap_pte_swp(f, foreign)), UINT32_MAX);
            rmap_swap_get_ops()->put(w.swap, rmap_pte_swp(f, foreign), UINT32_MAX - 2);
        } else if (foreign) {
            world_set_entry(p, 600, e);
        }
        p->blocked = false;
        world_space_free(c);
        check_unchanged(&w, p, &before);
        CHECK_EQ(world_read(p, 600), 2);
        CHECK_EQ(world_read(p, 2000), 4);
        world_check(&w);
        world_fini(&w);
    }
}

/* The parent was write-protected by the aborted fork: its next write finds the page exclusive and does not copy */
RMAP_TEST(fork, after_an_abort_the_parent_writes_in_place)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c = world_space_blank(&w);
    world_write(p, 7, 1);
    struct rmap_page *page = world_page(p, 7);
    struct rmap_fork f;
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &f));
    CHECK_OK(rmap_fork_copy(&f, 0, p->mmu.pages, 0));
    CHECK_EQ(rmap_page_mapcount(page), 2);
    rmap_fork_abort(&f);
    CHECK_EQ(rmap_page_mapcount(page), 1);
    CHECK_EQ(world_tlb_stale(p), NULL); /* the withdrawal was flushed all the same */
    CHECK_EQ(world_stats(&w).forks, 0);
    world_write(p, 7, 2);
    CHECK(world_page(p, 7) == page);
    CHECK_EQ(w.copies, 0);
    world_space_free(c);
    world_check(&w);
    world_fini(&w);
}
