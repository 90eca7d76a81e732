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

/* Some entries of a part are dirty, their pages' flags are not: whoever takes them must set those. @return which: a bit each. */
static uint64_t make_dirty(struct play *p, struct actor *a, const struct cell *c, rmap_vpn_t vpn, unsigned count)
{
    uint64_t dirty = 0;
    for (unsigned k = 0; k < count; k++, c++) {
        if (!c->thing || c->on_swap || prng_chance(&p->rng, 1, 2)) continue;
        play_entry(p, a, vpn + k, rmap_radix_x86_64.format->attr[RMAP_ATTR_DIRTY].mask, 0);
        rmap_page_clear_flags(p->thing[c->thing].page, RMAP_PAGE_DIRTY);
        dirty |= (uint64_t)1 << k;
    }
    return dirty;
}

/* The thing's entry was taken, and was dirty. Others still have it, or nobody. */
static void check_dirty(struct play *p, uint32_t thing)
{
    const struct thing *x = &p->thing[thing];
    if (x->page) CHECK(rmap_page_flags(x->page) & RMAP_PAGE_DIRTY);
}

void play_unmap(struct play *p, struct actor *a)
{
    unsigned place, first;
    const unsigned count = pick_part(p, a, &place, &first);
    if (!count) return;
    const uint64_t dirty = make_dirty(p, a, &a->cell[place][first], play_vpn(place, first), count);
    p->system->unmap(a->s, play_vpn(place, first), count);
    for (unsigned k = 0; k < count; k++) {
        struct cell *c = &a->cell[place][first + k];
        const uint32_t thing = c->thing;
        play_cell_clear(p, c);
        c->region = false;
        if (dirty >> k & 1) check_dirty(p, thing);
    }
}

/* A cell has moved to `vpn`. A page that others know may have been copied on the way. */
static void follow(struct play *p, struct actor *a, struct cell *from, struct cell *to, rmap_vpn_t vpn, bool dirty)
{
    struct thing *x = &p->thing[from->thing];
    *to = *from;
    *from = (struct cell){0};
    if (!to->thing) return;
    struct rmap_page *page = p->system->page(a->s, vpn);
    if (to->on_swap || page == x->page) {
        x->moved = true;
        if (dirty) CHECK(rmap_pte_get(rmap_radix_x86_64.format, play_entry(p, a, vpn, 0, 0), RMAP_ATTR_DIRTY));
        return;
    }
    CHECK(x->mapped + x->swapped > 1);
    const uint64_t value = x->value;
    const uint32_t thing = to->thing;
    play_cell_clear(p, to);
    if (dirty) check_dirty(p, thing);
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
    const uint64_t dirty = make_dirty(p, a, &a->cell[place][first], play_vpn(place, first), count);
    p->system->move(a->s, play_vpn(place, first), play_vpn(other, to), count);
    for (unsigned k = 0; k < count; k++)
        follow(p, a, &a->cell[place][first + k], &a->cell[other][to + k], play_vpn(other, to + k), dirty >> k & 1);
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
    uint64_t dirty[PLAY_PLACES];
    for (unsigned i = 0; i < PLAY_PLACES; i++) dirty[i] = make_dirty(p, a, a->cell[i], play_vpn(i, 0), PLACE_PAGES);
    p->system->exit(a->s);
    for (unsigned i = 0; i < PLAY_PLACES * PLACE_PAGES; i++) {
        struct cell *c = &a->cell[i / PLACE_PAGES][i % PLACE_PAGES];
        const uint32_t thing = c->thing;
        play_cell_clear(p, c);
        if (dirty[i / PLACE_PAGES] >> i % PLACE_PAGES & 1) check_dirty(p, thing);
    }
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

/* A part of a region is read, so that what is on swap comes back at different places in different orders. */
void play_read(struct play *p, struct actor *a)
{
    unsigned place, first;
    const unsigned count = pick_part(p, a, &place, &first);
    for (unsigned k = first; k < first + count; k++) {
        struct cell *c = &a->cell[place][k];
        if (!c->thing) continue;
        p->system->read(a->s, play_vpn(place, k));
        if (c->on_swap) came_in(p, a, c, play_vpn(place, k));
    }
}

/* A write that must find a page of the space's own, or make one. */
static void write(struct play *p, struct actor *a, struct cell *c, rmap_vpn_t vpn)
{
    struct thing *x = &p->thing[c->thing];
    const bool was = c->thing, on_swap = c->on_swap, own = was && x->mapped + x->swapped == 1;
    const uint64_t before = was ? x->value : 0;
    const uint32_t thing = c->thing;
    const bool dirty = !own && make_dirty(p, a, c, vpn, 1);
    p->system->write(a->s, vpn);
    struct rmap_page *page = p->system->page(a->s, vpn);
    if (own && page == x->page) {
        if (on_swap) x->mapped++, x->swapped--;
        c->on_swap = false;
    } else {
        CHECK(!own || (on_swap && x->moved)); /* else in place */
        play_cell_clear(p, c);
        if (dirty) check_dirty(p, thing);
        c->thing = play_thing_new(p, page, before);
    }
    if (p->contents) CHECK_EQ(play_value_in(p, page), before);
    p->thing[c->thing].value = ++p->values;
    play_value_set(p, page, p->values);
    const rmap_pte_t e = play_entry(p, a, vpn, 0, 0);
    CHECK(rmap_pte_get(rmap_radix_x86_64.format, e, RMAP_ATTR_WRITE));
    CHECK(rmap_page_flags(page) & RMAP_PAGE_DIRTY || rmap_pte_get(rmap_radix_x86_64.format, e, RMAP_ATTR_DIRTY));
}

/* What has to be read in is read first, when only the test knows the contents; else now and then. */
static void read_and_write(struct play *p, struct actor *a, struct cell *c, rmap_vpn_t vpn)
{
    if (c->thing && c->on_swap && (p->thing[c->thing].lost || prng_chance(&p->rng, 1, 2))) {
        p->system->read(a->s, vpn);
        came_in(p, a, c, vpn);
    }
    write(p, a, c, vpn);
}

void play_touch(struct play *p, struct actor *a, unsigned times)
{
    unsigned place, first;
    while (times--)
        if (pick_part(p, a, &place, &first)) read_and_write(p, a, &a->cell[place][first], play_vpn(place, first));
}
