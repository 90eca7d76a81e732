/* SPDX-License-Identifier: MIT */
/** @file bench/rivals/play.c  One random program, from the first space to the last exit. See play.h. */
#include "bench/rivals/play.h"

static struct actor *pick_living(struct play *p)
{
    const unsigned at = (unsigned)prng_below(&p->rng, PLAY_SPACES);
    for (unsigned i = 0; i < PLAY_SPACES; i++) {
        struct actor *a = &p->actor[(at + i) % PLAY_SPACES];
        if (a->s) return a;
    }
    return NULL;
}

/* A child of somebody living, or a group of its own. */
static void birth(struct play *p)
{
    struct actor *parent = pick_living(p), *a = p->actor;
    while (a < p->actor + PLAY_SPACES && a->s) a++;
    if (a == p->actor + PLAY_SPACES) return;
    if (parent && !prng_chance(&p->rng, 1, 6))
        play_fork(p, parent, a);
    else
        a->s = p->system->create(p->w);
}

static void step(struct play *p)
{
    struct actor *a = pick_living(p);
    const uint64_t dice = prng_below(&p->rng, 100);
    if (!a || dice < 8) {
        birth(p);
        return;
    }
    if (dice < 12)
        play_exit(p, a);
    else if (dice < 22)
        play_map(p, a);
    else if (dice < 26)
        play_unmap(p, a);
    else if (dice < 34)
        play_move(p, a);
    else if (dice < 58)
        play_touch(p, a, 1 + (unsigned)prng_below(&p->rng, 8));
    else if (dice < 70)
        play_read(p, a);
    else if (dice < 78)
        play_verb(p, BENCH_LOOK);
    else if (dice < 82)
        play_verb(p, BENCH_AGE);
    else if (dice < 86)
        play_verb(p, BENCH_PROTECT);
    else if (dice < 91)
        play_verb(p, BENCH_UNMAP);
    else if (dice < 95)
        play_verb(p, BENCH_MIGRATE);
    else
        play_evict(p);
}

/* Nothing may be left of all that was kept for mappings, regions and spaces. */
static void check_empty(struct play *p)
{
    const struct bench_bytes bytes = bench_bytes_of(p->system, p->w);
    CHECK_EQ(bytes.mappings, 0);
    CHECK_EQ(bytes.regions, 0);
    CHECK_EQ(bytes.spaces, 0);
    CHECK_EQ(p->system->frames_free(p->w), PLAY_FRAMES);
}

void play(const struct bench_system *system, uint64_t seed, unsigned steps, bool contents, bool track)
{
    static struct play p; /* too large for a stack */
    p = (struct play){.system = system, .contents = contents};
    prng_init(&p.rng, seed);
    p.w = system->open(&(struct bench_options){.frames = PLAY_FRAMES, .contents = contents, .track = track});
    for (unsigned i = 0; i < steps; i++) {
        step(&p);
        if (i % 16 == 0) play_check(&p);
    }
    play_check(&p);
    for (struct actor *a; (a = pick_living(&p));) play_exit(&p, a);
    check_empty(&p);
    system->close(p.w); /* which ends the program if a slot or a byte is left */
}
