/* SPDX-License-Identifier: MIT */
/**
 * @file core/move.c  move: re-index what is ours, copy or track what is shared, leave on swap what is on swap.
 *
 * Entries travel in small flights: taken from the source run with their pages locked, flushed, then set at the
 * destination, where the pages get their new index. While an entry is in flight its page's count is still held and its
 * page lock taken: a walk waits or says BUSY, never "unmapped" (B3). One run lock at a time, so no order is needed.
 */
#include <core/count.h>
#include <core/track.h>

#define FLIGHT_MAX 64

/** An entry between its two places. */
struct flyer {
    rmap_pte_t entry;
    rmap_vpn_t offset;      /* pages from the start of the range */
    struct rmap_page *page; /* locked, or NULL (special frame, swap entry that nobody caches). The count that its entry has
                               raised keeps it alive; one that caches a slot is referenced */
    bool shared; /* page or slot has other users: it keeps its index, TRACK covers it, a slot is marked MOVED */
};

struct move {
    struct rmap_member *m;
    rmap_vpn_t from, to;
    uint64_t count;
    bool track; /* shared pages fly, too: the destination is recorded */
    struct rmap__section frames;
    struct rmap_gather gather;
    struct rmap_moved done;
    struct flyer flight[FLIGHT_MAX];
    unsigned flyers;
    struct rmap_page *shared; /* page that stopped the flight because it must be copied; referenced */
    int refused;              /* an entry that cannot move: the flight ends before it */
    struct rmap_page *busy;   /* page that stopped it because its lock was taken; referenced */
};

/* Ours alone? Page lock held. Pins do not matter: the frame stays where it is. */
static inline bool page_is_own(struct rmap *r, const struct rmap_page *page)
{
    return rmap_page_mapcount(page) + (rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE ? rmap__page_swap_count(r, page) : 0) == 1;
}

static inline struct rmap_page *page_of(const struct move *mv, rmap_pte_t e)
{
    return rmap__frame_page(mv->m->r, &mv->frames, rmap_pte_pfn(mv->m->mmu.ops->format, e));
}

/* ---- take off: source run locked ---- */

/* The page of an entry in the locked run, which keeps it alive. */
static bool lock_or_stop(struct move *mv, struct rmap_page *page)
{
    if (rmap_page_try_lock(page)) return true;
    rmap_page_get(page);
    mv->busy = page;
    return false;
}

/* May a shared page fly to where x is going? The survey looked without page locks; its table decides (design/track.md). */
static bool is_recorded(const struct move *mv, const struct flyer *x, const struct rmap_page *page)
{
    return mv->track && rmap__track_covers(mv->m->track, rmap_page_index(page), mv->to + x->offset);
}

static bool take_present(struct move *mv, struct flyer *x)
{
    struct rmap *r = mv->m->r;
    struct rmap_page *page = page_of(mv, x->entry);
    if (!rmap__page_counted(page)) return true;
    if (!lock_or_stop(mv, page)) return false;
    x->shared = !page_is_own(r, page);
    if (!x->shared || is_recorded(mv, x, page)) {
        x->page = page;
        return true;
    }
    rmap_page_get(page);
    rmap_page_unlock(r, page);
    mv->shared = page;
    return false;
}

static bool take_swap(struct move *mv, struct flyer *x)
{
    struct rmap *r = mv->m->r;
    rmap_swp_t entry = rmap_pte_swp(mv->m->mmu.ops->format, x->entry);
    struct rmap_slot_home home;
    if (!r->swap || r->swap->get_home(r->swap_ctx, entry, &home)) return true;
    if (home.cached && !rmap_page_try_get(home.cached)) return false; /* evicted since: look again */
    if (home.cached) {
        bool locked = rmap_page_try_lock(home.cached);
        bool still = locked && (rmap_page_flags(home.cached) & RMAP_PAGE_SWAPCACHE) && home.cached->swap == entry;
        if (!still) { /* taken, or it left the cache while we reached for it: look again later */
            if (locked) rmap_page_unlock(r, home.cached);
            mv->busy = home.cached;
            return false;
        }
        x->page = home.cached;
    }
    /* Under the page lock nobody swaps in or out, so the two counts may be read in turn. Without a page nothing is
     * held: count and "not cached" must be of one moment, or a sibling that swaps in between them is missed. */
    x->shared = x->page ? r->swap->count(r->swap_ctx, entry) != 1 || rmap_page_mapcount(x->page) : home.count != 1;
    return true;
}

/* A page on its way to another frame is locked until it is there. @return false if it is not: a stray migration entry.
 */
static bool wait_for_migration(struct move *mv, rmap_pte_t e)
{
    struct rmap_page *page = rmap_page_find(mv->m->r, rmap_pte_pfn(mv->m->mmu.ops->format, e));
    if (!page) return false;
    if (!lock_or_stop(mv, page)) return true;
    rmap_page_unlock(mv->m->r, page);
    return false;
}

/* Fill the flight from the source run at offset *at; stops at the run's end, when full, or at a page that needs more. */
static int take_off(struct move *mv, uint64_t *at)
{
    struct rmap_member *m = mv->m;
    const struct rmap_mmu_ops *o = m->mmu.ops;
    struct rmap_mmu_run run;
    int err = o->run_find(m->mmu.ctx, mv->from + *at, mv->from + mv->count, &run);
    if (err) return err;
    if (mv->from + *at < run.first) *at = run.first - mv->from;
    uint64_t end = run.first + run.count - mv->from;
    if (end > mv->count) end = mv->count;
    for (; *at < end && mv->flyers < FLIGHT_MAX; ++*at) {
        uint32_t i = (uint32_t)(mv->from + *at - run.first);
        struct flyer x = {.entry = rmap_run_get(&m->mmu, &run, i), .offset = *at};
        if (!x.entry) continue;
        if (run.slots && i + RMAP__AHEAD < run.count)
            rmap__frame_prefetch(&mv->frames, rmap_pte_pfn(o->format, rmap_run_get(&m->mmu, &run, i + RMAP__AHEAD)));
        bool ready = true;
        if (rmap_pte_kind(o->format, x.entry) == RMAP_PTE_MIGRATION) {
            if (!wait_for_migration(mv, x.entry)) mv->refused = RMAP_ERR_BUSY;
            break;
        }
        if (rmap_pte_maps(o->format, x.entry))
            ready = take_present(mv, &x);
        else if (rmap_pte_kind(o->format, x.entry) == RMAP_PTE_SWAP)
            ready = take_swap(mv, &x);
        if (!ready) break;
        x.entry = rmap_run_exchange(&m->mmu, &run, i, 0);
        rmap__gather_flush(&mv->gather, m, mv->from + *at, x.entry, RMAP_FLUSH_ALL);
        mv->flight[mv->flyers++] = x;
    }
    o->run_unlock(m->mmu.ctx, &run);
    return 0;
}

/* ---- landing ---- */

static void land_swap(struct move *mv, const struct flyer *x, rmap_vpn_t vpn)
{
    struct rmap_member *m = mv->m;
    struct rmap *r = m->r;
    rmap_swp_t entry = rmap_pte_swp(m->mmu.ops->format, x->entry);
    struct rmap_slot_home home;
    if (!r->swap || r->swap->get_home(r->swap_ctx, entry, &home)) return;
    bool was_moved = home.index != mv->from + x->offset, is_moved;
    if (x->shared) {
        is_moved = home.index != vpn;
        /* Never back to false: another space may be marking it at this moment. */
        if (is_moved && !home.moved) r->swap->set_home(r->swap_ctx, entry, home.owner, home.index, true);
        mv->done.swap_shared++;
    } else {
        is_moved = false;
        r->swap->set_home(r->swap_ctx, entry, rmap__tag_owner(m->home_tag), vpn, false);
        if (x->page) rmap__page_set_owner(x->page, m->home_tag);
        mv->done.swap_moved++;
    }
    if (is_moved && !was_moved) atomic_fetch_add_explicit(&m->moved, 1, memory_order_relaxed);
    if (was_moved && !is_moved) atomic_fetch_sub_explicit(&m->moved, 1, memory_order_relaxed);
}

/* An own page gets its new index, with its unlock; the clean copy that its slot may be follows it (C11). A shared one is
 * tracked here. */
static void land_page(struct move *mv, const struct flyer *x, rmap_vpn_t vpn)
{
    struct rmap_member *m = mv->m;
    struct rmap *r = m->r;
    if (x->shared) {
        mv->done.tracked++;
        return;
    }
    rmap__page_set_owner(x->page, m->home_tag);
    if (rmap_page_flags(x->page) & RMAP_PAGE_SWAPCACHE)
        r->swap->set_home(r->swap_ctx, x->page->swap, rmap__tag_owner(m->home_tag), vpn, false);
    mv->done.reindexed++;
}

static void land_one(struct move *mv, const struct rmap_mmu_run *run, const struct flyer *x)
{
    rmap_vpn_t vpn = mv->to + x->offset;
    if (rmap_pte_kind(mv->m->mmu.ops->format, x->entry) == RMAP_PTE_SWAP)
        land_swap(mv, x, vpn);
    else if (x->page)
        land_page(mv, x, vpn);
    rmap_run_set(&mv->m->mmu, run, (uint32_t)(vpn - run->first), x->entry);
}

/* Set the whole flight at the destination, where tables exist. */
static void land(struct move *mv)
{
    struct rmap_member *m = mv->m;
    const struct rmap_mmu_ops *o = m->mmu.ops;
    rmap_gather_flush_now(&mv->gather); /* B15: nothing stale is left when the new place appears */
    for (unsigned i = 0; i < mv->flyers;) {
        struct rmap_mmu_run run;
        rmap_vpn_t vpn = mv->to + mv->flight[i].offset;
        int err = o->run_find(m->mmu.ctx, vpn, vpn + 1, &run);
        RMAP_ASSERT(err == 0);
        (void)err;
        for (; i < mv->flyers && mv->to + mv->flight[i].offset < run.first + run.count; i++)
            land_one(mv, &run, &mv->flight[i]);
        o->run_unlock(m->mmu.ctx, &run);
    }
    for (unsigned i = 0; i < mv->flyers; i++) {
        const struct flyer *x = &mv->flight[i];
        if (!x->page) continue;
        const bool swap = rmap_pte_kind(o->format, x->entry) == RMAP_PTE_SWAP;
        if (!x->shared) {
            rmap__page_unlock_at(m->r, x->page, mv->to + x->offset);
        } else {
            if (!swap) rmap_page_get(x->page); /* what keeps it may go as soon as it is unlocked */
            rmap_page_unlock(m->r, x->page);
        }
        if (swap || x->shared) rmap_page_put(m->r, x->page);
    }
    mv->flyers = 0;
}

/* ---- early COW (S9) ---- */

/*
 * The page at offset `at` is shared: its private copy goes to the destination, the old page loses one mapping. The copy
 * is made with no run locked; the entry at the source is not writable meanwhile, because the page is shared.
 */
static int copy_one(struct move *mv, struct rmap_page *page, uint64_t at)
{
    struct rmap_member *m = mv->m;
    struct rmap *r = m->r;
    const struct rmap_mmu_ops *o = m->mmu.ops;
    struct rmap_page *copy;
    int err = rmap_page_alloc(r, RMAP_PFN_NONE, &copy);
    if (err) return err;
    rmap_page_lock(page);
    struct rmap_mmu_run run;
    rmap_pte_t e = 0;
    const rmap_vpn_t src = mv->from + at, dst = mv->to + at;
    if (rmap_page_pins(page)) err = RMAP_ERR_BUSY; /* pinned since survey() */
    if (rmap_page_flags(page) & RMAP_PAGE_POISON) err = RMAP_ERR_POISON;
    bool same = !err && !page_is_own(r, page); /* it may have become ours: then the next flight takes it */
    if (same) r->frames->copy(r->frames_ctx, rmap_page_pfn(r, copy), rmap_page_pfn(r, page));
    if (same && !o->run_find(m->mmu.ctx, src, src + 1, &run)) {
        uint32_t i = (uint32_t)(src - run.first);
        e = rmap_run_get(&m->mmu, &run, i);
        same = rmap_pte_maps(o->format, e) && rmap_pte_pfn(o->format, e) == rmap_page_pfn(r, page); /* or evicted */
        if (same) {
            e = rmap_run_exchange(&m->mmu, &run, i, 0);
            if (rmap_pte_get(o->format, e, RMAP_ATTR_DIRTY)) rmap_page_set_flags(page, RMAP_PAGE_DIRTY); /* INV-7 */
            rmap_gather_flush(&mv->gather, m, src, e, RMAP_FLUSH_ALL);
            rmap_page_unmap(&mv->gather, m, page);
        }
        o->run_unlock(m->mmu.ctx, &run);
    } else {
        same = false;
    }
    if (same) {
        rmap_gather_flush_now(&mv->gather);
        err = o->run_find(m->mmu.ctx, dst, dst + 1, &run);
        RMAP_ASSERT(err == 0);
        rmap_page_map_new(m, copy, dst);
        unsigned attrs = rmap_pte_attrs(o->format, e) & ~(1u << RMAP_ATTR_WRITE | 1u << RMAP_ATTR_DIRTY);
        rmap_pfn_t pfn = rmap_page_pfn(r, copy);
        bool present = rmap_pte_kind(o->format, e) == RMAP_PTE_PRESENT;
        rmap_run_set(&m->mmu, &run, (uint32_t)(dst - run.first),
                     present ? rmap_pte_make(o->format, pfn, attrs)
                             : rmap_pte_make_kind(o->format, rmap_pte_kind(o->format, e), pfn, attrs));
        o->run_unlock(m->mmu.ctx, &run);
        mv->done.copied++;
    }
    rmap_page_unlock(r, page);
    rmap_gather_finish(&mv->gather);
    rmap_page_put(r, copy);
    return err;
}

/* ---- the range ---- */

/* Tables for every destination page that a present source table can send to, so that landing cannot fail. */
static int reserve_destination(struct move *mv)
{
    struct rmap_member *m = mv->m;
    const struct rmap_mmu_ops *o = m->mmu.ops;
    const rmap_vpn_t end = mv->from + mv->count;
    struct rmap_mmu_run run;
    for (rmap_vpn_t at = mv->from; at < end;) {
        int err = o->run_find(m->mmu.ctx, at, end, &run);
        if (err) return err == RMAP_ERR_ABSENT ? 0 : err;
        if (at < run.first) at = run.first;
        rmap_vpn_t src_end = run.first + run.count < end ? run.first + run.count : end;
        o->run_unlock(m->mmu.ctx, &run);
        while (at < src_end) {
            rmap_vpn_t dst = mv->to + (at - mv->from);
            struct rmap_tables tables = {0};
            if ((err = o->reserve(m->mmu.ctx, dst, &tables))) return err;
            if (!(err = o->run_make(m->mmu.ctx, dst, &tables, &run))) o->run_unlock(m->mmu.ctx, &run);
            o->unreserve(m->mmu.ctx, &tables);
            if (err) return err;
            at += run.first + run.count - dst;
        }
    }
    return 0;
}

static int move_range(struct move *mv)
{
    struct rmap *r = mv->m->r;
    int err = 0;
    for (uint64_t at = 0; at < mv->count && !err;) {
        mv->shared = mv->busy = NULL;
        if ((err = take_off(mv, &at))) return err == RMAP_ERR_ABSENT ? 0 : err;
        RMAP__YIELD(r, RMAP__AT_MOVE_FLIGHT);
        land(mv);
        RMAP__YIELD(r, RMAP__AT_MOVE_LANDED);
        err = mv->refused;
        if (mv->busy) { /* wait for whoever holds it, with nothing held ourselves */
            rmap_page_lock(mv->busy);
            rmap_page_unlock(r, mv->busy);
            rmap_page_put(r, mv->busy);
        }
        if (mv->shared) {
            err = copy_one(mv, mv->shared, at);
            rmap_page_put(r, mv->shared);
        }
    }
    return err;
}

/* @return 0 if the range holds no entry; EXISTS; BLOCK. */
static int check_empty(struct rmap_member *m, rmap_vpn_t first, uint64_t count)
{
    const struct rmap_mmu_ops *o = m->mmu.ops;
    struct rmap_mmu_run run;
    int err = 0;
    for (rmap_vpn_t at = first; at < first + count && !err;) {
        if ((err = o->run_find(m->mmu.ctx, at, first + count, &run))) return err == RMAP_ERR_ABSENT ? 0 : err;
        if (at < run.first) at = run.first;
        for (; at < first + count && at < run.first + run.count && !err; at++)
            if (rmap_run_get(&m->mmu, &run, (uint32_t)(at - run.first))) err = RMAP_ERR_EXISTS;
        o->run_unlock(m->mmu.ctx, &run);
    }
    return err;
}

/* ---- before anything moves ---- */

/* What one entry, at the page number `at`, asks of the move. */
static inline int survey_entry(const struct move *mv, rmap_vpn_t at, rmap_pte_t e, struct rmap__track_needs *needs)
{
    struct rmap *r = mv->m->r;
    const struct rmap_pte_format *f = mv->m->mmu.ops->format;
    const rmap_vpn_t place = at - mv->from + mv->to;
    struct rmap_slot_home home;
    if (rmap_pte_maps(f, e)) {
        struct rmap_page *page = page_of(mv, e);
        if (!rmap__page_counted(page)) return 0;
        /* On its way to another frame its mappings are counted at both: look at the lock first, then at the count. */
        const bool unsure = rmap_page_flags(page) & RMAP_PAGE_LOCKED, own = page_is_own(r, page);
        if (own && !unsure) return 0;
        rmap__track_need(needs, rmap_page_index(page), place);
        return !own && rmap_page_pins(page) ? RMAP_ERR_BUSY : 0;
    }
    if (rmap_pte_kind(f, e) != RMAP_PTE_SWAP || !r->swap || r->swap->get_home(r->swap_ctx, rmap_pte_swp(f, e), &home))
        return 0;
    if (home.count != 1 || home.cached) rmap__track_need(needs, home.index, place);
    return 0;
}

/*
 * Look at every entry of the source. No page is locked, so this is a forecast: a page that another space swaps in at this moment
 * can look like ours alone. Taking off decides again under the page lock; what is shared then and not recorded is copied.
 * @return 0; BUSY: a shared page is pinned (the needs are complete all the same); BLOCK.
 */
static int survey(const struct move *mv, struct rmap__track_needs *needs)
{
    struct rmap_member *m = mv->m;
    const struct rmap_mmu_ops *o = m->mmu.ops;
    const rmap_vpn_t end = mv->from + mv->count;
    struct rmap_mmu_run run;
    int err = 0, pinned = 0;
    for (rmap_vpn_t at = mv->from; at < end && !(err = o->run_find(m->mmu.ctx, at, end, &run));) {
        if (at < run.first) at = run.first;
        for (; at < end && at < run.first + run.count; at++) {
            rmap_pte_t e = rmap_run_get(&m->mmu, &run, (uint32_t)(at - run.first));
            if (e && survey_entry(mv, at, e, needs)) pinned = RMAP_ERR_BUSY;
        }
        o->run_unlock(m->mmu.ctx, &run);
    }
    if (err && err != RMAP_ERR_ABSENT) return err;
    return pinned;
}

/* Settle what happens to shared pages: tracked, if the policy says so and the bounds allow it, else copied. */
static int plan(struct move *mv, struct rmap__track_plan *tables)
{
    struct rmap__track_needs needs = {.count = 0};
    int err = survey(mv, &needs);
    *tables = (struct rmap__track_plan){NULL, NULL};
    if (err && err != RMAP_ERR_BUSY) return err;
    if (mv->m->policy == RMAP_MOVE_POLICY_TRACK) { /* without needs, too: a shared page may be on its way home */
        int unplanned = rmap__track_plan(mv->m, &needs, mv->from, mv->to, mv->count, tables);
        mv->track = !unplanned;
        if (unplanned != RMAP_ERR_OVERFLOW) return unplanned;
    }
    return err;
}

/* Field by field: gather and flight are kilobytes. */
static void move_init(struct move *mv, struct rmap_member *m, rmap_vpn_t from, rmap_vpn_t to, uint64_t count)
{
    mv->m = m;
    mv->from = from;
    mv->to = to;
    mv->count = count;
    mv->track = false;
    mv->frames = rmap__main_section(m->r);
    mv->done = (struct rmap_moved){0};
    mv->flyers = 0;
    mv->shared = mv->busy = NULL;
    mv->refused = 0;
    rmap_gather_init(&mv->gather, m->r);
}

/* The entries go. On failure they come back: whatever has moved is ours alone or tracked, and its tables are still there. */
static int carry(struct move *mv)
{
    int err = move_range(mv);
    if (!err) return 0;
    struct move back;
    move_init(&back, mv->m, mv->to, mv->from, mv->count);
    back.track = mv->track;
    int undo = move_range(&back);
    RMAP_ASSERT(undo == 0);
    (void)undo;
    return err;
}

int rmap_move(struct rmap_member *m, rmap_vpn_t from, rmap_vpn_t to, uint64_t count, struct rmap_moved *out)
{
    if (!m) return RMAP_ERR_NULL_ARG;
    if (!m->node) return RMAP_ERR_DEAD;
    if (rmap__range_check(&m->mmu, from, count) || rmap__range_check(&m->mmu, to, count)) return RMAP_ERR_RANGE;
    if (from < to + count && to < from + count) return RMAP_ERR_INVALID;
    int err = check_empty(m, to, count);
    if (err) return err;
    struct move mv;
    move_init(&mv, m, from, to, count);
    struct rmap__track_plan tables;
    struct rmap *r = m->r;
    if (out) *out = mv.done;
    if ((err = plan(&mv, &tables))) return err;
    if (!(err = reserve_destination(&mv))) {
        struct rmap__track *before = m->track;
        rmap__track_get(before);
        if (mv.track) rmap__track_swap(m, &tables.during); /* first the record, then the entry at its new place */
        RMAP__YIELD(r, RMAP__AT_MOVE_RECORDED);
        err = carry(&mv);
        if (mv.track) rmap__track_swap(m, err ? &before : &tables.after);
        rmap__track_put(r, before);
    }
    rmap__track_put(r, tables.during);
    rmap__track_put(r, tables.after);
    if (err) return err;
    if (!mv.track && m->track) rmap__track_forget(m, from, count);
    RMAP__COUNT(r, moved_reindexed, mv.done.reindexed);
    RMAP__COUNT(r, moved_copied, mv.done.copied);
    RMAP__COUNT(r, moved_tracked, mv.done.tracked);
    RMAP__COUNT(r, moved_swap, mv.done.swap_moved);
    RMAP__COUNT(r, moved_swap_shared, mv.done.swap_shared);
    if (out) *out = mv.done;
    return 0;
}
