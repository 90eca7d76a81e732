/* SPDX-License-Identifier: MIT */
/** @file unit/test_move.c  Moves: what is ours is re-indexed (S8), what is shared is copied (S9), what is on swap stays there (S10). */
#include "support/world.h"

#include <pthread.h>
#include <sched.h>

static const struct rmap_swap_ops *swap_ops(void) { return rmap_swap_get_ops(); }
static rmap_swp_t slot_at(struct world_space *s, rmap_vpn_t vpn)
{
    CHECK_EQ(world_kind(s, vpn), RMAP_PTE_SWAP);
    return rmap_pte_swp(s->mmu.ops->format, world_entry(s, vpn));
}
static struct rmap_slot_home home_of(struct world *w, rmap_swp_t entry)
{
    struct rmap_slot_home home;
    CHECK_OK(swap_ops()->get_home(w->swap, entry, &home));
    return home;
}
#define CHECK_MOVED(m, reindexed_, copied_, swap_moved_, swap_shared_) \
    do {                                                               \
        struct rmap_moved m_ = (m);                                    \
        CHECK_EQ(m_.reindexed, reindexed_);                            \
        CHECK_EQ(m_.copied, copied_);                                  \
        CHECK_EQ(m_.swap_moved, swap_moved_);                          \
        CHECK_EQ(m_.swap_shared, swap_shared_);                        \
    } while (0)

/* H1 */
RMAP_TEST(move, arguments_are_checked_and_nothing_moves)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space(&w);
    const rmap_vpn_t end = s->mmu.pages;
    struct rmap_moved out = {.copied = 77};
    world_write(s, 10, 1);
    world_write(s, 30, 2);
    CHECK_ERR(rmap_move(NULL, 10, 20, 1, &out), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_move(&s->m, 10, 20, 0, &out), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_move(&s->m, 10, end, 1, &out), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_move(&s->m, end, 10, 1, &out), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_move(&s->m, 10, end - 1, 2, &out), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_move(&s->m, 10, 20, UINT64_MAX, &out), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_move(&s->m, RMAP_VPN_NONE, 20, 2, &out), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_move(&s->m, 10, 10, 1, &out), RMAP_ERR_INVALID); /* B11: overlap */
    CHECK_ERR(rmap_move(&s->m, 10, 14, 5, &out), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_move(&s->m, 14, 10, 5, &out), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_move(&s->m, 10, 30, 1, &out), RMAP_ERR_EXISTS);
    CHECK_ERR(rmap_move(&s->m, 10, 20, 10 + 1, &out), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_move(&s->m, 5, 21, 16, &out), RMAP_ERR_EXISTS);
    CHECK_EQ(out.copied, 77);
    s->blocked = true;
    s->block = 5000;
    CHECK_ERR(rmap_move(&s->m, 10, 4990, 20, &out), RMAP_ERR_BLOCK);
    s->block = 15 + 512;
    CHECK_ERR(rmap_move(&s->m, 10, 4990, 600, NULL), RMAP_ERR_BLOCK); /* in the source */
    s->blocked = false;
    CHECK_EQ(world_read(s, 10), 1);
    CHECK_EQ(world_read(s, 30), 2);
    CHECK_MOVED(world_move(s, 11, 15, 4), 0, 0, 0, 0); /* side by side; nothing there */
    CHECK_EQ(world_stats(&w).moved_reindexed, 0);
    world_check(&w);
    world_fini(&w);
}

/* S8, B1, B9. 7 = 1 was shared with C, which exited; moved to 90 and found there alone */
RMAP_TEST(move, S8_an_own_page_is_reindexed_whatever_was_shared_in_the_past)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *g = world_space(&w);
    world_write(g, 7, 1);
    struct world_space *p = world_fork(g), *c = world_fork(p);
    struct rmap_page *page = world_page(p, 7);
    world_exit(g);
    world_exit(c);
    CHECK_OK(rmap_protect(&p->m, 7, 1, RMAP_PROTECT_LOCK));
    unsigned attrs = rmap_pte_attrs(p->mmu.ops->format, world_entry(p, 7));
    CHECK_MOVED(world_move(p, 7, 90, 1), 1, 0, 0, 0);
    CHECK(world_page(p, 90) == page);
    CHECK_EQ(world_entry(p, 7), 0);
    CHECK_EQ(rmap_page_index(page), 90);
    CHECK_EQ(rmap_page_owner(page), rmap_member_home(&p->m));
    CHECK_EQ(rmap_pte_attrs(p->mmu.ops->format, world_entry(p, 90)), attrs);
    CHECK_EQ(page->refcount, 1);
    CHECK(!(rmap_page_flags(page) & RMAP_PAGE_LOCKED));
    struct rmap_result res;
    uint64_t mappers;
    res = world_each(&w, page, &mappers);
    CHECK_EQ(res.visits, 1);
    CHECK_EQ(res.hits, 1);
    CHECK_EQ(w.copies, 0);
    CHECK_EQ(world_read(p, 90), 1);
    CHECK_EQ(world_stats(&w).moved_reindexed, 1);
    world_check(&w);
    world_fini(&w);
}

/* S9, B2. 7, 8, 9 of P; C has 7 and 9 still, wrote 8 */
RMAP_TEST(move, S9_B2_shared_pages_are_copied_and_the_sibling_keeps_its_place)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    for (rmap_vpn_t v = 7; v < 10; v++) world_write(p, v, v);
    struct world_space *c = world_fork(p);
    world_write(c, 8, 80);
    struct rmap_page *page = world_page(c, 7), *own = world_page(p, 8);
    w.copies = 0;
    CHECK_MOVED(world_move(p, 7, 700, 3), 1, 2, 0, 0);
    CHECK_EQ(w.copies, 2); /* present shared pages only */
    CHECK(world_page(p, 701) == own);
    CHECK(world_page(p, 700) != page);
    CHECK_EQ(rmap_page_index(page), 7);
    CHECK_EQ(rmap_page_index(world_page(p, 700)), 700);
    for (rmap_vpn_t v = 7; v < 10; v++) CHECK_EQ(world_read(p, 693 + v), v);
    CHECK_EQ(world_read(c, 7), 7);
    CHECK_EQ(world_read(c, 8), 80);
    CHECK_EQ(world_mappers(&w, page), 2);
    CHECK_EQ(world_mappers(&w, world_page(p, 700)), 1);
    world_write(c, 7, 70); /* it is C's alone now */
    CHECK(world_page(c, 7) == page);
    CHECK_EQ(world_read(p, 700), 7);
    world_check(&w);
    world_fini(&w);
}

/* S10, C12. 7 on swap, P's alone; moved to 600, forked: shared by both at 600 */
RMAP_TEST(move, S10_C12_a_sole_swap_entry_stays_on_swap_and_its_slot_follows)
{
    for (unsigned cached = 0; cached < 2; cached++) {
        struct world w;
        world_init(&w, NULL);
        struct world_space *p = world_space(&w);
        world_write(p, 7, 1);
        if (cached) world_unmap(&w, world_page(p, 7), 0);
        else CHECK(world_swap_out(&w, world_page(p, 7)));
        uint64_t reads = w.device.reads;
        CHECK_MOVED(world_move(p, 7, 600, 1), 0, 0, 1, 0);
        CHECK_EQ(w.device.reads, reads); /* not swapped in at move time */
        rmap_swp_t entry = slot_at(p, 600);
        CHECK_EQ(home_of(&w, entry).index, 600);
        CHECK_EQ(home_of(&w, entry).owner, rmap_member_home(&p->m));
        CHECK(!home_of(&w, entry).moved);
        CHECK_EQ(p->m.moved, 0);
        if (cached) CHECK_EQ(rmap_page_index(home_of(&w, entry).cached), 600);
        struct world_space *c = world_fork(p);
        world_check(&w);
        CHECK_EQ(world_read(c, 600), 1);
        CHECK_EQ(world_read(p, 600), 1);
        CHECK(world_page(c, 600) == world_page(p, 600));
        world_check(&w);
        world_fini(&w);
    }
}

/* S10, B4. 7 on swap in P and C; P moves to 600. Either faults first, or P never does. */
RMAP_TEST(move, S10_B4_a_shared_swap_entry_is_marked_and_copied_at_swap_in)
{
    for (unsigned way = 0; way < 6; way++) {
        bool cached = way / 3;
        struct world w;
        world_init(&w, NULL);
        struct world_space *p = world_space(&w);
        world_write(p, 7, 1);
        struct world_space *c = world_fork(p);
        if (cached) world_unmap(&w, world_page(p, 7), 0);
        else CHECK(world_swap_out(&w, world_page(p, 7)));
        uint64_t reads = w.device.reads;
        w.copies = 0;
        CHECK_MOVED(world_move(p, 7, 600, 1), 0, 0, 0, 1);
        CHECK_EQ(w.device.reads, reads);
        CHECK_EQ(w.copies, 0);
        rmap_swp_t entry = slot_at(p, 600);
        CHECK_EQ(home_of(&w, entry).index, 7);
        CHECK(home_of(&w, entry).moved);
        CHECK_EQ(p->m.moved, 1);
        CHECK_EQ(c->m.moved, 0);
        world_check(&w);
        if (way % 3 == 0) CHECK_EQ(world_read(p, 600), 1);
        if (way % 3 != 2) CHECK_EQ(world_read(c, 7), 1);
        if (way % 3 == 1) CHECK_EQ(world_read(p, 600), 1);
        world_check(&w);
        if (way % 3 == 2) {
            world_exit(p); /* without ever faulting */
            CHECK_EQ(world_read(c, 7), 1);
        } else {
            CHECK(world_page(c, 7) != world_page(p, 600));
            CHECK_EQ(p->m.moved, 0);
            CHECK_EQ(w.copies, 1);
        }
        world_check(&w);
        world_fini(&w);
    }
}

/* B5, B6. 7: P holds a swap entry, C maps the cached page; either side moves */
RMAP_TEST(move, B5_B6_one_mapping_and_one_swap_entry_is_not_exclusive)
{
    for (unsigned who = 0; who < 2; who++) {
        struct world w;
        world_init(&w, NULL);
        struct world_space *p = world_space(&w);
        world_write(p, 7, 1);
        struct world_space *c = world_fork(p);
        world_unmap(&w, world_page(p, 7), 0);
        CHECK_EQ(world_read(c, 7), 1);
        struct rmap_page *page = world_page(c, 7);
        CHECK_EQ(rmap_page_mapcount(page), 1);
        if (who == 0) CHECK_MOVED(world_move(p, 7, 600, 1), 0, 0, 0, 1);
        else CHECK_MOVED(world_move(c, 7, 600, 1), 0, 1, 0, 0);
        world_check(&w);
        CHECK_EQ(world_read(p, who ? 7 : 600), 1);
        CHECK_EQ(world_read(c, who ? 600 : 7), 1);
        world_write(c, who ? 600 : 7, 2);
        CHECK_EQ(world_read(p, who ? 7 : 600), 1);
        world_check(&w);
        world_fini(&w);
    }
}

/* B10. 7 on swap in P and C: P moves to 600, C faults, P moves back to 7 */
RMAP_TEST(move, B10_there_and_back_is_not_moved_any_more)
{
    for (unsigned fault = 0; fault < 2; fault++) {
        struct world w;
        world_init(&w, NULL);
        struct world_space *p = world_space(&w);
        world_write(p, 7, 1);
        struct world_space *c = world_fork(p);
        CHECK(world_swap_out(&w, world_page(p, 7)));
        world_move(p, 7, 600, 1);
        world_move(p, 600, 900, 1);
        CHECK_EQ(p->m.moved, 1);
        if (fault) CHECK_EQ(world_read(c, 7), 1);
        CHECK_MOVED(world_move(p, 900, 7, 1), 0, 0, 0, 1);
        CHECK_EQ(p->m.moved, 0);
        world_check(&w);
        CHECK_EQ(world_read(p, 7), 1);
        CHECK_EQ(world_read(c, 7), 1);
        CHECK(world_page(c, 7) == world_page(p, 7)); /* at its own index: shared again */
        world_check(&w);
        world_fini(&w);
    }
}

/* A moved shared entry that became the last one is at home where it is moved next: 7 → 600 (shared), C drops, → 601 */
RMAP_TEST(move, a_moved_entry_that_is_sole_by_now_finds_a_home)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct world_space *c = world_fork(p);
    CHECK(world_swap_out(&w, world_page(p, 7)));
    world_move(p, 7, 600, 1);
    world_exit(c);
    CHECK_EQ(p->m.moved, 1);
    CHECK_MOVED(world_move(p, 600, 601, 1), 0, 0, 1, 0);
    CHECK_EQ(p->m.moved, 0);
    CHECK_EQ(home_of(&w, slot_at(p, 601)).index, 601);
    CHECK(!home_of(&w, slot_at(p, 601)).moved);
    world_check(&w);
    w.copies = 0;
    CHECK_EQ(world_read(p, 601), 1);
    CHECK_EQ(w.copies, 0);
    world_fini(&w);
}

/* B12, B13. five own pages rotate by moves over each other's places; then a fork shares them where they are */
RMAP_TEST(move, B12_B13_pages_that_changed_places_are_told_apart_and_forks_share_the_new_ones)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    for (rmap_vpn_t v = 0; v < 5; v++) world_write(p, v, 10 + v);
    for (unsigned round = 0; round < 7; round++) {
        world_move(p, 4, 100, 1);
        for (rmap_vpn_t v = 4; v > 0; v--) world_move(p, v - 1, v, 1);
        world_move(p, 100, 0, 1);
    }
    w.copies = 0;
    struct world_space *c = world_fork(p);
    for (rmap_vpn_t v = 0; v < 5; v++) {
        CHECK_EQ(world_read(c, v), 10 + (v + 3) % 5);
        CHECK_EQ(world_mappers(&w, world_page(p, v)), 3);
    }
    CHECK_EQ(w.copies, 0);
    world_check(&w);
    world_fini(&w);
}

/* C11. 7: swapped in again, so it is clean and keeps its slot; moved to 600 with it; evicted without a write; back */
RMAP_TEST(move, C11_the_clean_copy_of_a_reindexed_page_goes_with_it)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    CHECK(world_swap_out(&w, world_page(p, 7)));
    CHECK_EQ(world_read(p, 7), 1);
    struct rmap_page *page = world_page(p, 7);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE);
    rmap_swp_t entry = page->swap;
    uint64_t writes = w.device.writes;
    CHECK_MOVED(world_move(p, 7, 600, 1), 1, 0, 0, 0);
    CHECK_EQ(home_of(&w, entry).index, 600);
    world_write(p, 7, 2); /* a new page at the old place */
    CHECK(world_swap_out(&w, page));
    CHECK_EQ(w.device.writes, writes);
    CHECK(world_swap_out(&w, world_page(p, 7)));
    world_check(&w);
    CHECK_EQ(world_read(p, 7), 2);
    CHECK_EQ(world_read(p, 600), 1);
    world_check(&w);
    world_fini(&w);
}

/* C10. everything on swap, then the fork; the child faults first */
RMAP_TEST(move, C10_a_space_entirely_on_swap_forks_and_the_child_faults_first)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *g = world_space(&w);
    world_write(g, 0, 1);
    struct world_space *p = world_fork(g);
    for (rmap_vpn_t v = 1; v < 5; v++) world_write(p, v, v);
    for (rmap_vpn_t v = 0; v < 5; v++) CHECK(world_swap_out(&w, world_page(p, v)));
    CHECK_EQ(w.frames_used, 0);
    struct world_space *c = world_fork(p);
    for (rmap_vpn_t v = 1; v < 5; v++) CHECK_EQ(world_read(c, v), v);
    world_check(&w);
    for (rmap_vpn_t v = 1; v < 5; v++) {
        CHECK_EQ(world_read(p, v), v);
        CHECK_EQ(world_mappers(&w, world_page(p, v)), 6);
    }
    world_check(&w);
    world_fini(&w);
}

/* 5-20 and 500-1500 every third, to 3001 + …: three source tables, other borders; 64 and more in a flight; some shared, some on
 * swap, the zero page, one locked */
RMAP_TEST(move, ranges_over_tables_with_other_borders_keep_everything_in_its_place)
{
    for (unsigned no_slots = 0; no_slots < 2; no_slots++) {
        struct world w;
        world_init(&w, &(struct world_options){.frames = 1024, .slots = 256, .no_slots = no_slots});
        struct world_space *p = world_space(&w);
        for (rmap_vpn_t v = 5; v < 20; v++) world_write(p, v, v);
        for (rmap_vpn_t v = 500; v < 1500; v += 3) world_write(p, v, v);
        struct world_space *c = world_fork(p);
        uint64_t expected[4] = {0};
        for (rmap_vpn_t v = 500; v < 1500; v += 3) {
            if (v % 4) world_write(p, v, v);
            if (v % 7 == 0) world_swap_out(&w, world_page(p, v));
            expected[v % 7 == 0 ? v % 4 ? 2 : 3 : v % 4 ? 0 : 1]++;
        }
        expected[1] += 15;
        world_map_special(p, 501);
        CHECK_OK(rmap_protect(&p->m, 503, 1, RMAP_PROTECT_LOCK));
        w.flush_calls = 0;
        CHECK_MOVED(world_move(p, 0, 3001, 1600), expected[0], expected[1], expected[2], expected[3]);
        CHECK_EQ(p->m.moved, expected[3]);
        CHECK_OK(rmap_zap(&p->m, 0, 1600, &(struct rmap_zapped){0}));
        CHECK_EQ(p->m.mapped + p->m.swapped, 15 + 334);
        CHECK(world_attr(p, 3001 + 503, RMAP_ATTR_LOCKED));
        CHECK(world_page(p, 3001 + 501) == w.special);
        world_check(&w);
        for (rmap_vpn_t v = 500; v < 1500; v += 3) {
            CHECK_EQ(world_read(p, 3001 + v), v);
            CHECK_EQ(world_read(c, v), v);
        }
        for (rmap_vpn_t v = 5; v < 20; v++) CHECK_EQ(world_read(p, 3001 + v), v);
        CHECK_EQ(p->m.moved, 0);
        world_check(&w);
        world_fini(&w);
    }
}

/* ---- in flight ---- */

static struct {
    struct world_space *s;
    struct rmap_page *page;
    unsigned calls, wrong;
} flight;
static void look_at_flight(void *ctx, const struct rmap_flush_range *ranges, size_t n)
{
    world_tlb_flush(ctx, ranges, n);
    flight.calls++;
    flight.wrong += world_entry(flight.s, 7) != 0 || world_entry(flight.s, 600) != 0;
    flight.wrong += rmap_page_try_lock(flight.page); /* B3: an evictor finds it BUSY, never unmapped */
    flight.wrong += rmap_page_mapcount(flight.page) < 1;
}

/* B3, B15. own page, and shared page: at the flush the entry has left 7 and is not at 600 yet */
RMAP_TEST(move, B15_the_flush_comes_before_the_destination_and_the_page_is_locked_meanwhile)
{
    for (unsigned shared = 0; shared < 2; shared++) {
        struct world w;
        world_init(&w, NULL);
        struct world_space *p = world_space(&w);
        world_write(p, 7, 1);
        if (shared) world_fork(p);
        flight.s = p;
        flight.page = world_page(p, 7);
        flight.calls = flight.wrong = 0;
        world_read(p, 7);
        w.ops.flush = look_at_flight;
        CHECK_MOVED(world_move(p, 7, 600, 1), !shared, shared, 0, 0);
        w.ops.flush = world_tlb_flush;
        CHECK_EQ(flight.calls, 1);
        CHECK_EQ(flight.wrong, 0);
        CHECK(!(rmap_page_flags(flight.page) & RMAP_PAGE_LOCKED));
        world_check(&w);
        world_fini(&w);
    }
}

/* Somebody holds the lock of one page (or of the cached page of a swap entry); when the pages before it have landed, he looks
 * for all mappings of his page, and only then unlocks. */
struct holder {
    struct world *w;
    struct world_space *s;
    struct rmap_page *page;
    rmap_vpn_t landed;
    unsigned hits, visits;
    enum rmap_outcome outcome;
    rmap_pte_t at_source;
};
static void *hold_and_look(void *arg)
{
    struct holder *h = arg;
    struct rmap_result res = {0};
    while (!world_entry(h->s, h->landed)) sched_yield();
    h->at_source = world_entry(h->s, 8);
    rmap_referenced(h->w->r, &h->page, 1, RMAP_KEEP_ACCESSED, &res);
    h->hits = res.hits;
    h->visits = res.visits;
    h->outcome = res.outcome;
    rmap_page_unlock(h->w->r, h->page);
    return NULL;
}

/* B3. 7, 8, 9 to 600-602; 8 is locked by another thread */
RMAP_TEST(move, B3_a_move_waits_for_a_page_lock_with_nothing_in_its_hands)
{
    for (unsigned on_swap = 0; on_swap < 2; on_swap++) {
        struct world w;
        world_init(&w, &(struct world_options){.caps = RMAP_MMU_NO_TLB});
        struct world_space *p = world_space(&w);
        for (rmap_vpn_t v = 7; v < 10; v++) world_write(p, v, v);
        struct holder h = {.w = &w, .s = p, .page = world_page(p, 8), .landed = 600};
        if (on_swap) world_unmap(&w, h.page, 0);
        pthread_t thread;
        rmap_page_get(h.page);
        rmap_page_lock(h.page);
        CHECK_EQ(pthread_create(&thread, NULL, hold_and_look, &h), 0);
        CHECK_MOVED(world_move(p, 7, 600, 3), 3 - on_swap, 0, on_swap, 0);
        pthread_join(thread, NULL);
        rmap_page_put(w.r, h.page);
        CHECK_NE(h.at_source, 0);
        CHECK_EQ(h.outcome, RMAP_DONE);
        CHECK_EQ(h.hits, !on_swap);
        for (rmap_vpn_t v = 7; v < 10; v++) CHECK_EQ(world_read(p, 593 + v), v);
        world_check(&w);
        world_fini(&w);
    }
}

/* ---- failure (B7) ---- */

/* P: 10 own, 11 shared, 12 own on swap, 13 shared on swap, 14 shared, 600 own (another table), 601 shared and moved on swap */
static struct world_space *mixed(struct world *w)
{
    struct world_space *p = world_space(w);
    static const rmap_vpn_t shared[] = {11, 13, 14, 601, 50};
    for (unsigned i = 0; i < 5; i++) world_write(p, shared[i], shared[i]);
    world_fork(p);
    world_write(p, 10, 10);
    world_write(p, 12, 12);
    world_write(p, 600, 600);
    CHECK(world_swap_out(w, world_page(p, 12)));
    CHECK(world_swap_out(w, world_page(p, 13)));
    CHECK(world_swap_out(w, world_page(p, 50)));
    world_zap(p, 601, 1);
    world_move(p, 50, 601, 1);
    return p;
}
static void check_mixed(struct world *w, struct world_space *p, rmap_vpn_t by)
{
    static const rmap_vpn_t at[] = {10, 11, 12, 13, 14, 600, 601};
    static const uint64_t value[] = {10, 11, 12, 13, 14, 600, 50};
    world_check(w);
    CHECK_EQ(p->m.mapped, 4);
    CHECK_EQ(p->m.swapped, 3);
    for (unsigned i = 0; i < 7; i++) {
        CHECK_NE(world_entry(p, at[i] + by), 0);
        CHECK_EQ(world_entry(p, at[i] + 2000 - by), 0);
    }
    if (by) CHECK_EQ(p->m.moved, 2);
    else CHECK_EQ(p->m.moved, 1);
    for (unsigned i = 0; i < 7; i++) CHECK_EQ(world_read(p, at[i] + by), value[i]);
    static const rmap_vpn_t shared[] = {11, 13, 14, 601, 50};
    for (unsigned i = 0; i < 5; i++) CHECK_EQ(world_read(w->spaces[1], shared[i]), shared[i]);
    CHECK_EQ(p->m.moved, 0);
    world_check(w);
}

/* B7: the n-th frame, or the n-th table, cannot be had */
RMAP_TEST(move, B7_a_move_that_fails_half_way_puts_everything_back)
{
    for (unsigned what = 0; what < 2; what++) {
        unsigned n = 1;
        for (int err = -1; err; n++) {
            struct world w;
            world_init(&w, NULL);
            struct world_space *p = mixed(&w);
            struct rmap_stats before = world_stats(&w);
            struct rmap_moved out = {.copied = 9};
            if (what) w.alloc.fail_at = w.alloc.calls + n;
            else w.frame_fail_at = w.frame_calls + n;
            err = rmap_move(&p->m, 0, 2000, 1000, &out);
            w.alloc.fail_at = w.frame_fail_at = 0;
            if (err) {
                CHECK_ERR(err, what ? RMAP_ERR_NOMEM : RMAP_ERR_NO_FRAME);
                CHECK_EQ(out.reindexed + out.copied + out.swap_moved + out.swap_shared, 0);
                CHECK_EQ(world_stats(&w).moved_reindexed, before.moved_reindexed);
                CHECK_EQ(world_stats(&w).moved_copied, before.moved_copied);
            } else {
                CHECK_MOVED(out, 2, 2, 1, 2);
            }
            check_mixed(&w, p, err ? 0 : 2000);
            world_fini(&w);
        }
        CHECK_EQ(n - 1, what ? 4 : 3); /* two frames, or three tables; with the next one it succeeds */
    }
}

/* 10 own and pinned: its frame stays, so it may be re-indexed. 14 shared and pinned: it may not be replaced by a copy. */
RMAP_TEST(move, E2_a_pinned_page_that_is_shared_stops_the_move)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = mixed(&w);
    struct rmap_page *page = world_page(p, 14), *own = world_page(p, 10);
    CHECK_OK(rmap_page_pin(w.r, page));
    CHECK_OK(rmap_page_pin(w.r, own));
    CHECK_ERR(rmap_move(&p->m, 0, 2000, 1000, NULL), RMAP_ERR_PINNED);
    CHECK(world_page(p, 14) == page);
    CHECK(world_page(p, 10) == own);
    rmap_page_unpin(w.r, page);
    rmap_page_unpin(w.r, own);
    check_mixed(&w, p, 0);
    world_fini(&w);
}
