/* SPDX-License-Identifier: MIT */
/** @file bench/scenarios.h  What bench.c runs: one function a family of rows; each looks itself which rows are wanted(). */
#ifndef RMAP_TESTS_BENCH_SCENARIOS_H
#define RMAP_TESTS_BENCH_SCENARIOS_H

void scenario_fork(void);
void scenario_fault(void);
void scenario_move(void);
void scenario_look(void);
void scenario_verbs(void);
void scenario_private(void);
void scenario_left(void);
void scenario_chain(void);
void scenario_two(void);
void scenario_star(void);
void scenario_reclaim(void);
void scenario_bytes(void);
void scenario_host(void);

#endif
