/* SPDX-License-Identifier: MIT */
/*
 * The same life of a few pages behind page tables of every supplied format: what the core does with entries must not depend
 * on where the bits are. One named test for each format.
 */
#include "support/counting_alloc.h"
#include "support/test.h"

#include <objrmap/pager.h>
#include <objrmap/radix.h>
#include <objrmap/rmap.h>
#include <objrmap/space.h>
#include <objrmap/verify.h>
#include <stdlib.h>

#define RW ((unsigned)(RMAP_READ | RMAP_WRITE))

struct world {
    struct test_alloc alloc;
    struct rmap_mmu_provider provider;
    struct rmap_pager *p;
    unsigned shift;
    const struct rmap_pte_format *format;
};

static void verify(struct world *w)
{
    struct rmap_verify_report report;
    int rc = rmap_pager_verify(w->p, &report);
    if (rc) TEST_FAIL("%s: %s: %s", rmap_error_name(rc), report.invariant ? report.invariant : "?", report.text);
}

static void put(struct world *w, struct rmap_space *s, rmap_vpn_t vpn, uint64_t value)
{
    CHECK_OK(rmap_space_write(s, (vpn << w->shift) + 8, &value, sizeof value, NULL));
    verify(w);
}

static uint64_t get(struct world *w, struct rmap_space *s, rmap_vpn_t vpn)
{
    uint64_t value = 0;
    CHECK_OK(rmap_space_read(s, (vpn << w->shift) + 8, &value, sizeof value, NULL));
    return value;
}

static struct rmap_page *page_at(struct world *w, struct rmap_space *s, rmap_vpn_t vpn)
{
    rmap_pte_t e = rmap_radix_peek(&rmap_space_member(s)->mmu, vpn);
    CHECK_EQ(rmap_pte_kind(w->format, e), RMAP_PTE_PRESENT);
    return rmap_page_find(rmap_pager_rmap(w->p), rmap_pte_pfn(w->format, e));
}

static int count_mapping(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t e)
{
    (void)m, (void)vpn, (void)e;
    ++*(unsigned *)ctx;
    return 0;
}

static unsigned mappers(struct world *w, struct rmap_page *page)
{
    struct rmap_result res;
    unsigned n = 0;
    rmap_page_lock(page);
    CHECK_OK(rmap_each_mapping(rmap_pager_rmap(w->p), &page, 1, 0, count_mapping, &n, &res));
    rmap_page_unlock(rmap_pager_rmap(w->p), page);
    CHECK_EQ(res.outcome, RMAP_DONE);
    CHECK_EQ(res.hits, n);
    return n;
}

static void world_init(struct world *w, const struct rmap_radix_geometry *geometry)
{
    memset(w, 0, sizeof *w);
    test_alloc_init(&w->alloc);
    w->format = geometry->format;
    w->shift = geometry->format->page_shift;
    struct rmap_radix_options ro = {
        .struct_size = sizeof ro, .geometry = geometry, .alloc = &w->alloc.a, .caps = RMAP_MMU_NO_TLB};
    CHECK_OK(rmap_radix_provider_init(&ro, &w->provider));
    struct rmap_device *device;
    CHECK_OK(rmap_device_temp_create(&w->alloc.a, NULL, 64, w->shift, &device));
    struct rmap_pager_options po = {.struct_size = sizeof po,
                                    .alloc = &w->alloc.a,
                                    .provider = &w->provider,
                                    .frames = 32,
                                    .page_shift = w->shift,
                                    .swap = device};
    CHECK_OK(rmap_pager_create(&po, &w->p));
}

/*
 * parent [510, 514): 4 pages over a table's border where tables have 512 slots. fork; child writes 511; all to swap; back;
 * child moves the range (2 shared pages copied or left on swap); parent loses write, then access; parent exits.
 */
static void live(const struct rmap_radix_geometry *geometry)
{
    struct world w;
    world_init(&w, geometry);
    struct rmap_space *parent, *child;
    rmap_vpn_t at = 510, to = 70000;
    CHECK_OK(rmap_space_create(w.p, &parent));
    CHECK_OK(rmap_space_map(parent, &at, 4, RW | RMAP_EXEC, RMAP_MAP_FIXED));
    for (unsigned i = 0; i < 4; i++) put(&w, parent, 510 + i, 100 + i);
    CHECK_OK(rmap_space_fork(parent, &child));
    CHECK_EQ(mappers(&w, page_at(&w, parent, 512)), 2);
    put(&w, child, 511, 7);
    CHECK_EQ(mappers(&w, page_at(&w, child, 511)), 1);
    CHECK_EQ(get(&w, parent, 511), 101);

    while (rmap_reclaim(w.p, 100) > 0) verify(&w);
    CHECK_EQ(rmap_pte_kind(w.format, rmap_radix_peek(&rmap_space_member(child)->mmu, 512)), RMAP_PTE_SWAP);
    CHECK_EQ(get(&w, child, 510), 100);
    CHECK_EQ(get(&w, parent, 510), 100);
    CHECK_EQ(mappers(&w, page_at(&w, parent, 510)), 2);

    bool fits = rmap_space_member(child)->mmu.pages > 70004;
    if (!fits) to = 3000;
    CHECK_OK(rmap_space_move(child, 510, 4, 4, RMAP_MOVE_MAYMOVE | RMAP_MOVE_FIXED, &to));
    verify(&w);
    CHECK_EQ(get(&w, child, to), 100);
    CHECK_EQ(get(&w, child, to + 1), 7);
    CHECK_EQ(get(&w, child, to + 2), 102);
    CHECK_EQ(get(&w, parent, 512), 102);

    CHECK_OK(rmap_space_protect(parent, 510, 4, RMAP_READ));
    CHECK_ERR(rmap_space_fault(parent, 510, RMAP_WRITE), RMAP_ERR_ACCESS);
    CHECK_OK(rmap_space_protect(parent, 510, 4, RMAP_NONE));
    CHECK_EQ(rmap_pte_kind(w.format, rmap_radix_peek(&rmap_space_member(parent)->mmu, 510)), RMAP_PTE_NO_ACCESS);
    verify(&w);
    CHECK_OK(rmap_space_protect(parent, 510, 4, RW));
    CHECK_EQ(get(&w, parent, 510), 100);
    put(&w, parent, 510, 9);
    CHECK_EQ(get(&w, child, to), 100);

    CHECK_OK(rmap_space_destroy(parent));
    verify(&w);
    CHECK_EQ(get(&w, child, to + 3), 103);
    CHECK_OK(rmap_space_destroy(child));
    CHECK_OK(rmap_pager_destroy(w.p));
    rmap_radix_provider_fini(&w.provider);
    CHECK_EQ(w.alloc.live_bytes, 0);
}

RMAP_TEST(formats, x86_64) { live(&rmap_radix_x86_64); }
RMAP_TEST(formats, sv39) { live(&rmap_radix_sv39); }
RMAP_TEST(formats, sv48) { live(&rmap_radix_sv48); }
RMAP_TEST(formats, aarch64_4k) { live(&rmap_radix_aarch64_4k); }
RMAP_TEST(formats, aarch64_16k) { live(&rmap_radix_aarch64_16k); }
RMAP_TEST(formats, aarch64_64k) { live(&rmap_radix_aarch64_64k); }
RMAP_TEST(formats, soft) { live(&rmap_radix_soft); }
