/* SPDX-License-Identifier: MIT */
/**
 * @file replay/shadow.h  What every page of a space must contain: kept outside the library, copied at forks, moved by moves.
 *
 * Only pages that were touched have an entry: written ones the stamp of their last write, others one of line 0, which stands
 * for zeroes; what has no entry is all zeroes, too.
 */
#ifndef RMAP_TESTS_REPLAY_SHADOW_H
#define RMAP_TESTS_REPLAY_SHADOW_H

#include "replay/stamp.h"

#include <bsd/sys/tree.h>
#include <stddef.h>

struct shadow_chunk;
RB_HEAD(shadow_tree, shadow_chunk);

/** All zeroes is an empty one. */
struct shadow {
    struct shadow_tree tree;
    uint64_t pages; /**< that have an entry */
};

void shadow_fini(struct shadow *s);
/** Into the empty `to`. */
void shadow_copy(const struct shadow *from, struct shadow *to);
/** What vpn must contain, or NULL: it has no entry. */
const struct stamp *shadow_find(const struct shadow *s, uint64_t vpn);
/** The first page from *vpn on that has an entry, whose number goes to *vpn; or NULL. */
const struct stamp *shadow_next(const struct shadow *s, uint64_t *vpn);
void shadow_set(struct shadow *s, uint64_t vpn, const struct stamp *stamp);
void shadow_clear(struct shadow *s, uint64_t first, uint64_t end);
/** The ranges must not overlap; the target has no entries, the source keeps none. */
void shadow_move(struct shadow *s, uint64_t from, uint64_t to, uint64_t count);

#endif
