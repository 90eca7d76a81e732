/* SPDX-License-Identifier: MIT */
/**
 * @file bench/system.h  What is measured: a system that keeps spaces of anonymous pages and can find who maps one.
 *
 * objrmap and its rivals stand behind the same table of calls, so that each scenario is written once and each system does the
 * same work: the same x86-64 tables (objrmap/radix.h, the same descents, glances and run locks), the same 32-byte descriptors
 * and rules for counts, the same pool of frames and of slots, the same allocator. They differ in what they keep to find
 * mappings and in how they look them up (page by page, or a batch together: rivals/rival.h). One call does much (a fork, a
 * batch of look-ups), so the indirect call is not what is measured.
 *
 *     const struct bench_system *s = &bench_objrmap;
 *     struct bench_world *w = s->open(&(struct bench_options){.frames = 1024});
 *     struct bench_space *p = s->create(w), *c;
 *     s->map(p, 0, 512);                     a region; only regions hold pages
 *     s->write(p, 7);                        first touch
 *     c = s->fork(p);
 *     s->write(c, 7);                        copy on write
 *     s->exit(c), s->exit(p), s->close(w);
 *
 * For one thread. What fails ends the program (scale/must.h): a benchmark with a failed call measures nothing.
 */
#ifndef RMAP_TESTS_BENCH_SYSTEM_H
#define RMAP_TESTS_BENCH_SYSTEM_H

#include <objrmap/page.h>
#include <objrmap/radix.h>

/** Opaque to scenarios; each system has its own. */
struct bench_world;
struct bench_space;

struct bench_options {
    uint64_t frames;
    uint64_t slots;      /**< of swap, without contents: they count (scale/slots.h). 0: as many as frames */
    bool contents;       /**< frames have 4 KiB of memory: copies and clears are done. Else descriptors alone */
    bool track;          /**< moves of inherited pages are tracked, by a system that can; else copied */
};

enum bench_verb {
    BENCH_LOOK,    /**< find the mappings, change nothing */
    BENCH_AGE,     /**< clear accessed */
    BENCH_PROTECT, /**< withdraw write */
    BENCH_UNMAP,   /**< to swap entries: the page gets a slot if it has none. It stays in the swap cache */
    BENCH_MIGRATE, /**< to another frame, contents copied; the page that a number shows is another afterwards */
};

/** What a batch of verbs met. */
struct bench_tally {
    uint64_t hits;   /**< entries that map the pages */
    uint64_t visits; /**< spaces (full_scan: tables) looked into */
};

/** What is kept for the reverse map, now, in bytes; tables, frames and the 32 bytes of a descriptor are everybody's. */
struct bench_bytes {
    uint64_t pages;    /**< more than 32 a descriptor, for all frames */
    uint64_t mappings; /**< records for each mapping, with the slack of their chunks */
    uint64_t regions;  /**< records for each region: objrmap has none; a list of regions without reverse map is not counted */
    uint64_t spaces;   /**< records for each space and group */
};
static inline uint64_t bench_bytes_sum(const struct bench_bytes *b)
{
    return b->pages + b->mappings + b->regions + b->spaces;
}

struct bench_system {
    const char *name;
    struct bench_world *(*open)(const struct bench_options *options);
    /** All spaces have exited. */
    void (*close)(struct bench_world *w);
    /** A space in a group of its own (exec). Space numbers [0, 2^36) of 4 KiB pages. */
    struct bench_space *(*create)(struct bench_world *w);
    /** The whole space: every region, entry and swap entry; writable entries become read-only on both sides. */
    struct bench_space *(*fork)(struct bench_space *parent);
    /** Zap all, leave, free the tables. */
    void (*exit)(struct bench_space *s);

    /** A region begins: [first, first + count) is free and must not touch another region of the space. */
    void (*map)(struct bench_space *s, rmap_vpn_t first, uint64_t count);
    /** A region ends, whole or in part: its entries are zapped. */
    void (*unmap)(struct bench_space *s, rmap_vpn_t first, uint64_t count);
    /** A write fault inside a region: a new page, cleared; a copy of a shared one; or in place if it is the space's alone. */
    void (*write)(struct bench_space *s, rmap_vpn_t vpn);
    /** A read fault on a swap entry: the page, from the swap cache or a new frame ("read in"). Nothing if it is present. */
    void (*read)(struct bench_space *s, rmap_vpn_t vpn);
    /** mremap inside [from, from + count), which is one region or a part of one: `to` is free and touches no region. */
    void (*move)(struct bench_space *s, rmap_vpn_t from, rmap_vpn_t to, uint64_t count);

    /** One verb on a batch. Pages locked and unlocked inside. `tally` is added to. Every page must be found completely. */
    void (*verb)(struct bench_world *w, enum bench_verb verb, struct rmap_page *const *pages, size_t n,
                 struct bench_tally *tally);
    /** Unmapped pages leave the swap cache ("written"), their frames are free. */
    void (*evict)(struct bench_world *w, struct rmap_page *const *pages, size_t n);

    /** The page of a present entry, or NULL. */
    struct rmap_page *(*page)(struct bench_space *s, rmap_vpn_t vpn);
    /** The space's tables, for `raw` and for tests: entries may be read, and accessed and dirty be set, by anybody. */
    const struct rmap_mmu *(*mmu)(struct bench_space *s);
    /** Memory of a frame, or NULL without contents. */
    unsigned char *(*contents)(struct bench_world *w, const struct rmap_page *page);
    void (*bytes)(struct bench_world *w, struct bench_bytes *out);
    uint64_t (*frames_free)(struct bench_world *w);
};

static inline struct bench_bytes bench_bytes_of(const struct bench_system *sys, struct bench_world *w)
{
    struct bench_bytes b = {0};
    sys->bytes(w, &b);
    return b;
}
static inline uint64_t bench_bytes_kept(const struct bench_system *sys, struct bench_world *w)
{
    const struct bench_bytes b = bench_bytes_of(sys, w);
    return bench_bytes_sum(&b);
}

extern const struct bench_system bench_objrmap, bench_pv_chunk, bench_pte_chain, bench_anon_vma_chain, bench_flat_group,
    bench_anonmm, bench_full_scan;

/** All of them; objrmap first. NULL at the end. */
extern const struct bench_system *const bench_systems[];

#endif
