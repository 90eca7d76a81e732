/* SPDX-License-Identifier: MIT */
/** @file replay/player_check.c  Contents, regions and books: what the library has, against what the trace says. */
#include "replay/player_check.h"
#include "replay/room.h"

#include <inttypes.h>
#include <objrmap/verify.h>

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

int player_check_space(struct player *p, struct book_space *s, uint64_t line)
{
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
