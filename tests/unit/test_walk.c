/* SPDX-License-Identifier: MIT */
/** @file unit/test_walk.c  The walk engine: arguments, outcomes and their reasons (INV-5). */
#include "support/world.h"

#include <core/count.h>
#include <swap/swap_internal.h>

static void hold(struct rmap_page *page)
{
    rmap_page_get(page);
    rmap_page_lock(page);
}
static void release(struct world *w, struct rmap_page *page)
{
    rmap_page_unlock(w->r, page);
    rmap_page_put(w->r, page);
}
static int ignore(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t e)
{
    (void)ctx, (void)m, (void)vpn, (void)e;
    return 0;
}
static int stop(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t e)
{
    (void)m, (void)vpn, (void)e;
    return --*(int *)ctx == 0;
}

/* A parent with `n` children, all mapping vpn 7. */
static struct world_space *family(struct world *w, unsigned n)
{
    struct world_space *p = world_space(w);
    world_write(p, 7, 1);
    while (n--) world_fork(p);
    return p;
}

/* ---- arguments ---- */

/* H1, H2 */
RMAP_TEST(walk, every_page_verb_refuses_null_and_unknown_pages_and_does_nothing_then)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = family(&w, 1);
    struct rmap_page stranger = {.refcount = 1}, *page = world_page(p, 7), *three[3] = {page, &stranger, page};
    struct rmap_page *null[1] = {NULL};
    struct rmap_result res[3], same[3];
    memset(res, 0x5a, sizeof res);
    memcpy(same, res, sizeof res);
    hold(page);
    CHECK(rmap_page_try_lock(&stranger));
#define REFUSED(call, error)                          \
    CHECK_ERR(call, error);                           \
    CHECK(memcmp(res, same, sizeof res) == 0)
#define EACH_VERB(r, pages, n, results, error)                          \
    REFUSED(rmap_referenced(r, pages, n, 0, results), error);           \
    REFUSED(rmap_unmap(r, pages, n, 0, results), error);                \
    REFUSED(rmap_write_protect(r, pages, n, 0, results), error)
    EACH_VERB(NULL, &page, 1, res, RMAP_ERR_NULL_ARG);
    EACH_VERB(w.r, NULL, 1, res, RMAP_ERR_NULL_ARG);
    EACH_VERB(w.r, &page, 1, NULL, RMAP_ERR_NULL_ARG);
    EACH_VERB(w.r, three, 3, res, RMAP_ERR_UNKNOWN_PAGE);
    EACH_VERB(w.r, null, 1, res, RMAP_ERR_UNKNOWN_PAGE);
    EACH_VERB(w.r, NULL, 0, NULL, 0); /* nothing to do */
    REFUSED(rmap_each_mapping(NULL, &page, 1, 0, ignore, NULL, res), RMAP_ERR_NULL_ARG);
    REFUSED(rmap_each_mapping(w.r, NULL, 1, 0, ignore, NULL, res), RMAP_ERR_NULL_ARG);
    REFUSED(rmap_each_mapping(w.r, &page, 1, 0, NULL, NULL, res), RMAP_ERR_NULL_ARG);
    REFUSED(rmap_each_mapping(w.r, &page, 1, 0, ignore, NULL, NULL), RMAP_ERR_NULL_ARG);
    REFUSED(rmap_each_mapping(w.r, &(struct rmap_page *){&stranger}, 1, 0, ignore, NULL, res), RMAP_ERR_UNKNOWN_PAGE);
    release(&w, page);
    rmap_page_unlock(w.r, &stranger);
    CHECK(world_attr(p, 7, RMAP_ATTR_ACCESSED)); /* the first of three was not touched either */
    CHECK_EQ(world_stats(&w).walk[RMAP_WALK_REFERENCED][1].walks, 0);
    world_check(&w);
    world_fini(&w);
}

/* ---- outcomes (INV-5) ---- */

/* vpn 7 in P and three children; a count more than there are mappings */
RMAP_TEST(walk, a_count_above_the_hits_means_incomplete_after_all_candidates)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = family(&w, 3), *q = world_fork(p);
    world_zap(q, 7, 1);
    struct rmap_page *page = world_page(p, 7);
    rmap_owner_t owner = rmap_page_owner(page);
    CHECK_EQ(world_referenced(&w, page).visits, 4); /* all hits were there: it stopped early */
    atomic_fetch_add(&page->mapcount, 1);
    for (unsigned verb = 0; verb < 3; verb++) {
        uint64_t mappers;
        struct rmap_result res = verb == 0 ? world_referenced(&w, page) : verb == 1 ? world_protect(&w, page) : world_each(&w, page, &mappers);
        CHECK_EQ(res.outcome, RMAP_INCOMPLETE);
        CHECK_EQ(res.reason, RMAP_REASON_NONE);
        CHECK_EQ(res.hits, 4);
        CHECK_EQ(res.visits, 5);
        CHECK_EQ(res.mapcount, 5);
        CHECK_EQ(res.tightened, 0);
    }
    CHECK_EQ(rmap_page_owner(page), owner);
    CHECK_EQ(world_stats(&w).walks_incomplete, 3);
    world_write(p, 8, 1); /* nor does it make a page the own of the only space where it was found */
    struct world_space *last = world_fork(p);
    struct rmap_page *other = world_page(p, 8);
    owner = rmap_page_owner(other);
    world_zap(p, 8, 1);
    atomic_fetch_add(&other->mapcount, 1);
    CHECK_EQ(world_referenced(&w, other).outcome, RMAP_INCOMPLETE);
    CHECK_EQ(rmap_page_owner(other), owner);
    atomic_fetch_sub(&other->mapcount, 1);
    world_exit(last);
    CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_INCOMPLETE);
    CHECK_EQ(rmap_page_mapcount(page), 1); /* C7: not 0, the frame is not free */
    rmap__page_count_down(w.r, page, 1);
    world_check(&w);
    world_fini(&w);
}

/* Without STABLE a matching count proves nothing: all candidates are visited (A14) */
RMAP_TEST(walk, a_walk_sets_stable_and_whoever_lowers_the_count_clears_it)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = family(&w, 2);
    struct rmap_page *page = world_page(p, 7);
    CHECK_EQ(page->mapcount, 3);
    world_referenced(&w, page);
    CHECK_EQ(page->mapcount, 3 | RMAP_MAPCOUNT_STABLE);
    world_fork(p); /* raising leaves it */
    CHECK_EQ(page->mapcount, 4 | RMAP_MAPCOUNT_STABLE);
    world_zap(p, 7, 1);
    CHECK_EQ(page->mapcount, 3);
    world_fini(&w);
}

struct leaver {
    struct world_space *hit;
    unsigned calls;
};
static int leave_when_hit(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t e)
{
    struct leaver *l = ctx;
    (void)e;
    if (l->calls++ == 0 && m == &l->hit->m) { /* as if that space unmapped the page just behind the walk's back */
        struct rmap_page *page = world_page(l->hit, vpn);
        uint32_t was = page->mapcount;
        page->mapcount = (was & RMAP_MAPCOUNT_MAX) - 1;
    }
    return 0;
}

/* A14.  three mappers: P is hit, then gone (its count with it); 2 hits of "2" after C must not end the walk before D */
RMAP_TEST(walk, A14_a_mapper_that_was_hit_and_left_does_not_hide_one_that_was_never_seen)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = family(&w, 2);
    struct rmap_page *page = world_page(p, 7);
    struct leaver l = {.hit = p};
    struct rmap_result res;
    hold(page);
    CHECK_OK(rmap_each_mapping(w.r, &page, 1, 0, leave_when_hit, &l, &res));
    CHECK_EQ(l.calls, 3);
    CHECK_EQ(res.hits, 3);
    CHECK_EQ(res.outcome, RMAP_INCOMPLETE);
    CHECK_EQ(res.tightened, 0);
    page->mapcount = 3;
    release(&w, page);
    world_check(&w);
    world_fini(&w);
}

/* B3 in one thread: a page that is between two places is never taken for unmapped */
RMAP_TEST(walk, an_untrackable_page_is_incomplete_and_not_looked_for)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = family(&w, 1);
    struct rmap_page *page = world_page(p, 7);
    rmap_page_set_flags(page, RMAP_PAGE_UNTRACKABLE);
    struct rmap_result res = world_unmap(&w, page, 0);
    CHECK_EQ(res.outcome, RMAP_INCOMPLETE);
    CHECK_EQ(res.reason, RMAP_REASON_UNTRACKABLE);
    CHECK_EQ(res.visits, 0);
    CHECK_EQ(rmap_page_mapcount(page), 2);
    rmap_page_clear_flags(page, RMAP_PAGE_UNTRACKABLE);
    CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE);
    world_check(&w);
    world_fini(&w);
}

/* S5, D1.  P, C1 (locked there), C2 */
RMAP_TEST(walk, S5_a_locked_mapping_stops_unmap_and_what_was_unmapped_before_stays_right)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = family(&w, 2), *c = w.spaces[1], *d = w.spaces[2];
    struct rmap_page *page = world_page(p, 7);
    CHECK_OK(rmap_protect(&c->m, 7, 1, RMAP_PROTECT_LOCK));
    w.flush_calls = 0;
    struct rmap_result res = world_unmap(&w, page, 0);
    CHECK_EQ(res.outcome, RMAP_PARTIAL);
    CHECK_EQ(res.reason, RMAP_REASON_LOCKED);
    CHECK_EQ(res.locked, 1);
    CHECK_EQ(res.hits, 1);
    CHECK_EQ(world_kind(p, 7), RMAP_PTE_SWAP);
    CHECK_EQ(world_kind(c, 7), RMAP_PTE_PRESENT);
    CHECK_EQ(world_kind(d, 7), RMAP_PTE_PRESENT);
    CHECK_EQ(rmap_page_mapcount(page), 2);
    CHECK_EQ(w.flush_calls, 1); /* P's translation, before anything else could be done with the page */
    world_check(&w);
    CHECK_EQ(world_read(p, 7), 1); /* comes back from the cache */
    CHECK(world_page(p, 7) == page);
    res = world_unmap(&w, page, RMAP_IGNORE_LOCKED);
    CHECK_EQ(res.outcome, RMAP_DONE);
    CHECK_EQ(res.hits, 3);
    CHECK(world_attr(c, 7, RMAP_ATTR_LOCKED)); /* D7: the software bit survives on swap */
    CHECK_EQ(world_read(c, 7), 1);
    CHECK(world_attr(c, 7, RMAP_ATTR_LOCKED));
    CHECK_EQ(world_stats(&w).walks_partial, 1);
    world_check(&w);
    world_fini(&w);
}

/* D2.  P and C; C accessed it since the last look */
RMAP_TEST(walk, D2_a_young_mapping_stops_unmap_if_asked_to)
{
    struct world w;
    world_init(&w, &(struct world_options){.caps = RMAP_MMU_ACCESSED_NEEDS_FLUSH});
    struct world_space *p = family(&w, 1), *c = w.spaces[1];
    struct rmap_page *page = world_page(p, 7);
    CHECK_EQ(world_referenced(&w, page).young, 1);
    world_read(c, 7);
    struct rmap_result res = world_unmap(&w, page, RMAP_SPARE_YOUNG);
    CHECK_EQ(res.outcome, RMAP_PARTIAL);
    CHECK_EQ(res.reason, RMAP_REASON_YOUNG);
    CHECK_EQ(world_kind(p, 7), RMAP_PTE_SWAP);
    CHECK_EQ(world_kind(c, 7), RMAP_PTE_PRESENT);
    CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE);
    world_check(&w);
    world_fini(&w);
}

/* C5, C6.  no slot; no swap at all; a slot whose count is full */
RMAP_TEST(walk, without_a_slot_unmap_says_no_slot)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = family(&w, 2);
    struct rmap_page *page = world_page(p, 7);
    struct rmap_result res;
    hold(page);
    CHECK_OK(rmap_unmap(w.r, &page, 1, 0, &res));
    release(&w, page);
    CHECK_EQ(res.outcome, RMAP_PARTIAL);
    CHECK_EQ(res.reason, RMAP_REASON_NO_SLOT);
    CHECK_EQ(res.visits, 0);
    rmap__swap_set_count_max(w.swap, 2);
    res = world_unmap(&w, page, 0);
    CHECK_EQ(res.reason, RMAP_REASON_NO_SLOT);
    CHECK_EQ(res.hits, 2);
    CHECK_EQ(rmap_page_mapcount(page), 1);
    world_check(&w);
    world_fini(&w);

    world_init(&w, &(struct world_options){.no_swap = true});
    p = family(&w, 0);
    page = world_page(p, 7);
    hold(page);
    CHECK_OK(rmap_unmap(w.r, &page, 1, 0, &res));
    release(&w, page);
    CHECK_EQ(res.reason, RMAP_REASON_NO_SLOT);
    world_fini(&w);
}

/* P, C, D: the callback stops at the second */
RMAP_TEST(walk, each_mapping_stops_where_it_is_told_to)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = family(&w, 2);
    struct rmap_page *page = world_page(p, 7);
    struct rmap_result res;
    int left = 2;
    hold(page);
    CHECK_OK(rmap_each_mapping(w.r, &page, 1, 0, stop, &left, &res));
    release(&w, page);
    CHECK_EQ(res.outcome, RMAP_PARTIAL);
    CHECK_EQ(res.reason, RMAP_REASON_STOPPED);
    CHECK_EQ(res.hits, 1);
    CHECK_EQ(res.visits, 2);
    world_fini(&w);
}

/* P: present; C: no-access; D: migration. All count; unmap stops at the last. */
RMAP_TEST(walk, no_access_and_migration_entries_are_mappings)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = family(&w, 2), *c = w.spaces[1], *d = w.spaces[2];
    const struct rmap_pte_format *f = p->mmu.ops->format;
    struct rmap_page *page = world_page(p, 7);
    CHECK_OK(rmap_protect(&c->m, 7, 1, RMAP_PROTECT_NO_ACCESS));
    world_set_entry(d, 7, rmap_pte_to_kind(f, world_entry(d, 7), RMAP_PTE_MIGRATION));
    CHECK_EQ(world_mappers(&w, page), 7);
    world_check(&w);
    struct rmap_result res = world_unmap(&w, page, 0);
    CHECK_EQ(res.outcome, RMAP_PARTIAL);
    CHECK_EQ(res.reason, RMAP_REASON_MIGRATING);
    CHECK_EQ(res.hits, 2);
    CHECK_EQ(world_kind(c, 7), RMAP_PTE_SWAP);
    world_check(&w);
    world_fini(&w);
}

/* B13. every space has another page at vpn 7: only frames decide */
RMAP_TEST(walk, B13_another_page_at_the_same_number_is_not_this_page)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = family(&w, 3);
    struct rmap_page *page = world_page(p, 7);
    for (unsigned i = 1; i < 4; i++) world_write(w.spaces[i], 7, 10 + i);
    atomic_fetch_add(&page->mapcount, 1); /* to make the walk visit them all */
    struct rmap_result res = world_referenced(&w, page);
    CHECK_EQ(res.visits, 4);
    CHECK_EQ(res.hits, 1);
    atomic_fetch_sub(&page->mapcount, 1);
    for (unsigned i = 0; i < 4; i++) CHECK_EQ(world_mappers(&w, world_page(w.spaces[i], 7)), 1 << i);
    world_fini(&w);
}

/* A huge entry covers vpn 7 of C: what may lie under it was not seen */
RMAP_TEST(walk, a_block_entry_makes_a_walk_incomplete)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = family(&w, 2), *c = w.spaces[1];
    struct rmap_page *page = world_page(p, 7);
    c->blocked = true;
    c->block = 7;
    struct rmap_result res = world_referenced(&w, page);
    CHECK_EQ(res.outcome, RMAP_INCOMPLETE);
    CHECK_EQ(res.hits, 2);
    CHECK_EQ(res.visits, 3);
    c->blocked = false;
    CHECK_EQ(world_referenced(&w, page).outcome, RMAP_DONE);
    world_fini(&w);
}

/* Frames in hand, not yet anonymous, in one batch: mapcount 0 is done, anything else was not looked for */
RMAP_TEST(walk, pages_that_are_not_anonymous_each_get_their_own_answer)
{
    struct world w;
    world_init(&w, NULL);
    struct rmap_page *page[3];
    struct rmap_result res[3];
    for (unsigned i = 0; i < 3; i++) {
        CHECK_OK(rmap_page_alloc(w.r, RMAP_PFN_NONE, &page[i]));
        CHECK(rmap_page_try_lock(page[i]));
        rmap__page_set_index(page[i], 7 + i);
    }
    page[1]->mapcount = page[2]->mapcount = 1;
    CHECK_OK(rmap_unmap(w.r, page, 3, 0, res));
    CHECK_EQ(res[0].outcome, RMAP_DONE);
    CHECK_EQ(res[1].outcome, RMAP_INCOMPLETE);
    CHECK_EQ(res[2].outcome, RMAP_INCOMPLETE);
    for (unsigned i = 0; i < 3; i++) {
        page[i]->mapcount = 0;
        release(&w, page[i]);
    }
    world_fini(&w);
}
