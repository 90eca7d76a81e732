/* SPDX-License-Identifier: MIT */
/** @file oracle/play.c  Playing a program: each step on the kernel's side, then on the library's, then the comparison. */
#include "oracle/play.h"

#include <objrmap/error.h>
#include <string.h>

#define BOOKS_EVERY 16 /* steps */

static void must(int rc, const char *verb)
{
    if (rc) found("%s: %s", verb, rmap_strerror(rc));
}

/* ---- lives ---- */

static void begin(struct both *b, unsigned s, bool track)
{
    b->live[s] = true;
    b->track[s] = track;
    memset(b->shadow[s], 0, sizeof b->shadow[s]);
}

static void play_start(struct both *b, const struct step *x)
{
    real_start(&b->real, x->space);
    must(rmap_space_create(b->lib.pager, &b->lib.space[x->space]), "create");
    begin(b, x->space, b->program->world.track);
    compare_layout(b, x->space);
}

static void play_fork(struct both *b, const struct step *x)
{
    real_fork(&b->real, x->space, x->other);
    must(rmap_space_fork(b->lib.space[x->space], &b->lib.space[x->other]), "fork");
    begin(b, x->other, b->track[x->space]);
    memcpy(b->shadow[x->other], b->shadow[x->space], sizeof b->shadow[x->space]);
    compare_layout(b, x->other);
    compare_look(b);
    compare_forked(b, x->space, x->other);
}

static void play_exit(struct both *b, unsigned s)
{
    real_exit(&b->real, s);
    must(rmap_space_destroy(b->lib.space[s]), "destroy");
    b->lib.space[s] = NULL;
    b->live[s] = false;
}

static void play_exec(struct both *b, unsigned s)
{
    const struct command c = {.kind = COMMAND_UNMAP, .count = PAGES};
    struct answer a;
    real_do(&b->real, s, &c, &a);
    if (a.error) trouble("munmap: %s", strerror(a.error));
    must(rmap_space_exec(b->lib.space[s]), "exec");
    begin(b, s, b->program->world.track);
    compare_layout(b, s);
}

/* ---- accesses ---- */

static const char *const touches[] = {"done", "not mapped", "not allowed", "something else"};

static enum touch of_library(int rc)
{
    return rc == 0                 ? TOUCH_DONE
           : rc == RMAP_ERR_ABSENT ? TOUCH_ABSENT
           : rc == RMAP_ERR_ACCESS ? TOUCH_ACCESS
                                   : TOUCH_STRANGE;
}

/* A page was touched: it is at home now if it is new, written, or could not be mapped here as it was (compare.h). */
static void settle(struct both *b, unsigned s, unsigned v, bool written)
{
    struct shadow *x = &b->shadow[s][v];
    const unsigned members = class_size(b, s, v);
    const bool astray = x->estranged && x->home != v;
    x->estranged = x->zero_dropped = false;
    if (!members || written || astray) x->home = (uint8_t)v;
    if (!astray || members < 2) return;
    x->copy = ++b->copies;
    report->copied_late++;
}

static void touch_one(struct both *b, const struct step *x, const struct command *c, const struct answer *a, unsigned i)
{
    const unsigned s = x->space, v = x->first + i;
    uint64_t word = 0;
    if (x->kind == b->slack.leave_out) return;
    const int rc = library_touch(&b->lib, s, c, i, &word);
    if (of_library(rc) != a->touch[i] || a->touch[i] == TOUCH_STRANGE)
        found("s%u:%u: the kernel says %s, the library %s (%s)", s, v, touches[a->touch[i]], touches[of_library(rc)],
              rmap_strerror(rc));
    if (x->kind == STEP_READ && word != a->word[i])
        found("s%u:%u reads %#llx in the kernel, %#llx in the library", s, v, (unsigned long long)a->word[i],
              (unsigned long long)word);
    report->refused += rc != 0;
    if (!rc) settle(b, s, v, x->kind == STEP_WRITE);
}

static void play_touch(struct both *b, const struct step *x)
{
    const struct command c = {.kind = x->kind == STEP_WRITE ? COMMAND_WRITE : COMMAND_READ,
                              .first = x->first,
                              .count = x->count,
                              .value = x->value};
    static struct answer a;
    real_do(&b->real, x->space, &c, &a);
    report->operations += x->count;
    for (unsigned i = 0; i < x->count; i++) touch_one(b, x, &c, &a, i);
}

/* ---- the library's alone ---- */

static void play_quiet(struct both *b, const struct step *x)
{
    const uint32_t frames = b->program->world.frames;
    if (x->kind == STEP_POLICY) {
        must(rmap_space_set_move_policy(b->lib.space[x->space],
                                        x->flag ? RMAP_MOVE_POLICY_TRACK : RMAP_MOVE_POLICY_COPY),
             "policy");
        b->track[x->space] = x->flag;
    } else if (x->kind == STEP_RECLAIM) {
        if (rmap_reclaim(b->lib.pager, x->value) < 0) found("reclaim failed");
    } else if (x->first < frames) {
        const uint64_t count = x->count < frames - x->first ? x->count : frames - x->first;
        if (rmap_pager_vacate(b->lib.pager, x->first, count) < 0) found("vacate failed");
    }
}

/* ---- the program ---- */

/* Is there something to be done? Without this a program that lost steps would have no meaning. */
static bool makes_sense(const struct both *b, const struct step *x)
{
    if (x->kind == STEP_RECLAIM || x->kind == STEP_VACATE) return true;
    if (x->kind == STEP_START) return !b->live[x->space];
    return b->live[x->space] && (x->kind != STEP_FORK || !b->live[x->other]);
}

static void play_step(struct both *b, const struct step *x)
{
    const uint64_t before = report->operations;
    if (x->kind <= STEP_EXEC) report->operations++;
    switch (x->kind) {
    case STEP_START:
        play_start(b, x);
        break;
    case STEP_FORK:
        play_fork(b, x);
        break;
    case STEP_EXIT:
        play_exit(b, x->space);
        break;
    case STEP_EXEC:
        play_exec(b, x->space);
        break;
    case STEP_WRITE:
    case STEP_READ:
        play_touch(b, x);
        break;
    case STEP_MOVE:
    case STEP_KEEP:
        play_move(b, x);
        break;
    case STEP_RESIZE:
        play_resize(b, x);
        break;
    case STEP_GROW:
        play_grow(b, x);
        break;
    case STEP_POLICY:
    case STEP_RECLAIM:
    case STEP_VACATE:
        play_quiet(b, x);
        break;
    default:
        play_ranged(b, x);
    }
    compare(b);
    report->steps += report->operations != before;
}

void play(struct both *b, const struct program *p)
{
    const struct slackness slack = b->slack;
    memset(b, 0, sizeof *b);
    b->slack = slack;
    b->program = p;
    real_open(&b->real); /* first: its processes have nothing of the library in them */
    library_open(&b->lib, &p->world);
    for (size_t i = 0; i < p->count; i++) {
        report->step = i;
        if (makes_sense(b, &p->step[i])) play_step(b, &p->step[i]);
        if (i % BOOKS_EVERY == 0) compare_books(b);
    }
    report->step = p->count;
    compare_books(b);
    for (unsigned s = 0; s < SPACES; s++) {
        if (!b->live[s]) continue;
        play_exit(b, s);
        compare(b);
    }
    compare_books(b);
    const char *left = library_close(&b->lib);
    if (left) found("%s", left);
    real_close(&b->real);
    report->programs++;
}
