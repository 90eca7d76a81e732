/* SPDX-License-Identifier: MIT */
/** @file replay/regions.c  See the header: a sorted array; forks copy it. */
#include "replay/regions.h"
#include "replay/room.h"
#include "replay/trace.h"

#include <string.h>

void regions_fini(struct regions *rs)
{
    free(rs->at);
    *rs = (struct regions){0};
}

void regions_copy(const struct regions *from, struct regions *to)
{
    to->at = room_grow(NULL, &to->room, from->count, sizeof *to->at);
    to->count = from->count;
    if (from->count) memcpy(to->at, from->at, from->count * sizeof *to->at);
}

/* Index of the first region that ends after vpn. */
static size_t from(const struct regions *rs, uint64_t vpn)
{
    size_t low = 0, high = rs->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (rs->at[middle].end > vpn)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

const struct region *regions_find(const struct regions *rs, uint64_t vpn)
{
    const size_t i = from(rs, vpn);
    return i < rs->count && rs->at[i].first <= vpn ? &rs->at[i] : NULL;
}

bool regions_cover(const struct regions *rs, uint64_t first, uint64_t end)
{
    for (size_t i = from(rs, first); i < rs->count && rs->at[i].first <= first; i++) {
        first = rs->at[i].end;
        if (first >= end) return true;
    }
    return false;
}

bool regions_spare(const struct regions *rs, uint64_t first, uint64_t end)
{
    const size_t i = from(rs, first);
    return i == rs->count || rs->at[i].first >= end;
}

size_t regions_within(const struct regions *rs, uint64_t first, uint64_t end)
{
    const size_t i = from(rs, first), j = from(rs, end);
    return j - i + (j < rs->count && rs->at[j].first < end);
}

bool regions_any_shared(const struct regions *rs, uint64_t first, uint64_t end)
{
    for (size_t i = from(rs, first); i < rs->count && rs->at[i].first < end; i++)
        if (!region_is_held(&rs->at[i])) return true;
    return false;
}

static void insert(struct regions *rs, size_t i, const struct region *more, size_t n)
{
    rs->at = room_grow(rs->at, &rs->room, rs->count + n, sizeof *rs->at);
    memmove(rs->at + i + n, rs->at + i, (rs->count - i) * sizeof *rs->at);
    memcpy(rs->at + i, more, n * sizeof *more);
    rs->shifted += rs->count - i;
    rs->count += n;
}

/* Afterwards no region has vpn inside; index of the first one from there. */
static size_t cut(struct regions *rs, uint64_t vpn)
{
    const size_t i = from(rs, vpn);
    if (i == rs->count || rs->at[i].first >= vpn) return i;
    const struct region whole = rs->at[i];
    insert(rs, i, &whole, 1);
    rs->at[i].end = vpn;
    rs->at[i + 1].first = vpn;
    return i + 1;
}

void regions_add(struct regions *rs, const struct region *r)
{
    insert(rs, from(rs, r->first), r, 1);
}

void regions_add_all(struct regions *rs, const struct regions *more)
{
    if (more->count) insert(rs, from(rs, more->at[0].first), more->at, more->count);
}

void regions_remove(struct regions *rs, uint64_t first, uint64_t end)
{
    const size_t i = cut(rs, first), j = cut(rs, end);
    memmove(rs->at + i, rs->at + j, (rs->count - j) * sizeof *rs->at);
    rs->shifted += rs->count - j;
    rs->count -= j - i;
}

void regions_protect(struct regions *rs, uint64_t first, uint64_t end, unsigned prot)
{
    const size_t i = cut(rs, first), j = cut(rs, end);
    for (size_t k = i; k < j; k++) {
        rs->at[k].prot = prot;
        rs->at[k].writable_once |= (prot & TRACE_W) != 0;
    }
}

static void clip(struct region *r, uint64_t first, uint64_t end)
{
    if (r->first < first) r->first = first;
    if (r->end > end) r->end = end;
}

bool regions_part(const struct regions *rs, uint64_t first, uint64_t end, struct region *out)
{
    const size_t i = from(rs, first);
    if (first >= end || i == rs->count || rs->at[i].first >= end) return false;
    *out = rs->at[i];
    clip(out, first, end);
    return true;
}

bool regions_held(const struct regions *rs, uint64_t first, uint64_t end, struct region *out)
{
    size_t i = from(rs, first);
    while (i < rs->count && !region_is_held(&rs->at[i])) i++;
    if (first >= end || i == rs->count || rs->at[i].first >= end) return false;
    *out = rs->at[i++];
    for (; i < rs->count && rs->at[i].first == out->end && out->end < end; i++) {
        const struct region *next = &rs->at[i];
        if (!region_is_held(next) || next->prot != out->prot || next->writable_once != out->writable_once) break;
        out->end = next->end;
    }
    clip(out, first, end);
    return true;
}
