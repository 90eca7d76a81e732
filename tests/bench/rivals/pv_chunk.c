/* SPDX-License-Identifier: MIT */
/**
 * @file bench/rivals/pv_chunk.c  A record for each mapping, in chunks of the space and in a list of the page: FreeBSD's pmap.
 *
 * From what FreeBSD says of it in pmap(9) and in the messages of its changes (amd64's pv chunks, 2006; pv list locks by
 * 2 MiB of frames, 2012): a space has chunks of one page, of 168 records of 24 bytes; a record is {address, links in the
 * page's list}, and its space is in the header of its chunk, which an aligned address leads to. 24.4 bytes a mapping.
 *
 *     space ── chunks ──▶ [ space | links | 168 bits: free | 168 × {vpn, next, back} ]     4 KiB, aligned
 *     page ── list ────────────────────────────────────────▶ {…} ──▶ {…} of another space's chunk ──▶ …
 *
 * What is not as there, each for this rival's good:
 * - The list has a single head, 8 bytes a page instead of 16, and the youngest mapping is first: a child that exits meets its
 *   records at once. Fields for superpages and for the reclaim of chunks are left out; their room in the header is empty.
 * - A record that is sought is first expected behind the one that was used last, where a fork or an ascending fill has put it;
 *   only else is the page's list searched, as FreeBSD does. Exit seeks none: it goes through the chunks, there and here.
 *
 * Locks: one of 256 for the lists of 2 MiB of frames, kept while pages of a batch share it. Chunks are covered by the space's
 * lock.
 */
#include "bench/rivals/base.h"

#include <stdlib.h>

#define CHUNK_BYTES 4096
#define RECORDS 168
#define WORDS 3
#define LAST_WORD_ALL (((uint64_t)1 << (RECORDS - 128)) - 1)
#define LOCKS 256 /* a lock is that of all groups of frames with its number, modulo this */
#define LOCK_FRAMES 512

struct record {
    rmap_vpn_t vpn;
    struct record *next, **back; /* the page's list */
};

struct chunk {
    struct pv_space *space;
    TAILQ_ENTRY(chunk) link;
    uint64_t free[WORDS]; /* bit set: free */
    uint64_t reserved[2];
    struct record record[RECORDS];
};
_Static_assert(sizeof(struct chunk) == CHUNK_BYTES, "a chunk is a page");

/** Chunks with free records come before those without. */
struct pv_space {
    TAILQ_HEAD(, chunk) chunks;
    struct rival_space *s;
    struct record *likely; /* where the next record is expected, in a chunk of this space; NULL: no idea */
};

struct list_lock {
    _Alignas(64) _Atomic(uint32_t) word;
};

struct pv_world {
    struct list_lock *locks;
    struct list_lock *walking; /* held by the walk that is going on */
    uint64_t chunks;
};

/** The lock that a batch holds, and whose descriptors it is for. All zeroes: none. */
struct held {
    struct list_lock *lock;
    uintptr_t first, bytes;
};

/** The page's list head. */
static inline struct record **list_of(const struct rmap_page *page)
{
    return rival_extra(page);
}
static inline struct chunk *chunk_of(const struct record *r)
{
    return (struct chunk *)((uintptr_t)r & ~(uintptr_t)(CHUNK_BYTES - 1));
}
static inline bool has_room(const struct chunk *c)
{
    return c->free[0] | c->free[1] | c->free[2];
}
static inline bool is_empty(const struct chunk *c)
{
    return (c->free[0] & c->free[1]) == ~(uint64_t)0 && c->free[2] == LAST_WORD_ALL;
}

/* ---- locks ---- */

/** The lock of a page's list, taken, unless the walk that is going on has it. */
static inline struct list_lock *lock_one(struct rival_world *w, const struct rmap_page *page)
{
    struct pv_world *pw = w->own;
    struct list_lock *lock = &pw->locks[rival_pfn(w, page) / LOCK_FRAMES % LOCKS];
    while (lock != pw->walking && atomic_exchange_explicit(&lock->word, 1, memory_order_acquire))
        while (atomic_load_explicit(&lock->word, memory_order_relaxed)) {}
    return lock;
}
static inline void unlock_one(struct rival_world *w, struct list_lock *lock)
{
    if (lock != ((struct pv_world *)w->own)->walking) atomic_store_explicit(&lock->word, 0, memory_order_release);
}

static void unlock(struct rival_world *w, struct held *h)
{
    if (h->lock) unlock_one(w, h->lock);
    *h = (struct held){0};
}

static void lock_other(struct rival_world *w, struct held *h, const struct rmap_page *page)
{
    rmap_pfn_t first = rival_pfn(w, page) / LOCK_FRAMES * LOCK_FRAMES;
    unlock(w, h);
    *h = (struct held){lock_one(w, page), (uintptr_t)pool_descriptor(w->pool, first), LOCK_FRAMES * w->pool->stride};
}

/** Change over to the lock of a page's list, if it is another than the one held. */
static inline void lock_for(struct rival_world *w, struct held *h, const struct rmap_page *page)
{
    if ((uintptr_t)page - h->first >= h->bytes) lock_other(w, h, page);
}

/* ---- records of a space ---- */

static inline unsigned number_of(const struct record *r)
{
    return (unsigned)(r - chunk_of(r)->record);
}
static inline bool in_use(const struct chunk *c, unsigned i)
{
    return !(c->free[i / 64] >> i % 64 & 1);
}

static struct chunk *chunk_new(struct rival_world *w, struct pv_space *ps)
{
    struct chunk *c = rival_alloc(w, CHUNK_BYTES);
    c->space = ps;
    c->free[0] = c->free[1] = ~(uint64_t)0;
    c->free[2] = LAST_WORD_ALL;
    TAILQ_INSERT_HEAD(&ps->chunks, c, link);
    ((struct pv_world *)w->own)->chunks++;
    return c;
}

static void chunk_free(struct rival_world *w, struct pv_space *ps, struct chunk *c)
{
    TAILQ_REMOVE(&ps->chunks, c, link);
    rival_free(w, c, CHUNK_BYTES);
    ((struct pv_world *)w->own)->chunks--;
}

/** The chunk to take records from; then chunk_took(). */
static inline struct chunk *chunk_with_room(struct rival_world *w, struct pv_space *ps)
{
    struct chunk *c = TAILQ_FIRST(&ps->chunks);
    return c && has_room(c) ? c : chunk_new(w, ps);
}
static inline void chunk_took(struct pv_space *ps, struct chunk *c)
{
    if (has_room(c)) return;
    TAILQ_REMOVE(&ps->chunks, c, link);
    TAILQ_INSERT_TAIL(&ps->chunks, c, link);
}

/** Records were given back; `next` is the number of the one that is likely to be next. */
static void chunk_got(struct rival_world *w, struct pv_space *ps, struct chunk *c, unsigned next)
{
    ps->likely = NULL;
    if (is_empty(c)) {
        chunk_free(w, ps, c);
        return;
    }
    if (c != TAILQ_FIRST(&ps->chunks)) {
        TAILQ_REMOVE(&ps->chunks, c, link);
        TAILQ_INSERT_HEAD(&ps->chunks, c, link);
    }
    if (next < RECORDS) ps->likely = &c->record[next];
}

static inline void list_add(const struct rmap_page *page, struct record *r, rmap_vpn_t vpn)
{
    struct record **head = list_of(page), *first = *head;
    r->vpn = vpn;
    r->next = first;
    r->back = head;
    if (first) first->back = &r->next;
    *head = r;
}
static inline void list_remove(struct record *r)
{
    struct record *next = r->next;
    *r->back = next;
    if (next) next->back = r->back;
}

/** Is it the record of vpn? There is one mapping at a number in a space, so one that is in use is it. */
static inline bool is_record(const struct chunk *c, unsigned i, rmap_vpn_t vpn)
{
    return i < RECORDS && c->record[i].vpn == vpn && in_use(c, i);
}

/** The record of a mapping, by the page's list, which is locked. */
static struct record *record_search(const struct pv_space *ps, rmap_vpn_t vpn, const struct rmap_page *page)
{
    struct record *r = *list_of(page);
    while (r && (r->vpn != vpn || chunk_of(r)->space != ps)) r = r->next;
    MUST_HOLD(r); /* every mapping has one */
    return r;
}
/** The same, where it is likely to be first. */
static inline struct record *record_find(const struct pv_space *ps, rmap_vpn_t vpn, const struct rmap_page *page)
{
    struct record *r = ps->likely;
    return r && is_record(chunk_of(r), number_of(r), vpn) ? r : record_search(ps, vpn, page);
}

/* ---- the hooks ---- */

static void world_init(struct rival_world *w)
{
    struct pv_world *pw = rival_alloc(w, sizeof *pw);
    *pw = (struct pv_world){.locks = aligned_alloc(sizeof *pw->locks, LOCKS * sizeof *pw->locks)};
    MUST_HOLD(pw->locks);
    for (unsigned i = 0; i < LOCKS; i++) atomic_init(&pw->locks[i].word, 0);
    w->own = pw;
}
static void world_fini(struct rival_world *w)
{
    struct pv_world *pw = w->own;
    MUST_HOLD(!pw->chunks);
    free(pw->locks);
    rival_free(w, pw, sizeof *pw);
}

static void space_init(struct rival_space *s, struct rival_space *parent)
{
    (void)parent;
    struct pv_space *ps = s->own;
    TAILQ_INIT(&ps->chunks);
    ps->s = s;
}
static void space_fini(struct rival_space *s)
{
    struct pv_space *ps = s->own;
    MUST_HOLD(TAILQ_EMPTY(&ps->chunks));
}

static void map(struct rival_space *s, const struct rmap_mmu_run *run, uint32_t slot, struct rmap_page *page, bool fresh)
{
    (void)fresh;
    struct chunk *c = chunk_with_room(s->w, s->own);
    unsigned word = c->free[0] ? 0 : c->free[1] ? 1 : 2;
    struct record *r = &c->record[word * 64 + (unsigned)__builtin_ctzll(c->free[word])];
    c->free[word] &= c->free[word] - 1;
    chunk_took(s->own, c);
    struct list_lock *lock = lock_one(s->w, page);
    list_add(page, r, run->first + slot);
    unlock_one(s->w, lock);
}

/** A word of a chunk at a time. */
static void dup_run(struct rival_space *child, struct rival_space *parent, const struct rmap_mmu_run *run,
                    const struct rival_batch *batch)
{
    (void)parent;
    const rmap_vpn_t first = run->first + batch->first_slot;
    const uint32_t count = batch->count;
    struct held held = {0};
    for (uint32_t i = 0; i < count;) {
        struct chunk *c = chunk_with_room(child->w, child->own);
        for (unsigned word = 0; word < WORDS; word++) {
            struct record *records = &c->record[word * 64];
            uint64_t room = c->free[word];
            for (; room && i < count; i++) {
                const struct rmap_page *page = batch->page[i];
                if (!page) continue;
                lock_for(child->w, &held, page);
                list_add(page, &records[__builtin_ctzll(room)], first + i);
                room &= room - 1;
            }
            c->free[word] = room;
        }
        chunk_took(child->own, c);
    }
    unlock(child->w, &held);
}

static void unmap(struct rival_space *s, const struct rmap_mmu_run *run, uint32_t slot, struct rmap_page *page)
{
    struct list_lock *lock = lock_one(s->w, page);
    struct record *r = record_find(s->own, run->first + slot, page);
    list_remove(r);
    unlock_one(s->w, lock);
    struct chunk *c = chunk_of(r);
    unsigned i = number_of(r);
    c->free[i / 64] |= (uint64_t)1 << i % 64;
    chunk_got(s->w, s->own, c, i + 1);
}

/** Record after record of a chunk, as long as they are in the order of the numbers. */
static void unmap_run(struct rival_space *s, const struct rmap_mmu_run *run, const struct rival_batch *batch)
{
    struct pv_space *ps = s->own;
    const rmap_vpn_t first = run->first + batch->first_slot;
    struct chunk *c = ps->likely ? chunk_of(ps->likely) : NULL;
    unsigned next = c ? number_of(ps->likely) : 0;
    struct held held = {0};
    for (uint32_t k = 0; k < batch->count; k++) {
        const struct rmap_page *page = batch->page[k];
        if (!page) continue;
        lock_for(s->w, &held, page);
        if (!c || !is_record(c, next, first + k)) {
            struct record *r = record_search(ps, first + k, page);
            if (c && c != chunk_of(r)) chunk_got(s->w, ps, c, next);
            c = chunk_of(r);
            next = number_of(r);
        }
        list_remove(&c->record[next]);
        c->free[next / 64] |= (uint64_t)1 << next % 64;
        next++;
    }
    if (c) chunk_got(s->w, ps, c, next);
    unlock(s->w, &held);
}

/** A record's entry goes, then the record. The run is changed where it is another one. */
static inline void zap_record(struct rival_space *s, const struct rival_bits *b, struct rmap_mmu_run *run, struct held *held,
                              struct record *r)
{
    if (r->vpn - run->first >= run->count) {
        rmap_pte_t entry;
        if (run->count) rival_leave(s, run);
        MUST_HOLD(rival_look(s, r->vpn, run, &entry));
    }
    uint32_t slot = (uint32_t)(r->vpn - run->first), ahead = slot + RIVAL_AHEAD;
    if (ahead < run->count) rival_prefetch(s->w, b, rmap_run_get(&s->mmu, run, ahead));
    rmap_pte_t old = rmap_run_exchange(&s->mmu, run, slot, 0);
    struct rmap_page *page = rival_entry_page(s->w, b, old);
    if (old & b->dirty) rival_set_dirty(page);
    lock_for(s->w, held, page);
    list_remove(r);
    rival_count_down(s->w, page);
}

/** Chunk by chunk: records are met, not sought. */
static void zap_all(struct rival_space *s)
{
    const struct rival_bits b = s->w->bits;
    struct pv_space *ps = s->own;
    struct rmap_mmu_run run = {.count = 0};
    struct held held = {0};
    struct chunk *c;
    while ((c = TAILQ_FIRST(&ps->chunks))) {
        for (unsigned word = 0; word < WORDS; word++) {
            uint64_t used = ~c->free[word] & (word == WORDS - 1 ? LAST_WORD_ALL : ~(uint64_t)0);
            struct record *records = &c->record[word * 64];
            for (; used; used &= used - 1) zap_record(s, &b, &run, &held, &records[__builtin_ctzll(used)]);
        }
        chunk_free(s->w, ps, c);
    }
    unlock(s->w, &held);
    if (run.count) rival_leave(s, &run);
    ps->likely = NULL;
}

/** Entries at new numbers: their records say so, and stay. */
static void move_run(struct rival_space *s, const struct rmap_mmu_run *from, const struct rmap_mmu_run *to, uint32_t to_slot,
                     const struct rival_batch *batch)
{
    struct pv_space *ps = s->own;
    const rmap_vpn_t old = from->first + batch->first_slot, new = to->first + to_slot;
    struct held held = {0};
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct rmap_page *page = batch->page[i];
        if (!page) continue;
        lock_for(s->w, &held, page);
        struct record *r = record_find(ps, old + i, page);
        r->vpn = new + i;
        ps->likely = number_of(r) + 1 < RECORDS ? r + 1 : NULL;
    }
    unlock(s->w, &held);
}

static void page_replace(struct rival_world *w, struct rmap_page *from, struct rmap_page *to)
{
    (void)w;
    struct record **a = list_of(from), **b = list_of(to);
    *b = *a;
    if (*b) (*b)->back = b;
    *a = NULL;
}

/** The page's list locked by the walk. */
static inline uint64_t walk_list(struct rmap_page *page, rival_visit_fn *visit, void *ctx)
{
    uint64_t followed = 0;
    for (struct record *r = *list_of(page), *next; r; r = next) {
        next = r->next; /* the visitor may unmap, and r goes */
        struct pv_space *ps = chunk_of(r)->space;
        struct rival_sight x;
        rmap_vpn_t vpn = r->vpn;
        followed++;
        ps->likely = r; /* … and finds it here */
        MUST_HOLD(rival_glance(ps->s, vpn, page, &x));
        bool more = visit(ctx, ps->s, &x.run, (uint32_t)(vpn - x.run.first), x.entry);
        rival_glance_end(ps->s, &x);
        if (!more) break;
    }
    return followed;
}

static uint64_t walk_batch(struct rival_world *w, struct rmap_page *const *pages, size_t n, rival_visit_fn *visit, void **ctx)
{
    struct pv_world *pw = w->own;
    struct held held = {0};
    uint64_t followed = 0;
    for (size_t i = 0; i < n; i++) {
        pw->walking = NULL;
        lock_for(w, &held, pages[i]);
        pw->walking = held.lock; /* visitors that unmap find it taken */
        followed += walk_list(pages[i], visit, ctx[i]);
    }
    pw->walking = NULL;
    unlock(w, &held);
    return followed;
}

static uint64_t walk(struct rival_world *w, struct rmap_page *page, rival_visit_fn *visit, void *ctx)
{
    return walk_batch(w, &page, 1, visit, &ctx);
}

static void bytes(struct rival_world *w, struct bench_bytes *out)
{
    out->mappings += ((const struct pv_world *)w->own)->chunks * CHUNK_BYTES;
}

static const struct rival_ops ops = {
    .name = "pv_chunk",
    .page_extra = sizeof(struct record *),
    .space_bytes = sizeof(struct pv_space),
    .world_init = world_init,
    .world_fini = world_fini,
    .space_init = space_init,
    .space_fini = space_fini,
    .exit = zap_all,
    .map = map,
    .dup_run = dup_run,
    .unmap = unmap,
    .unmap_run = unmap_run,
    .move_run = move_run,
    .page_replace = page_replace,
    .walk = walk,
    .walk_batch = walk_batch,
    .bytes = bytes,
};

RIVAL_SYSTEM(pv_chunk, &ops);
