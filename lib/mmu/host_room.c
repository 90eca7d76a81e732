/* SPDX-License-Identifier: MIT */
/**
 * @file mmu/host_room.c  Staying below the limit of VMAs: a clock hand drops projections, in order of address over all
 * windows. What was dropped and is needed faults and comes back behind the hand, so everything else is dropped first.
 */
#include "mmu/host_impl.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* VMAs to free at a time: enough to make the system call worth while, not so many that a small budget is emptied. */
static uint64_t chunk_vmas(const struct rmap_host *host)
{
    uint64_t share = (host->stats.vma_limit - host->stats.windows) / 8;
    return share < RMAP__VMAS_PER_CHANGE ? RMAP__VMAS_PER_CHANGE : share > 64 ? 64 : share;
}

/* Drop a chunk of one window's projections, from the hand on. @return false if nothing is projected anywhere. */
static bool drop_chunk(struct rmap_host *host)
{
    struct rmap__window *w = rmap__window_find(host, host->hand);
    struct rmap__projection *p = NULL;
    if (w) {
        uintptr_t base = (uintptr_t)w->base;
        p = rmap__tlb_find(w, host->hand > base ? (uint32_t)((host->hand - base) >> host->memory->page_shift) : 0);
    }
    /* One more than there are windows: the first one again, now from its beginning. */
    for (uint64_t i = 0; !p && i <= host->stats.windows; i++) {
        if (w) w = rmap__window_next(w);
        if (!w) w = rmap__window_find(host, 0);
        if (!w) return false;
        p = rmap__tlb_find(w, 0);
    }
    if (!p) return false;

    const uint64_t enough = chunk_vmas(host);
    const uint32_t first = p->first;
    uint32_t end = rmap__projection_end(p);
    uint64_t freed = 0, dropped = 1; /* n VMAs side by side become one gap: n - 1 are freed at least */
    while (freed < enough && (p = rmap__tlb_next(p))) {
        freed += 1 + (p->first > end);
        end = rmap__projection_end(p);
        dropped++;
    }
    host->stats.drops += dropped;
    host->hand = (uintptr_t)w->base + rmap__window_bytes(host, end);
    rmap__window_forget(w, first, end);
    return true;
}

void rmap__host_make_room(struct rmap_host *host, uint64_t vmas, uint64_t records)
{
    while (host->stats.vmas + vmas > host->stats.vma_limit || host->spares < records)
        if (!drop_chunk(host)) break;
}

void rmap__host_forget_everything(struct rmap_host *host)
{
    for (struct rmap__window *w = rmap__window_find(host, 0); w; w = rmap__window_next(w))
        if (rmap__tlb_find(w, 0)) rmap__window_forget_all(w);
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
