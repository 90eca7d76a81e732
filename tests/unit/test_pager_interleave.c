/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_pager_interleave.c  The pager's write fault, stopped at each of its steps: E1 (CVE-2016-5195), E3, E4, C1.
 *
 *     rmap_space_write(S):  ●─ look ─●─ lock page, compare, decide ─●─ copy, compare, install ─●─ done      swap: ● load ●
 *
 * At each ● (before a run is locked, after it is unlocked, after it is looked into without the lock, in the device's read and write) everything happens in all orders that another
 * thread can do: drops of the entry, faults of both spaces, reclaim. It is played by the same thread, inside the main act, so it
 * enters below the calls that would refuse that (rmap__fault, rmap_zap, rmap__reclaim).
 *
 * The world: S and X forked from S; both map page 7, which says 1.
 */
#include "support/other_thread.h"
#include "support/choices.h"
#include "unit/pager_world.h"

#include <pager/pager_internal.h>
#include <stdlib.h>

#define AT 7

enum { S, X, SPACES };
enum op { NOTHING, WRITE, READ, DROP, RECLAIM };
struct act {
    enum op op;
    unsigned who;
};
enum start { PRESENT, ON_SWAP, S_READ_BACK, ALONE, ALONE_ON_SWAP };
struct script {
    enum start start;
    struct act main, task[2][4]; /* each ends with NOTHING */
};

static struct scene {
    struct world w;
    struct rmap_space *s[SPACES];
    uint64_t value[SPACES], other[SPACES], version; /* what it says; either, if a drop and a write met */
    unsigned changes[SPACES];
    uint64_t pending[SPACES]; /* written by an act that is stopped: whoever reads may see it */
    const struct script *script;
    unsigned next[2], runs[SPACES];
    bool watching;
    uint64_t points;
    struct rmap_mmu_ops ops;
    const struct rmap_mmu_ops *own;
} x;

static struct rmap_member *member(unsigned who)
{
    return rmap__space_member(x.s[who]);
}

/* Of the page that the space maps, or that is cached for its swap entry. */
static bool page_is_free(unsigned who)
{
    const struct rmap_pte_format *f = &rmap_pte_format_soft;
    const struct rmap_mmu mmu = {x.own, member(who)->mmu.ctx, member(who)->mmu.pages};
    struct rmap_slot_home home = {0};
    rmap_pte_t e = rmap_radix_peek(&mmu, AT);
    struct rmap_page *page = rmap_pte_maps(f, e) ? rmap_page_find(x.w.r, rmap_pte_pfn(f, e)) : NULL;
    if (rmap_pte_kind(f, e) == RMAP_PTE_SWAP &&
        !rmap_swap_get_ops()->get_home(rmap_pager_swap(x.w.p), rmap_pte_swp(f, e), &home))
        page = home.cached;
    return !page || !(rmap_page_flags(page) & RMAP_PAGE_LOCKED);
}

static bool possible(struct act a)
{
    const bool runs = x.runs[S] || x.runs[X];
    switch (a.op) {
    case NOTHING:
        return false;
    case DROP:
        return !x.runs[a.who];
    case RECLAIM:
        return !runs && !x.w.p->reclaiming;
    default:
        return !runs && page_is_free(a.who); /* a frame may be wanted, which may reclaim */
    }
}

static void fault(unsigned who, bool write, uint64_t *value)
{
    const struct rmap__touch t = {.bounce = value, .bytes = sizeof *value, .write = write};
    CHECK_OK(rmap__fault(x.s[who], AT, write ? RMAP_WRITE : RMAP_READ, &t));
}

static void act(struct act a, bool main)
{
    const unsigned changes = x.changes[a.who];
    uint64_t version = a.op == WRITE ? ++x.version : 0, got = 0;
    const uint64_t value = x.value[a.who], other = x.other[a.who];
    if (a.op == WRITE || a.op == DROP) x.other[a.who] = version; /* until it is done: either */
    if (main) x.pending[a.who] = version;
    switch (a.op) {
    case WRITE:
        if (main)
            CHECK_OK(rmap_space_write(x.s[a.who], AT * PAGE, &version, sizeof version, NULL));
        else
            fault(a.who, true, &version);
        break;
    case READ:
        if (main)
            CHECK_OK(rmap_space_read(x.s[a.who], AT * PAGE, &got, sizeof got, NULL));
        else
            fault(a.who, false, &got);
        CHECK(got == value || got == other || got == x.value[a.who] || got == x.other[a.who] ||
              got == x.pending[a.who]);
        return;
    case DROP:
        CHECK_OK(rmap_zap(member(a.who), AT, 1, NULL));
        break;
    case RECLAIM:
        if (main)
            CHECK(rmap_reclaim(x.w.p, 8) >= 0);
        else if (rmap__reclaim_begin(x.w.p)) {
            rmap__reclaim(x.w.p, 8);
            rmap__reclaim_end(x.w.p);
        }
        return;
    case NOTHING:
        return;
    }
    x.other[a.who] = changes == x.changes[a.who] ? version : x.value[a.who];
    x.value[a.who] = version;
    x.changes[a.who]++;
}

static void point(void)
{
    if (!x.watching) return;
    x.watching = false;
    x.points++;
    for (;;) {
        unsigned n = 1, task[3] = {0};
        for (unsigned i = 0; i < 2; i++)
            if (possible(x.script->task[i][x.next[i]])) task[n++] = i;
        unsigned c = choose(n);
        if (!c) break;
        const struct act a = x.script->task[task[c]][x.next[task[c]]++];
        AS_ANOTHER_THREAD(act(a, false));
    }
    x.watching = true;
}

static unsigned whose(const void *mmu)
{
    return mmu == member(X)->mmu.ctx ? X : S;
}
static int find(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    point();
    int err = x.own->run_find(mmu, vpn, end, run);
    x.runs[whose(mmu)] += !err;
    return err;
}
static void peek(void *const *mmus, size_t n, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *runs)
{
    for (size_t i = 0; i < n; i++) {
        x.own->run_peek(&mmus[i], 1, vpn, end, &runs[i]);
        point();
    }
}
static void lock(void *mmu, struct rmap_mmu_run *run)
{
    point();
    x.own->run_lock(mmu, run);
    x.runs[whose(mmu)]++;
    point();
}
static int make(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    point();
    int err = x.own->run_make(mmu, vpn, t, run);
    x.runs[whose(mmu)] += !err;
    return err;
}
static void unlock(void *mmu, struct rmap_mmu_run *run)
{
    x.own->run_unlock(mmu, run);
    x.runs[whose(mmu)]--;
    point();
}
static void device(struct faulty_device *f)
{
    f->during_read = f->during_write = device;
    point();
}

static void watch(void)
{
    x.own = member(S)->mmu.ops;
    x.ops = *x.own;
    x.ops.run_find = find;
    x.ops.run_peek = peek;
    x.ops.run_lock = lock;
    x.ops.run_make = make;
    x.ops.run_unlock = unlock;
    member(S)->mmu.ops = member(X)->mmu.ops = &x.ops;
    x.w.device.during_read = x.w.device.during_write = device;
}

static void play(const struct script *sc)
{
    const uint64_t points = x.points;
    memset(&x, 0, sizeof x);
    x.points = points;
    x.script = sc;
    world_init(&x.w, 32, sc->start == ALONE_ON_SWAP ? 1 : 32, 0); /* one slot: it can only come back */
    x.s[S] = space_new(&x.w);
    map_at(x.s[S], AT, 1, RW);
    put(x.s[S], AT, 1);
    x.s[X] = space_fork(&x.w, x.s[S]);
    x.value[S] = x.value[X] = x.other[S] = x.other[X] = x.version = 1;
    if (sc->start != PRESENT && sc->start != ALONE) evict_all(&x.w);
    if (sc->start == S_READ_BACK) CHECK_EQ(get(x.s[S], AT), 1);
    if (sc->start == ALONE || sc->start == ALONE_ON_SWAP) {
        CHECK_OK(rmap_zap(member(X), AT, 1, NULL));
        x.value[X] = x.other[X] = 0;
    }
    watch();
    for (bool done = false;;) {
        unsigned n = 0, task[3] = {0};
        for (unsigned i = 0; i < 2; i++)
            if (possible(sc->task[i][x.next[i]])) task[n++] = i;
        if (!done) task[n++] = 2;
        if (!n) break;
        unsigned i = task[choose(n)];
        x.watching = i == 2;
        if (i == 2)
            act(sc->main, done = true);
        else
            act(sc->task[i][x.next[i]++], true);
        x.watching = false;
    }
    member(S)->mmu.ops = member(X)->mmu.ops = x.own;
    x.w.device.during_read = x.w.device.during_write = NULL;
    world_verify(&x.w);
    for (unsigned i = 0; i < SPACES; i++) {
        uint64_t got = 0;
        CHECK_OK(rmap_space_read(x.s[i], AT * PAGE, &got, sizeof got, NULL));
        if (got != x.value[i] && got != x.other[i]) TEST_FAIL("space %u reads %u", i, (unsigned)got);
    }
    for (unsigned i = 0; i < SPACES; i++) put(x.s[i], AT, 100 + i);
    for (unsigned i = 0; i < SPACES; i++) CHECK_EQ(get(x.s[i], AT), 100 + i);
    world_fini(&x.w);
}

#define SCRIPT(name, least, ...)                                                                                       \
    RMAP_TEST(pager_interleave, name)                                                                                  \
    {                                                                                                                  \
        static const struct script sc = {__VA_ARGS__};                                                                 \
        unsigned n = 0;                                                                                                \
        memset(&schedule, 0, sizeof schedule);                                                                         \
        x.points = 0;                                                                                                  \
        do {                                                                                                           \
            play(&sc);                                                                                                 \
            n++;                                                                                                       \
        } while (schedule_next());                                                                                     \
        if (getenv("VERBOSE")) fprintf(stderr, "%s: %u schedules\n", #name, n);                                        \
        CHECK(x.points > 0);                                                                                           \
        CHECK_LE(least, n);                                                                                            \
    }

/* clang-format off */
/* The read has seen a swap entry; the write reads it in and frees its slot; the slot is dead; reclaim gives the page the same one again. */
SCRIPT(C1_a_slot_that_died_names_the_entry_again, 21, .start = ALONE_ON_SWAP, .main = {READ, S}, .task = {{{WRITE, S}, {RECLAIM, S}}})
SCRIPT(E1_the_entry_is_dropped_while_its_write_is_under_way, 9, .main = {WRITE, S}, .task = {{{DROP, S}}})
SCRIPT(E1_dropped_and_read_again_and_dropped, 339, .main = {WRITE, S}, .task = {{{DROP, S}, {READ, S}, {DROP, S}}})
SCRIPT(E1_dropped_while_the_other_space_writes, 66, .main = {WRITE, S}, .task = {{{DROP, S}}, {{WRITE, X}}})
SCRIPT(E1_dropped_and_written_by_another_thread, 606, .main = {WRITE, S}, .task = {{{DROP, S}, {WRITE, S}}, {{READ, X}}})
SCRIPT(E1_reclaim_evicts_between_the_steps, 71, .main = {WRITE, S}, .task = {{{RECLAIM, S}}, {{READ, X}}})
SCRIPT(E1_reclaim_evicts_and_the_entry_is_dropped, 918, .main = {WRITE, S}, .task = {{{RECLAIM, S}}, {{DROP, S}, {READ, S}}})
SCRIPT(E4_the_other_space_drops_it, 93, .main = {WRITE, S}, .task = {{{DROP, X}}, {{RECLAIM, S}}})
SCRIPT(E4_alone_and_dropped, 312, .start = ALONE, .main = {WRITE, S}, .task = {{{DROP, S}, {WRITE, S}}, {{WRITE, X}}})
SCRIPT(E3_the_sibling_swaps_in, 15, .start = S_READ_BACK, .main = {WRITE, S}, .task = {{{READ, X}, {WRITE, X}}})
SCRIPT(E3_the_siblings_swap_entry_goes, 93, .start = S_READ_BACK, .main = {WRITE, S}, .task = {{{DROP, X}}, {{RECLAIM, S}}})
SCRIPT(E3_a_swap_in_is_stopped_while_the_sharer_writes, 27, .start = S_READ_BACK, .main = {READ, X}, .task = {{{WRITE, S}}, {{DROP, S}}})
SCRIPT(C1_two_swap_in_and_write, 63, .start = ON_SWAP, .main = {WRITE, S}, .task = {{{WRITE, X}}, {{RECLAIM, S}}})
SCRIPT(C1_a_swap_in_while_the_entries_go, 459, .start = ON_SWAP, .main = {READ, S}, .task = {{{DROP, S}, {READ, S}}, {{DROP, X}}})
SCRIPT(C1_a_write_fault_on_swap_while_the_slot_is_freed_and_used_again, 3553, .start = ON_SWAP,
       .main = {WRITE, S}, .task = {{{DROP, S}, {WRITE, S}, {RECLAIM, S}}, {{DROP, X}}})
SCRIPT(C1_reclaim_is_stopped_while_both_fault, 9, .main = {RECLAIM, S}, .task = {{{WRITE, S}, {READ, S}}, {{WRITE, X}}})
SCRIPT(C1_reclaim_is_stopped_while_entries_go, 1743, .main = {RECLAIM, S}, .task = {{{DROP, S}, {WRITE, S}}, {{DROP, X}}})
/* clang-format on */
