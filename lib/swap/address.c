/* SPDX-License-Identifier: MIT */
/** @file swap/address.c  A page's bytes: where they are, and their checksum. */
#include <core/core.h>
#include <swap/swap_internal.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

int rmap__swap_address(struct rmap_swap *s, const struct rmap_page *page, void **out)
{
    const struct rmap *r = s->r;
    rmap_pfn_t pfn = rmap_page_pfn(s->r, page);
    if (pfn == RMAP_PFN_NONE) return RMAP_ERR_UNKNOWN_PAGE;
    *out = r->frames->address ? r->frames->address(r->frames_ctx, pfn) : NULL;
    return *out ? 0 : RMAP_ERR_UNSUPPORTED;
}

uint64_t rmap__swap_checksum(const void *data, unsigned page_shift, rmap_swp_t entry)
{
    return XXH3_64bits_withSeed(data, (size_t)1 << page_shift, (uint64_t)page_shift << 32 | entry);
}
