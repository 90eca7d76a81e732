/* SPDX-License-Identifier: MIT */
/** @file mmu/host.c  The host MMU's public face: create and destroy, faults, statistics. */
#include "base/alloc.h"
#include "mmu/host_impl.h"

#include <errno.h>

/* Records are made ahead, where nothing is locked yet: when fewer than this are in stock, that many more. */
#define LOW_STOCK 8
#define REFILL 32

int rmap_host_create(const struct rmap_host_options *options, struct rmap_host **out)
{
    if (!options || !out) return RMAP_ERR_NULL_ARG;
    if (options->struct_size != sizeof *options) return RMAP_ERR_STRUCT_SIZE;
    const struct rmap_allocator *alloc = options->alloc ? options->alloc : rmap_alloc_default();
    if (alloc->struct_size != sizeof *alloc) return RMAP_ERR_STRUCT_SIZE;
    if (!options->memory || !options->memory->view || !alloc->alloc || !alloc->free) return RMAP_ERR_NULL_ARG;
    if (options->window_pages == 0 || options->window_pages > RMAP__WINDOW_PAGES_MAX ||
        options->window_pages > SIZE_MAX >> options->memory->page_shift)
        return RMAP_ERR_RANGE;
    if (options->vma_limit != 0 && options->vma_limit < RMAP__VMA_LIMIT_MIN) return RMAP_ERR_RANGE;

    struct rmap_host *host = RMAP__NEW(alloc, struct rmap_host);
    if (!host) return RMAP_ERR_NOMEM;
    host->alloc = *alloc;
    host->memory = options->memory;
    host->pages = (uint32_t)options->window_pages;
    host->stats.vma_limit = options->vma_limit ? options->vma_limit : rmap__host_default_limit();
    int error = rmap__host_init_tables(host);
    if (error) {
        RMAP__DELETE(alloc, host);
        return error;
    }
    pthread_mutex_init(&host->lock, NULL);
    pthread_cond_init(&host->idle, NULL);
    pthread_cond_init(&host->settled, NULL);
    RB_INIT(&host->windows);
    SLIST_INIT(&host->spare);
    rmap__host_take_ballast(host);
    *out = host;
    return 0;
}

int rmap_host_destroy(struct rmap_host *host)
{
    if (!host) return RMAP_ERR_NULL_ARG;
    struct rmap__records records;
    rmap__host_lock(host);
    bool busy = host->stats.windows > 0;
    if (!busy) rmap__records_take(host, 0, &records);
    rmap__host_unlock(host);
    if (busy) return RMAP_ERR_BUSY;

    rmap__records_free(&host->alloc, &records);
    rmap__host_drop_ballast(host);
    rmap_radix_provider_fini(&host->tables);
    pthread_cond_destroy(&host->settled);
    pthread_cond_destroy(&host->idle);
    pthread_mutex_destroy(&host->lock);
    struct rmap_allocator alloc = host->alloc;
    RMAP__DELETE(&alloc, host);
    return 0;
}

struct rmap_mmu_provider rmap_host_provider(struct rmap_host *host)
{
    return (struct rmap_mmu_provider){
        .struct_size = sizeof(struct rmap_mmu_provider),
        .ctx = host,
        .memory = host->memory,
        .create = rmap__window_create,
        .destroy = rmap__window_destroy,
    };
}

static void refill(struct rmap_host *host)
{
    struct rmap__records records;
    /* Fewer will do: update() drops projections for their records. */
    rmap__records_alloc(&host->alloc, REFILL, &records);
    rmap__host_lock(host);
    rmap__records_add(host, &records);
    rmap__host_unlock(host);
}

/* Takes the window's lock. */
static bool shows(struct rmap__window *w, uint32_t page, unsigned access)
{
    rmap__window_lock(w);
    struct rmap__projection *p = rmap__tlb_find(w, page);
    bool it_does = p && p->first <= page && (p->writable || !(access & RMAP_WRITE));
    rmap__window_unlock(w);
    return it_does;
}

/* @return the window of a fault at `addr`, with the fault entered, so that it stays; NULL: none. Takes the lock. */
static struct rmap__window *begin(struct rmap_host *host, uintptr_t addr, struct rmap__serving *fault, bool *low)
{
    rmap__host_lock(host);
    struct rmap__window *w = rmap__window_find(host, addr);
    if (w && (addr < (uintptr_t)w->base || w->closing)) w = NULL;
    if (w) {
        host->stats.faults++;
        *low = host->spares < LOW_STOCK && host->records < host->stats.vma_limit;
        fault->page = (uint32_t)((addr - (uintptr_t)w->base) >> host->memory->page_shift);
        fault->refused = false;
        LIST_INSERT_HEAD(&w->serving, fault, link);
    }
    rmap__host_unlock(host);
    return w;
}

/* @return was the page refused, and is still not shown? The window may be gone afterwards. Takes the locks. */
static bool end(struct rmap_host *host, struct rmap__window *w, struct rmap__serving *fault, unsigned access)
{
    rmap__host_lock(host);
    bool refused = fault->refused;
    if (refused) {
        rmap__host_unlock(host);
        refused = !shows(w, fault->page, access);
        rmap__host_lock(host);
    }
    LIST_REMOVE(fault, link);
    if (w->closing && LIST_EMPTY(&w->serving)) pthread_cond_broadcast(&host->idle);
    rmap__host_unlock(host);
    return refused;
}

static int serve(struct rmap_host *host, uintptr_t addr, unsigned access)
{
    struct rmap__serving fault;
    bool low;
    struct rmap__window *w = begin(host, addr, &fault, &low);
    if (!w) return RMAP_ERR_ABSENT;
    int error = RMAP_ERR_UNSUPPORTED;
    if (!(access & RMAP_EXEC)) {
        if (low) refill(host);
        error = w->client.fault(w->client.ctx, fault.page, access);
    }
    bool refused = end(host, w, &fault, access);
    return !error && refused ? RMAP_ERR_SYSTEM : error;
}

int rmap_host_fault(struct rmap_host *host, void *addr, unsigned access)
{
    if (!host) return RMAP_ERR_NULL_ARG;
    if (access == 0 || (access & ~(unsigned)(RMAP_READ | RMAP_WRITE | RMAP_EXEC))) return RMAP_ERR_INVALID;
    const int caller_errno = errno; /* the interrupted code may be about to look at it */
    int error = serve(host, (uintptr_t)addr, access);
    errno = caller_errno;
    return error;
}

void rmap_host_drop_all(struct rmap_host *host)
{
    if (!host) return;
    rmap__host_forget_everything(host);
}

int rmap_host_get_stats(struct rmap_host *host, struct rmap_host_stats *out)
{
    if (!host || !out) return RMAP_ERR_NULL_ARG;
    struct rmap_host_stats stats;
    rmap__host_lock(host);
    stats = host->stats;
    stats.tlb_bytes = host->records * sizeof(struct rmap__projection);
    for (struct rmap__window *w = rmap__window_find(host, 0); w; w = rmap__window_next(w))
        stats.table_bytes += w->tables.ops->table_bytes(w->tables.ctx);
    rmap__host_unlock(host);
    *out = stats;
    return 0;
}
