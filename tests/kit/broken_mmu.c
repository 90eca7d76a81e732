/* SPDX-License-Identifier: MIT */
/** @file kit/broken_mmu.c  See broken_mmu.h: the wrapper, unbroken. */
#include "kit/broken_mmu.h"

#include <stdlib.h>

struct broken *b;

int sound_find(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    return inner_ops(mmu)->run_find(inner_ctx(mmu), vpn, end, run);
}
int sound_make(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    return inner_ops(mmu)->run_make(inner_ctx(mmu), vpn, t, run);
}
void sound_unlock(void *mmu, struct rmap_mmu_run *run)
{
    inner_ops(mmu)->run_unlock(inner_ctx(mmu), run);
}
int sound_reserve(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t)
{
    return inner_ops(mmu)->reserve(inner_ctx(mmu), vpn, t);
}
void sound_unreserve(void *mmu, struct rmap_tables *t)
{
    inner_ops(mmu)->unreserve(inner_ctx(mmu), t);
}
void sound_trim(void *mmu, rmap_vpn_t first, rmap_vpn_t end)
{
    inner_ops(mmu)->trim(inner_ctx(mmu), first, end);
}
rmap_pte_t sound_get(void *mmu, const struct rmap_mmu_run *run, uint32_t i)
{
    return inner_ops(mmu)->get(inner_ctx(mmu), run, i);
}
void sound_set(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    inner_ops(mmu)->set(inner_ctx(mmu), run, i, e);
}
rmap_pte_t sound_exchange(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    return inner_ops(mmu)->exchange(inner_ctx(mmu), run, i, e);
}
void sound_flush(void *mmu, const struct rmap_flush_range *ranges, size_t n)
{
    inner_ops(mmu)->flush(inner_ctx(mmu), ranges, n);
}
void sound_update(void *mmu, const struct rmap_mmu_run *run, rmap_vpn_t vpn, unsigned access)
{
    inner_ops(mmu)->update(inner_ctx(mmu), run, vpn, access);
}
size_t sound_table_bytes(void *mmu)
{
    return inner_ops(mmu)->table_bytes(inner_ctx(mmu));
}
static bool sound_active(void *mmu)
{
    return inner_ops(mmu)->active(inner_ctx(mmu));
}

int sound_create(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    struct broken *mine = ctx;
    struct wrap *w = calloc(1, sizeof *w);
    if (!w) return RMAP_ERR_NOMEM;
    const int error = opaque_create(&mine->device, client, &w->inner);
    if (error) {
        free(w);
        return error;
    }
    w->active = true;
    *out = (struct rmap_mmu){.ops = &mine->ops, .ctx = w, .pages = w->inner.pages};
    return 0;
}
static void sound_destroy(void *ctx, struct rmap_mmu *mmu)
{
    struct wrap *w = mmu->ctx;
    opaque_destroy(&((struct broken *)ctx)->device, &w->inner);
    free(w);
}

int sound_touch(void *ctx, const struct rmap_mmu *mmu, rmap_vpn_t vpn, unsigned access, rmap_pfn_t *pfn)
{
    struct wrap *w = mmu->ctx;
    return opaque_touch(&((struct broken *)ctx)->device, &w->inner, vpn, access, pfn);
}
static void sound_set_active(void *ctx, const struct rmap_mmu *mmu, bool on)
{
    struct wrap *w = mmu->ctx;
    opaque_set_active(&((struct broken *)ctx)->device, &w->inner, on);
}
static void sound_fail_tables(void *ctx, uint64_t after)
{
    opaque_fail_tables(&((struct broken *)ctx)->device, after);
}

void broken_begin(void)
{
    b = calloc(1, sizeof *b);
    CHECK(b);
    opaque_device_init(&b->device, RMAP_MMU_ACCESSED_EXACT | RMAP_MMU_ACCESSED_NEEDS_FLUSH);
    b->ops = (struct rmap_mmu_ops){.struct_size = sizeof b->ops,
                                   .name = "wrapped",
                                   .format = &opaque_format,
                                   .caps = b->device.caps,
                                   .run_find = sound_find,
                                   .run_make = sound_make,
                                   .run_unlock = sound_unlock,
                                   .reserve = sound_reserve,
                                   .unreserve = sound_unreserve,
                                   .trim = sound_trim,
                                   .get = sound_get,
                                   .set = sound_set,
                                   .exchange = sound_exchange,
                                   .flush = sound_flush,
                                   .active = sound_active,
                                   .update = sound_update,
                                   .table_bytes = sound_table_bytes};
    b->provider = (struct rmap_mmu_provider){
        .struct_size = sizeof b->provider, .ctx = b, .create = sound_create, .destroy = sound_destroy};
    b->t = (struct rmap_testing_mmu){.struct_size = sizeof b->t,
                                     .provider = &b->provider,
                                     .first_frame = 1000,
                                     .frames = 64,
                                     .flags = RMAP_TESTING_THREADS,
                                     .ctx = b,
                                     .touch = sound_touch,
                                     .fail_tables = sound_fail_tables,
                                     .set_active = sound_set_active};
}

void broken_check(const char *rules)
{
    struct kit_log log;
    kit_run(&b->t, b->patience, NULL, &log);
    if (strcmp(log.broken, rules) != 0) TEST_FAIL("broken: \"%s\", expected \"%s\" (%s)", log.broken, rules, log.why);
    CHECK_ERR(log.error, *rules ? RMAP_ERR_VERIFY : 0);
    if (!b->patience) free(b);
}
