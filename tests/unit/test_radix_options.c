/* SPDX-License-Identifier: MIT */
/** @file unit/test_radix_options.c  Making radix MMUs: what is refused, and a provider of them. */
#include "unit/radix_world.h"

/* The geometry of x86-64, with one thing wrong at a time. */
static bool spoil(struct rmap_radix_geometry *g, struct rmap_pte_format *f, unsigned how)
{
    switch (how) {
    case 0: g->format = NULL; return true;
    case 1: f->fixed = 1; return true;                   /* the format is not consistent */
    case 2: g->levels = 0; return true;
    case 3: g->levels = 6; return true;
    case 4: g->bits[2] = 0; return true;
    case 5: g->bits[3] = 16; return true;
    case 6: g->bits[1] = g->bits[2] = 15, g->bits[3] = 14; return true; /* 53 bits */
    case 7: g->table_present |= 1 << 8; return true;     /* outside its mask */
    case 8: g->table_present = 6; return true;           /* such a table would be absent */
    case 9: g->table_mask |= 1 << 12; return true;       /* in the frame */
    case 10: g->lock_bit = 0; return true;
    case 11: g->lock_bit = 1 << 12; return true;
    case 12: g->lock_bit = 1 << 7; return true;          /* in the mask */
    case 13: g->bits[0] = 10; return true;               /* two runs, one lock bit */
    default: return false;
    }
}

/* H5, H1 */
RMAP_TEST(radix_options, create_refuses_bad_options_and_geometries)
{
    struct world w;
    world_prepare(&w, &rmap_radix_x86_64, false);
    struct rmap_mmu m = {.pages = 77};
    struct rmap_mmu_provider p = {.ctx = &w};
    struct rmap_radix_options o;

#define REFUSED(change, error)                                \
    do {                                                      \
        o = w.options;                                        \
        change;                                               \
        CHECK_ERR(rmap_radix_create(&o, &m), error);          \
        CHECK_ERR(rmap_radix_provider_init(&o, &p), error);   \
    } while (0)
    struct rmap_allocator a = w.alloc.a;
    struct rmap_radix_table_ops t = guest_ops;
    REFUSED(o.struct_size--, RMAP_ERR_STRUCT_SIZE);
    REFUSED(o.struct_size = 0, RMAP_ERR_STRUCT_SIZE);
    REFUSED(o.geometry = NULL, RMAP_ERR_NULL_ARG);
    REFUSED(o.caps = 1 << 30, RMAP_ERR_INVALID);
    REFUSED((a.struct_size++, o.alloc = &a), RMAP_ERR_STRUCT_SIZE);
    a = w.alloc.a;
    REFUSED((a.free = NULL, o.alloc = &a), RMAP_ERR_NULL_ARG);
    REFUSED((t.struct_size++, o.tables = &t), RMAP_ERR_STRUCT_SIZE);
    t = guest_ops;
    REFUSED((t.to_ptr = NULL, o.tables = &t), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_radix_create(NULL, &m), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_radix_create(&w.options, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_radix_provider_init(NULL, &p), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_radix_provider_init(&w.options, NULL), RMAP_ERR_NULL_ARG);

    struct rmap_pte_format f = rmap_pte_format_x86_64;
    struct rmap_radix_geometry g = rmap_radix_x86_64;
    for (unsigned how = 0; g.format = &f, spoil(&g, &f, how); how++) {
        o = w.options;
        o.geometry = &g;
        int error = rmap_radix_create(&o, &m);
        if (error != RMAP_ERR_INVALID) TEST_FAIL("case %u: %s", how, rmap_error_name(error));
        f = rmap_pte_format_x86_64;
        g = rmap_radix_x86_64;
    }
    CHECK_EQ(m.pages, 77); /* untouched by all this */
    CHECK_EQ(p.ctx, &w);
    CHECK_EQ(w.alloc.live_blocks, 0);

    /* What is not a radix MMU is not taken for one (H2). */
    struct rmap_mmu_ops other = {.struct_size = sizeof other};
    m = (struct rmap_mmu){.ops = &other, .ctx = &w, .pages = 1};
    CHECK_EQ(rmap_radix_root(&m), 0);
    CHECK_EQ(rmap_radix_peek(&m, 0), 0);
    rmap_radix_destroy(&m);
    CHECK_EQ(m.ctx, &w);
    rmap_radix_destroy(NULL);
}

RMAP_TEST(radix_options, provider_gives_each_space_tables_of_its_own_and_may_go_first)
{
    struct world w;
    world_prepare(&w, &rmap_radix_sv39, false);
    struct rmap_mmu_provider p;
    CHECK_OK(rmap_radix_provider_init(&w.options, &p));
    CHECK_EQ(p.struct_size, sizeof p);
    memset(&w.options, 0xee, sizeof w.options); /* it was copied */
    struct rmap_mmu a, b;
    CHECK_OK(p.create(p.ctx, NULL, &a));
    CHECK_OK(p.create(p.ctx, NULL, &b));
    CHECK(a.ops == b.ops);
    CHECK(a.ctx != b.ctx);
    set_entry(&a, 5, entry_of(&a, 1));
    CHECK_EQ(rmap_radix_peek(&b, 5), 0);
    CHECK(rmap_radix_root(&a) != rmap_radix_root(&b));

    const size_t blocks = w.alloc.live_blocks;
    for (unsigned n = 1; n <= 2; n++) { /* A6: no memory for the object, for the root */
        struct rmap_mmu c;
        w.alloc.fail_at = w.alloc.calls + n;
        CHECK_ERR(p.create(p.ctx, NULL, &c), RMAP_ERR_NOMEM);
        CHECK_EQ(w.alloc.live_blocks, blocks);
    }
    p.destroy(p.ctx, &a);
    rmap_radix_provider_fini(&p);
    rmap_radix_provider_fini(&p);
    rmap_radix_provider_fini(NULL);
    set_entry(&b, 5, entry_of(&b, 2)); /* still whole */
    rmap_radix_destroy(&b);
    CHECK_EQ(w.alloc.live_blocks, 0);
}
