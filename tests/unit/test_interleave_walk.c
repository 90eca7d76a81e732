/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_interleave_walk.c  A walk, stopped before and after each look and each flush, while mappers come, leave and move
 * (A7, A11, A14, A15); and a page that is found while its owner leaves (A3, A4).
 *
 * test_schedules.c cuts forks and faults into steps and looks between the walk's looks only; here whole acts fall into every step of
 * the walk, into its flush and release too, and a fork or move is stopped in turn. In release builds the yield points are not there,
 * and the schedules are fewer.
 */
#include "unit/interleave.h"

/* A page that comes from above and is mapped further down: each complete walk that wastes a step tightens */
static void from_above(struct scene *x)
{
    world_zap(x->s[S], 0, 1);
    x->value[S] = x->other[S] = 0;
}

/* The page is mapped behind four others that gave it up: tables are looked up together, before the entries are read */
static void behind_a_crowd(struct scene *x)
{
    for (unsigned i = x->spaces; i-- > X;) world_exit(x->s[i]);
    for (unsigned i = 0; i < 4; i++) world_zap(world_fork(x->s[S]), 0, 1);
    for (unsigned i = X; i < x->spaces; i++) {
        x->s[i] = world_fork(x->s[i - 1]);
        world_read(x->s[i], 0);
    }
}

/* clang-format off */
/* A7.  a fork, stopped at each step, while the page is walked; and walks while it is forked */
SCRIPT(interleave_walk, A7_a_fork_is_stopped_while_the_page_is_aged, 67, .spaces = 2, .main = {FORK, S}, .task = {{{AGE, X}}, {{PROTECT, X}}})
SCRIPT(interleave_walk, A7_a_fork_is_stopped_while_the_page_is_unmapped, 78, .spaces = 2, .main = {FORK, S}, .task = {{{UNMAP, X}}, {{READ, X}}})
SCRIPT(interleave_walk, A7_a_fork_is_stopped_while_the_page_is_evicted_step_by_step, 201, .spaces = 2, .nested = true,
       .main = {FORK, S}, .task = {{{EVICT, X}}, {{ZAP, X}}})
SCRIPT(interleave_walk, A7_a_walk_is_stopped_while_two_fork, 4, .spaces = 2, .main = {AGE, S}, .task = {{{FORK, S}}, {{FORK, X}}})
SCRIPT(interleave_walk, A7_an_unmap_is_stopped_while_two_fork, 15, .spaces = 2, .main = {UNMAP, S}, .task = {{{FORK, S}}, {{FORK, X}}})

/* A11.  the page is dropped in one space, in two, in all, while it is walked; its frame is used again at once */
SCRIPT(interleave_walk, A11_dropped_in_one_space_while_aged, 101, .spaces = 3, .main = {AGE, S}, .task = {{{ZAP, X}}, {{WRITE, X}}})
SCRIPT(interleave_walk, A11_dropped_everywhere_while_protected, 1459, .spaces = 2, .main = {PROTECT, S}, .task = {{{ZAP, S}, {WRITE, S}}, {{ZAP, X}, {WRITE, X}}})
SCRIPT(interleave_walk, A11_dropped_everywhere_while_unmapped, 17097, .spaces = 2, .main = {UNMAP, S}, .task = {{{ZAP, S}, {WRITE, S}}, {{ZAP, X}, {WRITE, X}}})
SCRIPT(interleave_walk, A11_dropped_everywhere_while_evicted, 6819, .spaces = 2, .main = {EVICT, S}, .task = {{{ZAP, S}, {WRITE, S}}, {{ZAP, X}, {WRITE, X}}})

/* A14.  three mappers; of those that were hit one goes before the last is seen */
SCRIPT(interleave_walk, A14_one_goes_and_one_comes_back_while_aged, 164, .spaces = 3, .main = {AGE, S}, .task = {{{ZAP, S}, {WRITE, S}}, {{WRITE, X}}})
SCRIPT(interleave_walk, A14_two_go_while_unmapped, 36, .spaces = 3, .main = {UNMAP, S}, .task = {{{ZAP, X}}, {{WRITE, Y}}})
SCRIPT(interleave_walk, A14_one_goes_to_swap_and_comes_back_while_aged, 33, .spaces = 3, .start = S_READ_BACK,
       .main = {AGE, S}, .task = {{{ZAP, S}}, {{ZAP, Y}}})

/* A15.  S had it first; X and Y map it. Walks that tighten while X or Y forks, moves, swaps in, leaves */
SCRIPT(interleave_walk, A15_a_fork_is_stopped_while_a_walk_tightens, 4, .spaces = 2, .prepare = from_above, .main = {FORK, X}, .task = {{{AGE, X}}, {{PROTECT, X}}})
SCRIPT(interleave_walk, A15_a_fork_is_stopped_while_walks_tighten_and_the_sibling_leaves, 27, .spaces = 3, .prepare = from_above,
       .main = {FORK, X}, .task = {{{EXIT, Y}, {AGE, X}}, {{AGE, X}}})
SCRIPT(interleave_walk, A15_a_fork_is_stopped_while_an_unmap_tightens_the_slot, 4, .spaces = 2, .prepare = from_above, .main = {FORK, X}, .task = {{{UNMAP, X}}, {{AGE, X}}})
SCRIPT(interleave_walk, A15_a_walk_is_stopped_while_the_only_mapper_forks, 4, .spaces = 2, .prepare = from_above, .main = {AGE, X}, .task = {{{FORK, X}}, {{WRITE, X}}})
SCRIPT(interleave_walk, A15_an_eviction_is_stopped_while_the_only_mapper_forks, 24, .spaces = 2, .prepare = from_above, .main = {EVICT, X}, .task = {{{FORK, X}}, {{READ, X}}})
SCRIPT(interleave_walk, A15_a_fork_is_stopped_while_a_walk_tightens_step_by_step, 16, .spaces = 3, .nested = true, .prepare = from_above,
       .main = {FORK, X}, .task = {{{AGE, X}}, {{ZAP, Y}}})

/* A7, A11, A14.  the same in a long search, and what a search may fall into */
SCRIPT(interleave_walk, A11_ahead_dropped_in_one_space_while_aged, 34, .spaces = 3, .prepare = behind_a_crowd, .main = {AGE, X}, .task = {{{ZAP, X}}, {{WRITE, Y}}})
SCRIPT(interleave_walk, A14_ahead_two_go_while_protected, 414, .spaces = 3, .prepare = behind_a_crowd, .main = {PROTECT, X}, .task = {{{ZAP, X}}, {{ZAP, Y}}})
SCRIPT(interleave_walk, A11_ahead_dropped_everywhere_while_unmapped, 12356, .spaces = 3, .prepare = behind_a_crowd, .main = {UNMAP, X}, .task = {{{ZAP, X}, {WRITE, X}}, {{ZAP, Y}}})
SCRIPT(interleave_walk, A11_ahead_dropped_while_evicted_and_read, 489, .spaces = 2, .prepare = behind_a_crowd, .main = {EVICT, X}, .task = {{{ZAP, S}}, {{READ, X}}})
SCRIPT(interleave_walk, A7_ahead_a_fork_is_stopped_while_the_page_is_walked, 16, .spaces = 2, .prepare = behind_a_crowd, .main = {FORK, X}, .task = {{{AGE, S}}, {{UNMAP, X}}})
SCRIPT(interleave_walk, A7_ahead_a_fork_is_stopped_while_walks_are_stopped_too, 198, .spaces = 2, .prepare = behind_a_crowd, .nested = true, .main = {FORK, X}, .task = {{{AGE, S}}, {{ZAP, S}}})
SCRIPT(interleave_walk, B3_ahead_a_move_is_stopped_while_the_page_is_walked, 256, .spaces = 2, .prepare = behind_a_crowd, .main = {MOVE, X}, .task = {{{AGE, S}}, {{PROTECT, S}}})
SCRIPT(interleave_walk, B3_ahead_a_tracked_move_is_stopped_while_walks_are_stopped_too, 403, .spaces = 2, .prepare = behind_a_crowd, .track = true, .nested = true,
       .main = {MOVE, X}, .task = {{{AGE, S}}, {{ZAP, S}}})
SCRIPT(interleave_walk, C9_ahead_a_swap_in_is_stopped_while_the_page_is_walked, 6, .spaces = 3, .start = S_READ_BACK, .prepare = behind_a_crowd, .main = {READ, X}, .task = {{{AGE, S}}, {{UNMAP, S}}})
SCRIPT(interleave_walk, A3_ahead_an_exit_is_stopped_while_the_page_is_walked, 48, .spaces = 2, .prepare = behind_a_crowd, .main = {EXIT, X}, .task = {{{AGE, S}}, {{EVICT, S}}})

/* A3.  the owner, and everybody, leaves while the page is walked, evicted, written by another */
SCRIPT(interleave_walk, A3_the_owner_exits_while_its_page_is_evicted, 8, .spaces = 2, .main = {EVICT, X}, .task = {{{EXIT, S}}, {{EXIT, X}}})
SCRIPT(interleave_walk, A3_an_exit_is_stopped_while_its_page_is_walked, 42, .spaces = 2, .main = {EXIT, S}, .task = {{{AGE, X}}, {{EVICT, X}}})
SCRIPT(interleave_walk, A3_an_exit_is_stopped_while_the_child_forks_and_exits, 147, .spaces = 2, .main = {EXIT, S}, .task = {{{FORK, X}, {EXIT, X}}, {{AGE, X}}})
/* A4.  a fault has looked and locked nothing; the page goes, everywhere, and its frame comes back as another's */
SCRIPT(interleave_walk, A4_the_page_is_freed_and_its_frame_reused_between_look_and_lock, 129, .spaces = 2,
       .main = {WRITE, S}, .task = {{{ZAP, S}, {READ, S}}, {{EXIT, X}}})
SCRIPT(interleave_walk, A4_the_cached_page_is_freed_and_its_frame_reused_between_look_and_lock, 576, .spaces = 2, .start = CACHED,
       .main = {READ, S}, .task = {{{EVICT, X}, {WRITE, X}}, {{ZAP, S}, {WRITE, S}}})
/* clang-format on */
