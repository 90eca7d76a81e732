/* SPDX-License-Identifier: MIT */
/**
 * @file fuzz/meddler.h  A swap device whose stored content somebody else changes, and which knows for which slots.
 *
 * It stands between the slot map and a device of the library, a file or lz4 in memory, and reaches behind that one: into
 * the file by its descriptor, into lz4's blocks through the allocator that the device was given. A slot that was
 * touched is *suspect* until it is written again: to read it may fail, with IO_READ or CORRUPT; what is read without
 * an error must be right all the same.
 */
#ifndef RMAP_TESTS_FUZZ_MEDDLER_H
#define RMAP_TESTS_FUZZ_MEDDLER_H

#include "fuzz/fuzz.h"

#include <objrmap/device.h>

#define MEDDLER_SLOTS 96
#define MEDDLER_PAGE 4096

struct meddler_block {
    unsigned char *data; /* of the last allocation that was made for the slot, NULL: none */
    size_t bytes;
};

struct meddler {
    struct rmap_device base;
    struct rmap_device *inner;
    struct rmap_allocator alloc; /* the inner device's; passes on to `beneath` */
    const struct rmap_allocator *beneath;
    int fd; /* of the file; -1: lz4 */
    bool suspect[MEDDLER_SLOTS];
    bool in_passing[MEDDLER_SLOTS];            /* the next read of the slot is spoilt on its way */
    struct meddler_block block[MEDDLER_SLOTS]; /* lz4: what holds the slot's content */
    struct meddler_block last;                 /* allocated last */
    unsigned char former[MEDDLER_PAGE];        /* file: what some slot once held */
};

/** `d` is the caller's memory. The library's destroy of the device ends the inner one, too. */
void meddler_init(struct meddler *d, const struct rmap_allocator *alloc, bool lz4);
/** Do what the input says to the content of some slots. */
void meddler_strike(struct meddler *d, struct fuzz *f);
/** Any slot suspect, or spoilt in passing? */
bool meddler_suspects(const struct meddler *d);

#endif
