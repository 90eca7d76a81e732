/* SPDX-License-Identifier: MIT */
/*
 * Misuse that once passed in silence, and windows in which a promise did not hold: each is refused or closed now, and nothing
 * changes.
 */
#include "support/world.h"

#include <core/core.h>
#include <stdlib.h>

/* P: page 7. fork begun, nothing copied: P's page is taken over in place. It belongs to the epoch that the child can inherit
 * (DESIGN 4: until the fork ends nothing is re-homed to the open one). */
RMAP_TEST(guards, A15_reuse_and_move_in_a_forking_space_stay_visible_for_the_child)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c = world_space_blank(&w);
    world_write(p, 7, 70);
    world_write(p, 8, 80);
    struct rmap_page *page = world_page(p, 7);
    struct rmap_fork f;
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &f));
    rmap_page_lock(page);
    CHECK(rmap_page_reuse(&p->m, page, rmap_page_index(page)));
    rmap_page_unlock(w.r, page);
    CHECK_OK(rmap_move(&p->m, 8, 9, 1, NULL));
    CHECK_OK(rmap_fork_copy(&f, 0, p->m.mmu.pages, RMAP_FORK_COW));
    rmap_fork_commit(&f);
    world_space_adopt(c);
    world_check(&w); /* INV-1 */
    CHECK_EQ(world_mappers(&w, page), 3);
    CHECK_EQ(world_mappers(&w, world_page(p, 9)), 3);
    world_fini(&w);
}

/* A member that joins twice, a child that lives already, a child with the parent's tables, a child that leaves too early. */
RMAP_TEST(guards, H2_who_is_a_member_cannot_become_one_again)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *q = world_space(&w), *c = world_space_blank(&w);
    world_write(p, 7, 70);
    struct rmap_fork f;
    CHECK_ERR(rmap_member_init(w.r, &p->m, &p->mmu), RMAP_ERR_EXISTS);
    CHECK_ERR(rmap_fork_begin(&p->m, &q->m, &q->mmu, &f), RMAP_ERR_EXISTS);
    CHECK_ERR(rmap_fork_begin(&p->m, &c->m, &p->mmu, &f), RMAP_ERR_INVALID);
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &f));
    CHECK_ERR(rmap_member_leave(&c->m), RMAP_ERR_BUSY);
    rmap_fork_abort(&f);
    rmap_fork_abort(&f); /* once is enough, twice is nothing */
    world_space_free(c);
    world_check(&w);
    world_fini(&w);
}

/* E3: unmapped, with one entry on swap: the sum is 1, and yet nobody may take the page over. */
RMAP_TEST(guards, E3_an_unmapped_page_is_not_exclusive)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 70);
    struct rmap_page *page = world_page(p, 7);
    rmap_page_get(page);
    CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE);
    rmap_page_lock(page);
    CHECK(!rmap_page_reuse(&p->m, page, rmap_page_index(page)));
    rmap_page_unlock(w.r, page);
    rmap_page_put(w.r, page);
    CHECK_EQ(world_read(p, 7), 70);
    world_check(&w);
    world_fini(&w);
}

RMAP_TEST(guards, flags_and_descriptors_are_checked)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 15, 1);
    struct rmap_page *page = world_page(p, 15), stray = {0};
    struct rmap_page *pages[1] = {&stray};
    struct rmap_result res;
    rmap_page_lock(page);
    CHECK_ERR(rmap_unmap(w.r, &page, 1, RMAP_KEEP_ACCESSED, &res), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_referenced(w.r, &page, 1, 0x8000, &res), RMAP_ERR_INVALID);
    rmap_page_set_flags(page, ~0u & ~(unsigned)(RMAP_PAGE_SWAPCACHE | RMAP_PAGE_SPECIAL | RMAP_PAGE_POISON));
    CHECK_EQ(rmap_page_index(page), 15);
    rmap_page_clear_flags(page, ~0u & ~(unsigned)RMAP_PAGE_DIRTY);
    CHECK_EQ(rmap_page_index(page), 15);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_LOCKED);
    rmap_page_unlock(w.r, page);
    CHECK_ERR(rmap_page_map_new(&p->m, &stray, 3), RMAP_ERR_UNKNOWN_PAGE);
    CHECK_ERR(rmap_page_pin(w.r, &stray), RMAP_ERR_UNKNOWN_PAGE);
    CHECK_ERR(rmap_page_dup(&p->m, pages, 1), RMAP_ERR_UNKNOWN_PAGE);
    pages[0] = world_new_page(&w);
    CHECK_ERR(rmap_page_dup(&p->m, pages, 1), RMAP_ERR_INVALID); /* mapped nowhere */
    rmap_page_put(w.r, pages[0]);
    static struct rmap_page d[8];
    CHECK_OK(rmap_frames_add(w.r, &(struct rmap_frame_section){d, sizeof d[0], 90000, 8}));
    CHECK_ERR(rmap_frames_add(w.r, &(struct rmap_frame_section){d + 7, sizeof d[0], 91000, 1}), RMAP_ERR_EXISTS);
    CHECK_OK(rmap_frames_remove(w.r, 90000));
    world_check(&w);
    world_fini(&w);
}

/* D5, INV-5: nobody keeps books about where a special page is mapped, so no walk says DONE. */
RMAP_TEST(guards, D5_a_walk_of_a_special_page_is_incomplete)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_map_special(p, 3);
    struct rmap_result res;
    rmap_page_lock(w.special);
    CHECK_OK(rmap_unmap(w.r, &w.special, 1, 0, &res));
    rmap_page_unlock(w.r, w.special);
    CHECK_EQ(res.outcome, RMAP_INCOMPLETE);
    world_fini(&w);
}

/* An instance without swap meets a swap entry (a broken embedder's): zap and move carry on. */
RMAP_TEST(guards, H3_a_swap_entry_without_a_swap_map)
{
    struct world w;
    world_init(&w, &(struct world_options){.no_swap = true});
    struct world_space *p = world_space(&w);
    world_set_entry(p, 3, rmap_pte_make_kind(p->mmu.ops->format, RMAP_PTE_SWAP, 77, 0));
    CHECK_OK(rmap_move(&p->m, 3, 5, 1, NULL));
    CHECK_EQ(world_kind(p, 5), RMAP_PTE_SWAP);
    struct rmap_zapped z;
    CHECK_OK(rmap_zap(&p->m, 0, 64, &z));
    CHECK_EQ(z.others, 1);
    world_fini(&w);
}

/* D4: while a fork has taken the right to write and not flushed yet, write_protect flushes for itself. */
RMAP_TEST(guards, D4_write_protect_during_a_fork_flushes)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c = world_space_blank(&w);
    world_write(p, 7, 70);
    CHECK(world_tlb_find(p, 7) && world_tlb_find(p, 7)->write);
    /* written back since: clean, and still writable through the cached translation */
    world_set_entry(p, 7, rmap_pte_set(p->mmu.ops->format, world_entry(p, 7), RMAP_ATTR_DIRTY, false));
    struct rmap_page *page = world_page(p, 7);
    struct rmap_fork f;
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &f));
    CHECK_OK(rmap_fork_copy(&f, 0, 64, RMAP_FORK_COW));
    CHECK(world_tlb_find(p, 7) && world_tlb_find(p, 7)->write); /* still to be flushed */
    CHECK_EQ(world_protect(&w, page).outcome, RMAP_DONE);
    CHECK(!world_tlb_find(p, 7) || !world_tlb_find(p, 7)->write);
    rmap_fork_commit(&f);
    world_space_adopt(c);
    world_check(&w);
    world_fini(&w);
}

static unsigned stale;

/* While a run is locked for ageing nobody else can look; when it is unlocked the flush must have been. */
static void (*radix_unlock)(void *, struct rmap_mmu_run *);
static void unlock_and_look(void *ctx, struct rmap_mmu_run *run)
{
    struct world_space *s = ctx;
    for (uint32_t i = 0; i < run->count; i++) {
        rmap_pte_t e = rmap_run_get(&s->mmu, run, i);
        bool present = rmap_pte_present(s->mmu.ops->format, e);
        if (present && !rmap_pte_get(s->mmu.ops->format, e, RMAP_ATTR_ACCESSED) && world_tlb_find(s, run->first + i)) stale++;
    }
    radix_unlock(ctx, run);
}

/* S6, D4: "not accessed" means "cached nowhere" (ACCESSED_EXACT) at every moment that others can look, not only in the end. */
RMAP_TEST(guards, S6_ageing_flushes_before_the_run_is_unlocked)
{
    struct world w;
    world_init(&w, &(struct world_options){.caps = RMAP_MMU_ACCESSED_EXACT | RMAP_MMU_ACCESSED_NEEDS_FLUSH});
    struct world_space *p = world_space(&w);
    struct rmap_page *pages[4];
    for (unsigned i = 0; i < 4; i++) {
        world_write(p, 7 + i, i);
        pages[i] = world_page(p, 7 + i);
    }
    CHECK(world_tlb_find(p, 7) != NULL);
    radix_unlock = w.ops.run_unlock;
    w.ops.run_unlock = unlock_and_look;
    stale = 0;
    for (unsigned i = 0; i < 4; i++) CHECK(rmap_page_try_lock(pages[i]));
    struct rmap_result res[4];
    CHECK_OK(rmap_referenced(w.r, pages, 4, 0, res));
    for (unsigned i = 0; i < 4; i++) rmap_page_unlock(w.r, pages[i]);
    w.ops.run_unlock = radix_unlock;
    CHECK_EQ(res[3].young, 1);
    CHECK_EQ(stale, 0);
    world_check(&w);
    world_fini(&w);
}

/* D4. page 7, written by P: while a walk has just let go of its run, P itself zaps it, or withdraws write: no translation
 * of its own that says otherwise is left when that returns */
static struct world_space *hooked;
static void (*hooked_unlock)(void *mmu, struct rmap_mmu_run *run);
static bool hooked_zap;
static unsigned hooked_calls, hooked_stale;
static void zap_or_protect(void *mmu, struct rmap_mmu_run *run)
{
    const struct world_cached *c;
    hooked_unlock(mmu, run);
    if (hooked_calls++) return;
    if (hooked_zap)
        CHECK_OK(rmap_zap(&hooked->m, 7, 1, NULL));
    else
        CHECK_OK(rmap_protect(&hooked->m, 7, 1, RMAP_PROTECT_NO_WRITE));
    c = world_tlb_find(hooked, 7);
    hooked_stale = c && (hooked_zap || c->write);
}
RMAP_TEST(guards, D4_what_a_walk_has_replaced_is_flushed_when_its_own_space_comes_to_it)
{
    for (unsigned zap = 0; zap < 2; zap++) {
        struct world w;
        world_init(&w, NULL);
        hooked = world_space(&w);
        world_write(hooked, 7, 1);
        struct rmap_page *page = world_page(hooked, 7);
        CHECK(world_tlb_find(hooked, 7)->write);
        rmap_page_get(page);
        hooked_zap = zap;
        hooked_calls = hooked_stale = 0;
        hooked_unlock = w.ops.run_unlock;
        w.ops.run_unlock = zap_or_protect;
        if (zap)
            world_unmap(&w, page, 0);
        else
            world_protect(&w, page);
        w.ops.run_unlock = hooked_unlock;
        CHECK(hooked_calls > 0);
        CHECK_EQ(hooked_stale, 0);
        rmap_page_put(w.r, page);
        world_check(&w);
        world_fini(&w);
    }
}

/* S writes 7; while rmap_protect withdraws that, a walk comes to the entry: it says DONE, and nobody can write any more */
static void walk_it(void *mmu, struct rmap_mmu_run *run)
{
    hooked_unlock(mmu, run);
    if (hooked_calls++) return;
    struct rmap_result res = world_protect(hooked->w, world_page(hooked, 7));
    CHECK_EQ(res.outcome, RMAP_DONE);
    const struct world_cached *c = world_tlb_find(hooked, 7);
    hooked_stale = c && c->write;
}
RMAP_TEST(guards, D4_what_protect_has_withdrawn_is_flushed_when_a_walk_comes_to_it)
{
    struct world w;
    world_init(&w, NULL);
    hooked = world_space(&w);
    world_write(hooked, 7, 1);
    CHECK(world_tlb_find(hooked, 7)->write);
    world_set_entry(hooked, 7, rmap_pte_set(w.ops.format, world_entry(hooked, 7), RMAP_ATTR_DIRTY, false)); /* written back */
    hooked_calls = hooked_stale = 0;
    hooked_unlock = w.ops.run_unlock;
    w.ops.run_unlock = walk_it;
    CHECK_OK(rmap_protect(&hooked->m, 7, 1, RMAP_PROTECT_NO_WRITE));
    w.ops.run_unlock = hooked_unlock;
    CHECK(hooked_calls > 0);
    CHECK_EQ(hooked_stale, 0);
    world_check(&w);
    world_fini(&w);
}

static struct world_space *trimmed;
static bool walks_kept_out;

static void trim_and_look(void *mmu, rmap_vpn_t first, rmap_vpn_t end)
{
    (void)mmu, (void)first, (void)end;
    struct rmap__group *g = rmap__member_group(&trimmed->m);
    walks_kept_out = pthread_rwlock_tryrdlock(&g->lock) != 0;
    if (!walks_kept_out) pthread_rwlock_unlock(&g->lock);
}

/* Walks look into tables with the group lock shared: whoever frees tables has it alone. */
RMAP_TEST(guards, no_walk_looks_while_tables_are_freed)
{
    struct world w;
    world_init(&w, NULL);
    trimmed = world_space(&w);
    world_write(trimmed, 7, 70);
    walks_kept_out = false;
    w.ops.trim = trim_and_look;
    CHECK_OK(rmap_member_trim(&trimmed->m, 0, trimmed->m.mmu.pages));
    CHECK(walks_kept_out);
    world_fini(&w);
}
