/* SPDX-License-Identifier: MIT */
/** @file unit/test_pager_migrate.c  Emptying ranges of frames, and faults that meet a page on its way. */
#include "support/other_thread.h"
#include "unit/pager_world.h"

#include <objrmap/migrate.h>
#include <pager/pager_internal.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

static struct world w;

/* Frames of [first, end) in use. */
static unsigned used_in(rmap_pfn_t first, rmap_pfn_t end)
{
    unsigned n = 0;
    for (rmap_pfn_t pfn = first; pfn < end; pfn++) n += rmap_page_find(w.r, pfn)->refcount != 0;
    return n;
}

/* 64 frames; P 20 pages, C forked from it has written 5 of them: the lower half, with the zero frame in it, is emptied
 * into the upper one */
RMAP_TEST(pager_migrate, a_range_is_emptied_and_nobody_notices)
{
    world_init(&w, 64, 100, 0);
    struct rmap_space *p = space_new(&w), *c;
    map_at(p, 0, 20, RW);
    fill(p, 0, 20, 100);
    c = space_fork(&w, p);
    fill(c, 0, 5, 500);
    const unsigned there = used_in(0, 32);
    CHECK(there > 10);
    CHECK_EQ(rmap_pager_vacate(w.p, 0, 32), there - 1);
    CHECK_EQ(used_in(0, 32), 1); /* the zero frame */
    world_verify(&w);
    CHECK_EQ(stats(&w).migrations, there - 1);
    CHECK_EQ(stats(&w).frames_used, 26);
    expect(p, 0, 20, 100);
    expect(c, 0, 5, 500);
    expect(c, 5, 15, 105);
    CHECK_EQ(w.device.reads, 0);
    CHECK_EQ(rmap_pager_vacate(w.p, 0, 32), 0);
    map_at(p, 40, 20, RW); /* what came free can be had */
    fill(p, 40, 20, 900);
    CHECK(used_in(0, 32) > 1);
    world_fini(&w);
}

/* Frames of pages 0 pinned, 1 locked by somebody, 2 locked by mlock, 3 held besides, 4 cached and clean, 5 on swap but
 * cached */
RMAP_TEST(pager_migrate, what_can_move_does_and_what_cannot_stays)
{
    world_init(&w, 64, 100, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 6, RW);
    fill(s, 4, 2, 14);
    evict_all(&w);
    expect(s, 4, 2, 14);
    fill(s, 0, 4, 10);
    struct rmap_page *page[6], *raw;
    for (unsigned i = 0; i < 6; i++) page[i] = page_at(&w, s, i);
    struct rmap_result res;
    rmap_page_lock(page[5]);
    rmap_page_get(page[5]);
    CHECK_OK(rmap_unmap(w.r, &page[5], 1, 0, &res));
    rmap_page_unlock(w.r, page[5]);
    rmap_page_put(w.r, page[5]);
    CHECK_OK(rmap_page_pin(w.r, page[0]));
    AS_ANOTHER_THREAD(rmap_page_lock(page[1]));
    CHECK_OK(rmap_space_lock(s, 2, 1));
    rmap_page_get(page[3]);
    CHECK_OK(rmap_page_alloc(w.r, RMAP_PFN_NONE, &raw));
    CHECK_EQ(rmap_pager_vacate(w.p, 0, 48), 4);
    world_verify(&w);
    CHECK(page_at(&w, s, 0) == page[0] && page_at(&w, s, 1) == page[1]);
    for (unsigned i = 2; i < 5; i++) CHECK(page_at(&w, s, i) != page[i]);
    CHECK(attr(s, 2, RMAP_ATTR_LOCKED));
    CHECK_EQ(page[5]->refcount, 0);
    CHECK_EQ(page[3]->refcount, 1);
    rmap_page_put(w.r, page[3]);
    rmap_page_put(w.r, raw);
    rmap_page_unpin(w.r, page[0]);
    rmap_page_unlock(w.r, page[1]);
    expect(s, 0, 6, 10);
    world_verify(&w);
    CHECK_EQ(used_in(0, 48), 3);
    const uint64_t reads = w.device.reads, writes = w.device.writes;
    CHECK(rmap_page_flags(page_at(&w, s, 4)) & RMAP_PAGE_SWAPCACHE);
    put(s, 4, 99);
    CHECK_EQ(w.device.reads, reads);
    CHECK_EQ(w.device.writes, writes);
    world_fini(&w);
}

/* 16 frames, 12 used; 3 are free, one of them outside: so much moves; ages go along */
RMAP_TEST(pager_migrate, as_many_as_there_are_frames_outside)
{
    world_init(&w, 16, 0, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 15, RW);
    fill(s, 0, 15, 10);
    struct rmap_page *last = rmap_page_find(w.r, 15);
    for (unsigned v = 0; v < 15; v++) /* free frame 15, and two below 8 */
        if (page_at(&w, s, v) == last) CHECK_OK(rmap_space_advise(s, v, 1, RMAP_ADVISE_DONTNEED));
    CHECK_OK(rmap_space_advise(s, 1, 2, RMAP_ADVISE_DONTNEED));
    CHECK_EQ(used_in(0, 16), 13);
    CHECK_EQ(rmap_pager_vacate(w.p, 0, 15), 1);
    CHECK_EQ(used_in(15, 16), 1);
    world_verify(&w);
    CHECK_EQ(get(s, 0), 10);
    CHECK_EQ(rmap_pager_vacate(w.p, 15, 1), 1);
    CHECK_EQ(used_in(15, 16), 0);
    expect(s, 3, 11, 13);
    world_fini(&w);
}

RMAP_TEST(pager_migrate, ages_go_along)
{
    world_init(&w, 64, 100, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 30, RW);
    fill(s, 0, 30, 10);
    CHECK_EQ(rmap_reclaim(w.p, 1), 1); /* a few become inactive */
    uint64_t inactive = 0, after = 0;
    for (unsigned v = 0; v < 30; v++) {
        const struct rmap__frame *f = (struct rmap__frame *)page_at(&w, s, v);
        inactive += f && f->list == RMAP__LIST_INACTIVE;
    }
    CHECK(inactive > 0 && inactive < 29);
    const unsigned there = used_in(0, 32);
    CHECK(there > 10);
    CHECK_EQ(rmap_pager_vacate(w.p, 0, 32), there - 1);
    for (unsigned v = 0; v < 30; v++) {
        const struct rmap__frame *f = (struct rmap__frame *)page_at(&w, s, v);
        after += f && f->list == RMAP__LIST_INACTIVE;
    }
    CHECK_EQ(after, inactive);
    expect(s, 0, 30, 10);
    world_fini(&w);
}

/* H1, H2 */
RMAP_TEST(pager_migrate, arguments)
{
    world_init(&w, 16, 0, 0);
    CHECK_EQ(rmap_pager_vacate(NULL, 0, 1), RMAP_ERR_NULL_ARG);
    CHECK_EQ(rmap_pager_vacate(w.p, 0, 0), RMAP_ERR_RANGE);
    CHECK_EQ(rmap_pager_vacate(w.p, 16, 1), RMAP_ERR_RANGE);
    CHECK_EQ(rmap_pager_vacate(w.p, 0, 17), RMAP_ERR_RANGE);
    CHECK_EQ(rmap_pager_vacate(w.p, 1, UINT64_MAX), RMAP_ERR_RANGE);
    CHECK_EQ(rmap_pager_vacate(w.p, 0, 16), 0);
    world_fini(&w);
}

/* ---- a fault that meets a page on its way: the end comes when the fault has let go of its run ---- */

static struct rmap_mmu_ops watched;
static const struct rmap_mmu_ops *plain;
static struct rmap_page *page, *target;
static unsigned ends;
static void watched_unlock(void *mmu, struct rmap_mmu_run *run)
{
    struct rmap_result res = {.outcome = RMAP_INCOMPLETE};
    plain->run_unlock(mmu, run);
    if (!page || page->refcount < 3) return; /* its mapping's, ours; the third is the fault's */
    struct rmap_page *old = page, *new = target;
    page = NULL;
    if (!rmap_migrate_end(w.r, &old, &new, 1, 0, &res)) ends += res.outcome == RMAP_DONE;
    rmap_page_unlock(w.r, old);
    rmap_page_unlock(w.r, new);
    rmap_page_put(w.r, old);
    rmap_page_put(w.r, new);
}

/* S page 6 is on its way when it is read, and when it is written */
RMAP_TEST(pager_migrate, a_fault_waits_for_the_end)
{
    for (unsigned write = 0; write < 2; write++) {
        world_init(&w, 32, 0, 0);
        struct rmap_space *s = space_new(&w);
        struct rmap_mmu *mmu = &rmap_space_member(s)->mmu;
        struct rmap_result res;
        map_at(s, 6, 1, RW);
        put(s, 6, 60);
        plain = mmu->ops;
        watched = *plain;
        watched.run_unlock = watched_unlock;
        ends = 0;
        page = page_at(&w, s, 6);
        CHECK_OK(rmap_page_alloc(w.r, RMAP_PFN_NONE, &target));
        rmap_page_get(page);
        AS_ANOTHER_THREAD(rmap_page_lock(page); CHECK(rmap_page_try_lock(target)));
        CHECK_OK(rmap_migrate_begin(w.r, &page, 1, 0, &res));
        CHECK_EQ(res.outcome, RMAP_DONE);
        rmap__frame_ops.copy(w.p, rmap_page_pfn(w.r, target), rmap_page_pfn(w.r, page));
        mmu->ops = &watched;
        if (write) put(s, 6, 61);
        CHECK_EQ(get(s, 6), 60 + write);
        mmu->ops = plain;
        CHECK_EQ(ends, 1);
        CHECK(page_at(&w, s, 6) == target);
        CHECK_EQ(stats(&w).frames_used, 2);
        world_fini(&w);
    }
}

/* ---- others migrate beside the pager ---- */

static _Atomic bool over;
static _Atomic uint64_t moved;

/* Move one page after the other to another frame, by the core's verb alone, whatever the pager does with it meanwhile. */
static void *mover(void *arg)
{
    struct rmap_page *old, *new;
    struct rmap_result res;
    for (rmap_pfn_t pfn = (uintptr_t)arg; !over; pfn = (pfn + 7) % 29) {
        if (rmap_page_alloc(w.r, RMAP_PFN_NONE, &new)) continue;
        old = rmap_page_find(w.r, pfn);
        if (old != new &&rmap_page_try_get(old)) {
            if (!rmap_migrate(w.r, &old, &new, 1, RMAP_LOCK_PAGES, &res)) moved += res.outcome == RMAP_DONE;
            rmap_page_put(w.r, old);
        }
        rmap_page_put(w.r, new);
        sched_yield();
    }
    return NULL;
}

/* 29 frames, 60 slots. A family of spaces writes, reads, forks, moves, frees and ends while two threads move its pages about */
RMAP_TEST(pager_migrate, spaces_work_while_others_migrate_their_pages)
{
    enum { PAGES = 24, ROUNDS = 1500 };
    pthread_t thread[2];
    world_init(&w, 29, 60, 0);
    struct rmap_space *p = space_new(&w);
    uint64_t value[PAGES];
    map_at(p, 0, PAGES, RW);
    for (unsigned v = 0; v < PAGES; v++) put(p, v, value[v] = v);
    over = false;
    moved = 0;
    for (uintptr_t i = 0; i < 2; i++) CHECK_EQ(pthread_create(&thread[i], NULL, mover, (void *)i), 0);
    unsigned wrong = 0;
    for (unsigned round = 0; round < ROUNDS && !wrong; round++) {
        struct rmap_space *c;
        uint64_t word;
        rmap_vpn_t to = 100;
        if (rmap_space_fork(p, &c)) break;
        for (unsigned k = 0; k < 6; k++) {
            const unsigned v = (round * 5 + k * 7) % PAGES;
            word = 1000 * round + k;
            if (!rmap_space_write(c, v * PAGE, &word, sizeof word, NULL)) {
                wrong += rmap_space_read(c, v * PAGE, &word, sizeof word, NULL) == 0 && word != 1000 * round + k;
            }
            if (!rmap_space_read(p, v * PAGE, &word, sizeof word, NULL)) wrong += word != value[v];
            word = value[v] + PAGES;
            if (k == 0 && !rmap_space_write(p, v * PAGE, &word, sizeof word, NULL)) value[v] = word;
        }
        if (!rmap_space_move(c, 3, 4, 4, RMAP_MOVE_FIXED, &to)) rmap_space_advise(c, 100, 2, RMAP_ADVISE_FREE);
        wrong += rmap_space_destroy(c) != 0;
    }
    for (unsigned wait = 0; !moved && wait < 1000; wait++) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    over = true;
    for (unsigned i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    CHECK_EQ(wrong, 0);
    CHECK(moved > 0);
    for (unsigned v = 0; v < PAGES; v++) {
        uint64_t word = 0;
        CHECK_OK(rmap_space_read(p, v * PAGE, &word, sizeof word, NULL));
        CHECK_EQ(word, value[v]);
    }
    world_fini(&w);
}

/* 64 frames, [16,32) shut: whoever asks for one of them by number gets another, while there is another. */
RMAP_TEST(pager_migrate, frames_that_are_being_emptied_are_not_handed_out)
{
    struct rmap_page *held[63];
    world_init(&w, 64, 0, 0);
    rmap__frames_shut(w.p, 16, 32);
    for (unsigned i = 0; i < 63; i++) { /* one of 64 is the zero frame */
        CHECK_OK(rmap_page_alloc(w.r, i % 2 ? 31 : 16, &held[i]));
        const rmap_pfn_t pfn = rmap_page_pfn(w.r, held[i]);
        CHECK_EQ(pfn >= 16 && pfn < 32, i >= 63 - 16);
    }
    rmap__frames_shut(w.p, 0, 0);
    for (unsigned i = 0; i < 63; i++) rmap_page_put(w.r, held[i]);
    world_fini(&w);
}

/* Pages 0 … 9, the oldest first; 0's frame is emptied. It is the oldest page still, at its new frame. */
RMAP_TEST(pager_migrate, a_page_is_as_old_at_its_new_frame_as_it_was)
{
    world_init(&w, 64, 0, 0);
    struct rmap_space *s = space_new(&w);
    struct rmap_page *oldest;
    map_at(s, 0, 10, RW);
    fill(s, 0, 10, 0);
    struct rmap_page *before = page_at(&w, s, 0);
    CHECK_EQ(rmap_pager_vacate(w.p, rmap_page_pfn(w.r, before), 1), 1);
    CHECK(page_at(&w, s, 0) != before);
    CHECK_EQ(rmap__list_isolate(w.p, RMAP__LIST_ACTIVE, &oldest, 1), 1);
    CHECK(oldest == page_at(&w, s, 0));
    rmap__list_put(w.p, oldest, RMAP__LIST_ACTIVE);
    rmap_page_put(w.r, oldest);
    world_fini(&w);
}

/* 64 frames, [16,32) emptied: afterwards they are to be had like any others. */
RMAP_TEST(pager_migrate, emptied_frames_are_handed_out_again_afterwards)
{
    struct rmap_page *page_16;
    world_init(&w, 64, 0, 0);
    CHECK_EQ(rmap_pager_vacate(w.p, 16, 16), 0);
    CHECK_OK(rmap_page_alloc(w.r, 16, &page_16));
    CHECK_EQ(rmap_page_pfn(w.r, page_16), 16);
    rmap_page_put(w.r, page_16);
    world_fini(&w);
}

/* The range holds nothing but a pinned page: it stays, and no frame is taken for it. */
RMAP_TEST(pager_migrate, E2_a_pinned_page_takes_no_frame)
{
    struct rmap_page *pinned;
    world_init(&w, 64, 0, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 1, RW);
    CHECK_OK(rmap_space_pin(s, 0, &pinned));
    const uint64_t peak = stats(&w).frames_peak;
    CHECK_EQ(rmap_pager_vacate(w.p, rmap_page_pfn(w.r, pinned), 1), 0);
    CHECK(page_at(&w, s, 0) == pinned);
    CHECK_EQ(stats(&w).frames_peak, peak);
    rmap_page_unpin(w.r, pinned);
    world_fini(&w);
}
