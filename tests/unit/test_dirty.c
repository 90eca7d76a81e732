/* SPDX-License-Identifier: MIT */
/** @file unit/test_dirty.c  INV-7, D3: no dirty or accessed bit is lost, whatever the hardware does meanwhile. */
#include "support/world.h"

#include <core/core.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define ATTR(a) (1u << RMAP_ATTR_##a)

/* INV-7. page 7: written, slot written to, written again */
RMAP_TEST(dirty, INV_7_write_protect_collects_dirty_and_keeps_reading_translations)
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

/* D3. page 7: dirty goes from the entry to the flag when it is unmapped, or zapped or moved (by a copy) under another
 * mapping */
RMAP_TEST(dirty, D3_dirty_reaches_the_page_whichever_way_the_entry_goes)
{
    for (unsigned way = 0; way < 3; way++) {
        struct world w;
        world_init(&w, NULL);
        struct world_space *p = world_space(&w);
        world_write(p, 7, 1);
        struct rmap_page *page = world_page(p, 7);
        rmap_page_get(page);
        if (way) world_fork(p);
        rmap_page_clear_flags(page, RMAP_PAGE_DIRTY);
        CHECK(world_attr(p, 7, RMAP_ATTR_DIRTY));
        if (way == 0) world_unmap(&w, page, 0);
        if (way == 1) world_zap(p, 7, 1);
        if (way == 2) CHECK_EQ(world_move(p, 7, 600, 1).copied, 1);
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

/* page 7, writable and clean; the hardware sets dirty between write_protect's look and its exchange: the page is dirty, at once */
RMAP_TEST(dirty, INV_7_write_protect_collects_what_comes_before_its_exchange)
{
    struct world w;
    world_init(&w, &(struct world_options){.no_slots = true});
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct rmap_page *page = world_page(p, 7);
    world_set_entry(p, 7, rmap_pte_set(p->mmu.ops->format, world_entry(p, 7), RMAP_ATTR_DIRTY, false));
    rmap_page_clear_flags(page, RMAP_PAGE_DIRTY);
    p->hardware_vpn = 7;
    p->hardware_attrs = ATTR(DIRTY);
    p->hardware_wait = 0; /* with the first look */
    CHECK_EQ(world_protect(&w, page).outcome, RMAP_DONE);
    CHECK(p->hardware_did);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_DIRTY);
    world_check(&w);
    world_fini(&w);
}

/* page 7 of P, written and cleaned; `wait` accesses to its entry later the hardware sets accessed and dirty */
RMAP_TEST(dirty, INV_7_no_accessed_or_dirty_bit_is_lost_between_look_and_exchange)
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

/* page 7 of P, executable: accessed appears before the exchange, dirty while accessed is being carried over */
RMAP_TEST(dirty, INV_7_a_bit_that_comes_while_another_is_carried_over_is_carried_over_too)
{
    struct world w;
    world_init(&w, &(struct world_options){.no_slots = true});
    struct world_space *p = world_space(&w);
    const struct rmap_pte_format *f = p->mmu.ops->format;
    world_write(p, 7, 1);
    rmap_pte_t e = rmap_pte_make(f, rmap_pte_pfn(f, world_entry(p, 7)), ATTR(WRITE) | ATTR(EXEC));
    world_set_entry(p, 7, e);
    p->hardware_vpn = 7;
    p->hardware_attrs = ATTR(ACCESSED);
    p->hardware_next = ATTR(DIRTY);
    CHECK_OK(rmap_protect(&p->m, 7, 1, RMAP_PROTECT_NO_EXEC));
    CHECK_EQ(p->hardware_attrs, 0);
    CHECK_EQ(rmap_pte_attrs(f, world_entry(p, 7)), ATTR(WRITE) | ATTR(ACCESSED) | ATTR(DIRTY));
    world_check(&w);
    world_fini(&w);
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
RMAP_TEST(dirty, INV_7_run_modify_loses_no_dirty_of_a_running_processor)
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
