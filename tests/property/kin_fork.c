/* SPDX-License-Identifier: MIT */
/** @file property/kin_fork.c  Kin: forks, at once or in steps with other things going on in between, and aborts. */
#include "property/kin.h"

/* What the child has at a page: the parent's instance, or, of a pinned page, a new one with the same contents (E2). */
static struct kin_entry inherited(struct kin *g, const struct kin_entry *e, unsigned k, bool pinned)
{
    struct kin_entry child = *e;
    child.locked = false; /* D9 */
    if (!pinned) return child;
    child.id = ++g->last_id;
    child.home = (uint8_t)k;
    child.tracked = false;
    g->totals->fork_copied++;
    return child;
}

static bool maps_pinned(struct kin *g, const struct kin_space *p, unsigned k)
{
    const struct rmap_page *page = p->at[k].id > KIN_ZERO ? world_page(p->s, g->c.vpn[k]) : NULL;
    return page && rmap_page_pins(page);
}

/* `before`: the parent's entry. */
static void check_copied(struct kin *g, const struct kin_space *p, const struct kin_space *c, unsigned k, bool pinned,
                         rmap_pte_t before)
{
    const struct rmap_pte_format *f = g->c.world.geometry->format;
    const rmap_pte_t a = world_entry(p->s, g->c.vpn[k]), b = world_entry(c->s, g->c.vpn[k]);
    if (!a && !b) return;
    if (rmap_pte_kind(f, a) != rmap_pte_kind(f, b) || (rmap_pte_pfn(f, a) != rmap_pte_pfn(f, b)) != pinned)
        kin_fail(g, "page %u: entry %#llx was copied as %#llx", k, (unsigned long long)a, (unsigned long long)b);
    if ((rmap_pte_get(f, a, RMAP_ATTR_WRITE) && !pinned) || rmap_pte_get(f, b, RMAP_ATTR_WRITE))
        kin_fail(g, "page %u is writable", k);
    if (pinned && a != before) kin_fail(g, "page %u is pinned, and its entry changed", k);
}

static void fork_at_once(struct kin *g, struct kin_space *p, struct kin_space *c)
{
    bool pinned[KIN_PAGES], any = false;
    rmap_pte_t before[KIN_PAGES];
    for (unsigned k = 0; k < KIN_PAGES; k++) {
        any |= pinned[k] = maps_pinned(g, p, k);
        before[k] = world_entry(p->s, g->c.vpn[k]);
    }
    struct world_space *child = NULL;
    bool failing = kin_failing_begin(g);
    int err = world_fork_try(p->s, &child);
    kin_failing_end(g);
    if (err) {
        if (!failing || (err != RMAP_ERR_NOMEM && !(any && err == RMAP_ERR_NO_FRAME)))
            kin_fail(g, "%s", rmap_error_name(err));
        g->totals->failed++;
        return;
    }
    c->s = child;
    for (unsigned k = 0; k < KIN_PAGES; k++) {
        c->at[k] = inherited(g, &p->at[k], k, pinned[k]);
        check_copied(g, p, c, k, pinned[k], before[k]);
    }
    g->totals->forks++;
}

/* What a fork's caller does in the end: the child may be seen. */
static void join(struct kin *g, struct world_space *s)
{
    s->number = g->w.births++;
    g->w.spaces[g->w.space_count++] = s; /* world_space_blank made room */
}

/* The child has its place from the start: its entries count, and walks meet it. */
static void fork_in_steps(struct kin *g, struct kin_space *p, struct kin_space *c)
{
    struct rmap_fork f;
    struct world_space *s = world_space_blank(&g->w);
    int err = rmap_fork_begin(&p->s->m, &s->m, &s->mmu, &f);
    if (err) kin_fail(g, "rmap_fork_begin: %s", rmap_error_name(err));
    c->s = s;
    const unsigned first = kin_below(g, KIN_PAGES);
    unsigned steps = kin_below(g, 5) ? KIN_PAGES : kin_below(g, KIN_PAGES);
    bool abort = steps < KIN_PAGES;
    for (unsigned i = 0; i < steps; i++) {
        if (kin_below(g, 4) == 0) kin_meanwhile(g, p, c);
        const unsigned k = (first + i) % KIN_PAGES;
        const bool pinned = maps_pinned(g, p, k);
        const rmap_pte_t before = world_entry(p->s, g->c.vpn[k]);
        bool failing = kin_failing_begin(g);
        err = rmap_fork_copy(&f, g->c.vpn[k], 1, RMAP_FORK_COW);
        kin_failing_end(g);
        if (err && (!failing || (err != RMAP_ERR_NOMEM && !(pinned && err == RMAP_ERR_NO_FRAME))))
            kin_fail(g, "rmap_fork_copy: %s", rmap_error_name(err));
        abort |= err != 0;
        if (err) break;
        c->at[k] = inherited(g, &p->at[k], k, pinned);
        check_copied(g, p, c, k, pinned, before);
        kin_note_more(g, "%u; ", k);
        g->totals->steps++;
    }
    if (kin_below(g, 3) == 0) kin_meanwhile(g, p, c);
    if (abort) {
        kin_note_more(g, "aborted");
        rmap_fork_abort(&f);
        world_space_free(s);
        memset(c, 0, sizeof *c);
        g->totals->aborts++;
        return;
    }
    kin_check(g, false);
    rmap_fork_commit(&f);
    join(g, s);
    g->totals->forks++;
}

void kin_fork(struct kin *g, struct kin_space *p)
{
    struct kin_space *c = g->place;
    while (c->s) c++;
    const bool at_once = kin_below(g, 2);
    kin_note(g, "s%u forks s%u%s", kin_number(g, p), kin_number(g, c), at_once ? "" : " in steps: ");
    if (at_once)
        fork_at_once(g, p, c);
    else
        fork_in_steps(g, p, c);
}
