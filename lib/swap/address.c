/* SPDX-License-Identifier: MIT */
/** @file swap/address.c  A page's bytes: where they are, and their checksum. */
#include <swap/swap_internal.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

int rmap__swap_address(struct rmap_swap *s, const struct rmap_page *page, void **out)
{
    *out = rmap_page_address(s->r, page);
    if (*out) return 0;
    return rmap_page_pfn(s->r, page) == RMAP_PFN_NONE ? RMAP_ERR_UNKNOWN_PAGE : RMAP_ERR_UNSUPPORTED;
}

uint64_t rmap__swap_checksum(const void *data, unsigned page_shift, rmap_swp_t entry)
{
    return XXH3_64bits_withSeed(data, (size_t)1 << page_shift, (uint64_t)page_shift << 32 | entry);
}
