/* SPDX-License-Identifier: MIT */
/** @file swap/verify.c  Looks at every slot and compares sums. */
#include <swap/swap_internal.h>

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

struct sums {
    uint64_t used, bad, entries, cached, spare;
};

struct finding {
    char *text;
    size_t bytes;
};

static int __attribute__((format(printf, 2, 3))) found(struct finding *f, const char *format, ...)
{
    if (f->text && f->bytes) {
        va_list args;
        va_start(args, format);
        vsnprintf(f->text, f->bytes, format, args);
        va_end(args);
    }
    return RMAP_ERR_VERIFY;
}

static const char *slot_trouble(const struct rmap__slot *slot, bool is_free)
{
    uint64_t state = rmap__slot_state(slot);
    if (!(state & RMAP__SLOT_LIVE)) {
        if (is_free != !(state & RMAP__SLOT_BAD)) return "dead, not bad and not free, or free and bad";
        if (slot->count || slot->cached || slot->owner || rmap__slot_index(slot)) return "dead, something left in it";
        return state & ~(uint64_t)RMAP__SLOT_BAD ? "dead with state" : NULL;
    }
    if (is_free) return "live and free";
    if (!slot->count && !slot->cached) return "INV-3: live with neither entries nor page";
    if (!slot->cached && !(state & RMAP__SLOT_WRITTEN)) return "INV-7: entries without content";
    if ((state & RMAP__SLOT_WRITTEN) && (state & RMAP__SLOT_BAD)) return "bad with content";
    return NULL;
}

/* A cached page and its slot point at each other; unlocked, it is mapped, named by entries, or held by somebody. */
static const char *page_trouble(const struct rmap__slot *slot, const struct rmap_page *page, rmap_swp_t entry)
{
    unsigned flags = rmap_page_flags(page);
    uint32_t refs = atomic_load_explicit(&page->refcount, memory_order_relaxed);
    if (!(flags & RMAP_PAGE_SWAPCACHE)) return "its page does not say SWAPCACHE";
    if (atomic_load_explicit(&page->swap, memory_order_relaxed) != entry) return "its page names another slot";
    if (!refs) return "its page has no reference";
    if (!(flags & RMAP_PAGE_DIRTY) && !(rmap__slot_state(slot) & RMAP__SLOT_WRITTEN))
        return "INV-7: page clean, slot not written";
    if (!slot->count && !rmap_page_mapcount(page) && !(flags & RMAP_PAGE_LOCKED) && refs == 1)
        return "INV-3: its page has neither mapping nor entry";
    if (slot->count && rmap_page_mapcount(page) && rmap_page_index(page) != rmap__slot_index(slot))
        return "INV-8: mapped at another index than the slot's";
    return NULL;
}

static int verify_chunk(const struct rmap__swap_device *d, unsigned device, uint32_t c, struct sums *sum,
                        struct finding *f)
{
    const struct rmap__slot_chunk *chunk = d->chunks[c];
    uint32_t nfree = 0, spare = 0;
    for (uint32_t i = 0; i < RMAP__CHUNK_SLOTS; i++) {
        const struct rmap__slot *slot = &chunk->slots[i];
        uint32_t number = (c << RMAP__CHUNK_SHIFT) + i;
        rmap_swp_t entry = rmap_swp_make(device, number);
        bool is_free = chunk->free[i / 64] >> (i & 63) & 1;
        if (number >= d->slots) {
            if (is_free || slot->index_state) return found(f, "slot %u:%u is behind the device's end", device, number);
            continue;
        }
        const char *trouble = slot_trouble(slot, is_free);
        if (!trouble && slot->cached) trouble = page_trouble(slot, slot->cached, entry);
        if (trouble) return found(f, "slot %u:%u (count %u): %s", device, number, slot->count, trouble);

        bool live = rmap__slot_state(slot) & RMAP__SLOT_LIVE;
        nfree += is_free;
        spare += live && !slot->count;
        sum->used += live;
        sum->bad += (rmap__slot_state(slot) & RMAP__SLOT_BAD) != 0;
        sum->entries += slot->count;
        sum->cached += slot->cached != NULL;
    }
    sum->spare += spare;
    if (nfree != chunk->nfree) return found(f, "chunk %u:%u: %u free, counted %u", device, c, nfree, chunk->nfree);
    if (spare != chunk->spare) return found(f, "chunk %u:%u: %u spare, counted %u", device, c, spare, chunk->spare);
    if ((d->with_free[c / 64] >> (c & 63) & 1) != (nfree > 0) || (d->with_spare[c / 64] >> (c & 63) & 1) != (spare > 0))
        return found(f, "chunk %u:%u: %u free, %u spare, its bits say something else", device, c, nfree, spare);
    return 0;
}

static int verify_device(const struct rmap__swap_device *d, unsigned device, struct sums *sum, struct finding *f)
{
    uint64_t nfree = 0;
    const uint64_t used = sum->used, bad = sum->bad;
    if (!d->device && (d->slots || d->with_free || d->made || d->reading || d->draining))
        return found(f, "device %u: taken out, something is left of it", device);
    if (d->made > d->room) return found(f, "device %u: %u chunks, room for %u", device, d->made, d->room);
    for (uint32_t c = 0; c < d->made; c++) {
        int rc = verify_chunk(d, device, c, sum, f);
        if (rc) return rc;
        nfree += d->chunks[c]->nfree;
    }
    if (nfree != d->nfree) return found(f, "device %u: %u free slots, counted %u", device, (unsigned)nfree, d->nfree);
    if (sum->used - used != d->used || sum->bad - bad != d->bad)
        return found(f, "device %u: %u slots used, %u bad, counted %u and %u", device, (unsigned)(sum->used - used),
                     (unsigned)(sum->bad - bad), d->used, d->bad);
    return 0;
}

static int verify_sums(const struct rmap_swap *s, const struct sums *sum, struct finding *f)
{
    const struct rmap_swap_stats *st = &s->stats;
    const struct {
        const char *what;
        uint64_t found, counted;
    } pairs[] = {
        {"used slots", sum->used, st->slots_used},   {"bad slots", sum->bad, st->slots_bad},
        {"swap entries", sum->entries, st->entries}, {"cached pages", sum->cached, st->cached},
        {"spare slots", sum->spare, s->spare},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (pairs[i].found != pairs[i].counted)
            return found(f, "%s: %llu found, %llu counted", pairs[i].what, (unsigned long long)pairs[i].found,
                         (unsigned long long)pairs[i].counted);
    return 0;
}

int rmap_swap_verify(struct rmap_swap *s, char *text, size_t text_bytes)
{
    if (!s) return RMAP_ERR_NULL_ARG;
    struct finding f = {text, text_bytes};
    struct sums sum = {0};
    int rc = 0;
    rmap__mutex_lock(&s->lock, RMAP__RANK_SLOTS);
    for (unsigned i = 0; i < s->device_count && !rc; i++) rc = verify_device(&s->devices[i], i + 1, &sum, &f);
    if (!rc) rc = verify_sums(s, &sum, &f);
    rmap__mutex_unlock(&s->lock, RMAP__RANK_SLOTS);
    return rc;
}
