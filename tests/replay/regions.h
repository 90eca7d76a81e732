/* SPDX-License-Identifier: MIT */
/**
 * @file replay/regions.h  What a space of a trace has mapped where, in order. The replay's own list, so that ranges that
 * cover shared mappings, which are skipped, can be cut into what the pager holds of them.
 */
#ifndef RMAP_TESTS_REPLAY_REGIONS_H
#define RMAP_TESTS_REPLAY_REGIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What an event costs is linear in its space's regions at most, whatever it says: a trace may come from anybody. */

struct region {
    uint64_t first, end;
    unsigned prot; /**< enum trace_prot */
    char kind;
    bool writable_once; /**< is or was: such regions do not become one with others in the pager */
};

struct regions {
    struct region *at;
    size_t count, room;
    uint64_t shifted; /**< regions that had to make room or close up so far, one at a time */
};

static inline bool region_is_held(const struct region *r)
{
    return r->kind != 's';
}

void regions_fini(struct regions *rs);
/** Into the empty `to`. */
void regions_copy(const struct regions *from, struct regions *to);
/** The region that contains vpn, or NULL. */
const struct region *regions_find(const struct regions *rs, uint64_t vpn);
/** Is all of it mapped? */
bool regions_cover(const struct regions *rs, uint64_t first, uint64_t end);
/** How many regions reach into it. */
size_t regions_within(const struct regions *rs, uint64_t first, uint64_t end);
/** Does a shared mapping? */
bool regions_any_shared(const struct regions *rs, uint64_t first, uint64_t end);
/** Is none of it? */
bool regions_spare(const struct regions *rs, uint64_t first, uint64_t end);
/** r's range must be spare. */
void regions_add(struct regions *rs, const struct region *r);
/** All of them at once: ascending, and nothing lies between the first one's begin and the last one's end. */
void regions_add_all(struct regions *rs, const struct regions *more);
void regions_remove(struct regions *rs, uint64_t first, uint64_t end);
void regions_protect(struct regions *rs, uint64_t first, uint64_t end, unsigned prot);
/** The first part of [first, end) of one kind and protection, cut to that range. @return false if nothing is mapped there. */
bool regions_part(const struct regions *rs, uint64_t first, uint64_t end, struct region *out);
/**
 * The first part of [first, end) that the pager holds, cut to that range: one region there, so that neighbours
 * with equal properties are taken together whatever their kinds. @return false if there is none.
 */
bool regions_held(const struct regions *rs, uint64_t first, uint64_t end, struct region *out);

#endif
