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

/* Reserve addresses and enter the window into the host. Takes the lock. */
static int open_window(struct rmap__window *w, struct rmap__records *records)
{
    struct rmap_host *host = w->host;
    int error = RMAP_ERR_NOMEM;
    rmap__mutex_lock(&host->lock, RMAP__RANK_HOST);
    if (host->stats.windows + 1 + RMAP__VMAS_TO_WORK <= host->stats.vma_limit) {
        rmap__host_make_room(host, 1, 0);
        void *base = mmap(NULL, rmap__window_bytes(host, host->pages), PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        error = base == MAP_FAILED ? RMAP_ERR_SYSTEM : 0;
        if (!error) {
            w->base = base;
            RB_INSERT(rmap__windows, &host->windows, w);
            rmap__records_add(host, records);
            host->stats.windows++;
            host->stats.vmas++;
            rmap__tlb_note_peak(host);
        }
    }
    rmap__mutex_unlock(&host->lock, RMAP__RANK_HOST);
    return error;
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
        RMAP__DELETE(&host->alloc, w);
        return error;
    }
    *out = (struct rmap_mmu){.ops = &host->ops, .ctx = w, .pages = host->pages};
    return 0;
}

static void give_projections_up(void *window)
{
    struct rmap__window *w = window;
    rmap__window_forget_all(w);
    rmap__host_forget_everything(w->host);
}

void rmap__window_destroy(void *ctx, struct rmap_mmu *mmu)
{
    struct rmap_host *host = ctx;
    if (!host || !mmu || mmu->ops != &host->ops || !mmu->ctx) return;
    struct rmap__window *w = mmu->ctx;
    struct rmap__records surplus;
    const size_t bytes = rmap__window_bytes(host, host->pages);

    rmap__mutex_lock(&host->lock, RMAP__RANK_HOST);
    w->closing = true;
    while (!LIST_EMPTY(&w->serving)) pthread_cond_wait(&host->idle, &host->lock);
    rmap__unmap(w->base, bytes, give_projections_up, w); /* if not even then, unused addresses stay reserved */
    rmap__tlb_cut(w, 0, host->pages);
    RB_REMOVE(rmap__windows, &host->windows, w);
    host->stats.windows--;
    host->stats.vmas--;
    rmap__records_take(host, host->stats.windows * RMAP__RECORDS_PER_WINDOW, &surplus);
    rmap__mutex_unlock(&host->lock, RMAP__RANK_HOST);

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
