/* SPDX-License-Identifier: MIT */
/**
 * @file property/test_core_random.c  Random operations on the core alone, against an exact oracle (DESIGN 12).
 *
 * At most twelve spaces of eight pages: forks (also in steps, with verbs, writes and exits in between, and aborted),
 * exits, execs, writes with copy on write, reads with swap-in, zaps, moves, protections, pins, and batches of the page
 * verbs. After every operation the tables are compared with the oracle, the mappers of pages and the holders of slots
 * with what look-ups find, in the middle of forks, too, and rmap_verify must agree. A run is many games; game n of a test has the seed SEED + n, so that SEED=m OPS=k alone plays
 * the game that failed. OPS is the number of operations of each test.
 *
 * Scenarios on the way: A2 A5 A6 A10 A13 A15 A16, B1 B2 B4-B7 B9 B10 B12 B13, C2 C4 C7-C13, D1-D5 D7-D10, E2 E4 E5 E7.
 */
#include "property/kin.h"

#include <signal.h>

#define GAME_OPS 400
#define SEED(test) (20040311 + 1000000 * (test)) /* the day of the first mail */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef SANITIZED
#define SLOWER 4
#else
#define SLOWER 1
#endif

/* Known to the handlers: a crash, or a check of the world's that fails, is reported like a failure. */
static struct kin game;
static volatile sig_atomic_t playing;

static void report_left(void)
{
    if (playing) kin_report(&game);
    playing = 0;
}

static void report_crash(int signal)
{
    report_left(); /* not async-signal-safe; the process is lost anyway */
    raise(signal); /* the disposition is the default one again (SA_RESETHAND) */
}

static void watch(void)
{
    static const int signals[] = {SIGABRT, SIGTERM, SIGSEGV};
    static bool at_exit;
    const struct sigaction action = {.sa_handler = report_crash, .sa_flags = (int)SA_RESETHAND};
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
    report_left(); /* of the test before this one */
    if (!at_exit) atexit(report_left);
    at_exit = true;
}

static void play(unsigned test, enum kin_layout layout, uint64_t ops)
{
    uint64_t seed = prng_seed_of_run(SEED(test)), all;
    const char *text = getenv("OPS");
    ops = text && *text ? strtoull(text, NULL, 0) : ops / SLOWER;
    struct kin_totals totals = {0};
    watch();
    for (all = ops; ops; seed++) {
        uint64_t n = ops < GAME_OPS ? ops : GAME_OPS;
        kin_begin(&game, seed, layout, &totals);
        playing = 1;
        kin_play(&game, n);
        kin_end(&game);
        playing = 0;
        ops -= n;
    }
    kin_totals_print(&totals);
#define KIN_TOTAL_SEEN(name)                                                                                           \
    if (all >= 20000 && !totals.name) TEST_FAIL("in %llu operations there were no " #name, (unsigned long long)all);
    KIN_TOTALS(KIN_TOTAL_SEEN)
#undef KIN_TOTAL_SEEN
}

RMAP_TEST(core_random, agrees_with_the_oracle_where_pages_are_neighbours)
{
    play(1, KIN_DENSE, 300000);
}
RMAP_TEST(core_random, agrees_with_the_oracle_where_pages_lie_in_many_tables)
{
    play(2, KIN_SPREAD, 150000);
}
