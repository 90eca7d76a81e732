/* SPDX-License-Identifier: MIT */
/** @file stress/delay.c  See the header. */
#include "stress/delay.h"
#include "support/prng.h"

#include <sched.h>
#include <time.h>

static _Thread_local struct {
    struct prng rng;
    unsigned per_1000;
} mine;

void delay_begin(uint64_t seed, unsigned per_1000)
{
    prng_init(&mine.rng, seed);
    mine.per_1000 = per_1000;
}

bool delay_chance(unsigned n)
{
    return prng_chance(&mine.rng, 1, n);
}

void delay(void)
{
    if (!mine.per_1000 || !prng_chance(&mine.rng, mine.per_1000, 1000)) return;
    const uint64_t kind = prng_below(&mine.rng, 8);
    if (kind < 2) { /* long enough for others to do whole operations */
        const struct timespec t = {.tv_nsec = (long)(1000 + prng_below(&mine.rng, 100000))};
        nanosleep(&t, NULL);
    } else if (kind < 4) {
        for (volatile unsigned i = (unsigned)prng_below(&mine.rng, 300); i; i--) continue;
    } else {
        sched_yield();
    }
}

void delay_seldom(void)
{
    if (mine.per_1000 && prng_chance(&mine.rng, 1, 8)) delay();
}
