/* SPDX-License-Identifier: MIT */
/** @file oracle/moves.c  Moves, piece by piece (split.c), and which of the moved pages COPY must have duplicated (compare.h). */
#include "oracle/play.h"

#include <objrmap/error.h>
#include <string.h>

/* How far from v both sides see one area; v is mapped. */
static unsigned one_area(const struct both *b, unsigned s, unsigned v, unsigned end)
{
    const struct layout *a = b->areas[s], *r = b->regions[s];
    unsigned n = 1;
    while (v + n < end && a[v + n].prot && a[v + n].area == a[v].area && r[v + n].area == r[v].area) n++;
    return n;
}

/* Which of the moved pages got copy numbers, and where each is at home: compare.h. */
static void number_copies(struct both *b, unsigned s, unsigned to, unsigned kept, const unsigned *members)
{
    uint64_t given = 0;
    for (unsigned i = 0; i < kept; i++) {
        struct shadow *x = &b->shadow[s][to + i];
        const bool shared = members[i] > 1;
        const bool on_swap = b->held[s][to + i].kind == HELD_SLOT && held_shared(b, s, to + i);
        x->estranged = shared && !b->track[s] && on_swap;
        if (shared && b->track[s]) {
            report->tracked++;
        } else if (!x->estranged) {
            x->home = (uint8_t)(to + i);
            if (shared) x->copy = ++b->copies;
            given += shared;
        }
    }
    report->copied += given;
}

/* What is to be known of the moved pages before they move. */
struct before {
    unsigned members[PAGES]; /* of each page's class */
    uint64_t copied;         /* by the library, so far */
};

static void look_before(struct both *b, unsigned s, const struct command *c, struct before *before)
{
    for (unsigned i = 0; i < c->count; i++) before->members[i] = class_size(b, s, c->first + i);
    before->copied = library_copied(&b->lib);
}

/* Done on both sides: what is known of the pages goes along, and the copies must be those that COPY is to make. */
static void follow(struct both *b, unsigned s, const struct command *c, const struct before *before)
{
    const unsigned kept = c->count < c->new_count ? c->count : c->new_count;
    const uint64_t given = report->copied;
    struct shadow old[PAGES];
    memcpy(old, &b->shadow[s][c->first], kept * sizeof *old);
    play_forget(b, s, c->first, c->count);
    play_forget(b, s, c->to, c->new_count);
    memcpy(&b->shadow[s][c->to], old, kept * sizeof *old);
    compare_look(b);
    const unsigned copied = (unsigned)(library_copied(&b->lib) - before->copied);
    if (b->track[s] && copied) found("%u pages were copied, under TRACK", copied);
    if (c->to != c->first) number_copies(b, s, c->to, kept, before->members);
    if (report->copied - given != copied)
        found("%u pages were copied, %u of those moved were inherited and shared", copied,
              (unsigned)(report->copied - given));
}

static void moved(struct both *b, const struct step *x, const struct command *c)
{
    struct before before;
    look_before(b, x->space, c, &before);
    if (play_both(b, x, c)) follow(b, x->space, c, &before);
    compare_layout(b, x->space);
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

/* The last area of the range is what grows or shrinks; what would be cut before it stays. */
static bool last_area(const struct both *b, const struct step *x, struct command *c)
{
    const unsigned s = x->space, end = x->first + x->count;
    unsigned first = x->first;
    if (!b->regions[s][end - 1].prot) return false;
    for (unsigned v = x->first, n; v < end; v += n) n = b->regions[s][v].prot ? one_area(b, s, first = v, end) : 1;
    const int new_count = (int)(x->first + x->new_count) - (int)first;
    *c = (struct command){.kind = COMMAND_REMAP,
                          .first = (uint8_t)first,
                          .count = (uint8_t)(end - first),
                          .to = (uint8_t)first,
                          .new_count = (uint8_t)(new_count < 1 ? 1 : new_count)};
    return true;
}

void play_resize(struct both *b, const struct step *x)
{
    struct command c;
    if (x->first + x->new_count <= PAGES && last_area(b, x, &c)) moved(b, x, &c);
}

/* Without a place of its own: in place where that is possible, else where the library finds a hole. */
void play_grow(struct both *b, const struct step *x)
{
    const unsigned s = x->space, end = x->first + x->count;
    struct before before;
    struct command c;
    if (!last_area(b, x, &c)) return;
    const unsigned after = c.first + c.new_count;
    const bool in_place = after <= end || (after <= PAGES && !any_mapped(b, s, end, after - end));
    look_before(b, s, &c, &before);
    rmap_vpn_t to = x->to; /* a hint */
    const int rc = rmap_space_move(b->lib.space[s], c.first, c.count, c.new_count, RMAP_MOVE_MAYMOVE, &to);
    if (!rc && (to == c.first) != in_place) found("%u+%u moved without need, or not with it", c.first, c.count);
    if (!rc && !in_place && any_mapped(b, s, (unsigned)to, c.new_count)) found("the chosen place is taken");
    c.to = (uint8_t)to;
    c.flag = in_place ? 0 : REMAP_FIXED;
    play_choice(b, x, &c, rc, c.new_count);
    if (!rc) follow(b, s, &c, &before);
    compare_layout(b, s);
    compare(b);
}
