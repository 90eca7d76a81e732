/* SPDX-License-Identifier: MIT */
/** @file kit/test_kit_broken_tlb.c  Broken MMUs, continued: accesses, flushes, exchanges, the core. */
#include "kit/broken_mmu.h"

#include <sched.h>

static rmap_pte_t peek(void *mmu, rmap_vpn_t vpn)
{
    rmap_pte_t *slot = opaque_slot(&((struct wrap *)mmu)->inner, vpn);
    return slot ? __atomic_load_n(slot, __ATOMIC_ACQUIRE) : 0;
}
static bool covers(const struct rmap_flush_range *ranges, size_t n, rmap_vpn_t vpn)
{
    for (size_t i = 0; i < n; i++)
        if (vpn >= ranges[i].first && vpn - ranges[i].first < ranges[i].count) return true;
    return false;
}

/* ---- accesses ---- */

static int touch_read_only(void *ctx, const struct rmap_mmu *mmu, rmap_vpn_t vpn, unsigned access, rmap_pfn_t *pfn)
{
    const int error = sound_touch(ctx, mmu, vpn, access, pfn);
    return error == RMAP_ERR_ACCESS && access == RMAP_WRITE ? sound_touch(ctx, mmu, vpn, RMAP_READ, pfn) : error;
}
BROKEN(read_only_pages_can_be_written, "access-follows-entry ")
{
    b->t.touch = touch_read_only;
}

static int touch_no_access(void *ctx, const struct rmap_mmu *mmu, rmap_vpn_t vpn, unsigned access, rmap_pfn_t *pfn)
{
    const rmap_pte_t e = peek(mmu->ctx, vpn);
    if (rmap_pte_kind(&opaque_format, e) != RMAP_PTE_NO_ACCESS) return sound_touch(ctx, mmu, vpn, access, pfn);
    *pfn = rmap_pte_pfn(&opaque_format, e);
    return 0;
}
BROKEN(no_access_is_taken_for_present, "access-follows-entry ")
{
    b->t.touch = touch_no_access;
}

/* A read loads a translation that serves writes, too. */
static int touch_read_serves_write(void *ctx, const struct rmap_mmu *mmu, rmap_vpn_t vpn, unsigned access,
                                   rmap_pfn_t *pfn)
{
    struct wrap *w = mmu->ctx;
    const bool cached =
        w->note.valid && w->note.vpn == vpn && rmap_pte_get(&opaque_format, peek(w, vpn), RMAP_ATTR_WRITE);
    const int error = sound_touch(ctx, mmu, vpn, cached ? RMAP_READ : access, pfn);
    w->note.valid = !error;
    w->note.vpn = vpn;
    return error;
}
BROKEN(a_write_through_a_cached_read_sets_no_dirty, "access-marks-entry ")
{
    b->t.touch = touch_read_serves_write;
}

/* ---- what is cached ---- */

static int touch_caching_faults(void *ctx, const struct rmap_mmu *mmu, rmap_vpn_t vpn, unsigned access, rmap_pfn_t *pfn)
{
    struct wrap *w = mmu->ctx;
    if (w->note.valid && w->note.vpn == vpn) return RMAP_ERR_ABSENT;
    const int error = sound_touch(ctx, mmu, vpn, access, pfn);
    if (error == RMAP_ERR_ABSENT) w->note.valid = true, w->note.vpn = vpn;
    return error;
}
static void flush_noted(void *mmu, const struct rmap_flush_range *ranges, size_t n)
{
    struct wrap *w = mmu;
    if (covers(ranges, n, w->note.vpn)) w->note.valid = false;
    sound_flush(mmu, ranges, n);
}
BROKEN(faults_are_cached, "grant-needs-no-flush ")
{
    b->t.touch = touch_caching_faults;
    b->ops.flush = flush_noted;
}

BROKEN(it_has_a_tlb_and_says_that_it_has_none, "no-tlb-means-none ")
{
    b->ops.caps = RMAP_MMU_NO_TLB;
    b->t.flags = 0; /* exchange-atomic would notice, too */
}

static void flush_first_range(void *mmu, const struct rmap_flush_range *ranges, size_t n)
{
    (void)n;
    sound_flush(mmu, ranges, 1);
}
BROKEN(only_the_first_range_is_flushed, "flush-forgets ")
{
    b->ops.flush = flush_first_range;
}

static void flush_first_pages(void *mmu, const struct rmap_flush_range *ranges, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct rmap_flush_range range = ranges[i];
        if (range.kind == RMAP_FLUSH_ALL) range.count = 1;
        sound_flush(mmu, &range, 1);
    }
}
BROKEN(only_first_pages_are_flushed, "flush-forgets ")
{
    b->ops.flush = flush_first_pages;
}

/* A flush that comes while a run is locked is put off, for ever. */
static unsigned locked;
static int find_noting(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    const int error = sound_find(mmu, vpn, end, run);
    locked += !error;
    return error;
}
static int make_noting(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    locked++;
    return sound_make(mmu, vpn, t, run);
}
static void unlock_noting(void *mmu, struct rmap_mmu_run *run)
{
    locked--;
    sound_unlock(mmu, run);
}
static void flush_later(void *mmu, const struct rmap_flush_range *ranges, size_t n)
{
    if (!locked) sound_flush(mmu, ranges, n);
}
BROKEN(a_flush_is_put_off_while_a_run_is_locked, "flush-forgets ")
{
    b->t.flags = 0;
    b->ops.run_find = find_noting;
    b->ops.run_make = make_noting;
    b->ops.run_unlock = unlock_noting;
    b->ops.flush = flush_later;
}

static void flush_never(void *mmu, const struct rmap_flush_range *ranges, size_t n)
{
    (void)mmu, (void)ranges, (void)n;
}
BROKEN(nothing_is_flushed, "flush-forgets flush-write flush-forgets-dirty accessed-comes-back exchange-atomic ")
{
    b->ops.flush = flush_never;
}

/* "The permission to write is there, or is not: what is there to forget?" */
static void flush_write_if(void *mmu, const struct rmap_flush_range *ranges, size_t n, bool writable)
{
    for (size_t i = 0; i < n; i++) {
        if (ranges[i].kind == RMAP_FLUSH_ALL) {
            sound_flush(mmu, &ranges[i], 1);
            continue;
        }
        for (rmap_vpn_t vpn = ranges[i].first; vpn < ranges[i].first + ranges[i].count; vpn++) {
            const struct rmap_flush_range page = {vpn, 1, RMAP_FLUSH_WRITE};
            if (rmap_pte_get(&opaque_format, peek(mmu, vpn), RMAP_ATTR_WRITE) == writable) sound_flush(mmu, &page, 1);
        }
    }
}
static void flush_if_writable(void *mmu, const struct rmap_flush_range *ranges, size_t n)
{
    flush_write_if(mmu, ranges, n, true);
}
static void flush_if_read_only(void *mmu, const struct rmap_flush_range *ranges, size_t n)
{
    flush_write_if(mmu, ranges, n, false);
}
BROKEN(withdrawn_permission_is_remembered, "flush-write ")
{
    b->ops.flush = flush_if_writable;
}
BROKEN(dirty_is_remembered, "flush-forgets-dirty ")
{
    b->ops.flush = flush_if_read_only;
}

/* The next page is loaded with this one, accessed or not. */
static int touch_loading_next(void *ctx, const struct rmap_mmu *mmu, rmap_vpn_t vpn, unsigned access, rmap_pfn_t *pfn)
{
    struct wrap *w = mmu->ctx;
    if (w->note.valid && w->note.vpn == vpn && access == RMAP_READ) {
        *pfn = w->note.pfn;
        return 0;
    }
    const int error = sound_touch(ctx, mmu, vpn, access, pfn);
    if (error || w->note.valid) return error;
    w->note.vpn = vpn + 1;
    w->note.valid = rmap_pte_present(&opaque_format, peek(w, vpn + 1));
    w->note.pfn = rmap_pte_pfn(&opaque_format, peek(w, vpn + 1));
    return 0;
}
BROKEN(pages_never_accessed_are_loaded, "accessed-exact ")
{
    b->t.touch = touch_loading_next;
    b->ops.flush = flush_noted;
}

BROKEN(accessed_needs_a_flush_that_is_not_asked_for, "accessed-comes-back ")
{
    b->ops.caps = 0;
}

static bool active_noted(void *mmu)
{
    return ((struct wrap *)mmu)->active;
}
static void set_active_alone(void *ctx, const struct rmap_mmu *mmu, bool on)
{
    (void)ctx;
    ((struct wrap *)mmu->ctx)->active = on;
}
BROKEN(an_inactive_space_stays_cached, "inactive-caches-nothing ")
{
    b->ops.active = active_noted;
    b->t.set_active = set_active_alone;
}

/* ---- atomic exchange ---- */

static rmap_pte_t exchange_in_two_steps(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    const rmap_pte_t old = sound_get(mmu, run, i);
    sched_yield();
    sound_set(mmu, run, i, e);
    return old;
}
BROKEN(an_exchange_is_a_get_and_a_set, "exchange-atomic ")
{
    b->ops.exchange = exchange_in_two_steps;
}

/* The walker reads an entry and writes it back with its marks. */
static int touch_in_two_steps(void *ctx, const struct rmap_mmu *mmu, rmap_vpn_t vpn, unsigned access, rmap_pfn_t *pfn)
{
    rmap_pte_t e = peek(mmu->ctx, vpn);
    const bool allowed = rmap_pte_present(&opaque_format, e) && rmap_pte_get(&opaque_format, e, RMAP_ATTR_WRITE);
    if (access != RMAP_WRITE || !allowed) return sound_touch(ctx, mmu, vpn, access, pfn);
    e = rmap_pte_set(&opaque_format, rmap_pte_set(&opaque_format, e, RMAP_ATTR_ACCESSED, true), RMAP_ATTR_DIRTY, true);
    sched_yield();
    __atomic_store_n(opaque_slot(&((struct wrap *)mmu->ctx)->inner, vpn), e, __ATOMIC_RELEASE);
    *pfn = rmap_pte_pfn(&opaque_format, e);
    return 0;
}
BROKEN(the_walker_writes_entries_back, "exchange-atomic ")
{
    b->t.touch = touch_in_two_steps;
}

/* ---- the core ---- */

static bool never_active(void *mmu)
{
    (void)mmu;
    return false;
}
BROKEN(nobody_ever_runs, "core-scenario ")
{
    b->ops.active = never_active;
    b->t.set_active = NULL;
}
