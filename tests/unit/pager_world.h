/* SPDX-License-Identifier: MIT */
/**
 * @file unit/pager_world.h  A small pager on soft radix tables; its swap device and allocator can be made to fail.
 *
 *     world_init(&w, 32, 100, 0)     32 frames of 4,096 bytes (one is the zero frame), 100 swap slots, no commit limit
 *     put(s, 7, 70)                  page 7 of the space now says 70, in its first and in its last word
 *     CHECK_EQ(get(s, 7), 70)
 *     world_fini(&w)                 checks the books, destroys everything, checks that no memory is left
 */
#ifndef RMAP_TESTS_UNIT_PAGER_WORLD_H
#define RMAP_TESTS_UNIT_PAGER_WORLD_H

#include "support/counting_alloc.h"
#include "support/faulty_device.h"
#include "support/test.h"

#include <objrmap/pager.h>
#include <objrmap/radix.h>
#include <objrmap/rmap.h>
#include <objrmap/space.h>
#include <objrmap/verify.h>

#define PAGE 4096
#define RW ((unsigned)(RMAP_READ | RMAP_WRITE))
#define RWX ((unsigned)(RMAP_READ | RMAP_WRITE | RMAP_EXEC))
#define MAX_SPACES 128

struct world {
    struct test_alloc alloc;
    struct rmap_mmu_provider provider;
    struct faulty_device device;
    struct rmap_pager *p;
    struct rmap *r;
    struct rmap_space *space[MAX_SPACES]; /* those that fini destroys; NULL: none */
    unsigned spaces;
};

static inline void world_verify(struct world *w)
{
    struct rmap_verify_report report;
    int rc = rmap_pager_verify(w->p, &report);
    if (rc) TEST_FAIL("%s: %s: %s", rmap_error_name(rc), report.invariant ? report.invariant : "?", report.text);
}

static inline struct rmap_pager_options world_options(struct world *w, uint64_t frames, uint64_t commit)
{
    return (struct rmap_pager_options){.struct_size = sizeof(struct rmap_pager_options),
                                       .alloc = &w->alloc.a,
                                       .provider = &w->provider,
                                       .frames = frames,
                                       .page_shift = 12,
                                       .commit_limit = commit};
}

/** With `policy` for all moves. */
static inline void world_init_moves(struct world *w, uint64_t frames, uint64_t slots, uint64_t commit,
                                    enum rmap_move_policy policy)
{
    memset(w, 0, sizeof *w);
    test_alloc_init(&w->alloc);
    struct rmap_radix_options ro = {
        .struct_size = sizeof ro, .geometry = &rmap_radix_soft, .alloc = &w->alloc.a, .caps = RMAP_MMU_NO_TLB};
    CHECK_OK(rmap_radix_provider_init(&ro, &w->provider));
    struct rmap_pager_options po = world_options(w, frames, commit);
    po.move_policy = policy;
    if (slots) {
        faulty_device_init(&w->device, slots, 12);
        po.swap = &w->device.base;
    }
    CHECK_OK(rmap_pager_create(&po, &w->p));
    w->r = rmap_pager_rmap(w->p);
}

static inline void world_init(struct world *w, uint64_t frames, uint64_t slots, uint64_t commit)
{
    world_init_moves(w, frames, slots, commit, RMAP_MOVE_POLICY_COPY);
}

/** The statement is done under COPY, then under TRACK. */
#define EACH_POLICY(policy)                                                                                            \
    for (enum rmap_move_policy policy = RMAP_MOVE_POLICY_COPY; policy <= RMAP_MOVE_POLICY_TRACK; policy++)

static inline struct rmap_space *world_keep(struct world *w, struct rmap_space *s)
{
    CHECK(w->spaces < MAX_SPACES);
    return w->space[w->spaces++] = s;
}

static inline struct rmap_space *space_new(struct world *w)
{
    struct rmap_space *s = NULL;
    CHECK_OK(rmap_space_create(w->p, &s));
    return world_keep(w, s);
}

static inline struct rmap_space *space_fork(struct world *w, struct rmap_space *parent)
{
    struct rmap_space *s = NULL;
    CHECK_OK(rmap_space_fork(parent, &s));
    return world_keep(w, s);
}

static inline void space_end(struct world *w, struct rmap_space *s)
{
    for (unsigned i = 0; i < w->spaces; i++)
        if (w->space[i] == s) w->space[i] = NULL;
    CHECK_OK(rmap_space_destroy(s));
}

static inline void world_fini(struct world *w)
{
    world_verify(w);
    for (unsigned i = 0; i < w->spaces; i++)
        if (w->space[i]) CHECK_OK(rmap_space_destroy(w->space[i]));
    world_verify(w);
    struct rmap_swap_stats ss;
    if (rmap_pager_swap(w->p)) {
        CHECK_OK(rmap_swap_get_stats(rmap_pager_swap(w->p), &ss));
        CHECK_EQ(ss.slots_used, 0);
    }
    CHECK_OK(rmap_pager_destroy(w->p));
    rmap_radix_provider_fini(&w->provider);
    CHECK_EQ(w->alloc.live_blocks, 0);
    CHECK_EQ(w->alloc.live_bytes, 0);
}

static inline void map_at(struct rmap_space *s, rmap_vpn_t first, uint64_t count, unsigned prot)
{
    CHECK_OK(rmap_space_map(s, &first, count, prot, RMAP_MAP_FIXED | RMAP_MAP_NOREPLACE));
}

static inline int try_put(struct rmap_space *s, rmap_vpn_t vpn, uint64_t value)
{
    int rc = rmap_space_write(s, vpn * PAGE, &value, sizeof value, NULL);
    return rc ? rc : rmap_space_write(s, vpn * PAGE + PAGE - sizeof value, &value, sizeof value, NULL);
}

static inline void put(struct rmap_space *s, rmap_vpn_t vpn, uint64_t value)
{
    CHECK_OK(try_put(s, vpn, value));
}

static inline uint64_t get(struct rmap_space *s, rmap_vpn_t vpn)
{
    uint64_t first = 0, last = 0;
    CHECK_OK(rmap_space_read(s, vpn * PAGE, &first, sizeof first, NULL));
    CHECK_OK(rmap_space_read(s, vpn * PAGE + PAGE - sizeof last, &last, sizeof last, NULL));
    CHECK_EQ(first, last);
    return first;
}

/** Pages first, first + 1 … say base, base + 1 … */
static inline void fill(struct rmap_space *s, rmap_vpn_t first, uint64_t count, uint64_t base)
{
    for (uint64_t i = 0; i < count; i++) put(s, first + i, base + i);
}
static inline void expect(struct rmap_space *s, rmap_vpn_t first, uint64_t count, uint64_t base)
{
    for (uint64_t i = 0; i < count; i++) CHECK_EQ(get(s, first + i), base + i);
}

static inline rmap_pte_t entry(struct rmap_space *s, rmap_vpn_t vpn)
{
    return rmap_radix_peek(&rmap_space_member(s)->mmu, vpn);
}
static inline enum rmap_pte_kind kind(struct rmap_space *s, rmap_vpn_t vpn)
{
    return rmap_pte_kind(&rmap_pte_format_soft, entry(s, vpn));
}
static inline bool attr(struct rmap_space *s, rmap_vpn_t vpn, enum rmap_pte_attr a)
{
    return kind(s, vpn) != RMAP_PTE_NONE && rmap_pte_get(&rmap_pte_format_soft, entry(s, vpn), a);
}
/** Replace an entry behind everybody's back; the table is there. @return the one before. */
static inline rmap_pte_t poke(struct rmap_space *s, rmap_vpn_t vpn, rmap_pte_t e)
{
    const struct rmap_mmu *mmu = &rmap_space_member(s)->mmu;
    struct rmap_mmu_run run;
    CHECK_OK(mmu->ops->run_find(mmu->ctx, vpn, vpn + 1, &run));
    const rmap_pte_t before = rmap_run_exchange(mmu, &run, (uint32_t)(vpn - run.first), e);
    mmu->ops->run_unlock(mmu->ctx, &run);
    return before;
}
/** Descriptor of the page that is mapped there; NULL if none is. */
static inline struct rmap_page *page_at(struct world *w, struct rmap_space *s, rmap_vpn_t vpn)
{
    rmap_pte_t e = entry(s, vpn);
    return rmap_pte_maps(&rmap_pte_format_soft, e) ? rmap_page_find(w->r, rmap_pte_pfn(&rmap_pte_format_soft, e))
                                                   : NULL;
}

static inline struct rmap_pager_stats stats(struct world *w)
{
    struct rmap_pager_stats st;
    CHECK_OK(rmap_pager_get_stats(w->p, &st));
    return st;
}
static inline struct rmap_space_stats space_stats(struct rmap_space *s)
{
    struct rmap_space_stats st;
    CHECK_OK(rmap_space_get_stats(s, &st));
    return st;
}
static inline struct rmap_swap_stats swap_stats(struct world *w)
{
    struct rmap_swap_stats st;
    CHECK_OK(rmap_swap_get_stats(rmap_pager_swap(w->p), &st));
    return st;
}

/** Evict all that can be evicted. */
static inline void evict_all(struct world *w)
{
    for (int64_t freed = 1; freed > 0;) {
        freed = rmap_reclaim(w->p, 1 << 20);
        CHECK(freed >= 0);
    }
}

#endif
