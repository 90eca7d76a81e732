/* SPDX-License-Identifier: MIT */
/**
 * @file mmu/radix_run.c  Finding, making and locking runs: what every look at an entry goes through.
 *
 * Tables are only ever added while walks are possible (trim excludes them), so a descent needs no lock: it reads upper
 * entries and takes one lock bit at the end.
 */
#include "base/rank.h"
#include "base/wait.h"
#include "mmu/radix_internal.h"

#define LIKELY(x) __builtin_expect(!!(x), 1)

/*
 * Upper entries have no bit to say that somebody sleeps, so all spaces of a config sleep at one place: `sleepers` counts
 * them, `parking` is the word they sleep on. It changes with every unlock that finds sleepers.
 *
 *     waiter                                        unlocker
 *     w1  sleepers + 1                              u1  bit off, in the upper entry
 *     w2  seen := parking                           u2  sleepers?   none: done
 *     w3  try the bit: taken                        u3  parking + 1
 *     w4  sleep if parking = seen                   u4  wake all
 *
 * No wake is lost. w1, w3, u1 and u2 are sequentially consistent. Let w3 find the bit that u1 takes away: w3 comes before
 * u1 in the bit's own order, hence w1 < w3 < u1 < u2 in the one order of all four, and u2 counts the waiter. As w2 comes
 * before w3, `seen` is older than u3: either w4 sees another value and does not sleep, or it sleeps before u3 and u4 wakes
 * it. If w3 comes after u1, it gets the bit, or finds it taken by somebody whose u1 is still to come.
 * All are woken, since they may want different runs; a sleeper is rare, and several are rarer.
 */
static __attribute__((noinline)) void lock_slow(struct rmap__radix_config *c, rmap__slot *word, uint64_t bit)
{
    for (unsigned spins = 0; spins < RMAP__SPINS; spins++) {
        if (!(atomic_load_explicit(word, memory_order_relaxed) & bit) &&
            !(atomic_fetch_or_explicit(word, bit, memory_order_acquire) & bit)) {
            return;
        }
        rmap__pause();
    }
    atomic_fetch_add(&c->sleepers, 1);
    for (;;) {
        uint32_t seen = atomic_load_explicit(&c->parking, memory_order_acquire);
        if (!(atomic_fetch_or(word, bit) & bit)) break;
        rmap__sleep(&c->parking, seen);
    }
    atomic_fetch_sub_explicit(&c->sleepers, 1, memory_order_relaxed);
}

static __attribute__((noinline)) void wake_sleepers(struct rmap__radix_config *c)
{
    atomic_fetch_add_explicit(&c->parking, 1, memory_order_release);
    rmap__wake_all(&c->parking);
}

/* The lock bit of vpn's run: the n-th set bit of lock_bits for the n-th run of a leaf table. Mostly n = 0. */
static inline uint64_t lock_bit(const struct rmap__radix_config *c, rmap_vpn_t vpn)
{
    uint64_t bits = c->lock_bits;
    for (uint64_t n = (vpn & c->index_mask[0]) >> c->run_shift; n; n--) bits &= bits - 1;
    return bits & (~bits + 1);
}

/* vpn's run in `leaf`; `word` holds the lock bits. */
static inline void set_run(const struct rmap__radix_config *c, rmap__slot *word, rmap__slot *leaf, rmap_vpn_t vpn,
                           struct rmap_mmu_run *run)
{
    run->count = (uint32_t)1 << c->run_shift;
    run->first = vpn & ~((rmap_vpn_t)run->count - 1);
    run->slots = leaf + (run->first & c->index_mask[0]);
    run->cookie = word;
}

/* Acquire pairs with the release in run_unlock. */
static inline void lock_run(struct rmap_radix *r, struct rmap_mmu_run *run)
{
    struct rmap__radix_config *c = r->config;
    rmap__slot *word = run->cookie;
    uint64_t bit = lock_bit(c, run->first);
    rmap__rank_take(RMAP__RANK_RUN, r);
    if (!LIKELY(!(atomic_fetch_or_explicit(word, bit, memory_order_acquire) & bit))) lock_slow(c, word, bit);
}

/* `vpn` has an absent entry in `table`: where the next entry begins that is not absent, or the table's successor. */
static rmap_vpn_t skip_absent(const struct rmap__radix_config *c, rmap__slot *table, unsigned level, rmap_vpn_t vpn,
                              rmap_vpn_t end)
{
    uint64_t i = rmap__radix_index(c, level, vpn);
    do {
        vpn = ((vpn >> c->shift[level]) + 1) << c->shift[level];
    } while (++i <= c->index_mask[level] && vpn < end && rmap__radix_is_absent(c, rmap__radix_load(&table[i])));
    return vpn;
}

/* BLOCK is said of the first thing that lies in [vpn, end): a table before it is found first. */
static inline int find_run(struct rmap_radix *r, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    const struct rmap__radix_config *c = r->config;
    if (vpn >= end || vpn >= c->pages) return RMAP_ERR_RANGE;
    if (end > c->pages) end = c->pages;

again:;
    rmap__slot *word = &r->lock, *table = r->root;
    for (unsigned level = c->levels - 1; level > 0; level--) {
        word = &table[rmap__radix_index(c, level, vpn)];
        rmap_pte_t e = rmap__radix_load(word);
        if (LIKELY(rmap__radix_is_table(c, e))) {
            table = rmap__radix_table(c, e);
            continue;
        }
        if (!rmap__radix_is_absent(c, e)) return RMAP_ERR_BLOCK;
        vpn = skip_absent(c, table, level, vpn, end);
        if (vpn >= end) return RMAP_ERR_ABSENT;
        goto again;
    }
    set_run(c, word, table, vpn, run);
    return 0;
}

/* Level by level through all spaces: what one level costs in cache misses, all have at the same time. */
void rmap__radix_run_peek(void *const *mmus, size_t n, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *runs)
{
    const struct rmap__radix_config *c = ((const struct rmap_radix *)mmus[0])->config;
    /* In locals: loads of entries are no reason to read them anew. */
    const uint64_t mask = c->table_mask, is = c->table_present, frames = c->payload_mask;
    const bool direct = c->identity && !c->phys_rotate; /* the frame field, as it stands, is the table's address */
    if (n == 1) {
        if (find_run(mmus[0], vpn, end, runs)) runs->count = 0;
        return;
    }
    rmap__slot *table[RMAP_PEEK_MAX];
    const bool inside = vpn < end && end <= c->pages;
    for (size_t i = 0; i < n; i++) {
        struct rmap_radix *r = mmus[i];
        runs[i].cookie = &r->lock;
        table[i] = inside ? r->root : NULL;
    }
    for (unsigned level = c->levels - 1; level > 0; level--) {
        const uint64_t index = rmap__radix_index(c, level, vpn);
        for (size_t i = 0; i < n; i++) {
            if (!LIKELY(table[i] != NULL)) continue;
            rmap__slot *word = &table[i][index];
            const rmap_pte_t e = rmap__radix_load(word);
            table[i] = NULL;
            if (LIKELY((e & mask) == is)) table[i] = direct ? (rmap__slot *)(uintptr_t)(e & frames) : rmap__radix_table(c, e);
            runs[i].cookie = word;
        }
    }
    const uint32_t count = (uint32_t)1 << c->run_shift;
    const rmap_vpn_t run_first = vpn & ~((rmap_vpn_t)count - 1);
    const uint64_t slot = run_first & c->index_mask[0];
    for (size_t i = 0; i < n; i++) {
        if (LIKELY(table[i] != NULL)) {
            runs[i].slots = table[i] + slot;
            runs[i].first = run_first;
            runs[i].count = count;
        } else if (find_run(mmus[i], vpn, end, &runs[i])) { /* a later one in the range, or none */
            runs[i].count = 0;
        }
    }
}

void rmap__radix_run_lock(void *mmu, struct rmap_mmu_run *run)
{
    lock_run(mmu, run);
}

int rmap__radix_run_find(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    int err = find_run(mmu, vpn, end, run);
    if (!err) lock_run(mmu, run);
    return err;
}

/*
 * Put the reserved table of `below` where `e` was absent. When another thread was quicker, its table is taken and ours
 * stays in the reservation. Release pairs with rmap__radix_load.
 */
static int install(struct rmap_radix *r, rmap__slot *word, rmap_pte_t *e, unsigned below, struct rmap_tables *t)
{
    const struct rmap__radix_config *c = r->config;
    rmap__slot *table = t->table[below];
    if (!table) return RMAP_ERR_NOMEM; /* not what reserve() left */
    rmap_pte_t wanted = rmap__radix_table_entry(c, table);
    while (rmap__radix_is_absent(c, *e)) {
        if (!atomic_compare_exchange_weak_explicit(word, e, wanted, memory_order_acq_rel, memory_order_acquire))
            continue;
        *e = wanted;
        t->table[below] = NULL;
        t->count--;
        atomic_fetch_add_explicit(&r->bytes, c->table_bytes[below], memory_order_relaxed);
        break;
    }
    return 0;
}

int rmap__radix_run_make(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    struct rmap_radix *r = mmu;
    const struct rmap__radix_config *c = r->config;
    if (vpn >= c->pages) return RMAP_ERR_RANGE;

    rmap__slot *word = &r->lock, *table = r->root;
    for (unsigned level = c->levels - 1; level > 0; level--) {
        word = &table[rmap__radix_index(c, level, vpn)];
        rmap_pte_t e = rmap__radix_load(word);
        if (rmap__radix_is_absent(c, e)) {
            int error = install(r, word, &e, level - 1, t);
            if (error) return error;
        }
        if (!rmap__radix_is_table(c, e)) return RMAP_ERR_BLOCK;
        table = rmap__radix_table(c, e);
    }
    set_run(c, word, table, vpn, run);
    lock_run(r, run);
    return 0;
}

void rmap__radix_run_unlock(void *mmu, struct rmap_mmu_run *run)
{
    struct rmap__radix_config *c = ((struct rmap_radix *)mmu)->config;
    uint64_t bit = lock_bit(c, run->first);
    rmap__rank_drop(RMAP__RANK_RUN, mmu);
    rmap_pte_t before = atomic_fetch_and((rmap__slot *)run->cookie, ~bit);
    RMAP_ASSERT(before & bit);
    (void)before;
    if (!LIKELY(!atomic_load(&c->sleepers))) wake_sleepers(c);
}
