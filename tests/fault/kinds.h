/* SPDX-License-Identifier: MIT */
/**
 * @file fault/kinds.h  What can be refused, as data. Gates stand where the library asks for it (gates.c, gates_system.c),
 * and each asks here whether this one request, the Nth of its kind since the verb began, is the one that fails.
 *
 * A flush is no kind: it cannot fail by contract (mmu.h). What fails under a flush of the host MMU is mmap and mprotect.
 */
#ifndef RMAP_TESTS_FAULT_KINDS_H
#define RMAP_TESTS_FAULT_KINDS_H

#include <objrmap/error.h>

#include <stdbool.h>
#include <stdint.h>

/* X(kind, what, error codes that may tell of it) */
#define FAULT_KINDS(X)                                                                                                 \
    X(ALLOC, "an allocation of the library", CODE(NOMEM) | CODE(NO_FRAME))                                             \
    X(TABLE, "an allocation of the MMU", CODE(NOMEM))                                                                  \
    X(CHARGE, "a charge against the commit limit", CODE(COMMIT))                                                       \
    X(FRAME, "a frame", CODE(NO_FRAME))                                                                                \
    X(SLOT, "a swap slot", CODE(NO_SLOT) | CODE(NO_FRAME))                                                             \
    X(COUNT, "one more mapping or swap entry in a count", CODE(OVERFLOW) | CODE(NO_SLOT) | CODE(NO_FRAME))             \
    X(WRITE, "a page's write to swap", CODE(IO_WRITE) | CODE(NO_FRAME))                                                \
    X(LATER, "a page's write to swap, for want of memory there", CODE(NOMEM) | CODE(NO_FRAME))                         \
    X(READ, "a page's read from swap", CODE(IO_READ))                                                                  \
    X(SPOILT, "a page's read from swap, a bit of it wrong", CODE(CORRUPT))                                             \
    X(MMAP, "mmap", CODE(SYSTEM))                                                                                      \
    X(MPROTECT, "mprotect", CODE(SYSTEM))                                                                              \
    X(MUNMAP, "munmap", CODE(SYSTEM))                                                                                  \
    X(FILES, "memfd_create, ftruncate, open, mkostemp, fcntl or fstat", CODE(SYSTEM) | CODE(INVALID))                  \
    X(PWRITE, "pwritev", CODE(IO_WRITE) | CODE(NO_FRAME))                                                              \
    X(PREAD, "preadv", CODE(IO_READ))

#define CODE(name) (UINT32_C(1) << -RMAP_ERR_##name)

enum fault_kind {
#define FAULT_ENUM(kind, what, codes) FAULT_##kind,
    FAULT_KINDS(FAULT_ENUM)
#undef FAULT_ENUM
        FAULT_KIND_COUNT
};

/* The same as bits of a set. */
enum fault_set {
#define FAULT_BIT(kind, what, codes) kind = 1 << FAULT_##kind,
    FAULT_KINDS(FAULT_BIT)
#undef FAULT_BIT
};

struct fault_kind_info {
    const char *name, *what;
    uint32_t codes; /* 1 << -error */
};
extern const struct fault_kind_info fault_kinds[FAULT_KIND_COUNT];

/** Requests are counted, and let pass, from now to fault_end(). */
void fault_begin(void);
/** As above, and the Nth request of the kind is refused; `forever`: all later ones, too. */
void fault_begin_failing(enum fault_kind kind, uint64_t nth, bool forever);
/** Requests pass uncounted from now on. */
void fault_end(void);
/** Between the two, from the last beginning on: how many requests there were, how many were refused. */
uint64_t fault_met(enum fault_kind kind);
uint64_t fault_refused(void);

/** Of a gate: one request. @return is it refused? */
bool fault_now(enum fault_kind kind);

#endif
