/* SPDX-License-Identifier: MIT */
/** @file unit/test_interleave_move.c  A move, stopped at each step, while others read, write, leave and evict. */
#include "unit/interleave.h"

/* clang-format off */
/* B5, B6, E3.  0 on swap in S and X; X moves its entry while S swaps its own in: whose is the slot? */
SCRIPT(interleave_move, B6_a_slot_that_a_sibling_swaps_in_is_not_the_movers, 5, .spaces = 2, .start = DEVICE,
       .main = {MOVE, X}, .task = {{{READ, S}}})
SCRIPT(interleave_move, B5_a_cached_page_that_a_sibling_maps_is_not_the_movers, 5, .spaces = 2, .start = CACHED,
       .main = {MOVE, X}, .task = {{{READ, S}, {UNMAP, S}}})
SCRIPT(interleave_move, B6_read_evicted_and_read_again_by_a_sibling, 20, .spaces = 2, .start = DEVICE,
       .main = {MOVE, X}, .task = {{{READ, S}, {EVICT, S}}})
SCRIPT(interleave_move, B5_the_cached_page_is_evicted_while_the_mover_reaches_for_it, 5, .spaces = 2, .start = CACHED,
       .main = {MOVE, X}, .task = {{{EVICT, S}, {READ, S}}})
/* clang-format on */
