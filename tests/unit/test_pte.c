/* SPDX-License-Identifier: MIT */
/** @file unit/test_pte.c  Entry formats: exact bits against the architectures' layouts, round trips, the check. */
#include "support/test.h"

#include <objrmap/pte.h>

#define W (1u << RMAP_ATTR_WRITE)
#define X (1u << RMAP_ATTR_EXEC)
#define A (1u << RMAP_ATTR_ACCESSED)
#define D (1u << RMAP_ATTR_DIRTY)
#define L (1u << RMAP_ATTR_LOCKED)
#define S (1u << RMAP_ATTR_SOFT_DIRTY)
#define EVERY_SET (1u << RMAP_ATTR_COUNT)

static const struct rmap_pte_format *const formats[] = {
    &rmap_pte_format_x86_64,      &rmap_pte_format_riscv,       &rmap_pte_format_aarch64_4k,
    &rmap_pte_format_aarch64_16k, &rmap_pte_format_aarch64_64k, &rmap_pte_format_soft,
};
#define FORMATS (sizeof formats / sizeof *formats)

/* One entry: what it means, and its 64 bits worked out by hand from the architecture's manual. */
struct literal {
    enum rmap_pte_kind kind;
    uint64_t payload;
    unsigned attrs;
    uint64_t bits;
};

static void check_literals(const struct rmap_pte_format *f, const struct literal *l, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        rmap_pte_t e = l[i].kind == RMAP_PTE_PRESENT ? rmap_pte_make(f, l[i].payload, l[i].attrs)
                                                     : rmap_pte_make_kind(f, l[i].kind, l[i].payload, l[i].attrs);
        CHECK_EQ(e, l[i].bits);
        CHECK_EQ(rmap_pte_kind(f, l[i].bits), l[i].kind);
        CHECK_EQ(rmap_pte_pfn(f, l[i].bits), l[i].payload);
        CHECK_EQ(rmap_pte_attrs(f, l[i].bits), l[i].attrs);
    }
}

/* Intel SDM vol. 3, "Format of a Page-Table Entry that Maps a 4-KByte Page": P 0, R/W 1, U/S 2, A 5, D 6, XD 63. */
RMAP_TEST(pte, x86_64_bits_are_those_of_the_manual)
{
    static const struct literal l[] = {
        {RMAP_PTE_PRESENT, 0x12345, X, 0x0000000012345005},
        {RMAP_PTE_PRESENT, 0x12345, 0, 0x8000000012345005},
        {RMAP_PTE_PRESENT, 0x12345, X | W, 0x0000000012345007},
        {RMAP_PTE_PRESENT, 0x12345, X | A, 0x0000000012345025},
        {RMAP_PTE_PRESENT, 0x12345, X | D, 0x0000000012345045},
        {RMAP_PTE_PRESENT, 0x12345, X | L, 0x0000000012345205},
        {RMAP_PTE_PRESENT, 0x12345, X | S, 0x0000000012345405},
        {RMAP_PTE_PRESENT, 0xffffffffff, W | A | D, 0x800ffffffffff067},
        {RMAP_PTE_NO_ACCESS, 0x12345, X | W | A | D, 0x0010000012345062},
        {RMAP_PTE_NO_ACCESS, 0x12345, 0, 0x8010000012345000},
        {RMAP_PTE_SWAP, 0xffffffff, X | L, 0x00200ffffffff200},
        {RMAP_PTE_MIGRATION, 0x1, X | W, 0x0030000000001002},
        {RMAP_PTE_POISON, 0x1, X, 0x0040000000001000},
    };
    check_literals(&rmap_pte_format_x86_64, l, sizeof l / sizeof *l);
}

/* RISC-V privileged spec, "Sv39 page table entry": V 0, R 1, W 2, X 3, U 4, A 6, D 7, RSW 9:8, PPN 53:10. */
RMAP_TEST(pte, riscv_bits_are_those_of_the_manual)
{
    static const struct literal l[] = {
        {RMAP_PTE_PRESENT, 0x80200, 0, 0x0000000020080013},
        {RMAP_PTE_PRESENT, 0x80200, W, 0x0000000020080017},
        {RMAP_PTE_PRESENT, 0x80200, X, 0x000000002008001b},
        {RMAP_PTE_PRESENT, 0x80200, A, 0x0000000020080053},
        {RMAP_PTE_PRESENT, 0x80200, D, 0x0000000020080093},
        {RMAP_PTE_PRESENT, 0x80200, L, 0x0000000020080113},
        {RMAP_PTE_PRESENT, 0x80200, S, 0x0000000020080213},
        {RMAP_PTE_PRESENT, 0xfffffffffff, W | X | A | D, 0x003ffffffffffcdf},
        {RMAP_PTE_NO_ACCESS, 0x80200, W | A | D, 0x00400000200800c4},
        {RMAP_PTE_SWAP, 0xffffffff, L | S, 0x008003ffffffff00},
        {RMAP_PTE_MIGRATION, 0x1, W, 0x00c0000000000404},
        {RMAP_PTE_POISON, 0x1, 0, 0x0100000000000400},
    };
    check_literals(&rmap_pte_format_riscv, l, sizeof l / sizeof *l);
}

/*
 * Arm ARM, "VMSAv8-64 page descriptors", stage 1: 1:0 = 3, AttrIndx 4:2, AP[2:1] 7:6, SH 9:8, AF 10, nG 11, PXN 53, UXN
 * 54, software 58:55. Fixed bits: 3 + user 0x40 + inner shareable 0x300 + nG 0x800 = 0xb43, and PXN.
 */
RMAP_TEST(pte, aarch64_bits_are_those_of_the_manual)
{
    static const struct literal four[] = {
        {RMAP_PTE_PRESENT, 0x40080, W | X, 0x0020000040080b43},
        {RMAP_PTE_PRESENT, 0x40080, X, 0x0020000040080bc3},
        {RMAP_PTE_PRESENT, 0x40080, 0, 0x0060000040080bc3},
        {RMAP_PTE_PRESENT, 0x40080, W | X | A, 0x0020000040080f43},
        {RMAP_PTE_PRESENT, 0x40080, W | X | D, 0x00a0000040080b43},
        {RMAP_PTE_PRESENT, 0x40080, W | X | L, 0x0120000040080b43},
        {RMAP_PTE_PRESENT, 0x40080, W | X | S, 0x0220000040080b43},
        {RMAP_PTE_PRESENT, 0xfffffffff, W | A, 0x0060ffffffffff43},
        {RMAP_PTE_NO_ACCESS, 0x40080, W | X | A, 0x0000000040080404},
        {RMAP_PTE_NO_ACCESS, 0x40080, 0, 0x0040000040080084},
        {RMAP_PTE_SWAP, 0xffffffff, W | X | L | S, 0x03000ffffffff008},
        {RMAP_PTE_MIGRATION, 0x1, W | X, 0x000000000000100c},
        {RMAP_PTE_POISON, 0x1, W | X, 0x0000000000001010},
    };
    static const struct literal sixteen[] = {
        {RMAP_PTE_PRESENT, 0x1, W | X, 0x0020000000004b43},
        {RMAP_PTE_PRESENT, 0x3ffffffff, W | X, 0x0020ffffffffcb43},
        {RMAP_PTE_SWAP, 0xffffffff, W | X, 0x00003fffffffc008},
    };
    static const struct literal sixty_four[] = {
        {RMAP_PTE_PRESENT, 0x1, W | X, 0x0020000000010b43},
        {RMAP_PTE_PRESENT, 0xffffffff, W | X, 0x0020ffffffff0b43},
        {RMAP_PTE_SWAP, 0xffffffff, W | X, 0x0000ffffffff0008},
    };
    check_literals(&rmap_pte_format_aarch64_4k, four, sizeof four / sizeof *four);
    check_literals(&rmap_pte_format_aarch64_16k, sixteen, sizeof sixteen / sizeof *sixteen);
    check_literals(&rmap_pte_format_aarch64_64k, sixty_four, sizeof sixty_four / sizeof *sixty_four);
}

/* The software format is ours: P 0, W 1, X 2, A 3, D 4, locked 5, soft-dirty 6, kind 10:8, frame from 12. */
RMAP_TEST(pte, soft_bits_are_those_of_its_comment)
{
    static const struct literal l[] = {
        {RMAP_PTE_PRESENT, 0x1, 0, 0x1001},
        {RMAP_PTE_PRESENT, 0xfffffffffffff, W | X | A | D | L | S, 0xfffffffffffff07f},
        {RMAP_PTE_NO_ACCESS, 0x1, W, 0x1102},
        {RMAP_PTE_SWAP, 0xffffffff, L, 0x00000ffffffff220},
        {RMAP_PTE_MIGRATION, 0x1, 0, 0x1300},
        {RMAP_PTE_POISON, 0x1, 0, 0x1400},
    };
    check_literals(&rmap_pte_format_soft, l, sizeof l / sizeof *l);
}

RMAP_TEST(pte, every_kind_payload_and_attribute_set_comes_back_in_every_format)
{
    static const enum rmap_pte_kind kinds[] = {RMAP_PTE_NO_ACCESS, RMAP_PTE_SWAP, RMAP_PTE_MIGRATION, RMAP_PTE_POISON,
                                               RMAP_PTE_PRESENT};
    for (size_t n = 0; n < FORMATS * 5 * EVERY_SET; n++) {
        const struct rmap_pte_format *f = formats[n / EVERY_SET / 5];
        enum rmap_pte_kind kind = kinds[n / EVERY_SET % 5];
        unsigned attrs = n % EVERY_SET;
        const uint64_t top = ((uint64_t)1 << f->payload_bits) - 1;
        const uint64_t payloads[] = {1, 0, 0xffffffff, top, top ^ 0x55555555, 0x5a5a5a5a};
        for (size_t p = 0; p < sizeof payloads / sizeof *payloads; p++) {
            uint64_t payload = payloads[p];
            rmap_pte_t e = kind == RMAP_PTE_PRESENT ? rmap_pte_make(f, payload, attrs)
                                                    : rmap_pte_make_kind(f, kind, payload, attrs);
            CHECK_EQ(rmap_pte_kind(f, e), kind);
            CHECK_EQ(rmap_pte_present(f, e), kind == RMAP_PTE_PRESENT);
            CHECK_EQ(rmap_pte_maps(f, e), kind != RMAP_PTE_SWAP && kind != RMAP_PTE_POISON);
            CHECK_EQ(rmap_pte_pfn(f, e), payload);
            CHECK_EQ(rmap_pte_swp(f, e), (uint32_t)payload);
            CHECK_EQ(rmap_pte_attrs(f, e), attrs);
            for (unsigned a = 0; a < RMAP_ATTR_COUNT; a++) {
                rmap_pte_t flipped = rmap_pte_set(f, e, (enum rmap_pte_attr)a, !(attrs >> a & 1));
                CHECK_EQ(rmap_pte_attrs(f, flipped), attrs ^ 1u << a);
                CHECK_EQ(rmap_pte_kind(f, flipped), kind);
                CHECK_EQ(rmap_pte_pfn(f, flipped), payload);
                CHECK_EQ(rmap_pte_set(f, flipped, (enum rmap_pte_attr)a, attrs >> a & 1), e);
            }
        }
    }
}

/* D10 (no-access keeps its frame in every format), D7 (software bits survive the changes of kind). */
RMAP_TEST(pte, changing_the_kind_keeps_frame_and_attributes_and_changes_back_exactly)
{
    for (size_t n = 0; n < FORMATS * EVERY_SET; n++) {
        const struct rmap_pte_format *f = formats[n / EVERY_SET];
        rmap_pte_t present = rmap_pte_make(f, 0x87654321, n % EVERY_SET);
        rmap_pte_t none = rmap_pte_to_kind(f, present, RMAP_PTE_NO_ACCESS);
        rmap_pte_t migration = rmap_pte_to_kind(f, none, RMAP_PTE_MIGRATION);
        CHECK_EQ(none & f->present_mask, 0); /* the hardware ignores it */
        CHECK_EQ(migration & f->present_mask, 0);
        CHECK_EQ(rmap_pte_pfn(f, none), 0x87654321);
        CHECK_EQ(rmap_pte_attrs(f, migration), n % EVERY_SET);
        CHECK_EQ(rmap_pte_to_kind(f, migration, RMAP_PTE_PRESENT), present);
    }
}

RMAP_TEST(pte, what_is_no_encoding_is_invalid_and_zero_is_none)
{
    for (size_t n = 0; n < FORMATS; n++) {
        const struct rmap_pte_format *f = formats[n];
        CHECK_EQ(rmap_pte_kind(f, 0), RMAP_PTE_NONE);
        CHECK(!rmap_pte_maps(f, 0));
        CHECK_EQ(rmap_pte_kind(f, (uint64_t)1 << f->payload_shift), RMAP_PTE_INVALID); /* a frame without kind */
        for (uint64_t kind = 5; kind < 8; kind++) CHECK_EQ(rmap_pte_kind(f, kind << f->kind_shift), RMAP_PTE_INVALID);
    }
    /* Half of a page descriptor: 1 is reserved at the last level, 2 is not valid. */
    CHECK_EQ(rmap_pte_kind(&rmap_pte_format_aarch64_4k, 0x40080001 | 1 << 2), RMAP_PTE_INVALID);
    CHECK_EQ(rmap_pte_kind(&rmap_pte_format_aarch64_4k, 0x40080002 | 1 << 2), RMAP_PTE_INVALID);
}

RMAP_TEST(pte, supplied_formats_pass_the_check)
{
    CHECK_ERR(rmap_pte_format_check(NULL), RMAP_ERR_NULL_ARG);
    for (size_t n = 0; n < FORMATS; n++) {
        CHECK_OK(rmap_pte_format_check(formats[n]));
        CHECK(formats[n]->name);
        for (unsigned a = 0; a < RMAP_ATTR_COUNT; a++) CHECK(formats[n]->attr[a].mask);
    }
}

/* The soft format with one thing wrong at a time. */
static bool spoil(struct rmap_pte_format *f, unsigned how)
{
    switch (how) {
    case 0: f->page_shift = 8; return true;
    case 1: f->page_shift = 31, f->payload_bits = 32; return true;
    case 2: f->payload_bits = 31; return true;                    /* no room for a swap entry */
    case 3: f->payload_bits = 0u - 8; return true;                /* sums with it wrap */
    case 4: f->payload_shift = 13; return true;                   /* leaves the word */
    case 5: f->page_shift = 13; return true;                      /* a byte address would leave the word */
    case 6: f->kind_shift = 62, f->payload_bits = 40; return true; /* leaves the word */
    case 7: f->kind_shift = 11; return true;                      /* in the payload */
    case 8: f->kind_shift = 5; return true;                       /* in soft-dirty */
    case 9: f->kind_shift = 0; return true;                       /* in present */
    case 10: f->present_value = 0; return true;                   /* entry 0 would be present */
    case 11: f->present_value = 0x80; return true;                /* outside its mask */
    case 12: f->present_mask |= 0x1000; return true;              /* in the payload */
    case 13: f->present_mask |= 0x2; return true;                 /* hides write */
    case 14: f->fixed = 0x1000; return true;
    case 15: f->fixed = 0x2; return true;
    case 16: f->fixed = 0x1; return true;
    case 17: f->attr[RMAP_ATTR_DIRTY].mask = 0x8, f->attr[RMAP_ATTR_DIRTY].on = 0x8; return true; /* is accessed */
    case 18: f->attr[RMAP_ATTR_DIRTY].on = 0x80; return true;
    case 19: f->attr[RMAP_ATTR_EXEC].mask = 0; return true;       /* absent, but on */
    case 20: f->attr[RMAP_ATTR_LOCKED].mask = 0x100, f->attr[RMAP_ATTR_LOCKED].on = 0; return true; /* in the kind */
    default: return false;
    }
}

RMAP_TEST(pte, format_check_refuses_each_inconsistency)
{
    struct rmap_pte_format f = rmap_pte_format_soft;
    for (unsigned how = 0; spoil(&f, how); how++) {
        int error = rmap_pte_format_check(&f);
        if (error != RMAP_ERR_INVALID) TEST_FAIL("case %u: %s", how, rmap_error_name(error));
        f = rmap_pte_format_soft;
    }
    /* Without an attribute a format is still one; the attribute then reads as false. */
    f.attr[RMAP_ATTR_SOFT_DIRTY] = (struct rmap_pte_bit){0, 0};
    CHECK_OK(rmap_pte_format_check(&f));
    CHECK_EQ(rmap_pte_attrs(&f, rmap_pte_make(&f, 1, W | S)), W);
}
