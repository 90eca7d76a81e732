/* SPDX-License-Identifier: MIT */
/** @file property/kin_move.c  Kin: moves, protections and snapshots of ranges of one space. */
#include "property/kin.h"

struct plan {
    struct rmap_moved moved; /* what must be counted */
    bool pinned;             /* a shared page is pinned and must be copied: BUSY, and everything back */
    bool track;              /* the policy: the few places here never come to a bound */
    bool copy[KIN_PAGES];
};

static void plan_move(struct kin *g, const struct kin_space *p, unsigned from, unsigned n, struct plan *plan)
{
    *plan = (struct plan){.track = p->s->m.policy == RMAP_MOVE_POLICY_TRACK};
    for (unsigned i = 0; i < n; i++) {
        const struct kin_entry *e = &p->at[from + i];
        if (e->id <= KIN_ZERO) continue;
        const bool swap = kin_seen(g, p, from + i)->kind == RMAP_PTE_SWAP, own = kin_holders(g, e->id) == 1;
        plan->copy[i] = !swap && !own && !plan->track;
        plan->moved.tracked += !swap && !own && plan->track;
        plan->moved.copied += plan->copy[i];
        plan->moved.reindexed += !swap && own;
        plan->moved.swap_moved += swap && own;
        plan->moved.swap_shared += swap && !own;
        plan->pinned |= plan->copy[i] && rmap_page_pins(world_page(p->s, g->c.vpn[from + i]));
    }
}

static void move_done(struct kin *g, struct kin_space *p, unsigned from, unsigned to, unsigned n,
                      const struct plan *plan, const struct rmap_moved *is)
{
    const struct rmap_moved *must = &plan->moved;
    if (is->reindexed != must->reindexed || is->copied != must->copied || is->swap_moved != must->swap_moved ||
        is->swap_shared != must->swap_shared || is->tracked != must->tracked)
        kin_fail(g, "moved %u, %u, %u, %u, %u; must be %u, %u, %u, %u, %u", (unsigned)is->reindexed,
                 (unsigned)is->copied, (unsigned)is->tracked, (unsigned)is->swap_moved, (unsigned)is->swap_shared,
                 (unsigned)must->reindexed, (unsigned)must->copied, (unsigned)must->tracked, (unsigned)must->swap_moved,
                 (unsigned)must->swap_shared);
    for (unsigned i = 0; i < n; i++) {
        struct kin_entry e = p->at[from + i];
        if (e.id > KIN_ZERO) {
            const bool alone = plan->copy[i] || kin_holders(g, e.id) == 1;
            const struct kin_seen *before = kin_seen(g, p, from + i);
            const rmap_pte_t now = world_entry(p->s, g->c.vpn[to + i]);
            if (kin_maps(before->kind) &&
                plan->copy[i] == (rmap_pte_pfn(g->c.world.geometry->format, now) == before->pfn))
                kin_fail(g, "page %u must%s be copied", from + i, plan->copy[i] ? "" : " not");
            if (plan->copy[i]) e.id = ++g->last_id;
            if (alone) e.home = (uint8_t)(to + i);
            e.tracked = !alone && plan->track && e.home != to + i;
            if (alone) kin_check_alone(g, p, to + i);
        }
        p->at[to + i] = e;
        p->at[from + i] = (struct kin_entry){0};
    }
    g->totals->reindexed += is->reindexed;
    g->totals->copied += is->copied;
    g->totals->tracked += is->tracked;
    g->totals->swap_moved += is->swap_moved;
    g->totals->swap_shared += is->swap_shared;
}

/* Everything is back, but copies made so far stay private, and what is the space's alone and came along is at home now. */
static void move_undone(struct kin *g, struct kin_space *p, unsigned from, unsigned n, const struct plan *plan)
{
    for (unsigned i = 0; i < n; i++) {
        struct kin_entry *e = &p->at[from + i];
        const struct kin_seen *before = kin_seen(g, p, from + i);
        const rmap_pte_t now = world_entry(p->s, g->c.vpn[from + i]);
        const struct rmap_pte_format *f = g->c.world.geometry->format;
        struct rmap_slot_home home;
        if (plan->copy[i] && rmap_pte_pfn(f, now) != before->pfn) e->id = ++g->last_id;
        if (e->id <= KIN_ZERO || kin_holders(g, e->id) > 1) continue;
        if (before->kind != RMAP_PTE_SWAP)
            home.index = rmap_page_index(world_page(p->s, g->c.vpn[from + i]));
        else if (rmap_swap_get_ops()->get_home(g->w.swap, before->slot, &home))
            kin_fail(g, "the slot died");
        if (home.index == g->c.vpn[from + i]) e->home = (uint8_t)(from + i);
        if (home.index == g->c.vpn[from + i]) e->tracked = false;
    }
    g->totals->undone++;
}

void kin_move(struct kin *g, struct kin_space *p)
{
    const unsigned n = g->c.dense ? 1 + kin_below(g, g->c.pages / 2) : 1;
    const unsigned from = kin_below(g, g->c.pages - n + 1);
    unsigned to = kin_below(g, g->c.pages - n + 1);
    for (unsigned again = 0; again < 6 && from < to + n && to < from + n; again++)
        to = kin_below(g, g->c.pages - n + 1);
    const bool overlap = from < to + n && to < from + n, zap = kin_below(g, 4);
    bool occupied = false;
    kin_note(g, "s%u moves %u+%u to %u; ", kin_number(g, p), from, n, to);
    for (unsigned i = 0; i < n; i++) occupied |= p->at[to + i].id != KIN_NOTHING;
    if (occupied && zap && !overlap) {
        kin_zap(g, p, to, n);
        kin_scan_take(g);
        occupied = false;
    }
    struct plan plan;
    plan_move(g, p, from, n, &plan);
    bool failing = kin_failing_begin(g);
    struct rmap_moved moved;
    int err = rmap_move(&p->s->m, g->c.vpn[from], g->c.vpn[to], kin_length(g, from, n), &moved);
    kin_failing_end(g);
    kin_note_more(g, "%s%s", failing ? "failing " : "", rmap_error_name(err));
    if (overlap || occupied) {
        if (err != (overlap ? RMAP_ERR_INVALID : RMAP_ERR_EXISTS)) kin_fail(g, "rmap_move: %s", rmap_error_name(err));
        g->totals->refused++;
    } else if (err) {
        if (!(plan.pinned && err == RMAP_ERR_BUSY) && !(failing && (err == RMAP_ERR_NOMEM || err == RMAP_ERR_NO_FRAME)))
            kin_fail(g, "rmap_move: %s", rmap_error_name(err));
        move_undone(g, p, from, n, &plan);
    } else {
        if (plan.pinned) kin_fail(g, "a shared page is pinned, but was moved");
        move_done(g, p, from, to, n, &plan, &moved);
    }
}

void kin_protect(struct kin *g, struct kin_space *p)
{
    static const unsigned flags[] = {RMAP_PROTECT_NO_WRITE,
                                     RMAP_PROTECT_NO_ACCESS,
                                     RMAP_PROTECT_ACCESS,
                                     RMAP_PROTECT_ACCESS,
                                     RMAP_PROTECT_NO_EXEC,
                                     RMAP_PROTECT_LOCK,
                                     RMAP_PROTECT_UNLOCK,
                                     RMAP_PROTECT_UNLOCK,
                                     RMAP_PROTECT_ACCESS | RMAP_PROTECT_UNLOCK,
                                     RMAP_PROTECT_NO_ACCESS | RMAP_PROTECT_LOCK};
    const unsigned k = kin_below(g, g->c.pages), n = 1 + kin_below(g, g->c.pages - k), flag = flags[kin_below(g, 10)];
    const struct rmap_pte_format *f = g->c.world.geometry->format;
    kin_note(g, "s%u protects %u+%u: %#x", kin_number(g, p), k, n, flag);
    int err = rmap_protect(&p->s->m, g->c.vpn[k], kin_length(g, k, n), flag);
    if (err) kin_fail(g, "rmap_protect: %s", rmap_error_name(err));
    for (unsigned i = k; i < k + n; i++) {
        struct kin_entry *e = &p->at[i];
        if (e->id == KIN_NOTHING) continue;
        const bool maps = kin_maps(kin_seen(g, p, i)->kind);
        if (flag & RMAP_PROTECT_LOCK) e->locked = true;
        if (flag & RMAP_PROTECT_UNLOCK) e->locked = false;
        if ((flag & RMAP_PROTECT_NO_ACCESS) && maps) e->no_access = true;
        if (flag & RMAP_PROTECT_ACCESS) e->no_access = false;
        if ((flag & (RMAP_PROTECT_NO_WRITE | RMAP_PROTECT_NO_ACCESS)) && maps &&
            rmap_pte_get(f, world_entry(p->s, g->c.vpn[i]), RMAP_ATTR_WRITE))
            kin_fail(g, "page %u is still writable", i);
    }
    g->totals->changed++;
}

/* A page of the range was snapped: what the oracle knows of it, and whether it counts as written. */
static bool snapped(struct kin *g, struct kin_space *p, unsigned i, struct rmap_snapped *must)
{
    const struct rmap_pte_format *f = g->c.world.geometry->format;
    const struct kin_seen *before = kin_seen(g, p, i);
    struct kin_entry *e = &p->at[i];
    const struct rmap_page *page = e->id > KIN_ZERO ? world_page(p->s, g->c.vpn[i]) : NULL;
    const bool pinned = page && rmap_page_pins(page), written = e->marked || pinned;
    const bool write = page && rmap_pte_get(f, before->entry, RMAP_ATTR_WRITE);
    if (page && rmap_pte_get(f, world_entry(p->s, g->c.vpn[i]), RMAP_ATTR_WRITE) != (write && pinned))
        kin_fail(g, "page %u: writable must be %d", i, write && pinned);
    e->marked = pinned;
    must->pinned += pinned;
    must->written += written;
    must->withdrawn += write && !pinned;
    return written;
}

void kin_snapshot(struct kin *g, struct kin_space *p)
{
    enum { BITS = 1024 };
    uint64_t map[BITS / 64] = {0};
    const unsigned k = kin_below(g, g->c.pages), n = 1 + kin_below(g, g->c.pages - k);
    const rmap_vpn_t first = g->c.vpn[k];
    const uint64_t count = kin_length(g, k, n);
    struct rmap_snapped must = {0}, is;
    kin_note(g, "s%u is snapped %u+%u", kin_number(g, p), k, n);
    int err = rmap_snapshot(&p->s->m, first, count, count <= BITS ? map : NULL, &is);
    if (err) kin_fail(g, "rmap_snapshot: %s", rmap_error_name(err));
    for (unsigned i = k; i < k + n; i++) {
        const uint64_t bit = g->c.vpn[i] - first;
        if (snapped(g, p, i, &must) != (map[bit % BITS / 64] >> bit % 64 & 1) && count <= BITS)
            kin_fail(g, "page %u: the bit of what was written is wrong", i);
    }
    if (is.pinned != must.pinned || is.written != must.written || is.withdrawn != must.withdrawn)
        kin_fail(g, "%u, %u, %u entries pinned, written, withdrawn; must be %u, %u, %u", (unsigned)is.pinned,
                 (unsigned)is.written, (unsigned)is.withdrawn, (unsigned)must.pinned, (unsigned)must.written,
                 (unsigned)must.withdrawn);
    g->totals->snapshots++;
}
