/* SPDX-License-Identifier: MIT */
/** @file bench/raw.c  See the header. */
#include "bench/raw.h"

#define PRESENT ((uint64_t)1)
#define PAYLOAD UINT64_C(0x000ffffffffff000)
#define LEVELS 4
#define BITS 9

static uint64_t entry_at(uint64_t table, uint64_t i)
{
    return __atomic_load_n((const uint64_t *)(uintptr_t)(table & PAYLOAD) + i, __ATOMIC_RELAXED);
}

/* The leaf entry, or an absent one. */
static inline uint64_t descend(uint64_t root, rmap_vpn_t vpn)
{
    uint64_t e = entry_at(root, vpn >> 3 * BITS & 511);
    if (!(e & PRESENT)) return 0;
    e = entry_at(e, vpn >> 2 * BITS & 511);
    if (!(e & PRESENT)) return 0;
    e = entry_at(e, vpn >> BITS & 511);
    if (!(e & PRESENT)) return 0;
    return entry_at(e, vpn & 511);
}

static inline uint64_t look_page(const uint64_t *root, size_t roots, rmap_vpn_t vpn, rmap_pfn_t pfn)
{
    const uint64_t want = pfn << 12 | PRESENT;
    uint64_t hits = 0;
    for (size_t k = 0; k < roots; k++) hits += (descend(root[k], vpn) & (PAYLOAD | PRESENT)) == want;
    return hits;
}

uint64_t raw_look(const uint64_t *root, size_t roots, const struct raw_page *pages, size_t n)
{
    uint64_t hits = 0;
    for (size_t i = 0; i < n; i++) hits += look_page(root, roots, rmap_page_index(pages[i].page), pages[i].pfn);
    return hits;
}

uint64_t raw_look_serial(const uint64_t *root, size_t roots, const struct raw_page *pages, size_t n)
{
    static volatile uint64_t nothing; /* 0, but the compiler does not know it */
    const uint64_t zero = nothing;
    uint64_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        const struct raw_page *p = &pages[i + hits * zero];
        hits += look_page(root, roots, rmap_page_index(p->page), p->pfn);
    }
    return hits;
}

static size_t tables_below(uint64_t table, unsigned level, const void **out, size_t max, size_t n)
{
    if (n < max) out[n] = (const void *)(uintptr_t)(table & PAYLOAD);
    n++;
    for (uint64_t i = 0; level > 1 && i < 512; i++) {
        const uint64_t e = entry_at(table, i);
        if (e & PRESENT) n = tables_below(e, level - 1, out, max, n);
    }
    return n;
}

size_t raw_tables(uint64_t root, const void **out, size_t max)
{
    return tables_below(root, LEVELS, out, max, 0);
}
