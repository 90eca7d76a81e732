/* SPDX-License-Identifier: MIT */
/**
 * @file swap/swap_internal.h  The slot map's private types. Read objrmap/swapmap.h first.
 *
 *     rmap_swap ──devices──▶ rmap__swap_device ──chunks──▶ rmap__slot_chunk: free bits, 1,024 records
 *                                                               record ──cached──▶ page ──swap──▶ (device, slot)
 *
 * One mutex, [m], guards all of it. It is a leaf: held for short stretches, never during device reads and writes, and
 * never around a call that can come back here. Two of the core's calls can: rmap_page_unlock (an ORPHAN leaves the
 * cache by our `forget`) and rmap_page_put (the last reference frees the frame by the embedder's hook). So whatever has
 * to be unlocked or dropped is collected under the mutex and done after it. Under it are allowed: a page lock by *try*,
 * the reference counts of owners and pages upward, page flags, and the device's `discard`, which does not block.
 *
 * slot.cached = page, page.swap = entry and SWAPCACHE are set and cleared together under [m], with the page lock held.
 */
#ifndef RMAP_SWAP_SWAP_INTERNAL_H
#define RMAP_SWAP_SWAP_INTERNAL_H

#include <base/alloc.h>
#include <base/assert.h>
#include <base/mutex.h>
#include <objrmap/error.h>
#include <objrmap/group.h>
#include <objrmap/swapmap.h>
#include <pthread.h>

#define RMAP__CHUNK_SHIFT 10
#define RMAP__CHUNK_SLOTS ((uint32_t)1 << RMAP__CHUNK_SHIFT)
#define RMAP__CHUNK_WORDS (RMAP__CHUNK_SLOTS / 64)
#define RMAP__SWAP_DEVICES_MAX (RMAP_SWP_DEVICES - 1) /* device 0 means "no entry" */
#define RMAP__IO_BATCH 64                             /* pages handed to a device in one call */
#define RMAP__SWAP_SHIFT_MIN 9
#define RMAP__SWAP_SHIFT_MAX 20

/** State bits, in the low 12 bits of slot.index_state. */
enum rmap__slot_state {
    RMAP__SLOT_LIVE = 1 << 0,    /* has entries or a cached page */
    RMAP__SLOT_MOVED = 1 << 1,   /* an entry may lie at another page number */
    RMAP__SLOT_WRITTEN = 1 << 2, /* the device holds what `checksum` was taken of; unset, it cannot be loaded */
    RMAP__SLOT_BAD = 1 << 3,     /* a write failed; outlives LIVE, so that it is never handed out again */
};
#define RMAP__SLOT_INDEX_SHIFT 12

struct rmap__slot {
    rmap_owner_t owner;       /* [m] our reference; 0 while free, or when a page without owner was put in */
    uint64_t index_state;     /* [m] home index << 12 | state */
    struct rmap_page *cached; /* [m] our reference; NULL: not in the cache */
    uint64_t checksum;        /* [m] */
    uint32_t count;           /* [m] swap entries */
    uint32_t version;         /* [m] raised by each free and each write: a load sees that its content is out of date */
};

struct rmap__slot_chunk {
    uint64_t free[RMAP__CHUNK_WORDS]; /* [m] bit set: slot can be handed out */
    uint32_t nfree;                   /* [m] bits set */
    uint32_t spare;                   /* [m] live slots with count 0: clean copies, which may be taken away */
    struct rmap__slot slots[RMAP__CHUNK_SLOTS];
};

struct rmap__swap_device {
    struct rmap_device *device;       /* constant while a slot is in use; NULL: the number is free, all here is 0 */
    struct rmap__slot_chunk **chunks; /* [m] made in order: [0, made); room for `room` */
    uint64_t *with_free,
        *with_spare;      /* [m] a bit for each chunk: has some free, some spare slots; searches skip the rest */
    uint32_t slots, room; /* as `device` */
    uint32_t made;        /* [m] */
    uint32_t cursor;      /* [m] slot where the search for a free one goes on */
    uint32_t nfree;       /* [m] free slots of the chunks made */
    uint32_t used, bad;   /* [m] slots that are live; those that are bad, live or not */
    uint32_t reading;     /* [m] reads under way: of slots that may have died meanwhile */
    bool draining;        /* [m] no slot is taken here */
};

struct rmap_swap {
    struct rmap_allocator alloc; /* constant */
    unsigned page_shift;         /* constant */
    struct rmap *r;              /* set once by rmap_swap_bind, before the first page */
    pthread_mutex_t lock;
    struct rmap__swap_device devices[RMAP__SWAP_DEVICES_MAX]; /* device n of an entry is [n - 1] */
    unsigned device_count;                                    /* [m] one past the highest number given out yet */
    uint32_t count_max;                                       /* [m] where slot.count overflows */
    uint64_t spare;                                           /* [m] sum over chunks */
    rmap_swp_t steal_from;                                    /* [m] where the search for a clean copy goes on */
    uint64_t looked;                                          /* [m] words and slots that searches have looked at */
    struct rmap_swap_stats stats;                             /* [m] */
};

static inline uint64_t rmap__slot_state(const struct rmap__slot *slot)
{
    return slot->index_state & 0xfff;
}
static inline rmap_vpn_t rmap__slot_index(const struct rmap__slot *slot)
{
    return slot->index_state >> RMAP__SLOT_INDEX_SHIFT;
}

/** Can slots be taken here? Not where a number is free, nor while the device is drained. */
static inline bool rmap__device_takes(const struct rmap__swap_device *d)
{
    return d->device && !d->draining;
}
/** Slots of the chunks made. */
static inline uint32_t rmap__device_made(const struct rmap__swap_device *d)
{
    uint64_t made = (uint64_t)d->made << RMAP__CHUNK_SHIFT;
    return made < d->slots ? (uint32_t)made : d->slots;
}

/* ---- chunks.c: all with [m] held, but for init and free ---- */
/** Room for the chunks of a device, none made yet. @return 0; NOMEM. */
int rmap__device_init(struct rmap_swap *s, struct rmap__swap_device *d, struct rmap_device *device);
/** Bytes of its records, as in stats.metadata_bytes. */
uint64_t rmap__device_bytes(const struct rmap__swap_device *d);
/** Free a device's records, not the device. Nobody else knows them. */
void rmap__device_free(struct rmap_swap *s, struct rmap__swap_device *d);
/** The chunk's nfree or spare has changed: put its bits right. */
void rmap__chunk_note(struct rmap__swap_device *d, uint32_t chunk);
/** First chunk of [from, to) whose bit is set; `to` or more if there is none. Cost: O((to - from) / 64). */
uint32_t rmap__chunk_next(struct rmap_swap *s, const uint64_t *map, uint32_t from, uint32_t to);

/* ---- slots.c: all with [m] held ---- */
/** Record of a slot, or NULL if the entry names no device or lies in no chunk made. The slot may be dead. */
struct rmap__slot *rmap__slot_find(struct rmap_swap *s, rmap_swp_t entry);
/** The same, or NULL if it is dead. */
struct rmap__slot *rmap__slot_find_live(struct rmap_swap *s, rmap_swp_t entry);
/**
 * Take a free slot. Drops [m] while it allocates a chunk. The slot is LIVE, with count 0 and without page: the caller
 * fills it before it releases [m]. @return 0; NO_SLOT; NOMEM (only a new chunk could have held it).
 */
int rmap__slot_take(struct rmap_swap *s, rmap_swp_t *out);
/** Take this free slot; as rmap__slot_take. */
void rmap__slot_retake(struct rmap_swap *s, rmap_swp_t entry);
/** Clear and free a slot without entries and page; a bad one is only cleared. */
void rmap__slot_free(struct rmap_swap *s, rmap_swp_t entry);
/** The slot is one of the spare ones from now on (+1), or no longer (-1): count it. */
void rmap__slot_add_spare(struct rmap_swap *s, rmap_swp_t entry, int n);

/* ---- links.c: all with [m] held ---- */
/** count := n; keeps the sums. At 0 without page the slot is freed. */
void rmap__slot_set_count(struct rmap_swap *s, rmap_swp_t entry, uint32_t n);
/** Join slot and page in the cache: takes a reference, sets `swap` and SWAPCACHE. */
void rmap__slot_attach(struct rmap_swap *s, rmap_swp_t entry, struct rmap_page *page);
/**
 * Part them: `swap` := 0, SWAPCACHE and ORPHAN cleared, DIRTY set (the page has no copy any more); the slot is freed if
 * it has no entries. The cache's reference becomes the caller's, who drops it after [m].
 */
void rmap__slot_detach(struct rmap_swap *s, rmap_swp_t entry, struct rmap_page *page);
/** `target` instead of the attached `page`. The cache's reference to `page` becomes the caller's, who drops it after
 * [m]. */
void rmap__slot_replace(struct rmap_swap *s, rmap_swp_t entry, struct rmap_page *page, struct rmap_page *target);
/** Entry under which `page` is cached in this map, or 0. Page lock held. */
rmap_swp_t rmap__slot_of_page(struct rmap_swap *s, const struct rmap_page *page);
/** Find a clean copy whose page can be locked by try. @return the locked page, still attached, or NULL. */
struct rmap_page *rmap__slot_find_spare(struct rmap_swap *s);

/* ---- address.c ---- */
/** Where the page's bytes are. @return 0; UNKNOWN_PAGE; UNSUPPORTED (frames that are no memory). No lock. */
int rmap__swap_address(struct rmap_swap *s, const struct rmap_page *page, void **out);
/** XXH3 of a page's bytes; covers length and place, so that another slot's content does not pass. */
uint64_t rmap__swap_checksum(const void *data, unsigned page_shift, rmap_swp_t entry);

/* ---- map.c ---- */
/** Tests only: let counts overflow at `max` instead of UINT32_MAX. */
void rmap__swap_set_count_max(struct rmap_swap *s, uint32_t max);

/** Copy the caller's hooks, or the default ones for NULL. @return 0; STRUCT_SIZE; NULL_ARG (a hook is missing). */
static inline int rmap__swap_allocator(const struct rmap_allocator *in, struct rmap_allocator *out)
{
    if (!in) in = rmap_alloc_default();
    if (in->struct_size != sizeof *in) return RMAP_ERR_STRUCT_SIZE;
    if (!in->alloc || !in->free) return RMAP_ERR_NULL_ARG;
    *out = *in;
    return 0;
}

#endif
