/* SPDX-License-Identifier: MIT */
/**
 * @file pager/commit.c  Commit accounting: how many private pages the spaces may yet ask for (S11).
 *
 * Charged are the pages of accounted regions, resident or not: those that are or once were writable. A region that lost
 * its write permission keeps its charge, because it may hold private pages; so a fork that charges what its parent is
 * charged counts read-only inherited regions rightly. The sum is kept always, and limited only if a limit was given.
 *
 * Pages are set aside before anything changes and charged when the regions are there, so that two spaces that ask at
 * once cannot both get the last ones. What a call is about to give back counts as given: the sum may exceed the limit by
 * it for a moment.
 */
#include <pager/pager_internal.h>

int rmap__commit_reserve(struct rmap_pager *p, uint64_t add, uint64_t sub)
{
    const uint64_t limit = p->commit_limit ? p->commit_limit : UINT64_MAX;
    rmap__mutex_lock(&p->lock, RMAP__RANK_BOOKS);
    const uint64_t rest = p->stats.committed - sub;
    int rc = rest <= limit && add <= limit - rest ? 0 : RMAP_ERR_COMMIT;
    if (!rc) RMAP__STAT(p, committed, add);
    rmap__mutex_unlock(&p->lock, RMAP__RANK_BOOKS);
    return rc;
}

void rmap__commit_unreserve(struct rmap_pager *p, uint64_t pages)
{
    rmap__mutex_lock(&p->lock, RMAP__RANK_BOOKS);
    p->stats.committed -= pages;
    rmap__mutex_unlock(&p->lock, RMAP__RANK_BOOKS);
}

void rmap__commit_charge(struct rmap_space *s, uint64_t pages)
{
    s->charged += pages;
}

void rmap__commit_uncharge(struct rmap_space *s, uint64_t pages)
{
    RMAP_ASSERT(s->charged >= pages);
    s->charged -= pages;
    if (pages) rmap__commit_unreserve(s->p, pages);
}
