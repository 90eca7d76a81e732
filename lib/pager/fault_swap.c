/* SPDX-License-Identifier: MIT */
/**
 * @file pager/fault_swap.c  A swap entry: its page comes from the swap cache or from the device.
 *
 * The page is then mapped read-only as it is, and stays the clean copy's cache; a write goes on to reuse or copy. Where
 * it cannot be mapped for certain, a private copy is taken at once: when the entry lies where no page of its slot may be
 * (it was moved while shared, untracked: S10), and when a write finds that others use the page or its slot.
 */
#include <pager/fault.h>

struct swapin {
    rmap_swp_t entry;
    rmap_vpn_t index;       /* the slot's */
    struct rmap_page *page; /* in the cache, locked, referenced; or NULL */
    bool loaded;            /* read from the device by this fault */
};

static void release(struct rmap__fault_state *f, struct swapin *in)
{
    rmap_page_unlock(f->m->r, in->page);
    rmap_page_put(f->m->r, in->page);
    in->page = NULL;
}

static bool others_use(const struct rmap__fault_state *f, const struct swapin *in)
{
    if (rmap_swap_get_ops()->count(f->s->p->swap, in->entry) > 1) return true;
    return in->page && rmap_page_mapcount(in->page) > 0;
}

static bool wants_private(const struct rmap__fault_state *f, const struct swapin *in)
{
    return !rmap_member_may_map(f->m, in->index, f->vpn) || ((f->access & RMAP_WRITE) && others_use(f, in));
}

/* The cached page, locked. @return 0, with or without a page; AGAIN: it left the cache while we waited for its lock;
 * POISON. */
static int find_cached(struct rmap__fault_state *f, struct swapin *in)
{
    in->page = rmap_swap_cache_find(f->s->p->swap, in->entry);
    if (!in->page) return 0;
    rmap_page_lock(in->page);
    const bool still = (rmap_page_flags(in->page) & RMAP_PAGE_SWAPCACHE) && in->page->swap == in->entry;
    const bool lost = rmap_page_flags(in->page) & RMAP_PAGE_POISON;
    if (still && !lost) return 0;
    release(f, in);
    return still ? RMAP_ERR_POISON : RMAP__FAULT_AGAIN;
}

/*
 * The slot was dead when we looked. If the entry has gone with it, somebody dropped it meanwhile; and the same entry may be
 * back since, naming a new life of the slot (design/races.md). With the run locked an entry keeps its slot: a slot that is
 * dead now has never been ours.
 */
static int slot_is_dead(struct rmap__fault_state *f)
{
    struct rmap_mmu_run run;
    struct rmap_slot_home home;
    if (!rmap__fault_recheck(f, &run)) return RMAP__FAULT_AGAIN;
    int err = rmap_swap_get_ops()->get_home(f->s->p->swap, rmap_pte_swp(f->format, f->entry), &home);
    f->m->mmu.ops->run_unlock(f->m->mmu.ctx, &run);
    return err ? RMAP_ERR_BAD_FRAME : RMAP__FAULT_AGAIN;
}

/* Read the slot into a frame in hand, and its neighbours into those taken for them. */
static int load(struct rmap__fault_state *f, struct swapin *in)
{
    struct rmap_page *page = f->spare[f->spares - 1];
    rmap_page_lock(page);
    int rc = rmap__around_load(f, in->entry, page);
    if (rc) {
        rmap_page_unlock(f->m->r, page);
        if (rc == RMAP_ERR_ABSENT) return slot_is_dead(f);
        return rc == RMAP_ERR_EXISTS ? RMAP__FAULT_AGAIN : rc;
    }
    in->page = rmap__fault_take(f);
    in->loaded = true;
    RMAP__FAULT_STAT(f->s, swap_ins, 1);
    f->read++;
    return 0;
}

/* The entry goes: the slot's count follows by the gather. Run locked. */
static void drop_entry(struct rmap__fault_state *f, const struct swapin *in, struct rmap_gather *g)
{
    rmap_gather_swap(g, f->m, f->vpn, in->entry);
    if (!in->loaded) RMAP__FAULT_STAT(f->s, swap_in_cached, 1);
}

/* Private copy of the cached page. */
static int take_copy(struct rmap__fault_state *f, struct swapin *in, struct rmap_gather *g)
{
    struct rmap *r = f->m->r;
    struct rmap_page *own = f->spare[f->spares - 1];
    struct rmap_mmu_run run;
    rmap__frame_ops.copy(f->s->p, rmap_page_pfn(r, own), rmap_page_pfn(r, in->page));
    if (!rmap__fault_recheck(f, &run)) return RMAP__FAULT_AGAIN;
    rmap__fault_take(f);
    drop_entry(f, in, g);
    rmap__fault_install(f, &run, own, g);
    f->m->mmu.ops->run_unlock(f->m->mmu.ctx, &run);
    rmap_page_put(r, own); /* ours; the mapping has its own */
    if (!rmap_member_may_map(f->m, in->index, f->vpn)) {
        RMAP__FAULT_STAT(f->s, swap_in_copies, 1);
        f->copied++;
    } else {
        RMAP__FAULT_STAT(f->s, cow_copies, 1);
    }
    return RMAP__FAULT_DONE;
}

/* The cached page itself, read-only: its clean copy on swap stays true. A write looks at the entry once more. */
static int map_cached(struct rmap__fault_state *f, struct swapin *in, struct rmap_gather *g)
{
    struct rmap_mmu_run run;
    if (!rmap__fault_recheck(f, &run)) return RMAP__FAULT_AGAIN;
    int rc = rmap_page_map_swapin(f->m, in->page, in->entry);
    if (!rc) {
        drop_entry(f, in, g);
        unsigned attrs = f->attrs;
        if (rmap_pte_get(f->format, f->entry, RMAP_ATTR_SOFT_DIRTY)) attrs |= 1u << RMAP_ATTR_SOFT_DIRTY;
        rmap_run_set(&f->m->mmu, &run, (uint32_t)(f->vpn - run.first), rmap__fault_entry(f, in->page, attrs));
        if (f->access & RMAP_WRITE)
            rc = RMAP__FAULT_AGAIN;
        else
            rmap__fault_finish(f, &run);
    } else if (rc == RMAP_ERR_BUSY) {
        rc = RMAP__FAULT_AGAIN;
    }
    f->m->mmu.ops->run_unlock(f->m->mmu.ctx, &run);
    return rc;
}

int rmap__fault_swap(struct rmap__fault_state *f)
{
    struct swapin in = {.entry = rmap_pte_swp(f->format, f->entry)};
    struct rmap_slot_home home;
    if (rmap_swap_get_ops()->get_home(f->s->p->swap, in.entry, &home)) return slot_is_dead(f);
    in.index = home.index;
    int rc = find_cached(f, &in);
    if (rc) return rc;
    bool private = wants_private(f, &in);
    unsigned frames = (in.page == NULL) + private;
    if (f->spares < frames) {
        if (in.page)
            release(f, &in);
        else
            rmap__around_take(f);
        rc = rmap__fault_need(f, frames);
        return rc ? rc : RMAP__FAULT_AGAIN; /* the neighbours have brought all of them */
    }
    if (!in.page && (rc = load(f, &in))) return rc;
    if (!private) rmap__around_map_cached(f);

    struct rmap_gather g;
    rmap_gather_init(&g, f->m->r);
    rc = private ? take_copy(f, &in, &g) : map_cached(f, &in, &g);
    rmap_page_unlock(f->m->r, in.page);
    rmap_gather_finish(&g);
    rmap_page_put(f->m->r, in.page);
    return rc;
}
