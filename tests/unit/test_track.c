/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_track.c  TRACK (S12, B16): moved pages stay shared, and every walk finds them at the moved place.
 *
 * Drawn as `space: vpn` or `space: vpn=index` for a page that lies elsewhere than its index; [first, end) +delta is a record.
 */
#include "support/other_thread.h"
#include "support/world.h"
#include "unit/moved.h"
#include "unit/places.h"

#include <core/track.h>

static void tracking(struct world *w)
{
    world_init(w, &(struct world_options){.policy = RMAP_MOVE_POLICY_TRACK});
}

/* Of one space's table. */
static unsigned records(struct world_space *s)
{
    const struct rmap__track *t = s->m.track;
    return t ? t->count : 0;
}
static bool may(struct world_space *s, rmap_vpn_t index, rmap_vpn_t vpn)
{
    return rmap_member_may_map(&s->m, index, vpn);
}

/* P writes 7 and forks C: both map it */
static struct world_space *pair(struct world *w, struct world_space **c)
{
    struct world_space *p = world_space(w);
    world_write(p, 7, 1);
    *c = world_fork(p);
    w->copies = 0;
    return p;
}

/* ---- finding ---- */

/* P: 0 and 99 shared → 1000: [0,100) +1000. Then 15 → 5000: [15,16) +4985, inside the first. Ranges end where they say. */
RMAP_TEST(track, a_record_inside_another_ends_where_it_ends)
{
    struct world w;
    tracking(&w);
    struct world_space *p = world_space(&w);
    world_write(p, 0, 1);
    world_write(p, 99, 2);
    world_fork(p);
    CHECK_EQ(world_move(p, 0, 1000, 100).tracked, 2);
    world_write(p, 15, 3);
    world_fork(p);
    CHECK_EQ(world_move(p, 15, 5000, 1).tracked, 1);
    CHECK_EQ(records(p), 2);
    for (rmap_vpn_t index = 14; index < 17; index++) {
        CHECK(may(p, index, index + 1000));
        CHECK_EQ(may(p, index, index + 4985), index == 15);
    }
    CHECK(may(p, 99, 1099));
    CHECK(!may(p, 100, 1100));
    world_check(&w);
    world_fini(&w);
}

/* P: 700=7, C: 7 */
RMAP_TEST(track, S12_B16_a_moved_page_stays_shared_and_every_verb_finds_it_at_both_places)
{
    struct world w;
    tracking(&w);
    struct world_space *c, *p = pair(&w, &c);
    struct rmap_page *page = world_page(p, 7);
    CHECK_CARRIED(&w, world_move(p, 7, 700, 1), 0, 1, 0, 0);
    CHECK_EQ(w.copies, 0);
    CHECK(world_page(p, 700) == page && world_page(c, 7) == page);
    CHECK_EQ(world_entry(p, 7), 0);
    CHECK_EQ(rmap_page_index(page), 7);
    CHECK(may(p, 7, 700) && may(p, 7, 7) && may(c, 7, 7));
    CHECK(!may(c, 7, 700) && !may(p, 8, 701) && !may(p, 6, 699));
    CHECK_PLACES(&w, page, {0, 700}, {1, 7});
    world_check(&w);

    world_read(p, 700);
    world_read(c, 7);
    CHECK_EQ(world_referenced(&w, page).hits, 2);
    CHECK(!world_attr(p, 700, RMAP_ATTR_ACCESSED) && !world_attr(c, 7, RMAP_ATTR_ACCESSED));
    CHECK_EQ(world_protect(&w, page).hits, 2);
    struct rmap_result res = world_unmap(&w, page, 0);
    CHECK_EQ(res.outcome, RMAP_DONE);
    CHECK_EQ(res.hits, 2);
    CHECK_EQ(world_kind(p, 700), RMAP_PTE_SWAP);
    CHECK_EQ(world_kind(c, 7), RMAP_PTE_SWAP);
    world_check(&w);
    CHECK_EQ(world_stats(&w).moved_tracked, 1);
    world_fini(&w);
}

/* P: 100…163=0…63 in one record, C: 0…63. One table of the destination, so a batch needs one descent for all of P */
RMAP_TEST(track, a_batch_finds_a_moved_range_by_one_record)
{
    struct world w;
    tracking(&w);
    struct world_space *p = world_space(&w);
    struct rmap_page *page[64];
    struct rmap_result res[64];
    for (rmap_vpn_t v = 0; v < 64; v++) world_write(p, v, v);
    struct world_space *c = world_fork(p);
    CHECK_CARRIED(&w, world_move(p, 0, 100, 64), 0, 64, 0, 0);
    CHECK_EQ(records(p), 1);
    for (unsigned i = 0; i < 64; i++) CHECK(rmap_page_try_lock(page[i] = world_page(c, i)));
    uint64_t before = w.run_locks;
    CHECK_OK(rmap_referenced(w.r, page, 64, 0, res));
    CHECK_EQ(w.run_locks - before, 2); /* P at the images, C; P at the indices is seen to be empty without a lock */
    for (unsigned i = 0; i < 64; i++) {
        CHECK_EQ(res[i].outcome, RMAP_DONE);
        CHECK_EQ(res[i].hits, 2);
        CHECK_EQ(res[i].visits, 2);
        rmap_page_unlock(w.r, page[i]);
    }
    world_check(&w);
    world_fini(&w);
}

/* P: 7 → 100 → 300: one record, of the way from the index */
RMAP_TEST(track, a_page_that_moves_on_leaves_no_record_behind)
{
    struct world w;
    tracking(&w);
    struct world_space *c, *p = pair(&w, &c);
    struct rmap_page *page = world_page(p, 7);
    world_move(p, 7, 100, 1);
    CHECK_CARRIED(&w, world_move(p, 100, 300, 1), 0, 1, 0, 0);
    CHECK(may(p, 7, 300) && !may(p, 7, 100));
    CHECK_EQ(records(p), 1);
    CHECK_PLACES(&w, page, {0, 300}, {1, 7});
    world_check(&w);
    world_fini(&w);
}

/* P: 7 → 100 → 7; and 7, 8 → 100, 101 → 7, 8 with 8 P's own */
RMAP_TEST(track, a_shared_page_moves_home_without_a_copy_and_leaves_no_record)
{
    struct world w;
    tracking(&w);
    struct world_space *c, *p = pair(&w, &c);
    struct rmap_page *page = world_page(p, 7);
    world_move(p, 7, 100, 1);
    CHECK_CARRIED(&w, world_move(p, 100, 7, 1), 0, 1, 0, 0);
    CHECK(world_page(p, 7) == page);
    CHECK_EQ(w.copies, 0);
    CHECK_EQ(world_stats(&w).track_bytes, 0);
    world_write(p, 8, 8);
    CHECK_CARRIED(&w, world_move(p, 7, 100, 2), 1, 1, 0, 0);
    CHECK_CARRIED(&w, world_move(p, 100, 7, 2), 1, 1, 0, 0);
    CHECK_EQ(world_stats(&w).track_bytes, 0);
    CHECK_PLACES(&w, page, {0, 7}, {1, 7});
    world_check(&w);
    world_fini(&w);
}

/* P: 700=7, forks D, which moves to 900 */
RMAP_TEST(track, a_child_shares_the_table_until_one_of_them_moves)
{
    struct world w;
    tracking(&w);
    struct world_space *c, *p = pair(&w, &c);
    struct rmap_page *page = world_page(p, 7);
    world_move(p, 7, 700, 1);
    const uint64_t bytes = world_stats(&w).track_bytes;
    CHECK_NE(bytes, 0);
    struct world_space *d = world_fork(p);
    CHECK_EQ(world_stats(&w).track_bytes, bytes);
    CHECK(p->m.track == d->m.track);
    CHECK_PLACES(&w, page, {0, 700}, {1, 7}, {2, 700});
    CHECK_CARRIED(&w, world_move(d, 700, 900, 1), 0, 1, 0, 0);
    CHECK_EQ(world_stats(&w).track_records, 2);
    CHECK(may(p, 7, 700) && !may(p, 7, 900) && may(d, 7, 900) && !may(d, 7, 700));
    CHECK_PLACES(&w, page, {0, 700}, {1, 7}, {2, 900});
    world_move(p, 700, 50, 1);
    CHECK_PLACES(&w, page, {0, 50}, {1, 7}, {2, 900});
    world_exit(p);
    CHECK_PLACES(&w, page, {1, 7}, {2, 900});
    CHECK_EQ(world_stats(&w).track_records, 1);
    world_check(&w);
    world_fini(&w);
}

/* P: 100=7 of old, 200=7 of new, 7 newest: three pages of one index. C has the old, D the old (at 100) and the new */
RMAP_TEST(track, B13_pages_of_one_index_are_told_apart_at_every_place)
{
    struct world w;
    tracking(&w);
    struct world_space *c, *p = pair(&w, &c);
    struct rmap_page *old = world_page(p, 7);
    world_move(p, 7, 100, 1);
    world_write(p, 7, 2);
    struct rmap_page *fresh = world_page(p, 7);
    struct world_space *d = world_fork(p);
    world_move(p, 7, 200, 1);
    world_write(p, 7, 3);
    CHECK_EQ(w.copies, 0);
    CHECK_PLACES(&w, old, {0, 100}, {1, 7}, {2, 100});
    CHECK_PLACES(&w, fresh, {0, 200}, {2, 7});
    CHECK_PLACES(&w, world_page(p, 7), {0, 7});
    world_move(p, 100, 300, 1); /* they change places */
    world_move(p, 200, 100, 1);
    world_move(p, 300, 200, 1);
    CHECK_PLACES(&w, old, {0, 200}, {1, 7}, {2, 100});
    CHECK_PLACES(&w, fresh, {0, 100}, {2, 7});
    CHECK_EQ(world_read(p, 100), 2);
    CHECK_EQ(world_read(p, 200), 1);
    CHECK_EQ(world_read(p, 7), 3);
    CHECK_EQ(world_read(d, 100), 1);
    world_check(&w);
    world_fini(&w);
}

/* ---- what is the space's alone ---- */

/* P: 7 shared, 8 its own. → 700, 701; C ends: 700 is P's alone; written, or moved on */
RMAP_TEST(track, S8_what_is_the_spaces_alone_is_reindexed_and_the_record_dies_with_its_place)
{
    for (unsigned write = 0; write < 2; write++) {
        struct world w;
        tracking(&w);
        struct world_space *c, *p = pair(&w, &c);
        struct rmap_page *page = world_page(p, 7);
        world_write(p, 8, 2);
        CHECK_CARRIED(&w, world_move(p, 7, 700, 2), 1, 1, 0, 0);
        CHECK_EQ(rmap_page_index(world_page(p, 701)), 701);
        CHECK(!may(p, 8, 701));
        world_exit(c);
        CHECK_EQ(rmap_page_index(page), 7); /* nobody has looked */
        if (write) {
            world_write(p, 700, 3);
            CHECK(world_page(p, 700) == page);
            CHECK_EQ(rmap_page_index(page), 700);
            CHECK_EQ(records(p), 1); /* harmless, until the place is emptied */
            CHECK_PLACES(&w, page, {0, 700});
            world_zap(p, 700, 1);
        } else {
            CHECK_CARRIED(&w, world_move(p, 700, 900, 1), 1, 0, 0, 0);
            CHECK_EQ(rmap_page_index(page), 900);
            CHECK_PLACES(&w, page, {0, 900});
        }
        CHECK_EQ(world_stats(&w).track_bytes, 0);
        CHECK_EQ(w.copies, 0);
        world_check(&w);
        world_fini(&w);
    }
}

/* P: 7 with 8 kids, moved by P to 700; it is left in the fifth kid alone, and in P where it is moved */
RMAP_TEST(track, tightening_leads_to_a_space_that_maps_the_page_at_an_image)
{
    struct world w;
    tracking(&w);
    struct world_space *g = world_space(&w), *p;
    world_write(g, 7, 1);
    struct rmap_page *page = world_page(g, 7);
    for (unsigned i = 0; i < 4; i++) world_fork(g);
    p = world_fork(g);
    world_move(p, 7, 700, 1);
    struct world_space *kid = world_fork(p);
    for (unsigned i = 0; i < 5; i++) world_zap(w.spaces[i], 7, 1);
    world_zap(kid, 700, 1);
    struct rmap_result res = world_referenced(&w, page);
    CHECK_EQ(res.tightened, 1);
    CHECK_EQ(res.hits, 1);
    CHECK_EQ(rmap_page_owner(page), rmap_member_home(&p->m));
    CHECK_EQ(rmap_page_index(page), 7);
    res = world_referenced(&w, page);
    CHECK_EQ(res.visits, 1);
    CHECK_EQ(res.hits, 1);
    world_check(&w);
    world_fini(&w);
}

/* ---- records ---- */

/* P: 4…7 shared with C, 5 P's own. [4,8) → 104: one record over all; [4,6) and [6,8) one by one: they join */
RMAP_TEST(track, S12_records_cover_what_lies_between_and_join_where_they_touch)
{
    for (unsigned halves = 0; halves < 2; halves++) {
        struct world w;
        tracking(&w);
        struct world_space *p = world_space(&w);
        for (rmap_vpn_t v = 4; v < 8; v++) world_write(p, v, v);
        world_fork(p);
        world_write(p, 5, 50);
        if (halves) {
            world_move(p, 4, 104, 2);
            world_move(p, 6, 106, 2);
            CHECK(!may(p, 5, 105)); /* 4 and 6 do not touch */
            CHECK_EQ(records(p), 2);
        } else {
            CHECK_CARRIED(&w, world_move(p, 4, 104, 4), 1, 3, 0, 0);
            CHECK(may(p, 5, 105));
            CHECK_EQ(records(p), 1);
        }
        for (rmap_vpn_t v = 4; v < 8; v++) CHECK_EQ(world_read(p, v + 100), v == 5 ? 50 : v);
        world_check(&w);
        world_fini(&w);
    }
    struct world w;
    tracking(&w);
    struct world_space *p = world_space(&w);
    for (rmap_vpn_t v = 4; v < 8; v++) world_write(p, v, v);
    world_fork(p);
    for (rmap_vpn_t v = 4; v < 8; v++) world_move(p, v, v + 100, 1);
    CHECK_EQ(records(p), 1);
    world_check(&w);
    world_fini(&w);
}

/* P: 104…111=4…11. [106,108) is zapped: of [4,12) +100 remain [4,6) and [8,12); without memory all of it, which harms nobody */
RMAP_TEST(track, a_zap_splits_the_record_of_its_range_or_without_memory_leaves_it)
{
    for (unsigned failing = 0; failing < 2; failing++) {
        struct world w;
        tracking(&w);
        struct world_space *p = world_space(&w);
        for (rmap_vpn_t v = 4; v < 12; v++) world_write(p, v, v);
        struct world_space *c = world_fork(p);
        world_move(p, 4, 104, 8);
        if (failing) w.alloc.fail_at = w.alloc.calls + 1;
        world_zap(p, 106, 2);
        w.alloc.fail_at = 0;
        CHECK_EQ(records(p), failing ? 1 : 2);
        for (rmap_vpn_t v = 4; v < 12; v++) CHECK_EQ(may(p, v, v + 100), failing || v < 6 || v > 7);
        CHECK(!may(p, 3, 103) && !may(p, 12, 112));
        world_check(&w);
        world_write(p, 106, 60); /* another page at an image that nothing is left of */
        CHECK_PLACES(&w, world_page(c, 6), {1, 6});
        CHECK_PLACES(&w, world_page(p, 106), {0, 106});
        CHECK_PLACES(&w, world_page(c, 8), {0, 108}, {1, 8});
        world_zap(p, 100, 20);
        CHECK_EQ(world_stats(&w).track_bytes, 0);
        world_check(&w);
        world_fini(&w);
    }
}

/* P: 700=7; exits; and: forks a child that is given up again */
RMAP_TEST(track, exit_exec_and_an_aborted_fork_leave_no_bytes)
{
    struct world w;
    tracking(&w);
    struct world_space *c, *p = pair(&w, &c);
    struct rmap_page *page = world_page(p, 7);
    world_move(p, 7, 700, 1);
    const uint64_t bytes = world_stats(&w).track_bytes;
    for (unsigned copied = 0; copied < 2; copied++) {
        struct rmap_fork f;
        struct world_space *kid = world_space_blank(&w);
        CHECK_OK(rmap_fork_begin(&p->m, &kid->m, &kid->mmu, &f));
        CHECK(may(kid, 7, 700)); /* from the section that inserts it */
        if (copied) CHECK_OK(rmap_fork_copy(&f, 0, p->mmu.pages, RMAP_FORK_COW));
        if (copied) CHECK_EQ(world_look(&w, page).hits, 3);
        rmap_fork_abort(&f);
        world_space_free(kid);
        CHECK_EQ(world_stats(&w).track_bytes, bytes);
        CHECK_EQ(((struct rmap__track *)p->m.track)->refs, 1);
    }
    CHECK_PLACES(&w, page, {0, 700}, {1, 7});
    CHECK_OK(rmap_zap(&p->m, 0, p->mmu.pages, NULL));
    CHECK_OK(rmap_member_leave(&p->m));
    CHECK_EQ(world_stats(&w).track_bytes, 0);
    CHECK_OK(rmap_member_init(w.r, &p->m, &p->mmu));
    CHECK_EQ(p->m.policy, RMAP_MOVE_POLICY_COPY);
    CHECK(!may(p, 7, 700));
    world_check(&w);
    world_fini(&w);
}

/* ---- bounds: then a move copies ---- */

/* P: one page of index 7 after the other moves on, shared with a child of its own: eight places of one index, no ninth */
RMAP_TEST(track, S12_more_than_eight_places_of_one_index_are_not_recorded)
{
    struct world w;
    tracking(&w);
    struct world_space *p = world_space(&w);
    for (unsigned k = 1; k <= 8; k++) {
        world_write(p, 7, k);
        world_fork(p);
        CHECK_CARRIED(&w, world_move(p, 7, 100 * k, 1), 0, 1, 0, 0);
    }
    world_write(p, 7, 9);
    world_write(p, 8, 9);
    world_fork(p);
    w.copies = 0;
    CHECK_MOVED(world_move(p, 7, 900, 2), 0, 2, 0, 0); /* the whole move copies */
    CHECK_EQ(w.copies, 2);
    CHECK_EQ(records(p), 8);
    for (unsigned k = 1; k <= 9; k++) CHECK_EQ(world_read(p, 100 * k), k);
    world_check(&w);
    world_zap(p, 300, 1); /* room for one */
    world_write(p, 7, 10);
    world_fork(p);
    CHECK_CARRIED(&w, world_move(p, 7, 1000, 1), 0, 1, 0, 0);
    CHECK_CARRIED(&w, world_move(p, 1000, 300, 1), 0, 1, 0, 0); /* a move frees what it leaves */
    world_check(&w);
    world_fini(&w);
}

/* P: 100=5 … 800=5 shared, 4 and 6 shared: moved as one range they would make a record over 5, too. By the model: bound_by_moved */
RMAP_TEST(track, the_bound_counts_for_indices_between_the_moved_ones)
{
    struct world w;
    tracking(&w);
    struct world_space *p = world_space(&w);
    for (unsigned k = 1; k <= 8; k++) {
        world_write(p, 5, k);
        world_fork(p);
        world_move(p, 5, 100 * k, 1);
    }
    world_write(p, 4, 4);
    world_write(p, 6, 6);
    world_fork(p);
    CHECK_MOVED(world_move(p, 4, 904, 3), 0, 2, 0, 0);
    CHECK_EQ(records(p), 8);
    world_check(&w);
    world_fini(&w);
}

/* P: 0 … 1024, shared. i → 5000 - i: a distance each, 1,024 records; the next is copied */
RMAP_TEST(track, S12_no_table_has_more_than_1024_records)
{
    struct world w;
    world_init(&w, &(struct world_options){.policy = RMAP_MOVE_POLICY_TRACK, .frames = 1040, .no_contents = true});
    struct world_space *p = world_space(&w);
    for (rmap_vpn_t v = 0; v <= 1024; v++) world_write(p, v, 0);
    world_fork(p);
    for (rmap_vpn_t v = 0; v < 1024; v++) CHECK_CARRIED(&w, world_move(p, v, 5000 - v, 1), 0, 1, 0, 0);
    CHECK_EQ(records(p), 1024);
    CHECK_MOVED(world_move(p, 1024, 5000 - 1024, 1), 0, 1, 0, 0);
    CHECK_CARRIED(&w, world_move(p, 5000 - 1023, 6000, 1), 0, 1, 0, 0); /* no more than there were */
    world_check(&w);
    world_fini(&w);
}

/* P: 100 + 2i = i for n pages, each at a distance of its own; moved on together: 16 distances, not 17 */
RMAP_TEST(track, S12_a_move_records_sixteen_distances_at_most)
{
    for (unsigned n = 16; n < 18; n++) {
        struct world w;
        tracking(&w);
        struct world_space *p = world_space(&w);
        for (rmap_vpn_t v = 0; v < n; v++) world_write(p, v, v);
        struct world_space *c = world_fork(p);
        for (rmap_vpn_t v = 0; v < n; v++) CHECK_CARRIED(&w, world_move(p, v, 100 + 2 * v, 1), 0, 1, 0, 0);
        if (n == 16) {
            CHECK_CARRIED(&w, world_move(p, 100, 500, 40), 0, 16, 0, 0);
            CHECK_EQ(records(p), 16);
            for (rmap_vpn_t v = 0; v < n; v++) CHECK_PLACES(&w, world_page(c, v), {0, 500 + 2 * v}, {1, v});
        } else {
            CHECK_MOVED(world_move(p, 100, 500, 40), 0, 17, 0, 0);
            CHECK_EQ(records(p), 0); /* nothing is left at 100 */
        }
        for (rmap_vpn_t v = 0; v < n; v++) CHECK_EQ(world_read(p, 500 + 2 * v), v);
        world_check(&w);
        world_fini(&w);
    }
}

/* ---- swap ---- */

/* P: 700=7, C: 7. swapped out before the move or after; P first, C first, or P ends */
RMAP_TEST(track, S10_B4_a_swap_entry_at_a_recorded_place_is_mapped_and_not_copied)
{
    for (unsigned way = 0; way < 12; way++) {
        const bool before = way & 1, cached = way & 2;
        const unsigned who = way >> 2;
        struct world w;
        tracking(&w);
        struct world_space *c, *p = pair(&w, &c);
        struct rmap_page *page = world_page(p, 7);
        if (!before) CHECK_CARRIED(&w, world_move(p, 7, 700, 1), 0, 1, 0, 0);
        if (cached)
            CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE);
        else
            CHECK(world_swap_out(&w, page));
        const uint64_t reads = w.device.reads;
        if (before) CHECK_CARRIED(&w, world_move(p, 7, 700, 1), 0, 0, 0, 1);
        CHECK_EQ(w.device.reads, reads);
        struct rmap_slot_home home;
        rmap_swp_t entry = rmap_pte_swp(p->mmu.ops->format, world_entry(p, 700));
        CHECK_OK(rmap_swap_get_ops()->get_home(w.swap, entry, &home));
        CHECK_EQ(home.index, 7);
        CHECK(home.moved);
        CHECK_EQ(p->m.moved, 1);
        CHECK_EQ(c->m.moved, 0);
        world_check(&w);
        if (who == 0) CHECK_EQ(world_read(p, 700), 1);
        if (who < 2) CHECK_EQ(world_read(c, 7), 1);
        if (who == 1) CHECK_EQ(world_read(p, 700), 1);
        if (who == 2) {
            world_exit(p);
            CHECK_EQ(world_read(c, 7), 1);
            CHECK_PLACES(&w, world_page(c, 7), {1, 7});
        } else {
            CHECK(world_page(p, 700) == world_page(c, 7));
            CHECK_EQ(rmap_page_index(world_page(p, 700)), 7);
            CHECK_EQ(p->m.moved, 0);
            CHECK_PLACES(&w, world_page(c, 7), {0, 700}, {1, 7});
        }
        CHECK_EQ(w.copies, 0);
        world_check(&w);
        world_write(c, 7, 2); /* and it is copied when it is written */
        if (who < 2) CHECK_EQ(world_read(p, 700), 1);
        world_check(&w);
        world_fini(&w);
    }
}

/* P: 700=7, C: 7, on swap; P comes in alone, the first: the page is P's and still of index 7. Out again, and in by both */
RMAP_TEST(track, C9_a_page_that_comes_in_at_an_image_first_is_found_there_and_goes_out_again)
{
    struct world w;
    tracking(&w);
    struct world_space *c, *p = pair(&w, &c);
    world_move(p, 7, 700, 1);
    CHECK(world_swap_out(&w, world_page(p, 700)));
    CHECK_EQ(world_read(p, 700), 1);
    struct rmap_page *page = world_page(p, 700);
    CHECK_PLACES(&w, page, {0, 700});
    CHECK_EQ(p->m.moved, 0);
    world_check(&w);
    CHECK(world_swap_out(&w, page));
    CHECK_EQ(p->m.moved, 1);
    world_check(&w);
    CHECK_EQ(world_read(c, 7), 1);
    CHECK_EQ(world_read(p, 700), 1);
    CHECK_PLACES(&w, world_page(c, 7), {0, 700}, {1, 7});
    CHECK_EQ(w.copies, 0);
    world_check(&w);
    world_fini(&w);
}

/* P: 700=7 by a record, 800=8 by a move under COPY while on swap: only the second is copied when it comes in */
RMAP_TEST(track, records_count_whatever_the_policy_is_now)
{
    struct world w;
    tracking(&w);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    world_write(p, 8, 2);
    struct world_space *c = world_fork(p);
    world_move(p, 7, 700, 1);
    CHECK_OK(rmap_member_set_policy(&p->m, RMAP_MOVE_POLICY_COPY));
    struct rmap_page *page = world_page(p, 700);
    CHECK_PLACES(&w, page, {0, 700}, {1, 7});
    CHECK(world_swap_out(&w, page));
    CHECK(world_swap_out(&w, world_page(p, 8)));
    w.copies = 0;
    CHECK_MOVED(world_move(p, 8, 800, 1), 0, 0, 0, 1);
    CHECK_EQ(world_read(p, 700), 1);
    CHECK_EQ(w.copies, 0);
    CHECK_EQ(world_read(p, 800), 2);
    CHECK_EQ(w.copies, 1);
    CHECK_EQ(world_read(c, 7), 1);
    CHECK_EQ(world_read(c, 8), 2);
    CHECK(world_page(c, 7) == world_page(p, 700));
    CHECK_MOVED(world_move(p, 700, 900, 1), 0, 1, 0, 0); /* now it is copied, and the record goes */
    CHECK_EQ(world_stats(&w).track_bytes, 0);
    world_check(&w);
    world_fini(&w);
}

/* ---- pins, failures, bad arguments ---- */

/* P: 7 shared and pinned: its frame stays where it is, so it may be tracked; it may not be replaced by a copy */
RMAP_TEST(track, E2_a_pinned_shared_page_moves_under_a_record_but_not_by_a_copy)
{
    struct world w;
    tracking(&w);
    struct world_space *c, *p = pair(&w, &c);
    struct rmap_page *page = world_page(p, 7);
    CHECK_OK(rmap_page_pin(w.r, page));
    CHECK_CARRIED(&w, world_move(p, 7, 700, 1), 0, 1, 0, 0);
    CHECK(world_page(p, 700) == page);
    CHECK_OK(rmap_member_set_policy(&p->m, RMAP_MOVE_POLICY_COPY));
    w.flush_calls = 0;
    CHECK_ERR(rmap_move(&p->m, 700, 900, 1, NULL), RMAP_ERR_BUSY);
    CHECK_EQ(w.flush_calls, 0);
    CHECK_PLACES(&w, page, {0, 700}, {1, 7});
    rmap_page_unpin(w.r, page);
    world_check(&w);
    world_fini(&w);
}

/* P: 7 and 10=600 shared, 8 own, 9 own under migration: the move ends there; or there is no memory for a table or for records */
RMAP_TEST(track, B7_a_move_that_fails_leaves_pages_and_table_as_they_were)
{
    unsigned failures = 0;
    for (unsigned n = 0; n < 8; n++) {
        struct world w;
        tracking(&w);
        struct world_space *p = world_space(&w);
        for (rmap_vpn_t v = 7; v < 11; v++) world_write(p, v, v);
        world_write(p, 600, 600);
        struct world_space *c = world_fork(p);
        world_write(p, 8, 8);
        world_write(p, 9, 9);
        world_zap(p, 10, 1);
        world_move(p, 600, 10, 1);
        const struct rmap_pte_format *f = p->mmu.ops->format;
        const rmap_pte_t e = world_entry(p, 9);
        struct rmap__track *table = p->m.track;
        const uint64_t bytes = world_stats(&w).track_bytes;
        if (n == 0)
            world_set_entry(p, 9, rmap_pte_to_kind(f, e, RMAP_PTE_MIGRATION));
        else
            w.alloc.fail_at = w.alloc.calls + n;
        int err = rmap_move(&p->m, 7, 2000, 4, NULL);
        w.alloc.fail_at = 0;
        if (err) {
            failures++;
            CHECK_ERR(err, n ? RMAP_ERR_NOMEM : RMAP_ERR_BUSY);
            if (!n) world_set_entry(p, 9, e);
            CHECK(p->m.track == table);
            CHECK_EQ(table->refs, 1);
            CHECK_EQ(world_stats(&w).track_bytes, bytes);
            CHECK_EQ(world_stats(&w).moved_tracked, 1); /* before */
        }
        CHECK_PLACES(&w, world_page(c, 7), {0, err ? 7 : 2000}, {1, 7});
        CHECK_PLACES(&w, world_page(c, 600), {0, err ? 10 : 2003}, {1, 600});
        for (rmap_vpn_t v = 7; v < 10; v++) CHECK_EQ(world_read(p, err ? v : v + 1993), v);
        CHECK_EQ(world_read(p, err ? 10 : 2003), 600);
        world_check(&w);
        world_fini(&w);
    }
    CHECK_EQ(failures, 4); /* the entry that cannot move; two tables of records; the page table */
}

/* ---- what the survey cannot know ---- */

static struct {
    struct rmap_swap_ops ops;
    const struct rmap_swap_ops *own;
    struct world_space *reader;
} late;
/* Between the survey's look at the mapcount and at the slot's count the sibling swaps in: 1 + 0 says alone. */
static uint32_t count_late(void *swap, rmap_swp_t entry)
{
    struct world_space *s = late.reader;
    late.reader = NULL;
    if (s) {
        unsigned runs =
            s->w->runs; /* another processor's doing, it has nothing to do with the run that is locked here */
        s->w->runs = 0;
        AS_ANOTHER_THREAD(CHECK_EQ(world_read(s, 7), 1));
        s->w->runs = runs;
    }
    return late.own->count(swap, entry);
}

/* P maps 7, cached; C has an entry of its slot, and swaps it in while P's move makes its survey: no record covers 700 */
RMAP_TEST(track, what_looked_alone_to_the_survey_is_copied_and_not_lost)
{
    struct world w;
    tracking(&w);
    struct world_space *c, *p = pair(&w, &c);
    CHECK_EQ(world_unmap(&w, world_page(p, 7), 0).outcome, RMAP_DONE);
    CHECK_EQ(world_read(p, 7), 1);
    struct rmap_page *page = world_page(p, 7);
    late.own = w.r->swap;
    late.ops = *w.r->swap;
    late.ops.count = count_late;
    late.reader = c;
    w.r->swap = &late.ops;
    CHECK_MOVED(world_move(p, 7, 700, 1), 0, 1, 0, 0);
    w.r->swap = late.own;
    CHECK_PLACES(&w, page, {1, 7});
    CHECK_EQ(world_read(p, 700), 1);
    CHECK(world_page(p, 700) != page);
    world_check(&w);
    world_fini(&w);
}

/* H1, H2 */
RMAP_TEST(track, policies_and_questions_are_checked)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *blank = world_space_blank(&w);
    CHECK_EQ(p->m.policy, RMAP_MOVE_POLICY_COPY);
    CHECK_ERR(rmap_member_set_policy(NULL, RMAP_MOVE_POLICY_TRACK), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_member_set_policy(&blank->m, RMAP_MOVE_POLICY_TRACK), RMAP_ERR_DEAD);
    CHECK_ERR(rmap_member_set_policy(&p->m, (enum rmap_move_policy)2), RMAP_ERR_INVALID);
    CHECK_EQ(p->m.policy, RMAP_MOVE_POLICY_COPY);
    CHECK_OK(rmap_member_set_policy(&p->m, RMAP_MOVE_POLICY_TRACK));
    CHECK_EQ(world_fork(p)->m.policy, RMAP_MOVE_POLICY_TRACK);
    CHECK(!rmap_member_may_map(NULL, 7, 7));
    CHECK(!rmap_member_may_map(&blank->m, 7, 7));
    world_space_free(blank);
    world_fini(&w);
}

/* ---- verify ---- */

static void check_report(struct world *w, const char *invariant, const char *words)
{
    struct rmap_verify_report report;
    CHECK_ERR(rmap_verify(w->r, &report), RMAP_ERR_VERIFY);
    CHECK_STR(report.invariant, invariant);
    if (!strstr(report.text, words)) TEST_FAIL("expected …%s…, got %s", words, report.text);
}

/* P: 700=7 without its record */
RMAP_TEST(track, INV_1_a_mapping_at_a_place_that_no_record_covers_is_found)
{
    struct world w;
    tracking(&w);
    struct world_space *c, *p = pair(&w, &c);
    struct rmap_page *page = world_page(p, 7);
    world_move(p, 7, 700, 1);
    struct rmap__track *table = p->m.track;
    p->m.track = NULL;
    check_report(&w, "INV-1", "0x2bc");
    struct rmap_verify_report report;
    CHECK_ERR(rmap_verify_page(w.r, page, &report), RMAP_ERR_VERIFY);
    CHECK_STR(report.invariant, "INV-2");                    /* it looks where it may be */
    CHECK_EQ(world_look(&w, page).outcome, RMAP_INCOMPLETE); /* and a walk does not claim what it has not seen */
    p->m.track = table;
    world_check(&w);
    world_fini(&w);
}

/* P: 104…=4…, 900=600: two records, each of their fields spoiled in turn */
RMAP_TEST(track, malformed_tables_are_found)
{
    struct world w;
    tracking(&w);
    struct world_space *p = world_space(&w);
    for (rmap_vpn_t v = 4; v < 8; v++) world_write(p, v, v);
    world_write(p, 600, 600);
    world_fork(p);
    world_move(p, 4, 104, 4);
    world_move(p, 600, 900, 1);
    struct rmap__track *t = p->m.track;
    CHECK_EQ(t->count, 2);
    const struct rmap__track_record good[2] = {t->record[0], t->record[1]};
    for (unsigned spoil = 0; spoil < 8; spoil++) {
        struct rmap__track_record *x = &t->record[1];
        uint32_t refs = t->refs, count = t->count;
        switch (spoil) {
        case 0:
            x->first = 3;
            break; /* out of order */
        case 1:
            x->end = x->first;
            break;
        case 2:
            x->delta = 0;
            break;
        case 3:
            x->reach--;
            break;
        case 4:
            x->delta = p->mmu.pages - 600;
            break; /* its image begins outside … */
        case 5:
            x->delta = -(uint64_t)601;
            break; /* … or before 0 */
        case 6:
            t->refs = 0;
            break;
        default:
            t->count = 0;
        }
        check_report(&w, "track", spoil < 6 ? "record 1" : "table of");
        t->refs = refs;
        t->count = count;
        t->record[0] = good[0];
        t->record[1] = good[1];
    }
    world_check(&w);
    world_fini(&w);
}
