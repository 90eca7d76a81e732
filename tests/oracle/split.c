/* SPDX-License-Identifier: MIT */
/**
 * @file oracle/split.c  Operations on ranges. What the two sides promise for a range of several areas differs: the kernel's
 * mprotect and madvise do what comes before a hole, the library does nothing; mremap takes one area (newer kernels:
 * several), the library one region; and the two merge neighbours by different rules. So a step is split where either side
 * has a boundary, anew after each piece, and the pieces must agree. Where the library chooses a place (it looks for a hole
 * in the window, the kernel would look elsewhere), the kernel is told the same one, and nothing may be there.
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

bool play_both(struct both *b, const struct step *x, const struct command *c)
{
    struct answer a;
    report->operations++;
    real_do(&b->real, x->space, c, &a);
    const enum outcome is = of_kernel(c, a.error);
    if (x->kind == b->slack.leave_out) return is == DONE;
    const int rc = library_do(&b->lib, x->space, c);
    const enum outcome has = of_library(rc);
    if (is != has || is == STRANGE)
        found("the kernel says %s (%s), the library %s (%s)", outcomes[is], strerror(a.error), outcomes[has],
              rmap_strerror(rc));
    report->refused += is != DONE;
    return is == DONE;
}

void play_choice(struct both *b, const struct step *x, const struct command *chosen, int rc, unsigned count)
{
    struct answer a;
    report->operations++;
    if (of_library(rc) == NO_ROOM) {
        unsigned free = 0;
        report->refused++;
        for (unsigned v = 0; v < PAGES; v++) {
            free = b->areas[x->space][v].prot ? 0 : free + 1;
            if (free == count) found("the library finds no hole of %u pages, there is one before %u", count, v + 1);
        }
        return;
    }
    if (rc) found("the library says %s", rmap_strerror(rc));
    real_do(&b->real, x->space, chosen, &a);
    if (a.error)
        found("the library chose %u+%u, the kernel says %s", chosen->kind == COMMAND_MAP ? chosen->first : chosen->to,
              count, strerror(a.error));
}

void play_forget(struct both *b, unsigned s, unsigned first, unsigned count)
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
    if (play_both(b, x, &c) && x->kind != STEP_PROTECT) play_forget(b, x->space, first, count);
    compare_layout(b, x->space);
    compare(b);
}

/* The library chooses the place. The kernel is not to replace anything there. */
static void map_anywhere(struct both *b, const struct step *x)
{
    rmap_vpn_t at = x->first;
    const int rc = rmap_space_map(b->lib.space[x->space], &at, x->count, x->prot, 0);
    const struct command c = {
        .kind = COMMAND_MAP, .first = (uint8_t)at, .count = x->count, .prot = x->prot, .flag = MAP_INTO_HOLE};
    play_choice(b, x, &c, rc, x->count);
    if (!rc) play_forget(b, x->space, (unsigned)at, x->count);
    compare_layout(b, x->space);
    compare(b);
}

void play_ranged(struct both *b, const struct step *x)
{
    if (x->kind == STEP_MAP && x->flag == MAP_ANYWHERE && b->slack.leave_out != STEP_MAP) {
        map_anywhere(b, x);
        return;
    }
    const unsigned end = x->first + x->count;
    const struct layout *at = b->regions[x->space];
    const bool whole = x->kind == STEP_MAP || x->kind == STEP_UNMAP;
    for (unsigned v = x->first, n; v < end; v += n) {
        for (n = 1; v + n < end && (whole || !at[v + n].prot == !at[v].prot);) n++;
        ranged(b, x, v, n);
    }
}
