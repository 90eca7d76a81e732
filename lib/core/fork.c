/* SPDX-License-Identifier: MIT */
/**
 * @file core/fork.c  The fork transaction: begin (into the tree), copy (the entries), commit or abort.
 *
 * The child stands in the tree before its first entry exists, and after its source in walk order (INV-4). While entries
 * are copied the parent is marked *forking*: a page found in it alone is not re-homed to its open epoch, of which the
 * child is no candidate, but to the newest closed one, of which it is.
 */
#include <core/count.h>
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
    atomic_store_explicit(&child->newborn, 1, memory_order_relaxed); /* published by the unlock, as the next one */
    parent->home_tag = rmap__member_epoch(parent, true)->tag;
    rmap__tag_get(parent->home_tag);
    atomic_store_explicit(&parent->forking, 1, memory_order_relaxed); /* published by the unlock */
    struct rmap__tag *dead = rmap__tags_reap(g);
    rmap__group_unlock(g);
    rmap__tags_free(g, dead);
    rmap__spare_drop(r, &spare); /* what the tree did not need */
    return 0;
}

/* The child's entry has the same frame and is not writable, not dirty, not locked (D9): as masks, inherited = (e & keep) | set.
 * Of a swap entry only the locked attribute means anything. */
static void inherit(const struct rmap_pte_format *f, bool maps, rmap_pte_t *keep, rmap_pte_t *set)
{
    static const enum rmap_pte_attr lost[] = {RMAP_ATTR_LOCKED, RMAP_ATTR_WRITE, RMAP_ATTR_DIRTY};
    *keep = ~(rmap_pte_t)0;
    *set = 0;
    for (unsigned k = 0; k < (maps ? 3 : 1); k++) {
        *keep &= ~f->attr[lost[k]].mask;
        *set |= f->attr[lost[k]].mask & ~f->attr[lost[k]].on;
    }
}

rmap_pte_t rmap__fork_inherited(const struct rmap_pte_format *f, rmap_pte_t e)
{
    rmap_pte_t keep, set;
    inherit(f, rmap_pte_kind(f, e) != RMAP_PTE_SWAP, &keep, &set);
    return (e & keep) | set;
}

/* Runs of parent and child under copy, and what the loop over their entries needs beside them. */
struct copy {
    struct rmap_fork *f;
    struct rmap_mmu_run from, to;
    struct rmap_page *pinned; /* stopped the loop; referenced */
    uint64_t counted;         /* mappings of the child so far */
};

/* What a plain entry (below) is, and what it is copied by. */
struct plain {
    RMAP_ATOMIC(rmap_pte_t) *src, *dst; /* parent's slot 0, and the child's for it; src NULL: there are no plain entries here */
    rmap_pte_t present, is;             /* (e & present) == is */
    struct rmap_pte_bit write;          /* is never on if mask is 0 */
    rmap_pte_t keep, set;               /* inherited = (e & keep) | set */
    rmap_pte_t payload;
    unsigned shift;
    struct rmap__section frames;
};

static struct plain plain_make(const struct copy *c)
{
    const struct rmap_pte_format *fmt = c->f->parent->mmu.ops->format;
    struct plain k = {.present = fmt->present_mask,
                      .is = fmt->present_value,
                      .write = fmt->attr[RMAP_ATTR_WRITE],
                      .payload = rmap_pte_payload_mask(fmt),
                      .shift = fmt->payload_shift,
                      .frames = rmap__main_section(c->f->parent->r)};
    if (!k.write.mask) k.write.on = 1;
    inherit(fmt, true, &k.keep, &k.set);
    if (!c->from.slots || !c->to.slots || c->from.first < c->to.first) return k;
    k.src = c->from.slots;
    k.dst = c->to.slots + (c->from.first - c->to.first);
    return k;
}

/*
 * Copy one mapping: write-protect the source, raise the count, in this order and before the child's entry is set. A
 * page with pins is handed out instead, with a reference. (That of a migration entry has none: both need its lock.)
 */
static inline int copy_mapping(struct copy *c, uint32_t i, rmap_pte_t e, struct rmap_page *page)
{
    struct rmap_member *m = c->f->parent;
    const struct rmap_pte_format *fmt = m->mmu.ops->format;
    if (!page) return RMAP_ERR_BAD_FRAME;
    if (!rmap__page_counted(page)) return 0;
    if (rmap_page_pins(page) && rmap_pte_kind(fmt, e) != RMAP_PTE_MIGRATION) {
        rmap_page_get(page);
        c->pinned = page;
        return 0;
    }
    if (rmap_pte_get(fmt, e, RMAP_ATTR_WRITE)) {
        rmap_pte_t old = rmap__run_modify(&m->mmu, &c->from, i, e, rmap_pte_set(fmt, e, RMAP_ATTR_WRITE, false));
        rmap_gather_flush(&c->f->gather, m, c->from.first + i, old, RMAP_FLUSH_WRITE);
    }
    bool first;
    int err = rmap__page_count_up(page, &first);
    if (!err) c->counted++;
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

/* An entry that maps nothing. @return 0, or what stops the fork. */
static int copy_other(struct copy *c, uint32_t i, rmap_pte_t e)
{
    const struct rmap_pte_format *fmt = c->f->parent->mmu.ops->format;
    const enum rmap_pte_kind kind = rmap_pte_kind(fmt, e);
    if (kind == RMAP_PTE_SWAP) return copy_swap(c->f, c->from.first + i, rmap_pte_swp(fmt, e));
    return kind == RMAP_PTE_POISON ? 0 : RMAP_ERR_BAD_FRAME;
}

/* Whatever the entry is. @return 0 (or c->pinned), or what stops the fork. */
static __attribute__((noinline)) int copy_entry(struct copy *c, uint32_t i, rmap_pte_t e)
{
    const struct rmap_mmu *cm = &c->f->child->mmu;
    const struct rmap_pte_format *fmt = cm->ops->format;
    const uint32_t to = (uint32_t)(c->from.first - c->to.first) + i;
    if (rmap_run_get(cm, &c->to, to)) return RMAP_ERR_EXISTS;
    int err = rmap_pte_maps(fmt, e) ? copy_mapping(c, i, e, rmap_page_find(c->f->parent->r, rmap_pte_pfn(fmt, e)))
                                    : copy_other(c, i, e);
    if (!err && !c->pinned) rmap_run_set(cm, &c->to, to, rmap__fork_inherited(fmt, e));
    return err;
}

/*
 * Copy plain entries, which is most of a fork: present, of a page that counts and is not pinned, in tables in memory. What
 * copy_entry() would do, with what it looks up for each entry in registers. @return the slot of the first entry that is not
 * plain, or whose count is full: copy_entry() will see; `last` if there is none.
 */
static uint32_t copy_plain(struct copy *c, const struct plain *plain, uint32_t i, uint32_t last)
{
    const struct plain k = *plain;
    struct rmap_member *m = c->f->parent;
    uint64_t counted = 0;
    for (; i < last; i++) {
        const rmap_pte_t e = atomic_load_explicit(&k.src[i], memory_order_relaxed);
        if (!e) continue;
        if (i + RMAP__AHEAD < last) {
            const rmap_pte_t ahead = atomic_load_explicit(&k.src[i + RMAP__AHEAD], memory_order_relaxed);
            rmap__frame_prefetch(&k.frames, (ahead & k.payload) >> k.shift);
        }
        const uint64_t frame = ((e & k.payload) >> k.shift) - k.frames.first;
        if ((e & k.present) != k.is || frame >= k.frames.count || atomic_load_explicit(&k.dst[i], memory_order_relaxed)) break;
        struct rmap_page *page = (struct rmap_page *)(k.frames.base + frame * k.frames.stride);
        if (!rmap__page_counted(page) || rmap_page_pins(page)) break;
        if ((e & k.write.mask) == k.write.on) { /* as in copy_mapping: first this, then the count */
            rmap_pte_t old = rmap__run_modify(&m->mmu, &c->from, i, e, (e & ~k.write.mask) | (k.write.mask & ~k.write.on));
            rmap__gather_flush(&c->f->gather, m, c->from.first + i, old, RMAP_FLUSH_WRITE);
        }
        if (!rmap__page_count_forked(m->r, page)) break;
        counted++;
        atomic_store_explicit(&k.dst[i], (e & k.keep) | k.set, memory_order_release);
    }
    c->counted += counted;
    return i;
}

/* Both runs locked; copies the page numbers [*at, end) that both hold, up to a pinned page. @return 0 or the error of the
 * entry that failed. */
static int copy_entries(struct copy *c, rmap_vpn_t *at, rmap_vpn_t end)
{
    struct rmap_fork *f = c->f;
    const struct rmap_mmu *pm = &f->parent->mmu;
    const struct plain plain = plain_make(c);
    const uint64_t swaps = f->copied_swap;
    const uint32_t last = (uint32_t)(end - c->from.first);
    uint32_t i = (uint32_t)(*at - c->from.first);
    int err = 0;
    for (; i < last; i++) {
        if (plain.src && (i = copy_plain(c, &plain, i, last)) == last) break;
        const rmap_pte_t e = rmap_run_get(pm, &c->from, i);
        if (!e) continue;
        err = copy_entry(c, i, e);
        if (err || c->pinned) break;
    }
    rmap__mappings_add(f->child, c->counted);
    atomic_fetch_add_explicit(&f->child->swapped, f->copied_swap - swaps, memory_order_relaxed);
    f->copied_present += c->counted;
    RMAP__COUNT(f->parent->r, fork_entries, c->counted + f->copied_swap - swaps);
    *at = c->from.first + i;
    return err;
}

/* One parent run, or the part of it from *at. Advances *at; ABSENT: nothing is left before `end`. */
static int copy_run(struct rmap_fork *f, rmap_vpn_t *at, rmap_vpn_t end)
{
    const struct rmap_mmu *pm = &f->parent->mmu, *cm = &f->child->mmu;
    struct copy c = {.f = f};
    struct rmap_tables tables = {0};
    int err = pm->ops->run_find(pm->ctx, *at, end, &c.from);
    if (err) return err;
    if (*at < c.from.first) *at = c.from.first;
    pm->ops->run_unlock(pm->ctx, &c.from); /* tables are made with no run held; the space lock keeps this one */
    if ((err = cm->ops->reserve(cm->ctx, *at, &tables))) return err;
    if (!(err = pm->ops->run_find(pm->ctx, *at, end, &c.from))) {
        if (!(err = cm->ops->run_make(cm->ctx, *at, &tables, &c.to))) {
            rmap_vpn_t stop = c.from.first + c.from.count;
            if (stop > c.to.first + c.to.count) stop = c.to.first + c.to.count;
            if (stop > end) stop = end;
            err = copy_entries(&c, at, stop);
            cm->ops->run_unlock(cm->ctx, &c.to);
        }
        pm->ops->run_unlock(pm->ctx, &c.from);
    }
    cm->ops->unreserve(cm->ctx, &tables);
    if (!c.pinned) return err;
    err = rmap__fork_pinned(f, *at, c.pinned);
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
    atomic_store_explicit(&f->child->newborn, 0, memory_order_release); /* its entries are there */
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
