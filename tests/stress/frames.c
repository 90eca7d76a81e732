/* SPDX-License-Identifier: MIT */
/** @file stress/frames.c  What is done to pages and frames, whoever maps them; and questions about spaces. */
#include "stress/delay.h"
#include "stress/device.h"
#include "stress/world.h"

#include <objrmap/migrate.h>
#include <objrmap/stats.h>

#define BATCH 24

/* A reference to the page in that frame, if it is in use and not in the batch yet. */
static unsigned add_page(struct worker *me, struct rmap_page **page, unsigned n, rmap_pfn_t pfn)
{
    struct rmap_page *p = rmap_page_find(me->w->r, pfn);
    for (unsigned i = 0; i < n; i++)
        if (page[i] == p) return n;
    if (!p || !rmap_page_try_get(p)) return n;
    if (rmap_page_flags(p) & RMAP_PAGE_SPECIAL)
        rmap_page_put(me->w->r, p);
    else
        page[n++] = p;
    return n;
}

/* Some pages, referenced, each once: of neighbouring frames, or those that a space's processors use in an area. */
static unsigned some_pages(struct worker *me, struct rmap_page **page, unsigned most)
{
    const unsigned frames = me->w->o.frames;
    unsigned n = 0, pfn = below(me, frames);
    struct slot *s = me->w->o.tlb && chance(me, 1, 2) ? slot_get(me) : NULL;
    if (s) {
        const unsigned a = some_area(me);
        for (unsigned k = 0; k < PLACES * AREA_PAGES && n < most; k++) {
            const rmap_pfn_t used = tlb_frame(s->tlb, k / AREA_PAGES * TABLE_PAGES + a * AREA_PAGES + k % AREA_PAGES);
            if (used != RMAP_PFN_NONE) n = add_page(me, page, n, used);
        }
        slot_put(s);
    }
    for (unsigned i = 0; !s && i < most && n < most; i++, pfn = (pfn + 1) % frames)
        if (chance(me, 3, 4)) n = add_page(me, page, n, pfn);
    if (chance(me, 1, 2)) rmap_pages_sort(page, n);
    return n;
}

static void put_pages(struct worker *me, struct rmap_page *const *page, unsigned n)
{
    for (unsigned i = 0; i < n; i++) rmap_page_put(me->w->r, page[i]);
}

static void check_results(struct worker *me, const struct rmap_result *res, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (res[i].outcome != RMAP_DONE && res[i].outcome != RMAP_INCOMPLETE && res[i].outcome != RMAP_PARTIAL)
            fail(me->w, "a verb's result is %d", (int)res[i].outcome);
}

void op_age(struct worker *me)
{
    struct rmap_page *page[BATCH];
    struct rmap_result res[BATCH];
    const unsigned n = some_pages(me, page, BATCH);
    note(me, "referenced, %u pages", n);
    MUST(me, rmap_referenced(me->w->r, page, n, RMAP_LOCK_PAGES | (chance(me, 1, 4) ? RMAP_KEEP_ACCESSED : 0), res));
    check_results(me, res, n);
    put_pages(me, page, n);
}

/* Not pinned ones: their spaces would write elsewhere from then on. */
void op_withdraw(struct worker *me)
{
    struct rmap_page *page[BATCH], *some[BATCH];
    struct rmap_result res[BATCH];
    const unsigned n = some_pages(me, some, BATCH);
    unsigned kept = 0;
    note(me, "write_protect, %u pages", n);
    pthread_rwlock_wrlock(&me->w->pinning);
    for (unsigned i = 0; i < n; i++)
        if (!rmap_page_pins(some[i])) page[kept++] = some[i];
    MUST(me, rmap_write_protect(me->w->r, page, kept, RMAP_LOCK_PAGES, res));
    pthread_rwlock_unlock(&me->w->pinning);
    check_results(me, res, kept);
    put_pages(me, some, n);
}

struct each {
    struct worker *me;
    rmap_pfn_t first, end;
};

static int see_mapping(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t e)
{
    const struct each *x = ctx;
    const struct rmap_pte_format *f = m->mmu.ops->format;
    if (!rmap_pte_maps(f, e) || rmap_pte_pfn(f, e) >= x->end || vpn >= m->mmu.pages)
        fail(x->me->w, "each_mapping shows entry %#llx", (unsigned long long)e);
    return 0;
}

void op_each(struct worker *me)
{
    struct rmap_page *page[BATCH];
    struct rmap_result res[BATCH];
    const unsigned n = some_pages(me, page, BATCH);
    struct each x = {me, 0, me->w->o.frames};
    note(me, "each_mapping, %u pages", n);
    MUST(me, rmap_each_mapping(me->w->r, page, n, RMAP_LOCK_PAGES, see_mapping, &x, res));
    check_results(me, res, n);
    put_pages(me, page, n);
}

void op_cursor(struct worker *me)
{
    struct rmap_page *page[1];
    struct rmap_cursor c;
    struct rmap_mapping m;
    if (!some_pages(me, page, 1)) return;
    note(me, "cursor");
    rmap_page_lock(page[0]);
    const rmap_pfn_t pfn = rmap_page_pfn(me->w->r, page[0]);
    MUST(me, rmap_cursor_open(me->w->r, page[0], &c));
    while (rmap_cursor_next(&c, &m) == 1 && !chance(me, 1, 32)) {
        if (rmap_pte_pfn(&rmap_pte_format_soft, m.entry) != pfn) fail(me->w, "a cursor shows another page's mapping");
        delay();
    }
    rmap_cursor_close(&c);
    rmap_page_unlock(me->w->r, page[0]);
    put_pages(me, page, 1);
}

void op_reclaim(struct worker *me)
{
    note(me, "reclaim");
    if (rmap_reclaim(me->w->pager, 1 + below(me, 32)) < 0) fail(me->w, "reclaim fails");
}

void op_vacate(struct worker *me)
{
    const unsigned count = 1 + below(me, 8), first = below(me, me->w->o.frames - count + 1);
    note(me, "vacate %u + %u", first, count);
    int64_t n = rmap_pager_vacate(me->w->pager, first, count);
    if (n < 0 || n > count) fail(me->w, "vacate answers %d", (int)n);
}

void op_migrate(struct worker *me)
{
    struct rmap_page *page[4], *target[4];
    struct rmap_result res[4];
    unsigned n = some_pages(me, page, 4), targets = 0;
    int rc = 0;
    note(me, "migrate %u", n);
    while (targets < n && !(rc = rmap_page_alloc(me->w->r, RMAP_PFN_NONE, &target[targets]))) targets++;
    ANSWER(me, rc, RMAP_ERR_NO_FRAME);
    MUST(me, rmap_migrate(me->w->r, page, target, targets, RMAP_LOCK_PAGES, res));
    check_results(me, res, targets);
    put_pages(me, page, n);
    put_pages(me, target, targets);
}

/* Two devices at most; one is taken out only while there is another. */
void op_swapoff(struct worker *me)
{
    struct world *w = me->w;
    if (pthread_mutex_trylock(&w->swap)) return;
    const unsigned i = below(me, 2);
    if (!w->device[i]) {
        struct rmap_device *d = stress_device((uint32_t)w->o.spaces * EXACT * 2);
        note(me, "add swap");
        MUST(me, rmap_pager_add_swap(w->pager, d));
        w->device[i] = d;
    } else if (w->device[!i]) {
        note(me, "swapoff");
        if (!ANSWER(me, rmap_pager_remove_swap(w->pager, w->device[i], NULL), RMAP_ERR_NO_FRAME, RMAP_ERR_BUSY)) {
            rmap_device_destroy(w->device[i]);
            w->device[i] = NULL;
        }
    }
    pthread_mutex_unlock(&w->swap);
}

void op_usage(struct worker *me)
{
    struct slot *s = slot_get(me);
    struct rmap_usage u;
    struct rmap_group_usage g;
    if (!s) return;
    note(me, "usage s%u", (unsigned)(s - me->w->slot));
    MUST(me, rmap_space_get_usage(s->space, &u));
    if (u.present != u.exclusive + u.shared || u.swapped != u.swap_exclusive + u.swap_shared)
        fail(me->w, "the parts of a space's usage do not add up");
    if (chance(me, 1, 4)) {
        MUST(me, rmap_space_get_group_usage(s->space, &g));
        if (!g.members || g.members > me->w->o.spaces) fail(me->w, "a group of %u members", (unsigned)g.members);
    }
    slot_put(s);
}

void op_stats(struct worker *me)
{
    struct rmap_pager_stats ps;
    struct rmap_stats rs;
    struct rmap_space_stats ss;
    struct slot *s = slot_get(me);
    MUST(me, rmap_pager_get_stats(me->w->pager, &ps));
    MUST(me, rmap_stats_get(me->w->r, &rs));
    if (ps.frames_used > me->w->o.frames) fail(me->w, "more frames are used than there are");
    if (!s) return;
    MUST(me, rmap_space_get_stats(s->space, &ss));
    slot_put(s);
}
