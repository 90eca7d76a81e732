/* SPDX-License-Identifier: MIT */
/** @file kit/test_kit_opaque.c  The conformance kit on an MMU whose entries are not in memory. */
#include "kit/kit_check.h"
#include "kit/opaque_mmu.h"

#define LOOKS "peek-agrees peek-takes-no-lock peek-stays-valid run-lock-excludes " /* there is nothing in memory to look into */

static void passes_with(unsigned caps, const char *skipped)
{
    struct opaque_device device;
    opaque_device_init(&device, caps);
    const struct rmap_mmu_provider provider = {
        .struct_size = sizeof provider, .ctx = &device, .create = opaque_create, .destroy = opaque_destroy};
    const struct rmap_testing_mmu t = {.struct_size = sizeof t,
                                       .provider = &provider,
                                       .first_frame = 1000,
                                       .frames = 64,
                                       .flags = RMAP_TESTING_THREADS,
                                       .ctx = &device,
                                       .touch = opaque_touch,
                                       .fail_tables = opaque_fail_tables,
                                       .set_active = opaque_set_active};
    kit_check_passes(&t, "opaque", skipped);
    CHECK_EQ(device.blocks, 0); /* nothing is left */
}

RMAP_TEST(kit_opaque, an_mmu_without_slots_keeps_every_rule)
{
    passes_with(RMAP_MMU_ACCESSED_EXACT | RMAP_MMU_ACCESSED_NEEDS_FLUSH, LOOKS "no-tlb-means-none ");
    passes_with(RMAP_MMU_ACCESSED_NEEDS_FLUSH, LOOKS "no-tlb-means-none accessed-exact ");
}

RMAP_TEST(kit_opaque, without_a_tlb_nothing_is_flushed)
{
    passes_with(
        RMAP_MMU_NO_TLB,
        "flush-takes-no-run-lock " LOOKS "flush-forgets flush-write flush-forgets-dirty accessed-exact accessed-comes-back ");
}
