/* SPDX-License-Identifier: MIT */
/**
 * @file swap/device_file.c  Slots in a file, at slot << page_shift. Neighbours go in one vectored call.
 *
 * A bit for each slot says whether it holds content: what was never written, failed to be written, or was discarded
 * cannot be read, whatever bytes the file has there. Discarding only clears the bit: the file's blocks are kept for the
 * slot's next content (punching holes would cost a system call each).
 */
#include <base/alloc.h>
#include <base/mutex.h>
#include <objrmap/error.h>
#include <swap/device_check.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define RUN_MAX 64 /* pages in one vectored call */
#define PENDING 1  /* io.error while the page still is to be transferred */

struct file_device {
    struct rmap_device base;
    struct rmap_allocator alloc;
    int fd;
    bool close_fd;
    pthread_mutex_t lock; /* guards the rest; not held during I/O */
    uint64_t *content;    /* a bit for each slot */
    struct rmap_device_stats stats;
};

static size_t bitmap_bytes(uint64_t slots)
{
    return (size_t)((slots + 63) / 64 * sizeof(uint64_t));
}

static bool has_content(const struct file_device *f, uint32_t slot)
{
    return f->content[slot / 64] >> (slot & 63) & 1;
}

static void set_content(struct file_device *f, uint32_t slot, bool has)
{
    uint64_t bit = (uint64_t)1 << (slot & 63), page = (uint64_t)1 << f->base.page_shift;
    if (has == has_content(f, slot)) return;
    f->content[slot / 64] ^= bit;
    f->stats.stored_bytes += has ? page : -page;
    if (f->stats.stored_bytes > f->stats.stored_peak) f->stats.stored_peak = f->stats.stored_bytes;
}

typedef ssize_t transfer_fn(int fd, const struct iovec *iov, int n, off_t offset);

/* Pages from io[0] on that lie behind each other in the file and are PENDING; the first from byte `skip` on. */
static int build_run(const struct file_device *f, const struct rmap_io *io, size_t n, size_t skip, struct iovec *iov)
{
    size_t page = (size_t)1 << f->base.page_shift, k;
    for (k = 0; k < n && k < RUN_MAX && io[k].error == PENDING && io[k].slot == io[0].slot + k; k++)
        iov[k] = (struct iovec){.iov_base = io[k].data, .iov_len = page};
    iov[0].iov_base = (unsigned char *)io[0].data + skip;
    iov[0].iov_len = page - skip;
    return (int)k;
}

/*
 * Transfer every PENDING page. A short transfer goes on where it stopped; an error, or the end of the file, is the
 * answer for the page that it stopped at, and the next page is tried.
 */
static void transfer(const struct file_device *f, transfer_fn *fn, struct rmap_io *io, size_t n, int failure)
{
    size_t page = (size_t)1 << f->base.page_shift, skip = 0;
    for (size_t i = 0; i < n;) {
        if (io[i].error != PENDING) {
            i++;
            continue;
        }
        struct iovec iov[RUN_MAX];
        int count = build_run(f, io + i, n - i, skip, iov);
        off_t offset = ((off_t)io[i].slot << f->base.page_shift) + (off_t)skip;
        ssize_t moved = fn(f->fd, iov, count, offset);
        if (moved < 0 && errno == EINTR) continue;
        if (moved <= 0) {
            /* No room now is no fault of the slot. */
            bool later = moved < 0 && (errno == ENOSPC || errno == EDQUOT || errno == ENOMEM || errno == EAGAIN);
            io[i++].error = later && failure == RMAP_ERR_IO_WRITE ? RMAP_ERR_NOMEM : failure;
            skip = 0;
            continue;
        }
        for (skip += (size_t)moved; skip >= page; skip -= page) io[i++].error = 0;
    }
}

static void file_write(struct rmap_device *d, struct rmap_io *io, size_t n)
{
    struct file_device *f = (struct file_device *)d;
    for (size_t i = 0; i < n; i++) io[i].error = io[i].slot < d->slots ? PENDING : RMAP_ERR_IO_WRITE;
    transfer(f, pwritev, io, n, RMAP_ERR_IO_WRITE);

    rmap__mutex_lock(&f->lock, RMAP__RANK_DEVICE);
    for (size_t i = 0; i < n; i++) {
        if (io[i].slot < d->slots) set_content(f, io[i].slot, io[i].error == 0);
        if (io[i].error)
            f->stats.errors++;
        else
            f->stats.writes++;
    }
    rmap__mutex_unlock(&f->lock, RMAP__RANK_DEVICE);
}

static void file_read(struct rmap_device *d, struct rmap_io *io, size_t n)
{
    struct file_device *f = (struct file_device *)d;
    rmap__mutex_lock(&f->lock, RMAP__RANK_DEVICE);
    for (size_t i = 0; i < n; i++)
        io[i].error = io[i].slot < d->slots && has_content(f, io[i].slot) ? PENDING : RMAP_ERR_IO_READ;
    rmap__mutex_unlock(&f->lock, RMAP__RANK_DEVICE);
    transfer(f, preadv, io, n, RMAP_ERR_IO_READ);

    rmap__mutex_lock(&f->lock, RMAP__RANK_DEVICE);
    for (size_t i = 0; i < n; i++) {
        if (io[i].error)
            f->stats.errors++;
        else
            f->stats.reads++;
    }
    rmap__mutex_unlock(&f->lock, RMAP__RANK_DEVICE);
}

static void file_discard(struct rmap_device *d, uint32_t slot)
{
    struct file_device *f = (struct file_device *)d;
    if (slot >= d->slots) return;
    rmap__mutex_lock(&f->lock, RMAP__RANK_DEVICE);
    set_content(f, slot, false);
    rmap__mutex_unlock(&f->lock, RMAP__RANK_DEVICE);
}

static void file_get_stats(struct rmap_device *d, struct rmap_device_stats *out)
{
    struct file_device *f = (struct file_device *)d;
    rmap__mutex_lock(&f->lock, RMAP__RANK_DEVICE);
    *out = f->stats;
    rmap__mutex_unlock(&f->lock, RMAP__RANK_DEVICE);
}

static void file_destroy(struct rmap_device *d)
{
    struct file_device *f = (struct file_device *)d;
    struct rmap_allocator alloc = f->alloc;
    if (f->close_fd) close(f->fd);
    pthread_mutex_destroy(&f->lock);
    rmap__free(&alloc, f->content, bitmap_bytes(d->slots));
    RMAP__DELETE(&alloc, f);
}

/* Readable, writable at an offset (O_APPEND would ignore it), and something that has offsets. */
static bool fd_usable(int fd)
{
    struct stat st;
    int mode = fcntl(fd, F_GETFL);
    if (mode < 0 || (mode & O_ACCMODE) != O_RDWR || (mode & O_APPEND) || fstat(fd, &st) != 0) return false;
    return S_ISREG(st.st_mode) || S_ISBLK(st.st_mode);
}

int rmap_device_file_create(const struct rmap_allocator *alloc, int fd, bool close_fd, uint64_t slots,
                            unsigned page_shift, struct rmap_device **out)
{
    static const struct rmap_device_ops ops = {
        .struct_size = sizeof(struct rmap_device_ops),
        .name = "file",
        .write = file_write,
        .read = file_read,
        .discard = file_discard,
        .get_stats = file_get_stats,
        .destroy = file_destroy,
    };
    struct rmap_allocator a;
    int rc = rmap__device_check(alloc, slots, page_shift, out, &a);
    if (rc) return rc;
    if (!fd_usable(fd)) return RMAP_ERR_INVALID;

    struct file_device *f = RMAP__NEW(&a, struct file_device);
    if (!f) return RMAP_ERR_NOMEM;
    *f = (struct file_device){
        .base = {.ops = &ops, .slots = slots, .page_shift = page_shift},
        .alloc = a,
        .fd = fd,
        .close_fd = close_fd,
        .content = rmap__alloc(&a, bitmap_bytes(slots)),
        .stats = {.slots = slots},
    };
    if (!f->content || pthread_mutex_init(&f->lock, NULL) != 0) {
        rmap__free(&a, f->content, bitmap_bytes(slots));
        RMAP__DELETE(&a, f);
        return RMAP_ERR_NOMEM;
    }
    *out = &f->base;
    return 0;
}
