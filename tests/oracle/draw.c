/* SPDX-License-Identifier: MIT */
/**
 * @file oracle/draw.c  The program of a seed. A sketch of the layouts goes along, so that most steps do something; what they
 * really do is for the two sides to say.
 */
#include "oracle/program.h"
#include "support/prng.h"

#include <objrmap/types.h>
#include <string.h>

struct sketch {
    struct prng rng;
    struct program *p;
    bool live[SPACES];
    uint8_t prot[SPACES][PAGES];                    /* 0: a hole, else 1 + protection */
    unsigned touch_space, touch_first, touch_count; /* what was last moved, protected …: it is often touched next */
};

static unsigned below(struct sketch *k, unsigned n)
{
    return (unsigned)prng_below(&k->rng, n);
}

static bool chance(struct sketch *k, unsigned percent)
{
    return below(k, 100) < percent;
}

static void draw_world(struct sketch *k)
{
    struct world *w = &k->p->world;
    w->mmu = (uint8_t)below(k, MMU_KINDS);
    w->track = chance(k, 50);
    w->batch = below(k, 9);
    if (chance(k, 60)) { /* few frames: most of what there is lies on swap */
        w->frames = 24 + below(k, chance(k, 50) ? 24 : 160);
        w->swap = (uint8_t)(1 + below(k, SWAP_KINDS - 1));
    } else {
        w->frames = SPACES * PAGES + 64;
        w->swap = (uint8_t)below(k, SWAP_KINDS);
    }
}

/* ---- places ---- */

static unsigned live_count(const struct sketch *k)
{
    unsigned n = 0;
    for (unsigned s = 0; s < SPACES; s++) n += k->live[s];
    return n;
}

/* A space that lives, or one that does not; SPACES if there is none. */
static unsigned some_space(struct sketch *k, bool live)
{
    unsigned n = live ? live_count(k) : SPACES - live_count(k);
    if (!n) return SPACES;
    n = below(k, n);
    for (unsigned s = 0;; s++)
        if (k->live[s] == live && !n--) return s;
}

/* Mostly pages that are mapped, seldom whatever. */
static void some_range(struct sketch *k, unsigned s, unsigned most, struct step *out)
{
    const unsigned anywhere = below(k, PAGES);
    unsigned first = anywhere, count = 1 + below(k, most);
    if (chance(k, 95))
        for (unsigned i = 0; i < PAGES && !k->prot[s][first]; i++) first = (first + 1) % PAGES;
    if (count > PAGES - first) count = PAGES - first;
    if (chance(k, 80))
        for (unsigned n = 1; n < count; n++)
            if (!k->prot[s][first + n]) count = n;
    out->first = (uint8_t)first;
    out->count = (uint8_t)count;
}

/* Where `count` pages go: into a hole if there is one behind a random place, sometimes onto others. */
static unsigned some_place(struct sketch *k, unsigned s, unsigned count)
{
    const unsigned start = below(k, PAGES - count + 1);
    if (chance(k, 25)) return start;
    for (unsigned i = 0; i <= PAGES - count; i++) {
        const unsigned at = (start + i) % (PAGES - count + 1);
        unsigned n = 0;
        while (n < count && !k->prot[s][at + n]) n++;
        if (n == count) return at;
    }
    return start;
}

static uint8_t some_prot(struct sketch *k)
{
    static const uint8_t prots[] = {RMAP_READ | RMAP_WRITE, RMAP_READ, RMAP_NONE};
    return prots[chance(k, 60) ? 0 : 1 + chance(k, 35)];
}

/* ---- steps ---- */

static void touch_next(struct sketch *k, unsigned s, unsigned first, unsigned count)
{
    k->touch_space = s;
    k->touch_first = first;
    k->touch_count = count;
}

static struct step *add(struct sketch *k, enum step_kind kind, unsigned s)
{
    struct step *x = &k->p->step[k->p->count++];
    *x = (struct step){.kind = (uint8_t)kind, .space = (uint8_t)s};
    return x;
}

static void sketch_set(struct sketch *k, unsigned s, unsigned first, unsigned count, unsigned prot)
{
    memset(&k->prot[s][first], (int)prot, count);
}

static void draw_map(struct sketch *k, unsigned s)
{
    struct step *x = add(k, STEP_MAP, s);
    x->count = (uint8_t)(1 + below(k, 14));
    x->first = (uint8_t)some_place(k, s, x->count);
    x->prot = chance(k, 80) ? RMAP_READ | RMAP_WRITE : some_prot(k);
    x->flag = chance(k, 50) ? MAP_OVER : 1 + chance(k, 60);
    sketch_set(k, s, x->first, x->count, 1u + x->prot);
}

/* A range is drawn already; where to? */
static void draw_target(struct sketch *k, struct step *x)
{
    const unsigned s = x->space;
    uint8_t old[PAGES];
    x->new_count = x->count;
    if (x->kind == STEP_MOVE && chance(k, 25)) x->new_count = (uint8_t)(1 + below(k, x->count + 5u));
    x->to = (uint8_t)some_place(k, s, x->new_count > x->count ? x->new_count : x->count);
    memcpy(old, &k->prot[s][x->first], x->count);
    if (x->kind == STEP_MOVE) sketch_set(k, s, x->first, x->count, 0);
    touch_next(k, s, chance(k, 80) ? x->to : x->first, x->count < x->new_count ? x->count : x->new_count);
    for (unsigned i = 0; i < x->new_count; i++) k->prot[s][x->to + i] = old[i < x->count ? i : x->count - 1u];
}

static void draw_move(struct sketch *k, unsigned s, enum step_kind kind)
{
    struct step *x = add(k, kind, s);
    some_range(k, s, 12, x);
    draw_target(k, x);
}

static void draw_resize(struct sketch *k, unsigned s, enum step_kind kind)
{
    struct step *x = add(k, kind, s);
    some_range(k, s, 10, x);
    unsigned most = PAGES - x->first;
    x->new_count = (uint8_t)(1 + below(k, most < x->count + 6u ? most : x->count + 6u));
    x->to = (uint8_t)below(k, PAGES + 1u - x->new_count);
    for (unsigned i = x->new_count; i < x->count; i++) k->prot[s][x->first + i] = 0;
    for (unsigned i = x->count; i < x->new_count && !k->prot[s][x->first + i]; i++)
        k->prot[s][x->first + i] = k->prot[s][x->first];
}

static void draw_fork(struct sketch *k, unsigned s)
{
    const unsigned child = some_space(k, false);
    if (child == SPACES) return;
    add(k, STEP_FORK, s)->other = (uint8_t)child;
    k->live[child] = true;
    memcpy(k->prot[child], k->prot[s], PAGES);
    struct step range;
    some_range(k, s, 6, &range);
    touch_next(k, chance(k, 50) ? s : child, range.first, range.count);
}

static void draw_ranged(struct sketch *k, unsigned s, enum step_kind kind)
{
    struct step *x = add(k, kind, s);
    some_range(k, s, kind == STEP_UNMAP ? 8 : 6, x);
    x->value = below(k, 1000000);
    if (kind == STEP_PROTECT || kind == STEP_DONTNEED) touch_next(k, s, x->first, x->count);
    if (kind == STEP_UNMAP) sketch_set(k, s, x->first, x->count, 0);
    if (kind != STEP_PROTECT) return;
    x->prot = some_prot(k);
    for (unsigned i = 0; i < x->count; i++)
        if (k->prot[s][x->first + i]) k->prot[s][x->first + i] = (uint8_t)(1 + x->prot);
}

static void draw_end(struct sketch *k, unsigned s, enum step_kind kind)
{
    if (kind == STEP_EXIT && live_count(k) == 1) return;
    add(k, kind, s);
    k->live[s] = kind == STEP_EXEC;
    sketch_set(k, s, 0, PAGES, 0);
}

static void draw_start(struct sketch *k)
{
    const unsigned s = some_space(k, false);
    if (s == SPACES || live_count(k) > SPACES / 2) return;
    add(k, STEP_START, s);
    k->live[s] = true;
}

static void draw_quiet(struct sketch *k, unsigned s, enum step_kind kind)
{
    struct step *x = add(k, kind, s);
    x->flag = chance(k, 50);
    x->value = 1 + below(k, 40);
    x->first = (uint8_t)below(k, 60);
    x->count = (uint8_t)(1 + below(k, 20));
}

static enum step_kind some_kind(struct sketch *k)
{
    static const struct {
        uint8_t kind, weight;
    } wanted[] = {
        {STEP_WRITE, 24}, {STEP_READ, 11},  {STEP_FORK, 9},    {STEP_MOVE, 15},    {STEP_KEEP, 4},   {STEP_RESIZE, 4},
        {STEP_GROW, 3},   {STEP_MAP, 8},    {STEP_UNMAP, 4},   {STEP_PROTECT, 8},  {STEP_EXIT, 6},   {STEP_EXEC, 1},
        {STEP_START, 1},  {STEP_POLICY, 1}, {STEP_RECLAIM, 3}, {STEP_DONTNEED, 4}, {STEP_VACATE, 1},
    };
    unsigned sum = 0, n;
    for (unsigned i = 0; i < sizeof wanted / sizeof *wanted; i++) sum += wanted[i].weight;
    n = below(k, sum);
    for (unsigned i = 0;; n -= wanted[i++].weight)
        if (n < wanted[i].weight) return (enum step_kind)wanted[i].kind;
}

/* What is touched again is written, read, or carried on. */
static void draw_touch(struct sketch *k)
{
    const enum step_kind kind = chance(k, 50) ? STEP_WRITE : chance(k, 50) ? STEP_READ : STEP_MOVE;
    struct step *x = add(k, kind, k->touch_space);
    x->first = (uint8_t)k->touch_first;
    x->count = (uint8_t)(1 + below(k, k->touch_count));
    x->value = below(k, 1000000);
    k->touch_count = 0;
    if (kind == STEP_MOVE) draw_target(k, x);
}

static void draw_step(struct sketch *k)
{
    if (k->touch_count && chance(k, 40)) {
        draw_touch(k);
        return;
    }
    const unsigned s = some_space(k, true);
    const enum step_kind kind = memchr(k->prot[s], 1 + (RMAP_READ | RMAP_WRITE), PAGES) ? some_kind(k) : STEP_MAP;
    switch (kind) {
    case STEP_START:
        draw_start(k);
        break;
    case STEP_FORK:
        draw_fork(k, s);
        break;
    case STEP_EXIT:
    case STEP_EXEC:
        draw_end(k, s, kind);
        break;
    case STEP_MAP:
        draw_map(k, s);
        break;
    case STEP_MOVE:
    case STEP_KEEP:
        draw_move(k, s, kind);
        break;
    case STEP_RESIZE:
    case STEP_GROW:
        draw_resize(k, s, kind);
        break;
    case STEP_POLICY:
    case STEP_RECLAIM:
    case STEP_VACATE:
        draw_quiet(k, s, kind);
        break;
    default:
        draw_ranged(k, s, kind);
    }
}

void program_draw(struct program *p, uint64_t seed, size_t count)
{
    struct sketch k = {.p = p};
    prng_init(&k.rng, seed * 1000003);
    p->count = 0;
    draw_world(&k);
    add(&k, STEP_START, 0);
    k.live[0] = true;
    while (p->count < count) draw_step(&k);
}
