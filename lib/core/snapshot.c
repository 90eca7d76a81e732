/* SPDX-License-Identifier: MIT */
/**
 * @file core/snapshot.c  snapshot: a space's memory at one moment, by withdrawing write from all of it.
 *
 * The cut is consistent, though entries are protected one by one and flushed table by table. Let T be the end of the
 * last flush. While we run, no write fault of the space is served: the set of pages that it can write to only shrinks,
 * and is empty at T. So what is found in the frames from T on *is* the memory at T: every store before it is in, none
 * after it. A flush that came early, for a full gather or at the end of a table, only began that page's silence earlier:
 *
 *     page x   ──store──store──┤ protected ┤ flushed ░░░░░░░░░░░░░░░░░░░░░░░░░░░  a store to x waits in its fault,
 *     page y   ──store────────────store──────store──┤ protected ┤ flushed ░░░░  and so does all that would follow it
 *                                                                         T
 *
 * Nobody stores y because of a store to x that waits: the waiting store is not in memory to be seen. Were its fault
 * served before T, x would be writable again at T, and the contents read afterwards those of no moment.
 *
 * Page verbs take no space lock, so their walks may be anywhere meanwhile. Like them we flush before a run is unlocked:
 * so an entry that we find restricted, or gone, cannot be written through any more; and write_protect, which finds ours
 * read-only and clean, may say DONE (INV-7).
 */
#include <core/core.h>

struct snapshot {
    struct rmap_member *m;
    struct rmap_gather gather;
    rmap_vpn_t first;
    uint64_t *written; /* bitmap, or NULL */
    struct rmap_snapped done;
};

static rmap_pte_t protected_clean(const struct rmap_pte_format *f, rmap_pte_t e)
{
    static const enum rmap_pte_attr gone[] = {RMAP_ATTR_WRITE, RMAP_ATTR_DIRTY, RMAP_ATTR_SOFT_DIRTY};
    for (unsigned i = 0; i < 3; i++) e = rmap_pte_set(f, e, gone[i], false);
    return e;
}

/* Somebody else may write to the frame of a pinned page at any time, unseen. The permission of the processors is left as
 * it is, since their next write would have to leave that frame; and the page counts as written, now and next time. */
static void snap_pinned(struct snapshot *s, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    const struct rmap_mmu *mmu = &s->m->mmu;
    const rmap_pte_t marked = rmap_pte_set(mmu->ops->format, e, RMAP_ATTR_SOFT_DIRTY, true);
    s->done.pinned++;
    if (!rmap_pte_present(mmu->ops->format, e))
        rmap_run_set(mmu, run, i, marked);
    else if (marked != e)
        rmap__run_modify(mmu, run, i, e, marked);
}

static void snap_mapping(struct snapshot *s, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e,
                         struct rmap_page *page)
{
    const struct rmap_mmu *mmu = &s->m->mmu;
    const struct rmap_pte_format *f = mmu->ops->format;
    const rmap_pte_t wanted = protected_clean(f, e);
    if (wanted == e) return;
    rmap_pte_t old = e;
    if (rmap_pte_present(f, e))
        old = rmap__run_modify(mmu, run, i, e, wanted);
    else
        rmap_run_set(mmu, run, i, wanted);
    const bool write = rmap_pte_get(f, old, RMAP_ATTR_WRITE), dirty = rmap_pte_get(f, old, RMAP_ATTR_DIRTY);
    if (dirty && rmap__page_counted(page)) rmap_page_set_flags(page, RMAP_PAGE_DIRTY);
    if (write || dirty) rmap_gather_flush(&s->gather, s->m, run->first + i, old, RMAP_FLUSH_WRITE);
    s->done.withdrawn += write;
    s->done.dirty += dirty;
}

static bool is_written(const struct rmap_pte_format *f, rmap_pte_t e)
{
    return (rmap_pte_maps(f, e) || rmap_pte_kind(f, e) == RMAP_PTE_SWAP) && rmap_pte_get(f, e, RMAP_ATTR_SOFT_DIRTY);
}

static void note_written(uint64_t *bitmap, uint64_t bit)
{
    if (bitmap) bitmap[bit / 64] |= (uint64_t)1 << bit % 64;
}

static void snap_entry(struct snapshot *s, const struct rmap_mmu_run *run, uint32_t i)
{
    const struct rmap_pte_format *f = s->m->mmu.ops->format;
    rmap_pte_t e = rmap_run_get(&s->m->mmu, run, i);
    if (!e) return;
    struct rmap_page *page = rmap_pte_maps(f, e) ? rmap_page_find(s->m->r, rmap_pte_pfn(f, e)) : NULL;
    const bool pinned = rmap__page_counted(page) && rmap_page_pins(page), written = is_written(f, e) || pinned;
    if (pinned)
        snap_pinned(s, run, i, e);
    else if (rmap_pte_maps(f, e))
        snap_mapping(s, run, i, e, page);
    else if (written)
        rmap_run_set(&s->m->mmu, run, i, rmap_pte_set(f, e, RMAP_ATTR_SOFT_DIRTY, false));
    if (!written) return;
    s->done.written++;
    note_written(s->written, run->first + i - s->first);
}

/* What both calls check; the bitmap is cleared. */
static int begin(struct rmap_member *m, rmap_vpn_t first, uint64_t count, uint64_t *bitmap)
{
    if (!m) return RMAP_ERR_NULL_ARG;
    if (!m->node) return RMAP_ERR_DEAD;
    int err = rmap__range_check(&m->mmu, first, count);
    if (!err && bitmap && !m->mmu.ops->format->attr[RMAP_ATTR_SOFT_DIRTY].mask) err = RMAP_ERR_UNSUPPORTED;
    if (!err && bitmap) memset(bitmap, 0, (count + 63) / 64 * sizeof *bitmap);
    return err;
}

int rmap_snapshot(struct rmap_member *m, rmap_vpn_t first, uint64_t count, uint64_t *written, struct rmap_snapped *out)
{
    int err = begin(m, first, count, written);
    if (err) return err;
    struct snapshot s = {.m = m, .first = first, .written = written};
    rmap_gather_init(&s.gather, m->r);
    const struct rmap_mmu_ops *o = m->mmu.ops;
    const rmap_vpn_t end = first + count;
    struct rmap_mmu_run run;
    for (rmap_vpn_t at = first; at < end && !(err = o->run_find(m->mmu.ctx, at, end, &run));) {
        if (at < run.first) at = run.first;
        for (; at < end && at < run.first + run.count; at++) snap_entry(&s, &run, (uint32_t)(at - run.first));
        rmap_gather_flush_now(&s.gather);
        o->run_unlock(m->mmu.ctx, &run);
    }
    if (out) *out = s.done;
    return err == RMAP_ERR_ABSENT ? 0 : err;
}

int rmap_written(struct rmap_member *m, rmap_vpn_t first, uint64_t count, uint64_t *bitmap, uint64_t *written)
{
    if (!bitmap) return RMAP_ERR_NULL_ARG;
    int err = begin(m, first, count, bitmap);
    if (err) return err;
    const struct rmap_mmu_ops *o = m->mmu.ops;
    const rmap_vpn_t end = first + count;
    struct rmap_mmu_run run;
    uint64_t found = 0;
    for (rmap_vpn_t at = first; at < end && !(err = o->run_find(m->mmu.ctx, at, end, &run));) {
        if (at < run.first) at = run.first;
        for (; at < end && at < run.first + run.count; at++) {
            if (!is_written(o->format, rmap_run_get(&m->mmu, &run, (uint32_t)(at - run.first)))) continue;
            note_written(bitmap, at - first);
            found++;
        }
        o->run_unlock(m->mmu.ctx, &run);
    }
    if (written) *written = found;
    return err == RMAP_ERR_ABSENT ? 0 : err;
}
