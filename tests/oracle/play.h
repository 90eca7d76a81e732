/* SPDX-License-Identifier: MIT */
/** @file oracle/play.h  A program on both sides. */
#ifndef RMAP_TESTS_ORACLE_PLAY_H
#define RMAP_TESTS_ORACLE_PLAY_H

#include "oracle/compare.h"

/** Play it, from nothing to nothing; compares after each operation. Returns if nothing differs, else ends the process. */
void play(struct both *b, const struct program *p);

/** A step's operations on both sides, split as each needs it (split.c, moves.c). The space lives. */
void play_ranged(struct both *b, const struct step *x);
void play_move(struct both *b, const struct step *x);
void play_resize(struct both *b, const struct step *x);
void play_grow(struct both *b, const struct step *x);

/** One command on both sides; they must say the same. @return whether it was done. */
bool play_both(struct both *b, const struct step *x, const struct command *c);
/** The library has chosen where `count` pages go, or said `rc`: the kernel does as `chosen` says. */
void play_choice(struct both *b, const struct step *x, const struct command *chosen, int rc, unsigned count);
/** Nothing is known of these pages any more: they are new, or gone. */
void play_forget(struct both *b, unsigned s, unsigned first, unsigned count);

#endif
