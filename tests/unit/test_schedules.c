/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_schedules.c  Fork, zap, fault, exit and move against one walk: in every order, all mappings are
 * found.
 *
 * The scenarios are those of the model (DFS and DFS3 of explore.py). After each schedule: invariants, every mapping
 * found by a walk, every value readable; after the walk: what DONE promised, and that every mapper is a candidate.
 */
#include "unit/schedules.h"

/* clang-format off */
#define FORK(s) {STEP_BEGIN, s}, {STEP_COPY, s}, {STEP_COMMIT, s}
#define COW(s) {STEP_COW_TAKE, s}, {STEP_COW_DROP, s}
#define ZAP(s) {STEP_ZAP, s}
#define EXIT(s) {STEP_ZAP, s}, {STEP_LEAVE, s}
/* clang-format on */

/* That the schedules exist at all: `least` of them. */
#define SCENARIO(name, kind, least, ...)                                                                               \
    RMAP_TEST(schedules, name)                                                                                         \
    {                                                                                                                  \
        static const struct scenario sc = {__VA_ARGS__};                                                               \
        CHECK_LE(least, schedules_run(&sc, kind));                                                                     \
    }

#ifdef RMAP_DEBUG
#define LEAST(n) ((n) < SCHEDULES_MOST ? (n) : SCHEDULES_MOST)
#else
#define LEAST(n) 1 /* moves and candidates do not yield: there are fewer moments */
#endif

/* A7, A15 */
SCENARIO(fork_against_referenced, WALK_REF, LEAST(39), .spaces = 1, .task = {{FORK(S)}})
SCENARIO(fork_against_write_protect, WALK_PROTECT, LEAST(39), .spaces = 1, .task = {{FORK(S)}})
SCENARIO(fork_against_unmap, WALK_UNMAP, LEAST(39), .spaces = 1, .task = {{FORK(S)}})
SCENARIO(fork_and_a_zap_elsewhere_against_referenced, WALK_REF, LEAST(656), .spaces = 2, .task = {{FORK(S)}, {ZAP(X)}})
SCENARIO(fork_and_a_zap_elsewhere_against_unmap, WALK_UNMAP, LEAST(656), .spaces = 2, .task = {{FORK(S)}, {ZAP(X)}})
/* A15: S is hit, copied and then zapped by its own space */
SCENARIO(fork_then_zap_against_referenced, WALK_REF, LEAST(130), .spaces = 1, .task = {{FORK(S), ZAP(S)}})
SCENARIO(fork_then_zap_against_unmap, WALK_UNMAP, LEAST(130), .spaces = 1, .task = {{FORK(S), ZAP(S)}})
SCENARIO(fork_then_zap_of_two_against_referenced, WALK_REF, LEAST(2745), .spaces = 2, .task = {{FORK(S), ZAP(S)}, {ZAP(X)}})
/* A14, model R3 */
SCENARIO(A14_one_of_three_mappers_zapped_while_being_walked, WALK_REF, LEAST(14), .spaces = 3, .task = {{ZAP(S)}})
SCENARIO(A14_two_of_three_mappers_zapped_while_being_walked, WALK_REF, LEAST(139), .spaces = 3, .task = {{ZAP(S)}, {ZAP(X)}})
SCENARIO(A14_two_of_three_zapped_while_being_unmapped, WALK_UNMAP, LEAST(123), .spaces = 3, .task = {{ZAP(X)}, {ZAP(Y)}})
/* E3: a copy-on-write fault, whose count goes last */
SCENARIO(copy_on_write_against_referenced, WALK_REF, 10, .spaces = 2, .task = {{COW(X)}})
SCENARIO(copy_on_write_against_unmap, WALK_UNMAP, 10, .spaces = 2, .task = {{COW(X)}})
SCENARIO(two_copies_on_write_against_referenced, WALK_REF, LEAST(135), .spaces = 2, .task = {{COW(X)}, {COW(S)}})
/* C9, C10 */
SCENARIO(two_swap_ins_against_referenced, WALK_REF, LEAST(9), .spaces = 2, .first = ALL_ON_DEVICE,
         .task = {{{STEP_READ, X}}, {{STEP_READ, S}}})
SCENARIO(a_swap_in_against_referenced, WALK_REF, 4, .spaces = 3, .first = Y_READ_BACK, .task = {{{STEP_READ, S}}})
SCENARIO(a_swap_in_while_the_parent_forks, WALK_REF, LEAST(70), .spaces = 2, .first = ALL_CACHED,
         .task = {{FORK(S)}, {{STEP_READ, X}}})
SCENARIO(two_swap_ins_and_a_fork_of_the_reader, WALK_UNMAP, LEAST(226), .spaces = 2, .first = ALL_CACHED,
         .task = {{{STEP_READ, S}, FORK(S)}, {{STEP_READ, X}}})
/* A2, A7, B2 */
SCENARIO(the_parent_exits_while_the_child_forks, WALK_REF, LEAST(1106), .spaces = 2, .task = {{EXIT(S)}, {FORK(X)}})
SCENARIO(copy_on_write_below_a_fork_against_write_protect, WALK_PROTECT, LEAST(2559), .spaces = 3,
         .task = {{FORK(X)}, {COW(Y)}})
SCENARIO(a_child_exits_while_the_parent_forks, WALK_UNMAP, LEAST(1601), .spaces = 3, .task = {{FORK(S)}, {EXIT(X)}})
SCENARIO(two_forks_at_once_against_referenced, WALK_REF, LEAST(31029), .spaces = 3, .task = {{FORK(S)}, {FORK(Y)}})
SCENARIO(two_forks_at_once_against_unmap, WALK_UNMAP, LEAST(30552), .spaces = 3, .task = {{FORK(S)}, {FORK(Y)}})
/* A6 */
SCENARIO(A6_a_fork_aborts_against_referenced, WALK_REF, LEAST(222), .spaces = 3,
         .task = {{{STEP_BEGIN, S}, {STEP_COPY, S}, {STEP_ABORT, S}}, {ZAP(Y)}})
SCENARIO(A6_a_fork_aborts_before_any_copy, WALK_REF, LEAST(51), .spaces = 3,
         .task = {{{STEP_BEGIN, S}, {STEP_ABORT, S}}, {ZAP(Y)}})
SCENARIO(both_owners_exit_against_referenced, WALK_REF, LEAST(345), .spaces = 3, .task = {{EXIT(S)}, {EXIT(X)}})
SCENARIO(a_move_while_a_child_forks_against_unmap, WALK_UNMAP, LEAST(3208), .spaces = 3, .task = {{{STEP_MOVE, X}}, {FORK(Y)}})
SCENARIO(a_fork_after_a_move_against_referenced, WALK_REF, LEAST(565), .spaces = 2,
         .task = {{{STEP_MOVE, X}, FORK(X)}, {ZAP(S)}})
/* Migration: forks and exits between its halves, and into them */
SCENARIO(fork_against_migrate, WALK_MIGRATE, LEAST(141), .spaces = 1, .task = {{FORK(S)}})
SCENARIO(fork_then_zap_against_migrate, WALK_MIGRATE, LEAST(690), .spaces = 1, .task = {{FORK(S), ZAP(S)}})
SCENARIO(fork_then_exit_against_migrate, WALK_MIGRATE, LEAST(1650), .spaces = 2, .task = {{FORK(S), EXIT(S)}})
SCENARIO(fork_and_a_zap_elsewhere_against_migrate, WALK_MIGRATE, LEAST(4113), .spaces = 2, .task = {{FORK(S)}, {ZAP(X)}})
SCENARIO(two_forks_at_once_against_migrate, WALK_MIGRATE, LEAST(189585), .spaces = 2, .task = {{FORK(S)}, {FORK(X)}})
SCENARIO(both_owners_exit_against_migrate, WALK_MIGRATE, LEAST(1356), .spaces = 3, .task = {{EXIT(S)}, {EXIT(X)}})
SCENARIO(a_fork_aborts_against_migrate, WALK_MIGRATE, LEAST(758), .spaces = 2,
         .task = {{{STEP_BEGIN, S}, {STEP_COPY, S}, {STEP_ABORT, S}}, {ZAP(X)}})
SCENARIO(copy_on_write_against_migrate, WALK_MIGRATE, LEAST(219), .spaces = 2, .task = {{COW(X)}, {ZAP(S)}})
SCENARIO(a_move_and_a_fork_against_migrate, WALK_MIGRATE, LEAST(5976), .spaces = 2, .task = {{{STEP_MOVE, X}}, {FORK(S)}})
SCENARIO(a_swap_in_and_a_fork_against_migrate, WALK_MIGRATE, LEAST(835), .spaces = 2, .first = ALL_CACHED,
         .task = {{{STEP_READ, S}, FORK(S)}, {{STEP_READ, X}}})
SCENARIO(fork_against_migrate_there_and_back, WALK_MIGRATE_BACK, LEAST(4588), .spaces = 2, .task = {{FORK(S)}, {ZAP(X)}})
SCENARIO(exits_against_migrate_there_and_back, WALK_MIGRATE_BACK, LEAST(14848), .spaces = 3, .task = {{EXIT(S)}, {FORK(Y)}})

/* The same where tables are looked up together, behind four others: copies fall between the looks for the tables of the fork's
 * source, of its child, which has none yet, and of whoever comes behind it, and the reading of their entries */
SCENARIO(scouted_fork_against_referenced, WALK_REF, LEAST(117), .spaces = 1, .crowd = 4, .task = {{FORK(S)}})
SCENARIO(scouted_fork_against_write_protect, WALK_PROTECT, LEAST(117), .spaces = 1, .crowd = 4, .task = {{FORK(S)}})
SCENARIO(scouted_fork_then_zap_against_unmap, WALK_UNMAP, LEAST(591), .spaces = 1, .crowd = 4, .task = {{FORK(S), ZAP(S)}})
SCENARIO(scouted_fork_then_zap_against_referenced, WALK_REF, LEAST(877), .spaces = 2, .crowd = 4, .task = {{FORK(S), ZAP(S)}})
SCENARIO(scouted_fork_and_a_zap_elsewhere_against_referenced, WALK_REF, LEAST(2471), .spaces = 2, .crowd = 4,
         .task = {{FORK(S)}, {ZAP(X)}})
SCENARIO(scouted_fork_and_a_copy_on_write_against_write_protect, WALK_PROTECT, LEAST(5070), .spaces = 2, .crowd = 4,
         .task = {{FORK(S)}, {COW(X)}})
SCENARIO(scouted_fork_aborts_against_referenced, WALK_REF, LEAST(358), .spaces = 2, .crowd = 4,
         .task = {{{STEP_BEGIN, S}, {STEP_COPY, S}, {STEP_ABORT, S}}, {ZAP(X)}})
SCENARIO(scouted_fork_while_a_sharer_exits_against_unmap, WALK_UNMAP, LEAST(3258), .spaces = 2, .crowd = 4,
         .task = {{FORK(S)}, {EXIT(X)}})
SCENARIO(scouted_fork_while_a_sharer_swaps_in, WALK_REF, LEAST(70), .spaces = 2, .crowd = 4, .first = ALL_CACHED,
         .task = {{FORK(S)}, {{STEP_READ, X}}})
SCENARIO(scouted_fork_after_a_move_against_referenced, WALK_REF, LEAST(38), .spaces = 1, .crowd = 4,
         .task = {{{STEP_MOVE, S}, FORK(S)}})
SCENARIO(scouted_fork_after_a_tracked_move_against_referenced, WALK_REF, LEAST(84), .spaces = 1, .crowd = 4, .track = true,
         .task = {{{STEP_MOVE, S}, FORK(S)}})
SCENARIO(scouted_fork_while_a_tracked_page_moves_against_unmap, WALK_UNMAP, LEAST(2648), .spaces = 2, .crowd = 4, .track = true,
         .task = {{FORK(S)}, {{STEP_MOVE, X}}})
SCENARIO(scouted_fork_against_migrate, WALK_MIGRATE, LEAST(404), .spaces = 1, .crowd = 4, .task = {{FORK(S)}})
SCENARIO(scouted_fork_then_zap_against_migrate_there_and_back, WALK_MIGRATE_BACK, LEAST(3139), .spaces = 1, .crowd = 4,
         .task = {{FORK(S), ZAP(S)}})

/* A look that locks nothing: what it tightens to has the child among its candidates all the same */
SCENARIO(A7_fork_against_a_look, WALK_LOOK, LEAST(17), .spaces = 1, .task = {{FORK(S)}})
SCENARIO(A15_fork_then_zap_against_a_look, WALK_LOOK, LEAST(38), .spaces = 1, .task = {{FORK(S), ZAP(S)}})
SCENARIO(A15_fork_and_a_zap_elsewhere_against_a_look, WALK_LOOK, LEAST(222), .spaces = 2, .task = {{FORK(S)}, {ZAP(X)}})
SCENARIO(A14_two_of_three_mappers_zapped_against_a_look, WALK_LOOK, LEAST(54), .spaces = 3, .task = {{ZAP(S)}, {ZAP(X)}})
SCENARIO(A15_two_forks_at_once_against_a_look, WALK_LOOK, LEAST(3418), .spaces = 2, .task = {{FORK(S)}, {FORK(X)}})
SCENARIO(A6_a_fork_aborts_against_a_look, WALK_LOOK, LEAST(83), .spaces = 2,
         .task = {{{STEP_BEGIN, S}, {STEP_COPY, S}, {STEP_ABORT, S}}, {ZAP(X)}})
SCENARIO(B16_a_fork_after_a_tracked_move_against_a_look, WALK_LOOK, LEAST(643), .spaces = 2, .track = true,
         .task = {{{STEP_MOVE, X}, FORK(X)}, {COW(S)}})
SCENARIO(scouted_fork_then_zap_against_a_look, WALK_LOOK, LEAST(327), .spaces = 2, .crowd = 4, .task = {{FORK(S), ZAP(S)}})
SCENARIO(scouted_fork_and_a_zap_elsewhere_against_a_look, WALK_LOOK, LEAST(1083), .spaces = 2, .crowd = 4,
         .task = {{FORK(S)}, {ZAP(X)}})

/* S12, B3, B16: moves under TRACK, walks before the records are there, after the landing, and in between with other steps */
#define MOVE(s)                                                                                                        \
    {                                                                                                                  \
        STEP_MOVE, s                                                                                                   \
    }
SCENARIO(B16_a_tracked_move_against_referenced, WALK_REF, LEAST(8), .spaces = 2, .track = true, .task = {{MOVE(X)}})
SCENARIO(B16_a_tracked_move_against_write_protect, WALK_PROTECT, LEAST(8), .spaces = 2, .track = true,
         .task = {{MOVE(S)}})
SCENARIO(B16_a_tracked_move_against_unmap, WALK_UNMAP, LEAST(8), .spaces = 3, .track = true, .task = {{MOVE(X)}})
SCENARIO(B16_a_tracked_move_while_the_parent_forks_against_referenced, WALK_REF, LEAST(1290), .spaces = 2, .track = true,
         .task = {{MOVE(X)}, {FORK(S)}})
SCENARIO(B16_a_tracked_move_while_the_parent_forks_against_write_protect, WALK_PROTECT, LEAST(1362), .spaces = 2,
         .track = true, .task = {{MOVE(X)}, {FORK(S)}})
SCENARIO(B16_a_tracked_move_while_a_child_forks_against_unmap, WALK_UNMAP, LEAST(1362), .spaces = 2, .track = true,
         .task = {{MOVE(S)}, {FORK(X)}})
SCENARIO(B16_a_fork_after_a_tracked_move_against_referenced, WALK_REF, LEAST(1024), .spaces = 2, .track = true,
         .task = {{MOVE(X), FORK(X)}, {ZAP(S)}})
SCENARIO(B16_a_fork_after_a_tracked_move_against_unmap, WALK_UNMAP, LEAST(1477), .spaces = 2, .track = true,
         .task = {{MOVE(X), FORK(X)}, {COW(S)}})
SCENARIO(B16_two_tracked_moves_against_referenced, WALK_REF, LEAST(80), .spaces = 3, .track = true,
         .task = {{MOVE(X)}, {MOVE(S)}})
SCENARIO(B16_two_tracked_moves_against_unmap, WALK_UNMAP, LEAST(80), .spaces = 3, .track = true,
         .task = {{MOVE(X)}, {MOVE(Y)}})
SCENARIO(B10_B16_there_and_back_while_a_child_forks_against_referenced, WALK_REF, LEAST(6216), .spaces = 2,
         .track = true, .task = {{MOVE(S), {STEP_BACK, S}}, {FORK(X)}})
SCENARIO(B16_a_tracked_move_and_a_copy_on_write_against_write_protect, WALK_PROTECT, LEAST(561), .spaces = 2,
         .track = true, .task = {{MOVE(X), COW(X)}, {COW(S)}})
SCENARIO(B16_the_mover_exits_while_a_child_forks_against_unmap, WALK_UNMAP, LEAST(4226), .spaces = 3, .track = true,
         .task = {{MOVE(X), EXIT(X)}, {FORK(Y)}})
SCENARIO(B5_B16_a_tracked_move_of_a_swap_entry_that_a_sibling_reads_in, WALK_REF, LEAST(36), .spaces = 2, .track = true,
         .first = ALL_ON_DEVICE, .task = {{MOVE(X)}, {{STEP_READ, S}}})
SCENARIO(B5_B16_a_tracked_move_of_an_entry_whose_page_is_cached, WALK_UNMAP, LEAST(45), .spaces = 2, .track = true,
         .first = ALL_CACHED, .task = {{MOVE(X), {STEP_READ, X}}, {{STEP_READ, S}}})
SCENARIO(B6_B16_a_tracked_move_of_a_mapping_whose_slot_has_entries, WALK_UNMAP, LEAST(2583), .spaces = 3, .track = true,
         .first = Y_READ_BACK, .task = {{MOVE(Y)}, {{STEP_READ, S}, FORK(S)}})
