/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/types.h  The scalar vocabulary: what is counted in pages, what in frames, what in bytes.
 *
 * A *virtual page number* (vpn) is a virtual address shifted right by the page shift. A *page frame number* (pfn) is a
 * physical address shifted likewise. Ranges are half-open: [first, first + count). Names that end in `bytes` or `addr`
 * are in bytes; everything else that counts memory is in pages.
 */
#ifndef OBJRMAP_TYPES_H
#define OBJRMAP_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define RMAP_BEGIN_DECLS extern "C" {
#define RMAP_END_DECLS }
/* C++ sees the same layout; only the C library touches these words. */
#define RMAP_ATOMIC(T) T
#else
#define RMAP_BEGIN_DECLS
#define RMAP_END_DECLS
#define RMAP_ATOMIC(T) _Atomic(T)
#endif

#if defined(__GNUC__)
#define RMAP_API __attribute__((visibility("default")))
#else
#define RMAP_API
#endif

/** Virtual page number inside one address space; 52 bits are usable. */
typedef uint64_t rmap_vpn_t;
/** Page frame number. */
typedef uint64_t rmap_pfn_t;
/** Raw page-table entry in some struct rmap_pte_format. */
typedef uint64_t rmap_pte_t;
/** Swap entry: device (6 bits, 0 = none) << 26 | slot (26 bits). 0 is "no swap entry". */
typedef uint32_t rmap_swp_t;
/** Counted reference to "who can have inherited this": an epoch's tag (see group.h). 0 is "none". Opaque. */
typedef uintptr_t rmap_owner_t;

#define RMAP_VPN_BITS 52
#define RMAP_VPN_MAX ((rmap_vpn_t)1 << RMAP_VPN_BITS) /* one past the last vpn */
#define RMAP_VPN_NONE (~(rmap_vpn_t)0)
#define RMAP_PFN_NONE (~(rmap_pfn_t)0)

#define RMAP_SWP_SLOT_BITS 26
#define RMAP_SWP_DEVICES 64
static inline rmap_swp_t rmap_swp_make(unsigned device, uint32_t slot)
{
    return (rmap_swp_t)device << RMAP_SWP_SLOT_BITS | slot;
}
static inline unsigned rmap_swp_device(rmap_swp_t e)
{
    return e >> RMAP_SWP_SLOT_BITS;
}
static inline uint32_t rmap_swp_slot(rmap_swp_t e)
{
    return e & (((uint32_t)1 << RMAP_SWP_SLOT_BITS) - 1);
}

/** What an access wants; bits may be combined. Also used as a region's protection. */
enum rmap_access {
    RMAP_NONE = 0,
    RMAP_READ = 1,
    RMAP_WRITE = 2,
    RMAP_EXEC = 4,
};

/** [first, first + count) in pages. */
struct rmap_range {
    rmap_vpn_t first;
    uint64_t count;
};

#endif
