/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/pte.h  Page-table entry formats as data, and the inline code that reads and writes entries by them.
 *
 * A format is masks and shifts, never callbacks: a loop over entries makes no indirect call. Every kind of entry other
 * than *present* is not-present for the hardware and carries a 3-bit kind; payload (frame number or swap entry) and
 * software bits keep the places that they have in a present entry, so a change of kind moves no bits.
 */
#ifndef OBJRMAP_PTE_H
#define OBJRMAP_PTE_H

#include <objrmap/types.h>

enum rmap_pte_kind {
    RMAP_PTE_NONE = 0,      /**< nothing; the entry is 0 */
    RMAP_PTE_NO_ACCESS = 1, /**< keeps its frame, faults on any access, counts as a mapping */
    RMAP_PTE_SWAP = 2,      /**< payload is an rmap_swp_t */
    RMAP_PTE_MIGRATION = 3, /**< payload is the old frame, counts as a mapping */
    RMAP_PTE_POISON = 4,    /**< payload is the lost frame */
    RMAP_PTE_PRESENT = 8,   /**< the hardware may use it */
    RMAP_PTE_INVALID = 9,   /**< not an encoding of this format */
};

/** Attributes of an entry, as arguments of the functions below; each has a mask and a polarity in the format. */
enum rmap_pte_attr {
    RMAP_ATTR_WRITE,
    RMAP_ATTR_EXEC,
    RMAP_ATTR_ACCESSED,
    RMAP_ATTR_DIRTY,
    RMAP_ATTR_LOCKED,     /**< software: mlock, found without a region look-up (S7) */
    RMAP_ATTR_SOFT_DIRTY, /**< software: written since the last snapshot; to be set whenever WRITE is granted */
    RMAP_ATTR_COUNT
};

/** One attribute: it holds iff (pte & mask) == on. mask 0 = the format does not have it (reads as false). */
struct rmap_pte_bit {
    uint64_t mask, on;
};

struct rmap_pte_format {
    const char *name;
    unsigned page_shift;    /**< log2 of the page size in bytes */
    unsigned payload_shift; /**< lowest bit of frame number or swap entry */
    unsigned payload_bits;  /**< >= 32 */
    unsigned kind_shift;    /**< lowest of the 3 kind bits, outside payload and attributes */
    uint64_t present_mask, present_value;
    uint64_t fixed; /**< bits set in every present leaf (user, readable, page descriptor …) besides present_value */
    struct rmap_pte_bit attr[RMAP_ATTR_COUNT];
};

static inline uint64_t rmap_pte_payload_mask(const struct rmap_pte_format *f)
{
    return ((((uint64_t)1 << f->payload_bits) - 1) << f->payload_shift);
}
static inline bool rmap_pte_present(const struct rmap_pte_format *f, rmap_pte_t e)
{
    return (e & f->present_mask) == f->present_value;
}
static inline enum rmap_pte_kind rmap_pte_kind(const struct rmap_pte_format *f, rmap_pte_t e)
{
    if (rmap_pte_present(f, e)) return RMAP_PTE_PRESENT;
    if (e == 0) return RMAP_PTE_NONE;
    unsigned k = (unsigned)(e >> f->kind_shift) & 7;
    if (k < RMAP_PTE_NO_ACCESS || k > RMAP_PTE_POISON || (e & f->present_mask)) return RMAP_PTE_INVALID;
    return (enum rmap_pte_kind)k;
}
/** True for the kinds that count in mapcount: present, no-access, migration. */
static inline bool rmap_pte_maps(const struct rmap_pte_format *f, rmap_pte_t e)
{
    enum rmap_pte_kind k = rmap_pte_kind(f, e);
    return k == RMAP_PTE_PRESENT || k == RMAP_PTE_NO_ACCESS || k == RMAP_PTE_MIGRATION;
}
/** Frame of a present, no-access, migration or poison entry. */
static inline rmap_pfn_t rmap_pte_pfn(const struct rmap_pte_format *f, rmap_pte_t e)
{
    return (e & rmap_pte_payload_mask(f)) >> f->payload_shift;
}
static inline rmap_swp_t rmap_pte_swp(const struct rmap_pte_format *f, rmap_pte_t e)
{
    return (rmap_swp_t)rmap_pte_pfn(f, e);
}
/** Does an entry that is not none have the attribute? (Of 0 an inverted one, NX say, would be said to hold.) */
static inline bool rmap_pte_get(const struct rmap_pte_format *f, rmap_pte_t e, enum rmap_pte_attr a)
{
    return f->attr[a].mask && (e & f->attr[a].mask) == f->attr[a].on;
}
static inline rmap_pte_t rmap_pte_set(const struct rmap_pte_format *f, rmap_pte_t e, enum rmap_pte_attr a, bool v)
{
    uint64_t m = f->attr[a].mask, on = f->attr[a].on;
    return (e & ~m) | (v ? on : m & ~on);
}
/** All attributes false except those in the bit set `attrs` (1 << RMAP_ATTR_…). */
static inline rmap_pte_t rmap_pte__attrs(const struct rmap_pte_format *f, unsigned attrs)
{
    rmap_pte_t e = 0;
    for (unsigned a = 0; a < RMAP_ATTR_COUNT; a++) e = rmap_pte_set(f, e, (enum rmap_pte_attr)a, attrs >> a & 1);
    return e;
}
/** A present leaf entry. `attrs` is a set of 1 << RMAP_ATTR_…; pfn must fit payload_bits. */
static inline rmap_pte_t rmap_pte_make(const struct rmap_pte_format *f, rmap_pfn_t pfn, unsigned attrs)
{
    return f->present_value | f->fixed | pfn << f->payload_shift | rmap_pte__attrs(f, attrs);
}
/** A not-present entry of a kind with a payload. `attrs` as in rmap_pte_make; give swap entries software attributes only. */
static inline rmap_pte_t rmap_pte_make_kind(const struct rmap_pte_format *f, enum rmap_pte_kind k, uint64_t payload,
                                            unsigned attrs)
{
    return (uint64_t)k << f->kind_shift | payload << f->payload_shift | rmap_pte__attrs(f, attrs);
}
/** The same entry with another frame. */
static inline rmap_pte_t rmap_pte_set_pfn(const struct rmap_pte_format *f, rmap_pte_t e, rmap_pfn_t pfn)
{
    return (e & ~rmap_pte_payload_mask(f)) | pfn << f->payload_shift;
}
/** The attributes of an entry as a set of 1 << RMAP_ATTR_…. */
static inline unsigned rmap_pte_attrs(const struct rmap_pte_format *f, rmap_pte_t e)
{
    unsigned s = 0;
    for (unsigned a = 0; a < RMAP_ATTR_COUNT; a++) s |= (unsigned)rmap_pte_get(f, e, (enum rmap_pte_attr)a) << a;
    return s;
}
/** Same frame and attributes, another kind: present <-> no-access <-> migration. */
static inline rmap_pte_t rmap_pte_to_kind(const struct rmap_pte_format *f, rmap_pte_t e, enum rmap_pte_kind k)
{
    unsigned attrs = rmap_pte_attrs(f, e);
    rmap_pfn_t pfn = rmap_pte_pfn(f, e);
    return k == RMAP_PTE_PRESENT ? rmap_pte_make(f, pfn, attrs) : rmap_pte_make_kind(f, k, pfn, attrs);
}

RMAP_BEGIN_DECLS

RMAP_API extern const struct rmap_pte_format rmap_pte_format_x86_64;
RMAP_API extern const struct rmap_pte_format rmap_pte_format_riscv; /**< Sv39, Sv48 */
RMAP_API extern const struct rmap_pte_format rmap_pte_format_aarch64_4k;
RMAP_API extern const struct rmap_pte_format rmap_pte_format_aarch64_16k;
RMAP_API extern const struct rmap_pte_format rmap_pte_format_aarch64_64k;
RMAP_API extern const struct rmap_pte_format rmap_pte_format_soft; /**< 64-bit entries, every software bit */

/**
 * Check that a format is consistent: fields do not overlap, payload holds a swap entry, no attribute hides in the
 * present mask. @return 0; NULL_ARG; INVALID.
 */
RMAP_API int rmap_pte_format_check(const struct rmap_pte_format *format);

RMAP_END_DECLS
#endif
