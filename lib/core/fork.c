/* SPDX-License-Identifier: MIT */
/**
 * @file core/fork.c  The fork transaction: begin (into the tree), copy (the entries), commit or abort.
 *
 * The child stands in the tree before its first entry exists, and after its source in walk order (INV-4). While entries
 * are copied the parent is marked *forking*: a page found in it alone is not re-homed to its open epoch, of which the
 * child is no candidate, but to the newest closed one, of which it is.
 */
#include <core/track.h>

enum { FORK_OPEN = 1, FORK_FAILED = 2 };

int rmap_fork_begin(struct rmap_member *parent, struct rmap_member *child, const struct rmap_mmu *mmu,
                    struct rmap_fork *f)
{
    if (!parent || !child || !f) return RMAP_ERR_NULL_ARG;
    if (!parent->node) return RMAP_ERR_DEAD;
    int err = rmap__mmu_check(mmu);
    if (err) return err;
    if (child != parent && child->node) return RMAP_ERR_EXISTS;
    if (child == parent || mmu->ctx == parent->mmu.ctx || mmu->ops->format != parent->mmu.ops->format ||
        mmu->pages < parent->mmu.pages)
        return RMAP_ERR_INVALID;
    if (parent->forking) return RMAP_ERR_BUSY;
    struct rmap *r = parent->r;
    struct rmap__spare spare;
    if ((err = rmap__spare_fill(r, &spare, 1, 2))) return err;
    f->parent = parent;
    f->child = child;
    f->copied_present = f->copied_swap = 0;
    f->state = FORK_OPEN;
    rmap_gather_init(&f->gather, r);
    void *user = child->user;
    memset(child, 0, sizeof *child);
    child->user = user;
    child->r = r;
    child->mmu = *mmu;

    struct rmap__group *g = rmap__member_group(parent);
    rmap__group_wrlock(g);
    rmap__tree_attach(g, parent, child, &spare);
    child->policy = parent->policy;
    child->track = parent->track;
    rmap__track_get(child->track);
    child->newborn = true;
    parent->home_tag = rmap__member_epoch(parent, true)->tag;
    rmap__tag_get(parent->home_tag);
    atomic_store_explicit(&parent->forking, 1, memory_order_relaxed); /* published by the unlock */
    struct rmap__tag *dead = rmap__tags_reap(g);
    rmap__group_unlock(g);
    rmap__tags_free(g, dead);
    rmap__spare_drop(r, &spare); /* what the tree did not need */
    return 0;
}

/* The child's entry for the parent's `e`: same frame, not writable, not dirty, not locked (D9). */
rmap_pte_t rmap__fork_inherited(const struct rmap_pte_format *f, rmap_pte_t e)
{
    e = rmap_pte_set(f, e, RMAP_ATTR_LOCKED, false);
    if (rmap_pte_kind(f, e) == RMAP_PTE_SWAP) return e;
    return rmap_pte_set(f, rmap_pte_set(f, e, RMAP_ATTR_WRITE, false), RMAP_ATTR_DIRTY, false);
}

/* Copy one mapping: write-protect the source, raise the count, in this order and before the child's entry is set. A
 * page with pins is handed out instead, with a reference. (That of a migration entry has none: both need its lock.) */
static int copy_mapping(struct rmap_fork *f, const struct rmap_mmu_run *from, uint32_t i, rmap_pte_t e,
                        uint64_t *counted, struct rmap_page **pinned)
{
    struct rmap_member *m = f->parent;
    const struct rmap_pte_format *fmt = m->mmu.ops->format;
    struct rmap_page *page = rmap_page_find(m->r, rmap_pte_pfn(fmt, e));
    if (!page) return RMAP_ERR_BAD_FRAME;
    if (!rmap__page_counted(page)) return 0;
    if (rmap_page_pins(page) && rmap_pte_kind(fmt, e) != RMAP_PTE_MIGRATION) {
        rmap_page_get(page);
        *pinned = page;
        return 0;
    }
    if (rmap_pte_get(fmt, e, RMAP_ATTR_WRITE)) {
        rmap_pte_t old = rmap__run_modify(&m->mmu, from, i, e, rmap_pte_set(fmt, e, RMAP_ATTR_WRITE, false));
        rmap_gather_flush(&f->gather, m, from->first + i, old, RMAP_FLUSH_WRITE);
    }
    bool first;
    int err = rmap__page_count_up(page, &first);
    if (!err) ++*counted;
    return err;
}

static int copy_swap(struct rmap_fork *f, rmap_vpn_t vpn, rmap_swp_t entry)
{
    struct rmap *r = f->parent->r;
    struct rmap_slot_home home;
    if (!r->swap) return RMAP_ERR_BAD_FRAME;
    int err = r->swap->dup(r->swap_ctx, entry, 1);
    if (err == RMAP_ERR_ABSENT) return RMAP_ERR_BAD_FRAME; /* the slot is dead; ABSENT would mean the range's end */
    if (err) return err;
    if (f->parent->moved && !r->swap->get_home(r->swap_ctx, entry, &home) && home.index != vpn)
        atomic_fetch_add_explicit(&f->child->moved, 1, memory_order_relaxed);
    f->copied_swap++;
    return 0;
}

/* Both runs locked; copies the page numbers [*at, end) that both hold, up to a pinned page. @return 0 or the error of the
 * entry that failed. */
static int copy_entries(struct rmap_fork *f, const struct rmap_mmu_run *from, const struct rmap_mmu_run *to,
                        rmap_vpn_t *at_out, rmap_vpn_t end, struct rmap_page **pinned)
{
    const struct rmap_pte_format *fmt = f->parent->mmu.ops->format;
    uint64_t counted = 0, swaps = f->copied_swap;
    rmap_vpn_t at = *at_out;
    int err = 0;
    for (; at < end && !err; at++) {
        rmap_pte_t e = rmap_run_get(&f->parent->mmu, from, (uint32_t)(at - from->first));
        if (!e) continue;
        if (rmap_run_get(&f->child->mmu, to, (uint32_t)(at - to->first))) {
            err = RMAP_ERR_EXISTS;
            break;
        }
        switch (rmap_pte_kind(fmt, e)) {
        case RMAP_PTE_PRESENT:
        case RMAP_PTE_NO_ACCESS:
        case RMAP_PTE_MIGRATION:
            err = copy_mapping(f, from, (uint32_t)(at - from->first), e, &counted, pinned);
            break;
        case RMAP_PTE_SWAP:
            err = copy_swap(f, at, rmap_pte_swp(fmt, e));
            break;
        case RMAP_PTE_POISON:
            break;
        default:
            err = RMAP_ERR_BAD_FRAME;
        }
        if (*pinned) break;
        if (!err) rmap_run_set(&f->child->mmu, to, (uint32_t)(at - to->first), rmap__fork_inherited(fmt, e));
    }
    rmap__mappings_add(f->child, counted);
    atomic_fetch_add_explicit(&f->child->swapped, f->copied_swap - swaps, memory_order_relaxed);
    f->copied_present += counted;
    RMAP__COUNT(f->parent->r, fork_entries, counted + f->copied_swap - swaps);
    *at_out = at;
    return err;
}

/* One parent run, or the part of it from *at. Advances *at; ABSENT: nothing is left before `end`. */
static int copy_run(struct rmap_fork *f, rmap_vpn_t *at, rmap_vpn_t end)
{
    const struct rmap_mmu *pm = &f->parent->mmu, *cm = &f->child->mmu;
    struct rmap_mmu_run from, to;
    struct rmap_tables tables = {0};
    struct rmap_page *pinned = NULL;
    int err = pm->ops->run_find(pm->ctx, *at, end, &from);
    if (err) return err;
    if (*at < from.first) *at = from.first;
    pm->ops->run_unlock(pm->ctx, &from); /* tables are made with no run held; the space lock keeps this one */
    if ((err = cm->ops->reserve(cm->ctx, *at, &tables))) return err;
    if (!(err = pm->ops->run_find(pm->ctx, *at, end, &from))) {
        if (!(err = cm->ops->run_make(cm->ctx, *at, &tables, &to))) {
            rmap_vpn_t stop = from.first + from.count;
            if (stop > to.first + to.count) stop = to.first + to.count;
            if (stop > end) stop = end;
            err = copy_entries(f, &from, &to, at, stop, &pinned);
            cm->ops->run_unlock(cm->ctx, &to);
        }
        pm->ops->run_unlock(pm->ctx, &from);
    }
    cm->ops->unreserve(cm->ctx, &tables);
    if (!pinned) return err;
    err = rmap__fork_pinned(f, *at, pinned);
    *at += err == 0;
    return err == RMAP__FORK_AGAIN ? 0 : err;
}

int rmap_fork_copy(struct rmap_fork *f, rmap_vpn_t first, uint64_t count, unsigned flags)
{
    if (!f) return RMAP_ERR_NULL_ARG;
    if (f->state != FORK_OPEN || flags) return RMAP_ERR_INVALID;
    int err = rmap__range_check(&f->parent->mmu, first, count);
    if (err) return err;
    const rmap_vpn_t end = first + count;
    for (rmap_vpn_t at = first; at < end && !err;) {
        RMAP__YIELD(f->parent->r, RMAP__AT_FORK_RUN);
        err = copy_run(f, &at, end);
    }
    if (err == RMAP_ERR_ABSENT) return 0;
    if (err) f->state = FORK_FAILED;
    return err;
}

static void fork_end(struct rmap_fork *f)
{
    struct rmap_member *parent = f->parent;
    atomic_store_explicit(&parent->forking, 0, memory_order_release);
    rmap__tag_put(parent->home_tag);
    parent->home_tag = parent->open_tag;
    f->child->newborn = false;
}

void rmap_fork_commit(struct rmap_fork *f)
{
    RMAP_ASSERT(f->state == FORK_OPEN);
    if (f->state != FORK_OPEN) return; /* a fork that failed can only be aborted */
    rmap_gather_finish(&f->gather);
    fork_end(f);
    RMAP__COUNT(f->parent->r, forks, 1);
    f->state = 0;
}

void rmap_fork_abort(struct rmap_fork *f)
{
    struct rmap_member *child = f->child;
    if (!f->state) return;
    rmap_gather_finish(&f->gather);
    rmap_zap(child, 0, child->mmu.pages, NULL);
    /* First the mark: with the child its closed epoch may go, to which walks re-home while they see the mark. */
    fork_end(f);
    rmap__member_remove(child);
    f->state = 0;
}
