/* SPDX-License-Identifier: MIT */
/** @file unit/test_host_life.c  The host MMU's arguments, windows' lives and sizes, and what it promises to be. */
#include "host_world.h"

#include <errno.h>
#include <sys/mman.h>

static struct world w;

/* 2048 frames of 4 KiB; one space with a window of 2048 pages. No limit that matters. */
static struct space *small_world(void)
{
    world_init(&w, 2048, 12, 2048, 1000);
    return space_open(&w);
}

/* H1, H2 */
RMAP_TEST(host_life, faults_outside_windows_and_nonsense_are_refused)
{
    struct space *s = small_world();
    char *base = rmap_host_base(&s->mmu);
    static int elsewhere;
    CHECK_ERR(rmap_host_fault(w.host, &elsewhere, RMAP_READ), RMAP_ERR_ABSENT);
    CHECK_ERR(rmap_host_fault(w.host, NULL, RMAP_READ), RMAP_ERR_ABSENT);
    CHECK_ERR(rmap_host_fault(w.host, base - 1, RMAP_READ), RMAP_ERR_ABSENT);
    CHECK_ERR(rmap_host_fault(w.host, base + (2048 << 12), RMAP_READ), RMAP_ERR_ABSENT);
    CHECK_ERR(rmap_host_fault(w.host, (void *)UINTPTR_MAX, RMAP_READ), RMAP_ERR_ABSENT);
    CHECK_EQ(stats_of(&w).faults, 0);
    CHECK_ERR(rmap_host_fault(NULL, base, RMAP_READ), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_host_fault(w.host, base, 0), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_host_fault(w.host, base, 8), RMAP_ERR_INVALID);
    map(s, 0, 0, 1, RW);
    map(s, 2047, 5, 1, RW);
    CHECK_ERR(rmap_host_fault(w.host, base, RMAP_EXEC), RMAP_ERR_UNSUPPORTED);
    errno = 4321;
    CHECK_OK(rmap_host_fault(w.host, base + 123, RMAP_READ));
    CHECK_OK(rmap_host_fault(w.host, base + (2048 << 12) - 1, RMAP_READ | RMAP_WRITE));
    CHECK_ERR(rmap_host_fault(w.host, base + 4096, RMAP_READ), RMAP_ERR_ABSENT);
    CHECK_EQ(errno, 4321);
    CHECK_EQ(stats_of(&w).faults, 4);
    space_close(&w, s);
    CHECK_ERR(rmap_host_fault(w.host, base, RMAP_READ), RMAP_ERR_ABSENT);
    world_fini(&w);
}

RMAP_TEST(host_life, windows_are_told_apart_by_address)
{
    static struct space *s[20];
    small_world();
    for (unsigned i = 0; i < 20; i++) {
        s[i] = space_open(&w);
        map(s[i], 0, 10 + i, 1, RO);
        map(s[i], 2047, 40 + i, 1, RO);
    }
    space_close(&w, s[7]);
    for (unsigned i = 0; i < 20; i++) {
        if (i == 7) continue;
        CHECK_EQ(load(&w, s[i], 0, NULL), 10 + i);
        CHECK_EQ(load(&w, s[i], 2047, NULL), 40 + i);
    }
    CHECK_EQ(stats_of(&w).vmas, kernel_vmas(&w));
    world_fini(&w);
}

RMAP_TEST(host_life, a_host_with_windows_is_busy)
{
    struct space *s = small_world();
    CHECK_ERR(rmap_host_destroy(w.host), RMAP_ERR_BUSY);
    map(s, 3, 7, 1, RO);
    CHECK_EQ(load(&w, s, 3, NULL), 7);
    CHECK_ERR(rmap_host_destroy(w.host), RMAP_ERR_BUSY);
    CHECK_ERR(rmap_host_destroy(NULL), RMAP_ERR_NULL_ARG);
    world_fini(&w);
}

/* Nothing of a closed window is left: neither mappings, nor tables, nor records. */
RMAP_TEST(host_life, a_closed_window_is_unmapped)
{
    struct space *s = small_world();
    static unsigned char resident[2048];
    map(s, 0, 0, 600, RW);
    faults_of_load(&w, s, 0), faults_of_load(&w, s, 550);
    void *base = rmap_host_base(&s->mmu);
    space_close(&w, s);
    CHECK(mincore(base, 2048 << 12, resident) == -1 && errno == ENOMEM);
    CHECK_EQ(s->mmu.ctx, NULL);
    CHECK_EQ(stats_of(&w).windows, 0);
    CHECK_EQ(stats_of(&w).table_bytes, 0);
    CHECK_EQ(stats_of(&w).tlb_bytes, 0);
    world_fini(&w);
}

/* H1, H5 */
RMAP_TEST(host_life, bad_options_are_refused)
{
    small_world();
    struct rmap_host *out = (void *)&w;
    const struct rmap_host_options good = {
        .struct_size = sizeof good, .memory = &w.mem, .alloc = &w.alloc.a, .window_pages = 64};
    struct rmap_host_options o = good;
    CHECK_ERR(rmap_host_create(NULL, &out), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_host_create(&good, NULL), RMAP_ERR_NULL_ARG);
    o.memory = NULL;
    CHECK_ERR(rmap_host_create(&o, &out), RMAP_ERR_NULL_ARG);
    o = good, o.struct_size--;
    CHECK_ERR(rmap_host_create(&o, &out), RMAP_ERR_STRUCT_SIZE);
    o = good, o.window_pages = 0;
    CHECK_ERR(rmap_host_create(&o, &out), RMAP_ERR_RANGE);
    o.window_pages = (1u << 27) + 1;
    CHECK_ERR(rmap_host_create(&o, &out), RMAP_ERR_RANGE);
    o = good, o.vma_limit = 15;
    CHECK_ERR(rmap_host_create(&o, &out), RMAP_ERR_RANGE);
    struct rmap_allocator bad = w.alloc.a;
    bad.struct_size++;
    o = good, o.alloc = &bad;
    CHECK_ERR(rmap_host_create(&o, &out), RMAP_ERR_STRUCT_SIZE);
    CHECK_EQ(out, (void *)&w);

    struct rmap_mmu mmu = {0};
    struct rmap_mmu_client client = {NULL, NULL};
    CHECK_ERR(w.provider.create(w.host, &client, &mmu), RMAP_ERR_NULL_ARG);
    CHECK_ERR(w.provider.create(w.host, NULL, &mmu), RMAP_ERR_NULL_ARG);
    client.fault = resolve;
    CHECK_ERR(w.provider.create(NULL, &client, &mmu), RMAP_ERR_NULL_ARG);
    CHECK_ERR(w.provider.create(w.host, &client, NULL), RMAP_ERR_NULL_ARG);
    w.provider.destroy(w.host, &mmu);
    w.provider.destroy(w.host, NULL);
    CHECK_EQ(rmap_host_base(&mmu), NULL);
    CHECK_EQ(rmap_host_base(NULL), NULL);
    CHECK_ERR(rmap_host_get_stats(NULL, &(struct rmap_host_stats){0}), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_host_get_stats(w.host, NULL), RMAP_ERR_NULL_ARG);
    world_fini(&w);
}

RMAP_TEST(host_life, the_default_limit_is_half_of_the_systems)
{
    unsigned long long most = 65530;
    FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
    if (f) {
        CHECK_EQ(fscanf(f, "%llu", &most), 1);
        fclose(f);
    }
    world_init(&w, 16, 12, 16, 0);
    CHECK_EQ(stats_of(&w).vma_limit, most / 2);
    world_fini(&w);
}

/* Windows of 1 page, of a page more than a run, and of all that is allowed: 2^27 pages, three levels of tables. */
RMAP_TEST(host_life, windows_of_every_size)
{
    const uint64_t sizes[] = {1, 2, 512, 513, 1u << 18, (1u << 18) + 1, 1u << 27};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        world_init(&w, 64, 12, sizes[i], 40);
        struct space *s = space_open(&w);
        CHECK_EQ(s->mmu.pages, sizes[i]);
        map(s, 0, 5, 1, RW);
        CHECK_EQ(faults_of_store(&w, s, 0), 1);
        map(s, sizes[i] - 1, 9, 1, RW);
        flush(s, sizes[i] - 1, 1, RMAP_FLUSH_ALL);
        CHECK_EQ(faults_of_store(&w, s, sizes[i] - 1), 1);
        CHECK(stats_of(&w).table_bytes > 0);
        CHECK_EQ(stats_of(&w).vmas, kernel_vmas(&w));
        world_fini(&w);
    }
}

/* 16 KiB pages on a machine of 4 KiB: page 3 is bytes 48 Ki to 64 Ki. */
RMAP_TEST(host_life, pages_larger_than_the_systems)
{
    world_init(&w, 64, 14, 600, 40);
    struct space *s = space_open(&w);
    CHECK_EQ(s->mmu.ops->format->page_shift, 14);
    CHECK_OK(rmap_pte_format_check(s->mmu.ops->format));
    map(s, 3, 7, 2, RW);
    map(s, 599, 1, 1, RW);
    CHECK_EQ(faults_of_store(&w, s, 3), 1);
    CHECK_EQ(faults_of_store(&w, s, 4), 0);
    CHECK_EQ(faults_of_load(&w, s, 599), 1);
    CHECK_EQ(load(&w, s, 5, NULL), RMAP_ERR_ABSENT);
    CHECK_EQ(stats_of(&w).vmas, kernel_vmas(&w));
    world_fini(&w);
}

RMAP_TEST(host_life, its_operations_promise_what_it_keeps)
{
    struct space *s = small_world();
    const struct rmap_mmu_ops *ops = s->mmu.ops;
    CHECK_EQ(ops->struct_size, sizeof *ops);
    CHECK_STR(ops->name, "host");
    CHECK_EQ(ops->caps, RMAP_MMU_ACCESSED_EXACT | RMAP_MMU_ACCESSED_NEEDS_FLUSH);
    CHECK(ops->flush && ops->update);
    /* trim gives back the tables of what is empty */
    map(s, 0, 0, 1, RW);
    map(s, 1024, 1, 1, RW);
    size_t both = ops->table_bytes(s->mmu.ctx);
    entry_set(s, 1024, 0);
    ops->trim(s->mmu.ctx, 1024, 1536);
    CHECK_EQ(ops->table_bytes(s->mmu.ctx), both - 4096);
    CHECK_EQ(stats_of(&w).table_bytes, both - 4096);
    world_fini(&w);
}
