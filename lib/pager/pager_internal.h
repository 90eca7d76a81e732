/* SPDX-License-Identifier: MIT */
/**
 * @file pager/pager_internal.h  The pager's private types. Read objrmap/pager.h and objrmap/space.h first.
 *
 *     rmap_pager ──spaces──▶ rmap_space: regions, MMU, member ──▶ the core's fork tree
 *         │
 *         └─frames──▶ rmap__frame[n]: descriptor of frame n, then its place in a reclaim list
 *
 * Locks. [S] the pager's mutex: it stands for every space lock, so it comes before page, group and run locks. It is
 * taken by public calls; internal functions expect it held unless they say otherwise. [F] the frame lock: a leaf, for
 * the free map and the lists, because frames come back from wherever the last reference is dropped. [c] constant after
 * creation.
 */
#ifndef RMAP_PAGER_PAGER_INTERNAL_H
#define RMAP_PAGER_PAGER_INTERNAL_H

#include <base/alloc.h>
#include <base/assert.h>
#include <objrmap/instance.h>
#include <objrmap/pager.h>
#include <objrmap/rmap.h>
#include <objrmap/space.h>
#include <pager/region.h>
#include <pthread.h>
#include <string.h>
#include <sys/queue.h>

#define RMAP__FRAMES_MIN 16
#define RMAP__FRAMES_MAX ((uint64_t)1 << 32)
#define RMAP__EVICT_DEFAULT 64
#define RMAP__EVICT_MAX 256
#define RMAP__CLUSTER 16 /* frames that are kept together for neighbouring pages; divides 64 */

enum rmap__list_name { RMAP__LIST_ACTIVE, RMAP__LIST_INACTIVE, RMAP__LISTS, RMAP__LIST_NONE = RMAP__LISTS };

struct rmap__frame {
    struct rmap_page page;         /* first: the core's section steps over the rest by its stride */
    TAILQ_ENTRY(rmap__frame) link; /* [F] */
    uint32_t list;                 /* [F] enum rmap__list_name; NONE: free, isolated by reclaim, or the zero frame */
};
TAILQ_HEAD(rmap__frame_list, rmap__frame);

struct rmap__frames {
    pthread_mutex_t lock;                      /* F itself */
    struct rmap__frame *frame;                 /* [c] `total` of them */
    uint64_t *free_map;                        /* [F] bit set: frame is free */
    uint64_t total, words;                     /* [c] frames; words of free_map */
    uint64_t free, free_clusters;              /* [F] frames; aligned clusters that are wholly free */
    uint64_t lost;                             /* [F] poisoned frames that nothing refers to: neither free nor used */
    uint64_t used_peak;                        /* [F] */
    uint64_t cursor;                           /* [F] word where the next search begins */
    rmap_pfn_t shut_first, shut_end;           /* [F] these are not handed out: they are being emptied */
    struct rmap__frame_list list[RMAP__LISTS]; /* [F] head = youngest */
    uint64_t listed[RMAP__LISTS];              /* [F] */
    bool stuck;                                /* [F] reclaim freed nothing last time, and no frame came back since */
};

/* Scratch of one batch. It lies here because a fault handler's stack may be small. */
struct rmap__batch {
    struct rmap_page *page[RMAP__EVICT_MAX], *dirty[RMAP__EVICT_MAX]; /* dirty: also those to discard */
    struct rmap_result result[RMAP__EVICT_MAX];
    int written[RMAP__EVICT_MAX];
};

RB_HEAD(rmap__space_tree, rmap_space);

struct rmap_pager {
    struct rmap_allocator alloc;       /* [c] */
    pthread_mutex_t lock;              /* S itself */
    struct rmap_mmu_provider provider; /* [c] */
    struct rmap_memory *memory;        /* [c] */
    struct rmap_memory own_memory;     /* [c] used when the options gave none */
    unsigned page_shift;               /* [c] */
    struct rmap *r;                    /* [c] */
    struct rmap_swap *swap;            /* [c] never NULL; without devices it has no slots */
    _Atomic bool has_swap;             /* there is a device */
    struct rmap__frames frames;
    struct rmap_page *zero;             /* [c] SPECIAL, mapped read-only wherever nothing was written yet */
    rmap_pfn_t zero_pfn;                /* [c] */
    enum rmap_move_policy move_policy;  /* [c] of new spaces */
    uint64_t commit_limit;              /* [c] 0: none */
    unsigned evict_batch;               /* [c] */
    uint64_t low_frames;                /* [c] below this many free frames an allocation reclaims */
    bool reclaiming;                    /* [S] */
    bool may_discard;                   /* [S] lazily freed pages may be about */
    bool saw_discardable;               /* [S] by this reclaim */
    struct rmap__batch batch;           /* [S] */
    LIST_HEAD(, rmap_space) spaces;     /* [S] */
    struct rmap__space_tree by_address; /* [S] the same spaces, to find the one that a member belongs to */
    struct rmap_pager_stats stats;      /* [S] counters; gauges are filled by rmap_pager_get_stats */
};

struct rmap_space {
    struct rmap_pager *p;         /* [c] */
    LIST_ENTRY(rmap_space) link;  /* [S] */
    RB_ENTRY(rmap_space) node;    /* [S] in by_address */
    struct rmap_mmu mmu;          /* [c] */
    struct rmap_member member[2]; /* [S] exec joins with one before it leaves with the other */
    unsigned current;             /* [S] index of the member in use */
    struct rmap__regions regions; /* [S] */
    uint64_t charged;             /* [S] pages of accounted regions */
    bool dead;                    /* [S] being destroyed: faults from its MMU find nothing */
    void *user;                   /* the embedder's */
};

static inline struct rmap_member *rmap__space_member(struct rmap_space *s)
{
    return &s->member[s->current];
}

/* ---- pager.c ---- */
/**
 * Take the pager mutex. @return 0; BUSY: this thread holds it already (a fault on projected memory inside a call, or a
 * call from inside a hook), which would otherwise hang.
 */
int rmap__pager_lock(struct rmap_pager *p);
void rmap__pager_unlock(struct rmap_pager *p);

/* ---- frames.c ---- */
int rmap__frames_init(struct rmap_pager *p, uint64_t frames);
void rmap__frames_fini(struct rmap_pager *p);
extern const struct rmap_frame_ops rmap__frame_ops;
static inline unsigned char *rmap__frame_address(const struct rmap_pager *p, rmap_pfn_t pfn)
{
    return p->memory->view + (pfn << p->page_shift);
}
static inline bool rmap__frame_is_free(const struct rmap__frames *fs, rmap_pfn_t pfn)
{
    return fs->free_map[pfn / 64] >> (pfn % 64) & 1;
}
/** Frames handed out, the zero frame included. Takes [F]. */
uint64_t rmap__frames_used(struct rmap_pager *p);
/** Is the frame out of use for good? Takes [F]. */
bool rmap__frame_is_lost(struct rmap_pager *p, rmap_pfn_t pfn);
/** Take a free frame out of use for good. Takes [F]. @return false: it is not free. */
bool rmap__frame_retire(struct rmap_pager *p, rmap_pfn_t pfn);

/** Hand out no frame of [first, end) until called again; (0, 0): all are to be had. Takes [F]. */
void rmap__frames_shut(struct rmap_pager *p, rmap_pfn_t first, rmap_pfn_t end);

/* ---- lists.c: each takes [F] ---- */
/** Take up to `max` of the oldest frames out of a list, each with a reference. @return how many. */
size_t rmap__list_isolate(struct rmap_pager *p, enum rmap__list_name list, struct rmap_page **out, size_t max);
/** Put an isolated page at the young end of a list. The caller still holds its reference, and drops it afterwards. */
void rmap__list_put(struct rmap_pager *p, struct rmap_page *page, enum rmap__list_name list);
/** `target` gets a place beside `page`, in the same list. Both are listed. */
void rmap__list_take_place(struct rmap_pager *p, struct rmap_page *page, struct rmap_page *target);
uint64_t rmap__list_count(struct rmap_pager *p, enum rmap__list_name list);

/* ---- reclaim.c, evict.c ---- */
/** Free up to `target` frames. @return how many were freed; 0 at once when called from inside itself. */
uint64_t rmap__reclaim(struct rmap_pager *p, uint64_t target);
/**
 * Try to evict up to `n` pages (<= RMAP__EVICT_MAX) from the inactive end. *scanned += pages looked at.
 * @return frames freed.
 */
uint64_t rmap__evict(struct rmap_pager *p, size_t n, bool spare_young, uint64_t *scanned);

/* ---- commit.c ---- */
/** Would `add` more and `sub` fewer charged pages fit the limit? @return 0; COMMIT. */
int rmap__commit_check(const struct rmap_pager *p, uint64_t add, uint64_t sub);
void rmap__commit_add(struct rmap_space *s, uint64_t pages);
void rmap__commit_sub(struct rmap_space *s, uint64_t pages);

/* ---- space.c ---- */
/** Begin a public call: lock, and check that the space lives. @return 0 (locked); NULL_ARG; BUSY; DEAD. */
int rmap__space_enter(struct rmap_space *s);
void rmap__space_leave(struct rmap_space *s);
/** @return 0; RANGE unless [first, first + count) is not empty and inside the space. */
int rmap__space_range(const struct rmap_space *s, rmap_vpn_t first, uint64_t count);
/** A space with an MMU, neither member nor listed yet. Takes no lock: the provider may block. */
int rmap__space_alloc(struct rmap_pager *p, struct rmap_space **out);
/** Undo rmap__space_alloc: no entry may be left. Takes no lock. */
void rmap__space_free(struct rmap_space *s);
void rmap__space_list(struct rmap_space *s);
/** The listed space that a member belongs to, or NULL (a member of the embedder's own). Cost: O(log spaces). */
struct rmap_space *rmap__space_of(struct rmap_pager *p, const struct rmap_member *m);
/** Drop all regions, entries and charges. */
void rmap__space_clear(struct rmap_space *s);

/* ---- map.c ---- */
/** Unmap [first, end): needs a stock of rmap__regions_cuts(first, end) regions; then it cannot fail. */
void rmap__unmap_range(struct rmap_space *s, rmap_vpn_t first, rmap_vpn_t end, struct rmap__region_stock *stock);
/** Let the MMU free tables that hold nothing. */
void rmap__trim(struct rmap_space *s, rmap_vpn_t first, rmap_vpn_t end);

/* ---- fault.c ---- */
/** Bytes to copy while the entry is known to allow it, under its run lock: `bounce` is never the caller's memory. */
struct rmap__touch {
    void *bounce;
    size_t offset, bytes; /* within the page */
    bool write;
};
/** rmap_space_fault with the mutex held. With `touch`: copies, and leaves the MMU's translations alone. */
int rmap__fault(struct rmap_space *s, rmap_vpn_t vpn, unsigned access, const struct rmap__touch *touch);
/**
 * Bring in what is on swap at `vpn`, whatever the region allows, as a fault would, but for no access: the entry is
 * not marked accessed, and not present where nothing may be accessed. Anything else than a swap entry is left alone.
 * @return 0; ABSENT (no region); a fault's error.
 */
int rmap__fault_swapin(struct rmap_space *s, rmap_vpn_t vpn);
/** Make every page of a locked range resident, for writing where the region allows it. @return 0 or a fault's error. */
int rmap__populate(struct rmap_space *s, rmap_vpn_t first, rmap_vpn_t end);

#endif
