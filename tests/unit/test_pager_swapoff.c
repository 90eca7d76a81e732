/* SPDX-License-Identifier: MIT */
/** @file unit/test_pager_swapoff.c  A swap device is taken away from a pager in use (C4, C13). */
#include "unit/pager_world.h"

#include <swap/swap_internal.h>
#include <pager/pager_internal.h>
#include <pthread.h>

static struct world w;
static struct faulty_device second;

static void add_second(uint64_t slots)
{
    faulty_device_init(&second, slots, 12);
    CHECK_OK(rmap_pager_add_swap(w.p, &second.base));
}

static void move_to(struct rmap_space *s, rmap_vpn_t from, uint64_t count, rmap_vpn_t to)
{
    CHECK_OK(rmap_space_move(s, from, count, count, RMAP_MOVE_FIXED, &to));
}

/* The first device goes, and is ours then. */
static struct rmap_swapoff swapoff(void)
{
    struct rmap_swapoff done;
    CHECK_OK(rmap_pager_remove_swap(w.p, &w.device.base, &done));
    CHECK_EQ(done.slots_left, 0);
    CHECK(!w.device.destroyed);
    rmap_device_destroy(&w.device.base);
    world_verify(&w);
    return done;
}

static struct rmap_swapoff swapoff_fails(int error)
{
    struct rmap_swapoff done;
    CHECK_ERR(rmap_pager_remove_swap(w.p, &w.device.base, &done), error);
    CHECK(!w.device.destroyed);
    world_verify(&w);
    return done;
}

#define CHECK_CAME(d, entries_, pages_, copies_) \
    do {                                         \
        struct rmap_swapoff d_ = (d);            \
        CHECK_EQ(d_.entries, entries_);          \
        CHECK_EQ(d_.pages_in, pages_);           \
        CHECK_EQ(d_.copies, copies_);            \
    } while (0)

/* P: [0,4) on swap; 0 and 1 shared with C. 3 is read back: its slot is a clean copy. The only device goes */
RMAP_TEST(pager_swapoff, everything_comes_back_and_the_pager_has_no_swap)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 0, 4, RW);
    fill(p, 0, 4, 10);
    struct rmap_space *c = space_fork(&w, p);
    CHECK_OK(rmap_space_unmap(c, 2, 2));
    evict_all(&w);
    CHECK_EQ(get(p, 3), 13);
    CHECK_EQ(swap_stats(&w).slots_used, 4);
    CHECK_CAME(swapoff(), 5, 3, 0);
    CHECK(!rmap_pager_swap(w.p));
    CHECK_EQ(space_stats(p).swapped + space_stats(c).swapped, 0);
    CHECK(page_at(&w, p, 0) == page_at(&w, c, 0));
    CHECK_EQ(rmap_page_mapcount(page_at(&w, p, 0)), 2);
    CHECK(!attr(p, 0, RMAP_ATTR_ACCESSED)); /* nobody has looked at it */
    CHECK(!(rmap_page_flags(page_at(&w, p, 3)) & RMAP_PAGE_SWAPCACHE));
    CHECK_EQ(rmap_reclaim(w.p, 10), 0);
    put(p, 2, 99); /* alone: reused */
    CHECK_EQ(stats(&w).cow_copies, 0);
    expect(c, 0, 2, 10);
    world_verify(&w);

    add_second(10); /* another one, on the same number */
    evict_all(&w);
    CHECK_EQ(swap_stats(&w).slots_used, 4);
    CHECK_EQ(get(p, 2), 99);
    CHECK_EQ(get(c, 1), 11);
    world_fini(&w);
}

/* 40 pages on swap, 32 frames, a second device: what does not fit goes over there */
RMAP_TEST(pager_swapoff, the_contents_move_to_the_other_device)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 0, 40, RW);
    fill(p, 0, 40, 10);
    struct rmap_space *c = space_fork(&w, p);
    evict_all(&w);
    add_second(100);
    const uint64_t on_first = w.device.writes;
    CHECK_CAME(swapoff(), 80, 40, 0);
    CHECK_EQ(w.device.writes, on_first);
    CHECK_LE(9, second.writes);
    CHECK_EQ(swap_stats(&w).slots_total, 100);
    for (rmap_vpn_t v = 0; v < 40; v++)
        if (kind(p, v) == RMAP_PTE_SWAP) CHECK_EQ(rmap_swp_device(rmap_pte_swp(&rmap_pte_format_soft, entry(p, v))), 2);
    expect(p, 0, 40, 10);
    expect(c, 0, 40, 10);
    world_fini(&w);
}

/*  P: 50 → E, moved (5 is another page by now)   Q: forked from P then     C: 5 → E, stayed; 6 → E2 moved to 60
 *  X: forked from C                              D: 5 and 6 as they were, present from the cache */
RMAP_TEST(pager_swapoff, C13_moved_shared_entries_are_copied_on_both_sides)
{
    world_init(&w, 40, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 5, 2, RW);
    fill(p, 5, 2, 55);
    struct rmap_space *c = space_fork(&w, p), *d = space_fork(&w, p);
    evict_all(&w);
    expect(d, 5, 2, 55);
    move_to(p, 5, 1, 50);
    move_to(c, 6, 1, 60);
    map_at(p, 5, 1, RW);
    put(p, 5, 500); /* C4: what lies at the slot's index is no page of its */
    struct rmap_space *q = space_fork(&w, p), *x = space_fork(&w, c);
    CHECK_CAME(swapoff(), 8, 0, 4);
    struct rmap_page *five = page_at(&w, d, 5), *six = page_at(&w, d, 6);
    CHECK(page_at(&w, c, 5) == five && page_at(&w, x, 5) == five); /* shared where they were shared */
    CHECK(page_at(&w, p, 6) == six && page_at(&w, q, 6) == six);
    CHECK_EQ(rmap_page_mapcount(five), 3);
    CHECK_EQ(rmap_page_index(page_at(&w, q, 50)), 50);
    CHECK_EQ(rmap_space_member(p)->moved + rmap_space_member(c)->moved, 0);
    CHECK_EQ(get(p, 50), 55);
    CHECK_EQ(get(q, 50), 55);
    CHECK_EQ(get(p, 5), 500);
    CHECK_EQ(get(c, 60), 56);
    CHECK_EQ(get(x, 60), 56);
    put(x, 5, 57);
    expect(d, 5, 2, 55);
    CHECK_EQ(get(c, 5), 55);
    world_fini(&w);
}

/* P tracks. P moved 5 → 50 while it shared the page with C, then both went to swap; P moved the entry on, 50 → 60 */
RMAP_TEST(pager_swapoff, S12_tracked_entries_stay_shared)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 5, 2, RW);
    fill(p, 5, 2, 55);
    struct rmap_space *c = space_fork(&w, p);
    CHECK_OK(rmap_space_set_move_policy(p, RMAP_MOVE_POLICY_TRACK));
    move_to(p, 5, 2, 50);
    evict_all(&w);
    move_to(p, 50, 1, 60);
    map_at(p, 5, 1, RW);
    put(p, 5, 500);
    CHECK_EQ(rmap_space_member(p)->moved, 2);
    const struct rmap_swapoff done = swapoff();
    CHECK_EQ(done.entries, 4);
    CHECK(page_at(&w, p, 51) == page_at(&w, c, 6));
    CHECK(page_at(&w, p, 60) == page_at(&w, c, 5));
    CHECK_EQ(done.copies, 0);
    CHECK_EQ(rmap_space_member(p)->moved, 0);
    CHECK_EQ(get(p, 60), 55);
    CHECK_EQ(get(p, 51), 56);
    CHECK_EQ(get(p, 5), 500);
    expect(c, 5, 2, 55);
    world_fini(&w);
}

/* P: 5 on swap; C just forked, D forked from it; P exits: the slot's owner is the dead parent's */
RMAP_TEST(pager_swapoff, C4_in_spaces_just_forked_whose_parent_has_gone)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 5, 1, RW);
    put(p, 5, 55);
    evict_all(&w);
    struct rmap_space *c = space_fork(&w, p), *d = space_fork(&w, c), *e = space_fork(&w, p);
    space_end(&w, p);
    CHECK_CAME(swapoff(), 3, 1, 0);
    CHECK(page_at(&w, c, 5) == page_at(&w, d, 5) && page_at(&w, e, 5) == page_at(&w, d, 5));
    CHECK_EQ(get(e, 5), 55);
    world_fini(&w);
}

/* P: [0,2) r-x, [2,4) nothing may be accessed, [4,6) execute only, all on swap, shared with C; C moved its 3 to 30 */
RMAP_TEST(pager_swapoff, protection_is_kept_and_no_access_entries_get_their_frames)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 0, 6, RWX);
    fill(p, 0, 6, 10);
    struct rmap_space *c = space_fork(&w, p);
    evict_all(&w);
    struct rmap_space *both[] = {p, c};
    for (unsigned i = 0; i < 2; i++) {
        CHECK_OK(rmap_space_protect(both[i], 0, 2, RMAP_READ | RMAP_EXEC));
        CHECK_OK(rmap_space_protect(both[i], 2, 2, RMAP_NONE));
        CHECK_OK(rmap_space_protect(both[i], 4, 2, RMAP_EXEC));
    }
    move_to(c, 3, 1, 30);
    const struct rmap_pager_stats before = stats(&w);
    CHECK_CAME(swapoff(), 12, 6, 1);
    CHECK_EQ(stats(&w).faults, before.faults);
    CHECK_EQ(stats(&w).faults_minor, before.faults_minor);
    for (rmap_vpn_t v = 0; v < 6; v++) {
        bool none = v == 2 || v == 3;
        CHECK_EQ(kind(p, v), none ? RMAP_PTE_NO_ACCESS : RMAP_PTE_PRESENT);
        CHECK_EQ(attr(p, v, RMAP_ATTR_EXEC), !none);
    }
    CHECK_EQ(kind(c, 30), RMAP_PTE_NO_ACCESS);
    CHECK_EQ(rmap_page_index(page_at(&w, c, 30)), 30);
    CHECK(page_at(&w, c, 2) == page_at(&w, p, 2));
    uint64_t word;
    CHECK_ERR(rmap_space_read(p, 2 * PAGE, &word, sizeof word, NULL), RMAP_ERR_ACCESS);
    for (unsigned i = 0; i < 2; i++) {
        CHECK_OK(rmap_space_protect(both[i], 2, 1, RW));
        CHECK_EQ(get(both[i], 2), 12);
        CHECK_OK(rmap_space_protect(both[i], 4, 2, RMAP_READ));
        expect(both[i], 4, 2, 14);
    }
    CHECK_OK(rmap_space_protect(c, 30, 1, RW));
    CHECK_EQ(get(c, 30), 13);
    world_fini(&w);
}

/* P: 5 locked and present; C: 5 → E, whose cached page P maps: C's walk came first. And P's 6 on swap though locked */
RMAP_TEST(pager_swapoff, what_is_locked_stays_locked)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *c = space_new(&w);
    map_at(c, 5, 2, RW);
    fill(c, 5, 2, 55);
    struct rmap_space *p = space_fork(&w, c);
    CHECK_OK(rmap_space_protect(p, 5, 2, RMAP_READ)); /* locking must not copy */
    CHECK_OK(rmap_space_lock(p, 5, 2));
    put(c, 6, 66);
    evict_all(&w);
    struct rmap_page *page = page_at(&w, p, 6);
    struct rmap_result res;
    rmap_page_get(page); /* as for shutdown: locked ones, too */
    rmap_page_lock(page);
    CHECK_OK(rmap_swap_cache_add(rmap_pager_swap(w.p), page));
    CHECK_OK(rmap_unmap(w.r, &page, 1, RMAP_IGNORE_LOCKED, &res));
    rmap_page_unlock(w.r, page);
    rmap_page_put(w.r, page);
    CHECK_EQ(kind(p, 6), RMAP_PTE_SWAP);
    page = page_at(&w, p, 5);
    rmap_page_get(page);
    rmap_page_lock(page);
    CHECK_OK(rmap_swap_cache_add(rmap_pager_swap(w.p), page));
    CHECK_OK(rmap_unmap(w.r, &page, 1, 0, &res));
    CHECK_EQ(res.reason, RMAP_REASON_LOCKED);
    rmap_page_unlock(w.r, page);
    rmap_page_put(w.r, page);
    CHECK_EQ(kind(c, 5), RMAP_PTE_SWAP);
    CHECK_EQ(kind(p, 5), RMAP_PTE_PRESENT);
    CHECK_CAME(swapoff(), 3, 1, 0); /* C's 6 was read, the others are in the cache */
    CHECK(page_at(&w, c, 5) == page && page_at(&w, p, 5) == page);
    for (rmap_vpn_t v = 5; v < 7; v++) {
        CHECK(attr(p, v, RMAP_ATTR_LOCKED));
        CHECK(!attr(c, v, RMAP_ATTR_LOCKED));
    }
    expect(p, 5, 2, 55);
    expect(c, 5, 1, 55);
    CHECK_EQ(get(c, 6), 66);
    world_fini(&w);
}

/* P: [0,8) on swap. The fifth page cannot be read, then is spoilt: half is in; the device works on; repaired, the rest comes */
RMAP_TEST(pager_swapoff, C5_a_read_error_stops_it_half_way_and_nothing_is_lost)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 0, 8, RW);
    fill(p, 0, 8, 10);
    struct rmap_space *c = space_fork(&w, p);
    evict_all(&w);
    w.device.fail_read_at = w.device.reads + 5;
    struct rmap_swapoff done = swapoff_fails(RMAP_ERR_IO_READ);
    CHECK_CAME(done, 8, 4, 0);
    CHECK_EQ(done.slots_left, 4);
    CHECK_EQ(swap_stats(&w).slots_used, 4);
    w.device.spoil_read_at = w.device.reads + 2;
    done = swapoff_fails(RMAP_ERR_CORRUPT);
    CHECK_CAME(done, 2, 1, 0);
    CHECK_EQ(done.slots_left, 3);
    evict_all(&w); /* it takes part again */
    CHECK_EQ(swap_stats(&w).slots_used, 8);
    expect(p, 0, 3, 10);
    CHECK_CAME(swapoff(), 13, 5, 0);
    expect(p, 0, 8, 10);
    expect(c, 0, 8, 10);
    world_fini(&w);
}

/* P: 0 on swap, unreadable for ever; P ends: the slot goes with it, and the device can go */
RMAP_TEST(pager_swapoff, C5_an_unreadable_slot_goes_when_its_space_drops_it)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w), *s = space_new(&w);
    map_at(p, 0, 1, RW);
    put(p, 0, 10);
    evict_all(&w); /* to the first slot */
    map_at(s, 0, 1, RW);
    put(s, 0, 20);
    evict_all(&w);
    w.device.fail_all_reads = true;
    CHECK_EQ(swapoff_fails(RMAP_ERR_IO_READ).slots_left, 2);
    w.device.fail_all_reads = false;
    CHECK_EQ(get(s, 0), 20);
    w.device.fail_all_reads = true;
    CHECK_EQ(swapoff_fails(RMAP_ERR_IO_READ).slots_left, 2); /* P's; and a clean copy behind it */
    space_end(&w, p);
    CHECK_CAME(swapoff(), 0, 0, 0);
    CHECK_EQ(get(s, 0), 20);
    world_fini(&w);
}

/* P: 5 in the cache, unwritten, when its frame is lost */
RMAP_TEST(pager_swapoff, a_poisoned_page_is_a_page_that_cannot_be_had)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 5, 2, RW);
    fill(p, 5, 2, 55);
    w.device.fail_all_writes = true;
    evict_all(&w);
    w.device.fail_all_writes = false;
    struct rmap_page *page = NULL;
    for (rmap_vpn_t v = 5; v < 7 && !page; v++)
        page = rmap_swap_cache_find(rmap_pager_swap(w.p), rmap_pte_swp(&rmap_pte_format_soft, entry(p, v)));
    CHECK(page != NULL);
    CHECK_OK(rmap_pager_poison(w.p, rmap_page_pfn(w.r, page), NULL, NULL));
    rmap_page_put(w.r, page);
    CHECK_LE(1, swapoff_fails(RMAP_ERR_POISON).slots_left);
    space_end(&w, p);
    CHECK_CAME(swapoff(), 0, 0, 0);
    world_fini(&w);
}

/* 60 pages on swap, 32 frames, nowhere else to go: NO_FRAME. With a device of 10 slots, again; of 30 more: done */
RMAP_TEST(pager_swapoff, without_room_it_says_so_and_can_be_tried_again)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 0, 60, RW);
    fill(p, 0, 60, 10);
    struct rmap_space *c = space_fork(&w, p);
    evict_all(&w);
    struct rmap_swapoff done = swapoff_fails(RMAP_ERR_NO_FRAME);
    CHECK_EQ(done.pages_in, 31);
    CHECK_EQ(done.entries, 62);
    CHECK_EQ(done.slots_left, 29);
    expect(p, 0, 60, 10); /* and goes on swapping there */
    add_second(10);
    done = swapoff_fails(RMAP_ERR_NO_FRAME);
    CHECK_LE(18, done.slots_left);
    expect(c, 0, 60, 10);
    static struct faulty_device third;
    faulty_device_init(&third, 30, 12);
    CHECK_OK(rmap_pager_add_swap(w.p, &third.base));
    swapoff();
    expect(p, 0, 60, 10);
    expect(c, 0, 60, 10);
    world_fini(&w);
}

/*  P and 20 children share page 5, all on swap; each child moves it to 50. 16 frames: the copies push the shared page, and
 *  each other, out again and again; the other device takes them */
RMAP_TEST(pager_swapoff, C13_moved_entries_under_pressure_come_to_an_end)
{
    world_init(&w, 16, 100, 0);
    struct rmap_space *p = space_new(&w), *kid[20];
    map_at(p, 5, 1, RW);
    put(p, 5, 55);
    for (unsigned i = 0; i < 20; i++) kid[i] = space_fork(&w, p);
    struct rmap_space *still = space_fork(&w, p);
    evict_all(&w);
    for (unsigned i = 0; i < 20; i++) move_to(kid[i], 5, 1, 50);
    add_second(100);
    struct rmap_swapoff done = swapoff();
    CHECK_EQ(done.copies, 20);
    for (unsigned i = 0; i < 20; i++) CHECK_EQ(get(kid[i], 50), 55);
    CHECK_EQ(get(p, 5), 55);
    CHECK(page_at(&w, p, 5) && get(still, 5) == 55);
    CHECK_EQ(stats(&w).swap_in_copies, 20);
    world_fini(&w);
}

/* More holders of one slot than one look-up collects: 100 children */
RMAP_TEST(pager_swapoff, a_slot_may_have_many_holders)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 5, 1, RW);
    put(p, 5, 55);
    for (unsigned i = 0; i < 100; i++) space_fork(&w, p);
    evict_all(&w);
    CHECK_CAME(swapoff(), 101, 1, 0);
    CHECK_EQ(rmap_page_mapcount(page_at(&w, p, 5)), 101);
    world_fini(&w);
}

/* P: 5 in the cache, unwritten, on a bad slot of the first device */
RMAP_TEST(pager_swapoff, a_bad_slot_gives_its_page_back)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 5, 1, RW);
    put(p, 5, 55);
    w.device.fail_all_writes = true;
    evict_all(&w);
    CHECK_EQ(kind(p, 5), RMAP_PTE_SWAP);
    CHECK_LE(1, swap_stats(&w).slots_bad);
    add_second(10);
    CHECK_CAME(swapoff(), 1, 0, 0);
    CHECK_EQ(swap_stats(&w).slots_bad, 0);
    evict_all(&w);
    CHECK_EQ(get(p, 5), 55);
    world_fini(&w);
}

/* An embedder's own member of the pager's instance, forked from P by hand, holds an entry: the pager cannot fault for it.
 * For C, which was forked later, it does */
RMAP_TEST(pager_swapoff, entries_of_strangers_make_it_busy)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 5, 1, RW);
    put(p, 5, 55);
    evict_all(&w);
    struct rmap_mmu mmu;
    struct rmap_member member = {.user = NULL};
    struct rmap_fork f;
    CHECK_OK(w.provider.create(w.provider.ctx, &(struct rmap_mmu_client){.ctx = NULL}, &mmu));
    CHECK_OK(rmap_fork_begin(rmap_space_member(p), &member, &mmu, &f));
    CHECK_OK(rmap_fork_copy(&f, 0, 100, RMAP_FORK_COW));
    rmap_fork_commit(&f);
    struct rmap_space *c = space_fork(&w, p);
    struct rmap_swapoff done = swapoff_fails(RMAP_ERR_BUSY);
    CHECK_CAME(done, 2, 1, 0);
    CHECK_EQ(done.slots_left, 1);
    CHECK_EQ(kind(p, 5), RMAP_PTE_PRESENT);
    CHECK_EQ(kind(c, 5), RMAP_PTE_PRESENT);
    CHECK_OK(rmap_zap(&member, 0, 100, NULL));
    CHECK_OK(rmap_member_leave(&member));
    w.provider.destroy(w.provider.ctx, &mmu);
    CHECK_CAME(swapoff(), 0, 0, 0);
    CHECK_EQ(get(p, 5), 55);
    world_fini(&w);
}

static struct rmap_space *space_seen;
static void call_back(struct faulty_device *d)
{
    struct rmap_swapoff done = {.entries = 7};
    CHECK_ERR(rmap_pager_remove_swap(w.p, &d->base, &done), RMAP_ERR_BUSY);
    CHECK_EQ(done.entries, 0);
    CHECK_ERR(rmap_space_destroy(space_seen), RMAP_ERR_BUSY);
}

/* H2. Nested calls, strangers, NULL; a device that somebody drains already */
RMAP_TEST(pager_swapoff, bad_calls_are_refused)
{
    struct rmap_swapoff done = {.slots_left = 7};
    world_init(&w, 32, 100, 0);
    struct rmap_space *p = space_seen = space_new(&w);
    map_at(p, 5, 1, RW);
    put(p, 5, 55);
    evict_all(&w);
    CHECK_ERR(rmap_pager_remove_swap(NULL, &w.device.base, &done), RMAP_ERR_NULL_ARG);
    CHECK_EQ(done.slots_left, 0);
    CHECK_ERR(rmap_pager_remove_swap(w.p, NULL, NULL), RMAP_ERR_NULL_ARG);
    struct rmap_device stranger = w.device.base;
    CHECK_ERR(rmap_pager_remove_swap(w.p, &stranger, NULL), RMAP_ERR_ABSENT);
    CHECK_OK(rmap_swap_drain_begin(rmap_pager_swap(w.p), &w.device.base));
    CHECK_ERR(rmap_pager_remove_swap(w.p, &w.device.base, NULL), RMAP_ERR_BUSY);
    CHECK_OK(rmap_swap_drain_cancel(rmap_pager_swap(w.p), &w.device.base));
    CHECK_EQ(kind(p, 5), RMAP_PTE_SWAP);
    w.device.during_read = call_back; /* from inside a fault, and from inside swapoff itself */
    CHECK_EQ(get(p, 5), 55);
    evict_all(&w);
    w.device.during_read = call_back;
    CHECK_CAME(swapoff(), 1, 1, 0);
    CHECK_EQ(w.device.during_read, NULL);
    world_fini(&w);
}

static unsigned updates;
static struct rmap_mmu_ops counting_ops;
static void count_update(void *mmu, const struct rmap_mmu_run *run, rmap_vpn_t vpn, unsigned access)
{
    (void)mmu, (void)run, (void)vpn, (void)access;
    updates++;
}
static int create_counting(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    struct rmap_mmu_provider *inner = ctx;
    int rc = inner->create(inner->ctx, client, out);
    if (rc) return rc;
    counting_ops = *out->ops;
    counting_ops.update = count_update;
    out->ops = &counting_ops;
    return 0;
}
static void destroy_counting(void *ctx, struct rmap_mmu *mmu)
{
    struct rmap_mmu_provider *inner = ctx;
    inner->destroy(inner->ctx, mmu);
}

/* 0 present, 1 never touched, 2 nothing may be accessed, 600 without a table, 3 on swap: only 3 is brought in, and nobody is
 * told that there was a fault */
RMAP_TEST(pager_swapoff, only_what_is_on_swap_is_brought_in)
{
    world_init(&w, 32, 100, 0);
    CHECK_OK(rmap_pager_destroy(w.p));
    const struct rmap_mmu_provider counting = {
        .struct_size = sizeof counting, .ctx = &w.provider, .create = create_counting, .destroy = destroy_counting};
    struct rmap_pager_options o = world_options(&w, 32, 0);
    faulty_device_init(&w.device, 100, 12);
    o.provider = &counting;
    o.swap = &w.device.base;
    CHECK_OK(rmap_pager_create(&o, &w.p));
    w.r = rmap_pager_rmap(w.p);

    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 1000, RW);
    put(s, 3, 13);
    evict_all(&w);
    put(s, 0, 10);
    put(s, 2, 12);
    CHECK_OK(rmap_space_protect(s, 2, 1, RMAP_NONE));
    static const rmap_vpn_t others[] = {0, 1, 2, 600};
    const struct rmap_pager_stats before = stats(&w);
    unsigned read, copied;
    rmap__space_lock_shared(s);
    updates = 0;
    for (unsigned i = 0; i < 4; i++) {
        const rmap_pte_t e = entry(s, others[i]);
        CHECK_OK(rmap__fault_swapin(s, others[i], &read, &copied));
        CHECK(!read && !copied);
        CHECK_EQ(entry(s, others[i]), e);
    }
    CHECK_ERR(rmap__fault_swapin(s, 1000, &read, &copied), RMAP_ERR_ABSENT);
    CHECK_OK(rmap__fault_swapin(s, 3, &read, &copied));
    CHECK(read == 1 && !copied);
    CHECK_EQ(kind(s, 3), RMAP_PTE_PRESENT);
    CHECK_EQ(updates, 0);
    rmap__space_unlock(s);
    CHECK_EQ(stats(&w).faults_minor, before.faults_minor);
    CHECK_EQ(stats(&w).faults, before.faults);
    CHECK_OK(rmap_space_fault(s, 3, RMAP_READ));
    CHECK_EQ(updates, 1);
    world_fini(&w);
}

static struct rmap_space *leaving[40];
static void *leave(void *failures)
{
    for (unsigned i = 0; i < 40; i++) *(int *)failures += rmap_space_destroy(leaving[i]) != 0;
    return NULL;
}

/* P and 40 children hold [0,20) on swap; the children exit, in another thread, while the device goes */
RMAP_TEST(pager_swapoff, C4_spaces_exit_meanwhile)
{
    world_init(&w, 64, 100, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 0, 20, RW);
    fill(p, 0, 20, 10);
    for (unsigned i = 0; i < 40; i++) CHECK_OK(rmap_space_fork(i < 20 ? p : leaving[i - 20], &leaving[i]));
    evict_all(&w);
    for (unsigned i = 0; i < 40; i += 3) move_to(leaving[i], 7, 1, 70);
    pthread_t thread;
    int failures = 0;
    CHECK_EQ(pthread_create(&thread, NULL, leave, &failures), 0);
    struct rmap_swapoff done;
    int rc = rmap_pager_remove_swap(w.p, &w.device.base, &done);
    pthread_join(thread, NULL);
    CHECK_OK(rc);
    CHECK_EQ(failures, 0);
    CHECK_LE(20, done.entries);
    rmap_device_destroy(&w.device.base);
    world_verify(&w);
    expect(p, 0, 20, 10);
    world_fini(&w);
}

/* Members are told from strangers by address: of 100 spaces each finds its own, whichever of them come and go */
RMAP_TEST(pager_swapoff, a_member_leads_to_its_space)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *s[100];
    struct rmap_member stranger;
    for (unsigned i = 0; i < 100; i++) s[i] = space_new(&w);
    for (unsigned i = 0; i < 100; i += 3) space_end(&w, s[i]);
    for (unsigned i = 0; i < 100; i++) {
        if (i % 3 == 0) continue;
        for (unsigned k = 0; k < 2; k++) {
            if (k) CHECK_OK(rmap_space_exec(s[i]));
            CHECK(rmap__space_hold(w.p, rmap_space_member(s[i])) == s[i]);
            rmap__space_let_go(s[i]);
        }
    }
    CHECK_EQ(rmap__space_hold(w.p, &stranger), NULL);
    world_fini(&w);
}

#ifdef RMAP_DEBUG

static struct rmap__swap_device *read_device;
static unsigned lock_calls;

/* Forty locks after the drain has begun the read comes to its end. */
static void end_read(void)
{
    if (read_device->draining && ++lock_calls == 40) read_device->reading--;
}

/* The device has no slot in use, but one that died is still being read: it is waited for. */
RMAP_TEST(pager_swapoff, C4_a_read_of_a_dead_slot_is_waited_for)
{
    struct rmap_swapoff done;
    world_init(&w, 32, 10, 0);
    read_device = &rmap_pager_swap(w.p)->devices[0];
    read_device->reading++;
    lock_calls = 0;
    rmap__rank_set_hook(end_read);
    int rc = rmap_pager_remove_swap(w.p, &w.device.base, &done);
    rmap__rank_set_hook(NULL);
    CHECK_OK(rc);
    CHECK_LE(40, lock_calls);
    CHECK(rmap_pager_swap(w.p) == NULL);
    rmap_device_destroy(&w.device.base);
    world_fini(&w);
}

#endif
