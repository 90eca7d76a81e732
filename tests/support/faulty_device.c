/* SPDX-License-Identifier: MIT */
/** @file support/faulty_device.c  See the header. */
#include "support/faulty_device.h"

#include <objrmap/error.h>
#include <stdlib.h>
#include <string.h>

static void call_once(struct faulty_device *f, void (**hook)(struct faulty_device *f))
{
    void (*fn)(struct faulty_device *) = *hook;
    if (!fn) return;
    *hook = NULL;
    fn(f);
}

static void faulty_write(struct rmap_device *d, struct rmap_io *io, size_t n)
{
    struct faulty_device *f = (struct faulty_device *)d;
    size_t page = (size_t)1 << d->page_shift;
    f->calls++;
    f->last_first = io[0].slot;
    f->last_n = n;
    call_once(f, &f->during_write);
    for (size_t i = 0; i < n; i++) {
        if (++f->writes == f->fail_write_at || f->fail_all_writes) {
            if (f->write_error) io[i].error = f->write_error;
            continue;
        }
        if (i && io[i].slot <= io[i - 1].slot) abort(); /* not in ascending order */
        pthread_mutex_lock(&f->lock);
        if (!f->slot[io[i].slot]) f->slot[io[i].slot] = malloc(page);
        memcpy(f->slot[io[i].slot], io[i].data, page);
        pthread_mutex_unlock(&f->lock);
        io[i].error = 0;
    }
}

static void faulty_read(struct rmap_device *d, struct rmap_io *io, size_t n)
{
    struct faulty_device *f = (struct faulty_device *)d;
    size_t page = (size_t)1 << d->page_shift;
    for (size_t i = 0; i < n; i++) {
        const uint64_t read = ++f->reads;
        if (read == f->fail_read_at || f->fail_all_reads) {
            if (f->read_error) io[i].error = f->read_error;
            continue;
        }
        pthread_mutex_lock(&f->lock);
        io[i].error = f->slot[io[i].slot] ? 0 : RMAP_ERR_IO_READ;
        if (!io[i].error) memcpy(io[i].data, f->slot[io[i].slot], page);
        pthread_mutex_unlock(&f->lock);
        if (io[i].error) continue;
        if (read == f->spoil_read_at) ((unsigned char *)io[i].data)[page / 3] ^= 0x10;
    }
    call_once(f, &f->during_read);
}

static void faulty_discard(struct rmap_device *d, uint32_t slot)
{
    struct faulty_device *f = (struct faulty_device *)d;
    f->discards++;
    pthread_mutex_lock(&f->lock);
    free(f->slot[slot]);
    f->slot[slot] = NULL;
    pthread_mutex_unlock(&f->lock);
}

static void faulty_get_stats(struct rmap_device *d, struct rmap_device_stats *out)
{
    const struct faulty_device *f = (const struct faulty_device *)d;
    out->writes = f->writes;
    out->reads = f->reads;
}

static void faulty_destroy(struct rmap_device *d)
{
    struct faulty_device *f = (struct faulty_device *)d;
    for (uint64_t i = 0; i < d->slots; i++) free(f->slot[i]);
    free(f->slot);
    f->destroyed = true;
}

void faulty_device_init(struct faulty_device *f, uint64_t slots, unsigned page_shift)
{
    static const struct rmap_device_ops ops = {
        .struct_size = sizeof(struct rmap_device_ops),
        .name = "faulty",
        .write = faulty_write,
        .read = faulty_read,
        .discard = faulty_discard,
        .get_stats = faulty_get_stats,
        .destroy = faulty_destroy,
    };
    *f = (struct faulty_device){
        .base = {.ops = &ops, .slots = slots, .page_shift = page_shift},
        .slot = calloc(slots, sizeof *f->slot),
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .write_error = RMAP_ERR_IO_WRITE,
        .read_error = RMAP_ERR_IO_READ,
    };
}
