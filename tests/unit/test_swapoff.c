/* SPDX-License-Identifier: MIT */
/** @file unit/test_swapoff.c  rmap_each_swap: who holds the entries of a slot (C4, C13). */
#include "support/world.h"
#include "unit/moved.h"

static struct world w;

static rmap_swp_t slot_at(struct world_space *s, rmap_vpn_t vpn)
{
    CHECK_EQ(world_kind(s, vpn), RMAP_PTE_SWAP);
    return rmap_pte_swp(s->mmu.ops->format, world_entry(s, vpn));
}

/* Write 1 there and swap it out, wherever it is mapped by then. */
static rmap_swp_t out(struct world_space *s, rmap_vpn_t vpn)
{
    CHECK(world_swap_out(&w, world_page(s, vpn)));
    return slot_at(s, vpn);
}

struct found {
    unsigned n, stop_at; /* stop_at: this call says stop */
    struct {
        const struct world_space *s;
        rmap_vpn_t vpn;
    } at[8];
    struct rmap_result res;
};

static int note(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t entry)
{
    struct found *f = ctx;
    if (rmap_pte_kind(m->mmu.ops->format, entry) != RMAP_PTE_SWAP || f->n == 8) return 1;
    f->at[f->n].s = m->user;
    f->at[f->n].vpn = vpn;
    return ++f->n == f->stop_at;
}

static struct found seek(rmap_swp_t entry)
{
    struct found f = {.n = 0};
    CHECK_OK(rmap_each_swap(w.r, entry, note, &f, &f.res));
    CHECK(f.n == f.res.hits && w.runs == 0);
    return f;
}

#define CHECK_FOUND(f, i, space, page)   \
    do {                                 \
        CHECK((f).at[i].s == (space));   \
        CHECK_EQ((f).at[i].vpn, (page)); \
    } while (0)
#define CHECK_DONE(f, hits_, visits_)         \
    do {                                      \
        CHECK_EQ((f).res.outcome, RMAP_DONE); \
        CHECK_EQ((f).res.mapcount, hits_);    \
        CHECK_EQ((f).res.hits, hits_);        \
        CHECK_EQ((f).res.visits, visits_);    \
    } while (0)

/*  P     7 is another page by now      A: 7 → E     both children of P, E once was P's page 7 too
 *  ├ A   B: 7 is an entry of another slot, which it wrote and swapped out itself; 8 → E2 is found beside them */
RMAP_TEST(swapoff, C4_pages_and_other_slots_at_the_same_place_are_not_the_slots)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    world_write(p, 8, 2);
    struct world_space *a = world_fork(p), *b = world_fork(p);
    rmap_swp_t e = out(p, 7), e2 = out(p, 8);
    world_write(p, 7, 3);
    world_write(b, 7, 4);
    rmap_swp_t other = out(b, 7);
    CHECK_NE(e, other);
    struct found f = seek(e);
    CHECK_DONE(f, 1, 2);
    CHECK_FOUND(f, 0, a, 7);
    f = seek(other);
    CHECK_DONE(f, 1, 1);
    CHECK_FOUND(f, 0, b, 7);
    f = seek(e2);
    CHECK_DONE(f, 3, 3);
    CHECK_FOUND(f, 0, p, 8); /* source before target */
    CHECK_FOUND(f, 1, a, 8);
    CHECK_FOUND(f, 2, b, 8);
    world_check(&w);
    world_fini(&w);
}

/* P alone holds 7 → E; its five children need not be visited. If there were one entry more, they would be; but neither P's
 * parent, nor the sibling, nor the child that was forked before the page was made */
RMAP_TEST(swapoff, it_looks_no_further_than_the_slot_counts)
{
    world_init(&w, NULL);
    struct world_space *g = world_space(&w);
    world_write(g, 1, 1);
    struct world_space *p = world_fork(g);
    world_write(p, 2, 2);
    world_fork(p);
    world_fork(g);
    world_write(p, 7, 1);
    for (unsigned i = 0; i < 5; i++) world_zap(world_fork(p), 7, 1);
    rmap_swp_t e = out(p, 7);
    struct found f = seek(e);
    CHECK_DONE(f, 1, 1);
    CHECK_EQ(f.res.nodes, 1);
    CHECK_OK(rmap_swap_get_ops()->dup(w.swap, e, 1));
    f = seek(e);
    CHECK_EQ(f.res.outcome, RMAP_INCOMPLETE);
    CHECK_EQ(f.res.visits, 6);
    CHECK_EQ(f.res.nodes, 6);
    rmap_swap_get_ops()->put(w.swap, e, 1);
    world_fini(&w);
}

/*  P: 600 → E, moved there (at 7 is another page)     Q: forked from P after the move, 600 → E
 *  └ C: 7 → E, stayed; 8 → E2 moved to 800            X: forked from C, 7 → E */
RMAP_TEST(swapoff, C13_moved_shared_entries_are_found_in_mover_sibling_and_the_movers_child)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    world_write(p, 8, 2);
    struct world_space *c = world_fork(p);
    rmap_swp_t e = out(p, 7), e2 = out(p, 8);
    CHECK_MOVED(world_move(p, 7, 600, 1), 0, 0, 0, 1);
    CHECK_MOVED(world_move(c, 8, 800, 1), 0, 0, 0, 1);
    world_write(p, 7, 3);
    struct world_space *q = world_fork(p), *x = world_fork(c);
    struct found f = seek(e);
    CHECK_DONE(f, 4, 4 + 4); /* C and X have moved entries, too, and hold this one at home */
    CHECK_FOUND(f, 0, c, 7);
    CHECK_FOUND(f, 1, x, 7);
    CHECK_FOUND(f, 2, p, 600);
    CHECK_FOUND(f, 3, q, 600);
    f = seek(e2);
    CHECK_EQ(f.res.outcome, RMAP_DONE);
    CHECK_EQ(f.n, 4);
    CHECK_FOUND(f, 0, p, 8);
    CHECK_FOUND(f, 1, q, 8);
    CHECK_FOUND(f, 2, c, 800);
    CHECK_FOUND(f, 3, x, 800);
    CHECK_EQ(world_read(p, 600), 1); /* copies: the mark stays, nothing is left to be found there */
    CHECK_EQ(world_read(q, 600), 1);
    f = seek(e);
    CHECK_DONE(f, 2, 3); /* P, C, X */
    world_check(&w);
    world_fini(&w);
}

/* P and C share 7; P moves its entry to every border of its tables in turn: the first and the last page of one, of the space */
RMAP_TEST(swapoff, C13_moved_entries_are_found_on_the_borders_of_tables)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    const rmap_vpn_t place[] = {511, 512, 1023, 1024, 0, p->m.mmu.pages - 1};
    world_write(p, 7, 1);
    struct world_space *c = world_fork(p);
    rmap_swp_t e = out(p, 7);
    rmap_vpn_t from = 7;
    for (unsigned i = 0; i < sizeof place / sizeof *place; from = place[i++]) {
        CHECK_MOVED(world_move(p, from, place[i], 1), 0, 0, 0, 1);
        struct found f = seek(e);
        CHECK_EQ(f.res.outcome, RMAP_DONE);
        CHECK_EQ(f.n, 2);
        CHECK_FOUND(f, 0, c, 7);
        CHECK_FOUND(f, 1, p, place[i]);
    }
    world_check(&w);
    world_fini(&w);
}

/*  P tracks. P, C, D share 7 and 8; P moved 7 → 600 while it was mapped; all is swapped out. P: 600 → E; C, D: 7 → E. A second
 *  move brought 8 → 608 → 700 → E2: only the last place is recorded. D moved its 8 to 800, untracked */
RMAP_TEST(swapoff, S12_tracked_places_are_looked_at_in_the_first_round)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    world_write(p, 8, 2);
    struct world_space *c = world_fork(p), *d = world_fork(p);
    CHECK_OK(rmap_member_set_policy(&p->m, RMAP_MOVE_POLICY_TRACK));
    CHECK_EQ(world_move(p, 7, 600, 2).tracked, 2);
    CHECK_EQ(world_move(p, 601, 700, 1).tracked, 1);
    CHECK(world_swap_out(&w, world_page(c, 7)));
    CHECK(world_swap_out(&w, world_page(c, 8)));
    world_move(d, 8, 800, 1);
    CHECK_EQ(p->m.moved, 2);
    world_write(p, 7, 3); /* another page at the index */
    rmap_swp_t e = slot_at(c, 7), e2 = slot_at(c, 8);
    struct found f = seek(e);
    CHECK_DONE(f, 3, 3);
    CHECK_FOUND(f, 0, p, 600);
    CHECK_FOUND(f, 1, c, 7);
    CHECK_FOUND(f, 2, d, 7);
    f = seek(e2);
    CHECK_DONE(f, 3, 3 + 2);
    CHECK_FOUND(f, 0, p, 700);
    CHECK_FOUND(f, 1, c, 8);
    CHECK_FOUND(f, 2, d, 800);
    CHECK_OK(rmap_swap_get_ops()->dup(w.swap, e, 1)); /* were one missing, nothing is shown twice */
    f = seek(e);
    CHECK_EQ(f.res.outcome, RMAP_INCOMPLETE);
    CHECK_EQ(f.n, 3);
    CHECK_EQ(f.res.visits, 3 + 2);
    rmap_swap_get_ops()->put(w.swap, e, 1);
    CHECK_EQ(world_read(c, 7), 1);
    CHECK_EQ(world_read(p, 600), 1);
    f = seek(e);
    CHECK_DONE(f, 1, 3);
    world_check(&w);
    world_fini(&w);
}

/* C moved 7 → 600 and exits; P and D keep 7 → E: a MOVED slot whose moved entries are gone costs no second round; nor does
 * 8 → E2, which was never moved, where D has a moved entry */
RMAP_TEST(swapoff, C13_without_moved_entries_no_table_is_scanned)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    world_write(p, 8, 2);
    world_write(p, 9, 3);
    struct world_space *c = world_fork(p), *d = world_fork(p);
    rmap_swp_t e = out(p, 7), e2 = out(p, 8);
    out(p, 9);
    world_move(c, 7, 600, 1);
    CHECK_DONE(seek(e), 3, 3 + 1);
    world_exit(c);
    CHECK_DONE(seek(e), 2, 2);
    CHECK_OK(rmap_swap_get_ops()->dup(w.swap, e, 1)); /* one entry more than can be found: nobody has moved ones */
    struct found f = seek(e);
    CHECK_EQ(f.res.outcome, RMAP_INCOMPLETE);
    CHECK_EQ(f.res.mapcount, 3);
    CHECK_EQ(f.res.hits, 2);
    CHECK_EQ(f.res.visits, 2);
    rmap_swap_get_ops()->put(w.swap, e, 1);
    world_move(d, 9, 900, 1);
    CHECK_OK(rmap_swap_get_ops()->dup(w.swap, e2, 1));
    f = seek(e2);
    CHECK_EQ(f.res.outcome, RMAP_INCOMPLETE);
    CHECK_EQ(f.res.visits, 2);
    rmap_swap_get_ops()->put(w.swap, e2, 1);
    world_fini(&w);
}

/* P forks C, by hand: 7 → E is copied, 1200 → E3 (moved) and 600 → E2 not yet; then they are */
RMAP_TEST(swapoff, C4_a_forking_space_is_found_before_and_after_each_copy)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    world_write(p, 600, 2);
    world_write(p, 9, 3);
    struct world_space *k = world_fork(p); /* shares them: the move leaves a MOVED slot */
    rmap_swp_t e = out(p, 7), e2 = out(p, 600), e3 = out(p, 9);
    world_move(p, 9, 1200, 1);
    struct world_space *c = world_space_blank(&w);
    struct rmap_fork fork;
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &fork));
    CHECK_DONE(seek(e), 2, 2);
    CHECK_OK(rmap_fork_copy(&fork, 0, 512, RMAP_FORK_COW));
    struct found f = seek(e);
    CHECK_DONE(f, 3, 3);
    CHECK_FOUND(f, 0, p, 7);
    CHECK_FOUND(f, 2, c, 7);
    f = seek(e2);
    CHECK_DONE(f, 2, 2);
    f = seek(e3);
    CHECK_DONE(f, 2, 3 + 1);
    CHECK_FOUND(f, 0, k, 9);
    CHECK_FOUND(f, 1, p, 1200);
    CHECK_OK(rmap_fork_copy(&fork, 512, 1024, RMAP_FORK_COW));
    f = seek(e3);
    CHECK_DONE(f, 3, 3 + 2);
    CHECK_FOUND(f, 2, c, 1200);
    CHECK_EQ(world_read(k, 600), 2); /* swapped in meanwhile: by a sibling, as swapoff would */
    CHECK_DONE(seek(e2), 2, 3);
    rmap_fork_commit(&fork);
    world_space_adopt(c);
    CHECK_EQ(world_read(c, 600), 2);
    CHECK_EQ(world_read(c, 1200), 3);
    world_check(&w);
    world_fini(&w);
}

/* Swapoff by hand. P, A, B, C hold 7 → E; between the look-up and the faults A exits, between two faults P does, which
 * owned the slot. What the first look-up said is no longer true everywhere; the count says when all is done. */
RMAP_TEST(swapoff, C4_spaces_exit_between_look_up_and_fault)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 70);
    struct world_space *a = world_fork(p), *b = world_fork(p), *c = world_fork(a);
    rmap_swp_t e = out(p, 7);
    struct found f = seek(e);
    CHECK_DONE(f, 4, 4);
    CHECK_FOUND(f, 2, c, 7); /* P, A, A's child, B */
    world_exit(a);
    CHECK_DONE(seek(e), 3, 3);
    CHECK_EQ(world_read(c, 7), 70);
    world_exit(p);
    f = seek(e);
    CHECK_EQ(f.res.outcome, RMAP_DONE);
    CHECK_FOUND(f, 0, b, 7);
    CHECK_EQ(world_read(b, 7), 70);
    CHECK(world_page(b, 7) == world_page(c, 7));
    f = seek(e); /* its clean copy is left */
    CHECK_DONE(f, 0, 0);
    struct rmap_page *page = world_page(b, 7);
    rmap_page_get(page);
    rmap_page_lock(page);
    CHECK_OK(rmap_swap_cache_del(w.swap, page));
    rmap_page_unlock(w.r, page);
    rmap_page_put(w.r, page);
    CHECK_ERR(rmap_each_swap(w.r, e, note, &f, &f.res), RMAP_ERR_ABSENT);
    world_check(&w);
    world_fini(&w);
}

/* P's page 7 is in the cache with 7 → E; P exits while the page is locked: the slot outlives its group, without entries */
RMAP_TEST(swapoff, a_slot_of_a_group_that_is_gone_has_no_entries)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct rmap_page *page = world_page(p, 7);
    rmap_page_get(page);
    world_unmap(&w, page, 0);
    rmap_swp_t e = slot_at(p, 7);
    rmap_page_lock(page);
    world_exit(p);
    CHECK_DONE(seek(e), 0, 0);
    rmap_page_unlock(w.r, page); /* an ORPHAN: the slot goes here */
    rmap_page_put(w.r, page);
    struct found f = {.n = 0};
    CHECK_ERR(rmap_each_swap(w.r, e, note, &f, &f.res), RMAP_ERR_ABSENT);
    world_fini(&w);
}

/* P, A: 7 → E, B: 600 → E. Stopped at the second, which is at home, and at the third, which is not */
RMAP_TEST(swapoff, the_callback_stops_it_in_both_rounds)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct world_space *a = world_fork(p), *b = world_fork(p);
    rmap_swp_t e = out(p, 7);
    world_move(b, 7, 600, 1);
    for (unsigned stop = 1; stop <= 3; stop++) {
        struct found f = {.stop_at = stop};
        CHECK_OK(rmap_each_swap(w.r, e, note, &f, &f.res));
        CHECK_EQ(f.n, stop);
        CHECK_EQ(f.res.outcome, RMAP_PARTIAL);
        CHECK_EQ(f.res.reason, RMAP_REASON_STOPPED);
        CHECK_EQ(f.res.hits, stop - 1);
        CHECK_EQ(w.runs, 0);
    }
    (void)a;
    world_fini(&w);
}

/* H2. */
RMAP_TEST(swapoff, bad_arguments_and_dead_slots_are_refused)
{
    struct found f = {.n = 0};
    world_init(&w, NULL);
    CHECK_ERR(rmap_each_swap(NULL, 1, note, &f, &f.res), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_each_swap(w.r, 1, NULL, &f, &f.res), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_each_swap(w.r, 1, note, &f, NULL), RMAP_ERR_NULL_ARG);
    static const rmap_swp_t dead[] = {0, 1u << RMAP_SWP_SLOT_BITS, 2u << RMAP_SWP_SLOT_BITS, UINT32_MAX};
    for (unsigned i = 0; i < 4; i++) CHECK_ERR(rmap_each_swap(w.r, dead[i], note, &f, &f.res), RMAP_ERR_ABSENT);
    world_fini(&w);
    world_init(&w, &(struct world_options){.no_swap = true});
    CHECK_ERR(rmap_each_swap(w.r, dead[1], note, &f, &f.res), RMAP_ERR_ABSENT);
    world_fini(&w);
}

/* A: 1200 → E, behind a huge entry of the MMU's own making at 700: what cannot be looked into is not claimed */
RMAP_TEST(swapoff, a_huge_entry_in_the_way_makes_it_incomplete)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct world_space *a = world_fork(p);
    rmap_swp_t e = out(p, 7);
    world_move(a, 7, 1200, 1);
    a->blocked = true;
    a->block = 700;
    struct found f = seek(e);
    CHECK_EQ(f.res.outcome, RMAP_INCOMPLETE);
    CHECK_EQ(f.n, 1);
    a->blocked = false;
    CHECK_DONE(seek(e), 2, 2 + 1);
    world_fini(&w);
}
