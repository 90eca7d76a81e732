/* SPDX-License-Identifier: MIT */
/** @file property/flaky_device.c  See the header. */
#include "property/flaky_device.h"

#include <objrmap/error.h>

static void flaky_write(struct rmap_device *d, struct rmap_io *io, size_t n)
{
    struct flaky_device *f = (struct flaky_device *)d;
    for (size_t i = 0; i < n; i++) {
        if (prng_chance(&f->rng, f->fail_write, 1000)) {
            /* A lack of memory does not spoil the slot for ever, an I/O error does. */
            io[i].error = prng_chance(&f->rng, 1, 2) ? RMAP_ERR_IO_WRITE : RMAP_ERR_NOMEM;
            f->injected++;
        } else {
            f->inner->ops->write(f->inner, &io[i], 1);
        }
    }
}

static void flaky_read(struct rmap_device *d, struct rmap_io *io, size_t n)
{
    struct flaky_device *f = (struct flaky_device *)d;
    const size_t page = (size_t)1 << d->page_shift;
    for (size_t i = 0; i < n; i++) {
        if (prng_chance(&f->rng, f->fail_read, 1000)) {
            io[i].error = prng_chance(&f->rng, 1, 2) ? RMAP_ERR_IO_READ : RMAP_ERR_NOMEM;
            f->injected++;
            continue;
        }
        f->inner->ops->read(f->inner, &io[i], 1);
        if (io[i].error || !prng_chance(&f->rng, f->spoil_read, 1000)) continue;
        ((unsigned char *)io[i].data)[prng_below(&f->rng, page)] ^= 0x40;
        f->injected++;
    }
}

static void flaky_discard(struct rmap_device *d, uint32_t slot)
{
    struct flaky_device *f = (struct flaky_device *)d;
    if (f->inner->ops->discard) f->inner->ops->discard(f->inner, slot);
}

static void flaky_get_stats(struct rmap_device *d, struct rmap_device_stats *out)
{
    struct flaky_device *f = (struct flaky_device *)d;
    f->inner->ops->get_stats(f->inner, out);
}

static void flaky_destroy(struct rmap_device *d)
{
    rmap_device_destroy(((struct flaky_device *)d)->inner);
}

void flaky_device_init(struct flaky_device *f, struct rmap_device *inner, uint64_t seed)
{
    static const struct rmap_device_ops ops = {
        .struct_size = sizeof ops,
        .name = "flaky",
        .write = flaky_write,
        .read = flaky_read,
        .discard = flaky_discard,
        .get_stats = flaky_get_stats,
        .destroy = flaky_destroy,
    };
    *f = (struct flaky_device){.base = {.ops = &ops, .slots = inner->slots, .page_shift = inner->page_shift},
                               .inner = inner};
    prng_init(&f->rng, seed);
}

int flaky_device_peek(struct flaky_device *f, uint32_t slot, void *page)
{
    struct rmap_io io = {.slot = slot, .data = page, .error = RMAP_ERR_IO_READ};
    f->inner->ops->read(f->inner, &io, 1);
    return io.error;
}
