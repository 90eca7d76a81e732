/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_interleave_cow.c  A write that breaks copy-on-write, stopped at each step: it never lands in a page that others
 * see (E1, the shape of CVE-2016-5195), and a page is written in place only by its last user (E3, E4, B6).
 *
 * What each space must read is known, whatever happened in between; and at the end everybody writes and nobody else notices.
 */
#include "unit/interleave.h"

/* clang-format off */
/* E1.  S and X map vpn 0; S writes, stopped between look, decision, copy, flush and count; another thread of S drops the entry */
SCRIPT(interleave_cow, E1_the_entry_is_dropped_while_its_write_is_under_way, 4, .spaces = 2,
       .main = {WRITE, S}, .task = {{{ZAP, S}}})
SCRIPT(interleave_cow, E1_dropped_and_read_again, 44, .spaces = 2,
       .main = {WRITE, S}, .task = {{{ZAP, S}, {READ, S}, {ZAP, S}}})
SCRIPT(interleave_cow, E1_dropped_while_another_space_writes, 17, .spaces = 2,
       .main = {WRITE, S}, .task = {{{ZAP, S}}, {{WRITE, X}}})
SCRIPT(interleave_cow, E1_dropped_and_written_by_two_threads, 24, .spaces = 2,
       .main = {WRITE, S}, .task = {{{ZAP, S}}, {{WRITE, S}}})
SCRIPT(interleave_cow, E1_another_space_writes, 2, .spaces = 2, .main = {WRITE, S}, .task = {{{WRITE, X}}})
SCRIPT(interleave_cow, E1_two_others_write, 9, .spaces = 3, .main = {WRITE, S}, .task = {{{WRITE, X}}, {{WRITE, Y}}})
SCRIPT(interleave_cow, E1_others_write_and_are_stopped_too, 10, .spaces = 3, .nested = true,
       .main = {WRITE, S}, .task = {{{WRITE, X}}, {{WRITE, Y}}})
SCRIPT(interleave_cow, E1_reclaim_unmaps_between_the_steps, 2, .spaces = 2, .main = {WRITE, S}, .task = {{{UNMAP, X}}})
SCRIPT(interleave_cow, E1_reclaim_evicts_and_another_space_reads, 19, .spaces = 2,
       .main = {WRITE, S}, .task = {{{EVICT, X}}, {{READ, X}}})
SCRIPT(interleave_cow, E1_reclaim_unmaps_and_the_entry_is_dropped, 32, .spaces = 2,
       .main = {WRITE, S}, .task = {{{UNMAP, X}}, {{ZAP, S}}})
SCRIPT(interleave_cow, E1_write_protected_meanwhile, 10, .spaces = 2,
       .main = {WRITE, S}, .task = {{{PROTECT, X}}, {{AGE, X}}})
/* the other way round: the drop is stopped at each step */
SCRIPT(interleave_cow, E1_a_drop_is_stopped_while_both_write, 31, .spaces = 2,
       .main = {ZAP, S}, .task = {{{WRITE, S}}, {{WRITE, X}}})
SCRIPT(interleave_cow, E1_an_eviction_is_stopped_while_both_write, 13, .spaces = 2,
       .main = {EVICT, S}, .task = {{{WRITE, S}}, {{WRITE, X}}})
SCRIPT(interleave_cow, E1_an_eviction_is_stopped_while_one_writes_and_is_stopped, 25, .spaces = 2, .nested = true,
       .main = {EVICT, S}, .task = {{{WRITE, S}}, {{ZAP, X}}})

/* E4.  all others leave, by each way; the last one writes in place, and no sooner */
SCRIPT(interleave_cow, E4_the_others_drop_it, 54, .spaces = 3, .main = {WRITE, S}, .task = {{{ZAP, X}}, {{ZAP, Y}}})
SCRIPT(interleave_cow, E4_the_others_exit, 54, .spaces = 3, .main = {WRITE, S}, .task = {{{EXIT, X}}, {{EXIT, Y}}})
SCRIPT(interleave_cow, E4_one_exits_and_one_drops_it_in_the_middle, 94, .spaces = 3, .nested = true,
       .main = {WRITE, S}, .task = {{{EXIT, X}}, {{ZAP, Y}}})
SCRIPT(interleave_cow, E4_an_exit_is_stopped_while_the_others_write, 42, .spaces = 3,
       .main = {EXIT, S}, .task = {{{WRITE, X}}, {{WRITE, Y}}})

/* E3, B6.  S maps the page, X has a swap entry of its slot: mapcount 1, two users. X's entry goes, by each way */
SCRIPT(interleave_cow, B6_the_last_swap_entry_is_dropped, 9, .spaces = 2, .start = S_READ_BACK,
       .main = {WRITE, S}, .task = {{{ZAP, X}}})
SCRIPT(interleave_cow, B6_the_last_swap_entry_exits, 9, .spaces = 2, .start = S_READ_BACK,
       .main = {WRITE, S}, .task = {{{EXIT, X}}})
SCRIPT(interleave_cow, E3_the_sibling_swaps_in, 2, .spaces = 2, .start = S_READ_BACK,
       .main = {WRITE, S}, .task = {{{READ, X}}})
SCRIPT(interleave_cow, E3_the_sibling_swaps_in_and_the_other_drops, 23, .spaces = 3, .start = S_READ_BACK,
       .main = {WRITE, S}, .task = {{{READ, X}}, {{ZAP, Y}}})
SCRIPT(interleave_cow, E3_a_swap_in_is_stopped_while_the_sharer_writes, 3, .spaces = 2, .start = S_READ_BACK,
       .main = {READ, X}, .task = {{{WRITE, S}}})
SCRIPT(interleave_cow, E3_a_swap_in_is_stopped_while_the_sharer_writes_and_is_stopped, 59, .spaces = 3, .nested = true,
       .start = S_READ_BACK, .main = {READ, X}, .task = {{{WRITE, S}}, {{ZAP, Y}}})
SCRIPT(interleave_cow, E3_a_drop_of_the_swap_entry_is_stopped_while_the_sharer_writes, 4, .spaces = 2,
       .start = S_READ_BACK, .main = {ZAP, X}, .task = {{{WRITE, S}}})
SCRIPT(interleave_cow, E3_a_new_swap_entry_appears_and_goes, 81, .spaces = 2,
       .main = {WRITE, S}, .task = {{{UNMAP, X}, {READ, X}, {ZAP, X}}})
SCRIPT(interleave_cow, E3_a_sibling_with_an_entry_forks, 37, .spaces = 2, .start = S_READ_BACK,
       .main = {WRITE, S}, .task = {{{FORK, X}, {EXIT, X}}})
SCRIPT(interleave_cow, E3_a_fork_of_swap_entries_is_stopped_while_the_sharer_writes, 8, .spaces = 2, .start = S_READ_BACK,
       .main = {FORK, X}, .task = {{{WRITE, S}}})
SCRIPT(interleave_cow, E3_a_fork_of_mappings_is_stopped_while_the_sharer_writes, 82, .spaces = 2,
       .main = {FORK, X}, .task = {{{WRITE, S}}, {{READ, S}}})

/* E2.  a pin comes or goes between the look and the decision */
SCRIPT(interleave_cow, E2_a_pin_is_taken_while_the_last_user_writes, 24, .spaces = 2,
       .main = {WRITE, S}, .task = {{{PIN, S}}, {{EXIT, X}}})
SCRIPT(interleave_cow, E2_a_pin_goes_while_the_last_user_writes, 66, .spaces = 2,
       .main = {WRITE, S}, .task = {{{PIN, X}, {UNPIN, X}}, {{EXIT, X}}})
/* clang-format on */
