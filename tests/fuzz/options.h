/* SPDX-License-Identifier: MIT */
/**
 * @file fuzz/options.h  Option structs by the input: mostly right, some fields odd; pointers are NULL or lead to something.
 *
 * Whoever is given such a struct refuses it with an error that its comment names, and has then changed nothing, or takes
 * it, and works: OPTIONS_ANSWER checks the first, the caller plays the second.
 */
#ifndef RMAP_TESTS_FUZZ_OPTIONS_H
#define RMAP_TESTS_FUZZ_OPTIONS_H

#include "fuzz/fuzz.h"
#include "support/counting_alloc.h"

#include <objrmap/error.h>

/** The library's memory in one run: counted, and no single block beyond 1 MiB (NOMEM is a permitted answer). */
struct options_memory {
    struct test_alloc counting;
    struct rmap_allocator capped, variant; /* `variant`: with something wrong */
    size_t refused;                        /* allocations refused until the last answer */
    bool elsewhere;                        /* see options_memory_elsewhere() */
};

void options_memory_init(struct options_memory *m);

/** NULL (the default hooks), the counted ones, or some with a field spoilt; at times the nth allocation will fail. */
const struct rmap_allocator *options_alloc(struct fuzz *f, struct options_memory *m);
/** `right` as a rule, else near it, 0, or anything. */
size_t options_struct_size(struct fuzz *f, size_t right);
/** `right` as a rule, else a value at the border of something, or anything. */
uint64_t options_number(struct fuzz *f, uint64_t right);
/** True now and then. */
bool options_odd(struct fuzz *f);

#define OPTIONS_BIT(error) ((uint64_t)1 << -(error))
/** The errors of every constructor. */
#define OPTIONS_COMMON                                                                                                 \
    (OPTIONS_BIT(RMAP_ERR_NULL_ARG) | OPTIONS_BIT(RMAP_ERR_STRUCT_SIZE) | OPTIONS_BIT(RMAP_ERR_NOMEM))

/**
 * An answer that is 0 or one of `allowed`; NOMEM only where memory was refused since the last answer, whatever `allowed`
 * says; and after an error no block is left.
 */
#define OPTIONS_ANSWER(m, rc, allowed, blocks) options_answer(__FILE__, __LINE__, m, rc, allowed, blocks)
/** @return rc == 0 */
bool options_answer(const char *file, int line, struct options_memory *m, int rc, uint64_t allowed, size_t blocks);
/** For what answers otherwise: may it be NOMEM? Was memory refused since the last answer? */
bool options_memory_refused(struct options_memory *m);
/** The next answer may be NOMEM although the allocator gave all that it was asked for: the caller says in a comment why. */
void options_memory_elsewhere(struct options_memory *m);

/** Is the allocator one that a constructor takes? */
bool options_alloc_is_sound(const struct rmap_allocator *a);
/** Sound options fail for want of memory or by the system's will alone, others are refused for what they are. */
#define OPTIONS_SOUND(rc, sound) CHECK_EQ(sound, (rc) == 0 || (rc) == RMAP_ERR_NOMEM || (rc) == RMAP_ERR_SYSTEM)

/** options_parts.c: one thing each, by the input. */
void options_of_instance(struct fuzz *f, struct options_memory *m);
void options_of_swap(struct fuzz *f, struct options_memory *m);
void options_of_device(struct fuzz *f, struct options_memory *m);
/** options_mmu.c */
void options_of_radix(struct fuzz *f, struct options_memory *m);
void options_of_host(struct fuzz *f, struct options_memory *m);
void options_of_member(struct fuzz *f, struct options_memory *m);
void options_of_memory(struct fuzz *f, struct options_memory *m);
/** options_pager.c */
void options_of_pager(struct fuzz *f, struct options_memory *m);
/** options_calls.c: the arguments of verbs. */
void options_of_calls(struct fuzz *f, struct options_memory *m);

#endif
