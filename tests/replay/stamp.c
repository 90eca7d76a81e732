/* SPDX-License-Identifier: MIT */
/** @file replay/stamp.c  See the header. */
#include "replay/stamp.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WORDS 4
#define STAMP_BYTES (WORDS * sizeof(uint64_t))
#define MARK UINT64_C(0x6f626a726d6170)

/* The last word says whether the others belong together. */
static void words_of(const struct stamp *s, uint64_t words[WORDS])
{
    if (!s->line) {
        memset(words, 0, STAMP_BYTES);
        return;
    }
    words[0] = s->line;
    words[1] = s->vpn;
    words[2] = s->space;
    words[3] = (s->line * 3 + s->vpn * 5 + s->space * 7) ^ MARK;
}

void stamp_fill(unsigned char *page, const struct stamp *s)
{
    uint64_t words[WORDS];
    words_of(s, words);
    for (unsigned at = 0; at < STAMP_PAGE_BYTES; at += STAMP_BYTES) memcpy(page + at, words, STAMP_BYTES);
}

/* A page that repeats itself at that distance, from a right beginning. */
static bool repeats(const unsigned char *page)
{
    return !memcmp(page, page + STAMP_BYTES, STAMP_PAGE_BYTES - STAMP_BYTES);
}

bool stamp_is(const unsigned char *page, const struct stamp *s)
{
    uint64_t words[WORDS];
    words_of(s, words);
    return !memcmp(page, words, STAMP_BYTES) && repeats(page);
}

const char *stamp_name(const struct stamp *s, char *text, unsigned room)
{
    if (s->line)
        snprintf(text, room, "what space %u wrote to page %" PRIx64 " at line %" PRIu64, s->space, s->vpn, s->line);
    else
        snprintf(text, room, "zeroes");
    return text;
}

const char *stamp_describe(const unsigned char *page, char *text, unsigned room)
{
    uint64_t found[WORDS], words[WORDS];
    memcpy(found, page, STAMP_BYTES);
    const struct stamp s = {found[0], found[1], (uint32_t)found[2]};
    words_of(&s, words);
    if (memcmp(found, words, STAMP_BYTES))
        snprintf(text, room, "no stamp at all (%016" PRIx64 " ...)", found[0]);
    else if (!repeats(page))
        snprintf(text, room, "a page that is not of one piece, from line %" PRIu64, s.line);
    else
        stamp_name(&s, text, room);
    return text;
}
