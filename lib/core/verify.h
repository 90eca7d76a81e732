/* SPDX-License-Identifier: MIT */
/** @file core/verify.h  What the parts of rmap_verify share. */
#ifndef RMAP_CORE_VERIFY_H
#define RMAP_CORE_VERIFY_H

#include <core/core.h>

/** Counting by key: slots by entry, tags by address. Open addressing, doubled when half full; key 0 is "empty". */
struct rmap__tally {
    const struct rmap_allocator *alloc;
    struct rmap__tally_cell {
        uintptr_t key;
        uint64_t count;
    } * cell;
    size_t size, used;
};

struct rmap__verify {
    struct rmap *r;
    struct rmap_verify_report *report; /* may be NULL */
    uint32_t *found;                   /* mappings found, by frame, sections in order */
    uint64_t frames;
    struct rmap__tally slots, tags;
    int err; /* the first thing that is wrong, or NOMEM; nothing is looked at any more */
};

/** Report the first broken invariant. @return false, for the caller to return. */
__attribute__((format(printf, 3, 4))) bool rmap__verify_broken(struct rmap__verify *v, const char *invariant,
                                                               const char *text, ...);
/** count of `key` += n. */
void rmap__verify_count(struct rmap__verify *v, struct rmap__tally *t, uintptr_t key, uint64_t n);
/** Position of the page's frame in v->found. */
uint64_t rmap__verify_frame(const struct rmap *r, const struct rmap_page *page);

/** All entries of one member against descriptors and slots. verify_entries.c */
void rmap__verify_member(struct rmap__verify *v, struct rmap_member *m);
/** The shape of one fork tree, and its members. verify_tree.c */
void rmap__verify_group(struct rmap__verify *v, struct rmap__group *g);
/** Pre-order successor in the whole tree. */
struct rmap__node *rmap__verify_next_node(struct rmap__node *n);

#endif
