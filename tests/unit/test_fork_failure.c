/* SPDX-License-Identifier: MIT */
/** @file unit/test_fork_failure.c  A fork that fails at any step (A6): nothing leaked, nothing half-visible, parent unchanged. */
#include "support/world.h"

#define LIVE(w) ((w)->alloc.live_blocks)

/* P: 3 in one table, 600 in another, 9 on swap, 2000 moved there on swap and shared with X */
static struct world_space *family(struct world *w)
{
    struct world_space *p = world_space(w);
    world_write(p, 3, 1);
    world_write(p, 600, 2);
    world_write(p, 9, 3);
    world_write(p, 10, 4);
    CHECK(world_swap_out(w, world_page(p, 9)));
    world_fork(p);
    CHECK(world_swap_out(w, world_page(p, 10)));
    CHECK_EQ(world_move(p, 10, 2000, 1).swap_shared, 1);
    CHECK_EQ(p->m.moved, 1);
    return p;
}

struct state {
    struct rmap_group_shape shape;
    uint64_t mapped, swapped, moved, entries, frames;
    size_t live;
    uint32_t mapcount[2];
};
static struct state state_of(struct world *w, struct world_space *p)
{
    struct state s = {.mapped = p->m.mapped, .swapped = p->m.swapped, .moved = p->m.moved, .frames = w->frames_used, .live = LIVE(w)};
    struct rmap_swap_stats st;
    CHECK_OK(rmap_group_get_shape(&p->m, &s.shape));
    CHECK_OK(rmap_swap_get_stats(w->swap, &st));
    s.entries = st.entries;
    s.mapcount[0] = rmap_page_mapcount(world_page(p, 3));
    s.mapcount[1] = rmap_page_mapcount(world_page(p, 600));
    return s;
}
static void check_unchanged(struct world *w, struct world_space *p, const struct state *before)
{
    struct state now = state_of(w, p);
    CHECK_EQ(now.shape.members, before->shape.members);
    CHECK_EQ(now.shape.nodes, before->shape.nodes);
    CHECK_EQ(now.shape.epochs, before->shape.epochs);
    CHECK_EQ(now.shape.tags, before->shape.tags);
    CHECK_EQ(now.mapped, before->mapped);
    CHECK_EQ(now.swapped, before->swapped);
    CHECK_EQ(now.moved, before->moved);
    CHECK_EQ(now.entries, before->entries);
    CHECK_EQ(now.frames, before->frames);
    CHECK_EQ(now.live, before->live);
    CHECK_EQ(now.mapcount[0], before->mapcount[0]);
    CHECK_EQ(now.mapcount[1], before->mapcount[1]);
    CHECK_EQ(p->m.forking, 0);
    world_check(w);
}

/* A6: the n-th allocation fails, for every n */
RMAP_TEST(fork_failure, A6_without_memory_at_any_step_nothing_is_leaked_and_the_parent_is_as_before)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = family(&w), *c = NULL;
    struct state before = state_of(&w, p);
    unsigned n = 1;
    for (;; n++) {
        w.alloc.fail_at = w.alloc.calls + n;
        int err = world_fork_try(p, &c);
        if (!err) break;
        CHECK_ERR(err, RMAP_ERR_NOMEM);
        check_unchanged(&w, p, &before);
        CHECK_EQ(world_read(p, 600), 2);
    }
    CHECK_LE(9, n); /* MMU and its root, node, two epochs, two tags, three tables */
    w.alloc.fail_at = 0;
    CHECK_EQ(c->m.moved, 1); /* its entry of 2000 is away from home, too */
    world_check(&w);
    CHECK_EQ(world_read(c, 2000), 4);
    world_check(&w);
    world_write(p, 3, 9);
    CHECK_EQ(world_read(c, 3), 1);
    world_exit(c);
    world_check(&w);
    world_fini(&w);
}

enum obstacle { COUNT_IS_FULL, SLOT_IS_FULL, NO_FRAME_FOR_PINNED, NO_DESCRIPTOR, SLOT_IS_DEAD, IS_HUGE, CHILD_HAS_ENTRY, OBSTACLES };

/* A6, E2, C6, H3: something stands in the way behind entries that were copied already */
RMAP_TEST(fork_failure, A6_whatever_stops_the_copying_an_abort_undoes_it)
{
    static const int error[OBSTACLES] = {RMAP_ERR_OVERFLOW, RMAP_ERR_OVERFLOW, RMAP_ERR_NO_FRAME, RMAP_ERR_BAD_FRAME,
                                         RMAP_ERR_BAD_FRAME, RMAP_ERR_BLOCK, RMAP_ERR_EXISTS};
    for (enum obstacle o = 0; o < OBSTACLES; o++) {
        struct world w;
        world_init(&w, NULL);
        struct world_space *p = family(&w);
        const struct rmap_pte_format *f = p->mmu.ops->format;
        struct rmap_page *page = world_page(p, 600);
        struct state before = state_of(&w, p);
        struct world_space *c = world_space_blank(&w);
        rmap_pte_t e = world_entry(p, 600), foreign = 0;
        struct rmap_fork t;
        switch (o) {
        case COUNT_IS_FULL: page->mapcount = RMAP_MAPCOUNT_MAX; break;
        case SLOT_IS_FULL: foreign = world_entry(p, 2000); break;
        case NO_FRAME_FOR_PINNED: CHECK_OK(rmap_page_pin(w.r, page)); w.frame_fail_at = w.frame_calls + 1; break;
        case NO_DESCRIPTOR: foreign = rmap_pte_make(f, WORLD_PFN - 1, 0); break;
        case SLOT_IS_DEAD: foreign = rmap_pte_make_kind(f, RMAP_PTE_SWAP, rmap_swp_make(1, 63), 0); break;
        case IS_HUGE: p->blocked = true, p->block = 1400; break;
        case CHILD_HAS_ENTRY: world_set_entry(c, 600, rmap_pte_make_kind(f, RMAP_PTE_POISON, 1, 0)); break;
        case OBSTACLES: break;
        }
        if (o == SLOT_IS_FULL) CHECK_OK(rmap_swap_get_ops()->dup(w.swap, rmap_pte_swp(f, foreign), UINT32_MAX - 2));
        else if (foreign) world_set_entry(p, 600, foreign);

        CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &t));
        CHECK_ERR(rmap_fork_copy(&t, 0, p->mmu.pages, 0), error[o]);
        CHECK_LE(1, t.copied_present);
        rmap_fork_abort(&t);
        CHECK(!c->m.node);

        if (o == COUNT_IS_FULL) page->mapcount = before.mapcount[1];
        if (o == NO_FRAME_FOR_PINNED) rmap_page_unpin(w.r, page);
        if (o == SLOT_IS_FULL) {
            CHECK_EQ(rmap_swap_get_ops()->count(w.swap, rmap_pte_swp(f, foreign)), UINT32_MAX);
            rmap_swap_get_ops()->put(w.swap, rmap_pte_swp(f, foreign), UINT32_MAX - 2);
        } else if (foreign) {
            world_set_entry(p, 600, e);
        }
        p->blocked = false;
        world_space_free(c);
        check_unchanged(&w, p, &before);
        CHECK_EQ(world_read(p, 600), 2);
        CHECK_EQ(world_read(p, 2000), 4);
        world_check(&w);
        world_fini(&w);
    }
}

/* The parent was write-protected by the aborted fork: its next write finds the page exclusive and does not copy */
RMAP_TEST(fork_failure, after_an_abort_the_parent_writes_in_place)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c = world_space_blank(&w);
    world_write(p, 7, 1);
    struct rmap_page *page = world_page(p, 7);
    struct rmap_fork f;
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &f));
    CHECK_OK(rmap_fork_copy(&f, 0, p->mmu.pages, 0));
    CHECK_EQ(rmap_page_mapcount(page), 2);
    rmap_fork_abort(&f);
    CHECK_EQ(rmap_page_mapcount(page), 1);
    CHECK_EQ(world_tlb_stale(p), NULL); /* the withdrawal was flushed all the same */
    CHECK_EQ(world_stats(&w).forks, 0);
    world_write(p, 7, 2);
    CHECK(world_page(p, 7) == page);
    CHECK_EQ(w.copies, 0);
    world_space_free(c);
    world_check(&w);
    world_fini(&w);
}
