/* SPDX-License-Identifier: MIT */
/** @file pager/snapshot.c  snapshot, written: the core's verbs, with faults kept out by the space lock. */
#include <pager/pager_internal.h>

int rmap_space_snapshot(struct rmap_space *s, rmap_vpn_t first, uint64_t count, uint64_t *written,
                        struct rmap_snapped *out)
{
    struct rmap__call c;
    int rc = rmap__space_enter_exclusive(&c, s);
    if (rc) return rc;
    rc = rmap_snapshot(rmap__space_member(s), first, count, written, out);
    rmap__space_leave(&c);
    return rc;
}

int rmap_space_written(struct rmap_space *s, rmap_vpn_t first, uint64_t count, uint64_t *bitmap, uint64_t *written)
{
    struct rmap__call c;
    int rc = rmap__space_enter_exclusive(&c, s);
    if (rc) return rc;
    rc = rmap_written(rmap__space_member(s), first, count, bitmap, written);
    rmap__space_leave(&c);
    return rc;
}
