/* SPDX-License-Identifier: MIT */
/** @file stress/book.c  See the header. */
#include "stress/book.h"

#include <inttypes.h>
#include <stdio.h>

void book_clear(struct book *b)
{
    b->known = b->high = 0;
    b->known_lineage = b->high_lineage = 0;
    b->lazy = b->any = b->marked = false;
    b->serial++;
}

void book_begin(struct book *b)
{
    b->top++;
    b->writes++;
    b->serial++;
    b->pending = true;
}

void book_end(struct book *b, bool written, uint32_t lineage)
{
    b->pending = false;
    b->serial++;
    if (!written) return;
    b->known = b->high = b->top;
    b->known_lineage = b->high_lineage = lineage;
    b->lazy = b->any = false;
    b->marked = true;
}

bool book_allows(const struct book *b, const struct stamp *s, uint32_t lineage)
{
    if (!s->group) return b->lazy || b->any || b->known == 0;
    if (b->pending && s->version == b->top && s->lineage == lineage) return true;
    if (b->any) return s->version <= b->top;
    if (s->version == b->known) return s->lineage == b->known_lineage;
    return s->version > b->known && s->version <= b->high && s->lineage == b->high_lineage;
}

bool book_allows_between(const struct book *before, const struct book *after, const struct stamp *s, uint32_t lineage)
{
    if (book_allows(before, s, lineage) || book_allows(after, s, lineage)) return true;
    return after->writes != before->writes && s->group && s->version > before->top && s->version <= after->top &&
           s->lineage == lineage;
}

void book_learn(struct book *b, const struct stamp *s)
{
    if (b->pending || (!b->lazy && !b->any && b->known == b->high)) return;
    if (!s->group) {
        book_clear(b);
        return;
    }
    b->known = b->high = s->version;
    b->known_lineage = b->high_lineage = s->lineage;
    b->any = false;
    b->serial++;
}

struct book book_forked(const struct book *before, const struct book *after, uint32_t parents_lineage)
{
    struct book b = *before;
    const bool one = !before->any && !before->pending && before->known == before->high;
    b.locked = false; /* D9 */
    b.top = after->top;
    b.pending = false;
    if (before->pending || after->writes != before->writes) { /* somebody wrote meanwhile */
        b.marked = before->marked && after->marked;
        if (one || (before->pending && !before->any && before->known == before->high)) {
            b.high = after->top;
            b.high_lineage = parents_lineage;
        } else {
            b.any = true;
        }
    }
    return b;
}

const char *book_text(const struct book *b, char *text, unsigned bytes)
{
    snprintf(text, bytes, "%s place %u prot %u: version %" PRIu64 " of %u to %" PRIu64 " of %u, top %" PRIu64 "%s%s%s",
             b->mapped ? "mapped" : "unmapped", b->place, b->prot, b->known, b->known_lineage, b->high, b->high_lineage,
             b->top, b->lazy ? ", lazy" : "", b->any ? ", any" : "", b->pending ? ", being written" : "");
    return text;
}
