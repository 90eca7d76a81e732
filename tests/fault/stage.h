/* SPDX-License-Identifier: MIT */
/**
 * @file fault/stage.h  Where every verb is tried with the Nth request of each kind refused, and what a case consists of.
 *
 * The stage, pages of 4,096 bytes, 200 swap slots:
 *
 *     page     0    4    8   12   16   20   24
 *     parent   [ own |shrd|swap|none]    [ r  ]        page n says 100 + n, those on swap 800 … 803
 *     child    [ own |shrd|swap|none]    [ r  ]        forked from it; its own pages say 500 …
 *     guest    ………                                     empty but for what a case makes in it
 *
 *     PLENTY    40 frames, soft radix tables: every page but those four has its frame
 *     TIGHT     16 frames, soft radix tables, and a fourth space whose 12 pages say 2000 …: most of the others' are on swap, and
 *               who takes a frame must write one out
 *     WINDOWS   16 frames in a memfd, the host MMU; a fourth space of 3 pages; the swap device is a file. Pages are projected
 */
#ifndef RMAP_TESTS_FAULT_STAGE_H
#define RMAP_TESTS_FAULT_STAGE_H

#include "fault/gates.h"
#include "unit/pager_world.h"

#include <objrmap/host.h>

enum stage_kind { PLENTY = 1, TIGHT = 2, WINDOWS = 4, STAGE_ALL = 7 };

struct stage {
    struct world w; /* of its allocator come the library's own objects */
    enum stage_kind kind;
    struct test_alloc tables; /* … and of this one the MMU's */
    struct rmap_memory shown; /* WINDOWS */
    struct rmap_host *windows;
    struct gate_balance balance; /* before anything was made */
    struct rmap_space *parent, *child, *guest, *crowd;
    bool furnished; /* guest: pages 100 … 107 say 1100 …, unless the verb happened */
    /* a case's own */
    void *made; /* what the verb makes */
    struct rmap_mmu mmu;
    struct rmap_member member;
    struct rmap_mmu_provider provider;
    struct rmap_memory memory;
    struct rmap_host *host;
    struct rmap_pager *pager; /* a second one */
    struct rmap_swap *swap;   /* a second one */
    struct rmap_space *space; /* of the second pager */
    struct faulty_device device;
    struct rmap_page descriptors[4];
    struct rmap_page *page, *target;
    struct rmap_swapoff swapoff;
    size_t done; /* bytes */
    unsigned char buffer[12 * PAGE];
};

enum verb_flag {
    /* A failure may leave what contents do not show: entries that are set or write-protected ahead, pages populated, tables made. */
    LOOSE_ENTRIES = 1,
    LOOSE_FRAMES = 2,
    LOOSE_BYTES = 4,
    /* A failure may leave what was at a FIXED target unmapped, regions and charges included. */
    REPLACES = 8,
};

/* What `call` answers beside 0 and an error: it stopped half-way as its comment in the header says, which the call has checked. */
#define STOPPED_HALF_WAY 1

struct verb {
    const char *names;               /* the public functions that the case tries, separated by blanks */
    int (*call)(struct stage *);     /* an error: nothing happened, unless the call has checked what did */
    void (*undo)(struct stage *);    /* what a success made; NULL: nothing */
    void (*prepare)(struct stage *); /* while nothing is refused; NULL: nothing */
    void (*clear)(struct stage *);   /* the end of prepare's; NULL: nothing */
    /* After `call`, with nothing refused any more: did what happened happen, and nothing else? rc as `call` answered. NULL: the
     * stage's own check says it all. */
    void (*check)(struct stage *, int rc);
    unsigned meets;   /* kinds that it asks for, in one of its stages at least; all others it must not ask for */
    unsigned without; /* kinds that it can do without: success is right, too, and all is as it must be then */
    unsigned never;   /* of `meets`: what cannot be refused there, for a reason that stands beside it */
    unsigned stages;  /* 0: all */
    unsigned flags;   /* each must be needed in one trial at least */
    bool lz4;         /* only in builds that have it */
};

/* What reclaim can do without while there are other pages to evict, and what a flush can do without. */
#define EVICTING (SLOT | COUNT | WRITE | LATER | PWRITE)
#define FLUSHING (MMAP | MPROTECT)

/** Ended by names NULL. */
extern const struct verb fault_verbs_space[], fault_verbs_move[], fault_verbs_touch[], fault_verbs_reclaim[],
    fault_verbs_core[], fault_verbs_parts[], fault_verbs_swap[], fault_verbs_quiet[], fault_verbs_end[];

void stage_init(struct stage *g, enum stage_kind kind);
/** Something to lose in the guest, 100 … 107: pages of its own, the first half on swap. In WINDOWS the others are projected. */
void stage_furnish(struct stage *g);
/** The guest has nothing. */
void stage_empty(struct stage *g);
/** Everything says what it must, the books are in order, windows show nothing else. */
void stage_check(struct stage *g);
/** Everything goes; nothing may be left of memory, slots, frames, mappings and files. */
void stage_fini(struct stage *g);

static inline const struct rmap_allocator *stage_alloc(struct stage *g)
{
    return &g->w.alloc.a;
}
static inline struct rmap_radix_options stage_radix(struct stage *g, const struct rmap_radix_geometry *geometry)
{
    return (struct rmap_radix_options){.struct_size = sizeof(struct rmap_radix_options),
                                       .geometry = geometry,
                                       .alloc = &g->tables.a,
                                       .caps = RMAP_MMU_NO_TLB};
}
/** The raw entry, by the MMU's own operations; 0 where no table is. */
rmap_pte_t stage_entry(struct rmap_space *s, rmap_vpn_t vpn);
bool stage_is_swapped(struct rmap_space *s, rmap_vpn_t vpn);
/** The page that a space maps there, or NULL. */
struct rmap_page *stage_find(struct stage *g, struct rmap_space *s, rmap_vpn_t vpn);
/** g->page is page 5, referenced, and both parent and child map it. Costs nothing if that is so already: a case says it before
 *  it begins, and each time that it is called, since a stage's check may have evicted the page. */
void stage_share(struct stage *g);
void stage_unshare(struct stage *g);
/** The swap entry of a page of the parent's; a stage's check has brought it in: then it is evicted again, for a retry. */
rmap_swp_t stage_swapped(struct stage *g, rmap_vpn_t vpn);
/** The page that a space maps there, with a reference and locked. */
struct rmap_page *stage_page(struct stage *g, struct rmap_space *s, rmap_vpn_t vpn);
void stage_let_go(struct stage *g, struct rmap_page *page);

#endif
