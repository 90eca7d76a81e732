/* SPDX-License-Identifier: MIT */
/**
 * @file support/world_mmu.c  The MMU that the core sees: the space's radix tables, watched.
 *
 * It sees to it that no call holds two runs of one MMU and that nothing is reserved while a run is held; on demand its
 * entries are not in memory (get, set, exchange), a huge entry is in the way, or the hardware sets bits at a bad moment.
 */
#include "support/world.h"

static void run_taken(struct world_space *s, struct rmap_mmu_run *run)
{
    if (s->runs) world_broken(s->w, "space %u: two runs are held", s->number);
    s->runs++;
    s->w->runs++;
    s->w->run_locks++;
    s->run = *run;
    if (s->w->o.no_slots) run->slots = NULL;
}

static int run_find(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    struct world_space *s = mmu;
    bool blocked = s->blocked && s->block >= vpn && s->block < end;
    int err = RMAP_ERR_ABSENT;
    if (!blocked || s->block > vpn) err = s->radix.ops->run_find(s->radix.ctx, vpn, blocked ? s->block : end, run);
    if (!err) run_taken(s, run);
    return err == RMAP_ERR_ABSENT && blocked ? RMAP_ERR_BLOCK : err;
}

static void run_peek(void *const *mmus, size_t n, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *runs)
{
    for (size_t i = 0; i < n; i++) {
        struct world_space *s = mmus[i];
        bool blocked = s->blocked && s->block >= vpn && s->block < end;
        runs[i].count = 0;
        if (!blocked || s->block > vpn) s->radix.ops->run_peek(&s->radix.ctx, 1, vpn, blocked ? s->block : end, &runs[i]);
    }
}

static void run_lock(void *mmu, struct rmap_mmu_run *run)
{
    struct world_space *s = mmu;
    s->radix.ops->run_lock(s->radix.ctx, run);
    run_taken(s, run);
}

static int run_make(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    struct world_space *s = mmu;
    if (s->blocked && s->block == vpn) return RMAP_ERR_BLOCK;
    int err = s->radix.ops->run_make(s->radix.ctx, vpn, t, run);
    if (!err) run_taken(s, run);
    return err;
}

static void run_unlock(void *mmu, struct rmap_mmu_run *run)
{
    struct world_space *s = mmu;
    if (!s->runs) world_broken(s->w, "space %u: a run is unlocked that was not locked", s->number);
    s->runs--;
    s->w->runs--;
    s->radix.ops->run_unlock(s->radix.ctx, run);
}

static int reserve(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t)
{
    struct world_space *s = mmu;
    if (s->w->runs) world_broken(s->w, "tables are reserved while a run is held");
    return s->radix.ops->reserve(s->radix.ctx, vpn, t);
}

static void unreserve(void *mmu, struct rmap_tables *t)
{
    struct world_space *s = mmu;
    s->radix.ops->unreserve(s->radix.ctx, t);
}

static void trim(void *mmu, rmap_vpn_t first, rmap_vpn_t end)
{
    struct world_space *s = mmu;
    s->radix.ops->trim(s->radix.ctx, first, end);
}

static void flush(void *mmu, const struct rmap_flush_range *ranges, size_t n) { world_tlb_flush(mmu, ranges, n); }

/* ---- entries that are not in memory ---- */

/* The hardware sets bits of a present entry that it is using, so many looks or exchanges from now. */
static void hardware(struct world_space *s, uint32_t i)
{
    const struct rmap_pte_format *f = s->mmu.ops->format;
    if (!s->hardware_attrs || s->run.first + i != s->hardware_vpn || s->hardware_wait--) return;
    rmap_pte_t e = s->run.slots[i];
    s->hardware_did = rmap_pte_present(f, e);
    for (unsigned a = 0; s->hardware_did && a < RMAP_ATTR_COUNT; a++)
        if (s->hardware_attrs >> a & 1) e = rmap_pte_set(f, e, (enum rmap_pte_attr)a, true);
    s->run.slots[i] = e;
    s->hardware_attrs = s->hardware_next;
    s->hardware_wait = s->hardware_next = 0;
}

static rmap_pte_t get(void *mmu, const struct rmap_mmu_run *run, uint32_t i)
{
    struct world_space *s = mmu;
    (void)run;
    rmap_pte_t e = s->run.slots[i];
    hardware(s, i);
    return e;
}

static void set(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    struct world_space *s = mmu;
    (void)run;
    if (rmap_pte_present(s->mmu.ops->format, s->run.slots[i])) world_broken(s->w, "a live entry is set, not exchanged");
    if (s->on_set) s->on_set(s, s->run.first + i, e);
    s->run.slots[i] = e;
}

static rmap_pte_t exchange(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    struct world_space *s = mmu;
    (void)run;
    rmap_pte_t old = s->run.slots[i];
    s->run.slots[i] = e;
    hardware(s, i);
    return old;
}

void world_mmu_init(struct world *w)
{
    bool tlb = !(w->o.caps & RMAP_MMU_NO_TLB);
    w->ops = (struct rmap_mmu_ops){.struct_size = sizeof w->ops,
                                   .name = "world",
                                   .format = w->o.geometry->format,
                                   .caps = w->o.caps,
                                   .run_find = run_find,
                                   .run_make = run_make,
                                   .run_unlock = run_unlock,
                                   .reserve = reserve,
                                   .unreserve = unreserve,
                                   .trim = trim,
                                   .get = get,
                                   .set = set,
                                   .exchange = exchange,
                                   .flush = tlb ? flush : NULL,
                                   .active = tlb ? world_tlb_active : NULL,
                                   .run_peek = w->o.no_slots ? NULL : run_peek,
                                   .run_lock = w->o.no_slots ? NULL : run_lock};
}
