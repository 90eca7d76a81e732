/* SPDX-License-Identifier: MIT */
/** @file unit/test_swapentries.c  The hooks: counts and homes; and what verify says. World: unit/swap_world.h. */
#include "unit/swap_world.h"

static struct world w;

RMAP_TEST(swapentries, counts_entries)
{
    world_begin(&w, 10);
    rmap_swp_t entry = evict(&w, mapped_page(&w, 5, 1));
    CHECK_EQ(w.ops->count(w.s, entry), 1);
    CHECK_OK(w.ops->dup(w.s, entry, 0));
    CHECK_OK(w.ops->dup(w.s, entry, 1000));
    CHECK_EQ(w.ops->count(w.s, entry), 1001);
    CHECK_EQ(stats_of(&w).entries, 1001);
    CHECK_ERR(rmap_swap_destroy(w.s), RMAP_ERR_BUSY);
    w.ops->put(w.s, entry, 0);
    w.ops->put(w.s, entry, 1000);
    CHECK_EQ(w.ops->count(w.s, entry), 1);
    world_verify(&w);
    w.ops->put(w.s, entry, 1); /* C8: the last one frees the slot, and its content */
    CHECK_EQ(w.ops->count(w.s, entry), 0);
    CHECK_EQ(stats_of(&w).entries, 0);
    CHECK_EQ(stats_of(&w).slots_used, 0);
    CHECK_EQ(w.dev.discards, 1);
    world_end(&w);
}

/* C6. The real limit first, then a small one. */
RMAP_TEST(swapentries, a_count_overflows_with_an_error_and_never_wraps)
{
    world_begin(&w, 10);
    rmap_swp_t entry = evict(&w, mapped_page(&w, 5, 1));
    CHECK_OK(w.ops->dup(w.s, entry, UINT32_MAX - 1));
    CHECK_EQ(w.ops->count(w.s, entry), UINT32_MAX);
    CHECK_ERR(w.ops->dup(w.s, entry, 1), RMAP_ERR_OVERFLOW);
    CHECK_ERR(w.ops->dup(w.s, entry, UINT32_MAX), RMAP_ERR_OVERFLOW);
    CHECK_EQ(w.ops->count(w.s, entry), UINT32_MAX);
    CHECK_EQ(stats_of(&w).entries, UINT32_MAX);
    w.ops->put(w.s, entry, UINT32_MAX - 1);
    rmap__swap_set_count_max(w.s, 3);
    CHECK_OK(w.ops->dup(w.s, entry, 2));
    CHECK_ERR(w.ops->dup(w.s, entry, 1), RMAP_ERR_OVERFLOW);
    w.ops->put(w.s, entry, 3);
    world_end(&w);
}

/* C3, H2: an entry that was looked at before its slot was freed, and entries that never were one. */
RMAP_TEST(swapentries, dead_and_invented_entries_are_absent)
{
    world_begin(&w, 1500);
    rmap_swp_t freed = evict(&w, mapped_page(&w, 5, 1));
    w.ops->put(w.s, freed, 1);
    const rmap_swp_t entries[] = {0, freed, rmap_swp_make(1, 1), rmap_swp_make(1, 1023), rmap_swp_make(1, 1024),
                                  rmap_swp_make(1, 1499), rmap_swp_make(1, 1500), rmap_swp_make(1, (1 << 26) - 1),
                                  rmap_swp_make(0, 3), rmap_swp_make(2, 0), rmap_swp_make(63, 0), UINT32_MAX};
    struct rmap_page *page = new_page(&w);
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        struct rmap_slot_home home;
        CHECK_ERR(w.ops->dup(w.s, entries[i], 1), RMAP_ERR_ABSENT);
        CHECK_EQ(w.ops->count(w.s, entries[i]), 0);
        CHECK_ERR(w.ops->get_home(w.s, entries[i], &home), RMAP_ERR_ABSENT);
        CHECK_EQ(rmap_swap_cache_find(w.s, entries[i]), NULL);
        CHECK_ERR(rmap_swap_cache_load(w.s, entries[i], page), RMAP_ERR_ABSENT);
    }
    CHECK_EQ(rmap_swap_cache_find(NULL, freed), NULL);
    CHECK_EQ(rmap_page_flags(page), RMAP_PAGE_LOCKED);
    CHECK_EQ(w.dev.reads, 0);
    release(&w, page);
    world_end(&w);
}

/* A second member's epoch becomes the home at page number 2^52 - 1, with the mark; state and contents stay. */
RMAP_TEST(swapentries, a_slot_can_be_given_another_home)
{
    struct rmap_member other = {0};
    world_begin(&w, 10);
    CHECK_OK(rmap_member_init(w.r, &other, &(struct rmap_mmu){&empty_mmu_ops, NULL, 1 << 20}));
    rmap_owner_t a = rmap_member_home(&w.m), b = rmap_member_home(&other);
    rmap_swp_t entry = evict(&w, mapped_page(&w, 5, 9));
    uint32_t refs_a = refs_of(a), refs_b = refs_of(b);
    w.ops->set_home(w.s, entry, b, RMAP_VPN_MAX - 1, true);
    struct rmap_slot_home home = home_of(&w, entry);
    CHECK_EQ(home.owner, b);
    CHECK_EQ(home.index, RMAP_VPN_MAX - 1);
    CHECK_EQ(home.moved, true);
    CHECK_EQ(home.cached, NULL);
    CHECK_EQ(refs_of(a), refs_a - 1);
    CHECK_EQ(refs_of(b), refs_b + 1);
    w.ops->set_home(w.s, entry, b, 6, false); /* the same owner: its reference must not fall to 0 between */
    CHECK_EQ(refs_of(b), refs_b + 1);
    home = home_of(&w, entry);
    CHECK_EQ(home.index, 6);
    CHECK_EQ(home.moved, false);
    world_verify(&w);

    struct rmap_page *page = swap_in(&w, entry);
    CHECK(holds(&w, page, 9));
    CHECK_EQ(rmap_page_index(page), 6);
    unmap(&w, page);
    release(&w, page);
    CHECK_EQ(refs_of(b), refs_b);
    CHECK_OK(rmap_member_leave(&other));
    world_end(&w);
}

/* verify() tells: each of its words is provoked by one wrong field. */
RMAP_TEST(swapentries, verify_sees_what_is_wrong)
{
    world_begin(&w, 10);
    struct faulty_device second;
    faulty_device_init(&second, 10, SHIFT);
    CHECK_OK(rmap_swap_add(w.s, &second.base));
    CHECK_OK(rmap_swap_remove(w.s, &second.base)); /* its number is free again, and the device ours */
    rmap_device_destroy(&second.base);
    char text[128];
    struct rmap_page *page = swap_in(&w, evict(&w, mapped_page(&w, 5, 1)));
    rmap_swp_t gone = evict(&w, mapped_page(&w, 6, 2));
    struct rmap__slot *slot = rmap__slot_find(w.s, page->swap), *out = rmap__slot_find(w.s, gone);
    struct rmap__slot_chunk *chunk = w.s->devices[0].chunks[0];
    const struct {
        void *field;
        size_t bytes;
        uint32_t flip; /* in its low bits: bytes are in little-endian order */
        const char *says;
    } wrong[] = {
#define WRONG(field, flip, says) {(void *)&(field), sizeof(field), flip, says}
        WRONG(slot->count, 1, "spare"),
        WRONG(slot->index_state, RMAP__SLOT_WRITTEN, "INV-7"),
        WRONG(slot->index_state, RMAP__SLOT_LIVE, "dead"),
        WRONG(slot->index_state, RMAP__SLOT_BAD, "bad"),
        WRONG(out->index_state, RMAP__SLOT_WRITTEN, "without content"),
        WRONG(out->count, 1, "INV-3"),
        WRONG(out->count, 2, "entries"),
        WRONG(chunk->slots[5].index_state, RMAP__SLOT_LIVE, "live and free"),
        WRONG(chunk->slots[5].count, 1, "left in it"),
        WRONG(chunk->slots[5].cached, 8, "left in it"),
        WRONG(chunk->slots[5].owner, 8, "left in it"),
        WRONG(chunk->slots[5].index_state, 1u << RMAP__SLOT_INDEX_SHIFT, "left in it"),
        WRONG(chunk->slots[5].index_state, RMAP__SLOT_WRITTEN, "dead with state"),
        WRONG(chunk->free[7], 1u << 2, "slot 1:450 is behind the device's end"),
        WRONG(chunk->slots[500].index_state, 1, "end"),
        WRONG(chunk->free[0], 1u << 6, "not free"),
        WRONG(chunk->nfree, 1, "free"),
        WRONG(chunk->spare, 2, "spare"),
        WRONG(*w.s->devices[0].with_free, 1, "bits"),
        WRONG(*w.s->devices[0].with_spare, 1, "bits"),
        WRONG(w.s->devices[0].made, 64, "room for"),
        WRONG(w.s->devices[1].made, 1, "device 2: taken out"),
        WRONG(w.s->devices[1].reading, 1, "device 2: taken out"),
        WRONG(w.s->devices[0].used, 1, "used"),
        WRONG(w.s->devices[0].bad, 1, "bad"),
        WRONG(w.s->devices[0].nfree, 1, "free"),
        WRONG(w.s->stats.cached, 2, "cached"),
        WRONG(w.s->stats.slots_used, 8, "used"),
        WRONG(w.s->stats.slots_bad, 8, "bad"),
        WRONG(w.s->spare, 8, "spare"),
        WRONG(page->index_flags, RMAP_PAGE_SWAPCACHE, "SWAPCACHE"),
        WRONG(page->swap, 1, "another slot"),
        WRONG(page->refcount, page->refcount, "no reference"),
#undef WRONG
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        unsigned char saved[8];
        uint32_t low;
        memcpy(saved, wrong[i].field, wrong[i].bytes);
        memcpy(&low, wrong[i].field, sizeof low);
        low ^= wrong[i].flip;
        memcpy(wrong[i].field, &low, sizeof low);
        text[0] = 0;
        CHECK_ERR(rmap_swap_verify(w.s, text, sizeof text), RMAP_ERR_VERIFY);
        CHECK_ERR(rmap_swap_verify(w.s, NULL, 0), RMAP_ERR_VERIFY);
        memcpy(wrong[i].field, saved, wrong[i].bytes);
        if (!strstr(text, wrong[i].says)) TEST_FAIL("case %zu: \"%s\" lacks \"%s\"", i, text, wrong[i].says);
        world_verify(&w);
    }
    unmap(&w, page);
    release(&w, page);
    w.ops->put(w.s, gone, 1);
    world_end(&w);
}

/* page: cached and mapped; its slot has one entry, then none */
RMAP_TEST(swapentries, verify_sees_a_cached_page_at_another_index_and_one_that_nobody_needs)
{
    world_begin(&w, 10);
    char text[128];
    rmap_swp_t entry = evict(&w, mapped_page(&w, 5, 1));
    CHECK_OK(w.ops->dup(w.s, entry, 1));
    struct rmap_page *page = swap_in(&w, entry);
    struct rmap__slot *slot = rmap__slot_find(w.s, entry);
    world_verify(&w);
    slot->index_state += 1u << RMAP__SLOT_INDEX_SHIFT;
    CHECK_ERR(rmap_swap_verify(w.s, text, sizeof text), RMAP_ERR_VERIFY);
    CHECK(strstr(text, "INV-8: mapped at another index"));
    slot->index_state -= 1u << RMAP__SLOT_INDEX_SHIFT;

    w.ops->put(w.s, entry, 1);
    rmap_page_unlock(w.r, page);
    world_verify(&w);
    const uint32_t mapcount = page->mapcount, refs = page->refcount;
    page->mapcount = 0;
    page->refcount = 1;
    CHECK_ERR(rmap_swap_verify(w.s, text, sizeof text), RMAP_ERR_VERIFY);
    CHECK(strstr(text, "INV-3: its page has neither mapping nor entry"));
    page->mapcount = mapcount;
    page->refcount = refs;
    world_verify(&w);
    rmap_page_lock(page);
    unmap(&w, page);
    release(&w, page);
    world_end(&w);
}
