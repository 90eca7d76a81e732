/* SPDX-License-Identifier: MIT */
/** @file bench/kernel_work.h  What the measured process can be told to do: see kernel.h for what each stands for. */
#ifndef RMAP_TESTS_BENCH_KERNEL_WORK_H
#define RMAP_TESTS_BENCH_KERNEL_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum kernel_work { KERNEL_FORK, KERNEL_FORK_FIRST, KERNEL_EXIT, KERNEL_FAULT, KERNEL_COW, KERNEL_MREMAP, KERNEL_MKCLEAN };

#define KERNEL_PAGE ((size_t)4096)

/* Instead of a time. */
#define KERNEL_NOT_HERE (-1.0)
#define KERNEL_BELOW_NOISE (-2.0)
/** What `more` takes longer than `less`, by unit. */
static inline double kernel_difference(double more, double less, size_t units)
{
    return more > less ? (more - less) / (double)units : KERNEL_BELOW_NOISE;
}

/** @return ns a page, or one of the above. In a process of its own, of one thread. */
double kernel_do(enum kernel_work work, size_t pages);

/** The writeback. kernel_file.c */
double kernel_do_mkclean(size_t pages);

/** Present anonymous base pages, written; NULL: refused. */
unsigned char *kernel_memory(size_t pages);
/** Store into each page. */
void kernel_write_each(unsigned char *at, size_t pages);

/** A child that obeys: its parent sends a byte, it does what the byte says and answers. */
struct kernel_child {
    pid_t pid;
    int fd;
};

/** In the child: do what `order` says. @return a figure for the parent. */
typedef double kernel_obey(void *ctx, char order);

/** Fork. The child waits for orders; it dies with its parent. *ns, if not NULL: the parent's time in fork(). @return false:
 *  refused. */
bool kernel_child_start(struct kernel_child *child, kernel_obey *obey, void *ctx, double *ns);
/** Send an order, wait for its answer. @return the answer; < 0: the child is gone. */
double kernel_child_tell(struct kernel_child *child, char order);
/** Tell it to exit, and reap it. @return all the processor's time that it had, its exit included. */
double kernel_child_end(struct kernel_child *child);

#endif
