/* SPDX-License-Identifier: MIT */
/** @file core/frames.c  Frame sections: pfn <-> descriptor is arithmetic. */
#include <core/count.h>

/* Index of the last section that starts at or before pfn, or count if none. Usually there is one section. */
static size_t section_at(const struct rmap *r, rmap_pfn_t pfn)
{
    size_t lo = 0, hi = r->section_count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (r->sections[mid].first <= pfn)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? lo - 1 : r->section_count;
}

static struct rmap__section section_make(const struct rmap_frame_section *s)
{
    struct rmap__section x = {(unsigned char *)s->base, s->stride, s->first, s->count, 1, (unsigned)__builtin_ctzll(s->stride)};
    const uint64_t odd = s->stride >> x.shift;
    for (unsigned bits = 1; bits < 64; bits *= 2) x.inverse *= 2 - odd * x.inverse; /* each step doubles the bits that are right */
    return x;
}

int rmap_frames_add(struct rmap *r, const struct rmap_frame_section *s)
{
    if (!r || !s || !s->base) return RMAP_ERR_NULL_ARG;
    if (s->stride < sizeof(struct rmap_page)) return RMAP_ERR_INVALID;
    if (s->stride % 8 || (uintptr_t)s->base % 8) return RMAP_ERR_UNALIGNED;
    if (s->count == 0 || s->first >= RMAP_VPN_MAX || s->count > RMAP_VPN_MAX - s->first ||
        s->count > SIZE_MAX / s->stride)
        return RMAP_ERR_RANGE;
    size_t at = 0;
    for (; at < r->section_count && r->sections[at].first < s->first; at++) {
        if (r->sections[at].first + r->sections[at].count > s->first) return RMAP_ERR_EXISTS;
    }
    if (at < r->section_count && s->first + s->count > r->sections[at].first) return RMAP_ERR_EXISTS;
    size_t n = r->section_count;
    const unsigned char *low = (const unsigned char *)s->base, *high = low + s->stride * s->count;
    if (high < low) return RMAP_ERR_RANGE;
    for (size_t i = 0; i < n; i++) { /* a descriptor belongs to one frame */
        const struct rmap__section *o = &r->sections[i];
        if (low < o->base + o->stride * o->count && o->base < high) return RMAP_ERR_EXISTS;
    }
    struct rmap__section *grown = rmap__alloc(&r->alloc, (n + 1) * sizeof *grown);
    if (!grown) return RMAP_ERR_NOMEM;
    if (n) {
        memcpy(grown, r->sections, at * sizeof *grown);
        memcpy(grown + at + 1, r->sections + at, (n - at) * sizeof *grown);
    }
    grown[at] = section_make(s);
    rmap__free(&r->alloc, r->sections, n * sizeof *grown);
    r->sections = grown;
    r->section_count = n + 1;
    return 0;
}

int rmap_frames_remove(struct rmap *r, rmap_pfn_t first)
{
    if (!r) return RMAP_ERR_NULL_ARG;
    size_t i = section_at(r, first);
    if (i == r->section_count || r->sections[i].first != first) return RMAP_ERR_ABSENT;
    struct rmap__section *s = &r->sections[i];
    for (uint64_t k = 0; k < s->count; k++)
        if (((struct rmap_page *)(s->base + k * s->stride))->refcount) return RMAP_ERR_BUSY;
    size_t n = r->section_count;
    struct rmap__section *shrunk = n > 1 ? rmap__alloc(&r->alloc, (n - 1) * sizeof *shrunk) : NULL;
    if (n > 1 && !shrunk) return RMAP_ERR_NOMEM;
    if (shrunk) {
        memcpy(shrunk, r->sections, i * sizeof *shrunk);
        memcpy(shrunk + i, r->sections + i + 1, (n - 1 - i) * sizeof *shrunk);
    }
    rmap__free(&r->alloc, r->sections, n * sizeof *shrunk);
    r->sections = shrunk;
    r->section_count = n - 1;
    return 0;
}

struct rmap_page *rmap_page_find(struct rmap *r, rmap_pfn_t pfn)
{
    if (!r) return NULL;
    size_t i = r->section_count == 1 ? 0 : section_at(r, pfn);
    if (i >= r->section_count) return NULL;
    const struct rmap__section *s = &r->sections[i];
    uint64_t k = pfn - s->first;
    return k < s->count ? (struct rmap_page *)(s->base + k * s->stride) : NULL;
}

rmap_pfn_t rmap_page_pfn(struct rmap *r, const struct rmap_page *page)
{
    if (!r || !page) return RMAP_PFN_NONE;
    for (size_t i = 0; i < r->section_count; i++) {
        const rmap_pfn_t pfn = rmap__section_pfn(&r->sections[i], page);
        if (pfn != RMAP_PFN_NONE) return pfn;
    }
    return RMAP_PFN_NONE;
}

void *rmap_page_address(struct rmap *r, const struct rmap_page *page)
{
    rmap_pfn_t pfn = rmap_page_pfn(r, page);
    return pfn != RMAP_PFN_NONE && r->frames->address ? r->frames->address(r->frames_ctx, pfn) : NULL;
}

int rmap_page_alloc(struct rmap *r, rmap_pfn_t near, struct rmap_page **out)
{
    if (!r || !out) return RMAP_ERR_NULL_ARG;
    rmap_pfn_t pfn;
    int err = r->frames->alloc(r->frames_ctx, near, &pfn);
    if (err) return err;
    struct rmap_page *page = rmap_page_find(r, pfn);
    if (!page || page->refcount) return RMAP_ERR_UNKNOWN_PAGE;
    if (rmap_page_flags(page) & RMAP_PAGE_POISON) return RMAP_ERR_POISON;
    /* Stores, not atomic_init: whoever goes through frames by number looks at descriptors before it has a reference. */
    atomic_store_explicit(&page->owner, 0, memory_order_relaxed);
    atomic_store_explicit(&page->index_flags, 0, memory_order_relaxed);
    atomic_store_explicit(&page->mapcount, 0, memory_order_relaxed);
    atomic_store_explicit(&page->pins_order, 0, memory_order_relaxed);
    atomic_store_explicit(&page->swap, 0, memory_order_relaxed);
    atomic_store_explicit(&page->refcount, 1, memory_order_release); /* pairs with rmap_page_try_get */
    *out = page;
    return 0;
}
