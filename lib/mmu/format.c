/* SPDX-License-Identifier: MIT */
/**
 * @file mmu/format.c  The supplied entry formats, and the check that any format must pass.
 *
 * Each describes the leaf entries of user pages. In all of them the hardware ignores every other bit of an entry whose
 * present bits are 0, so the not-present kinds keep frame, attributes and a kind there.
 */
#include <objrmap/error.h>
#include <objrmap/pte.h>

#define BIT(n) ((uint64_t)1 << (n))
#define BITS(high, low) ((~(uint64_t)0 >> (63 - (high))) & (~(uint64_t)0 << (low)))

/* An attribute that holds when the bit is 1; one that holds when it is 0. */
#define IF_SET(n)                                                                                                      \
    {                                                                                                                  \
        BIT(n), BIT(n)                                                                                                 \
    }
#define IF_CLEAR(n)                                                                                                    \
    {                                                                                                                  \
        BIT(n), 0                                                                                                      \
    }

/*
 *  63 62..55 54..52 51......12 11 10 9 8 7 6 5 4 3 2 1 0
 *  NX         kind     pfn        sd lk    D A     U W P      U fixed; kind lies in bits ignored at every level
 *
 * Real processors with the L1TF weakness may speculate on the frame of a not-present entry: an embedder whose tables
 * real hardware walks keeps its own mitigation. Emulated walkers are not concerned.
 */
const struct rmap_pte_format rmap_pte_format_x86_64 = {
    .name = "x86-64",
    .page_shift = 12,
    .payload_shift = 12,
    .payload_bits = 40,
    .kind_shift = 52,
    .present_mask = BIT(0),
    .present_value = BIT(0),
    .fixed = BIT(2),
    .attr = {[RMAP_ATTR_WRITE] = IF_SET(1),
             [RMAP_ATTR_EXEC] = IF_CLEAR(63),
             [RMAP_ATTR_ACCESSED] = IF_SET(5),
             [RMAP_ATTR_DIRTY] = IF_SET(6),
             [RMAP_ATTR_LOCKED] = IF_SET(9),
             [RMAP_ATTR_SOFT_DIRTY] = IF_SET(10)},
};

/*
 *  63..57 56..54 53......10 9  8  7 6 5 4 3 2 1 0
 *          kind     pfn     sd lk D A   U X W R V             R, U fixed (W without R is reserved)
 *
 * A no-access page cannot be a present entry here: V with R = W = X = 0 means "pointer to the next table", not "no
 * permission", so the frame would be taken for a page table. Hence no-access is V = 0 with a kind, which lies in bits
 * that are reserved only while V = 1. Harts without hardware A and D (Svade) fault; the handler then sets them.
 */
const struct rmap_pte_format rmap_pte_format_riscv = {
    .name = "riscv",
    .page_shift = 12,
    .payload_shift = 10,
    .payload_bits = 44,
    .kind_shift = 54,
    .present_mask = BIT(0),
    .present_value = BIT(0),
    .fixed = BIT(1) | BIT(4),
    .attr = {[RMAP_ATTR_WRITE] = IF_SET(2),
             [RMAP_ATTR_EXEC] = IF_SET(3),
             [RMAP_ATTR_ACCESSED] = IF_SET(6),
             [RMAP_ATTR_DIRTY] = IF_SET(7),
             [RMAP_ATTR_LOCKED] = IF_SET(8),
             [RMAP_ATTR_SOFT_DIRTY] = IF_SET(9)},
};

/*
 *  63..58 57 56 55 54  53  52..48 47..12/14/16 11 10 9 8  7    6    5 4...2 1 0
 *         sd lk D  UXN PXN            pfn      nG AF  SH AP[2] AP[1]   kind  1 1      stage 1, 48-bit output address
 *
 * Fixed: page descriptor, AttrIndx 0 (MAIR attribute 0 must be normal memory), AP[1] user, SH inner shareable, nG, PXN.
 * The kind takes the place of AttrIndx, which no attribute uses and which is 0 in present entries. Dirty is a software
 * bit that the fault handler sets when it grants write; DBM (hardware dirty state) is not used.
 */
#define AARCH64_FORMAT(n, shift)                                                                                       \
    {                                                                                                                  \
        .name = n, .page_shift = (shift), .payload_shift = (shift), .payload_bits = 48 - (shift), .kind_shift = 2,     \
        .present_mask = BITS(1, 0), .present_value = BITS(1, 0), .fixed = BIT(6) | BITS(9, 8) | BIT(11) | BIT(53),     \
        .attr = {                                                                                                      \
            [RMAP_ATTR_WRITE] = IF_CLEAR(7), [RMAP_ATTR_EXEC] = IF_CLEAR(54), [RMAP_ATTR_ACCESSED] = IF_SET(10),       \
            [RMAP_ATTR_DIRTY] = IF_SET(55),  [RMAP_ATTR_LOCKED] = IF_SET(56), [RMAP_ATTR_SOFT_DIRTY] = IF_SET(57)},    \
    }

const struct rmap_pte_format rmap_pte_format_aarch64_4k = AARCH64_FORMAT("aarch64-4k", 12);
const struct rmap_pte_format rmap_pte_format_aarch64_16k = AARCH64_FORMAT("aarch64-16k", 14);
const struct rmap_pte_format rmap_pte_format_aarch64_64k = AARCH64_FORMAT("aarch64-64k", 16);

/*
 *  63......12 11 10..8  7  6  5  4 3 2 1 0
 *     pfn         kind     sd lk D A X W P        bits 7 and 11 are for upper entries (block, lock)
 */
const struct rmap_pte_format rmap_pte_format_soft = {
    .name = "soft",
    .page_shift = 12,
    .payload_shift = 12,
    .payload_bits = 52,
    .kind_shift = 8,
    .present_mask = BIT(0),
    .present_value = BIT(0),
    .fixed = 0,
    .attr = {[RMAP_ATTR_WRITE] = IF_SET(1),
             [RMAP_ATTR_EXEC] = IF_SET(2),
             [RMAP_ATTR_ACCESSED] = IF_SET(3),
             [RMAP_ATTR_DIRTY] = IF_SET(4),
             [RMAP_ATTR_LOCKED] = IF_SET(5),
             [RMAP_ATTR_SOFT_DIRTY] = IF_SET(6)},
};

/* The shifts and widths make sense: every later mask computation is defined. */
static bool fields_fit(const struct rmap_pte_format *f)
{
    return f->page_shift >= 9 && f->page_shift <= 30 && f->payload_bits >= 32 && f->payload_bits <= 63 &&
           f->payload_shift <= 64 - f->payload_bits && f->page_shift + f->payload_bits <= 64 && f->kind_shift <= 61;
}

int rmap_pte_format_check(const struct rmap_pte_format *format)
{
    const struct rmap_pte_format *f = format;
    if (!f) return RMAP_ERR_NULL_ARG;
    if (!fields_fit(f)) return RMAP_ERR_INVALID;
    /* Entry 0 must not be present, and present bits must be testable by the mask. */
    if (!f->present_value || (f->present_value & ~f->present_mask)) return RMAP_ERR_INVALID;

    uint64_t kind = (uint64_t)7 << f->kind_shift;
    uint64_t used = f->present_mask;
    const uint64_t payload = rmap_pte_payload_mask(f);
    if (used & payload) return RMAP_ERR_INVALID;
    used |= payload;
    /* `fixed` is in present entries only, the kind in the others only: these two alone may share bits. */
    if ((used & kind) || (used & f->fixed)) return RMAP_ERR_INVALID;
    used |= kind | f->fixed;
    for (unsigned a = 0; a < RMAP_ATTR_COUNT; a++) {
        const struct rmap_pte_bit *b = &f->attr[a];
        if ((b->on & ~b->mask) || (b->mask & used)) return RMAP_ERR_INVALID;
        used |= b->mask;
    }
    return 0;
}
