/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_holes.c  H5: a table of functions in which one that is required is missing is refused, whichever it is.
 *
 * Each member is taken out alone; then the whole table is taken as it is.
 */
#include "support/counting_alloc.h"
#include "support/faulty_device.h"
#include "support/no_frames.h"
#include "support/test.h"

#include <objrmap/host.h>
#include <objrmap/instance.h>
#include <objrmap/memory.h>
#include <objrmap/pager.h>
#include <objrmap/radix.h>
#include <objrmap/swapmap.h>

#define HOLE(member, call)                                                                                             \
    do {                                                                                                               \
        const __typeof__(member) whole = (member);                                                                     \
        (member) = NULL;                                                                                               \
        CHECK_ERR(call, RMAP_ERR_NULL_ARG);                                                                            \
        (member) = whole;                                                                                              \
    } while (0)

RMAP_TEST(holes, in_what_an_instance_is_made_of)
{
    struct test_alloc t;
    test_alloc_init(&t);
    struct rmap *r;
    struct rmap_frame_ops frames = {
        .struct_size = sizeof frames, .alloc = no_frame, .free = free_frame, .copy = copy_frame};
    struct rmap_swap_ops swap = *rmap_swap_get_ops();
    struct rmap_options o = {.struct_size = sizeof o, .alloc = &t.a, .frames = &frames, .swap = &swap};
    HOLE(o.frames, rmap_create(&o, &r));
    HOLE(frames.alloc, rmap_create(&o, &r));
    HOLE(frames.free, rmap_create(&o, &r));
    HOLE(frames.copy, rmap_create(&o, &r));
    HOLE(t.a.alloc, rmap_create(&o, &r));
    HOLE(t.a.free, rmap_create(&o, &r));
    HOLE(swap.dup, rmap_create(&o, &r));
    HOLE(swap.put, rmap_create(&o, &r));
    HOLE(swap.count, rmap_create(&o, &r));
    HOLE(swap.get_home, rmap_create(&o, &r));
    HOLE(swap.set_home, rmap_create(&o, &r));
    HOLE(swap.forget, rmap_create(&o, &r));
    swap.replace = NULL; /* this one may be */
    CHECK_OK(rmap_create(&o, &r));
    CHECK_OK(rmap_destroy(r));
    CHECK_EQ(t.live_blocks, 0);
}

RMAP_TEST(holes, in_a_swap_map_and_its_device)
{
    struct test_alloc t;
    test_alloc_init(&t);
    struct rmap_swap *s = NULL;
    struct rmap_swap_options o = {.struct_size = sizeof o, .alloc = &t.a, .page_shift = 12};
    HOLE(t.a.alloc, rmap_swap_create(&o, &s));
    HOLE(t.a.free, rmap_swap_create(&o, &s));
    CHECK_EQ(s, NULL);
    CHECK_OK(rmap_swap_create(&o, &s));

    struct rmap_device *supplied = NULL;
    HOLE(t.a.alloc, rmap_device_temp_create(&t.a, NULL, 10, 12, &supplied));
    HOLE(t.a.free, rmap_device_temp_create(&t.a, NULL, 10, 12, &supplied));
    HOLE(t.a.alloc, rmap_device_file_create(&t.a, -1, false, 10, 12, &supplied));
    HOLE(t.a.free, rmap_device_file_create(&t.a, -1, false, 10, 12, &supplied));
    HOLE(t.a.alloc, rmap_device_lz4_create(&t.a, 10, 12, 0, &supplied)); /* UNSUPPORTED or not */
    HOLE(t.a.free, rmap_device_lz4_create(&t.a, 10, 12, 0, &supplied));
    CHECK_EQ(supplied, NULL);

    struct faulty_device d;
    faulty_device_init(&d, 10, 12);
    struct rmap_device_ops ops = *d.base.ops;
    d.base.ops = &ops;
    HOLE(d.base.ops, rmap_swap_add(s, &d.base));
    HOLE(ops.write, rmap_swap_add(s, &d.base));
    HOLE(ops.read, rmap_swap_add(s, &d.base));
    HOLE(ops.get_stats, rmap_swap_add(s, &d.base));
    HOLE(ops.destroy, rmap_swap_add(s, &d.base));
    ops.discard = NULL; /* this one may be */
    CHECK_OK(rmap_swap_add(s, &d.base));
    CHECK_OK(rmap_swap_destroy(s));
    CHECK_EQ(t.live_blocks, 0);
}

static void *table_alloc(void *ctx, size_t bytes)
{
    (void)ctx, (void)bytes;
    return NULL;
}
static void table_free(void *ctx, void *table, size_t bytes)
{
    (void)ctx, (void)table, (void)bytes;
}
static uint64_t to_phys(void *ctx, void *table)
{
    (void)ctx;
    return (uintptr_t)table;
}
static void *to_ptr(void *ctx, uint64_t phys)
{
    (void)ctx, (void)phys;
    return NULL;
}

RMAP_TEST(holes, in_radix_tables)
{
    struct test_alloc t;
    test_alloc_init(&t);
    struct rmap_mmu_provider p;
    struct rmap_radix_table_ops tables = {
        .struct_size = sizeof tables, .alloc = table_alloc, .free = table_free, .to_phys = to_phys, .to_ptr = to_ptr};
    struct rmap_radix_options o = {.struct_size = sizeof o,
                                   .geometry = &rmap_radix_soft,
                                   .alloc = &t.a,
                                   .tables = &tables,
                                   .caps = RMAP_MMU_NO_TLB};
    HOLE(o.geometry, rmap_radix_provider_init(&o, &p));
    HOLE(t.a.alloc, rmap_radix_provider_init(&o, &p));
    HOLE(t.a.free, rmap_radix_provider_init(&o, &p));
    HOLE(tables.alloc, rmap_radix_provider_init(&o, &p));
    HOLE(tables.free, rmap_radix_provider_init(&o, &p));
    HOLE(tables.to_phys, rmap_radix_provider_init(&o, &p));
    HOLE(tables.to_ptr, rmap_radix_provider_init(&o, &p));
    CHECK_OK(rmap_radix_provider_init(&o, &p));
    rmap_radix_provider_fini(&p);
    CHECK_EQ(t.live_blocks, 0);
}

RMAP_TEST(holes, in_what_a_host_mmu_and_a_pager_are_made_of)
{
    struct test_alloc t;
    test_alloc_init(&t);
    struct rmap_memory memory;
    struct rmap_host *host;
    struct rmap_pager *pager;
    CHECK_OK(rmap_memory_init(&memory, 32, 12));
    struct rmap_host_options ho = {.struct_size = sizeof ho, .memory = &memory, .alloc = &t.a, .window_pages = 64};
    HOLE(ho.memory, rmap_host_create(&ho, &host));
    HOLE(memory.view, rmap_host_create(&ho, &host));
    HOLE(t.a.alloc, rmap_host_create(&ho, &host));
    HOLE(t.a.free, rmap_host_create(&ho, &host));
    CHECK_OK(rmap_host_create(&ho, &host));

    struct rmap_mmu_provider provider = rmap_host_provider(host);
    struct rmap_pager_options po = {.struct_size = sizeof po,
                                    .alloc = &t.a,
                                    .provider = &provider,
                                    .memory = &memory,
                                    .frames = 32,
                                    .page_shift = 12};
    HOLE(po.provider, rmap_pager_create(&po, &pager));
    HOLE(provider.create, rmap_pager_create(&po, &pager));
    HOLE(provider.destroy, rmap_pager_create(&po, &pager));
    HOLE(t.a.alloc, rmap_pager_create(&po, &pager));
    HOLE(t.a.free, rmap_pager_create(&po, &pager));
    po.memory = NULL; /* the provider shows no frames but this memory's */
    CHECK_ERR(rmap_pager_create(&po, &pager), RMAP_ERR_INVALID);
    po.memory = &memory;
    po.move_policy = (enum rmap_move_policy)7;
    CHECK_ERR(rmap_pager_create(&po, &pager), RMAP_ERR_INVALID);
    po.move_policy = RMAP_MOVE_POLICY_COPY;
    CHECK_OK(rmap_pager_create(&po, &pager));
    CHECK_OK(rmap_pager_destroy(pager));
    CHECK_OK(rmap_host_destroy(host));
    rmap_memory_fini(&memory);
    CHECK_EQ(t.live_blocks, 0);
}
