/* SPDX-License-Identifier: MIT */
/** @file unit/test_move.c  Moves of present pages: what is ours is re-indexed (S8), what is shared is copied (S9). */
#include "support/world.h"
#include "unit/moved.h"

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
    EACH_POLICY(policy)
    {
        struct world w;
        world_init(&w, &(struct world_options){.policy = policy});
        struct world_space *g = world_space(&w);
        world_write(g, 7, 1);
        struct world_space *p = world_fork(g), *c = world_fork(p);
        struct rmap_page *page = world_page(p, 7);
        world_exit(g);
        world_exit(c);
        CHECK_OK(rmap_protect(&p->m, 7, 1, RMAP_PROTECT_LOCK));
        unsigned attrs = rmap_pte_attrs(p->mmu.ops->format, world_entry(p, 7));
        CHECK_CARRIED(&w, world_move(p, 7, 90, 1), 1, 0, 0, 0);
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
}

/* S9, B2. 7, 8, 9 of P; C has 7 and 9 still, wrote 8 */
RMAP_TEST(move, S9_S12_B2_shared_pages_are_copied_or_tracked_and_the_sibling_keeps_its_place)
{
    EACH_POLICY(policy)
    {
        struct world w;
        world_init(&w, &(struct world_options){.policy = policy});
        struct world_space *p = world_space(&w);
        for (rmap_vpn_t v = 7; v < 10; v++) world_write(p, v, v);
        struct world_space *c = world_fork(p);
        world_write(c, 8, 80);
        struct rmap_page *page = world_page(c, 7), *own = world_page(p, 8);
        w.copies = 0;
        CHECK_CARRIED(&w, world_move(p, 7, 700, 3), 1, 2, 0, 0);
        const bool track = policy == RMAP_MOVE_POLICY_TRACK;
        CHECK_EQ(w.copies, track ? 0 : 2); /* present shared pages only */
        CHECK(world_page(p, 701) == own);
        CHECK((world_page(p, 700) == page) == track);
        CHECK_EQ(rmap_page_index(page), 7);
        CHECK_EQ(rmap_page_index(world_page(p, 700)), track ? 7 : 700);
        for (rmap_vpn_t v = 7; v < 10; v++) CHECK_EQ(world_read(p, 693 + v), v);
        CHECK_EQ(world_read(c, 7), 7);
        CHECK_EQ(world_read(c, 8), 80);
        CHECK_EQ(world_mappers(&w, page), track ? 3 : 2);
        CHECK_EQ(world_mappers(&w, world_page(p, 700)), track ? 3 : 1);
        world_write(c, 7, 70); /* it is C's alone, where P has a copy */
        CHECK((world_page(c, 7) == page) == !track);
        CHECK_EQ(world_read(p, 700), 7);
        world_check(&w);
        world_fini(&w);
    }
}

/* B12, B13. five own pages rotate by moves over each other's places; then a fork shares them where they are */
RMAP_TEST(move, B12_B13_pages_that_changed_places_are_told_apart_and_forks_share_the_new_ones)
{
    EACH_POLICY(policy)
    {
        struct world w;
        world_init(&w, &(struct world_options){.policy = policy});
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
}

/* 5-20 and 500-1500 every third, to 3001 + …: three source tables, other borders; 64 and more in a flight; some shared, some on
 * swap, the zero page, one locked */
RMAP_TEST(move, ranges_over_tables_with_other_borders_keep_everything_in_its_place)
{
    EACH_POLICY(policy)
    {
        for (unsigned no_slots = 0; no_slots < 2; no_slots++) {
            struct world w;
            world_init(&w,
                       &(struct world_options){.frames = 1024, .slots = 256, .no_slots = no_slots, .policy = policy});
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
            CHECK_CARRIED(&w, world_move(p, 0, 3001, 1600), expected[0], expected[1], expected[2], expected[3]);
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
}

/* S12.  7, 8 = 1 of P and C; P moves them to 90 under a record, writes 90, and moves both back: 8 comes home shared, and needs
 * neither record nor copy */
RMAP_TEST(move, S12_what_comes_home_shared_is_not_copied)
{
    struct world w;
    world_init(&w, &(struct world_options){.policy = RMAP_MOVE_POLICY_TRACK});
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    world_write(p, 8, 1);
    struct world_space *c = world_fork(p);
    struct rmap_page *page = world_page(p, 8);
    CHECK_CARRIED(&w, world_move(p, 7, 90, 2), 0, 2, 0, 0);
    CHECK_EQ(world_stats(&w).track_records, 1);
    world_write(p, 90, 2);
    world_check(&w);
    CHECK_CARRIED(&w, world_move(p, 90, 7, 2), 1, 1, 0, 0);
    CHECK(world_page(p, 8) == page && world_page(c, 8) == page);
    CHECK_EQ(world_mappers(&w, page), 1 << p->number | 1 << c->number);
    CHECK_EQ(world_stats(&w).track_bytes, 0);
    CHECK_EQ(world_read(p, 7), 2);
    CHECK_EQ(world_read(c, 7), 1);
    world_check(&w);
    world_fini(&w);
}
