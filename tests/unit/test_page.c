/* SPDX-License-Identifier: MIT */
/** @file unit/test_page.c  One descriptor: identity (S1, S2), page lock, pins, orphans. */
#include "support/world.h"

#include <stdatomic.h>

/* The slot that caches a page. */
static rmap_swp_t cached_slot(struct world *w, struct rmap_page *page)
{
    rmap_page_lock(page);
    CHECK_OK(rmap_swap_cache_add(w->swap, page));
    rmap_page_unlock(w->r, page);
    return page->swap;
}

/* S1. vpn 0x123 of the only space */
RMAP_TEST(page, S1_identity_is_owner_index_and_the_anon_flag)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space(&w);
    CHECK_EQ(sizeof(struct rmap_page), 32);
    struct rmap_page *page = world_new_page(&w);
    CHECK(!rmap_page_is_anon(page));
    CHECK_EQ(rmap_page_owner(page), 0);
    rmap_page_put(w.r, page);
    world_write(s, 0x123, 1);
    page = world_page(s, 0x123);
    CHECK(rmap_page_is_anon(page));
    CHECK_EQ(rmap_page_index(page), 0x123); /* virtual address >> page shift */
    CHECK_EQ(rmap_page_owner(page), rmap_member_home(&s->m));
    CHECK_EQ(page->owner & RMAP_OWNER_ANON, RMAP_OWNER_ANON);
    CHECK_EQ(rmap_page_mapcount(page), 1);
    CHECK_EQ(page->refcount, 1); /* all mappings together hold one */
    world_fini(&w);
}

/* S2, C2. vpn 9: a slot is given, nothing about the identity changes */
RMAP_TEST(page, S2_swapcache_is_a_flag_of_its_own_and_hides_neither_group_nor_index)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space(&w);
    world_write(s, 9, 1);
    struct rmap_page *page = world_page(s, 9);
    rmap_owner_t owner = rmap_page_owner(page);
    CHECK_EQ(page->swap, 0);
    rmap_swp_t entry = cached_slot(&w, page);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE);
    CHECK_NE(entry, 0);
    CHECK_EQ(rmap_page_index(page), 9);
    CHECK_EQ(rmap_page_owner(page), owner);
    CHECK(rmap_page_is_anon(page));
    CHECK_EQ(world_mappers(&w, page), 1); /* found by the group, as before */
    world_unmap(&w, page, 0);
    CHECK_EQ(rmap_page_index(page), 9);
    CHECK_EQ(rmap_page_owner(page), owner);
    CHECK_EQ(world_kind(s, 9), RMAP_PTE_SWAP);
    CHECK_EQ(world_read(s, 9), 1);
    world_write(s, 9, 2); /* the private field holds an entry only while the flag is set */
    CHECK(!(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE));
    CHECK_EQ(page->swap, 0);
    CHECK_EQ(rmap_page_index(page), 9);
    world_check(&w);
    world_fini(&w);
}

/* index: 52 bits beside 12 flags, neither disturbs the other */
RMAP_TEST(page, index_and_flags_share_a_word_without_touching_each_other)
{
    struct world w;
    world_init(&w, &(struct world_options){.geometry = &rmap_radix_x86_64});
    struct world_space *s = world_space(&w);
    const rmap_vpn_t top = s->mmu.pages - 1;
    world_write(s, top, 5);
    struct rmap_page *page = world_page(s, top);
    CHECK_EQ(rmap_page_index(page), top);
    unsigned was = rmap_page_flags(page);
    CHECK_EQ(rmap_page_set_flags(page, RMAP_PAGE_REFERENCED | RMAP_PAGE_DISCARDABLE), was);
    CHECK_EQ(rmap_page_index(page), top);
    CHECK_EQ(rmap_page_clear_flags(page, RMAP_PAGE_REFERENCED), was | RMAP_PAGE_REFERENCED | RMAP_PAGE_DISCARDABLE);
    CHECK_EQ(rmap_page_clear_flags(page, RMAP_PAGE_DISCARDABLE), was | RMAP_PAGE_DISCARDABLE);
    world_move(s, top, 3, 1);
    CHECK_EQ(rmap_page_flags(page), was);
    CHECK_EQ(rmap_page_index(page), 3);
    world_fini(&w);
}

RMAP_TEST(page, the_page_lock_is_one_bit_and_try_never_waits)
{
    struct world w;
    world_init(&w, NULL);
    struct rmap_page *page = world_new_page(&w);
    rmap_page_lock(page);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_LOCKED);
    CHECK(!rmap_page_try_lock(page));
    rmap_page_unlock(w.r, page);
    CHECK(rmap_page_try_lock(page));
    rmap_page_unlock(w.r, page);
    CHECK_EQ(rmap_page_flags(page), 0);
    rmap_page_put(w.r, page);
    world_fini(&w);
}

/* E2. vpn 7, pinned by a device */
RMAP_TEST(page, a_pin_holds_a_reference_forbids_unmap_and_exclusiveness)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space(&w);
    world_write(s, 7, 1);
    struct rmap_page *page = world_page(s, 7);
    CHECK_ERR(rmap_page_pin(NULL, page), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_page_pin(w.r, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_page_pin(w.r, &(struct rmap_page){.refcount = 1}), RMAP_ERR_UNKNOWN_PAGE);
    CHECK_OK(rmap_page_pin(w.r, page));
    CHECK_EQ(rmap_page_pins(page), 1);
    CHECK_EQ(page->refcount, 2);
    struct rmap_result res = world_unmap(&w, page, 0);
    CHECK_EQ(res.outcome, RMAP_PARTIAL);
    CHECK_EQ(res.reason, RMAP_REASON_PINNED);
    CHECK_EQ(world_kind(s, 7), RMAP_PTE_PRESENT);
    rmap_page_lock(page);
    CHECK(!rmap_page_reuse(&s->m, page, rmap_page_index(page)));
    rmap_page_unlock(w.r, page);
    atomic_fetch_add(&page->pins_order, ((1u << 24) - 2) << 8);
    CHECK_ERR(rmap_page_pin(w.r, page), RMAP_ERR_OVERFLOW);
    CHECK_EQ(rmap_page_pins(page), (1u << 24) - 1);
    CHECK_EQ(page->refcount, 2);
    atomic_fetch_sub(&page->pins_order, ((1u << 24) - 2) << 8);
    rmap_page_unpin(w.r, page);
    CHECK_EQ(rmap_page_pins(page), 0);
    CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE);
    world_check(&w);
    world_fini(&w);
}

/* vpn 7: the last mapping goes while somebody holds the page lock; the slot has no entry */
RMAP_TEST(page, an_orphan_leaves_the_cache_when_its_lock_is_dropped)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space(&w);
    world_write(s, 7, 1);
    struct rmap_page *page = world_page(s, 7);
    cached_slot(&w, page);
    rmap_page_get(page);
    rmap_page_lock(page);
    world_zap(s, 7, 1);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_ORPHAN);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE);
    rmap_page_unlock(w.r, page);
    CHECK(!(rmap_page_flags(page) & (RMAP_PAGE_ORPHAN | RMAP_PAGE_SWAPCACHE)));
    CHECK_EQ(page->refcount, 1);
    rmap_page_put(w.r, page);
    CHECK_EQ(w.frames_used, 0);
    world_write(s, 8, 1); /* and with the lock free it goes at once */
    cached_slot(&w, world_page(s, 8));
    world_zap(s, 8, 1);
    CHECK_EQ(w.frames_used, 0);
    world_check(&w);
    world_fini(&w);
}
