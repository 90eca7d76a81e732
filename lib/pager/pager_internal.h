/* SPDX-License-Identifier: MIT */
/**
 * @file pager/pager_internal.h  The pager's private types. Read objrmap/pager.h and objrmap/space.h first.
 *
 *     rmap_pager ──spaces──▶ rmap_space: regions, MMU, member ──▶ the core's fork tree
 *         │
 *         └─frames──▶ rmap__frame[n]: descriptor of frame n, then its place in a reclaim list
 *
 * Locks, outermost first; docs/locking.md has the reasons.
 *   [S] the space lock, a rwlock that prefers writers: faults, reads and writes of the space shared, everything that
 *       changes its regions or many entries at once (fork, move, unmap, protect, exec, exit) exclusive. Taken by public
 *       calls; internal functions on a space expect it held unless they say otherwise.
 *   [V] one vacate at a time.
 *   [R] the reclaim lock: one reclaim at a time, whoever's need it is. No space lock is taken inside it.
 *   page, group and run locks of the core
 *   [L] the pager's own mutex, a leaf: the list of spaces, charges, the devices. [F] the frame lock, a leaf: the free map
 *       and the lists, because frames come back from wherever the last reference is dropped.
 * [a] atomic, [c] constant after creation.
 */
#ifndef RMAP_PAGER_PAGER_INTERNAL_H
#define RMAP_PAGER_PAGER_INTERNAL_H

#include <base/alloc.h>
#include <base/assert.h>
#include <base/mutex.h>
#include <objrmap/instance.h>
#include <objrmap/pager.h>
#include <objrmap/rmap.h>
#include <objrmap/space.h>
#include <pager/region.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
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
    uint32_t along;                /* [F] the last reclaim that it went along with, before its turn */
};
TAILQ_HEAD(rmap__frame_list, rmap__frame);

struct rmap__frames {
    pthread_mutex_t lock;            /* F itself */
    struct rmap__frame *frame;       /* [c] `total` of them */
    uint64_t *free_map;              /* [F] bit set: frame is free */
    uint64_t total, words;           /* [c] frames; words of free_map */
    uint64_t free, free_clusters;    /* [F] frames; aligned clusters that are wholly free */
    uint64_t lost;                   /* [F] poisoned frames that nothing refers to: neither free nor used */
    uint64_t used_peak;              /* [F] */
    _Atomic uint64_t returned;       /* [F][a] how often frames came free: tells who found none to look again */
    pthread_cond_t changed;          /* with F: a frame came back, or a fault that had some has ended */
    _Atomic uint32_t in_hand;        /* [a] faults under way that may have frames which nobody sees yet */
    _Atomic uint64_t settled;        /* [a] of those, how many have ended, and not for want of a frame */
    _Atomic uint32_t waiters;        /* [F][a] for `changed` */
    uint64_t cursor;                 /* [F] word where the next search begins */
    rmap_pfn_t shut_first, shut_end; /* [F] these are not handed out: they are being emptied */
    struct rmap__frame_list list[RMAP__LISTS]; /* [F] head = youngest */
    uint64_t listed[RMAP__LISTS];              /* [F] */
    bool stuck;                                /* [F] reclaim freed nothing last time, and no frame came back since */
};

/* Scratch of one batch. It lies here because a fault handler's stack may be small. */
struct rmap__batch {
    struct rmap_page *page[RMAP__EVICT_MAX], *dirty[RMAP__EVICT_MAX]; /* dirty: also those to discard */
    struct rmap_page *bad[RMAP__EVICT_MAX];                           /* of the dirty ones, those in bad slots */
    size_t retries;                                                   /* pages that are tried in a bad slot again */
    struct rmap_result result[RMAP__EVICT_MAX];
    int written[RMAP__EVICT_MAX];
};

/*
 * Pages whose entries name a bad slot have no other place, so they must be tried there again: the device may have
 * recovered. On one that has not, that would be every frame in every call; so a call ends its tries when a batch's worth of
 * pages was tried in vain. The turn sees to it that they are not the same ones each time, if some slots are bad for good.
 */
struct rmap__retries {
    uint64_t in_vain; /* pages tried in this call since one was taken */
    uint64_t met;     /* by this call */
    uint64_t turn;    /* so many are passed over before the first try, in the first round of all frames */
};

RB_HEAD(rmap__space_tree, rmap_space);

struct rmap_pager {
    struct rmap_allocator alloc;       /* [c] */
    pthread_mutex_t lock;              /* L itself */
    pthread_cond_t unheld;             /* a space's last hold went */
    pthread_mutex_t reclaim_lock;      /* R itself; knows its owner, since reclaim must not begin inside itself */
    pthread_mutex_t vacate_lock;       /* V itself */
    struct rmap_mmu_provider provider; /* [c] */
    struct rmap_memory *memory;        /* [c] */
    struct rmap_memory own_memory;     /* [c] used when the options gave none */
    unsigned page_shift;               /* [c] */
    struct rmap *r;                    /* [c] */
    struct rmap_swap *swap;            /* [c] never NULL; without devices it has no slots */
    _Atomic bool has_swap;             /* [L][a] there is a device */
    struct rmap__frames frames;
    struct rmap_page *zero;             /* [c] SPECIAL, mapped read-only wherever nothing was written yet */
    rmap_pfn_t zero_pfn;                /* [c] */
    enum rmap_move_policy move_policy;  /* [c] of new spaces */
    uint64_t commit_limit;              /* [c] 0: none */
    unsigned evict_batch;               /* [c] */
    unsigned swap_around;               /* [c] pages of a block that come in together: a power of two, 1: none */
    uint64_t low_frames;                /* [c] below this many free frames an allocation reclaims */
    bool reclaiming;                    /* [R] */
    uint32_t reclaim_number;            /* [R] */
    uint64_t along;                     /* [R] frames that this reclaim has looked at before their turn */
    bool saw_discardable, saw_busy;     /* [R] by this reclaim: lazily freed pages; pages that others had locked */
    _Atomic uint64_t lazy_marks;        /* [a] raised after pages were lazily freed … */
    _Atomic uint64_t lazy_done;         /* [R][a] … and its value when reclaim last found none of them */
    struct rmap__batch batch;           /* [R] */
    struct rmap__retries retries;       /* [R] */
    LIST_HEAD(, rmap_space) spaces;     /* [L] */
    struct rmap__space_tree by_address; /* [L] the same spaces, to find the one that a member belongs to */
    struct rmap_pager_stats stats;      /* [a] see RMAP__STAT; of faults, those of gone spaces; committed, spaces [L] */
};

/** Of the faults in one space: whose threads then share no counter with those of others. Fields as in rmap_pager_stats. */
struct rmap__fault_counters {
    uint64_t faults, faults_minor, zero_maps, anon_new, cow_copies, cow_reuses, swap_ins, swap_in_cached,
        swap_in_copies, swap_in_around;
};

struct rmap_space {
    struct rmap_pager *p;               /* [c] */
    pthread_rwlock_t lock;              /* S itself */
    LIST_ENTRY(rmap_space) link;        /* [L] */
    RB_ENTRY(rmap_space) node;          /* [L] in by_address */
    unsigned holds;                     /* [L] by swapoff: keeps the object, not the space, from going */
    struct rmap_mmu mmu;                /* [c] */
    struct rmap_member member[2];       /* [S] exec joins with one before it leaves with the other */
    _Atomic unsigned current;           /* [S] index of the member in use */
    struct rmap__regions regions;       /* [S] */
    uint64_t charged;                   /* [S] pages of accounted regions */
    uint64_t credit;                    /* [S] pages that the call under way will uncharge, spent already; else 0 */
    struct rmap__fault_counters faults; /* [a] */
    _Atomic rmap_vpn_t last_in;         /* [a] page of the last fault that had to read */
    bool dead;                          /* [S] being destroyed: faults from its MMU find nothing */
    void *user;                         /* the embedder's */
};

static inline struct rmap_member *rmap__space_member(struct rmap_space *s)
{
    return &s->member[s->current];
}

/** Counters are raised by any thread. */
#define RMAP__STAT(p, field, n) __atomic_fetch_add(&(p)->stats.field, (n), __ATOMIC_RELAXED)
#define RMAP__FAULT_STAT(s, field, n) __atomic_fetch_add(&(s)->faults.field, (n), __ATOMIC_RELAXED)

/* ---- call.c ---- */
/** A public call under way: lies on the stack, in a list that its thread keeps. */
struct rmap__call {
    struct rmap_pager *p;
    struct rmap_space *s; /* locked, or NULL */
    struct rmap__call *outer;
};
/**
 * Begin a public call. @return 0; BUSY: this thread is inside one of this pager's already (a fault on projected memory
 * inside a call, or a call from inside a hook), which could wait for itself.
 */
int rmap__call_begin(struct rmap__call *c, struct rmap_pager *p);
void rmap__call_end(struct rmap__call *c);
/** Begin a call on a space: its lock is taken, and it lives. @return 0; NULL_ARG; BUSY; DEAD. */
int rmap__space_enter_shared(struct rmap__call *c, struct rmap_space *s);
int rmap__space_enter_exclusive(struct rmap__call *c, struct rmap_space *s);
void rmap__space_leave(struct rmap__call *c);
/** The lock alone, for swapoff and fork, which are inside a call. */
void rmap__space_lock_shared(struct rmap_space *s);
void rmap__space_lock_exclusive(struct rmap_space *s);
void rmap__space_unlock(struct rmap_space *s);

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
/** Can n frames be had without falling below the low mark? Reclaims first if they are short already. No lock held but [S]. */
bool rmap__frames_afford(struct rmap_pager *p, uint64_t n);
/** The same without reclaim. Takes [F]. */
bool rmap__frames_to_spare(struct rmap_pager *p, uint64_t n);
/** Frames handed out, the zero frame included. Takes [F]. */
uint64_t rmap__frames_used(struct rmap_pager *p);
/** Is the frame out of use for good? Takes [F]. */
bool rmap__frame_is_lost(struct rmap_pager *p, rmap_pfn_t pfn);
/** Take a free frame out of use for good. Takes [F]. @return false: it is not free. */
bool rmap__frame_retire(struct rmap_pager *p, rmap_pfn_t pfn);

/** Hand out no frame of [first, end) until called again; (0, 0): all are to be had. Takes [F]. */
void rmap__frames_shut(struct rmap_pager *p, rmap_pfn_t first, rmap_pfn_t end);

/* ---- hands.c ---- */
/** What has happened to frames so far. */
struct rmap__hands_seen {
    uint64_t returned, settled;
};
struct rmap__hands_seen rmap__hands_look(struct rmap_pager *p);
/** A fault is about to take frames: others that find none wait for it, since it may give some back, or make their entry. */
void rmap__hands_enter(struct rmap_pager *p);
/** It has ended, and holds none any more. */
void rmap__hands_leave(struct rmap_pager *p);
/**
 * Instead of leave, for a fault that found no frame and gave back the `own` that it had: wait for the others.
 * @return true: something has happened since it began (`seen`), it may try again; false: there is no frame.
 */
bool rmap__hands_wait(struct rmap_pager *p, struct rmap__hands_seen seen, unsigned own);

/* ---- lists.c: each takes [F] ---- */
/**
 * Take up to `max` of the oldest frames out of a list, each with a reference. Where faults bring in blocks, the rest of a
 * frame's cluster goes along, as far as it is in the list: or clusters would never be free again, and blocks never in a row.
 * Each goes along but once in a reclaim, and is counted in p->along: so all others have their turns.
 * @return how many.
 */
size_t rmap__list_isolate(struct rmap_pager *p, enum rmap__list_name list, struct rmap_page **out, size_t max);
/** Put an isolated page at the young end of a list. The caller still holds its reference, and drops it afterwards. */
void rmap__list_put(struct rmap_pager *p, struct rmap_page *page, enum rmap__list_name list);
/** `target` gets a place beside `page`, in the same list; unless reclaim has one of them in hand. */
void rmap__list_take_place(struct rmap_pager *p, struct rmap_page *page, struct rmap_page *target);
uint64_t rmap__list_count(struct rmap_pager *p, enum rmap__list_name list);

/* ---- reclaim.c, evict.c ---- */
/** Take [R]; pages in bad slots may be tried again, unless the caller says otherwise. @return false: this thread has it already. */
bool rmap__reclaim_begin(struct rmap_pager *p);
void rmap__reclaim_end(struct rmap_pager *p);
/** Free up to `target` frames. [R] held. @return how many were freed. */
uint64_t rmap__reclaim(struct rmap_pager *p, uint64_t target);
/**
 * [R] held. Try to evict up to `n` pages (<= RMAP__EVICT_MAX) from the inactive end. *scanned += pages looked at.
 * @return frames freed.
 */
uint64_t rmap__evict(struct rmap_pager *p, size_t n, bool spare_young, uint64_t *scanned);

/* ---- pager_stats.c ---- */
/** What the space has counted is added to `sum`. */
void rmap__fault_counters_add(const struct rmap_space *s, struct rmap_pager_stats *sum);

/* ---- commit.c ---- */
/**
 * Set `add` charged pages aside, if they and what all spaces are charged fit the limit once the caller has given back
 * `sub`, which it will. @return 0; COMMIT.
 */
int rmap__commit_reserve(struct rmap_space *s, uint64_t add, uint64_t sub);
/** Of what was reserved, `pages` are not charged after all. */
void rmap__commit_unreserve(struct rmap_space *s, uint64_t pages);
/** Charge the space pages that were reserved. */
void rmap__commit_charge(struct rmap_space *s, uint64_t pages);
void rmap__commit_uncharge(struct rmap_space *s, uint64_t pages);

/* ---- space.c ---- */
/** @return 0; RANGE unless [first, first + count) is not empty and inside the space. */
int rmap__space_range(const struct rmap_space *s, rmap_vpn_t first, uint64_t count);
/** A space with an MMU, neither member nor listed yet. Takes no lock: the provider may block. */
int rmap__space_alloc(struct rmap_pager *p, struct rmap_space **out);
/** Undo rmap__space_alloc: no entry may be left. Takes no lock. */
void rmap__space_free(struct rmap_space *s);
/** From here on swapoff finds it. Its lock keeps others from looking into one that is half made. */
void rmap__space_list(struct rmap_space *s);
/** No longer; waits until nobody holds it. Space lock not held, `dead` set under it. */
void rmap__space_unlist(struct rmap_space *s);
/**
 * The listed space that a member belongs to, held, or NULL (a member of the embedder's own). The caller knows that the
 * member has not left (by the group lock). Cost: O(log spaces).
 */
struct rmap_space *rmap__space_hold(struct rmap_pager *p, const struct rmap_member *m);
void rmap__space_let_go(struct rmap_space *s);
/** Drop all regions, entries and charges. */
void rmap__space_clear(struct rmap_space *s);

/* ---- map.c ---- */
/** Unmap [first, end): needs a stock of rmap__regions_cuts(first, end) regions. @return 0; BLOCK: a huge entry is in the way,
 * entries before it are gone, regions and charges as they were. */
int rmap__unmap_range(struct rmap_space *s, rmap_vpn_t first, rmap_vpn_t end, struct rmap__region_stock *stock);
/** Let the MMU free tables that hold nothing. */
void rmap__trim(struct rmap_space *s, rmap_vpn_t first, rmap_vpn_t end);

/* ---- fault.c ---- */
/** Bytes to copy while the entry is known to allow it, under its run lock: `bounce` is never the caller's memory. */
struct rmap__touch {
    void *bounce;
    size_t offset, bytes; /* within the page */
    bool write;
};
/** rmap_space_fault with the space lock held. With `touch`: copies, and leaves the MMU's translations alone. */
int rmap__fault(struct rmap_space *s, rmap_vpn_t vpn, unsigned access, const struct rmap__touch *touch);
/**
 * Bring in what is on swap at `vpn`, whatever the region allows, as a fault would, but for no access: the entry is
 * not marked accessed, and not present where nothing may be accessed. Anything else than a swap entry is left alone.
 * @return 0; ABSENT (no region); a fault's error. *read, *copied: pages read from a device, private copies made.
 */
int rmap__fault_swapin(struct rmap_space *s, rmap_vpn_t vpn, unsigned *read, unsigned *copied);
/** Make every page of a locked range resident, for writing where the region allows it. @return 0 or a fault's error. */
int rmap__populate(struct rmap_space *s, rmap_vpn_t first, rmap_vpn_t end);

#endif
