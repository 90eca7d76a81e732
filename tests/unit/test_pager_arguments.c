/* SPDX-License-Identifier: MIT */
/** @file unit/test_pager_arguments.c  Bad input to every pager call: a specific error, no change (H1, H2, H5). */
#include "unit/pager_world.h"

static struct world w;

#define SPACE_PAGES ((uint64_t)1 << 18)

/* What a space looks like from outside, to compare before and after. */
struct look {
    struct rmap_space_stats stats;
    struct rmap_region_info region[8];
    struct rmap_pager_stats pager;
};
static struct look look_at(struct rmap_space *s)
{
    struct look l;
    memset(&l, 0, sizeof l);
    l.stats = space_stats(s);
    rmap_space_regions(s, l.region, 8);
    l.pager = stats(&w);
    l.pager.faults = 0; /* counts tries */
    return l;
}

/* S: [10,20) rw, page 12 written, [20,22) none, [30,31) locked */
static struct rmap_space *subject(void)
{
    struct rmap_space *s = space_new(&w);
    map_at(s, 10, 10, RW);
    map_at(s, 20, 2, RMAP_NONE);
    map_at(s, 30, 1, RW);
    put(s, 12, 12);
    CHECK_OK(rmap_space_lock(s, 30, 1));
    return s;
}

struct range {
    rmap_vpn_t first;
    uint64_t count;
};
static const struct range bad_ranges[] = {
    {10, 0},              /* empty */
    {SPACE_PAGES, 1},     /* behind the end */
    {SPACE_PAGES - 1, 2}, /* across the end */
    {10, SPACE_PAGES},    /* longer than all */
    {10, UINT64_MAX},     /* wraps */
    {RMAP_VPN_NONE, 1},
    {UINT64_MAX, 2}, /* wraps to 1 */
    {RMAP_VPN_MAX - 1, 2},
    {0, RMAP_VPN_MAX},
};
#define RANGES (sizeof bad_ranges / sizeof *bad_ranges)

RMAP_TEST(pager_arguments, H1_ranges)
{
    world_init(&w, 32, 50, 1000);
    struct rmap_space *s = subject();
    const struct look before = look_at(s);
    for (size_t i = 0; i < RANGES; i++) {
        const rmap_vpn_t first = bad_ranges[i].first;
        const uint64_t count = bad_ranges[i].count;
        rmap_vpn_t at = first, to = RMAP_VPN_NONE;
        CHECK_ERR(rmap_space_map(s, &at, count, RW, RMAP_MAP_FIXED), RMAP_ERR_RANGE);
        CHECK_ERR(rmap_space_map(s, &at, count, RW, RMAP_MAP_FIXED | RMAP_MAP_LOCKED), RMAP_ERR_RANGE);
        CHECK_EQ(at, first);
        CHECK_ERR(rmap_space_unmap(s, first, count), RMAP_ERR_RANGE);
        CHECK_ERR(rmap_space_protect(s, first, count, RMAP_READ), RMAP_ERR_RANGE);
        CHECK_ERR(rmap_space_lock(s, first, count), RMAP_ERR_RANGE);
        CHECK_ERR(rmap_space_unlock(s, first, count), RMAP_ERR_RANGE);
        CHECK_ERR(rmap_space_advise(s, first, count, RMAP_ADVISE_DONTNEED), RMAP_ERR_RANGE);
        CHECK_ERR(rmap_space_move(s, first, count, 1, RMAP_MOVE_MAYMOVE, &to), RMAP_ERR_RANGE);
        to = first;
        CHECK_ERR(rmap_space_move(s, 10, 2, count, RMAP_MOVE_FIXED, &to), RMAP_ERR_RANGE);
        CHECK_EQ(to, first);
    }
    const struct look after = look_at(s);
    CHECK(memcmp(&before, &after, sizeof before) == 0);
    CHECK_EQ(get(s, 12), 12);
    world_fini(&w);
}

RMAP_TEST(pager_arguments, H1_bytes)
{
    world_init(&w, 32, 50, 0);
    struct rmap_space *s = subject();
    const struct look before = look_at(s);
    char b[16] = "";
    size_t done = 99;
    static const uint64_t bad[] = {SPACE_PAGES * PAGE, SPACE_PAGES * PAGE - 8, UINT64_MAX, UINT64_MAX - 7};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_ERR(rmap_space_read(s, bad[i], b, 16, &done), RMAP_ERR_RANGE);
        CHECK_EQ(done, 0);
        CHECK_ERR(rmap_space_write(s, bad[i], b, 16, NULL), RMAP_ERR_RANGE);
    }
    CHECK_ERR(rmap_space_read(s, 10 * PAGE, b, SIZE_MAX, &done), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_space_write(s, 20 * PAGE, b, 16, &done), RMAP_ERR_ACCESS);
    CHECK_ERR(rmap_space_read(s, 25 * PAGE, b, 16, &done), RMAP_ERR_ABSENT);
    CHECK_EQ(done, 0);
    const struct look after = look_at(s);
    CHECK(memcmp(&before, &after, sizeof before) == 0);
    world_fini(&w);
}

RMAP_TEST(pager_arguments, H1_flags_and_protections)
{
    world_init(&w, 32, 50, 0);
    struct rmap_space *s = subject();
    const struct look before = look_at(s);
    rmap_vpn_t at = 40;
    CHECK_ERR(rmap_space_map(s, &at, 1, 8, 0), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_space_map(s, &at, 1, RW, 1 << 4), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_space_map(s, &at, 1, RW, RMAP_MAP_SHARED), RMAP_ERR_UNSUPPORTED);
    CHECK_ERR(rmap_space_map(s, &at, 1, RW, RMAP_MAP_NOREPLACE), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_space_map(s, &at, 1, RMAP_NONE, RMAP_MAP_LOCKED), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_space_protect(s, 10, 1, 8), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_space_protect(s, 22, 1, RW), RMAP_ERR_ABSENT);
    CHECK_ERR(rmap_space_protect(s, 20, 3, RW), RMAP_ERR_ABSENT);
    CHECK_ERR(rmap_space_lock(s, 20, 1), RMAP_ERR_ACCESS);
    CHECK_ERR(rmap_space_lock(s, 22, 1), RMAP_ERR_ABSENT);
    CHECK_ERR(rmap_space_unlock(s, 22, 1), RMAP_ERR_ABSENT);
    CHECK_ERR(rmap_space_advise(s, 10, 1, (enum rmap_advice)0), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_space_advise(s, 30, 1, RMAP_ADVISE_DONTNEED), RMAP_ERR_BUSY);
    const struct look after = look_at(s);
    CHECK(memcmp(&before, &after, sizeof before) == 0);
    CHECK_EQ(at, 40);
    world_fini(&w);
}

RMAP_TEST(pager_arguments, H2_null_everywhere)
{
    world_init(&w, 32, 0, 0);
    struct rmap_space *s = space_new(&w), *out = NULL;
    struct rmap_space_stats st;
    struct rmap_pager_stats ps;
    struct rmap_region_info info;
    struct rmap_verify_report report;
    rmap_vpn_t at = 0;
    char b = 0;
    map_at(s, 10, 2, RW);
    CHECK_ERR(rmap_space_create(NULL, &out), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_create(w.p, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_fork(NULL, &out), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_fork(s, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_exec(NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_destroy(NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_map(NULL, &at, 1, RW, 0), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_map(s, NULL, 1, RW, 0), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_unmap(NULL, 10, 1), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_protect(NULL, 10, 1, RW), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_move(NULL, 10, 1, 1, 0, &at), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_move(s, 10, 1, 1, 0, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_lock(NULL, 10, 1), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_unlock(NULL, 10, 1), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_advise(NULL, 10, 1, RMAP_ADVISE_DONTNEED), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_fault(NULL, 10, RMAP_READ), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_read(NULL, 0, &b, 1, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_read(s, 10 * PAGE, NULL, 1, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_write(s, 10 * PAGE, NULL, 1, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_get_stats(NULL, &st), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_space_get_stats(s, NULL), RMAP_ERR_NULL_ARG);
    CHECK_EQ(rmap_space_regions(NULL, &info, 1), 0);
    CHECK(!rmap_space_member(NULL) && !rmap_space_user(NULL));
    rmap_space_set_user(NULL, &b);
    CHECK_ERR(rmap_pager_destroy(NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_pager_get_stats(NULL, &ps), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_pager_get_stats(w.p, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_pager_verify(NULL, &report), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_pager_add_swap(w.p, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_pager_add_swap(NULL, &w.device.base), RMAP_ERR_NULL_ARG);
    CHECK_EQ(rmap_reclaim(NULL, 1), RMAP_ERR_NULL_ARG);
    CHECK(!rmap_pager_rmap(NULL) && !rmap_pager_swap(NULL));
    CHECK_OK(rmap_pager_verify(w.p, NULL));
    CHECK(out == NULL);
    world_fini(&w);
}

RMAP_TEST(pager_arguments, H5_options)
{
    world_init(&w, 32, 0, 0);
    struct rmap_pager *p = NULL;
    const struct rmap_pager_options good = world_options(&w, 32, 0);
    struct rmap_pager_options o = good;
    struct rmap_mmu_provider provider = w.provider;
    struct rmap_allocator alloc = w.alloc.a;
    const size_t blocks = w.alloc.live_blocks;
#define REFUSED(field, value, error)                                                                                   \
    do {                                                                                                               \
        o = good;                                                                                                      \
        o.field = (value);                                                                                             \
        CHECK_ERR(rmap_pager_create(&o, &p), error);                                                                   \
    } while (0)
    CHECK_ERR(rmap_pager_create(NULL, &p), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_pager_create(&good, NULL), RMAP_ERR_NULL_ARG);
    REFUSED(struct_size, 0, RMAP_ERR_STRUCT_SIZE);
    REFUSED(struct_size, sizeof o + 8, RMAP_ERR_STRUCT_SIZE);
    REFUSED(provider, NULL, RMAP_ERR_NULL_ARG);
    REFUSED(frames, 0, RMAP_ERR_RANGE);
    REFUSED(frames, 15, RMAP_ERR_RANGE);
    REFUSED(frames, UINT64_MAX, RMAP_ERR_RANGE);
    REFUSED(page_shift, 0, RMAP_ERR_RANGE);
    REFUSED(page_shift, 11, RMAP_ERR_RANGE);
    REFUSED(page_shift, 17, RMAP_ERR_RANGE);
    REFUSED(evict_batch, 257, RMAP_ERR_RANGE);
    REFUSED(swap_around, 3, RMAP_ERR_RANGE);
    REFUSED(swap_around, 32, RMAP_ERR_RANGE);
    provider.struct_size = 1;
    REFUSED(provider, &provider, RMAP_ERR_STRUCT_SIZE);
    provider = w.provider;
    provider.create = NULL;
    REFUSED(provider, &provider, RMAP_ERR_NULL_ARG);
    alloc.struct_size = 1;
    REFUSED(alloc, &alloc, RMAP_ERR_STRUCT_SIZE);

    struct rmap_memory memory;
    CHECK_OK(rmap_memory_init(&memory, 40, 12));
    o = good;
    o.memory = &memory;
    o.frames = 41; /* more than there are */
    CHECK_ERR(rmap_pager_create(&o, &p), RMAP_ERR_RANGE);
    o.frames = 32;
    o.page_shift = 13;
    CHECK_ERR(rmap_pager_create(&o, &p), RMAP_ERR_RANGE);
    o.page_shift = 12;
    faulty_device_init(&w.device, 10, 13); /* a device of another page size: refused, and still the caller's */
    o.swap = &w.device.base;
    CHECK_ERR(rmap_pager_create(&o, &p), RMAP_ERR_INVALID);
    CHECK(!w.device.destroyed);
    rmap_device_destroy(&w.device.base);
    o.swap = NULL;
    CHECK(p == NULL);
    CHECK_EQ(w.alloc.live_blocks, blocks);
    CHECK_OK(rmap_pager_create(&o, &p)); /* caller's memory, of which it takes 32 frames */
    CHECK_OK(rmap_pager_destroy(p));
    rmap_memory_fini(&memory);
    world_fini(&w);
}

/* the MMU's pages are of another size than the pager's; its provider fails */
static int failing_create(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    (void)ctx, (void)client, (void)out;
    return RMAP_ERR_SYSTEM;
}
RMAP_TEST(pager_arguments, H3_a_provider_that_does_not_fit_or_fails)
{
    world_init(&w, 32, 0, 0);
    struct rmap_mmu_provider provider = w.provider, wide;
    const struct rmap_radix_options ro = {
        .struct_size = sizeof ro, .geometry = &rmap_radix_aarch64_16k, .alloc = &w.alloc.a, .caps = RMAP_MMU_NO_TLB};
    CHECK_OK(rmap_radix_provider_init(&ro, &wide));
    struct rmap_pager_options o = world_options(&w, 32, 0);
    struct rmap_pager *p = NULL;
    struct rmap_space *s = NULL;
    o.provider = &wide;
    CHECK_OK(rmap_pager_create(&o, &p));
    CHECK_ERR(rmap_space_create(p, &s), RMAP_ERR_INVALID);
    CHECK_OK(rmap_pager_destroy(p));
    provider.create = failing_create;
    o.provider = &provider;
    CHECK_OK(rmap_pager_create(&o, &p));
    CHECK_ERR(rmap_space_create(p, &s), RMAP_ERR_SYSTEM);
    CHECK(s == NULL);
    CHECK_OK(rmap_pager_destroy(p));
    rmap_radix_provider_fini(&wide);
    world_fini(&w);
}

/* A hook of the MMU that calls back into the pager, as a fault on projected memory inside a call would */
static struct rmap_space *called_back;
static int answer;
static struct rmap_mmu_ops nosy;
static void nosy_update(void *mmu, const struct rmap_mmu_run *run, rmap_vpn_t vpn, unsigned access)
{
    (void)mmu, (void)run, (void)vpn, (void)access;
    answer = rmap_space_fault(called_back, 10, RMAP_READ);
}
static int nosy_create(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    struct rmap_mmu_provider *inner = ctx;
    int rc = inner->create(inner->ctx, client, out);
    nosy = *out->ops;
    nosy.update = nosy_update;
    out->ops = &nosy;
    return rc;
}
static void nosy_destroy(void *ctx, struct rmap_mmu *mmu)
{
    struct rmap_mmu_provider *inner = ctx;
    inner->destroy(inner->ctx, mmu);
}
RMAP_TEST(pager_arguments, a_call_from_inside_a_call_says_busy_instead_of_hanging)
{
    world_init(&w, 32, 0, 0);
    const struct rmap_mmu_provider provider = {
        .struct_size = sizeof provider, .ctx = &w.provider, .create = nosy_create, .destroy = nosy_destroy};
    struct rmap_pager_options o = world_options(&w, 32, 0);
    struct rmap_pager *p;
    o.provider = &provider;
    CHECK_OK(rmap_pager_create(&o, &p));
    CHECK_OK(rmap_space_create(p, &called_back));
    map_at(called_back, 10, 1, RW);
    CHECK_OK(rmap_space_fault(called_back, 10, RMAP_WRITE));
    CHECK_ERR(answer, RMAP_ERR_BUSY);
    CHECK_OK(rmap_space_destroy(called_back));
    CHECK_OK(rmap_pager_destroy(p));
    world_fini(&w);
}
