/* SPDX-License-Identifier: MIT */
/** @file unit/test_interleave_move.c  A move, stopped at each step, while others read, write, leave and evict. */
#include "unit/interleave.h"

/* clang-format off */
/* B5, B6, E3.  0 on swap in S and X; X moves its entry while S swaps its own in: whose is the slot? */
SCRIPT(interleave_move, B6_a_slot_that_a_sibling_swaps_in_is_not_the_movers, 15, .spaces = 2, .start = DEVICE,
       .main = {MOVE, X}, .task = {{{READ, S}}})
SCRIPT(interleave_move, B5_a_cached_page_that_a_sibling_maps_is_not_the_movers, 66, .spaces = 2, .start = CACHED,
       .main = {MOVE, X}, .task = {{{READ, S}, {UNMAP, S}}})
SCRIPT(interleave_move, B6_read_evicted_and_read_again_by_a_sibling, 87, .spaces = 2, .start = DEVICE,
       .main = {MOVE, X}, .task = {{{READ, S}, {EVICT, S}}})
SCRIPT(interleave_move, B5_the_cached_page_is_evicted_while_the_mover_reaches_for_it, 136, .spaces = 2, .start = CACHED,
       .main = {MOVE, X}, .task = {{{EVICT, S}, {READ, S}}})
/* clang-format on */

/* clang-format off */
/* B3.  X moves vpn 0 to 1, stopped with the entry in flight; the page is aged, protected, unmapped, evicted, written */
SCRIPT(interleave_move, B3_a_shared_page_is_moved_while_it_is_walked, 256, .spaces = 2, .main = {MOVE, X}, .task = {{{AGE, S}}, {{PROTECT, S}}})
SCRIPT(interleave_move, B3_a_shared_page_is_moved_while_it_is_evicted_and_read, 305, .spaces = 2, .main = {MOVE, X}, .task = {{{EVICT, S}}, {{READ, S}}})
SCRIPT(interleave_move, B3_a_shared_page_is_moved_while_the_sharer_writes_or_leaves, 337, .spaces = 3, .main = {MOVE, X}, .task = {{{WRITE, S}}, {{EXIT, Y}}})
SCRIPT(interleave_move, B3_a_page_becomes_the_movers_own_in_the_middle, 37, .spaces = 2, .main = {MOVE, X}, .task = {{{ZAP, S}}, {{AGE, X}}})
SCRIPT(interleave_move, B3_a_walk_is_stopped_while_a_space_moves, 4, .spaces = 3, .main = {AGE, S}, .task = {{{MOVE, X}}, {{WRITE, Y}}})
SCRIPT(interleave_move, B3_an_eviction_is_stopped_while_a_space_moves, 339, .spaces = 3, .main = {EVICT, S}, .task = {{{MOVE, X}, {READ, X}}, {{ZAP, Y}}})
SCRIPT(interleave_move, B3_a_tracked_page_is_moved_while_it_is_walked, 147, .spaces = 2, .track = true, .main = {MOVE, X}, .task = {{{AGE, S}}, {{EVICT, S}}})
SCRIPT(interleave_move, B3_a_tracked_page_is_moved_while_the_sharer_writes_and_forks, 171, .spaces = 2, .track = true, .main = {MOVE, X}, .task = {{{FORK, S}}, {{WRITE, S}}})
SCRIPT(interleave_move, B3_a_tracked_page_is_moved_while_others_evict_step_by_step, 350, .spaces = 3, .track = true, .nested = true,
       .main = {MOVE, X}, .task = {{{EVICT, S}}, {{READ, Y}}})
SCRIPT(interleave_move, B5_a_tracked_swap_entry_is_moved_while_the_sharers_swap_in, 324, .spaces = 3, .start = DEVICE, .track = true, .nested = true,
       .main = {MOVE, X}, .task = {{{READ, S}}, {{READ, Y}}})
SCRIPT(interleave_move, B4_two_spaces_move_their_entries_of_one_slot, 2652, .spaces = 2, .start = CACHED, .nested = true,
       .main = {MOVE, X}, .task = {{{MOVE, S}, {READ, S}}, {{EVICT, S}}})
SCRIPT(interleave_move, B4_two_spaces_move_their_tracked_entries_of_one_slot, 2308, .spaces = 2, .start = CACHED, .nested = true, .track = true,
       .main = {MOVE, X}, .task = {{{MOVE, S}, {READ, S}}, {{EVICT, S}}})
SCRIPT(interleave_move, E2_a_pin_is_taken_while_a_shared_page_is_moved, 906, .spaces = 2, .main = {MOVE, X}, .task = {{{PIN, S}, {UNPIN, S}}, {{EXIT, S}}})
SCRIPT(interleave_move, E3_a_move_is_stopped_while_the_sharer_swaps_in, 5733, .spaces = 3, .start = S_READ_BACK,
       .main = {MOVE, S}, .task = {{{READ, X}, {ZAP, X}}, {{READ, Y}}})
SCRIPT(interleave_move, E3_a_move_is_stopped_while_the_sharers_entry_forks_and_goes, 697, .spaces = 2, .start = S_READ_BACK,
       .main = {MOVE, S}, .task = {{{FORK, X}, {EXIT, X}}, {{AGE, S}}})
/* clang-format on */
