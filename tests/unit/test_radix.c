/* SPDX-License-Identifier: MIT */
/** @file unit/test_radix.c  Radix tables: runs found, made, locked, refused; in every geometry. */
#include "support/other_thread.h"
#include "unit/radix_world.h"

#include "support/prng.h"

RMAP_TEST(radix, geometries_cover_what_the_architectures_say)
{
    static const uint64_t pages[] = {UINT64_C(1) << 36, 1 << 27, UINT64_C(1) << 36, UINT64_C(1) << 36,
                                     UINT64_C(1) << 34, UINT64_C(1) << 32, 1 << 18, 1 << 16, 1 << 11,
                                     UINT64_C(1) << 45};
    static const size_t root_bytes[] = {4096, 4096, 4096, 4096, 64, 512, 4096, 64, 16384, 4096};
    EACH_WORLD(w) {
        unsigned n = (world_ - 1) / 2;
        CHECK_EQ(w.mmu.pages, pages[n]);
        CHECK_EQ(bytes_of(&w.mmu), root_bytes[n]);
        CHECK_EQ(rmap_radix_root(&w.mmu) % root_bytes[n], 0);
        CHECK_STR(w.mmu.ops->name, w.g->name);
        CHECK(w.mmu.ops->format == w.g->format);
        CHECK_EQ(w.mmu.ops->struct_size, sizeof(struct rmap_mmu_ops));
        CHECK_EQ(w.mmu.ops->caps, RMAP_MMU_NO_TLB);
    }
}

/* first and last page of the space */
RMAP_TEST(radix, first_and_last_page_have_runs_of_up_to_512_slots)
{
    EACH_WORLD(w) {
        const rmap_vpn_t last = w.mmu.pages - 1;
        set_entry(&w.mmu, 0, entry_of(&w.mmu, 7));
        set_entry(&w.mmu, last, entry_of(&w.mmu, 9));
        CHECK_EQ(rmap_radix_peek(&w.mmu, 0), entry_of(&w.mmu, 7));
        CHECK_EQ(rmap_radix_peek(&w.mmu, last), entry_of(&w.mmu, 9));
        CHECK_EQ(rmap_radix_peek(&w.mmu, 1), 0);
        CHECK_EQ(rmap_radix_peek(&w.mmu, last - 1), 0);
        CHECK_EQ(rmap_radix_peek(&w.mmu, last + 1), 0);

        struct rmap_mmu_run run;
        CHECK_OK(find(&w.mmu, last, last + 1, &run));
        CHECK_EQ(run.first, w.mmu.pages - w.run);
        CHECK_EQ(run.count, w.run);
        CHECK_EQ(rmap_run_get(&w.mmu, &run, run.count - 1), entry_of(&w.mmu, 9));
        unlock(&w.mmu, &run);
        CHECK_OK(find(&w.mmu, 0, 1, &run));
        CHECK_EQ(run.first, 0);
        CHECK_EQ(rmap_run_get(&w.mmu, &run, 0), entry_of(&w.mmu, 7));
        unlock(&w.mmu, &run);
    }
}

/* last page of one leaf table and first of the next: [leaf - 1] = 5, [leaf] = 6 */
RMAP_TEST(radix, neighbours_across_a_table_border_lie_in_two_runs)
{
    EACH_WORLD(w) {
        if (w.g->levels == 1) continue;
        set_entry(&w.mmu, w.leaf - 1, entry_of(&w.mmu, 5));
        set_entry(&w.mmu, w.leaf, entry_of(&w.mmu, 6));
        struct rmap_mmu_run a, b;
        CHECK_OK(find(&w.mmu, w.leaf - 1, w.leaf + 1, &a));
        AS_ANOTHER_THREAD(CHECK_OK(find(&w.mmu, w.leaf, w.leaf + 1, &b))); /* both held: each has a lock of its own */
        CHECK_EQ(a.first + a.count, w.leaf);
        CHECK_EQ(b.first, w.leaf);
        CHECK_EQ(rmap_run_get(&w.mmu, &a, a.count - 1), entry_of(&w.mmu, 5));
        CHECK_EQ(rmap_run_get(&w.mmu, &b, 0), entry_of(&w.mmu, 6));
        unlock(&w.mmu, &b);
        unlock(&w.mmu, &a);
    }
}

/* A move inside one large leaf table holds two of its runs: they must not share a lock. */
RMAP_TEST(radix, all_runs_of_one_leaf_table_can_be_held_together)
{
    EACH_WORLD(w) {
        struct rmap_mmu_run run[64];
        unsigned n = 0;
        for (rmap_vpn_t vpn = 0; vpn < w.leaf; vpn += w.run)
            AS_ANOTHER_THREAD(CHECK_OK(make(&w.mmu, vpn, &run[n++])));
        CHECK_EQ(n, w.leaf / w.run);
        while (n--) {
            CHECK_EQ(run[n].first, n * w.run);
            CHECK(run[n].slots == run[0].slots + n * w.run);
            unlock(&w.mmu, &run[n]);
        }
    }
}

RMAP_TEST(radix, find_skips_gaps_and_meets_exactly_the_runs_that_have_tables)
{
    struct prng p;
    prng_init(&p, 42);
    EACH_WORLD(w) {
        uint64_t tables[40]; /* numbers of leaf tables, ascending */
        const uint64_t all = w.mmu.pages / w.leaf;
        size_t n = 0;
        for (unsigned i = 0; i < 40; i++) {
            uint64_t t = i == 0 ? all - 1 : i < 10 ? i % all : prng_below(&p, all) >> prng_below(&p, 36);
            set_entry(&w.mmu, t * w.leaf + prng_below(&p, w.leaf), entry_of(&w.mmu, i + 1));
            size_t at = 0;
            while (at < n && tables[at] < t) at++;
            if (at < n && tables[at] == t) continue;
            memmove(&tables[at + 1], &tables[at], (n++ - at) * sizeof *tables);
            tables[at] = t;
        }
        rmap_vpn_t vpn = 0;
        struct rmap_mmu_run run;
        for (size_t i = 0; i < n; i++) {
            for (rmap_vpn_t want = tables[i] * w.leaf; want < (tables[i] + 1) * w.leaf; want += w.run) {
                CHECK_OK(find(&w.mmu, vpn, w.mmu.pages, &run));
                CHECK_EQ(run.first, want);
                CHECK_EQ(run.count, w.run);
                vpn = run.first + run.count;
                unlock(&w.mmu, &run);
            }
        }
        if (vpn < w.mmu.pages) CHECK_ERR(find(&w.mmu, vpn, w.mmu.pages, &run), RMAP_ERR_ABSENT);
    }
}

/* H1. a table at pages [leaf, 2 leaf), nothing else */
RMAP_TEST(radix, find_looks_no_farther_than_end_and_refuses_ranges_outside)
{
    EACH_WORLD(w) {
        struct rmap_mmu_run run;
        CHECK_ERR(find(&w.mmu, 5, 5, &run), RMAP_ERR_RANGE);
        CHECK_ERR(find(&w.mmu, 6, 5, &run), RMAP_ERR_RANGE);
        CHECK_ERR(find(&w.mmu, w.mmu.pages, w.mmu.pages + 1, &run), RMAP_ERR_RANGE);
        CHECK_ERR(find(&w.mmu, RMAP_VPN_NONE - 1, RMAP_VPN_NONE, &run), RMAP_ERR_RANGE);
        struct rmap_tables t = {{NULL}, 0};
        CHECK_ERR(w.mmu.ops->reserve(w.mmu.ctx, w.mmu.pages, &t), RMAP_ERR_RANGE);
        CHECK_ERR(w.mmu.ops->run_make(w.mmu.ctx, w.mmu.pages, &t, &run), RMAP_ERR_RANGE);
        if (w.g->levels == 1) continue; /* its only table is always there */

        CHECK_ERR(find(&w.mmu, 0, w.mmu.pages, &run), RMAP_ERR_ABSENT);
        set_entry(&w.mmu, w.leaf + 3, entry_of(&w.mmu, 1));
        CHECK_ERR(find(&w.mmu, 0, w.leaf, &run), RMAP_ERR_ABSENT);
        CHECK_ERR(find(&w.mmu, 2 * w.leaf, w.mmu.pages, &run), RMAP_ERR_ABSENT);
        CHECK_ERR(find(&w.mmu, 2 * w.leaf, RMAP_VPN_NONE, &run), RMAP_ERR_ABSENT); /* nor round the end of the space */
        CHECK_OK(find(&w.mmu, 0, w.leaf + 1, &run));
        CHECK_EQ(run.first, w.leaf); /* the whole run, though it crosses `end` */
        CHECK_EQ(run.count, w.run);
        unlock(&w.mmu, &run);
        CHECK_OK(find(&w.mmu, 2 * w.leaf - 1, RMAP_VPN_NONE, &run));
        CHECK_EQ(run.first, 2 * w.leaf - w.run);
        unlock(&w.mmu, &run);
    }
}

/* A bit of an upper entry that is neither ours nor the frame's: x86 and AArch64 (HAFT) hardware sets it on access. */
static uint64_t foreign_bit(const struct rmap_radix_geometry *g)
{
    if (g->format == &rmap_pte_format_riscv) return 1 << 9;
    return g->format->present_mask == 3 ? 1 << 10 : 1 << 5;
}

/* The lock is where the geometry says; what the hardware sets in the same word meanwhile survives. */
RMAP_TEST(radix, a_locked_run_shows_in_its_upper_entry_alone)
{
    EACH_WORLD(w) {
        if (w.g->levels == 1) continue;
        struct rmap_mmu_run run;
        const uint64_t accessed = foreign_bit(w.g);
        uint64_t rest = w.g->lock_bit;
        for (rmap_vpn_t vpn = w.leaf; vpn < 2 * w.leaf; vpn += w.run) {
            CHECK_OK(make(&w.mmu, vpn + 1, &run));
            uint64_t *word = upper_entry(&w, 1, vpn);
            uint64_t lowest = rest & (~rest + 1);
            CHECK_EQ(*word & w.g->lock_bit, lowest);
            CHECK_EQ(*word & w.g->table_mask, w.g->table_present);
            *word |= accessed;
            unlock(&w.mmu, &run);
            CHECK_EQ(*word & w.g->lock_bit, 0);
            CHECK(*word & accessed);
            *word &= ~accessed;
            rest &= ~lowest;
        }
    }
}

/* Not of our making, at each upper level, above page 3 leaf tables up. */
RMAP_TEST(radix, huge_entries_and_foreign_tables_are_refused)
{
    static const struct {
        const struct rmap_radix_geometry *g;
        uint64_t entry;
    } blocks[] = {
        {&rmap_radix_x86_64, 0x00000000002000e7},      /* PS */
        {&rmap_radix_x86_64, 0x0000000000201003},      /* a kernel's table: no U */
        {&la57, 0x00000000002000e7},
        {&rmap_radix_sv39, 0x00000000000800d3},        /* R */
        {&rmap_radix_sv39, 0x0000000000080059},        /* X alone */
        {&rmap_radix_sv48, 0x00000000000800d7},
        {&rmap_radix_aarch64_4k, 0x0060000000200f41},  /* 1:0 = 1 */
        {&rmap_radix_aarch64_16k, 0x0060000002000f41},
        {&rmap_radix_aarch64_64k, 0x0060000020000f41},
        {&rmap_radix_soft, 0x0000000000200083},
        {&odd, 0x0000000000200083},
    };
    for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++) {
        for (unsigned level = 1; level < blocks[b].g->levels; level++) {
            struct world w;
            world_init(&w, blocks[b].g, b % 2);
            const rmap_vpn_t vpn = w.leaf * 3;
            struct rmap_mmu_run run;
            /* The tables above it; the one below goes. */
            set_entry(&w.mmu, vpn, entry_of(&w.mmu, 1));
            set_entry(&w.mmu, vpn, 0);
            uint64_t *word = upper_entry(&w, level, vpn), table = *word;
            *word = blocks[b].entry;

            size_t before = bytes_of(&w.mmu);
            CHECK_ERR(find(&w.mmu, vpn, vpn + 1, &run), RMAP_ERR_BLOCK);
            CHECK_EQ(rmap_radix_peek(&w.mmu, vpn), 0);
            struct rmap_tables t = {{NULL}, 0};
            CHECK_OK(w.mmu.ops->reserve(w.mmu.ctx, vpn, &t));
            CHECK_EQ(t.count, 0);
            CHECK_ERR(w.mmu.ops->run_make(w.mmu.ctx, vpn, &t, &run), RMAP_ERR_BLOCK);
            w.mmu.ops->trim(w.mmu.ctx, 0, w.mmu.pages);
            uint64_t *still = upper_entry(&w, level, vpn);
            CHECK_EQ(still, word);
            CHECK_EQ(*word, blocks[b].entry);
            CHECK_EQ(bytes_of(&w.mmu), before);
            *word = table;
            world_fini(&w);
        }
    }
}
