/* SPDX-License-Identifier: MIT */
/**
 * @file fault/stage.h  Where every verb is tried with the Nth allocation failing, and what a case consists of.
 *
 * The stage, pages of 4,096 bytes, 40 frames, soft radix tables, 200 swap slots:
 *
 *     page     0    4    8   12   16   20   24
 *     parent   [ own |shrd|swap|none]    [ r  ]        page n says 100 + n, those on swap 800 … 803
 *     child    [ own |shrd|swap|none]    [ r  ]        forked from it; its own pages say 500 …
 *     guest    ………                                     empty but for what a case makes in it
 */
#ifndef RMAP_TESTS_FAULT_STAGE_H
#define RMAP_TESTS_FAULT_STAGE_H

#include "unit/pager_world.h"

#include <objrmap/host.h>

struct stage {
    struct world w;
    struct rmap_space *parent, *child, *guest;
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
};

enum { LOOSE = 1, SPARING = 2 };

struct verb {
    const char *names;               /* the public functions that the case tries, separated by blanks */
    int (*call)(struct stage *);     /* NOMEM: nothing happened */
    void (*undo)(struct stage *);    /* what a success made; NULL: nothing */
    void (*prepare)(struct stage *); /* while memory is plenty; NULL: nothing */
    void (*clear)(struct stage *);   /* the end of prepare's; NULL: nothing */
    /*
     * LOOSE: a failure may leave what cannot be observed: tables made ahead, pages populated, write protection
     * withdrawn. SPARING: it also succeeds when what it asks for is refused, with less.
     */
    unsigned flags;
};

/** Those that allocate, and those that promise not to (quiet). Ended by names NULL. */
extern const struct verb fault_verbs_space[], fault_verbs_core[], fault_verbs_parts[], fault_verbs_quiet[];

void stage_init(struct stage *g);
/** Everything says what it must, the books are in order. */
void stage_check(struct stage *g);
void stage_fini(struct stage *g);

static inline const struct rmap_allocator *stage_alloc(struct stage *g)
{
    return &g->w.alloc.a;
}
static inline struct rmap_radix_options stage_radix(struct stage *g, const struct rmap_radix_geometry *geometry)
{
    return (struct rmap_radix_options){.struct_size = sizeof(struct rmap_radix_options),
                                       .geometry = geometry,
                                       .alloc = stage_alloc(g),
                                       .caps = RMAP_MMU_NO_TLB};
}
/** The page that a space maps there, with a reference and locked. */
struct rmap_page *stage_page(struct stage *g, struct rmap_space *s, rmap_vpn_t vpn);
void stage_let_go(struct stage *g, struct rmap_page *page);

#endif
