/* SPDX-License-Identifier: MIT */
/** @file bench/kernel_work.c  Anonymous memory: fork, exit, first touch, copy on write, moves. */
#include "bench/kernel_work.h"

#include "bench/measure.h"

#include <sys/mman.h>
#include <unistd.h>

#define HUGE_BYTES ((size_t)1 << 21)

static unsigned char *reserve(size_t bytes, int prot)
{
    void *at = mmap(NULL, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return NULL;
    madvise(at, bytes, MADV_NOHUGEPAGE); /* refused by kernels without huge pages: the same to us */
    return at;
}

void kernel_write_each(unsigned char *at, size_t pages)
{
    for (size_t i = 0; i < pages; i++) *(volatile unsigned char *)(at + i * KERNEL_PAGE) = (unsigned char)i;
}

unsigned char *kernel_memory(size_t pages)
{
    unsigned char *at = reserve(pages * KERNEL_PAGE, PROT_READ | PROT_WRITE);
    if (at) kernel_write_each(at, pages);
    return at;
}

static double obey(void *ctx, char order)
{
    (void)ctx, (void)order;
    return 0;
}

/* Fork and exit of a process with the memory, or with all but the memory. */
static bool fork_once(unsigned char *at, size_t pages, bool with, double *fork_ns, double *exit_ns)
{
    struct kernel_child child;
    madvise(at, pages * KERNEL_PAGE, with ? MADV_DOFORK : MADV_DONTFORK);
    if (!kernel_child_start(&child, obey, NULL, fork_ns)) return false;
    kernel_child_tell(&child, 'w'); /* it is up, and waits for the next order */
    *exit_ns = kernel_child_end(&child);
    return true;
}

/* The memory's first fork, and its child's exit, are not measured: what only they do would be in no later one. `written`: every
 * page since then. */
static double fork_and_exit(size_t pages, bool written, bool exits)
{
    double fork_ns[2], exit_ns[2];
    unsigned char *at = kernel_memory(pages);
    if (!at) return KERNEL_NOT_HERE;
    bool done = fork_once(at, pages, true, &fork_ns[1], &exit_ns[1]);
    if (written) kernel_write_each(at, pages);
    done = done && fork_once(at, pages, false, &fork_ns[0], &exit_ns[0]) &&
           fork_once(at, pages, true, &fork_ns[1], &exit_ns[1]);
    munmap(at, pages * KERNEL_PAGE);
    if (!done) return KERNEL_NOT_HERE;
    return exits ? kernel_difference(exit_ns[1], exit_ns[0], pages) : kernel_difference(fork_ns[1], fork_ns[0], pages);
}

static double first_touch(size_t pages)
{
    unsigned char *at = reserve(pages * KERNEL_PAGE, PROT_READ | PROT_WRITE);
    if (!at) return -1;
    double begin = cpu_ns();
    kernel_write_each(at, pages);
    double ns = cpu_ns() - begin;
    munmap(at, pages * KERNEL_PAGE);
    return ns / (double)pages;
}

struct shared {
    unsigned char *at;
    size_t pages;
};

static double write_shared(void *ctx, char order)
{
    const struct shared *s = ctx;
    (void)order;
    double begin = cpu_ns();
    kernel_write_each(s->at, s->pages);
    return cpu_ns() - begin;
}

static double copy_on_write(size_t pages)
{
    struct shared s = {kernel_memory(pages), pages};
    struct kernel_child child;
    double ns = -1;
    if (!s.at) return -1;
    if (kernel_child_start(&child, write_shared, &s, NULL)) {
        ns = kernel_child_tell(&child, 'w');
        kernel_child_end(&child);
    }
    munmap(s.at, pages * KERNEL_PAGE);
    return ns / (double)pages;
}

static double moves(size_t pages)
{
    const size_t bytes = pages * KERNEL_PAGE, room = 2 * bytes + 2 * HUGE_BYTES;
    unsigned char *at = reserve(room, PROT_NONE);
    if (!at) return -1;
    unsigned char *from = at + (-(size_t)at & (HUGE_BYTES - 1)), *to = from + bytes + KERNEL_PAGE;
    double ns = -1;
    if (mmap(from, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) ==
        from) {
        madvise(from, bytes, MADV_NOHUGEPAGE);
        kernel_write_each(from, pages);
        const int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
        double begin = cpu_ns();
        if (mremap(from, bytes, bytes, flags, to) == to && mremap(to, bytes, bytes, flags, from) == from)
            ns = (cpu_ns() - begin) / (double)(2 * pages);
    }
    munmap(at, room);
    return ns;
}

double kernel_do(enum kernel_work work, size_t pages)
{
    switch (work) {
    case KERNEL_FORK:
    case KERNEL_FORK_FIRST:
    case KERNEL_EXIT:
        return fork_and_exit(pages, work == KERNEL_FORK_FIRST, work == KERNEL_EXIT);
    case KERNEL_FAULT:
        return first_touch(pages);
    case KERNEL_COW:
        return copy_on_write(pages);
    case KERNEL_MREMAP:
        return moves(pages);
    case KERNEL_MKCLEAN:
        return kernel_do_mkclean(pages);
    }
    return -1;
}
