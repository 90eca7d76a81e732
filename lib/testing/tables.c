/* SPDX-License-Identifier: MIT */
/** @file testing/tables.c  Cases of the third step: tables come, are found, cannot be had, and go. */
#include <testing/kit.h>

#include <string.h>

/* ---- what is in them ---- */

static bool no_entry(struct rmap__kit *k, struct rmap__kit_mmu *m, const struct rmap_mmu_run *run, void *ctx)
{
    (void)ctx;
    for (uint32_t i = 0; i < run->count; i++) {
        const rmap_pte_t e = rmap_run_get(&m->mmu, run, i);
        if (!KIT_CHECK(k, e == 0, "page %llu, which nobody used, has the entry %#llx", KIT_N(run->first + i), KIT_N(e)))
            return false;
    }
    return true;
}

void rmap__kit_fresh_is_empty(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    for (unsigned i = 0; i < k->vpns; i++) {
        struct rmap_mmu_run run;
        if (!rmap__kit_make(k, m, k->vpn[i], &run)) return;
        rmap__kit_unlock(m, &run);
    }
    rmap__kit_sweep(k, m, no_entry, NULL);
}

void rmap__kit_set_then_get(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    for (unsigned i = 0; i < k->vpns; i++)
        if (!rmap__kit_put(k, m, k->vpn[i], rmap__kit_swap(k, i + 1))) return;
    for (unsigned i = 0; i < k->vpns; i++)
        if (!rmap__kit_holds(k, m, k->vpn[i], rmap__kit_swap(k, i + 1), "after all were set")) return;
}

/* ---- finding ---- */

struct found {
    unsigned next; /* of k->vpn */
};

static bool find_next(struct rmap__kit *k, struct rmap__kit_mmu *m, const struct rmap_mmu_run *run, void *ctx)
{
    struct found *found = ctx;
    (void)m;
    while (found->next < k->vpns && k->vpn[found->next] < run->first + run->count) {
        const rmap_vpn_t vpn = k->vpn[found->next++];
        if (!KIT_CHECK(k, vpn >= run->first, "run_find has passed over page %llu and shows page %llu", KIT_N(vpn),
                       KIT_N(run->first)))
            return false;
    }
    return true;
}

void rmap__kit_run_skips_holes(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    struct found found = {0};
    for (unsigned i = 0; i < k->vpns; i++)
        if (!rmap__kit_put(k, m, k->vpn[i], rmap__kit_swap(k, i + 1))) return;
    if (!rmap__kit_sweep(k, m, find_next, &found)) return;
    KIT_EXPECT(k, found.next == k->vpns, "run_find says ABSENT before it has shown page %llu",
               KIT_N(k->vpn[found.next]));
}

/* Two tables at the ends: nothing in between may be answered by one of them. */
void rmap__kit_run_stops_at_end(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    struct rmap_mmu_run low, high, run = {.count = 0};
    if (!rmap__kit_make(k, m, 0, &low)) return;
    rmap__kit_unlock(m, &low);
    if (!rmap__kit_make(k, m, k->pages - 1, &high)) return;
    rmap__kit_unlock(m, &high);
    const rmap_vpn_t from = low.count, to = high.first;
    if (from >= to) {
        k->skip = "the space has no more than two runs";
        return;
    }
    const int error = k->o->run_find(m->mmu.ctx, from, to, &run);
    if (!error) rmap__kit_unlock(m, &run);
    KIT_EXPECT(k, !error || error == RMAP_ERR_ABSENT, "run_find(%llu, %llu) says %s", KIT_N(from), KIT_N(to),
               rmap_error_name(error));
    KIT_EXPECT(k, error || (run.first < to && run.first + run.count > from), "run_find(%llu, %llu) finds run %llu + %u",
               KIT_N(from), KIT_N(to), KIT_N(run.first), run.count);
}

/* ---- reservations ---- */

static bool is_empty(const struct rmap_tables *t)
{
    static const struct rmap_tables none;
    return memcmp(t->table, none.table, sizeof t->table) == 0 && t->count == 0;
}

static size_t bytes_of(const struct rmap__kit *k, const struct rmap__kit_mmu *m)
{
    return k->o->table_bytes ? k->o->table_bytes(m->mmu.ctx) : 0;
}

void rmap__kit_unreserve_empties(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    const rmap_vpn_t vpn = k->pages / 2;
    for (unsigned round = 0; round < 2; round++) {
        struct rmap_tables t = {.count = 0};
        struct rmap_mmu_run run;
        const int error = k->o->reserve(m->mmu.ctx, vpn, &t);
        KIT_EXPECT(k, !error, "reserve(%llu) says %s", KIT_N(vpn), rmap_error_name(error));
        if (round == 0) { /* unused; then used */
            k->o->unreserve(m->mmu.ctx, &t);
            KIT_EXPECT(k, is_empty(&t), "after unreserve() of an unused reservation %u tables are in it", t.count);
        } else {
            if (k->o->run_make(m->mmu.ctx, vpn, &t, &run) == 0) rmap__kit_unlock(m, &run);
            k->o->unreserve(m->mmu.ctx, &t);
            KIT_EXPECT(k, is_empty(&t), "after run_make() and unreserve() %u tables are in the reservation", t.count);
        }
    }
    rmap__kit_sweep(k, m, no_entry, NULL);
}

/* Two threads reserve for one page; the second finds the first one's table, and an entry in it. */
void rmap__kit_run_make_keeps_tables(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    for (unsigned i = 0; i < k->vpns; i++) {
        struct rmap_tables t[2] = {{.count = 0}, {.count = 0}};
        struct rmap_mmu_run run;
        int error = 0;
        for (unsigned n = 0; n < 2 && !error; n++) error = k->o->reserve(m->mmu.ctx, k->vpn[i], &t[n]);
        for (unsigned n = 0; n < 2 && !error; n++) {
            error = k->o->run_make(m->mmu.ctx, k->vpn[i], &t[n], &run);
            if (error) break;
            if (n == 0) rmap_run_set(&m->mmu, &run, (uint32_t)(k->vpn[i] - run.first), rmap__kit_swap(k, i + 1));
            rmap__kit_unlock(m, &run);
        }
        for (unsigned n = 0; n < 2; n++) k->o->unreserve(m->mmu.ctx, &t[n]);
        KIT_EXPECT(k, !error, "page %llu: reserved twice, made twice: %s", KIT_N(k->vpn[i]), rmap_error_name(error));
        if (!rmap__kit_holds(k, m, k->vpn[i], rmap__kit_swap(k, i + 1), "after a second run_make()")) return;
    }
}

void rmap__kit_run_make_needs_no_memory(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    for (unsigned i = 0; i < k->vpns; i++) {
        struct rmap_tables t = {.count = 0};
        struct rmap_mmu_run run;
        int error = k->o->reserve(m->mmu.ctx, k->vpn[i], &t);
        KIT_EXPECT(k, !error, "reserve(%llu) says %s", KIT_N(k->vpn[i]), rmap_error_name(error));
        k->t->fail_tables(k->t->ctx, 0);
        error = k->o->run_make(m->mmu.ctx, k->vpn[i], &t, &run);
        if (!error) rmap__kit_unlock(m, &run);
        k->t->fail_tables(k->t->ctx, RMAP_TESTING_NEVER);
        k->o->unreserve(m->mmu.ctx, &t);
        KIT_EXPECT(k, !error, "run_make(%llu) without memory says %s", KIT_N(k->vpn[i]), rmap_error_name(error));
    }
}

/* @return false when done: nothing was left to fail, or something is wrong. */
static bool reserve_with(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap_vpn_t vpn, unsigned allocations)
{
    struct rmap_tables t = {.count = 0};
    const size_t bytes = bytes_of(k, m);
    k->t->fail_tables(k->t->ctx, allocations);
    const int error = k->o->reserve(m->mmu.ctx, vpn, &t);
    k->t->fail_tables(k->t->ctx, RMAP_TESTING_NEVER);
    const bool left = error && !is_empty(&t);
    if (!error || left) k->o->unreserve(m->mmu.ctx, &t);
    if (!error) return false;
    return KIT_CHECK(k, error == RMAP_ERR_NOMEM, "reserve(%llu) with memory for %u tables says %s", KIT_N(vpn),
                     allocations, rmap_error_name(error)) &&
           KIT_CHECK(k, !left, "reserve(%llu) fails after %u tables and leaves them in the reservation", KIT_N(vpn),
                     allocations) &&
           KIT_CHECK(k, bytes_of(k, m) == bytes, "reserve(%llu) fails and table_bytes goes from %zu to %zu", KIT_N(vpn),
                     bytes, bytes_of(k, m));
}

void rmap__kit_reserve_fails_cleanly(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    const rmap_vpn_t vpn = k->pages / 2;
    unsigned n = 0;
    if (!rmap__kit_put(k, m, 0, rmap__kit_swap(k, 1))) return;
    while (reserve_with(k, m, vpn, n)) {
        n++;
        KIT_EXPECT(k, n < 100, "reserve(%llu) fails with memory for %u tables", KIT_N(vpn), n);
    }
    if (k->failed || !rmap__kit_holds(k, m, 0, rmap__kit_swap(k, 1), "after failures elsewhere")) return;
    if (n == 0) {
        k->skip = "reserve() needed no memory";
        return;
    }
    if (rmap__kit_put(k, m, vpn, rmap__kit_swap(k, 2)))
        rmap__kit_holds(k, m, vpn, rmap__kit_swap(k, 2), "after failures");
}

/* ---- going ---- */

void rmap__kit_trim_keeps_entries(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    static const enum rmap_pte_kind kind[] = {RMAP_PTE_NO_ACCESS, RMAP_PTE_SWAP, RMAP_PTE_MIGRATION, RMAP_PTE_POISON,
                                              RMAP_PTE_PRESENT};
    enum { KINDS = sizeof kind / sizeof *kind };
    rmap_vpn_t vpn[KINDS];
    rmap_pte_t e[KINDS];
    for (unsigned i = 0; i < KINDS; i++) { /* far apart: in tables of their own, where there are several */
        vpn[i] = k->pages / KINDS * i;
        e[i] = kind[i] == RMAP_PTE_PRESENT ? rmap__kit_present(k, i, 0)
                                           : rmap_pte_make_kind(k->f, kind[i], k->t->first_frame + i, 0);
        if (!rmap__kit_put(k, m, vpn[i], e[i])) return;
    }
    for (unsigned gone = 0; gone <= KINDS; gone++) { /* all are there; then one fewer each time */
        k->o->trim(m->mmu.ctx, 0, k->pages);
        for (unsigned i = 0; i < KINDS; i++)
            if (!rmap__kit_holds(k, m, vpn[i], i < gone ? 0 : e[i], "after trim()")) return;
        if (gone == KINDS) break;
        rmap__kit_exchange(m, vpn[gone], 0);
        rmap__kit_flush(m, vpn[gone], 1, RMAP_FLUSH_ALL);
    }
    for (unsigned i = 0; i < KINDS; i++) /* and they can come again */
        if (!rmap__kit_put(k, m, vpn[i], e[i]) || !rmap__kit_holds(k, m, vpn[i], e[i], "set again after trim()"))
            return;
}

void rmap__kit_table_bytes(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    const size_t fresh = bytes_of(k, m);
    size_t before = fresh;
    for (unsigned i = 0; i < k->vpns; i++) {
        if (!rmap__kit_put(k, m, k->vpn[i], rmap__kit_swap(k, i + 1))) return;
        const size_t bytes = bytes_of(k, m);
        KIT_EXPECT(k, bytes >= before, "table_bytes falls from %zu to %zu when page %llu is set", before, bytes,
                   KIT_N(k->vpn[i]));
        before = bytes;
    }
    KIT_EXPECT(k, before > 0, "table_bytes is 0 with %u entries set", k->vpns);
    if (!k->o->trim) return;
    for (unsigned i = 0; i < k->vpns; i++) rmap__kit_exchange(m, k->vpn[i], 0);
    k->o->trim(m->mmu.ctx, 0, k->pages);
    KIT_EXPECT(k, bytes_of(k, m) == fresh, "table_bytes is %zu after all went and trim(), and was %zu at first",
               bytes_of(k, m), fresh);
}
