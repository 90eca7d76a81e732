/* SPDX-License-Identifier: MIT */
/** @file replay/book_check.c  May an event come after those before it? The rules of a well-formed trace, and its bounds. */
#include "replay/book.h"

#include <inttypes.h>

/* The next space, and what it brings along. */
static int check_fresh(const struct book *b, const struct trace_event *e, uint32_t id, const struct book_space *parent,
                       struct trace_error *error)
{
    if (id != b->last + 1)
        return trace_wrong(error, e->line, "space id %u out of order: the next one is %u", id, b->last + 1);
    if (b->live >= BOOK_SPACES_MAX) return trace_wrong(error, e->line, "more than %u spaces are live", BOOK_SPACES_MAX);
    if (!parent) return 0;
    if (parent->regions.count > BOOK_ALL_REGIONS_MAX - b->regions)
        return trace_wrong(error, e->line, "more than %u regions of all spaces", BOOK_ALL_REGIONS_MAX);
    if (parent->shadow.pages > BOOK_PAGES_MAX - b->pages)
        return trace_wrong(error, e->line, "more than %u pages are touched in all spaces", BOOK_PAGES_MAX);
    return 0;
}

static int check_covered(const struct book_space *s, const struct trace_event *e, struct trace_error *error)
{
    const uint64_t count = e->count ? e->count : 1;
    if (count <= TRACE_PAGES - e->vpn && regions_cover(&s->regions, e->vpn, e->vpn + count)) return 0;
    return trace_wrong(error, e->line, "the range %" PRIx64 " + %" PRIx64 " is not fully mapped in space %u", e->vpn,
                       e->count, s->id);
}

static int check_spare(const struct book_space *s, uint64_t line, uint64_t first, uint64_t end,
                       struct trace_error *error)
{
    if (regions_spare(&s->regions, first, end)) return 0;
    return trace_wrong(error, line, "something is mapped in %" PRIx64 " + %" PRIx64 " of space %u already", first,
                       end - first, s->id);
}

static int check_move(const struct book_space *s, const struct trace_event *e, struct trace_error *error)
{
    int rc = check_covered(s, e, error);
    if (rc) return rc;
    if (!e->count && region_is_held(regions_find(&s->regions, e->vpn)))
        return trace_wrong(error, e->line, "a private range of no pages cannot be moved");
    const uint64_t end = e->vpn + e->count;
    if (e->to != e->vpn) return check_spare(s, e->line, e->to, e->to + e->new_count, error);
    if (!e->count) return trace_wrong(error, e->line, "a range of no pages cannot stay in place");
    return e->new_count > e->count ? check_spare(s, e->line, end, e->vpn + e->new_count, error) : 0;
}

static int check_fault(const struct book *b, const struct book_space *s, const struct trace_event *e,
                       struct trace_error *error)
{
    const struct region *r = regions_find(&s->regions, e->vpn);
    if (!r) return trace_wrong(error, e->line, "page %" PRIx64 " of space %u is not mapped", e->vpn, s->id);
    if (!r->prot || (e->verb == TRACE_WRITE && !(r->prot & TRACE_W)))
        return trace_wrong(error, e->line, "page %" PRIx64 " of space %u is protected against that", e->vpn, s->id);
    if (b->pages >= BOOK_PAGES_MAX && region_is_held(r) && !shadow_find(&s->shadow, e->vpn))
        return trace_wrong(error, e->line, "more than %u pages are touched in all spaces", BOOK_PAGES_MAX);
    return 0;
}

/* Each event cuts twice at the source, once at the target at most, and adds as many as it has. */
static int check_room(const struct book *b, const struct book_space *s, const struct trace_event *e,
                      struct trace_error *error)
{
    size_t more = 3;
    if (e->verb == TRACE_MOVE) more += regions_within(&s->regions, e->vpn, e->vpn + e->count);
    if (s->regions.count + more > BOOK_REGIONS_MAX)
        return trace_wrong(error, e->line, "more than %u regions in space %u", BOOK_REGIONS_MAX, s->id);
    if (b->regions + more > BOOK_ALL_REGIONS_MAX)
        return trace_wrong(error, e->line, "more than %u regions of all spaces", BOOK_ALL_REGIONS_MAX);
    return 0;
}

int book_check(const struct book *b, const struct trace_event *e, struct trace_error *error)
{
    if (e->verb == TRACE_NEW) return check_fresh(b, e, e->space, NULL, error);
    const struct book_space *s = book_space(b, e->space);
    if (!s) return trace_wrong(error, e->line, "space %u is not live", e->space);
    int rc = 0;
    switch (e->verb) {
    case TRACE_FORK:
        return check_fresh(b, e, e->child, s, error);
    case TRACE_EXIT:
        return 0;
    case TRACE_MAP:
        rc = check_spare(s, e->line, e->vpn, e->vpn + e->count, error);
        break;
    case TRACE_MOVE:
        rc = check_move(s, e, error);
        break;
    case TRACE_READ:
    case TRACE_WRITE:
        return check_fault(b, s, e, error);
    default:
        rc = check_covered(s, e, error);
        break;
    }
    return rc ? rc : check_room(b, s, e, error);
}
