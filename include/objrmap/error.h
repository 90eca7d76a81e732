/* SPDX-License-Identifier: MIT */
/**
 * @file objrmap/error.h  One table of errors.
 *
 * Every function that can fail returns `int`: 0, or one of these negative codes. There is no errno and no thread-local
 * last error. A function that returns an error has changed nothing that can be observed, unless its comment says
 * what is left (PARTIAL; done up to …; only … is allowed). Numbers are part of the ABI: new codes are appended.
 */
#ifndef OBJRMAP_ERROR_H
#define OBJRMAP_ERROR_H

#include <objrmap/types.h>

/* X(name, number, text) */
/* clang-format off */
#define RMAP_ERRORS(X)                                                                      \
    X(NULL_ARG, 1, "a required pointer is NULL")                                            \
    X(STRUCT_SIZE, 2, "struct_size is not one that this library knows")                     \
    X(INVALID, 3, "an argument has no meaning here")                                        \
    X(UNALIGNED, 4, "an address or stride is not aligned as it must be")              \
    X(RANGE, 5, "a range is empty, wraps, or leaves the address space")                     \
    X(UNKNOWN_PAGE, 6, "the frame or descriptor belongs to no registered frame section")    \
    X(NOMEM, 7, "the allocator has no memory")                                              \
    X(NO_FRAME, 8, "no page frame is free and none can be reclaimed")                       \
    X(NO_SLOT, 9, "no swap slot is free")                                                   \
    X(BUSY, 10, "in use: try again, or release it first")                                   \
    X(EXISTS, 11, "something is mapped or registered there already")                        \
    X(ABSENT, 12, "nothing is mapped or registered there")                                  \
    X(ACCESS, 13, "the region's protection forbids this access")                            \
    X(COMMIT, 14, "the commit limit does not allow it")                                     \
    X(IO_READ, 15, "the swap device failed to read")                                        \
    X(IO_WRITE, 16, "the swap device failed to write")                                      \
    X(CORRUPT, 17, "stored data does not match its checksum")                               \
    X(OVERFLOW, 18, "a count would wrap")                                                   \
    X(UNSUPPORTED, 19, "not supported by this version or by this MMU")                      \
    X(BLOCK, 20, "a huge (block) entry is in the way")                                      \
    X(DEAD, 21, "the address space has exited")                                             \
    X(PINNED, 22, "a page is pinned (reserved: no function returns it yet)")                \
    X(SYSTEM, 23, "the operating system refused a mapping or a file")                       \
    X(VERIFY, 24, "an invariant does not hold")                                             \
    X(POISON, 25, "the page is poisoned")                                                   \
    X(BAD_FRAME, 26, "an entry names a frame that cannot be mapped there")

/* clang-format on */

enum rmap_error {
    RMAP_OK = 0,
#define RMAP_ERROR_ENUM(name, number, text) RMAP_ERR_##name = -(number),
    RMAP_ERRORS(RMAP_ERROR_ENUM)
#undef RMAP_ERROR_ENUM
};

RMAP_BEGIN_DECLS

/** The text of a code, without a full stop; "unknown error" for a number that is not in the table. Never NULL. */
RMAP_API const char *rmap_strerror(int error);

/** The code's name as written in source ("RMAP_ERR_BUSY", "RMAP_OK"); "?" if unknown. Never NULL. */
RMAP_API const char *rmap_error_name(int error);

RMAP_END_DECLS
#endif
