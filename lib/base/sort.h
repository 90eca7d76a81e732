/* SPDX-License-Identifier: MIT */
/** @file base/sort.h  Sorting arrays of pointers where nothing may be allocated (qsort may). */
#ifndef RMAP_BASE_SORT_H
#define RMAP_BASE_SORT_H

#include <stdbool.h>
#include <stddef.h>

/**
 * Heap sort in place of `n` pointers of whatever object type at `items`: none is before its predecessor by `before`, a
 * strict weak order. O(n log n), never worse.
 */
void rmap__sort(void *items, size_t n, bool (*before)(const void *a, const void *b));

#endif
