/* SPDX-License-Identifier: MIT */
/**
 * @file bench/raw.h  The limit that look-ups are held against: somebody who knows each mapper's root already descends from there
 * to the entry. No tree, no lock, no record: x86-64 constants in line.
 */
#ifndef RMAP_TESTS_BENCH_RAW_H
#define RMAP_TESTS_BENCH_RAW_H

#include <objrmap/page.h>

/** A page to look for. Its number is read from the descriptor, as everybody's look-up must; its frame is told. */
struct raw_page {
    const struct rmap_page *page;
    rmap_pfn_t pfn;
};

/** For each page, for each root: the four levels. @return entries that map their page. `root`: as rmap_radix_root(). */
uint64_t raw_look(const uint64_t *root, size_t roots, const struct raw_page *pages, size_t n);
/** The same, but a page is not begun before the one before it is found: no two look-ups overlap inside the processor, as they
 *  cannot when a caller waits for the answer. */
uint64_t raw_look_serial(const uint64_t *root, size_t roots, const struct raw_page *pages, size_t n);
/** Addresses of all tables below a root, itself included; at most `max`. @return how many there are. */
size_t raw_tables(uint64_t root, const void **out, size_t max);

#endif
