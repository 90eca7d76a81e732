/* SPDX-License-Identifier: MIT */
/** @file oracle/play.h  A program on both sides. */
#ifndef RMAP_TESTS_ORACLE_PLAY_H
#define RMAP_TESTS_ORACLE_PLAY_H

#include "oracle/compare.h"

/** Play it, from nothing to nothing; compares after each operation. Returns if nothing differs, else ends the process. */
void play(struct both *b, const struct program *p);

/** One operation on both sides, split as each needs it (split.c). The space lives. */
void play_ranged(struct both *b, const struct step *x);
void play_move(struct both *b, const struct step *x);
void play_resize(struct both *b, const struct step *x);

#endif
