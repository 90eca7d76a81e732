/* SPDX-License-Identifier: MIT */
/** @file stress/tlb.c  See the header. */
#include "stress/tlb.h"

#include "stress/delay.h"
#include "stress/world.h"

#include <objrmap/radix.h>
#include <sched.h>
#include <stdlib.h>

struct translation {
    rmap_pfn_t pfn;
    bool valid, write;
};

struct tlb {
    struct world *w;
    struct rmap_mmu_ops ops;
    struct rmap_mmu tables; /* a radix MMU of rmap_radix_soft */
    pthread_rwlock_t lock;  /* T */
    struct translation at[TLB_PAGES];
    unsigned users; /* [T] processors that run here, the resident one included */
    bool resident;  /* [T] */
    bool opaque;    /* entries are shown by get, set and exchange, with delays */
};

/* ---- the tables: radix, with delays ---- */

static struct rmap_mmu *tables_of(void *mmu)
{
    return &((struct tlb *)mmu)->tables;
}

static int run_find(void *mmu, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    delay();
    int rc = tables_of(mmu)->ops->run_find(tables_of(mmu)->ctx, vpn, end, run);
    if (rc) return rc;
    if (((struct tlb *)mmu)->opaque) run->slots = NULL;
    delay();
    return 0;
}

static void run_peek(void *const *mmus, size_t n, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *runs)
{
    for (size_t i = 0; i < n; i++) {
        delay();
        tables_of(mmus[i])->ops->run_peek(&tables_of(mmus[i])->ctx, 1, vpn, end, &runs[i]);
    }
    delay();
}

static void run_lock(void *mmu, struct rmap_mmu_run *run)
{
    delay();
    tables_of(mmu)->ops->run_lock(tables_of(mmu)->ctx, run);
    delay();
}

static int run_make(void *mmu, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    delay();
    int rc = tables_of(mmu)->ops->run_make(tables_of(mmu)->ctx, vpn, t, run);
    if (!rc && ((struct tlb *)mmu)->opaque) run->slots = NULL;
    return rc;
}

static void run_unlock(void *mmu, struct rmap_mmu_run *run)
{
    delay();
    tables_of(mmu)->ops->run_unlock(tables_of(mmu)->ctx, run);
    delay();
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

/* ---- a walk as the hardware makes it: no lock of the library's ---- */

/* The entry's slot, or NULL. Trim frees a table after a flush, which waits for our lock. */
static rmap_pte_t *walk(const struct tlb *t, rmap_vpn_t vpn, bool slowly)
{
    const struct rmap_radix_geometry *g = &rmap_radix_soft;
    uintptr_t table = rmap_radix_root(&t->tables);
    unsigned shift = 0;
    for (unsigned level = 0; level + 1 < g->levels; level++) shift += g->bits[level];
    for (unsigned level = g->levels - 1;; level--) {
        rmap_pte_t *slot = (rmap_pte_t *)table + (vpn >> shift & (((uint64_t)1 << g->bits[level]) - 1));
        if (level == 0) return slot;
        const rmap_pte_t e = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
        if ((e & g->table_mask) != g->table_present) return NULL;
        if (slowly && delay_chance(8)) sched_yield();
        table = (uintptr_t)(rmap_pte_pfn(g->format, e) << g->format->page_shift);
        shift -= g->bits[level - 1];
    }
}

/* ---- entries of opaque runs ---- */

static rmap_pte_t get(void *mmu, const struct rmap_mmu_run *run, uint32_t i)
{
    return __atomic_load_n(walk(mmu, run->first + i, false), __ATOMIC_RELAXED);
}

static void set(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    delay();
    __atomic_store_n(walk(mmu, run->first + i, false), e, __ATOMIC_RELEASE);
    delay();
}

static rmap_pte_t exchange(void *mmu, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    delay();
    const rmap_pte_t old = __atomic_exchange_n(walk(mmu, run->first + i, false), e, __ATOMIC_ACQ_REL);
    delay();
    return old;
}

/* ---- translations ---- */

static bool entry_allows(const struct rmap_pte_format *f, rmap_pte_t e, unsigned access)
{
    return rmap_pte_present(f, e) && (!(access & RMAP_WRITE) || rmap_pte_get(f, e, RMAP_ATTR_WRITE));
}

/* Only an entry that is dirty gives a translation for writing: the first store must be seen. [T] exclusively. */
static void load(struct tlb *t, rmap_vpn_t vpn, rmap_pte_t e)
{
    const struct rmap_pte_format *f = t->ops.format;
    t->at[vpn] = (struct translation){
        .pfn = rmap_pte_pfn(f, e),
        .valid = true,
        .write = rmap_pte_get(f, e, RMAP_ATTR_WRITE) && rmap_pte_get(f, e, RMAP_ATTR_DIRTY),
    };
}

static bool load_by_walk(struct tlb *t, rmap_vpn_t vpn, unsigned access)
{
    const struct rmap_pte_format *f = t->ops.format;
    rmap_pte_t *slot = walk(t, vpn, true);
    if (!slot) return false;
    rmap_pte_t e = __atomic_load_n(slot, __ATOMIC_ACQUIRE), marked;
    do {
        if (!entry_allows(f, e, access)) return false;
        marked = rmap_pte_set(f, e, RMAP_ATTR_ACCESSED, true);
        if (access & RMAP_WRITE) marked = rmap_pte_set(f, marked, RMAP_ATTR_DIRTY, true);
    } while (!__atomic_compare_exchange_n(slot, &e, marked, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    delay();
    load(t, vpn, marked);
    return true;
}

/* ---- flush, update ---- */

/* [T] held: no flush of this translation has ended, so its frame must be counted still. */
static void check_frame(struct tlb *t, rmap_vpn_t vpn, const struct translation *x, unsigned access)
{
    struct rmap_page *page = rmap_page_find(t->w->r, x->pfn);
    if (!page) fail(t->w, "page %u is cached for frame %u, which does not exist", (unsigned)vpn, (unsigned)x->pfn);
    if (rmap_page_flags(page) & RMAP_PAGE_SPECIAL) {
        if (access & RMAP_WRITE) fail(t->w, "page %u: the zero frame is cached for writing", (unsigned)vpn);
    } else if (!rmap_page_mapcount(page) || !page->refcount) {
        fail(t->w, "INV-6: page %u is cached for frame %u, which counts %u mappings and %u references", (unsigned)vpn,
             (unsigned)x->pfn, rmap_page_mapcount(page), page->refcount);
    }
}

/* Until now it could be used. */
static void forget(struct tlb *t, const struct rmap_flush_range *r)
{
    for (rmap_vpn_t v = r->first; v < TLB_PAGES && v - r->first < r->count; v++) {
        if (t->at[v].valid) check_frame(t, v, &t->at[v], 0);
        if (r->kind == RMAP_FLUSH_WRITE)
            t->at[v].write = false;
        else
            t->at[v].valid = false;
    }
}

static void flush(void *mmu, const struct rmap_flush_range *ranges, size_t n)
{
    struct tlb *t = mmu;
    delay();
    pthread_rwlock_wrlock(&t->lock);
    for (size_t i = 0; i < n; i++) forget(t, &ranges[i]);
    pthread_rwlock_unlock(&t->lock);
    delay();
}

/* The lock orders this look after the entry's change, and before the first load of a processor that comes later. */
static bool active(void *mmu)
{
    struct tlb *t = mmu;
    pthread_rwlock_rdlock(&t->lock);
    const bool is_active = t->users;
    pthread_rwlock_unlock(&t->lock);
    return is_active;
}

static void update(void *mmu, const struct rmap_mmu_run *run, rmap_vpn_t vpn, unsigned access)
{
    struct tlb *t = mmu;
    const rmap_pte_t e = get(mmu, run, (uint32_t)(vpn - run->first));
    (void)access;
    delay();
    pthread_rwlock_wrlock(&t->lock);
    if (t->users && vpn < TLB_PAGES && rmap_pte_present(t->ops.format, e)) load(t, vpn, e);
    pthread_rwlock_unlock(&t->lock);
}

/* ---- processors ---- */

void cpu_enter(struct tlb *t)
{
    pthread_rwlock_wrlock(&t->lock);
    t->users++;
    pthread_rwlock_unlock(&t->lock);
}

/* [T] exclusively. */
static void leave(struct tlb *t)
{
    if (--t->users == 0)
        for (unsigned v = 0; v < TLB_PAGES; v++) t->at[v].valid = false;
}

void cpu_leave(struct tlb *t)
{
    pthread_rwlock_wrlock(&t->lock);
    leave(t);
    pthread_rwlock_unlock(&t->lock);
}

void cpu_set_resident(struct tlb *t, bool resident)
{
    pthread_rwlock_wrlock(&t->lock);
    if (resident && !t->resident) t->users++;
    if (!resident && t->resident) leave(t);
    t->resident = resident;
    pthread_rwlock_unlock(&t->lock);
}

int cpu_access(struct tlb *t, rmap_vpn_t vpn, unsigned access, cpu_action *action, void *ctx)
{
    int rc = RMAP_ERR_ABSENT;
    delay();
    pthread_rwlock_rdlock(&t->lock);
    struct translation *x = &t->at[vpn];
    if (!x->valid || ((access & RMAP_WRITE) && !x->write)) {
        pthread_rwlock_unlock(&t->lock);
        pthread_rwlock_wrlock(&t->lock);
        load_by_walk(t, vpn, access);
    }
    if (x->valid && (x->write || !(access & RMAP_WRITE))) {
        check_frame(t, vpn, x, access);
        action(ctx, t->w->memory.view + (x->pfn << PAGE_SHIFT));
        rc = 0;
    }
    pthread_rwlock_unlock(&t->lock);
    return rc;
}

struct tlb *tlb_of(const struct rmap_mmu *mmu)
{
    return mmu->ctx;
}

rmap_pfn_t tlb_frame(struct tlb *t, rmap_vpn_t vpn)
{
    pthread_rwlock_rdlock(&t->lock);
    const rmap_pfn_t pfn = t->at[vpn].valid ? t->at[vpn].pfn : RMAP_PFN_NONE;
    pthread_rwlock_unlock(&t->lock);
    return pfn;
}

void tlb_expect_flushed(struct tlb *t, rmap_vpn_t first, uint64_t count, enum rmap_flush_kind kind, const char *after)
{
    pthread_rwlock_rdlock(&t->lock);
    for (rmap_vpn_t v = first; v < first + count; v++)
        if (t->at[v].valid && (kind == RMAP_FLUSH_ALL || t->at[v].write))
            fail(t->w, "page %u is cached%s after %s", (unsigned)v, kind == RMAP_FLUSH_ALL ? "" : " for writing",
                 after);
    pthread_rwlock_unlock(&t->lock);
}

void tlb_check(struct tlb *t)
{
    const struct rmap_pte_format *f = t->ops.format;
    for (unsigned v = 0; v < TLB_PAGES; v++) {
        const struct translation *x = &t->at[v];
        if (!x->valid) continue;
        const rmap_pte_t *slot = walk(t, v, false), e = slot ? *slot : 0;
        if (!t->users) fail(t->w, "page %u is cached where nobody runs", v);
        if (!rmap_pte_present(f, e)) fail(t->w, "page %u is cached, its entry is not present", v);
        if (rmap_pte_pfn(f, e) != x->pfn) fail(t->w, "page %u is cached for another frame", v);
        if (x->write && !(rmap_pte_get(f, e, RMAP_ATTR_WRITE) && rmap_pte_get(f, e, RMAP_ATTR_DIRTY)))
            fail(t->w, "page %u is cached for writing, its entry is not", v);
    }
}

/* ---- making ---- */

static int create(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    static const unsigned caps[] = {0, RMAP_MMU_ACCESSED_EXACT, RMAP_MMU_ACCESSED_NEEDS_FLUSH, RMAP_MMU_ACCESSED_EXACT};
    struct world *w = ctx;
    struct tlb *t = calloc(1, sizeof *t);
    const unsigned n = atomic_fetch_add(&w->mmus, 1);
    (void)client;
    if (!t) return RMAP_ERR_NOMEM;
    struct rmap_radix_options o = {.struct_size = sizeof o, .geometry = &rmap_radix_soft, .caps = RMAP_MMU_NO_TLB};
    if (w->o.tlb) {
        o.caps = caps[n % 4];
        o.flush = flush;
        o.active = active;
        o.flush_ctx = t;
    }
    int rc = rmap_radix_create(&o, &t->tables);
    if (rc) {
        free(t);
        return rc;
    }
    t->w = w;
    t->opaque = n % 3 == 2;
    lock_init(&t->lock);
    t->ops = (struct rmap_mmu_ops){
        .struct_size = sizeof t->ops,
        .name = "stress",
        .format = rmap_radix_soft.format,
        .caps = o.caps,
        .run_find = run_find,
        .run_make = run_make,
        .run_unlock = run_unlock,
        .reserve = reserve,
        .unreserve = unreserve,
        .trim = trim,
        .get = get,
        .set = set,
        .exchange = exchange,
        .flush = flush,
        .active = active,
        .update = w->o.tlb ? update : NULL,
        .table_bytes = table_bytes,
        .run_peek = t->opaque ? NULL : run_peek,
        .run_lock = t->opaque ? NULL : run_lock,
    };
    *out = (struct rmap_mmu){.ops = &t->ops, .ctx = t, .pages = TLB_PAGES};
    return 0;
}

static void destroy(void *ctx, struct rmap_mmu *mmu)
{
    struct tlb *t = mmu->ctx;
    (void)ctx;
    rmap_radix_destroy(&t->tables);
    pthread_rwlock_destroy(&t->lock);
    free(t);
}

struct rmap_mmu_provider tlb_provider(struct world *w)
{
    return (struct rmap_mmu_provider){
        .struct_size = sizeof(struct rmap_mmu_provider),
        .ctx = w,
        .memory = &w->memory,
        .create = create,
        .destroy = destroy,
    };
}
