/* SPDX-License-Identifier: MIT */
/**
 * @file pager/commit.c  Commit accounting: how many private pages the spaces may yet ask for (S11).
 *
 * Charged are the pages of accounted regions, resident or not: those that are or once were writable. A region that lost
 * its write permission keeps its charge, because it may hold private pages; so a fork that charges what its parent is
 * charged counts read-only inherited regions rightly. The sum is kept always, and limited only if a limit was given.
 *
 * Pages are set aside before anything changes and charged when the regions are there, so that two spaces that ask at
 * once cannot both get the last ones. What a call is about to give back pays for what it asks for at once, and is not
 * taken off the sum a second time when it goes: so the sum is never above the limit, nor above what it will be.
 */
#include <pager/pager_internal.h>

int rmap__commit_reserve(struct rmap_space *s, uint64_t add, uint64_t sub)
{
    struct rmap_pager *p = s->p;
    const uint64_t limit = p->commit_limit ? p->commit_limit : UINT64_MAX;
    const uint64_t credit = add < sub ? add : sub, more = add - credit;
    RMAP_ASSERT(s->credit == 0);
    rmap__mutex_lock(&p->lock, RMAP__RANK_BOOKS);
    int rc = more <= limit - p->stats.committed ? 0 : RMAP_ERR_COMMIT;
    if (!rc) p->stats.committed += more;
    rmap__mutex_unlock(&p->lock, RMAP__RANK_BOOKS);
    if (!rc) s->credit = credit;
    return rc;
}

void rmap__commit_unreserve(struct rmap_space *s, uint64_t pages)
{
    struct rmap_pager *p = s->p;
    const uint64_t paid = pages < s->credit ? pages : s->credit;
    s->credit -= paid;
    if (pages == paid) return;
    rmap__mutex_lock(&p->lock, RMAP__RANK_BOOKS);
    p->stats.committed -= pages - paid;
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
    rmap__commit_unreserve(s, pages);
}
