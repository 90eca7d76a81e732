/* SPDX-License-Identifier: MIT */
/**
 * @file fuzz/fuzz_pte.c  Entry formats: any 64 bits as an entry, of the supplied formats and of any that the check accepts.
 *
 * Decoding must give exactly one kind; decoding, encoding and decoding again must give the same; setting one field
 * changes that field alone. What the check accepts must have these properties for all entries: a format whose fields
 * collide shows here.
 */
#include "fuzz/fuzz.h"

#include <objrmap/pte.h>

static const struct rmap_pte_format *const supplied[] = {
    &rmap_pte_format_x86_64,      &rmap_pte_format_riscv,       &rmap_pte_format_aarch64_4k,
    &rmap_pte_format_aarch64_16k, &rmap_pte_format_aarch64_64k, &rmap_pte_format_soft,
};
#define SUPPLIED (sizeof supplied / sizeof *supplied)

static const enum rmap_pte_kind kinds[] = {RMAP_PTE_PRESENT, RMAP_PTE_NO_ACCESS, RMAP_PTE_SWAP, RMAP_PTE_MIGRATION,
                                           RMAP_PTE_POISON};

static rmap_pte_t encode(const struct rmap_pte_format *f, enum rmap_pte_kind k, uint64_t payload, unsigned attrs)
{
    return k == RMAP_PTE_PRESENT ? rmap_pte_make(f, payload, attrs) : rmap_pte_make_kind(f, k, payload, attrs);
}

/* Attributes that the format has. */
static unsigned known_attrs(const struct rmap_pte_format *f)
{
    unsigned known = 0;
    for (unsigned a = 0; a < RMAP_ATTR_COUNT; a++) known |= (unsigned)(f->attr[a].mask != 0) << a;
    return known;
}

static void check_is(const struct rmap_pte_format *f, rmap_pte_t e, enum rmap_pte_kind k, uint64_t payload,
                     unsigned attrs)
{
    CHECK_EQ(rmap_pte_kind(f, e), k);
    CHECK_EQ(rmap_pte_pfn(f, e), payload);
    CHECK_EQ(rmap_pte_attrs(f, e), attrs);
    CHECK_EQ(rmap_pte_present(f, e), k == RMAP_PTE_PRESENT);
    CHECK_EQ(rmap_pte_maps(f, e), k == RMAP_PTE_PRESENT || k == RMAP_PTE_NO_ACCESS || k == RMAP_PTE_MIGRATION);
    if (k == RMAP_PTE_SWAP) CHECK_EQ(rmap_pte_swp(f, e), (rmap_swp_t)payload);
}

/* Each setter, on an entry that means something: what it names becomes so, all else stays. */
static void check_setters(const struct rmap_pte_format *f, rmap_pte_t e, uint64_t other)
{
    const enum rmap_pte_kind k = rmap_pte_kind(f, e);
    const uint64_t payload = rmap_pte_pfn(f, e);
    const unsigned attrs = rmap_pte_attrs(f, e), known = known_attrs(f);
    for (unsigned a = 0; a < RMAP_ATTR_COUNT; a++) {
        for (unsigned v = 0; v < 2; v++) {
            rmap_pte_t set = rmap_pte_set(f, e, (enum rmap_pte_attr)a, v);
            check_is(f, set, k, payload, ((attrs & ~(1u << a)) | v << a) & known);
            CHECK_EQ((set ^ e) & ~f->attr[a].mask, 0);
        }
    }
    rmap_pte_t moved = rmap_pte_set_pfn(f, e, other);
    check_is(f, moved, k, other, attrs);
    CHECK_EQ((moved ^ e) & ~rmap_pte_payload_mask(f), 0);
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        check_is(f, rmap_pte_to_kind(f, e, kinds[i]), kinds[i], payload, attrs);
}

static void check_entry(const struct rmap_pte_format *f, rmap_pte_t e, uint64_t other)
{
    const enum rmap_pte_kind k = rmap_pte_kind(f, e);
    CHECK_EQ(k == RMAP_PTE_NONE, e == 0);
    CHECK_EQ(k == RMAP_PTE_PRESENT, (e & f->present_mask) == f->present_value);
    if (k == RMAP_PTE_NONE || k == RMAP_PTE_INVALID) {
        CHECK(!rmap_pte_maps(f, e) && !rmap_pte_present(f, e));
        return;
    }
    const uint64_t payload = rmap_pte_pfn(f, e);
    const unsigned attrs = rmap_pte_attrs(f, e);
    check_is(f, e, k, payload, attrs);
    check_setters(f, e, other);
    rmap_pte_t again = encode(f, k, payload, attrs);
    check_is(f, again, k, payload, attrs);
    check_setters(f, again, other);
    CHECK_EQ(encode(f, k, rmap_pte_pfn(f, again), rmap_pte_attrs(f, again)), again);
    if (k != RMAP_PTE_PRESENT) CHECK_EQ(rmap_pte_to_kind(f, rmap_pte_to_kind(f, again, RMAP_PTE_PRESENT), k), again);
}

/* Any payload and attributes through encode and back, under every kind. */
static void check_made(const struct rmap_pte_format *f, uint64_t payload, unsigned attrs, uint64_t other)
{
    attrs &= known_attrs(f);
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const uint64_t what = kinds[i] == RMAP_PTE_SWAP ? (rmap_swp_t)payload : payload;
        rmap_pte_t e = encode(f, kinds[i], what, attrs);
        check_is(f, e, kinds[i], what, attrs);
        check_entry(f, e, other);
    }
}

/* Change fields of the format; each a little, or to anything. */
static void spoil(struct fuzz *in, struct rmap_pte_format *f)
{
    static const unsigned widths[] = {0, 1, 9, 10, 12, 31, 32, 40, 44, 52, 61, 62, 63, 64};
    unsigned *const numbers[] = {&f->page_shift, &f->payload_shift, &f->payload_bits, &f->kind_shift};
    uint64_t *const masks[] = {&f->present_mask, &f->present_value, &f->fixed};
    for (unsigned changes = fuzz_below(in, 4); changes && fuzz_more(in); changes--) {
        const unsigned which = fuzz_below(in, 7 + 2 * RMAP_ATTR_COUNT), how = fuzz_below(in, 128);
        if (which < 4) {
            *numbers[which] = how < 64 ? how : widths[how % (sizeof widths / sizeof *widths)];
            continue;
        }
        struct rmap_pte_bit *b = &f->attr[(which - 7) / 2 % RMAP_ATTR_COUNT];
        uint64_t *mask = which < 7 ? masks[which - 4] : (which - 7) % 2 ? &b->on : &b->mask;
        if (how < 64)
            *mask ^= (uint64_t)1 << how;
        else
            *mask = how < 96 ? (uint64_t)1 << how % 64 : fuzz_word(in);
        if (which >= 7 && how % 2) b->on &= b->mask;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct fuzz in;
    fuzz_begin(&in, bytes, n);
    struct rmap_pte_format f = *supplied[fuzz_below(&in, SUPPLIED)];
    spoil(&in, &f);
    if (rmap_pte_format_check(&f)) return 0;
    const uint64_t fits = ((uint64_t)1 << f.payload_bits) - 1;
    do {
        const unsigned attrs = fuzz_below(&in, 1u << RMAP_ATTR_COUNT);
        const uint64_t e = fuzz_word(&in), other = fuzz_word(&in) & fits;
        check_entry(&f, e, other);
        check_entry(&f, f.present_value | (e & ~f.present_mask), other); /* random bits are seldom a kind */
        for (unsigned i = 1; i < sizeof kinds / sizeof *kinds; i++)
            check_entry(&f, (e & ~f.present_mask & ~((uint64_t)7 << f.kind_shift)) | (uint64_t)kinds[i] << f.kind_shift,
                        other);
        check_made(&f, e & fits, attrs, other);
    } while (fuzz_more(&in));
    return 0;
}
