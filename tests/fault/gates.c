/* SPDX-License-Identifier: MIT */
/** @file fault/gates.c  Gates inside the process: allocators, devices, frames, slots, counts. See the header. */
#include "fault/gates.h"

#include <objrmap/page.h>
#include <objrmap/space.h>
#include <objrmap/swap.h>
#include <objrmap/swapmap.h>

/* ---- allocators ---- */

static struct gated_allocator {
    struct rmap_allocator inner;
    enum fault_kind kind;
} allocators[2];

static void *gated_alloc(void *ctx, size_t size, size_t align)
{
    struct gated_allocator *a = ctx;
    return fault_now(a->kind) ? NULL : a->inner.alloc(a->inner.ctx, size, align);
}

static void gated_free(void *ctx, void *p, size_t size, size_t align)
{
    struct gated_allocator *a = ctx;
    a->inner.free(a->inner.ctx, p, size, align);
}

void gate_allocator(struct test_alloc *t, enum fault_kind kind)
{
    struct gated_allocator *a = &allocators[kind == FAULT_TABLE];
    *a = (struct gated_allocator){.inner = t->a, .kind = kind};
    t->a.ctx = a;
    t->a.alloc = gated_alloc;
    t->a.free = gated_free;
}

/* ---- devices: page by page, the rest is the device's own ---- */

static const struct rmap_device_ops *ungated;

static void gated_write(struct rmap_device *d, struct rmap_io *io, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fault_now(FAULT_WRITE))
            io[i].error = RMAP_ERR_IO_WRITE;
        else if (fault_now(FAULT_LATER))
            io[i].error = RMAP_ERR_NOMEM;
        else
            ungated->write(d, &io[i], 1);
    }
}

static void gated_read(struct rmap_device *d, struct rmap_io *io, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fault_now(FAULT_READ)) {
            io[i].error = RMAP_ERR_IO_READ;
            continue;
        }
        ungated->read(d, &io[i], 1);
        if (fault_now(FAULT_SPOILT)) ((unsigned char *)io[i].data)[1000] ^= 4;
    }
}

void gate_device(struct faulty_device *f)
{
    static struct rmap_device_ops gated;
    if (f->base.ops == &gated) return;
    ungated = f->base.ops;
    gated = *ungated;
    gated.write = gated_write;
    gated.read = gated_read;
    f->base.ops = &gated;
}

/* ---- calls between the library's own files, by the linker ---- */

static struct rmap *framed;

void gate_frames_of(struct rmap *r)
{
    framed = r;
}

int __real_rmap_page_alloc(struct rmap *r, rmap_pfn_t near, struct rmap_page **out);
int __wrap_rmap_page_alloc(struct rmap *r, rmap_pfn_t near, struct rmap_page **out);
int __wrap_rmap_page_alloc(struct rmap *r, rmap_pfn_t near, struct rmap_page **out)
{
    return r == framed && fault_now(FAULT_FRAME) ? RMAP_ERR_NO_FRAME : __real_rmap_page_alloc(r, near, out);
}

/* What gives back as much as it asks for is never refused. */
int __real_rmap__commit_reserve(struct rmap_space *s, uint64_t add, uint64_t sub);
int __wrap_rmap__commit_reserve(struct rmap_space *s, uint64_t add, uint64_t sub);
int __wrap_rmap__commit_reserve(struct rmap_space *s, uint64_t add, uint64_t sub)
{
    return add > sub && fault_now(FAULT_CHARGE) ? RMAP_ERR_COMMIT : __real_rmap__commit_reserve(s, add, sub);
}

/* For the pages that have a slot already none is asked for. */
int __real_rmap_swap_cache_add(struct rmap_swap *s, struct rmap_page *page);
int __wrap_rmap_swap_cache_add(struct rmap_swap *s, struct rmap_page *page);
int __wrap_rmap_swap_cache_add(struct rmap_swap *s, struct rmap_page *page)
{
    const bool asks = !(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE);
    return asks && fault_now(FAULT_SLOT) ? RMAP_ERR_NO_SLOT : __real_rmap_swap_cache_add(s, page);
}

int __real_rmap__page_count_up(struct rmap_page *page, bool *first);
int __wrap_rmap__page_count_up(struct rmap_page *page, bool *first);
int __wrap_rmap__page_count_up(struct rmap_page *page, bool *first)
{
    return fault_now(FAULT_COUNT) ? RMAP_ERR_OVERFLOW : __real_rmap__page_count_up(page, first);
}

int __real_rmap_page_map_swapin(struct rmap_member *m, struct rmap_page *page, rmap_swp_t entry);
int __wrap_rmap_page_map_swapin(struct rmap_member *m, struct rmap_page *page, rmap_swp_t entry);
int __wrap_rmap_page_map_swapin(struct rmap_member *m, struct rmap_page *page, rmap_swp_t entry)
{
    return fault_now(FAULT_COUNT) ? RMAP_ERR_OVERFLOW : __real_rmap_page_map_swapin(m, page, entry);
}

/* It counts inside its own file, out of the linker's sight: the last page's count is full while it runs. */
int __real_rmap_page_dup(struct rmap_member *m, struct rmap_page *const *pages, size_t n);
int __wrap_rmap_page_dup(struct rmap_member *m, struct rmap_page *const *pages, size_t n);
int __wrap_rmap_page_dup(struct rmap_member *m, struct rmap_page *const *pages, size_t n)
{
    if (!n || !fault_now(FAULT_COUNT)) return __real_rmap_page_dup(m, pages, n);
    struct rmap_page *full = pages[n - 1];
    const uint32_t count = rmap_page_mapcount(full);
    full->mapcount += RMAP_MAPCOUNT_MAX - count;
    const int rc = __real_rmap_page_dup(m, pages, n);
    full->mapcount -= RMAP_MAPCOUNT_MAX - count;
    return rc;
}

const struct rmap_swap_ops *__real_rmap_swap_get_ops(void);
const struct rmap_swap_ops *__wrap_rmap_swap_get_ops(void);

static int gated_dup(void *ctx, rmap_swp_t entry, uint32_t n)
{
    return fault_now(FAULT_COUNT) ? RMAP_ERR_OVERFLOW : __real_rmap_swap_get_ops()->dup(ctx, entry, n);
}

const struct rmap_swap_ops *__wrap_rmap_swap_get_ops(void)
{
    static struct rmap_swap_ops gated;
    gated = *__real_rmap_swap_get_ops();
    gated.dup = gated_dup;
    return &gated;
}
