/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_verify_reports.c  Each report of rmap_verify says what is broken, where, and in numbers.
 *
 * test_verify.c shows which invariant each breakage breaks; here every line that rmap_verify and rmap_verify_page can say
 * is provoked alone and read.
 */
#include "support/world.h"

#include <core/core.h>

/*  P: [e0: C] [open], D in a group of its own.  7: one page in P and C.  8: P's old page, C wrote its own.  9: P's alone, of
 *  its open epoch, read-only; D has a 9 of its own.  5 of D is on swap.  6 of D is cached and mapped. */
struct scene {
    struct world w;
    struct world_space *p, *c, *d;
    struct rmap_page *shared, *own, *cached;
    const struct rmap_pte_format *f;
    const struct rmap_swap_ops *o;
};

static void scene_init(struct scene *s)
{
    struct world *w = &s->w;
    world_init(w, NULL);
    s->p = world_space(w);
    world_write(s->p, 7, 1);
    world_write(s->p, 8, 1);
    s->c = world_fork(s->p);
    world_write(s->c, 8, 2);
    world_write(s->p, 9, 1);
    s->d = world_space(w);
    for (rmap_vpn_t v = 5; v < 10; v++)
        if (v < 7 || v == 9) world_write(s->d, v, 1);
    CHECK(world_swap_out(w, world_page(s->d, 5)));
    s->cached = world_page(s->d, 6);
    world_unmap(w, s->cached, 0);
    world_read(s->d, 6);
    s->shared = world_page(s->p, 7);
    s->own = world_page(s->p, 9);
    world_protect(w, s->own);
    s->f = s->p->mmu.ops->format;
    s->o = rmap_swap_get_ops();
    world_check(w);
}

static void scene_fini(struct scene *s)
{
    world_check(&s->w);
    for (uint64_t i = 0; i < s->w.o.frames; i++) CHECK_OK(rmap_verify_page(s->w.r, world_descriptor(&s->w, i), NULL));
    world_fini(&s->w);
}

static void check_said(int line, int err, const struct rmap_verify_report *is, const char *invariant, const char *words)
{
    if (err != RMAP_ERR_VERIFY || !is->invariant || strcmp(is->invariant, invariant) || !strstr(is->text, words))
        test__fail(__FILE__, line, "expected %s: …%s…, got %s: %s: %s", invariant, words, rmap_error_name(err),
                   is->invariant ? is->invariant : "(null)", is->text);
    if (strchr(is->text, '\n') || strlen(is->text) >= sizeof is->text - 1)
        test__fail(__FILE__, line, "the text is not one short line: %s", is->text);
}

static void check_all(int line, struct world *w, const char *invariant, const char *words)
{
    struct rmap_verify_report report = {.invariant = "unset"};
    int err = rmap_verify(w->r, &report);
    check_said(line, err, &report, invariant, words);
}
#define SAYS(invariant, words) check_all(__LINE__, &s.w, invariant, words)

static void check_page(int line, struct world *w, struct rmap_page *page, const char *invariant, const char *words)
{
    struct rmap_verify_report report = {.invariant = "unset"};
    int err = rmap_verify_page(w->r, page, &report);
    check_said(line, err, &report, invariant, words);
}
#define PAGE_SAYS(page, invariant, words) check_page(__LINE__, &s.w, page, invariant, words)

/* ---- mappings and counts ---- */

RMAP_TEST(verify_reports, counts_are_given_as_they_are_and_as_they_were_found)
{
    struct scene s;
    scene_init(&s);
    s.shared->mapcount++;
    SAYS("INV-2", "has mapcount 3 and 2 mappings");
    PAGE_SAYS(s.shared, "INV-2", "has mapcount 3; 2 mappings are found");
    s.shared->mapcount -= 2;
    SAYS("INV-2", "has mapcount 1 and 2 mappings");
    PAGE_SAYS(s.shared, "INV-2", "has mapcount 1; 2 mappings are found");
    s.shared->mapcount = RMAP_MAPCOUNT_STABLE | 2; /* STABLE is no count */
    world_check(&s.w);
    rmap_pte_t e = world_entry(s.c, 7);
    world_set_entry(s.c, 7, 0);
    SAYS("INV-2", "counts 2 mapped, 0 swapped, 0 moved; found 1, 0, 0");
    s.c->m.mapped--;
    SAYS("INV-2", "has mapcount 2 and 1 mappings");
    PAGE_SAYS(s.shared, "INV-2", "has mapcount 2; 1 mappings are found");
    s.c->m.mapped++;
    world_set_entry(s.c, 7, e);
    RMAP_ATOMIC(uint64_t) * counter[] = {&s.d->m.mapped, &s.d->m.swapped, &s.d->m.moved};
    static const char *const more[] = {"3 mapped, 1 swapped, 0 moved; found 2, 1, 0",
                                       "2 mapped, 2 swapped, 0 moved; found 2, 1, 0",
                                       "2 mapped, 1 swapped, 1 moved; found 2, 1, 0"};
    for (unsigned i = 0; i < 3; i++) {
        ++*counter[i];
        SAYS("INV-2", more[i]);
        *counter[i] -= 2;
        SAYS("INV-2", "found 2, 1, 0");
        ++*counter[i];
    }
    scene_fini(&s);
}

/* 7 of C as no-access and as migration entry: still a mapping; poisoned: none */
RMAP_TEST(verify_reports, no_access_and_migration_entries_are_mappings_and_poison_is_none)
{
    struct scene s;
    scene_init(&s);
    rmap_pte_t e = world_entry(s.c, 7);
    static const enum rmap_pte_kind maps[] = {RMAP_PTE_NO_ACCESS, RMAP_PTE_MIGRATION};
    for (unsigned i = 0; i < 2; i++) {
        world_set_entry(s.c, 7, rmap_pte_to_kind(s.f, e, maps[i]));
        CHECK_OK(rmap_verify(s.w.r, NULL));
        CHECK_OK(rmap_verify_page(s.w.r, s.shared, NULL));
    }
    world_set_entry(s.c, 7, rmap_pte_to_kind(s.f, e, RMAP_PTE_POISON));
    SAYS("INV-2", "counts 2 mapped");
    PAGE_SAYS(s.shared, "INV-2", "1 mappings are found");
    world_set_entry(s.c, 7, e);
    scene_fini(&s);
}

RMAP_TEST(verify_reports, misplaced_mappings_are_given_with_page_number_and_index)
{
    struct scene s;
    scene_init(&s);
    rmap__page_set_index(s.shared, 0x46);
    SAYS("INV-1", "mapped at vpn 0x7, but its index is 0x46");
    PAGE_SAYS(s.shared, "INV-2", "has mapcount 2; 0 mappings are found");
    rmap__page_set_index(s.shared, 7);
    rmap_pte_t e = world_entry(s.p, 7);
    world_set_entry(s.p, 7, 0);
    world_set_entry(s.p, 20, e);
    SAYS("INV-1", "mapped at vpn 0x14, but its index is 0x7");
    world_set_entry(s.p, 20, 0);
    world_set_entry(s.p, 7, e);
    uintptr_t owner = s.shared->owner;
    s.shared->owner = owner & ~RMAP_OWNER_ANON;
    SAYS("INV-1", "mapped at vpn 0x7, but its index is 0x7, owner");
    PAGE_SAYS(s.shared, "INV-2", "0 mappings are found");
    s.shared->owner = owner;
    world_set_entry(s.d, 30, rmap_pte_make(s.f, WORLD_PFN + 256, 0));
    SAYS("INV-1", "vpn 0x1e of member");
    SAYS("INV-1", "maps frame 0x1488, which has no descriptor");
    world_set_entry(s.d, 30, 0);
    scene_fini(&s);
}

/* P's 9, younger than C, in C; and in D, a stranger, with the counts right */
RMAP_TEST(verify_reports, a_mapping_in_a_child_too_old_or_in_another_group_is_found)
{
    struct scene s;
    scene_init(&s);
    s.own->mapcount++;
    s.c->m.mapped++;
    world_set_entry(s.c, 9, world_entry(s.p, 9));
    SAYS("INV-1", "at vpn 0x9 and is no candidate of its owner");
    PAGE_SAYS(s.own, "INV-1", "and is no candidate");
    world_set_entry(s.c, 9, 0);
    s.c->m.mapped--;
    rmap_pte_t e = world_entry(s.d, 9);
    struct rmap_page *page = world_page(s.d, 9);
    world_set_entry(s.d, 9, world_entry(s.p, 9));
    SAYS("INV-1", "at vpn 0x9 and is no candidate of its owner");
    PAGE_SAYS(s.own, "INV-2", "has mapcount 2; 1 mappings are found");
    PAGE_SAYS(page, "INV-2", "has mapcount 1; 0 mappings are found");
    world_set_entry(s.d, 9, e);
    s.own->mapcount--;
    scene_fini(&s);
}

/* D5, E3. The zero page at 30; 7 shared; 6 of D has a copy in its slot */
RMAP_TEST(verify_reports, writable_entries_that_must_not_be_are_found)
{
    struct scene s;
    scene_init(&s);
    world_map_special(s.d, 30);
    world_check(&s.w);
    struct {
        struct world_space *s;
        rmap_vpn_t vpn;
        const char *invariant, *words;
    } wrong[] = {{s.d, 30, "INV-1", "is writable at vpn 0x1e"},
                 {s.c, 7, "exclusive", "writable at vpn 0x7 and mapped 2 times"},
                 {s.d, 6, "INV-3", "is writable at vpn 0x6 and has a swap copy"}};
    for (unsigned i = 0; i < 3; i++) {
        rmap_pte_t e = world_entry(wrong[i].s, wrong[i].vpn);
        world_set_entry(wrong[i].s, wrong[i].vpn, rmap_pte_set(s.f, e, RMAP_ATTR_WRITE, true));
        SAYS(wrong[i].invariant, wrong[i].words);
        world_set_entry(wrong[i].s, wrong[i].vpn, e);
    }
    scene_fini(&s);
}

/* ---- references ---- */

/* 9: its mapping, then a pin; 6 of D: mapping and cache. More are allowed: somebody may hold the page */
RMAP_TEST(verify_reports, pages_with_too_few_references_are_given_with_what_they_need)
{
    struct scene s;
    scene_init(&s);
    s.own->refcount--;
    SAYS("refs", "has 0 references, needs 1");
    s.own->refcount += 3;
    CHECK_OK(rmap_verify(s.w.r, NULL));
    s.own->refcount -= 2;
    CHECK_OK(rmap_page_pin(s.w.r, s.own));
    s.own->refcount--;
    SAYS("refs", "has 1 references, needs 2");
    s.own->refcount++;
    rmap_page_unpin(s.w.r, s.own);
    s.cached->refcount--;
    SAYS("refs", "has 1 references, needs 2");
    s.cached->refcount++;
    scene_fini(&s);
}

/* e0's tag: its epoch, pages 7 and 8.  P's open one: epoch, P, page 9.  D's: epoch, D, pages 6 and 9, slots of 5 and 6 */
RMAP_TEST(verify_reports, tags_with_too_few_references_are_given_with_what_is_in_use)
{
    struct scene s;
    scene_init(&s);
    struct {
        struct rmap__tag *tag;
        uint32_t refs;
        const char *words;
    } wrong[] = {{rmap__owner_tag(rmap_page_owner(s.shared)), 3, "a tag has 2 references, 3 are in use"},
                 {s.p->m.open_tag, 3, "a tag has 2 references, 3 are in use"},
                 {s.d->m.open_tag, 6, "a tag has 5 references, 6 are in use"}};
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(wrong[i].tag->refs, wrong[i].refs);
        wrong[i].tag->refs--;
        SAYS("refs", wrong[i].words);
        wrong[i].tag->refs += 5; /* an embedder may hold some */
        CHECK_OK(rmap_verify(s.w.r, NULL));
        wrong[i].tag->refs -= 4;
    }
    scene_fini(&s);
}

/* C exits: e0 merges into P's open epoch; one of the two tags leads to the other */
RMAP_TEST(verify_reports, a_chain_of_tags_must_lead_through_living_tags_of_one_group)
{
    struct scene s;
    scene_init(&s);
    struct rmap__tag *a = rmap__owner_tag(rmap_page_owner(s.shared)), *b = s.p->m.open_tag;
    world_exit(s.c);
    struct rmap__tag *lower = a->up ? a : b, *upper = lower->up;
    CHECK(upper == (lower == a ? b : a));
    world_check(&s.w);
    struct rmap__group *group = lower->group;
    lower->group = s.d->m.open_tag->group;
    SAYS("refs", "a dead or foreign tag in a chain");
    lower->group = group;
    scene_fini(&s);
}

/* ---- swap ---- */

RMAP_TEST(verify_reports, slots_with_a_wrong_count_are_given_with_both_counts)
{
    struct scene s;
    scene_init(&s);
    CHECK(world_swap_out(&s.w, s.shared)); /* 7 of P and C */
    rmap_swp_t slot = rmap_pte_swp(s.f, world_entry(s.p, 7));
    CHECK_OK(s.o->dup(s.w.swap, slot, 1));
    SAYS("INV-3", "counts 3 entries and has 2");
    s.o->put(s.w.swap, slot, 2);
    SAYS("INV-3", "counts 1 entries and has 2");
    CHECK_OK(s.o->dup(s.w.swap, slot, 1));
    CHECK_OK(s.o->dup(s.w.swap, s.cached->swap, 1)); /* only a clean copy */
    SAYS("INV-3", "counts 1 entries and has 0");
    s.o->put(s.w.swap, s.cached->swap, 1);
    scene_fini(&s);
}

/* 30 of P: slot 60, never used; a device that does not exist; counted, so nothing else is wrong. And without swap */
RMAP_TEST(verify_reports, swap_entries_of_dead_slots_are_given)
{
    struct scene s;
    scene_init(&s);
    const rmap_swp_t dead[] = {rmap_swp_make(1, 60), rmap_swp_make(9, 0)};
    s.p->m.swapped++;
    for (unsigned i = 0; i < 2; i++) {
        world_set_entry(s.p, 30, rmap_pte_make_kind(s.f, RMAP_PTE_SWAP, dead[i], 0));
        SAYS("INV-3", "vpn 0x1e holds swap entry");
        SAYS("INV-3", "whose slot is free");
    }
    world_set_entry(s.p, 30, 0);
    s.p->m.swapped--;
    scene_fini(&s);

    world_init(&s.w, &(struct world_options){.no_swap = true});
    s.p = world_space(&s.w);
    world_write(s.p, 0, 1);
    world_set_entry(s.p, 30, rmap_pte_make_kind(s.f, RMAP_PTE_SWAP, dead[0], 0));
    SAYS("INV-3", "whose slot is free");
    world_set_entry(s.p, 30, 0);
    world_protect(&s.w, world_page(s.p, 0));
    world_page(s.p, 0)->refcount++;
    rmap_page_set_flags(world_page(s.p, 0), RMAP_PAGE_SWAPCACHE);
    SAYS("C2", "is SWAPCACHE, but slot 0 does not cache it");
    rmap_page_clear_flags(world_page(s.p, 0), RMAP_PAGE_SWAPCACHE);
    world_page(s.p, 0)->refcount--;
    world_fini(&s.w);
}

/* 7 on swap in P and C, P moves it to 20. 9 on swap, put into C, a child too old, and D, a stranger, all counted */
RMAP_TEST(verify_reports, misplaced_swap_entries_are_given_with_slot_and_home)
{
    struct scene s;
    scene_init(&s);
    struct rmap_slot_home home;
    CHECK(world_swap_out(&s.w, s.shared));
    CHECK_EQ(world_move(s.p, 7, 20, 1).swap_shared, 1);
    rmap_swp_t slot = rmap_pte_swp(s.f, world_entry(s.p, 20));
    CHECK_OK(s.o->get_home(s.w.swap, slot, &home));
    CHECK(home.moved);
    s.o->set_home(s.w.swap, slot, home.owner, home.index, false);
    SAYS("INV-1", "at vpn 0x14, home 0x7, slot not MOVED");
    s.o->set_home(s.w.swap, slot, home.owner, home.index, true);

    CHECK(world_swap_out(&s.w, s.own));
    slot = rmap_pte_swp(s.f, world_entry(s.p, 9));
    struct world_space *strangers[] = {s.c, s.d};
    for (unsigned i = 0; i < 2; i++) {
        struct rmap_member *m = &strangers[i]->m;
        rmap_pte_t e = world_entry(strangers[i], 9);
        CHECK_OK(s.o->dup(s.w.swap, slot, 1));
        m->swapped++;
        m->mapped -= e != 0;
        world_set_entry(strangers[i], 9, rmap_pte_make_kind(s.f, RMAP_PTE_SWAP, slot, 0));
        SAYS("INV-1", "and is no candidate of the slot's owner");
        world_set_entry(strangers[i], 9, e);
        m->mapped += e != 0;
        m->swapped--;
        s.o->put(s.w.swap, slot, 1);
    }
    scene_fini(&s);
}

/* C2. 7 says that it is cached: in a free slot, in the slot of 6 of D, in none */
RMAP_TEST(verify_reports, C2_a_cached_page_and_its_slot_name_each_other)
{
    struct scene s;
    scene_init(&s);
    const rmap_swp_t slots[] = {rmap_swp_make(1, 60), s.cached->swap, 0};
    rmap_page_set_flags(s.shared, RMAP_PAGE_SWAPCACHE);
    s.shared->refcount++;
    for (unsigned i = 0; i < 3; i++) {
        s.shared->swap = slots[i];
        SAYS("C2", "does not cache it");
    }
    s.shared->swap = 0;
    s.shared->refcount--;
    rmap_page_clear_flags(s.shared, RMAP_PAGE_SWAPCACHE);
    scene_fini(&s);
}

/* 5 of P on swap and cached; its only entry goes while the page is locked: an ORPHAN, which the unlocker frees */
RMAP_TEST(verify_reports, a_cached_page_neither_mapped_nor_on_swap_is_given_unless_it_is_locked)
{
    struct scene s;
    scene_init(&s);
    world_write(s.p, 5, 1);
    struct rmap_page *page = world_page(s.p, 5);
    world_unmap(&s.w, page, 0);
    rmap_page_get(page);
    rmap_page_lock(page);
    world_zap(s.p, 5, 1);
    CHECK(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE);
    CHECK_OK(rmap_verify(s.w.r, NULL));
    CHECK(rmap_page_flags(page) & RMAP_PAGE_ORPHAN);
    page->index_flags &= ~(uint64_t)(RMAP_PAGE_LOCKED | RMAP_PAGE_ORPHAN);
    SAYS("INV-3", "is cached, neither mapped nor on swap");
    page->index_flags |= RMAP_PAGE_LOCKED | RMAP_PAGE_ORPHAN;
    rmap_page_unlock(s.w.r, page);
    CHECK(!(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE));
    rmap_page_put(s.w.r, page);
    scene_fini(&s);
}

/* The slot of 6 of D counts an entry that nobody has, and has no owner */
RMAP_TEST(verify_reports, INV_8_a_slot_of_a_mapped_page_has_an_owner)
{
    struct scene s;
    scene_init(&s);
    const rmap_swp_t slot = s.cached->swap;
    struct rmap_slot_home home;
    CHECK_OK(s.o->get_home(s.w.swap, slot, &home));
    CHECK_OK(s.o->dup(s.w.swap, slot, 1));
    s.o->set_home(s.w.swap, slot, 0, home.index, false);
    SAYS("INV-8", "has no owner");
    s.o->set_home(s.w.swap, slot, home.owner, home.index, false);
    s.o->put(s.w.swap, slot, 1);
    scene_fini(&s);
}

/*  P: [e0: C] [e1: E] [open].  7 of e0 on swap in P, C, E, then read by P: page of the open epoch, slot of e0 */
RMAP_TEST(verify_reports, INV_8_indices_and_candidates_of_page_and_slot_are_compared_epoch_by_epoch)
{
    struct scene s;
    scene_init(&s);
    struct world_space *e = world_fork(s.p);
    world_unmap(&s.w, s.shared, 0);
    world_read(s.p, 7);
    world_check(&s.w);
    const rmap_swp_t slot = s.shared->swap;
    struct rmap_slot_home home;
    CHECK_OK(s.o->get_home(s.w.swap, slot, &home));
    struct rmap__tag *e0 = rmap__owner_tag(home.owner), *e1 = TAILQ_NEXT(e0->epoch, link)->tag;

    s.o->set_home(s.w.swap, slot, home.owner, 8, true); /* C's and E's entries are strangers there */
    s.c->m.moved = e->m.moved = 1;
    SAYS("INV-8", "index 0x7 and 0x8, candidates fit");
    s.c->m.moved = e->m.moved = 0;
    s.o->set_home(s.w.swap, slot, home.owner, 7, false);

    rmap__page_set_owner(s.shared, e1); /* of one node: an older slot is wider, a younger one narrower */
    world_check(&s.w);
    world_zap(s.c, 7, 1);
    s.o->set_home(s.w.swap, slot, rmap__tag_owner(e1), 7, false);
    world_check(&s.w);
    rmap__page_set_owner(s.shared, e0);
    SAYS("INV-8", "index 0x7 and 0x7, candidates do not fit");
    rmap__page_set_owner(s.shared, s.p->m.open_tag);
    world_check(&s.w);
    s.o->set_home(s.w.swap, slot, rmap__tag_owner(e->m.open_tag), 7, false); /* of E, but mapped in P */
    SAYS("INV-8", "candidates do not fit");
    s.o->set_home(s.w.swap, slot, rmap__tag_owner(e1), 7, false);
    scene_fini(&s);
}

/* ---- the tree ---- */

static void hang(struct rmap__node *n, struct rmap__epoch *from, struct rmap__epoch *to)
{
    TAILQ_REMOVE(&from->kids, n, link);
    TAILQ_INSERT_TAIL(&to->kids, n, link);
    n->parent = to;
}

/*  P: [e0: C E] [open] */
RMAP_TEST(verify_reports, each_link_of_the_tree_has_words_of_its_own)
{
    struct scene s;
    scene_init(&s);
    struct rmap__node *p = s.p->m.node, *c = s.c->m.node;
    struct rmap__epoch *closed = TAILQ_FIRST(&p->epochs), *open = TAILQ_NEXT(closed, link);
    struct rmap__tag *tag = closed->tag;
    c->parent = open;
    SAYS("tree", "a child's parent link is wrong");
    c->parent = closed;
    p->kids++;
    SAYS("tree", "a node counts 2 children and has 1");
    p->kids--;
    closed->node = c;
    SAYS("tree", "epoch and tag disagree");
    closed->node = p;
    closed->tag = NULL;
    SAYS("tree", "epoch and tag disagree");
    closed->tag = tag;
    tag->up = open->tag; /* not the top of its set */
    SAYS("tree", "epoch and tag disagree");
    tag->up = NULL;
    tag->epoch = open;
    SAYS("tree", "epoch and tag disagree");
    tag->epoch = closed;
    s.c->m.node = p;
    SAYS("tree", "member and node disagree");
    s.c->m.node = c;
    hang(c, closed, open);
    SAYS("tree", "a closed epoch without children");
    hang(c, open, closed);
    scene_fini(&s);
}

/*  P: [C E] [open] with E at the open epoch; then P is dead, and one child, or both, are missing: counters are right */
RMAP_TEST(verify_reports, children_of_open_epochs_and_thin_dead_nodes_are_given)
{
    struct scene s;
    world_init(&s.w, NULL);
    s.p = world_space(&s.w);
    s.c = world_fork(s.p);
    s.d = world_fork(s.p);
    struct rmap__node *p = s.p->m.node, *d = s.d->m.node;
    struct rmap__epoch *closed = TAILQ_FIRST(&p->epochs), *open = TAILQ_NEXT(closed, link);
    struct rmap__group *g = rmap__member_group(&s.p->m);
    hang(d, closed, open);
    SAYS("tree", "children on an open epoch");
    hang(d, open, closed);
    world_exit(s.p);
    world_check(&s.w);
    TAILQ_REMOVE(&closed->kids, d, link);
    p->kids--;
    g->nodes--;
    g->members--;
    g->epochs--;
    SAYS("tree", "a dead node with 1 children");
    TAILQ_INSERT_TAIL(&closed->kids, d, link);
    p->kids++;
    g->nodes++;
    g->members++;
    g->epochs++;
    d->member = NULL;
    g->members--;
    SAYS("tree", "a dead node with 0 children");
    d->member = &s.d->m;
    g->members++;
    uint64_t *counter[] = {&g->nodes, &g->members, &g->epochs};
    static const char *const more[] = {"counts 4 nodes, 2 members, 4 epochs; found 3, 2, 4",
                                       "counts 3 nodes, 3 members, 4 epochs; found 3, 2, 4",
                                       "counts 3 nodes, 2 members, 5 epochs; found 3, 2, 4"};
    for (unsigned i = 0; i < 3; i++) {
        ++*counter[i];
        SAYS("tree", more[i]);
        --*counter[i];
    }
    world_check(&s.w);
    world_fini(&s.w);
}

/* ---- memory ---- */

/* 200 slots and 200 tags: the tables that count them grow.  0 … 199 of P on swap, a fork after each second one */
RMAP_TEST(verify_reports, without_memory_for_any_of_its_tables_it_says_NOMEM_and_leaks_nothing)
{
    struct world w;
    world_init(&w, &(struct world_options){.frames = 300, .slots = 300});
    struct world_space *p = world_space(&w);
    for (unsigned v = 0; v < 200; v++) {
        world_write(p, v, v + 1);
        CHECK(world_swap_out(&w, world_page(p, v)));
        if (v % 2) world_fork(p);
    }
    const size_t calls = w.alloc.calls, live = w.alloc.live_blocks;
    CHECK_OK(rmap_verify(w.r, NULL));
    const size_t n = w.alloc.calls - calls;
    CHECK_LE(5, n);
    for (size_t i = 1; i <= n; i++) {
        struct rmap_verify_report report = {.invariant = "unset"};
        w.alloc.fail_at = w.alloc.calls + i;
        CHECK_ERR(rmap_verify(w.r, &report), RMAP_ERR_NOMEM);
        CHECK(!report.invariant && !report.text[0]);
        CHECK_EQ(w.alloc.live_blocks, live);
    }
    w.alloc.fail_at = 0;
    world_check(&w);
    world_fini(&w);
}

/* An instance without frames and spaces */
RMAP_TEST(verify_reports, an_empty_instance_is_sound)
{
    struct world w;
    world_init(&w, NULL);
    CHECK_OK(rmap_frames_remove(w.r, WORLD_PFN));
    CHECK_OK(rmap_verify(w.r, NULL));
    world_fini(&w);
}
