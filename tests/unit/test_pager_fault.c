/* SPDX-License-Identifier: MIT */
/** @file unit/test_pager_fault.c  Faults: zero page, new pages, copy on write, reuse, protections, kinds of entries. */
#include "unit/pager_world.h"

static struct world w;

static rmap_pfn_t frame(struct rmap_space *s, rmap_vpn_t vpn)
{
    return rmap_pte_pfn(&rmap_pte_format_soft, entry(s, vpn));
}

/* Plant a raw entry, as no verb of this version would. */
static void plant(struct rmap_space *s, rmap_vpn_t vpn, rmap_pte_t e)
{
    const struct rmap_mmu *mmu = &rmap_space_member(s)->mmu;
    struct rmap_mmu_run run;
    CHECK_OK(mmu->ops->run_find(mmu->ctx, vpn, vpn + 1, &run));
    rmap_run_set(mmu, &run, (uint32_t)(vpn - run.first), e);
    mmu->ops->run_unlock(mmu->ctx, &run);
}

/* S: pages 0-3 rw, read: one zero frame for all; page 1 written: a page of its own */
RMAP_TEST(pager_fault, D5_reads_share_the_zero_frame_which_is_never_anonymous_nor_counted)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 4, RW);
    expect(s, 0, 1, 0);
    for (rmap_vpn_t v = 1; v < 4; v++) CHECK_EQ(get(s, v), 0);
    struct rmap_page *zero = page_at(&w, s, 0);
    CHECK(zero == page_at(&w, s, 3));
    CHECK(rmap_page_flags(zero) & RMAP_PAGE_SPECIAL);
    CHECK(!rmap_page_is_anon(zero));
    CHECK_EQ(rmap_page_mapcount(zero), 0);
    CHECK_EQ(space_stats(s).mapped, 0);
    CHECK_EQ(stats(&w).frames_used, 1);
    CHECK_EQ(stats(&w).zero_maps, 4);

    struct rmap_space *child = space_fork(&w, s); /* forks it as it is */
    CHECK(page_at(&w, child, 2) == zero);
    put(child, 2, 22);
    put(s, 1, 11);
    CHECK_EQ(get(s, 2), 0);
    CHECK_EQ(get(child, 1), 0);
    CHECK_EQ(space_stats(s).mapped, 1);
    CHECK_EQ(stats(&w).frames_used, 3);
    CHECK_EQ(stats(&w).anon_new, 2);
    CHECK_EQ(rmap_page_mapcount(zero), 0);
    world_fini(&w);
}

/* S: page 5 written */
RMAP_TEST(pager_fault, a_fault_marks_the_entry_accessed_and_for_a_write_dirty)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 4, 2, RW);
    CHECK_OK(rmap_space_fault(s, 4, RMAP_READ));
    CHECK(attr(s, 4, RMAP_ATTR_ACCESSED) && !attr(s, 4, RMAP_ATTR_DIRTY) && !attr(s, 4, RMAP_ATTR_WRITE));
    CHECK_OK(rmap_space_fault(s, 5, RMAP_WRITE));
    CHECK(attr(s, 5, RMAP_ATTR_ACCESSED) && attr(s, 5, RMAP_ATTR_DIRTY) && attr(s, 5, RMAP_ATTR_WRITE));
    CHECK_EQ(stats(&w).faults_minor, 0);
    CHECK_OK(rmap_space_fault(s, 5, RMAP_READ));
    CHECK_OK(rmap_space_fault(s, 5, RMAP_READ | RMAP_WRITE));
    CHECK_EQ(stats(&w).faults_minor, 2);
    CHECK_EQ(stats(&w).faults, 4);
    struct rmap_result res;
    struct rmap_page *page = page_at(&w, s, 5);
    rmap_page_lock(page);
    CHECK_OK(rmap_referenced(w.r, &page, 1, 0, &res));
    rmap_page_unlock(w.r, page);
    CHECK(res.young && !attr(s, 5, RMAP_ATTR_ACCESSED));
    CHECK_OK(rmap_space_fault(s, 5, RMAP_READ));
    CHECK(attr(s, 5, RMAP_ATTR_ACCESSED));
    world_fini(&w);
}

/* P page 9 = 90; child C: each writes in turn and sees its own */
RMAP_TEST(pager_fault, E5_after_a_fork_neither_sees_what_the_other_writes)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 8, 4, RW);
    fill(p, 8, 4, 80);
    struct rmap_space *c = space_fork(&w, p);
    CHECK(page_at(&w, p, 9) == page_at(&w, c, 9));
    CHECK_EQ(rmap_page_mapcount(page_at(&w, p, 9)), 2);
    put(c, 9, 190);
    CHECK_EQ(get(p, 9), 81);
    CHECK_EQ(get(c, 9), 190);
    put(p, 10, 290);
    CHECK_EQ(get(c, 10), 82);
    CHECK_EQ(get(p, 10), 290);
    CHECK_EQ(stats(&w).cow_copies, 2);
    expect(c, 8, 1, 80);
    expect(c, 11, 1, 83);
    world_fini(&w);
}

/* P page 3 all 7s, C writes its byte 100; then both end, and S gets the frames */
RMAP_TEST(pager_fault, a_copy_is_whole_and_a_new_page_is_zero_throughout)
{
    world_init(&w, 16, 0, 0);
    struct rmap_space *p = space_new(&w);
    static unsigned char page[PAGE], sevens[PAGE];
    memset(sevens, 7, sizeof sevens);
    map_at(p, 3, 1, RW);
    CHECK_OK(rmap_space_write(p, 3 * PAGE, sevens, PAGE, NULL));
    struct rmap_space *c = space_fork(&w, p);
    CHECK_OK(rmap_space_write(c, 3 * PAGE + 100, "x", 1, NULL));
    CHECK_OK(rmap_space_read(c, 3 * PAGE, page, PAGE, NULL));
    CHECK_EQ(page[100], 'x');
    page[100] = 7;
    CHECK(memcmp(page, sevens, PAGE) == 0);
    space_end(&w, p);
    space_end(&w, c);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 15, RW);
    for (unsigned v = 0; v < 15; v++) {
        CHECK_OK(rmap_space_write(s, v * PAGE + 100, "x", 1, NULL));
        CHECK_OK(rmap_space_read(s, v * PAGE, page, PAGE, NULL));
        for (unsigned i = 0; i < PAGE; i++) CHECK_EQ(page[i], i == 100 ? 'x' : 0);
    }
    world_fini(&w);
}

/* P page 9; child ends before P writes: P is the sole owner again, whatever was shared before */
RMAP_TEST(pager_fault, E4_sole_owner_again_writes_in_place)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 9, 1, RW);
    put(p, 9, 90);
    struct rmap_page *page = page_at(&w, p, 9);
    space_end(&w, space_fork(&w, p));
    CHECK(!attr(p, 9, RMAP_ATTR_WRITE));
    put(p, 9, 91);
    CHECK(page_at(&w, p, 9) == page);
    CHECK_EQ(stats(&w).cow_copies, 0);
    CHECK_EQ(stats(&w).cow_reuses, 1);

    struct rmap_space *c = space_fork(&w, p); /* and the child, when the parent has its own copy */
    put(p, 9, 92);
    CHECK(page_at(&w, p, 9) != page);
    put(c, 9, 93);
    CHECK(page_at(&w, c, 9) == page);
    CHECK_EQ(stats(&w).cow_copies, 1);
    CHECK_EQ(stats(&w).cow_reuses, 2);
    CHECK_EQ(get(p, 9), 92);
    world_fini(&w);
}

/* P page 3 shared with C; C forks D, E, each write copies until one is left */
RMAP_TEST(pager_fault, A10_a_fork_of_a_fork_keeps_copy_on_write)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s[4] = {space_new(&w)};
    map_at(s[0], 3, 1, RW);
    put(s[0], 3, 30);
    for (int i = 1; i < 4; i++) s[i] = space_fork(&w, s[i - 1]);
    struct rmap_page *page = page_at(&w, s[0], 3);
    CHECK_EQ(rmap_page_mapcount(page), 4);
    for (int i = 0; i < 4; i++) CHECK(!attr(s[i], 3, RMAP_ATTR_WRITE));
    for (unsigned i = 0; i < 3; i++) {
        put(s[i], 3, 31 + i);
        CHECK_EQ(rmap_page_mapcount(page), 3 - i);
        CHECK_EQ(get(s[3], 3), 30);
    }
    put(s[3], 3, 40);
    CHECK(page_at(&w, s[3], 3) == page);
    CHECK_EQ(get(s[0], 3), 31);
    CHECK_EQ(stats(&w).cow_copies, 3);
    world_fini(&w);
}

/* S pages 0-1 = 10, 11 → no access → read-only → rw */
RMAP_TEST(pager_fault, D10_no_access_keeps_the_frame)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    uint64_t value;
    map_at(s, 0, 2, RW);
    fill(s, 0, 2, 10);
    rmap_pfn_t pfn = frame(s, 1);
    CHECK_OK(rmap_space_protect(s, 0, 2, RMAP_NONE));
    CHECK_EQ(kind(s, 1), RMAP_PTE_NO_ACCESS);
    CHECK_EQ(frame(s, 1), pfn);
    CHECK_EQ(space_stats(s).mapped, 2);
    CHECK_ERR(rmap_space_read(s, PAGE, &value, sizeof value, NULL), RMAP_ERR_ACCESS);
    CHECK_ERR(rmap_space_fault(s, 1, RMAP_READ), RMAP_ERR_ACCESS);
    world_verify(&w);
    struct rmap_space *c = space_fork(&w, s);
    CHECK_EQ(kind(c, 1), RMAP_PTE_NO_ACCESS);
    CHECK_OK(rmap_space_protect(c, 0, 2, RMAP_READ));
    expect(c, 0, 2, 10);
    CHECK_ERR(try_put(c, 1, 0), RMAP_ERR_ACCESS);
    CHECK_OK(rmap_space_protect(s, 0, 2, RW));
    put(s, 1, 77);
    expect(c, 0, 2, 10);
    CHECK_EQ(get(s, 1), 77);
    world_fini(&w);
}

/* S page 6 as a no-access entry in a region that allows access: the fault makes it present */
RMAP_TEST(pager_fault, an_entry_without_access_is_restored_where_the_region_allows)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 6, 1, RW);
    put(s, 6, 60);
    plant(s, 6, rmap_pte_to_kind(&rmap_pte_format_soft, entry(s, 6), RMAP_PTE_NO_ACCESS));
    CHECK_EQ(get(s, 6), 60);
    CHECK_EQ(kind(s, 6), RMAP_PTE_PRESENT);
    world_fini(&w);
}

/* S page 6 as migration, poison, and an entry that names a frame nobody has */
RMAP_TEST(pager_fault, entries_that_cannot_be_resolved_say_why)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    const struct rmap_pte_format *f = &rmap_pte_format_soft;
    map_at(s, 6, 1, RW);
    put(s, 6, 60);
    const rmap_pte_t e = entry(s, 6);
    plant(s, 6, rmap_pte_to_kind(f, e, RMAP_PTE_MIGRATION));
    CHECK_ERR(rmap_space_fault(s, 6, RMAP_READ), RMAP_ERR_BUSY);
    plant(s, 6, rmap_pte_make_kind(f, RMAP_PTE_POISON, frame(s, 6), 0));
    CHECK_ERR(rmap_space_fault(s, 6, RMAP_READ), RMAP_ERR_POISON);
    plant(s, 6, rmap_pte_make(f, 1 << 20, 0));
    CHECK_ERR(rmap_space_fault(s, 6, RMAP_READ), RMAP_ERR_BAD_FRAME);
    plant(s, 6, rmap_pte_make_kind(f, RMAP_PTE_SWAP, rmap_swp_make(1, 5), 0)); /* no such slot */
    CHECK_ERR(rmap_space_fault(s, 6, RMAP_READ), RMAP_ERR_BAD_FRAME);
    plant(s, 6, e);
    CHECK_EQ(get(s, 6), 60);
    world_fini(&w);
}

/* S page 0 r-x, page 1 rw */
RMAP_TEST(pager_fault, execute_is_granted_by_the_region_and_withdrawn_with_it)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 1, RWX);
    map_at(s, 1, 1, RW);
    put(s, 0, 1);
    CHECK_OK(rmap_space_fault(s, 0, RMAP_EXEC));
    CHECK(attr(s, 0, RMAP_ATTR_EXEC));
    CHECK_ERR(rmap_space_fault(s, 1, RMAP_EXEC), RMAP_ERR_ACCESS);
    CHECK_OK(rmap_space_protect(s, 0, 1, RMAP_NONE)); /* the entry keeps its attributes … */
    CHECK_OK(rmap_space_protect(s, 0, 1, RW));        /* … but this region does not execute */
    CHECK(!attr(s, 0, RMAP_ATTR_EXEC));
    world_verify(&w);
    CHECK_OK(rmap_space_protect(s, 0, 1, RMAP_READ | RMAP_EXEC));
    CHECK(!attr(s, 0, RMAP_ATTR_EXEC));
    CHECK_OK(rmap_space_fault(s, 0, RMAP_EXEC));
    CHECK(attr(s, 0, RMAP_ATTR_EXEC) && !attr(s, 0, RMAP_ATTR_WRITE));
    CHECK_ERR(rmap_space_fault(s, 0, RMAP_WRITE), RMAP_ERR_ACCESS);
    world_fini(&w);
}

/* A, B: 8 pages each, written turn by turn: each space's frames are still in a row */
RMAP_TEST(pager_fault, neighbouring_pages_get_neighbouring_frames)
{
    world_init(&w, 64, 0, 0);
    struct rmap_space *a = space_new(&w), *b = space_new(&w);
    map_at(a, 100, 8, RW);
    map_at(b, 100, 8, RW);
    for (unsigned i = 0; i < 8; i++) {
        put(a, 100 + i, i);
        put(b, 107 - i, i); /* downwards */
    }
    for (unsigned i = 1; i < 8; i++) CHECK_EQ(frame(a, 100 + i), frame(a, 100) + i);
    CHECK(frame(a, 100) / 16 != frame(b, 107) / 16); /* a cluster each */
    map_at(b, 200, 8, RW);
    put(b, 203, 1);
    put(b, 204, 1);
    put(b, 205, 1);
    CHECK_OK(rmap_space_unmap(b, 203, 1));
    map_at(b, 203, 1, RW);
    put(b, 203, 1); /* the frame before its upper neighbour's */
    CHECK_EQ(frame(b, 203) + 1, frame(b, 204));
    world_fini(&w);
}

/* S of 1 GiB, pages 0-3 mapped */
RMAP_TEST(pager_fault, faults_outside_say_absent_or_range)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    map_at(s, 0, 4, RMAP_READ);
    CHECK_ERR(rmap_space_fault(s, 4, RMAP_READ), RMAP_ERR_ABSENT);
    CHECK_ERR(rmap_space_fault(s, 1 << 18, RMAP_READ), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_space_fault(s, RMAP_VPN_NONE, RMAP_READ), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_space_fault(s, 0, RMAP_NONE), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_space_fault(s, 0, 8), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_space_fault(s, 0, RMAP_WRITE), RMAP_ERR_ACCESS);
    CHECK_ERR(rmap_space_fault(NULL, 0, RMAP_READ), RMAP_ERR_NULL_ARG);
    CHECK_EQ(stats(&w).frames_used, 1);
    world_fini(&w);
}

/* S: page 7 shared with C, hidden by the embedder through the core. The fault that needs it brings it back, read-only. */
RMAP_TEST(pager_fault, D10_an_entry_that_was_hidden_comes_back_read_only)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w), *c;
    map_at(s, 7, 1, RW);
    put(s, 7, 70);
    c = space_fork(&w, s);
    CHECK_OK(rmap_protect(rmap_space_member(s), 7, 1, RMAP_PROTECT_NO_ACCESS));
    CHECK_EQ(get(s, 7), 70);
    const rmap_pte_t e = rmap_radix_peek(&rmap_space_member(s)->mmu, 7);
    CHECK_EQ(rmap_pte_kind(&rmap_pte_format_soft, e), RMAP_PTE_PRESENT);
    CHECK(!rmap_pte_get(&rmap_pte_format_soft, e, RMAP_ATTR_WRITE));
    world_verify(&w);
    put(s, 7, 71);
    CHECK_EQ(get(c, 7), 70);
    world_fini(&w);
}

/* S: page 7 may be read, 8 read and executed, 9 read and written. All that a fault asks for must be allowed, not some of it. */
RMAP_TEST(pager_fault, all_of_the_access_must_be_allowed)
{
    static const unsigned prot[] = {RMAP_READ, RMAP_READ | RMAP_EXEC, RMAP_READ | RMAP_WRITE};
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w);
    for (unsigned i = 0; i < 3; i++) {
        map_at(s, 7 + i, 1, prot[i]);
        for (unsigned access = 1; access < 8; access++) {
            int rc = rmap_space_fault(s, 7 + i, access);
            CHECK_ERR(rc, access & ~prot[i] ? RMAP_ERR_ACCESS : RMAP_OK);
        }
    }
    world_fini(&w);
}

/* Page 7 of P and C; P's entry is dirty, the page's flag clear. P writes, and gets a copy: what the entry knew stays known. */
RMAP_TEST(pager_fault, INV_7_dirty_of_an_entry_that_a_copy_replaces_goes_to_the_old_page)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *p = space_new(&w), *c;
    map_at(p, 7, 1, RW);
    put(p, 7, 70);
    c = space_fork(&w, p);
    struct rmap_page *page = page_at(&w, p, 7);
    CHECK(rmap_pte_get(&rmap_pte_format_soft, entry(p, 7), RMAP_ATTR_DIRTY));
    rmap_page_clear_flags(page, RMAP_PAGE_DIRTY);
    put(p, 7, 71);
    CHECK(page_at(&w, p, 7) != page);
    CHECK(page_at(&w, c, 7) == page);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_DIRTY);
    world_fini(&w);
}

static struct rmap_space *flushing;
static unsigned flushes;
static bool shown_early; /* something stood there while the old translation could still be used */

static void look_at_flush(void *mmu, const struct rmap_flush_range *ranges, size_t n)
{
    (void)mmu, (void)n;
    flushes++;
    shown_early |= entry(flushing, ranges[0].first) != 0;
}

/* A page of P's own replaces the zero page at 7, and then, shared with C, a copy: the place is empty while that is flushed. */
RMAP_TEST(pager_fault, INV_6_a_copy_appears_after_the_flush_of_what_it_replaces)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *p = space_new(&w);
    map_at(p, 7, 1, RW);
    struct rmap_member *m = rmap_space_member(p);
    const struct rmap_mmu_ops *own = m->mmu.ops;
    struct rmap_mmu_ops ops = *own;
    ops.caps &= ~(unsigned)RMAP_MMU_NO_TLB;
    ops.flush = look_at_flush;
    flushing = p;
    flushes = 0;
    shown_early = false;
    CHECK_EQ(get(p, 7), 0);
    m->mmu.ops = &ops;
    put(p, 7, 70);
    m->mmu.ops = own;
    CHECK_EQ(flushes, 1);
    space_fork(&w, p);
    m->mmu.ops = &ops;
    put(p, 7, 71);
    m->mmu.ops = own;
    CHECK_EQ(flushes, 2);
    CHECK(!shown_early);
    world_fini(&w);
}
