/* SPDX-License-Identifier: MIT */
/**
 * @file replay/stamp.h  What a replay writes to a page: who wrote it, where, and by which line of the trace. No two writes
 * leave the same.
 *
 * A page holds its stamp of 32 bytes 128 times, so that a page torn or mixed anywhere shows; compressed it is small.
 */
#ifndef RMAP_TESTS_REPLAY_STAMP_H
#define RMAP_TESTS_REPLAY_STAMP_H

#include <stdbool.h>
#include <stdint.h>

#define STAMP_PAGE_SHIFT 12
#define STAMP_PAGE_BYTES (1u << STAMP_PAGE_SHIFT)

struct stamp {
    uint64_t line; /**< 0: nobody has written: zeroes */
    uint64_t vpn;  /**< where it was written; moves carry it elsewhere */
    uint32_t space;
};

void stamp_fill(unsigned char *page, const struct stamp *s);
/** Does the page hold it, all of it? */
bool stamp_is(const unsigned char *page, const struct stamp *s);
/** What the page holds, for people: "zeroes", "what space 3 wrote to page 7f00 at line 12", "torn: …". @return text */
const char *stamp_describe(const unsigned char *page, char *text, unsigned room);
const char *stamp_name(const struct stamp *s, char *text, unsigned room);

#endif
