/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_snapshot_cut.c  E6: a snapshot is one moment, whatever the writers do while it is taken.
 *
 *     page    first      second     last        three tables, or one; all written, their writable translations cached
 *             store 1 ─▶ store 1                by one writer, or by one who stores to `first` and one who copies what
 *             store 2 ─▶ store 2                he reads there to `second`
 *
 * At every point of the snapshot, and between the copies of its pages afterwards, each writer may go on or not: all
 * schedules are played. A store goes through a cached translation, else by a walk of the tables as hardware does it, else
 * it faults, and waits. Whatever the snapshot holds of `second` must not be newer than what it holds of `first`.
 */
#include "support/other_thread.h"
#include "support/choices.h"
#include "support/world.h"

static const struct rmap_radix_geometry four_entries = {
    .name = "four",
    .format = &rmap_pte_format_soft,
    .levels = 3,
    .bits = {2, 2, 2},
    .table_present = 1,
    .table_mask = 1 | 1 << 7,
    .lock_bit = 1 << 11,
};

enum writers {
    ONE,       /* first := 1, second := 1, first := 2, second := 2 */
    TWO,       /* A: first := 1.  B: second := first */
    TWO_TWICE, /* A: first := 1, first := 2.  B, twice: second := first */
};
struct setting {
    enum writers writers;
    rmap_vpn_t first, second, last;
    uint64_t count;     /* pages of the range; all, or every second one, is written */
    bool cold;          /* nothing is cached at first, accessed and dirty are clear */
    bool serves_faults; /* wrong: write faults are resolved in the middle */
    bool never_flushes; /* wrong */
};

static struct cut {
    const struct setting *o;
    struct world w;
    struct world_space *s;
    struct rmap_mmu_ops plain; /* the world's own */
    bool open;                 /* writers may run at points */
    bool served;               /* write faults are resolved */
    unsigned at[2];            /* next step of each writer */
    uint64_t read;             /* by B */
    unsigned flushes;
} cut;

/* ---- processors ---- */

static uint64_t contents(rmap_pfn_t pfn)
{
    uint64_t value;
    memcpy(&value, world_contents(&cut.w, pfn), sizeof value);
    return value;
}
static rmap_pfn_t frame_of(rmap_vpn_t vpn)
{
    return rmap_pte_pfn(cut.s->mmu.ops->format, world_entry(cut.s, vpn));
}

static bool can_store(rmap_vpn_t vpn)
{
    const struct world_cached *c = world_tlb_find(cut.s, vpn);
    return (c && c->write) || world_attr(cut.s, vpn, RMAP_ATTR_WRITE) || (cut.served && !cut.s->runs);
}

/* The hardware's walk: it takes no run lock and sets accessed and dirty. */
static void hardware_walk(rmap_vpn_t vpn)
{
    struct world_space *s = cut.s;
    struct rmap_mmu_run run = s->run;
    const bool locked = s->runs && vpn - run.first < run.count;
    if (!locked) CHECK_OK(s->radix.ops->run_find(s->radix.ctx, vpn, vpn + 1, &run));
    const rmap_pte_t e = run.slots[vpn - run.first];
    run.slots[vpn - run.first] = rmap_pte_set(
        s->mmu.ops->format, rmap_pte_set(s->mmu.ops->format, e, RMAP_ATTR_ACCESSED, true), RMAP_ATTR_DIRTY, true);
    if (!locked) s->radix.ops->run_unlock(s->radix.ctx, &run);
    world_tlb_load(s, vpn, rmap_pte_pfn(s->mmu.ops->format, e), true);
}

static void store(rmap_vpn_t vpn, uint64_t value)
{
    const struct world_cached *c = world_tlb_find(cut.s, vpn);
    if (!(c && c->write) && world_attr(cut.s, vpn, RMAP_ATTR_WRITE)) hardware_walk(vpn);
    CHECK_OK(world_store(cut.s, vpn, value));
}

/* ---- writers ---- */

/* What writer i does next: a store to *vpn, or (*vpn NONE) a load of `first`. @return false: he is done. */
static bool next_step(unsigned i, rmap_vpn_t *vpn, uint64_t *value)
{
    const struct setting *o = cut.o;
    const unsigned n = cut.at[i];
    if (o->writers == ONE) {
        *vpn = n % 2 ? o->second : o->first;
        *value = n / 2 + 1;
        return i == 0 && n < 4;
    }
    *vpn = i == 0 ? o->first : n % 2 ? o->second : RMAP_VPN_NONE;
    *value = i == 0 ? n + 1 : cut.read;
    return n < (o->writers == TWO ? i ? 2 : 1 : i ? 4 : 2);
}

static bool can_step(unsigned i)
{
    rmap_vpn_t vpn;
    uint64_t value;
    return next_step(i, &vpn, &value) && (vpn == RMAP_VPN_NONE || can_store(vpn));
}

static void step(unsigned i)
{
    rmap_vpn_t vpn;
    uint64_t value;
    next_step(i, &vpn, &value);
    cut.at[i]++;
    if (vpn == RMAP_VPN_NONE)
        cut.read = contents(frame_of(cut.o->first));
    else
        store(vpn, value);
}

/* The writers may go on here. */
static void point(void)
{
    if (!cut.open) return;
    cut.open = false;
    for (;;) {
        unsigned can[3] = {0}, n = 1;
        for (unsigned i = 0; i < 2; i++)
            if (can_step(i)) can[n++] = i;
        const unsigned c = choose(n);
        if (!c) break;
        AS_ANOTHER_THREAD(step(can[c]));
    }
    cut.open = true;
}

/* ---- the points ---- */

static bool concerns(uint32_t i)
{
    const rmap_vpn_t vpn = cut.s->run.first + i;
    return vpn == cut.o->first || vpn == cut.o->second || vpn == cut.o->last;
}
static int watched_find(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    point();
    return cut.plain.run_find(mmu, vpn, end, run);
}
static void watched_unlock(void *mmu, struct rmap_mmu_run *run)
{
    cut.plain.run_unlock(mmu, run);
    point();
}
static rmap_pte_t watched_get(void *mmu, const struct rmap_mmu_run *run, uint32_t i)
{
    rmap_pte_t e = cut.plain.get(mmu, run, i);
    if (concerns(i)) point();
    return e;
}
static rmap_pte_t watched_exchange(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    rmap_pte_t old = cut.plain.exchange(mmu, run, i, e);
    if (concerns(i)) point();
    return old;
}
static void watched_flush(void *mmu, const struct rmap_flush_range *ranges, size_t n)
{
    point();
    cut.flushes += cut.open;
    if (!(cut.open && cut.o->never_flushes)) cut.plain.flush(mmu, ranges, n);
    point();
}

/* ---- one schedule ---- */

static void cut_begin(const struct setting *o)
{
    memset(&cut, 0, sizeof cut);
    cut.o = o;
    const bool small = o->count < 64;
    world_init(&cut.w,
               &(struct world_options){.geometry = small ? &four_entries : NULL, .no_slots = true, .no_swap = true});
    struct world_space *s = cut.s = world_space(&cut.w);
    for (rmap_vpn_t v = 0; v < o->count; v += small ? 1 : 2) world_write(s, v, 0);
    if (o->cold) world_tlb_flush(s, &(struct rmap_flush_range){0, o->count, RMAP_FLUSH_ALL}, 1);
    for (rmap_vpn_t v = 0; o->cold && v < o->count; v++) {
        rmap_pte_t e = rmap_pte_set(s->mmu.ops->format, world_entry(s, v), RMAP_ATTR_ACCESSED, false);
        world_set_entry(s, v, rmap_pte_set(s->mmu.ops->format, e, RMAP_ATTR_DIRTY, false));
    }
    cut.plain = cut.w.ops;
    cut.w.ops.run_find = watched_find;
    cut.w.ops.run_unlock = watched_unlock;
    cut.w.ops.get = watched_get;
    cut.w.ops.exchange = watched_exchange;
    cut.w.ops.flush = watched_flush;
}

/* Everybody goes on, and gets there; what was written after the moment is known to have been. */
static void cut_end(uint64_t first, uint64_t second)
{
    const struct setting *o = cut.o;
    uint64_t written[8] = {0}, again[8];
    cut.served = true;
    for (unsigned i = 0; i < 2; i++)
        while (can_step(i)) step(i);
    const uint64_t at_end[2] = {world_read(cut.s, o->first), world_read(cut.s, o->second)};
    CHECK_EQ(at_end[0], o->writers == TWO ? 1 : 2);
    if (o->writers == ONE) CHECK_EQ(at_end[1], 2);
    if (!o->serves_faults && !o->never_flushes) {
        CHECK_OK(rmap_written(&cut.s->m, 0, o->count, written, NULL));
        if (at_end[0] != first) CHECK(written[o->first / 64] >> o->first % 64 & 1);
        if (at_end[1] != second) CHECK(written[o->second / 64] >> o->second % 64 & 1);
        CHECK_OK(rmap_snapshot(&cut.s->m, 0, o->count, again, NULL));
        for (unsigned i = 0; i < (o->count + 63) / 64; i++) CHECK_EQ(written[i], again[i]);
    }
    if (o->never_flushes) world_tlb_flush(cut.s, &(struct rmap_flush_range){0, o->count, RMAP_FLUSH_ALL}, 1);
    world_check(&cut.w);
    world_fini(&cut.w);
}

/* @return whether the snapshot is one moment. */
static bool cut_play(const struct setting *o)
{
    cut_begin(o);
    cut.open = true;
    cut.served = o->serves_faults;
    struct rmap_snapped done;
    CHECK_OK(rmap_snapshot(&cut.s->m, 0, o->count, NULL, &done));
    CHECK_LE(3, done.withdrawn);
    cut.served = false;
    const uint64_t moment[2] = {contents(frame_of(o->first)), contents(frame_of(o->second))};
    point();
    const uint64_t first = contents(frame_of(o->first));
    point();
    const uint64_t second = contents(frame_of(o->second));
    point();
    cut.open = false;
    const bool still = first == moment[0] && second == moment[1], consistent = first >= second;
    if (o->count >= 64) CHECK_LE(3, cut.flushes); /* in one table, so two of them were early */
    cut_end(first, second);
    return still && consistent;
}

struct outcome {
    unsigned schedules, torn;
};
/* All, or up to the first that is torn. */
static struct outcome cut_play_all(const struct setting *o)
{
    struct outcome sum = {0, 0};
    memset(&schedule, 0, sizeof schedule);
    do {
        sum.torn += !cut_play(o);
        sum.schedules++;
    } while (schedule_next() && !sum.torn);
    return sum;
}

/* ---- the settings ---- */

#define CUT(name_, least_, ...)                                                                                        \
    RMAP_TEST(snapshot_cut, name_)                                                                                     \
    {                                                                                                                  \
        static const struct setting o = {__VA_ARGS__};                                                                 \
        const struct outcome is = cut_play_all(&o);                                                                    \
        CHECK_LE(least_, is.schedules);                                                                                \
        CHECK_EQ(is.torn, 0);                                                                                          \
    }
/* The same with a rule broken: it must be noticed, or the tests above show nothing. */
#define TORN(name_, ...)                                                                                               \
    RMAP_TEST(snapshot_cut, name_)                                                                                     \
    {                                                                                                                  \
        static const struct setting o = {__VA_ARGS__};                                                                 \
        CHECK_LE(1, cut_play_all(&o).torn);                                                                            \
    }

#define UP .first = 0, .second = 4, .last = 8, .count = 12
#define DOWN .first = 8, .second = 4, .last = 0, .count = 12
#define NEAR .first = 0, .second = 1, .last = 2, .count = 4
#define WIDE .first = 0, .second = 160, .last = 280, .count = 282
#define WIDE_DOWN .first = 280, .second = 0, .last = 160, .count = 282

CUT(E6_one_writer, 200, ONE, UP)
CUT(E6_one_writer_whose_second_page_is_protected_before_the_first, 1000, ONE, DOWN)
CUT(E6_one_writer_in_one_table, 400, ONE, NEAR)
CUT(E6_one_writer_and_a_hardware_walker, 150, ONE, UP, .cold = true)
CUT(E6_one_writer_and_a_hardware_walker_downwards, 1000, ONE, DOWN, .cold = true)
CUT(E6_one_writer_and_a_gather_that_flushes_early, 150, ONE, WIDE)
CUT(E6_one_writer_whose_second_page_is_flushed_early, 150, ONE, WIDE_DOWN)
CUT(E6_two_writers, 400, TWO, UP)
CUT(E6_two_writers_who_go_on, 30000, TWO_TWICE, UP)
CUT(E6_two_writers_downwards, 1000, TWO, DOWN)
CUT(E6_two_writers_and_hardware_walkers, 900, TWO, DOWN, .cold = true)
CUT(E6_two_writers_and_a_gather_that_flushes_early, 300, TWO, WIDE)

TORN(E6_torn_if_faults_are_served_in_between, ONE, UP, .serves_faults = true)
TORN(E6_torn_for_two_writers_if_faults_are_served_in_between, TWO_TWICE, UP, .serves_faults = true)
TORN(E6_torn_if_nothing_is_flushed, ONE, UP, .never_flushes = true)
