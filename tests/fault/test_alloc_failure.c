/* SPDX-License-Identifier: MIT */
/*
 * Every public verb with the Nth allocation failing, once and for ever: either it happened or nothing did; the books are in
 * order; the retry works; nothing leaks. Verbs that promise not to allocate are run with no memory to be had at all.
 *
 * The stage of every case, pages of 4,096 bytes, 40 frames, soft radix tables:
 *     parent  [0, 16) rw: 0-3 own, 4-7 shared with the child, 8-11 on swap, 12-15 untouched;  [20, 24) r
 *     child   forked from it; wrote 0-3
 */
#include "unit/pager_world.h"

#include <dirent.h>
#include <objrmap/host.h>
#include <objrmap/move.h>
#include <stdlib.h>

struct stage {
    struct world w;
    struct rmap_space *parent, *child;
    uint64_t spaces; /* with the one that a case may have beside them */
    void *made; /* what the verb made, for undo */
    struct rmap_mmu mmu;
    struct rmap_member member;
    struct rmap_mmu_provider provider;
    struct rmap_memory memory;
};

struct verb {
    const char *names; /* the public functions that it covers, separated by blanks */
    int (*call)(struct stage *);
    void (*undo)(struct stage *); /* what a success made; NULL: nothing */
    bool allocates;
};

static const struct rmap_allocator *alloc_of(struct stage *g) { return &g->w.alloc.a; }

/* ---- the stage ---- */

static void stage_init(struct stage *g)
{
    memset(g, 0, sizeof *g);
    world_init(&g->w, 40, 200, 0);
    g->parent = space_new(&g->w);
    map_at(g->parent, 0, 16, RW);
    map_at(g->parent, 20, 4, RMAP_READ);
    fill(g->parent, 8, 4, 800);
    evict_all(&g->w);
    fill(g->parent, 0, 8, 100);
    g->child = space_fork(&g->w, g->parent);
    fill(g->child, 0, 4, 500);
    g->spaces = 2;
}

static void stage_check(struct stage *g)
{
    world_verify(&g->w);
    expect(g->parent, 0, 8, 100);
    expect(g->parent, 8, 4, 800);
    expect(g->child, 0, 4, 500);
    expect(g->child, 4, 4, 104);
    expect(g->child, 8, 4, 800);
    CHECK_EQ(get(g->parent, 15), 0);
    struct rmap_region_info r[4];
    CHECK_EQ(rmap_space_regions(g->parent, r, 4), 2);
    CHECK_EQ(r[0].count, 16);
    CHECK_EQ(r[0].prot, RW);
    CHECK_EQ(r[0].locked, false);
    CHECK_EQ(r[1].first, 20);
    CHECK_EQ(stats(&g->w).spaces, g->spaces);
}

/* ---- verbs that allocate ---- */

static int space_create(struct stage *g) { return rmap_space_create(g->w.p, (struct rmap_space **)&g->made); }
static int space_fork_(struct stage *g) { return rmap_space_fork(g->parent, (struct rmap_space **)&g->made); }
static void space_undo(struct stage *g) { CHECK_OK(rmap_space_destroy(g->made)); }

static int space_exec(struct stage *g)
{
    struct rmap_space *s = g->made; /* made by prepare: an empty space */
    return rmap_space_exec(s);
}

static int map_far(struct stage *g)
{
    rmap_vpn_t at = 3000;
    return rmap_space_map(g->parent, &at, 8, RW, RMAP_MAP_FIXED);
}
static int map_populated(struct stage *g)
{
    rmap_vpn_t at = 3000;
    return rmap_space_map(g->parent, &at, 4, RW, RMAP_MAP_FIXED | RMAP_MAP_LOCKED);
}
static void unmap_far(struct stage *g) { CHECK_OK(rmap_space_unmap(g->parent, 3000, 8)); }

static int unmap_middle(struct stage *g) { return rmap_space_unmap(g->parent, 13, 1); }
static void remap_middle(struct stage *g) { map_at(g->parent, 13, 1, RW); }

static int protect_middle(struct stage *g) { return rmap_space_protect(g->parent, 5, 2, RMAP_READ); }
static void unprotect_middle(struct stage *g) { CHECK_OK(rmap_space_protect(g->parent, 5, 2, RW)); }

static int lock_middle(struct stage *g) { return rmap_space_lock(g->parent, 5, 8); }
static void unlock_middle(struct stage *g) { CHECK_OK(rmap_space_unlock(g->parent, 5, 8)); }

static int unlock_part(struct stage *g)
{
    /* the lock itself is not what is tested: memory comes back for it */
    struct test_alloc *t = &g->w.alloc;
    size_t at = t->fail_at;
    t->fail_at = 0;
    CHECK_OK(rmap_space_lock(g->parent, 0, 16));
    t->fail_at = at ? t->calls + (at - (size_t)(uintptr_t)g->made) : 0;
    g->made = (void *)(uintptr_t)t->calls;
    int rc = rmap_space_unlock(g->parent, 5, 2);
    t->fail_at = 0;
    CHECK_OK(rmap_space_unlock(g->parent, 0, 16));
    return rc;
}

static int move_far(struct stage *g)
{
    rmap_vpn_t to = 4000;
    return rmap_space_move(g->parent, 0, 16, 16, RMAP_MOVE_FIXED | RMAP_MOVE_MAYMOVE, &to);
}
static void move_back(struct stage *g)
{
    rmap_vpn_t to = 0;
    CHECK_OK(rmap_space_move(g->parent, 4000, 16, 16, RMAP_MOVE_FIXED | RMAP_MOVE_MAYMOVE, &to));
}

static int touch_far(struct stage *g)
{
    return rmap_space_fault(g->made, 5000, RMAP_WRITE);
}
static int write_far(struct stage *g)
{
    uint64_t value = 7;
    return rmap_space_write(g->made, (uint64_t)6000 * PAGE, &value, sizeof value, NULL);
}
static int read_far(struct stage *g)
{
    uint64_t value;
    return rmap_space_read(g->made, (uint64_t)7000 * PAGE, &value, sizeof value, NULL);
}

static int pager_verify(struct stage *g) { return rmap_pager_verify(g->w.p, NULL); }
static int verify(struct stage *g) { return rmap_verify(g->w.r, NULL); }

static int member_init(struct stage *g) { return rmap_member_init(g->w.r, &g->member, &g->mmu); }
static void member_undo(struct stage *g) { CHECK_OK(rmap_member_leave(&g->member)); }

static int fork_core(struct stage *g)
{
    struct rmap_fork f;
    int rc = rmap_fork_begin(rmap_space_member(g->parent), &g->member, &g->mmu, &f);
    if (rc) return rc;
    rc = rmap_fork_copy(&f, 0, 64, RMAP_FORK_COW);
    if (rc) rmap_fork_abort(&f);
    else rmap_fork_commit(&f);
    return rc;
}
static void fork_undo(struct stage *g)
{
    CHECK_OK(rmap_zap(&g->member, 0, g->mmu.pages, NULL));
    CHECK_OK(rmap_member_leave(&g->member));
}

static int move_core(struct stage *g) { return rmap_move(rmap_space_member(g->parent), 0, 9000, 16, NULL); }
static void move_core_undo(struct stage *g) { CHECK_OK(rmap_move(rmap_space_member(g->parent), 9000, 0, 16, NULL)); }

static struct rmap_page extra[4];
static int frames_add(struct stage *g)
{
    struct rmap_frame_section section = {extra, sizeof extra[0], 100000, 4};
    return rmap_frames_add(g->w.r, &section);
}
static int frames_remove(struct stage *g)
{
    int rc = rmap_frames_remove(g->w.r, 100000);
    return rc;
}
static void frames_add_undo(struct stage *g) { CHECK_OK(rmap_frames_remove(g->w.r, 100000)); }

static int create(struct stage *g)
{
    struct rmap_frame_ops ops = {sizeof ops, (int (*)(void *, rmap_pfn_t, rmap_pfn_t *))1, (void (*)(void *, rmap_pfn_t))1,
                                 (void (*)(void *, rmap_pfn_t, rmap_pfn_t))1, NULL, NULL};
    struct rmap_options o = {.struct_size = sizeof o, .alloc = alloc_of(g), .frames = &ops};
    return rmap_create(&o, (struct rmap **)&g->made);
}
static void create_undo(struct stage *g) { CHECK_OK(rmap_destroy(g->made)); }

static int radix_create(struct stage *g)
{
    struct rmap_radix_options o = {
        .struct_size = sizeof o, .geometry = &rmap_radix_sv48, .alloc = alloc_of(g), .caps = RMAP_MMU_NO_TLB};
    return rmap_radix_create(&o, &g->mmu);
}
static void radix_undo(struct stage *g) { rmap_radix_destroy(&g->mmu); }
static int radix_provider(struct stage *g)
{
    struct rmap_radix_options o = {
        .struct_size = sizeof o, .geometry = &rmap_radix_soft, .alloc = alloc_of(g), .caps = RMAP_MMU_NO_TLB};
    return rmap_radix_provider_init(&o, &g->provider);
}
static void radix_provider_undo(struct stage *g) { rmap_radix_provider_fini(&g->provider); }

static int host_create(struct stage *g)
{
    struct rmap_host_options o = {sizeof o, &g->memory, alloc_of(g), 64, 200};
    return rmap_host_create(&o, (struct rmap_host **)&g->made);
}
static void host_undo(struct stage *g) { CHECK_OK(rmap_host_destroy(g->made)); }

static int no_fault(void *ctx, rmap_vpn_t vpn, unsigned access)
{
    (void)ctx, (void)vpn, (void)access;
    return RMAP_ERR_ABSENT;
}
static int host_window(struct stage *g)
{
    struct rmap_host *host = g->made;
    struct rmap_mmu_provider p = rmap_host_provider(host);
    struct rmap_mmu_client client = {g, no_fault};
    return p.create(p.ctx, &client, &g->mmu);
}
static void host_window_undo(struct stage *g)
{
    struct rmap_mmu_provider p = rmap_host_provider(g->made);
    CHECK(rmap_host_base(&g->mmu) != NULL);
    p.destroy(p.ctx, &g->mmu);
}

static int device_temp(struct stage *g) { return rmap_device_temp_create(alloc_of(g), NULL, 64, 12, (struct rmap_device **)&g->made); }
static int device_lz4(struct stage *g) { return rmap_device_lz4_create(alloc_of(g), 64, 12, 0, (struct rmap_device **)&g->made); }
static int device_file(struct stage *g)
{
    return rmap_device_file_create(alloc_of(g), g->memory.fd, false, 64, 12, (struct rmap_device **)&g->made);
}
static void device_undo(struct stage *g) { rmap_device_destroy(g->made); }

static int swap_create(struct stage *g)
{
    struct rmap_swap_options o = {sizeof o, alloc_of(g), 12};
    return rmap_swap_create(&o, (struct rmap_swap **)&g->made);
}
static void swap_undo(struct stage *g) { CHECK_OK(rmap_swap_destroy(g->made)); }

static struct faulty_device second;
static int owned(int rc)
{
    if (rc) rmap_device_destroy(&second.base); /* it stayed ours */
    return rc;
}
static int swap_add(struct stage *g)
{
    faulty_device_init(&second, 10, 12);
    return owned(rmap_swap_add(rmap_pager_swap(g->w.p), &second.base));
}
static int pager_add(struct stage *g)
{
    faulty_device_init(&second, 10, 12);
    return owned(rmap_pager_add_swap(g->w.p, &second.base));
}

static struct rmap_page *locked_page(struct stage *g, rmap_vpn_t vpn)
{
    struct rmap_page *page = page_at(&g->w, g->parent, vpn);
    CHECK(page != NULL);
    rmap_page_get(page);
    rmap_page_lock(page);
    return page;
}
static void let_go(struct stage *g, struct rmap_page *page)
{
    rmap_page_unlock(g->w.r, page);
    rmap_page_put(g->w.r, page);
}

/* a map of its own, whose first slot makes its first chunk */
static int cache_add(struct stage *g)
{
    struct rmap_page *page = locked_page(g, 5);
    int rc = rmap_swap_cache_add(g->made, page);
    if (!rc) CHECK_OK(rmap_swap_cache_del(g->made, page));
    let_go(g, page);
    return rc;
}

static int pager_create(struct stage *g)
{
    struct rmap_pager_options o = world_options(&g->w, 32, 0);
    return rmap_pager_create(&o, (struct rmap_pager **)&g->made);
}
static void pager_undo(struct stage *g) { CHECK_OK(rmap_pager_destroy(g->made)); }

/* ---- what a case needs beyond the stage, made while memory is plenty ---- */

static void prepare(struct stage *g, const struct verb *v)
{
    struct rmap_radix_options o = {
        .struct_size = sizeof o, .geometry = &rmap_radix_soft, .alloc = alloc_of(g), .caps = RMAP_MMU_NO_TLB};
    if (v->call == member_init || v->call == fork_core) CHECK_OK(rmap_radix_create(&o, &g->mmu));
    if (v->call == touch_far || v->call == write_far || v->call == read_far || v->call == space_exec) {
        CHECK_OK(rmap_space_create(g->w.p, (struct rmap_space **)&g->made));
        map_at(g->made, 4096, 4096, RW);
        g->spaces++;
    }
    if (v->call == host_create || v->call == host_window || v->call == device_file) CHECK_OK(rmap_memory_init(&g->memory, 16, 12));
    if (v->call == host_window) CHECK_OK(host_create(g));
    if (v->call == frames_remove) CHECK_OK(frames_add(g));
    if (v->call == cache_add) {
        CHECK_OK(swap_create(g));
        CHECK_OK(rmap_swap_bind(g->made, g->w.r));
        faulty_device_init(&second, 10, 12);
        CHECK_OK(rmap_swap_add(g->made, &second.base));
    }
    if (v->call == unlock_part) g->made = (void *)(uintptr_t)g->w.alloc.calls;
}

static void unprepare(struct stage *g, const struct verb *v)
{
    if (v->call == member_init || v->call == fork_core) rmap_radix_destroy(&g->mmu);
    if (v->call == touch_far || v->call == write_far || v->call == read_far || v->call == space_exec) {
        CHECK_OK(rmap_space_destroy(g->made));
        g->spaces--;
    }
    if (v->call == host_window) CHECK_OK(rmap_host_destroy(g->made));
    if (v->call == host_create || v->call == host_window || v->call == device_file) rmap_memory_fini(&g->memory);
    if (v->call == cache_add) CHECK_OK(rmap_swap_destroy(g->made));
}

/* ---- verbs that never allocate: run to their end without memory ---- */

static int spaces_quiet(struct stage *g)
{
    struct rmap_region_info r[4];
    struct rmap_space_stats st;
    CHECK_OK(rmap_space_get_stats(g->parent, &st));
    CHECK_EQ(rmap_space_regions(g->parent, r, 4), 2);
    CHECK(rmap_space_member(g->parent) != NULL);
    rmap_space_set_user(g->parent, g);
    CHECK(rmap_space_user(g->parent) == g);
    CHECK_OK(rmap_space_advise(g->parent, 12, 4, RMAP_ADVISE_DONTNEED));
    CHECK_OK(rmap_space_fault(g->parent, 8, RMAP_READ)); /* swap-in: its table is there */
    CHECK_OK(rmap_space_fault(g->parent, 4, RMAP_WRITE)); /* COW, same contents */
    return 0;
}

/* where the slot map has room: else it asks for a chunk, and a reclaim that gets none just frees less */
static int reclaim_quiet(struct stage *g)
{
    CHECK(rmap_reclaim(g->w.p, 4) >= 4);
    return 0;
}

static int destroys_quiet(struct stage *g)
{
    struct rmap_space *s = g->child; /* it is replaced by an equal one afterwards */
    g->child = NULL;
    for (unsigned i = 0; i < g->w.spaces; i++)
        if (g->w.space[i] == s) g->w.space[i] = NULL;
    return rmap_space_destroy(s);
}
static void destroys_undo(struct stage *g)
{
    g->child = space_fork(&g->w, g->parent);
    fill(g->child, 0, 4, 500);
}

static int show(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t e)
{
    (void)m, (void)vpn, (void)e;
    ++*(unsigned *)ctx;
    return 0;
}

static int verbs_quiet(struct stage *g)
{
    struct rmap *r = g->w.r;
    struct rmap_result res;
    struct rmap_stats st;
    unsigned shown = 0;
    struct rmap_page *page = locked_page(g, 5);
    CHECK_OK(rmap_referenced(r, &page, 1, 0, &res));
    CHECK_OK(rmap_write_protect(r, &page, 1, &res));
    CHECK_OK(rmap_each_mapping(r, page, show, &shown, &res));
    CHECK_EQ(shown, 2);
    rmap_pages_sort(&page, 1);
    CHECK_OK(rmap_swap_cache_add(rmap_pager_swap(g->w.p), page)); /* the chunk exists */
    CHECK_OK(rmap_unmap(r, &page, 1, 0, &res));
    CHECK_EQ(res.outcome, RMAP_DONE);
    int wrote;
    CHECK_OK(rmap_swap_write(rmap_pager_swap(g->w.p), &page, 1, &wrote));
    CHECK_EQ(wrote, 0);
    rmap_swp_t entry = page->swap;
    CHECK_OK(rmap_swap_cache_del(rmap_pager_swap(g->w.p), page));
    let_go(g, page);
    CHECK(rmap_swap_cache_find(rmap_pager_swap(g->w.p), entry) == NULL);
    CHECK_OK(rmap_page_alloc(r, RMAP_PFN_NONE, &page));
    rmap_page_lock(page);
    CHECK_OK(rmap_swap_cache_load(rmap_pager_swap(g->w.p), entry, page));
    let_go(g, page);
    CHECK_OK(rmap_protect(rmap_space_member(g->parent), 0, 8, RMAP_PROTECT_NO_WRITE));
    CHECK_OK(rmap_stats_get(r, &st));
    CHECK_EQ(rmap_mapper_class(2), 1);
    return 0;
}

static int pages_quiet(struct stage *g)
{
    struct rmap *r = g->w.r;
    struct rmap_member *m = rmap_space_member(g->parent);
    struct rmap_page *page = page_at(&g->w, g->parent, 6), *fresh;
    struct rmap_group_shape shape;
    CHECK(rmap_page_find(r, rmap_page_pfn(r, page)) == page);
    CHECK(rmap_page_address(r, page) != NULL);
    CHECK(rmap_page_try_get(page));
    CHECK(rmap_page_try_lock(page));
    CHECK(!rmap_page_reuse(m, page)); /* shared */
    CHECK_EQ(rmap_page_set_flags(page, RMAP_PAGE_REFERENCED) & RMAP_PAGE_REFERENCED, 0);
    rmap_page_clear_flags(page, RMAP_PAGE_REFERENCED);
    let_go(g, page);
    CHECK_OK(rmap_page_pin(r, page));
    rmap_page_unpin(r, page);
    CHECK_OK(rmap_verify_page(r, page, NULL));
    CHECK_OK(rmap_page_alloc(r, RMAP_PFN_NONE, &fresh));
    CHECK_OK(rmap_page_map_new(m, fresh, 40)); /* counted, and given back without an entry */
    CHECK_OK(rmap_page_dup(m, &fresh, 1));
    struct rmap_gather gather;
    rmap_gather_init(&gather, r);
    CHECK(rmap_gather_room(&gather, 2));
    rmap_page_unmap(&gather, m, fresh);
    rmap_page_unmap(&gather, m, fresh);
    rmap_gather_flush(&gather, m, 40, 0, RMAP_FLUSH_ALL);
    rmap_gather_flush_now(&gather);
    rmap_gather_finish(&gather);
    rmap_page_put(r, fresh);
    rmap_owner_t owner = rmap_page_owner(page);
    rmap_owner_get(owner);
    rmap_owner_put(owner);
    CHECK(rmap_member_home(m) != 0);
    CHECK(rmap_member_is_candidate(m, page));
    CHECK_OK(rmap_group_get_shape(m, &shape));
    CHECK_EQ(rmap_group_members(m), 2);
    return 0;
}

static int books_quiet(struct stage *g)
{
    struct rmap_pager_stats ps;
    struct rmap_swap_stats ss;
    struct rmap_device_stats ds;
    char text[128];
    CHECK_OK(rmap_pager_get_stats(g->w.p, &ps));
    CHECK_OK(rmap_swap_get_stats(rmap_pager_swap(g->w.p), &ss));
    CHECK_OK(rmap_swap_verify(rmap_pager_swap(g->w.p), text, sizeof text));
    CHECK_OK(rmap_device_get_stats(&g->w.device.base, &ds));
    CHECK(rmap_pager_rmap(g->w.p) == g->w.r);
    CHECK_ERR(rmap_pager_destroy(g->w.p), RMAP_ERR_BUSY);
    CHECK(rmap_radix_root(&rmap_space_member(g->parent)->mmu) != 0);
    CHECK(rmap_radix_peek(&rmap_space_member(g->parent)->mmu, 0) != 0);
    CHECK_OK(rmap_pte_format_check(&rmap_pte_format_soft));
    CHECK_STR(rmap_error_name(0), "RMAP_OK");
    CHECK(rmap_strerror(RMAP_ERR_NOMEM) != NULL);
    CHECK(rmap_alloc_default() != NULL);
    return 0;
}

static int host_quiet(struct stage *g)
{
    struct rmap_host_stats st;
    (void)g;
    CHECK_ERR(rmap_host_fault(NULL, NULL, RMAP_READ), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_host_get_stats(NULL, &st), RMAP_ERR_NULL_ARG);
    rmap_host_drop_all(NULL);
    CHECK_EQ(rmap_memory_resident_bytes(NULL), 0);
    return 0;
}

static const struct verb verbs[] = {
    {"rmap_create rmap_destroy", create, create_undo, true},
    {"rmap_frames_add", frames_add, frames_add_undo, true},
    {"rmap_frames_remove", frames_remove, NULL, true},
    {"rmap_member_init rmap_member_leave", member_init, member_undo, true},
    {"rmap_fork_begin rmap_fork_copy rmap_fork_commit rmap_fork_abort", fork_core, fork_undo, true},
    {"rmap_move", move_core, move_core_undo, true},
    {"rmap_verify", verify, NULL, true},
    {"rmap_radix_create rmap_radix_destroy", radix_create, radix_undo, true},
    {"rmap_radix_provider_init rmap_radix_provider_fini", radix_provider, radix_provider_undo, true},
    {"rmap_host_create rmap_host_destroy rmap_memory_init rmap_memory_fini", host_create, host_undo, true},
    {"rmap_host_provider rmap_host_base", host_window, host_window_undo, true},
    {"rmap_device_temp_create", device_temp, device_undo, true},
    {"rmap_device_file_create rmap_device_destroy", device_file, device_undo, true},
    {"rmap_device_lz4_create", device_lz4, device_undo, true},
    {"rmap_swap_create rmap_swap_destroy", swap_create, swap_undo, true},
    {"rmap_swap_bind rmap_swap_cache_add", cache_add, NULL, true},
    {"rmap_swap_add rmap_swap_get_ops", swap_add, NULL, true},
    {"rmap_pager_create rmap_pager_destroy", pager_create, pager_undo, true},
    {"rmap_pager_add_swap rmap_pager_swap", pager_add, NULL, true},
    {"rmap_pager_verify", pager_verify, NULL, true},
    {"rmap_space_create", space_create, space_undo, true},
    {"rmap_space_fork", space_fork_, space_undo, true},
    {"rmap_space_exec", space_exec, NULL, true},
    {"rmap_space_map", map_far, unmap_far, true},
    {"rmap_space_map", map_populated, unmap_far, true},
    {"rmap_space_unmap", unmap_middle, remap_middle, true},
    {"rmap_space_protect", protect_middle, unprotect_middle, true},
    {"rmap_space_lock", lock_middle, unlock_middle, true},
    {"rmap_space_unlock", unlock_part, NULL, true},
    {"rmap_space_move", move_far, move_back, true},
    {"rmap_space_fault", touch_far, NULL, true},
    {"rmap_space_write", write_far, NULL, true},
    {"rmap_space_read", read_far, NULL, true},

    {"rmap_space_get_stats rmap_space_regions rmap_space_member rmap_space_set_user rmap_space_user rmap_space_advise",
     spaces_quiet, NULL, false},
    {"rmap_reclaim", reclaim_quiet, NULL, false},
    {"rmap_space_destroy", destroys_quiet, destroys_undo, false},
    {"rmap_referenced rmap_write_protect rmap_each_mapping rmap_unmap rmap_pages_sort rmap_protect rmap_stats_get "
     "rmap_mapper_class rmap_swap_write rmap_swap_cache_del rmap_swap_cache_find rmap_swap_cache_load rmap_page_alloc "
     "rmap_page_map_swapin rmap_zap",
     verbs_quiet, NULL, false},
    {"rmap_page_find rmap_page_pfn rmap_page_address rmap_page_get rmap_page_try_get rmap_page_put rmap_page_lock rmap_page_try_lock "
     "rmap_page_unlock rmap_page_reuse rmap_page_set_flags rmap_page_clear_flags rmap_page_pin rmap_page_unpin "
     "rmap_verify_page rmap_page_map_new rmap_page_dup rmap_page_unmap rmap_page_owner rmap_owner_get rmap_owner_put "
     "rmap_gather_init rmap_gather_room rmap_gather_flush rmap_gather_swap rmap_gather_flush_now rmap_gather_finish "
     "rmap_member_home rmap_member_is_candidate rmap_group_get_shape rmap_group_members",
     pages_quiet, NULL, false},
    {"rmap_pager_get_stats rmap_swap_get_stats rmap_swap_verify rmap_device_get_stats rmap_pager_rmap rmap_radix_root "
     "rmap_radix_peek rmap_pte_format_check rmap_error_name rmap_strerror rmap_alloc_default",
     books_quiet, NULL, false},
    {"rmap_host_fault rmap_host_get_stats rmap_host_drop_all rmap_memory_resident_bytes", host_quiet, NULL, false},
    /* They are the allocator: their failures are jemalloc's. */
    {"rmap_alloc_jemalloc_init rmap_alloc_jemalloc_bytes rmap_alloc_jemalloc_fini", NULL, NULL, false},
};
#define VERBS (sizeof verbs / sizeof verbs[0])

/* ---- the loop ---- */

static void arm(struct stage *g, size_t nth, bool forever)
{
    g->w.alloc.fail_at = g->w.alloc.calls + nth;
    g->w.alloc.fail_forever = forever;
    g->w.alloc.failed = 0;
}
static void disarm(struct stage *g)
{
    g->w.alloc.fail_at = 0;
    g->w.alloc.fail_forever = false;
}

/* @return true while the Nth allocation was still one of the verb's. */
static bool fail_nth(const struct verb *v, size_t nth, bool forever)
{
    static struct stage g;
    stage_init(&g);
    prepare(&g, v);
    size_t before = g.w.alloc.live_bytes;
    arm(&g, nth, forever);
    int rc = v->call(&g);
    bool hit = g.w.alloc.failed > 0;
    disarm(&g);
    if (rc) {
        if (rc != RMAP_ERR_NOMEM) TEST_FAIL("%s, allocation %zu: %s", v->names, nth, rmap_error_name(rc));
        CHECK(hit);
        bool tables = v->call == fork_core || v->call == move_core || v->call == move_far || v->call == space_fork_ ||
                      v->call == lock_middle || v->call == map_populated;
        if (!tables && g.w.alloc.live_bytes != before)
            TEST_FAIL("%s, allocation %zu: %zu bytes before, %zu after", v->names, nth, before, g.w.alloc.live_bytes);
        stage_check(&g);
        CHECK_OK(v->call(&g)); /* the retry */
    }
    if (v->undo) v->undo(&g);
    unprepare(&g, v);
    stage_check(&g);
    world_fini(&g.w);
    return hit;
}

static void all_failures(bool forever)
{
    for (size_t i = 0; i < VERBS; i++) {
        if (!verbs[i].allocates) continue;
        size_t nth = 1;
        while (fail_nth(&verbs[i], nth, forever)) CHECK(++nth < 1000);
        fprintf(stderr, "%-60.60s %zu allocations\n", verbs[i].names, nth - 1);
        if (nth == 1) TEST_FAIL("%s is said to allocate and does not", verbs[i].names);
    }
}

RMAP_TEST(alloc_failure, each_allocation_of_each_verb_fails_once) { all_failures(false); }
RMAP_TEST(alloc_failure, each_allocation_of_each_verb_fails_and_all_after_it) { all_failures(true); }

RMAP_TEST(alloc_failure, verbs_that_promise_it_do_not_allocate)
{
    for (size_t i = 0; i < VERBS; i++) {
        if (verbs[i].allocates || !verbs[i].call) continue;
        static struct stage g;
        stage_init(&g);
        size_t calls = g.w.alloc.calls;
        CHECK_OK(verbs[i].call(&g));
        if (g.w.alloc.calls != calls) TEST_FAIL("%s allocates", verbs[i].names);
        if (verbs[i].undo) verbs[i].undo(&g);
        stage_check(&g);
        world_fini(&g.w);
    }
}

/* ---- nobody is forgotten ---- */

static bool in_table(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < VERBS; i++)
        for (const char *at = verbs[i].names; (at = strstr(at, name)); at++)
            if ((at == verbs[i].names || at[-1] == ' ') && (at[n] == ' ' || !at[n])) return true;
    return false;
}

/* Each "RMAP_API … rmap_name(" of a header. @return how many; unknown ones are reported. */
static unsigned check_header(const char *path, unsigned *missing)
{
    static char text[1 << 16];
    FILE *f = fopen(path, "r");
    CHECK(f != NULL);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    unsigned found = 0;
    for (char *at = text; (at = strstr(at, "\nRMAP_API ")); at++) {
        char *paren = strchr(at, '('), *end = strpbrk(at, ";");
        if (!paren || end < paren) continue; /* data */
        char *name = paren;
        while (name[-1] == '_' || (name[-1] >= '0' && name[-1] <= '9') || (name[-1] >= 'a' && name[-1] <= 'z')) name--;
        char saved = *paren;
        *paren = 0;
        found++;
        if (!in_table(name)) ++*missing, fprintf(stderr, "%s: %s has no entry in the table\n", path, name);
        *paren = saved;
    }
    return found;
}

RMAP_TEST(alloc_failure, every_public_function_has_an_entry)
{
    const char *root = getenv("OBJRMAP_SOURCE_ROOT");
    if (!root) TEST_SKIP("OBJRMAP_SOURCE_ROOT is not set");
    char path[4096];
    snprintf(path, sizeof path, "%s/include/objrmap", root);
    DIR *dir = opendir(path);
    CHECK(dir != NULL);
    unsigned found = 0, missing = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/include/objrmap/%s", root, e->d_name);
        found += check_header(path, &missing);
    }
    closedir(dir);
    CHECK(found > 90);
    CHECK_EQ(missing, 0);
}
