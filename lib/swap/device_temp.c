/* SPDX-License-Identifier: MIT */
/** @file swap/device_temp.c  A file device on a new file that has no name, so that nothing is left behind. */
#include <swap/device_check.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* For file systems that cannot make nameless files: make one and take its name away at once. */
static int open_unlinked(const char *directory)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/objrmap-XXXXXX", directory);
    if (length < 0 || (size_t)length >= sizeof path) return -1;
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0) unlink(path);
    return fd;
}

int rmap_device_temp_create(const struct rmap_allocator *alloc, const char *directory, uint64_t slots,
                            unsigned page_shift, struct rmap_device **out)
{
    struct rmap_allocator unused;
    int rc = rmap__device_check(alloc, slots, page_shift, out, &unused);
    if (rc) return rc;
    if (!directory) directory = "/tmp";

    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) fd = open_unlinked(directory);
    if (fd < 0) return RMAP_ERR_SYSTEM;
    rc = rmap_device_file_create(alloc, fd, true, slots, page_shift, out);
    if (rc) close(fd);
    return rc;
}
