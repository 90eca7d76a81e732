/* SPDX-License-Identifier: MIT */
/**
 * @file oracle/compare.h  Both sides of a program, and what must agree.
 *
 * *Presence.* A page that was written is present in the kernel, and an entry with a frame or on swap in the library; no
 *   other page is. The zero page is in the library where it is in the kernel, with one exception: the kernel's fork skips
 *   an area in which nothing was ever written, and its zero pages with it, while the library's copies every entry. Such a
 *   page is noted at the fork (the kernel must have skipped its area as a whole), and stays one until it is touched.
 *
 * *Sharing.* Two pages are in one class in the kernel if their frame numbers are equal, in the library if they have one
 *   frame or one swap slot. Under TRACK both partitions are the same. Under COPY a move duplicates pages in the library that
 *   the kernel goes on sharing. So each page of each space has a *copy number*: 0, or a new one whenever COPY must
 *   duplicate it; a moved page takes it along, a forked child inherits it, and whatever empties the page resets it. The rule:
 *
 *       same class in the library  <=>  same frame in the kernel and same copy number
 *
 *   A copy number is given by a successful move, to the pages it moved, if the space moves by COPY and the page's class
 *   had another member: inherited and still shared. Not given if the page was on swap and still shares its slot after
 *   the move (S10): such a page is *estranged*, and gets its number when the space itself touches it, if it is not alone
 *   then and does not lie at its home. The library's own count of copies must agree.
 *
 *   A page's *home* is where a walk looks for it: where it was written first, or copied to; where it was moved to while it had no
 *   other member; where it was written last. Forks inherit it; a move of a shared page leaves it where it is, which TRACK
 *   records and COPY, of a page on swap, does not. So it is known here, and the library is not asked: a move empties
 *   its target first, and what was tracked there is forgotten then.
 *
 * *Contents.* Of every class, whole pages: /proc/PID/mem against the frame, the cached page or the device. The zero page is
 *   one frame of the library's, and holds zeroes.
 *
 * *Layout.* Which pages are mapped, and their protection, after each step that can change it.
 */
#ifndef RMAP_TESTS_ORACLE_COMPARE_H
#define RMAP_TESTS_ORACLE_COMPARE_H

#include "oracle/library.h"
#include "oracle/real.h"
#include "oracle/report.h"

struct shadow {
    uint32_t copy;     /* number, see above */
    uint8_t home;      /* page number; of a page that has contents */
    bool estranged;    /* moved by COPY while it shared a slot */
    bool zero_dropped; /* by a fork of the kernel's */
};

struct both {
    struct real real;
    struct library lib;
    const struct program *program;
    struct slackness slack;
    bool live[SPACES], track[SPACES];
    struct shadow shadow[SPACES][PAGES];
    uint32_t copies; /* numbers given */
    struct real_entry seen[SPACES][PAGES];
    struct held held[SPACES][PAGES];
    struct layout areas[SPACES][PAGES], regions[SPACES][PAGES];
};

/** A difference. Ends the player. */
_Noreturn void found(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Look at both sides. */
void compare_look(struct both *b);
/** Look, and find what differs. A frame that the kernel is just migrating looks like a difference: so looks again. What the
 *  machine has swapped out is brought back first; gives up if that goes on and on. */
void compare(struct both *b);
/** Read the layouts of a space; they must agree. */
void compare_layout(struct both *b, unsigned space);
/** After a fork: note what the kernel did not pass on. */
void compare_forked(struct both *b, unsigned parent, unsigned child);
/** The members of the page's class, itself included; 0 if it has no frame. Of the last look. */
unsigned class_size(const struct both *b, unsigned space, unsigned page);
/** Does another page have the same class in the library, of the last look? */
bool held_shared(const struct both *b, unsigned space, unsigned page);
/** What compare() cannot see: every book of the library. */
void compare_books(struct both *b);

#endif
