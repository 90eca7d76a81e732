/* SPDX-License-Identifier: MIT */
/**
 * @file property/test_pager_random.c  Random operations on a pager, against an exact oracle (DESIGN 12).
 *
 * After every operation: each page of each space says what it must, each frame is mapped exactly where the tables say
 * and where a walk finds it, counts and references are exact, every cached translation is backed by its entry. A run is
 * many games, each with a configuration of its own; game n of a test has the seed SEED + n, so that SEED=m OPS=k alone
 * plays the game that failed. OPS is the number of operations of each test (0: none).
 *
 * Scenarios on the way: A2 A5 A10 A12 A13 A16, B1 B2 B4-B7 B9-B13 B15, C2-C5 C7-C13, D1-D5 D8-D10, E1 E3-E5 E7,
 * H1 H2.
 */
#include "property/game.h"
#include "support/test.h"

#include <signal.h>

#define GAME_OPS 1500
#define SEED(test) (20040313 + 1000 * (test)) /* the day of the mail */

/* Not on the stack, and known to the signal handler: a crash is reported like a failure. */
static struct game game;
static volatile sig_atomic_t playing;

static void report_crash(int signal)
{
    if (playing) game_report(&game); /* not async-signal-safe; the process is lost anyway */
    playing = 0;
    raise(signal); /* the disposition is the default one again (SA_RESETHAND) */
}

static void catch_crashes(void)
{
    static const int signals[] = {SIGABRT, SIGTERM};
    const struct sigaction action = {.sa_handler = report_crash, .sa_flags = (int)SA_RESETHAND};
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
}

/* A run that never came to one of these shows less than it says. */
static void check_totals(const struct game_totals *t, enum game_mmu mmu, bool errors)
{
    const uint64_t all[] = {t->done,           t->refused,          t->no_frame,   t->forks,
                            t->copies,         t->reuses,           t->swap_ins,   t->evictions,
                            t->reindexed,      t->copied,           t->swap_moved, t->swap_shared,
                            t->swap_in_copies, t->shared_evictions, t->tightened,  t->vacated,
                            t->swapoffs,       t->tracked};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (!all[i]) TEST_FAIL("number %u of the sums is 0", i);
    CHECK(!errors || (t->device_errors > 0 && t->failed_allocations > 0));
    CHECK(mmu != GAME_TLB || t->last_stores > 0);
}

static void play(unsigned test, enum game_mmu mmu, bool errors, uint64_t ops)
{
    uint64_t seed = prng_seed_of_run(SEED(test));
    const char *text = getenv("OPS");
    const bool whole = !text || !*text;
    if (!whole) ops = strtoull(text, NULL, 0);
    struct game_totals totals = {0};
    catch_crashes();
    for (; ops; seed++) {
        uint64_t n = ops < GAME_OPS ? ops : GAME_OPS;
        game_begin(&game, seed, mmu, errors, &totals);
        playing = 1;
        game_play(&game, n);
        game_end(&game);
        playing = 0;
        ops -= n;
    }
    game_totals_print(&totals);
    if (whole) check_totals(&totals, mmu, errors);
}

RMAP_TEST(pager_random, agrees_on_radix_tables)
{
    play(1, GAME_RADIX, false, 60000);
}
RMAP_TEST(pager_random, agrees_on_radix_tables_with_failures)
{
    play(2, GAME_RADIX, true, 40000);
}
RMAP_TEST(pager_random, agrees_behind_a_tlb)
{
    play(3, GAME_TLB, false, 100000);
}
RMAP_TEST(pager_random, agrees_behind_a_tlb_with_failures)
{
    play(4, GAME_TLB, true, 40000);
}
RMAP_TEST(pager_random, agrees_on_host_windows)
{
    play(5, GAME_HOST, false, 20000);
}
RMAP_TEST(pager_random, agrees_on_host_windows_with_failures)
{
    play(6, GAME_HOST, true, 10000);
}
