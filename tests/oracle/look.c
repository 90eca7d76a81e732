/* SPDX-License-Identifier: MIT */
/** @file oracle/look.c  What the kernel says of a window: pagemap, maps, mem, kpagecount. Nothing here changes an entry. */
#include "oracle/real.h"

#include <errno.h>
#include <fcntl.h>
#include <objrmap/types.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGEMAP_PFN ((UINT64_C(1) << 55) - 1)
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)

void real_look(struct real *r, unsigned space, struct real_entry *entry)
{
    uint64_t raw[PAGES];
    const off_t at = (off_t)((uintptr_t)WINDOW / PAGE_BYTES * sizeof *raw);
    if (pread(r->space[space].pagemap, raw, sizeof raw, at) != sizeof raw) trouble("pagemap: %s", strerror(errno));
    for (unsigned v = 0; v < PAGES; v++) {
        const uint64_t pfn = raw[v] & PAGEMAP_PFN;
        entry[v] = (struct real_entry){.kind = REAL_ABSENT};
        if (raw[v] & PAGEMAP_PRESENT)
            entry[v] = (struct real_entry){.kind = pfn == r->zero_pfn ? REAL_ZERO : REAL_PAGE, .pfn = pfn};
        else if (raw[v] & PAGEMAP_SWAPPED)
            entry[v].kind = REAL_AWAY;
    }
}

static void enter_area(uintptr_t begin, uintptr_t end, const char *flags, uint8_t area, struct layout *page)
{
    const uintptr_t base = (uintptr_t)WINDOW;
    const uint8_t prot = (uint8_t)((flags[0] == 'r' ? RMAP_READ : 0) | (flags[1] == 'w' ? RMAP_WRITE : 0));
    for (unsigned v = 0; v < PAGES; v++) {
        const uintptr_t at = base + (size_t)v * PAGE_BYTES;
        if (begin <= at && at < end) page[v] = (struct layout){.prot = (uint8_t)(1 + prot), .area = area};
    }
}

void real_layout(struct real *r, unsigned space, struct layout *page)
{
    static char text[1 << 16];
    size_t bytes = 0;
    ssize_t got;
    while (bytes < sizeof text - 1 &&
           (got = pread(r->space[space].maps, text + bytes, sizeof text - 1 - bytes, (off_t)bytes)) > 0)
        bytes += (size_t)got;
    text[bytes] = 0;
    memset(page, 0, PAGES * sizeof *page);
    uint8_t area = 0;
    for (const char *line = text; *line;) { /* "begin-end flags …", ascending */
        char *rest;
        const uintptr_t begin = strtoull(line, &rest, 16), end = strtoull(rest + 1, &rest, 16);
        if (begin >= (uintptr_t)WINDOW + (size_t)PAGES * PAGE_BYTES) return;
        if (begin >= (uintptr_t)WINDOW) enter_area(begin, end, rest + 1, ++area, page);
        line = strchr(rest, '\n');
        if (!line) break;
        line++;
    }
    trouble("maps does not reach to the window's end");
}

void real_contents(struct real *r, unsigned space, unsigned page, void *bytes)
{
    const off_t at = (off_t)((uintptr_t)WINDOW + (size_t)page * PAGE_BYTES);
    if (pread(r->space[space].mem, bytes, PAGE_BYTES, at) != PAGE_BYTES) trouble("mem: %s", strerror(errno));
}

bool real_mappings(uint64_t pfn, uint64_t *count)
{
    static int fd = -2;
    if (fd == -2) fd = open("/proc/kpagecount", O_RDONLY | O_CLOEXEC);
    return fd >= 0 && pread(fd, count, sizeof *count, (off_t)(pfn * sizeof *count)) == sizeof *count;
}

/* ---- can it be asked? ---- */

static uint64_t own_frame(const void *at)
{
    uint64_t raw = 0;
    const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && pread(fd, &raw, sizeof raw, (off_t)((uintptr_t)at / PAGE_BYTES * sizeof raw)) != sizeof raw) raw = 0;
    if (fd >= 0) close(fd);
    return raw & PAGEMAP_PRESENT ? raw & PAGEMAP_PFN : 0;
}

/* FOLL_FORCE: what is mapped without access can be read through mem. Some kernels are built or told not to. */
static bool mem_is_forced(unsigned char *at)
{
    unsigned char seen = 0;
    const int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    mprotect(at, PAGE_BYTES, PROT_NONE);
    const bool ok = fd >= 0 && pread(fd, &seen, 1, (off_t)(uintptr_t)at) == 1 && seen == 1;
    if (fd >= 0) close(fd);
    return ok;
}

static bool can_fork(void)
{
    const pid_t child = fork();
    if (!child) _exit(0);
    return child > 0 && waitpid(child, NULL, 0) == child;
}

const char *real_obstacle(void)
{
    if (!can_fork()) return "no process can be made";
    if (sysconf(_SC_PAGESIZE) != PAGE_BYTES) return "this machine's pages are not 4 KiB";
    unsigned char *at = mmap(WINDOW, (size_t)PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (at != WINDOW) {
        if (at != MAP_FAILED) munmap(at, (size_t)PAGES * PAGE_BYTES);
        return "the addresses of the window are not free in this kernel's layout";
    }
    at[0] = 1;
    const char *why = NULL;
    if (!own_frame(at))
        why = "frame numbers are not readable in /proc/PID/pagemap (that takes root)";
    else if (!mem_is_forced(at))
        why = "/proc/PID/mem does not show what is mapped without access";
    munmap(at, (size_t)PAGES * PAGE_BYTES);
    return why;
}
