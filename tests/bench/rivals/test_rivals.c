/* SPDX-License-Identifier: MIT */
/**
 * @file bench/rivals/test_rivals.c  Every measured system does the same work, and finds every mapping: random programs of forks,
 * faults, moves, swap and exits, with a book that knows who maps what (play.h). What is compared must be right first.
 */
#include "bench/rivals/play.h"

#ifndef PROGRAMS
#define PROGRAMS 24 /* fewer under sanitizers: meson.build */
#endif
#define STEPS 2000

static const char *const names[] = {"objrmap",    "pv_chunk", "pte_chain", "anon_vma_chain",
                                    "flat_group", "anonmm",   "full_scan"};

static const struct bench_system *find(const char *name)
{
    for (const struct bench_system *const *s = bench_systems; *s; s++)
        if (!strcmp((*s)->name, name)) return *s;
    return NULL;
}

static void play_all(const char *name, bool track)
{
    const struct bench_system *system = find(name);
    const uint64_t seed = prng_seed_of_run(1);
    CHECK(system); /* which ends the test: a system that is missing in the table is not tested by anybody */
    for (unsigned i = 0; i < PROGRAMS; i++) play(system, seed + i, STEPS, i % 2, track);
}

RMAP_TEST(rivals, objrmap_finds_every_mapping)
{
    play_all("objrmap", false);
}

RMAP_TEST(rivals, objrmap_tracking_finds_every_mapping)
{
    play_all("objrmap", true);
}

RMAP_TEST(rivals, pv_chunk_finds_every_mapping)
{
    play_all("pv_chunk", false);
}

RMAP_TEST(rivals, pte_chain_finds_every_mapping)
{
    play_all("pte_chain", false);
}

RMAP_TEST(rivals, anon_vma_chain_finds_every_mapping)
{
    play_all("anon_vma_chain", false);
}

RMAP_TEST(rivals, flat_group_finds_every_mapping)
{
    play_all("flat_group", false);
}

RMAP_TEST(rivals, anonmm_finds_every_mapping)
{
    play_all("anonmm", false);
}

RMAP_TEST(rivals, full_scan_finds_every_mapping)
{
    play_all("full_scan", false);
}

RMAP_TEST(rivals, every_system_of_the_table_is_played)
{
    for (const struct bench_system *const *s = bench_systems; *s; s++) {
        bool known = false;
        for (unsigned i = 0; i < sizeof names / sizeof *names; i++) known |= !strcmp((*s)->name, names[i]);
        CHECK(known);
    }
}
