/* SPDX-License-Identifier: MIT */
/** @file base/sort.c  See sort.h. */
#include <base/sort.h>

static void exchange(void **a, void **b)
{
    void *item = *a;
    *a = *b;
    *b = item;
}

void rmap__sort(void **items, size_t n, bool (*before)(const void *a, const void *b))
{
    for (size_t first = n / 2, end = n; end > 1;) {
        if (first)
            first--; /* the heap is being built from behind */
        else
            exchange(&items[0], &items[--end]);
        for (size_t at = first, kid; (kid = 2 * at + 1) < end; at = kid) {
            if (kid + 1 < end && before(items[kid], items[kid + 1])) kid++;
            if (!before(items[at], items[kid])) break;
            exchange(&items[at], &items[kid]);
        }
    }
}
