/* SPDX-License-Identifier: MIT */
/**
 * @file bench/places.h  Where the parts of a recorded space lie in a system that wants a gap between regions: for each part a
 * range of the trace's numbers and the first of ours.
 */
#ifndef RMAP_TESTS_BENCH_PLACES_H
#define RMAP_TESTS_BENCH_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** From here on parts lie that cannot keep their numbers; a recorded one may, too, if nothing is in its way. */
#define PLACES_OWN ((uint64_t)1 << 35)

struct place {
    uint64_t first, end; /**< in the trace */
    uint64_t at;         /**< ours */
};

/** All zeroes is an empty one. */
struct places {
    struct place *place; /**< by `first`; they do not overlap */
    size_t count, room;
    uint64_t next; /**< place for who has to make way; never given twice */
};

void places_fini(struct places *p);
/** Into the empty `to`. */
void places_copy(const struct places *from, struct places *to);
/** A free number `vpn` … `vpn + count` of ours: its own if it touches nothing. */
uint64_t places_find(struct places *p, uint64_t vpn, uint64_t count);
/** The range of the trace, which has no place, lies at `at` from now on. */
void places_add(struct places *p, uint64_t first, uint64_t end, uint64_t at);
/** The first part inside [first, end), cut to it. @return false: there is none, or the range is empty. */
bool places_part(const struct places *p, uint64_t first, uint64_t end, struct place *out);
/** [first, end), inside one part, has no place any more. */
void places_cut(struct places *p, uint64_t first, uint64_t end);

#endif
