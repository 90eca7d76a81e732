/* SPDX-License-Identifier: MIT */
/**
 * @file oracle/program.h  A program as data: a world and steps, drawn by seed, printed as a few lines, read back, shrunk.
 *
 * A step names spaces and pages only, so it has a meaning in whatever state it is met: one that speaks of a space that
 * does not live, or would start one that does, is passed over. That is what lets the shrinker leave out any of them.
 */
#ifndef RMAP_TESTS_ORACLE_PROGRAM_H
#define RMAP_TESTS_ORACLE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SPACES 8 /* at a time */
#define PAGES 64 /* of each: the window */
#define PAGE_BYTES 4096u
#define PAGE_WORDS (PAGE_BYTES / 8)
#define STEPS_MAX 4096 /* of a program */

enum step_kind {
    STEP_START, /* a space of a group of its own */
    STEP_FORK,
    STEP_EXIT,
    STEP_EXEC, /* everything goes, and the space leaves its group */
    STEP_MAP,
    STEP_UNMAP,
    STEP_PROTECT,
    STEP_DONTNEED,
    STEP_WRITE,
    STEP_READ,
    STEP_MOVE,   /* to a fixed place, of the same size or another */
    STEP_KEEP,   /* the same, the old range stays, empty */
    STEP_RESIZE, /* in place */
    STEP_GROW,   /* in place if that is possible, else to where the library finds a hole; `to` is a hint */
    STEP_POLICY, /* the library's alone from here on: no other contents, presence, sharing */
    STEP_RECLAIM,
    STEP_VACATE,
    STEP_KINDS
};

enum map_flag { MAP_OVER, MAP_INTO_HOLE, MAP_ANYWHERE }; /* replace; fail where something is; `first` is a hint */

struct step {
    uint8_t kind, space, other; /* enum step_kind; other: the forked child */
    uint8_t first, count;       /* pages; of VACATE frames */
    uint8_t to, new_count;
    uint8_t prot;   /* set of RMAP_READ, RMAP_WRITE */
    uint8_t flag;   /* MAP: enum map_flag. POLICY: track */
    uint32_t value; /* WRITE, READ: decides on the word, and what is written. RECLAIM: frames */
};

enum world_mmu { MMU_SOFT, MMU_X86, MMU_SV39, MMU_SV48, MMU_AARCH64, MMU_HOST, MMU_KINDS };
enum world_swap { SWAP_NONE, SWAP_FILE, SWAP_LZ4, SWAP_KINDS };

/** The library's side of a program. */
struct world {
    uint8_t mmu, swap; /* enum world_mmu, enum world_swap */
    uint8_t track;     /* the policy that spaces begin with */
    uint32_t frames;   /* enough for everything, or few: then there is swap */
    uint32_t batch;    /* pages evicted at a time */
};

struct program {
    struct world world;
    size_t count;
    struct step step[STEPS_MAX];
};

/** What the seed says, of `count` steps. */
void program_draw(struct program *p, uint64_t seed, size_t count);
void program_print(const struct program *p, FILE *to);
void step_print(const struct step *s, char *text, size_t bytes);
/** @return 0, or the number of the line that is none of ours (as many lines + 1: there is no world). */
unsigned program_read(struct program *p, FILE *from);
/** The kind that is called `name`, or STEP_KINDS. */
enum step_kind step_kind_named(const char *name);

/** Leave out and simplify while fails(ctx, program) holds, for `tries` runs at most. */
void program_shrink(struct program *p, bool (*fails)(void *ctx, const struct program *), void *ctx, unsigned tries);

#endif
