/* SPDX-License-Identifier: MIT */
/** @file fuzz/options_mmu.c  Radix and host MMUs and frame memory, made with odd options, and used where they were made. */
#include "fuzz/options.h"
#include "support/no_frames.h"

#include <objrmap/group.h>
#include <objrmap/host.h>
#include <objrmap/instance.h>
#include <objrmap/memory.h>
#include <objrmap/radix.h>

/* ---- radix ---- */

static void *table_alloc(void *ctx, size_t bytes)
{
    struct options_memory *m = ctx;
    return m->capped.alloc(m->capped.ctx, bytes, bytes);
}
static void table_free(void *ctx, void *table, size_t bytes)
{
    struct options_memory *m = ctx;
    m->capped.free(m->capped.ctx, table, bytes, bytes);
}
static uint64_t to_phys(void *ctx, void *table)
{
    (void)ctx;
    return (uintptr_t)table;
}
static void *to_ptr(void *ctx, uint64_t phys)
{
    (void)ctx;
    return (void *)(uintptr_t)phys;
}

static void geometry_of(struct fuzz *f, struct rmap_radix_geometry *g, struct rmap_pte_format *format)
{
    static const struct rmap_radix_geometry *const all[] = {
        &rmap_radix_soft,       &rmap_radix_x86_64,      &rmap_radix_sv39,       &rmap_radix_sv48,
        &rmap_radix_aarch64_4k, &rmap_radix_aarch64_16k, &rmap_radix_aarch64_64k};
    *g = *all[fuzz_below(f, sizeof all / sizeof *all)];
    *format = *g->format;
    g->format = format;
    for (unsigned i = fuzz_below(f, 4); i > 0; i--) switch (fuzz_below(f, 8)) {
        case 0:
            g->levels = options_odd(f) ? (unsigned)fuzz_word(f) : fuzz_below(f, 7);
            break;
        case 1:
        case 2:
            g->bits[fuzz_below(f, 5)] = options_odd(f) ? (unsigned)fuzz_word(f) : fuzz_below(f, 18);
            break;
        case 3:
            g->table_present ^= (uint64_t)1 << fuzz_below(f, 64);
            break;
        case 4:
            g->table_mask ^= (uint64_t)1 << fuzz_below(f, 64);
            break;
        case 5:
            g->lock_bit = options_odd(f) ? fuzz_word(f) : g->lock_bit ^ (uint64_t)1 << fuzz_below(f, 64);
            break;
        case 6:
            format->payload_shift = (unsigned)options_number(f, format->payload_shift);
            format->payload_bits = (unsigned)options_number(f, format->payload_bits);
            break;
        default:
            format->page_shift = (unsigned)options_number(f, format->page_shift);
        }
}

/* As radix.h says it: what is left of the spoilt ones. */
static bool geometry_is_sound(const struct rmap_radix_geometry *g)
{
    const struct rmap_pte_format *format = g->format;
    unsigned bits = 0, locks = 0;
    if (rmap_pte_format_check(format) || g->levels < 1 || g->levels > 5) return false;
    for (unsigned i = 0; i < g->levels; i++) {
        if (g->bits[i] < 1 || g->bits[i] > 15) return false;
        bits += g->bits[i];
    }
    if (bits > RMAP_VPN_BITS) return false;
    if (g->levels == 1) return true;
    for (unsigned i = 0; i < 64; i++) locks += g->lock_bit >> i & 1;
    const uint64_t payload = rmap_pte_payload_mask(format);
    return (g->table_present & g->table_mask) == g->table_present && (g->table_present & format->present_mask) &&
           !(g->table_mask & payload) && !(g->lock_bit & (payload | g->table_mask | format->present_mask)) &&
           locks << 9 >= 1u << g->bits[0];
}

/* A few entries, at the ends and where the input says: each must be there afterwards, and alone. */
static void use_mmu(struct fuzz *f, struct options_memory *m, const struct rmap_mmu *mmu, bool may_peek)
{
    const rmap_vpn_t at[] = {0, mmu->pages - 1, fuzz_word(f) % mmu->pages, mmu->pages};
    const struct rmap_pte_format *format = mmu->ops->format;
    for (unsigned i = 0; i < 3; i++) {
        const rmap_vpn_t v = at[fuzz_below(f, 4)];
        struct rmap_tables t = {0};
        struct rmap_mmu_run run;
        int rc = mmu->ops->reserve(mmu->ctx, v, &t);
        const bool refused = options_memory_refused(m);
        CHECK(!rc || (rc == RMAP_ERR_NOMEM && refused) || rc == RMAP_ERR_RANGE);
        CHECK_EQ(rc == RMAP_ERR_RANGE, v >= mmu->pages);
        if (rc) continue;
        CHECK_OK(mmu->ops->run_make(mmu->ctx, v, &t, &run));
        CHECK(run.first <= v && v - run.first < run.count && run.count <= RMAP_RUN_MAX);
        rmap_pte_t e = rmap_pte_make_kind(format, RMAP_PTE_SWAP, i + 1, 0);
        rmap_run_set(mmu, &run, (uint32_t)(v - run.first), e);
        mmu->ops->run_unlock(mmu->ctx, &run);
        mmu->ops->unreserve(mmu->ctx, &t);
        if (may_peek) CHECK_EQ(rmap_radix_peek(mmu, v), e);

        CHECK_OK(mmu->ops->run_find(mmu->ctx, v, v + 1, &run));
        CHECK_EQ(rmap_run_exchange(mmu, &run, (uint32_t)(v - run.first), 0), e);
        mmu->ops->run_unlock(mmu->ctx, &run);
        if (mmu->ops->trim) mmu->ops->trim(mmu->ctx, 0, mmu->pages);
    }
}

void options_of_radix(struct fuzz *f, struct options_memory *m)
{
    struct rmap_radix_geometry g;
    struct rmap_pte_format format;
    geometry_of(f, &g, &format);
    /* Where a table's address does not fit into the payload the embedder's hooks would lie: not what is tried here. */
    const bool addresses_fit = format.payload_bits + (uint64_t)format.page_shift >= 48;
    const struct rmap_radix_table_ops tables = {.struct_size = options_struct_size(f, sizeof tables),
                                                .alloc = options_odd(f) ? NULL : table_alloc,
                                                .free = options_odd(f) ? NULL : table_free,
                                                .to_phys = options_odd(f) ? NULL : to_phys,
                                                .to_ptr = options_odd(f) ? NULL : to_ptr};
    const struct rmap_radix_options o = {.struct_size = options_struct_size(f, sizeof o),
                                         .geometry = options_odd(f) ? NULL : &g,
                                         .alloc = options_alloc(f, m),
                                         .tables = fuzz_below(f, 2) ? &tables : NULL,
                                         .tables_ctx = m,
                                         .caps = options_odd(f) ? (unsigned)fuzz_word(f) : fuzz_below(f, 8)};
    if (!o.alloc && (g.bits[g.levels - 1 < 5 ? g.levels - 1 : 0] > 24))
        return; /* gigabytes, from nobody who counts them */
    struct rmap_mmu mmu = {.pages = 77};
    struct rmap_mmu_provider p = {.ctx = f};
    const uint64_t allowed = OPTIONS_COMMON | OPTIONS_BIT(RMAP_ERR_INVALID);
    const bool tables_sound =
        tables.struct_size == sizeof tables && tables.alloc && tables.free && tables.to_phys && tables.to_ptr;
    int rc = rmap_radix_provider_init(&o, &p);
    OPTIONS_SOUND(rc, o.struct_size == sizeof o && o.geometry && geometry_is_sound(&g) &&
                          options_alloc_is_sound(o.alloc) && (!o.tables || tables_sound) && o.caps < 8);
    if (!OPTIONS_ANSWER(m, rc, allowed, 0)) CHECK_EQ(p.ctx, f);
    const size_t blocks = m->counting.live_blocks;
    int again = rmap_radix_create(&o, &mmu);
    if (!addresses_fit)
        options_memory_elsewhere(m); /* a table that no entry could lead to is given back, and is no memory */
    if (!OPTIONS_ANSWER(m, again, allowed, blocks)) CHECK_EQ(mmu.pages, 77);
    if (!again) {
        m->counting.fail_at = 0;
        if (addresses_fit) use_mmu(f, m, &mmu, true);
        rmap_radix_destroy(&mmu);
    }
    if (!rc) rmap_radix_provider_fini(&p);
}

/* ---- members, which are given an MMU ---- */

void options_of_member(struct fuzz *f, struct options_memory *m)
{
    const struct rmap_frame_ops frames = {
        .struct_size = sizeof frames, .alloc = no_frame, .free = free_frame, .copy = copy_frame};
    const struct rmap_options o = {.struct_size = sizeof o, .alloc = &m->capped, .frames = &frames};
    struct rmap_radix_geometry g;
    struct rmap_pte_format format;
    struct rmap *r;
    struct rmap_mmu whole;
    struct rmap_member member;
    CHECK_OK(rmap_create(&o, &r));
    const struct rmap_radix_options radix = {
        .struct_size = sizeof radix, .geometry = &rmap_radix_soft, .alloc = &m->capped, .caps = RMAP_MMU_NO_TLB};
    CHECK_OK(rmap_radix_create(&radix, &whole));
    geometry_of(f, &g, &format);
    struct rmap_mmu_ops ops = *whole.ops;
    struct rmap_mmu mmu = {
        .ops = options_odd(f) ? NULL : &ops, .ctx = whole.ctx, .pages = options_number(f, whole.pages)};
    ops.struct_size = options_struct_size(f, sizeof ops);
    ops.format = options_odd(f) ? NULL : &format;
    const bool sound = !rmap_pte_format_check(&format);
    const size_t blocks = m->counting.live_blocks;
    memset(&member, 0, sizeof member);
    if (options_odd(f)) m->counting.fail_at = m->counting.calls + 1 + fuzz_below(f, 4);
    const bool given = !options_odd(f);
    int rc = rmap_member_init(r, &member, given ? &mmu : NULL);
    m->counting.fail_at = 0;
    OPTIONS_SOUND(rc, given && mmu.ops && ops.format && sound && mmu.pages && mmu.pages <= RMAP_VPN_MAX &&
                          ops.struct_size == sizeof ops);
    if (OPTIONS_ANSWER(m, rc, OPTIONS_COMMON | OPTIONS_BIT(RMAP_ERR_INVALID), blocks)) {
        CHECK_ERR(rmap_member_init(r, &member, &mmu), RMAP_ERR_EXISTS);
        CHECK_OK(rmap_member_leave(&member));
    }
    CHECK_ERR(rmap_member_leave(&member), RMAP_ERR_DEAD);
    rmap_radix_destroy(&whole);
    CHECK_OK(rmap_destroy(r));
}

/* ---- frame memory ---- */

void options_of_memory(struct fuzz *f, struct options_memory *m)
{
    const uint64_t frames = options_number(f, 1 + fuzz_below(f, 100));
    const unsigned shift = (unsigned)options_number(f, 12 + fuzz_below(f, 5));
    struct rmap_memory memory = {.fd = -7};
    (void)m;
    const bool given = !options_odd(f);
    int rc = rmap_memory_init(given ? &memory : NULL, frames, shift);
    OPTIONS_SOUND(rc, given && shift >= 12 && shift <= 16 && frames && frames <= (uint64_t)PTRDIFF_MAX >> shift);
    const uint64_t allowed = OPTIONS_BIT(RMAP_ERR_NULL_ARG) | OPTIONS_BIT(RMAP_ERR_RANGE) |
                             OPTIONS_BIT(RMAP_ERR_INVALID) | OPTIONS_BIT(RMAP_ERR_SYSTEM);
    if (!OPTIONS_ANSWER(m, rc, allowed, 0)) {
        CHECK_EQ(memory.fd, -7);
        return;
    }
    CHECK_EQ(memory.frames, frames);
    memory.view[0] = 1;
    memory.view[(frames << shift) - 1] = 2;
    CHECK_LE(rmap_memory_resident_bytes(&memory), UINT64_C(1) << 22);
    rmap_memory_fini(&memory);
    CHECK_EQ(rmap_memory_resident_bytes(&memory), 0);
}

/* ---- host ---- */

static int no_fault(void *ctx, rmap_vpn_t vpn, unsigned access)
{
    (void)ctx;
    (void)vpn;
    (void)access;
    return RMAP_ERR_ABSENT;
}

static void use_host(struct fuzz *f, struct options_memory *m, struct rmap_host *host, uint64_t window_pages,
                     bool counted)
{
    const struct rmap_mmu_provider p = rmap_host_provider(host);
    const struct rmap_mmu_client client = {.fault = no_fault};
    struct rmap_mmu mmu;
    int rc = p.create(p.ctx, &client, &mmu);
    const bool refused = options_memory_refused(m); /* the least limit of mappings has room for one window */
    CHECK(!rc || (rc == RMAP_ERR_NOMEM && refused) || rc == RMAP_ERR_SYSTEM);
    if (rc) return;
    CHECK_EQ(mmu.pages, window_pages);
    CHECK_ERR(rmap_host_destroy(host), RMAP_ERR_BUSY);
    if (counted) use_mmu(f, m, &mmu, false);
    unsigned char *base = rmap_host_base(&mmu);
    CHECK_ERR(rmap_host_fault(host, base + fuzz_below(f, 4096), RMAP_READ), RMAP_ERR_ABSENT);
    CHECK_ERR(rmap_host_fault(host, base - 1, RMAP_WRITE), RMAP_ERR_ABSENT);
    rmap_host_drop_all(host);
    p.destroy(p.ctx, &mmu);
}

void options_of_host(struct fuzz *f, struct options_memory *m)
{
    struct rmap_memory memory, gone = {.fd = -1};
    CHECK_OK(rmap_memory_init(&memory, 4, 12 + fuzz_below(f, 5)));
    const struct rmap_host_options o = {
        .struct_size = options_struct_size(f, sizeof o),
        .memory = options_odd(f)   ? NULL
                  : options_odd(f) ? &gone
                                   : &memory,
        .alloc = options_alloc(f, m),
        .window_pages = options_number(f, 64),
        .vma_limit = options_number(f, 0),
    };
    struct rmap_host *const nobody = (struct rmap_host *)(void *)m, *host = nobody;
    int rc = rmap_host_create(&o, &host);
    OPTIONS_SOUND(rc, o.struct_size == sizeof o && o.memory == &memory && options_alloc_is_sound(o.alloc) &&
                          o.window_pages && o.window_pages <= 1 << 27 && (!o.vma_limit || o.vma_limit >= 16));
    if (OPTIONS_ANSWER(m, rc, OPTIONS_COMMON | OPTIONS_BIT(RMAP_ERR_RANGE), 0)) {
        m->counting.fail_at = 0;
        use_host(f, m, host, o.window_pages, o.alloc != NULL);
        CHECK_OK(rmap_host_destroy(host));
    } else {
        CHECK_EQ(host, nobody);
    }
    rmap_memory_fini(&memory);
}
