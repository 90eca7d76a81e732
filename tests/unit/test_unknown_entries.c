/* SPDX-License-Identifier: MIT */
/**
 * @file unit/test_unknown_entries.c  H3: the tables hold what nobody of us has put there.
 *
 * An entry that is no encoding of its format, or that names a frame or slot which is not there, is an error to whoever must
 * know what it means, and goes with the range that it lies in.
 */
#include "pager_world.h"

#include <objrmap/usage.h>

/* A frame in an entry that is neither present nor of a kind. */
static rmap_pte_t no_encoding(void)
{
    const rmap_pte_t e = (rmap_pte_t)3 << rmap_pte_format_soft.payload_shift;
    CHECK_EQ(rmap_pte_kind(&rmap_pte_format_soft, e), RMAP_PTE_INVALID);
    return e;
}

/*  s: [10,14) RW, written; 11 becomes something else */
static struct rmap_space *begin(struct world *w)
{
    world_init(w, 32, 10, 0);
    struct rmap_space *s = space_new(w);
    map_at(s, 10, 4, RW);
    fill(s, 10, 4, 10);
    return s;
}

static void stops_everybody(struct world *w, struct rmap_space *s)
{
    struct rmap_space *child = NULL;
    struct rmap_usage usage;
    uint64_t word;
    const struct rmap_pager_stats before = stats(w);
    CHECK_ERR(rmap_space_fault(s, 11, RMAP_READ), RMAP_ERR_BAD_FRAME);
    CHECK_ERR(rmap_space_fault(s, 11, RMAP_WRITE), RMAP_ERR_BAD_FRAME);
    CHECK_ERR(rmap_space_read(s, 11 * PAGE, &word, sizeof word, NULL), RMAP_ERR_BAD_FRAME);
    CHECK_ERR(rmap_space_fork(s, &child), RMAP_ERR_BAD_FRAME);
    CHECK(!child);
    CHECK_ERR(rmap_member_get_usage(rmap_space_member(s), &usage), RMAP_ERR_BAD_FRAME);
    CHECK_EQ(stats(w).spaces, before.spaces);
    CHECK_EQ(stats(w).frames_used, before.frames_used);
}

RMAP_TEST(unknown_entries, H3_no_encoding_is_an_error_and_goes_with_its_range)
{
    struct world w;
    struct rmap_space *s = begin(&w);
    const rmap_pte_t page = poke(s, 11, no_encoding());
    stops_everybody(&w, s);
    CHECK_EQ(poke(s, 11, page), no_encoding());
    expect(s, 10, 4, 10);
    world_verify(&w);

    CHECK_OK(rmap_space_unmap(s, 12, 1));
    map_at(s, 12, 1, RW);
    poke(s, 12, no_encoding());
    CHECK_OK(rmap_space_unmap(s, 12, 1));
    CHECK_EQ(entry(s, 12), 0);
    world_fini(&w);
}

RMAP_TEST(unknown_entries, H3_a_frame_or_slot_that_is_not_there_is_an_error)
{
    struct world w;
    struct rmap_space *s = begin(&w);
    const struct rmap_pte_format *f = &rmap_pte_format_soft;
    const rmap_pte_t page = entry(s, 11), alien = rmap_pte_make(f, 1000, 1u << RMAP_ATTR_ACCESSED);
    const rmap_pte_t bad[] = {alien, rmap_pte_to_kind(f, alien, RMAP_PTE_MIGRATION),
                              rmap_pte_make_kind(f, RMAP_PTE_SWAP, rmap_swp_make(1, 9), 0),
                              rmap_pte_make_kind(f, RMAP_PTE_SWAP, rmap_swp_make(7, 9), 0)};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        poke(s, 11, bad[i]);
        stops_everybody(&w, s);
        poke(s, 11, page);
        expect(s, 10, 4, 10);
        world_verify(&w);
    }
    world_fini(&w);
}
