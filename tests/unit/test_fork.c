/* SPDX-License-Identifier: MIT */
/** @file unit/test_fork.c  The fork transaction: begin, copy, commit; what a child inherits. */
#include "support/world.h"

#define LIVE(w) ((w)->alloc.live_blocks)
#define ATTR(a) (1u << RMAP_ATTR_##a)

/* Leave and free a child that was forked by hand. */
static void child_end(struct world_space *c)
{
    CHECK_OK(rmap_zap(&c->m, 0, c->mmu.pages, NULL));
    CHECK_OK(rmap_member_leave(&c->m));
    world_space_free(c);
}

/* ---- arguments ---- */

/* H1, H5 */
RMAP_TEST(fork, begin_refuses_bad_arguments_and_nothing_has_happened)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c = world_space_blank(&w);
    world_write(p, 7, 1);
    struct rmap_fork f = {.state = 99}, g;
    struct rmap_mmu mmu = c->mmu;
    struct rmap_mmu_ops ops = *mmu.ops;
    size_t live = LIVE(&w);
    mmu.ops = &ops;
    CHECK_ERR(rmap_fork_begin(NULL, &c->m, &mmu, &f), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_fork_begin(&p->m, NULL, &mmu, &f), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_fork_begin(&p->m, &c->m, NULL, &f), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_fork_begin(&p->m, &c->m, &mmu, NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_fork_begin(&p->m, &p->m, &mmu, &f), RMAP_ERR_INVALID); /* its own child */
    ops.struct_size--;
    CHECK_ERR(rmap_fork_begin(&p->m, &c->m, &mmu, &f), RMAP_ERR_STRUCT_SIZE);
    ops.struct_size++;
    ops.format = &rmap_pte_format_x86_64;
    CHECK_ERR(rmap_fork_begin(&p->m, &c->m, &mmu, &f), RMAP_ERR_INVALID);
    ops.format = &rmap_pte_format_soft;
    mmu.pages--;
    CHECK_ERR(rmap_fork_begin(&p->m, &c->m, &mmu, &f), RMAP_ERR_INVALID); /* smaller */
    mmu.pages++;
    CHECK_EQ(f.state, 99);
    CHECK(!c->m.node && c->m.user == c);
    CHECK_EQ(rmap_group_members(&p->m), 1);
    CHECK(world_attr(p, 7, RMAP_ATTR_WRITE));
    CHECK_EQ(LIVE(&w), live);
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &mmu, &f));
    CHECK(c->m.user == c && c->m.r == w.r);
    struct world_space *d = world_space_blank(&w);
    CHECK_ERR(rmap_fork_begin(&p->m, &d->m, &d->mmu, &g), RMAP_ERR_BUSY);
    rmap_fork_abort(&f);
    world_space_free(d);
    world_space_free(c);
    world_check(&w);
    world_fini(&w);
}

/* H1 */
RMAP_TEST(fork, copy_checks_its_range_and_its_transaction)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c = world_space_blank(&w);
    world_write(p, 7, 1);
    struct rmap_fork f;
    CHECK_ERR(rmap_fork_copy(NULL, 0, 1, 0), RMAP_ERR_NULL_ARG);
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &f));
    CHECK_ERR(rmap_fork_copy(&f, 0, 1, 1), RMAP_ERR_INVALID);
    CHECK_ERR(rmap_fork_copy(&f, 0, 0, 0), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_fork_copy(&f, 1, p->mmu.pages, 0), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_fork_copy(&f, p->mmu.pages, 1, 0), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_fork_copy(&f, 7, UINT64_MAX, 0), RMAP_ERR_RANGE);
    CHECK_OK(rmap_fork_copy(&f, 100, 50, 0)); /* nothing there, and the arguments before did no harm */
    CHECK_OK(rmap_fork_copy(&f, 7, 1, 0));
    CHECK_EQ(f.copied_present, 1);
    CHECK_ERR(rmap_fork_copy(&f, 7, 1, 0), RMAP_ERR_EXISTS);
    CHECK_ERR(rmap_fork_copy(&f, 9, 1, 0), RMAP_ERR_INVALID); /* after an error only abort */
    rmap_fork_abort(&f);
    CHECK_ERR(rmap_fork_copy(&f, 9, 1, 0), RMAP_ERR_INVALID);
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &f));
    rmap_fork_commit(&f);
    CHECK_ERR(rmap_fork_copy(&f, 9, 1, 0), RMAP_ERR_INVALID);
    child_end(c);
    world_check(&w);
    world_fini(&w);
}

/* ---- what is copied ---- */

/* 7 present and written, 8 no-access, 9 locked, 10 on swap and locked, 600 in another table, 700 zero page, 701 poison */
RMAP_TEST(fork, every_kind_of_entry_is_inherited_as_it_should)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    const struct rmap_pte_format *f = p->mmu.ops->format;
    static const rmap_vpn_t written[] = {7, 8, 9, 10, 600};
    for (unsigned i = 0; i < 5; i++) world_write(p, written[i], i);
    CHECK_OK(rmap_protect(&p->m, 8, 1, RMAP_PROTECT_NO_ACCESS));
    CHECK_OK(rmap_protect(&p->m, 9, 2, RMAP_PROTECT_LOCK));
    struct rmap_page *on_swap = world_page(p, 10);
    CHECK_EQ(world_unmap(&w, on_swap, RMAP_IGNORE_LOCKED).outcome, RMAP_DONE);
    world_map_special(p, 700);
    world_set_entry(p, 701, rmap_pte_make_kind(f, RMAP_PTE_POISON, 5, 0));
    unsigned attrs = rmap_pte_attrs(f, world_entry(p, 9));
    world_flush_log_clear(p);

    struct world_space *c = world_space_blank(&w);
    struct rmap_fork t;
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &t));
    CHECK_OK(rmap_fork_copy(&t, 0, p->mmu.pages, RMAP_FORK_COW));
    CHECK_EQ(t.copied_present, 4);
    CHECK_EQ(t.copied_swap, 1);
    CHECK_EQ(p->flushed_count, 0);
    rmap_fork_commit(&t);
    CHECK_EQ(p->flushed_count, 3); /* 7, 9, 600: the withdrawn write permissions, before the child may run */
    for (unsigned i = 0; i < 3; i++) CHECK_EQ(p->flushed[i].kind, RMAP_FLUSH_WRITE);
    CHECK_EQ(rmap_pte_attrs(f, world_entry(p, 9)), attrs & ~ATTR(WRITE));
    CHECK_EQ(rmap_pte_attrs(f, world_entry(c, 9)), attrs & ~(ATTR(WRITE) | ATTR(DIRTY) | ATTR(LOCKED))); /* D9 */
    CHECK_EQ(world_kind(c, 8), RMAP_PTE_NO_ACCESS);
    CHECK(world_page(c, 8) == world_page(p, 8));
    CHECK_EQ(world_kind(c, 10), RMAP_PTE_SWAP);
    CHECK(world_attr(p, 10, RMAP_ATTR_LOCKED) && !world_attr(c, 10, RMAP_ATTR_LOCKED));
    CHECK_EQ(rmap_swap_get_ops()->count(w.swap, on_swap->swap), 2);
    CHECK_EQ(world_kind(c, 701), RMAP_PTE_POISON);
    CHECK_EQ(world_entry(c, 700), world_entry(p, 700));
    CHECK_EQ(c->m.mapped, 4);
    CHECK_EQ(c->m.swapped, 1);
    CHECK_EQ(world_read(c, 600), 4);
    CHECK_EQ(world_read(c, 10), 3);
    CHECK_EQ(world_stats(&w).fork_entries, 5);
    child_end(c);
    world_check(&w);
    world_fini(&w);
}

/* E5, A10.  7 = 1 in P, C, D (child of C); each writes in turn */
RMAP_TEST(fork, A10_E5_a_fork_of_a_fork_keeps_copy_on_write_and_everybodys_view)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct world_space *c = world_fork(p), *d = world_fork(c);
    struct rmap_page *page = world_page(p, 7);
    CHECK_EQ(rmap_page_mapcount(page), 3);
    world_write(c, 7, 2);
    CHECK_EQ(world_read(p, 7), 1);
    CHECK_EQ(world_read(d, 7), 1);
    world_write(p, 7, 3);
    CHECK_EQ(world_read(c, 7), 2);
    CHECK_EQ(world_read(d, 7), 1);
    CHECK(world_page(d, 7) == page); /* the last one keeps it */
    struct world_space *e = world_fork(c);
    world_write(d, 7, 4);
    CHECK(world_page(d, 7) == page);
    CHECK_EQ(world_read(e, 7), 2);
    CHECK_EQ(world_read(p, 7), 3);
    CHECK_EQ(world_mappers(&w, world_page(e, 7)), 1 << 1 | 1 << 3);
    world_check(&w);
    world_fini(&w);
}

/* C8.  7 on swap in P, C, D: two exits, then the last drop frees slot and, in the cache, page */
RMAP_TEST(fork, C8_forked_swap_entries_are_counted_and_the_last_drop_frees_the_slot)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    struct rmap_swap_stats st;
    world_write(p, 7, 1);
    world_write(p, 8, 2);
    CHECK(world_swap_out(&w, world_page(p, 7)));
    world_unmap(&w, world_page(p, 8), 0); /* stays in the cache */
    struct world_space *c = world_fork(p), *d = world_fork(c);
    CHECK_OK(rmap_swap_get_stats(w.swap, &st));
    CHECK_EQ(st.entries, 6);
    CHECK_EQ(st.slots_used, 2);
    world_exit(p);
    world_exit(d);
    CHECK_EQ(c->m.swapped, 2);
    world_check(&w);
    world_zap(c, 7, 2);
    CHECK_OK(rmap_swap_get_stats(w.swap, &st));
    CHECK_EQ(st.slots_used, 0);
    CHECK_EQ(w.frames_used, 0);
    world_check(&w);
    world_fini(&w);
}

static uint32_t seen_at_set;
static void look_at_count(struct world_space *s, rmap_vpn_t vpn, rmap_pte_t e)
{
    (void)vpn;
    struct rmap_page *page = rmap_page_find(s->w->r, rmap_pte_pfn(s->mmu.ops->format, e));
    seen_at_set = page ? rmap_page_mapcount(page) : 0;
}

/* INV-2: the count may be ahead of the entries, never behind */
RMAP_TEST(fork, the_count_is_raised_before_the_childs_entry_is_set)
{
    struct world w;
    world_init(&w, &(struct world_options){.no_slots = true});
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct world_space *c = world_space_blank(&w);
    struct rmap_fork f;
    c->on_set = look_at_count;
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &f));
    CHECK_OK(rmap_fork_copy(&f, 0, p->mmu.pages, 0));
    CHECK_EQ(seen_at_set, 2);
    rmap_fork_commit(&f);
    child_end(c);
    world_fini(&w);
}
