/* SPDX-License-Identifier: MIT */
/** @file unit/test_zap.c  zap: ranges over tables, more entries than a gather holds, what is counted and freed when. */
#include "support/world.h"

#include <core/core.h>

/* tables at 0-511, 512-1023, none, 1536-2047; entries 500-520, 1536, 2047 */
RMAP_TEST(zap, exactly_the_range_over_tables_and_holes)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space(&w);
    for (rmap_vpn_t v = 500; v <= 520; v++) world_write(s, v, v);
    world_write(s, 1536, 1);
    world_write(s, 2047, 1);
    struct rmap_zapped z;
    CHECK_OK(rmap_zap(&s->m, 501, 2047 - 501, &z));
    CHECK_EQ(z.mappings, 21);
    CHECK_EQ(z.swaps + z.others, 0);
    CHECK_EQ(world_read(s, 500), 500);
    CHECK_EQ(world_read(s, 2047), 1);
    CHECK_EQ(world_entry(s, 501), 0);
    CHECK_EQ(world_entry(s, 1536), 0);
    CHECK_EQ(s->m.mapped, 2);
    CHECK_EQ(w.frames_used, 2);
    CHECK_EQ(world_stats(&w).mappings, 2);
    CHECK_OK(rmap_zap(&s->m, 1000, 500, &z)); /* nothing there */
    CHECK_EQ(z.mappings, 0);
    world_check(&w);
    world_fini(&w);
}

/* 212 pages in a table, two full tables, 76 in a fourth; P and C: more than a gather holds comes from one run */
RMAP_TEST(zap, four_tables_of_pages_need_several_gathers)
{
    struct world w;
    world_init(&w, &(struct world_options){.frames = 2048, .no_contents = true});
    struct world_space *p = world_space(&w);
    for (rmap_vpn_t v = 300; v < 1600; v++) world_write(p, v, 0);
    struct world_space *c = world_fork(p);
    for (rmap_vpn_t v = 300; v < 1600; v += 3) world_write(c, v, 0);
    struct rmap_zapped z;
    CHECK_OK(rmap_zap(&c->m, 0, c->mmu.pages, &z));
    CHECK_EQ(z.mappings, 1300);
    CHECK_EQ(c->m.mapped, 0);
    CHECK_EQ(w.frames_used, 1300);
    for (rmap_vpn_t v = 300; v < 1600; v++) CHECK_EQ(rmap_page_mapcount(world_page(p, v)), 1);
    world_check(&w);
    CHECK_OK(rmap_zap(&p->m, 300, 1300, &z));
    CHECK_EQ(z.mappings, 1300);
    CHECK_EQ(w.frames_used, 0);
    world_check(&w);
    world_fini(&w);
}

/* a table of 2,048 slots is four runs; every second one of its entries */
RMAP_TEST(zap, large_leaf_tables_are_several_runs)
{
    struct world w;
    world_init(&w, &(struct world_options){.geometry = &rmap_radix_aarch64_16k, .frames = 2048, .no_contents = true});
    struct world_space *p = world_space(&w);
    for (rmap_vpn_t v = 1; v < 2048; v += 2) world_write(p, v, 0);
    struct rmap_zapped z;
    CHECK_OK(rmap_zap(&p->m, 2, 2044, &z));
    CHECK_EQ(z.mappings, 1022);
    CHECK(world_page(p, 1) && world_page(p, 2047));
    world_check(&w);
    world_fini(&w);
}

/* present, no-access, on swap, moved on swap, zero page, poison, unknown frame */
RMAP_TEST(zap, every_kind_of_entry_goes_and_is_counted_as_what_it_was)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    const struct rmap_pte_format *f = p->mmu.ops->format;
    for (rmap_vpn_t v = 1; v <= 4; v++) world_write(p, v, v);
    struct world_space *c = world_fork(p);
    CHECK_OK(rmap_protect(&p->m, 2, 1, RMAP_PROTECT_NO_ACCESS));
    CHECK(world_swap_out(&w, world_page(p, 3)));
    CHECK(world_swap_out(&w, world_page(p, 4)));
    CHECK_EQ(world_move(p, 4, 40, 1).swap_shared, 1);
    world_map_special(p, 5);
    world_set_entry(p, 6, rmap_pte_make_kind(f, RMAP_PTE_POISON, 1, 0));
    world_set_entry(p, 7, rmap_pte_make(f, 1, 0));
    CHECK_EQ(p->m.moved, 1);
    struct rmap_zapped z;
    CHECK_OK(rmap_zap(&p->m, 0, p->mmu.pages, &z));
    CHECK_EQ(z.mappings, 2);
    CHECK_EQ(z.swaps, 2);
    CHECK_EQ(z.others, 3);
    CHECK_EQ(p->m.mapped + p->m.swapped + p->m.moved, 0);
    for (rmap_vpn_t v = 1; v <= 4; v++) CHECK_EQ(world_read(c, v), v);
    world_check(&w);
    world_fini(&w);
}

static unsigned flushes_seen;
static uint32_t count_at_flush;
static struct rmap_page *seen;
static void note_flush(void *ctx, const struct rmap_flush_range *ranges, size_t n)
{
    world_tlb_flush(ctx, ranges, n);
    flushes_seen++;
    count_at_flush = rmap_page_mapcount(seen);
}

/* INV-6. 7 in P, cached: when the flush comes the entry is gone, count and frame are still there */
RMAP_TEST(zap, INV_6_the_entry_goes_then_the_flush_then_the_count_then_the_frame)
{
    struct world w;
    world_init(&w, NULL);
    w.ops.flush = note_flush;
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    seen = world_page(p, 7);
    CHECK(world_tlb_find(p, 7));
    world_zap(p, 7, 1);
    CHECK_EQ(flushes_seen, 1);
    CHECK_EQ(count_at_flush, 1);
    CHECK_EQ(rmap_page_mapcount(seen), 0);
    CHECK_EQ(w.frames_used, 0);
    world_fini(&w);
}

/* A page that others still map keeps being dirty: 7 in P (written) and C */
RMAP_TEST(zap, dirty_goes_to_a_page_that_lives_on)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct world_space *c = world_fork(p);
    rmap_page_clear_flags(world_page(p, 7), RMAP_PAGE_DIRTY);
    world_zap(p, 7, 1);
    CHECK(rmap_page_flags(world_page(c, 7)) & RMAP_PAGE_DIRTY);
    world_fini(&w);
}

/* A11. a frame that is zapped, freed and used again at the same place is another page */
RMAP_TEST(zap, A11_a_reused_frame_starts_from_nothing)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct rmap_page *page = world_page(p, 7);
    struct world_space *q = world_space(&w);
    world_referenced(&w, page);
    world_zap(p, 7, 1);
    CHECK_EQ(rmap_page_owner(page), 0);
    CHECK_EQ(page->index_flags, 0);
    world_write(q, 9, 2);
    CHECK(world_page(q, 9) == page);
    CHECK_EQ(page->mapcount, 1);
    CHECK_EQ(rmap_page_index(page), 9);
    CHECK_EQ(world_mappers(&w, page), 2);
    CHECK_EQ(world_read(q, 9), 2);
    world_check(&w);
    world_fini(&w);
}

/* H1. tables at 0, 512 and 1024 (with 1,030 in use), trimmed to what is left */
RMAP_TEST(zap, trim_frees_the_tables_that_a_zap_has_emptied)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    const uint64_t pages = p->mmu.pages;
    static const rmap_vpn_t at[] = {5, 600, 1030};
    for (unsigned i = 0; i < 3; i++) world_write(p, at[i], i);
    size_t blocks = w.alloc.live_blocks;
    CHECK_ERR(rmap_member_trim(NULL, 0, 1), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_member_trim(&p->m, 0, 0), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_member_trim(&p->m, pages, 1), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_member_trim(&p->m, 1, pages), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_member_trim(&p->m, 1, UINT64_MAX), RMAP_ERR_RANGE);
    CHECK_OK(rmap_member_trim(&p->m, 0, pages)); /* all in use */
    world_zap(p, 0, 1024);
    CHECK_EQ(w.alloc.live_blocks, blocks);
    CHECK_OK(rmap_member_trim(&p->m, 1, 1023)); /* the first table is not wholly inside */
    CHECK_EQ(w.alloc.live_blocks, blocks - 1);
    CHECK_OK(rmap_member_trim(&p->m, 0, pages));
    CHECK_EQ(w.alloc.live_blocks, blocks - 2);
    CHECK_EQ(world_read(p, 1030), 2);
    w.ops.trim = NULL; /* an MMU need not have it */
    world_zap(p, 0, pages);
    CHECK_OK(rmap_member_trim(&p->m, 0, pages));
    world_write(p, 5, 7);
    CHECK_EQ(world_read(p, 5), 7);
    world_check(&w);
    world_fini(&w);
}

/* entries at 5 and 2000, a huge entry at 700 */
RMAP_TEST(zap, a_huge_entry_is_an_error_that_says_how_far_it_got)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 5, 1);
    world_write(p, 2000, 2);
    p->blocked = true;
    p->block = 700;
    struct rmap_zapped z;
    CHECK_ERR(rmap_protect(&p->m, 0, p->mmu.pages, RMAP_PROTECT_LOCK), RMAP_ERR_BLOCK);
    CHECK(world_attr(p, 5, RMAP_ATTR_LOCKED) && !world_attr(p, 2000, RMAP_ATTR_LOCKED));
    CHECK_ERR(rmap_zap(&p->m, 0, p->mmu.pages, &z), RMAP_ERR_BLOCK);
    CHECK_EQ(z.mappings, 1);
    CHECK_EQ(p->m.mapped, 1);
    p->blocked = false;
    CHECK_EQ(world_read(p, 2000), 2);
    world_check(&w);
    world_fini(&w);
}
