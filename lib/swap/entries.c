/* SPDX-License-Identifier: MIT */
/** @file swap/entries.c  The hooks of struct rmap_swap_ops: what the core does to slots. Leaf calls, no I/O. */
#include <swap/swap_internal.h>

static int entry_dup(void *ctx, rmap_swp_t entry, uint32_t n)
{
    struct rmap_swap *s = ctx;
    int rc = RMAP_ERR_ABSENT;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    struct rmap__slot *slot = rmap__slot_find_live(s, entry);
    if (slot) {
        bool fits = slot->count <= s->count_max && n <= s->count_max - slot->count;
        if (fits && n) rmap__slot_set_count(s, entry, slot->count + n);
        rc = fits ? 0 : RMAP_ERR_OVERFLOW;
    }
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    return rc;
}

/*
 * The last entry of a slot went, [m] held. If its cached page is unmapped, nobody needs either: take the page out and
 * return it locked, for the caller to unlock and drop. If somebody has it locked, the page is marked ORPHAN, and that
 * somebody's rmap_page_unlock calls `forget`. The unlocker may have looked at the flag just before it was set, hence
 * the second try: either it fails, and the lock's holder will see the flag when it unlocks, or we have the lock.
 *
 * A page that is mapped now and unmapped later is the core's to forget: it lowers the mapcount and then asks for the
 * count, we lower the count and then ask for the mapcount, so at least one of the two sees both at 0.
 */
static struct rmap_page *lock_orphan(struct rmap__slot *slot)
{
    struct rmap_page *page = slot->cached;
    if (!page || rmap_page_mapcount(page)) return NULL;
    if (rmap_page_try_lock(page)) return page;
    rmap_page_set_flags(page, RMAP_PAGE_ORPHAN);
    return rmap_page_try_lock(page) ? page : NULL;
}

static void entry_put(void *ctx, rmap_swp_t entry, uint32_t n)
{
    struct rmap_swap *s = ctx;
    struct rmap_page *orphan = NULL;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    struct rmap__slot *slot = rmap__slot_find_live(s, entry);
    RMAP_ASSERT_INV(slot && slot->count >= n, "INV-3");
    if (slot && n && slot->count >= n) {
        rmap__slot_set_count(s, entry, slot->count - n);
        if (slot->count == 0) orphan = lock_orphan(slot);
        if (orphan) rmap__slot_detach(s, entry, orphan);
    }
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    if (orphan) {
        rmap_page_unlock(s->r, orphan);
        rmap_page_put(s->r, orphan);
    }
}

static uint32_t entry_count(void *ctx, rmap_swp_t entry)
{
    struct rmap_swap *s = ctx;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    struct rmap__slot *slot = rmap__slot_find_live(s, entry);
    uint32_t count = slot ? slot->count : 0;
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    return count;
}

static int entry_get_home(void *ctx, rmap_swp_t entry, struct rmap_slot_home *home)
{
    struct rmap_swap *s = ctx;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    struct rmap__slot *slot = rmap__slot_find_live(s, entry);
    if (slot) {
        home->owner = slot->owner;
        home->index = rmap__slot_index(slot);
        home->moved = rmap__slot_state(slot) & RMAP__SLOT_MOVED;
        home->cached = slot->cached;
        home->count = slot->count;
    }
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    return slot ? 0 : RMAP_ERR_ABSENT;
}

static void entry_set_home(void *ctx, rmap_swp_t entry, rmap_owner_t owner, rmap_vpn_t index, bool moved)
{
    struct rmap_swap *s = ctx;
    RMAP_ASSERT(index < RMAP_VPN_MAX);
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    struct rmap__slot *slot = rmap__slot_find_live(s, entry);
    RMAP_ASSERT(slot);
    if (slot) {
        const rmap_owner_t before = slot->owner;
        if (before != owner) {
            rmap_owner_get(owner);
            slot->owner = owner;
            rmap_owner_put(before);
        }
        uint64_t state = rmap__slot_state(slot) & ~(uint64_t)RMAP__SLOT_MOVED;
        slot->index_state = index << RMAP__SLOT_INDEX_SHIFT | state | (moved ? RMAP__SLOT_MOVED : 0);
    }
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
}

/* A page that is not cached here (any more) is left alone: two who saw both counts at 0 may both come. */
static void entry_forget(void *ctx, struct rmap_page *page)
{
    struct rmap_swap *s = ctx;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    rmap_swp_t entry = rmap__slot_of_page(s, page);
    if (entry) rmap__slot_detach(s, entry, page);
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    if (entry) rmap_page_put(s->r, page);
}

/* The slot's content is the target's as it was the page's: whether that is written, or dirty, does not change. */
static void entry_replace(void *ctx, struct rmap_page *page, struct rmap_page *target)
{
    struct rmap_swap *s = ctx;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    rmap_swp_t entry = rmap__slot_of_page(s, page);
    if (entry) rmap__slot_replace(s, entry, page, target);
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    if (entry) rmap_page_put(s->r, page);
}

const struct rmap_swap_ops *rmap_swap_get_ops(void)
{
    static const struct rmap_swap_ops ops = {
        .struct_size = sizeof(struct rmap_swap_ops),
        .dup = entry_dup,
        .put = entry_put,
        .count = entry_count,
        .get_home = entry_get_home,
        .set_home = entry_set_home,
        .forget = entry_forget,
        .replace = entry_replace,
    };
    return &ops;
}
