/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_fork_pins.c  E2: of a pinned page the child gets a copy, and the parent goes on with the frame that the
 * device knows.
 */
#include "support/world.h"

#include <stdlib.h>

/* What a device does: to the frame, past every page table. */
static void device_write(struct world *w, const struct rmap_page *page, uint64_t value)
{
    unsigned char *at = world_contents(w, rmap_page_pfn(w->r, page));
    memcpy(at, &value, sizeof value);
    memcpy(at + ((size_t)1 << WORLD_PAGE_SHIFT) - sizeof value, &value, sizeof value);
}
static struct rmap_page *pin(struct world *w, struct world_space *s, rmap_vpn_t vpn)
{
    struct rmap_page *page = world_page(s, vpn);
    CHECK_OK(rmap_page_pin(w->r, page));
    return page;
}
static void unpin(struct world *w, struct rmap_page *page)
{
    rmap_page_unpin(w->r, page);
}

/* ---- what the child gets, what the parent keeps ---- */

/* P: 7 = 1, pinned and writable, 8 = 2. C forked; device, P and C write to 7 in turn. */
RMAP_TEST(fork_pins, E2_the_child_gets_a_copy_and_the_parent_keeps_the_devices_frame)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    world_write(p, 8, 2);
    struct rmap_page *page = pin(&w, p, 7);
    const rmap_pte_t before = world_entry(p, 7);
    const rmap_owner_t owner = rmap_page_owner(page);
    world_flush_log_clear(p);
    struct world_space *c = world_fork(p);
    CHECK_EQ(w.copies, 1);
    CHECK_EQ(world_entry(p, 7), before);
    CHECK(world_attr(p, 7, RMAP_ATTR_WRITE) && !world_attr(p, 8, RMAP_ATTR_WRITE));
    CHECK(world_page(c, 7) != page && world_page(c, 8) == world_page(p, 8));
    CHECK(!world_attr(c, 7, RMAP_ATTR_WRITE) && !world_attr(c, 7, RMAP_ATTR_DIRTY));
    CHECK_EQ(rmap_page_mapcount(page), 1);
    CHECK_EQ(rmap_page_pins(page), 1);
    CHECK_EQ(rmap_page_index(page), 7);
    CHECK_EQ(rmap_page_owner(page), owner);
    CHECK(rmap_page_flags(world_page(c, 7)) & RMAP_PAGE_DIRTY);
    CHECK_EQ(c->m.mapped, 2);
    CHECK_EQ(world_stats(&w).fork_copied, 1);
    CHECK_EQ(world_stats(&w).fork_entries, 2);
    CHECK_EQ(p->flushed[0].first, 7); /* withdrawn and flushed, though it is writable again */
    CHECK_EQ(p->flushed[0].kind, RMAP_FLUSH_WRITE);

    device_write(&w, page, 3);
    CHECK_EQ(world_read(p, 7), 3);
    CHECK_EQ(world_read(c, 7), 1);
    world_write(p, 7, 4);
    CHECK(world_page(p, 7) == page);
    CHECK_EQ(w.copies, 1);
    struct rmap_page *own = world_page(c, 7);
    world_write(c, 7, 5);
    CHECK(world_page(c, 7) == own); /* nobody else's: no second copy */
    CHECK_EQ(world_read(p, 7), 4);
    CHECK_EQ(world_mappers(&w, page), 1 << 0);
    CHECK_EQ(world_mappers(&w, own), 1 << 1);
    world_check(&w);
    unpin(&w, page);
    world_fini(&w);
}

static struct world_space *watched;
static unsigned looks;
static void nobody_can_write(struct world *w)
{
    const struct world_cached *c = world_tlb_find(watched, 7);
    if (world_attr(watched, 7, RMAP_ATTR_WRITE)) world_broken(w, "the entry is writable while its page is copied");
    if (c && c->write) world_broken(w, "a writable translation is cached while its page is copied");
    if (!(rmap_page_flags(world_page(watched, 7)) & RMAP_PAGE_LOCKED)) world_broken(w, "the page is not locked");
    looks++;
}

/* D4: a store through a stale translation would be in one half of the copy */
RMAP_TEST(fork_pins, nobody_can_write_while_the_copy_is_made)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = watched = world_space(&w);
    world_write(p, 7, 1);
    struct rmap_page *page = pin(&w, p, 7);
    CHECK(world_tlb_find(p, 7)->write);
    w.on_copy = nobody_can_write;
    world_fork(p);
    CHECK_EQ(looks, 1);
    w.on_copy = NULL;
    world_write(p, 7, 2);
    world_check(&w);
    unpin(&w, page);
    world_fini(&w);
}

/* P: 7 no-access, 8 locked, 9 read-only but its own, 10 shared with A; all pinned */
RMAP_TEST(fork_pins, every_kind_of_mapping_is_copied_as_what_it_is)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *a;
    const struct rmap_pte_format *f = p->mmu.ops->format;
    struct rmap_page *page[4];
    world_write(p, 10, 10);
    a = world_fork(p);
    for (rmap_vpn_t v = 7; v < 10; v++) world_write(p, v, v);
    CHECK_OK(rmap_protect(&p->m, 7, 1, RMAP_PROTECT_NO_ACCESS));
    CHECK_OK(rmap_protect(&p->m, 8, 1, RMAP_PROTECT_LOCK));
    CHECK_OK(rmap_protect(&p->m, 9, 1, RMAP_PROTECT_NO_WRITE));
    rmap_pte_t before[4];
    for (unsigned i = 0; i < 4; i++) {
        page[i] = pin(&w, p, 7 + i);
        before[i] = world_entry(p, 7 + i);
    }
    struct world_space *c = world_fork(p);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_EQ(world_entry(p, 7 + i), before[i]);
        CHECK_EQ(world_kind(c, 7 + i), rmap_pte_kind(f, before[i]));
        CHECK(world_page(c, 7 + i) != page[i]);
        CHECK(!world_attr(c, 7 + i, RMAP_ATTR_LOCKED) && !world_attr(c, 7 + i, RMAP_ATTR_WRITE)); /* D9 */
        CHECK_EQ(world_attr(c, 7 + i, RMAP_ATTR_SOFT_DIRTY), world_attr(p, 7 + i, RMAP_ATTR_SOFT_DIRTY));
    }
    CHECK_EQ(rmap_page_mapcount(page[3]), 2); /* P's and A's */
    CHECK_OK(rmap_protect(&c->m, 7, 1, RMAP_PROTECT_ACCESS));
    for (unsigned i = 0; i < 4; i++) CHECK_EQ(world_read(c, 7 + i), 7 + i);
    CHECK_EQ(world_read(a, 10), 10);
    world_check(&w);
    for (unsigned i = 0; i < 4; i++) unpin(&w, page[i]);
    world_fini(&w);
}

/* P, A: 7 was on swap; P read it back: mapped and cached, A has a swap entry. P's is pinned; also in the cache: 8, P's alone. */
RMAP_TEST(fork_pins, a_pinned_page_in_the_swap_cache_keeps_its_slot_and_the_copy_has_none)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *a;
    world_write(p, 7, 1);
    a = world_fork(p);
    world_write(p, 8, 2);
    world_unmap(&w, world_page(p, 7), 0);
    world_unmap(&w, world_page(p, 8), 0);
    CHECK_EQ(world_read(p, 7) + world_read(p, 8), 3);
    struct rmap_page *page[2] = {pin(&w, p, 7), pin(&w, p, 8)};
    const rmap_swp_t slot[2] = {page[0]->swap, page[1]->swap};
    struct world_space *c = world_fork(p);
    for (unsigned i = 0; i < 2; i++) {
        CHECK(rmap_page_flags(page[i]) & RMAP_PAGE_SWAPCACHE);
        CHECK_EQ(page[i]->swap, slot[i]);
        CHECK(!(rmap_page_flags(world_page(c, 7 + i)) & RMAP_PAGE_SWAPCACHE));
        CHECK_EQ(rmap_swap_get_ops()->count(w.swap, slot[i]), 1 - i);
        CHECK_EQ(world_read(c, 7 + i), 1 + i);
    }
    world_check(&w);
    CHECK_EQ(world_read(a, 7), 1);
    CHECK_EQ(rmap_page_mapcount(page[0]), 2);
    world_check(&w);
    unpin(&w, page[0]);
    unpin(&w, page[1]);
    world_fini(&w);
}

/* ---- failure ---- */

/* P: 3 and 600 pinned, 4 and 601 not */
static struct world_space *family(struct world *w, struct rmap_page *page[2])
{
    struct world_space *p = world_space(w);
    static const rmap_vpn_t vpn[] = {3, 4, 600, 601};
    for (unsigned i = 0; i < 4; i++) world_write(p, vpn[i], vpn[i]);
    page[0] = pin(w, p, 3);
    page[1] = pin(w, p, 600);
    return p;
}
static void check_as_before(struct world *w, struct world_space *p, struct rmap_page *page[2], uint64_t frames,
                            size_t live)
{
    for (unsigned i = 0; i < 2; i++) {
        const rmap_vpn_t vpn = i ? 600 : 3;
        CHECK(world_page(p, vpn) == page[i] && world_attr(p, vpn, RMAP_ATTR_WRITE));
        CHECK_EQ(rmap_page_mapcount(page[i]), 1);
        CHECK_EQ(rmap_page_pins(page[i]), 1);
        CHECK_EQ(page[i]->refcount, 2);
        CHECK(!(rmap_page_flags(page[i]) & RMAP_PAGE_LOCKED));
    }
    CHECK_EQ(w->frames_used, frames);
    CHECK_EQ(w->alloc.live_blocks, live);
    CHECK_EQ(p->m.mapped, 4);
    CHECK_EQ(p->m.forking, 0);
    CHECK_EQ(rmap_group_members(&p->m), 1);
    world_check(w);
}

/* A6, E2: the n-th allocation, of memory or of a frame, fails, for every n */
RMAP_TEST(fork_pins, A6_without_memory_or_frame_the_parent_is_as_before_its_write_permission_too)
{
    for (unsigned frames = 0; frames < 2; frames++) {
        struct world w;
        struct rmap_page *page[2];
        world_init(&w, NULL);
        struct world_space *p = family(&w, page), *c = NULL;
        const uint64_t used = w.frames_used;
        for (unsigned i = 0; i < 2; i++) world_exit(world_fork(p)); /* tags: as many as there will be */
        const size_t live = w.alloc.live_blocks;
        unsigned n = 1;
        for (;; n++) {
            if (frames)
                w.frame_fail_at = w.frame_calls + n;
            else
                w.alloc.fail_at = w.alloc.calls + n;
            int err = world_fork_try(p, &c);
            if (!err) break;
            CHECK_ERR(err, frames ? RMAP_ERR_NO_FRAME : RMAP_ERR_NOMEM);
            check_as_before(&w, p, page, used, live);
        }
        CHECK_EQ(frames ? n : 3, 3); /* two frames */
        w.frame_fail_at = 0;
        w.alloc.fail_at = 0;
        world_write(p, 3, 33);
        CHECK(world_page(p, 3) == page[0]);
        CHECK_EQ(world_read(c, 3) + world_read(c, 600), 603);
        world_check(&w);
        unpin(&w, page[0]);
        unpin(&w, page[1]);
        world_fini(&w);
    }
}

RMAP_TEST(fork_pins, an_abort_gives_the_copies_back)
{
    struct world w;
    struct rmap_page *page[2];
    world_init(&w, NULL);
    struct world_space *p = family(&w, page), *c = world_space_blank(&w);
    const uint64_t used = w.frames_used;
    struct rmap_fork f;
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &f));
    CHECK_OK(rmap_fork_copy(&f, 0, p->mmu.pages, RMAP_FORK_COW));
    CHECK_EQ(w.frames_used, used + 2);
    CHECK_EQ(f.copied_present, 4);
    rmap_fork_abort(&f);
    world_space_free(c);
    check_as_before(&w, p, page, used, w.alloc.live_blocks);
    CHECK(!world_attr(p, 4, RMAP_ATTR_WRITE)); /* what is not pinned finds itself exclusive at its next write */
    unpin(&w, page[0]);
    unpin(&w, page[1]);
    world_fini(&w);
}

/* ---- pins and reclaim in the middle of it ---- */

/* P: 0-5, 2 pinned. What happens as the frame for 2 is asked for: */
static struct scene {
    struct world_space *p;
    struct rmap_page *two;
    enum { UNPINNED, UNPINNED_AND_EVICTED, FOUR_PINNED, ONE_PINNED, ALL_EVICTED, ZERO_PROTECTED, POISONED } event;
    struct rmap_page *late; /* pinned then */
} scene;

static void event(struct world *w)
{
    struct scene *x = &scene;
    w->on_frame = NULL; /* once */
    switch (x->event) {
    case UNPINNED:
        unpin(w, x->two);
        break;
    case UNPINNED_AND_EVICTED:
        unpin(w, x->two);
        CHECK_EQ(world_unmap(w, x->two, 0).outcome, RMAP_DONE);
        break;
    case FOUR_PINNED:
        x->late = pin(w, x->p, 4);
        break;
    case ONE_PINNED:
        x->late = pin(w, x->p, 1);
        break;
    case ALL_EVICTED:
        for (rmap_vpn_t v = 0; v < 6; v++) {
            struct rmap_page *page = world_page(x->p, v);
            CHECK_EQ(world_unmap(w, page, 0).outcome, v == 2 ? RMAP_PARTIAL : RMAP_DONE);
            if (v != 2) CHECK_EQ(rmap_page_mapcount(page), 0);
        }
        break;
    case ZERO_PROTECTED: /* copied already, its flush to come */
        CHECK_EQ(world_protect(w, world_page(x->p, 0)).outcome, RMAP_DONE);
        if (world_tlb_find(x->p, 0)->write) world_broken(w, "write_protect said DONE, a writable translation is left");
        break;
    case POISONED:
        rmap_page_lock(x->two);
        CHECK_OK(rmap_poison(w->r, &x->two, 1, 0, NULL, NULL, &(struct rmap_result){0}));
        rmap_page_unlock(w->r, x->two);
        break;
    }
}

/* Fork with the event in it. @return the child, or NULL after an abort */
static struct world_space *fork_with(struct world *w, unsigned what, bool abort)
{
    struct world_space *p = world_space(w), *c = world_space_blank(w);
    struct rmap_fork f;
    for (rmap_vpn_t v = 0; v < 6; v++) world_write(p, v, 10 + v);
    scene = (struct scene){.p = p, .two = pin(w, p, 2), .event = what};
    w->on_frame = event;
    CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &f));
    CHECK_OK(rmap_fork_copy(&f, 0, p->mmu.pages, RMAP_FORK_COW));
    CHECK(w->on_frame == NULL);
    if (abort) {
        rmap_fork_abort(&f);
        world_space_free(c);
        c = NULL;
    } else {
        rmap_fork_commit(&f);
        world_space_adopt(c);
    }
    world_check(w);
    return c;
}
static void fork_done(struct world *w, struct world_space *c)
{
    struct world_space *p = scene.p;
    for (rmap_vpn_t v = 0; v < 6; v++) {
        CHECK_EQ(world_read(p, v), 10 + v);
        if (c) CHECK_EQ(world_read(c, v), 10 + v);
    }
    for (rmap_vpn_t v = 0; v < 6; v++) {
        world_write(p, v, 20 + v);
        if (c) CHECK_EQ(world_read(c, v), 10 + v);
    }
    world_check(w);
    if (scene.event != UNPINNED && scene.event != UNPINNED_AND_EVICTED) unpin(w, scene.two);
    if (scene.late) unpin(w, scene.late);
    world_fini(w);
}

RMAP_TEST(fork_pins, unpinned_while_a_frame_was_found_it_is_shared_like_any_other)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *c = fork_with(&w, UNPINNED, false);
    CHECK(world_page(c, 2) == scene.two);
    CHECK_EQ(rmap_page_mapcount(scene.two), 2);
    CHECK_EQ(world_stats(&w).fork_copied, 0);
    CHECK(!world_attr(scene.p, 2, RMAP_ATTR_WRITE));
    fork_done(&w, c);
}

RMAP_TEST(fork_pins, unpinned_and_evicted_meanwhile_its_swap_entry_is_forked)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *c = fork_with(&w, UNPINNED_AND_EVICTED, false);
    CHECK_EQ(world_kind(c, 2), RMAP_PTE_SWAP);
    CHECK_EQ(c->m.swapped, 1);
    fork_done(&w, c);
}

/* The pin that the fork sees, and the one that comes too late: that page is shared, and its next write leaves the frame */
RMAP_TEST(fork_pins, a_pin_before_the_fork_looks_makes_a_copy_and_one_after_it_does_not)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *c = fork_with(&w, FOUR_PINNED, false);
    CHECK_EQ(world_stats(&w).fork_copied, 2);
    CHECK_EQ(rmap_page_mapcount(scene.late), 1);
    CHECK(world_attr(scene.p, 4, RMAP_ATTR_WRITE));
    fork_done(&w, c);

    world_init(&w, NULL);
    c = fork_with(&w, ONE_PINNED, false);
    CHECK_EQ(world_stats(&w).fork_copied, 1);
    CHECK_EQ(rmap_page_mapcount(scene.late), 2);
    CHECK(!world_attr(scene.p, 1, RMAP_ATTR_WRITE));
    world_write(scene.p, 1, 11);
    CHECK(world_page(scene.p, 1) != scene.late && world_page(c, 1) == scene.late);
    fork_done(&w, c);
}

/* Reclaim meets the half-made child: 0, 1 mapped in both, 3-5 in P alone, which is forking */
RMAP_TEST(fork_pins, reclaim_in_the_middle_of_a_fork_evicts_what_was_copied_and_what_was_not)
{
    for (unsigned abort = 0; abort < 2; abort++) {
        struct world w;
        world_init(&w, NULL);
        struct world_space *c = fork_with(&w, ALL_EVICTED, abort);
        CHECK_EQ(scene.p->m.swapped, 5);
        if (c) {
            CHECK_EQ(c->m.swapped, 5);
            CHECK_EQ(c->m.mapped, 1);
            for (rmap_vpn_t v = 0; v < 6; v++)
                if (v != 2)
                    CHECK_EQ(rmap_swap_get_ops()->count(w.swap, rmap_pte_swp(c->mmu.ops->format, world_entry(c, v))),
                             2);
        }
        CHECK(world_attr(scene.p, 2, RMAP_ATTR_WRITE));
        fork_done(&w, c);
    }
}

/* D4: what the fork has withdrawn and not yet flushed */
RMAP_TEST(fork_pins, write_protect_in_the_middle_of_a_fork_flushes)
{
    struct world w;
    world_init(&w, NULL);
    fork_done(&w, fork_with(&w, ZERO_PROTECTED, false));
}

/* 2, pinned, is lost as a frame is looked for: the child's entry says so, too, and nothing is copied */
RMAP_TEST(fork_pins, a_pinned_page_that_is_lost_meanwhile_is_lost_for_the_child)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *c = fork_with(&w, POISONED, false);
    CHECK_EQ(world_kind(c, 2), RMAP_PTE_POISON);
    CHECK_EQ(w.copies, 0);
    world_zap(scene.p, 2, 1);
    world_zap(c, 2, 1);
    unpin(&w, scene.two);
    world_check(&w);
    world_fini(&w);
}

/* 7 is pinned and lost, but the walk that told its mappers was stopped: its contents must not live on in a child */
RMAP_TEST(fork_pins, a_pinned_page_that_is_lost_and_still_mapped_is_not_copied)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c;
    world_write(p, 7, 1);
    struct rmap_page *page = pin(&w, p, 7);
    rmap_page_set_flags(page, RMAP_PAGE_POISON);
    CHECK_ERR(world_fork_try(p, &c), RMAP_ERR_POISON);
    CHECK_EQ(w.copies, 0);
    CHECK(world_attr(p, 7, RMAP_ATTR_WRITE));
    rmap_page_clear_flags(page, RMAP_PAGE_POISON);
    unpin(&w, page);
    world_check(&w);
    world_fini(&w);
}

/* ---- scale ---- */

/* P: 5,000 pages, every fifth pinned */
RMAP_TEST(fork_pins, a_thousand_pinned_of_five_thousand)
{
    enum { PAGES = 5000, PINNED = 1000 };
    struct world w;
    world_init(&w, &(struct world_options){.frames = 2 * PAGES});
    struct world_space *p = world_space(&w);
    struct rmap_page **page = calloc(PINNED, sizeof(struct rmap_page *));
    for (rmap_vpn_t v = 0; v < PAGES; v++) world_write(p, v, v);
    for (unsigned i = 0; i < PINNED; i++) page[i] = pin(&w, p, 5 * i);
    struct world_space *c = world_fork(p);
    CHECK_EQ(w.copies, PINNED);
    CHECK_EQ(w.frames_used, PAGES + PINNED);
    CHECK_EQ(world_stats(&w).fork_entries, PAGES);
    CHECK_EQ(c->m.mapped, PAGES);
    for (rmap_vpn_t v = 0; v < PAGES; v++) {
        CHECK_EQ(world_page(p, v) == world_page(c, v), v % 5 != 0);
        CHECK_EQ(world_attr(p, v, RMAP_ATTR_WRITE), v % 5 == 0);
        CHECK_EQ(world_read(c, v), v);
    }
    world_check(&w);
    for (unsigned i = 0; i < PINNED; i++) unpin(&w, page[i]);
    free(page);
    world_fini(&w);
}
