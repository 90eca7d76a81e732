/* SPDX-License-Identifier: MIT */
/**
 * @file bench/rivals/rival.h  What a rival is made of: a base that all share, and hooks that keep its reverse map.
 *
 * The base (base.c and its neighbours) is full_scan: tables, frames, counts, copy on write, fork, exit, swap entries, moves. A
 * rival adds to it what it must keep at each step, by batches where it can, and its way to find mappings again. So all rivals pay
 * the same for the same work, and what a rival costs beside full_scan is its reverse map.
 *
 * Each rival's own file says from which public description it was made. No line is anybody else's.
 *
 * Counts: mapcount is raised before an entry is set and lowered after it was cleared, as in any system with threads, though
 * each world here has one: atomically, but for a fork of a page that the parent has alone, whose count is stored as the library
 * stores it (base.h, docs/design/races.md).
 *
 * Runs are locked whenever entries are written. A look-up glances first, as the library's does: only where the entry maps the
 * page and the verb has something to do with it (world->busy) is the run locked. What rivals do not get is the library's
 * batching: they look up page by page, as they are published; full_scan alone finds a batch in one pass.
 */
#ifndef RMAP_TESTS_BENCH_RIVAL_H
#define RMAP_TESTS_BENCH_RIVAL_H

#include "bench/pool.h"
#include "bench/system.h"
#include "scale/must.h"
#include "scale/slots.h"

#include <stdatomic.h>
#include <sys/queue.h>

struct rival_ops;

/** A frame: the descriptor, then ops->page_extra bytes of the rival's (zeroed when the frame is handed out). */
static inline void *rival_extra(const struct rmap_page *page)
{
    return (void *)(page + 1);
}

/** A space. The rival's own state is `ops->space_bytes` bytes at `own`, zeroed at first. */
struct rival_space {
    struct rival_world *w;
    struct rmap_mmu mmu;
    uint64_t number;                   /**< 0, 1, … in order of birth; never used again */
    TAILQ_ENTRY(rival_space) link;     /**< in world->spaces, in order of birth */
    void *own;
};

/** The format of entries as masks: an attribute holds where its bit is set (x86-64); and where descriptors lie. Loops copy it to
 *  a local, so that no atomic step between makes them read it again. */
struct rival_bits {
    uint64_t present, fixed; /**< of a present entry, and what every present one has besides */
    uint64_t write, accessed, dirty, locked, soft_dirty;
    uint64_t frame, kind; /**< fields */
    unsigned frame_shift, kind_shift;
    uintptr_t descriptors; /**< of the pool */
    size_t stride;
    uint64_t frames;
};

struct rival_world {
    const struct rival_ops *ops;
    struct bench_options options;
    TAILQ_HEAD(, rival_space) spaces;
    uint64_t births;
    void *own; /**< the rival's */
    struct bench_pool *pool; /**< frames, slots and tables: bench/pool.h */
    struct rival_bits bits;
    uint64_t living; /**< spaces */
    uint64_t busy;   /**< of a mapping entry, the bits that give the verb under way something to do; 0: it only looks */
};

/**
 * Called for each mapping that a walk finds, its run locked if `entry` is one that the verb is busy with. Then it may replace
 * the entry, and call ops->unmap for it: so a walk must bear that the record it stands on goes. @return false: the walk may stop.
 */
typedef bool rival_visit_fn(void *ctx, struct rival_space *s, const struct rmap_mmu_run *run, uint32_t slot, rmap_pte_t entry);

/** Pages of one run, by slot from `first_slot` on; NULL: nothing that counts is there. */
struct rival_batch {
    struct rmap_page *page[RMAP_RUN_MAX];
    uint32_t first_slot, count; /* count of slots, NULLs included */
};

struct rival_ops {
    const char *name;
    size_t page_extra;  /**< a multiple of 8 */
    size_t space_bytes;
    void (*world_init)(struct rival_world *w); /**< any of the hooks but walk and bytes may be NULL: nothing to do */
    void (*world_fini)(struct rival_world *w);

    /** `parent` NULL: a group of its own. Else s is its child: regions are cloned here; before any entry is copied. */
    void (*space_init)(struct rival_space *s, struct rival_space *parent);
    /** First of all at an exit: zap whatever is easily found by the rival's own records, in base.h's terms and order. The base
     *  zaps what is left, swap entries for one. */
    void (*exit)(struct rival_space *s);
    /** Everything is zapped. Tables still exist. */
    void (*space_fini)(struct rival_space *s);
    void (*region_map)(struct rival_space *s, rmap_vpn_t first, uint64_t count);
    /** Entries are zapped already; a region may be split by it. */
    void (*region_unmap)(struct rival_space *s, rmap_vpn_t first, uint64_t count);
    /** [from, from + count) is about to move; entries follow by move_run. */
    void (*region_move)(struct rival_space *s, rmap_vpn_t from, rmap_vpn_t to, uint64_t count);
    /** … and have moved, and been flushed. */
    void (*region_moved)(struct rival_space *s, rmap_vpn_t from, rmap_vpn_t to, uint64_t count);

    /** An entry is about to map `page` at run->first + slot, count raised. `fresh`: a new page (first touch, copy, swap-in whose
     *  page nothing maps): set what says where it is. Else a swap-in of a page that others map, too. */
    void (*map)(struct rival_space *s, const struct rmap_mmu_run *run, uint32_t slot, struct rmap_page *page, bool fresh);
    /** Fork: the entries of a batch of the parent's are about to be set in the child at the same slots of `run`, counts raised. */
    void (*dup_run)(struct rival_space *child, struct rival_space *parent, const struct rmap_mmu_run *run,
                    const struct rival_batch *batch);
    /** An entry at run->first + slot was cleared or replaced; the count is lowered afterwards. */
    void (*unmap)(struct rival_space *s, const struct rmap_mmu_run *run, uint32_t slot, struct rmap_page *page);
    /** The same for a batch, of an exit or a zap. */
    void (*unmap_run)(struct rival_space *s, const struct rmap_mmu_run *run, const struct rival_batch *batch);
    /** May this page, at present at `from`, keep its frame when it moves? false: the base moves a private copy instead (the
     *  page is unmapped, the copy mapped at its new place). NULL: always. */
    bool (*may_move)(struct rival_space *s, const struct rmap_page *page, rmap_vpn_t from, rmap_vpn_t to);
    /** Swap-in of a cached page: may it be mapped at vpn? false: the base maps a private copy there, as a fresh page (an entry
     *  that moved, of a page that is found by an index). Not asked for pages that nothing maps. NULL: always. Page locked. */
    bool (*may_map)(struct rival_space *s, const struct rmap_page *page, rmap_vpn_t vpn);
    /** Entries that moved from `from` to `to`, slot by slot from `from_slot` and to_slot on; `batch` has their pages. */
    void (*move_run)(struct rival_space *s, const struct rmap_mmu_run *from, const struct rmap_mmu_run *to, uint32_t to_slot,
                     const struct rival_batch *batch);
    /** COW reuse in place: the space has the page alone, at vpn. */
    void (*reuse)(struct rival_space *s, rmap_vpn_t vpn, struct rmap_page *page);
    /** The page's last reference is about to go. Its owner is 0 if page_replace has been there. */
    void (*page_free)(struct rival_world *w, struct rmap_page *page);
    /** Migration: `to` takes the place of `from` in every entry; entries are changed by the base's visitor during a walk. Who
     *  keeps records by page takes them over here, after the walk. The base has taken owner and index over already. */
    void (*page_replace)(struct rival_world *w, struct rmap_page *from, struct rmap_page *to);

    /** Find the mappings of a page by what the rival keeps. Page locked; its mapcount stands still, whatever `visit` does, and
     *  is not 0. @return spaces looked into (records followed, tables scanned). */
    uint64_t (*walk)(struct rival_world *w, struct rmap_page *page, rival_visit_fn *visit, void *ctx);
    /** The same for a batch, where a system has a better way. `visit` gets ctx[i] for page i. NULL: one after another. */
    uint64_t (*walk_batch)(struct rival_world *w, struct rmap_page *const *pages, size_t n, rival_visit_fn *visit, void **ctx);
    /** Add to `out`, in which the base has set `pages` to page_extra times frames, and `spaces` to space_bytes times spaces. */
    void (*bytes)(struct rival_world *w, struct bench_bytes *out);
};

/* ---- for rivals ---- */

/** Page lock, of which nobody waits asleep here. */
static inline void rival_lock(struct rmap_page *page)
{
    const uint64_t was = atomic_fetch_or_explicit(&page->index_flags, RMAP_PAGE_LOCKED, memory_order_acquire);
    MUST_HOLD(!(was & RMAP_PAGE_LOCKED)); /* one thread: it would wait for itself */
}
static inline void rival_unlock(struct rmap_page *page)
{
    atomic_fetch_and_explicit(&page->index_flags, ~(uint64_t)RMAP_PAGE_LOCKED, memory_order_release);
}

/** The run of vpn, locked, and its entry; @return false (nothing locked) if no table is there. */
static inline bool rival_look(struct rival_space *s, rmap_vpn_t vpn, struct rmap_mmu_run *run, rmap_pte_t *entry)
{
    if (s->mmu.ops->run_find(s->mmu.ctx, vpn, vpn + 1, run)) return false;
    *entry = atomic_load_explicit(&run->slots[vpn - run->first], memory_order_relaxed);
    return true;
}
static inline void rival_leave(struct rival_space *s, struct rmap_mmu_run *run)
{
    s->mmu.ops->run_unlock(s->mmu.ctx, run);
}
/** Does an entry that is not none count as a mapping (present, no-access or migration)? */
static inline bool rival_counts(const struct rival_bits *b, rmap_pte_t entry)
{
    const unsigned kind = (unsigned)((entry & b->kind) >> b->kind_shift);
    return entry & b->present || kind == RMAP_PTE_NO_ACCESS || kind == RMAP_PTE_MIGRATION;
}
/** Does the entry map this page (present, no-access or migration)? */
static inline bool rival_maps(const struct rival_space *s, rmap_pte_t entry, const struct rmap_page *page)
{
    const struct rival_bits *b = &s->w->bits;
    return entry && pool_descriptor(s->w->pool, (entry & b->frame) >> b->frame_shift) == page && rival_counts(b, entry);
}
/** A glance at one page of a space, and what came of it. */
struct rival_sight {
    struct rmap_mmu_run run;
    rmap_pte_t entry;
    bool locked;
};
/**
 * Does the space map the page at vpn? The entry is read without a lock; if it maps the page, and the verb is busy with it, the
 * run is locked and the entry read again. Page locked, and what keeps the space and its tables alive (the group's lock, or the
 * like). @return true: end it with rival_glance_end.
 */
static inline bool rival_glance(struct rival_space *s, rmap_vpn_t vpn, const struct rmap_page *page, struct rival_sight *out)
{
    const struct rmap_mmu_ops *o = s->mmu.ops;
    out->locked = false;
    o->run_peek(&s->mmu.ctx, 1, vpn, vpn + 1, &out->run);
    if (!out->run.count) return false;
    out->entry = rmap_run_peek(&out->run, (uint32_t)(vpn - out->run.first));
    if (!rival_maps(s, out->entry, page)) return false;
    if (!(out->entry & s->w->busy)) return true;
    o->run_lock(s->mmu.ctx, &out->run);
    out->entry = rmap_run_get(&s->mmu, &out->run, (uint32_t)(vpn - out->run.first));
    out->locked = true;
    if (rival_maps(s, out->entry, page)) return true;
    rival_leave(s, &out->run);
    return false;
}
static inline void rival_glance_end(struct rival_space *s, struct rival_sight *sight)
{
    if (sight->locked) rival_leave(s, &sight->run);
}
static inline rmap_pfn_t rival_pfn(const struct rival_world *w, const struct rmap_page *page)
{
    return pool_pfn(w->pool, page);
}
/** Swap entries of the page's slot; 0 without one. */
uint32_t rival_swap_count(const struct rival_world *w, const struct rmap_page *page);
/** Memory for records: counted, zeroed; aligned to 16 bytes, powers of two (up to 4 KiB) to themselves. Or the program ends. */
void *rival_alloc(struct rival_world *w, size_t bytes);
void rival_free(struct rival_world *w, void *p, size_t bytes);
/** Owner word (a pointer, bit 0 set: ANON) and index of a descriptor. */
static inline void rival_set_owner(struct rmap_page *page, void *owner, rmap_vpn_t index)
{
    atomic_store_explicit(&page->owner, (uintptr_t)owner | RMAP_OWNER_ANON, memory_order_release);
    const uint64_t flags = atomic_load_explicit(&page->index_flags, memory_order_relaxed) & 0xfff;
    atomic_store_explicit(&page->index_flags, (uint64_t)index << RMAP_PAGE_INDEX_SHIFT | flags, memory_order_release);
}
static inline void *rival_owner(const struct rmap_page *page)
{
    return (void *)(page->owner & ~RMAP_OWNER_ANON);
}

/* ---- a rival as a system: in its own file, RIVAL_SYSTEM(flat_group, &ops); ---- */

struct bench_world *rival_open(const struct rival_ops *ops, const struct bench_options *options);
void rival_close(struct bench_world *w);
struct bench_space *rival_create(struct bench_world *w);
struct bench_space *rival_fork(struct bench_space *parent);
void rival_exit(struct bench_space *s);
void rival_map(struct bench_space *s, rmap_vpn_t first, uint64_t count);
void rival_unmap(struct bench_space *s, rmap_vpn_t first, uint64_t count);
void rival_write(struct bench_space *s, rmap_vpn_t vpn);
void rival_read(struct bench_space *s, rmap_vpn_t vpn);
void rival_move(struct bench_space *s, rmap_vpn_t from, rmap_vpn_t to, uint64_t count);
void rival_verb(struct bench_world *w, enum bench_verb verb, struct rmap_page *const *pages, size_t n,
                struct bench_tally *tally);
void rival_evict(struct bench_world *w, struct rmap_page *const *pages, size_t n);
struct rmap_page *rival_page(struct bench_space *s, rmap_vpn_t vpn);
const struct rmap_mmu *rival_mmu(struct bench_space *s);
unsigned char *rival_contents(struct bench_world *w, const struct rmap_page *page);
void rival_bytes(struct bench_world *w, struct bench_bytes *out);
uint64_t rival_frames_free(struct bench_world *w);

/** Defines bench_NAME. */
#define RIVAL_SYSTEM(name_, ops_)                                                                                                \
    static struct bench_world *open_##name_(const struct bench_options *options)                                                 \
    {                                                                                                                            \
        return rival_open(ops_, options);                                                                                        \
    }                                                                                                                            \
    const struct bench_system bench_##name_ = {                                                                                  \
        #name_,       open_##name_, rival_close, rival_create, rival_fork,     rival_exit,  rival_map,        rival_unmap,       \
        rival_write,  rival_read,   rival_move,  rival_verb,   rival_evict,    rival_page,  rival_mmu,        rival_contents,    \
        rival_bytes,  rival_frames_free}

#endif
