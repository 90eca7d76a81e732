/* SPDX-License-Identifier: MIT */
/** @file pager/pin.c  pin: a page of a space keeps its frame, for a device or for code that has its address. */
#include <pager/pager_internal.h>

#define TRIES_MAX 1000 /* only somebody who keeps moving the page away can use them up */

/* The page that the entry maps for writing, referenced; NULL: it has gone elsewhere since it was faulted in. */
static struct rmap_page *writable_page(struct rmap_space *s, rmap_vpn_t vpn)
{
    const struct rmap_mmu_ops *o = s->mmu.ops;
    struct rmap_mmu_run run;
    struct rmap_page *page = NULL;
    if (o->run_find(s->mmu.ctx, vpn, vpn + 1, &run)) return NULL;
    rmap_pte_t e = rmap_run_get(&s->mmu, &run, (uint32_t)(vpn - run.first));
    if (rmap_pte_present(o->format, e) && rmap_pte_get(o->format, e, RMAP_ATTR_WRITE)) {
        page = rmap_page_find(s->p->r, rmap_pte_pfn(o->format, e));
        if (page) rmap_page_get(page);
    }
    o->run_unlock(s->mmu.ctx, &run);
    return page;
}

/* One attempt. @return 0; NO_FRAME …: the fault's error; OVERFLOW; 1: the page was moved away meanwhile. */
static int try_pin(struct rmap_space *s, rmap_vpn_t vpn, struct rmap_page **out)
{
    int rc = rmap__fault(s, vpn, RMAP_WRITE, NULL);
    if (rc) return rc;
    struct rmap_page *page = writable_page(s, vpn);
    if (!page) return 1;
    if (!(rc = rmap_page_pin(s->p->r, page))) { /* may have waited for a migration, which has taken the entry along */
        struct rmap_page *now = writable_page(s, vpn);
        if (now) rmap_page_put(s->p->r, now);
        if (now != page) {
            rmap_page_unpin(s->p->r, page);
            rc = 1;
        }
    }
    rmap_page_put(s->p->r, page); /* the pin has its own reference */
    if (!rc) *out = page;
    return rc;
}

int rmap_space_pin(struct rmap_space *s, rmap_vpn_t vpn, struct rmap_page **out)
{
    if (!s || !out) return RMAP_ERR_NULL_ARG;
    struct rmap__call c;
    int rc = rmap__space_range(s, vpn, 1);
    if (rc || (rc = rmap__space_enter_shared(&c, s))) return rc;
    rc = 1;
    for (unsigned i = 0; rc == 1 && i < TRIES_MAX; i++) rc = try_pin(s, vpn, out);
    rmap__space_leave(&c);
    return rc == 1 ? RMAP_ERR_BUSY : rc;
}
