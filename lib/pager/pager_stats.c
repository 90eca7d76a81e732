/* SPDX-License-Identifier: MIT */
/** @file pager/pager_stats.c  Counters as they stand, and gauges counted when asked for. */
#include <pager/pager_internal.h>

static void frame_gauges(struct rmap_pager *p, struct rmap_pager_stats *out)
{
    struct rmap__frames *fs = &p->frames;
    pthread_mutex_lock(&fs->lock);
    out->frames_total = fs->total;
    out->frames_used = fs->total - fs->free - fs->lost;
    out->frames_lost = fs->lost;
    out->frames_peak = fs->used_peak;
    pthread_mutex_unlock(&fs->lock);
    out->shared_pages = out->exclusive_pages = 0;
    for (rmap_pfn_t pfn = 0; pfn < fs->total; pfn++) {
        uint32_t mappings = rmap_page_mapcount(&fs->frame[pfn].page);
        out->shared_pages += mappings > 1;
        out->exclusive_pages += mappings == 1;
    }
}

static uint64_t table_bytes(const struct rmap_space *s)
{
    return s->mmu.ops->table_bytes ? s->mmu.ops->table_bytes(s->mmu.ctx) : 0;
}

int rmap_pager_get_stats(struct rmap_pager *p, struct rmap_pager_stats *out)
{
    if (!p || !out) return RMAP_ERR_NULL_ARG;
    int rc = rmap__pager_lock(p);
    if (rc) return rc;
    *out = p->stats;
    out->regions = out->pagetable_bytes = 0;
    const struct rmap_space *s;
    LIST_FOREACH(s, &p->spaces, link)
    {
        for (const struct rmap__region *r = rmap__region_first(&s->regions); r; r = rmap__region_next(r))
            out->regions++;
        out->pagetable_bytes += table_bytes(s);
    }
    frame_gauges(p, out);
    rmap__pager_unlock(p);
    return 0;
}

int rmap_space_get_stats(struct rmap_space *s, struct rmap_space_stats *out)
{
    if (!out) return RMAP_ERR_NULL_ARG;
    int rc = rmap__space_enter(s);
    if (rc) return rc;
    const struct rmap_member *m = rmap__space_member(s);
    *out = (struct rmap_space_stats){
        .mapped = m->mapped, .swapped = m->swapped, .committed = s->charged, .table_bytes = table_bytes(s)};
    for (const struct rmap__region *r = rmap__region_first(&s->regions); r; r = rmap__region_next(r)) {
        out->regions++;
        out->virtual_pages += r->count;
        if (r->locked) out->locked_pages += r->count;
    }
    rmap__space_leave(s);
    return 0;
}

int rmap_space_get_usage(struct rmap_space *s, struct rmap_usage *out)
{
    if (!out) return RMAP_ERR_NULL_ARG;
    int rc = rmap__space_enter(s);
    if (rc) return rc;
    rc = rmap_member_get_usage(rmap__space_member(s), out);
    rmap__space_leave(s);
    return rc;
}

int rmap_space_get_group_usage(struct rmap_space *s, struct rmap_group_usage *out)
{
    if (!out) return RMAP_ERR_NULL_ARG;
    int rc = rmap__space_enter(s);
    if (rc) return rc;
    rc = rmap_group_get_usage(rmap__space_member(s), out);
    rmap__space_leave(s);
    return rc;
}

size_t rmap_space_regions(struct rmap_space *s, struct rmap_region_info *out, size_t max)
{
    if (rmap__space_enter(s)) return 0;
    size_t n = 0;
    for (const struct rmap__region *r = rmap__region_first(&s->regions); r; r = rmap__region_next(r), n++) {
        if (!out || n >= max) continue;
        out[n] = (struct rmap_region_info){r->first, r->count, r->prot, r->locked, r->accounted};
    }
    rmap__space_leave(s);
    return n;
}
