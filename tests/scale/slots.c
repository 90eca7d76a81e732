/* SPDX-License-Identifier: MIT */
/** @file scale/slots.c  See the header. */
#include "scale/slots.h"
#include "scale/must.h"

#include <objrmap/group.h>
#include <stdlib.h>

static struct slot *slot_of(struct slots *s, rmap_swp_t entry)
{
    MUST_HOLD(rmap_swp_device(entry) == 1 && rmap_swp_slot(entry) < s->total);
    return &s->slot[rmap_swp_slot(entry)];
}

static void page_put(struct slots *s, struct rmap_page *page)
{
    if (s->pages)
        s->pages->put(s->pages->ctx, page);
    else
        rmap_page_put(s->r, page);
}

static void set_owner(struct slot *x, rmap_owner_t owner)
{
    rmap_owner_t before = x->owner;
    if (before == owner) return;
    rmap_owner_get(owner);
    x->owner = owner;
    rmap_owner_put(before);
}

static void free_if_unused(struct slots *s, rmap_swp_t entry)
{
    struct slot *x = slot_of(s, entry);
    if (x->count || x->cached) return;
    set_owner(x, 0);
    s->free_slots[s->free_count++] = rmap_swp_slot(entry);
}

static void attach(struct slots *s, struct rmap_page *page, rmap_swp_t entry)
{
    rmap_page_get(page);
    slot_of(s, entry)->cached = page;
    page->swap = entry;
    rmap_page_set_flags(page, RMAP_PAGE_SWAPCACHE);
}

static void detach(struct slots *s, struct rmap_page *page)
{
    rmap_swp_t entry = page->swap;
    rmap_page_clear_flags(page, RMAP_PAGE_SWAPCACHE | RMAP_PAGE_ORPHAN);
    page->swap = 0;
    slot_of(s, entry)->cached = NULL;
    free_if_unused(s, entry);
    page_put(s, page);
}

/* ---- the hooks ---- */

static int hook_dup(void *ctx, rmap_swp_t entry, uint32_t n)
{
    slot_of(ctx, entry)->count += n;
    return 0;
}

static void hook_put(void *ctx, rmap_swp_t entry, uint32_t n)
{
    struct slots *s = ctx;
    struct slot *x = slot_of(s, entry);
    struct rmap_page *page = x->cached;
    MUST_HOLD(x->count >= n);
    x->count -= n;
    if (!page) {
        free_if_unused(s, entry);
    } else if (!x->count && !rmap_page_mapcount(page)) {
        if (s->pages) {
            detach(s, page);
        } else if (rmap_page_try_lock(page)) {
            rmap_page_get(page);
            detach(s, page);
            rmap_page_unlock(s->r, page);
            rmap_page_put(s->r, page);
        } else {
            rmap_page_set_flags(page, RMAP_PAGE_ORPHAN); /* one thread: its holder sees this at its unlock */
        }
    }
}

static uint32_t hook_count(void *ctx, rmap_swp_t entry)
{
    return slot_of(ctx, entry)->count;
}

static int hook_get_home(void *ctx, rmap_swp_t entry, struct rmap_slot_home *home)
{
    const struct slot *x = slot_of(ctx, entry);
    *home = (struct rmap_slot_home){
        .owner = x->owner, .index = x->index, .moved = x->moved, .cached = x->cached, .count = x->count};
    return x->count || x->cached ? 0 : RMAP_ERR_ABSENT;
}

static void hook_set_home(void *ctx, rmap_swp_t entry, rmap_owner_t owner, rmap_vpn_t index, bool moved)
{
    struct slot *x = slot_of(ctx, entry);
    set_owner(x, owner);
    x->index = index;
    x->moved = moved;
}

static void hook_forget(void *ctx, struct rmap_page *page)
{
    detach(ctx, page);
}

static void hook_replace(void *ctx, struct rmap_page *page, struct rmap_page *target)
{
    struct slots *s = ctx;
    rmap_swp_t entry = page->swap;
    attach(s, target, entry);
    rmap_page_set_flags(target, RMAP_PAGE_ORPHAN);
    rmap_page_clear_flags(page, RMAP_PAGE_SWAPCACHE | RMAP_PAGE_ORPHAN);
    page->swap = 0;
    page_put(s, page);
}

const struct rmap_swap_ops *slots_ops(void)
{
    static const struct rmap_swap_ops ops = {.struct_size = sizeof ops,
                                             .dup = hook_dup,
                                             .put = hook_put,
                                             .count = hook_count,
                                             .get_home = hook_get_home,
                                             .set_home = hook_set_home,
                                             .forget = hook_forget,
                                             .replace = hook_replace};
    return &ops;
}

/* ---- for the rows ---- */

void slots_init(struct slots *s, uint32_t total)
{
    *s = (struct slots){.total = total};
    s->slot = calloc(total, sizeof *s->slot);
    s->free_slots = calloc(total, sizeof *s->free_slots);
    MUST_HOLD(s->slot && s->free_slots);
    for (uint32_t i = total; i--;) s->free_slots[s->free_count++] = i;
}

void slots_fini(struct slots *s)
{
    MUST_HOLD(s->free_count == s->total);
    free(s->slot);
    free(s->free_slots);
}

void slots_cache(struct slots *s, struct rmap_page *page)
{
    if (rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE) return;
    MUST_HOLD(s->free_count);
    rmap_swp_t entry = rmap_swp_make(1, s->free_slots[--s->free_count]);
    attach(s, page, entry);
    hook_set_home(s, entry, s->pages ? 0 : rmap_page_owner(page), rmap_page_index(page), false);
}

struct rmap_page *slots_load(struct slots *s, rmap_swp_t entry)
{
    struct rmap_page *page = slot_of(s, entry)->cached;
    const bool known = page;
    if (known)
        rmap_page_get(page);
    else if (s->pages)
        page = s->pages->alloc(s->pages->ctx);
    else
        MUST(rmap_page_alloc(s->r, RMAP_PFN_NONE, &page));
    if (!s->pages) rmap_page_lock(page);
    if (!known) attach(s, page, entry);
    return page;
}

void slots_uncache(struct slots *s, struct rmap_page *page)
{
    if (rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE) detach(s, page);
}
