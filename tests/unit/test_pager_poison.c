/* SPDX-License-Identifier: MIT */
/** @file unit/test_pager_poison.c  Frames whose memory fails: what is lost is told, what can be saved is, the books
 * stay right. */
#include "unit/pager_world.h"

#include <objrmap/migrate.h>
#include <pthread.h>

static struct world w;

static int tell(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t entry)
{
    unsigned *told = ctx;
    (void)m, (void)vpn, (void)entry;
    ++*told;
    return 0;
}
static int refuse(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t entry)
{
    tell(ctx, m, vpn, entry);
    return 1;
}

static rmap_pfn_t pfn_at(struct rmap_space *s, rmap_vpn_t vpn)
{
    struct rmap_page *page = page_at(&w, s, vpn);
    CHECK(page != NULL);
    return rmap_page_pfn(w.r, page);
}

static void check_lost(struct rmap_space *s, rmap_vpn_t vpn)
{
    CHECK_ERR(rmap_space_fault(s, vpn, RMAP_READ), RMAP_ERR_POISON);
    CHECK_ERR(try_put(s, vpn, 1), RMAP_ERR_POISON);
}

/* 32 frames. S pages 0 … 3, C forked. Page 1's frame fails: both are told and lose it; dropped and touched again it is
 * a new page */
RMAP_TEST(pager_poison, who_maps_a_failed_frame_loses_that_page_and_no_other)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *s = space_new(&w), *c;
    unsigned told = 0;
    map_at(s, 0, 4, RW);
    fill(s, 0, 4, 10);
    c = space_fork(&w, s);
    CHECK_OK(rmap_space_lock(c, 2, 1)); /* copies: C's own, locked */
    const rmap_pfn_t shared = pfn_at(s, 1), locked = pfn_at(c, 2);
    CHECK_OK(rmap_pager_poison(w.p, shared, tell, &told));
    CHECK_EQ(told, 2);
    CHECK_OK(rmap_pager_poison(w.p, locked, tell, &told));
    CHECK_EQ(told, 3);
    check_lost(s, 1);
    check_lost(c, 1);
    check_lost(c, 2);
    CHECK_EQ(get(s, 2), 12);
    CHECK_EQ(stats(&w).frames_lost, 2);
    CHECK_EQ(stats(&w).frames_used, 4);
    world_verify(&w);
    CHECK_ERR(rmap_pager_poison(w.p, shared, tell, &told), RMAP_ERR_EXISTS);
    CHECK_ERR(rmap_space_lock(s, 1, 1), RMAP_ERR_POISON);
    struct rmap_space *d = space_fork(&w, s);
    check_lost(d, 1);
    CHECK_OK(rmap_space_advise(s, 1, 1, RMAP_ADVISE_DONTNEED));
    CHECK_EQ(get(s, 1), 0);
    put(s, 1, 111);
    CHECK_OK(rmap_space_advise(d, 1, 1, RMAP_ADVISE_FREE));
    CHECK_EQ(get(d, 1), 0);
    rmap_vpn_t to = 40;
    CHECK_OK(rmap_space_move(c, 1, 1, 1, RMAP_MOVE_FIXED, &to));
    check_lost(c, 40);
    evict_all(&w);
    CHECK_EQ(get(s, 1), 111);
    check_lost(c, 40);
    CHECK_EQ(get(c, 3), 13);
    world_verify(&w);
    world_fini(&w); /* a pager with lost frames can be destroyed */
}

/* 16 frames. Free ones fail: they are not handed out, one by one until the space has no more */
RMAP_TEST(pager_poison, free_frames_are_taken_out_of_use)
{
    world_init(&w, 16, 0, 0);
    struct rmap_space *s = space_new(&w);
    unsigned told = 0, lost = 0;
    map_at(s, 0, 20, RW);
    put(s, 0, 10);
    for (rmap_pfn_t pfn = 0; pfn < 16; pfn++) {
        if (rmap_page_find(w.r, pfn)->refcount) continue;
        if (++lost > 10) break;
        CHECK_OK(rmap_pager_poison(w.p, pfn, tell, &told));
        CHECK_ERR(rmap_pager_poison(w.p, pfn, tell, &told), RMAP_ERR_EXISTS);
        world_verify(&w);
    }
    CHECK_EQ(told, 0);
    CHECK_EQ(stats(&w).frames_lost, 10);
    CHECK_EQ(stats(&w).frames_used, 2);
    CHECK_EQ(stats(&w).frames_peak, 2);
    fill(s, 1, 4, 11);
    CHECK_ERR(try_put(s, 5, 1), RMAP_ERR_NO_FRAME);
    expect(s, 0, 5, 10);
    CHECK_EQ(stats(&w).frames_peak, 6);
    world_fini(&w);
}

/* S pages 0 clean with a copy on swap, locked; 1 freed lazily; 2 dirty in the cache, unmapped. Nobody hears of 0 and 1
 */
RMAP_TEST(pager_poison, what_can_be_saved_is)
{
    world_init(&w, 32, 100, 0);
    struct rmap_space *s = space_new(&w), *c;
    unsigned told = 0;
    map_at(s, 0, 1, RMAP_READ | RMAP_WRITE);
    map_at(s, 1, 2, RW);
    fill(s, 0, 3, 10);
    CHECK_OK(rmap_space_protect(s, 0, 1, RMAP_READ));
    evict_all(&w);
    CHECK_OK(rmap_space_lock(s, 0, 1));
    CHECK_EQ(get(s, 0), 10);
    CHECK_OK(rmap_pager_poison(w.p, pfn_at(s, 0), tell, &told));
    CHECK_EQ(told, 0);
    CHECK_EQ(get(s, 0), 10); /* read again, into another frame */
    CHECK(attr(s, 0, RMAP_ATTR_LOCKED));
    CHECK_EQ(stats(&w).frames_lost, 1);

    CHECK_EQ(get(s, 1), 11);
    CHECK_OK(rmap_space_advise(s, 1, 1, RMAP_ADVISE_FREE));
    CHECK_OK(rmap_pager_poison(w.p, pfn_at(s, 1), tell, &told));
    CHECK_EQ(told, 0);
    CHECK_EQ(get(s, 1), 0);
    CHECK_EQ(stats(&w).frames_lost, 2);

    put(s, 2, 22);
    c = space_fork(&w, s);
    struct rmap_page *page = page_at(&w, s, 2);
    const rmap_pfn_t pfn = rmap_page_pfn(w.r, page);
    w.device.fail_all_writes = true; /* unmapped, and not written */
    rmap_reclaim(w.p, 10);
    w.device.fail_all_writes = false;
    CHECK_EQ(kind(s, 2), RMAP_PTE_SWAP);
    CHECK_OK(rmap_pager_poison(w.p, pfn, tell, &told));
    CHECK_EQ(stats(&w).frames_lost, 2); /* still what its entries lead to */
    check_lost(s, 2);
    check_lost(c, 2);
    evict_all(&w);
    check_lost(c, 2);
    world_verify(&w);
    CHECK_OK(rmap_space_unmap(s, 2, 1));
    space_end(&w, c);
    CHECK_EQ(stats(&w).frames_lost, 3);
    world_fini(&w);
}

/* fn says stop; a pin keeps the frame in use; then it goes */
RMAP_TEST(pager_poison, stopped_pinned_and_refused)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    unsigned told = 0;
    rmap_pfn_t zero = 0;
    map_at(s, 0, 2, RW);
    put(s, 0, 10);
    CHECK_EQ(get(s, 1), 0);
    zero = rmap_pte_pfn(&rmap_pte_format_soft, entry(s, 1));
    CHECK_ERR(rmap_pager_poison(NULL, 1, tell, &told), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_pager_poison(w.p, 32, tell, &told), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_pager_poison(w.p, zero, tell, &told), RMAP_ERR_UNSUPPORTED);
    CHECK_EQ(get(s, 1), 0);
    struct rmap_page *page = page_at(&w, s, 0);
    CHECK_OK(rmap_page_pin(w.r, page));
    CHECK_ERR(rmap_pager_poison(w.p, rmap_page_pfn(w.r, page), refuse, &told), RMAP_ERR_BUSY);
    CHECK_EQ(told, 1);
    CHECK(page_at(&w, s, 0) == page);
    CHECK_OK(rmap_pager_poison(w.p, rmap_page_pfn(w.r, page), NULL, NULL));
    check_lost(s, 0);
    CHECK_EQ(stats(&w).frames_lost, 0);
    CHECK_EQ(rmap_pager_vacate(w.p, 0, 32), 0);
    world_verify(&w);
    rmap_page_unpin(w.r, page);
    CHECK_EQ(stats(&w).frames_lost, 1);
    world_fini(&w);
}

/* A write to a page that was poisoned between look and copy: no copy is made of lost contents */
RMAP_TEST(pager_poison, lost_contents_are_not_copied)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w), *c;
    map_at(s, 0, 2, RW);
    fill(s, 0, 2, 10);
    c = space_fork(&w, s);
    unsigned told = 0;
    struct rmap_page *page = page_at(&w, s, 0);
    CHECK_ERR(rmap_pager_poison(w.p, rmap_page_pfn(w.r, page), refuse, &told), RMAP_ERR_BUSY);
    CHECK_ERR(try_put(c, 0, 1), RMAP_ERR_POISON);
    rmap_vpn_t to = 40;
    CHECK_ERR(rmap_space_move(c, 0, 2, 2, RMAP_MOVE_FIXED, &to), RMAP_ERR_POISON);
    CHECK_EQ(get(c, 1), 11);
    CHECK_EQ(stats(&w).cow_copies, 0);
    space_end(&w, c);
    CHECK_ERR(try_put(s, 0, 1), RMAP_ERR_POISON); /* nor is it written in place */
    CHECK_EQ(rmap_reclaim(w.p, 4), 0);
    world_verify(&w);
    world_fini(&w);
}

/* ---- a frame that is given up before it fails ---- */

static const struct rmap_mmu_ops *own_ops;

/* A write fault during which something is done each time that a run has been unlocked: `run_unlock` begins with own_ops's. */
static int write_fault_with(struct rmap_space *s, rmap_vpn_t vpn,
                            void (*run_unlock)(void *mmu, struct rmap_mmu_run *run))
{
    struct rmap_member *m = rmap_space_member(s);
    own_ops = m->mmu.ops;
    struct rmap_mmu_ops ops = *own_ops;
    ops.run_unlock = run_unlock;
    m->mmu.ops = &ops;
    const int rc = rmap_space_fault(s, vpn, RMAP_WRITE);
    m->mmu.ops = own_ops;
    return rc;
}

static struct rmap_space *moving;

/* Once, between the fault's look at the entry and its look at the page: the page moves, then its old frame fails. */
static void move_and_lose(void *mmu, struct rmap_mmu_run *run)
{
    struct rmap_space *s = moving;
    own_ops->run_unlock(mmu, run);
    if (!s) return;
    moving = NULL;
    struct rmap_page *page = page_at(&w, s, 7), *target;
    struct rmap_result res;
    CHECK_OK(rmap_page_alloc(w.r, RMAP_PFN_NONE, &target));
    CHECK_OK(rmap_migrate(w.r, &page, &target, 1, RMAP_LOCK_PAGES, &res));
    CHECK_EQ(res.outcome, RMAP_DONE);
    rmap_page_set_flags(page, RMAP_PAGE_POISON);
    rmap_page_put(w.r, target);
}

/* Page 7 of P and C is written by C: the fault has the old frame in mind, and finds the new one */
RMAP_TEST(pager_poison, a_write_fault_follows_a_page_that_left_its_failing_frame)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 7, 1, RW);
    put(p, 7, 70);
    struct rmap_space *c = space_fork(&w, p);
    moving = c;
    int rc = write_fault_with(c, 7, move_and_lose);
    CHECK_OK(rc);
    CHECK(moving == NULL);
    CHECK_EQ(stats(&w).frames_lost, 1);
    put(c, 7, 71);
    CHECK_EQ(get(p, 7), 70);
    CHECK_EQ(get(c, 7), 71);
    world_fini(&w);
}

/* ---- a frame in a fault's hand ---- */

static struct {
    bool tried;
    rmap_pfn_t pfn;
    rmap_pfn_t other; /* fails instead of the frame in hand, and who maps it refuses to let it go; 0: none */
    int rc;
} in_hand;

static void *lose_frame(void *arg)
{
    unsigned told = 0;
    (void)arg;
    in_hand.rc = in_hand.other ? rmap_pager_poison(w.p, in_hand.other, refuse, &told)
                               : rmap_pager_poison(w.p, in_hand.pfn, NULL, NULL);
    return NULL;
}

/* Once there is a frame that is used and nobody's page, a frame fails: another thread says so. */
static void lose_with_one_in_hand(void *mmu, struct rmap_mmu_run *run)
{
    own_ops->run_unlock(mmu, run);
    for (rmap_pfn_t pfn = 1; pfn < 32 && !in_hand.tried; pfn++) { /* 0 is the zero frame */
        const struct rmap_page *page = rmap_page_find(w.r, pfn);
        pthread_t thread;
        if (!page->refcount || rmap_page_is_anon(page)) continue;
        in_hand.tried = true;
        in_hand.pfn = pfn;
        CHECK_EQ(pthread_create(&thread, NULL, lose_frame, NULL), 0);
        pthread_join(thread, NULL);
    }
}

/* S writes page 8, its table is there; the frame that it is about to get fails. BUSY: asked again it is a page, and lost */
RMAP_TEST(pager_poison, a_frame_in_a_faults_hand_is_not_taken_for_a_page)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 7, 2, RW);
    put(s, 7, 70);
    in_hand.tried = false;
    in_hand.other = 0;
    int rc = write_fault_with(s, 8, lose_with_one_in_hand);
    CHECK_OK(rc);
    CHECK(in_hand.tried);
    CHECK_ERR(in_hand.rc, RMAP_ERR_BUSY);
    CHECK_EQ(pfn_at(s, 8), in_hand.pfn);
    CHECK(!(rmap_page_flags(page_at(&w, s, 8)) & RMAP_PAGE_POISON));
    put(s, 8, 80);
    CHECK_OK(rmap_pager_poison(w.p, in_hand.pfn, NULL, NULL));
    check_lost(s, 8);
    CHECK_EQ(get(s, 7), 70);
    world_fini(&w);
}

/* Page 7 of P and C; C writes it. The page's frame fails when the one for the copy is in hand: no copy of it is made. */
RMAP_TEST(pager_poison, lost_contents_are_not_copied_into_a_frame_in_hand)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 7, 1, RW);
    put(p, 7, 70);
    struct rmap_space *c = space_fork(&w, p);
    in_hand.tried = false;
    in_hand.other = pfn_at(p, 7);
    int rc = write_fault_with(c, 7, lose_with_one_in_hand);
    CHECK(in_hand.tried);
    CHECK_ERR(in_hand.rc, RMAP_ERR_BUSY);
    CHECK_ERR(rc, RMAP_ERR_POISON);
    CHECK_EQ(stats(&w).cow_copies, 0);
    CHECK_EQ(stats(&w).frames_used, 2); /* the zero frame, the lost page */
    world_fini(&w);
}
