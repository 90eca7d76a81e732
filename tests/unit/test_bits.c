/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_bits.c  Bits of entries while something else happens to them: locked in the middle of a batch (D1), accessed and
 * dirty at the worst moment (D2, D3), writable translations at the start of I/O (D4), special frames (D5), software bits (D7).
 */
#include "support/world.h"

#include <core/core.h>

#define ATTR(a) (1u << RMAP_ATTR_##a)

static void hold(struct rmap_page *page)
{
    rmap_page_get(page);
    CHECK(rmap_page_try_lock(page));
}
static void release(struct world *w, struct rmap_page *page)
{
    rmap_page_unlock(w->r, page);
    rmap_page_put(w->r, page);
}
static void set_attrs(struct world_space *s, rmap_vpn_t vpn, unsigned attrs)
{
    rmap_pte_t e = world_entry(s, vpn);
    static const enum rmap_pte_attr set[] = {RMAP_ATTR_LOCKED, RMAP_ATTR_SOFT_DIRTY, RMAP_ATTR_EXEC};
    for (unsigned i = 0; i < 3; i++) e = rmap_pte_set(s->mmu.ops->format, e, set[i], attrs >> set[i] & 1);
    world_set_entry(s, vpn, e);
}

/* D1.  P, C: pages 10 … 17, one batch; 13 is locked in C, 15 in P */
RMAP_TEST(bits, D1_locked_mappings_in_the_middle_of_a_batch_stop_their_pages_alone)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    for (rmap_vpn_t v = 10; v < 18; v++) world_write(p, v, v);
    struct world_space *c = world_fork(p);
    CHECK_OK(rmap_protect(&c->m, 13, 1, RMAP_PROTECT_LOCK));
    CHECK_OK(rmap_protect(&p->m, 15, 1, RMAP_PROTECT_LOCK));
    struct rmap_page *pages[8];
    struct rmap_result res[8];
    for (unsigned i = 0; i < 8; i++) {
        pages[i] = world_page(p, 10 + i);
        hold(pages[i]);
        CHECK_OK(rmap_swap_cache_add(w.swap, pages[i]));
    }
    CHECK_OK(rmap_unmap(w.r, pages, 8, 0, res));
    for (unsigned i = 0; i < 8; i++) {
        const bool stopped = i == 3 || i == 5;
        CHECK_EQ(res[i].outcome, stopped ? RMAP_PARTIAL : RMAP_DONE);
        CHECK_EQ(res[i].reason, stopped ? RMAP_REASON_LOCKED : RMAP_REASON_NONE);
        CHECK_EQ(res[i].hits, i == 3 ? 1 : i == 5 ? 0 : 2);
        CHECK_EQ(rmap_page_mapcount(pages[i]), 2 - res[i].hits);
        CHECK_EQ(world_kind(c, 10 + i), stopped ? RMAP_PTE_PRESENT : RMAP_PTE_SWAP);
        CHECK_EQ(world_kind(p, 10 + i), i == 5 ? RMAP_PTE_PRESENT : RMAP_PTE_SWAP);
        if (i == 5) CHECK_OK(rmap_swap_cache_del(w.swap, pages[i])); /* nothing names its slot */
        release(&w, pages[i]);
    }
    world_check(&w);
    for (rmap_vpn_t v = 10; v < 18; v++) CHECK_EQ(world_read(p, v) + world_read(c, v), 2 * v);
    CHECK(world_page(p, 13) == pages[3]); /* back from the cache, the same page for both */
    world_check(&w);
    world_fini(&w);
}

/* D2.  page 7, aged; the hardware uses it between the look of unmap (or zap) and the exchange: it is young and cached by then. The flush
 * may not be left out, although the entry that was looked at said "not accessed, so not cached" */
RMAP_TEST(bits, D2_accessed_between_look_and_exchange_is_flushed)
{
    for (unsigned way = 0; way < 3; way++) {
        struct world w;
        const unsigned caps = RMAP_MMU_ACCESSED_EXACT | RMAP_MMU_ACCESSED_NEEDS_FLUSH;
        world_init(&w, &(struct world_options){.caps = caps, .no_slots = true});
        struct world_space *p = world_space(&w);
        world_write(p, 7, 1);
        struct rmap_page *page = world_page(p, 7);
        world_referenced(&w, page);
        CHECK(!world_tlb_find(p, 7) && !world_attr(p, 7, RMAP_ATTR_ACCESSED));
        rmap_page_get(page);
        p->hardware_vpn = 7;
        p->hardware_wait = 0;
        p->hardware_attrs = ATTR(ACCESSED);
        p->hardware_did = false;
        world_tlb_load(p, 7, rmap_page_pfn(w.r, page), false);
        w.flush_calls = 0;
        if (way == 0)
            CHECK_EQ(world_unmap(&w, page, RMAP_SPARE_YOUNG).outcome,
                     RMAP_DONE); /* it was not young when it was asked */
        if (way == 1) world_zap(p, 7, 1);
        if (way == 2) world_move(p, 7, 600, 1);
        CHECK(p->hardware_did);
        CHECK_EQ(w.flush_calls, 1);
        CHECK(!world_tlb_find(p, 7));
        if (way == 2) CHECK(world_attr(p, 600, RMAP_ATTR_ACCESSED)); /* the bit goes along */
        rmap_page_put(w.r, page);
        CHECK_EQ(world_read(p, way == 2 ? 600 : 7), way != 1);
        world_check(&w);
        world_fini(&w);
    }
}

static struct world_space *writer;
static unsigned late_writes, writable_in_io;
static void write_late(void *ctx, const struct rmap_flush_range *ranges, size_t n)
{
    const struct world_cached *c = world_tlb_find(ctx, 7);
    if (ctx == writer && c && c->write) { /* straight through the translation, as its processor does */
        memset(world_contents(writer->w, c->pfn), 5, (size_t)1 << WORLD_PAGE_SHIFT);
        late_writes++;
    }
    world_tlb_flush(ctx, ranges, n);
}

/* D3, INV-7.  page 7, clean on swap but for a store through a translation that is about to be flushed: write_protect, unmap, and unmap in
 * the middle of a fork that has not flushed yet */
RMAP_TEST(bits, D3_a_store_between_clear_and_flush_reaches_the_device)
{
    for (unsigned way = 0; way < 3; way++) {
        struct world w;
        int written = -1;
        world_init(&w, NULL);
        struct world_space *p = world_space(&w), *c = NULL;
        struct rmap_fork f;
        world_write(p, 7, 1);
        struct rmap_page *page = world_page(p, 7);
        hold(page);
        CHECK_OK(rmap_swap_cache_add(w.swap, page));
        CHECK_OK(rmap_swap_write(w.swap, &page, 1, &written)); /* an old copy: it does not count */
        release(&w, page);
        writer = p;
        late_writes = 0;
        if (way == 2) {
            c = world_space_blank(&w);
            CHECK_OK(rmap_fork_begin(&p->m, &c->m, &c->mmu, &f));
            CHECK_OK(rmap_fork_copy(&f, 0, 64, RMAP_FORK_COW));
        }
        w.ops.flush = write_late;
        if (way == 0)
            CHECK_EQ(world_protect(&w, page).outcome, RMAP_DONE);
        else
            CHECK_EQ(world_unmap(&w, page, 0).outcome, RMAP_DONE);
        w.ops.flush = world_tlb_flush;
        CHECK_EQ(late_writes, 1);
        if (way == 2) {
            rmap_fork_commit(&f);
            world_space_adopt(c);
        }
        CHECK(rmap_page_flags(page) & RMAP_PAGE_DIRTY);
        CHECK(world_swap_out(&w, page));
        CHECK_EQ(world_read(p, 7), UINT64_C(0x0505050505050505));
        if (c) CHECK_EQ(world_read(c, 7), UINT64_C(0x0505050505050505));
        world_check(&w);
        world_fini(&w);
    }
}

/* How many translations can be written through whose pages are being written out. */
static void look_at_tlbs(struct faulty_device *f)
{
    struct world *w = f->user;
    f->during_write = look_at_tlbs;
    for (size_t i = 0; i < w->space_count; i++) {
        const struct world_space *s = w->spaces[i];
        for (size_t k = 0; k < s->cached; k++) {
            const struct rmap_page *page = rmap_page_find(w->r, s->tlb[k].pfn);
            writable_in_io += s->tlb[k].write && (rmap_page_flags(page) & RMAP_PAGE_WRITEBACK);
        }
    }
}

/* D4.  P: 8 pages, written and hot in its TLB; written out in one batch after unmap, after write_protect, and (wrongly) after nothing */
RMAP_TEST(bits, D4_nothing_is_written_out_while_it_can_be_written_to)
{
    for (unsigned way = 0; way < 3; way++) {
        struct world w;
        world_init(&w, NULL);
        struct world_space *p = world_space(&w);
        struct rmap_page *pages[8];
        struct rmap_result res[8];
        int written[8];
        for (unsigned i = 0; i < 8; i++) {
            world_write(p, 7 + i, 7 + i);
            pages[i] = world_page(p, 7 + i);
            hold(pages[i]);
            CHECK_OK(rmap_swap_cache_add(w.swap, pages[i]));
            CHECK(world_tlb_find(p, 7 + i)->write);
        }
        if (way == 0) CHECK_OK(rmap_unmap(w.r, pages, 8, 0, res));
        if (way == 1) CHECK_OK(rmap_write_protect(w.r, pages, 8, 0, res));
        w.device.user = &w;
        w.device.during_write = look_at_tlbs;
        writable_in_io = 0;
        CHECK_OK(rmap_swap_write(w.swap, pages, 8, written));
        w.device.during_write = NULL;
        CHECK_EQ(writable_in_io, way == 2 ? 8 : 0);
        for (unsigned i = 0; i < 8; i++) {
            if (way == 2) CHECK_OK(rmap_swap_cache_del(w.swap, pages[i])); /* it was wrong: no copy */
            release(&w, pages[i]);
        }
        for (unsigned i = 0; i < 8; i++) CHECK_EQ(world_read(p, 7 + i), 7 + i);
        world_check(&w);
        world_fini(&w);
    }
}

/* D5.  the special frame at 3 of P and C: no verb makes it anyone's own */
RMAP_TEST(bits, D5_a_special_frame_gets_neither_owner_nor_slot_nor_count)
{
    struct world w;
    world_init(&w, NULL);
    struct world_space *p = world_space(&w);
    world_map_special(p, 3);
    world_write(p, 2, 2);
    struct world_space *c = world_fork(p);
    hold(w.special);
    CHECK(!rmap_page_reuse(&p->m, w.special, 3));
    CHECK_NE(rmap_swap_cache_add(w.swap, w.special), 0);
    CHECK_NE(rmap_page_map_new(&p->m, w.special, 4), 0);
    release(&w, w.special);
    world_move(c, 2, 600, 2);
    CHECK(world_page(c, 601) == w.special);
    world_write(c, 601, 9); /* a copy, never the frame itself */
    world_write(p, 3, 8);
    CHECK(world_page(p, 3) != w.special && world_page(c, 601) != w.special);
    const uint64_t *zero = (const void *)world_contents(&w, rmap_page_pfn(w.r, w.special));
    CHECK_EQ(*zero, 0);
    CHECK(!rmap_page_is_anon(w.special));
    CHECK_EQ(rmap_page_mapcount(w.special), 0);
    world_check(&w);
    world_fini(&w);
}

/* ---- D7 ---- */

static void through_swap(struct world_space *s, rmap_vpn_t *at, bool device)
{
    struct rmap_page *page = world_page(s, *at);
    if (!page) return; /* there already */
    rmap_page_get(page);
    CHECK_EQ(world_unmap(s->w, page, RMAP_IGNORE_LOCKED).outcome, RMAP_DONE);
    if (device) CHECK(world_swap_out(s->w, page));
    rmap_page_put(s->w->r, page);
}
static void through_move(struct world_space *s, rmap_vpn_t *at)
{
    world_move(s, *at, *at + 600, 1);
    *at += 600;
}

/* Page 7 of P with every set of the three bits goes through every sequence of up to three of: unmap to the cache, eviction to the device,
 * move, read, fork. "locked" and "soft dirty" are in P as they were, whatever P's entry is; the child has "soft dirty" and never
 * "locked" (D9). "exec" survives moves and forks; after a swap it is the region's to say */
RMAP_TEST(bits, D7_software_bits_survive_swap_move_and_fork_in_every_sequence)
{
    enum { CACHE, EVICTION, MOVE, READ_IT, FORK_IT, OPS };
    unsigned played = 0;
    for (unsigned policy = 0; policy < 2; policy++) {
        for (unsigned k = 0; k < 8u * OPS * OPS * OPS; k++) {
            struct world w;
            const unsigned set = (k & 1 ? ATTR(LOCKED) : 0) | (k & 2 ? ATTR(SOFT_DIRTY) : 0) | (k & 4 ? ATTR(EXEC) : 0);
            const unsigned op[3] = {k / 8 % OPS, k / 8 / OPS % OPS, k / 8 / OPS / OPS};
            rmap_vpn_t at = 7;
            bool swapped = false;
            world_init(&w, &(struct world_options){.frames = 16, .slots = 8});
            struct world_space *p = world_space(&w);
            CHECK_OK(rmap_member_set_policy(&p->m, policy ? RMAP_MOVE_POLICY_TRACK : RMAP_MOVE_POLICY_COPY));
            world_write(p, 7, 1);
            set_attrs(p, 7, set);
            for (unsigned i = 0; i < 3; i++) {
                struct world_space *c = NULL;
                switch (op[i]) {
                case CACHE:
                    through_swap(p, &at, false);
                    break;
                case EVICTION:
                    through_swap(p, &at, true);
                    break;
                case MOVE:
                    through_move(p, &at);
                    break;
                case READ_IT:
                    CHECK_EQ(world_read(p, at), 1);
                    break;
                default:
                    c = world_fork(p);
                }
                swapped |= op[i] == CACHE || op[i] == EVICTION;
                const struct rmap_pte_format *f = p->mmu.ops->format;
                const unsigned kept = ATTR(LOCKED) | ATTR(SOFT_DIRTY) | (swapped ? 0 : ATTR(EXEC));
                const unsigned has = rmap_pte_attrs(f, world_entry(p, at)) & kept, want = set & kept;
                if (has != want)
                    TEST_FAIL("%u %u %u of %#x, policy %u: %#x after %u", op[0], op[1], op[2], set, policy, has, i);
                if (c) CHECK_EQ(rmap_pte_attrs(f, world_entry(c, at)) & kept, want & ~ATTR(LOCKED));
            }
            played++;
            world_check(&w);
            world_fini(&w);
        }
    }
    CHECK_EQ(played, 2 * 8 * OPS * OPS * OPS);
}
