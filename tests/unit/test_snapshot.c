/* SPDX-License-Identifier: MIT */
/** @file unit/test_snapshot.c  snapshot and written: which entries change and how, what is reported, what is left alone. */
#include "support/world.h"

#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#define BIT(map, i) ((map)[(i) / 64] >> (i) % 64 & 1)

static struct rmap_snapped snap(struct world_space *s, uint64_t *written)
{
    struct rmap_snapped done;
    CHECK_OK(rmap_snapshot(&s->m, 0, s->mmu.pages, written, &done));
    return done;
}
static bool written(struct world_space *s, rmap_vpn_t vpn)
{
    uint64_t map[2] = {0, 0}, n = 9;
    CHECK_OK(rmap_written(&s->m, vpn, 1, map, &n));
    CHECK_EQ(n, map[0]);
    CHECK_EQ(map[1], 0);
    return map[0];
}

/* ---- what it does to entries ---- */

/* 7 written, 8 written and no-access, 9 written and on swap, 10 shared and so read-only, 700 zero page, 701 poison */
RMAP_TEST(snapshot, every_kind_of_entry)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 10, 10);
    world_fork(p);
    for (rmap_vpn_t v = 7; v < 10; v++) world_write(p, v, v);
    CHECK_OK(rmap_protect(&p->m, 8, 1, RMAP_PROTECT_NO_ACCESS));
    CHECK_EQ(world_unmap(&w, world_page(p, 9), 0).outcome, RMAP_DONE);
    world_map_special(p, 700);
    world_set_entry(p, 701, rmap_pte_make_kind(p->mmu.ops->format, RMAP_PTE_POISON, 5, 0));
    for (rmap_vpn_t v = 7; v < 9; v++) rmap_page_clear_flags(world_page(p, v), RMAP_PAGE_DIRTY);
    const rmap_pte_t zero = world_entry(p, 700), poison = world_entry(p, 701);
    world_flush_log_clear(p);

    uint64_t map[12];
    struct rmap_snapped done;
    memset(map, 0xff, sizeof map);
    CHECK_OK(rmap_snapshot(&p->m, 5, 700, map, &done)); /* 5 … 704 */
    CHECK_EQ(done.withdrawn, 1);
    CHECK_EQ(done.dirty, 3); /* 7, 8, 10 */
    CHECK_EQ(done.written, 4);
    CHECK_EQ(done.pinned, 0);
    CHECK_EQ(map[0], 0xf << 2);
    for (unsigned i = 1; i < 11; i++) CHECK_EQ(map[i], 0);
    CHECK_EQ(map[11], UINT64_MAX); /* beyond 700 bits */
    for (rmap_vpn_t v = 7; v < 9; v++) {
        CHECK(!world_attr(p, v, RMAP_ATTR_WRITE) && !world_attr(p, v, RMAP_ATTR_DIRTY));
        CHECK(rmap_page_flags(world_page(p, v)) & RMAP_PAGE_DIRTY);
    }
    for (rmap_vpn_t v = 7; v < 11; v++) CHECK(!world_attr(p, v, RMAP_ATTR_SOFT_DIRTY));
    CHECK_EQ(world_kind(p, 8), RMAP_PTE_NO_ACCESS);
    CHECK_EQ(world_kind(p, 9), RMAP_PTE_SWAP);
    CHECK_EQ(world_entry(p, 700), zero);
    CHECK_EQ(world_entry(p, 701), poison);
    CHECK(world_attr(p, 7, RMAP_ATTR_ACCESSED));
    CHECK_EQ(p->flushed_count, 2); /* 7, 10 */
    CHECK_EQ(p->flushed[0].first, 7);
    CHECK_EQ(p->flushed[0].kind, RMAP_FLUSH_WRITE);
    CHECK_EQ(world_tlb_stale(p), NULL);

    world_flush_log_clear(p);
    done = snap(p, NULL); /* nothing happened since */
    CHECK_EQ(done.withdrawn + done.dirty + done.written, 0);
    CHECK_EQ(p->flushed_count, 0);
    struct rmap_page *page = world_page(p, 7);
    world_write(p, 7, 77);
    CHECK(world_page(p, 7) == page); /* its own still: written in place */
    CHECK_EQ(world_read(p, 9), 9);
    CHECK(written(p, 7) && !written(p, 9) && !written(p, 10));
    world_write(p, 9, 99);
    world_write(p, 10, 100);
    CHECK(written(p, 9) && written(p, 10));
    world_check(&w);
    world_fini(&w);
}

/* 60-70 and 509-515 written; a range that begins and ends in the middle of words and tables */
RMAP_TEST(snapshot, a_range_has_its_own_bits_and_leaves_the_rest_alone)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    uint64_t map[8], n;
    for (rmap_vpn_t v = 60; v <= 70; v++) world_write(p, v, v);
    for (rmap_vpn_t v = 509; v <= 515; v++) world_write(p, v, v);
    CHECK_OK(rmap_written(&p->m, 65, 448, map, &n)); /* 65 … 512 */
    CHECK_EQ(n, 6 + 4);
    struct rmap_snapped done;
    uint64_t same[8];
    CHECK_OK(rmap_snapshot(&p->m, 65, 448, same, &done));
    CHECK_EQ(done.written, n);
    for (rmap_vpn_t v = 65; v <= 512; v++) {
        CHECK_EQ(BIT(map, v - 65), v <= 70 || v >= 509);
        CHECK_EQ(BIT(same, v - 65), BIT(map, v - 65));
    }
    CHECK(written(p, 64) && world_attr(p, 64, RMAP_ATTR_WRITE));
    CHECK(written(p, 513) && world_attr(p, 513, RMAP_ATTR_WRITE));
    CHECK(!written(p, 65) && !written(p, 512));
    CHECK_OK(rmap_written(&p->m, 100, 1 << 17, (uint64_t[2048]){0}, NULL));
    world_check(&w);
    world_fini(&w);
}

/* INV-7: the hardware sets dirty between the look and the exchange, and after it */
RMAP_TEST(snapshot, INV_7_a_dirty_bit_that_comes_late_is_collected)
{
    for (unsigned wait = 0; wait < 3; wait++) {
        struct world w;
        world_init(&w, &(struct world_options){.no_slots = true});
        struct world_space *p = world_space(&w);
        world_write(p, 7, 1);
        struct rmap_page *page = world_page(p, 7);
        const rmap_pte_t e = world_entry(p, 7);
        world_set_entry(p, 7, rmap_pte_set(p->mmu.ops->format, e, RMAP_ATTR_DIRTY, false));
        rmap_page_clear_flags(page, RMAP_PAGE_DIRTY);
        p->hardware_vpn = 7;
        p->hardware_wait = wait;
        p->hardware_attrs = 1u << RMAP_ATTR_DIRTY;
        snap(p, NULL);
        const bool in_entry = world_attr(p, 7, RMAP_ATTR_DIRTY), in_page = rmap_page_flags(page) & RMAP_PAGE_DIRTY;
        CHECK_EQ(in_entry || in_page, p->hardware_did);
        world_fini(&w);
    }
}

/* Without a TLB, and where the space runs nowhere, there is nothing to flush */
RMAP_TEST(snapshot, S6_no_flush_where_none_is_needed)
{
    for (unsigned idle = 0; idle < 2; idle++) {
        struct world w;
        world_init(&w, &(struct world_options){.caps = idle ? 0 : RMAP_MMU_NO_TLB});
        struct world_space *p = world_space(&w);
        world_write(p, 7, 1);
        if (idle) world_idle(p);
        CHECK_EQ(snap(p, NULL).withdrawn, 1);
        CHECK_EQ(w.flush_calls, 0);
        p->idle = false;
        world_check(&w);
        world_fini(&w);
    }
}

/* ---- pins ---- */

/* 7 own and pinned, 8 pinned after it became read-only, 9 pinned and no-access, 10 plain */
RMAP_TEST(snapshot, E2_pinned_pages_are_left_out_and_always_count_as_written)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    struct rmap_page *page[3];
    for (rmap_vpn_t v = 7; v < 11; v++) world_write(p, v, v);
    snap(p, NULL);
    world_write(p, 7, 77);
    CHECK_OK(rmap_protect(&p->m, 9, 1, RMAP_PROTECT_NO_ACCESS));
    for (unsigned i = 0; i < 3; i++) {
        page[i] = world_page(p, 7 + i);
        CHECK_OK(rmap_page_pin(w.r, page[i]));
    }
    for (unsigned round = 0; round < 2; round++) {
        uint64_t map[4096];
        struct rmap_snapped done = snap(p, map);
        CHECK_EQ(done.pinned, 3);
        CHECK_EQ(done.written, 3);
        CHECK_EQ(map[0], 0x7 << 7);
        CHECK_EQ(done.withdrawn, 0);
    }
    CHECK(world_attr(p, 7, RMAP_ATTR_WRITE) && !world_attr(p, 8, RMAP_ATTR_WRITE));
    CHECK_EQ(world_kind(p, 9), RMAP_PTE_NO_ACCESS);
    world_write(p, 7, 78);
    CHECK(world_page(p, 7) == page[0]); /* the frame that the device has */
    for (unsigned i = 0; i < 3; i++) rmap_page_unpin(w.r, page[i]);
    CHECK_EQ(snap(p, NULL).written, 3); /* what was written before they were unpinned */
    CHECK_EQ(snap(p, NULL).written, 0);
    CHECK(!world_attr(p, 7, RMAP_ATTR_WRITE));
    world_check(&w);
    world_fini(&w);
}

/* ---- the mark lives as long as the page (D7) ---- */

/* 0 written since the snapshot, 1 not: through swap, a move, a move while shared, a move on swap, and a fork */
static void check_marks(struct world_space *s, rmap_vpn_t at)
{
    CHECK(written(s, at));
    CHECK(!written(s, at + 1));
}
RMAP_TEST(snapshot, D7_the_mark_survives_swap_moves_and_fork)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 0, 1);
    world_write(p, 1, 1);
    snap(p, NULL);
    world_write(p, 0, 2);
    check_marks(p, 0);
    for (rmap_vpn_t v = 0; v < 2; v++) CHECK(world_swap_out(&w, world_page(p, v)));
    check_marks(p, 0);
    CHECK_EQ(world_move(p, 0, 100, 2).swap_moved, 2);
    check_marks(p, 100);
    CHECK_EQ(world_read(p, 100) + world_read(p, 101), 3);
    check_marks(p, 100);
    CHECK_EQ(world_move(p, 100, 200, 2).reindexed, 2);
    check_marks(p, 200);
    struct world_space *c = world_fork(p);
    check_marks(p, 200);
    check_marks(c, 200); /* what its parent had written since */
    CHECK_EQ(world_move(p, 200, 300, 2).copied, 2);
    check_marks(p, 300);
    for (rmap_vpn_t v = 300; v < 302; v++) CHECK(world_swap_out(&w, world_page(p, v)));
    struct world_space *d = world_fork(p);
    check_marks(d, 300);
    CHECK_EQ(world_move(d, 300, 400, 2).swap_shared, 2);
    check_marks(d, 400);
    CHECK_EQ(world_read(d, 400) + world_read(d, 401), 3); /* private copies */
    check_marks(d, 400);
    snap(d, NULL);
    CHECK(!written(d, 400));
    check_marks(p, 300); /* each space has its own marks */
    world_check(&w);
    world_fini(&w);
}

/* ---- beside walks ---- */

static struct world *hooked;
static struct world_space *target;
static void (*plain_unlock)(void *, struct rmap_mmu_run *);
static void protect_at_unlock(void *mmu, struct rmap_mmu_run *run)
{
    struct world *w = hooked;
    plain_unlock(mmu, run);
    if (!w || !run->slots || run->first) return;
    hooked = NULL;
    CHECK_EQ(world_protect(w, world_page(target, 7)).outcome, RMAP_DONE);
    if (world_tlb_find(target, 7)->write) world_broken(w, "write_protect said DONE, and a translation can still write");
}

/* 7 in the first table, 600 in another: between them somebody write-protects 7, which is read-only already */
RMAP_TEST(snapshot, write_protect_in_the_middle_of_it_finds_no_stale_translation)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    world_write(p, 600, 2);
    hooked = &w;
    target = p;
    plain_unlock = w.ops.run_unlock;
    w.ops.run_unlock = protect_at_unlock;
    snap(p, NULL);
    CHECK(!hooked);
    world_check(&w);
    world_fini(&w);
}

static sem_t walk_is_there, walk_may_go_on;
static pthread_t walker;
static void (*plain_flush)(void *, const struct rmap_flush_range *, size_t);
static void wait_in_flush(void *mmu, const struct rmap_flush_range *ranges, size_t n)
{
    if (pthread_equal(pthread_self(), walker)) {
        sem_post(&walk_is_there);
        sem_wait(&walk_may_go_on);
    }
    plain_flush(mmu, ranges, n);
}
static void *walk(void *w)
{
    walker = pthread_self();
    world_unmap(w, world_page(target, 7), 0);
    return NULL;
}
static _Atomic bool taken;
static void *take(void *s)
{
    rmap_snapshot(&((struct world_space *)s)->m, 0, 1000, NULL, NULL);
    taken = true;
    return NULL;
}

/* An unmap has put a swap entry at 7, and has not flushed yet: what can still write there must be over at the moment */
RMAP_TEST(snapshot, it_waits_for_the_flush_of_a_walk_that_is_at_the_same_entry)
{
    struct world w;
    pthread_t a, b;
    world_init(&w, NULL);
    struct world_space *p = target = world_space(&w);
    world_write(p, 7, 1);
    CHECK_OK(-sem_init(&walk_is_there, 0, 0));
    CHECK_OK(-sem_init(&walk_may_go_on, 0, 0));
    plain_flush = w.ops.flush;
    w.ops.flush = wait_in_flush;
    CHECK_EQ(pthread_create(&a, NULL, walk, &w), 0);
    sem_wait(&walk_is_there);
    CHECK_EQ(world_kind(p, 7), RMAP_PTE_SWAP);
    CHECK_EQ(pthread_create(&b, NULL, take, p), 0);
    usleep(50000); /* however long: it must not be over */
    const bool too_soon = taken;
    sem_post(&walk_may_go_on);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    CHECK(!too_soon);
    CHECK(taken);
    w.ops.flush = plain_flush;
    world_check(&w);
    world_fini(&w);
}

/* ---- arguments ---- */

/* H1, H2, H3 */
RMAP_TEST(snapshot, refuses_bad_arguments_and_says_how_far_it_came_before_a_huge_entry)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *blank = world_space_blank(&w);
    uint64_t map[32] = {0}, n;
    struct rmap_snapped done;
    world_write(p, 7, 1);
    CHECK_ERR(rmap_snapshot(NULL, 0, 1, NULL, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_snapshot(&blank->m, 0, 1, NULL, NULL), RMAP_ERR_DEAD);
    CHECK_ERR(rmap_snapshot(&p->m, 0, 0, NULL, NULL), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_snapshot(&p->m, 1, p->mmu.pages, NULL, NULL), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_written(NULL, 0, 1, map, &n), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_written(&p->m, 0, 1, NULL, &n), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_written(&blank->m, 0, 1, map, &n), RMAP_ERR_DEAD);
    CHECK_ERR(rmap_written(&p->m, p->mmu.pages, 1, map, &n), RMAP_ERR_RANGE);
    CHECK(world_attr(p, 7, RMAP_ATTR_WRITE));
    p->blocked = true, p->block = 1000;
    CHECK_ERR(rmap_written(&p->m, 0, 2000, map, &n), RMAP_ERR_BLOCK);
    CHECK_EQ(n, 1);
    CHECK_ERR(rmap_snapshot(&p->m, 0, 2000, map, &done), RMAP_ERR_BLOCK);
    CHECK_EQ(done.written, 1);
    CHECK_EQ(map[0], 1 << 7);
    CHECK(!world_attr(p, 7, RMAP_ATTR_WRITE));
    p->blocked = false;
    world_space_free(blank);
    world_check(&w);
    world_fini(&w);
}

/* A format without the software bit: the moment can be had, the marks cannot */
RMAP_TEST(snapshot, without_soft_dirty_there_are_no_marks)
{
    struct rmap_pte_format format = rmap_pte_format_soft;
    struct rmap_radix_geometry geometry = rmap_radix_soft;
    format.attr[RMAP_ATTR_SOFT_DIRTY] = (struct rmap_pte_bit){0, 0};
    geometry.format = &format;
    struct world w;
    world_init(&w, &(struct world_options){.geometry = &geometry});
    struct world_space *p = world_space(&w);
    uint64_t map[1] = {5};
    struct rmap_snapped done;
    world_write(p, 7, 1);
    CHECK_ERR(rmap_snapshot(&p->m, 0, 64, map, &done), RMAP_ERR_UNSUPPORTED);
    CHECK_ERR(rmap_written(&p->m, 0, 64, map, NULL), RMAP_ERR_UNSUPPORTED);
    CHECK_EQ(map[0], 5);
    CHECK(world_attr(p, 7, RMAP_ATTR_WRITE));
    CHECK_OK(rmap_snapshot(&p->m, 0, 64, NULL, &done));
    CHECK_EQ(done.withdrawn, 1);
    CHECK_EQ(done.written, 0);
    world_check(&w);
    world_fini(&w);
}
