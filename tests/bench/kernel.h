/* SPDX-License-Identifier: MIT */
/**
 * @file bench/kernel.h  The kernel's own fork, exit, faults, moves and write-protection, as contestants in the same run.
 *
 * What is measured is a small process that does nothing else: a fork copies the whole process, and the bench's own address space,
 * with worlds of gigabytes in it, is not what is to be copied. It is made by kernel_open(), before there are worlds, and told
 * through a socket what to do. Memory is anonymous, present, of base pages (MADV_NOHUGEPAGE). Every sample makes its own
 * memory and gives it back: nothing is kept between samples. Times are the processor's, of the thread or process that works.
 */
#ifndef RMAP_TESTS_BENCH_KERNEL_H
#define RMAP_TESTS_BENCH_KERNEL_H

#include "bench/measure.h"

/** Start the process. Before anything large is allocated and before any thread is started. If it cannot be had, every sample is
 *  < 0. */
void kernel_open(void);
/** End it and wait for it. */
void kernel_close(void);

/* Contestants, system "kernel"; ns a page unless said. Sizes are those of the bench's own rows, with --quick, too. A time that
 * is a difference of two is "below the noise" where it is not above 0. */

/** fork() of 65,536 present pages, in the parent, less a fork that leaves them out. The pages have been forked before: entries
 *  are read-only, and each page is the parent's alone again. */
struct contestant kernel_fork(void);
/** The same, but every page was written since they were forked: entries are writable. */
struct contestant kernel_fork_first(void);
/** The life of a child that shares 65,536 pages and exits at once, less that of a child without them: what is left is the exit. */
struct contestant kernel_exit(void);
/** First touch, by writing: a cleared page. */
struct contestant kernel_fault(void);
/** A child writes pages that it shares with its parent: copies. */
struct contestant kernel_cow(void);
/** mremap of own pages, there and back, by an odd page, so that no table can be moved whole: each entry is. */
struct contestant kernel_mremap(void);
/** ns a page and process: writeback of a shared file page write-protects it in each process that wrote to it. The slope between
 *  one process and nine. Needs a file system that writes back in TMPDIR, /var/tmp or the current directory; < 0 without. */
struct contestant kernel_mkclean(void);

#endif
