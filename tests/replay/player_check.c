/* SPDX-License-Identifier: MIT */
/** @file replay/player_check.c  Contents, presence, regions and books: what the library has, against what the trace says. */
#include "replay/player_check.h"
#include "replay/room.h"

#include <inttypes.h>
#include <objrmap/verify.h>
#include <string.h>

#define SAMPLE 64 /* pages of a space */

int player_look(struct player *p, struct book_space *s, uint64_t vpn, uint64_t line)
{
    static const struct stamp zeroes;
    const struct stamp *stamp = shadow_find(&s->shadow, vpn);
    unsigned char page[STAMP_PAGE_BYTES];
    char found[80], wanted[80];
    const int rc = rmap_space_read(s->user, vpn << STAMP_PAGE_SHIFT, page, sizeof page, NULL);
    if (rc)
        return trace_wrong(p->error, line, "page %" PRIx64 " of space %u cannot be read: %s", vpn, s->id,
                           rmap_strerror(rc));
    p->pages_checked++;
    if (!stamp) stamp = &zeroes;
    if (stamp_is(page, stamp)) return 0;
    return trace_wrong(p->error, line, "page %" PRIx64 " of space %u has %s; not %s", vpn, s->id,
                       stamp_describe(page, found, sizeof found), stamp_name(stamp, wanted, sizeof wanted));
}

static int sample(struct player *p, struct book_space *s, uint64_t line)
{
    const uint64_t pages = s->shadow.pages, wanted = p->options.check_all || pages < SAMPLE ? pages : SAMPLE;
    uint64_t vpn = 0, due = pages ? line % (pages / wanted + 1) : 0, nth = 0;
    for (; shadow_next(&s->shadow, &vpn); vpn++, nth++) {
        if (wanted < pages && nth < due) continue;
        due += pages / wanted;
        if (player_readable(regions_find(&s->regions, vpn)) && player_look(p, s, vpn, line)) return -1;
    }
    return 0;
}

/* ---- presence: a page has an entry if it was touched, and that is the zero page's if it was only read ---- */

static const char *entry_name(struct player *p, const struct rmap_pte_format *f, rmap_pte_t e)
{
    if (rmap_pte_kind(f, e) == RMAP_PTE_SWAP) return "a page on swap";
    if (!rmap_pte_maps(f, e)) return "no page";
    const struct rmap_page *page = rmap_page_find(rmap_pager_rmap(p->pager), rmap_pte_pfn(f, e));
    return page && rmap_page_flags(page) & RMAP_PAGE_SPECIAL ? "the zero page" : "a page";
}

/* The entry at vpn, or none where e is 0. */
static int check_entry(struct player *p, struct book_space *s, uint64_t vpn, rmap_pte_t e, uint64_t line)
{
    const struct stamp *stamp = shadow_find(&s->shadow, vpn);
    const char *has = entry_name(p, rmap_space_member(s->user)->mmu.ops->format, e), *wanted = "no page";
    char text[80];
    const bool none = !strcmp(has, wanted), zero = !strcmp(has, "the zero page");
    if (stamp) wanted = stamp_name(stamp, text, sizeof text);
    if (none == !stamp && (!stamp || zero == !stamp->line)) return 0;
    return trace_wrong(p->error, line, "page %" PRIx64 " of space %u has %s, and should have %s", vpn, s->id, has,
                       wanted);
}

static int check_presence(struct player *p, struct book_space *s, uint64_t line)
{
    const struct rmap_mmu *mmu = &rmap_space_member(s->user)->mmu;
    struct rmap_mmu_run run;
    uint64_t touched = 0; /* all pages before it that were touched have entries */
    int rc = 0;
    for (rmap_vpn_t at = 0; !rc && at < TRACE_PAGES && !mmu->ops->run_find(mmu->ctx, at, TRACE_PAGES, &run);
         at = run.first + run.count) {
        for (uint32_t i = 0; !rc && i < run.count; i++) {
            const rmap_pte_t e = rmap_run_get(mmu, &run, i);
            const rmap_vpn_t vpn = run.first + i;
            if (!e) continue;
            if (shadow_next(&s->shadow, &touched) && touched < vpn) rc = check_entry(p, s, touched, 0, line);
            if (!rc) rc = check_entry(p, s, vpn, e, line);
            touched = vpn + 1;
        }
        mmu->ops->run_unlock(mmu->ctx, &run);
    }
    return !rc && shadow_next(&s->shadow, &touched) ? check_entry(p, s, touched, 0, line) : rc;
}

int player_check_space(struct player *p, struct book_space *s, uint64_t line)
{
    if (check_presence(p, s, line)) return -1;
    struct figures before, after;
    int rc = figures_take(p->pager, &before);
    if (!rc && sample(p, s, line)) return -1;
    if (!rc) rc = figures_take(p->pager, &after);
    if (rc) return trace_wrong(p->error, line, "no statistics: %s", rmap_strerror(rc));
    figures_add(&p->checking, &after, &before);
    return 0;
}

static bool same_region(const struct region *ours, const struct rmap_region_info *theirs)
{
    unsigned prot = 0;
    if (theirs->prot & RMAP_READ) prot |= TRACE_R;
    if (theirs->prot & RMAP_WRITE) prot |= TRACE_W;
    if (theirs->prot & RMAP_EXEC) prot |= TRACE_X;
    const unsigned wanted = ours->prot | (ours->prot & TRACE_W ? TRACE_R : 0);
    return ours->first == theirs->first && ours->end - ours->first == theirs->count && prot == wanted &&
           ours->writable_once == theirs->accounted && !theirs->locked;
}

static int check_regions(struct player *p, struct book_space *s, uint64_t line)
{
    struct rmap_region_info *theirs = room_for(s->regions.count, sizeof *theirs);
    const size_t count = rmap_space_regions(s->user, theirs, s->regions.count);
    size_t i = 0;
    struct region r;
    bool same = true;
    for (uint64_t at = 0; same && regions_held(&s->regions, at, TRACE_PAGES, &r); at = r.end, i++)
        same = i < count && same_region(&r, &theirs[i]);
    same = same && i == count;
    free(theirs);
    return same ? 0 : trace_wrong(p->error, line, "region %zu of space %u is not the trace's", i, s->id);
}

int player_check(struct player *p, uint64_t line)
{
    struct rmap_verify_report report = {0};
    const int rc = rmap_pager_verify(p->pager, &report);
    if (rc) return trace_wrong(p->error, line, "%s: %s", report.invariant ? report.invariant : "verify", report.text);
    p->verifications++;
    for (size_t i = 0; i < p->book.live; i++)
        if (check_regions(p, p->book.spaces[i], line) || player_check_space(p, p->book.spaces[i], line)) return -1;
    return 0;
}

int player_figures(struct player *p, struct figures *out)
{
    struct figures now;
    const int rc = figures_take(p->pager, &now);
    if (rc) return trace_wrong(p->error, 0, "no statistics: %s", rmap_strerror(rc));
    *out = (struct figures){0};
    figures_add(out, &now, &p->checking);
    out->faults -= p->looks;
    out->faults_minor -= p->looks;
    return 0;
}

int player_left(struct player *p)
{
    struct rmap_pager_stats pager;
    struct rmap_swap_stats swap;
    struct rmap_stats core;
    int rc = rmap_pager_verify(p->pager, NULL);
    if (rc || (rc = rmap_pager_get_stats(p->pager, &pager)) || (rc = rmap_stats_get(rmap_pager_rmap(p->pager), &core)))
        return rc;
    if ((rc = rmap_swap_get_stats(rmap_pager_swap(p->pager), &swap))) return rc;
    const bool clean = pager.frames_used == 1 && !swap.slots_used && !core.members && !core.mappings &&
                       !core.tree_bytes && !core.track_bytes && !pager.pagetable_bytes && !pager.regions;
    return clean ? 0 : RMAP_ERR_VERIFY;
}
