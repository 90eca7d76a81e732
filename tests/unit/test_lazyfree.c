/* SPDX-License-Identifier: MIT */
/** @file unit/test_lazyfree.c  free_lazily and discard: contents may vanish until they are written, and not one moment
 * longer (D6). */
#include "support/other_thread.h"
#include "support/world.h"

#define ATTR(a) (1u << RMAP_ATTR_##a)

static struct world w;

static struct rmap_freed free_lazily(struct world_space *s, rmap_vpn_t first, uint64_t count)
{
    struct rmap_freed out;
    CHECK_OK(rmap_free_lazily(&s->m, first, count, &out));
    return out;
}

static struct rmap_result discard(struct rmap_page *page, unsigned flags)
{
    struct rmap_result res;
    rmap_page_get(page);
    rmap_page_lock(page);
    CHECK_OK(rmap_discard(w.r, &page, 1, flags, &res));
    rmap_page_unlock(w.r, page);
    rmap_page_put(w.r, page);
    return res;
}

static unsigned discardable(const struct rmap_page *page)
{
    return rmap_page_flags(page) & (RMAP_PAGE_DISCARDABLE | RMAP_PAGE_DIRTY);
}

static uint64_t slots_used(void)
{
    struct rmap_swap_stats st;
    CHECK_OK(rmap_swap_get_stats(w.swap, &st));
    return st.slots_used;
}

/* page 7 of P, in every format: read before and after the discard, and never through a stale translation */
static void life(const struct rmap_radix_geometry *geometry, bool no_slots)
{
    world_init(&w, &(struct world_options){.geometry = geometry, .no_slots = no_slots});
    struct world_space *p = world_space(&w);
    const unsigned soft_dirty = geometry->format->attr[RMAP_ATTR_SOFT_DIRTY].mask ? ATTR(SOFT_DIRTY) : 0;
    world_write(p, 7, 70);
    struct rmap_page *page = world_page(p, 7);
    struct rmap_freed out = free_lazily(p, 0, p->mmu.pages);
    CHECK_EQ(out.marked, 1);
    CHECK_EQ(out.dropped.mappings + out.dropped.swaps + out.dropped.others, 0);
    CHECK_EQ(discardable(page), RMAP_PAGE_DISCARDABLE);
    CHECK_EQ(world_kind(p, 7), RMAP_PTE_PRESENT);
    CHECK_EQ(rmap_pte_attrs(geometry->format, world_entry(p, 7)), soft_dirty);
    CHECK(!world_tlb_find(p, 7));
    CHECK_EQ(world_read(p, 7), 70); /* not gone yet */
    world_check(&w);
    CHECK(world_tlb_find(p, 7));
    struct rmap_result res = discard(page, 0);
    CHECK_EQ(res.outcome, RMAP_DONE);
    CHECK_EQ(res.hits, 1);
    CHECK_EQ(world_entry(p, 7), 0);
    CHECK_EQ(w.frames_used, 0);
    CHECK_EQ(p->m.mapped, 0);
    CHECK_EQ(world_read(p, 7), 0);
    CHECK_EQ(world_stats(&w).discarded, 1);
    CHECK_EQ(slots_used(), 0);
    world_write(p, 7, 71);
    CHECK_EQ(world_read(p, 7), 71);
    world_check(&w);
    world_fini(&w);
}
RMAP_TEST(lazyfree, radix_x86_64)
{
    life(&rmap_radix_x86_64, false);
}
RMAP_TEST(lazyfree, radix_sv39)
{
    life(&rmap_radix_sv39, false);
}
RMAP_TEST(lazyfree, radix_sv48)
{
    life(&rmap_radix_sv48, false);
}
RMAP_TEST(lazyfree, radix_aarch64_4k)
{
    life(&rmap_radix_aarch64_4k, false);
}
RMAP_TEST(lazyfree, radix_aarch64_16k)
{
    life(&rmap_radix_aarch64_16k, false);
}
RMAP_TEST(lazyfree, radix_aarch64_64k)
{
    life(&rmap_radix_aarch64_64k, false);
}
RMAP_TEST(lazyfree, radix_soft)
{
    life(&rmap_radix_soft, false);
}
RMAP_TEST(lazyfree, entries_behind_functions)
{
    life(&rmap_radix_soft, true);
}

/* D6. page 7 written again after it was freed: it stays, whatever asks for it, until it is freed once more */
RMAP_TEST(lazyfree, D6_what_is_written_afterwards_stays)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_write(p, 7, 70);
    struct rmap_page *page = world_page(p, 7);
    free_lazily(p, 7, 1);
    world_write(p, 7, 71);
    CHECK(world_page(p, 7) == page); /* taken back in place */
    CHECK_EQ(discardable(page), RMAP_PAGE_DIRTY);
    struct rmap_result res = discard(page, 0);
    CHECK_EQ(res.outcome, RMAP_PARTIAL);
    CHECK_EQ(res.reason, RMAP_REASON_DIRTY);
    CHECK_EQ(res.hits, 0);
    CHECK_EQ(world_read(p, 7), 71);
    CHECK(world_swap_out(&w, page)); /* an ordinary page */
    CHECK_EQ(world_read(p, 7), 71);
    free_lazily(p, 7, 1);
    CHECK_EQ(slots_used(), 0); /* the clean copy is given up */
    page = world_page(p, 7);
    CHECK_EQ(discardable(page), RMAP_PAGE_DISCARDABLE);
    world_check(&w);
    CHECK_EQ(discard(page, 0).outcome, RMAP_DONE);
    CHECK_EQ(world_read(p, 7), 0);
    world_check(&w);
    world_fini(&w);
}

/* D6. page 7 is given write access, or dirtied, past rmap_page_reuse: before the look, and between look and exchange */
RMAP_TEST(lazyfree, D6_written_without_a_fault)
{
    static const struct {
        bool late, flag;
        unsigned attrs;
    } cases[] = {{false, false, ATTR(DIRTY)},
                 {false, false, ATTR(WRITE)},
                 {true, false, ATTR(DIRTY)},
                 {true, false, ATTR(WRITE)},
                 {false, true, 0}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        world_init(&w, &(struct world_options){.no_slots = true});
        struct world_space *p = world_space(&w);
        const struct rmap_pte_format *f = p->mmu.ops->format;
        world_write(p, 7, 70);
        struct rmap_page *page = world_page(p, 7);
        free_lazily(p, 7, 1);
        if (cases[i].late) {
            p->hardware_vpn = 7; /* with the look, so that it is found by the exchange */
            p->hardware_attrs = cases[i].attrs;
        } else if (cases[i].flag) {
            rmap_page_set_flags(page, RMAP_PAGE_DIRTY);
        } else {
            world_set_entry(p, 7, world_entry(p, 7) | rmap_pte__attrs(f, cases[i].attrs));
        }
        struct rmap_result res = discard(page, 0);
        CHECK(!cases[i].late || p->hardware_did);
        CHECK_EQ(res.outcome, RMAP_PARTIAL);
        CHECK_EQ(res.reason, RMAP_REASON_DIRTY);
        CHECK_EQ(discardable(page), RMAP_PAGE_DIRTY);
        CHECK_EQ(rmap_pte_attrs(f, world_entry(p, 7)) & (ATTR(WRITE) | ATTR(DIRTY)), cases[i].attrs);
        CHECK_EQ(world_read(p, 7), 70);
        CHECK_EQ(discard(page, 0).reason, RMAP_REASON_DIRTY);
        world_check(&w);
        world_fini(&w);
    }
}

/* D6, D4. When free_lazily lets go of the run, no translation that allows to write is left: a store now faults, and is
 * kept. When discard does, none is left at all. */
static struct world_space *looked_at;
static unsigned looks, stale;
static void (*world_unlock)(void *mmu, struct rmap_mmu_run *run);
static void look_at_tlb(void *mmu, struct rmap_mmu_run *run)
{
    const struct world_cached *c = world_tlb_find(looked_at, 7);
    looks++;
    stale += c && (c->write || !world_entry(looked_at, 7));
    world_unlock(mmu, run);
}
RMAP_TEST(lazyfree, D6_no_translation_that_matters_outlives_the_run_lock)
{
    world_init(&w, &(struct world_options){.caps = RMAP_MMU_ACCESSED_EXACT});
    looked_at = world_space(&w);
    world_write(looked_at, 7, 70);
    CHECK(world_tlb_find(looked_at, 7)->write);
    looks = stale = 0;
    world_unlock = w.ops.run_unlock;
    w.ops.run_unlock = look_at_tlb;
    free_lazily(looked_at, 7, 1);
    CHECK_EQ(looks, 1);
    CHECK_EQ(stale, 0);
    CHECK(!world_tlb_find(looked_at, 7)); /* where accessed says what is cached, nothing is */
    CHECK_EQ(world_read(looked_at, 7), 70);
    CHECK_EQ(discard(world_page(looked_at, 7), 0).outcome, RMAP_DONE);
    w.ops.run_unlock = world_unlock;
    CHECK_EQ(stale, 0);
    world_check(&w);
    world_fini(&w);
}

/* P pages: 0 own, 1 shared with C, 2 on swap, 3 own but its page lock is taken, 4 pinned, 5 special, 6 poison, 7 under
 * way, 8 no-access, 9 shared slot */
RMAP_TEST(lazyfree, what_is_not_ours_alone_goes_at_once)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    const struct rmap_pte_format *f = p->mmu.ops->format;
    struct rmap_page *page[10];
    struct rmap_result res;
    world_write(p, 1, 1);
    world_write(p, 9, 9);
    struct world_space *c = world_fork(p);
    static const rmap_vpn_t own[] = {0, 2, 3, 4, 7, 8};
    for (unsigned i = 0; i < 6; i++) world_write(p, own[i], own[i]);
    for (rmap_vpn_t v = 0; v < 10; v++) page[v] = world_page(p, v);
    CHECK(world_swap_out(&w, page[2]));
    CHECK(world_swap_out(&w, page[9]));
    CHECK_EQ(world_read(p, 9), 9); /* P maps it, C has an entry */
    AS_ANOTHER_THREAD(rmap_page_lock(page[3]));
    CHECK_OK(rmap_page_pin(w.r, page[4]));
    world_map_special(p, 5);
    world_set_entry(p, 6, rmap_pte_make_kind(f, RMAP_PTE_POISON, 1, 0));
    rmap_page_get(page[7]);
    AS_ANOTHER_THREAD(rmap_page_lock(page[7]));
    CHECK_OK(rmap_migrate_begin(w.r, &page[7], 1, 0, &res));
    CHECK_OK(rmap_protect(&p->m, 8, 1, RMAP_PROTECT_NO_ACCESS));
    rmap_page_get(page[3]);

    struct rmap_freed out = free_lazily(p, 0, 20);
    CHECK_EQ(out.marked, 2); /* 0, 8 */
    CHECK_EQ(out.dropped.mappings, 5);
    CHECK_EQ(out.dropped.swaps, 1);
    CHECK_EQ(out.dropped.others, 1);
    CHECK_EQ(discardable(page[0]), RMAP_PAGE_DISCARDABLE);
    CHECK_EQ(discardable(page[8]), RMAP_PAGE_DISCARDABLE);
    CHECK_EQ(world_kind(p, 8), RMAP_PTE_NO_ACCESS);
    CHECK_EQ(world_kind(p, 5), RMAP_PTE_PRESENT);
    for (rmap_vpn_t v = 1; v < 10; v++)
        if (v != 5 && v != 8) CHECK_EQ(world_entry(p, v), 0);
    CHECK_EQ(world_read(c, 1), 1);
    CHECK(!(rmap_page_flags(page[1]) & RMAP_PAGE_DISCARDABLE));
    CHECK_EQ(world_read(c, 9), 9);
    CHECK(!(rmap_page_flags(page[3]) & RMAP_PAGE_DISCARDABLE) && !(rmap_page_flags(page[4]) & RMAP_PAGE_DISCARDABLE));

    CHECK_OK(rmap_migrate_end(w.r, &page[7], NULL, 1, 0, &res));
    rmap_page_unlock(w.r, page[3]);
    rmap_page_unlock(w.r, page[7]);
    rmap_page_put(w.r, page[3]);
    rmap_page_put(w.r, page[7]);
    rmap_page_unpin(w.r, page[4]);
    CHECK_EQ(discard(page[8], 0).outcome, RMAP_DONE); /* no-access and clean: goes, too */
    CHECK_EQ(world_entry(p, 8), 0);
    world_check(&w);
    world_fini(&w);
}

/* page 7 freed in P, then forked: still discardable, in both. C writes: its copy is kept. Then P's goes alone */
RMAP_TEST(lazyfree, forks_share_it_and_a_writer_gets_a_copy)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c, *d;
    world_write(p, 7, 70);
    free_lazily(p, 7, 1);
    c = world_fork(p);
    d = world_fork(p);
    struct rmap_page *page = world_page(p, 7);
    CHECK_EQ(discardable(page), RMAP_PAGE_DISCARDABLE);
    CHECK_EQ(world_read(c, 7) + world_read(d, 7) + world_read(p, 7), 210);
    world_store(c, 7, 71);
    CHECK(world_page(c, 7) != page);
    CHECK_EQ(discardable(page), RMAP_PAGE_DISCARDABLE);
    CHECK_EQ(discardable(world_page(c, 7)), RMAP_PAGE_DIRTY);
    world_check(&w);
    struct rmap_result res = discard(page, 0);
    CHECK_EQ(res.outcome, RMAP_DONE);
    CHECK_EQ(res.hits, 2);
    CHECK_EQ(world_read(p, 7) + world_read(d, 7), 0);
    CHECK_EQ(world_read(c, 7), 71);
    CHECK_EQ(w.frames_used, 1);
    world_check(&w);
    world_fini(&w);
}

/* P's entry is dirty past the fault, then forked: C inherits what was written. The walk meets P first, so nobody loses
 * it */
RMAP_TEST(lazyfree, D6_who_inherited_what_was_written_does_not_lose_it)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c;
    world_write(p, 7, 70);
    free_lazily(p, 7, 1);
    world_set_entry(p, 7, world_entry(p, 7) | rmap_pte__attrs(p->mmu.ops->format, ATTR(DIRTY)));
    c = world_fork(p);
    CHECK(!world_attr(c, 7, RMAP_ATTR_DIRTY));
    struct rmap_result res = discard(world_page(p, 7), 0);
    CHECK_EQ(res.reason, RMAP_REASON_DIRTY);
    CHECK_EQ(res.hits, 0);
    CHECK_EQ(world_read(c, 7), 70);
    world_fini(&w);
}

/* page 7 of P, C, D: young in D, locked in C, pinned, under way: each stops the walk where it is met; then it goes */
RMAP_TEST(lazyfree, what_stops_a_discard)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w), *c, *d;
    world_write(p, 7, 70);
    free_lazily(p, 7, 1);
    struct rmap_page *page = world_page(p, 7);
    CHECK_OK(rmap_page_pin(w.r, page));
    CHECK_EQ(discard(page, 0).reason, RMAP_REASON_PINNED);
    rmap_page_unpin(w.r, page);
    c = world_fork(p);
    d = world_fork(p);
    struct rmap_result res;
    rmap_page_lock(page);
    CHECK_OK(rmap_migrate_begin(w.r, &page, 1, 0, &res));
    rmap_page_get(page);
    CHECK_OK(rmap_discard(w.r, &page, 1, 0, &res));
    CHECK_EQ(res.reason, RMAP_REASON_MIGRATING);
    rmap_page_put(w.r, page);
    CHECK_OK(rmap_migrate_end(w.r, &page, NULL, 1, 0, &res));
    rmap_page_unlock(w.r, page);

    CHECK_EQ(world_read(d, 7), 70);
    CHECK_OK(rmap_protect(&c->m, 7, 1, RMAP_PROTECT_LOCK));
    res = discard(page, RMAP_SPARE_YOUNG);
    CHECK_EQ(res.outcome, RMAP_PARTIAL);
    CHECK_EQ(res.reason, RMAP_REASON_LOCKED);
    CHECK_EQ(res.hits, 1);
    CHECK_EQ(world_read(p, 7), 0); /* P's is gone, as it may */
    CHECK_EQ(world_read(c, 7) + world_read(d, 7), 140);
    CHECK_EQ(discardable(page), RMAP_PAGE_DISCARDABLE);
    world_check(&w);
    world_set_entry(c, 7, rmap_pte_set(c->mmu.ops->format, world_entry(c, 7), RMAP_ATTR_ACCESSED, false));
    CHECK(world_attr(d, 7, RMAP_ATTR_ACCESSED));
    res = discard(page, RMAP_SPARE_YOUNG | RMAP_IGNORE_LOCKED);
    CHECK_EQ(res.reason, RMAP_REASON_YOUNG);
    CHECK_EQ(world_entry(c, 7), 0);
    CHECK_EQ(discard(page, 0).outcome, RMAP_DONE);
    CHECK_EQ(w.frames_used, 0);
    world_check(&w);
    world_fini(&w);
}

/* H1, H2. A huge entry at 9: everything before it is done */
RMAP_TEST(lazyfree, arguments_and_huge_entries)
{
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    struct rmap_freed out;
    struct rmap_result res;
    struct rmap_page stranger = {0}, *page = &stranger;
    CHECK_ERR(rmap_free_lazily(NULL, 0, 1, &out), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_free_lazily(&p->m, 0, 0, &out), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_free_lazily(&p->m, p->mmu.pages, 1, &out), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_free_lazily(&p->m, 1, UINT64_MAX, &out), RMAP_ERR_RANGE);
    CHECK_ERR(rmap_discard(NULL, &page, 1, 0, &res), RMAP_ERR_NULL_ARG);
    CHECK_ERR(rmap_discard(w.r, &page, 1, 0, &res), RMAP_ERR_UNKNOWN_PAGE);
    CHECK_ERR(rmap_discard(w.r, NULL, 1, 0, &res), RMAP_ERR_NULL_ARG);
    world_write(p, 7, 7);
    page = world_page(p, 7);
    CHECK_ERR(rmap_discard(w.r, &page, 1, RMAP_KEEP_ACCESSED, &res), RMAP_ERR_INVALID);
    CHECK_EQ(discard(page, 0).reason, RMAP_REASON_DIRTY); /* never freed */
    p->blocked = true;
    p->block = 1000;
    CHECK_ERR(rmap_free_lazily(&p->m, 0, 2000, &out), RMAP_ERR_BLOCK);
    CHECK_EQ(out.marked, 1);
    p->blocked = false;
    world_check(&w);
    struct world_space *blank = world_space_blank(&w);
    CHECK_ERR(rmap_free_lazily(&blank->m, 0, 1, NULL), RMAP_ERR_DEAD);
    world_space_free(blank);
    CHECK_OK(rmap_free_lazily(&p->m, 0, 1, NULL));
    world_fini(&w);
}
