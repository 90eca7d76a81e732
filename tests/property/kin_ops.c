/* SPDX-License-Identifier: MIT */
/** @file property/kin_ops.c  Kin: choosing an operation; accesses, zap, exit, exec, pins. */
#include "property/kin.h"

#define COUNT(g, name, n) ((g)->totals->name += (n))

unsigned kin_holders(const struct kin *g, uint32_t id)
{
    unsigned holders = 0;
    for (unsigned n = 0; n < KIN_SPACES; n++)
        for (unsigned k = 0; g->place[n].s && k < KIN_PAGES; k++) holders += g->place[n].at[k].id == id;
    return holders;
}

bool kin_failing_begin(struct kin *g)
{
    if (!g->c.failures || kin_below(g, 4)) return false;
    if (kin_below(g, 2))
        g->w.alloc.fail_at = g->w.alloc.calls + 1 + kin_below(g, 8);
    else
        g->w.frame_fail_at = g->w.frame_calls + 1 + kin_below(g, 3);
    return true;
}

void kin_failing_end(struct kin *g)
{
    g->w.alloc.fail_at = g->w.frame_fail_at = 0;
}

/* ---- accesses ---- */

bool kin_covered(struct kin *g, const struct kin_space *p, unsigned k)
{
    const struct kin_entry *e = &p->at[k];
    bool yes = rmap_member_may_map(&p->s->m, g->c.vpn[e->home], g->c.vpn[k]);
    if ((e->tracked || e->home == k) && !yes)
        kin_fail(g, "s%u page %u: moved under TRACK, no record covers it", kin_number(g, p), k);
    return yes;
}

/* A swap entry was faulted in: at home or where a record covers it it is the same instance, elsewhere a copy (S10).
 * @return whether a copy. */
static bool swapped_in(struct kin *g, struct kin_space *p, unsigned k)
{
    struct kin_entry *e = &p->at[k];
    COUNT(g, swap_ins, 1);
    if (kin_covered(g, p, k)) {
        COUNT(g, swap_ins_tracked, e->home != k);
        return false;
    }
    COUNT(g, swap_in_copies, 1);
    e->id = ++g->last_id;
    e->home = (uint8_t)k;
    e->tracked = false;
    return true;
}

static void read_done(struct kin *g, struct kin_space *p, unsigned k, const struct kin_seen *before, uint64_t value)
{
    const struct kin_entry *e = &p->at[k];
    uint64_t must = e->id <= KIN_ZERO ? 0 : e->stamp;
    if (value != must) kin_fail(g, "read %llu, must be %llu", (unsigned long long)value, (unsigned long long)must);
    if (before->kind == RMAP_PTE_SWAP) swapped_in(g, p, k);
    COUNT(g, reads, 1);
}

static void write_done(struct kin *g, struct kin_space *p, unsigned k, const struct kin_seen *before, bool pinned,
                       uint64_t stamp)
{
    const struct rmap_pte_format *f = g->c.world.geometry->format;
    struct kin_entry *e = &p->at[k];
    bool writable = before->kind == RMAP_PTE_PRESENT && rmap_pte_get(f, before->entry, RMAP_ATTR_WRITE);
    bool own = writable || (before->kind == RMAP_PTE_SWAP && swapped_in(g, p, k));
    if (e->id > KIN_ZERO && kin_holders(g, e->id) == 1 && !pinned) own = true; /* E4: no copy for a sole owner */
    if (e->id == KIN_NOTHING)
        e->locked = false;
    else if (own)
        COUNT(g, reuses, 1);
    else
        COUNT(g, copies, 1);
    if (before->kind == RMAP_PTE_PRESENT && own != (rmap_pte_pfn(f, world_entry(p->s, g->c.vpn[k])) == before->pfn))
        kin_fail(g, "a page was %s", own ? "copied that is its own" : "written that is not its own");
    if (!own) e->id = ++g->last_id;
    if (!writable) kin_check_alone(g, p, k);
    e->home = (uint8_t)k; /* a page that is the space's alone is re-indexed by its write fault */
    e->tracked = false;
    e->stamp = stamp;
    e->marked = true;
    COUNT(g, writes, 1);
}

static void access_page(struct kin *g, struct kin_space *p, bool write)
{
    const unsigned k = kin_below(g, g->c.pages);
    const struct kin_seen before = *kin_seen(g, p, k);
    const struct rmap_page *page = before.entry ? world_page_or_cached(p->s, g->c.vpn[k]) : NULL;
    const bool pinned = page && rmap_page_pins(page);
    uint64_t value = ++g->last_stamp;
    bool failing = kin_failing_begin(g);
    kin_note_more(g, "s%u %s page %u%s; ", kin_number(g, p), write ? "writes" : "reads", k, failing ? ", failing" : "");
    int err = write ? world_store(p->s, g->c.vpn[k], value) : world_load(p->s, g->c.vpn[k], &value);
    kin_failing_end(g);

    if (before.kind == RMAP_PTE_NO_ACCESS) {
        if (err != RMAP_ERR_ACCESS) kin_fail(g, "a no-access page: %s", rmap_error_name(err));
        COUNT(g, refused, 1);
    } else if (err) {
        if (!failing || (err != RMAP_ERR_NOMEM && err != RMAP_ERR_NO_FRAME)) kin_fail(g, "%s", rmap_error_name(err));
        if (before.kind == RMAP_PTE_SWAP && world_kind(p->s, g->c.vpn[k]) != RMAP_PTE_SWAP) swapped_in(g, p, k);
        COUNT(g, failed, 1);
    } else if (write) {
        write_done(g, p, k, &before, pinned, value);
    } else {
        read_done(g, p, k, &before, value);
    }
    page = before.kind == RMAP_PTE_SWAP ? world_page(p->s, g->c.vpn[k]) : NULL;
    if (page && rmap_page_mapcount(page) == 1) kin_check_alone(g, p, k); /* C9: the first to swap in, or a copy */
}

static void map_zero(struct kin *g, struct kin_space *p)
{
    const unsigned k = kin_below(g, g->c.pages);
    if (p->at[k].id != KIN_NOTHING) return;
    kin_note(g, "s%u maps zeroes at page %u", kin_number(g, p), k);
    world_map_special(p->s, g->c.vpn[k]);
    p->at[k] = (struct kin_entry){.id = KIN_ZERO};
}

/* ---- zap, exit ---- */

void kin_zap(struct kin *g, struct kin_space *p, unsigned k, unsigned n)
{
    struct rmap_zapped must = {0}, is;
    kin_note_more(g, "s%u zaps %u+%u; ", kin_number(g, p), k, n);
    for (unsigned i = k; i < k + n; i++) {
        struct kin_entry *e = &p->at[i];
        enum rmap_pte_kind kind = world_kind(p->s, g->c.vpn[i]);
        must.others += e->id == KIN_ZERO;
        must.swaps += kind == RMAP_PTE_SWAP;
        must.mappings += kin_maps(kind) && e->id > KIN_ZERO;
        *e = (struct kin_entry){0};
    }
    int err = rmap_zap(&p->s->m, g->c.vpn[k], kin_length(g, k, n), &is);
    if (err) kin_fail(g, "rmap_zap: %s", rmap_error_name(err));
    if (is.mappings != must.mappings || is.swaps != must.swaps || is.others != must.others)
        kin_fail(g, "zapped %llu, %llu, %llu; must be %llu, %llu, %llu", (unsigned long long)is.mappings,
                 (unsigned long long)is.swaps, (unsigned long long)is.others, (unsigned long long)must.mappings,
                 (unsigned long long)must.swaps, (unsigned long long)must.others);
    COUNT(g, zaps, 1);
}

static void zap_some(struct kin *g, struct kin_space *p)
{
    unsigned k = kin_below(g, g->c.pages), n = 1 + (kin_below(g, 3) ? 0 : kin_below(g, g->c.pages - k));
    kin_zap(g, p, k, n);
}

void kin_exit(struct kin *g, struct kin_space *p)
{
    if (!p->s) kin_fail(g, "no space there");
    world_exit(p->s);
    memset(p, 0, sizeof *p);
    COUNT(g, exits, 1);
}

static void set_policy(struct kin *g, struct kin_space *p)
{
    const bool track = kin_below(g, 2);
    kin_note(g, "s%u %s from now on", kin_number(g, p), track ? "tracks" : "copies");
    if (rmap_member_set_policy(&p->s->m, track ? RMAP_MOVE_POLICY_TRACK : RMAP_MOVE_POLICY_COPY))
        kin_fail(g, "rmap_member_set_policy");
    COUNT(g, policies, 1);
}

/* ---- pins ---- */

static void unpin(struct kin *g, unsigned i)
{
    if (!g->pinned[i]) return;
    rmap_page_unpin(g->w.r, g->pinned[i]);
    g->pinned[i] = NULL;
}

static void pin(struct kin *g)
{
    const unsigned i = kin_below(g, KIN_PINS);
    unsigned n = kin_below(g, KIN_FRAMES / 4); /* low numbers are handed out first */
    while (n < KIN_FRAMES && !g->scan.frame[n].count) n++;
    struct rmap_page *page = n < KIN_FRAMES ? kin_page(g, n) : NULL;
    if (!page || page == g->w.special || g->pinned[i]) return;
    kin_note(g, "pin %u is frame %u", i, n);
    if (rmap_page_pin(g->w.r, page)) kin_fail(g, "rmap_page_pin");
    g->pinned[i] = page;
    COUNT(g, pins, 1);
}

/* ---- choosing ---- */

static struct kin_space *any_space(struct kin *g)
{
    unsigned alive[KIN_SPACES], n = 0;
    for (unsigned i = 0; i < KIN_SPACES; i++)
        if (g->place[i].s) alive[n++] = i;
    return n ? &g->place[alive[kin_below(g, n)]] : NULL;
}

static struct kin_space *free_place(struct kin *g)
{
    for (unsigned i = 0; i < KIN_SPACES; i++)
        if (!g->place[i].s) return &g->place[i];
    return NULL;
}

static void new_group(struct kin *g, struct kin_space *p)
{
    kin_note_more(g, "s%u is new; ", kin_number(g, p));
    p->s = world_space(&g->w);
}

void kin_meanwhile(struct kin *g, const struct kin_space *p, const struct kin_space *c)
{
    struct kin_space *other = any_space(g);
    kin_scan_take(g);
    COUNT(g, meanwhile, 1);
    switch (other == p || other == c ? 0 : kin_below(g, 8)) {
    case 4:
    case 5:
        access_page(g, other, true);
        break;
    case 6:
        zap_some(g, other);
        break;
    case 7:
        kin_note_more(g, "s%u exits; ", kin_number(g, other));
        kin_exit(g, other);
        break;
    default:
        kin_verb(g);
    }
    kin_check(g, false);
    kin_check_slots(g);
}

void kin_random(struct kin *g)
{
    struct kin_space *p = any_space(g), *room = free_place(g);
    const unsigned o = kin_below(g, 100), lives = g->c.forks + g->c.exits;
    if (kin_below(g, 4) == 0) unpin(g, kin_below(g, KIN_PINS));
    if (!p || (room && kin_below(g, 200) == 0)) {
        kin_note(g, "%s", "");
        new_group(g, room);
    } else if (o < g->c.forks && room) {
        kin_fork(g, p);
    } else if (o < lives) {
        kin_note(g, "s%u exits", kin_number(g, p));
        kin_exit(g, p);
    } else if (o < lives + 1) {
        kin_note(g, "s%u exits; ", kin_number(g, p));
        kin_exit(g, p);
        new_group(g, p);
        COUNT(g, execs, 1);
    } else if (o < 50) {
        kin_note(g, "%s", "");
        access_page(g, p, true);
    } else if (o < 60) {
        kin_note(g, "%s", "");
        access_page(g, p, false);
    } else if (o < 65) {
        kin_note(g, "%s", "");
        if (kin_below(g, 3))
            zap_some(g, p);
        else
            kin_free_lazily(g, p);
    } else if (o < 76) {
        kin_move(g, p);
    } else if (o < 80) {
        kin_protect(g, p);
    } else if (o < 81) {
        kin_snapshot(g, p);
    } else if (o < 82) {
        if (kin_below(g, 2))
            map_zero(g, p);
        else
            set_policy(g, p);
    } else if (o < 84) {
        pin(g);
    } else {
        kin_note(g, "%s", "");
        kin_verb(g);
    }
}
