/* SPDX-License-Identifier: MIT */
/** @file unit/test_verbs.c  referenced, unmap, protect, zap: what they look at, change and flush (S3-S7, INV-6). */
#include "support/world.h"

#define ATTR(a) (1u << RMAP_ATTR_##a)

/* S3. page 7 in P, C, D; no object of the library knows a region: the tables are looked at, and only at 7 */
RMAP_TEST(verbs, S3_look_up_is_one_entry_in_each_candidate_and_needs_no_region)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    for (rmap_vpn_t v = 0; v < 16; v++) world_write(p, v, v);
    struct world_space *c = world_fork(p), *d = world_fork(p);
    world_write(c, 7, 1);
    struct rmap_page *old = world_page(p, 7), *new = world_page(c, 7);
    struct rmap_result res;
    uint64_t mappers;
    res = world_each(&w, old, &mappers);
    CHECK_EQ(mappers, 1 << p->number | 1 << d->number);
    CHECK_EQ(res.visits, 3);
    res = world_each(&w, new, &mappers);
    CHECK_EQ(mappers, 1 << c->number);
    CHECK_EQ(res.visits, 1);
    world_fini(&w);
}

/* S4. page 7 in P and C */
RMAP_TEST(verbs, S4_referenced_reads_and_clears_accessed_in_the_tables_alone)
{
    struct world w;
    world_init(&w, &(struct world_options){.caps = RMAP_MMU_ACCESSED_NEEDS_FLUSH});
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct world_space *c = world_fork(p);
    world_read(c, 7);
    struct rmap_page *page = world_page(p, 7);
    struct rmap_result res;
    rmap_page_lock(page);
    for (unsigned locks = 0; locks < 2; locks++) { /* the second time the walk locks every run that it looks at */
        CHECK_OK(rmap_referenced(w.r, &page, 1, RMAP_KEEP_ACCESSED, &res));
        CHECK_EQ(res.young, 1);
        CHECK(world_attr(p, 7, RMAP_ATTR_ACCESSED) && world_attr(c, 7, RMAP_ATTR_ACCESSED));
        w.ops.run_peek = NULL;
        w.ops.run_lock = NULL;
    }
    rmap_page_unlock(w.r, page);
    w.flush_calls = 0;
    CHECK_EQ(world_referenced(&w, page).young, 1);
    CHECK_EQ(w.flush_calls, 2); /* NEEDS_FLUSH: or the next look would see nothing */
    CHECK(!world_attr(p, 7, RMAP_ATTR_ACCESSED) && !world_attr(c, 7, RMAP_ATTR_ACCESSED));
    CHECK(world_attr(p, 7, RMAP_ATTR_DIRTY));
    CHECK_EQ(world_referenced(&w, page).young, 0);
    world_read(c, 7);
    CHECK_EQ(world_referenced(&w, page).young, 1);
    CHECK_EQ(world_stats(&w).flushed_pages, 4); /* two clears, C's of the last, and P's write permission at the fork */
    world_check(&w);
    world_fini(&w);
}

RMAP_TEST(verbs, ageing_flushes_only_where_the_mmu_needs_it)
{
    static const struct {
        unsigned caps;
        uint64_t flushes;
    } cases[] = {{0, 0}, {RMAP_MMU_ACCESSED_NEEDS_FLUSH, 1}, {RMAP_MMU_ACCESSED_EXACT, 1}, {RMAP_MMU_NO_TLB, 0}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world w;
        world_init(&w, &(struct world_options){.caps = cases[i].caps});
        struct world_space *p = world_space(&w);
        world_write(p, 7, 1);
        CHECK_EQ(world_referenced(&w, world_page(p, 7)).young, 1);
        CHECK_EQ(w.flush_calls, cases[i].flushes);
        /* and whatever it did, the next unmap leaves nothing stale: EXACT must not trust a bit that was merely cleared */
        CHECK_EQ(world_unmap(&w, world_page(p, 7), 0).outcome, RMAP_DONE);
        world_check(&w);
        world_fini(&w);
    }
}

/* S5, INV-6, E7. page 7 written in P, read in C: both translations are cached when it is unmapped (the TLBs look on) */
RMAP_TEST(verbs, S5_unmap_flushes_before_it_lowers_the_count_and_before_the_frame_is_free)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct world_space *c = world_fork(p);
    world_read(c, 7);
    struct rmap_page *page = world_page(p, 7);
    CHECK(world_tlb_find(p, 7) && world_tlb_find(c, 7));
    world_flush_log_clear(p);
    CHECK(world_swap_out(&w, page));
    CHECK(!world_tlb_find(p, 7) && !world_tlb_find(c, 7));
    CHECK_EQ(w.frames_used, 0);
    CHECK_EQ(p->flushed_count, 1);
    CHECK_EQ(p->flushed[0].first, 7);
    CHECK_EQ(p->flushed[0].count, 1);
    CHECK_EQ(p->flushed[0].kind, RMAP_FLUSH_ALL);
    CHECK_EQ(world_read(p, 7), 1);
    world_check(&w);
    world_fini(&w);
}

/* S6. never accessed entry with an exact accessed bit: C inherited page 7 and never touched it */
RMAP_TEST(verbs, S6_the_flush_of_a_never_accessed_entry_is_skipped)
{
    struct world w;
    world_init(&w, &(struct world_options){.caps = RMAP_MMU_ACCESSED_EXACT});
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct rmap_page *page = world_page(p, 7);
    world_referenced(&w, page); /* P's bit is clear when the child gets its entry */
    struct world_space *c = world_fork(p);
    world_read(p, 7);
    w.flush_calls = 0;
    uint64_t elided = world_stats(&w).flushes_elided;
    CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE);
    CHECK_EQ(w.flush_calls, 1);
    CHECK_EQ(world_stats(&w).flushes_elided, elided + 1);
    CHECK_EQ(world_read(c, 7), 1);
    world_check(&w);
    world_fini(&w);
}

/* S6. a space that nobody runs on, and an MMU that caches nothing. (The world complains about a flush of an idle space.) */
RMAP_TEST(verbs, S6_idle_spaces_and_mmus_without_tlb_are_not_flushed)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    world_idle(p);
    struct rmap_page *page = world_page(p, 7);
    rmap_page_get(page);
    world_protect(&w, page);
    CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE);
    rmap_page_put(w.r, page);
    CHECK_EQ(w.flush_calls, 0);
    CHECK_EQ(world_stats(&w).flushes_elided, 2);
    CHECK_EQ(world_stats(&w).flushes, 0);
    p->idle = false;
    world_read(p, 7);
    world_zap(p, 7, 1);
    CHECK_EQ(w.flush_calls, 1);
    world_check(&w);
    world_fini(&w);

    world_init(&w, &(struct world_options){.caps = RMAP_MMU_NO_TLB});
    p = world_space(&w);
    world_write(p, 7, 1);
    CHECK_EQ(world_unmap(&w, world_page(p, 7), 0).outcome, RMAP_DONE);
    CHECK_EQ(world_stats(&w).flushes_elided, 1);
    world_fini(&w);
}

/* S7, D9. page 7 locked in P; C inherits the page, not the lock */
RMAP_TEST(verbs, S7_locked_is_a_bit_of_the_entry_and_not_inherited)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    CHECK_OK(rmap_protect(&p->m, 7, 1, RMAP_PROTECT_LOCK));
    struct world_space *c = world_fork(p);
    CHECK(world_attr(p, 7, RMAP_ATTR_LOCKED));
    CHECK(!world_attr(c, 7, RMAP_ATTR_LOCKED));
    struct rmap_page *page = world_page(p, 7);
    CHECK_EQ(world_referenced(&w, page).locked, 1);
    CHECK_EQ(world_unmap(&w, page, 0).reason, RMAP_REASON_LOCKED);
    CHECK_OK(rmap_protect(&p->m, 7, 1, RMAP_PROTECT_UNLOCK));
    CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE);
    world_check(&w);
    world_fini(&w);
}

/* D10, S7 and others: what protect changes in a present, a no-access and a swap entry */
RMAP_TEST(verbs, protect_changes_what_it_says_and_nothing_else)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    const struct rmap_pte_format *f = p->mmu.ops->format;
    world_write(p, 7, 1);
    struct rmap_page *page = world_page(p, 7);
    world_set_entry(p, 7, rmap_pte_set(f, world_entry(p, 7), RMAP_ATTR_EXEC, true));
    unsigned all = rmap_pte_attrs(f, world_entry(p, 7));
    CHECK_EQ(all, ATTR(WRITE) | ATTR(EXEC) | ATTR(ACCESSED) | ATTR(DIRTY) | ATTR(SOFT_DIRTY));

    CHECK_OK(rmap_protect(&p->m, 0, p->mmu.pages, RMAP_PROTECT_LOCK));
    CHECK_EQ(rmap_pte_attrs(f, world_entry(p, 7)), all | ATTR(LOCKED));
    CHECK_EQ(w.flush_calls, 0); /* nothing was withdrawn */
    CHECK_OK(rmap_protect(&p->m, 7, 1, RMAP_PROTECT_NO_EXEC));
    CHECK_EQ(rmap_pte_attrs(f, world_entry(p, 7)), (all | ATTR(LOCKED)) & ~ATTR(EXEC));
    CHECK_EQ(p->flushed[p->flushed_count - 1].kind, RMAP_FLUSH_ALL);
    world_write(p, 7, 2);
    CHECK_OK(rmap_protect(&p->m, 6, 3, RMAP_PROTECT_NO_WRITE));
    CHECK_EQ(p->flushed[p->flushed_count - 1].kind, RMAP_FLUSH_WRITE);
    unsigned now = rmap_pte_attrs(f, world_entry(p, 7));
    CHECK_EQ(now, (all | ATTR(LOCKED)) & ~(ATTR(EXEC) | ATTR(WRITE)));
    CHECK_OK(rmap_protect(&p->m, 7, 1, RMAP_PROTECT_NO_ACCESS));
    CHECK_EQ(world_kind(p, 7), RMAP_PTE_NO_ACCESS);
    CHECK_EQ(rmap_pte_attrs(f, world_entry(p, 7)), now); /* D10: frame and attributes stay */
    CHECK(world_page(p, 7) == page);
    uint64_t value;
    CHECK_ERR(world_load(p, 7, &value), RMAP_ERR_ACCESS);
    CHECK_EQ(rmap_page_mapcount(page), 1);
    /* An embedder may hide entries itself and leave write on: given back it is read-only, for the page may be shared by now. */
    world_set_entry(p, 7, rmap_pte_set(f, world_entry(p, 7), RMAP_ATTR_WRITE, true));
    CHECK_OK(rmap_protect(&p->m, 7, 1, RMAP_PROTECT_ACCESS | RMAP_PROTECT_UNLOCK));
    CHECK_EQ(world_kind(p, 7), RMAP_PTE_PRESENT);
    CHECK_EQ(rmap_pte_attrs(f, world_entry(p, 7)), now & ~ATTR(LOCKED));
    CHECK_EQ(world_read(p, 7), 2);
    world_unmap(&w, page, 0);
    CHECK_OK(rmap_protect(&p->m, 7, 1, RMAP_PROTECT_LOCK | RMAP_PROTECT_NO_ACCESS | RMAP_PROTECT_NO_WRITE));
    CHECK_EQ(world_kind(p, 7), RMAP_PTE_SWAP);
    CHECK(world_attr(p, 7, RMAP_ATTR_LOCKED));
    CHECK_OK(rmap_protect(&p->m, 7, 1, RMAP_PROTECT_UNLOCK));
    CHECK(!world_attr(p, 7, RMAP_ATTR_LOCKED));
    CHECK_EQ(world_read(p, 7), 2);
    world_check(&w);
    world_fini(&w);
}

/* H1 */
RMAP_TEST(verbs, protect_and_zap_check_their_ranges)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    const uint64_t pages = p->mmu.pages;
    struct rmap_zapped z = {.mappings = 9};
    world_write(p, pages - 1, 1);
    static const struct {
        uint64_t first_below_end, count;
    } wrong[] = {{1, 0}, {0, 1}, {1, 2}, {1, UINT64_MAX}, {262144, 262145}, {1, (uint64_t)1 << 63}};
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_ERR(rmap_zap(&p->m, pages - wrong[i].first_below_end, wrong[i].count, &z), RMAP_ERR_RANGE);
        CHECK_ERR(rmap_protect(&p->m, pages - wrong[i].first_below_end, wrong[i].count, RMAP_PROTECT_LOCK), RMAP_ERR_RANGE);
    }
    CHECK_ERR(rmap_zap(&p->m, RMAP_VPN_NONE, 1, &z), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_zap(NULL, 0, 1, &z), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_protect(NULL, 0, 1, RMAP_PROTECT_LOCK), RMAP_ERR_NULL_ARG);
    static const unsigned flags[] = {0, RMAP_PROTECT_LOCK | RMAP_PROTECT_UNLOCK, RMAP_PROTECT_ACCESS | RMAP_PROTECT_NO_ACCESS,
                                     RMAP_PROTECT_UNLOCK << 1, ~0u};
    for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++)
        CHECK_ERR(rmap_protect(&p->m, 0, 1, flags[i]), RMAP_ERR_INVALID);
    CHECK_EQ(z.mappings, 9);
    CHECK(world_attr(p, pages - 1, RMAP_ATTR_WRITE));
    CHECK(!world_attr(p, pages - 1, RMAP_ATTR_LOCKED));
    CHECK_OK(rmap_zap(&p->m, 0, pages, NULL));
    CHECK_EQ(p->m.mapped, 0);
    world_fini(&w);
}
