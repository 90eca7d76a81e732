/* SPDX-License-Identifier: MIT */
/** @file unit/test_instance.c  Instances, members and groups: how they begin and end, what they refuse, what they count. */
#include "support/no_frames.h"
#include "support/world.h"

#define LIVE(w) ((w)->alloc.live_blocks)

/* H5 */
RMAP_TEST(instance, create_refuses_missing_and_foreign_structs_and_leaves_out_alone)
{
    struct test_alloc t;
    test_alloc_init(&t);
    struct rmap *r = (struct rmap *)8;
    const struct rmap_frame_ops good = {
        .struct_size = sizeof good, .alloc = no_frame, .free = free_frame, .copy = copy_frame};
    struct rmap_frame_ops frames = good;
    struct rmap_swap_ops swap = *rmap_swap_get_ops();
    struct rmap_allocator alloc = t.a;
    struct rmap_options o = {.struct_size = sizeof o, .alloc = &alloc, .frames = &frames, .swap = &swap};

    CHECK_ERR(rmap_create(NULL, &r), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_create(&o, NULL), RMAP_ERR_NULL_ARG);
    o.frames = NULL;
    CHECK_ERR(rmap_create(&o, &r), RMAP_ERR_NULL_ARG);
    o.frames = &frames;
    frames.alloc = NULL;
    CHECK_ERR(rmap_create(&o, &r), RMAP_ERR_NULL_ARG);
    frames = good;
    frames.free = NULL;
    CHECK_ERR(rmap_create(&o, &r), RMAP_ERR_NULL_ARG);
    frames = good;
    frames.copy = NULL;
    CHECK_ERR(rmap_create(&o, &r), RMAP_ERR_NULL_ARG);
    frames = good;

    for (int step = -8; step <= 8; step += 16) {
        o.struct_size = sizeof o + (size_t)step;
        CHECK_ERR(rmap_create(&o, &r), RMAP_ERR_STRUCT_SIZE);
        o.struct_size = sizeof o;
        frames.struct_size = sizeof frames + (size_t)step;
        CHECK_ERR(rmap_create(&o, &r), RMAP_ERR_STRUCT_SIZE);
        frames.struct_size = sizeof frames;
        swap.struct_size = sizeof swap + (size_t)step;
        CHECK_ERR(rmap_create(&o, &r), RMAP_ERR_STRUCT_SIZE);
        swap.struct_size = sizeof swap;
        alloc.struct_size = sizeof alloc + (size_t)step;
        CHECK_ERR(rmap_create(&o, &r), RMAP_ERR_STRUCT_SIZE);
        alloc.struct_size = sizeof alloc;
    }
    alloc.free = NULL;
    CHECK_ERR(rmap_create(&o, &r), RMAP_ERR_NULL_ARG);
    alloc = t.a;
    t.fail_at = t.calls + 1;
    CHECK_ERR(rmap_create(&o, &r), RMAP_ERR_NOMEM);
    CHECK_EQ(r, 8);
    CHECK_EQ(t.live_blocks, 0);

    CHECK_OK(rmap_create(&o, &r));
    CHECK_OK(rmap_destroy(r));
    CHECK_EQ(t.live_blocks, 0);
    CHECK_ERR(rmap_destroy(NULL), RMAP_ERR_NULL_ARG);
}

RMAP_TEST(instance, destroy_is_busy_while_a_member_or_an_owned_page_lives)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space(&w);
    world_write(s, 7, 1);
    struct rmap_page *page = world_page(s, 7);
    CHECK_ERR(rmap_destroy(w.r), RMAP_ERR_BUSY);
    rmap_page_get(page);
    world_exit(s); /* 5000 at 7 has no mapping any more, but an owner */
    CHECK(rmap_page_owner(page));
    CHECK_ERR(rmap_destroy(w.r), RMAP_ERR_BUSY);
    rmap_page_put(w.r, page);
    CHECK_EQ(w.frames_used, 0);
    world_fini(&w);
}

/* The last owner's reference may go long after the group's last member (A12): nothing of the group is left then. */
RMAP_TEST(instance, a_group_lives_as_long_as_its_last_page_and_no_longer)
{
    struct world w;
    world_init(&w, NULL);
    size_t empty = LIVE(&w);
    struct world_space *s = world_space(&w);
    world_write(s, 7, 1);
    struct rmap_page *page = world_page(s, 7);
    rmap_page_get(page);
    world_exit(s);
    CHECK_EQ(LIVE(&w), empty + 2); /* group and tag */
    CHECK_EQ(world_stats(&w).members, 0);
    CHECK_EQ(world_stats(&w).tags, 1);
    rmap_page_lock(page);
    struct rmap_result res;
    CHECK_OK(rmap_referenced(w.r, &page, 1, 0, &res));
    CHECK_EQ(res.outcome, RMAP_DONE);
    CHECK_EQ(res.visits, 0);
    rmap_page_unlock(w.r, page);
    rmap_page_put(w.r, page);
    world_exit(world_space(&w)); /* somebody who holds the exclusive lock passes by */
    CHECK_EQ(LIVE(&w), empty);
    CHECK_EQ(world_stats(&w).tags, 0);
    CHECK_EQ(world_stats(&w).tree_bytes, 0);
    world_fini(&w);
}

/* H5, H1 */
RMAP_TEST(instance, member_init_refuses_inconsistent_mmus)
{
    struct world w;
    world_init(&w, NULL);
    size_t before = LIVE(&w);
    struct world_space *s = world_space_blank(&w);
    struct rmap_mmu_ops ops = *s->mmu.ops;
    struct rmap_mmu mmu = {.ops = &ops, .ctx = s->mmu.ctx, .pages = s->mmu.pages};
    struct rmap_member m = {.user = &w}, untouched = m;

    CHECK_ERR(rmap_member_init(NULL, &m, &mmu), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_member_init(w.r, NULL, &mmu), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_member_init(w.r, &m, NULL), RMAP_ERR_NULL_ARG);
    mmu.ops = NULL;
    CHECK_ERR(rmap_member_init(w.r, &m, &mmu), RMAP_ERR_NULL_ARG);
    mmu.ops = &ops;
    ops.struct_size++;
    CHECK_ERR(rmap_member_init(w.r, &m, &mmu), RMAP_ERR_STRUCT_SIZE);
    ops = *s->mmu.ops;
#define REFUSED_WITHOUT(op)                                             \
    ops.op = NULL;                                                      \
    CHECK_ERR(rmap_member_init(w.r, &m, &mmu), RMAP_ERR_NULL_ARG);      \
    ops = *s->mmu.ops
    REFUSED_WITHOUT(run_find);
    REFUSED_WITHOUT(run_make);
    REFUSED_WITHOUT(run_unlock);
    REFUSED_WITHOUT(reserve);
    REFUSED_WITHOUT(unreserve);
    REFUSED_WITHOUT(flush); /* there is a TLB */
    REFUSED_WITHOUT(run_peek); /* both or none */
    REFUSED_WITHOUT(run_lock);
    REFUSED_WITHOUT(format);
    mmu.pages = 0;
    CHECK_ERR(rmap_member_init(w.r, &m, &mmu), RMAP_ERR_INVALID);
    mmu.pages = RMAP_VPN_MAX + 1;
    CHECK_ERR(rmap_member_init(w.r, &m, &mmu), RMAP_ERR_INVALID);
    mmu.pages = s->mmu.pages;
    struct rmap_pte_format format = *ops.format;
    format.attr[RMAP_ATTR_WRITE].mask |= rmap_pte_payload_mask(&format);
    ops.format = &format;
    CHECK_ERR(rmap_member_init(w.r, &m, &mmu), RMAP_ERR_INVALID);
    CHECK(memcmp(&m, &untouched, sizeof m) == 0);
    world_space_free(s);
    CHECK_EQ(LIVE(&w), before);
    world_fini(&w);
}

RMAP_TEST(instance, member_init_without_memory_leaves_nothing)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space_blank(&w);
    size_t before = LIVE(&w), n = 0;
    for (;; n++) {
        w.alloc.fail_at = w.alloc.calls + n + 1;
        int err = rmap_member_init(w.r, &s->m, &s->mmu);
        if (!err) break;
        CHECK_ERR(err, RMAP_ERR_NOMEM);
        CHECK_EQ(LIVE(&w), before);
        CHECK_EQ(world_stats(&w).nodes, 0);
    }
    w.alloc.fail_at = 0;
    CHECK_EQ(n, 4); /* node, epoch, tag, group */
    CHECK(s->m.user == s);
    CHECK_OK(rmap_member_leave(&s->m));
    CHECK_EQ(LIVE(&w), before);
    world_space_free(s);
    world_fini(&w);
}

/* H2 */
RMAP_TEST(instance, leave_refuses_entries_forks_and_strangers)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space(&w);
    struct world_space *c = world_space_blank(&w);
    CHECK_ERR(rmap_member_leave(NULL), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_member_leave(&c->m), RMAP_ERR_DEAD);
    world_write(s, 7, 1);
    CHECK_ERR(rmap_member_leave(&s->m), RMAP_ERR_BUSY);
    CHECK(world_swap_out(&w, world_page(s, 7)));
    CHECK_EQ(s->m.mapped, 0);
    CHECK_ERR(rmap_member_leave(&s->m), RMAP_ERR_BUSY); /* a swap entry is an entry */
    world_zap(s, 7, 1);
    struct rmap_fork f;
    CHECK_OK(rmap_fork_begin(&s->m, &c->m, &c->mmu, &f));
    CHECK_ERR(rmap_member_leave(&s->m), RMAP_ERR_BUSY);
    rmap_fork_abort(&f);
    CHECK_ERR(rmap_member_leave(&c->m), RMAP_ERR_DEAD);
    CHECK_EQ(rmap_group_members(&s->m), 1);
    world_space_free(c);
    world_exit(s);
    world_fini(&w);
}

/* H2: what is asked of, or done to, a space that is no member */
RMAP_TEST(instance, dead_members_are_refused_everywhere)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *s = world_space(&w), *dead = world_space_blank(&w), *child = world_space_blank(&w);
    world_write(s, 7, 1);
    struct rmap_page *page = world_page(s, 7);
    struct rmap_group_shape shape;
    struct rmap_fork f;
    CHECK_ERR(rmap_group_get_shape(&dead->m, &shape), RMAP_ERR_DEAD);
    CHECK_EQ(rmap_group_members(&dead->m), 0);
    CHECK_EQ(rmap_group_members(NULL), 0);
    CHECK_EQ(rmap_member_home(&dead->m), 0);
    CHECK_EQ(rmap_member_home(NULL), 0);
    CHECK(!rmap_member_is_candidate(&dead->m, page));
    CHECK_ERR(rmap_fork_begin(&dead->m, &child->m, &child->mmu, &f), RMAP_ERR_DEAD);
    CHECK_ERR(rmap_zap(&dead->m, 0, 1, NULL), RMAP_ERR_DEAD);
    CHECK_ERR(rmap_protect(&dead->m, 0, 1, RMAP_PROTECT_NO_WRITE), RMAP_ERR_DEAD);
    CHECK_ERR(rmap_move(&dead->m, 0, 8, 1, NULL), RMAP_ERR_DEAD);
    CHECK_ERR(rmap_member_trim(&dead->m, 0, 1), RMAP_ERR_DEAD);
    CHECK_ERR(rmap_page_dup(&dead->m, &page, 1), RMAP_ERR_DEAD);
    CHECK_EQ(rmap_page_mapcount(page), 1);
    CHECK_ERR(rmap_group_get_shape(NULL, &shape), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_group_get_shape(&s->m, NULL), RMAP_ERR_NULL_ARG);
    CHECK(!rmap_member_is_candidate(NULL, page));
    CHECK(!rmap_member_is_candidate(&s->m, NULL));
    CHECK(rmap_member_is_candidate(&s->m, page));
    world_space_free(child);
    world_space_free(dead);
    world_check(&w);
    world_fini(&w);
}

/* two groups: a page of one is nobody's business in the other */
RMAP_TEST(instance, groups_and_instances_are_strangers)
{
    struct world w, v;
    world_init(&w, NULL);
    world_init(&v, NULL);
    struct world_space *a = world_space(&w), *b = world_space(&w), *c = world_space(&v);
    world_write(a, 7, 1);
    CHECK(rmap_member_is_candidate(&a->m, world_page(a, 7)));
    CHECK(!rmap_member_is_candidate(&b->m, world_page(a, 7)));
    CHECK_EQ(rmap_group_members(&a->m), 1);
    /* H2: a descriptor of another instance */
    struct rmap_page *page = world_page(a, 7);
    struct rmap_result res = {.hits = 99};
    CHECK_EQ(rmap_page_pfn(v.r, page), RMAP_PFN_NONE);
    CHECK_ERR(rmap_referenced(v.r, &page, 1, 0, &res), RMAP_ERR_UNKNOWN_PAGE);
    CHECK_EQ(res.hits, 99);
    world_write(c, 7, 2);
    CHECK_EQ(world_stats(&v).mappings, 1);
    world_fini(&w);
    world_check(&v);
    world_fini(&v);
}

/* exec: the space leaves, its MMU starts a new group; the child stays where it was (A5, without the race) */
RMAP_TEST(instance, exec_is_leaving_and_starting_again)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 1);
    struct world_space *c = world_fork(p);
    world_zap(c, 0, c->mmu.pages);
    CHECK_OK(rmap_member_leave(&c->m));
    CHECK_OK(rmap_member_init(w.r, &c->m, &c->mmu));
    world_write(c, 7, 2);
    CHECK_EQ(world_mappers(&w, world_page(p, 7)), 1);
    CHECK_EQ(world_mappers(&w, world_page(c, 7)), 2);
    CHECK(!rmap_member_is_candidate(&c->m, world_page(p, 7)));
    CHECK_EQ(rmap_group_members(&p->m), 1);
    world_check(&w);
    world_fini(&w);
}

RMAP_TEST(instance, stats_count_walks_by_verb_and_by_mappers)
{
    static const uint32_t top[] = {0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 64, 65, 128, RMAP_MAPCOUNT_MAX};
    static const unsigned class[] = {0, 0, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 7};
    for (unsigned i = 0; i < sizeof top / sizeof *top; i++) CHECK_EQ(rmap_mapper_class(top[i]), class[i]);

    struct world w;
    world_init(&w, NULL);
    CHECK_ERR(rmap_stats_get(NULL, &(struct rmap_stats){0}), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_stats_get(w.r, NULL), RMAP_ERR_NULL_ARG);
    struct world_space *p = world_space(&w);
    for (rmap_vpn_t v = 7; v < 10; v++) world_write(p, v, 1);
    CHECK_OK(rmap_free_lazily(&p->m, 8, 1, NULL));
    for (unsigned i = 0; i < 4; i++) world_fork(p);
    struct rmap_page *page = world_page(p, 7), *freed = world_page(p, 8), *lost = world_page(p, 9);
    struct rmap_result res;
    world_look(&w, page); /* five mappers */
    world_referenced(&w, page);
    world_protect(&w, page);
    world_mappers(&w, page);
    CHECK_EQ(world_migrate(&w, page, &page).outcome, RMAP_DONE); /* two walks */
    world_unmap(&w, page, 0);
    rmap_page_get(freed);
    rmap_page_lock(freed);
    CHECK_OK(rmap_discard(w.r, &freed, 1, 0, &res));
    rmap_page_unlock(w.r, freed);
    rmap_page_put(w.r, freed);
    rmap_page_get(lost);
    rmap_page_lock(lost);
    CHECK_OK(rmap_poison(w.r, &lost, 1, 0, NULL, NULL, &res));
    rmap_page_unlock(w.r, lost);
    rmap_page_put(w.r, lost);
    struct rmap_stats st = world_stats(&w);
    for (unsigned v = 0; v < RMAP_WALK_VERBS; v++) {
        CHECK_EQ(st.walk[v][3].walks, 1);
        CHECK_EQ(st.walk[v][3].visits, 5);
        CHECK_EQ(st.walk[v][3].nodes, 5);
        CHECK_EQ(st.walk[v][3].hits, 5);
        CHECK_EQ(st.walk[v][0].walks, 0);
    }
    CHECK_EQ(st.forks, 4);
    CHECK_EQ(st.fork_entries, 12);
    CHECK_EQ(st.members, 5);
    CHECK_EQ(st.nodes, 5);
    CHECK_EQ(st.epochs, 6); /* the parent's closed one */
    CHECK_EQ(st.tags, 6);
    CHECK_EQ(st.mappings, 0);
    CHECK_EQ(st.mappings_peak, 15);
    CHECK_EQ(st.migrated, 1);
    CHECK_EQ(st.discarded, 1);
    CHECK_EQ(st.poisoned, 1);
    CHECK_EQ(st.walks_incomplete + st.walks_partial + st.first_lookups.walks, 0);
    world_check(&w);
    world_fini(&w);
}

static void write_all(struct world_space *s, rmap_vpn_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) world_write(s, first + i, first + i);
}
static void swap_out_all(struct world *w, struct world_space *s, rmap_vpn_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) CHECK(world_swap_out(w, world_page(s, first + i)));
}

/* P moves three pages of its own, four that are on swap; after a fork two that are shared, five that are shared on swap, and,
 * under TRACK, one: each number is different, so no counter can be taken for another. */
RMAP_TEST(instance, stats_count_what_forks_and_moves_did)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    write_all(p, 0, 7);
    write_all(p, 10, 2);
    write_all(p, 20, 5);
    write_all(p, 30, 1);
    swap_out_all(&w, p, 3, 4);
    world_move(p, 0, 100, 3);
    world_move(p, 3, 110, 4);
    struct world_space *c = world_fork(p);
    swap_out_all(&w, c, 20, 5);
    world_move(p, 10, 120, 2);
    world_move(p, 20, 130, 5);
    CHECK_OK(rmap_member_set_policy(&p->m, RMAP_MOVE_POLICY_TRACK));
    world_move(p, 30, 140, 1);
    struct rmap_stats st;
    CHECK_OK(rmap_stats_get(w.r, &st));
    CHECK_EQ(st.moved_reindexed, 3);
    CHECK_EQ(st.moved_swap, 4);
    CHECK_EQ(st.moved_copied, 2);
    CHECK_EQ(st.moved_swap_shared, 5);
    CHECK_EQ(st.moved_tracked, 1);
    CHECK_EQ(st.forks, 1);
    CHECK_EQ(st.fork_entries, 15);
    CHECK_EQ(st.fork_copied, 0);
    CHECK_EQ(st.track_records, 1);
    world_check(&w);
    world_fini(&w);
}

/* P, which wrote 7, has gone; C and D map it: its node is passed, and no space is looked into there. */
RMAP_TEST(instance, stats_tell_nodes_from_spaces)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c;
    world_write(p, 7, 70);
    c = world_fork(p);
    world_fork(p);
    world_exit(p);
    const struct rmap_stats before = world_stats(&w);
    struct rmap_result res = world_look(&w, world_page(c, 7));
    CHECK(res.visits == 2 && res.nodes == 3 && res.hits == 2 && !res.tightened);
    const struct rmap_stats st = world_stats(&w);
    const unsigned two = rmap_mapper_class(2);
    CHECK_EQ(st.walk[RMAP_WALK_LOOK][two].walks - before.walk[RMAP_WALK_LOOK][two].walks, 1);
    CHECK_EQ(st.walk[RMAP_WALK_LOOK][two].visits - before.walk[RMAP_WALK_LOOK][two].visits, 2);
    CHECK_EQ(st.walk[RMAP_WALK_LOOK][two].nodes - before.walk[RMAP_WALK_LOOK][two].nodes, 3);
    CHECK_EQ(st.walk[RMAP_WALK_LOOK][two].hits - before.walk[RMAP_WALK_LOOK][two].hits, 2);
    world_fini(&w);
}
