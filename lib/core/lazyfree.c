/* SPDX-License-Identifier: MIT */
/**
 * @file core/lazyfree.c  free_lazily: contents that may vanish, until they are written again.
 *
 * A page that the space uses alone stays mapped, but read-only and clean: the next write faults, and rmap_page_reuse
 * takes the page back. Everything else of the range is dropped at once.
 */
#include <core/core.h>

#define WORD_BITS 64

struct lazily {
    struct rmap_member *m;
    struct rmap_gather gather;
    struct rmap_freed done;
    uint64_t drop[RMAP_RUN_MAX / WORD_BITS]; /* entries of the run that have to go */
};

/* Ours alone, and not lost? Page lock held. */
static bool page_is_free(struct rmap *r, struct rmap_page *page)
{
    if (rmap_page_flags(page) & RMAP_PAGE_POISON) return false;
    return rmap_page_mapcount(page) == 1 && !rmap__page_swap_count(r, page) && !rmap_page_pins(page);
}

/*
 * Page and run locked. The run stays so until the flush is done: whoever discards the page, or takes it back, needs
 * the run, and so never meets the entry while a stale translation still lets the page be written (D6), nor an entry
 * without accessed that is cached somewhere. What is written before that flush may vanish like what was written before
 * the call.
 */
static void mark(struct lazily *z, const struct rmap_mmu_run *run, uint32_t i, struct rmap_page *page, rmap_pte_t e)
{
    static const enum rmap_pte_attr gone[] = {RMAP_ATTR_WRITE, RMAP_ATTR_DIRTY, RMAP_ATTR_ACCESSED};
    struct rmap *r = z->m->r;
    const struct rmap_mmu *mmu = &z->m->mmu;
    rmap_pte_t clean = e;
    for (unsigned k = 0; k < 3; k++) clean = rmap_pte_set(mmu->ops->format, clean, gone[k], false);
    rmap_gather_flush(&z->gather, z->m, run->first + i, rmap_run_exchange(mmu, run, i, clean), RMAP_FLUSH_ALL);
    if (rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE) r->swap->forget(r->swap_ctx, page);
    rmap_page_set_flags(page, RMAP_PAGE_DISCARDABLE);
    rmap_page_clear_flags(page, RMAP_PAGE_DIRTY);
    z->done.marked++;
}

/* @return false: the entry has to go. */
static bool keep(struct lazily *z, const struct rmap_mmu_run *run, uint32_t i, rmap_pte_t e)
{
    struct rmap *r = z->m->r;
    const struct rmap_pte_format *f = z->m->mmu.ops->format;
    const enum rmap_pte_kind kind = rmap_pte_kind(f, e);
    if (kind != RMAP_PTE_PRESENT && kind != RMAP_PTE_NO_ACCESS) return false;
    struct rmap_page *page = rmap_page_find(r, rmap_pte_pfn(f, e));
    if (!rmap__page_counted(page)) return true; /* a special frame has no contents of ours */
    if (!rmap_page_try_lock(page)) return false;
    rmap_page_get(page);
    bool own = page_is_free(r, page);
    if (own) mark(z, run, i, page, e);
    rmap_page_unlock(r, page);
    rmap_page_put(r, page);
    return own;
}

static void drop(struct lazily *z, rmap_vpn_t first, uint64_t count)
{
    struct rmap_zapped zapped;
    if (rmap_zap(z->m, first, count, &zapped)) return; /* a huge entry has come: what is behind it stays */
    z->done.dropped.mappings += zapped.mappings;
    z->done.dropped.swaps += zapped.swaps;
    z->done.dropped.others += zapped.others;
}

static void drop_marked(struct lazily *z, const struct rmap_mmu_run *run)
{
    for (uint32_t i = 0, end; i < run->count; i = end + 1) {
        for (end = i; end < run->count && z->drop[end / WORD_BITS] >> end % WORD_BITS & 1;) end++;
        if (end > i) drop(z, run->first + i, end - i);
    }
}

int rmap_free_lazily(struct rmap_member *m, rmap_vpn_t first, uint64_t count, struct rmap_freed *out)
{
    if (!m) return RMAP_ERR_NULL_ARG;
    if (!m->node) return RMAP_ERR_DEAD;
    int err = rmap__range_check(&m->mmu, first, count);
    if (err) return err;
    struct lazily z = {.m = m};
    rmap_gather_init(&z.gather, m->r);
    const struct rmap_mmu_ops *o = m->mmu.ops;
    const rmap_vpn_t end = first + count;
    struct rmap_mmu_run run;
    for (rmap_vpn_t at = first; at < end && !(err = o->run_find(m->mmu.ctx, at, end, &run));) {
        memset(z.drop, 0, sizeof z.drop);
        if (at < run.first) at = run.first;
        for (; at < end && at < run.first + run.count; at++) {
            const uint32_t i = (uint32_t)(at - run.first);
            rmap_pte_t e = rmap_run_get(&m->mmu, &run, i);
            if (e && !keep(&z, &run, i, e)) z.drop[i / WORD_BITS] |= (uint64_t)1 << i % WORD_BITS;
        }
        rmap_gather_flush_now(&z.gather);
        o->run_unlock(m->mmu.ctx, &run);
        drop_marked(&z, &run);
    }
    if (out) *out = z.done;
    return err == RMAP_ERR_ABSENT ? 0 : err;
}
