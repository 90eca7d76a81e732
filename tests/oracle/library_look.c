/* SPDX-License-Identifier: MIT */
/** @file oracle/library_look.c  What the library's tables, frames and slots hold. Nothing here changes an entry. */
#include "oracle/library.h"
#include "oracle/real.h"

#include <string.h>

#define KEY_OF_SLOT (UINT64_C(1) << 63)

static struct held decode(struct library *l, const struct rmap_pte_format *f, rmap_pte_t e)
{
    struct held h = {.kind = HELD_NONE, .pfn = RMAP_PFN_NONE};
    const enum rmap_pte_kind kind = rmap_pte_kind(f, e);
    if (kind == RMAP_PTE_SWAP) {
        h.kind = HELD_SLOT;
        h.slot = rmap_pte_swp(f, e);
        h.key = KEY_OF_SLOT | h.slot;
    } else if (kind == RMAP_PTE_PRESENT || kind == RMAP_PTE_NO_ACCESS) {
        h.pfn = rmap_pte_pfn(f, e);
        const struct rmap_page *page = rmap_page_find(l->r, h.pfn);
        const unsigned flags = page ? rmap_page_flags(page) : 0;
        h.kind = flags & RMAP_PAGE_SPECIAL ? HELD_ZERO : HELD_PAGE;
        h.key = flags & RMAP_PAGE_SWAPCACHE ? KEY_OF_SLOT | page->swap : h.pfn;
    }
    return h;
}

void library_look(struct library *l, unsigned space, struct held *held)
{
    const struct rmap_mmu *mmu = &rmap_space_member(l->space[space])->mmu;
    struct rmap_mmu_run run;
    for (unsigned v = 0; v < PAGES; v++) held[v] = (struct held){.kind = HELD_NONE};
    for (rmap_vpn_t at = 0; at < PAGES && !mmu->ops->run_find(mmu->ctx, at, PAGES, &run); at = run.first + run.count) {
        const rmap_vpn_t stop = run.first + run.count < PAGES ? run.first + run.count : PAGES;
        for (rmap_vpn_t v = run.first > at ? run.first : at; v < stop; v++)
            held[v] = decode(l, mmu->ops->format, rmap_run_get(mmu, &run, (uint32_t)(v - run.first)));
        mmu->ops->run_unlock(mmu->ctx, &run);
    }
}

void library_layout(struct library *l, unsigned space, struct layout *page)
{
    struct rmap_region_info info[PAGES];
    const size_t n = rmap_space_regions(l->space[space], info, PAGES);
    memset(page, 0, PAGES * sizeof *page);
    for (size_t i = 0; i < n && i < PAGES; i++)
        for (rmap_vpn_t v = info[i].first; v < info[i].first + info[i].count && v < PAGES; v++)
            page[v] = (struct layout){.prot = (uint8_t)(1 + info[i].prot), .area = (uint8_t)(i + 1)};
}

static bool read_slot(struct library *l, rmap_swp_t slot, unsigned char *buffer)
{
    struct rmap_page *page = rmap_swap_cache_find(rmap_pager_swap(l->pager), slot);
    if (page) {
        memcpy(buffer, rmap_page_address(l->r, page), PAGE_BYTES);
        rmap_page_put(l->r, page);
        return true;
    }
    struct rmap_io io = {.slot = rmap_swp_slot(slot), .data = buffer, .error = RMAP_ERR_IO_READ};
    l->device->ops->read(l->device, &io, 1);
    return !io.error;
}

const unsigned char *library_contents(struct library *l, const struct held *held, unsigned char *buffer)
{
    if (held->kind == HELD_SLOT) return read_slot(l, held->slot, buffer) ? buffer : NULL;
    const struct rmap_page *page = rmap_page_find(l->r, held->pfn);
    return page ? rmap_page_address(l->r, page) : NULL;
}

uint64_t library_copied(struct library *l)
{
    struct rmap_stats s;
    rmap_stats_get(l->r, &s);
    return s.moved_copied;
}
