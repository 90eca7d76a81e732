/* SPDX-License-Identifier: MIT */
/**
 * @file fuzz/fuzz.h  What the fuzzers share: one function each, its input as a tape of decisions, and the end of a run.
 *
 *     int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
 *     {
 *         struct fuzz f;
 *         fuzz_begin(&f, bytes, n);
 *         while (fuzz_more(&f)) switch (fuzz_below(&f, 3)) …
 *
 * Linked with libFuzzer (-Dfuzzer=true, clang) the function is fed with what the fuzzer invents; linked with
 * replay_main.c it is fed with the files of tests/fuzz/corpus, as an ordinary test. CHECK… and TEST_FAIL of
 * support/test.h end the process by abort() in both: nothing is jumped over, and the input stays.
 */
#ifndef RMAP_TESTS_FUZZ_FUZZ_H
#define RMAP_TESTS_FUZZ_FUZZ_H

#include "support/prng.h"
#include "support/test.h"

#include <stdint.h>

/** One input. The same input does the same each time; nothing may be left behind. @return 0. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/** Called when a check fails, before the process ends: prints what was being done. NULL: nothing. */
extern void (*fuzz_report)(void);

struct fuzz {
    struct tape tape;
    struct prng rng;
};

static inline void fuzz_begin(struct fuzz *f, const uint8_t *bytes, size_t n)
{
    f->tape = (struct tape){.at = bytes, .left = n};
    prng_init(&f->rng, n);
    f->rng.tape = &f->tape;
}

/** Are there bytes left to decide by? */
static inline bool fuzz_more(const struct fuzz *f)
{
    return f->tape.left > 0;
}

/** 0 … n-1; 0 at the end of the input. */
static inline unsigned fuzz_below(struct fuzz *f, unsigned n)
{
    return fuzz_more(f) ? (unsigned)prng_below(&f->rng, n) : 0;
}

/** Eight bytes as they are; 0 at the end of the input. */
static inline uint64_t fuzz_word(struct fuzz *f)
{
    return fuzz_more(f) ? prng_next(&f->rng) : 0;
}

#endif
