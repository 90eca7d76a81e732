/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_host_limit.c  The host MMU's budget of VMAs: counted as the kernel counts, kept, and never in the
 * way of progress. Random sequences are held against the entries and against /proc/self/maps.
 */
#include "host_world.h"
#include "support/prng.h"

#include <pthread.h>

static struct world w;

/* ---- random operations ---- */

struct random_case {
    unsigned windows;
    uint64_t window_pages, limit;
    unsigned steps;
    bool starve; /* no memory for records beyond those that the windows brought along */
};

#define FRAMES 1024
static struct prng dice;
static unsigned dice_roll(uint64_t n)
{
    return (unsigned)prng_below(&dice, n);
}

static struct space *any_space(const struct random_case *c)
{
    return &w.space[dice_roll(c->windows)];
}

static rmap_pte_t with(struct space *s, rmap_pte_t e, enum rmap_pte_attr a, bool value)
{
    return rmap_pte_present(s->mmu.ops->format, e) ? rmap_pte_set(s->mmu.ops->format, e, a, value) : e;
}

/* Up to 6 ranges of up to 40 pages, ascending; each entry in them is changed, then they are flushed in one call. */
static void change_ranges(const struct random_case *c)
{
    static const unsigned attrs[] = {FRESH, RO, CLEAN, RW, RW, RW};
    struct space *s = any_space(c);
    struct rmap_flush_range ranges[6];
    unsigned n = 0, what = dice_roll(5);
    for (rmap_vpn_t at = dice_roll(c->window_pages); n < 6 && at < c->window_pages; n++) {
        uint64_t count = 1 + dice_roll(40);
        if (count > c->window_pages - at) count = c->window_pages - at;
        rmap_pfn_t pfn = dice_roll(FRAMES - 40);
        unsigned a = attrs[dice_roll(6)];
        for (uint64_t i = 0; i < count; i++) {
            rmap_pte_t e = entry_get(s, at + i);
            if (what == 0)
                e = 0;
            else if (what == 1)
                e = with(s, e, RMAP_ATTR_ACCESSED, false);
            else if (what == 2)
                e = with(s, e, RMAP_ATTR_WRITE, false);
            else if (what == 3)
                e = with(s, e, RMAP_ATTR_DIRTY, false);
            else
                e = rmap_pte_make(s->mmu.ops->format, pfn + i, a);
            entry_set(s, at + i, e);
        }
        ranges[n] = (struct rmap_flush_range){at, count, what == 2 || what == 3 ? RMAP_FLUSH_WRITE : RMAP_FLUSH_ALL};
        at += count + dice_roll(2) * dice_roll(60);
        if (dice_roll(3) == 0) {
            n++;
            break;
        }
    }
    s->mmu.ops->flush(s->mmu.ctx, ranges, n);
}

static void access_some(const struct random_case *c)
{
    struct space *s = any_space(c);
    const struct rmap_pte_format *f = s->mmu.ops->format;
    unsigned count = dice_roll(4) ? 1 : 60;
    bool write = dice_roll(3) == 0;
    for (rmap_vpn_t page = dice_roll(c->window_pages); count-- > 0 && page < c->window_pages; page++) {
        rmap_pte_t e = entry_get(s, page);
        if (!rmap_pte_present(f, e)) {
            CHECK_EQ(load(&w, s, page, NULL), RMAP_ERR_ABSENT);
        } else if (!write) {
            CHECK_EQ(load(&w, s, page, NULL), rmap_pte_pfn(f, e));
        } else if (!rmap_pte_get(f, e, RMAP_ATTR_WRITE)) {
            CHECK_ERR(store(&w, s, page, 1, NULL), RMAP_ERR_ACCESS);
        } else {
            uint64_t word = prng_next(&dice);
            CHECK_OK(store(&w, s, page, word, NULL));
            CHECK_EQ(stored(&w, rmap_pte_pfn(f, e)), word);
            CHECK(rmap_pte_get(f, entry_get(s, page), RMAP_ATTR_DIRTY)); /* no store goes unseen */
        }
    }
}

static void replace_space(const struct random_case *c)
{
    struct space *s = any_space(c);
    space_close(&w, s);
    CHECK(space_open(&w) == s);
}

static void random_run(const struct random_case *c)
{
    prng_init(&dice, prng_seed_of_run(20040313));
    world_init(&w, FRAMES, 12, c->window_pages, c->limit);
    for (unsigned i = 0; i < c->windows; i++) space_open(&w);
    if (c->starve) w.alloc.fail_at = w.alloc.calls + 1, w.alloc.fail_forever = true;
    for (unsigned step = 0; step < c->steps; step++) {
        switch (dice_roll(16)) {
        case 0:
        case 1:
        case 2:
        case 3:
        case 4:
            change_ranges(c);
            break;
        case 5:
            if (dice_roll(50) == 0) rmap_host_drop_all(w.host);
            break;
        case 6:
            if (!c->starve && dice_roll(10) == 0) replace_space(c);
            break;
        default:
            access_some(c);
        }
        struct rmap_host_stats stats = stats_of(&w);
        CHECK_LE(stats.vmas, stats.vmas_peak);
        CHECK_LE(stats.vmas_peak, c->limit);
        if (step % 16 == 0 || step < 200) CHECK_EQ(stats.vmas, kernel_vmas(&w));
    }
    CHECK_EQ(stats_of(&w).vmas, kernel_vmas(&w));
    if (c->limit < 100 || c->starve) CHECK(stats_of(&w).drops > 0);
    if (c->starve) CHECK(w.alloc.failed > 0);
    world_fini(&w);
}

RMAP_TEST(host_limit, random_sequences_match_the_kernel)
{
    random_run(&(struct random_case){.windows = 1, .window_pages = 1024, .limit = 5000, .steps = 6000});
}
RMAP_TEST(host_limit, random_sequences_within_40_vmas)
{
    random_run(&(struct random_case){.windows = 1, .window_pages = 1024, .limit = 40, .steps = 6000});
}
RMAP_TEST(host_limit, random_sequences_of_64_windows_within_500_vmas)
{
    random_run(&(struct random_case){.windows = 64, .window_pages = 600, .limit = 500, .steps = 20000});
}
RMAP_TEST(host_limit, random_sequences_with_hardly_more_vmas_than_windows)
{
    random_run(&(struct random_case){.windows = 20, .window_pages = 600, .limit = 36, .steps = 4000});
}
RMAP_TEST(host_limit, random_sequences_without_memory_for_records)
{
    random_run(&(struct random_case){.windows = 3, .window_pages = 512, .limit = 5000, .steps = 4000, .starve = true});
    random_run(&(struct random_case){.windows = 1, .window_pages = 512, .limit = 5000, .steps = 4000, .starve = true});
}

/* ---- the edges ---- */

/* 64 windows with 10 separate pages each would take 64 + 2 * 640 VMAs; there are 500. */
RMAP_TEST(host_limit, many_windows_share_few_vmas)
{
    world_init(&w, FRAMES, 12, 64, 500);
    for (unsigned i = 0; i < 64; i++) {
        struct space *s = space_open(&w);
        for (unsigned page = 0; page < 10; page++) map(s, 3 * page, i * 10 + page, 1, RW);
    }
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 640; i++) CHECK_EQ(load(&w, &w.space[i % 64], i / 64 * 3, NULL), i % 64 * 10 + i / 64);
        CHECK_EQ(stats_of(&w).vmas, kernel_vmas(&w));
    }
    CHECK_LE(stats_of(&w).vmas_peak, 500);
    CHECK_LE(400, stats_of(&w).vmas);
    CHECK_LE(stats_of(&w).projections, 3 * 640); /* no page was dropped between its fault and its use */
    world_fini(&w);
}

/* Limit 16: eight windows of one VMA each, and eight VMAs to work with. */
RMAP_TEST(host_limit, a_window_too_many_is_refused_and_the_others_work)
{
    world_init(&w, 64, 12, 64, 16);
    for (unsigned i = 0; i < 8; i++) map(space_open(&w), i, i, 1, RW);
    struct rmap_mmu none = {0};
    size_t blocks = w.alloc.live_blocks;
    CHECK_ERR(w.provider.create(w.host, &(struct rmap_mmu_client){NULL, resolve}, &none), RMAP_ERR_NOMEM);
    CHECK_EQ(none.ops, NULL);
    CHECK_EQ(w.alloc.live_blocks, blocks);
    CHECK_EQ(stats_of(&w).windows, 8);
    for (unsigned round = 0; round < 50; round++)
        for (unsigned i = 0; i < 8; i++) CHECK_OK(store(&w, &w.space[i], i, round, NULL));
    CHECK_LE(stats_of(&w).vmas_peak, 16);
    CHECK_EQ(stats_of(&w).vmas, kernel_vmas(&w));
    space_close(&w, &w.space[3]);
    map(space_open(&w), 0, 5, 1, RW);
    CHECK_EQ(load(&w, &w.space[3], 0, NULL), 5);
    world_fini(&w);
}

/* A new window needs a VMA of its own: a full house of projections makes room. */
RMAP_TEST(host_limit, projections_make_room_for_a_window)
{
    world_init(&w, 2048, 12, 2048, 30);
    struct space *s = space_open(&w);
    for (unsigned page = 0; page < 40; page++) {
        map(s, page * 2, page, 1, RW);
        CHECK_EQ(faults_of_load(&w, s, page * 2), 1);
    }
    for (unsigned i = 0; i < 21; i++) space_open(&w);
    CHECK_EQ(stats_of(&w).windows, 22);
    CHECK_LE(stats_of(&w).vmas_peak, 30);
    CHECK_EQ(stats_of(&w).vmas, kernel_vmas(&w));
    world_fini(&w);
}

/* 200 separate pages, 40 VMAs: about 19 pages stay, in order of use, and each access needs at most one fault. */
RMAP_TEST(host_limit, the_clock_hand_drops_the_oldest_and_in_chunks)
{
    world_init(&w, 2048, 12, 2048, 40);
    struct space *s = space_open(&w);
    for (unsigned page = 0; page < 200; page++) map(s, page * 3, page, 1, RW);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned page = 0; page < 200; page++) CHECK_EQ(faults_of_load(&w, s, page * 3), 1);
    CHECK_LE(stats_of(&w).drops, 600);
    CHECK_LE(32, stats_of(&w).vmas);
    unsigned still = 0;
    for (unsigned page = 190; page < 200; page++) still += faults_of_load(&w, s, page * 3) == 0;
    CHECK_EQ(still, 10); /* what was used last has survived */
    world_fini(&w);
}

/* shown: 0-9, and 20, 22, … 32: all of 16 VMAs. Another would be needed to forget, or to protect, a part of 0-9. */
RMAP_TEST(host_limit, a_flush_at_the_limit_forgets_the_whole_run_and_no_more)
{
    const enum rmap_flush_kind kinds[] = {RMAP_FLUSH_ALL, RMAP_FLUSH_WRITE};
    for (unsigned k = 0; k < 2; k++) {
        world_init(&w, 64, 12, 64, 16);
        struct space *s = space_open(&w);
        map(s, 0, 0, 10, RW);
        CHECK_EQ(faults_of_load(&w, s, 0), 1);
        for (rmap_vpn_t page = 20; page <= 32; page += 2) {
            map(s, page, page, 1, RW);
            CHECK_EQ(faults_of_load(&w, s, page), 1);
        }
        CHECK_EQ(stats_of(&w).vmas, 16);
        flush(s, 5, 1, kinds[k]);
        CHECK_EQ(stats_of(&w).flush_calls, 1);
        CHECK_EQ(stats_of(&w).vmas, kernel_vmas(&w));
        for (rmap_vpn_t page = 20; page <= 32; page += 2) CHECK_EQ(faults_of_load(&w, s, page), 0);
        CHECK_EQ(faults_of_load(&w, s, 0), 1);
        world_fini(&w);
    }
}

/* Four records in all: 0-9 is shown in three parts, 20-29 in one. None is left for a part of 20-29. */
RMAP_TEST(host_limit, a_flush_without_a_record_forgets_the_whole_run)
{
    const enum rmap_flush_kind kinds[] = {RMAP_FLUSH_ALL, RMAP_FLUSH_WRITE};
    for (unsigned k = 0; k < 2; k++) {
        world_init(&w, 64, 12, 64, 100);
        struct space *s = space_open(&w);
        map(s, 0, 0, 10, CLEAN);
        map(s, 20, 20, 10, RW);
        w.alloc.fail_at = w.alloc.calls + 1, w.alloc.fail_forever = true;
        CHECK_EQ(faults_of_load(&w, s, 0), 1);
        CHECK_EQ(faults_of_load(&w, s, 20), 1);
        CHECK_EQ(faults_of_store(&w, s, 5), 1);
        flush(s, 25, 1, kinds[k]);
        CHECK_EQ(stats_of(&w).vmas, kernel_vmas(&w));
        CHECK_EQ(stats_of(&w).vmas, 4); /* 0-4 r, 5 rw, 6-9 r, gap */
        CHECK_EQ(faults_of_load(&w, s, 5) + faults_of_load(&w, s, 9), 0);
        CHECK_EQ(load(&w, s, 25, NULL), 25);
        world_fini(&w);
    }
}

#ifdef __x86_64__
/* One instruction that reads across pages 1|2 of one window and writes across pages 5|6 of another: four pages at
 * once, with the least that a host can have, and other windows' projections in the way. */
RMAP_TEST(host_limit, an_instruction_that_needs_four_pages_completes)
{
    world_init(&w, 64, 12, 64, 16);
    for (unsigned i = 0; i < 8; i++) map(space_open(&w), 30, i, 1, RW);
    struct space *from = &w.space[2], *to = &w.space[6];
    map(from, 1, 20, 1, RW);
    map(from, 2, 40, 1, RW);
    map(to, 5, 50, 1, RW);
    map(to, 6, 10, 1, RW);
    const char data[] = "ABCDEFGH";
    memcpy(w.mem.view + (20 << 12) + 4092, data, 4);
    memcpy(w.mem.view + (40 << 12), data + 4, 4);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 8; i++) CHECK_OK(store(&w, &w.space[i], 30, 1, NULL));
        const char *source = (char *)rmap_host_base(&from->mmu) + 2 * 4096 - 4;
        char *target = (char *)rmap_host_base(&to->mmu) + 6 * 4096 - 4;
        touch.host = w.host;
        touch.access = RMAP_READ | RMAP_WRITE; /* all four are writable */
        touch.error = 0;
        touch.faults = 0;
        if (sigsetjmp(touch.back, 1) == 0) __asm__ volatile("movsq" : "+S"(source), "+D"(target) : : "memory");
        touch.host = NULL;
        CHECK_OK(touch.error);
        CHECK_EQ(memcmp(w.mem.view + (50 << 12) + 4092, data, 4), 0);
        CHECK_EQ(memcmp(w.mem.view + (10 << 12), data + 4, 4), 0);
        memset(w.mem.view + (50 << 12) + 4092, 0, 4);
    }
    CHECK_LE(stats_of(&w).vmas_peak, 16);
    world_fini(&w);
}
#endif

/* ---- threads ---- */

#define THREADS 4
#define ROUNDS 3000

static void *toucher(void *arg)
{
    struct space *own = arg, *common = &w.space[THREADS];
    struct prng p;
    prng_init(&p, (uint64_t)(own - w.space));
    uintptr_t wrong = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        rmap_vpn_t page = prng_below(&p, 64);
        uint64_t word = prng_next(&p);
        wrong += store(&w, own, page, word, NULL) != 0;
        wrong += stored(&w, (rmap_pfn_t)(own - w.space) * 64 + page) != word;
        wrong += load(&w, common, page, NULL) != (int64_t)(512 + page * 2);
    }
    return (void *)wrong; /* no CHECK in a thread */
}

/* Four threads fault in windows of their own and in a common one, a fifth takes translations away; 24 VMAs for all. */
RMAP_TEST(host_limit, threads_fault_while_others_flush)
{
    world_init(&w, 1024, 12, 64, 24);
    pthread_t thread[THREADS];
    for (unsigned i = 0; i < THREADS; i++) map(space_open(&w), 0, i * 64, 64, RW);
    struct space *common = space_open(&w);
    for (unsigned page = 0; page < 64; page++) map(common, page, 512 + page * 2, 1, RO);
    for (unsigned i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&thread[i], NULL, toucher, &w.space[i]), 0);

    prng_init(&dice, 7);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned which = dice_roll(THREADS + 1);
        struct space *s = &w.space[which];
        rmap_vpn_t page = dice_roll(64);
        enum rmap_flush_kind kind = dice_roll(2) ? RMAP_FLUSH_ALL : RMAP_FLUSH_WRITE;
        rmap_pte_t e = entry_get(s, page);
        e = with(s, e, kind == RMAP_FLUSH_ALL ? RMAP_ATTR_ACCESSED : RMAP_ATTR_DIRTY, false);
        entry_set(s, page, e);
        flush(s, page, 1, kind);
        if (round % 500 == 0) rmap_host_drop_all(w.host);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        void *wrong;
        CHECK_EQ(pthread_join(thread[i], &wrong), 0);
        CHECK_EQ((uintptr_t)wrong, 0);
    }
    CHECK_LE(stats_of(&w).vmas_peak, 24);
    CHECK_EQ(stats_of(&w).vmas, kernel_vmas(&w));
    world_fini(&w);
}
