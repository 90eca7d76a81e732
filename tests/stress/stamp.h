/* SPDX-License-Identifier: MIT */
/**
 * @file stress/stamp.h  What is written to pages: who wrote it, where, and which time.
 *
 * A page holds the same 32-byte stamp at four spots, the last one at its end, and zeroes in between. Zeroes alone are a
 * page that nobody has written. A processor writes the spots word by word; the library's write() the whole page.
 */
#ifndef RMAP_TESTS_STRESS_STAMP_H
#define RMAP_TESTS_STRESS_STAMP_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE_SHIFT 12
#define PAGE_BYTES (1u << PAGE_SHIFT)
#define SPOTS 4
#define STAMP_WORDS 4

struct stamp {
    uint32_t group;   /**< of spaces related by fork; another one after exec. 0: nothing was written */
    uint32_t lineage; /**< one space between its fork (or creation, or exec) and its exit (or exec) */
    uint64_t place;   /**< number of the page, as its book has it */
    uint64_t version;
};

/** The whole page, as write() takes it. */
void stamp_fill(unsigned char *page, const struct stamp *s);
/**
 * Look at a page that nobody writes to now, or at a copy of one.
 * @return NULL, with the stamp (group 0: all zero); else what is wrong with it.
 */
const char *stamp_parse(const unsigned char *page, struct stamp *out);

/** As a processor writes: atomic words, in order, at all spots. */
void stamp_store(unsigned char *frame, const struct stamp *s);
/** As a processor reads, one spot. @return true: a whole stamp, or zeroes. false: torn, its words are as they were read. */
bool stamp_load(const unsigned char *frame, unsigned spot, struct stamp *out);

#endif
