/* SPDX-License-Identifier: MIT */
/** @file testing/peek.c  Cases of run_peek and run_lock: what a look without the lock shows, and how it comes to be locked. */
#include <testing/kit.h>

/* The two MMUs in turn, n of them; where each has operations of its own, only the first one. */
static void in_turn(struct rmap__kit_mmu *const m[2], struct rmap__kit_mmu *all[RMAP_PEEK_MAX], void *ctx[RMAP_PEEK_MAX])
{
    const unsigned kinds = m[1]->mmu.ops == m[0]->mmu.ops ? 2 : 1;
    for (unsigned i = 0; i < RMAP_PEEK_MAX; i++) {
        all[i] = m[i % kinds];
        ctx[i] = all[i]->mmu.ctx;
    }
}

/* What was seen of [vpn, end) without a lock is what run_find locks, or that it finds nothing. */
static bool same_as_found(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap_vpn_t vpn, rmap_vpn_t end,
                          const struct rmap_mmu_run *seen, unsigned n)
{
    struct rmap_mmu_run run = {.count = 0};
    const int error = m->mmu.ops->run_find(m->mmu.ctx, vpn, end, &run);
    if (error)
        return KIT_CHECK(k, !seen->count, "of %u MMUs, [%llu, %llu): run_peek() shows run %llu + %u, run_find() says %s", n,
                         KIT_N(vpn), KIT_N(end), KIT_N(seen->first), seen->count, rmap_error_name(error));
    bool ok = KIT_CHECK(k, seen->count, "of %u MMUs, [%llu, %llu): run_peek() shows nothing, run_find() run %llu + %u", n,
                        KIT_N(vpn), KIT_N(end), KIT_N(run.first), run.count) &&
              KIT_CHECK(k, seen->first == run.first && seen->count == run.count,
                        "of %u MMUs, [%llu, %llu): run_peek() shows run %llu + %u, run_find() run %llu + %u", n, KIT_N(vpn),
                        KIT_N(end), KIT_N(seen->first), seen->count, KIT_N(run.first), run.count) &&
              KIT_CHECK(k, seen->slots, "run_peek(%llu) shows no slots in memory", KIT_N(vpn));
    for (uint32_t i = 0; ok && i < run.count; i++)
        ok = KIT_CHECK(k, rmap_run_peek(seen, i) == rmap_run_get(&m->mmu, &run, i),
                       "of %u MMUs: page %llu is %#llx without the lock, and %#llx with it", n, KIT_N(run.first + i),
                       KIT_N(rmap_run_peek(seen, i)), KIT_N(rmap_run_get(&m->mmu, &run, i)));
    rmap__kit_unlock(m, &run);
    return ok;
}

static bool agrees(struct rmap__kit *k, struct rmap__kit_mmu *const m[2], rmap_vpn_t vpn, rmap_vpn_t end)
{
    static const unsigned sizes[] = {1, 2, 3, RMAP_PEEK_MAX};
    struct rmap__kit_mmu *all[RMAP_PEEK_MAX];
    void *ctx[RMAP_PEEK_MAX];
    in_turn(m, all, ctx);
    for (unsigned s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct rmap_mmu_run seen[RMAP_PEEK_MAX] = {{.count = 0}};
        for (unsigned i = 0; i < sizes[s]; i++) seen[i].count = 1; /* must be said, not left */
        all[0]->mmu.ops->run_peek(ctx, sizes[s], vpn, end, seen);
        for (unsigned i = 0; i < sizes[s]; i++)
            if (!same_as_found(k, all[i], vpn, end, &seen[i], sizes[s])) return false;
    }
    return true;
}

/* Every third sample has a table in the first MMU, every other one in the second: both, one, none; ranges from there to the next
 * samples and to the end. */
void rmap__kit_peek_agrees(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m[2] = {&k->mmu[0], rmap__kit_open(k)};
    if (!m[1] || !agrees(k, m, 0, k->pages) || !agrees(k, m, k->pages - 1, k->pages)) return;
    for (unsigned i = 0; i < k->vpns; i++) {
        if (i % 3 == 0 && !rmap__kit_put(k, m[0], k->vpn[i], rmap__kit_swap(k, i + 1))) return;
        if (i % 2 == 0 && !rmap__kit_put(k, m[1], k->vpn[i], rmap__kit_swap(k, i + 100))) return;
    }
    for (unsigned i = 0; i < k->vpns; i++) {
        const rmap_vpn_t vpn = k->vpn[i], ends[] = {vpn + 1, i + 1 < k->vpns ? k->vpn[i + 1] + 1 : k->pages, k->pages};
        for (unsigned e = 0; e < sizeof ends / sizeof *ends; e++)
            if (!agrees(k, m, vpn, ends[e])) return;
    }
}

/* It hangs, if it takes the lock. And what is set meanwhile, is seen. */
void rmap__kit_peek_takes_no_lock(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    const rmap_vpn_t vpn = k->pages / 2;
    struct rmap_mmu_run run, seen = {.count = 0};
    if (!rmap__kit_make(k, m, vpn, &run)) return;
    const uint32_t i = (uint32_t)(vpn - run.first);
    k->o->run_peek(&m->mmu.ctx, 1, vpn, vpn + 1, &seen);
    const bool same = seen.count == run.count && seen.first == run.first && seen.slots;
    rmap_run_set(&m->mmu, &run, i, rmap__kit_swap(k, 1));
    const rmap_pte_t e = same ? rmap_run_peek(&seen, i) : 0;
    rmap__kit_unlock(m, &run);
    KIT_EXPECT(k, same, "run_peek(%llu) shows run %llu + %u while run %llu + %u is locked", KIT_N(vpn), KIT_N(seen.first),
               seen.count, KIT_N(run.first), run.count);
    KIT_EXPECT(k, e == rmap__kit_swap(k, 1), "what was set in the locked run reads as %#llx without the lock", KIT_N(e));
}

/* A run that was seen stays what it is while tables are added, and can be locked then; and again. */
void rmap__kit_peek_stays_valid(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    const rmap_vpn_t vpn = k->pages / 2;
    struct rmap_mmu_run seen = {.count = 0};
    if (!rmap__kit_put(k, m, vpn, rmap__kit_swap(k, 1))) return;
    k->o->run_peek(&m->mmu.ctx, 1, vpn, vpn + 1, &seen);
    KIT_EXPECT(k, seen.count && seen.slots && vpn - seen.first < seen.count, "run_peek(%llu) does not show it", KIT_N(vpn));
    const uint32_t i = (uint32_t)(vpn - seen.first);
    for (unsigned n = 0; n < k->vpns; n++)
        if (k->vpn[n] != vpn && !rmap__kit_put(k, m, k->vpn[n], rmap__kit_swap(k, n + 100))) return;
    for (uint32_t round = 1; round <= 2; round++) {
        struct rmap_mmu_run run = seen;
        KIT_EXPECT(k, rmap_run_peek(&seen, i) == rmap__kit_swap(k, round),
                   "page %llu was seen before tables were added, and is lost", KIT_N(vpn));
        k->o->run_lock(m->mmu.ctx, &run);
        const rmap_pte_t e = rmap_run_get(&m->mmu, &run, i);
        rmap_run_set(&m->mmu, &run, i, rmap__kit_swap(k, round + 1));
        rmap__kit_unlock(m, &run);
        KIT_EXPECT(k, e == rmap__kit_swap(k, round), "page %llu is %#llx when its run, seen before, is locked", KIT_N(vpn),
                   KIT_N(e));
        if (!rmap__kit_holds(k, m, vpn, rmap__kit_swap(k, round + 1), "set in a run that run_lock() locked")) return;
    }
}
