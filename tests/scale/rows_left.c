/* SPDX-License-Identifier: MIT */
/** @file scale/rows_left.c  G5 and the known weakness: inherited pages left in one or in few of many relatives. */
#include "scale/table.h"
#include "support/prng.h"

#include <stdlib.h>

/* ---- G5: left in one ---- */

/* keeper[v]: the child that keeps page v; all others leave it. */
static void left_in_one(struct crowd *c, const uint32_t *keeper, bool alive)
{
    const uint32_t kids = c->spaces - 1;
    for (rmap_vpn_t v = 0; v < c->pages; v++) crowd_write(c, 0, v);
    for (uint32_t k = 1; k <= kids; k++, progress("children", k, kids)) {
        crowd_fork(c, 0, k);
        for (rmap_vpn_t v = 0, first = 0; v <= c->pages; v++) {
            if (v < c->pages && keeper[v] != k) continue;
            crowd_zap(c, k, first, v - first);
            first = v + 1;
        }
    }
    if (alive)
        for (rmap_vpn_t v = 0; v < c->pages; v++) crowd_write(c, 0, v);
    else
        crowd_exit(c, 0);
}

static void left(uint32_t spaces, uint32_t pages, bool same, bool alive)
{
    struct crowd c;
    struct prng rng;
    struct tally pass[2] = {{0}};
    uint32_t *keeper = calloc(pages, sizeof *keeper);
    MUST_HOLD(keeper);
    prng_init(&rng, 5);
    crowd_open(&c, spaces, pages, 2 * pages);
    for (uint32_t v = 0; v < pages; v++) keeper[v] = same ? spaces - 1 : 1 + (uint32_t)prng_below(&rng, spaces - 1);
    left_in_one(&c, keeper, alive);
    for (unsigned i = 0; i < 2; i++)
        for (uint32_t v = 0; v < pages; v++, progress("pages looked up", v, pages))
            crowd_look(&c, crowd_page(&c, keeper[v], v), &pass[i]);
    for (unsigned i = 0; i < 2; i++) {
        struct line line = {.scenario = "G5", .spaces = spaces - !alive, .pages = pages, .tally = &pass[i]};
        line.what = text("left in %s, owner %s: %s pass", same ? "the last child" : "a random child each",
                         alive ? "alive" : "dead", i ? "second" : "first");
        if (!i) line.bytes_per_space = crowd_bytes_per_space(&c);
        line.visits_most = i ? 1 : same ? 15 : 0;
        table_line(&line);
    }
    crowd_close(&c);
    free(keeper);
}

void row_left(bool quick)
{
    const uint32_t spaces = quick ? 1000 : 10000, pages = quick ? 200 : 1000;
    left(spaces, pages, true, true);
    left(spaces, pages, true, false);
    left(spaces, pages, false, true);
    left(spaces, pages, false, false);
}

/* ---- left in few: nothing bounds this ---- */

#define STAR 64

static const struct {
    const char *name;
    uint32_t least, most;
} classes[] = {{"1", 1, 1}, {"2", 2, 2}, {"3-4", 3, 4}, {"5-8", 5, 8}, {"9-16", 9, 16}, {"17-64", 17, 64}};
#define CLASSES (sizeof classes / sizeof *classes)

/* Mark `n` random children of STAR as keepers. */
static void draw(struct prng *rng, uint32_t n, bool keeps[STAR + 1])
{
    for (uint32_t k = 1; k <= STAR; k++) keeps[k] = false;
    while (n) {
        const uint32_t k = 1 + (uint32_t)prng_below(rng, STAR);
        n -= !keeps[k];
        keeps[k] = true;
    }
}

/* A parent and 64 children; page v is left in as many random children as its class says, the parent has written it. */
static void star_open(struct crowd *c, uint32_t pages, struct rmap_page **page)
{
    struct prng rng;
    prng_init(&rng, STAR);
    crowd_open(c, STAR + 1, pages, 2 * pages);
    for (rmap_vpn_t v = 0; v < pages; v++) page[v] = crowd_write(c, 0, v);
    for (uint32_t k = 1; k <= STAR; k++) crowd_fork(c, 0, k);
    for (rmap_vpn_t v = 0; v < pages; v++) {
        bool keeps[STAR + 1];
        const unsigned class = (unsigned)(v % CLASSES);
        draw(&rng, classes[class].least + (uint32_t)prng_below(&rng, classes[class].most - classes[class].least + 1),
             keeps);
        for (uint32_t k = 1; k <= STAR; k++)
            if (!keeps[k]) crowd_zap(c, k, v, 1);
        crowd_write(c, 0, v);
    }
}

void row_star(bool quick)
{
    const uint32_t each = quick ? 100 : 1000, pages = each * (uint32_t)CLASSES;
    static const char *const what[] = {"first look-up", "unmap, once looked up"};
    struct crowd c;
    struct tally tally[2][CLASSES] = {{{0}}};
    struct rmap_page **page = calloc(pages, sizeof *page);
    MUST_HOLD(page);
    star_open(&c, pages, page);
    for (uint32_t v = 0; v < pages; v++) crowd_look(&c, page[v], &tally[0][v % CLASSES]);
    const double bytes = crowd_bytes_per_space(&c);
    for (uint32_t v = 0; v < pages; v++) crowd_unmap(&c, page[v], &tally[1][v % CLASSES]);
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < CLASSES; i++) {
            struct line line = {.scenario = "star", .spaces = STAR + 1, .pages = each, .tally = &tally[pass][i]};
            line.what = text("left in %s of 64 siblings: %s", classes[i].name, what[pass]);
            if (!pass && !i) line.bytes_per_space = bytes;
            line.visits_most = i == 0 && pass == 1 ? 1.05 : 0;
            table_line(&line);
        }
    crowd_close(&c);
    free(page);
}
