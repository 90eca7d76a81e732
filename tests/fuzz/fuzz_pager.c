/* SPDX-License-Identifier: MIT */
/**
 * @file fuzz/fuzz_pager.c  Operations on a pager, chosen by the input, against the exact oracle of property/game.h.
 *
 * The first byte chooses the MMU and whether memory and device fail, the next ones draw the configuration, all others
 * the operations. With failures each allocation, and each page that the device reads or writes, takes a byte, too: that
 * byte says whether it fails. Pager and device live in one process with the host's windows only where a byte asks for
 * them: they are slow.
 */
#include "fuzz/fuzz.h"
#include "property/game.h"

#define OPS_MAX 200

static struct game game;

static void report(void)
{
    game_report(&game);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const enum game_mmu mmus[] = {GAME_TLB, GAME_RADIX, GAME_TLB, GAME_HOST};
    static struct game_totals totals;
    struct fuzz f;
    fuzz_begin(&f, bytes, n);
    fuzz_report = report;
    const unsigned how = fuzz_below(&f, 8);
    game_begin_tape(&game, &f.tape, mmus[how & 3], how & 4, &totals);
    while (fuzz_more(&f) && game.op < OPS_MAX) game_play(&game, 1);
    game_end(&game);
    return 0;
}
