/* SPDX-License-Identifier: MIT */
/** @file unit/test_move_swap.c  Moves of what is on swap: it stays there (S10). */
#include "support/world.h"
#include "unit/moved.h"

static const struct rmap_swap_ops *swap_ops(void)
{
    return rmap_swap_get_ops();
}
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

/* S10, C12. 7 on swap, P's alone; moved to 600, forked: shared by both at 600 */
RMAP_TEST(move_swap, S10_C12_a_sole_swap_entry_stays_on_swap_and_its_slot_follows)
{
    EACH_POLICY(policy)
    {
        for (unsigned cached = 0; cached < 2; cached++) {
            struct world w;
            world_init(&w, &(struct world_options){.policy = policy});
            struct world_space *p = world_space(&w);
            world_write(p, 7, 1);
            if (cached)
                world_unmap(&w, world_page(p, 7), 0);
            else
                CHECK(world_swap_out(&w, world_page(p, 7)));
            uint64_t reads = w.device.reads;
            CHECK_CARRIED(&w, world_move(p, 7, 600, 1), 0, 0, 1, 0);
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
}

/* S10, B4. 7 on swap in P and C; P moves to 600 under COPY (track/S10_B4: the other policy). Either faults first, or P never does. */
RMAP_TEST(move_swap, S10_B4_a_shared_swap_entry_is_marked_and_copied_at_swap_in)
{
    for (unsigned way = 0; way < 6; way++) {
        bool cached = way / 3;
        struct world w;
        world_init(&w, NULL);
        struct world_space *p = world_space(&w);
        world_write(p, 7, 1);
        struct world_space *c = world_fork(p);
        if (cached)
            world_unmap(&w, world_page(p, 7), 0);
        else
            CHECK(world_swap_out(&w, world_page(p, 7)));
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
RMAP_TEST(move_swap, B5_B6_one_mapping_and_one_swap_entry_is_not_exclusive)
{
    EACH_POLICY(policy)
    {
        for (unsigned who = 0; who < 2; who++) {
            struct world w;
            world_init(&w, &(struct world_options){.policy = policy});
            struct world_space *p = world_space(&w);
            world_write(p, 7, 1);
            struct world_space *c = world_fork(p);
            world_unmap(&w, world_page(p, 7), 0);
            CHECK_EQ(world_read(c, 7), 1);
            struct rmap_page *page = world_page(c, 7);
            CHECK_EQ(rmap_page_mapcount(page), 1);
            if (who == 0)
                CHECK_CARRIED(&w, world_move(p, 7, 600, 1), 0, 0, 0, 1);
            else
                CHECK_CARRIED(&w, world_move(c, 7, 600, 1), 0, 1, 0, 0);
            world_check(&w);
            CHECK_EQ(world_read(p, who ? 7 : 600), 1);
            CHECK_EQ(world_read(c, who ? 600 : 7), 1);
            world_write(c, who ? 600 : 7, 2);
            CHECK_EQ(world_read(p, who ? 7 : 600), 1);
            world_check(&w);
            world_fini(&w);
        }
    }
}

/* B10. 7 on swap in P and C: P moves to 600, C faults, P moves back to 7 */
RMAP_TEST(move_swap, B10_there_and_back_is_not_moved_any_more)
{
    EACH_POLICY(policy)
    {
        for (unsigned fault = 0; fault < 2; fault++) {
            struct world w;
            world_init(&w, &(struct world_options){.policy = policy});
            struct world_space *p = world_space(&w);
            world_write(p, 7, 1);
            struct world_space *c = world_fork(p);
            CHECK(world_swap_out(&w, world_page(p, 7)));
            world_move(p, 7, 600, 1);
            world_move(p, 600, 900, 1);
            CHECK_EQ(p->m.moved, 1);
            if (fault) CHECK_EQ(world_read(c, 7), 1);
            CHECK_CARRIED(&w, world_move(p, 900, 7, 1), 0, 0, 0, 1);
            CHECK_EQ(p->m.moved, 0);
            world_check(&w);
            CHECK_EQ(world_read(p, 7), 1);
            CHECK_EQ(world_read(c, 7), 1);
            CHECK(world_page(c, 7) == world_page(p, 7)); /* at its own index: shared again */
            world_check(&w);
            world_fini(&w);
        }
    }
}

/* A moved shared entry that became the last one is at home where it is moved next: 7 → 600 (shared), C drops, → 601 */
RMAP_TEST(move_swap, a_moved_entry_that_is_sole_by_now_finds_a_home)
{
    EACH_POLICY(policy)
    {
        struct world w;
        world_init(&w, &(struct world_options){.policy = policy});
        struct world_space *p = world_space(&w);
        world_write(p, 7, 1);
        struct world_space *c = world_fork(p);
        CHECK(world_swap_out(&w, world_page(p, 7)));
        world_move(p, 7, 600, 1);
        world_exit(c);
        CHECK_EQ(p->m.moved, 1);
        CHECK_CARRIED(&w, world_move(p, 600, 601, 1), 0, 0, 1, 0);
        CHECK_EQ(p->m.moved, 0);
        CHECK_EQ(home_of(&w, slot_at(p, 601)).index, 601);
        CHECK(!home_of(&w, slot_at(p, 601)).moved);
        world_check(&w);
        w.copies = 0;
        CHECK_EQ(world_read(p, 601), 1);
        CHECK_EQ(w.copies, 0);
        world_fini(&w);
    }
}

/* C11. 7: swapped in again, so it is clean and keeps its slot; moved to 600 with it; evicted without a write; back */
RMAP_TEST(move_swap, C11_the_clean_copy_of_a_reindexed_page_goes_with_it)
{
    EACH_POLICY(policy)
    {
        struct world w;
        world_init(&w, &(struct world_options){.policy = policy});
        struct world_space *p = world_space(&w);
        world_write(p, 7, 1);
        CHECK(world_swap_out(&w, world_page(p, 7)));
        CHECK_EQ(world_read(p, 7), 1);
        struct rmap_page *page = world_page(p, 7);
        CHECK(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE);
        rmap_swp_t entry = page->swap;
        uint64_t writes = w.device.writes;
        CHECK_CARRIED(&w, world_move(p, 7, 600, 1), 1, 0, 0, 0);
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
}

/* C10. everything on swap, then the fork; the child faults first */
RMAP_TEST(move_swap, C10_a_space_entirely_on_swap_forks_and_the_child_faults_first)
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
