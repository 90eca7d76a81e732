/* SPDX-License-Identifier: MIT */
/** @file pager/fault.c  The fault loop: see fault.h. */
#include <pager/fault.h>

#include <sched.h>

#define ATTR(a) (1u << RMAP_ATTR_##a)
/* More rounds than any sequence of steps takes; only somebody who keeps changing the entry can use them up. */
#define ROUNDS_MAX 1000

static rmap_pfn_t neighbour_frame(const struct rmap__fault_state *f, const struct rmap_mmu_run *run, rmap_vpn_t vpn)
{
    if (vpn < run->first || vpn - run->first >= run->count) return RMAP_PFN_NONE;
    rmap_pte_t e = rmap_run_get(&f->m->mmu, run, (uint32_t)(vpn - run->first));
    if (!rmap_pte_present(f->format, e) || rmap_pte_pfn(f->format, e) == f->s->p->zero_pfn) return RMAP_PFN_NONE;
    return rmap_pte_pfn(f->format, e);
}

/* The frame behind the lower neighbour's, else the one before the upper neighbour's. */
static rmap_pfn_t near_frame(const struct rmap__fault_state *f, const struct rmap_mmu_run *run)
{
    rmap_pfn_t below = f->vpn ? neighbour_frame(f, run, f->vpn - 1) : RMAP_PFN_NONE;
    if (below != RMAP_PFN_NONE) return below + 1;
    rmap_pfn_t above = neighbour_frame(f, run, f->vpn + 1);
    return above != RMAP_PFN_NONE && above ? above - 1 : RMAP_PFN_NONE;
}

/* Accessed and dirty bits that the hardware sets meanwhile are seen in what the exchange took out, and put back. */
void rmap__fault_add_attrs(const struct rmap__fault_state *f, const struct rmap_mmu_run *run, unsigned attrs)
{
    const uint32_t i = (uint32_t)(f->vpn - run->first);
    rmap_pte_t e = rmap_run_get(&f->m->mmu, run, i);
    unsigned has = rmap_pte_attrs(f->format, e), wanted = has | attrs;
    while (wanted != has) {
        for (unsigned a = 0; a < RMAP_ATTR_COUNT; a++)
            if (wanted >> a & 1) e = rmap_pte_set(f->format, e, (enum rmap_pte_attr)a, true);
        has = wanted;
        wanted |= rmap_pte_attrs(f->format, rmap_run_exchange(&f->m->mmu, run, i, e));
    }
}

void rmap__fault_finish(struct rmap__fault_state *f, struct rmap_mmu_run *run)
{
    rmap__fault_add_attrs(f, run, f->attrs | (f->access & RMAP_WRITE ? ATTR(DIRTY) | ATTR(SOFT_DIRTY) : 0));
    if (f->touch) {
        rmap_pfn_t pfn = rmap_pte_pfn(f->format, rmap_run_get(&f->m->mmu, run, (uint32_t)(f->vpn - run->first)));
        unsigned char *at = rmap__frame_address(f->s->p, pfn) + f->touch->offset;
        if (f->touch->write)
            memcpy(at, f->touch->bounce, f->touch->bytes);
        else
            memcpy(f->touch->bounce, at, f->touch->bytes);
    } else if (f->access && f->m->mmu.ops->update) {
        f->m->mmu.ops->update(f->m->mmu.ctx, run, f->vpn, f->access);
    }
}

bool rmap__fault_recheck(struct rmap__fault_state *f, struct rmap_mmu_run *run)
{
    const struct rmap_mmu_ops *o = f->m->mmu.ops;
    if (o->run_find(f->m->mmu.ctx, f->vpn, f->vpn + 1, run)) return false;
    rmap_pte_t e = rmap_run_get(&f->m->mmu, run, (uint32_t)(f->vpn - run->first));
    rmap_pte_t seen = f->entry;
    if (rmap_pte_present(f->format, e)) {
        unsigned hardware = rmap_pte_attrs(f->format, e) & (ATTR(ACCESSED) | ATTR(DIRTY));
        seen = rmap_pte_set(f->format, seen, RMAP_ATTR_ACCESSED, hardware & ATTR(ACCESSED));
        seen = rmap_pte_set(f->format, seen, RMAP_ATTR_DIRTY, hardware & ATTR(DIRTY));
    }
    if (e == seen) {
        f->entry = e;
        return true;
    }
    o->run_unlock(f->m->mmu.ctx, run);
    return false;
}

int rmap__fault_need(struct rmap__fault_state *f, unsigned n)
{
    if (f->spares >= n) return 0;
    if (!f->in_hand) rmap__hands_enter(f->s->p);
    f->in_hand = true;
    while (f->spares < n) {
        int rc = rmap_page_alloc(f->m->r, f->near, &f->spare[f->spares]);
        if (rc) return rc;
        f->spares++;
        f->near = RMAP_PFN_NONE;
    }
    return RMAP__FAULT_AGAIN;
}

/* Run locked: the entry keeps its page alive until we have a reference. */
static void hold_migrating(struct rmap__fault_state *f)
{
    f->page = rmap_page_find(f->m->r, rmap_pte_pfn(f->format, f->entry));
    if (f->page) rmap_page_get(f->page);
}

/* Look at the entry; finish if it allows the access. */
static int look(struct rmap__fault_state *f)
{
    const struct rmap_mmu_ops *o = f->m->mmu.ops;
    struct rmap_mmu_run run;
    f->entry = 0;
    f->near = RMAP_PFN_NONE;
    int rc = o->run_find(f->m->mmu.ctx, f->vpn, f->vpn + 1, &run);
    if (rc == RMAP_ERR_ABSENT) return f->access ? RMAP__FAULT_AGAIN : RMAP__FAULT_DONE;
    if (rc) return rc;
    rc = RMAP__FAULT_AGAIN;
    f->entry = rmap_run_get(&f->m->mmu, &run, (uint32_t)(f->vpn - run.first));
    f->near = near_frame(f, &run);
    if (!f->access && rmap_pte_kind(f->format, f->entry) != RMAP_PTE_SWAP) {
        rc = RMAP__FAULT_DONE;
    } else if (rmap_pte_present(f->format, f->entry)) {
        struct rmap_page *page = rmap_page_find(f->m->r, rmap_pte_pfn(f->format, f->entry));
        if (!page) {
            rc = RMAP_ERR_BAD_FRAME;
        } else if (!(f->access & RMAP_WRITE) || rmap_pte_get(f->format, f->entry, RMAP_ATTR_WRITE)) {
            rmap__fault_finish(f, &run);
            rc = RMAP__FAULT_DONE;
        } else if (page != f->s->p->zero) {
            rmap_page_get(page);
            f->page = page;
        }
    }
    if (rmap_pte_kind(f->format, f->entry) == RMAP_PTE_MIGRATION) hold_migrating(f);
    o->run_unlock(f->m->mmu.ctx, &run);
    return rc;
}

/* Whoever moves the page to another frame has it locked until the entries lead there. */
static int wait_for_migration(struct rmap__fault_state *f)
{
    if (!f->page) return RMAP_ERR_BAD_FRAME;
    rmap_page_lock(f->page);
    rmap_page_unlock(f->m->r, f->page);
    return RMAP__FAULT_AGAIN;
}

/* The region allows accesses again: the entry becomes present, read-only; the hardware has not used it. */
static int allow_access(struct rmap__fault_state *f)
{
    struct rmap_mmu_run run;
    if (!rmap__fault_recheck(f, &run)) return RMAP__FAULT_AGAIN;
    rmap_pte_t e = rmap_pte_set(f->format, f->entry, RMAP_ATTR_WRITE, false);
    rmap_run_set(&f->m->mmu, &run, (uint32_t)(f->vpn - run.first), rmap_pte_to_kind(f->format, e, RMAP_PTE_PRESENT));
    f->m->mmu.ops->run_unlock(f->m->mmu.ctx, &run);
    return RMAP__FAULT_AGAIN;
}

static int step(struct rmap__fault_state *f)
{
    switch (rmap_pte_kind(f->format, f->entry)) {
    case RMAP_PTE_NONE:
        return rmap__fault_new(f);
    case RMAP_PTE_PRESENT:
        return f->page ? rmap__fault_cow(f) : rmap__fault_new(f);
    case RMAP_PTE_SWAP:
        return rmap__fault_swap(f);
    case RMAP_PTE_NO_ACCESS:
        return allow_access(f);
    case RMAP_PTE_MIGRATION:
        return wait_for_migration(f);
    case RMAP_PTE_POISON:
        return RMAP_ERR_POISON;
    case RMAP_PTE_INVALID:
        break;
    }
    return RMAP_ERR_BAD_FRAME;
}

static int rounds(struct rmap__fault_state *f)
{
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        int rc = look(f);
        if (rc == RMAP__FAULT_DONE && round == 0 && f->access) RMAP__FAULT_STAT(f->s, faults_minor, 1);
        if (rc == RMAP__FAULT_AGAIN) rc = step(f);
        if (f->page) rmap_page_put(f->m->r, f->page);
        f->page = NULL;
        if (rc != RMAP__FAULT_AGAIN) return rc;
        if (round > 16) sched_yield();
    }
    return RMAP_ERR_BUSY;
}

/* Without a frame nothing is kept, and others may have given some back, or made the entry: then it is tried again. So it is
 * if neighbours had frames that the page itself lacked; which happens once, for they are asked for once. */
static int until_there_is_a_frame(struct rmap__fault_state *f)
{
    struct rmap_pager *p = f->s->p;
    for (;;) {
        const struct rmap__hands_seen seen = rmap__hands_look(p);
        int rc = rounds(f);
        const unsigned along = rmap__around_give_back(f), own = f->spares + along;
        while (f->spares) rmap_page_put(f->m->r, rmap__fault_take(f));
        if (!f->in_hand) return rc;
        f->in_hand = false;
        if (rc != RMAP_ERR_NO_FRAME) {
            rmap__hands_leave(p);
            return rc;
        }
        if (!rmap__hands_wait(p, seen, own) && !along) return rc;
    }
}

static int resolve(struct rmap__fault_state *f, struct rmap_space *s, const struct rmap__region *r, rmap_vpn_t vpn,
                   unsigned access, const struct rmap__touch *touch)
{
    *f = (struct rmap__fault_state){
        .s = s,
        .m = rmap__space_member(s),
        .format = s->mmu.ops->format,
        .vpn = vpn,
        .region_first = r->first,
        .region_end = r->first + r->count,
        .access = access,
        .no_access = r->prot == RMAP_NONE,
        .touch = touch,
        .attrs =
            (access ? ATTR(ACCESSED) : 0) | (r->prot & RMAP_EXEC ? ATTR(EXEC) : 0) | (r->locked ? ATTR(LOCKED) : 0),
    };
    return until_there_is_a_frame(f);
}

int rmap__fault(struct rmap_space *s, rmap_vpn_t vpn, unsigned access, const struct rmap__touch *touch)
{
    RMAP__FAULT_STAT(s, faults, 1);
    const struct rmap__region *r = rmap__region_find(&s->regions, vpn);
    if (!r) return RMAP_ERR_ABSENT;
    if (access & ~r->prot) return RMAP_ERR_ACCESS;
    struct rmap__fault_state f;
    return resolve(&f, s, r, vpn, access, touch);
}

int rmap__fault_swapin(struct rmap_space *s, rmap_vpn_t vpn, unsigned *read, unsigned *copied)
{
    const struct rmap__region *r = rmap__region_find(&s->regions, vpn);
    struct rmap__fault_state f;
    *read = *copied = 0;
    if (!r) return RMAP_ERR_ABSENT;
    int rc = resolve(&f, s, r, vpn, 0, NULL);
    *read = f.read;
    *copied = f.copied;
    return rc;
}

int rmap_space_fault(struct rmap_space *s, rmap_vpn_t vpn, unsigned access)
{
    if (!s) return RMAP_ERR_NULL_ARG;
    if (!access || (access & ~(unsigned)(RMAP_READ | RMAP_WRITE | RMAP_EXEC))) return RMAP_ERR_INVALID;
    struct rmap__call c;
    int rc = rmap__space_range(s, vpn, 1);
    if (rc || (rc = rmap__space_enter_shared(&c, s))) return rc;
    rc = rmap__fault(s, vpn, access, NULL);
    rmap__space_leave(&c);
    return rc;
}
