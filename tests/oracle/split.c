/* SPDX-License-Identifier: MIT */
/**
 * @file oracle/split.c  Operations on ranges. What the two sides promise for a range of several areas differs: the kernel's
 * mprotect and madvise do what comes before a hole, the library does nothing; mremap takes one area (newer kernels:
 * several), the library one region; and the two merge neighbours by different rules. So a step is split where either side
 * has a boundary, anew after each piece, and the pieces must agree.
 */
#include "oracle/play.h"

#include <errno.h>
#include <objrmap/error.h>
#include <string.h>

enum outcome { DONE, ABSENT, INVALID, EXISTS, NO_ROOM, STRANGE };
static const char *const outcomes[] = {"done", "absent", "invalid", "exists", "no room", "something else"};

static enum outcome of_kernel(const struct command *c, int error)
{
    switch (error) {
    case 0:
        return DONE;
    case EINVAL:
        return INVALID;
    case EEXIST:
        return EXISTS;
    case EFAULT:
        return c->kind == COMMAND_REMAP ? ABSENT : STRANGE;
    case ENOMEM:
        return c->kind == COMMAND_REMAP ? NO_ROOM : ABSENT;
    default:
        return STRANGE;
    }
}

static enum outcome of_library(int rc)
{
    switch (rc) {
    case 0:
        return DONE;
    case RMAP_ERR_INVALID:
        return INVALID;
    case RMAP_ERR_EXISTS:
        return EXISTS;
    case RMAP_ERR_ABSENT:
        return ABSENT;
    case RMAP_ERR_NOMEM:
        return NO_ROOM;
    default:
        return STRANGE;
    }
}

/* @return whether it was done. */
static bool both_do(struct both *b, const struct step *x, const struct command *c)
{
    struct answer a;
    report->operations++;
    real_do(&b->real, x->space, c, &a);
    const enum outcome is = of_kernel(c, a.error);
    if (x->kind == b->slack.leave_out) return is == DONE;
    const int rc = library_do(&b->lib, x->space, c);
    const enum outcome has = of_library(rc);
    if (is != has || is == STRANGE)
        found(b, "the kernel says %s (%s), the library %s (%s)", outcomes[is], strerror(a.error), outcomes[has],
              rmap_strerror(rc));
    report->refused += is != DONE;
    return is == DONE;
}

static void forget(struct both *b, unsigned s, unsigned first, unsigned count)
{
    memset(&b->shadow[s][first], 0, count * sizeof b->shadow[s][first]);
}

/* ---- map, unmap, protect, dontneed ---- */

static void ranged(struct both *b, const struct step *x, unsigned first, unsigned count)
{
    static const uint8_t commands[STEP_KINDS] = {[STEP_MAP] = COMMAND_MAP,
                                                 [STEP_UNMAP] = COMMAND_UNMAP,
                                                 [STEP_PROTECT] = COMMAND_PROTECT,
                                                 [STEP_DONTNEED] = COMMAND_DONTNEED};
    const struct command c = {
        .kind = commands[x->kind], .first = (uint8_t)first, .count = (uint8_t)count, .prot = x->prot, .flag = x->flag};
    if (both_do(b, x, &c) && x->kind != STEP_PROTECT) forget(b, x->space, first, count);
    compare_layout(b, x->space);
    compare(b);
}

void play_ranged(struct both *b, const struct step *x)
{
    const unsigned end = x->first + x->count;
    const struct layout *at = b->regions[x->space];
    const bool whole = x->kind == STEP_MAP || x->kind == STEP_UNMAP;
    for (unsigned v = x->first, n; v < end; v += n) {
        for (n = 1; v + n < end && (whole || !at[v + n].prot == !at[v].prot);) n++;
        ranged(b, x, v, n);
    }
}

/* ---- moves ---- */

/* How far from v both sides see one area; v is mapped. */
static unsigned one_area(const struct both *b, unsigned s, unsigned v, unsigned end)
{
    const struct layout *a = b->areas[s], *r = b->regions[s];
    unsigned n = 1;
    while (v + n < end && a[v + n].prot && a[v + n].area == a[v].area && r[v + n].area == r[v].area) n++;
    return n;
}

/* Which of the moved pages got copy numbers: compare.h. */
static void number_copies(struct both *b, unsigned s, unsigned to, unsigned kept, const unsigned *members)
{
    uint64_t given = 0;
    for (unsigned i = 0; i < kept; i++) {
        struct shadow *x = &b->shadow[s][to + i];
        if (members[i] < 2) continue; /* its own */
        if (b->track[s]) {
            report->tracked++;
        } else if (b->held[s][to + i].kind == HELD_SLOT && held_shared(b, s, to + i)) {
            x->estranged = true;
        } else {
            x->copy = ++b->copies;
            given++;
        }
    }
    report->copied += given;
}

static void moved(struct both *b, const struct step *x, const struct command *c)
{
    const unsigned s = x->space, kept = c->count < c->new_count ? c->count : c->new_count;
    unsigned members[PAGES];
    struct shadow old[PAGES];
    const bool carried = c->flag & REMAP_FIXED;
    for (unsigned i = 0; i < kept; i++) members[i] = carried ? class_size(b, s, c->first + i) : 0;
    const uint64_t copied = library_copied(&b->lib), given = report->copied;
    if (both_do(b, x, c)) {
        memcpy(old, &b->shadow[s][c->first], kept * sizeof *old);
        forget(b, s, c->first, c->count);
        forget(b, s, c->to, c->new_count);
        memcpy(&b->shadow[s][c->to], old, kept * sizeof *old);
        compare_look(b);
        const uint64_t more = library_copied(&b->lib) - copied;
        if (b->track[s] && more) found(b, "%u pages were copied, under TRACK", (unsigned)more);
        number_copies(b, s, c->to, kept, members);
        if (report->copied - given != more)
            found(b, "%u pages were copied, %u of those moved were inherited and shared", (unsigned)more,
                  (unsigned)(report->copied - given));
    }
    compare_layout(b, s);
    compare(b);
}

static bool any_mapped(const struct both *b, unsigned s, unsigned first, unsigned count)
{
    for (unsigned v = first; v < first + count; v++)
        if (b->regions[s][v].prot) return true;
    return false;
}

void play_move(struct both *b, const struct step *x)
{
    const unsigned s = x->space, end = x->first + x->count;
    const uint8_t flag = REMAP_FIXED | (x->kind == STEP_KEEP ? REMAP_KEEP : 0);
    const unsigned new_count = x->kind == STEP_KEEP ? x->count : x->new_count;
    struct command c = {.kind = COMMAND_REMAP, .first = x->first, .count = x->count, .to = x->to, .flag = flag};
    c.new_count = (uint8_t)new_count;
    if (x->to + new_count > PAGES) return; /* only what the shrinker made of a step */
    const bool overlap = x->to < end && x->first < x->to + new_count;
    if (overlap || !b->regions[s][x->first].prot) {
        /* Both refuse. If nothing is there to be moved, the kernel has unmapped the target by then, and the library has not. */
        if (overlap ? b->regions[s][x->first].prot != 0 : !any_mapped(b, s, x->to, new_count)) moved(b, x, &c);
        return;
    }
    for (unsigned v = x->first, n; v < end; v += n) {
        const unsigned gone = v - x->first;
        n = one_area(b, s, v, end);
        if (!b->regions[s][v].prot || gone >= new_count) continue;
        c.first = (uint8_t)v;
        c.count = c.new_count = (uint8_t)n;
        c.to = (uint8_t)(x->to + gone);
        if (v + n == end || gone + n > new_count) c.new_count = (uint8_t)(new_count - gone);
        /* The last piece takes the growth; its new place must not reach back into it. */
        if (c.to < v + n && v < c.to + c.new_count) return;
        moved(b, x, &c);
    }
}

/* The last area of the range grows or shrinks; what would be cut beyond it stays. */
void play_resize(struct both *b, const struct step *x)
{
    const unsigned s = x->space, end = x->first + x->count;
    unsigned first = x->first;
    if (!b->regions[s][end - 1].prot) return;
    for (unsigned v = x->first, n; v < end; v += n) n = b->regions[s][v].prot ? one_area(b, s, first = v, end) : 1;
    const int least = (int)(x->first + x->new_count) - (int)first;
    const struct command c = {.kind = COMMAND_REMAP,
                              .first = (uint8_t)first,
                              .count = (uint8_t)(end - first),
                              .to = (uint8_t)first,
                              .new_count = (uint8_t)(least < 1 ? 1 : least)};
    moved(b, x, &c);
}
