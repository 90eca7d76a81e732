/* SPDX-License-Identifier: MIT */
/** @file property/tlb_mmu.c  See the header. */
#include "property/tlb_mmu.h"

#include <objrmap/error.h>
#include <stdlib.h>

/* ---- table operations: the radix MMU's ---- */

static struct rmap_mmu *tables_of(void *mmu)
{
    return &((struct tlb_mmu *)mmu)->tables;
}

static int run_find(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    return tables_of(mmu)->ops->run_find(tables_of(mmu)->ctx, vpn, end, run);
}
static void run_peek(void *const *mmus, size_t n, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *runs)
{
    void *ctx[RMAP_PEEK_MAX];
    for (size_t i = 0; i < n; i++) ctx[i] = tables_of(mmus[i])->ctx;
    tables_of(mmus[0])->ops->run_peek(ctx, n, vpn, end, runs);
}
static void run_lock(void *mmu, struct rmap_mmu_run *run)
{
    tables_of(mmu)->ops->run_lock(tables_of(mmu)->ctx, run);
}
static int run_make(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    return tables_of(mmu)->ops->run_make(tables_of(mmu)->ctx, vpn, t, run);
}
static void run_unlock(void *mmu, struct rmap_mmu_run *run)
{
    tables_of(mmu)->ops->run_unlock(tables_of(mmu)->ctx, run);
}
static int reserve(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t)
{
    return tables_of(mmu)->ops->reserve(tables_of(mmu)->ctx, vpn, t);
}
static void unreserve(void *mmu, struct rmap_tables *t)
{
    tables_of(mmu)->ops->unreserve(tables_of(mmu)->ctx, t);
}
static void trim(void *mmu, rmap_vpn_t first, rmap_vpn_t end)
{
    tables_of(mmu)->ops->trim(tables_of(mmu)->ctx, first, end);
}
static size_t table_bytes(void *mmu)
{
    return tables_of(mmu)->ops->table_bytes(tables_of(mmu)->ctx);
}

/* ---- translations ---- */

static bool active(void *mmu)
{
    return ((struct tlb_mmu *)mmu)->active;
}

static void flush(void *mmu, const struct rmap_flush_range *ranges, size_t n)
{
    struct tlb_mmu *t = mmu;
    if (!t->active) t->wrong = "flush of a space that nobody uses";
    for (size_t i = 0; i < n; i++) {
        for (rmap_vpn_t v = ranges[i].first; v < ranges[i].first + ranges[i].count && v < ORACLE_PAGES; v++) {
            struct tlb_entry *e = &t->tlb[v];
            if (!e->valid || (ranges[i].kind == RMAP_FLUSH_WRITE && !e->write)) continue;
            if (t->last_use) t->last_use(t->last_use_ctx, t, v);
            if (ranges[i].kind == RMAP_FLUSH_WRITE)
                e->write = false;
            else
                e->valid = false;
        }
    }
}

/* Only an entry whose dirty attribute is set gives a translation for writing: the first store must be seen. */
static void load(struct tlb_mmu *t, rmap_vpn_t vpn, rmap_pte_t e)
{
    const struct rmap_pte_format *f = t->ops.format;
    t->tlb[vpn] = (struct tlb_entry){
        .valid = true,
        .pfn = rmap_pte_pfn(f, e),
        .write = rmap_pte_get(f, e, RMAP_ATTR_WRITE) && rmap_pte_get(f, e, RMAP_ATTR_DIRTY),
        .exec = rmap_pte_get(f, e, RMAP_ATTR_EXEC),
    };
}

static void update(void *mmu, const struct rmap_mmu_run *run, rmap_vpn_t vpn, unsigned access)
{
    struct tlb_mmu *t = mmu;
    rmap_pte_t e = rmap_run_get(&t->tables, run, (uint32_t)(vpn - run->first));
    (void)access;
    if (t->active && vpn < ORACLE_PAGES && rmap_pte_present(t->ops.format, e)) load(t, vpn, e);
}

static bool allows(const struct tlb_entry *e, unsigned access)
{
    return e->valid && (e->write || !(access & RMAP_WRITE)) && (e->exec || !(access & RMAP_EXEC));
}

static bool entry_allows(const struct rmap_pte_format *f, rmap_pte_t e, unsigned access)
{
    return rmap_pte_present(f, e) && (!(access & RMAP_WRITE) || rmap_pte_get(f, e, RMAP_ATTR_WRITE)) &&
           (!(access & RMAP_EXEC) || rmap_pte_get(f, e, RMAP_ATTR_EXEC));
}

int tlb_mmu_access(struct tlb_mmu *t, rmap_vpn_t vpn, unsigned access, rmap_pfn_t *pfn)
{
    const struct rmap_pte_format *f = t->ops.format;
    struct rmap_mmu_run run;
    t->active = true;
    if (!allows(&t->tlb[vpn], access) && !run_find(t, vpn, vpn + 1, &run)) {
        rmap_pte_t e = rmap_run_get(&t->tables, &run, (uint32_t)(vpn - run.first));
        if (entry_allows(f, e, access)) {
            e = rmap_pte_set(f, e, RMAP_ATTR_ACCESSED, true);
            if (access & RMAP_WRITE) e = rmap_pte_set(f, e, RMAP_ATTR_DIRTY, true);
            rmap_run_exchange(&t->tables, &run, (uint32_t)(vpn - run.first), e);
            load(t, vpn, e);
        }
        run_unlock(t, &run);
    }
    if (!allows(&t->tlb[vpn], access)) return RMAP_ERR_ABSENT;
    *pfn = t->tlb[vpn].pfn;
    return 0;
}

void tlb_mmu_set_active(struct tlb_mmu *t, bool is_active)
{
    t->active = is_active;
    for (unsigned v = 0; !is_active && v < ORACLE_PAGES; v++) t->tlb[v].valid = false;
}

const char *tlb_mmu_check(const struct tlb_mmu *t, rmap_vpn_t vpn, rmap_pte_t e)
{
    const struct rmap_pte_format *f = t->ops.format;
    const struct tlb_entry *x = &t->tlb[vpn];
    if (t->wrong) return t->wrong;
    if (!x->valid) return NULL;
    if (!rmap_pte_present(f, e)) return "is cached, but its entry is not present";
    if (rmap_pte_pfn(f, e) != x->pfn) return "is cached for another frame";
    if (x->write && !rmap_pte_get(f, e, RMAP_ATTR_WRITE)) return "is cached writable, its entry is not";
    if (x->write && !rmap_pte_get(f, e, RMAP_ATTR_DIRTY)) return "is cached for writing, its entry is not dirty";
    if (x->exec && !rmap_pte_get(f, e, RMAP_ATTR_EXEC)) return "is cached executable, its entry is not";
    if ((t->ops.caps & (RMAP_MMU_ACCESSED_EXACT | RMAP_MMU_ACCESSED_NEEDS_FLUSH)) &&
        !rmap_pte_get(f, e, RMAP_ATTR_ACCESSED))
        return "is cached, its entry is not accessed";
    return NULL;
}

/* ---- making and unmaking ---- */

int tlb_mmu_create(const struct rmap_radix_options *radix, unsigned caps, tlb_last_use_fn *last_use, void *ctx,
                   struct rmap_mmu *out)
{
    struct tlb_mmu *t = calloc(1, sizeof *t);
    if (!t) return RMAP_ERR_NOMEM;
    int rc = rmap_radix_create(radix, &t->tables);
    if (rc) {
        free(t);
        return rc;
    }
    t->ops = (struct rmap_mmu_ops){
        .struct_size = sizeof t->ops,
        .name = "tlb",
        .format = radix->geometry->format,
        .caps = caps,
        .run_find = run_find,
        .run_make = run_make,
        .run_unlock = run_unlock,
        .reserve = reserve,
        .unreserve = unreserve,
        .trim = trim,
        .flush = flush,
        .active = active,
        .update = update,
        .table_bytes = table_bytes,
        .run_peek = run_peek,
        .run_lock = run_lock,
    };
    t->space = -1;
    t->last_use = last_use;
    t->last_use_ctx = ctx;
    *out = (struct rmap_mmu){.ops = &t->ops, .ctx = t, .pages = ORACLE_PAGES};
    return 0;
}

void tlb_mmu_destroy(struct rmap_mmu *mmu)
{
    struct tlb_mmu *t = mmu->ctx;
    rmap_radix_destroy(&t->tables);
    free(t);
}
