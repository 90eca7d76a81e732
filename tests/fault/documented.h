/* SPDX-License-Identifier: MIT */
/** @file fault/documented.h  What the headers say that a function may answer; made of their comments by documented.py. */
#ifndef RMAP_TESTS_FAULT_DOCUMENTED_H
#define RMAP_TESTS_FAULT_DOCUMENTED_H

#include <stdint.h>

/** The errors that the comments of these functions (separated by blanks) name: 1 << -error each. */
uint32_t documented_codes(const char *names);

#endif
