/* SPDX-License-Identifier: MIT */
/**
 * @file replay/book.h  What the events of a trace amount to: live spaces, their regions, and what their pages contain.
 *
 * It judges whether an event makes sense after those before it (book_check), and follows it (book_apply). It knows nothing
 * of the library: a trace is checked by it alone first, and then the library's answers are compared with it.
 *
 * A space's pages in *shared* mappings ('s') are not followed: the library has no shared objects yet.
 */
#ifndef RMAP_TESTS_REPLAY_BOOK_H
#define RMAP_TESTS_REPLAY_BOOK_H

#include "replay/regions.h"
#include "replay/shadow.h"
#include "replay/trace.h"

/** What a trace may ask for at once: memory, and no more than a machine can give. */
#define BOOK_SPACES_MAX 4096
#define BOOK_REGIONS_MAX 65530          /* of one space, as Linux has it by default */
#define BOOK_ALL_REGIONS_MAX (1u << 21) /* of all */
#define BOOK_PAGES_MAX (1u << 19)       /* touched, of all spaces */

struct book_space {
    uint32_t id;
    struct regions regions;
    struct shadow shadow;
    void *user; /**< the caller's, NULL at first */
};

/** All zeroes is an empty one. */
struct book {
    struct book_space **spaces; /**< live ones, by id */
    size_t live, room, live_peak;
    uint32_t last; /**< id given out; the next one is one more */
    size_t regions;
    uint64_t pages, pages_peak; /**< touched, summed over the spaces: no fewer than there can be frames in use */
    uint64_t events[TRACE_VERBS];
    uint64_t skipped_maps, skipped_faults;
    uint64_t skipped_ranges; /**< unmap, prot, drop and move events that met a shared mapping */
};

void book_fini(struct book *b);
/** The live space with that id, or NULL. */
struct book_space *book_space(const struct book *b, uint32_t id);
/** May the event come now? Nothing changes. @return 0; -1 with *error. */
int book_check(const struct book *b, const struct trace_event *e, struct trace_error *error);
/** Follow an event that was checked. */
void book_apply(struct book *b, const struct trace_event *e);

/** Read the whole trace by a book of its own. @return 0, with what it came to in *out (no space is left); -1 with *error. */
int book_of_trace(struct trace *t, struct book *out, struct trace_error *error);

#endif
