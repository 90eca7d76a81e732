/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/swapmap.h  The slot map and swap cache: a complete struct rmap_swap_ops with devices behind it.
 *
 * Each slot: count of swap entries, home (owner, index), MOVED, cached page, XXH3 checksum of what was written. Memory
 * for slots is made in chunks of 1,024 (40 bytes a slot) as they are first used; a device is used from its start, and a
 * further chunk only when more than half of the slots made are in use.
 *
 *     free ──cache_add──▶ cached, count 0 ──unmap: dup──▶ cached, count n ──write, cache_del──▶ on the device, count n
 *       ▲                     │ dirtied, reused                                                    │ cache_load
 *       └─────────────────────┴──────────── last put ◀─────────────────────────────────────────────┘
 */
#ifndef OBJRMAP_SWAPMAP_H
#define OBJRMAP_SWAPMAP_H

#include <objrmap/device.h>
#include <objrmap/instance.h>
#include <objrmap/swap.h>

struct rmap_swap;

struct rmap_swap_options {
    size_t struct_size;
    const struct rmap_allocator *alloc; /**< NULL: default */
    unsigned page_shift;                /**< 9 … 20 */
};

struct rmap_swap_stats {
    uint64_t slots_total, slots_used, slots_peak; /**< used: with entries or cached */
    uint64_t slots_bad;                           /**< the last write failed: never handed out again */
    uint64_t entries;                             /**< swap entries, all slots */
    uint64_t cached;                              /**< pages in the swap cache */
    uint64_t writes, reads, write_errors, read_errors, checksum_errors; /**< pages */
    uint64_t metadata_bytes;                                            /**< of the slot map */
};

RMAP_BEGIN_DECLS

/** @return 0; NULL_ARG; STRUCT_SIZE (options or allocator); INVALID (page_shift); NOMEM. */
RMAP_API int rmap_swap_create(const struct rmap_swap_options *options, struct rmap_swap **out);
/** Tell the map its instance, whose swap ops it serves: after rmap_create(). @return 0; NULL_ARG; EXISTS. */
RMAP_API int rmap_swap_bind(struct rmap_swap *s, struct rmap *r);
/** @return 0; NULL_ARG; BUSY (slots in use). Devices are destroyed. */
RMAP_API int rmap_swap_destroy(struct rmap_swap *s);
/** Ops for rmap_options.swap; the context is the struct rmap_swap. Static storage. */
RMAP_API const struct rmap_swap_ops *rmap_swap_get_ops(void);

/** Add a device; ownership passes on success. It gets the lowest free number (1 … 63); devices are filled in the order
 * of their numbers. @return 0; NULL_ARG (also a missing op); STRUCT_SIZE; INVALID (page size, slots); EXISTS (added
 * before); OVERFLOW (63 devices); NOMEM. */
RMAP_API int rmap_swap_add(struct rmap_swap *s, struct rmap_device *device);

/*
 * Taking a device out (swapoff) is the work of whoever owns the page tables; the map keeps new slots away, says what is
 * left, and lets the device go when nothing is:
 *
 *     drain_begin ──▶ for each next_used: bring its entries in (rmap_each_swap), then cache_del ──▶ remove
 *                       └── drain_cancel: the device takes part again
 */

/**
 * No new slot is taken from the device from now on, nor a clean copy's slot reused; a page that is cached there, without
 * entries, gets another slot by rmap_swap_cache_add. What is on it stays readable.
 * @return 0; NULL_ARG; ABSENT (no device of this map); BUSY (somebody has begun already). Cost: O(devices).
 */
RMAP_API int rmap_swap_drain_begin(struct rmap_swap *s, const struct rmap_device *device);
/** The device takes part again. @return 0; NULL_ARG; ABSENT (no device of this map, or nobody has begun). */
RMAP_API int rmap_swap_drain_cancel(struct rmap_swap *s, const struct rmap_device *device);
/**
 * First slot of the device in use, with entries or as a clean copy, at slot *cursor or behind it; *cursor then is the
 * slot after it. Begin with 0.
 * @return its entry, which may die at once unless the caller keeps others out; 0 if there is none (or on NULL
 *   arguments).
 * Cost: O(slots passed / 64).
 */
RMAP_API rmap_swp_t rmap_swap_next_used(struct rmap_swap *s, const struct rmap_device *device, uint32_t *cursor);
/** Slots of the device in use; 0 also for a device that is not of this map, or NULL arguments. Cost: O(devices). */
RMAP_API uint64_t rmap_swap_used(struct rmap_swap *s, const struct rmap_device *device);
/**
 * Forget a device of which no slot is in use; it belongs to the caller again. Its number is free for the next device:
 * an entry that still names it is as dead as one of a freed slot, and may as little be trusted.
 * @return 0; NULL_ARG; ABSENT (no device of this map); BUSY (a slot is in use, or a read is under way).
 * Cost: O(slots / 1,024): the chunks are freed.
 */
RMAP_API int rmap_swap_remove(struct rmap_swap *s, struct rmap_device *device);

/**
 * Give a page a slot: it enters the swap cache (SWAPCACHE, swap set, DIRTY set, one reference) with the slot's home
 * := (page.owner, page.index), count 0. Consecutive calls give neighbouring slots where they are free. When none is
 * free, slots that are only clean copies (count 0) of pages that can be locked by try are taken away first; those
 * pages become DIRTY.
 *
 * A page that is cached in a slot without entries which is bad, or of a device being drained, is given another one:
 * an evictor calls this for every page and takes EXISTS for success. Should the page be neither mapped nor on swap at
 * the next rmap_page_unlock, it leaves the cache there.
 * => Page lock held. May allocate a chunk. @return 0; NULL_ARG; EXISTS (already cached); POISON; INVALID (not
 *    anonymous, not locked, map not bound); UNKNOWN_PAGE; UNSUPPORTED (the frame has no address); NO_SLOT; NOMEM.
 */
RMAP_API int rmap_swap_cache_add(struct rmap_swap *s, struct rmap_page *page);

/**
 * Find the page that caches `entry`, with a reference, or NULL (also for a dead entry). The caller locks it and must
 * then re-check that it still is SWAPCACHE with this entry, and not POISON: then the contents are lost.
 */
RMAP_API struct rmap_page *rmap_swap_cache_find(struct rmap_swap *s, rmap_swp_t entry);

/**
 * Read `entry` into `page` (new, locked, referenced by the caller, known to nobody), check the checksum, and put it
 * into the cache clean (one reference more): owner, index and ANON are set by rmap_page_map_swapin.
 * => Does I/O, with no lock but the page's. @return 0; NULL_ARG; ABSENT (dead slot, also one that died meanwhile);
 *    EXISTS (somebody else cached it: use that page); IO_READ (also a slot that was never written); CORRUPT; NOMEM (the
 *    device's); INVALID (page not new or not locked, map not bound); UNKNOWN_PAGE; UNSUPPORTED (the frame has no
 *    address). After an error the page is as before, but for its bytes, and the slot keeps its content.
 */
RMAP_API int rmap_swap_cache_load(struct rmap_swap *s, rmap_swp_t entry, struct rmap_page *page);
/**
 * The same for n pages, none of them twice: results[i] is the answer for entries[i] and pages[i], as rmap_swap_cache_load
 * gives it. A device is asked for 64 pages at a time, those of entries that lie side by side in the array; in ascending order,
 * neighbouring slots may be one transfer. About 4 KiB of stack. An entry that comes twice is read into the page that comes
 * first, and EXISTS for the other. A page that comes twice is a mistake: it caches one of its entries at most, with that
 * entry's bytes, and the other is INVALID or CORRUPT, or both are.
 * @return 0; NULL_ARG (also among the pages); INVALID, UNKNOWN_PAGE, UNSUPPORTED (of any page): then nothing is read.
 */
RMAP_API int rmap_swap_cache_load_batch(struct rmap_swap *s, const rmap_swp_t *entries, struct rmap_page *const *pages,
                                        size_t n, int *results);

/**
 * Write dirty cached pages to their slots; sorts `pages` by slot, and results[i] belongs to pages[i] after that. Clean
 * ones are left alone. Pages locked, mappings unmapped or write-protected and flushed before (INV-7). results[i]: 0
 * (DIRTY cleared); IO_WRITE (the slot is bad, the page stays DIRTY and cached: nothing is lost); NOMEM (the device has
 * no memory now: as before, no worse slot). A page in a bad slot is tried there again each time, for its entries name
 * no other place: if the device takes it now, the slot is a good one again. Once the entries are gone
 * rmap_swap_cache_add gives it another one. POISON: the page's frame is lost; it is not written, and stays DIRTY and
 * cached. DIRTY set by others during the write stays set.
 * => Does I/O, by 64 pages at most, with no lock but the pages'. The map allocates nothing. @return 0; NULL_ARG (also
 *    among the pages); INVALID (a page is not in the cache, not locked, or there twice); UNKNOWN_PAGE; UNSUPPORTED (a
 *    frame has no address): then nothing is written.
 * Cost: a write of the device for every page, in bad slots, too: who comes again and again for many pages asks
 * rmap_swap_is_bad first, and tries a few. The pager's reclaim gives up for its call after the first batch of them in vain.
 */
RMAP_API int rmap_swap_write(struct rmap_swap *s, struct rmap_page **pages, size_t n, int *results);

/**
 * Is the page cached in a bad slot: has its last write there failed with IO_WRITE?
 * => Page lock held. The answer is false for NULL and for a page that is not in the cache. O(1), asks the device nothing.
 */
RMAP_API bool rmap_swap_is_bad(struct rmap_swap *s, const struct rmap_page *page);

/**
 * Take a page out of the cache; its reference is dropped, it is marked DIRTY (it has no copy any more). The slot lives
 * on if it has entries — then the page must be clean, written and unmapped — else it is freed. Page lock and a
 * reference held.
 * @return 0; NULL_ARG; ABSENT; BUSY (dirty or mapped with entries; being written).
 */
RMAP_API int rmap_swap_cache_del(struct rmap_swap *s, struct rmap_page *page);

/** @return 0; NULL_ARG. */
RMAP_API int rmap_swap_get_stats(struct rmap_swap *s, struct rmap_swap_stats *out);

/** Walk the slot map: counts, cache links, free lists agree. Quiet point. `text` (≥ 128 bytes, one line) may be NULL.
 *  @return 0; NULL_ARG; VERIFY. */
RMAP_API int rmap_swap_verify(struct rmap_swap *s, char *text, size_t text_bytes);

RMAP_END_DECLS
#endif
