/* SPDX-License-Identifier: MIT */
/**
 * @file fuzz/fuzz_core.c  Operations on the core, chosen by the input, against the exact oracle of property/kin.h.
 *
 * The first byte is the layout, the next ones draw the configuration (geometry, capabilities, slots, whether allocators
 * fail), all others the operations: which one, on which space and page, and which allocation of it fails.
 */
#include "fuzz/fuzz.h"
#include "property/kin.h"

#define OPS_MAX 200

static struct kin game;

static void report(void)
{
    kin_report(&game);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static struct kin_totals totals;
    struct fuzz f;
    fuzz_begin(&f, bytes, n);
    fuzz_report = report;
    kin_begin_tape(&game, &f.tape, fuzz_below(&f, 4) ? KIN_DENSE : KIN_SPREAD, &totals);
    while (fuzz_more(&f) && game.op < OPS_MAX) kin_play(&game, 1);
    kin_end(&game);
    return 0;
}
