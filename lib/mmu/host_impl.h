/* SPDX-License-Identifier: MIT */
/**
 * @file mmu/host_impl.h  Insides of the host MMU: windows, and the records of what is projected into them.
 *
 * The truth about a window is its radix tables. Its mappings are a TLB, and these records say exactly what is in it: a
 * *projection* is a stretch of pages that shows contiguous frames with one protection, which is what the kernel keeps
 * as one VMA. What lies between projections is a gap (PROT_NONE), a VMA as well. `vmas` counts both, in all windows;
 * if windows happen to be neighbours the kernel may need fewer, never more.
 *
 *     host.c         create, destroy, fault, statistics        host_window.c  a space's window and its MMU operations
 *     host_tlb.c     the tree of records: cut, put, count      host_room.c    staying below the limit: the clock hand
 *     host_update.c  projecting, fault-around                  host_flush.c   forgetting: flush, and what cannot fail
 *
 * Locks, inside run locks: a mutex for each window, and inside it one for the host. A window's guards what is marked [W],
 * its projections; every mmap and mprotect in the window is done under it, so that records and kernel agree. The host's
 * guards what is marked [H] and is held for moments, over no system call (one rare case apart: the ballast). So threads
 * that fault in different windows, or flush them, do not wait for each other. Nothing is allocated and no projected
 * memory touched below either: a fault, which wants them in a signal handler, waits for threads that go on.
 *
 * A *change* of a window's projections is made under its own lock alone, with what it *took* from the host before: VMAs
 * set aside below the limit, and spare records. Afterwards it is *settled*: the counts become what they are, and what is
 * left over goes back.
 *
 *     take ──▶ mmap, cut, put … ──▶ settle        vmas + reserved ≤ vma_limit, at any time
 *
 * Taking does not wait. Who cannot do without gives up the window's lock and makes room: that takes other windows' locks,
 * one at a time, and of windows that are *pinned*, so that they stay.
 *
 * Faults run in any number of threads. While the client resolves one, its thread holds no lock of the host's; the
 * window stays, because closing it waits for the faults that are entered in its list. Two threads that fault on one
 * page resolve it one after the other: the second finds it projected as it should be, and nothing is mapped again.
 */
#ifndef RMAP_MMU_HOST_IMPL_H
#define RMAP_MMU_HOST_IMPL_H

#include <objrmap/error.h>
#include <objrmap/host.h>
#include <objrmap/radix.h>

#include <bsd/sys/tree.h>
#include <pthread.h>
#include <sys/queue.h>

#include "base/mutex.h"

#define RMAP__WINDOW_PAGES_MAX ((uint64_t)1 << 27)
#define RMAP__VMA_LIMIT_MIN 16

/* One access, or one flush of one range, adds at most two: it splits a gap or a projection into three. */
#define RMAP__VMAS_PER_CHANGE 2
/* One instruction may need four pages at once (two operands, each across a page boundary), anywhere. With less than
 * this beside the empty windows it would never complete. */
#define RMAP__VMAS_TO_WORK (4 * RMAP__VMAS_PER_CHANGE)
/* Records that one change may need before it gives any back. */
#define RMAP__RECORDS_PER_CHANGE 2
/* Records that each window brings along, so that dropping projections can always pay for a change. */
#define RMAP__RECORDS_PER_WINDOW 4

struct rmap__projection {
    union {
        RB_ENTRY(rmap__projection) link;     /* in a window's tree */
        SLIST_ENTRY(rmap__projection) spare; /* in the host's stock, or in a change's */
    };
    uint32_t first, count; /* pages of the window */
    uint64_t pfn : 63;     /* frame of page `first`; the others follow */
    uint64_t writable : 1;
};
RB_HEAD(rmap__projections, rmap__projection);
SLIST_HEAD(rmap__records, rmap__projection);

/* A fault under way, on the stack of the thread that serves it: in the list from the look-up of the window until the
 * client is done. */
struct rmap__serving {
    LIST_ENTRY(rmap__serving) link; /* [H] */
    uint32_t page;                  /* constant */
    bool refused;                   /* [H] the kernel did not let the last update of this page happen */
};

static inline uint32_t rmap__projection_end(const struct rmap__projection *p)
{
    return p->first + p->count;
}

/* What a change has taken, and what it has done since the window was last settled. */
struct rmap__change {
    struct rmap__records spare;
    uint32_t spares;
    bool open;         /* something was taken: the host counts this change among those under way */
    uint32_t reserved; /* VMAs */
    int64_t vmas;      /* more than before */
    uint32_t projections, projected_pages, drops, flush_calls; /* for the statistics */
};

/* A space's window; the `ctx` of its struct rmap_mmu. [c] constant after creation. */
struct rmap__window {
    struct rmap_host *host;             /* [c] */
    struct rmap_mmu tables;             /* [c] the radix that holds the entries */
    struct rmap_mmu_client client;      /* [c] */
    unsigned char *base;                /* [c] */
    RB_ENTRY(rmap__window) link;        /* [H] */
    LIST_HEAD(, rmap__serving) serving; /* [H] faults under way */
    uint32_t pins;                      /* [H] threads that make room and may lock it */
    bool closing;                       /* [H] takes no new faults */
    pthread_mutex_t lock;               /* W itself */
    struct rmap__projections tlb;       /* [W] */
    struct rmap__change change;         /* [W] */
    uint64_t forgotten;                 /* [W] system calls that took translations away */
};
RB_HEAD(rmap__windows, rmap__window);

struct rmap_host {
    struct rmap_allocator alloc;         /* [c] */
    const struct rmap_memory *memory;    /* [c] */
    uint32_t pages;                      /* [c] of each window */
    struct rmap_pte_format format;       /* [c] the soft format with the memory's page size */
    struct rmap_radix_geometry geometry; /* [c] */
    struct rmap_mmu_provider tables;     /* [c] of radix tables, one for each window */
    struct rmap_mmu_ops ops;             /* [c] of every window */
    pthread_mutex_t lock;                /* H itself */
    pthread_cond_t idle;                 /* a closing window has no fault under way, and no pin, any more */
    pthread_cond_t settled;              /* [H] for `waiters`: a change is no longer under way, or an emergency over */
    uint32_t waiters;                    /* [H] */
    uint32_t changes;                    /* [H] under way: what they took is not settled yet */
    bool emergency;                      /* [H] one thread has all VMAs to itself: nobody else takes any */
    uint64_t reserved;                   /* [H] VMAs that changes under way may add */
    struct rmap__windows windows;        /* [H] by address */
    struct rmap__records spare;          /* [H] */
    uint64_t spares, records;            /* [H] records in stock; records in all */
    uintptr_t hand;                      /* [H] address at which dropping goes on */
    void *ballast;                       /* [H] one mapping to give up when the kernel takes no more, or NULL */
    struct rmap_host_stats stats;        /* [H] vma_limit [c]; the byte counts are filled in by get_stats */
};

/* Everything below: the window's lock held and not the host's, unless it says otherwise. Pages are of the window; [first,
 * end) lies inside it. */

static inline void rmap__window_lock(struct rmap__window *w)
{
    rmap__mutex_lock(&w->lock, RMAP__RANK_WINDOW);
}
static inline void rmap__window_unlock(struct rmap__window *w)
{
    rmap__mutex_unlock(&w->lock, RMAP__RANK_WINDOW);
}
static inline void rmap__host_lock(struct rmap_host *host)
{
    rmap__mutex_lock(&host->lock, RMAP__RANK_HOST);
}
static inline void rmap__host_unlock(struct rmap_host *host)
{
    rmap__mutex_unlock(&host->lock, RMAP__RANK_HOST);
}

/* ---- host_tlb.c: the records and their count; no system call. Spare records are the change's ---- */

/** First projection that ends after `page`, or NULL: it covers the page, or is the next one. */
struct rmap__projection *rmap__tlb_find(struct rmap__window *w, uint32_t page);
struct rmap__projection *rmap__tlb_next(struct rmap__projection *p);
struct rmap__projection *rmap__tlb_prev(struct rmap__projection *p);
/** Last projection that begins before `page`, or NULL. */
struct rmap__projection *rmap__tlb_before(struct rmap__window *w, uint32_t page);
/** Record that nothing is projected in [first, end). Needs a spare record if that splits a projection. */
void rmap__tlb_cut(struct rmap__window *w, uint32_t first, uint32_t end);
/** Record a projection in place of what was there; it merges with its neighbours as VMAs do. Needs a spare record, and
 *  another one if that splits a projection. */
void rmap__tlb_put(struct rmap__window *w, uint32_t first, uint32_t end, rmap_pfn_t pfn, bool writable);
/** Host lock held. */
void rmap__records_add(struct rmap_host *host, struct rmap__records *list);
/** Move records out of the stock until only `keep` are there, to be freed by the caller without the lock. Host lock
 *  held. */
void rmap__records_take(struct rmap_host *host, uint64_t keep, struct rmap__records *list);

/** Allocate n records, or as many as there is memory for. No lock held. @return how many. */
unsigned rmap__records_alloc(const struct rmap_allocator *alloc, unsigned n, struct rmap__records *list);
/** No lock held. */
void rmap__records_free(const struct rmap_allocator *alloc, struct rmap__records *list);

/* ---- host_flush.c ---- */

/** Make [first, end) faulting, exactly if means suffice, else with more around it. Cannot fail; to be settled. */
void rmap__window_forget(struct rmap__window *w, uint32_t first, uint32_t end);
/** Make the whole window faulting: needs neither VMA nor record. Cannot fail; repairs holes. */
void rmap__window_forget_all(struct rmap__window *w);
/** One mapping outside all windows, not counted; without it if the system refuses. Host lock held, or nobody else there. */
void rmap__host_take_ballast(struct rmap_host *host);
void rmap__host_drop_ballast(struct rmap_host *host);
void rmap__window_flush(void *window, const struct rmap_flush_range *ranges, size_t n); /* takes the locks */

/* ---- host_room.c ---- */

/** Settle, then take what a change may need: it may add so many VMAs, and has at least so many spare records. Takes the
 *  host lock for a moment. @return false: they are not there now; nothing is taken. */
bool rmap__window_take(struct rmap__window *w, uint32_t vmas, uint32_t records);
/** The same in an emergency of this thread's own, after everything was forgotten: they are there. */
void rmap__window_take_in_emergency(struct rmap__window *w, uint32_t vmas, uint32_t records);
/** The window's changes are complete. Takes the host lock for a moment. */
void rmap__window_settle(struct rmap__window *w);
void rmap__window_settle_locked(struct rmap__window *w); /* both locks held */

/** Is there room for so many more VMAs, and are there so many records? Host lock held. */
bool rmap__host_has_room(const struct rmap_host *host, uint64_t vmas, uint64_t records);
/** Drop projections, or wait for changes under way, until there was such room for a moment. No lock of the host's held.
 *  Comes to an end while the limit leaves RMAP__VMAS_TO_WORK beside the empty windows, which window creation
 *  guarantees. */
void rmap__host_make_room(struct rmap_host *host, uint64_t vmas, uint64_t records);
/** No lock of the host's held. */
void rmap__host_forget_everything(struct rmap_host *host);
/** From here on no other thread of the host's adds VMAs. Waits for changes under way, and for other emergencies. No lock of
 *  the host's held. */
void rmap__host_emergency_begin(struct rmap_host *host);
void rmap__host_emergency_end(struct rmap_host *host);
/** Wait until a change is no longer under way, or an emergency over. Host lock held, given up meanwhile; nothing else of the
 *  host's held. */
void rmap__host_wait(struct rmap_host *host);
/** A change is no longer under way. Host lock held. */
void rmap__host_wake(struct rmap_host *host);
/** Half of the system's vm.max_map_count. No lock held. */
uint64_t rmap__host_default_limit(void);

/* ---- host_update.c ---- */

/** rmap_mmu_ops.update: run lock held, takes the locks. */
void rmap__window_update(void *window, const struct rmap_mmu_run *run, rmap_vpn_t vpn, unsigned access);

/* ---- host_window.c ---- */

/** Fill in format, geometry, operations and the provider of tables. No lock held. @return 0; NOMEM. */
int rmap__host_init_tables(struct rmap_host *host);
/** Hooks of struct rmap_mmu_provider; take the locks. */
int rmap__window_create(void *host, const struct rmap_mmu_client *client, struct rmap_mmu *out);
void rmap__window_destroy(void *host, struct rmap_mmu *mmu);
/** First window that ends after `addr`, or NULL: it holds the address, or is the next one. Host lock held. */
struct rmap__window *rmap__window_find(struct rmap_host *host, uintptr_t addr);
struct rmap__window *rmap__window_next(struct rmap__window *w); /* host lock held */
/** Between these the window stays, with no lock held. Host lock held, at both. */
void rmap__window_pin(struct rmap__window *w);
void rmap__window_unpin(struct rmap__window *w);

/** Bytes of `pages` pages; also the offset of page number `pages`. */
static inline size_t rmap__window_bytes(const struct rmap_host *host, uint64_t pages)
{
    return (size_t)pages << host->memory->page_shift;
}

#endif
