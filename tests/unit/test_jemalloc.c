/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_jemalloc.c  libobjrmap-jemalloc: memory that is zeroed and aligned, counted, and gone with its arena.
 *
 * That the program's malloc stays libc's is shown by consumer/, with programs built against the installed library.
 */
#include "support/test.h"

#include <objrmap/jemalloc.h>
#include <objrmap/pager.h>
#include <objrmap/radix.h>
#include <objrmap/space.h>

#include <sys/resource.h>

static bool zeroed(const unsigned char *p, size_t n)
{
    while (n--)
        if (*p++) return false;
    return true;
}

RMAP_TEST(jemalloc, memory_is_zeroed_and_aligned_and_counted_until_it_is_freed)
{
    static const size_t size[] = {0, 1, 24, 100, 4096, 100000};
    struct rmap_allocator a;
    CHECK_OK(rmap_alloc_jemalloc_init(&a));
    CHECK_EQ(a.struct_size, sizeof a);
    CHECK_EQ(rmap_alloc_jemalloc_bytes(&a), 0);
    for (size_t align = 1; align <= 4096; align *= 4) {
        for (unsigned i = 0; i < 2 * sizeof size / sizeof *size; i++) { /* each twice: the second time it was dirty */
            const size_t n = size[i / 2];
            unsigned char *p = a.alloc(a.ctx, n, align);
            CHECK(p && (uintptr_t)p % align == 0 && zeroed(p, n));
            CHECK_LE(n, rmap_alloc_jemalloc_bytes(&a));
            CHECK_LE(1, rmap_alloc_jemalloc_bytes(&a));
            memset(p, 0xa5, n);
            a.free(a.ctx, p, n, align);
            CHECK_EQ(rmap_alloc_jemalloc_bytes(&a), 0);
        }
    }
    CHECK(a.alloc(a.ctx, SIZE_MAX / 4, 16) == NULL);
    CHECK_EQ(rmap_alloc_jemalloc_bytes(&a), 0);
    rmap_alloc_jemalloc_fini(&a);
}

RMAP_TEST(jemalloc, arenas_do_not_know_each_other_and_go_with_all_that_is_in_them)
{
    struct rmap_allocator a, b;
    CHECK_OK(rmap_alloc_jemalloc_init(&a));
    CHECK_OK(rmap_alloc_jemalloc_init(&b));

    /* a pager, all of it in arena a */
    struct rmap_mmu_provider provider;
    struct rmap_pager *pager;
    struct rmap_space *space;
    rmap_vpn_t at = 10;
    CHECK_OK(rmap_radix_provider_init(&(struct rmap_radix_options){.struct_size = sizeof(struct rmap_radix_options),
                                                                   .geometry = &rmap_radix_soft,
                                                                   .alloc = &a,
                                                                   .caps = RMAP_MMU_NO_TLB},
                                      &provider));
    CHECK_OK(rmap_pager_create(&(struct rmap_pager_options){.struct_size = sizeof(struct rmap_pager_options),
                                                            .alloc = &a,
                                                            .provider = &provider,
                                                            .frames = 32,
                                                            .page_shift = 12},
                               &pager));
    CHECK_OK(rmap_space_create(pager, &space));
    CHECK_OK(rmap_space_map(space, &at, 4, RMAP_READ | RMAP_WRITE, RMAP_MAP_FIXED));
    CHECK_OK(rmap_space_fault(space, 11, RMAP_WRITE));
    CHECK_LE(4096, rmap_alloc_jemalloc_bytes(&a));
    CHECK_EQ(rmap_alloc_jemalloc_bytes(&b), 0);
    CHECK_OK(rmap_space_destroy(space));
    CHECK_OK(rmap_pager_destroy(pager));
    rmap_radix_provider_fini(&provider);
    CHECK_EQ(rmap_alloc_jemalloc_bytes(&a), 0);

    CHECK(b.alloc(b.ctx, 100, 8));
    rmap_alloc_jemalloc_fini(&b);
    CHECK(!b.alloc && !b.ctx);
    rmap_alloc_jemalloc_fini(&b); /* there is none any more */
    CHECK(a.alloc(a.ctx, 100, 8));
    rmap_alloc_jemalloc_fini(&a);
}

RMAP_TEST(jemalloc, what_is_no_arena_has_no_bytes_and_no_end)
{
    struct rmap_allocator other = *rmap_alloc_default();
    CHECK_ERR(rmap_alloc_jemalloc_init(NULL), RMAP_ERR_NULL_ARG);
    CHECK_EQ(rmap_alloc_jemalloc_bytes(NULL), 0);
    CHECK_EQ(rmap_alloc_jemalloc_bytes(&other), 0);
    rmap_alloc_jemalloc_fini(NULL);
    rmap_alloc_jemalloc_fini(&other);
    CHECK(other.alloc == rmap_alloc_default()->alloc);
}

RMAP_TEST(jemalloc, without_addresses_there_is_no_arena)
{
    struct rmap_allocator a[64];
    struct rlimit before, none;
    CHECK_EQ(getrlimit(RLIMIT_AS, &before), 0);
    none = before;
    none.rlim_cur = 1;
    CHECK_EQ(setrlimit(RLIMIT_AS, &none), 0);
    int rc = 0;
    unsigned n = 0; /* some addresses may be in stock */
    while (n < 64 && !(rc = rmap_alloc_jemalloc_init(&a[n]))) n++;
    CHECK_EQ(setrlimit(RLIMIT_AS, &before), 0);
    while (n) rmap_alloc_jemalloc_fini(&a[--n]);
    CHECK_ERR(rc, RMAP_ERR_NOMEM);
}
