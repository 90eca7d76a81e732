/* SPDX-License-Identifier: MIT */
/** @file testing/access.c  Cases of the fifth step: accesses by the MMU's own means, with every change flushed. */
#include <testing/kit.h>

#define A KIT_ATTR(ACCESSED)
#define W KIT_ATTR(WRITE)
#define D KIT_ATTR(DIRTY)
#define X KIT_ATTR(EXEC)

static bool fetch_follows(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap_vpn_t vpn)
{
    rmap_pfn_t pfn;
    if (!k->f->attr[RMAP_ATTR_EXEC].mask) return true;
    if (!rmap__kit_replace(k, m, vpn, rmap__kit_present(k, 1, A | X))) return false;
    if (k->t->touch(k->t->ctx, &m->mmu, vpn, RMAP_EXEC, &pfn) == RMAP_ERR_UNSUPPORTED) return true;
    return rmap__kit_reaches(k, m, vpn, RMAP_EXEC, 1, "executable") &&
           rmap__kit_replace(k, m, vpn, rmap__kit_present(k, 1, A | W)) &&
           rmap__kit_faults(k, m, vpn, RMAP_EXEC, "not executable");
}

static bool absent_faults(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap_vpn_t vpn)
{
    static const enum rmap_pte_kind kind[] = {RMAP_PTE_NO_ACCESS, RMAP_PTE_SWAP, RMAP_PTE_MIGRATION, RMAP_PTE_POISON};
    static const char *const name[] = {"no-access", "on swap", "under migration", "poisoned"};
    for (unsigned i = 0; i < sizeof kind / sizeof *kind; i++) {
        const unsigned attrs = kind[i] == RMAP_PTE_SWAP ? KIT_ATTR(LOCKED) : A | W | D;
        if (!rmap__kit_replace(k, m, vpn, rmap_pte_make_kind(k->f, kind[i], k->t->first_frame + 2, attrs)) ||
            !rmap__kit_faults(k, m, vpn, RMAP_READ, name[i]) || !rmap__kit_faults(k, m, vpn, RMAP_WRITE, name[i]))
            return false;
    }
    return true;
}

void rmap__kit_access_follows_entry(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    const rmap_vpn_t vpns[] = {0, k->pages / 2, k->pages - 1};
    for (unsigned i = 0; i < sizeof vpns / sizeof *vpns; i++) {
        const rmap_vpn_t vpn = vpns[i];
        if (!rmap__kit_faults(k, m, vpn, RMAP_READ, "nothing is there") ||
            !rmap__kit_replace(k, m, vpn, rmap__kit_present(k, 3, A)) ||
            !rmap__kit_reaches(k, m, vpn, RMAP_READ, 3, "present") ||
            !rmap__kit_faults(k, m, vpn, RMAP_WRITE, "not writable") ||
            !rmap__kit_replace(k, m, vpn, rmap__kit_present(k, 4, A | W | D)) ||
            !rmap__kit_reaches(k, m, vpn, RMAP_READ, 4, "present") ||
            !rmap__kit_reaches(k, m, vpn, RMAP_WRITE, 4, "writable") || !fetch_follows(k, m, vpn) ||
            !absent_faults(k, m, vpn) || !rmap__kit_replace(k, m, vpn, rmap__kit_present(k, i, A)))
            return;
    }
    for (unsigned i = 0; i < sizeof vpns / sizeof *vpns; i++)
        if (!rmap__kit_reaches(k, m, vpns[i], RMAP_READ, i, "one of three")) return;
}

static bool is_marked(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap_vpn_t vpn, unsigned attrs, const char *when)
{
    return rmap__kit_holds(k, m, vpn, rmap__kit_present(k, 5, attrs), when);
}

void rmap__kit_access_marks_entry(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    const rmap_vpn_t vpn = k->pages / 2;
    const unsigned keep = W | KIT_ATTR(LOCKED);
    if (!rmap__kit_replace(k, m, vpn, rmap__kit_present(k, 5, keep)) ||
        !rmap__kit_reaches(k, m, vpn, RMAP_READ, 5, "writable, never accessed") ||
        !is_marked(k, m, vpn, keep | A, "after a read") ||
        /* Now through a translation that a read has loaded. */
        !rmap__kit_reaches(k, m, vpn, RMAP_WRITE, 5, "writable, read before") ||
        !is_marked(k, m, vpn, keep | A | D, "after a write that followed a read"))
        return;
    if (rmap__kit_replace(k, m, vpn, rmap__kit_present(k, 5, keep)) &&
        rmap__kit_reaches(k, m, vpn, RMAP_WRITE, 5, "writable, never accessed"))
        is_marked(k, m, vpn, keep | A | D, "after a write");
}
