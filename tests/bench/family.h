/* SPDX-License-Identifier: MIT */
/**
 * @file bench/family.h  The worlds of bench/threads.c: a pager on x86-64 tables, and for each thread a space whose pages are
 * its own, mapped by so many forks of it.
 *
 *     one group:   root ──fork──▶ A ──fork──▶ A's 7 children        two groups:   A ──▶ 7 children
 *                    └────fork──▶ B ──fork──▶ B's 7 children                      B ──▶ 7 children
 *
 * A's and B's pages were written after the root was forked, so that nobody's look-up leads to the other's spaces: the two
 * threads share the pager, and in one group its lock and its tree.
 */
#ifndef RMAP_TESTS_BENCH_FAMILY_H
#define RMAP_TESTS_BENCH_FAMILY_H

#include "bench/race.h"

#include <objrmap/pager.h>
#include <objrmap/radix.h>
#include <objrmap/space.h>

#define FAMILY_MAPPERS_MAX 8

struct family {
    struct rmap_mmu_provider provider;
    struct rmap_device device; /**< slots without contents: nothing is written in these worlds */
    struct rmap_pager *pager;
    struct rmap *r;
    uint64_t pages;
    unsigned mappers;
    struct rmap_space *root;                                    /**< one group: or NULL */
    struct rmap_space *space[RACE_THREADS][FAMILY_MAPPERS_MAX]; /**< [0]: A, B */
    struct rmap_page **page[RACE_THREADS];                      /**< by page number */
};

/** `pages` for each thread, `spare` frames beside them. */
void family_init(struct family *f, unsigned groups, unsigned mappers, uint64_t pages, uint64_t spare);
void family_fini(struct family *f);

/** Set the accessed attribute of all entries of a thread's pages, in all spaces, as a processor would. */
void family_touch(struct family *f, unsigned thread);
/** A slot for each of a thread's pages. */
void family_cache(struct family *f, unsigned thread);

#endif
