/* SPDX-License-Identifier: MIT */
/**
 * @file bench/kernel_file.c  Writeback of a shared file: the kernel's reverse-map walk over file pages, page_mkclean.
 *
 * To start writeback of a dirty page, the kernel write-protects it in all processes. The time of starting it for the whole file
 * is taken twice, with one process that wrote to every page and with nine; the others do not map the file meanwhile. The
 * rest of writeback, blocks and I/O, is the same in both: the difference is the walk's.
 */
#include "bench/kernel_work.h"
#include "bench/measure.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>

#define PROCESSES 9
/* Their magic numbers, as statfs(2) lists them: files that live in memory alone, and are never written back. */
#define TMPFS 0x01021994
#define RAMFS 0x858458f6

struct file {
    int fd;
    size_t pages;
    unsigned char *at; /* where this process has it mapped, or NULL */
};

static int open_in(const char *dir)
{
    struct statfs fs;
    char path[512];
    if (!dir || statfs(dir, &fs) != 0 || (unsigned long)fs.f_type == TMPFS || (unsigned long)fs.f_type == RAMFS)
        return -1;
    if (snprintf(path, sizeof path, "%s/bench-kernel-XXXXXX", dir) >= (int)sizeof path) return -1;
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0) unlink(path);
    return fd;
}

/* Every block is there and written: later writebacks allocate nothing. */
static bool fill(struct file *f)
{
    unsigned char page[KERNEL_PAGE] = {1};
    for (size_t i = 0; i < f->pages; i++)
        if (write(f->fd, page, sizeof page) != (ssize_t)sizeof page) return false;
    return fsync(f->fd) == 0;
}

/* 'm': map the file and write to each page of it; 'u': map it no more. */
static double obey(void *ctx, char order)
{
    struct file *f = ctx;
    const size_t bytes = f->pages * KERNEL_PAGE;
    if (order == 'u') {
        if (f->at) munmap(f->at, bytes);
        f->at = NULL;
        return 0;
    }
    if (!f->at) {
        void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
        if (at == MAP_FAILED) return -1;
        f->at = at;
    }
    kernel_write_each(f->at, f->pages);
    return 0;
}

/* @return ns of starting the writeback of all pages, which `n` processes have written to; < 0: not here. */
static double start_writeback(const struct file *f, struct kernel_child *child, unsigned n)
{
    bool wrong = false;
    for (unsigned i = 0; i < PROCESSES; i++) wrong |= kernel_child_tell(&child[i], i < n ? 'm' : 'u') < 0;
    double begin = cpu_ns();
    wrong |= sync_file_range(f->fd, 0, 0, SYNC_FILE_RANGE_WRITE) != 0;
    double ns = cpu_ns() - begin;
    wrong |= fsync(f->fd) != 0;
    return wrong ? -1 : ns;
}

static double slope(const struct file *f, struct kernel_child *child)
{
    double one = start_writeback(f, child, 1);
    double all = start_writeback(f, child, PROCESSES);
    return one < 0 || all < 0 ? KERNEL_NOT_HERE : kernel_difference(all, one, f->pages * (PROCESSES - 1));
}

double kernel_do_mkclean(size_t pages)
{
    const char *dir[] = {getenv("TMPDIR"), "/var/tmp", "."};
    struct file f = {.fd = -1, .pages = pages};
    struct kernel_child child[PROCESSES];
    unsigned n = 0;
    double ns = -1;
    for (unsigned i = 0; f.fd < 0 && i < sizeof dir / sizeof *dir; i++) f.fd = open_in(dir[i]);
    if (f.fd < 0) return -1;
    if (fill(&f)) {
        while (n < PROCESSES && kernel_child_start(&child[n], obey, &f, NULL)) n++;
        if (n == PROCESSES) ns = slope(&f, child);
        while (n > 0) kernel_child_end(&child[--n]);
    }
    close(f.fd);
    return ns;
}
