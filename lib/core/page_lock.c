/* SPDX-License-Identifier: MIT */
/**
 * @file core/page_lock.c  The page lock: two bits of the word that has index and flags, and a futex on that word.
 *
 * WAITERS means that somebody may sleep for the lock. It is set by who is about to sleep, together with LOCKED, in one
 * step, and cleared by the unlock together with LOCKED, in one step: so it is never set on a page that is not locked.
 *
 *     unlocked ──try──▶ LOCKED ──lock_asleep──▶ LOCKED WAITERS          unlock: both off; if WAITERS was on, wake one
 *         └────────────lock_asleep, which slept ─────▶ (the same)
 *
 * Nobody sleeps for ever. Who goes to sleep has seen LOCKED and set WAITERS; the unlock that takes the two away comes
 * after that and wakes one. That one sets both bits again: either it has the lock now, and its own unlock wakes the
 * next; or somebody was faster, and that one's unlock sees the mark and wakes one again. So as long as anybody sleeps,
 * the mark is on, or somebody who was woken is on the way to set it. The price is one wake too many by the last of them.
 * Other flags share the 32 bits: if one changes while we fall asleep, the system call returns at once, and we look again.
 */
#include <base/wait.h>
#include <core/core.h>

static const void *lock_half(const struct rmap_page *page)
{
    _Static_assert(sizeof page->index_flags == 8 && (RMAP_PAGE_LOCKED | RMAP_PAGE_WAITERS) <= UINT32_MAX,
                   "both bits in the lower half of one word");
    return (const char *)&page->index_flags + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0);
}

static bool lock_now(struct rmap_page *page)
{
    return !(atomic_fetch_or_explicit(&page->index_flags, RMAP_PAGE_LOCKED, memory_order_acquire) & RMAP_PAGE_LOCKED);
}

bool rmap_page_try_lock(struct rmap_page *page)
{
    if (!lock_now(page)) return false;
    rmap__rank_tried(RMAP__RANK_PAGE, page);
    return true;
}

static __attribute__((noinline)) void lock_asleep(struct rmap_page *page)
{
    const uint64_t both = RMAP_PAGE_LOCKED | RMAP_PAGE_WAITERS;
    for (;;) {
        uint64_t was = atomic_fetch_or_explicit(&page->index_flags, both, memory_order_acquire);
        if (!(was & RMAP_PAGE_LOCKED)) return;
        rmap__sleep(lock_half(page), (uint32_t)(was | both));
    }
}

void rmap_page_lock(struct rmap_page *page)
{
    rmap__rank_take(RMAP__RANK_PAGE, page);
    if (lock_now(page)) return;
    for (unsigned spins = 0; spins < RMAP__SPINS; spins++) {
        rmap__pause();
        if (!(rmap_page_flags(page) & RMAP_PAGE_LOCKED) && lock_now(page)) return;
    }
    lock_asleep(page);
}

/* Locked page that nothing maps and no swap entry names: it need not stay in the swap cache. */
static void page_forget_orphan(struct rmap *r, struct rmap_page *page)
{
    rmap_page_clear_flags(page, RMAP_PAGE_ORPHAN);
    if ((rmap_page_flags(page) & RMAP_PAGE_SWAPCACHE) && !rmap_page_mapcount(page) && !rmap__page_swap_count(r, page))
        r->swap->forget(r->swap_ctx, page);
}

void rmap__page_unlock_at(struct rmap *r, struct rmap_page *page, rmap_vpn_t index)
{
    const uint64_t keep = 0xfff & ~(uint64_t)(RMAP_PAGE_LOCKED | RMAP_PAGE_WAITERS);
    uint64_t was = atomic_load_explicit(&page->index_flags, memory_order_relaxed);
    RMAP_ASSERT(was & RMAP_PAGE_LOCKED);
    rmap__rank_drop(RMAP__RANK_PAGE, page);
    while (!(was & RMAP_PAGE_ORPHAN)) {
        const uint64_t now = (uint64_t)index << RMAP_PAGE_INDEX_SHIFT | (was & keep);
        if (!atomic_compare_exchange_weak_explicit(&page->index_flags, &was, now, memory_order_acq_rel, memory_order_relaxed))
            continue;
        if (was & RMAP_PAGE_WAITERS) rmap__wake_one(lock_half(page));
        return;
    }
    rmap__rank_tried(RMAP__RANK_PAGE, page);
    rmap__page_set_index(page, index);
    rmap_page_get(page); /* the caller may have none, and what keeps the page may go as soon as it is unlocked */
    rmap_page_unlock(r, page);
    rmap_page_put(r, page);
}

void rmap_page_unlock(struct rmap *r, struct rmap_page *page)
{
    RMAP_ASSERT(rmap_page_flags(page) & RMAP_PAGE_LOCKED);
    for (;;) {
        if (rmap_page_flags(page) & RMAP_PAGE_ORPHAN) page_forget_orphan(r, page);
        rmap__rank_drop(RMAP__RANK_PAGE, page); /* while it is still ours: the next one may be any thread */
        uint64_t was = atomic_fetch_and_explicit(&page->index_flags, ~(uint64_t)(RMAP_PAGE_LOCKED | RMAP_PAGE_WAITERS),
                                                 memory_order_acq_rel);
        if (was & RMAP_PAGE_WAITERS) rmap__wake_one(lock_half(page));
        /* Marked between our look and our unlock: whoever marked it saw the lock taken and left it to us. */
        if (!(was & RMAP_PAGE_ORPHAN) || !rmap_page_try_lock(page)) return;
    }
}
