/* SPDX-License-Identifier: MIT */
/**
 * @file fault/verbs_quiet.c  Calls that promise not to allocate. Some of them do so all the same where tables or chunks
 * are missing; those cases are elsewhere, here everything that they need is there.
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
    CHECK_OK(rmap_space_snapshot(g->parent, 0, 64, &map, NULL));
    CHECK_OK(rmap_space_written(g->parent, 0, 64, &map, NULL));
    CHECK_EQ(map, 0);
    CHECK_OK(rmap_space_get_usage(g->parent, &usage));
    CHECK_EQ(usage.present + usage.swapped, 12);
    CHECK_OK(rmap_space_get_group_usage(g->parent, &all));
    CHECK_EQ(all.members, 2);
    CHECK_EQ(rmap_space_regions(g->parent, r, 4), 2);
    CHECK(rmap_space_member(g->parent) != NULL);
    rmap_space_set_user(g->parent, g);
    CHECK(rmap_space_user(g->parent) == g);
    CHECK_OK(rmap_space_advise(g->parent, 12, 4, RMAP_ADVISE_DONTNEED));
    CHECK_OK(rmap_space_fault(g->parent, 8, RMAP_READ));  /* from swap */
    CHECK_OK(rmap_space_fault(g->parent, 4, RMAP_WRITE)); /* COW */
    CHECK(rmap_reclaim(g->w.p, 4) >= 4);
    return 0;
}

/* The child goes, and an equal one comes. */
static int destroy(struct stage *g)
{
    struct rmap_space *s = g->child;
    for (unsigned i = 0; i < g->w.spaces; i++)
        if (g->w.space[i] == s) g->w.space[i] = NULL;
    return rmap_space_destroy(s);
}
static void fork_again(struct stage *g)
{
    g->child = space_fork(&g->w, g->parent);
    fill(g->child, 0, 4, 500);
}

static int count_mapping(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t e)
{
    (void)m, (void)vpn, (void)e;
    ++*(unsigned *)ctx;
    return 0;
}

/* Page 5, which parent and child share: looked at, written to swap, fetched again. */
static int walks_and_swap(struct stage *g)
{
    struct rmap *r = g->w.r;
    struct rmap_swap *swap = rmap_pager_swap(g->w.p);
    struct rmap_result res;
    unsigned shown = 0;
    int wrote;
    struct rmap_page *page = stage_page(g, g->parent, 5);
    CHECK_OK(rmap_referenced(r, &page, 1, 0, &res));
    CHECK_OK(rmap_write_protect(r, &page, 1, 0, &res));
    CHECK_OK(rmap_each_mapping(r, &page, 1, 0, count_mapping, &shown, &res));
    CHECK_EQ(shown, 2);
    rmap_pages_sort(&page, 1);
    CHECK_OK(rmap_swap_cache_add(swap, page));
    CHECK_OK(rmap_unmap(r, &page, 1, 0, &res));
    CHECK_EQ(res.outcome, RMAP_DONE);
    CHECK_OK(rmap_swap_write(swap, &page, 1, &wrote));
    CHECK_EQ(wrote, 0);
    rmap_swp_t entry = page->swap;
    CHECK_EQ(rmap_swap_get_ops()->count(swap, entry), 2);
    CHECK_OK(rmap_swap_cache_del(swap, page));
    stage_let_go(g, page);
    CHECK(rmap_swap_cache_find(swap, entry) == NULL);
    CHECK_OK(rmap_page_alloc(r, RMAP_PFN_NONE, &page));
    rmap_page_lock(page);
    CHECK_OK(rmap_swap_cache_load(swap, entry, page));
    stage_let_go(g, page);
    CHECK_OK(rmap_protect(rmap_space_member(g->parent), 0, 8, RMAP_PROTECT_NO_WRITE));
    return 0;
}

/* Page 5, which parent and child share, goes to another frame, by halves and as a whole; then every frame does. */
static int migrations(struct stage *g)
{
    struct rmap *r = g->w.r;
    struct rmap_result res;
    struct rmap_page *page = stage_page(g, g->parent, 5), *target;
    CHECK_OK(rmap_migrate_begin(r, &page, 1, 0, &res));
    CHECK_OK(rmap_migrate_end(r, &page, NULL, 1, 0, &res));
    CHECK_OK(rmap_page_alloc(r, RMAP_PFN_NONE, &target));
    CHECK(rmap_page_try_lock(target));
    CHECK_OK(rmap_migrate(r, &page, &target, 1, 0, &res));
    CHECK_EQ(res.outcome, RMAP_DONE);
    stage_let_go(g, page);
    stage_let_go(g, target);
    CHECK(page_at(&g->w, g->child, 5) == target);
    CHECK(rmap_pager_vacate(g->w.p, 0, 24) > 0);
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
    page = page_at(&g->w, g->guest, 2);
    CHECK_OK(rmap_pager_poison(g->w.p, rmap_page_pfn(r, page), count_mapping, &told));
    CHECK_EQ(told, 2);
    return 0;
}

/* Page 8, which both hold on swap: sought and found. The device is drained, which it survives; another one comes and goes. */
static int drain(struct stage *g)
{
    struct rmap_swap *swap = rmap_pager_swap(g->w.p);
    const struct rmap_device *device = &g->w.device.base;
    struct rmap_result res;
    unsigned shown = 0;
    uint32_t cursor = 0;
    CHECK_OK(rmap_swap_drain_begin(swap, device));
    rmap_swp_t entry = rmap_swap_next_used(swap, device, &cursor);
    CHECK(entry != 0);
    CHECK_EQ(rmap_swap_used(swap, device), 4);
    CHECK_OK(rmap_each_swap(g->w.r, entry, count_mapping, &shown, &res));
    CHECK_EQ(shown, 2);
    CHECK_OK(rmap_swap_drain_cancel(swap, device));
    CHECK_OK(rmap_swap_remove(swap, &g->device.base));
    return 0;
}
static void have_device(struct stage *g)
{
    faulty_device_init(&g->device, 10, 12);
    CHECK_OK(rmap_pager_add_swap(g->w.p, &g->device.base));
}
static void end_device(struct stage *g)
{
    rmap_device_destroy(&g->device.base);
}

/* The world's device goes, its four pages come in; then it returns beside the other. */
static int swapoff(struct stage *g)
{
    struct rmap_swapoff done;
    int rc = rmap_pager_remove_swap(g->w.p, &g->w.device.base, &done);
    CHECK_EQ(done.pages_in, 4);
    return rc;
}
static void return_device(struct stage *g)
{
    CHECK_OK(rmap_pager_add_swap(g->w.p, &g->w.device.base));
}

/* An embedder's own fault handler: a new page counted twice and given back; page 8 comes from swap. */
static int accounting(struct stage *g)
{
    struct rmap *r = g->w.r;
    struct rmap_member *m = rmap_space_member(g->parent);
    struct rmap_page *page;
    struct rmap_gather gather;
    struct rmap_mmu_run run;
    rmap_gather_init(&gather, r);
    CHECK(rmap_gather_room(&gather, 3));
    CHECK_OK(rmap_page_alloc(r, RMAP_PFN_NONE, &page));
    CHECK_OK(rmap_page_map_new(m, page, 40));
    CHECK_OK(rmap_page_dup(m, &page, 1));
    rmap_page_unmap(&gather, m, page);
    rmap_page_unmap(&gather, m, page);
    rmap_gather_flush(&gather, m, 40, 0, RMAP_FLUSH_ALL);
    rmap_gather_flush_now(&gather);
    rmap_gather_finish(&gather);
    rmap_page_put(r, page);

    const rmap_swp_t entry = rmap_pte_swp(&rmap_pte_format_soft, rmap_radix_peek(&m->mmu, 8));
    CHECK_OK(rmap_page_alloc(r, RMAP_PFN_NONE, &page));
    rmap_page_lock(page);
    CHECK_OK(rmap_swap_cache_load(rmap_pager_swap(g->w.p), entry, page));
    CHECK_OK(m->mmu.ops->run_find(m->mmu.ctx, 8, 9, &run));
    CHECK_OK(rmap_page_map_swapin(m, page, entry));
    rmap_gather_swap(&gather, m, 8, entry);
    rmap_run_set(&m->mmu, &run, (uint32_t)(8 - run.first),
                 rmap_pte_make(&rmap_pte_format_soft, rmap_page_pfn(r, page), 1u << RMAP_ATTR_ACCESSED));
    m->mmu.ops->run_unlock(m->mmu.ctx, &run);
    rmap_gather_finish(&gather);
    stage_let_go(g, page);
    return 0;
}

/* Page 6, shared. */
static int pages_and_groups(struct stage *g)
{
    struct rmap *r = g->w.r;
    struct rmap_member *m = rmap_space_member(g->parent);
    struct rmap_page *page = page_at(&g->w, g->parent, 6);
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

static int host(struct stage *g)
{
    struct rmap_host_stats st;
    rmap_host_drop_all(g->host);
    CHECK_OK(rmap_host_get_stats(g->host, &st));
    CHECK(rmap_memory_resident_bytes(&g->memory) <= 16 * PAGE);
    return 0;
}
static void have_host(struct stage *g)
{
    CHECK_OK(rmap_memory_init(&g->memory, 16, 12));
    const struct rmap_host_options o = {
        .struct_size = sizeof o, .memory = &g->memory, .alloc = stage_alloc(g), .window_pages = 64, .vma_limit = 200};
    CHECK_OK(rmap_host_create(&o, &g->host));
}
static void end_host(struct stage *g)
{
    CHECK_OK(rmap_host_destroy(g->host));
    rmap_memory_fini(&g->memory);
}

const struct verb fault_verbs_quiet[] = {
    {"rmap_space_get_stats rmap_space_regions rmap_space_member rmap_space_set_user rmap_space_user rmap_space_advise "
     "rmap_space_get_usage rmap_space_get_group_usage rmap_space_snapshot rmap_space_written",
     spaces, NULL, NULL, NULL, 0},
    {"rmap_space_destroy", destroy, fork_again, NULL, NULL, 0},
    {"rmap_referenced rmap_write_protect rmap_each_mapping rmap_unmap rmap_pages_sort rmap_protect rmap_swap_write "
     "rmap_swap_cache_del rmap_swap_cache_find rmap_swap_cache_load rmap_swap_get_ops rmap_page_alloc",
     walks_and_swap, NULL, NULL, NULL, 0},
    {"rmap_migrate rmap_migrate_begin rmap_migrate_end rmap_pager_vacate", migrations, NULL, NULL, NULL, 0},
    {"rmap_free_lazily rmap_discard rmap_poison rmap_pager_poison", contents_that_go, NULL, have_three_pages,
     unmap_three_pages, 0},
    {"rmap_each_swap rmap_swap_drain_begin rmap_swap_drain_cancel rmap_swap_next_used rmap_swap_used rmap_swap_remove",
     drain, NULL, have_device, end_device, 0},
    {"rmap_pager_remove_swap", swapoff, return_device, have_device, NULL, 0},
    {"rmap_page_map_new rmap_page_dup rmap_page_unmap rmap_page_map_swapin rmap_gather_init rmap_gather_room "
     "rmap_gather_flush rmap_gather_swap rmap_gather_flush_now rmap_gather_finish",
     accounting, NULL, NULL, NULL, 0},
    {"rmap_page_find rmap_page_pfn rmap_page_address rmap_page_get rmap_page_try_get rmap_page_put rmap_page_lock "
     "rmap_page_try_lock rmap_page_unlock rmap_page_reuse rmap_page_set_flags rmap_page_clear_flags rmap_page_pin "
     "rmap_page_unpin rmap_verify_page rmap_page_owner rmap_owner_get rmap_owner_put rmap_member_home "
     "rmap_member_is_candidate rmap_member_may_map rmap_member_set_policy rmap_space_set_move_policy rmap_member_trim "
     "rmap_group_get_shape rmap_group_members rmap_member_get_usage rmap_group_get_usage rmap_snapshot "
     "rmap_written",
     pages_and_groups, NULL, NULL, NULL, 0},
    {"rmap_pager_get_stats rmap_pager_rmap rmap_swap_get_stats rmap_swap_verify rmap_device_get_stats rmap_stats_get "
     "rmap_mapper_class rmap_radix_root rmap_radix_peek rmap_pte_format_check rmap_error_name rmap_strerror "
     "rmap_alloc_default",
     books, NULL, NULL, NULL, 0},
    {"rmap_host_drop_all rmap_memory_resident_bytes", host, NULL, have_host, end_host, 0},
    {NULL, NULL, NULL, NULL, NULL, 0},
};
