/* SPDX-License-Identifier: MIT */
/** @file testing/core_verbs.c  The page verbs of the core as the scenario calls them, each on one page. */
#include <testing/core.h>

bool rmap__kit_core_reuse(struct rmap__kit_core *c, unsigned space, struct rmap_page *page, rmap_vpn_t vpn)
{
    return rmap_page_reuse(&c->m[space], page, vpn);
}

int rmap__kit_core_referenced(struct rmap__kit_core *c, int n, struct rmap_result *result)
{
    struct rmap_page *page = &c->page[n];
    rmap_page_lock(page);
    const int error = rmap_referenced(c->r, &page, 1, 0, result);
    rmap_page_unlock(c->r, page);
    return error;
}

int rmap__kit_core_unmap(struct rmap__kit_core *c, int n, struct rmap_result *result)
{
    struct rmap_page *page = &c->page[n];
    rmap_page_lock(page);
    const int error = rmap_unmap(c->r, &page, 1, 0, result);
    rmap_page_unlock(c->r, page);
    return error;
}

int rmap__kit_core_write_protect(struct rmap__kit_core *c, int n, struct rmap_result *result)
{
    struct rmap_page *page = &c->page[n];
    rmap_page_lock(page);
    const int error = rmap_write_protect(c->r, &page, 1, 0, result);
    rmap_page_unlock(c->r, page);
    return error;
}

static int count(void *ctx, struct rmap_member *m, rmap_vpn_t vpn, rmap_pte_t entry)
{
    (void)m, (void)vpn, (void)entry;
    ++*(uint32_t *)ctx;
    return 0;
}

bool rmap__kit_core_mapped(struct rmap__kit_core *c, int n, uint32_t hits)
{
    struct rmap_page *page = &c->page[n];
    struct rmap_result result;
    uint32_t calls = 0;
    rmap_page_lock(page);
    const int error = rmap_each_mapping(c->r, &page, 1, 0, count, &calls, &result);
    rmap_page_unlock(c->r, page);
    return rmap__kit_core_ok(c, error, "each_mapping") &&
           KIT_CHECK(c->k, result.outcome == RMAP_DONE && calls == hits,
                     "core: %s: each_mapping finds %u of %u mappings of a page%s", c->step, calls, hits,
                     result.outcome == RMAP_DONE ? "" : " and knows that some are missing");
}
