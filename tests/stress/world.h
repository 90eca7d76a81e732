/* SPDX-License-Identifier: MIT */
/**
 * @file stress/world.h  One pager, a few spaces in groups that share, and threads that do everything to them at once.
 *
 *     a space:   0          512        1024       1536       2048       2560     pages, five tables
 *                | exact    | exact    | exact    |          |          |
 *                | wild     | wild     |          | wild     | wild     |
 *
 * The *exact* part is EXACT pages in AREAS areas. A page lies at one of PLACES places, in the table of that number, and
 * its book says what it may hold (book.h). Each page has one writing thread. An operation that changes the layout of
 * an area excludes accesses to that area by the test's own lock, so that its outcome is known; everything else goes on
 * meanwhile: other areas of the space, forks of it, reclaim, migration, other spaces. In the *wild* part (wild.c) no lock of
 * the test's excludes anything.
 *
 * Locks of the test, outermost first: slot->life, slot->identity, area->layout (ascending), then the library's; area->book
 * is a leaf.
 */
#ifndef RMAP_TESTS_STRESS_WORLD_H
#define RMAP_TESTS_STRESS_WORLD_H

#include "stress/book.h"
#include "stress/stamp.h"
#include "stress/tlb.h"
#include "support/prng.h"

#include <objrmap/pager.h>
#include <objrmap/space.h>
#include <pthread.h>
#include <stdatomic.h>

#define TABLE_PAGES 512u
#define SLOTS_MAX 64
#define THREADS_MAX 16 /* each writes a page of every area */
#define PINS 2

struct options {
    unsigned threads, spaces, frames;
    unsigned worlds; /* one after the other, seeds counting up */
    unsigned seconds;
    uint64_t ops; /* of a world; 0: by seconds, of all worlds */
    uint64_t seed;
    bool tlb, quiet;
};

struct area {
    pthread_rwlock_t layout;
    pthread_mutex_t lock; /* guards book; nothing of the library's is called under it */
    unsigned changes;     /* [lock] odd: an operation on the layout is under way */
    struct book book[AREA_PAGES];
};

enum slot_state { SLOT_FREE, SLOT_TAKEN, SLOT_LIVE };

/** A place for a space. */
struct slot {
    enum slot_state state;     /* guarded by world->slots */
    pthread_rwlock_t life;     /* shared: the space is not destroyed meanwhile */
    pthread_rwlock_t identity; /* shared: nor does it exec */
    struct rmap_space *space;
    struct tlb *tlb;
    atomic_uint group, lineage;
    struct area area[AREAS];
};

/* X(name) */
#define OPERATIONS(X)                                                                                                  \
    X(write)                                                                                                           \
    X(read)                                                                                                            \
    X(look)                                                                                                            \
    X(fork) X(exit) X(exec) X(create) X(map) X(unmap) X(move) X(protect) X(dontneed) X(free) X(snapshot) X(lock)       \
        X(unlock) X(policy) X(pin) X(unpin) X(age) X(withdraw) X(each) X(cursor) X(reclaim) X(vacate) X(migrate)       \
            X(swapoff) X(usage) X(stats) X(wild)
enum operation {
#define X(name) OP_##name,
    OPERATIONS(X)
#undef X
        OP_COUNT
};

struct pin {
    struct rmap_page *page; /* NULL: none */
    struct slot *slot;
    unsigned lineage, area, index, changes;
};

#define HISTORY 12

struct worker {
    struct world *w;
    unsigned number;
    pthread_t thread;
    struct prng rng;
    struct pin pin[PINS];
    unsigned char page[PAGE_BYTES];
    atomic_ullong done[OP_COUNT], refused; /* refused: an error that is allowed */
    _Atomic enum operation now;
    char history[HISTORY][96];
    unsigned notes;
};

struct world {
    struct options o;
    struct rmap_pager *pager;
    struct rmap *r;
    struct rmap_memory memory;
    struct rmap_mmu_provider provider;
    pthread_mutex_t slots; /* guards the slots' states */
    struct slot slot[SLOTS_MAX];
    atomic_uint groups, lineages, mmus;
    pthread_rwlock_t
        pinning; /* shared: a pin begins; exclusive: rmap_write_protect, which would part a pin from its space */
    pthread_mutex_t swap; /* one swapoff at a time; guards device */
    struct rmap_device *device[2];
    struct worker worker[THREADS_MAX];
    atomic_ullong ops;
    atomic_uint hot;     /* slot * AREAS + area, for a while: what every third choice falls upon */
    atomic_uint running; /* workers */
    atomic_bool stop;
    /* the quiet point: quiet.c */
    pthread_mutex_t meeting;
    pthread_cond_t met;
    unsigned arrived, round, leavers;
    atomic_bool meet;
    atomic_ullong meetings;
};

/** Something is wrong: say what, and what everybody did last, and end the process with status 1. */
void fail(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
/** Note in the worker's history what it is about to do. */
void note(struct worker *me, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** A result of the library: 0, or one of `allowed` (ends with 0), which is counted; anything else fails. @return rc. */
int answer(struct worker *me, int rc, const int *allowed, const char *what);
#define ANSWER(me, rc, ...) answer((me), (rc), (const int[]){__VA_ARGS__, 0}, #rc)
#define MUST(me, rc) answer((me), (rc), (const int[]){0}, #rc)
/** A lock that does not starve whoever wants it exclusively. */
void lock_init(pthread_rwlock_t *lock);

static inline unsigned below(struct worker *me, unsigned n)
{
    return (unsigned)prng_below(&me->rng, n);
}
static inline bool chance(struct worker *me, unsigned numerator, unsigned denominator)
{
    return prng_chance(&me->rng, numerator, denominator);
}

/* Choose an area: now and then the same as everybody. */
static inline unsigned some_area(struct worker *me)
{
    return chance(me, 1, 3) ? atomic_load_explicit(&me->w->hot, memory_order_relaxed) % AREAS : below(me, AREAS);
}

/* ---- worker.c ---- */
/** A worker's thread; `ctx` is the worker. */
void *worker_run(void *ctx);
/** Add a world that has ended to what verdict_print() counts. */
void verdict_add(const struct world *w);
/** The last line. */
void verdict_print(const struct world *w, const char *verdict);

/* ---- slots.c ---- */
/** A random live space, `life` held shared; NULL: there is none. */
struct slot *slot_get(struct worker *me);
void slot_put(struct slot *s);
void slots_init(struct world *w);
void slots_fini(struct world *w);
/** Every space that is left. */
void slots_destroy_all(struct worker *me);
void op_create(struct worker *me);
void op_fork(struct worker *me);
void op_exec(struct worker *me);
void op_exit(struct worker *me);
/** Map all of the exact part, and the wild one. Nobody else may use the space. */
void slot_populate(struct worker *me, struct slot *s);

/* ---- touch.c: reads and writes of exact pages ---- */
void op_write(struct worker *me); /* a page of mine */
void op_read(struct worker *me);  /* a page of mine */
void op_look(struct worker *me);  /* any page */
/** Read one page of the slot and compare. `life` held. */
void touch_read(struct worker *me, struct slot *s, unsigned area, unsigned index);

/* ---- layout.c: operations that change an area ---- */
void op_map(struct worker *me);
void op_unmap(struct worker *me);
void op_move(struct worker *me);
void op_protect(struct worker *me);
void op_dontneed(struct worker *me);
void op_free(struct worker *me);
void op_snapshot(struct worker *me);
void op_lock(struct worker *me);
void op_unlock(struct worker *me);
void op_policy(struct worker *me);

/* ---- frames.c: what is done to pages, whoever maps them ---- */
void op_age(struct worker *me);
void op_withdraw(struct worker *me);
void op_each(struct worker *me);
void op_cursor(struct worker *me);
void op_reclaim(struct worker *me);
void op_vacate(struct worker *me);
void op_migrate(struct worker *me);
void op_swapoff(struct worker *me);
void op_usage(struct worker *me);
void op_stats(struct worker *me);

/* ---- pins.c ---- */
void op_pin(struct worker *me);
void op_unpin(struct worker *me);
void pins_drop(struct worker *me);

/* ---- wild.c ---- */
/** The wild windows of a fresh space. */
void op_wild(struct worker *me);
void wild_map(struct worker *me, struct slot *s);

/* ---- quiet.c ---- */
/** Come to the quiet point if one is called. */
void quiet_come(struct worker *me);
/** This worker will come no more. */
void quiet_leave(struct worker *me);
/** At the end: everything destroyed, nothing left. */
void quiet_end(struct worker *me);

#endif
