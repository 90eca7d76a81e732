/* SPDX-License-Identifier: MIT */
/**
 * @file unit/tiny_space.h  Spaces of 16 pages with their entries in the space itself: tens of thousands fit.
 *
 * No TLB, no tables to make, one run a space. Frames and instance are those of a struct world; the world does not know
 * these spaces, so they leave before world_fini().
 */
#ifndef RMAP_TESTS_UNIT_TINY_SPACE_H
#define RMAP_TESTS_UNIT_TINY_SPACE_H

#include "support/flat_mmu.h"
#include "support/world.h"

#define TINY_PAGES 16

struct tiny {
    struct rmap_member m;
    struct flat_table table;
    RMAP_ATOMIC(rmap_pte_t) slots[TINY_PAGES];
};

static struct rmap_mmu tiny_mmu(struct tiny *t)
{
    t->table = (struct flat_table){.pages = TINY_PAGES, .slots = t->slots};
    return flat_mmu(&t->table);
}

/* `t` zeroed, also below. */
static void tiny_init(struct world *w, struct tiny *t)
{
    struct rmap_mmu mmu = tiny_mmu(t);
    CHECK_OK(rmap_member_init(w->r, &t->m, &mmu));
}

static int tiny_fork_try(struct tiny *parent, struct tiny *child)
{
    struct rmap_mmu mmu = tiny_mmu(child);
    struct rmap_fork f;
    CHECK_OK(rmap_fork_begin(&parent->m, &child->m, &mmu, &f));
    int err = rmap_fork_copy(&f, 0, TINY_PAGES, RMAP_FORK_COW);
    if (err)
        rmap_fork_abort(&f);
    else
        rmap_fork_commit(&f);
    return err;
}
static void tiny_fork(struct tiny *parent, struct tiny *child)
{
    CHECK_OK(tiny_fork_try(parent, child));
}

/* A new page instead of what is there. */
static struct rmap_page *tiny_write(struct tiny *t, rmap_vpn_t vpn)
{
    struct rmap *r = t->m.r;
    struct rmap_page *page;
    CHECK_OK(rmap_zap(&t->m, vpn, 1, NULL));
    CHECK_OK(rmap_page_alloc(r, RMAP_PFN_NONE, &page));
    CHECK_OK(rmap_page_map_new(&t->m, page, vpn));
    t->slots[vpn] = rmap_pte_make(rmap_radix_soft.format, rmap_page_pfn(r, page), 1u << RMAP_ATTR_WRITE);
    rmap_page_put(r, page);
    return page;
}

static void tiny_zap(struct tiny *t, rmap_vpn_t vpn)
{
    CHECK_OK(rmap_zap(&t->m, vpn, 1, NULL));
}

static void tiny_exit(struct tiny *t)
{
    CHECK_OK(rmap_zap(&t->m, 0, TINY_PAGES, NULL));
    CHECK_OK(rmap_member_leave(&t->m));
}

#endif
