/* SPDX-License-Identifier: MIT */
/**
 * @file stress/book.h  What an exact page may hold.
 *
 * A page that its own space has written holds that version and nothing else. A forked page holds what the parent's book
 * said at some moment of the fork: the version known before it, or one that the parent's thread wrote meanwhile,
 *
 *     known ≤ version ≤ high       known: exact, of any lineage;   above it, up to high: of one lineage
 *
 * until somebody reads it and so knows. Guarded by the area's lock.
 */
#ifndef RMAP_TESTS_STRESS_BOOK_H
#define RMAP_TESTS_STRESS_BOOK_H

#include "stress/stamp.h"

#define AREAS 8
#define AREA_PAGES 16
#define EXACT (AREAS * AREA_PAGES)
#define PLACES 3

struct book {
    /* layout; changed under the area's layout lock, too */
    bool mapped, accounted, locked;
    unsigned char place, prot;
    /* contents */
    uint32_t known_lineage, high_lineage;
    uint64_t known, high; /**< versions; 0: zeroes */
    uint64_t top;         /**< highest version that was ever given out for this page, in any space it descends from */
    bool lazy;            /**< may have become zero (ADVISE_FREE) */
    bool any;             /**< forked amid a change of the layout: any version up to top */
    bool pending;         /**< its thread is writing `top` */
    bool marked;          /**< written since its last snapshot, for sure */
    unsigned writes;      /**< begun */
    unsigned serial;      /**< changes of this book */
};

/** Contents are zero now. */
void book_clear(struct book *b);
/** Its thread begins to write; the version to write is b->top then. */
void book_begin(struct book *b);
/** … has written it, or nothing. */
void book_end(struct book *b, bool written, uint32_t lineage);
/** Is this what the page may hold, of a space of that lineage? `s` has group 0 for zeroes; the caller compares groups. */
bool book_allows(const struct book *b, const struct stamp *s, uint32_t lineage);
/** Was read by one who saw `before` before it and `after` after it: right, if somebody may have written in between? */
bool book_allows_between(const struct book *before, const struct book *after, const struct stamp *s, uint32_t lineage);
/** It was read while nothing changed, and is `s`. */
void book_learn(struct book *b, const struct stamp *s);
/** The child's, given the parent's before and after the fork, between which the layout did not change. */
struct book book_forked(const struct book *before, const struct book *after, uint32_t parents_lineage);
/** For a failure's text. */
const char *book_text(const struct book *b, char *text, unsigned bytes);

#endif
