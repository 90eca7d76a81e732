/* SPDX-License-Identifier: MIT */
/** @file testing/content.c  Cases of the fourth step: what entries keep, and what may be done while a run is locked. */
#include <testing/kit.h>

void rmap__kit_exchange_returns_old(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    const rmap_vpn_t vpn = k->pages / 2;
    const rmap_pte_t was = rmap__kit_present(k, 0, KIT_ATTR(WRITE)), is = rmap__kit_present(k, 1, 0);
    for (unsigned i = 0; i < 3; i++) /* with a neighbour on either side */
        if (!rmap__kit_put(k, m, vpn - 1 + i, i == 1 ? was : rmap__kit_swap(k, i + 1))) return;
    const rmap_pte_t old = rmap__kit_exchange(m, vpn, is);
    KIT_EXPECT(k, old == was, "the exchange returns %#llx, the entry was %#llx", KIT_N(old), KIT_N(was));
    for (unsigned i = 0; i < 3; i++)
        if (!rmap__kit_holds(k, m, vpn - 1 + i, i == 1 ? is : rmap__kit_swap(k, i + 1), "after an exchange")) return;
}

/* ---- kinds ---- */

static bool roundtrip(struct rmap__kit *k, struct rmap__kit_mmu *m, rmap_vpn_t vpn, enum rmap_pte_kind kind,
                      uint64_t payload, unsigned attrs)
{
    const rmap_pte_t e =
        kind == RMAP_PTE_PRESENT ? rmap_pte_make(k->f, payload, attrs) : rmap_pte_make_kind(k->f, kind, payload, attrs);
    if (!rmap__kit_put(k, m, vpn, e)) return false;
    rmap__kit_flush(m, vpn, 1, RMAP_FLUSH_ALL);
    const rmap_pte_t is = rmap__kit_get(m, vpn);
    return KIT_CHECK(k, rmap_pte_kind(k->f, is) == kind, "kind %d comes back as kind %d (entry %#llx, set %#llx)", kind,
                     rmap_pte_kind(k->f, is), KIT_N(is), KIT_N(e)) &&
           KIT_CHECK(k, rmap_pte_pfn(k->f, is) == payload, "kind %d: payload %#llx comes back as %#llx", kind,
                     KIT_N(payload), KIT_N(rmap_pte_pfn(k->f, is))) &&
           KIT_CHECK(k, rmap_pte_attrs(k->f, is) == rmap_pte_attrs(k->f, e), "kind %d: attributes %#x come back as %#x",
                     kind, rmap_pte_attrs(k->f, e), rmap_pte_attrs(k->f, is));
}

void rmap__kit_kinds_roundtrip(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    const rmap_vpn_t vpn = k->pages / 2;
    const rmap_pfn_t first = k->t->first_frame, last = first + k->t->frames - 1;
    static const enum rmap_pte_kind kind[] = {RMAP_PTE_PRESENT, RMAP_PTE_NO_ACCESS, RMAP_PTE_MIGRATION,
                                              RMAP_PTE_POISON};
    for (unsigned attrs = 0; attrs < 1u << RMAP_ATTR_COUNT; attrs++) {
        for (unsigned n = 0; n < sizeof kind / sizeof *kind; n++)
            if (!roundtrip(k, m, vpn, kind[n], first, attrs) || !roundtrip(k, m, vpn, kind[n], last, attrs)) return;
        const unsigned software = attrs & (KIT_ATTR(LOCKED) | KIT_ATTR(SOFT_DIRTY));
        if (!roundtrip(k, m, vpn, RMAP_PTE_SWAP, rmap_swp_make(1, 0), software) ||
            !roundtrip(k, m, vpn, RMAP_PTE_SWAP, UINT32_MAX, software))
            return;
    }
}

/* ---- update ---- */

void rmap__kit_update_changes_nothing(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    const unsigned attrs[] = {KIT_ATTR(ACCESSED), KIT_ATTR(ACCESSED) | KIT_ATTR(WRITE), KIT_ATTR(WRITE), 0,
                              KIT_ATTR(ACCESSED) | KIT_ATTR(WRITE) | KIT_ATTR(DIRTY)};
    enum { PAGES = sizeof attrs / sizeof *attrs };
    for (unsigned i = 0; i < PAGES; i++)
        if (!rmap__kit_put(k, m, i, rmap__kit_present(k, i, attrs[i]))) return;
    for (unsigned i = 0; i < PAGES; i++) {
        struct rmap_mmu_run run;
        if (!(attrs[i] & KIT_ATTR(ACCESSED)) || !rmap__kit_lock(m, i, &run)) continue;
        k->o->update(m->mmu.ctx, &run, i, attrs[i] & KIT_ATTR(DIRTY) ? RMAP_WRITE : RMAP_READ);
        rmap__kit_unlock(m, &run);
        for (unsigned n = 0; n < PAGES; n++)
            if (!rmap__kit_holds(k, m, n, rmap__kit_present(k, n, attrs[n]), "after update()")) return;
    }
}

/* ---- two MMUs ---- */

void rmap__kit_two_mmus_independent(struct rmap__kit *k)
{
    struct rmap__kit_mmu *a = &k->mmu[0], *b = rmap__kit_open(k);
    const rmap_vpn_t vpn = k->pages / 2;
    struct rmap_mmu_run run_a, run_b;
    if (!b) return;
    KIT_EXPECT(k, b->mmu.ctx != a->mmu.ctx, "two MMUs have the same ctx");
    KIT_EXPECT(k, b->mmu.ops->format == k->f && b->mmu.pages == k->pages,
               "two MMUs of one provider have unlike formats or sizes: a space cannot fork");
    if (!rmap__kit_put(k, a, vpn, rmap__kit_swap(k, 1)) || !rmap__kit_holds(k, b, vpn, 0, "set in another MMU") ||
        !rmap__kit_put(k, b, vpn, rmap__kit_swap(k, 2)) || !rmap__kit_put(k, a, vpn, 0) ||
        !rmap__kit_holds(k, b, vpn, rmap__kit_swap(k, 2), "after the other MMU's was cleared"))
        return;
    /* As fork does: the source's run, then the child's, and entries go from one to the other. */
    if (!rmap__kit_put(k, a, vpn, rmap__kit_swap(k, 3)) || !rmap__kit_lock(a, vpn, &run_a)) return;
    const uint32_t i = (uint32_t)(vpn - run_a.first);
    if (rmap__kit_make(k, b, vpn, &run_b)) {
        rmap_run_set(&b->mmu, &run_b, (uint32_t)(vpn - run_b.first), rmap_run_get(&a->mmu, &run_a, i));
        rmap__kit_unlock(b, &run_b);
    }
    const rmap_pte_t source = rmap_run_get(&a->mmu, &run_a, i);
    rmap__kit_unlock(a, &run_a);
    KIT_EXPECT(k, source == rmap__kit_swap(k, 3),
               "an entry reads as %#llx while a run of another MMU is held too, not %#llx", KIT_N(source),
               KIT_N(rmap__kit_swap(k, 3)));
    rmap__kit_holds(k, b, vpn, rmap__kit_swap(k, 3), "copied with both runs held");
}

void rmap__kit_flush_takes_no_run_lock(struct rmap__kit *k)
{
    struct rmap__kit_mmu *m = &k->mmu[0];
    const rmap_vpn_t vpn = k->pages / 2;
    struct rmap_mmu_run run;
    if (!rmap__kit_make(k, m, vpn, &run)) return;
    rmap__kit_flush(m, vpn, 1, RMAP_FLUSH_ALL); /* it hangs, if it does */
    rmap__kit_flush(m, 0, k->pages, RMAP_FLUSH_WRITE);
    rmap__kit_unlock(m, &run);
}
