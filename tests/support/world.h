/* SPDX-License-Identifier: MIT */
/**
 * @file support/world.h  A small world for tests of the core: frames, spaces with radix tables, swap, and hardware.
 *
 *     struct world w;
 *     world_init(&w, NULL);                               soft geometry, 256 frames with contents, 64 slots, a TLB per space
 *     struct world_space *p = world_space(&w), *c;
 *     world_write(p, 7, 1);                               first touch: a page of its own, its value is 1
 *     c = world_fork(p);
 *     world_write(c, 7, 2);                               copy on write
 *     CHECK_EQ(world_read(p, 7), 1);
 *     world_check(&w);                                    invariants, slot map, no stale translation
 *     world_fini(&w);                                     everything exits; nothing may be left
 *
 * Reads and writes go the way of a processor: the space's TLB, else its tables (setting accessed and dirty), else a fault,
 * which is resolved by the core's public calls alone. The TLB keeps what it loaded until it is told to forget, and watches
 * INV-6: at a flush the page's count still covers every cached translation, a freed or newly exclusive frame has none.
 * What it finds wrong inside the library's hooks is kept in `broken`, which world_check() reads.
 *
 * One thread at a time, unless a test says otherwise. The frames start at WORLD_PFN, so that no frame number is a page
 * number.
 */
#ifndef RMAP_TESTS_SUPPORT_WORLD_H
#define RMAP_TESTS_SUPPORT_WORLD_H

#include "support/counting_alloc.h"
#include "support/faulty_device.h"
#include "support/test.h"

#include <objrmap/group.h>
#include <objrmap/instance.h>
#include <objrmap/migrate.h>
#include <objrmap/move.h>
#include <objrmap/radix.h>
#include <objrmap/rmap.h>
#include <objrmap/stats.h>
#include <objrmap/swapmap.h>
#include <objrmap/verify.h>

#define WORLD_PFN 5000
#define WORLD_PAGE_SHIFT 9 /* of frame contents, whatever the geometry says */

struct world_options {
    const struct rmap_radix_geometry *geometry; /**< NULL: soft */
    unsigned caps;     /**< of the MMUs; with RMAP_MMU_NO_TLB there is no TLB and no flush hook */
    uint64_t frames;   /**< 0: 256 */
    bool no_contents;  /**< descriptors only, for scale: every value is 0, no swap */
    uint64_t slots;    /**< of the swap device; 0: 64 */
    bool no_swap;
    const struct rmap_swap_ops *swap_ops; /**< NULL: the slot map's own */
    bool no_slots;     /**< entries are reached by get, set and exchange */
    size_t stride;     /**< of descriptors; 0: sizeof(struct rmap_page) */
    enum rmap_move_policy policy; /**< of new spaces; forks inherit it */
};

struct world_space;

struct world_frame {
    bool used;
    uint32_t cached; /* translations to it in all TLBs */
};

struct world {
    struct world_options o;
    struct test_alloc alloc;
    struct rmap_allocator hooks;     /* what the library gets: `alloc`, and then on_free */
    void (*on_free)(struct world *w); /* after memory was given back: what another thread might do just then. NULL: nothing */
    void (*on_frame)(struct world *w); /* a frame is asked for: what reclaim may do then. NULL: nothing */
    void (*on_copy)(struct world *w);  /* a frame is about to be copied. NULL: nothing */
    void (*on_look)(struct world_space *s, rmap_vpn_t vpn); /* a fault has looked at the entry or the cache, and locked nothing. NULL: nothing */
    bool hardware; /* a processor is at the tables: no moment for others */
    struct rmap *r;
    struct rmap_swap *swap; /* NULL: none */
    struct faulty_device device;
    unsigned char *descriptors, *memory;
    struct world_frame *frame;
    rmap_pfn_t *free_frames; /* stack */
    uint64_t free_count, frames_used, frames_lost; /* lost: poisoned, and their last reference is gone */
    uint64_t frame_calls, frame_fail_at; /* this call of the frame allocator fails; 0: none */
    uint64_t copies;                     /* pages copied by frame_ops->copy */
    struct world_space **spaces;         /* alive, in order of birth */
    size_t space_count, space_room;
    unsigned births;
    struct rmap_page *special; /* made by the first world_map_special */
    struct rmap_mmu_ops ops;
    unsigned runs; /* held now, all spaces */
    uint64_t run_locks; /* so far */
    uint64_t flush_calls, flush_pages; /* pages: flushed, cached or not */
    char broken[160];
};

struct world_cached {
    rmap_vpn_t vpn;
    rmap_pfn_t pfn;
    bool write;
};

struct world_space {
    struct rmap_member m;
    struct rmap_mmu mmu, radix; /* what the core sees, and what lies behind it */
    struct world *w;
    unsigned number;   /* 0, 1, … in order of birth */
    bool idle;         /* nobody runs on it: what the MMU's active() says */
    unsigned runs;     /* held now */
    struct rmap_mmu_run run; /* the last one */
    bool blocked;      /* a huge entry lies at `block` */
    rmap_vpn_t block;
    rmap_vpn_t hardware_vpn; /* with no_slots: after hardware_wait more accesses to this entry … */
    unsigned hardware_wait, hardware_attrs; /* … the hardware sets these attributes, once, if it is present by then */
    unsigned hardware_next; /* and these with the access after that */
    bool hardware_did;
    void (*on_set)(struct world_space *s, rmap_vpn_t vpn, rmap_pte_t e); /* with no_slots: before an entry is set */
    struct world_cached *tlb;
    size_t cached, tlb_room;
    struct rmap_flush_range flushed[128]; /* the first ones since world_flush_log_clear */
    size_t flushed_count;
};

/* ---- world.c ---- */

/** `o` NULL: the defaults. `w` must not move. */
void world_init(struct world *w, const struct world_options *o);
/** Everything exits, the instance goes; nothing may be left of memory, frames and slots. */
void world_fini(struct world *w);
/** A space in a new group. */
struct world_space *world_space(struct world *w);
/** A space with an MMU, in no group yet. */
struct world_space *world_space_blank(struct world *w);
/** A blank space has become a member by a fork made by hand: it is the world's from now on. @return it. */
struct world_space *world_space_adopt(struct world_space *s);
/** Free a space that is no member. */
void world_space_free(struct world_space *s);
/** Fork the whole space: a child or NULL and the error. */
int world_fork_try(struct world_space *parent, struct world_space **out);
struct world_space *world_fork(struct world_space *parent);
/** Zap, leave, free. */
void world_exit(struct world_space *s);
/** Zap [first, first + count). */
void world_zap(struct world_space *s, rmap_vpn_t first, uint64_t count);
/** rmap_move, expected to succeed. */
struct rmap_moved world_move(struct world_space *s, rmap_vpn_t from, rmap_vpn_t to, uint64_t count);
/** rmap_verify, rmap_swap_verify, `broken`, and every cached translation against the tables. */
void world_check(struct world *w);
/** As world_check(), for callers that know more: the text of what is wrong, or NULL. */
const char *world_find_fault(struct world *w);

rmap_pte_t world_entry(struct world_space *s, rmap_vpn_t vpn);
enum rmap_pte_kind world_kind(struct world_space *s, rmap_vpn_t vpn);
bool world_attr(struct world_space *s, rmap_vpn_t vpn, enum rmap_pte_attr a);
/** Replace the raw entry, as a broken or hostile embedder would: no count changes. Makes the tables. */
void world_set_entry(struct world_space *s, rmap_vpn_t vpn, rmap_pte_t e);
/** Page that a present or no-access entry maps, or NULL. */
struct rmap_page *world_page(struct world_space *s, rmap_vpn_t vpn);
/** Page that a present entry maps or that is cached for a swap entry, or NULL. */
struct rmap_page *world_page_or_cached(struct world_space *s, rmap_vpn_t vpn);
/** A frame that nobody knows yet, with one reference of the caller's. */
struct rmap_page *world_new_page(struct world *w);
struct rmap_page *world_descriptor(struct world *w, uint64_t n);
unsigned char *world_contents(struct world *w, rmap_pfn_t pfn);
struct rmap_stats world_stats(struct world *w);

/* ---- world_verbs.c: the page verbs on one page, page lock and reference included ---- */

struct rmap_result world_referenced(struct world *w, struct rmap_page *page);
/** referenced with RMAP_KEEP_ACCESSED. */
struct rmap_result world_look(struct world *w, struct rmap_page *page);
struct rmap_result world_protect(struct world *w, struct rmap_page *page);
/** Gives the page a slot if it has none, and takes that back if the walk left it without entries. */
struct rmap_result world_unmap(struct world *w, struct rmap_page *page, unsigned flags);
/** unmap, write, leave the cache: the frame is free then. @return whether all of it was done. */
bool world_swap_out(struct world *w, struct rmap_page *page);
/** rmap_migrate to a fresh frame; *now becomes the page that has the contents after it, which is kept by its mappings
 * or cache alone. */
struct rmap_result world_migrate(struct world *w, struct rmap_page *page, struct rmap_page **now);
/** The mappers of a page as a bit set of space numbers (spaces 0-63); the walk must be DONE. */
uint64_t world_mappers(struct world *w, struct rmap_page *page);
/** The same with the result. */
struct rmap_result world_each(struct world *w, struct rmap_page *page, uint64_t *mappers);

/* ---- world_access.c ---- */

/** Load and store by the space's processor. @return 0; ACCESS (no-access entry); or the error of a fault. */
int world_load(struct world_space *s, rmap_vpn_t vpn, uint64_t *value);
int world_store(struct world_space *s, rmap_vpn_t vpn, uint64_t value);
/** The same, expected to succeed. A page that was never written reads 0 and stays unmapped. */
uint64_t world_read(struct world_space *s, rmap_vpn_t vpn);
void world_write(struct world_space *s, rmap_vpn_t vpn, uint64_t value);
/** Map a SPECIAL frame, read-only; the first call makes it. */
void world_map_special(struct world_space *s, rmap_vpn_t vpn);

/* ---- world_mmu.c ---- */

/** Fill in w->ops. */
void world_mmu_init(struct world *w);

/* ---- world_tlb.c ---- */

void world_flush_log_clear(struct world_space *s);
/** The space stops running: its TLB is emptied, active() says no. */
void world_idle(struct world_space *s);
/** Of the MMU: forget what is cached of these ranges. */
void world_tlb_flush(void *ctx, const struct rmap_flush_range *ranges, size_t n);
bool world_tlb_active(void *ctx);
/** The cached translation of vpn, or NULL. */
struct world_cached *world_tlb_find(const struct world_space *s, rmap_vpn_t vpn);
void world_tlb_load(struct world_space *s, rmap_vpn_t vpn, rmap_pfn_t pfn, bool write);
/** What of the TLB disagrees with the tables, or NULL. */
const char *world_tlb_stale(struct world_space *s);
/** Keep the first thing that went wrong. */
void __attribute__((format(printf, 2, 3))) world_broken(struct world *w, const char *format, ...);

#endif
