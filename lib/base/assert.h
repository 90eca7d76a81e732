/* SPDX-License-Identifier: MIT */
/** @file base/assert.h  Misuse and broken invariants stop debug builds (-Ddebug_level=1, RMAP_DEBUG) and cost nothing else. */
#ifndef RMAP_BASE_ASSERT_H
#define RMAP_BASE_ASSERT_H

#ifdef RMAP_DEBUG
_Noreturn void rmap__assert_failed(const char *what, const char *invariant, const char *file, int line);
#define RMAP_ASSERT_INV(cond, inv) ((cond) ? (void)0 : rmap__assert_failed(#cond, inv, __FILE__, __LINE__))
#else
#define RMAP_ASSERT_INV(cond, inv) ((void)sizeof(!(cond)))
#endif
#define RMAP_ASSERT(cond) RMAP_ASSERT_INV(cond, "")

#endif
