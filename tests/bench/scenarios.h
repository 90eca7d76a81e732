/* SPDX-License-Identifier: MIT */
/** @file bench/scenarios.h  What bench.c runs, one function a family of rows; each looks itself which rows are wanted(). */
#ifndef RMAP_TESTS_BENCH_SCENARIOS_H
#define RMAP_TESTS_BENCH_SCENARIOS_H

void scenario_host(void);

#endif
