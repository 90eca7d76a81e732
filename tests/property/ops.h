/* SPDX-License-Identifier: MIT */
/**
 * @file property/ops.h  The random operations. Each chooses its arguments, asks the oracle, tells the pager, compares
 * the answers, and then does the same to the oracle.
 */
#ifndef RMAP_TESTS_PROPERTY_OPS_H
#define RMAP_TESTS_PROPERTY_OPS_H

#include "property/game.h"
#include "property/tlb_mmu.h"

/** Choose one operation and do it. */
void ops_random(struct game *g);
/** What the processors and the host do in between: hooks of the MMUs. */
void ops_last_use(void *game, struct tlb_mmu *t, rmap_vpn_t vpn);
/** Look at every translation that is cached, after an operation. */
void ops_check_translations(struct game *g);

/* ---- shared by ops_*.c ---- */

/** Errors that depend on what is free and what the device says, and not on the arguments. */
enum {
    ENV_FRAMES = 1 << 0, /* NO_FRAME */
    ENV_DEVICE = 1 << 1, /* IO_READ, CORRUPT, NOMEM: only where the device fails now and then */
    ENV_FAULT = ENV_FRAMES | ENV_DEVICE,
};
/**
 * Compare an answer with the oracle's; one of the `env` errors may stand in for 0, and NOMEM for anything if an
 * allocation failed.
 * @return true if the verb happened.
 */
bool ops_judge(struct game *g, int rc, int expected, unsigned env);
/** Nothing is mapped in the range, says the pager. */
bool ops_is_gone(struct game *g, unsigned s, rmap_vpn_t first, uint64_t count);
/** A live space; -1: none. */
int ops_any_space(struct game *g);
/** A number without a space; -1: none. */
int ops_free_number(const struct game *g);
/** A page number, nearly always one that may be accessed so. */
rmap_vpn_t ops_any_page(struct game *g, unsigned s, unsigned access);
/** A range [*first, *first + *count), mostly inside one region, sometimes anything, rarely outside. */
void ops_any_range(struct game *g, unsigned s, rmap_vpn_t *first, uint64_t *count);
/** All that is mapped without a hole around a mapped page. @return false: nothing is mapped. */
bool ops_any_stretch(struct game *g, unsigned s, rmap_vpn_t *first, uint64_t *count);
unsigned ops_any_prot(struct game *g);
void ops_touch(struct game *g, unsigned s, rmap_vpn_t first, uint64_t count);
/** A fault in the touched range answered `rc`. */
void ops_note_fault(struct game *g, int rc);
/** Any page in use, locked and with a reference; NULL: none was found. */
struct rmap_page *ops_take_page(struct game *g);
void ops_give_page(struct game *g, struct rmap_page *page);
/** A number that no word holds yet. */
static inline uint64_t ops_stamp(struct game *g)
{
    return ++g->next_stamp;
}

typedef void op_fn(struct game *g);
op_fn op_map, op_unmap, op_protect, op_move, op_lock, op_unlock, op_dontneed; /* ops_memory.c, ops_move.c */
op_fn op_create, op_fork, op_exec, op_destroy;                                /* ops_spaces.c */
op_fn op_read, op_write, op_fault, op_processor, op_rest;                     /* ops_access.c, ops_processor.c */
op_fn op_vacate;                                                              /* ops_frames.c */
op_fn op_reclaim, op_referenced, op_write_protect, op_wash, op_swap_out, op_swapoff, op_pin, op_misuse,
    op_policy; /* ops_core.c, ops_swap.c */

#endif
