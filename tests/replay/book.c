/* SPDX-License-Identifier: MIT */
/** @file replay/book.c  See the header: what an event does. Whether it may is in book_check.c. */
#include "replay/book.h"
#include "replay/room.h"

#include <string.h>

/* Index of the first live space whose id is not below. */
static size_t index_of(const struct book *b, uint32_t id)
{
    size_t low = 0, high = b->live;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (b->spaces[middle]->id >= id)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

struct book_space *book_space(const struct book *b, uint32_t id)
{
    const size_t i = index_of(b, id);
    return i < b->live && b->spaces[i]->id == id ? b->spaces[i] : NULL;
}

static struct book_space *enter(struct book *b, uint32_t id)
{
    struct book_space *s = room_for(1, sizeof *s);
    s->id = b->last = id;
    b->spaces = room_grow(b->spaces, &b->room, b->live + 1, sizeof *b->spaces);
    b->spaces[b->live++] = s; /* ids only rise */
    if (b->live > b->live_peak) b->live_peak = b->live;
    return s;
}

static void leave(struct book *b, size_t i)
{
    struct book_space *s = b->spaces[i];
    regions_fini(&s->regions);
    shadow_fini(&s->shadow);
    free(s);
    b->live--;
    memmove(b->spaces + i, b->spaces + i + 1, (b->live - i) * sizeof *b->spaces);
}

void book_fini(struct book *b)
{
    while (b->live) leave(b, b->live - 1);
    free(b->spaces);
    *b = (struct book){0};
}

static void map(struct book *b, struct book_space *s, const struct trace_event *e)
{
    const struct region r = {e->vpn, e->vpn + e->count, e->prot, e->kind, (e->prot & TRACE_W) != 0};
    regions_add(&s->regions, &r);
    b->skipped_maps += !region_is_held(&r);
}

static void unmap(struct book_space *s, uint64_t first, uint64_t end)
{
    if (first >= end) return;
    regions_remove(&s->regions, first, end);
    shadow_clear(&s->shadow, first, end);
}

/* To elsewhere: its regions, as far as they fit, the last one as long as is asked for; and the pages. */
static void carry(struct book_space *s, const struct trace_event *e)
{
    /* A shared range of no pages is mapped a second time. */
    const uint64_t end = e->vpn + (e->count ? e->count : 1), shift = e->to - e->vpn;
    const uint64_t kept = e->count < e->new_count ? e->count : e->new_count;
    struct regions moved = {0};
    struct region r;
    for (uint64_t at = e->vpn; at < e->vpn + e->new_count && regions_part(&s->regions, at, end, &r); at = r.end) {
        struct region to = r;
        to.first = r.first + shift;
        to.end = r.end == end || r.end > e->vpn + e->new_count ? e->to + e->new_count : r.end + shift;
        regions_add(&moved, &to);
    }
    shadow_move(&s->shadow, e->vpn, e->to, kept);
    if (e->count && !(e->flags & TRACE_DONTUNMAP)) unmap(s, e->vpn, e->vpn + e->count);
    regions_add_all(&s->regions, &moved);
    regions_fini(&moved);
}

static void move(struct book_space *s, const struct trace_event *e)
{
    const uint64_t end = e->vpn + e->count;
    struct region grown;
    if (e->to != e->vpn) {
        carry(s, e);
    } else if (e->new_count < e->count) {
        unmap(s, e->vpn + e->new_count, end);
    } else if (e->new_count > e->count) {
        regions_part(&s->regions, end - 1, end, &grown);
        grown.first = end;
        grown.end = e->vpn + e->new_count;
        regions_add(&s->regions, &grown);
    }
}

static void touch(struct book *b, struct book_space *s, const struct trace_event *e)
{
    if (!region_is_held(regions_find(&s->regions, e->vpn))) {
        b->skipped_faults++;
        return;
    }
    const struct stamp written = {e->line, e->vpn, e->space}, zeroes = {0};
    if (e->verb == TRACE_WRITE)
        shadow_set(&s->shadow, e->vpn, &written);
    else if (!shadow_find(&s->shadow, e->vpn))
        shadow_set(&s->shadow, e->vpn, &zeroes);
}

static void change(struct book *b, struct book_space *s, const struct trace_event *e)
{
    if (e->verb != TRACE_MAP && e->verb != TRACE_READ && e->verb != TRACE_WRITE)
        b->skipped_ranges += regions_any_shared(&s->regions, e->vpn, e->vpn + (e->count ? e->count : 1));
    switch (e->verb) {
    case TRACE_MAP:
        map(b, s, e);
        break;
    case TRACE_UNMAP:
        unmap(s, e->vpn, e->vpn + e->count);
        break;
    case TRACE_PROT:
        regions_protect(&s->regions, e->vpn, e->vpn + e->count, e->prot);
        break;
    case TRACE_DROP:
        shadow_clear(&s->shadow, e->vpn, e->vpn + e->count);
        break;
    case TRACE_MOVE:
        move(s, e);
        break;
    default:
        touch(b, s, e);
        break;
    }
}

void book_apply(struct book *b, const struct trace_event *e)
{
    struct book_space *s = book_space(b, e->space), *changed = s;
    /* What the space had is taken off the sums, and what it has then is added. */
    if (s && e->verb != TRACE_FORK) {
        b->regions -= s->regions.count;
        b->pages -= s->shadow.pages;
    }
    b->events[e->verb]++;
    switch (e->verb) {
    case TRACE_NEW:
        changed = enter(b, e->space);
        break;
    case TRACE_FORK:
        changed = enter(b, e->child);
        regions_copy(&s->regions, &changed->regions);
        shadow_copy(&s->shadow, &changed->shadow);
        break;
    case TRACE_EXIT:
        leave(b, index_of(b, e->space));
        return;
    default:
        change(b, s, e);
        break;
    }
    b->regions += changed->regions.count;
    b->pages += changed->shadow.pages;
    if (b->pages > b->pages_peak) b->pages_peak = b->pages;
}

int book_of_trace(struct trace *t, struct book *out, struct trace_error *error)
{
    struct trace_event e;
    int rc;
    *out = (struct book){0};
    while ((rc = trace_next(t, &e, error)) > 0 && !(rc = book_check(out, &e, error))) book_apply(out, &e);
    while (out->live) leave(out, out->live - 1);
    free(out->spaces);
    out->spaces = NULL;
    out->room = out->regions = 0;
    out->pages = 0;
    return rc;
}
