/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_interleave_swap.c  Swap-in and eviction, stopped at each step, against each other and against exits (C1, C6, C9,
 * A12).
 *
 * After every schedule each space reads what it wrote last, every mapping is found, slots are counted (INV-3), and frames, slots and
 * memory are all given back.
 */
#include "unit/interleave.h"

/* clang-format off */
/* C1.  S and X have swap entries of vpn 0, the page is still cached: S swaps in; X's unmap, write and eviction in between */
SCRIPT(interleave_swap, C1_swap_in_against_an_eviction, 3, .spaces = 2, .start = CACHED, .main = {READ, S}, .task = {{{EVICT, X}}})
SCRIPT(interleave_swap, C1_swap_in_against_swap_in_and_unmap, 42, .spaces = 2, .start = CACHED,
       .main = {READ, S}, .task = {{{READ, X}, {UNMAP, X}, {EVICT, X}}})
SCRIPT(interleave_swap, C1_an_eviction_is_stopped_while_both_swap_in, 4, .spaces = 2, .start = CACHED,
       .main = {EVICT, S}, .task = {{{READ, S}}, {{READ, X}}})
SCRIPT(interleave_swap, C1_an_unmap_is_stopped_while_others_swap_in, 9, .spaces = 3, .start = S_READ_BACK,
       .main = {UNMAP, S}, .task = {{{READ, X}, {WRITE, X}}, {{READ, Y}}})
SCRIPT(interleave_swap, C1_an_unmap_is_stopped_while_mappers_and_entries_go, 252, .spaces = 3, .start = S_READ_BACK,
       .main = {UNMAP, S}, .task = {{{ZAP, S}}, {{ZAP, X}, {EXIT, Y}}})
SCRIPT(interleave_swap, C1_an_unmap_is_stopped_while_its_mapper_writes, 24, .spaces = 2,
       .main = {UNMAP, S}, .task = {{{WRITE, S}}, {{READ, X}}})
/* on the device: the load is stopped, too, in the middle of its read */
SCRIPT(interleave_swap, C1_two_load_at_once, 4, .spaces = 2, .start = DEVICE, .main = {READ, S}, .task = {{{READ, X}}})
SCRIPT(interleave_swap, C1_two_load_at_once_both_stopped, 279, .spaces = 2, .start = DEVICE, .nested = true,
       .main = {READ, S}, .task = {{{READ, X}, {WRITE, X}}, {{EVICT, X}}})
SCRIPT(interleave_swap, C1_two_load_and_write, 65, .spaces = 2, .start = DEVICE,
       .main = {WRITE, S}, .task = {{{WRITE, X}}, {{EVICT, X}}})
SCRIPT(interleave_swap, C1_the_entry_goes_while_it_is_loaded, 33, .spaces = 2, .start = DEVICE,
       .main = {READ, S}, .task = {{{ZAP, S}}, {{READ, X}}})
SCRIPT(interleave_swap, C1_the_slots_last_entries_go_while_it_is_loaded, 49, .spaces = 2, .start = DEVICE,
       .main = {READ, S}, .task = {{{ZAP, S}}, {{ZAP, X}}})
SCRIPT(interleave_swap, C1_the_slot_is_freed_and_used_again_while_it_is_loaded, 153, .spaces = 2, .start = DEVICE,
       .slots = 1, .main = {READ, S}, .task = {{{EXIT, X}, {ZAP, S}, {WRITE, S}, {EVICT, S}}})
SCRIPT(interleave_swap, C1_a_write_fault_while_the_others_load_and_leave, 1001, .spaces = 3, .start = DEVICE,
       .main = {WRITE, S}, .task = {{{READ, X}, {ZAP, X}}, {{EXIT, Y}}})
SCRIPT(interleave_swap, C1_two_write_faults_on_the_device_both_stopped, 264, .spaces = 2, .start = DEVICE, .nested = true,
       .main = {WRITE, S}, .task = {{{WRITE, X}}, {{ZAP, X}}})

/* C9.  the first comes home, the next widens: both orders, and while one of them forks, moves or leaves */
SCRIPT(interleave_swap, C9_two_swap_in_stopped, 29, .spaces = 2, .start = CACHED, .nested = true,
       .main = {READ, S}, .task = {{{READ, X}}, {{AGE, X}}})
SCRIPT(interleave_swap, C9_three_swap_in, 36, .spaces = 3, .start = CACHED, .nested = true,
       .main = {READ, Y}, .task = {{{READ, X}}, {{READ, S}}})
SCRIPT(interleave_swap, C9_swap_in_while_another_forks, 105, .spaces = 2, .start = CACHED,
       .main = {READ, X}, .task = {{{FORK, S}, {READ, S}}, {{AGE, X}}})
SCRIPT(interleave_swap, C9_a_fork_of_entries_is_stopped_while_another_swaps_in, 553, .spaces = 2, .start = CACHED,
       .main = {FORK, S}, .task = {{{READ, X}, {ZAP, X}}, {{AGE, X}}})
SCRIPT(interleave_swap, C9_swap_in_while_another_moves_its_entry, 78, .spaces = 2, .start = CACHED,
       .main = {READ, X}, .task = {{{MOVE, S}, {READ, S}}, {{AGE, X}}})
SCRIPT(interleave_swap, C9_swap_in_while_the_owner_exits, 33, .spaces = 3, .start = CACHED,
       .main = {READ, Y}, .task = {{{EXIT, S}}, {{READ, X}}})

/* C6.  the slot can take one entry, or two, of three: what unmap did before stays right, whatever else happens */
SCRIPT(interleave_swap, C6_the_count_overflows_in_unmap_at_the_second, 108, .spaces = 3, .slot_max = 1,
       .main = {UNMAP, S}, .task = {{{READ, S}}, {{ZAP, X}}})
SCRIPT(interleave_swap, C6_the_count_overflows_in_unmap_at_the_third, 6, .spaces = 3, .slot_max = 2,
       .main = {UNMAP, S}, .task = {{{WRITE, X}}, {{EXIT, Y}}})
SCRIPT(interleave_swap, C6_the_count_overflows_in_a_fork, 18, .spaces = 2, .start = CACHED, .slot_max = 2,
       .main = {FORK, X}, .task = {{{READ, S}}, {{READ, X}}})
SCRIPT(interleave_swap, C6_an_eviction_that_overflows_while_a_mapper_writes, 22, .spaces = 3, .slot_max = 2,
       .main = {EVICT, S}, .task = {{{WRITE, Y}}, {{READ, S}, {EVICT, X}}})

/* A12.  a space ends while its page is in the swap cache, before, during and after an eviction that holds the page's lock */
SCRIPT(interleave_swap, A12_the_only_space_exits_during_an_eviction, 2, .spaces = 1,
       .main = {EVICT, S}, .task = {{{EXIT, S}}})
SCRIPT(interleave_swap, A12_the_only_space_exits_during_an_eviction_of_a_cached_page, 2, .spaces = 1, .start = CACHED,
       .main = {EVICT, S}, .task = {{{EXIT, S}}})
SCRIPT(interleave_swap, A12_both_spaces_exit_during_an_eviction, 8, .spaces = 2, .start = CACHED,
       .main = {EVICT, S}, .task = {{{EXIT, S}}, {{EXIT, X}}})
SCRIPT(interleave_swap, A12_both_exit_during_an_unmap, 13, .spaces = 2, .start = S_READ_BACK,
       .main = {UNMAP, S}, .task = {{{EXIT, S}}, {{EXIT, X}}})
SCRIPT(interleave_swap, A12_an_exit_is_stopped_while_its_page_is_evicted, 26, .spaces = 2, .start = CACHED,
       .main = {EXIT, S}, .task = {{{EVICT, X}}, {{EXIT, X}}})
SCRIPT(interleave_swap, A12_an_exit_is_stopped_while_its_page_is_evicted_step_by_step, 30, .spaces = 2, .start = CACHED,
       .nested = true, .main = {EXIT, S}, .task = {{{EVICT, X}}, {{EXIT, X}}})
SCRIPT(interleave_swap, A12_an_exit_is_stopped_while_the_other_swaps_in, 53, .spaces = 2, .start = CACHED, .nested = true,
       .main = {EXIT, S}, .task = {{{READ, X}}, {{EVICT, X}}})
SCRIPT(interleave_swap, A12_the_last_swap_in_and_the_last_exit, 49, .spaces = 2, .start = DEVICE,
       .main = {READ, X}, .task = {{{EXIT, S}}, {{ZAP, X}}})
/* clang-format on */
