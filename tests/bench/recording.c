/* SPDX-License-Identifier: MIT */
/** @file bench/recording.c  See the header. The trace's own book (replay/book.h) has checked every event before it is used. */
#include "bench/recording.h"

#include "bench/places.h"
#include "replay/book.h"
#include "replay/room.h"

struct recorder {
    struct recording *out;
    struct places *places; /* by space */
    bool *live;
};

static void add(struct recorder *r, struct step s)
{
    struct recording *out = r->out;
    out->step = room_grow(out->step, &out->room, out->steps + 1, sizeof s);
    out->step[out->steps++] = s;
    out->counts[s.verb]++;
}

/* [first, end), which has no place, is mapped. */
static void map(struct recorder *r, uint32_t space, uint64_t first, uint64_t end)
{
    struct places *p = &r->places[space];
    const uint64_t at = places_find(p, first, end - first);
    places_add(p, first, end, at);
    add(r, (struct step){STEP_MAP, space, 0, at, end - first, 0});
}

static void unmap(struct recorder *r, uint32_t space, uint64_t first, uint64_t end)
{
    struct place part;
    for (; places_part(&r->places[space], first, end, &part); first = part.end) {
        add(r, (struct step){STEP_UNMAP, space, 0, part.at, part.end - part.first, 0});
        places_cut(&r->places[space], part.first, part.end);
    }
}

/* Contents go, the mapping stays. */
static void drop(struct recorder *r, uint32_t space, uint64_t first, uint64_t end)
{
    struct place part;
    for (; places_part(&r->places[space], first, end, &part); first = part.end) {
        unmap(r, space, part.first, part.end);
        map(r, space, part.first, part.end);
    }
}

static void move_part(struct recorder *r, const struct trace_event *e, struct place part)
{
    struct places *p = &r->places[e->space];
    const uint64_t count = part.end - part.first, first = e->to + (part.first - e->vpn);
    const uint64_t at = places_find(p, first, count);
    add(r, (struct step){STEP_MOVE, e->space, 0, part.at, count, at});
    places_cut(p, part.first, part.end);
    places_add(p, first, first + count, at);
    if (e->flags & TRACE_DONTUNMAP) map(r, e->space, part.first, part.end);
}

/* What reaches behind the new length goes; what ends with the range grows with it. */
static void move(struct recorder *r, const struct trace_event *e)
{
    struct places *p = &r->places[e->space];
    const uint64_t end = e->vpn + e->count, kept = e->new_count < e->count ? e->vpn + e->new_count : end;
    struct place part;
    bool grows = false;
    unmap(r, e->space, kept, end);
    for (uint64_t at = e->vpn; places_part(p, at, kept, &part); at = part.end) {
        grows = part.end == end && e->new_count > e->count;
        if (e->to != e->vpn) move_part(r, e, part);
    }
    if (grows) map(r, e->space, e->to + e->count, e->to + e->new_count);
}

static void take(struct recorder *r, const struct trace_event *e)
{
    struct place part;
    switch (e->verb) {
    case TRACE_NEW:
        add(r, (struct step){STEP_CREATE, e->space, 0, 0, 0, 0});
        r->live[e->space] = true;
        break;
    case TRACE_FORK:
        add(r, (struct step){STEP_FORK, e->space, e->child, 0, 0, 0});
        places_copy(&r->places[e->space], &r->places[e->child]);
        r->live[e->child] = true;
        break;
    case TRACE_EXIT:
        add(r, (struct step){STEP_EXIT, e->space, 0, 0, 0, 0});
        places_fini(&r->places[e->space]);
        r->live[e->space] = false;
        break;
    case TRACE_MAP:
        if (e->kind != 's') map(r, e->space, e->vpn, e->vpn + e->count);
        break;
    case TRACE_UNMAP:
        unmap(r, e->space, e->vpn, e->vpn + e->count);
        break;
    case TRACE_DROP:
        drop(r, e->space, e->vpn, e->vpn + e->count);
        break;
    case TRACE_MOVE:
        move(r, e);
        break;
    case TRACE_WRITE:
        if (places_part(&r->places[e->space], e->vpn, e->vpn + 1, &part))
            add(r, (struct step){STEP_WRITE, e->space, 0, part.at, 0, 0});
        break;
    default:
        break;
    }
}

static int read_events(const char *path, struct recorder *r, struct trace_error *error)
{
    struct trace *t;
    struct trace_event e;
    int more;
    if (trace_open_file(path, &t, error)) return -1;
    while ((more = trace_next(t, &e, error)) > 0) {
        /* The file that was checked is another by now: what follows could not be trusted. */
        if (e.space >= r->out->spaces || e.child >= r->out->spaces) {
            more = trace_wrong(error, e.line, "the file changes while it is read");
            break;
        }
        take(r, &e);
    }
    trace_close(t);
    return more;
}

int recording_read(const char *path, struct recording *out, struct trace_error *error)
{
    struct book known = {0};
    struct trace *t;
    *out = (struct recording){0};
    if (trace_open_file(path, &t, error)) return -1;
    const int rc = book_of_trace(t, &known, error);
    trace_close(t);
    if (rc) return -1;
    out->spaces = known.last + 1;
    out->pages_peak = known.pages_peak;
    struct recorder r = {out, room_for(out->spaces, sizeof(struct places)), room_for(out->spaces, sizeof(bool))};
    const int status = read_events(path, &r, error);
    for (uint32_t s = out->spaces; s-- > 0;) {
        if (!status && r.live[s]) add(&r, (struct step){STEP_EXIT, s, 0, 0, 0, 0});
        places_fini(&r.places[s]);
    }
    free(r.places);
    free(r.live);
    if (status) recording_fini(out);
    return status;
}

void recording_fini(struct recording *r)
{
    free(r->step);
    *r = (struct recording){0};
}
