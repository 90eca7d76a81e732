/* SPDX-License-Identifier: MIT */
/** @file unit/test_migrate.c  migrate: other frames under the same mappings; everything else stays. Targets start as
 * 0xdb. */
#include "support/other_thread.h"
#include "support/world.h"

#include <stdatomic.h>

#define ATTR(a) (1u << RMAP_ATTR_##a)

static struct world w;

/* A page on its way by hand: both halves, and whatever the test does between them. */
struct trip {
    struct rmap_page *page, *target;
    struct rmap_result res;
};
static struct trip depart(struct rmap_page *page)
{
    struct trip t = {.page = page, .target = world_new_page(&w)};
    rmap_page_get(page);
    AS_ANOTHER_THREAD(rmap_page_lock(page); CHECK(rmap_page_try_lock(t.target)));
    CHECK_OK(rmap_migrate_begin(w.r, &t.page, 1, 0, &t.res));
    if (t.res.outcome == RMAP_DONE)
        memcpy(world_contents(&w, rmap_page_pfn(w.r, t.target)), world_contents(&w, rmap_page_pfn(w.r, page)),
               (size_t)1 << WORLD_PAGE_SHIFT);
    return t;
}
static void arrive(struct trip *t, bool back)
{
    CHECK_OK(rmap_migrate_end(w.r, &t->page, back ? NULL : &t->target, 1, 0, &t->res));
    CHECK(!(rmap_page_flags(t->page) & RMAP_PAGE_MIGRATING));
    rmap_page_unlock(w.r, t->page);
    rmap_page_unlock(w.r, t->target);
    rmap_page_put(w.r, t->page);
    rmap_page_put(w.r, t->target);
    world_check(&w);
}

/* page 7 in 1 … 50 spaces, all of which have its translation: all see the new frame, the old one is free, no value
 * changed */
RMAP_TEST(migrate, whoever_maps_the_page_maps_the_other_frame)
{
    for (unsigned mappers = 1; mappers <= 50; mappers += mappers < 4 ? 1 : 23) {
        struct world_space *s[50];
        struct rmap_page *now;
        world_init(&w, NULL);
        s[0] = world_space(&w);
        world_write(s[0], 7, 42);
        for (unsigned i = 1; i < mappers; i++) s[i] = world_fork(s[i / 2]);
        for (unsigned i = 0; i < mappers; i++) CHECK_EQ(world_read(s[i], 7), 42);
        struct rmap_page *old = world_page(s[0], 7);
        const unsigned attrs = rmap_pte_attrs(s[0]->mmu.ops->format, world_entry(s[0], 7));
        struct rmap_result res = world_migrate(&w, old, &now);
        CHECK_EQ(res.outcome, RMAP_DONE);
        CHECK_EQ(res.hits, mappers);
        CHECK(now != old);
        CHECK_EQ(old->refcount, 0);
        CHECK_EQ(w.frames_used, 1);
        CHECK_EQ(rmap_page_mapcount(now), mappers);
        CHECK_EQ(rmap_page_index(now), 7);
        CHECK(rmap_page_flags(now) & RMAP_PAGE_DIRTY);
        CHECK_EQ(rmap_pte_attrs(s[0]->mmu.ops->format, world_entry(s[0], 7)), attrs);
        for (unsigned i = 0; i < mappers; i++) {
            CHECK(!world_tlb_find(s[i], 7)); /* INV-6 */
            CHECK(world_page(s[i], 7) == now);
            CHECK_EQ(world_read(s[i], 7), 42);
        }
        world_check(&w);
        CHECK_EQ(world_stats(&w).migrated, 1);
        world_write(s[0], 7, 1);
        for (unsigned i = 1; i < mappers; i++) CHECK_EQ(world_read(s[i], 7), 42);
        world_fini(&w);
    }
}

/* D7, D10. page 7: accessed, dirty, soft-dirty, executable, locked, no-access in turn, in every format: all of it
 * comes back */
static void attributes(const struct rmap_radix_geometry *geometry, bool no_slots)
{
    world_init(&w, &(struct world_options){.geometry = geometry, .no_slots = no_slots});
    const struct rmap_pte_format *f = geometry->format;
    struct world_space *p = world_space(&w), *c;
    const rmap_vpn_t top = p->mmu.pages - 1;
    struct rmap_page *now;
    world_write(p, top, 3);
    world_set_entry(p, top, rmap_pte_set(f, world_entry(p, top), RMAP_ATTR_EXEC, true));
    CHECK_OK(rmap_protect(&p->m, top, 1, RMAP_PROTECT_LOCK));
    rmap_pte_t e = world_entry(p, top);
    CHECK_EQ(world_migrate(&w, world_page(p, top), &now).outcome, RMAP_DONE); /* locked, and stays so */
    CHECK_EQ(world_entry(p, top), rmap_pte_make(f, rmap_page_pfn(w.r, now), rmap_pte_attrs(f, e)));
    CHECK(world_attr(p, top, RMAP_ATTR_WRITE) && world_attr(p, top, RMAP_ATTR_LOCKED));
    c = world_fork(p);
    CHECK_OK(rmap_protect(&c->m, top, 1, RMAP_PROTECT_NO_ACCESS));
    const unsigned attrs[2] = {rmap_pte_attrs(f, world_entry(p, top)), rmap_pte_attrs(f, world_entry(c, top))};
    struct trip t = depart(now);
    CHECK_EQ(t.res.outcome, RMAP_DONE);
    CHECK_EQ(world_kind(p, top), RMAP_PTE_MIGRATION);
    CHECK_EQ(rmap_pte_pfn(f, world_entry(p, top)), rmap_page_pfn(w.r, now));
    CHECK_EQ(rmap_pte_attrs(f, world_entry(p, top)), attrs[0]);
    CHECK_EQ(world_kind(c, top), RMAP_PTE_NO_ACCESS);
    CHECK_EQ(rmap_page_mapcount(now), 2);
    now = t.target;
    arrive(&t, false);
    CHECK_EQ(t.res.hits, 2);
    CHECK(world_page(p, top) == now && world_page(c, top) == now);
    CHECK_EQ(world_kind(p, top), RMAP_PTE_PRESENT);
    CHECK_EQ(world_kind(c, top), RMAP_PTE_NO_ACCESS);
    CHECK_EQ(rmap_pte_attrs(f, world_entry(p, top)), attrs[0]);
    CHECK_EQ(rmap_pte_attrs(f, world_entry(c, top)), attrs[1]);
    CHECK_EQ(world_read(p, top), 3);
    uint64_t value;
    CHECK_ERR(world_load(c, top, &value), RMAP_ERR_ACCESS);
    CHECK_OK(rmap_protect(&c->m, top, 1, RMAP_PROTECT_ACCESS));
    CHECK_EQ(world_read(c, top), 3);
    t = depart(now); /* there and back */
    arrive(&t, true);
    CHECK(world_page(p, top) == now);
    CHECK_EQ(rmap_pte_attrs(f, world_entry(p, top)), attrs[0]);
    world_fini(&w);
}
RMAP_TEST(migrate, D7_D10_radix_x86_64)
{
    attributes(&rmap_radix_x86_64, false);
}
RMAP_TEST(migrate, D7_D10_radix_sv39)
{
    attributes(&rmap_radix_sv39, false);
}
RMAP_TEST(migrate, D7_D10_radix_sv48)
{
    attributes(&rmap_radix_sv48, false);
}
RMAP_TEST(migrate, D7_D10_radix_aarch64_4k)
{
    attributes(&rmap_radix_aarch64_4k, false);
}
RMAP_TEST(migrate, D7_D10_radix_aarch64_16k)
{
    attributes(&rmap_radix_aarch64_16k, false);
}
RMAP_TEST(migrate, D7_D10_radix_aarch64_64k)
{
    attributes(&rmap_radix_aarch64_64k, false);
}
RMAP_TEST(migrate, D7_D10_radix_soft)
{
    attributes(&rmap_radix_soft, false);
}
RMAP_TEST(migrate, D7_D10_entries_behind_functions)
{
    attributes(&rmap_radix_soft, true);
}

/* INV-7, D3. page 7 read-only clean in the table; the hardware sets dirty between begin's look and its exchange */
RMAP_TEST(migrate, D3_a_late_dirty_bit_reaches_entry_and_page)
{
    world_init(&w, &(struct world_options){.no_slots = true});
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct rmap_page *page = world_page(p, 7);
    CHECK_EQ(world_protect(&w, page).outcome, RMAP_DONE);
    rmap_page_clear_flags(page, RMAP_PAGE_DIRTY);
    p->hardware_vpn = 7;
    p->hardware_wait = 0; /* with the first look */
    p->hardware_attrs = ATTR(DIRTY);
    struct trip t = depart(page);
    CHECK(p->hardware_did);
    CHECK(world_attr(p, 7, RMAP_ATTR_DIRTY));
    CHECK(rmap_page_flags(page) & RMAP_PAGE_DIRTY);
    struct rmap_page *now = t.target;
    arrive(&t, false);
    CHECK(rmap_page_flags(now) & RMAP_PAGE_DIRTY);
    world_fini(&w);
}

static struct world_space *zapped;
static int (*find_run)(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run);

/* Before the end's walk looks at the first entry, its space drops it. */
static int zap_first(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    struct world_space *s = zapped;
    zapped = NULL;
    if (s) AS_ANOTHER_THREAD(world_zap(s, 7, 1));
    return find_run(mmu, vpn, end, run);
}

/* INV-7. page 7 of P and C; P's entry is dirty and hidden (no access), the page's flag clear. P drops it when the target has
 * become the page: C's page is dirty */
RMAP_TEST(migrate, INV_7_dirty_of_an_entry_that_goes_during_the_end_reaches_the_other_frame)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c;
    world_write(p, 7, 1);
    CHECK_OK(rmap_protect(&p->m, 7, 1, RMAP_PROTECT_NO_ACCESS));
    c = world_fork(p);
    CHECK(world_attr(p, 7, RMAP_ATTR_DIRTY) && !world_attr(c, 7, RMAP_ATTR_DIRTY));
    struct rmap_page *page = world_page(p, 7);
    rmap_page_clear_flags(page, RMAP_PAGE_DIRTY);
    struct trip t = depart(page);
    CHECK(!(rmap_page_flags(page) & RMAP_PAGE_DIRTY));
    zapped = p;
    find_run = w.ops.run_find;
    w.ops.run_find = zap_first;
    w.ops.run_peek = NULL; /* or the walk would look without it */
    w.ops.run_lock = NULL;
    struct rmap_page *now = t.target;
    arrive(&t, false);
    w.ops.run_find = find_run;
    CHECK_EQ(world_kind(p, 7), RMAP_PTE_NONE);
    CHECK(world_page(c, 7) == now);
    CHECK(rmap_page_flags(now) & RMAP_PAGE_DIRTY);
    world_fini(&w);
}

/* page 7 cached: clean with mappings, dirty with entries alone, both with one of each; the slot follows, its content
 * too */
RMAP_TEST(migrate, the_place_in_the_swap_cache_goes_over)
{
    struct rmap_page *now;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 5);
    struct world_space *c = world_fork(p);
    struct rmap_page *page = world_page(p, 7);
    CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE); /* dirty, entries alone */
    rmap_swp_t entry = page->swap;
    CHECK_EQ(world_migrate(&w, page, &now).outcome, RMAP_DONE);
    CHECK_EQ(page->refcount, 0);
    CHECK(now != page);
    CHECK_EQ(now->swap, entry);
    CHECK(rmap_page_flags(now) & RMAP_PAGE_DIRTY);
    world_check(&w);
    CHECK_EQ(world_read(c, 7), 5); /* one entry, one mapping */
    CHECK(world_page(c, 7) == now);
    CHECK_EQ(w.device.reads, 0);
    page = now;
    CHECK_EQ(world_migrate(&w, page, &now).outcome, RMAP_DONE);
    CHECK(world_page(c, 7) == now && now != page);
    CHECK_EQ(world_read(p, 7), 5);
    CHECK(world_page(p, 7) == now);
    CHECK_EQ(rmap_swap_get_ops()->count(w.swap, entry), 0);
    CHECK(world_swap_out(&w, now)); /* clean copies after the next reads */
    CHECK_EQ(world_read(p, 7) + world_read(c, 7), 10);
    page = world_page(p, 7);
    CHECK_EQ(rmap_page_flags(page) & (RMAP_PAGE_SWAPCACHE | RMAP_PAGE_DIRTY), RMAP_PAGE_SWAPCACHE);
    const uint64_t writes = w.device.writes;
    CHECK_EQ(world_migrate(&w, page, &now).outcome, RMAP_DONE);
    CHECK_EQ(rmap_page_flags(now) & (RMAP_PAGE_SWAPCACHE | RMAP_PAGE_DIRTY), RMAP_PAGE_SWAPCACHE);
    world_check(&w);
    CHECK(world_swap_out(&w, now));
    CHECK_EQ(w.device.writes, writes); /* still clean: not written again */
    CHECK_EQ(world_read(p, 7), 5);
    world_check(&w);
    world_fini(&w);
}

/* The last user of a cached page goes while it is under way: the page that took its place does not stay in the cache */
RMAP_TEST(migrate, a_cached_page_that_nobody_wants_any_more_is_freed_at_its_new_frame)
{
    world_init(&w, NULL);
    for (unsigned swapped = 0; swapped < 2; swapped++) {
        struct world_space *p = world_space(&w);
        world_write(p, 7, 5);
        struct rmap_page *page = world_page(p, 7);
        CHECK(world_swap_out(&w, page));
        CHECK_EQ(world_read(p, 7), 5);
        page = world_page(p, 7); /* a clean copy; or, unmapped again, an entry */
        if (swapped) CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE);
        struct trip t = depart(page);
        CHECK_EQ(t.res.outcome, RMAP_DONE);
        world_zap(p, 7, 1);
        arrive(&t, false);
        CHECK_EQ(w.frames_used, 0);
        world_exit(p);
    }
    struct rmap_swap_stats st;
    CHECK_OK(rmap_swap_get_stats(w.swap, &st));
    CHECK_EQ(st.slots_used, 0);
    world_fini(&w);
}

/* A swap map without `replace`: a cached page stays where it is, as it was; one that is not cached goes */
static struct rmap_swap_ops poor;
RMAP_TEST(migrate, without_replace_a_cached_page_stays)
{
    struct rmap_page *now;
    poor = *rmap_swap_get_ops();
    poor.replace = NULL;
    world_init(&w, &(struct world_options){.swap_ops = &poor});
    struct world_space *p = world_space(&w);
    world_write(p, 7, 5);
    CHECK(world_swap_out(&w, world_page(p, 7)));
    CHECK_EQ(world_read(p, 7), 5);
    struct rmap_page *page = world_page(p, 7);
    const rmap_pte_t e = world_entry(p, 7);
    struct rmap_result res = world_migrate(&w, page, &now);
    CHECK_EQ(res.outcome, RMAP_PARTIAL);
    CHECK_EQ(res.reason, RMAP_REASON_NO_SLOT);
    CHECK_EQ(world_entry(p, 7), e);
    CHECK(!(rmap_page_flags(page) & RMAP_PAGE_MIGRATING));
    CHECK_EQ(w.frames_used, 1);
    world_check(&w);
    world_write(p, 7, 6); /* the copy is given up */
    CHECK_EQ(world_migrate(&w, page, &now).outcome, RMAP_DONE);
    CHECK_EQ(world_read(p, 7), 6);
    world_fini(&w);
}

/* 7 pinned: nothing happens. 8 is missed by the walk (its count says two): back at once, all as before */
RMAP_TEST(migrate, what_cannot_begin_is_as_before)
{
    struct rmap_page *now;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c;
    world_write(p, 7, 7);
    world_write(p, 8, 8);
    c = world_fork(p);
    struct rmap_page *pinned = world_page(p, 7), *page = world_page(p, 8);
    CHECK_OK(rmap_page_pin(w.r, pinned));
    world_flush_log_clear(p);
    struct rmap_result res = world_migrate(&w, pinned, &now);
    CHECK_EQ(res.reason, RMAP_REASON_PINNED);
    CHECK_EQ(res.outcome, RMAP_PARTIAL);
    CHECK_EQ(p->flushed_count, 0);
    CHECK_EQ(world_kind(p, 7), RMAP_PTE_PRESENT);
    rmap_page_unpin(w.r, pinned);

    struct rmap_gather g; /* a mapping that went, whose count is held */
    struct world_space *d = world_fork(p);
    rmap_gather_init(&g, w.r);
    world_set_entry(d, 8, 0);
    while (world_tlb_find(d, 8)) world_idle(d);
    rmap_page_unmap(&g, &d->m, page);
    const rmap_pte_t e[2] = {world_entry(p, 8), world_entry(c, 8)};
    res = world_migrate(&w, page, &now);
    CHECK_EQ(res.outcome, RMAP_INCOMPLETE);
    CHECK(now == page);
    CHECK_EQ(world_entry(p, 8), e[0]);
    CHECK_EQ(world_entry(c, 8), e[1]);
    CHECK(!(rmap_page_flags(page) & RMAP_PAGE_MIGRATING));
    CHECK_EQ(w.frames_used, 2);
    rmap_gather_finish(&g);
    world_check(&w);
    CHECK_EQ(world_migrate(&w, page, &now).outcome, RMAP_DONE);
    CHECK_EQ(world_read(p, 8), 8);
    world_fini(&w);
}

/* The count of a dropped entry is still held when the way ends: the rest arrives all the same, and the old frame goes
 * with that count */
RMAP_TEST(migrate, the_end_does_not_wait_for_counts_that_others_hold)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c;
    world_write(p, 7, 7);
    c = world_fork(p);
    struct trip t = depart(world_page(p, 7));
    CHECK_EQ(t.res.outcome, RMAP_DONE);
    struct rmap_gather g;
    rmap_gather_init(&g, w.r);
    world_set_entry(c, 7, 0);
    rmap_page_unmap(&g, &c->m, t.page);
    struct rmap_page *old = t.page, *now = t.target;
    CHECK_OK(rmap_migrate_end(w.r, &t.page, &t.target, 1, 0, &t.res));
    CHECK_EQ(t.res.outcome, RMAP_DONE);
    CHECK_EQ(t.res.hits, 1);
    CHECK(world_page(p, 7) == now);
    rmap_page_unlock(w.r, t.page);
    rmap_page_unlock(w.r, t.target);
    rmap_page_put(w.r, t.page);
    rmap_page_put(w.r, t.target);
    CHECK_EQ(rmap_page_mapcount(old), 1);
    CHECK_EQ(w.frames_used, 2);
    rmap_gather_finish(&g);
    CHECK_EQ(w.frames_used, 1);
    CHECK_EQ(world_read(p, 7), 7);
    world_check(&w);
    world_fini(&w);
}

/* While 7 is under way: fork, fork of the fork, zap in the parent, exit of the child; the grandchild arrives */
RMAP_TEST(migrate, forks_zaps_and_exits_come_between)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c, *d;
    world_write(p, 7, 7);
    struct trip t = depart(world_page(p, 7));
    c = world_fork(p);
    CHECK_EQ(world_kind(c, 7), RMAP_PTE_MIGRATION);
    CHECK(!world_attr(c, 7, RMAP_ATTR_WRITE) && !world_attr(p, 7, RMAP_ATTR_WRITE));
    CHECK_EQ(rmap_page_mapcount(t.page), 2);
    world_check(&w);
    d = world_fork(c);
    world_zap(p, 7, 1);
    world_exit(c);
    uint64_t value;
    CHECK_ERR(world_load(d, 7, &value), RMAP_ERR_BUSY);
    struct rmap_result res;
    CHECK_OK(rmap_unmap(w.r, &t.page, 1, 0, &res));
    CHECK_EQ(res.outcome, RMAP_PARTIAL);
    CHECK_EQ(res.reason, RMAP_REASON_MIGRATING);
    CHECK_OK(rmap_migrate_begin(w.r, &t.page, 1, 0, &res));
    CHECK_EQ(res.reason, RMAP_REASON_MIGRATING);
    CHECK_EQ(world_kind(d, 7), RMAP_PTE_MIGRATION);
    arrive(&t, false);
    CHECK_EQ(t.res.hits, 1);
    CHECK_EQ(world_read(d, 7), 7);
    world_write(d, 7, 8);
    world_check(&w);
    world_fini(&w);
}

/* 7, 8, 9 and 10 under way. What rmap_protect says meanwhile holds afterwards: no write, no exec, locked, no access
 * and again some */
RMAP_TEST(migrate, attributes_changed_meanwhile_stay_changed)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    const struct rmap_pte_format *f = p->mmu.ops->format;
    struct trip t[4];
    for (unsigned i = 0; i < 4; i++) {
        world_write(p, 7 + i, i);
        world_set_entry(p, 7 + i, rmap_pte_set(f, world_entry(p, 7 + i), RMAP_ATTR_EXEC, true));
        t[i] = depart(world_page(p, 7 + i));
    }
    CHECK_OK(rmap_protect(&p->m, 7, 1, RMAP_PROTECT_NO_WRITE));
    CHECK_OK(rmap_protect(&p->m, 8, 1, RMAP_PROTECT_NO_EXEC | RMAP_PROTECT_LOCK));
    CHECK_OK(rmap_protect(&p->m, 9, 2, RMAP_PROTECT_NO_ACCESS));
    CHECK_EQ(world_kind(p, 9), RMAP_PTE_NO_ACCESS);
    CHECK_OK(rmap_protect(&p->m, 10, 1, RMAP_PROTECT_ACCESS)); /* reading the old frame: it does not change */
    CHECK_EQ(world_read(p, 10), 3);
    for (unsigned i = 0; i < 4; i++) arrive(&t[i], false);
    CHECK(!world_attr(p, 7, RMAP_ATTR_WRITE) && world_attr(p, 7, RMAP_ATTR_EXEC));
    CHECK(world_attr(p, 8, RMAP_ATTR_WRITE) && !world_attr(p, 8, RMAP_ATTR_EXEC) && world_attr(p, 8, RMAP_ATTR_LOCKED));
    CHECK_EQ(world_kind(p, 9), RMAP_PTE_NO_ACCESS);
    CHECK(!world_attr(p, 10, RMAP_ATTR_WRITE) && world_attr(p, 10, RMAP_ATTR_ACCESSED));
    CHECK(!world_tlb_find(p, 10)); /* the old frame's translation, loaded meanwhile */
    for (unsigned i = 0; i < 4; i++) {
        CHECK(world_page(p, 7 + i) == t[i].target);
        if (i != 2) CHECK_EQ(world_read(p, 7 + i), i);
    }
    CHECK_EQ(w.frames_used, 4);
    world_check(&w);
    world_fini(&w);
}

/* The move has found 7 under way and let go of its run: there the end comes. It waited for no more than that. */
static struct trip under_way;
static unsigned arrivals;
static void (*world_unlock)(void *mmu, struct rmap_mmu_run *run);
static void unlock_and_arrive(void *mmu, struct rmap_mmu_run *run)
{
    world_unlock(mmu, run);
    if (!under_way.page || w.runs || rmap_page_try_get(under_way.page) == false) return;
    const bool found = under_way.page->refcount > 3; /* mappings, ours twice; the fourth is the move's */
    rmap_page_put(w.r, under_way.page);
    if (!found) return;
    struct trip t = under_way;
    under_way.page = NULL;
    arrivals++;
    CHECK_OK(rmap_migrate_end(w.r, &t.page, &t.target, 1, 0, &t.res));
    rmap_page_unlock(w.r, t.page);
    rmap_page_unlock(w.r, t.target);
    rmap_page_put(w.r, t.page);
    rmap_page_put(w.r, t.target);
}

/* P pages 6, 7, 8, of which 7 is under way, are moved to 100: 7 arrives first, and then moves. With C, both ways of
 * moving */
RMAP_TEST(migrate, a_move_waits_for_the_end)
{
    for (unsigned shared = 0; shared < 2; shared++) {
        world_init(&w, NULL);
        struct world_space *p = world_space(&w), *c = NULL;
        for (rmap_vpn_t v = 6; v < 9; v++) world_write(p, v, v);
        if (shared) c = world_fork(p);
        arrivals = 0;
        under_way = depart(world_page(p, 7));
        world_unlock = w.ops.run_unlock;
        w.ops.run_unlock = unlock_and_arrive;
        const struct rmap_moved moved = world_move(p, 6, 100, 3);
        w.ops.run_unlock = world_unlock;
        CHECK_EQ(arrivals, 1);
        CHECK_EQ(shared ? moved.copied : moved.reindexed, 3);
        for (rmap_vpn_t v = 6; v < 9; v++) {
            CHECK_EQ(world_read(p, v + 94), v);
            if (c) CHECK_EQ(world_read(c, v), v);
        }
        world_check(&w);
        world_fini(&w);
    }
}

/* DISCARDABLE and REFERENCED go with the page, and leave the old frame's descriptor */
RMAP_TEST(migrate, flags_go_over)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct rmap_page *page = world_page(p, 7);
    rmap_page_clear_flags(page, RMAP_PAGE_DIRTY);
    CHECK_EQ(world_protect(&w, page).outcome, RMAP_DONE);
    rmap_page_clear_flags(page, RMAP_PAGE_DIRTY);
    rmap_page_set_flags(page, RMAP_PAGE_DISCARDABLE | RMAP_PAGE_REFERENCED);
    struct trip t = depart(page);
    rmap_page_get(page);
    struct rmap_page *now = t.target;
    arrive(&t, false);
    CHECK_EQ(rmap_page_flags(now), RMAP_PAGE_DISCARDABLE | RMAP_PAGE_REFERENCED);
    CHECK_EQ(rmap_page_flags(page), 0);
    CHECK(!rmap_page_is_anon(page));
    CHECK_EQ(page->refcount, 1);
    rmap_page_put(w.r, page);
    world_fini(&w);
}

/* 70 pages of two spaces in one call, one of them pinned, each with its own target */
RMAP_TEST(migrate, batches)
{
    enum { N = 70 };
    struct rmap_page *page[N], *target[N];
    struct rmap_result res[N];
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    for (unsigned i = 0; i < N; i++) world_write(p, 500 + i, i);
    struct world_space *c = world_fork(p);
    for (unsigned i = 0; i < N; i++) {
        page[i] = world_page(p, 500 + i);
        rmap_page_get(page[i]);
        CHECK(rmap_page_try_lock(page[i]));
        target[i] = world_new_page(&w);
        CHECK(rmap_page_try_lock(target[i]));
    }
    atomic_fetch_add_explicit(&page[33]->pins_order, 1u << 8, memory_order_relaxed);
    CHECK_OK(rmap_migrate(w.r, page, target, N, 0, res));
    atomic_fetch_sub_explicit(&page[33]->pins_order, 1u << 8, memory_order_relaxed);
    for (unsigned i = 0; i < N; i++) {
        CHECK_EQ(res[i].outcome, i == 33 ? RMAP_PARTIAL : RMAP_DONE);
        CHECK(world_page(c, 500 + i) == (i == 33 ? page[i] : target[i]));
        rmap_page_unlock(w.r, page[i]);
        rmap_page_put(w.r, page[i]);
        rmap_page_unlock(w.r, target[i]);
        rmap_page_put(w.r, target[i]);
    }
    CHECK_EQ(w.frames_used, N);
    world_check(&w);
    for (unsigned i = 0; i < N; i++) CHECK_EQ(world_read(p, 500 + i) + world_read(c, 500 + i), 2 * i);
    world_fini(&w);
}

/* The same, with locks by the verb: all wait for the first, one of the others is busy, at either side of a full turn */
RMAP_TEST(migrate, the_verb_locks_the_pages_if_asked_to)
{
    enum { N = 70 };
    struct rmap_page *page[N], *target[N];
    struct rmap_result res[N];
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    for (unsigned i = 0; i < N; i++) world_write(p, 500 + i, i);
    for (unsigned i = 0; i < N; i++) {
        page[i] = world_page(p, 500 + i);
        rmap_page_get(page[i]);
        target[i] = world_new_page(&w);
    }
    AS_ANOTHER_THREAD(rmap_page_lock(page[33]));
    AS_ANOTHER_THREAD(rmap_page_lock(page[67]));
    AS_ANOTHER_THREAD(rmap_page_lock(target[0])); /* its page is waited for, it is not */
    AS_ANOTHER_THREAD(rmap_page_lock(target[40]));
    CHECK_OK(rmap_migrate(w.r, page, target, N, RMAP_LOCK_PAGES, res));
    rmap_page_unlock(w.r, page[33]);
    rmap_page_unlock(w.r, page[67]);
    rmap_page_unlock(w.r, target[0]);
    rmap_page_unlock(w.r, target[40]);
    for (unsigned i = 0; i < N; i++) {
        const bool busy = i == 0 || i == 33 || i == 40 || i == 67;
        CHECK_EQ(res[i].outcome, busy ? RMAP_INCOMPLETE : RMAP_DONE);
        CHECK_EQ(res[i].reason, busy ? RMAP_REASON_BUSY : RMAP_REASON_NONE);
        CHECK(world_page(p, 500 + i) == (busy ? page[i] : target[i]));
        CHECK(!(rmap_page_flags(page[i]) & RMAP_PAGE_LOCKED) && !(rmap_page_flags(target[i]) & RMAP_PAGE_LOCKED));
        rmap_page_put(w.r, page[i]);
        rmap_page_put(w.r, target[i]);
    }
    CHECK_EQ(w.frames_used, N);
    world_check(&w);
    for (unsigned i = 0; i < N; i++) CHECK_EQ(world_read(p, 500 + i), i);
    CHECK_ERR(rmap_migrate_begin(w.r, page, 1, RMAP_LOCK_PAGES, res), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_migrate_end(w.r, page, NULL, 1, RMAP_LOCK_PAGES, res), RMAP_ERR_INVALID);
    world_fini(&w);
}

/* S12: P has moved page 7 to 100 under a record, C maps it at 7: both are found, both get the new frame; locked by the verbs */
RMAP_TEST(migrate, S12_a_tracked_page_changes_its_frame_wherever_it_lies)
{
    struct rmap_page *now, *one;
    struct rmap_result res;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c;
    CHECK_OK(rmap_member_set_policy(&p->m, RMAP_MOVE_POLICY_TRACK));
    world_write(p, 7, 70);
    CHECK_OK(rmap_free_lazily(&p->m, 7, 1, NULL));
    c = world_fork(p);
    CHECK_EQ(world_move(p, 7, 100, 1).tracked, 1);
    CHECK_EQ(world_migrate(&w, world_page(p, 100), &now).outcome, RMAP_DONE);
    CHECK(world_page(p, 100) == now && world_page(c, 7) == now);
    world_check(&w);
    struct trip t = depart(now); /* under way when it is moved on, and forked there */
    struct world_space *d = world_fork(p);
    CHECK_EQ(world_kind(d, 100), RMAP_PTE_MIGRATION);
    now = t.target;
    arrive(&t, false);
    CHECK_EQ(t.res.hits, 3);
    CHECK_EQ(world_read(p, 100) + world_read(c, 7) + world_read(d, 100), 210);
    one = now;
    rmap_page_get(one);
    CHECK_OK(rmap_discard(w.r, &one, 1, RMAP_LOCK_PAGES, &res));
    CHECK_EQ(res.outcome, RMAP_DONE);
    CHECK_EQ(res.hits, 3);
    CHECK(!(rmap_page_flags(one) & RMAP_PAGE_LOCKED));
    rmap_page_put(w.r, one);
    CHECK_EQ(world_entry(p, 100) | world_entry(c, 7) | world_entry(d, 100), 0);
    CHECK_EQ(w.frames_used, 0);
    world_check(&w);
    world_fini(&w);
}

/* pages 5, 6 and 7 in P and C; a huge entry lies at 6 in C by now: what lies behind it comes back, too */
RMAP_TEST(migrate, a_huge_entry_in_between_hides_nothing_from_the_end)
{
    struct rmap_page *page[2], *target[2];
    struct rmap_result res[2];
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    for (unsigned i = 0; i < 2; i++) world_write(p, 5 + 2 * i, 5 + 2 * i);
    struct world_space *c = world_fork(p);
    for (unsigned i = 0; i < 2; i++) {
        page[i] = world_page(p, 5 + 2 * i);
        rmap_page_get(page[i]);
        CHECK(rmap_page_try_lock(page[i]));
        target[i] = world_new_page(&w);
        CHECK(rmap_page_try_lock(target[i]));
        memcpy(world_contents(&w, rmap_page_pfn(w.r, target[i])), world_contents(&w, rmap_page_pfn(w.r, page[i])),
               (size_t)1 << WORLD_PAGE_SHIFT);
    }
    CHECK_OK(rmap_migrate_begin(w.r, page, 2, 0, res));
    CHECK_EQ(res[0].outcome + res[1].outcome, 2 * RMAP_DONE);
    c->blocked = true;
    c->block = 6;
    CHECK_OK(rmap_migrate_end(w.r, page, target, 2, 0, res));
    c->blocked = false;
    for (unsigned i = 0; i < 2; i++) {
        CHECK_EQ(res[i].outcome, RMAP_DONE);
        CHECK_EQ(res[i].hits, 2);
        rmap_page_unlock(w.r, page[i]);
        rmap_page_put(w.r, page[i]);
        rmap_page_unlock(w.r, target[i]);
        rmap_page_put(w.r, target[i]);
        CHECK_EQ(world_read(c, 5 + 2 * i), 5 + 2 * i);
    }
    world_check(&w);
    world_fini(&w);
}

/* H2 */
RMAP_TEST(migrate, arguments)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    world_write(p, 8, 1);
    struct rmap_page *page = world_page(p, 7), *used = world_page(p, 8), *target = world_new_page(&w), *none = NULL;
    struct rmap_page stranger = {0}, *strange = &stranger;
    struct rmap_result res;
    rmap_page_lock(page);
    CHECK_ERR(rmap_migrate(w.r, &page, &target, 1, 0, &res), RMAP_ERR_INVALID); /* not locked */
    CHECK(rmap_page_try_lock(target));
    CHECK_ERR(rmap_migrate(NULL, &page, &target, 1, 0, &res), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_migrate(w.r, &page, NULL, 1, 0, &res), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_migrate(w.r, &page, &none, 1, 0, &res), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_migrate(w.r, &page, &page, 1, 0, &res), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_migrate(w.r, &page, &strange, 1, 0, &res), RMAP_ERR_UNKNOWN_PAGE);
    CHECK_ERR(rmap_migrate(w.r, &strange, &target, 1, 0, &res), RMAP_ERR_UNKNOWN_PAGE);
    CHECK_ERR(rmap_migrate(w.r, &page, &target, 1, RMAP_IGNORE_LOCKED, &res), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_migrate_begin(w.r, &page, 1, RMAP_IGNORE_LOCKED, &res), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_migrate_end(w.r, &page, &target, 1, RMAP_IGNORE_LOCKED, &res), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_migrate_begin(w.r, NULL, 1, 0, &res), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_migrate_end(w.r, &page, &target, 1, 0, NULL), RMAP_ERR_NULL_ARG);
    CHECK(rmap_page_try_lock(used));
    CHECK_ERR(rmap_migrate(w.r, &page, &used, 1, 0, &res), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_migrate_end(w.r, &page, &used, 1, 0, &res), RMAP_ERR_INVALID);
    rmap_page_unlock(w.r, used);
    CHECK_EQ(world_kind(p, 7), RMAP_PTE_PRESENT);
    CHECK(!(rmap_page_flags(page) & RMAP_PAGE_MIGRATING));
    res.hits = 77; /* not under way: left alone, results too */
    CHECK_OK(rmap_migrate_end(w.r, &page, &target, 1, 0, &res));
    CHECK_EQ(res.hits, 77);
    CHECK_OK(rmap_migrate_begin(w.r, &target, 1, 0, &res));
    CHECK_EQ(res.outcome, RMAP_INCOMPLETE); /* not anonymous */
    CHECK(!(rmap_page_flags(target) & RMAP_PAGE_MIGRATING));
    CHECK_OK(rmap_migrate(w.r, NULL, NULL, 0, 0, NULL));
    rmap_page_unlock(w.r, page);
    rmap_page_unlock(w.r, target);
    rmap_page_put(w.r, target);
    world_check(&w);
    world_fini(&w);
}
