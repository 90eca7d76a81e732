/* SPDX-License-Identifier: MIT */
/** @file unit/test_pager_swap.c  Pages that go to swap and come back: who finds, shares and owns them then. */
#include "support/other_thread.h"
#include "unit/pager_world.h"

static struct world w;

static bool candidate(struct rmap_space *s, struct rmap_page *page)
{
    return rmap_member_is_candidate(rmap_space_member(s), page);
}

static void move_to(struct rmap_space *s, rmap_vpn_t from, uint64_t count, rmap_vpn_t to)
{
    CHECK_OK(rmap_space_move(s, from, count, count, RMAP_MOVE_FIXED, &to));
}

static uint64_t moved_entries(struct rmap_space *s)
{
    return rmap_space_member(s)->moved;
}

/* S: [0,4) = 10… on swap, read back, evicted again: read twice, written once */
RMAP_TEST(pager_swap, a_clean_page_is_written_only_once)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 4, RW);
    fill(s, 0, 4, 10);
    evict_all(&w);
    CHECK_EQ(stats(&w).frames_used, 1);
    CHECK_EQ(space_stats(s).swapped, 4);
    CHECK_EQ(space_stats(s).mapped, 0);
    expect(s, 0, 4, 10);
    CHECK_EQ(stats(&w).swap_ins, 4);
    evict_all(&w);
    CHECK_EQ(stats(&w).swap_outs, 4);
    CHECK_EQ(stats(&w).evictions, 8);
    expect(s, 0, 4, 10);
    put(s, 2, 99); /* the clean copy is given up: its slot is free at once */
    CHECK_EQ(swap_stats(&w).slots_used, 3);
    evict_all(&w);
    CHECK_EQ(stats(&w).swap_outs, 5);
    CHECK_EQ(get(s, 2), 99);
    world_fini(&w);
}

/* P, C share page 7, both by swap entries. C alone: exclusive, re-homed. Both: index kept, found in both */
RMAP_TEST(pager_swap, C9_an_exclusive_swap_in_rehomes_a_shared_one_widens)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 7, 1, RW);
    put(p, 7, 70);
    struct rmap_space *c = space_fork(&w, p), *d = space_fork(&w, p);
    evict_all(&w);
    CHECK_EQ(stats(&w).shared_evictions, 1);
    CHECK_EQ(get(c, 7), 70); /* the first to come makes it its own … */
    struct rmap_page *page = page_at(&w, c, 7);
    CHECK(candidate(c, page) && !candidate(p, page) && !candidate(d, page));
    CHECK_EQ(get(p, 7), 70); /* … the next widens it to all that hold entries */
    CHECK(page_at(&w, p, 7) == page);
    CHECK(candidate(c, page) && candidate(p, page) && candidate(d, page));
    CHECK_EQ(rmap_page_index(page), 7);
    CHECK_EQ(stats(&w).swap_ins, 1);
    CHECK_EQ(stats(&w).swap_in_cached, 1);
    world_verify(&w);
    evict_all(&w);
    CHECK_EQ(kind(c, 7), RMAP_PTE_SWAP);
    CHECK_EQ(kind(p, 7), RMAP_PTE_SWAP);
    space_end(&w, p);
    space_end(&w, c);
    put(d, 7, 71); /* the last entry: mapped, then reused, no copy */
    CHECK_EQ(stats(&w).cow_copies, 0);
    CHECK_EQ(stats(&w).cow_reuses, 1);
    CHECK_EQ(swap_stats(&w).slots_used, 0);
    world_fini(&w);
}

/* P: [0,3) all on swap; forks; the child faults first, then writes */
RMAP_TEST(pager_swap, C10_a_space_on_swap_forks_and_the_child_comes_first)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 0, 3, RW);
    fill(p, 0, 3, 20);
    evict_all(&w);
    struct rmap_space *c = space_fork(&w, p);
    CHECK_EQ(space_stats(c).swapped, 3);
    CHECK_EQ(swap_stats(&w).entries, 6);
    expect(c, 0, 3, 20);
    put(c, 1, 121);
    expect(p, 0, 3, 20);
    CHECK_EQ(get(c, 1), 121);
    CHECK(page_at(&w, c, 0) == page_at(&w, p, 0));
    CHECK(page_at(&w, c, 1) != page_at(&w, p, 1));
    put(p, 2, 122);
    CHECK_EQ(get(c, 2), 22);
    evict_all(&w);
    CHECK_EQ(get(c, 1), 121);
    CHECK_EQ(get(p, 2), 122);
    world_fini(&w);
}

/* P page 4 on swap, forked twice: three entries in one slot; it lives until the last of them goes */
RMAP_TEST(pager_swap, C8_forked_swap_entries_hold_the_slot_until_the_last)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 4, 1, RW);
    put(p, 4, 44);
    evict_all(&w);
    struct rmap_space *c = space_fork(&w, p), *d = space_fork(&w, c);
    CHECK_EQ(swap_stats(&w).slots_used, 1);
    CHECK_EQ(swap_stats(&w).entries, 3);
    space_end(&w, p);
    CHECK_OK(rmap_space_unmap(d, 4, 1));
    CHECK_EQ(swap_stats(&w).entries, 1);
    CHECK_EQ(swap_stats(&w).slots_used, 1);
    space_end(&w, c);
    CHECK_EQ(swap_stats(&w).slots_used, 0);
    CHECK_EQ(w.device.reads, 0);
    world_fini(&w);
}

/* S page 5 swapped in (clean copy in a slot of index 5), moved to 50, evicted, faulted: the slot has followed */
RMAP_TEST(pager_swap, C11_a_moved_page_and_its_clean_copy_do_not_clash)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 5, 1, RW);
    put(s, 5, 55);
    evict_all(&w);
    CHECK_EQ(get(s, 5), 55);
    CHECK(rmap_page_flags(page_at(&w, s, 5)) & RMAP_PAGE_SWAPCACHE);
    move_to(s, 5, 1, 50);
    CHECK_EQ(stats(&w).moves_reindexed, 1);
    evict_all(&w);
    CHECK_EQ(get(s, 50), 55);
    CHECK_EQ(stats(&w).swap_in_copies, 0);
    CHECK_EQ(stats(&w).swap_outs, 1);
    CHECK_EQ(moved_entries(s), 0);
    world_fini(&w);
}

/* P page 5 on swap, P alone: moved to 50, then forked: shared at 50, no private copy for either */
RMAP_TEST(pager_swap, C12_a_sole_swap_entry_moved_then_forked_is_shared)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 5, 1, RW);
    put(p, 5, 55);
    evict_all(&w);
    move_to(p, 5, 1, 50);
    CHECK_EQ(stats(&w).moves_swap, 1);
    CHECK_EQ(moved_entries(p), 0);
    struct rmap_space *c = space_fork(&w, p);
    CHECK_EQ(get(c, 50), 55);
    CHECK_EQ(get(p, 50), 55);
    CHECK(page_at(&w, p, 50) == page_at(&w, c, 50));
    CHECK_EQ(stats(&w).swap_in_copies, 0);
    world_fini(&w);
}

/* P page 5, C forked, both on swap; C moves 5 → 50. first: who faults first */
static void moved_shared_entry(bool mover_first, enum rmap_move_policy policy)
{
    const bool track = policy == RMAP_MOVE_POLICY_TRACK;
    world_init_moves(&w, 32, 100, 0, policy);
    struct rmap_space *p = space_new(&w);
    map_at(p, 5, 1, RW);
    put(p, 5, 55);
    struct rmap_space *c = space_fork(&w, p);
    evict_all(&w);
    move_to(c, 5, 1, 50);
    CHECK_EQ(w.device.reads, 0); /* nothing is read at move time */
    CHECK_EQ(kind(c, 50), RMAP_PTE_SWAP);
    CHECK_EQ(moved_entries(c), 1);
    CHECK_EQ(swap_stats(&w).slots_used, 1);
    if (mover_first) {
        CHECK_EQ(get(c, 50), 55);
        CHECK_EQ(get(p, 5), 55);
    } else {
        put(p, 5, 56);
        CHECK_EQ(get(c, 50), 55);
    }
    CHECK_EQ(stats(&w).swap_in_copies, track ? 0 : 1);
    CHECK_EQ(moved_entries(c), 0);
    CHECK_EQ(page_at(&w, c, 50) == page_at(&w, p, 5),
             track && mover_first); /* P's write has parted them in the other case */
    CHECK_EQ(rmap_page_index(page_at(&w, c, 50)), track ? 5 : 50);
    CHECK_EQ(rmap_page_index(page_at(&w, p, 5)), 5);
    world_verify(&w);
    put(c, 50, 57);
    CHECK_EQ(get(p, 5), mover_first ? 55 : 56);
    evict_all(&w);
    CHECK_EQ(get(c, 50), 57);
    CHECK_EQ(get(p, 5), mover_first ? 55 : 56);
    world_fini(&w);
}
RMAP_TEST(pager_swap, S10_S12_a_moved_shared_swap_entry_is_copied_at_swap_in_or_mapped_where_it_is_recorded)
{
    EACH_POLICY(policy) moved_shared_entry(true, policy);
}
RMAP_TEST(pager_swap, B4_the_other_side_faults_first)
{
    EACH_POLICY(policy) moved_shared_entry(false, policy);
}

/* as above; C ends without faulting: the slot is P's alone */
RMAP_TEST(pager_swap, B4_the_mover_exits_without_faulting)
{
    EACH_POLICY(policy)
    {
        world_init_moves(&w, 32, 100, 0, policy);
        struct rmap_space *p = space_new(&w);
        map_at(p, 5, 1, RW);
        put(p, 5, 55);
        struct rmap_space *c = space_fork(&w, p);
        evict_all(&w);
        move_to(c, 5, 1, 50);
        space_end(&w, c);
        CHECK_EQ(swap_stats(&w).entries, 1);
        put(p, 5, 56);
        CHECK_EQ(stats(&w).cow_copies, 0);
        CHECK_EQ(w.device.reads, 1);
        world_fini(&w);
    }
}

/* S alone moves 5 → 50 → 5 while a child that has ended shared it: back at its slot's index, mapped without a copy */
RMAP_TEST(pager_swap, a_shared_entry_moved_there_and_back_is_not_copied)
{
    EACH_POLICY(policy)
    {
        world_init_moves(&w, 32, 100, 0, policy);
        struct rmap_space *p = space_new(&w);
        map_at(p, 5, 1, RW);
        put(p, 5, 55);
        struct rmap_space *c = space_fork(&w, p);
        evict_all(&w);
        move_to(c, 5, 1, 50);
        move_to(c, 50, 1, 5);
        CHECK_EQ(moved_entries(c), 0);
        CHECK_EQ(get(c, 5), 55);
        CHECK_EQ(get(p, 5), 55);
        CHECK(page_at(&w, p, 5) == page_at(&w, c, 5));
        CHECK_EQ(stats(&w).swap_in_copies, 0);
        world_fini(&w);
    }
}

/* P has page 5 present from the cache, C a swap entry of its slot, which it moves to 50 and then touches */
RMAP_TEST(pager_swap, B5_the_sibling_maps_the_cached_page_of_a_moved_entry)
{
    EACH_POLICY(policy)
    {
        world_init_moves(&w, 32, 100, 0, policy);
        struct rmap_space *p = space_new(&w);
        map_at(p, 5, 1, RW);
        put(p, 5, 55);
        struct rmap_space *c = space_fork(&w, p);
        evict_all(&w);
        CHECK_EQ(get(p, 5), 55);
        struct rmap_page *page = page_at(&w, p, 5);
        move_to(c, 5, 1, 50);
        CHECK_EQ(rmap_page_index(page), 5);
        put(p, 5, 56); /* not exclusive: C's entry still means the old contents */
        CHECK(page_at(&w, p, 5) != page);
        CHECK_EQ(get(c, 50), 55);
        CHECK_EQ(w.device.reads, 1);
        CHECK_EQ(get(p, 5), 56);
        /* Under TRACK C maps the cached page itself, and the slot is its clean copy. */
        CHECK_EQ(swap_stats(&w).slots_used, policy == RMAP_MOVE_POLICY_TRACK);
        world_fini(&w);
    }
}

/* P maps page 5 alone (mapcount 1), but its slot has C's entry: a write copies, a move copies */
RMAP_TEST(pager_swap, B6_one_mapping_and_a_swap_entry_are_two_users)
{
    EACH_POLICY(policy)
    {
        world_init_moves(&w, 32, 100, 0, policy);
        struct rmap_space *p = space_new(&w);
        map_at(p, 5, 2, RW);
        fill(p, 5, 2, 55);
        struct rmap_space *c = space_fork(&w, p);
        evict_all(&w);
        expect(p, 5, 2, 55);
        CHECK_EQ(rmap_page_mapcount(page_at(&w, p, 5)), 1);
        put(p, 5, 155);
        CHECK_EQ(stats(&w).cow_copies, 1);
        move_to(p, 5, 2, 50);
        CHECK_EQ(stats(&w).moves_copied + stats(&w).moves_tracked, 1); /* page 6 */
        CHECK_EQ(stats(&w).moves_tracked, policy == RMAP_MOVE_POLICY_TRACK);
        CHECK_EQ(stats(&w).moves_reindexed, 1); /* page 5, a private copy by now */
        expect(c, 5, 2, 55);
        CHECK_EQ(get(p, 50), 155);
        CHECK_EQ(get(p, 51), 56);
        world_fini(&w);
    }
}

/* P, C: page 5 on swap; C writes at once: one private copy, the slot's page stays P's */
RMAP_TEST(pager_swap, a_write_to_a_shared_swap_entry_copies_without_mapping_first)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 5, 1, RW);
    put(p, 5, 55);
    struct rmap_space *c = space_fork(&w, p);
    evict_all(&w);
    put(c, 5, 56);
    CHECK_EQ(stats(&w).swap_ins, 1);
    CHECK_EQ(stats(&w).cow_copies, 1);
    CHECK_EQ(get(p, 5), 55);
    CHECK_EQ(w.device.reads, 1); /* P's from the cache */
    world_fini(&w);
}

/* S: [0,4) present from the cache, its parent on swap; S ends: neither group nor slot is lost (C2 on the way) */
RMAP_TEST(pager_swap, A12_a_space_ends_while_its_pages_are_in_the_swap_cache)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 0, 4, RW);
    fill(p, 0, 4, 10);
    struct rmap_space *s = space_fork(&w, p);
    evict_all(&w);
    expect(s, 0, 4, 10);
    for (rmap_vpn_t v = 0; v < 4; v++) {
        struct rmap_page *page = page_at(&w, s, v);
        CHECK(rmap_page_is_anon(page) && rmap_page_owner(page)); /* C2: the group is known, the entry is beside it */
        CHECK((rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE) && page->swap);
    }
    space_end(&w, s);
    world_verify(&w);
    expect(p, 0, 4, 10);
    fill(p, 0, 4, 30); /* and a page that leaves the cache leaves the private field empty */
    for (rmap_vpn_t v = 0; v < 4; v++) CHECK(!(rmap_page_flags(page_at(&w, p, v)) & RMAP_PAGE_SWAPCACHE));
    for (rmap_vpn_t v = 0; v < 4; v++) CHECK_EQ(page_at(&w, p, v)->swap, 0);
    world_fini(&w);
}

#ifdef RMAP_DEBUG

static struct rmap_page *cached; /* NULL: nothing happens any more */
static rmap_swp_t other_slot;

static void another_slot(struct rmap_page *page)
{
    struct rmap_swap *swap = rmap_pager_swap(w.p);
    CHECK(rmap_page_try_lock(page));
    CHECK_OK(rmap_swap_cache_del(swap, page));
    CHECK_OK(rmap_swap_cache_add(swap, page));
    other_slot = page->swap;
    CHECK_OK(rmap_swap_get_ops()->dup(swap, other_slot, 1));
    rmap_page_unlock(w.r, page);
}

/* When the fault has found the cached page (a third reference), and before it has its lock: that gets another slot. */
static void give_another_slot(void)
{
    struct rmap_page *page = cached;
    if (!page || page->refcount < 3) return;
    cached = NULL;
    AS_ANOTHER_THREAD(another_slot(page));
}

/* C1. S: 7 on swap, the page still cached, clean; its slot is another one when the fault that found it has the lock */
RMAP_TEST(pager_swap, C1_a_page_that_has_another_slot_by_now_is_not_taken_for_the_entrys)
{
    world_init(&w, 32, 10, 0);
    struct rmap_space *s = space_new(&w);
    struct rmap_swap *swap = rmap_pager_swap(w.p);
    map_at(s, 7, 1, RW);
    put(s, 7, 70);
    struct rmap_page *page = page_at(&w, s, 7);
    struct rmap_result res;
    int written;
    rmap_page_get(page);
    rmap_page_lock(page);
    CHECK_OK(rmap_swap_cache_add(swap, page));
    CHECK_OK(rmap_unmap(w.r, &page, 1, 0, &res));
    CHECK_EQ(res.outcome, RMAP_DONE);
    CHECK_OK(rmap_swap_write(swap, &page, 1, &written));
    CHECK_OK(written);
    rmap_page_unlock(w.r, page);
    cached = page;
    rmap__rank_set_hook(give_another_slot);
    int rc = rmap_space_fault(s, 7, RMAP_READ);
    rmap__rank_set_hook(NULL);
    CHECK(cached == NULL);
    CHECK_OK(rc);
    CHECK_EQ(get(s, 7), 70);
    CHECK(page_at(&w, s, 7) != page);
    rmap_swap_get_ops()->put(swap, other_slot, 1);
    rmap_page_put(w.r, page);
    world_fini(&w);
}

#endif
