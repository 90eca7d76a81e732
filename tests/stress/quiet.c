/* SPDX-License-Identifier: MIT */
/** @file stress/quiet.c  The quiet point: all threads meet, and the last to come looks at everything. */
#include "stress/world.h"

#include <objrmap/device.h>
#include <objrmap/stats.h>
#include <objrmap/verify.h>
#include <string.h>

/* ---- what is looked at ---- */

static void check_verify(struct world *w)
{
    struct rmap_verify_report report;
    int rc = rmap_pager_verify(w->pager, &report);
    if (rc) fail(w, "%s: %s", report.invariant ? report.invariant : rmap_error_name(rc), report.text);
}

static void check_regions(struct world *w, struct slot *s)
{
    static struct rmap_region_info region[TLB_PAGES];
    static unsigned char prot[TLB_PAGES];
    memset(prot, 255, sizeof prot);
    const size_t n = rmap_space_regions(s->space, region, TLB_PAGES);
    for (size_t i = 0; i < n; i++)
        for (rmap_vpn_t v = region[i].first; v < region[i].first + region[i].count && v < TLB_PAGES; v++)
            prot[v] = (unsigned char)(region[i].prot | (region[i].accounted ? 8 : 0) | (region[i].locked ? 16 : 0));
    for (unsigned k = 0; k < EXACT * PLACES; k++) {
        const unsigned i = k % EXACT, place = k / EXACT;
        const struct book *b = &s->area[i / AREA_PAGES].book[i % AREA_PAGES];
        const unsigned must =
            b->mapped && b->place == place ? b->prot | (b->accounted ? 8u : 0) | (b->locked ? 16u : 0) : 255;
        if (prot[place * TABLE_PAGES + i] != must)
            fail(w, "s%u page %u: its region has %u, the book %u (protection, 8: accounted, 16: locked, 255: none)",
                 (unsigned)(s - w->slot), place * TABLE_PAGES + i, prot[place * TABLE_PAGES + i], must);
    }
}

/* Nobody is inside a call, so the only references are those of mappings together, of the swap cache, and of pins. */
static void check_references(struct world *w)
{
    for (rmap_pfn_t pfn = 0; pfn < w->o.frames; pfn++) {
        const struct rmap_page *page = rmap_page_find(w->r, pfn);
        const unsigned flags = rmap_page_flags(page);
        if (flags & RMAP_PAGE_SPECIAL) continue;
        const uint32_t must =
            (rmap_page_mapcount(page) > 0) + ((flags & RMAP_PAGE_SWAPCACHE) != 0) + rmap_page_pins(page);
        if (page->refcount != must)
            fail(w, "frame %u has %u references, must have %u (%u mappings, flags %#x, %u pins)", (unsigned)pfn,
                 page->refcount, must, rmap_page_mapcount(page), flags, rmap_page_pins(page));
        if (page->refcount &&
            (flags & (RMAP_PAGE_LOCKED | RMAP_PAGE_ORPHAN | RMAP_PAGE_MIGRATING | RMAP_PAGE_WRITEBACK)))
            fail(w, "frame %u has flags %#x at a quiet point", (unsigned)pfn, flags);
    }
}

static int count_mapping(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t e)
{
    (void)m;
    (void)vpn;
    (void)e;
    ++*(unsigned *)ctx;
    return 0;
}

/* Nobody is in its way: a walk finds every mapping, and says so. */
static void check_walks(struct world *w)
{
    for (rmap_pfn_t pfn = 0; pfn < w->o.frames; pfn++) {
        struct rmap_page *page = rmap_page_find(w->r, pfn);
        struct rmap_result res;
        unsigned found = 0;
        if (!rmap_page_mapcount(page)) continue;
        int rc = rmap_each_mapping(w->r, &page, 1, RMAP_LOCK_PAGES, count_mapping, &found, &res);
        if (rc || res.outcome != RMAP_DONE || found != rmap_page_mapcount(page))
            fail(w, "a walk of frame %u finds %u of %u mappings (outcome %d, %s)", (unsigned)pfn, found,
                 rmap_page_mapcount(page), (int)res.outcome, rmap_error_name(rc));
    }
}

/* Nor in the way of a swapoff: every entry is found. */
static void check_swapoff(struct worker *me)
{
    struct world *w = me->w;
    const unsigned i = below(me, 2);
    if (!w->device[0] || !w->device[1]) return;
    if (ANSWER(me, rmap_pager_remove_swap(w->pager, w->device[i], NULL), RMAP_ERR_NO_FRAME)) return;
    rmap_device_destroy(w->device[i]);
    w->device[i] = NULL;
}

static void check_group(struct world *w, struct slot *s)
{
    struct rmap_group_usage usage;
    unsigned members = 0;
    for (unsigned i = 0; i < w->o.spaces; i++)
        members += w->slot[i].state == SLOT_LIVE && atomic_load(&w->slot[i].group) == atomic_load(&s->group);
    int rc = rmap_space_get_group_usage(s->space, &usage);
    if (rc || usage.members != members)
        fail(w, "usage of a group of %u: %u members (%s)", members, (unsigned)usage.members, rmap_error_name(rc));
}

static void look(struct worker *me)
{
    struct world *w = me->w;
    const bool read = chance(me, 1, 3);
    check_verify(w);
    check_references(w);
    check_walks(w);
    if (chance(me, 1, 4)) check_swapoff(me);
    for (unsigned i = 0; i < w->o.spaces; i++) {
        struct slot *s = &w->slot[i];
        if (s->state != SLOT_LIVE) continue;
        check_group(w, s);
        tlb_check(s->tlb);
        check_regions(w, s);
        for (unsigned k = 0; read && k < EXACT; k++) touch_read(me, s, k / AREA_PAGES, k % AREA_PAGES);
    }
    if (read) check_verify(w);
    atomic_fetch_add(&w->meetings, 1);
}

/* ---- meeting ---- */

/* `meeting` held. */
static void open_if_all(struct worker *me)
{
    struct world *w = me->w;
    if (!w->arrived || w->arrived + w->leavers < w->o.threads) return;
    look(me);
    w->arrived = 0;
    w->round++;
    atomic_store(&w->meet, false);
    pthread_cond_broadcast(&w->met);
}

void quiet_come(struct worker *me)
{
    struct world *w = me->w;
    if (!atomic_load(&w->meet)) return;
    pthread_mutex_lock(&w->meeting);
    if (atomic_load(&w->meet)) {
        const unsigned round = w->round;
        w->arrived++;
        open_if_all(me);
        while (w->round == round) pthread_cond_wait(&w->met, &w->meeting);
    }
    pthread_mutex_unlock(&w->meeting);
}

void quiet_leave(struct worker *me)
{
    struct world *w = me->w;
    pthread_mutex_lock(&w->meeting);
    w->leavers++;
    open_if_all(me);
    pthread_mutex_unlock(&w->meeting);
}

/* What all this was about: each of these should be large. */
static void print_what_happened(const struct rmap_pager_stats *ps, const struct rmap_stats *rs, const struct world *w)
{
    unsigned long long refused = 0;
    for (unsigned i = 0; i < w->o.threads; i++) refused += atomic_load(&w->worker[i].refused);
#define N(x) ((unsigned long long)(x))
    fprintf(
        stderr,
        "faults %llu, new %llu, copies %llu, reuses %llu; evictions %llu (shared %llu, discards %llu, failed %llu)\n"
        "swap: out %llu, in %llu, found cached %llu, copied %llu; frames moved %llu\n"
        "moved: reindexed %llu, copied %llu, tracked %llu, on swap %llu; forks %llu (entries %llu, pinned copies "
        "%llu)\n"
        "walks: incomplete %llu, partial %llu; flushes %llu, elided %llu; allowed refusals %llu\n",
        N(ps->faults), N(ps->anon_new), N(ps->cow_copies), N(ps->cow_reuses), N(ps->evictions), N(ps->shared_evictions),
        N(ps->discards), N(ps->reclaim_failures), N(ps->swap_outs), N(ps->swap_ins), N(ps->swap_in_cached),
        N(ps->swap_in_copies), N(rs->migrated), N(ps->moves_reindexed), N(ps->moves_copied), N(ps->moves_tracked),
        N(ps->moves_swap), N(rs->forks), N(rs->fork_entries), N(rs->fork_copied), N(rs->walks_incomplete),
        N(rs->walks_partial), N(rs->flushes), N(rs->flushes_elided), refused);
#undef N
}

void quiet_end(struct worker *me)
{
    struct world *w = me->w;
    struct rmap_pager_stats ps;
    struct rmap_stats rs;
    struct rmap_swap_stats ss = {.slots_used = 0};
    look(me);
    for (unsigned i = 0; i < w->o.threads; i++) pins_drop(&w->worker[i]);
    slots_destroy_all(me);
    check_verify(w);
    MUST(me, rmap_pager_get_stats(w->pager, &ps));
    MUST(me, rmap_stats_get(w->r, &rs));
    if (!w->o.quiet) print_what_happened(&ps, &rs, w);
    if (rmap_pager_swap(w->pager)) MUST(me, rmap_swap_get_stats(rmap_pager_swap(w->pager), &ss));
    if (ps.frames_used != 1 || ps.spaces || rs.members || rs.nodes || rs.mappings || ss.slots_used || ss.entries)
        fail(w, "left at the end: %u frames, %u spaces, %u members, %u nodes, %u mappings, %u slots, %u swap entries",
             (unsigned)ps.frames_used, (unsigned)ps.spaces, (unsigned)rs.members, (unsigned)rs.nodes,
             (unsigned)rs.mappings, (unsigned)ss.slots_used, (unsigned)ss.entries);
    MUST(me, rmap_pager_destroy(w->pager));
}
