/* SPDX-License-Identifier: MIT */
/** @file scale/rows_copies.c  G1, G3, a parent that writes between forks: private copies among very many relatives. */
#include "scale/table.h"
#include "support/prng.h"

/* One parent, `kids` children of it, and `pages` pages that the parent wrote. */
static void open_family(struct crowd *c, uint32_t kids, rmap_vpn_t pages, uint64_t frames)
{
    crowd_open(c, kids + 1, pages, frames);
    for (rmap_vpn_t v = 0; v < pages; v++) crowd_write(c, 0, v);
    for (uint32_t k = 1; k <= kids; k++) crowd_fork(c, 0, k);
}

/* G1.  1,000 children write all 1,000 inherited pages; each page is looked up, and unmapped */
void row_private(bool quick)
{
    const uint32_t kids = quick ? 200 : 1000, pages = quick ? 200 : 1000;
    struct crowd c;
    struct tally look = {0}, unmap = {0}, parents = {0};
    open_family(&c, kids, pages, (uint64_t)(kids + 1) * pages);
    for (uint32_t k = 1; k <= kids; k++, progress("children that write", k, kids))
        for (rmap_vpn_t v = 0; v < pages; v++) crowd_write(&c, k, v);
    for (rmap_vpn_t v = 0; v < pages; v++, progress("pages looked up", v, pages))
        for (uint32_t k = 1; k <= kids; k++) crowd_look(&c, crowd_page(&c, k, v), &look);
    const double bytes = crowd_bytes_per_space(&c);
    for (rmap_vpn_t v = 0; v < pages; v++, progress("pages unmapped", v, pages))
        for (uint32_t k = 0; k <= kids; k++) crowd_unmap(&c, crowd_page(&c, k, v), k ? &unmap : &parents);
    struct line line = {
        .scenario = "G1", .spaces = kids + 1, .pages = c.frames, .visits_most = 1.01, .bytes_per_space = bytes};
    line.what = "every child's private page: referenced";
    line.tally = &look;
    table_line(&line);
    line.bytes_per_space = 0;
    line.what = "the same: unmap";
    line.tally = &unmap;
    table_line(&line);
    line.what = "the parent's pages, which it alone still maps: unmap";
    line.tally = &parents;
    table_line(&line);
    crowd_close(&c);
}

/* G3.  each of 1,000 children writes some of 1,000 pages; every page is looked up */
static void zygote(uint32_t kids, uint32_t pages, uint32_t percent)
{
    struct crowd c;
    struct tally own = {0}, shared = {0};
    struct prng rng;
    prng_init(&rng, percent);
    open_family(&c, kids, pages, pages + (uint64_t)kids * pages * (percent + 2) / 100);
    for (uint32_t k = 1; k <= kids; k++)
        for (rmap_vpn_t v = 0; v < pages; v++)
            if (prng_chance(&rng, percent, 100)) crowd_write(&c, k, v);
    for (uint32_t k = 1; k <= kids; k++, progress("children looked at", k, kids))
        for (rmap_vpn_t v = 0; v < pages; v++) {
            struct rmap_page *page = crowd_page(&c, k, v);
            if (page != crowd_page(&c, 0, v)) crowd_look(&c, page, &own);
        }
    for (rmap_vpn_t v = 0; v < pages; v++, progress("zygote's pages looked up", v, pages))
        crowd_look(&c, crowd_page(&c, 0, v), &shared);
    struct line line = {.scenario = "G3", .spaces = kids + 1, .pages = c.frames - c.free_count};
    line.what = text("zygote, %u %% written: the children's copies", percent);
    line.tally = &own;
    line.visits_most = 1.01;
    line.bytes_per_space = crowd_bytes_per_space(&c);
    table_line(&line);
    line.bytes_per_space = 0;
    line.what = text("zygote, %u %% written: the zygote's pages", percent);
    line.tally = &shared;
    line.visits_most = kids + 1;
    line.per_mapper_most = 1.02 / (1 - percent / 100.0); /* those that wrote a page are looked into in vain */
    table_line(&line);
    crowd_close(&c);
}

void row_zygote(bool quick)
{
    const uint32_t n = quick ? 200 : 1000;
    zygote(n, n, 1);
    zygote(n, n, 5);
    zygote(n, n, 10);
}

/*
 * Page 0 is written between any two of 1,000 forks, each other page once, after a fork of its own; each child keeps what it
 * inherited of page 0, and leaves all others.
 */
void row_writer(bool quick)
{
    const uint32_t forks = quick ? 200 : 1000;
    struct crowd c;
    struct tally hot = {0}, once = {0}, behind = {0}, again = {0};
    crowd_open(&c, forks + 1, forks + 1, 4 * forks + 4);
    for (rmap_vpn_t v = 0; v <= forks; v++) crowd_write(&c, 0, v);
    for (uint32_t k = 1; k <= forks; k++, progress("forks", k, forks)) {
        crowd_fork(&c, 0, k);
        crowd_write(&c, 0, 0);
        crowd_write(&c, 0, k);
        crowd_look(&c, crowd_page(&c, 0, 0), &hot);
    }
    for (uint32_t k = 1; k <= forks; k++) crowd_zap(&c, k, 1, forks);
    for (rmap_vpn_t v = 1; v <= forks; v++) crowd_look(&c, crowd_page(&c, 0, v), &once);
    for (uint32_t k = 1; k <= forks; k++) crowd_look(&c, crowd_page(&c, k, 0), &behind);
    for (uint32_t k = 1; k <= forks; k++) crowd_look(&c, crowd_page(&c, k, 0), &again);
    struct line line = {.scenario = "writer", .spaces = forks + 1, .pages = c.frames - c.free_count, .nodes_most = 3};
    line.bytes_per_space = crowd_bytes_per_space(&c);
    line.what = "a page that the parent writes between any two forks";
    line.tally = &hot;
    table_line(&line);
    line.bytes_per_space = 0;
    line.what = "pages written once between forks, children gone from them";
    line.tally = &once;
    table_line(&line);
    line.what = "old copies, each left in one child: first look-up";
    line.tally = &behind;
    table_line(&line);
    line.what = "old copies, each left in one child: second look-up";
    line.tally = &again;
    line.nodes_most = 1;
    table_line(&line);
    crowd_close(&c);
}
