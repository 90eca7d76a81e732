/* SPDX-License-Identifier: MIT */
/** @file base/sort.c  See sort.h. Pointers are copied as bytes: their type is the caller's. */
#include <base/sort.h>
#include <string.h>

static void *item(const void *items, size_t i)
{
    void *p;
    memcpy(&p, (const char *)items + i * sizeof p, sizeof p);
    return p;
}

static void exchange(void *items, size_t i, size_t k)
{
    void *a = item(items, i), *b = item(items, k);
    memcpy((char *)items + i * sizeof a, &b, sizeof b);
    memcpy((char *)items + k * sizeof a, &a, sizeof a);
}

void rmap__sort(void *items, size_t n, bool (*before)(const void *a, const void *b))
{
    for (size_t first = n / 2, end = n; end > 1;) {
        if (first)
            first--; /* the heap is being built from behind */
        else
            exchange(items, 0, --end);
        for (size_t at = first, kid; (kid = 2 * at + 1) < end; at = kid) {
            if (kid + 1 < end && before(item(items, kid), item(items, kid + 1))) kid++;
            if (!before(item(items, at), item(items, kid))) break;
            exchange(items, at, kid);
        }
    }
}
