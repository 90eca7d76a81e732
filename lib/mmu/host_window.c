/* SPDX-License-Identifier: MIT */
/** @file mmu/host_window.c  A space's window: made and unmade, found by address, its table operations handed to a
 * radix. */
#include "base/alloc.h"
#include "mmu/host_impl.h"
#include "mmu/unmap.h"

static int compare(const struct rmap__window *a, const struct rmap__window *b)
{
    return (a->base > b->base) - (a->base < b->base);
}
RB_GENERATE_INTERNAL(rmap__windows, rmap__window, link, compare, static __attribute__((unused)))

struct rmap__window *rmap__window_next(struct rmap__window *w)
{
    return RB_NEXT(rmap__windows, NULL, w);
}

struct rmap__window *rmap__window_find(struct rmap_host *host, uintptr_t addr)
{
    /* Windows are equally long, so the first that ends after `addr` is the first that begins after addr - length. */
    const uintptr_t bytes = rmap__window_bytes(host, host->pages);
    if (addr < bytes) return RB_MIN(rmap__windows, &host->windows);
    struct rmap__window key;
    key.base = (unsigned char *)(addr - bytes + 1);
    return RB_NFIND(rmap__windows, &host->windows, &key);
}

void rmap__window_pin(struct rmap__window *w)
{
    w->pins++;
}

static bool idle(const struct rmap__window *w)
{
    return LIST_EMPTY(&w->serving) && w->pins == 0;
}

void rmap__window_unpin(struct rmap__window *w)
{
    w->pins--;
    if (w->closing && idle(w)) pthread_cond_broadcast(&w->host->idle);
}

/* ---- table operations: the radix's, whose tables may cover more pages than the window has ---- */

static bool outside(void *window, rmap_vpn_t vpn)
{
    return vpn >= ((struct rmap__window *)window)->host->pages;
}
static struct rmap_mmu *tables_of(void *window)
{
    return &((struct rmap__window *)window)->tables;
}

static int run_find(void *window, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *run)
{
    if (outside(window, vpn)) return RMAP_ERR_RANGE;
    return tables_of(window)->ops->run_find(tables_of(window)->ctx, vpn, end, run);
}
static void run_peek(void *const *windows, size_t n, rmap_vpn_t vpn, rmap_vpn_t end, struct rmap_mmu_run *runs)
{
    void *tables[RMAP_PEEK_MAX];
    for (size_t i = 0; i < n; i++) tables[i] = tables_of(windows[i])->ctx;
    tables_of(windows[0])->ops->run_peek(tables, n, vpn, end, runs);
}
static void run_lock(void *window, struct rmap_mmu_run *run)
{
    tables_of(window)->ops->run_lock(tables_of(window)->ctx, run);
}
static int run_make(void *window, rmap_vpn_t vpn, struct rmap_tables *t, struct rmap_mmu_run *run)
{
    if (outside(window, vpn)) return RMAP_ERR_RANGE;
    return tables_of(window)->ops->run_make(tables_of(window)->ctx, vpn, t, run);
}
static void run_unlock(void *window, struct rmap_mmu_run *run)
{
    tables_of(window)->ops->run_unlock(tables_of(window)->ctx, run);
}
static int reserve(void *window, rmap_vpn_t vpn, struct rmap_tables *t)
{
    if (outside(window, vpn)) return RMAP_ERR_RANGE;
    return tables_of(window)->ops->reserve(tables_of(window)->ctx, vpn, t);
}
static void unreserve(void *window, struct rmap_tables *t)
{
    tables_of(window)->ops->unreserve(tables_of(window)->ctx, t);
}
static void trim(void *window, rmap_vpn_t first, rmap_vpn_t end)
{
    tables_of(window)->ops->trim(tables_of(window)->ctx, first, end);
}
static size_t table_bytes(void *window)
{
    return tables_of(window)->ops->table_bytes(tables_of(window)->ctx);
}

/* Nine bits a level, leaf first, the root no larger than the window needs. */
static void choose_geometry(struct rmap_host *host)
{
    struct rmap_radix_geometry *g = &host->geometry;
    *g = rmap_radix_soft;
    g->name = "host";
    g->format = &host->format;
    g->levels = 0;
    unsigned bits = 1;
    while ((uint64_t)1 << bits < host->pages) bits++;
    for (; bits > 0; bits -= g->bits[g->levels++]) g->bits[g->levels] = bits < 9 ? bits : 9;
}

int rmap__host_init_tables(struct rmap_host *host)
{
    host->format = rmap_pte_format_soft;
    host->format.page_shift = host->memory->page_shift;
    if (host->format.payload_bits > 64 - host->format.page_shift)
        host->format.payload_bits = 64 - host->format.page_shift;
    choose_geometry(host);

    host->ops = (struct rmap_mmu_ops){
        .struct_size = sizeof(struct rmap_mmu_ops),
        .name = "host",
        .format = &host->format,
        .caps = RMAP_MMU_ACCESSED_EXACT | RMAP_MMU_ACCESSED_NEEDS_FLUSH,
        .run_find = run_find,
        .run_make = run_make,
        .run_unlock = run_unlock,
        .reserve = reserve,
        .unreserve = unreserve,
        .trim = trim,
        .flush = rmap__window_flush,
        .update = rmap__window_update,
        .table_bytes = table_bytes,
        .run_peek = run_peek,
        .run_lock = run_lock,
    };
    const struct rmap_radix_options options = {
        .struct_size = sizeof options,
        .geometry = &host->geometry,
        .alloc = &host->alloc,
        .caps = RMAP_MMU_NO_TLB, /* flushing is the window's business */
    };
    return rmap_radix_provider_init(&options, &host->tables);
}

/* ---- making and unmaking ---- */

/* One VMA for a new window, and a window of those that the limit allows. Takes the lock. @return false: no more. */
static bool take_window(struct rmap_host *host)
{
    rmap__host_lock(host);
    bool can = host->stats.windows + 1 + RMAP__VMAS_TO_WORK <= host->stats.vma_limit;
    if (can) {
        host->stats.windows++;
        while (host->emergency || !rmap__host_has_room(host, 1, 0)) {
            rmap__host_unlock(host);
            rmap__host_make_room(host, 1, 0);
            rmap__host_lock(host);
        }
        host->reserved++;
        host->changes++;
    }
    rmap__host_unlock(host);
    return can;
}

/* Reserve addresses and enter the window into the host. Takes the lock. */
static int open_window(struct rmap__window *w, struct rmap__records *records)
{
    struct rmap_host *host = w->host;
    if (!take_window(host)) return RMAP_ERR_NOMEM;
    void *base = mmap(NULL, rmap__window_bytes(host, host->pages), PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    rmap__host_lock(host);
    host->reserved--;
    host->changes--;
    if (base == MAP_FAILED) {
        host->stats.windows--;
    } else {
        w->base = base;
        RB_INSERT(rmap__windows, &host->windows, w);
        rmap__records_add(host, records);
        if (++host->stats.vmas > host->stats.vmas_peak) host->stats.vmas_peak = host->stats.vmas;
    }
    rmap__host_wake(host);
    rmap__host_unlock(host);
    return base == MAP_FAILED ? RMAP_ERR_SYSTEM : 0;
}

int rmap__window_create(void *ctx, const struct rmap_mmu_client *client, struct rmap_mmu *out)
{
    struct rmap_host *host = ctx;
    if (!host || !client || !client->fault || !out) return RMAP_ERR_NULL_ARG;

    struct rmap__window *w = RMAP__NEW(&host->alloc, struct rmap__window);
    if (!w) return RMAP_ERR_NOMEM;
    w->host = host;
    w->client = *client;
    RB_INIT(&w->tlb);
    LIST_INIT(&w->serving);
    pthread_mutex_init(&w->lock, NULL);

    struct rmap__records records;
    int error = host->tables.create(host->tables.ctx, NULL, &w->tables);
    if (!error) {
        if (rmap__records_alloc(&host->alloc, RMAP__RECORDS_PER_WINDOW, &records) < RMAP__RECORDS_PER_WINDOW)
            error = RMAP_ERR_NOMEM;
        else
            error = open_window(w, &records);
        if (error) {
            rmap__records_free(&host->alloc, &records);
            host->tables.destroy(host->tables.ctx, &w->tables);
        }
    }
    if (error) {
        pthread_mutex_destroy(&w->lock);
        RMAP__DELETE(&host->alloc, w);
        return error;
    }
    *out = (struct rmap_mmu){.ops = &host->ops, .ctx = w, .pages = host->pages};
    return 0;
}

static void give_projections_up(void *window)
{
    struct rmap__window *w = window;
    rmap__window_lock(w);
    rmap__window_forget_all(w);
    rmap__window_settle(w);
    rmap__window_unlock(w);
    rmap__host_forget_everything(w->host);
}

void rmap__window_destroy(void *ctx, struct rmap_mmu *mmu)
{
    struct rmap_host *host = ctx;
    if (!host || !mmu || mmu->ops != &host->ops || !mmu->ctx) return;
    struct rmap__window *w = mmu->ctx;
    struct rmap__records surplus;
    const size_t bytes = rmap__window_bytes(host, host->pages);

    rmap__host_lock(host);
    w->closing = true;
    /* Whoever has an emergency takes what all windows project: one that is off the list, and counts, it would not find. */
    while (!idle(w) || host->emergency)
        if (host->emergency)
            rmap__host_wait(host);
        else
            pthread_cond_wait(&host->idle, &host->lock);
    RB_REMOVE(rmap__windows, &host->windows, w);
    host->changes++; /* its VMAs count until they are gone */
    rmap__host_unlock(host);

    rmap__unmap(w->base, bytes, give_projections_up, w); /* if not even then, unused addresses stay reserved */
    rmap__window_lock(w);
    rmap__tlb_cut(w, 0, host->pages);
    w->change.vmas--;
    rmap__host_lock(host);
    host->changes--;
    rmap__window_settle_locked(w);
    host->stats.windows--;
    rmap__records_take(host, host->stats.windows * RMAP__RECORDS_PER_WINDOW, &surplus);
    rmap__host_unlock(host);
    rmap__window_unlock(w);

    pthread_mutex_destroy(&w->lock);
    rmap__records_free(&host->alloc, &surplus);
    host->tables.destroy(host->tables.ctx, &w->tables);
    RMAP__DELETE(&host->alloc, w);
    *mmu = (struct rmap_mmu){0};
}

void *rmap_host_base(const struct rmap_mmu *mmu)
{
    if (!mmu || !mmu->ops || mmu->ops->run_find != run_find || !mmu->ctx) return NULL;
    return ((const struct rmap__window *)mmu->ctx)->base;
}
