/* SPDX-License-Identifier: MIT */
/** @file unit/test_core_formats.c  One life of a page in each supplied format: the core and the entry encodings together (D7, D10). */
#include "support/world.h"

#define ATTR(a) (1u << RMAP_ATTR_##a)

/* Everything that is there at vpn: kind and attributes. */
static void check_entry(struct world_space *s, rmap_vpn_t vpn, enum rmap_pte_kind kind, unsigned attrs)
{
    CHECK_EQ(world_kind(s, vpn), kind);
    CHECK_EQ(rmap_pte_attrs(s->mmu.ops->format, world_entry(s, vpn)), attrs);
}

/*
 * `top` is the space's last page, 3 another, `to` the page before a border of tables.
 * written → forked → copied → no access → locked → moved → unmapped → moved on swap → swapped in → zapped
 */
static void life(const struct rmap_radix_geometry *geometry, bool no_slots)
{
    struct world w;
    world_init(&w, &(struct world_options){.geometry = geometry, .no_slots = no_slots});
    struct world_space *p = world_space(&w);
    const struct rmap_pte_format *f = geometry->format;
    const rmap_vpn_t top = p->mmu.pages - 1, to = ((rmap_vpn_t)1 << geometry->bits[0]) - 1;
    const unsigned soft_dirty = f->attr[RMAP_ATTR_SOFT_DIRTY].mask ? ATTR(SOFT_DIRTY) : 0;
    const unsigned used = ATTR(ACCESSED) | ATTR(DIRTY) | soft_dirty;
    CHECK(f->attr[RMAP_ATTR_LOCKED].mask); /* S7 asks for it in every format */

    world_write(p, top, 1);
    world_write(p, 3, 2);
    check_entry(p, top, RMAP_PTE_PRESENT, used | ATTR(WRITE));
    CHECK_EQ(rmap_page_index(world_page(p, top)), top);

    struct world_space *c = world_fork(p);
    check_entry(p, top, RMAP_PTE_PRESENT, used);
    check_entry(c, top, RMAP_PTE_PRESENT, ATTR(ACCESSED) | soft_dirty);
    world_write(c, top, 9);
    check_entry(c, top, RMAP_PTE_PRESENT, used | ATTR(WRITE));
    CHECK_EQ(world_read(p, top), 1);

    CHECK_OK(rmap_protect(&p->m, top, 1, RMAP_PROTECT_NO_ACCESS | RMAP_PROTECT_LOCK));
    check_entry(p, top, RMAP_PTE_NO_ACCESS, used | ATTR(LOCKED));
    CHECK_EQ(world_mappers(&w, world_page(p, top)), 1); /* D10: it still is a mapping of that frame */
    world_check(&w);

    CHECK_EQ(world_move(p, top, to, 1).reindexed, 1);
    check_entry(p, to, RMAP_PTE_NO_ACCESS, used | ATTR(LOCKED));
    CHECK_EQ(world_entry(p, top), 0);
    CHECK_OK(rmap_protect(&p->m, to, 1, RMAP_PROTECT_ACCESS));
    check_entry(p, to, RMAP_PTE_PRESENT, used | ATTR(LOCKED));
    CHECK_EQ(world_read(p, to), 1);

    CHECK_EQ(world_unmap(&w, world_page(p, to), RMAP_IGNORE_LOCKED).outcome, RMAP_DONE);
    check_entry(p, to, RMAP_PTE_SWAP, soft_dirty | ATTR(LOCKED)); /* D7: software bits survive on swap */
    CHECK_EQ(world_move(p, to, to + 1, 1).swap_moved, 1);
    check_entry(p, to + 1, RMAP_PTE_SWAP, soft_dirty | ATTR(LOCKED));
    CHECK_EQ(world_read(p, to + 1), 1);
    check_entry(p, to + 1, RMAP_PTE_PRESENT, soft_dirty | ATTR(LOCKED) | ATTR(ACCESSED));
    world_check(&w);

    CHECK_EQ(world_move(p, 3, 70, 1).copied, 1); /* shared with the child: S9 */
    check_entry(p, 70, RMAP_PTE_PRESENT, ATTR(ACCESSED) | soft_dirty);
    CHECK_EQ(world_read(p, 70), 2);
    CHECK_EQ(world_read(c, 3), 2);
    CHECK_EQ(world_referenced(&w, world_page(c, 3)).young, 1);
    check_entry(c, 3, RMAP_PTE_PRESENT, soft_dirty);
    CHECK_EQ(world_protect(&w, world_page(c, top)).dirty, 1);
    check_entry(c, top, RMAP_PTE_PRESENT, ATTR(ACCESSED) | soft_dirty);
    world_write(c, top, 10);
    CHECK_EQ(world_read(c, top), 10);

    struct rmap_zapped z;
    CHECK_OK(rmap_zap(&p->m, 0, p->mmu.pages, &z));
    CHECK_EQ(z.mappings, 2);
    CHECK_EQ(p->m.mapped + p->m.swapped, 0);
    world_check(&w);
    world_fini(&w);
}

RMAP_TEST(core_formats, radix_x86_64) { life(&rmap_radix_x86_64, false); }
RMAP_TEST(core_formats, radix_sv39) { life(&rmap_radix_sv39, false); }
RMAP_TEST(core_formats, radix_sv48) { life(&rmap_radix_sv48, false); }
RMAP_TEST(core_formats, radix_aarch64_4k) { life(&rmap_radix_aarch64_4k, false); }
RMAP_TEST(core_formats, radix_aarch64_16k) { life(&rmap_radix_aarch64_16k, false); }
RMAP_TEST(core_formats, radix_aarch64_64k) { life(&rmap_radix_aarch64_64k, false); }
RMAP_TEST(core_formats, radix_soft) { life(&rmap_radix_soft, false); }

/* An MMU whose entries are not in memory: get, set and exchange alone */
RMAP_TEST(core_formats, entries_behind_functions) { life(&rmap_radix_soft, true); }
