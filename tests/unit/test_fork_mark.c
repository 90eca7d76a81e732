/* SPDX-License-Identifier: MIT */
/** @file unit/test_fork_mark.c  The forking mark (A15): what is found in a space that is being forked stays in reach of the child. */
#include "support/world.h"

#include <core/core.h>

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

/*  G: [P ; X]   7 and 600 inherited by P and X, gone in G and X. P forks C; between the copies of the two tables both pages are
 *  looked up, and found in P alone. They must not become P's own: C has not got them yet, or has no part in the open epoch. */
RMAP_TEST(fork_mark, A15_what_is_found_in_the_forking_parent_alone_goes_to_its_newest_closed_epoch)
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
RMAP_TEST(fork_mark, A15_a_slot_made_in_the_middle_of_a_fork_covers_the_child)
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
RMAP_TEST(fork_mark, an_abort_takes_back_the_mark_before_the_epoch_that_it_points_to)
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
