/* SPDX-License-Identifier: MIT */
/** @file bench/family.c  See the header. */
#include "bench/family.h"

#include "scale/must.h"

#include <objrmap/swapmap.h>
#include <stdlib.h>

static void no_io(struct rmap_device *d, struct rmap_io *io, size_t n)
{
    (void)d;
    for (size_t i = 0; i < n; i++) io[i].error = RMAP_ERR_IO_READ;
}

static void no_stats(struct rmap_device *d, struct rmap_device_stats *out)
{
    *out = (struct rmap_device_stats){.slots = d->slots};
}

static void no_destroy(struct rmap_device *d)
{
    (void)d;
}

static const struct rmap_device_ops device_ops = {
    .struct_size = sizeof device_ops,
    .name = "none",
    .write = no_io,
    .read = no_io,
    .get_stats = no_stats,
    .destroy = no_destroy,
};

static struct rmap_space *with_region(struct family *f)
{
    struct rmap_space *s;
    rmap_vpn_t at = 0;
    MUST(rmap_space_create(f->pager, &s));
    MUST(rmap_space_map(s, &at, f->pages, RMAP_READ | RMAP_WRITE, RMAP_MAP_FIXED));
    return s;
}

static void make_pages(struct family *f, unsigned thread)
{
    struct rmap_space *s = f->space[thread][0];
    const struct rmap_mmu *mmu = &rmap_space_member(s)->mmu;
    f->page[thread] = calloc(f->pages, sizeof *f->page[thread]);
    MUST_HOLD(f->page[thread] != NULL);
    for (rmap_vpn_t v = 0; v < f->pages; v++) {
        MUST(rmap_space_fault(s, v, RMAP_WRITE));
        f->page[thread][v] = rmap_page_find(f->r, rmap_pte_pfn(mmu->ops->format, rmap_radix_peek(mmu, v)));
        MUST_HOLD(f->page[thread][v] != NULL);
    }
}

void family_init(struct family *f, unsigned groups, unsigned mappers, uint64_t pages, uint64_t spare)
{
    const struct rmap_radix_options ro = {
        .struct_size = sizeof ro, .geometry = &rmap_radix_x86_64, .caps = RMAP_MMU_NO_TLB};
    *f = (struct family){.pages = pages, .mappers = mappers};
    MUST(rmap_radix_provider_init(&ro, &f->provider));
    f->device = (struct rmap_device){&device_ops, RACE_THREADS * pages + 1, 12};
    const struct rmap_pager_options po = {.struct_size = sizeof po,
                                          .provider = &f->provider,
                                          .frames = RACE_THREADS * pages + spare + 1024,
                                          .page_shift = 12,
                                          .swap = &f->device};
    MUST(rmap_pager_create(&po, &f->pager));
    f->r = rmap_pager_rmap(f->pager);
    if (groups == 1) f->root = with_region(f);
    for (unsigned t = 0; t < RACE_THREADS; t++) {
        if (f->root)
            MUST(rmap_space_fork(f->root, &f->space[t][0]));
        else
            f->space[t][0] = with_region(f);
        make_pages(f, t);
        for (unsigned m = 1; m < mappers; m++) MUST(rmap_space_fork(f->space[t][0], &f->space[t][m]));
    }
}

void family_fini(struct family *f)
{
    for (unsigned t = 0; t < RACE_THREADS; t++) {
        for (unsigned m = 0; m < f->mappers; m++) MUST(rmap_space_destroy(f->space[t][m]));
        free(f->page[t]);
    }
    if (f->root) MUST(rmap_space_destroy(f->root));
    MUST(rmap_pager_destroy(f->pager));
    rmap_radix_provider_fini(&f->provider);
}

void family_touch(struct family *f, unsigned thread)
{
    for (unsigned m = 0; m < f->mappers; m++) {
        const struct rmap_mmu *mmu = &rmap_space_member(f->space[thread][m])->mmu;
        struct rmap_mmu_run run;
        for (rmap_vpn_t v = 0; v < f->pages; v = run.first + run.count) {
            MUST(mmu->ops->run_find(mmu->ctx, v, f->pages, &run));
            for (uint32_t i = 0; i < run.count; i++) {
                rmap_pte_t e = rmap_run_get(mmu, &run, i);
                if (rmap_pte_present(mmu->ops->format, e))
                    rmap_run_exchange(mmu, &run, i, rmap_pte_set(mmu->ops->format, e, RMAP_ATTR_ACCESSED, true));
            }
            mmu->ops->run_unlock(mmu->ctx, &run);
        }
    }
}

void family_cache(struct family *f, unsigned thread)
{
    struct rmap_swap *swap = rmap_pager_swap(f->pager);
    for (rmap_vpn_t v = 0; v < f->pages; v++) {
        rmap_page_lock(f->page[thread][v]);
        MUST(rmap_swap_cache_add(swap, f->page[thread][v]));
        rmap_page_unlock(f->r, f->page[thread][v]);
    }
}
