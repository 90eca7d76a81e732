/* SPDX-License-Identifier: MIT */
/**
 * @file pager/commit.c  Commit accounting: how many private pages the spaces may yet ask for (S11).
 *
 * Charged are the pages of accounted regions, resident or not: those that are or once were writable. A region that lost
 * its write permission keeps its charge, because it may hold private pages; so a fork that charges what its parent is
 * charged counts read-only inherited regions rightly. The sum is kept always, and limited only if a limit was given.
 */
#include <pager/pager_internal.h>

int rmap__commit_check(const struct rmap_pager *p, uint64_t add, uint64_t sub)
{
    uint64_t rest = p->stats.committed - sub;
    if (p->commit_limit == 0) return add <= UINT64_MAX - rest ? 0 : RMAP_ERR_COMMIT;
    return add <= p->commit_limit - rest ? 0 : RMAP_ERR_COMMIT; /* rest never exceeds the limit */
}

void rmap__commit_add(struct rmap_space *s, uint64_t pages)
{
    s->charged += pages;
    s->p->stats.committed += pages;
}

void rmap__commit_sub(struct rmap_space *s, uint64_t pages)
{
    RMAP_ASSERT(s->charged >= pages);
    s->charged -= pages;
    s->p->stats.committed -= pages;
}
