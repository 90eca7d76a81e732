/* SPDX-License-Identifier: MIT */
/** @file fuzz/options_parts.c  The instance with its frames, the slot map, and devices, made with odd options. */
#include "fuzz/options.h"
#include "support/no_frames.h"

#include <objrmap/device.h>
#include <objrmap/instance.h>
#include <objrmap/swapmap.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- instance, sections ---- */

static void add_sections(struct fuzz *f, struct options_memory *m, struct rmap *r)
{
    static struct rmap_page descriptors[256];
    memset(descriptors, 0, sizeof descriptors);
    for (unsigned i = fuzz_below(f, 4); i > 0; i--) {
        const size_t blocks = m->counting.live_blocks;
        struct rmap_frame_section s = {
            .base = &descriptors[16 * fuzz_below(f, 8)],
            .stride = options_odd(f) ? fuzz_below(f, 256) : sizeof(struct rmap_page) << fuzz_below(f, 2),
            .first = options_number(f, 32 * fuzz_below(f, 8)),
            .count = options_odd(f) ? fuzz_word(f) : fuzz_below(f, 24),
        };
        if (options_odd(f)) s.base = (struct rmap_page *)(void *)((char *)s.base + fuzz_below(f, 16));
        if (options_odd(f)) s.base = NULL;
        int rc = rmap_frames_add(r, &s);
        const uint64_t allowed = OPTIONS_BIT(RMAP_ERR_NULL_ARG) | OPTIONS_BIT(RMAP_ERR_INVALID) |
                                 OPTIONS_BIT(RMAP_ERR_UNALIGNED) | OPTIONS_BIT(RMAP_ERR_RANGE) |
                                 OPTIONS_BIT(RMAP_ERR_EXISTS) | OPTIONS_BIT(RMAP_ERR_NOMEM);
        if (!OPTIONS_ANSWER(m, rc, allowed, blocks)) continue;
        CHECK_EQ(rmap_page_find(r, s.first), s.base);
        const rmap_pfn_t last = s.first + s.count - 1;
        CHECK_EQ(rmap_page_find(r, last), (char *)s.base + s.stride * (s.count - 1));
        CHECK_EQ(rmap_page_pfn(r, s.base), s.first);
        /* Only what has descriptors: the rest was never written to, so nobody may look at it. */
        const bool real =
            s.stride < 256 && s.count < 256 && (char *)s.base + s.stride * s.count <= (char *)(descriptors + 256);
        if (real && fuzz_below(f, 2)) {
            rc = rmap_frames_remove(r, s.first);
            CHECK(!rc || rc == RMAP_ERR_NOMEM);
            if (!rc) CHECK_EQ(rmap_page_find(r, s.first), NULL);
        }
    }
}

void options_of_instance(struct fuzz *f, struct options_memory *m)
{
    struct rmap_frame_ops frames = {.struct_size = options_struct_size(f, sizeof frames),
                                    .alloc = options_odd(f) ? NULL : no_frame,
                                    .free = options_odd(f) ? NULL : free_frame,
                                    .copy = options_odd(f) ? NULL : copy_frame};
    struct rmap_swap_ops swap = *rmap_swap_get_ops();
    swap.struct_size = options_struct_size(f, sizeof swap);
    if (options_odd(f)) swap.dup = NULL;
    if (options_odd(f)) swap.set_home = NULL;
    if (options_odd(f)) swap.replace = NULL;
    struct rmap_options o = {.struct_size = options_struct_size(f, sizeof o),
                             .alloc = options_alloc(f, m),
                             .frames = options_odd(f) ? NULL : &frames,
                             .swap = fuzz_below(f, 2) ? &swap : NULL};
    const bool frames_sound = frames.struct_size == sizeof frames && frames.alloc && frames.free && frames.copy;
    const bool swap_sound = swap.struct_size == sizeof swap && swap.dup && swap.set_home;
    struct rmap *const nobody = (struct rmap *)(void *)m, *r = nobody;
    int rc = rmap_create(&o, &r);
    OPTIONS_SOUND(rc, o.struct_size == sizeof o && options_alloc_is_sound(o.alloc) && o.frames && frames_sound &&
                          (!o.swap || swap_sound));
    if (!OPTIONS_ANSWER(m, rc, OPTIONS_COMMON, 0)) {
        CHECK_EQ(r, nobody);
        return;
    }
    add_sections(f, m, r);
    CHECK_OK(rmap_destroy(r));
}

/* ---- slot map ---- */

static void ops_of(struct fuzz *f, struct rmap_device_ops *ops)
{
    ops->struct_size = options_struct_size(f, sizeof *ops);
    if (options_odd(f)) ops->write = NULL;
    if (options_odd(f)) ops->read = NULL;
    if (options_odd(f)) ops->get_stats = NULL;
    if (options_odd(f)) ops->destroy = NULL;
    if (fuzz_below(f, 2)) ops->discard = NULL;
}

static void add_devices(struct fuzz *f, struct options_memory *m, struct rmap_swap *s, unsigned shift)
{
    for (unsigned i = fuzz_below(f, 4); i > 0; i--) {
        struct rmap_device *d;
        struct rmap_device_ops ops;
        const size_t before = m->counting.live_blocks;
        int rc = rmap_device_lz4_create(&m->capped, 1 + fuzz_below(f, 2000), shift, 0, &d);
        const uint64_t no_device =
            OPTIONS_BIT(RMAP_ERR_NOMEM) | OPTIONS_BIT(RMAP_ERR_UNSUPPORTED); /* no lz4 in this build */
        if (!OPTIONS_ANSWER(m, rc, no_device, before)) continue;
        const struct rmap_device whole = *d;
        const size_t blocks = m->counting.live_blocks;
        ops = *whole.ops;
        ops_of(f, &ops);
        d->ops = fuzz_below(f, 4) ? d->ops : options_odd(f) ? NULL : &ops;
        d->slots = options_number(f, d->slots);
        d->page_shift = (unsigned)options_number(f, d->page_shift);
        const bool given = !options_odd(f);
        const bool sound = given && d->ops && d->ops->struct_size == sizeof ops && d->ops->write && d->ops->read &&
                           d->ops->get_stats && d->ops->destroy && d->page_shift == shift && d->slots &&
                           d->slots <= (uint64_t)1 << RMAP_SWP_SLOT_BITS;
        rc = rmap_swap_add(s, given ? d : NULL);
        OPTIONS_SOUND(rc, sound);
        const bool added = OPTIONS_ANSWER(m, rc, OPTIONS_COMMON | OPTIONS_BIT(RMAP_ERR_INVALID), blocks);
        m->counting.fail_at = 0;
        if (added) CHECK_ERR(rmap_swap_add(s, d), RMAP_ERR_EXISTS);
        if (added) CHECK_OK(rmap_swap_remove(s, d));
        *d = whole;
        rmap_device_destroy(d);
    }
    CHECK_OK(rmap_swap_verify(s, NULL, 0));
}

void options_of_swap(struct fuzz *f, struct options_memory *m)
{
    const struct rmap_swap_options o = {.struct_size = options_struct_size(f, sizeof o),
                                        .alloc = options_alloc(f, m),
                                        .page_shift = (unsigned)options_number(f, 12)};
    struct rmap_swap *const nobody = (struct rmap_swap *)(void *)m, *s = nobody;
    int rc = rmap_swap_create(&o, &s);
    OPTIONS_SOUND(rc, o.struct_size == sizeof o && options_alloc_is_sound(o.alloc) && o.page_shift >= 9 &&
                          o.page_shift <= 20);
    if (!OPTIONS_ANSWER(m, rc, OPTIONS_COMMON | OPTIONS_BIT(RMAP_ERR_INVALID), 0)) {
        CHECK_EQ(s, nobody);
        return;
    }
    add_devices(f, m, s, o.page_shift);
    CHECK_OK(rmap_swap_destroy(s));
}

/* ---- devices ---- */

/* A device that was taken must take a page at its ends, and give it back. */
static void use_device(struct fuzz *f, struct rmap_device *d)
{
    const size_t page = (size_t)1 << d->page_shift;
    const uint32_t last = (uint32_t)(d->slots - 1), slots[] = {0, last, last / 2, last + 1, UINT32_MAX};
    unsigned char *out = calloc(2, page), *in = out + page;
    CHECK(out);
    for (unsigned i = 0; i < 3; i++) {
        const uint32_t slot = slots[fuzz_below(f, 5)];
        struct rmap_io io = {.slot = slot, .data = out, .error = RMAP_ERR_IO_WRITE};
        memset(out, (int)slot + 1, page);
        d->ops->write(d, &io, 1);
        if (slot >= d->slots) CHECK_NE(io.error, 0);
        if (io.error) continue; /* no memory; a file system with smaller files */
        io = (struct rmap_io){.slot = slot, .data = in, .error = RMAP_ERR_IO_READ};
        d->ops->read(d, &io, 1);
        CHECK_OK(io.error);
        CHECK_EQ(memcmp(in, out, page), 0);
        d->ops->discard(d, slot);
        io.error = 0;
        d->ops->read(d, &io, 1);
        CHECK_ERR(io.error, RMAP_ERR_IO_READ);
    }
    free(out);
}

/* A file that a device can use, or something else. */
static int descriptor(struct fuzz *f, bool *usable)
{
    *usable = false;
    switch (fuzz_below(f, 8)) {
    case 0:
        return -1;
    case 1:
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    case 2:
        return open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    case 3: {
        int fd = memfd_create("fuzz", MFD_CLOEXEC);
        fcntl(fd, F_SETFL, O_APPEND);
        return fd;
    }
    default:
        *usable = true;
        return memfd_create("fuzz", MFD_CLOEXEC);
    }
}

void options_of_device(struct fuzz *f, struct options_memory *m)
{
    const uint64_t allowed = OPTIONS_COMMON | OPTIONS_BIT(RMAP_ERR_RANGE) | OPTIONS_BIT(RMAP_ERR_INVALID);
    const struct rmap_allocator *alloc = options_alloc(f, m);
    const uint64_t slots = options_number(f, 1 + fuzz_below(f, 3000));
    const unsigned shift = (unsigned)options_number(f, 9 + fuzz_below(f, 12));
    struct rmap_device *const nobody = (struct rmap_device *)(void *)m, *d = nobody;
    const bool asked = !options_odd(f);
    const bool sound = asked && slots && slots <= (uint64_t)1 << RMAP_SWP_SLOT_BITS && shift >= 9 && shift <= 20 &&
                       options_alloc_is_sound(alloc);
    int rc;
    if (fuzz_below(f, 2)) {
        const uint64_t limit = options_number(f, 0);
        rc = rmap_device_lz4_create(alloc, slots, shift, limit, asked ? &d : NULL);
        if (rc == RMAP_ERR_UNSUPPORTED) return; /* a build without lz4 */
        OPTIONS_ANSWER(m, rc, allowed, 0);
        OPTIONS_SOUND(rc, sound);
    } else {
        bool usable;
        const int fd = descriptor(f, &usable);
        const bool give = fuzz_below(f, 2);
        rc = rmap_device_file_create(alloc, fd, give, slots, shift, asked ? &d : NULL);
        OPTIONS_ANSWER(m, rc, allowed, 0);
        OPTIONS_SOUND(rc, sound && usable);
        if (!rc) use_device(f, d);
        if (!rc) rmap_device_destroy(d);
        if (fd >= 0) CHECK_EQ(fcntl(fd, F_GETFD) < 0, !rc && give); /* on failure it stays the caller's */
        if (fd >= 0 && !(!rc && give)) close(fd);
        return;
    }
    if (rc) {
        CHECK_EQ(d, nobody);
        return;
    }
    use_device(f, d);
    rmap_device_destroy(d);
}
