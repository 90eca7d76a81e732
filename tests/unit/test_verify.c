/* SPDX-License-Identifier: MIT */
/** @file unit/test_verify.c  rmap_verify finds what is broken: one thing is spoilt by hand, named, and put right again. */
#include "support/world.h"

#include <core/core.h>

/*  P (7 shared, 8 own, 9 on swap and shared, 10 cached: present in P, swap entry in C, 11 zero page; 40 on swap, moved from 12
 *  and shared) with children C, D; D has own children E, F and is dead. */
struct family {
    struct world w;
    struct world_space *p, *c, *e, *f;
    struct rmap_page *shared, *own, *cached;
    rmap_swp_t on_swap, moved, in_cache;
};

static void family_init(struct family *x)
{
    struct world *w = &x->w;
    world_init(w, NULL);
    x->p = world_space(w);
    for (rmap_vpn_t v = 7; v < 13; v++)
        if (v != 8 && v != 11) world_write(x->p, v, v);
    x->c = world_fork(x->p);
    struct world_space *d = world_fork(x->p);
    x->e = world_fork(d);
    x->f = world_fork(d);
    world_exit(d);
    for (rmap_vpn_t v = 9; v < 13; v++) {
        world_zap(x->e, v, 1);
        world_zap(x->f, v, 1);
    }
    world_write(x->p, 8, 8);
    world_protect(w, world_page(x->p, 8)); /* a sole mapper need not be writable */
    world_map_special(x->p, 11);
    CHECK(world_swap_out(w, world_page(x->p, 9)));
    CHECK(world_swap_out(w, world_page(x->p, 12)));
    world_unmap(w, world_page(x->p, 10), 0);
    CHECK_EQ(world_read(x->p, 10), 10);
    world_move(x->p, 12, 40, 1);
    x->shared = world_page(x->p, 7);
    x->own = world_page(x->p, 8);
    x->cached = world_page(x->p, 10);
    const struct rmap_pte_format *f = x->p->mmu.ops->format;
    x->on_swap = rmap_pte_swp(f, world_entry(x->p, 9));
    x->moved = rmap_pte_swp(f, world_entry(x->p, 40));
    x->in_cache = rmap_pte_swp(f, world_entry(x->c, 10));
    world_check(w);
}

static void expect(struct family *x, const char *invariant, const char *how, int line)
{
    struct rmap_verify_report report = {.invariant = "?"};
    int err = rmap_verify(x->w.r, &report);
    if (err != RMAP_ERR_VERIFY || !report.invariant || strcmp(report.invariant, invariant) != 0 || !report.text[0])
        test__fail(__FILE__, line, "%s: %s, \"%s\" (%s), expected \"%s\"", how, rmap_error_name(err),
                   report.invariant ? report.invariant : "", report.text, invariant);
    test__check_err(__FILE__, line, "rmap_verify without a report", rmap_verify(x->w.r, NULL), RMAP_ERR_VERIFY);
}
/* Do `change`, expect the invariant, undo it, expect peace. */
#define BREAKS(invariant, change, undo)              \
    do {                                             \
        change;                                      \
        expect(&x, invariant, #change, __LINE__);    \
        undo;                                        \
        CHECK_OK(rmap_verify(x.w.r, NULL));          \
    } while (0)

RMAP_TEST(verify, INV_1_entries_at_the_wrong_place_or_in_the_wrong_space)
{
    struct family x;
    family_init(&x);
    const struct rmap_pte_format *f = x.p->mmu.ops->format;
    const struct rmap_swap_ops *o = rmap_swap_get_ops();
    rmap_pte_t own = world_entry(x.p, 8), moved = world_entry(x.p, 40), zero = world_entry(x.p, 11);
    BREAKS("INV-1", rmap__page_set_index(x.own, 80), rmap__page_set_index(x.own, 8));
    BREAKS("INV-1", (world_set_entry(x.p, 8, 0), world_set_entry(x.p, 80, own)),
           (world_set_entry(x.p, 80, 0), world_set_entry(x.p, 8, own)));
    BREAKS("INV-1", (world_set_entry(x.c, 8, own), x.own->mapcount++), (world_set_entry(x.c, 8, 0), x.own->mapcount--));
    BREAKS("INV-1", world_set_entry(x.p, 60, rmap_pte_make(f, WORLD_PFN - 1, 0)), world_set_entry(x.p, 60, 0));
    BREAKS("INV-1", world_set_entry(x.p, 11, rmap_pte_set(f, zero, RMAP_ATTR_WRITE, true)), world_set_entry(x.p, 11, zero));
    struct rmap_slot_home h;
    CHECK_OK(o->get_home(x.w.swap, x.moved, &h));
    CHECK(h.moved);
    rmap_owner_get(h.owner);
    BREAKS("INV-1", o->set_home(x.w.swap, x.moved, h.owner, h.index, false), o->set_home(x.w.swap, x.moved, h.owner, h.index, true));
    BREAKS("INV-1", o->set_home(x.w.swap, x.moved, rmap_member_home(&x.c->m), h.index, true),
           o->set_home(x.w.swap, x.moved, h.owner, h.index, true));
    BREAKS("INV-1", o->set_home(x.w.swap, x.moved, 0, h.index, true), o->set_home(x.w.swap, x.moved, h.owner, h.index, true));
    rmap_owner_put(h.owner);
    (void)moved;
    struct rmap__tag *owner = rmap__owner_tag(rmap_page_owner(x.shared));
    BREAKS("INV-1", rmap__page_set_owner(x.shared, x.p->m.open_tag), rmap__page_set_owner(x.shared, owner));
    world_fini(&x.w);
}

RMAP_TEST(verify, INV_2_counts_that_are_not_what_there_is)
{
    struct family x;
    family_init(&x);
    BREAKS("INV-2", x.shared->mapcount++, x.shared->mapcount--);
    BREAKS("INV-2", x.own->mapcount--, x.own->mapcount++);
    struct rmap_page *idle = world_descriptor(&x.w, 200);
    BREAKS("INV-2", idle->mapcount = 3, idle->mapcount = 0);
    BREAKS("INV-2", x.p->m.mapped++, x.p->m.mapped--);
    BREAKS("INV-2", x.c->m.swapped--, x.c->m.swapped++);
    BREAKS("INV-2", x.p->m.moved = 0, x.p->m.moved = 1);
    world_fini(&x.w);
}

RMAP_TEST(verify, INV_3_slots_whose_count_is_wrong_or_that_outlive_their_use)
{
    struct family x;
    family_init(&x);
    const struct rmap_swap_ops *o = rmap_swap_get_ops();
    const struct rmap_pte_format *f = x.p->mmu.ops->format;
    BREAKS("INV-3", o->dup(x.w.swap, x.on_swap, 1), o->put(x.w.swap, x.on_swap, 1));
    BREAKS("INV-3", o->dup(x.w.swap, x.in_cache, 1), o->put(x.w.swap, x.in_cache, 1));
    rmap_pte_t e = world_entry(x.p, 9);
    BREAKS("INV-3", world_set_entry(x.p, 9, rmap_pte_make_kind(f, RMAP_PTE_SWAP, rmap_swp_make(1, 60), 0)), world_set_entry(x.p, 9, e));
    rmap_pte_t cached = world_entry(x.p, 10);
    BREAKS("INV-3", world_set_entry(x.p, 10, rmap_pte_set(f, cached, RMAP_ATTR_WRITE, true)), world_set_entry(x.p, 10, cached));
    /* a page that nobody maps, in a slot that nobody names */
    struct rmap_page *page;
    CHECK_OK(rmap_page_alloc(x.w.r, RMAP_PFN_NONE, &page));
    rmap_page_lock(page);
    rmap__page_set_owner(page, x.p->m.open_tag);
    CHECK_OK(rmap_swap_cache_add(x.w.swap, page));
    CHECK_OK(rmap_verify(x.w.r, NULL)); /* locked: somebody is busy with it */
    rmap_page_clear_flags(page, RMAP_PAGE_ORPHAN); /* or the unlock would see to it */
    BREAKS("INV-3", rmap_page_unlock(x.w.r, page), rmap_page_lock(page));
    CHECK_OK(rmap_swap_cache_del(x.w.swap, page));
    rmap_page_unlock(x.w.r, page);
    rmap_page_put(x.w.r, page);
    world_fini(&x.w);
}

RMAP_TEST(verify, INV_8_a_cached_page_and_its_slot_disagree)
{
    struct family x;
    family_init(&x);
    const struct rmap_swap_ops *o = rmap_swap_get_ops();
    struct rmap_slot_home h;
    CHECK_OK(o->get_home(x.w.swap, x.in_cache, &h));
    rmap_owner_get(h.owner);
    BREAKS("INV-8", (o->set_home(x.w.swap, x.in_cache, h.owner, 77, true), x.c->m.moved++),
           (o->set_home(x.w.swap, x.in_cache, h.owner, h.index, h.moved), x.c->m.moved--));
    /* the slot's entry is in C alone, so C could own the slot; the page is in P: its candidates are more than the slot's */
    struct rmap__tag *owner = rmap__owner_tag(rmap_page_owner(x.cached));
    rmap__tag_get(owner);
    BREAKS("INV-8",
           (o->set_home(x.w.swap, x.in_cache, rmap_member_home(&x.c->m), h.index, false),
            rmap__page_set_owner(x.cached, rmap__owner_tag(h.owner))),
           (o->set_home(x.w.swap, x.in_cache, h.owner, h.index, false), rmap__page_set_owner(x.cached, owner)));
    rmap__tag_put(owner);
    rmap_owner_put(h.owner);
    world_fini(&x.w);
}

RMAP_TEST(verify, exclusive_no_page_is_writable_and_shared)
{
    struct family x;
    family_init(&x);
    const struct rmap_pte_format *f = x.p->mmu.ops->format;
    rmap_pte_t e = world_entry(x.e, 7);
    BREAKS("exclusive", world_set_entry(x.e, 7, rmap_pte_set(f, e, RMAP_ATTR_WRITE, true)), world_set_entry(x.e, 7, e));
    world_fini(&x.w);
}

RMAP_TEST(verify, C2_the_private_field_names_a_slot_that_caches_the_page)
{
    struct family x;
    family_init(&x);
    BREAKS("C2", (rmap_page_set_flags(x.own, RMAP_PAGE_SWAPCACHE), x.own->refcount++),
           (rmap_page_clear_flags(x.own, RMAP_PAGE_SWAPCACHE), x.own->refcount--));
    BREAKS("C2", x.cached->swap = x.on_swap, x.cached->swap = x.in_cache);
    world_fini(&x.w);
}

RMAP_TEST(verify, refs_that_are_too_few)
{
    struct family x;
    family_init(&x);
    BREAKS("refs", x.cached->refcount = 1, x.cached->refcount = 2); /* the cache's and the mappings' */
    struct rmap__tag *open = x.p->m.open_tag, *owner = rmap__owner_tag(rmap_page_owner(x.shared));
    BREAKS("refs", open->refs--, open->refs++);
    BREAKS("refs", owner->refs--, owner->refs++);
    rmap__tag_get(owner); /* an embedder's: more is allowed */
    CHECK_OK(rmap_verify(x.w.r, NULL));
    rmap__tag_put(owner);
    world_fini(&x.w);
}

RMAP_TEST(verify, tree_links_counts_and_shape)
{
    struct family x;
    family_init(&x);
    struct rmap__group *g = x.p->m.open_tag->group;
    struct rmap__node *p = x.p->m.node, *c = x.c->m.node, *d = x.e->m.node->parent->node;
    struct rmap__epoch *open = TAILQ_LAST(&p->epochs, rmap__epochs), *closed = TAILQ_FIRST(&p->epochs), *first = c->parent;
    CHECK(!d->member);
    CHECK(first == closed);
    BREAKS("tree", c->parent = open, c->parent = first);
    BREAKS("tree", p->kids++, p->kids--);
    BREAKS("tree", closed->node = c, closed->node = p);
    BREAKS("tree", closed->tag->epoch = open, closed->tag->epoch = closed);
    BREAKS("tree", g->nodes++, g->nodes--);
    BREAKS("tree", g->members--, g->members++);
    BREAKS("tree", g->epochs++, g->epochs--);
    BREAKS("tree", x.c->m.node = p, x.c->m.node = c);
    BREAKS("tree", { TAILQ_REMOVE(&first->kids, c, link); TAILQ_INSERT_TAIL(&open->kids, c, link); c->parent = open; },
           { TAILQ_REMOVE(&open->kids, c, link); TAILQ_INSERT_HEAD(&first->kids, c, link); c->parent = first; });
    /* a closed epoch that lost its children: they hang at another, younger one */
    struct rmap__epoch extra = {.node = p, .tag = closed->tag};
    TAILQ_INIT(&extra.kids);
    struct rmap__tag tag = {.epoch = &extra, .group = g, .refs = 1};
    extra.tag = &tag;
    BREAKS("tree", { TAILQ_INSERT_HEAD(&p->epochs, &extra, link); g->epochs++; },
           { TAILQ_REMOVE(&p->epochs, &extra, link); g->epochs--; });
    /* a dead node with one child */
    struct rmap__node *f = x.f->m.node;
    BREAKS("tree", { TAILQ_REMOVE(&f->parent->kids, f, link); d->kids--; },
           { TAILQ_INSERT_TAIL(&f->parent->kids, f, link); d->kids++; });
    world_fini(&x.w);
}

/* H1, and the level-1 check of one page */
RMAP_TEST(verify, one_page_alone)
{
    struct family x;
    family_init(&x);
    struct rmap_verify_report report;
    struct rmap_page stranger = {0};
    CHECK_ERR(rmap_verify_page(NULL, x.own, &report), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_verify_page(x.w.r, NULL, &report), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_verify_page(x.w.r, &stranger, &report), RMAP_ERR_UNKNOWN_PAGE);
    CHECK_ERR(rmap_verify(NULL, &report), RMAP_ERR_NULL_ARG);
    CHECK_OK(rmap_verify_page(x.w.r, x.shared, &report));
    CHECK(!report.invariant);
    CHECK_OK(rmap_verify_page(x.w.r, x.cached, NULL));
    CHECK_OK(rmap_verify_page(x.w.r, x.w.special, NULL));
    CHECK_OK(rmap_verify_page(x.w.r, world_descriptor(&x.w, 200), NULL)); /* free */
    x.shared->mapcount++;
    CHECK_ERR(rmap_verify_page(x.w.r, x.shared, &report), RMAP_ERR_VERIFY);
    CHECK_STR(report.invariant, "INV-2");
    CHECK_ERR(rmap_verify_page(x.w.r, x.shared, NULL), RMAP_ERR_VERIFY);
    x.shared->mapcount--;
    rmap_pte_t own = world_entry(x.p, 8);
    world_set_entry(x.c, 8, own);
    x.own->mapcount++;
    CHECK_ERR(rmap_verify_page(x.w.r, x.own, &report), RMAP_ERR_VERIFY);
    CHECK_STR(report.invariant, "INV-1");
    world_set_entry(x.c, 8, 0);
    x.own->mapcount--;
    world_fini(&x.w);
}

/* More pages and slots than its first tables hold; and the n-th allocation fails */
RMAP_TEST(verify, it_needs_memory_and_says_so)
{
    struct world w;
    world_init(&w, &(struct world_options){.frames = 512, .slots = 512});
    struct world_space *p = world_space(&w);
    for (rmap_vpn_t v = 0; v < 400; v++) world_write(p, v, v);
    for (rmap_vpn_t v = 0; v < 400; v += 2) CHECK(world_swap_out(&w, world_page(p, v)));
    struct rmap_verify_report report;
    size_t live = w.alloc.live_blocks;
    unsigned n = 1;
    for (;; n++) {
        w.alloc.fail_at = w.alloc.calls + n;
        int err = rmap_verify(w.r, &report);
        if (!err) break;
        CHECK_ERR(err, RMAP_ERR_NOMEM);
        CHECK(!report.invariant);
        CHECK_EQ(w.alloc.live_blocks, live);
    }
    CHECK_EQ(n, 5); /* found counts; slots, once doubled; tags */
    w.alloc.fail_at = 0;
    world_check(&w);
    world_fini(&w);
}
