/* SPDX-License-Identifier: MIT */
/** @file scale/rows_sharers.c  A9: one page and very many spaces, for real and by counts. */
#include "scale/table.h"

#define BATCH 4096

/* Raise the count of the page by `more`, as if so many entries mapped it, look, and lower it again. */
static void by_counts(struct crowd *c, struct rmap_page *page, uint32_t more, struct tally *t)
{
    static struct rmap_page *same[BATCH];
    struct rmap_member *m = &c->space[0].m;
    struct rmap_gather g;
    struct rmap_result res;
    for (uint32_t i = 0; i < BATCH; i++) same[i] = page;
    for (uint32_t i = 0; i < more; i += BATCH, progress("counts raised", i, more)) MUST(rmap_page_dup(m, same, BATCH));
    MUST_HOLD(rmap_page_mapcount(page) == more + c->spaces);
    rmap_page_lock(page);
    MUST(rmap_referenced(c->r, &page, 1, 0, &res));
    rmap_page_unlock(c->r, page);
    MUST_HOLD(res.outcome == RMAP_INCOMPLETE); /* it claims no more than it found */
    MUST_HOLD(res.mapcount == more + c->spaces && res.hits == c->spaces);
    *t = (struct tally){.walks = 1, .hits = res.hits, .visits = res.visits, .nodes = res.nodes, .most = res.visits};
    rmap_gather_init(&g, c->r);
    for (uint32_t i = 0; i < more; i++) {
        rmap_page_unmap(&g, m, page);
        if (i % BATCH == 0) progress("counts lowered", i, more);
    }
    rmap_gather_finish(&g);
    MUST_HOLD(rmap_page_mapcount(page) == c->spaces);
}

/* A9.  one page in 2^20 spaces that really map it; 2^25 mappings more by counts alone; the owner exits */
void row_sharers(bool quick)
{
    const uint32_t spaces = (uint32_t)1 << (quick ? 16 : 20), more = (uint32_t)1 << (quick ? 24 : 25);
    struct crowd c;
    struct tally real = {0}, counted, orphaned = {0}, last = {0};
    crowd_open(&c, spaces, 1, 1);
    struct rmap_page *page = crowd_write(&c, 0, 0);
    for (uint32_t k = 1; k < spaces; k++, progress("spaces", k, spaces)) crowd_fork(&c, 0, k);
    MUST_HOLD(rmap_page_mapcount(page) == spaces);
    crowd_look(&c, page, &real);
    by_counts(&c, page, more, &counted);
    const double bytes = crowd_bytes_per_space(&c);
    crowd_exit(&c, 0);
    crowd_look(&c, page, &orphaned);
    for (uint32_t k = 1; k < spaces - 1; k++, progress("spaces that exit", k, spaces)) crowd_exit(&c, k);
    crowd_look(&c, page, &last);
    struct line line = {.scenario = "A9", .spaces = spaces, .pages = 1, .bytes_per_space = bytes, .per_mapper_most = 1};
    line.what = "one page that all of them map";
    line.tally = &real;
    table_line(&line);
    line.bytes_per_space = 0;
    line.what = text("and %u mappings more by counts alone: says INCOMPLETE", more);
    line.tally = &counted;
    table_line(&line);
    line.spaces = spaces - 1;
    line.what = "gathered down again, its owner gone";
    line.tally = &orphaned;
    table_line(&line);
    line.spaces = 1;
    line.what = "all gone but one";
    line.tally = &last;
    table_line(&line);
    crowd_close(&c);
}
