/* SPDX-License-Identifier: MIT */
/** @file pager/fork.c  Fork: regions are cloned and charged before the core's transaction copies the entries. */
#include <pager/pager_internal.h>

/* The core's transaction. Both locked. On failure the child is in no group and holds no entry. */
static int copy_entries(struct rmap_space *parent, struct rmap_space *child)
{
    struct rmap_fork f;
    int rc = rmap_fork_begin(rmap__space_member(parent), rmap__space_member(child), &child->mmu, &f);
    if (rc) return rc;
    const struct rmap__region *r;
    for (r = rmap__region_first(&parent->regions); r && !rc; r = rmap__region_next(r))
        rc = rmap_fork_copy(&f, r->first, r->count, RMAP_FORK_COW);
    if (rc)
        rmap_fork_abort(&f);
    else
        rmap_fork_commit(&f);
    return rc;
}

static int fork_locked(struct rmap_space *parent, struct rmap_space *child)
{
    int rc = rmap__regions_clone(&parent->regions, &child->regions);
    if (rc || (rc = rmap__commit_reserve(child, parent->charged, 0))) return rc;
    rmap__space_list(child); /* its entries can be found from the first one on: whoever finds one waits for our lock */
    if ((rc = copy_entries(parent, child))) {
        child->dead = true;
        rmap__commit_unreserve(child, parent->charged);
    } else {
        rmap__commit_charge(child, parent->charged);
    }
    return rc;
}

int rmap_space_fork(struct rmap_space *parent, struct rmap_space **out)
{
    if (!parent || !out) return RMAP_ERR_NULL_ARG;
    struct rmap_space *child;
    int rc = rmap__space_alloc(parent->p, &child);
    if (rc) return rc;
    struct rmap__call c;
    if (!(rc = rmap__space_enter_exclusive(&c, parent))) {
        rmap__space_lock_exclusive(child); /* nobody knows it yet */
        rc = fork_locked(parent, child);
        rmap__space_unlock(child);
        rmap__space_leave(&c);
    }
    if (child->dead) rmap__space_unlist(child);
    if (rc)
        rmap__space_free(child);
    else
        *out = child;
    return rc;
}
