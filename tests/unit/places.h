/* SPDX-License-Identifier: MIT */
/**
 * @file unit/places.h  Where a page is mapped, as every way of looking says: each_mapping, a cursor, and the walks' hits.
 *
 *     CHECK_PLACES(&w, page, {0, 700}, {1, 7});      space 0 at 700, then space 1 at 7, in walk order, and nowhere else
 */
#ifndef RMAP_TESTS_UNIT_PLACES_H
#define RMAP_TESTS_UNIT_PLACES_H

#include "support/world.h"

struct place {
    unsigned space; /* its number */
    rmap_vpn_t vpn;
};
struct places {
    struct place at[64];
    unsigned n;
};

static inline int places__note(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t entry)
{
    struct places *x = ctx;
    const struct world_space *s = m->user;
    (void)entry;
    if (x->n == sizeof x->at / sizeof *x->at) return 1;
    x->at[x->n++] = (struct place){s->number, vpn};
    return 0;
}

static inline void places__check(int line, const char *how, const struct places *is, const struct place *must,
                                 unsigned n)
{
    bool same = is->n == n;
    for (unsigned i = 0; same && i < n; i++) same = is->at[i].space == must[i].space && is->at[i].vpn == must[i].vpn;
    if (same) return;
    fprintf(stderr, "%s finds", how);
    for (unsigned i = 0; i < is->n; i++)
        fprintf(stderr, " %u:%llu", is->at[i].space, (unsigned long long)is->at[i].vpn);
    test__fail(__FILE__, line, "%s finds %u places, which are not the %u that there are", how, is->n, n);
}

static inline void places_check(int line, struct world *w, struct rmap_page *page, const struct place *must, unsigned n)
{
    struct places by_each = {.n = 0}, by_cursor = {.n = 0};
    struct rmap_result res;
    struct rmap_cursor c;
    struct rmap_mapping m;
    rmap_page_get(page);
    rmap_page_lock(page);
    CHECK_OK(rmap_cursor_open(w->r, page, &c)); /* first: it tightens nothing */
    while (rmap_cursor_next(&c, &m)) places__note(&by_cursor, m.member, m.vpn, m.entry);
    CHECK_EQ(c.result.outcome, RMAP_DONE);
    rmap_cursor_close(&c);
    CHECK_OK(rmap_each_mapping(w->r, &page, 1, 0, places__note, &by_each, &res));
    CHECK_EQ(res.outcome, RMAP_DONE);
    CHECK_OK(rmap_referenced(w->r, &page, 1, RMAP_KEEP_ACCESSED, &res));
    CHECK_EQ(res.outcome, RMAP_DONE);
    rmap_page_unlock(w->r, page);
    rmap_page_put(w->r, page);
    places__check(line, "each_mapping", &by_each, must, n);
    places__check(line, "a cursor", &by_cursor, must, n);
    CHECK_EQ(res.hits, n);
    CHECK_OK(rmap_verify_page(w->r, page, NULL));
}

#define CHECK_PLACES(w, page, ...)                                                                                     \
    places_check(__LINE__, w, page, (const struct place[]){__VA_ARGS__},                                               \
                 sizeof((const struct place[]){__VA_ARGS__}) / sizeof(struct place))

#endif
