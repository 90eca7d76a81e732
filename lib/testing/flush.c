/* SPDX-License-Identifier: MIT */
/** @file testing/flush.c  Cases of the sixth step: what is still cached after entries changed, flushed or not. */
#include <testing/kit.h>

#define A KIT_ATTR(ACCESSED)
#define W KIT_ATTR(WRITE)
#define D KIT_ATTR(DIRTY)

/* ---- without a flush ---- */

void rmap__kit_grant_needs_no_flush(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    const rmap_pte_t absent[] = {0, rmap__kit_swap(k, 1),
                                 rmap_pte_make_kind(k->f, RMAP_PTE_NO_ACCESS, k->t->first_frame + 1, A)};
    for (unsigned i = 0; i < sizeof absent / sizeof *absent; i++) {
        const rmap_vpn_t vpn = k->pages / 2 + i;
        if (!rmap__kit_put(k, m, vpn, absent[i]) || !rmap__kit_faults(k, m, vpn, RMAP_READ, "not present") ||
            !rmap__kit_put(k, m, vpn, rmap__kit_present(k, 1, A)) ||
            !rmap__kit_reaches(k, m, vpn, RMAP_READ, 1, "set after a fault, not flushed") ||
            !rmap__kit_faults(k, m, vpn, RMAP_WRITE, "not writable") ||
            !rmap__kit_put(k, m, vpn, rmap__kit_present(k, 1, A | W | D)) ||
            !rmap__kit_reaches(k, m, vpn, RMAP_WRITE, 1, "made writable after a fault, not flushed"))
            return;
    }
}

void rmap__kit_no_tlb_means_none(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    const rmap_vpn_t vpn = k->pages / 2;
    const bool accessed = k->f->attr[RMAP_ATTR_ACCESSED].mask;
    if (!rmap__kit_put(k, m, vpn, rmap__kit_present(k, 1, A | W | D)) ||
        !rmap__kit_reaches(k, m, vpn, RMAP_WRITE, 1, "writable") ||
        !rmap__kit_put(k, m, vpn, rmap__kit_present(k, 2, 0)) ||
        !rmap__kit_reaches(k, m, vpn, RMAP_READ, 2, "replaced, with NO_TLB") ||
        !rmap__kit_faults(k, m, vpn, RMAP_WRITE, "not writable any more, with NO_TLB") ||
        !rmap__kit_put(k, m, vpn, rmap__kit_present(k, 2, 0)) ||
        !rmap__kit_reaches(k, m, vpn, RMAP_READ, 2, "made not accessed, with NO_TLB") ||
        (accessed && !rmap__kit_holds(k, m, vpn, rmap__kit_present(k, 2, A), "after another read, with NO_TLB")) ||
        !rmap__kit_put(k, m, vpn, 0))
        return;
    rmap__kit_faults(k, m, vpn, RMAP_READ, "removed, with NO_TLB");
}

void rmap__kit_inactive_caches_nothing(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    const rmap_vpn_t vpn = k->pages / 2;
    KIT_EXPECT(k, k->o->active(m->mmu.ctx), "active() says no after set_active(true)");
    if (!rmap__kit_put(k, m, vpn, rmap__kit_present(k, 1, A | W | D)) ||
        !rmap__kit_reaches(k, m, vpn, RMAP_WRITE, 1, "writable"))
        return;
    k->t->set_active(k->t->ctx, &m->mmu, false);
    KIT_EXPECT(k, !k->o->active(m->mmu.ctx), "active() says yes after set_active(false)");
    if (!rmap__kit_put(k, m, vpn, rmap__kit_present(k, 2, A))) return;
    k->t->set_active(k->t->ctx, &m->mmu, true);
    if (!rmap__kit_reaches(k, m, vpn, RMAP_READ, 2, "replaced while inactive")) return;
    rmap__kit_faults(k, m, vpn, RMAP_WRITE, "write withdrawn while inactive");
}

/* Neighbours that were never accessed, around a page that is: whoever loads neighbours must leave them out. */
void rmap__kit_accessed_exact(struct rmap__kit *k)
{
    enum { PAGES = 5, MIDDLE = 2 };
    struct rmap__kit_mmu *m = &k->mmu[0];
    for (unsigned i = 0; i < PAGES; i++)
        if (!rmap__kit_put(k, m, i, rmap__kit_present(k, i, i == MIDDLE ? A : 0))) return;
    if (!rmap__kit_reaches(k, m, MIDDLE, RMAP_READ, MIDDLE, "present")) return;
    for (unsigned i = 0; i < PAGES; i++)
        if (i != MIDDLE && !rmap__kit_put(k, m, i, rmap__kit_present(k, PAGES + i, 0))) return;
    for (unsigned i = 0; i < PAGES; i++)
        if (i != MIDDLE &&
            !rmap__kit_reaches(k, m, i, RMAP_READ, PAGES + i, "replaced before it was accessed, not flushed"))
            return;
}

/* ---- with one ---- */

/* Pages 0 … 7 and the last: flushed as two ranges of eight and one, and as the whole space. */
void rmap__kit_flush_forgets(struct rmap__kit *k)
{
    enum { NEAR = 8, PAGES = NEAR + 1 };
    struct rmap__kit_mmu *m = &k->mmu[0];
    rmap_vpn_t vpn[PAGES];
    for (unsigned i = 0; i < PAGES; i++) vpn[i] = i < NEAR ? i : k->pages - 1;
    for (unsigned round = 0; round < 3; round++) {
        const unsigned frame = round % 2 * 7; /* frames 0 … 8, then 7 … 15, then 0 … 8 */
        for (unsigned i = 0; i < PAGES; i++)
            if (!rmap__kit_put(k, m, vpn[i], rmap__kit_present(k, frame + i, A | W | D))) return;
        if (round == 1) {
            const struct rmap_flush_range two[] = {{0, NEAR, RMAP_FLUSH_ALL}, {vpn[NEAR], 1, RMAP_FLUSH_ALL}};
            k->o->flush(m->mmu.ctx, two, 2);
        } else if (round == 2) {
            rmap__kit_flush(m, 0, k->pages, RMAP_FLUSH_ALL);
        }
        for (unsigned i = 0; i < PAGES; i++)
            if (!rmap__kit_reaches(k, m, vpn[i], i % 2 ? RMAP_WRITE : RMAP_READ, frame + i,
                                   round ? "replaced and flushed" : "present"))
                return;
    }
    for (unsigned i = 0; i < PAGES; i++) { /* the run stays locked: as in a gather that is full */
        struct rmap_mmu_run run;
        if (!rmap__kit_make(k, m, vpn[i], &run)) return;
        rmap_run_exchange(&m->mmu, &run, (uint32_t)(vpn[i] - run.first), 0);
        rmap__kit_flush(m, vpn[i], 1, RMAP_FLUSH_ALL);
        rmap__kit_unlock(m, &run);
        if (!rmap__kit_faults(k, m, vpn[i], RMAP_READ, "removed and flushed, the run locked")) return;
    }
}

void rmap__kit_flush_write(struct rmap__kit *k)
{
    enum { PAGES = 4 };
    struct rmap__kit_mmu *m = &k->mmu[0];
    for (unsigned i = 0; i < PAGES; i++)
        if (!rmap__kit_put(k, m, i, rmap__kit_present(k, i, A | W | D)) ||
            !rmap__kit_reaches(k, m, i, RMAP_WRITE, i, "writable"))
            return;
    for (unsigned i = 0; i < PAGES; i++)
        if (!rmap__kit_put(k, m, i, rmap__kit_present(k, i, A | D))) return;
    rmap__kit_flush(m, 0, PAGES, RMAP_FLUSH_WRITE);
    for (unsigned i = 0; i < PAGES; i++)
        if (!rmap__kit_faults(k, m, i, RMAP_WRITE, "write withdrawn and flushed") ||
            !rmap__kit_reaches(k, m, i, RMAP_READ, i, "write withdrawn"))
            return;
}

void rmap__kit_flush_forgets_dirty(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    const rmap_vpn_t vpn = k->pages / 2;
    if (!rmap__kit_put(k, m, vpn, rmap__kit_present(k, 1, A | W)) ||
        !rmap__kit_reaches(k, m, vpn, RMAP_WRITE, 1, "writable") ||
        !rmap__kit_put(k, m, vpn, rmap__kit_present(k, 1, A | W)))
        return;
    rmap__kit_flush(m, vpn, 1, RMAP_FLUSH_WRITE);
    if (!rmap__kit_reaches(k, m, vpn, RMAP_WRITE, 1, "writable, made clean")) return;
    rmap__kit_holds(k, m, vpn, rmap__kit_present(k, 1, A | W | D), "after a write to a page made clean and flushed");
}

void rmap__kit_accessed_comes_back(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    const rmap_vpn_t vpn = k->pages / 2;
    const bool flush = k->o->caps & (RMAP_MMU_ACCESSED_NEEDS_FLUSH | RMAP_MMU_ACCESSED_EXACT); /* as ageing does */
    if (!rmap__kit_put(k, m, vpn, rmap__kit_present(k, 1, 0)) || !rmap__kit_reaches(k, m, vpn, RMAP_READ, 1, "present"))
        return;
    rmap__kit_exchange(m, vpn, rmap__kit_present(k, 1, 0));
    if (flush) rmap__kit_flush(m, vpn, 1, RMAP_FLUSH_ALL);
    if (!rmap__kit_reaches(k, m, vpn, RMAP_READ, 1, "accessed was cleared")) return;
    rmap__kit_holds(k, m, vpn, rmap__kit_present(k, 1, A),
                    flush ? "after accessed was cleared, a flush and a read"
                          : "after accessed was cleared, no flush and a read: is it ACCESSED_NEEDS_FLUSH?");
}
