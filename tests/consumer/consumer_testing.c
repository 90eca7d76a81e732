/* SPDX-License-Identifier: MIT */
/* Somebody else's test, C and C++ alike: the installed conformance kit on a supplied MMU, and on a broken one. */
#include <objrmap.h>
#include <objrmap/testing.h>

#include <stdio.h>
#include <string.h>

static int create_without_memory(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    (void)ctx, (void)client, (void)out;
    return RMAP_ERR_NOMEM;
}

int main(void)
{
    struct rmap_radix_options tables;
    memset(&tables, 0, sizeof tables);
    tables.struct_size = sizeof tables;
    tables.geometry = &rmap_radix_sv39;
    tables.caps = RMAP_MMU_NO_TLB;
    struct rmap_mmu_provider provider;
    if (rmap_radix_provider_init(&tables, &provider)) return 2;

    struct rmap_testing_mmu t;
    memset(&t, 0, sizeof t);
    t.struct_size = sizeof t;
    t.provider = &provider;
    t.frames = RMAP_TESTING_FRAMES_MIN;
    struct rmap_testing_options tap;
    memset(&tap, 0, sizeof tap);
    tap.struct_size = sizeof tap;
    tap.report = rmap_testing_tap;
    tap.report_ctx = stderr;
    struct rmap_testing_summary sum;
    int error = rmap_testing_run(&t, &tap, &sum);
    if (error || sum.failed || !sum.passed || !rmap_testing_rule_at(0)) return 3;

    provider.create = create_without_memory;
    error = rmap_testing_run(&t, NULL, &sum);
    rmap_radix_provider_fini(&provider);
    return error == RMAP_ERR_NOMEM ? 0 : 4;
}
