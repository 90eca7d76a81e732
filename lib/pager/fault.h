/* SPDX-License-Identifier: MIT */
/**
 * @file pager/fault.h  One fault under way, as its steps see it.
 *
 * A fault is a loop: look at the entry under its run lock; if it allows the access, finish there and then; else take
 * the one step that this kind of entry needs, and look again. A step that needs a frame takes care of that first, with
 * nothing locked (reclaim may run), and looks again; so whatever it decides later, it decides about the entry as it is
 * by then.
 *
 *     none ──read──▶ zero page      swap ──▶ cache or device ──▶ mapped read-only, or a private copy
 *       └──write──▶ new page        present, read-only ──write──▶ reused if exclusive, else copied (COW)
 */
#ifndef RMAP_PAGER_FAULT_H
#define RMAP_PAGER_FAULT_H

#include <pager/pager_internal.h>

/** Answers of steps besides error codes. */
enum rmap__fault_step {
    RMAP__FAULT_DONE = 0,
    RMAP__FAULT_AGAIN = 1, /* look at the entry again */
};

#define RMAP__FAULT_SPARES 2
#define RMAP__AROUND_MAX RMAP__CLUSTER /* pages that one fault brings in, its own included */

/** Neighbours of the faulting page, in ascending order. `page`: frames in hand, which nobody else knows. fault_around.c */
struct rmap__around {
    rmap_vpn_t vpn[RMAP__AROUND_MAX];
    rmap_swp_t entry[RMAP__AROUND_MAX];
    struct rmap_page *page[RMAP__AROUND_MAX];
    unsigned count;
    bool asked; /* once for each fault */
};

struct rmap__fault_state {
    struct rmap_space *s;
    struct rmap_member *m;
    const struct rmap_pte_format *format;
    rmap_vpn_t vpn;
    rmap_vpn_t region_first, region_end;
    unsigned access;                 /* 0: only bring in what is on swap (swapoff) */
    bool no_access;                  /* the region allows nothing: what is made keeps its frame, not present */
    unsigned attrs;                  /* attributes that an entry of this region may be given by any fault */
    const struct rmap__touch *touch; /* may be NULL */
    rmap_pte_t entry;                /* as last seen */
    rmap_pfn_t near;                 /* frame that would continue the neighbours' */
    struct rmap_page *page;          /* what a present entry maps, referenced; or NULL */
    struct rmap_page *spare[RMAP__FAULT_SPARES]; /* frames in hand, nobody else knows them */
    unsigned spares;
    struct rmap__around around; /* to be read together */
    bool in_hand;               /* counted among those that may have frames */
    unsigned read, copied;      /* pages read from a device, private copies of pages whose entry had been moved */
};

/** Entry that maps the page with `attrs`: present, or no-access where the region allows nothing. */
static inline rmap_pte_t rmap__fault_entry(const struct rmap__fault_state *f, const struct rmap_page *page,
                                           unsigned attrs)
{
    const rmap_pfn_t pfn = rmap_page_pfn(f->m->r, page);
    return f->no_access ? rmap_pte_make_kind(f->format, RMAP_PTE_NO_ACCESS, pfn, attrs)
                        : rmap_pte_make(f->format, pfn, attrs);
}
/** Lock the entry's run and compare: is it still `f->entry`, but for accessed and dirty? If not, unlocked. */
bool rmap__fault_recheck(struct rmap__fault_state *f, struct rmap_mmu_run *run);
/** Add attributes (a set of 1 << RMAP_ATTR_…) to the live entry. Run locked. */
void rmap__fault_add_attrs(const struct rmap__fault_state *f, const struct rmap_mmu_run *run, unsigned attrs);
/** Set the attributes of this access in the entry, copy for `touch`, tell the MMU. Run locked. */
void rmap__fault_finish(struct rmap__fault_state *f, struct rmap_mmu_run *run);
/** Have n frames in hand. No lock held. @return 0: enough; AGAIN: some were taken, reclaim may have run; NO_FRAME. */
int rmap__fault_need(struct rmap__fault_state *f, unsigned n);
static inline struct rmap_page *rmap__fault_take(struct rmap__fault_state *f)
{
    return f->spare[--f->spares];
}

/* ---- fault_around.c ---- */
/** The faulting page has to be read: choose what is read with it, and take frames for that and for the page itself. Once for
 *  each fault, no lock held, may reclaim; takes nothing where there is nothing to spare. */
void rmap__around_take(struct rmap__fault_state *f);
/** Free the frames that were not used. No lock held. @return how many. */
unsigned rmap__around_give_back(struct rmap__fault_state *f);
/** rmap_swap_cache_load of the faulting page; what was chosen is read with it, and mapped. The page's lock held. */
int rmap__around_load(struct rmap__fault_state *f, rmap_swp_t entry, struct rmap_page *page);
/** Map neighbours that are cached and can be locked by try. The faulting page's lock may be held. */
void rmap__around_map_cached(struct rmap__fault_state *f);

/* ---- steps: each returns an enum rmap__fault_step or an error; no lock is held before and after ---- */

/** Nothing there (or, for a write, the zero page): zero page for reading, a new page for writing. fault_new.c */
int rmap__fault_new(struct rmap__fault_state *f);
/** A write to a present page that may not be written: reuse or copy. fault_cow.c */
int rmap__fault_cow(struct rmap__fault_state *f);
/** A swap entry. fault_swap.c */
int rmap__fault_swap(struct rmap__fault_state *f);
/**
 * Replace the entry, run locked and rechecked, by a mapping of the private `page` that holds the right contents; what
 * the old entry counted goes to the gather. Finishes the fault.
 */
void rmap__fault_install(struct rmap__fault_state *f, struct rmap_mmu_run *run, struct rmap_page *page,
                         struct rmap_gather *g);

#endif
