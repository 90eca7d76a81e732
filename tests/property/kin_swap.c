/* SPDX-License-Identifier: MIT */
/** @file property/kin_swap.c  Look-up by slot: rmap_each_swap against the tables, in the middle of forks, too. */
#include "property/kin.h"

#include <objrmap/rmap.h>

struct holders {
    const struct kin *g;
    rmap_swp_t slot;
    unsigned shown[KIN_SPACES]; /* bit per page number */
    unsigned calls;
    bool wrong; /* a stranger, no entry of the slot, or shown twice */
};

static int note_holder(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t entry)
{
    struct holders *x = ctx;
    const struct kin *g = x->g;
    unsigned n = 0, k = 0;
    while (n < KIN_SPACES && (!g->place[n].s || &g->place[n].s->m != m)) n++;
    while (k < KIN_PAGES && g->c.vpn[k] != vpn) k++;
    x->calls++;
    x->wrong |= n == KIN_SPACES || k == KIN_PAGES;
    if (x->wrong) return 0;
    x->wrong |= (x->shown[n] >> k & 1) || g->scan.at[n][k].entry != entry || g->scan.at[n][k].slot != x->slot;
    x->shown[n] |= 1u << k;
    return 0;
}

void kin_check_slot(struct kin *g, unsigned n, unsigned k)
{
    struct holders x = {.g = g, .slot = g->scan.at[n][k].slot};
    struct rmap_result res;
    unsigned holders = 0;
    for (unsigned i = 0; i < KIN_SPACES; i++)
        for (unsigned j = 0; g->place[i].s && j < KIN_PAGES; j++)
            holders += g->scan.at[i][j].kind == RMAP_PTE_SWAP && g->scan.at[i][j].slot == x.slot;
    int err = rmap_each_swap(g->w.r, x.slot, note_holder, &x, &res);
    if (err || res.outcome != RMAP_DONE || res.reason)
        kin_fail(g, "each_swap of slot %#x: %s, outcome %d, reason %d, %u of %u", x.slot, rmap_error_name(err),
                 res.outcome, res.reason, res.hits, holders);
    if (x.wrong) kin_fail(g, "each_swap of slot %#x shows a stranger, something else, or an entry twice", x.slot);
    if (x.calls != holders || res.hits != holders || res.mapcount != holders)
        kin_fail(g, "slot %#x has %u entries, each_swap found %u, %u hits, count %u", x.slot, holders, x.calls,
                 res.hits, res.mapcount);
}

void kin_check_slots(struct kin *g)
{
    for (unsigned n = 0; n < KIN_SPACES; n++)
        for (unsigned k = 0; g->place[n].s && k < KIN_PAGES; k++)
            if (g->scan.at[n][k].kind == RMAP_PTE_SWAP) kin_check_slot(g, n, k);
}
