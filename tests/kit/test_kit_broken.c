/* SPDX-License-Identifier: MIT */
/**
 * @file kit/test_kit_broken.c  Broken MMUs, each by one mistake that could be anybody's: the kit must name the rule, and
 * no other. This file: form, runs, tables, entries. test_kit_broken_tlb.c: accesses, flushes, the core.
 */
#include "kit/broken_mmu.h"

BROKEN(the_unbroken_wrapper_keeps_every_rule, "") {}

/* ---- form ---- */

BROKEN(exchange_is_missing, "ops-complete ")
{
    b->ops.exchange = NULL;
}
BROKEN(a_capability_of_the_future, "ops-complete ")
{
    b->ops.caps |= 1u << 30;
}
BROKEN(no_flush_and_no_word_why, "ops-complete ")
{
    b->ops.flush = NULL;
}

static struct rmap_pte_format overlapping;
BROKEN(an_attribute_inside_the_frame_number, "format-consistent ")
{
    overlapping = opaque_format;
    overlapping.attr[RMAP_ATTR_LOCKED].mask = overlapping.attr[RMAP_ATTR_LOCKED].on = 1u << 20;
    b->ops.format = &overlapping;
}
BROKEN(frames_that_no_entry_can_name, "format-consistent ")
{
    b->t.first_frame = ((rmap_pfn_t)1 << 40) - 60;
}

/* ---- runs ---- */

/* The run begins where it was asked for, not where its table begins. */
static int find_from_here(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    const int error = sound_find(mmu, vpn, end, run);
    if (!error && vpn > run->first) {
        run->count -= (uint32_t)(vpn - run->first);
        run->first = vpn;
    }
    return error;
}
BROKEN(a_run_begins_where_it_was_asked_for, "run-bounds ")
{
    b->ops.run_find = find_from_here;
}

static int make_too_long(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    const int error = sound_make(mmu, vpn, t, run);
    run->count = RMAP_RUN_MAX; /* whatever the table holds: beyond the end of the space, for the last one */
    return error;
}
static int find_too_long(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    const int error = sound_find(mmu, vpn, end, run);
    run->count = RMAP_RUN_MAX;
    return error;
}
BROKEN(every_run_has_512_slots, "run-bounds ")
{
    b->ops.run_make = make_too_long;
    b->ops.run_find = find_too_long;
}

static int reserve_wraps(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t)
{
    return sound_reserve(mmu, vpn % OPAQUE_PAGES, t);
}
BROKEN(page_numbers_wrap, "end-of-space ")
{
    b->ops.reserve = reserve_wraps;
}

/* ---- tables ---- */

/* The memory of the first tables is not cleared. */
static void set_counted(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    ((struct wrap *)mmu)->sets++;
    sound_set(mmu, run, i, e);
}
static int make_dirty(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    const int error = sound_make(mmu, vpn, t, run);
    if (vpn == 511 && !((struct wrap *)mmu)->sets) sound_set(mmu, run, 5, 0xdb);
    return error;
}
BROKEN(tables_are_not_cleared, "fresh-is-empty ")
{
    b->ops.set = set_counted;
    b->ops.run_make = make_dirty;
}

/* One bit of the page number is not looked at. */
static rmap_pte_t get_half(void *mmu, const struct rmap_mmu_run *run, uint32_t i)
{
    return sound_get(mmu, run, i & ~32u);
}
static void set_half(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    sound_set(mmu, run, i & ~32u, e);
}
static rmap_pte_t exchange_half(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    return sound_exchange(mmu, run, i & ~32u, e);
}
BROKEN(two_pages_share_a_slot, "set-then-get ")
{
    b->ops.get = get_half;
    b->ops.set = set_half;
    b->ops.exchange = exchange_half;
}

static int find_here_only(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    const rmap_vpn_t block_end = (vpn / OPAQUE_BLOCK + 1) * OPAQUE_BLOCK;
    return sound_find(mmu, vpn, block_end < end ? block_end : end, run);
}
BROKEN(it_does_not_skip_holes, "run-skips-holes ")
{
    b->ops.run_find = find_here_only;
}

static int find_everywhere(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    (void)end;
    return sound_find(mmu, vpn, OPAQUE_PAGES, run);
}
BROKEN(it_looks_behind_the_end, "run-stops-at-end ")
{
    b->ops.run_find = find_everywhere;
}

static void unreserve_forgets(void *mmu, struct rmap_tables *t)
{
    const unsigned count = t->count;
    sound_unreserve(mmu, t);
    t->count = count;
}
BROKEN(a_reservation_keeps_its_count, "unreserve-empties ")
{
    b->ops.unreserve = unreserve_forgets;
}

/* Whoever has a table installs it, over the one that another thread was quicker with. */
static int make_over(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    const bool there = opaque_slot(&((struct wrap *)mmu)->inner, vpn);
    const bool mine = t->count;
    const int error = sound_make(mmu, vpn, t, run);
    for (uint32_t i = 0; there && mine && i < run->count; i++) sound_set(mmu, run, i, 0);
    return error;
}
BROKEN(the_second_table_replaces_the_first, "run-make-keeps-tables ")
{
    b->ops.run_make = make_over;
}

static int reserve_nothing(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t)
{
    (void)mmu, (void)t;
    return vpn < OPAQUE_PAGES ? 0 : RMAP_ERR_RANGE;
}
static int make_allocating(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    const int error = sound_reserve(mmu, vpn, t);
    return error ? error : sound_make(mmu, vpn, t, run);
}
BROKEN(run_make_allocates, "run-make-needs-no-memory ")
{
    b->ops.reserve = reserve_nothing;
    b->ops.run_make = make_allocating;
}

static int reserve_leaves(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t)
{
    const int error = sound_reserve(mmu, vpn, t);
    if (error == RMAP_ERR_NOMEM) t->count = 1; /* of two, say */
    return error;
}
BROKEN(a_failed_reservation_is_half_full, "reserve-fails-cleanly ")
{
    b->ops.reserve = reserve_leaves;
}

static int reserve_with_other_words(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t)
{
    const int error = sound_reserve(mmu, vpn, t);
    return error == RMAP_ERR_NOMEM ? RMAP_ERR_BUSY : error;
}
BROKEN(no_memory_has_another_name, "reserve-fails-cleanly ")
{
    b->ops.reserve = reserve_with_other_words;
}

/* A table without a present entry is taken for empty. */
static void trim_not_present(void *mmu, rmap_vpn_t first, rmap_vpn_t end)
{
    struct rmap_mmu_run run;
    for (rmap_vpn_t at = first; at < end && !sound_find(mmu, at, end, &run); at = run.first + run.count) {
        bool present = false;
        for (uint32_t i = 0; i < run.count; i++) present |= rmap_pte_present(&opaque_format, sound_get(mmu, &run, i));
        for (uint32_t i = 0; !present && i < run.count; i++) sound_set(mmu, &run, i, 0);
        sound_unlock(mmu, &run);
    }
    sound_trim(mmu, first, end);
}
BROKEN(trim_frees_swap_entries, "trim-keeps-entries ")
{
    b->ops.trim = trim_not_present;
}

static size_t bytes_at_most(void *mmu)
{
    struct wrap *w = mmu;
    const size_t bytes = sound_table_bytes(mmu);
    if (bytes > w->bytes) w->bytes = bytes;
    return w->bytes;
}
BROKEN(table_bytes_never_fall, "table-bytes ")
{
    b->ops.table_bytes = bytes_at_most;
}

static size_t bytes_none(void *mmu)
{
    (void)mmu;
    return 0;
}
BROKEN(table_bytes_are_not_counted, "table-bytes ")
{
    b->ops.table_bytes = bytes_none;
}

/* ---- entries ---- */

static rmap_pte_t exchange_returns_new(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    sound_exchange(mmu, run, i, e);
    return sound_get(mmu, run, i);
}
BROKEN(an_exchange_returns_what_it_stored, "exchange-returns-old ")
{
    b->ops.exchange = exchange_returns_new;
}

/* The device keeps no software bits of what it cannot use itself. */
static rmap_pte_t without_locked(rmap_pte_t e)
{
    if (!e || rmap_pte_present(&opaque_format, e)) return e;
    return rmap_pte_set(&opaque_format, e, RMAP_ATTR_LOCKED, false);
}
static void set_normalised(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    sound_set(mmu, run, i, without_locked(e));
}
static rmap_pte_t exchange_normalised(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    return sound_exchange(mmu, run, i, without_locked(e));
}
BROKEN(not_present_entries_lose_a_bit, "kinds-roundtrip ")
{
    b->ops.set = set_normalised;
    b->ops.exchange = exchange_normalised;
}

static void update_marks(void *mmu, const struct rmap_mmu_run *run, rmap_vpn_t vpn, unsigned access)
{
    sound_update(mmu, run, vpn, access);
    for (uint32_t i = 0; i < run->count; i++) {
        const rmap_pte_t e = sound_get(mmu, run, i);
        if (rmap_pte_present(&opaque_format, e))
            sound_exchange(mmu, run, i, rmap_pte_set(&opaque_format, e, RMAP_ATTR_ACCESSED, true));
    }
}
BROKEN(neighbours_that_are_loaded_are_marked, "update-changes-nothing ")
{
    b->ops.update = update_marks;
}

/* Each space copies the format. */
static int create_with_own_format(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    const int error = sound_create(ctx, client, out);
    if (error) return error;
    struct wrap *w = out->ctx;
    w->format = opaque_format;
    w->ops = *out->ops;
    w->ops.format = &w->format;
    out->ops = &w->ops;
    return 0;
}
BROKEN(every_space_has_a_format_of_its_own, "two-mmus-independent ")
{
    b->provider.create = create_with_own_format;
}

/* One window into the device: whatever run was locked last is behind it. */
static struct rmap_mmu_run window;
static void *window_mmu;
static int find_in_window(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    const int error = sound_find(mmu, vpn, end, run);
    if (!error) window = *run, window_mmu = mmu;
    return error;
}
static int make_in_window(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    const int error = sound_make(mmu, vpn, t, run);
    if (!error) window = *run, window_mmu = mmu;
    return error;
}
static rmap_pte_t get_in_window(void *mmu, const struct rmap_mmu_run *run, uint32_t i)
{
    (void)mmu, (void)run;
    return sound_get(window_mmu, &window, i);
}
static void set_in_window(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    (void)mmu, (void)run;
    sound_set(window_mmu, &window, i, e);
}
BROKEN(one_window_for_all_runs, "two-mmus-independent ")
{
    b->t.flags = 0;
    b->ops.run_find = find_in_window;
    b->ops.run_make = make_in_window;
    b->ops.get = get_in_window;
    b->ops.set = set_in_window;
}

/* One lock for all spaces. */
static pthread_mutex_t big_lock = PTHREAD_MUTEX_INITIALIZER;
static int find_big(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    pthread_mutex_lock(&big_lock);
    const int error = sound_find(mmu, vpn, end, run);
    if (error) pthread_mutex_unlock(&big_lock);
    return error;
}
static int make_big(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    pthread_mutex_lock(&big_lock);
    return sound_make(mmu, vpn, t, run);
}
static void unlock_big(void *mmu, struct rmap_mmu_run *run)
{
    sound_unlock(mmu, run);
    pthread_mutex_unlock(&big_lock);
}
BROKEN(one_lock_for_all_spaces, "two-mmus-independent ")
{
    b->ops.run_find = find_big;
    b->ops.run_make = make_big;
    b->ops.run_unlock = unlock_big;
    b->patience = 2;
}

/* It looks at the entries that it flushes. */
static void flush_looking(void *mmu, const struct rmap_flush_range *ranges, size_t n)
{
    struct rmap_mmu_run run;
    sound_flush(mmu, ranges, n);
    if (sound_find(mmu, ranges[0].first, ranges[0].first + ranges[0].count, &run) == 0) sound_unlock(mmu, &run);
}
BROKEN(flush_locks_a_run, "flush-takes-no-run-lock ")
{
    b->ops.flush = flush_looking;
    b->patience = 2;
}

static int find_unlocked(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    const int error = sound_find(mmu, vpn, end, run);
    if (!error) sound_unlock(mmu, run);
    return error;
}
static int make_unlocked(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    const int error = sound_make(mmu, vpn, t, run);
    if (!error) sound_unlock(mmu, run);
    return error;
}
static void unlock_nothing(void *mmu, struct rmap_mmu_run *run)
{
    (void)mmu, (void)run;
}
BROKEN(runs_are_not_locked, "run-excludes ")
{
    b->ops.run_find = find_unlocked;
    b->ops.run_make = make_unlocked;
    b->ops.run_unlock = unlock_nothing;
}

BROKEN(a_run_is_never_unlocked, "run-bounds ")
{
    b->ops.run_unlock = unlock_nothing;
    b->patience = 2;
}
