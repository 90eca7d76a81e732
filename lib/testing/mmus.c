/* SPDX-License-Identifier: MIT */
/** @file testing/mmus.c  MMUs under test: made, swept, emptied, destroyed; and who resolves their faults. */
#include <testing/kit.h>

/*
 * What a fault handler does for an entry that allows the access: mark it, tell the MMU. Anything else is the answer that
 * touch() passes on as a fault.
 */
static int resolve(void *ctx, rmap_vpn_t vpn, unsigned access)
{
    struct rmap__kit_mmu *m = ctx;
    const struct rmap_mmu_ops *o = m->mmu.ops;
    struct rmap_mmu_run run;
    if (!rmap__kit_lock(m, vpn, &run)) return RMAP_ERR_ABSENT;
    const uint32_t i = (uint32_t)(vpn - run.first);
    rmap_pte_t e = rmap_run_get(&m->mmu, &run, i);
    int error = rmap_pte_present(o->format, e) ? 0 : RMAP_ERR_ABSENT;
    if (!error && (access & RMAP_WRITE) && !rmap_pte_get(o->format, e, RMAP_ATTR_WRITE)) error = RMAP_ERR_ACCESS;
    if (!error && (access & RMAP_EXEC) && !rmap_pte_get(o->format, e, RMAP_ATTR_EXEC)) error = RMAP_ERR_ACCESS;
    if (!error) {
        e = rmap_pte_set(o->format, e, RMAP_ATTR_ACCESSED, true);
        if (access & RMAP_WRITE) e = rmap_pte_set(o->format, e, RMAP_ATTR_DIRTY, true);
        rmap_run_exchange(&m->mmu, &run, i, e);
        if (o->update) o->update(m->mmu.ctx, &run, vpn, access);
    }
    rmap__kit_unlock(m, &run);
    return error;
}

struct rmap__kit_mmu *rmap__kit_open(struct rmap__kit *k)
{
    for (unsigned i = 0; i < RMAP__KIT_MMUS; i++) {
        struct rmap__kit_mmu *m = &k->mmu[i];
        if (m->open) continue;
        const struct rmap_mmu_client client = {.ctx = m, .fault = resolve};
        k->error = k->t->provider->create(k->t->provider->ctx, &client, &m->mmu);
        if (k->error) return NULL;
        m->open = true;
        if (k->t->set_active) k->t->set_active(k->t->ctx, &m->mmu, true);
        return m;
    }
    k->error = RMAP_ERR_INVALID;
    return NULL;
}

/* ---- sweeping ---- */

bool rmap__kit_sweep(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap__kit_visit *visit, void *ctx)
{
    const struct rmap_mmu_ops *o = m->mmu.ops;
    rmap_vpn_t at = 0;
    for (unsigned runs = 0; at < m->mmu.pages; runs++) {
        struct rmap_mmu_run run = {.count = 0};
        const int error = o->run_find(m->mmu.ctx, at, m->mmu.pages, &run);
        if (error)
            return KIT_CHECK(k, error == RMAP_ERR_ABSENT, "run_find(%llu, end of space) says %s", KIT_N(at),
                             rmap_error_name(error));
        bool go_on =
            KIT_CHECK(k, run.first + run.count > at, "run_find(%llu, end of space) finds the run before it, at %llu",
                      KIT_N(at), KIT_N(run.first)) &&
            rmap__kit_run_ok(k, m, &run, run.first) &&
            KIT_CHECK(k, runs < RMAP__KIT_RUNS_MAX, "run_find has found %u runs and is at page %llu only", runs,
                      KIT_N(at));
        at = run.first + run.count;
        if (go_on) go_on = visit(k, m, &run, ctx);
        rmap__kit_unlock(m, &run);
        if (!go_on) return !k->failed;
    }
    return true;
}

static bool empty(struct rmap__kit *k, struct rmap__kit_mmu *m, const struct rmap_mmu_run *run, void *ctx)
{
    (void)k, (void)ctx;
    for (uint32_t i = 0; i < run->count; i++)
        if (rmap_run_get(&m->mmu, run, i)) rmap_run_exchange(&m->mmu, run, i, 0);
    return true;
}

/* Can the ops be called at all? */
static bool usable(const struct rmap_mmu_ops *o)
{
    return o && o->run_find && o->run_unlock && o->format;
}

/* A provider is promised that no entry is left when it destroys. What goes wrong here is no finding of the case. */
static void clear(struct rmap__kit *k, struct rmap__kit_mmu *m)
{
    rmap__kit_sweep(k, m, empty, NULL);
    rmap__kit_flush(m, 0, m->mmu.pages, RMAP_FLUSH_ALL);
    k->failed = false;
}

void rmap__kit_close_all(struct rmap__kit *k)
{
    const struct rmap_mmu_provider *p = k->t->provider;
    for (unsigned i = 0; i < RMAP__KIT_MMUS; i++) {
        struct rmap__kit_mmu *m = &k->mmu[i];
        if (!m->open) continue;
        if (!k->failed && usable(m->mmu.ops)) clear(k, m); /* a broken one is not walked into again */
        p->destroy(p->ctx, &m->mmu);
        m->open = false;
    }
}
