/* SPDX-License-Identifier: MIT */
/**
 * @file oracle/shrink.c  A failing program made small: steps are left out in ever smaller pieces (delta debugging, after
 * Zeller and Hildebrandt, 2002), then the world and each step's numbers are made simple, as long as it goes on failing.
 */
#include "oracle/program.h"

#include <stdlib.h>
#include <string.h>

struct shrinking {
    struct program *best, *tried;
    bool (*fails)(void *ctx, const struct program *);
    void *ctx;
    unsigned tries;
};

/* Is `tried` as good? Then it is the best. */
static bool accept(struct shrinking *x)
{
    if (!x->tries) return false;
    x->tries--;
    if (!x->fails(x->ctx, x->tried)) return false;
    *x->best = *x->tried;
    return true;
}

static bool without(struct shrinking *x, size_t first, size_t count)
{
    const struct program *b = x->best;
    *x->tried = *b;
    memmove(&x->tried->step[first], &b->step[first + count], (b->count - first - count) * sizeof *b->step);
    x->tried->count -= count;
    return accept(x);
}

/* From the end: what comes late depends on what was before. */
static bool leave_out(struct shrinking *x)
{
    bool any = false;
    for (size_t piece = (x->best->count + 1) / 2; piece && x->tries; piece /= 2) {
        for (size_t end = x->best->count; end && x->tries;) {
            const size_t count = piece < end ? piece : end;
            any |= without(x, end - count, count);
            end -= count;
        }
    }
    return any;
}

/* A fork less: what the child did its parent does. */
static bool fold_forks(struct shrinking *x)
{
    bool any = false;
    for (size_t i = 0; i < x->best->count && x->tries; i++) {
        const struct step fork = x->best->step[i];
        if (fork.kind != STEP_FORK) continue;
        *x->tried = *x->best;
        struct step *s = x->tried->step;
        memmove(s + i, s + i + 1, (--x->tried->count - i) * sizeof *s);
        for (size_t n = i; n < x->tried->count; n++) {
            if (s[n].space == fork.other) s[n].space = fork.space;
            if (s[n].other == fork.other) s[n].other = fork.space;
        }
        any |= accept(x);
    }
    return any;
}

/* One number of a step or the world, made smaller: to 1 or 0, by half, by one. */
static bool lessen(struct shrinking *x, void *field, size_t bytes, uint32_t least)
{
    const size_t at = (size_t)((char *)field - (char *)x->best);
    bool any = false;
    for (unsigned way = 0; way < 3 && x->tries; way++) {
        uint32_t n = 0;
        memcpy(&n, (char *)x->best + at, bytes);
        const uint32_t less = way == 0 ? least : way == 1 ? n / 2 : n - 1;
        if (n <= least || less < least) continue;
        *x->tried = *x->best;
        memcpy((char *)x->tried + at, &less, bytes);
        any |= accept(x);
    }
    return any;
}

static bool simplify(struct shrinking *x)
{
    struct world *w = &x->best->world;
    bool any = false;
    *x->tried = *x->best;
    if (w->swap != SWAP_NONE) { /* a world without swap needs room */
        x->tried->world.swap = SWAP_NONE;
        x->tried->world.frames = SPACES * PAGES + 64;
        any |= accept(x);
    }
    any |= lessen(x, &w->mmu, sizeof w->mmu, 0);
    any |= lessen(x, &w->track, sizeof w->track, 0);
    for (size_t i = 0; i < x->best->count && x->tries; i++) {
        struct step *s = &x->best->step[i];
        if (s->kind == STEP_POLICY || s->kind == STEP_START || s->kind == STEP_EXIT || s->kind == STEP_EXEC) continue;
        if (s->kind == STEP_MOVE || s->kind == STEP_KEEP) {
            *x->tried = *x->best;
            x->tried->step[i].count = x->tried->step[i].new_count = 1;
            if (s->count > 1 || s->new_count > 1) any |= accept(x);
        } else if (s->count > 1) {
            any |= lessen(x, &s->count, sizeof s->count, 1);
        }
        any |= lessen(x, &s->value, sizeof s->value, s->kind == STEP_RECLAIM);
    }
    return any;
}

void program_shrink(struct program *p, bool (*fails)(void *ctx, const struct program *), void *ctx, unsigned tries)
{
    struct shrinking x = {.best = p, .tried = malloc(sizeof *p), .fails = fails, .ctx = ctx, .tries = tries};
    if (!x.tried) return;
    for (bool any = true; any;) {
        any = leave_out(&x);
        any |= fold_forks(&x);
        any |= simplify(&x);
    }
    free(x.tried);
}
