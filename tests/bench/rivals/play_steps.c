/* SPDX-License-Identifier: MIT */
/** @file bench/rivals/play_steps.c  What spaces do: fork, exit, map, unmap, move, write, read. See play.h. */
#include "bench/rivals/play.h"

/* ---- regions ---- */

static bool place_is_empty(const struct actor *a, unsigned place)
{
    for (unsigned k = 0; k < PLACE_PAGES; k++)
        if (a->cell[place][k].region) return false;
    return true;
}

/* A part of one region: a random cell of one, and some of its neighbours. @return the count, 0: there is none. */
static unsigned pick_part(struct play *p, const struct actor *a, unsigned *place, unsigned *first)
{
    for (unsigned tries = 0; tries < 8; tries++) {
        *place = (unsigned)prng_below(&p->rng, PLAY_PLACES);
        const struct cell *c = a->cell[*place];
        const unsigned k = (unsigned)prng_below(&p->rng, PLACE_PAGES);
        unsigned low = k, high = k + 1;
        if (!c[k].region) continue;
        const bool whole = prng_chance(&p->rng, 1, 3);
        while (low > 0 && c[low - 1].region && (whole || prng_chance(&p->rng, 3, 4))) low--;
        while (high < PLACE_PAGES && c[high].region && (whole || prng_chance(&p->rng, 3, 4))) high++;
        *first = low;
        return high - low;
    }
    return 0;
}

void play_map(struct play *p, struct actor *a)
{
    const unsigned place = (unsigned)prng_below(&p->rng, PLAY_PLACES);
    if (!place_is_empty(a, place)) return;
    const unsigned first = (unsigned)prng_below(&p->rng, PLACE_PAGES);
    const unsigned count = 1 + (unsigned)prng_below(&p->rng, PLACE_PAGES - first);
    p->system->map(a->s, play_vpn(place, first), count);
    for (unsigned k = first; k < first + count; k++) a->cell[place][k].region = true;
}

void play_unmap(struct play *p, struct actor *a)
{
    unsigned place, first;
    const unsigned count = pick_part(p, a, &place, &first);
    if (!count) return;
    p->system->unmap(a->s, play_vpn(place, first), count);
    for (unsigned k = first; k < first + count; k++) {
        play_cell_clear(p, &a->cell[place][k]);
        a->cell[place][k].region = false;
    }
}

/* A cell has moved to `vpn`. A page that others know may have been copied on the way. */
static void follow(struct play *p, struct actor *a, struct cell *from, struct cell *to, rmap_vpn_t vpn)
{
    struct thing *x = &p->thing[from->thing];
    *to = *from;
    *from = (struct cell){0};
    if (!to->thing) return;
    struct rmap_page *page = p->system->page(a->s, vpn);
    if (to->on_swap || page == x->page) {
        x->moved = true;
        return;
    }
    CHECK(x->mapped + x->swapped > 1);
    const uint64_t value = x->value;
    play_cell_clear(p, to);
    to->thing = play_thing_new(p, page, value);
}

void play_move(struct play *p, struct actor *a)
{
    unsigned place, first;
    const unsigned count = pick_part(p, a, &place, &first);
    if (!count) return;
    const unsigned other = (unsigned)prng_below(&p->rng, PLAY_PLACES);
    const unsigned to = (unsigned)prng_below(&p->rng, PLACE_PAGES - count + 1);
    if (other == place || !place_is_empty(a, other)) return;
    p->system->move(a->s, play_vpn(place, first), play_vpn(other, to), count);
    for (unsigned k = 0; k < count; k++)
        follow(p, a, &a->cell[place][first + k], &a->cell[other][to + k], play_vpn(other, to + k));
}

/* ---- spaces ---- */

void play_fork(struct play *p, struct actor *parent, struct actor *child)
{
    *child = *parent;
    child->s = p->system->fork(parent->s);
    for (unsigned i = 0; i < PLAY_PLACES * PLACE_PAGES; i++) {
        const struct cell *c = &child->cell[0][0] + i;
        if (c->thing && c->on_swap) p->thing[c->thing].swapped++;
        if (c->thing && !c->on_swap) p->thing[c->thing].mapped++;
    }
}

void play_exit(struct play *p, struct actor *a)
{
    p->system->exit(a->s);
    for (unsigned i = 0; i < PLAY_PLACES * PLACE_PAGES; i++) play_cell_clear(p, &a->cell[0][0] + i);
    *a = (struct actor){.s = NULL};
}

/* ---- faults ---- */

/* A swap entry has been read: by the page that the cache has now, or by a copy of it, if an entry of the thing was ever moved. */
static void came_in(struct play *p, struct actor *a, struct cell *c, rmap_vpn_t vpn)
{
    struct thing *x = &p->thing[c->thing];
    struct rmap_page *page = p->system->page(a->s, vpn);
    CHECK(page);
    const uint64_t value = x->value;
    const bool lost = x->lost, cached = rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE;
    if (x->page ? page == x->page : cached) {
        if (!x->page) play_check_new_page(p, page);
        c->on_swap = false;
        x->swapped--;
        x->mapped++;
        x->page = page;
        x->lost = false;
    } else {
        CHECK(x->moved);
        play_cell_clear(p, c);
        c->thing = play_thing_new(p, page, value);
    }
    if (lost) play_value_set(p, page, value); /* we are the device */
}

static struct cell *pick_cell(struct play *p, struct actor *a, rmap_vpn_t *vpn)
{
    unsigned place, first;
    if (!pick_part(p, a, &place, &first)) return NULL;
    *vpn = play_vpn(place, first);
    return &a->cell[place][first];
}

void play_read(struct play *p, struct actor *a)
{
    rmap_vpn_t vpn;
    struct cell *c = pick_cell(p, a, &vpn);
    if (!c || !c->thing) return;
    p->system->read(a->s, vpn);
    if (c->on_swap) came_in(p, a, c, vpn);
}

static void write(struct play *p, struct actor *a, struct cell *c, rmap_vpn_t vpn)
{
    if (c->thing && c->on_swap) {
        p->system->read(a->s, vpn);
        came_in(p, a, c, vpn);
    }
    struct thing *x = &p->thing[c->thing];
    const bool own = c->thing && x->mapped == 1 && !x->swapped;
    const uint64_t before = x->value;
    p->system->write(a->s, vpn);
    struct rmap_page *page = p->system->page(a->s, vpn);
    if (own) {
        CHECK_EQ(page, x->page);
    } else {
        const bool copied = c->thing;
        play_cell_clear(p, c);
        c->thing = play_thing_new(p, page, copied ? before : 0);
        if (p->contents) CHECK_EQ(play_value_in(p, page), copied ? before : 0);
    }
    p->thing[c->thing].value = ++p->values;
    play_value_set(p, page, p->values);
    CHECK(rmap_pte_get(rmap_radix_x86_64.format, play_entry(p, a, vpn, 0, 0), RMAP_ATTR_WRITE));
}

void play_touch(struct play *p, struct actor *a, unsigned times)
{
    while (times--) {
        rmap_vpn_t vpn;
        struct cell *c = pick_cell(p, a, &vpn);
        if (c) write(p, a, c, vpn);
    }
}
