/* SPDX-License-Identifier: MIT */
/** @file unit/test_radix_peek.c  Radix tables looked into without a lock, many spaces at once: what run_find would have found. */
#include "support/other_thread.h"
#include "support/prng.h"
#include "unit/radix_world.h"

/* Spaces of one config, with tables at places that are near to each other, far, and at both ends. */
struct crowd {
    struct world w; /* its own MMU is not used: another config */
    struct rmap_mmu_provider provider;
    struct rmap_mmu mmu[RMAP_PEEK_MAX];
    struct prng prng;
};

static rmap_vpn_t place(struct crowd *c)
{
    const uint64_t pages = c->w.mmu.pages, leaf = c->w.leaf;
    const rmap_vpn_t base[] = {0, leaf, 3 * leaf, pages / 2, pages - 2 * leaf, pages - leaf};
    return (base[prng_below(&c->prng, 6)] + prng_below(&c->prng, 2 * leaf)) % pages;
}

static void crowd_init(struct crowd *c, const struct rmap_radix_geometry *g, bool in_guest, uint64_t seed)
{
    world_init(&c->w, g, in_guest);
    prng_init(&c->prng, seed);
    CHECK_OK(rmap_radix_provider_init(&c->w.options, &c->provider));
    for (unsigned i = 0; i < RMAP_PEEK_MAX; i++) {
        CHECK_OK(c->provider.create(c->provider.ctx, NULL, &c->mmu[i]));
        for (unsigned n = prng_below(&c->prng, 5); n--;) { /* some have none */
            const rmap_vpn_t vpn = place(c);
            set_entry(&c->mmu[i], vpn, entry_of(&c->mmu[i], 1 + i));
        }
    }
}

static void crowd_fini(struct crowd *c)
{
    for (unsigned i = 0; i < RMAP_PEEK_MAX; i++) {
        struct rmap_mmu_run run;
        for (rmap_vpn_t at = 0; !find(&c->mmu[i], at, c->mmu[i].pages, &run); at = run.first + run.count) {
            for (uint32_t s = 0; s < run.count; s++)
                if (rmap_run_get(&c->mmu[i], &run, s)) rmap_run_exchange(&c->mmu[i], &run, s, 0);
            unlock(&c->mmu[i], &run);
        }
        c->provider.destroy(c->provider.ctx, &c->mmu[i]);
    }
    rmap_radix_provider_fini(&c->provider);
    world_fini(&c->w);
}

static void check_peek(struct crowd *c, unsigned n, rmap_vpn_t vpn, rmap_vpn_t end)
{
    const unsigned from = (unsigned)prng_below(&c->prng, RMAP_PEEK_MAX + 1 - n);
    struct rmap_mmu_run seen[RMAP_PEEK_MAX], run;
    void *ctx[RMAP_PEEK_MAX];
    memset(seen, 0xdb, sizeof seen);
    for (unsigned i = 0; i < n; i++) ctx[i] = c->mmu[from + i].ctx;
    c->mmu[0].ops->run_peek(ctx, n, vpn, end, seen);
    for (unsigned i = 0; i < n; i++) {
        const struct rmap_mmu *m = &c->mmu[from + i];
        if (find(m, vpn, end, &run)) {
            CHECK_EQ(seen[i].count, 0);
            continue;
        }
        CHECK_EQ(seen[i].first, run.first);
        CHECK_EQ(seen[i].count, run.count);
        CHECK(seen[i].slots == run.slots);
        unlock(m, &run);
        m->ops->run_lock(m->ctx, &seen[i]); /* and it is the lock of this run: it can be given back, and is had again */
        AS_ANOTHER_THREAD(CHECK(rmap_run_get(m, &seen[i], 0) == rmap_run_peek(&seen[i], 0)));
        unlock(m, &seen[i]);
    }
}

RMAP_TEST(radix_peek, many_spaces_at_once_show_what_each_alone_would_lock)
{
    static const unsigned sizes[] = {1, 2, 5, RMAP_PEEK_MAX};
    for (unsigned n = 0; n < 2 * GEOMETRIES; n++) {
        struct crowd c;
        crowd_init(&c, geometries[n / 2], n % 2, n + 1);
        for (unsigned round = 0; round < 200; round++) {
            const rmap_vpn_t vpn = place(&c), pages = c.w.mmu.pages;
            const uint64_t lengths[] = {1, 1, 2, c.w.run, c.w.leaf + 1, 4 * c.w.leaf, pages, 0};
            /* An empty range finds nothing; one that goes behind the end, what is before it. */
            check_peek(&c, sizes[round % 4], vpn, vpn + lengths[prng_below(&c.prng, 8)]);
        }
        for (unsigned i = 0; i < 4; i++) {
            check_peek(&c, sizes[i], 0, c.w.mmu.pages);
            check_peek(&c, sizes[i], c.w.mmu.pages - 1, c.w.mmu.pages);
            check_peek(&c, sizes[i], c.w.mmu.pages, c.w.mmu.pages + 1);
            check_peek(&c, sizes[i], RMAP_VPN_MAX, RMAP_VPN_MAX + 1);
        }
        crowd_fini(&c);
    }
}

/* A huge entry above page 3 leaf tables up: count 0, where it begins and where it comes first */
RMAP_TEST(radix_peek, a_huge_entry_is_nothing_to_look_into)
{
    static const struct {
        const struct rmap_radix_geometry *g;
        uint64_t entry;
    } blocks[] = {{&rmap_radix_x86_64, 0x00000000002000e7},
                  {&rmap_radix_sv39, 0x00000000000800d3},
                  {&rmap_radix_aarch64_4k, 0x0060000000200f41},
                  {&rmap_radix_soft, 0x0000000000200083},
                  {&odd, 0x0000000000200083}};
    for (unsigned b = 0; b < sizeof blocks / sizeof *blocks; b++) {
        for (unsigned level = 1; level < blocks[b].g->levels; level++) {
            struct world w;
            world_init(&w, blocks[b].g, b % 2);
            const rmap_vpn_t vpn = w.leaf * 3;
            struct rmap_mmu_run seen[2];
            void *ctx[2] = {w.mmu.ctx, w.mmu.ctx};
            set_entry(&w.mmu, vpn, entry_of(&w.mmu, 1));
            set_entry(&w.mmu, vpn, 0);
            uint64_t *word = upper_entry(&w, level, vpn);
            const uint64_t table = *word;
            *word = blocks[b].entry;
            const rmap_vpn_t from[] = {vpn, vpn - 1};
            for (unsigned i = 0; i < 2; i++) {
                memset(seen, 0xdb, sizeof seen);
                w.mmu.ops->run_peek(ctx, 2, from[i], vpn + 1, seen);
                CHECK_EQ(seen[0].count, 0);
                CHECK_EQ(seen[1].count, 0);
            }
            *word = table;
            world_fini(&w);
        }
    }
}
