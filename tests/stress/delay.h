/* SPDX-License-Identifier: MIT */
/**
 * @file stress/delay.h  Where a thread may lose time: the MMU, the device, every lock and the own points of debug builds.
 *
 * Each thread draws from a sequence of its own. What a given seed draws is the same each time; what the scheduler makes
 * of it is not.
 */
#ifndef RMAP_TESTS_STRESS_DELAY_H
#define RMAP_TESTS_STRESS_DELAY_H

#include <stdbool.h>
#include <stdint.h>

/** Begin this thread's sequence. `per_1000`: at how many of 1,000 points it loses time. */
void delay_begin(uint64_t seed, unsigned per_1000);
/** A point. Nothing happens in a thread that has not begun. */
void delay(void);
/** A point that is passed at every turn: one in eight counts. */
void delay_seldom(void);
/** True once in n times, from the same sequence. */
bool delay_chance(unsigned n);

#endif
