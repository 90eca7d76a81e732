/* SPDX-License-Identifier: MIT */
/** @file pager/pager_stats.c  Counters as they stand, and gauges counted when asked for. */
#include <pager/pager_internal.h>

static void frame_gauges(struct rmap_pager *p, struct rmap_pager_stats *out)
{
    struct rmap__frames *fs = &p->frames;
    rmap__mutex_lock(&fs->lock, RMAP__RANK_FRAMES);
    out->frames_total = fs->total;
    out->frames_used = fs->total - fs->free - fs->lost;
    out->frames_lost = fs->lost;
    out->frames_peak = fs->used_peak;
    rmap__mutex_unlock(&fs->lock, RMAP__RANK_FRAMES);
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

/* Each counter as it is when we come to it. */
static void copy_counters(const struct rmap_pager *p, struct rmap_pager_stats *out)
{
    const uint64_t *from = (const uint64_t *)&p->stats;
    uint64_t *to = (uint64_t *)out;
    for (size_t i = 0; i < sizeof *out / sizeof *to; i++) to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}
_Static_assert(sizeof(struct rmap_pager_stats) % sizeof(uint64_t) == 0, "all fields are 64 bits wide");

void rmap__fault_counters_add(const struct rmap_space *s, struct rmap_pager_stats *sum)
{
#define ADD(field)                                                                                                     \
    __atomic_fetch_add(&sum->field, __atomic_load_n(&s->faults.field, __ATOMIC_RELAXED), __ATOMIC_RELAXED)
    ADD(faults);
    ADD(faults_minor);
    ADD(zero_maps);
    ADD(anon_new);
    ADD(cow_copies);
    ADD(cow_reuses);
    ADD(swap_ins);
    ADD(swap_in_cached);
    ADD(swap_in_copies);
    ADD(swap_in_around);
#undef ADD
}

int rmap_pager_get_stats(struct rmap_pager *p, struct rmap_pager_stats *out)
{
    if (!p || !out) return RMAP_ERR_NULL_ARG;
    struct rmap__call c;
    int rc = rmap__call_begin(&c, p);
    if (rc) return rc;
    rmap__mutex_lock(&p->lock, RMAP__RANK_BOOKS);
    copy_counters(p, out);
    out->regions = out->pagetable_bytes = 0;
    const struct rmap_space *s;
    LIST_FOREACH(s, &p->spaces, link)
    {
        rmap__fault_counters_add(s, out);
        out->regions += s->regions.count;
        out->pagetable_bytes += table_bytes(s);
    }
    rmap__mutex_unlock(&p->lock, RMAP__RANK_BOOKS);
    frame_gauges(p, out);
    rmap__call_end(&c);
    return 0;
}

int rmap_space_get_stats(struct rmap_space *s, struct rmap_space_stats *out)
{
    if (!out) return RMAP_ERR_NULL_ARG;
    struct rmap__call c;
    int rc = rmap__space_enter_shared(&c, s);
    if (rc) return rc;
    const struct rmap_member *m = rmap__space_member(s);
    *out = (struct rmap_space_stats){
        .mapped = m->mapped, .swapped = m->swapped, .committed = s->charged, .table_bytes = table_bytes(s)};
    for (const struct rmap__region *r = rmap__region_first(&s->regions); r; r = rmap__region_next(r)) {
        out->regions++;
        out->virtual_pages += r->count;
        if (r->locked) out->locked_pages += r->count;
    }
    rmap__space_leave(&c);
    return 0;
}

int rmap_space_get_usage(struct rmap_space *s, struct rmap_usage *out)
{
    if (!out) return RMAP_ERR_NULL_ARG;
    struct rmap__call c;
    int rc = rmap__space_enter_shared(&c, s);
    if (rc) return rc;
    rc = rmap_member_get_usage(rmap__space_member(s), out);
    rmap__space_leave(&c);
    return rc;
}

int rmap_space_get_group_usage(struct rmap_space *s, struct rmap_group_usage *out)
{
    if (!out) return RMAP_ERR_NULL_ARG;
    struct rmap__call c;
    int rc = rmap__space_enter_shared(&c, s);
    if (rc) return rc;
    rc = rmap_group_get_usage(rmap__space_member(s), out);
    rmap__space_leave(&c);
    return rc;
}

size_t rmap_space_regions(struct rmap_space *s, struct rmap_region_info *out, size_t max)
{
    struct rmap__call c;
    if (rmap__space_enter_shared(&c, s)) return 0;
    size_t n = 0;
    for (const struct rmap__region *r = rmap__region_first(&s->regions); r; r = rmap__region_next(r), n++) {
        if (!out || n >= max) continue;
        out[n] = (struct rmap_region_info){r->first, r->count, r->prot, r->locked, r->accounted};
    }
    rmap__space_leave(&c);
    return n;
}
