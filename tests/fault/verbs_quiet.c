/* SPDX-License-Identifier: MIT */
/**
 * @file fault/verbs_quiet.c  Calls that ask for nothing that could be refused, or for little: a count, a read. Some ask for more
 * where tables or frames are missing; those cases are elsewhere, here everything that they need is there.
 */
#include "fault/stage.h"

#include <objrmap/migrate.h>

static int spaces(struct stage *g)
{
    struct rmap_region_info r[4];
    struct rmap_space_stats st;
    struct rmap_usage usage;
    struct rmap_group_usage all;
    uint64_t map;
    CHECK_OK(rmap_space_get_stats(g->parent, &st));
    CHECK_OK(rmap_space_written(g->parent, 0, 64, &map, NULL));
    CHECK_OK(rmap_space_get_usage(g->parent, &usage));
    CHECK_EQ(usage.present + usage.swapped, 12);
    CHECK_OK(rmap_space_get_group_usage(g->parent, &all));
    CHECK_EQ(all.members, 2);
    CHECK_EQ(rmap_space_regions(g->parent, r, 4), 2);
    CHECK(rmap_space_member(g->parent) != NULL);
    rmap_space_set_user(g->parent, g);
    CHECK(rmap_space_user(g->parent) == g);
    return 0;
}

static int count_mapping(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t e)
{
    (void)m, (void)vpn, (void)e;
    ++*(unsigned *)ctx;
    return 0;
}

/* Page 5, which parent and child share, looked at. */
static int walks(struct stage *g)
{
    struct rmap *r = g->w.r;
    struct rmap_result res;
    unsigned shown = 0;
    stage_share(g);
    struct rmap_page *page = stage_page(g, g->parent, 5);
    CHECK_OK(rmap_referenced(r, &page, 1, 0, &res));
    CHECK_OK(rmap_write_protect(r, &page, 1, 0, &res));
    CHECK_OK(rmap_each_mapping(r, &page, 1, 0, count_mapping, &shown, &res));
    CHECK_EQ(shown, 2);
    rmap_pages_sort(&page, 1);
    stage_let_go(g, page);
    CHECK_OK(rmap_protect(rmap_space_member(g->parent), 0, 8, RMAP_PROTECT_NO_WRITE));
    return 0;
}

/* The guest's three pages: freed lazily and discarded; poisoned; its frame failed. Whoever comes after it finds no
 * page there. */
static void have_three_pages(struct stage *g)
{
    map_at(g->guest, 0, 3, RW);
    fill(g->guest, 0, 3, 900);
}
static void unmap_three_pages(struct stage *g)
{
    CHECK_OK(rmap_space_unmap(g->guest, 0, 3));
}
static int contents_that_go(struct stage *g)
{
    struct rmap *r = g->w.r;
    struct rmap_result res;
    struct rmap_freed freed;
    unsigned told = 0;
    CHECK_OK(rmap_free_lazily(rmap_space_member(g->guest), 0, 1, &freed));
    CHECK_EQ(freed.marked, 1);
    struct rmap_page *page = stage_page(g, g->guest, 0);
    CHECK_OK(rmap_discard(r, &page, 1, 0, &res));
    CHECK_EQ(res.outcome, RMAP_DONE);
    stage_let_go(g, page);
    page = stage_page(g, g->guest, 1);
    CHECK_OK(rmap_poison(r, &page, 1, 0, count_mapping, &told, &res));
    stage_let_go(g, page);
    page = stage_find(g, g->guest, 2);
    CHECK_OK(rmap_pager_poison(g->w.p, rmap_page_pfn(r, page), count_mapping, &told));
    CHECK_EQ(told, 2);
    return 0;
}

static void have_page(struct stage *g)
{
    CHECK_OK(rmap_page_alloc(g->w.r, RMAP_PFN_NONE, &g->page));
}
static void drop_page(struct stage *g)
{
    rmap_page_put(g->w.r, g->page);
}

/* An embedder's own fault handler: two new pages, both counted twice or none of them, and given back. */
static void have_two_pages(struct stage *g)
{
    have_page(g);
    CHECK_OK(rmap_page_alloc(g->w.r, RMAP_PFN_NONE, &g->target));
}
static void drop_two_pages(struct stage *g)
{
    drop_page(g);
    rmap_page_put(g->w.r, g->target);
}
static int accounting(struct stage *g)
{
    struct rmap_member *m = rmap_space_member(g->parent);
    struct rmap_page *pages[] = {g->page, g->target};
    struct rmap_gather gather;
    rmap_gather_init(&gather, g->w.r);
    CHECK(rmap_gather_room(&gather, 3));
    CHECK_OK(rmap_page_map_new(m, pages[0], 40));
    CHECK_OK(rmap_page_map_new(m, pages[1], 41));
    const int rc = rmap_page_dup(m, pages, 2);
    for (unsigned i = 0; i < 2; i++) {
        CHECK_EQ(rmap_page_mapcount(pages[i]), rc ? 1 : 2);
        if (!rc) rmap_page_unmap(&gather, m, pages[i]);
        rmap_page_unmap(&gather, m, pages[i]);
    }
    rmap_gather_flush(&gather, m, 40, 0, RMAP_FLUSH_ALL);
    rmap_gather_flush_now(&gather);
    rmap_gather_finish(&gather);
    return rc;
}
/* New ones for the retry, and no mapping counted that is not there. */
static void check_accounting(struct stage *g, int rc)
{
    (void)rc;
    world_verify(&g->w);
    drop_two_pages(g);
    have_two_pages(g);
}

/* Page 8 comes from swap. */
static int swap_in(struct stage *g)
{
    struct rmap_member *m = rmap_space_member(g->parent);
    const rmap_swp_t entry = stage_swapped(g, 8);
    struct rmap_gather gather;
    struct rmap_mmu_run run;
    rmap_gather_init(&gather, g->w.r);
    rmap_page_lock(g->page);
    int rc = rmap_swap_cache_load(rmap_pager_swap(g->w.p), entry, g->page);
    if (!rc && (rc = rmap_page_map_swapin(m, g->page, entry)))
        CHECK_OK(rmap_swap_cache_del(rmap_pager_swap(g->w.p), g->page));
    if (!rc) {
        CHECK_OK(m->mmu.ops->run_find(m->mmu.ctx, 8, 9, &run));
        rmap_gather_swap(&gather, m, 8, entry);
        rmap_run_set(&m->mmu, &run, (uint32_t)(8 - run.first),
                     rmap_pte_make(&rmap_pte_format_soft, rmap_page_pfn(g->w.r, g->page), 1u << RMAP_ATTR_ACCESSED));
        m->mmu.ops->run_unlock(m->mmu.ctx, &run);
        rmap_gather_finish(&gather);
    }
    rmap_page_unlock(g->w.r, g->page);
    return rc;
}

/* Page 6, shared. */
static int pages_and_groups(struct stage *g)
{
    struct rmap *r = g->w.r;
    struct rmap_member *m = rmap_space_member(g->parent);
    struct rmap_page *page = stage_find(g, g->parent, 6);
    struct rmap_group_shape shape;
    CHECK(rmap_page_find(r, rmap_page_pfn(r, page)) == page);
    CHECK(rmap_page_address(r, page) != NULL);
    CHECK(rmap_member_may_map(m, 6, 6));
    CHECK(!rmap_member_may_map(m, 6, 7));
    CHECK_OK(rmap_member_set_policy(m, RMAP_MOVE_POLICY_TRACK));
    CHECK_OK(rmap_space_set_move_policy(g->parent, RMAP_MOVE_POLICY_COPY));
    CHECK_EQ(m->policy, RMAP_MOVE_POLICY_COPY);
    CHECK(rmap_page_try_get(page));
    CHECK(rmap_page_try_lock(page));
    CHECK(!rmap_page_reuse(m, page, rmap_page_index(page)));
    CHECK_EQ(rmap_page_set_flags(page, RMAP_PAGE_REFERENCED) & RMAP_PAGE_REFERENCED, 0);
    rmap_page_clear_flags(page, RMAP_PAGE_REFERENCED);
    rmap_page_get(page);
    rmap_page_put(r, page);
    rmap_page_unlock(r, page);
    rmap_page_lock(page);
    rmap_page_unlock(r, page);
    rmap_page_put(r, page);
    CHECK_OK(rmap_page_pin(r, page));
    rmap_page_unpin(r, page);
    CHECK_OK(rmap_verify_page(r, page, NULL));
    const rmap_owner_t owner = rmap_page_owner(page);
    rmap_owner_get(owner);
    rmap_owner_put(owner);
    CHECK(rmap_member_home(m) != 0);
    CHECK(rmap_member_is_candidate(m, page));
    CHECK_OK(rmap_group_get_shape(m, &shape));
    CHECK_EQ(rmap_group_members(m), 2);
    struct rmap_usage usage;
    struct rmap_group_usage all;
    uint64_t map;
    CHECK_OK(rmap_snapshot(m, 0, 64, &map, NULL));
    CHECK_OK(rmap_written(m, 0, 64, &map, NULL));
    CHECK_OK(rmap_member_get_usage(m, &usage));
    CHECK_OK(rmap_group_get_usage(m, &all));
    CHECK_EQ(all.members, 2);
    CHECK_OK(rmap_member_trim(m, 0, 4096));
    return 0;
}

static int books(struct stage *g)
{
    const struct rmap_mmu *mmu = &rmap_space_member(g->parent)->mmu;
    struct rmap_pager_stats ps;
    struct rmap_swap_stats ss;
    struct rmap_device_stats ds;
    struct rmap_stats st;
    char text[128];
    CHECK_OK(rmap_pager_get_stats(g->w.p, &ps));
    CHECK_OK(rmap_swap_get_stats(rmap_pager_swap(g->w.p), &ss));
    CHECK_OK(rmap_swap_verify(rmap_pager_swap(g->w.p), text, sizeof text));
    CHECK_OK(rmap_device_get_stats(&g->w.device.base, &ds));
    CHECK_OK(rmap_stats_get(g->w.r, &st));
    CHECK_EQ(rmap_mapper_class(2), 1);
    CHECK(rmap_pager_rmap(g->w.p) == g->w.r);
    CHECK_ERR(rmap_pager_destroy(g->w.p), RMAP_ERR_BUSY);
    CHECK(rmap_radix_root(mmu) != 0);
    CHECK(rmap_radix_peek(mmu, 0) != 0);
    CHECK_OK(rmap_pte_format_check(&rmap_pte_format_soft));
    CHECK_STR(rmap_error_name(0), "RMAP_OK");
    CHECK(rmap_strerror(RMAP_ERR_NOMEM) != NULL);
    CHECK(rmap_alloc_default() != NULL);
    return 0;
}

static void memory(struct stage *g)
{
    CHECK_OK(rmap_memory_init(&g->memory, 16, 12));
}
static void end_memory(struct stage *g)
{
    rmap_memory_fini(&g->memory);
}
/* 0 if it cannot be known. */
static int resident(struct stage *g)
{
    const uint64_t bytes = rmap_memory_resident_bytes(&g->memory);
    CHECK_LE(bytes, 16 * PAGE);
    return 0;
}

const struct verb fault_verbs_quiet[] = {
    {.names = "rmap_space_get_stats rmap_space_regions rmap_space_member rmap_space_set_user rmap_space_user "
              "rmap_space_get_usage rmap_space_get_group_usage rmap_space_written",
     .call = spaces},
    {.names = "rmap_referenced rmap_write_protect rmap_each_mapping rmap_pages_sort rmap_protect",
     .call = walks,
     .stages = PLENTY | WINDOWS,
     .prepare = stage_share,
     .clear = stage_unshare,
     .meets = MMAP | MPROTECT,
     .without = MMAP | MPROTECT},
    {.names = "rmap_free_lazily rmap_discard rmap_poison rmap_pager_poison",
     .call = contents_that_go,
     .prepare = have_three_pages,
     .clear = unmap_three_pages,
     .stages = PLENTY | WINDOWS},
    {.names = "rmap_page_map_new rmap_page_dup rmap_page_unmap rmap_gather_init rmap_gather_room rmap_gather_flush "
              "rmap_gather_flush_now rmap_gather_finish",
     .call = accounting,
     .check = check_accounting,
     .prepare = have_two_pages,
     .clear = drop_two_pages,
     .stages = PLENTY,
     .meets = COUNT},
    {.names = "rmap_page_map_swapin rmap_swap_cache_load rmap_gather_swap",
     .call = swap_in,
     .prepare = have_page,
     .clear = drop_page,
     .stages = PLENTY,
     .meets = COUNT | READ | SPOILT},
    {.names = "rmap_page_find rmap_page_pfn rmap_page_address rmap_page_get rmap_page_try_get rmap_page_put "
              "rmap_page_lock rmap_page_try_lock rmap_page_unlock rmap_page_reuse rmap_page_set_flags "
              "rmap_page_clear_flags rmap_page_pin rmap_page_unpin rmap_verify_page rmap_page_owner rmap_owner_get "
              "rmap_owner_put rmap_member_home rmap_member_is_candidate rmap_member_may_map rmap_member_set_policy "
              "rmap_space_set_move_policy rmap_member_trim rmap_group_get_shape rmap_group_members "
              "rmap_member_get_usage rmap_group_get_usage rmap_snapshot rmap_written",
     .call = pages_and_groups,
     .stages = PLENTY},
    {.names = "rmap_pager_get_stats rmap_pager_rmap rmap_pager_swap rmap_swap_get_stats rmap_swap_verify "
              "rmap_device_get_stats "
              "rmap_stats_get rmap_mapper_class rmap_radix_root rmap_radix_peek rmap_pte_format_check rmap_error_name "
              "rmap_strerror rmap_alloc_default",
     .call = books,
     .stages = PLENTY},
    {.names = "rmap_memory_resident_bytes",
     .call = resident,
     .prepare = memory,
     .clear = end_memory,
     .stages = PLENTY,
     .meets = FILES,
     .without = FILES},
    {.names = NULL},
};
