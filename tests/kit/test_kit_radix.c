/* SPDX-License-Identifier: MIT */
/**
 * @file kit/test_kit_radix.c  The conformance kit on radix tables: every geometry and format, tables in ordinary and in
 * guest memory, walked without a lock by a processor with and without a TLB.
 */
#include "kit/kit_check.h"
#include "kit/tlb.h"
#include "unit/radix_world.h"

struct space {
    struct rmap_mmu mmu;
    struct tlb tlb;
    bool open, active;
    struct world *w;
};

struct machine {
    struct world w;
    struct space space[4];
};

static void flush(void *ctx, const struct rmap_flush_range *ranges, size_t n)
{
    tlb_flush(&((struct space *)ctx)->tlb, ranges, n);
}
static bool active(void *ctx)
{
    return ((struct space *)ctx)->active;
}

static int space_create(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    struct machine *m = ctx;
    struct space *s = m->space;
    (void)client;
    while (s->open) s++;
    struct rmap_radix_options o = m->w.options;
    if (!(o.caps & RMAP_MMU_NO_TLB)) o.flush = flush, o.active = active;
    o.flush_ctx = s;
    const int error = rmap_radix_create(&o, out);
    if (error) return error;
    s->mmu = *out;
    s->open = s->active = true;
    s->w = &m->w;
    tlb_init(&s->tlb);
    return 0;
}

static struct space *space_of(struct machine *m, const struct rmap_mmu *mmu)
{
    struct space *s = m->space;
    while (s->mmu.ctx != mmu->ctx) s++;
    return s;
}

static void space_destroy(void *ctx, struct rmap_mmu *mmu)
{
    struct space *s = space_of(ctx, mmu);
    rmap_radix_destroy(mmu);
    s->open = false;
    s->mmu.ctx = NULL;
}

/* As a hardware walker goes: from the root, by physical addresses, without a lock. */
static rmap_pte_t *walk(void *ctx, rmap_vpn_t vpn)
{
    struct space *s = ctx;
    const struct rmap_radix_geometry *g = s->w->g;
    uint64_t *table = words_at(s->w, rmap_radix_root(&s->mmu));
    unsigned shift = 0;
    for (unsigned level = 0; level < g->levels; level++) shift += g->bits[level];
    for (unsigned level = g->levels - 1;; level--) {
        shift -= g->bits[level];
        uint64_t *word = &table[vpn >> shift & (((uint64_t)1 << g->bits[level]) - 1)];
        if (level == 0) return word;
        const uint64_t e = __atomic_load_n(word, __ATOMIC_ACQUIRE);
        if ((e & g->table_mask) != g->table_present) return NULL;
        table = words_at(s->w, rmap_pte_pfn(g->format, e) << g->format->page_shift);
    }
}

static int touch_page(void *ctx, const struct rmap_mmu *mmu, rmap_vpn_t vpn, unsigned access, rmap_pfn_t *pfn)
{
    struct machine *m = ctx;
    struct space *s = space_of(m, mmu);
    return tlb_access(m->w.options.caps & RMAP_MMU_NO_TLB ? NULL : &s->tlb, m->w.g->format, vpn, access, walk, s, pfn);
}

static void fail_tables(void *ctx, uint64_t after)
{
    struct machine *m = ctx;
    const bool never = after == RMAP_TESTING_NEVER;
    m->w.alloc.fail_at = never || m->w.in_guest ? 0 : m->w.alloc.calls + after + 1;
    m->w.alloc.fail_forever = !never;
    m->w.guest.fail_at = never ? 0 : m->w.guest.calls + after + 1;
}

static void set_active(void *ctx, const struct rmap_mmu *mmu, bool on)
{
    struct space *s = space_of(ctx, mmu);
    if (!on) tlb_clear(&s->tlb);
    s->active = on;
}

static void keeps_every_rule(const struct rmap_radix_geometry *g, bool in_guest, unsigned caps, const char *skipped)
{
    static struct machine m;
    memset(&m, 0, sizeof m);
    world_prepare(&m.w, g, in_guest);
    m.w.options.caps = caps;
    const struct rmap_mmu_provider provider = {
        .struct_size = sizeof provider, .ctx = &m, .create = space_create, .destroy = space_destroy};
    const struct rmap_testing_mmu t = {.struct_size = sizeof t,
                                       .provider = &provider,
                                       .first_frame = 77,
                                       .frames = 64,
                                       .flags = RMAP_TESTING_THREADS,
                                       .ctx = &m,
                                       .touch = touch_page,
                                       .fail_tables = fail_tables,
                                       .set_active = set_active};
    kit_check_passes(&t, g->name, skipped);
    CHECK_EQ(m.w.alloc.live_blocks, 0);
    CHECK_EQ(m.w.guest.live, 0);
    if (in_guest) munmap(m.w.guest.memory, GUEST_BYTES);
}

/* A table of one level has nothing to allocate. */
static const char *skips(const struct rmap_radix_geometry *g, const char *several_levels, const char *one_level)
{
    return g->levels == 1 ? one_level : several_levels;
}

RMAP_TEST(kit_radix, every_geometry_without_a_tlb)
{
#define NO_TLB_SKIPS                                                                                                   \
    "update-changes-nothing flush-takes-no-run-lock flush-forgets flush-write flush-forgets-dirty accessed-exact "     \
    "accessed-comes-back "                                                                                             \
    "inactive-caches-nothing "
    for (unsigned i = 0; i < GEOMETRIES; i++)
        keeps_every_rule(geometries[i], true, RMAP_MMU_NO_TLB,
                         skips(geometries[i], NO_TLB_SKIPS, "reserve-fails-cleanly " NO_TLB_SKIPS));
}

RMAP_TEST(kit_radix, every_geometry_with_a_tlb)
{
#define TLB_SKIPS "update-changes-nothing no-tlb-means-none "
    for (unsigned i = 0; i < GEOMETRIES; i++)
        keeps_every_rule(geometries[i], false, RMAP_MMU_ACCESSED_NEEDS_FLUSH | RMAP_MMU_ACCESSED_EXACT,
                         skips(geometries[i], TLB_SKIPS, "reserve-fails-cleanly " TLB_SKIPS));
}
