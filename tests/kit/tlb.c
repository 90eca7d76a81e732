/* SPDX-License-Identifier: MIT */
/** @file kit/tlb.c  See tlb.h. */
#include "kit/tlb.h"

void tlb_init(struct tlb *t)
{
    pthread_mutex_init(&t->lock, NULL);
    tlb_clear(t);
}

void tlb_clear(struct tlb *t)
{
    pthread_mutex_lock(&t->lock);
    for (unsigned i = 0; i < TLB_ENTRIES; i++) t->entry[i].valid = false;
    pthread_mutex_unlock(&t->lock);
}

void tlb_flush(struct tlb *t, const struct rmap_flush_range *ranges, size_t n)
{
    pthread_mutex_lock(&t->lock);
    for (size_t k = 0; k < n; k++) {
        for (unsigned i = 0; i < TLB_ENTRIES; i++) {
            if (t->entry[i].vpn < ranges[k].first || t->entry[i].vpn - ranges[k].first >= ranges[k].count) continue;
            t->entry[i].write = false;
            if (ranges[k].kind == RMAP_FLUSH_ALL) t->entry[i].valid = false;
        }
    }
    pthread_mutex_unlock(&t->lock);
}

static void fill(struct tlb *t, const struct rmap_pte_format *f, rmap_vpn_t vpn, rmap_pte_t e)
{
    const unsigned i = (unsigned)(vpn % TLB_ENTRIES);
    t->entry[i].valid = true;
    t->entry[i].write = rmap_pte_get(f, e, RMAP_ATTR_WRITE) && rmap_pte_get(f, e, RMAP_ATTR_DIRTY);
    t->entry[i].exec = rmap_pte_get(f, e, RMAP_ATTR_EXEC);
    t->entry[i].vpn = vpn;
    t->entry[i].pfn = rmap_pte_pfn(f, e);
}

void tlb_load(struct tlb *t, const struct rmap_pte_format *f, rmap_vpn_t vpn, rmap_pte_t e)
{
    if (!rmap_pte_present(f, e) || !rmap_pte_get(f, e, RMAP_ATTR_ACCESSED)) return;
    pthread_mutex_lock(&t->lock);
    fill(t, f, vpn, e);
    pthread_mutex_unlock(&t->lock);
}

/* Look at the entry and mark it, in one atomic step. */
static int walk(const struct rmap_pte_format *f, rmap_pte_t *slot, unsigned access, rmap_pte_t *out)
{
    rmap_pte_t e = slot ? __atomic_load_n(slot, __ATOMIC_ACQUIRE) : 0, marked;
    do {
        if (!rmap_pte_present(f, e)) return RMAP_ERR_ABSENT;
        if ((access & RMAP_WRITE) && !rmap_pte_get(f, e, RMAP_ATTR_WRITE)) return RMAP_ERR_ACCESS;
        if ((access & RMAP_EXEC) && !rmap_pte_get(f, e, RMAP_ATTR_EXEC)) return RMAP_ERR_ACCESS;
        marked = rmap_pte_set(f, e, RMAP_ATTR_ACCESSED, true);
        if (access & RMAP_WRITE) marked = rmap_pte_set(f, marked, RMAP_ATTR_DIRTY, true);
    } while (!__atomic_compare_exchange_n(slot, &e, marked, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    *out = marked;
    return 0;
}

int tlb_access(struct tlb *t, const struct rmap_pte_format *f, rmap_vpn_t vpn, unsigned access, tlb_slot_fn *slot,
               void *ctx, rmap_pfn_t *pfn)
{
    const unsigned i = (unsigned)(vpn % TLB_ENTRIES);
    rmap_pte_t e;
    int error;
    if (!t) {
        if (!(error = walk(f, slot(ctx, vpn), access, &e))) *pfn = rmap_pte_pfn(f, e);
        return error;
    }
    pthread_mutex_lock(&t->lock);
    const bool hit = t->entry[i].valid && t->entry[i].vpn == vpn && (t->entry[i].write || !(access & RMAP_WRITE)) &&
                     (t->entry[i].exec || !(access & RMAP_EXEC));
    error = hit ? 0 : walk(f, slot(ctx, vpn), access, &e);
    if (!error && !hit) fill(t, f, vpn, e);
    *pfn = error ? RMAP_PFN_NONE : t->entry[i].pfn;
    pthread_mutex_unlock(&t->lock);
    return error;
}
