/* SPDX-License-Identifier: MIT */
/**
 * @file oracle/worker.h  What the driver and the real processes say to each other: one command, one answer, a packet each.
 *
 * A process serves the channel of its space. All channels exist before the first process does: a forked child finds its
 * own among what it inherits, and goes on there. The *nursery* serves the channel behind the spaces', owns no window, and
 * forks the first process of each group; who loses its parent becomes its child.
 */
#ifndef RMAP_TESTS_ORACLE_WORKER_H
#define RMAP_TESTS_ORACLE_WORKER_H

#include "oracle/program.h"

#include <sys/types.h>

#define NURSERY SPACES
#define CHANNELS (SPACES + 1)
/* The window is there in every process, and nothing else is: far from program, heap and libraries, with sanitizers, too. */
#define WINDOW ((unsigned char *)0x200000000000)

enum command_kind {
    COMMAND_FORK,
    COMMAND_EXIT,
    COMMAND_MAP,
    COMMAND_UNMAP,
    COMMAND_PROTECT,
    COMMAND_DONTNEED,
    COMMAND_WRITE,
    COMMAND_READ,
    COMMAND_REMAP, /* mremap to `to`, or in place */
};
enum remap_flag { REMAP_FIXED = 1, REMAP_KEEP = 2 };

struct command {
    uint8_t kind, first, count, to, new_count, prot, flag, child;
    uint32_t value;
};

enum touch { TOUCH_DONE, TOUCH_ABSENT, TOUCH_ACCESS, TOUCH_STRANGE };

struct answer {
    int32_t error; /* errno, 0 if it was done */
    pid_t child;
    uint8_t touch[PAGES]; /* READ, WRITE: enum touch of each page */
    uint64_t word[PAGES]; /* READ: what was there */
};

/* Of one page, on either side. */
struct layout {
    uint8_t prot; /* 0: a hole, else 1 + RMAP_READ | RMAP_WRITE */
    uint8_t area; /* neighbours in one line of maps have the same number */
};

/** Where in its page a step's word lies, and what WRITE puts there. The same on both sides. */
static inline size_t word_offset(uint32_t value)
{
    return value * 37u % PAGE_WORDS * 8;
}
static inline uint64_t word_value(uint32_t value, unsigned page)
{
    return (uint64_t)value * PAGES + page + 1;
}

/** Serve the nursery's channel and, in the processes forked from it, theirs, until the driver hangs up. */
_Noreturn void worker_run(const int *channel);

#endif
