/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/verify.h  Checks the invariants (docs/invariants.md) by looking at everything. For tests and debug builds.
 */
#ifndef OBJRMAP_VERIFY_H
#define OBJRMAP_VERIFY_H

#include <objrmap/group.h>

struct rmap_verify_report {
    const char *invariant; /**< "INV-1" … or "tree"; NULL if all holds. Static storage. */
    char text[192];        /**< one line: which page, member, numbers */
};

RMAP_BEGIN_DECLS

/**
 * Level 1: one page: its mappings are at its index in candidates, mapcount equals what a full scan of the candidates finds.
 * Level 2: the whole instance: every entry of every member, every descriptor, every slot named by an entry, the shape of
 * every fork tree (links, counts, tags, no thin dead node, no empty closed epoch).
 * => Quiet point: no other thread uses the instance. Level 2 allocates O(frames + slots).
 * @return 0; NULL_ARG; UNKNOWN_PAGE; NOMEM; VERIFY (report filled). `report` may be NULL.
 */
RMAP_API int rmap_verify_page(struct rmap *r, struct rmap_page *page, struct rmap_verify_report *report);
RMAP_API int rmap_verify(struct rmap *r, struct rmap_verify_report *report);

RMAP_END_DECLS
#endif
