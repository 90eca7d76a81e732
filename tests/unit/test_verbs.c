/* SPDX-License-Identifier: MIT */
/** @file unit/test_verbs.c  referenced, unmap, write_protect: bits, flushes and their order (S3-S7, INV-6, INV-7). */
#include "support/world.h"

#include <core/core.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

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
    CHECK_OK(rmap_referenced(w.r, &page, 1, RMAP_KEEP_ACCESSED, &res));
    rmap_page_unlock(w.r, page);
    CHECK_EQ(res.young, 1);
    CHECK(world_attr(p, 7, RMAP_ATTR_ACCESSED) && world_attr(c, 7, RMAP_ATTR_ACCESSED));
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

/* INV-7. page 7: written, slot written to, written again */
RMAP_TEST(verbs, INV_7_write_protect_collects_dirty_and_keeps_reading_translations)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct rmap_page *page = world_page(p, 7);
    rmap_page_clear_flags(page, RMAP_PAGE_DIRTY);
    world_flush_log_clear(p);
    struct rmap_result res = world_protect(&w, page);
    CHECK_EQ(res.dirty, 1);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_DIRTY);
    CHECK(!world_attr(p, 7, RMAP_ATTR_WRITE) && !world_attr(p, 7, RMAP_ATTR_DIRTY));
    CHECK_EQ(p->flushed_count, 1);
    CHECK_EQ(p->flushed[0].kind, RMAP_FLUSH_WRITE);
    CHECK(world_tlb_find(p, 7) && !world_tlb_find(p, 7)->write);
    CHECK_EQ(world_protect(&w, page).dirty, 0); /* nothing to do: no flush */
    CHECK_EQ(p->flushed_count, 1);
    rmap_page_clear_flags(page, RMAP_PAGE_DIRTY);
    world_write(p, 7, 2); /* faults: exclusive, in place */
    CHECK(world_page(p, 7) == page);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_DIRTY);
    CHECK_EQ(world_read(p, 7), 2);
    world_check(&w);
    world_fini(&w);
}

/* D3. page 7: dirty goes from the entry to the flag when it is unmapped or zapped under another mapping */
RMAP_TEST(verbs, D3_dirty_reaches_the_page_whichever_way_the_entry_goes)
{
    for (unsigned way = 0; way < 2; way++) {
        struct world w;
        world_init(&w, NULL);
        struct world_space *p = world_space(&w);
        world_write(p, 7, 1);
        struct rmap_page *page = world_page(p, 7);
        rmap_page_get(page);
        rmap_page_clear_flags(page, RMAP_PAGE_DIRTY);
        CHECK(world_attr(p, 7, RMAP_ATTR_DIRTY));
        if (way) world_zap(p, 7, 1);
        else world_unmap(&w, page, 0);
        CHECK(rmap_page_flags(page) & RMAP_PAGE_DIRTY);
        rmap_page_put(w.r, page);
        world_check(&w);
        world_fini(&w);
    }
}

/* ---- the hardware sets bits meanwhile (entries behind get and exchange, so that "meanwhile" is exact) ---- */

/* What the verbs do to page 7 of P. */
static void apply(struct world *w, struct world_space *p, struct rmap_page *page, unsigned verb)
{
    struct rmap_result res;
    struct world_space *c;
    struct rmap_fork f;
    switch (verb) {
    case 0: world_referenced(w, page); break;
    case 1: world_protect(w, page); break;
    case 2: CHECK_OK(rmap_protect(&p->m, 7, 1, RMAP_PROTECT_NO_ACCESS)); break;
    case 3:
        rmap_page_lock(page);
        CHECK_OK(rmap_swap_cache_add(w->swap, page));
        rmap_page_clear_flags(page, RMAP_PAGE_DIRTY); /* as if it had been written to the slot just now */
        CHECK_OK(rmap_unmap(w->r, &page, 1, 0, &res));
        rmap_page_unlock(w->r, page);
        break;
    case 4:
        c = world_space_blank(w);
        CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &f));
        CHECK_OK(rmap_fork_copy(&f, 7, 1, RMAP_FORK_COW));
        rmap_fork_abort(&f);
        world_space_free(c);
        break;
    }
}

/* page 7 of P, written and cleaned; `wait` accesses to its entry later the hardware sets accessed and dirty */
RMAP_TEST(verbs, INV_7_no_accessed_or_dirty_bit_is_lost_between_look_and_exchange)
{
    for (unsigned wait = 0; wait < 4; wait++) {
        for (unsigned verb = 0; verb < 5; verb++) {
            struct world w;
            world_init(&w, &(struct world_options){.no_slots = true});
            struct world_space *p = world_space(&w);
            const struct rmap_pte_format *f = p->mmu.ops->format;
            world_write(p, 7, 1);
            struct rmap_page *page = world_page(p, 7);
            rmap_page_get(page);
            rmap_page_clear_flags(page, RMAP_PAGE_DIRTY);
            rmap_pte_t e = rmap_pte_set(f, world_entry(p, 7), RMAP_ATTR_ACCESSED, verb == 0);
            world_set_entry(p, 7, rmap_pte_set(f, e, RMAP_ATTR_DIRTY, false));
            p->hardware_vpn = 7;
            p->hardware_attrs = ATTR(ACCESSED) | ATTR(DIRTY);
            p->hardware_wait = wait;
            apply(&w, p, page, verb);
            p->hardware_attrs = 0;
            if (wait == 0) CHECK(p->hardware_did);
            if (p->hardware_did) CHECK(world_attr(p, 7, RMAP_ATTR_DIRTY) || (rmap_page_flags(page) & RMAP_PAGE_DIRTY));
            if (p->hardware_did && wait && verb != 3) CHECK(world_attr(p, 7, RMAP_ATTR_ACCESSED));
            rmap_page_set_flags(page, RMAP_PAGE_DIRTY);
            rmap_page_put(w.r, page);
            world_check(&w);
            world_fini(&w);
        }
    }
}

/* A processor in a thread of its own: in each round it sets accessed and dirty in the live slot, once. */
struct processor {
    const struct rmap_pte_format *format;
    _Atomic(rmap_pte_t) *slot;
    atomic_uint go, done;
};
#define ROUNDS 4000
static void *set_bits(void *arg)
{
    struct processor *x = arg;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        while (atomic_load(&x->go) != round) sched_yield();
        for (volatile unsigned wait = round * 7919 % 61; wait; wait--) {}
        rmap_pte_t e = atomic_load(x->slot), set;
        do set = rmap_pte_set(x->format, rmap_pte_set(x->format, e, RMAP_ATTR_ACCESSED, true), RMAP_ATTR_DIRTY, true);
        while (!atomic_compare_exchange_weak(x->slot, &e, set));
        atomic_store(&x->done, round);
    }
    return NULL;
}

/* 4,000 rounds: dirty is taken out again and again while the processor sets it: it is in what was taken, or still there */
RMAP_TEST(verbs, INV_7_run_modify_loses_no_dirty_of_a_running_processor)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    const struct rmap_pte_format *f = p->radix.ops->format;
    struct rmap_mmu_run run;
    CHECK_OK(p->radix.ops->run_find(p->radix.ctx, 7, 8, &run));
    const uint32_t i = (uint32_t)(7 - run.first);
    rmap_pte_t first = world_entry(p, 7), clean = rmap_pte_set(f, rmap_pte_set(f, first, RMAP_ATTR_DIRTY, false), RMAP_ATTR_ACCESSED, false);
    struct processor x = {.format = f, .slot = &run.slots[i]};
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, set_bits, &x), 0);
    unsigned lost = 0, spoilt = 0;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        bool dirty = false, last;
        atomic_store(&run.slots[i], clean);
        atomic_store(&x.go, round);
        do {
            last = atomic_load(&x.done) == round;
            rmap_pte_t old = rmap__run_modify(&p->radix, &run, i, rmap_run_get(&p->radix, &run, i), clean);
            dirty |= rmap_pte_get(f, old, RMAP_ATTR_DIRTY);
            spoilt += rmap_pte_pfn(f, old) != rmap_pte_pfn(f, first) || !rmap_pte_present(f, old);
        } while (!last);
        lost += !dirty && !rmap_pte_get(f, rmap_run_get(&p->radix, &run, i), RMAP_ATTR_DIRTY);
    }
    pthread_join(thread, NULL);
    CHECK_EQ(lost, 0);
    CHECK_EQ(spoilt, 0);
    atomic_store(&run.slots[i], first);
    p->radix.ops->run_unlock(p->radix.ctx, &run);
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
