/* SPDX-License-Identifier: MIT */
/**
 * @file mmu/host_room.c  Staying below the limit of VMAs. What a change may add is set aside before and settled afterwards;
 * if there is no room, a clock hand drops projections, in order of address over all windows. What was dropped and is needed
 * faults and comes back behind the hand, so everything else is dropped first.
 */
#include "mmu/host_impl.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- taking and settling ---- */

void rmap__host_wake(struct rmap_host *host)
{
    if (host->waiters) pthread_cond_broadcast(&host->settled);
}

void rmap__host_wait(struct rmap_host *host)
{
    host->waiters++;
    pthread_cond_wait(&host->settled, &host->lock);
    host->waiters--;
}

bool rmap__host_has_room(const struct rmap_host *host, uint64_t vmas, uint64_t records)
{
    return host->stats.vmas + host->reserved + vmas <= host->stats.vma_limit && host->spares >= records;
}

void rmap__window_settle_locked(struct rmap__window *w)
{
    struct rmap_host *host = w->host;
    struct rmap__change *c = &w->change;
    struct rmap_host_stats *stats = &host->stats;
    stats->vmas += (uint64_t)c->vmas; /* wraps to the right value */
    if (stats->vmas > stats->vmas_peak) stats->vmas_peak = stats->vmas;
    stats->projections += c->projections;
    stats->projected_pages += c->projected_pages;
    stats->drops += c->drops;
    stats->flush_calls += c->flush_calls;
    host->reserved -= c->reserved;
    host->changes -= c->open;
    host->spares += c->spares;
    for (struct rmap__projection *p; (p = SLIST_FIRST(&c->spare));) {
        SLIST_REMOVE_HEAD(&c->spare, spare);
        SLIST_INSERT_HEAD(&host->spare, p, spare);
    }
    *c = (struct rmap__change){.spares = 0};
    rmap__host_wake(host);
}

void rmap__window_settle(struct rmap__window *w)
{
    rmap__host_lock(w->host);
    rmap__window_settle_locked(w);
    rmap__host_unlock(w->host);
}

/* Both locks held, nothing taken yet, and there is room. */
static void take_locked(struct rmap__window *w, uint32_t vmas, uint32_t records)
{
    struct rmap_host *host = w->host;
    w->change.open = true;
    w->change.reserved = vmas;
    host->changes++;
    host->reserved += vmas;
    for (; w->change.spares < records; w->change.spares++, host->spares--) {
        struct rmap__projection *p = SLIST_FIRST(&host->spare);
        SLIST_REMOVE_HEAD(&host->spare, spare);
        SLIST_INSERT_HEAD(&w->change.spare, p, spare);
    }
}

bool rmap__window_take(struct rmap__window *w, uint32_t vmas, uint32_t records)
{
    rmap__host_lock(w->host);
    rmap__window_settle_locked(w);
    bool can = !w->host->emergency && rmap__host_has_room(w->host, vmas, records);
    if (can) take_locked(w, vmas, records);
    rmap__host_unlock(w->host);
    return can;
}

void rmap__window_take_in_emergency(struct rmap__window *w, uint32_t vmas, uint32_t records)
{
    rmap__host_lock(w->host);
    rmap__window_settle_locked(w);
    take_locked(w, vmas, records);
    rmap__host_unlock(w->host);
}

void rmap__host_emergency_begin(struct rmap_host *host)
{
    rmap__host_lock(host);
    while (host->emergency) rmap__host_wait(host);
    host->emergency = true;
    while (host->changes) rmap__host_wait(host);
    rmap__host_unlock(host);
}

void rmap__host_emergency_end(struct rmap_host *host)
{
    rmap__host_lock(host);
    host->emergency = false;
    rmap__host_wake(host);
    rmap__host_unlock(host);
}

/* ---- dropping ---- */

/* VMAs to free at a time: enough to make the system call worth while, not so many that a small budget is emptied. */
static uint64_t chunk_vmas(const struct rmap_host *host)
{
    uint64_t share = (host->stats.vma_limit - host->stats.windows) / 8;
    return share < RMAP__VMAS_PER_CHANGE ? RMAP__VMAS_PER_CHANGE : share > 64 ? 64 : share;
}

/* Drop a chunk of this window's projections, from `page` on. @return where the next chunk begins; 0: nothing is there.
 * Takes the window's lock. */
static uint32_t drop_chunk_of(struct rmap__window *w, uint32_t page, uint64_t enough)
{
    uint32_t end = 0;
    rmap__window_lock(w);
    struct rmap__projection *p = rmap__tlb_find(w, page);
    if (p) {
        const uint32_t first = p->first;
        uint64_t freed = 0, dropped = 1; /* n VMAs side by side become one gap: n - 1 are freed at least */
        end = rmap__projection_end(p);
        while (freed < enough && (p = rmap__tlb_next(p))) {
            freed += 1 + (p->first > end);
            end = rmap__projection_end(p);
            dropped++;
        }
        w->change.drops += (uint32_t)dropped;
        rmap__window_forget(w, first, end);
        rmap__window_settle(w);
    }
    rmap__window_unlock(w);
    return end;
}

/* @return false if nothing was found projected anywhere. */
static bool drop_chunk(struct rmap_host *host)
{
    uint32_t end = 0;
    rmap__host_lock(host);
    const uint64_t enough = chunk_vmas(host), windows = host->stats.windows;
    struct rmap__window *w = rmap__window_find(host, host->hand);
    uint32_t page = 0;
    if (w && host->hand > (uintptr_t)w->base)
        page = (uint32_t)((host->hand - (uintptr_t)w->base) >> host->memory->page_shift);
    /* One more than there are windows: the first one again, then from its beginning. */
    for (uint64_t i = 0; i <= windows; i++, page = 0) {
        if (!w) w = rmap__window_find(host, 0);
        if (!w) break;
        rmap__window_pin(w);
        rmap__host_unlock(host);
        end = drop_chunk_of(w, page, enough);
        rmap__host_lock(host);
        struct rmap__window *next = rmap__window_next(w);
        if (end) host->hand = (uintptr_t)w->base + rmap__window_bytes(host, end);
        rmap__window_unpin(w);
        if (end) break;
        w = next;
    }
    rmap__host_unlock(host);
    return end != 0;
}

void rmap__host_make_room(struct rmap_host *host, uint64_t vmas, uint64_t records)
{
    bool dropped = true;
    for (;;) {
        rmap__host_lock(host);
        /* What others have taken comes back, used or not; what is used can be dropped. */
        while (host->emergency || (!dropped && host->changes && !rmap__host_has_room(host, vmas, records))) {
            rmap__host_wait(host);
            dropped = true;
        }
        bool done = rmap__host_has_room(host, vmas, records);
        rmap__host_unlock(host);
        if (done) return;
        dropped = drop_chunk(host);
    }
}

void rmap__host_forget_everything(struct rmap_host *host)
{
    rmap__host_lock(host);
    struct rmap__window *w = rmap__window_find(host, 0), *next;
    for (; w; w = next) {
        rmap__window_pin(w);
        rmap__host_unlock(host);
        rmap__window_lock(w);
        if (rmap__tlb_find(w, 0)) {
            rmap__window_forget_all(w);
            rmap__window_settle(w);
        }
        rmap__window_unlock(w);
        rmap__host_lock(host);
        next = rmap__window_next(w);
        rmap__window_unpin(w);
    }
    rmap__host_unlock(host);
}

uint64_t rmap__host_default_limit(void)
{
    char text[32] = "";
    uint64_t most = 0;
    int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, text, sizeof text - 1) > 0) most = strtoull(text, NULL, 10);
        close(fd);
    }
    if (most == 0) most = 65530; /* the kernel's own default */
    return most / 2 > RMAP__VMA_LIMIT_MIN ? most / 2 : RMAP__VMA_LIMIT_MIN;
}
