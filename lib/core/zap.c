/* SPDX-License-Identifier: MIT */
/** @file core/zap.c  zap: remove a range of entries in one space. */
#include <core/count.h>
#include <core/track.h>

struct zap {
    struct rmap_member *m;
    struct rmap__section frames;
    rmap_pte_t payload; /* the format's mask of frames */
    struct rmap_gather gather;
    struct rmap_zapped done;
};

static inline rmap_pfn_t frame_of(const struct zap *z, rmap_pte_t e)
{
    return (e & z->payload) >> z->m->mmu.ops->format->payload_shift;
}

static inline void zap_mapping(struct zap *z, rmap_vpn_t vpn, rmap_pte_t old)
{
    const struct rmap_pte_format *f = z->m->mmu.ops->format;
    struct rmap_page *page = rmap__frame_page(z->m->r, &z->frames, frame_of(z, old));
    rmap__gather_flush(&z->gather, z->m, vpn, old, RMAP_FLUSH_ALL);
    if (!rmap__page_counted(page)) {
        z->done.others++;
        return;
    }
    if (rmap_pte_get(f, old, RMAP_ATTR_DIRTY)) rmap_page_set_flags(page, RMAP_PAGE_DIRTY);
    rmap__gather_push(&z->gather, page);
    z->done.mappings++;
}

/* Was the entry at vpn away from its slot's home? Asked only where the space has such entries. */
static bool swap_is_moved(struct rmap_member *m, rmap_vpn_t vpn, rmap_swp_t entry)
{
    struct rmap_slot_home home;
    return m->moved && m->r->swap && !m->r->swap->get_home(m->r->swap_ctx, entry, &home) && home.index != vpn;
}

static inline void zap_entry(struct zap *z, const struct rmap_mmu_run *run, uint32_t i)
{
    struct rmap_member *m = z->m;
    const struct rmap_pte_format *f = m->mmu.ops->format;
    rmap_pte_t old = rmap_run_exchange(&m->mmu, run, i, 0);
    rmap_vpn_t vpn = run->first + i;
    if (rmap_pte_maps(f, old)) {
        zap_mapping(z, vpn, old);
    } else if (rmap_pte_kind(f, old) == RMAP_PTE_SWAP && m->r->swap) {
        rmap_swp_t entry = rmap_pte_swp(f, old);
        if (swap_is_moved(m, vpn, entry)) atomic_fetch_sub_explicit(&m->moved, 1, memory_order_relaxed);
        rmap__gather_entry(&z->gather, entry);
        z->done.swaps++;
    } else {
        z->done.others++;
    }
}

int rmap_zap(struct rmap_member *m, rmap_vpn_t first, uint64_t count, struct rmap_zapped *out)
{
    if (!m) return RMAP_ERR_NULL_ARG;
    if (!m->node) return RMAP_ERR_DEAD;
    int err = rmap__range_check(&m->mmu, first, count);
    if (err) return err;
    struct zap z;
    z.m = m;
    z.frames = rmap__main_section(m->r);
    z.payload = rmap_pte_payload_mask(m->mmu.ops->format);
    z.done = (struct rmap_zapped){0};
    rmap_gather_init(&z.gather, m->r);
    const struct rmap_mmu_ops *o = m->mmu.ops;
    const rmap_vpn_t end = first + count;
    struct rmap_mmu_run run;
    for (rmap_vpn_t at = first; at < end && !(err = o->run_find(m->mmu.ctx, at, end, &run));) {
        if (at < run.first) at = run.first;
        struct rmap_zapped before = z.done;
        /* A run may be as long as the gather: stop where it is full, and come back. */
        const uint32_t run_end = end - run.first < run.count ? (uint32_t)(end - run.first) : run.count;
        uint32_t i = (uint32_t)(at - run.first);
        for (; i < run_end && z.gather.items < RMAP_GATHER_ITEMS; i++) {
            if (!rmap_run_get(&m->mmu, &run, i)) continue;
            if (run.slots && i + RMAP__AHEAD < run_end)
                rmap__frame_prefetch(&z.frames, frame_of(&z, rmap_run_get(&m->mmu, &run, i + RMAP__AHEAD)));
            zap_entry(&z, &run, i);
        }
        at = run.first + i;
        o->run_unlock(m->mmu.ctx, &run);
        rmap__mappings_sub(m, z.done.mappings - before.mappings);
        atomic_fetch_sub_explicit(&m->swapped, z.done.swaps - before.swaps, memory_order_relaxed);
        if (!rmap_gather_room(&z.gather, RMAP_GATHER_ITEMS / 2)) rmap_gather_finish(&z.gather);
    }
    rmap_gather_finish(&z.gather);
    if (err == RMAP_ERR_ABSENT) err = 0;
    if (!err && m->track) rmap__track_forget(m, first, count);
    if (out) *out = z.done;
    return err;
}
