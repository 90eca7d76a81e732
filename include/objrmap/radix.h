/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/radix.h  A supplied MMU: multi-level page tables in memory, geometry and entry format as data.
 *
 * Tables have the layout that the hardware expects, so an emulator or a guest's MMU can walk them: an upper entry holds
 * the table's physical frame in the format's payload field, and the root's is rmap_radix_root(). By default "physical"
 * is the pointer itself (identity); table hooks put them elsewhere, in guest memory say.
 *
 * Any number of threads may call the ops; trim and destroy as struct rmap_mmu_ops says. A hardware walker may read the
 * tables and set accessed or dirty bits at any time. Where an architecture sign-extends addresses, the page numbers of
 * the upper half are those of the high addresses: a space that has only low ones uses half of rmap_mmu.pages.
 */
#ifndef OBJRMAP_RADIX_H
#define OBJRMAP_RADIX_H

#include <objrmap/alloc.h>
#include <objrmap/mmu.h>

struct rmap_radix_geometry {
    const char *name;
    const struct rmap_pte_format *format;
    unsigned levels;                    /**< 1 … 5 */
    unsigned bits[5];                   /**< index bits of each level, leaf first */
    uint64_t table_present, table_mask; /**< an upper entry that points to a table: (e & mask) == present */
    /**
     * Software bits of an upper entry that points to a leaf table: the n-th lowest locks the n-th run of 512 slots in
     * that table. One bit if a leaf table has at most 512 entries. Not used with one level.
     */
    uint64_t lock_bit;
};

RMAP_BEGIN_DECLS

RMAP_API extern const struct rmap_radix_geometry rmap_radix_x86_64; /**< 4 levels, 48 bit */
RMAP_API extern const struct rmap_radix_geometry rmap_radix_sv39;
RMAP_API extern const struct rmap_radix_geometry rmap_radix_sv48;
RMAP_API extern const struct rmap_radix_geometry rmap_radix_aarch64_4k; /**< 4 levels, 48 bit */
RMAP_API extern const struct rmap_radix_geometry rmap_radix_aarch64_16k;
RMAP_API extern const struct rmap_radix_geometry rmap_radix_aarch64_64k;
RMAP_API extern const struct rmap_radix_geometry rmap_radix_soft; /**< 2 levels of 512: 1 GiB of 4 KiB pages */

/**
 * Where tables live. NULL hooks: the allocator, with pointer = physical address. All hooks are required. Tables are at
 * least a page (the root: 64 bytes). alloc is called by create and reserve; free also by trim, under the group lock;
 * to_phys and to_ptr on every descent, possibly under group and run locks. All but alloc must not block.
 */
struct rmap_radix_table_ops {
    size_t struct_size;
    void *(*alloc)(void *ctx, size_t bytes); /**< zeroed, physically aligned to its size; NULL on failure */
    void (*free)(void *ctx, void *table, size_t bytes);
    uint64_t (*to_phys)(void *ctx, void *table); /**< byte address, page aligned, fits the format's payload */
    void *(*to_ptr)(void *ctx, uint64_t phys);
};

struct rmap_radix_options {
    size_t struct_size;
    const struct rmap_radix_geometry *geometry; /**< required; its format must outlive the MMU */
    const struct rmap_allocator *alloc;         /**< NULL: default. Copied. */
    const struct rmap_radix_table_ops *tables;  /**< NULL: from alloc. Copied. */
    void *tables_ctx;
    unsigned caps; /**< enum rmap_mmu_cap; NO_TLB unless the embedder gives `flush` */
    void (*flush)(void *flush_ctx, const struct rmap_flush_range *ranges, size_t n); /**< the embedder's TLB, or NULL */
    bool (*active)(void *flush_ctx);                                                 /**< or NULL */
    void *flush_ctx;
};

struct rmap_radix;

/**
 * Make empty tables; the result is a complete MMU. @return 0; NULL_ARG; STRUCT_SIZE; INVALID (geometry, format, unknown caps);
 * NOMEM (also: the format's entries cannot hold the address of a table).
 */
RMAP_API int rmap_radix_create(const struct rmap_radix_options *options, struct rmap_mmu *out);
/** Free all tables, whatever entries they hold. Nobody may use the MMU any more. NULL ctx is allowed. */
RMAP_API void rmap_radix_destroy(struct rmap_mmu *mmu);
/** Physical byte address of the root table, for a hardware walker's base register. */
RMAP_API uint64_t rmap_radix_root(const struct rmap_mmu *mmu);
/** Raw entry of `vpn`, 0 where no table is. For tests and debuggers: takes no lock. */
RMAP_API rmap_pte_t rmap_radix_peek(const struct rmap_mmu *mmu, rmap_vpn_t vpn);

/**
 * A provider that makes a radix MMU for each space of a pager. `options` is copied; `provider->ctx` is allocated. The
 * spaces share flush_ctx: a flush hook that must know its space needs a provider of the embedder's, on
 * rmap_radix_create.
 * @return as rmap_radix_create. fini may come before the last space is destroyed.
 */
RMAP_API int rmap_radix_provider_init(const struct rmap_radix_options *options, struct rmap_mmu_provider *out);
RMAP_API void rmap_radix_provider_fini(struct rmap_mmu_provider *provider);

RMAP_END_DECLS
#endif
