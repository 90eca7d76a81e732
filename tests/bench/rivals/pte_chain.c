/* SPDX-License-Identifier: MIT */
/**
 * @file bench/rivals/pte_chain.c  The page knows the addresses of its entries: Linux 2.5's reverse map.
 *
 * From what was written of it in 2002 (LWN on R. van Riel's "rmap" patches and on A. Morton's changes to them; M. Gorman,
 * Understanding the Linux Virtual Memory Manager, "Reverse Mapping"): a page that is mapped once points to its entry; from the
 * second mapping on it points to a chain of blocks of one cache line, each a word of {next, index of the first used} and
 * seven addresses. Only the first block has unused places, at its beginning. An entry's table says which space it belongs to,
 * and which numbers it maps. So nothing has to descend to find an entry; 8 bytes a mapping at best.
 *
 *     page ── word ──▶ [ next, 5 | – – – – – a b ] ──▶ [ next, 0 | c d e f g h i ] ──▶ …
 *
 * A removal fills the hole from the first block. As there, a chain whose last address is alone becomes a direct pointer
 * again when a walk sees it, not at once.
 *
 * Locks: a bit of the page's word for the chain. What Linux then locked to look at an entry was mm->page_table_lock, which it
 * need not descend for either: here it is a bit beside the table. The world has one thread, so that this is not the lock that
 * the base takes for the run does no harm, and costs as much as that.
 */
#include "bench/pool.h"
#include "bench/rivals/rival.h"
#include "bench/rivals/slab.h"

#define PLACES 7
#define INDEX_MASK ((uintptr_t)63) /* blocks are aligned to 64 */
#define DIRECT ((uintptr_t)1)
#define LOCK ((uintptr_t)2)
#define TABLE_BYTES 4096

typedef RMAP_ATOMIC(rmap_pte_t) entry_t;

struct block {
    uintptr_t next_index; /* next block | index of the first used place: not 0 in the first block only */
    entry_t *place[PLACES];
};
_Static_assert(sizeof(struct block) == 64, "a block is a cache line");

/** Beside each table: pool_block_extra. */
struct table_note {
    _Atomic(uintptr_t) space; /* struct rival_space | lock */
    rmap_vpn_t first;
};
_Static_assert(sizeof(struct table_note) == 16, "what the pool has room for");

struct chain_world {
    struct slab blocks;
    const struct rmap_page *walked; /* its lock is held by the walk that is going on */
};

/** The page's word: 0; entry | DIRECT; or block. With LOCK. */
static inline _Atomic(uintptr_t) *word_of(const struct rmap_page *page)
{
    return rival_extra(page);
}

static inline struct block *next_of(const struct block *b)
{
    return (struct block *)(b->next_index & ~INDEX_MASK);
}
static inline unsigned index_of(const struct block *b)
{
    return (unsigned)(b->next_index & INDEX_MASK);
}

/* ---- locks ---- */

/** @return the word without the bit. */
static inline uintptr_t word_lock(struct chain_world *cw, const struct rmap_page *page)
{
    if (page == cw->walked) return atomic_load_explicit(word_of(page), memory_order_relaxed) & ~LOCK;
    uintptr_t old;
    while ((old = atomic_fetch_or_explicit(word_of(page), LOCK, memory_order_acquire)) & LOCK)
        while (atomic_load_explicit(word_of(page), memory_order_relaxed) & LOCK) {}
    return old;
}
static inline void word_unlock(struct chain_world *cw, const struct rmap_page *page, uintptr_t word)
{
    if (page == cw->walked) word |= LOCK; /* and the walk unlocks it */
    atomic_store_explicit(word_of(page), word, memory_order_release);
}

static inline struct table_note *note_of(struct rival_world *w, const entry_t *entry)
{
    return pool_block_extra(w->pool, (void *)((uintptr_t)entry & ~(uintptr_t)(TABLE_BYTES - 1)));
}
/** A table that will hold counted entries says whose it is. */
static inline void note(struct rival_space *s, const struct rmap_mmu_run *run)
{
    struct table_note *n = note_of(s->w, run->slots);
    if (atomic_load_explicit(&n->space, memory_order_relaxed) == (uintptr_t)s && n->first == run->first) return;
    n->first = run->first;
    atomic_store_explicit(&n->space, (uintptr_t)s, memory_order_relaxed);
}

/* ---- the chain of a page; its word is locked ---- */

static inline struct block *block_new(struct chain_world *cw, struct block *next, unsigned index)
{
    struct block *b = slab_alloc(&cw->blocks);
    b->next_index = (uintptr_t)next | index;
    return b;
}

/** @return the new word. */
static inline uintptr_t chain_add(struct chain_world *cw, uintptr_t word, entry_t *entry)
{
    if (!word) return (uintptr_t)entry | DIRECT;
    struct block *b;
    if (word & DIRECT) {
        b = block_new(cw, NULL, PLACES - 2);
        b->place[PLACES - 1] = (entry_t *)(word & ~DIRECT);
        b->place[PLACES - 2] = entry;
        return (uintptr_t)b;
    }
    b = (struct block *)word;
    unsigned i = index_of(b);
    if (i) {
        b->next_index--;
        b->place[i - 1] = entry;
        return word;
    }
    b = block_new(cw, b, PLACES - 1);
    b->place[PLACES - 1] = entry;
    return (uintptr_t)b;
}

/** Where an entry is in a chain. */
static inline entry_t **chain_find(struct block *head, const entry_t *entry)
{
    for (struct block *b = head; b; b = next_of(b))
        for (unsigned i = index_of(b); i < PLACES; i++)
            if (b->place[i] == entry) return &b->place[i];
    MUST_HOLD(!"an entry that is in no chain");
    return NULL;
}

/** @return the new word. */
static inline uintptr_t chain_remove(struct chain_world *cw, uintptr_t word, const entry_t *entry)
{
    if (word & DIRECT) {
        MUST_HOLD((word & ~DIRECT) == (uintptr_t)entry);
        return 0;
    }
    struct block *head = (struct block *)word;
    entry_t **hole = chain_find(head, entry);
    unsigned i = index_of(head);
    *hole = head->place[i];
    head->next_index++;
    if (i + 1 < PLACES) return word;
    word = (uintptr_t)next_of(head);
    slab_free(&cw->blocks, head);
    return word;
}

/* ---- the hooks ---- */

static void world_init(struct rival_world *w)
{
    struct chain_world *cw = rival_alloc(w, sizeof *cw);
    cw->walked = NULL;
    slab_init(&cw->blocks, w, sizeof(struct block));
    w->own = cw;
}
static void world_fini(struct rival_world *w)
{
    struct chain_world *cw = w->own;
    slab_fini(&cw->blocks);
    rival_free(w, cw, sizeof *cw);
}

static void map(struct rival_space *s, const struct rmap_mmu_run *run, uint32_t slot, struct rmap_page *page, bool fresh)
{
    (void)fresh;
    struct chain_world *cw = s->w->own;
    note(s, run);
    word_unlock(cw, page, chain_add(cw, word_lock(cw, page), &run->slots[slot]));
}

static void dup_run(struct rival_space *child, struct rival_space *parent, const struct rmap_mmu_run *run,
                    const struct rival_batch *batch)
{
    (void)parent;
    struct chain_world *cw = child->w->own;
    entry_t *slots = &run->slots[batch->first_slot];
    note(child, run);
    for (uint32_t i = 0; i < batch->count; i++) {
        struct rmap_page *page = batch->page[i];
        if (page) word_unlock(cw, page, chain_add(cw, word_lock(cw, page), &slots[i]));
    }
}

static void unmap(struct rival_space *s, const struct rmap_mmu_run *run, uint32_t slot, struct rmap_page *page)
{
    struct chain_world *cw = s->w->own;
    word_unlock(cw, page, chain_remove(cw, word_lock(cw, page), &run->slots[slot]));
}

static void unmap_run(struct rival_space *s, const struct rmap_mmu_run *run, const struct rival_batch *batch)
{
    struct chain_world *cw = s->w->own;
    entry_t *slots = &run->slots[batch->first_slot];
    for (uint32_t i = 0; i < batch->count; i++) {
        struct rmap_page *page = batch->page[i];
        if (page) word_unlock(cw, page, chain_remove(cw, word_lock(cw, page), &slots[i]));
    }
}

static void move_run(struct rival_space *s, const struct rmap_mmu_run *from, const struct rmap_mmu_run *to, uint32_t to_slot,
                     const struct rival_batch *batch)
{
    struct chain_world *cw = s->w->own;
    entry_t *old = &from->slots[batch->first_slot], *new = &to->slots[to_slot];
    note(s, to);
    for (uint32_t i = 0; i < batch->count; i++) {
        struct rmap_page *page = batch->page[i];
        if (!page) continue;
        uintptr_t word = word_lock(cw, page);
        if (word & DIRECT) {
            MUST_HOLD((word & ~DIRECT) == (uintptr_t)&old[i]);
            word = (uintptr_t)&new[i] | DIRECT;
        } else {
            *chain_find((struct block *)word, &old[i]) = &new[i];
        }
        word_unlock(cw, page, word);
    }
}

static void page_replace(struct rival_world *w, struct rmap_page *from, struct rmap_page *to)
{
    (void)w;
    atomic_store_explicit(word_of(to), atomic_load_explicit(word_of(from), memory_order_relaxed), memory_order_relaxed);
    atomic_store_explicit(word_of(from), 0, memory_order_relaxed);
}

static bool look_at(struct rival_world *w, entry_t *entry, rival_visit_fn *visit, void *ctx)
{
    struct table_note *n = note_of(w, entry);
    const rmap_pte_t seen = atomic_load_explicit(entry, memory_order_acquire);
    const bool busy = seen & w->busy; /* else there is nothing to lock the table for: as rival_glance */
    uintptr_t s = atomic_load_explicit(&n->space, memory_order_acquire) & ~LOCK;
    while (busy && (s = atomic_fetch_or_explicit(&n->space, LOCK, memory_order_acquire)) & LOCK) {}
    struct rmap_mmu_run run = {.slots = (entry_t *)((uintptr_t)entry & ~(uintptr_t)(TABLE_BYTES - 1)),
                               .first = n->first,
                               .count = TABLE_BYTES / sizeof(entry_t)};
    bool more = visit(ctx, (struct rival_space *)s, &run, (uint32_t)(entry - run.slots),
                      busy ? atomic_load_explicit(entry, memory_order_relaxed) : seen);
    if (busy) atomic_store_explicit(&n->space, s, memory_order_release);
    return more;
}

/* A visitor may unmap: the hole of the entry that is looked at is filled with one that was looked at before, or it is the
 * first of all itself. So going on behind it misses nothing, only the next block must be known ahead. */
static uint64_t walk(struct rival_world *w, struct rmap_page *page, rival_visit_fn *visit, void *ctx)
{
    struct chain_world *cw = w->own;
    uint64_t followed = 0;
    uintptr_t word = word_lock(cw, page);
    cw->walked = page;
    if (word & DIRECT) {
        followed = 1;
        look_at(w, (entry_t *)(word & ~DIRECT), visit, ctx);
    } else {
        bool more = true;
        for (struct block *b = (struct block *)word, *next; b && more; b = next) {
            next = next_of(b);
            for (unsigned i = index_of(b); i < PLACES && more; i++) {
                followed++;
                more = look_at(w, b->place[i], visit, ctx);
            }
        }
    }
    word = word_lock(cw, page);
    cw->walked = NULL;
    if (word && !(word & DIRECT)) {
        struct block *b = (struct block *)word;
        if (b->next_index == PLACES - 1) { /* the last, and alone */
            word = (uintptr_t)b->place[PLACES - 1] | DIRECT;
            slab_free(&cw->blocks, b);
        }
    }
    word_unlock(cw, page, word);
    return followed;
}

static void bytes(struct rival_world *w, struct bench_bytes *out)
{
    out->mappings += ((const struct chain_world *)w->own)->blocks.used * sizeof(struct block);
}

static const struct rival_ops ops = {
    .name = "pte_chain",
    .page_extra = sizeof(uintptr_t),
    .world_init = world_init,
    .world_fini = world_fini,
    .map = map,
    .dup_run = dup_run,
    .unmap = unmap,
    .unmap_run = unmap_run,
    .move_run = move_run,
    .page_replace = page_replace,
    .walk = walk,
    .bytes = bytes,
};

RIVAL_SYSTEM(pte_chain, &ops);
