/* SPDX-License-Identifier: MIT */
/** @file oracle/library.h  The library's side: a pager as the program's world says, its verbs, and what its tables hold. */
#ifndef RMAP_TESTS_ORACLE_LIBRARY_H
#define RMAP_TESTS_ORACLE_LIBRARY_H

#include "oracle/worker.h"

#include <objrmap/host.h>
#include <objrmap/pager.h>
#include <objrmap/radix.h>
#include <objrmap/space.h>

enum held_kind {
    HELD_NONE,
    HELD_ZERO,
    HELD_PAGE, /* present, or kept without access */
    HELD_SLOT, /* on swap */
};

/** An entry. Two share a page if their keys are equal: a frame's number or, once the page has a slot, the slot's. */
struct held {
    uint8_t kind; /* enum held_kind */
    uint64_t key;
    rmap_pfn_t pfn;  /* HELD_PAGE, HELD_ZERO */
    rmap_swp_t slot; /* HELD_SLOT */
};

struct library {
    struct rmap_memory memory;
    struct rmap_host *host;
    struct rmap_mmu_provider provider;
    struct rmap_device *device;
    struct rmap_pager *pager;
    struct rmap *r;
    rmap_pfn_t zero_pfn; /* the frame that an untouched page shows after a read */
    const struct rmap_radix_geometry *geometry;
    struct rmap_space *space[SPACES];
};

/** These end the program with a word if the library cannot be set up. */
void library_open(struct library *l, const struct world *w);
/** All spaces gone before. @return NULL, or what is left. */
const char *library_close(struct library *l);

/** Everything but START, FORK, EXIT, EXEC, WRITE, READ is a call with the command's numbers. @return an error code. */
int library_do(struct library *l, unsigned space, const struct command *c);
/** One page's WRITE or READ, by rmap_space_write and _read, or by the thread's own store and load. @return an error code. */
int library_touch(struct library *l, unsigned space, const struct command *c, unsigned i, uint64_t *word);

void library_look(struct library *l, unsigned space, struct held *held);
/** Mapped at all, and how: as real_layout(). */
void library_layout(struct library *l, unsigned space, struct layout *page);
/** The bytes of a page, from its frame or from swap (copied to `buffer` then). @return NULL: they cannot be had. */
const unsigned char *library_contents(struct library *l, const struct held *held, unsigned char *buffer);
/** Pages that moves have copied so far. */
uint64_t library_copied(struct library *l);

#endif
