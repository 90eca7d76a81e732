/* SPDX-License-Identifier: MIT */
/** @file bench/places.c  See the header: a sorted array, which is enough for what is made once, before any clock runs. */
#include "bench/places.h"

#include "replay/room.h"
#include "scale/must.h"

#include <string.h>

void places_fini(struct places *p)
{
    free(p->place);
    *p = (struct places){0};
}

void places_copy(const struct places *from, struct places *to)
{
    *to = (struct places){.count = from->count, .room = from->count, .next = from->next};
    to->place = room_for(from->count, sizeof *to->place);
    if (from->count) memcpy(to->place, from->place, from->count * sizeof *to->place);
}

/* The first part that ends behind `vpn`. */
static size_t position(const struct places *p, uint64_t vpn)
{
    size_t low = 0, high = p->count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (p->place[middle].end > vpn)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static bool touches(const struct places *p, uint64_t first, uint64_t count)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct place *q = &p->place[i];
        if (q->at <= first + count && first <= q->at + (q->end - q->first)) return true;
    }
    return false;
}

uint64_t places_find(struct places *p, uint64_t vpn, uint64_t count)
{
    if (vpn + count < PLACES_OWN && !touches(p, vpn, count)) return vpn;
    if (!p->next) p->next = PLACES_OWN + 1;
    const uint64_t at = p->next;
    p->next += count + 1;
    MUST_HOLD(p->next < 2 * PLACES_OWN);
    return at;
}

static void insert(struct places *p, size_t i, struct place q)
{
    p->place = room_grow(p->place, &p->room, p->count + 1, sizeof *p->place);
    memmove(p->place + i + 1, p->place + i, (p->count - i) * sizeof q);
    p->place[i] = q;
    p->count++;
}

void places_add(struct places *p, uint64_t first, uint64_t end, uint64_t at)
{
    const size_t i = position(p, first);
    MUST_HOLD(i == p->count || p->place[i].first >= end);
    insert(p, i, (struct place){first, end, at});
}

bool places_part(const struct places *p, uint64_t first, uint64_t end, struct place *out)
{
    const size_t i = position(p, first);
    if (first >= end || i == p->count || p->place[i].first >= end) return false;
    *out = p->place[i];
    if (out->first < first) {
        out->at += first - out->first;
        out->first = first;
    }
    if (out->end > end) out->end = end;
    return true;
}

void places_cut(struct places *p, uint64_t first, uint64_t end)
{
    const size_t i = position(p, first);
    MUST_HOLD(i < p->count && p->place[i].first <= first && end <= p->place[i].end);
    struct place *q = &p->place[i];
    const struct place behind = {end, q->end, q->at + (end - q->first)};
    q->end = first;
    if (behind.first < behind.end) insert(p, i + 1, behind);
    if (p->place[i].first < p->place[i].end) return;
    memmove(p->place + i, p->place + i + 1, (--p->count - i) * sizeof *q);
}
