/* SPDX-License-Identifier: MIT */
/**
 * @file mmu/radix_geometry.c  The supplied geometries.
 *
 * Upper entries are recognised exactly: anything else that the hardware would use (a huge page, a table of somebody
 * else's) is a block. The widths are whole address spaces: where addresses are sign-extended, the upper half of the
 * page numbers is the half with the high addresses.
 */
#include <objrmap/radix.h>

#define BIT(n) ((uint64_t)1 << (n))
#define BITS(high, low) ((~(uint64_t)0 >> (63 - (high))) & (~(uint64_t)0 << (low)))

/* Table: P, W, U, and PS clear; leaves decide permissions. Bit 9 is free for software at every level (8 is not). */
const struct rmap_radix_geometry rmap_radix_x86_64 = {
    .name = "x86-64",
    .format = &rmap_pte_format_x86_64,
    .levels = 4,
    .bits = {9, 9, 9, 9},
    .table_present = BITS(2, 0),
    .table_mask = BITS(2, 0) | BIT(7),
    .lock_bit = BIT(9),
};

/* Table: V alone; with R, W or X it is a huge leaf. Bit 8 is of RSW. */
#define RISCV_TABLE .table_present = BIT(0), .table_mask = BITS(3, 0), .lock_bit = BIT(8)

const struct rmap_radix_geometry rmap_radix_sv39 = {
    .name = "sv39",
    .format = &rmap_pte_format_riscv,
    .levels = 3,
    .bits = {9, 9, 9},
    RISCV_TABLE,
};

const struct rmap_radix_geometry rmap_radix_sv48 = {
    .name = "sv48",
    .format = &rmap_pte_format_riscv,
    .levels = 4,
    .bits = {9, 9, 9, 9},
    RISCV_TABLE,
};

/*
 * Table: bits 1:0 = 3; 1 is a block. Bits 58:51 and 11:2 of table descriptors are ignored by the hardware: room for one
 * lock bit for each run of 512, of which a leaf table has 1, 4 or 16. All have 48-bit virtual addresses
 * (T0SZ = 16).
 */
const struct rmap_radix_geometry rmap_radix_aarch64_4k = {
    .name = "aarch64-4k",
    .format = &rmap_pte_format_aarch64_4k,
    .levels = 4,
    .bits = {9, 9, 9, 9},
    .table_present = BITS(1, 0),
    .table_mask = BITS(1, 0),
    .lock_bit = BIT(55),
};

const struct rmap_radix_geometry rmap_radix_aarch64_16k = {
    .name = "aarch64-16k",
    .format = &rmap_pte_format_aarch64_16k,
    .levels = 4,
    .bits = {11, 11, 11, 1},
    .table_present = BITS(1, 0),
    .table_mask = BITS(1, 0),
    .lock_bit = BITS(58, 55),
};

const struct rmap_radix_geometry rmap_radix_aarch64_64k = {
    .name = "aarch64-64k",
    .format = &rmap_pte_format_aarch64_64k,
    .levels = 3,
    .bits = {13, 13, 6},
    .table_present = BITS(1, 0),
    .table_mask = BITS(1, 0),
    .lock_bit = BITS(58, 51) | BITS(9, 2),
};

/* Bit 7 marks a block, bit 11 is the lock. */
const struct rmap_radix_geometry rmap_radix_soft = {
    .name = "soft",
    .format = &rmap_pte_format_soft,
    .levels = 2,
    .bits = {9, 9},
    .table_present = BIT(0),
    .table_mask = BIT(0) | BIT(7),
    .lock_bit = BIT(11),
};
