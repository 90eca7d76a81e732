/* SPDX-License-Identifier: MIT */
/**
 * @file core/migrate.c  migrate: other frames under the same mappings.
 *
 * While a page is MIGRATING its lock is held, so nobody adds a mapping but fork, which copies what is there (a
 * migration entry, below its source in walk order), and nobody writes the frame: rmap_page_reuse needs the lock.
 */
#include <core/walk.h>
#include <objrmap/migrate.h>

/* ---- to migration entries ---- */

static enum rmap_reason begin_begin(struct rmap__walk *w, struct rmap__walk_page *p)
{
    unsigned flags = rmap_page_flags(p->page);
    (void)w;
    if (rmap_page_pins(p->page)) return RMAP_REASON_PINNED;
    if (flags & RMAP_PAGE_POISON) return RMAP_REASON_POISON;
    if (flags & RMAP_PAGE_MIGRATING) return RMAP_REASON_MIGRATING;
    rmap_page_set_flags(p->page, RMAP_PAGE_MIGRATING);
    return RMAP_REASON_NONE;
}

static enum rmap_reason begin_visit(struct rmap__walk *w, struct rmap__walk_page *p, struct rmap_member *m,
                                    const struct rmap_mmu_run *run, uint32_t slot, rmap_pte_t e)
{
    const struct rmap_pte_format *f = m->mmu.ops->format;
    if (!rmap_pte_present(f, e)) return RMAP_REASON_NONE;
    rmap_pte_t old = rmap__run_modify(&m->mmu, run, slot, e, rmap_pte_to_kind(f, e, RMAP_PTE_MIGRATION));
    if (rmap_pte_get(f, old, RMAP_ATTR_DIRTY)) rmap_page_set_flags(p->page, RMAP_PAGE_DIRTY);
    rmap__gather_flush(w->gather, m, run->first + slot, old, RMAP_FLUSH_ALL);
    return RMAP_REASON_NONE;
}

/* ---- to the old frame ---- */

static enum rmap_reason back_visit(struct rmap__walk *w, struct rmap__walk_page *p, struct rmap_member *m,
                                   const struct rmap_mmu_run *run, uint32_t slot, rmap_pte_t e)
{
    const struct rmap_pte_format *f = m->mmu.ops->format;
    (void)w, (void)p;
    if (rmap_pte_kind(f, e) == RMAP_PTE_MIGRATION)
        rmap_run_set(&m->mmu, run, slot, rmap_pte_to_kind(f, e, RMAP_PTE_PRESENT));
    return RMAP_REASON_NONE;
}

/* ---- to the new frame ---- */

/* Pages that are restored together: those of one or a few walks, without gaps. */
struct flock {
    struct rmap_page *page[RMAP_WALK_CLUSTER];
    struct rmap_page *target[RMAP_WALK_CLUSTER]; /* NULL: back to the old frame */
    rmap_pfn_t pfn[RMAP_WALK_CLUSTER];           /* the target's */
    struct rmap_result result[RMAP_WALK_CLUSTER];
    size_t place[RMAP_WALK_CLUSTER]; /* in the caller's arrays */
    size_t n;
};

/* A present entry is one that was no-access until rmap_protect gave reading back: it is replaced like the others. */
static enum rmap_reason land_visit(struct rmap__walk *w, struct rmap__walk_page *p, struct rmap_member *m,
                                   const struct rmap_mmu_run *run, uint32_t slot, rmap_pte_t e)
{
    const struct rmap_pte_format *f = m->mmu.ops->format;
    const struct flock *x = w->ctx;
    const size_t i = (size_t)(p->result - x->result);
    const unsigned attrs = rmap_pte_attrs(f, e);
    bool first;
    if (rmap__page_count_up(x->target[i], &first)) return RMAP_REASON_BUSY; /* count before entry */
    if (first) rmap_page_get(x->target[i]);
    if (rmap_pte_present(f, e))
        rmap__run_modify(&m->mmu, run, slot, e, rmap_pte_make(f, x->pfn[i], attrs));
    else if (rmap_pte_kind(f, e) == RMAP_PTE_MIGRATION)
        rmap_run_set(&m->mmu, run, slot, rmap_pte_make(f, x->pfn[i], attrs));
    else
        rmap_run_set(&m->mmu, run, slot, rmap_pte_make_kind(f, RMAP_PTE_NO_ACCESS, x->pfn[i], attrs));
    rmap__gather_flush(w->gather, m, run->first + slot, e, RMAP_FLUSH_ALL);
    rmap__walk_take(w, p); /* the target's mapping takes its place in the books */
    w->taken--;
    return RMAP_REASON_NONE;
}

/* Flushed before the run is unlocked: a zap that meets a migration entry has nothing to flush (D4). */
static const struct rmap__visitor to_migration = {.verb = RMAP_WALK_MIGRATE,
                                                  .visit = begin_visit,
                                                  .begin = begin_begin,
                                                  .tighten = rmap__walk_tighten_page,
                                                  .flush_in_run = true},
                                  to_old = {.verb = RMAP_WALK_RESTORE, .visit = back_visit},
                                  to_target = {.verb = RMAP_WALK_RESTORE,
                                               .visit = land_visit,
                                               .takes = true,
                                               .flush_in_run = true};

/*
 * Restore the flock's entries. A walk that looks for one page alone leaves none: the only new entries are a fork's copies,
 * of ones not restored yet, and then further on in the order (INV-4), also if the child joined while the walk rested; or
 * of restored ones.
 * So what is counted after it has no entry any more: somebody dropped it and has still to lower the count. Of a batch
 * that is not certain, since a huge entry at one page hides the pages behind it: hence the second walk. Two in all,
 * whatever others do.
 */
static void restore(struct rmap *r, struct flock *x, const struct rmap__visitor *v)
{
    rmap__walk_pages(r, v, x, x->page, x->n, 0, x->result);
    for (size_t i = 0; i < x->n; i++) {
        struct rmap_result *res = &x->result[i];
        if (res->outcome != RMAP_INCOMPLETE || res->reason) continue;
        const struct rmap_result batch = *res;
        rmap__walk_pages(r, v, x, &x->page[i], 1, 0, res);
        if (res->outcome == RMAP_INCOMPLETE && !res->reason) res->outcome = RMAP_DONE;
        if (v == &to_target) res->hits += batch.hits; /* those of the first walk are not met again */
        res->visits += batch.visits;
        res->nodes += batch.nodes;
    }
}

/* The target becomes the page, before any entry shows it. Once is as good as twice. */
static void hand_over(struct rmap *r, struct rmap_page *page, struct rmap_page *target)
{
    const unsigned kept = RMAP_PAGE_DIRTY | RMAP_PAGE_REFERENCED | RMAP_PAGE_DISCARDABLE;
    rmap__page_set_owner(target, rmap__owner_tag(rmap_page_owner(page)));
    rmap__page_set_index(target, rmap_page_index(page));
    rmap_page_set_flags(target, rmap_page_flags(page) & kept);
    if (rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE) r->swap->replace(r->swap_ctx, page, target);
}

/* Nothing shows the old frame any more. */
static void let_go(struct rmap *r, struct rmap_page *page, struct rmap_page *target)
{
    if (rmap_page_flags(page) & RMAP_PAGE_DIRTY) rmap_page_set_flags(target, RMAP_PAGE_DIRTY); /* INV-7: a late zap's */
    rmap_owner_t owner = rmap_page_owner(page);
    atomic_store_explicit(&page->owner, 0, memory_order_release);
    rmap_owner_put(owner);
    rmap_page_clear_flags(page, RMAP_PAGE_MIGRATING | RMAP_PAGE_DISCARDABLE | RMAP_PAGE_REFERENCED);
    RMAP__COUNT(r, migrated, 1);
}

static bool can_hand_over(const struct rmap *r, const struct rmap_page *page)
{
    return !(rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE) || r->swap->replace;
}

/* Take page i into the flock, if it goes the way that this pass is about. */
static void flock_add(struct rmap *r, struct flock *x, struct rmap_page *page, struct rmap_page *target, size_t i,
                      bool forward)
{
    const bool wanted = target && target != page;
    if (!(rmap_page_flags(page) & RMAP_PAGE_MIGRATING) || forward != (wanted && can_hand_over(r, page))) return;
    x->page[x->n] = page;
    x->target[x->n] = wanted ? target : NULL;
    x->pfn[x->n] = wanted ? rmap_page_pfn(r, target) : RMAP_PFN_NONE;
    x->place[x->n++] = i;
    if (forward) hand_over(r, page, target);
}

static void flock_end(struct rmap *r, struct flock *x, bool forward, struct rmap_result *results)
{
    restore(r, x, forward ? &to_target : &to_old);
    for (size_t i = 0; i < x->n; i++) {
        struct rmap_result *res = &results[x->place[i]];
        *res = x->result[i];
        if (res->outcome != RMAP_DONE) continue;
        if (forward) {
            let_go(r, x->page[i], x->target[i]);
            continue;
        }
        rmap_page_clear_flags(x->page[i], RMAP_PAGE_MIGRATING);
        if (!x->target[i]) continue; /* that way was wanted */
        res->outcome = RMAP_PARTIAL;
        res->reason = RMAP_REASON_NO_SLOT;
    }
    x->n = 0;
}

static void end_pages(struct rmap *r, struct rmap_page *const *pages, struct rmap_page *const *targets, size_t n,
                      struct rmap_result *results)
{
    for (unsigned forward = 0; forward < 2; forward++) {
        struct flock x;
        x.n = 0;
        for (size_t i = 0; i < n; i++) {
            flock_add(r, &x, pages[i], targets ? targets[i] : NULL, i, forward);
            if (x.n == RMAP_WALK_CLUSTER) flock_end(r, &x, forward, results);
        }
        if (x.n) flock_end(r, &x, forward, results);
    }
}

/* ---- the verbs ---- */

int rmap_migrate_begin(struct rmap *r, struct rmap_page *const *pages, size_t n, unsigned flags,
                       struct rmap_result *results)
{
    if (flags) return RMAP_ERR_INVALID; /* RMAP_LOCK_PAGES, too: the locks are held beyond this call */
    int err = rmap__walk_pages(r, &to_migration, NULL, pages, n, 0, results);
    if (err) return err;
    /* What came half-way goes back; pages that this call did not mark are not ours to touch. */
    for (size_t i = 0; i < n; i++) {
        const bool marked = rmap_page_flags(pages[i]) & RMAP_PAGE_MIGRATING;
        if (!marked && !results[i].reason) results[i].outcome = RMAP_INCOMPLETE; /* nobody knows who uses it */
        if (results[i].outcome == RMAP_DONE || results[i].reason || !marked) continue;
        struct flock x = {.page = {pages[i]}, .n = 1};
        restore(r, &x, &to_old);
        rmap_page_clear_flags(pages[i], RMAP_PAGE_MIGRATING);
    }
    return 0;
}

/* A page that nobody knows, or one that has become this page in an end that did not come to its own. */
static bool target_fits(const struct rmap_page *page, const struct rmap_page *target)
{
    if (rmap_page_flags(target) & (RMAP_PAGE_SPECIAL | RMAP_PAGE_POISON | RMAP_PAGE_MIGRATING)) return false;
    if (!rmap_page_is_anon(target)) return !rmap_page_mapcount(target);
    return rmap_page_owner(target) == rmap_page_owner(page) && rmap_page_index(target) == rmap_page_index(page) &&
           (rmap_page_flags(page) & RMAP_PAGE_MIGRATING);
}

/*
 * `all`: every page must have a target. `lock`: pages and targets are locked later.
 * @return 0; NULL_ARG; INVALID; UNKNOWN_PAGE.
 */
static int check(struct rmap *r, struct rmap_page *const *pages, struct rmap_page *const *targets, size_t n, bool all,
                 bool lock, const struct rmap_result *results)
{
    if (!r || (n && (!pages || !results || (all && !targets)))) return RMAP_ERR_NULL_ARG;
    for (size_t i = 0; i < n; i++) {
        if (rmap_page_pfn(r, pages[i]) == RMAP_PFN_NONE) return RMAP_ERR_UNKNOWN_PAGE;
        struct rmap_page *target = targets ? targets[i] : NULL;
        if (all && !target) return RMAP_ERR_NULL_ARG;
        if (!target || (!all && target == pages[i])) continue;
        if (rmap_page_pfn(r, target) == RMAP_PFN_NONE) return RMAP_ERR_UNKNOWN_PAGE;
        if (target == pages[i] || !target_fits(pages[i], target)) return RMAP_ERR_INVALID;
        if (!lock && !(rmap_page_flags(target) & RMAP_PAGE_LOCKED)) return RMAP_ERR_INVALID;
    }
    return 0;
}

int rmap_migrate_end(struct rmap *r, struct rmap_page *const *pages, struct rmap_page *const *targets, size_t n,
                     unsigned flags, struct rmap_result *results)
{
    int err = check(r, pages, targets, n, false, false, results);
    if (err) return err;
    if (flags) return RMAP_ERR_INVALID;
    end_pages(r, pages, targets, n, results);
    return 0;
}

/* Everything is locked, and has been checked. */
static void migrate_locked(struct rmap *r, struct rmap_page *const *pages, struct rmap_page *const *targets, size_t n,
                           struct rmap_result *results)
{
    rmap_migrate_begin(r, pages, n, 0, results);
    for (size_t i = 0; i < n; i++)
        if (results[i].outcome == RMAP_DONE)
            r->frames->copy(r->frames_ctx, rmap_page_pfn(r, targets[i]), rmap_page_pfn(r, pages[i]));
    end_pages(r, pages, targets, n, results);
}

/* Wait for the first page's lock, and only try every other one, the targets' as well: nobody knows those, or should not. */
static bool lock_pair(struct rmap *r, struct rmap_page *page, struct rmap_page *target, bool wait)
{
    if (wait)
        rmap_page_lock(page);
    else if (!rmap_page_try_lock(page))
        return false;
    if (rmap_page_try_lock(target)) return true;
    rmap_page_unlock(r, page);
    return false;
}

/* RMAP_LOCK_PAGES, in turns of as many as one walk takes. */
static void lock_and_migrate(struct rmap *r, struct rmap_page *const *pages, struct rmap_page *const *targets, size_t n,
                             struct rmap_result *results)
{
    for (size_t i = 0; i < n;) {
        struct flock x;
        for (x.n = 0; i < n && x.n < RMAP_WALK_CLUSTER; i++) {
            results[i] = (struct rmap_result){.outcome = RMAP_INCOMPLETE, .reason = RMAP_REASON_BUSY};
            if (!lock_pair(r, pages[i], targets[i], i == 0)) continue;
            x.page[x.n] = pages[i];
            x.target[x.n] = targets[i];
            x.place[x.n++] = i;
        }
        migrate_locked(r, x.page, x.target, x.n, x.result);
        for (size_t k = 0; k < x.n; k++) {
            results[x.place[k]] = x.result[k];
            rmap_page_unlock(r, x.target[k]);
            rmap_page_unlock(r, x.page[k]);
        }
    }
}

int rmap_migrate(struct rmap *r, struct rmap_page *const *pages, struct rmap_page *const *targets, size_t n,
                 unsigned flags, struct rmap_result *results)
{
    const bool lock = flags & RMAP_LOCK_PAGES;
    int err = check(r, pages, targets, n, true, lock, results);
    if (err) return err;
    if (flags & ~(unsigned)RMAP_LOCK_PAGES) return RMAP_ERR_INVALID;
    (lock ? lock_and_migrate : migrate_locked)(r, pages, targets, n, results);
    return 0;
}
