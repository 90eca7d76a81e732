/* SPDX-License-Identifier: MIT */
/** @file mmu/memory.c  Frame memory: a memfd of fixed size, and its linear view. */
#include <objrmap/error.h>
#include <objrmap/memory.h>

#include "mmu/unmap.h"

#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U /* Linux 6.3; systems may be set up to insist on it */
#endif

static int make_file(void)
{
    int fd = memfd_create("objrmap-frames", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
    return fd >= 0 ? fd : memfd_create("objrmap-frames", MFD_CLOEXEC);
}

int rmap_memory_init(struct rmap_memory *mem, uint64_t frames, unsigned page_shift)
{
    if (!mem) return RMAP_ERR_NULL_ARG;
    long system_page = sysconf(_SC_PAGESIZE);
    if (page_shift < 12 || page_shift > 16 || 1L << page_shift < system_page) return RMAP_ERR_INVALID;
    if (frames == 0 || frames > (uint64_t)PTRDIFF_MAX >> page_shift) return RMAP_ERR_RANGE;

    size_t bytes = (size_t)frames << page_shift;
    int fd = make_file();
    if (fd < 0) return RMAP_ERR_SYSTEM;
    void *view = MAP_FAILED;
    if (ftruncate(fd, (off_t)bytes) == 0)
        view = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (view == MAP_FAILED) {
        close(fd);
        return RMAP_ERR_SYSTEM;
    }
    *mem = (struct rmap_memory){.fd = fd, .page_shift = page_shift, .frames = frames, .view = view};
    return 0;
}

void rmap_memory_fini(struct rmap_memory *mem)
{
    if (!mem || !mem->view) return;
    rmap__unmap(mem->view, (size_t)mem->frames << mem->page_shift, NULL, NULL); /* else the view stays, for nobody */
    close(mem->fd);
    *mem = (struct rmap_memory){.fd = -1};
}

uint64_t rmap_memory_resident_bytes(const struct rmap_memory *mem)
{
    struct stat st;
    if (!mem || !mem->view || fstat(mem->fd, &st) != 0) return 0;
    return (uint64_t)st.st_blocks * 512; /* st_blocks counts 512-byte units, whatever the page size */
}
