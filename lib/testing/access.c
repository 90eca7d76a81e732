/* SPDX-License-Identifier: MIT */
/**
 * @file testing/access.c  Cases of the fifth step: accesses by the MMU's own means. No page is used twice: nothing
 * depends on what is cached.
 */
#include <testing/kit.h>

#define A KIT_ATTR(ACCESSED)
#define W KIT_ATTR(WRITE)
#define D KIT_ATTR(DIRTY)
#define X KIT_ATTR(EXEC)

/* Entries that are not present, at five pages from vpn on. */
static bool absent_faults(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap_vpn_t vpn)
{
    static const enum rmap_pte_kind kind[] = {RMAP_PTE_NONE, RMAP_PTE_NO_ACCESS, RMAP_PTE_SWAP, RMAP_PTE_MIGRATION,
                                              RMAP_PTE_POISON};
    static const char *const name[] = {"nothing is there", "no-access", "on swap", "under migration", "poisoned"};
    for (unsigned i = 0; i < sizeof kind / sizeof *kind; i++, vpn++) {
        const unsigned attrs = kind[i] == RMAP_PTE_SWAP ? KIT_ATTR(LOCKED) : A | W | D;
        const rmap_pte_t e = kind[i] ? rmap_pte_make_kind(k->f, kind[i], k->t->first_frame + i, attrs) : 0;
        if (!rmap__kit_put(k, m, vpn, e) || !rmap__kit_faults(k, m, vpn, RMAP_READ, name[i]) ||
            !rmap__kit_faults(k, m, vpn, RMAP_WRITE, name[i]))
            return false;
    }
    return true;
}

static bool fetch_follows(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap_vpn_t vpn)
{
    rmap_pfn_t pfn;
    if (!k->f->attr[RMAP_ATTR_EXEC].mask) return true;
    if (!rmap__kit_put(k, m, vpn, rmap__kit_present(k, 1, A | X)) ||
        !rmap__kit_put(k, m, vpn + 1, rmap__kit_present(k, 2, A | W | D)))
        return false;
    if (k->t->touch(k->t->ctx, &m->mmu, vpn, RMAP_EXEC, &pfn) == RMAP_ERR_UNSUPPORTED) return true;
    return rmap__kit_reaches(k, m, vpn, RMAP_EXEC, 1, "executable") &&
           rmap__kit_faults(k, m, vpn + 1, RMAP_EXEC, "not executable");
}

static bool present_is_reached(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap_vpn_t vpn, unsigned n, bool writable)
{
    if (!rmap__kit_put(k, m, vpn, rmap__kit_present(k, n, writable ? A | W | D : A)) ||
        !rmap__kit_reaches(k, m, vpn, RMAP_READ, n, "present"))
        return false;
    return writable ? rmap__kit_reaches(k, m, vpn, RMAP_WRITE, n, "writable")
                    : rmap__kit_faults(k, m, vpn, RMAP_WRITE, "not writable");
}

void rmap__kit_access_follows_entry(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    const rmap_vpn_t vpn[] = {0, 1, k->pages / 2, k->pages / 2 + 1, k->pages - 2, k->pages - 1};
    enum { PAGES = sizeof vpn / sizeof *vpn };
    for (unsigned i = 0; i < PAGES; i++)
        if (!present_is_reached(k, m, vpn[i], 3 + i, i % 2)) return;
    for (unsigned i = 0; i < PAGES; i++)
        if (!rmap__kit_reaches(k, m, vpn[i], RMAP_READ, 3 + i, "one of six")) return;
    if (absent_faults(k, m, 2)) fetch_follows(k, m, k->pages / 2 + 2);
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
    if (!rmap__kit_put(k, m, vpn, rmap__kit_present(k, 5, keep)) ||
        !rmap__kit_reaches(k, m, vpn, RMAP_READ, 5, "writable, never accessed") ||
        !is_marked(k, m, vpn, keep | A, "after a read") ||
        /* Now through a translation that a read has loaded. */
        !rmap__kit_reaches(k, m, vpn, RMAP_WRITE, 5, "writable, read before") ||
        !is_marked(k, m, vpn, keep | A | D, "after a write that followed a read"))
        return;
    if (rmap__kit_put(k, m, vpn + 1, rmap__kit_present(k, 5, keep)) &&
        rmap__kit_reaches(k, m, vpn + 1, RMAP_WRITE, 5, "writable, never accessed"))
        is_marked(k, m, vpn + 1, keep | A | D, "after a write");
}
